-- Connections and their secrets: who may make and use one, what is bound to what, that nothing returns a secret, and rotation.
SELECT plan(80);
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
\ir connection_connector.inc

-- Making one.
SET ROLE conn_admin;
SELECT is(cdp.create_connection('wecom main', 'vault', '{"account": "ww1"}', owner => 'conn_team'), 1, 'the admin makes a connection for a team');
SELECT is(cdp.create_connection('own', 'vault', source => 'shop'), 2, 'and one of his own');
SELECT throws_ok($$SELECT cdp.create_connection('wecom main', 'vault')$$, '23505', NULL, 'a name once');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'vaultt', source => 'shop')$$, '22023', 'unknown connector "vaultt"', 'an unknown connector is refused');
SELECT throws_ok($$SELECT cdp.create_connection('x', NULL, source => 'shop')$$, '22023', NULL, 'so is none');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'vault', source => 'shap')$$, '22023', NULL, 'an unknown source');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'vault', '[]', source => 'shop')$$, '22023', 'config must be a JSON object', 'a config that is none');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'vault', '{"accuont": "1"}', source => 'shop')$$, '22023', 'connector vault has no config "accuont"', 'a key that the manifest does not know');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'vault', '{"s": "OPENSESAME"}', source => 'shop')$$, '22023', '"s" is a secret of connector vault, not a part of config', 'a secret in the config');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'vault', NULL, source => 'shop')$$, '22023', NULL, 'or NULL');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'vault', source => 'shop', min_quality => 1.1)$$, '22023', NULL, 'a quality above 1');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'vault', source => 'shop', min_quality => 'NaN')$$, '22023', NULL, 'and NaN');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'vault', source => 'shop', owner => 'nobody_here')$$, '42704', NULL, 'an owner that is no role');
SELECT throws_ok($$SELECT cdp.create_connection('x', 'vault', source => 'shop', owner => 'postgres')$$, '42501', NULL, 'an owner that he is no member of');
SELECT throws_ok($$SELECT cdp.create_connection('', 'vault', source => 'shop')$$, '22023', NULL, 'no name');
RESET ROLE;
SET ROLE conn_member;
SELECT throws_ok($$SELECT cdp.create_connection('y', 'vault', source => 'shop')$$, '42501', NULL, 'a marketer makes none');
SELECT is((SELECT owner || ' ' || state || ' ' || created_by FROM cdp_data.connection WHERE name = 'wecom main'), 'conn_team draft ' || session_user, 'but sees them');

-- Who may give it a secret: members of its owner.
SELECT lives_ok($$SELECT cdp.set_secret('wecom main', 's', 'OPENSESAME')$$, 'a member of the owner gives the secret');
SELECT throws_ok($$SELECT cdp.set_secret('own', 's', 'x')$$, '42501', 'permission denied to use connection "own"', 'not to another''s connection');
SELECT throws_ok($$SELECT cdp.set_secret('wecom main', 'ss', 'x')$$, '22023', 'connector vault has no secret "ss"', 'a name that the manifest does not know');
SELECT results_eq($$SELECT kind, name, required, is_set FROM cdp.connection_needs('wecom main') WHERE name IN ('account', 'region', 's', 't')$$, $$VALUES ('config', 'account', true, true), ('config', 'region', false, false), ('secret', 's', true, true), ('secret', 't', false, false)$$, 'what it needs, and whether it is there');
SELECT throws_ok($$SELECT cdp.set_secret('wecom man', 's', 'x')$$, '22023', 'unknown connection "wecom man"', 'an unknown connection');
SELECT throws_ok(format('SELECT cdp.set_secret(%L, %L, %L)', 'wecom main', n, 'x'), '22023', NULL, format('a bad name: %s', n)) FROM unnest(ARRAY['', '1a', 'Ab', 'a-b', 'a b', repeat('a', 64)]) n;
SELECT throws_ok($$SELECT cdp.set_secret('wecom main', 's', '')$$, '22023', NULL, 'an empty secret');
SELECT throws_ok($$SELECT cdp.set_secret('wecom main', 's', repeat('x', 65537))$$, '22023', NULL, 'one too long');
SELECT throws_ok($$SELECT cdp.set_secret('wecom main', 's', NULL)$$, '22004', NULL, 'none');
SELECT throws_ok($$SELECT cdp.set_secret_reference('wecom main', 's', 'env:PATH')$$, '42501', NULL, 'the environment of the server is not for members');
SELECT throws_ok($$SELECT cdp.set_secret_from_file('wecom main', 's', '/etc/hostname')$$, '42501', NULL, 'nor its files');
SELECT lives_ok($$SELECT cdp_internal.probe_secret(1, 's')$$, 'C opens it for a member');
SELECT throws_ok($$SELECT envelope FROM cdp_data.connection_secret$$, '42501', NULL, 'who does not even see the envelope');
SELECT is((SELECT string_agg(name || ' ' || kind || ' ' || set_by, ', ') FROM (SELECT name, kind, set_by FROM cdp_data.connection_secret) s), 's sealed ' || session_user, 'only that there is one');
SELECT throws_ok($$SELECT cdp.configure_connection('wecom main', min_quality => 0.5)$$, '42501', 'permission denied to lower min_quality', 'whom the gate stops does not open it');
SELECT lives_ok($$SELECT cdp.configure_connection('wecom main', min_quality => 0.95)$$, 'he may raise it');
RESET ROLE;
SET ROLE conn_admin;
SELECT lives_ok($$SELECT cdp.configure_connection('wecom main', min_quality => 0.8)$$, 'the admin lowers it');
RESET ROLE;
SELECT is((SELECT string_agg(why, ', ' ORDER BY log_id) FROM cdp_data.connection_state_log WHERE connection_id = 1 AND from_state = to_state), 'min_quality was 0.9 and is 0.95, min_quality was 0.95 and is 0.8', 'which the log tells');
SET ROLE conn_other;
SELECT throws_ok($$SELECT cdp_internal.probe_secret(1, 's')$$, '42501', NULL, 'but not for another');
SELECT throws_ok($$SELECT cdp_internal.probe_secret(99, 's')$$, '42501', NULL, 'nor when there is no such connection');
SELECT throws_ok($$SELECT cdp.configure_connection('wecom main', '{}')$$, '42501', NULL, 'who changes nothing');
SELECT throws_ok($$SELECT cdp.drop_secret('wecom main', 's')$$, '42501', NULL, 'and drops nothing');
RESET ROLE;

