# What exact caps cost: rewards granted by 16 clients under one budget and a cap per advocate, by the road that every reward goes, against
# a peer in plain statements that writes the same rows to the same tables and adds to the same counters, without a test. Then a run that
# uses the caps up, which must pay them to the cent.
bench_referral_parts+=(caps)

# Transactions a second of a side: caps_run SIDE CAMPAIGN OPTION ...
caps_run() {
	local side=$1 campaign=$2
	shift 2
	pgbench -n -c 16 -j 2 "$@" -f <(echo "SELECT bench_$side('$campaign');") bench_caps 2>/dev/null | awk '/^tps/ { print $3 } /failed transactions/ && $5 > 0 { exit 1 }'
}

caps() {
	local name=cap_guarded_vs_naive f=$BENCH_DIR/figures_caps run seconds=${CDP_BENCH_SECONDS:-10} books near
	echo "== 16 clients grant rewards under one budget and caps per advocate, $seconds s a run"
	createdb bench_caps
	if ! psql -qXAt -v ON_ERROR_STOP=1 -d bench_caps -f "$here/caps.sql" >/dev/null; then
		broken $name "the data could not be made"
	else
		: >"$f"
		caps_run guarded far -T 2 >/dev/null && caps_run naive far -T 2 >/dev/null
		for ((run = 0; run < BENCH_RUNS; run++)); do
			echo "guarded $(caps_run guarded far -T "$seconds")" >>"$f"
			echo "naive $(caps_run naive far -T "$seconds")" >>"$f"
		done
		near=$(caps_run guarded near -t 200)
		# The peer loses no update of a counter, as it adds in one statement: both end with the same books, and each conversion of either has
		# its reward. Near the caps the budget is paid to the cent, and no advocate more than his 25.
		books=$(psql -qXAt -d bench_caps -f "$here/caps_check.sql" || echo failed)
		if [ "$books" != "t t t t" ]; then
			wrong $name "the books are not whole, or a cap was not paid exactly: $books"
		else
			echo "  guarded: $(median guarded <"$f") rewards a second ($(spread guarded <"$f")); naive: $(median naive <"$f") ($(spread naive <"$f")); guarded until the caps were used up: $near, 21234.56 of 21234.56 paid"
			line $name "$(ratio "$(median guarded <"$f")" "$(median naive <"$f")")"
		fi
	fi
	dropdb bench_caps
}
