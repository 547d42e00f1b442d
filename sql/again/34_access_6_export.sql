-- Governance room: the smallest audience that may be seen, and exports with maker and checker. Segments and activation
-- ask here before people leave the database.

CREATE OR REPLACE FUNCTION cdp_internal.minimum_audience() RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT s.minimum_audience FROM cdp_data.setting s);
END
$$;
COMMENT ON FUNCTION cdp_internal.minimum_audience() IS 'The smallest number of people about whom a report shows a figure or an export is made; NULL: any.';

CREATE OR REPLACE FUNCTION cdp.require_audience(people bigint, what text DEFAULT 'the report') RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  least_people integer := cdp_internal.minimum_audience();
BEGIN
  -- How many they are is not told: that would be the figure.
  IF people > 0 AND people < least_people THEN
    RAISE EXCEPTION '% is about fewer people than the minimum audience', what
      USING ERRCODE = 'insufficient_privilege', DETAIL = format('The minimum is %s (cdp_data.setting.minimum_audience).', least_people),
        HINT = 'Ask about more people: a longer time, a wider group.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.require_audience(bigint, text) IS
'For reports and exports: error 42501 when they are about more than nobody and fewer than cdp_data.setting.minimum_audience people. Nothing happens without a minimum.';

CREATE OR REPLACE FUNCTION cdp_internal.export_ask_in(what text, audience bigint, destination text, purpose text, reason text, maker text, maker_role text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  s record;
  id bigint;
  word text;
  alone numeric := 0;
BEGIN
  IF coalesce(btrim(what), '') = '' OR pg_catalog.length(what) > 200 OR pg_catalog.length(reason) > 1000 OR audience IS NULL OR audience < 0 THEN
    RAISE EXCEPTION 'an export needs a name of at most 200 characters and the number of people' USING ERRCODE = 'invalid_parameter_value';
  ELSIF destination IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.destination d WHERE d.destination = export_ask_in.destination) THEN
    RAISE EXCEPTION 'unknown destination "%"', left(destination, 100) USING ERRCODE = 'invalid_parameter_value', HINT = 'See cdp_data.destination; NULL: a file.';
  ELSIF purpose IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.purpose_all p WHERE p.name = purpose) THEN
    RAISE EXCEPTION 'unknown purpose "%"', left(purpose, 100) USING ERRCODE = 'invalid_parameter_value', HINT = 'See cdp_data.purpose_all.';
  END IF;
  PERFORM cdp.require_audience(audience, 'the export');
  SELECT t.export_approval_above AS above, t.export_valid AS valid INTO s FROM cdp_data.setting t;
  IF s.above IS NOT NULL THEN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
      RAISE EXCEPTION 'exports are asked for under READ COMMITTED only'
        USING ERRCODE = 'invalid_transaction_state', DETAIL = format('This transaction is %s: what was asked for since it began would not be seen.', upper(current_setting('transaction_isolation'))),
          HINT = 'Ask in a transaction of its own.';
    END IF;
    -- Many small exports are a large one: what a login took lately, or still may take, without another person counts along.
    PERFORM pg_advisory_xact_lock(hashtextextended('pg_cdp export ' || maker, 0));
    SELECT coalesce(sum(coalesce(e.done_size, e.audience)), 0) INTO alone FROM cdp_data.export_request e
    WHERE e.requested_by = maker AND e.decided_by IS NULL AND (e.state = 'approved' AND e.expires_at > now() OR e.state = 'done' AND e.done_at > now() - s.valid);
  END IF;
  word := CASE WHEN audience + alone > s.above THEN 'requested' ELSE 'approved' END;
  INSERT INTO cdp_data.export_request AS e (what, audience, destination, purpose, reason, state, requested_by, requested_role, expires_at)
  VALUES (what, audience, destination, purpose, reason, word, maker, maker_role, now() + s.valid)
  RETURNING e.export_id INTO id;
  PERFORM cdp_data.audit_write('export', 'export ' || id, NULL, jsonb_build_object('step', word, 'audience', audience, 'destination', destination, 'purpose', purpose));
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.export_ask_in(text, bigint, text, text, text, text, text) IS 'Writes a request for an export, for cdp_data.export_ask(). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.export_judge_in(export bigint, verdict text, note text, checker text, checker_role text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  e record;
  ends timestamptz;
BEGIN
  IF verdict IS NULL OR verdict NOT IN ('approved', 'rejected') THEN
    RAISE EXCEPTION 'a verdict is approved or rejected' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT * INTO e FROM cdp_data.export_request r WHERE r.export_id = export FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no export %', coalesce(export::text, 'NULL') USING ERRCODE = 'invalid_parameter_value', HINT = 'See cdp_bi.export_request.';
  ELSIF e.state <> 'requested' OR e.expires_at <= now() THEN
    RAISE EXCEPTION 'export % does not wait for a decision', export
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It is %s.', CASE WHEN e.state = 'requested' THEN 'expired' ELSE e.state END), HINT = 'Ask for a new one: cdp.request_export().';
  -- Another person, so another login; a pool that lets all log in as one can not have two.
  ELSIF verdict = 'approved' AND (checker = e.requested_by OR checker_role = e.requested_role) THEN
    RAISE EXCEPTION 'who asks for an export does not approve it'
      USING ERRCODE = 'insufficient_privilege', DETAIL = format('Export %s was asked for by %s as %s.', export, e.requested_by, e.requested_role), HINT = 'Another login in another role has to.';
  END IF;
  ends := CASE WHEN verdict = 'approved' THEN now() + (SELECT t.export_valid FROM cdp_data.setting t) END;
  UPDATE cdp_data.export_request r SET state = verdict, decided_by = checker, decided_role = checker_role, decided_at = now(), decision_note = left(note, 1000),
    expires_at = coalesce(ends, r.expires_at) WHERE r.export_id = export;
  PERFORM cdp_data.audit_write('approve', 'export ' || export, NULL, jsonb_build_object('verdict', verdict, 'audience', e.audience));
  RETURN ends;
