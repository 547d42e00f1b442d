-- Every SQL block of the core's pages can be typed as it stands.
SELECT plan(2);
ALTER TABLE cdp_data.touchpoint ADD COLUMN shop_note text; -- what the page calls "a column that we added"
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/core.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT count(*) FROM cdp_data.channel WHERE name IN ('RED', 'Trade Fair')), 2::bigint, 'docs/core.md runs as printed');
DROP OWNED BY docs_analyst;
DROP ROLE docs_analyst;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/operations.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT partitions_ahead FROM cdp_data.setting), 6, 'docs/operations.md runs as printed');
SELECT * FROM finish();
