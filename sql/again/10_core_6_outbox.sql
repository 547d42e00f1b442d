-- Core room: the outbox. A message is written in the transaction that decides it and delivered after the commit,
-- at least once. Deliverers (the connector room, or a user's own program) take, send, and report.

CREATE OR REPLACE FUNCTION cdp.outbox_refusal(destination text, kind text, customer_id bigint DEFAULT NULL, payload jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  name text;
  reason text;
BEGIN
  -- Other rooms refuse with functions outbox_refusal_of_<room>(destination, kind, customer_id, payload): the reason, or NULL.
  FOREACH name IN ARRAY ARRAY(SELECT cdp_internal.room_functions('outbox_refusal_of_', 4)) LOOP
    EXECUTE format('SELECT cdp_internal.%I($1, $2, $3, $4)', name) INTO reason USING destination, kind, customer_id, payload;
    EXIT WHEN reason IS NOT NULL;
  END LOOP;
  RETURN reason;
END
$$;
COMMENT ON FUNCTION cdp.outbox_refusal(text, text, bigint, jsonb) IS
'Why the outbox would refuse this message now: consent, purpose, or another gate. NULL: it would take it. Writes nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.is_urgent(kind text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN kind IS NOT NULL AND kind IN ('erase', 'audience_withdraw', 'alert');
COMMENT ON FUNCTION cdp_internal.is_urgent(text) IS
'Whether messages of a kind go out while a destination is held: erasures, and that somebody may no longer be used there, since bad data are no reason to keep somebody''s data longer elsewhere; and alerts, which tell of bad data.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_hold(destination text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  name text;
  reason text;
BEGIN
  -- Other rooms stop a whole destination for a while with functions outbox_hold_of_<room>(destination): the reason, or NULL.
  FOREACH name IN ARRAY ARRAY(SELECT cdp_internal.room_functions('outbox_hold_of_', 1)) LOOP
    EXECUTE format('SELECT cdp_internal.%I($1)', name) INTO reason USING destination;
    EXIT WHEN reason IS NOT NULL;
  END LOOP;
  RETURN reason;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_hold(text) IS
'Why a destination gets nothing but what is urgent (cdp_internal.is_urgent()) for now; its other messages wait. NULL: nothing stops it.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_recall(outbox_id bigint) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  name text;
  word text;
BEGIN
  -- Other rooms take a message back with functions outbox_recall_of_<room>(outbox_id): NULL, the word hold, or why it must not go.
  FOREACH name IN ARRAY ARRAY(SELECT cdp_internal.room_functions('outbox_recall_of_', 1)) LOOP
    EXECUTE format('SELECT cdp_internal.%I($1)', name) INTO word USING outbox_id;
    EXIT WHEN word IS NOT NULL;
  END LOOP;
  RETURN word;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_recall(bigint) IS
'Whether a message that was written may still be taken: NULL: yes; hold: not now, the room that stopped it makes it due again; else why it is cancelled.';

CREATE OR REPLACE FUNCTION cdp.outbox_put(
  destination text, kind text, payload jsonb, dedup_key text DEFAULT NULL, customer_id bigint DEFAULT NULL, not_before timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id bigint;
  reason text;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT EXISTS (SELECT FROM cdp_data.destination d WHERE d.destination = outbox_put.destination) THEN
    RAISE EXCEPTION 'unknown destination "%"', destination
      USING ERRCODE = 'foreign_key_violation', HINT = 'Make it first: INSERT INTO cdp_data.destination (destination, purpose) VALUES (...)';
  END IF;
  -- Whoever is about to take consent away keeps these for himself: what he allows is asked once he has ended.
  LOCK TABLE cdp_data.outbox IN ROW EXCLUSIVE MODE;
  PERFORM FROM cdp_data.customer c WHERE c.customer_id = outbox_put.customer_id FOR KEY SHARE;
  reason := cdp.outbox_refusal(destination, kind, customer_id, payload);
  IF reason IS NOT NULL THEN
    RAISE WARNING 'message to "%" refused: %', destination, reason;
    RETURN NULL;
  END IF;
  INSERT INTO cdp_data.outbox AS o (destination, kind, payload, dedup_key, customer_id, next_attempt_at)
  VALUES (outbox_put.destination, outbox_put.kind, outbox_put.payload, outbox_put.dedup_key, outbox_put.customer_id, coalesce(not_before, now()))
  ON CONFLICT ON CONSTRAINT outbox_destination_dedup_key_key DO NOTHING
  RETURNING o.outbox_id INTO id;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.outbox_put(text, text, jsonb, text, bigint, timestamptz) IS
'Writes a message for a destination; it is delivered once this transaction commits, not before not_before. Returns its number, or NULL when a message with the same dedup_key stands there already, or when the message is refused: then a WARNING says why, as cdp.outbox_refusal() does. Waits for a transaction that takes the customer''s consent away, which waits for this one to end. Needs the rights of the tables'' owner. Error 23503: unknown destination.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusals(destination text, kind text, customers bigint[], payloads jsonb[]) RETURNS text[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  name text;
  reasons text[] := array_fill(NULL::text, ARRAY[cardinality(customers)]);
BEGIN
  IF customers = '{}' THEN
    RETURN reasons;
  END IF;
  -- Every room that refuses one message (outbox_refusal_of_<room>) refuses many by outbox_refusals_of_<room>(destination,
  -- kind, customers, payloads): a row (n, reason) for each message, counted from 1, that must not go.
  FOREACH name IN ARRAY ARRAY(SELECT cdp_internal.room_functions('outbox_refusals_of_', 4)) LOOP
    EXECUTE format('SELECT array_agg(coalesce(w.reason, h.reason) ORDER BY w.n) FROM unnest($5) WITH ORDINALITY AS w (reason, n)
      LEFT JOIN cdp_internal.%I($1, $2, $3, $4) AS h (n, reason) ON h.n = w.n', name) INTO reasons USING destination, kind, customers, payloads, reasons;
  END LOOP;
  RETURN reasons;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusals(text, text, bigint[], jsonb[]) IS
'cdp.outbox_refusal() of many messages of one kind, each with the customer and payload at its place: the reasons, NULL where it would be taken. Empty without messages.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_put_many(
  destination text, kind text, customers bigint[], payloads jsonb[], dedup_keys text[], not_before timestamptz DEFAULT NULL)
RETURNS TABLE (n integer, outbox_id bigint, refusal text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  reasons text[];
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT EXISTS (SELECT FROM cdp_data.destination d WHERE d.destination = outbox_put_many.destination) THEN
    RAISE EXCEPTION 'unknown destination "%"', destination
      USING ERRCODE = 'foreign_key_violation', HINT = 'Make it first: INSERT INTO cdp_data.destination (destination, purpose) VALUES (...)';
  ELSIF (cardinality(customers) = cardinality(payloads) AND cardinality(customers) = cardinality(dedup_keys)) IS NOT TRUE THEN
    RAISE EXCEPTION 'customers, payloads and dedup_keys must be as many'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s, %s and %s.', cardinality(customers), cardinality(payloads), cardinality(dedup_keys));
  END IF;
  -- Whoever is about to take consent away keeps these for himself: what they allow is asked once he has ended.
  LOCK TABLE cdp_data.outbox IN ROW EXCLUSIVE MODE;
  PERFORM FROM cdp_data.customer c WHERE c.customer_id = ANY (customers) ORDER BY c.customer_id FOR KEY SHARE;
  reasons := cdp_internal.outbox_refusals(destination, kind, customers, payloads);
  RETURN QUERY
  WITH wanted AS MATERIALIZED (
    SELECT w.n::integer AS n, w.customer, w.payload, w.dedup_key, w.reason,
      CASE WHEN w.reason IS NULL THEN nextval(pg_get_serial_sequence('cdp_data.outbox', 'outbox_id')) END AS id
    FROM unnest(customers, payloads, dedup_keys, reasons) WITH ORDINALITY AS w (customer, payload, dedup_key, reason, n)
  ), put AS (
    INSERT INTO cdp_data.outbox AS o (outbox_id, destination, kind, payload, dedup_key, customer_id, next_attempt_at)
    SELECT w.id, outbox_put_many.destination, outbox_put_many.kind, w.payload, w.dedup_key, w.customer, coalesce(not_before, now())
    FROM wanted w WHERE w.reason IS NULL ORDER BY w.n
    ON CONFLICT ON CONSTRAINT outbox_destination_dedup_key_key DO NOTHING
    RETURNING o.outbox_id
  )
  SELECT w.n, p.outbox_id, w.reason FROM wanted w LEFT JOIN put p ON p.outbox_id = w.id ORDER BY w.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_put_many(text, text, bigint[], jsonb[], text[], timestamptz) IS
'cdp.outbox_put() of many messages of one kind to a destination, at one go: each has the customer (NULL: nobody''s), payload and dedup_key (NULL: none) at its place. Returns a row for each, n counting from 1: outbox_id of what was written; refusal, why it was refused, without a warning; neither when a message with the same dedup_key stands there already, or came earlier in the call. Locks customers in the order of their ids. Needs the rights of the tables'' owner. Errors: 23503 unknown destination, 22023 arrays of different length, 23502 a NULL payload.';

CREATE OR REPLACE FUNCTION cdp.outbox_take(destination text, max_messages integer DEFAULT 100, lease interval DEFAULT '5 minutes')
RETURNS TABLE (outbox_id bigint, kind text, payload jsonb, dedup_key text, attempt integer)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  due record;
  reason text;
  room integer := max_messages;
  refused boolean := true;
  held boolean;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF max_messages IS NULL OR max_messages < 1 OR lease IS NULL OR lease <= '0'::interval THEN
    RAISE EXCEPTION 'max_messages and lease must be above zero'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', max_messages, lease);
  ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'messages are taken under READ COMMITTED only'
      USING ERRCODE = 'invalid_transaction_state', DETAIL = format('This transaction is %s: what was withdrawn since it began would not be seen.', upper(current_setting('transaction_isolation'))),
        HINT = 'Take messages in a transaction of their own, and commit before you send them.';
  END IF;
  -- A message over which every deliverer dies must not be tried for ever.
  UPDATE cdp_data.outbox o SET state = 'failed', last_error = 'the last delivery was not reported in time'
  FROM (
    SELECT w.outbox_id FROM cdp_data.outbox w JOIN cdp_data.destination d ON d.destination = w.destination
    WHERE w.destination = outbox_take.destination AND d.enabled AND w.state = 'taken' AND w.next_attempt_at <= clock_timestamp()
      AND w.attempts >= d.max_attempts
    ORDER BY w.outbox_id FOR UPDATE OF w SKIP LOCKED
  ) spent
  WHERE o.outbox_id = spent.outbox_id;
  held := cdp_internal.outbox_hold(destination) IS NOT NULL;
  -- What was allowed when it was written may not be any more; others that are due take the place of what is cancelled.
  WHILE room > 0 AND refused LOOP
    refused := false;
    FOR due IN
      SELECT w.outbox_id, w.kind, w.customer_id, w.payload FROM cdp_data.outbox w JOIN cdp_data.destination d ON d.destination = w.destination
      WHERE w.destination = outbox_take.destination AND d.enabled AND w.state IN ('waiting', 'taken') AND w.next_attempt_at <= clock_timestamp()
        AND (NOT held OR cdp_internal.is_urgent(w.kind))
      ORDER BY w.next_attempt_at, w.outbox_id LIMIT room FOR UPDATE OF w SKIP LOCKED
    LOOP
      -- Whoever changes what a customer allows holds his row alone: such a message waits until that has ended, and who
      -- comes later waits for this one. So nothing is taken beside a withdrawal.
      PERFORM FROM cdp_data.customer c WHERE c.customer_id = due.customer_id FOR KEY SHARE SKIP LOCKED;
      CONTINUE WHEN NOT FOUND AND EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = due.customer_id);
      reason := cdp_internal.outbox_recall(due.outbox_id);
      IF reason = 'hold' THEN
        refused := true;
        UPDATE cdp_data.outbox o SET state = 'waiting', next_attempt_at = 'infinity' WHERE o.outbox_id = due.outbox_id;
        CONTINUE;
      END IF;
      reason := coalesce(reason, cdp.outbox_refusal(destination, due.kind, due.customer_id, due.payload));
      -- A hold that began meanwhile lets it wait.
      CONTINUE WHEN reason IS NOT NULL AND NOT cdp_internal.is_urgent(due.kind) AND cdp_internal.outbox_hold(destination) IS NOT NULL;
      IF reason IS NOT NULL THEN
        refused := true;
        UPDATE cdp_data.outbox o SET state = 'cancelled', payload = '{}', last_error = left(reason, 500) WHERE o.outbox_id = due.outbox_id;
        CONTINUE;
      END IF;
      room := room - 1;
      RETURN QUERY
      UPDATE cdp_data.outbox o SET state = 'taken', attempts = o.attempts + 1, taken_at = clock_timestamp(), next_attempt_at = clock_timestamp() + lease
      WHERE o.outbox_id = due.outbox_id
      RETURNING o.outbox_id, o.kind, o.payload, o.dedup_key, o.attempts;
    END LOOP;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.outbox_take(text, integer, interval) IS
'Takes due messages of a destination for the time of the lease; commit, send them, then report each with outbox_sent() or outbox_failed(). Each is asked about once more (cdp.outbox_refusal()); what is no longer allowed is cancelled, its payload emptied. What is not reported in time can be taken again, so a destination may see a message twice; after the last of max_attempts it fails. Several deliverers never take the same one; one whose customer''s consent is being changed at this moment waits. None from a destination that is switched off. Errors: 22023 limits, 25000 in a transaction that is not READ COMMITTED.';

CREATE OR REPLACE FUNCTION cdp.outbox_sent(outbox_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE cdp_data.outbox o SET state = 'sent', sent_at = clock_timestamp(), last_error = NULL
  WHERE o.outbox_id = outbox_sent.outbox_id AND (o.state = 'taken' OR o.state = 'waiting' AND o.attempts > 0); -- what nobody took was not sent
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION cdp.outbox_sent(bigint) IS 'Reports that a message was delivered. False when there is no such message in delivery, nor one that was taken before and waits to be tried again.';

CREATE OR REPLACE FUNCTION cdp.outbox_failed(outbox_id bigint, error text, retry boolean DEFAULT true) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- 1, 2, 4 ... minutes, at most six hours; spread a little, so that a thousand failures do not come back at once.
  UPDATE cdp_data.outbox o SET
    state = CASE WHEN retry AND o.attempts < d.max_attempts THEN 'waiting' ELSE 'failed' END,
    next_attempt_at = clock_timestamp() + least(interval '6 hours', interval '1 minute' * power(2, least(o.attempts, 20) - 1)) * (0.9 + random() * 0.2),
    last_error = left(error, 500)
  FROM cdp_data.destination d
  WHERE o.outbox_id = outbox_failed.outbox_id AND d.destination = o.destination AND o.state = 'taken';
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION cdp.outbox_failed(bigint, text, boolean) IS
'Reports that a delivery failed. It is tried again after 1, 2, 4, ... minutes (at most 6 hours), until the destination''s max_attempts are used up; retry => false gives up at once. False when there is no such message in delivery.';
