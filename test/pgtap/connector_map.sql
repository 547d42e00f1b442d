-- Mapping of records: touchpoints with identities, what corrects them, claims, what cannot be mapped, contents; who may; a plain twin.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'America/New_York';
SELECT cdp.add_source('chat'), cdp.create_connection('chat', 'wecom', '{"corpid": "ww1"}', 'chat') \g /dev/null
SELECT cdp.add_source('oa'), cdp.create_connection('oa', 'wechat_oa', '{"appid": "wx1"}', 'oa') \g /dev/null
SELECT cdp.add_source('shop'), cdp.create_connection('shop', 'channels_shop', '{"appid": "wx2"}', 'shop') \g /dev/null
UPDATE cdp_data.connection SET state = 'live';
CREATE FUNCTION pg_temp.tell(connection text, stream text, body jsonb, part jsonb, at text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.verb, r.inserted, r.changed) FROM cdp.ingest_page(connection, stream, convert_to(body::text, 'UTF8'), part, fetched_at => (at || '+08')::timestamptz) r $$;
CREATE FUNCTION pg_temp.contact(staff text, who text, state text, way integer, at bigint, unionid text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('external_contact', jsonb_build_object('external_userid', who, 'unionid', unionid, 'name', 'N'), 'follow_info', jsonb_build_object('userid', staff, 'state', state, 'add_way', way, 'createtime', at))) $$;
CREATE FUNCTION pg_temp.contacts(VARIADIC c jsonb[]) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('errcode', 0, 'external_contact_list', to_jsonb(c), 'next_cursor', '') $$;
CREATE FUNCTION pg_temp.map(connection text, most integer DEFAULT 20000) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint; total bigint := 0; id integer := (SELECT connection_id FROM cdp_data.connection c WHERE c.name = connection);
BEGIN LOOP n := cdp_internal.map_some(id, most); EXIT WHEN n = 0; total := total + n; END LOOP; RETURN total; END $$;
-- With a snapshot of its own, to see what the statement has done so far.
CREATE FUNCTION pg_temp.q(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE query INTO r; RETURN r; END $$;
CREATE FUNCTION pg_temp.touches(source text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', k.source_key, n.name, to_char(t.occurred_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI'), o.source, nullif(o.medium, ''), nullif(o.campaign, ''), nullif(o.add_way, ''), nullif(o.qr_scene, ''), i.value, t.value), E'\n' ORDER BY k.source_key)
  FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id, customer_id, occurred_at) JOIN cdp_data.touch_kind_all n USING (kind_id) JOIN cdp_data.origin o USING (origin_id) JOIN cdp_data.identifier i USING (identifier_id)
    JOIN cdp_data.source s ON s.source_id = k.source_id WHERE s.name = touches.source $$;

