-- Blocking, levels and weights against a plain self-join in SQL on random tables; caps, recall, and links between sources.
SELECT plan(27);
SELECT setseed(0.3);
CREATE TABLE public.t AS
SELECT 'r' || i AS id, CASE WHEN random() < 0.9 THEN (ARRAY['anna', 'anne', 'ann', 'hannah', 'bob', 'bobby', 'rob', 'zoë', ''])[1 + floor(random() * 9)::int] END AS a,
  CASE WHEN random() < 0.9 THEN (ARRAY['anna', 'smith', 'smyth', 'jones', 'bob'])[1 + floor(random() * 5)::int] END AS b,
  CASE WHEN random() < 0.95 THEN (date '2000-01-01' + floor(random() * 400)::int)::text ELSE 'unknown' END AS d,
  floor(random() * 20)::numeric / 4 AS n, CASE WHEN random() < 0.9 THEN ARRAY[floor(random() * 4)::int::text, 'x "y"', NULL, floor(random() * 4)::int::text] END AS tags,
  floor(random() * 3)::int AS k, (ARRAY['s1', 's2', 's3'])[1 + i % 3] AS src
FROM generate_series(1, 160) i;

\set model '{"link_type": "dedupe_only", "unique_id_column_name": "id", "probability_two_random_records_match": 0.01, "blocking_rules_to_generate_predictions": ["l.a = r.a and l.k = r.k", "l.a = r.b", "substr(l.d, 1, 7) = substr(r.d, 1, 7) and (levenshtein(l.b, r.b) <= 1 or l.b = r.a)", "l.b = r.b and l.k = r.k or lower(l.a) = lower(r.a)"], "comparisons": [{"comparison_levels": [{"sql_condition": "a_l IS NULL OR a_r IS NULL", "is_null_level": true}, {"sql_condition": "a_l = a_r", "m_probability": 0.6, "u_probability": 0.1, "tf_adjustment_column": "a"}, {"sql_condition": "jaro_winkler_similarity(a_l, a_r) >= 0.9", "m_probability": 0.2, "u_probability": 0.05, "tf_adjustment_column": "a", "tf_adjustment_weight": 0.5}, {"sql_condition": "damerau_levenshtein(a_l, a_r) <= 2", "m_probability": 0.1, "u_probability": 0.2}, {"sql_condition": "ELSE", "m_probability": 0.1, "u_probability": 0.65}]}, {"comparison_levels": [{"sql_condition": "a_l = b_r AND b_l = a_r", "m_probability": 0.1, "u_probability": 0.01}, {"sql_condition": "NOT (b_l = b_r) AND jaccard(b_l, b_r) > 0.5", "m_probability": 0.2, "u_probability": 0.1}, {"sql_condition": "b_l = b_r", "m_probability": 0.5, "u_probability": 0.2}, {"sql_condition": "ELSE"}]}, {"comparison_levels": [{"sql_condition": "try_strptime(d_l, ''%Y-%m-%d'') IS NULL OR try_strptime(d_r, ''%Y-%m-%d'') IS NULL", "is_null_level": true}, {"sql_condition": "abs(date_diff(''day'', d_l, d_r)) <= 10", "m_probability": 0.5, "u_probability": 0.05}, {"sql_condition": "abs(date_diff(''month'', d_l, d_r)) <= 2", "m_probability": 0.3, "u_probability": 0.25}, {"sql_condition": "ELSE", "m_probability": 0.2, "u_probability": 0.7}]}, {"comparison_levels": [{"sql_condition": "array_length(list_intersect(tags_l, tags_r)) >= 3", "m_probability": 0.5, "u_probability": 0.1}, {"sql_condition": "abs(n_l - n_r) < 0.5", "m_probability": 0.3, "u_probability": 0.2}, {"sql_condition": "ELSE", "m_probability": 0.2, "u_probability": 0.7}]}]}'

