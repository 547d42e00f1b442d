# Random faults of a vendor, random deadlines, cancels and deaths of sessions: whatever happened on the way, when the vendor is well again
# cdp.sync() ends with the records and days of a connection that met no fault. CDP_SEED and CDP_ROUNDS repeat or lengthen it.
use strict;
use warnings;
use Test::More;
use IPC::Run qw(start finish timeout);
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep);
use CdpTest;
use MockVendor;

plan skip_all => 'IO::Socket::SSL is not installed, so no vendor speaks TLS' if !eval { require IO::Socket::SSL::Utils; 1 };
my ($seed, $rounds) = ($ENV{CDP_SEED} // 7, $ENV{CDP_ROUNDS} // 3);
my $node = cdp_node('sync_random');
my $mock = MockVendor->new(dir => PostgreSQL::Test::Utils::tempdir());
$node->append_conf("postgresql.conf", MockVendor::conf($mock) . "restart_after_crash = on\n");
$node->restart;
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub one_of { return $_[ rand @_ ] }
# What parks and breakers make wait is over.
sub time_passes { sql("UPDATE cdp_data.sync_breaker SET open_until = now() - interval '1 second' WHERE open_until > now(); UPDATE cdp_data.connection_token SET retry_at = now() WHERE retry_at > now(); UPDATE cdp_data.stream_part SET skipped_at = NULL; UPDATE cdp_data.coverage SET checked_at = checked_at - interval '2 hours' WHERE state = 'missing'") }
my @streams = qw(follow_users contacts contact_list behavior groupchats groupchat_members contact_ways contact_way service_messages live_viewers lives);
my @paths = map { "/cgi-bin/$_" } qw(gettoken externalcontact/get_follow_user_list externalcontact/batch/get_by_user externalcontact/contact_list externalcontact/get_user_behavior_data externalcontact/groupchat/list
	externalcontact/groupchat/get externalcontact/list_contact_way externalcontact/get_contact_way kf/sync_msg living/get_watch_stat);
sub fault {
	my $path = one_of(@paths);
	my @what = ({ code => -1 }, { code => 6000 }, { expire => 1 }, { code => 45009 }, { code => 45033 }, { status => 503, headers => { 'Retry-After' => 1 } }, { status => 429 }, { status => 500 }, { truncate => 1 }, { close => 1 }, { reset => 1 },
		{ raw => 'fffe00' }, { raw => unpack 'H*', '{"errcode":0' }, { delay_ms => 300 }, { redirect => 'https://example.org/' }, { code => 40014 });
	return { path => $path, skip => int rand 6, times => 1 + int rand 3, %{ one_of(@what) } };
}
# Everything that is known of a connection, in words that do not depend on when and how.
sub known {
	my ($name) = @_;
	return sql(qq{
		SELECT 'record ' || s.name || ' ' || r.record_key || ' ' || coalesce(r.ref_date::text, '-') || ' ' || md5(r.payload::text) FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) JOIN cdp_data.connection c USING (connection_id) WHERE c.name = '$name' AND r.gone_at IS NULL
		UNION ALL SELECT 'day ' || s.name || ' ' || k.part || ' ' || k.day || ' ' || k.state || ' ' || k.records FROM cdp_data.coverage k JOIN cdp_data.stream s USING (connection_id, stream_id) JOIN cdp_data.connection c USING (connection_id) WHERE c.name = '$name'
		UNION ALL SELECT 'refused ' || f.code || ' ' || f.payload FROM cdp_data.raw_refused f JOIN cdp_data.connection c USING (connection_id) WHERE c.name = '$name' ORDER BY 1});
}

for my $round (1 .. $rounds) {
	srand $seed * 1000 + $round;
	my %vendor = (staff => 1 + int rand 3, contacts => 20 + int rand 200, page => 10 + int rand 60, groups => 1 + int rand 3, messages => int rand 120, lives => 1 + int rand 2);
	$mock->forget(tokens => 1);
	$mock->set(%{ MockVendorData::defaults() }, %vendor);
	for my $name ("clean $round", "faulty $round") {
		sql($mock->connect_sql($name, connector => 'mock_' . ($name =~ s/\W/_/gr), streams => \@streams, config => { open_kfids => [ 'wkMOCK1', 'wkMOCK2' ] }));
	}
	sql("CALL cdp.sync('clean $round')");
	my @fault = map { fault() } 1 .. 4 + int rand 12;
	$mock->rule(%$_) for @fault;
	my $how = '';
	for my $run (1 .. 8) {
		my ($out, $err) = ('', '');
		my $deadline = one_of('1 s', '3 s', '10 min');
		my $session = start([ 'psql', '-qXAt', '-d', $node->connstr('postgres') . ' application_name=faulty', '-c', "CALL cdp.sync('faulty $round', deadline => '$deadline')" ], '<', \undef, '>', \$out, '2>', \$err, timeout(180));
		if (rand() < 0.5) {
			sleep rand 1;
			my $end = one_of('pg_cancel_backend', 'pg_terminate_backend', 'kill');
			my $pid = sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'faulty'");
			if ($end eq 'kill' && $pid) { kill 'KILL', $pid; $node->poll_query_until('postgres', 'SELECT true') }
			elsif ($pid) { sql("SELECT $end($pid)") }
			$how .= " $end";
		}
		eval { finish $session };
		time_passes();
		my $state = sql("SELECT state FROM cdp_data.connection WHERE name = 'faulty $round'");
		sql("SELECT cdp.resume_connection('faulty $round', 'test')") if $state eq 'suspended';
	}
	$mock->forget;
	for (1 .. 3) { sql("CALL cdp.sync('faulty $round')"); time_passes() }
	my ($clean, $faulty) = (known("clean $round"), known("faulty $round"));
	cmp_ok(length $clean, '>', 1000, "round $round: there is something");
	is($faulty, $clean, "round $round of seed $seed: as without faults, after" . join(', ', map { my $f = $_; join ' ', map { "$_=" . (ref $f->{$_} ? '' : $f->{$_}) } sort keys %$f } @fault) . $how) or last;
	is(sql("SELECT count(*) FROM cdp_data.raw_record r JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'faulty $round' AND r.revision > 1"), 0, "round $round: nothing was written twice");
}
is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, 'no lock is left');
is(sql('SELECT count(*) FROM cdp_data.sync_run WHERE finished_at IS NULL'), 0, 'no run is left open');
$mock->stop;
$node->stop;
done_testing();
