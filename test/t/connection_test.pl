# cdp.test_connection() against a vendor over TLS: what passes, each thing that can be wrong, and that nothing is landed or held.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use CdpTest;
use MockVendor;

plan skip_all => 'IO::Socket::SSL is not installed, so no vendor speaks TLS' if !eval { require IO::Socket::SSL::Utils; 1 };
my $node = cdp_node('connection_test');
my $mock = MockVendor->new(dir => PostgreSQL::Test::Utils::tempdir(), cursors => 1);
my $plain = MockVendor->new(dir => PostgreSQL::Test::Utils::tempdir(), plain => 1);
$node->append_conf('postgresql.conf', MockVendor::conf($mock, $plain));
$node->reload;
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my ($token_path, $staff) = ('/cgi-bin/gettoken', '/cgi-bin/externalcontact/get_follow_user_list');

# Tests a connection; its state, and its checks as {name}{status, detail, hint}.
sub tested {
	my ($connection, $set) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', ($set // '') . "CALL cdp.test_connection('$connection')");
	my %check = map { my ($name, $status, $required, @more) = split /\|/, $_, -1; ($name => { status => $status, required => $required, detail => $more[0], hint => $more[1] }) }
		split /\n/, $sql->("SELECT name, status, required, detail, hint FROM cdp.connection_checks('$connection')");
	return $rc ? $err : $out, \%check;
}
sub check_is { my ($name, $checks, $check, $status, $detail) = @_; is($checks->{$check}{status}, $status, $name) or diag explain $checks; like($checks->{$check}{detail}, $detail, "$name: $check tells") if $detail }

# All is well.
$sql->($mock->connect_sql('staff', draft => 1, config => { open_kfids => ['wkMOCK1'] }));
my ($state, $checks) = tested('staff');
is($state, 'tested', 'a draft becomes tested');
is(join(' ', sort grep { $checks->{$_}{status} ne 'ok' } keys %$checks), 'identity:groupchat_members quota', 'all checks are ok but for what is not there');
check_is('the certificate', $checks, 'tls', 'ok', qr/^issued by .*Authority of the mock vendor, (29|30) days left$/);
check_is('the address', $checks, 'address', 'ok', qr/^127\.0\.0\.1$/);
check_is('the clock', $checks, 'clock', 'ok', qr/same time/);
check_is('the token', $checks, 'auth', 'ok', qr/a token was fetched/);
check_is('who the records are about', $checks, 'identity:contacts', 'ok', qr/^of 10 touchpoints: external_userid in 10, unionid in \d+$/);
check_is('whose days they are', $checks, 'zone:behavior', 'ok', qr/Asia\/Shanghai/);
is(scalar(grep { /^permission:/ } keys %$checks), 19, 'each stream was tried');
is($mock->calls($token_path), 1, 'with one token');
is(scalar($mock->log), 20, 'and one call each');
is($sql->('SELECT (SELECT count(*) FROM cdp_data.raw_page) + (SELECT count(*) FROM cdp_data.raw_record) + (SELECT count(*) FROM cdp_data.stream)'), '0', 'nothing was landed');
unlike($sql->('SELECT string_agg(k::text, $$ $$) FROM cdp_data.connection_check k'), qr/wmMOCK|MOCKTOKEN|MOCKSECRET/, 'no record, token or secret stands in the checks');
is($sql->(q{SELECT checks_passed = checks_required, state FROM cdp_bi.connection_status}), 't|tested', 'the view of connections counts them');

# Credentials.
my $secret = $mock->{set}{secret};
$mock->forget(tokens => 1);
$mock->set(secret => 'another one');
$sql->('TRUNCATE cdp_data.connection_token');
($state, $checks) = tested('staff');
is($state, 'draft', 'one that fails makes it a draft again');
check_is('a wrong secret', $checks, 'auth', 'fail', qr/^HTTP 200, code 40001: wrong secret or corpid; it names the address 127\.0\.0\.1$/);
check_is('a wrong secret', $checks, 'permission', 'skip', qr/not tried/);
is($mock->calls($token_path), 1, 'it was asked about once');
tested('staff');
is($mock->calls($token_path), 2, 'a person may ask again at once');
$mock->set(secret => $secret);
is((tested('staff'))[0], 'tested', 'when it is right it is tested');
$sql->('TRUNCATE cdp_data.connection_token');
$mock->rule(path => $token_path, code => 60020, message => 'not allow to access from your ip, hint: [1], from ip: 203.0.113.7, more info at x');
($state, $checks) = tested('staff');
check_is('an address that is on no list, at the token', $checks, 'auth', 'fail', qr/code 60020: .*; it names the address 203\.0\.113\.7$/);
$mock->forget(tokens => 1);
$sql->('TRUNCATE cdp_data.connection_token');
$mock->rule(path => $staff, code => 40014, times => 0);
($state, $checks) = tested('staff');
check_is('a token that is never taken', $checks, 'auth', 'fail', qr/a new token is not taken, either: code 40014/);