CREATE FUNCTION public.day(t text) RETURNS date IMMUTABLE LANGUAGE sql AS $$ SELECT CASE WHEN t ~ '^\d{4}-\d\d-\d\d' THEN t::date END $$;
CREATE FUNCTION public.tf(v text) RETURNS float8 STABLE LANGUAGE sql AS $$ SELECT count(*) FILTER (WHERE a = v)::float8 / count(a) FROM public.t $$;
CREATE TABLE public.twin AS
SELECT l.id AS id_l, r.id AS id_r,
  CASE WHEN l.a = r.a AND l.k = r.k THEN 0 WHEN l.a = r.b THEN 1 WHEN substr(l.d, 1, 7) = substr(r.d, 1, 7) AND (cdp.levenshtein(l.b, r.b) <= 1 OR l.b = r.a) THEN 2
    WHEN l.b = r.b AND l.k = r.k OR lower(l.a) = lower(r.a) THEN 3 END AS match_key,
  ARRAY[CASE WHEN l.a IS NULL OR r.a IS NULL THEN -1 WHEN l.a = r.a THEN 3 WHEN cdp.jaro_winkler(l.a, r.a) >= 0.9 THEN 2 WHEN cdp.damerau_levenshtein(l.a, r.a) <= 2 THEN 1 ELSE 0 END,
    CASE WHEN l.a = r.b AND l.b = r.a THEN 3 WHEN NOT (l.b = r.b) AND cdp.character_jaccard(l.b, r.b) > 0.5 THEN 2 WHEN l.b = r.b THEN 1 ELSE 0 END,
    CASE WHEN day(l.d) IS NULL OR day(r.d) IS NULL THEN -1 WHEN abs(day(l.d) - day(r.d)) <= 10 THEN 2
      WHEN abs(extract(year FROM day(l.d)) * 12 + extract(month FROM day(l.d)) - extract(year FROM day(r.d)) * 12 - extract(month FROM day(r.d))) <= 2 THEN 1 ELSE 0 END,
    CASE WHEN (SELECT count(*) FROM (SELECT unnest(l.tags) INTERSECT SELECT unnest(r.tags)) i (x) WHERE x IS NOT NULL) >= 3 AND l.tags IS NOT NULL AND r.tags IS NOT NULL THEN 2
      WHEN abs(l.n - r.n) < 0.5 THEN 1 ELSE 0 END] AS gammas, greatest(tf(l.a), tf(r.a)) AS f
FROM public.t l JOIN public.t r ON l.id COLLATE "C" < r.id COLLATE "C";
ALTER TABLE public.twin ADD COLUMN weight float8;
UPDATE public.twin SET weight = log(2, (0.01 / 0.99)::numeric)::float8
  + CASE gammas[1] WHEN 3 THEN log(2, 6.0) + log(2, (0.1 / f)::numeric) WHEN 2 THEN log(2, 4.0) + 0.5 * log(2, (0.1 / f)::numeric) WHEN 1 THEN -1 WHEN 0 THEN log(2, 0.1 / 0.65) ELSE 0 END
  + CASE gammas[2] WHEN 3 THEN log(2, 10.0) WHEN 2 THEN 1 WHEN 1 THEN log(2, 2.5) ELSE 0 END
  + CASE gammas[3] WHEN 2 THEN log(2, 10.0) WHEN 1 THEN log(2, 1.2) WHEN 0 THEN log(2, 2.0 / 7) ELSE 0 END
  + CASE gammas[4] WHEN 2 THEN log(2, 5.0) WHEN 1 THEN log(2, 1.5) ELSE log(2, 2.0 / 7) END;

