-- Customer value and traits over our own touchpoints: equal to passes over plain joins through merges, moved
-- identifiers, refunds, currencies and consents; erasures, refreshes, roles.
BEGIN;
SELECT plan(43);
SET client_min_messages = error;
\ir report_data.inc
SELECT setval('cdp_data.customer_customer_id_seq', 10000), setval('cdp_data.identifier_identifier_id_seq', 10000) \g /dev/null
DELETE FROM cdp_data.unlinked_reserve;
INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, value, currency, refers_to)
SELECT 19, 38, '2026-04-02 00:00+00', 901, 900, 900, 80, -10, 'CNY', v FROM (VALUES (0), (999999999)) r(v); -- what they refund never came
CREATE TABLE pg_temp.allowed (root bigint PRIMARY KEY);
CREATE FUNCTION pg_temp.settle() RETURNS void LANGUAGE sql AS $$
  TRUNCATE pg_temp.allowed;
  INSERT INTO pg_temp.allowed SELECT c.customer_id FROM cdp_data.customer c, cdp.consent_at(c.customer_id, 'analytics') a WHERE c.parent_id = c.customer_id AND a.allowed $$;
SELECT pg_temp.settle() \g /dev/null
-- What the summaries should be of: rows by plain joins, each refund where its purchase was.
CREATE FUNCTION pg_temp.twin(until timestamptz, options jsonb, kinds text[] DEFAULT NULL) RETURNS cdp.customer_summary[] LANGUAGE sql AS $$
  SELECT coalesce(cdp.rfm_pass(coalesce(b.customer, f.customer), coalesce(b.at, f.at), f.value, options), '{}')
  FROM pg_temp.flat f LEFT JOIN pg_temp.flat b ON b.id = f.refers_to AND b.flags = 0 AND b.at < until AND (b.kind = ANY (kinds) OR kinds IS NULL OR b.kind = 'refund')
  WHERE f.flags = 0 AND f.is_conversion AND f.value <> 0 AND f.at < until AND (f.refers_to IS NULL OR b.id IS NOT NULL) AND (kinds IS NULL OR f.kind = ANY (kinds) OR f.kind = 'refund')
    AND f.customer IN (TABLE pg_temp.allowed) $$;
