-- Ticks end where a pass over everybody would also when traits are filled and refreshed, rates come, channels move, profiles are
-- made anew, and clocks are put forward in the zone of a rule. Every step commits, so without a transaction around.
SELECT plan(5);
\ir segment_world.inc
INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) VALUES ('EUR', 'CNY', '2025-01-01', 8);
UPDATE public.world SET at = '2026-03-28 21:00+00';
DELETE FROM public.variant WHERE name NOT IN ('buyers', 'spenders', 'left_cart', 'city', 'listed', 'willing', 'idle', 'both', 'kleene', 'days', 'tagged', 'campaign');
INSERT INTO public.variant
SELECT v.name, row_number() OVER (PARTITION BY v.name), ('{"v": 1, "where": ' || v.rule || '}')::jsonb || CASE WHEN v.name LIKE 'berlin%' THEN '{"tz": "Europe/Berlin"}'::jsonb ELSE '{}' END
FROM (VALUES
  ('filled', '{"trait": "score", "gte": 3}'), ('filled', '{"not": {"trait": "score", "in": [1, 2]}}'), ('place', '{"not": {"trait": "place", "eq": "a"}}'), ('ranked', '{"rank": {"trait": "score"}, "top": "30%"}'),
  ('rfm', '{"trait": "rfm_f", "gte": 3}'), ('computed', '{"any": [{"trait": "visits30", "gte": 2}, {"trait": "favourite", "eq": "a"}]}'),
  ('berlin_week', '{"did": "visit", "this": "week"}'), ('berlin_day', '{"did": "visit", "previous": "day"}'), ('berlin_days', '{"did": "visit", "last": "10 days", "days": {"gte": 2}}'), ('berlin_month', '{"did": "visit", "last": "1 month"}'),
  ('dear', '{"did": "purchase", "last": "20 days", "where": {"field": "value", "gte": 50}}'), ('mean', '{"did": "purchase", "last": "20 days", "avg": {"field": "value"}, "gte": 100}'), ('early', '{"did": "visit", "last": "12 days", "first_value": "sku", "eq": "a"}'),
  ('several', '{"did": ["visit", "purchase"], "last": "9 days", "distinct": "sku", "gte": 2}'), ('then', '{"did": "visit", "between": ["9 days", "2 days"], "count": {"between": [1, 2]}}'),
  ('owned', '{"did": "visit", "last": "30 days", "where": {"field": "channel_group", "eq": "Owned"}}'), ('owned', '{"did": "visit", "last": "30 days", "where": {"field": "channel_group", "neq": "Paid media"}}'),
  ('chain', '{"seq": [{"did": "visit"}, {"did": "add_to_cart", "within": "3 days"}, {"did": "purchase", "within": "2 days"}], "last": "25 days", "total": "4 days", "ties": "order"}'),
  ('rest', '{"all": [{"segment": "filled"}, {"segment": "owned"}]}'), ('figures', '{"all": [{"attr": "last_seen", "before_last": "2 days"}, {"attr": "orders", "gte": 1}]}')
) AS v (name, rule);
SELECT cdp.upload_list('press', 'email', '{}'), cdp.upload_list('staff', 'email', '{}') \g /dev/null
SELECT setseed(0.2) \g /dev/null
SELECT cdp.set_trait('score', '{}', '{}'), cdp.set_trait_words('place', '{}', '{}'), cdp.define_trait('visits30', 'count(visit last 30 days)'), cdp.define_trait('favourite', 'most_frequent(sku of visit)') \g /dev/null
SELECT pg_temp.an_event(-n) FROM generate_series(1, 12) n \g /dev/null
SELECT cdp.create_segment(v.name, v.rule, 'service') FROM public.variant v WHERE v.nth = 1 ORDER BY v.name IN ('both', 'rest'), v.name \g /dev/null

CREATE FUNCTION pg_temp.more(n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  what integer := floor(random() * 8)::int;
BEGIN
  IF what < 3 THEN
    PERFORM cdp.set_trait('score', ARRAY(SELECT customer_id FROM cdp_data.customer ORDER BY random() LIMIT 4), ARRAY(SELECT CASE WHEN random() < 0.8 THEN floor(random() * 6) END FROM generate_series(1, 4)), pg_temp.pick('{add,add,add,replace}'))
    WHERE (SELECT count(*) FROM cdp_data.customer) >= 4;
    RETURN 'trait';
  ELSIF what = 3 THEN
    PERFORM cdp.set_trait_words('place', ARRAY(SELECT customer_id FROM cdp_data.customer ORDER BY random() LIMIT 3), ARRAY(SELECT pg_temp.pick('{a,b}') FROM generate_series(1, 3)), 'add') WHERE (SELECT count(*) FROM cdp_data.customer) >= 3;
    RETURN 'words';
  ELSIF what = 4 THEN
    PERFORM cdp.refresh_traits((SELECT at FROM public.world));
    RETURN 'refresh';
  ELSIF what = 5 THEN
    INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) VALUES ('EUR', 'CNY', '2026-01-01'::date + floor(random() * 90)::int, 5 + floor(random() * 5)) ON CONFLICT DO NOTHING;
    RETURN 'rate';
  ELSIF what = 6 AND EXISTS (SELECT FROM cdp_data.channel) THEN
    DELETE FROM cdp_data.channel;
    RETURN 'channel';
  ELSIF what = 6 THEN
    INSERT INTO cdp_data.channel (channel_id, name, channel_group) SELECT channel_id, name, 'Paid media' FROM cdp.channel_builtin() WHERE name = 'Email';
    RETURN 'channel';
  END IF;
  RETURN pg_temp.an_event(n + 100000) || ' ' || pg_temp.step(n);
END $$;
CREATE TABLE public.outcome (n int, what text, at timestamptz, ran text, entered bigint, wrong text);
CREATE FUNCTION pg_temp.go(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  what text := CASE WHEN random() < 0.4 THEN pg_temp.more(n) ELSE pg_temp.step(n) END;
  r record;
BEGIN
  IF n IN (20, 21) THEN -- once at least over the hour that Berlin leaves out
    UPDATE public.world w SET at = (CASE n WHEN 20 THEN '2026-03-29 00:30+00' ELSE '2026-03-29 01:30+00' END)::timestamptz;
  END IF;
  r := cdp.segment_tick((SELECT w.at FROM public.world w));
  INSERT INTO public.outcome VALUES (n, what, r.at, r.kind, r.entered, pg_temp.differences());
END $$;
SELECT format('SELECT CASE WHEN %1$s %% 35 = 0 THEN setseed(%1$s / 999.0) END, pg_temp.go(%1$s)', n) FROM generate_series(1, 60) n \gexec
SELECT is((SELECT string_agg(format('%s. %s (%s): %s', o.n, o.what, o.ran, o.wrong), E'\n' ORDER BY o.n) FROM public.outcome o WHERE o.wrong IS NOT NULL), NULL, 'after every step a pass finds what the ticks found');
SELECT cmp_ok((SELECT count(*) FROM public.outcome WHERE ran = 'tick'), '>', 25::bigint, 'most steps needed changed customers only');
SELECT cmp_ok((SELECT count(DISTINCT what) FROM public.outcome), '>=', 12::bigint, 'all sorts of things happened');
SELECT is((SELECT min(at) < '2026-03-29 01:00+00' AND max(at) > '2026-03-29 01:00+00' FROM public.outcome), true, 'clocks were put forward');
SELECT is((SELECT defects FROM cdp.audit_segments((SELECT at FROM public.world))), 0::bigint, 'nor does an audit find any');
SELECT * FROM finish();
