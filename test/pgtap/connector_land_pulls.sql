-- Landing, pulls: what counts as a whole one, what a replay says about days, cursors that stay, pulls without end, pages that come out of order, records that are gone.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'America/New_York';
SELECT cdp.add_source('shop'), cdp.create_connection('shop', 'channels_shop', '{"appid": "wx1"}', 'shop'), cdp.add_source('chat'), cdp.create_connection('chat', 'wecom', '{"corpid": "ww1", "open_kfids": ["wk1"]}', 'chat'),
  cdp.add_source('oa'), cdp.create_connection('oa', 'wechat_oa', '{"appid": "wx1"}', 'oa') \g /dev/null
-- One page of a stream: verb, records by fate, done, problem.
CREATE FUNCTION pg_temp.land(connection text, stream text, body jsonb, at text, from_day date DEFAULT NULL, to_day date DEFAULT NULL, cursor jsonb DEFAULT NULL, part jsonb DEFAULT NULL, status integer DEFAULT 200) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.verb, concat_ws('/', r.inserted, r.changed, r.unchanged, r.refused), r.done, r.problem, 'late ' || nullif(to_jsonb(r) ->> 'late', '0'))
  FROM cdp.ingest_page(connection, stream, convert_to(body::text, 'UTF8'), part, from_day, coalesce(to_day, from_day), cursor, status, fetched_at => (at || '+08')::timestamptz) r $$;
