-- The test of a connection without a network: which streams are tried with what, and what their answers come to.
BEGIN;
SELECT plan(44);
CREATE SCHEMA t;
SET timezone = 'America/New_York';
\ir connection_connector.inc
SELECT cdp.add_source('wecom main') \g /dev/null
SELECT cdp.create_connection('wecom main', 'vault', '{"account": "ww1"}') \g /dev/null
CREATE TABLE t.m AS SELECT '{"connector": "x", "version": 1, "base_url": "https://api.example", "tz": "Asia/Shanghai", "config": {"ids": {"type": "list"}, "more": {"type": "list", "default": ["a", "b"]}}, "streams": {
  "staff": {"path": "/staff", "probe": true, "records": "$.staff[*]", "key": ["@"]},
  "orders": {"path": "/orders", "query": {"from": "$window.from", "n": "$size"}, "window": {"unit": "day", "max_days": 7, "ready_at": "08:00", "delay_days": 1, "format": "date"}, "cursor": {"send": "query.c", "take": "$.next", "size": 500}, "records": "$.list[*]",
    "key": ["id"], "ref_date": {"path": "day", "format": "date"}, "touchpoint": {"kind": "order", "occurred_at": {"path": "at", "format": "iso"}, "identifiers": {"email": "buyer", "unionid": "union"}}},
  "few": {"path": "/few", "query": {"n": "$size"}, "cursor": {"send": "query.c", "take": "$.next", "size": 5}, "records": "$[*]"},
  "by_staff": {"path": "/of/$partition", "partition": {"from": "staff"}, "records": "$[*]"},
  "by_many": {"method": "POST", "path": "/many", "body": {"ids": "$partition"}, "partition": {"from": "staff", "chunk": 100}, "records": "$[*]"},
  "by_order": {"path": "/order/$partition.id", "query": {"d": "$partition.day"}, "partition": {"from": "orders", "fields": {"id": "id", "day": "x.day"}}, "records": "$[*]"},
  "by_config": {"path": "/c/$partition", "partition": {"config": "ids"}, "records": "$[*]"},
  "by_default": {"path": "/d/$partition", "partition": {"config": "more"}, "records": "$[*]"},
  "by_value": {"path": "/v/$partition", "partition": {"values": ["p", "q"]}, "records": "$[*]"}}}'::jsonb AS m;
SELECT is((SELECT count(*) FROM t.m, cdp.connector_problems(m)), 0::bigint, 'the manifest of this file is good');

