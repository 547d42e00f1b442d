-- Landing of pages: what is told twice, changed, late, bad, zero or cut; which days are there; who may. In a session of another zone.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'America/New_York';
SELECT cdp.add_source('oa'), cdp.create_connection('oa', 'wechat_oa', '{"appid": "wx1"}', 'oa') \g /dev/null
SELECT cdp.add_source('chat'), cdp.create_connection('chat', 'wecom', '{"corpid": "ww1"}', 'chat') \g /dev/null

-- A page of user_summary: the day's new_user by value, told at a time of Shanghai.
CREATE FUNCTION pg_temp.tell(day date, n integer[], at text, connection text DEFAULT 'oa') RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.verb, r.inserted, r.changed, r.unchanged, r.held, r.refused, r.done, r.problem, 'late ' || nullif(r.late, 0))
  FROM cdp.ingest_page(connection, 'user_summary', convert_to(jsonb_build_object('list', (SELECT coalesce(jsonb_agg(jsonb_build_object('ref_date', day + i::integer - 1, 'user_source', 0, 'new_user', x, 'cancel_user', 0)), '[]')
    FROM unnest(n) WITH ORDINALITY u (x, i) WHERE x IS NOT NULL))::text, 'UTF8'), NULL, day, day + cardinality(n) - 1, fetched_at => (at || '+08')::timestamptz) r $$;
CREATE FUNCTION pg_temp.days(from_day date, to_day date) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', to_char(day, 'DD'), state, records, nonzero, reason), ', ' ORDER BY day) FROM cdp_data.coverage c JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = 'user_summary' AND day BETWEEN from_day AND to_day $$;
CREATE FUNCTION pg_temp.record(day date) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', payload ->> 'new_user', revision, zero_at IS NOT NULL), ', ') FROM cdp_data.raw_record WHERE ref_date = day AND payload ? 'new_user' $$;

-- Told, told twice, told again later.
SELECT is(pg_temp.tell('2026-03-02', '{5,7,NULL}', '2026-03-04 09:00'), 'ok 2 0 0 0 0 t', 'a page lands');
SELECT is(pg_temp.days('2026-03-01', '2026-03-31'), '02 provisional 1 1, 03 provisional 1 1, 04 missing 0 0 the day is not over', 'days are of Shanghai, and may change');
CREATE TEMP TABLE before AS SELECT (SELECT md5(string_agg(r::text, '|' ORDER BY r.record_key)) FROM cdp_data.raw_record r) || (SELECT md5(string_agg(c::text, '|' ORDER BY c.day)) FROM cdp_data.coverage c) || (SELECT count(*) FROM cdp_data.raw_page) || (SELECT t::text FROM cdp_data.stream_part t) AS x;
SELECT is(pg_temp.tell('2026-03-02', '{5,7,NULL}', '2026-03-04 09:00'), 'ok 0 0 2 0 0 t told before', 'the same page again');
SELECT is((SELECT (SELECT md5(string_agg(r::text, '|' ORDER BY r.record_key)) FROM cdp_data.raw_record r) || (SELECT md5(string_agg(c::text, '|' ORDER BY c.day)) FROM cdp_data.coverage c) || (SELECT count(*) FROM cdp_data.raw_page) || (SELECT t::text FROM cdp_data.stream_part t)), (SELECT x FROM before), 'changes nothing at all');
SELECT is(pg_temp.tell('2026-03-02', '{5,8,NULL}', '2026-03-04 10:00'), 'ok 0 1 1 0 0 t', 'another value');
SELECT is(pg_temp.record('2026-03-03'), '8 2 f', 'is a new revision');
SELECT is((SELECT concat_ws(' ', payload ->> 'new_user', revision, from_at AT TIME ZONE 'Asia/Shanghai', to_at AT TIME ZONE 'Asia/Shanghai') FROM cdp_data.raw_record_history), '7 1 2026-03-04 09:00:00 2026-03-04 10:00:00', 'and the earlier one is kept');
SELECT is((SELECT string_agg(pulls || '', ' ' ORDER BY day) FROM cdp_data.coverage), '2 2 2', 'that was two pulls');
SELECT is((SELECT body FROM cdp_data.raw_page ORDER BY page_id LIMIT 1), convert_to('{"list": [{"new_user": 5, "ref_date": "2026-03-02", "cancel_user": 0, "user_source": 0}, {"new_user": 7, "ref_date": "2026-03-03", "cancel_user": 0, "user_source": 0}]}', 'UTF8'), 'bytes are as they came');

