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
	psql -qX -v ON_ERROR_STOP=1 -d bench_segment -c 'CREATE EXTENSION pg_cdp' -c 'CREATE EXTENSION pg_prewarm' -f "$here/rules.sql"
	# Larger than a quarter of the buffers, it would be read into them anew by each scan.
	psql -qXAt -d bench_segment -c "SELECT pg_prewarm('events')" >/dev/null
	bench_cpu bench_segment
	psql -qXAt -F ' ' -d bench_segment <<-'SQL'
		SELECT '  rows: ' || count(*) || ' (' || pg_size_pretty(pg_table_size('events')) || '), customers ' || count(DISTINCT customer)
		  || ', of the funnel''s kinds ' || count(*) FILTER (WHERE kind BETWEEN 1 AND 4) FROM events;
	SQL
}

# DuckDB's answers and figures: segment_duckdb FIGURES NAME[=RUNS] ...
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
	grep -E "^($(IFS='|'; echo "${*%%=*}")) " "$BENCH_DIR/duckdb_segment.log" >>"$f"
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
	# The fold over lists takes ten times as long as the others, so it is measured once.
	if ! segment_duckdb "$f" "${forms[@]/%_list/_list=1}"; then
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

# An answer without names of columns: rows NAME
rows() { grep -E '^[0-9]' "$BENCH_DIR/$1.tsv"; }

# A line of the rules: rules_line NAME OURS THEIRS WORDS
rules_line() {
	local f=$BENCH_DIR/figures_rules
	echo "  ours: $(median "$2" <"$f") s CPU ($(spread "$2" <"$f")), $4: $(median "$3" <"$f") s ($(spread "$3" <"$f"))"
	line "$1" "$(ratio "$(median "$2" <"$f")" "$(median "$3" <"$f")")"
}

# SQL of a peer as a file: peer_file QUERY FILE
peer_file() { psql -qXAt -v ON_ERROR_STOP=1 -d bench_segment -c "$1" >"$BENCH_DIR/$2"; }

# The first place where two answers differ, or nothing: differ OURS THEIRS
differ() { diff <(printf '%s\n' "$1") <(printf '%s\n' "$2") | grep -m 2 '^[<>]' | tr '\t\n' '  ' || true; }

# The 35 rules in one pass, 230 of the same parts, and the peers.
rules() {
	local f=$BENCH_DIR/figures_rules name said
	few=$((BENCH_RUNS < 3 ? BENCH_RUNS : 3)) # runs of what takes long
	: >"$f"
	segment_data
	echo "== 35 rules together: 15 counts, 10 did this and not that, 10 this then that within seven days"
	if ! measure bench_segment "$BENCH_RUNS" "$segment_common" scan="$here/scan.sql" segments="$here/segments_35.sql" segments230="$here/segments_230.sql" >>"$f" ||
		! measure bench_segment 0 "$segment_common" check="$here/segments_check.sql"; then
		for name in vs_scan vs_indexed_sql vs_duckdb vs_duckdb_merged 230_vs_35; do broken "segments_$name" "the pass failed"; done
		return
	fi
	ours=$(rows check | head -n 35)
	rules_indexed
	rules_duckdb
	echo "  size of the 35: $(printf '%s\n' "$ours" | cut -f2 | tr '\n' ' ')"
}

# Plain SQL with a covering index: 35 queries; and the oracle of the other rules.
rules_indexed() {
	local f=$BENCH_DIR/figures_rules said
	peer_file "SELECT * FROM bench.peer_separate('postgres', '', true)" peer_indexed_check.sql
	peer_file "SELECT * FROM bench.peer_separate('postgres', '', false)" peer_indexed.sql
	if ! psql -qX -v ON_ERROR_STOP=1 -d bench_segment -f "$here/peer_index.sql" ||
		! measure bench_segment 0 "${segment_common/jit = on/jit = off}" indexed_check="$BENCH_DIR/peer_indexed_check.sql" oracle="$here/oracle.sql" ||
		! measure bench_segment "$few" "${segment_common/jit = on/jit = off}" indexed="$BENCH_DIR/peer_indexed.sql" >>"$f"; then
		for name in vs_scan vs_indexed_sql 230_vs_35; do broken "segments_$name" "the peer gave no figure"; done
		return
	fi
	said=$(differ "$ours" "$(rows indexed_check)")$(differ "$(rows segments)" "$(printf '%s\n' "$ours" | cut -f1-2)")
	if [ -n "$said" ]; then
		wrong segments_vs_scan "rules of peer_indexed_check.sql: $said"
		wrong segments_vs_indexed_sql "rules of peer_indexed_check.sql: $said"
	else
		rules_line segments_vs_scan segments scan "count(*)"
		rules_line segments_vs_indexed_sql segments indexed "35 queries over the covering index"
	fi
	said=$(differ "$(rows check)" "$ours"$'\n'"$(rows oracle)")$(differ "$(rows segments230)" "$(rows check | cut -f1-2)")
	if [ -n "$said" ]; then
		wrong segments_230_vs_35 "rules of oracle.sql: $said"
	else
		rules_line segments_230_vs_35 segments230 segments "of which the 35"
	fi
}

