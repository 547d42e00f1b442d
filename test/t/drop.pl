# DROP EXTENSION, plain and CASCADE, loses no row: CREATE EXTENSION and setup() bring everything back.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cdp_node('drop');
fill($node, 'postgres');
$node->safe_psql('postgres', q{SELECT cdp.create_segment('seen', 'touches >= 1', 'service'); SELECT cdp.segment_tick()});
my $members = $node->safe_psql('postgres', q{SELECT count(*) FROM cdp_bi.segment_member});
is($members, '40', 'a segment has members');
my $shape = fingerprint($node, 'postgres');
my $rows = contents($node, 'postgres', qr/setup_step|setting|\baudit\b/);
my $total = $node->safe_psql('postgres', 'SELECT count(*) FROM cdp_data.touchpoint');

my ($rc, undef, $err) = $node->psql('postgres', 'DROP EXTENSION pg_cdp');
if ($rc != 0) {
	like($err, qr/other objects depend on it/, 'plain DROP EXTENSION is refused where views depend on members');
} else {
	pass('plain DROP EXTENSION runs: nothing of the data depends on a member');
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_cdp');
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM cdp_data.touchpoint'), $total, 'no touchpoint is lost');

for my $round (1 .. 2) {
	$node->safe_psql('postgres', 'DROP EXTENSION pg_cdp CASCADE');
	is(contents($node, 'postgres', qr/setup_step|setting|\baudit\b/), $rows, "round $round: CASCADE takes no row");
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_cdp; CALL cdp.setup()');
	is(fingerprint($node, 'postgres'), $shape, "round $round: CREATE EXTENSION and setup() bring every object back");
	is(contents($node, 'postgres', qr/setup_step|setting|\baudit\b/), $rows, "round $round: with every row");
}
fill($node, 'postgres', 200, 'b');
is($node->safe_psql('postgres', 'SELECT count(*) FROM cdp_data.touchpoint'), $total + 200, 'and loads go on');
is($node->safe_psql('postgres', q{SELECT count(*) FROM cdp_bi.segment_member}), $members, 'members are there');
is($node->safe_psql('postgres', q{SELECT kind FROM cdp.segment_tick(); SELECT defects FROM cdp.audit_segments()}), "tick\n0", 'and ticks go on');

# What a user may have dropped by hand comes back too.
$node->safe_psql('postgres', 'DROP SCHEMA cdp_bi CASCADE');
$node->safe_psql('postgres', 'CALL cdp.setup()');
is(fingerprint($node, 'postgres'), $shape, 'setup() remakes a schema of views that was dropped');

done_testing();
