-- The SQL of the section Rebuild of docs/identity.md runs as printed, after that of Identify, and ends without drift.
SELECT plan(2);
\set page `f=$(mktemp) && awk '/^## / {s = ($2 == "Identify" || $2 == "Rebuild")} /^\140\140\140sql/ {p = s; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/identity.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT count(*) FROM cdp.rebuild() WHERE change IN ('merge', 'split', 'move', 'link activated', 'link rejected')), 0::bigint, 'the page runs as printed; then there is no drift');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'the promise holds');
SELECT * FROM finish();
