-- What each fraud rule measures of referrals: a case that fires, its neighbour that does not, and what is missing; many at once
-- say what one by one say; nothing of after as_of counts.
BEGIN;
SELECT plan(77);
\ir referral_fraud.inc
SET LOCAL timezone = 'Pacific/Auckland';

-- An honest referral, of which all is known but what nobody told.
CREATE TEMP TABLE p AS SELECT i, pg_temp.person() AS id FROM generate_series(1, 400) i;
CREATE FUNCTION pg_temp.p(n int) RETURNS bigint LANGUAGE sql AS $$ SELECT id FROM p WHERE i = n $$;
SELECT pg_temp.conversion(pg_temp.p(1), '2026-02-01', '{"ip": "a1", "net": "n1", "agent": "firefox", "device": "d1", "payment": "pay1", "address": "street 1"}');
SELECT pg_temp.refer(pg_temp.p(1), pg_temp.p(2), '2026-03-01', '{"ip": "a2", "net": "n2", "agent": "firefox", "device": "d2", "payment": "pay2", "address": "street 2", "host": "chat.example", "asn": 1, "country": "DE"}') AS honest \gset
SELECT is(cdp.fraud_score(:honest, '2026-06-01')::text, '(0,approve,score,[],"{behav.dormant,click.flood,ctit.flat,leak.public_spread,ring.component,ring.core,ring.dense,self.cookie,self.id_hash,self.openid,self.payout_fp,vel.referrer}",' || (cdp.fraud_policy() ->> 'version') || '/0.0)', 'an honest referral');
SELECT pg_temp.refer(pg_temp.p(3), pg_temp.p(4), '2026-03-01', '{"seconds": "none"}') AS bare \gset
SELECT is(cdp.fraud_score(:bare, '2026-06-01')::text, '(0,approve,score,[],"{behav.dormant,click.flood,ctit.fast,ctit.flat,leak.coupon_site,leak.paid,leak.public_spread,ring.component,ring.core,ring.dense,self.address,self.cookie,self.device,self.id_hash,self.ip,self.ip24,self.ip_ua,self.openid,self.payment_fp,self.payout_fp,vel.ip,vel.referrer}",' || (cdp.fraud_policy() ->> 'version') || '/0.0)', 'one of which little is known says so');

-- With something of the referrer's own.
CREATE FUNCTION pg_temp.next(n int, o jsonb, at timestamptz DEFAULT '2026-03-01', seconds text DEFAULT '3600') RETURNS bigint LANGUAGE sql AS $$ SELECT pg_temp.refer(pg_temp.p(1), pg_temp.p(n), at, o || jsonb_build_object('seconds', seconds)) $$;
SELECT is(pg_temp.codes(pg_temp.next(10, '{"device": "d1"}', '2026-04-10')), 'self.device', 'his device') UNION ALL SELECT is(pg_temp.codes(pg_temp.next(11, '{"device": "d1"}', '2026-05-10')), '', 'of more than 90 days before');
SELECT is(pg_temp.codes(pg_temp.next(12, '{"payment": "pay1"}', '2026-04-12')), 'self.payment_fp', 'his means of payment');
SELECT is(pg_temp.codes(pg_temp.next(13, '{"address": "street 1"}', '2026-04-14')), 'self.address', 'his address');
SELECT is(pg_temp.codes(pg_temp.next(14, '{"ip": "a1", "net": "n1", "agent": "firefox"}', '2026-02-01 20:00')), 'self.ip self.ip_ua', 'his network and browser within a day');
SELECT is(pg_temp.codes(pg_temp.next(15, '{"ip": "a1", "net": "n1", "agent": "firefox"}', '2026-02-20')), 'self.ip', 'later the network only');
SELECT is(pg_temp.reason(pg_temp.next(16, '{"ip": "a9", "net": "n1", "agent": "opera"}', '2026-02-18'), 'self.ip24'), '3.000000 0.094639 {"seen": 1, "persons": 3}', 'his network of 256 addresses, where three were seen');
SELECT is(pg_temp.codes(pg_temp.next(17, '{"ip": "a1", "net": "n1"}', '2026-03-20')), '', 'after more than 30 days it may be anybody''s');
INSERT INTO cdp_data.fraud_fact (customer_id, kind, digest, first_at, last_at) VALUES (pg_temp.p(1), 'payout', pg_temp.d('payment', 'iban1'), '2026-02-03', '2026-02-03'), (pg_temp.p(1), 'device', pg_temp.d('device', 'tablet'), '2026-02-03', '2026-04-20');
SELECT is(pg_temp.codes(pg_temp.next(18, '{"payment": "iban1"}', '2026-04-16')), 'self.payout_fp', 'pays from where he is paid to');
SELECT is(pg_temp.codes(pg_temp.next(19, '{"device": "tablet"}', '2026-05-12')), 'self.device', 'a device that he signed in with');

