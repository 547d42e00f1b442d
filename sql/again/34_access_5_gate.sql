-- Governance room: gates of data quality before activation. What costs a scan is judged by a job and kept; the outbox
-- asks what was kept, and a load that nobody judged yet, or a judgement that grew old, counts as closed.

CREATE OR REPLACE FUNCTION cdp_internal.gate_load(source_id integer) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT l.load_id FROM cdp_data.load l
    WHERE l.source_id = gate_load.source_id AND l.state = 'done' AND l.kind NOT IN ('trial', 'calls') ORDER BY l.started_at DESC, l.load_id DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.gate_load(integer) IS
'The latest load in force of a source, also one that brought nothing; calls and trials do not count. NULL: none.';

CREATE OR REPLACE FUNCTION cdp_internal.gate_share(source_id integer, target text, load_id bigint, OUT part bigint, OUT whole bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  word text := split_part(target, ' ', 1);
  sought text := substr(target, pg_catalog.length(word) + 2);
BEGIN
  IF source_id IS NOT NULL THEN
    SELECT coalesce(sum(q.valid), 0), max(q.rows_seen) INTO part, whole FROM cdp_data.source_quality q WHERE q.load_id = gate_share.load_id AND q.target = gate_share.target;
    whole := coalesce(whole, (SELECT l.rows_read FROM cdp_data.load l WHERE l.load_id = gate_share.load_id), 0);
  ELSIF word = 'attribute' THEN
    SELECT count(*) FILTER (WHERE p.provenance ? sought), count(*) INTO part, whole FROM cdp_data.profile p;
  ELSE
    SELECT count(DISTINCT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, coalesce(o.customer_id, i.customer_id), NULL)) INTO part
    FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id
    WHERE t.name = sought AND i.state = 'active';
    SELECT count(*) INTO whole FROM cdp_data.profile p;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.gate_share(integer, text, bigint) IS
'How many have the target and how many there are: of the rows of a load when a source is given, else of all profiles.';

CREATE OR REPLACE FUNCTION cdp_internal.gate_judge(g record, OUT closed boolean, OUT detail text, OUT judged_load bigint, OUT valid_until timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  at timestamptz;
  share record;
  size bigint;
  usual numeric;
  n bigint;
BEGIN
  -- Every judgement has to be renewed within the hour.
  valid_until := now() + interval '1 hour';
  judged_load := cdp_internal.gate_load(g.source_id);
  IF g.kind = 'freshness' THEN
    SELECT d.last_at INTO at FROM cdp_internal.source_deliveries() d WHERE d.source_id = g.source_id;
    closed := at IS NULL OR at + g.max_age <= now();
    detail := CASE WHEN at IS NULL THEN 'the source never delivered' ELSE format('the latest delivery is of %s', date_trunc('second', at)) END;
    valid_until := least(valid_until, at + g.max_age);
  ELSIF g.kind = 'completeness' THEN
    share := cdp_internal.gate_share(g.source_id, g.target, judged_load);
    closed := share.whole = 0 OR share.part::numeric / nullif(share.whole, 0) < g.min_share;
    detail := format('%s of %s have %s', share.part, share.whole, g.target);
  ELSE
    SELECT l.rows_read INTO size FROM cdp_data.load l WHERE l.load_id = judged_load;
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x.rows_read), count(*) INTO usual, n
    FROM (SELECT l.rows_read FROM cdp_data.load l WHERE l.source_id = g.source_id AND l.state = 'done' AND l.kind = (SELECT k.kind FROM cdp_data.load k WHERE k.load_id = judged_load)
        AND l.load_id <> judged_load AND l.rows_read > 0 ORDER BY l.started_at DESC, l.load_id DESC LIMIT 7) x;
    closed := n >= 3 AND abs(size / usual - 1) > g.max_change;
    detail := CASE WHEN n < 3 THEN format('%s loads before it are too few to tell what is usual', n) ELSE format('load %s has %s rows, usual are %s', judged_load, size, usual) END;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.gate_judge(record) IS
'Judges one row of cdp_data.activation_gate now: whether it is closed, the figures in words, the load that was looked at, and until when the judgement holds. Usual is the median size of the seven loads of that kind before; with fewer than three the gate stays open.';

