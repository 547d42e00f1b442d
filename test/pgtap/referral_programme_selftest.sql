-- A referral campaign tries itself: every step as it should be in a draft, an active and a paused campaign; nothing of it is left but a
-- line in the audit; what is broken is told at its step.
SELECT plan(24);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT cdp.track('shop', 'purchase', '{"user_id": "u1"}', '{}', '2026-03-01', 'k1', 50);
SELECT cdp.create_referral_campaign('bring', channels => '{email}', link_template => 'https://shop.example/r/{code}', ends_at => '2099-01-01', budget => 500, starts_at => '2098-01-01');
CREATE VIEW public.rows AS SELECT (SELECT count(*) FROM cdp_data.customer) AS customers, (SELECT count(*) FROM cdp_data.touchpoint) AS touchpoints, (SELECT count(*) FROM cdp_data.identifier) AS identifiers, (SELECT count(*) FROM cdp_data.referral_code) AS codes,
  (SELECT count(*) FROM cdp_data.referral_click) AS clicks, (SELECT count(*) FROM cdp_data.referral_conversion) AS conversions, (SELECT count(*) FROM cdp_data.referral_refund) AS refunds, (SELECT count(*) FROM cdp_data.referral) AS referrals,
  (SELECT count(*) FROM cdp_data.referral_decision) AS decisions, (SELECT count(*) FROM cdp_data.reward) AS rewards, (SELECT count(*) FROM cdp_data.ledger_posting) AS postings, (SELECT count(*) FROM cdp_data.source) AS sources, (SELECT count(*) FROM cdp_data.referral_guess) AS guesses,
  (SELECT string_agg(state || ' ' || from_at, ',' ORDER BY from_at) FROM cdp_data.referral_campaign_state) AS states, (SELECT starts_at FROM cdp_data.referral_campaign) AS starts_at;
SELECT is((SELECT string_agg(step || ' ' || ok, ', ') FROM cdp.referral_selftest('bring')), 'campaign false', 'without terms it stops');
SELECT is((SELECT detail FROM cdp.referral_selftest('bring')), 'it stopped here: referral campaign "bring" can not be activated: it has no terms: nobody knows what is paid for what (55000)', 'and says why');
SELECT cdp.set_referral_terms('bring', rules => '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}, {"rule": "welcome", "side": "referee", "trigger": "first_purchase", "shape": "percent", "rate": 0.1}]');
CREATE TABLE public.before AS TABLE public.rows;
\set steps 'campaign true, code true, wrong code true, click true, purchase true, refund true, never paid true, in no report true, reward true'
SELECT is((SELECT string_agg(step || ' ' || ok, ', ') FROM cdp.referral_selftest('bring')), :'steps', 'a draft that starts later is tried as if it ran');
SELECT is((SELECT string_agg(detail, '; ') FROM cdp.referral_selftest('bring', 80) WHERE step IN ('campaign', 'wrong code', 'purchase', 'reward')),
  'it is draft, and could be active; a code with one sign off: unknown code; ' || s.purchase || '; a real first purchase like it would earn 10.00 CNY for the referrer (friend), 8.00 CNY for the referee (welcome)', 'what it found')
FROM (SELECT detail AS purchase FROM cdp.referral_selftest('bring', 80) WHERE step = 'purchase') s;
SELECT results_eq('TABLE public.rows', 'TABLE public.before', 'nothing is left of it');
SELECT is((SELECT count(*) || ' ' || count(*) FILTER (WHERE (detail ->> 'ok')::boolean) FROM cdp_data.audit WHERE detail ->> 'op' = 'selftest'), '5 3', 'but a line in the audit each time');
SELECT cdp.edit_referral_campaign('bring', '{"starts_at": null}'), cdp.activate_referral_campaign('bring');
SELECT is((SELECT string_agg(step || ' ' || ok, ', ') FROM cdp.referral_selftest('bring')), :'steps', 'one that was activated a moment ago');
SELECT cdp.pause_referral_campaign('bring');
SELECT is((SELECT string_agg(step || ' ' || ok, ', ') FROM cdp.referral_selftest('bring')), :'steps', 'a paused one');
SELECT is((SELECT string_agg(state, ' ' ORDER BY from_at) FROM cdp_data.referral_campaign_state), 'draft active paused', 'its history is its own');

