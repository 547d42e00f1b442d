-- The report of a referral campaign: every figure counted by hand, tests and other campaigns nowhere in it, merges, the smallest
-- audience, roles, an empty campaign, bad input.
BEGIN;
SELECT plan(52);
\ir referral_report.inc
SELECT pg_temp.campaign('empty') AS none \gset
CREATE TEMP TABLE empty AS SELECT * FROM cdp.referral_report('empty', '2026-03-01');
SELECT is((SELECT count(*) FROM empty WHERE value IS NULL AND note NOT LIKE 'insufficient data: %'), 0::bigint, 'of an empty campaign: what has no value says why');
SELECT is((SELECT count(*) FROM empty WHERE value <> 0), 0::bigint, 'and nothing else');
SELECT is((SELECT string_agg(note, '; ') FROM empty WHERE metric IN ('participation_rate', 'k_factor', 'net_roi')), 'insufficient data: no people who were reached; insufficient data: nobody joined 30 days or more before; insufficient data: no approved referrals', 'it says what is missing');

-- 100 are told and have codes, 10 have codes, 20 share 30 times, 50 visitors click.
SELECT pg_temp.campaign('spring', goal => 50) AS c \gset
SELECT pg_temp.enrol(:c, ARRAY(SELECT generate_series(1, 110))), pg_temp.tell(:c, ARRAY(SELECT generate_series(1, 100))), pg_temp.tell(:c, ARRAY(SELECT generate_series(1001, 1005)), state => 'failed') \gset x_
SELECT count(pg_temp.share(:c, i, CASE WHEN i <= 10 THEN 2 ELSE 1 END)) FROM generate_series(1, 20) i \gset x_
SELECT count(pg_temp.click(:c, 1 + (i - 121) % 20, i)) FROM generate_series(121, 160) i \gset x_
SELECT count(pg_temp.click(:c, 1, NULL, 'device ' || i % 10)) FROM generate_series(1, 20) i \gset x_
-- 21 of them are brought by it, three by a code that they typed; one of them brings another one, and one buys twice.
SELECT count(pg_temp.bring(:c, 1 + (i - 121) % 20, i, CASE WHEN i <= 134 THEN 'approved' WHEN i <= 136 THEN 'rejected' WHEN i = 137 THEN 'review' ELSE 'pending' END, CASE WHEN i <= 138 THEN 100 END)) FROM generate_series(121, 140) i \gset x_
SELECT count(pg_temp.bring(:c, 1, i, CASE WHEN i < 144 THEN 'approved' ELSE 'pending' END)) FROM generate_series(141, 144) i \gset x_
SELECT pg_temp.enrol(:c, '{121}', '2026-01-11'), pg_temp.bring(:c, 121, 151, at => '2026-01-20') AS second \gset
SELECT pg_temp.enrol(:c, '{170}', '2026-02-25') \gset x_
INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, referral_code_id) VALUES (:shop, 'lost', 'sign_up', '2026-01-09', 1, 310, :c * 100000 + 4), (:shop, 'of nobody', 'sign_up', '2026-01-09', 1, 311, NULL);
-- What must count nowhere: tests, programs, prefetches, what was taken back, ineligible and double ones, another campaign, the future.
SELECT pg_temp.enrol(:c, '{300}', test => true), pg_temp.share(:c, 301, 5, test => true), pg_temp.click(:c, 2, 302, test => true), pg_temp.click(:c, 2, 303, bot => true), pg_temp.click(:c, 2, 304, prefetch => true), pg_temp.click(:c, 2, 305, retracted => '2026-01-07'),
  pg_temp.bring(:c, 2, 306, test => true), pg_temp.bring(:c, 2, 307, 'ineligible'), pg_temp.bring(:c, 3, 121, 'duplicate'), pg_temp.bring(:c, 2, 308, at => '2026-03-02'), pg_temp.share(:c, 100, 1, '2026-03-02'), pg_temp.click(:c, 2, 309, at => '2026-03-02') \gset x_
