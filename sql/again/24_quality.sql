-- Identity room, ingestion: what is integrated and what is missing, how good it is, and what must hold before a source
-- goes live. No personal value is shown.

CREATE OR REPLACE FUNCTION cdp_internal.source_targets() RETURNS TABLE (source_id integer, target text, load_id bigint, delivered bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- The latest load of a source that showed the target, in force; trials deliver nothing.
  RETURN QUERY
  SELECT DISTINCT ON (q.source_id, q.target) q.source_id, q.target, q.load_id, q.valid
  FROM cdp_data.source_quality q JOIN cdp_data.load l ON l.load_id = q.load_id
  WHERE q.valid > 0 AND l.state = 'done' AND l.kind <> 'trial'
  ORDER BY q.source_id, q.target, q.load_id DESC;
END
$$;
COMMENT ON FUNCTION cdp_internal.source_targets() IS
'Which identifiers, attributes and columns each source delivers, by its latest load in force that did, and how many valid values that had. Calls count from the day after.';

CREATE OR REPLACE FUNCTION cdp.source_plan()
RETURNS TABLE (source text, record_kind text, part text, item text, state text, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  WITH loads AS MATERIALIZED (
    SELECT l.source_id, max(l.started_at) AS last_at, count(*) AS n, sum(l.rows_read) AS rows, sum(l.quarantined) AS refused
    FROM cdp_data.load l WHERE l.state = 'done' AND l.kind <> 'trial' GROUP BY l.source_id
  ), targets AS MATERIALIZED (
    SELECT * FROM cdp_internal.source_targets()
  )
  SELECT x.* FROM (
    SELECT s.name AS source, f.record_kind, 'field' AS part, f.field AS item,
      CASE WHEN f.target_kind = 'ignore' THEN 'ignored' WHEN c.status = 'live' THEN 'integrated' ELSE 'planned' END AS state,
      concat_ws(' ', f.target_kind, f.target_name, CASE WHEN f.required THEN '(required)' END) AS detail
    FROM cdp_data.source_field f JOIN cdp_data.source_contract c USING (source_id, record_kind) JOIN cdp_data.source s USING (source_id)
    UNION ALL
    SELECT s.name, NULL, split_part(t.target, ' ', 1), substring(t.target FROM ' (.*)$'), 'integrated', format('%s valid values in load %s', t.delivered, t.load_id)
    FROM targets t JOIN cdp_data.source s USING (source_id) WHERE t.target ~ '^(identifier|attribute) '
    UNION ALL
    SELECT s.name, NULL, 'delivery', 'load', CASE WHEN l.n IS NULL THEN 'missing'
        WHEN l.last_at < now() - (SELECT min(c.freshness) FROM cdp_data.source_contract c WHERE c.source_id = s.source_id AND c.status = 'live') THEN 'late' ELSE 'integrated' END,
      CASE WHEN l.n IS NULL THEN 'declared, nothing was loaded' ELSE format('%s loads, %s rows, %s in quarantine, the last %s', l.n, l.rows, l.refused, date_trunc('minute', l.last_at)) END
    FROM cdp_data.source s LEFT JOIN loads l USING (source_id)
    UNION ALL
    SELECT s.name, c.record_kind, 'field', v.name, 'missing', v.detail
    FROM cdp_data.source_contract c JOIN cdp_data.source s USING (source_id)
      JOIN (VALUES ('customer', 'source_key', 'no field is the key: the strongest identifier stands for it'), ('customer', 'observed_at', 'no field is the time: that of the load stands for it'),
        ('event', 'value', 'no field is the money')) AS v (record_kind, name, detail) USING (record_kind)
    WHERE NOT EXISTS (SELECT FROM cdp_data.source_field f WHERE (f.source_id, f.record_kind, f.target_name) = (c.source_id, c.record_kind, v.name))
    UNION ALL
    SELECT s.name, NULL, 'field', u.field, 'unused', 'told in calls, and no attribute has its name' FROM cdp_data.source_unmapped u JOIN cdp_data.source s USING (source_id)
    UNION ALL
    SELECT NULL, NULL, 'identifier', t.name, 'missing', 'no source delivers it' FROM cdp_data.identifier_type_all t
    WHERE t.role <> 'ignore' AND NOT EXISTS (SELECT FROM targets x WHERE x.target = 'identifier ' || t.name)
    UNION ALL
    SELECT NULL, NULL, 'attribute', a.name, 'missing', 'no source delivers it' FROM cdp_data.attribute_all a
    WHERE NOT EXISTS (SELECT FROM targets x WHERE x.target = 'attribute ' || a.name)
  ) x
  ORDER BY x.source NULLS LAST, x.part, x.state, x.item, x.record_kind;
END
$$;
COMMENT ON FUNCTION cdp.source_plan() IS
'What is integrated and what is missing: a row for each field of a contract (state integrated, planned while the contract is not live, ignored), for each identifier and attribute that a source delivers, for each source''s deliveries (integrated, missing: declared and nothing loaded, late: longer ago than its contract''s freshness), for each trait that is told and not used, and, with source NULL, for each identifier type and attribute that no source delivers.';

CREATE OR REPLACE FUNCTION cdp.source_check(source text)
RETURNS TABLE (severity text, record_kind text, finding text, field text, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  src integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  src := cdp_internal.source_of(source);
  RETURN QUERY
  WITH contract AS MATERIALIZED (
    -- The latest trial or load since the contract was declared is what is judged.
    SELECT c.*, l.load_id, l.rows_read, l.quarantined
    FROM cdp_data.source_contract c LEFT JOIN LATERAL (
      SELECT l.load_id, l.rows_read, l.quarantined FROM cdp_data.load l
      WHERE l.source_id = src AND l.state = 'done' AND l.started_at >= c.declared_at
        AND EXISTS (SELECT FROM cdp_data.source_quality q WHERE q.load_id = l.load_id AND q.record_kind = c.record_kind)
      ORDER BY l.load_id DESC LIMIT 1) l ON true
    WHERE c.source_id = src
  ), quality AS MATERIALIZED (
    SELECT q.*, f.required, f.target_kind, f.target_name
    FROM contract c JOIN cdp_data.source_quality q ON q.load_id = c.load_id AND q.record_kind = c.record_kind JOIN cdp_data.source_field f ON (f.source_id, f.record_kind, f.field) = (src, c.record_kind, q.field)
  )
  SELECT x.* FROM (
    SELECT 'error' AS severity, NULL AS record_kind, 'no_contract' AS finding, NULL AS field, 'nothing is declared: cdp.declare_contract()' AS detail WHERE NOT EXISTS (SELECT FROM contract)
    UNION ALL
    SELECT 'error', c.record_kind, 'not_tried', NULL, 'no load since the contract was declared: load with trial => true' FROM contract c WHERE c.load_id IS NULL
    UNION ALL
    SELECT 'error', c.record_kind, 'no_rows', NULL, format('load %s had no row', c.load_id) FROM contract c WHERE c.rows_read = 0
    UNION ALL
    SELECT CASE WHEN c.quarantined > 0.05 * c.rows_read THEN 'error' ELSE 'warning' END, c.record_kind, 'refused_rows', NULL,
      format('%s of %s rows went to quarantine in load %s', c.quarantined, c.rows_read, c.load_id)
    FROM contract c WHERE c.quarantined > 0.01 * c.rows_read
    UNION ALL
    SELECT 'error', q.record_kind, 'incomplete', q.field, format('required, filled in %s of %s rows', q.filled, q.rows_seen) FROM quality q WHERE q.required AND q.filled < q.rows_seen * 0.99
    UNION ALL
    SELECT CASE WHEN q.valid < 0.9 * q.filled THEN 'error' ELSE 'warning' END, q.record_kind, 'invalid', q.field, format('%s of %s values do not fit', q.filled - q.valid, q.filled)
    FROM quality q WHERE q.valid < 0.99 * q.filled
    UNION ALL
    SELECT 'error', c.record_kind, 'nobody', NULL, 'no field that identifies has a valid value' FROM contract c
    WHERE c.load_id IS NOT NULL AND c.rows_read > 0 AND NOT EXISTS (SELECT FROM quality q WHERE q.record_kind = c.record_kind AND q.target_kind = 'identifier' AND q.valid > 0)
    UNION ALL
    SELECT 'error', q.record_kind, 'not_unique', q.field, format('the key has %s different values in %s rows', q.distinct_values, q.filled)
    FROM quality q WHERE q.target_name = 'source_key' AND q.distinct_values < q.filled * 0.99
    UNION ALL
    SELECT 'warning', q.record_kind, 'shared_values', q.field, format('%s different values in %s rows: do they identify a person?', q.distinct_values, q.valid)
    FROM quality q WHERE q.target_kind = 'identifier' AND q.record_kind = 'customer' AND q.distinct_values < q.valid * 0.5
    UNION ALL
    SELECT 'warning', q.record_kind, 'never_filled', q.field, 'declared and not filled in any row' FROM quality q WHERE q.filled = 0 AND q.rows_seen > 0 AND NOT q.required
    UNION ALL
    SELECT 'warning', c.record_kind, 'no_owner', NULL, 'nobody answers for the source' FROM contract c WHERE c.owner IS NULL
    UNION ALL
    SELECT 'warning', c.record_kind, 'no_freshness', NULL, 'it is not promised how often something comes' FROM contract c WHERE c.freshness IS NULL
  ) x ORDER BY x.severity, x.record_kind NULLS FIRST, x.finding, x.field;
END
$$;
COMMENT ON FUNCTION cdp.source_check(text) IS
'What stands against a source going live, by its contract and its latest load or trial since that was declared: severity error (must be mended) or warning, record_kind, finding (a fixed word), field, detail with the figures. Errors are: no contract, no trial, no row, over 5 % of the rows in quarantine, a required field missing in over 1 %, over 10 % of a field''s values invalid, nobody identified, keys that repeat in over 1 %. No row: all is well. Errors: 22023 unknown source.';

CREATE OR REPLACE FUNCTION cdp.source_go_live(source text) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  src integer;
  failed bigint;
  told text;
  n integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  src := cdp_internal.source_of(source);
  PERFORM FROM cdp_data.source_contract c WHERE c.source_id = src ORDER BY c.record_kind FOR UPDATE;
  SELECT count(*), string_agg(concat_ws(' ', c.record_kind, c.finding, c.field) || ': ' || c.detail, E'\n') INTO failed, told
  FROM cdp.source_check(source) c WHERE c.severity = 'error';
  IF failed > 0 THEN
    RAISE EXCEPTION 'the source does not pass % checks', failed
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = told, HINT = 'SELECT * FROM cdp.source_check(source); gives them as rows.';
  END IF;
  UPDATE cdp_data.source_contract c SET status = 'live', went_live_at = now() WHERE c.source_id = src AND c.status <> 'live';
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp.source_go_live(text) IS
'Makes the contracts of a source live, so that its loads and messages are taken in. Refuses with every error of cdp.source_check(), warnings do not stop it. Returns how many contracts went live. Errors: 55000 a check fails, 22023 unknown source.';

CREATE OR REPLACE FUNCTION cdp.source_pause(source text) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  UPDATE cdp_data.source_contract c SET status = 'paused' WHERE c.source_id = cdp_internal.source_of(source) AND c.status = 'live';
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp.source_pause(text) IS
'Takes nothing more in from a source with live contracts until cdp.source_go_live(). Returns how many contracts were paused. Errors: 22023 unknown source.';

CREATE OR REPLACE FUNCTION cdp.attribute_conflicts(attribute text DEFAULT NULL, max_rows integer DEFAULT 1000)
RETURNS TABLE (attribute_name text, customer_id bigint, sources text[], different_values bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  PERFORM cdp_internal.require_setup();
  IF attribute IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.attribute_all a WHERE a.name = attribute) THEN
    RAISE EXCEPTION 'unknown attribute "%"', left(attribute, 63)
      USING ERRCODE = 'invalid_parameter_value',
        HINT = cdp_internal.did_you_mean(attribute, ARRAY(SELECT a.name FROM cdp_data.attribute_all a), 'SELECT name FROM cdp_data.attribute_all; lists them.');
  END IF;
  RETURN QUERY
  WITH said AS MATERIALIZED (
    SELECT v.attribute_id, v.source_id, coalesce(o.customer_id, v.customer_id) AS under, v.value, v.last_at, v.load_id
    FROM cdp_data.attribute_value v JOIN cdp_data.load l ON l.load_id = v.load_id AND l.state = 'done'
      JOIN cdp_data.attribute_all a ON a.attribute_id = v.attribute_id AND a.data_type NOT IN ('list', 'json') AND a.strategy NOT IN ('sum', 'min', 'max')
      LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = v.identifier_id
    WHERE attribute IS NULL OR a.name = attribute
  ), root AS MATERIALIZED (
    SELECT r.customer_id, r.root_id FROM cdp_internal.roots_of(ARRAY(SELECT DISTINCT s.under FROM said s)) r
  ), latest AS (
    SELECT DISTINCT ON (r.root_id, s.attribute_id, s.source_id) r.root_id, s.attribute_id, s.source_id, s.value
    FROM said s JOIN root r ON r.customer_id = s.under
    ORDER BY r.root_id, s.attribute_id, s.source_id, s.last_at DESC, s.load_id DESC, s.value COLLATE "C"
  )
  SELECT a.name, x.root_id, x.sources, x.n
  FROM (SELECT l.root_id, l.attribute_id, array_agg(s.name ORDER BY s.name) AS sources, count(DISTINCT l.value COLLATE "C") AS n
        FROM latest l JOIN cdp_data.source s USING (source_id) GROUP BY 1, 2 HAVING count(DISTINCT l.value COLLATE "C") > 1) x
    JOIN cdp_data.attribute_all a USING (attribute_id)
  ORDER BY a.name, x.root_id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION cdp.attribute_conflicts(text, integer) IS
'Customers of whom sources disagree: attribute, customer, the sources that say something about it, and how many different values they say now (each source''s latest). Attributes that are added up, united, or the least or greatest of all have no conflicts. attribute NULL: all. Shows no value. Errors: 22023 unknown attribute.';

CREATE OR REPLACE FUNCTION cdp.incomplete_profiles(wanted text[] DEFAULT '{identifier email,identifier phone,attribute full_name}', max_rows integer DEFAULT 1000)
RETURNS TABLE (customer_id bigint, missing text[], could_deliver jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  wrong text;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT w INTO wrong FROM unnest(wanted) w
  WHERE NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE w = 'identifier ' || t.name) AND NOT EXISTS (SELECT FROM cdp_data.attribute_all a WHERE w = 'attribute ' || a.name)
  ORDER BY w LIMIT 1;
  IF FOUND OR wanted = '{}' OR wanted IS NULL THEN
    RAISE EXCEPTION 'unknown target "%"', left(wrong, 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(wrong, ARRAY(
        SELECT 'identifier ' || t.name FROM cdp_data.identifier_type_all t UNION ALL SELECT 'attribute ' || a.name FROM cdp_data.attribute_all a),
        'Write identifier TYPE or attribute NAME.');
  END IF;
  RETURN QUERY
  WITH has AS (
    SELECT coalesce(o.customer_id, i.customer_id) AS under, 'identifier ' || t.name AS target
    FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t USING (type_id) LEFT JOIN cdp_data.identifier_override o USING (identifier_id)
    WHERE 'identifier ' || t.name = ANY (wanted)
    UNION
    SELECT coalesce(o.customer_id, v.customer_id), 'attribute ' || a.name
    FROM cdp_data.attribute_value v JOIN cdp_data.load l ON l.load_id = v.load_id AND l.state = 'done' JOIN cdp_data.attribute_all a USING (attribute_id)
      LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = v.identifier_id
    WHERE 'attribute ' || a.name = ANY (wanted)
  ), there AS (
    SELECT DISTINCT r.root_id, h.target FROM has h JOIN cdp_internal.roots_of(ARRAY(SELECT DISTINCT under FROM has)) r ON r.customer_id = h.under
  ), lacking AS (
    SELECT c.customer_id, w.target FROM cdp_data.customer c CROSS JOIN unnest(wanted) AS w (target)
    WHERE c.parent_id = c.customer_id
      AND (EXISTS (SELECT FROM cdp_data.identifier i WHERE i.customer_id = c.customer_id) OR EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.customer_id = c.customer_id))
    EXCEPT
    SELECT t.root_id, t.target FROM there t
  )
  SELECT x.customer_id, x.missing, (
    SELECT jsonb_object_agg(m, (SELECT coalesce(jsonb_agg(s.name ORDER BY s.name), '[]') FROM cdp_internal.source_targets() t JOIN cdp_data.source s USING (source_id) WHERE t.target = m))
    FROM unnest(x.missing) m)
  FROM (SELECT l.customer_id, array_agg(l.target ORDER BY array_position(wanted, l.target)) AS missing FROM lacking l GROUP BY l.customer_id
        ORDER BY count(*) DESC, l.customer_id LIMIT max_rows) x
  ORDER BY cardinality(x.missing) DESC, x.customer_id;
END
$$;
COMMENT ON FUNCTION cdp.incomplete_profiles(text[], integer) IS
'A work list: customers who lack some of what is wanted ("identifier TYPE" or "attribute NAME"), most first, with what is missing and, for each, the sources that deliver such a thing: could_deliver {"identifier phone": ["crm", "shop"]}, an empty list when none does. Reads all of them; shows no value. Errors: 22023 unknown target.';

CREATE OR REPLACE FUNCTION cdp.source_orphans()
RETURNS TABLE (source text, finding text, item text, orphans bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  SELECT s.name, 'awaited record', NULL::text, count(DISTINCT a.source_key)
  FROM cdp_data.touchpoint_awaited a JOIN cdp_data.source s USING (source_id)
  WHERE NOT EXISTS (SELECT FROM cdp_data.touchpoint_key k WHERE (k.source_id, k.source_key) = (a.source_id, a.source_key))
  GROUP BY s.name
  UNION ALL
  SELECT NULL, 'identifier without evidence', t.name, count(*)
  FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t USING (type_id)
  WHERE i.identifier_id IN (
    SELECT x.identifier_id FROM cdp_data.identifier x
    EXCEPT SELECT p.identifier_id FROM cdp_data.touchpoint p
    EXCEPT SELECT e.id FROM cdp_data.link l JOIN cdp_data.link_support u USING (link_id) JOIN cdp_data.load d USING (load_id) CROSS JOIN LATERAL (VALUES (l.a_id), (l.b_id)) AS e (id)
      WHERE d.state = 'done'
    EXCEPT SELECT e.id FROM cdp_data.link l CROSS JOIN LATERAL (VALUES (l.a_id), (l.b_id)) AS e (id) WHERE l.kind <> 'deterministic' AND l.state <> 'revoked'
    EXCEPT SELECT v.identifier_id FROM cdp_data.attribute_value v JOIN cdp_data.load d USING (load_id) WHERE d.state = 'done'
    EXCEPT SELECT m.identifier_id FROM cdp_data.call_message m JOIN cdp_data.load d USING (load_id) WHERE d.state = 'done'
    EXCEPT SELECT r.identifier_id FROM cdp_data.customer_record r JOIN cdp_data.load d ON d.load_id IN (r.load_id, r.confirmed_by) WHERE d.state = 'done')
  GROUP BY t.name
  ORDER BY 1 NULLS LAST, 2, 3;
END
$$;
COMMENT ON FUNCTION cdp.source_orphans() IS
'What hangs in the air: per source the records that others refer to and that never came (awaited record), and per identifier type the identifiers that no load in force shows any more, after reverts (identifier without evidence, source NULL). Reads everything once. No row: nothing does.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_ingest()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT 'warning', 'source_late', format('source %s: the last load was %s ago, promised every %s', quote_literal(s.name), date_trunc('minute', now() - l.last_at), c.freshness),
    'Ask who answers for the source; SELECT * FROM cdp_bi.source_plan; tells more'
  FROM (SELECT x.source_id, min(x.freshness) AS freshness FROM cdp_data.source_contract x WHERE x.status = 'live' AND x.freshness IS NOT NULL GROUP BY 1) c
    JOIN cdp_data.source s USING (source_id)
    CROSS JOIN LATERAL (SELECT max(coalesce(x.finished_at, now())) AS last_at FROM cdp_data.load x WHERE x.source_id = c.source_id AND x.state = 'done' AND x.kind <> 'trial') l
  WHERE l.last_at < now() - c.freshness;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_ingest() IS
'Findings of cdp.health() about sources: live ones that deliver later than their contract promises.';