-- A contact way with its state, and who came through it.
SELECT is(pg_temp.tell('chat', 'contact_way', '{"errcode": 0, "contact_way": {"config_id": "c1", "state": "spring"}}', '"c1"', '2026-03-01 09:00'), 'ok 1 0', 'a contact way lands');
SELECT is(pg_temp.tell('chat', 'contacts', pg_temp.contacts(pg_temp.contact('li', 'wmAbcdefghijklmnop-one', 'spring', 1, 1772330400, 'oUnionAbcdefghijk-one'), pg_temp.contact('li', 'wmAbcdefghijklmnop-two', 'wb:1:4285486', 1, 1772334000), pg_temp.contact('wu', 'wmAbcdefghijklmnop-one', NULL, 4, 1772337600, 'oUnionAbcdefghijk-one')), '["li", "wu"]', '2026-03-02 09:00'), 'ok 3 0', 'contacts land');
SELECT is(pg_temp.map('chat'), 3::bigint, 'and are mapped');
SELECT is(pg_temp.touches('chat'), $$contacts:["li", "wmAbcdefghijklmnop-one"] add_contact 2026-03-01 10:00 wecom spring qr_code oUnionAbcdefghijk-one
contacts:["li", "wmAbcdefghijklmnop-two"] add_contact 2026-03-01 11:00 wecom qr_code wmAbcdefghijklmnop-two
contacts:["wu", "wmAbcdefghijklmnop-one"] add_contact 2026-03-01 12:00 wecom group oUnionAbcdefghijk-one$$, 'a state that is a contact way''s is the campaign, another one is none');
SELECT is((SELECT string_agg(DISTINCT properties ->> 'state', ' ' ORDER BY properties ->> 'state') FROM cdp_data.touchpoint), 'spring wb:1:4285486', 'the claim stays among the properties');
SELECT is((SELECT count(DISTINCT cdp.customer_of(v.type, v.value)) FROM (VALUES ('external_userid', 'wmAbcdefghijklmnop-one'), ('unionid', 'oUnionAbcdefghijk-one')) v (type, value)), 1::bigint, 'identifiers of one record are one customer');
SELECT is((SELECT string_agg(concat_ws(' ', kind, rows_read, inserted, quarantined, state), ', ') FROM cdp_data.load), 'events 3 3 0 done', 'by one load of events');
SELECT is(pg_temp.map('chat'), 0::bigint, 'nothing is left');
SELECT is(pg_temp.tell('chat', 'contacts', pg_temp.contacts(pg_temp.contact('li', 'wmAbcdefghijklmnop-one', 'spring', 1, 1772330400, 'oUnionAbcdefghijk-one'), pg_temp.contact('li', 'wmAbcdefghijklmnop-two', 'wb:1:4285486', 1, 1772334000), pg_temp.contact('wu', 'wmAbcdefghijklmnop-one', NULL, 4, 1772337600, 'oUnionAbcdefghijk-one')), '["li", "wu"]', '2026-03-03 09:00') || pg_temp.map('chat'), 'ok 0 00', 'what is told again without a change is not read again');

-- A record that changes corrects its touchpoint; a contact way that is known later.
SELECT is(pg_temp.tell('chat', 'contacts', pg_temp.contacts(pg_temp.contact('li', 'wmAbcdefghijklmnop-one', 'spring', 1, 1772330400, 'oUnionAbcdefghijk-one'), pg_temp.contact('li', 'wmAbcdefghijklmnop-two', 'summer', 3, 1772334000), pg_temp.contact('wu', 'wmAbcdefghijklmnop-one', NULL, 4, 1772337600, 'oUnionAbcdefghijk-one')), '["li", "wu"]', '2026-03-04 09:00') || pg_temp.map('chat'), 'ok 0 11', 'a changed contact');
SELECT is((SELECT concat_ws(' ', inserted, corrected, unchanged) FROM cdp_data.load ORDER BY load_id DESC LIMIT 1), '0 1 0', 'is a correction');
SELECT matches(pg_temp.touches('chat'), 'wmAbcdefghijklmnop-two"\] add_contact 2026-03-01 11:00 wecom card wmAbcdefghijklmnop-two', 'its campaign is not known yet');
SELECT is(pg_temp.tell('chat', 'contact_way', '{"errcode": 0, "contact_way": {"config_id": "c2", "state": "summer"}}', '"c2"', '2026-03-05 09:00') || pg_temp.map('chat'), 'ok 1 01', 'the contact way comes: one record is read again');
SELECT matches(pg_temp.touches('chat'), 'wmAbcdefghijklmnop-two"\] add_contact 2026-03-01 11:00 wecom summer card wmAbcdefghijklmnop-two', 'now it is known');
SELECT is(pg_temp.map('chat'), 0::bigint, 'and not read over and over');
SELECT is((SELECT removed || ' ' || restored FROM cdp_data.load l, cdp.revert_load(l.load_id) WHERE l.load_id = (SELECT max(load_id) FROM cdp_data.load)), '1 1', 'a load of the mapping is taken back like any other');
SELECT matches(pg_temp.touches('chat'), 'wmAbcdefghijklmnop-two"\] add_contact 2026-03-01 11:00 wecom card wmAbcdefghijklmnop-two', 'with what it said');
-- A contact that is told no more.
SELECT is(pg_temp.tell('chat', 'contacts', pg_temp.contacts(pg_temp.contact('li', 'wmAbcdefghijklmnop-one', 'spring', 1, 1772330400, 'oUnionAbcdefghijk-one')), '["li", "wu"]', '2026-03-06 09:00') || pg_temp.map('chat'), 'ok 0 01', 'who is told no more');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), 3::bigint, 'was added all the same');

