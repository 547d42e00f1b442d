-- Limits of the path statistics: a right answer or a clear error, within memory and time.
BEGIN;
SET LOCAL search_path = public, pg_temp;
SELECT plan(18);

CREATE FUNCTION pg_temp.pass(models text[], paths text) RETURNS cdp.attribution_partial LANGUAGE plpgsql AS $$
DECLARE
  a cdp.attribution_partial;
BEGIN
  EXECUTE 'SELECT cdp.attribution_path_pass(path, c, v, n, cdp.attribution_options(models => $1)) FROM (' || paths || ') s (path, c, v, n)' INTO a USING models;
  RETURN a;
END $$;

SELECT throws_ok($$ SELECT cdp.attribution_options(models => '{markov(0)}') $$, '22023', NULL, 'order 0 is an error');
SELECT throws_ok($$ SELECT cdp.attribution_options(models => '{markov(51)}') $$, '22023', NULL, 'order 51 is an error');
-- Order 50 over journeys of 1 to 60 touches.
CREATE TEMP TABLE long AS SELECT pg_temp.pass('{markov(50)}', $q$ SELECT array_agg('l' || (i * t) % 7 ORDER BY t), 1::bigint, 5::numeric, 1::bigint FROM generate_series(1, 60) i, generate_series(1, i) t GROUP BY i $q$) AS a;
SELECT is((SELECT sum(conversions) FROM long, cdp.attribution_totals(a)), 60::numeric, 'order 50 is solved');
SELECT is((SELECT count(*) FROM long, cdp.attribution_check(a) WHERE NOT ok), 0::bigint, 'and holds its self-checks');
SELECT is((SELECT count(*) FROM long, generate_series(1, 50) k, LATERAL (SELECT * FROM cdp.attribution_removal_of(a, '{l0,l1,l2,l3,l4,l5,l6}', k)) r WHERE abs(removal_conversions - 1) < 1e-12), 50::bigint, 'so are all orders below it');

-- Journeys of 10,000 touches leave the chain slowly: 1 in 10,000 steps.
CREATE TEMP TABLE slow AS SELECT pg_temp.pass('{markov(3)}', $q$ SELECT array_agg('l' || (hashint4(i * 100000 + t) & 3) ORDER BY t), (i % 2)::bigint, i::numeric * (i % 2), 1::bigint FROM generate_series(1, 4) i, generate_series(1, 10000) t GROUP BY i $q$) AS a;
SELECT is((SELECT count(*) FROM slow, cdp.attribution_check(a) WHERE NOT ok), 0::bigint, 'long journeys: self-checks hold');

-- The few journeys that convert go round slowly among very many that do not: all but one pass A, so its effect is a half.
CREATE TEMP TABLE few AS SELECT pg_temp.pass('{markov(2)}', $q$
  SELECT ARRAY['A'] || array_agg('l' || (hashint4(i * 100 + t) & 31) ORDER BY t), 0::bigint, 0::numeric, 1000000000000::bigint FROM generate_series(1, 1000) i, generate_series(1, 5) t GROUP BY i
  UNION ALL SELECT ARRAY['A'] || array_agg('q' || (hashint4(t) & 3) ORDER BY t), 1, 1, 0 FROM generate_series(1, 10000) t
  UNION ALL SELECT '{Z}', 1, 1, 0 $q$) AS a;
SELECT is((SELECT bool_and(abs(removal_conversions - 0.5) < 1e-12 AND abs(removal_value - 0.5) < 1e-12) FROM few, cdp.attribution_removal(a, 2) WHERE label = 'A'), true,
  'what is lost is weighed by what it leads to');

-- 100,000 labels: apart from each other, in a chain, and at random.
SELECT is((SELECT count(*) FROM cdp.attribution_totals(pg_temp.pass('{markov}', $q$ SELECT ARRAY['l' || i, 'l' || i + 1], 1::bigint, 1::numeric, 1::bigint FROM generate_series(1, 99999) i $q$)) WHERE conversions > 0), 100000::bigint, 'a chain of 100,000 labels is solved');
CREATE TEMP TABLE many AS SELECT pg_temp.pass('{markov}', $q$ SELECT ARRAY['l' || (hashint4(i) & 131071) % 100000, 'l' || (hashint4(-i) & 131071) % 100000, 'l' || (hashint4(i + 1000000) & 131071) % 100000], 1::bigint, 1::numeric, 1::bigint FROM generate_series(1, 100000) i $q$) AS a;
SELECT throws_ok($$ SELECT count(*) FROM many, cdp.attribution_totals(a) $$, '54000', NULL, '100,000 labels at random are a clear error');
SELECT is((SELECT round(removal_conversions::numeric, 3) > 0 FROM many, cdp.attribution_removal_of(a, '{l1,l2,l3}')), false, 'while the effect of a few of them is found');

