-- People in every table, put there by the roads that users take. erika is the one who will be erased.
SET client_min_messages = error;
UPDATE cdp_data.setting SET phone_region = 'DE';
SELECT cdp.add_source('shop', 'UTC'), cdp.add_source('app', 'UTC'), cdp.add_source('crm', 'UTC');
SELECT cdp.add_attribute('favourite_singer'), cdp.add_attribute('loyal', sensitivity => 'internal');
INSERT INTO cdp_data.destination (destination, purpose) VALUES ('mailer', 'service'), ('ads', NULL);
INSERT INTO cdp_data.destination (destination, enabled) VALUES ('old', false);

-- Everybody: batches of touchpoints, in two loads, the second corrects the first.
CREATE TABLE public.st (source_key text, occurred_at text, identifier_type text, identifier text, kind text, source text, medium text, campaign text, value text, refers_to text, properties text);
INSERT INTO public.st
SELECT 'k' || i, (timestamp '2026-03-01' + i * interval '7 hours')::text, 'email', 'person' || i % 23 || '@people.example',
  CASE WHEN i % 5 = 0 THEN 'purchase' ELSE 'click' END, (ARRAY['google', 'weibo', 'newsletter', ''])[1 + i % 4], (ARRAY['cpc', 'social', 'email', ''])[1 + i % 4], '',
  CASE WHEN i % 5 = 0 THEN (10 + i % 13)::text END, NULL, NULL
FROM generate_series(1, 400) i;
INSERT INTO public.st
SELECT 'erika-order-' || i, (timestamp '2026-03-02' + i * interval '31 hours')::text, 'email', 'Erika.Muster@Beispiel.example',
  CASE WHEN i % 4 = 0 THEN 'purchase' ELSE 'click' END, (ARRAY['google', 'newsletter'])[1 + i % 2], (ARRAY['cpc', 'email'])[1 + i % 2],
  CASE WHEN i % 6 = 1 THEN 'mail to erika.muster@beispiel.example' ELSE '' END,
  CASE WHEN i % 4 = 0 THEN (50 + i)::text END, NULL, jsonb_build_object('coupon', 'ERIKA-COUPON-5512', 'note', 'Grüße an Erika Musterfräulein')::text
FROM generate_series(1, 40) i;
-- Refunds: of her order by her, of hers by somebody else, of somebody else's by her, and of an order that never comes.
INSERT INTO public.st VALUES
  ('erika-refund-1', '2026-04-20 10:00', 'email', 'erika.muster@beispiel.example', 'refund', 'shop', '', '', '-20', 'erika-order-8', NULL),
  ('other-refund-1', '2026-04-21 10:00', 'email', 'person3@people.example', 'refund', 'shop', '', '', '-7', 'erika-order-12', NULL),
  ('erika-refund-2', '2026-04-22 10:00', 'email', 'erika.muster@beispiel.example', 'refund', 'shop', '', '', '-3', 'k15', NULL),
  ('erika-refund-3', '2026-04-23 10:00', 'email', 'erika.muster@beispiel.example', 'refund', 'shop', '', '', '-2', 'erika-order-never', NULL),
  ('order-five', '2026-04-23 11:00', 'email', 'erika.muster@beispiel.example', 'click', 'google', '', '', NULL, NULL, '{"note": "for Erika"}'),
  ('erika-bad-1', 'some day', 'email', 'ERIKA.muster@beispiel.example', 'click', 'shop', '', '', NULL, NULL, NULL),
  ('erika-bad-2', '2026-04-23 10:00', 'phone', '0151-2345 6789', 'nonsense', 'shop', '', '', NULL, NULL, NULL),
  ('erika-bad-3', '2026-04-23 10:00', 'email', 'nobody', 'click', 'shop', '', '', NULL, NULL, '{"text": "please answer to erika.muster@beispiel.example, thanks"}');
SELECT cdp.load_touchpoints('shop', 'public.st');
UPDATE public.st SET occurred_at = (occurred_at::timestamp + interval '1 hour')::text WHERE source_key IN ('erika-order-3', 'erika-order-4', 'k9');
UPDATE public.st SET identifier = 'person5@people.example', properties = NULL WHERE source_key = 'order-five'; -- was never hers
DELETE FROM public.st WHERE source_key LIKE 'erika-bad%';
SELECT cdp.load_touchpoints('shop', 'public.st');

