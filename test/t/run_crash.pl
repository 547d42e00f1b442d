# A server that dies by kill -9 in the middle of a launch, before its commit and at any moment of it: messages, exposures and
# arms of the holdout are there together with the launched run, or none of them is. Launched again, nobody is written to twice.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = cdp_node('run_crash');
$node->append_conf('postgresql.conf', "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\nlog_statement = none\n");
$node->restart;
sub sql { return $node->safe_psql('postgres', $_[0]) }
my $people = 6000;
sql(qq{
	SELECT cdp.add_source('shop');
	CREATE TABLE public.st AS SELECT 'k' || i AS source_key, timestamptz '2026-03-01' + i * interval '1 second' AS occurred_at, 'email' AS identifier_type,
	  'u' || i || '\@example.org' AS identifier, 'visit' AS kind FROM generate_series(1, $people) i;
	SELECT cdp.load_touchpoints('shop', 'public.st');
	SELECT cdp.create_segment('all', 'did(visit)', 'service'), cdp.add_destination('desk', 'service'), cdp.create_holdout('h', 0.2);
	SELECT cdp.create_campaign_run('run ' || i, 'all', 'desk', holdout => CASE i WHEN 1 THEN 'h' END, starts_at => CASE WHEN i > 1 THEN now() END) FROM generate_series(1, 4) i;
	SELECT cdp.segment_tick()});

# Of every run: its state, messages, exposures, arms. Whole is: as many exposures as people, a message for each that is no control.
sub found {
	return sql(q{SELECT string_agg(format('%s %s %s', r.state, (SELECT count(*) FROM cdp_data.outbox o WHERE o.payload ->> 'campaign_run' = r.name),
		(SELECT count(*) FROM cdp_data.campaign_exposure e WHERE e.campaign_run_id = r.campaign_run_id)), ', ' ORDER BY r.campaign_run_id) || ', arms ' || (SELECT count(*) FROM cdp_data.holdout_assignment) FROM cdp_data.campaign_run r});
}
my $nothing = 'draft 0 0, draft 0 0, draft 0 0, draft 0 0, arms 0';
is(found(), $nothing, 'before the launch');

# Runs a script until $seen of what it says, then the server dies ($wait seconds later).
sub die_amid {
	my ($in, $seen, $wait) = @_;
	my $out = '';
	my $session = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \my $ignored, IPC::Run::timeout(180));
	$session->pump until $out =~ $seen;
	usleep($wait * 1e6);
	my @left = split /\n/, sql('SELECT pid FROM pg_stat_activity');
	$node->kill9;
	eval { $session->kill_kill };
	for (1 .. 600) {
		last unless grep { kill 0, $_ } @left;
		usleep(100_000);
	}
	$node->start;
}

die_amid("BEGIN;\nSELECT 'launched', exposed + control FROM cdp.launch_campaign_run('run 1');\nSELECT pg_sleep(100);\nCOMMIT;\n", qr/launched\|$people/, 0);
is(found(), $nothing, 'killed when all was written but the commit: nothing of it is there');
sql(q{SELECT * FROM cdp.launch_campaign_run('run 1')});
like(found(), qr/^running (\d+) $people, draft 0 0, draft 0 0, draft 0 0, arms $people$/, 'launched again, all of it is');
is(sql(q{SELECT exposed FROM cdp.launch_campaign_run('run 1')}), 0, 'and nothing twice');
is(sql(q{SELECT count(*) FROM cdp_data.campaign_exposure e JOIN cdp_data.holdout_assignment a USING (customer_id) WHERE a.arm = e.arm AND (e.arm = 'control') = (e.outbox_id IS NULL)}), $people, 'in the arms that are kept');

# At any moment of the job that launches three runs in one transaction.
sql(q{UPDATE cdp_data.campaign_run SET state = 'scheduled' WHERE state = 'draft'});
my $before = found();
for my $wait (0.05, 0.3, 0.7, 1.5) {
	die_amid("SELECT 'go';\nSELECT count(*) FROM cdp.advance_campaign_runs();\n", qr/go/, $wait);
	my $now = found();
	my $whole = $now =~ /^running (\d+) $people, running $people $people, running $people $people, running $people $people, arms $people$/;
	ok($now eq $before || $whole, "killed $wait s into the job: all of it or nothing ($now)");
	last if $whole;
}
sql('SELECT count(*) FROM cdp.advance_campaign_runs()');
like(found(), qr/^running (\d+) $people, running $people $people, running $people $people, running $people $people, arms $people$/, 'the job launches them');
is(sql('SELECT count(*) FROM cdp.advance_campaign_runs()'), 0, 'once');
is(sql('SELECT count(*) FROM (SELECT dedup_key FROM cdp_data.outbox GROUP BY 1 HAVING count(*) > 1) x'), 0, 'no key stands there twice');
done_testing();
