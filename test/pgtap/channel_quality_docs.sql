-- Every SQL block of docs/channel_quality.md can be typed as it stands, in order; the page has every part with its weight, every kind of change and every table.
SELECT plan(9);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/channel_quality.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT concat_ws(' ', day, score, worst_stream, completeness, freshness, validity) FROM cdp_bi.channel_quality ORDER BY day LIMIT 1), '2026-03-05 1.0000 user_summary 1.0000 1.0000 1.0000', 'docs/channel_quality.md runs');
\set page `cat "$CDP_TOP/docs/channel_quality.md"`
SELECT is((SELECT string_agg(part, ' ') FROM cdp_internal.quality_weights() WHERE strpos(:'page', format('| %s | %s |', part, weight)) = 0), NULL, 'the page has every part with its weight');
SELECT is((SELECT string_agg(s, ' ') FROM regexp_matches((SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'stream_drift_kind_check'), '''([a-z_]+)''', 'g') m (g) CROSS JOIN LATERAL unnest(g) s WHERE :'page' !~ ('\n\| ' || s || ' \|')), NULL, 'every kind of change');
SELECT is((SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'cdp_data'::regnamespace AND relkind = 'r' AND relname ~ '^(channel_quality|stream_(profile|shape|drift)|alert|channel_(metric|anomaly)|metric_progress|digest)' AND strpos(:'page', '`' || relname || '`') = 0), NULL, 'and every table');
SELECT is((SELECT enabled AND commits AND schedule = '1 hour' FROM cdp_data.job WHERE name = 'watch'), true, 'the job is on the list');
SELECT is((SELECT string_agg(alert || ' ' || told, ', ' ORDER BY alert) FROM cdp_bi.alert_episode), 'late figures told, low quality told', 'what its alerts tell');
SELECT is((SELECT string_agg(k, ' ') FROM unnest(cdp_internal.alert_kinds()) k WHERE :'page' !~ ('\n\| ' || k || ' \|')), NULL, 'every kind of alert');
SELECT is((SELECT count(*) FROM cdp_data.channel_metric), 2::bigint, 'figures are read');
SELECT is((SELECT string_agg(r, ' ') FROM generate_series(1, 7) i, LATERAL (SELECT 'A0' || i) x (r) WHERE :'page' !~ ('\n\| (A02, )?' || r)), NULL, 'every rule');
SELECT * FROM finish();
