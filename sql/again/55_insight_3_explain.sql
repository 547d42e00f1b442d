-- Segment room, insight: why a customer is in a segment or is not, a row for each part of the rule. Every part is asked of the
-- engines themselves: the plan is given a segment for each node, so that the explanation can not say anything else than the run.

CREATE OR REPLACE FUNCTION cdp_internal.plan_nodes(plan jsonb, nulls text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n integer := jsonb_array_length(plan -> 'nodes');
BEGIN
  -- Segment i + 1 is node i, segment n + i + 1 its opposite: who is in neither is unknown.
  RETURN plan || jsonb_build_object(
    'nodes', (plan -> 'nodes') || (SELECT jsonb_agg(jsonb_build_object('not', i) ORDER BY i) FROM generate_series(0, n - 1) i),
    'segments', (SELECT jsonb_agg(jsonb_build_object('id', i + 1, 'node', i, 'nulls', nulls) ORDER BY i) FROM generate_series(0, 2 * n - 1) i));
END
$$;
COMMENT ON FUNCTION cdp_internal.plan_nodes(jsonb, text) IS
'A plan whose segments are its nodes: segment i + 1 is node i, and after all of them come their opposites in the same order; nulls: set or sql.';

CREATE OR REPLACE FUNCTION cdp_internal.plan_leaves(plan jsonb, node integer, through boolean DEFAULT false) RETURNS TABLE (what text, nth integer)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  WITH RECURSIVE below (n) AS (
    SELECT plan_leaves.node
    UNION
    SELECT c.value::text::integer
    FROM below b CROSS JOIN LATERAL (SELECT plan -> 'nodes' -> b.n AS spec) s
      CROSS JOIN LATERAL jsonb_array_elements(coalesce(s.spec -> 'all', s.spec -> 'any', jsonb_build_array(coalesce(s.spec -> 'not', s.spec -> 'members')))) c
    WHERE s.spec ?| '{all,any,not}' OR through AND s.spec ? 'members'
  )
  SELECT k.key, k.value::text::integer FROM below b CROSS JOIN LATERAL jsonb_each(plan -> 'nodes' -> b.n) k WHERE k.key IN ('event', 'attribute', 'set') ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION cdp_internal.plan_leaves(jsonb, integer, boolean) IS
'The atoms that a node of a plan stands on: what (event, attribute, set) and their numbers. through: with those of segments that stand in it as a whole, of another logic.';

CREATE OR REPLACE FUNCTION cdp_internal.explain_events(plan jsonb, root bigint, horizon timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  whole jsonb := plan || '{"need_ids": true}';
  kinds smallint[] := translate(plan ->> 'kinds', '[] ', '{}');
  result jsonb;
BEGIN
  IF plan -> 'events' <> '[]' THEN
    EXECUTE format('SELECT cdp_internal.segment_explain_pass(x.customer, x.at, x.kind, x.origin, x.campaign, x.source, x.value, x.properties, x.id, $6, $3) FROM (%s) x',
        cdp_internal.segment_rows_sql(whole, true))
      INTO result USING kinds, cdp_internal.plan_moment((plan ->> 'from')::bigint), horizon, cdp_internal.attribution_members(ARRAY[root]), ARRAY[root], whole;
  END IF;
  RETURN coalesce(result, (SELECT coalesce(jsonb_agg(CASE WHEN e.value ->> 'op' IN ('count', 'days', 'periods', 'sum', 'distinct') THEN '{"observed": 0}' ELSE '{}' END::jsonb), '[]') FROM jsonb_array_elements(plan -> 'events') e));
END
$$;
COMMENT ON FUNCTION cdp_internal.explain_events(jsonb, bigint, timestamptz) IS
'cdp_internal.segment_explain_pass() over the touchpoints of one customer (root); without any, for each atom what is observed of nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.explain_attributes(plan jsonb, root bigint, horizon timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  profile jsonb;
BEGIN
  IF plan -> 'attributes' <> '[]' THEN
    EXECUTE format('SELECT to_jsonb(x) FROM (SELECT %s FROM cdp_data.profile p WHERE p.customer_id = $1) x', cdp_internal.segment_columns(plan)) INTO profile USING root;
  END IF;
  RETURN (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'observed', CASE WHEN a.value ? 'column' THEN profile -> (a.value ->> 'column') ELSE profile -> (a.value ->> 'json') -> (a.value ->> 'key') END,
        'flips_at', (SELECT f.at FROM cdp_internal.segment_pass_flips(cdp_internal.segment_profiles(plan || jsonb_build_object('attributes', jsonb_build_array(a.value)), horizon, ARRAY[root])) f)) ORDER BY a.nth), '[]')
    FROM jsonb_array_elements(plan -> 'attributes') WITH ORDINALITY AS a (value, nth));
END
$$;
COMMENT ON FUNCTION cdp_internal.explain_attributes(jsonb, bigint, timestamptz) IS
'For each attribute atom of a plan what the profile of a customer holds (observed) and when its answer may change without new data up to the horizon (flips_at); in their order.';