-- Walks that go round 300 labels in step, and leave slowly.
SELECT is((SELECT count(*) FROM (SELECT pg_temp.pass('{markov(2)}', $q$ SELECT array_agg('l' || (i * 7 + t) % 300 ORDER BY t), (i % 2)::bigint, i::numeric * (i % 2), 1::bigint FROM generate_series(1, 20) i, generate_series(1, 2000 + i) t GROUP BY i $q$) AS a) s, cdp.attribution_check(a) WHERE NOT ok),
  0::bigint, 'walks round in step: self-checks hold');

-- Higher orders: a label costs what walks from it reach, not the whole chain. Each label is in journeys of one kind.
SET LOCAL statement_timeout = '30s';
SELECT results_eq($$
  SELECT round(removal_conversions::numeric, 14), round(removal_value::numeric, 14), count(*)
  FROM (SELECT pg_temp.pass('{markov(2),markov(3)}', $q$ SELECT ARRAY['c' || 4 * k * 7919 % 100000, 'c' || (4 * k + 1) * 7919 % 100000, 'c' || (4 * k + 2) * 7919 % 100000],
      (k % 2 = 0)::int::bigint, 10::numeric * (k % 2 = 0)::int, (k % 2)::bigint FROM generate_series(0, 49999) k $q$) AS a) s, generate_series(2, 3) k, cdp.attribution_removal(a, k)
  GROUP BY 1, 2 ORDER BY 1 $$,
  $$ VALUES (0.00000000000000, 0.00000000000000, 75000::bigint), (0.00008000000000, 0.00008000000000, 75000) $$, '75,000 labels at orders 2 and 3 are solved, exactly');
-- Some 60,000 states that all lead to each other, without each of 6,000 labels.
CREATE TEMP TABLE mixed AS SELECT pg_temp.pass('{markov(2)}', $q$
  WITH RECURSIVE w(i, at, t) AS (SELECT i, i % 6000, 1 FROM generate_series(1, 60000) i
    UNION ALL SELECT i, (at * 7 + (hashint4(i * 16 + t) & 1023) % 10) % 6000, t + 1 FROM w WHERE t < 8)
  SELECT array_agg('l' || at ORDER BY t), 1::bigint, 1::numeric, 1::bigint FROM w GROUP BY i $q$) AS a;
CREATE FUNCTION pg_temp.said(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; h text;
BEGIN
  EXECUTE sql;
  RETURN 'no error';
EXCEPTION WHEN program_limit_exceeded THEN GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT; RETURN d || ' ' || h;
END $$;
SELECT matches(pg_temp.said('SELECT count(*) FROM mixed, cdp.attribution_removal(a, 2)'),
  '^Order 2 over 6000 labels has 59939 states and [0-9]+ transitions\. Group .* lower order', 'more work than fits is foreseen: an error with numbers and a way out');
SELECT is((SELECT removal_conversions > 0 FROM mixed, cdp.attribution_removal_of(a, '{l1,l2,l3}', 2)), true, 'while the effect of a few labels is found');
RESET statement_timeout;

-- Memory: the setting holds, and the session goes on.
SET LOCAL cdp.attribution_memory = '16MB';
SELECT throws_ok($$ SELECT pg_temp.pass('{markov(20)}', $q$ SELECT array_agg('l' || (hashint4(i * 100 + t) & 15) ORDER BY t), 1::bigint, 1::numeric, 1::bigint FROM generate_series(1, 12000) i, generate_series(1, 30) t GROUP BY i $q$) $$, '54000', NULL, 'too many states for the memory are an error');
SELECT throws_ok($$ SELECT pg_temp.pass('{one_removed}', $q$ SELECT array_agg('l' || (hashint4(i * 100 + t) & 15) ORDER BY t), 1::bigint, 1::numeric, 1::bigint FROM generate_series(1, 60000) i, generate_series(1, 30) t GROUP BY i $q$) $$, '54000', NULL, 'too many paths for the memory are an error');
RESET cdp.attribution_memory;

-- Counts at the end of their range.
SELECT throws_ok($$ SELECT pg_temp.pass('{markov}', $q$ VALUES ('{a,b}'::text[], 9223372036854775807::bigint, 0::numeric, 1::bigint) $q$) $$, '22003', NULL, 'counts above 2^63 are an error');
SELECT is((SELECT sum(conversions) FROM cdp.attribution_totals(pg_temp.pass('{shapley}', $q$ VALUES ('{a,b}'::text[], 4000000000000000000::bigint, 0::numeric, 1::bigint) $q$))), 4000000000000000000::numeric, 'large counts are exact');

SELECT * FROM finish();
ROLLBACK;
