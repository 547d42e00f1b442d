# One call of a connection against a vendor over TLS: every kind of auth, one token for eight sessions, tokens that end, wrong secrets,
# what is held while it waits, cancelling, a connection that is changed meanwhile, and no secret where somebody could read it.
use strict;
use warnings;
use Test::More;
use File::Find;
use IPC::Run;
use JSON::PP ();
use MIME::Base64 ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time sleep);
use CdpTest;
use MockVendor;

plan skip_all => 'IO::Socket::SSL is not installed, so no vendor speaks TLS' if !eval { require IO::Socket::SSL::Utils; 1 };
my $node = cdp_node('sync_call');
my $mock = MockVendor->new(dir => PostgreSQL::Test::Utils::tempdir());
$node->append_conf('postgresql.conf', MockVendor::conf($mock) . "log_statement = none\nlog_parameter_max_length = 0\nlog_parameter_max_length_on_error = 0\n");
$node->reload;
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my ($token_path, $staff) = ('/cgi-bin/gettoken', '/cgi-bin/externalcontact/get_follow_user_list');

# One call; {outcome, detail, status, body, calls, token_calls, blanked, error}.
sub call {
	my ($connection, $stream, %o) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', ($o{set} // '') . "\\set VERBOSITY verbose\n\\pset null ''\nCALL cdp_internal.call_stream('$connection', '$stream', '" . ($o{state} // '{}') . "', " . ($o{times} // 1) . ');',
		extra_params => [ '-F', "\x{1}" ]);
	return { error => $err, outcome => '' } if $rc;
	my %row;
	@row{qw(outcome detail status headers body figures)} = split /\x01/, $out, -1;
	$row{body} = pack 'H*', $row{body} =~ s/^\\x//r;
	$row{$_} = $row{figures} =~ /"$_": ([\d.]+)/ ? $1 : undef for qw(calls token_calls blanked retry_s);
	return \%row;
}
sub told { my ($row) = @_; return join ' ', map { defined && length ? $_ : '-' } @$row{qw(outcome status calls token_calls)} }
sub answered { my ($name, $row, $want) = @_; is(told($row), $want, $name) or diag explain $row }
# The same statement from so many sessions at once; their answers.
sub together {
	my ($n, $text) = @_;
	my (@run, @out);
	push @run, IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', $text ], '>', \$out[$_], '2>', \my $err, IPC::Run::timeout(60)) for 0 .. $n - 1;
	IPC::Run::finish($_) for @run;
	return @out;
}

