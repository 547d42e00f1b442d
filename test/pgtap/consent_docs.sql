-- Every SQL block of docs/consent.md can be typed as it stands, and ends as the page says.
SELECT plan(6);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/consent.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT string_agg(c::text, ' ') FROM cdp.consented_customers('marketing', 'email') c), cdp.customer_of('email', 'bob@example.org')::text, 'docs/consent.md runs as printed: one may be written to');
SELECT is((SELECT string_agg(format('%s %s %s %s', purpose, channel, state, identifiers), ', ' ORDER BY purpose, channel, state) FROM cdp_bi.consent_summary), 'analytics  refused 1, marketing  refused 1, marketing email granted 2', 'the summary');
SELECT is((SELECT notices || missing::text FROM cdp_bi.processing_record WHERE purpose = 'marketing'), 'en 2026-01{}', 'the record of processing is complete');
SELECT is((SELECT destinations FROM cdp_bi.processing_record WHERE purpose = 'marketing'), 'newsletter', 'and names the destinations');
SELECT is((SELECT sum(records) || ' ' || sum(without_notice) FROM cdp_bi.consent_day), '4 2', 'records by day');
SELECT cdp.record_consent('web', 'marketing', 'granted', '{"email": "dan@example.org"}', expires_at => now() + interval '3 days');
SELECT is((SELECT purpose || count(*) FROM cdp_bi.consent_expiring GROUP BY purpose), 'marketing1', 'grants that run out');
SELECT * FROM finish();
