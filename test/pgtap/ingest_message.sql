-- Messages in the form of the Segment specification: its own examples, times, money, orders told twice, what is refused,
-- and hostile JSON, of which nothing may raise or be lost.
SELECT plan(52);
SELECT cdp.add_source('app'), cdp.add_source('web');
CREATE TEMP TABLE told (message_id text, status text, reason text, customer_id bigint, touchpoint_id bigint, refused jsonb);
CREATE FUNCTION pg_temp.say(message jsonb, source text DEFAULT 'app') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  s text;
BEGIN
  TRUNCATE told;
  INSERT INTO told SELECT * FROM cdp.ingest(source, message);
  SELECT string_agg(t.status, ' ') INTO s FROM told t;
  RETURN s;
END $$;

-- The specification's complete examples (identify, track, page, group, alias)
SELECT is(pg_temp.say('{"anonymousId": "507f191e810c19729de860ea", "channel": "browser", "context": {"ip": "8.8.8.8", "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_5)"},
  "integrations": {"All": false, "Mixpanel": true, "Salesforce": true}, "messageId": "022bb90c-bbac-11e4-8dfc-aa07a5b093db", "receivedAt": "2015-02-23T22:28:55.387Z",
  "sentAt": "2015-02-23T22:28:55.111Z", "timestamp": "2015-02-23T22:28:55.111Z", "traits": {"name": "Peter Gibbons", "email": "peter@example.com", "plan": "premium", "logins": 5,
  "address": {"street": "6th St", "city": "San Francisco", "state": "CA", "postalCode": "94103", "country": "USA"}}, "type": "identify", "userId": "97980cfea0067", "version": "1.1"}'), 'written', 'identify');
SELECT is((SELECT count(DISTINCT cdp.customer_of(t, v)) FROM (VALUES ('user_id', '97980cfea0067'), ('anonymous_id', '507f191e810c19729de860ea'), ('email', 'peter@example.com')) x (t, v)), 1::bigint, 'its three identifiers are one customer');
SELECT is((SELECT jsonb_object_agg(a.name, v.value) FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id)),
  '{"full_name": "Peter Gibbons", "address": "6th St", "city": "San Francisco", "region": "CA", "postcode": "94103", "country": "USA"}', 'traits are attributes, the address taken apart');
SELECT is((SELECT min(first_at) FROM cdp_data.attribute_value), '2015-02-23 22:28:55.111+00', 'seen when the message happened');
SELECT is((SELECT refused FROM told), '[{"code": "unknown_attribute", "attribute": "logins"}, {"code": "unknown_attribute", "attribute": "plan"}]', 'what nothing is made of is told');
SELECT is((SELECT array_agg(field ORDER BY field) FROM cdp_data.source_unmapped), ARRAY['logins', 'plan'], 'and noted for the plan');
SELECT is(pg_temp.say('{"anonymousId": "23adfd82-aa0f-45a7-a756-24f2a7a4c895", "context": {"library": {"name": "analytics.js", "version": "2.11.1"}, "page": {"path": "/academy/",
  "referrer": "", "search": "", "title": "Analytics Academy", "url": "https://segment.com/academy/"}, "userAgent": "Mozilla/5.0", "ip": "108.0.78.21"}, "event": "Course Clicked", "integrations": {},
  "messageId": "ajs-f8ca1e4de5024d9430b3928bd8ac6b96", "properties": {"title": "Intro to Analytics"}, "receivedAt": "2015-12-12T19:11:01.266Z", "sentAt": "2015-12-12T19:11:01.169Z",
  "timestamp": "2015-12-12T19:11:01.249Z", "type": "track", "userId": "AiUGstSDIg", "originalTimestamp": "2015-12-12T19:11:01.152Z"}'), 'written', 'track');
