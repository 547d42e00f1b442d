# Compares our totals with a peer's: awk -f compare.awk OURS PEER
# Both are tab-separated with a header. Ours has label, model, conversions, value; the peer's has a row a
# channel and a pair of columns a model, <model> and <model>_value. Every figure of the peer must be within
# 1e-9 of ours, relatively, and every channel of ours must be there. Prints "equal N figures" or what differs.
BEGIN { FS = "\t" }
FNR == 1 { file++; for (i = 1; i <= NF; i++) head[file, i] = $i; next }
file == 1 {
  model = $2
  sub(/\(7 days\)$/, "", model)
  ours[$1, model] = $3
  ours[$1, model "_value"] = $4
  if ($1 != "(unattributed)") labels[$1] = 1
  next
}
{
  seen[$1] = 1
  for (i = 2; i <= NF; i++) {
    key = $1 SUBSEP head[2, i]
    if (!(key in ours)) { print "we have no " head[2, i] " of " $1; wrong = 1; exit }
    a = ours[key]; b = $i
    size = a < 0 ? -a : a
    gap = a > b ? a - b : b - a
    if (gap > 1e-9 * size) { printf "%s of %s: ours %s, peer %s\n", head[2, i], $1, a, b; wrong = 1; exit }
    if (size > 0 && gap / size > worst) worst = gap / size
    n++
  }
}
END {
  if (wrong) exit 1
  for (l in labels) if (!(l in seen)) { print "the peer has no " l; exit 1 }
  if (n == 0) { print "nothing to compare"; exit 1 }
  printf "equal %d figures, largest relative difference %.1e\n", n, worst
}
