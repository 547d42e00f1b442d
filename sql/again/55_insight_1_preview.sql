-- Segment room, insight: how many customers a rule would have, before it is kept. A sample is drawn by a hash of the customer
-- and read through the index, so that the same rule gives the same answer again; several rules share one pass.

CREATE OR REPLACE FUNCTION cdp_internal.unsaved_rules(rules jsonb, OUT items jsonb, OUT catalog jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  named integer[];
  first integer := (SELECT coalesce(max(s.segment_id), 0) FROM cdp_data.segment s);
  uses jsonb;
BEGIN
  SELECT jsonb_agg(DISTINCT to_jsonb(u)) INTO uses FROM jsonb_array_elements(rules) r CROSS JOIN LATERAL cdp_internal.rule_uses(r.value) u;
  named := ARRAY(SELECT s.segment_id FROM jsonb_array_elements(uses) u JOIN cdp_data.segment s ON s.name = u.value ->> 'name' WHERE u.value ->> 'what' = 'segment');
  named := ARRAY(SELECT DISTINCT c.used_id FROM cdp_internal.segment_closure(named) c);
  -- The origins of channels and campaigns are many, and are looked up only for rules that name one.
  catalog := cdp_internal.segment_catalog(NULL, NULL,
    EXISTS (SELECT FROM jsonb_array_elements(uses) u WHERE u.value ->> 'what' IN ('channel', 'channel_group', 'campaign'))
    OR EXISTS (SELECT FROM cdp_data.segment s JOIN cdp_data.segment_version v USING (segment_id, version) CROSS JOIN LATERAL cdp_internal.rule_uses(v.rule) u
      WHERE s.segment_id = ANY (named) AND u.what IN ('channel', 'channel_group', 'campaign')));
  -- A rank that no segment has yet has no snapshot: it is taken for this call only.
  catalog := jsonb_set(catalog, '{ranks}', (
    SELECT coalesce(jsonb_object_agg(x.name, (x.atom -> 'rank') || jsonb_build_object(CASE WHEN x.atom ? 'top' THEN 'gte' ELSE 'lte' END, (cdp_internal.rank_limit(x.atom)).threshold)), '{}')
    FROM (SELECT u.value ->> 'name' AS name, (u.value ->> 'name')::jsonb AS atom FROM jsonb_array_elements(uses) u WHERE u.value ->> 'what' = 'rank') x
    WHERE NOT catalog -> 'ranks' ? x.name) || (catalog -> 'ranks'));
  items := (
    SELECT jsonb_agg(x.rule) FROM (
      SELECT jsonb_build_object('id', s.segment_id, 'name', s.name, 'rule', v.rule) AS rule
      FROM cdp_data.segment s JOIN cdp_data.segment_version v USING (segment_id, version) WHERE s.segment_id = ANY (named)
      UNION ALL
      -- Longer than the name of a segment may be, so that none has it.
      SELECT jsonb_build_object('id', first + r.nth, 'name', rpad('rule ' || r.nth, 201), 'rule', r.value) FROM jsonb_array_elements(rules) WITH ORDINALITY AS r (value, nth)) x);
END
$$;
COMMENT ON FUNCTION cdp_internal.unsaved_rules(jsonb) IS
'What cdp_internal.rule_plan() needs for an array of canonical rules that belong to no segment: items, them (the last ones, in their order) and the segments that they name; catalog. Reads only: a rank without a snapshot is computed.';

CREATE OR REPLACE FUNCTION cdp_internal.unsaved_plan(rules jsonb, as_of timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record := cdp_internal.unsaved_rules(rules);
BEGIN
  RETURN cdp_internal.rule_plan(r.items, r.catalog, as_of);
END
$$;
COMMENT ON FUNCTION cdp_internal.unsaved_plan(jsonb, timestamptz) IS
'The plan of an array of canonical rules that belong to no segment, and of the segments that they name, at a moment. The rules are the last segments of the plan, in their order. Errors: 22023 a rule does not check.';

CREATE OR REPLACE FUNCTION cdp_internal.sample_interval(hits bigint, tries bigint, everybody bigint, OUT low bigint, OUT high bigint)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  z constant double precision := 1.959963984540054; -- normal quantile of 0.975
  -- A draw from n of N without putting back tells as much as this many with.
  n double precision := CASE WHEN tries < everybody THEN tries::double precision * (everybody - 1) / (everybody - tries) END;
  p double precision;
  middle double precision;
  half double precision;
BEGIN
  IF tries >= everybody THEN
    low := hits;
    high := hits;
    RETURN;
  ELSIF tries = 0 THEN
    low := 0;
    high := everybody;
    RETURN;
  END IF;
  p := hits::double precision / tries;
  middle := (p + z * z / (2 * n)) / (1 + z * z / n);
  half := z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  -- Who was seen is known.
  low := greatest(hits, floor((middle - half) * everybody)::bigint);
  high := least(everybody - tries + hits, ceil((middle + half) * everybody)::bigint);
END
$$;
COMMENT ON FUNCTION cdp_internal.sample_interval(bigint, bigint, bigint) IS
'Between which numbers of everybody the true number lies with 95 % confidence when a random sample of tries had hits: the score interval of Wilson (1927), tries counted as tries * (N - 1) / (N - tries) for the finite population N (Cochran 1977, 2.6), rounded outward, within what the sample leaves possible. Hits when all were looked at, 0 to everybody without a try. NULL when an argument is NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.preview_rule(rule jsonb, purpose text, nth bigint, names jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  f record;
BEGIN
  SELECT c.path, c.code, c.message, c.hint INTO f FROM cdp_internal.segment_check_as(preview_rule.rule, preview_rule.purpose, NULL, names) c WHERE c.severity = 'error' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '%', f.message
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('%s at %s of rule %s.', f.code, coalesce(nullif(f.path, ''), 'the top'), nth), HINT = coalesce(nullif(f.hint, ''), 'cdp.segment_check(rule, purpose) tells all errors.');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.preview_rule(jsonb, text, bigint, jsonb) IS
'Error 22023 with the first finding when a rule, the nth of a call, has an error for the purpose (NULL: none). names: as of cdp_internal.segment_check_as().';

CREATE OR REPLACE FUNCTION cdp.segment_preview(rule jsonb, purpose text DEFAULT NULL, sample double precision DEFAULT 0.005, exact boolean DEFAULT false, as_of timestamptz DEFAULT NULL)
RETURNS TABLE (nth integer, customers bigint, low bigint, high bigint, share double precision, everybody bigint, looked_at bigint, hits bigint, through_null bigint, examples bigint[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  least_people integer;
  rules jsonb := '[]';
  names jsonb;
  one record;
  plan jsonb;
  population bytea;
  drawn bytea;
  fraction double precision := 1;
BEGIN
  PERFORM cdp_internal.require_setup();
  least_people := cdp_internal.minimum_audience();
  IF purpose IS NOT NULL THEN
    PERFORM cdp_internal.purpose_of(purpose);
  END IF;
  IF NOT coalesce(sample BETWEEN 0 AND 1, false) THEN
    RAISE EXCEPTION 'a sample is a share of customers from 0 to 1' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Given is %s.', coalesce(sample::text, 'NULL'));
  END IF;
  FOR one IN SELECT r.value, r.n FROM jsonb_array_elements(CASE jsonb_typeof(rule) WHEN 'array' THEN rule ELSE jsonb_build_array(rule) END) WITH ORDINALITY AS r (value, n) LOOP
    names := coalesce(names, cdp_internal.segment_closed(cdp_internal.segment_catalog()));
    PERFORM cdp_internal.preview_rule(one.value, segment_preview.purpose, one.n, names);
    rules := rules || jsonb_build_array(cdp_internal.rule_canonical(one.value));
  END LOOP;
  IF rules = '[]' THEN
    RETURN;
  END IF;
  plan := cdp_internal.unsaved_plan(rules, coalesce(segment_preview.as_of, now()));
  population := cdp_internal.segment_population();
  everybody := cdp.roaring_count(population);
  PERFORM cdp.require_audience(everybody, 'the preview');
  IF NOT coalesce(exact, false) AND everybody > 1000 THEN
    fraction := greatest(sample, 1000.0 / everybody);
  END IF;
  drawn := cdp.roaring_sample(population, fraction);
  looked_at := cdp.roaring_count(drawn);
  FOR one IN
    SELECT * FROM (
      SELECT r.members, r.through_null, row_number() OVER (ORDER BY r.segment_id DESC) AS back
      FROM cdp_internal.segment_results(plan, NULL, CASE WHEN fraction < 1 THEN ARRAY(SELECT cdp.roaring_ids(drawn)) END, drawn) r
      ORDER BY r.segment_id DESC LIMIT jsonb_array_length(rules)) x
    ORDER BY back DESC
  LOOP
    nth := jsonb_array_length(rules) - one.back + 1;
    hits := cdp.roaring_count(one.members);
    customers := round(hits::numeric * everybody / greatest(looked_at, 1));
    SELECT i.low, i.high INTO low, high FROM cdp_internal.sample_interval(hits, looked_at, everybody) i;
    share := customers::double precision / nullif(everybody, 0);
    through_null := round(one.through_null::numeric * everybody / greatest(looked_at, 1));
    examples := ARRAY(SELECT m FROM cdp.roaring_ids(one.members) m ORDER BY m LIMIT 10);
    IF customers BETWEEN 1 AND least_people - 1 OR everybody - customers BETWEEN 1 AND least_people - 1 THEN
      customers := NULL; low := NULL; high := NULL; share := NULL; hits := NULL; through_null := NULL; examples := NULL;
    ELSIF through_null BETWEEN 1 AND least_people - 1 OR customers - through_null BETWEEN 1 AND least_people - 1 THEN
      through_null := NULL;
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.segment_preview(jsonb, text, double precision, boolean, timestamptz) IS
'How many customers a rule would have as of a moment (default now): SELECT * FROM cdp.segment_preview(''{"where": {"did": "purchase", "last": "30 days"}}'', ''marketing''). rule: one rule, or an array of rules (as jsonb), which share one pass; a row each, nth from 1. purpose: what it may read is checked for it (NULL: not). From a sample of this share of customers, but 1,000 at least, always the same ones, read through the index: customers estimated, low and high the 95 % interval (cdp_internal.sample_interval()), share of everybody (who may be used for analytics), looked_at the size of the sample, hits how many of it fit, through_null how many (estimated) fit only because a value is missing, examples at most 10 ids of those found. exact: everybody is looked at, and low = customers = high. With cdp_data.setting.minimum_audience: 42501 when everybody is fewer, NULL for figures about fewer people, in or out. Profiles are as of the last cdp.refresh_profiles(). Reads only, with the rights of the caller. Errors: 22023 a rule has an error (code, path, which rule), unknown purpose, sample not in 0 to 1; 55000 before cdp.setup().';
CREATE OR REPLACE FUNCTION cdp.segment_preview(rule text, purpose text DEFAULT NULL, sample double precision DEFAULT 0.005, exact boolean DEFAULT false, as_of timestamptz DEFAULT NULL)
RETURNS TABLE (nth integer, customers bigint, low bigint, high bigint, share double precision, everybody bigint, looked_at bigint, hits bigint, through_null bigint, examples bigint[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT * FROM cdp.segment_preview(cdp_internal.read_rule(segment_preview.rule), segment_preview.purpose, segment_preview.sample, segment_preview.exact, segment_preview.as_of);
END
$$;
COMMENT ON FUNCTION cdp.segment_preview(text, text, double precision, boolean, timestamptz) IS
'The same of a rule in its text form, or of JSON as text: SELECT * FROM cdp.segment_preview(''did("purchase" last 30 days)'', ''marketing''). Errors also 42601 and 22P02: it can not be read.';