-- Networks: the more people, the less it says. 30 people at an office, two of whom refer each other's friends.
SELECT count(pg_temp.conversion(pg_temp.p(100 + i), '2026-03-01'::timestamptz + i * interval '5 hours', '{"ip": "office", "net": "officenet"}')) FROM generate_series(1, 30) i \gset
SELECT is(pg_temp.reason(pg_temp.refer(pg_temp.p(101), pg_temp.p(140), '2026-03-08', '{"ip": "office", "net": "officenet"}'), 'self.ip'), '31.000000 0.050462 {"seen": 1, "persons": 31}', 'in an office of 31 it is nearly nothing: 0.25 / (1 + log2(31 / 2))');
-- Four referees of one referrer at one address within a week; then with others there.
SELECT is((SELECT array_agg(pg_temp.codes(x, '2026-03-06') ORDER BY i)::text FROM (SELECT i, pg_temp.refer(pg_temp.p(150), pg_temp.p(150 + i), '2026-03-01'::timestamptz + i * interval '1 day', '{"ip": "flat"}') AS x FROM generate_series(1, 4) i OFFSET 0) t), '{"","","",vel.ip}', 'the fourth at one address');
SELECT is((SELECT pg_temp.reason(referral_id, 'vel.ip') FROM cdp_data.referral WHERE referee_id = pg_temp.p(154)), '2.000000 0.500000 {"others": 0, "referees": 4}', 'with nobody else there: the whole weight');
SELECT count(pg_temp.refer(pg_temp.p(102), pg_temp.p(160 + i), '2026-03-07 12:00'::timestamptz + i * interval '7 hours', '{"ip": "office"}')) FROM generate_series(1, 4) i \gset
SELECT is((SELECT pg_temp.reason(referral_id, 'vel.ip') FROM cdp_data.referral WHERE referee_id = pg_temp.p(164)), '32.000000 0.100000 {"others": 30, "referees": 4}', 'at the office with 30 others: a fifth of it');

-- E-mail.
SELECT is(pg_temp.codes(pg_temp.refer(pg_temp.person('li.wei@gmail.com'), pg_temp.person('liwei+2@googlemail.com'), '2026-03-01')), 'self.email_canonical', 'the same mailbox');
SELECT is(pg_temp.codes(pg_temp.refer(pg_temp.person('anna.schmidt@a.example'), pg_temp.person('ana.schmidt@b.example'), '2026-03-01')), 'self.name_email_similar', 'names that look alike');
SELECT is(pg_temp.codes(pg_temp.refer(pg_temp.person(), pg_temp.person('x@sub.mailinator.com'), '2026-03-01')), 'email.disposable', 'an address to throw away, below a known domain');
SELECT is(pg_temp.codes(pg_temp.refer(pg_temp.person(), pg_temp.person('sales@firm.example'), '2026-03-01')), 'email.role', 'an address of a role');
SELECT pg_temp.person('bounced@firm.example') AS bounced \gset
INSERT INTO cdp_data.channel_bounce (channel, identifier_id, bounced_at) SELECT 'email', identifier_id, '2026-03-02' FROM cdp_data.identifier WHERE value = 'bounced@firm.example';
SELECT pg_temp.refer(pg_temp.person(), :bounced, '2026-03-01') AS bounced_referral \gset
SELECT is(pg_temp.codes(:bounced_referral) || '|' || pg_temp.codes(:bounced_referral, '2026-03-01 12:00'), 'email.invalid|', 'an address that bounced, from then on');
SELECT pg_temp.person() AS farmer \gset
SELECT array_agg(pg_temp.refer(:farmer, pg_temp.person('user' || n || '@farm.example'), '2026-03-01'::timestamptz + i * interval '2 days') ORDER BY i) AS farm FROM unnest('{1,20,3,4}'::int[]) WITH ORDINALITY t (n, i) \gset
SELECT is((SELECT string_agg(pg_temp.codes(x, '2026-03-20'), '|' ORDER BY o) FROM unnest(:'farm'::bigint[]) WITH ORDINALITY t (x, o)), 'email.sequential||email.sequential|email.sequential', 'addresses that are counted up; 20 is too far from them');
SELECT is(pg_temp.codes((:'farm'::bigint[])[1], '2026-03-06'), '', 'but not while there are two');

-- Times.
SELECT is(pg_temp.codes(pg_temp.next(20, '{}', '2026-04-20', '59')) || '|' || pg_temp.codes(pg_temp.next(21, '{}', '2026-04-22', '60')) || '|' || pg_temp.codes(pg_temp.next(22, '{"kind": "sign_up"}', '2026-04-24', '11')) || '|' || pg_temp.codes(pg_temp.next(23, '{"kind": "sign_up"}', '2026-04-26', '9')),
  'ctit.fast|||ctit.fast', 'a purchase within a minute, a registration within ten seconds');
