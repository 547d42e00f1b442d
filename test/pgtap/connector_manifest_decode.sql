-- Bodies made fit for jsonb: what is scrubbed and counted, what is a problem, numbers, CSV, lines of JSON; every sample response of the shared data.
BEGIN;
SELECT no_plan();

CREATE TEMP TABLE body (n integer GENERATED ALWAYS AS IDENTITY, name text, bytes bytea, doc text, scrubbed bigint, problem text);
INSERT INTO body (name, bytes, doc, scrubbed, problem) VALUES
  ('plain', '{"a": [1, "x", null, true, false, {}]}', '{"a": [1, "x", null, true, false, {}]}', 0, NULL),
  ('a scalar', '5', '5', 0, NULL), ('a text', '"x"', '"x"', 0, NULL), ('blanks around', E' \n {} \r\n', '{}', 0, NULL),
  ('byte order mark', '\xefbbbf7b7d', '{}', 1, NULL),
  ('raw tab and ends of line', convert_to(E'{"a": "x\ty\r\nz"}', 'UTF8'), '{"a": "x\ty\r\nz"}', 3, NULL),
  ('raw control character', '\x7b2261223a22780179227d', '{"a": "x' || U&'\FFFD' || 'y"}', 1, NULL),
  ('raw NUL in a text', '\x7b2261223a22780079227d', '{"a": "x' || U&'\FFFD' || 'y"}', 1, NULL),
  ('control character in a key', '\x7b2261012261', NULL, 0, 'not JSON at byte 5: a colon was expected'),
  ('a key with a control character', '\x7b226101223a317d', '{"a' || U&'\FFFD' || '": 1}', 1, NULL),
  ('\u0000', '{"a": "x\\u0000y"}', '{"a": "x' || U&'\FFFD' || 'y"}', 1, NULL),
  ('\u0001 is an escape that jsonb takes', '{"a": "\\u0001"}', '{"a": "\u0001"}', 0, NULL),
  ('a surrogate pair', '{"a": "\\ud83d\\ude00"}', '{"a": "' || U&'\+01F600' || '"}', 0, NULL),
  ('first half alone', '{"a": "\\ud83dx"}', '{"a": "' || U&'\FFFD' || 'x"}', 1, NULL),
  ('second half alone', '{"a": "\\ude00x"}', '{"a": "' || U&'\FFFD' || 'x"}', 1, NULL),
  ('two first halves and a second', '{"a": "\\ud83d\\ud83d\\ude00"}', '{"a": "' || U&'\FFFD\+01F600' || '"}', 1, NULL),
  ('first half at the end', '{"a": "\\ud83d"}', '{"a": "' || U&'\FFFD' || '"}', 1, NULL),
  ('halves the wrong way round', '{"a": "\\ude00\\ud83d"}', '{"a": "' || U&'\FFFD\FFFD' || '"}', 2, NULL),
  ('a character cut off', '\x7b2261223a22e5bc227d', '{"a": "' || U&'\FFFD' || '"}', 1, NULL),
  ('a character cut off, then text', '\x7b2261223a22e5bc41227d', '{"a": "' || U&'\FFFD' || 'A"}', 1, NULL),
  ('a byte that is none', '\x7b2261223a22fffe227d', '{"a": "' || U&'\FFFD\FFFD' || '"}', 2, NULL),
  ('overlong NUL', '\x7b2261223a22c080227d', '{"a": "' || U&'\FFFD' || '"}', 1, NULL),
  ('a surrogate in UTF-8', '\x7b2261223a22eda080227d', '{"a": "' || U&'\FFFD' || '"}', 1, NULL),
  ('good UTF-8', convert_to('{"名": "微信😀"}', 'UTF8'), '{"名": "微信😀"}', 0, NULL),
  ('19 digits and more', '{"id": 3704612354559743232, "n": 12345678901234567890.123456789, "z": 1.00, "e": 1e3}', '{"e": 1000, "n": 12345678901234567890.123456789, "z": 1.00, "id": 3704612354559743232}', 0, NULL),
  ('a key twice', '{"a": 1, "a": 2}', '{"a": 2}', 0, NULL),
  ('empty', '', NULL, 0, 'the body is empty'), ('blanks only', '  ', NULL, 0, 'not JSON at byte 2: it ends too early'),
  ('HTML', '<html>', NULL, 0, 'not JSON at byte 0: a value was expected'), ('cut off', '{"a": [1', NULL, 0, 'not JSON at byte 8: it ends too early'), ('cut off in a text', '{"a": "x', NULL, 0, 'not JSON at byte 8: it ends within a text'),
  ('cut off in an escape', '{"a": "\\', NULL, 0, 'not JSON at byte 8: it ends within a text'), ('a bad escape', '"\\x"', NULL, 0, 'not JSON at byte 2: an escape that JSON does not know'), ('a bad \u', '"\\u12"', NULL, 0, 'not JSON at byte 2: \u without four hexadecimal digits'),
  ('two values', '{} {}', NULL, 0, 'not JSON at byte 3: something comes behind its end'), ('a comma too many', '[1,]', NULL, 0, 'not JSON at byte 3: a value was expected'), ('a comma too many in an object', '{"a":1,}', NULL, 0, 'not JSON at byte 7: a key was expected'),
  ('no comma', '[1 2]', NULL, 0, 'not JSON at byte 3: a comma or the end of an object or list was expected'), ('no colon', '{"a" 1}', NULL, 0, 'not JSON at byte 5: a colon was expected'), ('crossed brackets', '[1}', NULL, 0, 'not JSON at byte 2: a bracket that nothing opened'),
  ('a bracket too many', '[]]', NULL, 0, 'not JSON at byte 2: something comes behind its end'), ('a number with 0 in front', '01', NULL, 0, 'not JSON at byte 0: a number that begins with 0'), ('plus', '+1', NULL, 0, 'not JSON at byte 0: a value was expected'),
  ('NaN', 'NaN', NULL, 0, 'not JSON at byte 0: a value was expected'), ('minus', '-', NULL, 0, 'not JSON at byte 1: a number without digits'), ('a point', '1.', NULL, 0, 'not JSON at byte 2: a number without digits behind its point'), ('an exponent', '1e', NULL, 0, 'not JSON at byte 2: a number without exponent'),
  ('a huge exponent', '1e1001', NULL, 0, 'not JSON at byte 6: a number out of range'), ('a small one', '1e-1000', '0.' || repeat('0', 999) || '1', 0, NULL), ('an exponent of many digits', '1e99999999999999', NULL, 0, 'not JSON at byte 16: a number out of range'),
  ('a thousand digits and one', convert_to(repeat('1', 1001), 'UTF8'), NULL, 0, 'not JSON at byte 1001: a number of too many digits'), ('single quotes', '{''a'': 1}', NULL, 0, 'not JSON at byte 1: a key was expected'),
  ('128 deep', convert_to(repeat('[', 128) || repeat(']', 128), 'UTF8'), repeat('[', 128) || repeat(']', 128), 0, NULL), ('129 deep', convert_to(repeat('[', 129) || repeat(']', 129), 'UTF8'), NULL, 0, 'not JSON at byte 128: values are nested more than 128 deep'),
  ('a million open brackets', convert_to(repeat('[', 1000000), 'UTF8'), NULL, 0, 'not JSON at byte 128: values are nested more than 128 deep'),
  ('NUL between values', '\x5b00315d', NULL, 0, 'not JSON at byte 1: a value was expected'), ('UTF-16', '\xfffe7b00', NULL, 0, 'not JSON at byte 0: a value was expected');
