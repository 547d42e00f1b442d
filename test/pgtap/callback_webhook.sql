-- Standard Webhooks: the published example, a twin of the signature in plain SQL, what is refused, a connector of one's own that takes them; and what is wrong with callback in a manifest.
SELECT no_plan();
SET client_min_messages = error;
-- The published example.
CREATE FUNCTION pg_temp.known(secret text DEFAULT 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', signature text DEFAULT 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', at text DEFAULT '1614265330', id text DEFAULT 'msg_p5jXN8AQM9LWM0D4loKWxJek', body text DEFAULT '{"test": 2432232314}') RETURNS boolean LANGUAGE sql AS $$
  SELECT cdp_internal.known_webhook_check(secret, signature, at, id, convert_to(body, 'UTF8')) $$;
SELECT is(pg_temp.known(), true, 'the published example');
SELECT is(pg_temp.known(secret => 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), true, 'without the prefix of its secret');
SELECT is(pg_temp.known(signature => 'v1a,aaaa v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='), true, 'among others: keys that change, versions to come');
SELECT is(pg_temp.known(secret, signature, at, id, body), false, what) FROM (VALUES
  ('another secret', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx', 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', '1614265330', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}'),
  ('a secret that is none', 'whsec_!', 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', '1614265330', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}'),
  ('an empty one', 'whsec_', 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', '1614265330', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}'),
  ('another time', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', '1614265331', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}'),
  ('another number', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', '1614265330', 'msg_p5jXN8AQM9LWM0D4loKWxJel', '{"test": 2432232314}'),
  ('another body', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', '1614265330', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232315}'),
  ('no version', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', '1614265330', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}'),
  ('another version', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', '1614265330', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}'),
  ('a part of it', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1O', '1614265330', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}'),
  ('nothing', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', '', '1614265330', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}'),
  ('blanks', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', '   ', '1614265330', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}')) AS v (what, secret, signature, at, id, body);

-- A twin: HMAC as RFC 2104 writes it, over the server's own SHA-256.
CREATE FUNCTION pg_temp.padded(key bytea, with_byte integer) RETURNS bytea LANGUAGE sql AS $$
  SELECT string_agg(set_byte('\x00'::bytea, 0, (CASE WHEN i < octet_length(key) THEN get_byte(key, i) ELSE 0 END) # with_byte), ''::bytea ORDER BY i) FROM generate_series(0, 63) i $$;
CREATE FUNCTION pg_temp.signed(key bytea, id text, at text, body text) RETURNS text LANGUAGE sql AS $$
  SELECT 'v1,' || encode(sha256(pg_temp.padded(key, 92) || sha256(pg_temp.padded(key, 54) || convert_to(format('%s.%s.%s', id, at, body), 'UTF8'))), 'base64') $$;
SELECT is(pg_temp.signed(decode('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64'), 'msg_p5jXN8AQM9LWM0D4loKWxJek', '1614265330', '{"test": 2432232314}'), 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', 'the twin makes the published signature');
SELECT is((SELECT string_agg(n::text, ' ') FROM generate_series(20, 70) n, LATERAL (SELECT substring(sha512(n::text::bytea) || sha512(n::text::bytea) FROM 1 FOR n) AS key) k
  WHERE cdp_internal.known_webhook_check('whsec_' || translate(encode(key, 'base64'), E'\n', ''), pg_temp.signed(key, 'm' || n, '1', repeat('微', n)), '1', 'm' || n, convert_to(repeat('微', n), 'UTF8')) <> (n BETWEEN 24 AND 64)), NULL, 'keys of 24 to 64 bytes, and no others');

-- A connector of one's own.
SELECT cdp.add_connector('{"connector": "mine", "version": 1, "base_url": "https://x.example", "secrets": {"callback_token": {}},
  "callback": {"dialect": "standard_webhooks", "events": [{"when": [{"path": "type", "equals": ["order.paid", "order.made"]}], "stream": "order", "part": "data.id"}, {"when": [{"path": "type", "equals": "order.made"}], "stream": "orders"}]},
  "streams": {"orders": {"path": "/orders", "records": "$[*]", "key": ["id"]}, "order": {"path": "/orders/$partition", "partition": {"from": "orders", "value": "id"}, "records": "$", "key": ["id"]}}}') \g /dev/null
SELECT cdp.add_source('shop'), cdp.create_connection('shop', 'mine', '{}', 'shop'), cdp.set_secret('shop', 'callback_token', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw') \g /dev/null
CREATE FUNCTION pg_temp.push(id text, body text, seconds integer DEFAULT 1, signed_body text DEFAULT NULL, echostr text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text;
BEGIN
  RETURN convert_from(cdp_internal.take_callback('shop', pg_temp.signed(decode('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64'), id, '1800000000', coalesce(signed_body, body)), '1800000000', id, convert_to(body, 'UTF8'), echostr, NULL, to_timestamp(1800000000 + seconds)), 'UTF8');
EXCEPTION WHEN invalid_authorization_specification THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL;
  RETURN d;
END $$;
SELECT is(pg_temp.push('m1', '{"type": "order.paid", "data": {"id": 7}}'), 'success', 'a message');
SELECT is(pg_temp.push('m1', '{"type": "order.paid", "data": {"id": 7}}', 9), 'success', 'the same again');
SELECT is(pg_temp.push('m1', '{"type": "order.paid", "data": {"id": 8}}'), 'success', 'its number with other words, by who knows the secret');
SELECT is(pg_temp.push('m2', '{"type": "order.made", "data": {"id": 9}}'), 'success', 'another one');
SELECT is(pg_temp.push('m3', '{"type": "order.made", "data": {"id": 10}}', 1, '{}'), 'wrong signature', 'a body that was not signed');
SELECT is(pg_temp.push('m.3', '{"type": "order.made", "data": {"id": 10}}'), 'wrong signature', 'a dot in the number');
SELECT is(pg_temp.push('m4', '{"type": "order.made"}', 301), 'it was signed -301 seconds from now; at most 300 are taken', 'too old');
SELECT is(pg_temp.push('m5', '{"type": "order.made"}', 1, NULL, 'say this'), 'wrong signature', 'a check of an address, which they have none of');
SELECT is((SELECT string_agg(concat_ws(' ', event, doc #>> '{data,id}', octet_length(signature), encrypted), ', ' ORDER BY callback_id) FROM cdp_data.callback), 'order.paid 7 64 f, order.made 9 64 f', 'each number is one message');
SELECT is(cdp_internal.process_callbacks(), 2::bigint, 'both are looked at');
SELECT is((SELECT string_agg(concat_ws(' ', stream, part), ', ' ORDER BY stream, part) FROM cdp_data.stream_wish), 'order 7, order 9, orders ', 'and say what to ask');

-- What is wrong with callback in a manifest.
SELECT cdp_internal.connector_manifest('wecom') AS m \gset
SELECT is((SELECT string_agg(path || ' ' || code, ', ' ORDER BY path COLLATE "C", code) FROM cdp.connector_problems(changed)), want, want) FROM (VALUES
  (jsonb_set(:'m', '{callback,dialect}', '"wecon"'), 'callback.dialect unknown_word'), (:'m'::jsonb #- '{callback,dialect}', 'callback.dialect missing_key'), (:'m'::jsonb #- '{callback,receiver}', 'callback.receiver missing_key'),
  (jsonb_set(:'m', '{callback,receiver}', '"corp"'), 'callback.receiver unknown_reference'), (:'m'::jsonb #- '{secrets,callback_token}', 'secrets.callback_token missing_key'), (:'m'::jsonb #- '{secrets,callback_key}', 'secrets.callback_key missing_key'),
  (jsonb_set(:'m', '{callback,events,0,stream}', '"contact"'), 'callback.events[0].stream unknown_reference'), (jsonb_set(:'m', '{callback,events,0,stream}', '"follow_users"'), 'callback.events[0].part conflict'),
  (jsonb_set(:'m', '{callback,events,0,part}', '"$partition"'), 'callback.events[0].part bad_path, callback.events[0].part unknown_reference'), (jsonb_set(:'m', '{callback,events,0,part}', '"a[*]"'), 'callback.events[0].part bad_path'), (jsonb_set(:'m', '{callback,events,0,part}', '"@"'), 'callback.events[0].part bad_path'),
  (jsonb_set(:'m', '{callback,events,0,when,0}', '{"path": "Event"}'), 'callback.events[0].when[0] missing_key'), (jsonb_set(:'m', '{callback,events,0,then}', '1'), 'callback.events[0].then unknown_key'), (jsonb_set(:'m', '{callback,events}', '[]'), 'callback.events out_of_range'),
  (:'m'::jsonb #- '{callback,events,0,stream}', 'callback.events[0].stream missing_key'), (jsonb_set(:'m', '{callback}', '7'), 'callback wrong_type'), (jsonb_set(:'m', '{callback,dialect}', '"standard_webhooks"'), 'callback.receiver conflict'),
  (:'m'::jsonb #- '{callback,events}', NULL), (:'m'::jsonb - 'callback', NULL)) AS v (changed, want);
SELECT * FROM finish();
