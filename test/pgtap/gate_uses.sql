-- A consent withdrawn, a refusal of analytics, an erasure and a purpose taken away hold in their own transaction wherever people are
-- used: audiences, exports, activations, runs and their messages, offers, every journey, previews, values and reports. One customer, all
-- uses; he is in each before. Acts commit or are taken back, so without a transaction around.
SELECT plan(26);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC') \g /dev/null
-- p1 to p9 visit, put into the cart, buy twice, and agree.
SELECT count(cdp.track('shop', k, jsonb_build_object('email', 'p' || i || '@example.org'), '{"page": "/"}', now() - h * interval '1 hour', format('%s %s %s', k, i, h), CASE k WHEN 'purchase' THEN 10 * i END))
FROM generate_series(1, 9) i, (VALUES ('visit', 400), ('add_to_cart', 300), ('purchase', 200), ('visit', 150), ('purchase', 100)) v (k, h) \g /dev/null
SELECT count(cdp.identify('shop', jsonb_build_object('email', 'p' || i || '@example.org'), '{"city": "Xian"}')) FROM generate_series(1, 9) i \g /dev/null
SELECT count(cdp.record_consent('shop', 'marketing', 'granted', jsonb_build_object('email', 'p' || i || '@example.org'))) FROM generate_series(1, 9) i \g /dev/null
SELECT cdp.add_destination('mailer', 'marketing', 'email'), cdp.add_destination('ads', 'marketing', 'email'), cdp.create_segment('fans', 'did(purchase last 30 days)', 'marketing', 'email') \g /dev/null
SELECT kind FROM cdp.segment_tick() \g /dev/null
SELECT cdp.create_activation('to ads', 'fans', 'ads'), cdp.create_placement('home'), cdp.create_campaign_run('now', 'fans', 'mailer', goal_kinds => '{purchase}'), cdp.create_campaign_run('next', 'fans', 'mailer') \g /dev/null
SELECT cdp.create_offer('tea', '{home}', 'marketing', channel => 'email', rule => 'did(purchase last 30 days)') \g /dev/null
SELECT added FROM cdp.fill_activation('to ads') \g /dev/null
SELECT state FROM cdp.launch_campaign_run('now') \g /dev/null
SELECT cdp.customer_of('email', 'p4@example.org') AS p4 \gset

