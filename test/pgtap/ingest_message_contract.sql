-- Messages obey the contract of their source: what is declared is taken by it alone, erased people are found in its fields,
-- a source of messages only can be tried and go live, and what waited keeps the time at which it came.
SELECT plan(44);
SELECT cdp.add_source('app', 'Asia/Shanghai'), cdp.add_source('hook'), cdp.add_source('free');
SELECT cdp.add_attribute('prefs', 'json'), cdp.add_attribute('sizes', 'list', 'union');
CREATE FUNCTION pg_temp.say(message jsonb, source text DEFAULT 'app') RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(': ', r.status, r.reason), ', ') FROM cdp.ingest(source, message) r $$;
CREATE FUNCTION pg_temp.knows(a_type text, a_value text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_object_agg(a.name, v.value), '{}') FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id)
  WHERE v.customer_id = cdp.customer_of(a_type, a_value) $$;

SELECT cdp.declare_contract('app', 'customer', '[
  {"field": "acct", "target": "identifier user_id", "required": true, "pattern": "^[a-z0-9]+$"}, {"field": "email", "target": "ignore"}, {"field": "mails", "target": "identifier email"},
  {"field": "$.traits.deep.card", "target": "identifier member_id"}, {"field": "city", "target": "attribute city", "allowed": ["Bonn", "Ulm"]},
  {"field": "opts", "target": "attribute prefs", "type": "json"}, {"field": "raw", "target": "attribute sizes"}, {"field": "$.userId", "target": "identifier crm_id"},
  {"field": "seen", "target": "record observed_at", "type": "timestamp"}, {"field": "no", "target": "record source_key", "required": true}]', 'app team', '1 day');
SELECT cdp.declare_contract('app', 'event', '[
  {"field": "number", "target": "touchpoint source_key", "required": true}, {"field": "when", "target": "touchpoint occurred_at"}, {"field": "what", "target": "touchpoint kind"},
  {"field": "cents", "target": "touchpoint value", "type": "numeric", "transform": "minor_units"}, {"field": "money", "target": "touchpoint currency"}, {"field": "from", "target": "touchpoint source"},
  {"field": "count", "target": "property items", "type": "integer"}, {"field": "mail", "target": "identifier email"}, {"field": "secret", "target": "ignore"}, {"field": "town", "target": "attribute city"},
  {"field": "bot", "target": "touchpoint flags"}, {"field": "$.context.ip", "target": "ignore"}]', 'app team', '1 day');
UPDATE cdp_data.source_contract SET status = 'live';

-- What is declared is taken by the contract alone
SELECT is(pg_temp.say('{"type": "identify", "userId": "K1", "traits": {"acct": "a1", "email": "not@for.us", "mails": ["m1@example.org", "m2@example.org"], "city": "Paris", "opts": {"x": [1, 2]},
  "raw": ["L", "M"], "deep": {"card": "c-9"}, "seen": "2026-01-02 08:00", "nickname": "Al"}}'), 'written', 'a message by contract');
SELECT results_eq($$SELECT t.name COLLATE "default", i.value COLLATE "default" FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t USING (type_id) ORDER BY 1, 2$$,
  $$VALUES ('crm_id', 'K1'), ('email', 'm1@example.org'), ('email', 'm2@example.org'), ('member_id', 'c-9'), ('user_id', 'a1')$$, 'identifies by the declared fields, lists too; userId and email by no other way');
SELECT is(pg_temp.knows('user_id', 'a1'), '{"prefs": "{\"x\": [1, 2]}", "sizes": "[\"L\", \"M\"]", "nickname": "Al"}', 'a value that is not allowed is left out, JSON is JSON, what is not declared goes by its name');
SELECT is((SELECT DISTINCT first_at FROM cdp_data.attribute_value), '2026-01-02 08:00+08', 'at the time that the contract names, in the zone of the source');
SELECT is((SELECT refused FROM cdp.ingest('app', '{"type": "identify", "traits": {"acct": "a2", "city": "Rom", "shoe": 3}}')), '[{"code": "not_allowed", "field": "city"}, {"code": "unknown_attribute", "attribute": "shoe"}]', 'and it is told');
SELECT is((SELECT array_agg(field) FROM cdp_data.source_unmapped), ARRAY['shoe'], 'declared fields are not unused');
SELECT is(pg_temp.say('{"type": "identify", "traits": {"city": "Ulm", "userId": "x"}}'), 'refused: a required field of the contract is missing: acct', 'a required field that is missing');
SELECT is(pg_temp.say('{"type": "identify", "traits": {"acct": "A?"}}'), 'refused: a required field, or money, does not fit the contract: acct (pattern)', 'or does not fit');
SELECT is(pg_temp.say('{"type": "identify", "traits": {"acct": "null"}}'), 'refused: a required field, or money, does not fit the contract: acct (blocked)', 'or identifies nobody');
SELECT is(pg_temp.say('{"type": "identify", "traits": {"acct": "a1", "seen": "soon"}}'), 'written', 'a bad optional value is left out');

