# Profiles under traffic: two sessions refresh while others identify, track and unmerge. No change is missed, however
# late it commits. And one customer's document and timeline are the same on a hot standby.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cdp_node('profile', allows_streaming => 1);
$node->append_conf('postgresql.conf', "max_connections = 50\nlog_statement = none\n");
$node->restart;
$node->safe_psql('postgres', q{SELECT cdp.add_source('crm'), cdp.add_source('shop'); SELECT cdp.refresh_profiles()});
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('profile_standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;

my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/traffic", <<'SQL');
\set u random(1, 60)
\set c random(1, 150)
\set k random(1, 6)
\set d random(1, 30)
BEGIN;
SELECT cdp.identify('crm', CASE WHEN :k < 3 THEN jsonb_build_object('user_id', 'u' || :u, 'cookie', 'cookie' || :c) WHEN :k < 5 THEN jsonb_build_object('cookie', 'cookie' || :c)
  ELSE jsonb_build_object('user_id', 'u' || :u) END, jsonb_build_object('city', 'c' || :k, 'tags', jsonb_build_array('t' || :d), 'membership_points', :d),
  '2026-01-01 00:00Z'::timestamptz + :d * interval '1 day');
SELECT pg_sleep(0.02 * (:k / 6));
COMMIT;
SELECT cdp.track('shop', CASE WHEN :k = 1 THEN 'purchase' ELSE 'visit' END, jsonb_build_object('cookie', 'cookie' || :c), '{}', '2026-01-01 00:00Z'::timestamptz + :d * interval '1 day', NULL, :k);
SQL
append_to_file("$folder/unmerge", q{SELECT cdp.unmerge(merge => m) FROM (SELECT merge_id AS m FROM cdp_data.merge_log WHERE kind = 'merge' AND undone_by IS NULL ORDER BY random() LIMIT 1) x;} . "\n");
append_to_file("$folder/refresh", "SELECT * FROM cdp.refresh_profiles();\n");

my @runs = map {
	my $out = '';
	[ IPC::Run::start([ 'pgbench', '-n', @$_, $node->connstr('postgres') ], '>', \$out, '2>&1', IPC::Run::timeout(900)), \$out ]
} ([ '-c', 6, '-t', 250, '-f', "$folder/traffic" ], [ '-c', 1, '-R', 2, '-t', 12, '-f', "$folder/unmerge" ], [ '-c', 2, '-t', 30, '-f', "$folder/refresh" ]);
$_->[0]->finish for @runs;
for my $what (qw(traffic unmerge refresh)) {
	my $out = ${ shift(@runs)->[1] };
	like($out, qr/failed transactions: 0 /, "$what without failures") or diag $out;
}
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM cdp_data.merge_log WHERE kind = 'split'}), '>', 0, 'customers were taken apart meanwhile');
like($node->safe_psql('postgres', 'SELECT started_over IS NULL, customers FROM cdp.refresh_profiles()'), qr/^t\|\d+$/, 'the rest is refreshed by the feed');
is($node->safe_psql('postgres', 'SELECT written, removed FROM cdp.refresh_profiles(everybody => true)'), '0|0', 'a pass over everybody finds nothing to do');

# Reads of personal values are logged, which a standby can not; where they are not to be logged, they work there.
$node->wait_for_catchup($standby);
like(($standby->psql('postgres', q{\set VERBOSITY verbose
	SELECT cdp.customer_360(min(customer_id)) FROM cdp_data.profile}))[2], qr/25006.*hot standby/s, 'a standby shows no values that it can not log');
$node->safe_psql('postgres', q{UPDATE cdp_data.setting SET audit = 'changes'});
$node->wait_for_catchup($standby);
for my $query (
	q{SELECT md5(string_agg((cdp.customer_360(customer_id) - 'at')::text, ',' ORDER BY customer_id)), count(*) FROM cdp_data.profile},
	q{SELECT md5(string_agg(t::text, ',' ORDER BY t::text)), count(*) FROM cdp_data.profile p, cdp.customer_timeline(p.customer_id) t},
	q{SELECT cdp.customer_of('cookie', 'cookie7'), cdp.customer_360('cookie', 'cookie7') - 'at'}) {
	my ($rc, $out, $err) = $standby->psql('postgres', $query);
	is($rc, 0, "on the standby: $query") or diag $err;
	is($out, $node->safe_psql('postgres', $query), 'with the same answer as on the primary');
}
done_testing();
