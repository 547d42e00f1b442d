-- What the report of a referral campaign says about money beside its own rewards: the holdout, other ways to customers, the ledger;
-- and its counts against a slow twin over random life with merges.
BEGIN;
SELECT plan(31);
\ir referral_report.inc
SELECT setval('cdp_data.customer_customer_id_seq', 3000) \g /dev/null
SELECT cdp.create_holdout('half', 0.5) AS h, pg_temp.campaign('held', holdout => 'half') AS c \gset
-- 60 are told and 60 are held out; 20 and 8 of them buy for 100.
CREATE TEMP TABLE person AS SELECT i, (cdp.identify('shop', jsonb_build_object('email', 'p' || i || '@example.org'))).customer_id AS id FROM generate_series(1, 120) i;
INSERT INTO cdp_data.holdout_assignment (holdout_id, customer_id, arm, assigned_at) SELECT :h, id, CASE WHEN i <= 60 THEN 'treatment' ELSE 'control' END, '2026-01-02' FROM person;
SELECT count(cdp.track('shop', 'purchase', jsonb_build_object('email', 'p' || i || '@example.org'), occurred_at => '2026-01-20', value => 100, message_id => 'p' || i)) FROM generate_series(1, 120) i WHERE i <= 20 OR i BETWEEN 61 AND 68 \g /dev/null
SELECT pg_temp.enrol(:c, ARRAY(SELECT id FROM person WHERE i <= 60)) \g /dev/null
CREATE TEMP TABLE r AS SELECT * FROM cdp.referral_report('held', '2026-03-01', 0.4, other_cost => 100);
SELECT is((SELECT (value, numerator, denominator, n)::text FROM r WHERE metric = 'incremental_customers'), '(12.000000,20,60,120)', 'a third of those told buy, 8 in 60 of those held out: 12 more of 60');
SELECT is((SELECT (low, high)::text FROM r WHERE metric = 'incremental_customers'), (SELECT (round(60 * d.low::numeric, 5)::numeric(20,6), round(60 * d.high::numeric, 5)::numeric(20,6))::text FROM (SELECT round(x.low::numeric, 6) AS low, round(x.high::numeric, 6) AS high FROM cdp.rate_difference(20, 60, 8, 60) x) d), 'with the interval of Newcombe');
SELECT is((SELECT round(value, 4) FROM r WHERE metric = 'incremental_roi'), 3.8, '20 more for each of 60, 0.4 of it, less 100, by 100');
SELECT is((SELECT round(low, 4) FROM r WHERE metric = 'incremental_roi'), (SELECT round(((0.4 * 60 * d.low - 100) / 100)::numeric, 4) FROM (SELECT avg(v) AS m, var_samp(v) AS s FROM (SELECT CASE WHEN i <= 20 THEN 100.0 ELSE 0 END AS v FROM generate_series(1, 60) i) x) t,
  (SELECT avg(v) AS m, var_samp(v) AS s FROM (SELECT CASE WHEN i <= 8 THEN 100.0 ELSE 0 END AS v FROM generate_series(1, 60) i) x) b, cdp.mean_difference(60, t.m::float8, t.s::float8, 60, b.m::float8, b.s::float8) d), 'with the interval of Welch');
SELECT is((SELECT string_agg(note, '; ') FROM cdp.referral_report('held', '2026-03-01') WHERE metric LIKE 'incremental%' AND value IS NULL), 'insufficient data: say what part of revenue is margin (margin => 0.3)', 'no margin, no return');
-- Other ways: 28 first purchases in the time of the campaign, of whom 3 were brought; 500 spent then, 100 before.
SELECT pg_temp.bring(:c, (SELECT id FROM person WHERE i = 1), (SELECT id FROM person WHERE i = k), at => '2026-01-20') FROM generate_series(61, 63) k \g /dev/null
SELECT is((SELECT note FROM r WHERE metric = 'cac_other'), 'insufficient data: no spend is known of the time of the campaign', 'no spend is known');
INSERT INTO cdp_data.spend (day, timezone, channel_id, amount, currency, source_id) SELECT d, 'Asia/Shanghai', (SELECT min(channel_id) FROM cdp_data.channel_all), a, 'CNY', :shop FROM (VALUES (date '2026-01-15', 500), ('2025-12-15', 100)) v (d, a);
SELECT is((SELECT (value, numerator, denominator, unit)::text FROM cdp.referral_report('held', '2026-03-01') WHERE metric = 'cac_other'), '(20.00,500.00,25,"CNY per new customer")', 'what other new customers cost');

