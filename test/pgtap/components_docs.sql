-- The SQL of docs/identity.md about connected components can be typed as it stands, and gives what the page says.
SELECT plan(2);
\set page `f=$(mktemp) && awk '/^## / {here = /Connected components/} /^\140\140\140sql/ {p = here; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/identity.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT string_agg(id || '>' || component, ' ' ORDER BY id) FROM cdp.connected_components('my_links')), '1>1 2>1 3>1 10>10 11>10 20>20 30>30', 'the first example');
SELECT is((SELECT string_agg(id || '>' || component, ' ' ORDER BY id) FROM my_components, cdp.component_rows(set)), '1>1 2>1 3>1 10>1 11>1 20>20 30>30', 'and that of new links');
SELECT * FROM finish();
