# A pull of 1,000 pages of 100 orders from a server on loopback that waits 20 ms before each answer, over TLS and one connection: cdp.sync(),
# which commits records, days and cursor page by page, beside curl, which fetches the same pages with the same headers and throws them away.
# Wall clock: what is measured is waiting and what is done beside it.
bench_connector_parts+=(pull)

pull() {
	local name=pull_vs_curl pages=${CDP_BENCH_PAGES:-1000} ms=${CDP_BENCH_PAGE_MS:-20} f=$BENCH_DIR/figures_pull dir=$BENCH_DIR/pull run server differ
	echo "== $pages pages of 100 orders, the server waits $ms ms each"
	rm -rf "$dir" && mkdir -p "$dir"
	: >"$f"
	createdb bench_pull
	psql -qX -v ON_ERROR_STOP=1 -d bench_pull -c 'CREATE EXTENSION pg_cdp' -c "CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY')" >/dev/null
	coproc mock { perl -I "$BENCH_TOP/test/t" "$here/pull.pl" "$dir" "$pages" "$ms"; }
	server=$mock_PID
	pull_hear >"$dir/set.sql"
	for ((run = 1; run <= ${CDP_BENCH_PULL_RUNS:-3}; run++)); do
		pull_say "pull$run"
		pull_hear >"$dir/connect.sql"
		psql -qXAt -v ON_ERROR_STOP=1 -d bench_pull -f "$dir/set.sql" -f "$dir/connect.sql" >/dev/null || break
		psql -qX -d bench_pull -c CHECKPOINT
		pull_time ours psql -qXAt -v ON_ERROR_STOP=1 -d bench_pull -f "$dir/set.sql" -c "CALL cdp.sync('pull$run', deadline => '30 min')" >>"$f" || break
		pull_say ''
		pull_hear >"$dir/asked"
		sed "s|^url|cacert = \"$dir/mock_ca.crt\"\nsilent\nshow-error\nfail\noutput = \"/dev/null\"\nurl|" "$dir/asked" >"$dir/curl"
		pull_time curl curl -K "$dir/curl" >>"$f" || break
		pull_say ''
		pull_hear >"$dir/again"
		[ "$(grep -c ^url "$dir/again")" = "$pages" ] || echo "  curl asked for $(grep -c ^url "$dir/again") pages" >&2
	done
	# What curl fetches, kept once: each order has to be there as it was told, and the days are known.
	sed 's|output = "/dev/null"|output = "-"\nwrite-out = "\\n"|' "$dir/curl" | curl -K - >"$dir/pages" || true
	kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true
	differ=$(psql -qXAt -v ON_ERROR_STOP=1 -v connection="pull$((run - 1))" -d bench_pull -f "$here/pull_check.sql" <"$dir/pages" || echo failed)
	if ! grep -q '^ours ' "$f" || ! grep -q '^curl ' "$f"; then
		broken $name "a side gave no figure"
	elif [ "$differ" != "$((pages * 100)) 0 0 t 10" ]; then
		wrong $name "orders there, missing, more, cursor at its end, days known: $differ"
	else
		echo "  cdp.sync: $(median ours <"$f") s ($(spread ours <"$f")), curl: $(median curl <"$f") s ($(spread curl <"$f")); $((pages * 100)) orders as they were told, 10 days known"
		line $name "$(ratio "$(median ours <"$f")" "$(median curl <"$f")")"
	fi
	dropdb bench_pull
	rm -rf "$dir"
}

# To the server, and what it answers up to a line "--".
pull_say() { echo "$1" >&"${mock[1]}"; }
pull_hear() {
	local line
	while IFS= read -r line <&"${mock[0]}" && [ "$line" != -- ]; do printf '%s\n' "$line"; done
}

# "NAME seconds" for a command.
pull_time() {
	local name=$1 from
	shift
	from=$(date +%s%N)
	"$@" >/dev/null || return 1
	echo "$name $(awk -v n=$(($(date +%s%N) - from)) 'BEGIN { printf "%.3f", n / 1e9 }')"
}
