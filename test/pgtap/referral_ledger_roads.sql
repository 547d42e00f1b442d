-- Rewards by the roads that users take: clocks that run ahead, decisions of an earlier moment.
BEGIN;
SELECT plan(9);
SET LOCAL client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT count(cdp.identify('shop', jsonb_build_object('email', v || '@example.org'), '{}', '2026-01-20')) FROM unnest('{anna,ben,carl}'::text[]) v;
CREATE FUNCTION pg_temp.c(who text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('email', who || '@example.org') $$;
CREATE FUNCTION pg_temp.campaign(name text, rules jsonb, caps jsonb DEFAULT '[]', terms jsonb DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM cdp.create_referral_campaign(name, currency => 'EUR', timezone => 'Europe/Berlin', campaign_group => name), cdp.set_referral_terms(name, terms, rules, caps, valid_from => '2026-01-01'), cdp.activate_referral_campaign(name, '2026-01-01'),
    cdp.issue_referral_code(name, pg_temp.c('anna'), 'annas-' || name, issued_at => '2026-01-02');
END $$;
CREATE FUNCTION pg_temp.rewards(name text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(format('%s %s %s%s %s', v.source_key, left(w.side, 6), w.amount_minor, CASE WHEN w.clawed_minor > 0 THEN '-' || w.clawed_minor END, w.state), ', ' ORDER BY v.source_key, w.side DESC, w.reward_id), 'none')
  FROM cdp_data.reward w JOIN cdp_data.referral_conversion v USING (referral_conversion_id) JOIN cdp_data.referral_campaign g USING (referral_campaign_id) WHERE g.name = $1 $$;

-- The shop's clock runs ahead of ours.
SELECT pg_temp.campaign('ahead', '[{"rule": "friend", "side": "referrer", "trigger": "every_purchase", "shape": "percent", "rate": 0.1}]');
SELECT is((SELECT result || ' ' || state FROM cdp.referral_convert('shop', 'a1', 'purchase', now() + interval '5 minutes', '{"email": "ben@example.org"}', 100, 'EUR', code => 'annas-ahead')), 'recorded approved', 'a purchase that another clock dates ahead');
SELECT is(pg_temp.rewards('ahead'), 'a1 referr 1000 held', 'is rewarded at once: nothing would look at it later');
SELECT cdp.referral_refund('shop', 'f1', 'a1', 40, now() + interval '6 minutes');
SELECT is(pg_temp.rewards('ahead'), 'a1 referr 1000-400 held', 'and its refund');
SELECT rows_read, recorded, quarantined FROM cdp.load_referral_conversions('shop', jsonb_build_array(jsonb_build_object('source_key', 'a2', 'occurred_at', now() + interval '7 minutes', 'kind', 'purchase', 'value', 20, 'currency', 'EUR', 'identifiers', '{"email": "ben@example.org"}'::jsonb))) \g /dev/null
SELECT is(pg_temp.rewards('ahead'), 'a1 referr 1000-400 held, a2 referr 200 held', 'in a batch, too');
SELECT cdp.track('shop', 'purchase', '{"email": "ben@example.org"}', occurred_at => now() + interval '8 minutes', message_id => 'a3', value => 30, currency => 'EUR') \g /dev/null
SELECT taken FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.rewards('ahead'), 'a1 referr 1000-400 held, a2 referr 200 held, a3 referr 300 held', 'or by the job');
SELECT is((SELECT count(*) FROM cdp_data.ledger_posting WHERE occurred_at > clock_timestamp()), 0::bigint, 'the books are dated by our clock');
-- An earlier moment than that of the last decision.
SELECT is(cdp_internal.reward_settle(ARRAY(SELECT referral_id FROM cdp_data.referral), now() - interval '1 hour'), 0::bigint, 'as of an hour ago nothing is taken back');
SELECT is(pg_temp.rewards('ahead'), 'a1 referr 1000-400 held, a2 referr 200 held, a3 referr 300 held', 'all stays');

SELECT is_empty('SELECT * FROM cdp.ledger_verify()', 'the books are whole');
SELECT * FROM finish();
ROLLBACK;
