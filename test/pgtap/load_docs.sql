-- Every SQL block of docs/load.md can be typed as it stands, and does what the page says.
SELECT plan(3);
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/load.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT results_eq('SELECT load_id, kind, state, inserted, corrected, unchanged, quarantined FROM cdp_data.load ORDER BY 1',
  $$VALUES (1::bigint, 'touchpoints', 'done', 4::bigint, 0::bigint, 0::bigint, 1::bigint), (2, 'touchpoints', 'done', 3, 0, 0, 0), (3, 'touchpoints', 'done', 0, 1, 3, 1),
    (4, 'touchpoints', 'done', 1, 0, 0, 0), (5, 'spend', 'done', 2, 0, 0, 0), (6, 'currency_rates', 'done', 1, 0, 0, 0)$$, 'docs/load.md runs as printed');
SELECT is((SELECT occurred_at FROM cdp_data.touchpoint_key WHERE source_key = 'o1'), '2026-03-02 21:45+08', 'the correction is in force after a revert and a retry');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_retracted WHERE restored_at IS NOT NULL), 2::bigint, 'with both intervals on record');
SELECT * FROM finish();
