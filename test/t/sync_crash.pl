# cdp.sync() that dies: kill -9 of its session and immediate stop of the server between and within pages lose nothing and write nothing
# twice; a cancel is 57014 at every stage of a call while the vendor hangs; what waits holds nothing; sessions beside each other fetch one
# token and pull no page twice.
use strict;
use warnings;
use Test::More;
use IPC::Run qw(start finish timeout);
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time sleep);
use CdpTest;
use FaultServer;
use MockVendor;

plan skip_all => 'IO::Socket::SSL is not installed, so no vendor speaks TLS' if !eval { require IO::Socket::SSL::Utils; 1 };
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = cdp_node('sync_crash');
my $mock = MockVendor->new(dir => $dir, contacts => 700, delay_ms => 30);
my $mute = FaultServer->new(dir => $dir, mute => 1);
my ($queue, $full_port, $fill) = FaultServer::full_queue();
my $conf = MockVendor::conf($mock);
$conf =~ s/(127\.0\.0\.1:$mock->{port})/$1, 127.0.0.1:$mute->{port}, 127.0.0.1:$full_port/;
$node->append_conf('postgresql.conf', "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\nrestart_after_crash = on\n$conf");
$node->restart;
my $contacts = '/cgi-bin/externalcontact/batch/get_by_user';
my $login = '/cgi-bin/gettoken';
my $pages = 21;
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub connection { my ($name, %option) = @_; sql($mock->connect_sql($name, connector => 'mock_' . ($name =~ s/\W+/_/gr), streams => [qw(follow_users contacts)], %option)) }

