# Connected components: the parts `components` and `components_memory` of the identity room; sourced by run.sh.

identifiers=${CDP_BENCH_IDENTIFIERS:-4000000}
links=$((identifiers * 5 / 4))
identity_common="SET jit = off; SET max_parallel_workers_per_gather = 0; SET work_mem = '256MB'; SET bench.identifiers = $identifiers;"

identity_sql() { psql -qXAt -v ON_ERROR_STOP=1 -v identifiers="$identifiers" -d bench_identity "$@"; }

# DuckDB through npm, unless another room brought it.
identity_peer() {
	mkdir -p "$BENCH_DIR/node"
	cp "$BENCH_TOP/test/bench/package.json" "$BENCH_TOP/test/bench/package-lock.json" "$BENCH_DIR/node/"
	(cd "$BENCH_DIR/node" && npm install --no-audit --no-fund --loglevel=error >npm.log 2>&1) ||
		{ tail -n 5 "$BENCH_DIR/node/npm.log"; return 1; }
}

# The graph and our answer, made when the first part needs them.
identity_data() {
	[ ! -f "$BENCH_DIR/links.tsv" ] || return 0
	echo "== $identifiers identifiers, $links links, seed 42"
	gcc -O2 -o "$BENCH_DIR/generate_links" "$here/generate.c" -lm
	"$BENCH_DIR/generate_links" "$identifiers" "$links" 42 >"$BENCH_DIR/links.tsv"
	createdb bench_identity
	psql -qX -d bench_identity -f "$here/tables.sql" <"$BENCH_DIR/links.tsv"
	identity_sql -c 'CREATE EXTENSION pg_cdp' -f "$here/peer_plpgsql_function.sql"
	bench_cpu bench_identity
	identity_sql -c "CREATE TABLE ours AS SELECT id, component FROM cdp.connected_components('links')"
	identity_sql -F ' ' <<-'SQL'
		SELECT '  links ' || links || ' (' || pg_size_pretty(pg_table_size('links')) || '), nodes ' || nodes || ', components ' || components || ', largest ' || largest
		  || ', single ' || single FROM cdp.component_summary((SELECT cdp.components(a, b) FROM links));
	SQL
}

# A goal that sets our components against a peer: identity_against NAME PEER FILE, with the table peer(id, label) filled.
identity_against() {
	local name=$1 peer=$2 file=$3 f=$BENCH_DIR/figures_identity said
	if ! grep -q "^$peer " "$f"; then
		broken "$name" "the peer gave no figure ($file)"
		return
	fi
	said=$(identity_sql -f "$here/same.sql") || said="the answers could not be compared"
	identity_sql -c 'DROP TABLE IF EXISTS peer'
	if [[ $said != same* ]]; then
		wrong "$name" "$said ($file)"
		return
	fi
	echo "  ours: $(median components <"$f") s CPU ($(spread components <"$f")), peer: $(median "$peer" <"$f") s ($(spread "$peer" <"$f"))," \
		"test/bench/identity/$file; ${said#same } components in both"
	line "$name" "$(ratio "$(median components <"$f")" "$(median "$peer" <"$f")")"
}

# Ours beside a scan, PL/pgSQL, DuckDB and pgRouting. Where both are PostgreSQL queries their runs alternate.
components() {
	local f=$BENCH_DIR/figures_identity
	: >"$f"
	echo "== connected components, all rows out"
	identity_data
	measure bench_identity "$BENCH_RUNS" "$identity_common" scan="$here/scan.sql" components="$here/components.sql" \
		components_from="$here/components_from.sql" plpgsql="$here/peer_plpgsql.sql" >>"$f" || true
	if ! grep -q '^components ' "$f"; then
		broken components_vs_plpgsql "ours failed"
		return
	fi
	echo "  scan of the links: $(median scan <"$f") s CPU; ours in the select list: $(median components <"$f") s; in FROM:" \
		"$(median components_from <"$f") s ($(spread components_from <"$f"))"
	identity_sql -c "CREATE TABLE peer AS SELECT d.id, u.component AS label FROM union_find($identifiers) u JOIN dense_of d ON d.dense = u.id" || true
	identity_against components_vs_plpgsql plpgsql peer_plpgsql.sql
	components_duckdb
	components_pgrouting
}

