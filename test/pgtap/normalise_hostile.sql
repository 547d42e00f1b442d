-- Normalisers and hostile values: nothing raises an error, a form passes unchanged, and a slow twin agrees.
BEGIN;
SELECT plan(24);
CREATE FUNCTION pg_temp.forms(value text) RETURNS TABLE (normaliser text, form text) LANGUAGE sql AS
$$SELECT n.name, cdp_internal.normalise_identifier(value, n.name, 'CN') FROM cdp.normaliser_builtin() n$$;

-- One megabyte and more.
CREATE TEMP TABLE big AS SELECT v FROM (VALUES (repeat('x', 1048576)), (repeat('中', 400000)), (repeat('1', 1048576)), (repeat('"', 1048576)), (repeat('a@', 524288)),
  (repeat('<', 524288) || repeat('>', 524288)), (repeat('(0)', 300000)), (repeat('{', 524288) || repeat('}', 524288)), (repeat('mailto:', 150000)),
  (repeat('GA1.2.', 100000)), ('+86' || repeat('0', 100000)), (repeat(E'\u200b', 400000)), (repeat(E'\u3000', 400000)), (repeat('ﷺ', 400000)), (repeat('é', 400000))) v (v);
SELECT is_empty('SELECT left(v, 10), normaliser FROM big, pg_temp.forms(v) WHERE form IS NOT NULL', 'a megabyte identifies nobody');
SELECT is_empty($$SELECT n.name FROM cdp.normaliser_builtin() n WHERE cdp_internal.normalise_identifier(repeat(' ', 600000) || 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' || repeat(E'\u200b', 400000), n.name, 'CN')
  IS DISTINCT FROM 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AND n.name IN ('trim', 'lower', 'uuid', 'device', 'cookie', 'openid')$$, 'blanks around it may be as long');
SELECT is_empty($$SELECT v FROM (VALUES (3200), (3201)) n (n), LATERAL (VALUES (repeat('(', n)), (repeat('"', n)), (repeat('''', n)), (repeat('{', n)), (repeat('<', n)), (repeat(E'\\"', n / 2)), (repeat('%22', n / 3))) v (v),
  pg_temp.forms(v) f WHERE f.form IS NOT NULL AND octet_length(f.form) > 800$$, 'nor at the edge of what is looked at');
SELECT throws_ok($$SELECT cdp_internal.normalise_identifier(convert_from('\x61ff62', 'UTF8'), 'trim', NULL)$$, '22021', NULL, 'bytes that are no UTF-8 never become text');
SELECT throws_ok($$SELECT cdp_internal.normalise_identifier(convert_from('\x610062', 'UTF8'), 'trim', NULL)$$, '22021', NULL, 'nor does a zero byte');

-- What looks alike is told apart, unless Unicode says that it is the same.
SELECT isnt(cdp_internal.normalise_identifier('аnn', 'lower', NULL), cdp_internal.normalise_identifier('ann', 'lower', NULL), 'a Cyrillic letter is not a Latin one');
SELECT is(cdp_internal.normalise_identifier('ａｎｎ', 'lower', NULL), 'ann', 'a full-width one is');
SELECT results_eq($$SELECT (cdp.why_refused('email', v)).code FROM unnest(ARRAY['ann@exаmple.org', 'ann@examplε.org', 'аnn@example.org', 'ann@пример.org']) v$$,
  $$VALUES ('mixed_script'), ('mixed_script'), (NULL), (NULL)$$, 'a domain that mixes scripts is refused');

-- Each code point, alone and between letters, through each normaliser.
CREATE TEMP TABLE sweep AS SELECT c, v FROM generate_series(1, 1114111) c, LATERAL (VALUES ('a' || chr(c) || 'b')) v (v)
  WHERE c NOT BETWEEN 55296 AND 57343 AND (c < 8192 OR c BETWEEN 8192 AND 65535 AND c % 3 = 0 OR c BETWEEN 65280 AND 65535 OR c % 97 = 0 OR c BETWEEN 66560 AND 67000);
SELECT is_empty($$SELECT c FROM (SELECT c, cdp_internal.normalise_identifier(v, 'trim', NULL) AS f FROM sweep) x WHERE f IS NOT NULL AND cdp_internal.normalise_identifier(f, 'trim', NULL) IS DISTINCT FROM f$$,
  'trim: a form of any code point passes unchanged');
SELECT is_empty($$SELECT c FROM (SELECT c, cdp_internal.normalise_identifier(v, 'lower', NULL) AS f FROM sweep) x WHERE f IS NOT NULL AND cdp_internal.normalise_identifier(f, 'lower', NULL) IS DISTINCT FROM f$$,
  'lower: so it does');
SELECT is_empty($$SELECT c FROM (SELECT c, cdp_internal.normalise_identifier('x' || v || '@example.org', 'email', NULL) AS f FROM sweep) x WHERE f IS NOT NULL AND cdp_internal.normalise_identifier(f, 'email', NULL) IS DISTINCT FROM f$$,
  'email: so it does');
SELECT is_empty($$SELECT c FROM (SELECT c, cdp_internal.normalise_identifier(chr(c) || chr(c), 'trim', NULL) AS f FROM sweep) x WHERE f IS NOT NULL AND cdp_internal.normalise_identifier(f, 'trim', NULL) IS DISTINCT FROM f$$,
  'and doubled');

-- The slow twin of trim in SQL.
CREATE FUNCTION pg_temp.twin(value text) RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN cleaned ~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029\ufffd]' THEN NULL ELSE nullif(regexp_replace(regexp_replace(normalize(cleaned, NFKC), ends || '+$', ''), '^' || ends || '+', ''), '') END
  FROM (VALUES ('[\u0001-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]')) e (ends),
    LATERAL (VALUES (regexp_replace(value, '[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]', '', 'g'))) i (seen),
    LATERAL (VALUES (regexp_replace(regexp_replace(seen, ends || '+$', ''), '^' || ends || '+', ''))) c (cleaned) $$;
SELECT is_empty('SELECT c, v FROM sweep WHERE c % 7 = 0 AND cdp_internal.normalise_identifier(v, ''trim'', NULL) IS DISTINCT FROM pg_temp.twin(v)', 'trim agrees with its twin on code points');
SELECT setseed(0.42);
CREATE TEMP TABLE soup AS SELECT n, string_agg(part, '' ORDER BY k) AS v FROM generate_series(1, 4000) n, generate_series(1, 1 + (n % 11)) k,
  LATERAL (SELECT (ARRAY['a', 'B', '7', '0', ' ', '@', '.', '.com', 'gmail.com', '+86', '139', '(0)', '00', '-', '"', '''', '\', '<', '>', 'mailto:', '%22', 'GA1.', '{', '}', E'\u200b', E'\u00a0', E'\u3000', E'\u202e',
    E'\u0301', 'é', 'É', 'İ', 'ß', 'Σ', 'ﬁ', '中', '。', '１', '٣', '😀', 'null', E'\t', E'\ufffd', ':', '/', ';', '=', '*', '_', '0x', 'ab', 'FF'])[1 + floor(random() * 52 + (n + k) * 0)::int] AS part) p GROUP BY n;
SELECT is_empty('SELECT v FROM soup WHERE cdp_internal.normalise_identifier(v, ''trim'', NULL) IS DISTINCT FROM pg_temp.twin(v)', 'and on a random soup');
SELECT is_empty('SELECT v, normaliser, form FROM soup, pg_temp.forms(v) WHERE form IS NOT NULL AND cdp_internal.normalise_identifier(form, normaliser, ''CN'') IS DISTINCT FROM form', 'each normaliser takes its own forms unchanged');
SELECT cmp_ok((SELECT count(DISTINCT normaliser) FROM soup, pg_temp.forms(v) WHERE form IS NOT NULL AND form <> v), '>=', 7::bigint, 'of which there are some');
SELECT is_empty($$SELECT v FROM soup WHERE cdp_internal.normalise_identifier(v, 'trim', NULL) IS NULL AND cdp_internal.normalise_identifier(v, 'email', NULL) IS NOT NULL$$, 'what is no text is no address');
-- Phone numbers without formatting, at random: as they are, with +, with 00.
CREATE TEMP TABLE number AS SELECT (10000 + random() * 10 ^ (5 + n % 11))::bigint::text AS v FROM generate_series(1, 20000) n;
SELECT is_empty($$SELECT v, f FROM (SELECT v, cdp_internal.normalise_identifier(p || v, 'phone', 'DE') AS f FROM number, (VALUES (''), ('+'), ('00'), ('0')) p (p)) x WHERE f !~ '^\+[1-9][0-9]{5,14}$' OR cdp_internal.normalise_identifier(f, 'phone', NULL) <> f$$,
  'numbers at random: E.164 or nothing');
SELECT is_empty($$SELECT v FROM number WHERE cdp_internal.normalise_identifier('+' || v, 'phone', NULL) IS DISTINCT FROM cdp_internal.normalise_identifier('00' || v, 'phone', NULL)$$, '00 is +');

-- Lower case against ICU's, where that maps one character to one. Ours stays at Unicode 15, so that no stored form changes
-- with the server's libraries: capitals of later versions are left out.
SELECT CASE WHEN EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') THEN
  is_empty($$SELECT c, chr(c) FROM sweep WHERE length(lower(chr(c) COLLATE "und-x-icu")) = 1
    AND c <> ALL (ARRAY[x'1C89'::int, x'A7CB'::int, x'A7CC'::int, x'A7CE'::int, x'A7D2'::int, x'A7D4'::int, x'A7DA'::int, x'A7DC'::int])
    AND c NOT BETWEEN x'10D50'::int AND x'10D65'::int AND c NOT BETWEEN x'16EA0'::int AND x'16EB8'::int AND pg_temp.twin('.' || chr(c) || '.') = '.' || chr(c) || '.'
    AND '.' || lower(chr(c) COLLATE "und-x-icu") || '.' <> cdp_internal.normalise_identifier('.' || chr(c) || '.', 'lower', NULL)$$, 'lower agrees with ICU')
  ELSE skip('the server has no ICU', 1) END;

-- Rules that are no rules.
SELECT throws_ok($$SELECT cdp_internal.read_identifier('x', 1, '{a,b}')$$, '2202E', NULL, 'rules of another shape');
SELECT throws_ok($$SELECT cdp_internal.read_identifier('x', 1, '{{type,1,trimm,NULL,NULL}}')$$, '22023', NULL, 'an unknown normaliser in the rules');
SELECT throws_ok($$SELECT cdp_internal.read_identifier('x', 1, '{{block,1000,NULL,NULL,(x}}')$$, '2201B', NULL, 'a pattern that is no expression');
SELECT throws_ok($$SELECT cdp_internal.read_identifier('x', 1, '{{type,none,trim,NULL,NULL}}')$$, '22P02', NULL, 'a number that is none');
SELECT finish();
ROLLBACK;