SELECT is(pg_temp.codes(pg_temp.next(24, '{"host": "www.retailmenot.com", "paid": true}', '2026-04-28')), 'leak.coupon_site leak.paid', 'from a coupon site, by an advertisement');
SELECT is(pg_temp.codes(pg_temp.next(25, '{"host": "notretailmenot.com"}', '2026-04-30')), '', 'a host of another name');

-- Circles.
SELECT pg_temp.refer(pg_temp.p(200), pg_temp.p(201), '2026-03-01') AS r1, pg_temp.refer(pg_temp.p(201), pg_temp.p(200), '2026-03-05') AS r2, pg_temp.refer(pg_temp.p(210), pg_temp.p(211), '2026-03-01') AS s1, pg_temp.refer(pg_temp.p(211), pg_temp.p(212), '2026-03-02') AS s2, pg_temp.refer(pg_temp.p(212), pg_temp.p(213), '2026-03-03') AS s3, pg_temp.refer(pg_temp.p(213), pg_temp.p(210), '2026-03-04') AS s4 \gset
SELECT is(pg_temp.reason(:r2, 'ring.cycle') || '|' || pg_temp.codes(:r1, '2026-03-02'), format('2.000000 0.900000 {"referrals": [%s]}|', :r1), 'A brings B, B brings A; on the day after the first nobody knew');
SELECT is((cdp.fraud_score(:r2, '2026-06-01')).decision || ' ' || (cdp.fraud_score(:r2, '2026-06-01')).decided_by, 'review density', 'which is no rejection by itself');
SELECT is(pg_temp.reason(:s4, 'ring.cycle') || '|' || pg_temp.codes(:s3, '2026-03-03 12:00'), format('4.000000 0.700000 {"referrals": [%s, %s, %s]}|', :s3, :s2, :s1), 'a circle of four');

-- Rings of the last search before the moment.
INSERT INTO cdp_data.fraud_ring_run (as_of, accounts, edges) VALUES ('2026-04-01', 2, 2);
INSERT INTO cdp_data.fraud_ring SELECT fraud_ring_run_id, pg_temp.p(2), 1, 12, 3, true FROM cdp_data.fraud_ring_run;
SELECT is(pg_temp.codes(:honest) || '|' || pg_temp.codes(:honest, '2026-03-31'), 'ring.component ring.core ring.dense|', 'rings, from the search on that found them');
SELECT is((cdp.fraud_score(:honest, '2026-06-01')).decision, 'review', 'nobody is rejected for them');

-- Outcome: two of three gave back; and the campaign's others do more than these.
SELECT pg_temp.person() AS shop \gset
SELECT array_agg(pg_temp.refer(:shop, pg_temp.p(220 + i), '2026-03-01'::timestamptz + i * interval '3 days') ORDER BY i) AS back FROM generate_series(1, 3) i \gset
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT 1, 'back' || referral_id, first_conversion_id, attributed_at + interval '8 days', 4000, referee_id FROM cdp_data.referral WHERE referral_id = ANY ((:'back'::bigint[])[1:2]);
SELECT is(pg_temp.reason((:'back'::bigint[])[3], 'behav.refund') || '|' || pg_temp.codes((:'back'::bigint[])[3], '2026-03-13'), '0.666667 0.600000 {"referees": 3, "refunded": 2}|', 'two of three gave back, once they had');

