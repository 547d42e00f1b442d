# The identity room of `make bench`; sourced by tools/bench.sh. See docs/benchmarks.md.

comparing() {
	echo "== comparing texts"
	delegated jaro_winkler_vs_pg_similarity test/bench/identity/compare.sh
}

# CDP_BENCH_PARTS names some of them, to try one.
for part in ${CDP_BENCH_PARTS:-comparing}; do
	"$part"
done
