-- States of connections: every pair of states tried, the gates between them, who may, and what is written down.
SELECT plan(82);
SET client_min_messages = error;
SELECT cdp.add_source('shop') \g /dev/null
\ir connection_connector.inc
SELECT cdp.create_connection('c', 'vault', source => 'shop') \g /dev/null

-- A test with all required checks ok but those of except, which have that status (NULL: not looked at).
CREATE FUNCTION pg_temp.test(except_names text[] DEFAULT '{}', status text DEFAULT 'fail') RETURNS text LANGUAGE plpgsql AS $$
DECLARE t bigint := cdp_internal.begin_connection_test((SELECT connection_id FROM cdp_data.connection WHERE name = 'c'));
BEGIN
  PERFORM cdp_internal.record_connection_check(t, b.name, CASE WHEN b.name = ANY (except_names) THEN status ELSE 'ok' END, 'why')
  FROM cdp.connection_check_builtin() b WHERE b.required AND NOT (b.name = ANY (except_names) AND status IS NULL);
  RETURN cdp_internal.end_connection_test(t);
END $$;
CREATE FUNCTION pg_temp.state() RETURNS text LANGUAGE sql AS $$SELECT state FROM cdp_data.connection WHERE name = 'c'$$;
CREATE FUNCTION pg_temp.quality(q numeric, n bigint, older integer DEFAULT 0) RETURNS void LANGUAGE sql AS $$SELECT cdp_internal.record_connection_quality(1, revision - older, cdp_internal.connection_binding(1), q, n) FROM cdp_data.connection WHERE connection_id = 1$$;
CREATE FUNCTION pg_temp.gate() RETURNS text LANGUAGE sql AS $$SELECT string_agg(problem || ': ' || detail, ', ') FROM cdp.connection_gate('c')$$;

-- Tested.
SELECT is(pg_temp.gate(), 'not tested: no test was ever finished', 'a draft was never tested');
SELECT throws_ok($$SELECT cdp.start_shadow('c')$$, '55000', 'connection "c" can not go from draft to shadow', 'and starts no shadow');
SELECT is(pg_temp.test('{auth}'), 'draft', 'a required check that fails leaves it a draft');
SELECT is(pg_temp.gate(), 'check failed: auth (why)', 'which the gate tells');
SELECT is(pg_temp.test('{tls,auth}', 'skip'), 'draft', 'so does one that could not be tried');
SELECT is(pg_temp.gate(), 'check not run: auth (why), check not run: tls (why)', 'and is told');
SELECT is(pg_temp.test('{permission}', NULL), 'draft', 'and one that nobody looked at');
SELECT is(pg_temp.gate(), 'check not run: permission', 'is told, too');
SELECT is(cdp_internal.begin_connection_test(1) IS NOT NULL, true, 'a test that was begun and not finished counts for nothing');
SELECT is(pg_temp.gate(), 'check not run: permission', 'the last finished one holds');
SELECT is(pg_temp.test('{clock,tls}', 'warn'), 'tested', 'with warnings it passes');
SELECT is((SELECT checks_passed || '/' || checks_required || ' ' || checks_run || '/' || checks_defined || ' ' || coverage || ' ' || blocked_by::text FROM cdp_bi.connection_status), '9/9 9/11 0.8182 {}', 'the view counts: two checks that are not required were not looked at');
SELECT is(pg_temp.test('{auth}'), 'draft', 'a later test that fails takes it back');
SELECT is(pg_temp.test(), 'tested', 'and one that passes brings it there again');
SELECT throws_ok($$SELECT cdp_internal.record_connection_check(1, 'auth', 'ok')$$, '55000', 'test 1 is closed, or there is none', 'a closed test takes no check');
SELECT throws_ok($$SELECT cdp_internal.end_connection_test(1)$$, '55000', NULL, 'and is not closed twice');
SELECT throws_ok($$SELECT cdp_internal.record_connection_check((SELECT max(test_id) FROM cdp_data.connection_test WHERE finished_at IS NULL), 'auth', 'perhaps')$$, '23514', NULL, 'an unknown status is refused');
-- A check that a manifest adds is required when the test says so, and one of the list stays required whatever it says.
SELECT cdp_internal.record_connection_check(t, 'permission:contacts', 'fail', required => false), cdp_internal.record_connection_check(t, 'mine', 'fail', required => true), cdp_internal.record_connection_check(t, 'other', 'fail'), cdp_internal.record_connection_check(t, 'clock', 'fail')
FROM (SELECT max(test_id) FROM cdp_data.connection_test WHERE finished_at IS NULL) v (t) \g /dev/null
SELECT is((SELECT string_agg(name || ' ' || required, ', ' ORDER BY name) FROM cdp_data.connection_check JOIN cdp_data.connection_test USING (test_id) WHERE finished_at IS NULL), 'clock false, mine true, other false, permission:contacts true', 'what is required');

