-- Identity room, the profile: one customer as one document, and what happened to him in the order of time.
-- Computed live by index for one customer. A reader gets what his rights on the tables allow: parts that he may not
-- read are left out and named. A read of values leaves a trace; without values nothing is written, also on a standby.

CREATE OR REPLACE FUNCTION cdp_internal.known_customer(customer bigint) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  root bigint := cdp_internal.root_of(customer);
BEGIN
  IF root IS NULL THEN
    RAISE EXCEPTION 'there is no customer %', coalesce(customer::text, 'NULL')
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Ask by an identifier: SELECT cdp.customer_of(type, value);';
  END IF;
  RETURN root;
END
$$;
COMMENT ON FUNCTION cdp_internal.known_customer(bigint) IS
'The root of a customer, by any id that he ever had. Error 22023: there is no such customer.';

CREATE OR REPLACE FUNCTION cdp_internal.timeline_rows(customer bigint, since timestamptz, until timestamptz, max_rows integer)
RETURNS TABLE (at timestamptz, kind text, what text, channel text, value numeric, currency text, detail jsonb, id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  root bigint;
  parts text[];
  sees_properties boolean := has_column_privilege('cdp_data.touchpoint', 'properties', 'SELECT');
BEGIN
  PERFORM cdp_internal.require_setup();
  root := cdp_internal.known_customer(customer);
  IF max_rows IS NULL OR max_rows < 0 OR max_rows > 100000 THEN
    RAISE EXCEPTION 'max_rows must be from 0 to 100000'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', max_rows), HINT = 'Ask for shorter spans with since and until.';
  END IF;
  parts := ARRAY[format($sql$
    SELECT 1 AS part, t.occurred_at AS at, CASE WHEN NOT k.is_conversion THEN CASE WHEN k.is_touch THEN 'touch' ELSE 'event' END
        WHEN k.name IN ('refund', 'chargeback') OR coalesce(t.value, 0) < 0 OR t.refers_to IS NOT NULL THEN 'refund' ELSE 'conversion' END AS kind,
      k.name AS what, c.channel, t.value, t.currency,
      jsonb_strip_nulls(jsonb_build_object('event', t.event, 'campaign', g.name, 'refers_to', t.refers_to, 'source', s.name, 'identifier', t.identifier_id,
        'bot', nullif(t.flags & 1 <> 0, false), 'internal', nullif(t.flags & 2 <> 0, false))) AS detail, t.touchpoint_id AS id
    FROM place p CROSS JOIN LATERAL (
      SELECT t.* FROM (
        SELECT touchpoint_id, identifier_id, occurred_at, origin_id, source_id, flags, kind_id, campaign_id, refers_to, value, currency,
          %s AS event
        FROM cdp_data.touchpoint x
        WHERE x.customer_id = p.home_id AND x.occurred_at >= coalesce($2, '-infinity') AND x.occurred_at < coalesce($3, 'infinity')
          AND CASE WHEN p.moved_id IS NULL THEN NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = x.identifier_id)
            ELSE x.identifier_id = p.moved_id END
        ORDER BY x.occurred_at DESC, x.touchpoint_id DESC LIMIT $4) t) t
      JOIN cdp_data.touch_kind_all k ON k.kind_id = t.kind_id
      JOIN cdp_data.source s ON s.source_id = t.source_id
      LEFT JOIN LATERAL (SELECT h.channel FROM cdp_bi.origin_channel h WHERE h.origin_id = t.origin_id OFFSET 0) c ON true
      LEFT JOIN cdp_data.campaign g ON g.campaign_id = t.campaign_id$sql$,
    CASE WHEN sees_properties THEN 'left(x.properties ->> ''$event'', 800)' ELSE 'NULL::text' END)];
  IF has_table_privilege('cdp_data.attribute_value', 'SELECT') THEN
    parts := array_append(parts, $sql$
    SELECT 2, v.first_at, 'attribute', a.name, NULL, NULL, NULL,
      jsonb_build_object('value', v.value, 'source', s.name, 'identifier', v.identifier_id, 'verified', v.verified), NULL
    FROM (
      SELECT min(x.first_at) AS first_at, x.identifier_id, x.attribute_id, x.source_id, x.value, bool_or(x.verified) AS verified
      FROM place p CROSS JOIN LATERAL (SELECT * FROM cdp_data.attribute_value_now x WHERE x.customer_id = p.home_id OFFSET 0) x
      WHERE CASE WHEN p.moved_id IS NULL THEN NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = x.identifier_id)
        ELSE x.identifier_id = p.moved_id END
      GROUP BY x.identifier_id, x.attribute_id, x.source_id, x.value) v
      JOIN cdp_data.attribute_all a ON a.attribute_id = v.attribute_id
      JOIN cdp_data.source s ON s.source_id = v.source_id
    WHERE v.first_at >= coalesce($2, '-infinity') AND v.first_at < coalesce($3, 'infinity')$sql$);
  END IF;
  IF has_table_privilege('cdp_data.merge_log', 'SELECT') THEN
    parts := array_append(parts, $sql$
    SELECT 3, m.at, m.kind, m.cause, NULL, NULL, NULL,
      jsonb_strip_nulls(jsonb_build_object('customer', m.customer_id, 'from', m.from_id, 'to', m.to_id, 'identifier', m.identifier_id,
        'link', m.link_id, 'operation', m.operation_id, 'undone_by', m.undone_by)), m.merge_id
    FROM (
      SELECT x.* FROM place p CROSS JOIN LATERAL (SELECT * FROM cdp_data.merge_log x WHERE x.customer_id = p.home_id OFFSET 0) x
      -- The home of an identifier that was moved here may be somebody else's by now.
      WHERE p.moved_id IS NULL OR x.identifier_id = p.moved_id
      UNION
      SELECT x.* FROM (SELECT DISTINCT p.home_id FROM place p WHERE p.moved_id IS NULL) p
        CROSS JOIN LATERAL (SELECT * FROM cdp_data.merge_log x WHERE x.to_id = p.home_id OFFSET 0) x) m
    WHERE m.at >= coalesce($2, '-infinity') AND m.at < coalesce($3, 'infinity')$sql$);
  END IF;
  RETURN QUERY EXECUTE
    'WITH place AS MATERIALIZED (SELECT * FROM cdp_internal.customer_places($1)) SELECT x.at, x.kind, x.what, x.channel, x.value, x.currency, x.detail, x.id FROM ('
    -- By id within a moment, as each part is cut: fewer rows are always the first of more.
    || array_to_string(parts, ' UNION ALL ') || ') x ORDER BY x.at DESC, x.part, x.id DESC, x.what COLLATE "C", x.detail::text COLLATE "C" LIMIT $4'
  USING root, since, until, max_rows;
