-- The built-in manifests: each is good, asks what the fixtures of the vendors ask, and reads what they answer. What stands in no fixture is listed.
BEGIN;
SELECT no_plan();
SELECT is_empty($$SELECT b.connector, p.* FROM cdp.connector_builtin() b CROSS JOIN LATERAL cdp.connector_problems(b.manifest) p$$, 'every built-in manifest is good');
SELECT is((SELECT string_agg(connector || CASE WHEN is_example THEN '*' ELSE '' END, ' ' ORDER BY connector) FROM cdp.connector_builtin()),
  'channels_shop csv_http douyin* linkedin* meta* mini_program rest_json tiktok* webhook wechat_channels wechat_oa wecom weibo* x* xiaohongshu* youtube*', 'the built-in connectors; * is an example');
SELECT is_empty($$SELECT connector, stream FROM cdp_bi.connector WHERE stream_title IS NULL$$, 'every stream has a title');
SELECT is_empty($$SELECT b.connector, t.kind FROM cdp.connector_builtin() b CROSS JOIN LATERAL jsonb_path_query(b.manifest, '$.streams.*.touchpoint.kind') AS t (kind) WHERE t.kind #>> '{}' NOT IN (SELECT name FROM cdp.touch_kind_builtin())$$, 'kinds of touchpoints are known');
SELECT is_empty($$SELECT b.connector, k FROM cdp.connector_builtin() b CROSS JOIN LATERAL jsonb_path_query(b.manifest, '$.streams.*.touchpoint.identifiers.keyvalue()') AS t (kv) CROSS JOIN LATERAL (SELECT t.kv ->> 'key') AS x (k) WHERE k NOT IN (SELECT name FROM cdp.identifier_type_builtin())$$, 'so are types of identifiers');
SELECT is_empty($$SELECT b.connector, b.manifest ->> 'channel' FROM cdp.connector_builtin() b WHERE b.manifest ? 'channel' AND b.manifest ->> 'channel' NOT IN (SELECT name FROM cdp.channel_builtin())$$, 'and channels');
SELECT is_empty($$SELECT b.connector, s.key FROM cdp.connector_builtin() b CROSS JOIN LATERAL jsonb_each(b.manifest -> 'streams') s WHERE s.value ? 'touchpoint' AND NOT s.value ? 'pii'$$, 'a stream whose records name people says which values are theirs');

CREATE TEMP TABLE builtin AS SELECT * FROM cdp.connector_builtin();
-- A state for each stream, and the request that it makes.
CREATE TEMP TABLE asked AS
SELECT b.connector, s.key AS stream, cdp_internal.connector_request(b.manifest, s.key, jsonb_strip_nulls(jsonb_build_object('cursor', CASE WHEN coalesce(s.value #>> '{cursor,kind}', 'token') = 'token' AND s.value ? 'cursor' THEN '"C"'::jsonb END,
    'config', (SELECT coalesce(jsonb_object_agg(c.key, CASE c.value ->> 'type' WHEN 'url' THEN '"https://example.com"'::jsonb WHEN 'list' THEN '["a"]' ELSE '"1"' END), '{}') FROM jsonb_each(coalesce(b.manifest -> 'config', '{}')) c),
    'partition', CASE WHEN (s.value #>> '{partition,chunk}')::integer > 1 THEN '["p"]'::jsonb WHEN s.value ? 'partition' THEN '"p"' END, 'window', '{"from": "2026-03-01", "to": "2026-03-01"}'::jsonb))) AS request
FROM builtin b CROSS JOIN LATERAL jsonb_each(b.manifest -> 'streams') s;
SELECT is((SELECT count(*) FROM asked WHERE request ->> 'host' <> ''), (SELECT count(*) FROM cdp_bi.connector WHERE is_builtin), 'every stream makes a request');
SELECT is_empty($$SELECT connector, stream FROM asked WHERE (request - 'auth')::text ~ '\$\{|secret'$$, 'no request names a secret outside of auth');

\set have_channels `test -n "$CDP_SHARED" && test -f "$CDP_SHARED/channels/weixin_skit.json.gz" && echo true || echo false`
\if :have_channels
CREATE TEMP TABLE raw (line text);
\copy raw FROM PROGRAM 'for f in wecom_skit weixin_skit wecom.openapi; do echo "$f:$(gunzip -c "$CDP_SHARED/channels/$f.json.gz" | base64 -w0)"; done'
CREATE TEMP TABLE fixture AS
SELECT p.key AS path, upper(m.key) AS method, m.value AS op, split_part(r.line, ':', 1) AS source
FROM raw r CROSS JOIN LATERAL (SELECT d.doc FROM cdp_internal.decode_body(decode(split_part(r.line, ':', 2), 'base64')) d) d CROSS JOIN LATERAL jsonb_each(d.doc -> 'paths') p CROSS JOIN LATERAL jsonb_each(p.value) m;
CREATE TEMP TABLE sample AS
SELECT a.connector, a.stream, a.request, f.source, f.path, f.op #> '{requestBody,content,application/json,schema}' AS body_schema, f.op #> '{requestBody,content,application/json,example}' AS body_example,
  f.op #> '{responses,200,content,application/json,example}' AS answer, f.op -> 'parameters' AS parameters
FROM asked a JOIN fixture f ON f.path = a.request ->> 'path' AND f.method = a.request ->> 'method' AND (f.source = 'weixin_skit') = (a.connector <> 'wecom') WHERE a.connector IN ('wecom', 'wechat_oa', 'wechat_channels', 'channels_shop', 'mini_program');
SELECT is((SELECT string_agg(a.connector || '.' || a.stream, ' ' ORDER BY a.connector, a.stream) FROM asked a WHERE a.connector IN ('wecom', 'wechat_oa', 'wechat_channels', 'channels_shop', 'mini_program') AND NOT EXISTS (SELECT FROM sample s WHERE (s.connector, s.stream) = (a.connector, a.stream))),
  'wechat_oa.account_summary wechat_oa.article_detail wechat_oa.article_read wechat_oa.article_share', 'in no fixture, so untested against one');
SELECT is((SELECT count(DISTINCT (connector, stream)) FROM sample), 41::bigint, 'the other requests have the path and method of a fixture');
-- Keys of the body are those of the fixture; cursors and page sizes are there only when they are sent.
SELECT results_eq($$SELECT s.connector, s.stream, s.source, k FROM sample s CROSS JOIN LATERAL jsonb_object_keys((s.request ->> 'body')::jsonb) k WHERE s.body_schema -> 'properties' IS NOT NULL AND NOT s.body_schema -> 'properties' ? k ORDER BY 1, 2, 3$$,
  $$VALUES ('channels_shop', 'orders', 'weixin_skit', 'update_time_range'), ('wecom', 'service_messages', 'wecom.openapi', 'open_kfid')$$, 'no body has a key that its fixture lacks, but one that the sample leaves out and one that came later');
SELECT is_empty($$SELECT s.connector, s.stream, k FROM sample s CROSS JOIN LATERAL jsonb_object_keys(s.request -> 'query') k WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(s.parameters) p WHERE p ->> 'name' = k)$$, 'no parameter is asked that its fixture lacks');
SELECT is_empty($$SELECT s.connector, s.stream, r FROM sample s CROSS JOIN LATERAL jsonb_array_elements_text(coalesce(s.body_schema -> 'required', '[]')) r WHERE NOT (s.request ->> 'body')::jsonb ? r$$, 'what a fixture requires of a body is sent');
SELECT is_empty($$SELECT s.connector, s.stream, p ->> 'name' FROM sample s CROSS JOIN LATERAL jsonb_array_elements(s.parameters) p WHERE (p ->> 'required')::boolean AND p ->> 'name' <> 'access_token' AND p ->> 'in' = 'query' AND NOT s.request -> 'query' ? (p ->> 'name')$$, 'nor is a required parameter missing');
SELECT is_empty($$SELECT s.connector, s.stream FROM sample s CROSS JOIN LATERAL jsonb_array_elements(s.parameters) p WHERE p ->> 'name' = 'access_token' AND NOT s.request #> '{auth,query}' ? 'access_token'$$, 'the token goes where the fixture has it');
-- Values have the type that the fixture has.
SELECT is_empty($$SELECT s.connector, s.stream, e.key, e.value, jsonb_typeof(x.value) FROM sample s CROSS JOIN LATERAL jsonb_each((s.request ->> 'body')::jsonb) e JOIN LATERAL jsonb_each(s.body_example) x ON x.key = e.key WHERE jsonb_typeof(s.body_example) = 'object' AND jsonb_typeof(x.value) <> jsonb_typeof(e.value)$$, 'values of bodies have the types of the fixtures');

-- Every answer of a fixture is good, has records with keys, and says what comes next.
CREATE TEMP TABLE read AS
SELECT s.*, b.manifest, '{"config": {"corpid": "c", "appid": "a"}, "partition": "p", "window": {"from": "2026-03-01"}}'::jsonb AS state FROM sample s JOIN builtin b USING (connector) WHERE s.answer IS NOT NULL;
SELECT is_empty($$SELECT r.connector, r.stream, v.verb, v.code FROM read r CROSS JOIN LATERAL cdp_internal.connector_verdict(r.manifest, r.stream, 200, '{}', r.answer, now()) v WHERE v.verb <> 'ok'$$, 'every sample answer is good');
SELECT is_empty($$SELECT r.connector, r.stream FROM read r WHERE NOT EXISTS (SELECT FROM cdp_internal.connector_page(r.manifest, r.stream, r.answer, r.state))$$, 'and has records');
SELECT is((SELECT string_agg(r.connector || '.' || r.stream || ' ' || p.problem, ', ' ORDER BY r.connector, r.stream) FROM (SELECT DISTINCT connector, stream, manifest, state, answer FROM read) r CROSS JOIN LATERAL cdp_internal.connector_page(r.manifest, r.stream, r.answer, r.state) p WHERE p.problem IS NOT NULL),
  NULL, 'with keys and days');
SELECT is_empty($$SELECT r.connector, r.stream, m.key FROM read r CROSS JOIN LATERAL jsonb_each(r.manifest #> ARRAY['streams', r.stream, 'metrics']) m WHERE NOT EXISTS (SELECT FROM cdp_internal.connector_page(r.manifest, r.stream, r.answer, r.state) p WHERE p.payload #> string_to_array(coalesce(m.value ->> 'path', m.key), '.') IS NOT NULL)$$, 'every metric is in the sample');
SELECT is((SELECT string_agg(r.connector || '.' || r.stream || ' ' || n.problem, ', ' ORDER BY r.connector, r.stream) FROM read r CROSS JOIN LATERAL cdp_internal.connector_next(r.manifest, r.stream, r.answer, NULL,
    r.state || CASE WHEN (r.manifest #>> ARRAY['streams', r.stream, 'partition', 'chunk'])::integer > 1 THEN '{"partition": ["p"]}'::jsonb ELSE '{}' END) n WHERE n.problem IS NOT NULL), NULL, 'what comes next can be told');
\else
SELECT skip('../shared/data/channels is absent: no fixtures', 13);
\endif
SELECT * FROM finish();
ROLLBACK;