SELECT is((SELECT (k.name, t.occurred_at AT TIME ZONE 'UTC', t.properties ->> '$event', t.properties ->> 'title', t.properties #>> '{$context,ip}')::text
  FROM told JOIN cdp_data.touchpoint t USING (touchpoint_id) JOIN cdp_data.touch_kind_all k USING (kind_id)),
  '(event,"2015-12-12 19:11:01.249","Course Clicked","Intro to Analytics",108.0.78.21)', 'with its time put right by the server, its name and its properties');
SELECT is(pg_temp.say('{"anonymousId": "507f191e810c19729de860ea", "channel": "browser", "context": {"ip": "8.8.8.8"}, "messageId": "page-1", "name": "Home",
  "properties": {"title": "Welcome | Initech", "url": "http://www.example.com"}, "receivedAt": "2015-02-23T22:28:55.387Z", "sentAt": "2015-02-23T22:28:55.111Z",
  "timestamp": "2015-02-23T22:28:55.111Z", "type": "page", "userId": "97980cfea0067", "version": "1.1"}'), 'written', 'page');
SELECT is((SELECT k.name || ' ' || (t.properties ->> 'name') FROM told JOIN cdp_data.touchpoint t USING (touchpoint_id) JOIN cdp_data.touch_kind_all k USING (kind_id)), 'page_view Home', 'is a page view');
SELECT is(pg_temp.say('{"anonymousId": "507f191e810c19729de860ea", "messageId": "group-1", "timestamp": "2015-02-23T22:28:55.111Z", "traits": {"name": "Initech", "industry": "Technology",
  "employees": 329, "plan": "enterprise", "total billed": 830}, "type": "group", "userId": "97980cfea0067", "groupId": "0e8c78ea9d97a7b8185e8632", "version": "1.1"}'), 'written', 'group');
SELECT is((SELECT (group_key, traits ->> 'name', first_at AT TIME ZONE 'UTC')::text FROM cdp.customer_groups(cdp.customer_of('user_id', '97980cfea0067'))),
  '(0e8c78ea9d97a7b8185e8632,Initech,"2015-02-23 22:28:55.111")', 'is a group of the customer, and its traits are the group''s');
SELECT is((SELECT count(*) FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) WHERE a.name = 'industry'), 0::bigint, 'not the person''s');
SELECT is(pg_temp.say('{"anonymousId": "39239-239239-239239-23923", "messageId": "anon", "type": "identify"}'), 'written', 'somebody anonymous');
SELECT is(pg_temp.say('{"anonymousId": "507f191e810c19729de860eb", "messageId": "alias-1", "previousId": "39239-239239-239239-23923", "timestamp": "2015-02-23T22:28:55.111Z", "type": "alias", "userId": "507f191e81"}'), 'written', 'alias');
SELECT is(cdp.customer_of('anonymous_id', '39239-239239-239239-23923'), cdp.customer_of('user_id', '507f191e81'), 'finds the previous id under its type');
SELECT is(pg_temp.say('{"type": "alias", "previousId": "jen@email.example", "userId": "507f191e82"}'), 'written', 'an alias of an unknown address');
SELECT is(cdp.customer_of('email', 'jen@email.example'), cdp.customer_of('user_id', '507f191e82'), 'which is taken for one');

-- The same again
CREATE TEMP TABLE counts AS SELECT (SELECT count(*) FROM cdp_data.touchpoint) t, (SELECT count(*) FROM cdp_data.link) l, (SELECT count(*) FROM cdp_data.attribute_value) a, (SELECT count(*) FROM cdp_data.change_feed) f, (SELECT count(*) FROM cdp_data.group_member) g;
SELECT is(pg_temp.say('[{"type": "page", "userId": "97980cfea0067", "messageId": "page-1"}, {"type": "group", "groupId": "x", "userId": "97980cfea0067", "messageId": "group-1"},
  {"type": "identify", "userId": "97980cfea0067", "traits": {"city": "Paris"}, "messageId": "022bb90c-bbac-11e4-8dfc-aa07a5b093db"}, {"type": "alias", "previousId": "a", "userId": "b", "messageId": "alias-1"}]'),
  'repeated repeated repeated repeated', 'messages that come again are known');
SELECT results_eq('SELECT (SELECT count(*) FROM cdp_data.touchpoint), (SELECT count(*) FROM cdp_data.link), (SELECT count(*) FROM cdp_data.attribute_value), (SELECT count(*) FROM cdp_data.change_feed), (SELECT count(*) FROM cdp_data.group_member)',
  'SELECT * FROM counts', 'and change nothing');

-- Times: an own server is told by a client whose clock is an hour behind
SELECT is((SELECT at FROM cdp_internal.message_time('{"originalTimestamp": "2026-01-01T10:00:00Z", "sentAt": "2026-01-01T10:05:00Z", "receivedAt": "2026-01-01T11:05:00Z"}')), '2026-01-01 11:00:00+00', 'receivedAt - (sentAt - originalTimestamp)');
SELECT is((SELECT at FROM cdp_internal.message_time('{"timestamp": "2026-01-01T10:00:00Z", "sentAt": "2026-01-01T10:05:00Z"}')), now() - interval '5 minutes', 'we are who received it');
SELECT is((SELECT at FROM cdp_internal.message_time('{"timestamp": "2026-01-01T10:00:00Z"}')), '2026-01-01 10:00:00+00', 'a time alone stands');
SELECT is((SELECT at FROM cdp_internal.message_time('{}')), now(), 'without any it is now');
SELECT ok((SELECT bad FROM cdp_internal.message_time('{"sentAt": "yesterday"}')), 'no time is told');

-- Orders: once, however often they are told, and their refunds
SELECT is(pg_temp.say('{"type": "track", "event": "Order Refunded", "userId": "u1", "messageId": "r1", "properties": {"order_id": "o1", "total": 30}}'), 'written', 'a refund before its order');
SELECT is(pg_temp.say('{"type": "track", "event": "Order Completed", "userId": "u1", "messageId": "t1", "properties": {"order_id": "o1", "total": 27.5, "revenue": 25.00, "currency": "EUR"},
  "context": {"campaign": {"name": "spring", "source": "Newsletter", "medium": "email"}, "page": {"referrer": "https://mail.example.com/x?y", "url": "https://shop.example.com/"}}}'), 'written', 'the order');
SELECT is((SELECT (k.name, t.value, t.currency, o.campaign, o.medium, o.referrer_host)::text FROM told JOIN cdp_data.touchpoint t USING (touchpoint_id) JOIN cdp_data.touch_kind_all k USING (kind_id) JOIN cdp_data.origin o USING (origin_id)),
  '(order,25.000000,EUR,spring,email,mail.example.com)', 'with its revenue, currency and origin');
SELECT is(pg_temp.say('{"type": "track", "event": "order_completed", "userId": "u1", "messageId": "t2", "properties": {"order_id": "o1", "revenue": 25.00}}'), 'repeated', 'the server tells of the same order');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint r JOIN cdp_data.touchpoint t ON t.touchpoint_id = r.refers_to WHERE r.value = -30 AND t.value = 25), 1::bigint, 'the refund reverses it');
SELECT is(pg_temp.say('{"type": "track", "event": "Order Refunded", "userId": "u1", "messageId": "r2", "properties": {"order_id": "o1", "total": 5}}'), 'written', 'another refund');
SELECT is((SELECT currency FROM told JOIN cdp_data.touchpoint USING (touchpoint_id)), 'EUR', 'is in the money of its order');
INSERT INTO cdp_data.event_map (source_id, event, kind) SELECT source_id, 'courseclicked', 'click' FROM cdp_data.source WHERE name = 'app';
SELECT pg_temp.say('{"type": "track", "event": "Course Clicked", "userId": "u1"}');
SELECT is((SELECT t.status || ' ' || k.name FROM told t JOIN cdp_data.touchpoint USING (touchpoint_id) JOIN cdp_data.touch_kind_all k USING (kind_id)), 'written click', 'a rule of one''s own goes first');

