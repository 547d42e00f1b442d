-- Wishes in the plan of pulls: asked first, granted by the pull that answers them, also whole streams and what the vendor refuses; and lists that are asked together stay together.
SELECT no_plan();
SET client_min_messages = error;
SELECT cdp.add_source('chat'), cdp.create_connection('chat', 'wecom', '{"corpid": "ww1"}', 'chat'), cdp.create_connection('shop', 'channels_shop', '{"appid": "wx1"}', 'chat') \g /dev/null
UPDATE cdp_data.connection SET state = 'shadow';
SELECT connection_id AS chat, cdp_internal.begin_sync(connection_id, NULL) AS run FROM cdp_data.connection WHERE name = 'chat' \gset
SELECT connection_id AS shop, cdp_internal.begin_sync(connection_id, NULL) AS shop_run FROM cdp_data.connection WHERE name = 'shop' \gset
-- What is planned, in order; and the answer to all of it.
CREATE FUNCTION pg_temp.planned(connection integer, stream text, at text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat(p.state - 'cursor', CASE WHEN p.wished THEN '!' END), ' ') FROM cdp_internal.plan_stream(connection, stream, (at || '+08')::timestamptz) p $$;
CREATE FUNCTION pg_temp.answer(run bigint, stream text, state jsonb, body text, at text, outcome text DEFAULT 'ok') RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', a.action, a.states) FROM cdp_internal.sync_answered(run, stream, state, '/x', 1, (at || '+08')::timestamptz, outcome, 'x', 200, '{}', convert_to(body, 'UTF8'), (at || '+08')::timestamptz, 1, 1, 0, NULL) a $$;
CREATE FUNCTION pg_temp.wishes() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(concat_ws(' ', stream, nullif(part, '')), ', ' ORDER BY stream, part) FROM cdp_data.stream_wish $$;
CREATE FUNCTION pg_temp.staff(at text, VARIADIC names text[]) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.answer((SELECT min(run_id) FROM cdp_data.sync_run), 'follow_users', '{}', jsonb_build_object('errcode', 0, 'follow_user', names)::text, at) $$;
CREATE FUNCTION pg_temp.contacts(at text, staff jsonb, body text DEFAULT '{"errcode": 0, "external_contact_list": [], "next_cursor": ""}') RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.answer((SELECT min(run_id) FROM cdp_data.sync_run), 'contacts', jsonb_build_object('partition', staff), body, at) $$;

-- Lists stay together, whoever of them is wished.
SELECT pg_temp.staff('2026-03-02 09:00', 'a', 'b', 'c') \g /dev/null
SELECT is(pg_temp.planned(:chat, 'contacts', '2026-03-02 09:01'), '{"partition": ["a", "b", "c"]}', 'three are asked together');
SELECT is(pg_temp.contacts('2026-03-02 09:01', '["a", "b", "c"]'), 'done', 'and answer');
SELECT is(pg_temp.planned(:chat, 'contacts', '2026-03-02 09:02'), NULL, 'nothing is due');
SELECT cdp_internal.wish(:chat, 'contacts', 'b', 'callback', '2026-03-02 09:03+08') \g /dev/null
SELECT is(pg_temp.planned(:chat, 'contacts', '2026-03-02 09:04'), '{"partition": ["b"]}!', 'one of them is wished');
SELECT is(pg_temp.contacts('2026-03-02 09:04', '["b"]'), 'done', 'and asked');
SELECT is(pg_temp.wishes(), NULL, 'which grants the wish');
SELECT is(pg_temp.planned(:chat, 'contacts', '2026-03-02 09:05'), NULL, 'nobody else is due for it');
SELECT is(pg_temp.planned(:chat, 'contacts', '2026-03-03 10:00'), '{"partition": ["a", "b", "c"]}', 'and on the next day all are asked together');
SELECT pg_temp.contacts('2026-03-03 10:00', '["a", "b", "c"]') \g /dev/null
SELECT pg_temp.staff('2026-03-03 10:01', 'a', 'b', 'c', 'd') \g /dev/null
SELECT is(pg_temp.planned(:chat, 'contacts', '2026-03-03 10:02'), '{"partition": ["d"]}', 'who is new is asked alone');
SELECT pg_temp.contacts('2026-03-03 10:02', '["d"]') \g /dev/null
SELECT pg_temp.staff('2026-03-03 10:03', 'a', 'b', 'd') \g /dev/null
SELECT is(pg_temp.planned(:chat, 'contacts', '2026-03-03 10:04'), '{"partition": ["a", "b"]}', 'a list that somebody left is another one');
SELECT pg_temp.contacts('2026-03-03 10:04', '["a", "b"]') \g /dev/null
SELECT is(pg_temp.planned(:chat, 'contacts', '2026-03-03 10:05'), NULL, 'once');
SELECT is(pg_temp.planned(:chat, 'contacts', '2026-03-04 12:00'), '{"partition": ["d"]} {"partition": ["a", "b"]}', 'and stays');
-- What the vendor wants smaller stays smaller.
SELECT is(pg_temp.contacts('2026-03-04 12:00', '["a", "b"]', '{"errcode": 81017}'), 'go {"{\"partition\": [\"a\"]}","{\"partition\": [\"b\"]}"}', 'a list that is too long is split');
SELECT pg_temp.contacts('2026-03-04 12:01', '["a"]'), pg_temp.contacts('2026-03-04 12:02', '["b"]'), pg_temp.contacts('2026-03-04 12:03', '["d"]') \g /dev/null
SELECT is(pg_temp.planned(:chat, 'contacts', '2026-03-04 12:04'), NULL, 'its halves stand for it');
SELECT is(pg_temp.planned(:chat, 'contacts', '2026-03-05 13:00'), '{"partition": ["a"]} {"partition": ["b"]} {"partition": ["d"]}', 'on the next day, too');

