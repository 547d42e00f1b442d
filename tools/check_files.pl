#!/usr/bin/env perl
# Every file says in its first lines what it is for, stays below 1,200 lines, and holds no unfinished business.
use strict;
use warnings;
use FindBin;

chdir "$FindBin::Bin/.." or die $!;
my $bad = 0;
sub complain { print "$_[0]\n"; $bad = 1 }

my @files = grep { -f } split /\n/, `find . \\( -path ./build -o -path ./.git -o -path ./node_modules -o -path ./results \\) -prune -o -type f -print`;
for my $file (map { s{^\./}{}r } @files) {
	next if $file =~ m{^(expected/|LICENSE$|test/old/)} || $file =~ /\.(o|so|bc|gitkeep|csv|png|json)$/ || -B $file;
	open my $in, '<', $file or die "$file: $!";
	my @line = <$in>;
	complain("$file: " . @line . " lines; split it below 1,200") if @line > 1200;
	complain("$file: does not end with a newline") if @line && $line[-1] !~ /\n\z/;
	my $head = join '', splice @{ [@line] }, 0, 6;
	my $comment =
	    $file =~ /\.[ch]$/                             ? qr{^/\*.*\n(?: \*.*\w.*\n)}m
	  : $file =~ /\.sql$/                              ? qr{^--.*\w}m
	  : $file =~ /\.md$/                               ? qr{^\#\s+\w}m
	  : $file =~ /\.(mjs|js)$/                         ? qr{^(//|/\*).*\w}m
	  : $file =~ /\.(sh|pl|pm|py|spec)$|run$|Makefile$/ ? qr{^\#\s*[^!\s].*\w}m
	  :                                                  undef;
	complain("$file: its first lines do not say what it is for") if $comment && $head !~ $comment;
	for my $i (0 .. $#line) {
		complain("$file:" . ($i + 1) . ": unfinished business") if $line[$i] =~ /\b(?:TO)(?:DO)\b|\bFIX(?:ME)\b|\bX(?:XX)\b/;
		complain("$file:" . ($i + 1) . ": blanks at the end of the line") if $file !~ /\.(md|out)$/ && $line[$i] =~ /[ \t]\n\z/;
	}
}
exit $bad;
