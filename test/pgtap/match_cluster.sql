-- Clustering of pairs: known answers, and the slow twin on random graphs.
SELECT plan(25);

CREATE FUNCTION pg_temp.clusters(pairs text[], method text DEFAULT 'average', threshold float8 DEFAULT 0, absent float8 DEFAULT -3, one boolean DEFAULT false) RETURNS text
LANGUAGE sql AS $$
  -- 'a-b:5' is a pair of weight 5
  SELECT string_agg(c.members, ' ' ORDER BY c.members) FROM (
    SELECT string_agg(id, '' ORDER BY id) AS members FROM cdp_internal.match_clusters(NULL,
      ARRAY(SELECT substr(p, 1, 1) FROM unnest(pairs) p), NULL, ARRAY(SELECT substr(p, 3, 1) FROM unnest(pairs) p), ARRAY(SELECT substr(p, 5)::float8 FROM unnest(pairs) p),
      method, threshold, absent, one) GROUP BY cluster) c $$;

SELECT is(pg_temp.clusters('{a-b:5,c-d:5,b-c:1}'), 'ab cd', 'one weak pair does not join two: (1 - 9) / 4 is below 0');
SELECT is(pg_temp.clusters('{a-b:5,c-d:5,b-c:1}', 'connected'), 'abcd', 'connection does');
SELECT is(pg_temp.clusters('{a-b:5,c-d:5,b-c:10}', absent => -3), 'abc d', 'the strongest goes first: then (5 - 3) / 2 takes a, and (5 - 3 - 3) / 3 keeps d out');
SELECT is(pg_temp.clusters('{a-b:5,c-d:5,b-c:1,a-c:4,a-d:4,b-d:4}'), 'abcd', 'many pairs do');
SELECT is(pg_temp.clusters('{a-b:5,c-d:5,b-c:1,a-c:4,a-d:4,b-d:-Infinity}'), 'ab cd', 'one ban forbids');
SELECT is(pg_temp.clusters('{a-b:2,b-c:2}', absent => -1), 'abc', 'a third joins while the average is above: (2 - 1) / 2');
SELECT is(pg_temp.clusters('{b-c:2,a-b:2,b-a:1}', absent => -3), 'ab c', 'of equal weights the first pair in order of ids, whatever the order of pairs; a pair that comes twice counts once');
SELECT is(pg_temp.clusters('{a-x:9,b-x:8,b-y:7,a-y:1}', 'one_to_one'), 'ax by', 'one to one: the best pair first');
SELECT is(pg_temp.clusters('{a-x:9,b-x:8,a-y:8}', 'one_to_one'), 'ax b y', 'each record once');
SELECT is(pg_temp.clusters('{a-b:3,c-d:-1}', threshold => 3.5, absent => -3), 'a b c d', 'nothing is above the threshold');
SELECT is(pg_temp.clusters('{a-a:3}'), 'a', 'a pair with itself says nothing');
SELECT is(pg_temp.clusters('{a-b:Infinity}'), 'ab', 'an infinite weight counts 100');
SELECT results_eq($$SELECT source, id, cluster_source, cluster, size FROM cdp_internal.match_clusters('{s,s,s}', '{1,1,2}', '{t,t,t}', '{1,2,2}', '{5,9,7}', 'average', 0, -1, true) ORDER BY 1, 2$$,
  $$VALUES ('s', '1', 's', '1', 2), ('s', '2', 's', '2', 1), ('t', '1', 't', '1', 1), ('t', '2', 's', '1', 2)$$, 'one record of each source in a cluster');
SELECT throws_ok($$SELECT pg_temp.clusters('{a-b:1}', absent => 1)$$, '22023', NULL, 'an absent pair must not count above the threshold');
SELECT throws_ok($$SELECT pg_temp.clusters('{a-b:1}', 'best')$$, '22023', NULL, 'unknown method');
SELECT throws_ok($$SELECT pg_temp.clusters('{a-b:NaN}')$$, '22004', NULL, 'NaN');
SET maintenance_work_mem = '1MB';
SELECT throws_ok($$SELECT count(*) FROM (SELECT array_agg(i::text) AS l, array_agg((i + 1)::text) AS r, array_agg(1::float8) AS w FROM generate_series(1, 100000) i) a,
  cdp_internal.match_clusters(NULL, a.l, NULL, a.r, a.w, 'average', 0, -3, false)$$, '54000', NULL, 'memory is bounded');