-- An older page that comes later.
SELECT is(pg_temp.tell('2026-03-02', '{1,1,NULL}', '2026-03-04 08:30'), 'ok 0 0 0 0 0 t late 2', 'a page that was fetched before changes nothing that is known');
SELECT is(pg_temp.tell('2026-03-01', '{3}', '2026-03-04 08:31'), 'ok 1 0 0 0 0 t', 'and adds what is not');
SELECT is(pg_temp.record('2026-03-02') || ' ' || pg_temp.record('2026-03-03') || ' ' || (SELECT last_fetched_at AT TIME ZONE 'Asia/Shanghai' FROM cdp_data.stream_part), '5 1 f 8 2 f 2026-03-04 10:00:00', 'values and cursor are those of the newest');

-- Final, and restated.
SELECT is(pg_temp.tell('2026-03-02', '{5}', '2026-03-06 07:59'), 'ok 0 0 1 0 0 t', 'until final_after_days have passed');
SELECT is(pg_temp.days('2026-03-02', '2026-03-02'), '02 provisional 1 1', 'a day is provisional');
SELECT is(pg_temp.tell('2026-03-02', '{5}', '2026-03-06 08:00'), 'ok 0 0 1 0 0 t', 'told then');
SELECT is(pg_temp.days('2026-03-02', '2026-03-02'), '02 final 1 1', 'it is final');
SELECT pg_temp.tell('2026-03-02', '{6}', '2026-03-07 08:00') \g /dev/null
SELECT is((SELECT concat_ws(' ', state, final_at AT TIME ZONE 'Asia/Shanghai', restated_at AT TIME ZONE 'Asia/Shanghai') FROM cdp_data.coverage WHERE day = '2026-03-02'), 'final 2026-03-06 08:00:00 2026-03-07 08:00:00', 'what changes afterwards is a restatement');
SELECT is((SELECT string_agg(concat_ws(' ', from_state, to_state, restated), ', ' ORDER BY history_id) FROM cdp_data.coverage_history WHERE day = '2026-03-02'), 'provisional final f, final final t', 'with its history');

-- Zeros.
SELECT is(pg_temp.tell('2026-03-10', '{9}', '2026-03-11 09:00'), 'ok 1 0 0 0 0 t', 'a value');
SELECT is(pg_temp.tell('2026-03-10', '{0}', '2026-03-11 10:00'), 'ok 0 0 0 1 0 t', 'a zero after it is held back');
SELECT is(pg_temp.days('2026-03-10', '2026-03-10') || '; ' || pg_temp.record('2026-03-10'), '10 suspect_zero 1 1 nothing, after 1; 9 1 t', 'the value stays, the day is suspect');
SELECT is(pg_temp.tell('2026-03-10', '{0}', '2026-03-11 10:59'), 'ok 0 0 0 1 0 t', 'told again too soon');
SELECT is(pg_temp.days('2026-03-10', '2026-03-10'), '10 suspect_zero 1 1 nothing, after 1', 'settles nothing');
SELECT is(pg_temp.tell('2026-03-10', '{0}', '2026-03-11 11:00'), 'ok 0 1 0 0 0 t', 'told again an hour later it is believed');
SELECT is(pg_temp.days('2026-03-10', '2026-03-10') || '; ' || pg_temp.record('2026-03-10'), '10 provisional 1 0 nothing, told again; 0 2 f', 'and replaces the value');
SELECT is(pg_temp.tell('2026-03-11', '{9}', '2026-03-12 09:00') || pg_temp.tell('2026-03-11', '{0}', '2026-03-12 10:00') || pg_temp.tell('2026-03-11', '{9}', '2026-03-12 11:00') || pg_temp.tell('2026-03-11', '{0}', '2026-03-12 12:00'),
  'ok 1 0 0 0 0 tok 0 0 0 1 0 tok 0 0 1 0 0 tok 0 0 0 1 0 t', 'a value in between ends the doubt');
