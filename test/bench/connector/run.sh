# The connector room of `make bench`; sourced by tools/bench.sh. See docs/benchmarks.md. One file a part, each of which
# names itself in bench_connector_parts.

here=$BENCH_TOP/test/bench/connector
bench_connector_parts=()
for part in "$here"/[a-z]*.sh; do
	[ "$part" = "$here/run.sh" ] || . "$part"
done

# CDP_BENCH_PARTS names some of them, to try one.
for part in ${CDP_BENCH_PARTS:-"${bench_connector_parts[@]}"}; do
	"$part"
done