-- 20 bytes a pair hold when what is connected is small: 30,000 pairs of 20,000 records fit, 70,000 do not.
CREATE TABLE public.person AS SELECT i AS id, i / 3 AS name, i / 24 AS home FROM generate_series(0, 19999) i;
CREATE FUNCTION pg_temp.model(rule text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_set(cdp.match_model(ARRAY[cdp.match_comparison('exact', 'name')], ARRAY[rule], 'id', prior => 0.01), '{comparisons,0,comparison_levels}',
    '[{"sql_condition": "name_l = name_r", "m_probability": 0.99, "u_probability": 0.001}, {"sql_condition": "ELSE", "m_probability": 0.01, "u_probability": 0.999}]') $$;
SELECT throws_ok($$SELECT count(*) FROM cdp.match_clusters(pg_temp.model('l.home = r.home'), 'public.person')$$, '54000', 'too many pairs to cluster at once', 'also without texts: 229,680 pairs');
SELECT is((SELECT count(*) || ' ' || count(DISTINCT cluster) || ' ' || max(size) FROM cdp.match_clusters(pg_temp.model('l.name = r.name'), 'public.person')), '20000 6667 3', '19,999 pairs of sets of three fit into 1 MB');
RESET maintenance_work_mem;
-- The road without texts gives what the pairs give.
SELECT results_eq($$SELECT id, cluster, size FROM cdp.match_clusters(pg_temp.model('l.home = r.home'), 'public.person') ORDER BY 1$$,
  $$SELECT c.id, c.cluster, c.size FROM (SELECT array_agg(p.id_l) AS l, array_agg(p.id_r) AS r, array_agg(p.match_weight) AS w FROM cdp.match_pairs(pg_temp.model('l.home = r.home'), 'public.person', least_probability => 0) p) a,
    cdp_internal.match_clusters(NULL, a.l, NULL, a.r, a.w, 'average', 0, -3, false) c ORDER BY 1$$, 'pairs, then clusters, is the same');
SELECT is((SELECT count(*) FROM cdp.match_clusters(pg_temp.model('l.home = r.home'), 'public.person', method => 'connected')), 20000::bigint - (SELECT count(*) FROM (SELECT FROM public.person GROUP BY name, home HAVING count(*) = 1) x),
  'records without a pair do not come');
SELECT cdp.define_match('many', pg_temp.model('l.home = r.home'), 'public.person', review_probability => 0.0001) \g /dev/null
SET maintenance_work_mem = '1MB';
SELECT throws_ok($$SELECT cdp.match_run('many')$$, '54000', 'too many pairs to cluster at once', 'a named model, too, before it gathers');
RESET maintenance_work_mem;

-- The twin: all pairs of nodes, again after each join.
CREATE TABLE public.edge (g int, a text COLLATE "C", b text COLLATE "C", w float8);
CREATE TABLE public.node (g int, id text COLLATE "C", source text, cluster text COLLATE "C");
-- In every other graph records have one of five sources, with which their ids begin.
CREATE FUNCTION pg_temp.name(g int, x int) RETURNS text LANGUAGE sql AS $$ SELECT CASE WHEN g % 2 = 0 THEN chr(65 + x % 5) ELSE '' END || chr(97 + x) $$;
SELECT setseed(0.42);
INSERT INTO public.edge SELECT DISTINCT ON (e.g, e.a, e.b) e.g, e.a, e.b, e.w FROM (
  SELECT s.g, least(pg_temp.name(s.g, x) COLLATE "C", pg_temp.name(s.g, y)) AS a, greatest(pg_temp.name(s.g, x) COLLATE "C", pg_temp.name(s.g, y)) AS b,
    CASE WHEN random() < 0.03 THEN '-Infinity' ELSE floor(random() * 16) - 5 END AS w
  FROM generate_series(1, 120) AS s (g), generate_series(1, 45) AS n, LATERAL (SELECT floor(random() * (4 + s.g % 18))::int AS x, floor(random() * (4 + s.g % 18))::int AS y, n) r WHERE x <> y) e ORDER BY 1, 2, 3, 4;
INSERT INTO public.node SELECT DISTINCT x.g, x.id, CASE WHEN x.g % 2 = 0 THEN left(x.id, 1) END, x.id FROM (SELECT g, a AS id FROM public.edge UNION ALL SELECT g, b FROM public.edge) x;
CREATE FUNCTION public.twin(graph int, absent float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  best record;
BEGIN
  LOOP
    SELECT x.cluster AS a, y.cluster AS b, sum(coalesce(e.w, absent)) / count(*) AS average,
      min(e.a || e.b) AS first INTO best
    FROM public.node x JOIN public.node y ON x.g = graph AND y.g = graph AND x.cluster < y.cluster
      LEFT JOIN public.edge e ON e.g = graph AND e.a = least(x.id, y.id) AND e.b = greatest(x.id, y.id)
    GROUP BY 1, 2
    HAVING bool_and(coalesce(e.w, 0) <> '-Infinity') AND NOT bool_or(graph % 2 = 0 AND x.source = y.source) AND sum(coalesce(e.w, absent)) / count(*) > 0
    ORDER BY 3 DESC, 4 LIMIT 1;
    EXIT WHEN NOT FOUND;
    UPDATE public.node SET cluster = best.a WHERE g = graph AND cluster = best.b;
  END LOOP;
END $$;
SELECT count(public.twin(g, -1 - g % 4)) FROM generate_series(1, 120) g;
CREATE TABLE public.ours AS
SELECT g.g, c.id, c.cluster FROM (SELECT n.g, array_agg(x.source) FILTER (WHERE x.source IS NOT NULL) AS sl, array_agg(n.a) AS il, array_agg(y.source) FILTER (WHERE y.source IS NOT NULL) AS sr, array_agg(n.b) AS ir, array_agg(n.w) AS w
    FROM (SELECT * FROM public.edge ORDER BY random()) n JOIN public.node x ON x.g = n.g AND x.id = n.a JOIN public.node y ON y.g = n.g AND y.id = n.b GROUP BY 1) g,
  cdp_internal.match_clusters(g.sl, g.il, g.sr, g.ir, g.w, 'average', 0, -1 - g.g % 4, true) c;
SELECT cmp_ok((SELECT count(DISTINCT (g, cluster)) FROM public.node), '<', (SELECT count(*) * 2 / 3 FROM public.node), 'the twin joins many');
SELECT is((SELECT count(*) FROM public.ours o JOIN public.ours p USING (g) JOIN public.node n ON n.g = o.g AND n.id = o.id JOIN public.node m ON m.g = p.g AND m.id = p.id
  WHERE (o.cluster = p.cluster) <> (n.cluster = m.cluster)), 0::bigint, 'average linkage with bans and sources agrees with its twin on random graphs');
SELECT is((SELECT count(*) FROM public.ours), (SELECT count(*) FROM public.node), 'with a row for each record');
SELECT * FROM finish();
