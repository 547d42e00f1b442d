# Two sessions call setup() at the same moment: both end well and the result is the same as after one.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cdp_node('concurrent');
my $shape = fingerprint($node, 'postgres');
for my $round (1 .. 3) {
	$node->safe_psql('postgres', "CREATE DATABASE c$round");
	$node->safe_psql("c$round", 'CREATE EXTENSION pg_cdp');
	my @run = map {
		my $out = '';
		{ out => \$out, handle => IPC::Run::start([ 'psql', '-qXAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr("c$round"),
			'-c', q{CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY')} ], '>', \$out, '2>&1') }
	} 1 .. 3;
	for my $run (@run) {
		ok(IPC::Run::finish($run->{handle}), "round $round: setup() ends well") or diag ${ $run->{out} };
	}
	is(fingerprint($node, "c$round"), $shape, "round $round: same result as after one setup()");
}

done_testing();
