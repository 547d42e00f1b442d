-- Segment room: who is in, by a plan of rules: one scan of touchpoints, one of profiles, sets, and the algebra of bitmaps.
-- The same function serves everybody and a few roots; they differ only in how rows are found. Small tables (merges,
-- rates) come in as constants, so that no join stands between the table and the pass.

CREATE OR REPLACE FUNCTION cdp_internal.plan_moment(moment bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN timestamptz '2000-01-01 00:00:00+00' + moment * interval '1 microsecond';
COMMENT ON FUNCTION cdp_internal.plan_moment(bigint) IS
'A moment of a plan (microseconds since 2000-01-01 UTC). NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_population(roots bigint[] DEFAULT NULL) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  gate bytea := cdp_internal.consent_gate('analytics', '', roots);
  members bigint[];
  plain boolean;
BEGIN
  IF roots IS NOT NULL THEN
    members := cdp_internal.attribution_members(roots);
    RETURN (
      SELECT cdp.roaring_build(x.root) FROM (
        SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), i.customer_id, i.identifier_id) AS root
        FROM cdp_data.identifier i WHERE i.customer_id = ANY (members) OFFSET 0) x
      WHERE x.root = ANY (roots) AND cdp_internal.bitmap_has(gate, x.root));
  END IF;
  -- Without merges and moved identifiers the home is the root: nothing to look up a million times.
  plain := NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id) AND NOT EXISTS (SELECT FROM cdp_data.identifier_override);
  IF plain AND gate IS NULL THEN
    RETURN (SELECT cdp.roaring_build(i.customer_id) FROM cdp_data.identifier i);
  ELSIF plain THEN
    RETURN (SELECT cdp.roaring_build(i.customer_id) FROM cdp_data.identifier i WHERE cdp_internal.bitmap_has(gate, i.customer_id));
  END IF;
  RETURN (
    SELECT cdp.roaring_build(x.root) FROM (
      SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), i.customer_id, i.identifier_id) AS root
      FROM cdp_data.identifier i OFFSET 0) x
    WHERE cdp_internal.bitmap_has(gate, x.root));
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_population(bigint[]) IS
'The customers over whom rules are evaluated, as a Roaring bitmap: roots who have an identifier (nobody is left of others: they were erased, or only keep the touches of who was) and whose consent to analytics, or its want, lets their data be used now. roots: only these; NULL: all.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_money_sql() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  base text := (SELECT s.currency FROM cdp_data.setting s);
  refunds smallint[] := ARRAY(SELECT k.kind_id FROM cdp_data.touch_kind_all k WHERE k.name IN ('refund', 'chargeback') ORDER BY k.kind_id);
BEGIN
  RETURN format('CASE WHEN t.kind_id = ANY (%L::smallint[]) THEN -abs(t.value) ELSE t.value END * CASE WHEN t.currency IS NULL OR t.currency = %L THEN 1 '
    'ELSE (SELECT r.rate FROM cdp_data.currency_rate r WHERE r.currency = t.currency AND r.base = %2$L AND r.valid_from <= (t.occurred_at AT TIME ZONE ''UTC'')::date ORDER BY r.valid_from DESC LIMIT 1) END',
    refunds, base);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_money_sql() IS
'SQL text of the money of a touchpoint t in the reporting currency, at the rate of its day (UTC): NULL without value or rate; refunds and chargebacks are negative whatever sign the source wrote.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_rows_sql(plan jsonb, few boolean) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  plain boolean := NOT few AND NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id) AND NOT EXISTS (SELECT FROM cdp_data.identifier_override);
  columns text;
BEGIN
  -- What no atom reads is not taken out of the row.
  columns := format('%s AS customer, t.occurred_at AS at, t.kind_id::integer AS kind, %s AS origin, %s AS campaign, %s AS source, %s AS value, %s AS properties, %s AS id',
    CASE WHEN plain THEN 't.customer_id' ELSE 'cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), t.customer_id, t.identifier_id)' END,
    CASE WHEN (plan ->> 'need_origin')::boolean THEN 't.origin_id' ELSE 'NULL::integer' END,
    CASE WHEN (plan ->> 'need_origin')::boolean THEN 't.campaign_id' ELSE 'NULL::integer' END,
    CASE WHEN (plan ->> 'need_origin')::boolean THEN 't.source_id' ELSE 'NULL::integer' END,
    CASE WHEN (plan ->> 'need_value')::boolean THEN cdp_internal.segment_money_sql() ELSE 'NULL::numeric' END,
    CASE WHEN (plan ->> 'need_properties')::boolean THEN 't.properties' ELSE 'NULL::jsonb' END,
    CASE WHEN (plan ->> 'need_ids')::boolean THEN 't.touchpoint_id' ELSE 'NULL::bigint' END);
  columns := format('SELECT %s FROM cdp_data.touchpoint t WHERE t.kind_id = ANY ($1) AND t.flags & 3 = 0 AND t.occurred_at < $3%s', columns,
    CASE WHEN plan ? 'from' THEN ' AND t.occurred_at >= $2' ELSE '' END);
  RETURN CASE WHEN few THEN format('SELECT x.* FROM (%s AND t.customer_id = ANY ($4)) x WHERE x.customer = ANY ($5)', columns) ELSE columns END;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_rows_sql(jsonb, boolean) IS
