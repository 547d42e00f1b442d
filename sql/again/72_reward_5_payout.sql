-- Referral room, payouts: claimed by one person, approved by another, sent through the outbox, confirmed or failed. Money is posted when
-- it is sent, not before.

CREATE OR REPLACE FUNCTION cdp_internal.payouts_prepare(currency text, as_of timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  strayed bigint[];
  people bigint[];
  owing bigint[];
BEGIN
  SELECT array_agg(x.reward_id), array_agg(x.root) || array_agg(x.stands_with) INTO strayed, people
  FROM (SELECT w.reward_id, cdp_internal.root_of(w.customer_id) AS stands_with, cdp_internal.identifier_root(v.identifier_id) AS root FROM cdp_data.reward w JOIN cdp_data.referral_conversion v USING (referral_conversion_id)
    WHERE w.available_minor > 0 AND w.currency = payouts_prepare.currency AND w.side = 'referee' AND w.paid_minor + w.offset_minor + w.owed_minor = 0 AND w.reason IS DISTINCT FROM 'erased' OFFSET 0) x
  WHERE x.root IS DISTINCT FROM x.stands_with AND x.root IS NOT NULL;
  owing := ARRAY(
    SELECT DISTINCT o.root FROM (SELECT DISTINCT cdp_internal.root_of(a.customer_id) AS root FROM cdp_data.ledger_account a WHERE a.kind = 'clawback_receivable' AND a.balance_minor > 0 AND a.currency = payouts_prepare.currency) o
    WHERE EXISTS (SELECT FROM cdp_internal.customers_under(o.root) h JOIN cdp_data.reward w ON w.customer_id = h WHERE w.currency = payouts_prepare.currency AND w.available_minor > 0 AND w.payout_id IS NULL));
  IF strayed IS NULL AND owing = '{}' THEN
    RETURN;
  END IF;
  PERFORM cdp_internal.hold_people(people || owing);
  PERFORM cdp_internal.reward_rehome(strayed, as_of);
  PERFORM cdp_internal.reward_offset(owing, as_of);
END
$$;
COMMENT ON FUNCTION cdp_internal.payouts_prepare(text, timestamptz) IS
'Before payouts are claimed: rewards go to who carries the identifier now (cdp_internal.reward_rehome()), and who owes something back has it kept from what is available. Nobody concerned: it locks nothing.';

CREATE OR REPLACE FUNCTION cdp.claim_payouts(provider text, currency text, campaign text DEFAULT NULL, max_payouts integer DEFAULT 1000, as_of timestamptz DEFAULT NULL, OUT payout_batch_id bigint, OUT payouts bigint, OUT amount numeric)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  id integer := CASE WHEN campaign IS NOT NULL THEN cdp_internal.referral_campaign_of(campaign) END;
  at timestamptz := coalesce(as_of, clock_timestamp());
  code text := currency;
  payer text := provider;
  least_minor bigint;
  rewards bigint[];
  roots bigint[];
  minors bigint[];
  total bigint;
  batch bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('provider', payer, 100);
  least_minor := greatest(1, cdp_internal.to_minor(coalesce((SELECT (s.payout_minimum ->> code)::numeric FROM cdp_data.setting s), 0), code));
  IF max_payouts IS NULL OR max_payouts < 1 OR NOT isfinite(at) THEN
    RAISE EXCEPTION 'max_payouts must be above zero, and as_of a moment' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', coalesce(max_payouts::text, 'NULL'), at);
  END IF;
  PERFORM cdp_internal.payouts_prepare(code, at);
  -- Several sessions may claim at once: what another one looks at is passed over, and nobody waits.
  WITH person AS MATERIALIZED (
    SELECT cdp_internal.root_of(w.customer_id) AS root, min(w.available_at) AS since FROM cdp_data.reward w
    WHERE w.available_minor > 0 AND w.payout_id IS NULL AND w.currency = code AND w.reason IS DISTINCT FROM 'erased' AND w.available_at <= at AND (id IS NULL OR w.referral_campaign_id = id)
    GROUP BY 1 HAVING sum(w.available_minor) >= least_minor ORDER BY 2, 1 LIMIT max_payouts
  ), held AS MATERIALIZED (
    SELECT w.reward_id, cdp_internal.root_of(w.customer_id) AS root, w.available_minor FROM cdp_data.reward w
    WHERE w.available_minor > 0 AND w.payout_id IS NULL AND w.currency = code AND w.reason IS DISTINCT FROM 'erased' AND w.available_at <= at AND (id IS NULL OR w.referral_campaign_id = id) AND cdp_internal.root_of(w.customer_id) IN (SELECT p.root FROM person p WHERE p.root IS NOT NULL)
    ORDER BY w.reward_id FOR UPDATE SKIP LOCKED
  )
  SELECT array_agg(h.reward_id ORDER BY h.reward_id), array_agg(h.root ORDER BY h.reward_id), array_agg(h.available_minor ORDER BY h.reward_id), sum(h.available_minor) INTO rewards, roots, minors, total
  FROM (SELECT h.*, sum(h.available_minor) OVER (PARTITION BY h.root) AS whole FROM held h) h WHERE h.whole >= least_minor;
  payouts := 0;
  amount := 0;
  IF rewards IS NULL THEN
    RETURN;
  END IF;
  INSERT INTO cdp_data.payout_batch AS b (provider, currency, claimed_at, claimed_role) VALUES (payer, code, at, cdp_data.caller()) RETURNING b.payout_batch_id INTO batch;
  WITH item AS MATERIALIZED (
    SELECT * FROM unnest(rewards, roots, minors) AS i (reward, root, minor)
  ), made AS (
    INSERT INTO cdp_data.payout AS p (payout_batch_id, customer_id, currency, amount_minor, provider, claimed_at) SELECT batch, i.root, code, sum(i.minor), payer, at FROM item i GROUP BY i.root ORDER BY i.root RETURNING p.payout_id, p.customer_id
  ), items AS (
    INSERT INTO cdp_data.payout_item (payout_id, reward_id, amount_minor) SELECT m.payout_id, i.reward, i.minor FROM made m JOIN item i ON i.root = m.customer_id ORDER BY m.payout_id, i.reward
  ), marked AS (
    UPDATE cdp_data.reward w SET payout_id = m.payout_id, revision = w.revision + 1 FROM made m JOIN item i ON i.root = m.customer_id WHERE w.reward_id = i.reward
  )
  SELECT count(*) INTO payouts FROM made;
  payout_batch_id := batch;
  amount := cdp_internal.from_minor(total, code);
  PERFORM cdp_data.audit_write('payout', 'payout batch ' || batch, NULL, jsonb_build_object('step', 'claim', 'payouts', payouts, 'amount_minor', total, 'currency', code));
END
$$;
COMMENT ON FUNCTION cdp.claim_payouts(text, text, text, integer, timestamptz) IS
'Puts what is available into a batch of payouts for a provider, one for each person, over all campaigns or of one: SELECT * FROM cdp.claim_payouts(''bank'', ''EUR''). People whose sum is below cdp_data.setting.payout_minimum of the currency wait. At most max_payouts people, who waits longest first. Who owes something back has it kept from it first. Nothing else is posted yet. Sessions that claim at once get different rewards, and wait for nobody but those who owe. Returns the batch, how many payouts and their sum; batch NULL: there is nothing to pay. Another person then approves it: cdp.approve_payout_batch(). Errors: 22023 bad argument or unknown currency, 42704 no such campaign, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.payout_batch_hold(batch bigint) RETURNS record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  b cdp_data.payout_batch;
BEGIN
  PERFORM cdp_internal.require_setup();
  -- Customers before people, as whoever decides about referrals holds them.
  PERFORM FROM cdp_data.customer c WHERE c.customer_id IN (SELECT p.customer_id FROM cdp_data.payout p WHERE p.payout_batch_id = batch) ORDER BY c.customer_id FOR KEY SHARE;
  -- Those, too, with whom rewards in it stand since somebody was taken apart.
  PERFORM cdp_internal.hold_people(ARRAY(SELECT cdp_internal.root_of(p.customer_id) FROM cdp_data.payout p WHERE p.payout_batch_id = batch
    UNION SELECT cdp_internal.reward_root(w.side, w.referral_conversion_id, w.customer_id) FROM cdp_data.payout p JOIN cdp_data.payout_item i USING (payout_id) JOIN cdp_data.reward w USING (reward_id) WHERE p.payout_batch_id = batch));
  SELECT * INTO b FROM cdp_data.payout_batch x WHERE x.payout_batch_id = batch FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no payout batch %', coalesce(batch::text, 'NULL') USING ERRCODE = 'undefined_object', HINT = 'SELECT * FROM cdp_data.payout_batch; lists them.';
  END IF;
  RETURN b;
END
$$;
COMMENT ON FUNCTION cdp_internal.payout_batch_hold(bigint) IS 'A batch of payouts, held with its people until the transaction ends. Error 42704: no such batch.';

CREATE OR REPLACE FUNCTION cdp.approve_payout_batch(batch bigint, as_of timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  b record := cdp_internal.payout_batch_hold(batch);
  n bigint;
BEGIN
  IF b.approved_at IS NOT NULL THEN
    RAISE EXCEPTION 'payout batch % is approved already', batch USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('By %s at %s.', b.approved_by, b.approved_at), HINT = 'Send it: cdp.send_payout_batch().';
  ELSIF session_user = b.claimed_by THEN
    RAISE EXCEPTION 'who claims payouts does not approve them' USING ERRCODE = 'insufficient_privilege', DETAIL = format('Batch %s was claimed by %s as %s.', batch, b.claimed_by, b.claimed_role), HINT = 'Another login has to.';
  END IF;
  UPDATE cdp_data.payout_batch x SET approved_at = coalesce(approve_payout_batch.as_of, clock_timestamp()), approved_by = session_user WHERE x.payout_batch_id = batch;
  UPDATE cdp_data.payout p SET state = 'approved' WHERE p.payout_batch_id = batch AND p.state = 'claimed';
  GET DIAGNOSTICS n = ROW_COUNT;
  PERFORM cdp_data.audit_write('approve', 'payout batch ' || batch, NULL, jsonb_build_object('payouts', n));
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp.approve_payout_batch(bigint, timestamptz) IS
'Approves a batch of payouts that another person claimed: another login, whatever role either took. Returns how many payouts may now be sent; those that were cancelled since the claim are not among them. Errors: 42704 no such batch, 42501 one''s own, 55000 approved already.';

CREATE OR REPLACE FUNCTION cdp.cancel_payouts(batch bigint, payout bigint DEFAULT NULL, reason text DEFAULT 'cancelled', as_of timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  b record := cdp_internal.payout_batch_hold(batch);
  ids bigint[] := ARRAY(SELECT p.payout_id FROM cdp_data.payout p WHERE p.payout_batch_id = b.payout_batch_id AND p.state IN ('claimed', 'approved') AND (payout IS NULL OR p.payout_id = payout));
BEGIN
  PERFORM cdp_internal.payouts_cancel(ids, left(reason, 500), coalesce(as_of, clock_timestamp()));
  PERFORM cdp_internal.reward_offset(ARRAY(SELECT DISTINCT cdp_internal.root_of(p.customer_id) FROM cdp_data.payout p WHERE p.payout_id = ANY (ids)), coalesce(as_of, clock_timestamp()));
  PERFORM cdp_data.audit_write('payout', 'payout batch ' || batch, NULL, jsonb_build_object('step', 'cancel', 'payouts', cardinality(ids)));
  RETURN cardinality(ids);
END
$$;
COMMENT ON FUNCTION cdp.cancel_payouts(bigint, bigint, text, timestamptz) IS
'Takes payouts of a batch back that were not sent (one, or NULL: all of them); their rewards are available again. reason: in words, at most 500 bytes, no personal data. Returns how many. Error 42704: no such batch.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_root(side text, conversion bigint, customer bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce(CASE WHEN side = 'referee' THEN (SELECT cdp_internal.identifier_root(v.identifier_id) FROM cdp_data.referral_conversion v WHERE v.referral_conversion_id = conversion) END, cdp_internal.root_of(customer));
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_root(text, bigint, bigint) IS 'Whose a reward is now: of the side referee who carries the identifier of its conversion, of the other the customer with all that he was merged into. NULL: nobody''s any more.';

CREATE OR REPLACE FUNCTION cdp.send_payout_batch(batch bigint, destination text DEFAULT NULL, as_of timestamptz DEFAULT NULL) RETURNS TABLE (payout_id bigint, customer_id bigint, amount numeric, currency text, outbox_id bigint, refused text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  b record := cdp_internal.payout_batch_hold(batch);
  at timestamptz := coalesce(as_of, clock_timestamp());
  ids bigint[];
  homes bigint[];
  payloads jsonb[];
  put record;
  moves cdp_internal.reward_move[];
BEGIN
  IF b.approved_at IS NULL THEN
    RAISE EXCEPTION 'payout batch % is not approved', batch USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It was claimed by %s.', b.claimed_by), HINT = 'Another person approves it: cdp.approve_payout_batch().';
  END IF;
  -- Who was taken apart since the claim, or owes something by now, waits for the next batch.
  FOR put IN
    SELECT p.payout_id, p.customer_id, p.amount_minor, p.currency, CASE WHEN y.strayed THEN 'the person in it was taken apart' ELSE 'owes something back' END AS why
    FROM cdp_data.payout p CROSS JOIN LATERAL (
      SELECT bool_or(cdp_internal.reward_root(w.side, w.referral_conversion_id, w.customer_id) IS DISTINCT FROM cdp_internal.root_of(p.customer_id)) AS strayed FROM cdp_data.payout_item i JOIN cdp_data.reward w ON w.reward_id = i.reward_id WHERE i.payout_id = p.payout_id) y
    WHERE p.payout_batch_id = batch AND p.state = 'approved' AND (y.strayed OR EXISTS (SELECT FROM cdp_internal.customers_under(cdp_internal.root_of(p.customer_id)) h JOIN cdp_data.ledger_account a ON a.customer_id = h WHERE a.kind = 'clawback_receivable' AND a.balance_minor > 0 AND a.currency = p.currency))
    ORDER BY p.payout_id
  LOOP
    PERFORM cdp_internal.payouts_cancel(ARRAY[put.payout_id], put.why, at);
    PERFORM cdp_internal.reward_offset(ARRAY[cdp_internal.root_of(put.customer_id)], at);
    RETURN QUERY SELECT put.payout_id, put.customer_id, cdp_internal.from_minor(put.amount_minor, put.currency), put.currency::text, NULL::bigint, put.why;
  END LOOP;
  SELECT array_agg(p.payout_id ORDER BY p.payout_id), array_agg(p.customer_id ORDER BY p.payout_id), array_agg(jsonb_build_object('payout', p.payout_id, 'reference', 'cdp-' || p.payout_id, 'customer_id', p.customer_id, 'amount', cdp_internal.from_minor(p.amount_minor, p.currency), 'currency', p.currency, 'provider', p.provider) ORDER BY p.payout_id)
  INTO ids, homes, payloads FROM cdp_data.payout p WHERE p.payout_batch_id = batch AND p.state = 'approved';
  IF ids IS NULL THEN
    RETURN;
  END IF;
  IF destination IS NOT NULL THEN
    FOR put IN SELECT o.n, o.outbox_id, o.refusal FROM cdp_internal.outbox_put_many(destination, 'payout', homes, payloads, ARRAY(SELECT 'payout ' || i FROM unnest(ids) WITH ORDINALITY AS u (i, n) ORDER BY n)) o LOOP
      IF put.refusal IS NOT NULL THEN
        PERFORM cdp_internal.payouts_cancel(ARRAY[ids[put.n]], left('refused: ' || put.refusal, 500), at);
        RETURN QUERY SELECT p.payout_id, p.customer_id, cdp_internal.from_minor(p.amount_minor, p.currency), p.currency::text, NULL::bigint, put.refusal FROM cdp_data.payout p WHERE p.payout_id = ids[put.n];
      ELSE
        UPDATE cdp_data.payout p SET outbox_id = put.outbox_id WHERE p.payout_id = ids[put.n];
      END IF;
    END LOOP;
  END IF;
  WITH gone AS (
    UPDATE cdp_data.payout p SET state = 'sent', sent_at = at WHERE p.payout_id = ANY (ids) AND p.state = 'approved' RETURNING p.payout_id
  ), paid AS (
    UPDATE cdp_data.reward w SET available_minor = w.available_minor - i.amount_minor, paid_minor = w.paid_minor + i.amount_minor, paid_at = at, payout_id = NULL, revision = w.revision + 1
    FROM gone g JOIN cdp_data.payout_item i ON i.payout_id = g.payout_id WHERE w.reward_id = i.reward_id AND w.payout_id = g.payout_id RETURNING w.reward_id, w.revision, i.amount_minor, g.payout_id
  )
  SELECT array_agg(ROW('payout_sent', p.reward_id, p.revision, 1, 'liability_available', 'paid', p.amount_minor, p.payout_id, NULL)::cdp_internal.reward_move ORDER BY p.payout_id, p.reward_id) INTO moves FROM paid p;
  PERFORM cdp_internal.post_moves(coalesce(moves, '{}'), at);
  UPDATE cdp_data.payout_batch x SET sent_at = coalesce(x.sent_at, at), destination = coalesce(send_payout_batch.destination, x.destination) WHERE x.payout_batch_id = batch;
  RETURN QUERY SELECT p.payout_id, p.customer_id, cdp_internal.from_minor(p.amount_minor, p.currency), p.currency::text, p.outbox_id, NULL::text FROM cdp_data.payout p WHERE p.payout_id = ANY (ids) AND p.state = 'sent' ORDER BY p.payout_id;
END
$$;
COMMENT ON FUNCTION cdp.send_payout_batch(bigint, text, timestamptz) IS
'Sends the approved payouts of a batch, posts them as paid, and returns them: as messages of kind payout to a destination of the outbox (payload: payout, reference, customer_id, amount, currency, provider), in the same transaction; destination NULL: by hand, from the rows. The provider should take the reference once. What the outbox refuses (consent, purpose), who owes something back by now and who was taken apart since the claim is cancelled, and refused says why. Called again it sends nothing. Errors: 42704 no such batch, 55000 not approved, 23503 unknown destination.';

CREATE OR REPLACE FUNCTION cdp_internal.payout_hold(payout bigint) RETURNS record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p cdp_data.payout;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.hold_people(ARRAY(SELECT cdp_internal.root_of(x.customer_id) FROM cdp_data.payout x WHERE x.payout_id = payout
    UNION SELECT cdp_internal.reward_root(w.side, w.referral_conversion_id, w.customer_id) FROM cdp_data.payout_item i JOIN cdp_data.reward w USING (reward_id) WHERE i.payout_id = payout));
  SELECT * INTO p FROM cdp_data.payout x WHERE x.payout_id = payout FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no payout %', coalesce(payout::text, 'NULL') USING ERRCODE = 'undefined_object', HINT = 'SELECT * FROM cdp_data.payout; lists them.';
  END IF;
  RETURN p;
END
$$;
COMMENT ON FUNCTION cdp_internal.payout_hold(bigint) IS 'A payout, held with its person until the transaction ends. Error 42704: no such payout.';

CREATE OR REPLACE FUNCTION cdp_internal.payout_after_all(payout bigint, as_of timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  item record;
  w cdp_data.reward;
  from_available bigint;
  from_expired bigint;
  too_much bigint;
  moves cdp_internal.reward_move[] := '{}';
  erased bigint[] := '{}';
BEGIN
  FOR item IN SELECT i.reward_id, i.amount_minor, p.customer_id FROM cdp_data.payout_item i JOIN cdp_data.payout p USING (payout_id) WHERE i.payout_id = payout ORDER BY i.reward_id LOOP
    SELECT x.* INTO w FROM cdp_data.reward x WHERE x.reward_id = item.reward_id FOR UPDATE;
    IF w.customer_id > 0 AND cdp_internal.root_of(w.customer_id) IS DISTINCT FROM cdp_internal.root_of(item.customer_id) THEN
      RAISE EXCEPTION 'the person in payout % was taken apart', payout USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Reward %s stands with customer %s, the payout went to customer %s.', w.reward_id, w.customer_id, item.customer_id),
        HINT = 'The money went to the wrong one: get it back from him.';
    END IF;
    IF w.payout_id IS NOT NULL THEN
      PERFORM cdp_internal.payouts_cancel(ARRAY[w.payout_id], format('payout %s was paid after all', payout), as_of);
    END IF;
    from_available := least(item.amount_minor, w.available_minor);
    from_expired := least(item.amount_minor - from_available, w.expired_minor);
    too_much := item.amount_minor - from_available - from_expired;
    UPDATE cdp_data.reward x SET available_minor = x.available_minor - from_available, expired_minor = x.expired_minor - from_expired, paid_minor = x.paid_minor + item.amount_minor, owed_minor = x.owed_minor + too_much, paid_at = payout_after_all.as_of, revision = x.revision + 1
    WHERE x.reward_id = w.reward_id RETURNING x.revision INTO w.revision;
    SELECT moves || coalesce(array_agg(ROW('payout_sent', w.reward_id, w.revision, m.nth, m.debit, 'paid', m.amount, payout, 'paid after all')::cdp_internal.reward_move ORDER BY m.nth), '{}') INTO moves
    FROM (VALUES (1, 'liability_available', from_available), (2, 'breakage_expired', from_expired), (3, 'clawback_receivable', too_much)) AS m (nth, debit, amount) WHERE m.amount > 0;
    erased := CASE WHEN w.reason = 'erased' THEN erased || w.customer_id ELSE erased END;
  END LOOP;
  PERFORM cdp_internal.post_moves(moves, as_of);
  -- Of who was erased nobody asks anything back.
  PERFORM cdp_internal.reward_forsake(erased, as_of) WHERE erased <> '{}';
  PERFORM cdp_internal.reward_offset(ARRAY(SELECT cdp_internal.root_of(p.customer_id) FROM cdp_data.payout p WHERE p.payout_id = payout), as_of);
END
$$;
COMMENT ON FUNCTION cdp_internal.payout_after_all(bigint, timestamptz) IS
'Posts a payout that had failed, or was never sent, as paid: from what its rewards have available, then from what of them expired, the rest as owed back by the person. Another payout that is about to pay them is cancelled. Error 55000: a reward in it stands with somebody else now. The caller holds the payout and its person.';

CREATE OR REPLACE FUNCTION cdp.confirm_payout(payout bigint, provider_reference text, fee numeric DEFAULT 0, as_of timestamptz DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  p record := cdp_internal.payout_hold(payout);
  at timestamptz := coalesce(as_of, clock_timestamp());
  minor bigint := cdp_internal.to_minor(coalesce(fee, 0), p.currency);
BEGIN
  PERFORM cdp_internal.require_text('provider_reference', provider_reference, 200);
  IF minor < 0 THEN
    RAISE EXCEPTION 'a fee is not below zero' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', fee);
  ELSIF p.state = 'confirmed' AND p.provider_reference = provider_reference AND minor IN (p.fee_minor, (
      SELECT e.amount_minor FROM cdp_data.ledger_posting q JOIN cdp_data.ledger_entry e ON e.ledger_posting_id = q.ledger_posting_id AND e.amount_minor > 0 WHERE q.payout_id = payout AND q.kind = 'fee' ORDER BY q.ledger_posting_id DESC LIMIT 1)) THEN
    RETURN 'repeated';
  ELSIF p.state NOT IN ('sent', 'failed', 'cancelled') THEN
    RAISE EXCEPTION 'payout % can not be confirmed', payout USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It is %s.', p.state),
      HINT = CASE p.state WHEN 'confirmed' THEN 'Another reference or fee was told before.' ELSE 'Send it first: cdp.send_payout_batch(). One that was paid outside of it is cancelled first: cdp.cancel_payouts().' END;
  ELSIF EXISTS (SELECT FROM cdp_data.payout x WHERE x.provider = p.provider AND x.provider_reference = provider_reference AND x.payout_id <> payout) THEN
    RAISE EXCEPTION 'another payout has that reference of %', p.provider USING ERRCODE = 'unique_violation', DETAIL = format('Payout %s.', (SELECT x.payout_id FROM cdp_data.payout x WHERE x.provider = p.provider AND x.provider_reference = provider_reference)), HINT = 'A provider''s reference is there once.';
  END IF;
  IF p.state <> 'sent' THEN
    IF EXISTS (SELECT FROM cdp_data.payout_batch b WHERE b.payout_batch_id = p.payout_batch_id AND b.approved_at IS NULL AND b.claimed_by = session_user) THEN
      RAISE EXCEPTION 'who claims payouts does not post them unapproved' USING ERRCODE = 'insufficient_privilege', DETAIL = format('Batch %s was never approved.', p.payout_batch_id), HINT = 'Another login has to.';
    END IF;
    PERFORM cdp_internal.payout_after_all(payout, at);
  END IF;
  -- Paid by hand: a message that still waits would be paid again. One that a deliverer has is reported by him.
  UPDATE cdp_data.outbox o SET state = 'cancelled', payload = '{}', last_error = 'the payout was confirmed' WHERE o.outbox_id = p.outbox_id AND o.state = 'waiting';
  UPDATE cdp_data.payout x SET state = 'confirmed', provider_reference = confirm_payout.provider_reference, sent_at = coalesce(x.sent_at, at), fee_minor = x.fee_minor + minor, finished_at = at WHERE x.payout_id = payout;
  IF minor > 0 THEN
    PERFORM cdp_internal.ledger_post(ARRAY[cdp_internal.ledger_key('fee', payout::text, (SELECT count(*)::text FROM cdp_data.ledger_posting q WHERE q.payout_id = payout AND q.kind = 'fee'))], '{fee}', ARRAY[at], '{NULL}', ARRAY[payout], '{NULL}', '{NULL}', '{1,1}', cdp_internal.ledger_accounts('{fees,paid}', '{NULL,NULL}', '{NULL,NULL}', ARRAY[p.currency, p.currency]::text[]), ARRAY[minor, -minor]);
  END IF;
  RETURN 'confirmed';
END
$$;
COMMENT ON FUNCTION cdp.confirm_payout(bigint, text, numeric, timestamptz) IS
'Notes that a provider paid a payout, under its reference, which is there once for each provider, and posts its fee (in the payout''s currency). One that had failed or was cancelled, and was paid all the same, is posted as paid again: what its rewards have is taken for it, what they have not any more (paid by a later payout, taken back) the person owes back. Returns confirmed, or repeated when it was told before. Errors: 42704 no such payout, 42501 one''s own that nobody approved, 55000 it was not sent yet, was told otherwise, or the person in it was taken apart, 23505 another payout has the reference, 22023 bad argument.';

CREATE OR REPLACE FUNCTION cdp_internal.payout_message_stop(message bigint) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  o record;
BEGIN
  SELECT x.state, x.next_attempt_at INTO o FROM cdp_data.outbox x WHERE x.outbox_id = message FOR UPDATE;
  IF o.state = 'taken' AND o.next_attempt_at > clock_timestamp() THEN
    RAISE EXCEPTION 'the payout is being delivered' USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('A deliverer has message %s until %s.', message, o.next_attempt_at), HINT = 'Wait until he has reported it, or until then.';
  ELSIF o.state IN ('waiting', 'taken') THEN
    UPDATE cdp_data.outbox x SET state = 'cancelled', payload = '{}', last_error = 'the payout failed' WHERE x.outbox_id = message;
    RETURN 'cancelled';
  END IF;
  RETURN o.state;
END
$$;
COMMENT ON FUNCTION cdp_internal.payout_message_stop(bigint) IS
'Cancels the message of a payout in the outbox, so that nobody delivers it any more. Returns the state in which it is then, NULL when there is none. Error 55000: a deliverer has it at this moment.';

CREATE OR REPLACE FUNCTION cdp.fail_payout(payout bigint, reason text, as_of timestamptz DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  p record := cdp_internal.payout_hold(payout);
  at timestamptz := coalesce(as_of, clock_timestamp());
  moves cdp_internal.reward_move[];
  back record;
  part bigint;
  step integer;
BEGIN
  PERFORM cdp_internal.require_text('reason', reason, 500);
  IF p.state IN ('failed', 'cancelled') THEN
    RETURN 'repeated';
  ELSIF p.state IN ('claimed', 'approved') THEN
    PERFORM cdp_internal.payouts_cancel(ARRAY[payout], reason, at);
  ELSE
    WITH back AS (
      UPDATE cdp_data.reward w SET paid_minor = w.paid_minor - i.amount_minor, available_minor = w.available_minor + i.amount_minor, available_at = at, paid_at = CASE WHEN w.paid_minor > i.amount_minor THEN w.paid_at END, revision = w.revision + 1
      FROM cdp_data.payout_item i WHERE i.payout_id = payout AND w.reward_id = i.reward_id RETURNING w.reward_id, w.revision, i.amount_minor
    )
    SELECT array_agg(ROW('payout_failed', b.reward_id, b.revision, 1, 'paid', 'liability_available', b.amount_minor, payout, NULL)::cdp_internal.reward_move ORDER BY b.reward_id) INTO moves FROM back b;
    PERFORM cdp_internal.post_moves(moves, at);
    PERFORM cdp_internal.payout_message_stop(p.outbox_id);
    UPDATE cdp_data.payout x SET state = 'failed', reason = fail_payout.reason, finished_at = at WHERE x.payout_id = payout;
    -- Who was erased meanwhile can not be paid again.
    PERFORM cdp_internal.reward_forsake(ARRAY[w.customer_id], at) FROM cdp_data.payout_item i JOIN cdp_data.reward w ON w.reward_id = i.reward_id WHERE i.payout_id = payout AND w.reason = 'erased' GROUP BY w.customer_id;
  END IF;
  PERFORM cdp_internal.reward_offset(ARRAY[cdp_internal.root_of(p.customer_id)], at);
  -- Nothing was lost when a debt was given up for money that he never got.
  FOR back IN SELECT w.reward_id, least(w.available_minor, w.owed_minor) AS most FROM cdp_data.payout_item i JOIN cdp_data.reward w ON w.reward_id = i.reward_id
    WHERE i.payout_id = payout AND w.payout_id IS NULL AND w.owed_minor > 0 AND w.available_minor > 0 ORDER BY w.reward_id
  LOOP
    part := greatest(0, least(back.most, cdp_internal.reward_given_up(back.reward_id)));
    CONTINUE WHEN part = 0;
    UPDATE cdp_data.reward w SET available_minor = w.available_minor - part, owed_minor = w.owed_minor - part, revision = w.revision + 1 WHERE w.reward_id = back.reward_id RETURNING w.revision INTO step;
    PERFORM cdp_internal.post_moves(ARRAY[ROW('reversal', back.reward_id, step, 1, 'liability_available', 'fees', part, NULL, 'given up before')::cdp_internal.reward_move], at);
  END LOOP;
  RETURN CASE WHEN p.state IN ('claimed', 'approved') THEN 'cancelled' ELSE 'failed' END;
END
$$;
COMMENT ON FUNCTION cdp.fail_payout(bigint, text, timestamptz) IS
'Notes that a payout did not arrive, or came back after it was confirmed: the money is posted back and its rewards are available again for the next batch, less what the person owes, and what he owed and was given up. Its message in the outbox is cancelled if it waits. Returns failed, cancelled (it was never sent) or repeated. reason: in words, no personal data. Errors: 42704 no such payout, 22023 no reason, 55000 a deliverer has its message at this moment.';

CREATE OR REPLACE FUNCTION cdp_internal.payouts_untold(OUT payout_id bigint, OUT message_state text, OUT attempts integer) RETURNS SETOF record
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT p.payout_id, coalesce(o.state, 'gone'), coalesce(o.attempts, 0) FROM cdp_data.payout p LEFT JOIN cdp_data.outbox o ON o.outbox_id = p.outbox_id
    WHERE p.state = 'sent' AND p.outbox_id IS NOT NULL AND (o.state IS NULL OR o.state IN ('cancelled', 'failed')) ORDER BY p.payout_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.payouts_untold() IS
'Payouts that count as sent and whose message in the outbox ended otherwise: cancelled, failed, or gone without a confirmation. attempts: how often a deliverer had it.';

CREATE OR REPLACE FUNCTION cdp.follow_payouts(as_of timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  ids bigint[];
BEGIN
  PERFORM cdp_internal.require_setup();
  -- What nobody ever took was not paid. Of what somebody had nobody knows: finance asks the provider.
  ids := ARRAY(SELECT u.payout_id FROM cdp_internal.payouts_untold() u WHERE u.message_state = 'cancelled' AND u.attempts = 0);
  PERFORM cdp_internal.hold_people(ARRAY(SELECT cdp_internal.root_of(p.customer_id) FROM cdp_data.payout p WHERE p.payout_id = ANY (ids)));
  -- Somebody may have confirmed one while this waited.
  ids := ARRAY(SELECT u.payout_id FROM cdp_internal.payouts_untold() u WHERE u.message_state = 'cancelled' AND u.attempts = 0 AND u.payout_id = ANY (ids));
  RETURN (SELECT count(*) FROM unnest(ids) i WHERE cdp.fail_payout(i, 'its message was cancelled before anybody took it', as_of) = 'failed');
END
$$;
COMMENT ON FUNCTION cdp.follow_payouts(timestamptz) IS
'Posts back payouts whose message the outbox cancelled before any deliverer had it (consent, purpose): their rewards are available again. Returns how many. The job list runs it. Those whose message failed, or was cancelled after it had been tried, are findings of cdp.health(): ask the provider, then cdp.confirm_payout() or cdp.fail_payout(). Error 55000 before cdp.setup().';
