-- Gates of data quality before the outbox, the minimum audience, exports with maker and checker.
BEGIN;
SELECT plan(76);
SET LOCAL client_min_messages = error;
CREATE TEMP TABLE feed_rows AS SELECT 'k' || i AS source_key, now() - interval '2 days' + i * interval '1 minute' AS occurred_at, 'email' AS identifier_type,
  'p' || i % 50 || '@example.org' AS identifier, CASE WHEN i % 10 = 0 THEN 'purchase' ELSE 'click' END AS kind, CASE WHEN i % 50 = 9 THEN 'weibo' ELSE 'google' END AS source,
  CASE WHEN i % 10 = 0 THEN 5 END AS value FROM generate_series(1, 100) i;
SELECT cdp.add_source('shop', 'UTC') AS shop, cdp.add_source('crm', 'UTC') AS crm \gset
INSERT INTO cdp_data.destination (destination, purpose) VALUES ('mailer', 'service'), ('crm', 'service');
SELECT load_id FROM cdp.load_touchpoints('shop', 'feed_rows') \gset
SELECT count(*) FROM cdp.refresh_profiles();
SELECT customer_id AS p1 FROM cdp_data.identifier WHERE value = 'p1@example.org' \gset
SELECT customer_id AS p2 FROM cdp_data.identifier WHERE value = 'p2@example.org' \gset

-- What is no gate.
SELECT throws_ok($$SELECT cdp.set_gate('x', 'fresh', 'shop', max_age => '1 day')$$, '22023', 'not a gate', 'an unknown kind');
SELECT throws_ok($$SELECT cdp.set_gate('x', 'freshness', 'shop')$$, '22023', 'not a gate', 'without its limit');
SELECT throws_ok($$SELECT cdp.set_gate('x', 'freshness', 'shop', max_age => '1 day', min_share => 0.5)$$, '22023', 'not a gate', 'with the limit of another');
SELECT throws_ok($$SELECT cdp.set_gate('x', 'freshness', 'shopp', max_age => '1 day')$$, '22023', 'unknown source "shopp"', 'an unknown source');
SELECT throws_ok($$SELECT cdp.set_gate('x', 'completeness', target => 'attribute citty', min_share => 0.5)$$, '22023', 'unknown target "attribute citty"', 'an unknown target');
SELECT throws_ok($$SELECT cdp.set_gate('x', 'completeness', target => 'attribute city', min_share => 1.5)$$, '22023', NULL, 'a share above one');
SELECT throws_ok($$SELECT cdp.set_gate('x', 'freshness', 'shop', max_age => '1 day', destination => 'mail')$$, '22023', 'unknown destination "mail"', 'an unknown destination');
SELECT throws_ok($$SELECT cdp.set_gate(NULL, NULL)$$, '22023', 'name of a gate must not be empty', 'nothing at all');
SELECT is(cdp.outbox_put('mailer', 'offer', '{}', customer_id => :p1) IS NOT NULL, true, 'without gates messages go out');

-- Freshness.
SELECT is(cdp.set_gate('shop fresh', 'freshness', 'shop', max_age => '1 day'), true, 'a source that has just delivered is fresh');
SELECT is(cdp.outbox_refusal('mailer', 'offer', :p1), NULL, 'and stops nobody');
UPDATE cdp_data.load SET started_at = now() - interval '30 hours', finished_at = now() - interval '30 hours' WHERE load_id = :load_id;
SELECT is((SELECT is_open FROM cdp.judge_gates('shop fresh')), false, 'thirty hours later it is not');
SELECT is(cdp.outbox_put('mailer', 'offer', '{"a": 1}', customer_id => :p2), NULL, 'the outbox refuses');
SELECT matches(cdp.outbox_refusal('mailer', 'offer', :p1), '^gate "shop fresh" is closed: the latest delivery is of ', 'and tells which gate and why');
SELECT is(cdp.outbox_refusal('mailer', 'erase', NULL), NULL, 'an erasure passes');
SELECT is((SELECT count(*) FROM cdp.outbox_take('mailer')), 0::bigint, 'nothing is given out');
SELECT is((SELECT string_agg(state, ' ') FROM cdp_data.outbox), 'waiting', 'what was written before waits, it is not lost');
SELECT is(cdp.outbox_put('mailer', 'erase', '{"receipt": 1}') IS NOT NULL, true, 'an erasure is written');
SELECT is((SELECT string_agg(kind, ' ') FROM cdp.outbox_take('mailer')), 'erase', 'and given out');
SELECT results_eq($$SELECT name COLLATE "default", source COLLATE "default", wanted, is_open, remedy FROM cdp_bi.activation_gate$$,
  $$VALUES ('shop fresh', 'shop', 'younger than 1 day', false, 'Load the source')$$, 'the view tells what to do');
