-- Referral room, programme: a campaign tries itself: a test code, a click, a purchase, a refund, by the calls that everybody uses. All of
-- it is marked as a test, which is never rewarded and in no report, and is taken back at the end: nothing is left but a line in the audit.

CREATE OR REPLACE FUNCTION cdp_internal.referral_reported(campaign integer, people bigint[]) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  -- By what reports count from. Others write meanwhile: sums of before and after would differ without any fault.
  RETURN (
    SELECT string_agg(v.what, ', ') FROM (VALUES
      ('advocates', EXISTS (SELECT FROM cdp_internal.referral_members(campaign, 'infinity', NULL, '1 day', cdp_internal.referral_book(campaign, 'infinity', NULL)) m WHERE m.root = ANY (people))),
      ('clicks', EXISTS (SELECT FROM cdp_internal.referral_clicks(campaign, 'infinity') k WHERE k.root = ANY (people))),
      ('referrals', EXISTS (SELECT FROM cdp_internal.referral_brought(campaign, 'infinity') b WHERE b.referrer = ANY (people) OR b.referee = ANY (people))),
      ('rewards', EXISTS (SELECT FROM cdp_internal.referral_rewards(campaign, 'infinity') w WHERE w.root = ANY (people))),
      ('touchpoints', EXISTS (SELECT FROM cdp_data.touchpoint t WHERE t.customer_id = ANY (people) AND t.flags & 3 = 0))) AS v (what, found) WHERE v.found);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_reported(integer, bigint[]) IS 'In which figures of a campaign''s reports (or as touchpoints that are neither of bots nor internal) these customers are; NULL: in none. A test must be in none.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_as_active(campaign integer) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
BEGIN
  SELECT x.name, x.state INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = campaign;
  UPDATE cdp_data.referral_campaign x SET starts_at = NULL WHERE x.referral_campaign_id = campaign AND x.starts_at > now() - interval '1 hour';
  IF c.state IN ('draft', 'paused') THEN
    PERFORM cdp_internal.referral_become(c.name, CASE c.state WHEN 'draft' THEN 'activate' ELSE 'resume' END);
  END IF;
  INSERT INTO cdp_data.referral_campaign_state (referral_campaign_id, from_at, state) VALUES (campaign, now() - interval '1 hour', 'active') ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_as_active(integer) IS 'Makes a campaign one that has been active for an hour and is now: for cdp.referral_selftest(), which takes it back.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_try(campaign integer, value numeric, step text, INOUT s jsonb, OUT ok boolean, OUT detail text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  src constant text := 'referral self-test';
  run text := s ->> 'run';
  code text := s ->> 'code';
  friend jsonb := jsonb_build_object('cookie', 'referral-selftest-friend-' || run);
  people bigint[] := ARRAY[s ->> 'advocate', s ->> 'friend'];
  clicked timestamptz := now() - interval '40 minutes';
  c record;
  k record;
  x record;
