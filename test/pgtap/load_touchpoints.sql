-- What one load does: reads any shape of staging, is idempotent, corrects, refuses bad rows with a reason, refers, feeds.
BEGIN;
SELECT plan(54);
SET LOCAL timezone = 'UTC';
SELECT throws_ok($$SELECT * FROM cdp.load_touchpoints('shop', 'pg_class')$$, '22023', 'unknown source "shop"', 'an unknown source is an error');
SELECT cdp.add_source('shop', 'America/New_York') AS shop \gset
SELECT cdp.add_source('app') AS app \gset
SELECT is((SELECT timezone FROM cdp_data.source WHERE name = 'app'), 'Asia/Shanghai', 'a source without a zone takes that of the reports');
SELECT is(cdp.add_source('shop', description => 'the shop'), :shop, 'add_source again changes the source');
SELECT is((SELECT timezone FROM cdp_data.source WHERE name = 'shop'), 'America/New_York', 'and keeps the zone when none is given');
SELECT throws_ok($$SELECT cdp.add_source('x', 'Mars/Olympus')$$, '22023', NULL, 'an unknown zone is an error');
-- Newer systems have such names in a package of their own (tzdata-legacy).
SELECT throws_ok($$SELECT cdp.add_source('x', 'EET')$$, '22023', (SELECT CASE WHEN EXISTS (SELECT FROM pg_timezone_names WHERE name = 'EET') THEN 'time zone "EET" has two meanings' ELSE 'unknown time zone "EET"' END), 'and so is one of two meanings');
SELECT throws_ok($$SELECT * FROM cdp.load_touchpoints('shop', 'pg_class')$$, '42703', NULL, 'a table without the columns is an error');
SELECT throws_ok($$SELECT * FROM cdp.load_touchpoints('shop', NULL)$$, '22004', NULL, 'no table is an error');
SELECT is(cdp.create_staging('st')::text, 'st', 'create_staging');
SELECT throws_ok($$SELECT cdp.create_staging('st')$$, '42P07', NULL, 'twice is an error');
SELECT throws_ok($$SELECT cdp.create_staging('a.b.c')$$, '42602', NULL, 'three parts are an error');

-- An ordinary first load; refused calls have used up numbers.
ALTER TABLE cdp_data.load ALTER load_id RESTART;
INSERT INTO st (source_key, occurred_at, identifier_type, identifier, kind, source, medium, campaign, value, currency, properties, refers_to, flags) VALUES
  (' a1 ', '2026-01-02 03:04:05', 'user_id', 'u1', 'Page_View', 'wechat', 'social', '春节', NULL, NULL, '{"page": "首页"}', NULL, ''),
  ('a2', '2026-07-02T03:04:05', 'user_id', 'u1', 'purchase', NULL, NULL, NULL, '12.50', 'usd', NULL, NULL, NULL),
  ('a3', '2026-07-03T03:04:05Z', 'user_id', 'u2', 'purchase', NULL, NULL, NULL, '7', NULL, NULL, NULL, NULL),
  ('a4', '2026-07-04 03:04:05', 'user_id', 'u1', 'refund', NULL, NULL, NULL, '-12.50', 'USD', NULL, 'a2', NULL),
  ('a5', '2026-07-05 03:04:05', 'crm_id', 'u1', 'page_view', 'wechat', 'social', '春节', NULL, NULL, NULL, NULL, '1');
SELECT results_eq($$SELECT load_id, rows_read, inserted, corrected, unchanged, quarantined, orphaned FROM cdp.load_touchpoints('shop', 'st')$$,
  'VALUES (1::bigint, 5::bigint, 5::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint)', 'five rows in');
