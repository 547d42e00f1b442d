-- cdp.setup() brings the rights of the parts to what is declared: it takes back what it had granted, and nothing else.
SELECT plan(22);
CREATE ROLE rights_one;
CREATE ROLE rights_two;
CREATE ROLE rights_other;
-- What a role may do in our schemas, read from the catalogue: object, column, privilege, grantor.
CREATE FUNCTION pg_temp.rights(role text) RETURNS TABLE (object text, privilege text) LANGUAGE sql AS $$
  SELECT c.oid::regclass::text, x.privilege_type FROM pg_class c, aclexplode(c.relacl) x WHERE x.grantee = role::regrole AND c.relnamespace::regnamespace::text LIKE 'cdp%'
  UNION ALL SELECT a.attrelid::regclass || '.' || a.attname, x.privilege_type FROM pg_attribute a, aclexplode(a.attacl) x WHERE x.grantee = role::regrole
  UNION ALL SELECT p.oid::regprocedure::text, x.privilege_type FROM pg_proc p, aclexplode(p.proacl) x WHERE x.grantee = role::regrole
  UNION ALL SELECT n.nspname, x.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) x WHERE x.grantee = role::regrole $$;

SELECT is_empty($$SELECT s.room, s.step FROM cdp_data.setup_step s JOIN cdp_internal.setup_script() x USING (room, step) WHERE x.body ~ 'declare_grant\(' AND s.objects <> '{}'$$,
  'every step that declares a right is one that each setup() repeats, or the right would be taken for one that is declared no more');
CALL cdp.setup(analyst => 'rights_one');
CREATE TEMP TABLE declared AS SELECT template, object_kind, object, privileges FROM cdp_data.grant_rule;
CREATE TEMP TABLE analyst AS SELECT * FROM pg_temp.rights('rights_one');
SELECT cmp_ok((SELECT count(*) FROM analyst), '>', 100::bigint, 'an analyst has rights');
CALL cdp.setup();
SELECT bag_eq('SELECT * FROM pg_temp.rights(''rights_one'')', 'TABLE analyst', 'a second setup() changes none');
SELECT bag_eq('SELECT template, object_kind, object, privileges FROM cdp_data.grant_rule', 'TABLE declared', 'and forgets no rule');
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE action = 'revoke'), 0::bigint, 'nothing was taken from anybody');

-- What an earlier release granted and this one does not declare: a table, a privilege, a column, a function.
SELECT cdp_internal.declare_grant('analyst', 'SELECT', 'TABLE', 'cdp_data.identifier_block'),
  cdp_internal.declare_grant('analyst', 'SELECT, UPDATE', 'TABLE', 'cdp_data.setting'),
  cdp_internal.declare_grant('analyst', 'SELECT (identifier_id, customer_id, value)', 'TABLE', 'cdp_data.identifier'),
  cdp_internal.declare_grant('analyst', 'SELECT', 'TABLE', 'cdp_data.gone_for_long'),
  cdp_internal.declare_grant('analyst', 'EXECUTE', 'FUNCTION', 'cdp_data.erase(bigint,text,bigint)') \g /dev/null
SELECT cdp_internal.apply_grants() \g /dev/null
SELECT is(has_table_privilege('rights_one', 'cdp_data.identifier_block', 'SELECT') AND has_table_privilege('rights_one', 'cdp_data.setting', 'UPDATE') AND has_function_privilege('rights_one', 'cdp_data.erase(bigint,text,bigint)', 'EXECUTE')
  AND has_column_privilege('rights_one', 'cdp_data.identifier', 'value', 'SELECT'), true, 'as an earlier release had granted');
DELETE FROM cdp_data.granted; -- of which it kept no record
-- What others granted: the owner by hand, on an object and on a column of one that goes; another role; to another role.
GRANT SELECT ON cdp_data.quarantine TO rights_one;
GRANT SELECT (pattern) ON cdp_data.identifier_block TO rights_one;
GRANT USAGE ON SCHEMA cdp_data TO rights_other;
GRANT SELECT ON cdp_data.identifier_block TO rights_other WITH GRANT OPTION;
SET ROLE rights_other;
GRANT SELECT ON cdp_data.identifier_block TO rights_two;
RESET ROLE;
CALL cdp.setup();
SELECT bag_eq($$SELECT * FROM pg_temp.rights('rights_one')$$, $$TABLE analyst UNION ALL VALUES ('cdp_data.quarantine', 'SELECT'), ('cdp_data.identifier_block.pattern', 'SELECT')$$,
  'a newer release takes back what it does not declare, and leaves what was granted by hand');
