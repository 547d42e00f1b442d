-- Referral room, report: all of it, for people.

CREATE OR REPLACE FUNCTION cdp_internal.referral_report_rows(campaign text, as_of timestamptz, margin double precision, other_cost numeric, within interval, confidence double precision)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  id integer := cdp_internal.referral_campaign_of(campaign);
  at timestamptz := coalesce(as_of, now());
  gate bytea;
  book record;
  rewards record;
  people record;
  money record;
BEGIN
  PERFORM cdp_internal.require_confidence(confidence);
  IF NOT coalesce(isfinite(at), false) THEN
    RAISE EXCEPTION 'as_of is a moment' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', at);
  ELSIF margin IS NOT NULL AND NOT (margin >= 0 AND margin <= 1) THEN
    RAISE EXCEPTION 'a margin is a part of revenue, from 0 to 1' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', margin), HINT = 'Such as 0.3.';
  ELSIF NOT coalesce(other_cost >= 0 AND other_cost < 1e15, false) THEN
    RAISE EXCEPTION 'other_cost must not be below 0' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(other_cost::text, 'NULL'));
  ELSIF NOT coalesce(within > '0'::interval AND within <= '10 years'::interval, false) THEN
    RAISE EXCEPTION 'within must be a span above 0, at most 10 years' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(within::text, 'NULL')), HINT = 'Such as 30 days.';
  END IF;
  gate := cdp_internal.consent_gate('analytics', '');
  IF gate IS NOT NULL THEN
    RAISE NOTICE 'customers without consent to analytics are left out, but of sums of money';
  END IF;
  -- Each table is read once.
  book := cdp_internal.referral_book(id, at, gate);
  rewards := cdp_internal.referral_reward_book(id, at);
  people := cdp_internal.referral_census(id, at, gate, within, book, cdp_internal.referral_paid(id, at));
  SELECT c.currency AS unit, cdp_internal.referral_exponent(c.currency) AS digits, (SELECT cdp_internal.referral_exponent(o.currency) FROM cdp_data.setting o) AS other_digits INTO money FROM cdp_data.referral_campaign c WHERE c.referral_campaign_id = id;
  RETURN QUERY
  SELECT r.section, r.metric, CASE WHEN x.is_money THEN round(r.value, x.digits) ELSE r.value END, r.unit, CASE WHEN scale(r.numerator) > 0 THEN round(r.numerator, x.digits) ELSE r.numerator END, CASE WHEN scale(r.denominator) > 0 THEN round(r.denominator, x.digits) ELSE r.denominator END,
    r.denominator_name, CASE WHEN x.is_money THEN round(r.low, x.digits) ELSE r.low END, CASE WHEN x.is_money THEN round(r.high, x.digits) ELSE r.high END, r.n, r.note
  FROM (
    SELECT * FROM cdp_internal.referral_report_rates(people, confidence)
    UNION ALL SELECT * FROM cdp_internal.referral_report_growth(people, book, within, confidence)
    UNION ALL SELECT * FROM cdp_internal.referral_report_money(id, at, margin, other_cost, confidence, book, rewards)
    UNION ALL SELECT * FROM cdp_internal.referral_report_rewards(id, at, gate, confidence, rewards)
    UNION ALL SELECT * FROM cdp_internal.referral_report_fraud(id, at, gate, confidence, book)
    UNION ALL SELECT * FROM cdp_internal.referral_report_tracking(id, at, gate, confidence, book, people.sharers)) r
    -- Money in the digits of its currency: 12.50 CNY, 12.50 CNY per new customer.
    CROSS JOIN LATERAL (SELECT r.unit = money.unit OR r.unit LIKE '% per new customer' AS is_money, CASE WHEN r.metric = 'cac_other' THEN money.other_digits ELSE money.digits END AS digits) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_report_rows(text, timestamptz, double precision, numeric, interval, double precision) IS
'What cdp.referral_report() shows.';

CREATE OR REPLACE FUNCTION cdp.referral_report(campaign text, as_of timestamptz DEFAULT NULL, margin double precision DEFAULT NULL, other_cost numeric DEFAULT 0, within interval DEFAULT '30 days', confidence double precision DEFAULT 0.95)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY SELECT * FROM cdp_data.referral_report(campaign, as_of, margin, other_cost, within, confidence);
END
$$;
COMMENT ON FUNCTION cdp.referral_report(text, timestamptz, double precision, numeric, interval, double precision) IS
'The report of a referral campaign, as known at as_of (NULL: now): a row for each figure. section and metric name it; value with its unit; numerator, denominator and denominator_name: what was divided by what; low to high its interval (95 % unless confidence says otherwise: Wilson for shares, a seeded bootstrap over customers or referrals for ratios, log-log limits of Kaplan and Meier for times); n: how many people or things it stands on; note: how it is meant, or why there is no value: "insufficient data: ..." names what is missing, "hidden" that it is about fewer people than cdp_data.setting.minimum_audience, or would tell a figure that is. Sections: funnel (reached, enrolled, shared, clicked, signed_up, converted, approved, paid), rates, growth (K factor of cohorts whose span within is over, amplification 1 / (1 - K), cycle time, generations), money (revenue, cost, gross, net and incremental ROI, cost of a new customer; margin: part of revenue; other_cost: what no ledger knows, in units of the currency), rewards (days until available and paid, liability by age), fraud, tracking, goal. Events (refunds and payments, too) count up to as_of; states of referrals, and who is one with whom, are those of now. Tests count nowhere. Customers without consent to analytics are left out of all but sums of money. Money is in the campaign''s currency; other currencies are in no sum. Writes nothing. Roles admin, analyst, marketer and finance may ask. Errors: 42704 no such campaign; 22023 margin, other_cost, within, confidence or as_of out of range; 42501 a role that is kept to some sources.';