SELECT pg_temp.campaign('other') AS o \gset
SELECT pg_temp.enrol(:o, ARRAY(SELECT generate_series(1, 50))), pg_temp.share(:o, 1, 7), pg_temp.click(:o, 1, 400), pg_temp.bring(:o, 1, 400, 'rejected') \gset x_
UPDATE cdp_data.referral_conversion SET retracted_at = '2026-02-01' WHERE customer_id = 307;
-- Rewards: 20 and 10 for each approved; of 122 four tenths come back; one expires; some are paid.
SELECT count(pg_temp.reward(referral_id, 'give', 20, CASE WHEN referee_id = 122 THEN 8 ELSE 0 END, ready => 14, paid => CASE WHEN referee_id <= 130 THEN 8 END)),
  count(pg_temp.reward(referral_id, 'get', 10, CASE WHEN referee_id = 122 THEN 4 ELSE 0 END, CASE WHEN referee_id = 131 THEN 10 ELSE 0 END, CASE WHEN referee_id <> 151 THEN 14 END)) FROM cdp_data.referral WHERE referral_campaign_id = :c AND state = 'approved' AND NOT is_test AND attributed_at < '2026-03-01' \gset x_
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT :shop, 'refund', first_conversion_id, '2026-01-15', 4000, 122 FROM cdp_data.referral WHERE referee_id = 122;
CREATE TEMP TABLE r AS SELECT * FROM cdp.referral_report('spring', '2026-03-01', margin => 0.5);
CREATE FUNCTION pg_temp.v(m text, t regclass DEFAULT 'r') RETURNS numeric LANGUAGE plpgsql AS $$ DECLARE x numeric; BEGIN EXECUTE format('SELECT value FROM %s WHERE metric = %L', t, m) INTO STRICT x; RETURN x; END $$;
SELECT is((SELECT string_agg(metric || ' ' || value, ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM r) x WHERE section = 'funnel'), 'reached 101, enrolled 112, shared 21, clicked 50, signed_up 25, converted 23, approved 18, paid 10', 'the funnel');
SELECT is((SELECT string_agg(format('%s %s/%s %s %s', metric, numerator, denominator, denominator_name, value), ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM r) x WHERE section = 'rates'),
  'enrolment_rate 100/100 people who were told 1.000000, participation_rate 21/101 people who were reached 0.207921, share_rate 21/112 enrolled advocates 0.187500, clicked_rate 20/21 advocates who shared 0.952381, '
  'click_through_rate 50/30 invitations (acts of sharing) 1.666667, signup_rate 21/50 visitors who clicked 0.420000, conversion_rate 19/50 visitors who clicked 0.380000, purchase_rate 23/25 referred people (all evidence) 0.920000, '
  'approval_rate 18/20 decided referrals 0.900000, paid_rate 10/18 approved referrals 0.555556', 'rates with their denominators');
SELECT is((SELECT (r.low, r.high)::text FROM r WHERE metric = 'conversion_rate'), (SELECT (round(i.low::numeric, 6), round(i.high::numeric, 6))::text FROM cdp.rate_interval(19, 50) i), 'with the interval of Wilson');
SELECT is((SELECT (round(low, 6), round(high, 6))::text FROM r WHERE metric = 'click_through_rate'),
  (SELECT (round(b.low::numeric, 6), round(b.high::numeric, 6))::text FROM cdp.bootstrap_ratio(ARRAY(SELECT CASE WHEN i = 1 THEN 12 ELSE 2 END::float8 FROM generate_series(1, 20) i), ARRAY(SELECT CASE WHEN i <= 10 THEN 2 ELSE 1 END::float8 FROM generate_series(1, 20) i)) b), 'clicks for each invitation: resampled over advocates');
-- K: 110 with codes and 23 who were brought joined by 20 January, one later than 30 days before.
SELECT is((SELECT string_agg(format('%s %s/%s %s', metric, numerator, denominator, value), ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM r) x WHERE metric ~ '^(invitations|conversions|k_factor)'),
  'invitations_per_customer 30/133 0.225564, conversions_per_invitation 23/30 0.766667, k_factor 23/133 0.172932, invitations_per_customer_of_referred 0/23 0.000000, conversions_per_invitation_of_referred 1/0 , k_factor_of_referred 1/23 0.043478', 'K = i c, over sharers and others');