# DuckDB: 35 queries in two forms, the 25 without sequences together in two forms; the faster counts.
rules_duckdb() {
	local f=$BENCH_DIR/figures_rules form best said
	rm -f "$BENCH_DIR"/duckdb_*.tsv
	for form in asof window; do
		peer_file "SELECT * FROM bench.peer_separate('duckdb', '$form', true)" "peer_duckdb_separate_${form}_check.sql"
		peer_file "SELECT * FROM bench.peer_separate('duckdb', '$form', false)" "peer_duckdb_separate_$form.sql"
	done
	for form in filter case; do
		peer_file "SELECT bench.peer_merged('$form', true)" "peer_duckdb_merged_${form}_check.sql"
		peer_file "SELECT bench.peer_merged('$form', false)" "peer_duckdb_merged_$form.sql"
	done
	if ! segment_duckdb "$f" separate_asof="$few" separate_window="$few" merged_filter merged_case; then
		broken segments_vs_duckdb "the peer gave no figure"
		broken segments_vs_duckdb_merged "the peer gave no figure"
		return
	fi
	said=$(differ "$ours" "$(rows duckdb_separate_asof)")$(differ "$ours" "$(rows duckdb_separate_window)")
	if [ -n "$said" ]; then
		wrong segments_vs_duckdb "$said"
	else
		best=$(for form in separate_asof separate_window; do echo "$(median $form <"$f") $form"; done | sort -g | head -n 1 | cut -d' ' -f2)
		echo "  DuckDB separately: sequences by ASOF and joins $(median separate_asof <"$f") s, by window functions $(median separate_window <"$f") s"
		rules_line segments_vs_duckdb segments "$best" "DuckDB, the 35 separately ($best)"
	fi
	said=$(for form in filter case; do differ "$(printf '%s\n' "$ours" | head -n 25 | cut -f2-3 | tr '\t' '\n')" "$(rows duckdb_merged_$form | tr '\t' '\n')"; done)
	if [ -n "$said" ]; then
		wrong segments_vs_duckdb_merged "$said"
	else
		best=$(for form in merged_filter merged_case; do echo "$(median $form <"$f") $form"; done | sort -g | head -n 1 | cut -d' ' -f2)
		echo "  DuckDB in one scan: by FILTER $(median merged_filter <"$f") s, by sums of cases $(median merged_case <"$f") s"
		rules_line segments_vs_duckdb_merged segments "$best" "DuckDB, the 25 without sequences in one scan ($best)"
	fi
}

# A session over our own tables: run after run a thousand new events (not measured), a tick, a pass and a preview of the same moment.
runs_session() {
	local run what
	{
		echo "$segment_common SET client_min_messages = warning;"
		echo '\pset footer off'
		echo "\\set run 0"
		echo "\\o $BENCH_DIR/own_first.tsv"
		echo "SELECT bench_cpu() AS cdp_before \\gset"
		echo "\\i $here/own_pass.sql"
		echo "SELECT (bench_cpu() - :cdp_before) / 1e9 AS cdp_used \\gset"
		echo '\o'
		echo '\echo first :cdp_used'
		echo "\\o $BENCH_DIR/own_check.tsv"
		echo "\\i $here/own_check.sql"
		for ((run = 1; run <= BENCH_RUNS + 1; run++)); do
			echo "\\set run $run"
			echo '\o /dev/null'
			echo "\\i $here/own_touch.sql"
			for what in tick pass preview; do
				echo "\\o $BENCH_DIR/own_${what}_$run.tsv"
				echo 'SELECT bench_cpu() AS cdp_before \gset'
				echo "\\i $here/own_$what.sql"
				echo 'SELECT (bench_cpu() - :cdp_before) / 1e9 AS cdp_used \gset'
				echo '\o'
				# The first of each warms up.
				((run == 1)) || echo "\\echo $what :cdp_used"
			done
		done
		echo "\\o $BENCH_DIR/own_preview_check.tsv"
		echo "\\i $here/own_preview_check.sql"
		echo '\o /dev/null'
		echo "\\i $here/own_more.sql"
		echo "\\i $here/own_pass.sql"
		for ((run = 1; run <= BENCH_RUNS + 1; run++)); do
			echo "\\set run $((BENCH_RUNS + 1 + run))"
			echo '\o /dev/null'
			echo "\\i $here/own_touch.sql"
			for what in tick pass overlap; do
				echo "\\o $BENCH_DIR/own_${what}50_$run.tsv"
				echo 'SELECT bench_cpu() AS cdp_before \gset'
				echo "\\i $here/own_$what.sql"
				echo 'SELECT (bench_cpu() - :cdp_before) / 1e9 AS cdp_used \gset'
				echo '\o'
				((run == 1)) || echo "\\echo ${what}50 :cdp_used"
			done
		done
		echo "\\o $BENCH_DIR/own_overlap_check.tsv"
		echo "\\i $here/own_overlap_check.sql"
	} | psql -qXA -F $'\t' -v ON_ERROR_STOP=1 -d bench_segment -f -
}

