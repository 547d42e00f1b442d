-- Identity room, ingestion: what is integrated and what is missing, how good it is, and what must hold before a source
-- goes live. No personal value is shown.

CREATE OR REPLACE FUNCTION cdp_internal.count_touchpoints(load_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  load bigint := count_touchpoints.load_id;
  n bigint;
BEGIN
  INSERT INTO cdp_data.source_quality (load_id, source_id, record_kind, field, target, rows_seen, filled, valid)
  SELECT load, l.source_id, 'event', 'source_key', 'touchpoint source_key', l.rows_read, l.rows_read - b.n, l.rows_read - b.n
  FROM cdp_data.load l, (SELECT count(*) AS n FROM cdp_data.quarantine q WHERE q.load_id = load AND q.code = 'bad_key') b WHERE l.load_id = load
  UNION ALL
  SELECT load, l.source_id, 'event', t.name, 'identifier ' || t.name, l.rows_read, x.n, x.n
  FROM (SELECT i.type_id, count(*) AS n FROM cdp_data.touchpoint p JOIN cdp_data.identifier i USING (identifier_id)
        WHERE p.load_id = load AND p.occurred_at BETWEEN (SELECT l.first_at FROM cdp_data.load l WHERE l.load_id = load) AND (SELECT l.last_at FROM cdp_data.load l WHERE l.load_id = load)
        GROUP BY i.type_id) x
    JOIN cdp_data.identifier_type_all t USING (type_id), cdp_data.load l WHERE l.load_id = load
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.count_touchpoints(bigint) IS
'Counts into cdp_data.source_quality which identifiers a load of touchpoints holds, so that cdp.source_plan() knows what it delivers; distinct values are not counted. Returns the rows written.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_quality()
LANGUAGE plpgsql
AS $$
DECLARE
  id pg_catalog.int8;
BEGIN
  FOR id IN SELECT l.load_id FROM cdp_data.load l
    WHERE l.kind OPERATOR(pg_catalog.=) 'touchpoints' AND l.state OPERATOR(pg_catalog.=) 'done'
      AND NOT EXISTS (SELECT FROM cdp_data.source_quality q WHERE q.load_id OPERATOR(pg_catalog.=) l.load_id)
    ORDER BY l.load_id
  LOOP
    PERFORM cdp_internal.count_touchpoints(id);
    COMMIT;
  END LOOP;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_quality() IS
'Part of cdp.maintain(): counts once what each load of touchpoints delivered. Commits after each.';

CREATE OR REPLACE FUNCTION cdp_internal.source_targets() RETURNS TABLE (source_id integer, target text, load_id bigint, delivered bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- The latest load of a source that showed the target, in force; trials deliver nothing. Fields of one type add up.
  RETURN QUERY
  SELECT DISTINCT ON (x.source_id, x.target) x.source_id, x.target, x.load_id, x.n
  FROM (SELECT q.source_id, q.target, q.load_id, sum(q.valid)::bigint AS n
        FROM cdp_data.source_quality q JOIN cdp_data.load l ON l.load_id = q.load_id
        WHERE q.valid > 0 AND l.state = 'done' AND l.kind <> 'trial' GROUP BY 1, 2, 3) x
  ORDER BY x.source_id, x.target, x.load_id DESC;
END
$$;
COMMENT ON FUNCTION cdp_internal.source_targets() IS
'Which identifiers, attributes and columns each source delivers, by its latest load in force that did, and how many valid values that had. Calls and loads of touchpoints count once cdp.maintain() has counted them.';

CREATE OR REPLACE FUNCTION cdp_internal.source_deliveries() RETURNS TABLE (source_id integer, last_at timestamptz, loads bigint, rows_read bigint, quarantined bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Calls of a day are one load; nobody notes when the last of them came.
  RETURN QUERY
  SELECT l.source_id, max(CASE WHEN l.kind = 'calls' THEN least(now(), date_trunc('day', l.started_at, 'UTC') + interval '24 hours') ELSE coalesce(l.finished_at, l.started_at) END),
    count(*), coalesce(sum(l.rows_read), 0)::bigint, coalesce(sum(l.quarantined), 0)::bigint
  FROM cdp_data.load l WHERE l.state = 'done' AND l.kind <> 'trial' GROUP BY l.source_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.source_deliveries() IS
'Sources that delivered something that is in force: when last (of calls the end of their UTC day, at most now), and the counts of their loads. Trials deliver nothing.';

CREATE OR REPLACE FUNCTION cdp.source_plan()
RETURNS TABLE (source text, record_kind text, part text, item text, state text, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  WITH loads AS MATERIALIZED (
    SELECT d.source_id, d.last_at, d.loads AS n, d.rows_read AS rows, d.quarantined AS refused FROM cdp_internal.source_deliveries() d
  ), targets AS MATERIALIZED (
    SELECT * FROM cdp_internal.source_targets()
  )
  SELECT x.* FROM (
    SELECT s.name AS source, f.record_kind, 'field' AS part, f.field AS item,
      CASE WHEN f.target_kind = 'ignore' THEN 'ignored' WHEN c.status = 'live' THEN 'integrated' WHEN c.status = 'paused' THEN 'paused' ELSE 'planned' END AS state,
      concat_ws(' ', f.target_kind, f.target_name, CASE WHEN f.required THEN '(required)' END) AS detail
    FROM cdp_data.source_field f JOIN cdp_data.source_contract c USING (source_id, record_kind) JOIN cdp_data.source s USING (source_id)
    UNION ALL
    SELECT s.name, NULL, split_part(t.target, ' ', 1), substring(t.target FROM ' (.*)$'), 'integrated', format('%s valid values in load %s', t.delivered, t.load_id)
    FROM targets t JOIN cdp_data.source s USING (source_id) WHERE t.target ~ '^(identifier|attribute) '
    UNION ALL
    SELECT s.name, NULL, 'delivery', 'load', CASE WHEN l.n IS NULL THEN 'missing'
        WHEN l.last_at < now() - (SELECT min(c.freshness) FROM cdp_data.source_contract c WHERE c.source_id = s.source_id AND c.status = 'live') THEN 'late' ELSE 'integrated' END,
      CASE WHEN l.n IS NULL THEN 'nothing of it is in force' ELSE format('%s loads, %s rows, %s in quarantine, the last until %s UTC', l.n, l.rows, l.refused, to_char(l.last_at, 'YYYY-MM-DD HH24:MI')) END
    FROM cdp_data.source s LEFT JOIN loads l USING (source_id)
    UNION ALL
    SELECT s.name, c.record_kind, 'field', v.name, 'missing', v.detail
    FROM cdp_data.source_contract c JOIN cdp_data.source s USING (source_id)
      JOIN (VALUES ('customer', 'record', 'source_key', 'no field is the key: the strongest identifier stands for it'), ('customer', 'record', 'observed_at', 'no field is the time: that of the load stands for it'),
        ('event', 'touchpoint', 'value', 'no field is the money')) AS v (record_kind, target_kind, name, detail) USING (record_kind)
    WHERE NOT EXISTS (SELECT FROM cdp_data.source_field f WHERE (f.source_id, f.record_kind, f.target_kind, f.target_name) = (c.source_id, c.record_kind, v.target_kind, v.name))
    UNION ALL
    SELECT s.name, NULL, 'field', u.field, 'unused', 'delivered, and nothing is made of it' FROM cdp_data.source_unmapped u JOIN cdp_data.source s USING (source_id)
    -- Unless somebody has said since what it is.
    WHERE NOT EXISTS (SELECT FROM cdp_data.source_field f WHERE f.source_id = u.source_id AND (f.field = u.field OR f.field ~ '^[$][.]' AND u.field = ANY (string_to_array(f.field, '.'))))
      AND NOT EXISTS (SELECT FROM cdp_data.attribute_all a WHERE a.name = u.field) AND NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE t.name = u.field)
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
'What is integrated and what is missing: a row for each field of a contract (state integrated, planned before the contract is live, paused, ignored; missing: a key, time or money that it does not name), for each identifier and attribute that a source delivers, for each source''s deliveries (integrated, missing: nothing is in force, late: longer ago than its contract''s freshness), for each trait or column that is delivered and not used (unused), and, with source NULL, for each identifier type and attribute that no source delivers.';

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
      WHERE l.source_id = src AND l.state = 'done' AND l.kind <> 'calls' AND l.started_at >= c.declared_at
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
    SELECT 'error', c.record_kind, 'not_tried', NULL, 'no trial since the contract was declared: load with trial => true, or cdp.trial_messages()' FROM contract c WHERE c.load_id IS NULL
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
'Stops the batches and messages of a source with live contracts until cdp.source_go_live(): loads are refused, messages wait in quarantine. cdp.identify() and its kin ask no contract and go on. Returns how many contracts were paused. Errors: 22023 unknown source.';

CREATE OR REPLACE FUNCTION cdp_internal.check_max_rows(max_rows bigint) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF max_rows < 0 THEN
    RAISE EXCEPTION 'max_rows must not be negative' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', max_rows), HINT = 'NULL means all.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.check_max_rows(bigint) IS
'Error 22023 for a number of rows below 0; NULL means all.';

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
  PERFORM cdp_internal.check_max_rows(max_rows);
  RETURN QUERY
  WITH said AS MATERIALIZED (
    SELECT v.attribute_id, v.source_id, coalesce(o.customer_id, v.customer_id) AS under, v.value, v.last_at, v.load_id
    FROM cdp_data.attribute_value_now v
      JOIN cdp_data.attribute_all a ON a.attribute_id = v.attribute_id AND a.data_type NOT IN ('list', 'json') AND a.strategy NOT IN ('sum', 'min', 'max')
      LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = v.identifier_id
    WHERE attribute IS NULL OR a.name = attribute
  ), root AS MATERIALIZED (
    SELECT r.customer_id, r.root_id FROM cdp_internal.roots_of(ARRAY(SELECT DISTINCT s.under FROM said s)) r
  ), latest AS (
    SELECT DISTINCT ON (r.root_id, s.attribute_id, s.source_id) r.root_id, s.attribute_id, s.source_id, s.value
    FROM said s JOIN root r ON r.customer_id = s.under
    ORDER BY r.root_id, s.attribute_id, s.source_id, s.last_at DESC, s.value COLLATE "C"
  )
  SELECT a.name, x.root_id, x.sources, x.n
  FROM (SELECT l.root_id, l.attribute_id, array_agg(s.name ORDER BY s.name) AS sources, count(DISTINCT l.value COLLATE "C") AS n
        FROM latest l JOIN cdp_data.source s USING (source_id) GROUP BY 1, 2 HAVING count(DISTINCT l.value COLLATE "C") > 1) x
    JOIN cdp_data.attribute_all a USING (attribute_id)
  ORDER BY a.name, x.root_id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION cdp.attribute_conflicts(text, integer) IS
'Customers of whom sources disagree: attribute, customer, the sources that say something about it, and how many different values they say now (each source''s latest; of two at one moment the lesser by bytes). Attributes that are added up, united, or the least or greatest of all have no conflicts. attribute NULL: all; at most max_rows (NULL: all), by attribute and customer. Shows no value, but reads them: for the owner of the tables and the role privacy; others have cdp_bi.customer_attribute_conflict. Errors: 22023 unknown attribute, max_rows below 0.';

CREATE OR REPLACE FUNCTION cdp_internal.identifiers_without_evidence() RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.load d WHERE d.state = 'reverted') THEN
    RETURN;
  END IF;
  RETURN QUERY
  WITH gone AS MATERIALIZED (SELECT d.load_id FROM cdp_data.load d WHERE d.state = 'reverted'),
  shown AS (
    SELECT t.identifier_id FROM cdp_data.touchpoint_retracted t JOIN gone USING (load_id)
    UNION SELECT e.id FROM cdp_data.link_support u JOIN gone USING (load_id) JOIN cdp_data.link l USING (link_id) CROSS JOIN LATERAL (VALUES (l.a_id), (l.b_id)) AS e (id)
    UNION SELECT v.identifier_id FROM cdp_data.attribute_value v JOIN gone USING (load_id)
    UNION SELECT m.identifier_id FROM cdp_data.call_message m JOIN gone USING (load_id)
    UNION SELECT m.identifier_id FROM cdp_data.group_member m JOIN gone USING (load_id)
    UNION SELECT r.identifier_id FROM cdp_data.customer_record r JOIN gone ON gone.load_id IN (r.load_id, r.said_by)
  )
  SELECT x.identifier_id FROM shown x JOIN cdp_data.identifier i USING (identifier_id)
  EXCEPT SELECT p.identifier_id FROM cdp_data.touchpoint p
  EXCEPT SELECT e.id FROM cdp_data.link l JOIN cdp_data.link_support_now u USING (link_id) CROSS JOIN LATERAL (VALUES (l.a_id), (l.b_id)) AS e (id)
  EXCEPT SELECT e.id FROM cdp_data.link l CROSS JOIN LATERAL (VALUES (l.a_id), (l.b_id)) AS e (id) WHERE l.kind <> 'deterministic' AND l.state <> 'revoked'
  EXCEPT SELECT v.identifier_id FROM cdp_data.attribute_value_now v
  EXCEPT SELECT m.identifier_id FROM cdp_data.call_message m JOIN cdp_data.load d USING (load_id) WHERE d.state = 'done'
  EXCEPT SELECT m.identifier_id FROM cdp_data.group_member m JOIN cdp_data.load d USING (load_id) WHERE d.state = 'done'
  EXCEPT SELECT r.identifier_id FROM cdp_data.customer_record r JOIN cdp_data.record_version w USING (version_id) JOIN cdp_data.repetition p USING (repetition_id)
    WHERE p.own_time OR p.first_at IS NOT NULL
  EXCEPT SELECT r.identifier_id FROM cdp_data.customer_record r JOIN cdp_data.load d ON d.load_id IN (r.load_id, r.said_by) WHERE d.state = 'done';
END
$$;
COMMENT ON FUNCTION cdp_internal.identifiers_without_evidence() IS
'Identifiers that reverted loads showed and no load in force does, and that nobody linked by hand. Without reverted loads at once none, else reads everything once.';

CREATE OR REPLACE FUNCTION cdp.incomplete_profiles(wanted text[] DEFAULT '{identifier email,identifier phone,attribute full_name}', max_rows integer DEFAULT 1000)
RETURNS TABLE (customer_id bigint, missing text[], could_deliver jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  wrong text;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF coalesce(wanted, '{}') = '{}' THEN
    RAISE EXCEPTION 'nothing is wanted' USING ERRCODE = 'invalid_parameter_value', HINT = 'Name at least one identifier TYPE or attribute NAME.';
  END IF;
  SELECT w INTO wrong FROM unnest(wanted) w
  WHERE NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE w = 'identifier ' || t.name) AND NOT EXISTS (SELECT FROM cdp_data.attribute_all a WHERE w = 'attribute ' || a.name)
  ORDER BY w LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'unknown target "%"', left(wrong, 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(wrong, ARRAY(
        SELECT 'identifier ' || t.name FROM cdp_data.identifier_type_all t UNION ALL SELECT 'attribute ' || a.name FROM cdp_data.attribute_all a),
        'Write identifier TYPE or attribute NAME.');
  END IF;
  PERFORM cdp_internal.check_max_rows(max_rows);
  RETURN QUERY
  WITH shown AS MATERIALIZED (
    -- What no load in force shows is nobody: after a revert there would be work for people who never were.
    SELECT i.identifier_id, coalesce(o.customer_id, i.customer_id) AS under, 'identifier ' || t.name AS target
    FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t USING (type_id) LEFT JOIN cdp_data.identifier_override o USING (identifier_id)
    WHERE NOT EXISTS (SELECT FROM cdp_internal.identifiers_without_evidence() w WHERE w = i.identifier_id)
  ), has AS (
    SELECT s.under, s.target FROM shown s WHERE s.target = ANY (wanted)
    UNION
    SELECT coalesce(o.customer_id, v.customer_id), 'attribute ' || a.name
    FROM cdp_data.attribute_value_now v JOIN cdp_data.attribute_all a USING (attribute_id)
      LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = v.identifier_id
    WHERE 'attribute ' || a.name = ANY (wanted)
  ), root AS MATERIALIZED (
    SELECT r.customer_id, r.root_id FROM cdp_internal.roots_of(ARRAY(SELECT s.under FROM shown s UNION SELECT h.under FROM has h)) r
  ), lacking AS (
    SELECT r.root_id AS customer_id, w.target FROM (SELECT DISTINCT x.root_id FROM shown s JOIN root x ON x.customer_id = s.under) r CROSS JOIN unnest(wanted) AS w (target)
    EXCEPT
    SELECT x.root_id, h.target FROM has h JOIN root x ON x.customer_id = h.under
  ), work AS MATERIALIZED (
    SELECT l.customer_id, array_agg(l.target ORDER BY array_position(wanted, l.target)) AS missing FROM lacking l GROUP BY l.customer_id
    ORDER BY count(*) DESC, l.customer_id LIMIT max_rows
  ), source AS MATERIALIZED (
    SELECT w.target, coalesce(jsonb_agg(DISTINCT s.name) FILTER (WHERE s.name IS NOT NULL), '[]') AS names
    FROM unnest(wanted) AS w (target) LEFT JOIN cdp_internal.source_targets() t ON t.target = w.target LEFT JOIN cdp_data.source s ON s.source_id = t.source_id
    GROUP BY w.target
  )
  SELECT x.customer_id, x.missing, (SELECT jsonb_object_agg(s.target, s.names) FROM source s WHERE s.target = ANY (x.missing))
  FROM work x ORDER BY cardinality(x.missing) DESC, x.customer_id;
END
$$;
COMMENT ON FUNCTION cdp.incomplete_profiles(text[], integer) IS
'A work list: customers who lack some of what is wanted ("identifier TYPE" or "attribute NAME"), most first, with what is missing and, for each, the sources that deliver such a thing: could_deliver {"identifier phone": ["crm", "shop"]}, an empty list when none does. Only what loads in force show counts; customers of whom they show nothing are not in it. At most max_rows (NULL: all). Reads everything once; shows no value. For the owner of the tables and the role privacy. Errors: 22023 unknown target, nothing wanted, max_rows below 0.';

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
    -- Who refers to it may be gone himself.
    AND EXISTS (SELECT FROM cdp_data.touchpoint t WHERE t.customer_id = a.customer_id AND t.occurred_at BETWEEN a.first_at AND a.last_at AND t.refers_to = a.touchpoint_id)
  GROUP BY s.name
  UNION ALL
  SELECT NULL, 'identifier without evidence', t.name, count(*)
  FROM cdp_internal.identifiers_without_evidence() w JOIN cdp_data.identifier i ON i.identifier_id = w JOIN cdp_data.identifier_type_all t USING (type_id)
  GROUP BY t.name
  ORDER BY 1 NULLS LAST, 2, 3;
END
$$;
COMMENT ON FUNCTION cdp.source_orphans() IS
'What hangs in the air: per source the records that others refer to and that never came (awaited record), and per identifier type the identifiers that only reverted loads showed (identifier without evidence, source NULL). Reads everything once. For the owner of the tables and the role privacy. No row: nothing does.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_ingest()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT 'warning', 'source_late', format('source %s: %s, promised every %s', quote_literal(s.name), CASE WHEN l.last_at IS NULL THEN 'nothing of it is in force'
      ELSE format('the last load was %s ago', date_trunc('minute', now() - l.last_at)) END, c.freshness),
    'Ask who answers for the source; SELECT * FROM cdp_bi.source_plan; tells more'
  FROM (SELECT x.source_id, min(x.freshness) AS freshness, max(x.went_live_at) AS live_at FROM cdp_data.source_contract x WHERE x.status = 'live' AND x.freshness IS NOT NULL GROUP BY 1) c
    JOIN cdp_data.source s USING (source_id) LEFT JOIN cdp_internal.source_deliveries() l USING (source_id)
  WHERE greatest(l.last_at, CASE WHEN l.last_at IS NULL THEN c.live_at END) < now() - c.freshness
  UNION ALL
  SELECT 'warning', 'unknown_kind', format('cdp_data.event_map says kind %s of event %s', quote_literal(m.kind), quote_literal(m.event)),
    'There is no such kind, so the rule does nothing: see cdp_data.touch_kind_all'
  FROM cdp_data.event_map m WHERE NOT EXISTS (SELECT FROM cdp_data.touch_kind_all k WHERE k.name = m.kind);
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_ingest() IS
'Findings of cdp.health() about sources: live ones that deliver later than their contract promises, and rules for events that name a kind which is not there.';
