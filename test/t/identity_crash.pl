# Crash: the server dies by kill -9 amid identity traffic, first a backend, then the postmaster. After recovery the graph
# is whole, what was answered is there, and traffic goes on.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = cdp_node('identity_crash');
$node->append_conf('postgresql.conf', "max_connections = 50\nfsync = on\nsynchronous_commit = on\nfull_page_writes = on\nrestart_after_crash = on\nlog_statement = none\n");
$node->restart;
$node->safe_psql('postgres', slurp_file("$ENV{CDP_TOP}/test/twin/$_")) for qw(identity.sql identity_storm.sql);

my $folder = PostgreSQL::Test::Utils::tempdir();
my %weight = ('mixed' => 100, link => 2, 'forbid near' => 2, quarantine => 1, unmerge => 5, allow => 1, revert => 1, retry => 1);
my @scripts;
for my $step (sort keys %weight) {
	(my $file = "$folder/$step") =~ tr/ /_/;
	append_to_file($file, $step eq 'mixed' ? "\\set x random_zipfian(1, 3000, 1.05)\n\\set y random(1, 3000)\nSELECT storm.mixed('crash', 3000, :x, :y);\n"
		: "SELECT storm.other('$step', 'crash');\n");
	push @scripts, '-f', "$file\@$weight{$step}";
}

# Calls one after the other, each answer noted with the number of its customer.
sub caller_script {
	my ($round) = @_;
	append_to_file("$folder/calls$round", join('', map {
		"SELECT '$_ ' || customer_id FROM cdp.identify('storm0', '{\"mail\": \"answered-$round-$_\", \"crumb\": \"answered-$round-" . int($_ / 3) . "\"}');\n" } 1 .. 20000));
	return "$folder/calls$round";
}

for my $round (1 .. 2) {
	my ($noise, $answers, $timer) = ('', '', IPC::Run::timeout(600));
	my $storm = IPC::Run::start([ 'pgbench', '-n', '-c', '16', '-j', '2', '-T', '900', @scripts, $node->connstr('postgres') ], '>', \$noise, '2>&1', $timer);
	my $calls = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-f', caller_script($round) ], '>', \$answers, '2>', \my $ignored, $timer);
	while (($answers =~ tr/\n//) < 40) { # the timer ends it when nothing answers
		$calls->pump_nb;
		usleep(20_000);
	}
	usleep(500_000);
	my @left;
	if ($round == 1) {
		my $victim = '';
		$victim = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT storm.%' AND state = 'active' LIMIT 1}) until $victim;
		kill 'KILL', $victim;
	} else {
		@left = split /\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity');
		$node->kill9;
	}
	eval { $_->finish } for $storm, $calls;
	# Processes of the dead postmaster hold the shared memory until they notice.
	for (1 .. 600) {
		last unless grep { kill 0, $_ } @left;
		usleep(100_000);
	}
	$node->start if $round == 2;
	for (1 .. 600) {
		last if system('pg_isready', '-q', '-d', $node->connstr('postgres')) == 0;
		usleep(100_000);
	}
	my @answered = $answers =~ /^(\d+ \d+)$/mg;
	cmp_ok(scalar @answered, '>=', 40, "round $round: " . @answered . ' calls were answered before the crash');
	$node->safe_psql('postgres', 'SELECT twin.keep()');
	is($node->safe_psql('postgres', 'SELECT twin.tell(settled => false)'), '', 'after the restart graph, rules and ledger hold');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM cdp.identity_check()'), 0, 'cdp.identity_check() finds nothing');
	my $values = join ', ', map { my ($n, $customer) = split / /; "('answered-$round-$n', $customer)" } @answered;
	is($node->safe_psql('postgres', qq{SELECT count(*) FROM (VALUES $values) v (value, customer_id)
		WHERE NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.type_id = 1011 AND i.value = v.value)
		  OR NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = v.customer_id)}), 0, 'what was answered is there');
	$node->safe_psql('postgres', 'SELECT twin.keep(); SELECT cdp.rebuild(dry_run => false)');
	is($node->safe_psql('postgres', 'SELECT twin.tell()'), '', 'a rebuild leaves it whole');
	$node->safe_psql('postgres', q{SELECT storm.mixed('crash', 3000, i, i * 7 % 3000) FROM generate_series(1, 50) i});
	is($node->safe_psql('postgres', 'SELECT twin.tell(settled => false)'), '', 'and traffic goes on');
}
like(slurp_file($node->logfile), qr/database system was not properly shut down|terminated by signal 9/, 'the crashes were crashes');

done_testing();
