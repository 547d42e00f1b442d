-- The twin itself meets the published answers, so that what agrees with it is right.
BEGIN;
SELECT plan(13);
SET client_min_messages = error;
\ir ../twin/twin.sql
CREATE FUNCTION twin.line(m text, digits int) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(label || '=' || trim_scale(round(conv::numeric, digits)) || '/' || trim_scale(round(value::numeric, digits)), ' ' ORDER BY label) FROM twin.data_driven(m)
$$;
INSERT INTO twin.path VALUES ('{C1,C2,C3}', 1, 0, 1), ('{C1}', 0, 1, 0), ('{C2,C3}', 0, 1, 0);
SELECT is(twin.line('markov', 9), 'C1=0.2/0.2 C2=0.4/0.4 C3=0.4/0.4', 'KA1, order 1');
SELECT is(twin.line('markov(2)', 9), 'C1=0.2/0.2 C2=0.4/0.4 C3=0.4/0.4', 'KA1, order 2');
SELECT is(twin.line('markov(3)', 6), 'C1=0.333333/0.333333 C2=0.333333/0.333333 C3=0.333333/0.333333', 'KA1, order 3');
DELETE FROM twin.path;
INSERT INTO twin.path VALUES ('{A,B}', 2, 3, 30), ('{B,A,A}', 1, 0, 50), ('{A}', 1, 4, 10), ('{B,C,B}', 2, 2, 100), ('{C}', 0, 5, 0);
SELECT is(twin.line('markov', 6), 'A=2.410028/74.503937 B=2.771533/89.165354 C=0.818439/26.330709', 'KA2, order 1');
SELECT is(twin.line('markov(2)', 9), 'A=2.181818182/46.216216216 B=2.727272727/92.432432432 C=1.090909091/51.351351351', 'KA2, order 2');
SELECT is(twin.line('markov(3)', 9), twin.line('markov(2)', 9), 'KA2, order 3');
DELETE FROM twin.path;
INSERT INTO twin.path VALUES ('{A}', 10, 0, 0), ('{B}', 4, 0, 0), ('{A,B}', 6, 0, 0), ('{B,C}', 3, 0, 0), ('{C,A,B}', 9, 0, 0);
SELECT is(twin.line('shapley', 9), 'A=16/0 B=11.5/0 C=4.5/0', 'KA3');
-- The rate game by hand: A 1 of 2, B 1 of 4, AB 3 of 4. v(A) = 1/2, v(B) = 1/4, v(AB) = 5/10; A 3/8, B 1/8.
DELETE FROM twin.path;
INSERT INTO twin.path VALUES ('{A}', 1, 1, 0), ('{B}', 1, 3, 0), ('{B,A}', 3, 1, 0);
SELECT is((SELECT string_agg(label || '=' || round(conv::numeric, 9), ' ' ORDER BY label) FROM twin.shapley_rate()), 'A=3.750000000 B=1.250000000', 'the rate game, by hand');

CREATE FUNCTION twin.value_line(m text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(trim_scale(round(value::numeric, 6))::text, ' ' ORDER BY touch_at) FROM twin.credit('twin.rows', jsonb_build_object('models', ARRAY[m]))
$$;
INSERT INTO twin.rows (key, at, label, value)
SELECT 'x', '2026-01-20'::timestamptz - age * interval '1 day', l, v FROM (VALUES (9, 'A', NULL::numeric), (6, 'B', NULL), (1, 'C', NULL), (0, 'A', NULL), (0, NULL, 100)) r(age, l, v);
SELECT is(twin.value_line(m), want, 'KA5, ' || m)
  FROM (VALUES ('time_decay(7 days)', '14.301842 19.248851 31.581027 34.86828'), ('time_decay(1 day)', '0.1287 1.029601 32.947233 65.894466'),
               ('ramp', '10 20 30 40'), ('time_decay(7 days, step)', '14.285714 28.571429 28.571429 28.571429')) v(m, want);
\if :have_shared
\set paths `cat :'shared'/attribution/pathdata.csv`
DELETE FROM twin.path;
INSERT INTO twin.path
SELECT string_to_array(split_part(line, ',', 1), ' > ') AS path, sum(split_part(line, ',', 2)::float8), sum(split_part(line, ',', 4)::float8), sum(split_part(line, ',', 3)::float8)
  FROM string_to_table(replace(:'paths', E'\r', ''), E'\n') WITH ORDINALITY l(line, no) WHERE no > 1 GROUP BY 1;
ANALYZE twin.path;
SELECT is((SELECT string_agg(label || '=' || round(conv::numeric, 6), ' ' ORDER BY label) FROM twin.markov(1) WHERE label IN ('alpha', 'iota', 'mi')),
  'alpha=5344.947682 iota=3884.614702 mi=1.722425', 'KA7, order 1');
\else
SELECT skip('../shared/data/attribution is absent', 1);
\endif
SELECT * FROM finish();
ROLLBACK;
