# Checks our totals against themselves: awk -v conversions=N -v value=V -f conserve.awk OURS [OTHER]
# Every model's conversions and value add up to N and V (to 1e-9), Shapley equals linear_unique (its simplified
# formula splits by distinct channel), and each row of OTHER is in OURS to the last digit.
BEGIN { FS = "\t" }
FNR == 1 { file++; next }
file == 1 { c[$1, $2] = $3; v[$1, $2] = $4; sum[$2] += $3; money[$2] += $4; label[$1] = 1; next }
c[$1, $2] != $3 || v[$1, $2] != $4 { print "unlike the other pass: " $2 " of " $1; wrong = 1; exit }
function apart(a, b) { return (a > b ? a - b : b - a) > 1e-9 * (a < 0 ? -a : a) }
END {
  if (wrong) exit 1
  for (m in sum) {
    n++
    if (apart(conversions, sum[m]) || apart(value, money[m])) {
      printf "%s adds up to %.9f and %.6f instead of %s and %s\n", m, sum[m], money[m], conversions, value
      exit 1
    }
  }
  if ("shapley" in sum)
    for (l in label)
      if (apart(c[l, "linear_unique"], c[l, "shapley"]) || apart(v[l, "linear_unique"], v[l, "shapley"])) {
        print "shapley is not linear_unique for " l
        exit 1
      }
  if (n == 0) { print "no model"; exit 1 }
  printf "%d models add up\n", n
}