CREATE TABLE public.ours AS SELECT * FROM cdp.match_pairs(:'model', 't', least_probability => 0);
SELECT cmp_ok((SELECT count(*) FROM public.twin WHERE match_key IS NOT NULL), '>', 2000::bigint, 'the twin has pairs');
SELECT is((SELECT count(DISTINCT gammas) > 60 FROM public.twin), true, 'of many patterns');
SELECT is_empty($$SELECT id_l, id_r, match_key FROM public.twin WHERE match_key IS NOT NULL EXCEPT SELECT id_l, id_r, match_key FROM public.ours$$, 'every pair of the twin is there, under its first rule');
SELECT is((SELECT count(*) FROM public.ours), (SELECT count(*) FROM public.twin WHERE match_key IS NOT NULL), 'and no other, none twice');
SELECT is((SELECT count(*) FROM public.ours o JOIN public.twin w USING (id_l, id_r) WHERE o.gammas <> w.gammas), 0::bigint, 'all levels agree');
SELECT is((SELECT count(*) FROM public.ours o JOIN public.twin w USING (id_l, id_r) WHERE abs(o.match_weight - w.weight) > 1e-9), 0::bigint, 'all weights agree');
SELECT is((SELECT sum(pairs)::bigint FROM cdp_internal.match_patterns(cdp_internal.match_load(:'model', NULL, 't', NULL), :'model', NULL, NULL, NULL, NULL)), (SELECT count(*) FROM public.ours), 'patterns count each pair once');
SELECT is((SELECT sum(pairs)::bigint FROM cdp_internal.match_patterns(cdp_internal.match_load(:'model', NULL, 't', NULL), :'model', NULL, NULL, 1e9, 1)), (160 * 159 / 2)::bigint, 'random pairs are all pairs when there are no more');
SELECT is((SELECT sum(pairs)::bigint FROM cdp_internal.match_patterns(cdp_internal.match_load(:'model', NULL, 't', NULL), :'model', NULL, NULL, 500, 1)), 500::bigint, 'or as many as asked for');
SELECT isnt((SELECT md5(string_agg(p::text, '' ORDER BY p.pattern)) FROM cdp_internal.match_patterns(cdp_internal.match_load(:'model', NULL, 't', NULL), :'model', NULL, NULL, 500, 1) p),
  (SELECT md5(string_agg(p::text, '' ORDER BY p.pattern)) FROM cdp_internal.match_patterns(cdp_internal.match_load(:'model', NULL, 't', NULL), :'model', NULL, NULL, 500, 2) p), 'others with another seed');

-- Figures of blocks, from group counts.
SELECT results_eq(format($$SELECT blocks, pairs::bigint, largest_block FROM cdp.match_blocking(%L, 't', rules => '{l.a = r.a AND l.k = r.k}')$$, :'model'),
  $$SELECT count(*), sum(n * (n - 1) / 2)::bigint, max(n) FROM (SELECT count(*) AS n FROM public.t WHERE a IS NOT NULL GROUP BY a, k HAVING count(*) > 1) x$$, 'blocks and pairs of a rule');
SELECT results_eq(format($$SELECT pairs::bigint FROM cdp.match_blocking(%L, 't', rules => '{l.a = r.b}')$$, :'model'),
  $$SELECT count(*) FROM public.t l JOIN public.t r ON l.a = r.b AND l.id COLLATE "C" < r.id COLLATE "C"$$, 'of a rule between two columns');
SELECT results_eq(format($$SELECT largest_key FROM cdp.match_blocking(%L, 't', rules => '{l.k = r.k}')$$, :'model'),
  $$SELECT ARRAY[k::text] FROM public.t GROUP BY k ORDER BY count(*) DESC, min(id COLLATE "C") LIMIT 1$$, 'the largest block is named');
CREATE TABLE public.capped AS SELECT * FROM cdp.match_blocking(:'model', 't', max_pairs => 300, rules => '{l.a = r.a AND l.k = r.k}');
SELECT is((SELECT pairs - dropped_pairs <= 300 AND dropped_blocks > 0 FROM public.capped), true, 'above the cap the largest blocks are dropped');
SELECT is((SELECT count(*) FROM cdp_internal.match_pairs(cdp_internal.match_load(:'model', NULL, 't', NULL), :'model', '{l.a = r.a AND l.k = r.k}', 300, false, NULL, NULL, NULL, NULL, NULL)),
  (SELECT (pairs - dropped_pairs)::bigint FROM public.capped), 'and make no pair');
SELECT is((SELECT count(*) FROM (
    SELECT sum(n * (n - 1) / 2) OVER (ORDER BY n, first DESC) AS pairs FROM (SELECT count(*) AS n, min(id COLLATE "C") AS first FROM public.t WHERE a IS NOT NULL GROUP BY a, k HAVING count(*) > 1) x) y WHERE pairs <= 300),
  (SELECT blocks - dropped_blocks FROM public.capped), 'the smaller blocks stay');