-- Bound to connection, name and kind: rows that somebody moves or writes do not open.
SELECT lives_ok($$SELECT cdp_internal.probe_secret(1, 's')$$, 'the owner of the tables may use each');
INSERT INTO cdp_data.connection_secret SELECT 2, name, kind, envelope, reference, binding, set_at, set_by FROM cdp_data.connection_secret;
INSERT INTO cdp_data.connection_secret SELECT 1, 'other', kind, envelope, reference, binding, set_at, set_by FROM cdp_data.connection_secret WHERE connection_id = 1;
INSERT INTO cdp_data.connection_secret SELECT 1, 'path', 'file', envelope, '/etc/hostname', binding, set_at, set_by FROM cdp_data.connection_secret WHERE (connection_id, name) = (1, 's');
INSERT INTO cdp_data.connection_secret SELECT 1, 'plain', 'sealed', 'OPENSESAME', NULL, binding, set_at, set_by FROM cdp_data.connection_secret WHERE (connection_id, name) = (1, 's');
SELECT throws_ok($$SELECT cdp_internal.probe_secret(2, 's')$$, '39000', NULL, 'not for another connection');
SELECT throws_ok($$SELECT cdp_internal.probe_secret(1, 'other')$$, '39000', NULL, 'not under another name');
SELECT throws_ok($$SELECT cdp_internal.probe_secret(1, 'path')$$, '39000', NULL, 'not as a path');
SELECT throws_ok($$SELECT cdp_internal.probe_secret(1, 'plain')$$, '39000', NULL, 'and not in the clear');
DELETE FROM cdp_data.connection_secret WHERE (connection_id, name) <> (1, 's');
SELECT throws_ok($$SELECT cdp_internal.open_text(envelope, 'connection 1 s sealed') FROM cdp_data.connection_secret$$, '39000', NULL, 'no function of SQL opens it, not for the owner of the tables either');
SELECT throws_ok($$SELECT cdp.decrypt_text(envelope, 'connection 1 s sealed') FROM cdp_data.connection_secret$$, '39000', NULL, 'nor by the road of privacy');
SELECT throws_ok($$SELECT cdp_internal.keyed_digest('connector secret', 'x')$$, '22023', NULL, 'its subkey digests for nobody');
SELECT is((SELECT count(*) FROM cdp_data.connection_secret WHERE envelope LIKE '%OPENSESAME%' OR position('OPENSESAME'::bytea IN decode(split_part(envelope, ':', 3), 'base64')) > 0), 0::bigint, 'the row does not have it');