END
$$;
COMMENT ON FUNCTION cdp_internal.timeline_rows(bigint, timestamptz, timestamptz, integer) IS
'The rows of cdp.customer_timeline(), without a trace in the audit: for functions that leave their own.';

CREATE OR REPLACE FUNCTION cdp.customer_timeline(
  customer bigint, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, max_rows integer DEFAULT 100)
RETURNS TABLE (at timestamptz, kind text, what text, channel text, value numeric, currency text, detail jsonb, id bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT * FROM cdp_internal.timeline_rows(customer, since, until, max_rows);
  -- Who may not read values gets none, and leaves no trace.
  IF has_table_privilege('cdp_data.attribute_value', 'SELECT') OR has_column_privilege('cdp_data.touchpoint', 'properties', 'SELECT') THEN
    PERFORM cdp_internal.audit_read('customer_timeline', cdp_internal.root_of(customer));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.customer_timeline(bigint, timestamptz, timestamptz, integer) IS
'What happened to a customer, latest first (of one moment touchpoints, then attributes, then identity), for since <= at < until (NULL: always), at most max_rows: touches, conversions, refunds and other events with channel and value, values of attributes when they were first said, merges and splits of identity. customer may be any id that he ever had. kind: touch, conversion, refund, event, attribute, merge, split, move, attach; id: touchpoint_id or merge_id. Bots and internal traffic are in it and marked in detail; detail.event is the name of an event that is no kind, for readers who may read properties. Attributes and merges only for readers who may read their tables. Reads by index. A read that shows values leaves a row in cdp_data.audit, so it needs a writable session; without the right to values nothing is written. Errors: 25006 values asked for in a read-only transaction or on a standby, 22023 no such customer or max_rows out of range, 42501 without rights on touchpoints, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.customer_conflicts(root bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
BEGIN
  RETURN (
    WITH said AS (
      SELECT DISTINCT ON (v.attribute_id, v.identifier_id, v.source_id) v.*
      FROM cdp_internal.customer_places(root) p
        CROSS JOIN LATERAL (SELECT * FROM cdp_data.attribute_value_now v WHERE v.customer_id = p.home_id OFFSET 0) v
      WHERE CASE WHEN p.moved_id IS NULL THEN NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = v.identifier_id)
        ELSE v.identifier_id = p.moved_id END
      ORDER BY v.attribute_id, v.identifier_id, v.source_id, v.last_at DESC, v.value
    )
    SELECT coalesce(jsonb_object_agg(c.name, c.says), '{}') FROM (
      SELECT a.name, jsonb_agg(jsonb_build_object('value', s.value, 'source', n.name, 'identifier', s.identifier_id, 'last_at', s.last_at, 'verified', s.verified)
          ORDER BY s.last_at DESC, s.value, s.source_id, s.identifier_id) AS says
      FROM said s JOIN cdp_data.attribute_all a ON a.attribute_id = s.attribute_id JOIN cdp_data.source n ON n.source_id = s.source_id
      WHERE a.strategy NOT IN ('sum', 'union')
      GROUP BY a.name HAVING count(DISTINCT s.value) > 1) c);
