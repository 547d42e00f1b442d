-- Performance and lift of campaign runs and holdouts: a world by hand, random worlds against a twin in plain SQL, merges,
-- consent, erasure, small groups, published intervals, words instead of numbers, and how often intervals hold the truth.
BEGIN;
SELECT plan(75);
SET client_min_messages = error;
SET jit = off;
\ir report_data.inc
SELECT setval('cdp_data.customer_customer_id_seq', 10000), setval('cdp_data.identifier_identifier_id_seq', 10000) \g /dev/null
DELETE FROM cdp_data.unlinked_reserve;
CREATE FUNCTION pg_temp.act(who int, kind text, at timestamptz, value numeric DEFAULT NULL, currency text DEFAULT 'CNY', refers_to bigint DEFAULT NULL, run text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
  INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, value, currency, refers_to, properties)
  SELECT who, 2 * who, at, 906, 900, 900, k.kind_id, value, CASE WHEN value IS NOT NULL THEN currency END, refers_to, CASE WHEN run IS NOT NULL THEN jsonb_build_object('campaign_run', run) END
  FROM cdp_data.touch_kind_all k WHERE k.name = kind RETURNING touchpoint_id $$;
CREATE FUNCTION pg_temp.a_run(run text, kinds text[], within interval, holdout text DEFAULT NULL, variants jsonb DEFAULT '{"a": 1}') RETURNS integer LANGUAGE sql AS $$
  WITH r AS (INSERT INTO cdp_data.campaign_run (name, goal_kinds, goal_within, seed, state, launched_at, holdout_id)
    VALUES (run, kinds, within, 1, 'running', '2025-06-01Z', (SELECT h.holdout_id FROM cdp_data.holdout h WHERE h.name = holdout)) RETURNING campaign_run_id),
  v AS (INSERT INTO cdp_data.campaign_variant (campaign_run_id, variant, weight) SELECT r.campaign_run_id, e.key, e.value::numeric FROM r, jsonb_each_text(variants) e)
  SELECT campaign_run_id FROM r $$;
CREATE FUNCTION pg_temp.expose(run int, who int, variant text, at timestamptz, state text DEFAULT 'waiting') RETURNS void LANGUAGE sql AS $$
  INSERT INTO cdp_data.campaign_exposure (campaign_run_id, customer_id, arm, variant, exposed_at, state) VALUES (run, who, CASE WHEN variant IS NULL THEN 'control' ELSE 'treatment' END, variant, at, CASE WHEN variant IS NULL THEN 'control' ELSE state END) $$;

-- By hand, in June 2025, where the random data are not: customers 201 to 203 saw a, 204 and 205 b, nobody c, 206 and 207 nothing.
INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) VALUES ('USD', 'CNY', '2025-06-01', 8);
SELECT cdp.create_holdout('global', 0.2), cdp.create_holdout('unused', 0.5) \g /dev/null
SELECT pg_temp.a_run('spring', '{purchase}', '2 days', 'global', '{"a": 2, "b": 1, "c": 1}') AS spring \gset
SELECT pg_temp.expose(:spring, c, v, '2025-06-10Z', s) FROM (VALUES (201, 'a', 'sent'), (202, 'a', 'sent'), (203, 'a', 'sent'), (204, 'b', 'waiting'), (205, 'b', 'failed'), (206, NULL, NULL), (207, NULL, NULL)) x (c, v, s) \g /dev/null
SELECT pg_temp.act(203, 'purchase', '2025-06-11Z', 200) AS returned \gset
SELECT pg_temp.act(201, 'purchase', '2025-06-10Z', 100), pg_temp.act(201, 'purchase', '2025-06-12Z', 1000), pg_temp.act(202, 'purchase', '2025-06-09 23:59:59.999999Z', 1000),
  pg_temp.act(203, 'refund', '2025-06-20Z', -50, refers_to => :returned), pg_temp.act(203, 'purchase', '2025-06-11 01:00Z', 30), pg_temp.act(204, 'order', '2025-06-11Z', 1000),
  pg_temp.act(205, 'purchase', '2025-06-11Z', 10, 'USD'), pg_temp.act(206, 'purchase', '2025-06-11Z', 40), pg_temp.act(208, 'purchase', '2025-06-11Z', 1000),
  pg_temp.act(201, 'email_open', '2025-06-10 01:00Z', run => 'spring'), pg_temp.act(201, 'email_open', '2025-06-10 02:00Z', run => 'spring'), pg_temp.act(201, 'email_click', '2025-06-15Z', run => 'spring'),
  pg_temp.act(202, 'message_received', '2025-06-10 01:00Z', run => 'spring'), pg_temp.act(203, 'email_open', '2025-06-10 01:00Z', run => 'autumn'), pg_temp.act(203, 'unsubscribe', '2025-06-10 03:00Z', run => 'spring'),
  pg_temp.act(205, 'email_open', '2025-06-09Z', run => 'spring'), pg_temp.act(207, 'email_open', '2025-06-10 01:00Z', run => 'spring'), pg_temp.act(208, 'email_open', '2025-06-10 01:00Z', run => 'spring') \g /dev/null
