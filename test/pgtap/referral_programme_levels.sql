-- The second level of referrals when people decide: whoever brought the advocate gets his part when a referral of the first level is
-- approved by hand, whichever of the two it is, and loses it when one of them turns out to be fraud; an appeal brings it back. Every
-- step settles in the call that decides.
SELECT plan(15);
SET client_min_messages = warning;
SELECT cdp.add_source('shop', 'UTC') \g /dev/null
SELECT cdp.create_referral_campaign('two', currency => 'EUR', timezone => 'UTC', ends_at => '2099-01-01', budget => 10000) \g /dev/null
SELECT cdp.set_referral_terms('two', '{"levels": 2}', '[{"rule": "first", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}, {"rule": "second", "side": "referrer", "level": 2, "trigger": "first_purchase", "shape": "percent", "rate": 0.25}]') \g /dev/null
SELECT cdp.activate_referral_campaign('two', '2026-01-01') \g /dev/null
SELECT cdp.identify('shop', '{"user_id": "anna", "email": "anna@people.example"}') \g /dev/null
CREATE FUNCTION pg_temp.who(u text) RETURNS bigint LANGUAGE sql RETURN cdp.customer_of('user_id', u);
-- Somebody buys by the code of another one, with an e-mail address; then he has a code himself. Returns the referral.
CREATE FUNCTION pg_temp.buy(by_whom text, who text, domain text, at timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE r bigint;
BEGIN
  PERFORM cdp.issue_referral_code('two', pg_temp.who(by_whom), by_whom || '-brings', issued_at => '2026-01-02');
  r := (cdp.referral_convert('shop', 'order of ' || who, 'purchase', at, jsonb_build_object('user_id', who, 'email', who || '@' || domain), 50, 'EUR', code => by_whom || '-brings')).referral_id;
  RETURN r;
END $$;
-- Levels, whose (by the address), state; and what is owed to each, with what waits for a decision.
CREATE FUNCTION pg_temp.referrals() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s>%s %s %s', split_part(a.value, '@', 1), split_part(b.value, '@', 1), r.level, concat_ws(' ', r.state, CASE WHEN r.state NOT IN ('approved', 'review', 'rejected') THEN r.reason END)), ', ' ORDER BY r.level, b.value, r.referral_id)
  FROM cdp_data.referral r JOIN cdp_data.identifier a ON a.customer_id = r.referrer_id AND a.type_id = 2 JOIN cdp_data.identifier b ON b.customer_id = r.referee_id AND b.type_id = 2 $$;
CREATE FUNCTION pg_temp.owed() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(x.t, ', ' ORDER BY x.t) FROM (SELECT format('%s %s %s', split_part(i.value, '@', 1), CASE w.state WHEN 'reserved' THEN 'maybe' ELSE 'gets' END, sum(w.amount_minor - w.clawed_minor)) AS t
    FROM cdp_data.reward w JOIN cdp_data.identifier i ON i.customer_id = w.customer_id AND i.type_id = 2 WHERE w.state IN ('reserved', 'held') GROUP BY i.value, w.state = 'reserved', CASE w.state WHEN 'reserved' THEN 'maybe' ELSE 'gets' END) x $$;

-- Anna brought Bert, who is doubtful; he brought Carl.
SELECT pg_temp.buy('anna', 'bert', 'mailinator.com', '2026-02-01') AS bert, pg_temp.buy('bert', 'carl', 'people.example', '2026-02-02') AS carl \gset
SELECT is(pg_temp.referrals(), 'anna>bert 1 review, bert>carl 1 approved', 'whoever brought the advocate has no part while his own referral waits');
SELECT is(pg_temp.owed(), 'anna maybe 1000, bert gets 1000', 'nor is anything owed for it');
SELECT is(cdp.decide_review(:bert, 'approve'), 'approved', 'it is approved by hand');
SELECT is(pg_temp.referrals(), 'anna>bert 1 approved, bert>carl 1 approved, anna>carl 2 approved', 'the second level is there');
SELECT is(pg_temp.owed(), 'anna gets 1250, bert gets 1000', 'and is owed, a quarter of the first');
-- Carl brought Dora, who is doubtful.
SELECT pg_temp.buy('carl', 'dora', 'mailinator.com', '2026-02-03') AS dora \gset
SELECT is(pg_temp.referrals(), 'anna>bert 1 approved, bert>carl 1 approved, carl>dora 1 review, anna>carl 2 approved, bert>dora 2 review', 'the second level waits with the first');
SELECT is(pg_temp.owed(), 'anna gets 1250, bert gets 1000, bert maybe 250, carl maybe 1000', 'so does what is owed for both');
SELECT is(cdp.decide_review(:dora, 'reject'), 'rejected', 'it is rejected by hand');
SELECT is(pg_temp.referrals() || '; ' || pg_temp.owed(), 'anna>bert 1 approved, bert>carl 1 approved, carl>dora 1 rejected, anna>carl 2 approved, bert>dora 2 rejected; anna gets 1250, bert gets 1000', 'both levels are');
SELECT cdp.appeal('she is real', :dora) AS appeal \gset
SELECT cdp.decide_appeal(:appeal, 'overturn', 'she is') \g /dev/null
SELECT is(pg_temp.owed(), 'anna gets 1250, bert gets 1250, carl gets 1000', 'an appeal brings both back');
-- Bert turns out to be a fraud: what Anna had of him and of Carl goes; what he brought stays.
SELECT is(cdp.confirm_fraud(:bert), 'rejected', 'fraud is found later');
SELECT is(pg_temp.referrals(), 'anna>bert 1 rejected, bert>carl 1 approved, carl>dora 1 approved, anna>carl 2 ineligible no_evidence, bert>dora 2 approved', 'who brought him has no part in what he brings');
SELECT is(pg_temp.owed(), 'bert gets 1250, carl gets 1000', 'and is owed nothing');
SELECT is((SELECT decided FROM cdp.referral_tick()), 0::bigint, 'the job finds nothing left to do');
SELECT is_empty('SELECT * FROM cdp.ledger_verify()', 'the ledger balances');
SELECT * FROM finish();