CREATE OR REPLACE FUNCTION cdp.segment_explain(segment text, customer bigint, as_of timestamptz DEFAULT NULL, language text DEFAULT 'en')
RETURNS TABLE (path text, depth integer, sentence text, result boolean, observed jsonb, threshold jsonb, evidence bigint[], flips_at timestamptz)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  operators constant text[] := '{count,days,eq,neq,lt,lte,gt,gte,in,not_in,not_between,exists,prefix,suffix,contains,not_contains,has,has_any,has_all,next,before_last,anniversary_next,within,at_least,of,after,top,bottom,arm}';
  root bigint;
  s record;
  rule jsonb;
  moment timestamptz := coalesce(segment_explain.as_of, now());
  plan jsonb;
  own jsonb;
  n integer;
  population bytea;
  events jsonb;
  attributes jsonb;
  yes integer[];
  f record;
  node jsonb;
BEGIN
  s := cdp_internal.segment_of(segment_explain.segment);
  root := cdp_internal.known_customer(segment_explain.customer);
  SELECT v.rule INTO rule FROM cdp_data.segment_version v WHERE v.segment_id = s.segment_id AND v.version = s.version;
  plan := cdp_internal.unsaved_plan(jsonb_build_array(rule), moment, true);
  own := plan -> 'segments' -> -1;
  n := jsonb_array_length(plan -> 'nodes');
  population := cdp_internal.segment_population(ARRAY[root]);
  IF NOT cdp.roaring_has(population, root) THEN
    RAISE EXCEPTION 'customer % is not among those over whom segments are evaluated', root
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'His consent does not allow analytics, or he has no identifier any more.', HINT = 'See cdp.consent_allowed(customer, ''analytics'').';
  END IF;
  PERFORM cdp_internal.audit_read('segment_explain', root, jsonb_build_object('segment', segment));
  yes := ARRAY(SELECT r.segment_id FROM cdp_internal.segment_results(cdp_internal.plan_nodes(plan, own ->> 'nulls'), NULL, ARRAY[root], population) r WHERE cdp.roaring_has(r.members, root));
  events := cdp_internal.explain_events(plan, root, moment + interval '1 year');
  attributes := cdp_internal.explain_attributes(plan, root, moment + interval '1 year');
  FOR f IN
    SELECT p.key, p.value::integer AS node FROM jsonb_each_text(own -> 'paths') p
    ORDER BY (SELECT array_agg(lpad(x.step, 5, '0') ORDER BY x.nth) FROM string_to_table(p.key, '/') WITH ORDINALITY AS x (step, nth))
  LOOP
    path := f.key;
    node := rule #> string_to_array(ltrim(path, '/'), '/');
    depth := (SELECT count(*) FROM string_to_table(path, '/') x WHERE x IN ('all', 'any', 'not'));
    sentence := cdp.segment_describe(jsonb_build_object('where', node), language);
    result := CASE WHEN f.node + 1 = ANY (yes) THEN true WHEN f.node + 1 + n = ANY (yes) THEN false END;
    observed := NULL; threshold := NULL; evidence := NULL; flips_at := NULL;
    IF node ?| '{all,any,not}' THEN
      sentence := split_part(sentence, E'\n', 1);
    ELSE
      -- Without the words by which every description begins.
      sentence := regexp_replace(sentence, '^[^:：]*[:：]\s*', '');
      SELECT CASE WHEN count(DISTINCT x.seen) <= 1 THEN min(x.seen::text)::jsonb ELSE jsonb_agg(DISTINCT x.seen) END, min(x.turn) INTO observed, flips_at
      FROM (SELECT nullif(a.value -> 'observed', 'null') AS seen, (a.value ->> 'flips_at')::timestamptz AS turn
        FROM cdp_internal.plan_leaves(plan, f.node) l CROSS JOIN LATERAL (SELECT CASE l.what WHEN 'event' THEN events -> l.nth WHEN 'attribute' THEN attributes -> l.nth END AS value) a) x;
      evidence := (SELECT array_agg(DISTINCT e.id::bigint ORDER BY e.id::bigint) FROM cdp_internal.plan_leaves(plan, f.node) l CROSS JOIN LATERAL jsonb_array_elements_text(events -> l.nth -> 'evidence') AS e (id) WHERE l.what = 'event');
      threshold := (SELECT jsonb_object_agg(k.key, k.value) FROM jsonb_each(node) k WHERE k.key = ANY (operators) OR k.key IN ('between', 'last') AND NOT node ?| '{did,seq,first_time,resumed,stopped}');
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.segment_explain(text, bigint, timestamptz, text) IS
'Why a customer (any id that was merged into him) fits the rule of a segment at a moment (default now) or does not: a row for each part of the rule, from the top. path: JSON Pointer into the rule; depth: in how many all, any and not it stands; sentence: the part in words (language: en, zh), of a group its first line; result: whether it holds (NULL: unknown, with nulls sql); observed: what was found (a count, sum, value of the profile; several when the part stands on several), NULL for groups, lists, consents, traits and other segments; threshold: what it is compared with; evidence: touchpoint ids on which it stands (at most 20 each); flips_at: when it may change within a year without new data, NULL when it does not (that calendar windows and days move is not told). Profiles are as of the last cdp.refresh_profiles(). Shows personal values and is logged (action read). Errors: 42704 no such segment, 22023 no such customer or a rule that no longer checks, 55000 he may not be used for analytics, 25006 read-only.';
