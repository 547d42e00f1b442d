# Storm: 64 clients identify, forbid, quarantine, unmerge, load, revert and rebuild at random in a small crowded world. At quiet points a plain
# union-find over what they said, and over the links, must agree with the customers: nothing lost, nothing dangling,
# no rule broken, no deadlock. CDP_STORM_LENGTH=10 makes each round ten times as long.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $length = $ENV{CDP_STORM_LENGTH} // 1;
my $node = cdp_node('storm');
$node->append_conf('postgresql.conf', "max_connections = 100\ndeadlock_timeout = 200ms\nlog_min_messages = error\nlog_statement = none\n");
$node->restart;
$node->safe_psql('postgres', slurp_file("$ENV{CDP_TOP}/test/twin/$_")) for qw(identity.sql identity_storm.sql);

# One round; a step that fails aborts its client, and pgbench then says so.
sub storm {
	my ($name, $world, $work, %script) = @_;
	$node->safe_psql('postgres', "SELECT twin.keep(), storm.write_batches('$name', $world, 60)");
	my %file = map { ("$name.$_" => $script{$_}) } keys %script;
	$node->pgbench("--no-vacuum --client=64 --jobs=2 $work --define=n=$world --define=tag='$name'", 0,
		[qr/number of failed transactions: 0/], [qr/^$/], $name, \%file);
	is($node->safe_psql('postgres', 'SELECT twin.tell(settled => false)'), '', "$name: graph, rules, ledger and feed hold");
	is($node->safe_psql('postgres', q{SELECT pg_stat_get_db_deadlocks(oid) FROM pg_database WHERE datname = 'postgres'}), 0, "$name: no deadlock");
}

my $draw = "\\set x random_zipfian(1, :n, 1.05)\n\\set y random(1, :n)\n\\set z random(1, :n)\n";

# Under rules, with everything that takes customers apart.
$node->safe_psql('postgres', 'UPDATE cdp_data.setting SET max_identifiers_per_customer = 12');
my %mixed = ('mixed@1000' => "${draw}SELECT storm.mixed(:tag, :n, :x, :y)");
my %weight = (link => 20, forbid => 10, 'forbid near' => 20, quarantine => 10, unmerge => 50, allow => 10, release => 10, recompute => 10,
	revert => 8, retry => 8, load => 12, rebuild => 2);
for my $step (keys %weight) {
	(my $file = $step) =~ tr/ /_/;
	$mixed{"$file\@$weight{$step}"} = "SELECT storm.other('$step', :tag)";
}
storm("mixed$_", 3000, '--transactions=' . 12 * $length, %mixed) for 1 .. 2;

# A rebuild leaves what a rebuild finds nothing to do about.
my $drift = q{SELECT string_agg(DISTINCT change, ', ') FROM cdp.rebuild() WHERE change IN ('merge', 'split', 'move', 'link activated', 'link rejected', 'quarantine')};
$node->safe_psql('postgres', 'SELECT twin.keep(); SELECT cdp.rebuild(dry_run => false)');
is($node->safe_psql('postgres', $drift), '', 'no drift after a rebuild');
is($node->safe_psql('postgres', 'SELECT twin.tell()'), '', 'and graph, rules, ledger and feed hold');
is($node->safe_psql('postgres', 'SELECT count(*) FROM cdp.identity_check()'), 0, 'as cdp.identity_check() says, too');

# The rounds met what they are about.
cmp_ok($node->safe_psql('postgres', q{SELECT count(DISTINCT reason) FROM cdp_data.link WHERE state = 'rejected'}), '>=', 5, 'rules stopped links');
cmp_ok($node->safe_psql('postgres', q{SELECT count(DISTINCT (kind, cause)) FROM cdp_data.merge_log}), '>=', 8, 'customers merged, split and moved in many ways');

# Without rules every record merges: what 64 clients said, one after the other, gives the same customers.
$node->safe_psql('postgres', 'UPDATE cdp_data.setting SET max_identifiers_per_customer = NULL');
my $began = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
# So many calls in so large a world, however fast the machine is: see below.
storm('plain', 20000 * $length, '--transactions=' . 30 * $length, plain => "${draw}SELECT storm.plain(:tag, :x, :y, :z)");
is($node->safe_psql('postgres', 'SELECT storm.lost()'), 0, 'plain: no merge is lost, none is invented');
# Once nearly all is one customer a lost merge is healed by the next record, and this test would see nothing.
my ($merges, $share) = split /\|/, $node->safe_psql('postgres',
	qq{SELECT (SELECT count(*) FROM cdp_data.merge_log WHERE at >= '$began'), (SELECT max(n) / sum(n) FROM (SELECT count(*) AS n FROM twin.place() WHERE type_id < 1010 GROUP BY root) c)});
cmp_ok($merges, '>', 20, "plain: $merges merges");
cmp_ok($share, '<', 0.6, "plain: the largest customer has a share of $share: not saturated");

# Large customers that records share, while others take them apart, merge them away, load and rebuild.
my %beside = (link => 5, forbid => 2, quarantine => 3, unmerge => 8, allow => 3, release => 3, revert => 3, retry => 3, load => 5, rebuild => 1);
storm('shared', 2000, '--transactions=' . 15 * $length, 'shared@1000' => "${draw}SELECT storm.beside(:tag, :x, :y)",
	map { ("shared_$_\@$beside{$_}" => "SELECT storm.other('$_', :tag)") } keys %beside);
cmp_ok($node->safe_psql('postgres', q{SELECT max(n) FROM (SELECT count(*) AS n FROM twin.place() GROUP BY root) c}), '>', 100, 'shared: there was a large one');
is($node->safe_psql('postgres', 'SELECT count(*) FROM cdp.identity_check()'), 0, 'and the promise of cdp.identity_check() holds');

unlike(slurp_file($node->logfile), qr/deadlock detected|PANIC|TRAP/, 'the log knows no deadlock and no crash');

done_testing();