-- What is tried, in which order.
SELECT results_eq('SELECT stream FROM t.m, cdp_internal.test_streams(m)', $$VALUES ('staff'), ('by_config'), ('by_default'), ('by_value'), ('few'), ('orders'), ('by_many'), ('by_order'), ('by_staff')$$, 'streams after those whose records they take, probes first');
SELECT is((SELECT string_agg(stream, ',') FILTER (WHERE is_probe) FROM t.m, cdp_internal.test_streams(m)), 'staff', 'probes are required');
SELECT is((SELECT count(*) FILTER (WHERE is_probe) FROM t.m, cdp_internal.test_streams(m #- '{streams,staff,probe}')), 9::bigint, 'all are where none is one');
SELECT is((SELECT count(*) FROM cdp.connector_builtin() b, cdp_internal.test_streams(b.manifest)), (SELECT count(*) FROM cdp.connector_builtin() b, jsonb_each(b.manifest -> 'streams') s WHERE NOT s.value ? 'deliver'), 'each stream of each built-in manifest that is pulled has its turn');

-- With what.
CREATE FUNCTION t.asks(stream text, samples jsonb DEFAULT '{}', config jsonb DEFAULT '{}', as_of timestamptz DEFAULT '2026-03-10 12:00+08') RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(r.why, (r.request ->> 'target') || coalesce(' ' || (r.request ->> 'body'), '')) FROM t.m, cdp_internal.test_request(m, config, stream, samples, as_of) r $$;
SELECT is(t.asks('orders'), '/orders?n=10&from=2026-03-08', 'ten records of the newest day that is ready');
SELECT is(t.asks('orders', as_of => '2026-03-10 07:59+08'), '/orders?n=10&from=2026-03-07', 'of the one before until its hour, in the zone of the manifest');
SELECT is(t.asks('few'), '/few?n=5', 'no more than the manifest asks for');
SELECT is(t.asks('by_staff'), 'no record of staff to ask it with', 'not without records of the stream that it comes from');
SELECT is(t.asks('by_staff', '{"staff": ["b", "a", "b"]}'), '/of/b', 'with the first of them');
SELECT is(t.asks('by_many', '{"staff": ["b", "a", "b"]}'), '/many {"ids": ["b", "a"]}', 'or a list, each once');
SELECT is(t.asks('by_order', '{"orders": [{"id": null}, {"id": 7, "x": {"day": "2026-03-01"}}]}'), '/order/7?d=2026-03-01', 'or fields of it');
SELECT is(t.asks('by_config'), 'ids of the configuration is not given', 'not without what the configuration lacks');
SELECT is(t.asks('by_config', config => '{"ids": ["k1", "k2"]}'), '/c/k1', 'with its first value');
SELECT is(t.asks('by_default'), '/d/a', 'or its default');
SELECT is(t.asks('by_value'), '/v/p', 'or that of the manifest');
SELECT unalike(t.asks('by_staff', '{"staff": [".."]}'), '/of/%', 'what can not be asked is told');
SELECT is(cdp_internal.part_of_record(partition::jsonb, payload::jsonb), want::jsonb, what) FROM (VALUES ('{}', '"x"', '"x"', 'a record that is its value'), ('{"value": "a.b"}', '{"a": {"b": 7}}', '7', 'a field of it'), ('{"value": "a"}', '{"a": ""}', NULL, 'none where it is empty'),
  ('{"value": "a"}', '{"a": [1]}', NULL, 'or no scalar'), ('{}', '{"a": 1}', NULL, 'an object is no value')) v (partition, payload, want, what);
SELECT results_eq($$SELECT s.part, s.server FROM cdp_internal.test_servers('{"base_url": "https://a.example:8443/v1", "auth": {"base_url": "$config.login"}}', '{"login": "https://b.example/x"}') s$$, $$VALUES ('', 'https://a.example:8443'), (':token', 'https://b.example')$$, 'the servers of data and of tokens');
SELECT results_eq($$SELECT s.part, s.server FROM cdp_internal.test_servers('{"base_url": "$config.u", "config": {"u": {"default": "https://a.example"}}, "auth": {}}', '{}') s$$, $$VALUES ('', 'https://a.example')$$, 'or the one of both');

-- What answers come to.
CREATE TABLE t.test AS SELECT cdp_internal.begin_connection_test(connection_id) AS id FROM cdp_data.connection;
CREATE FUNCTION t.found(check_name text) RETURNS text LANGUAGE sql AS $$ SELECT k.status || ': ' || k.detail FROM cdp_data.connection_check k, t.test WHERE k.test_id = test.id AND k.name = check_name $$;
CREATE FUNCTION t.page(stream text, body text, state jsonb DEFAULT '{"window": {"from": "2026-03-08", "to": "2026-03-08"}}') RETURNS jsonb LANGUAGE sql AS $$ SELECT cdp_internal.test_sample(test.id, m, '{}', stream, state, convert_to(body, 'UTF8')) FROM t.test, t.m $$;
SELECT is(t.page('orders', '{"list": [{"id": 1, "day": "2026-03-08", "at": "2026-03-08T01:00:00Z", "buyer": "a@example.org"}, {"id": 2, "day": "2026-03-09", "at": "2026-03-08T01:00:00Z", "buyer": "b@example.org"}]}') #> '{1,id}', '2', 'records come back for streams that are asked by them');
SELECT is(t.found('sample:orders'), 'ok: 2 records, each with its key', 'records are counted');
SELECT is(t.found('zone:orders'), 'warn: 1 of 2 records carry a day that was not asked; days are those of Asia/Shanghai', 'days that were not asked are told');
SELECT is(t.found('identity:orders'), 'warn: of 2 touchpoints: email in 2, unionid in 0', 'and who they are about');
SELECT is(t.page('orders', '{"list": [{"day": "2026-03-08"}, {"id": 2, "day": "2026-03-08"}]}') #> '{1,id}', '2', 'half of a page is bad');
SELECT is(t.found('sample:orders'), 'warn: 2 records, 1 of them with no_key', 'that is a warning');
SELECT is(t.page('orders', '{"list": '), '[]', 'what is no JSON');
SELECT alike(t.found('sample:orders'), 'fail: %', 'is a failure');
SELECT cdp_internal.test_greet(test.id, '{"date": "Sun, 08 Mar 2026 12:00:00 GMT"}', 'C = XX, O = Authority', 'Mar 20 12:00:00 2026 GMT', false, '2026-03-08 12:01:30.4+00', 100, 30) FROM t.test \g /dev/null
SELECT is(t.found('tls') || '; ' || t.found('clock'), 'warn: issued by C = XX, O = Authority, 11 days left; warn: our clock is 90.4 s ahead of the server''s', 'a certificate that ends soon, a clock that is wrong, in any zone of the session');
SELECT cdp_internal.test_greet(test.id, '{"date": "yesterday"}', 'C = XX', 'never', false, '2026-03-08 12:01:30.4+00', 100, 30) FROM t.test \g /dev/null
SELECT is(t.found('tls') || '; ' || t.found('clock'), 'ok: issued by C = XX; skip: the server tells no time', 'what can not be read is left out');
SELECT is(cdp_internal.named_address(convert_to(v.body, 'UTF8')), v.want, v.body) FROM (VALUES ('{"errmsg":"not allow, from ip: 203.0.113.7, more"}', '203.0.113.7'), ('invalid ip 203.0.113.8.', '203.0.113.8'), ('1.2.3.4.5 and 1.2.3', NULL)) v (body, want);
-- The call that tells what is left of a quota.
CREATE FUNCTION t.quota(q jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT m || jsonb_build_object('quota_check', q) FROM t.m $$;
SELECT is((SELECT string_agg(path || ' ' || code, ', ' ORDER BY path) FROM cdp.connector_problems(t.quota('{"path": "/q/$partition", "body": {"a": "$secret.x"}, "left": "left", "to": 1}'))),
  'quota_check.body.a secret_outside_auth, quota_check.left bad_path, quota_check.path unknown_variable, quota_check.to unknown_key', 'its grammar');
SELECT is(r ->> 'target' || ' ' || (r ->> 'body'), '/q {"b": 1, "x": {"api": "/order/$partition.id"}}', 'the path of the stream that it asks about, with its own dollar signs')
FROM cdp_internal.test_quota_request(t.quota('{"path": "/q", "method": "POST", "body": {"b": 1, "x": {}}, "send": "body.x.api", "left": "$.l"}'), '{}', 'by_order') r;
SELECT is(r ->> 'target', '/q?api=%2Fstaff', 'or in the query') FROM cdp_internal.test_quota_request(t.quota('{"path": "/q", "send": "query.api", "left": "$.l"}'), '{}', 'staff') r;
SELECT is(cdp_internal.test_quota_request(m, '{}', 'staff'), NULL, 'none where the manifest has none') FROM t.m;
SELECT cdp_internal.test_quota(test.id, t.quota('{"path": "/q", "left": "$.l", "of": "$.n"}'), 'staff', 'ok', NULL, NULL, '{"l": "0", "n": 100}') FROM t.test \g /dev/null
SELECT is(t.found('quota'), 'warn: 0 of 100 calls of staff are left', 'used up');
SELECT cdp_internal.test_quota(test.id, t.quota('{"path": "/q", "left": "$.l"}'), 'staff', 'ok', NULL, NULL, '{"l": 3}') FROM t.test \g /dev/null
SELECT is(t.found('quota'), 'ok: 3 calls of staff are left', 'without a number of all');
SELECT cdp_internal.test_quota(test.id, t.quota('{"path": "/q", "left": "$.l"}'), 'staff', 'ok', NULL, NULL, 'nothing') FROM t.test \g /dev/null
SELECT is(t.found('quota'), 'skip: the server does not tell it', 'or of anything');
SELECT * FROM finish();
ROLLBACK;