# A token is fetched once, and used by all.
$sql->($mock->connect_sql('staff'));
answered('the first call fetches a token', call('staff', 'follow_users'), 'ok 200 1 1');
answered('the next one uses it', call('staff', 'follow_users'), 'ok 200 1 0');
like(call('staff', 'follow_users')->{body}, qr/"follow_user":\["staff1"/, 'and brings what the vendor has');
answered('a body, a window', call('staff', 'behavior', state => '{"partition": "staff1", "window": {"from": "2026-01-01", "to": "2026-01-02"}}'), 'ok 200 1 0');
is($mock->calls($token_path), 1, 'one request for a token so far');
answered('forty calls over one session', call('staff', 'follow_users', times => 40), 'ok 200 40 0');
is($mock->calls($staff), 43, 'each was sent');
my @most = map { $sql->("CALL cdp_internal.call_stream('staff', 'follow_users', times => $_) \\gset\nSELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\\s*([0-9]+)')") } 10, 2000;
cmp_ok($most[1], '<', $most[0] + 1000, 'two thousand calls take no more memory than ten') or diag "@most KiB at most";
note "memory at most, KiB: @most";

# Eight sessions.
$sql->('TRUNCATE cdp_data.connection_token');
$mock->forget(tokens => 1);
$mock->set(token_delay_ms => 500);
my @all = together(8, "CALL cdp_internal.call_stream('staff', 'follow_users')");
is(scalar(grep { /^ok\|/ } @all), 8, 'eight sessions at once are answered');
is($mock->calls($token_path), 1, 'with one token');
$mock->forget;
$mock->rule(path => $staff, expire => 1);
@all = together(8, "CALL cdp_internal.call_stream('staff', 'follow_users', times => 5)");
is(scalar(grep { /^ok\|/ && /"errcode"|/ } @all), 8, 'when the token ends, too');
is($mock->calls($token_path), 1, 'one new one is fetched');
$mock->set(token_delay_ms => 0);

# A token that is not taken.
$mock->forget;
$mock->rule(path => $staff, code => 42001);
answered('a token that is not taken is replaced', call('staff', 'follow_users'), 'ok 200 2 1');
is($mock->calls($token_path), 1, 'by one');
$mock->forget;
$mock->rule(path => $staff, code => 40014, times => 0);
my $row = call('staff', 'follow_users');
answered('once: when the new one is not taken, either, that is it', $row, 'ok 200 2 1');
like($row->{body}, qr/"errcode":40014/, 'the answer is the last one');
$mock->forget(tokens => 1);
$sql->('TRUNCATE cdp_data.connection_token');
$mock->rule(path => $staff, code => 40014, times => 0);
answered('one that this call fetched itself is not replaced at all', call('staff', 'follow_users'), 'ok 200 1 1');

# Wrong secrets.
$mock->forget(tokens => 1);
$sql->('TRUNCATE cdp_data.connection_token');
my $secret = $mock->{set}{secret};
$mock->set(secret => 'another one');
$row = call('staff', 'follow_users');
answered('a wrong secret', $row, 'token_refused - 0 1');
like($row->{detail}, qr/^HTTP 200, code 40001: wrong secret or corpid; it names the address 127\.0\.0\.1$/, 'is told with code, note and the address that the server saw');
cmp_ok($row->{retry_s}, '>', 50, 'and when it may be asked again');
answered('it is not asked about again', call('staff', 'follow_users', times => 5), 'token_refused - 0 0');
@all = together(8, "CALL cdp_internal.call_stream('staff', 'follow_users')");
is($mock->calls($token_path), 1, 'by nobody');
$sql->('TRUNCATE cdp_data.connection_token');
$mock->set(token_delay_ms => 500);
@all = together(8, "CALL cdp_internal.call_stream('staff', 'follow_users')");
is(scalar(grep { /^token_refused\|/ } @all), 8, 'eight sessions at once with a wrong secret');
is($mock->calls($token_path), 2, 'ask once');
$mock->set(token_delay_ms => 0);
is($mock->calls($staff), 0, 'and nothing is sent without');
$mock->set(secret => $secret);
$sql->("SELECT cdp.set_secret('staff', 'corpsecret', '$secret')");
answered('a secret set anew is asked about at once', call('staff', 'follow_users'), 'ok 200 1 1');
for my $fault ([ { code => 45009 }, 'too many requests for tokens' ], [ { status => 503 }, 'a server that is busy' ], [ { reset => 1 }, 'a connection that ends' ]) {
	$sql->('TRUNCATE cdp_data.connection_token');
	$mock->forget;
	$mock->rule(path => $token_path, %{ $fault->[0] });
	answered("$fault->[1]: no token now", call('staff', 'follow_users'), 'token_unavailable - 0 1');
	answered("$fault->[1]: next time there is", call('staff', 'follow_users'), 'ok 200 1 1');
}
$sql->('TRUNCATE cdp_data.connection_token');
$mock->rule(path => $token_path, raw => unpack 'H*', '{"errcode":0,"errmsg":"ok"}');
like(call('staff', 'follow_users')->{detail}, qr/no token at \$\.access_token/, 'an answer without a token is told');

# Every kind of auth.
for my $auth (qw(header basic oauth hmac)) {
	$sql->($mock->connect_sql("shop $auth", product => 'rest', auth => $auth, streams => ['events']));
	$row = call("shop $auth", 'events');
	is(substr(told($row), 0, 8), 'ok 200 1', "let in by $auth");
	$sql->("SELECT cdp.set_secret('shop $auth', s.name, 'wrong' || s.name) FROM cdp_data.connection_secret s JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'shop $auth'");
	$row = call("shop $auth", 'events');
	is($auth eq 'oauth' ? $row->{outcome} : $row->{status}, $auth eq 'oauth' ? 'token_refused' : 401, "not with another secret, by $auth");
}

# OAuth with a refresh token, which the other system exchanges with each token.
my %refresh = (product => 'rest', auth => 'oauth', streams => ['events'], change => { secrets => { token => { required => JSON::PP::true() }, refresh => { required => JSON::PP::true() } },
	auth => { kind => 'oauth_client', path => '/oauth/token', grant => 'refresh_token', client_id => 'mock-client', client_secret => '$secret.token', refresh_token => '$secret.refresh' } });
$sql->($mock->connect_sql('turns', %refresh, connector => 'turns', secrets => { refresh => 'MOCKREFRESHaa' }));
my $kept = sub { $sql->(q{SELECT string_agg(s.envelope, ' ' ORDER BY s.name) || c.revision || c.state FROM cdp_data.connection_secret s JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'turns' GROUP BY c.revision, c.state}) };
my $before = $kept->();
answered('a refresh token brings a token', call('turns', 'events'), 'ok 200 1 1');
is($kept->(), $before, 'one that stays what it is, told again, changes nothing');
$mock->set(refresh_turns => 1);
for my $n (1, 2) {
	$sql->('TRUNCATE cdp_data.connection_token');
	answered("it is exchanged, time $n", call('turns', 'events'), 'ok 200 1 1');
}
is($mock->state->{refresh}, 'MOCKREFRESHac', 'the other system goes on');
isnt($kept->(), $before, 'and so does the connection');
like($kept->(), qr/3shadow$/, 'in its state: what was tested is what it was') or diag $before;
$sql->('TRUNCATE cdp_data.connection_token');
$mock->set(token_delay_ms => 300);
@all = together(8, "CALL cdp_internal.call_stream('turns', 'events')");
is(scalar(grep { /^ok\|\|200/ } @all), 8, 'eight sessions exchange it once');
is($mock->state->{refresh}, 'MOCKREFRESHad', 'indeed');
$mock->set(token_delay_ms => 0);
{ # a run that has begun before another session exchanged it
	$mock->forget;
	$mock->rule(path => '/v1/events', delay_ms => 1500, times => 1);
	my $run = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', "CALL cdp_internal.call_stream('turns', 'events', times => 3)" ], '>', \my $out, '2>', \my $err, IPC::Run::timeout(60));
	$mock->until_state(sub { $_[0]{waiting} });
	$sql->('TRUNCATE cdp_data.connection_token');
	$mock->forget(tokens => 1);
	answered('another session exchanges it', call('turns', 'events'), 'ok 200 1 1');
	$mock->forget(tokens => 1);
	IPC::Run::finish($run);
	like($out, qr/^ok\|\|200/, 'a run that had begun before takes the new one') or diag $err;
}
$sql->('TRUNCATE cdp_data.connection_token');
{
	my $file = PostgreSQL::Test::Utils::tempdir() . '/refresh';
	open my $f, '>', $file or die; print $f $mock->state->{refresh}; close $f; chmod 0600, $file;
	$sql->("SELECT cdp.set_secret_reference('turns', 'refresh', 'file:$file')");
	my ($rc, $out, $err) = $node->psql('postgres', "CALL cdp_internal.call_stream('turns', 'events')");
	like($out, qr/^ok\|/, 'one in a file serves');
	like($err, qr/WARNING:.*secret "refresh" of connection "turns" was exchanged by the other system, and the new one could not be kept/, 'but the next one can not be kept there: told');
}

# What the server tells again.
$sql->('TRUNCATE cdp_data.connection_token');
$mock->forget;
$mock->rule(path => $staff, echo => 1, times => 0);
$row = call('staff', 'follow_users');
like($row->{body}, qr/"echo":".*\*{40}/, 'a token that is told again');
cmp_ok($row->{blanked}, '>=', 1, 'is overwritten');
unlike($row->{body}, qr/MOCK(TOKEN|SECRET|REFRESH)/, 'and not there');
$sql->($mock->connect_sql('shop echo', product => 'rest', streams => ['events']));
$mock->rule(path => '/v1/events', echo => 1, times => 0);
unlike(call('shop echo', 'events')->{body}, qr/MOCK(TOKEN|SECRET|REFRESH)/, 'nor is a fixed one');

# Held while it waits: nothing.
$mock->forget;
$mock->rule(path => $staff, stall => 1);
my $waiting = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', "CALL cdp_internal.call_stream('staff', 'follow_users')" ], '>', \my $o, '2>', \my $e, IPC::Run::timeout(60));
$mock->until_state(sub { $_[0]{waiting} });
is($sql->(q{SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE query LIKE 'CALL cdp_internal.call_stream%' AND pid <> pg_backend_pid()}), 't', 'neither xmin nor xid');
is($sql->(q{SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.query LIKE 'CALL cdp_internal.call_stream%' AND pid <> pg_backend_pid() AND l.locktype <> 'virtualxid'}), '0', 'nor a lock');
my $began = time;
$sql->(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL cdp_internal.call_stream%' AND pid <> pg_backend_pid()});
eval { IPC::Run::finish($waiting) };
diag sprintf 'cancelled within %.0f ms', (time - $began) * 1000;
like($e, qr/canceling statement due to user request/, 'it can be cancelled');
for my $path ($token_path, $staff) {
	$mock->forget;
	$sql->('TRUNCATE cdp_data.connection_token');
	$mock->rule(path => $path, stall => 1);
	like(call('staff', 'follow_users', set => "SET statement_timeout = '400ms';\n")->{error}, qr/57014/, "a timeout of the statement in $path");
}
$mock->forget;
answered('and nothing is left of it', call('staff', 'follow_users'), 'ok 200 1 0');
like(($node->psql('postgres', "BEGIN; CALL cdp_internal.call_stream('staff', 'follow_users')"))[2], qr/can not be called inside a transaction block/, 'not within a transaction block');

# Changed meanwhile: the next call does not go out.
for my $change ([ q{UPDATE cdp_data.connector SET manifest = manifest || '{"title": "Other"}' WHERE connector = 'mock_wecom'}, 'the manifest' ], [ "SELECT cdp.set_secret('staff', 'corpsecret', '$secret')", 'a secret' ]) {
	$mock->forget;
	$mock->rule(path => $staff, delay_ms => 700, times => 0);
	my $run = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', "CALL cdp_internal.call_stream('staff', 'follow_users', times => 5)" ], '>', \my $out, '2>', \my $err, IPC::Run::timeout(60));
	$mock->until_state(sub { $_[0]{waiting} });
	$sql->($change->[0]);
	IPC::Run::finish($run);
	like($err, qr/was changed while it was used/, "$change->[1] is changed: told");
	is($mock->calls($staff), 1, "$change->[1] is changed: nothing more is sent");
}
$mock->forget;

# Hosts of a user's own manifest take the superuser's word, whatever the built-in ones have.
$node->append_conf('postgresql.conf', "cdp.allowed_hosts = ''\n");
$node->reload;
$sql->('TRUNCATE cdp_data.connection_token');
like(call('staff', 'follow_users')->{detail}, qr/^host_refused/, 'a copy of a built-in manifest opens no host');
$node->append_conf('postgresql.conf', MockVendor::conf($mock) . "log_min_messages = debug5\n");
$node->reload;

# Who may.
$sql->('CREATE ROLE stranger LOGIN; GRANT EXECUTE ON PROCEDURE cdp_internal.call_stream(text, text, jsonb, integer, text, text, integer, jsonb, bytea, jsonb) TO stranger; GRANT USAGE ON SCHEMA cdp_internal TO stranger');
like(($node->psql('postgres', "CALL cdp_internal.call_stream('staff', 'follow_users')", extra_params => [ '-U', 'stranger' ]))[2], qr/permission denied to use connection/, 'not who is no member of its owner');
like(($node->psql('postgres', "CALL cdp_internal.call_stream('staff', 'no_stream')"))[2], qr/no stream/, 'a stream that is not there');

# Back with a secret that serves.
$sql->("SELECT cdp.set_secret_from_file('turns', 'refresh', '" . eval { my $path = PostgreSQL::Test::Utils::tempdir() . '/r'; open my $f, '>', $path or die; print $f $mock->state->{refresh}; close $f; chmod 0600, $path; $path } . "')");

# When a call is over neither secret nor token is left in the memory of its session: wiped where it was opened, filled in, sent, read.
# Places of a text in the memory of a process; undef when that may not be read.
sub places {
	my ($process, $text) = @_;
	open my $mem, '<:raw', "/proc/$process/mem" or return undef;
	my $n = 0;
	for (split /\n/, slurp_file("/proc/$process/maps")) {
		my ($from, $to) = /^([0-9a-f]+)-([0-9a-f]+) rw.. \S+ \S+ 0\s*(?:\[|$)/ or next; # without files and shared memory
		sysseek $mem, hex $from, 0 or next;
		sysread $mem, my $bytes, hex($to) - hex $from or next;
		$n++ while $bytes =~ /\Q$text\E/g;
	}
	return $n;
}
$sql->($mock->connect_sql("memory $_", product => 'rest', auth => $_, streams => ['events'], connector => "memory_$_")) for qw(header basic oauth hmac);
for my $connection ('staff', 'turns', map { "memory $_" } qw(header basic oauth hmac)) {
	$sql->('TRUNCATE cdp_data.connection_token');
	$mock->forget(tokens => 1);
	my ($before, $refreshed) = (scalar @{ $mock->state->{tokens} }, $mock->state->{refresh});
	my $script = $node->basedir . '/memory.sql';
	open my $f, '>', $script or die;
	print $f "CALL cdp_internal.call_stream('$connection', '" . ($connection eq 'staff' ? 'follow_users' : 'events') . "', times => 3) \\gset\nSELECT :'outcome', pg_sleep(60) AS memory;\n";
	close $f;
	my $reader = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres') . ' application_name=memory', '-f', $script ], '<', \undef, '>', \my $said, '2>', \my $wrong, IPC::Run::timeout(100));
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'memory' AND wait_event = 'PgSleep'}) or die 'no session';
	my $process = $sql->(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'memory'});
	my @tokens = (@{ $mock->state->{tokens} });
	push @tokens, $mock->state->{refresh}, $refreshed if $connection eq 'turns';
	my ($other, @found) = map { places($process, $_) } 'pg_sleep(60)', $secret, MIME::Base64::encode_base64("mock-client:$secret", ''), @tokens[ $before .. $#tokens ];
	$sql->("SELECT pg_terminate_backend($process)");
	eval { IPC::Run::finish($reader) };
	SKIP: {
		skip 'the memory of a backend may not be read here', 2 if !defined $other;
		cmp_ok($other, '>', 0, "$connection: the memory of a session was read");
		is("@found", join(' ', (0) x @found), "$connection: nothing is left there");
	}
}

# What runs with the rights of the tables' owner finds nothing of the caller's, whatever his search_path.
$sql->(q{CREATE SCHEMA evil;
CREATE FUNCTION evil.spy(jsonb, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'spied as %', current_user; RETURN $1 OPERATOR(pg_catalog.->>) $2; END $$;
CREATE OPERATOR evil.->> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = evil.spy);
CREATE FUNCTION evil.round(numeric, integer) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'spied as %', current_user; RETURN 0; END $$});
my ($rc, $said, $warned) = $node->psql('postgres', "SET search_path = evil, pg_catalog; SELECT '{\"a\": 1}'::jsonb ->> 'a'");
like($warned, qr/spied/, 'an operator of his own');
($rc, $said, $warned) = $node->psql('postgres', "SET search_path = evil, pg_catalog; CALL cdp.sync('staff', 'follow_users'); CALL cdp.test_connection('staff'); CALL cdp_internal.call_stream('staff', 'follow_users'); SHOW search_path");
unlike($warned, qr/spied/, 'is not met by a pull, a test, a call');
like($said, qr/^evil, pg_catalog$/m, 'and his search_path is his again');
is($rc, 0, 'which all succeed') or diag $warned;

# In log at debug level, statistics, activity, dump and files: neither secret nor token, also after failures.
my $mark = -s $node->logfile;
call('staff', 'follow_users', times => 2);
answered('a refresh token read from a file is kept', call('turns', 'events'), 'ok 200 1 1');
$mock->rule(path => $staff, %$_) for { expire => 1 }, { status => 500 }, { reset => 1 }, { echo => 1 };
call('staff', 'follow_users', times => 3) for 1 .. 3;
$mock->set(secret => 'another one');
$sql->('TRUNCATE cdp_data.connection_token');
call('staff', 'follow_users');
my $log = substr slurp_file($node->logfile), $mark;
cmp_ok(length $log, '>', 10000, 'a log at debug level');
unlike($log, qr/MOCK(TOKEN|SECRET|REFRESH)/, 'has neither token nor secret');
$sql->('CHECKPOINT');
command_ok([ 'pg_dumpall', '-f', $node->basedir . '/dump.sql', '-h', $node->host, '-p', $node->port ], 'dumped');
unlike(slurp_file($node->basedir . '/dump.sql'), qr/MOCK(TOKEN|SECRET|REFRESH)/, 'nor has a dump');
my $bad;
find({ no_chdir => 1, wanted => sub { $bad = $_ if -f $_ && slurp_file($_) =~ /MOCK(TOKEN|SECRET|REFRESH)/ } }, $node->data_dir);
is($bad, undef, 'nor any file of the database');
$mock->stop;
$node->stop;
done_testing();
