#!/usr/bin/env perl
# The SQL parts keep the promises of their folders (docs/layout.md):
#   again/  is run again at each update: only CREATE OR REPLACE FUNCTION, PROCEDURE, AGGREGATE, and COMMENT, GRANT, REVOKE
#   once/   runs once and must stop on anything planted: no OR REPLACE, no IF NOT EXISTS
#   all     names of our schemas are written in full; a function says IMMUTABLE, STABLE or VOLATILE, and an immutable one
#           whether it is PARALLEL SAFE; no tabs; a step of setup/ has a name of its own
use strict;
use warnings;
use FindBin;

chdir "$FindBin::Bin/.." or die $!;
my $bad = 0;
sub complain { print "$_[0]\n"; $bad = 1 }

# Splits a script into statements: strings, dollar quotes, comments and BEGIN ATOMIC bodies stay whole.
sub statements {
	my ($sql, $now, $depth, @out) = (shift, '', 0);
	while ($sql =~ /\G(--[^\n]*|\/\*.*?\*\/|'(?:[^']|'')*'|"[^"]*"|(\$\w*\$).*?\2|\bBEGIN\s+ATOMIC\b|\bCASE\b|\bEND\b|;|\w+|.)/gsi) {
		my $piece = $1;
		next if $piece =~ /^(--|\/\*)/;
		$depth++ if $piece =~ /^BEGIN\s/i || ($depth && uc $piece eq 'CASE');
		$depth-- if $depth && uc $piece eq 'END';
		if ($piece eq ';' && !$depth) { push @out, $now =~ s/^\s+|\s+$//gr; $now = ''; next }
		$now .= $piece;
	}
	push @out, $now if $now =~ /\S/;
	return grep { /\S/ } @out;
}

my %step;
for my $file (sort glob 'sql/*.sql sql/*/*.sql') {
	open my $in, '<', $file or die "$file: $!";
	my $sql = do { local $/; <$in> };
	complain("$file: has a tab") if $sql =~ /\t/;
	for my $statement (statements($sql =~ s/^\\.*//mgr)) {
		my ($first) = $statement =~ /^(.{1,70})/;
		complain("$file: not allowed in again/: $first") if $file =~ m{/again/} && $statement !~
		  /^(CREATE OR REPLACE (FUNCTION|PROCEDURE|AGGREGATE)|COMMENT ON (FUNCTION|PROCEDURE|AGGREGATE)|GRANT|REVOKE)\s/;
		complain("$file: not allowed in once/: $first") if $file =~ m{/once/} && $statement =~ /^CREATE\s+OR REPLACE|\bIF NOT EXISTS\b/;
		complain("$file: schema not written: $first") if $file !~ m{/setup/} && $statement =~
		  /^(?:CREATE (?:OR REPLACE )?|COMMENT ON )(?:FUNCTION|PROCEDURE|AGGREGATE|TABLE|VIEW|TYPE) (?!cdp(?:_\w+)?\.)/;
	}
	while ($sql =~ /^CREATE (?:OR REPLACE )?FUNCTION (\S+?)\(((?:.(?!\n\n))*?)(?:\bAS \$|\bRETURN |\bBEGIN ATOMIC|\bAS ')/msg) {
		my ($name, $head) = ($1, $2);
		complain("$file: $name does not say IMMUTABLE, STABLE or VOLATILE") if $head !~ /\b(IMMUTABLE|STABLE|VOLATILE)\b/;
		complain("$file: $name is IMMUTABLE but does not say PARALLEL") if $head =~ /\bIMMUTABLE\b/ && $head !~ /\bPARALLEL\b/;
	}
	next unless $file =~ m{/setup/};
	while ($sql =~ /^-- step: (.*)$/mg) { complain("$file: step '$1' twice") if $step{"$file $1"}++ }
}
exit $bad;
