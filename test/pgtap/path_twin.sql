-- Paths equal a plain-SQL twin on random rows and options; known paths; hostile input.
BEGIN;
SELECT plan(35);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off;
CREATE SCHEMA t;
\i :top/test/pgtap/journey_pass.inc
SELECT setseed(0.3141) \g /dev/null
CREATE TABLE t.event AS
SELECT CASE WHEN random() < 0.9 THEN i END AS id, CASE WHEN random() < 0.02 THEN NULL ELSE (1 + floor(random() * 40))::int END AS customer,
  CASE WHEN random() < 0.02 THEN (ARRAY[NULL, 'infinity', '-infinity'])[1 + floor(random() * 3)]::timestamptz ELSE timestamptz '2026-03-01' + make_interval(mins => 30 * floor(random() * 90)::int) END AS at,
  (ARRAY['a', 'b', 'b', 'c', 'd', '(end)', NULL])[1 + floor(random() * 7)] AS label
FROM generate_series(1, 500) i;

-- The rows of each path, numbered from its first.
CREATE TABLE t.step (customer int, path bigint, i bigint, n bigint, label text, at timestamptz, more bool);
CREATE FUNCTION t.fill(o jsonb, by_id boolean) RETURNS void LANGUAGE sql AS $$
  TRUNCATE t.step;
  WITH RECURSIVE row AS (
    SELECT e.*, row_number() OVER w AS nr, coalesce(e.at - lag(e.at) OVER w > nullif(o ->> 'gap', 'unbounded')::interval, false) AS cut
    FROM t.event e WHERE isfinite(at) AND customer IS NOT NULL AND label IS NOT NULL AND at < (o ->> 'as_of')::timestamptz AND NOT o -> 'leave_out' ? label
      AND (o -> 'labels' = '[]' OR (o -> 'labels') || (o -> 'starts') || (o -> 'ends') ? label)
    WINDOW w AS (PARTITION BY customer ORDER BY at, CASE WHEN by_id THEN coalesce(id, 1000000) END, label COLLATE "C")),
  divided AS (SELECT r.*, count(*) FILTER (WHERE cut) OVER (PARTITION BY customer ORDER BY nr) AS seq FROM row r),
  repeated AS (SELECT d.*, lag(label) OVER (PARTITION BY customer, seq ORDER BY nr) AS previous FROM divided d),
  kept AS MATERIALIZED (
    SELECT customer, seq, at, label, row_number() OVER (PARTITION BY customer, seq ORDER BY nr) AS p, o -> 'starts' ? label AS starts, o -> 'ends' ? label AS ends
    FROM repeated WHERE NOT (o ->> 'collapse')::boolean OR previous IS DISTINCT FROM label),
  anchor AS (
    SELECT k.* FROM kept k WHERE CASE WHEN o -> 'starts' <> '[]' THEN k.starts WHEN o -> 'ends' <> '[]' THEN k.ends ELSE k.p = 1 END),
  pair AS (
    SELECT a.customer, a.seq, a.p AS lo, e.p AS hi, a.at FROM anchor a,
      LATERAL (SELECT e.* FROM kept e WHERE e.customer = a.customer AND e.seq = a.seq AND e.p > a.p AND e.ends ORDER BY e.p LIMIT 1) e
    WHERE o ->> 'within' = 'unbounded' OR e.at - a.at <= (o ->> 'within')::interval),
  chosen AS (
    (SELECT DISTINCT ON (customer, seq) * FROM pair ORDER BY customer, seq, lo)
    UNION ALL
    SELECT n.* FROM chosen c, LATERAL (SELECT * FROM pair p WHERE p.customer = c.customer AND p.seq = c.seq AND p.lo >= c.hi ORDER BY p.lo LIMIT 1) n WHERE o ->> 'occurrence' = 'every'),
  range AS (
    SELECT customer, seq, lo, hi, at FROM chosen WHERE o -> 'starts' <> '[]' AND o -> 'ends' <> '[]'
    UNION ALL
    SELECT a.customer, a.seq, min(k.p), max(k.p), a.at
    FROM anchor a JOIN kept k ON k.customer = a.customer AND k.seq = a.seq
      AND CASE WHEN o -> 'ends' = '[]' THEN k.p >= a.p ELSE k.p <= a.p END
      AND (o ->> 'within' = 'unbounded' OR greatest(k.at - a.at, a.at - k.at) <= (o ->> 'within')::interval)
    WHERE (o -> 'starts' = '[]' OR o -> 'ends' = '[]') AND (o ->> 'occurrence' = 'every' OR a.p = (SELECT min(b.p) FROM anchor b WHERE b.customer = a.customer AND b.seq = a.seq))
    GROUP BY a.customer, a.seq, a.p, a.at),
  path AS (
    SELECT row_number() OVER () AS path, customer, seq, hi - lo + 1 > (o ->> 'max_steps')::int AS more,
      CASE WHEN o -> 'starts' = '[]' AND o -> 'ends' <> '[]' THEN greatest(lo, hi - (o ->> 'max_steps')::int + 1) ELSE lo END AS lo,
      CASE WHEN o -> 'starts' = '[]' AND o -> 'ends' <> '[]' THEN hi ELSE least(hi, lo + (o ->> 'max_steps')::int - 1) END AS hi
    FROM range WHERE at >= (o ->> 'since')::timestamptz AND at < (o ->> 'until')::timestamptz)
  INSERT INTO t.step SELECT p.customer, p.path, k.p - p.lo + 1, p.hi - p.lo + 1, k.label, k.at, p.more
  FROM path p JOIN kept k ON k.customer = p.customer AND k.seq = p.seq AND k.p BETWEEN p.lo AND p.hi $$;
