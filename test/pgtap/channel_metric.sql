-- Figures of records: known answers, what is told anew, gone, back, replayed, or declared otherwise; against a twin on random pages.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'America/New_York';
SELECT cdp.add_source('oa'), cdp.create_connection('oa', 'wechat_oa', '{"appid": "wx1"}', 'oa') \g /dev/null
UPDATE cdp_data.connection SET state = 'live' WHERE name = 'oa';
SELECT connection_id AS oa FROM cdp_data.connection WHERE name = 'oa' \gset
CREATE FUNCTION pg_temp.tell(stream text, body text, day date, at text) RETURNS bigint LANGUAGE sql AS $$ SELECT page_id FROM cdp.ingest_page('oa', stream, convert_to(body, 'UTF8'), NULL, day, day, fetched_at => (at || '+08')::timestamptz) $$;
CREATE FUNCTION pg_temp.figures() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(concat_ws(' ', metric, standard, kind, to_char(day, 'MM-DD'), trim_scale(value), nullif(dimensions, '{}'), CASE WHEN is_total THEN 'total' END, content_kind, content_id, revision), ', ' ORDER BY metric, day, record_key) FROM cdp_data.channel_metric $$;

SELECT is(cdp_internal.map_metrics(:oa), 0::bigint, 'nothing landed');
SELECT pg_temp.tell('user_summary', '{"list": [{"ref_date": "2026-03-02", "user_source": 0, "new_user": 5, "cancel_user": 1}, {"ref_date": "2026-03-02", "user_source": 99999999, "new_user": 7, "cancel_user": "x"}]}', '2026-03-02', '2026-03-03 09:00') AS first \gset
SELECT is(cdp_internal.map_metrics(:oa) || ' ' || cdp_internal.map_metrics(:oa), '2 0', 'two records, once');
SELECT is(pg_temp.figures(), 'cancel_user lost_followers sum 03-02 1 {"user_source": "0"} 1, new_user new_followers sum 03-02 5 {"user_source": "0"} 1, new_user new_followers sum 03-02 7 {"user_source": "99999999"} total 1', 'their figures, with shared names, dimensions, and which is a total; what is no number is none');
SELECT is((SELECT problems FROM cdp_data.metric_progress), 1::bigint, 'and counted');
SELECT is((SELECT detail FROM cdp.health() WHERE finding = 'figures_unread'), 'stream user_summary of connection oa: 1 figures could not be read, such as texts that are no numbers', 'health tells');
SELECT is((SELECT concat_ws(' ', day, value, state, is_final) FROM cdp_bi.channel_daily WHERE metric = 'new_user'), '2026-03-02 5 provisional f', 'a total is not added');
SELECT pg_temp.tell('user_summary', '{"list": [{"ref_date": "2026-03-02", "user_source": 0, "new_user": 6}, {"ref_date": "2026-03-02", "user_source": 99999999, "new_user": 7, "cancel_user": "x"}]}', '2026-03-02', '2026-03-04 09:00') \g /dev/null
SELECT is(cdp_internal.map_metrics(:oa), 1::bigint, 'one is told anew');
SELECT is(pg_temp.figures(), 'new_user new_followers sum 03-02 6 {"user_source": "0"} 2, new_user new_followers sum 03-02 7 {"user_source": "99999999"} total 1', 'a figure that it says no more is gone');
SELECT pg_temp.tell('user_summary', '{"list": [{"ref_date": "2026-03-02", "user_source": 99999999, "new_user": 7, "cancel_user": "x"}]}', '2026-03-02', '2026-03-05 09:00') \g /dev/null
SELECT is(cdp_internal.map_metrics(:oa) || ' ' || pg_temp.figures(), '1 new_user new_followers sum 03-02 7 {"user_source": "99999999"} total 1', 'a record that is gone has none');
SELECT pg_temp.tell('user_summary', '{"list": [{"ref_date": "2026-03-02", "user_source": 0, "new_user": 6}, {"ref_date": "2026-03-02", "user_source": 99999999, "new_user": 7, "cancel_user": "x"}]}', '2026-03-02', '2026-03-06 09:00') \g /dev/null
SELECT is(cdp_internal.map_metrics(:oa) || ' ' || (pg_temp.figures() ~ 'new_user new_followers sum 03-02 6'), '1 true', 'one that is back has them');
SELECT cdp.replay_page(:first) \g /dev/null
SELECT is((SELECT page_id FROM cdp_data.metric_progress), :first - 1::bigint, 'a replay sets it back');
CREATE TEMP TABLE before AS SELECT m.*, m.xmin::text AS x FROM cdp_data.channel_metric m;
SELECT is((cdp_internal.map_metrics(:oa) > 0) AND NOT EXISTS (SELECT FROM (SELECT m.*, m.xmin::text FROM cdp_data.channel_metric m EXCEPT SELECT * FROM before) d), true, 'and what it did not change is not written');
SELECT pg_temp.tell('article_read', '{"is_delay": false, "list": [{"ref_date": "2026-03-02", "msgid": "m1", "detail": {"read_user": 40}}]}', '2026-03-02', '2026-03-06 09:00'), cdp_internal.map_metrics(:oa) \g /dev/null
SELECT is((SELECT concat_ws(' ', metric, standard, kind, value, content_kind, content_id) FROM cdp_data.channel_metric WHERE content_id IS NOT NULL), 'read_user viewers gauge 40 post m1', 'a figure of a post');
SELECT is((SELECT concat_ws(' ', stream, content_kind, content_id, metric, day, value, is_final) FROM cdp_bi.content_daily), 'article_read post m1 read_user 2026-03-02 40 t', 'to be read by day');

