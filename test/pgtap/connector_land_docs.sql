-- Every SQL block of docs/landing.md can be typed as it stands, in order; the page has every state of days and every table.
SELECT plan(4);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/landing.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT concat_ws(' ', record_key, revision) FROM cdp_data.raw_record), '["2026-03-02", "0"] 1', 'docs/landing.md runs');
SELECT is((SELECT state FROM cdp_data.coverage), 'provisional', 'its day is there');
\set page `cat "$CDP_TOP/docs/landing.md"`
SELECT is((SELECT string_agg(s, ' ') FROM regexp_matches((SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'coverage_state_check'), '''([a-z_]+)''', 'g') m (g) CROSS JOIN LATERAL unnest(g) s WHERE :'page' !~ ('\n\| ' || s || ' \|')), NULL, 'the page has every state');
SELECT is((SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'cdp_data'::regnamespace AND relkind = 'r' AND relname ~ '^(raw|coverage)|^stream(_part|_wish)?$' AND strpos(:'page', '`' || relname || '`') = 0), NULL, 'and every table');
SELECT * FROM finish();
