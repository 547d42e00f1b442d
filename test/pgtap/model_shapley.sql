-- Shapley models and the counterfactual: known answers, and twins that go through all permutations.
BEGIN;
SET LOCAL search_path = public, pg_temp;
SELECT plan(17);

-- KA3 of research/attribution.md.
CREATE TEMP TABLE ka3 (path text[], conversions bigint, value numeric, nulls bigint);
INSERT INTO ka3 VALUES ('{A}', 10, 100, 0), ('{B}', 4, 8, 1), ('{A,B}', 2, 20, 2), ('{B,A,B}', 4, 4, 3), ('{C,B}', 3, 9, 0), ('{C,A,B,C}', 9, 90, 4);
CREATE TEMP TABLE kept AS SELECT cdp.attribution_path_pass(path, conversions, value, nulls,
  cdp.attribution_options(models => '{shapley,shapley_ordered,shapley_rate,one_removed}')) AS a FROM ka3;
SELECT results_eq($$ SELECT label, round(conversions, 12) FROM kept, cdp.attribution_totals(a) WHERE model = 'shapley' ORDER BY label COLLATE "C" $$,
  $$ VALUES ('(unattributed)', 0.000000000000), ('A', 16.000000000000), ('B', 11.500000000000), ('C', 4.500000000000) $$, 'KA3: A 16, B 23/2, C 9/2');
SELECT results_eq($$ SELECT label, conversions, value FROM kept, cdp.attribution_totals(a) WHERE model = 'shapley_ordered' $$,
  $$ SELECT label, conversions, value FROM kept, cdp.attribution_totals(a) WHERE model = 'shapley' $$, 'ordered Shapley has the totals of Shapley');
SELECT results_eq($$ SELECT label, "position", round(conversions::numeric, 10) FROM kept, cdp.attribution_positions(a) WHERE label IN ('B', 'C') $$,
  $$ VALUES ('B', 1, round(4 + 4 / 4.0, 10)), ('B', 2, round(2 / 2.0 + 3 / 2.0, 10)), ('B', 3, round(4 / 4.0 + 9 / 3.0, 10)),
            ('C', 1, round(3 / 2.0 + 9 / 6.0, 10)), ('C', 4, round(9 / 6.0, 10)) $$, 'positions by hand: equal parts by label, then by occurrence');
SELECT is((SELECT bool_and(abs(p.conversions - t.conversions) < 1e-12 AND abs(p.value - t.value) < 1e-6)
           FROM kept, (SELECT label, sum(conversions)::numeric AS conversions, sum(value)::numeric AS value FROM kept, cdp.attribution_positions(a) GROUP BY label) p
             JOIN LATERAL cdp.attribution_totals(a) t ON t.model = 'shapley' AND t.label = p.label), true, 'positions add up to the label');

-- The twin: marginal contributions over all permutations, worths straight from the paths.
CREATE TEMP TABLE random_path (no int, path text[], conversions bigint, value numeric, nulls bigint);
SELECT setseed(0.314159);
INSERT INTO random_path
SELECT no, array_agg((ARRAY['a', 'b', 'c', 'd', 'e'])[1 + floor(random() ^ 2 * 5)::int] ORDER BY t), c, CASE WHEN c > 0 THEN round((random() * 100 - 10)::numeric, 2) ELSE 0 END, n
FROM (SELECT no, floor(random() * 3)::int AS c, floor(random() * 4)::int AS n, 1 + floor(random() * 5)::int AS touches FROM generate_series(1, 80) no) j, generate_series(1, touches) t
GROUP BY no, c, n;
CREATE TEMP TABLE worth AS
SELECT s.members, coalesce(sum(p.conversions), 0) AS c, coalesce(sum(p.value), 0) AS v, coalesce(sum(p.conversions + p.nulls), 0) AS n
FROM (SELECT array_remove(ARRAY[CASE WHEN m & 1 > 0 THEN 'a' END, CASE WHEN m & 2 > 0 THEN 'b' END, CASE WHEN m & 4 > 0 THEN 'c' END,
        CASE WHEN m & 8 > 0 THEN 'd' END, CASE WHEN m & 16 > 0 THEN 'e' END], NULL) AS members FROM generate_series(0, 31) m) s
  LEFT JOIN random_path p ON p.path <@ s.members GROUP BY s.members;
CREATE TEMP TABLE twin AS
WITH RECURSIVE permutation (done) AS (
  SELECT ARRAY[]::text[]
  UNION ALL
  SELECT done || l FROM permutation, unnest('{a,b,c,d,e}'::text[]) l WHERE l <> ALL (done)
)
SELECT done[i] AS label, avg(y.c - x.c) AS sum_c, avg(y.v - x.v) AS sum_v,
  avg(coalesce(y.c / nullif(y.n, 0), 0) - coalesce(x.c / nullif(x.n, 0), 0)) * (SELECT max(n) FROM worth) AS rate_c,
  avg(coalesce(y.v / nullif(y.n, 0), 0) - coalesce(x.v / nullif(x.n, 0), 0)) * (SELECT max(n) FROM worth) AS rate_v
FROM permutation, generate_series(1, 5) i
  JOIN LATERAL (SELECT * FROM worth w WHERE w.members @> done[1 : i - 1] AND w.members <@ done[1 : i - 1]) x ON true
  JOIN LATERAL (SELECT * FROM worth w WHERE w.members @> done[1 : i] AND w.members <@ done[1 : i]) y ON true
