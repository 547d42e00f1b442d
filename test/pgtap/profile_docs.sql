-- Every SQL block of docs/profile.md can be typed as it stands, and gives what the page says.
SELECT plan(2);
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY');
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/profile.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT concat_ws(' ', full_name, gender, city, birthday, tags, attributes, note, orders, revenue) FROM cdp_data.profile),
  'Anna Li female Shanghai 1990-05-17 {vip} {"shoe_size": 38} 1 199.000000', 'docs/profile.md runs as printed');
\set strategies `awk '/^## Survivorship/ {p = 1} /^## Attributes/ {p = 0} p && /^[|]/ {print $2, $3, $4}' "$CDP_TOP/docs/profile.md" | tr ',|\n' '   '`
SELECT is_empty(format('SELECT s FROM unnest(cdp_internal.attribute_strategies()) s WHERE %L !~ (''\m'' || s || ''\M'')', :'strategies'), 'every strategy is told');
SELECT * FROM finish();