-- Where a customer is used now, in words. What is refused as a whole is told with its error.
CREATE FUNCTION pg_temp.use(name text, query text, c bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
  EXECUTE query INTO n USING c;
  RETURN CASE WHEN n > 0 THEN name END;
EXCEPTION WHEN OTHERS THEN
  RETURN format('%s: %s', name, SQLSTATE);
END $$;
CREATE TABLE public.way (kind text, name text, query text);
\set stages '''[{"name": "looker", "enter": "visit"}, {"name": "buyer", "enter": "purchase"}]'''
INSERT INTO public.way VALUES
  ('marketing', 'audience', $$SELECT count(*) FROM cdp.segment_audience('fans') m WHERE m = $1$$),
  ('marketing', 'export', $$SELECT count(*) FROM cdp.export_audience(cdp.request_audience_export('fans'), 'fans', header => false) l WHERE l = $1::text$$),
  ('marketing', 'at the destination', 'SELECT count(*) FROM cdp_data.activation_member m WHERE m.customer_id = $1 AND m.is_in'),
  ('marketing', 'messages', $$SELECT count(*) FROM cdp_data.outbox o WHERE o.customer_id = $1 AND o.state = 'waiting' AND o.kind IN ('audience_add', 'campaign')$$),
  ('marketing', 'next run', $$WITH l AS (SELECT * FROM cdp.launch_campaign_run('next')) SELECT count(*) FILTER (WHERE m = $1) FROM l, LATERAL cdp.segment_audience('fans', CASE l.state WHEN 'running' THEN 'email' END) m$$),
  ('marketing', 'offer', $$SELECT count(offer) FROM cdp.next_best_offer($1, 'home')$$),
  ('journey', 'funnel', $$SELECT max(customers) FROM cdp.funnel('{visit,purchase}', '30 days', customer_ids => ARRAY[$1])$$),
  ('journey', 'retention', $$SELECT sum(size) FROM cdp.retention('{visit}', '{purchase}', customer_ids => ARRAY[$1])$$),
  ('journey', 'paths', $$SELECT sum(paths) FROM cdp.paths('{visit}', '{purchase}', customer_ids => ARRAY[$1])$$),
  ('journey', 'links', $$SELECT sum(paths) FROM cdp.journey_links('{visit}', '{purchase}', customer_ids => ARRAY[$1])$$),
  ('journey', 'loops', $$SELECT sum(returns) FROM cdp.journey_loops(labels => '{visit,purchase}', customer_ids => ARRAY[$1])$$),
  ('journey', 'stages', format('SELECT sum(customers) FROM cdp.journey_stages(%L, customer_ids => ARRAY[$1])', :stages)),
  ('journey', 'flows', format('SELECT sum(stays) FROM cdp.journey_flows(%L, customer_ids => ARRAY[$1])', :stages)),
  ('journey', 'state', format('SELECT count(*) FROM cdp.journey_state(%L, ARRAY[$1])', :stages)),
  ('journey', 'sessions', $$SELECT max(sessions) FROM cdp.sessions(starts => '{purchase}', customer_ids => ARRAY[$1])$$),
  ('report', 'preview', $$SELECT count(*) FROM cdp.segment_preview('did(purchase)', exact => true), unnest(examples) e WHERE e = $1$$),
  ('report', 'explain', $$SELECT count(*) FROM cdp.segment_explain('fans', $1) WHERE result$$),
  ('report', 'value', $$SELECT count(*) FROM cdp.customer_value(customer_ids => ARRAY[$1], fit => '{"model": "bgnbd", "r": 0.2, "alpha": 4, "a": 0.8, "b": 2.4}', money_fit => '{"model": "gammagamma", "p": 6, "q": 4, "v": 15}')$$);
CREATE FUNCTION pg_temp.uses(wanted text, c bigint) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(pg_temp.use(w.name, w.query, c), ', ' ORDER BY w.name), 'none') FROM public.way w WHERE w.kind = wanted $$;
BEGIN;
SELECT is(pg_temp.uses('marketing', :p4), 'at the destination, audience, export, messages, next run, offer', 'he is used for marketing');
SELECT is(pg_temp.uses('journey', :p4), 'flows, funnel, links, loops, paths, retention, sessions, stages, state', 'he is in every journey');
SELECT is(pg_temp.uses('report', :p4), 'explain, preview, value', 'and in what is reckoned of people');
ROLLBACK;
SELECT count(*) AS everybody FROM cdp.segment_audience('fans') \gset

-- Marketing withdrawn: for that at once, and for nothing else.
BEGIN;
SELECT cdp.record_consent('shop', 'marketing', 'withdrawn', '{"email": "p4@example.org"}') \g /dev/null
SELECT is(pg_temp.uses('marketing', :p4), 'none', 'marketing withdrawn: he is used for it nowhere');
SELECT is((SELECT string_agg(DISTINCT kind || ' ' || state, ', ' ORDER BY kind || ' ' || state) FROM cdp_data.outbox WHERE customer_id = :p4), 'audience_add cancelled, campaign cancelled', 'what waited is cancelled; nothing had been sent that had to be taken back');
SELECT is(pg_temp.uses('journey', :p4), 'flows, funnel, links, loops, paths, retention, sessions, stages, state', 'that says nothing about analytics');
SELECT is((SELECT count(*) FROM cdp.segment_audience('fans')), :everybody - 1::bigint, 'others are as they were');
ROLLBACK;
SELECT is(pg_temp.uses('marketing', :p4) LIKE 'at the destination, audience%', true, 'taken back, he is used again');
-- The same once the destination has him.
SELECT cdp.outbox_sent(o.outbox_id) FROM cdp.outbox_take('ads', 100) o \g /dev/null
BEGIN;
SELECT cdp.record_consent('shop', 'marketing', 'withdrawn', '{"email": "p4@example.org"}') \g /dev/null
SELECT is((SELECT string_agg(kind, ', ') FROM cdp_data.outbox WHERE customer_id = :p4 AND state = 'waiting'), 'audience_withdraw', 'a destination that has him is told to take him out');
ROLLBACK;

