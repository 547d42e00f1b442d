# cdp.sync() against a vendor that misbehaves as vendors do: what lands, what is known of each day, and which calls were made.
# Each scenario is a connection of its own to one mock vendor over TLS.
use strict;
use warnings;
use Test::More;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);
use CdpTest;
use MockVendor;

plan skip_all => 'IO::Socket::SSL is not installed, so no vendor speaks TLS' if !eval { require IO::Socket::SSL::Utils; 1 };
my $node = cdp_node('sync_scenario');
my $mock = MockVendor->new(dir => PostgreSQL::Test::Utils::tempdir());
my %first = %{ $mock->{set} };
$node->append_conf('postgresql.conf', MockVendor::conf($mock));
$node->reload;
my $json = JSON::PP->new->canonical->allow_nonref;
my $name = '';
my $contacts = '/cgi-bin/externalcontact/batch/get_by_user';
my $behavior = '/cgi-bin/externalcontact/get_user_behavior_data';
my $login = '/cgi-bin/gettoken';
sub sql { return $node->safe_psql('postgres', $_[0]) }

# A new scenario: the vendor as at first, a connection of this name, no token.
sub scenario {
	my ($new, %option) = @_;
	$name = $new;
	$mock->forget(tokens => 1);
	$mock->set(%first, %{ delete $option{set} // {} });
	sql('DELETE FROM cdp_data.connection_token');
	sql($mock->connect_sql($name, connector => 'mock_' . ($new =~ s/\W+/_/gr), %option));
	note $name;
}
# One run of the connection; its outcome, or the error.
sub run {
	my (%option) = @_;
	my $given = join ', ', "'$name'", map { "$_ => '$option{$_}'" } sort keys %option;
	my ($rc, $out, $err) = $node->psql('postgres', "CALL cdp.sync($given)");
	return $rc ? $err : sql("SELECT outcome FROM cdp_data.sync_run ORDER BY run_id DESC LIMIT 1");
}
sub records { my ($stream) = @_; return sql("SELECT count(*) FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) JOIN cdp_data.connection c USING (connection_id) WHERE c.name = '$name' AND s.name = '$stream' AND r.gone_at IS NULL") }
sub landed { my ($stream) = @_; local $ENV{PGCLIENTENCODING} = 'SQL_ASCII'; return join "\n", sort map { $json->encode($json->decode($_)) } split /\n/, sql("SELECT r.payload FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) JOIN cdp_data.connection c USING (connection_id) WHERE c.name = '$name' AND s.name = '$stream' AND r.gone_at IS NULL") }
# Every record as the vendor has it; else how many there are, and the first that differ.
sub same {
	my ($what, $stream, @expected) = @_;
	my ($got, $expected) = (landed($stream), join "\n", sort map { $json->encode($json->decode(MockVendorData::utf8_of($_))) } @expected);
	return 1 if ok($got eq $expected, $what);
	my (%got, %expected);
	@got{ split /\n/, $got } = ();
	@expected{ split /\n/, $expected } = ();
	my @missing = grep { !exists $got{$_} } sort keys %expected;
	my @more = grep { !exists $expected{$_} } sort keys %got;
	diag sprintf "%d landed, %d expected; missing %d: %s; more %d: %s", scalar keys %got, scalar keys %expected, scalar @missing, $missing[0] // '', scalar @more, $more[0] // '';
	return 0;
}
sub days { my ($stream) = @_; return sql("SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT k.state, count(*) AS n FROM cdp_data.coverage k JOIN cdp_data.stream s USING (connection_id, stream_id) JOIN cdp_data.connection c USING (connection_id) WHERE c.name = '$name' AND s.name = '$stream' GROUP BY 1) x") }
sub asked { return join ' ', map { $mock->calls($_) } @_ }
sub calls { return sql("SELECT string_agg(verb || coalesce(' ' || code, ''), ', ' ORDER BY call_id) FROM cdp_data.sync_call k JOIN cdp_data.connection c USING (connection_id) WHERE c.name = '$name' AND verb <> 'ok'") }
# What makes it wait is over.
sub stop_waiting { sql("UPDATE cdp_data.sync_breaker SET open_until = now() - interval '1 second'; UPDATE cdp_data.stream_part SET skipped_at = NULL") }
my @some = qw(follow_users contacts);
my $all = sub { MockVendorData::contacts($mock->{set}) };

# ---- all is well
scenario('well', streams => \@some);
is(run(), 'ok', 'a whole run');
same('every contact', 'contacts', $all->());
is(asked($login, $contacts), '1 4', 'one token, 360 contacts in four pages');
is(run(), 'ok', 'again at once');
is(asked($login, $contacts), '1 4', 'asks nothing, for nothing is due');

# ---- a token expires between two pages
scenario('token expires', streams => \@some);
$mock->rule(path => $contacts, skip => 2, expire => 1);
is(run(), 'ok', 'a token that expires between two pages');
same('loses nothing', 'contacts', $all->());
is(asked($login, $contacts), '2 5', 'one more token, one more call');
is(calls(), 'reauth_once 42001', 'which the log tells');

scenario('token gone', streams => ['follow_users']);
is(run(), 'ok', 'a connection has a token');
sql($mock->connect_sql('token gone 2', connector => 'mock_token_gone_2', streams => \@some));
$mock->forget(tokens => 1);
$name = 'token gone 2';
is(run(), 'ok', 'which is no good any more for the first page of another one of its app');
same('loses nothing', 'contacts', $all->());
is(asked($login, $contacts), '1 4', 'one more token');

scenario('token never good', streams => \@some);
$mock->rule(path => $contacts, code => 40014, times => 0);
is(run(), 'failed', 'tokens that never serve');
is(asked($login, $contacts), '2 2', 'are tried twice, not for ever');

# ---- a wrong secret
scenario('wrong secret', streams => \@some, secrets => { corpsecret => 'another' });
is(run(), 'failed', 'a wrong secret');
run() for 1 .. 3;
cmp_ok(asked($login), '<=', 2, 'is told at most twice, however often one tries');
is(asked($contacts), 0, 'and nothing else is asked');
is(sql("SELECT standing FROM cdp_bi.integration_status WHERE connection = '$name'"), '{all}', 'the connection stands still');

# ---- too many calls
scenario('park', streams => \@some);
$mock->rule(path => $contacts, skip => 1, code => 45009);
my $before = time;
is(run(), 'waits', 'a quota that is used up');
cmp_ok(time - $before, '<', 20, 'a stream that is parked makes nobody wait');
is(records('contacts'), 100, 'what came before stays');
run() for 1 .. 2;
is(asked($contacts), 2, 'nothing is asked while it is blocked');
stop_waiting();
is(run(), 'ok', 'afterwards');
same('it goes on', 'contacts', $all->());
is(asked($contacts), 5, 'where it was');

# ---- busy: -1, 503
scenario('busy', streams => \@some);
$mock->rule(path => $contacts, code => -1, times => 2);
$before = time;
is(run(), 'ok', 'busy twice');
cmp_ok(time - $before, '>=', 3, 'asked again after one second, then two');
same('loses nothing', 'contacts', $all->());
is(asked($contacts), 6, 'two more calls');

scenario('later', streams => \@some);
$mock->rule(path => $contacts, status => 503, headers => { 'Retry-After' => 2 });
$before = time;
is(run(), 'ok', '503 with Retry-After');
cmp_ok(time - $before, '>=', 2, 'waits so long');
same('loses nothing', 'contacts', $all->());

scenario('busy for good', streams => \@some);
$mock->rule(path => $contacts, code => -1, times => 0);
is(run(), 'failed', 'busy for good');
is(asked($contacts), 4, 'asked three times more');
is(records('follow_users'), 3, 'what else there is lands');

# ---- cursors
scenario('cursor goes on', streams => \@some);
$mock->rule(path => $contacts, skip => 2, close => 1, times => 0);
is(run(), 'failed', 'a vendor that closes connections');
is(records('contacts'), 200, 'two pages landed');
$mock->forget;
stop_waiting();
is(run(), 'ok', 'then it is well again');
same('all is there', 'contacts', $all->());
is(asked($contacts), 2, 'by the pages that were missing');

scenario('cursor expires', streams => ['contact_list'], set => { contacts => 200 });
my $list = '/cgi-bin/externalcontact/contact_list';
$mock->rule(path => $list, skip => 2, close => 1, times => 0);
is(run(), 'failed', 'the same with cursors that expire');
$mock->forget;
$mock->set(cursors => 2);
stop_waiting();
is(run(), 'ok', 'then it is well again');
is(records('contact_list'), 600, 'all is there');
is(scalar(grep { $_->{body} =~ /x1-/ } $mock->log), 0, 'an old cursor was never sent');
is(asked($list), 6, 'the pull began anew');

# ---- zeros that mean nothing yet
my @recent = map { MockVendorData::beijing_day(time - $_ * 86400) } 1 .. 2;
scenario('zeros', streams => [qw(follow_users behavior)], set => { staff => 1 });
is(run(), 'ok', 'half a year of figures');
is(days('behavior'), 'final 177, provisional 3', 'of which the last three days may change');
# The last two days as if nobody had asked for them yet, and the vendor had not counted them.
sql("DELETE FROM cdp_data.coverage WHERE day IN ('$recent[0]', '$recent[1]'); DELETE FROM cdp_data.raw_record WHERE ref_date IN ('$recent[0]', '$recent[1]')");
$mock->set(zero_days => \@recent);
is(run(), 'ok', 'figures that are not counted yet');
is(days('behavior') =~ /suspect_zero 2/ ? 'doubted' : days('behavior'), 'doubted', 'days of zeros beside days of figures are doubted');
sql("UPDATE cdp_data.coverage SET zero_at = zero_at - interval '2 hours', checked_at = checked_at - interval '2 hours' WHERE state = 'suspect_zero'; UPDATE cdp_data.raw_record SET zero_at = zero_at - interval '2 hours' WHERE zero_at IS NOT NULL");
$mock->set(zero_days => []);
is(run(), 'ok', 'an hour later');
unlike(days('behavior'), qr/suspect/, 'they are there');
is(sql("SELECT count(*) FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) JOIN cdp_data.connection c USING (connection_id) WHERE c.name = '$name' AND s.name = 'behavior' AND (payload ->> 'chat_cnt')::int = 0"), 0, 'and no zero is left');

# ---- the vendor says that it is late
scenario('late', product => 'wechat_oa', streams => ['article_read'], set => { late_days => [ $recent[0] ] });
run();
unlike(sql("SELECT string_agg(k.state || k.day, ' ') FROM cdp_data.coverage k JOIN cdp_data.connection c USING (connection_id) WHERE c.name = '$name' AND k.day = '$recent[0]'"), qr/provisional|final/, 'is_delay: the day is not there');
like(days('article_read'), qr/final \d+/, 'others are');

# ---- errcode as text, JSON within a text, bodies that JSON does not allow
scenario('texts', streams => \@some, set => { text_code => 1 });
is(run(), 'ok', 'errcode "0" is well');
same('all is there', 'contacts', $all->());
scenario('dirty', streams => \@some, set => { dirty => 1 });
is(run(), 'ok', 'control characters and a byte order mark');
is(records('contacts'), 360, 'lose no record');
scenario('dashboard', product => 'wechat_channels', streams => [qw(dashboard_lives dashboard)]);
is(run(), 'ok', 'JSON within a text');
like(sql("SELECT DISTINCT jsonb_typeof(payload -> 'live_dashboard_data') FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = 'dashboard'"), qr/^object$/, 'is read');

# ---- slow
scenario('slow', streams => \@some);
$mock->rule(path => $contacts, skip => 1, delay_ms => 3000);
is(run(), 'ok', 'a slow answer');
same('is waited for', 'contacts', $all->());
scenario('deadline', streams => \@some, set => { delay_ms => 400 });
$before = time;
is(run(deadline => '1 s'), 'waits', 'a deadline');
cmp_ok(time - $before, '<', 6, 'a run ends at its deadline');
cmp_ok(asked($contacts), '<', 4, 'before all was asked');
is(run(), 'ok', 'the next one');
same('goes on', 'contacts', $all->());
is(asked($contacts), 4, 'without asking twice');

scenario('long window', product => 'rest', streams => ['orders'], set => { orders => 100, delay_ms => 150 });
run(deadline => '1 s');
is(records('orders'), 1000, 'a window of days that takes longer than the deadline is pulled to its end');
like(days('orders'), qr/^final \d, provisional \d$/, 'and its days are there');

# ---- redirects
my $other = MockVendor->new(dir => PostgreSQL::Test::Utils::tempdir());
for my $to ('http://169.254.169.254/latest/meta-data/', "$other->{base}/steal", "http://127.0.0.1:$other->{port}/steal", "http://[::ffff:127.0.0.1]:$other->{port}/", "https://localhost:$mock->{port}/other") {
	scenario("redirect $to", streams => \@some);
	$mock->rule(path => $contacts, redirect => $to, times => 0);
	is(run(), 'failed', "a redirect to $to");
}
is($other->state->{connections}, 0, 'nobody followed one');
is($mock->calls('/other'), 0, 'nor to another name of the same server');

# ---- what the app may not see; too large a question
scenario('outside', streams => \@some);
$mock->rule(path => '/cgi-bin/externalcontact/get_follow_user_list', raw => unpack 'H*', '{"errcode":0,"follow_user":["staff1","staff2","staff3","nobody"]}');
run();
is(records('contacts'), 360, 'one member of staff whom nobody knows takes no other along');
scenario('split', streams => \@some);
$mock->rule(path => $contacts, has => '"staff1","staff2","staff3"', code => 81017, times => 0);
is(run(), 'ok', 'too many at once');
same('are asked in parts', 'contacts', $all->());

# ---- one that can not be had keeps nobody from the others
scenario('one fails', streams => [qw(follow_users lives)], set => { staff => 5 });
my $lives = '/cgi-bin/living/get_user_all_livingid';
$mock->rule(path => $lives, has => '"staff1"', code => 99999, times => 0);
is(run(), 'failed', 'a partition that the vendor does not know what to say about');
is(records('lives'), 4, 'the others are there');
run() for 1 .. 2;
is(scalar(grep { $_->{path} eq $lives && $_->{body} =~ /"staff1"/ } $mock->log), 1, 'it is not asked for again at once');
scenario('all fail', streams => [qw(follow_users lives)], set => { staff => 9 });
$mock->rule(path => $lives, code => 99999, times => 0);
is(run(), 'failed', 'three in a row');
is(asked($lives), 3, 'are the stream');

# ---- what the app may not call is not the connection
scenario('rights', streams => [qw(acquisition_links contact_list contact_ways follow_users)]);
$mock->rule(path => $_, code => 48002, times => 0) for '/cgi-bin/externalcontact/customer_acquisition/list_link', '/cgi-bin/externalcontact/contact_list';
for (1 .. 6) { run(); stop_waiting() }
is(records('follow_users') . ' ' . records('contact_ways'), '3 3', 'two streams without rights keep the others from nothing');
is(sql("SELECT state FROM cdp_data.connection WHERE name = '$name'"), 'shadow', 'and suspend nothing');
scenario('no rights at all', streams => [qw(contact_ways follow_users)]);
$mock->rule(code => 48002, times => 0, path => $_) for '/cgi-bin/externalcontact/get_follow_user_list', '/cgi-bin/externalcontact/list_contact_way';
for (1 .. 5) { run(); stop_waiting() }
is(sql("SELECT state FROM cdp_data.connection WHERE name = '$name'"), 'suspended', 'an app that may call nothing is suspended');
$mock->forget;
sql("SELECT cdp.resume_connection('$name', 'rights were given')");
is(run(), 'ok', 'and begins anew when it is resumed');

# ---- a network that is gone
scenario('network', streams => \@some, change => { base_url => 'https://127.0.0.1:1' });
sql("ALTER SYSTEM SET cdp.allowed_hosts = '127.0.0.1:$mock->{port}, 127.0.0.1:1'; SELECT pg_reload_conf()");
for (1 .. 6) { run(); stop_waiting() }
is(sql("SELECT state FROM cdp_data.connection WHERE name = '$name'"), 'shadow', 'suspends nobody');
sql('ALTER SYSTEM RESET cdp.allowed_hosts; SELECT pg_reload_conf()');

# ---- all connections: one that can not be opened keeps nobody from the others
sql("UPDATE cdp_data.connection SET state = 'suspended', suspended_from = 'shadow' WHERE state IN ('shadow', 'live', 'degraded')");
scenario('broken', streams => ['follow_users']);
sql("SELECT cdp.drop_secret('broken', 'corpsecret')");
scenario('behind', streams => ['follow_users']);
my $due = sub { return ($node->psql('postgres', 'CALL cdp.sync_due()'))[2] };
my @said = map { $due->() } 1 .. 2;
is(records('follow_users'), 3, 'two calls of sync_due(): the one behind it is pulled');
unlike($due->(), qr/ERROR/, 'and it stands still for a while');
is(sql("SELECT count(*) FROM cdp_bi.sync_run WHERE connection = 'broken'"), 2, 'its runs are told');
sql("SELECT cdp.set_secret('broken', 'corpsecret', '$mock->{set}{secret}')");
$due->();
$name = 'broken';
is(records('follow_users'), 3, 'until it is mended');

# ---- other ways in
for my $auth (qw(header basic oauth hmac)) {
	scenario("shop $auth", product => 'rest', auth => $auth);
	is(run(), 'ok', "a shop with $auth");
	same("its events by $auth", 'events', map { MockVendorData::event($_) } 1 .. 250);
}
is(records('visits'), 30, 'figures by day');
is(records('orders'), 200, 'orders by day');

# ---- nobody keeps what a vendor repeats
scenario('echo', streams => \@some);
$mock->rule(path => $contacts, echo => 1, times => 0);
is(run(), 'ok', 'a vendor that repeats what it was sent');
for my $token (@{ $mock->state->{tokens} }) {
	is(sql("SELECT count(*) FROM cdp_data.raw_page WHERE position('$token'::bytea IN body) > 0 OR headers::text LIKE '%$token%'"), 0, 'no page has a token') or last;
}
$_->stop for $mock, $other;
done_testing();