# Permissions.
$mock->forget;
$mock->rule(path => $staff, code => 60020, message => 'not allow to access from your ip, hint: [1], from ip: 203.0.113.7', times => 0);
($state, $checks) = tested('staff');
is($state, 'draft', 'without its probe it is not tested');
check_is('the probe is refused', $checks, 'permission:follow_users', 'fail', qr/60020.*203\.0\.113\.7/);
like($checks->{'permission:follow_users'}{hint}, qr/list of addresses, 203\.0\.113\.7 has to be on it/, 'and what to do is said');
check_is('what is asked by its records', $checks, 'permission:contacts', 'warn', qr/no record of follow_users/);
check_is('others', $checks, 'permission:contact_ways', 'ok');
$mock->forget;
$mock->rule(path => '/cgi-bin/externalcontact/customer_acquisition/list_link', code => 48002);
($state, $checks) = tested('staff');
is($state, 'tested', 'what is no probe may be refused');
check_is('but it is told', $checks, 'permission:acquisition_links', 'warn', qr/^config: HTTP 200, code 48002, the app may not call this, it names the address 127\.0\.0\.1$/);
$mock->rule(path => '/cgi-bin/externalcontact/list_contact_way', code => 45009);
($state, $checks) = tested('staff');
check_is('a quota that is used up', $checks, 'quota', 'warn', qr/^contact_ways: HTTP 200, code 45009/);
$mock->rule(path => $staff, code => -1);
($state, $checks) = tested('staff');
is($state, 'tested', 'a server that is busy is asked once more');
$mock->forget;
$mock->rule(path => $staff, reset => 1, times => 0);
($state, $checks) = tested('staff');
check_is('one that breaks off', $checks, 'permission:follow_users', 'fail', qr/^reset: .*the connection broke/);
is($mock->calls($staff), 2, 'is asked twice');
is($state, 'draft', 'and is not tested');

# What comes.
$mock->forget;
$mock->rule(path => $staff, raw => unpack('H*', '<html>maintenance'));
($state, $checks) = tested('staff');
check_is('what is no JSON', $checks, 'permission:follow_users', 'ok') if $checks->{'permission:follow_users'}{status} eq 'ok';
is($state, 'tested', 'an answer that can not be read is asked for again');
$mock->rule(path => $staff, raw => unpack('H*', '{"errcode":0,"follow_user":[]}'));
($state, $checks) = tested('staff');
check_is('an account without data', $checks, 'permission:contacts', 'warn', qr/no record/);
$mock->set(dirty => 1);
($state, $checks) = tested('staff');
check_is('bytes that break text', $checks, 'sample:contacts', 'ok', qr/\d+ characters replaced/);
$mock->set(dirty => 0, skew_s => 600);
($state, $checks) = tested('staff');
check_is('a clock that is wrong', $checks, 'clock', 'warn', qr/our clock is (599|600)[.\d]* s behind/);
is($state, 'tested', 'is a warning');
$mock->set(skew_s => 0);
$sql->($mock->connect_sql('empty', draft => 1, connector => 'one_stream', streams => ['contact_ways']));
$mock->rule(path => '/cgi-bin/externalcontact/list_contact_way', raw => unpack('H*', '{"errcode":0,"contact_way":[]}'));
($state, $checks) = tested('empty');
check_is('no record at all', $checks, 'sample', 'warn', qr/no stream had a record/);
is($state, 'tested', 'can be tested all the same');
$mock->rule(path => '/cgi-bin/externalcontact/list_contact_way', raw => unpack('H*', '{"errcode":0,"contact_way":[{"x":1},{"x":2}]}'));
($state, $checks) = tested('empty');
check_is('records without a key', $checks, 'sample:contact_ways', 'fail', qr/^2 records, 2 of them with no_key$/);
is($state, 'draft', 'can not');

