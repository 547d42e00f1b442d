-- Performance by segment: a world by hand, then random worlds against a slow twin in plain SQL that asks who was a member
-- for each event; merges, moved identifiers, refunds, currencies, consent, erasure, small groups, zones, bad arguments.
BEGIN;
SELECT plan(46);
SET client_min_messages = error;
SET jit = off;

-- By hand. Anna (1) is in from 10 to 20 January, Ben (2) all the time, Cleo (3) from the 15th, Dora (4) until the 12th, Emil (5) never.
INSERT INTO cdp_data.source (source_id, name) VALUES (800, 'by hand');
INSERT INTO cdp_data.load (load_id, source_id, state) VALUES (800, 800, 'done');
INSERT INTO cdp_data.origin (origin_id, source, medium, campaign) VALUES (801, 'hand', '', '');
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, i FROM generate_series(1001, 1005) i;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) SELECT i, 1, 'h' || i, i FROM generate_series(1001, 1005) i;
INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) VALUES ('EUR', 'CNY', '2026-01-01', 8), ('EUR', 'CNY', '2026-01-18', 7);
SELECT cdp.create_segment('hand', '{"where": {"did": "purchase"}}', 'service'), cdp.create_segment('empty', '{"where": {"did": "purchase"}}', 'service');
SELECT cdp_internal.segment_partition('2026-01-10Z');
INSERT INTO cdp_data.segment_run (run_id, kind, as_of, started_at) SELECT 500 + d, 'tick', timestamptz '2026-01-01Z' + (d - 1) * interval '1 day', now() FROM unnest('{1,10,12,15,20}'::int[]) d;
INSERT INTO cdp_data.segment_transition (segment_id, customer_id, at, entered, cause, version, run_id)
SELECT s.segment_id, 1000 + c, timestamptz '2026-01-01Z' + (d - 1) * interval '1 day', entered, 'event', 1, 500 + d
FROM cdp_data.segment s, (VALUES (2, 1, true), (4, 1, true), (1, 10, true), (4, 12, false), (3, 15, true), (1, 20, false)) v (c, d, entered) WHERE s.name = 'hand';
INSERT INTO cdp_data.segment_chunk SELECT s.segment_id, c.* FROM cdp_data.segment s CROSS JOIN cdp.roaring_chunks((SELECT cdp.roaring_build(i) FROM unnest('{1002,1003}'::bigint[]) i)) c WHERE s.name = 'hand';
CREATE FUNCTION pg_temp.act(who int, kind text, at timestamptz, value numeric DEFAULT NULL, currency text DEFAULT 'CNY', refers_to bigint DEFAULT NULL, flags int DEFAULT 0) RETURNS bigint LANGUAGE sql AS $$
  INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, flags, kind_id, value, currency, refers_to)
  SELECT 1000 + who, 1000 + who, at, 801, 800, 800, flags, k.kind_id, value, CASE WHEN value IS NOT NULL THEN currency END, refers_to FROM cdp_data.touch_kind_all k WHERE k.name = kind RETURNING touchpoint_id $$;
CREATE TEMP TABLE made AS
SELECT * FROM (VALUES ('at the moment of entry', pg_temp.act(1, 'purchase', '2026-01-10Z', 100)), ('a microsecond before', pg_temp.act(1, 'purchase', '2026-01-09 23:59:59.999999Z', 1000)),
  ('in euro at 8', pg_temp.act(1, 'purchase', '2026-01-17 23:00Z', 10, 'EUR')), ('at the moment of leaving', pg_temp.act(1, 'purchase', '2026-01-20Z', 1000)),
  ('of Ben', pg_temp.act(2, 'purchase', '2026-01-11Z', 50)), ('of Cleo, too early', pg_temp.act(3, 'purchase', '2026-01-14Z', 1000)), ('of Cleo', pg_temp.act(3, 'order', '2026-01-16Z', 30)),
  ('of Dora, who has left', pg_temp.act(4, 'purchase', '2026-01-12Z', 1000)), ('of Emil', pg_temp.act(5, 'purchase', '2026-01-12Z', 1000)),
  ('of a robot', pg_temp.act(2, 'purchase', '2026-01-13Z', 1000, flags => 1)), ('after the window', pg_temp.act(2, 'purchase', '2026-02-01Z', 1000)), ('long before', pg_temp.act(2, 'purchase', '2025-12-20Z', 1000))) v (what, id);
