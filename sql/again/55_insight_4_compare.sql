-- Segment room, insight: two rules side by side; of whom a segment is made up, against everybody else and against itself earlier.

CREATE OR REPLACE FUNCTION cdp.segment_compare(rule_a jsonb, rule_b jsonb, as_of timestamptz DEFAULT NULL, purpose text DEFAULT NULL)
RETURNS TABLE (customers_a bigint, customers_b bigint, common bigint, only_a bigint, only_b bigint, jaccard double precision, examples_a bigint[], examples_b bigint[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  least_people integer;
  sets bytea[];
BEGIN
  PERFORM cdp_internal.require_setup();
  least_people := cdp_internal.minimum_audience();
  PERFORM cdp_internal.preview_rule(r.rule, segment_compare.purpose, r.nth) FROM (VALUES (rule_a, 1), (rule_b, 2)) AS r (rule, nth);
  sets := ARRAY(
    SELECT x.members FROM (
      SELECT r.members, r.segment_id
      FROM cdp_internal.segment_results(cdp_internal.unsaved_plan(jsonb_build_array(cdp_internal.rule_canonical(rule_a), cdp_internal.rule_canonical(rule_b)), coalesce(segment_compare.as_of, now())),
        NULL, NULL, cdp_internal.segment_population()) r ORDER BY r.segment_id DESC LIMIT 2) x ORDER BY x.segment_id);
  customers_a := cdp.roaring_count(sets[1]);
  customers_b := cdp.roaring_count(sets[2]);
  common := cdp.roaring_count(cdp.roaring_and(sets[1], sets[2]));
  only_a := customers_a - common;
  only_b := customers_b - common;
  jaccard := common::double precision / nullif(customers_a + only_b, 0);
  examples_a := ARRAY(SELECT m FROM cdp.roaring_ids(cdp.roaring_andnot(sets[1], sets[2])) m ORDER BY m LIMIT 10);
  examples_b := ARRAY(SELECT m FROM cdp.roaring_ids(cdp.roaring_andnot(sets[2], sets[1])) m ORDER BY m LIMIT 10);
  IF common BETWEEN 1 AND least_people - 1 OR only_a BETWEEN 1 AND least_people - 1 OR only_b BETWEEN 1 AND least_people - 1 THEN
    common := NULL; only_a := NULL; only_b := NULL; jaccard := NULL; examples_a := NULL; examples_b := NULL;
  END IF;
  customers_a := CASE WHEN NOT coalesce(customers_a BETWEEN 1 AND least_people - 1, false) THEN customers_a END;
  customers_b := CASE WHEN NOT coalesce(customers_b BETWEEN 1 AND least_people - 1, false) THEN customers_b END;
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION cdp.segment_compare(jsonb, jsonb, timestamptz, text) IS
'Whom two rules take in at one moment (default now), over everybody: how many each, both, and one only; jaccard: both by either (NULL: nobody); at most 10 ids of those in one only. One pass. purpose: what the rules may read is checked for it (NULL: not). Of a past moment events are as they were before it and as they are known today; attributes, consent and lists are those of today. With cdp_data.setting.minimum_audience figures about fewer people are NULL. Reads only, with the rights of the caller. Errors: 22023 a rule has an error.';

CREATE OR REPLACE FUNCTION cdp.segment_compare(segment text, version_a integer, version_b integer, as_of timestamptz DEFAULT NULL)
RETURNS TABLE (customers_a bigint, customers_b bigint, common bigint, only_a bigint, only_b bigint, jaccard double precision, examples_a bigint[], examples_b bigint[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s record := cdp_internal.segment_of(segment);
  a jsonb := (SELECT v.rule FROM cdp_data.segment_version v WHERE v.segment_id = s.segment_id AND v.version = version_a);
  b jsonb := (SELECT v.rule FROM cdp_data.segment_version v WHERE v.segment_id = s.segment_id AND v.version = version_b);
BEGIN
  IF a IS NULL OR b IS NULL THEN
    RAISE EXCEPTION 'segment "%" has no version %', segment, coalesce(CASE WHEN a IS NULL THEN version_a ELSE version_b END::text, 'NULL')
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Its versions are %s.', (SELECT string_agg(v.version::text, ', ' ORDER BY v.version) FROM cdp_data.segment_version v WHERE v.segment_id = s.segment_id));
  END IF;
  RETURN QUERY SELECT * FROM cdp.segment_compare(a, b, segment_compare.as_of, s.purpose);
END
$$;
COMMENT ON FUNCTION cdp.segment_compare(text, integer, integer, timestamptz) IS
'The same of two versions of the rule of a segment: SELECT * FROM cdp.segment_compare(''vip'', 1, 2, ''2026-05-01''). Errors also 42704 no such segment, 22023 no such version.';

CREATE OR REPLACE FUNCTION cdp_internal.share_divergence(a bigint, b bigint, all_a bigint, all_b bigint, buckets bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ((b + 0.5::double precision) / (all_b + 0.5 * buckets) - (a + 0.5::double precision) / (all_a + 0.5 * buckets))
  * ln(((b + 0.5::double precision) / (all_b + 0.5 * buckets)) / ((a + 0.5::double precision) / (all_a + 0.5 * buckets)));
COMMENT ON FUNCTION cdp_internal.share_divergence(bigint, bigint, bigint, bigint, bigint) IS
'One bucket''s part of the symmetric divergence (q - p) * ln(q / p) of two distributions: summed, the population stability index (PSI) or the information value. p, q: shares of a in all_a and of b in all_b, half a customer added to each of so many buckets, so that an empty one has a share (Jeffreys). NULL when an argument is NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.told_attributes() RETURNS TABLE (name text, form text, expression text, source text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT e.key, CASE WHEN e.value ->> 'type' IN ('text', 'boolean') THEN 'word' WHEN e.value ->> 'type' IN ('integer', 'numeric') THEN 'number' ELSE 'moment' END,
    CASE WHEN e.value ->> 'type' IN ('text', 'boolean') THEN CASE WHEN e.value ? 'column' THEN format('p.%I::text', e.value ->> 'column') ELSE format('p.%I ->> %L', e.value ->> 'json', coalesce(e.value ->> 'key', e.key)) END
      WHEN e.value ->> 'type' IN ('integer', 'numeric') AND e.value ? 'json'
        THEN format('CASE WHEN jsonb_typeof(p.%I -> %L) = ''number'' THEN (p.%1$I ->> %2$L)::numeric END', e.value ->> 'json', coalesce(e.value ->> 'key', e.key))
      WHEN e.value ->> 'type' IN ('integer', 'numeric') THEN format('p.%I::numeric', e.value ->> 'column')
      ELSE format('extract(epoch FROM p.%I)', e.value ->> 'column') END, coalesce(e.value ->> 'json', e.value ->> 'column')
  FROM jsonb_each(cdp_internal.segment_attributes()) e LEFT JOIN cdp_data.attribute_all a ON a.name = e.key
  WHERE NOT e.value ? 'encrypted' AND coalesce(a.sensitivity = 'internal', e.key <> 'birth_year') AND (NOT e.value ? 'purposes' OR e.value -> 'purposes' ? 'analytics')
    AND (e.value ->> 'type' IN ('text', 'boolean', 'integer', 'numeric') OR e.value ->> 'type' IN ('date', 'timestamp') AND e.value ? 'column')
    AND has_column_privilege('cdp_data.profile', coalesce(e.value ->> 'json', e.value ->> 'column'), 'SELECT')
  ORDER BY e.key;
END
$$;
COMMENT ON FUNCTION cdp_internal.told_attributes() IS
'Attributes and figures of profiles by which reports may divide customers: internal ones, not encrypted, allowed for analytics, single values (no lists; days and moments only of own columns), of columns of cdp_data.profile that the caller may read. form: word, number or moment; expression: SQL text of the value over cdp_data.profile p (moments as seconds since 1970); source: the column of it.';

CREATE OR REPLACE FUNCTION cdp_internal.limit_text(form text, nth text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(CASE WHEN form = 'moment' THEN 'to_timestamp(g.limits[%s]::double precision)::text' ELSE 'g.limits[%s]::text' END, nth);
COMMENT ON FUNCTION cdp_internal.limit_text(text, text) IS
'SQL text of the nth limit of g.limits as text: a number, or (form moment) a moment from seconds since 1970.';

CREATE OR REPLACE FUNCTION cdp_internal.composition(a bytea, b bytea, form text, expression text) RETURNS TABLE (bucket text, n_a bigint, n_b bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
DECLARE
  who constant text := 'SELECT x.id IS NOT NULL AS in_a, y.id IS NOT NULL AS in_b, %s AS v FROM cdp.roaring_ids($1) AS x (id) FULL JOIN cdp.roaring_ids($2) AS y (id) ON y.id = x.id LEFT JOIN cdp_data.profile p ON p.customer_id = coalesce(x.id, y.id)';
BEGIN
  IF form = 'word' THEN
    RETURN QUERY EXECUTE format('WITH w AS (%s), g AS (SELECT w.v, count(*) FILTER (WHERE w.in_a) AS a, count(*) FILTER (WHERE w.in_b) AS b FROM w GROUP BY w.v),
      r AS (SELECT g.*, CASE WHEN g.v IS NOT NULL THEN row_number() OVER (PARTITION BY g.v IS NULL ORDER BY g.a + g.b DESC, g.v COLLATE "C") END AS nth FROM g)
      SELECT CASE WHEN r.v IS NULL THEN ''(none)'' WHEN r.nth <= 20 THEN r.v ELSE ''(other)'' END, sum(r.a)::bigint, sum(r.b)::bigint FROM r GROUP BY 1 ORDER BY 1', format(who, expression)) USING a, b;
    RETURN;
  END IF;
  RETURN QUERY EXECUTE format('WITH w AS MATERIALIZED (%s), l AS (SELECT ARRAY(SELECT DISTINCT u FROM unnest(percentile_disc(ARRAY[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) WITHIN GROUP (ORDER BY w.v)) u WHERE u IS NOT NULL ORDER BY u) AS limits FROM w),
      g AS (SELECT CASE WHEN w.v IS NOT NULL THEN CASE WHEN l.limits = ''{}'' THEN 0 ELSE width_bucket(w.v, l.limits) END END AS nth, l.limits, count(*) FILTER (WHERE w.in_a) AS a, count(*) FILTER (WHERE w.in_b) AS b FROM w CROSS JOIN l GROUP BY 1, 2)
    SELECT CASE WHEN g.nth IS NULL THEN ''(none)'' WHEN g.nth = 0 THEN ''below '' || %s ELSE %s || coalesce('' to below '' || %s, '' and above'') END, g.a, g.b FROM g ORDER BY g.nth NULLS LAST', format(who, expression),
      cdp_internal.limit_text(form, '1'), cdp_internal.limit_text(form, 'g.nth'), cdp_internal.limit_text(form, 'g.nth + 1')) USING a, b;
END
$$;
COMMENT ON FUNCTION cdp_internal.composition(bytea, bytea, text, text) IS
'How many customers of two sets have which value of an attribute (as cdp_internal.told_attributes() tells it): of words the 20 most frequent and the rest, of numbers and moments (UTC) tenths of both sets together; (none): without a value.';

CREATE OR REPLACE FUNCTION cdp_internal.kind_compositions(a bytea, b bytea, at timestamptz, few boolean) RETURNS TABLE (name text, bucket text, n_a bigint, n_b bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  people bytea := cdp.roaring_or(a, b);
  rules jsonb;
BEGIN
  SELECT jsonb_agg(jsonb_build_object('v', 1, 'where', jsonb_build_object('did', k.name, 'last', '90 days')) ORDER BY k.name) INTO rules
  FROM cdp_data.touch_kind_all k WHERE k.allowed_purposes IS NULL OR 'analytics' = ANY (k.allowed_purposes);
  RETURN QUERY
  SELECT cdp.segment_rule_text(rules -> (x.nth - 1)::integer), v.word, v.a, v.b
  FROM (
    SELECT row_number() OVER (ORDER BY r.segment_id) AS nth, cdp.roaring_count(cdp.roaring_and(r.members, kind_compositions.a)) AS did_a, cdp.roaring_count(cdp.roaring_and(r.members, kind_compositions.b)) AS did_b
    FROM cdp_internal.segment_results(cdp_internal.unsaved_plan(rules, at), NULL, CASE WHEN few THEN ARRAY(SELECT cdp.roaring_ids(people)) END, people) r) x
    CROSS JOIN LATERAL (VALUES ('yes', x.did_a, x.did_b), ('no', cdp.roaring_count(kind_compositions.a) - x.did_a, cdp.roaring_count(kind_compositions.b) - x.did_b)) AS v (word, a, b)
  WHERE x.did_a + x.did_b > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.kind_compositions(bytea, bytea, timestamptz, boolean) IS
'How many customers of two sets that have nobody in common did each kind of event that analytics may use in the 90 days before a moment (bucket yes) and how many did not; name: that as the text of a rule. Kinds that nobody did are left out. One pass; few: their touchpoints are read by the index.';

CREATE OR REPLACE FUNCTION cdp_internal.compositions(a bytea, b bytea, wanted text[], at timestamptz DEFAULT NULL, few boolean DEFAULT false) RETURNS TABLE (attribute text, bucket text, n_a bigint, n_b bigint, share_a double precision, share_b double precision, part double precision, whole double precision)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  least_people integer := cdp_internal.minimum_audience();
  all_a bigint := cdp.roaring_count(a);
  all_b bigint := cdp.roaring_count(b);
  unknown text := (SELECT w FROM unnest(wanted) w WHERE w NOT IN (SELECT t.name FROM cdp_internal.told_attributes() t) ORDER BY w LIMIT 1);
BEGIN
  IF unknown IS NOT NULL THEN
    RAISE EXCEPTION 'attribute "%" can not be told of', left(unknown, 100)
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Only internal attributes with single values that analytics may use, and you may read, are.', HINT = cdp_internal.did_you_mean(unknown, ARRAY(SELECT t.name FROM cdp_internal.told_attributes() t), '');
  END IF;
  RETURN QUERY
  WITH cell AS MATERIALIZED (
    SELECT t.name, c.bucket AS word, c.n_a AS na, c.n_b AS nb
    FROM cdp_internal.told_attributes() t CROSS JOIN LATERAL cdp_internal.composition(a, b, t.form, t.expression) c
    WHERE wanted IS NULL OR t.name = ANY (wanted)
    UNION ALL
    SELECT k.* FROM cdp_internal.kind_compositions(a, b, at, few) k WHERE at IS NOT NULL
  ), shown AS (
    -- A value that few people have may name them: it stands among the rest, and the rest is hidden while it is small.
    SELECT x.name, CASE WHEN x.small THEN '(few)' ELSE x.word END AS word, sum(x.na)::bigint AS na, sum(x.nb)::bigint AS nb, x.small
    FROM (SELECT c.*, coalesce(c.na BETWEEN 1 AND least_people - 1 OR c.nb BETWEEN 1 AND least_people - 1, false) AS small FROM cell c) x
    GROUP BY 1, 2, 5
  ), marked AS (
    SELECT s.*, bool_or(s.small) OVER w AS hides,
      coalesce((s.na >= least_people OR NOT bool_or(s.small AND s.na > 0) OVER w) AND (s.nb >= least_people OR NOT bool_or(s.small AND s.nb > 0) OVER w), true) AS big
    FROM shown s WINDOW w AS (PARTITION BY s.name)
  ), told AS (
    -- One more beside them, big enough that the sum of both tells nothing; without such a one nothing of the attribute.
    SELECT m.*, NOT m.small AND NOT (m.hides AND (row_number() OVER (PARTITION BY m.name, m.small ORDER BY m.big DESC, least(m.na, m.nb), m.word) = 1
      OR NOT bool_or(m.big AND NOT m.small) OVER (PARTITION BY m.name))) AS see
    FROM marked m
  ), part AS (
    -- What is hidden counts as one, or the divergence would tell how it is divided.
    SELECT x.name, x.word, cdp_internal.share_divergence(x.na, x.nb, all_a, all_b, count(*) OVER (PARTITION BY x.name)) AS d
    FROM (SELECT t.name, CASE WHEN t.see THEN t.word END AS word, sum(t.na)::bigint AS na, sum(t.nb)::bigint AS nb FROM told t GROUP BY 1, 2) x
  ), whole AS (
    SELECT p.name, sum(p.d) FILTER (WHERE p.seen) AS d
    FROM (SELECT q.*, bool_or(q.word IS NOT NULL) OVER (PARTITION BY q.name) AS seen FROM part q) p GROUP BY p.name
  )
  SELECT t.name, t.word, CASE WHEN t.see THEN t.na END, CASE WHEN t.see THEN t.nb END, CASE WHEN t.see THEN t.na::double precision / nullif(all_a, 0) END,
    CASE WHEN t.see THEN t.nb::double precision / nullif(all_b, 0) END, p.d, w.d
  FROM told t JOIN whole w ON w.name = t.name LEFT JOIN part p ON p.name = t.name AND p.word = t.word AND t.see
  ORDER BY w.d DESC NULLS LAST, t.name, t.word;
END
$$;
COMMENT ON FUNCTION cdp_internal.compositions(bytea, bytea, text[], timestamptz, boolean) IS
'How two sets of customers differ by attributes (wanted; NULL: all of cdp_internal.told_attributes()), and with at by kinds of events before that moment (cdp_internal.kind_compositions()): a row for each value or range with numbers and shares in both, its part of the divergence (cdp_internal.share_divergence()) and, in whole, the sum over the attribute, the greatest first. With cdp_data.setting.minimum_audience values of fewer people stand together under (few) without figures, and one more beside them, that is not smaller than the minimum, has none either; both count as one in whole. Nothing is told of an attribute that has no such one. Error 22023: an attribute that is not told of.';

CREATE OR REPLACE FUNCTION cdp.segment_drivers(segment text, attributes text[] DEFAULT NULL, sample double precision DEFAULT 1, events boolean DEFAULT NULL)
RETURNS TABLE (attribute text, value text, members bigint, others bigint, share_of_members double precision, share_of_others double precision, lift double precision, information_value double precision)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  s record := cdp_internal.segment_of(segment);
  population bytea := cdp.roaring_sample(cdp_internal.segment_population(), sample);
  inside bytea := cdp.roaring_and(cdp_internal.segment_bits(s.segment_id), population);
  outside bytea := cdp.roaring_andnot(population, inside);
BEGIN
  IF sample IS NULL THEN
    RAISE EXCEPTION 'a sample is a share of customers from 0 to 1' USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Given is NULL.', HINT = 'Leave it out for everybody.';
  END IF;
  PERFORM cdp.require_audience(cdp.roaring_count(inside), 'the report');
  PERFORM cdp.require_audience(cdp.roaring_count(outside), 'the report');
  RETURN QUERY
  SELECT c.attribute, c.bucket, c.n_a, c.n_b, c.share_a, c.share_b, c.share_a / nullif(c.share_b, 0), c.whole
  FROM cdp_internal.compositions(inside, outside, attributes, CASE WHEN coalesce(events, attributes IS NULL) THEN (SELECT coalesce(k.as_of, now()) FROM cdp_data.segment_clock k) END,
    cdp.roaring_count(population) <= 10000) c;
END
$$;
COMMENT ON FUNCTION cdp.segment_drivers(text, text[], double precision, boolean) IS
'What tells the members of a segment (as of the last tick) from all others: a row for each value or range of each internal attribute and figure of profiles (attributes: these only), and two for each kind of event that analytics may use (events; NULL: unless attributes are chosen): whether they did it in the 90 days before the last tick, attribute being that as the text of a rule, value yes or no. With numbers and shares among both, lift (share of members by share of others; NULL: no other has it) and the information value of the attribute, the greatest first: below 0.02 it tells nothing, above 0.3 much. It says what goes with membership, not why; what the rule itself reads comes first. sample: share of customers to look at. With cdp_data.setting.minimum_audience: 42501 for fewer members or others, no figures for values of fewer people. Profiles are as of the last cdp.refresh_profiles(). Reads only. Errors: 42704 no such segment, 22023 unknown attribute or bad sample.';

CREATE OR REPLACE FUNCTION cdp.segment_drift(segment text, since timestamptz, until timestamptz DEFAULT NULL, attributes text[] DEFAULT NULL)
RETURNS TABLE (attribute text, value text, before bigint, after bigint, share_before double precision, share_after double precision, psi double precision)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  s record := cdp_internal.segment_of(segment);
  was bytea := cdp_internal.segment_bits_at(s.segment_id, since);
  becomes bytea := CASE WHEN until IS NULL THEN cdp_internal.segment_bits(s.segment_id) ELSE cdp_internal.segment_bits_at(s.segment_id, until) END;
  stayed bytea := cdp.roaring_and(was, becomes);
BEGIN
  IF since IS NULL THEN
    RAISE EXCEPTION 'since must be a moment' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the moment from which on changes are to be told, such as now() - interval ''30 days''.';
  END IF;
  PERFORM cdp.require_audience(cdp.roaring_count(was), 'the report');
  PERFORM cdp.require_audience(cdp.roaring_count(becomes), 'the report');
  PERFORM cdp.require_audience(cdp.roaring_count(stayed), 'the report');
  PERFORM cdp.require_audience(cdp.roaring_count(becomes) - cdp.roaring_count(stayed), 'the report');
  PERFORM cdp.require_audience(cdp.roaring_count(was) - cdp.roaring_count(stayed), 'the report');
  RETURN QUERY
  SELECT NULL::text, v.word, v.a, v.b, v.a::double precision / nullif(cdp.roaring_count(was), 0), v.b::double precision / nullif(cdp.roaring_count(becomes), 0), NULL::double precision
  FROM (VALUES ('(all)', cdp.roaring_count(was), cdp.roaring_count(becomes)), ('(stayed)', cdp.roaring_count(stayed), cdp.roaring_count(stayed)),
    ('(left)', cdp.roaring_count(was) - cdp.roaring_count(stayed), 0), ('(entered)', 0, cdp.roaring_count(becomes) - cdp.roaring_count(stayed))) AS v (word, a, b);
  RETURN QUERY SELECT c.attribute, c.bucket, c.n_a, c.n_b, c.share_a, c.share_b, c.whole FROM cdp_internal.compositions(was, becomes, attributes) c;
END
$$;
COMMENT ON FUNCTION cdp.segment_drift(text, timestamptz, timestamptz, text[]) IS
'How a segment changed between two moments (until NULL: the last tick): rows without attribute tell its size, who stayed, left and entered; then a row for each value or range of each internal attribute (attributes: these only) with its numbers and shares then and now, and psi, the population stability index of the attribute (below 0.1 the same people, above 0.25 others), the greatest first. Values are those that profiles hold today: it tells who came and went, not how somebody changed. With cdp_data.setting.minimum_audience: 42501 when those before, after, who stayed, entered or left are fewer, no figures for values of fewer people. Reads only. Errors: 42704 no such segment, 22023 no since, a time whose transitions are no longer kept, or an unknown attribute.';