CREATE FUNCTION pg_temp.differ(until timestamptz, unit text DEFAULT 'day', once text DEFAULT 'day', kinds text[] DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s instead of %s', g, w), E'\n') FROM (SELECT * FROM cdp.customer_value(until, 30, unit => unit, once_per => once, conversions => kinds)) g
    FULL JOIN unnest(pg_temp.twin(until, cdp.rfm_options(until, unit => unit, once_per => once, timezone => 'Asia/Shanghai'), kinds)) w ON w.key = g.customer_id::text
  WHERE (g.frequency, g.recency, g.t_age, g.monetary, g.total, g.first_at, g.last_at) IS DISTINCT FROM (w.frequency, w.recency, w.t_age, w.monetary, w.total, w.first_at, w.last_at) $$;
SELECT is((SELECT timezone || ' ' || currency FROM cdp_data.setting), 'Asia/Shanghai CNY', 'reports are in Shanghai time and yuan');
SELECT cmp_ok((SELECT count(*) FROM cdp.customer_value('2026-06-01 00:00+08') WHERE frequency > 0), '>', 50::bigint, 'there is something to compare');
SELECT cmp_ok((SELECT count(*) FROM cdp.customer_value('2026-06-01 00:00+08') v WHERE v.total <> (SELECT sum(f.value) FROM pg_temp.flat f WHERE f.customer = v.customer_id AND f.value > 0 AND f.flags = 0)), '>', 10::bigint, 'refunds among it');
SELECT is(pg_temp.differ('2026-06-01 00:00+08'), NULL, 'days until June');
SELECT is(pg_temp.differ('2026-03-10 15:30+08', 'week'), NULL, 'weeks until an afternoon of March: refunds to come are not known');
SELECT is(pg_temp.differ('2026-05-01 00:00+08', 'day', 'none'), NULL, 'each purchase for itself');
SELECT is(pg_temp.differ('2026-05-01 00:00+08', 'day', 'day', '{purchase}'), NULL, 'of one kind');
UPDATE cdp_data.customer SET parent_id = 20 WHERE customer_id = 21;
SELECT is(pg_temp.differ('2026-06-01 00:00+08'), NULL, 'after a merge');
SELECT is((SELECT count(*) FROM cdp.customer_value('2026-06-01 00:00+08') WHERE customer_id = 21), 0::bigint, 'who was merged away has no row');
SELECT is((SELECT string_agg(v::text, E'\n' ORDER BY customer_id) FROM cdp.customer_value('2026-06-01 00:00+08', customer_ids => '{21,3,500}') v),
  (SELECT string_agg(v::text, E'\n' ORDER BY customer_id) FROM cdp.customer_value('2026-06-01 00:00+08') v WHERE customer_id IN (20, 7)), 'some customers, by ids that were merged into them, under the fit of all');

-- What models say is what the fits say.
CREATE TABLE pg_temp.fits AS SELECT m.model, f.* FROM unnest('{bgnbd,mbgnbd,paretonbd}'::text[]) AS m (model), cdp.customer_value_fit('2026-06-01 00:00+08', m.model) f;
SELECT is((SELECT string_agg(model || ' ' || (fit ->> 'model') || ' ' || (fit ->> 'customers') || ' ' || (money_fit ->> 'model'), ', ' ORDER BY model) FROM pg_temp.fits),
  (SELECT format('bgnbd bgnbd %s gammagamma, mbgnbd mbgnbd %1$s gammagamma, paretonbd paretonbd %1$s gammagamma', customers) FROM pg_temp.fits LIMIT 1), 'fits by name, to all customers');
SELECT is((SELECT string_agg(v::text, E'\n') FROM pg_temp.fits f, cdp.customer_value('2026-06-01 00:00+08', 60, f.model, discount_rate => 0.02) v, LATERAL (
    SELECT cdp.expected_value(f.money_fit, v.frequency, greatest(v.monetary, 1e-6)) AS value) e
  WHERE f.model = m AND (v.p_alive, v.expected_purchases, v.expected_value, v.ltv) IS DISTINCT FROM (cdp.probability_alive(f.fit, v.frequency, v.recency, v.t_age),
    cdp.expected_purchases(f.fit, 60, v.frequency, v.recency, v.t_age), e.value, cdp.lifetime_value(f.fit, e.value, 60, 0.02, 30, v.frequency, v.recency, v.t_age))), NULL, 'probability, purchases and value by ' || m)
FROM unnest('{bgnbd,mbgnbd,paretonbd}'::text[]) m;
SELECT is((SELECT cdp.fit_bgnbd(s.frequency, s.recency, s.t_age) FROM unnest(pg_temp.twin('2026-06-01 00:00+08', cdp.rfm_options('2026-06-01 00:00+08', timezone => 'Asia/Shanghai'))) s), (SELECT fit FROM pg_temp.fits WHERE model = 'bgnbd'), 'the fit is that of the summaries');
SELECT is((SELECT DISTINCT p_alive FROM cdp.customer_value('2026-06-01 00:00+08', fit => '{"model": "bgnbd", "r": 1, "alpha": 1, "a": 1, "b": 1}') WHERE frequency = 0), 1::float8, 'a fit of one''s own is taken');
SELECT lives_ok($$SELECT * FROM cdp.customer_value('2026-06-01 00:00+08', 6, 'bgbb', unit => 'month', once_per => 'month')$$, 'BG/BB by months');
SELECT throws_ok($$SELECT * FROM cdp.customer_value('2026-06-01 00:00+08', model => 'prophet')$$, '22023', NULL, 'an unknown model');
SELECT throws_ok($$SELECT * FROM cdp.customer_value('2026-06-01 00:00+08', -1)$$, '22023', NULL, 'a horizon that cannot be');
SELECT throws_ok($$SELECT * FROM cdp.customer_value('2026-06-01 00:00+08', conversions => '{prchase}')$$, '22023', NULL, 'a kind that is none');
SELECT throws_ok($$SELECT * FROM cdp.customer_value('2026-01-01 12:00+08')$$, '22000', NULL, 'too early to tell a model');
SELECT is((SELECT count(*) FROM cdp.customer_value('2020-01-01 00:00+08')), 0::bigint, 'nobody yet');

-- Who may read, and what it leaves.
SELECT count(*) FROM cdp.customer_value('2026-06-01 00:00+08', customer_ids => '{21}') \g /dev/null
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE action = 'read' AND object = 'customer_value' AND customer_id = 20), 1::bigint, 'the read of one customer is logged with his number');
CREATE ROLE value_test_analyst;
CREATE ROLE value_test_reader;
CALL cdp.setup(analyst => 'value_test_analyst', reader => 'value_test_reader');
GRANT USAGE ON SCHEMA public TO value_test_analyst, value_test_reader;
SELECT string_agg(quote_ident(n.nspname), ',') AS temp FROM pg_namespace n WHERE n.oid = pg_my_temp_schema() \gset
GRANT ALL ON ALL TABLES IN SCHEMA :temp TO value_test_analyst, value_test_reader;
GRANT ALL ON ALL SEQUENCES IN SCHEMA :temp TO value_test_analyst, value_test_reader;
SET ROLE value_test_reader;
SELECT throws_ok($$SELECT * FROM cdp.customer_value('2026-06-01 00:00+08')$$, '42501', NULL, 'who may not read touchpoints sees no customer''s value');
SELECT throws_ok('SELECT * FROM cdp_bi.customer_trait', '42501', NULL, 'nor traits');
SET ROLE value_test_analyst;
SELECT is((SELECT count(*) FROM cdp.customer_value('2026-06-01 00:00+08')), (SELECT customers FROM pg_temp.fits LIMIT 1), 'an analyst does');
SELECT lives_ok('SELECT * FROM cdp_bi.customer_trait', 'and may read traits');
SELECT throws_ok($$SELECT * FROM cdp.refresh_traits('2026-06-01 00:00+08')$$, '42501', NULL, 'not make them');
RESET ROLE;