# Servers.
my $calls = sub { scalar($mock->log) };
$mock->forget;
$node->append_conf('postgresql.conf', "cdp.allowed_hosts = ''\n");
$node->reload;
($state, $checks) = tested('staff');
check_is('a host on no list', $checks, 'host', 'fail', qr/^https:\/\/127\.0\.0\.1:\d+: not_allowed$/);
check_is('a host on no list', $checks, 'auth', 'skip');
$node->append_conf('postgresql.conf', MockVendor::conf($mock, $plain) . "cdp.allowed_private_ranges = ''\n");
$node->reload;
($state, $checks) = tested('staff');
check_is('an address of a closed range', $checks, 'address', 'fail', qr/^127\.0\.0\.1 \(loopback\)$/);
is($calls->(), 0, 'nothing is sent to either');
$node->append_conf('postgresql.conf', MockVendor::conf($mock, $plain) . "cdp.ca_file = ''\n");
$node->reload;
($state, $checks) = tested('staff');
check_is('an authority that nobody knows', $checks, 'tls', 'fail', qr/the certificate is refused/);
$sql->('TRUNCATE cdp_data.connection_token');
($state, $checks) = tested('staff');
check_is('an authority that nobody knows, at the token', $checks, 'tls', 'fail', qr/^tls: /);
$sql->($mock->connect_sql('shop', draft => 1, product => 'rest'));
($state, $checks) = tested('shop');
check_is('the same without a token', $checks, 'tls', 'fail');
$node->append_conf('postgresql.conf', MockVendor::conf($mock, $plain));
$node->reload;
is((tested('staff'))[0], 'tested', 'all well again');
$sql->($plain->connect_sql('open', draft => 1, product => 'rest', connector => 'open_rest'));
($state, $checks) = tested('open');
check_is('no TLS', $checks, 'tls', 'warn', qr/can be read on the way/);
is($state, 'tested', 'is possible where superuser and connection allow it');
$mock->rule(path => '/v1/events', status => 200, headers => { 'X-RateLimit-Limit' => 60, 'X-RateLimit-Remaining' => 59 }, body => '{"items": []}');
($state, $checks) = tested('shop');
check_is('what is left of a quota', $checks, 'quota', 'ok', qr/^59 of 60 calls are left$/);
$sql->(q{SELECT cdp.set_secret('shop', name, 'wrong') FROM (SELECT s.name FROM cdp_data.connection_secret s JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'shop') x});
($state, $checks) = tested('shop');
check_is('a fixed secret that is wrong', $checks, 'auth', 'fail', qr/^HTTP 401$/);
is($state, 'draft', 'is no test that passed');
$sql->(q{SELECT cdp.drop_secret('shop', name) FROM (SELECT s.name FROM cdp_data.connection_secret s JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'shop') x});
$mock->forget;
($state, $checks) = tested('shop');
check_is('one that is missing', $checks, 'secrets', 'fail', qr/missing/);
is($calls->(), 0, 'then nobody is asked');
$sql->($mock->connect_sql('oa', draft => 1, product => 'wechat_oa'));
($state, $checks) = tested('oa');
check_is('a quota that the server tells', $checks, 'quota', 'ok', qr/^4993 of 5000 calls of users are left$/);
is((map { $_->{body} } grep { $_->{path} eq '/cgi-bin/openapi/quota/get' } $mock->log)[0], '{"cgi_path": "/cgi-bin/user/get"}', 'is asked for the probe');
$mock->rule(path => '/cgi-bin/openapi/quota/get', raw => unpack('H*', '{"errcode":0,"quota":{"daily_limit":5000,"used":4600,"remain":400}}'));
($state, $checks) = tested('oa');
check_is('one that is nearly used up', $checks, 'quota', 'warn', qr/^400 of 5000/);
$mock->rule(path => '/cgi-bin/openapi/quota/get', code => 48001);
($state, $checks) = tested('oa');
check_is('one that it does not tell', $checks, 'quota', 'skip', qr/^the server does not tell it, config, code 48001/);
is($state, 'tested', 'without it a connection can be tested');
$mock->forget;

