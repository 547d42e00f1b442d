-- Pulls that could not go on: a cursor that the vendor takes no more, a part that only looks like a list, a place of values that no pull could read.
SELECT no_plan();
SET client_min_messages = error;
SELECT cdp.add_connector('{"connector": "mine", "version": 1, "base_url": "https://x.example", "tz": "Asia/Shanghai", "ok": {"path": "$.errcode", "equals": [0, null]}, "errors": [{"code": 1, "do": "park", "until": "hour"}],
  "streams": {"all": {"path": "/all", "cursor": {"send": "query.c", "take": "$.next", "resumable": true}, "records": "$.list[*]", "key": ["id"]},
    "log": {"path": "/log", "cursor": {"send": "query.c", "take": "$.next", "more": "$.more", "keep": true}, "records": "$.list[*]", "key": ["id"], "every": "1 min"},
    "some": {"path": "/some", "partition": {"from": "all", "value": "id", "chunk": 5}, "query": {"id": "$partition"}, "records": "$.list[*]", "key": ["id"]}}}') \g /dev/null
SELECT cdp.add_source('mine'), cdp.create_connection('mine', 'mine', '{}', 'mine') \g /dev/null
UPDATE cdp_data.connection SET state = 'shadow';
SELECT connection_id AS c, cdp_internal.begin_sync(connection_id, NULL) AS run FROM cdp_data.connection \gset
CREATE FUNCTION pg_temp.planned(stream text, at text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(p.state::text, ' ') FROM cdp_internal.plan_stream((SELECT connection_id FROM cdp_data.connection), stream, (at || '+08')::timestamptz) p $$;
CREATE FUNCTION pg_temp.answer(stream text, state jsonb, body text, at text) RETURNS text LANGUAGE sql AS $$
  SELECT a.action FROM cdp_internal.sync_answered((SELECT min(run_id) FROM cdp_data.sync_run), stream, state, '/x', 1, (at || '+08')::timestamptz, 'ok', NULL, 200, '{}', convert_to(body, 'UTF8'), (at || '+08')::timestamptz, 1, 1, 0, NULL) a $$;

-- A pull that stopped at its second page goes on there, unless the vendor takes the cursor no more.
SELECT is(pg_temp.answer('all', '{}', '{"list": [{"id": "a"}, {"id": "[x"}, {"id": "[y]"}], "next": "c2"}', '2026-03-02 09:00'), 'go', 'a first page');
SELECT is(pg_temp.planned('all', '2026-03-04 09:00'), '{"cursor": "c2"}', 'two days later the pull goes on');
SELECT is(pg_temp.answer('all', '{"cursor": "c2"}', '{"errcode": 1}', '2026-03-04 09:00'), 'park', 'no calls are left');
SELECT is(pg_temp.planned('all', '2026-03-04 11:00'), '{"cursor": "c2"}', 'so it goes on there later');
SELECT is(pg_temp.answer('all', '{"cursor": "c2"}', '{"errcode": 77, "errmsg": "invalid cursor"}', '2026-03-04 11:00'), 'leave', 'the cursor is taken no more');
SELECT is(pg_temp.planned('all', '2026-03-04 13:00'), '{}', 'the next pull begins anew');
SELECT is(pg_temp.answer('log', '{}', '{"list": [{"id": 1}], "next": "k1", "more": 0}', '2026-03-02 09:00'), 'done', 'a cursor that is kept');
SELECT is(pg_temp.answer('log', '{"cursor": "k1"}', '{"errcode": 77}', '2026-03-02 10:00'), 'leave', 'and is taken no more');
SELECT is(pg_temp.planned('log', '2026-03-02 11:00'), '{}', 'is forgotten, too');
SELECT is(pg_temp.answer('log', '{}', '{"list": [{"id": 1}], "next": "k2", "more": 0}', '2026-03-02 11:00'), 'done', 'another one');
SELECT is(pg_temp.answer('log', '{"cursor": "old"}', '{"errcode": 77}', '2026-03-02 11:30'), 'leave', 'is not forgotten for the refusal of an older one');
SELECT is(pg_temp.planned('log', '2026-03-02 12:00'), '{"cursor": "k2"}', 'and goes on');

-- Parts of the time when the stream was asked one by one.
INSERT INTO cdp_data.stream_part (connection_id, stream_id, part, source_id, last_fetched_at, page_id, done)
SELECT :c, cdp_internal.stream_number(:c, 'some'), p, (SELECT source_id FROM cdp_data.connection), '2026-03-03', 1, true FROM unnest(ARRAY['[x', '[y]', '[1', '["a"]']) p;
SELECT is(pg_temp.planned('some', '2026-03-01 10:00'), '{"partition": ["[x", "[y]"]}', 'a part that only looks like a list is none');
SELECT cdp_internal.wish(:c, 'some', 'a', 'callback', '2026-03-02 10:00+08') \g /dev/null
SELECT is(pg_temp.answer('some', '{"partition": ["a"]}', '{"list": []}', '2026-03-02 10:01'), 'done', 'nor when a wish is granted');

-- Values are read by names with dots between.
SELECT is((SELECT string_agg(path || ' ' || code, ', ' ORDER BY path) FROM cdp.connector_problems(jsonb_set((SELECT manifest FROM cdp_data.connector), '{streams,some,partition}', p::jsonb))), want, p) FROM (VALUES
  ('{"from": "all", "value": "a.b"}', NULL), ('{"from": "all", "value": "@"}', NULL), ('{"from": "all", "value": "a[0]"}', 'streams.some.partition.value bad_path'), ('{"from": "all", "value": "[\"a b\"]"}', 'streams.some.partition.value bad_path'), ('{"from": "all", "value": "a[*].b"}', 'streams.some.partition.value bad_path')) AS v (p, want);
SELECT is((SELECT string_agg(path || ' ' || code, ', ' ORDER BY path) FROM cdp.connector_problems(jsonb_set(jsonb_set((SELECT manifest FROM cdp_data.connector), '{streams,some,partition}', '{"from": "all", "fields": {"i": "a.b", "k": "a[1]"}}'), '{streams,some,query}', '{"id": "$partition.i"}'))), 'streams.some.partition.fields.k bad_path', 'fields as well');
SELECT * FROM finish();