CREATE TEMP VIEW spring AS SELECT * FROM cdp.run_performance('spring');
SELECT results_eq($$SELECT arm, variant, customers, converted, conversions, revenue, conversion_rate, average_order_value, revenue_per_customer FROM spring$$,
  $$VALUES ('treatment', 'a', 3::bigint, 2::bigint, 3::bigint, 280.000000, 0.666667, 93.333333, 93.333333), ('treatment', 'b', 2, 1, 1, 80, 0.5, 80, 40), ('treatment', 'c', 0, 0, 0, 0, NULL, NULL, NULL), ('control', NULL, 2, 1, 1, 40, 0.5, 40, 20)$$,
  'a purchase at the moment of exposure counts, one a microsecond before or two days after does not; the refund follows its purchase');
SELECT results_eq($$SELECT variant, open_windows, sent, delivered, opened, clicked, bounced, unsubscribed, open_rate, click_rate FROM spring$$,
  $$VALUES ('a', 0::bigint, 3::bigint, 2::bigint, 1::bigint, 1::bigint, 0::bigint, 1::bigint, 0.500000, 0.500000), ('b', 0, 0, 0, 0, 0, 0, 0, NULL, NULL), ('c', 0, 0, 0, 0, 0, 0, 0, NULL, NULL), (NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)$$,
  'each counts once; who opened has received; feedback of before, of another run, of the control and of strangers does not count');
SELECT is((SELECT array_agg((open_windows, converted, revenue, delivered)::text ORDER BY variant) FROM cdp.run_performance('spring', '2025-06-11 00:00:01Z')), '{"(3,2,300.000000,2)","(2,1,80.000000,0)","(0,0,0.000000,0)","(2,1,40.000000,)"}', 'a day after: all windows are open, the refund is not known');
SELECT is((SELECT array_agg((customers, converted)::text) FROM cdp.run_performance('spring', '2025-06-10Z')), '{"(0,0)","(0,0)","(0,0)"}', 'at the moment of launch nobody was exposed before it');
SELECT is((SELECT array_agg((conversions, revenue)::text ORDER BY variant) FROM cdp.run_performance('spring', conversion_kinds => '{order}')), '{"(0,0.000000)","(1,1000.000000)","(0,0.000000)","(0,0.000000)"}', 'another kind of conversion');
SELECT is((SELECT sum(conversions) FROM cdp.run_performance('spring', conversion_kinds => '{order,purchase}')), 6::numeric, 'two kinds');
SELECT is((SELECT array_agg(p::text) FROM cdp.run_performance('spring', NULL) p), (SELECT array_agg(p::text) FROM cdp.run_performance('spring') p), 'no moment is now');
SELECT is((SELECT array_agg(l::text) FROM cdp.run_lift('spring', NULL) l), (SELECT array_agg(l::text) FROM cdp.run_lift('spring') l), 'of lift, too');
-- Of four messages that were sent one bounced and one was opened, one more was not sent; nobody tells what arrived.
SELECT pg_temp.a_run('opens', '{}', '2 days') AS opens \gset
SELECT pg_temp.expose(:opens, c, 'a', '2025-06-10Z', CASE WHEN c = 216 THEN 'waiting' ELSE 'sent' END) FROM generate_series(212, 216) c \g /dev/null
SELECT pg_temp.act(212, 'email_click', '2025-06-10 01:00Z', run => 'opens'), pg_temp.act(213, 'bounce', '2025-06-10 01:00Z', run => 'opens') \g /dev/null
SELECT is((SELECT (delivered, opened, bounced, open_rate, click_rate)::text FROM cdp.run_performance('opens')), '(1,1,1,0.333333,0.333333)', 'rates of those that did not come back, where nobody tells what arrived');
UPDATE cdp_data.campaign_exposure SET state = 'waiting' WHERE campaign_run_id = :opens;
SELECT is((SELECT (delivered, opened, open_rate, click_rate)::text FROM cdp.run_performance('opens')), '(1,1,,)', 'and of nobody where nothing is known to be sent');
SELECT pg_temp.a_run('no goal', '{}', '2 days') AS no_goal \gset
SELECT pg_temp.expose(:no_goal, 204, 'a', '2025-06-10Z') \g /dev/null
SELECT is((SELECT (customers, conversions)::text FROM cdp.run_performance('no goal')), '(1,1)', 'a run without goals counts all conversions');
SELECT results_eq($$SELECT treated, control, warning, verdict, difference, p_value FROM cdp.run_lift('no goal')$$, $$VALUES (1::bigint, 0::bigint, NULL::text, 'no control group: nothing to compare with', NULL::numeric, NULL::float8)$$, 'and has nothing to be compared with');
SELECT pg_temp.a_run('empty', '{purchase}', '1 day', 'global') IS NOT NULL AS made \g /dev/null
SELECT results_eq($$SELECT arm, variant, customers, conversions FROM cdp.run_performance('empty')$$, $$VALUES ('treatment', 'a', 0::bigint, 0::bigint)$$, 'a run that reached nobody');
SELECT is((SELECT verdict FROM cdp.run_lift('empty')), 'nobody was exposed', 'nor has it lift');
SELECT results_eq($$SELECT variant, treated, control, treated_converted, control_converted, treated_rate, control_rate, treated_revenue, control_revenue, difference, verdict FROM cdp.run_lift('spring')$$,
  $$VALUES (NULL, 5::bigint, 2::bigint, 3::bigint, 1::bigint, 0.600000, 0.500000, 72.000000, 20.000000, NULL::numeric, 'not enough data: 2 customers in the smaller group, 30 are needed'), ('a', 3, 2, 2, 1, 0.666667, 0.5, 93.333333, 20, NULL, 'not enough data: 2 customers in the smaller group, 30 are needed'),
    ('b', 2, 2, 1, 1, 0.5, 0.5, 40, 20, NULL, 'not enough data: 2 customers in the smaller group, 30 are needed'), ('c', 0, 2, 0, 1, NULL, 0.5, NULL, 20, NULL, 'nobody was treated: nothing to compare')$$, 'few: counts, and words instead of differences');