-- The same where it began with a registration; a refund of a cent, or of one purchase in three, is none.
SELECT pg_temp.person() AS shop2 \gset
SELECT array_agg(pg_temp.refer(:shop2, pg_temp.p(230 + i), '2026-03-01'::timestamptz + i * interval '3 days', '{"kind": "sign_up"}') ORDER BY i) AS signed FROM generate_series(1, 4) i \gset
UPDATE cdp_data.referral_conversion SET value_minor = 0, eligible_minor = 0 WHERE referral_conversion_id IN (SELECT first_conversion_id FROM cdp_data.referral WHERE referrer_id = :shop2);
SELECT is(pg_temp.codes((:'signed'::bigint[])[4]), '', 'nothing was bought, nothing can be given back');
CREATE TEMP TABLE bought AS SELECT i, pg_temp.conversion(pg_temp.p(230 + i), '2026-03-04'::timestamptz + i * interval '3 days') AS id FROM generate_series(1, 4) i;
SELECT pg_temp.conversion(pg_temp.p(234), '2026-03-18'), pg_temp.conversion(pg_temp.p(234), '2026-03-19') \g /dev/null
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT 1, 'part of ' || id, id, '2026-03-20', CASE i WHEN 3 THEN 1 ELSE 4000 END, pg_temp.p(230 + i) FROM bought WHERE i <> 2;
SELECT is(pg_temp.codes((:'signed'::bigint[])[4]), '', 'one of four gave back: of the others one a cent, one a third');
UPDATE cdp_data.referral_refund SET amount_minor = 2000 WHERE amount_minor = 1;
SELECT is(pg_temp.reason((:'signed'::bigint[])[4], 'behav.refund') || '|' || pg_temp.codes((:'signed'::bigint[])[4], '2026-03-19'), '0.500000 0.600000 {"referees": 4, "refunded": 2}|', 'half of it is a return');
-- Referees who never come again: sixty referrers whose referees do, and one of whose six none does.
SELECT pg_temp.person() AS farm2 \gset
CREATE TEMP TABLE busy AS SELECT i, pg_temp.person() AS id FROM generate_series(1, 60) i;
SELECT count(pg_temp.refer(pg_temp.person(), id, '2026-04-01'::timestamptz + i * interval '2 hours')), count(pg_temp.conversion(id, '2026-04-10'::timestamptz + i * interval '1 hour')) FROM busy \g /dev/null
SELECT array_agg(pg_temp.refer(:farm2, pg_temp.p(284 + i), '2026-04-01'::timestamptz + i * interval '7 hours') ORDER BY i) AS once FROM generate_series(1, 6) i \gset
SELECT is(cdp.measure_referral_norms('2026-04-28'), 1::bigint, 'one campaign is measured');
SELECT matches(pg_temp.reason((:'once'::bigint[])[1], 'behav.dormant', '2026-05-01'), '0\.400000 {"idle": 6, "referees": 6, "campaign_rate": 0\.[23]', 'six who do nothing more, where most do');
SELECT is(pg_temp.codes((:'once'::bigint[])[1], '2026-04-27'), '', 'before the first measurement nobody can tell') UNION ALL SELECT ok('behav.dormant' = ANY ((cdp.fraud_score((:'once'::bigint[])[1], '2026-04-27')).degraded) AND NOT 'behav.dormant' = ANY ((cdp.fraud_score((:'once'::bigint[])[1], '2026-05-01')).degraded), 'and says so');
-- Two of them came again under another number that was merged into theirs.
CREATE TEMP TABLE twin AS SELECT pg_temp.p(284 + i) AS id, pg_temp.person() AS other FROM generate_series(1, 2) i;
UPDATE cdp_data.customer c SET parent_id = t.id FROM twin t WHERE c.customer_id = t.other;
SELECT pg_temp.conversion(other, '2026-04-08') FROM twin \g /dev/null
SELECT is(pg_temp.codes((:'once'::bigint[])[1], '2026-05-01'), '', 'as who they are now they did');

-- Velocity: 20 referrers of one each in ten days, and one with five in a day.
SELECT count(pg_temp.refer(pg_temp.person(), pg_temp.person(), '2026-04-24'::timestamptz + i * interval '12 hours')) FROM generate_series(0, 19) i \gset
SELECT cdp.measure_referral_norms('2026-05-05') \g /dev/null
SELECT pg_temp.person() AS crowd \gset
SELECT array_agg(pg_temp.refer(:crowd, pg_temp.person(), '2026-05-05'::timestamptz + i * interval '2 hours') ORDER BY i) AS many FROM generate_series(1, 5) i \gset
SELECT is((SELECT string_agg((pg_temp.codes(x, '2026-05-11') <> '')::int::text, '' ORDER BY o) FROM unnest(:'many'::bigint[]) WITH ORDINALITY t (x, o)), '00011', 'from the fourth in a day on');
SELECT cmp_ok((SELECT abs((e ->> 'value')::float8 - cdp.poisson_cdf(4, (e -> 'evidence' ->> 'expected')::float8, true)) FROM jsonb_array_elements((cdp.fraud_score((:'many'::bigint[])[5], '2026-05-11')).reasons) e WHERE e ->> 'code' = 'vel.referrer'), '<', 1e-6::float8, 'the value is the chance of five by the rate of the others');
SELECT pg_temp.reason((:'many'::bigint[])[5], 'vel.referrer', '2026-05-11') AS pace \gset

-- Clicks: 30 codes with ten clicks each and some referrals, one with 400 and none but one; a code that half of the world has.
SELECT count(pg_temp.click(pg_temp.p(300 + i % 30), NULL, '2026-05-12'::timestamptz + i * interval '1 minute', '{"asn": 7, "country": "DE"}')) FROM generate_series(1, 300) i \gset
SELECT count(pg_temp.refer(pg_temp.p(300 + i), pg_temp.person(), '2026-05-13'::timestamptz + i * interval '40 minutes')) FROM generate_series(0, 29) i \gset
SELECT count(pg_temp.click(pg_temp.p(390), NULL, '2026-05-12'::timestamptz + i * interval '1 minute', '{"asn": 7, "country": "DE"}')) FROM generate_series(1, 400) i \gset
SELECT pg_temp.refer(pg_temp.p(390), pg_temp.person(), '2026-05-14') AS flood, pg_temp.refer(pg_temp.p(391), pg_temp.person(), '2026-05-14', '{"asn": 9, "country": "CN"}') AS leak \gset
SELECT cdp.measure_referral_norms('2026-05-31') \g /dev/null
SELECT is(pg_temp.codes(:flood), 'click.flood', 'hundreds of clicks for one referral');
SELECT count(pg_temp.click(pg_temp.p(391), NULL, '2026-05-14'::timestamptz + i * interval '1 minute', jsonb_build_object('asn', 100 + i, 'country', 'CN'))) FROM generate_series(1, 7) i \gset
SELECT cdp.measure_referral_norms('2026-05-31') \g /dev/null
SELECT is(pg_temp.codes(:leak) || '|' || pg_temp.reason(:leak, 'leak.public_spread'), 'leak.public_spread|8.000000 0.400000 {"networks": 8}', 'a code that is clicked in eight networks on a day');