# Stopped, and held while it waits: nothing.
$mock->rule(path => $staff, stall => 1);
my $run = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', "CALL cdp.test_connection('staff')" ], '>', \my $o, '2>', \my $e, IPC::Run::timeout(60));
$mock->until_state(sub { $_[0]{waiting} });
is($sql->(q{SELECT a.backend_xmin IS NULL AND a.backend_xid IS NULL AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype <> 'virtualxid') FROM pg_stat_activity a WHERE a.query LIKE 'CALL cdp.test_connection%' AND a.pid <> pg_backend_pid()}), 't', 'it waits with neither snapshot nor lock');
is($sql->(q{SELECT status FROM cdp.connection_checks('staff') WHERE name = 'host'}), 'ok', 'others see how far it is');
$sql->(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL cdp.test_connection%' AND pid <> pg_backend_pid()});
eval { IPC::Run::finish($run) };
like($e, qr/canceling statement due to user request/, 'it can be cancelled');
is($sql->(q{SELECT c.state, t.finished_at IS NULL FROM cdp_data.connection c JOIN cdp_data.connection_test t USING (connection_id) WHERE c.name = 'staff' ORDER BY t.test_id DESC LIMIT 1}), 'tested|t', 'then it counts for nothing');
$mock->forget;

# Who may, and when.
like(($node->psql('postgres', "BEGIN; CALL cdp.test_connection('staff')"))[2], qr/can not be tested inside a transaction block/, 'not within a transaction block');
like(($node->psql('postgres', "CALL cdp.test_connection('stuff')"))[2], qr/unknown connection "stuff"/, 'not one that is not there');
like(($node->psql('postgres', "CALL cdp.test_connection(NULL)"))[2], qr/must not be NULL/, 'nor none');
$sql->(q{CREATE ROLE the_marketer; CREATE ROLE ops LOGIN; CREATE ROLE team; CREATE ROLE member LOGIN IN ROLE team, the_marketer; CREATE ROLE stranger LOGIN IN ROLE the_marketer; SELECT cdp.configure_connection('staff', owner => 'team')});
$sql->(q{CALL cdp.setup(marketer => 'the_marketer')});
my $as = sub { my ($role, $text) = @_; my ($rc, $out, $err) = $node->psql('postgres', $text, extra_params => [ '-U', $role ]); return $out . $err };
is($as->('member', "CALL cdp.test_connection('staff')"), 'tested', 'a member of its owner may');
like($as->('stranger', "CALL cdp.test_connection('staff')"), qr/permission denied to use connection/, 'nobody else');
like($as->('stranger', "SELECT count(*) FROM cdp.connection_checks('staff')"), qr/^\d\d$/, 'who sees connections sees their checks');
like($as->('ops', "SELECT count(*) FROM cdp.connection_checks('staff')"), qr/permission denied/, 'others do not');
$sql->(q{SELECT cdp.start_shadow('staff')});
$mock->rule(path => $staff, code => 40001, times => 0);
is((tested('staff'))[0], 'shadow', 'one that runs stays where it is');
is($sql->(q{SELECT problem FROM cdp.connection_gate('staff') LIMIT 1}), 'check failed', 'but its gate is closed');

# The way of an account: made, tested, pulled in shadow, live, by nothing but what people call.
$mock->forget;
$sql->($mock->connect_sql('way', draft => 1, connector => 'one_way', streams => [ 'follow_users', 'contacts' ]));
like(($node->psql('postgres', "SELECT cdp.start_shadow('way')"))[2], qr/may not go from draft to shadow|can not go from draft to shadow/, 'no way past the test');
is((tested('way'))[0], 'tested', 'made and tested');
is($sql->(q{SELECT cdp.start_shadow('way')}), 'shadow', 'pulled in shadow');
like(($node->psql('postgres', "SELECT cdp.go_live('way')"))[2], qr/no shadow run/, 'no way past the shadow run');
$sql->(q{CALL cdp.sync('way')});
is($sql->(q{SELECT s.name || ' ' || count(*) FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'way' GROUP BY s.name ORDER BY s.name}),
	'contacts ' . 3 * $mock->{set}{contacts} . "\nfollow_users 3", 'all records are here');
is($sql->(q{SELECT cdp.go_live('way')}), 'live', 'and live') or diag $sql->(q{SELECT * FROM cdp.connection_gate('way')});
$mock->stop;
$plain->stop;
$node->stop;
done_testing();
