# Who may be written to, of one million customers: the gate against the latest row of each customer in the same ledger.
bench_governance_parts+=(consent)

consent() {
	local name=consent_lookup_vs_join f=$BENCH_DIR/figures_consent customers=${CDP_BENCH_CUSTOMERS:-1000000} distinct lateral peer
	echo "== $customers customers: who may be written to by e-mail, by the gate and by the latest row of each"
	createdb bench_consent
	bench_cpu bench_consent
	if ! psql -qX -v ON_ERROR_STOP=1 -v customers="$customers" -d bench_consent -f "$here/consent.sql" >/dev/null; then
		broken $name "the data could not be made"
	else
		psql -qXAt -d bench_consent -c "SELECT format('  %s rows in the ledger, %s summaries', (SELECT count(*) FROM cdp_data.consent), (SELECT count(*) FROM cdp_data.consent_state))"
		measure bench_consent "$BENCH_RUNS" "SET work_mem = '256MB';" consent_gate="$here/consent_gate.sql" \
			consent_distinct="$here/consent_distinct.sql" consent_lateral="$here/consent_lateral.sql" >"$f"
		distinct=$(median consent_distinct <"$f") lateral=$(median consent_lateral <"$f")
		peer=$(printf '%s\n' "$distinct" "$lateral" | sort -g | head -n 1)
		if ! cmp -s "$BENCH_DIR/consent_gate.tsv" "$BENCH_DIR/consent_distinct.tsv" || ! cmp -s "$BENCH_DIR/consent_gate.tsv" "$BENCH_DIR/consent_lateral.tsv" ||
			[ "$(psql -qXAt -d bench_consent -f "$here/consent_same.sql")" != t ]; then
			wrong $name "the two sides do not name the same customers"
		else
			echo "  gate: $(median consent_gate <"$f") s CPU ($(spread consent_gate <"$f")); DISTINCT ON: $distinct s, one probe a customer: $lateral s"
			line $name "$(ratio "$(median consent_gate <"$f")" "$peer")"
		fi
	fi
	dropdb bench_consent
}
