-- Masks: known answers, and what holds for any input: no error, no length, never the value.
BEGIN;
SELECT plan(9);
SELECT results_eq($$ SELECT v, cdp.mask_email(v) FROM unnest(array['lena@example.com', 'l@e.com', 'ab@mail.example.co.uk', 'no address', 'a@b@c', 'lené@日本語.jp', 'cdp1:1:a@b.c', '']) v $$,
  $$ VALUES ('lena@example.com', 'l***@e***.com'), ('l@e.com', '***@***.com'), ('ab@mail.example.co.uk', '***@m***.uk'), ('no address', '****'), ('a@b@c', '****'),
    ('lené@日本語.jp', 'l***@日***.jp'), ('cdp1:1:a@b.c', '****'), ('', '****') $$, 'e-mail addresses');
SELECT results_eq($$ SELECT v, cdp.mask_phone(v) FROM unnest(array['+8613812345678', '+14155550123', '+79161234567', '+4930123456', '+351912345678', '+3531234567', '+49123', '13812345678', 'abc', '']) v $$,
  $$ VALUES ('+8613812345678', '+86 138****5678'), ('+14155550123', '+1 415****123'), ('+79161234567', '+7 916****567'), ('+4930123456', '+49 30****56'), ('+351912345678', '+351 91****678'),
    ('+3531234567', '+353 1****67'), ('+49123', '****'), ('13812345678', '138****5678'), ('abc', '****'), ('', '****') $$, 'phone numbers');
SELECT results_eq($$ SELECT v, cdp.mask_name(v) FROM unnest(array['Anna Bell', '张小明', 'A', '', '  x  Yy zz', 'Anna Maria von der Heide', 'cdp1:1:xyz']) v $$,
  $$ VALUES ('Anna Bell', 'A** B**'), ('张小明', '张**'), ('A', '**'), ('', '**'), ('  x  Yy zz', '** Y** z**'), ('Anna Maria von der Heide', 'A** M** v**'), ('cdp1:1:xyz', '**') $$, 'names');
SELECT results_eq($$ SELECT v, cdp.mask_text(v) FROM unnest(array['abcdefgh', 'abcdefg', '', 'oGZUI0egBJY1zhBYw2KhdUfwVJJE']) v $$,
  $$ VALUES ('abcdefgh', 'ab****gh'), ('abcdefg', '****'), ('', '****'), ('oGZUI0egBJY1zhBYw2KhdUfwVJJE', 'oG****JE') $$, 'anything else');
SELECT is(cdp.mask_identifier(n, '+8613812345678'), m, 'as its normaliser is: ' || n) FROM (VALUES ('phone', '+86 138****5678'), ('email', '****'), ('cookie', '+8****78')) v (n, m);
-- Random bytes of many alphabets, long and short.
CREATE TEMP TABLE noise AS
SELECT (SELECT string_agg(substr(E'ab1+@. \t日é‎''"\\%\U0001F600', 1 + floor(random() * 18)::integer, 1), '') FROM generate_series(1, 1 + (i % 60)) WHERE i > 0) AS v FROM generate_series(1, 3000) i;
SELECT is((SELECT count(*) FROM noise CROSS JOIN LATERAL (VALUES (cdp.mask_email(v)), (cdp.mask_phone(v)), (cdp.mask_name(v)), (cdp.mask_text(v))) AS m (masked)
  WHERE masked IS NULL OR masked = v OR strpos(masked, '*') = 0 OR length(masked) > 30), 0::bigint, 'every mask hides, whatever comes');
SELECT is(cdp.mask_email(NULL) IS NULL AND cdp.mask_phone(NULL) IS NULL AND cdp.mask_name(NULL) IS NULL AND cdp.mask_text(NULL) IS NULL AND cdp.mask_identifier('email', NULL) IS NULL, true, 'NULL for NULL');
SELECT * FROM finish();
ROLLBACK;