SELECT pg_temp.act(1, 'refund', '2026-03-01Z', 40, refers_to => (SELECT id FROM made WHERE what = 'at the moment of entry')), -- after the window, after leaving, of whatever sign
  pg_temp.act(2, 'refund', '2026-01-12Z', -5), pg_temp.act(1, 'refund', '2026-01-21Z', -7), -- names no purchase: in while in
  pg_temp.act(5, 'refund', '2026-01-13Z', -10, refers_to => (SELECT id FROM made WHERE what = 'of Ben')), -- brought back by another
  pg_temp.act(5, 'refund', '2026-01-13Z', -500, refers_to => 999999999), -- of what is not here
  pg_temp.act(1, 'visit', '2026-01-10Z'), pg_temp.act(1, 'visit', '2026-01-19Z'), pg_temp.act(1, 'visit', '2026-01-20Z'), pg_temp.act(2, 'visit', '2026-01-03Z'), pg_temp.act(2, 'email_open', '2026-01-04Z'), pg_temp.act(4, 'visit', '2026-01-13Z') \g /dev/null
INSERT INTO cdp_data.trait_value (trait_id, customer_id, value) SELECT t.trait_id, c, c - 1000 FROM cdp_data.trait t, unnest('{1001,1002,1005}'::int[]) c WHERE t.name = 'ltv';
INSERT INTO cdp_data.campaign (campaign_id, name) VALUES (801, 'Hand'), (802, 'Not launched');
INSERT INTO cdp_data.campaign_run (name, segment_id, campaign_id, seed, state, launched_at)
SELECT v.name, s.segment_id, v.campaign, 1, v.state, v.at FROM cdp_data.segment s, (VALUES ('one', 801, 'running', timestamptz '2026-01-02Z'), ('two', 801, 'running', '2026-01-03Z'), ('three', 802, 'draft', NULL)) v (name, campaign, state, at) WHERE s.name = 'hand';
INSERT INTO cdp_data.spend (day, timezone, channel_id, campaign_id, amount, currency, source_id)
SELECT v.day, v.zone, c.channel_id, v.campaign, v.amount, v.currency, 800 FROM (SELECT channel_id FROM cdp_data.channel_all ORDER BY channel_id LIMIT 1) c,
  (VALUES (date '2026-01-05', 'UTC', 801, 10, 'EUR'), ('2026-01-06', 'UTC', 801, 20, 'CNY'), ('2026-01-31', 'Asia/Shanghai', 801, 90, 'CNY'), ('2026-02-01', 'Asia/Shanghai', 801, 9, 'CNY'), ('2026-01-07', 'UTC', 802, 1000, 'CNY')) v (day, zone, campaign, amount, currency);
