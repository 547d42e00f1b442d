-- The readers of text: they agree with PostgreSQL where both take the text, and never throw where they do not.
BEGIN;
SELECT plan(21);

-- Times: every part random, offsets and zones with summer time.
CREATE TEMP TABLE sample AS
SELECT format('%s%s%s%s%s%s%s', to_char(y, 'FM0000'), d, CASE WHEN r % 2 = 0 THEN to_char(m, 'FM00') ELSE m::text END, d, to_char(1 + r % 28, 'FM00'),
    CASE r % 3 WHEN 0 THEN ' ' ELSE 'T' END, to_char(r / 7 % 24, 'FM00') || to_char(r / 11 % 60, '":"FM00')
      || CASE WHEN r % 5 > 0 THEN to_char(r / 13 % 60, '":"FM00') || CASE WHEN r % 5 > 2 THEN '.' || left(to_char(r % 999983, 'FM000000'), 1 + r % 6) ELSE '' END ELSE '' END)
  || (ARRAY['', 'Z', '+08', '-03:30', '+0530', ' +01:00', '-11', '+14:00'])[1 + r / 17 % 8] AS txt, (ARRAY['UTC', 'Asia/Shanghai', 'America/New_York', 'Australia/Lord_Howe'])[1 + r / 19 % 4] AS zone
FROM generate_series(1, 20000) i, LATERAL (SELECT (abs(hashint4extended(i, 3)) % 1000003)::integer) a (r),
  LATERAL (SELECT 1900 + r % 200 AS y, 1 + r / 3 % 12 AS m, CASE WHEN r % 4 = 0 THEN '/' ELSE '-' END AS d) b;
CREATE FUNCTION pg_temp.postgres_time(txt text, zone text) RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('timezone', zone, true);
  RETURN txt::timestamptz;
END $$;
SELECT is((SELECT count(*) FROM sample WHERE cdp_internal.parse_time(txt, zone) IS DISTINCT FROM pg_temp.postgres_time(txt, zone)), 0::bigint,
  'parse_time agrees with PostgreSQL on 20,000 random times in four zones');
SET LOCAL timezone = 'UTC';
SELECT is(cdp_internal.parse_time('2024-02-29', 'Asia/Shanghai'), '2024-02-28 16:00+00', 'a day is its midnight in the zone');
SELECT is(cdp_internal.parse_time('2024-03-10 02:30', 'America/New_York'), '2024-03-10 03:30-04', 'a time that summer time skips');
SELECT is(cdp_internal.parse_time('2024-12-31 23:59:60.5Z', 'UTC'), '2025-01-01 00:00:00.5+00', 'a leap second');
SELECT is(cdp_internal.parse_time(' -infinity ', 'UTC'), '-infinity', 'infinity is told apart from nonsense');
SELECT is((SELECT string_agg(t, '|') FROM unnest(ARRAY['', ' ', 'now', 'today', 'epoch', '20240102', '2024-1', '2024-00-10', '2024-13-01', '2023-02-29', '2024-04-31',
  '01/02/2024', '2024-01-02 24:00:01', '2024-01-02 25:00', '2024-01-02 10:60', '2024-01-02 10', '2024-01-02T', '2024-01-02 10:00:00.', '2024-01-02 10:00+16', '2024-01-02 10:00+',
  '2024-01-02 10:00 PM', '2024-01-02 10:00 Europe/Paris', '2024-01/02', '99999-01-01', '0000-01-01', '2024-01-02 10:00:00+08:00:00:00', 'x', E'2024-01-02\n\nx', '２０２４-01-02']) t
  WHERE cdp_internal.parse_time(t, 'UTC') IS NOT NULL), NULL, 'what is no ISO 8601 time is NULL, not an error');
SELECT throws_ok($$SELECT cdp_internal.parse_time('2024-01-01', 'Mars/Olympus')$$, '22023', 'time zone "Mars/Olympus" is not known', 'an unknown zone is an error');

-- Money.
SELECT is((SELECT count(*) FROM generate_series(1, 20000) i, LATERAL (SELECT hashint8extended(i, 9)) a (h),
  LATERAL (SELECT round((h % 9000000000000000000)::numeric / power(10::numeric, abs(h % 7)), 6)::text) b (txt)
  WHERE cdp_internal.parse_value(txt) IS DISTINCT FROM CASE WHEN abs(txt::numeric) < 9200000000000 THEN txt::numeric END), 0::bigint, 'parse_value agrees with numeric on 20,000 random amounts');
SELECT is((SELECT string_agg(t, '|') FROM unnest(ARRAY['', '.', '-', '+-1', '1e', 'e3', '.e3', '1e+', '1e1.5', '1e003', '1.2.3e4', '1e3e3', '1e-7', '1.23456789e1', '9.2e12', '-92e11', '1e13', '1e99', '1e٣', 'NaN', 'Infinity', '1,000', '1 000', '¥5', '0x10', '0.0000001', '9200000000000', '-9200000000000', '1.2.3', repeat('9', 400)]) t
  WHERE cdp_internal.parse_value(t) IS NOT NULL), NULL, 'what is no amount in range is NULL');
SELECT is((SELECT array_agg(cdp_internal.parse_value(t) ORDER BY n) FROM unnest(ARRAY['9199999999999.999999', '-9199999999999.999999', ' 5. ', '+.5', '1.2300000000', '-0']) WITH ORDINALITY u (t, n)),
  '{9199999999999.999999,-9199999999999.999999,5,0.5,1.23,0}'::numeric[], 'limits, signs, trailing zeros');