-- Random pages of a stream of one's own by partition, read in small pieces, against all records at once.
CREATE FUNCTION pg_temp.shop(metrics jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('connector', 'my_shop', 'version', 1, 'base_url', 'https://shop.example', 'tz', 'Europe/Berlin', 'streams', jsonb_build_object(
  'staff', '{"path": "/staff", "records": "$[*]", "key": ["@"]}'::jsonb,
  'days', '{"path": "/d", "query": {"s": "$partition", "from": "$window.from"}, "partition": {"from": "staff"}, "window": {"unit": "day", "end": "last_day", "max_days": 7, "format": "date", "final_after_days": 3}, "records": "$[*]", "key": ["$partition", "day", "k"], "ref_date": {"path": "day", "format": "date"},
    "dimensions": {"staff": "$partition", "k": "k"}, "content": {"kind": "post", "id": "post"}}'::jsonb || jsonb_build_object('metrics', metrics))) $$;
SELECT cdp.add_source('shop'), cdp.add_connector(pg_temp.shop('{"a": {"kind": "sum", "as": "orders"}, "b": {"kind": "ratio", "weight": "a"}, "c": {"path": "money.c", "kind": "sum"}}')), cdp.create_connection('shop', 'my_shop', '{}', 'shop') \g /dev/null
SELECT connection_id AS shop FROM cdp_data.connection WHERE name = 'shop' \gset
CREATE VIEW twin AS SELECT r.record_key, f.metric, f.standard, f.kind, f.value, f.weight, r.part, r.ref_date AS day, f.dimensions, (SELECT x.content_id FROM cdp_internal.connector_content(m.m, 'days', r.payload, s.s) x WHERE x.problem IS NULL) AS content_id, r.page_id, r.revision, r.tokens
FROM cdp_data.raw_record r JOIN cdp_data.connection c USING (connection_id), LATERAL (SELECT cdp_internal.connector_manifest(c.connector) OFFSET 0) m (m), LATERAL (SELECT jsonb_build_object('config', c.config, 'partition', r.part)) s (s), LATERAL cdp_internal.connector_metrics(m.m, 'days', r.payload, s.s) f
WHERE c.name = 'shop' AND r.gone_at IS NULL AND f.value IS NOT NULL AND r.ref_date IS NOT NULL;
CREATE FUNCTION pg_temp.same() RETURNS boolean LANGUAGE sql AS $$
  SELECT NOT EXISTS (SELECT * FROM twin EXCEPT SELECT m.record_key, m.metric, m.standard, m.kind, m.value, m.weight, m.part, m.day, m.dimensions, m.content_id, m.page_id, m.revision, m.tokens FROM cdp_data.channel_metric m JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'shop')
    AND (SELECT count(*) FROM twin) = (SELECT count(*) FROM cdp_data.channel_metric m JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'shop') $$;
SELECT setseed(0.5) \g /dev/null
CREATE FUNCTION pg_temp.round(i int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE day date := date '2026-03-02' + (random() * 20)::int; part text := (ARRAY['li', 'wu', 'ma'])[1 + (random() * 2)::int]; body text; n bigint;
BEGIN
  SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('day', day + (random() * 2)::int, 'k', (random() * 2)::int, 'a', CASE WHEN random() < 0.9 THEN (random() * 5)::int END, 'b', CASE WHEN random() < 0.3 THEN '"-"'::jsonb ELSE to_jsonb(round(random()::numeric, 2)) END,
    'money', jsonb_build_object('c', random() < 0.1), 'post', CASE WHEN random() < 0.5 THEN 'p' || (random() * 3)::int END)))::text INTO body FROM generate_series(1, (random() * 4)::int);
  PERFORM cdp.ingest_page('shop', 'days', convert_to(coalesce(body, '[]'), 'UTF8'), to_jsonb(part), day, day + 2, fetched_at => timestamptz '2026-04-01' + i * interval '1 hour');
  IF i % 7 = 0 THEN PERFORM cdp.replay_page((SELECT page_id FROM cdp_data.raw_page p JOIN cdp_data.connection c USING (connection_id) WHERE c.name = 'shop' ORDER BY random() LIMIT 1)); END IF;
  IF random() < 0.4 THEN RETURN NULL; END IF;
  LOOP
    n := cdp_internal.map_metrics((SELECT connection_id FROM cdp_data.connection WHERE name = 'shop'), 3);
    EXIT WHEN n = 0;
  END LOOP;
  RETURN pg_temp.same();
END $$;
CREATE TEMP TABLE rounds AS SELECT i, pg_temp.round(i) AS same FROM generate_series(1, 150) i;
SELECT is((SELECT bool_and(same) || ' ' || (count(same) > 50) FROM rounds), 'true true', 'after every reading the figures are those of all records at once');
SELECT is((SELECT count(*) > 20 FROM twin) AND (SELECT bool_or(revision > 2) FROM twin) AND EXISTS (SELECT FROM cdp_data.raw_record WHERE gone_at IS NOT NULL), true, 'with some that changed, and some that are gone');
-- Another declaration.
SELECT cdp.add_connector(pg_temp.shop('{"a": {"kind": "gauge"}, "d": {"path": "k", "kind": "sum"}}')) \g /dev/null
SELECT sum(cdp_internal.map_metrics(:shop, 7)) FROM generate_series(1, 100) \g /dev/null
SELECT is(pg_temp.same() AND (SELECT array_agg(DISTINCT metric || kind) FROM twin) = '{agauge,dsum}', true, 'what the manifest declares otherwise is read anew');
SELECT cdp.add_connector(pg_temp.shop('{"a": "sum"}') #- '{streams,days}') \g /dev/null
SELECT is(cdp_internal.map_metrics(:shop), 0::bigint, 'a stream that is not declared any more is left as it is');
SELECT is(cdp_internal.record_state('{}', '{"partition": {"chunk": 100}}', '["a", "b"]') || cdp_internal.record_state('{"x": 1}', '{"partition": {}}', '[a'), '{"config": {"x": 1}, "partition": "[a"}', 'what a record was asked by');
SELECT is(cdp_internal.record_state('{}', '{"partition": {"chunk": 100}}', '["a", "b"]') -> 'partition', '["a", "b"]'::jsonb, 'a list where it was asked in chunks');

CREATE ROLE metric_analyst; CREATE ROLE metric_privacy;
CALL cdp.setup(analyst => 'metric_analyst', privacy => 'metric_privacy');
SET ROLE metric_analyst;
SELECT is((SELECT count(*) > 0 FROM cdp_bi.channel_daily) AND (SELECT count(*) > 0 FROM cdp_bi.content_daily) AND (SELECT count(value) > 0 FROM cdp_data.channel_metric), true, 'analysts read figures');
SELECT throws_ok('SELECT tokens FROM cdp_data.channel_metric', '42501', NULL, 'and no hashes of words');
RESET ROLE;
SELECT * FROM finish();
