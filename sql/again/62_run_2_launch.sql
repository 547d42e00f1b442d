-- Activation room, campaign runs: launch, pause, resume, finish, cancel, and the job. A launch is one transaction: exposures
-- and messages are there together, or neither is.

CREATE OR REPLACE FUNCTION cdp_internal.campaign_bucket(seed bigint, customer bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('x' || encode(substr(sha256(int8send(seed) || int8send(customer)), 1, 6), 'hex'))::bit(48)::bigint;
COMMENT ON FUNCTION cdp_internal.campaign_bucket(bigint, bigint) IS
'A number from 0 to 2^48 - 1 by which a run draws the variant of a customer: the first six bytes of SHA-256 over the seed and the customer''s id, eight bytes each, the highest first.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_variants_of(run integer, roots bigint[]) RETURNS TABLE (customer_id bigint, variant text, content jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  draw bigint := (SELECT r.seed FROM cdp_data.campaign_run r WHERE r.campaign_run_id = run);
BEGIN
  RETURN QUERY
  WITH v AS MATERIALIZED (
    SELECT x.variant, x.content, sum(x.weight) OVER w - x.weight AS low, sum(x.weight) OVER w AS high, sum(x.weight) OVER () AS total
    FROM cdp_data.campaign_variant x WHERE x.campaign_run_id = run WINDOW w AS (ORDER BY x.variant)
  ), drawn AS MATERIALIZED (
    SELECT c, cdp_internal.campaign_bucket(draw, c)::numeric AS bucket FROM unnest(roots) c
  )
  SELECT d.c, v.variant, v.content FROM drawn d JOIN v ON d.bucket * v.total >= v.low * 281474976710656 AND d.bucket * v.total < v.high * 281474976710656;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_variants_of(integer, bigint[]) IS
'Which variant of a run each of these customers gets, with its content: the one into whose part of the weights (variants by name) his bucket falls. The same at each call. No rows when the weights add up to 0.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_messages(run integer, roots bigint[]) RETURNS TABLE (customer_id bigint, variant text, payload jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  r record;
  entries jsonb := cdp_internal.segment_attributes();
  names text[];
  dead jsonb;
BEGIN
  SELECT x.name, x.channel, d.attributes INTO r FROM cdp_data.campaign_run x LEFT JOIN cdp_data.destination d ON d.destination = x.destination WHERE x.campaign_run_id = run;
  names := ARRAY(SELECT a FROM unnest(r.attributes) a WHERE entries ? a AND NOT entries -> a ? 'encrypted');
  -- Addresses at which nothing arrives are left out: {"email": ["a@b.example"]}.
  SELECT coalesce(jsonb_object_agg(x.type, x.vals), '{}') INTO dead
  FROM (
    SELECT t.name AS type, jsonb_agg(i.value) AS vals
    FROM cdp_data.channel_bounce b JOIN cdp_data.identifier i USING (identifier_id) JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
      JOIN unnest(roots) u ON u = cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), i.customer_id, i.identifier_id)
    WHERE b.channel = r.channel AND b.bounced_at >= b.alive_at
    GROUP BY t.name) x;
  RETURN QUERY
  SELECT v.customer_id, v.variant, jsonb_build_object('campaign_run', r.name, 'variant', v.variant, 'content', v.content, 'message', format('run %s %s', run, v.customer_id), 'customer', v.customer_id,
      'identifiers', CASE WHEN dead = '{}' THEN f.identifiers ELSE (
        SELECT coalesce(jsonb_object_agg(e.key, (SELECT jsonb_agg(a) FROM jsonb_array_elements(e.value) a WHERE NOT coalesce(dead -> e.key @> a, false))), '{}') FROM jsonb_each(f.identifiers) e) END)
    || CASE WHEN names = '{}' THEN '{}' ELSE jsonb_build_object('attributes', f.attributes) END
  FROM cdp_internal.campaign_variants_of(run, roots) v JOIN cdp_internal.audience_facts(roots, cdp_internal.channel_types(r.channel), names) f ON f.customer_id = v.customer_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_messages(integer, bigint[]) IS