SELECT is(pg_temp.days('2026-03-11', '2026-03-11') || '; ' || pg_temp.record('2026-03-11'), '11 suspect_zero 1 1 nothing, after 1; 9 1 t', 'and the next zero is the first one again');
SELECT is(pg_temp.tell('2026-03-12', '{0}', '2026-03-13 02:32') || pg_temp.days('2026-03-12', '2026-03-12'), 'ok 1 0 0 0 0 t12 provisional 1 0 told before it is ready', 'zeros before ready_at, where nothing is known yet');
SELECT is(pg_temp.tell('2026-03-12', '{4}', '2026-03-13 09:00') || pg_temp.days('2026-03-12', '2026-03-12'), 'ok 0 1 0 0 0 t12 provisional 1 1', 'give way to values');
SELECT is(pg_temp.tell('2026-03-12', '{0}', '2026-03-13 09:01') || pg_temp.tell('2026-03-13', '{0}', '2026-03-14 01:00') || pg_temp.tell('2026-03-13', '{NULL}', '2026-03-14 01:01'), 'ok 0 0 0 1 0 tok 1 0 0 0 0 tok 0 0 0 0 0 t', 'nothing at all counts as nothing');
-- What is usual on the weekday: Mondays of April with values, then one with nothing.
SELECT count(*) FROM generate_series(0, 3) i CROSS JOIN LATERAL pg_temp.tell(date '2026-04-06' + 7 * i, '{3}', (date '2026-04-11' + 7 * i) || ' 09:00') \g /dev/null
SELECT is(pg_temp.tell('2026-05-04', '{0}', '2026-05-05 09:00') || pg_temp.days('2026-05-04', '2026-05-04'), 'ok 1 0 0 0 0 t04 suspect_zero 1 0 nothing, usually 1', 'a first zero on a weekday that usually has something is suspect');
SELECT is(pg_temp.tell('2026-05-05', '{0}', '2026-05-06 09:00') || pg_temp.days('2026-05-05', '2026-05-05'), 'ok 1 0 0 0 0 t05 provisional 1 0', 'on another weekday it is not');
SELECT is(pg_temp.tell('2026-05-04', '{0}', '2026-05-09 09:00') || pg_temp.days('2026-05-04', '2026-05-04'), 'ok 0 0 1 0 0 t04 final 1 0 nothing, told again', 'told again it is final');

