# Contacts with two identifiers each become touchpoints by cdp.map_connection(), beside cdp.load_events() on the same touchpoints with the same identifiers, ready-made
# in a staging table: both end with the same touchpoints and the same people. cdp.load_touchpoints(), whose touchpoints have one identifier each and which links
# nobody, is told beside them. Each side begins with the same empty database.
bench_connector_parts+=(mapping)

mapping() {
	local name=mapping_vs_load f=$BENCH_DIR/figures_mapping records=${CDP_BENCH_MAP_RECORDS:-200000} run side same=t
	echo "== $records records"
	: >"$f"
	createdb bench_mapping
	bench_cpu bench_mapping
	if ! psql -qXAt -v ON_ERROR_STOP=1 -v records="$records" -d bench_mapping -f "$here/mapping.sql" >/dev/null; then
		broken $name "the records could not be made"
	else
		for ((run = 0; run < ${CDP_BENCH_MAP_RUNS:-3}; run++)); do
			for side in map load events; do
				createdb -T bench_mapping bench_mapping_side
				psql -qXAt -v ON_ERROR_STOP=1 -d bench_mapping_side -c 'SET client_min_messages = info' -c "CALL run_$side()" 2>&1 | sed -n 's/^INFO:  //p' >>"$f"
				psql -qXAt -d bench_mapping_side -c 'SELECT sum_of()' >"$f.$side"
				[ $side = load ] || [ "$(psql -qXAt -d bench_mapping_side -c 'SELECT people_are_right()')" = t ] || same=f
				dropdb bench_mapping_side
			done
			cmp -s "$f.map" "$f.load" && cmp -s "$f.map" "$f.events" && grep -q "^$records " "$f.map" || same=f
		done
		if [ "$(grep -c '^events ' "$f")" != "${CDP_BENCH_MAP_RUNS:-3}" ]; then
			broken $name "a side gave no figure"
		elif [ $same != t ]; then
			wrong $name "the touchpoints or the people differ"
		else
			echo "  mapping: $(median map <"$f") s CPU ($(spread map <"$f")), load_events: $(median events <"$f") s ($(spread events <"$f")), load_touchpoints, which links nobody: $(median load <"$f") s ($(spread load <"$f"))"
			echo "  by load_touchpoints: $(ratio "$(median map <"$f")" "$(median load <"$f")")"
			line $name "$(ratio "$(median map <"$f")" "$(median events <"$f")")"
		fi
	fi
	dropdb bench_mapping
}
