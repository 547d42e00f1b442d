-- Connector room, callbacks: what a platform pushes is verified, opened and kept, and answered at once; afterwards it becomes
-- wishes to ask again. What is pulled stays the truth: a callback only says what is worth a look.

CREATE OR REPLACE FUNCTION cdp_internal.refuse_callback(why text) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE EXCEPTION 'callback refused' USING ERRCODE = 'invalid_authorization_specification', DETAIL = why;
END
$$;
COMMENT ON FUNCTION cdp_internal.refuse_callback(text) IS
'Raises 28000 with one message for whatever is wrong with a callback, the reason in the detail: a gateway tells strangers nothing of it.';

CREATE OR REPLACE FUNCTION cdp_internal.store_callback(connection_id integer, message bytea, signature text, signed_at timestamptz, encrypted boolean, received_at timestamptz, message_id text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  c record;
  d record := cdp_internal.callback_message(message);
  digest bytea := sha256(CASE WHEN message_id IS NOT NULL THEN convert_to(jsonb_build_array('id', message_id)::text, 'UTF8') WHEN d.doc ? 'MsgId' THEN convert_to(jsonb_build_array('MsgId', d.doc -> 'FromUserName', d.doc -> 'AgentID', d.doc -> 'MsgId')::text, 'UTF8') WHEN d.doc IS NOT NULL THEN convert_to(d.doc::text, 'UTF8') ELSE message END);
  id bigint;
BEGIN
  SELECT x.source_id, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.connection x WHERE x.connection_id = store_callback.connection_id;
  PERFORM cdp_internal.guard_batch();
  IF d.doc IS NOT NULL AND cdp_internal.suppressed_records(c.manifest, NULL, ARRAY[d.doc]) <> '{}' THEN
    -- It names somebody who must not come in again: not even that is kept.
    PERFORM cdp_internal.count_suppressed(c.source_id, 1);
    RETURN NULL;
  END IF;
  INSERT INTO cdp_data.callback AS k (connection_id, source_id, received_at, signed_at, signature, encrypted, dedup, event, state, problem, message, doc, tokens)
  VALUES (connection_id, c.source_id, received_at, signed_at, signature, encrypted, digest,
    left(nullif(concat_ws('/', coalesce(d.doc ->> 'Event', d.doc ->> 'InfoType', d.doc ->> 'MsgType', d.doc ->> 'type'), d.doc ->> 'ChangeType'), ''), 100), CASE WHEN d.doc IS NULL THEN 'unread' ELSE 'new' END, d.problem, message, d.doc,
    cdp_internal.content_tokens(d.doc))
  ON CONFLICT DO NOTHING RETURNING k.callback_id INTO id;
  IF id IS NULL AND EXISTS (SELECT FROM cdp_data.callback k WHERE k.connection_id = store_callback.connection_id AND k.signature = store_callback.signature AND k.dedup <> digest) THEN
    PERFORM cdp_internal.refuse_callback('its signature came before, with another message');
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.store_callback(integer, bytea, text, timestamptz, boolean, timestamptz, text) IS
'Keeps a message that was verified, and returns its number; NULL when it came before (message_id, else the number MsgId of the platform, else all that it says; or the same signature), or names somebody who must not come in again. Error 28000: its signature came before with another message. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.take_callback(connection text, msg_signature text, "timestamp" text, nonce text, body bytea, echostr text, signature text, as_of timestamptz) RETURNS bytea
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  c record;
  manifest jsonb;
  secrets text[];
  dialect text;
  receiver text;
  sent timestamptz;
  encrypted boolean;
  cipher text;
  problem text;
  message bytea := body;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT x.connection_id, x.name, x.connector, x.config, x.state INTO c FROM cdp_data.connection x WHERE x.name = take_callback.connection;
  IF NOT FOUND THEN
    PERFORM cdp_internal.refuse_callback('there is no such connection');
  END IF;
  manifest := cdp_internal.connector_manifest(c.connector);
  dialect := manifest #>> '{callback,dialect}';
  receiver := c.config ->> (manifest #>> '{callback,receiver}');
  secrets := ARRAY(SELECT s.name FROM cdp_data.connection_secret s WHERE s.connection_id = c.connection_id AND s.name IN ('callback_token', 'callback_key'));
  IF dialect IS NULL OR receiver IS NULL AND dialect <> 'standard_webhooks' OR 'callback_token' <> ALL (secrets) THEN
    PERFORM cdp_internal.refuse_callback('the connection is not set up for callbacks: its connector must have them, and it needs the secret callback_token');
  ELSIF "timestamp" IS NULL OR "timestamp" !~ '^[0-9]{1,11}$' OR nonce IS NULL OR octet_length(nonce) > 200 THEN
    PERFORM cdp_internal.refuse_callback('timestamp or nonce is missing or none');
  END IF;
  sent := to_timestamp("timestamp"::bigint);
  IF sent NOT BETWEEN as_of - interval '300 seconds' AND as_of + interval '300 seconds' THEN
    PERFORM cdp_internal.refuse_callback(format('it was signed %s seconds from now; at most 300 are taken', round(extract(epoch FROM sent - as_of))));
  ELSIF body IS NULL AND echostr IS NULL THEN
    RAISE EXCEPTION 'a callback has a body, or echostr' USING ERRCODE = 'null_value_not_allowed', HINT = 'Hand on the parameters of the request, and what was posted.';
  ELSIF octet_length(body) > 4194304 THEN
    RAISE EXCEPTION 'a callback has at most 4 MiB' USING ERRCODE = 'program_limit_exceeded', DETAIL = format('Got %s bytes.', octet_length(body));
  END IF;
  -- WeChat checks an address without encryption, whatever becomes of messages afterwards.
  encrypted := dialect = 'wecom' OR dialect = 'wechat' AND (echostr IS NOT NULL AND msg_signature IS NOT NULL OR echostr IS NULL AND 'callback_key' = ANY (secrets));
  IF dialect = 'standard_webhooks' THEN
    -- A dot in the number could be the one before the time.
    IF body IS NULL OR echostr IS NOT NULL OR nonce !~ '^[A-Za-z0-9_:-]+$' OR NOT coalesce(cdp_internal.check_webhook(c.connection_id, msg_signature, "timestamp", nonce, body), false) THEN
      PERFORM cdp_internal.refuse_callback('wrong signature');
    END IF;
  ELSIF encrypted THEN
    cipher := CASE WHEN echostr IS NOT NULL THEN echostr ELSE cdp_internal.callback_cipher(body) END;
    IF cipher IS NULL OR msg_signature IS NULL OR 'callback_key' <> ALL (secrets) THEN
      PERFORM cdp_internal.refuse_callback('it is not encrypted, or not signed, or the connection has no secret callback_key');
    END IF;
    SELECT o.problem, o.message INTO problem, message FROM cdp_internal.open_callback(c.connection_id, receiver, msg_signature, "timestamp", nonce, cipher) o;
    IF problem IS NOT NULL THEN
      PERFORM cdp_internal.refuse_callback(format('wrong %s', problem));
    ELSIF echostr IS NOT NULL AND (octet_length(message) > 100 OR EXISTS (SELECT FROM cdp_internal.callback_message(message) d WHERE d.doc IS NOT NULL)) THEN
      -- Else who overheard a message could have it decrypted as a check of the address.
      PERFORM cdp_internal.refuse_callback('echostr is a message');
    END IF;
  ELSIF NOT coalesce(cdp_internal.check_callback(c.connection_id, signature, "timestamp", nonce), false) THEN
    PERFORM cdp_internal.refuse_callback('wrong signature');
  ELSIF cdp_internal.callback_cipher(body) IS NOT NULL OR octet_length(echostr) > 1000 THEN
    PERFORM cdp_internal.refuse_callback('it is encrypted, and the connection has no secret callback_key, or echostr has more than 1000 bytes');
  END IF;
  IF c.state IN ('suspended', 'retired') THEN
    RAISE EXCEPTION 'connection "%" is %', c.name, c.state USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Nothing comes in while it stands still: SELECT cdp.resume_connection(...) first.';
  ELSIF echostr IS NOT NULL THEN
    RETURN CASE WHEN encrypted THEN message ELSE convert_to(echostr, 'UTF8') END;
  END IF;
  PERFORM cdp_internal.store_callback(c.connection_id, message, CASE WHEN dialect = 'standard_webhooks' THEN encode(sha256(convert_to(nonce || '.' || "timestamp", 'UTF8')), 'hex') WHEN encrypted THEN msg_signature ELSE signature END,
    sent, encrypted, as_of, CASE WHEN dialect = 'standard_webhooks' THEN nonce END);
  RETURN convert_to('success', 'UTF8');
END
$$;
COMMENT ON FUNCTION cdp_internal.take_callback(text, text, text, text, bytea, text, text, timestamptz) IS
'What cdp.receive_callback() does, at as_of, for cdp_api.receive_callback(). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.receive_callback(connection text, msg_signature text, "timestamp" text, nonce text, body bytea DEFAULT NULL, echostr text DEFAULT NULL, signature text DEFAULT NULL) RETURNS bytea
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_api.receive_callback(connection, msg_signature, "timestamp", nonce, body, echostr, signature);
END
$$;
COMMENT ON FUNCTION cdp.receive_callback(text, text, text, text, bytea, text, text) IS
'Takes what WeCom, WeChat or a product that signs as Standard Webhooks say pushed to an address that leads here, with the parameters of the request as they came, and returns what to answer: success, or, to a check of the address (echostr, no body), the text that it asks for, as bytes. The message is verified and decrypted with the secrets callback_token and callback_key of the connection, kept in cdp_data.callback, and becomes a wish to pull what it speaks of: at once it changes no fact. msg_signature signs encrypted messages; signature those that are not, which only connectors of WeChat without the secret callback_key take: it covers time and nonce, not the message. Of Standard Webhooks msg_signature is the header webhook-signature, timestamp webhook-timestamp, nonce webhook-id. A message that is pushed again is one. For the part connector and the owner of the tables; gateways call cdp_api.receive_callback(), which is the same. Errors: 28000 refused: unknown connection, wrong signature, key or receiver, more than 300 seconds old or ahead, a signature that came before with another message (the reason is in the detail, for the log and not for who asked); 22004 neither body nor echostr; 54000 above 4 MiB; 55000 the connection is suspended or retired, its secrets can not be used, or before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.process_callbacks(most integer DEFAULT 1000) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ids bigint[];
  wished bigint[] := '{}';
  r record;
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.callback k WHERE k.state = 'new') THEN
    RETURN 0;
  END IF;
  PERFORM cdp_internal.guard_batch();
  SELECT array_agg(x.callback_id) INTO ids FROM (SELECT k.callback_id FROM cdp_data.callback k WHERE k.state = 'new' ORDER BY k.callback_id LIMIT process_callbacks.most FOR UPDATE SKIP LOCKED) x;
  FOR r IN
    -- A manifest of one's own that is not good any more must not stop the others.
    WITH m AS MATERIALIZED (
      SELECT c.connection_id, CASE WHEN NOT EXISTS (SELECT FROM cdp.connector_problems(x.manifest)) THEN x.manifest END AS manifest
      FROM cdp_data.connection c CROSS JOIN LATERAL (SELECT cdp_internal.connector_manifest(c.connector) AS manifest) x
      WHERE c.connection_id IN (SELECT k.connection_id FROM cdp_data.callback k WHERE k.callback_id = ANY (ids)))
    SELECT k.connection_id, w.stream, coalesce(w.part, '') AS part, max(k.received_at) AS at, (array_agg('callback ' || k.event ORDER BY k.received_at DESC, k.callback_id DESC))[1] AS reason, array_agg(k.callback_id) AS ids
    FROM cdp_data.callback k JOIN m USING (connection_id) CROSS JOIN LATERAL cdp_internal.connector_wishes(m.manifest, k.doc) w
    WHERE k.callback_id = ANY (ids) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  LOOP
    IF cdp_internal.wish(r.connection_id, r.stream, r.part, coalesce(r.reason, 'callback'), r.at) THEN
      wished := wished || r.ids;
    END IF;
  END LOOP;
  UPDATE cdp_data.callback k SET state = CASE WHEN k.callback_id = ANY (wished) THEN 'wished' ELSE 'ignored' END, processed_at = clock_timestamp() WHERE k.callback_id = ANY (ids);
  RETURN coalesce(cardinality(ids), 0);
END
$$;
COMMENT ON FUNCTION cdp_internal.process_callbacks(integer) IS
'Turns at most so many messages that platforms pushed, oldest first, into wishes of what to ask again (cdp_data.stream_wish), as callback.events of the manifests say. Returns how many were looked at; 0: none waits that nobody else works on. Several sessions share them. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_callbacks()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.callback') IS NULL OR NOT has_column_privilege('cdp_data.callback', 'state', 'SELECT') OR NOT has_table_privilege('cdp_data.connection', 'SELECT') THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', v.finding, format('connection %s: %s messages of the platform %s', quote_ident(c.name), v.n, v.words), v.remedy
  FROM (SELECT k.connection_id, count(*) FILTER (WHERE k.state = 'new' AND k.received_at < now() - interval '1 hour') AS waiting, count(*) FILTER (WHERE k.state = 'unread') AS unread
        FROM cdp_data.callback k WHERE k.state IN ('new', 'unread') GROUP BY k.connection_id) x
    JOIN cdp_data.connection c USING (connection_id)
    CROSS JOIN LATERAL (VALUES ('callbacks_waiting', x.waiting, 'wait for more than an hour', 'Nobody pulls: schedule it, or SELECT cdp_internal.process_callbacks()'),
      ('callbacks_unread', x.unread, 'could not be read', 'SELECT problem FROM cdp_data.callback WHERE state = ''unread''; any erasure deletes them')) AS v (finding, n, words, remedy)
  WHERE v.n > 0 AND c.state <> 'retired' ORDER BY 2, 3;
  IF has_column_privilege('cdp_data.connection_secret', 'name', 'SELECT') THEN
    RETURN QUERY
    SELECT 'warning', 'callbacks_half_set', format('connection %s has the secret %s and not %s, so that what the platform pushes is refused', quote_ident(x.name), x.has, x.lacks), 'Give it with cdp.set_secret_from_file(), or drop the other with cdp.drop_secret()'
    FROM (
      SELECT c.name, CASE WHEN n.secrets = '{callback_key}' THEN 'callback_key' ELSE 'callback_token' END AS has, CASE WHEN n.secrets = '{callback_key}' THEN 'callback_token' ELSE 'callback_key' END AS lacks
      FROM cdp_data.connection c CROSS JOIN LATERAL (SELECT array_agg(s.name::text ORDER BY s.name) AS secrets FROM cdp_data.connection_secret s WHERE s.connection_id = c.connection_id AND s.name IN ('callback_key', 'callback_token')) n
      WHERE c.state <> 'retired' AND (n.secrets = '{callback_key}' OR n.secrets = '{callback_token}' AND cdp_internal.connector_manifest(c.connector) #>> '{callback,dialect}' = 'wecom')) x
    ORDER BY 3;
  END IF;
  IF has_column_privilege('cdp_data.stream_wish', 'stream', 'SELECT') THEN
    RETURN QUERY
    SELECT 'warning', 'wishes_waiting', format('stream %s of connection %s: %s wishes wait for more than a day', w.stream, quote_ident(c.name), count(*)), 'Look at cdp_bi.sync_run why it is not pulled'
    FROM cdp_data.stream_wish w JOIN cdp_data.connection c USING (connection_id)
    WHERE w.wished_at < now() - interval '1 day' AND c.state IN ('shadow', 'live', 'degraded') GROUP BY c.name, w.stream ORDER BY 3;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_callbacks() IS
'Findings of cdp.health() about messages that platforms pushed: those that nobody looked at, those that could not be read, connections that lack one of two secrets, wishes that nobody grants.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_values_callback(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  words bigint[] := cdp_internal.erase_tokens(identifiers);
  more bigint;
BEGIN
  DELETE FROM cdp_data.callback k WHERE k.tokens && words;
  GET DIAGNOSTICS n = ROW_COUNT;
  DELETE FROM cdp_data.callback k WHERE k.doc IS NULL;
  GET DIAGNOSTICS more = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.callback', 'delete', erase_of_values_callback.n + more;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_values_callback(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes messages of platforms that name a person, and those that nobody can read. Returns what was done per table.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_callback()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  DELETE FROM cdp_data.callback k USING cdp_data.setting s WHERE k.received_at < cdp_internal.cutoff(now(), s.callback_retention);
  GET DIAGNOSTICS n = ROW_COUNT;
  RAISE NOTICE 'maintain: % messages of platforms past their retention', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_callback() IS 'Part of cdp.maintain(): deletes messages of platforms older than cdp_data.setting.callback_retention.';
