-- Callbacks of a connection: published examples, what is refused, what comes twice, whom it names, what it makes worth asking again.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'America/New_York';
SELECT cdp.add_source('chat'), cdp.add_source('oa'), cdp.add_source('shop'), cdp.create_connection('chat', 'wecom', '{"corpid": "wx5823bf96d3bd56c7"}', 'chat'),
  cdp.create_connection('oa', 'wechat_oa', '{"appid": "wxba5fad812f8e6fb9"}', 'oa'), cdp.create_connection('shop', 'channels_shop', '{"appid": "wx9"}', 'shop'), cdp.create_connection('mini', 'mini_program', '{"appid": "wx8"}', 'oa') \g /dev/null
SELECT cdp.set_secret('chat', 'callback_token', 'QDG6eK'), cdp.set_secret('chat', 'callback_key', 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C'),
  cdp.set_secret('oa', 'callback_token', 'AAAAA'), cdp.set_secret('shop', 'callback_token', 'shoptoken'), cdp.set_secret('shop', 'callback_key', 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C') \g /dev/null
SELECT connection_id AS chat FROM cdp_data.connection WHERE name = 'chat' \gset
SELECT connection_id AS oa FROM cdp_data.connection WHERE name = 'oa' \gset

-- What a platform posts: sealed and signed; at is when it does, seen seconds later.
CREATE FUNCTION pg_temp.sealed(message text, nonce text, receiver text DEFAULT 'wx5823bf96d3bd56c7') RETURNS text LANGUAGE sql AS $$
  SELECT cdp_internal.known_callback_seal('jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C', receiver, decode(md5(nonce), 'hex'), message) $$;
CREATE FUNCTION pg_temp.post(connection text, token text, message text, nonce text, receiver text DEFAULT 'wx5823bf96d3bd56c7', at bigint DEFAULT 1800000000, seconds integer DEFAULT 1, form text DEFAULT '<xml><ToUserName>x</ToUserName><Encrypt><![CDATA[%s]]></Encrypt></xml>') RETURNS text LANGUAGE sql AS $$
  SELECT convert_from(cdp_internal.take_callback(connection, cdp_internal.known_callback_signature(token, at::text, nonce, s.cipher), at::text, nonce, convert_to(format(form, s.cipher), 'UTF8'), NULL, NULL, to_timestamp(at + seconds)), 'UTF8')
  FROM (SELECT pg_temp.sealed(message, nonce, receiver) AS cipher) s $$;
CREATE FUNCTION pg_temp.chat(message text, nonce text, seconds integer DEFAULT 1) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.post('chat', 'QDG6eK', message, nonce, seconds => seconds) $$;
-- And not encrypted.
CREATE FUNCTION pg_temp.plain(connection text, token text, message text, nonce text, at bigint DEFAULT 1800000000) RETURNS text LANGUAGE sql AS $$
  SELECT convert_from(cdp_internal.take_callback(connection, NULL, at::text, nonce, convert_to(message, 'UTF8'), NULL, cdp_internal.known_callback_signature(token, at::text, nonce, ''), to_timestamp(at + 1)), 'UTF8') $$;
CREATE FUNCTION pg_temp.refused(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; m text; s text;
BEGIN
  EXECUTE sql;
  RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, m = MESSAGE_TEXT, s = RETURNED_SQLSTATE;
  RETURN concat_ws(' ', s, m || ':', nullif(d, ''));
END $$;
CREATE FUNCTION pg_temp.wishes() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', c.name, stream, nullif(part, ''), reason), ', ' ORDER BY c.name, stream, part) FROM cdp_data.stream_wish JOIN cdp_data.connection c USING (connection_id) $$;

-- Published examples.
SELECT is(convert_from(cdp_internal.take_callback('chat', '477715d11cdb4164915debcba66cb864d751f3e6', '1409659813', '1372623149', convert_to('<xml><ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName><Encrypt><![CDATA[RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q==]]></Encrypt></xml>', 'UTF8'), NULL, NULL, to_timestamp(1409659813)), 'UTF8'), 'success', 'the published example of WeCom is taken');
SELECT is((SELECT concat_ws(' ', state, event, encrypted, doc ->> 'Content', signed_at AT TIME ZONE 'UTC') FROM cdp_data.callback), 'new text t hello 2014-09-02 12:10:13', 'opened and kept');
SELECT is(convert_from(cdp_internal.take_callback('oa', NULL, '1714036504', '1514711492', NULL, '4375120948345356249', 'f464b24fc39322e44b38aa78f5edd27bd1441696', to_timestamp(1714036510)), 'UTF8'), '4375120948345356249', 'the published check of an address by WeChat is answered as it asks');
SELECT is(cdp_internal.check_callback(:oa, '899cf89e464efb63f54ddac96b0a0a235f53aa78', '1714037059', '486452656'), true, 'and the signature of its published message is right');
SELECT is((SELECT count(*) FROM cdp_data.callback), 1::bigint, 'a check of an address leaves nothing');
SELECT is((SELECT convert_from(cdp_internal.take_callback('chat', cdp_internal.known_callback_signature('QDG6eK', '1800000000', 'n', c), '1800000000', 'n', NULL, c, NULL, to_timestamp(1800000300)), 'UTF8') FROM pg_temp.sealed('1616140317555161061', 'n') c), '1616140317555161061', 'a check of an address by WeCom is decrypted');
DELETE FROM cdp_data.callback;
-- Who listened to a message could else have it decrypted as a check of the address.
SELECT is((SELECT pg_temp.refused(format('SELECT cdp_internal.take_callback(%L, %L, %L, %L, NULL, %L, NULL, to_timestamp(1800000001))', 'chat', cdp_internal.known_callback_signature('QDG6eK', '1800000000', 'n', c), '1800000000', 'n', c))),
  '28000 callback refused: echostr is a message', 'a message is no check of an address: ' || m) FROM unnest(ARRAY['<xml><Event>x</Event></xml>', ' {"a": 1}', repeat('7', 101)]) m, pg_temp.sealed(m, 'n') c;

-- What is refused, and that nobody is told why but in the detail.
SELECT is(pg_temp.refused(sql), '28000 callback refused: ' || why, why) FROM (VALUES
  ($$SELECT pg_temp.post('chit', 'QDG6eK', '<xml><a>b</a></xml>', 'r1')$$, 'there is no such connection'),
  ($$SELECT pg_temp.post('mini', 'QDG6eK', '<xml><a>b</a></xml>', 'r1')$$, 'the connection is not set up for callbacks: its connector must have them, and it needs the secret callback_token'),
  ($$SELECT pg_temp.post('chat', 'QDG6eL', '<xml><a>b</a></xml>', 'r1')$$, 'wrong signature'),
  ($$SELECT pg_temp.post('chat', 'QDG6eK', '<xml><a>b</a></xml>', 'r1', 'wx5823bf96d3bd56c8')$$, 'wrong receiver'),
  ($$SELECT pg_temp.chat('<xml><a>b</a></xml>', 'r1', 301)$$, 'it was signed -301 seconds from now; at most 300 are taken'),
  ($$SELECT pg_temp.chat('<xml><a>b</a></xml>', 'r1', -301)$$, 'it was signed 301 seconds from now; at most 300 are taken'),
  ($$SELECT pg_temp.plain('chat', 'QDG6eK', '<xml><a>b</a></xml>', 'r1')$$, 'it is not encrypted, or not signed, or the connection has no secret callback_key'),
  ($$SELECT pg_temp.plain('shop', 'shoptoken', '<xml><a>b</a></xml>', 'r1')$$, 'it is not encrypted, or not signed, or the connection has no secret callback_key'),
  ($$SELECT pg_temp.post('chat', 'QDG6eK', '<xml><a>b</a></xml>', 'r1', form => '<xml><Encrypt>%1$s</Encrypt><Encrypt>%1$s</Encrypt></xml>')$$, 'it is not encrypted, or not signed, or the connection has no secret callback_key'),
  ($$SELECT pg_temp.plain('oa', 'AAAAB', '<xml><a>b</a></xml>', 'r1')$$, 'wrong signature'),
  ($$SELECT pg_temp.plain('oa', 'AAAAA', '<xml><Encrypt>AAAA</Encrypt></xml>', 'r1')$$, 'it is encrypted, and the connection has no secret callback_key, or echostr has more than 1000 bytes'),
  ($$SELECT cdp_internal.take_callback('oa', NULL, '1714036504', '1514711492', NULL, repeat('x', 1001), 'f464b24fc39322e44b38aa78f5edd27bd1441696', to_timestamp(1714036510))$$, 'it is encrypted, and the connection has no secret callback_key, or echostr has more than 1000 bytes'),
  ($$SELECT cdp_internal.take_callback('oa', NULL, '1714036504', '1514711492', NULL, '1', NULL, to_timestamp(1714036510))$$, 'wrong signature'),
  ($$SELECT cdp_internal.take_callback('chat', NULL, '1714036504', '1514711492', NULL, '1', 'f464b24fc39322e44b38aa78f5edd27bd1441696', to_timestamp(1714036510))$$, 'it is not encrypted, or not signed, or the connection has no secret callback_key'),
  ($$SELECT cdp_internal.take_callback('oa', NULL, NULL, 'n', 'x', NULL, 's', now())$$, 'timestamp or nonce is missing or none'),
  ($$SELECT cdp_internal.take_callback('oa', NULL, '1e9', 'n', 'x', NULL, 's', now())$$, 'timestamp or nonce is missing or none'),
  ($$SELECT cdp_internal.take_callback('oa', NULL, '999999999999', 'n', 'x', NULL, 's', now())$$, 'timestamp or nonce is missing or none'),
  ($$SELECT cdp_internal.take_callback('oa', NULL, '1', NULL, 'x', NULL, 's', now())$$, 'timestamp or nonce is missing or none'),
  ($$SELECT cdp_internal.take_callback(NULL, NULL, '1', NULL, 'x', NULL, 's', now())$$, 'there is no such connection')) AS v (sql, why);
SELECT throws_ok($$SELECT cdp_internal.take_callback('oa', NULL, '1800000000', 'n', NULL, NULL, 's', to_timestamp(1800000000))$$, '22004', NULL, 'neither body nor echostr');
SELECT throws_ok($$SELECT cdp_internal.take_callback('oa', NULL, '1800000000', 'n', convert_to(repeat('x', 4194305), 'UTF8'), NULL, 's', to_timestamp(1800000000))$$, '54000', NULL, 'more than 4 MiB');
SELECT is((SELECT count(*) FROM cdp_data.callback), 0::bigint, 'nothing of it is kept');

-- What comes twice.
SELECT is(pg_temp.chat('<xml><MsgType>event</MsgType><Event><![CDATA[change_external_contact]]></Event><ChangeType>add_external_contact</ChangeType><UserID>li</UserID><ExternalUserID>wm1</ExternalUserID><CreateTime>5</CreateTime></xml>', 'n1'), 'success', 'a message');
SELECT is(pg_temp.chat('<xml><MsgType>event</MsgType><Event><![CDATA[change_external_contact]]></Event><ChangeType>add_external_contact</ChangeType><UserID>li</UserID><ExternalUserID>wm1</ExternalUserID><CreateTime>5</CreateTime></xml>', 'n1', 200), 'success', 'the same request again is answered as the first');
SELECT is(pg_temp.chat('<xml> <Event>change_external_contact</Event><MsgType>event</MsgType><ChangeType>add_external_contact</ChangeType><UserID>li</UserID><ExternalUserID>wm1</ExternalUserID><CreateTime>5</CreateTime></xml>', 'n2'), 'success', 'so is a message that is pushed anew');
SELECT is((SELECT string_agg(event, ',') FROM cdp_data.callback), 'change_external_contact/add_external_contact', 'and is one');
SELECT is(pg_temp.chat('<xml><MsgType>event</MsgType><Event><![CDATA[change_external_contact]]></Event><ChangeType>add_external_contact</ChangeType><UserID>li</UserID><ExternalUserID>wm2</ExternalUserID><CreateTime>5</CreateTime></xml>', 'n3'), 'success', 'another contact in the same second');
SELECT is((SELECT count(*) FROM cdp_data.callback), 2::bigint, 'is another message');
SELECT is(pg_temp.plain('oa', 'AAAAA', '<xml><FromUserName>o1</FromUserName><MsgType>text</MsgType><MsgId>77</MsgId><Content>one</Content></xml>', 'p1')
  || pg_temp.plain('oa', 'AAAAA', '<xml><FromUserName>o1</FromUserName><MsgType>text</MsgType><MsgId>77</MsgId><Content>one </Content></xml>', 'p2') || pg_temp.plain('oa', 'AAAAA', '<xml><FromUserName>o1</FromUserName><MsgType>text</MsgType><MsgId>78</MsgId><Content>one</Content></xml>', 'p3'), 'successsuccesssuccess', 'messages with numbers');
SELECT is((SELECT string_agg(doc ->> 'MsgId', ' ' ORDER BY callback_id) FROM cdp_data.callback WHERE NOT encrypted), '77 78', 'are told apart by them');
SELECT is(pg_temp.refused($$SELECT pg_temp.plain('oa', 'AAAAA', '<xml><FromUserName>o2</FromUserName><MsgType>event</MsgType><Event>subscribe</Event></xml>', 'p1')$$), '28000 callback refused: its signature came before, with another message', 'a signature that does not cover its message serves for one');
SELECT is(pg_temp.plain('oa', 'AAAAA', '<xml><FromUserName>o1</FromUserName><MsgType>text</MsgType><MsgId>77</MsgId><Content>one</Content></xml>', 'p1'), 'success', 'and for that one again');

-- Unread ones are kept, too.
SELECT is(pg_temp.chat('<xml><Event>broken', 'u1') || pg_temp.chat('nothing at all', 'u2'), 'successsuccess', 'messages that nobody can read');
SELECT is((SELECT string_agg(concat_ws(' ', state, convert_from(message, 'UTF8'), problem), ', ' ORDER BY callback_id) FROM cdp_data.callback WHERE doc IS NULL),
  'unread <xml><Event>broken not XML at byte 18: the message ends within an element, unread nothing at all not XML at byte 0: an element must begin here', 'are kept with what is wrong');

-- What is asked again.
SELECT is(cdp_internal.process_callbacks(1), 1::bigint, 'the oldest is looked at');
SELECT is(pg_temp.wishes(), 'chat contacts li callback change_external_contact/add_external_contact', 'its staff is asked again');
SELECT is(cdp_internal.process_callbacks(), 3::bigint, 'then the others');
SELECT is(cdp_internal.process_callbacks(), 0::bigint, 'and no more');
SELECT is((SELECT string_agg(concat_ws(' ', n, state, processed), ', ' ORDER BY state) FROM (SELECT count(*) AS n, state, bool_and(processed_at IS NOT NULL) AS processed FROM cdp_data.callback GROUP BY state) x), '2 ignored t, 2 unread f, 2 wished t', 'messages of people are no wish');
DELETE FROM cdp_data.stream_wish;
SELECT count(pg_temp.chat(m, 'w' || n)) FROM unnest(ARRAY[
  '<xml><Event>change_external_chat</Event><ChatId>wr1</ChatId><ChangeType>create</ChangeType></xml>', '<xml><Event>change_external_chat</Event><ChatId>wr2</ChatId><ChangeType>update</ChangeType><UpdateDetail>add_member</UpdateDetail></xml>',
  '<xml><Event>change_external_chat</Event><ChatId>wr3</ChatId><ChangeType>dismiss</ChangeType></xml>', '<xml><Event>kf_msg_or_event</Event><Token>ENC</Token><OpenKfId>wk1</OpenKfId></xml>',
  '<xml><Event>customer_acquisition</Event><ChangeType>friend_request</ChangeType><LinkId>caw1</LinkId></xml>', '<xml><Event>customer_acquisition</Event><ChangeType>balance_low</ChangeType></xml>',
  '<xml><Event>living_status_change</Event><LivingId>lv1</LivingId><Status>1</Status></xml>', '<xml><Event>change_external_contact</Event><ChangeType>edit_external_contact</ChangeType></xml>', '{"Event": "change_external_contact", "ChangeType": "del_follow_user", "UserID": "wu"}']) WITH ORDINALITY AS t (m, n) \g /dev/null
SELECT is(pg_temp.post('shop', 'shoptoken', m, 's' || n, 'wx9', form => '{"ToUserName": "gh_1", "Encrypt": "%s"}'), 'success', 'a message in JSON') FROM unnest(ARRAY[
  '{"ToUserName": "gh_1", "FromUserName": "OPENID", "CreateTime": 1662480000, "MsgType": "event", "Event": "channels_ec_order_new", "order_info": {"order_id": 3705115058471208928}}',
  '{"MsgType": "event", "Event": "channels_ec_aftersale_update", "finder_shop_aftersale_status_update": {"status": "USER_WAIT_RETURN", "after_sale_order_id": "1234567", "order_id": "12345"}}']) WITH ORDINALITY AS t (m, n);
SELECT is(pg_temp.plain('oa', 'AAAAA', '<xml><FromUserName>o9</FromUserName><MsgType>event</MsgType><Event>subscribe</Event><EventKey><![CDATA[qrscene_123]]></EventKey></xml>', 'p9'), 'success', 'a new follower');
SELECT is(cdp_internal.process_callbacks(), 12::bigint, 'all of them');
SELECT is(pg_temp.wishes(), 'chat acquisition_customers caw1 callback customer_acquisition/friend_request, chat contacts wu callback change_external_contact/del_follow_user, chat groupchat_members wr1 callback change_external_chat/create, '
  'chat groupchat_members wr2 callback change_external_chat/update, chat groupchats callback change_external_chat/dismiss, chat live lv1 callback living_status_change, chat service_messages wk1 callback kf_msg_or_event, '
  'oa user_info o9 callback subscribe, shop aftersale 1234567 callback channels_ec_aftersale_update, shop order 3705115058471208928 callback channels_ec_order_new', 'what each makes worth asking again; numbers of 19 digits are whole');

-- What is too long to be asked by is nobody's wish, and stops no other.
SELECT pg_temp.chat(format('<xml><Event>change_external_contact</Event><UserID>%s</UserID></xml>', u), 'l' || n) FROM unnest(ARRAY[(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i), repeat('u', 800), 'after']) WITH ORDINALITY t (u, n) \g /dev/null
SELECT is(cdp_internal.process_callbacks(), 3::bigint, 'a part that no index could hold');
SELECT is((SELECT string_agg(concat_ws(' ', octet_length(doc ->> 'UserID'), state), ', ' ORDER BY callback_id) FROM (SELECT * FROM cdp_data.callback ORDER BY callback_id DESC LIMIT 3) k), '12800 ignored, 800 wished, 5 wished', 'is ignored');
DELETE FROM cdp_data.callback WHERE callback_id > (SELECT max(callback_id) - 3 FROM cdp_data.callback);

-- A manifest of one's own that is not good any more stops nobody.
SELECT cdp.add_connector('{"connector": "mine", "version": 1, "base_url": "https://x.example", "config": {"who": {"type": "text", "required": true}}, "secrets": {"callback_token": {}, "callback_key": {}},
  "callback": {"dialect": "wechat", "receiver": "who", "events": [{"stream": "things"}]}, "streams": {"things": {"path": "/things", "records": "$[*]", "key": ["id"]}}}') \g /dev/null
SELECT cdp.create_connection('mine', 'mine', '{"who": "me"}', 'oa'), cdp.set_secret('mine', 'callback_token', 't') \g /dev/null
SELECT pg_temp.plain('mine', 't', '<xml><a>1</a></xml>', 'm1') || pg_temp.plain('oa', 'AAAAA', '<xml><FromUserName>o10</FromUserName><MsgType>event</MsgType><Event>subscribe</Event></xml>', 'm2') \g /dev/null
UPDATE cdp_data.connector SET manifest = jsonb_set(manifest, '{streams,things,key}', '7') WHERE connector = 'mine';
SELECT is(cdp_internal.process_callbacks(), 2::bigint, 'a connector that was broken');
SELECT is((SELECT string_agg(concat_ws(' ', event, state), ', ' ORDER BY callback_id) FROM (SELECT * FROM cdp_data.callback ORDER BY callback_id DESC LIMIT 2) k), 'ignored, subscribe wished', 'stops no other');

-- States.
SELECT cdp.retire_connection('mine', 'over') \g /dev/null
SELECT is(pg_temp.refused($$SELECT pg_temp.plain('mine', 't', '<xml><a>2</a></xml>', 'm3')$$) ~ '^55000|^28000', true, 'a retired connection takes nothing');
UPDATE cdp_data.connection SET state = 'suspended', suspended_from = 'live' WHERE name = 'oa';
SELECT is(pg_temp.refused($$SELECT pg_temp.plain('oa', 'AAAAA', '<xml><a>2</a></xml>', 'm3')$$), '55000 connection "oa" is suspended:', 'nor does a suspended one');
SELECT is(pg_temp.refused($$SELECT pg_temp.plain('oa', 'AAAAB', '<xml><a>2</a></xml>', 'm3')$$), '28000 callback refused: wrong signature', 'which a stranger is not told');
UPDATE cdp_data.connection SET state = 'draft', suspended_from = NULL WHERE name = 'oa';

-- People.
SELECT cdp.identify('oa', '{"user_id": "customer-4711"}') \g /dev/null
SELECT is(pg_temp.plain('oa', 'AAAAA', '<xml><FromUserName>customer-4711</FromUserName><MsgType>text</MsgType><MsgId>90</MsgId><Content>I am customer-4711</Content></xml>', 'e1'), 'success', 'a message of somebody');
SELECT is((SELECT count(*) FROM cdp.subject_export(cdp.customer_of('user_id', 'customer-4711')) d WHERE d -> 'tables' -> 'cdp_data.callback' -> 0 -> 'doc' ->> 'MsgId' = '90'), 1::bigint, 'is in his export');
SELECT cdp.erase_customer(cdp.customer_of('user_id', 'customer-4711')) IS NOT NULL \g /dev/null
SELECT is((SELECT count(*) FROM cdp_data.callback WHERE convert_from(message, 'UTF8') ~ '4711' OR doc IS NULL), 0::bigint, 'his erasure deletes it, and what nobody can read');
SELECT is((SELECT count(*) FROM cdp_data.callback), 18::bigint, 'the others stay');
SELECT is(pg_temp.plain('oa', 'AAAAA', '<xml><FromUserName>customer-4711</FromUserName><MsgType>text</MsgType><MsgId>91</MsgId><Content>again</Content></xml>', 'e2'), 'success', 'what comes of him again is answered');
SELECT is((SELECT count(*) FROM cdp_data.callback WHERE convert_from(message, 'UTF8') ~ '4711'), 0::bigint, 'and not kept');

-- Figures, health and retention.
SELECT is((SELECT string_agg(concat_ws(' ', connection, event, messages, waiting, wished, ignored, unread), ', ' ORDER BY event) FROM cdp_bi.connection_callback WHERE connection = 'shop'), 'shop channels_ec_aftersale_update 1 0 1 0 0, shop channels_ec_order_new 1 0 1 0 0', 'what came, by event');
SELECT pg_temp.chat('<xml>', 'h1'), pg_temp.chat('<xml><a>h</a></xml>', 'h2') \g /dev/null
UPDATE cdp_data.callback SET received_at = now() - interval '61 minutes' WHERE state IN ('new', 'unread');
SELECT is((SELECT string_agg(finding || ': ' || detail, ', ' ORDER BY finding) FROM cdp.health() WHERE finding ~ '^callbacks'), 'callbacks_unread: connection chat: 1 messages of the platform could not be read, callbacks_waiting: connection chat: 1 messages of the platform wait for more than an hour', 'health tells of those that wait and those that nobody can read');
SELECT cdp.drop_secret('chat', 'callback_token'), cdp_internal.wish(:chat, 'contacts', 'a', 'callback', now() - interval '25 hours'), cdp_internal.wish(:chat, 'contacts', 'b', 'callback', now() - interval '23 hours') \g /dev/null
SELECT is((SELECT string_agg(finding || ': ' || detail, ', ' ORDER BY finding) FROM cdp.health() WHERE finding IN ('callbacks_half_set', 'wishes_waiting')), 'callbacks_half_set: connection chat has the secret callback_key and not callback_token, so that what the platform pushes is refused', 'and of a secret that is missing');
UPDATE cdp_data.connection SET state = 'shadow' WHERE name = 'chat';
SELECT is((SELECT string_agg(finding || ': ' || detail, ', ' ORDER BY finding) FROM cdp.health() WHERE finding = 'wishes_waiting'), 'wishes_waiting: stream contacts of connection chat: 1 wishes wait for more than a day', 'and of wishes that nobody grants, where somebody should');
UPDATE cdp_data.connection SET state = 'draft' WHERE name = 'chat';
UPDATE cdp_data.callback SET received_at = now() - interval '29 days';
CALL cdp_internal.maintain_room_callback();
SELECT is((SELECT count(*) FROM cdp_data.callback), 20::bigint, 'messages stay for callback_retention');
UPDATE cdp_data.setting SET callback_retention = '28 days';
CALL cdp_internal.maintain_room_callback();
SELECT is((SELECT count(*) FROM cdp_data.callback), 0::bigint, 'and go then');
SELECT throws_ok($$UPDATE cdp_data.setting SET callback_retention = '1 hour'$$, '23514', NULL, 'a message is known for a day at least');

-- Who may.
CREATE ROLE callback_gateway LOGIN;
CREATE ROLE callback_stranger LOGIN;
CALL cdp.setup(gateway => 'callback_gateway');
SET ROLE callback_gateway;
SELECT throws_ok($$SELECT cdp_api.receive_callback('chat', 's', '1', 'n', 'x')$$, '28000', NULL, 'the part gateway is heard');
SELECT throws_ok(sql, '42501', NULL, sql) FROM unnest(ARRAY['SELECT * FROM cdp_data.callback', 'SELECT * FROM cdp_data.connection', 'SELECT cdp_internal.process_callbacks()', format('SELECT cdp_internal.open_callback(%s, ''r'', ''s'', ''1'', ''n'', ''c'')', :chat),
  format('SELECT cdp_internal.check_callback(%s, ''s'', ''1'', ''n'')', :chat), 'SELECT cdp_data.page_ingest(''chat'', ''contacts'', ''x'', NULL, NULL, NULL, NULL, 200, NULL, now())', 'SELECT cdp_api.track(''chat'', ''x'', ''{}'')', 'SELECT * FROM cdp_bi.connection_callback']) sql;
SET ROLE callback_stranger;
SELECT throws_ok($$SELECT cdp.receive_callback('chat', 's', '1', 'n', 'x')$$, '42501', NULL, 'a stranger does not');
RESET ROLE;
SELECT throws_ok($$SELECT cdp.receive_callback('chat', 's', '1', 'n', 'x')$$, '28000', NULL, 'and by the name of cdp, for who may more');
SELECT is((SELECT string_agg(object_kind || ' ' || object, ', ' ORDER BY object) FROM cdp_data.grant_rule WHERE template = 'gateway'), 'SCHEMA cdp_api, FUNCTION cdp_api.receive_callback(text,text,text,text,bytea,text,text)', 'that is all that the part may do');
SELECT * FROM finish();
DROP OWNED BY callback_gateway, callback_stranger; DROP ROLE callback_gateway; DROP ROLE callback_stranger;
