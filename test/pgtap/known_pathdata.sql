-- PathData of ChannelAttribution (10,000 paths, 12 channels): first, last, linear, Markov 1 to 3 and Shapley
-- against the exact answers, to 1e-9 relative, from aggregated paths and from single rows.
BEGIN;
\if :have_shared
SELECT plan(19);
CREATE SCHEMA t;

-- Read by psql, so that the server's user need not see the folder.
\set paths `cat :'shared'/attribution/pathdata.csv`
\set heuristic `cat :'shared'/attribution/expected_heuristic.csv`
\set markov1 `cat :'shared'/attribution/expected_markov1.csv`
\set markov2 `cat :'shared'/attribution/expected_markov2.csv`
\set markov3 `cat :'shared'/attribution/expected_markov3.csv`
\set shapley `cat :'shared'/attribution/expected_shapley.csv`
CREATE TABLE t.paths AS
SELECT no, string_to_array(split_part(line, ',', 1), ' > ') AS path, split_part(line, ',', 2)::bigint AS c,
       split_part(line, ',', 3)::numeric AS v, split_part(line, ',', 4)::bigint AS n
  FROM string_to_table(replace(:'paths', E'\r', ''), E'\n') WITH ORDINALITY l(line, no) WHERE no > 1;
CREATE TABLE t.want (model text, label text, c numeric, v numeric, rc numeric, rv numeric);
INSERT INTO t.want
SELECT 'markov(' || k || ')', f[1], f[2]::numeric, f[3]::numeric, f[4]::numeric, f[5]::numeric
  FROM (VALUES (1, :'markov1'), (2, :'markov2'), (3, :'markov3')) v(k, body),
       string_to_table(replace(body, E'\r', ''), E'\n') WITH ORDINALITY l(line, no), string_to_array(line, ',') f WHERE no > 1
UNION ALL
SELECT 'shapley', f[1], f[2]::numeric, NULL, NULL, NULL
  FROM string_to_table(replace(:'shapley', E'\r', ''), E'\n') WITH ORDINALITY l(line, no), string_to_array(line, ',') f WHERE no > 1
UNION ALL
SELECT m.model, f[1], trim(f[m.at])::numeric, trim(f[m.at + 1])::numeric, NULL, NULL
  FROM string_to_table(replace(:'heuristic', E'\r', ''), E'\n') WITH ORDINALITY l(line, no), string_to_array(line, ',') f,
       (VALUES ('first', 2), ('last', 4), ('linear', 6)) m(model, at) WHERE no > 1;
SELECT is((SELECT (count(*), sum(c), round(sum(v), 2), sum(n))::text FROM t.paths), '(10000,19785,74802.97,68602)', 'the file is the one that the answers belong to');

-- Money is counted in millionths and the file has up to 15 digits: passed in millionths, no digit that matters is lost.
CREATE FUNCTION t.off(got_sql text, of_model text, tolerance numeric, printed numeric DEFAULT 0) RETURNS text LANGUAGE plpgsql AS $$
DECLARE bad text;
BEGIN
  EXECUTE format($q$
    SELECT string_agg(format('%%s: %%s, %%s instead of %%s, %%s', label, g.conversions, g.value, w.c, w.v), E'\n')
      FROM (SELECT * FROM t.want WHERE model = %1$L) w
      FULL JOIN (SELECT label, conversions, value / 1e6 AS value FROM (%2$s) q WHERE model = %1$L AND conversions <> 0) g USING (label)
     WHERE NOT coalesce(abs(g.conversions - w.c) <= %3$s * w.c + %4$s, false)
        OR NOT coalesce(abs(g.value - w.v) <= %3$s * w.v + %4$s, w.v IS NULL AND g.value IS NOT NULL)$q$, of_model, got_sql, tolerance, printed) INTO bad;
  RETURN bad;
END $$;

