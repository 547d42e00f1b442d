# Hot standby: data arrive there, and the reports without personal values run there.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = cdp_node('primary', allows_streaming => 1);
fill($primary, 'postgres');
$primary->safe_psql('postgres', q{SELECT cdp.create_segment('buyers', 'did("purchase")', 'service'); SELECT cdp.segment_tick()});
$primary->safe_psql('postgres', q{SELECT cdp.define_attribution_rollup('main'); SELECT * FROM cdp.refresh_attribution()});
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
fill($primary, 'postgres', 500, 'b');
$primary->wait_for_catchup($standby);

is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'the standby is one');
is(contents($standby, 'postgres'), contents($primary, 'postgres'), 'it has every row');
for my $report (
	'SELECT * FROM cdp.attribution(models => \'{last,linear,markov}\')',
	'SELECT * FROM cdp.attribution_rollup(\'main\')', # with what came after its last refresh
	'SELECT * FROM cdp.funnel(\'{visit,purchase}\', breakdown_by => \'channel\')',
	'SELECT * FROM cdp.retention(as_of => \'2026-12-31Z\')',
	'SELECT * FROM cdp.journey_links(), cdp.sessions()',
	'SELECT * FROM cdp.journey_loops()',
	'SELECT * FROM cdp.segment_preview(\'did("purchase") or country is known\', exact => true)',
	'SELECT * FROM cdp.segment_overlap()',
	'SELECT * FROM cdp.segment_drivers(\'buyers\')',
	'SELECT * FROM cdp.health()',
	'SELECT r.* FROM (SELECT cdp.attribution_pass(customer_id, occurred_at, origin_id, value, cdp.attribution_options()) AS a FROM cdp_data.touchpoint) s, cdp.attribution_totals(s.a) r') {
	my ($rc, $out, $err) = $standby->psql('postgres', $report);
	is($rc, 0, "on the standby: $report") or diag $err;
	next if $report =~ /health/;
	is($out, $primary->safe_psql('postgres', $report), 'with the same answer as on the primary');
}
# Personal values leave a trace when they are read, so not here, unless reads are not logged.
my ($no, undef, $why) = $standby->psql('postgres', 'SELECT cdp.customer_360(1)');
isnt($no, 0, 'personal values are not shown on a standby');
like($why, qr/logs the read.*hot standby.*primary/s, 'and it says why');
isnt(($standby->psql('postgres', q{\set VERBOSITY sqlstate
	SELECT * FROM cdp.segment_explain('buyers', 1)}))[0], 0, 'nor why somebody is in a segment');
like(($standby->psql('postgres', q{SELECT * FROM cdp.segment_explain('buyers', 1)}))[2], qr/logs the read.*hot standby/s, 'for the same reason');
$primary->safe_psql('postgres', q{SELECT cdp.seal_audit(); UPDATE cdp_data.setting SET audit = 'changes'});
$primary->wait_for_catchup($standby);
is(($standby->psql('postgres', 'SELECT cdp.customer_360(1)'))[0], 0, 'with audit = changes they are');
is(($standby->psql('postgres', q{SELECT * FROM cdp.segment_explain('buyers', 1)}))[0], 0, 'and that');
is($standby->safe_psql('postgres', q{SELECT string_agg(DISTINCT finding, ' ' ORDER BY finding) FROM cdp.audit_verify()}), 'sealed unsealed', 'the chain can be checked there');
my ($rc, undef, $err) = $standby->psql('postgres', 'CALL cdp.setup()');
isnt($rc, 0, 'setup() does not run on a standby');
like($err, qr/read-only|recovery|standby/, 'and says why');

done_testing();
