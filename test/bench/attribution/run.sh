# The attribution room of `make bench`; sourced by tools/bench.sh. See docs/benchmarks.md.

here=$BENCH_TOP/test/bench/attribution
touches=${CDP_BENCH_TOUCHES:-10000000}
customers=$((touches / 10))
conversions=$((touches / 50))
common="SET jit = off; SET max_parallel_workers_per_gather = 0; SET work_mem = '256MB'; SET timezone = 'UTC';"
warm="$common
\\o /dev/null
\\i $here/warm.sql"
# The rule models and the scan beside them run with jit on, as PostgreSQL has it by default; of the SQL peers each as it
# is faster: the window form without, the tuned form with it. Where both sides are ours, without.
warm_jit=${warm/jit = off/jit = on}

prepare_peer() {
	mkdir -p "$BENCH_DIR/node"
	cp "$BENCH_TOP/test/bench/package.json" "$BENCH_TOP/test/bench/package-lock.json" "$BENCH_DIR/node/"
	(cd "$BENCH_DIR/node" && npm install --no-audit --no-fund --loglevel=error >npm.log 2>&1) ||
		{ tail -n 5 "$BENCH_DIR/node/npm.log"; return 1; }
}

prepare_data() {
	echo "== $touches touches of $customers customers, $conversions conversions, 12 channels, seed 1"
	gcc -O2 -o "$BENCH_DIR/generate" "$here/generate.c"
	"$BENCH_DIR/generate" "$touches" "$customers" "$conversions" 1 >"$BENCH_DIR/events.csv"
	createdb bench_attribution
	psql -qX -d bench_attribution -f "$here/tables.sql" <"$BENCH_DIR/events.csv"
	psql -qX -v ON_ERROR_STOP=1 -d bench_attribution -c 'CREATE EXTENSION pg_cdp'
	bench_cpu bench_attribution
	psql -qXAt -F ' ' -d bench_attribution <<-'SQL'
		SELECT '  rows: events ' || (SELECT count(*) FROM events) || ' (' || pg_size_pretty(pg_table_size('events')) || '), touches '
		  || (SELECT count(*) FROM touches) || ', conversions ' || (SELECT count(*) FROM conversions) || ', touches within 30 days of a conversion '
		  || (SELECT count(*) FROM conversions AS c JOIN touches AS t
		      ON t.customer = c.customer AND t.at <= c.at AND t.at >= c.at - interval '30 days');
	SQL
	# What every model must add up to.
	psql -qXAt -F ' ' -d bench_attribution -c 'SELECT count(*), sum(revenue) FROM events WHERE revenue IS NOT NULL' >"$BENCH_DIR/total"
}

# Whether a pass's totals add up, and contain those of another: adds_up OURS [OTHER]
adds_up() {
	local n v
	read -r n v <"$BENCH_DIR/total"
	awk -v conversions="$n" -v value="$v" -f "$here/conserve.awk" "$@"
}

# A goal that sets our rules against a peer: against NAME PEER TSV FILE
against() {
	local name=$1 peer=$2 tsv=$3 file=$4 said
	if ! grep -q "^$peer " "$BENCH_DIR/figures"; then
		broken "$name" "the peer gave no figure ($file)"
	elif said=$(awk -f "$here/compare.awk" "$BENCH_DIR/rules.tsv" "$tsv"); then
		echo "  ours, 12 models: $ours s CPU ($(spread rules <"$BENCH_DIR/figures")), peer, 5 models: $(median "$peer" <"$BENCH_DIR/figures") s" \
			"($(spread "$peer" <"$BENCH_DIR/figures")), test/bench/attribution/$file; $said"
		line "$name" "$(ratio "$ours" "$(median "$peer" <"$BENCH_DIR/figures")")"
	else
		wrong "$name" "$said ($file)"
	fi
}