-- Times that are spread evenly over days, as no person's are: 25 of one referrer against the campaign's.
SELECT pg_temp.person() AS flooder \gset
SELECT array_agg(pg_temp.refer(:flooder, pg_temp.person(), '2026-02-01'::timestamptz + i * interval '2 days', jsonb_build_object('seconds', (40000 + 3000 * i)::text)) ORDER BY i) AS evenly FROM generate_series(1, 25) i \gset
SELECT cdp.measure_referral_norms('2026-05-31') \g /dev/null
SELECT is(pg_temp.reason((:'many'::bigint[])[5], 'vel.referrer'), :'pace', 'the pace is that of before the referral, not of before the question');
SELECT ok(pg_temp.codes((:'evenly'::bigint[])[1]) LIKE '%ctit.flat%' AND pg_temp.codes((:'evenly'::bigint[])[1], '2026-02-20') NOT LIKE '%ctit.flat%', 'conversions long after the click, of twenty and more');

-- From here on nothing is known of the idle: the honest one's advocate has idle friends.
UPDATE cdp_data.fraud_norm SET idle = NULL WHERE as_of = '2026-05-31';

-- What was known then, and no more: addresses that came alive, orders that were taken back, referrals that became duplicates.
UPDATE cdp_data.channel_bounce SET alive_at = '2026-03-10' WHERE identifier_id = (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'bounced@firm.example');
SELECT is(pg_temp.codes(:bounced_referral, '2026-03-05') || '|' || pg_temp.codes(:bounced_referral, '2026-03-11'), 'email.invalid|', 'it bounced until something arrived');
SELECT pg_temp.conversion(pg_temp.p(301), '2026-03-01', '{"device": "lent"}') AS lent, pg_temp.refer(pg_temp.p(301), pg_temp.p(302), '2026-03-05', '{"device": "lent"}') AS lends \gset
UPDATE cdp_data.referral_conversion SET retracted_at = '2026-03-20' WHERE referral_conversion_id = :lent;
SELECT is(pg_temp.codes(:lends, '2026-03-10') || '|' || pg_temp.codes(:lends, '2026-03-21'), 'self.device|', 'an order counts until it was taken back');
SELECT pg_temp.refer(pg_temp.p(303), pg_temp.p(304), '2026-03-01') AS first, pg_temp.refer(pg_temp.p(304), pg_temp.p(303), '2026-03-05') AS second \gset
UPDATE cdp_data.referral SET state = 'duplicate', decided_at = '2026-03-20' WHERE referral_id = :first;
INSERT INTO cdp_data.referral_decision (referral_id, decided_at, to_state, actor, as_of) VALUES (:first, '2026-03-01', 'approved', 'system', '2026-03-01'), (:first, '2026-03-20', 'duplicate', 'system', '2026-03-20');
SELECT is(pg_temp.codes(:second, '2026-03-19') || '|' || pg_temp.codes(:second, '2026-03-21'), 'ring.cycle|', 'a referral counts until it was a duplicate');
-- An identifier that an unmerge gave to somebody is his: when it is of a kind that says something, and from when it was seen.
INSERT INTO cdp_data.identifier (type_id, value, customer_id, first_seen) SELECT v.type, v.value, pg_temp.p(305), v.seen FROM (VALUES (2::smallint, 'x@mailinator.com', timestamptz '2026-03-10'), (1::smallint, 'user-305', '2026-01-01')) v (type, value, seen);
INSERT INTO cdp_data.identifier_override (identifier_id, customer_id) SELECT identifier_id, pg_temp.p(307) FROM cdp_data.identifier WHERE customer_id = pg_temp.p(305) AND value IN ('x@mailinator.com', 'user-305');
SELECT pg_temp.refer(pg_temp.p(306), pg_temp.p(305), '2026-03-05') AS was, pg_temp.refer(pg_temp.p(306), pg_temp.p(307), '2026-03-06') AS got \gset
SELECT is(pg_temp.codes(:was) || '|' || pg_temp.codes(:got) || '|' || pg_temp.codes(:got, '2026-03-09'), '|email.disposable|', 'an address that was given to another by an unmerge');

