-- Segment room, insight: why a customer is in a segment or is not, a row for each part of the rule. Every part is asked of the
-- engines themselves: the plan is given a segment for each node, so that the explanation can not say anything else than the run.

CREATE OR REPLACE FUNCTION cdp_internal.plan_nodes(plan jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n integer := jsonb_array_length(plan -> 'nodes');
BEGIN
  RETURN plan || jsonb_build_object(
    'nodes', (plan -> 'nodes') || (SELECT jsonb_agg(jsonb_build_object('not', i) ORDER BY i) FROM generate_series(0, n - 1) i),
    'segments', (SELECT jsonb_agg(jsonb_build_object('id', i + 1, 'node', i % (2 * n), 'nulls', CASE WHEN i < 2 * n THEN 'sql' ELSE 'set' END) ORDER BY i) FROM generate_series(0, 3 * n - 1) i));
END
$$;
COMMENT ON FUNCTION cdp_internal.plan_nodes(jsonb) IS
'A plan whose segments are its n nodes: segment i + 1 is node i with nulls sql, n + i + 1 its opposite (who is in neither is unknown), 2 n + i + 1 node i with nulls set.';

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

CREATE OR REPLACE FUNCTION cdp_internal.explain_events(plan jsonb, root bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  whole jsonb := plan || '{"need_ids": true}';
  kinds smallint[] := translate(plan ->> 'kinds', '[] ', '{}');
  result jsonb;
BEGIN
  IF plan -> 'events' <> '[]' THEN
    EXECUTE format('SELECT cdp_internal.segment_explain_pass(x.customer, x.at, x.kind, x.origin, x.campaign, x.source, x.value, x.properties, x.id, $6, NULL) FROM (%s) x',
        cdp_internal.segment_rows_sql(whole, true))
      INTO result USING kinds, cdp_internal.plan_moment((plan ->> 'from')::bigint), cdp_internal.plan_moment((plan ->> 'as_of')::bigint), cdp_internal.attribution_members(ARRAY[root]), ARRAY[root], whole;
  END IF;
  RETURN coalesce(result, (SELECT coalesce(jsonb_agg(CASE WHEN e.value ->> 'op' IN ('count', 'days', 'periods', 'sum', 'distinct') THEN '{"observed": 0}' ELSE '{}' END::jsonb), '[]') FROM jsonb_array_elements(plan -> 'events') e));
END
$$;
COMMENT ON FUNCTION cdp_internal.explain_events(jsonb, bigint) IS
'cdp_internal.segment_explain_pass() over the touchpoints of one customer (root); without any, for each atom what is observed of nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.explain_attributes(plan jsonb, root bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  profile jsonb;
BEGIN
  IF plan -> 'attributes' <> '[]' THEN
    EXECUTE format('SELECT to_jsonb(x) FROM (SELECT %s FROM cdp_data.profile p WHERE p.customer_id = $1) x', cdp_internal.segment_columns(plan)) INTO profile USING root;
  END IF;
  RETURN (
    SELECT coalesce(jsonb_agg(jsonb_build_object('observed', CASE WHEN a.value ? 'column' THEN profile -> (a.value ->> 'column') ELSE profile -> (a.value ->> 'json') -> (a.value ->> 'key') END) ORDER BY a.nth), '[]')
    FROM jsonb_array_elements(plan -> 'attributes') WITH ORDINALITY AS a (value, nth));
END
$$;
COMMENT ON FUNCTION cdp_internal.explain_attributes(jsonb, bigint) IS
'For each attribute atom of a plan, in their order, what the profile of a customer (root) holds: {"observed": value}.';

CREATE OR REPLACE FUNCTION cdp_internal.explain_set(plan jsonb, nth integer, root bigint, holdouts jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  spec jsonb := plan -> 'sets' -> nth;
  hook text;
  seen jsonb;
BEGIN
  IF spec ? 'holdout' THEN
    seen := (
      SELECT to_jsonb(a.arm) FROM jsonb_each(holdouts) h CROSS JOIN LATERAL jsonb_array_elements_text(h.value -> 'arms') AS a (arm)
      WHERE h.value -> 'id' = spec -> 'holdout' AND cdp.roaring_has(cdp_internal.segment_set(spec || jsonb_build_object('arm', a.arm), ARRAY[root]), root) ORDER BY 1 LIMIT 1);
  ELSIF spec ? 'trait' THEN
    hook := (SELECT f FROM cdp_internal.room_functions('segment_seen_of_trait', 2) f);
    IF hook IS NOT NULL THEN
      EXECUTE format('SELECT cdp_internal.%I($1, $2)', hook) INTO seen USING spec, root;
    END IF;
  END IF;
  RETURN jsonb_build_object('observed', seen);
END
$$;
COMMENT ON FUNCTION cdp_internal.explain_set(jsonb, integer, bigint, jsonb) IS
'What is known of a customer (root) for a set atom of a plan: {"observed": ..}, the value of a trait (cdp_internal.segment_seen_of_trait(spec, root)), the arm of a holdout (holdouts: as in the catalogue); null for lists and consents.';

CREATE OR REPLACE FUNCTION cdp_internal.explain_parts(rule jsonb, id integer, plan jsonb) RETURNS TABLE (nth bigint, path text, inner_path text, segment_id integer, nulls text, node jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  WITH item AS (
    SELECT (i.value ->> 'id')::integer AS id, i.value -> 'paths' AS paths, i.value ->> 'nulls' AS nulls FROM jsonb_array_elements(plan -> 'segments') i
  ), own AS (
    SELECT p.key AS path, rule #> string_to_array(ltrim(p.key, '/'), '/') AS node, i.nulls FROM item i CROSS JOIN LATERAL jsonb_each(i.paths) p WHERE i.id = explain_parts.id
  ), part AS (
    SELECT o.path, o.path AS inner_path, explain_parts.id AS segment_id, o.nulls, o.node FROM own o
    UNION ALL
    -- A segment that is named is opened one level.
    SELECT o.path || '/segment' || p.key, p.key, i.id, i.nulls, v.rule #> string_to_array(ltrim(p.key, '/'), '/')
    FROM own o JOIN cdp_data.segment s ON s.name = o.node ->> 'segment' JOIN cdp_data.segment_version v USING (segment_id, version) JOIN item i ON i.id = s.segment_id
      CROSS JOIN LATERAL jsonb_each(i.paths) p
  )
  SELECT row_number() OVER (ORDER BY (SELECT array_agg(lpad(x.step, 7, '0') ORDER BY x.n) FROM string_to_table(p.path, '/') WITH ORDINALITY AS x (step, n))), p.path, p.inner_path, p.segment_id, p.nulls, p.node
  FROM part p ORDER BY 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.explain_parts(jsonb, integer, jsonb) IS
'The parts of a rule (segment id of the plan, which was made with paths) and of the segments that it names, in the order of the rule: path, and where it stands in which rule: inner_path, segment_id, nulls of that rule, node.';

CREATE OR REPLACE FUNCTION cdp_internal.explain_states(plan jsonb, parts jsonb, root bigint, population bytea, sets bytea[], horizon timestamptz, OUT states boolean[], OUT following timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  n integer := jsonb_array_length(plan -> 'nodes');
  events bytea := cdp_internal.segment_scan(plan, horizon, ARRAY[root]);
  attributes bytea := cdp_internal.segment_profiles(plan, horizon, ARRAY[root]);
  yes integer[] := ARRAY(SELECT r.segment_id FROM cdp_internal.segment_combine(cdp_internal.plan_nodes(plan), population, events, attributes, sets) r WHERE cdp.roaring_has(r.members, root));
BEGIN
  states := ARRAY(
    SELECT CASE WHEN p.nulls = 'set' THEN 2 * n + x.node + 1 = ANY (yes) WHEN x.node + 1 = ANY (yes) THEN true WHEN n + x.node + 1 = ANY (yes) THEN false END
    FROM jsonb_to_recordset(parts) AS p (nth bigint, inner_path text, segment_id integer, nulls text)
      CROSS JOIN LATERAL (SELECT (i.value -> 'paths' ->> p.inner_path)::integer AS node FROM jsonb_array_elements(plan -> 'segments') i WHERE (i.value ->> 'id')::integer = p.segment_id) x
    ORDER BY p.nth);
  following := least(cdp_internal.plan_moment((plan ->> 'boundary')::bigint),
    (SELECT min(f.at) FROM (SELECT * FROM cdp_internal.segment_pass_flips(events) UNION ALL SELECT * FROM cdp_internal.segment_pass_flips(attributes)) f));
END
$$;
COMMENT ON FUNCTION cdp_internal.explain_states(jsonb, jsonb, bigint, bytea, bytea[], timestamptz) IS
'Whether each part (cdp_internal.explain_parts(), as a JSON array) holds for a customer (root) at the moment of a plan; NULL: unknown. following: the first later moment, up to the horizon, at which one of them may change without new data, never too late; NULL: none. sets: the sets of the plan.';

CREATE OR REPLACE FUNCTION cdp_internal.explain_turn(root bigint, purposes text[], after timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT min(x.at)
    FROM cdp_data.consent_state s LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = s.identifier_id
      CROSS JOIN LATERAL (VALUES (s.from_at), (s.explicit_until), (s.implied_until)) AS x (at)
    WHERE s.customer_id = ANY (cdp_internal.consent_places(ARRAY[explain_turn.root])) AND s.purpose_id IN (SELECT p.purpose_id FROM cdp_data.purpose_all p WHERE p.name = ANY (purposes))
      AND cdp_internal.root_of(coalesce(o.customer_id, s.customer_id)) = explain_turn.root AND x.at > after AND isfinite(x.at));
END
$$;
COMMENT ON FUNCTION cdp_internal.explain_turn(bigint, text[], timestamptz) IS
'The first moment after another at which consent of a customer (root) to one of these purposes, on whatever channel, may turn without anybody writing: a grant runs out, a record of the future begins. NULL: none.';

CREATE OR REPLACE FUNCTION cdp_internal.explain_allowed(root bigint, purpose text, channel text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record := cdp_internal.purpose_of(purpose);
BEGIN
  RETURN p.rule = 'off' OR cdp_internal.consent_permits(p.rule, cdp_internal.consent_state_at(root, p.purpose_id, cdp_internal.consent_channel(channel), at));
END
$$;
COMMENT ON FUNCTION cdp_internal.explain_allowed(bigint, text, text, timestamptz) IS
'cdp.consent_allowed() of a customer (root) at a moment to come, by what is written now. Errors: 22023 unknown purpose or bad channel.';

CREATE OR REPLACE FUNCTION cdp_internal.explain_consents(plan jsonb, sets bytea[], root bigint, at timestamptz) RETURNS bytea[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(
    SELECT CASE WHEN s.value ? 'consent'
      THEN (SELECT cdp.roaring_build(r) FROM unnest(ARRAY[explain_consents.root]) r WHERE cdp_internal.explain_allowed(r, s.value ->> 'consent', s.value ->> 'channel', at))
      ELSE sets[s.nth] END
    FROM jsonb_array_elements(plan -> 'sets') WITH ORDINALITY AS s (value, nth) ORDER BY s.nth);
END
$$;
COMMENT ON FUNCTION cdp_internal.explain_consents(jsonb, bytea[], bigint, timestamptz) IS
'The sets of a plan for one customer (root) with those of consent as they will be at a moment to come.';

CREATE OR REPLACE FUNCTION cdp.segment_explain(segment text, customer bigint, as_of timestamptz DEFAULT NULL, language text DEFAULT 'en')
RETURNS TABLE (path text, depth integer, sentence text, result boolean, observed jsonb, threshold jsonb, evidence bigint[], flips_at timestamptz)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  operators constant text[] := '{count,days,eq,neq,lt,lte,gt,gte,in,not_in,not_between,exists,prefix,suffix,contains,not_contains,has,has_any,has_all,next,before_last,anniversary_next,within,at_least,of,after,top,bottom,arm}';
  steps constant integer := 1000;
  root bigint;
  s record;
  rule jsonb;
  moment timestamptz := coalesce(segment_explain.as_of, now());
  asked timestamptz;
  purposes text[];
  following timestamptz;
  horizon timestamptz := moment + interval '1 year';
  work record;
  plan jsonb;
  later jsonb;
  own integer;
  parts jsonb;
  population bytea;
  sets bytea[];
  first record;
  found record;
  flips timestamptz[];
  events jsonb;
  attributes jsonb;
  f record;
BEGIN
  s := cdp_internal.segment_of(segment_explain.segment);
  root := cdp_internal.known_customer(segment_explain.customer);
  SELECT v.rule INTO rule FROM cdp_data.segment_version v WHERE v.segment_id = s.segment_id AND v.version = s.version;
  work := cdp_internal.unsaved_rules(jsonb_build_array(rule));
  -- What the purpose no longer allows is not explained either: no run would find a member.
  PERFORM cdp_internal.preview_rule(rule, s.purpose, 1, work.catalog);
  plan := cdp_internal.rule_plan(work.items, work.catalog, moment, true);
  own := (plan -> 'segments' -> -1 ->> 'id')::integer;
  parts := (SELECT jsonb_agg(to_jsonb(p) ORDER BY p.nth) FROM cdp_internal.explain_parts(rule, own, plan) p);
  population := cdp_internal.segment_population(ARRAY[root]);
  IF NOT cdp.roaring_has(population, root) THEN
    RAISE EXCEPTION 'customer % is not among those over whom segments are evaluated', root
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'His consent does not allow analytics, or he has no identifier any more.', HINT = 'See cdp.consent_allowed(customer, ''analytics'').';
  END IF;
  PERFORM cdp_internal.audit_read('segment_explain', root, jsonb_build_object('segment', segment));
  asked := clock_timestamp();
  sets := ARRAY(SELECT cdp_internal.segment_set(x.value, ARRAY[root]) FROM jsonb_array_elements(plan -> 'sets') WITH ORDINALITY AS x (value, nth) ORDER BY x.nth);
  first := cdp_internal.explain_states(plan, parts, root, population, sets, horizon);
  flips := array_fill(NULL::timestamptz, ARRAY[jsonb_array_length(parts)]);
  -- Consents are those of today, so that they turn after today only; for a moment to come they stand still.
  purposes := CASE WHEN moment <= asked THEN ARRAY(SELECT DISTINCT x.value ->> 'consent' FROM jsonb_array_elements(plan -> 'sets') x WHERE x.value ? 'consent') || 'analytics'::text END;
  following := least(first.following, cdp_internal.explain_turn(root, purposes, asked));
  -- From one moment at which something may change to the next, until everything has.
  FOR i IN 1 .. steps LOOP
    EXIT WHEN following IS NULL OR following > horizon OR array_position(flips, NULL) IS NULL;
    later := cdp_internal.rule_plan(work.items, work.catalog, following, true);
    IF purposes IS NOT NULL AND following > asked THEN
      sets := cdp_internal.explain_consents(later, sets, root, following);
    END IF;
    found := cdp_internal.explain_states(later, parts, root, population, sets, horizon);
    IF purposes IS NOT NULL AND following > asked AND found.states[1] AND NOT cdp_internal.explain_allowed(root, 'analytics', '', following) THEN
      -- Whatever the parts are: who may not be used for analytics is in no segment.
      found.states[1] := false;
    END IF;
    following := least(found.following, cdp_internal.explain_turn(root, purposes, greatest(following, asked)));
    flips := ARRAY(SELECT coalesce(x.flip, CASE WHEN x.now IS DISTINCT FROM x.was THEN cdp_internal.plan_moment((later ->> 'as_of')::bigint) END)
      FROM unnest(flips, found.states, first.states) WITH ORDINALITY AS x (flip, now, was, nth) ORDER BY x.nth);
  END LOOP;
  events := cdp_internal.explain_events(plan, root);
  attributes := cdp_internal.explain_attributes(plan, root);
  FOR f IN
    SELECT p.*, (i.value -> 'paths' ->> p.inner_path)::integer AS at FROM jsonb_to_recordset(parts) AS p (nth integer, path text, inner_path text, segment_id integer, node jsonb)
      JOIN jsonb_array_elements(plan -> 'segments') i ON (i.value ->> 'id')::integer = p.segment_id ORDER BY p.nth
  LOOP
    path := f.path;
    depth := (SELECT count(*) FROM string_to_table(path, '/') x WHERE x IN ('all', 'any', 'not', 'segment'));
    sentence := cdp.segment_describe(jsonb_build_object('where', f.node), language);
    result := first.states[f.nth];
    flips_at := flips[f.nth];
    observed := NULL; threshold := NULL; evidence := NULL;
    IF f.node ?| '{all,any,not}' THEN
      sentence := split_part(sentence, E'\n', 1);
    END IF;
    IF sentence !~ '[:：]$' THEN
      -- One condition, or its opposite: without the words by which every description begins.
      sentence := regexp_replace(sentence, '^[^:：]*[:：]\s*', '');
    END IF;
    IF NOT f.node ?| '{all,any,not,segment}' THEN
      SELECT CASE WHEN count(DISTINCT x.seen) <= 1 THEN min(x.seen::text)::jsonb ELSE jsonb_agg(DISTINCT x.seen) END INTO observed
      FROM (SELECT nullif(a.value -> 'observed', 'null') AS seen
        FROM cdp_internal.plan_leaves(plan, f.at) l
          CROSS JOIN LATERAL (SELECT CASE l.what WHEN 'event' THEN events -> l.nth WHEN 'attribute' THEN attributes -> l.nth ELSE cdp_internal.explain_set(plan, l.nth, root, work.catalog -> 'holdouts') END AS value) a) x;
      evidence := (SELECT array_agg(DISTINCT e.id::bigint ORDER BY e.id::bigint) FROM cdp_internal.plan_leaves(plan, f.at) l CROSS JOIN LATERAL jsonb_array_elements_text(events -> l.nth -> 'evidence') AS e (id) WHERE l.what = 'event');
      threshold := (SELECT jsonb_object_agg(k.key, k.value) FROM jsonb_each(f.node) k WHERE k.key = ANY (operators) OR k.key IN ('between', 'last') AND NOT f.node ?| '{did,seq,first_time,resumed,stopped}');
      IF f.node ? 'rank' THEN
        threshold := threshold || coalesce((SELECT jsonb_build_object(a.value ->> 'op', a.value -> 'value') FROM cdp_internal.plan_leaves(plan, f.at) l CROSS JOIN LATERAL (SELECT plan -> (l.what || 's') -> l.nth AS value) a), '{}');
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.segment_explain(text, bigint, timestamptz, text) IS
'Why a customer (any id that was merged into him) fits the rule of a segment at a moment (default now) or does not: a row for each part of the rule, from the top, and of segments that it names for each part of theirs (of those in them only as a whole). path: JSON Pointer into the rule, through .../segment into the rule of the one that is named; depth: in how many all, any, not and segments it stands; sentence: the part in words (language: en, zh), of a group its first line; result: whether it holds (NULL: unknown, with nulls sql); observed: what was found (a count, sum, value of the profile or of a trait, the arm of a holdout; several when the part stands on several), NULL for groups, lists, consents and segments; threshold: what it is compared with, of a rank its limit, too; evidence: touchpoint ids on which it stands (at most 20 each); flips_at: the first moment within a year at which result changes though no data come, NULL when it does not: windows that end and begin are followed, calendar days and months, and consents that run out or begin, too (the one to analytics in the first row only; none when as_of is to come), for up to 1,000 moments at which something moves. Profiles are as of the last cdp.refresh_profiles(). Shows personal values and is logged (action read). Errors: 42704 no such segment, 22023 no such customer or a rule that no longer checks or is no longer allowed for its purpose, 42501 an attribute that the caller may not read, 55000 he may not be used for analytics, 25006 read-only.';