-- Bound to where and how it is used: a manifest that is swapped gets no secret, whoever swapped it.
SELECT is((SELECT is_set FROM cdp.connection_needs('wecom main') WHERE name = 's'), true, 'the secret is there');
SELECT cdp.add_connector(jsonb_set(manifest, '{base_url}', '"https://elsewhere.example"')) FROM cdp_data.connector WHERE connector = 'vault' \g /dev/null
SELECT throws_ok($$SELECT cdp_internal.probe_secret(1, 's')$$, '55000', 'secret "s" of connection 1 was set for another server or authentication', 'not for another server');
SELECT is((SELECT is_set FROM cdp.connection_needs('wecom main') WHERE name = 's'), false, 'it must be set again');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'secret_unusable'), 1::bigint, 'which health tells');
UPDATE cdp_data.connection_secret SET binding = cdp_internal.connection_binding(1);
SELECT throws_ok($$SELECT cdp_internal.probe_secret(1, 's')$$, '39000', NULL, 'to write the new binding by hand opens nothing');
SELECT cdp.add_connector(jsonb_set(jsonb_set(manifest, '{base_url}', '"https://vault.example"'), '{auth,headers,x-also}', '"$secret.s"')) FROM cdp_data.connector WHERE connector = 'vault' \g /dev/null
UPDATE cdp_data.connection_secret SET binding = cdp_internal.connection_binding(1);
SELECT throws_ok($$SELECT cdp_internal.probe_secret(1, 's')$$, '39000', NULL, 'nor for another authentication');
SELECT cdp.add_connector(manifest #- '{auth,headers,x-also}') FROM cdp_data.connector WHERE connector = 'vault' \g /dev/null
UPDATE cdp_data.connection_secret SET binding = cdp_internal.connection_binding(1);
SELECT lives_ok($$SELECT cdp_internal.probe_secret(1, 's')$$, 'with the manifest that it was set for it opens');
-- Of config only what the server and the authentication are made of counts.
SELECT cdp.create_connection('rest', 'rest_json', '{"base_url": "https://api.one.example", "resource": "a"}', source => 'shop'), cdp.set_secret('rest', 'token', 'RESTTOKEN') \g /dev/null
SELECT cdp.configure_connection('rest', '{"base_url": "https://api.one.example", "resource": "b"}') \g /dev/null
SELECT lives_ok($$SELECT cdp_internal.probe_secret((SELECT connection_id FROM cdp_data.connection WHERE name = 'rest'), 'token')$$, 'another resource of the same server');
SELECT cdp.configure_connection('rest', '{"base_url": "https://api.two.example", "resource": "b"}') \g /dev/null
SELECT throws_ok($$SELECT cdp_internal.probe_secret((SELECT connection_id FROM cdp_data.connection WHERE name = 'rest'), 'token')$$, '55000', NULL, 'but not another server');

-- References.
SELECT lives_ok($$SELECT cdp.set_secret_reference('wecom main', 'env', 'env:PATH')$$, 'a superuser names a variable of the environment');
SELECT lives_ok($$SELECT cdp_internal.probe_secret(1, 'env')$$, 'which opens');
SELECT is((SELECT kind || ' ' || reference FROM cdp_data.connection_secret WHERE name = 'env'), 'env PATH', 'and is shown');
UPDATE cdp_data.connection_secret SET reference = 'HOME' WHERE name = 'env';
SELECT lives_ok($$SELECT cdp_internal.probe_secret(1, 'env')$$, 'what counts is the sealed one');
SELECT throws_ok(format('SELECT cdp.set_secret_reference(%L, %L, %L)', 'wecom main', 'bad', v.ref), v.code, NULL, format('a reference that leads nowhere: %s', v.ref))
FROM (VALUES ('env:CDP_NO_SUCH_VARIABLE', '55000'), ('env:A=B', '22023'), ('vault:x', '22023'), ('file:relative', 'F0000'), ('file:/no/such/file', 'F0000'), ('file:/', 'F0000'), ('file:/etc/hostname', 'F0000')) AS v (ref, code);

-- A secret that is given again is another; changes take what was tested back to draft.
UPDATE cdp_data.connection SET state = 'tested' WHERE connection_id = 1;
SELECT cdp.set_secret('wecom main', 's', 'TWO') \g /dev/null
SELECT is((SELECT state FROM cdp_data.connection WHERE connection_id = 1), 'draft', 'checks of the old secret count no more');
SELECT is(cdp.drop_secret('wecom main', 'env')::text || cdp.drop_secret('wecom main', 'env')::text, 'truefalse', 'dropped, once');
SELECT is((SELECT string_agg(DISTINCT a.detail::text, ' ') FROM cdp_data.audit a WHERE a.detail::text ~ 'OPENSESAME|TWO'), NULL, 'the audit tells no value');
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE object = 'cdp_data.connection_secret') > 3, true, 'but each change');
-- A role made anew under the name of the owner is another role.
CREATE ROLE conn_team2;
SELECT cdp.create_connection('team2', 'vault', source => 'shop', owner => 'conn_team2'), cdp.set_secret('team2', 's', 'x') \g /dev/null
DROP ROLE conn_team2;
CREATE ROLE conn_team2;
GRANT conn_team2 TO conn_other;
SET ROLE conn_other;
SELECT throws_ok($$SELECT cdp.set_secret('team2', 's', 'y')$$, '42501', NULL, 'a new role of the owner''s name is not the owner');
RESET ROLE;
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'connection_owner'), 1::bigint, 'health tells');
SELECT cdp.configure_connection('team2', owner => 'conn_team2') \g /dev/null
SET ROLE conn_other;
SELECT lives_ok($$SELECT cdp.set_secret('team2', 's', 'y')$$, 'unless the owner of the tables says so');
RESET ROLE;
SELECT * FROM finish();
