-- Every SQL block of docs/performance.md can be typed as it stands, and gives what the page says.
SELECT plan(8);
SET client_min_messages = error;
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY');
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/performance.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT (customers, converted, conversions, revenue, average_order_value, touches, active)::text FROM cdp.segment_performance(now() - interval '30 days', now())), '(300,75,75,12900.000000,172.000000,60,60)', 'docs/performance.md: its segment bought seventy-five times, for 20 and 4 to 300; who visited before the tick was no member then');
SELECT is((SELECT (sum(customers), sum(converted), sum(revenue), sum(open_windows))::text FROM cdp.run_performance('spring')), '(300,75,12900.000000,300)', 'its run reached all of them, in one arm or the other');
SELECT is((SELECT string_agg(arm || ' ' || coalesce(variant, '-'), ', ') FROM cdp.run_performance('spring')), 'treatment long, treatment short, control -', 'by two variants');
SELECT is((SELECT sum(opened) FROM cdp.run_performance('spring')), (SELECT count(*) FROM cdp_data.campaign_exposure e, cdp_data.identifier i WHERE e.arm = 'treatment' AND i.customer_id = e.customer_id AND substr(i.value, 2)::int % 5 = 0)::numeric, 'every fifth of the treated opened');
SELECT is((SELECT string_agg(coalesce(variant, '-'), ', ') FROM cdp.run_lift('spring') WHERE treated_converted + control_converted > 20 AND difference BETWEEN low AND high AND sample_ratio_p > 1e-9 AND verdict IS NOT NULL), '-, long, short', 'lift in figures and words');
SELECT is((SELECT (treated, control, treated_converted)::text FROM cdp.holdout_lift('global')), (SELECT (treated, control, treated_converted)::text FROM cdp.run_lift('spring') WHERE variant IS NULL), 'the holdout tells the same of its only run');
SELECT is((SELECT format('%s %s', round(low::numeric, 4), round(high::numeric, 4)) FROM cdp.rate_difference(56, 70, 48, 80)), '0.0524 0.3339', 'figures of one''s own as printed');
\set words `tr -c 'a-z_.\n' ' ' <"$CDP_TOP/docs/performance.md"`
SELECT is_empty(format($$SELECT m.name FROM (SELECT DISTINCT m[1] AS name FROM regexp_matches(%L, '\mcdp\.([a-z_]+)', 'g') m) m WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE p.proname = m.name AND p.pronamespace = 'cdp'::regnamespace)$$, :'words'), 'every function that the page names is there');
SELECT * FROM finish();
