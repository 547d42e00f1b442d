-- Random lives of a campaign: conversions, refunds in parts and their retraction, decisions and reversals, merges of advocates and of
-- friends, releases, payouts that arrive, fail, come back or are cancelled, expiry, months that are closed. After each step the
-- books are whole; in the end every reward is what plain arithmetic says, and all of it replayed in any order changes nothing.
BEGIN;
SELECT plan(9);
SET LOCAL client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT count(cdp.identify('shop', jsonb_build_object('email', 'u' || i || '@example.org'))) FROM generate_series(1, 40) i;
CREATE TEMP TABLE who AS SELECT substr(split_part(value, '@', 1), 2)::int AS nr, identifier_id, customer_id FROM cdp_data.identifier;
SELECT cdp.create_referral_campaign('c', currency => 'EUR', timezone => 'Europe/Berlin', ends_at => '2099-01-01'), cdp.create_referral_campaign('capped', currency => 'EUR', timezone => 'Europe/Berlin', ends_at => '2099-01-01', budget => 300);
SELECT cdp.set_referral_terms('c', '{}', '[{"rule": "flat", "side": "referrer", "trigger": "every_purchase", "shape": "flat", "amount": 7.77, "hold": "3 days"}, {"rule": "percent", "side": "referee", "trigger": "every_purchase", "shape": "percent", "rate": 0.1237, "hold": "5 days"}]'),
  cdp.set_referral_terms('capped', '{}', '[{"rule": "flat", "side": "referrer", "trigger": "every_purchase", "shape": "flat", "amount": 7, "hold": "3 days", "on_cap": "clamp"}, {"rule": "percent", "side": "referee", "trigger": "every_purchase", "shape": "percent", "rate": 0.5}, {"rule": "m", "side": "referrer", "trigger": "first_purchase", "shape": "milestone", "milestones": [{"n": 2, "amount": 11}, {"n": 4, "amount": 13}]},
    {"rule": "t", "side": "referrer", "trigger": "first_purchase", "shape": "tier", "tier_of": "referrals", "tier_mode": "whole", "exclusive": false, "hold": "6 days", "tiers": [{"from": 0, "amount": 1}, {"from": 2, "amount": 1.5}]}]',
    '[{"per": "referrer", "amount": 40}, {"per": "referee", "rewards": 2}, {"per": "campaign", "period": "day", "amount": 60}]');