# Our twelve rules beside the scan, the two SQL peers and DuckDB.
rules() {
	local f=$BENCH_DIR/figures said load
	: >"$f"
	echo "== rule models on the user's plain table"
	if ! measure bench_attribution "$BENCH_RUNS" "$warm_jit" scan="$here/scan.sql" rules="$here/rules.sql" >>"$f"; then
		broken attribution_rules_vs_scan "the pass failed"
		return
	fi
	ours=$(median rules <"$f")
	if said=$(adds_up "$BENCH_DIR/rules.tsv"); then
		echo "  ours, 12 models: $ours s CPU ($(spread rules <"$f")), scan.sql: $(median scan <"$f") s ($(spread scan <"$f")); $said"
		line attribution_rules_vs_scan "$(ratio "$ours" "$(median scan <"$f")")"
	else
		wrong attribution_rules_vs_scan "$said"
	fi
	measure bench_attribution "$BENCH_RUNS" "$common" window="$here/peer_window.sql" >>"$f" || true
	against attribution_rules_vs_sql window "$BENCH_DIR/window.tsv" peer_window.sql
	measure bench_attribution "$BENCH_RUNS" "${common/jit = off/jit = on} SET enable_hashjoin = off; SET enable_mergejoin = off; SET random_page_cost = 1.1;" \
		tuned="$here/peer_tuned.sql" >>"$f" || true
	against attribution_rules_vs_tuned_sql tuned "$BENCH_DIR/tuned.tsv" peer_tuned.sql
	rules_duckdb
}

rules_duckdb() {
	local f=$BENCH_DIR/figures
	rm -f "$BENCH_DIR"/duckdb*.tsv
	(cd "$BENCH_DIR" && node "$here/duckdb.mjs" node "$here" "$BENCH_RUNS") >"$BENCH_DIR/duckdb.log" 2>&1 ||
		tail -n 5 "$BENCH_DIR/duckdb.log"
	grep -E '^(plain|prepared|load|prepare) ' "$BENCH_DIR/duckdb.log" >>"$f" || true
	sed -n 's/^version /  /p' "$BENCH_DIR/duckdb.log"
	against attribution_rules_vs_duckdb plain "$BENCH_DIR/duckdb.tsv" peer_duckdb.sql
	if grep -q '^prepared ' "$f"; then
		echo "  for comparison, DuckDB's data prepared by hand (peer_duckdb_prepare.sql, $(median prepare <"$f") s):" \
			"peer_duckdb_prepared.sql $(median prepared <"$f") s ($(spread prepared <"$f")), ratio $(ratio "$ours" "$(median prepared <"$f")")"
	fi
	if grep -q '^load ' "$f"; then
		# load and query of one run, so that `against` finds them as one peer
		awk -v load="$(median load <"$f")" '$1 == "plain" { print "plain_and_load", $2 + load }' "$f" >"$f.load"
		cat "$f.load" >>"$f"
		echo "  of this peer the load of the CSV (peer_duckdb_load.sql) is $(median load <"$f") s"
	fi
	against attribution_rules_vs_duckdb_load plain_and_load "$BENCH_DIR/duckdb.tsv" peer_duckdb.sql
}

# Markov and Shapley in the same pass, checked by conservation, by linear_unique, and by transitions counted in SQL.
everything() {
	local f=$BENCH_DIR/figures_all said
	echo "== all models in one pass"
	if ! measure bench_attribution "$BENCH_RUNS" "$warm" rules="$here/rules.sql" all="$here/all.sql" >"$f"; then
		broken attribution_all_vs_rules "the pass failed"
		return
	fi
	rm -f "$BENCH_DIR/transitions.tsv" "$BENCH_DIR/oracle.tsv"
	measure bench_attribution 0 "$warm" transitions="$here/transitions.sql" || true
	measure bench_attribution 0 "$common" oracle="$here/oracle_transitions.sql" || true
	if ! said=$(adds_up "$BENCH_DIR/all.tsv" "$BENCH_DIR/rules.tsv"); then
		wrong attribution_all_vs_rules "$said"
	elif [ ! -s "$BENCH_DIR/transitions.tsv" ]; then
		broken attribution_all_vs_rules "no transition counts to check ($(median all <"$f") s against $(median rules <"$f") s)"
	elif ! cmp -s "$BENCH_DIR/transitions.tsv" "$BENCH_DIR/oracle.tsv"; then
		wrong attribution_all_vs_rules "transition counts differ from oracle_transitions.sql: $(diff "$BENCH_DIR/transitions.tsv" "$BENCH_DIR/oracle.tsv" | sed -n '2p;/^>/{p;q}' | tr '\t\n' '  ')"
	else
		echo "  16 models: $(median all <"$f") s CPU ($(spread all <"$f")), the 12 rules alone: $(median rules <"$f") s ($(spread rules <"$f")); $said;" \
			"rules equal in both passes, shapley equals linear_unique, $(($(wc -l <"$BENCH_DIR/oracle.tsv") - 1)) transition counts equal oracle_transitions.sql"
		line attribution_all_vs_rules "$(ratio "$(median all <"$f")" "$(median rules <"$f")")"
	fi
}