-- A day is 24 hours, also the one with 23 in Berlin.
SET timezone = 'Europe/Berlin';
SELECT pg_temp.a_run('night', '{purchase}', '1 day') AS night \gset
SELECT pg_temp.expose(:night, c, 'a', '2025-03-29 12:00Z') FROM unnest('{210,211}'::int[]) c \g /dev/null
SELECT pg_temp.act(210, 'purchase', '2025-03-30 11:59:59.999999Z', 1), pg_temp.act(211, 'purchase', '2025-03-30 12:00Z', 1) \g /dev/null
SELECT is((SELECT (converted, open_windows)::text FROM cdp.run_performance('night')), '(1,0)', 'the window ends after 24 hours where clocks change');
SELECT is((SELECT open_windows FROM cdp.run_performance('night', '2025-03-30 11:30Z')), 2::bigint, 'and is open until then');
RESET timezone;
-- Merges: the first exposure of all parts; of one moment that of the lower number.
UPDATE cdp_data.customer SET parent_id = 206 WHERE customer_id = 201;
SELECT is((SELECT array_agg((customers, converted, conversions, revenue)::text ORDER BY variant) FROM spring), '{"(3,2,4,320.000000)","(2,1,1,80.000000)","(0,0,0,0.000000)","(1,0,0,0.000000)"}', 'united with a control he stays treated, with all that both bought');
UPDATE cdp_data.campaign_exposure SET exposed_at = '2025-06-09 23:59Z' WHERE customer_id = 206;
SELECT is((SELECT array_agg((customers, converted, conversions, revenue)::text ORDER BY variant) FROM spring), '{"(2,1,2,180.000000)","(2,1,1,80.000000)","(0,0,0,0.000000)","(2,1,2,140.000000)"}', 'had the control been first, he would be control');
UPDATE cdp_data.campaign_exposure SET exposed_at = '2025-06-10Z' WHERE customer_id = 206;
UPDATE cdp_data.customer SET parent_id = 201 WHERE customer_id = 201;
SELECT is((SELECT sum(customers) FROM spring), 7::numeric, 'parted again');
SELECT cdp.record_consent('test source', 'analytics', 'denied', customer => c) IS NOT NULL AS denied FROM unnest('{203,207}'::bigint[]) c \g /dev/null
SELECT is((SELECT array_agg((customers, conversions)::text ORDER BY variant) FROM spring), '{"(2,1)","(2,1)","(0,0)","(1,1)"}', 'consent withdrawn: out of both arms');
SELECT cdp.erase_customer(202) IS NOT NULL AS erased \g /dev/null
SELECT is((SELECT array_agg((customers, delivered)::text ORDER BY variant) FROM spring), '{"(1,1)","(2,0)","(0,0)","(1,)"}', 'erased: nowhere');
UPDATE cdp_data.setting SET minimum_audience = 2;
SELECT is((SELECT sum(num_nonnulls(customers, open_windows, sent, delivered, converted, conversion_rate, conversions, revenue, average_order_value, revenue_per_customer)) FROM spring), 0::bigint, 'a figure that one variant may not show, none shows');
SELECT results_eq($$SELECT DISTINCT treated, control, treated_revenue, control_revenue, sample_ratio_p, warning, verdict FROM cdp.run_lift('spring')$$, $$VALUES (NULL::bigint, NULL::bigint, NULL::numeric, NULL::numeric, NULL::float8, NULL::text, 'fewer people than the minimum audience')$$, 'nor a comparison');
UPDATE cdp_data.setting SET minimum_audience = NULL;
SELECT throws_ok(call, code, NULL, 'refused: ' || call) FROM (VALUES ('SELECT * FROM cdp.run_performance(''sprin'')', '42704'), ('SELECT * FROM cdp.run_performance(NULL)', '42704'), ('SELECT * FROM cdp.run_lift(''sprin'')', '42704'), ('SELECT * FROM cdp.holdout_lift(''globe'')', '42704'),
  ('SELECT * FROM cdp.run_performance(''spring'', conversion_kinds => ''{x}'')', '22023'), ('SELECT * FROM cdp.run_performance(''spring'', currency => ''EUR'')', '22000'), ('SELECT * FROM cdp.holdout_lift(''global'', ''2026-01-02Z'', ''2026-01-01Z'')', '22023'), ('SELECT * FROM cdp.run_lift(''spring'', confidence => NULL)', '22023'), ('SELECT * FROM cdp.holdout_lift(''global'', confidence => 2)', '22023'),
  ('SELECT * FROM cdp_internal.lift_table(array_fill(''treatment''::text, ''{40}'') || array_fill(''control''::text, ''{40}''), ''{}'', array_fill(1::bigint, ''{80}''), array_fill(1::numeric, ''{80}''), 0.5, ''{}'', 1)', '22023')) v (call, code);

