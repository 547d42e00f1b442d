-- The constrained union-find: random graphs under every rule against the slow twin, in any order of rows; known answers; bad input.
SET jit = off;
\ir ../twin/resolve.sql
SELECT plan(39);

CREATE FUNCTION pg_temp.random_graph(seed integer, nodes integer, links integer) RETURNS void LANGUAGE sql AS $$
  DELETE FROM said;
  INSERT INTO said SELECT CASE WHEN h % 17 = 0 THEN 'q' ELSE 'n' END, i, abs(hashint8extended(i, seed + 1)) % 100000 * 1000 + i,
    CASE WHEN seed % 3 = 0 AND h / 32 % 4 = 0 THEN 7000 + h / 128 % 6 END, 1 + h / 1024 % 5,
    NULL, CASE WHEN h / 8192 % 11 > 0 THEN '2026-01-01 00:00+00'::timestamptz + make_interval(hours => (h / 65536 % 30)::integer) END
  FROM generate_series(1, nodes) i, LATERAL (SELECT abs(hashint8extended(i, seed)) % 1000000007) x (h);
  INSERT INTO said SELECT k.what, a, b, 100000 + row_number() OVER (), NULL, CASE WHEN k.what = 'p' THEN h % 8 END,
    CASE WHEN h / 8 % 9 > 0 THEN '2026-02-01 00:00+00'::timestamptz + make_interval(days => (h / 128 % 5)::integer) END
  FROM (SELECT DISTINCT ON (least(a, b), greatest(a, b), what) a, b, what, h
        FROM generate_series(1, links) i, LATERAL (SELECT abs(hashint8extended(i, seed + 77)) % 1000000007) x (h),
          LATERAL (SELECT 1 + h % nodes, 1 + h / 5000 % nodes, (ARRAY['d', 'd', 'd', 'd', 'p', 'p', 'm', 'c', 'c', 'h'])[1 + h / 331 % 10]::"char") v (a, b, what)
        WHERE a <> b) k;
$$;

-- Types 1 to 5 with and without limits, a window, attach only, pairs, a size.
CREATE TEMP TABLE ruleset (name text, rules bigint[]);
INSERT INTO ruleset VALUES
  ('no rule', '{{1,1,1,0,0,0},{1,2,2,0,0,0},{1,3,3,0,0,0},{1,4,3,0,0,0},{1,5,5,0,0,0}}'),
  ('limits', '{{1,1,1,1,0,0},{1,2,2,2,0,0},{1,3,3,0,0,0},{1,4,3,3,0,0},{1,5,5,0,0,0}}'),
  ('windows', '{{1,1,1,1,7200000000,0},{1,2,2,2,86400000000,0},{1,3,9,3,259200000000,0},{1,4,3,2,3600000000,0},{1,5,5,1,604800000000,0}}'),
  ('attach only and size', '{{1,1,1,0,0,0},{1,2,2,0,0,1},{1,3,3,0,0,0},{1,4,3,0,0,1},{1,5,5,0,0,0},{3,6,0,0,0,0}}'),
  ('pairs', '{{1,1,1,0,0,0},{1,2,2,0,0,0},{1,3,3,0,0,0},{1,4,3,0,0,0},{1,5,5,0,0,0},{2,1,2,1,0,0},{2,3,1,2,0,0},{2,2,2,1,0,0},{2,5,4,2,0,0}}'),
  ('all', '{{1,1,1,2,0,0},{1,2,2,2,86400000000,0},{1,3,3,0,0,0},{1,4,3,3,172800000000,0},{1,5,5,0,0,1},{2,1,2,2,0,0},{2,3,4,2,0,0},{2,4,4,1,0,0},{3,9,0,0,0,0}}');

CREATE FUNCTION pg_temp.rounds(rules bigint[], from_seed integer, to_seed integer, nodes integer, links integer, OUT differences bigint, OUT refused bigint) LANGUAGE plpgsql AS $$
BEGIN
  differences := 0;
  refused := 0;
  FOR seed IN from_seed .. to_seed LOOP
    PERFORM pg_temp.random_graph(seed, nodes, links);
    PERFORM pg_temp.slow_resolve(rules);
    differences := differences + pg_temp.resolve_differences(rules, seed) + pg_temp.resolve_differences(rules, seed + 5000);
    refused := refused + (SELECT count(*) FROM slow_verdict WHERE verdict < 0);
  END LOOP;
