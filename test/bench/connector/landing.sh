# Records of pages into cdp_data.raw_record, by cdp.ingest_page(), beside one INSERT ... SELECT from the same bytes into a table with the same columns and indexes, which knows
# no earlier value, no refusal, no page, no cursor, no day. Pages of 10,000 records, ten a day, each in its own transaction. Then pages of 100: milliseconds each.
bench_connector_parts+=(landing)

landing() {
	local name=landing_vs_insert f=$BENCH_DIR/figures_landing pages=${CDP_BENCH_LAND_PAGES:-100} size=${CDP_BENCH_LAND_SIZE:-10000} run
	echo "== $pages pages of $size records"
	: >"$f"
	createdb bench_landing
	bench_cpu bench_landing
	if ! psql -qXAt -v ON_ERROR_STOP=1 -v pages="$pages" -v size="$size" -d bench_landing -f "$here/landing.sql" >/dev/null; then
		broken $name "the tables could not be made"
	else
		# The first run warms up.
		for ((run = 0; run <= ${CDP_BENCH_LAND_RUNS:-3}; run++)); do
			psql -qXAt -v ON_ERROR_STOP=1 -d bench_landing -c 'SET client_min_messages = info' -c CHECKPOINT -c 'CALL run()' 2>&1 | sed -n 's/^INFO:  //p' >"$f.run" || break
			[ "$run" = 0 ] || cat "$f.run" >>"$f"
		done
		if [ "$(grep -c ^keyed "$f")" != "${CDP_BENCH_LAND_RUNS:-3}" ]; then
			broken $name "a side gave no figure"
		elif [ "$(psql -qXAt -d bench_landing -c "SELECT sum_of('cdp_data.raw_record') = ALL (ARRAY[sum_of('indexed'), sum_of('keyed')]) AND sum_of('keyed') LIKE '$((pages * size)) %'
			AND (SELECT count(*) = ceil($pages / 10.0) AND bool_and(state = 'final') AND sum(records) = $((pages * size)) FROM cdp_data.coverage)")" != t ]; then
			wrong $name "the tables differ, or days are not known"
		else
			echo "  landing: $(median land <"$f") s CPU ($(spread land <"$f")), INSERT ... SELECT with the same indexes: $(median indexed <"$f") s ($(spread indexed <"$f")), with the key alone: $(median keyed <"$f") s"
			line $name "$(ratio "$(median land <"$f")" "$(median indexed <"$f")")"
		fi
	fi
	dropdb bench_landing
	createdb bench_landing
	bench_cpu bench_landing
	psql -qXAt -v ON_ERROR_STOP=1 -v pages=1000 -v size=100 -d bench_landing -f "$here/landing.sql" >/dev/null &&
		psql -qXAt -d bench_landing -c 'SET client_min_messages = info' -c 'CALL run()' 2>&1 | sed -n 's/^INFO:  land \(.*\)/\1/p' | awk '{ printf "  1000 pages of 100 records: %.2f ms CPU a page\n", $1 }'
	dropdb bench_landing
}
