-- Referral room, tracking: conversions and refunds, one at a time, and the hand of a person.

CREATE OR REPLACE FUNCTION cdp_internal.referral_minor(amount numeric, currency text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN amount = 0 THEN 0 WHEN amount IS NOT NULL THEN round(amount * 10::numeric ^ cdp_internal.referral_exponent(currency))::bigint END;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_minor(numeric, text) IS 'An amount of what was bought in minor units of its currency, rounded (half away from zero). NULL for NULL. Error 22023: unknown currency.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_live_of(root bigint, conversion bigint, OUT referral_id bigint, OUT state text, OUT reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  SELECT h.referral_id, h.state, h.reason INTO referral_id, state, reason FROM cdp_internal.referral_rows(ARRAY[root]) h
  WHERE h.is_test = (SELECT c.is_test FROM cdp_data.referral_conversion c WHERE c.referral_conversion_id = conversion)
  ORDER BY h.state IN ('ineligible', 'duplicate'), h.first_conversion_id <> conversion, h.referral_id LIMIT 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_live_of(bigint, bigint) IS 'The referral that a conversion of a root goes with, a test with tests: a live one, its own before others; else one that is not. NULL without one.';

CREATE OR REPLACE FUNCTION cdp.referral_convert(
  source text, source_key text, kind text, occurred_at timestamptz DEFAULT now(), identifiers jsonb DEFAULT '{}', value numeric DEFAULT NULL, currency text DEFAULT NULL, eligible numeric DEFAULT NULL,
  code text DEFAULT NULL, click text DEFAULT NULL, advocate jsonb DEFAULT NULL, ip inet DEFAULT NULL, user_agent text DEFAULT NULL, device text DEFAULT NULL, payment text DEFAULT NULL, address text DEFAULT NULL,
  properties jsonb DEFAULT '{}', is_test boolean DEFAULT false,
  OUT result text, OUT referral_conversion_id bigint, OUT referral_id bigint, OUT state text, OUT reason text, OUT code_result text, OUT suggestion text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  k record := cdp_internal.referral_key(source, source_key, referral_convert.occurred_at);
  money record := cdp_internal.call_money(value, currency);
  sort text := cdp_internal.snake(kind);
  content jsonb := coalesce(properties, '{}');
  c record;
  t record;
  old record;
  known bigint;
  named bigint;
  claimed bigint := cdp_internal.known_customer(advocate);
  part numeric := coalesce(eligible, money.amount);
  test boolean;
  done bigint[];
  new_one bigint;
  told text := coalesce(nullif(btrim(code), ''), CASE WHEN jsonb_typeof(properties -> 'referral_code') = 'string' THEN nullif(btrim(properties ->> 'referral_code'), '') END);
  root bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.touch_kind_all a WHERE a.name = sort) THEN
    RAISE EXCEPTION 'unknown kind "%"', left(coalesce(kind, 'NULL'), 100) USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(sort, ARRAY(SELECT a.name FROM cdp_data.touch_kind_all a WHERE a.is_conversion), 'See cdp_data.touch_kind_all.');
  ELSIF jsonb_typeof(content) <> 'object' THEN
    RAISE EXCEPTION 'properties must be a JSON object' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', jsonb_typeof(content));
  ELSIF money.amount < 0 OR NOT (coalesce(part, 0) >= 0 AND coalesce(part, 0) <= coalesce(money.amount, 0)) THEN
    RAISE EXCEPTION 'eligible lies between 0 and value, and value is not below 0'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('value is %s, eligible %s.', coalesce(money.amount::text, 'NULL'), coalesce(part::text, 'NULL')), HINT = 'eligible is value without tax, shipping and discounts; what is given back comes by cdp.referral_refund().';
  END IF;
  known := cdp_internal.known_customer(identifiers);
  -- Only the calls of the room write numbers of codes and clicks.
  content := content - '{referral_code,referral_code_id,referral_click_id}'::text[];
  IF told IS NOT NULL THEN
    c := cdp_internal.referral_lookup(told, cdp_internal.referral_guessers(k.source_id, ip, known));
    code_result := c.result;
    suggestion := c.suggestion;
    -- What was not looked up stays on the touchpoint: the job does, and tells nobody.
    content := content || CASE WHEN c.referral_code_id IS NOT NULL THEN jsonb_build_object('referral_code_id', c.referral_code_id) WHEN c.result = 'throttled' AND octet_length(told) <= 200 THEN jsonb_build_object('referral_code', told) ELSE '{}' END;
  ELSE
    SELECT NULL::bigint AS referral_code_id, NULL::boolean AS is_test INTO c;
  END IF;
  IF btrim(click) <> '' THEN
    SELECT h.referral_click_id, h.is_test INTO named, test FROM cdp_data.referral_click h WHERE h.source_id = k.source_id AND h.source_key = btrim(click);
    content := content || CASE WHEN named IS NULL THEN '{}' ELSE jsonb_build_object('referral_click_id', named) END;
  END IF;
  test := coalesce(is_test, false) OR coalesce(c.is_test, false) OR coalesce(test, false);
  PERFORM cdp_internal.referral_hold_ahead(ARRAY[identifiers]);
  t := cdp_internal.referral_touch(source, sort, identifiers, content || CASE WHEN eligible IS NULL OR eligible = money.amount THEN '{}' ELSE jsonb_build_object('eligible', eligible) END,
    referral_convert.occurred_at, k.key, money.amount, money.code, '{}', NULL, CASE WHEN test THEN 2 ELSE 0 END);
  IF t.status = 'suppressed' THEN
    result := 'suppressed';
    RETURN;
  END IF;
  root := cdp_internal.identifier_root(t.identifier_id);
  PERFORM cdp_internal.referral_hold_people(ARRAY[root]); -- before any row, as the job does
  -- Compared when the person is held: of two at once the second sees the first.
  SELECT x.* INTO old FROM cdp_data.referral_conversion x WHERE x.source_id = k.source_id AND x.source_key = k.key;
  -- A code that the first record lacks (a load that had none, a call that was throttled) is an addition; none is nothing told.
  IF FOUND AND ((old.kind, old.occurred_at, old.value_minor, coalesce(old.currency, money.code)) IS DISTINCT FROM
      (sort, referral_convert.occurred_at, coalesce(cdp_internal.referral_minor(money.amount, money.code), 0), money.code) OR coalesce(old.referral_code_id <> c.referral_code_id, false)) OR t.named <> c.referral_code_id THEN
    PERFORM cdp_internal.referral_differs(k.key, 'conversion');
  END IF;
  -- An order that is there without any code gets the text of one that was not looked up, for the job.
  IF t.status = 'repeated' AND code_result = 'throttled' AND octet_length(told) <= 200 AND old.referral_code_id IS NULL THEN
    UPDATE cdp_data.touchpoint p SET properties = coalesce(p.properties, '{}') || jsonb_build_object('referral_code', told)
    FROM cdp_data.touchpoint_key x
    WHERE x.touchpoint_id = t.touchpoint_id AND p.customer_id = x.customer_id AND p.occurred_at = x.occurred_at AND p.touchpoint_id = x.touchpoint_id
      AND NOT coalesce(p.properties ? 'referral_code_id', false) AND CASE WHEN p.properties ? 'referral_code' THEN btrim(p.properties ->> 'referral_code') = '' ELSE true END;
    IF FOUND THEN
      PERFORM cdp_internal.feed_write(ARRAY[t.home_id], 'identify');
    END IF;
  END IF;
  INSERT INTO cdp_data.referral_conversion AS x (source_id, source_key, kind, occurred_at, identifier_id, customer_id, touchpoint_id, referral_code_id, referral_click_id, claimed_customer_id, value_minor, eligible_minor, currency,
    ip_digest, net_digest, agent_digest, device_digest, payment_digest, address_digest, is_test, named_click)
  VALUES (k.source_id, k.key, sort, referral_convert.occurred_at, t.identifier_id, t.home_id, t.touchpoint_id, c.referral_code_id, named, claimed, coalesce(cdp_internal.referral_minor(money.amount, money.code), 0),
    coalesce(cdp_internal.referral_minor(part, money.code), 0), money.code, cdp_internal.referral_digest('ip', host(cdp_internal.plain_ip(ip))), cdp_internal.referral_digest('net', cdp_internal.ip_network(ip)),
    cdp_internal.referral_digest('agent', user_agent), cdp_internal.referral_digest('device', device), cdp_internal.referral_digest('payment', payment), cdp_internal.referral_digest('address', address), test, CASE WHEN named IS NULL AND octet_length(click) <= 800 THEN nullif(btrim(click), '') END)
  -- One that the job took from its touchpoint first lacks what only the call knows.
  ON CONFLICT (source_id, source_key) DO UPDATE SET retracted_at = NULL, identifier_id = excluded.identifier_id, customer_id = excluded.customer_id, referral_code_id = coalesce(x.referral_code_id, excluded.referral_code_id),
    referral_click_id = coalesce(x.referral_click_id, excluded.referral_click_id), claimed_customer_id = coalesce(x.claimed_customer_id, excluded.claimed_customer_id), ip_digest = coalesce(x.ip_digest, excluded.ip_digest),
    net_digest = coalesce(x.net_digest, excluded.net_digest), agent_digest = coalesce(x.agent_digest, excluded.agent_digest), device_digest = coalesce(x.device_digest, excluded.device_digest),
    payment_digest = coalesce(x.payment_digest, excluded.payment_digest), address_digest = coalesce(x.address_digest, excluded.address_digest),
    named_click = CASE WHEN x.referral_click_id IS NULL AND excluded.referral_click_id IS NULL THEN coalesce(x.named_click, excluded.named_click) END,
    -- Of an order of which nothing was known, a code or click for tests makes a test.
    is_test = x.is_test OR excluded.is_test AND x.referral_code_id IS NULL AND x.referral_click_id IS NULL
  WHERE x.retracted_at IS NOT NULL OR x.referral_code_id IS NULL AND excluded.referral_code_id IS NOT NULL OR x.referral_click_id IS NULL AND excluded.referral_click_id IS NOT NULL
    OR x.claimed_customer_id IS NULL AND excluded.claimed_customer_id IS NOT NULL OR x.ip_digest IS NULL AND excluded.ip_digest IS NOT NULL
    OR x.referral_click_id IS NULL AND x.named_click IS NULL AND excluded.named_click IS NOT NULL
  RETURNING x.referral_conversion_id INTO new_one;
  result := CASE WHEN new_one IS NULL OR old.referral_conversion_id IS NOT NULL AND old.retracted_at IS NULL THEN 'repeated' ELSE 'recorded' END;
  referral_conversion_id := coalesce(new_one, (SELECT x.referral_conversion_id FROM cdp_data.referral_conversion x WHERE x.source_id = k.source_id AND x.source_key = k.key));
  IF new_one IS NOT NULL THEN
    IF old.referral_conversion_id IS NULL AND NOT test THEN
      -- What he bought before and gave back of it may have come by loads, when nobody was referred.
      PERFORM cdp_internal.referral_take(ARRAY(SELECT DISTINCT m.home_id FROM cdp_internal.members_of(ARRAY[root]) m));
    END IF;
    done := ARRAY(SELECT cdp_internal.referral_decide(ARRAY[root], settle => false));
    -- Those that changed are settled, and those to which the conversion may bring a reward all the same.
    PERFORM cdp_internal.referral_settled(ARRAY(SELECT u FROM unnest(done) u UNION SELECT h.referral_id FROM cdp_internal.referral_rows(ARRAY[root]) h
      UNION SELECT h.referral_id FROM cdp_internal.referral_rows(ARRAY[root], 2::smallint) h ORDER BY 1));
  END IF;
  SELECT l.referral_id, l.state, l.reason INTO referral_id, state, reason FROM cdp_internal.referral_live_of(root, referral_conversion_id) l;
  reason := coalesce(reason, CASE WHEN referral_id IS NULL THEN 'no_evidence' END);
END
$$;
COMMENT ON FUNCTION cdp.referral_convert(text, text, text, timestamptz, jsonb, numeric, text, numeric, text, text, jsonb, inet, text, text, text, text, jsonb, boolean) IS
'Tells that somebody registered or bought, with what may tie him to an advocate: SELECT * FROM cdp.referral_convert(''shop'', ''order 11'', ''purchase'', now(), ''{"email": "..."}'', 99.90, ''EUR'', code => ''K7M4-Q2TX-Q''). A touchpoint of that kind, too (cdp.track()); one that came with a load under the same key and time is taken as it is. value in currency (NULL: that of the reports); eligible: what rewards count, net of tax, shipping and discounts (NULL: value). code: typed (NULL: the property referral_code); click: the source_key of the click in the same source, where the shop knows it (one that is told later is waited for; a click for a test that is told after an order that is none does not count for it); advocate: {"email" or "phone": ...} that the person gave. Clicks of the same person are found without being named. Then decides who referred him (cdp_internal.referral_decide()). result: recorded, repeated (the same source_key: nothing is changed, but a code and what else the first record lacks is added; the text of a code that the touchpoint has, from a load or a throttled call, is the code of the order), suppressed (an erased person, nothing is kept). referral_id, state and reason of the referral that the conversion goes with; no_evidence without one. code_result: found, unknown_code (with a suggestion) or throttled; the conversion is recorded all the same, and a code that was not looked up is by the job (it stays in the property referral_code of the touchpoint, also of one that was there without a code). Errors: 23505 another record came under the key; 22023 unknown source, kind or currency, no identifier, bad amounts; 22003 value out of range; 22008 no credible time.';

CREATE OR REPLACE FUNCTION cdp.referral_refund(source text, source_key text, conversion_key text, amount numeric, refunded_at timestamptz DEFAULT now(), eligible numeric DEFAULT NULL,
  OUT result text, OUT referral_refund_id bigint, OUT referral_id bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  k record := cdp_internal.referral_key(source, source_key, referral_refund.refunded_at);
  c record;
  old record;
  t record;
  minor bigint;
  root bigint;
BEGIN
  SELECT x.*, i.value AS identifier, y.name AS type INTO c
  FROM cdp_data.referral_conversion x LEFT JOIN cdp_data.identifier i USING (identifier_id) LEFT JOIN cdp_data.identifier_type_all y ON y.type_id = i.type_id
  WHERE x.source_id = k.source_id AND x.source_key = btrim(conversion_key);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no conversion of that key' USING ERRCODE = 'undefined_object', DETAIL = format('conversion_key has %s bytes.', octet_length(coalesce(conversion_key, ''))),
      HINT = 'It is the source_key of the conversion, of the same source. Refunds of what nobody was referred for go to cdp.track().';
  ELSIF NOT (amount > 0 AND amount < 9200000000000) OR NOT (coalesce(eligible, amount) > 0 AND coalesce(eligible, amount) <= amount) THEN
    RAISE EXCEPTION 'amount must be above 0, and eligible above 0 and at most amount' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('amount is %s, eligible %s.', amount, coalesce(eligible::text, 'NULL')),
      HINT = 'What is given back is told as a positive amount in the currency of the conversion.';
  ELSIF c.currency IS NULL THEN
    RAISE EXCEPTION 'the conversion has no value' USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'There is nothing to give back of it.';
  END IF;
  minor := greatest(cdp_internal.referral_minor(coalesce(eligible, amount), c.currency), 1);
  SELECT x.* INTO old FROM cdp_data.referral_refund x WHERE x.source_id = k.source_id AND x.source_key = k.key;
  IF FOUND AND (old.referral_conversion_id, old.refunded_at, old.amount_minor) <> (c.referral_conversion_id, referral_refund.refunded_at, minor) THEN
    PERFORM cdp_internal.referral_differs(k.key, 'refund');
  END IF;
  root := coalesce(cdp_internal.identifier_root(c.identifier_id), cdp_internal.root_of(c.customer_id));
  PERFORM cdp_internal.referral_hold_people(ARRAY[root]) WHERE root IS NOT NULL; -- before the touchpoint
  SELECT NULL::bigint AS touchpoint_id INTO t;
  IF c.identifier IS NOT NULL AND c.touchpoint_id IS NOT NULL THEN
    t := cdp_internal.referral_touch(source, 'refund', jsonb_build_object(c.type, c.identifier), CASE WHEN eligible IS NULL OR eligible = amount THEN '{}' ELSE jsonb_build_object('eligible', eligible) END,
      referral_refund.refunded_at, k.key, -amount, c.currency, '{}', c.source_key, CASE WHEN c.is_test THEN 2 ELSE 0 END);
  END IF;
  INSERT INTO cdp_data.referral_refund AS x (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id, touchpoint_id)
  VALUES (k.source_id, k.key, c.referral_conversion_id, referral_refund.refunded_at, minor, c.customer_id, t.touchpoint_id)
  ON CONFLICT (source_id, source_key) DO UPDATE SET retracted_at = NULL WHERE x.retracted_at IS NOT NULL RETURNING x.referral_refund_id INTO referral_refund_id;
  result := CASE WHEN referral_refund_id IS NULL THEN 'repeated' ELSE 'recorded' END;
  referral_refund_id := coalesce(referral_refund_id, old.referral_refund_id, (SELECT x.referral_refund_id FROM cdp_data.referral_refund x WHERE x.source_id = k.source_id AND x.source_key = k.key));
  SELECT l.referral_id INTO referral_id FROM cdp_internal.referral_live_of(root, c.referral_conversion_id) l;
  IF result = 'recorded' AND root IS NOT NULL THEN
    PERFORM cdp_internal.referral_settled(ARRAY(SELECT h.referral_id FROM cdp_internal.referral_rows(ARRAY[root]) h UNION SELECT h.referral_id FROM cdp_internal.referral_rows(ARRAY[root], 2::smallint) h));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.referral_refund(text, text, text, numeric, timestamptz, numeric) IS
'Tells that something of a conversion was given back: SELECT * FROM cdp.referral_refund(''shop'', ''refund 3'', ''order 11'', 20). In parts, as often as needed, in the currency of the conversion; eligible: what of it rewards had counted (NULL: all of it). A touchpoint of kind refund, too. Rewards are reckoned again at once. result: recorded or repeated (the same source_key). Errors: 42704 no such conversion in the source; 22023 amount; 55000 the conversion has no value; 23505 another record came under the key.';

CREATE OR REPLACE FUNCTION cdp.set_referral_advocate(source text, conversion_key text, campaign text, advocate bigint, OUT referral_id bigint, OUT state text, OUT reason text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  src integer := cdp_internal.source_of(source);
  by_code bigint;
  c record;
BEGIN
  IF advocate IS NOT NULL THEN
    IF cdp_internal.root_of(advocate) IS NULL THEN
      RAISE EXCEPTION 'there is no customer %', advocate USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp.customer_of(type, value) finds one.';
    END IF;
    by_code := (SELECT k.referral_code_id FROM cdp_data.referral_code k WHERE k.referral_campaign_id = cdp_internal.referral_campaign_of(campaign) AND k.customer_id IN (SELECT cdp_internal.customers_under(cdp_internal.root_of(advocate)))
      ORDER BY k.is_test, k.issued_at DESC, k.referral_code_id DESC LIMIT 1);
    IF by_code IS NULL THEN
      RAISE EXCEPTION 'customer % is no advocate of the campaign', advocate USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp.issue_referral_code() makes him one.';
    END IF;
  END IF;
  -- The person before the row, as everybody does.
  PERFORM cdp_internal.referral_hold_people(ARRAY[cdp_internal.identifier_root(x.identifier_id)]) FROM cdp_data.referral_conversion x WHERE x.source_id = src AND x.source_key = btrim(conversion_key) AND x.identifier_id > 0;
  UPDATE cdp_data.referral_conversion x SET manual_customer_id = advocate, manual_code_id = by_code WHERE x.source_id = src AND x.source_key = btrim(conversion_key) RETURNING x.* INTO c;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no conversion of that key' USING ERRCODE = 'undefined_object', HINT = 'It is the source_key of the conversion; cdp.referral_convert() tells of one.';
  END IF;
  PERFORM cdp_data.audit_write('referral', 'conversion ' || c.referral_conversion_id, c.customer_id, jsonb_build_object('op', 'advocate', 'advocate', advocate));
  PERFORM cdp_internal.referral_decide(ARRAY[cdp_internal.identifier_root(c.identifier_id)]);
  SELECT l.referral_id, l.state, l.reason INTO referral_id, state, reason FROM cdp_internal.referral_live_of(cdp_internal.identifier_root(c.identifier_id), c.referral_conversion_id) l;
END
$$;
COMMENT ON FUNCTION cdp.set_referral_advocate(text, text, text, bigint) IS
'Names by hand who brought the person of a conversion, such as after a complaint: goes before all other evidence; NULL takes it back. The tests of new customers and of one person stay. advocate must have a code in the campaign. Noted in the audit. Returns the referral that came of it. Errors: 42704 no such conversion or campaign, 22023 no such customer or no advocate.';
