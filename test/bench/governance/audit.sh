# What the audit costs a call: the same records through cdp.identify() with cdp_data.setting.audit full and off.
bench_governance_parts+=(audit)

audit() {
	local name=audit_overhead f=$BENCH_DIR/figures_audit records=${CDP_BENCH_RECORDS:-2000}
	echo "== $records calls of identify in one session, a transaction each, with and without audit; known, new, attached and merged records"
	createdb bench_audit
	bench_cpu bench_audit
	if ! psql -qXAt -F ' ' -v ON_ERROR_STOP=1 -v records="$records" -v runs="$BENCH_RUNS" -d bench_audit -f "$here/audit.sql" >"$f"; then
		broken $name "the calls failed"
	elif ! grep -q '^answer t$' "$f"; then
		wrong $name "the two sides do not end with the same customers, or the audit lacks rows"
	else
		echo "  with audit: $(median full <"$f") s CPU ($(spread full <"$f")), without: $(median off <"$f") s ($(spread off <"$f"))"
		line $name "$(ratio "$(median full <"$f")" "$(median off <"$f")")"
	fi
	dropdb bench_audit
}