SELECT is((SELECT remedy FROM cdp.health() WHERE finding = 'gate_closed'), 'Load the source', 'so does health()');
SELECT is((SELECT string_agg(detail ->> 'state', ' ' ORDER BY audit_id) FROM cdp_data.audit WHERE action = 'gate'), 'open closed', 'each change is in the audit');
-- An override, with reason and end.
SELECT throws_ok($$SELECT cdp.override_gate('shop fresh', now() + interval '1 hour', ' ')$$, '22023', NULL, 'no override without a reason');
SELECT throws_ok($$SELECT cdp.override_gate('shop fresh', now() + interval '31 days', 'x')$$, '22023', NULL, 'nor for ever');
SELECT throws_ok($$SELECT cdp.override_gate('shop stale', now() + interval '1 day', 'x')$$, '22023', 'there is no gate "shop stale"', 'nor of no gate');
SELECT cdp.override_gate('shop fresh', now() + interval '1 hour', 'the shop is closed today');
SELECT is(cdp.outbox_refusal('mailer', 'offer', :p1), NULL, 'overridden');
SELECT is((SELECT string_agg(kind, ' ') FROM cdp.outbox_take('mailer')), 'offer', 'the message that waited goes out');
SELECT cdp.override_gate('shop fresh', now() - interval '1 second', 'enough');
SELECT isnt(cdp.outbox_refusal('mailer', 'offer', :p1), NULL, 'taken back');
-- A judgement grows old.
UPDATE cdp_data.activation_gate SET state = 'open', valid_until = now() - interval '1 second', judged_at = now() - interval '2 hours';
SELECT matches(cdp.outbox_refusal('mailer', 'offer', :p1), 'its last judgement of .* no longer holds$', 'a gate that nobody judges closes');
SELECT is(cdp.drop_gate('shop fresh'), true, 'dropped');
SELECT is(cdp.drop_gate('shop fresh'), false, 'once');

-- Completeness, of profiles and of a load; for one destination.
SELECT is(cdp.set_gate('emails', 'completeness', target => 'identifier email', min_share => 0.95), true, 'everybody has an address');
SELECT status FROM cdp.track('shop', 'click', '{"cookie": "c1"}') \gset
SELECT status FROM cdp.track('shop', 'click', '{"cookie": "c2"}') \gset
SELECT status FROM cdp.track('shop', 'click', '{"cookie": "c3"}') \gset
SELECT count(*) FROM cdp.refresh_profiles();
SELECT results_eq($$SELECT is_open, detail FROM cdp.judge_gates('emails')$$, $$VALUES (false, '50 of 53 have identifier email')$$, 'three visitors without one are too many');
SELECT is(cdp.set_gate('emails', 'completeness', target => 'identifier email', min_share => 0.9, destination => 'crm'), true, 'changed: now it is enough');
SELECT is(cdp.set_gate('cities', 'completeness', target => 'attribute city', min_share => 0.1, destination => 'crm'), false, 'nobody has a city');
SELECT is(cdp.outbox_refusal('mailer', 'offer', :p1), NULL, 'another destination is not stopped');
SELECT is(cdp.outbox_refusal('crm', 'offer', :p1), 'gate "cities" is closed: 0 of 53 have attribute city', 'its own is');
SELECT cdp.drop_gate('cities'), cdp.drop_gate('emails');

-- A size out of the usual; a load that nobody judged.
INSERT INTO cdp_data.load (source_id, kind, state, started_at, finished_at, rows_read) SELECT :crm, 'customers', 'done', now() - i * interval '1 day', now() - i * interval '1 day', n
FROM (VALUES (6, 1000), (5, 1100), (4, 900)) v (i, n);
SELECT is(cdp.set_gate('crm size', 'size_jump', 'crm', max_change => 0.5), true, 'two loads before are too few to judge by');
INSERT INTO cdp_data.load (source_id, kind, state, started_at, finished_at, rows_read) VALUES (:crm, 'customers', 'done', now() - interval '3 days', now(), 1300);
SELECT matches(cdp.outbox_refusal('mailer', 'offer', :p1), 'load \d+ has not been judged yet$', 'a new load closes it until it is judged');
SELECT is((SELECT is_open FROM cdp.judge_gates()), true, 'a third more is usual');
INSERT INTO cdp_data.load (source_id, kind, state, started_at, finished_at, rows_read) VALUES (:crm, 'customers', 'done', now() - interval '2 days', now(), 20) RETURNING load_id AS small \gset
SELECT results_eq('SELECT is_open, detail FROM cdp.judge_gates()', format($$VALUES (false, 'load %s has 20 rows, usual are 1050')$$, :small), 'a load of nearly nothing is not');
UPDATE cdp_data.load SET state = 'reverted' WHERE load_id = :small;
SELECT is((SELECT is_open FROM cdp.judge_gates()), true, 'reverted, the gate opens');
INSERT INTO cdp_data.load (source_id, kind, state, started_at, finished_at, rows_read) VALUES (:crm, 'customers', 'done', now() - interval '2 days', now(), 0) RETURNING load_id AS none \gset
SELECT results_eq('SELECT is_open, detail FROM cdp.judge_gates()', format($$VALUES (false, 'load %s has 0 rows, usual are 1050')$$, :none), 'nor one of nothing at all');
UPDATE cdp_data.load SET state = 'reverted' WHERE load_id = :none;
INSERT INTO cdp_data.load (source_id, kind, state, started_at, finished_at, rows_read) VALUES (:crm, 'customers', 'done', now() - interval '1 day', now(), 5000);
SELECT is((SELECT is_open FROM cdp.judge_gates()), false, 'nor one of five times as many');
SELECT cdp.drop_gate('crm size');