-- Median, mean and ninth decile of seconds, to the microsecond.
CREATE FUNCTION t.round(seconds float8) RETURNS interval LANGUAGE sql AS $$ SELECT make_interval(days => (seconds / 86400)::numeric::int - CASE WHEN (seconds / 86400)::numeric::int * 86400.0 > seconds THEN 1 ELSE 0 END) +
  make_interval(secs => seconds - 86400.0 * ((seconds / 86400)::numeric::int - CASE WHEN (seconds / 86400)::numeric::int * 86400.0 > seconds THEN 1 ELSE 0 END)) $$;
-- Nodes and links with what is not among the top as one; a label that is one of our words in quotes.
CREATE FUNCTION t.folded(o jsonb, top int) RETURNS TABLE (customer int, path bigint, i bigint, n bigint, step bigint, raw text, label text, at timestamptz, more bool) LANGUAGE sql AS $$
  WITH s AS (SELECT s.*, CASE WHEN o -> 'starts' = '[]' AND o -> 'ends' <> '[]' THEN s.i - s.n ELSE s.i END AS step FROM t.step s),
  rank AS (SELECT step, label, row_number() OVER (PARTITION BY step ORDER BY count(*) DESC, label COLLATE "C") AS rank FROM s GROUP BY 1, 2)
  SELECT s.customer, s.path, s.i, s.n, s.step, s.label, CASE WHEN r.rank > top THEN '(other)' WHEN s.label = '(end)' THEN '"(end)"' ELSE s.label END, s.at, s.more FROM s JOIN rank r USING (step, label) $$;
CREATE FUNCTION t.single() RETURNS bool LANGUAGE sql AS $$ SELECT count(DISTINCT customer) = count(DISTINCT path) FROM t.step $$;
CREATE FUNCTION t.nodes(o jsonb, top int) RETURNS TABLE (node text, step int, label text, paths bigint, customers bigint, share numeric, ended bigint, cut bigint) LANGUAGE sql AS $$
  SELECT concat(step, ' ', label), step::int, label, count(*), CASE WHEN t.single() OR count(DISTINCT raw) = 1 THEN count(DISTINCT customer) END, round(count(*)::numeric / (SELECT count(DISTINCT path) FROM t.step), 6),
    count(*) FILTER (WHERE i = b.edge AND NOT more), count(*) FILTER (WHERE i = b.edge AND more)
  FROM t.folded(o, top) f, LATERAL (SELECT CASE WHEN o -> 'starts' = '[]' AND o -> 'ends' <> '[]' THEN 1 ELSE f.n END AS edge) b GROUP BY step, label $$;
