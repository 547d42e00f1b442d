-- Markov models: published and hand-computed answers, invariants, and a slow twin in plpgsql.
BEGIN;
SET LOCAL search_path = public, pg_temp;
SELECT plan(58);

CREATE FUNCTION pg_temp.near(found double precision, expected double precision, relative double precision, what text)
RETURNS text LANGUAGE sql AS $$
  SELECT public.ok(found IS NOT NULL AND abs(found - expected) <= relative * greatest(abs(expected), 1e-300),
    what || format(' (found %s, expected %s)', found, expected))
$$;

CREATE TEMP TABLE path (kase text, path text[], conversions bigint, value numeric, nulls bigint);
INSERT INTO path VALUES
  ('ka1', '{C1,C2,C3}', 1, 0, 0), ('ka1', '{C1}', 0, 0, 1), ('ka1', '{C2,C3}', 0, 0, 1),
  ('ka2', '{A,B}', 2, 30, 3), ('ka2', '{B,A,A}', 1, 50, 0), ('ka2', '{A}', 1, 10, 4),
  ('ka2', '{B,C,B}', 2, 100, 2), ('ka2', '{C}', 0, 0, 5),
  ('nothing converts', '{A,B}', 0, 0, 5), ('nothing converts', '{B}', 0, 0, 1),
  ('one label', '{A,A}', 3, 9, 1), ('one label', '{A}', 0, 0, 4),
  ('value 0', '{A,B}', 2, 0, 1), ('value 0', '{B}', 1, 0, 1),
  ('value below 0', '{A,B}', 2, -5, 1), ('value below 0', '{B}', 1, 1, 1),
  ('one effect below 0', '{A}', 2, -5, 1), ('one effect below 0', '{B}', 1, 100, 1);

CREATE TEMP TABLE kept AS
SELECT kase, cdp.attribution_path_pass(path, conversions, value, nulls,
  cdp.attribution_options(models => '{markov,markov(2),markov(3)}')) AS a
FROM path GROUP BY kase;

-- KA1 and KA2 of research/attribution.md: fractions, solved by hand.
CREATE TEMP TABLE expected (kase text, model text, label text, conversions double precision, value double precision);
INSERT INTO expected VALUES
  ('ka1', 'markov', 'C1', 1/5.0, 0), ('ka1', 'markov', 'C2', 2/5.0, 0), ('ka1', 'markov', 'C3', 2/5.0, 0),
  ('ka1', 'markov(2)', 'C1', 1/5.0, 0), ('ka1', 'markov(2)', 'C2', 2/5.0, 0), ('ka1', 'markov(2)', 'C3', 2/5.0, 0),
  ('ka1', 'markov(3)', 'C1', 1/3.0, 0), ('ka1', 'markov(3)', 'C2', 1/3.0, 0), ('ka1', 'markov(3)', 'C3', 1/3.0, 0),
  ('ka2', 'markov', 'A', 5960/2473.0, 9462/127.0), ('ka2', 'markov', 'B', 6854/2473.0, 11324/127.0),
  ('ka2', 'markov', 'C', 2024/2473.0, 3344/127.0),
  ('ka2', 'markov(2)', 'A', 24/11.0, 1710/37.0), ('ka2', 'markov(2)', 'B', 30/11.0, 3420/37.0), ('ka2', 'markov(2)', 'C', 12/11.0, 1900/37.0),
  ('ka2', 'markov(3)', 'A', 24/11.0, 1710/37.0), ('ka2', 'markov(3)', 'B', 30/11.0, 3420/37.0), ('ka2', 'markov(3)', 'C', 12/11.0, 1900/37.0);
SELECT pg_temp.near(t.conversions::double precision, e.conversions, 1e-12, format('%s %s %s: conversions', e.kase, e.model, e.label))
FROM expected e JOIN kept k USING (kase) LEFT JOIN LATERAL cdp.attribution_totals(k.a) t ON t.model = e.model AND t.label = e.label
ORDER BY e.kase, e.model, e.label;
SELECT pg_temp.near(t.value::double precision, e.value, 1e-7, format('%s %s %s: value', e.kase, e.model, e.label))
FROM expected e JOIN kept k USING (kase) LEFT JOIN LATERAL cdp.attribution_totals(k.a) t ON t.model = e.model AND t.label = e.label
WHERE e.kase = 'ka2' ORDER BY e.kase, e.model, e.label;
SELECT results_eq(
  $$ SELECT label, round(removal_conversions::numeric, 14) FROM kept, cdp.attribution_removal(a, 1) WHERE kase = 'ka2' ORDER BY label $$,
  $$ VALUES ('A', round(20/33.0, 14)), ('B', round(23/33.0, 14)), ('C', round(92/447.0, 14)) $$, 'KA2: removal effects of order 1');