-- Verdicts that are none of a page.
CREATE FUNCTION pg_temp.other(connection text, stream text, body text, day date, at text, part jsonb DEFAULT NULL, status integer DEFAULT 200) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.verb, r.code, r.inserted, r.done, (r.next IS NOT NULL), r.until_at AT TIME ZONE 'Asia/Shanghai') FROM cdp.ingest_page(connection, stream, convert_to(body, 'UTF8'), part, day, day, status => status, fetched_at => (at || '+08')::timestamptz) r $$;
CREATE FUNCTION pg_temp.cover(stream text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', nullif(part, ''), to_char(day, 'DD'), state, records, pulls, reason), ', ' ORDER BY part, day) FROM cdp_data.coverage c JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = stream $$;
SELECT is(pg_temp.other('oa', 'account_summary', '{"is_delay": true, "list": [{"ref_date": "2026-03-02", "detail": {"read_user": 0}}]}', '2026-03-02', '2026-03-03 09:00'), 'not_ready 0 f 2026-03-03 10:00:00', 'the vendor says that it is late: nothing is read');
SELECT is(pg_temp.other('oa', 'account_summary', '{"errcode": 45009, "errmsg": "reach max api daily quota limit"}', '2026-03-03', '2026-03-04 09:00'), 'park 45009 0 f 2026-03-05 00:00:00', 'a quota that is used up');
SELECT is(pg_temp.other('oa', 'account_summary', 'Bad gateway', '2026-03-03', '2026-03-04 09:01', status => 502) ~ '^retry 0 f', true, 'a body that is none');
SELECT is(pg_temp.cover('account_summary'), '02 missing 0 0 not_ready, 03 missing 0 0 retry', 'the days are missing, and why');
SELECT is(pg_temp.other('oa', 'account_summary', '{"is_delay": false, "list": [{"ref_date": "2026-03-02", "detail": {"read_user": 7}}]}', '2026-03-02', '2026-03-04 10:00'), 'ok 1 t t', 'then it tells');
SELECT is(pg_temp.other('oa', 'account_summary', '{"is_delay": true, "list": []}', '2026-03-02', '2026-03-04 11:00') || pg_temp.cover('account_summary'), 'not_ready 0 f 2026-03-04 12:00:0002 provisional 1 1, 03 missing 0 0 retry', 'what is there stays there');
SELECT is(pg_temp.other('chat', 'behavior', '{"errcode": 60011, "errmsg": "no privilege"}', '2026-03-02', '2026-03-03 09:00', '"li"'), 'skip_partition 60011 0 f', 'a partition that may not be seen');
SELECT is(pg_temp.other('chat', 'behavior', '{"errcode": 0, "behavior_data": [{"stat_time": 1772380800, "chat_cnt": 3}]}', '2026-03-02', '2026-03-03 09:00', '"wu"'), 'ok 0 1 t t', 'and one that may');
SELECT is(pg_temp.cover('behavior'), 'li 02 unavailable 0 0 skip_partition 60011, wu 02 provisional 1 1', 'each has its own days');

-- A stream by days in several pages, of a connector of one's own whose key is wrong first.
CREATE FUNCTION pg_temp.shop(key text) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('connector', 'my_shop', 'version', 1, 'base_url', 'https://shop.example', 'tz', 'Europe/Berlin',
  'streams', jsonb_build_object('orders', jsonb_build_object('path', '/orders', 'query', '{"from": "$window.from", "to": "$window.to"}'::jsonb, 'window', '{"unit": "day", "end": "last_day", "max_days": 7, "final_after_days": 2, "format": "date"}'::jsonb,
    'cursor', '{"send": "query.cursor", "take": "$.next"}'::jsonb, 'records', '$.orders[*]', 'key', jsonb_build_array(key), 'ref_date', '{"path": "day", "format": "date"}'::jsonb, 'pii', '["mail"]'::jsonb))) $$;
SELECT cdp.add_source('shop'), cdp.add_connector(pg_temp.shop('number')), cdp.create_connection('shop', 'my_shop', '{}', 'shop') \g /dev/null
CREATE FUNCTION pg_temp.orders(ids integer[], cursor text, next text, at text, day date DEFAULT '2026-03-02', OUT page bigint, OUT x text) LANGUAGE sql AS $$
  SELECT r.page_id, concat_ws(' ', r.records_read, r.inserted, r.changed, r.unchanged, r.refused, r.done, r.next -> 'cursor') FROM cdp.ingest_page('shop', 'orders', convert_to(jsonb_build_object('orders', (SELECT jsonb_agg(jsonb_build_object('id', i, 'day', day + i / 10, 'mail', 'a' || i || '@people.example')) FROM unnest(ids) i),
    'next', next)::text, 'UTF8'), NULL, day, day + 1, to_jsonb(cursor), 200, '{"Date": "x", "Set-Cookie": "secret", "X-RateLimit-Remaining": "3"}', (at || '+01')::timestamptz) r $$;
SELECT is((pg_temp.orders('{1,2}', NULL, 'c2', '2026-03-05 01:00')).x, '2 0 0 0 2 f "c2"', 'records without a key are refused');
SELECT is((SELECT string_agg(n || ' ' || code || ' ' || (payload ->> 'id'), ', ' ORDER BY n) FROM cdp_data.raw_refused), '1 no_key 1, 2 no_key 2', 'and kept');
UPDATE cdp_data.connection SET state = 'live' WHERE name = 'shop';
SELECT is((SELECT string_agg(finding || ': ' || detail, ', ' ORDER BY finding) FROM cdp.health() WHERE finding IN ('records_refused')), 'records_refused: stream orders of connection shop: 2 records have no_key', 'health tells');
SELECT cdp.add_connector(pg_temp.shop('id')) \g /dev/null
SELECT is((SELECT concat_ws(' ', records_read, inserted, changed, refused) FROM cdp.replay_page((SELECT max(page_id) FROM cdp_data.raw_page))), '2 2 0 0', 'when the manifest is mended they are read');
SELECT is((SELECT count(*) FROM cdp_data.raw_refused), 0::bigint, 'and wait no more');
SELECT is(pg_temp.cover('orders'), NULL, 'in the midst of a pull no day is there');
SELECT is((pg_temp.orders('{3,11}', 'c2', 'c3', '2026-03-05 01:01')).x || '; ' || (pg_temp.orders('{3,11,12}', 'c2', 'c3', '2026-03-05 01:02')).x, '2 2 0 0 0 f "c3"; 3 1 0 2 0 f "c3"', 'a page of the pull, asked for twice');
SELECT is((pg_temp.orders('{4,4}', 'c3', '', '2026-03-05 01:03')).x, '2 1 0 0 0 t', 'the last page; of a key that comes twice the last one counts');
SELECT is(pg_temp.cover('orders'), '02 final 4 1, 03 provisional 2 1', 'days have what the whole pull told');
SELECT is((pg_temp.orders('{5}', 'c9', '', '2026-03-05 02:00')).x || '; ' || pg_temp.cover('orders'), '1 1 0 0 0 t; 02 final 4 1, 03 provisional 2 1', 'a last page whose first never came lands, and says nothing about days');
SELECT is((pg_temp.orders('{5}', 'c9', '', '2026-03-15 02:00', '2026-03-12')).x, '1 0 1 0 0 t', 'the same on days that are not known');
SELECT is((SELECT string_agg(concat_ws(' ', to_char(day, 'DD'), state, reason), ', ' ORDER BY day) FROM cdp_data.coverage WHERE reason ~ 'page'), '12 missing a page before it is missing, 13 missing a page before it is missing', 'they are missing, and why');
SELECT is((SELECT headers FROM cdp_data.raw_page ORDER BY page_id DESC LIMIT 1), '{"date": "x", "x-ratelimit-remaining": "3"}'::jsonb, 'cookies are not kept');
-- A replay of an old page does not undo what later ones said.
SELECT is((SELECT concat_ws(' ', inserted, changed, unchanged, late) FROM cdp.replay_page((SELECT min(page_id) FROM cdp_data.raw_page))), '0 0 0 2', 'a replay leaves what later pages said');
SELECT is(pg_temp.record('2026-03-03'), '8 2 f', 'as it is');

-- Coverage at a moment, and health.
SELECT is((SELECT concat_ws(' ', first_day, last_day, parts, due, missing, provisional, final, suspect_zero, completeness, overdue) FROM cdp_internal.stream_coverage((SELECT connection_id FROM cdp_data.connection WHERE name = 'shop'), '2026-03-05 00:30+01')),
  '2026-03-02 2026-03-04 1 3 1 1 1 0 0.6667 0', 'what is due, and what of it is there');
SELECT is((SELECT concat_ws(' ', due, missing, overdue) FROM cdp_internal.stream_coverage((SELECT connection_id FROM cdp_data.connection WHERE name = 'shop'), '2026-03-06 00:30+01')), '4 2 1', 'a day later');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'coverage_overdue'), 1::bigint, 'health names what is overdue, of what runs');
SELECT is((SELECT count(*) FROM cdp_bi.connection_coverage WHERE connection = 'oa'), 2::bigint, 'the view has each stream by days');

