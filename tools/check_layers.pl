#!/usr/bin/env perl
# A room uses lower rooms only: includes in src/, and names of our schemas in sql/. One file talks to the network.
use strict;
use warnings;
use FindBin;

chdir "$FindBin::Bin/.." or die $!;
my %rank = (base => 0, core => 10, identity => 20, governance => 30, attribution => 40, journey => 45,
	segment => 50, activation => 60, referral => 70, connector => 80, engagement => 85, bi => 90);
my $bad = 0;
sub complain { print "$_[0]\n"; $bad = 1 }
sub slurp { local (@ARGV, $/) = @_; return scalar <> }

for my $file (sort split /\n/, `find src -mindepth 2 -name '*.[ch]'`) {
	my ($room) = $file =~ m{src/(\w+)/};
	complain("$file: no room '$room' is known to tools/check_layers.pl") unless exists $rank{$room};
	complain("$file: only src/connector/network/http.c talks to the network, so only it includes libcurl")
	  if $file ne 'src/connector/network/http.c' && slurp($file) =~ m{^\s*#\s*include\s+<curl/}m;
	for my $used (slurp($file) =~ m{^\s*#\s*include\s+"(\w+)/}mg) {
		complain("$file: room $room includes a header of the higher room $used")
		  if exists $rank{$used} && $rank{$used} > ($rank{$room} // 0);
	}
}

# A numbered SQL file belongs to the room of its number: 40 to 44 are all attribution.
my (%lowest, %text);
for my $file (sort glob 'sql/{once,again,setup}/*.sql') {
	my ($room) = $file =~ m{/(\d\d)_} or complain("$file: name must start with a room number") || next;
	my $sql = slurp($file);
	$sql =~ s/^\s*COMMENT ON .*?';//msg;
	$sql =~ s/--.*//g;
	$text{$file} = [ $room - $room % 5, $sql ];
	while ($sql =~ /\bCREATE\s+(?:OR\sREPLACE\s+|UNIQUE\s+|UNLOGGED\s+|RECURSIVE\s+)*
			(?:FUNCTION|PROCEDURE|AGGREGATE|VIEW|TABLE|TYPE|SEQUENCE|SCHEMA)\s+(?:IF\sNOT\sEXISTS\s+)?(cdp\w*\.\w+)/gx) {
		my $name = $1;
		$lowest{$name} = $room - $room % 5 if !exists $lowest{$name} || $room - $room % 5 < $lowest{$name};
	}
}
for my $file (sort keys %text) {
	my ($room, $sql) = @{ $text{$file} };
	my %seen;
	for my $name (grep { !$seen{$_}++ } $sql =~ /\b(cdp(?:_internal|_data|_bi|_api)?\.\w+)/g) {
		complain("$file: uses $name of the higher room $lowest{$name}")
		  if exists $lowest{$name} && $lowest{$name} > $room;
	}
}
exit $bad;