components_duckdb() {
	local f=$BENCH_DIR/figures_identity
	rm -f "$BENCH_DIR/duckdb_rows.tsv"
	if identity_peer && (cd "$BENCH_DIR" && node "$here/duckdb.mjs" node "$here" "$BENCH_RUNS") >"$BENCH_DIR/duckdb_identity.log" 2>&1; then
		sed -n 's/^version /  /p; s/^answer \([0-9]*\) .*/  DuckDB: \1 rounds/p' "$BENCH_DIR/duckdb_identity.log"
		grep '^duckdb ' "$BENCH_DIR/duckdb_identity.log" >>"$f"
		identity_sql -c 'CREATE TABLE peer (id bigint, label numeric)' -c '\copy peer FROM pstdin' <"$BENCH_DIR/duckdb_rows.tsv"
	else
		tail -n 5 "$BENCH_DIR/duckdb_identity.log"
	fi
	identity_against components_vs_duckdb duckdb peer_duckdb_round.sql
}

# Three runs at most: one takes a minute.
components_pgrouting() {
	local f=$BENCH_DIR/figures_identity runs=$((BENCH_RUNS > 3 ? 3 : BENCH_RUNS))
	if identity_sql -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION IF NOT EXISTS pgrouting CASCADE'; then
		identity_sql -c "SELECT '  pgRouting ' || extversion FROM pg_extension WHERE extname = 'pgrouting'"
		measure bench_identity "$runs" "$identity_common" pgrouting="$here/peer_pgrouting.sql" >>"$f" || true
		identity_sql -c "CREATE TABLE peer AS SELECT node AS id, component AS label FROM pgr_connectedComponents('SELECT id, source, target, cost FROM routing')" || true
	fi
	identity_against components_vs_pgrouting pgrouting peer_pgrouting.sql
}

# Peak of the backend's anonymous memory over what its session had before. work_mem stays at its default, so that
# what the query needs to keep rows is not counted as ours.
components_memory() {
	local name=components_bytes_per_node out=$BENCH_DIR/memory_identity first peak n tries
	echo "== memory of connected components"
	identity_data
	rm -f "$out"
	if ! psql -qXA -v ON_ERROR_STOP=1 -d bench_identity -f - <<-SQL >/dev/null; then
		SET jit = off;
		SET max_parallel_workers_per_gather = 0;
		SELECT id FROM cdp.component_rows((SELECT cdp.components(a, b) FROM (SELECT a, b FROM links LIMIT 10) l)) LIMIT 1;
		SELECT pg_backend_pid() AS cdp_pid \\gset
		\\setenv CDP_BENCH_PID :cdp_pid
		\\! perl "$BENCH_TOP/test/bench/attribution/sample.pl" "\$CDP_BENCH_PID" "$out" >/dev/null 2>&1 &
		\\! sleep 0.3
		\\i $here/components.sql
	SQL
		broken $name "the query failed"
		return
	fi
	for tries in $(seq 100); do
		[ -f "$out" ] && break
		sleep 0.1
	done
	read -r first peak n <"$out"
	echo "  anonymous memory of the backend above its baseline, peak of samples every 3 ms: $((peak - first)) kB ($n samples), baseline $first kB;" \
		"cdp.components_memory $(identity_sql -c "LOAD 'pg_cdp'" -c "SHOW cdp.components_memory")"
	line $name "$(awk -v kb="$((peak - first))" -v n="$identifiers" 'BEGIN { printf "%.1f", kb * 1024 / n }')"
}