SELECT results_eq(
  $$ SELECT label, round(removal_conversions::numeric, 14) FROM kept, cdp.attribution_removal(a, 1) WHERE kase = 'ka1' ORDER BY label $$,
  $$ VALUES ('C1', round(0.5, 14)), ('C2', round(1.0, 14)), ('C3', round(1.0, 14)) $$, 'KA1: removal effects of order 1');

-- The matrix itself.
SELECT results_eq(
  $$ SELECT from_state, to_label, to_state, count, round(probability::numeric, 12) FROM kept, cdp.attribution_transitions(a) WHERE kase = 'ka1' $$,
  $$ VALUES ('{(start)}'::text[], 'C1', '{C1}'::text[], 2::bigint, round(2/3.0, 12)), ('{(start)}', 'C2', '{C2}', 1, round(1/3.0, 12)),
            ('{C1}', 'C2', '{C2}', 1, 0.5), ('{C1}', '(null)', '{(null)}', 1, 0.5), ('{C2}', 'C3', '{C3}', 2, 1),
            ('{C3}', '(conversion)', '{(conversion)}', 1, 0.5), ('{C3}', '(null)', '{(null)}', 1, 0.5) $$, 'KA1: transitions of order 1, default order');
SELECT results_eq(
  $$ SELECT from_state, to_label, to_state, count FROM kept, cdp.attribution_transitions(a, 2) WHERE kase = 'ka1' $$,
  $$ VALUES ('{(start)}'::text[], 'C1', '{C1}'::text[], 1::bigint), ('{(start)}', 'C2', '{C1,C2}', 1), ('{(start)}', 'C3', '{C2,C3}', 1),
            ('{C1}', '(null)', '{(null)}', 1), ('{C1,C2}', 'C3', '{C2,C3}', 1),
            ('{C2,C3}', '(conversion)', '{(conversion)}', 1), ('{C2,C3}', '(null)', '{(null)}', 1) $$, 'KA1: transitions of order 2');

-- Sets of labels.
SELECT is(round(removal_conversions::numeric, 12), 1.000000000000, 'removing all labels loses all conversions')
FROM kept, cdp.attribution_removal_of(a, '{A,B,C}', 2) WHERE kase = 'ka2';
SELECT is(removal_conversions, 0::double precision, 'removing no label loses nothing') FROM kept, cdp.attribution_removal_of(a, '{}') WHERE kase = 'ka2';
SELECT is(bool_and(abs(o.removal_conversions - r.removal_conversions) < 1e-13 AND abs(o.removal_value - r.removal_value) < 1e-13), true,
  'removing a set of one label equals removing the label, orders 1 to 3')
FROM kept, generate_series(1, 3) k, cdp.attribution_removal(a, k) r, cdp.attribution_removal_of(a, ARRAY[r.label], k) o WHERE kase = 'ka2';

-- Edges.
SELECT is((SELECT sum(removal_conversions) FROM kept, cdp.attribution_removal(a, 2) WHERE kase = 'nothing converts'), 0::double precision, 'no conversions: effects are 0');
SELECT is((SELECT count(*) FROM kept, cdp.attribution_removal(a, 2) WHERE kase = 'nothing converts'), 2::bigint, 'and each label has its row');
SELECT is((SELECT sum(conversions) FROM kept, cdp.attribution_totals(a) WHERE kase = 'nothing converts'), 0::numeric, 'and credits are 0');
SELECT is((SELECT array_agg((label, conversions, value)::text ORDER BY model) FROM kept, cdp.attribution_totals(a) WHERE kase = 'one label' AND label = 'A'),
  ARRAY['(A,3,9)', '(A,3,9)', '(A,3,9)'], 'one label takes all');
SELECT is((SELECT sum(removal_value) FROM kept, cdp.attribution_removal(a) WHERE kase = 'value 0'), 0::double precision, 'total value 0: effects on value are 0');
SELECT is((SELECT sum(value) FROM kept, cdp.attribution_totals(a) WHERE kase = 'value below 0' AND model = 'markov'), -4::numeric, 'a negative total is shared out');
SELECT is((SELECT bool_and(abs(value / -4 - conversions / 3) < 1e-6) FROM kept, cdp.attribution_totals(a) WHERE kase = 'value below 0' AND model = 'markov'), true, 'like conversions');
SELECT is((SELECT bool_and(abs(value / 95 - conversions / 3) < 1e-6) FROM kept, cdp.attribution_totals(a) WHERE kase = 'one effect below 0' AND model = 'markov'), true,
  'and so is value when an effect on it is below 0');