-- A contact way that only a replay brings.
SELECT pg_temp.tell('chat', 'contact_way', '{"errcode": 0, "contact_way": {"config_id": "c9", "state": "autumn"}}', '"c9"', '2026-03-07 09:00'), pg_temp.tell('chat', 'contact_way', '{"errcode": 0, "contact_way": {"config_id": "c8", "state": "other"}}', '"c8"', '2026-03-07 09:01') \g /dev/null
DELETE FROM cdp_data.raw_record WHERE record_key = 'c9';
SELECT is(pg_temp.tell('chat', 'contacts', pg_temp.contacts(pg_temp.contact('mo', 'wmAbcdefghijklmnop-mo', 'autumn', 1, 1772334000)), '["mo"]', '2026-03-07 09:00') || pg_temp.map('chat'), 'ok 1 01', 'a claim that nobody knows');
SELECT count(cdp.replay_page(r.page_id)) FROM cdp_data.raw_page r WHERE r.part = 'c9' \g /dev/null
SELECT is(pg_temp.map('chat') || pg_temp.q($$SELECT o.campaign FROM cdp_data.touchpoint t JOIN cdp_data.origin o USING (origin_id) WHERE t.properties ->> 'state' = 'autumn'$$), '1autumn', 'is known after the replay');

-- A QR scene; who left has no touchpoint.
SELECT is(pg_temp.tell('oa', 'user_info', '{"user_info_list": [{"subscribe": 1, "openid": "oOpenAbcdefghijklm-a", "unionid": "oUnionAbcdefghijk-one", "subscribe_time": 1772416800, "subscribe_scene": "ADD_SCENE_QR_CODE", "qr_scene": 7, "qr_scene_str": "poster-7"}, {"subscribe": 0, "openid": "oOpenAbcdefghijklm-b"}, {"subscribe": 1, "openid": "oOpenAbcdefghijklm-c"}]}', '["oOpenAbcdefghijklm-a", "oOpenAbcdefghijklm-b", "oOpenAbcdefghijklm-c"]', '2026-03-03 09:00') || pg_temp.map('oa'), 'ok 3 03', 'followers');
SELECT is(pg_temp.touches('oa'), 'user_info:oOpenAbcdefghijklm-a follow 2026-03-02 10:00 wechat_oa ADD_SCENE_QR_CODE poster-7 oUnionAbcdefghijk-one', 'a follower by a QR code has its scene');
SELECT is(cdp.customer_of('openid', 'oOpenAbcdefghijklm-a'), cdp.customer_of('external_userid', 'wmAbcdefghijklmnop-one'), 'and is the contact of WeCom, by unionid');
SELECT is((SELECT string_agg(concat_ws(' ', record_key, what, n, code), ', ') FROM cdp_data.map_refused), 'oOpenAbcdefghijklm-c touchpoint 1 no_time', 'who has no time is told');
SELECT is((SELECT string_agg(detail, ', ') FROM cdp.health() WHERE finding = 'records_unmapped'), 'stream user_info of connection oa: 1 records have no_time for a touchpoint', 'also by health');
SELECT is(pg_temp.tell('oa', 'user_info', '{"user_info_list": [{"subscribe": 1, "openid": "oOpenAbcdefghijklm-c", "subscribe_time": 1772420400}]}', '["oOpenAbcdefghijklm-c"]', '2026-03-04 09:00') || pg_temp.map('oa') || pg_temp.q('SELECT count(*) FROM cdp_data.map_refused'), 'ok 0 110', 'until it is mended');

