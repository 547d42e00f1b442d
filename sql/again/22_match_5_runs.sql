-- Matching under a name: runs over what changed, the review queue, and links between identifiers.

CREATE OR REPLACE FUNCTION cdp_internal.match_weight(probability double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ln(probability / (1 - probability)) / ln(2.0::double precision);
COMMENT ON FUNCTION cdp_internal.match_weight(double precision) IS 'log2 of the odds of a probability between 0 and 1. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.match_source(name text) RETURNS regclass
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  source regclass;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT to_regclass(m.source_table) INTO source FROM cdp_data.match_model m WHERE m.name = match_source.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no match model named "%"', name
      USING ERRCODE = 'undefined_object', HINT = 'cdp.define_match() makes one; cdp_data.match_model lists them.';
  END IF;
  IF source IS NULL THEN
    RAISE EXCEPTION 'the table of match model "%" is gone', name
      USING ERRCODE = 'undefined_table', HINT = 'Define the model anew with cdp.define_match().';
  END IF;
  RETURN source;
END
$$;
COMMENT ON FUNCTION cdp_internal.match_source(text) IS
'The table of a named match model. Errors: 55000 before setup, 42704 no such model, 42P01 its table is gone.';

CREATE OR REPLACE FUNCTION cdp.define_match(name text, model jsonb, source regclass, identifiers boolean DEFAULT false,
  auto_probability double precision DEFAULT 0.99, review_probability double precision DEFAULT 0.5,
  method text DEFAULT 'average', absent_weight double precision DEFAULT -3, one_per_source boolean DEFAULT false, max_pairs double precision DEFAULT 1e7) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  read jsonb := cdp.match_import(model);
  table_name text;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.match_from(read, NULL, source, NULL);
  IF NOT jsonb_path_exists(read, '$.comparisons[*].comparison_levels[*].m_probability ? (@ >= 0)') THEN
    RAISE EXCEPTION 'the match model is not trained'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT trained FROM cdp.match_train(model, ''my_table''); gives one that is.';
  END IF;
  IF identifiers AND (read ->> 'link_type' <> 'dedupe_only' OR cdp_internal.match_type(source, coalesce(read ->> 'unique_id_column_name', 'unique_id')) <> 'bigint') THEN
    RAISE EXCEPTION 'a match of identifiers needs link_type dedupe_only and a bigint column of identifier ids'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Match a view whose unique id is the identifier_id of each record.';
  END IF;
  SELECT format('%I.%I', n.nspname, c.relname) INTO table_name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = source;
  INSERT INTO cdp_data.match_model AS m (name, model, source_table, identifiers, auto_probability, review_probability, method, absent_weight, one_per_source, max_pairs)
  VALUES (define_match.name, read, table_name, define_match.identifiers, define_match.auto_probability, define_match.review_probability,
    define_match.method, define_match.absent_weight, define_match.one_per_source, define_match.max_pairs)
  ON CONFLICT ON CONSTRAINT match_model_pkey DO UPDATE SET model = excluded.model, source_table = excluded.source_table, identifiers = excluded.identifiers,
    auto_probability = excluded.auto_probability, review_probability = excluded.review_probability, method = excluded.method,
    absent_weight = excluded.absent_weight, one_per_source = excluded.one_per_source, max_pairs = excluded.max_pairs, changed_at = clock_timestamp();
  DELETE FROM cdp_data.match_seen s WHERE s.model = define_match.name; -- all records count as new for what was defined
END
$$;
COMMENT ON FUNCTION cdp.define_match(text, jsonb, regclass, boolean, double precision, double precision, text, double precision, boolean, double precision) IS
'Puts a trained model under a name, for a table or view. Pairs from auto_probability on are linked when clustering (method, absent_weight, one_per_source as in cdp.match_clusters) puts them together; others from review_probability on wait for cdp.decide_match(). identifiers: the unique id is identifier_id of cdp_data.identifier, and pairs become links between identifiers. max_pairs caps each blocking rule. A name that is there is defined anew; its decisions stay. Errors: 22023 not trained or not fitting, 42703 a missing column, 0A000 as cdp.match_import, 23514 a value out of range.';

CREATE OR REPLACE FUNCTION cdp.drop_match(name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  DELETE FROM cdp_data.match_review r WHERE r.model = drop_match.name;
  DELETE FROM cdp_data.match_seen s WHERE s.model = drop_match.name;
  DELETE FROM cdp_data.match_model m WHERE m.name = drop_match.name;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION cdp.drop_match(text) IS
'Forgets a named model with its pairs and decisions. Links between identifiers stay: cdp.unmerge() takes those back. False when there was none.';

CREATE OR REPLACE FUNCTION cdp_internal.match_see(name text, source regclass, run bigint, OUT records bytea, OUT changed bigint, OUT gone bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET timezone = 'UTC'
  SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex'
AS $$
DECLARE
  model jsonb := (SELECT m.model FROM cdp_data.match_model m WHERE m.name = match_see.name);
  id text := format('t.%I::text', coalesce(model ->> 'unique_id_column_name', 'unique_id'));
  origin text := CASE WHEN model ->> 'link_type' <> 'dedupe_only' THEN format('coalesce(t.%I::text, '''')', coalesce(model ->> 'source_dataset_column_name', 'source_dataset')) ELSE '''''' END;
  digest text := (SELECT format('md5(ARRAY[%s]::text)::uuid', string_agg(e.expression, ', ' ORDER BY e.n))
    FROM cdp_internal.match_terms(model, NULL) WITH ORDINALITY AS e (term, expression, columns, n));
  known text := format('cdp_data.match_seen s ON s.model = %L AND s.source = %s AND s.record_id = %s', name, origin, id);
BEGIN
  EXECUTE format('INSERT INTO cdp_data.match_seen AS x (model, source, record_id, digest, run_id) SELECT %L, %s, %s, %s, %s FROM %s AS t LEFT JOIN %s WHERE s.digest IS DISTINCT FROM %4$s ON CONFLICT (model, source, record_id) DO UPDATE SET digest = excluded.digest, run_id = excluded.run_id',
    name, origin, id, digest, run, source, known);
  GET DIAGNOSTICS changed = ROW_COUNT;
  EXECUTE format('DELETE FROM cdp_data.match_seen s WHERE s.model = %L AND NOT EXISTS (SELECT FROM %s AS t WHERE s.source = %s AND s.record_id = %s)', name, source, origin, id);
  GET DIAGNOSTICS gone = ROW_COUNT;
  EXECUTE cdp_internal.match_select(model, NULL, format('s.run_id = %s', run)) || format(' FROM %s AS t JOIN %s', source, known) INTO records;
END
$$;
COMMENT ON FUNCTION cdp_internal.match_see(text, regclass, bigint) IS
'Notes in cdp_data.match_seen what is new, changed and gone, and packs all records with the changed ones marked; NULL when there are none.';

CREATE OR REPLACE FUNCTION cdp_internal.match_stored(name text)
RETURNS TABLE (review_id bigint, source_l text, id_l text, source_r text, id_r text, match_weight double precision, cluster_l text, cluster_r text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  pairs bigint := (SELECT count(*) FROM cdp_data.match_review r WHERE r.model = match_stored.name);
  memory bigint := pg_size_bytes(current_setting('maintenance_work_mem'));
BEGIN
  -- What clustering itself would refuse is refused before it is gathered.
  IF pairs * 20 > memory THEN
    RAISE EXCEPTION 'too many pairs to cluster at once'
      USING ERRCODE = 'program_limit_exceeded', DETAIL = format('The model has %s pairs, which need at least %s kB; maintenance_work_mem is %s kB.', pairs, pairs * 20 / 1024, memory / 1024),
      HINT = 'Raise maintenance_work_mem, or define the model with a higher review_probability.';
  END IF;
  RETURN QUERY
  WITH definition AS (
    SELECT m.* FROM cdp_data.match_model m WHERE m.name = match_stored.name
  ), pair AS MATERIALIZED (
    SELECT r.review_id, r.source_l, r.id_l, r.source_r, r.id_r, r.match_weight,
      CASE r.state WHEN 'accepted' THEN 100 WHEN 'rejected' THEN '-Infinity' ELSE r.match_weight END AS counts
    FROM cdp_data.match_review r WHERE r.model = match_stored.name
  ), banned AS (
    SELECT k.a_id::text AS a, k.b_id::text AS b FROM definition d JOIN cdp_data.link k ON d.identifiers AND k.kind = 'cannot' AND k.state = 'active'
  ), edge AS (
    SELECT p.source_l, p.id_l, p.source_r, p.id_r, p.counts FROM pair p
    UNION ALL
    SELECT '', b.a, '', b.b, '-Infinity' FROM banned b
  ), cluster AS MATERIALIZED (
    SELECT coalesce(c.source, '') AS source, c.id, coalesce(c.cluster_source, '') || '/' || c.cluster AS cluster
    FROM definition d, (SELECT array_agg(e.source_l) AS sl, array_agg(e.id_l) AS il, array_agg(e.source_r) AS sr, array_agg(e.id_r) AS ir, array_agg(e.counts) AS w FROM edge e) AS a,
      cdp_internal.match_clusters(CASE WHEN d.model ->> 'link_type' <> 'dedupe_only' THEN a.sl END, a.il, CASE WHEN d.model ->> 'link_type' <> 'dedupe_only' THEN a.sr END, a.ir, a.w,
        d.method, cdp_internal.match_weight(d.review_probability), least(d.absent_weight, cdp_internal.match_weight(d.review_probability)), d.one_per_source) AS c
  )
  SELECT p.review_id, p.source_l, p.id_l, p.source_r, p.id_r, p.match_weight, l.cluster, r.cluster
  FROM pair p JOIN cluster l ON l.source = p.source_l AND l.id = p.id_l JOIN cluster r ON r.source = p.source_r AND r.id = p.id_r;
END
$$;
COMMENT ON FUNCTION cdp_internal.match_stored(text) IS
'The pairs of a named model with the clusters of both records, from what is stored: an accepted pair counts 100, a rejected one and a cannot link between identifiers forbid. Takes some 300 bytes a pair beside what clustering takes. Error 54000 when the part of clustering that grows with the pairs, 20 bytes a pair, would be above maintenance_work_mem: so all of it stays below some 16 times that setting, 1 GB at the default of 64 MB.';

CREATE OR REPLACE FUNCTION cdp_internal.match_settle(name text, was_linked bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  d record;
  a bigint[];
  b bigint[];
  w double precision[];
BEGIN
  SELECT m.identifiers, cdp_internal.match_weight(m.auto_probability) AS cut INTO d FROM cdp_data.match_model m WHERE m.name = match_settle.name;
  WITH pair AS (
    SELECT p.review_id, CASE WHEN p.match_weight >= d.cut AND p.cluster_l = p.cluster_r THEN 'linked' ELSE 'open' END AS state FROM cdp_internal.match_stored(name) p
  )
  UPDATE cdp_data.match_review r SET state = p.state FROM pair p WHERE r.review_id = p.review_id AND r.state IN ('linked', 'open') AND r.state <> p.state;
  IF d.identifiers THEN
    SELECT array_agg(u.l), array_agg(u.r) INTO a, b
    FROM (SELECT was_linked[i] AS l, was_linked[i + 1] AS r FROM generate_series(1, cardinality(was_linked), 2) i) AS u
    WHERE NOT EXISTS (SELECT FROM cdp_data.match_review r WHERE r.model = match_settle.name AND r.state IN ('linked', 'accepted') AND r.source_l = '' AND r.source_r = ''
      AND (r.id_l, r.id_r) IN ((u.l::text, u.r::text), (u.r::text, u.l::text)));
    IF a IS NOT NULL THEN
      PERFORM cdp_internal.unlink_scores(name, a, b);
    END IF;
    SELECT array_agg(least(r.id_l::bigint, r.id_r::bigint) ORDER BY r.review_id), array_agg(greatest(r.id_l::bigint, r.id_r::bigint) ORDER BY r.review_id),
      array_agg(r.match_weight ORDER BY r.review_id) INTO a, b, w
    FROM cdp_data.match_review r WHERE r.model = match_settle.name AND r.state = 'linked';
    IF a IS NOT NULL THEN
      PERFORM cdp_internal.link_scores(name, a, b, w);
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.match_settle(text, bigint[]) IS
'Says which undecided pairs of a named model are linked and which wait, and for a model of identifiers turns the linked ones into links. was_linked: pairs, two ids after two ids, that were linked before; the links of those that no longer are get taken back.';

CREATE OR REPLACE FUNCTION cdp.match_run(name text, is_full boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  source regclass := cdp_internal.match_source(name);
  d record;
  seen record;
  was_linked bigint[];
  run bigint;
  n bigint;
BEGIN
  PERFORM cdp_internal.guard_batch();
  PERFORM cdp_data.audit_write('match', format('model %s', name), NULL, jsonb_build_object('is_full', is_full));
  PERFORM pg_advisory_xact_lock(hashtextextended('pg_cdp match ' || name, 0)); -- one run of a model at a time
  SELECT m.* INTO d FROM cdp_data.match_model m WHERE m.name = match_run.name;
  is_full := is_full OR NOT EXISTS (SELECT FROM cdp_data.match_seen s WHERE s.model = match_run.name);
  INSERT INTO cdp_data.match_run (model, is_full) VALUES (match_run.name, match_run.is_full) RETURNING match_run.run_id INTO run;
  seen := cdp_internal.match_see(name, source, run);
  IF d.identifiers THEN
    SELECT array_agg(u.id ORDER BY r.review_id, u.n) INTO was_linked
    FROM cdp_data.match_review r, LATERAL (VALUES (1, r.id_l::bigint), (2, r.id_r::bigint)) AS u (n, id) WHERE r.model = match_run.name AND r.state = 'linked';
  END IF;
  -- What a person decided stays; the rest is found anew where a side changed or is gone.
  DELETE FROM cdp_data.match_review r
  WHERE r.model = match_run.name AND r.state IN ('linked', 'open')
    AND (match_run.is_full
      OR NOT EXISTS (SELECT FROM cdp_data.match_seen s WHERE s.model = r.model AND s.source = r.source_l AND s.record_id = r.id_l AND s.run_id <> run)
      OR NOT EXISTS (SELECT FROM cdp_data.match_seen s WHERE s.model = r.model AND s.source = r.source_r AND s.record_id = r.id_r AND s.run_id <> run));
  IF seen.records IS NOT NULL THEN
    INSERT INTO cdp_data.match_review AS r (model, source_l, id_l, source_r, id_r, match_weight, match_key, gammas, state, run_id)
    SELECT match_run.name, p.source_l, p.id_l, p.source_r, p.id_r, p.match_weight, p.match_key, p.gammas, 'open', run
    FROM cdp_internal.match_pairs(seen.records, d.model, NULL, d.max_pairs, NOT match_run.is_full, cdp_internal.match_weight(d.review_probability), NULL, NULL, NULL, NULL) p
    ORDER BY p.l, p.r
    ON CONFLICT ON CONSTRAINT match_review_once DO UPDATE SET match_weight = excluded.match_weight, match_key = excluded.match_key, gammas = excluded.gammas, run_id = excluded.run_id;
    GET DIAGNOSTICS n = ROW_COUNT;
    UPDATE cdp_data.match_run x SET scored = n, records = (SELECT i.records_n FROM cdp_internal.match_records_info(seen.records, d.model) i),
      dropped_pairs = (SELECT coalesce(sum(b.dropped_pairs), 0) FROM cdp_internal.match_blocks(seen.records, d.model, NULL, d.max_pairs, NOT match_run.is_full) b)
    WHERE x.run_id = run;
  END IF;
  PERFORM cdp_internal.match_settle(name, was_linked);
  UPDATE cdp_data.match_run x SET finished_at = clock_timestamp(), changed = seen.changed, gone = seen.gone, linked = c.linked, open = c.open
  FROM (SELECT count(*) FILTER (WHERE r.state = 'linked') AS linked, count(*) FILTER (WHERE r.state = 'open') AS open FROM cdp_data.match_review r WHERE r.model = match_run.name) AS c
  WHERE x.run_id = run;
  IF (SELECT x.dropped_pairs > 0 FROM cdp_data.match_run x WHERE x.run_id = run) THEN
    RAISE WARNING 'match "%": the cap of % pairs a rule dropped its largest blocks', name, d.max_pairs
      USING HINT = 'SELECT * FROM cdp.match_blocking(...) shows which. Make the rule stricter, or raise max_pairs.';
  END IF;
  RETURN run;
END
$$;
COMMENT ON FUNCTION cdp.match_run(text, boolean) IS
'Matches the table of a named model and returns the number of the run (cdp_data.match_run): scores pairs with a side that is new or changed since the last run (is_full: all), keeps those from the review threshold on in cdp_data.match_review, clusters all that are kept, links those above the automatic threshold within a cluster, leaves others to cdp.decide_match(). Frequencies are those of the day of the run, so a full run may weigh old pairs a little differently. Decisions stay. One run of a model at a time. For a model of identifiers, links that a later run no longer finds are taken back. WARNING when the cap dropped pairs. Errors: 42704 no such model, 42P01 its table is gone, and those of cdp.match_pairs.';

CREATE OR REPLACE FUNCTION cdp.match_result(name text)
RETURNS TABLE (source_dataset text, id text, cluster text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  PERFORM cdp_internal.match_source(name);
  RETURN QUERY
  SELECT DISTINCT nullif(u.source, ''), u.id, ltrim(u.cluster, '/')
  FROM cdp_internal.match_stored(name) p,
    LATERAL (VALUES (p.source_l, p.id_l, p.cluster_l), (p.source_r, p.id_r, p.cluster_r)) AS u (source, id, cluster);
END
$$;
COMMENT ON FUNCTION cdp.match_result(text) IS
'The clusters of a named model as of its last run and the decisions since: each record that has a kept pair, with the cluster it is in (named by its first record, source/id where there are sources). Others are alone. Errors: 42704 no such model.';

CREATE OR REPLACE FUNCTION cdp.decide_match(review_id bigint, accept boolean, note text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
  word text := CASE WHEN accept THEN 'accepted' ELSE 'rejected' END;
  why text := coalesce(decide_match.note, 'match review');
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT x.*, m.identifiers INTO r FROM cdp_data.match_review x JOIN cdp_data.match_model m ON m.name = x.model
  WHERE x.review_id = decide_match.review_id FOR UPDATE OF x;
  IF NOT FOUND OR accept IS NULL THEN
    RAISE EXCEPTION 'there is no pair % to decide on, or no decision', review_id
      USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp_data.match_review lists the pairs; accept is true or false.';
  END IF;
  IF r.state = word THEN
    RETURN word;
  END IF;
  PERFORM cdp_data.audit_write('decide', format('pair %s of model %s', review_id, r.model), NULL, jsonb_build_object('state', word));
  UPDATE cdp_data.match_review x SET state = word, decided_at = clock_timestamp(), decided_by = session_user, note = decide_match.note
  WHERE x.review_id = decide_match.review_id;
  IF r.identifiers THEN
    IF accept AND r.state = 'rejected' THEN
      PERFORM cdp.allow_link(r.id_l::bigint, r.id_r::bigint);
    END IF;
    IF accept THEN
      PERFORM cdp.link_identifiers(r.id_l::bigint, r.id_r::bigint, why);
    ELSE
      PERFORM cdp.forbid_link(r.id_l::bigint, r.id_r::bigint, why);
    END IF;
  END IF;
  RETURN word;
END
$$;
COMMENT ON FUNCTION cdp.decide_match(bigint, boolean, text) IS
'A person''s decision about a pair of cdp_data.match_review, which stays whatever later runs find and may be taken the other way later. For a model of identifiers an accepted pair becomes a manual link, a rejected one a cannot link, with note as reason. Returns the new state. Errors: 22023 no such pair, and those of cdp.link_identifiers and cdp.forbid_link.';

CREATE OR REPLACE FUNCTION cdp.match(record jsonb, name text, max_candidates integer DEFAULT 1000)
RETURNS TABLE (source_dataset text, id text, match_weight double precision, match_probability double precision, decision text, gammas integer[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  source regclass := cdp_internal.match_source(name);
  d record;
BEGIN
  SELECT m.* INTO d FROM cdp_data.match_model m WHERE m.name = match.name;
  RETURN QUERY
  SELECT r.source_dataset, r.id, r.match_weight, r.match_probability, CASE WHEN r.match_probability >= d.auto_probability THEN 'link' ELSE 'review' END, r.gammas
  FROM cdp.match_record(record, d.model, source, d.review_probability, max_candidates) r;
END
$$;
COMMENT ON FUNCTION cdp.match(jsonb, text, integer) IS
'Scores one record against the table of a named model, as cdp.match_record() does: what is at or above the review threshold, best first. decision: link from the automatic threshold on, else review. Writes nothing. Errors as cdp.match_record, 42704 no such model.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_matching() RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT 'warning', 'match_pairs_dropped', format('the last run of match "%s" dropped %s pairs at the cap of its rules', r.model, r.dropped_pairs),
    'Make the rules of the largest blocks stricter (cdp.match_blocking shows them), or raise max_pairs with cdp.define_match().'
  FROM (SELECT DISTINCT ON (x.model) x.* FROM cdp_data.match_run x ORDER BY x.model, x.run_id DESC) r WHERE r.dropped_pairs > 0
  UNION ALL
  SELECT 'warning', 'match_table_gone', format('the table of match "%s" is gone', m.name), 'Define it anew with cdp.define_match(), or forget it with cdp.drop_match().'
  FROM cdp_data.match_model m WHERE to_regclass(m.source_table) IS NULL
  UNION ALL
  SELECT 'info', 'match_review_waits', format('%s pairs of match "%s" wait for a decision, the oldest since %s', count(*), r.model, min(r.created_at)::date),
    'See cdp_data.match_review and decide with cdp.decide_match(), or raise review_probability.'
  FROM cdp_data.match_review r WHERE r.state = 'open' GROUP BY r.model HAVING min(r.created_at) < now() - interval '30 days';
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_matching() IS
'Findings of matching for cdp.health(): runs that dropped pairs, models whose table is gone, pairs that have waited for a decision for more than 30 days.';