-- The minimum audience.
SELECT is((SELECT count(*) FROM cdp.attribution(models => '{last}') WHERE conversions IS NULL), 0::bigint, 'off: every figure is shown');
UPDATE cdp_data.setting SET minimum_audience = 3;
SELECT throws_ok(format('SELECT * FROM cdp.attribution(customers => ''{%s}'', models => ''{last}'')', customer_id), '42501', 'the report is about fewer people than the minimum audience', 'a report about one person is refused')
FROM cdp_data.identifier WHERE value = 'p10@example.org';
SELECT lives_ok(format('SELECT * FROM cdp.attribution(customers => ''{%s}'', models => ''{last}'')', :p1), 'about nobody it is empty');
SELECT is((SELECT count(*) FROM cdp.attribution(models => '{last}') WHERE conversions < 3 AND conversions > 0), 0::bigint, 'no row shows fewer than three');
SELECT cmp_ok((SELECT sum(conversions) FROM cdp.attribution(models => '{last}')), '>=', 3::numeric, 'larger ones are shown');
SELECT throws_ok($$SELECT cdp.require_audience(2, 'the segment')$$, '42501', 'the segment is about fewer people than the minimum audience', 'segments can ask');
SELECT lives_ok('SELECT cdp.require_audience(3), cdp.require_audience(0), cdp.require_audience(NULL)', 'enough, nobody, unknown');