'SQL text of the rows that the event atoms of a plan read: customer (root), at, kind, origin, campaign, source, value (reporting currency), properties, id; what no atom needs is NULL. Bots and internal traffic are left out. Arguments of it: $1 kinds (smallint[]), $2 and $3 the moments from which and before which, and with few $4 the homes of the roots (cdp_internal.attribution_members()) and $5 the roots.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_scan(plan jsonb, horizon timestamptz, roots bigint[]) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  few boolean := roots IS NOT NULL;
  kinds smallint[] := translate(plan ->> 'kinds', '[] ', '{}');
  after timestamptz := cdp_internal.plan_moment((plan ->> 'from')::bigint);
  upto timestamptz := coalesce(horizon, cdp_internal.plan_moment((plan ->> 'as_of')::bigint));
  members bigint[] := CASE WHEN few THEN cdp_internal.attribution_members(roots) END;
  result bytea;
BEGIN
  IF plan -> 'events' <> '[]' THEN
    EXECUTE format('SELECT cdp_internal.segment_pass(x.customer, x.at, x.kind, x.origin, x.campaign, x.source, x.value, x.properties, x.id, $6, $7) FROM (%s) x',
        cdp_internal.segment_rows_sql(plan, few))
      INTO result USING kinds, after, upto, members, roots, plan, horizon;
  END IF;
  RETURN coalesce(result, cdp_internal.segment_pass_nothing(plan));
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_scan(jsonb, timestamptz, bigint[]) IS
'The event atoms of a plan over the touchpoints of everybody, or of these roots, as cdp_internal.segment_pass() gives them. horizon: up to which later touchpoints, and changes without new data, are looked for; NULL: neither. Never NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_columns(plan jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  columns text;
  closed text;
BEGIN
  -- Only what the plan names: who may not read the rest may still ask, and long columns stay where they are.
  SELECT string_agg(format('p.%I', c.attname), ', ' ORDER BY c.attnum),
    string_agg(x.names, ', ' ORDER BY x.names) FILTER (WHERE NOT has_column_privilege('cdp_data.profile', c.attnum, 'SELECT'))
  INTO columns, closed
  FROM (
    SELECT coalesce(a.value ->> 'json', a.value ->> 'column') AS name, string_agg(DISTINCT quote_ident(coalesce(a.value ->> 'key', a.value ->> 'column')), ', ') AS names
    FROM jsonb_array_elements(plan -> 'attributes') a GROUP BY 1) x
    RIGHT JOIN pg_attribute c ON c.attname = x.name
  WHERE c.attrelid = 'cdp_data.profile'::regclass AND c.attnum > 0 AND NOT c.attisdropped AND (x.name IS NOT NULL OR c.attname = 'customer_id');
  IF closed IS NOT NULL THEN
    RAISE EXCEPTION 'permission denied to read personal attributes'
      USING ERRCODE = 'insufficient_privilege', DETAIL = format('Asked for: %s.', left(closed, 500)), HINT = 'Ask for internal attributes and figures of profiles, or have it done by somebody with the part privacy.';
  END IF;
  RETURN columns;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_columns(jsonb) IS
'SQL text: customer_id and the columns of cdp_data.profile p from which the attribute atoms of a plan are read, as the system catalogue has them, quoted; a name that is no column is left out. Error 42501 with the names of the attributes that the caller may not read.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_profiles(plan jsonb, horizon timestamptz, roots bigint[]) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  rows text;
  result bytea;
  parts bytea[] := '{}';
  low bigint;
  slice bigint;