-- Beside real traffic: figures stay, and the test does not meet real people.
SELECT cdp.resume_referral_campaign('bring');
SELECT cdp.issue_referral_code('bring', cdp.customer_of('user_id', 'u1')) AS code \gset
SELECT (cdp.referral_click('shop', 'c1', :'code', now(), '{"cookie": "real"}')).result;
SELECT (cdp.referral_convert('shop', 'o1', 'purchase', now(), '{"cookie": "real"}', 120, 'CNY')).result;
DROP TABLE public.before;
CREATE TABLE public.before AS TABLE public.rows;
SELECT is((SELECT count(*) FROM cdp_data.referral WHERE NOT is_test), 1::bigint, 'there is a real referral');
SELECT is((SELECT string_agg(step || ' ' || ok, ', ') FROM cdp.referral_selftest('bring')), :'steps', 'beside it');
SELECT results_eq('TABLE public.rows', 'TABLE public.before', 'which stays as it was');

-- What is broken is found at its step.
CREATE FUNCTION public.boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room on device'; END $$;
CREATE TRIGGER boom BEFORE INSERT ON cdp_data.referral_refund FOR EACH ROW EXECUTE FUNCTION public.boom();
SELECT is((SELECT string_agg(step || ' ' || ok, ', ') FROM cdp.referral_selftest('bring')), 'campaign true, code true, wrong code true, click true, purchase true, refund false', 'an error stops it at its step');
SELECT is((SELECT detail FROM cdp.referral_selftest('bring') WHERE NOT ok), 'it stopped here: no room on device (P0001)', 'and is told');
DROP TRIGGER boom ON cdp_data.referral_refund;
CREATE FUNCTION public.lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.is_test := false; RETURN NEW; END $$;
CREATE TRIGGER lose BEFORE INSERT ON cdp_data.referral_click FOR EACH ROW EXECUTE FUNCTION public.lose();
SELECT ok((SELECT bool_or(step = 'click' AND NOT ok) AND bool_or(step = 'in no report' AND NOT ok) FROM cdp.referral_selftest('bring')), 'a test that counts as real is found');
DROP TRIGGER lose ON cdp_data.referral_click;
-- What others write meanwhile is no fault of the test; what is posted for it is.
CREATE FUNCTION public.beside() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM cdp.track('shop', 'purchase', '{"user_id": "u2"}', '{}', now(), 'beside ' || NEW.source_key, 50);
  INSERT INTO cdp_data.ledger_posting (idempotency_key, kind, occurred_at, booked_on, note) VALUES (sha256(convert_to(NEW.source_key, 'UTF8')), 'topup', now(), now()::date, 'somebody else');
  RETURN NEW; END $$;
CREATE TRIGGER beside BEFORE INSERT ON cdp_data.referral_refund FOR EACH ROW EXECUTE FUNCTION public.beside();
SELECT is((SELECT string_agg(step || ' ' || ok, ', ') FROM cdp.referral_selftest('bring')), :'steps', 'beside others who write meanwhile');
DROP TRIGGER beside ON cdp_data.referral_refund;
CREATE FUNCTION public.pay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO cdp_data.ledger_account (kind, customer_id, currency) VALUES ('liability_pending', NEW.customer_id, 'CNY');
  RETURN NEW; END $$;
CREATE TRIGGER pay BEFORE INSERT ON cdp_data.referral_refund FOR EACH ROW EXECUTE FUNCTION public.pay();
SELECT is((SELECT string_agg(step, ', ') FROM cdp.referral_selftest('bring') WHERE NOT ok), 'never paid', 'an account for a test is found');
DROP TRIGGER pay ON cdp_data.referral_refund;
SELECT results_eq('TABLE public.rows', 'TABLE public.before', 'of broken ones nothing is left either');
SELECT throws_ok(format($$SELECT * FROM cdp.referral_selftest('bring', %s)$$, v), '22023', NULL, 'a purchase of ' || v) FROM unnest(ARRAY['0', '-5', '0.001', '''NaN''']) v;
SELECT cdp.end_referral_campaign('bring');
SELECT throws_ok($$SELECT * FROM cdp.referral_selftest('bring')$$, '55000', NULL, 'one that is over');
SELECT throws_ok($$SELECT * FROM cdp.referral_selftest('brnig')$$, '42704', NULL, 'an unknown one');
SELECT * FROM finish();