-- What can be checked without a network.
CREATE FUNCTION pg_temp.setup() RETURNS text LANGUAGE plpgsql AS $$
DECLARE t bigint := cdp_internal.begin_connection_test(1);
BEGIN
  PERFORM cdp_internal.check_connection_setup(t);
  RETURN (SELECT string_agg(name || ' ' || status || ' ' || detail, ', ' ORDER BY name) FROM cdp_data.connection_check WHERE test_id = t);
END $$;
SELECT is(pg_temp.setup(), 'config fail missing: account, connector ok vault, secrets fail s is missing', 'what must be given is missing');
SELECT cdp.configure_connection('c', '{"account": "7"}'), cdp.set_secret('c', 's', 'x'), cdp.set_secret_reference('c', 't', 'env:PATH') \g /dev/null
SELECT is(pg_temp.setup(), 'config ok , connector ok vault, secrets ok ', 'all is there');
UPDATE cdp_data.connection_secret SET envelope = envelope || 'AAAA' WHERE name = 's';
SELECT is(pg_temp.setup(), 'config ok , connector ok vault, secrets fail secret "s" of connection 1 does not open', 'a secret that does not open');
DELETE FROM cdp_data.connection_secret;
SELECT is(pg_temp.test(), 'tested', 'tested once more');

-- The age of the test, and what changed since.
SELECT is((SELECT string_agg(problem, ', ') FROM cdp_internal.connection_gate(1, 'shadow', (SELECT finished_at + interval '24 hours' FROM cdp_internal.connection_last_test(1)))), NULL, 'a test holds for 24 hours');
SELECT is((SELECT string_agg(problem, ', ') FROM cdp_internal.connection_gate(1, 'shadow', (SELECT finished_at + interval '24 hours 1 microsecond' FROM cdp_internal.connection_last_test(1)))), 'test too old', 'and not a moment longer');
SELECT cdp.configure_connection('c', '{"account": "1"}') \g /dev/null
SELECT is(pg_temp.state(), 'draft', 'another config takes it back to draft');
SELECT is(pg_temp.gate() ~ '^changed since the test: config or secrets were changed at', true, 'which is told');
SELECT is(pg_temp.test(), 'tested', 'tested again');
SELECT cdp.configure_connection('c', '{"account": "1"}', min_quality => 0.8) \g /dev/null
SELECT is(pg_temp.state(), 'tested', 'the same config again, and another threshold, change nothing of it');
SELECT throws_ok($$SELECT cdp.go_live('c')$$, '55000', 'connection "c" can not go from tested to live', 'nobody skips the shadow');

