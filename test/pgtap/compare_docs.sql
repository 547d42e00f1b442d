-- The SQL of docs/identity.md about comparing texts can be typed as it stands, and gives what the page leads one to expect.
SELECT plan(1);
\set page `f=$(mktemp) && awk '/^## / {here = /Comparing texts/} /^\140\140\140sql/ {p = here; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/identity.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is(format('%s %s %s', round(cdp.jaro_winkler('MARTHA', 'MARHTA')::numeric, 4), cdp.damerau_levenshtein('13800138000', '13801038000'), cdp.jaro_winkler(cdp.compact_name('欧阳 娜娜'), cdp.compact_name('欧阳·娜娜'))),
  '0.9611 1 1', 'docs/identity.md, comparing texts');
SELECT * FROM finish();
