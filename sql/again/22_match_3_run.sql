-- Matching: from a table of the user's to a trained model, scored pairs and explanations. Nothing here writes.

CREATE OR REPLACE FUNCTION cdp_internal.cursor_rows(rows refcursor, wanted text[]) RETURNS SETOF jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
  found_row jsonb;
  checked boolean := false;
BEGIN
  LOOP
    FETCH rows INTO r; -- each call moves the cursor, so it is volatile
    EXIT WHEN NOT FOUND;
    found_row := to_jsonb(r);
    IF NOT checked AND NOT found_row ?& wanted THEN
      RAISE EXCEPTION 'the model uses columns that the cursor does not have'
        USING ERRCODE = 'undefined_column', DETAIL = format('Missing: %s.', (SELECT string_agg(w, ', ' ORDER BY w) FROM unnest(wanted) w WHERE NOT found_row ? w)),
          HINT = 'Open it for a query that returns these columns, or change the model.';
    END IF;
    checked := true;
    RETURN NEXT found_row;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.cursor_rows(refcursor, text[]) IS
'The rows of an open cursor from where it stands, as jsonb. Errors: 34000 no such cursor, 42703 its rows lack a wanted column.';

CREATE OR REPLACE FUNCTION cdp_internal.match_from(model jsonb, rules text[], source regclass, rows refcursor) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wanted text[];
  missing text;
BEGIN
  IF model IS NULL THEN
    RAISE EXCEPTION 'matching needs a model'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp.match_model() makes one, cdp.match_train() trains it.';
  END IF;
  IF (source IS NULL) = (rows IS NULL) THEN
    RAISE EXCEPTION 'matching needs either a table or a cursor'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Give source => ''my_table'' (a table, view or foreign table) or rows => an open refcursor.';
  END IF;
  SELECT array_agg(DISTINCT c.name) INTO wanted FROM (
    SELECT unnest(t.columns) AS name FROM cdp_internal.match_terms(model, rules) t
    UNION ALL SELECT coalesce(model ->> 'unique_id_column_name', 'unique_id')
    UNION ALL SELECT coalesce(model ->> 'source_dataset_column_name', 'source_dataset') WHERE coalesce(model ->> 'link_type', 'dedupe_only') <> 'dedupe_only') AS c;
  IF rows IS NOT NULL THEN
    RETURN format('(SELECT c.* FROM cdp_internal.cursor_rows(%L, %L) r, jsonb_to_record(r) AS c (%s))', rows, wanted,
      (SELECT string_agg(format('%I text', w), ', ' ORDER BY w) FROM unnest(wanted) w));
  END IF;
  SELECT string_agg(w, ', ' ORDER BY w) INTO missing FROM unnest(wanted) w
  WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = w AND a.attnum > 0 AND NOT a.attisdropped);
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION 'the model uses columns that % does not have', source
      USING ERRCODE = 'undefined_column', DETAIL = format('Missing: %s.', missing),
        HINT = 'Match a view that has these columns, or change the model.';
  END IF;
  RETURN source::text;
END
$$;
COMMENT ON FUNCTION cdp_internal.match_from(jsonb, text[], regclass, refcursor) IS
'What a query of matching reads FROM: the table, or the rows of the cursor with the columns that the model and the rules look at. Errors: 22023 no model, both or neither, 42703 a column is missing.';

