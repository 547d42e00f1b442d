-- Activation room, activations: making them, following segments and consent, comparing everybody once more.

CREATE OR REPLACE FUNCTION cdp_internal.activation_rivals(a record) RETURNS integer[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(SELECT x.activation_id FROM cdp_data.activation x
    WHERE a.priority_group <> '' AND x.priority_group = a.priority_group AND x.activation_id <> a.activation_id AND x.state <> 'ended' ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_rivals(record) IS 'The other activations of its priority group that have not ended.';

CREATE OR REPLACE FUNCTION cdp.create_activation(name text, segment text, destination text, identifiers text[] DEFAULT '{}', attributes text[] DEFAULT '{}',
  holdout text DEFAULT NULL, priority_group text DEFAULT NULL, priority integer DEFAULT 0) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s record := cdp_internal.segment_of(segment);
  a cdp_data.activation;
  odd text;
BEGIN
  PERFORM cdp_internal.require_text('name of an activation', name, 200);
  IF NOT EXISTS (SELECT FROM cdp_data.destination d WHERE d.destination = create_activation.destination) THEN
    RAISE EXCEPTION 'there is no destination named "%"', left(destination, 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(destination, ARRAY(SELECT d.destination FROM cdp_data.destination d), 'Make it first: SELECT cdp.add_destination(...);');
  ELSIF s.state = 'archived' THEN
    RAISE EXCEPTION 'segment "%" is archived', segment USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'cdp.activate_segment() has it evaluated again.';
  ELSIF array_position(identifiers, NULL) IS NOT NULL OR array_position(attributes, NULL) IS NOT NULL OR priority IS NULL THEN
    RAISE EXCEPTION 'identifiers, attributes and priority must not be NULL' USING ERRCODE = 'null_value_not_allowed', HINT = 'Leave them out for none.';
  END IF;
  SELECT u INTO odd FROM unnest(identifiers) u WHERE NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE t.name = u) ORDER BY u LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'there is no type of identifiers named "%"', left(odd, 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(odd, ARRAY(SELECT t.name FROM cdp_data.identifier_type_all t), 'SELECT name FROM cdp_data.identifier_type_all; lists them.');
  END IF;
  PERFORM cdp_internal.activation_hold();
  INSERT INTO cdp_data.activation AS x (name, segment_id, destination, holdout_id, identifiers, attributes, priority_group, priority)
  VALUES (create_activation.name, s.segment_id, create_activation.destination, CASE WHEN holdout IS NOT NULL THEN (cdp_internal.holdout_of(holdout)).holdout_id END,
    ARRAY(SELECT DISTINCT u FROM unnest(create_activation.identifiers) u ORDER BY 1), ARRAY(SELECT DISTINCT u FROM unnest(create_activation.attributes) u ORDER BY 1),
    coalesce(create_activation.priority_group, ''), create_activation.priority)
  ON CONFLICT DO NOTHING RETURNING * INTO a;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is an activation named "%" already, or one of this segment at this destination', name
      USING ERRCODE = 'unique_violation', HINT = 'End that one first, or give this one another name.';
  END IF;
  odd := cdp_internal.activation_blocked(a);
  IF odd IS NOT NULL THEN
    RAISE EXCEPTION 'the destination may not get this segment: %', odd
      USING ERRCODE = 'invalid_parameter_value', HINT = 'See cdp.add_destination() and cdp.allow_purposes().';
  END IF;
  PERFORM cdp.require_audience(cdp.roaring_count(w.want), 'the activation') FROM cdp_internal.activation_want(ARRAY[a.activation_id], NULL) w;
  PERFORM cdp_internal.activation_mark(cdp_internal.activation_rivals(a), 'another activation of its priority group was made');
  IF NOT EXISTS (SELECT FROM cdp_data.feed_cursor c WHERE c.consumer = 'activation') THEN
    -- What happened before is in what the destination is told at the beginning.
    PERFORM cdp.feed_advance('activation', pg_current_snapshot());
  END IF;
  PERFORM cdp_data.audit_write('activation', 'activation ' || name, NULL, jsonb_build_object('op', 'create', 'activation_id', a.activation_id, 'segment', segment, 'destination', destination,
    'identifiers', to_jsonb(a.identifiers), 'attributes', to_jsonb(a.attributes)));
  RETURN a.activation_id;
END
$$;
COMMENT ON FUNCTION cdp.create_activation(text, text, text, text[], text[], text, text, integer) IS
'Keeps a destination of the outbox the same as a segment: SELECT cdp.create_activation(''vip ads'', ''vip'', ''ads'', identifiers => ''{email}''). Who is in now is sent by cdp.sync_activations() (the job list runs it) or cdp.fill_activation(); who enters and leaves later, in the transaction that finds it. Destination and segment are for the same purpose. identifiers: types whose values its messages carry; attributes likewise, which the purpose must allow. holdout: name of a holdout whose control arm it never gets. priority_group: of its activations a customer goes only to the one with the lowest priority. Returns activation_id. Waits for a run of segments. Needs the rights of the tables'' owner. Errors: 42704 no such segment, destination or holdout; 22023 what the purpose does not allow, an unknown type; 42501 fewer people than the minimum audience; 23505 the name or the pair is taken; 55000 an archived segment.';

CREATE OR REPLACE FUNCTION cdp_internal.activation_fill(a record, batch integer, OUT added bigint, OUT remaining bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  part bigint[];
BEGIN
  SELECT array_agg(m ORDER BY m) FILTER (WHERE nth <= batch), greatest(count(*) - batch, 0) INTO part, remaining
  FROM (SELECT m, row_number() OVER (ORDER BY m) AS nth FROM cdp.roaring_ids(cdp_internal.segment_bits(a.segment_id)) m WHERE m > a.filled_to) x;
  added := coalesce((SELECT s.added FROM cdp_internal.activation_sync(ARRAY[a.activation_id], part, true) s WHERE part IS NOT NULL), 0);
  UPDATE cdp_data.activation x SET filled_to = CASE WHEN remaining > 0 THEN part[cardinality(part)] END WHERE x.activation_id = a.activation_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_fill(record, integer) IS
'Tells the destination of the next so many members that an activation began with, in the order of their ids, and notes how far it came. Returns how many it told, and how many members of the segment are still to be looked at. The caller holds cdp_data.profile_state.';

CREATE OR REPLACE FUNCTION cdp.fill_activation(name text, batch integer DEFAULT 50000, OUT added bigint, OUT remaining bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  a cdp_data.activation := cdp_internal.activation_of(name);
BEGIN
  IF batch IS NULL OR batch < 1 THEN
    RAISE EXCEPTION 'batch must be above zero' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(batch::text, 'NULL'));
  END IF;
  PERFORM cdp_internal.activation_hold();
  a := cdp_internal.activation_of(name);
  added := 0;
  remaining := 0;
  IF a.state = 'active' AND a.filled_to IS NOT NULL THEN
    SELECT f.added, f.remaining INTO added, remaining FROM cdp_internal.activation_fill(a, batch) f;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.fill_activation(text, integer) IS
'Sends the next batch of the members that an activation began with; call it, each time in a transaction of its own, until remaining is 0. What the job activations does anyway, 50,000 members of each activation a minute. added: how many the destination was told of; remaining: members of the segment not looked at yet. Whatever stops it, the next call goes on after the last one that was committed. Errors: 42704 no such activation, 22023 batch.';

CREATE OR REPLACE FUNCTION cdp_internal.activation_follow(run bigint) RETURNS TABLE (activation_id integer, added bigint, removed bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  ids integer[] := ARRAY(SELECT a.activation_id FROM cdp_data.activation a WHERE a.state <> 'ended' ORDER BY 1);
  upto pg_snapshot := pg_current_snapshot();
  asked timestamptz := clock_timestamp();
  since timestamptz;
  purposes text[];
  scope bigint[];
  everybody text;
  map bytea := cdp_internal.customer_map();
BEGIN
  IF ids = '{}' THEN
    DELETE FROM cdp_data.feed_cursor c WHERE c.consumer = 'activation';
    RETURN;
  END IF;
  PERFORM cdp_internal.activation_hold();
  SELECT min(a.asked_at), array_agg(DISTINCT s.purpose) || 'analytics'::text INTO since, purposes
  FROM cdp_data.activation a JOIN cdp_data.segment s ON s.segment_id = a.segment_id WHERE a.activation_id = ANY (ids);
  SELECT coalesce(array_agg(DISTINCT f.id) FILTER (WHERE f.id IS NOT NULL), '{}'), max(f.cause) FILTER (WHERE f.id IS NULL) INTO scope, everybody
  FROM (
    SELECT r.customer_id AS id, r.cause FROM cdp.feed_read('activation', upto) r
    UNION ALL
    SELECT o.customer_id, o.cause FROM cdp_data.change_feed o WHERE o.xid = pg_current_xact_id_if_assigned()
    UNION ALL
    SELECT unnest(cdp_internal.consent_turns(p.name, since, asked)), 'consent' FROM cdp_data.purpose_all p WHERE p.name = ANY (purposes)
    UNION ALL
    SELECT t.customer_id, t.cause FROM cdp_data.segment_transition t WHERE t.run_id = run
      AND t.segment_id IN (SELECT a.segment_id FROM cdp_data.activation a WHERE a.activation_id = ANY (ids))
  ) f;
  -- The feed names homes; their moved identifiers, and those who were merged, belong to others.
  scope := ARRAY(
    SELECT u FROM unnest(scope) u UNION SELECT cdp_internal.customer_root(map, NULL, u, NULL) FROM unnest(scope) u
    UNION SELECT cdp_internal.customer_root(map, NULL, o.customer_id, NULL) FROM cdp_data.identifier i JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id WHERE i.customer_id = ANY (scope));
  IF everybody IS NOT NULL THEN
    PERFORM cdp_internal.activation_mark(ids, format('everybody may have changed (%s)', everybody));
  END IF;
  IF scope <> '{}' THEN
    RETURN QUERY SELECT s.activation_id, s.added, s.removed FROM cdp_internal.activation_sync(ids, scope, true) s;
  END IF;
  UPDATE cdp_data.activation a SET asked_at = asked WHERE a.activation_id = ANY (ids);
  PERFORM cdp.feed_advance('activation', upto);
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_follow(bigint) IS
'Tells destinations of customers who entered or left in this run of segments (NULL: of none), or of whom the change feed tells, or whose consent turned by itself, since the last time. When everybody may have changed that is noted only. The caller holds cdp_data.profile_state.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_run_for_activation(run_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.activation_follow(run_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_run_for_activation(bigint) IS 'Activations follow a run of segments, in its transaction.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_changed_for_activation(roots bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  ids integer[] := ARRAY(SELECT a.activation_id FROM cdp_data.activation a WHERE a.state <> 'ended' ORDER BY 1);
  names jsonb;
BEGIN
  IF ids = '{}' THEN
    RETURN;
  ELSIF roots IS NULL THEN
    names := cdp_internal.segment_catalog();
    -- Who may be used from now on, such as on another channel of the destination, is found by comparing everybody.
    UPDATE cdp_data.activation a SET blocked = b.reason, stale = coalesce(a.stale, 'whom its purpose allows may have changed'), stale_since = coalesce(a.stale_since, clock_timestamp())
    FROM (SELECT x.activation_id, cdp_internal.activation_blocked(x, names) AS reason FROM cdp_data.activation x WHERE x.activation_id = ANY (ids) OFFSET 0) b
    WHERE a.activation_id = b.activation_id AND (a.stale IS NULL OR a.blocked IS DISTINCT FROM b.reason);
  END IF;
  PERFORM cdp_internal.activation_sync(ids, CASE WHEN roots IS NOT NULL THEN ARRAY(SELECT u FROM unnest(roots) r, cdp_internal.customers_under(r) u) END, false, true);
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_changed_for_activation(bigint[]) IS
'Who may no longer be used leaves every destination, in the transaction in which that is said (cdp_internal.consent_told()).';

CREATE OR REPLACE FUNCTION cdp_internal.activation_compare(id integer, OUT added bigint, OUT removed bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- What can still not be told is noted anew, with the moment since when.
  UPDATE cdp_data.activation x SET stale = NULL WHERE x.activation_id = id;
  SELECT s.added, s.removed INTO added, removed FROM cdp_internal.activation_sync(ARRAY[id], NULL, true) s;
  UPDATE cdp_data.activation x SET stale_since = NULL WHERE x.activation_id = id AND x.stale IS NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_compare(integer) IS
'Compares everybody at an activation with what its destination was told, sends the difference, and notes that it is up to date, or why not. The caller holds cdp_internal.activation_hold().';

CREATE OR REPLACE FUNCTION cdp.sync_activations() RETURNS TABLE (activation text, added bigint, removed bigint, remaining bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  a cdp_data.activation;
  done record;
  names jsonb;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT EXISTS (SELECT FROM cdp_data.activation x WHERE x.state <> 'ended') THEN
    PERFORM cdp_internal.activation_follow(NULL);
    RETURN;
  END IF;
  PERFORM cdp_internal.activation_hold();
  names := cdp_internal.segment_catalog();
  UPDATE cdp_data.activation x SET blocked = b.reason, stale = coalesce(x.stale, 'what its purpose allows was changed'), stale_since = coalesce(x.stale_since, clock_timestamp())
  FROM (SELECT y.activation_id, cdp_internal.activation_blocked(y, names) AS reason FROM cdp_data.activation y WHERE y.state <> 'ended' OFFSET 0) b
  WHERE x.activation_id = b.activation_id AND x.blocked IS DISTINCT FROM b.reason;
  CREATE TEMP TABLE cdp_activation_done ON COMMIT DROP AS SELECT f.activation_id, f.added, f.removed FROM cdp_internal.activation_follow(NULL) f;
  FOR a IN SELECT x.* FROM cdp_data.activation x WHERE x.state <> 'ended' ORDER BY x.priority_group, x.priority, x.activation_id LOOP
    added := 0;
    removed := 0;
    remaining := 0;
    SELECT coalesce(sum(f.added), 0), coalesce(sum(f.removed), 0) INTO added, removed FROM pg_temp.cdp_activation_done f WHERE f.activation_id = a.activation_id;
    IF a.stale IS NOT NULL THEN
      done := cdp_internal.activation_compare(a.activation_id);
      added := added + done.added;
      removed := removed + done.removed;
    END IF;
    IF a.state = 'active' AND a.filled_to IS NOT NULL THEN
      SELECT f.* INTO done FROM cdp_internal.activation_fill(a, 50000) f;
      added := added + done.added;
      remaining := done.remaining;
    END IF;
    activation := a.name;
    IF added + removed + remaining > 0 THEN
      RETURN NEXT;
    END IF;
  END LOOP;
  DROP TABLE pg_temp.cdp_activation_done;
END
$$;
COMMENT ON FUNCTION cdp.sync_activations() IS
'What runs of segments leave to do: tells destinations whose consent ran out or came back, sends up to 50,000 of the members that each activation began with, and compares everybody where something could not be told before. Returns the activations to which something was told, and how many members are still to be sent. The job list runs it every minute. Waits for a run of segments. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.reconcile_activation(name text, reported bigint[] DEFAULT NULL, OUT added bigint, OUT removed bigint, OUT foreign_members bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  a cdp_data.activation := cdp_internal.activation_of(name);
  has bytea;
BEGIN
  PERFORM cdp_internal.activation_hold();
  a := cdp_internal.activation_of(name);
  IF a.state <> 'active' THEN
    RAISE EXCEPTION 'activation "%" is %', name, a.state
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = CASE a.state WHEN 'paused' THEN 'cdp.resume_activation() lets it go on, and compares.' ELSE 'Make a new one.' END;
  END IF;
  IF reported IS NOT NULL THEN
    -- Additions and removals that have not been delivered yet can not be in what it reports.
    has := (SELECT cdp.roaring_build(r) FROM unnest(reported) r WHERE r BETWEEN 1 AND 4294967295);
    foreign_members := (SELECT count(DISTINCT r) FROM unnest(reported) r
      WHERE NOT EXISTS (SELECT FROM cdp_data.activation_member m WHERE m.activation_id = a.activation_id AND m.customer_id = r));
    UPDATE cdp_data.activation_member m SET is_in = NOT m.is_in
    WHERE m.activation_id = a.activation_id AND m.is_in <> cdp.roaring_has(has, m.customer_id)
      AND NOT EXISTS (SELECT FROM cdp_data.outbox o WHERE o.destination = a.destination AND o.dedup_key = format('activation %s %s', a.activation_id, m.sequence) AND o.state IN ('waiting', 'taken'))
      AND m.customer_id = ANY (ARRAY(SELECT c.customer_id FROM cdp_data.customer c WHERE c.customer_id IN (SELECT x.customer_id FROM cdp_data.activation_member x WHERE x.activation_id = a.activation_id) FOR KEY SHARE SKIP LOCKED));
  END IF;
  UPDATE cdp_data.activation x SET reconciled_at = clock_timestamp() WHERE x.activation_id = a.activation_id;
  SELECT c.added, c.removed INTO added, removed FROM cdp_internal.activation_compare(a.activation_id) c;
  PERFORM cdp_data.audit_write('activation', 'activation ' || name, NULL, jsonb_build_object('op', 'reconcile', 'reported', cardinality(reported), 'added', added, 'removed', removed, 'foreign', foreign_members));
END
$$;
COMMENT ON FUNCTION cdp.reconcile_activation(text, bigint[]) IS
'Compares everybody: who should be at the destination with what it was told, and with reported also with what it says it has (the numbers that messages carry as customer), and sends the difference. What it has and we never added stays, and is counted in foreign_members (NULL without reported); what is still on its way is left alone. Members that the activation began with and that were not sent yet are not sent by this. Waits for a run of segments. Errors: 42704 no such activation, 55000 it is paused or ended.';

CREATE OR REPLACE FUNCTION cdp_internal.activation_become(name text, becomes text, remove boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  a cdp_data.activation := cdp_internal.activation_of(name);
  late text;
  n bigint := 0;
BEGIN
  PERFORM cdp_internal.activation_hold();
  a := cdp_internal.activation_of(name);
  IF a.state = becomes THEN
    RETURN 0;
  ELSIF a.state = 'ended' THEN
    RAISE EXCEPTION 'activation "%" has ended', name USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make a new one.';
  END IF;
  IF becomes = 'ended' AND remove THEN
    SELECT r.removed, r.late INTO n, late
    FROM cdp_internal.activation_remove(a, ARRAY(SELECT m.customer_id FROM cdp_data.activation_member m WHERE m.activation_id = a.activation_id AND m.is_in ORDER BY 1), (SELECT cdp.roaring_build(NULL)), false) r;
    IF late IS NOT NULL THEN
      RAISE EXCEPTION 'activation "%" can not end now: %', name, late
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Try again, or end it without removing its members: remove => false.';
    END IF;
  END IF;
  UPDATE cdp_data.activation x SET state = becomes, ended_at = CASE WHEN becomes = 'ended' THEN clock_timestamp() END WHERE x.activation_id = a.activation_id;
  PERFORM cdp_internal.activation_mark(cdp_internal.activation_rivals(a) || CASE WHEN becomes = 'active' THEN a.activation_id END, 'an activation was paused, ended or goes on');
  PERFORM cdp_data.audit_write('activation', 'activation ' || name, NULL, jsonb_build_object('op', becomes, 'removed', n));
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_become(text, text, boolean) IS 'What cdp.pause_activation(), resume_activation() and end_activation() do.';

CREATE OR REPLACE FUNCTION cdp.pause_activation(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.activation_become(name, 'paused');
END
$$;
COMMENT ON FUNCTION cdp.pause_activation(text) IS
'Stops telling a destination of who enters and leaves, but for those who may no longer be used there. Messages that were written go out. Errors: 42704 no such activation, 55000 it has ended.';
CREATE OR REPLACE FUNCTION cdp.resume_activation(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.activation_become(name, 'active');
END
$$;
COMMENT ON FUNCTION cdp.resume_activation(text) IS
'Lets a paused activation go on; the next cdp.sync_activations() tells what changed meanwhile. Errors: 42704 no such activation, 55000 it has ended.';
CREATE OR REPLACE FUNCTION cdp.end_activation(name text, remove boolean DEFAULT true) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.activation_become(name, 'ended', coalesce(remove, true));
END
$$;
COMMENT ON FUNCTION cdp.end_activation(text, boolean) IS
'Ends an activation for good. remove: the destination is told to remove everybody whom it was told to add, and only those; false: they stay there, and later withdrawals are not told any more. Returns how many it was told to remove. Errors: 42704 no such activation; 55000 it has ended, its destination is held, or somebody else is changing a customer.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_activation(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off
AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT 'cdp_data.activation_member', 'delete', cdp_internal.erase_keyed('cdp_data.activation_member', 'customer_id', customers);
  -- By what others were added while they and the person were taken for one.
  UPDATE cdp_data.activation_member m SET identifiers = ARRAY(SELECT i FROM unnest(m.identifiers) i WHERE i <> ALL (erase_of_activation.identifiers))
  WHERE m.identifiers <> '{}' AND m.identifiers && erase_of_activation.identifiers;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.activation_member', 'clear', n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_activation(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes what destinations were told about a person who is erased; the erasure tells every destination to delete him. Returns what was done.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_activation()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held bigint[] := cdp_internal.held_homes();
  n bigint;
BEGIN
  PERFORM cdp_internal.activation_hold();
  -- Of an ended activation nothing is told any more, whatever its destination has.
  DELETE FROM cdp_data.activation_member m USING cdp_data.setting s, cdp_data.activation a
  WHERE a.activation_id = m.activation_id AND (NOT m.is_in AND m.at < cdp_internal.cutoff(now(), s.activation_retention) OR a.ended_at < cdp_internal.cutoff(now(), s.activation_retention))
    AND m.customer_id <> ALL (held)
    AND NOT EXISTS (SELECT FROM cdp_data.outbox o WHERE o.destination = a.destination AND o.dedup_key = format('activation %s %s', a.activation_id, m.sequence) AND o.state IN ('waiting', 'taken'));
  GET DIAGNOSTICS n = ROW_COUNT;
  RAISE NOTICE 'maintain: what destinations were told of % customers is past its retention', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_activation() IS
'Part of cdp.maintain(): forgets who was removed from a destination, and whom activations had told of that ended, longer ago than cdp_data.setting.activation_retention; customers on hold stay, and those whose message was not delivered yet.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_activation()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.activation') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'activation_blocked', format('activation %s: nobody may be used there: %s', quote_literal(a.name), a.blocked), 'Mend purpose, attributes or segment, or end it with cdp.end_activation()'
  FROM cdp_data.activation a WHERE a.state <> 'ended' AND a.blocked IS NOT NULL
  UNION ALL
  SELECT 'warning', 'activation_stale', format('activation %s is not up to date since %s: %s', quote_literal(a.name), date_trunc('second', a.stale_since), a.stale),
    'See that the job list runs (cdp.schedule()), or run SELECT * FROM cdp.sync_activations();'
  FROM cdp_data.activation a WHERE a.state = 'active' AND a.stale_since < now() - interval '1 hour';
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_activation() IS
'Findings of cdp.health() about activations: purposes that no longer allow them, and destinations that were not told everything for an hour.';