SELECT is((SELECT note FROM r WHERE metric = 'k_factor'), 'within 30 days of joining; right-censored cohorts are excluded (1 customers); interval by 1000 bootstrap samples over customers', 'and what was left out');
SELECT is(pg_temp.v('amplification'), round(1 / (1 - 23 / 133.0), 6), 'amplification 1 / (1 - K)');
-- Advocates: 1 brought 6 who count, 2..14 and 16..20 one, the last four of the 20 one each but 15 and 16, whose are rejected.
SELECT is((SELECT (low, high)::text FROM r WHERE metric = 'k_factor'), (SELECT (round(b.low::numeric, 6), round(b.high::numeric, 6))::text
  FROM cdp.bootstrap_ratio(ARRAY(SELECT CASE WHEN i = 1 THEN 5 WHEN i IN (15, 16) THEN 0 WHEN i <= 21 THEN 1 ELSE 0 END::float8 FROM generate_series(1, 133) i), array_fill(1::float8, ARRAY[133])) b), 'interval of K: resampled over customers');
SELECT is((SELECT string_agg(metric || ' ' || coalesce(value::text, '-') || ' ' || note, ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM r) x WHERE metric ~ '^(cycle|time_to|generation|in_a)'),
  'cycle_time 8.000000 median from joining to the joining of who was brought, within 30 days of joining, time_to_first_referral - insufficient data: fewer than half have brought somebody (19 of 134 so far), generation_1 22 people brought by those whom nobody brought, generation_2 1 people brought by generation 1', 'cycle time and generations');
SELECT is((SELECT string_agg(metric || ' ' || value, ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM r) x WHERE section = 'money' AND value IS NOT NULL),
  'revenue 1900.00, refunds 40.00, rewards_granted 540.00, rewards_taken_back 12.00, rewards_expired 10.00, fees 0.00, clawback_outstanding 0.00, other_cost 0.00, cost 540.00, net_cost 518.00, gross_roi 0.759259, net_roi 0.795367, cac_referred 28.78', 'money');
SELECT is((SELECT string_agg(note, '; ') FROM cdp.referral_report('spring', '2026-03-01') WHERE metric IN ('gross_roi', 'net_roi') AND value IS NULL), 'insufficient data: say what part of revenue is margin (margin => 0.3); insufficient data: say what part of revenue is margin (margin => 0.3)', 'no margin, no return');
SELECT is((SELECT string_agg(metric || ' ' || coalesce(value::text, '-'), ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM r) x WHERE section = 'rewards'),
  'conversion_to_available_p50 14.000000, conversion_to_available_p90 14.000000, available_to_paid_p50 -, available_to_paid_p90 -, liability_0_to_30_days 0.00, liability_30_to_60_days 326.00, liability_60_to_90_days 0.00, liability_over_90_days 0.00, liability 326.00', 'rewards: days and what is owed');
SELECT is((SELECT (value, numerator, denominator, note)::text FROM r WHERE section = 'tracking'), '(0.961538,25,26,"1 have evidence and no decision")', 'of those with evidence one has no decision');
SAVEPOINT named;
INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, claimed_customer_id, manual_customer_id) VALUES (:shop, 'named 1', 'purchase', '2026-01-09', 1, 321, 4, NULL), (:shop, 'named 2', 'purchase', '2026-01-09', 1, 322, NULL, 5), (:shop, 'named 3', 'purchase', '2026-01-09', 1, 323, 999, 998);
SELECT is((SELECT (numerator, denominator)::text FROM cdp.referral_report('spring', '2026-03-01') WHERE section = 'tracking'), '(25,28)', 'who names an advocate carries evidence, too; not who names somebody else');
ROLLBACK TO named;
SELECT is((SELECT (value, numerator, denominator)::text FROM r WHERE section = 'goal'), '(0.420000,21,50)', 'the target');
-- Intervals of returns: resampled over the 18 approved referrals, each with its profit and cost.
CREATE TEMP TABLE each AS SELECT referee_id, CASE WHEN referee_id = 121 THEN 200 ELSE 100 END * 0.5 AS margin, CASE WHEN referee_id = 122 THEN 40 ELSE 0 END * 0.5 AS back, 30 AS cost, 30 - CASE WHEN referee_id = 122 THEN 12 WHEN referee_id = 131 THEN 10 ELSE 0 END AS kept
  FROM cdp_data.referral WHERE referral_campaign_id = :c AND state = 'approved' AND NOT is_test AND attributed_at < '2026-03-01';
