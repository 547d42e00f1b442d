-- Referral room, programme: terms in versions, with their reward rules and limits. Everything that is wrong with them is told at
-- once, by JSON Pointers into {"terms": {}, "rules": [], "caps": []}; what is kept is in minor units, in one form.

CREATE OR REPLACE FUNCTION cdp_internal.referral_keys() RETURNS TABLE (what text, key text, type text, words text[], low numeric, high numeric, required boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
SELECT * FROM (VALUES
  ('terms'::text, 'model'::text, 'word'::text, '{first_valid_click,last_valid_click}'::text[], NULL::numeric, NULL::numeric, false),
  ('terms', 'click_window', 'span', NULL, 1, NULL, false), ('terms', 'code_first', 'boolean', NULL, NULL, NULL, false), ('terms', 'network_match', 'boolean', NULL, NULL, NULL, false),
  ('terms', 'existing_lookback', 'span', NULL, 1, NULL, false), ('terms', 'levels', 'integer', NULL, 1, 2, false), ('terms', 'signup_kinds', 'kinds', NULL, NULL, NULL, false),
  ('terms', 'conversion_kinds', 'kinds', NULL, NULL, NULL, false), ('terms', 'review_at', 'number', NULL, 0, 1, false), ('terms', 'reject_at', 'number', NULL, 0, 1, false),
  ('terms', 'review_within', 'span', NULL, 1, NULL, false), ('terms', 'on_timeout', 'word', '{escalate,reject}', NULL, NULL, false), ('terms', 'weights', 'object', NULL, NULL, NULL, false),
  ('terms', 'cost_review', 'money', NULL, NULL, NULL, false), ('terms', 'cost_wrong', 'money', NULL, NULL, NULL, false),
  ('rule', 'rule', 'name', NULL, NULL, NULL, true), ('rule', 'side', 'word', '{referrer,referee}', NULL, NULL, true), ('rule', 'level', 'integer', NULL, 1, 2, false),
  ('rule', 'trigger', 'word', '{signup,first_purchase,every_purchase,nth_purchase,amount}', NULL, NULL, true), ('rule', 'nth', 'integer', NULL, 1, 1000000, false),
  ('rule', 'min_amount', 'money', NULL, NULL, NULL, false), ('rule', 'shape', 'word', '{flat,percent,tier,milestone,recurring}', NULL, NULL, true), ('rule', 'amount', 'money', NULL, NULL, NULL, false),
  ('rule', 'rate', 'number', NULL, 0.000001, 1, false), ('rule', 'tiers', 'list', NULL, NULL, NULL, false), ('rule', 'tier_mode', 'word', '{marginal,whole}', NULL, NULL, false),
  ('rule', 'tier_of', 'word', '{referrals,amount}', NULL, NULL, false), ('rule', 'milestones', 'list', NULL, NULL, NULL, false), ('rule', 'months', 'integer', NULL, 1, 120, false),
  ('rule', 'max', 'money', NULL, NULL, NULL, false), ('rule', 'hold', 'span', NULL, 0, NULL, false), ('rule', 'hold_review', 'span', NULL, 0, NULL, false),
  ('rule', 'priority', 'integer', NULL, -1000000, 1000000, false), ('rule', 'exclusive', 'boolean', NULL, NULL, NULL, false), ('rule', 'on_cap', 'word', '{clamp,skip}', NULL, NULL, false),
  ('rule', 'currency', 'text', NULL, NULL, NULL, false),
  ('cap', 'per', 'word', '{referrer,referee,code,campaign}', NULL, NULL, true), ('cap', 'period', 'word', '{ever,year,month,week,day}', NULL, NULL, false), ('cap', 'amount', 'money', NULL, NULL, NULL, false),
  ('cap', 'rewards', 'integer', NULL, 1, 1000000000, false), ('cap', 'rule', 'name', NULL, NULL, NULL, false), ('cap', 'currency', 'text', NULL, NULL, NULL, false),
  ('tier', 'from', 'number', NULL, 0, 1000000000000, true), ('tier', 'rate', 'number', NULL, 0.000001, 1, false), ('tier', 'amount', 'money', NULL, NULL, NULL, false),
  ('milestone', 'n', 'integer', NULL, 1, 1000000, true), ('milestone', 'amount', 'money', NULL, NULL, NULL, true)
) AS v (what, key, type, words, low, high, required);
END;
COMMENT ON FUNCTION cdp_internal.referral_keys() IS
'Keys that terms, rules, caps, tiers and milestones of cdp.set_referral_terms() may have: their type, words of a choice, bounds of a number (of a span: 1 above zero, 0 not below), and which must be there.';

CREATE OR REPLACE FUNCTION cdp_internal.parse_span(given text) RETURNS interval
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  span interval;
BEGIN
  span := given;
  RETURN CASE WHEN span BETWEEN '0'::interval AND '100 years'::interval THEN span END;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.parse_span(text) IS 'A text as a span from nothing to 100 years; NULL when it is none.';

CREATE OR REPLACE FUNCTION cdp_internal.json_number(value jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE jsonb_typeof(value) WHEN 'number' THEN (value #>> '{}')::numeric END;
COMMENT ON FUNCTION cdp_internal.json_number(jsonb) IS 'A JSON number; NULL for what is none.';

CREATE OR REPLACE FUNCTION cdp_internal.json_items(value jsonb) RETURNS TABLE (item jsonb, n bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT jsonb_strip_nulls(CASE jsonb_typeof(a.value) WHEN 'object' THEN a.value ELSE '{}' END), a.nth - 1
  FROM jsonb_array_elements(CASE jsonb_typeof(value) WHEN 'array' THEN value ELSE '[]' END) WITH ORDINALITY AS a (value, nth);
END;
COMMENT ON FUNCTION cdp_internal.json_items(jsonb) IS 'Elements of a JSON array, counted from 0, without keys that are null; {} for one that is no object. No row for what is no array.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_finding_of_value(base text, k record, given jsonb, digits integer, OUT path text, OUT code text, OUT message text, OUT hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kind text := jsonb_typeof(given);
  word text := CASE kind WHEN 'string' THEN given #>> '{}' END;
  x numeric := cdp_internal.json_number(given);
  span interval;
  names text[];
BEGIN
  path := base || cdp_internal.json_pointer(k.key);
  IF kind <> (CASE k.type WHEN 'number' THEN 'number' WHEN 'integer' THEN 'number' WHEN 'money' THEN 'number' WHEN 'boolean' THEN 'boolean' WHEN 'list' THEN 'array' WHEN 'kinds' THEN 'array' WHEN 'object' THEN 'object' ELSE 'string' END) THEN
    code := 'E_TYPE';
    message := format('"%s" must be %s', k.key, CASE k.type WHEN 'number' THEN 'a number' WHEN 'integer' THEN 'a whole number' WHEN 'money' THEN 'an amount, a number in units of the currency' WHEN 'boolean' THEN 'true or false'
      WHEN 'list' THEN 'an array' WHEN 'kinds' THEN 'an array of names' WHEN 'object' THEN 'an object' WHEN 'span' THEN 'a span, such as "30 days"' ELSE 'a text' END);
  ELSIF k.key = 'trigger' AND word = 'share' THEN
    code := 'E_SHARE';
    message := 'nothing is paid for sharing: it can be done any number of times';
    hint := 'Reward a signup or a purchase of who was brought.';
  ELSIF k.type = 'word' AND word <> ALL (k.words) THEN
    code := 'E_WORD';
    message := format('"%s" has no "%s"', k.key, left(word, 63));
    -- All of them: of two as near, such as referrer and referee, the nearer in writing may be the other one.
    hint := format('Take one of %s.', array_to_string(k.words, ', '));
  ELSIF k.type = 'name' AND word !~ ('^[a-z0-9][a-z0-9_.-]{0,62}$' COLLATE "C") THEN
    code := 'E_NAME';
    message := format('"%s" must be a name of a-z 0-9 _ . -', k.key);
    hint := 'At most 63 signs, beginning with a letter or a digit.';
  ELSIF k.type = 'integer' AND x <> trunc(x) THEN
    code := 'E_TYPE';
    message := format('"%s" must be a whole number', k.key);
  ELSIF k.type IN ('integer', 'number') AND x NOT BETWEEN k.low AND k.high THEN
    code := 'E_RANGE';
    message := format('"%s" must lie between %s and %s, it is %s', k.key, k.low, k.high, left(x::text, 30));
    hint := CASE WHEN k.key = 'rate' AND x > 1 THEN 'A rate is a share: 0.1 is a tenth.' END;
  ELSIF k.key = 'rate' AND x <> round(x, 6) THEN
    code := 'E_PRECISION';
    message := 'a rate has at most 6 digits after the point';
  ELSIF k.type = 'money' AND NOT (x > 0 AND x * 10::numeric ^ digits <= 1e15) THEN
    code := 'E_RANGE';
    message := format('"%s" must be above zero, at most 10^15 minor units', k.key);
  ELSIF k.type = 'money' AND trunc(x, digits) <> x THEN
    code := 'E_PRECISION';
    message := format('"%s" has more digits after the point than the currency, which has %s', k.key, digits);
  ELSIF k.type = 'span' THEN
    span := cdp_internal.parse_span(word);
    IF span IS NULL OR k.low = 1 AND span = '0'::interval THEN
      code := 'E_RANGE';
      message := format('"%s" must be a span %s, at most 100 years', k.key, CASE k.low WHEN 1 THEN 'above zero' ELSE 'not below zero' END);
      hint := 'Such as "30 days".';
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_finding_of_value(text, record, jsonb, integer) IS
'What is wrong with the value of one key (a row of cdp_internal.referral_keys()) by itself: code NULL when nothing. digits: of the currency.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_findings_of_form(terms jsonb, rules jsonb, caps jsonb, digits integer) RETURNS TABLE (path text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  i record;
  k record;
  known text[];
BEGIN
  FOR i IN
    WITH raw AS (
      SELECT '/rules' AS base, 'rule' AS what, a.value, a.nth FROM jsonb_array_elements(rules) WITH ORDINALITY AS a (value, nth)
      UNION ALL SELECT '/caps', 'cap', a.value, a.nth FROM jsonb_array_elements(caps) WITH ORDINALITY AS a (value, nth)
    ), item AS (
      SELECT '/terms' AS base, 'terms' AS what, terms AS value
      UNION ALL SELECT format('%s/%s', r.base, r.nth - 1), r.what, r.value FROM raw r
      UNION ALL
      SELECT format('%s/%s/%s/%s', r.base, r.nth - 1, x.key, a.nth - 1), CASE x.key WHEN 'tiers' THEN 'tier' ELSE 'milestone' END, a.value
      FROM raw r CROSS JOIN (VALUES ('tiers'), ('milestones')) AS x (key)
        CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(r.value) = 'object' AND jsonb_typeof(r.value -> x.key) = 'array' THEN r.value -> x.key ELSE '[]' END) WITH ORDINALITY AS a (value, nth)
      WHERE r.what = 'rule'
    )
    SELECT x.base, x.what, x.value FROM item x
  LOOP
    IF jsonb_typeof(i.value) <> 'object' THEN
      RETURN QUERY SELECT i.base, 'E_TYPE', format('a %s must be a JSON object', i.what), NULL::text;
      CONTINUE;
    END IF;
    known := ARRAY(SELECT x.key FROM cdp_internal.referral_keys() x WHERE x.what = i.what);
    RETURN QUERY
    SELECT i.base || cdp_internal.json_pointer(left(e, 100)), 'E_KEY', format('%s no "%s"', CASE i.what WHEN 'terms' THEN 'terms have' ELSE 'a ' || i.what || ' has' END, left(e, 63)),
      cdp_internal.did_you_mean(e, known, format('Its keys are %s.', array_to_string(known, ', ')))
    FROM jsonb_object_keys(i.value) e WHERE e <> ALL (known);
    FOR k IN SELECT x.* FROM cdp_internal.referral_keys() x WHERE x.what = i.what LOOP
      IF coalesce(i.value -> k.key, 'null') = 'null' THEN
        IF k.required THEN
          RETURN QUERY SELECT i.base || cdp_internal.json_pointer(k.key), 'E_MISSING', format('a %s needs "%s"', i.what, k.key), 'Take one of ' || array_to_string(k.words, ', ') || '.';
        END IF;
      ELSE
        RETURN QUERY SELECT f.path, f.code, f.message, f.hint FROM cdp_internal.referral_finding_of_value(i.base, k, i.value -> k.key, digits) f WHERE f.code IS NOT NULL;
      END IF;
    END LOOP;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_findings_of_form(jsonb, jsonb, jsonb, integer) IS
'Errors in the form of terms (an object), rules and caps (arrays): unknown and missing keys, values of a wrong type or out of their range.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_findings_of_rules(rules jsonb, currency text, levels numeric, wechat text) RETURNS TABLE (path text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
  base text;
  buys boolean;
  shape text;
  trig text;
BEGIN
  FOR r IN SELECT x.item, x.n FROM cdp_internal.json_items(rules) x LOOP
    base := '/rules/' || r.n;
    shape := r.item ->> 'shape';
    trig := r.item ->> 'trigger';
    buys := trig IN ('first_purchase', 'every_purchase', 'nth_purchase', 'amount');
    RETURN QUERY
    SELECT base || f.path, f.code, f.message, f.hint FROM (VALUES
      (r.item ->> 'currency' <> currency, '/currency', 'E_CURRENCY', format('the campaign is in %s: currencies are not mixed', currency), 'Leave it out, or make a campaign in the other currency.'),
      (r.item ? 'nth' AND trig <> 'nth_purchase', '/nth', 'E_NOT_FOR', '"nth" is for the trigger nth_purchase', NULL),
      (NOT r.item ? 'nth' AND trig = 'nth_purchase', '/nth', 'E_MISSING', 'the trigger nth_purchase needs "nth"', 'Such as 3: the third purchase.'),
      (r.item ? 'min_amount' AND NOT buys, '/min_amount', 'E_NOT_FOR', format('"min_amount" is for purchases, not for %s', trig), NULL),
      (NOT r.item ? 'min_amount' AND trig = 'amount', '/min_amount', 'E_MISSING', 'the trigger amount needs "min_amount"', 'From how much on a purchase is rewarded.'),
      (r.item ? 'amount' AND shape NOT IN ('flat', 'recurring'), '/amount', 'E_NOT_FOR', format('"amount" is not for the shape %s', shape), 'It is for flat and recurring.'),
      (NOT r.item ? 'amount' AND shape = 'flat', '/amount', 'E_MISSING', 'the shape flat needs "amount"', 'In units of the currency.'),
      (r.item ? 'rate' AND shape NOT IN ('percent', 'recurring'), '/rate', 'E_NOT_FOR', format('"rate" is not for the shape %s', shape), 'It is for percent and recurring.'),
      (NOT r.item ? 'rate' AND shape = 'percent', '/rate', 'E_MISSING', 'the shape percent needs "rate"', 'A share: 0.1 is a tenth.'),
      (shape = 'recurring' AND r.item ? 'amount' = r.item ? 'rate', '/shape', 'E_MISSING', 'the shape recurring needs either "amount" or "rate"', NULL),
      (r.item ? 'months' AND shape <> 'recurring', '/months', 'E_NOT_FOR', '"months" is for the shape recurring', NULL),
      (NOT r.item ? 'months' AND shape = 'recurring', '/months', 'E_MISSING', 'the shape recurring needs "months"', 'For how many months purchases are rewarded.'),
      (shape = 'recurring' AND trig <> 'every_purchase', '/trigger', 'E_NOT_FOR', 'the shape recurring rewards every_purchase', NULL),
      (r.item ? 'tiers' AND shape <> 'tier', '/tiers', 'E_NOT_FOR', '"tiers" is for the shape tier', NULL),
      (coalesce(jsonb_array_length(CASE jsonb_typeof(r.item -> 'tiers') WHEN 'array' THEN r.item -> 'tiers' END), 0) = 0 AND shape = 'tier', '/tiers', 'E_MISSING', 'the shape tier needs "tiers"', 'Such as [{"from": 0, "rate": 0.05}, {"from": 10, "rate": 0.1}].'),
      ((r.item ? 'tier_mode' OR r.item ? 'tier_of') AND shape <> 'tier', CASE WHEN r.item ? 'tier_mode' THEN '/tier_mode' ELSE '/tier_of' END, 'E_NOT_FOR', 'it is for the shape tier', NULL),
      (shape = 'tier' AND r.item ->> 'tier_of' = 'amount' AND NOT buys, '/tier_of', 'E_NOT_FOR', format('tiers of amount are for purchases, not for %s', trig), NULL),
      (shape = 'tier' AND coalesce(r.item ->> 'tier_of', 'referrals') = 'referrals' AND r.item ->> 'side' = 'referee', '/side', 'E_NOT_FOR', 'a referee has no referrals to count', 'Count amounts: "tier_of": "amount".'),
      (r.item ? 'milestones' AND shape <> 'milestone', '/milestones', 'E_NOT_FOR', '"milestones" is for the shape milestone', NULL),
      (coalesce(jsonb_array_length(CASE jsonb_typeof(r.item -> 'milestones') WHEN 'array' THEN r.item -> 'milestones' END), 0) = 0 AND shape = 'milestone', '/milestones', 'E_MISSING', 'the shape milestone needs "milestones"', 'Such as [{"n": 5, "amount": 20}].'),
      (shape = 'milestone' AND (trig NOT IN ('signup', 'first_purchase') OR r.item ->> 'side' = 'referee'), '/trigger', 'E_NOT_FOR', 'milestones count referrals: of the side referrer, at signup or first_purchase', NULL),
      (r.item ? 'max' AND shape IN ('flat', 'milestone'), '/max', 'E_NOT_FOR', format('the shape %s pays fixed amounts: "max" is not for it', shape), 'A cap limits how many.'),
      (shape = 'percent' AND NOT buys, '/shape', 'E_NOT_FOR', format('there is no amount of which %s could pay a percent', trig), 'Use flat.'),
      (cdp_internal.json_number(r.item -> 'level') = 2 AND r.item ->> 'side' = 'referee', '/level', 'E_LEVEL', 'the second level has referrers only', NULL),
      (cdp_internal.json_number(r.item -> 'level') = 2 AND shape NOT IN ('flat', 'percent'), '/level', 'E_LEVEL', 'the second level pays flat or percent', NULL),
      (cdp_internal.json_number(r.item -> 'level') = 2 AND levels < 2, '/level', 'E_LEVEL', 'the terms have one level', 'Set "levels" of the terms to 2.'),
      (cdp_internal.json_number(r.item -> 'level') = 2 AND wechat IS NOT NULL, '/level', 'E_WECHAT_LEVELS', format('channel "%s" is of WeChat, which shuts accounts that pay over more than one level', wechat), 'Leave the second level out, or the channel.'),
      (trig = 'share' AND wechat IS NOT NULL, '/trigger', 'E_WECHAT_SHARE', format('channel "%s" is of WeChat, which shuts accounts that pay for sharing', wechat), 'Pay for a signup or a purchase, or leave the channel out.')
    ) AS f (found, path, code, message, hint) WHERE f.found
    UNION ALL
    -- Each step above the one before it, with one way of paying.
    SELECT format('%s/tiers/%s%s', base, t.n, f.path), 'E_TIERS', f.message, f.hint
    FROM (SELECT x.item, x.n, cdp_internal.json_number(x.item -> 'from') AS low, lag(cdp_internal.json_number(x.item -> 'from')) OVER (ORDER BY x.n) AS before FROM cdp_internal.json_items(r.item -> 'tiers') x) t
      CROSS JOIN LATERAL (VALUES
        (t.n = 0 AND t.low <> 0, '/from', 'the first tier begins at 0', NULL::text),
        (t.low <= t.before, '/from', 'each tier must begin above the one before it', NULL),
        (t.item ? 'rate' = t.item ? 'amount', '', 'a tier needs either "rate" or "amount"', NULL),
        (t.item ? 'rate' AND NOT buys, '/rate', format('there is no amount of which %s could pay a share', trig), 'Use "amount".'),
        (coalesce(r.item ->> 'tier_of', 'referrals') = 'referrals' AND t.low <> trunc(t.low), '/from', 'referrals are whole', NULL)) AS f (found, path, message, hint)
    WHERE f.found
    UNION ALL
    SELECT format('%s/milestones/%s/n', base, t.n), 'E_MILESTONES', 'each milestone must lie above the one before it', NULL
    FROM (SELECT x.n, cdp_internal.json_number(x.item -> 'n') AS nth, lag(cdp_internal.json_number(x.item -> 'n')) OVER (ORDER BY x.n) AS before FROM cdp_internal.json_items(r.item -> 'milestones') x) t
    WHERE t.nth <= t.before
    UNION ALL
    SELECT base || '/hold_review', 'W_HOLD', 'suspicious ones are held shorter than others', 'Make it longer than "hold".' WHERE cdp_internal.parse_span(r.item ->> 'hold_review') < coalesce(cdp_internal.parse_span(r.item ->> 'hold'), '14 days')
    UNION ALL
    SELECT base || '/hold', 'W_HOLD', 'it is paid at once: what is refunded later has to be taken back', 'Hold it as long as purchases can be returned.' WHERE buys AND cdp_internal.parse_span(r.item ->> 'hold') = '0'::interval;
  END LOOP;
  RETURN QUERY
  SELECT format('/rules/%s/rule', d.n), 'E_TWICE', format('there are two rules "%s"', left(d.name, 63)), 'Give each a name of its own.'
  FROM (SELECT x.n, x.item ->> 'rule' AS name, row_number() OVER (PARTITION BY x.item ->> 'rule' ORDER BY x.n) AS nth FROM cdp_internal.json_items(rules) x WHERE x.item ? 'rule') d WHERE d.nth > 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_findings_of_rules(jsonb, text, numeric, text) IS
'What is wrong or doubtful with reward rules beyond their form: keys that do not belong together, tiers and milestones out of order, what WeChat forbids. levels: of the terms; wechat: a channel of WeChat of the campaign, NULL none.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_findings_of_caps(rules jsonb, caps jsonb, currency text, budget boolean) RETURNS TABLE (path text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  names text[] := ARRAY(SELECT x.item ->> 'rule' FROM cdp_internal.json_items(rules) x WHERE x.item ? 'rule');
BEGIN
  RETURN QUERY
  SELECT format('/caps/%s%s', c.n, f.path), f.code, f.message, f.hint
  FROM (SELECT x.item, x.n, row_number() OVER (PARTITION BY x.item ->> 'per', coalesce(x.item ->> 'period', 'ever'), x.item ->> 'rule', x.item ? 'amount' ORDER BY x.n) AS nth FROM cdp_internal.json_items(caps) x) c
    CROSS JOIN LATERAL (VALUES
      (c.item ? 'amount' = c.item ? 'rewards', '', 'E_CAP', 'a cap limits either "amount" or "rewards"', 'Make two caps for both.'),
      (c.item ->> 'currency' <> currency, '/currency', 'E_CURRENCY', format('the campaign is in %s: currencies are not mixed', currency), 'Leave it out.'),
      (c.item ? 'rule' AND c.item ->> 'rule' <> ALL (names), '/rule', 'E_RULE', format('there is no rule "%s"', left(c.item ->> 'rule', 63)), cdp_internal.did_you_mean(c.item ->> 'rule', names, 'Leave it out: it limits all of them together.')),
      (c.nth > 1, '', 'E_TWICE', 'there is such a cap already', 'The lower one is enough.'),
      (c.item ? 'amount' AND EXISTS (SELECT FROM cdp_internal.json_items(rules) x WHERE cdp_internal.json_number(x.item -> 'amount') > cdp_internal.json_number(c.item -> 'amount')
         AND coalesce(x.item ->> 'rule' = c.item ->> 'rule', true) AND coalesce(x.item ->> 'on_cap', 'skip') = 'skip'), '/amount', 'W_CAP', 'it is below the amount of a rule, which will never pay', 'Raise it, or let the rule pay what is left: "on_cap": "clamp".')
    ) AS f (found, path, code, message, hint)
  WHERE f.found
  UNION ALL
  SELECT '/caps', 'W_UNCAPPED', 'nothing limits what the campaign may cost', 'Add a cap per campaign, or give the campaign a budget.'
  WHERE names <> '{}' AND NOT budget AND NOT EXISTS (SELECT FROM cdp_internal.json_items(caps) c WHERE c.item ->> 'per' = 'campaign' AND NOT c.item ? 'rule')
  UNION ALL
  SELECT '/rules', 'W_NO_RULE', 'nothing is paid for', 'Add a rule, such as {"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}.' WHERE names = '{}';
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_findings_of_caps(jsonb, jsonb, text, boolean) IS
'What is wrong or doubtful with caps beyond their form, and with rules that none limits. budget: the campaign has one.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_terms_findings(terms jsonb, rules jsonb, caps jsonb, currency text, channels text[], budget boolean)
RETURNS TABLE (path text, code text, severity text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  digits integer := cdp_internal.referral_exponent(currency);
  wechat text := (SELECT min(c COLLATE "C") FROM unnest(channels) c WHERE cdp_internal.is_wechat_channel(c));
  levels numeric := coalesce(cdp_internal.json_number(CASE jsonb_typeof(terms) WHEN 'object' THEN terms -> 'levels' END), 1);
  doc jsonb := CASE jsonb_typeof(terms) WHEN 'object' THEN jsonb_strip_nulls(terms) ELSE '{}' END;
  kinds text[] := ARRAY(SELECT k.name FROM cdp_data.touch_kind_all k);
  signals text[] := ARRAY(SELECT b.code FROM cdp.fraud_rule_builtin() b WHERE b.kind IN ('soft', 'density'));
BEGIN
  IF jsonb_typeof(rules) IS DISTINCT FROM 'array' OR jsonb_typeof(caps) IS DISTINCT FROM 'array' OR jsonb_typeof(terms) IS DISTINCT FROM 'object' THEN
    RETURN QUERY SELECT v.path, 'E_TYPE', 'error', v.message, NULL::text FROM (VALUES ('/terms', 'terms must be a JSON object', jsonb_typeof(terms) IS DISTINCT FROM 'object'),
      ('/rules', 'rules must be a JSON array', jsonb_typeof(rules) IS DISTINCT FROM 'array'), ('/caps', 'caps must be a JSON array', jsonb_typeof(caps) IS DISTINCT FROM 'array')) AS v (path, message, found) WHERE v.found;
    RETURN;
  ELSIF jsonb_array_length(rules) > 100 OR jsonb_array_length(caps) > 100 OR jsonb_path_exists(rules, '$[*].* ? (@.type() == "array" && @.size() > 100)') OR octet_length(terms::text) > 65536 THEN
    RETURN QUERY SELECT '', 'E_SIZE', 'error', 'terms have at most 64 kB, 100 rules and 100 caps, a rule at most 100 tiers or milestones', NULL::text;
    RETURN;
  END IF;
  RETURN QUERY
  SELECT f.path, f.code, CASE WHEN f.code LIKE 'W\_%' THEN 'warning' ELSE 'error' END, f.message, f.hint
  FROM (
    SELECT x.* FROM cdp_internal.referral_findings_of_form(terms, rules, caps, digits) x
    UNION SELECT x.* FROM cdp_internal.referral_findings_of_rules(rules, currency, levels, wechat) x
    UNION SELECT x.* FROM cdp_internal.referral_findings_of_caps(rules, caps, currency, budget) x
    UNION
    SELECT format('/terms/%s/%s', l.key, a.nth - 1), 'E_KIND', CASE jsonb_typeof(a.value) WHEN 'string' THEN format('there is no kind of touchpoint named "%s"', left(a.value #>> '{}', 63)) ELSE 'a kind must be a text' END,
      cdp_internal.did_you_mean(a.value #>> '{}', kinds, 'SELECT name FROM cdp_data.touch_kind_all; lists them.')
    FROM (VALUES ('signup_kinds'), ('conversion_kinds')) AS l (key), jsonb_array_elements(CASE jsonb_typeof(doc -> l.key) WHEN 'array' THEN doc -> l.key ELSE '[]' END) WITH ORDINALITY AS a (value, nth)
    WHERE jsonb_typeof(a.value) <> 'string' OR a.value #>> '{}' <> ALL (kinds)
    UNION
    SELECT '/terms/conversion_kinds', 'E_KIND', format('"%s" is a registration and a purchase at once', k.name), 'Put it into one of the two lists.'
    FROM jsonb_array_elements_text(CASE jsonb_typeof(doc -> 'signup_kinds') WHEN 'array' THEN doc -> 'signup_kinds' ELSE '["sign_up"]' END) AS k (name)
    WHERE CASE jsonb_typeof(doc -> 'conversion_kinds') WHEN 'array' THEN doc -> 'conversion_kinds' ELSE '["order", "purchase"]' END ? k.name
    UNION
    SELECT '/terms/weights' || cdp_internal.json_pointer(left(w.key, 100)), 'E_RANGE', 'a weight must be a number from 0 to below 1', NULL
    FROM jsonb_each(CASE jsonb_typeof(doc -> 'weights') WHEN 'object' THEN doc -> 'weights' ELSE '{}' END) w WHERE NOT coalesce(cdp_internal.json_number(w.value) >= 0 AND cdp_internal.json_number(w.value) < 1, false)
    UNION
    SELECT '/terms/weights' || cdp_internal.json_pointer(left(w.key, 100)), 'E_WEIGHT', format('there is no fraud rule with a weight named "%s"', left(w.key, 63)), cdp_internal.did_you_mean(w.key, signals, 'SELECT code, kind FROM cdp.fraud_rule_builtin(); lists them: those of kind soft and density have one.')
    FROM jsonb_each(CASE jsonb_typeof(doc -> 'weights') WHEN 'object' THEN doc -> 'weights' ELSE '{}' END) w WHERE w.key <> ALL (signals)
    UNION
    SELECT v.path, v.code, v.message, v.hint FROM (VALUES
      (coalesce(cdp_internal.json_number(doc -> 'review_at'), 0.5) > coalesce(cdp_internal.json_number(doc -> 'reject_at'), 0.85), '/terms/review_at', 'E_RANGE', 'it must not lie above reject_at', 'What is rejected needs no review.'),
      (doc ? 'cost_review' <> doc ? 'cost_wrong', CASE WHEN doc ? 'cost_review' THEN '/terms/cost_wrong' ELSE '/terms/cost_review' END, 'E_MISSING', 'cost_review and cost_wrong come together', 'What a review costs, and what an honest referral that is rejected; without both the thresholds decide.'),
      (levels > 1 AND wechat IS NOT NULL, '/terms/levels', 'E_WECHAT_LEVELS', format('channel "%s" is of WeChat, which shuts accounts that pay over more than one level', wechat), 'Set it to 1, or leave the channel out.'),
      (levels > 1 AND NOT EXISTS (SELECT FROM cdp_internal.json_items(rules) x WHERE cdp_internal.json_number(x.item -> 'level') = 2), '/terms/levels', 'W_LEVELS', 'no rule pays the second level', 'Set it to 1, or add a rule of level 2.')
    ) AS v (found, path, code, message, hint) WHERE v.found
  ) f
  ORDER BY split_part(f.path, '/', 2) COLLATE "C" <> 'terms', split_part(f.path, '/', 2) COLLATE "C" DESC, length(split_part(f.path, '/', 3)), f.path COLLATE "C", f.code COLLATE "C", f.message COLLATE "C";
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_terms_findings(jsonb, jsonb, jsonb, text, text[], boolean) IS
'cdp.check_referral_terms() for a currency, channels and with or without a budget.';

CREATE OR REPLACE FUNCTION cdp.check_referral_terms(name text, terms jsonb DEFAULT '{}', rules jsonb DEFAULT '[]', caps jsonb DEFAULT '[]') RETURNS TABLE (path text, code text, severity text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
BEGIN
  SELECT x.currency, x.channels, x.budget_minor IS NOT NULL AS budget INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = cdp_internal.referral_campaign_of(check_referral_terms.name);
  RETURN QUERY SELECT * FROM cdp_internal.referral_terms_findings(check_referral_terms.terms, check_referral_terms.rules, check_referral_terms.caps, c.currency, c.channels, c.budget);
END
$$;
COMMENT ON FUNCTION cdp.check_referral_terms(text, jsonb, jsonb, jsonb) IS
'All that is wrong or doubtful with terms for a referral campaign, at once, nothing is written: path (JSON Pointer into {"terms", "rules", "caps"}), code, severity (error or warning), message, hint with the nearest word. No row: they are sound. The form is told at cdp.set_referral_terms(). Error 42704: no such campaign.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_terms_row(terms jsonb, digits integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres'
AS $$
DECLARE
  t cdp_data.referral_terms;
BEGIN
  t := jsonb_populate_record(NULL::cdp_data.referral_terms, '{"model": "first_valid_click", "click_window": "30 days", "code_first": true, "network_match": false, "levels": 1, "signup_kinds": ["sign_up"],
    "conversion_kinds": ["order", "purchase"], "review_at": 0.5, "reject_at": 0.85, "review_within": "7 days", "on_timeout": "escalate", "weights": {}}' || jsonb_strip_nulls(terms - '{cost_review,cost_wrong}'::text[]));
  t.cost_review_minor := trunc(cdp_internal.json_number(terms -> 'cost_review') * 10::numeric ^ digits);
  t.cost_wrong_minor := trunc(cdp_internal.json_number(terms -> 'cost_wrong') * 10::numeric ^ digits);
  t.signup_kinds := ARRAY(SELECT DISTINCT k COLLATE "C" AS k FROM unnest(t.signup_kinds) k ORDER BY k);
  t.conversion_kinds := ARRAY(SELECT DISTINCT k COLLATE "C" AS k FROM unnest(t.conversion_kinds) k ORDER BY k);
  RETURN to_jsonb(t) - '{referral_campaign_id,terms_version,valid_from,created_at,created_by}'::text[];
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_terms_row(jsonb, integer) IS 'Sound terms in the form that is kept, with defaults and costs in minor units: a row of cdp_data.referral_terms as JSON, without what numbers and dates it.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_rule_rows(rules jsonb, digits integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres'
AS $$
DECLARE
  unit numeric := 10::numeric ^ digits;
BEGIN
  RETURN (
    SELECT coalesce(jsonb_agg(to_jsonb(jsonb_populate_record(NULL::cdp_data.reward_rule, x.doc)) - '{reward_rule_id,referral_campaign_id,terms_version}'::text[] ORDER BY x.doc ->> 'rule' COLLATE "C"), '[]')
    FROM (
      SELECT '{"level": 1, "hold": "14 days", "priority": 100, "exclusive": true, "on_cap": "skip"}'::jsonb || CASE r.item ->> 'shape' WHEN 'tier' THEN '{"tier_mode": "marginal", "tier_of": "referrals"}'::jsonb ELSE '{}' END
        || (r.item - '{currency,amount,min_amount,max,tiers,milestones}'::text[]) || jsonb_strip_nulls(jsonb_build_object(
          'amount_minor', trunc(cdp_internal.json_number(r.item -> 'amount') * unit), 'min_amount_minor', trunc(cdp_internal.json_number(r.item -> 'min_amount') * unit), 'max_minor', trunc(cdp_internal.json_number(r.item -> 'max') * unit),
          'tiers', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('from', CASE r.item ->> 'tier_of' WHEN 'amount' THEN trunc(cdp_internal.json_number(t.item -> 'from') * unit) ELSE trim_scale(cdp_internal.json_number(t.item -> 'from')) END,
              'rate', t.item -> 'rate', 'amount_minor', trunc(cdp_internal.json_number(t.item -> 'amount') * unit))) ORDER BY t.n) FROM cdp_internal.json_items(r.item -> 'tiers') t),
          'milestones', (SELECT jsonb_agg(jsonb_build_object('n', t.item -> 'n', 'amount_minor', trunc(cdp_internal.json_number(t.item -> 'amount') * unit)) ORDER BY t.n) FROM cdp_internal.json_items(r.item -> 'milestones') t))) AS doc
      FROM cdp_internal.json_items(rules) r) x);
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_rule_rows(jsonb, integer) IS 'Sound rules in the form that is kept, by name, with defaults and in minor units: rows of cdp_data.reward_rule as JSON, without their numbers.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_cap_rows(caps jsonb, digits integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT coalesce(jsonb_agg(x.doc ORDER BY x.doc ->> 'per' COLLATE "C", x.doc ->> 'period' COLLATE "C", x.doc ->> 'rule' COLLATE "C" NULLS FIRST, x.doc -> 'amount_minor' <> 'null'), '[]')
    FROM (SELECT jsonb_build_object('per', c.item -> 'per', 'period', coalesce(c.item ->> 'period', 'ever'), 'rule', c.item -> 'rule', 'rewards', c.item -> 'rewards',
        'amount_minor', trunc(cdp_internal.json_number(c.item -> 'amount') * 10::numeric ^ digits)) AS doc
      FROM cdp_internal.json_items(caps) c) x);
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_cap_rows(jsonb, integer) IS 'Sound caps in the form that is kept, in a fixed order and in minor units: rows of cdp_data.reward_cap as JSON, without their numbers.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_terms_kept(campaign integer, version integer, OUT terms jsonb, OUT rules jsonb, OUT caps jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres'
AS $$
BEGIN
  SELECT to_jsonb(t) - '{referral_campaign_id,terms_version,valid_from,created_at,created_by}'::text[] INTO terms FROM cdp_data.referral_terms t WHERE t.referral_campaign_id = campaign AND t.terms_version = version;
  SELECT coalesce(jsonb_agg(to_jsonb(r) - '{reward_rule_id,referral_campaign_id,terms_version}'::text[] ORDER BY r.rule), '[]') INTO rules FROM cdp_data.reward_rule r WHERE r.referral_campaign_id = campaign AND r.terms_version = version;
  SELECT coalesce(jsonb_agg(to_jsonb(c) - '{reward_cap_id,referral_campaign_id,terms_version}'::text[] ORDER BY c.per, c.period, c.rule NULLS FIRST, c.amount_minor IS NOT NULL), '[]') INTO caps
  FROM cdp_data.reward_cap c WHERE c.referral_campaign_id = campaign AND c.terms_version = version;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_terms_kept(integer, integer) IS 'A version of terms in the form that is kept (minor units). All NULL or empty when there is none.';

CREATE OR REPLACE FUNCTION cdp.referral_terms(name text, version integer DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.referral_campaign_of(name);
  digits integer := (SELECT cdp_internal.referral_exponent(c.currency) FROM cdp_data.referral_campaign c WHERE c.referral_campaign_id = id);
  unit numeric := 10::numeric ^ digits;
  k record;
BEGIN
  k := cdp_internal.referral_terms_kept(id, coalesce(version, (SELECT max(t.terms_version) FROM cdp_data.referral_terms t WHERE t.referral_campaign_id = id)));
  IF k.terms IS NULL THEN
    IF version IS NULL THEN
      RETURN NULL;
    END IF;
    RAISE EXCEPTION 'referral campaign "%" has no version % of terms', name, version
      USING ERRCODE = 'undefined_object', DETAIL = format('It has %s.', (SELECT count(*) FROM cdp_data.referral_terms t WHERE t.referral_campaign_id = id)), HINT = 'SELECT terms_version, valid_from FROM cdp_data.referral_terms; lists them.';
  END IF;
  RETURN jsonb_strip_nulls(jsonb_build_object('terms', k.terms - '{cost_review_minor,cost_wrong_minor}'::text[] || jsonb_build_object('cost_review', trim_scale((k.terms ->> 'cost_review_minor')::numeric / unit),
      'cost_wrong', trim_scale((k.terms ->> 'cost_wrong_minor')::numeric / unit)),
    'rules', (SELECT coalesce(jsonb_agg(r.value - '{amount_minor,min_amount_minor,max_minor,tiers,milestones}'::text[] || jsonb_build_object('amount', trim_scale((r.value ->> 'amount_minor')::numeric / unit), 'min_amount', trim_scale((r.value ->> 'min_amount_minor')::numeric / unit),
        'max', trim_scale((r.value ->> 'max_minor')::numeric / unit),
        'tiers', (SELECT jsonb_agg(jsonb_build_object('from', trim_scale((t.value ->> 'from')::numeric / CASE r.value ->> 'tier_of' WHEN 'amount' THEN unit ELSE 1 END), 'rate', t.value -> 'rate', 'amount', trim_scale((t.value ->> 'amount_minor')::numeric / unit)) ORDER BY t.nth)
          FROM jsonb_array_elements(nullif(r.value -> 'tiers', 'null')) WITH ORDINALITY AS t (value, nth)),
        'milestones', (SELECT jsonb_agg(jsonb_build_object('n', t.value -> 'n', 'amount', trim_scale((t.value ->> 'amount_minor')::numeric / unit)) ORDER BY t.nth) FROM jsonb_array_elements(nullif(r.value -> 'milestones', 'null')) WITH ORDINALITY AS t (value, nth))) ORDER BY r.nth), '[]')
      FROM jsonb_array_elements(k.rules) WITH ORDINALITY AS r (value, nth)),
    'caps', (SELECT coalesce(jsonb_agg(c.value - 'amount_minor' || jsonb_build_object('amount', trim_scale((c.value ->> 'amount_minor')::numeric / unit)) ORDER BY c.nth), '[]') FROM jsonb_array_elements(k.caps) WITH ORDINALITY AS c (value, nth))));
END
$$;
COMMENT ON FUNCTION cdp.referral_terms(text, integer) IS
'A version of the terms of a referral campaign (NULL: the last told) as {"terms", "rules", "caps"}, with all defaults, in units of the currency: what cdp.set_referral_terms() takes. NULL when it has none. Error 42704: no such campaign or version.';

CREATE OR REPLACE FUNCTION cdp.set_referral_terms(name text, terms jsonb DEFAULT '{}', rules jsonb DEFAULT '[]', caps jsonb DEFAULT '[]', valid_from timestamptz DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.referral_campaign_of(name);
  c record;
  kept record;
  ran boolean;
  promised integer;
  digits integer;
  errors bigint;
  told text;
  v integer;
  want_terms jsonb;
  want_rules jsonb;
  want_caps jsonb;
  moment timestamptz;
BEGIN
  SELECT x.* INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = id FOR UPDATE;
  IF c.state IN ('ended', 'archived') THEN
    RAISE EXCEPTION 'referral campaign "%" is %', name, c.state USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'It is over.', HINT = 'Make a new campaign for other terms.';
  END IF;
  SELECT count(*), string_agg(format('%s %s: %s.%s', f.path, f.code, f.message, ' ' || f.hint), E'\n') INTO errors, told
  FROM cdp_internal.referral_terms_findings(terms, rules, caps, c.currency, c.channels, c.budget_minor IS NOT NULL) f WHERE f.severity = 'error';
  IF errors > 0 THEN
    RAISE EXCEPTION 'the terms have % error%', errors, CASE WHEN errors > 1 THEN 's' ELSE '' END USING ERRCODE = 'invalid_parameter_value', DETAIL = told, HINT = 'SELECT * FROM cdp.check_referral_terms(...); gives them as rows.';
  END IF;
  digits := cdp_internal.referral_exponent(c.currency);
  want_terms := cdp_internal.referral_terms_row(terms, digits);
  want_rules := cdp_internal.reward_rule_rows(rules, digits);
  want_caps := cdp_internal.reward_cap_rows(caps, digits);
  ran := EXISTS (SELECT FROM cdp_data.referral_campaign_state s WHERE s.referral_campaign_id = id AND s.state = 'active');
  -- As long as it has not run, nothing stands on any terms: the last told take the place of those before them.
  moment := coalesce(valid_from, (SELECT t.valid_from FROM cdp_data.referral_terms t WHERE NOT ran AND t.referral_campaign_id = id AND t.terms_version = cdp_internal.referral_terms_at(id, clock_timestamp())), clock_timestamp());
  v := cdp_internal.referral_terms_at(id, moment);
  kept := cdp_internal.referral_terms_kept(id, v);
  IF NOT isfinite(moment) THEN
    RAISE EXCEPTION 'terms begin at a moment' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('valid_from is %s.', valid_from), HINT = 'Leave valid_from out: they begin now.';
  ELSIF (kept.terms, kept.rules, kept.caps) = (want_terms, want_rules, want_caps) THEN
    RETURN v;
  ELSIF ran AND valid_from < clock_timestamp() THEN
    RAISE EXCEPTION 'terms of a campaign that was active can not begin in the past'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They would begin at %s; decisions were made by version %s.', valid_from, v), HINT = 'Leave valid_from out: they begin now.';
  END IF;
  v := coalesce((SELECT max(t.terms_version) FROM cdp_data.referral_terms t WHERE t.referral_campaign_id = id), 0) + 1;
  INSERT INTO cdp_data.referral_terms SELECT (jsonb_populate_record(NULL::cdp_data.referral_terms, want_terms || jsonb_build_object('referral_campaign_id', id, 'terms_version', v, 'valid_from', moment, 'created_at', now(), 'created_by', session_user))).*;
  INSERT INTO cdp_data.reward_rule (referral_campaign_id, terms_version, rule, side, level, trigger, nth, min_amount_minor, shape, amount_minor, rate, tiers, tier_mode, tier_of, milestones, months, max_minor, hold, hold_review, priority, exclusive, on_cap)
  SELECT id, v, r.rule, r.side, r.level, r.trigger, r.nth, r.min_amount_minor, r.shape, r.amount_minor, r.rate, r.tiers, r.tier_mode, r.tier_of, r.milestones, r.months, r.max_minor, r.hold, r.hold_review, r.priority, r.exclusive, r.on_cap
  FROM jsonb_array_elements(want_rules) WITH ORDINALITY AS a (doc, nth) CROSS JOIN LATERAL jsonb_populate_record(NULL::cdp_data.reward_rule, jsonb_strip_nulls(a.doc)) r ORDER BY a.nth;
  INSERT INTO cdp_data.reward_cap (referral_campaign_id, terms_version, per, period, amount_minor, rewards, rule)
  SELECT id, v, r.per, r.period, r.amount_minor, r.rewards, r.rule FROM jsonb_array_elements(want_caps) WITH ORDINALITY AS a (doc, nth) CROSS JOIN LATERAL jsonb_populate_record(NULL::cdp_data.reward_cap, jsonb_strip_nulls(a.doc)) r ORDER BY a.nth;
  SELECT min(m.referral_material_id) INTO promised FROM cdp_data.referral_material m WHERE m.referral_campaign_id = id AND m.state = 'approved' AND strpos(m.title || ' ' || m.body, '{reward}') > 0;
  IF c.state = 'active' AND promised IS NOT NULL AND NOT cdp_internal.referral_pays_advocates(id) THEN
    RAISE EXCEPTION 'by these terms nothing is paid to advocates, and what goes out to them promises a reward'
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Material %s holds {reward}.', promised), HINT = format('SELECT cdp.retire_referral_material(%s); or keep a rule of the side referrer and level 1.', promised);
  END IF;
  PERFORM cdp_data.audit_write('referral', 'referral campaign ' || name, NULL, jsonb_build_object('op', 'terms', 'referral_campaign_id', id, 'version', v));
  RETURN v;
END
$$;
COMMENT ON FUNCTION cdp.set_referral_terms(text, jsonb, jsonb, jsonb, timestamptz) IS
'Gives a referral campaign its terms, as the next version: SELECT cdp.set_referral_terms(''bring'', ''{"click_window": "30 days"}'', ''[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}, {"rule": "welcome", "side": "referee", "trigger": "first_purchase", "shape": "percent", "rate": 0.1, "max": 20}]'', ''[{"per": "referrer", "period": "month", "rewards": 20}]''). Amounts are in units of the campaign''s currency. Keys of terms: columns of cdp_data.referral_terms; of rules: those of cdp_data.reward_rule with amount, min_amount, max and tiers [{"from", "rate" or "amount"}], milestones [{"n", "amount"}] in units; of caps: per, period, rule, and amount or rewards. cost_review and cost_wrong in units, too. valid_from: events from then on go by them, until terms that begin later do (NULL: now, and what was scheduled for later still begins then; in a campaign that never ran they take the place of those before them). The same valid_from as that of other terms takes their place; in a campaign that was active it may not lie in the past. Returns the version; terms that are in force then anyway change nothing. Versions are never changed. Needs the rights of the tables'' owner. Errors: 22023 with every error in the detail (cdp.check_referral_terms() gives them as rows), or valid_from; 42704 no such campaign; 55000 it is over, or it is active, an approved material holds {reward}, and nothing would be paid to advocates.';