CREATE OR REPLACE FUNCTION cdp.judge_gates(name text DEFAULT NULL)
RETURNS TABLE (gate text, is_open boolean, since timestamptz, detail text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  g record;
  j record;
  word text;
BEGIN
  PERFORM cdp_internal.require_setup();
  FOR g IN SELECT * FROM cdp_data.activation_gate a WHERE a.is_active AND (judge_gates.name IS NULL OR a.name = judge_gates.name) ORDER BY a.name FOR UPDATE LOOP
    j := cdp_internal.gate_judge(g);
    word := CASE WHEN j.closed THEN 'closed' ELSE 'open' END;
    IF word <> g.state THEN
      PERFORM cdp_data.audit_write('gate', 'gate ' || g.name, NULL, jsonb_build_object('state', word, 'detail', j.detail));
    END IF;
    UPDATE cdp_data.activation_gate a SET state = word, since = CASE WHEN a.state = word THEN a.since ELSE now() END, detail = j.detail,
      judged_at = now(), judged_load = j.judged_load, valid_until = j.valid_until WHERE a.name = g.name;
    RETURN QUERY SELECT a.name::text, cdp_internal.gate_closed(a.name) IS NULL, a.since, a.detail FROM cdp_data.activation_gate a WHERE a.name = g.name;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.judge_gates(text) IS
'Judges the gates (or the one named) and keeps the result, a row for each: open now (an override counts), since when it is judged so, and the figures. The job gates does it every five minutes; call it after a load that activation waits for. For admin and the owner of the tables.';

CREATE OR REPLACE FUNCTION cdp.set_gate(name text, kind text, source text DEFAULT NULL, target text DEFAULT NULL, max_age interval DEFAULT NULL,
  min_share numeric DEFAULT NULL, max_change numeric DEFAULT NULL, destination text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('name of a gate', name, 100);
  IF kind IS NULL OR kind NOT IN ('freshness', 'completeness', 'size_jump')
    OR (CASE kind WHEN 'freshness' THEN max_age IS NULL OR source IS NULL OR num_nonnulls(min_share, max_change, target) > 0
      WHEN 'completeness' THEN min_share IS NULL OR target IS NULL OR num_nonnulls(max_age, max_change) > 0
      ELSE max_change IS NULL OR source IS NULL OR num_nonnulls(max_age, min_share, target) > 0 END) THEN
    RAISE EXCEPTION 'not a gate' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('kind is %s.', coalesce(quote_literal(left(kind, 50)), 'NULL')),
      HINT = 'freshness needs source and max_age; completeness target and min_share, source if it is about one; size_jump source and max_change.';
  ELSIF max_age <= '0'::interval OR NOT (min_share > 0 AND min_share <= 1) OR NOT (max_change > 0 AND max_change < 'Infinity') THEN
    RAISE EXCEPTION 'the bound of a gate is out of range'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got max_age %s, min_share %s, max_change %s.', coalesce(max_age::text, 'NULL'), coalesce(min_share::text, 'NULL'), coalesce(max_change::text, 'NULL')),
        HINT = 'max_age must be longer than nothing, min_share above 0 and at most 1, max_change a number above 0 (0.5: half).';
  ELSIF target IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.attribute_all a WHERE target = 'attribute ' || a.name)
    AND NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE target = 'identifier ' || t.name) THEN
    RAISE EXCEPTION 'unknown target "%"', left(target, 100) USING ERRCODE = 'invalid_parameter_value', HINT = 'Write attribute city or identifier email.';
  ELSIF destination IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.destination d WHERE d.destination = set_gate.destination) THEN
    RAISE EXCEPTION 'unknown destination "%"', left(destination, 100) USING ERRCODE = 'invalid_parameter_value', HINT = 'See cdp_data.destination; NULL stops every one.';
  END IF;
  INSERT INTO cdp_data.activation_gate AS g (name, kind, source_id, target, destination, max_age, min_share, max_change)
  VALUES (name, kind, CASE WHEN source IS NOT NULL THEN cdp_internal.source_of(source) END, target, destination, max_age, min_share, max_change)
  ON CONFLICT ON CONSTRAINT activation_gate_pkey DO UPDATE SET kind = excluded.kind, source_id = excluded.source_id, target = excluded.target,
    destination = excluded.destination, max_age = excluded.max_age, min_share = excluded.min_share, max_change = excluded.max_change, is_active = true,
    override_until = NULL, override_reason = NULL, override_by = NULL;
  IF kind = 'freshness' AND max_age < interval '1 day'
    AND EXISTS (SELECT FROM cdp_data.load l JOIN cdp_data.source s USING (source_id) WHERE s.name = set_gate.source AND l.kind = 'calls') THEN
    RAISE WARNING 'source "%" sends calls, which count by the day', source
      USING DETAIL = format('The gate can not notice within %s that they stopped.', max_age), HINT = 'Watch the program that calls, or give max_age a day or more.';
  END IF;
  PERFORM cdp_data.audit_write('setting', 'gate ' || name, NULL, jsonb_strip_nulls(jsonb_build_object('kind', kind, 'source', source, 'target', target, 'destination', destination,
    'max_age', max_age::text, 'min_share', min_share, 'max_change', max_change)));
  RETURN (SELECT j.is_open FROM cdp.judge_gates(name) j);
END
$$;
COMMENT ON FUNCTION cdp.set_gate(text, text, text, text, interval, numeric, numeric, text) IS
'Makes a gate, or changes the one of that name, and judges it; true when it is open. SELECT cdp.set_gate(''shop fresh'', ''freshness'', ''shop'', max_age => ''26 hours''); (''emails'', ''completeness'', target => ''identifier email'', min_share => 0.6); (''shop size'', ''size_jump'', ''shop'', max_change => 0.5). destination: only messages to it are stopped; NULL: all. While it is closed the outbox refuses with its reason. Errors: 22023 unknown kind, source, target or destination, a bad name, limits of another kind, or a limit out of range.';

