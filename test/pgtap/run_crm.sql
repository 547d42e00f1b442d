-- Leads, opportunities and messages by segment: answers reckoned by hand, then a plain-SQL twin over random data with ties,
-- closures that are opened again, merges of customers and of opportunities, members who come and go.
SELECT plan(37);
SET client_min_messages = error;
SELECT cdp.add_source('crm', 'UTC'), cdp.add_source('mailer', 'UTC');
INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) SELECT 'EUR', currency, '2026-01-01', 8 FROM cdp_data.setting;
CREATE FUNCTION pg_temp.id(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('cookie', v) $$;
SELECT cdp.identify('crm', jsonb_build_object('cookie', 'hand-' || c), jsonb_build_object('city', CASE WHEN c IN ('a', 'b', 'c', 'd') THEN 'Xian' ELSE 'Rome' END), '2026-02-01') FROM unnest('{a,b,c,d,e,f}'::text[]) c;
SELECT cdp.create_segment('xian', 'city = ''Xian''', 'service');
SELECT cdp.segment_tick('2026-03-01 00:00+00');
SELECT cdp.identify('crm', '{"cookie": "hand-d"}', '{"city": "Rome"}', '2026-03-19'), cdp.identify('crm', '{"cookie": "hand-e"}', '{"city": "Xian"}', '2026-03-19');
SELECT cdp.segment_tick('2026-03-20 00:00+00');
CREATE TABLE public.deals (source_key text, occurred_at text, identifier text, kind text, value text, currency text, properties text);
INSERT INTO public.deals VALUES
  ('1', '2026-03-05', 'hand-a', 'opportunity', '100', NULL, '{"opportunity": "o1"}'), ('2', '2026-03-10', 'hand-a', 'opportunity_stage', NULL, NULL, '{"opportunity": "o1", "stage": "proposal"}'),
  ('3', '2026-03-15', 'hand-a', 'deal_won', '120', NULL, '{"opportunity": "o1"}'),
  ('4', '2026-03-06', 'hand-b', 'opportunity', '50', NULL, '{"opportunity": "o2"}'), ('5', '2026-03-08', 'hand-b', 'deal_lost', NULL, NULL, '{"opportunity": "o2"}'),
  ('6', '2026-03-07', 'hand-c', 'opportunity', NULL, NULL, '{"opportunity": "o3", "amount": 300}'), ('7', '2026-03-09', 'hand-c', 'opportunity_stage', NULL, NULL, '{"opportunity": "o3", "stage": "proposal"}'),
  ('8', '2026-03-10', 'hand-d', 'opportunity', '150', NULL, '{"opportunity": "o4"}'), ('9', '2026-04-02', 'hand-d', 'deal_won', '200', NULL, '{"opportunity": "o4", "closed_at": "2026-03-30"}'),
  ('10', '2026-03-15', 'hand-e', 'opportunity', '10', 'EUR', '{"opportunity": "o5"}'),
  ('11', '2026-03-11', 'hand-a', 'opportunity', '40', NULL, '{"opportunity": "o6"}'), ('12', '2026-03-12', 'hand-a', 'deal_lost', NULL, NULL, '{"opportunity": "o6"}'),
  ('13', '2026-03-13', 'hand-a', 'opportunity_stage', NULL, NULL, '{"opportunity": "o6", "stage": "proposal"}'),
  ('14', '2026-03-12', 'hand-b', 'opportunity', '70', NULL, '{"opportunity": "o7"}'), ('15', '2026-03-14', 'hand-b', 'opportunity_stage', NULL, NULL, '{"opportunity": "o7", "merged_into": "o2"}'),
  ('20', '2026-03-01 10:00', 'hand-a', 'lead', NULL, NULL, NULL), ('21', '2026-03-02', 'hand-b', 'lead', NULL, NULL, NULL), ('22', '2026-03-03', 'hand-c', 'lead', NULL, NULL, NULL), ('23', '2026-03-04', 'hand-f', 'lead', NULL, NULL, NULL),
  ('24', '2026-03-02', 'hand-c', 'purchase', '5', NULL, NULL), ('25', '2026-03-20', 'hand-a', 'lead', NULL, NULL, NULL), ('26', '2026-03-04', 'hand-a', 'opportunity_stage', NULL, NULL, '{"stage": "of nothing"}'),
  ('27', '2026-03-06', 'hand-b', 'opportunity', '5', NULL, '{"opportunity": ""}'), ('28', '2026-03-07', 'hand-c', 'opportunity', '6', NULL, '{"opportunity": null, "stage": "proposal"}');
SELECT is((SELECT inserted || ' ' || quarantined FROM cdp.load_touchpoints('crm', 'public.deals', identifier_type => 'cookie')), '24 0', 'a file of a CRM loads as touchpoints');

-- By hand. o1 won in 10 days (120), o4 in 20 (200, closed_at), o2 lost, o3 (300) o5 (10 EUR at 8) and o6 (40, opened again) open, o7 merged. Velocity: 3 x 2/3 x 160 / 15.
SELECT results_eq($$SELECT segment, opportunities, open, won, lost, reopened, win_rate, open_value, won_value, average_won_value, average_days_to_close, velocity FROM cdp.segment_pipeline(as_of => '2026-05-01')$$,
  $$VALUES (NULL::text, 6::bigint, 3::bigint, 2::bigint, 1::bigint, 1::bigint, 0.666667, 420::numeric, 320::numeric, 160::numeric, 15::numeric, 21.333333), ('xian', 5, 2, 2, 1, 1, 0.666667, 340, 320, 160, 15, 14.222222)$$,
  'the pipeline as of the opening of each: d left the segment only later, e came later');
SELECT results_eq($$SELECT opportunities, open, won, lost, win_rate, average_won_value, average_days_to_close, velocity FROM cdp.segment_pipeline('{xian}', as_of => '2026-03-14 12:00+00') WHERE segment IS NULL$$,
  $$VALUES (5::bigint, 4::bigint, 0::bigint, 1::bigint, 0::numeric, NULL::numeric, NULL::numeric, NULL::numeric)$$, 'as it stood before anything was won: velocity is not defined');
SELECT is((SELECT opportunities FROM cdp.segment_pipeline('{}', as_of => '2026-03-14') WHERE segment IS NULL), 6::bigint, 'before a merge both count');
SELECT results_eq($$SELECT open, won, velocity FROM cdp.segment_pipeline('{}', as_of => '2026-05-01', stages => '{proposal}')$$, $$VALUES (3::bigint, 2::bigint, round(2 * 2 / 3.0 * 160 / 15, 6))$$, 'only open ones in some stages count in the velocity');
SELECT results_eq($$SELECT opportunities, won FROM cdp.segment_pipeline('{}', '2026-03-06', '2026-03-10', '2026-05-01')$$, $$VALUES (2::bigint, 0::bigint)$$, 'a window of openings, its end not in it');
SELECT results_eq($$SELECT segment, leads, lead_customers, lead_to_customer_rate FROM cdp.segment_pipeline(as_of => '2026-05-01')$$,
  $$VALUES (NULL::text, 4::bigint, 1::bigint, 0.25), ('xian', 3, 1, 0.333333)$$, 'leads who bought: a did, c only before');
SELECT is((SELECT lead_customers FROM cdp.segment_pipeline('{}', as_of => '2026-05-01', lead_within => '10 days')), 0::bigint, 'within ten days nobody');
SELECT is((SELECT lead_customers FROM cdp.segment_pipeline('{}', as_of => '2026-05-01', lead_within => '13 days 14 hours')), 1::bigint, 'to the second of the end');
SELECT is((SELECT lead_customers FROM cdp.segment_pipeline('{}', as_of => '2026-05-01', customer_kinds => '{purchase}')), 0::bigint, 'what makes a customer is yours to say');
SELECT results_eq($$SELECT stage, name, opportunities, went_on, conversion, stays, lost, staying, median_days, mean_days FROM cdp.opportunity_stages('{proposal,negotiation}', as_of => '2026-05-01')$$,
  $$VALUES (1, 'proposal'::text, 3::bigint, 1::bigint, 0.333333, 3::bigint, 0::bigint, 2::bigint, 5::numeric, 5::numeric), (2, 'negotiation', 0, 0, NULL, 0, 0, 0, NULL, NULL), (3, '(won)', 2, 0, 0, 2, 0, 2, NULL, NULL)$$,
  'stages: three came to a proposal, one went on after 5 days');
SELECT is((SELECT opportunities FROM cdp.opportunity_stages('{proposal}', 'xian', as_of => '2026-05-01') WHERE name = '(won)'), 2::bigint, 'of members when it was opened');
SELECT is((SELECT opportunities FROM cdp.opportunity_stages('{proposal}', 'xian', since => '2026-03-08', as_of => '2026-05-01') WHERE name = '(won)'), 1::bigint, 'in a window');

-- Messages: sent, opened (who clicked has opened), clicked.
INSERT INTO cdp_data.campaign_run (campaign_run_id, name, segment_id, purpose, destination, seed, state, launched_at) VALUES (7, 'spring', 1, 'service', 'mailer', 1, 'running', '2026-03-05');
INSERT INTO cdp_data.campaign_exposure (campaign_run_id, customer_id, arm, variant, exposed_at, state, sent_at)
SELECT 7, pg_temp.id('hand-' || c), 'treatment', 'a', '2026-03-05', CASE c WHEN 'd' THEN 'failed' ELSE 'sent' END, CASE c WHEN 'd' THEN NULL WHEN 'f' THEN '2026-04-01' ELSE timestamptz '2026-03-05' END FROM unnest('{a,b,c,d,f}'::text[]) c;
SELECT cdp.record_feedback('mailer', 'open', format('run 7 %s', pg_temp.id('hand-a')), occurred_at => '2026-03-06'), cdp.record_feedback('mailer', 'click', format('run 7 %s', pg_temp.id('hand-b')), occurred_at => '2026-03-06'),
  cdp.record_feedback('mailer', 'bounce', format('run 7 %s', pg_temp.id('hand-c')), occurred_at => '2026-03-05 12:00'), cdp.record_feedback('mailer', 'delivered', format('run 7 %s', pg_temp.id('hand-c')), occurred_at => '2026-03-06'),
  cdp.record_feedback('mailer', 'bounce', format('run 7 %s', pg_temp.id('hand-f')), occurred_at => '2026-04-02');
SELECT results_eq($$SELECT segment, sent, delivered, opened, clicked, open_rate, click_rate FROM cdp.segment_pipeline(as_of => '2026-05-01')$$,
  $$VALUES (NULL::text, 4::bigint, 3::bigint, 2::bigint, 1::bigint, 0.666667, 0.333333), ('xian', 3, 3, 2, 1, 0.666667, 0.333333)$$, 'open and click rates of what arrived, of members at exposure');
SELECT results_eq($$SELECT sent, delivered FROM unnest('{2026-03-05 18:00+00,2026-04-01 00:00:01+00,2026-04-01 00:00+00}'::timestamptz[]) t, cdp.segment_pipeline('{}', as_of => t)$$, $$VALUES (3::bigint, 2::bigint), (4, 4), (3, 3)$$, 'as of a moment: what was sent by then, what had come back by then');

-- What is refused, what is hidden.
SELECT throws_ok($$SELECT * FROM cdp.segment_pipeline('{xain}')$$, '42704', NULL, 'an unknown segment');
SELECT throws_ok($$SELECT * FROM cdp.segment_pipeline(customer_kinds => '{purchse}')$$, '22023', NULL, 'an unknown kind');
SELECT throws_ok($$SELECT * FROM cdp.segment_pipeline(currency => 'XXZ')$$, '22023', NULL, 'an unknown currency');
SELECT throws_ok($$SELECT * FROM cdp.segment_pipeline(currency => 'USD')$$, '22000', NULL, 'no rate') WHERE (SELECT currency FROM cdp_data.setting) <> 'USD'
UNION ALL SELECT throws_ok($$SELECT * FROM cdp.segment_pipeline(currency => 'JPY')$$, '22000', NULL, 'no rate') WHERE (SELECT currency FROM cdp_data.setting) = 'USD';
BEGIN;
UPDATE cdp_data.setting SET minimum_audience = 3;
SELECT results_eq($$SELECT segment, sent, opened, leads, lead_customers, opportunities, won FROM cdp.segment_pipeline(as_of => '2026-05-01')$$,
  $$VALUES (NULL::text, 4::bigint, NULL::bigint, 4::bigint, NULL::bigint, 6::bigint, NULL::bigint), ('xian', NULL, NULL, NULL, NULL, NULL, NULL)$$, 'fewer people than the minimum are not told, nor whom a segment leaves over');
SELECT is((SELECT count(opportunities) FROM cdp.opportunity_stages('{proposal}', as_of => '2026-05-01')), 0::bigint, 'in stages neither');
ROLLBACK;
BEGIN;
SELECT cdp.record_consent('crm', 'analytics', 'denied', '{"cookie": "hand-a"}');
SELECT results_eq($$SELECT leads, opportunities, won, sent FROM cdp.segment_pipeline('{}', as_of => '2026-05-01')$$, $$VALUES (3::bigint, 4::bigint, 1::bigint, 3::bigint)$$, 'who refuses analytics is left out');
ROLLBACK;

-- Random data. Customers by cookie; the segment holds by city, which changes between ticks; some are merged at the end.
SELECT setseed(0.42);
CREATE TABLE public.ev AS
SELECT 'r' || i AS source_key, timestamptz '2026-03-01 00:00+00' + floor(random() * 40) * interval '12 hours' AS at, 'w' || floor(random() * 12)::int AS who, 'p' || floor(random() * 30)::int AS opp,
  (ARRAY['opportunity', 'opportunity_stage', 'opportunity_stage', 'deal_won', 'deal_lost', 'lead', 'purchase'])[1 + floor(random() * 7)::int] AS kind,
  CASE WHEN random() < 0.6 THEN floor(random() * 100) + 1 END AS money, (ARRAY['EUR', NULL])[1 + floor(random() * 2)::int] AS currency, random() < 0.3 AS by_amount, (ARRAY['s1', 's2', 's3', NULL])[1 + floor(random() * 4)::int] AS stage,
  CASE WHEN random() < 0.05 THEN 'p' || floor(random() * 30)::int END AS into_other
FROM generate_series(1, 260) i;
SELECT cdp.identify('crm', jsonb_build_object('cookie', 'w' || i), jsonb_build_object('city', CASE WHEN random() < 0.5 THEN 'Xian' ELSE 'Rome' END), '2026-02-02') FROM generate_series(0, 11) i;
SELECT cdp.segment_tick('2026-03-21 00:00+00') IS NOT NULL AS ran;
SELECT cdp.evaluate_segments('2026-03-02 00:00+00') IS NOT NULL AS ran;
SELECT cdp.identify('crm', jsonb_build_object('cookie', 'w' || i), jsonb_build_object('city', CASE WHEN random() < 0.5 THEN 'Xian' ELSE 'Rome' END), '2026-02-03') FROM generate_series(0, 11) i;
SELECT cdp.segment_tick('2026-03-08 06:00+00') IS NOT NULL AS ran;
SELECT cdp.identify('crm', jsonb_build_object('cookie', 'w' || i), jsonb_build_object('city', CASE WHEN random() < 0.5 THEN 'Xian' ELSE 'Rome' END), '2026-02-04') FROM generate_series(0, 11) i;
SELECT cdp.segment_tick('2026-03-15 12:00+00') IS NOT NULL AS ran;
CREATE VIEW public.random_deals AS SELECT source_key, at AS occurred_at, who AS identifier, kind, CASE WHEN by_amount THEN NULL ELSE money END AS value, CASE WHEN by_amount OR money IS NULL THEN NULL ELSE currency END AS currency,
  jsonb_strip_nulls(jsonb_build_object('opportunity', CASE WHEN kind NOT IN ('lead', 'purchase') THEN opp END, 'stage', stage, 'amount', CASE WHEN by_amount THEN money END, 'currency', CASE WHEN by_amount THEN currency END, 'merged_into', CASE WHEN kind = 'opportunity_stage' THEN into_other END)) AS properties FROM public.ev;
SELECT is((SELECT inserted FROM cdp.load_touchpoints('crm', 'public.random_deals', identifier_type => 'cookie')), 260::bigint, 'random deals');
SELECT cdp.link_identifiers((SELECT identifier_id FROM cdp_data.identifier WHERE value = 'w' || a), (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'w' || a + 1), 'one person') FROM unnest('{0,4}'::int[]) a;
SELECT cdp.segment_tick('2026-03-28 00:00+00') IS NOT NULL AS ran;
DELETE FROM public.deals;
-- Opportunities one by one, from the rows that were loaded, by comparing each with all others.
CREATE FUNCTION public.twin_deals(as_of timestamptz) RETURNS TABLE (opp text, root bigint, opened_at timestamptz, state text, days numeric, amount numeric, stage text, again bigint) LANGUAGE sql STABLE AS $$
  WITH e AS (
    SELECT x.opp, x.at, x.kind LIKE 'deal%' AS closes, k.touchpoint_id AS id, x.kind, x.money * CASE WHEN x.currency = 'EUR' THEN 8 ELSE 1 END AS amount, x.stage, cdp_internal.root_of(k.customer_id) AS root,
      x.kind = 'opportunity_stage' AND x.into_other <> x.opp AS merged
    FROM public.ev x JOIN cdp_data.touchpoint_key k USING (source_key) WHERE x.kind NOT IN ('lead', 'purchase') AND x.at < as_of),
  o AS (SELECT DISTINCT e.opp FROM e)
  SELECT o.opp, (SELECT e.root FROM e WHERE e.opp = o.opp AND NOT EXISTS (SELECT FROM e x WHERE x.opp = o.opp AND (x.at, x.closes, x.id) < (e.at, e.closes, e.id))), (SELECT min(e.at) FROM e WHERE e.opp = o.opp),
    CASE WHEN EXISTS (SELECT FROM e WHERE e.opp = o.opp AND e.merged) THEN 'merged'
      ELSE (SELECT CASE e.kind WHEN 'deal_won' THEN 'won' WHEN 'deal_lost' THEN 'lost' ELSE 'open' END FROM e WHERE e.opp = o.opp AND NOT EXISTS (SELECT FROM e x WHERE x.opp = o.opp AND (x.at, x.closes, x.id) > (e.at, e.closes, e.id))) END,
    extract(epoch FROM (SELECT min(e.at) FROM e WHERE e.opp = o.opp AND e.closes AND NOT EXISTS (SELECT FROM e x WHERE x.opp = o.opp AND NOT x.closes AND (x.at, x.closes, x.id) > (e.at, e.closes, e.id))) - (SELECT min(e.at) FROM e WHERE e.opp = o.opp)) / 86400,
    (SELECT e.amount FROM e WHERE e.opp = o.opp AND e.amount IS NOT NULL ORDER BY e.at DESC, e.closes DESC, e.id DESC LIMIT 1), (SELECT e.stage FROM e WHERE e.opp = o.opp AND e.stage IS NOT NULL ORDER BY e.at DESC, e.closes DESC, e.id DESC LIMIT 1),
    (SELECT count(*) FROM e WHERE e.opp = o.opp AND NOT e.closes AND (SELECT x.closes FROM e x WHERE x.opp = o.opp AND (x.at, x.closes, x.id) < (e.at, e.closes, e.id) ORDER BY x.at DESC, x.closes DESC, x.id DESC LIMIT 1))
  FROM o $$;
CREATE FUNCTION public.twin_in(root bigint, at timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT bool_or(cdp.roaring_has(cdp_internal.segment_bits_at(1, at), u)) FROM cdp_internal.customers_under(root) u $$;
SELECT cdp.revert_load(load_id) FROM cdp_data.load WHERE kind = 'touchpoints' ORDER BY load_id LIMIT 1;
DELETE FROM cdp_data.campaign_exposure;
SELECT is_empty(format($$SELECT opp, root, opened_at, state, round(CASE WHEN state IN ('won', 'lost') THEN days END, 9), amount, stage, again FROM public.twin_deals(%1$L)
  EXCEPT SELECT opportunity, root, opened_at, state, round(extract(epoch FROM closed_at - opened_at) / 86400, 9), amount, stage, reopened FROM cdp_internal.opportunities(%1$L)$$, t), 'opportunities one by one as of ' || t)
FROM unnest('{2026-03-03 00:00+00,2026-03-10 00:00+00,2026-03-14 12:00+00,2026-05-01 00:00+00}'::text[]) t;
SELECT is((SELECT count(DISTINCT state) FROM public.twin_deals('2026-05-01')), 4::bigint, 'of every state there is one');
-- Sums by segment.
SELECT is_empty(format($$
  WITH d AS (SELECT *, public.twin_in(root, opened_at) AS inside FROM public.twin_deals(%1$L) WHERE state <> 'merged' AND opened_at >= %2$L),
  l AS (SELECT x.*, public.twin_in(x.root, x.at) AS inside,
      EXISTS (SELECT FROM public.ev e JOIN cdp_data.touchpoint_key k USING (source_key) WHERE e.kind IN ('deal_won', 'purchase') AND cdp_internal.root_of(k.customer_id) = x.root AND e.at >= x.at AND e.at <= x.at + interval '72 hours' AND e.at < %1$L) AS became
    FROM (SELECT cdp_internal.root_of(k.customer_id) AS root, min(e.at) AS at FROM public.ev e JOIN cdp_data.touchpoint_key k USING (source_key) WHERE e.kind = 'lead' AND e.at < %1$L GROUP BY 1) x WHERE x.at >= %2$L),
  t AS (
    SELECT g.name, (SELECT count(*) FROM l WHERE g.every OR l.inside) AS leads, (SELECT count(*) FROM l WHERE (g.every OR l.inside) AND l.became) AS became, count(d.opp) AS n, count(*) FILTER (WHERE d.state = 'open') AS o, count(*) FILTER (WHERE d.state = 'won') AS w, count(*) FILTER (WHERE d.state = 'lost') AS x,
      coalesce(sum(d.again), 0) AS again, coalesce(sum(d.amount) FILTER (WHERE d.state = 'open'), 0) AS open_value, coalesce(sum(d.amount) FILTER (WHERE d.state = 'won'), 0) AS won_value,
      avg(d.amount) FILTER (WHERE d.state = 'won') AS won_avg, avg(d.days) FILTER (WHERE d.state = 'won') AS days, count(*) FILTER (WHERE d.state = 'open' AND d.stage = 's1') AS qualified
    FROM (VALUES (NULL::text, true), ('xian', false)) g (name, every) LEFT JOIN d ON g.every OR d.inside GROUP BY 1, g.every),
  want AS (SELECT t.name, t.leads, t.became, round(t.became::numeric / nullif(t.leads, 0), 6), t.n, t.o, t.w, t.x, t.again::bigint, round(t.w::numeric / nullif(t.w + t.x, 0), 6), t.open_value::numeric, t.won_value::numeric, round(t.won_avg::numeric, 4), round(t.days::numeric, 4),
      round((t.qualified * (t.w::numeric / nullif(t.w + t.x, 0)) * t.won_avg::numeric / nullif(t.days, 0))::numeric, 4) FROM t),
  have AS (SELECT p.segment, p.leads, p.lead_customers, p.lead_to_customer_rate, p.opportunities, p.open, p.won, p.lost, p.reopened, p.win_rate, p.open_value, p.won_value, round(p.average_won_value, 4), round(p.average_days_to_close, 4), round(p.velocity, 4)
    FROM cdp.segment_pipeline('{xian}', %2$L, as_of => %1$L, customer_kinds => '{deal_won,purchase}', lead_within => '3 days', stages => '{s1}') p)
  (SELECT * FROM want EXCEPT SELECT * FROM have) UNION ALL (SELECT * FROM have EXCEPT SELECT * FROM want)$$, t, s), format('sums by segment of what was opened since %s as of %s', s, t))
FROM unnest('{2026-03-10 00:00+00,2026-03-16 12:00+00,2026-05-01 00:00+00}'::text[]) t, unnest('{2026-03-01 00:00+00,2026-03-06 00:00+00}'::text[]) s;
-- Members at each moment against the set of that moment, also moments before the first run and a run for an earlier one.
SELECT is_empty($$
  WITH asked AS (SELECT row_number() OVER () AS n, c.customer_id AS root, m AS at FROM cdp_data.customer c, generate_series(timestamptz '2026-02-28', '2026-04-02', '31 hours') m WHERE c.parent_id = c.customer_id),
  have AS (SELECT m.n FROM (SELECT array_agg(root ORDER BY n) AS roots, array_agg(at ORDER BY n) AS moments FROM asked) a, cdp_internal.members_then('{1}', a.roots, a.moments) m)
  SELECT a.* FROM asked a WHERE (a.n IN (SELECT n FROM have)) <> public.twin_in(a.root, a.at)$$, 'members at any moment');
-- Stages against a walk in plain SQL: who entered a stage at all, and who later came to a higher one.
SELECT is((SELECT sum(opportunities) FROM cdp.opportunity_stages('{s1,s2,s3}', as_of => '2026-05-01') WHERE name <> '(won)') >= 20, true, 'random stages');
SELECT is((SELECT opportunities FROM cdp.opportunity_stages('{nothing}', as_of => '2026-05-01') WHERE name = '(won)'), (SELECT count(DISTINCT e.opp) FROM public.ev e JOIN public.twin_deals('2026-05-01') d ON d.opp = e.opp AND d.state <> 'merged' WHERE e.kind = 'deal_won'), 'all that were ever won came to the last stage');
SELECT * FROM finish();