SELECT results_eq($$SELECT jsonb_build_array(k.source_key, t.occurred_at, y.name || ':' || i.value, n.name, o.source, o.campaign, t.value, t.currency, t.properties, r.source_key, t.flags, t.load_id)
    FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id, customer_id, occurred_at) JOIN cdp_data.identifier i USING (identifier_id, customer_id)
      JOIN cdp_data.identifier_type_all y USING (type_id) JOIN cdp_data.touch_kind_all n USING (kind_id) JOIN cdp_data.origin o USING (origin_id)
      LEFT JOIN cdp_data.touchpoint_key r ON r.touchpoint_id = t.refers_to ORDER BY k.source_key$$,
  $$VALUES ('["a1", "2026-01-02T08:04:05+00:00", "user_id:u1", "page_view", "wechat", "春节", null, null, {"page": "首页"}, null, 0, 1]'::jsonb),
    ('["a2", "2026-07-02T07:04:05+00:00", "user_id:u1", "purchase", "", "", 12.5, "USD", null, null, 0, 1]'),
    ('["a3", "2026-07-03T03:04:05+00:00", "user_id:u2", "purchase", "", "", 7, "CNY", null, null, 0, 1]'),
    ('["a4", "2026-07-04T07:04:05+00:00", "user_id:u1", "refund", "", "", -12.5, "USD", null, "a2", 0, 1]'),
    ('["a5", "2026-07-05T07:04:05+00:00", "crm_id:u1", "page_view", "wechat", "春节", null, null, null, null, 1, 1]')$$,
  'every field, with the zone of the source and the currency of the reports');
SELECT is((SELECT count(*) FROM cdp_data.customer WHERE parent_id = customer_id), 3::bigint, 'each identifier is a customer of its own');
SELECT results_eq('SELECT jsonb_build_array(value, first_seen, last_seen) FROM cdp_data.identifier WHERE type_id = 1 ORDER BY value',
  $$VALUES ('["u1", "2026-01-02T08:04:05+00:00", "2026-07-04T07:04:05+00:00"]'::jsonb), ('["u2", "2026-07-03T03:04:05+00:00", "2026-07-03T03:04:05+00:00"]')$$, 'identifiers know when they were seen');
SELECT results_eq($$SELECT count(*), min(occurred_from), max(occurred_to), string_agg(DISTINCT cause, ',') FROM cdp_data.change_feed$$,
  $$VALUES (3::bigint, '2026-01-02 08:04:05+00'::timestamptz, '2026-07-05 07:04:05+00'::timestamptz, 'load')$$, 'the change feed names every customer and the times');
SELECT results_eq($$SELECT state, kind, rows_read, inserted, first_at, last_at, finished_at >= started_at FROM cdp_data.load$$,
  $$VALUES ('done', 'touchpoints', 5::bigint, 5::bigint, '2026-01-02 08:04:05+00'::timestamptz, '2026-07-05 07:04:05+00'::timestamptz, true)$$, 'the ledger');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_default), 0::bigint, 'partitions were made for the range');

-- The same again; then corrections.
CREATE TEMP TABLE before AS SELECT * FROM cdp_data.touchpoint;
SELECT results_eq($$SELECT inserted, corrected, unchanged FROM cdp.load_touchpoints('shop', 'st')$$, 'VALUES (0::bigint, 0::bigint, 5::bigint)', 'the same again is unchanged');
SELECT is((SELECT count(*) FROM cdp_data.change_feed), 3::bigint, 'and tells nobody');
SELECT results_eq($$SELECT touchpoints::text FROM cdp_data.load_confirmed$$, $$VALUES ('{[1,6)}')$$, 'what it confirmed is one range');
SELECT set_eq('TABLE cdp_data.touchpoint', 'TABLE before', 'nothing moved');
SELECT results_eq($$SELECT inserted FROM cdp.load_touchpoints('app', 'st')$$, 'VALUES (5::bigint)', 'another source has its own keys');
UPDATE st SET occurred_at = '2025-12-31 03:04:05' WHERE source_key = 'a2';
UPDATE st SET value = '8' WHERE source_key = 'a3';
UPDATE st SET identifier = 'u9' WHERE source_key = 'a5';
SELECT results_eq($$SELECT inserted, corrected, unchanged FROM cdp.load_touchpoints('shop', 'st')$$, 'VALUES (0::bigint, 3::bigint, 2::bigint)', 'a corrected time, value and person');
SELECT results_eq($$SELECT jsonb_build_array(k.source_key, t.touchpoint_id = b.touchpoint_id, t.occurred_at, t.value, i.value) FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id, customer_id, occurred_at)
    JOIN before b USING (touchpoint_id) JOIN cdp_data.identifier i ON i.identifier_id = t.identifier_id WHERE t.load_id = 4 ORDER BY k.source_key$$,
  $$VALUES ('["a2", true, "2025-12-31T08:04:05+00:00", 12.5, "u1"]'::jsonb), ('["a3", true, "2026-07-03T03:04:05+00:00", 8, "u2"]'), ('["a5", true, "2026-07-05T07:04:05+00:00", null, "u9"]')$$,
  'are in force under the same ids');
