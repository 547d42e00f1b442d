-- Attributes: how values are read, what is stored, and that saying it twice writes once.
BEGIN;
SELECT plan(49);
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY');
SET LOCAL TimeZone = 'America/New_York';
SET LOCAL DateStyle = 'SQL, DMY';

-- Reading: type, what came, what is stored, why not.
CREATE TEMP TABLE reading (type text, given text, value text, code text);
INSERT INTO reading VALUES
  ('text', E'  Li\u00a0 Lei\t', E'Li\u00a0 Lei', NULL), ('text', E'\ufeff\u200b\u200b', NULL, NULL), ('text', 'N/A', NULL, NULL), ('text', ' null ', NULL, NULL),
  ('text', '未知', NULL, NULL), ('text', 'Na', 'Na', NULL), ('text', E'e\u0301', 'é', NULL), ('text', repeat('x', 8192), repeat('x', 8192), NULL),
  ('text', repeat('x', 8193), NULL, 'too_long'), ('text', repeat('x', 1048576), NULL, 'too_long'), ('text', '', NULL, NULL), ('text', NULL, NULL, NULL),
  ('integer', '+0042', '42', NULL), ('integer', '-7.00', '-7', NULL), ('integer', '7.5', NULL, 'bad_integer'), ('integer', '9223372036854775807', '9223372036854775807', NULL),
  ('integer', '9223372036854775808', NULL, 'bad_integer'), ('integer', repeat('9', 5000), NULL, 'bad_integer'), ('integer', 'seven', NULL, 'bad_integer'),
  ('numeric', '1.500', '1.5', NULL), ('numeric', '-.5', '-0.5', NULL), ('numeric', '1e3', '1000', NULL), ('numeric', '1e999999', NULL, 'bad_numeric'),
  ('numeric', 'NaN', NULL, NULL), ('numeric', 'Infinity', NULL, 'bad_numeric'), ('numeric', '1,5', NULL, 'bad_numeric'),
  ('boolean', 'Yes', 'true', NULL), ('boolean', '0', 'false', NULL), ('boolean', '是', 'true', NULL), ('boolean', 'maybe', NULL, 'bad_boolean'),
  ('date', '1990-05-17', '1990-05-17', NULL), ('date', '1990/5/7', '1990-05-07', NULL), ('date', '19900517', '1990-05-17', NULL), ('date', '1990年5月7日', '1990-05-07', NULL),
  ('date', '1990-05-17T00:30:00+08:00', '1990-05-17', NULL), ('date', '17.05.1990', NULL, 'bad_date'), ('date', '1990-02-30', NULL, 'bad_date'), ('date', 'infinity', NULL, 'bad_date'),
  ('date', 'today', NULL, 'bad_date'),
  ('timestamp', '2026-01-02 03:04:05', '2026-01-01T19:04:05Z', NULL), ('timestamp', '2026-01-02T03:04:05.120Z', '2026-01-02T03:04:05.12Z', NULL),
  ('timestamp', '2026-01-02T03:00:00Z', '2026-01-02T03:00:00Z', NULL), ('timestamp', '1700000000', '2023-11-14T22:13:20Z', NULL), ('timestamp', '1700000000123', '2023-11-14T22:13:20.123Z', NULL),
  ('timestamp', 'now', NULL, 'bad_timestamp'), ('timestamp', 'infinity', NULL, 'bad_timestamp'),
  ('list', '["b", "a", " b ", "n/a", ""]', '["a", "b"]', NULL), ('list', 'b；a, c', '["a", "b", "c"]', NULL), ('list', '[]', NULL, NULL), ('list', '["n/a"]', NULL, NULL),
  ('list', '[["x"]]', NULL, 'bad_list'), ('list', '[1, 2, 1]', '["1", "2"]', NULL), ('list', '["x"', NULL, 'bad_list'),
  ('json', '{"b": 1, "a": [2]}', '{"a": [2], "b": 1}', NULL), ('json', 'null', NULL, NULL), ('json', '{}', NULL, NULL), ('json', '{x}', NULL, 'bad_json'),
  ('json', repeat('[', 100) || repeat(']', 100), NULL, 'bad_json'), ('json', '{"a": -1e999}', '{"a": -1' || repeat('0', 999) || '}', NULL),
  ('json', '[' || repeat('1e999,', 200) || '1]', NULL, 'too_long');
SELECT is(r.value || coalesce(r.code, ''), t.value || coalesce(t.code, ''), format('%s reads %s', t.type, left(t.given, 30)))
FROM reading t, cdp_internal.read_attribute(t.given, t.type, 'Asia/Shanghai', NULL, NULL, NULL) r WHERE t.value IS NOT NULL;
SELECT is((SELECT count(*) FROM reading t, cdp_internal.read_attribute(t.given, t.type, 'Asia/Shanghai', NULL, NULL, NULL) r
  WHERE (r.value, r.code) IS DISTINCT FROM (t.value, t.code)), 0::bigint, 'all of them, also what is blank or refused');
SELECT is_empty($$ SELECT t.type, r.value, s.value FROM reading t, cdp_internal.read_attribute(t.given, t.type, 'Asia/Shanghai', NULL, NULL, NULL) r,
  cdp_internal.read_attribute(r.value, t.type, 'UTC', NULL, NULL, NULL) s WHERE r.value IS NOT NULL AND s.value IS DISTINCT FROM r.value $$, 'what was read reads as itself');