END
$$;
COMMENT ON FUNCTION cdp_internal.export_judge_in(bigint, text, text, text, text) IS 'Writes the decision on an export, for cdp_data.export_judge(). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.export_use_in(export bigint, size bigint, who text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  e record;
  reason text;
BEGIN
  SELECT * INTO e FROM cdp_data.export_request r WHERE r.export_id = export FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no export %', coalesce(export::text, 'NULL') USING ERRCODE = 'invalid_parameter_value', HINT = 'See cdp_bi.export_request.';
  ELSIF e.requested_by <> who THEN
    RAISE EXCEPTION 'export % is somebody else''s', export USING ERRCODE = 'insufficient_privilege', HINT = 'Ask for one of your own: cdp.request_export().';
  ELSIF e.state <> 'approved' OR e.expires_at <= now() THEN
    RAISE EXCEPTION 'export % may not be made', export
      USING ERRCODE = 'object_not_in_prerequisite_state',
        DETAIL = CASE WHEN e.state = 'approved' THEN format('Its approval ended at %s.', e.expires_at) ELSE format('It is %s.', e.state) END,
        HINT = CASE e.state WHEN 'requested' THEN format('Another person has to: SELECT cdp.approve_export(%s);', export) ELSE 'Ask for a new one: cdp.request_export().' END;
  ELSIF size IS NULL OR size < 0 OR size > e.audience THEN
    RAISE EXCEPTION 'export % is larger than what was asked for', export
      USING ERRCODE = 'insufficient_privilege', DETAIL = format('It has %s people, %s were asked for.', coalesce(size::text, 'NULL'), e.audience), HINT = 'Ask for a new one with the right number.';
  END IF;
  PERFORM cdp.require_audience(size, 'the export');
  reason := CASE WHEN e.destination IS NOT NULL THEN cdp_internal.outbox_hold_of_gates(e.destination) END;
  IF reason IS NOT NULL THEN
    RAISE EXCEPTION 'export % is stopped: %', export, reason USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'See cdp_bi.activation_gate for the remedy.';
  END IF;
  UPDATE cdp_data.export_request r SET state = 'done', done_at = now(), done_size = size WHERE r.export_id = export;
  PERFORM cdp_data.audit_write('export', 'export ' || export, NULL, jsonb_build_object('step', 'done', 'size', size, 'destination', e.destination));
END
$$;
COMMENT ON FUNCTION cdp_internal.export_use_in(bigint, bigint, text) IS 'Lets an approved export pass once, for cdp_data.export_use(). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.request_export(what text, audience bigint, destination text DEFAULT NULL, purpose text DEFAULT NULL, reason text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.export_ask(what, audience, destination, purpose, reason);
END
$$;
COMMENT ON FUNCTION cdp.request_export(text, bigint, text, text, text) IS
'Asks for an export of so many people: SELECT cdp.request_export(''segment vip'', 1200, ''crm'', ''marketing'', ''spring mailing''). Up to cdp_data.setting.export_approval_above people it is approved at once, above it waits for cdp.approve_export() of another person; either for cdp_data.setting.export_valid. People of the login''s other exports that no second person approved, made within that time or still to be made, count along. Waits for a request of the same login that is under way. Returns its number, which cdp.use_export() takes. Errors: 22023 bad argument, unknown destination or purpose; 42501 fewer people than the minimum audience, or without the right to ask; 25000 in a transaction that is not READ COMMITTED.';

CREATE OR REPLACE FUNCTION cdp.approve_export(export bigint, note text DEFAULT NULL) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.export_judge(export, 'approved', note);
END
$$;
COMMENT ON FUNCTION cdp.approve_export(bigint, text) IS
'Approves an export that somebody else asked for: another login, in another role. Returns when the approval ends. For admin and privacy. Errors: 22023 no such export, 55000 it does not wait, 42501 one''s own, or without the right.';

CREATE OR REPLACE FUNCTION cdp.reject_export(export bigint, note text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.export_judge(export, 'rejected', note);
END
$$;
COMMENT ON FUNCTION cdp.reject_export(bigint, text) IS 'Refuses an export that waits. For admin and privacy. Errors: as cdp.approve_export().';

CREATE OR REPLACE FUNCTION cdp.use_export(export bigint, size bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.export_use(export, size);
END
$$;
COMMENT ON FUNCTION cdp.use_export(bigint, bigint) IS
'For whatever exports: lets an approved export pass, once, for who asked for it, with at most the people asked for, and notes it. Call it in the transaction that exports. Errors: 55000 not approved, expired, already made, or a closed gate of its destination; 42501 somebody else''s, larger than asked for, or below the minimum audience; 22023 no such export.';