# Ticks, previews and overlaps over our own tables, against passes over everybody there.
runs() {
	local f=$BENCH_DIR/figures_runs name said run last=$((BENCH_RUNS + 1))
	rm -f "$BENCH_DIR"/own_*.tsv
	segment_data
	echo "== our own tables: the same events, 20 attributes a customer, the 35 rules as segments"
	psql -qX -d bench_segment -c 'SET client_min_messages = warning' -c 'DROP INDEX IF EXISTS events_covering'
	if ! psql -qX -v ON_ERROR_STOP=1 -d bench_segment -f "$here/own_fill.sql" ||
		! measure bench_segment 0 "$segment_common" check="$here/segments_check.sql" || ! runs_session >"$f"; then
		for name in tick preview overlap; do broken "${name}_vs_pass" "the runs failed"; done
		return
	fi
	said=$(differ "$(rows check | head -n 35)" "$(rows own_check)")
	if [ -n "$said" ]; then
		for name in tick preview overlap; do wrong "${name}_vs_pass" "the first pass found other segments than segments.sql: $said"; done
		return
	fi
	echo "  the first pass: $(median first <"$f") s CPU; a pass then $(median pass <"$f") s ($(spread pass <"$f")), with 15 segments by attributes $(median pass50 <"$f") s"
	said=$(for ((run = 1; run <= last; run++)); do
		tail -qn +2 "$BENCH_DIR/own_tick_$run.tsv" "$BENCH_DIR/own_tick50_$run.tsv" |
			awk -F '\t' -v n="$run" '$1 != "tick" || $2 < 1000 || $2 > 2000 { print "tick " n " was a " $1 " of " $2 " customers;" }'
		tail -qn +2 "$BENCH_DIR/own_pass_$run.tsv" "$BENCH_DIR/own_pass50_$run.tsv" | awk -F '\t' -v n="$run" '$3 != 0 { print "the pass after tick " n " found " $3 " changes more;" }'
	done)
	if [ -n "$said" ]; then
		wrong tick_vs_pass "$(tr '\n' ' ' <<<"$said")"
	else
		echo "  a tick: $(median tick <"$f") s CPU ($(spread tick <"$f")), customers touched $(tail -qn +2 "$BENCH_DIR"/own_tick_*.tsv | cut -f2 | sort -g | tail -n 1) at most, who also are those whose time came;" \
			"with 15 segments by attributes $(median tick50 <"$f") s ($(spread tick50 <"$f")), $(ratio "$(median tick50 <"$f")" "$(median pass50 <"$f")") of such a pass; each pass found nothing more than the tick before it"
		line tick_vs_pass "$(ratio "$(median tick <"$f")" "$(median pass <"$f")")"
	fi
	said=$(differ "$(tail -n +2 "$BENCH_DIR/own_preview_$last.tsv")" "$(tail -n +2 "$BENCH_DIR/own_preview_check.tsv")")
	if [ -n "$said" ]; then
		wrong preview_vs_pass "own_preview_check.sql: $said"
	else
		echo "  a preview of all 35: $(median preview <"$f") s CPU ($(spread preview <"$f")), $(rows own_preview_check | head -n 1 | cut -f3) customers looked at"
		line preview_vs_pass "$(ratio "$(median preview <"$f")" "$(median pass <"$f")")"
	fi
	said=$(differ "$(cat "$BENCH_DIR/own_overlap50_$last.tsv")" "$(cat "$BENCH_DIR/own_overlap_check.tsv")")
	if [ -n "$said" ]; then
		wrong overlap_vs_pass "own_overlap_check.sql: $said"
	else
		echo "  overlap of 50 segments: $(median overlap50 <"$f") s CPU ($(spread overlap50 <"$f")), $(($(wc -l <"$BENCH_DIR/own_overlap_check.tsv") - 1)) pairs"
		line overlap_vs_pass "$(ratio "$(median overlap50 <"$f")" "$(median pass <"$f")")"
	fi
}

# CDP_BENCH_PARTS names some of them, to try one.
rm -f "$BENCH_DIR/segment_events.csv"
for part in ${CDP_BENCH_PARTS:-funnel rules runs}; do
	"$part"
done
rm -f "$BENCH_DIR/segment_events.csv"