CREATE OR REPLACE FUNCTION cdp_internal.match_select(model jsonb, rules text[], changed text, id text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  expressions text;
  terms text;
BEGIN
  SELECT string_agg(t.expression, ', ' ORDER BY t.n), string_agg(quote_literal(t.term), ', ' ORDER BY t.n) INTO expressions, terms
  FROM cdp_internal.match_terms(model, rules) WITH ORDINALITY AS t (term, expression, columns, n);
  RETURN format('SELECT cdp_internal.match_records(%s, %s, %s, ARRAY[%s]::text[], ARRAY[%s]::text[])',
    CASE WHEN coalesce(model ->> 'link_type', 'dedupe_only') = 'dedupe_only' THEN 'NULL'
      ELSE format('t.%I::text', coalesce(model ->> 'source_dataset_column_name', 'source_dataset')) END,
    coalesce(id, format('t.%I::text', coalesce(model ->> 'unique_id_column_name', 'unique_id'))), changed, expressions, terms);
END
$$;
COMMENT ON FUNCTION cdp_internal.match_select(jsonb, text[], text, text) IS
'The SELECT that packs rows t for a model and further rules. changed is SQL of ours that tells which rows are new, id that which tells their ids (NULL: the column that the model names).';

CREATE OR REPLACE FUNCTION cdp_internal.match_load(model jsonb, rules text[], source regclass, rows refcursor) RETURNS bytea
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET timezone = 'UTC'
  SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex'
AS $$
DECLARE
  records bytea;
BEGIN
  EXECUTE cdp_internal.match_select(model, rules, 'false') || ' FROM ' || cdp_internal.match_from(model, rules, source, rows) || ' AS t' INTO records;
  IF records IS NULL THEN
    RAISE EXCEPTION 'there are no rows to match' USING ERRCODE = 'no_data_found';
  END IF;
  RETURN records;
END
$$;
COMMENT ON FUNCTION cdp_internal.match_load(jsonb, text[], regclass, refcursor) IS
'The packed records of a table or cursor, with what a model and further rules look at. Dates are read in ISO form, times in UTC, numbers to their last digit, whatever the session has. Errors: P0002 no rows, and those of match_from and match_records.';

CREATE OR REPLACE FUNCTION cdp_internal.match_probability(weight double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN weight > 1000 THEN 1 WHEN weight < -1000 THEN 0 ELSE 1 / (1 + power(2.0::double precision, -weight)) END;
COMMENT ON FUNCTION cdp_internal.match_probability(double precision) IS
'Probability of a match from its weight, log2 of the odds. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp.match_pairs(model jsonb, source regclass DEFAULT NULL, rows refcursor DEFAULT NULL,
  least_probability double precision DEFAULT 0.5, max_pairs double precision DEFAULT 1e8)
RETURNS TABLE (source_l text, id_l text, source_r text, id_r text, match_weight double precision, match_probability double precision,
  match_key integer, gammas integer[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  records bytea;
BEGIN
  records := cdp_internal.match_load(model, NULL, source, rows);
  RETURN QUERY
  SELECT nullif(p.source_l, ''), p.id_l, nullif(p.source_r, ''), p.id_r, p.match_weight, cdp_internal.match_probability(p.match_weight), p.match_key, p.gammas
  FROM cdp_internal.match_pairs(records, model, NULL, max_pairs, false,
    CASE WHEN least_probability > 0 THEN ln(least_probability / greatest(1 - least_probability, 1e-300)) / ln(2.0) END, NULL, NULL, NULL, NULL) p;
END
$$;
COMMENT ON FUNCTION cdp.match_pairs(jsonb, regclass, refcursor, double precision, double precision) IS
'Scores the pairs that the model''s blocking rules make among the rows of a table (or of an open cursor), each pair once, and returns those of at least the probability (0: all). l stands before r in the order of source and id (bytes). match_weight is log2 of the odds, the prior included; match_key the number (from 0) of the rule that made the pair; gammas the value of each comparison as Splink numbers them. max_pairs caps each rule: its largest blocks are dropped, as cdp.match_blocking() shows. Sources are NULL for dedupe_only. Errors: 0A000, 22023 a bad model, 42703 a missing column, 23505 an id twice.';

CREATE OR REPLACE FUNCTION cdp.match_blocking(model jsonb, source regclass DEFAULT NULL, rows refcursor DEFAULT NULL,
  max_pairs double precision DEFAULT 1e8, rules text[] DEFAULT NULL)
RETURNS TABLE (match_key integer, blocking_rule text, blocks bigint, pairs double precision, share double precision,
  largest_block bigint, largest_key text[], dropped_blocks bigint, dropped_pairs double precision)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  records bytea;
  written text[] := coalesce(rules, ARRAY(SELECT coalesce(b.rule ->> 'blocking_rule', b.rule #>> '{}')
    FROM jsonb_array_elements(model -> 'blocking_rules_to_generate_predictions') WITH ORDINALITY AS b (rule, n) ORDER BY b.n));
BEGIN
  records := cdp_internal.match_load(model, rules, source, rows);
  RETURN QUERY
  SELECT b.rule, written[b.rule + 1], b.blocks, b.pairs, b.pairs / nullif(i.pairs, 0), b.largest, b.largest_key, b.dropped_blocks, b.dropped_pairs
  FROM cdp_internal.match_records_info(records, model) i, cdp_internal.match_blocks(records, model, rules, max_pairs, false) b;
END
$$;
COMMENT ON FUNCTION cdp.match_blocking(jsonb, regclass, refcursor, double precision, text[]) IS
'What each blocking rule (rules, or the model''s) would make, from the sizes of its blocks, without making a pair: blocks, pairs (before comparing with the other rules), their share of all pairs, the largest block with its key, and what the cap drops. A rule with OR has one row for each alternative. The key shows values of the records. Errors as cdp.match_pairs.';

CREATE OR REPLACE FUNCTION cdp.match_missed(model jsonb, label_column text, source regclass DEFAULT NULL, rows refcursor DEFAULT NULL,
  max_pairs double precision DEFAULT 1e8)
RETURNS TABLE (match_key integer, blocking_rule text, true_pairs bigint, recall double precision)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  written text[] := ARRAY(SELECT coalesce(b.rule ->> 'blocking_rule', b.rule #>> '{}')
    FROM jsonb_array_elements(model -> 'blocking_rules_to_generate_predictions') WITH ORDINALITY AS b (rule, n) ORDER BY b.n);
  label text := format('l."%s" = r."%1$s"', replace(label_column, '"', '""'));
  records bytea;
BEGIN
  records := cdp_internal.match_load(model, written || label, source, rows);
  -- The label as the last rule: what belongs to it is what no other rule makes.
  RETURN QUERY
  WITH found AS (
    SELECT p.match_key, count(*) AS n
    FROM cdp_internal.match_pairs(records, model, ARRAY(SELECT '(' || w || ') AND ' || label FROM unnest(written) WITH ORDINALITY AS u (w, n) ORDER BY n) || label,
      max_pairs, false, NULL, NULL, NULL, NULL, NULL) p
    GROUP BY 1
  )
  SELECT CASE WHEN k.n <= cardinality(written) THEN k.n::integer - 1 END, coalesce(written[k.n], '(no rule)'), coalesce(f.n, 0),
    sum(coalesce(f.n, 0)) OVER (ORDER BY k.n)::double precision / nullif(sum(coalesce(f.n, 0)) OVER (), 0)::double precision
  FROM generate_series(1, cardinality(written) + 1) AS k (n) LEFT JOIN found f ON f.match_key = k.n - 1
  ORDER BY k.n;
END
$$;
COMMENT ON FUNCTION cdp.match_missed(jsonb, text, regclass, refcursor, double precision) IS
'Recall of blocking, when a column tells which records are truly one: how many true pairs each rule is the first to make, with the recall up to it, and in the last row (match_key NULL) those that no rule makes; its recall is 1. The cap of pairs is applied to true pairs only, so it does not matter here. Errors as cdp.match_pairs.';

CREATE OR REPLACE FUNCTION cdp_internal.match_set_levels(model jsonb, key text, levels jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  item record;
BEGIN
  FOR item IN
    SELECT s.comparison, s.level, levels -> s.comparison::text -> s.value::text AS p
    FROM cdp_internal.match_shape(model) s
  LOOP
    CONTINUE WHEN item.p IS NULL
      OR (model #> ARRAY['comparisons', item.comparison::text, 'comparison_levels', item.level::text] ->> ('fix_' || key))::boolean;
    model := jsonb_set(model, ARRAY['comparisons', item.comparison::text, 'comparison_levels', item.level::text, key], item.p);
  END LOOP;
  RETURN model;
END
$$;
COMMENT ON FUNCTION cdp_internal.match_set_levels(jsonb, text, jsonb) IS
'The model with new probabilities. key: m_probability or u_probability; levels: {comparison: {value of the level: probability}}. Levels that are fixed keep theirs.';

CREATE OR REPLACE FUNCTION cdp_internal.match_estimate_u(model jsonb, records bytea, random_pairs double precision, seed bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  -- Half a pair more for each level: one that no random pair shows is rare, not impossible.
  WITH pattern AS MATERIALIZED (
    SELECT p.pattern, p.pairs FROM cdp_internal.match_patterns(records, model, NULL, NULL, random_pairs, seed) p
  ), level AS (
    SELECT s.comparison, s.value, 0.5 + coalesce(sum(p.pairs) FILTER (WHERE p.pattern / s.weight % s.size - 1 = s.value), 0) AS pairs
    FROM cdp_internal.match_shape(model) s LEFT JOIN pattern p ON true
    GROUP BY 1, 2
  )
  SELECT jsonb_object_agg(c.comparison, c.levels) FROM (
    SELECT l.comparison, jsonb_object_agg(l.value, (l.pairs / l.total)::double precision) AS levels
    FROM (SELECT v.*, sum(v.pairs) OVER (PARTITION BY v.comparison) AS total FROM level v) AS l GROUP BY 1) AS c;
END;
COMMENT ON FUNCTION cdp_internal.match_estimate_u(jsonb, bytea, double precision, bigint) IS
'u of each level: its share of pairs drawn at random, among those where the comparison is not null. {comparison: {value: u}}.';

CREATE OR REPLACE FUNCTION cdp_internal.match_count(model jsonb, records bytea, rules text[], max_pairs double precision) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT jsonb_build_object('patterns', array_agg(p.pattern ORDER BY p.pattern), 'pairs', array_agg(p.pairs ORDER BY p.pattern), 'all', sum(p.pairs))
  FROM cdp_internal.match_patterns(records, model, rules, max_pairs, NULL, NULL) p);
COMMENT ON FUNCTION cdp_internal.match_count(jsonb, bytea, text[], double precision) IS
'How many pairs of each pattern the rules make (NULL: the model''s), counted once for all rounds of training: {patterns, pairs, all}.';

CREATE OR REPLACE FUNCTION cdp_internal.match_em(model jsonb, counted jsonb, used boolean[], share double precision, convergence double precision, iterations integer)
RETURNS TABLE (comparison integer, value integer, m double precision, share_found double precision, steps integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT e.comparison, e.value, e.m, e.share_found, e.steps
  FROM cdp_internal.match_em(model, ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(counted -> 'patterns') x), ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(counted -> 'pairs') x),
    used, share, convergence, iterations) e;
END;
COMMENT ON FUNCTION cdp_internal.match_em(jsonb, jsonb, boolean[], double precision, double precision, integer) IS
'match_em over the counts of match_count.';

CREATE OR REPLACE FUNCTION cdp_internal.match_estimate_m(model jsonb, rules text[], counted jsonb, possible double precision, OUT levels jsonb, OUT sessions jsonb)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  used boolean[];
  blocked double precision;
  share double precision;
  steps integer;
  estimated jsonb;
  found jsonb := '[]';
BEGIN
  sessions := '[]';
  FOR i IN 1 .. cardinality(rules) LOOP
    -- A comparison that looks at a column of the rule can not be trained on pairs that agree in it.
    SELECT array_agg(c.free ORDER BY c.comparison) INTO used
    FROM (SELECT s.comparison, NOT bool_or(s.columns && cdp_internal.match_rule_columns(rules[i])) AS free FROM cdp_internal.match_shape(model) s GROUP BY 1) AS c;
    blocked := counted -> (i - 1) ->> 'all';
    CONTINUE WHEN blocked IS NULL OR NOT true = ANY (used);
    share := least(0.9, greatest(possible * (model ->> 'probability_two_random_records_match')::double precision / blocked, 0.0001));
    -- Half a match more for each level: what no match of a small session shows is rare, not impossible.
    SELECT jsonb_agg(jsonb_build_object('c', e.comparison, 'v', e.value, 'm', (e.m * e.share_found * blocked + 0.5) / (e.share_found * blocked + 0.5 * e.levels))),
      min(e.share_found), min(e.steps) INTO estimated, share, steps
    FROM (SELECT x.*, count(*) OVER (PARTITION BY x.comparison) AS levels FROM cdp_internal.match_em(model, counted -> (i - 1), used, share,
      (model ->> 'em_convergence')::double precision, (model ->> 'max_iterations')::integer) x) AS e;
    found := found || estimated;
    sessions := sessions || jsonb_build_object('rule', rules[i], 'pairs', blocked, 'matches', share, 'iterations', steps);
  END LOOP;
  SELECT jsonb_object_agg(t.c, t.levels) INTO levels FROM (
    SELECT a.c, jsonb_object_agg(a.v, a.m) AS levels FROM (
      SELECT f ->> 'c' AS c, f ->> 'v' AS v, avg((f ->> 'm')::double precision) AS m FROM jsonb_array_elements(found) f GROUP BY 1, 2) AS a
    GROUP BY 1) AS t;
  levels := coalesce(levels, '{}');
END
$$;
COMMENT ON FUNCTION cdp_internal.match_estimate_m(jsonb, text[], jsonb, double precision) IS
'm of each level by expectation maximisation, one session a rule over its counted patterns, the sessions averaged; and how each session went. A comparison that shares a column with every rule gets none. possible: pairs of all records.';

CREATE OR REPLACE FUNCTION cdp_internal.match_correct_u(model jsonb, raw jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT jsonb_object_agg(t.comparison, t.levels) FROM (
    SELECT c.comparison, jsonb_object_agg(c.value, c.u / c.total) AS levels FROM (
      SELECT v.comparison, v.value, v.u, sum(v.u) OVER (PARTITION BY v.comparison) AS total FROM (
        SELECT s.comparison, s.value, greatest(r.u - coalesce(p.prior * l.m, 0), r.u * 0.1) AS u
        FROM cdp_internal.match_shape(model) s,
          LATERAL (SELECT (raw -> s.comparison::text ->> s.value::text)::double precision AS u) AS r,
          LATERAL (SELECT (model #> ARRAY['comparisons', s.comparison::text, 'comparison_levels', s.level::text] ->> 'm_probability')::double precision AS m) AS l,
          LATERAL (SELECT (model ->> 'probability_two_random_records_match')::double precision AS prior) AS p) AS v) AS c
    GROUP BY 1) AS t;
END;
COMMENT ON FUNCTION cdp_internal.match_correct_u(jsonb, jsonb) IS
'u without the matches among the random pairs, of which the prior share is one: u = (raw - prior * m) / (1 - prior), at least a tenth of what was seen. Matters in small tables, where random pairs hold many matches.';

CREATE OR REPLACE FUNCTION cdp_internal.match_estimate_prior(model jsonb, counted jsonb, possible double precision) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  fixed jsonb := model;
  blocked double precision := counted ->> 'all';
  prior double precision := model ->> 'probability_two_random_records_match';
  item record;
BEGIN
  IF blocked IS NULL THEN
    RETURN prior;
  END IF;
  FOR item IN SELECT s.comparison, s.level FROM cdp_internal.match_shape(model) s LOOP
    fixed := jsonb_set(fixed, ARRAY['comparisons', item.comparison::text, 'comparison_levels', item.level::text, 'fix_m_probability'], 'true');
  END LOOP;
  SELECT min(e.share_found) * blocked / possible INTO prior
  FROM cdp_internal.match_em(fixed, counted, (SELECT array_agg(true) FROM jsonb_array_elements(model -> 'comparisons')),
    least(0.9, greatest(possible * prior / blocked, 0.0001)), 1e-9, 1000) e;
  RETURN least(greatest(prior, 1e-12), 0.5);
END
$$;
COMMENT ON FUNCTION cdp_internal.match_estimate_prior(jsonb, jsonb, double precision) IS
'Share of matches among all possible pairs, from the matches that the trained model expects among the counted ones; a match that no rule makes is not counted.';

CREATE OR REPLACE FUNCTION cdp.match_train(model jsonb, source regclass DEFAULT NULL, rows refcursor DEFAULT NULL,
  deterministic text[] DEFAULT NULL, recall double precision DEFAULT 0.8, training text[] DEFAULT NULL,
  random_pairs double precision DEFAULT 1e6, seed bigint DEFAULT 1, max_pairs double precision DEFAULT 1e7,
  OUT trained jsonb, OUT sessions jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  records bytea;
  possible double precision;
  found double precision;
  raw jsonb;
  counted jsonb;
  counted_all jsonb;
  m jsonb;
BEGIN
  IF NOT coalesce(recall > 0 AND recall <= 1, false) THEN
    RAISE EXCEPTION 'recall must be above 0 and at most 1'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'It is the share of true matches that the deterministic rules find, 0.8 when in doubt.';
  END IF;
  trained := '{"em_convergence": 0.0001, "max_iterations": 25, "probability_two_random_records_match": 0.0001}'::jsonb || jsonb_strip_nulls(cdp.match_import(model)); -- a null setting is one that is not there
  training := coalesce(training, ARRAY(SELECT b.rule ->> 'blocking_rule'
    FROM jsonb_array_elements(trained -> 'blocking_rules_to_generate_predictions') WITH ORDINALITY AS b (rule, n) ORDER BY b.n));
  records := cdp_internal.match_load(trained, coalesce(deterministic, '{}') || training, source, rows);
  SELECT i.pairs INTO possible FROM cdp_internal.match_records_info(records, trained) i;
  IF deterministic IS NOT NULL THEN
    found := coalesce((cdp_internal.match_count(trained, records, deterministic, max_pairs) ->> 'all')::double precision, 0);
    IF found > possible * recall THEN
      RAISE EXCEPTION 'the deterministic rules make more pairs than their recall allows'
        USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They make %s of %s possible pairs; the recall is %s.', found, possible, recall),
        HINT = format('A recall from %s on goes with them; or they are too wide, and make pairs of different people.', round((found / possible)::numeric, 2));
    ELSIF found = 0 THEN
      RAISE WARNING 'the deterministic rules make no pair, so they tell no prior'
        USING DETAIL = format('The prior stays at that of the model, %s.', trained ->> 'probability_two_random_records_match'),
        HINT = 'SELECT * FROM cdp.match_blocking(model, source, rules => ...) shows what each rule makes.';
    ELSE
      trained := jsonb_set(trained, '{probability_two_random_records_match}', to_jsonb(least(found / recall / possible, 0.999999)));
    END IF;
  ELSE
    counted_all := cdp_internal.match_count(trained, records, NULL, max_pairs);
  END IF;
  SELECT jsonb_agg(cdp_internal.match_count(trained, records, ARRAY[r.rule], max_pairs) ORDER BY r.n) INTO counted FROM unnest(training) WITH ORDINALITY AS r (rule, n);
  raw := cdp_internal.match_estimate_u(trained, records, random_pairs, seed);
  trained := cdp_internal.match_set_levels(trained, 'u_probability', raw);
  -- Twice: the first m and prior tell how many of the random pairs are matches, which u must not count.
  FOR round IN 1 .. 2 LOOP
    SELECT e.levels, e.sessions INTO m, sessions FROM cdp_internal.match_estimate_m(trained, training, counted, possible) e;
    trained := cdp_internal.match_set_levels(trained, 'm_probability', m);
    IF deterministic IS NULL THEN
      trained := jsonb_set(trained, '{probability_two_random_records_match}', to_jsonb(cdp_internal.match_estimate_prior(trained, counted_all, possible)));
    END IF;
    trained := cdp_internal.match_set_levels(trained, 'u_probability', cdp_internal.match_correct_u(trained, raw));
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.match_train(jsonb, regclass, refcursor, text[], double precision, text[], double precision, bigint, double precision) IS
'Trains a model on the rows of a table (or an open cursor), without labels. The prior: pairs that the deterministic rules make, over their recall and all pairs (no pair: a WARNING, and the prior stays; more than the recall allows: an error, as in Splink); without such rules, from the matches that the model expects. u: from random_pairs drawn with the seed (all pairs when there are fewer), less the matches among them. m: by expectation maximisation with u fixed, a session for each training rule (those of the model when none is given), sessions averaged; em_convergence and max_iterations of the model (0.0001 and 25) end a session. The same rows and seed give the same model, whatever their order. sessions tells pairs, share of matches and iterations of each. Errors: 22023 recall, or too small for what the deterministic rules make; and those of cdp.match_pairs.';

CREATE OR REPLACE FUNCTION cdp.match_clusters(model jsonb, source regclass DEFAULT NULL, rows refcursor DEFAULT NULL,
  threshold double precision DEFAULT 0.5, method text DEFAULT 'average', absent_weight double precision DEFAULT -3,
  one_per_source boolean DEFAULT false, max_pairs double precision DEFAULT 1e8)
RETURNS TABLE (source_dataset text, id text, cluster text, size integer)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  records bytea;
  cut double precision;
BEGIN
  IF NOT coalesce(threshold > 0 AND threshold < 1, false) THEN
    RAISE EXCEPTION 'the threshold must be between 0 and 1'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'It is a probability, such as 0.5 or 0.95.';
  END IF;
  cut := ln(threshold / (1 - threshold)) / ln(2.0);
  records := cdp_internal.match_load(model, NULL, source, rows);
  RETURN QUERY
  SELECT c.source, c.id, concat_ws('/', c.cluster_source, c.cluster), c.size
  FROM cdp_internal.match_record_clusters(records, model, NULL, max_pairs, CASE WHEN method = 'average' THEN NULL ELSE cut END, method, cut, least(absent_weight, cut), one_per_source) c;
END
$$;
COMMENT ON FUNCTION cdp.match_clusters(jsonb, regclass, refcursor, double precision, text, double precision, boolean, double precision) IS
'Scores the rows of a table (or an open cursor) and clusters them: each record that has a pair, with the cluster it belongs to, named by its first record (source/id where there are sources). Records without any pair do not come: each is alone. threshold: probability at which two clusters of one record each are joined. method: average (clusters are joined while the average weight of all pairs between them is above the threshold; absent_weight, log2 of the odds, stands for a pair that no rule made), one_to_one (two sources, each record once) or connected. one_per_source: no cluster has two records of one source. Memory is bounded by maintenance_work_mem beside the records: 20 bytes a pair, 32 a record, some 100 for each pair of the largest set that strong pairs connect; more is error 54000 with what is needed. Errors as cdp.match_pairs and cdp_internal.match_record_clusters.';
