# Dump and restore: plain through psql, custom in one transaction (-1), custom with four workers (-j4).
# The user added a column, an index and a trigger to our tables; all rows, sequences and partitions come back,
# and setup() then finds nothing to do.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cdp_node('dump');
fill($node, 'postgres', 3000);
$node->safe_psql('postgres', q{
	ALTER TABLE cdp_data.touchpoint ADD COLUMN my_note text;
	ALTER TABLE cdp_data.customer ADD COLUMN my_segment text DEFAULT 'none';
	UPDATE cdp_data.customer SET my_segment = 'gold' WHERE customer_id % 3 = 0;
	UPDATE cdp_data.touchpoint SET my_note = 'seen' WHERE touchpoint_id % 5 = 0;
	CREATE INDEX my_touchpoint_idx ON cdp_data.touchpoint (load_id);
	CREATE SCHEMA my_own;
	CREATE TABLE my_own.audit (at timestamptz DEFAULT clock_timestamp(), customer_id bigint PRIMARY KEY);
	CREATE FUNCTION my_own.note() RETURNS trigger LANGUAGE plpgsql AS
	  $$ BEGIN INSERT INTO my_own.audit (customer_id) VALUES (new.customer_id); RETURN new; END $$;
	CREATE TRIGGER my_trigger AFTER INSERT ON cdp_data.customer FOR EACH ROW EXECUTE FUNCTION my_own.note();
	CREATE ROLE my_analyst;
	GRANT USAGE ON SCHEMA cdp_data TO my_analyst; GRANT SELECT ON cdp_data.touchpoint TO my_analyst;});
fill($node, 'postgres', 300, 'b');    # fires the trigger for new customers only
$node->safe_psql('postgres', q{SELECT cdp.create_segment('seen', 'touches >= 1', 'service'); SELECT cdp.segment_tick()});
my $members = $node->safe_psql('postgres', q{SELECT count(*) FROM cdp.segment_members('seen')});
is($members, '40', 'a segment to dump');

my $before = contents($node, 'postgres');
my $shape = fingerprint($node, 'postgres');
my $partitions = q{SELECT inhrelid::regclass, pg_get_expr(relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = inhrelid
	WHERE inhparent = 'cdp_data.touchpoint'::regclass ORDER BY inhrelid::regclass::text};
my $sequences = q{SELECT schemaname || '.' || sequencename, last_value FROM pg_sequences WHERE schemaname = 'cdp_data' ORDER BY 1};
my $total = $node->safe_psql('postgres', 'SELECT count(*) FROM cdp_data.touchpoint');
is($total, 3300, 'rows to dump');

my $dir = PostgreSQL::Test::Utils::tempdir();
$node->run_log([ 'pg_dump', '-f', "$dir/plain.sql", $node->connstr('postgres') ]);
$node->run_log([ 'pg_dump', '-Fc', '-f', "$dir/custom.dump", $node->connstr('postgres') ]);
$node->run_log([ 'pg_dump', '-Fd', '-j2', '-f', "$dir/directory", $node->connstr('postgres') ]);
my %restore = (
	plain => [ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", '-d' ],
	one_transaction => [ 'pg_restore', '-1', '-e', "$dir/custom.dump", '-d' ],
	four_workers => [ 'pg_restore', '-j4', '-e', "$dir/custom.dump", '-d' ],
	directory => [ 'pg_restore', '-j4', '-e', "$dir/directory", '-d' ]);

for my $way (sort keys %restore) {
	$node->safe_psql('postgres', "CREATE DATABASE $way");
	command_ok([ @{ $restore{$way} }, $node->connstr($way) ], "$way: restores without an error");
	is(contents($node, $way), $before, "$way: every row of every table");
	is(fingerprint($node, $way), $shape, "$way: every object, the user's column, index and trigger among them");
	is($node->safe_psql($way, $partitions), $node->safe_psql('postgres', $partitions), "$way: every partition");
	is($node->safe_psql($way, $sequences), $node->safe_psql('postgres', $sequences), "$way: every sequence");
	is($node->safe_psql($way, q{SELECT has_table_privilege('my_analyst', 'cdp_data.touchpoint', 'SELECT')}), 't', "$way: grants");

	# setup() has nothing to do: it changes neither objects nor its own records.
	is($node->safe_psql($way, q{SELECT room, step, reason FROM cdp_internal.setup_pending() WHERE reason <> 'repeated'}), '',
		"$way: setup() finds nothing to do");
	$node->safe_psql($way, 'CALL cdp.setup()');
	is(contents($node, $way, qr/setup_step|setting/), contents($node, 'postgres', qr/setup_step|setting/), "$way: touches no row");
	is(fingerprint($node, $way), $shape, "$way: and changes nothing");
	fill($node, $way, 100, 'c');
	is($node->safe_psql($way, 'SELECT count(*) FROM cdp_data.touchpoint'), $total + 100, "$way: loads go on");
	fill($node, $way, 100, 'b');
	is($node->safe_psql($way, 'SELECT count(*) FROM cdp_data.touchpoint'), $total + 100, "$way: and know what was loaded before");
	is($node->safe_psql($way, q{SELECT count(*) FROM cdp.segment_members('seen')}), $members, "$way: members of segments");
	my $grown = $node->safe_psql($way, q{SELECT count(DISTINCT cdp_internal.root_of(customer_id)) FROM cdp_data.touchpoint});
	is($node->safe_psql($way, q{SELECT kind FROM cdp.segment_tick(); SELECT count(*) FROM cdp.segment_members('seen')}), "tick\n$grown", "$way: and ticks go on");
}

# Schema cdp_data alone, as docs/backup.md tells: the extension first, setup() for the other schemas afterwards.
$node->run_log([ 'pg_dump', '-Fc', '-n', 'cdp_data', '-f', "$dir/schema.dump", $node->connstr('postgres') ]);
$node->safe_psql('postgres', 'CREATE DATABASE one_schema');
$node->safe_psql('one_schema', q{CREATE EXTENSION pg_cdp; CREATE SCHEMA my_own; CREATE TABLE my_own.audit (customer_id bigint PRIMARY KEY);
	CREATE FUNCTION my_own.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$});
command_ok([ 'pg_restore', '-1', '-e', "$dir/schema.dump", '-d', $node->connstr('one_schema') ], 'one schema: restores without an error');
$node->safe_psql('one_schema', 'CALL cdp.setup()');
is(contents($node, 'one_schema', qr/setup_step|setting|\baudit\b|my_own/), contents($node, 'postgres', qr/setup_step|setting|\baudit\b|my_own/), 'one schema: every row');
is($node->safe_psql('one_schema', q{SELECT room, step, reason FROM cdp_internal.setup_pending() WHERE reason <> 'repeated'}), '', 'one schema: complete');

# On another cluster transactions have other numbers: a run starts with everybody, and no membership was wrong.
$node->safe_psql('plain', 'UPDATE cdp_data.feed_cursor SET system_identifier = system_identifier + 1');
is($node->safe_psql('plain', q{SELECT kind, reason FROM cdp.segment_tick(); SELECT kind FROM cdp.segment_tick(); SELECT defects FROM cdp.audit_segments()}),
	"full|the place in the change feed is lost\ntick\n0", 'restored elsewhere, segments are evaluated over everybody once');

done_testing();