SELECT is((SELECT count(*) FROM generate_series(1, 20000) i, LATERAL (SELECT abs(hashint8extended(i, 9) % 1000000000), abs(hashint8extended(i, 10) % 30), abs(hashint8extended(i, 11) % 10)) a (h, e, d),
  LATERAL (SELECT trim_scale(h::numeric / power(10::numeric, d)) || 'e' || e - 15) b (txt)
  WHERE cdp_internal.parse_value(txt) IS DISTINCT FROM CASE WHEN abs(txt::numeric) < 9200000000000 AND round(txt::numeric, 6) = txt::numeric THEN txt::numeric END), 0::bigint, 'parse_value agrees with numeric on 20,000 random exponents');
SELECT is((SELECT array_agg(cdp_internal.parse_value(t) ORDER BY n) FROM unnest(ARRAY['1e3', '1.25E-2', ' -.5e+1', '91999999999999999990e-7', '0e99', '1.e2', '0.00000000009e10', '1' || repeat('0', 50) || 'e-49']) WITH ORDINALITY u (t, n)),
  '{1000,0.0125,-5,9199999999999.999999,0,100,0.9,10}'::numeric[], 'with an exponent');
SELECT is((SELECT array_agg(cdp_internal.parse_int(t) ORDER BY n) FROM unnest(ARRAY['2147483647', '-2147483648', '2147483648', ' 7 ', '', '1.0', '99999999999999999999']) WITH ORDINALITY u (t, n)),
  '{2147483647,-2147483648,NULL,7,NULL,NULL,NULL}'::integer[], 'parse_int');
SELECT is((SELECT array_agg(cdp_internal.parse_key(t) ORDER BY n) FROM unnest(ARRAY[' a b ', E'\t\n', repeat('x', 800), repeat('x', 801), '订单']) WITH ORDINALITY u (t, n)),
  ARRAY['a b', NULL, repeat('x', 800), NULL, '订单'], 'parse_key');

-- JSON: random edits of good texts; what the reader refuses it must refuse rightly, what it takes jsonb must take.
CREATE FUNCTION pg_temp.postgres_json(txt text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN txt::jsonb;
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END $$;
CREATE TEMP TABLE json_sample AS
SELECT CASE i % 3 WHEN 0 THEN overlay(t PLACING substr('{}[],:"\0-+.eEu1ntf ', 1 + h % 19, 1) FROM 1 + h / 19 % length(t) FOR h / 400 % 2)
  WHEN 1 THEN left(t, h % (length(t) + 1)) ELSE t END AS txt
FROM generate_series(1, 6000) i, LATERAL (SELECT (abs(hashint4extended(i, 5)) % 1000003)::integer) a (h),
  LATERAL (SELECT (ARRAY['{"a": [1, -2.5e3, {"b": null}], "c": "\u00e9\ud83d\ude00 \"q\"", "d": true}', '[[], {}, [0], "\\", false]', '{"名": "春节", "n": 12345678901234567890.5}', '"x"', '-0.1E-9', '[1,2,3,[4,[5,[6]]]]'])[1 + h % 6]) b (t);
SELECT is((SELECT string_agg(DISTINCT txt, '  ') FROM json_sample WHERE cdp_internal.parse_json(txt) IS DISTINCT FROM pg_temp.postgres_json(txt)), NULL, 'parse_json agrees with jsonb on 6,000 whole, cut and edited texts');
SELECT is((SELECT string_agg(left(t, 20), '|') FROM unnest(ARRAY['', '1e1000', '"\u0000"', '"\ud800"', '"\ude00\ud83d"', repeat('[', 65) || repeat(']', 65), repeat('[', 100000), '"' || repeat('x', 1100000) || '"', '[' || repeat('9', 2001) || ']', E'"\t"']) t
  WHERE cdp_internal.parse_json(t) IS NOT NULL), NULL, 'what jsonb could choke on is NULL');

-- Lists.
SELECT is((SELECT array_agg(cdp_internal.code_of(t, '{Visit,click,购买}', '{7,8,9}') ORDER BY n) FROM unnest(ARRAY['VISIT', ' click ', '购买', 'clic', '', NULL]) WITH ORDINALITY u (t, n)),
  '{7,8,9,NULL,NULL,NULL}'::integer[], 'code_of');
SELECT is((SELECT array_agg(cdp_internal.word_of(t, w) ORDER BY n) FROM (VALUES ('usd', '{EUR,USD}'::text[], 1), ('usd', '{EUR}', 2), ('eur', '{EUR}', 3)) v (t, w, n)),
  '{USD,NULL,EUR}'::text[], 'word_of, with another list in each row');
-- Whoever is named at the end of a long content is found as at its beginning: in one text, in a list, among the keys.
SELECT ok(cdp_internal.content_tokens(to_jsonb(string_agg('word' || n, ' ') || ' ann@example.org')) && cdp_internal.identifier_tokens('ann@example.org', '{email}'), 'the last of 20,000 words') FROM generate_series(1, 20000) n;
SELECT ok(cdp_internal.content_tokens(jsonb_agg('word' || n) || '["ann@example.org"]') && cdp_internal.identifier_tokens('ann@example.org', '{email}'), 'of 20,000 entries') FROM generate_series(1, 20000) n;
SELECT ok(cdp_internal.content_tokens(jsonb_object_agg('key' || n, 'word' || n) || '{"zz": "call +86 138-0013-8000 please"}') && cdp_internal.identifier_tokens('+8613800138000', '{phone}'), 'of 20,000 members') FROM generate_series(1, 20000) n;
SELECT * FROM finish();
ROLLBACK;