END
$$;
SELECT unnest(ARRAY[is(r.differences, 0::bigint, format('%s: 12 graphs of 25 identifiers as the twin says, in two orders of rows', s.name)),
  cmp_ok(r.refused, '>', 30::bigint, format('%s: the rules stopped links', s.name))])
FROM ruleset s, pg_temp.rounds(s.rules, 1, 12, 25, 60) r;
SELECT is((pg_temp.rounds(s.rules, 101, 103, 60, 110)).differences, 0::bigint, format('%s: larger graphs', s.name)) FROM ruleset s;

-- Known answers.
CREATE FUNCTION pg_temp.answer(rules bigint[], OUT parts text, OUT verdicts text) LANGUAGE sql AS $$
  WITH x AS MATERIALIZED (SELECT cdp_internal.resolve(rules, s.what, s.id, s.other, s.ref, s.type_id, s.weight, s.at) AS r FROM said s)
  SELECT (SELECT string_agg(p.id || '>' || p.part, ' ' ORDER BY p.id) FROM x, unnest((x.r).ids, (x.r).parts) AS p (id, part)),
    (SELECT string_agg(v.link_id || ':' || v.verdict || CASE WHEN v.blocker > 0 THEN '/' || v.blocker ELSE '' END, ' ' ORDER BY v.link_id) FROM x, unnest((x.r).link_ids, (x.r).verdicts, (x.r).blockers) AS v (link_id, verdict, blocker))
$$;
CREATE FUNCTION pg_temp.people(n integer, type_id smallint) RETURNS void LANGUAGE sql AS $$
  DELETE FROM said;
  INSERT INTO said SELECT 'n', i, i, NULL, people.type_id, NULL, '2026-01-01 00:00+00'::timestamptz + make_interval(hours => i) FROM generate_series(1, n) i;
$$;
SELECT pg_temp.people(3, 1::smallint);
INSERT INTO said VALUES ('d', 1, 2, 11, NULL, NULL, '2026-01-01'), ('d', 2, 3, 12, NULL, NULL, '2026-01-02'), ('c', 1, 3, 13, NULL, NULL, NULL);
SELECT results_eq($$SELECT * FROM pg_temp.answer('{{1,1,1,0,0,0}}')$$, $$VALUES ('1>1 2>1 3>3', '11:2 12:-1/13')$$, 'a cannot link across a chain stops the later link, and is named');
INSERT INTO said VALUES ('m', 2, 3, 14, NULL, NULL, '2026-03-01');
SELECT results_eq($$SELECT * FROM pg_temp.answer('{{1,1,1,0,0,0}}')$$, $$VALUES ('1>1 2>2 3>2', '11:-1/13 12:1 14:2')$$, 'what somebody said goes before what was seen');
DELETE FROM said WHERE what IN ('m', 'c');
INSERT INTO said VALUES ('d', 1, 3, 15, NULL, NULL, '2026-03-01');
SELECT results_eq($$SELECT * FROM pg_temp.answer('{{1,1,1,2,0,0}}')$$, $$VALUES ('1>1 2>1 3>3', '11:2 12:-4 15:-4')$$, 'a limit of two: a circle does not come in by the back door');
SELECT results_eq($$SELECT * FROM pg_temp.answer('{{1,1,1,0,0,1}}')$$, $$VALUES ('1>1 2>1 3>3', '11:2 12:-3 15:-3')$$, 'attach only: one link each');
SELECT results_eq($$SELECT * FROM pg_temp.answer('{{1,1,1,2,3600000000,0}}')$$, $$VALUES ('1>1 2>1 3>1', '11:2 12:2 15:1')$$, 'two an hour: the third comes after the half-open span');
SELECT results_eq($$SELECT * FROM pg_temp.answer('{{1,1,1,2,7200000000,0}}')$$, $$VALUES ('1>1 2>1 3>1', '11:2 12:2 15:1')$$, 'exactly at the end of the span is outside');
SELECT results_eq($$SELECT * FROM pg_temp.answer('{{1,1,1,2,7200000001,0}}')$$, $$VALUES ('1>1 2>1 3>3', '11:2 12:-4 15:-4')$$, 'a microsecond more and it is the third within');
SELECT results_eq($$SELECT * FROM pg_temp.answer('{{1,1,1,0,0,0},{3,2,0,0,0,0}}')$$, $$VALUES ('1>1 2>1 3>3', '11:2 12:-5 15:-5')$$, 'size two');
UPDATE said SET what = 'q' WHERE id = 2 AND what = 'n';
SELECT results_eq($$SELECT * FROM pg_temp.answer('{{1,1,1,0,0,0}}')$$, $$VALUES ('1>1 2>2 3>1', '11:-2 12:-2 15:2')$$, 'a quarantined identifier joins nobody');
SELECT results_eq($$SELECT * FROM pg_temp.answer('{{1,1,1,0,0,0}}')$$, $$SELECT * FROM pg_temp.answer('{{1,1,7,0,0,0},{1,2,0,0,0,0}}')$$, 'rules of types that are not there change nothing');

