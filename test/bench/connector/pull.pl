# The server of the benchmark of pulls, and what the script has to ask it. pull.pl DIR PAGES MS: serves until its input ends; prints
# the settings of a database that may reach it, then for each line NAME of its input the SQL that makes a connection of that name, and
# for an empty line what was asked since the last one, as a configuration of curl. Each answer ends with a line "--".
use strict;
use warnings;
use MockVendor;

my ($dir, $pages, $ms) = @ARGV;
$| = 1;
my $mock = MockVendor->new(dir => $dir, orders => $pages * 10, delay_ms => $ms);
my $set = MockVendor::conf($mock);
$set =~ s/^/SET /mg;
$set =~ s/\n/;\n/g;
print "$set\n--\n";
while (my $name = <STDIN>) {
	chomp $name;
	if ($name ne '') {
		print $mock->connect_sql($name, product => 'rest', streams => ['orders']);
	} else {
		print join "next\n", map { "url = \"$mock->{base}$_->{target}\"\nheader = \"authorization: $_->{headers}{authorization}\"\nheader = \"accept-encoding: gzip\"\n" } grep { $_->{path} eq '/v1/orders' } $mock->log;
		$mock->forget;
	}
	print "--\n";
}