SELECT is((cdp_internal.read_attribute('男', 'text', NULL, NULL, a.aliases, a.blanks)).value, 'male', 'an alias') FROM cdp_data.attribute_all a WHERE a.name = 'gender';
SELECT is(r::text, '(,)', 'an alias that says nothing') FROM cdp_data.attribute_all a, cdp_internal.read_attribute('保密', 'text', NULL, NULL, a.aliases, a.blanks) r WHERE a.name = 'gender';
-- Under ICU other scripts' digits are digits to a regular expression, but not to a cast. A server built without it has collation C only.
SELECT coalesce((SELECT c.collname FROM pg_collation c WHERE c.collname = 'und-x-icu'), 'C') AS unicode \gset
SELECT is((SELECT array_agg((cdp_internal.read_attribute(v.given COLLATE :"unicode", v.type, NULL, NULL, NULL, NULL)).code ORDER BY v.type)
  FROM (VALUES ('integer', '٤٢'), ('date', '١٩٩٠٠٥١٧'), ('timestamp', '١٧٠٠٠٠٠٠٠٠'), ('numeric', '٤٢')) v (type, given)),
  '{bad_date,bad_integer,bad_numeric,bad_timestamp}', 'digits of other scripts are refused whatever the collation');
SELECT is((cdp_internal.read_attribute('gold!', 'text', NULL, '^[a-z]+$', NULL, NULL)).code, 'pattern', 'the pattern holds');
SELECT is((cdp_internal.read_attribute('None', 'text', NULL, NULL, NULL, '{}')).value, 'None', 'an attribute with blanks of its own');

-- Writing.
SELECT cdp.add_source('crm') AS crm \gset
INSERT INTO cdp_data.load (load_id, source_id, kind, state) VALUES (901, :crm, 'test', 'done'), (902, :crm, 'test', 'done');
INSERT INTO cdp_data.customer (customer_id, parent_id) VALUES (11, 11);
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) VALUES (21, 1, 'u1', 11);
DELETE FROM cdp_data.change_feed;
SELECT is(w::text, '(3,"[{""code"": ""bad_date"", ""attribute"": ""birthday""}, {""code"": ""bad_text"", ""attribute"": ""company""}, {""code"": ""unknown_attribute"", ""attribute"": ""shoe""}]")',
  'a record is written, the rest refused without its value')
FROM cdp_internal.attributes_write(901, :crm, 11, 21,
  '{"city": "Hangzhou", "shoe": 42, "birthday": "17.5.1990", "tags": ["b", "a"], "gender": 1, "note": null, "company": {"name": "x"}, "job_title": "n/a"}', '2026-03-01 00:00+00') w;
SELECT is((SELECT string_agg(a.name || '=' || v.value, ' ' ORDER BY a.name) FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id)),
  'city=Hangzhou gender=male tags=["a", "b"]', 'in stored form');
SELECT is((SELECT string_agg(customer_id || cause, ' ') FROM cdp_data.change_feed), '11attribute', 'the change feed tells');
CREATE TEMP TABLE before AS SELECT * FROM cdp_data.attribute_value;
SELECT is(written, 0, 'the same record again') FROM cdp_internal.attributes_write(901, :crm, 11, 21, '{"city": " Hangzhou", "gender": "m"}', '2026-03-01 00:00+00');
SELECT results_eq('TABLE cdp_data.attribute_value', 'TABLE before', 'writes nothing');
SELECT is((SELECT count(*) FROM cdp_data.change_feed), 1::bigint, 'and tells nothing');
SELECT is(written, 1, 'the same value later in the load') FROM cdp_internal.attributes_write(901, :crm, 11, 21, '{"city": "Hangzhou"}', '2026-03-02 00:00+00', true);
SELECT is((SELECT v::text FROM (SELECT first_at AT TIME ZONE 'UTC' = '2026-03-01', last_at AT TIME ZONE 'UTC' = '2026-03-02', verified FROM cdp_data.attribute_value WHERE value = 'Hangzhou') v),
  '(t,t,t)', 'moves its time, in one row');
SELECT is(written, 1, 'another load') FROM cdp_internal.attributes_write(902, :crm, 11, 21, '{"city": "Hangzhou"}', '2026-03-02 00:00+00');
SELECT is((SELECT count(*) FROM cdp_data.attribute_value WHERE value = 'Hangzhou'), 2::bigint, 'has its own row, so that each can be reverted');
SELECT throws_ok($$ SELECT cdp_internal.attributes_write(901, 1, 11, 21, '[1]', now()) $$, '22023', NULL, 'no object');
SELECT throws_ok($$ SELECT cdp_internal.attributes_write(901, 1, 11, 21, (SELECT jsonb_object_agg(i, i) FROM generate_series(1, 501) i), now()) $$, '54000', NULL, 'too many attributes');
SELECT throws_ok($$ SELECT cdp_internal.attributes_write(901, 1, 11, 21, '{"city": "x"}', 'infinity') $$, '23514', NULL, 'no moment');
SELECT is(written, 0, 'nothing said') FROM cdp_internal.attributes_write(901, :crm, 11, 21, NULL, now());
SELECT * FROM finish();
ROLLBACK;