-- Events: touchpoints by contract
SELECT is(pg_temp.say('{"type": "track", "event": "Bought", "userId": "u7", "messageId": "e1", "context": {"ip": "8.8.8.8", "locale": "de"}, "properties": {"number": "n-1", "when": "2026-02-03 10:00", "what": "purchase",
  "cents": 1999, "money": "eur", "from": "Flyer", "count": "3", "mail": "m1@example.org", "secret": "s", "town": "Ulm", "colour": "red", "bot": 1}}'), 'written', 'an event by contract');
SELECT is((SELECT (k.name, t.occurred_at AT TIME ZONE 'UTC', t.value, t.currency, o.source, t.flags)::text FROM cdp_data.touchpoint t JOIN cdp_data.touch_kind_all k USING (kind_id) JOIN cdp_data.origin o USING (origin_id)),
  '(purchase,"2026-02-03 02:00:00",19.990000,EUR,Flyer,1)', 'fills the columns of the touchpoint');
SELECT is((SELECT properties FROM cdp_data.touchpoint), '{"items": 3, "colour": "red", "$context": {"locale": "de"}}', 'keeps properties and what is not declared, and nothing that identifies or is ignored');
SELECT is((SELECT source_key FROM cdp_data.touchpoint_key), 'n-1', 'under its own key');
SELECT isnt(cdp.customer_of('email', 'm1@example.org'), cdp.customer_of('user_id', 'u7'), 'two accounts stay two, whatever address they share');
SELECT is((SELECT count(*) FROM cdp_data.attribute_value WHERE value = 'Ulm'), 1::bigint, 'and describes');
SELECT is(pg_temp.say('{"type": "track", "event": "purchase", "userId": "u7", "properties": {"number": "n-1"}}'), 'repeated', 'the same key again');
SELECT is(pg_temp.say('{"type": "page", "userId": "u7", "messageId": "p1"}'), 'written', 'a message has a key, a time and a name of its own');
SELECT is(pg_temp.say('[{"type": "track", "event": "x", "userId": "u7", "properties": {"cents": "a lot"}}, {"type": "track", "event": "x", "userId": "u7", "properties": {"bot": -1}},
  {"type": "track", "event": "x", "userId": "u7", "properties": {"when": "never"}}]'), 'refused: a required field, or money, does not fit the contract: cents (bad_numeric), refused: flags must be a whole number from 0 on, refused: the field that is the time is no ISO 8601 time', 'columns that cannot be');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint WHERE properties ? 'secret' OR properties ? 'mail' OR properties::text ~ '8[.]8'), 0::bigint, 'nothing of what is ignored was kept');

-- An erased person
INSERT INTO cdp_data.suppression (digest) SELECT cdp_internal.suppression_digest(t.type_id, v.value) FROM (VALUES ('member_id', 'gone'), ('anonymous_id', 'prev-gone'), ('email', 'gone@example.org')) v (name, value) JOIN cdp_data.identifier_type_all t USING (name);
CREATE TEMP TABLE before AS SELECT count(*) AS n FROM cdp_data.quarantine;
SELECT is(pg_temp.say('[{"type": "identify", "timestamp": "never", "traits": {"acct": "a9", "deep": {"card": "gone"}}}, {"type": "identify", "traits": {"mails": ["x@example.org", "gone@example.org"], "name": "John Gone"}},
  {"type": "track", "event": "", "properties": {"mail": "Gone@Example.org"}}, {"type": "alias", "previousId": "prev-gone", "timestamp": "never"}, {"type": "identify", "traits": {"deep": {"card": "gone"}, "acct": "a9"}}]'),
  'suppressed, suppressed, suppressed, suppressed, suppressed', 'an erased person is found in declared fields, in refused messages too');
SELECT is((SELECT count(*) FROM cdp_data.quarantine), (SELECT n FROM before), 'and nothing of it is kept');

-- Clocks beyond the calendar, and a batch around them
SELECT is(pg_temp.say('[{"type": "identify", "userId": "c1"}, {"type": "track", "event": "x", "userId": "c1", "originalTimestamp": "0001-01-01T00:00:00Z", "sentAt": "9999-12-31T00:00:00Z"}, {"type": "identify", "userId": "c2"}]', 'free'),
  'written, refused: ' || (SELECT reason FROM cdp_internal.load_reasons() WHERE code = 'absurd_time') || ', written', 'clocks further apart than the calendar refuse one message, not the batch');

-- A source that sends messages only: nothing is lost while it is no more than declared
SELECT cdp.declare_contract('hook', 'customer', '[{"field": "mail", "target": "identifier email", "required": true}, {"field": "born", "target": "attribute birthday", "type": "date"}]', 'hook team', '1 day');
SELECT cdp.declare_contract('hook', 'event', '[{"field": "no", "target": "touchpoint source_key", "required": true}, {"field": "at", "target": "touchpoint occurred_at"}, {"field": "kind", "target": "touchpoint kind"}, {"field": "mail", "target": "identifier email"}]', 'hook team', '1 day');
SELECT is((SELECT string_agg(finding, ' ') FROM cdp.source_check('hook')), 'not_tried not_tried', 'it must be tried');
SELECT is(pg_temp.say('[{"type": "identify", "messageId": "h1", "traits": {"mail": "h1@example.org", "born": "1990-05-06"}}, {"type": "identify", "messageId": "h2", "traits": {"mail": "h2@example.org", "born": "May"}},
  {"type": "identify", "messageId": "h3", "traits": {"born": "1991-01-01"}}, {"type": "track", "event": "visit", "messageId": "h4", "userId": "v1"}]', 'hook'),
  'refused: the contract of the source is not live, refused: the contract of the source is not live, refused: the contract of the source is not live, refused: the contract of the source is not live', 'a draft takes nothing in');
SELECT results_eq($$SELECT record_kind COLLATE "default", messages, refused FROM cdp.trial_messages('hook')$$, $$VALUES ('customer', 3::bigint, 1::bigint), ('event', 1, 0)$$, 'but what waits can be judged');
SELECT results_eq($$SELECT field COLLATE "default", rows_seen, filled, valid, distinct_values FROM cdp_data.source_quality q JOIN cdp_data.source s USING (source_id) WHERE s.name = 'hook' AND record_kind = 'customer' ORDER BY 1$$,
  $$VALUES ('born', 3::bigint, 3::bigint, 2::bigint, 2::bigint), ('mail', 3, 2, 2, 2)$$, 'field by field');
SELECT results_eq($$SELECT record_kind COLLATE "default", finding, field COLLATE "default" FROM cdp.source_check('hook') WHERE severity = 'error'$$,
  $$VALUES ('customer', 'incomplete', 'mail'), ('customer', 'invalid', 'born'), ('customer', 'refused_rows', NULL), ('event', 'nobody', NULL)$$, 'and checked');
UPDATE cdp_data.quarantine SET original = jsonb_set(original, '{traits}', original -> 'traits' || '{"born": "1992-02-02", "mail": "h@example.org"}') WHERE original ->> 'messageId' IN ('h2', 'h3');
UPDATE cdp_data.quarantine SET original = original || '{"properties": {"mail": "h1@example.org"}}' WHERE original ->> 'messageId' = 'h4';
UPDATE cdp_data.quarantine q SET created_at = now() - interval '10 days' WHERE original ->> 'messageId' IN ('h1', 'h2', 'h3', 'h4');
SELECT is((SELECT sum(refused) FROM cdp.trial_messages('hook')), 0::numeric, 'mended messages would be taken');
SELECT is_empty($$SELECT * FROM cdp.source_check('hook') WHERE severity = 'error'$$, 'nothing stands against it');
SELECT is(cdp.source_go_live('hook'), 2, 'it goes live');
SELECT is((SELECT (tried, written, refused)::text FROM cdp_data.load l JOIN cdp_data.source s USING (source_id), cdp.retry_messages(l.load_id) WHERE s.name = 'hook' AND l.kind = 'calls'), '(4,4,0)', 'and what waited is taken in');
SELECT is((SELECT DISTINCT first_at FROM cdp_data.attribute_value v JOIN cdp_data.source s USING (source_id) WHERE s.name = 'hook'), (SELECT DISTINCT created_at FROM cdp_data.quarantine WHERE original ->> 'messageId' = 'h1'), 'as of when it came');
SELECT is((SELECT occurred_at FROM cdp_data.touchpoint t JOIN cdp_data.source s USING (source_id) WHERE s.name = 'hook'), (SELECT DISTINCT created_at FROM cdp_data.quarantine WHERE original ->> 'messageId' = 'h4'), 'events too');
SELECT is((SELECT at FROM cdp_internal.message_time('{"originalTimestamp": "2026-01-01T10:00:00Z", "sentAt": "2026-01-01T10:05:00Z"}', '2026-01-01 12:00Z')), '2026-01-01 11:55:00+00', 'a clock is put right by the moment at which the message came');
SELECT is_empty($$SELECT * FROM cdp.trial_messages('hook')$$, 'a live source needs no trial');

-- A day of calls, once counted, does not stand for the contract: a paused source comes back
SELECT cdp_internal.count_calls(load_id) FROM cdp_data.load WHERE kind = 'calls';
SELECT is(cdp.source_pause('hook'), 2, 'paused');
SELECT is(cdp.source_go_live('hook'), 2, 'and live again');
SELECT results_eq($$SELECT DISTINCT code COLLATE "default" FROM cdp_data.quarantine WHERE code NOT IN (SELECT code FROM cdp_internal.load_reasons())$$, $$SELECT ''::text WHERE false$$, 'every code has its reason in one list');

-- Hostile contracts and messages, of which none may raise
SELECT cdp.declare_contract('free', 'customer', jsonb_build_array(jsonb_build_object('field', 'it''s "x" %s $$ \', 'target', 'identifier user_id'), jsonb_build_object('field', '$.traits.a''b,{c}', 'target', 'attribute note', 'pattern', '^[''"%$]+$')));
UPDATE cdp_data.source_contract SET status = 'live';
SELECT is(pg_temp.say(jsonb_build_object('type', 'identify', 'traits', jsonb_build_object('it''s "x" %s $$ \', 'q1', 'a''b,{c}', '''"%$')), 'free'), 'written', 'names of all sorts');
SELECT is(pg_temp.knows('user_id', 'q1'), jsonb_build_object('note', '''"%$'), 'are names');
CREATE TEMP TABLE hostile (message jsonb);
INSERT INTO hostile VALUES ('{"type": "identify", "traits": {"acct": [1, {"a": 2}], "mails": {"a": 1}, "opts": 3, "raw": [[1]], "deep": [], "seen": {}}}'), ('{"type": "identify", "traits": {"acct": true, "city": ["Ulm"]}}'),
  ('{"type": "track", "event": "x", "properties": {"number": {"a": 1}, "cents": [1], "money": 3, "from": ["x"], "bot": "1e9", "mail": [null, 1, "m@example.org"]}}'), ('{"type": "track", "event": "x", "userId": "h", "context": {"ip": {"a": 1}}, "properties": null}'),
  (jsonb_build_object('type', 'identify', 'traits', jsonb_build_object('acct', repeat('a', 900000)))), (jsonb_build_object('type', 'track', 'event', 'x', 'userId', 'h', 'properties', jsonb_build_object('number', repeat('n', 900), 'cents', repeat('9', 100000)))),
  ('{"type": "alias", "previousId": {"a": 1}, "userId": "h"}'), ('{"type": "group", "groupId": "g", "userId": "h", "traits": {"a": null}}'), (jsonb_build_object('type', 'group', 'groupId', 'g', 'userId', 'h', 'traits', jsonb_build_object(repeat('t', 900), 1)));
SELECT is((SELECT count(*) FROM hostile h CROSS JOIN LATERAL cdp.ingest('app', h.message) r WHERE r.status IN ('written', 'refused')), 9::bigint, 'each is taken or kept');
SELECT is((SELECT count(*) FROM hostile h WHERE NOT EXISTS (SELECT FROM cdp_data.quarantine q WHERE q.original = h.message)) , (SELECT count(*) FROM hostile h CROSS JOIN LATERAL cdp.ingest('app', h.message) r WHERE r.status = 'written'), 'none is lost');
SELECT cdp.add_source('keys');
SELECT cdp.declare_contract('keys', 'event', '[{"field": "no", "target": "touchpoint source_key"}, {"field": "at", "target": "touchpoint occurred_at"}, {"field": "kind", "target": "touchpoint kind"}, {"field": "mail", "target": "identifier email"}]', 'keys team', '1 day');
UPDATE cdp_data.source_contract SET status = 'live';
SELECT is(pg_temp.say('[{"type": "track", "event": "visit", "userId": "y1", "properties": {"no": "undefined"}}, {"type": "track", "event": "visit", "userId": "y2", "properties": {"no": "undefined"}}, {"type": "track", "event": "visit", "userId": "y2", "properties": {"no": 5}}, {"type": "track", "event": "visit", "userId": "y3", "properties": {"no": "5"}}]', 'keys'),
  'written, written, written, repeated', 'a word that says nothing is no key by contract either');
SELECT * FROM finish();
