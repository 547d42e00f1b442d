# Samples the anonymous memory of a process until it ends: perl sample.pl PID OUT
# Writes baseline (the first sample), peak (kB) and the number of samples to OUT.
use strict;
use warnings;
my ($pid, $out) = @ARGV;
my ($first, $peak, $n) = (undef, 0, 0);
while (open my $f, '<', "/proc/$pid/status") {
  my ($kb) = map { /^RssAnon:\s+(\d+)/ ? $1 : () } <$f>;
  close $f;
  last unless defined $kb;
  $first //= $kb;
  $peak = $kb if $kb > $peak;
  $n++;
  select undef, undef, undef, 0.003;
}
open my $o, '>', "$out.tmp" or die "$out: $!\n";
print $o $first // 0, " $peak $n\n";
close $o;
rename "$out.tmp", $out;
