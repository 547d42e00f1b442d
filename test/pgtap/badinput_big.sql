-- Sizes at the edge: 100,000 channels, 5 million touches of one customer, memory that does not suffice.
SET client_min_messages = error;
SELECT * FROM no_plan();
CREATE SCHEMA t;
CREATE FUNCTION t.state(sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE sql;
  RETURN 'fine';
EXCEPTION WHEN query_canceled OR OTHERS THEN RETURN SQLSTATE;
END $$;
CREATE FUNCTION t.hint(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE h text; d text;
BEGIN
  EXECUTE sql;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS h = PG_EXCEPTION_HINT, d = PG_EXCEPTION_DETAIL; RETURN d || ' ' || h;
END $$;
SET max_parallel_workers_per_gather = 0;

-- ---- 100,000 channels
CREATE TABLE t.wide AS
SELECT i / 4 AS k, '2026-01-01'::timestamptz + i * interval '1 s' AS at, CASE WHEN i % 4 < 3 THEN 'channel ' || (i * 7919::bigint) % 100000 END AS label,
       CASE WHEN i % 4 = 3 AND i % 8 = 3 THEN 10 END::numeric AS value FROM generate_series(0, 199999) i;
CREATE FUNCTION t.wide(models text) RETURNS text LANGUAGE sql AS $$
  SELECT count(*) || ' rows, ' || trim_scale(sum(conversions)) || ' conversions, ' || trim_scale(sum(r.value))
    FROM (SELECT cdp.attribution_pass(k, at, label, value, (SELECT cdp.attribution_options(models => models::text[]))) AS p FROM t.wide) q, cdp.attribution_totals(p) r
$$;
CREATE TABLE t.n AS SELECT count(DISTINCT label) + 1 AS n FROM t.wide;
SELECT is(t.wide('{linear}'), n || ' rows, 25000 conversions, 250000', n - 1 || ' channels, linear') FROM t.n;
SELECT is(t.wide('{markov}'), n || ' rows, 25000 conversions, 250000', n - 1 || ' channels, Markov') FROM t.n;
-- Higher orders cost what walks from each label reach: little here.
SELECT is(t.wide('{markov(2),markov(3)}'), 2 * n || ' rows, 50000 conversions, 500000', n - 1 || ' channels, Markov of orders 2 and 3') FROM t.n;
SELECT is(t.state($$SELECT r.* FROM (SELECT cdp.attribution_pass(k, at, substr(label, 1, 10), value, cdp.attribution_options(models => '{markov(2),markov(3)}')) AS p FROM t.wide) q, cdp.attribution_totals(p) r$$), 'fine', '100 channels, order 3');
SELECT is(t.wide('{shapley}'), n || ' rows, 25000 conversions, 250000', n - 1 || ' channels, Shapley') FROM t.n;
SELECT is(t.wide('{one_removed}'), n || ' rows, 25000 conversions, 250000', n - 1 || ' channels, one removed') FROM t.n;
SELECT is(t.state($$SELECT t.wide('{shapley_rate}')$$), '54000', 'the rate game over so many is refused');
SELECT is((SELECT count(*) FROM (SELECT cdp.attribution_pass(1::bigint, '2026-01-01'::timestamptz + i * interval '1 s', i, CASE WHEN i = 100001 THEN 5.0 END, cdp.attribution_options(models => '{linear,last}')) AS p FROM generate_series(1, 100001) i) q, cdp.attribution_totals(p) WHERE model = 'linear' AND conversions = 0.00001),
  100000::bigint, '100,000 channels in one journey');

-- ---- 5 million touches of one customer
CREATE UNLOGGED TABLE t.long AS
SELECT 1::bigint AS k, '2026-01-01'::timestamptz + (i * 7919::bigint % 5000000) * interval '1 ms' AS at, CASE WHEN i > 0 THEN i % 5 END::int AS label, CASE WHEN i = 0 THEN 100 END::numeric AS value
  FROM generate_series(1, 4999999) i
UNION ALL SELECT 1, '2026-01-02', NULL, 100
UNION ALL SELECT 1, '2026-01-03', NULL, 1;
CREATE TABLE t.long_got AS
SELECT r.* FROM (SELECT cdp.attribution_pass(k, at, label, value, cdp.attribution_options(models => '{first,last,linear,time_decay(1 hour),participation,markov}')) AS p FROM t.long) q, cdp.attribution_totals(p) r;
SELECT is((SELECT string_agg(m || ' ' || trim_scale(c) || ' ' || trim_scale(v), ', ' ORDER BY m) FROM (SELECT model AS m, sum(conversions) AS c, sum(value) AS v FROM t.long_got GROUP BY model) s),
  'first 2 101, last 2 101, linear 2 101, markov 2 101, participation 10 505, time_decay(1 hour) 2 101', 'five million touches of one customer');
SELECT is((SELECT string_agg(label || '=' || round(conversions, 6), ' ' ORDER BY label) FROM t.long_got WHERE model = 'linear' AND conversions <> 0),
  '0=0.400000 1=0.400000 2=0.400000 3=0.400000 4=0.400000', 'each of five labels has a fifth');
SET cdp.attribution_memory = '16MB';
SELECT is(t.state($$SELECT cdp.attribution_pass(k, at, label, value, cdp.attribution_options(models => '{linear}')) FROM t.long$$), '54000', 'one customer that does not fit into the memory setting is an error');
SELECT matches(t.hint($$SELECT cdp.attribution_pass(k, at, label, value, cdp.attribution_options(models => '{linear}')) FROM t.long$$), '[0-9].*cdp\.attribution_memory', 'with numbers and the setting''s name');
RESET cdp.attribution_memory;
DROP TABLE t.long;
SELECT is((SELECT 1), 1, 'the server is still up');
SELECT * FROM finish();