-- Customers of the CRM, and events, by batches.
CREATE TABLE public.crm (source_key text, email text, phone text, user_id text, full_name text, address text, birthday text, favourite_singer text, loyal text);
INSERT INTO public.crm SELECT 'c' || i, 'person' || i || '@people.example', NULL, 'u' || i, 'Person ' || i, 'Street ' || i, '1980-01-01', NULL, 'yes' FROM generate_series(0, 22) i;
INSERT INTO public.crm VALUES ('erika-crm-77', 'erika.muster@beispiel.example', '0151 23456789', 'u-erika-77', 'Erika Musterfräulein', 'Lindenallee 4711, Köln', '1971-07-07', 'Nena-Fanclub', 'no'),
  (NULL, 'erika.muster@beispiel.example', NULL, NULL, 'No Key', NULL, 'no day', NULL, NULL);
SELECT cdp.load_customers('crm', 'public.crm');
UPDATE public.crm SET address = 'Rosenweg 815, Bonn' WHERE source_key = 'erika-crm-77';
SELECT cdp.load_customers('crm', 'public.crm');
CREATE TABLE public.ev (source_key text, occurred_at text, kind text, user_id text, cookie text, value text, page text);
INSERT INTO public.ev SELECT 'e' || i, (timestamp '2026-03-05' + i * interval '11 hours')::text, CASE WHEN i % 6 = 0 THEN 'purchase' ELSE 'visit' END, 'u' || i % 23, 'cookie-' || i % 23, CASE WHEN i % 6 = 0 THEN '9' END, NULL FROM generate_series(1, 100) i;
INSERT INTO public.ev SELECT 'erika-ev-' || i, (timestamp '2026-03-06' + i * interval '29 hours')::text, CASE WHEN i % 3 = 0 THEN 'purchase' ELSE 'visit' END, 'u-erika-77', 'ck-erika-991', CASE WHEN i % 3 = 0 THEN '11' END, NULL FROM generate_series(1, 12) i;
SELECT cdp.load_events('app', 'public.ev');

-- Single calls, messages, groups, an alias.
SELECT cdp.identify('app', '{"user_id": "u-erika-77", "anonymous_id": "anon-erika-3"}', '{"city": "Bonn", "full_name": "E. Musterfräulein"}', '2026-04-01', 'erika-msg-1');
SELECT cdp.track('app', 'purchase', '{"anonymous_id": "anon-erika-3"}', '{"gift": "for Erika Musterfräulein"}', '2026-04-02', 'erika-msg-2', 12.5, NULL, '{"source": "google", "medium": "cpc", "qr_scene": "ck-erika-991"}');
SELECT cdp.track('app', 'purchase', '{"user_id": "u4"}', '{}', '2026-04-02', 'm4', 3);
SELECT cdp.alias('app', '{"cookie": "ck-erika-992"}', '{"user_id": "u-erika-77"}', '2026-04-03', 'erika-msg-3');
SELECT cdp.group('app', '{"user_id": "u-erika-77"}', 'household-musterfräulein', '{"contact": "erika.muster@beispiel.example"}', '2026-04-03', 'erika-msg-4');
SELECT cdp.group('app', '{"user_id": "u-erika-77"}', 'works', '{"contact": "erika.muster@beispiel.example", "size": "9"}', '2026-04-03', 'erika-msg-5');
SELECT cdp.group('app', '{"user_id": "u4"}', 'works', '{"size": "10"}', '2026-04-04', 'm5');
SELECT cdp.ingest('app', '[{"type": "track", "event": "visit", "userId": "u-erika-77", "messageId": "erika-msg-6", "timestamp": "2026-04-05T10:00:00Z", "properties": {"search": "for erika"}},
  {"type": "nonsense", "userId": "u-erika-77", "messageId": "erika-msg-7", "traits": {"name": "Erika Musterfräulein"}},
  {"type": "track", "event": "visit", "userId": "u6", "messageId": "m7", "timestamp": "2026-04-05T10:00:00Z"}]');