CREATE FUNCTION t.links(o jsonb, top int) RETURNS TABLE (step int, from_node text, to_node text, from_label text, to_label text, paths bigint, customers bigint, share numeric, of_from numeric, median interval, mean interval, p90 interval) LANGUAGE sql AS $$
  WITH f AS (SELECT * FROM t.folded(o, top)), link AS (
    SELECT a.path, a.customer, a.step, a.label AS source, b.label AS target, a.raw || '>' || b.raw AS raw, extract(epoch FROM b.at - a.at)::float8 AS took, true AS solid FROM f a JOIN f b ON b.path = a.path AND b.i = a.i + 1
    UNION ALL
    SELECT path, customer, step, label, CASE WHEN more THEN '(more)' ELSE '(end)' END, raw, NULL, true FROM f WHERE i = n AND NOT (o -> 'starts' = '[]' AND o -> 'ends' <> '[]')
    UNION ALL
    SELECT path, customer, step - 1, CASE WHEN more THEN '(more)' ELSE '(begin)' END, label, raw, NULL, false FROM f WHERE i = 1 AND o -> 'starts' = '[]' AND o -> 'ends' <> '[]')
  SELECT step::int, concat(step, ' ', source), concat(step + 1, ' ', target), source, target, count(*), CASE WHEN t.single() OR count(DISTINCT raw) = 1 THEN count(DISTINCT customer) END,
    round(count(*)::numeric / (SELECT count(DISTINCT path) FROM t.step), 6), CASE WHEN solid THEN round(count(*)::numeric / (SELECT count(*) FROM f WHERE f.step = link.step AND f.label = source), 6) END,
    t.round(percentile_cont(0.5) WITHIN GROUP (ORDER BY took)), t.round(avg(took)), t.round(percentile_cont(0.9) WITHIN GROUP (ORDER BY took))
  FROM link GROUP BY step, source, target, solid $$;
CREATE FUNCTION t.whole(top int) RETURNS TABLE (rank int, steps text[], cut bool, paths bigint, customers bigint, share numeric, median interval) LANGUAGE sql AS $$
  WITH p AS (SELECT path, customer, array_agg(label ORDER BY i) AS steps, more, extract(epoch FROM max(at) - min(at))::float8 AS took FROM t.step GROUP BY path, customer, more),
  ranked AS (SELECT steps, more, row_number() OVER (ORDER BY count(*) DESC, more, ARRAY(SELECT u COLLATE "C" FROM unnest(steps) u)) AS rank FROM p GROUP BY steps, more),
  shown AS (SELECT p.*, CASE WHEN r.rank <= top THEN r.rank END AS rank FROM p JOIN ranked r USING (steps, more))
  SELECT rank::int, CASE WHEN rank IS NOT NULL THEN min(steps) END, CASE WHEN rank IS NOT NULL THEN bool_or(more) END, count(*), CASE WHEN t.single() OR count(DISTINCT (steps, more)) = 1 THEN count(DISTINCT customer) END,
    round(count(*)::numeric / (SELECT count(DISTINCT path) FROM t.step), 6), t.round(percentile_cont(0.5) WITHIN GROUP (ORDER BY took)) FROM shown GROUP BY rank $$;