SELECT set_eq($$SELECT touchpoint_id, occurred_at, value, load_id, retracted_by_load, source_key FROM cdp_data.touchpoint_retracted WHERE restored_at IS NULL$$,
  $$SELECT b.touchpoint_id, b.occurred_at, b.value, 1::bigint AS l, 4::bigint AS r, k.source_key FROM before b JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key IN ('a2', 'a3', 'a5')$$,
  'and what they replaced is kept');
SELECT is((SELECT r.source_key FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) JOIN cdp_data.touchpoint_key r ON r.touchpoint_id = t.refers_to WHERE k.source_key = 'a4' AND k.source_id = :shop),
  'a2', 'the refund still refers to the corrected purchase');
SELECT results_eq($$SELECT jsonb_build_array(y.name, i.value, f.occurred_from, f.occurred_to) FROM cdp_data.change_feed f
    JOIN cdp_data.identifier i USING (customer_id) JOIN cdp_data.identifier_type_all y USING (type_id)
    WHERE f.seq > (SELECT max(seq) - 4 FROM cdp_data.change_feed) ORDER BY 1$$,
  $$VALUES ('["crm_id", "u1", "2026-07-05T07:04:05+00:00", "2026-07-05T07:04:05+00:00"]'::jsonb), ('["crm_id", "u9", "2026-07-05T07:04:05+00:00", "2026-07-05T07:04:05+00:00"]'),
    ('["user_id", "u1", "2025-12-31T08:04:05+00:00", "2026-07-02T07:04:05+00:00"]'), ('["user_id", "u2", "2026-07-03T03:04:05+00:00", "2026-07-03T03:04:05+00:00"]')$$,
  'the feed covers the old place and the new one');