-- Recall of blocking.
ALTER TABLE public.t ADD COLUMN label int;
UPDATE public.t SET label = ascii(right(id, 1)) % 7;
SELECT results_eq(format($$SELECT true_pairs FROM cdp.match_missed(%L, 'label', 't')$$, :'model'),
  $$SELECT count(*) FILTER (WHERE w.match_key = g OR (g = 4 AND w.match_key IS NULL)) FROM generate_series(0, 4) g,
    public.twin w JOIN public.t l ON l.id = w.id_l JOIN public.t r ON r.id = w.id_r WHERE l.label = r.label GROUP BY g ORDER BY g$$, 'true pairs of each rule, and those that none makes');
SELECT is((SELECT recall FROM cdp.match_missed(:'model', 'label', 't') WHERE match_key IS NULL), 1::float8, 'recall ends at 1');

-- Sources.
SELECT jsonb_set(jsonb_set(:'model', '{link_type}', '"link_only"'), '{source_dataset_column_name}', '"src"') AS link \gset
SELECT is((SELECT count(*) FROM cdp.match_pairs(:'link', 't', least_probability => 0) WHERE source_l = source_r), 0::bigint, 'link_only pairs no two of one source');
SELECT is((SELECT count(*) FROM cdp.match_pairs(jsonb_set(:'link', '{blocking_rules_to_generate_predictions}', '["l.k = r.k"]'), 't', least_probability => 0)),
  (SELECT count(*) FROM public.t l JOIN public.t r ON l.k = r.k AND l.src < r.src), 'but all others');
SELECT is((SELECT pairs::bigint FROM cdp.match_blocking(:'link', 't', rules => '{l.k = r.k}')), (SELECT count(*) FROM public.t l JOIN public.t r ON l.k = r.k AND l.src < r.src), 'as its figures say');
SELECT is((SELECT max(n) FROM (SELECT count(*) AS n FROM cdp.match_clusters(:'link', 't', method => 'average', threshold => 0.01, one_per_source => true) GROUP BY cluster, source_dataset) x), 1::bigint, 'one record of a source in a cluster');
SELECT is((SELECT max(n) FROM (SELECT count(*) AS n FROM cdp.match_clusters(:'link', 't', method => 'one_to_one', threshold => 0.01) GROUP BY cluster) x), 2::bigint, 'one to one');
SELECT is((SELECT count(*) FROM cdp.match_pairs(jsonb_set(:'link', '{link_type}', '"link_and_dedupe"'), 't', least_probability => 0) WHERE source_l = source_r) > 0, true, 'link_and_dedupe pairs both');
SELECT throws_ok(format($$SELECT cdp.match_pairs(%L, 't')$$, jsonb_set(:'model', '{link_type}', '"link"')), '22023', NULL, 'an unknown link type');

-- Locale and session do not matter.
SET datestyle = 'German, DMY'; SET extra_float_digits = -10; SET timezone = 'Asia/Shanghai';
ALTER TABLE public.t ALTER COLUMN d TYPE date USING day(d);
CREATE TEMP TABLE again AS SELECT * FROM cdp.match_pairs(replace(:'model', 'try_strptime(d_l, ''%Y-%m-%d'')', 'd_l')::jsonb, 't', least_probability => 0);
SELECT is((SELECT count(*) FROM again a JOIN public.twin w USING (id_l, id_r) WHERE a.gammas <> w.gammas), 0::bigint, 'dates of a date column are read in ISO form, whatever the session has');
RESET datestyle;
-- Same weight by index: match_record finds for each record what match_pairs found.
CREATE TABLE public.one AS SELECT to_jsonb(x) AS r, x.id FROM public.t x ORDER BY id LIMIT 20;
SELECT is((SELECT count(*) FROM public.one o CROSS JOIN LATERAL cdp.match_record(o.r, jsonb_set(:'model', '{blocking_rules_to_generate_predictions}', '["l.a = r.a and l.k = r.k", "l.b = r.b"]'), 't', 0.2, 1000) m
    JOIN again a ON (a.id_l, a.id_r) IN ((o.id, m.id), (m.id, o.id)) WHERE abs(a.match_weight - m.match_weight) > 1e-9 AND a.gammas[2] <> 3), 0::bigint, 'match_record weighs as match_pairs does');
SELECT * FROM finish();