CREATE FUNCTION t.loops() RETURNS TABLE (label text, self_loops bigint, self_customers bigint, returns bigint, return_customers bigint, median interval) LANGUAGE sql AS $$
  WITH loop AS (SELECT b.label, b.customer, b.i - a.i = 1 AS self, extract(epoch FROM b.at - a.at)::float8 AS took FROM t.step b,
    LATERAL (SELECT * FROM t.step a WHERE a.path = b.path AND a.label = b.label AND a.i < b.i ORDER BY a.i DESC LIMIT 1) a)
  SELECT label, count(*) FILTER (WHERE self), count(DISTINCT customer) FILTER (WHERE self), count(*) FILTER (WHERE NOT self), count(DISTINCT customer) FILTER (WHERE NOT self),
    t.round(percentile_cont(0.5) WITHIN GROUP (ORDER BY took) FILTER (WHERE NOT self)) FROM loop GROUP BY 1 $$;

CREATE FUNCTION t.random_options() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz := timestamptz '2026-03-01' + make_interval(hours => floor(random() * 20)::int);
  starts text[] := t.pick(NULL, '{a}', '{a,b}')::text[];
  ends text[] := t.pick(NULL, '{c}', '{a,d}')::text[];
BEGIN
  RETURN cdp.path_options(starts, ends, occurrence => CASE WHEN starts IS NOT NULL OR ends IS NOT NULL THEN t.pick('first', 'every') END, labels => t.pick('{a,b,c}', '{b,(end)}', NULL, NULL)::text[],
    leave_out => CASE WHEN random() < 0.2 THEN '{(end)}'::text[] END, collapse => random() < 0.4, gap => t.pick('2 hours', '5 hours', NULL, NULL)::interval, within => t.pick('4 hours', '1 day', NULL)::interval,
    max_steps => 2 + floor(random() * 6)::int, since => CASE WHEN random() < 0.5 THEN since END, until => CASE WHEN random() < 0.5 THEN since + make_interval(hours => 1 + floor(random() * 30)::int) END,
    as_of => CASE WHEN random() < 0.5 THEN timestamptz '2026-03-01' + make_interval(hours => 25 + floor(random() * 30)::int) END);
