#!/usr/bin/env bash
# markov_solve_vs_dense: CPU seconds of cdp.attribution_removal (order 3, all labels of PathData) over those of
# 13 dgesv of LAPACK on the same chain. Called by tools/bench.sh with PGHOST etc. of its cluster:
#   CDP_BENCH_DIR  folder to write to (default build/bench)      CDP_BENCH_RUNS  runs (default 5)
# Prints raw figures, then "RATIO markov_solve_vs_dense VALUE", or WRONG when answers or residuals are off.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=markov_solve_vs_dense
dir=${CDP_BENCH_DIR:-build/bench}
runs=${CDP_BENCH_RUNS:-5}
repeat=20 # ours takes milliseconds, so each run solves so often
data=$(cd .. && pwd)/shared/data/attribution/pathdata.csv
wrong() { echo "WRONG $name $*"; exit 0; }
[ -f "$data" ] || wrong "no data: $data is absent"
mkdir -p "$dir"

run() { psql -qXAt -v ON_ERROR_STOP=1 -d bench_markov "$@"; }
psql -qX -d postgres -c 'DROP DATABASE IF EXISTS bench_markov' -c 'CREATE DATABASE bench_markov' 2>/dev/null
trap 'psql -qX -d postgres -c "DROP DATABASE IF EXISTS bench_markov" >/dev/null 2>&1' EXIT
run -c 'CREATE EXTENSION pg_cdp' \
	-c 'CREATE TABLE path (path text, conversions bigint, value numeric, nulls bigint)' \
	-c "\\copy path FROM '$data' CSV HEADER" \
	-c "CREATE TABLE kept AS SELECT cdp.attribution_path_pass(string_to_array(path, ' > '), conversions, value, nulls,
		cdp.attribution_options(models => '{markov(3)}')) AS a FROM path"

run -F'|' -c "SELECT array_to_string(from_state, '>'), array_to_string(to_state, '>'), count
	FROM kept, cdp.attribution_transitions(a, 3)" >"$dir/markov_chain.txt"
gcc -O2 -o "$dir/markov_dense" test/bench/markov_dense.c -llapack -lblas -lm
"$dir/markov_dense" "$dir/markov_chain.txt" "$runs" >"$dir/markov_dense.out"
run -F' ' -c "SELECT 'effect', label, removal_conversions FROM kept, cdp.attribution_removal(a, 3)" >"$dir/markov_ours.out"

# The partial is fetched once; what is timed is opening it, the 13 systems and the rows.
run >"$dir/markov_ours.cpu" <<SQL
SET jit = off;
CREATE FUNCTION pg_temp.cpu() RETURNS bigint LANGUAGE sql VOLATILE AS
\$\$ SELECT split_part(pg_read_file('/proc/self/schedstat', 0, 200), ' ', 1)::bigint \$\$;
CREATE FUNCTION pg_temp.measure(runs int, repeat int) RETURNS SETOF text LANGUAGE plpgsql AS \$\$
DECLARE
  p cdp.attribution_partial := (SELECT a FROM kept);
  began bigint;
BEGIN
  PERFORM cdp.attribution_removal(p, 3);
  FOR run IN 1 .. runs LOOP
    began := pg_temp.cpu();
    FOR i IN 1 .. repeat LOOP
      PERFORM cdp.attribution_removal(p, 3);
    END LOOP;
    RETURN NEXT format('cpu %s', round((pg_temp.cpu() - began) / 1e9 / repeat, 6));
  END LOOP;
END \$\$;
SELECT pg_temp.measure($runs, $repeat);
SELECT 'residual ' || residual FROM kept, cdp_internal.attribution_markov_check(a) WHERE k = 3;
SQL

median() { awk '$1 == "cpu" { print $2 }' "$1" | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
ours=$(median "$dir/markov_ours.cpu")
dense=$(median "$dir/markov_dense.out")
residual=$(awk '$1 == "residual" { print $2 }' "$dir/markov_ours.cpu")
peer_residual=$(awk '$1 == "residual" { print $2 }' "$dir/markov_dense.out")
difference=$(awk '$1 != "effect" { next } NR == FNR { a[$2] = $3; n++; next } !($2 in a) { bad = 1; next }
	{ d = a[$2] - $3; if (d < 0) d = -d; if (d > m) m = d; seen++ } END { if (bad || seen != n || n == 0) print 1; else print m + 0 }' \
	"$dir/markov_dense.out" "$dir/markov_ours.out")
echo "  ours: $ours s CPU for 13 systems with opening the partial, median of $runs runs; relative residual $residual"
echo "  peer: $dense s CPU in 13 dgesv, median of $runs runs; relative residual $peer_residual; $(awk '$1 == "states" { print $2 }' "$dir/markov_dense.out") states"
echo "  peer's library: $(ldd "$dir/markov_dense" | awk '/lapack|blas/ { print $3 }' | xargs -r -n1 readlink -f | xargs) ($(dpkg-query -W -f '${Version}' liblapack3 2>/dev/null || echo unknown version))"
echo "  largest difference of removal effects: $difference"
awk -v d="$difference" 'BEGIN { exit !(d <= 1e-12) }' || wrong "removal effects differ by $difference"
awk -v r="$residual" 'BEGIN { exit !(r <= 1e-12) }' || wrong "relative residual $residual"
echo "RATIO $name $(awk -v a="$ours" -v b="$dense" 'BEGIN { printf "%.5f", a / b }')"