-- Roles: an analyst sees what the owner sees, though properties are not for him; kept to some sources he is refused.
CREATE TEMP TABLE of_owner AS SELECT * FROM cdp.run_performance('spring');
CREATE TEMP TABLE lift_of_owner AS SELECT * FROM cdp.run_lift('spring');
CREATE ROLE performance_test_analyst;
CREATE ROLE performance_test_marketer;
CALL cdp.setup(analyst => 'performance_test_analyst', marketer => 'performance_test_marketer');
GRANT USAGE ON SCHEMA public TO performance_test_analyst, performance_test_marketer;
SELECT string_agg(quote_ident(n.nspname), ',') AS temp FROM pg_namespace n WHERE n.oid = pg_my_temp_schema() \gset
GRANT ALL ON ALL TABLES IN SCHEMA :temp TO performance_test_analyst, performance_test_marketer;
GRANT ALL ON ALL SEQUENCES IN SCHEMA :temp TO performance_test_analyst, performance_test_marketer;
SET ROLE performance_test_analyst;
SELECT throws_ok('SELECT properties FROM cdp_data.touchpoint', '42501', NULL, 'an analyst may not read properties');
SELECT results_eq($$SELECT * FROM cdp.run_performance('spring')$$, 'SELECT * FROM of_owner', 'yet he sees what came of a run');
SELECT results_eq($$SELECT arm, variant, opened, revenue FROM cdp_bi.run_performance WHERE run = 'spring'$$, 'SELECT arm, variant, opened, revenue FROM of_owner', 'in the view, too');
SET ROLE performance_test_marketer;
SELECT results_eq($$SELECT treated, control, verdict FROM cdp_bi.run_lift WHERE run = 'spring'$$, 'SELECT treated, control, verdict FROM lift_of_owner', 'and a marketer its lift');
SELECT lives_ok('SELECT * FROM cdp_bi.segment_performance', 'and the segments');
RESET ROLE;
SELECT cdp.restrict_to_sources('performance_test_analyst', '{test source}') IS NOT NULL AS restricted \g /dev/null
SET ROLE performance_test_analyst;
SELECT throws_ok(call, '42501', 'members and exposures are of people, not of sources', 'kept to some sources: ' || call)
FROM unnest('{SELECT * FROM cdp.run_performance($$spring$$),SELECT * FROM cdp.run_lift($$spring$$),SELECT * FROM cdp.holdout_lift($$global$$),SELECT * FROM cdp.segment_performance($$2025-01-01Z$$)}'::text[]) call;
SELECT throws_ok($$SELECT * FROM cdp_data.run_feedback(1, '2025-01-01Z', now())$$, '42501', 'feedback on a run comes from touchpoints of all sources', 'nor by the road itself');
RESET ROLE;