'What a run would tell each of these customers: the variant and its content, the key of the message, his identifiers that are addresses on the channel (cdp_internal.channel_types()) without those that bounced, and the attributes that the destination may get, but for encrypted ones.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_expose(run integer, at timestamptz,
  OUT audience bigint, OUT exposed bigint, OUT control bigint, OUT capped bigint, OUT refused bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  r record;
  bits bytea;
  left_out bytea;
  roots bigint[];
  kept bigint[];
  reached bigint[];
  message record;
  n bigint;
BEGIN
  SELECT x.*, s.name AS segment INTO r FROM cdp_data.campaign_run x JOIN cdp_data.segment s USING (segment_id) WHERE x.campaign_run_id = run;
  -- Before customers, as everybody does who wants both; who changes the consent of all waits for this transaction.
  LOCK TABLE cdp_data.outbox IN ROW EXCLUSIVE MODE;
  bits := cdp_internal.audience_bits(r.segment, r.channel);
  audience := cdp.roaring_count(bits);
  bits := cdp.roaring_andnot(bits, cdp_internal.campaign_exposed(run));
  left_out := cdp.roaring_and(bits, cdp_internal.campaign_capped(r.channel, at));
  capped := cdp.roaring_count(left_out);
  exposed := 0;
  control := 0;
  refused := 0;
  -- In portions, ascending: memory stays bounded, and everybody locks customers in this order.
  FOR roots IN
    SELECT array_agg(x.c ORDER BY x.c) FROM (SELECT c, (row_number() OVER (ORDER BY c) - 1) / 20000 AS portion FROM cdp.roaring_ids(cdp.roaring_andnot(bits, left_out)) c) x
    GROUP BY x.portion ORDER BY x.portion
  LOOP
    kept := '{}';
    IF r.holdout_id IS NOT NULL THEN
      kept := ARRAY(SELECT a.customer_id FROM cdp_internal.holdout_arms(r.holdout_id, roots) a WHERE a.arm = 'control' ORDER BY a.customer_id);
    END IF;
    SELECT array_agg(v.customer_id ORDER BY v.customer_id) FILTER (WHERE k IS NULL) AS customers, array_agg(v.variant ORDER BY v.customer_id) FILTER (WHERE k IS NULL) AS variants,
      array_agg(v.payload ORDER BY v.customer_id) FILTER (WHERE k IS NULL) AS payloads, array_agg(v.payload ->> 'message' ORDER BY v.customer_id) FILTER (WHERE k IS NULL) AS keys,
      coalesce(array_agg(k ORDER BY k) FILTER (WHERE k IS NOT NULL), '{}') AS kept, coalesce(array_agg(v.payload ORDER BY k) FILTER (WHERE k IS NOT NULL), '{}') AS unsent
    INTO message FROM cdp_internal.campaign_messages(run, roots) v LEFT JOIN unnest(kept) k ON k = v.customer_id;
    -- Who would have got no message is no control either: the arms stay alike.
    kept := ARRAY(
      SELECT w.c FROM unnest(message.kept, cdp_internal.outbox_refusals(r.destination, 'campaign', message.kept, message.unsent)) AS w (c, reason) WHERE w.reason IS NULL ORDER BY w.c);
    WITH put AS MATERIALIZED (
      SELECT p.n, p.outbox_id, p.refusal FROM cdp_internal.outbox_put_many(r.destination, 'campaign', coalesce(message.customers, '{}'), coalesce(message.payloads, '{}'), coalesce(message.keys, '{}')) p
    ), written AS (
      INSERT INTO cdp_data.campaign_exposure (campaign_run_id, customer_id, arm, variant, exposed_at, outbox_id, state)
      SELECT run, u.customer, 'treatment', u.variant, at, p.outbox_id, 'waiting'
      FROM unnest(message.customers, message.variants) WITH ORDINALITY AS u (customer, variant, n) JOIN put p ON p.n = u.n WHERE p.outbox_id IS NOT NULL
      UNION ALL
      SELECT run, k, 'control', NULL, at, NULL, 'control' FROM unnest(kept) k
      RETURNING customer_id, arm
    )
    SELECT array_agg(w.customer_id ORDER BY w.customer_id), count(*) FILTER (WHERE w.arm = 'treatment') INTO reached, n FROM written w;
    exposed := exposed + n;
    control := control + cardinality(kept);
    refused := refused + cardinality(roots) - cardinality(kept) - n;
    IF r.holdout_id IS NOT NULL THEN
      PERFORM cdp_internal.holdout_assign(r.holdout_id, coalesce(reached, '{}'), at);
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_expose(integer, timestamptz) IS
'Writes messages and exposures of a run for everybody in its audience of whom no part was exposed by it before: control of its holdout without a message. The caller holds the row of the run. audience: who is in it now; of those not exposed before: exposed and control were written, capped have had too many messages, refused would not be taken by the outbox. Locks customers in the order of their ids.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_illegal(name text, state text, verb text) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  allowed text[] := CASE state WHEN 'draft' THEN '{edit,launch,cancel}' WHEN 'scheduled' THEN '{edit,launch,cancel}' WHEN 'running' THEN '{launch,pause,finish,cancel}'
    WHEN 'paused' THEN '{resume,cancel}' ELSE '{}' END;