SELECT is((SELECT max(removal_value) > 1 FROM kept, cdp.attribution_removal(a) WHERE kase = 'one effect below 0'), true, 'whose effect is told as it is');
SELECT throws_ok($$ SELECT cdp.attribution_removal(a, 0) FROM kept $$, '22023', NULL, 'order 0 is an error');
SELECT throws_ok($$ SELECT cdp.attribution_removal(a, 51) FROM kept $$, '22023', NULL, 'order 51 is an error');
SELECT throws_ok($$ SELECT cdp.attribution_removal(a, 4) FROM kept $$, '22023', NULL, 'an order that is not held is an error');
SELECT throws_ok($$ SELECT cdp.attribution_removal_of(a, '{nobody}') FROM kept $$, '22023', NULL, 'an unknown label is an error');
SELECT throws_ok($$ SELECT cdp.attribution_removal_of(a, '{NULL}') FROM kept $$, '22023', NULL, 'a NULL label is an error');

-- The twin: states, transitions and long power iteration, straight from the definition.
CREATE FUNCTION pg_temp.walks(k int, removed text) RETURNS double precision[] LANGUAGE plpgsql AS $$
DECLARE
  src int[]; dst int[]; weight double precision[];
  conv double precision[]; val double precision[]; start double precision[];
  h double precision[]; g double precision[]; nh double precision[]; ng double precision[];
  n int; p double precision := 0; e double precision := 0;
BEGIN
  SELECT array_agg(c / t ORDER BY no), array_agg(v / t ORDER BY no), array_agg(s ORDER BY no), count(*) INTO conv, val, start, n FROM pg_temp.twin_state;
  SELECT array_agg(a.no ORDER BY a.no, b.no), array_agg(b.no ORDER BY a.no, b.no), array_agg(x.w / a.t ORDER BY a.no, b.no) INTO src, dst, weight
  FROM pg_temp.twin_step x JOIN pg_temp.twin_state a ON a.state = x.a JOIN pg_temp.twin_state b ON b.state = x.b
  WHERE removed IS NULL OR NOT (removed = ANY (x.a) OR removed = ANY (x.b));
  h := array_fill(0::double precision, ARRAY[n]);
  g := h;
  FOR round IN 1 .. 400 LOOP
    nh := conv; ng := val;
    FOR i IN 1 .. coalesce(cardinality(src), 0) LOOP
      nh[src[i]] := nh[src[i]] + weight[i] * h[dst[i]];
      ng[src[i]] := ng[src[i]] + weight[i] * g[dst[i]];
    END LOOP;
    h := nh; g := ng;
  END LOOP;
  SELECT coalesce(sum(s * h[no]), 0), coalesce(sum(s * g[no]), 0) INTO p, e FROM pg_temp.twin_state WHERE removed IS NULL OR removed <> ALL (state);
  RETURN ARRAY[p, e];
END $$;
CREATE FUNCTION pg_temp.twin_removal(k int) RETURNS TABLE (label text, removal_conversions double precision, removal_value double precision) LANGUAGE plpgsql AS $$
DECLARE
  whole double precision[];
BEGIN
  DROP TABLE IF EXISTS pg_temp.twin_step, pg_temp.twin_state;
  CREATE TEMP TABLE twin_gram AS
  SELECT r.no, i, r.path[i : i + k - 1] AS state, i = 1 AS first, i = greatest(cardinality(r.path) - k + 1, 1) AS last, r.conversions + r.nulls AS w, r.conversions AS c, r.value AS v
  FROM pg_temp.random_path r, generate_series(1, greatest(cardinality(r.path) - k + 1, 1)) i;
  CREATE TEMP TABLE twin_step AS
  SELECT x.state AS a, y.state AS b, sum(x.w)::double precision AS w FROM pg_temp.twin_gram x JOIN pg_temp.twin_gram y ON y.no = x.no AND y.i = x.i + 1 GROUP BY 1, 2;
  CREATE TEMP TABLE twin_state AS
  SELECT row_number() OVER (ORDER BY state)::int AS no, state, sum(w)::double precision AS t,
    (sum(w) FILTER (WHERE first))::double precision AS s, coalesce(sum(c) FILTER (WHERE last), 0)::double precision AS c, coalesce(sum(v) FILTER (WHERE last), 0)::double precision AS v
  FROM pg_temp.twin_gram GROUP BY state;
  UPDATE pg_temp.twin_state SET s = coalesce(s, 0);
  DROP TABLE pg_temp.twin_gram;
  whole := pg_temp.walks(k, NULL);
  RETURN QUERY SELECT l, 1 - w[1] / whole[1], 1 - w[2] / whole[2]
    FROM (SELECT DISTINCT unnest(path) AS l FROM pg_temp.random_path) s, LATERAL (SELECT pg_temp.walks(k, l) AS w) t;