-- Published: 56 of 70 against 48 of 80 (Newcombe 1998, 0.0524 to 0.3339), 40 for each purchase.
SELECT pg_temp.a_run('published', '{sign_up}', '1 day', 'unused') AS published \gset
SELECT pg_temp.expose(:published, c, CASE WHEN c <= 80 THEN NULL ELSE 'a' END, '2025-08-01Z') FROM generate_series(1, 161) c WHERE c NOT IN (3, 5, 11) AND c <= 153 \g /dev/null
DELETE FROM cdp_data.touchpoint WHERE occurred_at >= '2025-08-01Z' AND occurred_at < '2025-08-02Z';
SELECT (SELECT count(*) FROM cdp_data.campaign_exposure WHERE campaign_run_id = :published AND arm = 'control') AS controls, (SELECT count(*) FROM cdp_data.campaign_exposure WHERE campaign_run_id = :published AND arm = 'treatment') AS treated \gset
SELECT pg_temp.expose(:published, c, NULL, '2025-08-01Z') FROM generate_series(220, 239) c LIMIT 80 - :controls \g /dev/null
DELETE FROM cdp_data.campaign_exposure WHERE campaign_run_id = :published AND arm = 'treatment' AND customer_id > (SELECT customer_id FROM cdp_data.campaign_exposure WHERE campaign_run_id = :published AND arm = 'treatment' ORDER BY 1 OFFSET 69 LIMIT 1);
SELECT pg_temp.act(e.customer_id::int, 'sign_up', '2025-08-01 12:00Z', 40) FROM (SELECT customer_id, arm, row_number() OVER (PARTITION BY arm ORDER BY customer_id) AS n FROM cdp_data.campaign_exposure WHERE campaign_run_id = :published) e WHERE n <= CASE arm WHEN 'treatment' THEN 56 ELSE 48 END \g /dev/null
CREATE TEMP TABLE published AS SELECT * FROM cdp.run_lift('published');
SELECT is((SELECT (treated, control, treated_converted, control_converted, difference, round(low, 4), round(high, 4))::text FROM published), '(70,80,56,48,0.200000,0.0524,0.3339)', 'the difference as published');
SELECT is((SELECT verdict FROM published), 'treatment converts more: between 5.24 and 33.39 points of conversion rate', 'in words');
SELECT is((SELECT (lift, lift_low, lift_high, round(p_value::numeric, 6))::text FROM published), (SELECT (round(lift::numeric, 6), round(lift_low::numeric, 6), round(lift_high::numeric, 6), round(p_value::numeric, 6))::text FROM cdp.rate_difference(56, 70, 48, 80)), 'lift and p value');
SELECT is((SELECT (treated_revenue, control_revenue, revenue_difference, revenue_low, revenue_high, round(revenue_p_value::numeric, 9))::text FROM published),
  (SELECT (32.000000, 24.000000, round(difference::numeric, 6), round(low::numeric, 6), round(high::numeric, 6), round(p_value::numeric, 9))::text FROM cdp.mean_difference(70, 32, 1600 * 56 * 14 / 70.0 / 69, 80, 24, 1600 * 48 * 32 / 80.0 / 79)), 'revenue for each, those without counted as 0');
SELECT is((SELECT round(sample_ratio_p::numeric, 6) FROM published), (SELECT round(p_value::numeric, 6) FROM cdp.sample_ratio_check('{70,80}', '{1,1}')), 'groups of the sizes that the holdout planned');
SELECT is((SELECT (round(low, 4), round(high, 4))::text FROM cdp.run_lift('published', confidence => 0.99)), (SELECT (round(low::numeric, 4), round(high::numeric, 4))::text FROM cdp.rate_difference(56, 70, 48, 80, 0.99)), 'with another confidence');
UPDATE cdp_data.campaign_run SET holdout_id = (SELECT holdout_id FROM cdp_data.holdout WHERE name = 'global') WHERE campaign_run_id = :published;
SELECT ok((SELECT warning LIKE 'the groups have not the sizes%' AND verdict = 'not to be trusted: see the warning' AND difference = 0.2 FROM cdp.run_lift('published')), 'a fifth was to be control: the split is warned of');
SELECT is((SELECT array_agg(format('%s %s %s', variant, verdict LIKE 'not to be trusted%', round(sample_ratio_p::numeric, 3)) ORDER BY variant NULLS FIRST)
  FROM cdp_internal.lift_table(array_fill('control'::text, '{40}') || array_fill('treatment'::text, '{200}'), array_fill(NULL::text, '{40}') || array_fill('a'::text, '{100}') || array_fill('b'::text, '{100}'),
    array_fill(1::bigint, '{240}'), array_fill(1::numeric, '{240}'), 0.5, '{"a": 1, "b": 1}', 0.95)), '{" t 0.000","a t 1.000","b t 1.000"}', 'also of its variants, though their own split is fair');