SELECT is((SELECT concat_ws(' / ', d.doc::text, d.scrubbed, d.problem) FROM cdp_internal.decode_body(b.bytes) d), concat_ws(' / ', b.doc, b.scrubbed, b.problem), b.name) FROM body b ORDER BY b.n;
SELECT is((SELECT problem FROM cdp_internal.decode_body(convert_to('"' || repeat('x', 33 * 1024 * 1024) || '"', 'UTF8'))), 'the body has 34603010 bytes; at most 33554432 are read', 'too many bytes');
SELECT ok((SELECT doc IS NOT NULL FROM cdp_internal.decode_body(convert_to('[' || repeat('1,', 1000000) || '1]', 'UTF8'))), 'a million numbers');
SELECT is((SELECT d FROM cdp_internal.decode_body(NULL) d WHERE d.doc IS NOT NULL OR d.problem IS NOT NULL), NULL, 'NULL for NULL');

-- CSV and lines of JSON, in the form that the stream says.
CREATE FUNCTION pg_temp.shop(response text, csv jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('connector', 'shop', 'version', 1, 'base_url', 'https://example.com', 'streams', jsonb_build_object('file', jsonb_strip_nulls(jsonb_build_object('path', '/f', 'records', '$[*]', 'response', response, 'csv', csv))))$$;
CREATE FUNCTION pg_temp.read(response text, csv jsonb, body text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' / ', d.doc::text, d.scrubbed, d.problem) FROM cdp_internal.connector_decode(pg_temp.shop(response, csv), 'file', convert_to(body, 'UTF8')) d$$;
SELECT is(pg_temp.read('csv', NULL, E'a,b\r\n1,x\r\n2,\r\n3,""\r\n'), '[{"a": "1", "b": "x"}, {"a": "2", "b": null}, {"a": "3", "b": ""}] / 0', 'CSV with a header');
SELECT is(pg_temp.read('csv', NULL, E'a,b\n"x ""y"", z","two\nlines"'), '[{"a": "x \"y\", z", "b": "two\nlines"}] / 0', 'quotes, commas and lines within them, no end of line at the end');
SELECT is(pg_temp.read('csv', '{"delimiter": ";", "header": false, "columns": ["p", "q"]}', E'1;2\n\n3;4\n'), '[{"p": "1", "q": "2"}, {"p": "3", "q": "4"}] / 0', 'another delimiter, own columns, an empty line');
SELECT is(pg_temp.read('csv', '{"columns": ["p", "q"]}', E'a,b\n1,2\n'), '[{"p": "1", "q": "2"}] / 0', 'own names in place of the header');
SELECT is(pg_temp.read('csv', NULL, U&'\FEFFa\000A1\000A'), '[{"a": "1"}] / 1', 'a byte order mark');
SELECT is(pg_temp.read('csv', NULL, ''), '[] / 0', 'an empty file');
SELECT is(pg_temp.read('csv', NULL, E'a,b\n1\n'), '0 / line 2 has 1 fields where there are 2 columns', 'a field too few');
SELECT is(pg_temp.read('csv', NULL, E'a,a\n1,2\n'), '0 / columns 1 and 2 have one name', 'two columns of one name');
SELECT is(pg_temp.read('csv', NULL, E'a\n"x'), '0 / line 2: a quoted field does not end', 'an open quote');
SELECT is(pg_temp.read('csv', NULL, E'a\n"x"y\n'), '0 / line 2: a quoted field goes on behind its quote', 'text behind a quote');
SELECT is((SELECT concat_ws(' / ', d.doc::text, d.scrubbed) FROM cdp_internal.connector_decode(pg_temp.shop('csv', NULL), 'file', '\x610a78007901ff0a') d), '[{"a": "x' || U&'\FFFDy\FFFD\FFFD' || '"}] / 3', 'bytes that are no text');
SELECT is(pg_temp.read('ndjson', NULL, E'{"a": 1}\n\n{"a": 2}\r\n 3'), '[{"a": 1}, {"a": 2}, 3] / 0', 'lines of JSON');
SELECT is(pg_temp.read('ndjson', NULL, E'{"a": 1}\n{"a"\n'), '0 / line 2: not JSON at byte 4: it ends too early', 'a bad line');
SELECT is(pg_temp.read('ndjson', NULL, ''), '[] / 0', 'no lines');
SELECT is(pg_temp.read('json', NULL, '{"a": 1}'), '{"a": 1} / 0', 'JSON');

-- Every sample response of the shared data decodes and comes back as it was.
\set have_channels `test -n "$CDP_SHARED" && test -f "$CDP_SHARED/channels/weixin_skit.json.gz" && echo true || echo false`
\if :have_channels
CREATE TEMP TABLE spec (line text);
\copy spec FROM PROGRAM 'for f in wecom_skit weixin_skit; do gunzip -c "$CDP_SHARED/channels/$f.json.gz" | base64 -w0; echo; done'
CREATE TEMP TABLE sample AS
SELECT p.key AS path, m.key AS method, m.value #> '{responses,200,content,application/json,example}' AS example
FROM spec s CROSS JOIN LATERAL (SELECT d.doc FROM cdp_internal.decode_body(decode(s.line, 'base64')) d) d CROSS JOIN LATERAL jsonb_each(d.doc -> 'paths') p CROSS JOIN LATERAL jsonb_each(p.value) m;
SELECT is((SELECT count(*) FROM sample), 2283::bigint, 'the operations are read');
SELECT is((SELECT count(*) FROM sample WHERE example IS NOT NULL), 1537::bigint, 'the sample responses are found');
SELECT is_empty($$SELECT s.path, d.problem FROM sample s CROSS JOIN LATERAL cdp_internal.decode_body(convert_to(s.example::text, 'UTF8')) d WHERE s.example IS NOT NULL AND (d.doc IS DISTINCT FROM s.example OR d.scrubbed <> 0)$$, 'every one decodes, and nothing of it is changed');
\else
SELECT skip('../shared/data/channels is absent: no sample responses', 3);
\endif
SELECT * FROM finish();
ROLLBACK;
