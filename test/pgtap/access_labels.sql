-- The masks of docs/audit.md for PostgreSQL Anonymizer, without it: every column of the registry has one, the statements are
-- SQL, and what they put in place of the values keeps every constraint and leaves no value. anon.hash() is a stand-in here.
SELECT plan(12);
SELECT cdp.add_source('shop', 'UTC') AS shop \gset
SELECT cdp.add_attribute('id_card') \g /dev/null
SELECT cdp.identify('shop', jsonb_build_object('email', 'plain' || n || '@example.org', 'user_id', 'plain-user-' || n),
  jsonb_build_object('full_name', 'Plain Person ' || n, 'birthday', '1991-02-0' || n, 'address', 'Plainstreet ' || n, 'id_card', 'PLAINCARD' || n, 'interests', '["plaininterest"]'::jsonb),
  message_id => 'plain-message-' || n) FROM generate_series(1, 9) n \g /dev/null
SELECT cdp.track('shop', 'visit', '{"email": "plain1@example.org"}', '{"seen": "plainproperty"}', message_id => 'plain-touch') \g /dev/null
SELECT cdp.group('shop', '{"email": "plain1@example.org"}', 'plain family', '{"motto": "plainmotto"}') \g /dev/null
SELECT cdp.ingest('shop', '[{"type": "wrong", "traits": {"email": "plain2@example.org"}}]') \g /dev/null
SELECT cdp.record_consent('shop', 'marketing', 'granted', '{"email": "plain1@example.org"}', channel => 'email', evidence => '{"said": "plainevidence"}', message_id => 'plain-consent') \g /dev/null
CREATE TABLE public.people (user_id text, email text, source_key text);
INSERT INTO public.people SELECT 'plain-user-' || n, 'plain-other-' || n || '@example.org', 'plain-key-' || n FROM generate_series(1, 3) n;
SELECT cdp.load_customers('shop', 'people') \g /dev/null
INSERT INTO cdp_data.identifier_block (value) VALUES ('plain-blocked');
INSERT INTO cdp_data.destination (destination, purpose) VALUES ('mailer', 'service');
SELECT cdp.outbox_put('mailer', 'offer', '{"to": "plain1@example.org"}', customer_id => 1) \g /dev/null
SELECT min(identifier_id) AS a, max(identifier_id) AS b FROM cdp_data.identifier \gset
SELECT cdp.forbid_link(:a, :b, 'plainreason') \g /dev/null
SELECT * FROM cdp.refresh_profiles() \g /dev/null
DROP TABLE public.people;
-- A table of your own, too.
CREATE TABLE public.card (user_id text NOT NULL, holder text);
INSERT INTO public.card VALUES ('plain-user-1', 'Plain Holder');
SELECT cdp.register_personal_data('card', 'holder', 'content', 'user_id', 'value', 'clear', subject_type => 'user_id'), cdp.register_personal_data('card', 'user_id', 'identifier', 'user_id', 'value', 'clear', subject_type => 'user_id') \g /dev/null

SELECT set_eq('SELECT table_name, column_name FROM cdp.mask_labels()', 'SELECT table_name, column_name FROM cdp_internal.personal_values()', 'each column with personal values has a mask, and no other');
SELECT is((SELECT count(*) FROM cdp.mask_labels() WHERE table_name = 'public.card'), 2::bigint, 'those of your own, too');
-- A dump asks each partition by itself.
SELECT is_empty($$SELECT i.inhrelid::regclass FROM pg_inherits i WHERE i.inhparent = 'cdp_data.touchpoint'::regclass
  AND NOT EXISTS (SELECT FROM cdp.mask_labels() m WHERE to_regclass(m.table_name) = i.inhrelid AND m.column_name = 'properties')$$, 'and each partition');
CREATE ROLE label_reader;
GRANT SELECT (properties) ON cdp_data.touchpoint_default TO PUBLIC;
SELECT cmp_ok((SELECT count(*) FROM cdp.access_review() WHERE table_name = 'cdp_data.touchpoint_default' AND role_name = 'label_reader' AND how = 'granted to PUBLIC'), '>', 0::bigint, 'so a right on one of them is seen');
REVOKE SELECT (properties) ON cdp_data.touchpoint_default FROM PUBLIC;
GRANT SELECT ON public.card TO label_reader;
SELECT is((SELECT string_agg(column_name || ' ' || how, ', ' ORDER BY column_name) FROM cdp.access_review() WHERE role_name = 'label_reader'), 'holder granted, user_id granted', 'and one on a whole table');
REVOKE SELECT ON public.card FROM label_reader;
DROP ROLE label_reader;
-- The server reads each statement, and misses the provider only.
CREATE FUNCTION pg_temp.state(command text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE command; RETURN 'ok'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
SELECT results_eq('SELECT DISTINCT pg_temp.state(label) FROM cdp.mask_labels()', $$VALUES ('22023 security label provider "anon" is not loaded')$$, 'the statements are SQL');
CREATE SCHEMA anon;
CREATE FUNCTION anon.hash(seed text) RETURNS text LANGUAGE sql STRICT AS $$SELECT encode(sha256(('salt' || seed)::bytea), 'hex')$$;
-- Where values stand: every column of every table, asked for the words above.
CREATE FUNCTION pg_temp.places() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  c record;
  n bigint;
BEGIN
  FOR c IN SELECT t.oid::regclass AS tab, a.attname FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE t.relnamespace IN ('cdp_data'::regnamespace, 'public'::regnamespace) AND t.relkind IN ('r', 'p') AND NOT t.relispartition AND t.relname <> 'setup_step' LOOP
    EXECUTE format('SELECT count(*) FROM %s x WHERE x.%I::text ~* ''plain[^ l]|1991-02''', c.tab, c.attname) INTO n;
    IF n > 0 THEN
      RETURN NEXT format('%s.%s', c.tab, c.attname);
    END IF;
  END LOOP;
END $$;
SELECT cmp_ok((SELECT count(*) FROM pg_temp.places()), '>', 15::bigint, 'values stand in many places');
SELECT (SELECT count(*) FROM cdp_data.identifier) AS identifiers, (SELECT count(*) FROM cdp_data.attribute_value) AS vals \gset
SET client_min_messages = error;
CREATE FUNCTION pg_temp.mask_all() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  m record;
BEGIN
  FOR m IN SELECT * FROM cdp.mask_labels() LOOP
    EXECUTE format('UPDATE %s SET %I = %s', m.table_name, m.column_name, m.mask);
  END LOOP;
END $$;
SELECT lives_ok('SELECT pg_temp.mask_all()', 'every mask keeps the constraints of its table');
SELECT is_empty('SELECT * FROM pg_temp.places()', 'and no value is left anywhere');
SELECT is((SELECT count(DISTINCT (type_id, value)) FROM cdp_data.identifier), :identifiers::bigint, 'different identifiers are different still');
SELECT is((SELECT count(*) FROM cdp_data.attribute_value WHERE value <> ''), :vals::bigint, 'and no value was lost to a unique key');
SELECT is((SELECT pg_temp.state(label) FROM cdp.mask_labels('none') LIMIT 1), '22023 security label provider "none" is not loaded', 'another provider can be named');
SELECT * FROM finish();
