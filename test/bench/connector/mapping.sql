-- Records for mapping_vs_load, and the touchpoints that they mean, ready-made. Variable: records.
SET client_min_messages = error;
\set QUIET on
\o /dev/null
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY');
SELECT cdp.add_source('chat'), cdp.create_connection('chat', 'wecom', '{"corpid": "ww1"}', 'chat');
UPDATE cdp_data.connection SET state = 'live';
INSERT INTO cdp_data.stream (connection_id, stream_id, name, source_id) SELECT c.connection_id, v.id, v.name, c.source_id FROM cdp_data.connection c, (VALUES (1, 'contact_way'), (2, 'contacts')) v (id, name);
-- A thousand contact ways; each person was added by two members of staff, by one of two thousand states, half of them known.
INSERT INTO cdp_data.raw_record (connection_id, stream_id, record_key, source_id, part, page_id, first_seen_at, changed_at, payload)
SELECT c.connection_id, 1, 'w' || i, c.source_id, 'w' || i, 1, '2026-07-01', '2026-07-01', jsonb_build_object('config_id', 'w' || i, 'state', 'state-' || i) FROM cdp_data.connection c, generate_series(1, 1000) i;
INSERT INTO cdp_data.raw_record (connection_id, stream_id, record_key, source_id, part, page_id, first_seen_at, changed_at, payload)
SELECT c.connection_id, 2, jsonb_build_array('staff-' || x.staff, x.who)::text, c.source_id, jsonb_build_array('staff-' || x.staff)::text, 2 + i / 100, '2026-07-01', '2026-07-01',
  jsonb_build_object('external_contact', jsonb_build_object('external_userid', x.who, 'unionid', 'oUnion' || md5(x.who), 'name', 'Person ' || i / 2, 'type', 1, 'gender', i % 3, 'avatar', 'https://wx.example/' || md5(i::text)),
    'follow_info', jsonb_build_object('userid', 'staff-' || x.staff, 'remark', 'Remark ' || i, 'createtime', 1760000000 + i * 37, 'state', 'state-' || 1 + i % 2000, 'add_way', i % 11, 'tag_id', jsonb_build_array('t' || i % 7, 't' || i % 5)))
FROM cdp_data.connection c, generate_series(0, :records - 1) i CROSS JOIN LATERAL (SELECT i % 2 * 50 + (i / 2) % 50 AS staff, 'wmChat' || md5('p' || i / 2) AS who) x;
ANALYZE cdp_data.raw_record;
CREATE TABLE ready AS
SELECT 'contacts:' || r.record_key AS source_key, to_timestamp((p #>> '{follow_info,createtime}')::bigint) AS occurred_at, 'unionid'::text AS identifier_type, p #>> '{external_contact,unionid}' AS identifier, 'add_contact'::text AS kind, 'wecom'::text AS source,
  CASE WHEN substr(p #>> '{follow_info,state}', 7)::integer <= 1000 THEN p #>> '{follow_info,state}' END AS campaign,
  (ARRAY['unknown', 'qr_code', 'mobile_search', 'card', 'group', 'address_book', 'wechat_contact', 'friend_apply', 'third_party', 'email', 'channels'])[1 + (p #>> '{follow_info,add_way}')::integer] AS add_way,
  jsonb_build_object('staff', p #> '{follow_info,userid}', 'state', p #> '{follow_info,state}') AS properties
FROM cdp_data.raw_record r CROSS JOIN LATERAL (SELECT r.payload AS p) x WHERE r.stream_id = 2 ORDER BY r.page_id, r.record_key;
CREATE TABLE ready_events AS SELECT r.source_key, r.occurred_at, r.kind, r.source, r.campaign, r.add_way, r.properties, r.identifier AS unionid, x.payload #>> '{external_contact,external_userid}' AS external_userid
FROM ready r JOIN cdp_data.raw_record x ON x.stream_id = 2 AND r.source_key = 'contacts:' || x.record_key;
VACUUM ANALYZE;
CREATE PROCEDURE run_map() LANGUAGE plpgsql AS $$
DECLARE
  at bigint := bench_cpu();
  n bigint;
BEGIN
  CALL cdp.map_connection('chat', n);
  RAISE INFO 'map %', (bench_cpu() - at) / 1e9;
END $$;
CREATE PROCEDURE run_load() LANGUAGE plpgsql AS $$
DECLARE
  at bigint := bench_cpu();
BEGIN
  PERFORM cdp.load_touchpoints('chat', 'public.ready');
  COMMIT;
  RAISE INFO 'load %', (bench_cpu() - at) / 1e9;
END $$;
CREATE PROCEDURE run_events() LANGUAGE plpgsql AS $$
DECLARE
  at bigint := bench_cpu();
BEGIN
  PERFORM cdp.load_events('chat', 'public.ready_events');
  COMMIT;
  RAISE INFO 'events %', (bench_cpu() - at) / 1e9;
END $$;
CREATE FUNCTION sum_of() RETURNS text LANGUAGE sql AS $$
  SELECT count(*) || ' ' || sum(hashtextextended(concat_ws('|', k.source_key, extract(epoch FROM t.occurred_at), t.kind_id, o.source, o.medium, o.campaign, o.add_way, i.value, t.properties), 0)::numeric)
  FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id, customer_id, occurred_at) JOIN cdp_data.origin o USING (origin_id) JOIN cdp_data.identifier i USING (identifier_id) $$;
-- Each person is one customer with both identifiers.
CREATE FUNCTION people_are_right() RETURNS boolean LANGUAGE sql AS $$
  SELECT count(DISTINCT c.parent_id) = (SELECT count(DISTINCT identifier) FROM ready) AND count(*) = 2 * count(DISTINCT c.parent_id) FROM cdp_data.identifier i JOIN cdp_data.customer c USING (customer_id) $$;
\o