END
$$;
COMMENT ON FUNCTION cdp_internal.customer_conflicts(bigint) IS
'Attributes of a root about which his sources and identifiers say different things now: {name: [{value, source, identifier, last_at, verified}, ...]}, newest first; sums and unions have none. {} without any.';

CREATE OR REPLACE FUNCTION cdp.customer_360(customer bigint, timeline_rows integer DEFAULT 50) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  root bigint;
  facts record;
  hidden text[] := '{}';
  sees_values boolean := has_column_privilege('cdp_data.identifier', 'value', 'SELECT');
  sees_attributes boolean := has_table_privilege('cdp_data.attribute_value', 'SELECT');
  doc jsonb;
BEGIN
  PERFORM cdp_internal.require_setup();
  root := cdp_internal.known_customer(customer);
  doc := jsonb_build_object('customer', root, 'asked_for', customer, 'at', now(),
    'merged', (SELECT coalesce(jsonb_agg(u.id ORDER BY u.id), '[]') FROM cdp_internal.customers_under(root) AS u (id) WHERE u.id <> root));
  IF sees_values THEN
    doc := doc || jsonb_build_object('identifiers', (
      SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('type', t.name, 'value', i.value, 'identifier', i.identifier_id, 'home', i.customer_id,
          'first_seen', i.first_seen, 'last_seen', i.last_seen, 'state', nullif(i.state, 'active'))) ORDER BY t.priority, t.type_id, i.value), '[]')
      FROM cdp_internal.members(root) m JOIN cdp_data.identifier i ON i.identifier_id = m.identifier_id
        JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id));
  ELSE
    hidden := hidden || 'identifiers'::text;
  END IF;
  IF sees_attributes THEN
    SELECT * INTO facts FROM cdp_internal.profile_rows(ARRAY[root]);
    doc := doc || jsonb_build_object(
      'attributes', coalesce(facts.doc -> 'values', '{}'),
      'provenance', (SELECT coalesce(jsonb_object_agg(e.key, e.value || jsonb_build_object('source', s.name)), '{}')
        FROM jsonb_each(facts.doc -> 'provenance') e LEFT JOIN cdp_data.source s ON s.source_id = (e.value ->> 'source')::integer),
      'conflicts', cdp_internal.customer_conflicts(root),
      'figures', jsonb_build_object('first_seen', facts.first_seen, 'last_seen', facts.last_seen, 'touches', coalesce(facts.touches, 0),
        'conversions', coalesce(facts.conversions, 0), 'orders', coalesce(facts.orders, 0), 'refunds', coalesce(facts.refunds, 0),
        'revenue', coalesce(facts.revenue, 0), 'average_order', facts.average_order, 'currency', (SELECT s.currency FROM cdp_data.setting s),
        'unrated', coalesce(facts.unrated, 0),
        'first_channel', (SELECT c.name FROM cdp_data.channel_all c WHERE c.channel_id = facts.first_channel_id),
        'last_channel', (SELECT c.name FROM cdp_data.channel_all c WHERE c.channel_id = facts.last_channel_id)),
      'quality', (SELECT jsonb_build_object('attributes', count(*), 'verified', count(*) FILTER (WHERE (e.value ->> 'verified')::boolean),
          'conflicting', count(*) FILTER (WHERE (e.value ->> 'others')::bigint > 0),
          'missing', (SELECT coalesce(jsonb_agg(b.name ORDER BY b.attribute_id), '[]') FROM cdp_data.attribute_all b
            WHERE NOT coalesce(facts.doc -> 'values' ? b.name, false)))
        FROM jsonb_each(facts.doc -> 'provenance') e));
  ELSE
    hidden := hidden || ARRAY['attributes', 'figures'];
  END IF;
  IF has_table_privilege('cdp_data.customer_group', 'SELECT') AND has_table_privilege('cdp_data.group_member', 'SELECT') AND has_table_privilege('cdp_data.group_trait', 'SELECT') THEN
    doc := doc || jsonb_build_object('groups', (
      SELECT coalesce(jsonb_agg(jsonb_build_object('group', g.group_id, 'source', g.source, 'key', g.group_key, 'first_at', g.first_at, 'last_at', g.last_at, 'traits', g.traits)
        ORDER BY g.last_at DESC, g.group_id), '[]')
      FROM cdp_internal.group_rows(root) g));
  ELSE
    hidden := hidden || 'groups'::text;
  END IF;
  IF sees_values AND has_table_privilege('cdp_data.link', 'SELECT') THEN
    doc := doc || jsonb_build_object('links', (
      SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('link', l.link_id, 'a', l.a_id, 'b', l.b_id, 'kind', l.kind, 'state', l.state,
          'reason', l.reason, 'weight', l.weight, 'first_seen', l.first_seen)) ORDER BY l.link_id), '[]')
      FROM (
        SELECT x.* FROM cdp_internal.members(root) m CROSS JOIN LATERAL (SELECT * FROM cdp_data.link x WHERE x.a_id = m.identifier_id OFFSET 0) x
        UNION
        SELECT x.* FROM cdp_internal.members(root) m CROSS JOIN LATERAL (SELECT * FROM cdp_data.link x WHERE x.b_id = m.identifier_id OFFSET 0) x) l));
  ELSE
    hidden := hidden || 'links'::text;
  END IF;
  IF sees_values AND has_table_privilege('cdp_data.identity_alert', 'SELECT') THEN
    doc := doc || jsonb_build_object('alerts', (
      SELECT coalesce(jsonb_agg(jsonb_build_object('at', a.at, 'kind', a.kind, 'identifier', a.identifier_id, 'detail', a.detail) ORDER BY a.alert_id), '[]')
      FROM cdp_data.identity_alert a
      WHERE a.resolved_at IS NULL
        AND (a.customer_id IN (SELECT cdp_internal.customers_under(root)) OR a.identifier_id IN (SELECT m.identifier_id FROM cdp_internal.members(root) m))));
  ELSE
    hidden := hidden || 'alerts'::text;
  END IF;
  doc := doc || jsonb_build_object('timeline', (
    SELECT coalesce(jsonb_agg(jsonb_strip_nulls(to_jsonb(t) - 'nth') ORDER BY t.nth), '[]')
    FROM cdp_internal.timeline_rows(root, NULL, NULL, timeline_rows) WITH ORDINALITY AS t (at, kind, what, channel, value, currency, detail, id, nth)));
  IF sees_values OR sees_attributes THEN
    PERFORM cdp_internal.audit_read('customer_360', root);
  END IF;
  RETURN doc || jsonb_build_object('hidden', hidden);
