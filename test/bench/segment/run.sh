# The segment room of `make bench`; sourced by tools/bench.sh. See docs/benchmarks.md.

here=$BENCH_TOP/test/bench/segment
events=${CDP_BENCH_EVENTS:-20000000}
segment_customers=$((events / 20))
# jit is on, as PostgreSQL has it by default
segment_common="SET jit = on; SET max_parallel_workers_per_gather = 0; SET work_mem = '256MB'; SET timezone = 'UTC';"

# The events, made when the first part needs them.
segment_data() {
	[ ! -f "$BENCH_DIR/segment_events.csv" ] || return 0
	echo "== $events events of $segment_customers customers, 180 days, 20 kinds, seed 7"
	gcc -O2 -o "$BENCH_DIR/generate_events" "$here/generate.c"
	"$BENCH_DIR/generate_events" "$events" "$segment_customers" 7 >"$BENCH_DIR/segment_events.csv"
	createdb bench_segment
	psql -qX -d bench_segment -f "$here/tables.sql" <"$BENCH_DIR/segment_events.csv"
	psql -qX -v ON_ERROR_STOP=1 -d bench_segment -c 'CREATE EXTENSION pg_cdp'
	bench_cpu bench_segment
	psql -qXAt -F ' ' -d bench_segment <<-'SQL'
		SELECT '  rows: ' || count(*) || ' (' || pg_size_pretty(pg_table_size('events')) || '), customers ' || count(DISTINCT customer)
		  || ', of the funnel''s kinds ' || count(*) FILTER (WHERE kind BETWEEN 1 AND 4) FROM events;
	SQL
}

# DuckDB's answers and figures: segment_duckdb FIGURES NAME ...
segment_duckdb() {
	local f=$1
	shift
	mkdir -p "$BENCH_DIR/node"
	cp "$BENCH_TOP/test/bench/package.json" "$BENCH_TOP/test/bench/package-lock.json" "$BENCH_DIR/node/"
	(cd "$BENCH_DIR/node" && npm install --no-audit --no-fund --loglevel=error >npm.log 2>&1) ||
		{ tail -n 5 "$BENCH_DIR/node/npm.log"; return 1; }
	(cd "$BENCH_DIR" && node "$here/duckdb.mjs" node "$here" "$BENCH_RUNS" "$@") >"$BENCH_DIR/duckdb_segment.log" 2>&1 ||
		{ tail -n 5 "$BENCH_DIR/duckdb_segment.log"; return 1; }
	sed -n 's/^version /  /p' "$BENCH_DIR/duckdb_segment.log"
	grep -E "^($(IFS='|'; echo "$*")) " "$BENCH_DIR/duckdb_segment.log" >>"$f"
}

# Four steps within seven days, against the faster of DuckDB's forms.
funnel() {
	local name=funnel_vs_duckdb f=$BENCH_DIR/figures_funnel form best seconds
	local forms=(funnel_asof funnel_window funnel_list)
	: >"$f"
	rm -f "$BENCH_DIR"/duckdb_funnel_*.tsv
	segment_data
	echo "== a funnel of four steps within seven days"
	if ! measure bench_segment "$BENCH_RUNS" "$segment_common" scan="$here/scan.sql" funnel="$here/funnel.sql" funnel_times="$here/funnel_times.sql" >>"$f"; then
		broken $name "the pass failed"
		return
	fi
	if ! segment_duckdb "$f" "${forms[@]}"; then
		broken $name "the peer gave no figure"
		return
	fi
	for form in "${forms[@]}"; do
		if ! cmp -s "$BENCH_DIR/funnel.tsv" "$BENCH_DIR/duckdb_$form.tsv"; then
			wrong $name "customers by step: $(tail -n +2 "$BENCH_DIR/funnel.tsv" | tr '\t\n' '= '); peer_duckdb_$form.sql: $(tail -n +2 "$BENCH_DIR/duckdb_$form.tsv" | tr '\t\n' '= ')"
			return
		fi
		seconds=$(median "$form" <"$f")
		echo "  peer_duckdb_$form.sql: $seconds s CPU ($(spread "$form" <"$f"))"
		if [ -z "${best:-}" ] || awk -v a="$seconds" -v b="$(median "$best" <"$f")" 'BEGIN { exit !(a < b) }'; then
			best=$form
		fi
	done
	echo "  ours: $(median funnel <"$f") s CPU ($(spread funnel <"$f")), with all times between steps $(median funnel_times <"$f") s, count(*) $(median scan <"$f") s;" \
		"customers by step, equal in all: $(tail -n +2 "$BENCH_DIR/funnel.tsv" | cut -f2 | tr '\n' ' ')"
	line $name "$(ratio "$(median funnel <"$f")" "$(median "$best" <"$f")")"
}

# CDP_BENCH_PARTS names some of them, to try one.
rm -f "$BENCH_DIR/segment_events.csv"
for part in ${CDP_BENCH_PARTS:-funnel}; do
	"$part"
done
rm -f "$BENCH_DIR/segment_events.csv"