-- Merges by hand, one taken back; a model's review; alerts; profiles; roll-ups; the outbox.
CREATE FUNCTION public.id_of(type text, v text) RETURNS bigint LANGUAGE sql AS
$$ SELECT i.identifier_id FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t USING (type_id) WHERE t.name = type AND i.value = v $$;
SELECT cdp.identify('app', '{"device": "device-erika-1", "user_id": "u9"}', '{}', '2026-04-06', 'm8');
SELECT cdp.track('app', 'purchase', '{"device": "device-erika-1"}', '{"who": "Erika, on a device that was thought to be u9''s"}', '2026-04-06', 'erika-msg-88', 8);
SELECT cdp.unmerge(identifier => public.id_of('device', 'device-erika-1'), reason => 'not theirs');
SELECT cdp.identify('app', '{"device": "device-person-8"}', '{}', '2026-04-06', 'm9');
SELECT cdp.link_identifiers(public.id_of('device', 'device-erika-1'), public.id_of('user_id', 'u-erika-77'), 'Erika says so');
SELECT cdp.link_identifiers(public.id_of('device', 'device-person-8'), public.id_of('user_id', 'u-erika-77'), 'wrong');
SELECT cdp.unmerge(link => (SELECT max(link_id) FROM cdp_data.link WHERE kind = 'manual' AND state = 'active'), reason => 'device 8 is not Erikas');
CREATE TABLE public.faces AS SELECT i.identifier_id AS id, (i.identifier_id / 40)::int AS k, 'x'::text AS name FROM cdp_data.identifier i;
ALTER TABLE public.faces ADD PRIMARY KEY (id);
SELECT cdp.define_match('faces', '{"link_type": "dedupe_only", "unique_id_column_name": "id", "probability_two_random_records_match": 0.01, "blocking_rules_to_generate_predictions": ["l.k = r.k"], "comparisons": [{"comparison_levels": [{"sql_condition": "name_l IS NULL OR name_r IS NULL", "is_null_level": true}, {"sql_condition": "name_l = name_r", "m_probability": 0.9, "u_probability": 0.009}, {"sql_condition": "ELSE", "m_probability": 0.1, "u_probability": 0.991}], "output_column_name": "name"}]}', 'public.faces', identifiers => true, auto_probability => 0.999, review_probability => 0.3);
SELECT cdp.match_run('faces');
UPDATE cdp_data.match_review SET note = 'Erika and her neighbour' WHERE id_l = public.id_of('user_id', 'u-erika-77')::text OR id_r = public.id_of('user_id', 'u-erika-77')::text;
INSERT INTO cdp_data.identity_alert (kind, identifier_id, detail) VALUES ('super_node', public.id_of('user_id', 'u-erika-77'), '{"limit": 9}'), ('super_node', public.id_of('user_id', 'u4'), '{"limit": 9}');
INSERT INTO cdp_data.identifier_block (type_id, value) SELECT type_id, 'ck-erika-992' FROM cdp_data.identifier_type_all WHERE name = 'cookie';
SELECT cdp.define_attribution_rollup('main', models => '{last,first,linear,u_shaped,w_shaped,time_decay(7 days),participation,markov,shapley}');
SELECT cdp.define_attribution_rollup('short', models => '{linear}', lookback => '5 days', journey => 'reset');
SELECT count(*) FROM cdp.refresh_attribution();
SELECT written > 0 FROM cdp.refresh_profiles();
-- What comes after the refreshes, so that both have something unread.
SELECT cdp.track('app', 'purchase', '{"user_id": "u-erika-77"}', '{}', '2026-04-25', 'erika-msg-9', 77);

-- Consents, by a call and by a batch, of which one is corrected and one refused; messages about her and to nobody in particular.
SELECT cdp.record_consent('app', 'marketing', 'granted', '{"email": "erika.muster@beispiel.example"}', channel => 'email', evidence => '{"signed": "Erika Musterfräulein"}', message_id => 'erika-consent-1');
CREATE TABLE public.cs (source_key text, identifier text, status text, effective_at text, evidence text);
INSERT INTO public.cs VALUES ('erika-consent-2', 'ERIKA.muster@beispiel.example', 'granted', '2026-04-01', '{"clerk": "for Erika"}'), ('erika-consent-3', 'erika.muster@beispiel.example', 'perhaps', '2026-04-01', NULL),
  ('cs4', 'person4@people.example', 'granted', '2026-04-01', NULL);
