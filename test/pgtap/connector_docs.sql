-- Every SQL block of docs/connectors.md can be typed as it stands, in order, and prints what the page shows; the page lists every code of a problem and every word of the grammar.
SELECT plan(5);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/connectors.md" >"$f" && echo "$f"`
\setenv PAGE :page
\set answers `mktemp`
\setenv ANSWERS :answers
\pset format aligned
\pset tuples_only off
\o :answers
\i :page
\o
\pset tuples_only on
\pset format unaligned
\set said `sed 's/ *$//' "$ANSWERS"`
\! rm -f "$PAGE" "$ANSWERS"
\set blocks `awk '/^\140\140\140/ {open = !open; p = open && $0 == "\140\140\140"; if (p) print "@@"; next} p' "$CDP_TOP/docs/connectors.md" | sed 's/ *$//'`
SELECT ok((SELECT count(*) FROM string_to_table(:'blocks', '@@') b WHERE btrim(b, E'\n') <> '') >= 4, 'the page shows answers');
SELECT is((SELECT string_agg(b, E'\n') FROM string_to_table(:'blocks', '@@') b WHERE btrim(b, E'\n') <> '' AND strpos(:'said', btrim(b, E'\n')) = 0), NULL, 'docs/connectors.md runs as printed');
SELECT is((SELECT title IS NULL AND NOT is_builtin FROM cdp_data.connector_all WHERE connector = 'my_shop'), true, 'its connector is there');
\set page `cat "$CDP_TOP/docs/connectors.md"`
\set codes `grep -ohE 'problem\(c, .*"(bad|un|missing|wrong|out|conflict|secret|circle)[a-z_]*"' "$CDP_TOP"/src/connector/manifest/*.c | grep -oE '"[a-z]+(_[a-z]+)*", ' | tr -d '", ' | grep -E '^(bad_|unknown_|missing_key|wrong_type|out_of_range|conflict|secret_|circle)' | sort -u`
SELECT is((SELECT string_agg(c, ' ') FROM string_to_table(:'codes', E'\n') c WHERE strpos(:'page', '`' || c || '`') = 0), NULL, 'the page lists every code');
\set keys `grep -oE '\{"[a-z_]+", &' "$CDP_TOP/src/connector/manifest/grammar.c" | grep -oE '[a-z_]+' | sort -u`
SELECT is((SELECT string_agg(k, ' ') FROM string_to_table(:'keys', E'\n') k WHERE :'page' !~ ('\m' || k || '\M')), NULL, 'and every key of the grammar');
SELECT * FROM finish();