WHERE cardinality(done) = 5 GROUP BY 1;
CREATE TEMP TABLE random_kept AS SELECT cdp.attribution_path_pass(path, conversions, value, nulls,
  cdp.attribution_options(models => '{shapley,shapley_ordered,shapley_rate,one_removed}')) AS a FROM random_path;
SELECT is((SELECT count(*) FROM random_kept, cdp.attribution_totals(a) t JOIN twin USING (label)
           WHERE t.model = m AND abs(t.conversions - twin.sum_c) < 1e-9 AND abs(t.value - twin.sum_v) < 1e-6), 5::bigint, m || ' equals all permutations of the sum game')
FROM unnest('{shapley,shapley_ordered}'::text[]) m;
SELECT is((SELECT count(*) FROM random_kept, cdp.attribution_totals(a) t JOIN twin USING (label)
           WHERE t.model = 'shapley_rate' AND abs(t.conversions - twin.rate_c) < 1e-9 AND abs(t.value - twin.rate_v) < 1e-6), 5::bigint, 'shapley_rate equals all permutations of the rate game');
SELECT is((SELECT count(DISTINCT round(c - sum_c, 9)) FROM (SELECT sum(t.conversions) AS c, (SELECT sum(conversions) FROM random_path) AS sum_c
           FROM random_kept, cdp.attribution_totals(a) t GROUP BY t.model) s WHERE round(c - sum_c, 9) = 0), 1::bigint, 'each model shares out all conversions');

-- A label that makes journeys convert less often earns less than nothing in the rate game.
SELECT is((SELECT conversions < 0 FROM (SELECT cdp.attribution_path_pass(path, c, 0::numeric, n, cdp.attribution_options(models => '{shapley_rate}')) AS a
  FROM (VALUES ('{good}'::text[], 90::bigint, 10::bigint), ('{bad}', 1, 99), ('{good,bad}', 5, 95)) v (path, c, n)) s, cdp.attribution_totals(a) WHERE label = 'bad'), true, 'negative credits are shown');

-- One touch removed, by its definition in SQL.
SELECT is((
  WITH seen AS (SELECT path, sum(conversions) AS c, sum(value) AS v, sum(conversions + nulls) AS n FROM random_path GROUP BY path HAVING sum(conversions + nulls) > 0),
  gain AS (
    SELECT s.path, s.c, s.v, i, s.path[i] AS label,
      greatest(s.c / s.n - coalesce((SELECT o.c / o.n FROM seen o WHERE o.path = s.path[: i - 1] || s.path[i + 1 :]), 0), 0) AS gain
    FROM seen s, generate_series(1, cardinality(s.path)) i),
  share AS (
    SELECT label, c, v, CASE WHEN sum(gain) OVER p > 0 THEN gain / sum(gain) OVER p WHEN i = cardinality(path) THEN 1 ELSE 0 END AS part
    FROM gain WINDOW p AS (PARTITION BY path)),
  total AS (SELECT label, sum(c * part) AS c, sum(v * part) AS v FROM share GROUP BY label)
  SELECT count(*) FROM random_kept, total JOIN LATERAL cdp.attribution_totals(a) t ON t.model = 'one_removed' AND t.label = total.label
  WHERE abs(t.conversions - total.c) < 1e-9 AND abs(t.value - total.v) < 1e-6), 5::bigint, 'one_removed equals its definition');

-- Limits.
CREATE FUNCTION pg_temp.many(n int, models text[]) RETURNS cdp.attribution_partial LANGUAGE sql AS
$$ SELECT cdp.attribution_path_pass(ARRAY['l' || i], 1::bigint, 2::numeric, 1::bigint, cdp.attribution_options(models => models)) FROM generate_series(1, n) i $$;
SELECT is((SELECT sum(conversions) FROM cdp.attribution_totals(pg_temp.many(20, '{shapley_rate}'))), 20::numeric, 'shapley_rate takes 20 labels');
SELECT throws_ok($$ SELECT cdp.attribution_totals(pg_temp.many(21, '{shapley_rate}')) $$, '54000', NULL, 'and refuses 21');
SELECT is((SELECT count(*) FROM cdp.attribution_totals(pg_temp.many(64, '{shapley}')) WHERE conversions = 1), 64::bigint, '64 labels as bits');
SELECT is((SELECT count(*) FROM cdp.attribution_totals(pg_temp.many(65, '{shapley}')) WHERE round(conversions, 9) = 1), 65::bigint, '65 labels as lists');
SELECT is((SELECT count(*) FROM cdp.attribution_totals(pg_temp.many(100000, '{shapley,markov}')) WHERE conversions = 1), 200000::bigint, '100,000 labels');
SELECT is((SELECT sum(conversions) FROM cdp.attribution_totals((SELECT cdp.attribution_path_pass(path, 0::bigint, 0::numeric, 1::bigint,
  cdp.attribution_options(models => '{shapley,shapley_rate,one_removed}')) FROM ka3))), 0::numeric, 'no conversions: zeros');
SELECT throws_ok($$ SELECT cdp.attribution_positions(pg_temp.many(2, '{shapley}')) $$, '22023', NULL, 'positions need shapley_ordered');

SELECT * FROM finish();
ROLLBACK;