BEGIN
  IF verb <> ALL (allowed) THEN
    RAISE EXCEPTION 'campaign run "%" is %: it can not be %', name, state, CASE verb WHEN 'launch' THEN 'launched' WHEN 'pause' THEN 'paused' WHEN 'resume' THEN 'resumed' WHEN 'finish' THEN 'finished' ELSE 'cancelled' END
      USING ERRCODE = 'object_not_in_prerequisite_state',
        DETAIL = CASE WHEN allowed = '{}' THEN 'Nothing changes it any more.' ELSE format('What can be done with it: %s.', array_to_string(allowed, ', ')) END,
        HINT = 'docs/campaigns.md shows which state follows which.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_illegal(text, text, text) IS
'Error 55000 when a run in this state can not be launched, paused, resumed, finished or cancelled; it says what can be done.';

CREATE OR REPLACE FUNCTION cdp.launch_campaign_run(name text,
  OUT state text, OUT audience bigint, OUT exposed bigint, OUT control bigint, OUT capped bigint, OUT refused bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  id integer := cdp_internal.campaign_run_of(name);
  r record;
  f record;
  wrong bigint := 0;
  x record;
BEGIN
  -- A second launch waits here, and finds it launched.
  SELECT c.* INTO r FROM cdp_data.campaign_run c WHERE c.campaign_run_id = id FOR UPDATE;
  PERFORM cdp_internal.campaign_illegal(name, r.state, 'launch');
  exposed := 0;
  IF r.state = 'running' AND (r.schedule = 'once' OR r.ends_at <= now()) THEN
    state := r.state;
    RETURN;
  END IF;
  IF r.state <> 'running' THEN
    SELECT g.message, g.code, g.hint, count(*) OVER () AS n INTO f FROM cdp_internal.campaign_findings(id) g WHERE g.severity = 'error' ORDER BY g.code COLLATE "C", g.message COLLATE "C" LIMIT 1;
    wrong := coalesce(f.n, 0);
  END IF;
  IF wrong > 0 THEN
    RAISE EXCEPTION 'campaign run "%" can not be launched: %', name, f.message
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('%s; %s errors in all: cdp.check_campaign_run() tells them.', f.code, wrong), HINT = f.hint;
  ELSIF r.starts_at > now() THEN
    UPDATE cdp_data.campaign_run c SET state = 'scheduled', last_error = NULL WHERE c.campaign_run_id = id;
    state := 'scheduled';
    RETURN;
  END IF;
  x := cdp_internal.campaign_expose(id, now());
  state := 'running';
  audience := x.audience;
  exposed := x.exposed;
  control := x.control;
  capped := x.capped;
  refused := x.refused;
  UPDATE cdp_data.campaign_run c SET state = 'running', launched_at = coalesce(c.launched_at, now()), last_error = NULL,
    segment_version = coalesce(c.segment_version, (SELECT s.version FROM cdp_data.segment s WHERE s.segment_id = c.segment_id))
  WHERE c.campaign_run_id = id AND (c.state <> 'running' OR c.last_error IS NOT NULL);
  IF r.state <> 'running' OR exposed > 0 THEN
    PERFORM cdp_data.audit_write('campaign', 'run ' || name, NULL, jsonb_build_object('op', 'launch', 'campaign_run_id', id, 'exposed', exposed, 'control', control));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.launch_campaign_run(text) IS
'Launches a run in one transaction: SELECT * FROM cdp.launch_campaign_run(''spring''). A message for each of the audience that is in the treatment arm, by one of the variants, and an exposure for each of both arms; dedup_key of a message is "run <number> <customer>". Before starts_at it is only scheduled: the job campaign_runs launches it then. A run that runs already writes nothing twice: schedule once nothing at all, continuous those who came into the audience since, until ends_at. Returns the state; how many are in the audience; of those not exposed before how many got a message (exposed), were kept back (control), have had as many messages as they may (capped), or would not be taken by the outbox (refused: consent, an address at which nothing arrives, an open gate). All but state and exposed are NULL when nobody was looked at. Needs the rights of the tables'' owner. Errors: 42704 no such run, 55000 a state that can not be launched, or cdp.check_campaign_run() finds an error.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_waiting(run integer, due timestamptz DEFAULT NULL) RETURNS TABLE (outbox_id bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  -- Nobody is waited for: who cancels messages of several people, one after the other, would wait for this, and this for him.
  RETURN QUERY
  SELECT o.outbox_id FROM cdp_data.campaign_run r JOIN cdp_data.outbox o ON o.destination = r.destination
    CROSS JOIN LATERAL (SELECT x.campaign_run_id, x.state FROM cdp_data.campaign_exposure x WHERE x.outbox_id = o.outbox_id OFFSET 0) e -- by its index, whatever statistics say
  WHERE r.campaign_run_id = run AND e.campaign_run_id = run AND e.state = 'waiting' AND o.state = 'waiting' AND (due IS NULL OR o.next_attempt_at = due)
  FOR UPDATE OF o SKIP LOCKED;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_waiting(integer, timestamptz) IS
'Messages of a run that wait (due: for that moment), kept for this transaction, but for those that somebody else is changing now: what was done with the run finds them when they are taken (cdp_internal.outbox_recall_of_run()), or the next run of the job does.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_let_go(run integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint := 0;
BEGIN
  IF EXISTS (SELECT FROM cdp_data.campaign_run r WHERE r.campaign_run_id = run AND r.state IN ('running', 'finished')) THEN
    UPDATE cdp_data.outbox o SET next_attempt_at = now() FROM cdp_internal.campaign_waiting(run, 'infinity') w WHERE o.outbox_id = w.outbox_id;
    GET DIAGNOSTICS n = ROW_COUNT;
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_let_go(integer) IS 'Makes messages of a run that were held back due now. Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_become(name text, verb text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.campaign_run_of(name);
  becomes text := CASE verb WHEN 'pause' THEN 'paused' WHEN 'resume' THEN 'running' WHEN 'finish' THEN 'finished' ELSE 'cancelled' END;
  was text;
  n bigint := 0;
BEGIN
  SELECT r.state INTO was FROM cdp_data.campaign_run r WHERE r.campaign_run_id = id FOR UPDATE;
  PERFORM cdp_internal.campaign_illegal(name, was, verb);
  UPDATE cdp_data.campaign_run r SET state = becomes, finished_at = CASE WHEN becomes IN ('finished', 'cancelled') THEN now() END WHERE r.campaign_run_id = id;
  IF verb = 'pause' THEN
    -- Held back by a time that never comes; a deliverer who has one and gives it back finds the run paused (cdp_internal.outbox_recall()).
    UPDATE cdp_data.outbox o SET next_attempt_at = 'infinity' FROM cdp_internal.campaign_waiting(id) w WHERE o.outbox_id = w.outbox_id;
    GET DIAGNOSTICS n = ROW_COUNT;
  ELSIF verb = 'resume' THEN
    n := cdp_internal.campaign_let_go(id);
  ELSIF verb = 'cancel' THEN
    UPDATE cdp_data.outbox o SET state = 'cancelled', payload = '{}', last_error = 'the campaign run was cancelled' FROM cdp_internal.campaign_waiting(id) w WHERE o.outbox_id = w.outbox_id;
    GET DIAGNOSTICS n = ROW_COUNT;
    PERFORM cdp_internal.campaign_sync(id);
  END IF;
  PERFORM cdp_data.audit_write('campaign', 'run ' || name, NULL, jsonb_build_object('op', verb, 'campaign_run_id', id, 'was', was));
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_become(text, text) IS
'What cdp.pause_campaign_run(), resume_, finish_ and cancel_campaign_run() do. Returns the messages that it held, let go or cancelled.';

CREATE OR REPLACE FUNCTION cdp.pause_campaign_run(name text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.campaign_become(name, 'pause');
END
$$;
COMMENT ON FUNCTION cdp.pause_campaign_run(text) IS
'Stops a run: its messages wait, also those that a deliverer has taken and gives back, and nobody is added. Returns how many wait. Errors: 42704 no such run, 55000 it is not running.';
CREATE OR REPLACE FUNCTION cdp.resume_campaign_run(name text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.campaign_become(name, 'resume');
END
$$;
COMMENT ON FUNCTION cdp.resume_campaign_run(text) IS
'Lets a paused run go on: its messages are due now, and are asked about again when they are taken. Returns how many. Errors: 42704 no such run, 55000 it is not paused.';
CREATE OR REPLACE FUNCTION cdp.finish_campaign_run(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.campaign_become(name, 'finish');
END
$$;
COMMENT ON FUNCTION cdp.finish_campaign_run(text) IS
'Ends a run: nobody is added any more; messages that wait still go, and feedback still counts. Errors: 42704 no such run, 55000 it is not running.';
CREATE OR REPLACE FUNCTION cdp.cancel_campaign_run(name text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.campaign_become(name, 'cancel');
END
$$;
COMMENT ON FUNCTION cdp.cancel_campaign_run(text) IS
'Ends a run and cancels its messages that wait; one that a deliverer has taken is cancelled when he gives it back. What was sent was sent, and feedback on it still counts. Returns how many were cancelled. Errors: 42704 no such run, 55000 it is over.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_recall_of_run(outbox_id bigint) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT CASE r.state WHEN 'paused' THEN 'hold' WHEN 'cancelled' THEN 'the campaign run was cancelled' END
    FROM cdp_data.campaign_exposure e JOIN cdp_data.campaign_run r USING (campaign_run_id) WHERE e.outbox_id = outbox_recall_of_run.outbox_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_recall_of_run(bigint) IS
'What the outbox does with a message of a run when it is to be taken (cdp_internal.outbox_recall()): hold while the run is paused, a reason once it is cancelled, else NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_sync(run integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
  SET enable_nestloop = off -- just after a launch statistics do not know its messages: each would be compared with all
AS $$
DECLARE
  n bigint;
BEGIN
  UPDATE cdp_data.campaign_exposure x SET state = w.state, sent_at = w.sent_at
  FROM (
    SELECT e.customer_id, o.state, o.sent_at FROM cdp_data.campaign_exposure e JOIN cdp_data.outbox o ON o.outbox_id = e.outbox_id
    WHERE e.campaign_run_id = run AND e.state IN ('waiting', 'failed') AND o.state <> e.state AND o.state <> 'taken'
    FOR UPDATE OF e SKIP LOCKED) w
  WHERE x.campaign_run_id = run AND x.customer_id = w.customer_id;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_sync(integer) IS
'Brings the states of exposures of a run in line with what the outbox says of their messages. Returns how many changed.';

CREATE OR REPLACE FUNCTION cdp.advance_campaign_runs() RETURNS TABLE (run text, action text, n bigint, error text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  r record;
  x record;
  f record;
  due text;
BEGIN
  PERFORM cdp_internal.require_setup();
  FOR f IN SELECT g.action, g.n FROM cdp_internal.campaign_feedback() g WHERE g.n > 0 ORDER BY g.action LOOP
    RETURN QUERY SELECT NULL::text, f.action, f.n, NULL::text;
  END LOOP;
  FOR r IN
    SELECT c.campaign_run_id, c.name, c.state, c.schedule, c.starts_at, c.ends_at FROM cdp_data.campaign_run c
    WHERE c.state IN ('scheduled', 'running', 'paused') OR EXISTS (SELECT FROM cdp_data.campaign_exposure e WHERE e.campaign_run_id = c.campaign_run_id AND e.state = 'waiting')
    ORDER BY c.campaign_run_id
  LOOP
    -- One run that fails leaves the others alone.
    BEGIN
      PERFORM cdp_internal.campaign_sync(r.campaign_run_id);
      due := CASE WHEN r.state = 'running' AND r.ends_at <= now() THEN 'finish' WHEN r.state = 'scheduled' AND coalesce(r.starts_at <= now(), true) THEN 'launch'
        WHEN r.state = 'running' AND r.schedule = 'continuous' THEN 'add' END;
      IF due IS NOT NULL THEN
        -- Whoever launches or stops it just now is left alone: he may wait for a customer whom this transaction holds.
        PERFORM FROM cdp_data.campaign_run c WHERE c.campaign_run_id = r.campaign_run_id AND c.state = r.state FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
      END IF;
      IF due = 'finish' THEN
        PERFORM cdp_internal.campaign_become(r.name, 'finish');
        RETURN QUERY SELECT r.name, due, NULL::bigint, NULL::text;
      ELSIF due IS NOT NULL THEN
        x := cdp.launch_campaign_run(r.name);
        IF due = 'launch' OR x.exposed + x.control > 0 THEN
          RETURN QUERY SELECT r.name, due, x.exposed + x.control, NULL::text;
        END IF;
      END IF;
      IF r.state IN ('running', 'finished') THEN
        PERFORM cdp_internal.campaign_let_go(r.campaign_run_id); -- what a deliverer gave back while it was being resumed
      END IF;
    EXCEPTION WHEN OTHERS THEN
      UPDATE cdp_data.campaign_run c SET last_error = left(SQLSTATE || ': ' || SQLERRM, 500) WHERE c.campaign_run_id = r.campaign_run_id;
      RETURN QUERY SELECT r.name, 'failed', NULL::bigint, left(SQLSTATE || ': ' || SQLERRM, 500);
    END;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.advance_campaign_runs() IS
'What the job campaign_runs does each minute: acts upon feedback that came as touchpoints, notes what became of messages, launches runs that are due, adds who came into the audience of continuous ones, finishes those that are past their end. A run that fails keeps its state, with the error in last_error, and stops no other. A row for each thing done: run (NULL: feedback), action, n. Needs the rights of the tables'' owner.';