-- Analytics refused: nowhere.
BEGIN;
SELECT cdp.record_consent('shop', 'analytics', 'withdrawn', '{"email": "p4@example.org"}') \g /dev/null
SELECT is(pg_temp.uses('marketing', :p4), 'none', 'analytics refused: he is used nowhere');
SELECT is(pg_temp.uses('journey', :p4), 'none', 'in no journey');
SELECT is(pg_temp.uses('report', :p4), 'explain: 55000', 'in no report, and nobody is told why');
SELECT is((SELECT string_agg(DISTINCT last_error, ', ') FROM cdp_data.outbox WHERE destination = 'mailer' AND state = 'cancelled' AND customer_id = :p4), format('customer %s refuses analytics', :p4), 'the message of a run says why it does not go');
ROLLBACK;

-- Erased, in either way.
BEGIN;
SELECT cdp.erase_customer(:p4, 'anonymise') \g /dev/null
SELECT is(pg_temp.uses('marketing', :p4), 'none', 'erased: he is used nowhere');
SELECT is(pg_temp.uses('journey', :p4), 'none', 'in no journey');
SELECT is(pg_temp.uses('report', :p4), 'explain: 55000', 'and in no report');
SELECT is((SELECT count(*) FROM cdp_bi.segment_member WHERE customer_id = :p4) + (SELECT count(*) FROM cdp.customer_segments(:p4)), 0::bigint, 'in no segment');
SELECT is((SELECT string_agg(kind, ', ') FROM cdp_data.outbox WHERE destination = 'ads' AND state = 'waiting'), 'erase', 'a destination that has him is told to delete him');
ROLLBACK;
BEGIN;
SELECT cdp.erase_customer(:p4, 'delete') \g /dev/null
SELECT is(pg_temp.uses('marketing', :p4) || '; ' || pg_temp.uses('journey', :p4) || '; ' || pg_temp.uses('report', :p4), 'none; none; explain: 55000', 'with all that he did, likewise');
ROLLBACK;

-- Purchases may be used for service only: what stands on them is refused by name, or says nothing.
BEGIN;
SELECT cdp.allow_purposes('kind', 'purchase', '{service}');
SELECT is(pg_temp.uses('marketing', :p4), 'audience: 22023, export: 22023, next run: 22023', 'a purpose taken away: no audience, no export, no run, nobody at the destination, no message, no offer');
SELECT is((SELECT string_agg(DISTINCT kind || ' ' || state || coalesce(': ' || last_error, ''), ', ') FROM cdp_data.outbox WHERE destination = 'mailer'), 'campaign cancelled: kind of events "purchase" may not be used for the purpose "marketing"', 'messages of a run that stood on them are cancelled');
SELECT is(pg_temp.uses('journey', :p4), 'flows: 22023, funnel: 22023, links: 22023, loops: 22023, paths: 22023, retention: 22023, sessions: 22023, stages: 22023, state: 22023', 'every journey refuses them by name');
SELECT is((SELECT string_agg(DISTINCT u, ' ') FROM cdp.paths(), unnest(steps) u), 'add_to_cart visit', 'one that does not name them leaves them out');
SELECT is((SELECT string_agg(code, ' ') FROM cdp.segment_check('did(purchase)', 'marketing') WHERE severity = 'error'), 'E_PURPOSE', 'rules can not ask for them');
SELECT is((SELECT count(*) FROM cdp.explain_offers(:p4, 'home') WHERE refused = 'rule'), 1::bigint, 'an offer that stands on them is nobody''s');
ROLLBACK;
SELECT is(pg_temp.uses('journey', :p4) || '; ' || pg_temp.uses('report', :p4), 'flows, funnel, links, loops, paths, retention, sessions, stages, state; explain, preview, value', 'all of it was taken back');
SELECT * FROM finish();
