-- Connector room, delivery: messages of the outbox go out over a connection. Each function is one step between two commits, for
-- src/connector/sync/deliver.c: what is taken is committed before it is sent, and reported after.

CREATE OR REPLACE FUNCTION cdp_internal.delivery_address(connection_id integer, stream text) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT sha256(convert_to(concat_ws(' ', c.connection_id, c.revision, cdp_internal.connection_binding(c.connection_id), c.config, c.allow_http, cdp_internal.connector_manifest(c.connector) #> ARRAY['streams', delivery_address.stream]), 'UTF8'))
    FROM cdp_data.connection c WHERE c.connection_id = delivery_address.connection_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.delivery_address(integer, text) IS
'A digest of where and how a stream of a connection posts: server, authentication, config, path, and which change of config or secrets was the last: another token may be that of another account. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.deliver_to(destination text, connection text, options jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
  streams text[];
  odd text;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT x.connection_id, x.source_id, x.name, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.connection x WHERE x.name = deliver_to.connection AND x.state <> 'retired';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown connection "%"', left(connection, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(connection, ARRAY(SELECT x.name FROM cdp_data.connection x), 'cdp.create_connection(name, ''webhook'', ...) makes one.');
  ELSIF NOT EXISTS (SELECT FROM cdp_data.destination d WHERE d.destination = deliver_to.destination) THEN
    RAISE EXCEPTION 'unknown destination "%"', left(destination, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(destination, ARRAY(SELECT d.destination FROM cdp_data.destination d), 'cdp.add_destination() makes one.');
  END IF;
  streams := ARRAY(SELECT s.key FROM jsonb_each(c.manifest -> 'streams') s WHERE (s.value ->> 'deliver')::boolean ORDER BY s.key COLLATE "C");
  IF streams = '{}' THEN
    RAISE EXCEPTION 'connection "%" is not made to deliver', c.name USING ERRCODE = 'invalid_parameter_value', HINT = 'Take one of the connector webhook, or of a connector whose manifest has a stream with "deliver": true.';
  ELSIF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'options must be an object' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as {"batch": 100, "max_per_minute": 60}.';
  END IF;
  SELECT k INTO odd FROM jsonb_object_keys(options) k WHERE k NOT IN ('stream', 'format', 'batch', 'max_per_minute', 'acknowledges') ORDER BY k LIMIT 1;
  IF odd IS NOT NULL THEN
    RAISE EXCEPTION 'unknown option "%"', left(odd, 63) USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(odd, '{stream,format,batch,max_per_minute,acknowledges}', 'There are stream, format, batch, max_per_minute and acknowledges.');
  ELSIF options ? 'stream' AND options ->> 'stream' <> ALL (streams) THEN
    RAISE EXCEPTION 'the connector has no stream "%" that delivers', left(options ->> 'stream', 63) USING ERRCODE = 'invalid_parameter_value', HINT = format('It has: %s.', array_to_string(streams, ', '));
  ELSIF coalesce(options ->> 'batch', '1') !~ '^[0-9]{1,4}$' OR coalesce(options ->> 'max_per_minute', '1') !~ '^[0-9]{1,6}$' THEN
    RAISE EXCEPTION 'batch and max_per_minute are whole numbers' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', options -> 'batch', options -> 'max_per_minute'), HINT = 'batch is from 1 to 1000.';
  END IF;
  INSERT INTO cdp_data.delivery AS d (destination, connection_id, source_id, stream, format, batch, max_per_minute, acknowledges, agreed)
  VALUES (deliver_to.destination, c.connection_id, c.source_id, coalesce(options ->> 'stream', streams[1]), coalesce(options ->> 'format', 'json'), coalesce((options ->> 'batch')::integer, 1), (options ->> 'max_per_minute')::integer,
    coalesce(options ->> 'acknowledges', 'none'), cdp_internal.delivery_address(c.connection_id, coalesce(options ->> 'stream', streams[1])))
  ON CONFLICT ON CONSTRAINT delivery_pkey DO UPDATE SET connection_id = excluded.connection_id, source_id = excluded.source_id, stream = excluded.stream, format = excluded.format, batch = excluded.batch,
    max_per_minute = excluded.max_per_minute, acknowledges = excluded.acknowledges, agreed = excluded.agreed, failures = 0, paused_until = NULL, problem = NULL, next_at = NULL;
  PERFORM cdp_data.audit_write('setting', 'delivery ' || destination, NULL, jsonb_build_object('connection', c.name, 'options', options));
END
$$;
COMMENT ON FUNCTION cdp.deliver_to(text, text, jsonb) IS
'Says over which connection the messages of a destination are posted; again: replaces. options: batch (messages in one request, 1 to 1000, default 1), format (json or ndjson), max_per_minute (requests, evenly spaced), acknowledges (what says that a person was deleted there: none, status, or reply), stream (of the manifest, when several deliver). CALL cdp.deliver() sends; when config, a secret or the manifest of the connection is changed, nothing goes out until this is called again. For the tables'' owner. Errors: 22023 unknown connection, destination, option or stream; 23514 a value that is none.';

CREATE OR REPLACE FUNCTION cdp_internal.next_delivery(role text, destination text, began timestamptz, as_of timestamptz, OUT name text, OUT connection_id integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  IF next_delivery.destination IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.delivery d WHERE d.destination = next_delivery.destination) THEN
    RAISE EXCEPTION 'destination "%" is not delivered to', left(next_delivery.destination, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(next_delivery.destination, ARRAY(SELECT d.destination FROM cdp_data.delivery d), 'cdp.deliver_to() says how.');
  END IF;
  SELECT d.destination, d.connection_id INTO next_delivery.name, next_delivery.connection_id
  FROM cdp_data.delivery d JOIN cdp_data.destination t ON t.destination = d.destination JOIN cdp_data.connection c ON c.connection_id = d.connection_id
  WHERE (next_delivery.destination IS NULL OR d.destination = next_delivery.destination) AND coalesce(d.tried_at < began, true) AND t.enabled AND c.state NOT IN ('suspended', 'retired')
    AND cdp_internal.may_use_connection(c.owner, c.owner_oid, role) AND coalesce(d.paused_until <= as_of, true)
    AND EXISTS (SELECT FROM cdp_data.outbox o WHERE o.destination = d.destination AND o.state IN ('waiting', 'taken') AND o.next_attempt_at <= as_of)
  ORDER BY d.tried_at NULLS FIRST, d.destination LIMIT 1;
  -- Before anything can go wrong with it: one that ends the call is the last one of the next.
  UPDATE cdp_data.delivery d SET tried_at = clock_timestamp() WHERE d.destination = next_delivery.name;
END
$$;
COMMENT ON FUNCTION cdp_internal.next_delivery(text, text, timestamptz, timestamptz) IS
'The destination that a role may deliver to, that has a message that is due, and to which nobody turned since began: the one longest ago; NULL: none. Switched off, paused and suspended ones have none. Needs the rights of the tables'' owner. Error 22023: the one that was named is not delivered to.';

CREATE OR REPLACE FUNCTION cdp_internal.delivery_take(destination text, connection_id integer, as_of timestamptz, OUT attempt_id bigint, OUT request jsonb, OUT free_at timestamptz)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  d record;
  c record;
  m record;
  id text;
  first bigint;
  now timestamptz;
BEGIN
  -- Who takes holds the row: what it counts is for all sessions.
  SELECT x.* INTO d FROM cdp_data.delivery x WHERE x.destination = delivery_take.destination FOR UPDATE;
  now := greatest(as_of, clock_timestamp());
  IF d.paused_until > now OR d.connection_id <> delivery_take.connection_id THEN
    RETURN; -- or it goes over another connection by now, whose secrets the caller has not
  ELSIF d.agreed IS DISTINCT FROM cdp_internal.delivery_address(d.connection_id, d.stream) THEN
    UPDATE cdp_data.delivery x SET paused_until = now + interval '1 hour', problem = 'the connection was changed since: cdp.deliver_to() again' WHERE x.destination = delivery_take.destination;
    RETURN;
  ELSIF d.next_at > now THEN
    free_at := d.next_at;
    RETURN;
  END IF;
  SELECT x.config, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.connection x WHERE x.connection_id = d.connection_id;
  SELECT min(o.outbox_id) INTO first FROM cdp_data.outbox o WHERE o.destination = delivery_take.destination AND o.state IN ('waiting', 'taken') AND o.next_attempt_at <= now;
  SELECT array_agg(t.outbox_id ORDER BY t.outbox_id) AS ids,
    jsonb_agg(jsonb_build_object('id', t.outbox_id::text, 'type', t.kind, 'timestamp', to_char(o.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'data', t.payload) ORDER BY t.outbox_id) AS list INTO m
  FROM cdp.outbox_take(delivery_take.destination, CASE WHEN first <= d.alone_to THEN 1 ELSE d.batch END, interval '10 minutes') t JOIN cdp_data.outbox o ON o.outbox_id = t.outbox_id;
  IF m.ids IS NULL THEN
    RETURN;
  END IF;
  UPDATE cdp_data.delivery x SET next_at = greatest(x.next_at, now) + interval '1 minute' / x.max_per_minute WHERE x.destination = delivery_take.destination AND x.max_per_minute IS NOT NULL;
  -- The number of an attempt is not in it, so that the destination knows what it has seen.
  id := CASE WHEN cardinality(m.ids) = 1 THEN format('msg_%s_%s', d.space, m.ids[1]) ELSE format('batch_%s_%s', d.space, encode(substr(sha256(convert_to(array_to_string(m.ids, ','), 'UTF8')), 1, 16), 'hex')) END;
  request := cdp_internal.connector_request(c.manifest, d.stream, jsonb_build_object('config', c.config));
  request := request || jsonb_build_object('repeatable', false,
    'body', CASE WHEN d.format = 'ndjson' THEN (SELECT string_agg(e.value::text || E'\n', '' ORDER BY e.n) FROM jsonb_array_elements(m.list) WITH ORDINALITY AS e (value, n)) WHEN d.batch = 1 THEN (m.list -> 0)::text ELSE m.list::text END,
    'headers', coalesce(request -> 'headers', '{}') || jsonb_build_object('webhook-id', id, 'content-type', CASE d.format WHEN 'ndjson' THEN 'application/x-ndjson' ELSE 'application/json' END));
  IF request #> '{auth,hmac}' IS NOT NULL AND c.manifest ->> 'connector' = 'webhook' THEN
    request := jsonb_set(request, '{auth,hmac}', (request #> '{auth,hmac}') || jsonb_build_object('message', id || '.' || (request #>> '{auth,hmac,message}'), 'key_is_base64', true));
  END IF;
  PERFORM cdp_data.audit_write('deliver', 'destination ' || destination, NULL, jsonb_build_object('messages', cardinality(m.ids)));
  INSERT INTO cdp_data.delivery_attempt AS a (destination, source_id, outbox_ids, webhook_id) VALUES (delivery_take.destination, d.source_id, m.ids, id) RETURNING a.attempt_id INTO delivery_take.attempt_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.delivery_take(text, integer, timestamptz) IS
'Takes the next messages of a destination (cdp.outbox_take(), for 10 minutes) and builds the request that carries them, without secrets: each as {"id", "type", "timestamp" (UTC), "data"}. Writes to the audit how many. free_at: come again then, because of max_per_minute. connection_id: whose secrets the caller holds. All NULL: nothing is due, it goes over another connection by now, or the connection was changed since cdp.deliver_to(). Needs the rights of the tables'' owner. Errors: as cdp_internal.connector_request().';

CREATE OR REPLACE FUNCTION cdp_internal.delivery_reply(body bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  d record;
BEGIN
  IF body IS NULL OR octet_length(body) > 1048576 THEN
    RETURN '{}';
  END IF;
  d := cdp_internal.decode_body(body);
  RETURN CASE WHEN jsonb_typeof(d.doc) = 'object' THEN d.doc ELSE '{}' END;
END
$$;
COMMENT ON FUNCTION cdp_internal.delivery_reply(bytea) IS
'The object that a destination answered; {} when it is none, or above 1 MiB.';

CREATE OR REPLACE FUNCTION cdp_internal.delivery_acknowledged(a record, way text, message bigint, receipt text, reply jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  told jsonb := CASE WHEN cardinality(a.outbox_ids) = 1 THEN reply
    ELSE (SELECT e FROM jsonb_array_elements(CASE jsonb_typeof(reply -> 'acknowledged') WHEN 'array' THEN reply -> 'acknowledged' ELSE '[]' END) e WHERE e ->> 'id' = message::text LIMIT 1) END;
BEGIN
  IF receipt !~ '^[0-9]{1,18}$' OR way = 'none' OR way = 'reply' AND coalesce(told ->> 'reference', told ->> 'refusal') IS NULL
    OR NOT EXISTS (SELECT FROM cdp_data.erasure_destination e WHERE e.receipt_id = receipt::bigint AND e.destination = a.destination) THEN
    RETURN;
  END IF;
  PERFORM cdp_internal.acknowledge_in(receipt::bigint, a.destination, left(CASE way WHEN 'status' THEN a.webhook_id ELSE told ->> 'reference' END, 200), CASE way WHEN 'reply' THEN left(told ->> 'refusal', 200) END);
END
$$;
COMMENT ON FUNCTION cdp_internal.delivery_acknowledged(record, text, bigint, text, jsonb) IS
'Notes that a destination deleted a person (message of kind erase), as the delivery says what tells it: any good status, or the answer, in a list only what it says of this message. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.delivery_sent(a record, way text, reply jsonb, OUT sent integer, OUT refused integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  m record;
BEGIN
  sent := 0;
  refused := 0;
  FOR m IN
    SELECT o.outbox_id, o.kind, o.payload ->> 'receipt' AS receipt,
      (SELECT e FROM jsonb_array_elements(CASE jsonb_typeof(reply -> 'failed') WHEN 'array' THEN reply -> 'failed' ELSE '[]' END) e WHERE e ->> 'id' = o.outbox_id::text LIMIT 1) AS bad
    FROM cdp_data.outbox o WHERE o.outbox_id = ANY (a.outbox_ids) ORDER BY o.outbox_id
  LOOP
    IF m.bad IS NOT NULL THEN
      PERFORM cdp.outbox_failed(m.outbox_id, 'the destination will not take it', m.bad -> 'retry' IS NOT DISTINCT FROM 'true'::jsonb);
      refused := refused + 1;
      CONTINUE;
    END IF;
    sent := sent + cdp.outbox_sent(m.outbox_id)::integer;
    IF m.kind = 'erase' THEN
      PERFORM cdp_internal.delivery_acknowledged(a, way, m.outbox_id, m.receipt, reply);
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.delivery_sent(record, text, jsonb) IS
'Reports the messages of a request that was taken: sent, but those that the answer names in {"failed": [{"id", "retry"}]}; and deletions that it acknowledges. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.delivery_put_back(a record) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE cdp_data.outbox o SET state = 'waiting', attempts = o.attempts - 1, next_attempt_at = clock_timestamp() WHERE o.outbox_id = ANY (a.outbox_ids) AND o.state = 'taken';
END
$$;
COMMENT ON FUNCTION cdp_internal.delivery_put_back(record) IS
'Puts the messages of a request back as if they had not been taken. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.delivery_failed(a record, reason text, wait_s double precision, later timestamptz, at timestamptz, switch_off boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp.outbox_failed(i, reason, true) FROM unnest(a.outbox_ids) i;
  UPDATE cdp_data.delivery x SET failures = x.failures + 1, problem = reason,
    paused_until = greatest(coalesce(later, '-infinity'), at + make_interval(secs => least(coalesce(wait_s, 0), 86400)), at + least(interval '1 hour', interval '5 seconds' * 2 ^ least(x.failures, 12)))
  WHERE x.destination = a.destination;
  IF switch_off THEN
    UPDATE cdp_data.destination x SET enabled = false WHERE x.destination = a.destination;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.delivery_failed(record, text, double precision, timestamptz, timestamptz, boolean) IS
'Reports that a request did not arrive: its messages are tried again (cdp.outbox_failed()), the destination is left alone for 5 seconds, twice as long with each failure in a row, an hour at most, or as long as it says, a day at most. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.delivery_answered(attempt bigint, outcome text, detail text, status integer, headers jsonb, body bytea, at timestamptz, ms integer, later timestamptz, renewed boolean) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  a record;
  d record;
  v record;
  n record;
  reply jsonb := cdp_internal.delivery_reply(body);
  reason text;
  word text := 'go';
BEGIN
  SELECT x.* INTO a FROM cdp_data.delivery_attempt x WHERE x.attempt_id = attempt;
  SELECT x.*, cdp_internal.connector_manifest(c.connector) AS manifest INTO d FROM cdp_data.delivery x JOIN cdp_data.connection c USING (connection_id) WHERE x.destination = a.destination FOR UPDATE OF x;
  SELECT 0 AS sent, 0 AS refused INTO n;
  SELECT NULL::text AS verb, NULL::text AS code, NULL::integer AS wait_s INTO v;
  IF outcome = 'ok' THEN
    SELECT x.verb, x.code, x.wait_s INTO v FROM cdp_internal.connector_verdict(d.manifest, d.stream, status, headers, reply, at) x;
  END IF;
  reason := left(CASE WHEN outcome <> 'ok' THEN concat_ws(': ', outcome, detail) WHEN status BETWEEN 200 AND 299 AND v.verb IN ('ok', 'ignore') THEN NULL ELSE concat_ws(' code ', format('HTTP %s', status), v.code) END, 500);
  IF reason IS NULL THEN
    n := cdp_internal.delivery_sent(a, d.acknowledges, reply);
  ELSIF v.verb = 'reauth_once' AND NOT renewed THEN
    PERFORM cdp_internal.delivery_put_back(a);
    UPDATE cdp_data.delivery x SET next_at = NULL WHERE x.destination = a.destination; -- with the new token at once, in the same turn
    word := 'reauth';
  ELSIF outcome = 'ok' AND status IN (400, 413, 415, 422) AND cardinality(a.outbox_ids) > 1 THEN
    -- One of a list spoils the others, so they go one by one.
    PERFORM cdp_internal.delivery_put_back(a);
    UPDATE cdp_data.delivery x SET alone_to = greatest(x.alone_to, a.outbox_ids[cardinality(a.outbox_ids)]) WHERE x.destination = a.destination;
  ELSIF outcome = 'ok' AND status IN (400, 413, 415, 422) THEN
    -- These speak of the message: it will never be taken.
    PERFORM cdp.outbox_failed(a.outbox_ids[1], reason, false);
    n.refused := 1;
  ELSE
    PERFORM cdp_internal.delivery_failed(a, reason, v.wait_s, later, at, outcome = 'ok' AND status = 410);
    word := 'leave';
  END IF;
  IF word = 'go' THEN
    UPDATE cdp_data.delivery x SET failures = 0, paused_until = NULL, problem = NULL WHERE x.destination = a.destination AND (x.failures > 0 OR x.problem IS NOT NULL);
  END IF;
  UPDATE cdp_data.delivery_attempt x SET finished_at = clock_timestamp(), outcome = outcome, status = nullif(status, 0), sent = n.sent, refused = n.refused, ms = ms, problem = reason WHERE x.attempt_id = attempt;
  RETURN word;
END
$$;
COMMENT ON FUNCTION cdp_internal.delivery_answered(bigint, text, text, integer, jsonb, bytea, timestamptz, integer, timestamptz, boolean) IS
'Writes down what became of a request with messages. A good status that the manifest does not take for an error (ok, errors): sent. 400, 413, 415, 422: given up (dead letter), a list one by one first. A token that is not taken any more (and was not renewed for this request): reauth, the messages are put back. Anything else, no answer too: cdp_internal.delivery_failed(), and 410 switches the destination off. Returns go, reauth or leave. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.redeliver(destination text, messages bigint[] DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  UPDATE cdp_data.outbox o SET state = 'waiting', attempts = 0, next_attempt_at = clock_timestamp()
  WHERE o.destination = redeliver.destination AND o.state = 'failed' AND (redeliver.messages IS NULL OR o.outbox_id = ANY (redeliver.messages));
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n > 0 THEN
    PERFORM cdp_data.audit_write('setting', 'delivery ' || destination, NULL, jsonb_build_object('redeliver', n));
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp.redeliver(text, bigint[]) IS
'Lets messages of a destination that were given up (dead letters, state failed) be delivered again, all or those with these numbers, under the id that they had. Whether they still may go is asked once more when they are taken. Returns how many. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.reconcile_delivery(destination text, received bigint[], since timestamptz, until timestamptz) RETURNS TABLE (outbox_id bigint, finding text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  WITH theirs AS (SELECT DISTINCT r AS id FROM unnest(received) r WHERE r IS NOT NULL),
    ours AS (SELECT o.outbox_id AS id, o.state, o.sent_at FROM cdp_data.outbox o WHERE o.destination = reconcile_delivery.destination)
  SELECT o.id, 'not_received' FROM ours o WHERE o.state = 'sent' AND o.sent_at >= since AND o.sent_at < until AND NOT EXISTS (SELECT FROM theirs t WHERE t.id = o.id)
  UNION ALL
  SELECT t.id, CASE WHEN o.id IS NULL THEN 'not_ours' ELSE 'not_reported' END FROM theirs t LEFT JOIN ours o ON o.id = t.id WHERE o.id IS NULL OR o.state <> 'sent'
  ORDER BY 2, 1;
END
$$;
COMMENT ON FUNCTION cdp.reconcile_delivery(text, bigint[], timestamptz, timestamptz) IS
'Compares the ids of messages that a destination says it has with what was sent to it from since until before until: not_received (sent, and it has it not), not_reported (it has it, and we do not know: it is under way, or was given up), not_ours (no message of this destination). No row: both agree. Needs the rights to read cdp_data.outbox.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_delivery()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.delivery') IS NULL OR NOT has_table_privilege('cdp_data.delivery', 'SELECT') THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'delivery_fails', format('destination %s: %s requests in a row failed: %s', quote_ident(d.destination), d.failures, d.problem), format('SELECT * FROM cdp_data.delivery_attempt WHERE destination = %L ORDER BY attempt_id DESC; it is it is tried again by itself, unless it is switched off', d.destination)
  FROM cdp_data.delivery d JOIN cdp_data.destination t ON t.destination = d.destination WHERE d.failures >= 3 OR d.problem IS NOT NULL AND (d.failures = 0 OR NOT t.enabled) ORDER BY d.destination;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_delivery() IS 'Findings of cdp.health() about destinations that can not be delivered to.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_delivery()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  DELETE FROM cdp_data.delivery_attempt a USING cdp_data.setting s WHERE a.began_at < cdp_internal.cutoff(now(), s.sync_retention);
  GET DIAGNOSTICS n = ROW_COUNT;
  RAISE NOTICE 'maintain: % attempts of deliveries past their retention', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_delivery() IS 'Part of cdp.maintain(): deletes attempts of deliveries older than cdp_data.setting.sync_retention.';

CREATE OR REPLACE PROCEDURE cdp.deliver(destination text DEFAULT NULL, deadline interval DEFAULT '5 minutes', INOUT requests integer DEFAULT NULL, INOUT failed integer DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'cdp_deliver';
COMMENT ON PROCEDURE cdp.deliver(text, interval, integer, integer) IS
'Posts the messages of the outbox that are due, of one destination or of all that cdp.deliver_to() knows and whose connection the caller may use. What is sent is taken and committed before, and reported after: a session that dies between lets it be sent again under the same webhook-id, so each arrives at least once. Several sessions share the work. Holds no snapshot, transaction or lock while it waits. Returns how many requests were made, and how many of them failed. Outside of transaction blocks. Errors: 22023 the destination is not delivered to, 55000 a secret is missing or the connection was changed meanwhile, 2D000 in a transaction block.';