-- Bad rows.
TRUNCATE st;
INSERT INTO st (source_key, occurred_at, identifier_type, identifier, kind, value, currency, properties, refers_to, flags)
SELECT k, t, y, i, n, v, c, p, r, f FROM (VALUES
  (1, '', '2026-01-01', 'user_id', 'u', 'visit', '', '', '', '', '', 'bad_key'),
  (2, repeat('x', 801), '2026-01-01', 'user_id', 'u', 'visit', '', '', '', '', '', 'bad_key'),
  (3, 'b3', '', 'user_id', 'u', 'visit', '', '', '', '', '', 'no_time'),
  (4, 'b4', '2026-02-30', 'user_id', 'u', 'visit', '', '', '', '', '', 'bad_time'),
  (5, 'b5', '-infinity', 'user_id', 'u', 'visit', '', '', '', '', '', 'endless_time'),
  (6, 'b6', '1066-10-14', 'user_id', 'u', 'visit', '', '', '', '', '', 'absurd_time'),
  (7, 'b7', '2199-01-01', 'user_id', 'u', 'visit', '', '', '', '', '', 'absurd_time'),
  (8, 'b8', '2026-01-01', 'user_id', '  ', 'visit', '', '', '', '', '', 'bad_identifier'),
  (9, 'b9', '2026-01-01', 'userid', 'u', 'visit', '', '', '', '', '', 'unknown_identifier_type'),
  (10, 'b10', '2026-01-01', 'user_id', 'u', 'vizit', '', '', '', '', '', 'unknown_kind'),
  (11, 'b11', '2026-01-01', 'user_id', 'u', 'purchase', 'NaN', '', '', '', '', 'bad_value'),
  (12, 'b12', '2026-01-01', 'user_id', 'u', 'purchase', '5', 'XXQ', '', '', '', 'unknown_currency'),
  (13, 'b13', '2026-01-01', 'user_id', 'u', 'visit', '', '', '{"a":', '', '', 'bad_properties'),
  (14, 'b14', '2026-01-01', 'user_id', 'u', 'refund', '-5', '', '', 'b14', '', 'bad_refers_to'),
  (15, 'b15', '2026-01-01', 'user_id', 'u', 'visit', '', '', '', '', '-1', 'bad_flags'),
  (16, 'dup', '2026-01-01', 'user_id', 'u', 'visit', '', '', '', '', '', 'superseded'),
  (17, 'dup', '2026-01-02', 'user_id', 'u', 'visit', '', '', '', '', '', NULL),
  (18, 'dup', '2026-01-02', 'user_id', 'u', 'visit', '', '', '', '', '', NULL)) v (nth, k, t, y, i, n, v, c, p, r, f, code) ORDER BY nth;
SELECT results_eq($$SELECT rows_read, inserted, unchanged, quarantined FROM cdp.load_touchpoints('shop', 'st')$$, 'VALUES (18::bigint, 1::bigint, 1::bigint, 16::bigint)', 'sixteen kinds of bad rows stop nothing; a mere repetition is unchanged');
SELECT results_eq($$SELECT row_no, code FROM cdp_data.quarantine ORDER BY quarantine_id$$,
  $$VALUES (1::bigint, 'bad_key'), (2, 'bad_key'), (3, 'no_time'), (4, 'bad_time'), (5, 'endless_time'), (6, 'absurd_time'), (7, 'absurd_time'), (8, 'bad_identifier'), (9, 'unknown_identifier_type'),
    (10, 'unknown_kind'), (11, 'bad_value'), (12, 'unknown_currency'), (13, 'bad_properties'), (14, 'bad_refers_to'), (15, 'bad_flags'), (16, 'superseded')$$, 'each has its row and its code');
SELECT is((SELECT original ->> 'properties' FROM cdp_data.quarantine WHERE row_no = 13), '{"a":', 'and the row as it came');
SELECT is((SELECT count(*) FROM cdp_data.quarantine WHERE reason = ''), 0::bigint, 'and a reason');
SELECT is((SELECT t.occurred_at FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key = 'dup'), '2026-01-02 05:00+00', 'the last row of a key counts');
-- A kind is added, a row is mended, and the rest is tried again.
INSERT INTO cdp_data.touch_kind (name) VALUES ('vizit');
UPDATE cdp_data.quarantine SET original = original || '{"occurred_at": "2026-02-28"}' WHERE row_no = 4;
SELECT results_eq($$SELECT rows_read, inserted, quarantined FROM cdp.retry_quarantine(5)$$, 'VALUES (15::bigint, 2::bigint, 13::bigint)', 'retry_quarantine loads what is right now');
SELECT is((SELECT count(*) FROM cdp_data.quarantine WHERE retried_by_load = 6), 15::bigint, 'and marks what it tried');
SELECT results_eq($$SELECT rows_read FROM cdp.retry_quarantine(5)$$, 'VALUES (0::bigint)', 'once');
UPDATE cdp_data.quarantine SET original = original || '{"occurred_at": "2026-02-27"}' WHERE load_id = 6 AND code = 'no_time';
UPDATE st SET occurred_at = '2026-02-26' WHERE source_key = 'b3';
SELECT results_eq($$SELECT inserted FROM cdp.load_touchpoints('shop', 'st')$$, 'VALUES (1::bigint)', 'another load brings a refused record first');
SELECT results_eq($$SELECT rows_read, inserted, corrected FROM cdp.retry_quarantine(6)$$, 'VALUES (12::bigint, 0::bigint, 0::bigint)', 'then the older row is passed over');

