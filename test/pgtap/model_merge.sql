-- Path statistics add up: parts with other labels merge into the whole, subtracting takes away, byte for byte.
BEGIN;
SET LOCAL search_path = public, pg_temp;
SELECT plan(12);

CREATE FUNCTION pg_temp.options() RETURNS jsonb LANGUAGE sql AS
$$ SELECT cdp.attribution_options(models => '{markov(3),shapley,shapley_ordered,shapley_rate,one_removed}', paths => true) $$;
CREATE TEMP TABLE path (no int, path text[], conversions bigint, value numeric, nulls bigint);
SELECT setseed(0.577215);
-- The halves know different labels: the second one has two that sort first, and lacks two.
INSERT INTO path
SELECT no, array_agg((CASE WHEN no % 2 = 0 THEN ARRAY['mail', 'ads', 'shop', 'video'] ELSE ARRAY['aaa', 'ads', 'shop', 'aab'] END)[1 + floor(random() * 4)::int] ORDER BY t), c,
  CASE WHEN c > 0 THEN round((random() * 100)::numeric, 2) ELSE 0 END, n
FROM (SELECT no, floor(random() * 3)::int AS c, floor(random() * 3)::int AS n, 1 + floor(random() * 7)::int AS touches FROM generate_series(1, 400) no) j, generate_series(1, touches) t
GROUP BY no, c, n;
CREATE TEMP TABLE kept AS
SELECT (SELECT cdp.attribution_path_pass(path, conversions, value, nulls, pg_temp.options()) FROM path) AS whole,
  (SELECT cdp.attribution_merge(a) FROM (SELECT cdp.attribution_path_pass(path, conversions, value, nulls, pg_temp.options()) AS a FROM path GROUP BY no % 2) s) AS halves,
  (SELECT cdp.attribution_merge(a ORDER BY g DESC) FROM (SELECT no % 7 AS g, cdp.attribution_path_pass(path, conversions, value, nulls, pg_temp.options()) AS a FROM path GROUP BY 1) s) AS sevenths;
SELECT is(halves::text, whole::text, 'two halves with different labels merge into the whole, byte for byte') FROM kept;
SELECT is(sevenths::text, whole::text, 'and so do seven parts in another order') FROM kept;
SELECT is((SELECT count(*) FROM (SELECT t.* FROM kept, cdp.attribution_totals(whole) t EXCEPT SELECT t.* FROM kept, cdp.attribution_totals(halves) t) d), 0::bigint, 'totals are equal');
SELECT is((SELECT count(*) FROM (SELECT t.* FROM kept, cdp.attribution_transitions(whole, 2) t EXCEPT SELECT t.* FROM kept, cdp.attribution_transitions(halves, 2) t) d), 0::bigint, 'transitions are equal');

-- A lower order derived from order 3 equals the order counted by itself.
SELECT is((SELECT count(*) FROM (SELECT t.* FROM kept, cdp.attribution_transitions(whole, k) t
  EXCEPT SELECT t.* FROM (SELECT cdp.attribution_path_pass(path, conversions, value, nulls, cdp.attribution_options(models => ARRAY[format('markov(%s)', k)])) AS a FROM path) s,
    cdp.attribution_transitions(s.a, k) t) d), 0::bigint, format('order %s from order 3 equals order %s counted alone', k, k)) FROM generate_series(1, 2) k;
SELECT is((SELECT sum(count) FROM kept, cdp.attribution_transitions(whole, 1) WHERE from_state = '{(start)}'), (SELECT sum(conversions + nulls) FROM path), 'each journey starts once');
SELECT is((SELECT max(abs(s - 1)) < 1e-12 FROM (SELECT sum(probability) AS s FROM kept, cdp.attribution_transitions(whole, 3) GROUP BY from_state) d), true, 'probabilities of a state sum to 1');

-- Subtracting: journeys of timed touches, some taken back.
CREATE TEMP TABLE touch (customer bigint, at timestamptz, label text, value numeric);
INSERT INTO touch
SELECT no, '2026-01-01'::timestamptz + t * interval '1 hour', label, NULL FROM path, unnest(path) WITH ORDINALITY u (label, t)
UNION ALL
SELECT no, '2026-01-02', NULL, value FROM path WHERE conversions > 0;
CREATE TEMP TABLE journey AS
SELECT j.* FROM (SELECT cdp.attribution_pass(customer, at, label, value, cdp.attribution_options(models => '{last}', credits => true)) AS a FROM touch) s, cdp.attribution_journeys(s.a) j;
SELECT is((SELECT count(*) FROM journey), 400::bigint, 'a journey for each customer');
-- Label lists of results may keep a label whose journeys were all taken back, so the rows are compared.
CREATE TEMP TABLE replayed AS
SELECT (SELECT cdp.attribution_replay(journey, 1, pg_temp.options()) FROM journey WHERE customer::int > 100) AS rest,
  (SELECT cdp.attribution_replay(j, s, pg_temp.options()) FROM (
     SELECT journey AS j, 1 AS s FROM journey UNION ALL SELECT journey, -1 FROM journey WHERE customer::int <= 100) x) AS taken;
SELECT is((SELECT count(*) FROM (SELECT t.* FROM replayed, cdp.attribution_transitions(rest, 3) t EXCEPT SELECT t.* FROM replayed, cdp.attribution_transitions(taken, 3) t) d), 0::bigint, 'transitions after taking journeys back');
SELECT is((SELECT count(*) FROM (SELECT t.* FROM replayed, cdp.attribution_totals(rest) t EXCEPT SELECT t.* FROM replayed, cdp.attribution_totals(taken) t) d), 0::bigint, 'all data-driven models after taking journeys back');
SELECT throws_ok($$ SELECT cdp.attribution_removal((SELECT cdp.attribution_replay(journey, -1, pg_temp.options()) FROM journey), 1) $$, '22023', NULL, 'taking back what was never there is an error');

SELECT * FROM finish();
ROLLBACK;