CREATE TEMP TABLE hand AS SELECT * FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand,empty}');
SELECT is((SELECT array_agg(segment) FROM hand), '{empty,hand}', 'a row for each segment, by name');
SELECT is((SELECT (customers, converted, conversions, touches, active, ltv_customers, new_customers)::text FROM hand WHERE segment = 'hand'), '(4,3,4,4,2,2,0)', 'Anna bought twice, Ben and Cleo once while they were in');
SELECT is((SELECT revenue FROM hand WHERE segment = 'hand'), 100 - 40 + 10 * 8 + 50 - 10 - 5 + 30.000000, 'refunds that name a purchase follow it, the others count at their time');
SELECT is((SELECT (conversion_rate, round(average_order_value, 6), revenue_per_customer, touches_per_customer, active_share, ltv)::text FROM hand WHERE segment = 'hand'), '(0.750000,51.250000,51.250000,1.000000,0.500000,1.500000)', 'and what is made of them');
SELECT is((SELECT (conversion_low, conversion_high)::text FROM hand WHERE segment = 'hand'), (SELECT (round(low::numeric, 6), round(high::numeric, 6))::text FROM cdp.rate_interval(3, 4)), 'the rate with its interval');
SELECT is((SELECT spend FROM hand WHERE segment = 'hand'), 10 * 8 + 20 + 90 + 9 * 8 / 24.0 + 0.000000, 'spend of the campaign once, though two runs name it; of the day that the window cuts eight hours; nothing of a run that is not launched');
SELECT is((SELECT cac FROM hand WHERE segment = 'hand'), NULL, 'nobody new: no cost of one');
SELECT is((SELECT h::text FROM hand h WHERE segment = 'empty'), '(empty,0,0,,,,0,0.000000,,,0,,0,,,0,,0,)', 'nobody was ever in');
-- Who is new: Anna's first purchase of all was a microsecond before she came in, Cleo's a day before.
SELECT is((SELECT new_customers FROM cdp.segment_performance('2026-01-14 12:00Z', '2026-02-01Z', '{hand}')), 0::bigint, 'they had bought before the window');
DELETE FROM cdp_data.touchpoint WHERE touchpoint_id = (SELECT id FROM made WHERE what = 'of Cleo, too early');
SELECT is((SELECT (new_customers, cac)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}')), '(1,193.000000)', 'without that Cleo is new, and all the spend was for her');
SELECT is((SELECT (new_customers, cac)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}', count_new => false)), '(,)', 'not asked for');
SELECT is((SELECT (customers, converted, revenue, touches)::text FROM cdp.segment_performance('2026-01-12Z', '2026-01-15Z', '{hand}')), '(2,0,-5.000000,0)', 'three days: Dora is gone, Cleo is not there yet');
SELECT is((SELECT (customers, conversions)::text FROM cdp.segment_performance('2026-01-15Z', '2026-01-15 00:00:00.000001Z', '{hand}')), '(3,0)', 'a microsecond: who enters at its start is in');
SELECT is((SELECT (revenue, conversions)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}', as_of => '2026-02-02Z')), '(245.000000,4)', 'as of the day after, one refund is not known yet');
SELECT is((SELECT revenue FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}', as_of => NULL)), 205.000000, 'no moment is now: refunds are not forgotten');
SELECT is((SELECT (revenue, conversions)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}', conversion_kinds => '{order}')), '(30.000000,1)', 'of one kind of conversion');
SELECT is((SELECT (touches, active)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}', touch_kinds => '{email_open}')), '(1,1)', 'of one kind of touch');
SELECT is((SELECT revenue FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}', currency => 'EUR', missing_rate => 'zero')), 10.000000, 'in euro: of yuan there is no rate');
SELECT is((SELECT revenue FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}', bots => true)), 1205.000000, 'with robots');
-- Merged: Emil into Anna. What he did counts while she was in; she is in by her own transitions.
UPDATE cdp_data.customer SET parent_id = 1001 WHERE customer_id = 1005;
SELECT is((SELECT (customers, converted, conversions, revenue)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}')), '(4,3,5,1205.000000)', 'merged: Emil''s purchase of the 12th is Anna''s');
UPDATE cdp_data.customer SET parent_id = 1005 WHERE customer_id = 1005;
-- Anna into Ben, who is in all the time: her spans are his, once; what she bought out of them counts now.
UPDATE cdp_data.customer SET parent_id = 1002 WHERE customer_id = 1001;
SELECT is((SELECT (customers, converted, conversions)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}')), '(3,2,6)', 'merged into one who was in all the time');
UPDATE cdp_data.customer SET parent_id = 1001 WHERE customer_id = 1001;
UPDATE cdp_data.customer SET parent_id = 1003 WHERE customer_id = 1001;
SELECT is((SELECT (customers, converted, conversions)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}')), '(3,2,5)', 'of two whose spans overlap each purchase counts once');
UPDATE cdp_data.customer SET parent_id = 1001 WHERE customer_id = 1001;
SELECT is((SELECT (customers, converted, conversions, revenue)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}')), '(4,3,4,205.000000)', 'parted again: as before');
-- Small groups.
UPDATE cdp_data.setting SET minimum_audience = 2;
SELECT is((SELECT (customers, converted, revenue, conversion_low, touches, active_share, ltv, new_customers, cac, spend)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}')), '(4,,,,4,0.500000,1.500000,,,193.000000)', 'three of four bought: that would tell of one');
UPDATE cdp_data.setting SET minimum_audience = 5;
SELECT is((SELECT num_nonnulls(customers, converted, conversion_rate, conversion_low, conversions, revenue, average_order_value, revenue_per_customer, touches, touches_per_customer, active, active_share, ltv, ltv_customers, new_customers, cac)
  FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}')), 0, 'four are fewer than five: nothing but what was spent');
UPDATE cdp_data.setting SET minimum_audience = NULL;
-- A trait of one's own, and what it is computed from.
SELECT cdp.define_trait('looks', 'count(visit)') IS NOT NULL AS defined \g /dev/null
INSERT INTO cdp_data.trait_value (trait_id, customer_id, value) SELECT t.trait_id, c, 7 FROM cdp_data.trait t, unnest('{1001,1002}'::int[]) c WHERE t.name = 'looks';
SELECT is((SELECT (ltv, ltv_customers)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}', ltv_trait => 'looks')), '(7.000000,2)', 'another trait');
SELECT cdp.allow_purposes('kind', 'visit', '{service}') \g /dev/null
SELECT is((SELECT (ltv, ltv_customers)::text FROM cdp.segment_performance('2026-01-01Z', '2026-02-01Z', '{hand}', ltv_trait => 'looks')), '(,0)', 'of what may not be used for analytics no trait tells');
SELECT cdp.allow_purposes('kind', 'visit', NULL) \g /dev/null
-- Bad arguments.
SELECT throws_ok('SELECT * FROM cdp.segment_performance(' || call || ')', code, NULL, 'refused: ' || call) FROM (VALUES ('''2026-02-01Z'', ''2026-02-01Z''', '22023'), ('NULL', '22023'), ('''2026-01-01Z'', segments => ''{nobody}''', '42704'),
  ('''2026-01-01Z'', segments => ''{NULL}''', '42704'), ('''2026-01-01Z'', conversion_kinds => ''{purchas}''', '22023'), ('''2026-01-01Z'', ltv_trait => ''clv''', '22023'), ('''2026-01-01Z'', currency => ''XYZ''', '22023'), ('''2026-01-01Z'', currency => ''EUR''', '22000')) v (call, code);
UPDATE cdp_data.segment_clock SET kept_from = '2026-01-05Z';
SELECT throws_ok($$SELECT * FROM cdp.segment_performance('2026-01-01Z')$$, '22023', 'members of that time are no longer known', 'transitions of that time are gone');
UPDATE cdp_data.segment_clock SET kept_from = now() - interval '1 day';
SELECT is((SELECT count(*) FROM cdp_bi.segment_performance WHERE segment = 'hand'), 1::bigint, 'the view begins where they do');
UPDATE cdp_data.segment_clock SET kept_from = NULL;

-- Random worlds.
SELECT cdp.archive_segment('hand'), cdp.archive_segment('empty') \g /dev/null
DELETE FROM cdp_data.segment_transition;
DELETE FROM cdp_data.segment_run;
DELETE FROM cdp_data.touchpoint;
\ir report_data.inc
SELECT setval('cdp_data.customer_customer_id_seq', 10000), setval('cdp_data.identifier_identifier_id_seq', 10000) \g /dev/null
DELETE FROM cdp_data.unlinked_reserve;
SELECT cdp.create_segment(n, '{"where": {"did": "purchase"}}', 'service') FROM unnest('{red,green,blue}'::text[]) n \g /dev/null
SELECT cdp_internal.segment_partition(m) FROM generate_series(timestamptz '2026-01-15Z', '2026-06-15Z', '1 month') m \g /dev/null
-- Thirty runs on the grid of the events, most of them later than the one before.
INSERT INTO cdp_data.segment_run (run_id, kind, as_of, started_at)
SELECT 1000 + i, 'tick', timestamptz '2026-01-05 04:00Z' + i * interval '3 days 18 hours' + CASE WHEN i % 9 = 4 THEN interval '-10 days' WHEN i % 11 = 5 THEN interval '-3 days 18 hours' ELSE '0' END, now() FROM generate_series(1, 30) i;
INSERT INTO cdp_data.segment_transition (segment_id, customer_id, at, entered, cause, version, run_id)
SELECT s.segment_id, c, r.as_of, row_number() OVER (PARTITION BY s.segment_id, c ORDER BY r.run_id) % 2 = 1, 'event', 1, r.run_id
FROM cdp_data.segment s, generate_series(1, 240) c, cdp_data.segment_run r
WHERE s.name IN ('red', 'green', 'blue') AND abs(hashint8(s.segment_id * 1000003 + c * 1009 + r.run_id)) % 1000 < CASE s.name WHEN 'red' THEN 30 WHEN 'green' THEN 120 ELSE 8 END
ORDER BY r.run_id, 1, 2;
INSERT INTO cdp_data.segment_chunk (segment_id, chunk, bits, customers)
SELECT x.segment_id, k.* FROM (SELECT l.segment_id, cdp.roaring_build(l.customer_id) AS bits FROM (SELECT DISTINCT ON (t.segment_id, t.customer_id) t.segment_id, t.customer_id, t.entered FROM cdp_data.segment_transition t ORDER BY 1, 2, t.transition_id DESC) l
  WHERE l.entered GROUP BY l.segment_id) x, cdp.roaring_chunks(x.bits) k;
INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, value, currency, refers_to)
SELECT 19, 38, '2026-03-02 00:00+00', 901, 900, 900, 80, -10, 'CNY', v FROM (VALUES (0), (999999999)) r(v);
CREATE TEMP TABLE home (customer_id bigint PRIMARY KEY, root bigint);
CREATE TEMP TABLE allowed (root bigint PRIMARY KEY);
CREATE TEMP TABLE was_in (segment_id int, at timestamptz, root bigint, UNIQUE (segment_id, at, root));
CREATE FUNCTION pg_temp.settle(since timestamptz, until timestamptz) RETURNS void LANGUAGE sql AS $$
  TRUNCATE pg_temp.home; TRUNCATE pg_temp.allowed; TRUNCATE pg_temp.was_in;
  INSERT INTO pg_temp.home WITH RECURSIVE up (customer_id, root) AS (SELECT customer_id, customer_id FROM cdp_data.customer WHERE parent_id = customer_id
    UNION ALL SELECT c.customer_id, up.root FROM up JOIN cdp_data.customer c ON c.parent_id = up.customer_id AND c.parent_id <> c.customer_id) SELECT * FROM up;
  INSERT INTO pg_temp.allowed SELECT c.customer_id FROM cdp_data.customer c, cdp.consent_at(c.customer_id, 'analytics') a WHERE c.parent_id = c.customer_id AND a.allowed;
  INSERT INTO pg_temp.was_in SELECT DISTINCT s.segment_id, m.at, h.root
  FROM cdp_data.segment s, (SELECT since AS at UNION SELECT f.at FROM pg_temp.flat f WHERE f.at >= since AND f.at < until UNION SELECT r.as_of FROM cdp_data.segment_run r WHERE r.as_of >= since AND r.as_of < until) m,
    cdp.segment_members(s.name, m.at) i JOIN pg_temp.home h ON h.customer_id = i JOIN pg_temp.allowed a ON a.root = h.root WHERE s.state = 'active' $$;
CREATE FUNCTION pg_temp.twin(since timestamptz, until timestamptz, kinds text[] DEFAULT NULL) RETURNS TABLE (segment text, customers bigint, converted bigint, conversions bigint, revenue numeric, touches bigint, active bigint, new_customers bigint) LANGUAGE sql AS $$
  WITH purchase AS (
    SELECT f.*, f.value + coalesce((SELECT sum(b.value) FROM pg_temp.flat b WHERE b.refers_to = f.id AND b.flags = 0), 0) AS net,
      NOT EXISTS (SELECT FROM pg_temp.flat e WHERE e.customer = f.customer AND e.flags = 0 AND e.is_conversion AND e.kind <> 'refund' AND e.refers_to IS NULL AND (kinds IS NULL OR e.kind = ANY (kinds)) AND (e.at, e.id) < (f.at, f.id)) AS is_first
    FROM pg_temp.flat f WHERE f.flags = 0 AND f.is_conversion AND f.kind <> 'refund' AND f.refers_to IS NULL AND (kinds IS NULL OR f.kind = ANY (kinds)) AND f.at >= since AND f.at < until
  ), refund AS (SELECT f.* FROM pg_temp.flat f WHERE f.flags = 0 AND f.kind = 'refund' AND f.refers_to IS NULL AND kinds IS NULL AND f.at >= since AND f.at < until),
  touch AS (SELECT f.* FROM pg_temp.flat f WHERE f.flags = 0 AND f.is_touch AND f.at >= since AND f.at < until)
  SELECT s.name, (SELECT count(DISTINCT w.root) FROM pg_temp.was_in w WHERE w.segment_id = s.segment_id),
    p.converted, p.conversions, round(coalesce(p.net, 0) + coalesce((SELECT sum(r.value) FROM refund r JOIN pg_temp.was_in w ON (w.segment_id, w.at, w.root) = (s.segment_id, r.at, r.customer)), 0), 6),
    t.touches, t.active, p.won
  FROM cdp_data.segment s,
    LATERAL (SELECT count(DISTINCT x.customer) AS converted, count(*) AS conversions, sum(x.net) AS net, count(*) FILTER (WHERE x.is_first) AS won FROM purchase x JOIN pg_temp.was_in w ON (w.segment_id, w.at, w.root) = (s.segment_id, x.at, x.customer)) p,
    LATERAL (SELECT count(*) AS touches, count(DISTINCT x.customer) AS active FROM touch x JOIN pg_temp.was_in w ON (w.segment_id, w.at, w.root) = (s.segment_id, x.at, x.customer)) t
  WHERE s.state = 'active' $$;
CREATE FUNCTION pg_temp.differ(since timestamptz, until timestamptz, kinds text[] DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_temp.settle(since, until);
  RETURN (SELECT string_agg(format('%s instead of %s', g, w), E'\n')
    FROM (SELECT p.segment, p.customers, p.converted, p.conversions, p.revenue, p.touches, p.active, p.new_customers FROM cdp.segment_performance(since, until, conversion_kinds => kinds) p) g FULL JOIN pg_temp.twin(since, until, kinds) w USING (segment)
    WHERE (g.customers, g.converted, g.conversions, g.revenue, g.touches, g.active, g.new_customers) IS DISTINCT FROM (w.customers, w.converted, w.conversions, w.revenue, w.touches, w.active, w.new_customers));
END $$;
SELECT is(pg_temp.differ('2026-02-01 04:00Z', '2026-03-10 04:00Z'), NULL, 'as the twin, with runs that go back, merges, moved identifiers, refunds and two currencies');
SELECT ok((SELECT bool_and(converted > 3 AND conversions > converted AND active < customers AND new_customers < converted) AND sum(new_customers) > 3 FROM pg_temp.twin('2026-02-01 04:00Z', '2026-03-10 04:00Z')), 'and there was something to compare');
SELECT is(pg_temp.differ('2026-01-20 09:00+08', '2026-02-05 06:00Z', '{sign_up}'), NULL, 'one kind of conversion');
SELECT is(pg_temp.differ('2025-12-01Z', '2026-01-20Z'), NULL, 'from before the first run');
SET timezone = 'Pacific/Chatham';
SELECT is(pg_temp.differ('2026-04-20Z', '2026-05-10Z'), NULL, 'to the last, in a session of another zone');
RESET timezone;
-- Who bought in one is merged with others, parted and moved.
UPDATE cdp_data.customer SET parent_id = 20 WHERE customer_id BETWEEN 30 AND 60 AND customer_id % 3 = 0;
UPDATE cdp_data.customer SET parent_id = 1 WHERE customer_id BETWEEN 100 AND 140;
INSERT INTO cdp_data.identifier_override SELECT 2 * i + 1, 200 FROM generate_series(150, 160) i;
SELECT is(pg_temp.differ('2026-02-10Z', '2026-03-01Z'), NULL, 'more of them merged');
UPDATE cdp_data.customer SET parent_id = customer_id WHERE customer_id BETWEEN 100 AND 120;
SELECT is(pg_temp.differ('2026-02-20Z', '2026-03-01Z'), NULL, 'some parted');
SELECT cdp.record_consent('test source', 'analytics', 'denied', customer => c) IS NOT NULL AS denied FROM unnest('{1,2,4,6,20,21}'::bigint[]) c \g /dev/null
SELECT is(pg_temp.differ('2026-02-20Z', '2026-03-01Z'), NULL, 'without those who do not want to be analysed');
SELECT cdp.erase_customer(8) IS NOT NULL AS erased \g /dev/null
SELECT is(pg_temp.differ('2026-02-20Z', '2026-03-01Z'), NULL, 'one is erased');
SELECT * FROM finish();
ROLLBACK;