-- References to what has not come yet.
TRUNCATE st;
INSERT INTO st (source_key, occurred_at, identifier_type, identifier, kind, value, refers_to) VALUES
  ('r1', '2026-03-02', 'user_id', 'u5', 'refund', '-3', 'o1'), ('r2', '2026-03-03', 'user_id', 'u6', 'refund', '-4', 'o1'), ('r3', '2026-03-03', 'user_id', 'u5', 'refund', '-4', 'r1');
SELECT results_eq($$SELECT inserted, orphaned FROM cdp.load_touchpoints('shop', 'st')$$, 'VALUES (3::bigint, 2::bigint)', 'orphans are counted');
CREATE TEMP TABLE reference AS SELECT DISTINCT t.refers_to FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key IN ('r1', 'r2');
SELECT is((SELECT count(*) FROM reference), 1::bigint, 'both have one reserved id');
UPDATE st SET source_key = 'o1', value = '9', kind = 'purchase', refers_to = NULL WHERE source_key = 'r1';
DELETE FROM st WHERE source_key <> 'o1';
SELECT results_eq($$SELECT inserted, orphaned FROM cdp.load_touchpoints('shop', 'st')$$, 'VALUES (1::bigint, 0::bigint)', 'the purchase arrives');
SELECT is((SELECT touchpoint_id FROM cdp_data.touchpoint_key WHERE source_key = 'o1'), (SELECT refers_to FROM reference), 'and has the id that was reserved');
SELECT set_eq($$SELECT i.value FROM cdp_data.change_feed f JOIN cdp_data.identifier i USING (customer_id) WHERE cause = 'relink'$$, $$VALUES ('u5'), ('u6')$$, 'those who had referred to it are told');

-- Suppressed people.
INSERT INTO cdp_data.suppression (digest) SELECT cdp_internal.suppression_digest(1::smallint, 'gone');
UPDATE st SET source_key = 's1', identifier = 'gone';
SELECT results_eq($$SELECT inserted, quarantined FROM cdp.load_touchpoints('shop', 'st')$$, 'VALUES (0::bigint, 1::bigint)', 'a suppressed identifier is refused');
SELECT results_eq($$SELECT original::text FROM cdp_data.quarantine WHERE code = 'suppressed'$$, $$VALUES ('{}')$$, 'and nothing of the row is kept');
SELECT is((SELECT count(*) FROM cdp_data.identifier WHERE value = 'gone'), 0::bigint, 'nor the identifier');
CREATE TABLE refused AS SELECT * FROM st CROSS JOIN (VALUES (1), (2), (3)) n (n);
UPDATE refused SET source_key = 's2', value = n, occurred_at = CASE WHEN n = 3 THEN 'nonsense' ELSE occurred_at END;
SELECT cdp.load_touchpoints('shop', 'refused');
SELECT is((SELECT string_agg(code || original::text, ' ') FROM cdp_data.quarantine WHERE load_id = (SELECT max(load_id) FROM cdp_data.load)), 'suppressed{} suppressed{} suppressed{}', 'also of rows that are superseded or do not parse');

