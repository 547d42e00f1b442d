#!/usr/bin/env bash
# make bench: measures the goals of test/bench/goals.csv on a private cluster under build/.
#   ROOM=attribution            one room only
#   CDP_BENCH_TOUCHES=10000000  size (customers are a tenth of it, conversions a fiftieth)
#   CDP_BENCH_RUNS=5            measured runs of each query; figures are their medians
# Prints `BENCH <name> <value> <= <goal>` with the raw figures above it. A goal that is missed is printed like
# any other; the exit status is 1 only when answers differ or something could not be measured.
set -euo pipefail
. "$(dirname "$0")/env.sh"

BENCH_TOP=$CDP_TOP
BENCH_DIR=$CDP_WORK/bench
BENCH_RUNS=${CDP_BENCH_RUNS:-5}
rooms=${ROOM:-$(cd "$BENCH_TOP/test/bench" && ls -d */ | tr -d /)}
for room in $rooms; do
	[ -f "$BENCH_TOP/test/bench/$room/run.sh" ] || { echo "bench: no room '$room' in test/bench" >&2; exit 2; }
done

echo "== preparing the server"
bash "$BENCH_TOP/tools/install_packages.sh" build bench
bash "$BENCH_TOP/tools/server.sh"
mkdir -p "$BENCH_DIR"

# A virtual machine gets its memory from the host at the first touch, which costs more than any query here.
# Touched once and given back, it is there for both sides.
perl -e 'my ($kb) = map { /^MemAvailable:\s+(\d+)/ ? $1 : () } do { open my $f, "<", "/proc/meminfo"; <$f> };
	my $mb = int($kb / 1024 / 4); $mb = 3072 if $mb > 3072; my $touched = "\1" x ($mb << 20);'

# Settings are those of a machine given to the database; a small machine gets a quarter of its memory.
memory=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
buffers=$((memory >= 12000 ? 4096 : memory / 4))
eval "$(bash "$BENCH_TOP/tools/cluster.sh" start bench "shared_buffers=${buffers}MB" jit=off \
	max_parallel_workers_per_gather=0 autovacuum=off wal_level=minimal max_wal_senders=0 max_wal_size=16GB timezone=UTC)"
finish() {
	bash "$BENCH_TOP/tools/cluster.sh" stop bench
	rm -f "$BENCH_DIR/events.csv"
}
trap finish EXIT
trap 'exit 130' INT TERM

echo "  $(date -u +%F\ %H:%M) UTC, $(nproc) processors ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)), \
$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GB memory, load $(cut -d' ' -f1 /proc/loadavg)"
echo "  $(psql -qXAt -d postgres -c 'SELECT version()'), shared_buffers ${buffers}MB"
. "$BENCH_TOP/test/bench/lib.sh"
for room in $rooms; do
	. "$BENCH_TOP/test/bench/$room/run.sh"
done
echo "== load at the end: $(cut -d' ' -f1-3 /proc/loadavg)"
exit "$bench_bad"
