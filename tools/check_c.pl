#!/usr/bin/env perl
# House rules of the C source: ereport has an errcode and a lower-case message, each function has a comment and
# fits two screens, versions differ only in cdp.h, tuple descriptors are read through TupleDescAttr.
use strict;
use warnings;
use FindBin;

chdir "$FindBin::Bin/.." or die $!;
my $bad = 0;
sub complain { print "$_[0]\n"; $bad = 1 }

my @files = sort split /\n/, `find src -name '*.[ch]'`; # a room may have folders of its own
die "no C source\n" if !@files;
for my $file (@files) {
	open my $in, '<', $file or die "$file: $!";
	my $c = do { local $/; <$in> };
	while ($c =~ /\bereport\s*(\((?:[^()"]++|"(?:[^"\\]|\\.)*"|(?1))*\))/g) {
		my ($call, $line) = ($1, 1 + ($` =~ tr/\n//));
		complain("$file:$line: ereport without errcode") if $call =~ /^\(\s*(ERROR|FATAL|WARNING)/ && $call !~ /\berrcode\w*\s*\(/;
		complain("$file:$line: message does not start in lower case: $1")
		  if $call =~ /\berrmsg(?:_plural)?\s*\(\s*"((?=[A-Z][a-z])\w+)/;
	}
	complain("$file: looks at PG_VERSION_NUM; that belongs in src/cdp.h") if $file ne 'src/cdp.h' && $c =~ /PG_VERSION_NUM/;
	complain("$file: pg_attribute_noreturn() is not in PostgreSQL 18; put CDP_NORETURN before the declaration") if $file ne 'src/cdp.h' && $c =~ /pg_attribute_noreturn/;
	complain("$file: reads ->attrs[] directly; use TupleDescAttr") if $c =~ /->\s*attrs\s*\[/;
	next unless $file =~ /\.c$/;
	# A function starts where a line in the first column is "name(" below its return type and ends at "}" in the first column.
	my @line = split /\n/, $c;
	for my $i (1 .. $#line) {
		my ($name) = $line[$i] =~ /^(\w+)\(/ or next;
		next unless $line[ $i - 1 ] =~ /^[A-Za-z][\w\s*]*$/;
		my ($open) = grep { $line[$_] =~ /^\{|;\s*$/ } $i .. $#line;
		next unless defined $open && $line[$open] =~ /^\{/;
		my ($end) = grep { $line[$_] =~ /^\}/ } $open .. $#line;
		complain("$file:" . ($i + 1) . ": $name has no comment above it") unless $line[ $i - 2 ] =~ m{\*/\s*$|^//};
		complain("$file:" . ($i + 1) . ": $name has " . ($end - $i) . " lines; split it below 120") if $end - $i > 120;
	}
}
exit $bad;