CREATE TABLE t.agg AS
SELECT cdp.attribution_path_pass(path, c, v * 1e6, n, cdp.attribution_options(models => '{first,last,linear,markov(1),markov(2),markov(3),shapley,one_removed}')) AS p FROM t.paths;
CREATE TABLE t.got AS SELECT r.* FROM t.agg, cdp.attribution_totals(p) r;
-- Half a unit of the last printed digit comes on top.
SELECT is(t.off('SELECT * FROM t.got', m, 1e-9, CASE WHEN m LIKE 'markov%' OR m = 'shapley' THEN 0.5000001e-10 ELSE 0 END), NULL, 'aggregated paths, ' || m)
  FROM unnest('{first,last,linear,markov(1),markov(2),markov(3),shapley}'::text[]) m;
SELECT is((SELECT string_agg(label || '=' || round(conversions, 6), ' ' ORDER BY label) FROM t.got WHERE model = m AND label IN ('alpha', 'iota')), want, 'KA7 as printed, ' || m)
  FROM (VALUES ('markov(1)', 'alpha=5344.947682 iota=3884.614702'), ('markov(2)', 'alpha=5617.453854 iota=3810.511044'),
               ('markov(3)', 'alpha=5748.098650 iota=3791.029167'), ('shapley', 'alpha=7627.944048 iota=3505.044048')) v(m, want);
SELECT is((SELECT string_agg(label || '=' || round(conversions, 1), ' ' ORDER BY label) FROM t.got WHERE model = 'one_removed' AND label IN ('alpha', 'iota')),
  'alpha=7204.7 iota=4033.6', 'one touch removed: as fractribution counts');
SELECT is((SELECT string_agg(label, ', ') FROM t.agg, cdp.attribution_removal(p, k) r JOIN t.want w USING (label)
            WHERE w.model = 'markov(' || k || ')'
              AND (abs(r.removal_conversions - w.rc) > 1e-9 * w.rc + 0.5000001e-12 OR abs(r.removal_value - w.rv) > 1e-9 * w.rv + 0.5000001e-12)),
  NULL, 'removal effects of order ' || k) FROM generate_series(1, 3) k;

-- The same as single journeys: one customer for each conversion and each null journey of a path.
CREATE TABLE t.journeys AS
SELECT row_number() OVER () AS customer, path, CASE WHEN i > c THEN NULL WHEN i = 1 THEN v * 1e6 ELSE 0 END AS value
  FROM t.paths, generate_series(1, c + n) i;
CREATE TABLE t.rows AS
SELECT customer, '2026-01-01'::timestamptz + ord * interval '1 second' AS at, label, NULL::numeric AS value
  FROM t.journeys, unnest(path) WITH ORDINALITY u(label, ord)
UNION ALL
SELECT customer, '2026-01-02', NULL, value FROM t.journeys WHERE value IS NOT NULL;
CREATE TABLE t.single AS
SELECT cdp.attribution_pass(customer, at, label, value, cdp.attribution_options(models => '{first,last,linear,markov(1),markov(2),markov(3),shapley,one_removed}')) AS p FROM t.rows;
SELECT is((SELECT string_agg(m, ', ') FROM unnest('{first,last,linear,markov(1),markov(2),markov(3),shapley}'::text[]) m
            WHERE t.off('SELECT r.* FROM t.single, cdp.attribution_totals(p) r', m, 1e-9, CASE WHEN m LIKE 'markov%' OR m = 'shapley' THEN 0.5000001e-10 ELSE 0 END) IS NOT NULL), NULL, 'single rows: every model');
SELECT results_eq('SELECT label, model, conversions FROM t.single, cdp.attribution_totals(p) ORDER BY 2, 1',
  'SELECT label, model, conversions FROM t.got ORDER BY 2, 1', 'conversions from rows are those from paths, to the last digit');
SELECT is((SELECT (conversions, conversions_without_touch, null_journeys, customers, converting_customers)::text FROM t.single, cdp.attribution_summary(p)),
  '(19785,0,68602,88387,19785)', 'summary of the single rows');
\else
SELECT plan(1);
SELECT skip('../shared/data/attribution is absent', 1);
\endif
SELECT * FROM finish();
ROLLBACK;