-- Bad input.
SELECT is((SELECT cdp_internal.resolve('{{1,1,1,0,0,0}}', s.what, 1, 1, 1, 1::smallint, 1, now()) FROM said s WHERE false), NULL, 'no rows: NULL');
CREATE FUNCTION pg_temp.try(rules text, rows text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('SELECT cdp_internal.resolve(%s, v.what::"char", v.id, v.other, v.ref, v.type_id::smallint, v.weight, now()) FROM (VALUES %s) v (what, id, other, ref, type_id, weight)', rules, rows);
END
$$;
SELECT throws_ok(format('SELECT pg_temp.try(%L, %L)', v.rules, v.rows), v.code, NULL, v.name)
FROM (VALUES
  ('''{{1,1,1,0,0,0}}''', '(''n'', 1, 1, NULL::bigint, 1, NULL::float8), (''d'', 1, 1, 5, NULL, NULL)', '22023', 'a link to itself'),
  ('''{{1,1,1,0,0,0}}''', '(''n'', 1, 1, NULL::bigint, 1, NULL::float8), (''d'', 1, 2, 5, NULL, NULL)', '22023', 'a link into the void'),
  ('''{{1,1,1,0,0,0}}''', '(''n'', 1, 1, NULL::bigint, 2, NULL::float8)', '22023', 'a type without rule'),
  ('''{{1,1,1,0,0,0}}''', '(''n'', 1, 1, NULL::bigint, 1, NULL::float8), (''n'', 1, 2, NULL, 1, NULL)', '21000', 'an identifier twice'),
  ('''{{1,1,1,0,0,0}}''', '(''n'', 1, 1, NULL::bigint, 1, NULL::float8), (''n'', 2, 2, NULL, 1, NULL), (''p'', 1, 2, 5, NULL, ''NaN'')', '22023', 'a weight that is no number'),
  ('''{{1,1,1,0,0,0}}''', '(''x'', 1, 1, NULL::bigint, 1, NULL::float8)', '22023', 'an unknown kind of row'),
  ('''{{1,1,1,0,0,0}}''', '(''n'', NULL::bigint, 1, NULL::bigint, 1, NULL::float8)', '22004', 'no id'),
  ('NULL', '(''n'', 1, 1, NULL::bigint, 1, NULL::float8)', '22004', 'no rules'),
  ('''{1,1,1,0,0,0}''', '(''n'', 1, 1, NULL::bigint, 1, NULL::float8)', '2202E', 'rules that are no rows'),
  ('''{{1,1,1,0,0,0},{2,1,9,1,0,0}}''', '(''n'', 1, 1, NULL::bigint, 1, NULL::float8)', '22023', 'a pair rule of an unknown type')) v (rules, rows, code, name);
SELECT * FROM finish();
