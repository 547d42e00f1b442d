-- Whatever order events come in, and however often: clicks, purchases, refunds, merges and unmerges that are told twice and shuffled
-- leave the same rewards as told once, in the order in which they happened; and the books are whole.
BEGIN;
SELECT plan(7);
SET LOCAL client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT count(cdp.identify('shop', jsonb_build_object('email', 'u' || i || '@example.org'), '{}', CASE WHEN i <= 4 THEN '2026-01-05' ELSE '2026-01-15' END::timestamptz)) FROM generate_series(1, 14) i;
SELECT cdp.create_referral_campaign('c', currency => 'EUR', timezone => 'Europe/Berlin', ends_at => '2099-01-01');
SELECT cdp.set_referral_terms('c', '{}', '[{"rule": "friend", "side": "referrer", "trigger": "every_purchase", "shape": "percent", "rate": 0.1}, {"rule": "welcome", "side": "referee", "trigger": "every_purchase", "shape": "percent", "rate": 0.05},
  {"rule": "tier", "side": "referrer", "trigger": "first_purchase", "shape": "tier", "tier_of": "referrals", "tier_mode": "whole", "exclusive": false, "tiers": [{"from": 0, "amount": 1}, {"from": 3, "amount": 2.5}]},
  {"rule": "three", "side": "referrer", "trigger": "first_purchase", "shape": "milestone", "milestones": [{"n": 3, "amount": 7}]}]', valid_from => '2026-01-01'), cdp.activate_referral_campaign('c', '2026-01-01');
SELECT cdp.issue_referral_code('c', cdp.customer_of('email', 'u' || i || '@example.org'), 'u' || i || '-brings', issued_at => '2026-01-06') FROM generate_series(1, 4) i;

-- Ten friends (5 to 14) click, buy and give back; four advocates and some friends become one, and some of those are taken apart again.
SELECT setseed(0.3218);
CREATE TEMP TABLE event AS
SELECT row_number() OVER (ORDER BY e.at, e.kind, e.key) AS n, e.* FROM (
  SELECT 'click' AS kind, 'k' || i AS key, timestamptz '2026-01-10' + i * interval '7 hours' AS at, 5 + i % 10 AS who, 1 + i * 7 % 4 AS other, NULL::numeric AS amount, NULL::text AS after FROM generate_series(1, 16) i
  UNION ALL SELECT 'buy', 'o' || i, timestamptz '2026-01-16' + i * interval '5 hours', 5 + i * 3 % 10, CASE WHEN i % 4 = 0 THEN 1 + i % 3 END, 10 + round((random() * 90)::numeric, 2), NULL FROM generate_series(1, 26) i
  UNION ALL SELECT 'refund', 'f' || i, timestamptz '2026-01-25' + i * interval '3 hours', NULL, NULL, round((random() * 9)::numeric, 2) + 0.01, 'o' || 1 + i * 5 % 26 FROM generate_series(1, 14) i
  UNION ALL SELECT 'merge', 'm' || a || '-' || b, timestamptz '2026-01-28' + a * interval '1 hour', a, b, NULL, NULL FROM (VALUES (1, 2), (5, 6), (7, 8), (9, 10)) v (a, b)
  UNION ALL SELECT 'unmerge', 'u' || a || '-' || b, timestamptz '2026-01-30' + a * interval '1 hour', b, NULL, NULL, 'm' || a || '-' || b FROM (VALUES (5, 6), (9, 10)) v (a, b)) e;
CREATE FUNCTION pg_temp.tell(e event) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  ids jsonb := jsonb_build_object('email', 'u' || e.who || '@example.org');
BEGIN
  CASE e.kind
    WHEN 'click' THEN PERFORM cdp.referral_click('shop', e.key, 'u' || e.other || '-brings', e.at, ids);
    WHEN 'buy' THEN PERFORM cdp.referral_convert('shop', e.key, 'purchase', e.at, ids, e.amount, 'EUR', code => 'u' || e.other || '-brings');
    WHEN 'refund' THEN PERFORM cdp.referral_refund('shop', e.key, e.after, e.amount, e.at);
    WHEN 'merge' THEN PERFORM cdp.alias('shop', ids, jsonb_build_object('email', 'u' || e.other || '@example.org'));
    WHEN 'unmerge' THEN
      BEGIN
        PERFORM cdp.unmerge(identifier => (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'u' || e.who || '@example.org'));
      EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; -- told again
      END;
  END CASE;