BEGIN
  IF plan -> 'attributes' <> '[]' THEN
    rows := format('SELECT cdp_internal.segment_attribute_pass(x.customer_id, x, $1, $2) FROM (SELECT %s FROM cdp_data.profile p', cdp_internal.segment_columns(plan));
    -- Two bits a customer and atom, and a flip of at most 32 bytes: above half of what a pass may take it works in parts.
    slice := greatest(65536, (pg_size_bytes(current_setting('cdp.segment_memory')) / 2 / (jsonb_array_length(plan -> 'attributes') * 0.25 + 32))::bigint / 65536 * 65536);
    IF roots IS NOT NULL THEN
      EXECUTE rows || ' WHERE p.customer_id = ANY ($3)) x' INTO result USING plan, horizon, roots;
    ELSIF coalesce((SELECT max(p.customer_id) FROM cdp_data.profile p), 0) < slice THEN
      EXECUTE rows || ') x' INTO result USING plan, horizon;
    ELSE
      FOR low IN SELECT g FROM generate_series(0, (SELECT max(p.customer_id) FROM cdp_data.profile p), slice) g LOOP
        EXECUTE rows || ' WHERE p.customer_id BETWEEN $3 AND $4) x' INTO result USING plan, horizon, low, low + slice - 1;
        IF result IS NOT NULL THEN
          parts := parts || result;
        END IF;
      END LOOP;
      result := cdp_internal.segment_pass_join(parts);
    END IF;
  END IF;
  RETURN coalesce(result, (SELECT cdp_internal.segment_attribute_pass(NULL, NULL, segment_profiles.plan, segment_profiles.horizon)));
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_profiles(jsonb, timestamptz, bigint[]) IS
'The attribute atoms of a plan over the profiles of everybody, or of these roots, as cdp_internal.segment_attribute_pass() gives them; of profiles only the columns are read that the plan names, as of the last cdp.refresh_profiles(). Never NULL. Error 42501: the caller may not read one of them.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_set(spec jsonb, roots bigint[]) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  what text := (SELECT k FROM jsonb_object_keys(spec) k WHERE k IN ('list', 'consent', 'holdout', 'trait'));
  members bigint[];
  p record;
  gate bytea;
  hook text;
  result bytea;
BEGIN
  IF what = 'list' THEN
    members := CASE WHEN roots IS NOT NULL THEN cdp_internal.attribution_members(roots) END;
    RETURN (
      SELECT cdp.roaring_build(cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), i.customer_id, i.identifier_id))
      FROM cdp_data.segment_list_row r JOIN cdp_data.identifier i ON i.identifier_id = r.identifier_id
      WHERE r.list_id = (spec ->> 'list')::integer AND (members IS NULL OR i.customer_id = ANY (members)));
  ELSIF what = 'consent' THEN
    p := cdp_internal.purpose_of(spec ->> 'consent');
    IF roots IS NULL THEN
      RETURN (SELECT cdp.roaring_build(c) FROM cdp.consented_customers(spec ->> 'consent', coalesce(spec ->> 'channel', '')) c);
    END IF;
    gate := cdp_internal.consent_bitmap_of(p.purpose_id, p.rule, cdp_internal.consent_channel(spec ->> 'channel'), CASE WHEN cardinality(roots) <= 1000 THEN roots END);
    RETURN (SELECT cdp.roaring_build(r) FROM unnest(roots) r WHERE cdp_internal.bitmap_has(gate, r));
  END IF;
  hook := (SELECT f FROM cdp_internal.room_functions('segment_set_of_' || what, 2) f);
  IF hook IS NULL THEN
    RAISE EXCEPTION 'no part of this release knows sets of kind %', what USING ERRCODE = 'feature_not_supported';
  END IF;
  EXECUTE format('SELECT cdp_internal.%I($1, $2)', hook) INTO result USING spec, roots;
  RETURN result;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_set(jsonb, bigint[]) IS
'The customers (roots) of a set atom of a plan, as a Roaring bitmap: who is on a list, whom the gate of consent allows now, and for traits and holdouts what cdp_internal.segment_set_of_<what>(spec, roots) of their part of the room says. roots: only these matter, more may come; NULL: all. Error 0A000: no such part.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_results(plan jsonb, horizon timestamptz, roots bigint[], population bytea)
RETURNS TABLE (segment_id integer, members bytea, through_null bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  events bytea := cdp_internal.segment_scan(plan, horizon, roots);
  attributes bytea := cdp_internal.segment_profiles(plan, horizon, roots);
  sets bytea[] := ARRAY(SELECT cdp_internal.segment_set(s.value, roots) FROM jsonb_array_elements(plan -> 'sets') WITH ORDINALITY AS s (value, nth) ORDER BY s.nth);
BEGIN
  IF horizon IS NOT NULL THEN
    INSERT INTO cdp_data.segment_flip AS f (customer_id, at)
    SELECT x.customer_id, min(x.at)
    FROM (SELECT * FROM cdp_internal.segment_pass_flips(events) UNION ALL SELECT * FROM cdp_internal.segment_pass_flips(attributes)) x
    GROUP BY x.customer_id
    ON CONFLICT ON CONSTRAINT segment_flip_pkey DO UPDATE SET at = least(f.at, excluded.at) WHERE excluded.at < f.at;
  END IF;
  RETURN QUERY SELECT c.segment_id, c.members, c.through_null FROM cdp_internal.segment_combine(plan, population, events, attributes, sets) c;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_results(jsonb, timestamptz, bigint[], bytea) IS
'Members of every segment of a plan among the population (cdp_internal.segment_population() of the same roots), over everybody or these roots. horizon: notes in cdp_data.segment_flip whose answer changes by itself up to then; NULL: notes nothing and only reads.';
