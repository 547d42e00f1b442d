-- Every SQL block of docs/access.md and docs/retention.md can be typed as it stands, and gives what the pages say.
SELECT plan(5);
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/access.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT string_agg(masked, ' ' ORDER BY masked) FROM cdp_bi.identifier_masked WHERE identifier_type IN ('email', 'phone')), '+86 138****5678 l***@e***.com', 'docs/access.md runs as printed: masks');
SELECT results_eq('SELECT name COLLATE "default", is_open FROM cdp_bi.activation_gate ORDER BY name', $$VALUES ('most have an address', true), ('shop has its usual size', true), ('shop is fresh', true)$$, 'gates');
SELECT results_eq('SELECT audience, state COLLATE "default" FROM cdp_bi.export_request', $$VALUES (5000::bigint, 'requested')$$, 'an export that waits');
DROP OWNED BY docs_analyst, docs_marketer, docs_privacy, docs_connector, docs_agency;
DROP ROLE docs_analyst, docs_marketer, docs_privacy, docs_connector, docs_agency;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/retention.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT count(*) FROM cdp_data.retention), 7::bigint, 'docs/retention.md runs as printed');
SELECT is((SELECT count(*) FROM cdp_data.hold WHERE lifted_at IS NULL), 0::bigint, 'the hold is lifted');
SELECT * FROM finish();