-- The ledger: fees, and what is owed back.
SELECT is((SELECT string_agg(metric || ' ' || value, ', ') FROM r WHERE metric IN ('fees', 'clawback_outstanding', 'net_cost')), 'fees 0.00, clawback_outstanding 0.00, net_cost 100.00', 'nothing yet');
INSERT INTO cdp_data.ledger_account (kind, referral_campaign_id, customer_id, currency, balance_minor) VALUES ('fees', :c, NULL, 'CNY', 0), ('paid', :c, NULL, 'CNY', 0), ('clawback_receivable', :c, 1, 'CNY', 0);
INSERT INTO cdp_data.ledger_posting (ledger_posting_id, idempotency_key, kind, occurred_at, booked_on) SELECT 900000 + i, sha256(i::text::bytea), CASE i WHEN 2 THEN 'clawback' ELSE 'fee' END, CASE i WHEN 3 THEN timestamptz '2026-03-02' ELSE '2026-02-01' END, '2026-02-01' FROM generate_series(1, 3) i;
INSERT INTO cdp_data.ledger_entry (ledger_posting_id, line, ledger_account_id, amount_minor) SELECT 900000 + i, l, (SELECT a.ledger_account_id FROM cdp_data.ledger_account a WHERE a.referral_campaign_id = :c AND a.kind = CASE l WHEN 2 THEN 'paid' ELSE CASE i WHEN 2 THEN 'clawback_receivable' ELSE 'fees' END END), CASE l WHEN 1 THEN 1 ELSE -1 END * 250 * i FROM generate_series(1, 3) i, generate_series(1, 2) l;
SELECT is((SELECT string_agg(metric || ' ' || value, ', ') FROM cdp.referral_report('held', '2026-03-01', 0.4, other_cost => 100) WHERE metric IN ('fees', 'clawback_outstanding', 'cost', 'net_cost')), 'fees 2.50, clawback_outstanding 5.00, cost 102.50, net_cost 107.50', 'fees and what is owed back, up to as_of');

-- A provider's fee belongs to no campaign in the books: 0.60 for a payout of 30, 10 of which are of this one.
SELECT pg_temp.campaign('beside') AS b \gset
SELECT pg_temp.enrol(:b, '{1}') \g /dev/null
SELECT pg_temp.reward(pg_temp.bring(:c, 1, 2901, at => '2026-02-01'), 'give', 10, ready => 1, paid => 1) AS one, pg_temp.reward(pg_temp.bring(:b, 1, 2902, at => '2026-02-01'), 'give', 20, ready => 1, paid => 1) AS two \gset
INSERT INTO cdp_data.payout_batch (payout_batch_id, provider, currency, claimed_at, claimed_role) VALUES (900001, 'bank', 'CNY', '2026-02-03', 'x');
INSERT INTO cdp_data.payout (payout_id, payout_batch_id, customer_id, currency, amount_minor, provider, state, claimed_at, sent_at) VALUES (900001, 900001, 1, 'CNY', 3000, 'bank', 'confirmed', '2026-02-03', '2026-02-03');
INSERT INTO cdp_data.payout_item (payout_id, reward_id, amount_minor) VALUES (900001, :one, 1000), (900001, :two, 2000);
INSERT INTO cdp_data.ledger_account (kind, currency, balance_minor) VALUES ('fees', 'CNY', 0), ('paid', 'CNY', 0);
INSERT INTO cdp_data.ledger_posting (ledger_posting_id, idempotency_key, kind, occurred_at, booked_on, payout_id) VALUES (900009, sha256('fee'), 'fee', '2026-02-03', '2026-02-03', 900001);
INSERT INTO cdp_data.ledger_entry (ledger_posting_id, line, ledger_account_id, amount_minor) SELECT 900009, CASE a.kind WHEN 'fees' THEN 1 ELSE 2 END, a.ledger_account_id, CASE a.kind WHEN 'fees' THEN 60 ELSE -60 END FROM cdp_data.ledger_account a WHERE a.referral_campaign_id IS NULL AND a.customer_id IS NULL AND a.kind IN ('fees', 'paid');
SELECT is((SELECT string_agg(format('%s %s %s', c, a, r.value), ', ' ORDER BY c DESC, a) FROM unnest('{held,beside}'::text[]) c, unnest('{2026-02-02,2026-03-01}'::date[]) a, cdp.referral_report(c, a) r WHERE r.metric = 'fees'), 'held 2026-02-02 2.50, held 2026-03-01 2.70, beside 2026-02-02 0.00, beside 2026-03-01 0.40', 'the fee of a payout is of the campaigns that it paid for');