-- An order with its live and its sharer, and its refund.
SELECT is(pg_temp.tell('shop', 'order', '{"errcode": 0, "order": {"order_id": "3704612354559743232", "openid": "oShopAbcdefghijklm-1", "unionid": "oUnionAbcdefghijk-one", "create_time": 1772420000, "order_detail": {"pay_info": {"pay_time": 1772420400}, "price_info": {"order_price": 10500}, "ext_info": {"finder_id": "sph3", "live_id": "live-9", "order_scene": 2}, "sharer_info": {"sharer_openid": "oSharerAbcdefghijk-1", "sharer_unionid": "oUnionAbcdefghijk-two"}}}}', '"3704612354559743232"', '2026-03-03 09:00')
  || pg_temp.tell('shop', 'aftersale', '{"errcode": 0, "after_sale_order": {"after_sale_order_id": "2000000000001", "order_id": "3704612354559743232", "openid": "oShopAbcdefghijklm-1", "status": "MERCHANT_REFUND_SUCCESS", "create_time": 1772424000, "update_time": 1772424000, "refund_info": {"amount": 500}}}', '"2000000000001"', '2026-03-03 09:01'), 'ok 1 0ok 1 0', 'an order and a refund');
SELECT is(pg_temp.map('shop'), 2::bigint, 'are mapped');
SELECT is(pg_temp.touches('shop'), E'2000000000001 refund 2026-03-02 12:00 wechat_channels oShopAbcdefghijklm-1 -5.000000\n3704612354559743232 order 2026-03-02 11:00 wechat_channels live-9 oUnionAbcdefghijk-one 105.000000', 'with money in yuan, and the live');
SELECT is((SELECT t.refers_to = k.touchpoint_id FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k ON k.source_key = '3704612354559743232' WHERE t.refers_to IS NOT NULL), true, 'the refund finds its order');
SELECT is((SELECT concat_ws(' ', properties ->> 'live_id', properties ->> 'sharer_openid', properties ->> 'sharer_unionid', currency) FROM cdp_data.touchpoint WHERE properties ? 'live_id'), 'live-9 oSharerAbcdefghijk-1 oUnionAbcdefghijk-two CNY', 'live and sharer');

-- Contents, of several streams; a message has no headline.
SELECT pg_temp.tell('chat', 'service_messages', '{"errcode": 0, "has_more": 0, "next_cursor": "c", "msg_list": [{"msgid": "m1", "external_userid": "wmAbcdefghijklmnop-two", "send_time": 1772420400, "origin": 3, "msgtype": "text", "text": {"content": "hello there"}}, {"msgid": "m2", "external_userid": "wmAbcdefghijklmnop-two", "servicer_userid": "li", "send_time": 1772420500, "origin": 5, "text": {"content": "good day"}}, {"origin": 4}]}', '"wk1"', '2026-03-03 09:00') \g /dev/null
UPDATE cdp_data.connection SET config = config || '{"open_kfids": ["wk1"]}' WHERE name = 'chat';
SELECT is(pg_temp.tell('oa', 'articles', '{"total_count": 1, "item_count": 1, "item": [{"article_id": "a1", "update_time": 1772420400, "content": {"news_item": [{"title": "Spring", "author": "Wu", "digest": "It is here", "url": "https://mp.example/a1"}]}}]}', NULL, '2026-03-03 09:00') || pg_temp.map('oa') || ' ' || pg_temp.map('chat'), 'ok 1 01 6', 'messages and articles');
SELECT is((SELECT string_agg(concat_ws(' ', kind, content_id, coalesce(headline, '-'), coalesce(link, '-'), author, body, parent_id, created_at AT TIME ZONE 'Asia/Shanghai'), E'\n' ORDER BY kind, content_id) FROM cdp_data.content),
  E'message m1 - - hello there wmAbcdefghijklmnop-two 2026-03-02 11:00:00\nmessage m2 - - li good day wmAbcdefghijklmnop-two 2026-03-02 11:01:40\npost a1 Spring https://mp.example/a1 Wu It is here 2026-03-02 11:00:00', 'are contents');
