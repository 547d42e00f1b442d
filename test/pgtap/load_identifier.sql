-- Loads store identifiers in one form and refuse what identifies nobody.
BEGIN;
SELECT plan(14);
SELECT cdp.add_source('shop', 'UTC');
CALL cdp.setup(phone_region => 'CN');
SELECT cdp.add_identifier_type('session', role => 'ignore');
SELECT cdp.add_identifier_type('plate', normaliser => 'lower', pattern => '^[^0-9]');
INSERT INTO cdp_data.identifier_block (type_id, value) VALUES (3, '010-8888 8888');
INSERT INTO cdp_data.identifier_block (pattern) VALUES ('^qa[-_]');
CREATE TABLE st AS
SELECT 'k' || v.n AS source_key, timestamptz '2026-01-01' + v.n * interval '1 hour' AS occurred_at, v.t AS identifier_type, v.i AS identifier, 'visit' AS kind, v.code
FROM (VALUES
  (1, 'phone', '13911112222', NULL), (2, 'phone', '+86 139-1111-2222', NULL), (3, 'phone', '00861 3911112222', NULL),
  (4, 'email', 'Ann <Ann@Example.org>', NULL), (5, 'email', E'ANN@example.org\u200b', NULL),
  (6, 'plate', '京a-12345', NULL), (7, 'plate', '京Ａ-12345', NULL),
  (8, 'user_id', 'null', 'blocked_identifier'), (9, 'user_id', '"Undefined"', 'blocked_identifier'), (10, 'user_id', '000-000', 'blocked_identifier'),
  (11, 'email', 'nobody', 'blocked_identifier'), (12, 'email', 'ann at example', 'bad_identifier'), (13, 'phone', '1391111', 'bad_identifier'),
  (14, 'session', 's1', 'ignored_identifier'), (15, 'plate', '12345', 'bad_identifier'), (16, 'user_id', NULL, 'bad_identifier'),
  (17, 'phone', '+861088888888', 'blocked_identifier'), (18, 'cookie', 'qa-7', 'blocked_identifier'), (19, 'user_id', 'qa', NULL),
  (20, 'nothing', 'null', 'unknown_identifier_type'), (21, 'user_id', E'a\tb', 'bad_identifier')) v (n, t, i, code);

SELECT results_eq($$SELECT rows_read, inserted, quarantined FROM cdp.load_touchpoints('shop', 'st')$$,
  $$SELECT count(*), count(*) FILTER (WHERE code IS NULL), count(code) FROM st$$, 'what identifies nobody stops nothing');
SELECT results_eq($$SELECT original ->> 'source_key', code FROM cdp_data.quarantine ORDER BY quarantine_id$$,
  $$SELECT source_key, code FROM st WHERE code IS NOT NULL ORDER BY substr(source_key, 2)::int$$, 'each has its code');
SELECT set_eq($$SELECT t.name, i.value, count(*) FROM cdp_data.touchpoint JOIN cdp_data.identifier i USING (identifier_id) JOIN cdp_data.identifier_type_all t USING (type_id) GROUP BY 1, 2$$,
  $$VALUES ('phone', '+8613911112222', 3::bigint), ('email', 'ann@example.org', 2), ('plate', '京a-12345', 2), ('user_id', 'qa', 1)$$,
  'several ways of writing are one identifier');
SELECT set_eq('SELECT DISTINCT state FROM cdp_data.identifier', $$VALUES ('active')$$, 'which is active');
SELECT results_eq($$SELECT unchanged, inserted FROM cdp.load_touchpoints('shop', 'st')$$, 'VALUES (8::bigint, 0::bigint)', 'the same again is unchanged');

-- The type as argument, for the whole staging table.
CREATE TABLE st2 AS SELECT 'p' || n AS source_key, timestamptz '2026-02-01' AS occurred_at, v AS identifier, 'visit' AS kind
FROM (VALUES (1, '(139) 1111 2222'), (2, '12')) x (n, v);
SELECT results_eq($$SELECT inserted, quarantined FROM cdp.load_touchpoints('shop', 'st2', identifier_type => 'phone')$$, 'VALUES (1::bigint, 1::bigint)', 'the type may come as argument');
SELECT is((SELECT count(*) FROM cdp_data.identifier WHERE value = '+8613911112222'), 1::bigint, 'and the form is the same');

-- A built-in block is switched off, a type's role changes, and the quarantine is tried again.
INSERT INTO cdp_data.identifier_block (block_id, value, is_active) SELECT block_id, value, false FROM cdp.identifier_block_builtin() WHERE value = 'null';
SELECT cdp.add_identifier_type('session', role => 'merge');
SELECT results_eq($$SELECT rows_read, inserted FROM cdp.retry_quarantine(1)$$, 'VALUES (13::bigint, 2::bigint)', 'retry_quarantine takes what is allowed now');
SELECT set_eq($$SELECT value FROM cdp_data.identifier WHERE value IN ('null', 's1')$$, $$VALUES ('null'), ('s1')$$, 'in the form of its type');

-- A suppressed person does not come in under another way of writing, nor reach the quarantine.
INSERT INTO cdp_data.suppression (digest) SELECT cdp_internal.suppression_digest(3::smallint, '+8613900001111');
INSERT INTO cdp_data.suppression (digest) SELECT cdp_internal.suppression_digest(type_id, 's9') FROM cdp_data.identifier_type WHERE name = 'session';
SELECT cdp.add_identifier_type('session', role => 'ignore');
CREATE TABLE st3 AS SELECT 'q' || n AS source_key, timestamptz '2026-03-01' AS occurred_at, t AS identifier_type, v AS identifier, k AS kind
FROM (VALUES (1, 'phone', '+86 (139) 0000-1111', 'visit'), (2, 'phone', '8613900001111', 'no such kind'), (3, 'session', ' s9 ', 'visit')) x (n, t, v, k);
SELECT results_eq($$SELECT load_id, inserted, quarantined FROM cdp.load_touchpoints('shop', 'st3')$$, 'VALUES (5::bigint, 0::bigint, 3::bigint)', 'a suppressed number is refused, however it is written');
SELECT results_eq($$SELECT DISTINCT code, original::text FROM cdp_data.quarantine WHERE load_id = 5$$, $$VALUES ('suppressed', '{}')$$, 'and nothing of it is kept');
SELECT is((SELECT count(*) FROM cdp_data.identifier WHERE value LIKE '%0000%'), 0::bigint, 'nor an identifier');

SELECT throws_ok($$UPDATE cdp_data.setting SET phone_region = 'china'$$, '23514', NULL, 'a region is two capitals');
SELECT set_has('SELECT code FROM cdp_internal.load_reasons()', 'SELECT DISTINCT code FROM cdp_data.quarantine', 'every code has its reason');
SELECT finish();
ROLLBACK;