-- Refused: kept as it came, with the reason; the rest of the batch is taken
CREATE TEMP TABLE hostile (message jsonb);
INSERT INTO hostile VALUES ('3'), ('null'), ('"x"'), ('{}'), ('{"type": "foo"}'), ('{"type": 3}'), ('{"type": "track"}'), ('{"type": "track", "userId": "1"}'), ('{"type": "track", "event": "x"}'),
  ('{"type": "track", "event": "x", "userId": {"a": 1}}'), ('{"type": "track", "event": "x", "userId": "1", "timestamp": "never"}'), ('{"type": "track", "event": "x", "userId": "1", "timestamp": "1066-10-14T00:00:00Z"}'),
  ('{"type": "track", "event": "x", "userId": "1", "properties": [1]}'), ('{"type": "track", "event": "x", "userId": "1", "context": "c"}'), ('{"type": "identify", "userId": "1", "traits": 7}'),
  ('{"type": "track", "event": "x", "userId": "1", "properties": {"revenue": "a lot"}}'), ('{"type": "track", "event": "x", "userId": "1", "properties": {"revenue": 1e99}}'),
  ('{"type": "track", "event": "x", "userId": "1", "properties": {"revenue": 1, "currency": "XXQ"}}'), ('{"type": "group", "userId": "1"}'), ('{"type": "alias", "userId": "1"}'),
  ('{"type": "identify", "userId": "null"}'), (jsonb_build_object('type', 'identify', 'userId', repeat('x', 1000000))), (jsonb_build_object('type', 'track', 'event', 'x', 'userId', '1', 'properties', jsonb_build_object('p', repeat('x', 1100000)))),
  (jsonb_build_object('type', 'track', 'event', repeat('x', 5000), 'userId', '1', 'messageId', repeat('m', 900))), (jsonb_build_object('type', 'identify', 'traits', jsonb_build_object('email', (SELECT jsonb_agg('a' || n || '@example.org') FROM generate_series(1, 60) n))));