-- What is no page.
CREATE FUNCTION pg_temp.bad(why text, call text, state text) RETURNS SETOF text LANGUAGE sql AS $$ SELECT throws_ok('SELECT * FROM cdp.ingest_page(' || call || ')', state, NULL, why) $$;
SELECT b FROM (VALUES
  ('an unknown connection', $$'nope', 'orders', ''$$, '22023'),
  ('an unknown stream', $$'shop', 'order', '', NULL, '2026-03-02', '2026-03-02'$$, '22023'),
  ('no window', $$'shop', 'orders', ''$$, '22023'),
  ('half a window', $$'shop', 'orders', '', NULL, '2026-03-02'$$, '22023'),
  ('a window backwards', $$'shop', 'orders', '', NULL, '2026-03-02', '2026-03-01'$$, '22023'),
  ('one that is too long', $$'shop', 'orders', '', NULL, '2026-03-02', '2026-03-09'$$, '22023'),
  ('one without an end', $$'shop', 'orders', '', NULL, '2026-03-02', 'infinity'$$, '22023'),
  ('a window where there is none', $$'oa', 'users', '', NULL, '2026-03-02', '2026-03-02'$$, '22023'),
  ('a partition where there is none', $$'shop', 'orders', '', '1', '2026-03-02', '2026-03-02'$$, '22023'),
  ('no partition', $$'chat', 'contacts', ''$$, '22023'),
  ('no body', $$'oa', 'users', NULL$$, '22004'),
  ('an absurd status', $$'oa', 'users', '', status => 42$$, '22023'),
  ('the future', $$'oa', 'users', '', fetched_at => now() + interval '2 days'$$, '22023'),
  ('an infinite time', $$'oa', 'users', '', fetched_at => '-infinity'$$, '22023'),
  ('a list too long', $$'chat', 'contacts', '', jsonb_build_array(repeat('x', 2000))$$, '54000'),
  ('too much', $$'oa', 'users', convert_to(repeat('x', 33554433), 'UTF8')$$, '54000')) AS v (why, call, state) CROSS JOIN LATERAL pg_temp.bad(v.why, v.call, v.state) b;