END $$;

-- Journeys of 1 to 8 touches over five labels, some of them rare.
CREATE TEMP TABLE random_path (no int, path text[], conversions bigint, value numeric, nulls bigint);
SELECT setseed(0.271828);
INSERT INTO random_path
SELECT no, array_agg((ARRAY['ads', '微信', 'mail', 'shop', 'rare'])[1 + floor(random() ^ 2 * 5)::int] ORDER BY t), c, CASE WHEN c > 0 THEN round((random() * 100)::numeric, 2) ELSE 0 END, n
FROM (SELECT no, floor(random() * 3)::int AS c, 1 + floor(random() * 4)::int AS n, 1 + floor(random() * 8)::int AS touches FROM generate_series(1, 150) no) j,
  generate_series(1, touches) t
GROUP BY no, c, n;
CREATE TEMP TABLE random_kept AS
SELECT cdp.attribution_path_pass(path, conversions, value, nulls, cdp.attribution_options(models => '{markov,markov(2),markov(3)}')) AS a FROM random_path;
SELECT is((SELECT count(*) FROM random_kept, pg_temp.twin_removal(k) t JOIN cdp.attribution_removal(a, k) r USING (label)
           WHERE abs(t.removal_conversions - r.removal_conversions) < 1e-12 AND abs(t.removal_value - r.removal_value) < 1e-12), 5::bigint,
  format('random journeys: order %s equals the twin', k)) FROM generate_series(1, 3) k;

-- P = C / (C + N), value of a journey, residuals, effects inside 0 to 1.
SELECT is((SELECT bool_and(abs(p / p_expected - 1) < 1e-12 AND abs(e / e_expected - 1) < 1e-12 AND residual <= 1e-12 AND lowest >= 0 AND highest <= 1)
           FROM random_kept, cdp_internal.attribution_markov_check(a)), true, 'P = C / (C + N) and E = V / (C + N) for orders 1 to 3');

-- Scale: ten times the journeys, the same effects. Collapse: order 1 does not see repeats.
CREATE FUNCTION pg_temp.effects(a cdp.attribution_partial, k int) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(format('%s %s %s', label, round(removal_conversions::numeric, 12), round(removal_value::numeric, 10)), ', ' ORDER BY label) FROM cdp.attribution_removal(a, k) $$;
SELECT is((SELECT pg_temp.effects(cdp.attribution_path_pass(path, 10 * conversions, 10 * value, 10 * nulls, cdp.attribution_options(models => '{markov(3)}')), 3) FROM random_path),
  (SELECT pg_temp.effects(a, 3) FROM random_kept), 'ten times the journeys, the same effects');
SELECT is((SELECT pg_temp.effects(cdp.attribution_path_pass(path, conversions, value, nulls, cdp.attribution_options(models => '{markov}', "collapse" => true)), 1) FROM random_path),
  (SELECT pg_temp.effects(a, 1) FROM random_kept), 'order 1 does not change when repeats are collapsed');
SELECT is((SELECT a::text::cdp.attribution_partial::text = a::text FROM random_kept), true, 'a partial survives its text form');
SELECT is((SELECT count(*) FROM random_kept, cdp.attribution_check(a) WHERE ok), 18::bigint, 'all self-checks hold');
SELECT is((SELECT count(*) FROM random_kept, cdp.attribution_check(a) WHERE NOT ok), 0::bigint, 'none fails');
SELECT is((SELECT md5(cdp.attribution_path_pass(path, conversions, value, nulls, cdp.attribution_options(models => '{markov(3),shapley}') ORDER BY no)::text) FROM random_path),
  (SELECT md5(cdp.attribution_path_pass(path, conversions, value, nulls, cdp.attribution_options(models => '{markov(3),shapley}') ORDER BY no DESC)::text) FROM random_path),
  'the same bytes whatever the order of rows');

SELECT * FROM finish();
ROLLBACK;
