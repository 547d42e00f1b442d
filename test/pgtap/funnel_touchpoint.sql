-- Funnels over our own touchpoints equal the engine over plain joins, through merges, unmerges, moved identifiers and
-- consents; an erasure takes effect in its transaction; purposes and the minimum audience hold.
BEGIN;
SELECT plan(46);
SET client_min_messages = error;
\ir report_data.inc
UPDATE cdp_data.touchpoint SET properties = jsonb_build_object('page', (ARRAY['/', '/cart', '(none)'])[1 + touchpoint_id % 3], 'x''y', touchpoint_id % 2) WHERE touchpoint_id % 4 > 0;
CREATE TABLE pg_temp.allowed (root bigint PRIMARY KEY);
CREATE FUNCTION pg_temp.settle() RETURNS void LANGUAGE sql AS $$
  TRUNCATE pg_temp.allowed;
  INSERT INTO pg_temp.allowed SELECT c.customer_id FROM cdp_data.customer c, cdp.consent_at(c.customer_id, 'analytics') a WHERE c.parent_id = c.customer_id AND a.allowed $$;
CREATE VIEW pg_temp.seen AS SELECT f.*, t.properties->>'page' AS page, t.properties->>'x''y' AS xy,
  to_char(date_trunc('day', f.at AT TIME ZONE 'Asia/Shanghai'), 'YYYY-MM-DD') AS day, to_char(date_trunc('week', f.at AT TIME ZONE 'Asia/Shanghai'), 'YYYY-MM-DD') AS week, to_char(date_trunc('month', f.at AT TIME ZONE 'Asia/Shanghai'), 'YYYY-MM-DD') AS month, to_char(date_trunc('quarter', f.at AT TIME ZONE 'Asia/Shanghai'), 'YYYY-MM-DD') AS quarter, to_char(date_trunc('year', f.at AT TIME ZONE 'Asia/Shanghai'), 'YYYY-MM-DD') AS year FROM pg_temp.flat f JOIN cdp_data.touchpoint t ON t.touchpoint_id = f.id WHERE f.flags = 0 AND f.customer IN (TABLE pg_temp.allowed);
SELECT pg_temp.settle();
CREATE FUNCTION pg_temp.twin(o jsonb, by text, split text, condition text DEFAULT 'true') RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format('SELECT string_agg(f::text, E''\n'' ORDER BY f.breakdown COLLATE "C", f.step) FROM (SELECT cdp.funnel_pass(s.customer, s.at, s.%I, $1%s) AS p FROM pg_temp.seen s WHERE %s) x, cdp.funnel_steps(x.p) f',
    by, CASE WHEN split IS NOT NULL THEN format(', s.%I', split) END, condition) INTO r USING o;
  RETURN r;
