#!/usr/bin/env perl
# Runs TAP-speaking files and appends one line "passed failed skipped" (assertions) to the counts file.
#   prove.pl --counts FILE [--jobs N] --exec 'command' file ...
# A file that dies, breaks its plan or prints no test counts as one failure more.
use strict;
use warnings;
use Getopt::Long;
use TAP::Harness;

my ($counts, $jobs, $exec) = (undef, 1, undef);
GetOptions('counts=s' => \$counts, 'jobs=i' => \$jobs, 'exec=s' => \$exec) or exit 2;
$| = 1;

my ($passed, $failed, $skipped, $started) = (0, 0, 0, time);
my $harness = TAP::Harness->new({
	exec => [ split ' ', $exec ], jobs => $jobs, verbosity => 0, failures => 1, comments => 1, timer => 1, color => 0 });
$harness->callback(made_parser => sub {
	my ($parser, $test) = @_;
	$parser->callback(EOF => sub {
		my $p = shift;
		my $skips = () = $p->skipped;
		$skipped += $p->skip_all ? 1 : $skips;
		$passed  += $p->passed - $skips;
		$failed  += $p->failed;
		$failed++ if !$p->failed && ($p->parse_errors || $p->exit || (!$p->skip_all && !$p->tests_run));
		my $why = $p->skip_all || join '; ', map { ($p->{cdp_skips} // {})->{$_} // () } ($p->skipped)[0 .. 0];
		printf "   %s: %s skipped%s\n", $test->[1], $p->skip_all ? 'all' : $skips, $why ? " ($why)" : ''
		  if $p->skip_all || $skips;
	});
	$parser->callback(test => sub {
		my $t = shift;
		$parser->{cdp_skips}{ $t->number } = $t->explanation if $t->has_skip;
	});
});
# A file that bails out ends the harness, and with it all files after it.
if (!eval { $harness->runtests(@ARGV); 1 }) {
	print $@;
	$failed++;
}

open my $out, '>>', $counts or die "cannot append to $counts: $!";
print $out "$passed $failed $skipped\n";
close $out or die $!;
exit($failed ? 1 : 0);