SELECT cdp.load_consents('crm', 'public.cs', identifier_type => 'email', purpose => 'marketing');
UPDATE public.cs SET status = 'denied' WHERE source_key = 'erika-consent-2';
SELECT cdp.load_consents('crm', 'public.cs', identifier_type => 'email', purpose => 'marketing');
SELECT cdp.outbox_put('mailer', 'upsert', '{"name": "Erika Musterfräulein"}', 'erika-1', cdp.customer_of('user_id', 'u-erika-77')), cdp.outbox_put('mailer', 'upsert', '{"n": 1}', 'for erika.muster@beispiel.example'),
  cdp.outbox_put('mailer', 'upsert', '{"to": "erika.muster@beispiel.example"}');

-- A list that she is on, a segment that she is in, and what runs note about her.
SELECT cdp.upload_list('guests', 'user_id', '{u-erika-77,u4}');
INSERT INTO cdp_data.segment (segment_id, name, purpose) VALUES (900, 'regulars', 'service');
INSERT INTO cdp_data.segment_chunk (segment_id, chunk, bits, customers) SELECT 900, c.chunk, c.bits, c.customers
FROM cdp.roaring_chunks((SELECT cdp.roaring_build(x) FROM unnest(ARRAY[cdp.customer_of('user_id', 'u-erika-77'), cdp.customer_of('user_id', 'u4')]) x)) c;
SELECT cdp_internal.segment_partition('2026-04-20');
INSERT INTO cdp_data.segment_transition (segment_id, customer_id, at, entered, cause, version, run_id)
SELECT 900, x, '2026-04-20', true, 'event', 1, 1 FROM unnest(ARRAY[cdp.customer_of('user_id', 'u-erika-77'), cdp.customer_of('user_id', 'u4')]) x;
INSERT INTO cdp_data.segment_defect (run_id, segment_id, customer_id, missing) VALUES (1, 900, cdp.customer_of('user_id', 'u-erika-77'), true);
INSERT INTO cdp_data.segment_flip (customer_id, at) VALUES (cdp.customer_of('user_id', 'u-erika-77'), '2026-05-01');
INSERT INTO cdp_data.trait_value (trait_id, customer_id, value) VALUES (900, cdp.customer_of('user_id', 'u-erika-77'), 5);

-- A run that spoke to her, an address of hers that bounced, and feedback of hers that found no run.
INSERT INTO cdp_data.campaign_run (campaign_run_id, name, seed) VALUES (900, 'spring', 1);
INSERT INTO cdp_data.campaign_exposure (campaign_run_id, customer_id, arm, variant, exposed_at, state)
SELECT 900, x, 'treatment', 'a', '2026-04-20', 'sent' FROM unnest(ARRAY[cdp.customer_of('user_id', 'u-erika-77'), cdp.customer_of('user_id', 'u4')]) x;
INSERT INTO cdp_data.channel_bounce (identifier_id, channel, bounced_at) VALUES (public.id_of('user_id', 'u-erika-77'), 'email', '2026-04-21'), (public.id_of('user_id', 'u4'), 'email', '2026-04-21');
INSERT INTO cdp_data.campaign_stray (touchpoint_id, customer_id, occurred_at, run) VALUES (-900, cdp.customer_of('user_id', 'u-erika-77'), '2026-04-21', 'to Erika Musterfräulein');
-- Offers that she and another were given, and what they did with them.
SELECT cdp.create_placement('home'), cdp.create_offer('gift', '{home}', 'service', inventory => 9);
SELECT cdp.record_offer_outcome(d.decision_id, 'accepted', value => 5) FROM unnest(ARRAY['u-erika-77', 'u4', 'u9']) u CROSS JOIN LATERAL cdp.next_best_offer(cdp.customer_of('user_id', u), 'home') d;

