-- Retention, paths, stages and sessions over our own touchpoints equal the engine over plain joins, through merges, unmerges, moved
-- identifiers and consents; an erasure takes effect in its transaction; purposes and the minimum audience hold; reads of people are logged.
BEGIN;
SELECT plan(69);
SET client_min_messages = error;
\ir report_data.inc
UPDATE cdp_data.touchpoint SET properties = jsonb_build_object('page', (ARRAY['/', '/cart', '(none)'])[1 + touchpoint_id % 3]) WHERE touchpoint_id % 4 > 0;
CREATE TABLE pg_temp.allowed (root bigint PRIMARY KEY);
CREATE FUNCTION pg_temp.settle() RETURNS void LANGUAGE sql AS $$
  TRUNCATE pg_temp.allowed;
  INSERT INTO pg_temp.allowed SELECT c.customer_id FROM cdp_data.customer c, cdp.consent_at(c.customer_id, 'analytics') a WHERE c.parent_id = c.customer_id AND a.allowed $$;
CREATE VIEW pg_temp.seen AS SELECT f.*, t.properties->>'page' AS page FROM pg_temp.flat f JOIN cdp_data.touchpoint t ON t.touchpoint_id = f.id WHERE f.flags = 0 AND f.customer IN (TABLE pg_temp.allowed);
SELECT pg_temp.settle();
-- All rows of a query as one text.
CREATE FUNCTION pg_temp.all_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format('SELECT string_agg(f::text, E''\n'' ORDER BY f::text COLLATE "C") FROM (%s) f', query) INTO r;
  RETURN r;
END $$;
-- A pass over the plain joins, opened.
CREATE FUNCTION pg_temp.twin(opened text, pass text, condition text DEFAULT 'true') RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.all_of(format('SELECT o.* FROM (SELECT %s AS p FROM pg_temp.seen s WHERE %s) x, cdp.%s o', pass, condition, opened)) $$;
\set ladder '''[{"name": "seen", "enter": ["visit", "video_view"], "engage": ["ad_click"]}, {"name": "buyer", "enter": ["purchase"]}, {"name": "loyal", "enter": ["purchase"], "count": 3, "engage": ["visit", "ad_click"]}]'''
CREATE FUNCTION pg_temp.same(own text, twin text, what text) RETURNS text LANGUAGE sql AS $$ SELECT public.is(md5(pg_temp.all_of('SELECT * FROM ' || own)), md5(twin), what) $$;

SELECT cmp_ok((SELECT sum(customers) FROM cdp.retention(as_of => '2026-06-01Z') WHERE period > 0), '>', 300::numeric, 'there is something to compare');
SELECT pg_temp.same($$(SELECT cohort, size, period, customers, share, complete FROM cdp.retention(as_of => '2026-05-01Z')) r$$,
  (SELECT pg_temp.all_of(format('SELECT cohort, size, period, customers, share, complete FROM cdp.retention_table(%L)', p::text)) FROM (SELECT cdp.retention_pass(customer, at, kind, cdp.retention_options(time_zone => 'Asia/Shanghai', as_of => '2026-05-01Z')) AS p FROM pg_temp.seen) x), 'retention by weeks of Shanghai');
SELECT pg_temp.same($$cdp.retention('{visit}', '{purchase,refund}', 'month', 6, 'cumulative', with_value => true, since => '2026-01-15Z', until => '2026-03-01Z', as_of => '2026-05-20Z', time_zone => 'America/New_York')$$,
  pg_temp.twin('retention_table(p)', $$cdp.retention_pass(customer, at, kind, cdp.retention_options('{visit}', '{purchase,refund}', kind => 'cumulative', period => 'month', periods => 6, since => '2026-01-15Z', until => '2026-03-01Z', as_of => '2026-05-20Z', time_zone => 'America/New_York'), value)$$), 'of visitors who buy, by month, with what they bring');
SELECT pg_temp.same($$(SELECT cohort, size, period, customers FROM cdp.retention('{Email}', by => 'channel', entry => 'each_period', as_of => '2026-05-01Z', customer_ids => '{3,20,21}')) r$$,
  (SELECT pg_temp.all_of(format('SELECT cohort, size, period, customers FROM cdp.retention_table(%L)', p::text)) FROM (SELECT cdp.retention_pass(customer, at, channel, cdp.retention_options('{Email}', entry => 'each_period', time_zone => 'Asia/Shanghai', as_of => '2026-05-01Z')) AS p FROM pg_temp.seen WHERE customer IN (7, 20, 21)) x), 'of some customers, by channel');