-- Whole streams.
SELECT cdp_internal.wish(:chat, 'groupchats', NULL, 'callback', '2026-03-05 13:00+08') \g /dev/null
SELECT is(pg_temp.planned(:chat, 'groupchats', '2026-03-05 13:01'), '{"partition": ["a", "b", "d"]}! {"partition": ["a", "b", "d"]}', 'a whole stream that is wished');
SELECT is(cdp_internal.stream_pulled(:run, 'groupchats', '2026-03-05 12:59+08'), 0, 'is not granted by a pull that was planned before');
SELECT is(cdp_internal.stream_pulled(:run, 'groupchats', '2026-03-05 13:01+08'), 1, 'is granted when all that was planned after it is pulled');
SELECT is(pg_temp.wishes(), NULL, 'and gone');

-- What the vendor refuses is no wish for ever; what the network keeps back is.
SELECT cdp_internal.wish(:shop, 'order', p, 'callback', '2026-03-05 13:00+08') FROM unnest(ARRAY['1', '2', '3']) p \g /dev/null
SELECT is(pg_temp.planned(:shop, 'order', '2026-03-05 13:01'), '{"partition": "1"}! {"partition": "2"}! {"partition": "3"}!', 'orders that nobody listed yet');
SELECT is(split_part(pg_temp.answer(:shop_run, 'order', '{"partition": "1"}', '{"errcode": 10020049, "errmsg": "no such order"}', '2026-03-05 13:01'), ' ', 1), 'pass', 'one that is none');
SELECT is(split_part(pg_temp.answer(:shop_run, 'order', '{"partition": "2"}', '', '2026-03-05 13:01', 'timeout'), ' ', 1) IN ('again', 'leave'), true, 'one that the network kept back');
SELECT is(split_part(pg_temp.answer(:shop_run, 'order', '{"partition": "3"}', '{"errcode": 45009}', '2026-03-05 13:01'), ' ', 1), 'park', 'one for which there are no calls left');
SELECT is(pg_temp.wishes(), 'order 2, order 3', 'only what was refused is wished no more');
DELETE FROM cdp_data.stream_wish;

-- Nobody is asked about who must not come in again, and the wish goes with the next pull.
SELECT cdp.identify('chat', '{"user_id": "erased-1"}') \g /dev/null
SELECT cdp.erase_customer(cdp.customer_of('user_id', 'erased-1')) IS NOT NULL \g /dev/null
SELECT cdp_internal.wish(:shop, 'order', 'erased-1', 'callback', '2026-03-05 13:00+08') \g /dev/null
SELECT is(pg_temp.planned(:shop, 'order', '2026-03-05 13:01'), NULL, 'who was erased is not asked about');
SELECT cdp_internal.stream_pulled(:shop_run, 'order', '2026-03-05 13:01+08') \g /dev/null
SELECT is(pg_temp.wishes(), NULL, 'nor wished for ever');
SELECT * FROM finish();
