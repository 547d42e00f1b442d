-- The SQL of docs/identity.md about normalising can be typed as it stands, and gives what the page leads one to expect.
SELECT plan(3);
\set page `f=$(mktemp) && awk '/^## / {here = /Normalising/} /^\140\140\140sql/ {p = here; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/identity.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is(concat_ws(' ', cdp.normalise('phone', '（０１０）6552-9987'), cdp.normalise('email', '"Lee, Ann" <Ann.Lee@Example.ORG>'), (cdp.why_refused('phone', '010 6552 9988')).code, cdp.normalise('user_id', 'guest')),
  '+861065529987 ann.lee@example.org blocked guest', 'docs/identity.md, normalising');
SELECT is((SELECT max_per_customer FROM cdp_data.identifier_type_all WHERE name = 'email'), 3, 'its types');
-- The table of built-in types is the list of the release.
\set said `sed -n '/^### Types/,/^### What/p' "$CDP_TOP/docs/identity.md" | grep -E '^\| .[a-z_]+.(, .[a-z_]+.)? \| [0-9]+(, [0-9]+)? \|' | awk -F'|' '{gsub(/[\140 ]/, ""); print $2 ":" $3 ":" $4 ":" $5}' | sort | paste -sd ' '`
SELECT is(:'said', (SELECT string_agg(line, ' ' ORDER BY line COLLATE "C") FROM (
    SELECT string_agg(name, ',' ORDER BY priority) || ':' || string_agg(priority::text, ',' ORDER BY priority) || ':' || coalesce(max_per_customer::text, '') || CASE WHEN limit_window IS NOT NULL THEN 'inayear' ELSE '' END || ':' || coalesce(supernode_degree::text, '') AS line
    FROM cdp.identifier_type_builtin() GROUP BY max_per_customer, limit_window, supernode_degree, CASE WHEN name IN ('email', 'phone') THEN 'a' WHEN name IN ('cookie', 'anonymous_id') THEN 'b' ELSE name END) x),
  'and what it says of the built-in ones');
SELECT * FROM finish();