SELECT is((SELECT count(*) FILTER (WHERE r.status = 'refused') || '/' || count(*) FROM hostile h CROSS JOIN LATERAL cdp.ingest('web', jsonb_build_array(h.message)) r), '25/25', 'nothing of it is taken, nothing raises');
SELECT is((SELECT count(*) FROM cdp_data.quarantine q JOIN hostile h ON h.message = q.original), 25::bigint, 'and all of it is kept as it came');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint t JOIN cdp_data.source s USING (source_id) WHERE s.name = 'web'), 0::bigint, 'no touchpoint was made');
SELECT is((SELECT count(*) FROM cdp_data.quarantine WHERE reason ~ 'example[.]org|xxxx'), 0::bigint, 'no reason shows a value');
SELECT is(pg_temp.say('{"batch": [{"type": "identify", "userId": "b1"}, {"type": "nope"}, {"type": "identify", "userId": "b2"}], "context": {"traits": {"city": "Bonn"}}, "sentAt": "2026-01-01T00:00:00Z"}', 'web'), 'written refused written', 'a batch is taken message by message');
SELECT is((SELECT count(*) FROM cdp_data.attribute_value WHERE value = 'Bonn'), 2::bigint, 'what stands beside it holds for all');
UPDATE cdp_data.quarantine SET original = original || '{"type": "identify", "userId": "mended"}' WHERE original ->> 'type' = 'nope';
SELECT is((SELECT (written, refused)::text FROM cdp_data.load l JOIN cdp_data.source s USING (source_id) CROSS JOIN LATERAL cdp.retry_messages(l.load_id) WHERE s.name = 'web' AND l.kind = 'calls'), '(1,25)', 'mended messages are taken');
SELECT isnt(cdp.customer_of('user_id', 'mended'), NULL, 'really');
SELECT throws_ok($$SELECT * FROM cdp.ingest('nowhere', '{}')$$, '22023', 'unknown source "nowhere"', 'only the caller''s own mistakes raise');

