-- Edges of manifests that a review found: texts that look like templates, tokens in addresses, pulls without end, cursors without place, days of zeros, times as vendors write them, quotas one after the other.
BEGIN;
SELECT no_plan();
CREATE FUNCTION pg_temp.shop(stream jsonb, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT '{"connector": "shop", "version": 1, "base_url": "https://api.example.com", "tz": "Asia/Shanghai", "secrets": {"key": {}}}'::jsonb || jsonb_build_object('streams', jsonb_build_object('s', '{"path": "/list", "records": "$.list[*]"}'::jsonb || stream)) || more$$;
CREATE FUNCTION pg_temp.auth(auth jsonb) RETURNS jsonb LANGUAGE sql AS $$SELECT cdp_internal.connector_request(pg_temp.shop('{}', jsonb_build_object('auth', auth)), 's', '{}') -> 'auth'$$;
CREATE FUNCTION pg_temp.problems(stream jsonb) RETURNS text LANGUAGE sql AS $$SELECT string_agg(path || ' ' || code, E'\n' ORDER BY path COLLATE "C", code) FROM cdp.connector_problems(pg_temp.shop(stream))$$;
CREATE FUNCTION pg_temp.next(stream jsonb, body jsonb, state jsonb DEFAULT '{}', more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', coalesce((n.next -> 'cursor')::text, '-'), n.done, n.problem) FROM cdp_internal.connector_next(pg_temp.shop(stream, more), 's', body, NULL, state) n$$;

-- Texts of auth that are no templates mean themselves.
SELECT is(pg_temp.auth('{"kind": "oauth_client", "path": "/t", "client_id": "a", "client_secret": "$secret.key", "inject": {"header": "x", "prefix": "${secret.key} $"}}') #>> '{headers,x}', '$${secret.key} $$${token}', 'a prefix names no secret');
SELECT is(pg_temp.auth('{"kind": "hmac", "key": "$secret.key", "message": ["$method", "$path"], "join": "$secret.key$", "signature": {"header": "x"}}') #>> '{hmac,message}', '${method}$$secret.key$$${path}', 'nor does what joins a message');

-- What auth puts into an address does not stay in a cursor.
SELECT is(pg_temp.next('{"cursor": {"kind": "url", "take": "$.next"}}', '{"list": [1], "next": "/l?auth%5Btoken%5D=T&a=1&%61ccess_token=T"}', '{}', '{"auth": {"kind": "header", "query": {"auth[token]": "$secret.key"}}}'), '"/l?a=1" f', 'an encoded name');
SELECT is(pg_temp.next('{"cursor": {"kind": "url", "take": "$.next"}}', '{"list": [1], "next": "/l?sign=S&a=1&ts=5&nonce=6"}', '{}',
  '{"auth": {"kind": "hmac", "key": "$secret.key", "message": ["$timestamp", "$nonce"], "signature": {"query": "sign"}, "timestamp": {"query": "ts"}, "nonce": {"query": "nonce"}}}'), '"/l?a=1" f', 'signature, time stamp and nonce');

-- A pull ends, or says why it does not.
SELECT is(pg_temp.next('{"cursor": {"send": "query.c", "take": "$.next"}}', '{"list": [1], "next": false}', '{"cursor": "A"}'), '- t', 'false is the end');
SELECT is(pg_temp.next('{"cursor": {"send": "query.c", "take": "$.next"}}', '{"list": [1], "next": 0}', '{"cursor": "A"}'), '- t', '0 is the end');
SELECT is(pg_temp.next('{"cursor": {"send": "query.c", "take": "$.next"}}', '{"list": [1], "next": "0"}', '{"cursor": "A"}'), '"0" f', 'a text is a cursor');
SELECT is((SELECT string_agg(concat_ws(' ', b.done, b.problem), ', ') FROM cdp_internal.connector_next(pg_temp.shop('{"cursor": {"kind": "page", "send": "query.p", "size": 1}}'), 's', '{"list": [1, {"a": 2}]}', NULL, '{}') a
  CROSS JOIN LATERAL cdp_internal.connector_next(pg_temp.shop('{"cursor": {"kind": "page", "send": "query.p", "size": 1}}'), 's', '{"list": [1, {"a": 2}], "x": 1}', NULL, a.next) b), 't the page has the records of the page before', 'an API that ignores the page');
SELECT is((SELECT string_agg(concat_ws(' ', b.next ->> 'cursor', b.done, b.problem), ', ') FROM cdp_internal.connector_next(pg_temp.shop('{"cursor": {"kind": "page", "send": "query.p", "size": 1}}'), 's', '{"list": [1]}', NULL, '{}') a
  CROSS JOIN LATERAL cdp_internal.connector_next(pg_temp.shop('{"cursor": {"kind": "page", "send": "query.p", "size": 1}}'), 's', '{"list": [2]}', NULL, a.next) b), '3 f', 'other records go on');
SELECT is(pg_temp.next('{"cursor": {"send": "query.c", "take": "$.next"}}', '{"list": [1], "next": "B"}', '{"pages": 100000}'), '- t a pull has more than 100000 pages', 'a pull of very many pages');
SELECT is((SELECT next FROM cdp_internal.connector_next(pg_temp.shop('{"cursor": {"send": "query.c", "take": "$.next"}}'), 's', '{"list": [1]}', NULL, '{"pages": 7, "page_digest": "x", "cursor": "A", "y": 1}')), '{"y": 1}'::jsonb, 'at the end what was counted goes');
SELECT is(pg_temp.next('{"cursor": {"kind": "none", "more": "$.has_more"}}', '{"list": [1], "has_more": true}'), '- t the page says that there is more and nothing asks for it', 'a list that is cut off');
SELECT is(pg_temp.next('{"cursor": {"kind": "none", "more": "$.has_more"}}', '{"list": [1], "has_more": false}'), '- t', 'and one that is not');

-- A cursor has a place in the body.
SELECT is(pg_temp.problems(('{"method": "POST", "cursor": {"send": "body.page.next", "take": "$.n"}, "partition": {"values": [1], "chunk": 2}, "body": ' || b || '}')::jsonb), w, b) FROM (VALUES
  ('[1]', 'streams.s.cursor.send conflict'), ('{"page": "x"}', 'streams.s.cursor.send conflict'), ('{"page": [1]}', 'streams.s.cursor.send conflict'), ('{"page": {"$each": "$partition"}}', 'streams.s.cursor.send conflict'), ('{"$each": "$partition"}', 'streams.s.cursor.send conflict'),
  ('{"page": {"size": 5}}', NULL), ('{"page": {"next": "x"}}', NULL), ('{}', NULL)) v (b, w);

-- The values of a chunk have no field of their own.
SELECT is(pg_temp.problems('{"method": "POST", "partition": {"from": "s2", "fields": {"id": "id"}, "chunk": 9}, "body": {"a": "$partition.id", "b": {"$each": "$partition.id"}}, "key": ["$partition.id", "x"], "pii": ["$partition.id"]}'), E'streams.s.body.a conflict\nstreams.s.key[0] conflict\nstreams.s.partition.from unknown_reference\nstreams.s.pii[0] conflict', 'a chunk has no value of its own');

-- Zeros are told by day.
SELECT is((SELECT string_agg(d::text, ' ' ORDER BY d) FROM cdp_internal.connector_zeros(cdp_internal.connector_wechat_oa(), 'user_summary', b::jsonb, '{}') d), w, b) FROM (VALUES
  ('{"list": [{"ref_date": "2026-03-01", "user_source": 0, "new_user": 5, "cancel_user": 0}, {"ref_date": "2026-03-02", "user_source": 0, "new_user": 0, "cancel_user": 0}]}', '2026-03-02'),
  ('{"list": [{"ref_date": "2026-03-01", "user_source": 0, "new_user": 0, "cancel_user": 0}, {"ref_date": "2026-03-01", "user_source": 1, "new_user": 1, "cancel_user": 0}, {"ref_date": "x", "new_user": 0}]}', NULL),
  ('{"list": [{"ref_date": "2026-03-03", "new_user": "-"}, {"ref_date": "2026-03-01", "new_user": 0, "cancel_user": "0.0"}]}', '2026-03-01 2026-03-03'), ('{"list": []}', NULL)) v (b, w);

-- Times as vendors write them.
SELECT is((SELECT ref_date::text FROM cdp_internal.connector_page(pg_temp.shop('{"ref_date": {"path": "d", "format": "iso"}}'), 's', jsonb_build_object('list', jsonb_build_array(jsonb_build_object('d', t))), '{}')), w, t) FROM (VALUES
  ('2017-05-26T17:02:03+0000', '2017-05-27'), ('2017-05-26T01:02:03-0700', '2017-05-26'), ('2017-05-26T17:02:03.123456789Z', '2017-05-27'), ('2017-05-26T17:02:03z', '2017-05-27'), ('2017-05-26t17:02:03.5+00:00', '2017-05-27'), ('2017-05-26T17:02:03+00', '2017-05-27'),
  ('2017-05-26T17:02:03+000', NULL), ('2017-05-26T25:02:03Z', NULL)) v (t, w);

-- Answers.
SELECT is((SELECT verb FROM cdp_internal.connector_verdict(pg_temp.shop('{}', jsonb_build_object('auth', a)), 's', 401, NULL, NULL, '2026-03-01')), w, a ->> 'kind') FROM (VALUES
  ('{"kind": "oauth_client", "path": "/t", "client_id": "a", "client_secret": "$secret.key"}'::jsonb, 'reauth_once'), ('{"kind": "basic", "username": "a", "password": "$secret.key"}', 'config')) v (a, w);
SELECT is((SELECT concat_ws(' ', wait_s, until, to_char(until_at AT TIME ZONE 'UTC', 'HH24:MI')) FROM cdp_internal.connector_verdict(cdp_internal.connector_wecom(), 'contacts', 200, NULL, '{"errcode": 45009}', '2026-03-01 12:00Z', p)), w, p::text) FROM (VALUES (0, '60 window 12:01'), (1, '3600 window 13:00'), (2, '14400 window 16:00'), (9, '14400 window 16:00')) v (p, w);
SELECT is((SELECT verb FROM cdp_internal.connector_verdict(cdp_internal.connector_wechat_oa(), 'users', 200, NULL, '{"errcode": 61500}', '2026-03-01')), 'config', 'dates written otherwise are for people');

-- Rows written by hand.
SELECT throws_ok($$INSERT INTO cdp_data.connector (connector, manifest) VALUES ('x', '{"version": 1}')$$, '23514', NULL, 'a row without name or streams');
SELECT throws_ok($$INSERT INTO cdp_data.connector (connector, manifest) VALUES ('x', '{"connector": "x", "version": 1}')$$, '23514', NULL, 'a row without streams');
SELECT throws_ok($$INSERT INTO cdp_data.connector (connector, manifest) VALUES ('x', 'null')$$, '23514', NULL, 'a row without anything');
SELECT * FROM finish();
ROLLBACK;
