-- Governance room, erasure: one person, one transaction, one receipt.

CREATE OR REPLACE FUNCTION cdp_internal.guard_erasure(type_ids smallint[], vals text[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  buckets integer[] := ARRAY(SELECT DISTINCT cdp_internal.guard_bucket(u.type_id, u.value) FROM unnest(type_ids, vals) AS u (type_id, value) ORDER BY 1);
  busy integer;
BEGIN
  PERFORM pg_advisory_xact_lock(cdp_internal.guard_class(), -1);
  FOR attempt IN 1 .. 1000 LOOP
    BEGIN
      FOREACH busy IN ARRAY buckets LOOP
        IF NOT pg_try_advisory_xact_lock(cdp_internal.guard_class(), busy) THEN
          RAISE EXCEPTION 'somebody writes' USING ERRCODE = 'CDPRT';
        END IF;
      END LOOP;
      RETURN;
    EXCEPTION WHEN SQLSTATE 'CDPRT' THEN
      -- A transaction of several calls holds locks in any order, so nobody is waited for with other locks in hand.
      BEGIN
        PERFORM pg_advisory_xact_lock(cdp_internal.guard_class(), busy);
        RAISE EXCEPTION 'it is free now' USING ERRCODE = 'CDPRT';
      EXCEPTION WHEN SQLSTATE 'CDPRT' THEN
      END;
    END;
  END LOOP;
  RAISE EXCEPTION 'others write about the customer all the time'
    USING ERRCODE = 'lock_not_available', DETAIL = 'Tried 1000 times.', HINT = 'Try again.';
END
$$;
COMMENT ON FUNCTION cdp_internal.guard_erasure(smallint[], text[]) IS
'Waits for batches and for calls with one of these identifiers, and keeps new ones waiting until the transaction ends: the other side of cdp_internal.guard_batch() and guard_calls(). Error 55P03: they never paused.';

CREATE OR REPLACE FUNCTION cdp_internal.lock_person(customer bigint,
  OUT root bigint, OUT customers bigint[], OUT homes bigint[], OUT identifiers bigint[], OUT type_ids smallint[], OUT vals text[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record := cdp_internal.person(customer);
BEGIN
  FOR attempt IN 1 .. 100 LOOP
    BEGIN
      PERFORM cdp_internal.guard_erasure(p.type_ids, p.vals);
      -- From here in the order of all of identity: table of links, identifiers by type and value, roots by number. Who
      -- wants the outbox as well takes it before customers.
      LOCK TABLE cdp_data.link, cdp_data.outbox IN ROW EXCLUSIVE MODE;
      PERFORM FROM cdp_data.identifier i WHERE i.identifier_id = ANY (p.identifiers) ORDER BY i.type_id, i.value FOR UPDATE;
      PERFORM FROM cdp_data.customer c WHERE c.customer_id = ANY (p.customers) ORDER BY c.customer_id FOR UPDATE;
      SELECT * INTO root, customers, homes, identifiers, type_ids, vals FROM cdp_internal.person(customer);
      IF (root, customers, homes, identifiers) = (p.root, p.customers, p.homes, p.identifiers) THEN
        RETURN;
      END IF;
      RAISE EXCEPTION 'the person changed' USING ERRCODE = 'CDPRT';
    EXCEPTION WHEN SQLSTATE 'CDPRT' THEN
      p := cdp_internal.person(customer);
    END;
  END LOOP;
  RAISE EXCEPTION 'the customer changes faster than it can be locked'
    USING ERRCODE = 'serialization_failure', DETAIL = 'Tried 100 times.', HINT = 'Try again.';
END
$$;
COMMENT ON FUNCTION cdp_internal.lock_person(bigint) IS
'cdp_internal.person() under the locks of an erasure: nobody writes about him, links, merges or parts him until the transaction ends. Error 40001: he changed 100 times meanwhile.';

CREATE OR REPLACE FUNCTION cdp_internal.unlinked_customer() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id bigint;
BEGIN
  IF (SELECT count(*) FROM (SELECT FROM cdp_data.unlinked_reserve LIMIT 128) x) < 128 THEN
    INSERT INTO cdp_data.unlinked_reserve (customer_id) SELECT nextval('cdp_data.customer_customer_id_seq') FROM generate_series(1, 256);
  END IF;
  DELETE FROM cdp_data.unlinked_reserve r
  WHERE r.customer_id = (SELECT x.customer_id FROM cdp_data.unlinked_reserve x ORDER BY gen_random_uuid() LIMIT 1) RETURNING r.customer_id INTO id;
  -- All of them were made when the database was: the time tells nothing.
  INSERT INTO cdp_data.customer (customer_id, parent_id, created_at) SELECT id, id, s.created_at FROM cdp_data.setting s;
  INSERT INTO cdp_data.unlinked_unfed (customer_id) VALUES (id);
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.unlinked_customer() IS
'Makes the customer that keeps the touches of an erased person: its number drawn by lot from a reserve of 128 to 384, its created_at that of the database, and the change feed told later.';

CREATE OR REPLACE FUNCTION cdp_internal.coarse(n bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN n < 2 THEN n ELSE (2 ^ ceil(log(2, n::numeric)))::bigint END;
COMMENT ON FUNCTION cdp_internal.coarse(bigint) IS 'The least power of two that is not below n; n itself below 2.';

CREATE OR REPLACE FUNCTION cdp_internal.once_one_with(customers bigint[], identifiers bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
  RETURN ARRAY(
    WITH RECURSIVE met (id) AS (
      SELECT unnest(customers)
      UNION
      SELECT x.id FROM cdp_data.merge_log m CROSS JOIN LATERAL unnest(ARRAY[m.customer_id, m.from_id, m.to_id]) x (id) WHERE m.identifier_id = ANY (identifiers)
      UNION
      SELECT x.id FROM (SELECT * FROM met) n CROSS JOIN LATERAL (
        SELECT m.customer_id, m.from_id, m.to_id FROM cdp_data.merge_log m WHERE m.customer_id = n.id
        UNION ALL SELECT m.customer_id, m.from_id, m.to_id FROM cdp_data.merge_log m WHERE m.to_id = n.id
        UNION ALL SELECT m.customer_id, m.from_id, m.to_id FROM cdp_data.merge_log m WHERE m.from_id = n.id) m
      CROSS JOIN LATERAL unnest(ARRAY[m.customer_id, m.from_id, m.to_id]) x (id)
    )
    SELECT id FROM met WHERE id <> ALL (customers) ORDER BY id);
END
$$;
COMMENT ON FUNCTION cdp_internal.once_one_with(bigint[], bigint[]) IS
'Customers who, as the ledger tells, may have been one with these and are not now, ascending.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_rooms(p record, fresh bigint, mode text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  done jsonb := (SELECT coalesce(jsonb_agg(jsonb_build_object('table', o.table_name, 'action', o.action, 'rows', CASE o.action WHEN 'clear' THEN cdp_internal.coarse(o.n) ELSE o.n END)), '[]') FROM cdp_internal.erase_own_tables(p) o WHERE o.n > 0);
  room text;
  more jsonb;
  tokens bigint[] := cdp_internal.erase_tokens(p.identifiers);
  others bigint[] := cdp_internal.once_one_with(p.customers, p.identifiers);
  refused bigint := cdp_internal.erase_quarantine(p.homes, p.identifiers, tokens); -- by keys of records that go below
  told bigint;
BEGIN
  IF refused > 0 THEN
    done := done || jsonb_build_object('table', 'cdp_data.quarantine', 'action', 'delete', 'rows', refused);
  END IF;
  -- What was sent while somebody else and she were taken for one.
  DELETE FROM cdp_data.outbox o WHERE o.customer_id = ANY (others) AND o.kind <> 'erase' AND cdp_internal.outbox_tokens(o.payload, o.dedup_key, o.last_error) && tokens;
  GET DIAGNOSTICS told = ROW_COUNT;
  IF told > 0 THEN
    done := done || jsonb_build_object('table', 'cdp_data.outbox', 'action', 'delete', 'rows', told);
  END IF;
  -- The identifiers, by which the others find their rows, go with core; what is computed from touches comes after it.
  FOR room IN SELECT f FROM cdp_internal.room_functions('erase_of_', 5) f
    ORDER BY CASE WHEN starts_with(f, 'erase_of_values_') THEN 0 ELSE coalesce(array_position(ARRAY['erase_of_identity', 'erase_of_consent', 'erase_of_core'], f), 4) END, f
  LOOP
    EXECUTE format('SELECT jsonb_agg(jsonb_build_object(''table'', x.table_name, ''action'', x.action, ''rows'', CASE x.action WHEN ''unlink'' THEN cdp_internal.coarse(x.n) ELSE x.n END)) FROM cdp_internal.%I($1, $2, $3, $4, $5) x WHERE x.n > 0', room)
      INTO more USING p.customers, p.homes, p.identifiers, fresh, mode;
    done := done || coalesce(more, '[]');
  END LOOP;
  -- A profile that was made before an unmerge and not since shows her values.
  others := ARRAY(SELECT q.customer_id FROM cdp_data.profile q WHERE q.customer_id = ANY (others));
  IF others <> '{}' OR fresh IS NOT NULL AND EXISTS (SELECT FROM cdp_data.profile_state s WHERE s.basis IS NOT NULL) THEN
    PERFORM cdp_internal.profile_store(array_remove(others || fresh, NULL), NULL, NULL);
  END IF;
  RETURN done;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_rooms(record, bigint, text) IS
'Calls cdp_internal.erase_of_...() of all rooms, after the tables that the user registered, and makes the profiles of the unlinked customer and of those who once were one with the person. Returns what was done: [{"table", "action", "rows"}].';

CREATE OR REPLACE FUNCTION cdp_internal.receipt_chain(receipt bigint) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT sha256(coalesce((SELECT x.chain FROM cdp_data.erasure x WHERE x.receipt_id < receipt ORDER BY x.receipt_id DESC LIMIT 1), '')
      || convert_to(jsonb_build_array(e.receipt_id, extract(epoch FROM e.at), e.actor, e.mode, e.cause, e.request_id, e.customer_id, e.customers, e.identifiers,
        e.suppressed, e.rows)::text, 'UTF8'))
    FROM cdp_data.erasure e WHERE e.receipt_id = receipt);
END
$$;
COMMENT ON FUNCTION cdp_internal.receipt_chain(bigint) IS
'The chain hash that a receipt must have: SHA-256 of the one before (empty for the first) and the receipt''s columns as a JSON list. NULL for an unknown receipt.';

CREATE OR REPLACE FUNCTION cdp_internal.tell_destinations(receipt bigint, customers bigint[], type_ids smallint[], vals text[]) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  d record;
  message bigint;
  n integer := 0;
BEGIN
  FOR d IN SELECT x.destination, x.enabled, x.erase_within FROM cdp_data.destination x ORDER BY x.destination LOOP
    message := NULL;
    IF d.enabled THEN
      -- What it was told before are customer ids; digests are those that only we and a destination with its key can make.
      message := cdp.outbox_put(d.destination, 'erase', jsonb_build_object('receipt', receipt, 'customers', to_jsonb(customers), 'digests', (
          SELECT coalesce(jsonb_agg(encode(cdp_internal.keyed_digest('destination ' || d.destination, t.name || ':' || u.value), 'hex') ORDER BY 1), '[]')
          FROM unnest(type_ids, vals) AS u (type_id, value) JOIN cdp_data.identifier_type_all t ON t.type_id = u.type_id)),
        'erase ' || receipt);
      n := n + 1;
    END IF;
    INSERT INTO cdp_data.erasure_destination (receipt_id, destination, outbox_id, due_at) VALUES (receipt, d.destination, message, now() + d.erase_within);
  END LOOP;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.tell_destinations(bigint, bigint[], smallint[], text[]) IS
'Queues the deletion of a person to every destination: kind erase, payload {"receipt", "customers": ids that it was told, "digests": keyed digests of <type>:<value>, hex, purpose destination <name>}. A destination that is switched off gets a line without a message. Returns how many were queued.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_in(customer bigint, mode text, request_id bigint, unseen_since timestamptz DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  p record;
  fresh bigint;
  receipt bigint;
  suppressed bigint;
  done jsonb;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF mode IS NULL OR mode NOT IN ('anonymise', 'delete') THEN
    RAISE EXCEPTION 'unknown mode "%"', left(mode, 20)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'anonymise keeps time, channel and value of touches under an unlinked number; delete keeps nothing.';
  ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'an erasure must see what others have just committed'
      USING ERRCODE = 'invalid_transaction_state', DETAIL = format('The transaction is %s.', current_setting('transaction_isolation')),
        HINT = 'Run it in a transaction of READ COMMITTED.';
  END IF;
  IF request_id IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.request q WHERE q.request_id = erase_in.request_id) THEN
    RAISE EXCEPTION 'there is no request %', request_id USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM cdp_bi.request_register;';
  END IF;
  -- Known before any lock is waited for.
  PERFORM cdp_internal.person(customer), cdp_internal.key_ids();
  p := cdp_internal.lock_person(customer);
  IF unseen_since IS NOT NULL AND (cdp_internal.hold_on(p.root) IS NOT NULL OR NOT cdp_internal.is_unseen(p.root, p.identifiers, unseen_since)) THEN
    RETURN NULL;
  END IF;
  PERFORM cdp_internal.require_no_hold(customer);
  SELECT e.receipt_id INTO receipt FROM cdp_data.erased_customer e WHERE e.customer_id = p.root;
  IF FOUND AND p.identifiers = '{}' THEN
    RAISE EXCEPTION 'customer % was erased before', p.root
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Receipt %s.', receipt), HINT = 'SELECT * FROM cdp_bi.erasure; shows the receipts.';
  END IF;
  -- Refreshes that are under way would write what they read before.
  PERFORM FROM cdp_data.profile_state FOR UPDATE;
  UPDATE cdp_data.suppression_epoch e SET n = e.n + 1;
  -- Who only stayed away may come again.
  suppressed := CASE WHEN unseen_since IS NULL THEN cdp_internal.suppress(p.identifiers, 'erasure') ELSE 0 END;
  fresh := CASE WHEN mode = 'anonymise' THEN cdp_internal.unlinked_customer() END;
  done := cdp_internal.erase_rooms(p, fresh, mode);
  INSERT INTO cdp_data.erasure AS e (actor, mode, cause, request_id, customer_id, customers, identifiers, suppressed, rows, chain)
  VALUES (session_user, mode, CASE WHEN unseen_since IS NULL THEN 'request' ELSE 'retention' END, request_id, p.root, cardinality(p.customers), cardinality(p.identifiers), suppressed, done, '')
  RETURNING e.receipt_id INTO receipt;
  UPDATE cdp_data.erasure e SET chain = cdp_internal.receipt_chain(receipt) WHERE e.receipt_id = receipt;
  INSERT INTO cdp_data.erased_customer AS e (customer_id, receipt_id) SELECT c, receipt FROM unnest(p.customers) c
  ON CONFLICT ON CONSTRAINT erased_customer_pkey DO UPDATE SET receipt_id = excluded.receipt_id;
  PERFORM cdp_internal.tell_destinations(receipt, p.customers, p.type_ids, p.vals);
  PERFORM cdp_data.audit_write('erase', 'receipt ' || receipt, p.root, jsonb_build_object('mode', mode, 'cause', CASE WHEN unseen_since IS NULL THEN 'request' ELSE 'retention' END, 'request', request_id, 'identifiers', cardinality(p.identifiers)),
    (SELECT e.chain FROM cdp_data.erasure e WHERE e.receipt_id = receipt));
  RETURN cdp_internal.receipt(receipt);
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_in(bigint, text, bigint, timestamptz) IS
'What cdp.erase_customer() does; with unseen_since, what a retention of customers does: nothing is suppressed, and nothing is done (NULL) when there is a hold or was a sign of him since then; it runs with the rights of the owner of cdp_data.';

CREATE OR REPLACE FUNCTION cdp_internal.receipt(receipt bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT jsonb_build_object('receipt', e.receipt_id, 'at', to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'mode', e.mode, 'cause', e.cause, 'actor', e.actor,
      'request', e.request_id, 'customer', e.customer_id, 'customers', e.customers, 'identifiers', e.identifiers, 'suppressed', e.suppressed, 'tables', e.rows,
      'chain', encode(e.chain, 'hex'),
      'destinations', (SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('destination', d.destination, 'state', d.state,
          'due', to_char(d.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'reference', d.reference, 'refusal', d.refusal)) ORDER BY d.destination), '[]')
        FROM cdp_bi.erasure_destination d WHERE d.receipt_id = e.receipt_id))
    FROM cdp_data.erasure e WHERE e.receipt_id = receipt);
END
$$;
COMMENT ON FUNCTION cdp_internal.receipt(bigint) IS
'A receipt with the state at each destination now, as JSON; times in UTC. NULL for an unknown number.';

CREATE OR REPLACE FUNCTION cdp.erase_customer(customer bigint, mode text DEFAULT 'anonymise', request_id bigint DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.erase(customer, mode, request_id);
END
$$;
COMMENT ON FUNCTION cdp.erase_customer(bigint, text, bigint) IS
'Erases a person in one transaction: the customer, all that were merged into him, and all identifiers. mode anonymise keeps his touches (time, channel, value, what a refund refers to) under a number that nothing leads to, so that every total stays; delete takes them too. Identifiers, links, attributes, profile, properties, keys of source records, earlier versions, rows in quarantine and messages go; his identifiers are put on the suppression list and refused from then on; every destination is told to delete. Returns the receipt: {"receipt", "tables": [{"table", "action", "rows"}], "suppressed", "destinations", "chain", ...}. Waits for loads and for calls about him that are under way. What it does not reach (dead rows until VACUUM, WAL, backups, replicas, server log): docs/privacy.md. Errors: 42501 for others than the privacy role, 22023 no such customer, mode or request, 55000 erased before or no key file, 25000 not READ COMMITTED, 55P03 or 40001 busy.';

CREATE OR REPLACE FUNCTION cdp.erasure_receipt(receipt bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_internal.receipt(receipt);
END
$$;
COMMENT ON FUNCTION cdp.erasure_receipt(bigint) IS
'The receipt of an erasure with the state at each destination as it is now. NULL for an unknown number.';

CREATE OR REPLACE FUNCTION cdp.erasure_verify() RETURNS TABLE (receipt_id bigint, problem text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY SELECT e.receipt_id, 'it was changed, or the one before it was changed or taken away'
  FROM cdp_data.erasure e WHERE e.chain <> cdp_internal.receipt_chain(e.receipt_id) ORDER BY 1;
  RETURN QUERY SELECT DISTINCT c.receipt_id, 'it is gone' FROM cdp_data.erased_customer c
  WHERE NOT EXISTS (SELECT FROM cdp_data.erasure e WHERE e.receipt_id = c.receipt_id) ORDER BY 1;
END
$$;
COMMENT ON FUNCTION cdp.erasure_verify() IS
'Receipts of erasures whose chain does not fit, with what is wrong. No row: nobody changed them.';

CREATE OR REPLACE FUNCTION cdp_internal.acknowledge_in(receipt bigint, destination text, reference text, refusal text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  message bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT d.outbox_id INTO message FROM cdp_data.erasure_destination d
  WHERE d.receipt_id = receipt AND d.destination = destination AND d.acknowledged_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    IF NOT EXISTS (SELECT FROM cdp_data.erasure_destination d WHERE d.receipt_id = receipt AND d.destination = destination) THEN
      RAISE EXCEPTION 'receipt % knows no destination "%"', receipt, left(destination, 63)
        USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM cdp_bi.erasure_destination; lists them.';
    END IF;
    RETURN false;
  END IF;
  UPDATE cdp_data.erasure_destination d
  SET acknowledged_at = now(), acknowledged_by = session_user, reference = left(acknowledge_in.reference, 200), refusal = left(acknowledge_in.refusal, 500), outbox_id = NULL
  WHERE d.receipt_id = receipt AND d.destination = destination;
  DELETE FROM cdp_data.outbox o WHERE o.outbox_id = message;
  PERFORM cdp_data.audit_write('acknowledge', format('receipt %s at %s', receipt, destination), NULL, jsonb_build_object('refused', refusal IS NOT NULL));
  RETURN true;
END
$$;
COMMENT ON FUNCTION cdp_internal.acknowledge_in(bigint, text, text, text) IS
'What cdp.acknowledge_erasure() does; it runs with the rights of the owner of cdp_data.';

CREATE OR REPLACE FUNCTION cdp.acknowledge_erasure(receipt bigint, destination text, reference text DEFAULT NULL, refusal text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.erasure_answer(receipt, destination, reference, refusal);
END
$$;
COMMENT ON FUNCTION cdp.acknowledge_erasure(bigint, text, text, text) IS
'Notes that a destination has deleted what it had of an erased person (reference: its ticket), or keeps it (refusal: why). The message to it is deleted. False when it had answered already. Errors: 42501 for others than privacy and connector, 22023 unknown receipt or destination.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusal_of_erasure(destination text, kind text, customer_id bigint, payload jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF customer_id IS NULL THEN
    RETURN NULL;
  END IF;
  -- An erasure that is under way holds the row; it ends first.
  PERFORM FROM cdp_data.customer c WHERE c.customer_id = outbox_refusal_of_erasure.customer_id FOR KEY SHARE;
  RETURN (SELECT format('customer %s was erased: receipt %s', e.customer_id, e.receipt_id) FROM cdp_data.erased_customer e
    WHERE e.customer_id = outbox_refusal_of_erasure.customer_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusal_of_erasure(text, text, bigint, jsonb) IS
'The gate of erasure before the outbox: nothing is sent about a customer who was erased, or is being erased now. NULL: nothing against it.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusals_of_erasure(destination text, kind text, customers bigint[], payloads jsonb[])
RETURNS TABLE (n bigint, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT w.n, format('customer %s was erased: receipt %s', e.customer_id, e.receipt_id)
  FROM unnest(customers) WITH ORDINALITY AS w (customer, n) JOIN cdp_data.erased_customer e ON e.customer_id = w.customer;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusals_of_erasure(text, text, bigint[], jsonb[]) IS
'The same gate for many messages (cdp_internal.outbox_refusals()), whose customers the caller has locked, so that an erasure that was under way has ended: a row for each that it refuses, with its place and the reason.';

CREATE OR REPLACE FUNCTION cdp_internal.lift_in(identifier_type text, value text, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  type smallint := (SELECT t.type_id FROM cdp_data.identifier_type_all t WHERE t.name = identifier_type ORDER BY t.is_builtin LIMIT 1);
  clean text := cdp_internal.read_identifier(value, type, cdp_internal.identifier_rules());
  gone boolean;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF type IS NULL OR clean IS NULL THEN
    RAISE EXCEPTION 'that is no identifier' USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp.why_refused(type, value) tells more.';
  ELSIF coalesce(btrim(reason), '') = '' THEN
    RAISE EXCEPTION 'a reason must be given' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as: request 12, signed up again.';
  END IF;
  DELETE FROM cdp_data.suppression s WHERE s.digest = ANY (cdp_internal.suppression_digests(type, clean));
  gone := FOUND;
  IF gone THEN
    PERFORM cdp_data.audit_write('unsuppress', identifier_type, NULL, jsonb_build_object('reason', left(reason, 200)), cdp_internal.keyed_digest('audit', type::text || ':' || clean));
  END IF;
  RETURN gone;
END
$$;
COMMENT ON FUNCTION cdp_internal.lift_in(text, text, text) IS
'What cdp.lift_suppression() does; it runs with the rights of the owner of cdp_data.';

CREATE OR REPLACE FUNCTION cdp.lift_suppression(identifier_type text, value text, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.suppression_lift(identifier_type, value, reason);
END
$$;
COMMENT ON FUNCTION cdp.lift_suppression(text, text, text) IS
'Takes an identifier off the suppression list, for somebody who was erased and signs up again; nothing that was erased comes back. reason is kept in the audit: no personal data. False when it was not on the list. Errors: 42501 for others than the privacy role, 22023 no identifier or no reason, 55000 no key file.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_again_in(upto integer) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  keys integer[] := cdp_internal.suppression_keys();
  found bigint[];
  root bigint;
  receipts jsonb := '[]';
BEGIN
  PERFORM cdp_internal.require_setup();
  IF keys = '{}' THEN
    RETURN receipts;
  END IF;
  found := ARRAY(
    SELECT DISTINCT x.root FROM (
      SELECT cdp_internal.identifier_root(i.identifier_id) AS root
      FROM cdp_data.identifier i CROSS JOIN LATERAL unnest(cdp_internal.suppression_digests(i.type_id, i.value, keys)) AS d (digest)
        JOIN cdp_data.suppression s ON s.digest = d.digest LIMIT upto) x
    WHERE x.root IS NOT NULL ORDER BY 1);
  FOREACH root IN ARRAY found LOOP
    receipts := receipts || cdp_internal.erase_in(root, 'anonymise', NULL);
  END LOOP;
  RETURN receipts;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_again_in(integer) IS
'What cdp.erase_suppressed() does; it runs with the rights of the owner of cdp_data.';

CREATE OR REPLACE FUNCTION cdp.erase_suppressed(upto integer DEFAULT 1000) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.erase_again(upto);
END
$$;
COMMENT ON FUNCTION cdp.erase_suppressed(integer) IS
'After a backup was restored that is older than erasures: put the rows of cdp_data.suppression as they were last (from a newer dump, a replica, a file kept apart) into the table, then call this until it returns []. Every customer with a suppressed identifier is erased (anonymise), at most upto identifiers a call, so that a transaction stays short. Returns the new receipts. Reads and digests all identifiers. Errors: 42501 for others than the privacy role, 55000 no key file or a key missing.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_erasure()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- In the order of numbers that were drawn by lot, and not in the transactions that drew them.
  WITH told AS (DELETE FROM cdp_data.unlinked_unfed u RETURNING u.customer_id)
  INSERT INTO cdp_data.change_feed (customer_id, cause) SELECT t.customer_id, 'load' FROM told t ORDER BY t.customer_id;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_erasure() IS
'Part of cdp.maintain(): tells the change feed about the unlinked customers of the erasures since the last time.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_erasure()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.erasure_destination') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'error', 'erasure_unacknowledged', format('%s has not answered to %s erasures, the oldest due at %s', quote_ident(d.destination), count(*), min(d.due_at)),
    format('Ask it, then SELECT cdp.acknowledge_erasure(%s, %L, reference => ''...'');', min(d.receipt_id), d.destination)
  FROM cdp_data.erasure_destination d WHERE d.acknowledged_at IS NULL AND d.due_at < now() GROUP BY d.destination;
  RETURN QUERY
  SELECT 'error', 'erasure_receipt_changed', format('receipt %s does not fit its chain', e.receipt_id), 'SELECT * FROM cdp.erasure_verify(); compare with a backup, and with cdp_data.audit'
  FROM cdp_data.erasure e WHERE e.chain <> cdp_internal.receipt_chain(e.receipt_id);
  RETURN QUERY
  SELECT 'warning', 'personal_data_unregistered', format('column %s of %s may hold personal data, and exports and erasures do not know it', u.column_name, u.table_name),
    format('SELECT cdp.register_personal_data(%L, %L, ...);', u.table_name, u.column_name)
  FROM cdp_internal.unregistered_columns() u;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_erasure() IS
'Findings of cdp.health() about erasures: destinations that have not answered in time, receipts that were changed, columns that nobody registered.';