END
$$;
COMMENT ON FUNCTION cdp.customer_360(bigint, integer) IS
'All that is known of a customer as one JSON document, computed now: customer (the root), merged (ids that became one with it), identifiers, attributes with provenance, conflicts, figures, groups, links, open alerts, quality (attributes that are missing, your own too, or contested), and the last timeline_rows of cdp.customer_timeline(). customer may be any id that he ever had. Parts that the reader has no right to are left out and named in hidden. Times in UTC. A read that shows values leaves a row in cdp_data.audit, so it needs a writable session; without the right to values nothing is written. Errors: 25006 values asked for in a read-only transaction or on a standby, 22023 no such customer, 42501 without rights on touchpoints, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.customer_360(identifier_type text, value text, timeline_rows integer DEFAULT 50) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found bigint := cdp.customer_of(identifier_type, value);
BEGIN
  RETURN CASE WHEN found IS NOT NULL THEN cdp.customer_360(found, timeline_rows) END;
END
$$;
COMMENT ON FUNCTION cdp.customer_360(text, text, integer) IS
'cdp.customer_360() of the customer to whom an identifier belongs: cdp.customer_360(''phone'', ''138 1234 5678''). NULL when nobody has it. Errors: 22023 unknown type, and those of cdp.customer_360(customer).';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_profile()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.profile_state') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'profiles are not refreshed', format('last on %s', s.refreshed_at),
    'See that the job list runs (cdp.schedule()), or run SELECT * FROM cdp.refresh_profiles();'
  FROM cdp_data.profile_state s WHERE s.refreshed_at < now() - interval '1 day'
  UNION ALL
  SELECT 'error', 'aggregate of an attribute is not there', format('attribute %s: %s', a.name, a.aggregate),
    'Make it again, or choose another strategy with cdp.add_attribute()'
  FROM cdp_data.attribute a WHERE a.strategy = 'custom' AND to_regprocedure(a.aggregate) IS NULL
  UNION ALL
  SELECT 'info', 'conversions without a rate', format('%s conversions or refunds of %s customers are in no sum of money', sum(p.unrated), count(*)),
    'Put the missing rates into cdp_data.currency_rate'
  FROM cdp_data.profile p WHERE p.unrated > 0 HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_profile() IS
'Findings of cdp.health() about profiles: not refreshed for a day, a custom aggregate that is gone, money without a rate.';