SELECT cdp.activate_referral_campaign('c', '2025-01-01'), cdp.activate_referral_campaign('capped', '2025-01-01');
CREATE TEMP TABLE step (kind text, n bigint DEFAULT 0);
CREATE TEMP TABLE broken (at int, what text);
CREATE FUNCTION pg_temp.settle_some(at timestamptz, n int DEFAULT 3) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp_internal.reward_settle(ARRAY(SELECT referral_id FROM cdp_data.referral ORDER BY random() LIMIT n), at) $$;
CREATE FUNCTION pg_temp.life(steps int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  t timestamptz := '2026-01-03';
  what int;
  word text;
  id bigint;
  batch bigint;
BEGIN
  PERFORM setseed(0.7151);
  FOR i IN 1 .. steps LOOP
    t := t + random() * interval '18 hours';
    what := trunc(random() * 100);
    word := NULL;
    id := NULL;
    IF what < 22 THEN
      word := 'conversion';
      INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, eligible_minor, currency)
      SELECT 1, 'c' || i, 'purchase', t - random() * interval '4 days', w.identifier_id, w.customer_id, 1 + trunc(random() * 9999), 'EUR' FROM who w WHERE w.nr > 10 ORDER BY random() LIMIT 1 RETURNING referral_conversion_id INTO id;
      IF NOT EXISTS (SELECT FROM cdp_data.referral_conversion c JOIN cdp_data.referral r ON cdp_internal.root_of(r.referee_id) = cdp_internal.root_of(c.customer_id) WHERE c.referral_conversion_id = id AND r.state IN ('pending', 'approved', 'review', 'rejected')) THEN
        INSERT INTO cdp_data.referral (campaign_group, referral_campaign_id, terms_version, referrer_id, referee_id, method, first_conversion_id, attributed_at, state)
        SELECT 'g', 1 + c.customer_id % 2, 1, w.customer_id, c.customer_id, 'code', id, t, (ARRAY['approved', 'approved', 'pending', 'review'])[1 + trunc(random() * 4)::int] FROM cdp_data.referral_conversion c, who w WHERE c.referral_conversion_id = id AND w.nr <= 10 ORDER BY random() LIMIT 1;
      END IF;
      SELECT max(r.referral_id) INTO id FROM cdp_data.referral_conversion c JOIN cdp_data.referral r ON cdp_internal.root_of(r.referee_id) = cdp_internal.root_of(c.customer_id) WHERE c.referral_conversion_id = id;
    ELSIF what < 38 THEN
      word := 'refund';
      INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id)
      SELECT 1, 'f' || i, c.referral_conversion_id, t, greatest(1, trunc(c.eligible_minor * random() * 0.7)), c.customer_id FROM cdp_data.referral_conversion c ORDER BY random() LIMIT 1;
    ELSIF what < 43 THEN
      word := 'refund retracted';
      UPDATE cdp_data.referral_refund SET retracted_at = CASE WHEN retracted_at IS NULL THEN t END WHERE referral_refund_id = (SELECT referral_refund_id FROM cdp_data.referral_refund ORDER BY random() LIMIT 1);
    ELSIF what < 47 THEN
      word := 'conversion retracted';
      UPDATE cdp_data.referral_conversion SET retracted_at = CASE WHEN retracted_at IS NULL THEN t END WHERE referral_conversion_id = (SELECT referral_conversion_id FROM cdp_data.referral_conversion WHERE retracted_at IS NOT NULL OR random() < 0.3 ORDER BY random() LIMIT 1);
    ELSIF what < 59 THEN
      word := 'decision';
      UPDATE cdp_data.referral SET state = (ARRAY['approved', 'approved', 'review', 'rejected', 'ineligible', 'duplicate'])[1 + trunc(random() * 6)::int] WHERE referral_id = (SELECT referral_id FROM cdp_data.referral ORDER BY random() LIMIT 1) AND state NOT IN ('duplicate', 'ineligible') RETURNING referral_id INTO id;
    ELSIF what < 64 AND i > steps / 4 THEN
      word := 'merge';
      PERFORM cdp.alias('shop', jsonb_build_object('email', format('u%s@example.org', a)), jsonb_build_object('email', format('u%s@example.org', b))) FROM (SELECT CASE WHEN what < 61 THEN 1 + trunc(random() * 10)::int ELSE 11 + trunc(random() * 30)::int END AS a, CASE WHEN what < 61 THEN 1 + trunc(random() * 10)::int ELSE 11 + trunc(random() * 30)::int END AS b OFFSET 0) x WHERE a <> b;
    ELSIF what < 74 THEN
      word := 'release';
      PERFORM cdp.release_rewards(t);
    ELSIF what < 81 THEN
      word := 'claim';
      PERFORM cdp.claim_payouts('bank', 'EUR', max_payouts => 1 + trunc(random() * 5)::int, as_of => t);
    ELSIF what < 88 THEN
      word := 'send';
      SELECT b.payout_batch_id INTO batch FROM cdp_data.payout_batch b WHERE b.sent_at IS NULL ORDER BY random() LIMIT 1;
      IF FOUND THEN
        UPDATE cdp_data.payout_batch SET claimed_by = 'another', claimed_role = 'another' WHERE payout_batch_id = batch;
        PERFORM cdp.approve_payout_batch(batch, t) FROM cdp_data.payout_batch b WHERE b.payout_batch_id = batch AND b.approved_at IS NULL;
        PERFORM cdp.send_payout_batch(batch, as_of => t);
      END IF;
    ELSIF what < 92 THEN
      word := 'confirm';
      PERFORM cdp.confirm_payout(p.payout_id, 'B' || p.payout_id, trunc(random() * 3)::numeric / 100, t) FROM (SELECT payout_id FROM cdp_data.payout WHERE state = 'sent' ORDER BY random() LIMIT 2) p;
    ELSIF what < 94 THEN
      word := 'fail';
      PERFORM cdp.fail_payout(p.payout_id, 'account closed', t) FROM (SELECT payout_id FROM cdp_data.payout WHERE state IN ('sent', 'confirmed', 'claimed', 'approved') ORDER BY random() LIMIT 1) p;
    ELSIF what < 97 THEN
      word := 'expire';
      UPDATE cdp_data.setting SET reward_expiry = '20 days';
      PERFORM cdp.expire_rewards(t);
    ELSE
      word := 'close';
      PERFORM cdp.close_ledger_month((date_trunc('month', t) - interval '1 day')::date, t);
    END IF;
    IF what < 64 THEN
      PERFORM cdp_internal.reward_settle(ARRAY[id], t) WHERE id IS NOT NULL;
      PERFORM pg_temp.settle_some(t, 5);
    END IF;
    INSERT INTO step SELECT word WHERE word IS NOT NULL;
    IF i % 25 = 0 THEN
      INSERT INTO broken SELECT i, v.problem || ' ' || v.subject || ' ' || v.detail FROM cdp.ledger_verify() v LIMIT 3;
    END IF;
  END LOOP;
  PERFORM cdp_internal.reward_settle(ARRAY(SELECT referral_id FROM cdp_data.referral), t);
  PERFORM set_config('my.now', t::text, true);
  RETURN (SELECT count(*) FROM broken);