-- A burst of 260 does not hide its own beginning, nor do later ones change what was said of the first; without any measurement before.
SELECT pg_temp.person() AS bot \gset
SELECT array_agg(pg_temp.refer(:bot, pg_temp.person('bot' || i || '@farm2.example'), '2026-01-10'::timestamptz + i * interval '5 minutes', '{"ip": "bot", "seconds": "none"}') ORDER BY i) AS burst FROM generate_series(1, 260) i \gset
SELECT is(pg_temp.codes((:'burst'::bigint[])[30], '2026-01-12'), 'email.sequential vel.ip vel.referrer vel.referrer_hour', 'the 30th of 260, when all are there');
SELECT is(pg_temp.reason((:'burst'::bigint[])[30], 'vel.ip', '2026-01-12') || ' ' || pg_temp.reason((:'burst'::bigint[])[260], 'vel.ip', '2026-01-12'), '2.000000 0.500000 {"others": 0, "referees": 30} 2.000000 0.500000 {"others": 0, "referees": 260}', 'his own referees are no strangers');
SELECT is(pg_temp.reason((:'burst'::bigint[])[30], 'vel.referrer', '2026-01-12'), pg_temp.reason((:'burst'::bigint[])[30], 'vel.referrer', '2026-01-10 02:31'), 'what came later does not change the pace of then');
SELECT matches(pg_temp.reason((:'burst'::bigint[])[30], 'vel.referrer', '2026-01-12'), '"expected": 5\.0000', 'where nothing is measured, against five a day') UNION ALL
SELECT matches(pg_temp.reason((:'burst'::bigint[])[30], 'vel.referrer', '2026-05-20'), '"expected": 0\.', 'else against the first that was');
-- Many of whom half gave back, and then 200 newer ones.
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT 1, 'burst' || r.referral_id, r.first_conversion_id, '2026-01-20', 4000, r.referee_id FROM cdp_data.referral r WHERE r.referral_id = ANY ((:'burst'::bigint[])[1:200]);
SELECT count(pg_temp.refer(:bot, pg_temp.person(), '2026-02-10'::timestamptz + i * interval '3 hours', '{"seconds": "none"}')) FROM generate_series(1, 210) i \gset
SELECT matches(pg_temp.reason((SELECT max(referral_id) FROM cdp_data.referral WHERE referrer_id = :bot AND attributed_at < '2026-02-15'), 'behav.refund', '2026-02-15'), '"referees": 200', 'newer ones do not hide what was given back');

-- Lists and bans.
SELECT cdp.add_to_fraud_list('allow', 'customer', pg_temp.p(2)::text) AS entry \gset
UPDATE cdp_data.fraud_list SET added_at = '2026-05-01' WHERE fraud_list_id = :entry;
SELECT is((cdp.fraud_score(:honest, '2026-06-01')).decided_by || ' ' || (cdp.fraud_score(:honest, '2026-04-20')).decided_by, 'allow score', 'let through from the day on which he was');
UPDATE cdp_data.fraud_list SET removed_at = '2026-05-20' WHERE fraud_list_id = :entry;
SELECT is((cdp.fraud_score(:honest, '2026-05-19')).decided_by || ' ' || (cdp.fraud_score(:honest, '2026-06-01')).decided_by, 'allow score', 'until it ends');
INSERT INTO cdp_data.referral_ban (customer_id, reason, banned_at, expires_at) VALUES (pg_temp.p(1), 'test', '2026-05-01', '2026-05-10');
SELECT is((cdp.fraud_score(:honest, '2026-05-05')).decision || ' ' || (cdp.fraud_score(:honest, '2026-05-05')).decided_by || ' ' || (cdp.fraud_score(:honest, '2026-06-01')).decided_by, 'reject ban score', 'banned until it ends');
SELECT is(ARRAY(SELECT cdp_internal.referral_banned(ARRAY[pg_temp.p(1), pg_temp.p(2)], 1, '2026-05-05')) || ARRAY(SELECT cdp_internal.referral_banned(ARRAY[pg_temp.p(1)], 1, '2026-05-10')), ARRAY[pg_temp.p(1)], 'who is banned when');
SELECT is(cdp.load_disposable_domains('{a.example,B.example}') || ' ' || cdp.load_disposable_domains('{a.example,c.example}') || ' ' || cdp.load_disposable_domains('{c.example}', true), '2 1 0', 'lists of domains');
SELECT is((SELECT string_agg(value, ' ' ORDER BY value) FROM cdp_data.fraud_list WHERE list = 'disposable_domain' AND removed_at IS NULL), 'c.example', 'a list that replaces the one before');
SELECT cdp.set_fraud_weight('leak.paid', 0.1), cdp.set_fraud_weight('leak.paid', 0.2);
SELECT is(cdp_internal.fraud_weights('infinity') || cdp_internal.fraud_weights('2026-01-01'), '{"leak.paid": 0.2}', 'weights by their last word');

