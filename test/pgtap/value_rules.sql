-- Traits in rules: named in the catalogue, compared by every operator, evaluated anew after a refresh, bound to their purposes.
-- Commits, so without a transaction around.
SELECT plan(14);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC') AS shop \gset
CREATE FUNCTION pg_temp.members(name text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(i.value, ' ' ORDER BY i.value) FROM cdp.segment_members(name) m JOIN cdp_data.identifier i ON i.customer_id = m AND i.type_id = 1 $$;
-- e is known and has bought nothing, so that no trait of him is known.
SELECT cdp.track('shop', 'purchase', jsonb_build_object('user_id', u), '{}', '2026-01-01'::timestamptz + n * days * interval '1 day', u || n, worth, 'CNY')
FROM (VALUES ('a', 10, 12, 50), ('b', 5, 20, 80), ('c', 2, 30, 10), ('d', 1, 5, 300)) AS x (u, times, days, worth) CROSS JOIN LATERAL generate_series(1, x.times) n;
SELECT cdp.identify('shop', '{"user_id": "e"}', '{"city": "Xian"}', '2026-05-01');

SELECT throws_ok($$SELECT cdp.create_segment('x', 'trait rfm_x >= 4', 'service')$$, '22023', NULL, 'an unknown trait is refused');
SELECT isnt(cdp.create_segment('best', 'trait rfm_f >= 4', 'service'), NULL, 'a known one is taken before its first refresh');
SELECT run_id FROM cdp.segment_tick('2026-06-01 00:00+00') \gset
SELECT is(pg_temp.members('best'), NULL, 'and nobody has a value yet');
SELECT is((SELECT count(*) FROM cdp.refresh_traits('2026-06-01')), 7::bigint, 'a refresh');
SELECT kind, touched FROM cdp.segment_tick('2026-06-01 00:01+00') \gset
SELECT is(pg_temp.members('best'), (SELECT string_agg(i.value, ' ' ORDER BY i.value) FROM cdp_bi.customer_trait t JOIN cdp_data.identifier i ON i.customer_id = t.customer_id AND i.type_id = 1 WHERE t.trait = 'rfm_f' AND t.value >= 4), 'the next tick evaluates the segment anew');
SELECT isnt(pg_temp.members('best'), NULL, 'and somebody is in');
SELECT is((SELECT array_agg(DISTINCT cause) FROM cdp_data.segment_transition), '{rule}', 'because of what the rule stands on');

-- Every operator against plain SQL, over everybody and over a few.
CREATE TABLE rule AS
SELECT format('%s %s', o.op, k) AS name, jsonb_build_object('trait', 'rfm_f', o.op, k) AS atom, format(o.condition, k) AS condition
FROM (VALUES ('eq', 'value = %s'), ('neq', '(value = %s) IS NOT TRUE'), ('lt', 'value < %s'), ('lte', 'value <= %s'), ('gt', 'value > %s'), ('gte', 'value >= %s')) AS o (op, condition), generate_series(1, 5) k
UNION ALL VALUES ('exists', '{"trait": "p_alive", "exists": true}'::jsonb, 'value IS NOT NULL'), ('not exists', '{"trait": "p_alive", "exists": false}', 'value IS NULL'),
  ('a fraction', '{"trait": "ltv", "gte": 100.5}', 'value >= 100.5'), ('between', '{"trait": "rfm_r", "between": [2, 4]}', 'value BETWEEN 2 AND 4');
SELECT count(*) FROM (SELECT cdp.create_segment('op ' || name, jsonb_build_object('where', atom), 'service') FROM rule) x \g /dev/null
SELECT run_id FROM cdp.segment_tick('2026-06-01 00:02+00') \gset
CREATE FUNCTION pg_temp.plain(atom jsonb, condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE found text;
BEGIN
  EXECUTE format('SELECT string_agg(i.u, '' '' ORDER BY i.u) FROM (SELECT customer_id, value AS u FROM cdp_data.identifier WHERE type_id = 1) i LEFT JOIN cdp_bi.customer_trait t ON t.customer_id = i.customer_id AND t.trait = %L WHERE %s', atom ->> 'trait', condition) INTO found;
  RETURN found;
END $$;
SELECT is_empty($$SELECT name, m, p FROM (SELECT name, pg_temp.members('op ' || name) AS m, pg_temp.plain(atom, condition) AS p FROM rule) x WHERE m IS DISTINCT FROM p$$, 'every operator');
SELECT cmp_ok((SELECT count(DISTINCT pg_temp.members('op ' || name)) FROM rule), '>=', 8::bigint, 'which tells apart');
-- Ranks: the limit is a member's own value, whatever its digits.
SELECT count(*) FROM (SELECT cdp.create_segment('top ' || k, format('top %s by trait p_alive', k), 'service') FROM generate_series(1, 3) k) x \g /dev/null
SELECT run_id FROM cdp.segment_tick('2026-06-01 00:02:30+00') \gset
SELECT is_empty($$SELECT * FROM (SELECT k, pg_temp.members('top ' || k) AS m,
    (SELECT string_agg(i.value, ' ' ORDER BY i.value) FROM cdp_bi.customer_trait t JOIN cdp_data.identifier i ON i.customer_id = t.customer_id AND i.type_id = 1
      WHERE t.trait = 'p_alive' AND (SELECT count(*) FROM cdp_bi.customer_trait o WHERE o.trait = 'p_alive' AND o.value > t.value) < k) AS p FROM generate_series(1, 3) k) x WHERE m IS DISTINCT FROM p OR m IS NULL$$, 'the top of a trait, ties all in');
SELECT is((SELECT defects FROM cdp.audit_segments('2026-06-01 00:03+00')), 0::bigint, 'ticks and a pass agree');

-- A purpose that does not allow it.
UPDATE cdp_data.trait SET allowed_purposes = '{analytics}' WHERE name = 'ltv';
SELECT throws_ok($$SELECT cdp.create_segment('rich', 'trait ltv >= 100', 'marketing')$$, '22023', NULL, 'a trait is bound to its purposes');
-- Explained with the value that is kept.
SELECT is((SELECT string_agg(e.observed::text || ' ' || e.result, ', ' ORDER BY i.value) FROM cdp_data.identifier i CROSS JOIN LATERAL cdp.segment_explain('op lt 3', i.customer_id, '2026-06-01 00:03+00') e WHERE i.type_id = 1 AND e.observed IS NOT NULL),
  (SELECT string_agg(t.value || ' ' || (t.value < 3), ', ' ORDER BY i.value) FROM cdp_data.identifier i JOIN cdp_bi.customer_trait t ON t.customer_id = i.customer_id AND t.trait = 'rfm_f' WHERE i.type_id = 1), 'observed is the value of the trait');
SELECT is((SELECT DISTINCT e.threshold FROM cdp_data.identifier i CROSS JOIN LATERAL cdp.segment_explain('top 2', i.customer_id, '2026-06-01 00:03+00') e WHERE i.type_id = 1),
  (SELECT jsonb_build_object('top', 2, 'gte', threshold) FROM cdp_data.rank_threshold WHERE rank LIKE '%p_alive%' AND rank LIKE '%"top":2}%'), 'and of a rank its limit');
SELECT * FROM finish();