SELECT is(has_table_privilege('rights_two', 'cdp_data.identifier_block', 'SELECT') AND has_table_privilege('rights_other', 'cdp_data.identifier_block', 'SELECT'), true, 'and other roles what they have');
SELECT results_eq($$SELECT object, detail -> 'rights' FROM cdp_data.audit WHERE action = 'revoke'$$,
  $$VALUES ('role rights_one', '["EXECUTE cdp_data.erase(bigint,text,bigint)", "SELECT cdp_data.identifier", "SELECT cdp_data.identifier_block", "UPDATE cdp_data.setting"]'::jsonb)$$, 'what was taken is in the audit');
SELECT is((SELECT count(*) FROM cdp_data.grant_rule WHERE object LIKE '%gone_for_long'), 0::bigint, 'its rules are gone');

-- A right that the role passed on stays, with a warning, and setup() goes on.
SELECT cdp_internal.declare_grant('analyst', 'SELECT', 'TABLE', 'cdp_data.hold') \g /dev/null
SELECT cdp_internal.apply_grants() \g /dev/null
GRANT SELECT ON cdp_data.hold TO rights_one WITH GRANT OPTION;
SET ROLE rights_one;
GRANT SELECT ON cdp_data.hold TO rights_two;
RESET ROLE;
SET client_min_messages = error;
SELECT lives_ok('CALL cdp.setup()', 'a right that was passed on stops nothing');
SELECT is(has_table_privilege('rights_two', 'cdp_data.hold', 'SELECT'), true, 'and is left to the owner');
REVOKE SELECT ON cdp_data.hold FROM rights_one CASCADE;

-- Another role plays the part: the one before loses what setup() gave it.
CALL cdp.setup(analyst => 'rights_two');
SELECT bag_eq($$SELECT * FROM pg_temp.rights('rights_one')$$, $$VALUES ('cdp_data.quarantine', 'SELECT'), ('cdp_data.identifier_block.pattern', 'SELECT')$$, 'who plays a part no more loses its rights');
SELECT bag_eq($$SELECT * FROM pg_temp.rights('rights_two') EXCEPT ALL VALUES ('cdp_data.identifier_block', 'SELECT')$$, 'TABLE analyst', 'who plays it now has them');
-- One role in two parts loses only what neither has.
CALL cdp.setup(reader => 'rights_two');
DELETE FROM cdp_data.role_name WHERE template = 'analyst';
CALL cdp.setup();
SELECT is(has_table_privilege('rights_two', 'cdp_bi.attribution_day', 'SELECT'), true, 'of two parts one was taken away: what the other has stays');
SELECT is(has_any_column_privilege('rights_two', 'cdp_data.touchpoint', 'SELECT'), false, 'what only the first had is gone');
SELECT is((SELECT count(*) FROM cdp_data.granted d WHERE NOT EXISTS (SELECT FROM cdp_data.grant_rule g WHERE g.template = 'reader' AND g.object = d.object)), 0::bigint, 'the record is of what is granted now');
-- Nobody plays any.
DELETE FROM cdp_data.role_name;
CALL cdp.setup();
SELECT bag_eq($$SELECT * FROM pg_temp.rights('rights_two')$$, $$VALUES ('cdp_data.identifier_block', 'SELECT')$$, 'no part, no right of ours');
SELECT is((SELECT count(*) FROM cdp_data.granted), 0::bigint, 'and no record');
-- Roles that are gone.
CREATE ROLE rights_gone;
CALL cdp.setup(finance => 'rights_gone');
DROP OWNED BY rights_gone;
DROP ROLE rights_gone;
SELECT lives_ok('CALL cdp.setup()', 'a role that is gone stops nothing');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'unknown_role'), 1::bigint, 'and health() tells of it');
-- A rule may name columns that are gone.
UPDATE cdp_data.role_name SET role_name = 'rights_one';
INSERT INTO cdp_data.granted VALUES ('rights_one', 'TABLE', 'cdp_data.identifier', 'SELECT (no_such_column)'), ('rights_one', 'TABLE', 'cdp_data.no_such_table', 'SELECT');
SELECT lives_ok('CALL cdp.setup()', 'so may columns and tables be');
DROP OWNED BY rights_one, rights_two, rights_other CASCADE;
DROP ROLE rights_one, rights_two, rights_other;
SELECT * FROM finish();