SELECT is((SELECT string_agg(concat_ws(' ', connection, content_kind, content_id, headline), ', ' ORDER BY content_id) FROM cdp_bi.channel_content), 'oa post a1 Spring, chat message m1, chat message m2', 'shown without what people wrote');
SELECT matches(pg_temp.touches('chat'), 'm1 message_received 2026-03-02 11:00 wecom service_chat wmAbcdefghijklmnop-two', 'who wrote was in touch');
SELECT is(pg_temp.tell('oa', 'articles', '{"total_count": 1, "item_count": 1, "item": [{"article_id": "a1", "update_time": 1772420400, "content": {"news_item": [{"title": "Spring!", "digest": "It is here"}]}}]}', NULL, '2026-03-04 09:00') || pg_temp.map('oa') || pg_temp.q($$SELECT concat_ws(' ', title, author, url) FROM cdp_data.content WHERE kind = 'post'$$), 'ok 0 11Spring! Wu https://mp.example/a1', 'what was said last counts, what it leaves out stays');
UPDATE cdp_data.setting SET content_retention = '1 day';
CALL cdp_internal.maintain_room_mapping();
SELECT is((SELECT count(*) FROM cdp_data.content), 0::bigint, 'contents go with their retention');

-- States: shadow means contents and no touchpoints; they follow when it is live.
UPDATE cdp_data.connection SET state = 'shadow' WHERE name = 'shop';
SELECT is(pg_temp.tell('shop', 'order', '{"errcode": 0, "order": {"order_id": "71", "openid": "oShopAbcdefghijklm-1", "create_time": 1772420000, "order_detail": {"pay_info": {"pay_time": 1772420401}, "price_info": {"order_price": 1}}}}', '"71"', '2026-03-05 09:00') || pg_temp.map('shop') || pg_temp.q($$SELECT count(*) FROM cdp_data.touchpoint_key WHERE source_key = '71'$$), 'ok 1 000', 'in shadow nothing becomes a touchpoint');
UPDATE cdp_data.connection SET state = 'live' WHERE name = 'shop';
SELECT is(pg_temp.map('shop') || ' ' || pg_temp.q($$SELECT count(*) FROM cdp_data.touchpoint_key WHERE source_key = '71'$$), '1 1', 'live, all of it does');
SELECT cdp.suspend_connection('shop', 'a pause') \g /dev/null
SELECT is(pg_temp.map('shop'), 0::bigint, 'suspended nothing is read');
UPDATE cdp_data.connection SET state = 'live', suspended_from = NULL, suspended_revision = NULL, suspended_binding = NULL WHERE name = 'shop';

-- A manifest that changes; a replay.
CREATE FUNCTION pg_temp.own(kind text) RETURNS text LANGUAGE sql AS $$ SELECT cdp.add_connector(jsonb_build_object('connector', 'my_app', 'version', 1, 'base_url', 'https://app.example', 'tz', 'UTC', 'streams', jsonb_build_object('acts',
  jsonb_build_object('path', '/acts', 'records', '$[*]', 'key', '["id"]'::jsonb, 'touchpoint', jsonb_build_array(
    jsonb_build_object('kind', kind, 'occurred_at', '{"path": "at", "format": "iso"}'::jsonb, 'identifiers', '{"email": "mail"}'::jsonb), jsonb_build_object('kind', 'click', 'occurred_at', '{"path": "at2", "format": "iso"}'::jsonb, 'identifiers', '{"nobody": "mail"}'::jsonb)))))) $$;