UPDATE cdp_data.campaign_run SET goal_within = '11 hours' WHERE campaign_run_id = :published;
SELECT is((SELECT verdict FROM cdp.run_lift('published')), 'not enough data: 0 customers converted, 10 are needed', 'nobody within eleven hours');

-- Random: exposures at any time, a twin in plain SQL.
SELECT pg_temp.a_run('random', '{}', '9 days 6 hours', 'global', '{"x": 1, "y": 3}') AS random \gset
SELECT pg_temp.expose(:random, c, CASE WHEN random() < 0.3 THEN NULL WHEN random() < 0.3 THEN 'x' ELSE 'y' END, timestamptz '2026-01-05 04:00Z' + floor(random() * 400) * interval '6 hours') FROM generate_series(1, 240) c WHERE c % 7 <> 3 AND c <> 202 \g /dev/null
-- What the twins read, made anew after each change.
CREATE TEMP TABLE fact AS SELECT * FROM pg_temp.flat WHERE false;
CREATE TEMP TABLE home (customer_id bigint PRIMARY KEY, root bigint);
CREATE FUNCTION pg_temp.settle() RETURNS void LANGUAGE sql AS $$
  TRUNCATE pg_temp.fact; TRUNCATE pg_temp.home;
  INSERT INTO pg_temp.fact SELECT f.* FROM pg_temp.flat f WHERE f.is_conversion AND f.flags = 0;
  INSERT INTO pg_temp.home WITH RECURSIVE up (customer_id, root) AS (SELECT customer_id, customer_id FROM cdp_data.customer WHERE parent_id = customer_id
    UNION ALL SELECT c.customer_id, up.root FROM up JOIN cdp_data.customer c ON c.parent_id = up.customer_id AND c.parent_id <> c.customer_id)
  SELECT * FROM up WHERE EXISTS (SELECT FROM cdp.consent_at(up.root, 'analytics') a WHERE a.allowed) $$;
SELECT pg_temp.settle() \g /dev/null
CREATE FUNCTION pg_temp.flow(kinds text[] DEFAULT NULL) RETURNS TABLE (arm text, variant text, customers bigint, converted bigint, conversions bigint, revenue numeric, mean numeric, variance numeric) LANGUAGE sql AS $$
  WITH one AS (SELECT DISTINCT ON (up.root) up.root, e.arm, e.variant, e.exposed_at FROM cdp_data.campaign_exposure e JOIN cdp_data.campaign_run r USING (campaign_run_id) JOIN pg_temp.home up USING (customer_id)
    WHERE r.name = 'random' ORDER BY up.root, e.exposed_at, e.customer_id),
  each AS (SELECT o.arm, o.variant, o.root, count(f.id) FILTER (WHERE f.refers_to IS NULL AND f.kind <> 'refund') AS n,
      coalesce(sum(f.value + CASE WHEN f.kind = 'refund' THEN 0 ELSE coalesce((SELECT sum(b.value) FROM pg_temp.fact b WHERE b.refers_to = f.id AND b.flags = 0), 0) END), 0) AS value
    FROM one o LEFT JOIN pg_temp.fact f ON f.customer = o.root AND f.flags = 0 AND f.is_conversion AND f.refers_to IS NULL AND (kinds IS NULL OR f.kind = ANY (kinds)) AND f.at >= o.exposed_at AND f.at < o.exposed_at + interval '222 hours'
    GROUP BY 1, 2, 3)
  SELECT arm, variant, count(*), count(*) FILTER (WHERE n > 0), sum(n)::bigint, round(sum(value), 6), round(avg(value), 6), var_samp(value) FROM each GROUP BY 1, 2 $$;
