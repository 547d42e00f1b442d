# One record at a time, and what merges cost afterwards: the parts `online`, `merging` and `merged` of the identity room;
# sourced by run.sh.

online_sql() { psql -qXAt -v ON_ERROR_STOP=1 "$@"; }

# The library of the peer: the files of identify and what they need, with the safety of the union step left out. Its calls
# of functions that ours has as well must stay inside of it: hence -Bsymbolic.
unsafe_library() {
	local config=$CDP_BIN/pg_config
	# shellcheck disable=SC2046,SC2086
	$($config --cc) $($config --cflags) $($config --cflags_sl) $($config --cppflags) -DCDP_UNION_UNSAFE -Wall -I"$BENCH_TOP/src" \
		-I"$($config --includedir-server)" -shared -Wl,-Bsymbolic -o "$1" "$here"/unsafe.c \
		"$BENCH_TOP"/src/identity/graph/identify*.c "$BENCH_TOP"/src/core/normalise*.c "$BENCH_TOP"/src/core/feed.c
	chmod 755 "$1"
}

# Throughput of identify with 16 clients, beside the same function without the locks of the union step.
# Each run has a fresh copy of the database; the pairs are those of research: zipf(1.05) with uniform, over 50,000
# identifiers, and so few records that lost merges are not healed by later ones.
online() {
	local name=identify_vs_unsafe f=$BENCH_DIR/figures_online run side lost bad=0 records=${CDP_BENCH_RECORDS:-1250}
	echo "== one record at a time, 16 clients of $records records"
	: >"$f"
	createdb bench_online
	if ! unsafe_library "$BENCH_DIR/unsafe.so" || ! online_sql -v unsafe="$BENCH_DIR/unsafe.so" -d bench_online -f "$here/online.sql"; then
		broken $name "the database could not be made"
		return
	fi
	for ((run = 0; run < BENCH_RUNS; run++)); do
		for side in ours unsafe; do
			createdb -T bench_online bench_online_run
			printf '\\set a random_zipfian(1, 50000, 1.05)\n\\set b random(1, 50000)\nSELECT bench_%s(:a, :b);\n' $side >"$BENCH_DIR/online.pgbench"
			pgbench -n -M prepared -c 16 -j 2 -t "$records" --random-seed=$((run + 1)) -f "$BENCH_DIR/online.pgbench" bench_online_run >"$BENCH_DIR/online.out" 2>&1 || true
			lost=$(online_sql -F ' ' -d bench_online_run -c 'SELECT * FROM bench_lost()')
			awk -v side=$side -v lost="$lost" '/^tps/ { tps = $3 } /number of transactions actually/ { split($6, n, "/") }
				END { print side, tps + 0; split(lost, l, " "); print side "_lost", l[1]; print side "_merges", l[2]; print side "_done", n[1] }' "$BENCH_DIR/online.out" >>"$f"
			if [ $side = ours ]; then
				[ "$lost" = "0 $(cut -d' ' -f2 <<<"$lost") t" ] && grep -q "actually processed: $((16 * records))/" "$BENCH_DIR/online.out" || bad=1
			fi
			dropdb bench_online_run
		done
	done
	dropdb bench_online
	echo "  ours: $(median ours <"$f") records/s ($(spread ours <"$f")), $(median ours_merges <"$f") merges, lost in any run: $(spread ours_lost <"$f")"
	echo "  unsafe, the same function without root locks, second look and subtransaction: $(median unsafe <"$f") records/s ($(spread unsafe <"$f"))," \
		"merges lost: $(spread unsafe_lost <"$f")"
	if [ $bad -ne 0 ]; then
		wrong $name "ours lost merges, or records failed"
	elif awk -v all=$((16 * records)) '$1 == "unsafe_done" && $2 != all { short = 1 } END { exit !short }' "$f"; then
		broken $name "records of the peer failed, and clients that gave up make no throughput"
	else
		line $name "$(ratio "$(median ours <"$f")" "$(median unsafe <"$f")")"
	fi
}

# A merge of two customers with 100,000 touchpoints each beside one of two with one touchpoint each.
merging() {
	local name=merge_large_vs_small f=$BENCH_DIR/figures_merging
	echo "== merging customers with 100,000 touchpoints"
	createdb bench_merging
	bench_cpu bench_merging
	if ! online_sql -v runs="$BENCH_RUNS" -F ' ' -d bench_merging -f "$here/merging.sql" >"$f"; then
		broken $name "the merges failed"
	elif ! grep -q '^answer t$' "$f"; then
		wrong $name "the touchpoints of the merged customer are not those of both"
	else
		echo "  large: $(median large <"$f") ms CPU a merge ($(spread large <"$f")), small: $(median small <"$f") ms ($(spread small <"$f")); 200 merges a run"
		line $name "$(ratio "$(median large <"$f")" "$(median small <"$f")")"
	fi
	dropdb bench_merging
}

# The attribution pass over our touchpoint with half of the customers merged, beside none merged. The answer must be
# that over a table whose touchpoints carry their roots.
merged() {
	local name=attribution_merged_vs_unmerged f=$BENCH_DIR/figures_merged run touches=${CDP_BENCH_MERGED_TOUCHES:-2000000}
	local pass="$BENCH_TOP/test/bench/attribution/own_rules.sql"
	echo "== the attribution pass over $touches touchpoints, half of the customers merged"
	createdb bench_unmerged
	bench_cpu bench_unmerged
	if ! online_sql -v touches="$touches" -d bench_unmerged -f "$here/merged.sql"; then
		broken $name "the tables could not be made"
		return
	fi
	createdb -T bench_unmerged bench_merged
	online_sql -d bench_merged -c 'UPDATE cdp_data.customer SET parent_id = customer_id - 1 WHERE customer_id % 2 = 0' \
		-c 'VACUUM (FULL, ANALYZE) cdp_data.customer'
	createdb -T bench_unmerged bench_rewritten
	online_sql -d bench_rewritten -c 'UPDATE cdp_data.touchpoint SET customer_id = customer_id - 1 WHERE customer_id % 2 = 0'
	: >"$f"
	for ((run = 0; run < BENCH_RUNS; run++)); do
		measure bench_unmerged 1 "$identity_common" unmerged="$pass" >>"$f"
		measure bench_merged 1 "$identity_common" merged="$pass" >>"$f"
	done
	measure bench_rewritten 1 "$identity_common" rewritten="$pass" >/dev/null
	if ! cmp -s "$BENCH_DIR/merged.tsv" "$BENCH_DIR/rewritten.tsv" || cmp -s "$BENCH_DIR/merged.tsv" "$BENCH_DIR/unmerged.tsv"; then
		wrong $name "the credits are not those of touchpoints that carry their roots"
	else
		echo "  merged: $(median merged <"$f") s CPU ($(spread merged <"$f")), unmerged: $(median unmerged <"$f") s ($(spread unmerged <"$f"));" \
			"12 models, credits equal those of a table with the roots written into it"
		line $name "$(ratio "$(median merged <"$f")" "$(median unmerged <"$f")")"
	fi
	dropdb bench_unmerged
	dropdb bench_merged
	dropdb bench_rewritten
}
