-- Every SQL block of docs/privacy.md can be typed as it stands.
SELECT plan(2);
SELECT cdp.add_source('shop');
SELECT cdp.track('shop', 'purchase', '{"email": "ann@example.org"}', '{}', now(), 'o1', 5);
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/privacy.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT string_agg(kind || ' ' || state, ', ' ORDER BY request_id) FROM cdp_bi.request_register), 'access fulfilled, erasure fulfilled', 'docs/privacy.md runs as printed');
SELECT is((SELECT count(*) FROM cdp_data.identifier), 0::bigint, 'and she is gone');
SELECT * FROM finish();
