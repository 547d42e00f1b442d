-- Every SQL block of docs/ingest.md can be typed as it stands, and does what the page says.
SELECT plan(6);
UPDATE cdp_data.setting SET phone_region = 'CN';
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/ingest.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT count(DISTINCT cdp.customer_of(t, v)) FROM (VALUES ('user_id', '7'), ('cookie', 'c-1'), ('email', 'ann@example.org'), ('anonymous_id', 'a-1'), ('phone', '+8613812345678')) x (t, v)), 1::bigint, 'docs/ingest.md runs as printed: one customer of three sources');
SELECT results_eq($$SELECT kind COLLATE "default", state, rows_read FROM cdp_data.load WHERE kind <> 'calls' ORDER BY load_id$$, $$VALUES ('customers', 'done', 3::bigint), ('customers', 'done', 3), ('events', 'done', 3), ('customers', 'done', 1), ('trial', 'done', 1), ('customers', 'done', 1), ('trial', 'done', 1)$$, 'batches and a trial');
SELECT is((SELECT count(*) FROM cdp_data.quarantine WHERE retried_by_load IS NOT NULL), 4::bigint, 'the mended message was taken, the one that waited, and the mended customer, who waits in no other load either');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint r JOIN cdp_data.touchpoint t ON t.touchpoint_id = r.refers_to WHERE r.value = -5 AND t.value = 25), 1::bigint, 'the refund found its order');
SELECT is((SELECT array_agg(DISTINCT status) FROM cdp_data.source_contract), ARRAY['live'], 'the contracts are live');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'the promise of identity holds');
SELECT * FROM finish();