-- Traits.
CREATE FUNCTION pg_temp.trait_differ() RETURNS text LANGUAGE sql AS $$
  WITH want AS (
    SELECT r.key::bigint AS customer_id, x.* FROM cdp.rfm_scores(pg_temp.twin('2026-06-01 00:00+08', cdp.rfm_options('2026-06-01 00:00+08', timezone => 'Asia/Shanghai'))) r,
      LATERAL (VALUES ('rfm_r', r.r::float8), ('rfm_f', r.f), ('rfm_m', r.m), ('rfm_score', r.score)) x (trait, value)
    UNION ALL
    SELECT v.customer_id, x.* FROM cdp.customer_value('2026-06-01 00:00+08', 365) v, LATERAL (VALUES ('p_alive', v.p_alive), ('expected_purchases', v.expected_purchases), ('ltv', v.ltv)) x (trait, value) WHERE x.value IS NOT NULL
  ) SELECT string_agg(format('%s instead of %s', g, w), E'\n') FROM (SELECT customer_id, trait, value FROM cdp_bi.customer_trait) g FULL JOIN want w USING (customer_id, trait) WHERE g.value IS DISTINCT FROM w.value $$;
CREATE TABLE pg_temp.first AS SELECT * FROM cdp.refresh_traits('2026-06-01 00:00+08');
SELECT is((SELECT string_agg(trait, ' ' ORDER BY trait) FROM pg_temp.first WHERE customers = written AND removed = 0 AND customers = (SELECT customers FROM pg_temp.fits LIMIT 1)), 'expected_purchases ltv p_alive rfm_f rfm_m rfm_r rfm_score', 'the first refresh writes all');
SELECT is(pg_temp.trait_differ(), NULL, 'traits are what the functions say');
SELECT is((SELECT sum(written + removed) FROM cdp.refresh_traits('2026-06-01 00:00+08')), 0::numeric, 'a second refresh writes nothing');
SELECT is((SELECT string_agg(t.name || ' ' || coalesce(f.model, '-') || ' ' || (t.definition ->> 'horizon') || ' ' || (t.as_of AT TIME ZONE 'UTC')::date, ', ' ORDER BY t.name) FROM cdp_data.trait t LEFT JOIN cdp_data.value_fit f USING (fit_id) WHERE t.name IN ('ltv', 'p_alive', 'rfm_r')),
  'ltv gammagamma 365 2026-05-31, p_alive bgnbd 365 2026-05-31, rfm_r - 365 2026-05-31', 'with what they were made');