-- The arm of a holdout that was kept of her.
INSERT INTO cdp_data.holdout_assignment (holdout_id, customer_id, arm, assigned_at)
SELECT 900, x, 'treatment', '2026-04-20' FROM unnest(ARRAY[cdp.customer_of('user_id', 'u-erika-77'), cdp.customer_of('user_id', 'u4')]) x;

-- A destination that was told of her, and of somebody else by an identifier of hers.
INSERT INTO cdp_data.activation (activation_id, name, segment_id, destination, state, ended_at) VALUES (900, 'regulars at the mailer', 900, 'mailer', 'ended', '2026-05-01');
INSERT INTO cdp_data.activation_member (activation_id, customer_id, is_in, at, identifiers)
SELECT 900, x, true, '2026-04-20', ARRAY[public.id_of('user_id', 'u-erika-77'), public.id_of('user_id', 'u4')] FROM unnest(ARRAY[cdp.customer_of('user_id', 'u-erika-77'), cdp.customer_of('user_id', 'u4')]) x;

-- Rewards, accounts of the ledger, caps and payouts.
INSERT INTO cdp_data.reward (idempotency_key, referral_id, referral_conversion_id, reward_rule_id, side, level, customer_id, referral_campaign_id, currency, wanted_minor, amount_minor, pending_minor, hold_until, granted_at, counters)
SELECT cdp_internal.ledger_key('people reward', x::text), -x, -x, 900, 'referrer', 1, x, 900, 'CNY', 500, 500, 500, '2026-05-01', '2026-04-20', ARRAY['900/amount/referrer/ever/*/#' || x || '/'] FROM unnest(ARRAY[cdp.customer_of('user_id', 'u-erika-77'), cdp.customer_of('user_id', 'u4')]) x;
SELECT cdp_internal.post_moves(array_agg(ROW('reserve', w.reward_id, 0, m.nth, m.debit, m.credit, 500, NULL, NULL)::cdp_internal.reward_move ORDER BY w.reward_id, m.nth), '2026-04-20') FROM cdp_data.reward w, (VALUES (1, 'budget', 'budget_reserved'), (2, 'budget_reserved', 'liability_pending')) m (nth, debit, credit);
WITH paid AS (INSERT INTO cdp_data.payout (payout_batch_id, customer_id, currency, amount_minor, provider, state, claimed_at) SELECT 900, w.customer_id, 'CNY', 500, 'bank', 'cancelled', '2026-04-20' FROM cdp_data.reward w RETURNING payout_id, customer_id)
INSERT INTO cdp_data.payout_item (payout_id, reward_id, amount_minor) SELECT p.payout_id, w.reward_id, 500 FROM paid p JOIN cdp_data.reward w USING (customer_id);
SELECT cdp_internal.counter_hold(ARRAY['900/amount/referrer/ever/*/#' || x || '/'], ARRAY[x], '{1000}', '{NULL}'), cdp_internal.counter_add(ARRAY['900/amount/referrer/ever/*/#' || x || '/'], '{500}', '{1}') FROM unnest(ARRAY[cdp.customer_of('user_id', 'u-erika-77'), cdp.customer_of('user_id', 'u4')]) x;

-- A referral campaign: her vanity code and what she shared, her click on the code of another and that of another on hers.
SELECT cdp.create_referral_campaign('bring a friend', link_template => 'https://shop.example/{code}'), cdp.set_referral_terms('bring a friend', '{}', '[{"rule": "r", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 5}]', valid_from => '2026-03-01'),
  cdp.activate_referral_campaign('bring a friend', '2026-03-01');
SELECT cdp.issue_referral_code('bring a friend', cdp.customer_of('user_id', 'u-erika-77'), 'erika-musterfraulein', issued_at => '2026-03-02'), cdp.issue_referral_code('bring a friend', cdp.customer_of('user_id', 'u4'), 'four-u4', issued_at => '2026-03-02');
SELECT cdp.referral_share('app', 'erika-share-1', 'erika-musterfraulein', 'email', '2026-03-03', '{"email": "person9@people.example"}'), cdp.referral_share('app', 'share-2', 'four-u4', 'email', '2026-03-03', '{"email": "erika.muster@beispiel.example"}');
SELECT cdp.referral_click('app', 'erika-click-1', 'four-u4', '2026-03-04', '{"user_id": "u-erika-77"}', '203.0.113.77', 'Mozilla/5.0 of Erika Musterfräulein', 'device-erika-1', 'https://forum.example/erika'),
  cdp.referral_click('app', 'click-2', 'erika-musterfraulein', '2026-03-04', '{"user_id": "u9"}', '203.0.113.78', 'Mozilla/5.0'), cdp.referral_click('app', 'erika-click-3', 'erika-m', '2026-03-04', '{"user_id": "u-erika-77"}');

INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, claimed_customer_id, value_minor, eligible_minor, currency)
SELECT s.source_id, v.k, 'purchase', '2026-03-05', public.id_of('user_id', v.u), (SELECT i.customer_id FROM cdp_data.identifier i WHERE i.identifier_id = public.id_of('user_id', v.u)), cdp.customer_of('user_id', v.claimed), 900, 900, 'CNY'
FROM cdp_data.source s, (VALUES ('erika-conversion-1', 'u-erika-77', 'u4'), ('conversion-2', 'u9', 'u-erika-77')) v (k, u, claimed) WHERE s.name = 'app';
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id)
SELECT c.source_id, 'refund of ' || c.source_key, c.referral_conversion_id, '2026-03-06', 100, c.customer_id FROM cdp_data.referral_conversion c;
-- What fraud rules know of her: as a referee of u4, as an advocate, on lists, banned, in a review, an appeal and a ring.
INSERT INTO cdp_data.fraud_list (list, what, customer_id, reason) SELECT 'allow', 'customer', cdp.customer_of('user_id', u), CASE u WHEN 'u4' THEN 'a friend' ELSE 'a friend, Erika Musterfräulein' END FROM unnest(ARRAY['u-erika-77', 'u4']) u;
INSERT INTO cdp_data.fraud_fact (customer_id, kind, digest, first_at, last_at) SELECT cdp.customer_of('user_id', u), 'device', '\x0001'::bytea || sha256(u::bytea), '2026-03-04', '2026-03-04' FROM unnest(ARRAY['u-erika-77', 'u4']) u;
INSERT INTO cdp_data.fraud_score (referral_id, referrer_id, referee_id, as_of, score, decision, decided_by, reasons, degraded, version)
SELECT 900, cdp.customer_of('user_id', a), cdp.customer_of('user_id', b), '2026-03-05', 0.25, 'approve', 'score', '[{"code": "self.ip", "evidence": {"persons": 2}}]', '{}', '1' FROM (VALUES ('u4', 'u-erika-77'), ('u-erika-77', 'u9'), ('u4', 'u9')) v (a, b);
INSERT INTO cdp_data.referral_review (referral_id, referrer_id, referee_id, at, event, deadline, note)
SELECT 900, cdp.customer_of('user_id', a), cdp.customer_of('user_id', b), '2026-03-05', 'opened', '2026-03-12', CASE WHEN 'u-erika-77' IN (a, b) THEN 'Erika Musterfräulein called' ELSE 'called' END FROM (VALUES ('u4', 'u-erika-77'), ('u-erika-77', 'u9'), ('u4', 'u9')) v (a, b);
INSERT INTO cdp_data.referral_ban (customer_id, reason) SELECT cdp.customer_of('user_id', u), CASE u WHEN 'u4' THEN 'shops too much' ELSE 'Erika Musterfräulein shops too much' END FROM unnest(ARRAY['u-erika-77', 'u4']) u;
INSERT INTO cdp_data.referral_ban_lift (referral_ban_id, customer_id, reason) SELECT referral_ban_id, customer_id, replace(reason, 'shops too much', 'mended') FROM cdp_data.referral_ban;
INSERT INTO cdp_data.receivable_request (reference, customer_id, referral_campaign_id, amount_minor) SELECT 'w-' || u, cdp.customer_of('user_id', u), 1, 5 FROM unnest(ARRAY['u-erika-77', 'u4']) u;
INSERT INTO cdp_data.referral_appeal (appeal_id, customer_id, referral_id, event, text, evidence) SELECT 900 + n, cdp.customer_of('user_id', u), 900, 'opened', CASE u WHEN 'u4' THEN 'no' ELSE 'I am Erika Musterfräulein' END, CASE u WHEN 'u4' THEN '{}' ELSE '{"mail": "erika.muster@beispiel.example"}' END::jsonb FROM unnest(ARRAY['u-erika-77', 'u4']) WITH ORDINALITY x (u, n);
INSERT INTO cdp_data.fraud_ring_run (as_of, accounts, edges) VALUES ('2026-03-05', 2, 2);
INSERT INTO cdp_data.fraud_ring (fraud_ring_run_id, customer_id, component, component_size, core) SELECT 1, cdp.customer_of('user_id', u), 1, 2, 1 FROM unnest(ARRAY['u-erika-77', 'u4']) u;
INSERT INTO cdp_data.fraud_history (kind, digest, referral_id, confirmed_at) VALUES ('device', '\x0001'::bytea || sha256('x'), 900, '2026-03-05');
INSERT INTO cdp_data.fraud_rule (code, weight) VALUES ('self.ip', 0.2);
INSERT INTO cdp_data.referral (campaign_group, referral_campaign_id, terms_version, referrer_id, referee_id, method, first_conversion_id, attributed_at, state)
SELECT 'bring a friend', 1, 1, c.claimed_customer_id, c.customer_id, 'claim', c.referral_conversion_id, c.occurred_at, 'approved' FROM cdp_data.referral_conversion c;
INSERT INTO cdp_data.referral_decision (referral_id, to_state, actor, as_of, evidence) SELECT r.referral_id, r.state, 'system', r.attributed_at, '{"method": "claim"}' FROM cdp_data.referral r;

