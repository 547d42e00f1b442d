# Storm: 64 clients merge, forbid, quarantine and unmerge at random in a small crowded world. At quiet points a plain
# union-find over what they said, and over the links, must agree with the customers: nothing lost, nothing dangling,
# no rule broken, no deadlock. CDP_STORM_SECONDS makes each round longer than its 6 seconds.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{CDP_STORM_SECONDS} // 6;
my $node = cdp_node('storm');
$node->append_conf('postgresql.conf', "max_connections = 100\ndeadlock_timeout = 200ms\nlog_min_messages = error\n");
$node->restart;
$node->safe_psql('postgres', slurp_file("$ENV{CDP_TOP}/test/twin/$_")) for qw(identity.sql identity_storm.sql);

# One round; a step that fails aborts its client, and pgbench then says so.
sub storm {
	my ($name, $world, %script) = @_;
	$node->safe_psql('postgres', 'SELECT twin.keep()');
	my %file = map { ("$name.$_" => $script{$_}) } keys %script;
	$node->pgbench("--no-vacuum --client=64 --jobs=2 --time=$seconds --define=n=$world --define=tag='$name'", 0,
		[qr/number of failed transactions: 0/], [qr/^$/], $name, \%file);
	is($node->safe_psql('postgres', 'SELECT twin.tell()'), '', "$name: graph, rules, ledger and feed hold");
	is($node->safe_psql('postgres', q{SELECT pg_stat_get_db_deadlocks(oid) FROM pg_database WHERE datname = 'postgres'}), 0, "$name: no deadlock");
}

my $draw = "\\set x random_zipfian(1, :n, 1.05)\n\\set y random(1, :n)\n\\set z random(1, :n)\n";

# Under rules, with everything that takes customers apart.
$node->safe_psql('postgres', 'UPDATE cdp_data.setting SET max_identifiers_per_customer = 40');
my %mixed = ('mixed@100' => "${draw}SELECT storm.mixed(:tag, :n, :x, :y)");
my %weight = (link => 2, forbid => 1, 'forbid near' => 2, quarantine => 1, unmerge => 5, allow => 1, release => 1, recompute => 1);
for my $step (keys %weight) {
	(my $file = $step) =~ tr/ /_/;
	$mixed{"$file\@$weight{$step}"} = "SELECT storm.other('$step', :tag)";
}
storm("mixed$_", 3000, %mixed) for 1 .. 2;

# The rounds met what they are about.
is($node->safe_psql('postgres', q{
	SELECT string_agg(w.word, ', ') FROM (VALUES ('limit account'), ('limit mail'), ('limit tablet'), ('pair limit mail account'), ('cannot'), ('super-node'), ('attach only'), ('unmerge'), ('customer size')) AS w (word)
	WHERE NOT EXISTS (SELECT FROM cdp_data.link l WHERE l.reason = w.word)}), '', 'every rule stopped a link');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT kind || ' ' || cause, ', ' ORDER BY kind || ' ' || cause) FROM cdp_data.merge_log
	WHERE (kind, cause) IN (('merge', 'identify'), ('merge', 'manual'), ('split', 'unmerge'), ('move', 'quarantine'))}),
	'merge identify, merge manual, move quarantine, split unmerge', 'merges, splits and moves happened');

# Without rules every record merges: what 64 clients said, one after the other, gives the same customers.
$node->safe_psql('postgres', 'UPDATE cdp_data.setting SET max_identifiers_per_customer = NULL');
my $began = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
storm('plain', 20000, plain => "${draw}SELECT storm.plain(:tag, :x, :y, :z)");
is($node->safe_psql('postgres', 'SELECT storm.lost()'), 0, 'plain: no merge is lost, none is invented');
# Once nearly all is one customer a lost merge is healed by the next record, and this test would see nothing.
my ($merges, $share) = split /\|/, $node->safe_psql('postgres',
	qq{SELECT (SELECT count(*) FROM cdp_data.merge_log WHERE at >= '$began'), (SELECT max(n) / sum(n) FROM (SELECT count(*) AS n FROM twin.place() WHERE type_id < 1010 GROUP BY root) c)});
cmp_ok($merges, '>', 20, "plain: $merges merges");
cmp_ok($share, '<', 0.6, "plain: the largest customer has a share of $share: not saturated");

unlike(slurp_file($node->logfile), qr/deadlock detected|PANIC|TRAP/, 'the log knows no deadlock and no crash');

done_testing();