END $$;
SELECT is(pg_temp.life(250), 0, 'the books are whole all the time');
SELECT is((SELECT string_agg(b::text, E'\n') FROM (SELECT * FROM broken LIMIT 5) b), NULL, 'with nothing to tell');
SELECT is_empty('SELECT * FROM cdp.ledger_verify()', 'nor at the end');
SELECT is((SELECT string_agg(kind, ', ' ORDER BY kind) FROM (SELECT kind FROM step GROUP BY 1 HAVING count(*) >= 3) x), 'claim, close, confirm, conversion, conversion retracted, decision, expire, fail, merge, refund, refund retracted, release, send', 'everything happened');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.merge_log WHERE kind = 'merge'), '>', 3::bigint, 'people became one');
-- What plain arithmetic says of the campaign without caps: of each purchase of an approved or waiting friend from his first on.
CREATE TEMP VIEW fact AS
SELECT r.referral_id, c.referral_conversion_id, c.eligible_minor AS eligible, least(c.eligible_minor, coalesce((SELECT sum(f.amount_minor) FROM cdp_data.referral_refund f WHERE f.referral_conversion_id = c.referral_conversion_id AND f.retracted_at IS NULL), 0)) AS refunded
FROM cdp_data.referral r JOIN cdp_data.referral_conversion x ON x.referral_conversion_id = r.first_conversion_id
  JOIN cdp_data.referral_conversion c ON cdp_internal.root_of(c.customer_id) = cdp_internal.root_of(r.referee_id) AND (c.occurred_at, c.referral_conversion_id) >= (x.occurred_at, x.referral_conversion_id)
WHERE r.referral_campaign_id = 1 AND r.state IN ('approved', 'pending', 'review') AND c.retracted_at IS NULL AND c.occurred_at <= current_setting('my.now')::timestamptz;
CREATE TEMP VIEW right_net AS
SELECT f.referral_conversion_id, s.side, max(s.amount - cdp_internal.round_half_even(s.amount::numeric * f.refunded / f.eligible)) AS net
FROM fact f CROSS JOIN LATERAL (VALUES ('referrer', 777::bigint), ('referee', cdp_internal.round_half_even(f.eligible * 0.1237))) s (side, amount) GROUP BY 1, 2 HAVING max(s.amount - cdp_internal.round_half_even(s.amount::numeric * f.refunded / f.eligible)) > 0;
SELECT results_eq('SELECT referral_conversion_id, side, sum(amount_minor - clawed_minor)::bigint FROM cdp_data.reward WHERE referral_campaign_id = 1 GROUP BY 1, 2 HAVING sum(amount_minor - clawed_minor) > 0 ORDER BY 1, 2', 'SELECT referral_conversion_id, side COLLATE "C", net FROM right_net ORDER BY 1, 2', 'each reward is what is right, to the cent');
SELECT is((SELECT balance_minor FROM cdp_data.ledger_account WHERE kind = 'budget' AND referral_campaign_id = 1), (SELECT sum(net)::bigint FROM right_net), 'and so is what the campaign cost');
-- Again, one by one in another order, twice: nothing changes.
CREATE FUNCTION pg_temp.books() RETURNS text LANGUAGE sql AS $$ SELECT md5(string_agg(w::text, ',' ORDER BY w.reward_id)) || (SELECT md5(string_agg(a::text, ',' ORDER BY a.ledger_account_id)) FROM cdp_data.ledger_account a) || (SELECT count(*) FROM cdp_data.ledger_posting) || (SELECT md5(string_agg(c::text, ',' ORDER BY c.counter_key)) FROM cdp_data.reward_counter c) FROM cdp_data.reward w $$;
SELECT pg_temp.books() AS books \gset
SELECT is((SELECT sum(cdp_internal.reward_settle(ARRAY[x.referral_id], current_setting('my.now')::timestamptz)) FROM (SELECT r.referral_id FROM cdp_data.referral r, generate_series(1, 2) ORDER BY random()) x), 0::numeric, 'replayed twice in any order, nothing changes');
SELECT is(pg_temp.books(), :'books', 'nothing at all');
SELECT * FROM finish();
ROLLBACK;
