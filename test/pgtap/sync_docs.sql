-- Every SQL block of docs/sync.md can be typed as it stands; the page names every outcome of a run, every verb and every finding.
SELECT plan(4);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/sync.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT pass('docs/sync.md runs');
\set page `cat "$CDP_TOP/docs/sync.md"`
SELECT is((SELECT string_agg(w, ' ') FROM regexp_matches((SELECT string_agg(pg_get_constraintdef(oid), ' ') FROM pg_constraint WHERE conrelid = 'cdp_data.sync_run'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) ~ '''ok'''), '''([a-z]+)''', 'g') m (g) CROSS JOIN LATERAL unnest(g) w WHERE :'page' !~ ('\n\| `' || w || '` \|')), NULL, 'the page has every outcome');
SELECT is((SELECT string_agg(w, ' ') FROM unnest('{retry,slow,reauth_once,park,split,skip_partition,not_ready,config}'::text[]) w WHERE strpos(:'page', '`' || w || '`') = 0), NULL, 'every verb');
SELECT is((SELECT string_agg(DISTINCT m.g[1], ' ') FROM pg_proc p, regexp_matches(p.prosrc, '''(sync_[a-z]+)''', 'g') m (g) WHERE p.proname = 'health_of_sync' AND :'page' !~ ('\n\| ' || m.g[1] || ' \|') AND m.g[1] NOT IN ('sync_breaker')), NULL, 'and every finding');
SELECT * FROM finish();