-- The smallest audience: what is hidden does not come out of what is shown. 50 buy for 100 each, one of them in another currency besides.
SAVEPOINT shy;
SELECT pg_temp.campaign('shy') AS y \gset
SELECT pg_temp.enrol(:y, ARRAY(SELECT generate_series(1, 50))) \g /dev/null
CREATE TEMP TABLE shy AS SELECT i, pg_temp.bring(:y, i, 1000 + i, at => '2026-02-10') AS id FROM generate_series(1, 50) i;
SELECT pg_temp.reward(id, 'give', 20, CASE WHEN i = 1 THEN 20 ELSE 0 END) FROM shy \g /dev/null
UPDATE cdp_data.setting SET minimum_audience = 10;
CREATE FUNCTION pg_temp.shy(names text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(metric || ' ' || coalesce(value::text, '-'), ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM cdp.referral_report('shy', '2026-03-01', 0.4)) x WHERE metric ~ names $$;
SELECT is(pg_temp.shy('^(rewards_taken_back|cost|net_cost|gross_roi|net_roi|cac_referred)$'), 'rewards_taken_back -, cost 1000.00, net_cost -, gross_roi 1.000000, net_roi -, cac_referred -', 'one reward that was taken back is not cost less net cost');
UPDATE cdp_data.reward SET clawed_minor = 2000, pending_minor = 0 FROM shy s WHERE reward.referral_id = s.id AND s.i <= 30;
SELECT is(pg_temp.shy('^(rewards_taken_back|clawback_outstanding|net_cost|net_roi)$'), 'rewards_taken_back 600.00, clawback_outstanding 0.00, net_cost 400.00, net_roi 4.000000', 'of thirty it is told');
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT :shop, 'shy ' || i, r.first_conversion_id, '2026-02-20', 1000, 1000 + i FROM shy s JOIN cdp_data.referral r ON r.referral_id = s.id WHERE i = 50;
SELECT is(pg_temp.shy('^(refunds|net_cost|net_roi)$'), 'refunds -, net_cost 400.00, net_roi -', 'nor is one refund told by the net return');
INSERT INTO cdp_data.ledger_account (kind, referral_campaign_id, customer_id, currency, balance_minor) VALUES ('clawback_receivable', :y, 7, 'CNY', 0), ('clawback_receivable', :y, 8, 'CNY', 0), ('paid', :y, NULL, 'CNY', 0);
INSERT INTO cdp_data.ledger_posting (ledger_posting_id, idempotency_key, kind, occurred_at, booked_on) VALUES (900021, sha256('shy'), 'clawback', '2026-02-20', '2026-02-20'), (900022, sha256('shy back'), 'clawback', '2026-02-21', '2026-02-21');
INSERT INTO cdp_data.ledger_entry (ledger_posting_id, line, ledger_account_id, amount_minor) SELECT 900021 + n / 2, 1 + n % 2, a.ledger_account_id, v.minor
FROM (VALUES (0, 7, 2000), (1, NULL, -2000)) v (n, who, minor) JOIN cdp_data.ledger_account a ON a.referral_campaign_id = :y AND a.customer_id IS NOT DISTINCT FROM v.who::bigint;
SELECT is(pg_temp.shy('^(rewards_taken_back|clawback_outstanding|net_cost)$'), 'rewards_taken_back 600.00, clawback_outstanding -, net_cost -', 'the debt of one is judged by him, not by the thirty');
UPDATE cdp_data.reward SET clawed_minor = 0, pending_minor = 2000 FROM shy s WHERE reward.referral_id = s.id AND s.i BETWEEN 4 AND 30;
SELECT pg_temp.reward(id, 'get', 10, 5, mode => 'reserved') FROM shy WHERE i BETWEEN 4 AND 20 \g /dev/null
SELECT is(pg_temp.shy('^rewards_taken_back$'), 'rewards_taken_back -', 'reserved rewards are not among those who make it many');
INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, value_minor, eligible_minor, currency) VALUES (:shop, 'in dollars', 'purchase', '2026-02-12', 1, 1050, 100, 100, 'USD');
SELECT is((SELECT note FROM cdp.referral_report('shy', '2026-03-01') WHERE metric = 'revenue'), 'net of tax, shipping and discounts; purchases in other currencies are left out', 'how few bought in another currency is not told');
-- What is owed by age: 3 of 50 for longer.
UPDATE cdp_data.referral_conversion v SET occurred_at = '2026-01-10' FROM shy s JOIN cdp_data.referral r ON r.referral_id = s.id WHERE v.referral_conversion_id = r.first_conversion_id AND s.i BETWEEN 48 AND 50;
SELECT is(pg_temp.shy('^liability'), 'liability_0_to_30_days -, liability_30_to_60_days -, liability_60_to_90_days 0.00, liability_over_90_days 0.00, liability 940.00', 'nor is what few are owed the sum less the other ages');
ROLLBACK TO shy;

