-- Why a customer is in a segment: each part of the rule for those who are in and those who are not, the whole as the engines
-- find it, evidence and thresholds, missing values under both logics, who may not be asked about.
BEGIN;
SELECT plan(29);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT cdp.track('shop', 'purchase', jsonb_build_object('user_id', u), '{}', at::timestamptz, u || at, v, 'CNY')
FROM (VALUES ('a', '2026-05-01 10:00+00', 50), ('a', '2026-05-20 10:00+00', 60), ('b', '2026-05-10 10:00+00', 500), ('c', '2026-03-01 10:00+00', 20)) AS x (u, at, v);
SELECT cdp.track('shop', 'visit', jsonb_build_object('user_id', u), '{}', at::timestamptz, u || at) FROM (VALUES ('a', '2026-05-19 10:00+00'), ('b', '2026-05-02 10:00+00'), ('c', '2026-05-24 10:00+00')) AS x (u, at);
SELECT cdp.identify('shop', '{"user_id": "a"}', '{"city": "Xian"}', '2026-05-01'), cdp.identify('shop', '{"user_id": "d"}', '{"city": "Rome"}', '2026-05-01');
SELECT cdp.refresh_profiles();
SELECT cdp.upload_list('press', 'user_id', '{a,d}');
\set at '2026-05-25 00:00+00'
CREATE FUNCTION pg_temp.id(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('user_id', v) $$;
CREATE FUNCTION pg_temp.ids(u text, at text) RETURNS bigint[] LANGUAGE sql AS $$
  SELECT array_agg(t.touchpoint_id ORDER BY t.touchpoint_id) FROM cdp_data.touchpoint t WHERE t.customer_id = pg_temp.id(u) AND t.occurred_at = ANY (at::timestamptz[]) $$;
SELECT cdp.create_segment(n, ('{"where": ' || r || '}')::jsonb || CASE WHEN n LIKE '%sql' THEN '{"nulls": "sql"}' ELSE '{}' END::jsonb, 'service') FROM (VALUES
  ('one', '{"all": [{"any": [{"attr": "city", "eq": "Xian"}, {"attr": "revenue", "gte": 300}]}, {"not": {"did": "refund", "last": "90 days"}}, {"did": "purchase", "last": "30 days", "count": {"gte": 2}}]}'),
  ('not set', '{"not": {"attr": "city", "eq": "Xian"}}'), ('not sql', '{"not": {"attr": "city", "eq": "Xian"}}'), ('few', '{"did": "purchase", "last": "30 days", "count": {"between": [1, 1]}}'),
  ('seq', '{"seq": [{"did": "visit"}, {"did": "purchase", "within": "2 days"}]}'), ('new', '{"first_time": "purchase", "last": "30 days"}'), ('list', '{"any": [{"list": "press"}, {"segment": "one"}]}'),
  ('both', '{"all": [{"segment": "not sql"}, {"not": {"segment": "few"}}]}'), ('last', '{"did": "purchase", "last_value": {"field": "value"}, "gt": 55}'),
  ('lapsed sql', '{"all": [{"not": {"attr": "city", "in": ["Xian", "Rome"]}}, {"did": "purchase", "avg": {"field": "value"}, "lt": 100}]}')) AS x (n, r);

-- The whole is what a run finds, for everybody and every segment.
CREATE TEMP TABLE found AS SELECT r.segment_id, r.members FROM cdp_internal.segment_results(cdp_internal.segment_plan(ARRAY(SELECT segment_id FROM cdp_data.segment), :'at'), NULL, NULL, cdp_internal.segment_population()) r;
SELECT is((SELECT string_agg(format('%s %s', s.name, u), ', ') FROM cdp_data.segment s JOIN found f USING (segment_id) CROSS JOIN unnest('{a,b,c,d}'::text[]) u
  WHERE cdp.roaring_has(f.members, pg_temp.id(u)) IS DISTINCT FROM (SELECT coalesce(e.result, false) FROM cdp.segment_explain(s.name, pg_temp.id(u), :'at') e WHERE e.path = '/where')), NULL, 'in or out as by a run');
SELECT cmp_ok((SELECT count(*) FROM found f CROSS JOIN unnest('{a,b,c,d}'::text[]) u WHERE cdp.roaring_has(f.members, pg_temp.id(u))), '>', 10::bigint, 'many are in');
-- Each part.
CREATE TEMP TABLE a AS SELECT * FROM cdp.segment_explain('one', pg_temp.id('a'), :'at');
SELECT is((SELECT array_agg(path || ' ' || depth || ' ' || result) FROM a), '{/where 0 true,/where/all/0 1 true,/where/all/0/any/0 2 true,/where/all/0/any/1 2 false,/where/all/1 1 true,/where/all/1/not 2 false,/where/all/2 1 true}', 'every part, in the order of the rule');
SELECT is((SELECT array_agg(concat_ws(' ', observed, threshold) ORDER BY path) FROM a WHERE NOT path IN ('/where', '/where/all/0', '/where/all/1')), ARRAY['"Xian" {"eq": "Xian"}', '110.000000 {"gte": 300}', '0', '2 {"count": {"gte": 2}}'], 'what was found beside what is asked');
SELECT is((SELECT evidence FROM a WHERE path = '/where/all/2'), pg_temp.ids('a', '{2026-05-01 10:00+00,2026-05-20 10:00+00}'), 'on which touchpoints');
SELECT is((SELECT flips_at FROM a WHERE path = '/where/all/2'), '2026-05-31 10:00:00.000001+00'::timestamptz, 'and until when');
SELECT is((SELECT sentence FROM a WHERE path = '/where/all/2'), 'they did purchase at least 2 times in the last 30 days.', 'in words');
SELECT isnt((SELECT e.sentence FROM cdp.segment_explain('few', pg_temp.id('a'), :'at', 'zh') e), (SELECT e.sentence FROM cdp.segment_explain('few', pg_temp.id('a'), :'at') e), 'in those of another language');
SELECT is((SELECT (e.observed, e.evidence)::text FROM cdp.segment_explain('seq', pg_temp.id('a'), :'at') e), (SELECT ('"2026-05-19T10:00:00+00:00"'::jsonb, pg_temp.ids('a', '{2026-05-19 10:00+00,2026-05-20 10:00+00}'))::text), 'a sequence tells its chain');
SELECT is((SELECT (e.observed, e.result)::text FROM cdp.segment_explain('few', pg_temp.id('d'), :'at') e), '(0,f)', 'who has no touchpoints has none');
-- Missing values.
SELECT is((SELECT array_agg(coalesce(result::text, 'unknown')) FROM cdp.segment_explain('not set', pg_temp.id('b'), :'at')), '{true,false}', 'no city is not Xian');
SELECT is((SELECT array_agg(coalesce(result::text, 'unknown')) FROM cdp.segment_explain('not sql', pg_temp.id('b'), :'at')), '{unknown,unknown}', 'or unknown');
-- When it changes: days of the calendar in the zone of the rule, dates, groups, and what no window holds.
SELECT cdp.create_segment(n, ('{"tz": "Asia/Shanghai", "where": ' || r || '}')::jsonb, 'service') FROM (VALUES ('month', '{"did": "purchase", "last": "1 months"}'), ('this', '{"did": "purchase", "this": "month", "count": {"gte": 2}}'),
  ('until', '{"not": {"did": "visit", "since": "2026-05-19", "until": "2026-05-30"}}'), ('days', '{"any": [{"did": "visit", "last": "7 days"}, {"did": "purchase", "last": "10 days"}]}'), ('ever', '{"did": "purchase"}'),
  ('named', '{"all": [{"segment": "month"}, {"not": {"segment": "both"}}]}'), ('first', '{"rank": {"attr": "revenue"}, "top": "50%"}'), ('born', '{"attr": "birthday", "anniversary_next": "3 days"}')) AS x (n, r);
SELECT is((SELECT array_agg(format('%s %s %s', s, e.result, e.flips_at)) FROM unnest('{month,this,until,days,ever}'::text[]) s CROSS JOIN LATERAL cdp.segment_explain(s, pg_temp.id('a'), :'at') e WHERE e.path = '/where'),
  ARRAY['month t 2026-06-20 16:00:00+00', 'this t 2026-05-31 16:00:00+00', 'until f ', 'days t 2026-05-30 10:00:00.000001+00', 'ever t '], 'to the moment, and of a group when itself changes');
SELECT is((SELECT array_agg(flips_at ORDER BY path) FROM cdp.segment_explain('days', pg_temp.id('a'), :'at')), ARRAY['2026-05-30 10:00:00.000001+00', '2026-05-26 10:00:00.000001+00', '2026-05-30 10:00:00.000001+00']::timestamptz[], 'its parts before');
SELECT cdp.identify('shop', '{"user_id": "c"}', '{"birthday": "1996-02-29"}', '2026-05-01'), cdp.refresh_profiles();
SELECT is((SELECT (result, flips_at)::text FROM cdp.segment_explain('born', pg_temp.id('c'), :'at')), '(f,"2027-02-26 16:00:00+00")', 'a day of the year that comes round');
-- Segments that it names, one level; ranks with their limit.
SELECT is((SELECT array_agg(path || ' ' || depth || ' ' || coalesce(result::text, 'unknown')) FROM cdp.segment_explain('named', pg_temp.id('a'), :'at')),
  ARRAY['/where 0 true', '/where/all/0 1 true', '/where/all/0/segment/where 2 true', '/where/all/1 1 true', '/where/all/1/not 2 false', '/where/all/1/not/segment/where 3 false', '/where/all/1/not/segment/where/all/0 4 false', '/where/all/1/not/segment/where/all/1 4 true',
    '/where/all/1/not/segment/where/all/1/not 5 false'], 'the rules of segments that it names');
SELECT is((SELECT (observed, threshold)::text FROM cdp.segment_explain('first', pg_temp.id('a'), :'at')), (SELECT ('110.000000'::jsonb, '{"top": "50%", "gte": 110}'::jsonb)::text), 'a rank with its limit');
-- The arm of a holdout.
SELECT cdp.create_holdout('half', 0.5), cdp.create_segment('held', '{"where": {"not": {"holdout": "half", "arm": "control"}}}'::jsonb, 'service');
SELECT results_eq(format($$SELECT u, e.observed #>> '{}', e.result FROM unnest('{a,b,c,d}'::text[]) u CROSS JOIN LATERAL cdp.segment_explain('held', pg_temp.id(u), %L) e WHERE e.path = '/where/not'$$, :'at'),
  $$SELECT u, cdp.holdout_arm('half', pg_temp.id(u)), cdp.holdout_arm('half', pg_temp.id(u)) = 'control' FROM unnest('{a,b,c,d}'::text[]) u$$, 'the arm in which each is');
-- What its purpose no longer allows.
SAVEPOINT allowed;
SELECT cdp.allow_purposes('attribute', 'city', '{marketing}');
SELECT throws_matching($$SELECT * FROM cdp.segment_explain('one', pg_temp.id('d'))$$, 'city.*may not be used for the purpose "service"', 'is not explained');
SELECT throws_matching($$SELECT * FROM cdp.segment_preview('[{"where": {"all": []}}, {"where": {"segment": "one"}}]'::jsonb, 'service')$$, 'through segment "one".*city', 'nor counted');
ROLLBACK TO allowed;
-- Consents that run out or begin by themselves, of the purpose that a part asks for, and of analytics for the whole.
SAVEPOINT asked;
SELECT now() + interval '40 days' AS ends, now() + interval '50 days' AS begins, now() + interval '30 days' AS no_more \gset
SELECT cdp.set_purpose('marketing', rule => 'opt_in'), cdp.record_consent('shop', 'marketing', 'granted', '{"user_id": "a"}', channel => 'email', expires_at => :'ends'), cdp.record_consent('shop', 'marketing', 'granted', '{"user_id": "b"}', expires_at => :'ends'),
  cdp.record_consent('shop', 'marketing', 'denied', '{"user_id": "b"}', effective_at => :'begins'), cdp.record_consent('shop', 'marketing', 'granted', '{"user_id": "c"}', effective_at => :'begins');
SELECT cdp.create_segment('asked', '{"where": {"any": [{"consent": "marketing", "channel": "email"}, {"all": [{"consent": "marketing", "channel": "sms"}, {"not": {"did": "refund"}}]}]}}'::jsonb, 'service');
SELECT is((SELECT array_agg(concat_ws(' ', e.path, e.result, CASE e.flips_at WHEN :'ends' THEN 'ends' WHEN :'begins' THEN 'begins' ELSE e.flips_at::text END)) FROM cdp.segment_explain('asked', pg_temp.id('a')) e), '{"/where t ends","/where/any/0 t ends","/where/any/1 f","/where/any/1/all/0 f","/where/any/1/all/1 t","/where/any/1/all/1/not f"}', 'a grant that runs out');
SELECT is((SELECT array_agg(concat_ws(' ', u, e.result, CASE e.flips_at WHEN :'ends' THEN 'ends' WHEN :'begins' THEN 'begins' ELSE e.flips_at::text END) ORDER BY u) FROM unnest('{b,c,d}'::text[]) u CROSS JOIN LATERAL cdp.segment_explain('asked', pg_temp.id(u)) e WHERE e.path = '/where'), '{"b t ends","c f begins","d f"}', 'or begins');
SELECT is((SELECT array_agg(concat_ws(' ', u, e.result, e.flips_at) ORDER BY u) FROM unnest('{a,c}'::text[]) u CROSS JOIN LATERAL cdp.segment_explain('asked', pg_temp.id(u), now() + interval '45 days') e WHERE e.path = '/where'), '{"a t","c f"}', 'of a moment to come they are those of today');
SELECT cdp.set_purpose('analytics', rule => 'opt_in'), cdp.record_consent('shop', 'analytics', 'granted', '{"user_id": "a"}', expires_at => :'no_more');
SELECT is((SELECT array_agg(concat_ws(' ', e.path, CASE e.flips_at WHEN :'ends' THEN 'ends' WHEN :'no_more' THEN 'no more' END)) FROM cdp.segment_explain('asked', pg_temp.id('a')) e WHERE e.path <= '/where/any/0'), '{"/where no more","/where/any/0 ends"}', 'without analytics nobody is in');
ROLLBACK TO asked;
-- It is logged; errors.
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE action = 'read' AND object = 'segment_explain' AND customer_id = pg_temp.id('d')), 12::bigint, 'each look is logged');
SELECT throws_ok($$SELECT * FROM cdp.segment_explain('none', 1)$$, '42704', NULL, 'an unknown segment');
SELECT throws_ok($$SELECT * FROM cdp.segment_explain('one', 99999)$$, '22023', NULL, 'an unknown customer');
SELECT cdp.record_consent('shop', 'analytics', 'denied', customer => pg_temp.id('a'));
SELECT throws_ok($$SELECT * FROM cdp.segment_explain('one', pg_temp.id('a'))$$, '55000', NULL, 'who refused analytics is not looked at');
SELECT is((SELECT count(*) FROM cdp_data.rank_threshold) - (SELECT count(*) FROM cdp_data.segment WHERE name = 'first'), 0::bigint, 'nothing is written but the log');
SELECT * FROM finish();
ROLLBACK;