SELECT pg_temp.own('visit'), cdp.add_source('app'), cdp.create_connection('app', 'my_app', '{}', 'app') \g /dev/null
UPDATE cdp_data.connection SET state = 'live' WHERE name = 'app';
SELECT is(pg_temp.tell('app', 'acts', (SELECT jsonb_agg(jsonb_build_object('id', i, 'at', '2026-03-01T10:00:00Z', 'at2', '2026-03-01T10:00:00Z', 'mail', format('p%s@app.example', i))) FROM generate_series(1, 25) i), NULL, '2026-03-03 09:00') || ' ' || pg_temp.map('app'), 'ok 25 0 25', 'a connector of one''s own');
SELECT is((SELECT count(*) || ' ' || min(k.source_key) || ' ' || (SELECT string_agg(DISTINCT n || ' ' || code, ', ') FROM cdp_data.map_refused) FROM cdp_data.touchpoint_key k JOIN cdp_data.source s USING (source_id) WHERE s.name = 'app'), '25 acts:1 2 no_identifier', 'an identifier type that nobody knows identifies nobody');
SELECT pg_temp.own('page_view') \g /dev/null
SELECT is(pg_temp.map('app') || ' ' || pg_temp.q('SELECT concat_ws('' '', inserted, corrected) FROM cdp_data.load ORDER BY load_id DESC LIMIT 1'), '25 0 25', 'another manifest corrects all that it says otherwise');
SELECT is(pg_temp.tell('app', 'acts', '[{"id": 30, "mail": "p30@app.example", "at": "2026-03-01T10:00:00Z"}]', NULL, '2026-03-04 09:00') || pg_temp.map('app'), 'ok 1 01', 'another page');
SELECT cdp.replay_page(min(r.page_id)) FROM cdp_data.raw_page r JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'app' \g /dev/null
SELECT is((SELECT page_id < (SELECT max(page_id) FROM cdp_data.raw_page) FROM cdp_data.map_progress p JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'app'), true, 'a replay sets the mapping back');
SELECT is((pg_temp.map('app') > 0) || pg_temp.q('SELECT concat_ws('' '', inserted, corrected, unchanged > 0) FROM cdp_data.load ORDER BY load_id DESC LIMIT 1'), 'true0 0 t', 'and what is the same changes nothing');
-- A source with a contract of its own.
SELECT cdp.declare_contract('app', 'event', '[{"field": "x", "target": "touchpoint kind"}, {"field": "k", "target": "touchpoint source_key"}, {"field": "t", "target": "touchpoint occurred_at"}, {"field": "e", "target": "identifier email"}]') \g /dev/null
SELECT pg_temp.tell('app', 'acts', '[{"id": 31, "mail": "p31@app.example", "at": "2026-03-01T10:00:00Z"}]', NULL, '2026-03-05 09:00') \g /dev/null
SELECT throws_ok($$SELECT pg_temp.map('app')$$, '55000', 'source "app" has a contract for events', 'would be read by two rules');
DELETE FROM cdp_data.source_field;
DELETE FROM cdp_data.source_contract;
SELECT throws_ok($$SELECT cdp_internal.map_some(1, 0)$$, '22023', NULL, 'no records at a time');
CALL cdp.map_records();
SELECT is((SELECT sum(cdp_internal.map_left(connection_id)) FROM cdp_data.connection), 0::numeric, 'the job maps all connections');
SELECT is((SELECT count(*) FROM cdp_data.job WHERE name = 'map_records'), 1::bigint, 'and is on the list');
SELECT throws_ok($$SELECT cdp_data.records_map('nobody', 1)$$, '22023', NULL, 'an unknown connection');

-- The grammar of claims.
CREATE FUNCTION pg_temp.claim(VARIADIC campaigns jsonb[]) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(concat_ws(' ', p.path, p.code), ', ' ORDER BY p.path COLLATE "C") FROM cdp.connector_problems(jsonb_build_object('connector', 'my_claims', 'version', 1, 'base_url', 'https://app.example', 'streams', jsonb_build_object(
  'ways', '{"path": "/ways", "records": "$[*]", "key": ["id"]}'::jsonb, 'more', '{"path": "/more", "records": "$[*]", "key": ["id"]}'::jsonb, 'acts', jsonb_build_object('path', '/acts', 'records', '$[*]', 'key', '["id"]'::jsonb,
    'touchpoint', (SELECT jsonb_agg(jsonb_build_object('kind', 'visit', 'occurred_at', 'at', 'identifiers', '{"email": "mail"}'::jsonb, 'origin', jsonb_build_object('campaign', c))) FROM unnest(campaigns) c))))) p $$;
SELECT is(pg_temp.claim('{"path": "s", "known": {"stream": "ways", "value": "state"}}', '{"path": "t", "known": {"stream": "ways", "value": "b"}}', '"fix"', '{"path": "t", "map": {"a": "b"}}'), NULL, 'campaigns that another stream knows');
SELECT is(pg_temp.claim('{"path": "s", "known": {"stream": "wayz", "value": "state"}}'), 'streams.acts.touchpoint[0].origin.campaign.known.stream unknown_reference', 'of a stream that is not there');
SELECT is(pg_temp.claim('{"path": "s", "known": {"stream": "ways"}}', '{"path": "s", "default": "x", "map": {"a": "b"}, "known": {"stream": "more", "value": "state"}}'),
  'streams.acts.touchpoint[0].origin.campaign.known.value missing_key, streams.acts.touchpoint[1].origin.campaign.default conflict, streams.acts.touchpoint[1].origin.campaign.known.stream conflict, streams.acts.touchpoint[1].origin.campaign.map conflict', 'without a value, of two streams, changed');