-- Confirmed fraud is known again, but not by its own mark.
INSERT INTO cdp_data.fraud_history (kind, digest, referral_id, confirmed_at) VALUES ('device', pg_temp.d('device', 'd2'), 999999, '2026-05-01'), ('device', pg_temp.d('device', 'tablet'), (SELECT referral_id FROM cdp_data.referral WHERE referee_id = pg_temp.p(19)), '2026-05-01');
SELECT ok(pg_temp.codes(:honest) LIKE '%history.fraud_identifier%' AND pg_temp.codes(:honest, '2026-04-30') NOT LIKE '%history%' AND pg_temp.codes((SELECT referral_id FROM cdp_data.referral WHERE referee_id = pg_temp.p(19))) = 'self.device', 'what a fraud was done with');

-- An address in common with a fraud says something while few people come from it.
INSERT INTO cdp_data.fraud_history (kind, digest, referral_id, confirmed_at, expires_at) VALUES ('ip', pg_temp.d('ip', 'cafe'), 999998, '2026-05-01', '2026-05-31'), ('ip', pg_temp.d('ip', 'den'), 999998, '2026-05-01', '2026-05-31');
SELECT count(pg_temp.conversion(pg_temp.p(310 + i), '2026-05-02'::timestamptz + i * interval '1 hour', '{"ip": "cafe"}')) FROM generate_series(1, 12) i \gset
SELECT pg_temp.refer(pg_temp.person(), pg_temp.person(), '2026-05-03', '{"ip": "cafe"}') AS cafe, pg_temp.refer(pg_temp.person(), pg_temp.person(), '2026-05-03', '{"ip": "den"}') AS den \gset
SELECT is(pg_temp.codes(:cafe, '2026-05-10') || '|' || pg_temp.codes(:den, '2026-05-10'), '|history.fraud_identifier', 'in a cafe it says nothing');

-- The people of the frauds themselves, and the two that are asked about, are no crowd.
CREATE TEMP TABLE lair AS SELECT i, pg_temp.refer(pg_temp.person(), pg_temp.person(), '2026-05-01'::timestamptz + i * interval '5 hours', '{"ip": "lair"}') AS id FROM generate_series(1, 7) i;
INSERT INTO cdp_data.fraud_history (kind, digest, referral_id, confirmed_at, expires_at) SELECT 'ip', pg_temp.d('ip', 'lair'), id, '2026-05-05', '2026-06-04' FROM lair WHERE i <= 6;
SELECT is(pg_temp.codes(id, '2026-05-10'), 'history.fraud_identifier', 'the seventh of a ring from one address, when six are confirmed') FROM lair WHERE i = 7;
SELECT is(pg_temp.codes(id, '2026-05-10'), 'history.fraud_identifier', 'and one of the six beside the others') FROM lair WHERE i = 1;
SELECT count(pg_temp.conversion(pg_temp.p(340 + i), '2026-05-06'::timestamptz + i * interval '1 hour', '{"ip": "lair"}')) FROM generate_series(1, 5) i \g /dev/null
SELECT is(pg_temp.codes(id, '2026-05-06 04:30') || '|' || pg_temp.codes(id, '2026-05-10'), 'history.fraud_identifier|', 'with four others still, with five no more') FROM lair WHERE i = 7;
-- Who signs in from an address comes from there, too.
INSERT INTO cdp_data.fraud_history (kind, digest, referral_id, confirmed_at, expires_at) VALUES ('ip', pg_temp.d('ip', 'desks'), 999997, '2026-05-01', '2026-05-31');
INSERT INTO cdp_data.fraud_fact (customer_id, kind, digest, first_at, last_at) SELECT pg_temp.p(350 + i), 'ip', pg_temp.d('ip', 'desks'), '2026-04-02', '2026-05-02' FROM generate_series(1, 30) i;
SELECT pg_temp.refer(pg_temp.person(), pg_temp.person(), '2026-05-03', '{"ip": "desks"}') AS desk \gset
SELECT is(pg_temp.codes(:desk, '2026-05-10'), '', 'an office whose people only sign in');
-- What is said of the fraud is of what counts.
INSERT INTO cdp_data.fraud_history (kind, digest, referral_id, confirmed_at) VALUES ('device', pg_temp.d('device', 'rented'), 1000500, '2026-05-01');
SELECT is(pg_temp.reason(pg_temp.refer(pg_temp.person(), pg_temp.person(), '2026-05-03', '{"ip": "cafe", "device": "rented"}'), 'history.fraud_identifier', '2026-05-10'), '1.000000 0.900000 {"kinds": 1, "referral": 1000500}', 'the fraud of the device, not that of the cafe');

