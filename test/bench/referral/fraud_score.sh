# The fraud score of 100,000 referrals with all rules, each of which has something to find, beside a plain join that only fetches the rows.
bench_referral_parts+=(fraud_score)

fraud_score() {
	local name=fraud_score_vs_join n=${CDP_BENCH_REFERRALS:-100000} f=$BENCH_DIR/figures_fraud_score differ rules
	echo "== $n referrals scored by all rules in one statement"
	: >"$f"
	createdb bench_referral
	bench_cpu bench_referral
	if ! PGOPTIONS='-c client_min_messages=warning' psql -qX -v ON_ERROR_STOP=1 -d bench_referral -c "CREATE EXTENSION pg_cdp" -c "CALL cdp.setup(timezone => 'UTC', currency => 'EUR')" >/dev/null ||
		! psql -qX -v ON_ERROR_STOP=1 -v referrals="$n" -d bench_referral -f "$here/fraud_fill.sql" >/dev/null; then
		broken $name "the data could not be made"
		dropdb bench_referral
		return
	fi
	measure bench_referral "$BENCH_RUNS" "SET jit = off; SET max_parallel_workers_per_gather = 0;" score="$here/fraud_score.sql" join="$here/fraud_score_peer.sql" >>"$f" || true
	rules=$(psql -qXAt -d bench_referral -f "$here/fraud_score_rules.sql" || echo "|failed")
	echo "  rules that fired: ${rules%|*}"
	# The peer computes no score: ours is compared with itself, case by case, which goes by indexes in place of whole tables.
	differ=$(psql -qXAt -d bench_referral -f "$here/fraud_score_check.sql" || echo failed)
	if ! grep -q '^score ' "$f" || ! grep -q '^join ' "$f"; then
		broken $name "a side gave no figure"
	elif [ -n "${rules##*|}" ]; then
		broken $name "rules without work: ${rules##*|}"
	elif [ "$differ" != "300 0" ]; then
		wrong $name "scored at once and one by one: $differ"
	else
		echo "  $(tail -n 1 "$BENCH_DIR/score.tsv" | awk '{ print $1 " referrals, " $3 " of them held" }'): $(median score <"$f") s CPU ($(spread score <"$f")), the join: $(median join <"$f") s ($(spread join <"$f")); 300 of them the same one by one"
		line $name "$(ratio "$(median score <"$f")" "$(median join <"$f")")"
	fi
	dropdb bench_referral
}
