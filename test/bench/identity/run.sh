# The identity room of `make bench`; sourced by tools/bench.sh. See docs/benchmarks.md.

here=$BENCH_TOP/test/bench/identity
. "$here/components.sh"
. "$here/online.sh"

comparing() {
	echo "== comparing texts"
	delegated jaro_winkler_vs_pg_similarity test/bench/identity/compare.sh
}

# CDP_BENCH_PARTS names some of them, to try one.
rm -f "$BENCH_DIR/links.tsv"
for part in ${CDP_BENCH_PARTS:-components components_memory comparing online merging merged}; do
	"$part"
done
rm -f "$BENCH_DIR/links.tsv"