SELECT pg_temp.same($$cdp.paths(top => 15, max_steps => 3)$$, pg_temp.twin('path_top(p, 15)', $$cdp.path_pass(customer, at, kind, cdp.path_options(max_steps => 3), id)$$), 'paths by kind');
SELECT pg_temp.same($$cdp.paths('{visit}', '{purchase}', max_steps => 4, occurrence => 'every', within => '10 days', since => '2026-02-01Z', until => '2026-04-01Z', top => NULL)$$,
  pg_temp.twin('path_top(p, NULL)', $$cdp.path_pass(customer, at, kind, cdp.path_options('{visit}', '{purchase}', max_steps => 4, occurrence => 'every', within => '10 days', since => '2026-02-01Z', until => '2026-04-01Z'), id)$$), 'from visits to purchases within ten days');
SELECT pg_temp.same($$cdp.paths(ends => '{purchase}', labels => '{visit,ad_click}', max_steps => 3, since => '2026-02-01Z', until => '2026-04-01Z', occurrence => 'every', as_of => '2026-03-20Z')$$,
  pg_temp.twin('path_top(p, 20)', $$cdp.path_pass(customer, at, kind, cdp.path_options(ends => '{purchase}', labels => '{visit,ad_click}', max_steps => 3, since => '2026-02-01Z', until => '2026-04-01Z', occurrence => 'every', as_of => '2026-03-20Z'), id)$$), 'what led to purchases');
SELECT pg_temp.same($$cdp.journey_links(by => 'channel', top => 2, gap => '5 days', collapse => true)$$, pg_temp.twin('path_links(p, 2)', $$cdp.path_pass(customer, at, channel, cdp.path_options(gap => '5 days', collapse => true, max_steps => 5, whole_paths => false), id)$$), 'links by channel');
SELECT pg_temp.same($$cdp.journey_links('{/}', by => 'property:page', leave_out => '{(none)}')$$, pg_temp.twin('path_links(p, 10)', $$cdp.path_pass(customer, at, page, cdp.path_options('{/}', leave_out => '{(none)}', max_steps => 5, whole_paths => false), id)$$), 'links by a property');
SELECT pg_temp.same($$cdp.journey_loops(gap => '5 days')$$, pg_temp.twin('path_loops(p)', $$cdp.path_pass(customer, at, kind, cdp.path_options(gap => '5 days', max_steps => 100, whole_paths => false), id)$$), 'loops');
SELECT pg_temp.same($$cdp.journey_loops(by => 'channel', ends => '{Email}', occurrence => 'every', max_steps => 4, since => '2026-02-01Z', until => '2026-03-01Z')$$,
  pg_temp.twin('path_loops(p)', $$cdp.path_pass(customer, at, channel, cdp.path_options(ends => '{Email}', occurrence => 'every', max_steps => 4, whole_paths => false, since => '2026-02-01Z', until => '2026-03-01Z'), id)$$), 'loops of channels on the way to one');
SELECT pg_temp.same($$cdp.sessions('12 hours', period_length => 'week')$$, pg_temp.twin('session_table(p)', $$cdp.session_pass(customer, at, kind, cdp.session_options('12 hours', period => 'week', time_zone => 'Asia/Shanghai'), NULL::text, id)$$), 'sessions by week');
SELECT pg_temp.same($$cdp.sessions('2 days', '5 days', '{ad_click}', by_campaign => true, since => '2026-02-01Z', until => '2026-03-01Z', as_of => '2026-03-10Z', time_zone => 'UTC')$$,
  pg_temp.twin('session_table(p)', $$cdp.session_pass(customer, at, kind, cdp.session_options('2 days', '5 days', '{ad_click}', since => '2026-02-01Z', until => '2026-03-01Z', as_of => '2026-03-10Z'), nullif(campaign, '(unknown)'), id)$$), 'with campaigns, and clicks that begin one');