CREATE OR REPLACE FUNCTION cdp.drop_gate(name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  DELETE FROM cdp_data.activation_gate g WHERE g.name = drop_gate.name;
  IF FOUND THEN
    PERFORM cdp_data.audit_write('setting', 'gate ' || name || ' dropped');
    RETURN true;
  END IF;
  RETURN false;
END
$$;
COMMENT ON FUNCTION cdp.drop_gate(text) IS 'Takes a gate away; true when there was one.';

CREATE OR REPLACE FUNCTION cdp.override_gate(name text, until timestamptz, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF coalesce(btrim(reason), '') = '' OR until IS NULL OR until > now() + interval '30 days' THEN
    RAISE EXCEPTION 'an override needs a reason and an end within 30 days' USING ERRCODE = 'invalid_parameter_value', HINT = 'An end that is past takes it back.';
  END IF;
  UPDATE cdp_data.activation_gate g SET override_until = override_gate.until, override_reason = override_gate.reason, override_by = session_user WHERE g.name = override_gate.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no gate "%"', left(name, 100) USING ERRCODE = 'invalid_parameter_value', HINT = 'See cdp_bi.activation_gate.';
  END IF;
  PERFORM cdp_data.audit_write('gate', 'gate ' || name, NULL, jsonb_build_object('override_until', until, 'reason', reason));
END
$$;
COMMENT ON FUNCTION cdp.override_gate(text, timestamptz, text) IS
'Lets activation pass a closed gate until a moment at most 30 days ahead, for a reason; both stand in the view and in the audit. Errors: 22023 no such gate, no reason, no such end.';

CREATE OR REPLACE FUNCTION cdp_internal.gate_closed(gate text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT CASE WHEN g.override_until > now() THEN NULL
      WHEN g.state = 'closed' THEN g.detail
      WHEN g.source_id IS NOT NULL AND g.kind <> 'freshness' AND cdp_internal.gate_load(g.source_id) IS DISTINCT FROM g.judged_load THEN
        format('load %s has not been judged yet', coalesce(cdp_internal.gate_load(g.source_id)::text, 'none'))
      WHEN g.valid_until <= now() THEN format('its last judgement of %s no longer holds', date_trunc('second', g.judged_at)) END
    FROM cdp_data.activation_gate g WHERE g.name = gate AND g.is_active);
END
$$;
COMMENT ON FUNCTION cdp_internal.gate_closed(text) IS
'Why a gate is closed now; NULL: it is open, overridden, switched off, or there is none of that name.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_hold_of_gates(destination text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT format('gate "%s" is closed: %s', x.name, x.reason)
    FROM (SELECT g.name, cdp_internal.gate_closed(g.name) AS reason FROM cdp_data.activation_gate g
          WHERE g.is_active AND (g.destination IS NULL OR g.destination = outbox_hold_of_gates.destination)) x
    WHERE x.reason IS NOT NULL ORDER BY x.name LIMIT 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_hold_of_gates(text) IS
'Why nothing may go out to a destination for now: the first closed gate by name, with its reason. NULL: nothing against it.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusal_of_gates(destination text, kind text, customer_id bigint, payload jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN NOT cdp_internal.is_urgent(kind) THEN cdp_internal.outbox_hold_of_gates(destination) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusal_of_gates(text, text, bigint, jsonb) IS
'The gates of data quality before the outbox (cdp.outbox_refusal()): refuses while a gate of the destination is closed. What is urgent (cdp_internal.is_urgent()) passes. NULL: nothing against it.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusals_of_gates(destination text, kind text, customers bigint[], payloads jsonb[])
RETURNS TABLE (n bigint, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  held text := CASE WHEN NOT cdp_internal.is_urgent(kind) THEN cdp_internal.outbox_hold_of_gates(destination) END;
BEGIN
  RETURN QUERY SELECT g::bigint, held FROM generate_series(1, cardinality(customers)) g WHERE held IS NOT NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusals_of_gates(text, text, bigint[], jsonb[]) IS
'The same gate for many messages (cdp_internal.outbox_refusals()): a row for each while a gate of the destination is closed.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_gates()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT 'warning', 'gate_closed', format('gate %s stops %s since %s: %s', quote_literal(g.name), coalesce('messages to ' || quote_ident(g.destination), 'all messages'), g.since, g.detail), g.remedy
  FROM cdp_bi.activation_gate g WHERE NOT g.is_open;
  RETURN QUERY
  SELECT 'info', 'gate_overridden', format('gate %s is overridden by %s until %s', quote_literal(g.name), g.override_by, g.override_until), 'None needed'
  FROM cdp_data.activation_gate g WHERE g.is_active AND g.override_until > now();
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_gates() IS 'Findings of cdp.health() about gates of data quality that stop activation.';