CREATE FUNCTION pg_temp.days(stream text, parts boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', CASE WHEN parts THEN part END, to_char(day, 'DD'), state, records, reason), ', ' ORDER BY part, day) FROM cdp_data.coverage c JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = stream $$;
-- What a query tells now: a subquery of the call that writes would not see it.
CREATE FUNCTION pg_temp.now(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE x text; BEGIN EXECUTE query INTO x; RETURN x; END $$;
CREATE FUNCTION pg_temp.page(back integer DEFAULT 0) RETURNS bigint LANGUAGE sql AS $$ SELECT (array_agg(page_id ORDER BY page_id DESC))[back + 1] FROM cdp_data.raw_page $$;
CREATE FUNCTION pg_temp.replay(page bigint) RETURNS text LANGUAGE sql AS $$ SELECT concat_ws('/', inserted, changed, unchanged, refused) FROM cdp.replay_page(page) $$;
CREATE FUNCTION pg_temp.users(day date, n integer, at text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.land('oa', 'user_summary', jsonb_build_object('list', CASE WHEN n IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object('ref_date', day, 'user_source', 0, 'new_user', n, 'cancel_user', 0)) END), at, day) $$;

-- Days that no record tells: those of the window.
SELECT is(pg_temp.land('shop', 'orders', '{"errcode": 0, "order_id_list": ["3705115058471208928", "3705115058471208929"], "has_more": false}', '2026-03-04 09:00', '2026-03-02'), 'ok 2/0/0/0 t', 'a list of orders of a day');
SELECT is(pg_temp.days('orders'), '02 final 2', 'are records of that day');
SELECT pg_temp.land('shop', 'orders', jsonb_build_object('errcode', 0, 'order_id_list', jsonb_build_array(d), 'has_more', false), (d + 2) || ' 09:00', d) FROM unnest('{2026-03-09,2026-03-16}'::date[]) d \g /dev/null
SELECT is(pg_temp.land('shop', 'orders', '{"errcode": 0, "order_id_list": [], "has_more": false}', '2026-03-25 09:00', '2026-03-23'), 'ok 0/0/0/0 t', 'a day without any');
SELECT is((SELECT concat_ws(' ', state, reason) FROM cdp_data.coverage WHERE day = '2026-03-23'), 'suspect_zero nothing, usually 1', 'where there usually are some is doubted');
SELECT is(pg_temp.land('shop', 'orders', '{"errcode": 0, "order_id_list": ["3705115058471208930", "3705115058471208931", "3705115058471208932"], "has_more": false}', '2026-05-10 09:00', '2026-05-01', '2026-05-03'), 'ok 3/0/0/0 t', 'a longer window');
SELECT is((SELECT string_agg(concat_ws(' ', state, records, reason), ', ' ORDER BY day) FROM cdp_data.coverage WHERE day BETWEEN '2026-05-01' AND '2026-05-03'), 'final 3 the total of 3 days, final 3 the total of 3 days, final 3 the total of 3 days', 'has its total on each of its days');
SELECT is((SELECT count(*) FROM cdp_data.raw_record WHERE gone_at IS NOT NULL), 0::bigint, 'an order that moves on to another day is not gone');

-- A pull that breaks off is none.
SELECT cdp.add_source('own'), cdp.add_connector('{"connector": "own", "version": 1, "base_url": "https://own.example", "tz": "Asia/Shanghai", "streams": {
  "sales": {"path": "/sales", "query": {"from": "$window.from", "to": "$window.to"}, "window": {"unit": "day", "max_days": 7, "final_after_days": 0, "format": "date"},
    "cursor": {"send": "query.cursor", "take": "$.next", "more": "$.more"}, "records": "$.sales[*]", "key": ["id"], "ref_date": {"path": "day", "format": "date"}},
  "items": {"path": "/items", "cursor": {"kind": "offset", "send": "query.offset", "start": 0, "size": 2, "more": "$.more"}, "records": "$.items[*]", "key": ["id"]},
  "stock": {"path": "/stock", "partition": {"from": "items", "value": "id"}, "query": {"item": "$partition", "day": "$window.from"}, "window": {"unit": "day", "max_days": 1, "final_after_days": 0, "format": "date"},
    "records": "$", "key": ["$partition", "$window.from"], "ref_date": "$window.from", "metrics": {"stock": "gauge"}},
  "lists": {"path": "/lists", "partition": {"from": "items", "value": "id", "chunk": 2}, "body": {"ids": "$partition"}, "method": "POST", "records": "$.rows[*]", "key": ["id"]}}}'), cdp.create_connection('own', 'own', '{}', 'own') \g /dev/null
CREATE FUNCTION pg_temp.sales(ids text, at text, day date, cursor text DEFAULT NULL, next text DEFAULT NULL, to_day date DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.land('own', 'sales', jsonb_build_object('sales', (SELECT jsonb_agg(jsonb_build_object('id', split_part(i, ':', 1), 'day', CASE WHEN i ~ 'bad' THEN 'soon' ELSE (day + coalesce(nullif(split_part(i, ':', 2), ''), '0')::integer)::text END, 'v', split_part(i, ':', 3)))
    FROM unnest(string_to_array(ids, ' ')) i), 'next', next, 'more', next IS NOT NULL), at, day, to_day, to_jsonb(cursor)) $$;
SELECT is(pg_temp.sales('a b', '2026-03-05 09:00', '2026-03-02', NULL, 'c2') || '; ' || pg_temp.sales('c d', '2026-03-05 09:01', '2026-03-02', 'c2', 'c2'), 'ok 2/0/0/0 f; ok 2/0/0/0 t the page hands out the cursor that it was asked with', 'a cursor that does not move');
SELECT is(pg_temp.days('sales'), '02 missing 0 the page hands out the cursor that it was asked with', 'ends a pull that is not whole');
SELECT is(pg_temp.sales('a b', '2026-03-05 10:00', '2026-03-02', NULL, 'c2') || '; ' || pg_temp.sales('a b', '2026-03-05 10:01', '2026-03-02', 'c2', 'c3'), 'ok 0/0/2/0 f; ok 0/0/2/0 t the page has the records of the page before', 'a server that does not look at its cursor');
SELECT is((SELECT concat_ws(' ', next IS NULL, done) FROM cdp_data.stream_part t JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = 'sales'), 't t', 'is not asked again and again: the next pull begins anew');
SELECT is(pg_temp.sales('a b', '2026-03-05 11:00', '2026-03-02', NULL, 'c2') || '; ' || pg_temp.sales('c', '2026-03-05 11:01', '2026-03-02', 'c2', 'c3') || '; ' || pg_temp.sales('c d', '2026-03-05 11:02', '2026-03-02', 'c2', 'c4') || '; ' || pg_temp.sales('e', '2026-03-05 11:03', '2026-03-02', 'c4'),
  'ok 0/0/2/0 f; ok 0/0/1/0 f; ok 0/0/2/0 f; ok 1/0/0/0 t', 'a page that was asked for twice, and hands out another cursor then');
SELECT is(pg_temp.days('sales'), '02 final 5', 'counts once');
SELECT is(pg_temp.sales('f', '2026-03-05 11:04', '2026-03-02', 'c4') || '; ' || pg_temp.days('sales'), 'ok 1/0/0/0 t; 02 final 5', 'what comes after the end of a pull belongs to none');

-- Records that are refused.
SELECT is(pg_temp.sales('g h bad1 bad2', '2026-03-08 09:00', '2026-03-06') || '; ' || pg_temp.days('sales'), 'ok 2/0/0/2 t; 02 final 5, 06 provisional 2 2 records refused', 'a pull with refused records makes no day final');
SELECT is(pg_temp.sales('a bad1', '2026-03-08 09:00', '2026-03-02') || '; ' || pg_temp.days('sales'), 'ok 0/0/1/1 t; 02 final 5 1 records refused, 06 provisional 2 2 records refused', 'and takes nothing back');
SELECT is((SELECT count(*) FROM cdp_data.raw_record WHERE gone_at IS NOT NULL), 0::bigint, 'nothing is gone for it');
SELECT is(pg_temp.sales('bad1 bad2', '2026-03-09 09:00', '2026-03-07') || '; ' || pg_temp.now($$SELECT concat_ws(' ', state, records, zero_at, reason) FROM cdp_data.coverage WHERE day = '2026-03-07'$$), 'ok 0/0/0/2 t; provisional 0 2 records refused', 'nothing but refused ones is no zero');

-- The first pull of a long window: its last days, which the vendor has not counted, are doubted by the others.
SELECT is(pg_temp.land('chat', 'behavior', (SELECT jsonb_build_object('behavior_data', jsonb_agg(jsonb_build_object('stat_time', extract(epoch FROM (date '2026-01-01' + i)::timestamp AT TIME ZONE 'Asia/Shanghai')::bigint,
  'chat_cnt', CASE WHEN i < 28 AND (i + 4) % 7 < 5 THEN 3 ELSE 0 END))) FROM generate_series(0, 29) i), '2026-02-20 09:00', '2026-01-01', '2026-01-30', part => '"s9"'), 'ok 30/0/0/0 t', 'thirty days at once');
SELECT is((SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, string_agg(to_char(day, 'DD'), ' ' ORDER BY day) AS n FROM cdp_data.coverage WHERE part = 's9' AND nonzero = 0 GROUP BY state) x), 'final 02 03 09 10 16 17 23 24 30, suspect_zero 29', 'days that are nothing each week are believed, others are not');

-- A replay says about days what the newest whole pull says.
SELECT is(pg_temp.users('2026-03-02', 5, '2026-03-04 09:00') || '; ' || pg_temp.users('2026-03-02', 9, '2026-03-07 09:00') || '; ' || pg_temp.days('user_summary'), 'ok 1/0/0/0 t; ok 0/1/0/0 t; 02 final 1', 'an early pull, and a later one');
CREATE TEMP TABLE was AS SELECT * FROM cdp_data.coverage;
SELECT is(pg_temp.replay(pg_temp.page(1)), '0/0/0/0', 'a replay of the early one');
SELECT set_eq('SELECT * FROM cdp_data.coverage', 'SELECT * FROM was', 'leaves the days to the later one');
SELECT is(pg_temp.users('2026-03-09', 0, '2026-03-10 09:00') || pg_temp.users('2026-03-09', 4, '2026-03-13 09:00') || pg_temp.replay(pg_temp.page(1)) || pg_temp.now($$SELECT concat_ws(' ', state, records, nonzero) FROM cdp_data.coverage WHERE day = '2026-03-09'$$), 'ok 1/0/0/0 tok 0/1/0/0 t0/0/0/0final 1 1', 'a zero of before does not make a final day suspect');
DROP TABLE was;
SELECT is(pg_temp.users('2026-02-23', 0, '2026-02-24 09:00') || pg_temp.users('2026-02-16', 3, '2026-02-25 09:00') || pg_temp.users('2026-02-09', 3, '2026-02-25 09:01') || pg_temp.replay(pg_temp.page(2)) || pg_temp.now($$SELECT state FROM cdp_data.coverage WHERE day = '2026-02-23'$$),
  'ok 1/0/0/0 tok 1/0/0/0 tok 1/0/0/0 t0/0/1/0provisional', 'nor does what became usual since make one that was believed suspect');
-- What the manifest reads better now, of a page in the midst of a pull.
UPDATE cdp_data.connector c SET manifest = jsonb_set(manifest, '{streams,sales,key}', '["key"]') WHERE c.connector = 'own';
SELECT is(pg_temp.sales('i j', '2026-03-12 09:00', '2026-03-10', NULL, 'x2') || '; ' || pg_temp.sales('k', '2026-03-12 09:01', '2026-03-10', 'x2'), 'ok 0/0/0/2 f; ok 0/0/0/1 t', 'with a wrong key nothing is read');
SELECT is((SELECT concat_ws(' ', state, records, refused) FROM cdp_data.coverage WHERE day = '2026-03-10'), 'provisional 0 3', 'and no day is there for good');
UPDATE cdp_data.connector c SET manifest = jsonb_set(manifest, '{streams,sales,key}', '["id"]') WHERE c.connector = 'own';
SELECT is(pg_temp.replay(pg_temp.page(0)) || ' ' || pg_temp.now($$SELECT concat_ws(' ', state, records, refused) FROM cdp_data.coverage WHERE day = '2026-03-10'$$), '1/0/0/0 provisional 1 2', 'with the right one the last page is read again');
SELECT is(pg_temp.replay(pg_temp.page(1)) || ' ' || pg_temp.now($$SELECT concat_ws(' ', state, records, refused, final_at AT TIME ZONE 'Asia/Shanghai', restated_at) FROM cdp_data.coverage WHERE day = '2026-03-10'$$), '2/0/0/0 final 3 0 2026-03-12 09:01:00', 'and the first: now the day is whole, as of its pull');
UPDATE cdp_data.connector c SET manifest = jsonb_set(manifest, '{streams,sales,key}', '["id", "day"]') WHERE c.connector = 'own';
SELECT is(pg_temp.replay(pg_temp.page(1)) || ' ' || pg_temp.now($$SELECT string_agg(concat_ws(' ', record_key, gone_at IS NULL), ', ' ORDER BY record_key) FROM cdp_data.raw_record WHERE page_id = pg_temp.page(1)$$), '2/0/0/0 ["i", "2026-03-10"] t, ["j", "2026-03-10"] t, i f, j f', 'with another key what has the old one is gone');
UPDATE cdp_data.connector c SET manifest = jsonb_set(manifest, '{streams,sales,key}', '["id"]') WHERE c.connector = 'own';
SELECT is(pg_temp.replay(pg_temp.page(1)) || ' ' || pg_temp.now($$SELECT string_agg(concat_ws(' ', record_key, gone_at IS NULL), ', ' ORDER BY record_key) FROM cdp_data.raw_record WHERE page_id = pg_temp.page(1)$$), '0/2/0/0 ["i", "2026-03-10"] f, ["j", "2026-03-10"] f, i t, j t', 'and with the old key it is back');

-- Pages of a pull that are not there any more (an erasure, their retention) take nothing back when the others are read again.
SELECT is(pg_temp.sales('s', '2026-03-22 09:00', '2026-03-20') || '; ' || pg_temp.sales('s t', '2026-03-23 09:00', '2026-03-20', NULL, 'y2') || '; ' || pg_temp.sales('u', '2026-03-23 09:01', '2026-03-20', 'y2'), 'ok 1/0/0/0 t; ok 1/0/1/0 f; ok 1/0/0/0 t', 'a pull, and another in two pages');
DELETE FROM cdp_data.raw_page WHERE page_id = pg_temp.page(1);
SELECT is(pg_temp.replay(pg_temp.page(0)) || ' ' || pg_temp.now($$SELECT concat_ws(' ', state, records) FROM cdp_data.coverage WHERE day = '2026-03-20'$$), '0/0/1/0 final 3', 'its last page alone, read again');
SELECT is(pg_temp.replay(pg_temp.page(1)) || ' ' || pg_temp.now($$SELECT concat_ws(' ', state, records) FROM cdp_data.coverage WHERE day = '2026-03-20'$$), '0/0/1/0 final 3', 'and that of the pull before');
UPDATE cdp_data.connector c SET manifest = jsonb_set(manifest, '{streams,sales,cursor,more}', '"$.next_day"') WHERE c.connector = 'own';
SELECT is(pg_temp.sales('v', '2026-03-23 10:00', '2026-03-21') || ' ' || pg_temp.now($$SELECT concat_ws(' ', state, records) FROM cdp_data.coverage WHERE day = '2026-03-21'$$), 'ok 1/0/0/0 t final 1', 'a pull that seems to end');
UPDATE cdp_data.connector c SET manifest = jsonb_set(manifest, '{streams,sales,ok}', '{"path": "$.more", "equals": true}') WHERE c.connector = 'own';
SELECT is((SELECT verb FROM cdp.replay_page(pg_temp.page(0))) || ' ' || pg_temp.now($$SELECT concat_ws(' ', state, records, reason) FROM cdp_data.coverage WHERE day = '2026-03-21'$$), 'fail missing 0 fail false', 'and was none by the manifest of today: its day is missing');
UPDATE cdp_data.connector c SET manifest = jsonb_set(manifest #- '{streams,sales,ok}', '{streams,sales,cursor,more}', '"$.more"') WHERE c.connector = 'own';

-- Windows that come out of order.
SELECT is(pg_temp.sales('m::1 n:1:1 o:2:1', '2026-04-04 09:00', '2026-04-01', NULL, NULL, '2026-04-03') || '; ' || pg_temp.sales('p:0:1', '2026-04-06 09:02', '2026-04-05') || '; ' || pg_temp.sales('m::2 n:1:2', '2026-04-06 09:01', '2026-04-01', NULL, NULL, '2026-04-02'),
  'ok 3/0/0/0 t; ok 1/0/0/0 t; ok 0/2/0/0 t', 'a page about other days makes none late');
SELECT is(pg_temp.sales('m::0 o:2:2', '2026-04-06 09:00', '2026-04-01', NULL, NULL, '2026-04-03') || '; ' || pg_temp.now($$SELECT string_agg(payload ->> 'v', ' ' ORDER BY record_key) FROM cdp_data.raw_record WHERE record_key IN ('m', 'n', 'o')$$), 'ok 0/1/0/0 t late 1; 2 2 2', 'of days that overlap only those are late');
SELECT is((SELECT string_agg(to_char(pulled_at AT TIME ZONE 'Asia/Shanghai', 'HH24:MI'), ' ' ORDER BY day) FROM cdp_data.coverage WHERE day BETWEEN '2026-04-01' AND '2026-04-03'), '09:01 09:01 09:00', 'and each day has its newest pull');
SELECT throws_ok($$SELECT cdp.ingest_page('oa', 'users', '{}', fetched_at => clock_timestamp() + interval '10 minutes')$$, '22023', NULL, 'a clock that is ahead makes nothing late');

-- Answers that are no page leave the cursor.
CREATE FUNCTION pg_temp.at(stream text) RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', next -> 'cursor', done, last_fetched_at AT TIME ZONE 'Asia/Shanghai') FROM cdp_data.stream_part t JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = stream $$;
SELECT pg_temp.land('chat', 'service_messages', '{"errcode": 0, "msg_list": [{"msgid": "m1", "send_time": 1772380800, "origin": 3, "external_userid": "wm-1"}], "has_more": 0, "next_cursor": "k1"}', '2026-03-03 09:00', part => '"wk1"') \g /dev/null
SELECT is(pg_temp.at('service_messages'), '"k1" t 2026-03-03 09:00:00', 'a cursor that is kept');
SELECT is(pg_temp.land('chat', 'service_messages', '{"errcode": 45009, "errmsg": "x"}', '2026-03-03 09:05', cursor => '"k1"', part => '"wk1"') || ' ' || pg_temp.at('service_messages'), 'park 0/0/0/0 "k1" t 2026-03-03 09:00:00', 'outlives a quota that is used up');
SELECT is(pg_temp.land('chat', 'service_messages', '{"errcode": 0, "msg_list": [{"msgid": "m2", "send_time": 1772380800, "origin": 3, "external_userid": "wm-1"}], "has_more": 1, "next_cursor": "k1"}', '2026-03-03 09:06', cursor => '"k1"', part => '"wk1"') || ' ' || pg_temp.at('service_messages'),
  'ok 1/0/0/0 t the page hands out the cursor that it was asked with "k1" t 2026-03-03 09:06:00', 'and a page that does not move');
SELECT is((SELECT count(*) FROM cdp_data.raw_record WHERE payload ->> 'msgid' IN ('m1', 'm2') AND gone_at IS NULL), 2::bigint, 'what is told as new only is never gone');
SELECT pg_temp.land('chat', 'contacts', '{"errcode": 0, "external_contact_list": [], "next_cursor": "p2"}', '2026-03-03 09:00', part => '["s1"]') \g /dev/null
SELECT is(pg_temp.land('chat', 'contacts', '{"errcode": -1}', '2026-03-03 09:05', cursor => '"p2"', part => '["s1"]') || ' ' || pg_temp.at('contacts'), 'retry 0/0/0/0 "p2" f 2026-03-03 09:00:00', 'a pull goes on where it was');
SELECT is(pg_temp.land('chat', 'lives', '{"errcode": 60011}', '2026-03-03 09:05', part => '"s1"') || ' ' || pg_temp.at('lives'), 'skip_partition 0/0/0/0 ', 'a part that never had a page has no cursor');

-- What a whole pull tells no more.
CREATE FUNCTION pg_temp.items(ids integer[], at text, start integer DEFAULT NULL, more boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.land('own', 'items', jsonb_build_object('items', (SELECT jsonb_agg(jsonb_build_object('id', i)) FROM unnest(ids) i), 'more', more), at, cursor => to_jsonb(start)) $$;
CREATE FUNCTION pg_temp.told(stream text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', record_key, revision, to_char(gone_at AT TIME ZONE 'Asia/Shanghai', 'DD HH24:MI')), ', ' ORDER BY record_key) FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = stream $$;
SELECT is(pg_temp.items('{1,2}', '2026-03-01 09:00', NULL, true) || '; ' || pg_temp.items('{3,4}', '2026-03-01 09:01', 2, false), 'ok 2/0/0/0 f; ok 2/0/0/0 t', 'a list in two pages');
SELECT pg_temp.land('own', 'stock', '{"stock": 1}', '2026-03-02 09:00', '2026-03-01', part => to_jsonb(i)) FROM generate_series(1, 4) i \g /dev/null
SELECT pg_temp.land('own', 'lists', '{"rows": [{"id": "r1"}, {"id": "r2"}]}', '2026-03-02 09:00', part => '[1, 2]'), pg_temp.land('own', 'lists', '{"rows": [{"id": "r3"}]}', '2026-03-02 09:00', part => '[3, 4]') \g /dev/null
SELECT pg_temp.items('{1,4}', '2026-03-02 09:00', NULL, true) \g /dev/null
SELECT is(pg_temp.told('items'), '1 1, 2 1, 3 1, 4 1', 'in the midst of a pull nothing is gone');
SELECT is(pg_temp.items('{5}', '2026-03-02 09:01', 2) || '; ' || pg_temp.told('items'), 'ok 1/0/0/0 t; 1 1, 2 2 02 09:01, 3 2 02 09:01, 4 1, 5 1', 'at its end what it did not tell');
SELECT is((SELECT string_agg(concat_ws(' ', record_key, revision, payload ->> 'id', to_at AT TIME ZONE 'Asia/Shanghai', gone_at), ', ' ORDER BY record_key) FROM cdp_data.raw_record_history h JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = 'items'), '2 1 2 2026-03-02 09:01:00, 3 1 3 2026-03-02 09:01:00', 'with its history');
SELECT is((SELECT string_agg(concat_ws(' ', s.name, part), ', ' ORDER BY s.name, part) FROM cdp_data.stream_part t JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE t.gone_at IS NOT NULL), 'lists [1, 2], lists [3, 4], stock 2, stock 3', 'what was asked by them is not to be asked any more');
SELECT is((SELECT concat_ws(' ', parts, due, overdue) FROM cdp_internal.stream_coverage((SELECT connection_id FROM cdp_data.connection WHERE name = 'own'), '2026-03-04 00:30+08') WHERE stream = 'stock'), '2 6 2', 'and no day of it is due');
SELECT is(pg_temp.items('{1,2,4,5}', '2026-03-03 09:00') || '; ' || pg_temp.told('items'), 'ok 0/1/3/0 t; 1 1, 2 3, 3 2 02 09:01, 4 1, 5 1', 'what comes back is told again');
SELECT is((SELECT concat_ws(' ', revision, to_char(gone_at AT TIME ZONE 'Asia/Shanghai', 'DD')) FROM cdp_data.raw_record_history h JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = 'items' AND record_key = '2' AND h.gone_at IS NOT NULL), '2 02', 'and that it was gone is history');
SELECT is((SELECT string_agg(concat_ws(' ', s.name, part), ', ' ORDER BY s.name, part) FROM cdp_data.stream_part t JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE t.gone_at IS NOT NULL), 'lists [3, 4], stock 3', 'and what was asked by it');
SELECT is(pg_temp.items(NULL, '2026-03-04 09:00') || '; ' || pg_temp.items(NULL, '2026-03-04 09:59') || '; ' || pg_temp.told('items'), 'ok 0/0/0/0 t; ok 0/0/0/0 t; 1 1, 2 3, 3 2 02 09:01, 4 1, 5 1', 'a list with nothing at all is not believed at once');
SELECT is(pg_temp.items(NULL, '2026-03-04 10:00') || '; ' || pg_temp.told('items'), 'ok 0/0/0/0 t; 1 2 04 10:00, 2 4 04 10:00, 3 2 02 09:01, 4 2 04 10:00, 5 2 04 10:00', 'an hour later it is');
SELECT is(pg_temp.sales('m:0:2 o:2:2', '2026-04-08 09:00', '2026-04-01', NULL, NULL, '2026-04-03') || '; ' || pg_temp.now($$SELECT string_agg(record_key || ' ' || (gone_at IS NOT NULL), ', ' ORDER BY record_key) FROM cdp_data.raw_record WHERE record_key IN ('m', 'n', 'o', 'p')$$), 'ok 0/0/2/0 t; m false, n false, o false, p false', 'a day that is told as nothing for the first time keeps its records');
SELECT is(pg_temp.sales('m:0:2 o:2:2', '2026-04-08 11:00', '2026-04-01', NULL, NULL, '2026-04-03') || '; ' || pg_temp.now($$SELECT string_agg(record_key || ' ' || (gone_at IS NOT NULL), ', ' ORDER BY record_key) FROM cdp_data.raw_record WHERE record_key IN ('m', 'n', 'o', 'p')$$), 'ok 0/0/2/0 t; m false, n true, o false, p false', 'believed, they are gone; those of other days stay');
SELECT is(pg_temp.sales('q:30:1 m:0:2', '2026-04-09 09:00', '2026-04-01', NULL, NULL, '2026-04-03') || '; ' || pg_temp.now($$SELECT concat_ws(' ', strays, (SELECT gone_at IS NULL FROM cdp_data.raw_record WHERE record_key = 'o')) FROM cdp_data.stream WHERE name = 'sales'$$), 'ok 1/0/1/0 t; t t', 'a stream that tells days outside of the window does not tell all of them, so nothing is gone');

-- Asked too early, and suspended.
SELECT pg_temp.users('2026-06-01', 0, '2026-06-02 01:00') \g /dev/null
CREATE FUNCTION pg_temp.due() RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', missing, provisional) FROM cdp_internal.stream_coverage((SELECT connection_id FROM cdp_data.connection WHERE name = 'oa'), '2026-06-02 09:00+08') WHERE stream = 'user_summary' $$;
SELECT is(pg_temp.due(), '108 1', 'a day that was told before it was ready is missing');
SELECT is(pg_temp.users('2026-06-01', 3, '2026-06-02 08:30') || ' ' || pg_temp.due(), 'ok 0/1/0/0 t 107 2', 'until it is told again');
UPDATE cdp_data.connection SET state = 'suspended', suspended_from = 'live' WHERE name = 'oa';
SELECT throws_ok('SELECT cdp.replay_page(pg_temp.page(0))', '55000', NULL, 'what is suspended replays nothing');
SELECT * FROM finish();