-- An erased person
INSERT INTO cdp_data.suppression (digest) SELECT cdp_internal.suppression_digest(2::smallint, 'gone@example.org');
SELECT is(pg_temp.say('[{"type": "identify", "userId": "g1", "traits": {"email": "Gone@example.org"}}, {"type": "wrong", "userId": "g1", "context": {"traits": {"email": "gone@example.org"}}}]', 'web'), 'suppressed suppressed', 'an erased person, also in a bad message');
SELECT is((SELECT count(*) FROM cdp_data.quarantine WHERE original::text ~* 'gone@') + (SELECT count(*) FROM cdp_data.identifier WHERE value = 'g1'), 0::bigint, 'nothing is kept');

-- A key that says nothing, or is none, must not make one record of two
SELECT is(pg_temp.say('[{"type": "track", "event": "visit", "userId": "k1", "messageId": "undefined"}, {"type": "track", "event": "visit", "userId": "k2", "messageId": "undefined"},
  {"type": "identify", "userId": "k3", "messageId": " NULL "}, {"type": "identify", "userId": "k4", "messageId": "null"}]'), 'written written written written', 'undefined is no messageId');
SELECT is(pg_temp.say('[{"type": "track", "event": "Order Completed", "userId": "k1", "messageId": "k5", "properties": {"order_id": "undefined", "revenue": 5}},
  {"type": "track", "event": "Order Completed", "userId": "k2", "messageId": "k6", "properties": {"order_id": "undefined", "revenue": 7}},
  {"type": "track", "event": "Order Refunded", "userId": "k2", "messageId": "k7", "properties": {"order_id": "undefined", "total": 7}}]'), 'written written written', 'nor an order_id');
SELECT is((SELECT (sum(t.value), count(t.refers_to))::text FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key y USING (touchpoint_id) WHERE y.source_key IN ('k5', 'k6', 'k7')), '(5.000000,0)', 'both orders count, and the refund is of none of them');
SELECT is(pg_temp.say('[{"type": "track", "event": "visit", "userId": "k1", "messageId": {}}, {"type": "track", "event": "visit", "userId": "k2", "messageId": {}}, {"type": "identify", "userId": "k2", "messageId": false},
  {"type": "track", "event": "Order Completed", "userId": "k1", "properties": {"order_id": ["o"]}}, {"type": "group", "userId": "k1", "groupId": {}}, {"type": "group", "userId": "k1", "groupId": "undefined"},
  {"type": "alias", "userId": "k1", "previousId": ["x"]}, {"type": "track", "userId": "k1", "event": {}}]'), 'refused refused refused refused refused refused refused refused', 'what can be no key is refused');
SELECT is((SELECT count(*) FROM cdp_data.quarantine q WHERE q.code = 'bad_message' AND (q.original ->> 'userId') IN ('k1', 'k2')), 8::bigint, 'and waits as it came');
SELECT is(pg_temp.say('[{"type": "identify", "userId": "k1", "messageId": 17}, {"type": "identify", "userId": "k1", "messageId": "17"}]'), 'written repeated', 'a number is one');
SELECT is(pg_temp.say('{"batch": [{"type": "identify", "userId": "k1"}, {"type": "identify", "userId": "k2"}], "messageId": "whole"}'), 'written written', 'the number of a batch is not that of its messages');

-- The day is taken back
SELECT cdp.revert_load(l.load_id) FROM cdp_data.load l WHERE l.kind = 'calls';
SELECT is((SELECT count(*) FROM cdp_data.touchpoint) + (SELECT count(*) FROM cdp_data.customer WHERE parent_id <> customer_id) + (SELECT count(*) FROM cdp_data.link WHERE state = 'active')
  + (SELECT count(*) FROM cdp.customer_groups(cdp.customer_of('user_id', '97980cfea0067'))), 0::bigint, 'without its calls nothing is left in force');
SELECT * FROM finish();