-- The twin: random pages of contacts, mapped at random moments in small steps, against what the last page about each says.
SELECT setseed(0.2026);
CREATE TABLE told (who text, staff text, state text, way integer, at bigint, seq serial);
SELECT cdp.add_source('twin'), cdp.create_connection('twin', 'wecom', '{"corpid": "ww2"}', 'twin') \g /dev/null
UPDATE cdp_data.connection SET state = 'live' WHERE name = 'twin';
DO $$
DECLARE ways text[] := '{}'; c jsonb[]; i integer;
BEGIN
  FOR round IN 1..40 LOOP
    IF random() < 0.2 THEN
      ways := ways || ('s' || (random() * 9)::integer);
      PERFORM pg_temp.tell('twin', 'contact_way', jsonb_build_object('errcode', 0, 'contact_way', jsonb_build_object('config_id', 'w' || round, 'state', ways[cardinality(ways)])), to_jsonb('w' || round), to_char(timestamp '2026-04-01' + round * interval '1 hour', 'YYYY-MM-DD HH24:MI'));
    ELSE
      WITH made AS (INSERT INTO told (who, staff, state, way, at) SELECT DISTINCT ON (w) 'wmAbcdefghijklmnopq-' || w, 'staff', 's' || (random() * 9)::integer, (random() * 3)::integer, 1772330400 + (random() * 3)::integer * 60 FROM (SELECT (random() * 30)::integer AS w FROM generate_series(1, 8)) x RETURNING *)
      SELECT array_agg(pg_temp.contact(staff, who, state, way, at)) INTO c FROM made;
      PERFORM cdp.ingest_page('twin', 'contacts', convert_to(jsonb_build_object('errcode', 0, 'external_contact_list', to_jsonb(c), 'next_cursor', 'more' || round)::text, 'UTF8'), '["staff"]', fetched_at => (timestamp '2026-04-01' + round * interval '1 hour') AT TIME ZONE 'Asia/Shanghai');
    END IF;
    IF random() < 0.4 THEN
      PERFORM pg_temp.map('twin', 1 + (random() * 5)::integer);
    END IF;
  END LOOP;
  PERFORM pg_temp.map('twin');
END $$;
CREATE VIEW theirs AS SELECT 'contacts:["staff", "' || who || '"]' AS key, to_timestamp(at) AS at, CASE way WHEN 0 THEN 'unknown' WHEN 1 THEN 'qr_code' WHEN 2 THEN 'mobile_search' ELSE 'card' END AS way,
    CASE WHEN EXISTS (SELECT FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'twin' AND s.name = 'contact_way' AND r.payload ->> 'state' = t.state) THEN state ELSE '' END AS campaign, who
  FROM (SELECT DISTINCT ON (who) * FROM told ORDER BY who, seq DESC) t;
CREATE VIEW ours AS SELECT k.source_key AS key, t.occurred_at AS at, o.add_way AS way, o.campaign, i.value AS who FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id, customer_id, occurred_at) JOIN cdp_data.origin o USING (origin_id) JOIN cdp_data.identifier i USING (identifier_id)
  JOIN cdp_data.source s ON s.source_id = k.source_id WHERE s.name = 'twin';
SELECT is_empty('(TABLE ours EXCEPT ALL TABLE theirs) UNION ALL (TABLE theirs EXCEPT ALL TABLE ours)', 'touchpoints are what the last page about each contact says, and what is known');
SELECT ok((SELECT count(*) > 20 AND count(DISTINCT campaign) > 3 AND bool_or(campaign = '') FROM ours), 'of all sorts');
SELECT * FROM finish();
