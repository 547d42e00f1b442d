-- Referral room, payouts: what the provider says it paid, beside what the books say.

CREATE OR REPLACE FUNCTION cdp.load_provider_lines(provider text, file text, lines jsonb) RETURNS TABLE (result text, line_count bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  bad record;
  payer text := provider;
  name text := file;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('provider', payer, 100);
  PERFORM cdp_internal.require_text('file', name, 500);
  IF jsonb_typeof(lines) IS DISTINCT FROM 'array' THEN
    RAISE EXCEPTION 'lines must be a JSON array' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s.', coalesce(jsonb_typeof(lines), 'NULL')), HINT = 'Such as [{"reference": "B-77", "ours": "cdp-5", "amount": 8.00, "currency": "EUR", "status": "paid"}].';
  END IF;
  SELECT l.nth, CASE WHEN jsonb_typeof(l.value) <> 'object' THEN 'it is no object' WHEN coalesce(l.value ->> 'reference', '') = '' THEN 'it has no reference' WHEN jsonb_typeof(l.value -> 'amount') IS DISTINCT FROM 'number' THEN 'its amount is no number'
      WHEN NOT EXISTS (SELECT FROM cdp_data.currency_all c WHERE c.code = l.value ->> 'currency') THEN 'its currency is not known' WHEN coalesce(l.value ->> 'status', '') NOT IN ('paid', 'failed') THEN 'its status is neither paid nor failed'
      WHEN l.value ? 'fee' AND jsonb_typeof(l.value -> 'fee') <> 'number' THEN 'its fee is no number' WHEN l.value ? 'account' AND jsonb_typeof(l.value -> 'account') <> 'string' THEN 'its account is no text' END AS why INTO bad
  FROM jsonb_array_elements(lines) WITH ORDINALITY AS l (value, nth)
  WHERE jsonb_typeof(l.value) <> 'object' OR coalesce(l.value ->> 'reference', '') = '' OR jsonb_typeof(l.value -> 'amount') IS DISTINCT FROM 'number' OR NOT EXISTS (SELECT FROM cdp_data.currency_all c WHERE c.code = l.value ->> 'currency')
    OR coalesce(l.value ->> 'status', '') NOT IN ('paid', 'failed') OR l.value ? 'fee' AND jsonb_typeof(l.value -> 'fee') <> 'number' OR l.value ? 'account' AND jsonb_typeof(l.value -> 'account') <> 'string' ORDER BY 1 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'line % of the file can not be read', bad.nth USING ERRCODE = 'invalid_parameter_value', DETAIL = format('In %s: %s.', left(name, 100), bad.why), HINT = 'Nothing of the file was taken. Mend it and load it again.';
  END IF;
  IF EXISTS (SELECT FROM cdp_data.provider_line p JOIN jsonb_array_elements(lines) WITH ORDINALITY AS l (value, nth) ON p.line = l.nth WHERE p.provider = payer AND p.file = name AND p.digest <> sha256(convert_to((l.value - 'account')::text, 'UTF8')))
    OR EXISTS (SELECT FROM cdp_data.provider_line p WHERE p.provider = payer AND p.file = name AND p.line > jsonb_array_length(lines)) THEN
    RAISE EXCEPTION 'another file of that name was loaded before' USING ERRCODE = 'unique_violation', DETAIL = format('%s of %s.', left(name, 100), payer), HINT = 'Load it under another name.';
  END IF;
  -- Who is paid to the same account as another one is seen by the fraud rules; only a digest is kept.
  IF cdp_internal.key_file_is_set() THEN
    PERFORM cdp.observe_for_fraud(p.customer_id, jsonb_build_object('payout', l.value ->> 'account'))
    FROM jsonb_array_elements(lines) WITH ORDINALITY AS l (value, nth) CROSS JOIN LATERAL (
      SELECT x.customer_id FROM (
        SELECT 1 AS turn, q.customer_id FROM cdp_data.payout q WHERE q.provider = payer AND q.provider_reference = l.value ->> 'reference'
        UNION ALL SELECT 2, q.customer_id FROM cdp_data.payout q WHERE q.provider = payer AND q.payout_id = CASE WHEN l.value ->> 'ours' ~ '^cdp-[0-9]{1,18}$' THEN substr(l.value ->> 'ours', 5)::bigint END) x ORDER BY x.turn LIMIT 1) p
    WHERE btrim(l.value ->> 'account') <> '' AND cdp_internal.root_of(p.customer_id) IS NOT NULL;
  END IF;
  RETURN QUERY
  WITH put AS (
    INSERT INTO cdp_data.provider_line (provider, file, line, provider_reference, payout_id, amount_minor, fee_minor, currency, status, digest)
    SELECT payer, name, l.nth, left(l.value ->> 'reference', 200), CASE WHEN l.value ->> 'ours' ~ '^cdp-[0-9]{1,18}$' THEN substr(l.value ->> 'ours', 5)::bigint END, cdp_internal.to_minor((l.value ->> 'amount')::numeric, l.value ->> 'currency'),
      cdp_internal.to_minor(coalesce((l.value ->> 'fee')::numeric, 0), l.value ->> 'currency'), l.value ->> 'currency', l.value ->> 'status', sha256(convert_to((l.value - 'account')::text, 'UTF8'))
    FROM jsonb_array_elements(lines) WITH ORDINALITY AS l (value, nth) ORDER BY l.nth ON CONFLICT DO NOTHING RETURNING 1
  )
  SELECT x.result, x.n FROM (SELECT 'loaded' AS result, (SELECT count(*) FROM put) AS n UNION ALL SELECT 'repeated', jsonb_array_length(lines) - (SELECT count(*) FROM put)) x WHERE x.n > 0;
END
$$;
COMMENT ON FUNCTION cdp.load_provider_lines(text, text, jsonb) IS
'Takes a file of a payment provider, all of it or nothing: SELECT * FROM cdp.load_provider_lines(''bank'', ''2026-04.csv'', ''[{"reference": "B-77", "ours": "cdp-5", "amount": 8.00, "currency": "EUR", "status": "paid", "fee": 0.30}]''). reference: the provider''s number; ours: the reference that it was sent, if it gives it; status: paid or failed; account: to which it went, of which only a digest is kept, for the rules of fraud (cdp.observe_for_fraud()). Posts nothing: cdp.reconcile_payouts() compares. The same file again is repeated. Returns how many lines were loaded and repeated. Errors: 22023 a line that can not be read, 23505 another file of that name, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.reconcile_payouts(provider text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity')
RETURNS TABLE (difference text, payout_id bigint, provider_reference text, ours numeric, theirs numeric, currency text, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  payer text := provider;
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  WITH told AS (
    SELECT l.*, p.payout_id AS found, p.provider_reference AS known, row_number() OVER (PARTITION BY l.provider_reference, l.status ORDER BY l.provider_line_id) AS again
    FROM cdp_data.provider_line l LEFT JOIN LATERAL (
      SELECT x.payout_id, x.provider_reference FROM (
        SELECT 1 AS turn, q.payout_id, q.provider_reference FROM cdp_data.payout q WHERE q.provider = l.provider AND q.provider_reference = l.provider_reference
        UNION ALL SELECT 2, q.payout_id, q.provider_reference FROM cdp_data.payout q WHERE q.payout_id = l.payout_id AND q.provider = l.provider) x ORDER BY x.turn LIMIT 1) p ON true
    WHERE l.provider = payer
  ), payment AS ( -- of each payment of a payout what the provider said last; one that was paid goes before one that failed, and the one that we know
    SELECT r.*, row_number() OVER (PARTITION BY r.found ORDER BY r.status = 'paid' DESC, r.provider_reference = r.known DESC NULLS LAST, r.provider_line_id) AS nth
    FROM (SELECT DISTINCT ON (t.found, t.provider_reference) t.* FROM told t WHERE t.found IS NOT NULL ORDER BY t.found, t.provider_reference, t.provider_line_id DESC) r
  ), last AS (
    SELECT p.*, (SELECT sum(t.fee_minor) FROM told t WHERE t.found = p.found) AS fees FROM payment p WHERE p.nth = 1
  ), x (difference, payout_id, reference, ours, theirs, currency, detail) AS (
    SELECT 'paid twice', t.found, t.provider_reference::text, NULL::bigint, t.amount_minor, t.currency::text, format('line %s of %s', t.line, t.file) FROM told t WHERE t.again > 1 AND t.status = 'paid'
    UNION ALL
    SELECT 'paid twice', t.found, t.provider_reference::text, NULL, t.amount_minor, t.currency::text, format('line %s of %s, under another number', t.line, t.file) FROM payment t WHERE t.nth > 1 AND t.status = 'paid'
    UNION ALL
    SELECT 'unknown to the books', t.payout_id, t.provider_reference, NULL, t.amount_minor, t.currency, format('line %s of %s', t.line, t.file) FROM told t WHERE t.found IS NULL
    UNION ALL
    SELECT CASE WHEN l.status = 'failed' AND p.state IN ('sent', 'confirmed') THEN 'failed at the provider' WHEN l.status = 'paid' AND p.state IN ('failed', 'cancelled', 'claimed', 'approved') THEN 'paid by the provider' WHEN l.currency <> p.currency THEN 'other currency'
        WHEN l.amount_minor <> p.amount_minor THEN 'other amount' WHEN l.status = 'paid' AND p.state = 'sent' THEN 'not confirmed' WHEN l.provider_reference <> p.provider_reference THEN 'other reference' ELSE 'other fee' END,
      p.payout_id, l.provider_reference, p.amount_minor, l.amount_minor, l.currency, CASE WHEN l.currency <> p.currency THEN format('ours is in %s', p.currency) WHEN l.provider_reference <> p.provider_reference THEN format('ours is %s', p.provider_reference) WHEN l.fee_minor <> p.fee_minor THEN format('fees are %s and %s', cdp_internal.from_minor(p.fee_minor, p.currency), cdp_internal.from_minor(l.fee_minor, l.currency)) ELSE format('ours is %s', p.state) END
    FROM last l JOIN cdp_data.payout p ON p.payout_id = l.found
    WHERE l.status = 'failed' AND p.state IN ('sent', 'confirmed') OR l.status = 'paid' AND (p.state <> 'confirmed' OR l.currency <> p.currency OR l.amount_minor <> p.amount_minor OR p.fee_minor NOT IN (l.fee_minor, l.fees) OR l.provider_reference <> p.provider_reference)
    UNION ALL
    SELECT 'unknown to the provider', p.payout_id, p.provider_reference, p.amount_minor, NULL, p.currency, format('ours is %s', p.state) FROM cdp_data.payout p
    WHERE p.provider = payer AND p.state IN ('sent', 'confirmed') AND p.sent_at >= since AND p.sent_at < until AND NOT EXISTS (SELECT FROM last l WHERE l.found = p.payout_id)
  )
  SELECT x.difference, x.payout_id, x.reference, cdp_internal.from_minor(x.ours, CASE WHEN x.difference = 'other currency' THEN (SELECT p.currency FROM cdp_data.payout p WHERE p.payout_id = x.payout_id) ELSE x.currency END), cdp_internal.from_minor(x.theirs, x.currency), x.currency, x.detail
  FROM x ORDER BY x.difference, x.payout_id, x.reference;
END
$$;
COMMENT ON FUNCTION cdp.reconcile_payouts(text, timestamptz, timestamptz) IS
'Where the files of a provider (cdp.load_provider_lines()) and the books differ; no row: nowhere. Lines and payouts are matched by the provider''s reference, else by ours. difference: unknown to the provider (sent since <= time < until and in no file), unknown to the books, paid twice (the same number again, or two payments of one payout), other reference (paid under another number than was confirmed), not confirmed (paid, cdp.confirm_payout() was not called), failed at the provider (cdp.fail_payout()), paid by the provider (ours failed or was never sent: cdp.confirm_payout() posts it), other amount, other currency, other fee. ours and theirs in money of the currency. Posts nothing. Error 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.settle_receivable(customer bigint, campaign text, amount numeric, how text, reference text, as_of timestamptz DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.referral_campaign_of(campaign);
  code text := (SELECT c.currency FROM cdp_data.referral_campaign c WHERE c.referral_campaign_id = id);
  minor bigint := cdp_internal.to_minor(amount, code);
  rest bigint;
  key bytea := cdp_internal.ledger_key('receivable', how, reference);
  a record;
  asked cdp_data.receivable_request;
  part bigint;
  nth integer := 0;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.known_customer(customer);
  PERFORM cdp_internal.require_choice('how', how, '{repaid,written_off}');
  PERFORM cdp_internal.require_text('reference', reference, 200);
  IF minor IS NULL OR minor <= 0 THEN
    RAISE EXCEPTION 'the amount must be above zero' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(amount::text, 'NULL'));
  END IF;
  PERFORM cdp_internal.hold_people(ARRAY[cdp_internal.root_of(customer)]);
  IF EXISTS (SELECT FROM cdp_data.ledger_posting p WHERE p.idempotency_key = cdp_internal.ledger_key(encode(key, 'hex'), '1')) THEN
    IF (SELECT -sum(e.amount_minor) FILTER (WHERE x.referral_campaign_id = id AND (x.customer_id < 0 OR cdp_internal.root_of(x.customer_id) = cdp_internal.root_of(customer))) FROM cdp_data.ledger_posting p
        JOIN cdp_data.ledger_entry e ON e.ledger_posting_id = p.ledger_posting_id JOIN cdp_data.ledger_account x ON x.ledger_account_id = e.ledger_account_id AND x.kind = 'clawback_receivable'
        WHERE p.idempotency_key IN (SELECT cdp_internal.ledger_key(encode(key, 'hex'), g::text) FROM generate_series(1, 100) g)) IS DISTINCT FROM minor THEN
      RAISE EXCEPTION 'that reference was used for something else' USING ERRCODE = 'unique_violation', DETAIL = format('%s %s.', how, reference), HINT = 'Each repayment and write-off has a reference of its own.';
    END IF;
    RETURN 'repeated';
  END IF;
  IF how = 'written_off' THEN
    -- Nobody gives up money by himself.
    INSERT INTO cdp_data.receivable_request (reference, customer_id, referral_campaign_id, amount_minor) SELECT settle_receivable.reference, cdp_internal.root_of(customer), id, minor
    WHERE (SELECT coalesce(sum(x.balance_minor), 0) FROM cdp_internal.customers_under(cdp_internal.root_of(customer)) h (home) JOIN cdp_data.ledger_account x ON x.customer_id = h.home WHERE x.kind = 'clawback_receivable' AND x.referral_campaign_id = id AND x.currency = code) >= minor
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
      PERFORM cdp_data.audit_write('receivable', format('write-off %s', reference), cdp_internal.root_of(customer), jsonb_build_object('step', 'ask', 'amount_minor', minor, 'currency', code));
      RETURN 'asked';
    END IF;
    SELECT * INTO asked FROM cdp_data.receivable_request q WHERE q.reference = settle_receivable.reference FOR UPDATE;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'the customer owes less than that' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Not %s %s of the campaign.', amount, code), HINT = 'cdp.referrer_statement() shows what he owes.';
    ELSIF (cdp_internal.root_of(asked.customer_id), asked.referral_campaign_id, asked.amount_minor) IS DISTINCT FROM (cdp_internal.root_of(customer), id, minor) THEN
      RAISE EXCEPTION 'another write-off has that reference' USING ERRCODE = 'unique_violation', DETAIL = format('%s minor units, asked by %s at %s.', asked.amount_minor, asked.asked_by, asked.asked_at), HINT = 'Each has a reference of its own.';
    ELSIF asked.asked_by = session_user THEN
      RETURN 'asked';
    END IF;
  END IF;
  rest := minor;
  FOR a IN SELECT x.ledger_account_id, x.balance_minor FROM cdp_internal.customers_under(cdp_internal.root_of(customer)) h (home) JOIN cdp_data.ledger_account x ON x.customer_id = h.home
    WHERE x.kind = 'clawback_receivable' AND x.referral_campaign_id = id AND x.currency = code AND x.balance_minor > 0 ORDER BY x.ledger_account_id
  LOOP
    part := least(rest, a.balance_minor);
    EXIT WHEN part = 0;
    nth := nth + 1;
    PERFORM cdp_internal.ledger_post(ARRAY[cdp_internal.ledger_key(encode(key, 'hex'), nth::text)], ARRAY[how], ARRAY[coalesce(as_of, clock_timestamp())], '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{1,1}',
      cdp_internal.ledger_accounts(ARRAY[CASE how WHEN 'repaid' THEN 'paid' ELSE 'fees' END], ARRAY[id], '{NULL}', ARRAY[code]) || a.ledger_account_id, ARRAY[part, -part]);
    rest := rest - part;
  END LOOP;
  IF rest > 0 THEN
    RAISE EXCEPTION 'the customer owes less than that' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('He owes %s %s of the campaign, not %s.', cdp_internal.from_minor(minor - rest, code), code, amount), HINT = 'cdp.referrer_statement() shows what he owes.';
  END IF;
  UPDATE cdp_data.receivable_request q SET done_by = session_user, done_at = clock_timestamp() WHERE how = 'written_off' AND q.reference = settle_receivable.reference;
  PERFORM cdp_data.audit_write('receivable', format('%s %s', CASE how WHEN 'repaid' THEN 'repayment' ELSE 'write-off' END, reference), cdp_internal.root_of(customer), jsonb_build_object('step', how, 'amount_minor', minor, 'currency', code));
  RETURN how;
END
$$;
COMMENT ON FUNCTION cdp.settle_receivable(bigint, text, numeric, text, text, timestamptz) IS
'Posts that a customer paid back what he owes of a referral campaign (how: repaid), or that it is given up (written_off, to fees): amount in the campaign''s currency, under a reference of your own, which counts once. To give up takes two: the first call returns asked, the same call by another login posts it. Returns how, asked or repeated. Errors: 22023 he owes less, or a bad argument, 23505 another one has the reference, 42704 no such campaign, 55000 before cdp.setup().';
