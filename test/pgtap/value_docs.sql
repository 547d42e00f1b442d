-- Every SQL block of docs/value.md can be typed as it stands, and gives what the page says.
SELECT plan(6);
SET client_min_messages = error;
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY');
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/value.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT count(*) FROM my_scores WHERE r BETWEEN 1 AND 5 AND rfm_group IS NOT NULL), (SELECT count(*) FROM my_customers), 'docs/value.md: everybody has scores and a group');
SELECT ok((SELECT (purchases ->> 'converged')::boolean AND (money ->> 'converged')::boolean FROM my_fits), 'its fits converge');
SELECT is((SELECT count(*) FROM cdp_bi.customer_trait c JOIN cdp_data.trait t ON t.name = c.trait WHERE t.kind IN ('rfm', 'model')), 7 * (SELECT count(*) FROM cdp.customer_value('2025-07-01 00:00+08')), 'seven traits for everybody');
SELECT is((SELECT (frequency, recency, t_age, monetary, total)::text FROM cdp.customer_value('2025-07-01 00:00+08', customer_ids => ARRAY[cdp.customer_of('user_id', 'C6')])),
  (SELECT (frequency, recency * 7, t_age * 7, monetary, total)::text FROM my_customers WHERE key = 'C6'), 'our touchpoints come to the same as the table they were tracked from');
\set words `tr -c 'a-z_.\n' ' ' <"$CDP_TOP/docs/value.md"`
SELECT is_empty(format($$SELECT m.name FROM (SELECT DISTINCT m[1] AS name FROM regexp_matches(%L, '\mcdp\.([a-z_]+)', 'g') m) m
  WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE p.proname = m.name AND p.pronamespace = 'cdp'::regnamespace) AND to_regtype('cdp.' || m.name) IS NULL AND m.name NOT IN ('value_memory', 'fit_')$$, :'words'), 'every function that the page names is there');
SELECT is_empty(format('SELECT name FROM cdp_data.trait WHERE %L !~ (''\m'' || name || ''\M'')', :'words'), 'every trait is told');
SELECT * FROM finish();
