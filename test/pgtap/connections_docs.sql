-- Every SQL block of docs/connections.md can be typed as it stands, in order; the page names each state, each public function and each required check's list.
SELECT plan(5);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/connections.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT state FROM cdp_data.connection WHERE name = 'wecom main'), 'draft', 'docs/connections.md runs');
SELECT is((SELECT string_agg(name || ' ' || is_set, ', ' ORDER BY name) FROM cdp.connection_needs('wecom main') WHERE required), 'corpid true, corpsecret false', 'its secret is still to come');
SELECT is((SELECT blocked_by FROM cdp_bi.connection_status), ARRAY['not tested: no test was ever finished'], 'and a test');
\set page `cat "$CDP_TOP/docs/connections.md"`
SELECT is((SELECT string_agg(s, ' ') FROM regexp_matches((SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'connection_state_check'), '''([a-z]+)''', 'g') m (g) CROSS JOIN LATERAL unnest(g) s WHERE :'page' !~ ('\n\| ' || s || ' \|')), NULL, 'the page has every state');
SELECT is((SELECT string_agg(p.proname, ' ') FROM pg_proc p WHERE p.pronamespace = 'cdp'::regnamespace AND p.proname ~ 'connection|secret|go_live|start_shadow' AND p.proname !~ '^connector|^source_|^map_' AND strpos(:'page', p.proname) = 0), NULL, 'and every function');
SELECT * FROM finish();