-- Exports.
CREATE ROLE gate_maker;
CREATE ROLE gate_checker;
CREATE ROLE gate_other;
CALL cdp.setup(marketer => 'gate_maker', privacy => 'gate_checker', analyst => 'gate_other');
UPDATE cdp_data.setting SET export_approval_above = 100;
SET SESSION AUTHORIZATION gate_maker;
SELECT cdp.request_export('segment few', 100, 'mailer', 'service') AS small, cdp.request_export('segment vip', 500, 'mailer', 'service', 'spring') AS big \gset
SELECT results_eq('SELECT what, state COLLATE "default", requested_by FROM cdp_bi.export_request ORDER BY export_id', $$VALUES ('segment few', 'approved', 'gate_maker'), ('segment vip', 'requested', 'gate_maker')$$, 'few pass at once, many wait');
SELECT throws_ok($$SELECT cdp.request_export('segment tiny', 2)$$, '42501', 'the export is about fewer people than the minimum audience', 'too few are refused');
SELECT throws_ok(format('SELECT cdp.use_export(%s, 400)', :big), '55000', format('export %s may not be made', :big), 'what waits may not be made');
SELECT throws_ok(format('SELECT cdp.approve_export(%s)', :big), '42501', NULL, 'a maker can not approve');
SELECT throws_ok($$UPDATE cdp_data.export_request SET state = 'approved'$$, '42501', NULL, 'nor write the register');
SELECT lives_ok(format('SELECT cdp.use_export(%s, 90)', :small), 'the small one is made');
SELECT throws_ok(format('SELECT cdp.use_export(%s, 90)', :small), '55000', NULL, 'once');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION gate_checker;
SELECT cdp.request_export('my own', 500) AS own \gset
SELECT throws_ok(format('SELECT cdp.approve_export(%s)', :own), '42501', 'who asks for an export does not approve it', 'a checker does not approve his own');
SELECT lives_ok(format('SELECT cdp.approve_export(%s, ''fine'')', :big), 'that of somebody else he does');
SELECT throws_ok(format('SELECT cdp.approve_export(%s)', :big), '55000', NULL, 'once');
SELECT throws_ok(format('SELECT cdp.use_export(%s, 400)', :big), '42501', NULL, 'it is not his to make');
SELECT throws_ok('SELECT cdp.approve_export(999999)', '22023', NULL, 'none of that number');
RESET SESSION AUTHORIZATION;
-- A gate that closes after the approval stops it, too.
SELECT cdp.set_gate('cities', 'completeness', target => 'attribute city', min_share => 0.1);
SET SESSION AUTHORIZATION gate_maker;
SELECT throws_ok(format('SELECT cdp.use_export(%s, 400)', :big), '55000', format('export %s is stopped: gate "cities" is closed: 0 of 53 have attribute city', :big), 'a closed gate stops it');
RESET SESSION AUTHORIZATION;
SELECT cdp.drop_gate('cities');
SET SESSION AUTHORIZATION gate_maker;
SELECT throws_ok(format('SELECT cdp.use_export(%s, 501)', :big), '42501', format('export %s is larger than what was asked for', :big), 'no more people than were asked for');
SELECT lives_ok(format('SELECT cdp.use_export(%s, 480)', :big), 'made');
-- Many small ones are a large one, whoever asks for them in whatever transaction.
SELECT cdp.request_export('part 2', 10) AS part \gset
SELECT is((SELECT state FROM cdp_bi.export_request WHERE export_id = :part), 'approved', '90 made and 10 asked for are not more than 100');
SELECT cdp.request_export('part 3', 3) AS part3 \gset
SELECT is((SELECT state FROM cdp_bi.export_request WHERE export_id = :part3), 'requested', 'three more are, and wait for another person');
SELECT cdp.use_export(:part, 4) \g /dev/null
SELECT cdp.request_export('part 4', 6) AS part4 \gset
SELECT is((SELECT state FROM cdp_bi.export_request WHERE export_id = :part4), 'approved', 'what was not taken does not count, nor what another person approved');
RESET SESSION AUTHORIZATION;
UPDATE cdp_data.export_request SET done_at = now() - interval '25 hours' WHERE done_at IS NOT NULL;
SET SESSION AUTHORIZATION gate_maker;
SELECT cdp.request_export('tomorrow', 94) AS tomorrow \gset
SELECT is((SELECT state FROM cdp_bi.export_request WHERE export_id = :tomorrow), 'approved', 'nor what was made more than a day ago');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION gate_other;
SELECT cdp.request_export('mine', 100) AS mine \gset
SELECT is((SELECT state FROM cdp_bi.export_request WHERE export_id = :mine), 'approved', 'every login counts for itself');
RESET SESSION AUTHORIZATION;
UPDATE cdp_data.export_request SET expires_at = now() WHERE export_id = :own;
SELECT is((SELECT state FROM cdp_bi.export_request WHERE export_id = :own), 'expired', 'what nobody decided expires');
SELECT is((SELECT string_agg(action || ' ' || coalesce(detail ->> 'step', detail ->> 'verdict') || ' ' || actor, ', ' ORDER BY audit_id) FROM cdp_data.audit WHERE object = 'export ' || :big),
  'export requested gate_maker, approve approved gate_checker, export done gate_maker', 'the audit tells who asked, who approved, who made');

-- An admin may write the list of gates by hand, and leaves his trace; judgements leave theirs when they change.
CREATE ROLE gate_admin;
CALL cdp.setup(admin => 'gate_admin');
SELECT cdp.set_gate('by hand', 'completeness', target => 'attribute city', min_share => 0.1) \g /dev/null
SELECT count(*) AS told FROM cdp_data.audit WHERE object = 'cdp_data.activation_gate' \gset
SELECT cdp.judge_gates() \g /dev/null
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE object = 'cdp_data.activation_gate'), :told::bigint, 'to be judged the same again is no change');
SET ROLE gate_admin;
UPDATE cdp_data.activation_gate SET state = 'open', valid_until = now() + interval '1 hour' WHERE name = 'by hand';
INSERT INTO cdp_data.property_rule (kind_id, key) SELECT kind_id, 'coupon' FROM cdp_data.touch_kind_all WHERE name = 'click';
RESET ROLE;
SELECT results_eq($$SELECT role, detail FROM cdp_data.audit WHERE action = 'setting' AND object IN ('cdp_data.activation_gate', 'cdp_data.property_rule') ORDER BY audit_id DESC LIMIT 2$$,
  format($$VALUES ('gate_admin', '{"op": "insert", "key": {"kind_id": %s, "key": "coupon"}, "columns": null}'::jsonb), ('gate_admin', '{"op": "update", "key": {"name": "by hand"}, "columns": ["state"]}')$$,
    (SELECT kind_id FROM cdp_data.touch_kind_all WHERE name = 'click')), 'a gate that was opened by hand, and a property let in, are in the audit');
SELECT is((SELECT count(*) FROM pg_trigger t WHERE t.tgname = 'audit_change' AND t.tgrelid IN ('cdp_data.activation_gate'::regclass, 'cdp_data.property_rule'::regclass, 'cdp_data.request_law'::regclass)), 3::bigint, 'so are deadlines of requests');
SELECT * FROM finish();
ROLLBACK;