END $$;
CREATE FUNCTION pg_temp.own(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format('SELECT string_agg(f::text, E''\n'' ORDER BY f.breakdown COLLATE "C", f.step) FROM cdp.funnel(%s) f', call) INTO r;
  RETURN r;
END $$;
SELECT cmp_ok((SELECT customers FROM cdp.funnel('{visit,purchase}', '14 days') WHERE step = 2), '>', 50::bigint, 'there is something to compare');
SELECT is(pg_temp.own($$'{visit,purchase}', '14 days'$$), pg_temp.twin(cdp.funnel_options('{visit,purchase}', '14 days'), 'kind', NULL), 'by kind');
SELECT is(pg_temp.own($$'{visit|ad_click,purchase}', '14 days', breakdown_by => 'channel'$$), pg_temp.twin(cdp.funnel_options('{visit|ad_click,purchase}', '14 days'), 'kind', 'channel'), 'with a breakdown by channel');
SELECT is(pg_temp.own($$'{visit,purchase}', breakdown_by => 'campaign', breakdown_at => 'last'$$), pg_temp.twin(cdp.funnel_options('{visit,purchase}', breakdown => 'last'), 'kind', 'campaign'), 'by campaign of the last step');
SELECT is(pg_temp.own(format($$'{Email,%s}', by => 'channel', breakdown_by => 'kind'$$, c.channel)), pg_temp.twin(cdp.funnel_options(ARRAY['Email', c.channel]), 'channel', 'kind'), 'by channel: Email, then ' || c.channel)
FROM (SELECT channel FROM pg_temp.seen WHERE source = '小红书' LIMIT 1) c;
SELECT is(pg_temp.own(format($$'{visit,purchase}', '14 days', breakdown_by => %L, breakdown_at => %L$$, w, a)), pg_temp.twin(cdp.funnel_options('{visit,purchase}', '14 days', breakdown => a), 'kind', w), format('by %s of the %s step', w, a))
FROM (VALUES ('day', 'last'), ('week', 'first'), ('month', 'last'), ('quarter', 'first'), ('year', 'first')) v (w, a);
CREATE TEMP TABLE daily AS SELECT pg_temp.own($$'{visit,purchase}', '14 days', breakdown_by => 'day'$$) AS f;
SET LOCAL timezone = 'America/New_York';
SET LOCAL datestyle = 'German';
SELECT is(pg_temp.own($$'{visit,purchase}', '14 days', breakdown_by => 'day'$$), f, 'whatever the zone and dates of the session') FROM daily;
RESET timezone;
RESET datestyle;
SELECT is(pg_temp.own($$'{google,小红书|weibo}', '30 days', by => 'source', breakdown_by => 'channel_group'$$), pg_temp.twin(cdp.funnel_options('{google,小红书|weibo}', '30 days'), 'source', 'channel_group'), 'by source');
SELECT is(pg_temp.own($$'{Spring sale,Autumn 秋}', '30 days', by => 'campaign', breakdown_by => 'origin'$$), pg_temp.twin(cdp.funnel_options('{Spring sale,Autumn 秋}', '30 days'), 'campaign', 'origin'), 'by campaign');
SELECT is(pg_temp.own($$'{/,/cart}', '30 days', by => 'property:page', breakdown_by => 'property:x''y'$$), pg_temp.twin(cdp.funnel_options('{/,/cart}', '30 days'), 'page', 'xy'), 'by properties, a hostile key among them');
SELECT is(pg_temp.own($$'{visit,purchase}', '14 days', step_order => 'strict', kinds => '{visit,ad_click,purchase}'$$),
  pg_temp.twin(cdp.funnel_options('{visit,purchase}', '14 days', step_order => 'strict'), 'kind', NULL, $$kind IN ('visit', 'ad_click', 'purchase')$$), 'strict among some kinds');
SELECT is(pg_temp.own($$'{visit,purchase}', '14 days', step_order => 'strict'$$), pg_temp.twin(cdp.funnel_options('{visit,purchase}', '14 days', step_order => 'strict'), 'kind', NULL), 'and among all');
SELECT is(pg_temp.own($$'{visit,ad_click,purchase}', '14 days', exclude => '{refund}', since => '2026-02-01Z', until => '2026-03-01Z', as_of => '2026-03-10Z'$$),
  pg_temp.twin(cdp.funnel_options('{visit,ad_click,purchase}', '14 days', exclude => '{refund}', since => '2026-02-01Z', until => '2026-03-01Z', as_of => '2026-03-10Z'), 'kind', NULL), 'between two moments, as of a third');
SELECT is(pg_temp.own($$'{visit,ad_click,purchase}', step_within => '{3 days,4 days}', until => '2026-03-01Z'$$), pg_temp.twin(cdp.funnel_options('{visit,ad_click,purchase}', step_within => '{3 days,4 days}', until => '2026-03-01Z'), 'kind', NULL), 'with limits from step to step');
SELECT is(pg_temp.own($$'{visit,ad_click,purchase}', '9 days', step_order => 'unordered', until => '2026-03-01Z'$$), pg_temp.twin(cdp.funnel_options('{visit,ad_click,purchase}', '9 days', step_order => 'unordered', until => '2026-03-01Z'), 'kind', NULL), 'in any order');
SELECT is(pg_temp.own($$'{visit,purchase}', '14 days', ties => 'by_id'$$), (SELECT string_agg(f::text, E'\n' ORDER BY f.step) FROM (
  SELECT cdp.funnel_pass(s.customer, s.at, s.kind, cdp.funnel_options('{visit,purchase}', '14 days', ties => 'by_id'), s.id) AS p FROM pg_temp.seen s) x, cdp.funnel_steps(x.p) f), 'rows of one time by their ids');
SELECT isnt(pg_temp.own($$'{visit,purchase}', '14 days', ties => 'by_id'$$), pg_temp.own($$'{visit,purchase}', '14 days'$$), 'which matters here');
SELECT is(pg_temp.own($$'{visit,purchase}', customer_ids => '{3,20,21}'$$), pg_temp.twin(cdp.funnel_options('{visit,purchase}'), 'kind', NULL, 'customer IN (7, 20, 21)'), 'of some customers, one asked for by what was merged into another');
SELECT isnt(pg_temp.own($$'{visit,purchase}', '14 days', bots => true, internal => true$$), pg_temp.own($$'{visit,purchase}', '14 days'$$), 'bots and internal traffic only when asked for');
SELECT is(pg_temp.own($$'{visit,donation}', '14 days', since => '2030-01-01Z'$$), E'(,1,visit,0,0,,,,,,,,)\n(,2,donation,0,0,,,,,,,,)', 'over nothing: nobody at each step');

-- What happens to people takes effect at once.
CREATE FUNCTION pg_temp.change() RETURNS text LANGUAGE plpgsql AS $$
DECLARE a bigint := 1 + floor(random() * 240); b bigint := 1 + floor(random() * 240);
BEGIN
  CASE floor(random() * 4)::int
    WHEN 0 THEN
      PERFORM cdp.record_consent('test source', 'analytics', (ARRAY['granted', 'denied', 'withdrawn'])[1 + floor(random() * 3)::int], jsonb_build_object('user_id', 'p' || 2 + floor(random() * 480)::int)) FROM generate_series(1, 20);
      RETURN 'consents';
    WHEN 1 THEN
      UPDATE cdp_data.customer SET parent_id = cdp_internal.root_of(b) WHERE customer_id = cdp_internal.root_of(a) AND cdp_internal.root_of(a) <> cdp_internal.root_of(b);
      RETURN 'a merge';
    WHEN 2 THEN
      UPDATE cdp_data.customer SET parent_id = customer_id WHERE customer_id = (SELECT customer_id FROM cdp_data.customer WHERE parent_id <> customer_id ORDER BY random() LIMIT 1);
      RETURN 'an unmerge';
    ELSE
      INSERT INTO cdp_data.identifier_override VALUES (2 * a, b) ON CONFLICT (identifier_id) DO UPDATE SET customer_id = excluded.customer_id;
      RETURN 'a moved identifier';
  END CASE;
END $$;
CREATE FUNCTION pg_temp.rounds(n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE what text; before text := ''; now_is text; changed int := 0;
BEGIN
  FOR round IN 1 .. n LOOP
    what := format('%s, %s', pg_temp.change(), pg_temp.change());
    PERFORM pg_temp.settle();
    now_is := pg_temp.own($f$'{visit|ad_click,purchase}', '14 days', breakdown_by => 'source'$f$);
    changed := changed + (now_is <> before)::int;
    before := now_is;
    RETURN NEXT public.is(now_is, pg_temp.twin(cdp.funnel_options('{visit|ad_click,purchase}', '14 days'), 'kind', 'source'), 'after ' || what);
  END LOOP;
  RETURN NEXT public.cmp_ok(changed, '>', n / 2, 'which changed the funnel');
END $$;
SELECT pg_temp.rounds(10);
CREATE TEMP TABLE whole AS SELECT * FROM cdp.funnel('{visit,purchase}', '60 days');
CREATE TEMP TABLE gone AS SELECT s.customer FROM pg_temp.seen s WHERE s.kind = 'purchase' ORDER BY 1 DESC LIMIT 1;
SELECT isnt(cdp.erase_customer(customer, 'delete'), NULL, 'one is erased') FROM gone;
SELECT ok(NOT EXISTS (SELECT FROM pg_temp.seen s JOIN gone USING (customer)), 'nothing is left of him');
SELECT is((SELECT w.customers - f.customers FROM cdp.funnel('{visit,purchase}', '60 days') f JOIN whole w USING (step) WHERE step = 1), 1::bigint, 'one less, in the same transaction');

-- Purposes.
INSERT INTO cdp_data.touch_kind (kind_id, name, allowed_purposes) VALUES (1001, 'support_chat', '{service}');
SELECT throws_like($$SELECT * FROM cdp.funnel('{visit,support_chat}')$$, '%support_chat%analytics%', 'a kind that may not be used for analytics');
SELECT throws_like($$SELECT * FROM cdp.funnel('{visit,purchase}', exclude => '{support_chat}')$$, '%support_chat%analytics%', 'not even as excluded');
INSERT INTO cdp_data.property_rule (kind_id, key, sensitivity, allowed_purposes) SELECT kind_id, 'page', 'personal', '{service}' FROM cdp_data.touch_kind_all WHERE name = 'visit';
SELECT throws_like($$SELECT * FROM cdp.funnel('{/,/cart}', by => 'property:page', kinds => '{visit}')$$, '%page%visit%analytics%', 'a property that may not');
SELECT is(pg_temp.own($$'{/,/cart}', '30 days', by => 'property:page'$$), pg_temp.twin(cdp.funnel_options('{/,/cart}', '30 days'), 'page', NULL, $$kind <> 'visit'$$), 'it is not read where all kinds are taken');
SELECT throws_ok($$SELECT * FROM cdp.funnel('{2026-01-01}', by => 'day')$$, '22023', 'unknown by "day"', 'a day is no label of a step');
SELECT throws_ok($$SELECT * FROM cdp.funnel('{a,b}', by => 'color')$$, '22023', 'unknown by "color"', 'an unknown word');
SELECT throws_ok($$SELECT * FROM cdp.funnel('{visit}', breakdown_by => 'property:')$$, '22023', NULL, 'a property without a key');
SELECT throws_ok($$SELECT * FROM cdp.funnel('{email}', by => 'channel')$$, '22023', 'there is no channel named "email"', 'an unknown channel');

SELECT * FROM finish();
ROLLBACK;