-- A table of the user's own, by customer and by identifier, and a column of his own in ours.
CREATE SCHEMA my;
CREATE TABLE my.ticket (id int PRIMARY KEY, mail text, body text);
INSERT INTO my.ticket VALUES (1, 'ERIKA.Muster@beispiel.example ', 'I, Erika Musterfräulein, complain'), (2, 'person4@people.example', 'me too');
CREATE TABLE my.score (customer_id bigint PRIMARY KEY, secret text NOT NULL, score int);
INSERT INTO my.score SELECT c.customer_id, 'secret of ' || c.customer_id, 5 FROM cdp_data.customer c;
ALTER TABLE cdp_data.touchpoint ADD COLUMN my_note text;
UPDATE cdp_data.touchpoint t SET my_note = CASE WHEN t.customer_id = cdp.customer_of('user_id', 'u-erika-77') THEN 'seen by Erikas clerk' ELSE 'seen' END;
SELECT cdp.register_personal_data('my.ticket', 'body', 'content', 'mail', 'value', 'delete', subject_type => 'email'),
  cdp.register_personal_data('my.score', 'secret', 'content', 'customer_id', 'customer', 'clear'),
  cdp.register_personal_data('cdp_data.touchpoint', 'my_note', 'content', 'customer_id', 'customer', 'clear');
DROP TABLE public.st, public.crm, public.ev, public.cs;

-- A referral campaign of which she and another were told.
SELECT cdp.create_referral_campaign('told of it');
INSERT INTO cdp_data.referral_distribution (referral_campaign_id, customer_id, channel, referral_material_id, variant, state, error, queued_at)
SELECT (SELECT referral_campaign_id FROM cdp_data.referral_campaign WHERE name = 'told of it'), x, 'email', 900, 'a', 'failed', CASE WHEN x = cdp.customer_of('user_id', 'u4') THEN 'busy' ELSE 'no mailbox of Erika Musterfräulein' END, '2026-04-20' FROM unnest(ARRAY[cdp.customer_of('user_id', 'u-erika-77'), cdp.customer_of('user_id', 'u4')]) x;

