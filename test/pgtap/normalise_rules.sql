-- Types, blocked values and patterns: what cdp.normalise() and cdp.why_refused() say, and cdp.add_identifier_type().
BEGIN;
SELECT plan(38);
UPDATE cdp_data.setting SET phone_region = NULL;

-- Blocked values in every dress.
SELECT is_empty($$SELECT d FROM (VALUES ('null'), ('undefined'), ('anonymous'), ('guest'), ('distinct_id'), ('id'), ('not_authenticated'), ('email'), ('true'), ('false'), ('[object Object]'), ('NaN'),
    ('None'), ('nil'), ('-1'), ('unknown'), ('n/a'), ('无'), ('空'), ('未知'), ('\N'), ('')) v (v),
    LATERAL (VALUES (v), (upper(v)), ('"' || v || '"'), ('''' || v || ''''), ('`' || v || '`'), ('''"' || v || '"'''), ('\"' || v || '\"'), ('" ' || v || ' "'), (E' \u200b' || v || E'\ufeff')) d (d),
    unnest(ARRAY['user_id', 'order_id', 'email', 'cookie', 'device']) t WHERE cdp.normalise(t, d) IS NOT NULL OR coalesce((cdp.why_refused(t, d)).code, '') NOT IN ('blocked', 'empty')$$,
  'words for nothing identify nobody, in any dress');
SELECT is_empty($$SELECT v FROM unnest(ARRAY['0', '00', '-', '---', '0-0-0', '00000000-0000-0000-0000-000000000000', '.', '??', '**', '138****1234', '{{user.id}}', '${id}', '%%EMAIL%%', '*|EMAIL|*', '[[id]]', '__IDFA__',
    'd41d8cd98f00b204e9800998ecf8427e', 'E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855']) v WHERE (cdp.why_refused('user_id', v)).code IS DISTINCT FROM 'blocked'$$, 'nor do zeros, masks, placeholders, digests of nothing');
SELECT is_empty($$SELECT v FROM unnest(ARRAY['10', '0a', 'nullx', 'x null', 'anonymous1', '''', 'id7', '中无', '-12', '{{', '__x__', 'None of us', '"x"', 'e*mail']) v WHERE (cdp.why_refused('user_id', v)).code IS NOT NULL$$, 'what only resembles them is taken');
SELECT is(cdp.normalise('user_id', '"x"'), '"x"', 'and quotes around a value stay');
SELECT is_empty($$SELECT v FROM unnest(ARRAY['+86 138 0013 8000', '008613800138000', '+8613888888888', '+1 555 555 5555']) v WHERE (cdp.why_refused('phone', v)).code IS DISTINCT FROM 'blocked'$$, 'numbers typed in to get past a form');
SELECT is_empty($$SELECT v FROM unnest(ARRAY['Test@Test.com', 'no-reply@shop.example', 'NOREPLY@x.org', '<test@test.com>']) v WHERE (cdp.why_refused('email', v)).code IS DISTINCT FROM 'blocked'$$, 'and addresses');
SELECT results_eq($$SELECT (cdp.why_refused('user_id', 'test@test.com')).code, (cdp.why_refused('user_id', '+8613800138000')).code$$, 'VALUES (NULL::text, NULL::text)', 'of their type only');
SELECT is((cdp.why_refused('device', '02-00-00-00-00-00')).code, 'blocked', 'also when only the form is on the list');

-- Every reason.
SELECT results_eq($$SELECT (cdp.why_refused(t, v)).code FROM (VALUES (1, 'user_id', ' '), (2, 'user_id', NULL), (3, 'user_id', repeat('x', 801)), (4, 'user_id', E'a\rb'), (5, 'user_id', 'null'), (6, 'email', 'x'), (7, 'email', 'a@раypal.com'),
    (8, 'phone', '+86 1'), (9, 'phone', '13911112222'), (10, 'phone', '+8613911112222 x7'), (11, 'openid', 'x'), (12, 'device', 'x'), (13, 'cookie', 'a b'), (14, 'id_hash', 'x'), (15, 'user_id', 'fine')) v (n, t, v) ORDER BY n$$,
  $$VALUES ('empty'), ('empty'), ('too_long'), ('bad_character'), ('blocked'), ('bad_email'), ('mixed_script'), ('bad_phone'), ('phone_region'), ('phone_extension'), ('bad_openid'), ('bad_device'), ('bad_cookie'), ('bad_hash'), (NULL)$$,
  'each reason has its code');
SELECT is((cdp.why_refused('email', 'x')).reason, 'no address of the form local@domain', 'and its text');
SELECT is((cdp.why_refused('email', 'x@example.org')).reason, NULL, 'none when it is taken');
SELECT throws_ok($$SELECT cdp.normalise('e-mail', 'x')$$, '22023', 'unknown identifier type "e-mail"', 'an unknown type');
SELECT throws_ok($$SELECT cdp.why_refused('e-mail', 'x')$$, '22023', 'unknown identifier type "e-mail"', 'for both');

-- Phone region.
CALL cdp.setup(phone_region => 'CN');
SELECT is(cdp.normalise('phone', '139 1111 2222'), '+8613911112222', 'the region of setup() completes a number');
CALL cdp.setup();
SELECT is((SELECT phone_region FROM cdp_data.setting), 'CN', 'and stays');
SELECT throws_ok($$CALL cdp.setup(phone_region => 'XX')$$, '22023', 'unknown phone region "XX"', 'a region without numbers');
SELECT is(cdp.normalise('phone', '0171 1234567'), NULL, 'numbers of another region need their code');

-- Types of one's own.
SELECT cdp.add_identifier_type('plate', 'Number plate', normaliser => 'lower', priority => 400, max_per_customer => 3, pattern => '^[a-z]+-[0-9]+$') AS plate \gset
SELECT is((SELECT type_id FROM cdp_data.identifier_type WHERE name = 'plate'), :plate::smallint, 'a new type gives its number');
SELECT is((SELECT to_jsonb(t) - 'type_id' FROM cdp_data.identifier_type_all t WHERE name = 'plate' AND type_id >= 1000),
  '{"name": "plate", "role": "merge", "pattern": "^[a-z]+-[0-9]+$", "priority": 400, "is_builtin": false, "normaliser": "lower", "description": "Number plate", "limit_window": null, "max_per_customer": 3, "supernode_degree": null}'::jsonb, 'with what was given');
SELECT is(cdp.normalise('plate', 'HH-123'), 'hh-123', 'its normaliser works');
SELECT is((cdp.why_refused('plate', 'HH 123')).code, 'pattern', 'and its pattern');
SELECT cdp.add_identifier_type('plate', limit_window => '1 year', role => 'attach_only');
SELECT results_eq($$SELECT normaliser, role, max_per_customer, limit_window FROM cdp_data.identifier_type WHERE name = 'plate'$$, $$VALUES ('lower', 'attach_only', 3, interval '1 year')$$, 'a second call changes what it names');
SELECT is(cdp.add_identifier_type('email', normaliser => 'email_gmail'), 2::smallint, 'a built-in type keeps its number');
SELECT results_eq($$SELECT normaliser, priority, max_per_customer, supernode_degree, is_builtin FROM cdp_data.identifier_type_all WHERE name = 'email'$$, $$VALUES ('email_gmail', 300::smallint, 5, 500, false)$$, 'and the rest of it');
SELECT is(cdp.normalise('email', 'A.B+c@gmail.com'), 'ab@gmail.com', 'and its new normaliser works');
SELECT is((cdp.why_refused('email', 'test@test.com')).code, 'blocked', 'while what is blocked for it stays so');
SELECT throws_ok($$SELECT cdp.add_identifier_type('x', normaliser => 'soundex')$$, '22023', 'unknown normaliser "soundex"', 'an unknown normaliser');
SELECT throws_ok($$SELECT cdp.add_identifier_type('x', pattern => '(')$$, '2201B', NULL, 'a bad pattern is refused when it is written');
SELECT throws_ok($$SELECT cdp.add_identifier_type('x', role => 'boss')$$, '23514', NULL, 'so is a bad role');
SELECT throws_ok($$SELECT cdp.add_identifier_type('x', limit_window => '1 day')$$, '23514', NULL, 'and a window without a limit');
SELECT cdp.add_identifier_type('session', role => 'ignore');
SELECT results_eq($$SELECT cdp.normalise('session', 's1'), (cdp.why_refused('session', 's1')).code$$, $$VALUES (NULL::text, 'ignored')$$, 'an ignored type has no forms');

-- Blocks of one's own.
SELECT throws_ok($$INSERT INTO cdp_data.identifier_block (value, pattern) VALUES ('a', 'a')$$, '23514', NULL, 'a block is a value or a pattern');
SELECT throws_ok($$INSERT INTO cdp_data.identifier_block (pattern) VALUES ('[')$$, '2201B', NULL, 'and a pattern is an expression');
INSERT INTO cdp_data.identifier_block (type_id, value) VALUES (3, '010 6552 9988'), (NULL, 'ＴＥＳＴ');
SELECT results_eq($$SELECT (cdp.why_refused('phone', '+861065529988')).code, (cdp.why_refused('user_id', 'test')).code, (cdp.why_refused('user_id', '+861065529988')).code$$, $$VALUES ('blocked', 'blocked', NULL::text)$$, 'a value may be given in any way of writing');
INSERT INTO cdp_data.identifier_block (block_id, value, is_active) SELECT block_id, value, false FROM cdp.identifier_block_builtin() WHERE value = 'guest';
SELECT results_eq($$SELECT cdp.normalise('user_id', 'guest'), (SELECT count(*) FROM cdp_data.identifier_block_all WHERE value = 'guest')$$, $$VALUES ('guest', 0::bigint)$$, 'a built-in one can be switched off');
SELECT is_empty($$SELECT block_id FROM cdp.identifier_block_builtin() GROUP BY 1 HAVING count(*) > 1 OR max(block_id) > 999$$, 'each has its own number');

-- Patterns that are compared without the expression engine agree with it.
SELECT is_empty($$SELECT p, v FROM unnest(ARRAY['abc', '^abc', '^abc$', 'a.c', 'abc$', '^[-ab0]*$', '^[ab]*$', '^[a-c]*$', '^[^ab]*$', 'ab|cd', '^ab|^cd', 'abc?', '^abc*', '^a\.b', '\*\*', '\.', '^\{\{.*\}\}$', '(?i)^ABC', '***=a.b', '^ab{2}', '\mabc', '^\w+$', '^a\d',
    'a-b', '^__[A-Z]+__$', '^', '$', 'x', 'é', '^é', '^[é]*$', '()', '^(ab)+$']) p,
    unnest(ARRAY['abc', 'abcd', 'xabc', 'ab', 'cd', 'abb', 'a.b', 'a-b', 'a**b', '{{x}}', '{{', 'ABC', 'a1', 'é', 'éa', 'aéb', '__X__', 'ba-0', 'b', 'abab', 'xyz', 'cab']) v
  WHERE (cdp_internal.refused_identifier(v, 1, ARRAY[ARRAY['block', '1000', NULL, NULL, p]], ARRAY[ARRAY['type', '1', 'trim', NULL, NULL]]) IS NOT NULL) IS DISTINCT FROM (v COLLATE "C" ~ p)$$, 'simple patterns mean the same');
-- A variable of plpgsql changes between calls of one expression.
DO $$
DECLARE
  own text[];
  got text := '';
BEGIN
  FOR n IN 1 .. 4 LOOP
    own := CASE WHEN n % 2 = 0 THEN '{{block,1000,NULL,joe,NULL}}'::text[] END;
    got := got || coalesce(cdp_internal.read_identifier('joe', 1, own), '-');
  END LOOP;
  PERFORM set_config('test.got', got, true);
END
$$;
SELECT is(current_setting('test.got'), 'joe-joe-', 'rules that change are compiled again');
SELECT finish();
ROLLBACK;