-- Proper types, a view, defaults for type and kind.
CREATE TABLE typed (source_key integer, occurred_at timestamp, identifier bigint, value float8, properties jsonb);
INSERT INTO typed VALUES (1, '2026-05-01 10:00', 42, 0.1, '{"a": 1}'), (2, 'infinity', 42, 1, NULL), (3, '294276-12-31', 42, 1, NULL), (4, '2026-05-01', 42, 'NaN', NULL);
CREATE VIEW typed_view AS SELECT * FROM typed ORDER BY source_key;
SELECT results_eq($$SELECT inserted, quarantined FROM cdp.load_touchpoints('shop', 'typed_view', time_zone => 'Europe/Paris', identifier_type => 'member_id', kind => 'order')$$, 'VALUES (1::bigint, 3::bigint)', 'typed columns of a view');
SELECT results_eq($$SELECT t.occurred_at, t.value, t.properties::text FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key = '1'$$,
  $$VALUES ('2026-05-01 08:00+00'::timestamptz, 0.1::numeric, '{"a": 1}')$$, 'with a zone of the load, and six decimals of a float');
-- A mended row is older than a later load also where that load found the record as it was.
CREATE TABLE again (source_key text, occurred_at text, identifier text, value text);
INSERT INTO again VALUES ('again', '2026-06-01', 'u1', '10');
SELECT cdp.load_touchpoints('shop', 'again', identifier_type => 'user_id', kind => 'purchase');
UPDATE again SET occurred_at = 'nonsense', value = '20';
SELECT (cdp.load_touchpoints('shop', 'again', identifier_type => 'user_id', kind => 'purchase')).load_id AS refused \gset
UPDATE again SET occurred_at = '2026-06-01', value = '10';
SELECT cdp.load_touchpoints('shop', 'again', identifier_type => 'user_id', kind => 'purchase');
UPDATE cdp_data.quarantine SET original = original || '{"occurred_at": "2026-06-01"}' WHERE load_id = :refused;
SELECT results_eq(format('SELECT rows_read FROM cdp.retry_quarantine(%s, identifier_type => ''user_id'', kind => ''purchase'')', :refused), 'VALUES (0::bigint)', 'what a later load confirmed stays');
-- What the retention would drop at once does not come in.
UPDATE cdp_data.setting SET touchpoint_retention = '1 year';
UPDATE again SET source_key = 'too old', occurred_at = (now() - interval '2 years')::text;
SELECT (cdp.load_touchpoints('shop', 'again', identifier_type => 'user_id', kind => 'purchase')).load_id AS old \gset
SELECT results_eq(format('SELECT l.inserted, q.code FROM cdp_data.load l JOIN cdp_data.quarantine q USING (load_id) WHERE load_id = %s', :old),
  $$VALUES (0::bigint, 'absurd_time')$$, 'a row older than the retention goes to quarantine');
UPDATE cdp_data.setting SET touchpoint_retention = NULL;
SELECT is((SELECT count(*) FROM cdp_data.load WHERE rows_read <> inserted + corrected + unchanged + quarantined), 0::bigint, 'the counts of every load add up');
-- A word that says nothing is no key, or all that a broken export calls undefined would be one record.
CREATE TABLE nameless AS SELECT v.source_key, timestamptz '2026-03-01 10:00+08' AS occurred_at, 'user_id' AS identifier_type, 'n1' AS identifier, v.kind, v.value, v.refers_to
FROM (VALUES ('undefined', 'visit', NULL, NULL), (' NULL ', 'visit', NULL, NULL), ('无', 'visit', NULL, NULL), ('no word', 'refund', -1, 'undefined')) v (source_key, kind, value, refers_to);
SELECT load_id AS nameless FROM cdp.load_touchpoints((SELECT min(name) FROM cdp_data.source), 'nameless') \gset
SELECT results_eq(format('SELECT code, count(*) FROM cdp_data.quarantine WHERE load_id = %s GROUP BY 1', :nameless), $$VALUES ('bad_key', 3::bigint)$$, 'a word that says nothing is no key');
SELECT is((SELECT array_agg(refers_to IS NULL) FROM cdp_data.touchpoint WHERE load_id = :nameless), '{t}'::boolean[], 'and no record to refer to');
SELECT * FROM finish();
ROLLBACK;
