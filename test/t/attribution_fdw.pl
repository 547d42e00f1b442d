# postgres_fdw: each of two remote databases makes its own partial result, only that travels, and the merged
# result equals one pass over all rows. Whole customers per shard.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cdp_node('fdw');
my $events = q{
	SELECT c AS customer, 'k' || c AS device, at, CASE WHEN n % 7 <> 0 THEN (ARRAY['search', 'social', 'mail', '广告'])[1 + (n * 31 + c) % 4] END AS channel,
	  CASE WHEN n % 7 = 0 THEN ((n * 37 + c) % 1000)::numeric / 8 END AS revenue
	FROM (SELECT c, n, timestamptz '2026-03-01 00:00+00' + (c * 13 + n * n * 7) % 2000 * interval '1 hour' AS at
	      FROM generate_series(1, 300) AS c, generate_series(1, 20) AS n) AS made};
$node->safe_psql('postgres', "CREATE TABLE events AS $events; CREATE EXTENSION postgres_fdw");
for my $shard (0, 1) {
	$node->safe_psql('postgres', "CREATE DATABASE shard$shard");
	$node->safe_psql("shard$shard", "CREATE EXTENSION pg_cdp; CREATE TABLE events AS $events; DELETE FROM events WHERE customer % 2 <> $shard");
	my ($host, $port) = ($node->host, $node->port);
	$node->safe_psql('postgres', qq{
		CREATE SERVER shard$shard FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'shard$shard', extensions 'pg_cdp');
		CREATE USER MAPPING FOR CURRENT_USER SERVER shard$shard;
		CREATE FOREIGN TABLE events_$shard (customer bigint, device text, at timestamptz, channel text, revenue numeric)
		  SERVER shard$shard OPTIONS (table_name 'events');});
}

for my $key ('customer', 'device') {
	my $options = q{cdp.attribution_options(models => '{last,linear,u_shaped,time_decay(7 days),markov,markov(2),shapley,shapley_rate}', lookback => '20 days')};
	my $part = "SELECT cdp.attribution_pass($key, at, channel, revenue, $options) AS p FROM";
	my $merged = "SELECT r.* FROM (SELECT cdp.attribution_merge(u.p) AS a FROM ($part events_0 UNION ALL $part events_1) u) s, cdp.attribution_totals(s.a) r";
	my $plan = $node->safe_psql('postgres', "EXPLAIN (VERBOSE, COSTS OFF) $merged");
	my @remote = $plan =~ /Remote SQL: (.*)/g;
	is(scalar(@remote), 2, "$key: two remote queries");
	like($_, qr/^SELECT cdp\.attribution_pass\($key, at, channel, revenue, /, "$key: the pass runs remotely") for @remote;
	is($node->safe_psql('postgres', $merged), $node->safe_psql('postgres', "SELECT r.* FROM ($part events) s, cdp.attribution_totals(s.p) r"),
		"$key: merged partials equal one pass over all rows");
	cmp_ok($node->safe_psql('postgres', "SELECT sum(conversions) FROM ($merged) x WHERE model = 'markov'"), '>', 100, "$key: with conversions in it");
}

# Without the option the rows travel, which is why the documentation names it.
$node->safe_psql('postgres', q{ALTER SERVER shard0 OPTIONS (DROP extensions)});
unlike($node->safe_psql('postgres', q{EXPLAIN (VERBOSE, COSTS OFF) SELECT cdp.attribution_pass(customer, at, channel, revenue, cdp.attribution_options()) FROM events_0}),
	qr/Remote SQL: SELECT cdp/, q{without the server option extensions 'pg_cdp' nothing is pushed});

# Unequal options refuse to merge.
my ($rc, undef, $err) = $node->psql('postgres', q{SELECT cdp.attribution_merge(p) FROM (
	SELECT cdp.attribution_pass(customer, at, channel, revenue, cdp.attribution_options(lookback => '20 days')) AS p FROM events
	UNION ALL SELECT cdp.attribution_pass(customer, at, channel, revenue, cdp.attribution_options(lookback => '21 days')) FROM events) u});
isnt($rc, 0, 'partials of different lookback do not merge');
like($err, qr/lookback/, 'and the error names the difference');

done_testing();