SELECT is((SELECT (low, high)::text FROM r WHERE metric = 'gross_roi'), (SELECT (round(b.low::numeric, 6), round(b.high::numeric, 6))::text FROM (SELECT array_agg((margin - cost)::float8) AS p, array_agg(cost::float8) AS c FROM each) x, cdp.bootstrap_ratio(p, c) b), 'interval of the gross return');
SELECT is((SELECT (low, high)::text FROM r WHERE metric = 'net_roi'), (SELECT (round(b.low::numeric, 6), round(b.high::numeric, 6))::text FROM (SELECT array_agg((margin - back - kept)::float8) AS p, array_agg(kept::float8) AS c FROM each) x, cdp.bootstrap_ratio(p, c) b), 'interval of the net return');
SELECT is((SELECT (round(a.value, 4), round(b.value, 4))::text FROM cdp.referral_report('spring', '2026-03-01', 0.5, 100) a, cdp.referral_report('spring', '2026-03-01', 0.5, 100) b WHERE a.metric = 'gross_roi' AND b.metric = 'net_roi'), '(0.4844,0.5049)', 'other cost: (950 - 640) / 640 and (930 - 618) / 618');
-- Fraud: two of 25 are rejected, who would have earned 30 each; one of two rewards of one of them is paid already.
SAVEPOINT fraud;
SELECT pg_temp.reward(referral_id, 'give', 20, 20, ready => 1, paid => 1, mode => 'owing') FROM cdp_data.referral WHERE referee_id = 135 \g /dev/null
INSERT INTO cdp_data.referral_decision (referral_id, to_state, actor, as_of) SELECT referral_id, 'review', 'system', '2026-01-10' FROM cdp_data.referral WHERE referee_id IN (121, 135, 137);
SELECT is((SELECT string_agg(format('%s %s %s/%s', metric, value, numerator, denominator), ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM cdp.referral_report('spring', '2026-03-01')) x WHERE section = 'fraud'),
  'review_rate 0.120000 3/25, rejection_rate 0.080000 2/25, value_blocked 40.00 /, value_lost 20.00 /, prevention_rate_by_value 0.666667 40.00/60.00, prevention_rate_by_count 0.500000 1/2, leak_rate 0.000000 0/60', 'fraud');
SELECT is((SELECT string_agg(metric || ' ' || value, ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM cdp.referral_report('spring', '2026-03-01')) x WHERE metric IN ('rewards_granted', 'rewards_taken_back', 'net_cost')), 'rewards_granted 560.00, rewards_taken_back 32.00, net_cost 518.00', 'what was paid and is owed back is granted and taken back');
SELECT is((SELECT (value, low, high)::text FROM cdp.referral_report('spring', '2026-03-01', 0.5) WHERE metric = 'gross_roi'), (SELECT (round(b.ratio::numeric, 6), round(b.low::numeric, 6), round(b.high::numeric, 6))::text
  FROM (SELECT array_agg((margin - cost)::float8) AS p, array_agg(cost::float8) AS c FROM (SELECT margin, cost FROM each UNION ALL SELECT 0, 20) y) x, cdp.bootstrap_ratio(p, c) b), 'what a rejected referral cost is in the interval, too');
