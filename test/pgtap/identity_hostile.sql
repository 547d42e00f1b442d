-- Hostile identifiers: whatever comes, the graph stays a graph, nothing is stored that identifies nobody, answers come in
-- bounded time, and no message or alert shows a value.
\ir ../twin/identity.sql
SET jit = off;
SET client_min_messages = warning;
SELECT plan(77);
SELECT cdp.add_source('web', 'UTC');
SELECT twin.keep();
CREATE FUNCTION pg_temp.stored() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM cdp_data.identifier $$;
-- How an error speaks: its state, and whether any part of it shows a secret.
CREATE FUNCTION pg_temp.says(query text, secret text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  m text; d text; h text; c text; s text;
BEGIN
  EXECUTE query;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT, s = RETURNED_SQLSTATE;
  RETURN s || CASE WHEN concat_ws(' ', m, d, h) LIKE '%' || secret || '%' THEN ' shows it' ELSE '' END || CASE WHEN length(concat_ws(' ', m, d, h)) > 4000 THEN ' at length' ELSE '' END;
END
$$;

-- Size.
SELECT is(pg_temp.says(format('SELECT cdp.identify(%L, jsonb_build_object(%L, repeat(%L, 100000)))', 'web', t, 'secretsecr'), 'secretsecr'), '22023', t || ' of 1 MB is refused, unseen')
FROM unnest('{email,phone,user_id,cookie,device,openid,payment_hash,id_hash,order_id}'::text[]) t;
SELECT is(pg_temp.says($$SELECT cdp.identify('web', jsonb_build_object(repeat('secretsecr', 100000), 'x'))$$, repeat('secretsecr', 20)), '22023', 'a type of 1 MB');
SELECT is(pg_temp.says($$SELECT cdp.customer_of(repeat('secretsecr', 100000), 'x')$$, repeat('secretsecr', 20)), '22023', 'also when asked for');
SELECT is(pg_temp.says($$SELECT cdp.identify(repeat('secretsecr', 100000), '{"user_id": "1"}')$$, repeat('secretsecr', 20)), '22023', 'a source of 1 MB');
SELECT is(pg_temp.says($$SELECT cdp.identify('web', '{"user_id": "1"}', message_id => repeat('secretsecr', 100000))$$, 'secretsecr'), '22023', 'a message_id of 1 MB');
SELECT is(pg_temp.says($$SELECT cdp.identify('web', (SELECT jsonb_object_agg('secret' || i, 'x') FROM generate_series(1, 100000) i))$$, 'secret99'), '54000', 'a hundred thousand types');
SELECT is(pg_temp.says($$SELECT cdp.identify('web', jsonb_build_object('user_id', (SELECT jsonb_agg('secret' || i) FROM generate_series(1, 51) i)))$$, 'secret'), '54000', '51 identifiers');
SELECT is(pg_temp.says($$SELECT cdp.identify('web', (SELECT jsonb_object_agg('user_id', repeat('[', 5000) || repeat(']', 5000))))$$, '[[['), '22023', 'brackets are no list');
SELECT is(pg_temp.says($$SELECT cdp.identify('web', jsonb_build_object('user_id', (repeat('[', 3000) || repeat(']', 3000))::jsonb))$$, '[[['), '22023', 'lists in lists, 3,000 deep');

-- Bytes.
SELECT throws_ok($$SELECT cdp.identify('web', '{"email": "a\u0000b@example.org"}')$$, '22P05', NULL, 'a zero byte does not get into jsonb');
SELECT throws_ok($$SELECT cdp.customer_of('email', convert_from('\x61ff62', 'UTF8'))$$, '22021', NULL, 'nor do broken bytes get into text');
SELECT throws_ok($$SELECT cdp.identify('web', '{"email": "\ud800@example.org"}')$$, '22P02', NULL, 'nor half of a surrogate pair');
SELECT is(pg_temp.stored(), 0::bigint, 'nothing of all that was stored');
SELECT is((SELECT count(*) FROM cdp_data.customer), 0::bigint, 'and no customer made');
SELECT is((SELECT count(*) FROM cdp_data.link), 0::bigint, 'and no link');

-- What looks like another.
SELECT cdp.identify('web', '{"user_id": "anna"}'), cdp.identify('web', E'{"user_id": "\u0430nna"}'), cdp.identify('web', '{"email": "anna@example.org"}'), cdp.identify('web', E'{"email": "\u0430nna@example.org"}');
SELECT isnt(cdp.customer_of('user_id', 'anna'), cdp.customer_of('user_id', U&'\0430nna'), 'a Cyrillic a is another letter');
SELECT is((SELECT count(DISTINCT root) FROM twin.place()), pg_temp.stored(), 'nobody merged with his double');
SELECT cdp.identify('web', jsonb_build_object('user_id', U&'an\200Bna\FEFF')), cdp.identify('web', jsonb_build_object('user_id', U&'\FF41nna ')), cdp.identify('web', jsonb_build_object('user_id', U&'\00A0anna\2060'));
SELECT is((SELECT count(*) FROM cdp_data.identifier WHERE value ~ U&'[\200B\FEFF\2060\00A0]'), 0::bigint, 'no invisible letters are stored');
SELECT is(cdp.customer_of('user_id', U&'a\200Dnna'), cdp.customer_of('user_id', 'anna'), 'with or without them it is the same');
SELECT is(pg_temp.says(format('SELECT cdp.identify(''web'', jsonb_build_object(%L, %L::text))', 'user_id', v), 'nothing'), '22023', format('nothing to see, %s, is nobody', n))
FROM unnest(ARRAY['', ' ', U&'\200B', U&'\3000', E'\t\n', U&'\202E']) WITH ORDINALITY AS u (v, n);

-- What stands for nothing.
CREATE TEMP TABLE nobody AS SELECT pg_temp.stored() AS n;
CREATE FUNCTION pg_temp.taken() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  t text; v text; taken text := '';
BEGIN
  FOR t IN SELECT name FROM cdp_data.identifier_type_all ORDER BY name LOOP
    FOREACH v IN ARRAY ARRAY['null', 'NULL', 'Null', 'undefined', 'UNDEFINED', '"null"', '''null''', '"undefined"', '''undefined''', 'none', 'None', 'NaN', 'nil', '[object Object]',
      'anonymous', 'guest', 'true', 'false', '0', '00000000-0000-0000-0000-000000000000', '""', ' null ', U&'nu\200Bll', U&'\FF4E\FF55\FF4C\FF4C', '-1'] LOOP
      IF pg_temp.says(format('SELECT cdp.identify(%L, jsonb_build_object(%L, %L::text))', 'web', t, v), 'nothing at all') <> '22023' THEN
        taken := taken || format('%s as %s; ', v, t);
      END IF;
    END LOOP;
  END LOOP;
  RETURN taken;
END
$$;
SELECT is(pg_temp.taken(), '', 'null, undefined and their kin identify nobody, in no spelling');
SELECT is(pg_temp.stored(), (SELECT n FROM nobody), 'nor are they stored');
SELECT is(pg_temp.says(format('SELECT cdp.identify(%L, %L)', 'web', v), 'nothing at all'), '22023', 'refused: ' || v) FROM unnest(ARRAY[
  '{"user_id": null}', '{"user_id": true}', '{"user_id": {"a": 1}}', '{"user_id": [[1]]}', '{"user_id": []}', '{}', '[]', '"user_id"', '7', 'null', '{"": "x"}', '{"user_id": [null, true, {}, [], ""]}']) v;
SELECT cdp.identify('web', '{"user_id": 1e3}'), cdp.identify('web', '{"user_id": 12345678901234567890}'), cdp.identify('web', '{"user_id": 12345678901234567891}');
SELECT isnt(cdp.customer_of('user_id', '1000'), NULL, 'a number is read as it is written out');
SELECT isnt(cdp.customer_of('user_id', '12345678901234567890'), cdp.customer_of('user_id', '12345678901234567891'), 'long numbers keep their digits');

-- SQL in types and values is text.
SELECT is(pg_temp.says($$SELECT cdp.identify('web', jsonb_build_object('email''; DROP TABLE cdp_data.link; --', 'x'))$$, 'nothing at all'), '22023', 'SQL as a type');
SELECT isnt((cdp.identify('web', jsonb_build_object('user_id', $$'; DROP TABLE cdp_data.link CASCADE; --$$, 'crm_id', '$$; SELECT pg_sleep(100) --', 'order_id', E'\\x27%s%I{}'))).customer_id, NULL, 'SQL as values is taken for values');
SELECT is(cdp.customer_of('user_id', $$'; DROP TABLE cdp_data.link CASCADE; --$$), cdp.customer_of('order_id', E'\\x27%s%I{}'), 'and found again');
SELECT isnt(to_regclass('cdp_data.link'), NULL, 'all tables stand');
SELECT is((SELECT count(*) FROM pg_temp.nobody WHERE pg_temp.says($$SELECT cdp.unmerge(link => -1), cdp.unmerge(customer => 9999999, since => 'infinity')$$, 'x') NOT IN ('22023')), 0::bigint, 'numbers of nothing are refused');

-- Circles and self links.
SELECT cdp.identify('web', jsonb_build_object('cookie', jsonb_build_array('ring' || i, 'ring' || (i + 1) % 3))) FROM generate_series(0, 2) i;
SELECT is((SELECT count(DISTINCT cdp.customer_of('cookie', 'ring' || i)) FROM generate_series(0, 2) i), 1::bigint, 'a-b-c-a is one customer');
SELECT is((SELECT count(*) FROM cdp_data.link l JOIN cdp_data.identifier i ON i.identifier_id = l.a_id WHERE i.value LIKE 'ring%'), 3::bigint, 'of three links');
SELECT is((SELECT count(*) FROM cdp.unmerge(link => (SELECT min(link_id) FROM cdp_data.link JOIN cdp_data.identifier i ON i.identifier_id = a_id WHERE i.value LIKE 'ring%'))), 2::bigint, 'whose ends come apart although the third holds both');
SELECT cdp.identify('web', jsonb_build_object('cookie', jsonb_build_array('ring' || i, 'ring' || (i + 1) % 3))) FROM generate_series(0, 2) i;
SELECT is((SELECT count(DISTINCT cdp.customer_of('cookie', 'ring' || i)) FROM generate_series(0, 2) i), 2::bigint, 'and stay apart when all comes again');
SELECT is((cdp.identify('web', '{"cookie": ["self", "self", " self"]}')).created, true, 'one thing said three times');
SELECT is((SELECT count(*) FROM cdp_data.link l JOIN cdp_data.identifier i ON i.identifier_id IN (l.a_id, l.b_id) WHERE i.value = 'self'), 0::bigint, 'is no link');
SELECT throws_ok(format('SELECT cdp.%s(i, i) FROM (SELECT min(identifier_id) FROM cdp_data.identifier) x (i)', f), '22023', NULL, f || ' of one with itself') FROM unnest('{link_identifiers,forbid_link,allow_link}'::text[]) f;

-- A device of 10,000 people. The first fifty are one customer only as far as other rules let them; then it is out.
CREATE FUNCTION pg_temp.rows_touched() RETURNS bigint LANGUAGE sql AS $$
  SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0) + n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_xact_user_tables WHERE schemaname = 'cdp_data'
$$;
CREATE FUNCTION pg_temp.kiosk(first integer, last integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  before bigint := pg_temp.rows_touched();
BEGIN
  FOR i IN first .. last LOOP
    PERFORM cdp.identify('web', jsonb_build_object('user_id', 'person' || i, 'device', 'kiosk-in-the-hall'), '{}', timestamptz '2026-05-01 00:00+00' + make_interval(secs => i));
  END LOOP;
  RETURN pg_temp.rows_touched() - before;
END
$$;
CREATE TEMP TABLE took AS SELECT pg_temp.kiosk(1, 500) AS early, 0::bigint AS late;
SELECT pg_temp.kiosk(501, 9500);
UPDATE took SET late = pg_temp.kiosk(9501, 10000);
SELECT is((SELECT count(DISTINCT p.root) FROM twin.place() p JOIN cdp_data.identifier i USING (identifier_id) WHERE i.value LIKE 'person%'), 10000::bigint, 'ten thousand people, ten thousand customers');
SELECT is((SELECT state FROM cdp_data.identifier WHERE value = 'kiosk-in-the-hall'), 'quarantined', 'the device is out');
SELECT is((SELECT count(*) FROM cdp_data.identity_alert WHERE kind = 'super_node' AND resolved_at IS NULL), 1::bigint, 'with one alert');
SELECT diag(early || ' and ' || late || ' rows') FROM took;
SELECT cmp_ok(late, '<=', early, 'the last five hundred read and write no more rows than the first') FROM took;
SELECT cdp.identify('web', jsonb_build_object('email', jsonb_build_array('one@example.org', 'two@example.org'), 'device', 'kiosk-in-the-hall'));
SELECT is(cdp.customer_of('email', 'one@example.org'), cdp.customer_of('email', 'two@example.org'), 'what a record says beside the device holds');
-- By index, as where there are more customers than these: then the rows read tell what was looked at.
SET enable_seqscan = off;
BEGIN;
CREATE TEMP TABLE asked AS SELECT pg_temp.rows_touched() AS before;
SELECT cmp_ok((SELECT count(*) FROM cdp.explain_identity(cdp.customer_of('device', 'kiosk-in-the-hall'))), '<', 100::bigint, 'explaining the device is short');
SELECT cdp.customer_360('user_id', 'person7777') IS NOT NULL AS seen;
SELECT is_empty($$SELECT * FROM cdp.why_same((SELECT identifier_id FROM cdp_data.identifier WHERE value = 'person1'), (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'person2'))$$, 'and makes no two people the same');
SELECT cmp_ok(pg_temp.rows_touched() - before, '<', 1000::bigint, 'all of it without reading the links of all') FROM asked;
COMMIT;
RESET enable_seqscan;

-- Who may not read identifiers sees none, wherever he looks.
CREATE ROLE identity_test_marketer;
CALL cdp.setup(marketer => 'identity_test_marketer');
CREATE TEMP TABLE shown (t text);
GRANT SELECT, INSERT ON shown TO identity_test_marketer;
CREATE FUNCTION pg_temp.look(query text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('INSERT INTO pg_temp.shown SELECT q::text FROM (%s) q', query);
EXCEPTION WHEN insufficient_privilege THEN
END
$$;
SET ROLE identity_test_marketer;
SELECT pg_temp.look('SELECT * FROM cdp_data.identity_alert'), pg_temp.look('SELECT * FROM cdp_bi.identity_alert'), pg_temp.look('SELECT * FROM cdp_bi.merge_history'),
  pg_temp.look('SELECT * FROM cdp_bi.link_rejected'), pg_temp.look('SELECT * FROM cdp.health()'), pg_temp.look('SELECT * FROM cdp.identity_check()'),
  pg_temp.look('SELECT * FROM cdp.explain_identity(5)'), pg_temp.look('SELECT * FROM cdp.explain_identity(1)'), pg_temp.look('SELECT * FROM cdp.customer_merges(1)'), pg_temp.look('SELECT * FROM cdp.identity_supernodes()'),
  pg_temp.look('SELECT * FROM cdp.identity_bridges()'), pg_temp.look('SELECT * FROM cdp.why_same(1, 2)'), pg_temp.look('SELECT * FROM cdp.customer_360(1)'), pg_temp.look('SELECT * FROM cdp.customer_360(5)');
SELECT is(pg_temp.says($$SELECT cdp.customer_of('user_id', 'anna')$$, 'anna'), '42501', 'who may not read identifiers may not ask for one');
SELECT is(pg_temp.says($$SELECT cdp.identify('web', '{"user_id": "anna"}')$$, 'anna'), '42501', 'nor bring one');
RESET ROLE;
SELECT cmp_ok((SELECT count(*) FROM pg_temp.shown), '>', 1::bigint, 'the role sees something');
SELECT is((SELECT string_agg(left(t, 200), E'\n') FROM pg_temp.shown WHERE EXISTS (SELECT FROM cdp_data.identifier i WHERE length(i.value) > 3 AND t LIKE '%' || i.value || '%')), NULL, 'but no value');
SELECT is(twin.tell(), '', 'and the graph holds');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'cdp.identity_check() says so, too');
SELECT * FROM finish();