BEGIN
  SELECT r.* INTO c FROM cdp_data.referral_campaign r WHERE r.referral_campaign_id = campaign;
  k := cdp_internal.referral_terms_kept(campaign, cdp_internal.referral_terms_at(campaign, now()));
  CASE step
    WHEN 'campaign' THEN
      PERFORM cdp_internal.referral_as_active(campaign);
      ok := cdp_internal.referral_active_at(campaign, clicked) AND cdp_internal.referral_active_at(campaign, clock_timestamp());
      detail := CASE c.state WHEN 'active' THEN 'it is active' ELSE format('it is %s, and could be active', c.state) END;
    WHEN 'code' THEN
      IF NOT EXISTS (SELECT FROM cdp_data.source y WHERE y.name = src) THEN
        PERFORM cdp.add_source(src);
      END IF;
      PERFORM cdp.identify(src, jsonb_build_object('cookie', 'referral-selftest-advocate-' || run));
      s := s || jsonb_build_object('advocate', cdp.customer_of('cookie', 'referral-selftest-advocate-' || run));
      code := cdp.issue_referral_code(c.name, (s ->> 'advocate')::bigint, is_test => true, issued_at => clicked);
      s := s || jsonb_build_object('code', code);
      ok := (cdp.referral_code_check(code)).valid AND (c.link_template = '' OR strpos(cdp.referral_link(code), cdp_internal.referral_code_fold(code)) > 0);
      detail := format('a test code was issued, its check digit is right%s', CASE WHEN c.link_template <> '' THEN ', the link leads to it' ELSE '' END);
    WHEN 'wrong code' THEN
      x := cdp.referral_click(src, run || ' wrong', overlay(code PLACING CASE left(code, 1) WHEN '2' THEN '3' ELSE '2' END FROM 1 FOR 1), clicked, friend);
      ok := x.result <> 'recorded';
      detail := format('a code with one sign off: %s', replace(x.result, '_', ' '));
    WHEN 'click' THEN
      x := cdp.referral_click(src, run || ' click', code, clicked, friend);
      ok := x.result = 'recorded' AND (cdp.referral_click(src, run || ' click', code, clicked, friend)).result = 'repeated'
        AND EXISTS (SELECT FROM cdp_data.referral_click y WHERE y.referral_click_id = x.referral_click_id AND y.is_test AND y.referral_campaign_id = campaign);
      detail := format('a click on it was %s, told again it is not another one', x.result);
    WHEN 'purchase' THEN
      x := cdp.referral_convert(src, run || ' order', (k.terms -> 'conversion_kinds') ->> 0, now(), friend, value, c.currency, is_test => true);
      s := s || jsonb_build_object('referral', x.referral_id, 'friend', cdp.customer_of('cookie', friend ->> 'cookie'));
      ok := x.result = 'recorded' AND x.state NOT IN ('ineligible', 'duplicate', 'rejected') AND EXISTS (SELECT FROM cdp_data.referral y WHERE y.referral_id = x.referral_id AND y.is_test AND y.referrer_id = (s ->> 'advocate')::bigint);
      detail := format('a purchase of %s %s by the friend: referral %s', value, c.currency, concat_ws(', ', coalesce(x.state, 'none'), x.reason));
    WHEN 'refund' THEN
      x := cdp.referral_refund(src, run || ' refund', run || ' order', value);
      ok := x.result = 'recorded' AND x.referral_id IS NOT DISTINCT FROM (s ->> 'referral')::bigint;
      detail := format('its refund was %s', x.result);
    WHEN 'never paid' THEN
      ok := NOT EXISTS (SELECT FROM cdp_data.reward y WHERE y.referral_id = (s ->> 'referral')::bigint OR y.customer_id = ANY (people)) AND NOT EXISTS (SELECT FROM cdp_data.ledger_account a WHERE a.customer_id = ANY (people));
      detail := format('a test earns nothing%s', CASE WHEN NOT ok THEN ': something was posted for it' END);
    WHEN 'in no report' THEN
      detail := cdp_internal.referral_reported(campaign, people);
      ok := detail IS NULL;
      detail := CASE WHEN ok THEN 'no figure of a report counts it' ELSE format('it is counted in %s', detail) END;
    ELSE
      ok := true;
      detail := 'a real first purchase like it would earn ' || coalesce((
        SELECT string_agg(format('%s for the %s (%s)', cdp_internal.money_text(a.amount_minor, c.currency), a.side, a.rule), ', ' ORDER BY a.side DESC, a.rule)
        FROM cdp_internal.reward_amounts(k.rules, c.timezone, c.currency, jsonb_build_array(jsonb_build_object('referral', 1, 'conversion', 1, 'referrer', 1, 'referee', 2, 'kind', 'purchase', 'at', now(), 'eligible', cdp_internal.minor_units(value, c.currency, 'value'), 'currency', c.currency))) a), 'nothing');
  END CASE;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_try(integer, numeric, text, jsonb) IS
'One step of cdp.referral_selftest(), which takes back what it writes. s: what the steps before it found; whether it is as it should be, and words about it.';

CREATE OR REPLACE FUNCTION cdp.referral_selftest(name text, value numeric DEFAULT 100) RETURNS TABLE (step text, ok boolean, detail text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  id integer := cdp_internal.referral_campaign_of(name);
  c record;
  r record;
  s jsonb := jsonb_build_object('run', gen_random_uuid());
  steps text[] := '{}';
  oks boolean[] := '{}';
  details text[] := '{}';
  word text;
  told text;
BEGIN
  SELECT x.state, x.currency INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = id FOR UPDATE;
  IF c.state IN ('ended', 'archived') THEN
    RAISE EXCEPTION 'referral campaign "%" is %', name, c.state USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'There is nothing left to try.';
  END IF;
  PERFORM cdp_internal.minor_units(coalesce(referral_selftest.value, 0), c.currency, 'value of the purchase');
  BEGIN
    FOREACH word IN ARRAY '{campaign,code,wrong code,click,purchase,refund,never paid,in no report,reward}'::text[] LOOP
      r := cdp_internal.referral_try(id, referral_selftest.value, word, s);
      s := r.s;
      steps := steps || word;
      oks := oks || coalesce(r.ok, false);
      details := details || r.detail;
    END LOOP;
    RAISE EXCEPTION 'taken back' USING ERRCODE = 'ZP001';
  EXCEPTION WHEN SQLSTATE 'ZP001' THEN
    NULL; -- variables keep what was found; the tables do not
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS told = MESSAGE_TEXT;
    steps := steps || word;
    oks := oks || false;
    details := details || format('it stopped here: %s (%s)', told, SQLSTATE);
  END;
  PERFORM cdp_data.audit_write('referral', 'referral campaign ' || name, NULL, jsonb_build_object('op', 'selftest', 'referral_campaign_id', id, 'ok', true = ALL (oks)));
  RETURN QUERY SELECT u.step, u.ok, u.detail FROM unnest(steps, oks, details) AS u (step, ok, detail);
END
$$;
COMMENT ON FUNCTION cdp.referral_selftest(text, numeric) IS
'A referral campaign tries itself: SELECT * FROM cdp.referral_selftest(''bring'', 100). By the calls that everybody uses, marked as tests: a code with its check digit and link, a code with one sign off, a click told twice, a purchase of that value by a new person, its refund, that nothing is paid and no figure of a report counts it; and what such a purchase would really earn. A row for each step: whether it is as it should be, and what was found; an error ends it at its step. A draft is tried as if it were activated, a paused one as if it went on. All of it is taken back, but for a line in the audit. Needs the rights of the tables'' owner. Errors: 42704 no such campaign, 55000 it is over, 22023 value.';