-- A payout that failed: the reward is to be paid again.
UPDATE cdp_data.reward SET paid_minor = 0, available_minor = paid_minor WHERE reward_id = (SELECT min(reward_id) FROM cdp_data.reward WHERE referral_campaign_id = :c AND state = 'paid' AND clawed_minor = 0);
SELECT is((SELECT string_agg(metric || ' ' || value, ', ') FROM cdp.referral_report('spring', '2026-03-01') WHERE metric IN ('paid', 'liability')), 'paid 9, liability 346.00', 'what went out and came back is not paid');
ROLLBACK TO fraud;
-- As known earlier.
SELECT is((SELECT string_agg(metric || ' ' || value, ', ') FROM cdp.referral_report('spring', '2026-01-15') WHERE metric IN ('signed_up', 'generation_1', 'generation_2', 'enrolled', 'refunds')), 'enrolled 111, signed_up 24, generation_1 22, refunds 40.00', 'as known on 15 January');
SELECT is((SELECT value FROM cdp.referral_report('spring', '2026-01-14') WHERE metric = 'refunds'), 0::numeric, 'and the day before the refund');
SELECT is((SELECT string_agg(a || ' ' || value, ', ' ORDER BY a) FROM unnest('{2026-01-14,2026-01-15}'::date[]) a, cdp.referral_report('spring', a) WHERE metric = 'rewards_taken_back'), '2026-01-14 0.00, 2026-01-15 12.00', 'nothing is taken back for a refund that is to come');
SELECT is((SELECT string_agg(metric || ' ' || value, ', ') FROM cdp.referral_report('spring', '2026-01-20') WHERE metric LIKE 'liability%' AND value > 0), 'liability_0_to_30_days 518.00, liability 518.00', 'what was not paid then was owed then');
SELECT is((SELECT count(*) FROM (SELECT * FROM r EXCEPT SELECT * FROM cdp.referral_report('spring', '2026-03-01', 0.5)) x), 0::bigint, 'asked again it says the same');
SET timezone = 'America/New_York';
SELECT is((SELECT count(*) FROM (SELECT * FROM r EXCEPT SELECT * FROM cdp.referral_report('spring', timestamptz '2026-03-01 00:00+08', 0.5)) x), 0::bigint, 'in any time zone');
SET timezone = 'Asia/Shanghai';
-- Merges count at once: two sharers are one, and an advocate becomes one with whom another brought.
UPDATE cdp_data.customer SET parent_id = 19 WHERE customer_id = 20;
SELECT is((SELECT string_agg(metric || ' ' || value, ', ') FROM cdp.referral_report('spring', '2026-03-01') WHERE section = 'funnel'), 'reached 100, enrolled 111, shared 20, clicked 50, signed_up 25, converted 23, approved 18, paid 10', 'two who were merged are one');
UPDATE cdp_data.customer SET parent_id = 20 WHERE customer_id = 20;
-- A circle: nobody of it is a first one.
SELECT pg_temp.campaign('circle') AS l \gset
SELECT pg_temp.enrol(:l, '{1,2,3,4}'), pg_temp.bring(:l, 1, 2), pg_temp.bring(:l, 2, 3), pg_temp.bring(:l, 3, 1), pg_temp.bring(:l, 4, 5), pg_temp.bring(:l, 5, 6) \gset x_
SELECT is((SELECT string_agg(metric || ' ' || value, ', ') FROM cdp.referral_report('circle', '2026-03-01') WHERE metric ~ '^(gen|in_a)'), 'generation_1 1, generation_2 1, in_a_circle 3', 'circles end, and are told');
-- A slow twin of K over random life of 300 people.
SELECT pg_temp.campaign('random') AS k \gset
CREATE FUNCTION pg_temp.rnd(i bigint, salt integer, n integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN (abs(hashint8extended(i, salt)) % n)::integer;
SELECT pg_temp.enrol(:k, ARRAY[i], timestamptz '2026-01-01' + pg_temp.rnd(i, 1, 80) * interval '1 day') FROM generate_series(2001, 2150) i \g /dev/null
SELECT pg_temp.share(:k, i, pg_temp.rnd(i, 2, 4), timestamptz '2026-01-01' + pg_temp.rnd(i, 3, 90) * interval '1 day') FROM generate_series(2001, 2150) i WHERE pg_temp.rnd(i, 2, 4) > 0 \g /dev/null
SELECT pg_temp.bring(:k, 2001 + pg_temp.rnd(i, 4, CASE WHEN i % 3 = 0 THEN i::integer - 2001 ELSE 150 END), i, (ARRAY['approved', 'pending', 'review', 'rejected'])[1 + pg_temp.rnd(i, 5, 4)], CASE WHEN i % 4 > 0 THEN 10 END, timestamptz '2026-01-01' + pg_temp.rnd(i, 6, 90) * interval '1 day') FROM generate_series(2151, 2300) i \g /dev/null
CREATE FUNCTION pg_temp.twin(campaign integer, as_of timestamptz, days integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  p bigint; j timestamptz; n integer := 0; inv integer := 0; conv integer := 0; late integer := 0;
BEGIN
  FOR p IN SELECT generate_series(2001, 2300) LOOP
    SELECT min(t) INTO j FROM (SELECT issued_at FROM cdp_data.referral_code c WHERE c.customer_id = p AND c.referral_campaign_id = campaign UNION ALL SELECT shared_at FROM cdp_data.referral_share s WHERE s.customer_id = p AND s.referral_campaign_id = campaign
      UNION ALL SELECT attributed_at FROM cdp_data.referral r WHERE (r.referee_id = p OR r.referrer_id = p) AND r.referral_campaign_id = campaign AND r.state <> 'rejected') x (t) WHERE t <= as_of;
    CONTINUE WHEN j IS NULL;
    IF j + days * interval '24 hours' > as_of THEN late := late + 1; CONTINUE; END IF;
    n := n + 1;
    inv := inv + (SELECT count(*) FROM cdp_data.referral_share s WHERE s.customer_id = p AND s.referral_campaign_id = campaign AND s.shared_at >= j AND s.shared_at < j + days * interval '24 hours');
    conv := conv + (SELECT count(*) FROM cdp_data.referral r WHERE r.referrer_id = p AND r.referral_campaign_id = campaign AND r.state <> 'rejected' AND r.attributed_at >= j AND r.attributed_at < j + days * interval '24 hours');
  END LOOP;
  RETURN format('%s/%s %s/%s %s', inv, n, conv, n, late);
END $$;
SELECT is((SELECT format('%s/%s %s/%s %s', i.numerator, i.denominator, k.numerator, k.denominator, substring(k.note FROM '\((\d+) customers\)')) FROM cdp.referral_report('random', a, within => d * interval '1 day') i, cdp.referral_report('random', a, within => d * interval '1 day') k WHERE i.metric = 'invitations_per_customer' AND k.metric = 'k_factor'),
  pg_temp.twin(:k, a, d), format('K as its twin, %s days as of %s', d, a)) FROM (VALUES (timestamptz '2026-03-01', 30), ('2026-03-20', 14), ('2026-04-10', 7)) x (a, d);
-- The smallest audience: figures about fewer people are not there.
UPDATE cdp_data.setting SET minimum_audience = 20;
CREATE TEMP TABLE few AS SELECT * FROM cdp.referral_report('spring', '2026-03-01', margin => 0.5);
SELECT is((SELECT string_agg(metric, ' ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM few) x WHERE note = 'hidden: fewer people than the minimum audience' AND section IN ('funnel', 'rates')), 'converted approved paid clicked_rate conversion_rate purchase_rate approval_rate paid_rate', 'shares of fewer, or that leave fewer over, are hidden');
SELECT is((SELECT count(*) FROM few WHERE note LIKE 'hidden%' AND num_nonnulls(value, numerator, denominator, low, high, n) > 0), 0::bigint, 'with all their numbers');
SELECT is((SELECT value FROM few WHERE metric = 'k_factor'), 0.172932, 'what is about enough people stays');
SELECT is((SELECT value FROM few WHERE metric = 'generation_2'), NULL, 'one person of a generation is not told of');
UPDATE cdp_data.setting SET minimum_audience = NULL;
-- Roles: those without rights on rewards see sums.
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'test_ref_analyst') THEN CREATE ROLE test_ref_analyst; CREATE ROLE test_ref_nobody; END IF; END $$;
GRANT USAGE ON SCHEMA cdp, cdp_data, cdp_internal TO test_ref_analyst, test_ref_nobody;
GRANT SELECT ON cdp_data.setting TO test_ref_analyst, test_ref_nobody;
SELECT format('GRANT %s ON FUNCTION %s TO test_ref_analyst', g.privileges, g.object) FROM cdp_data.grant_rule g WHERE g.template = 'analyst' AND g.object_kind = 'FUNCTION' AND g.object LIKE 'cdp_data.referral_re%' \gexec
GRANT SELECT ON r TO test_ref_analyst;
SET ROLE test_ref_analyst;
SELECT is((SELECT count(*) FROM (SELECT * FROM r EXCEPT SELECT * FROM cdp.referral_report('spring', '2026-03-01', 0.5)) x), 0::bigint, 'an analyst sees it all');
SET ROLE test_ref_nobody;
SELECT throws_ok($$SELECT cdp.referral_report('spring')$$, '42501', NULL, 'somebody does not');
RESET ROLE;
-- Bad input.
SELECT throws_ok(format('SELECT cdp.referral_report(%s)', a), s, NULL, 'refused: ' || a) FROM (VALUES ($$'sprung'$$, '42704'), ($$NULL$$, '42704'), ($$'spring', margin => 1.5$$, '22023'), ($$'spring', margin => 'NaN'$$, '22023'), ($$'spring', other_cost => -1$$, '22023'), ($$'spring', other_cost => 'NaN'$$, '22023'),
  ($$'spring', within => '0'$$, '22023'), ($$'spring', within => NULL$$, '22023'), ($$'spring', confidence => 1$$, '22023'), ($$'spring', 'infinity'$$, '22023')) x (a, s);
SELECT * FROM finish();
ROLLBACK;
