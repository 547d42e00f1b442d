# Crash: the server dies by kill -9 amid a run of segments, before its commit and at any moment of traffic. Nothing is left
# calculating: the next tick goes on from the last run that was committed, and an audit finds nothing.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = cdp_node('segment_crash');
$node->append_conf('postgresql.conf', "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\nrestart_after_crash = on\n");
$node->restart;
fill($node, 'postgres', 1000);
$node->safe_psql('postgres', q{
	SELECT cdp.create_segment('buyers', 'count("purchase" last 20 days) >= 2', 'service'), cdp.create_segment('idle', 'not did("click" last 3 days)', 'service'),
	  cdp.create_segment('cart', 'seq("click" -> "purchase" within 2 days; last 20 days)', 'service'), cdp.create_segment('both', 'segment buyers and not segment idle', 'service');
	SELECT cdp.segment_tick('2026-03-10');
	SELECT cdp.add_destination('desk', 'service'), cdp.create_activation('buyers', 'buyers', 'desk'), cdp.create_activation('idle', 'idle', 'desk'), cdp.create_activation('cart', 'cart', 'desk');
	SELECT * FROM cdp.sync_activations()});
# Whom destinations were told of, by the messages, against who is in: nobody twice, nobody forgotten. The job tells of those whom a
# call kept busy during a run.
sub told {
	$node->safe_psql('postgres', 'SELECT count(*) FROM cdp.sync_activations()');
	return $node->safe_psql('postgres', q{
		SELECT a.name, count(*) FROM cdp_data.activation a JOIN cdp_data.segment s USING (segment_id)
		  CROSS JOIN LATERAL (SELECT o.customer_id, sum(CASE o.kind WHEN 'audience_add' THEN 1 ELSE -1 END) AS n FROM cdp_data.outbox o WHERE o.dedup_key LIKE 'activation ' || a.activation_id || ' %' AND o.state <> 'cancelled' GROUP BY 1) o
		  FULL JOIN cdp_bi.segment_member m ON m.segment_id = a.segment_id AND m.customer_id = o.customer_id
		WHERE coalesce(o.n, 0) <> CASE WHEN m.customer_id IS NULL THEN 0 ELSE 1 END AND (a.name IS NOT NULL OR m.segment IN ('buyers', 'idle', 'cart')) GROUP BY 1});
}
my $timer = IPC::Run::timeout(300);

# Kills the postmaster, waits until its processes are gone, starts it again.
sub crash {
	my @left = split /\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity');
	$node->kill9;
	for (1 .. 600) {
		last unless grep { kill 0, $_ } @left;
		usleep(100_000);
	}
	$node->start;
}

# What runs write.
sub found {
	return $node->safe_psql('postgres', q{
		SELECT (SELECT string_agg(c::text, ' ' ORDER BY c.segment_id, c.chunk) FROM cdp_data.segment_chunk c), (SELECT string_agg(t::text, ' ' ORDER BY t.transition_id) FROM cdp_data.segment_transition t),
		  (SELECT string_agg(r::text, ' ' ORDER BY r.run_id) FROM cdp_data.segment_run r), (SELECT c::text FROM cdp_data.segment_clock c), (SELECT string_agg(f::text, ' ' ORDER BY f.customer_id) FROM cdp_data.segment_flip f),
		  (SELECT string_agg(s::text, ' ' ORDER BY s.segment_id) FROM cdp_data.segment_state s), (SELECT string_agg(c::text, ' ' ORDER BY c.consumer) FROM cdp_data.feed_cursor c),
		  (SELECT string_agg(o::text, ' ' ORDER BY o.outbox_id) FROM cdp_data.outbox o), (SELECT string_agg(m::text, ' ' ORDER BY m.sequence) FROM cdp_data.activation_member m), (SELECT string_agg(a::text, ' ' ORDER BY a.activation_id) FROM cdp_data.activation a)});
}

my $before = found();
for my $kind ('segment_tick', 'evaluate_segments', 'audit_segments') {
	$node->safe_psql('postgres', qq{SELECT cdp.track('shop', 'purchase', '{"email": "person$_\@example.org"}', '{}', '2026-03-09', '$kind$_', 5, 'CNY')}) for 1 .. 5;
	my $out = '';
	my $in = "BEGIN;\nSELECT at FROM cdp.$kind('2026-03-10 05:00+00');\n\\echo over\nSELECT pg_sleep(120);\nCOMMIT;\n";
	my $run = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>&1', $timer);
	$run->pump until $out =~ /over|ERROR/;
	like($out, qr/^2026-03-10 05:00:00\+00\nover/, "$kind has written all and not committed");
	crash();
	eval { $run->finish };
	is(found(), $before, 'after the crash nothing of it is there');
}
is($node->safe_psql('postgres', q{SELECT kind FROM cdp.segment_tick('2026-03-10 05:00+00')}), 'tick', 'the next tick goes on from the last one that was committed');
isnt(found(), $before, 'and writes what the crashes took');
is($node->safe_psql('postgres', q{SELECT defects FROM cdp.audit_segments('2026-03-10 05:00+00')}), 0, 'an audit finds nothing');
is(told(), '', 'destinations were told of each who is in, once');

# Traffic and ticks, and a crash at any moment of them.
for my $round (1 .. 3) {
	my $folder = PostgreSQL::Test::Utils::tempdir();
	append_to_file("$folder/calls", join('', map {
		"SELECT cdp.track('shop', '" . ($_ % 3 ? 'click' : 'purchase') . "', '{\"email\": \"person" . int(rand 60) . "\@example.org\"}', '{}', timestamptz '2026-03-10' + $_ * interval '7 minutes', 'r$round-$_', 3, 'CNY');\n"
		  . ($_ % 4 ? '' : "SELECT 'tick ' || count(*) FROM cdp.segment_tick(timestamptz '2026-03-10 06:00' + ($_ + $round * 300) * interval '7 minutes');\n") } 1 .. 3000));
	my $said = '';
	my $calls = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-f', "$folder/calls" ], '>', \$said, '2>', \my $ignored, $timer);
	while ((() = $said =~ /tick/g) < 5) {
		$calls->pump;
	}
	usleep(int rand 60_000);
	crash();
	eval { $calls->finish };
	is($node->safe_psql('postgres', 'SELECT count(*) FROM cdp_data.segment_run WHERE finished_at IS NULL'), 0, "round $round: no run is left without an end");
	is($node->safe_psql('postgres', q{SELECT defects FROM cdp.audit_segments('2026-03-25')}), 0, 'what ticks had written before it is right');
	is(told(), '', 'and what destinations were told');
}
like(slurp_file($node->logfile), qr/database system was not properly shut down/, 'the crashes were crashes');

done_testing();