UPDATE cdp_data.customer SET parent_id = 30 WHERE customer_id = 31;
SELECT cdp.record_consent('test source', 'analytics', 'denied', customer => 40) IS NOT NULL AS denied \g /dev/null
SELECT pg_temp.settle() \g /dev/null
CREATE TABLE pg_temp.second AS SELECT * FROM cdp.refresh_traits('2026-06-01 00:00+08');
SELECT is((SELECT string_agg(DISTINCT removed::text, ',') FROM pg_temp.second), '2', 'who was merged away and who refused go');
SELECT is(pg_temp.trait_differ(), NULL, 'and all others follow');
SELECT is((SELECT count(*) FROM cdp.customer_value('2026-06-01 00:00+08') WHERE customer_id = 40), 0::bigint, 'who refused analytics is in no figures');
UPDATE cdp_data.trait_setting SET model = 'paretonbd', horizon = 90, scores = 4, method = 'ntile', ties = 'split';
SELECT is((SELECT max(written) FROM cdp.refresh_traits('2026-06-01 00:00+08') WHERE trait IN ('p_alive', 'rfm_r')) > 50, true, 'another setting, other values');
SELECT is((SELECT max(value) FROM cdp_bi.customer_trait WHERE trait = 'rfm_r'), 4::float8, 'scores to four');
SELECT is((SELECT string_agg(DISTINCT v.value::text, ',') FROM cdp_bi.customer_trait v, cdp.customer_value('2026-06-01 00:00+08', 90, 'paretonbd', customer_ids => '{50}') c WHERE v.customer_id = 50 AND v.trait = 'ltv' AND v.value = c.ltv), (SELECT ltv::text FROM cdp.customer_value('2026-06-01 00:00+08', 90, 'paretonbd', customer_ids => '{50}')), 'and the other model''s value');
SELECT is((SELECT string_agg(trait || ' ' || customers || ' ' || (removed > 0), ', ' ORDER BY trait) FROM cdp.refresh_traits('2026-01-01 12:00+08') WHERE trait IN ('p_alive', 'ltv')), 'ltv 0 true, p_alive 0 true', 'where no model can be told, its traits have no values');
SELECT count(*) FROM cdp.refresh_traits('2026-06-01 00:00+08') \g /dev/null
SELECT ok((cdp.erase_customer(50) -> 'tables') @> '[{"table": "cdp_data.trait_value", "action": "delete", "rows": 7}]', 'an erasure takes his traits, and says so');
SELECT is((SELECT count(*) FROM cdp_data.trait_value WHERE customer_id = 50), 0::bigint, 'at once');
SET LOCAL transaction_read_only = on;
SELECT lives_ok($$SELECT * FROM cdp.customer_value_fit('2026-06-01 00:00+08')$$, 'models can be fitted where nothing can be written');
SELECT throws_ok($$SELECT * FROM cdp.customer_value('2026-06-01 00:00+08')$$, '25006', NULL, 'single customers are not shown where the read cannot be logged');
SELECT * FROM finish();
ROLLBACK;
