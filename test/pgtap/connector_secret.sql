-- Connections and their secrets: who may make and use one, what is bound to what, that nothing returns a secret, and rotation.
SELECT plan(60);
SET client_min_messages = error;
SELECT cdp.add_source('wecom main'), cdp.add_source('shop') \g /dev/null
CREATE ROLE conn_admin LOGIN;
CREATE ROLE conn_team;
CREATE ROLE conn_member LOGIN IN ROLE conn_team;
CREATE ROLE conn_other LOGIN;
CREATE ROLE conn_marketers;
GRANT conn_marketers TO conn_member, conn_other;
GRANT conn_team TO conn_admin;
CALL cdp.setup(admin => 'conn_admin', marketer => 'conn_marketers');
DO $$ BEGIN
  IF to_regprocedure('cdp_internal.connector_known(text)') IS NULL THEN
    CREATE FUNCTION cdp_internal.connector_known(connector text) RETURNS boolean LANGUAGE sql STABLE RETURN connector = 'wecom';
  END IF;
END $$;

-- Making one.
SET ROLE conn_admin;
SELECT is(cdp.create_connection('wecom main', 'wecom', '{"corpid": "ww1"}', owner => 'conn_team'), 1, 'the admin makes a connection for a team');
SELECT is(cdp.create_connection('own', 'wecom', source => 'shop'), 2, 'and one of his own');
SELECT throws_ok($$SELECT cdp.create_connection('wecom main', 'wecom')$$, '23505', NULL, 'a name once');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'wecome', source => 'shop')$$, '22023', 'unknown connector "wecome"', 'an unknown connector is refused');
SELECT throws_ok($$SELECT cdp.create_connection('x', NULL, source => 'shop')$$, '22023', NULL, 'so is none');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'wecom', source => 'shap')$$, '22023', NULL, 'an unknown source');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'wecom', '[]', source => 'shop')$$, '22023', 'config must be a JSON object', 'a config that is none');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'wecom', NULL, source => 'shop')$$, '22023', NULL, 'or NULL');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'wecom', source => 'shop', min_quality => 1.1)$$, '22023', NULL, 'a quality above 1');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'wecom', source => 'shop', min_quality => 'NaN')$$, '22023', NULL, 'and NaN');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'wecom', source => 'shop', owner => 'nobody_here')$$, '42704', NULL, 'an owner that is no role');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'wecom', source => 'shop', owner => 'postgres')$$, '42501', NULL, 'an owner that he is no member of');
SELECT throws_ok($$SELECT cdp.create_connection('', 'wecom', source => 'shop')$$, '22023', NULL, 'no name');
RESET ROLE;
SET ROLE conn_member;
SELECT throws_ok($$SELECT cdp.create_connection('y', 'wecom', source => 'shop')$$, '42501', NULL, 'a marketer makes none');
SELECT is((SELECT owner || ' ' || state || ' ' || created_by FROM cdp_data.connection WHERE name = 'wecom main'), 'conn_team draft ' || session_user, 'but sees them');

-- Who may give it a secret: members of its owner.
SELECT lives_ok($$SELECT cdp.set_secret('wecom main', 'corpsecret', 'OPENSESAME')$$, 'a member of the owner gives the secret');
SELECT throws_ok($$SELECT cdp.set_secret('own', 'corpsecret', 'x')$$, '42501', 'permission denied to use connection "own"', 'not to another''s connection');
SELECT throws_ok($$SELECT cdp.set_secret('wecom man', 'corpsecret', 'x')$$, '22023', 'unknown connection "wecom man"', 'an unknown connection');
SELECT throws_ok(format('SELECT cdp.set_secret(%L, %L, %L)', 'wecom main', n, 'x'), '22023', NULL, format('a bad name: %s', n)) FROM unnest(ARRAY['', '1a', 'Ab', 'a-b', 'a b', repeat('a', 64)]) n;
SELECT throws_ok($$SELECT cdp.set_secret('wecom main', 'corpsecret', '')$$, '22023', NULL, 'an empty secret');
SELECT throws_ok($$SELECT cdp.set_secret('wecom main', 'corpsecret', repeat('x', 65537))$$, '22023', NULL, 'one too long');
SELECT throws_ok($$SELECT cdp.set_secret('wecom main', 'corpsecret', NULL)$$, '22004', NULL, 'none');
SELECT throws_ok($$SELECT cdp.set_secret_reference('wecom main', 'corpsecret', 'env:PATH')$$, '42501', NULL, 'the environment of the server is not for members');
SELECT throws_ok($$SELECT cdp.set_secret_from_file('wecom main', 'corpsecret', '/etc/hostname')$$, '42501', NULL, 'nor its files');
SELECT lives_ok($$SELECT cdp_internal.probe_secret(1, 'corpsecret')$$, 'C opens it for a member');
SELECT throws_ok($$SELECT envelope FROM cdp_data.connection_secret$$, '42501', NULL, 'who does not even see the envelope');
SELECT is((SELECT string_agg(name || ' ' || kind || ' ' || set_by, ', ') FROM (SELECT name, kind, set_by FROM cdp_data.connection_secret) s), 'corpsecret sealed ' || session_user, 'only that there is one');
RESET ROLE;
SET ROLE conn_other;
SELECT throws_ok($$SELECT cdp_internal.probe_secret(1, 'corpsecret')$$, '42501', NULL, 'but not for another');
SELECT throws_ok($$SELECT cdp_internal.probe_secret(99, 'corpsecret')$$, '42501', NULL, 'nor when there is no such connection');
SELECT throws_ok($$SELECT cdp.configure_connection('wecom main', '{}')$$, '42501', NULL, 'who changes nothing');
SELECT throws_ok($$SELECT cdp.drop_secret('wecom main', 'corpsecret')$$, '42501', NULL, 'and drops nothing');
RESET ROLE;

