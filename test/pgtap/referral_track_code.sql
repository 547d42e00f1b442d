-- Referral codes: the check digit finds what it must, how codes are read and shown, words that none may have, QR pictures.
BEGIN;
SELECT plan(55);

-- A twin in plain SQL says when a code is right.
CREATE FUNCTION pg_temp.fits(c text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN
  (SELECT sum(i * (position(substr(c, i, 1) IN '23456789ABCDEFGHJKMNPQRSTUVWXYZ') - 1)) % 31 = 0 FROM generate_series(1, 9) i) AND c ~ '^[2-9A-HJKMNP-Z]{9}$';
CREATE TEMP TABLE c AS SELECT cdp_internal.referral_code_random('{}') AS c FROM generate_series(1, 3000);
CREATE TEMP TABLE a AS SELECT i, substr('23456789ABCDEFGHJKMNPQRSTUVWXYZ', i, 1) AS s FROM generate_series(1, 31) i;
SELECT is((SELECT count(*) FROM c WHERE pg_temp.fits(c) AND (SELECT x.valid AND x.kind = 'random' AND x.folded = c FROM cdp.referral_code_check(c) x)), 3000::bigint, '3,000 random codes are right, by the twin too');
SELECT is((SELECT count(*) FROM (SELECT overlay(c PLACING s FROM p FOR 1) AS wrong FROM c, a, generate_series(1, 9) p WHERE substr(c, p, 1) <> s) x WHERE NOT cdp_internal.referral_code_is(wrong)),
  810000::bigint, 'each of 810,000 single substitutions is found');
CREATE FUNCTION pg_temp.swap(c text, p integer, q integer) RETURNS text LANGUAGE sql IMMUTABLE RETURN overlay(overlay(c PLACING substr(c, q, 1) FROM p FOR 1) PLACING substr(c, p, 1) FROM q FOR 1);
SELECT is((SELECT array[count(*) > 20000, bool_or(cdp_internal.referral_code_is(pg_temp.swap(c, p, p + 1)))] FROM c, generate_series(1, 8) p WHERE substr(c, p, 1) <> substr(c, p + 1, 1)),
  '{t,f}', 'each change of neighbours is found');
SELECT is((SELECT array[count(*) > 18000, bool_or(cdp_internal.referral_code_is(pg_temp.swap(c, p, p + 2)))] FROM c, generate_series(1, 7) p WHERE substr(c, p, 1) <> substr(c, p + 2, 1)),
  '{t,f}', 'each change over one between is found');
SELECT is((SELECT array[count(*) > 20000, bool_or(cdp_internal.referral_code_is(overlay(c PLACING s || s FROM p FOR 2)))] FROM c, a, generate_series(1, 8) p WHERE substr(c, p, 1) = substr(c, p + 1, 1) AND substr(c, p, 1) <> s),
  '{t,f}', 'each twin error is found');
SELECT is((SELECT count(*) FROM (SELECT string_agg(s, '' ORDER BY n) AS w FROM (SELECT g % 20000 AS k, g AS n, (SELECT s FROM a WHERE i = 1 + abs(hashint4(g)) % 31) AS s FROM generate_series(1, 180000) g) x GROUP BY k) y
  WHERE pg_temp.fits(w) <> cdp_internal.referral_code_is(w)), 0::bigint, 'of 20,000 texts at random the same are right as by the twin');
-- Chi-square of 30 degrees of freedom: 110 is passed by chance once in 10^10.
SELECT cmp_ok((SELECT sum((n - 20000 * 8 / 31.0) ^ 2 / (20000 * 8 / 31.0)) FROM (SELECT substr(c, p, 1), count(*) AS n
  FROM (SELECT cdp_internal.referral_code_random('{}') AS c FROM generate_series(1, 20000)) x, generate_series(1, 8) p GROUP BY 1) y), '<', 110::numeric, 'symbols come equally often');
SELECT is((SELECT count(DISTINCT c) FROM c), 3000::bigint, 'and no code twice');

-- A symbol that no code has is known from the others.
SELECT is((SELECT count(*) FROM c, generate_series(1, 9) p, unnest('{0,1,O,I,L}'::text[]) o, cdp.referral_code_check(overlay(substr(c, 1, 4) || '-' || substr(c, 5, 4) || '-' || substr(c, 9) PLACING o FROM p + (p > 4)::int + (p > 8)::int FOR 1)) x
  WHERE NOT x.valid AND x.problem = 'bad_character' AND x.place = p + (p > 4)::int + (p > 8)::int AND replace(x.suggestion, '-', '') = c), 135000::bigint, 'one O, 0, I, 1 or L is named with its place, and what it must have been');

-- How codes are read.
CREATE FUNCTION pg_temp.read(c text) RETURNS text LANGUAGE sql IMMUTABLE RETURN
  (SELECT concat_ws(' ', CASE WHEN x.valid THEN 'valid' END, x.kind, x.folded, x.display, x.problem, x.place, x.suggestion) FROM cdp.referral_code_check(c) x);
SELECT is(pg_temp.fits('K7M4Q2TXQ'), true, 'the code of these tests');
SELECT is(pg_temp.read('K7M4Q2TXQ'), 'valid random K7M4Q2TXQ K7M4-Q2TX-Q', 'as it is stored');
SELECT is(pg_temp.read(v), 'valid random K7M4Q2TXQ K7M4-Q2TX-Q', 'written as ' || v)
FROM unnest(ARRAY['k7m4-q2tx-q', ' K7M4 Q2TX Q ', 'K7M4–Q2TX—Q', E'K7M4\u200BQ2TX\u00A0Q\n', 'Ｋ７Ｍ４－Ｑ２ＴＸ－Ｑ', 'K-7-M-4_Q2TXQ']) v;
SELECT is(pg_temp.read('K7M4-Q2TX-9'), 'random check_digit', 'a wrong check digit');
SELECT is(pg_temp.read('K7M4-Q0TX-Q'), 'random bad_character 7 K7M4-Q2TX-Q', 'a zero');
SELECT is(pg_temp.read('K7O4-Q0TX-Q'), 'random bad_character 3', 'two characters that no code has: the first is named, nothing is guessed');
SELECT is(pg_temp.read('K7M4-Q!TX-Q'), 'random bad_character 7 K7M4-Q2TX-Q', 'a mark');
SELECT is(pg_temp.read('K7M4Q2TXÄ'), 'vanity bad_character 9 K7M4-Q2TX-Q', 'a letter of another alphabet, counted in characters');
SELECT is(pg_temp.read('Anna-Maria-9'), 'valid vanity anna-maria-9 anna-maria-9', 'a vanity code, in lower case');
SELECT is(pg_temp.read('k7m4q0txq'), 'valid vanity k7m4q0txq k7m4q0txq K7M4-Q2TX-Q', 'one that may be a random one with an error');
SELECT is(pg_temp.read(v), r, 'no code: ' || left(v, 10)) FROM (VALUES ('', 'vanity empty'), (' - ', 'vanity empty'), ('ab', 'vanity too_short'), (repeat('a', 51), 'vanity too_long'), (repeat('é', 3000), 'vanity bad_character 1'), ('安娜', 'vanity bad_character 1')) AS v (v, r);
SELECT is(pg_temp.read(repeat('a', 50)), 'valid vanity ' || repeat('a', 50) || ' ' || repeat('a', 50), 'the longest');
SELECT ok((SELECT x IS NULL FROM cdp.referral_code_check(NULL) x), 'NULL for NULL');
SELECT is((SELECT array_agg(cdp_internal.referral_code_fold(v)) FROM unnest('{k7m4-q2tx-q,K7M4-Q2TX-9,Anna-9,a}'::text[]) v), '{K7M4Q2TXQ,NULL,anna-9,NULL}', 'folded');
SELECT is(cdp.referral_code_format('k7m4 q2txq') || ' ' || cdp.referral_code_format('ANNA-9'), 'K7M4-Q2TX-Q anna-9', 'as it is shown');
SELECT throws_ok($$SELECT cdp.referral_code_format('K7M4-Q2TO-D')$$, '22P02', 'this is no referral code', 'no code is not shown');
SELECT is('k7m4-q2tx-q'::cdp.referral_code::text, 'k7m4-q2tx-q', 'the domain takes any way of writing');
SELECT throws_ok($$SELECT 'K7M4-Q2TX-9'::cdp.referral_code$$, '23514', NULL, 'and no wrong check digit');
SELECT throws_ok($$SELECT 'anna-9'::cdp.referral_code$$, '23514', NULL, 'nor a code without one');

-- Words.
SELECT is((SELECT array_agg(coalesce(cdp_internal.referral_code_word(c, '{fuck,shit}', '{ass,admin}'), '-') ORDER BY n) FROM unnest('{xfuckx,5H1T9,f-u-c-k,ffuuucckk,admin,4dm1n,my-admin,grass,big-a55,k7m4q2txq,fvck,duck}'::text[]) WITH ORDINALITY AS u (c, n)),
  '{fuck,shit,fuck,fuck,admin,admin,admin,-,ass,-,fuck,-}', 'words and what looks like them');
SELECT is(cdp_internal.referral_code_word(repeat('a', 50), ARRAY[repeat('a', 62), repeat('a', 63), NULL, ''], '{}'), NULL, 'words too long or empty match nothing');
SELECT is((SELECT count(*) FROM cdp.referral_word_builtin() WHERE word !~ '^[a-z0-9-]{2,40}$' OR kind NOT IN ('rude', 'reserved') OR place NOT IN ('anywhere', 'whole')), 0::bigint, 'the list is as it says');
SELECT is((SELECT count(*) FROM (SELECT word FROM cdp.referral_word_builtin() GROUP BY 1 HAVING count(*) > 1) x), 0::bigint, 'each word once');
SELECT is((SELECT string_agg(c, ' ') FROM unnest('{grass,title,peacock,brochure,computer,ignazio,anna,summer-sale,document,hancock,asuka,significa}'::text[]) c
  WHERE cdp_internal.referral_code_word(c, ARRAY(SELECT word FROM cdp.referral_word_builtin() WHERE kind = 'rude' AND place = 'anywhere'), ARRAY(SELECT word FROM cdp.referral_word_builtin() WHERE place = 'whole' AND kind = 'rude')) IS NOT NULL),
  NULL, 'harmless words pass');
-- Of 2,000 codes a few would hold some of these.
SELECT is((SELECT count(*) FROM (SELECT cdp_internal.referral_code_random('{s,e7}') AS c FROM generate_series(1, 2000)) x WHERE c ~ '[S5]' OR c ~ 'E7'), 0::bigint, 'no random code holds a word to avoid');
SELECT throws_ok($$SELECT cdp_internal.referral_code_random(ARRAY(SELECT lower(s) FROM pg_temp.a))$$, '54000', 'every code holds one of the words to avoid', 'a list that leaves none is refused');

-- QR pictures; test/t/qr.pl reads them back.
SELECT ok(cdp.qr_svg('https://example.com') ~ '^<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 33 33"', 'an SVG of version 2 with its border');
SELECT is(substr(cdp.qr_png('https://example.com', scale => 2), 17, 10), '\x00000042000000420100'::bytea, 'a PNG of 66 pixels, one bit each');
SELECT throws_ok(format($$SELECT cdp.qr_svg(%s)$$, a), e, m, 'refused: ' || m) FROM (VALUES
  ($a$''$a$, '22023', 'text of a QR code must not be empty'), ($a$repeat('a', 2332)$a$, '54000', 'text is too long for a QR code'), ($a$'a', 'X'$a$, '22023', 'level of error correction must be L, M, Q or H'),
  ($a$'a', 'M', -1$a$, '22023', 'quiet_zone must be from 0 to 64'), ($a$'a', dark => 'red"/>'$a$, '22023', 'a color must be written #rgb or #rrggbb'),
  ($a$'a', dark => '#ffffff', light => '#000000'$a$, '22023', 'dark must be much darker than light, or scanners see nothing')) AS v (a, e, m);
SELECT throws_ok($$SELECT cdp.qr_png('a', scale => 65)$$, '22023', 'scale must be from 1 to 64', 'a scale out of bounds');
SELECT is(length(cdp.qr_svg(repeat('a', 2331))) > 10000, true, 'the longest text');

SELECT * FROM finish();
ROLLBACK;