-- Random life of 400 people in two campaigns, one in eight merged with another, against loops.
SELECT pg_temp.campaign('wild') AS w, pg_temp.campaign('wild two') AS w2 \gset
CREATE FUNCTION pg_temp.rnd(i bigint, salt integer, n integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN (abs(hashint8extended(i, salt)) % n)::integer;
SELECT pg_temp.enrol(CASE WHEN i % 3 = 0 THEN :w2 ELSE :w END, ARRAY[i], timestamptz '2026-01-01' + pg_temp.rnd(i, 1, 70) * interval '1 day', i % 17 = 0) FROM generate_series(1, 200) i WHERE i % 17 > 0 \g /dev/null
SELECT pg_temp.tell(:w, ARRAY[i::bigint], timestamptz '2026-01-01' + pg_temp.rnd(i, 2, 80) * interval '1 day', state => (ARRAY['sent', 'delivered', 'failed', 'queued'])[1 + pg_temp.rnd(i, 3, 4)]) FROM generate_series(1, 260) i WHERE pg_temp.rnd(i, 4, 2) = 0 \g /dev/null
SELECT pg_temp.share(:w, i, 1 + pg_temp.rnd(i, 5, 3), timestamptz '2026-01-01' + pg_temp.rnd(i, 6, 90) * interval '1 day', test => i % 11 = 0) FROM generate_series(1, 200) i WHERE i % 3 > 0 AND i % 17 > 0 AND pg_temp.rnd(i, 7, 3) = 0 \g /dev/null
SELECT pg_temp.click(:w, a, CASE WHEN k % 4 > 0 THEN 201 + pg_temp.rnd(k, 8, 150) END, CASE WHEN k % 8 = 0 THEN 'phone ' || k % 5 END, timestamptz '2026-01-01' + pg_temp.rnd(k, 9, 90) * interval '1 day', bot => k % 13 = 0, test => k % 19 = 0)
FROM (SELECT k, (SELECT max(i) FROM generate_series(1, 200) i WHERE i % 3 > 0 AND i % 17 > 0 AND i <= 2 + pg_temp.rnd(k, 10, 198)) AS a FROM generate_series(1, 600) k) x WHERE a IS NOT NULL \g /dev/null
SELECT pg_temp.bring(:w, a, r, (ARRAY['approved', 'approved', 'pending', 'review', 'rejected', 'ineligible'])[1 + pg_temp.rnd(r, 11, 6)], CASE WHEN pg_temp.rnd(r, 12, 3) > 0 THEN 50 END, timestamptz '2026-01-01' + pg_temp.rnd(r, 13, 90) * interval '1 day', r % 23 = 0)
FROM (SELECT r, coalesce((SELECT min(k.referral_code_id - :w * 100000) FROM cdp_data.referral_click k WHERE k.customer_id = r AND k.referral_campaign_id = :w), 1) AS a FROM generate_series(201, 350) r WHERE pg_temp.rnd(r, 14, 2) = 0) x \g /dev/null
UPDATE cdp_data.customer SET parent_id = customer_id - 8 WHERE customer_id % 8 = 0 AND customer_id BETWEEN 16 AND 400;
CREATE FUNCTION pg_temp.root(c bigint) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE x bigint := c; y bigint; BEGIN LOOP SELECT parent_id INTO y FROM cdp_data.customer WHERE customer_id = x; EXIT WHEN y = x OR y IS NULL; x := y; END LOOP; RETURN x; END $$;
CREATE FUNCTION pg_temp.twin(c integer, t timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  told bigint[] := '{}'; enrolled bigint[] := '{}'; active bigint[] := '{}'; visitors text[] := '{}'; signed text[] := '{}'; x record; best jsonb := '{}'; v text; referees integer := 0; buyers integer := 0; approved integer := 0;
BEGIN
  FOR x IN SELECT pg_temp.root(d.customer_id) AS r FROM cdp_data.referral_distribution d WHERE d.referral_campaign_id = c AND d.state IN ('sent', 'delivered') AND d.sent_at <= t LOOP told := told || x.r; END LOOP;
  FOR x IN SELECT pg_temp.root(d.customer_id) AS r FROM cdp_data.referral_code d WHERE d.referral_campaign_id = c AND NOT d.is_test AND d.issued_at <= t LOOP enrolled := enrolled || x.r; END LOOP;
  FOR x IN SELECT pg_temp.root(d.customer_id) AS r FROM cdp_data.referral_share d WHERE d.referral_campaign_id = c AND NOT d.is_test AND d.shared_at <= t LOOP active := active || x.r; END LOOP;
  -- The referral of each person that counts: not the rejected one when there is another, then the earliest.
  FOR x IN SELECT r.*, pg_temp.root(r.referee_id) AS e, pg_temp.root(r.referrer_id) AS a FROM cdp_data.referral r WHERE r.referral_campaign_id = c AND NOT r.is_test AND r.attributed_at <= t AND r.state IN ('approved', 'pending', 'review', 'rejected') ORDER BY r.state = 'rejected', r.attributed_at, r.referral_id LOOP
    CONTINUE WHEN best ? x.e::text;
    best := best || jsonb_build_object(x.e::text, x.referral_click_id);
    referees := referees + 1;
    approved := approved + (x.state = 'approved')::integer;
    buyers := buyers + (EXISTS (SELECT FROM cdp_data.referral_conversion v WHERE pg_temp.root(v.customer_id) = x.e AND v.occurred_at BETWEEN x.attributed_at AND t AND v.kind = 'purchase' AND NOT v.is_test))::integer;
    IF x.state <> 'rejected' THEN active := active || x.a; END IF;
  END LOOP;
  FOR x IN SELECT k.*, pg_temp.root(k.customer_id) AS r, pg_temp.root(d.customer_id) AS a, d.issued_at FROM cdp_data.referral_click k JOIN cdp_data.referral_code d USING (referral_code_id) WHERE k.referral_campaign_id = c AND NOT k.is_test AND NOT k.bot AND k.clicked_at <= t LOOP
    v := coalesce('c' || x.r, 'd' || encode(x.device_digest, 'hex'), 'k' || x.referral_click_id);
    visitors := visitors || v;
    IF x.issued_at <= t THEN active := active || x.a; END IF; -- made-up clicks may come before their code
    IF EXISTS (SELECT FROM jsonb_each_text(best) e WHERE e.value = x.referral_click_id::text) THEN signed := signed || v; END IF;
  END LOOP;
  RETURN format('%s %s %s %s %s %s %s %s', (SELECT count(DISTINCT u) FROM unnest(told || active) u), (SELECT count(DISTINCT u) FROM unnest(enrolled) u), (SELECT count(DISTINCT u) FROM unnest(active) u), (SELECT count(DISTINCT u) FROM unnest(visitors) u), (SELECT count(DISTINCT u) FROM unnest(signed) u), referees, buyers, approved);
END $$;
SELECT is((SELECT format('%s %s %s %s %s %s %s %s', n.reached, n.enrolled, n.sharers, n.visitors, n.visitors_signed, n.referees, n.buyers, n.approved) FROM cdp_internal.referral_counts(:w, t) n), pg_temp.twin(:w, t), 'counts as their twin, as of ' || t::date) FROM unnest('{2026-01-20,2026-02-10,2026-03-01,2026-04-10}'::timestamptz[]) t;
UPDATE cdp_data.customer SET parent_id = customer_id WHERE customer_id % 16 = 0;
SELECT is((SELECT format('%s %s %s %s %s %s %s %s', n.reached, n.enrolled, n.sharers, n.visitors, n.visitors_signed, n.referees, n.buyers, n.approved) FROM cdp_internal.referral_counts(:w, t) n), pg_temp.twin(:w, t), 'and after some were parted, as of ' || t::date) FROM unnest('{2026-02-10,2026-04-10}'::timestamptz[]) t;
SELECT is((SELECT format('%s %s %s %s %s %s %s', f.reached, f.enrolled, f.shared, f.clicked, f.signed_up, f.converted, f.approved) FROM cdp.referral_funnel('wild', t) f), (SELECT string_agg(value::integer::text, ' ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM cdp.referral_report('wild', t)) x WHERE section = 'funnel' AND metric <> 'paid'), 'the live funnel says the same, as of ' || t::date) FROM unnest('{2026-02-10,2026-04-10}'::timestamptz[]) t;
SELECT is((SELECT f::text FROM cdp.referral_funnel('wild', 'infinity') f), (SELECT f::text FROM cdp.referral_funnel('wild', '2030-01-01') f), 'the funnel of all times');
-- Erased: who has no number any more is one who was there, and no more.
SELECT n.referees AS before, n.enrolled AS codes FROM cdp_internal.referral_counts(:w, '2026-04-10') n \gset
UPDATE cdp_data.referral SET referee_id = -7 WHERE referral_id = (SELECT min(referral_id) FROM cdp_data.referral WHERE referral_campaign_id = :w AND state = 'approved' AND NOT is_test);
SELECT is((SELECT n.referees FROM cdp_internal.referral_counts(:w, '2026-04-10') n), :before::bigint, 'an erased referee is counted still');
SELECT lives_ok($$SELECT * FROM cdp.referral_report('wild', '2026-04-10', 0.3)$$, 'and the report is no error');
-- Without consent people are in no count, but in sums of money; who is erased is nobody who could be asked.
SELECT value AS revenue FROM cdp.referral_report('wild', '2026-04-10') WHERE metric = 'revenue' \gset
SELECT cdp.set_purpose('analytics', rule => 'opt_in') \g /dev/null
SELECT is((SELECT string_agg(metric || ' ' || value, ', ') FROM cdp.referral_report('wild', '2026-04-10') WHERE metric IN ('reached', 'enrolled', 'signed_up', 'revenue')), 'reached 0, enrolled 0, signed_up 1, revenue ' || :'revenue', 'without consent nobody is counted, but money and who was erased');
SELECT is((SELECT string_agg(metric || ' ' || value, ', ') FROM cdp.referral_report('wild', '2026-04-10') WHERE metric = 'clicked'), 'clicked ' || (SELECT count(DISTINCT coalesce(encode(k.device_digest, 'hex'), k.referral_click_id::text)) FROM cdp_data.referral_click k WHERE k.referral_campaign_id = :w AND k.customer_id IS NULL AND NOT k.bot AND NOT k.is_test AND k.clicked_at <= '2026-04-10'), 'and clicks of whom nothing names');
SELECT is((SELECT (numerator, denominator)::text FROM cdp.referral_report('held', '2026-03-01') WHERE metric = 'cac_other'), '(500.00,25)', 'what others cost is by everybody, as what it cost here');
SELECT * FROM finish();
ROLLBACK;