EXCEPTION WHEN invalid_parameter_value THEN RETURN cdp.path_options(starts, ends, collapse => random() < 0.5);
END $$;
CREATE FUNCTION t.differences(rounds int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE o jsonb; p cdp.path_partial; bad text; d text; top int; by_id bool; n int := 0; found bigint := 0;
BEGIN
  FOR round IN 1 .. rounds LOOP
    o := t.random_options();
    by_id := random() < 0.5;
    top := CASE WHEN random() < 0.5 THEN 1 + floor(random() * 3)::int ELSE 1000000 END;
    IF by_id THEN
      SELECT cdp.path_pass(e.customer::text, e.at, e.label, o, e.id::bigint) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
    ELSE
      SELECT cdp.path_pass(e.customer, e.at, e.label, o) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
    END IF;
    PERFORM t.fill(o, by_id);
    SELECT found + count(*) INTO found FROM t.step;
    d := concat_ws(E'\n', t.apart(format('SELECT * FROM cdp.path_nodes(%L, %s)', p, top), format('SELECT * FROM t.nodes(%L, %s)', o, top)),
      t.apart(format('SELECT * FROM cdp.path_links(%L, %s)', p, top), format('SELECT * FROM t.links(%L, %s)', o, top)),
      t.apart(format('SELECT rank, steps, cut, paths, customers, share, median_time FROM cdp.path_top(%L, %s)', p, top), format('SELECT * FROM t.whole(%s)', top)),
      t.apart(format('SELECT label, self_loops, self_customers, returns, return_customers, median_return FROM cdp.path_loops(%L)', p), 'SELECT * FROM t.loops()'));
    IF d <> '' THEN
      bad := concat_ws(E'\n', bad, o::text, top::text, d);
      n := n + 1;
      EXIT WHEN n = 2;
    END IF;
  END LOOP;
  RETURN coalesce(bad, CASE WHEN found < 50 * rounds THEN 'hardly any path: ' || found END);
END $$;
SELECT is(t.differences(120), NULL, 'a hundred and twenty random passes');

-- By hand.
CREATE FUNCTION t.hand(events text, o jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s%s=%s', array_to_string(r.steps, '>'), CASE WHEN r.cut THEN '..' END, r.paths), ' ' ORDER BY r.rank) FROM (
    SELECT cdp.path_pass(1, timestamptz '2026-01-01' + make_interval(mins => split_part(e, '@', 2)::int), split_part(e, '@', 1), o) AS p FROM unnest(string_to_array(events, ' ')) e) f, cdp.path_top(f.p) r $$;
SELECT is(t.hand('a@0 b@1 c@2', NULL), 'a>b>c=1', 'all of it');
SELECT is(t.hand('b@1 a@1 c@1', NULL), 'a>b>c=1', 'rows of one time by label');
SELECT is((SELECT r.steps::text FROM (SELECT cdp.path_pass(1, now(), x.l, NULL, x.i) AS p FROM (VALUES ('b', 1::bigint), ('a', 2), ('c', NULL)) x (l, i)) f, cdp.path_top(f.p) r), '{b,a,c}', 'or by id, those without last');
SELECT is(t.hand('a@0 b@30 a@61', cdp.path_options(gap => '30 minutes')), 'a=1 a>b=1', 'a gap cuts above its length, not at it');
SELECT is(t.hand('a@0 a@1 b@2 b@9 a@10', cdp.path_options(collapse => true)), 'a>b>a=1', 'repeats as one step');
SELECT is(t.hand('a@0 b@1 c@2 d@3', cdp.path_options(max_steps => 3)), 'a>b>c..=1', 'too long');
SELECT is(t.hand('a@0 b@1 c@2 d@3', cdp.path_options(ends => '{d}', max_steps => 3)), 'b>c>d..=1', 'too long, back from its end');
SELECT is(t.hand('a@0 b@1 c@2 d@3', cdp.path_options(ends => '{d}', within => '2 minutes')), 'b>c>d=1', 'no further back than that');
SELECT is(t.hand('x@0 a@1 b@2 c@3 a@4 c@5 c@6', cdp.path_options('{a}', '{c}')), 'a>b>c=1', 'between, the first');
SELECT is(t.hand('x@0 a@1 b@2 c@3 a@4 c@5 c@6', cdp.path_options('{a}', '{c}', occurrence => 'every')), 'a>b>c=1 a>c=1', 'and every one');
SELECT is(t.hand('a@0 b@1 a@5 c@6', cdp.path_options('{a}', '{c}', within => '2 minutes')), 'a>c=1', 'from a later start when the first is too far');
SELECT is(t.hand('h@0 a@1 h@2 b@3 h@4', cdp.path_options('{h}', '{h}', occurrence => 'every')), 'h>a>h=1 h>b>h=1', 'round trips');
SELECT is(t.hand('a@0 x@1 b@2', cdp.path_options(leave_out => '{x}')), 'a>b=1', 'what is left out is not there');
SELECT is(t.hand('a@0 b@1 a@2 c@3 a@4', cdp.path_options('{a}', occurrence => 'every', max_steps => 2)), 'a=1 a>b..=1 a>c..=1', 'next steps');
SELECT is(t.hand('a@0 b@1 a@2 c@3 a@4', cdp.path_options(ends => '{a}', occurrence => 'every', max_steps => 2)), 'a=1 b>a..=1 c>a..=1', 'previous steps');
SELECT is((SELECT string_agg(format('%s %s %s', label, self_loops, returns), ', ') FROM (SELECT cdp.path_pass(1, '2026-01-01'::timestamptz + i * interval '1 hour', l, NULL) AS p FROM unnest('{a,a,b,a,b,b}'::text[]) WITH ORDINALITY u (l, i)) f, cdp.path_loops(f.p)), 'a 1 1, b 1 1', 'loops');
SELECT is((SELECT string_agg(DISTINCT from_label || to_label, ' ') FROM (SELECT cdp.path_pass(1, '2026-01-01'::timestamptz + i * interval '1 hour', i, NULL) AS p FROM generate_series(-1, 1) i) f, cdp.path_links(f.p)), '-10 01 1(end)', 'labels by number');

-- Adding, orders, spilling.
CREATE TABLE t.sum AS SELECT cdp.path_pass(customer, at, label, '{"gap": "5 hours"}') AS p FROM t.event;
SELECT is(md5(cdp.path_merge(s.p)::text), md5((SELECT p FROM t.sum)::text), 'shards of customers add to the whole') FROM (
  SELECT cdp.path_pass(customer, at, label, '{"gap": "5 hours"}') AS p FROM t.event GROUP BY customer % 5) s;
SELECT is(p::text::cdp.path_partial::text, p::text, 'text in and out') FROM t.sum;
SELECT t.fill(cdp.path_options(gap => '5 hours'), false) \g /dev/null
SELECT is((SELECT (sum(paths) FILTER (WHERE step = 2), sum(ended + cut))::text FROM cdp.path_nodes(p)), (SELECT (count(*) FILTER (WHERE i = 2), count(DISTINCT path))::text FROM t.step), 'each path ends once') FROM t.sum;
SELECT is((SELECT (customers, paths)::text FROM cdp.path_summary(p)), (SELECT (count(DISTINCT customer), count(DISTINCT path))::text FROM t.step), 'what the pass read') FROM t.sum;
SELECT throws_ok($$SELECT cdp.path_merge(p) FROM (SELECT p FROM t.sum UNION ALL SELECT cdp.path_pass(1, now(), 'a', NULL)) s$$, '22023', NULL, 'other options do not add');
SELECT throws_ok($$SELECT cdp.path_merge(p) FROM (SELECT cdp.path_pass(1, now(), 1, NULL) AS p UNION ALL SELECT cdp.path_pass(1, now(), 'a', NULL)) s$$, '22023', NULL, 'nor do other types of labels');
CREATE FUNCTION t.large() RETURNS text LANGUAGE sql AS $$
  SELECT md5(cdp.path_pass(i % 20011, timestamptz '2026-01-01' + (i * 7919::bigint % 5000) * interval '1 minute', (i * 31::bigint % 7)::text, '{"max_steps": 3}', i)::text) FROM generate_series(1::bigint, 330000) i $$;
CREATE TABLE t.kept AS SELECT t.large() AS digest;
SET LOCAL cdp.journey_memory = '16MB';
SELECT is(t.large(), digest, 'spilled is as not spilled') FROM t.kept;
SELECT throws_ok($$SELECT cdp.path_pass(i / 100, timestamptz '2026-01-01' + i * interval '1 minute', hashint4(i), '{"max_steps": 100}') FROM generate_series(1, 100000) i$$, '54000', NULL, 'paths that are all different do not fit');
RESET cdp.journey_memory;

-- Input that nobody should trust.
SELECT is(t.broken(p, 'cdp.path_partial', o), NULL, 'cut or changed, it is refused or a value: ' || o) FROM (SELECT cdp.path_pass(customer, at, label, '{"max_steps": 3}')::text AS p FROM t.event WHERE customer < 5) f,
  unnest('{cdp.path_nodes,cdp.path_links,cdp.path_top}'::text[]) o;
SELECT throws_ok($$SELECT cdp.path_options(max_steps => 1)$$, '22023', NULL, 'one step is no path');
SELECT throws_ok($$SELECT cdp.path_options(gap => '1 month')$$, '22023', NULL, 'a month has no length');
SELECT throws_ok($$SELECT cdp.path_options(occurrence => 'every')$$, '22023', NULL, 'every what?');
SELECT throws_ok($$SELECT cdp.path_options('{a}', leave_out => '{a}')$$, '22023', NULL, 'left out and asked for');
SELECT throws_ok($$SELECT r.* FROM t.sum, cdp.path_top(p, 0) r$$, '22023', NULL, 'the top none');
SELECT throws_ok($$SELECT r.* FROM (SELECT cdp.path_pass(1, now(), 'a', '{"whole_paths": false}') AS p) f, cdp.path_top(f.p) r$$, '22023', NULL, 'no whole paths');
SELECT * FROM finish();
ROLLBACK;