-- Shadow and live.
-- A test that began before a change proves nothing, whenever it ends; nor does one of another manifest.
SELECT cdp_internal.begin_connection_test(1) AS t \gset
SELECT cdp_internal.record_connection_check(:t, b.name, 'ok') FROM cdp.connection_check_builtin() b \g /dev/null
SELECT cdp.set_secret('c', 's', 'other') \g /dev/null
SELECT is(cdp_internal.end_connection_test(:t), 'draft', 'a test that a change overtook');
SELECT is(pg_temp.test(), 'tested', 'tested with what is now');
SELECT cdp.add_connector(jsonb_set(manifest, '{base_url}', '"https://elsewhere.example"')) FROM cdp_data.connector WHERE connector = 'vault' \g /dev/null
SELECT is(pg_temp.gate(), 'changed since the test: the manifest leads to another server or authentication; secrets must be set again', 'a manifest that was swapped closes the gate');
SELECT throws_ok($$SELECT cdp.start_shadow('c')$$, '55000', 'connection "c" may not go from tested to shadow', 'and keeps it from the shadow');
SELECT cdp.add_connector(jsonb_set(manifest, '{base_url}', '"https://vault.example"')) FROM cdp_data.connector WHERE connector = 'vault' \g /dev/null
SELECT is(cdp.start_shadow('c'), 'shadow', 'in shadow');
SELECT is(cdp.start_shadow('c'), 'shadow', 'again changes nothing');
SELECT is(pg_temp.gate() ~ '^no shadow run: none since', true, 'a run is missing');
SELECT throws_ok($$SELECT cdp.go_live('c')$$, '55000', 'connection "c" may not go from shadow to live', 'so it may not go live');
SELECT pg_temp.quality(1, 0) \g /dev/null
SELECT is(pg_temp.gate(), 'shadow run empty: the last one brought no record to judge by', 'a run without records proves nothing');
SELECT pg_temp.quality(0.79, 100) \g /dev/null
SELECT is(pg_temp.gate(), 'quality too low: the last shadow run reached 0.79, 0.8 is asked for', 'nor does a bad one');
SELECT pg_temp.quality(0.95, 100), pg_temp.quality(0.7, 100) \g /dev/null
SELECT is(pg_temp.gate() ~ 'reached 0.7,', true, 'the last one counts, not the best');
SELECT pg_temp.quality(0.8, 100), pg_temp.quality(0.1, 100, 1) \g /dev/null
SELECT is(pg_temp.gate(), NULL, 'the threshold itself is enough; a run that began before the last change does not count');
SELECT throws_ok($$SELECT pg_temp.quality(1.5, 1)$$, '23514', NULL, 'no quality above 1');
SELECT throws_ok($$SELECT pg_temp.quality('NaN', 1)$$, '23514', NULL, 'nor NaN');
SELECT throws_ok($$SELECT cdp.configure_connection('c', '{}')$$, '55000', 'connection "c" is shadow: how it talks does not change while it runs', 'it is not changed while it runs');
UPDATE cdp_data.connection_test SET finished_at = finished_at - interval '25 hours';
SELECT is(pg_temp.gate() ~ '^test too old', true, 'an old test closes the gate to live, too');
SELECT is(pg_temp.test('{auth}'), 'shadow', 'a test that fails leaves a running one where it is');
SELECT throws_ok($$SELECT cdp.go_live('c')$$, '55000', NULL, 'but not go live');
SELECT is(pg_temp.test(), 'shadow', 'tested again');
SELECT is(cdp.go_live('c', 'agreed'), 'live', 'live');
SELECT lives_ok($$SELECT cdp.set_secret('c', 's', 'x')$$, 'a secret is changed while it is live');
SELECT is(pg_temp.state(), 'live', 'and it goes on');

-- Suspended and resumed.
SELECT is(cdp_internal.move_connection(1, 'degraded', '5 runs failed'), 'degraded', 'runs that fail degrade it');
SELECT throws_ok($$SELECT cdp.go_live('c')$$, '55000', 'only a connection in shadow goes live', 'nobody talks it well');
SELECT is((SELECT finding || ' ' || severity FROM cdp.health() WHERE area = 'connections'), 'connection_degraded warning', 'health tells');
SELECT throws_ok($$SELECT cdp.resume_connection('c', 'x')$$, '55000', 'connection "c" is not suspended', 'there is nothing to resume');
SELECT throws_ok($$SELECT cdp.suspend_connection('c', '')$$, '22023', NULL, 'a reason must be given');
SELECT throws_ok($$SELECT cdp.suspend_connection('c', NULL)$$, '22023', NULL, 'NULL is none');
SELECT is(cdp.suspend_connection('c', 'account blocked'), 'suspended', 'suspended');
SELECT is(cdp.resume_connection('c', 'account is back'), 'live', 'and resumed as live, without a gate, for nothing was changed');
SELECT cdp.suspend_connection('c', 'again'), cdp.set_secret('c', 's', 'y') \g /dev/null
SELECT throws_ok($$SELECT cdp.resume_connection('c', 'x')$$, '55000', 'connection "c" may not go from suspended to live', 'with another secret it is not resumed untested');
SELECT is(pg_temp.gate() ~ '^changed since', true, 'which the gate tells');
SELECT is(pg_temp.test(), 'suspended', 'tested');
SELECT is(cdp.resume_connection('c', 'new secret'), 'live', 'and resumed');
SELECT cdp.suspend_connection('c', 'another account'), cdp.configure_connection('c', '{"account": "2"}') \g /dev/null
SELECT is(pg_temp.test(), 'suspended', 'tested with another config');
SELECT is(cdp.resume_connection('c', 'another account'), 'shadow', 'which goes on in shadow, for nobody has judged what it brings');
SELECT pg_temp.quality(0.9, 5) \g /dev/null
SELECT is(cdp.go_live('c'), 'live', 'and live from there');

-- Retired.
SELECT is(cdp.retire_connection('c', 'contract ended'), 'retired', 'retired');
SELECT is((SELECT count(*) FROM cdp_data.connection_secret), 0::bigint, 'its secrets are gone');
SELECT throws_ok(s, '55000', 'connection "c" is retired', 'and nothing of it goes on: ' || s) FROM unnest(ARRAY[$$SELECT cdp.set_secret('c', 's', 'z')$$, $$SELECT cdp.resume_connection('c', 'x')$$, $$SELECT cdp.configure_connection('c', '{}')$$]) s;
SELECT throws_ok($$SELECT cdp_internal.begin_connection_test(1)$$, '55000', NULL, 'not even a test');