END $$;
CREATE FUNCTION pg_temp.sum_up() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s %s%s %s %s', x.source_key, x.rule, ' m' || x.milestone, x.whose, x.net), E'\n' ORDER BY x.source_key COLLATE "C", x.rule, x.milestone)
  -- A milestone is the advocate's, whichever purchase reached it when it was told.
  FROM (SELECT CASE WHEN w.milestone IS NULL THEN v.source_key ELSE '-' END AS source_key, u.rule, w.milestone, (SELECT min(i.value) FROM cdp_internal.members(cdp_internal.root_of(w.customer_id)) m JOIN cdp_data.identifier i USING (identifier_id)) AS whose, sum(w.amount_minor - w.clawed_minor) AS net
    FROM cdp_data.reward w JOIN cdp_data.referral_conversion v USING (referral_conversion_id) JOIN cdp_data.reward_rule u USING (reward_rule_id) GROUP BY 1, 2, 3, 4 HAVING sum(w.amount_minor - w.clawed_minor) > 0) x $$;
-- One life, in the order of these keys; then what the job does about everybody. All of it is undone.
CREATE FUNCTION pg_temp.live(how int, OUT rewards text, OUT broken text) LANGUAGE plpgsql AS $$
DECLARE
  e event;
BEGIN
  PERFORM setseed(how / 100.0);
  FOR e IN
    WITH told AS MATERIALIZED (SELECT v.*, CASE WHEN how = 0 THEN v.n ELSE random() * 100 END AS turn, t FROM event v, generate_series(1, CASE WHEN how = 0 THEN 1 ELSE 2 END) t),
      first AS MATERIALIZED (SELECT key, min(turn) AS turn FROM told GROUP BY 1)
    -- A refund names its purchase, and only those who are one are taken apart.
    SELECT o.n, o.kind, o.key, o.at, o.who, o.other, o.amount, o.after FROM told o LEFT JOIN first f ON f.key = o.after ORDER BY greatest(o.turn, f.turn), o.after IS NOT NULL, o.n, o.t
  LOOP
    PERFORM pg_temp.tell(e);
  END LOOP;
  PERFORM cdp_internal.referral_decide(ARRAY(SELECT DISTINCT cdp_internal.identifier_root(c.identifier_id) FROM cdp_data.referral_conversion c));
  -- Who was one with others when his purchase was told is looked at by somebody; who was not, is not. Somebody approves.
  UPDATE cdp_data.referral SET state = 'approved', reason = NULL WHERE state = 'review';
  PERFORM cdp_internal.reward_settle(ARRAY(SELECT referral_id FROM cdp_data.referral));
  rewards := pg_temp.sum_up();
  broken := (SELECT string_agg(v::text, E'\n') FROM cdp.ledger_verify() v);
  RAISE EXCEPTION USING ERRCODE = 'ZZ001';
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
  RETURN;
END $$;
CREATE TEMP TABLE life AS SELECT h AS how, l.* FROM unnest('{0,1,2}'::int[]) h, pg_temp.live(h) l;
SELECT cmp_ok((SELECT cardinality(string_to_array(rewards, E'\n')) FROM life WHERE how = 0), '>', 30, 'there are rewards');
SELECT ok((SELECT rewards LIKE '%three m3%' FROM life WHERE how = 0), 'with a milestone');
SELECT is((SELECT broken FROM life WHERE how = 0), NULL, 'told in order the books are whole');
SELECT is((SELECT rewards FROM life WHERE how = h), (SELECT rewards FROM life WHERE how = 0), 'twice and shuffled: the same rewards') FROM generate_series(1, 2) h;
SELECT is((SELECT broken FROM life WHERE how = h), NULL, 'and whole books') FROM generate_series(1, 2) h;
SELECT * FROM finish();
ROLLBACK;