# Peak of a query's anonymous memory over what its session had before, in kB: peak_memory FILE
peak_memory() {
	local out=$BENCH_DIR/memory first peak n tries
	rm -f "$out"
	psql -qXA -v ON_ERROR_STOP=1 -d bench_attribution -f - <<-SQL || return 1
		$warm
		SELECT pg_backend_pid() AS cdp_pid \\gset
		\\setenv CDP_BENCH_PID :cdp_pid
		\\! perl "$here/sample.pl" "\$CDP_BENCH_PID" "$out" >/dev/null 2>&1 &
		\\! sleep 0.3
		\\i $1
	SQL
	for tries in $(seq 100); do
		[ -f "$out" ] && break
		sleep 0.1
	done
	read -r first peak n <"$out"
	echo "$((peak - first)) $n $first"
}

memory() {
	local name=attribution_bytes_per_touch r a files
	echo "== memory"
	if ! r=$(peak_memory "$here/rules.sql") || ! a=$(peak_memory "$here/all.sql"); then
		broken $name "the pass failed"
		return
	fi
	files=$(psql -qXAt -d bench_attribution -c "LOAD 'pg_cdp'" -c "SELECT current_setting('cdp.attribution_memory', true)")
	# shellcheck disable=SC2086
	set -- $r $a
	echo "  anonymous memory of the backend above its baseline, peak of samples every 3 ms: 12 rules $1 kB ($2 samples)," \
		"16 models $4 kB ($5 samples), baseline $3 kB; cdp.attribution_memory $files"
	echo "  bytes a touch: 12 rules $(awk -v kb="$1" -v n="$touches" 'BEGIN { printf "%.1f", kb * 1024 / n }')"
	line $name "$(awk -v a="$1" -v b="$4" -v n="$touches" 'BEGIN { printf "%.1f", (a > b ? a : b) * 1024 / n }')"
}

# Our own touchpoint table, through the function that an analyst calls, beside a scan of the same columns.
own_table() {
	local name=attribution_own_table_vs_scan f=$BENCH_DIR/figures_own said
	echo "== our own table"
	if ! psql -qX -v ON_ERROR_STOP=1 -d bench_attribution -f "$here/own_fill.sql" ||
		! measure bench_attribution "$BENCH_RUNS" "$common" own_scan="$here/own_scan.sql" own="$here/own_rules.sql" >"$f"; then
		broken $name "the report failed"
		return
	fi
	if said=$(adds_up "$BENCH_DIR/own.tsv" "$BENCH_DIR/rules.tsv"); then
		echo "  ours, 12 models: $(median own <"$f") s CPU ($(spread own <"$f")), own_scan.sql: $(median own_scan <"$f") s ($(spread own_scan <"$f"));" \
			"$said; rows equal those of the plain table"
		line $name "$(ratio "$(median own <"$f")" "$(median own_scan <"$f")")"
	else
		wrong $name "$said"
	fi
}

solver() {
	echo "== linear solver"
	delegated markov_solve_vs_dense test/bench/markov_dense.sh
}

loading() {
	echo "== loading"
	delegated load_vs_copy test/bench/load.sh
}

# CDP_BENCH_PARTS names some of them, to try one.
parts=${CDP_BENCH_PARTS:-rules everything memory own_table solver loading}
case " $parts " in
*" rules "* | *" everything "* | *" memory "* | *" own_table "*)
	prepare_peer || echo "  DuckDB could not be installed"
	prepare_data
	;;
esac
for part in $parts; do
	"$part"
done