SELECT pg_temp.same(format('cdp.journey_stages(%L, idle => ''20 days'', exits => ''{refund}'', as_of => ''2026-05-01Z'')', :ladder), pg_temp.twin('stage_table(p)', format($$cdp.stage_pass(customer, at, kind, cdp.stage_options(%L, idle => '20 days', exits => '{refund}', as_of => '2026-05-01Z'), id)$$, :ladder)), 'stages');
SELECT pg_temp.same(format('cdp.journey_flows(%L, skip => false, back_too => true, since => ''2026-02-01Z'', as_of => ''2026-05-01Z'')', :ladder), pg_temp.twin('stage_flows(p)', format($$cdp.stage_pass(customer, at, kind, cdp.stage_options(%L, skip => false, back => true, since => '2026-02-01Z', as_of => '2026-05-01Z'), id)$$, :ladder)), 'flows between them');
SELECT pg_temp.same(format('cdp.journey_state(%L, idle => ''20 days'', as_of => ''2026-05-01Z'')', :ladder), pg_temp.twin('stage_state(p)', format($$cdp.stage_pass(customer, at, kind, cdp.stage_options(%L, idle => '20 days', customers => true, as_of => '2026-05-01Z'), id)$$, :ladder)), 'and where each customer stands');
SELECT is((SELECT array_agg(customer_id) FROM cdp.journey_state(:ladder, '{3,20}')), '{7,20}', 'one of them asked for by what was merged into him');
SELECT isnt(pg_temp.all_of('SELECT * FROM cdp.sessions(bots => true, internal => true)'), pg_temp.all_of('SELECT * FROM cdp.sessions()'), 'bots and internal traffic only when asked for');
SELECT is((SELECT count(*) FROM cdp.retention(since => '2030-01-01Z')) + (SELECT count(*) FROM cdp.paths(since => '2030-01-01Z')) + (SELECT count(*) FROM cdp.journey_links(since => '2030-01-01Z')) + (SELECT coalesce(sum(sessions), 0) FROM cdp.sessions(since => '2030-01-01Z')), 0::numeric, 'over nothing');

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
    now_is := concat_ws(E'\n', pg_temp.all_of($q$SELECT * FROM cdp.retention(with_value => true, as_of => '2026-05-01Z', time_zone => 'UTC')$q$), pg_temp.all_of('SELECT * FROM cdp.journey_links(max_steps => 4)'), pg_temp.all_of('SELECT * FROM cdp.sessions(''1 day'', time_zone => ''UTC'')'));
    changed := changed + (now_is <> before)::int;
    before := now_is;
    RETURN NEXT public.is(md5(now_is), md5(concat_ws(E'\n', pg_temp.twin('retention_table(p)', $q$cdp.retention_pass(customer, at, kind, cdp.retention_options(as_of => '2026-05-01Z'), value)$q$),
      pg_temp.twin('path_links(p, 10)', 'cdp.path_pass(customer, at, kind, cdp.path_options(max_steps => 4, whole_paths => false), id)'), pg_temp.twin('session_table(p)', 'cdp.session_pass(customer, at, kind, cdp.session_options(''1 day''), NULL::text, id)'))), 'after ' || what);
  END LOOP;
  RETURN NEXT public.cmp_ok(changed, '>', n / 2, 'which changed what is told');
END $$;
SELECT pg_temp.rounds(6);
CREATE TEMP TABLE before AS SELECT (SELECT sum(size) FROM cdp.retention() WHERE period = 0) AS entered, (SELECT customers FROM cdp.sessions() WHERE starts_at IS NULL) AS seen, (SELECT count(*) FROM cdp.journey_state(:ladder)) AS standing;
CREATE TEMP TABLE gone AS SELECT s.customer FROM pg_temp.seen s WHERE s.kind = 'purchase' ORDER BY 1 DESC LIMIT 1;
SELECT isnt(cdp.erase_customer(customer, 'delete'), NULL, 'one is erased') FROM gone;
SELECT is((SELECT (entered - 1, seen - 1, standing - 1)::text FROM before), ((SELECT sum(size) FROM cdp.retention() WHERE period = 0), (SELECT customers FROM cdp.sessions() WHERE starts_at IS NULL), (SELECT count(*) FROM cdp.journey_state(:ladder)))::text, 'one less in each, in the same transaction');
CREATE TEMP TABLE one AS SELECT s.customer, (SELECT i.value FROM cdp_data.identifier i WHERE i.customer_id = s.customer AND NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = i.identifier_id) LIMIT 1) AS who
FROM pg_temp.seen s WHERE s.kind = 'purchase' AND s.customer > 20 AND NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.parent_id = s.customer AND c.customer_id <> s.customer) ORDER BY 1 LIMIT 1;
SELECT is((SELECT count(*) FROM one, cdp.journey_state(:ladder, ARRAY[one.customer])), 1::bigint, 'one who stands somewhere');
SELECT lives_ok($$SELECT cdp.record_consent('test source', 'analytics', 'withdrawn', jsonb_build_object('user_id', who)) FROM one$$, 'withdraws his consent');
SELECT is((SELECT count(*) FROM one, cdp.journey_state(:ladder, ARRAY[one.customer])), 0::bigint, 'and is in no journey from then on');

