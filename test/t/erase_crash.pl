# A server that dies in the middle of an erasure: all of it or nothing. And a storm of writers beside erasures: no
# deadlock, and nobody who was erased is there afterwards.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = cdp_node('erase_crash');
$node->append_conf('postgresql.conf', "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\nlog_statement = none\n");
$node->restart;
$node->safe_psql('postgres', q{
	SELECT cdp.add_source('app');
	CREATE TABLE public.st AS SELECT 'k' || i AS source_key, timestamptz '2026-03-01' + i * interval '1 minute' AS occurred_at, 'user_id' AS identifier_type,
	  'u' || i % 50 AS identifier, CASE WHEN i % 9 = 0 THEN 'purchase' ELSE 'click' END AS kind, CASE WHEN i % 9 = 0 THEN 5 END AS value FROM generate_series(1, 40000) i;
	SELECT cdp.load_touchpoints('app', 'public.st');
	SELECT cdp.define_attribution_rollup('main', models => '{linear,markov}');
	SELECT count(*) FROM cdp.refresh_attribution();
	SELECT count(*) FROM (SELECT cdp.identify('app', jsonb_build_object('user_id', 'u' || i, 'cookie', 'c' || i), '{"city": "Ulm"}') FROM generate_series(0, 49) i) x});
my $state = q{SELECT (SELECT count(*) FROM cdp_data.identifier), (SELECT count(*) FROM cdp_data.touchpoint WHERE identifier_id < 0), (SELECT count(*) FROM cdp_data.suppression),
	(SELECT count(*) FROM cdp_data.erasure), (SELECT count(*) FROM cdp_data.attribute_value)};
my $whole = $node->safe_psql('postgres', $state);
my $customer = $node->safe_psql('postgres', q{SELECT cdp.customer_of('user_id', 'u7')});

# Killed at a different moment each time, the last one when all is done but the commit.
for my $wait (0.02, 0.1, 0.3, undef) {
	my ($in, $out) = (defined $wait ? "SELECT cdp.erase_customer($customer);\n" : "BEGIN; SELECT cdp.erase_customer($customer) IS NOT NULL AS done;\n", '');
	my $session = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \my $ignored, IPC::Run::timeout(120));
	if (defined $wait) {
		$session->pump_nb;
		usleep($wait * 1e6);
	} else {
		$session->pump until $out =~ /t/;
	}
	my @left = split /\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity');
	$node->kill9;
	eval { $session->kill_kill };
	for (1 .. 600) {
		last unless grep { kill 0, $_ } @left;
		usleep(100_000);
	}
	$node->start;
	my $now = $node->safe_psql('postgres', $state);
	ok($now eq $whole || $now =~ /\|1\|/, 'killed ' . (defined $wait ? "after $wait s" : 'before the commit') . ": $now");
	is($now, $whole, 'nothing of it is there') unless defined $wait;
	last if $now ne $whole;
}
$node->safe_psql('postgres', "SELECT cdp.erase_customer($customer)") if $node->safe_psql('postgres', $state) eq $whole;
is($node->safe_psql('postgres', $state), '98|800|2|1|49', 'then it is done, whole');

# Writers and erasures at once: single calls, batches, and erasures of some of the people they are about.
my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/call", "\\set i random(0, 49)\n\\set j random(0, 49)\nSELECT cdp.track('app', 'visit', jsonb_build_object('user_id', 'u' || :i, 'cookie', 'c' || :i), '{\"x\": 1}', traits => '{\"city\": \"Ulm\"}');\n");
append_to_file("$folder/two", "\\set i random(0, 49)\n\\set j random(0, 49)\nBEGIN;\nSELECT cdp.identify('app', jsonb_build_object('user_id', 'u' || :i));\nSELECT cdp.identify('app', jsonb_build_object('cookie', 'c' || :j));\nEND;\n");
my $storm = IPC::Run::start([ 'pgbench', '-n', '-c', '6', '-j', '2', '-T', '20', '-f', "$folder/call\@10", '-f', "$folder/two\@5", $node->connstr('postgres') ], '>', \my $noise, '2>', \my $wrong, IPC::Run::timeout(180));
my $gone = 0;
for my $i (10 .. 29) {
	$node->safe_psql('postgres', "CREATE TEMP TABLE b AS SELECT 'b$i-' || i AS source_key, now() AS occurred_at, 'user_id' AS identifier_type, 'u' || i AS identifier, 'click' AS kind FROM generate_series(0, 49) i; SELECT cdp.load_touchpoints('app', 'pg_temp.b')")
	  if $i % 4 == 0;
	$gone += $node->safe_psql('postgres', "SELECT count(cdp.erase_customer(cdp.customer_of('user_id', 'u$i')))");
}
$storm->finish;
unlike($wrong, qr/deadlock|ERROR/, 'no call of the storm fails');
is($gone, 20, 'twenty people were erased beside it');
is($node->safe_psql('postgres', q{SELECT count(*) FROM cdp_data.identifier WHERE value ~ '^[uc](1\d|2\d)$'}), 0, 'none of them is there');
is($node->safe_psql('postgres', q{SELECT count(*) FROM cdp_data.touchpoint t WHERE t.identifier_id > 0 AND NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.identifier_id = t.identifier_id)}), 0, 'no touch without its identifier');
is($node->safe_psql('postgres', q{SELECT count(*) FROM cdp_data.attribute_value v WHERE NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.identifier_id = v.identifier_id)}), 0, 'nor an attribute');
is($node->safe_psql('postgres', 'SELECT count(*) FROM cdp.identity_check()'), 0, 'the promise of identity holds');
is($node->safe_psql('postgres', 'SELECT count(*) FROM cdp.erasure_verify()'), 0, 'the receipts are a chain');
$node->safe_psql('postgres', 'SELECT count(*) FROM cdp.refresh_attribution()');
is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT * FROM cdp.attribution_totals(cdp.attribution_rollup_run('main')) EXCEPT SELECT * FROM cdp.attribution_totals(cdp.attribution_run(models => '{linear,markov}'))) x}), 0, 'the roll-up equals a direct pass');

done_testing();