-- Bound to connection, name and kind: rows that somebody moves or writes do not open.
SELECT lives_ok($$SELECT cdp_internal.probe_secret(1, 'corpsecret')$$, 'the owner of the tables may use each');
INSERT INTO cdp_data.connection_secret SELECT 2, name, kind, envelope, reference, set_at, set_by FROM cdp_data.connection_secret;
INSERT INTO cdp_data.connection_secret SELECT 1, 'other', kind, envelope, reference, set_at, set_by FROM cdp_data.connection_secret WHERE connection_id = 1;
INSERT INTO cdp_data.connection_secret SELECT 1, 'path', 'file', envelope, '/etc/hostname', set_at, set_by FROM cdp_data.connection_secret WHERE (connection_id, name) = (1, 'corpsecret');
INSERT INTO cdp_data.connection_secret SELECT 1, 'plain', 'sealed', 'OPENSESAME', NULL, set_at, set_by FROM cdp_data.connection_secret WHERE (connection_id, name) = (1, 'corpsecret');
SELECT throws_ok($$SELECT cdp_internal.probe_secret(2, 'corpsecret')$$, '39000', NULL, 'not for another connection');
SELECT throws_ok($$SELECT cdp_internal.probe_secret(1, 'other')$$, '39000', NULL, 'not under another name');
SELECT throws_ok($$SELECT cdp_internal.probe_secret(1, 'path')$$, '39000', NULL, 'not as a path');
SELECT throws_ok($$SELECT cdp_internal.probe_secret(1, 'plain')$$, '39000', NULL, 'and not in the clear');
DELETE FROM cdp_data.connection_secret WHERE (connection_id, name) <> (1, 'corpsecret');
SELECT throws_ok($$SELECT cdp_internal.open_text(envelope, 'connection 1 corpsecret sealed') FROM cdp_data.connection_secret$$, '39000', NULL, 'no function of SQL opens it, not for the owner of the tables either');
SELECT throws_ok($$SELECT cdp.decrypt_text(envelope, 'connection 1 corpsecret sealed') FROM cdp_data.connection_secret$$, '39000', NULL, 'nor by the road of privacy');
SELECT throws_ok($$SELECT cdp_internal.keyed_digest('connector secret', 'x')$$, '22023', NULL, 'its subkey digests for nobody');
SELECT is((SELECT count(*) FROM cdp_data.connection_secret WHERE envelope LIKE '%OPENSESAME%' OR convert_from(decode(split_part(envelope, ':', 3), 'base64'), 'latin1') LIKE '%OPENSESAME%'), 0::bigint, 'the row does not have it');

-- References.
SELECT lives_ok($$SELECT cdp.set_secret_reference('wecom main', 'from_env', 'env:PATH')$$, 'a superuser names a variable of the environment');
SELECT lives_ok($$SELECT cdp_internal.probe_secret(1, 'from_env')$$, 'which opens');
SELECT is((SELECT kind || ' ' || reference FROM cdp_data.connection_secret WHERE name = 'from_env'), 'env PATH', 'and is shown');
UPDATE cdp_data.connection_secret SET reference = 'HOME' WHERE name = 'from_env';
SELECT lives_ok($$SELECT cdp_internal.probe_secret(1, 'from_env')$$, 'what counts is the sealed one');
SELECT throws_ok(format('SELECT cdp.set_secret_reference(%L, %L, %L)', 'wecom main', 'r', v.ref), v.code, NULL, format('a reference that leads nowhere: %s', v.ref))
FROM (VALUES ('env:CDP_NO_SUCH_VARIABLE', '55000'), ('env:A=B', '22023'), ('vault:x', '22023'), ('file:relative', 'F0000'), ('file:/no/such/file', 'F0000'), ('file:/', 'F0000'), ('file:/etc/hostname', 'F0000')) AS v (ref, code);

-- A secret that is given again is another; changes take what was tested back to draft.
UPDATE cdp_data.connection SET state = 'tested' WHERE connection_id = 1;
SELECT cdp.set_secret('wecom main', 'corpsecret', 'TWO') \g /dev/null
SELECT is((SELECT state FROM cdp_data.connection WHERE connection_id = 1), 'draft', 'checks of the old secret count no more');
SELECT is(cdp.drop_secret('wecom main', 'from_env')::text || cdp.drop_secret('wecom main', 'from_env')::text, 'truefalse', 'dropped, once');
SELECT is((SELECT string_agg(DISTINCT a.detail::text, ' ') FROM cdp_data.audit a WHERE a.detail::text ~ 'OPENSESAME|TWO'), NULL, 'the audit tells no value');
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE object = 'cdp_data.connection_secret') > 3, true, 'but each change');
SELECT * FROM finish();