SELECT throws_ok($$SELECT cdp.replay_page(0)$$, '22023', 'there is no page 0', 'a page that is not there');
SELECT lives_ok($$SELECT cdp.ingest_page('oa', 'users', ''::bytea, status => 204, fetched_at => '2026-03-05')$$, 'an empty body is a body');
UPDATE cdp_data.connection SET state = 'suspended', suspended_from = 'live' WHERE name = 'shop';
SELECT pg_temp.bad('nothing lands while it is suspended', $$'shop', 'orders', '', NULL, '2026-03-02', '2026-03-02'$$, '55000');

-- Who may.
CREATE ROLE landing_gateway; CREATE ROLE landing_stranger;
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY', connector => 'landing_gateway');
GRANT USAGE ON SCHEMA cdp, cdp_internal TO landing_gateway, landing_stranger;
SET ROLE landing_stranger;
SELECT throws_ok($$SELECT cdp.ingest_page('oa', 'users', '{}')$$, '42501', NULL, 'who has no part lands nothing');
SET ROLE landing_gateway;
SELECT throws_ok($$SELECT cdp.ingest_page('oa', 'users', '{}')$$, '42501', NULL, 'nor who has, on a connection of others');
RESET ROLE;
SELECT cdp.configure_connection('oa', owner => 'landing_gateway') \g /dev/null
SET ROLE landing_gateway;
SELECT is((SELECT concat_ws(' ', verb, inserted) FROM cdp.ingest_page('oa', 'users', '{"total": 1, "count": 1, "data": {"openid": ["o-1"]}, "next_openid": ""}', fetched_at => '2026-03-05 12:00+08')), 'ok 1', 'on its own it does');
SELECT throws_ok('SELECT count(*) FROM cdp_data.raw_record', '42501', NULL, 'and reads nothing of it');
RESET ROLE;

-- How the session writes dates.
SET datestyle = 'German, DMY';
SELECT is((SELECT concat_ws(' ', r.verb, r.inserted, r.problem) FROM cdp.ingest_page('oa', 'user_summary', '{"list": [{"ref_date": "2026-05-02", "user_source": 0, "new_user": 5, "cancel_user": 1}]}', window_from => '2026-05-02'::date, window_to => '2026-05-02'::date, headers => '{"Link": "</x?access_token=T>; rel=next", "Date": "d"}', fetched_at => '2026-05-04T09:00:00+08'::timestamptz) r), 'ok 1', 'days are read whatever the session''s DateStyle');
SELECT is((SELECT headers FROM cdp_data.raw_page ORDER BY page_id DESC LIMIT 1), '{"date": "d"}', 'and links, which may hold tokens, are not kept');
RESET datestyle;
-- Retention of pages.
CALL cdp_internal.maintain_room_landing();
SELECT is((SELECT count(*) || ' ' || (SELECT count(*) > 10 FROM cdp_data.raw_record) FROM cdp_data.raw_page), '0 true', 'old pages go, their records stay');
UPDATE cdp_data.setting SET record_retention = '7 days';
SELECT cdp.ingest_page('oa', 'users', '{"data": {"openid": ["o-2"]}, "next_openid": ""}'), cdp.ingest_page('chat', 'behavior', '{"behavior_data": []}', '"wu"', '2026-03-02', '2026-03-02') \g /dev/null
UPDATE cdp_data.raw_record SET ref_date = '2999-01-01' WHERE record_key = '["2026-03-10", "0"]';
CALL cdp_internal.maintain_room_landing();
SELECT is((SELECT string_agg(record_key, ' ' ORDER BY record_key) FROM cdp_data.raw_record) || ' ' || (SELECT count(*) FROM cdp_data.raw_record_history), '["2026-03-10", "0"] o-1 o-2 1', 'records have a retention of their own: what changed since (one is gone since now), or is about later days, stays, without what it said before');
SELECT * FROM finish();
DROP OWNED BY landing_gateway, landing_stranger; DROP ROLE landing_gateway; DROP ROLE landing_stranger;