-- What connections brought of her: contacts in pages and records, a value that was replaced, one that was refused, a page that is
-- cut, and figures that were asked for by her.
SELECT cdp.create_connection('chat', 'wecom', '{"corpid": "ww1"}', 'app');
CREATE TEMP TABLE pages AS
SELECT p.* FROM (VALUES
  ('contacts', '{"errcode": 0, "external_contact_list": [{"external_contact": {"external_userid": "wm-other-1", "name": "Nobody Else"}, "follow_info": {"userid": "staff-1"}}], "next_cursor": ""}', '["staff-1"]'::jsonb, NULL::date, timestamptz '2026-04-01 10:00+08'),
  ('contacts', '{"errcode": 0, "external_contact_list": [{"external_contact": {"external_userid": "wm-her-1", "name": "Erika Musterfräulein"}, "follow_info": {"userid": "staff-1", "remark_mobiles": ["+4915123456789"]}}, {"external_contact": {"name": "Erika Musterfräulein", "mail": "erika.muster@beispiel.example"}}], "next_cursor": ""}', '["staff-1"]', NULL, '2026-04-02 10:00+08'),
  ('contacts', '{"errcode": 0, "external_contact_list": [{"external_contact": {"external_userid": "wm-her-1", "name": "E. Musterfräulein"}, "follow_info": {"userid": "staff-1", "remark": "erika.muster@beispiel.example"}}], "next_cursor": ""}', '["staff-1"]', NULL, '2026-04-03 10:00+08'),
  ('contacts', '{"errcode": 0, "external_contact_list": [{"external_contact": {"name": "Erika Musterfräulein"', '["staff-1"]', NULL, '2026-04-04 10:00+08'),
  ('service_messages', '{"errcode": 0, "has_more": 0, "next_cursor": "", "msg_list": [{"msgid": "msg-her-1", "external_userid": "wm-her-1", "send_time": 1775059200, "origin": 3, "text": {"content": "write to erika.muster@beispiel.example"}}, {"msgid": "msg-other-1", "external_userid": "wm-other-1", "send_time": 1775059200, "origin": 3, "text": {"content": "hello"}}]}', '"wk-1"', NULL, '2026-04-02 11:00+08'),
  ('behavior', '{"errcode": 0, "behavior_data": [{"stat_time": 1775059200, "chat_cnt": 3}]}', '"u-erika-77"', '2026-04-02', '2026-04-03 10:00+08'),
  ('behavior', '{"errcode": 0, "behavior_data": [{"stat_time": 1775059200, "chat_cnt": 4}]}', '"u-erika-77"', '2026-04-02', '2026-04-08 10:00+08'),
  ('behavior', '{"errcode": 0, "behavior_data": [{"stat_time": 1775059200, "chat_cnt": 9}]}', '"staff-1"', '2026-04-02', '2026-04-03 10:00+08')) AS p (stream, body, part, day, at);
SELECT count(r.page_id) FROM (SELECT * FROM pages ORDER BY at, stream, body) p, LATERAL cdp.ingest_page('chat', p.stream, convert_to(p.body, 'UTF8'), p.part, p.day, p.day, fetched_at => p.at) r;
DROP TABLE pages;
SELECT cdp_internal.map_metrics(connection_id) FROM cdp_data.connection WHERE name = 'chat';
-- What she wrote there is a content; the contact that names her is no touchpoint, for it has no time.
UPDATE cdp_data.connection SET state = 'live' WHERE name = 'chat';
SELECT cdp_internal.map_some(connection_id) FROM cdp_data.connection WHERE name = 'chat';
UPDATE cdp_data.connection SET state = 'draft' WHERE name = 'chat';

-- What a callback wishes to be asked by her, and by another.
SELECT cdp_internal.wish(c.connection_id, 'behavior', p, 'callback', '2026-04-05 10:00+08') FROM cdp_data.connection c, unnest(ARRAY['u-erika-77', 'staff-1']) p WHERE c.name = 'chat';

-- What a platform pushed of her, of another, and what nobody can read.
SELECT cdp_internal.store_callback(c.connection_id, convert_to(m, 'UTF8'), lpad(n::text, 40, '0'), '2026-04-05 10:00+08', true, '2026-04-05 10:00+08') IS NOT NULL
FROM cdp_data.connection c, unnest(ARRAY['<xml><Event>x</Event><Text>erika.muster@beispiel.example</Text></xml>', '<xml><Event>x</Event><UserID>staff-1</UserID></xml>', '<xml><Event>Erika Musterfräulein']) WITH ORDINALITY t (m, n) WHERE c.name = 'chat';