# A session that runs so; {out}, {err}, {run}.
sub session {
	my ($text, $app) = @_;
	my $s = { out => '', err => '' };
	open my $f, '>', "$dir/$app.sql" or die $!; print $f "$text\n"; close $f;
	$s->{run} = start([ 'psql', '-qXAt', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres') . " application_name=$app", '-f', "$dir/$app.sql" ], '<', \undef, '>', \$s->{out}, '2>', \$s->{err}, timeout(180));
	return $s;
}
sub pid_of { return sql("SELECT pid FROM pg_stat_activity WHERE application_name = '$_[0]'") }
sub ended { my $s = shift; eval { finish $s->{run} }; return $s }

# What stands: records as the vendor has them, each in its first revision, and no page twice.
sub whole {
	my ($name, $what) = @_;
	local $ENV{PGCLIENTENCODING} = 'SQL_ASCII';
	my $json = JSON::PP->new->canonical;
	my $where = "JOIN cdp_data.connection c USING (connection_id) JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE c.name = '$name' AND s.name = 'contacts'";
	my $got = join "\n", sort map { $json->encode($json->decode($_)) } split /\n/, sql("SELECT payload FROM cdp_data.raw_record r $where");
	ok($got eq join("\n", sort map { $json->encode($json->decode(MockVendorData::utf8_of($_))) } MockVendorData::contacts($mock->{set})), "$what: every contact as the vendor has it");
	is(sql("SELECT count(*) FILTER (WHERE r.revision > 1), (SELECT count(*) FROM cdp_data.raw_record_history) FROM cdp_data.raw_record r $where"), '0|0', "$what: none was written twice");
	is(sql("SELECT count(*), count(DISTINCT p.asked), bool_and(p.problem IS NULL) FROM cdp_data.raw_page p $where AND p.verb = 'ok'"), "$pages|$pages|t", "$what: $pages pages");
}

# ---- kill -9 of the session: the server goes through recovery, the next run goes on
connection('killed');
my $kills = 0;
for my $after (1, 2, 4, 7) {
	$mock->forget;
	my $s = session("CALL cdp.sync('killed')", 'dying');
	$mock->until_state(sub { ($_[0]{calls}{$contacts} // 0) >= $after });
	sleep rand 0.03;
	my $pid = pid_of('dying');
	kill 'KILL', $pid;
	$kills++;
	ended($s);
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
}
$mock->forget;
is(sql("CALL cdp.sync('killed'); SELECT outcome FROM cdp_data.sync_run ORDER BY run_id DESC LIMIT 1") =~ /(\w+)$/ ? $1 : '', 'ok', 'after four deaths');
whole('killed', 'kill -9');
is(sql("SELECT count(*) FROM cdp_data.sync_run WHERE outcome = 'died'"), $kills, 'runs that died are told');
is(sql("SELECT count(*) FROM cdp_data.sync_run WHERE finished_at IS NULL"), 0, 'and closed');

# ---- immediate stop of the server
connection('stopped');
for my $after (2, 6) {
	$mock->forget;
	my $s = session("CALL cdp.sync('stopped')", 'stopping');
	$mock->until_state(sub { ($_[0]{calls}{$contacts} // 0) >= $after });
	sleep rand 0.03;
	$node->stop('immediate');
	ended($s);
	$node->start;
}
sql("CALL cdp.sync('stopped')");
whole('stopped', 'immediate stop');

# ---- ended by pg_terminate_backend() and by a cancel in the middle
connection('ended');
for my $how ('pg_terminate_backend', 'pg_cancel_backend') {
	$mock->forget;
	my $s = session("CALL cdp.sync('ended')", 'ending');
	$mock->until_state(sub { ($_[0]{calls}{$contacts} // 0) >= 3 });
	sql("SELECT $how(pid) FROM pg_stat_activity WHERE application_name = 'ending'");
	ended($s);
	like($s->{err}, qr/57P01|57014/, "$how ends it");
}
is(sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0, 'no lock is left');
sql("CALL cdp.sync('ended')");
whole('ended', 'ended');

# ---- what waits holds nothing, and is cancelled at once, at every stage
sub waits {
	my ($name, $what, $ready) = @_;
	my $s = session("CALL cdp.sync('$name');\nSELECT 'alive';", 'waiting');
	$ready ? $mock->until_state($ready) : ($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waiting' AND wait_event_type IN ('Extension', 'Timeout') AND query LIKE 'CALL%'}) or die "it does not wait: $s->{err}");
	sleep 0.3;
	my $pid = pid_of('waiting');
	is(sql("SELECT backend_xmin IS NULL, backend_xid IS NULL, (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND locktype NOT IN ('virtualxid', 'advisory')) FROM pg_stat_activity a WHERE pid = $pid"), 't|t|0', "$what: neither xmin nor transaction nor lock of a table");
	my $t = time;
	kill 'INT', $pid;
	$s->{run}->pump while $s->{out} !~ /alive/ && $s->{run}->pumpable;
	my $took = time - $t;
	ended($s);
	like($s->{err}, qr/57014/, "$what: cancelled");
	cmp_ok($took, '<', 5, "$what: at once");
	diag sprintf '%s: %.1f ms from the signal to the answer of the next statement', $what, $took * 1000;
	is(sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0, "$what: no lock is left");
}
my %stage = (
	'waiting for a token' => { path => $login, stall => 1 },
	'waiting for a page' => { path => $contacts, skip => 2, stall => 1 },
	'within a page' => { path => $contacts, skip => 1, half => 1 },
	'before it asks again' => { path => $contacts, status => 503, headers => { 'Retry-After' => 50 }, times => 0 });
for my $what (sort keys %stage) {
	connection($what);
	sql('DELETE FROM cdp_data.connection_token');
	$mock->forget(tokens => 1);
	$mock->rule(times => 0, %{ $stage{$what} });
	waits($what, $what, $stage{$what}{stall} ? sub { $_[0]{waiting} } : sub { ($_[0]{calls}{$contacts} // 0) > ($stage{$what}{skip} // 0) });
}
$mock->forget(tokens => 1);
connection('connects', change => { base_url => "https://127.0.0.1:$full_port" });
waits('connects', 'waiting for a connection');
connection('greets', change => { base_url => "https://127.0.0.1:$mute->{port}" });
waits('greets', 'in the TLS handshake');
my $s = ended(session("SET statement_timeout = '400ms';\nCALL cdp.sync('greets');", 'limited'));
like($s->{err}, qr/57014.*statement timeout/s, 'statement_timeout holds');
like(($node->psql('postgres', "\\set VERBOSITY verbose\nBEGIN; CALL cdp.sync('ended')"))[2], qr/2D000|25001/, 'not in a transaction block');

# ---- eight sessions
connection("app $_", connector => 'mock_app') for 1 .. 8;
sql('DELETE FROM cdp_data.connection_token');
$mock->forget(tokens => 1);
$mock->set(token_delay_ms => 700, contacts => 100);
my @all = map { session("CALL cdp.sync('app $_')", "app$_") } 1 .. 8;
is(join('', map { ended($_)->{err} } @all), '', 'eight connections of one app at once');
is($mock->calls($login), 1, 'one token');
is(sql("SELECT count(*) FROM cdp_data.raw_record r JOIN cdp_data.connection c USING (connection_id) JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE c.name LIKE 'app %' AND s.name = 'contacts'"), 2400, 'and everything of each');

connection('wrong', secrets => { corpsecret => 'another' });
$mock->forget;
@all = map { session("CALL cdp.sync('wrong')", "wrong$_") } 1 .. 8;
ended($_) for @all;
cmp_ok($mock->calls($login), '<=', 2, 'a wrong secret in eight sessions: at most two calls');
is($mock->calls($contacts), 0, 'and none without a token');

$mock->set(token_delay_ms => 0, contacts => 700);
connection('one');
$mock->forget;
@all = map { session("CALL cdp.sync('one')", "one$_") } 1 .. 8;
ended($_) for @all;
whole('one', 'eight sessions on one connection');
is($mock->calls($contacts), $pages, 'no page was asked twice');
is(sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0, 'no lock is left');

$_->stop for $mock, $mute;
$node->stop;
done_testing();