-- Every pair of states, with all gates open: what is allowed is this list.
CREATE TABLE public.pair AS SELECT f, t, s FROM unnest(ARRAY['draft', 'tested', 'shadow', 'live', 'degraded', 'suspended', 'retired']) f, unnest(ARRAY['draft', 'tested', 'shadow', 'live', 'degraded', 'suspended', 'retired']) t,
  unnest(CASE f WHEN 'suspended' THEN ARRAY['shadow', 'live', 'degraded'] ELSE ARRAY[NULL] END) s WHERE f <> t;
CREATE FUNCTION pg_temp.try(f text, t text, s text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE cdp_data.connection SET state = f, suspended_from = s, suspended_revision = revision, suspended_binding = cdp_internal.connection_binding(1), state_at = clock_timestamp() WHERE connection_id = 1;
  INSERT INTO cdp_data.connection_quality (connection_id, source_id, state, revision, binding, quality, records) SELECT 1, 1, 'shadow', revision, cdp_internal.connection_binding(1), 1, 1 FROM cdp_data.connection WHERE connection_id = 1;
  PERFORM cdp_internal.move_connection(1, t, 'try', now());
  RETURN true;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
  RETURN false;
END $$;
UPDATE cdp_data.connection SET state = 'draft' WHERE connection_id = 1;
SELECT is(pg_temp.test(), 'tested', 'a test for all of them');
SELECT results_eq($$SELECT f || coalesce(' from ' || s, '') || ' -> ' || t COLLATE "C" FROM public.pair WHERE pg_temp.try(f, t, s) ORDER BY 1$$,
  $$SELECT x COLLATE "C" FROM unnest(ARRAY['draft -> tested', 'draft -> retired', 'tested -> draft', 'tested -> shadow', 'tested -> retired', 'shadow -> live', 'shadow -> suspended', 'shadow -> retired', 'live -> degraded', 'live -> suspended', 'live -> retired',
    'degraded -> live', 'degraded -> suspended', 'degraded -> retired', 'suspended from shadow -> shadow', 'suspended from live -> live', 'suspended from degraded -> live', 'suspended from shadow -> retired', 'suspended from live -> retired', 'suspended from degraded -> retired']) x ORDER BY 1$$,
  'of 54 moves 20 are allowed');

-- The log and the audit.
SELECT is((SELECT string_agg(coalesce(from_state, '-') || '>' || to_state, ' ' ORDER BY log_id) FROM cdp_data.connection_state_log WHERE log_id <= (SELECT min(log_id) FROM cdp_data.connection_state_log WHERE to_state = 'retired')),
  '->draft draft>tested tested>draft draft>tested tested>draft draft>tested tested>draft draft>tested tested>tested tested>draft draft>tested tested>shadow shadow>live live>degraded degraded>suspended suspended>live live>suspended suspended>live live>suspended suspended>shadow shadow>live live>retired', 'the log tells its life');
SELECT is((SELECT string_agg(DISTINCT actor || role, ' ') FROM cdp_data.connection_state_log), session_user || session_user::text, 'and who');
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE action = 'connection'), (SELECT count(*) FROM cdp_data.connection_state_log), 'each row has its twin in the audit');
SELECT is((SELECT connections || ' ' || went_live || ' ' || success_rate FROM cdp_bi.integration_success), '1 1 1.0000', 'the share of connections that went live');

-- An owner that is gone, and a secret that does not open any more.
CREATE ROLE conn_gone;
SELECT cdp.create_connection('orphan', 'vault', source => 'shop', owner => 'conn_gone'), cdp.set_secret('orphan', 's', 'x') \g /dev/null
DROP ROLE conn_gone;
UPDATE cdp_data.connection_secret SET envelope = envelope || 'AAAA' WHERE connection_id = 2;
SELECT is((SELECT string_agg(finding, ' ' ORDER BY finding) FROM cdp.health() WHERE area = 'connections' AND detail ~ 'orphan'), 'connection_owner secret_unusable', 'health tells of both');
SELECT lives_ok('CALL cdp_internal.maintain_room_connection()', 'maintenance runs');
UPDATE cdp_data.connection_test SET started_at = now() - interval '401 days';
CALL cdp_internal.maintain_room_connection();
SELECT is((SELECT count(*) FROM cdp_data.connection_test), 1::bigint, 'and keeps the last test of each');
SELECT is((SELECT count(*) FROM cdp_data.connection_check WHERE test_id NOT IN (SELECT test_id FROM cdp_data.connection_test)), 0::bigint, 'with its checks alone');
SELECT * FROM finish();