-- Reads of people are logged, others write nothing.
CREATE TEMP TABLE audit_before AS SELECT count(*) AS n FROM cdp_data.audit;
SELECT isnt((SELECT count(*) FROM cdp.journey_state(:ladder, '{20}')), NULL, 'a read of one');
SELECT is((SELECT count(*) - (SELECT n FROM audit_before) FROM cdp_data.audit), 1::bigint, 'leaves a row in the audit');
SELECT is((SELECT (object, customer_id)::text FROM cdp_data.audit ORDER BY audit_id DESC LIMIT 1), '(journey_state,20)', 'that says whose');

-- Purposes and words.
INSERT INTO cdp_data.touch_kind (kind_id, name, allowed_purposes) VALUES (1001, 'support_chat', '{service}');
SELECT throws_like(format('SELECT * FROM cdp.%s', call), '%support_chat%analytics%', 'a kind that may not be used for analytics: ' || call)
FROM unnest(ARRAY[$$retention('{support_chat}')$$, $$retention(return_labels => '{support_chat}')$$, $$paths('{support_chat}')$$, $$paths(leave_out => '{support_chat}')$$, $$journey_links(ends => '{support_chat}')$$,
  $$sessions(starts => '{support_chat}')$$, $$journey_stages('[{"name": "a", "enter": "support_chat"}]')$$, $$journey_state('[{"name": "a", "enter": "visit"}]', exits => '{support_chat}')$$]) call;
SELECT throws_ok(format('SELECT * FROM cdp.%s', call), '22023', NULL, 'refused: ' || call)
FROM unnest(ARRAY[$$retention(by => 'color')$$, $$paths('{email}', by => 'channel')$$, $$journey_links(top => 0)$$, $$sessions(gap => '1 month')$$, $$journey_flows('[]')$$, $$retention(currency => 'ZZZ', with_value => true)$$]) call;

-- The minimum audience.
SELECT pg_temp.settle();
UPDATE cdp_data.setting SET minimum_audience = 5;
SELECT throws_ok(format('SELECT * FROM cdp.%s', call), '42501', NULL, 'about two people: ' || call)
FROM unnest(ARRAY[$$retention(customer_ids => '{20,21}')$$, $$paths(customer_ids => '{20,21}')$$, $$journey_links(customer_ids => '{20,21}')$$, $$journey_loops(customer_ids => '{20,21}')$$, $$sessions(customer_ids => '{20,21}')$$,
  format('journey_stages(%L, customer_ids => ''{20,21}'')', :ladder), format('journey_flows(%L, customer_ids => ''{20,21}'')', :ladder)]) call;
SELECT throws_ok('SELECT * FROM cdp.paths(top => 0)', '22023', 'top must be above 0', 'no path at all is refused as it is without a minimum');
SELECT cmp_ok((SELECT count(*) FROM cdp.journey_state(:ladder, '{20,21}')), '>', 0::bigint, 'where single customers stand is no report');
CREATE TEMP TABLE cells AS SELECT kind, r.* FROM unnest('{exact,cumulative,rolling,unbounded}'::text[]) kind, cdp.retention(period_length => 'week', kind => kind, as_of => '2026-05-01Z') r;
SELECT ok(count(*) FILTER (WHERE customers > 0) > 20 AND count(*) FILTER (WHERE customers IS NULL) > 20, 'some cells are shown, some are not') FROM cells;
SELECT is((SELECT count(*) FROM cells WHERE size BETWEEN 1 AND 4 OR customers BETWEEN 1 AND 4 OR size - customers BETWEEN 1 AND 4), 0::bigint, 'none of few, or of all but few');
SELECT is((SELECT count(*) FROM (SELECT kind, abs(customers - lag(customers) OVER (PARTITION BY kind, cohort ORDER BY period)) AS step FROM cells WHERE customers IS NOT NULL) d WHERE kind <> 'exact' AND step BETWEEN 1 AND 4), 0::bigint, 'nor differ sums by few');
SELECT is((SELECT (count(*) FILTER (WHERE customers < 5), sum(paths))::text FROM cdp.paths(max_steps => 3, top => 1000)), (SELECT (0, s.paths)::text FROM (SELECT cdp.path_pass(customer, at, kind, cdp.path_options(max_steps => 3), id) AS p FROM pg_temp.seen) x, cdp.path_summary(x.p) s), 'paths of few are among the rest');
SELECT is((SELECT count(*) FROM cdp.journey_links(max_steps => 4, top => NULL) WHERE customers < 5), 0::bigint, 'no link of few');
SELECT is((SELECT (count(*) FILTER (WHERE self_customers BETWEEN 1 AND 4 OR return_customers BETWEEN 1 AND 4 OR coalesce(self_loops, 0) + coalesce(returns, 0) = 0 OR return_customers IS NULL AND median_return IS NOT NULL), count(*) > 0,
  count(*) FILTER (WHERE self_customers IS NULL OR return_customers IS NULL) > 0)::text FROM unnest('{kind,channel,source,campaign}'::text[]) by, cdp.journey_loops(by => by, max_steps => 4)), '(0,t,t)', 'no loop of few');
