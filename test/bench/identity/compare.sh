#!/usr/bin/env bash
# jaro_winkler_vs_pg_similarity: CPU seconds of the backend to count the pairs of names that are at least 0.88 alike,
# by cdp.jaro_winkler() and by jarowinkler() of pg_similarity (Debian package). Both figures hold the scan of the table,
# which is the same for both and only brings the ratio nearer to 1; the ratio without it is printed beside.
# The names are made of syllables, 3 to 14 letters; half of the pairs are one name typed twice, half two of a block.
# Answers: all pairs must be equal to 1e-6 (the names are small letters of ASCII: the peer folds case and compares bytes),
# and ours must equal the textbook's loops in plpgsql on 10,000 of these pairs and on 10,000 of Chinese names.
#
#   CDP_BENCH_PAIRS=1000000   pairs
#   CDP_BENCH_RUNS=5          runs of each side, in turn; the figure is the ratio of the medians
# Called by tools/bench.sh it uses that cluster; alone it makes one. Prints RATIO, or WRONG when answers differ.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tools/env.sh
name=jaro_winkler_vs_pg_similarity
pairs=${CDP_BENCH_PAIRS:-1000000} runs=${CDP_BENCH_RUNS:-5} dir=${CDP_BENCH_DIR:-$CDP_WORK/bench}
BENCH_TOP=$CDP_TOP BENCH_DIR=$dir
. test/bench/lib.sh
mkdir -p "$dir"
if [ -z "${CDP_BENCH_DIR:-}" ]; then
	bash tools/install_packages.sh build bench
	bash tools/server.sh
	eval "$(bash tools/cluster.sh start bench_compare shared_buffers=1GB jit=off max_parallel_workers_per_gather=0 autovacuum=off)"
	trap 'bash tools/cluster.sh stop bench_compare' EXIT
else
	trap 'dropdb --if-exists bench_compare' EXIT
fi
createdb -T template0 -E UTF8 -l C.UTF-8 bench_compare
bench_cpu bench_compare
psql -qX -v ON_ERROR_STOP=1 -v pairs="$pairs" -d bench_compare -f test/bench/identity/compare_pairs.sql
psql -qXAt -d bench_compare -c "SELECT '  ' || count(*) || ' pairs of ' || round(avg(length(a) + length(b)) / 2, 1) || ' letters on average, '
	|| count(*) FILTER (WHERE cdp.jaro_winkler(a, b) >= 0.88) || ' at least 0.88 alike, ' || count(*) FILTER (WHERE cdp.jaro_similarity(a, b) <= 0.7) || ' with Jaro at most 0.7' FROM pair"

far=$(psql -qXAt -d bench_compare -c "SELECT count(*) FROM pair WHERE abs(cdp.jaro_winkler(a, b) - jarowinkler(a, b)) IS NULL
	OR abs(cdp.jaro_winkler(a, b) - jarowinkler(a, b)) > 1e-6")
slow=$(psql -qXAt -d bench_compare -f test/bench/identity/compare_check.sql)
echo "  answers: $far of $pairs pairs differ from the peer's, $slow of 20,000 from the loops in plpgsql"
if [ "$far" -ne 0 ] || [ "$slow" -ne 0 ]; then
	echo "WRONG $name $far of $pairs pairs differ from the peer's, $slow of 20,000 from the loops"
	exit 0
fi

echo "SELECT count(*) FROM pair WHERE a IS NULL OR b IS NULL;" >"$dir/compare_scan.sql"
echo "SELECT count(*) FROM pair WHERE cdp.jaro_winkler(a, b) >= 0.88;" >"$dir/compare_ours.sql"
echo "SELECT count(*) FROM pair WHERE jarowinkler(a, b) >= 0.88;" >"$dir/compare_peer.sql"
echo "SELECT count(*) FROM pair WHERE cdp.jaro_winkler(a_chinese, b_chinese) >= 0.88;" >"$dir/compare_chinese.sql"
measure bench_compare "$runs" "SET jit = off; SET max_parallel_workers_per_gather = 0;" scan="$dir/compare_scan.sql" ours="$dir/compare_ours.sql" \
	peer="$dir/compare_peer.sql" chinese="$dir/compare_chinese.sql" >"$dir/compare_figures"
f=$dir/compare_figures
for side in scan ours peer chinese; do
	declare "$side=$(median $side <"$f")"
done
# shellcheck disable=SC2154
echo "  ours $ours s CPU ($(spread ours <"$f")), pg_similarity $peer s ($(spread peer <"$f")), the scan alone $scan s ($(spread scan <"$f"))"
echo "  net of the scan the ratio would be $(awk -v a="$ours" -v b="$peer" -v s="$scan" 'BEGIN { printf "%.3f", (a - s) / (b - s) }');" \
	"ours on as many pairs of Chinese names, 2 to 4 characters: $chinese s"
echo "RATIO $name $(ratio "$ours" "$peer")"
