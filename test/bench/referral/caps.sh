# What an exact cap costs: rewards granted by 16 clients under one budget, against a peer that writes the same rows through the same
# ledger and reads the counter before and adds to it after, without a test.
bench_referral_parts+=(caps)

# Transactions a second of a script: caps_run NAME SECONDS
caps_run() {
	pgbench -n -c 16 -j 2 -T "$2" -f <(echo "SELECT bench_$1();") bench_caps 2>/dev/null | awk '/^tps/ { print $3 } /failed transactions/ && $5 > 0 { exit 1 }'
}

caps() {
	local name=cap_guarded_vs_naive f=$BENCH_DIR/figures_caps run seconds=${CDP_BENCH_SECONDS:-10}
	echo "== 16 clients grant rewards under one budget, $seconds s a run"
	createdb bench_caps
	if ! psql -qXAt -v ON_ERROR_STOP=1 -d bench_caps -f "$here/caps.sql" >/dev/null; then
		broken $name "the data could not be made"
	else
		: >"$f"
		caps_run guarded 2 >/dev/null && caps_run naive 2 >/dev/null
		for ((run = 0; run < BENCH_RUNS; run++)); do
			echo "guarded $(caps_run guarded "$seconds")" >>"$f"
			echo "naive $(caps_run naive "$seconds")" >>"$f"
		done
		# The peer loses no update of the counter, as it adds in one statement; both end with the same books.
		if [ "$(psql -qXAt -d bench_caps -c "SELECT (SELECT count(*) FROM cdp.ledger_verify()) = 0 AND c.used_minor = (SELECT sum(amount_minor) FROM cdp_data.reward) AND c.used_count = (SELECT count(DISTINCT idempotency_key) FROM cdp_data.reward) FROM cdp_data.reward_counter c")" != t ]; then
			wrong $name "the books are not whole"
		else
			echo "  guarded: $(median guarded <"$f") rewards a second ($(spread guarded <"$f")); naive: $(median naive <"$f") ($(spread naive <"$f"))"
			line $name "$(ratio "$(median guarded <"$f")" "$(median naive <"$f")")"
		fi
	fi
	dropdb bench_caps
}