-- Many at once say what one by one say (each fifth of them, for the time), by the other road too; as of then, what came later changes nothing.
CREATE TEMP TABLE one AS SELECT r.referral_id, cdp.fraud_score(r.referral_id, '2026-05-15')::text AS d FROM cdp_data.referral r WHERE r.attributed_at <= '2026-05-15' AND r.referral_id % 5 = 0;
SELECT is((SELECT count(*) FROM one o FULL JOIN (SELECT j.referral_id, j.d::text AS d FROM cdp_internal.referral_judge(ARRAY(SELECT referral_id FROM cdp_data.referral), '2026-05-15') j WHERE j.referral_id % 5 = 0) m USING (referral_id) WHERE o.d IS DISTINCT FROM m.d), 0::bigint, 'all at once as one by one');
SELECT is((SELECT count(*) FROM one o FULL JOIN (SELECT j.referral_id, j.d::text AS d FROM cdp_internal.referral_judge((SELECT array_agg(x ORDER BY x DESC) FROM (SELECT referral_id FROM cdp_data.referral UNION ALL SELECT -g FROM generate_series(1, 2001) g) t (x)), '2026-05-15') j WHERE j.referral_id % 5 = 0) m USING (referral_id) WHERE o.d IS DISTINCT FROM m.d), 0::bigint, 'by whole tables as by indexes');
SELECT count(pg_temp.refer(pg_temp.p(1 + i % 40), pg_temp.person('later' || i || '@farm.example'), '2026-05-15 02:00'::timestamptz + i * interval '1 hour', '{"ip": "a2", "net": "n2", "device": "d2", "payment": "pay2", "asn": 5, "country": "FR"}')) FROM generate_series(1, 60) i \gset
INSERT INTO cdp_data.fraud_ring_run (as_of, accounts, edges) VALUES ('2026-05-16', 0, 0);
INSERT INTO cdp_data.referral_ban (customer_id, reason, banned_at) VALUES (pg_temp.p(1), 'later', '2026-05-16');
SELECT is((SELECT count(*) FROM one o JOIN cdp_internal.referral_judge(ARRAY(SELECT referral_id FROM one), '2026-05-15') j USING (referral_id) WHERE o.d <> j.d::text), 0::bigint, 'a score of then does not know what came later');
-- What is said of one does not depend on who else is asked about: of one advocate 1300 in 29 hours, four of them from one address 350 apart,
-- five of a counted-up mailbox, and 20 of one campaign before a flood in another one.
SELECT pg_temp.person() AS hub \gset
SELECT cdp.create_referral_campaign('second', starts_at => '2026-01-01', ends_at => '2099-01-01', timezone => 'UTC', currency => 'EUR') AS second \gset
SELECT cdp.set_referral_terms('second', rules => '[{"rule": "cash", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}]', caps => '[{"per": "campaign", "rewards": 1000000}]') \g /dev/null
CREATE TEMP TABLE stream AS SELECT i, pg_temp.refer(:hub, pg_temp.person('mule' || nullif(array_position('{10,300,900,1000,1010}', i), 0) || '@farm3.example'), '2026-05-16'::timestamptz + i / 3 * interval '4 minutes', CASE WHEN i % 350 = 1 THEN '{"ip": "far", "seconds": "none"}' ELSE '{"seconds": "none"}' END::jsonb) AS id FROM generate_series(1, 1300) i;
UPDATE cdp_data.referral SET referral_campaign_id = :second FROM stream s WHERE referral_id = s.id AND s.i NOT BETWEEN 201 AND 220;
INSERT INTO stream SELECT 2000, pg_temp.refer(:hub, pg_temp.person(), '2026-05-17 04:00', '{"seconds": "none"}');
CREATE TEMP TABLE alone AS SELECT s.i, s.id, j.d::text AS d FROM stream s CROSS JOIN LATERAL cdp_internal.referral_judge(ARRAY[s.id], '2026-06-01') j WHERE s.i % 350 = 1 OR s.i IN (2, 10, 220, 300, 760, 899, 900, 901, 1000, 1010, 1300, 2000);
SELECT is((SELECT count(*) FROM alone o FULL JOIN cdp_internal.referral_judge(ARRAY(SELECT id FROM alone), '2026-06-01') j ON j.referral_id = o.id WHERE o.d IS DISTINCT FROM j.d::text), 0::bigint, 'asked together they are what they are alone');
SELECT is((SELECT count(*) FROM alone o FULL JOIN cdp_internal.referral_judge(ARRAY(SELECT id FROM alone UNION ALL SELECT -g FROM generate_series(1, 2001) g), '2026-06-01') j ON j.referral_id = o.id WHERE o.d IS DISTINCT FROM j.d::text), 0::bigint, 'and by whole tables');
SELECT is((SELECT string_agg(format('%s %s%s', i, coalesce(substring(pg_temp.reason(id, 'email.sequential') FROM '"addresses": \d+'), '-'), ' ' || pg_temp.reason(id, 'vel.ip')), ', ' ORDER BY i) FROM alone WHERE i IN (10, 300, 900, 1000, 1010, 1051)),
  '10 -, 300 -, 900 -, 1000 "addresses": 3, 1010 "addresses": 3, 1051 -', 'within the 500 before and the 100 after');
SELECT matches((SELECT pg_temp.reason(id, 'vel.referrer') FROM stream WHERE i = 2000), '"referrals": 21}', 'the pace of a campaign is that of its own last 500');
SELECT * FROM finish();
ROLLBACK;
