-- Governance room, consent: the gate before the outbox. No message without a purpose, none without the consent that the
-- purpose asks for: when it is written, when it is taken, and at once when somebody withdraws.

CREATE OR REPLACE FUNCTION cdp_internal.is_removal(kind text, payload jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN kind IS NOT NULL AND kind IN ('audience_remove', 'audience_withdraw') AND NOT coalesce(payload ? 'attributes', false);
COMMENT ON FUNCTION cdp_internal.is_removal(text, jsonb) IS
'Whether a message only says that somebody is to be taken out of an audience. Who has withdrawn his consent is told of in this way, so no consent is asked for; such a message carries no attributes.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusal_of_consent(destination text, kind text, customer_id bigint, payload jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  d record;
BEGIN
  -- An erasure tells every destination to delete; nobody is left whose consent could be asked.
  IF kind = 'erase' AND customer_id IS NULL OR customer_id IS NOT NULL AND cdp_internal.is_removal(kind, payload) THEN
    RETURN NULL;
  END IF;
  SELECT x.purpose, x.channel, p.rule INTO d
  FROM cdp_data.destination x LEFT JOIN cdp_data.purpose_all p ON p.name = x.purpose WHERE x.destination = outbox_refusal_of_consent.destination;
  RETURN CASE
    WHEN d.purpose IS NULL THEN 'the destination has no purpose; name one in cdp_data.destination.purpose'
    WHEN d.rule IS NULL THEN format('the destination''s purpose "%s" is unknown', d.purpose)
    WHEN d.rule = 'off' THEN NULL
    WHEN customer_id IS NULL THEN format('it names no customer whose consent to %s could be asked', d.purpose)
    WHEN NOT cdp.consent_allowed(customer_id, d.purpose, d.channel) THEN
      format('no consent of customer %s to %s%s', customer_id, d.purpose, CASE WHEN d.channel <> '' THEN ' by ' || d.channel ELSE '' END)
  END;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusal_of_consent(text, text, bigint, jsonb) IS
'The gate of consent before the outbox (cdp.outbox_refusal()): refuses for a destination without a known purpose, without a customer, and without the consent that the purpose''s rule asks for on the destination''s channel. Lets erasures (kind erase, no customer) and removals from an audience (cdp_internal.is_removal()) pass. NULL: nothing against it.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusals_of_consent(destination text, kind text, customers bigint[], payloads jsonb[])
RETURNS TABLE (n bigint, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  d record;
  map bytea;
  customer_map bytea := cdp_internal.customer_map();
BEGIN
  SELECT x.purpose, x.channel, p.purpose_id, p.rule INTO d
  FROM cdp_data.destination x LEFT JOIN cdp_data.purpose_all p ON p.name = x.purpose WHERE x.destination = outbox_refusals_of_consent.destination;
  IF d.rule = 'off' THEN
    RETURN;
  ELSIF d.rule IS NOT NULL THEN
    -- The places of many are found more slowly than all summaries are read.
    map := cdp_internal.consent_bitmap_of(d.purpose_id, d.rule, d.channel, CASE WHEN cardinality(customers) <= 1000 THEN
      ARRAY(SELECT DISTINCT cdp_internal.customer_root(customer_map, NULL, c, NULL) FROM unnest(customers) c WHERE c IS NOT NULL) END);
  END IF;
  RETURN QUERY
  SELECT w.n, CASE
    WHEN d.purpose IS NULL THEN 'the destination has no purpose; name one in cdp_data.destination.purpose'
    WHEN d.rule IS NULL THEN format('the destination''s purpose "%s" is unknown', d.purpose)
    WHEN w.customer IS NULL THEN format('it names no customer whose consent to %s could be asked', d.purpose)
    ELSE format('no consent of customer %s to %s%s', w.customer, d.purpose, CASE WHEN d.channel <> '' THEN ' by ' || d.channel ELSE '' END) END
  FROM unnest(customers, payloads) WITH ORDINALITY AS w (customer, payload, n) LEFT JOIN cdp_data.customer c ON c.customer_id = w.customer
  WHERE NOT (kind = 'erase' AND w.customer IS NULL) AND NOT (w.customer IS NOT NULL AND cdp_internal.is_removal(kind, w.payload))
    AND (map IS NULL OR c.customer_id IS NULL OR NOT cdp_internal.bitmap_has(map, cdp_internal.customer_root(customer_map, NULL, w.customer, NULL)));
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusals_of_consent(text, text, bigint[], jsonb[]) IS
'The same gate for many messages (cdp_internal.outbox_refusals()), by one bitmap: a row for each that it refuses, with its place and the reason.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_hold(identifier_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  roots bigint[];
  customers bigint[];
  held bigint[];
BEGIN
  -- Before customers and summaries, as everybody does who wants all three (cdp_internal.outbox_close()).
  LOCK TABLE cdp_data.outbox IN ROW EXCLUSIVE MODE;
  LOOP
    roots := ARRAY(SELECT DISTINCT cdp_internal.identifier_root(i) AS r FROM unnest(identifier_ids) i ORDER BY r);
    customers := ARRAY(SELECT DISTINCT u FROM unnest(roots) r, cdp_internal.customers_under(r) u ORDER BY u);
    -- A merge or an unmerge may have ended while this waited, also one that left the roots as they are; who holds root and
    -- parts keeps the next one away.
    EXIT WHEN customers = held;
    held := customers;
    PERFORM FROM cdp_data.customer c WHERE c.customer_id = ANY (customers) ORDER BY c.customer_id FOR UPDATE;
  END LOOP;
  RETURN roots;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_hold(bigint[]) IS
'Keeps the customers to whom these identifiers belong now, and all that were merged into them, for this transaction alone, in the order of their numbers: no message of theirs is taken (cdp.outbox_take()) until it ends. To be called before the ledger is written. Returns the roots, in order. Error 40001 on a snapshot older than a merge of theirs.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_close() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Whoever writes or takes messages meanwhile has ended then, and later ones ask after this transaction.
  LOCK TABLE cdp_data.outbox IN SHARE ROW EXCLUSIVE MODE;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_close() IS
'Waits for those who write and take messages, and keeps new ones waiting until this transaction ends: for who changes the consent of many. To be called before summaries of consent are written, which somebody may hold who waits for the outbox.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_told(roots bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY(SELECT cdp_internal.room_functions('consent_changed_for_', 1)) LOOP
    EXECUTE format('SELECT cdp_internal.%I($1)', name) USING roots;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_told(bigint[]) IS
'After what these roots (NULL: everybody) allow was narrowed, in the same transaction: calls every cdp_internal.consent_changed_for_...(roots), by which other rooms follow. The caller holds the rows of the roots and of all that were merged into them, or for everybody the outbox (cdp_internal.outbox_close()).';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_cancel(roots bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  d record;
  map bytea;
  under bigint[];
  n bigint;
  total bigint := 0;
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.outbox o WHERE o.state = 'waiting') THEN
    RETURN 0;
  END IF;
  IF roots IS NOT NULL THEN
    under := ARRAY(SELECT u FROM unnest(roots) r, cdp_internal.customers_under(r) u);
  END IF;
  FOR d IN
    SELECT x.destination, x.purpose, x.channel, p.purpose_id, p.rule FROM cdp_data.destination x JOIN cdp_data.purpose_all p ON p.name = x.purpose
    WHERE p.rule <> 'off' AND EXISTS (SELECT FROM cdp_data.outbox o WHERE o.destination = x.destination AND o.state = 'waiting'
      AND (under IS NULL OR o.customer_id = ANY (under)))
    ORDER BY x.destination
  LOOP
    map := cdp_internal.consent_bitmap_of(d.purpose_id, d.rule, d.channel, roots);
    UPDATE cdp_data.outbox o SET state = 'cancelled', payload = '{}',
      last_error = format('no consent of customer %s to %s%s', o.customer_id, d.purpose, CASE WHEN d.channel <> '' THEN ' by ' || d.channel ELSE '' END)
    WHERE o.destination = d.destination AND o.state = 'waiting' AND (under IS NULL OR o.customer_id = ANY (under)) AND NOT cdp_internal.is_removal(o.kind, o.payload)
      AND NOT cdp_internal.bitmap_has(map, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, o.customer_id, NULL));
    GET DIAGNOSTICS n = ROW_COUNT;
    total := total + n;
  END LOOP;
  RETURN total;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_cancel(bigint[]) IS
'Cancels waiting messages for cdp_internal.outbox_recheck().';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_recheck(roots bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  IF roots IS NULL THEN
    PERFORM cdp_internal.outbox_close();
  END IF;
  n := cdp_internal.outbox_cancel(roots);
  PERFORM cdp_internal.consent_told(roots);
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_recheck(bigint[]) IS
'Cancels waiting messages, under whatever merged id, of these root customers (NULL: of everybody) that consent no longer allows, removals from an audience excepted, and lets other rooms follow (cdp_internal.consent_told()); returns how many. Of roots the caller holds the rows (cdp_internal.consent_hold()); for everybody the outbox is locked against writers to the end of the transaction. Messages that a deliverer has already taken are asked about again if they come back.';