CREATE FUNCTION pg_temp.differ(kinds text[] DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s instead of %s', g, w), E'\n') FROM (SELECT arm, variant, customers, converted, conversions, revenue FROM cdp.run_performance('random', conversion_kinds => kinds)) g
    FULL JOIN (SELECT arm, variant, customers, converted, conversions, revenue FROM pg_temp.flow(kinds)) w ON w.arm = g.arm AND w.variant IS NOT DISTINCT FROM g.variant
  WHERE (g.customers, g.converted, g.conversions, g.revenue) IS DISTINCT FROM (w.customers, w.converted, w.conversions, w.revenue) $$;
SELECT is(pg_temp.differ(), NULL, 'as the twin');
SELECT cmp_ok((SELECT min(converted) FROM pg_temp.flow()), '>', 2::bigint, 'and there was something to compare');
SELECT is(pg_temp.differ('{purchase}'), NULL, 'of one kind');
UPDATE cdp_data.customer SET parent_id = 20 WHERE customer_id BETWEEN 30 AND 60 AND customer_id % 3 = 0;
UPDATE cdp_data.customer SET parent_id = 1 WHERE customer_id BETWEEN 100 AND 120;
SELECT cdp.record_consent('test source', 'analytics', 'denied', customer => c) IS NOT NULL AS denied FROM unnest('{2,4,8,20,21}'::bigint[]) c \g /dev/null
SELECT pg_temp.settle() \g /dev/null
SELECT is(pg_temp.differ(), NULL, 'merged, and some without consent');
SELECT is((SELECT (l.treated, l.control, l.treated_converted, l.control_converted, l.treated_revenue, l.control_revenue, l.revenue_low, l.revenue_high)::text FROM cdp.run_lift('random') l WHERE l.variant = 'y'),
  (SELECT (t.customers, c.customers, t.converted, c.converted, t.mean, c.mean, round(m.low::numeric, 6), round(m.high::numeric, 6))::text FROM pg_temp.flow() t, pg_temp.flow() c, cdp.mean_difference(t.customers, t.revenue / t.customers, t.variance, c.customers, c.revenue / c.customers, c.variance) m WHERE t.variant = 'y' AND c.arm = 'control'), 'lift of a variant as the twin');
SELECT is((SELECT array_agg(variant ORDER BY variant) FROM cdp.run_lift('random') WHERE sample_ratio_p IS NOT DISTINCT FROM (SELECT s.p_value FROM (SELECT array_agg(f.customers ORDER BY f.variant) AS n FROM pg_temp.flow() f WHERE f.arm = 'treatment') x, cdp.sample_ratio_check(x.n, '{1,3}') s)), '{x,y}', 'the split of variants by their weights');
SELECT is((SELECT (treated, treated_converted)::text FROM cdp.run_lift('random') WHERE variant IS NULL), (SELECT (sum(customers), sum(converted))::text FROM pg_temp.flow() WHERE arm = 'treatment'), 'all variants together');

-- Holdouts: from assignment, or since when that is later.
INSERT INTO cdp_data.holdout_assignment (holdout_id, customer_id, arm, assigned_at)
SELECT h.holdout_id, c, CASE WHEN c % 3 = 0 THEN 'control' ELSE 'treatment' END, timestamptz '2026-01-01 04:00Z' + c * interval '12 hours' FROM cdp_data.holdout h, generate_series(1, 240) c WHERE h.name = 'unused';
CREATE FUNCTION pg_temp.held(since timestamptz, until timestamptz) RETURNS TABLE (arm text, customers bigint, converted bigint, revenue numeric) LANGUAGE sql AS $$
  WITH one AS (SELECT DISTINCT ON (up.root) up.root, a.arm, a.assigned_at FROM cdp_data.holdout_assignment a JOIN cdp_data.holdout h USING (holdout_id) JOIN pg_temp.home up USING (customer_id)
    WHERE h.name = 'unused' AND a.assigned_at < until ORDER BY up.root, a.assigned_at, a.customer_id),
  each AS (SELECT o.arm, o.root, count(f.id) FILTER (WHERE f.kind <> 'refund') AS n, coalesce(sum(f.value + CASE WHEN f.kind = 'refund' THEN 0 ELSE coalesce((SELECT sum(b.value) FROM pg_temp.fact b WHERE b.refers_to = f.id AND b.flags = 0), 0) END), 0) AS value
    FROM one o LEFT JOIN pg_temp.fact f ON f.customer = o.root AND f.flags = 0 AND f.is_conversion AND f.refers_to IS NULL AND f.at >= greatest(o.assigned_at, since) AND f.at < until GROUP BY 1, 2)
  SELECT arm, count(*), count(*) FILTER (WHERE n > 0), round(avg(value), 6) FROM each GROUP BY 1 $$;
CREATE FUNCTION pg_temp.held_alike(since timestamptz, until timestamptz) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s instead of %s %s', l, t, c), E'\n') FROM cdp.holdout_lift('unused', since, until) l, pg_temp.held(coalesce(since, '-infinity'), until) t, pg_temp.held(coalesce(since, '-infinity'), until) c
  WHERE t.arm = 'treatment' AND c.arm = 'control' AND (l.treated, l.control, l.treated_converted, l.control_converted, l.treated_revenue, l.control_revenue) IS DISTINCT FROM (t.customers, c.customers, t.converted, c.converted, t.revenue, c.revenue) $$;
SELECT is(pg_temp.held_alike(NULL, '2026-03-01 04:00Z'), NULL, 'from assignment to the first of March');
SELECT is(pg_temp.held_alike('2026-03-15 04:00Z', '2026-04-20 04:00Z'), NULL, 'five weeks of spring: who is assigned in them from then on');
SELECT ok((SELECT verdict LIKE 'not to be trusted%' AND difference IS NOT NULL AND sample_ratio_p < 0.001 AND control > 30 FROM cdp.holdout_lift('unused', '2026-03-15 04:00Z', '2026-04-20 04:00Z')), 'and there was something to compare; a third is not the half that was planned');
UPDATE cdp_data.holdout SET created_at = '2026-01-01Z', ended_at = '2026-02-01Z' WHERE name = 'unused';
SELECT is((SELECT (treated + control)::text FROM cdp.holdout_lift('unused', NULL, '2026-04-20Z')), (SELECT sum(customers)::text FROM pg_temp.held('-infinity', '2026-02-01Z')), 'not beyond its end');

-- How often the truth is within: 600 worlds of 240 customers, a quarter of them control, rates 0.30 and 0.22, purchases of 0 to 200.
SELECT setseed(0.125);
CREATE TEMP TABLE worlds AS
SELECT w, (l.low <= 0.08 AND l.high >= 0.08) AS rate_in, (l.lift_low <= 0.08 / 0.22 AND coalesce(l.lift_high, 1e9) >= 0.08 / 0.22) AS lift_in, (l.revenue_low <= 8 AND l.revenue_high >= 8) AS money_in, l.warning IS NOT NULL AS suspect, l.difference IS NOT NULL AS told
FROM (SELECT w, array_agg(arm) AS arms, array_agg(CASE WHEN hit THEN 1 ELSE 0 END::bigint) AS conversions, array_agg(CASE WHEN hit THEN value ELSE 0 END) AS revenues
  FROM (SELECT w, CASE WHEN u < 0.25 THEN 'control' ELSE 'treatment' END AS arm, v < CASE WHEN u < 0.25 THEN 0.22 ELSE 0.30 END AS hit, round((x * 200)::numeric, 2) AS value
        FROM (SELECT w, random() AS u, random() AS v, random() AS x FROM generate_series(1, 600) w, generate_series(1, 240) i) d) p GROUP BY w) g,
  LATERAL cdp_internal.lift_table(g.arms, '{}', g.conversions, g.revenues, 0.25, '{}', 0.95) l;
-- Of 600 draws with chance 0.95, fewer than 546 or more than 592 hit less than once in ten thousand (exact binomial).
SELECT ok((cdp.beta_cdf(0.95, 546, 600 - 545, true) < 1e-4 AND cdp.beta_cdf(0.95, 593, 600 - 592) < 1e-4), 'the bounds are exact');
SELECT is((SELECT count(*) FILTER (WHERE told) FROM worlds), 600::bigint, 'all have enough data');
SELECT cmp_ok((SELECT count(*) FILTER (WHERE rate_in) FROM worlds), op, n, 'the interval of the difference holds the truth in 95 of 100 worlds') FROM (VALUES ('>=', 546::bigint), ('<=', 592)) v (op, n);
SELECT cmp_ok((SELECT count(*) FILTER (WHERE lift_in) FROM worlds), op, n, 'that of the lift, too') FROM (VALUES ('>=', 546::bigint), ('<=', 592)) v (op, n);
SELECT cmp_ok((SELECT count(*) FILTER (WHERE money_in) FROM worlds), op, n, 'and that of revenue') FROM (VALUES ('>=', 546::bigint), ('<=', 592)) v (op, n);
SELECT cmp_ok((SELECT count(*) FILTER (WHERE suspect) FROM worlds), '<=', 5::bigint, 'fair draws are suspected once in a thousand: more than 5 of 600 would come once in 25,000 times');
SELECT ok(cdp.poisson_cdf(5, 0.6, true) < 1.0 / 25000, 'as Poisson says');
SELECT cmp_ok((SELECT count(*) FILTER (WHERE warning IS NOT NULL) FROM (SELECT w, array_agg(CASE WHEN u < 0.12 THEN 'control' ELSE 'treatment' END) AS arms FROM (SELECT w, random() AS u FROM generate_series(1, 100) w, generate_series(1, 300) i) d GROUP BY w) g,

  LATERAL cdp_internal.lift_table(g.arms, '{}', array_fill(1::bigint, '{300}'), array_fill(1::numeric, '{300}'), 0.25, '{}', 0.95) l), '>=', 95::bigint, 'half of the control lost is seen nearly always');
SELECT * FROM finish();
ROLLBACK;