SELECT ok((SELECT count(*) FROM cdp.journey_links(max_steps => 4, top => NULL)) BETWEEN 5 AND (SELECT count(*) - 1 FROM (SELECT cdp.path_pass(customer, at, kind, cdp.path_options(max_steps => 4), id) AS p FROM pg_temp.seen) x, cdp.path_links(x.p)), 'but others');
SELECT ok((SELECT count(*) FILTER (WHERE customers < 5 OR bounced BETWEEN 1 AND 4) = 0 AND count(*) FILTER (WHERE customers IS NULL) <> 1 AND count(*) FILTER (WHERE starts_at IS NULL AND customers > 5) = 1 FROM cdp.sessions('1 hour')), 'no day of few, and never one alone');
SELECT is((SELECT count(*) FROM cdp.journey_flows(:ladder, idle => '20 days', exits => '{refund}', as_of => '2026-05-01Z') WHERE customers < 5) + (SELECT count(*) FROM cdp.journey_stages(:ladder, idle => '20 days', exits => '{refund}', as_of => '2026-05-01Z') WHERE customers < 5 OR engaged BETWEEN 1 AND 4 OR converted BETWEEN 1 AND 4 OR customers - converted BETWEEN 1 AND 4), 0::bigint, 'no stage or flow of few');
-- Hidden links of a node are never only small ones, unless all are hidden; the same for parts of a whole.
CREATE FUNCTION pg_temp.leaks(rounds int) RETURNS bigint LANGUAGE sql AS $$
  WITH given AS MATERIALIZED (SELECT g AS round, array_agg((random() * 4)::int::text) AS a, array_agg((random() * 4)::int::text) AS b, array_agg(CASE WHEN random() < 0.95 THEN floor(30 * random() * random())::bigint END) AS n
    FROM generate_series(1, rounds) g, generate_series(1, 12) i WHERE random() < 0.9 GROUP BY g),
  link AS (SELECT round, u.* FROM given, unnest(a, b, n, cdp_internal.shown_links(a, b, n, 5)) u (a, b, n, shown)),
  node AS (SELECT round, n, shown, node FROM link, LATERAL (VALUES ('from ' || a), ('to ' || b)) e (node) UNION ALL
    SELECT round, coalesce(u.n, 0), u.shown, 'whole' FROM given, LATERAL (SELECT ARRAY(SELECT coalesce(x, 0) FROM unnest(n) x) AS parts) p, unnest(p.parts, cdp_internal.shown_parts(p.parts, 5)) u (n, shown))
  SELECT (SELECT count(*) FROM link WHERE shown AND coalesce(n, 1) BETWEEN 1 AND 4) + (SELECT count(*) FROM (SELECT FROM node GROUP BY round, node HAVING bool_or(NOT shown) AND coalesce(max(n) FILTER (WHERE NOT shown), 0) < 5 AND bool_or(shown AND n > 0)) x) $$;
SELECT is(pg_temp.leaks(200), 0::bigint, 'two hundred random nets leak nothing');

-- Reports run where nothing can be written; reads of people do not.
SET LOCAL transaction_read_only = on;
SELECT lives_ok($$SELECT * FROM cdp.retention(), cdp.sessions() LIMIT 1$$, 'reports run in a read-only transaction');
SELECT throws_ok(format('SELECT * FROM cdp.journey_state(%L)', :ladder), '25006', NULL, 'what shows people does not');
SELECT * FROM finish();
ROLLBACK;
