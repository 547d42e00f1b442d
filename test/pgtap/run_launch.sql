-- Campaign runs from the draft to their end: what the check tells, who gets a message and which, states, the job, the limit of
-- messages, merges. Commits, so without a transaction around.
SELECT plan(96);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC'), cdp.add_source('web', 'UTC');
CREATE FUNCTION pg_temp.id(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('user_id', v) $$;
CREATE FUNCTION pg_temp.codes(name text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(severity || ' ' || code, ', ' ORDER BY n) FROM cdp.check_campaign_run(name) WITH ORDINALITY AS c (severity, code, message, hint, n) $$;
CREATE FUNCTION pg_temp.states(name text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(n || ' ' || state, ', ' ORDER BY state) FROM (SELECT o.state, count(*) AS n FROM cdp_data.outbox o JOIN cdp_data.campaign_exposure e USING (outbox_id) JOIN cdp_data.campaign_run r USING (campaign_run_id) WHERE r.name = states.name GROUP BY 1) x $$;
SELECT count(*) FROM generate_series(1, 200) i, cdp.identify('shop', jsonb_build_object('user_id', 'u' || i, 'email', 'u' || i || '@example.org'), jsonb_build_object('city', CASE WHEN i <= 160 THEN 'Xian' ELSE 'Rome' END), '2026-05-01') x;
SELECT count(*) FROM generate_series(1, 150) i, cdp.record_consent('web', 'marketing', 'granted', jsonb_build_object('email', 'u' || i || '@example.org'), channel => 'email') x;
SELECT cdp.create_segment('xian', 'city = ''Xian''', 'marketing', 'email'), cdp.create_segment('rome', 'city = ''Rome''', 'marketing', 'email'), cdp.create_segment('serve', 'city = ''Xian''', 'service');
SELECT cdp.add_destination('mailer', 'marketing', 'email'), cdp.add_destination('texter', 'marketing', 'sms'), cdp.add_destination('desk', 'service', 'email');

-- The check tells everything at once.
SELECT is(cdp.create_campaign_run('empty', variants => '[]'), 1, 'a draft may lack everything');
SELECT is(pg_temp.codes('empty'), 'error no_destination, error no_segment, error no_variant, warning no_goal, info no_cap, info no_holdout', 'which the check tells at once');
SELECT cdp.create_campaign_run('wrong', 'serve', 'maler', '[{"variant": "a", "weight": 0}]', purpose => 'marketing', channel => 'email', goal_kinds => '{purchse,order}', ends_at => now() - interval '1 hour');
SELECT is(pg_temp.codes('wrong'), 'error ends_past, error no_audience, error segment_purpose, error unknown_destination, error unknown_goal, error variant_weights, info no_cap, info no_holdout', 'everything that is wrong with another');
SELECT results_eq($$SELECT hint FROM cdp.check_campaign_run('wrong') WHERE code IN ('unknown_destination', 'unknown_goal') ORDER BY code$$, $$VALUES ('Did you mean ''mailer''?'), ('Did you mean ''purchase''?')$$, 'with the nearest names');
SELECT cdp.edit_campaign_run('wrong', '{"destination": "texter"}');
SELECT ok(pg_temp.codes('wrong') LIKE '%error destination_channel%', 'a destination of another channel');
SELECT cdp.edit_campaign_run('wrong', '{"destination": "desk"}');
SELECT ok(pg_temp.codes('wrong') LIKE '%error destination_purpose%', 'and of another purpose');
UPDATE cdp_data.destination SET enabled = false WHERE destination = 'desk';
SELECT ok(pg_temp.codes('wrong') LIKE '%error destination_off%', 'and one that is switched off');
SELECT throws_ok($$SELECT cdp.launch_campaign_run('wrong')$$, '55000', NULL, 'what the check calls an error is not launched');
SELECT cdp.segment_tick();
SELECT cdp.create_campaign_run('roman', 'rome', 'mailer', goal_kinds => '{purchase}');
SELECT is(pg_temp.codes('roman'), 'error empty_audience, info no_cap, info no_holdout', 'nobody allows it');
SELECT cdp.edit_campaign_run('roman', '{"schedule": "continuous"}');
SELECT is(pg_temp.codes('roman'), 'warning empty_audience, info no_cap, info no_holdout', 'which may change in a run that goes on');

-- Making and editing.
SELECT throws_ok($$SELECT cdp.create_campaign_run('roman')$$, '23505', NULL, 'a name once');
SELECT throws_ok($$SELECT cdp.create_campaign_run('x', 'xain')$$, '42704', 'there is no segment named "xain"', 'an unknown segment');
SELECT throws_ok($$SELECT cdp.create_campaign_run('x', 'xian', campaign => 'x')$$, '42704', NULL, 'an unknown campaign');
SELECT throws_ok($$SELECT cdp.create_campaign_run('x', 'xian', goal_within => '0')$$, '22023', NULL, 'a goal within nothing');
SELECT throws_ok($$SELECT cdp.create_campaign_run('x', 'xian', starts_at => '2026-02-01', ends_at => '2026-01-01')$$, '22023', NULL, 'an end before the start');
SELECT throws_ok($$SELECT cdp.edit_campaign_run('roman', '{"segmnt": "xian"}')$$, '22023', 'a campaign run has no "segmnt"', 'an unknown key');
SELECT throws_ok($$SELECT cdp.edit_campaign_run('romn', '{}')$$, '42704', NULL, 'an unknown run');
SELECT throws_ok(format($$SELECT cdp.edit_campaign_run('roman', '{"variants": %s}')$$, v), '22023', NULL, 'variants ' || v)
FROM unnest(ARRAY['{}', '[1]', '[{"variant": ""}]', '[{"variant": "a"}, {"variant": "a"}]', '[{"variant": "a", "weight": -1}]', '[{"variant": "a", "weight": "2"}]', '[{"variant": "a", "content": 1}]', '[{"name": "a"}]']) v;
SELECT throws_ok($$SELECT cdp.set_campaign_cap('email', 0, '1 day')$$, '22023', NULL, 'a limit of nothing');

-- Launch: each of the audience once, by the variant that the seed draws.
SELECT cdp.create_campaign_run('spring', 'xian', 'mailer', '[{"variant": "a", "weight": 3, "content": {"template": "s1"}}, {"variant": "b", "weight": 1, "content": {"template": "s2"}}, {"variant": "never", "weight": 0}]', goal_kinds => '{purchase}') AS spring \gset
UPDATE cdp_data.campaign_run SET seed = 7 WHERE name = 'spring';
SELECT is(pg_temp.codes('spring'), 'warning variant_idle, info no_cap, info no_holdout', 'nothing is wrong with this one');
-- A launch that breaks off at its last customer leaves nothing, and can be told again.
CREATE FUNCTION public.boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'boom'; END $$;
CREATE TRIGGER boom BEFORE INSERT ON cdp_data.campaign_exposure FOR EACH ROW WHEN (NEW.customer_id > 149) EXECUTE FUNCTION public.boom();
SELECT throws_ok($$SELECT cdp.launch_campaign_run('spring')$$, 'P0001', 'boom', 'a launch that fails');
SELECT is((SELECT count(*) FROM cdp_data.outbox) + (SELECT count(*) FROM cdp_data.campaign_exposure), 0::bigint, 'leaves neither messages nor exposures');
SELECT is((SELECT state || coalesce(launched_at::text, '') FROM cdp_data.campaign_run WHERE name = 'spring'), 'draft', 'and the run as it was');
DROP TRIGGER boom ON cdp_data.campaign_exposure;
SELECT results_eq($$SELECT state, audience, exposed, control, capped, refused FROM cdp.launch_campaign_run('spring')$$, $$VALUES ('running', 150::bigint, 150::bigint, 0::bigint, 0::bigint, 0::bigint)$$, 'the launch speaks to who allows it');
SELECT is((SELECT segment_version FROM cdp_data.campaign_run WHERE name = 'spring'), 1, 'by the rule of that moment');
SELECT is((SELECT count(*) FROM cdp_data.outbox o JOIN cdp_data.campaign_exposure e USING (outbox_id) WHERE o.customer_id = e.customer_id AND o.destination = 'mailer' AND o.kind = 'campaign' AND o.dedup_key = format('run %s %s', e.campaign_run_id, e.customer_id)
  AND o.payload = jsonb_build_object('campaign_run', 'spring', 'variant', e.variant, 'message', o.dedup_key, 'customer', e.customer_id, 'identifiers', (SELECT jsonb_build_object('email', jsonb_build_array(i.value)) FROM cdp_data.identifier i WHERE i.customer_id = e.customer_id AND i.type_id = 2), 'content', CASE e.variant WHEN 'a' THEN '{"template": "s1"}'::jsonb ELSE '{"template": "s2"}' END)), 150::bigint, 'a message for each exposure, with its variant''s content, its key, and the address');
-- A twin of the draw in plain arithmetic: 0 to 3/4 is a, the rest b.
SELECT is_empty(format($$SELECT e.customer_id, e.variant FROM cdp_data.campaign_exposure e
  WHERE e.variant <> CASE WHEN (SELECT sum(get_byte(h, i) * 256::numeric ^ (5 - i)) FROM (SELECT sha256(int8send(7) || int8send(e.customer_id)) AS h) x, generate_series(0, 5) i) * 4 < 3 * 256::numeric ^ 6 THEN 'a' ELSE 'b' END$$), 'the draw by weight');
SELECT cmp_ok((SELECT sum((observed - expected) ^ 2 / expected) FROM (SELECT count(*) FILTER (WHERE variant = 'a')::numeric AS a, count(*) FILTER (WHERE variant = 'b')::numeric AS b FROM cdp_data.campaign_exposure) n,
  LATERAL (VALUES (a, 112.5), (b, 37.5)) AS v (observed, expected)), '<', 6.63, 'in the shares that the weights ask for (chi-square of 150, 1 in 100)');
SELECT results_eq($$SELECT state, exposed FROM cdp.launch_campaign_run('spring')$$, $$VALUES ('running', 0::bigint)$$, 'a second launch speaks to nobody');
SELECT is((SELECT count(*) FROM cdp_data.outbox), 150::bigint, 'and writes nothing');
SELECT throws_ok($$SELECT cdp.edit_campaign_run('spring', '{"variants": [{"variant": "c"}]}')$$, '55000', NULL, 'what it says is no longer changed');
SELECT lives_ok($$SELECT cdp.edit_campaign_run('spring', '{"description": "first"}')$$, 'its description may be');
SELECT ok(EXISTS (SELECT FROM cdp_data.audit WHERE object = 'run spring' AND detail ->> 'op' = 'launch'), 'the audit has it');

-- States: what is stopped waits, what is cancelled does not go, what is taken meanwhile is caught when it comes back.
SELECT throws_ok($$SELECT cdp.resume_campaign_run('spring')$$, '55000', 'campaign run "spring" is running: it can not be resumed', 'only a paused run is resumed');
SELECT outbox_id AS taken FROM cdp.outbox_take('mailer', 1) \gset
SELECT outbox_id AS gone FROM cdp.outbox_take('mailer', 1) \gset
SELECT cdp.outbox_sent(:gone);
SELECT is(cdp.pause_campaign_run('spring'), 148::bigint, 'pause holds what waits');
SELECT is_empty($$SELECT * FROM cdp.outbox_take('mailer', 10)$$, 'none of it is taken');
SELECT is(cdp.outbox_failed(:taken, 'busy'), true, 'one comes back');
UPDATE cdp_data.outbox SET next_attempt_at = now() WHERE outbox_id = :taken;
SELECT is_empty($$SELECT * FROM cdp.outbox_take('mailer', 10)$$, 'and waits with the others');
SELECT throws_ok($$SELECT cdp.finish_campaign_run('spring')$$, '55000', NULL, 'a paused run is not finished');
SELECT throws_ok($$SELECT cdp.launch_campaign_run('spring')$$, '55000', NULL, 'nor launched');
SELECT is((SELECT count(*) FROM cdp.advance_campaign_runs() WHERE run = 'spring'), 0::bigint, 'the job leaves it alone');
SELECT is_empty($$SELECT * FROM cdp.outbox_take('mailer', 10)$$, 'and its messages');
SELECT is(cdp.resume_campaign_run('spring'), 149::bigint, 'resume lets all of them go');
SELECT is((SELECT count(*) FROM cdp.outbox_take('mailer', 49)), 49::bigint, 'they are taken');
SELECT outbox_id AS taken FROM cdp_data.outbox WHERE state = 'taken' ORDER BY outbox_id LIMIT 1 \gset
SELECT cdp.outbox_sent(outbox_id) FROM cdp_data.outbox WHERE state = 'taken' AND outbox_id <> :taken;
SELECT is(cdp.cancel_campaign_run('spring'), 100::bigint, 'cancel cancels what waits');
SELECT is(cdp.outbox_failed(:taken, 'busy'), true, 'one is still out');
UPDATE cdp_data.outbox SET next_attempt_at = now() WHERE outbox_id = :taken;
SELECT is_empty($$SELECT * FROM cdp.outbox_take('mailer', 10)$$, 'it is cancelled when it would be taken again');
SELECT is(pg_temp.states('spring'), '101 cancelled, 49 sent', 'no message is lost');
SELECT cdp.advance_campaign_runs();
SELECT results_eq($$SELECT state COLLATE "default", count(*), count(sent_at) FROM cdp_data.campaign_exposure GROUP BY 1 ORDER BY 1$$, $$VALUES ('cancelled', 101::bigint, 0::bigint), ('sent', 49, 49)$$, 'exposures tell what became of them');
SELECT throws_ok(format('SELECT cdp.%s_campaign_run(''spring'')', v), '55000', NULL, 'a cancelled run is not to ' || v) FROM unnest('{launch,pause,resume,finish,cancel}'::text[]) v;

-- The limit of messages: sent and waiting ones count, over all runs of the channel; cancelled ones do not.
SELECT cdp.set_campaign_cap('email', 1, '7 days');
SELECT cdp.create_campaign_run('second', 'xian', 'mailer', goal_kinds => '{purchase}', schedule => 'continuous');
SELECT is(pg_temp.codes('second'), 'warning capped, info no_holdout', 'the check tells the limit');
SELECT results_eq($$SELECT exposed, capped FROM cdp.launch_campaign_run('second')$$, $$VALUES (101::bigint, 49::bigint)$$, 'who had one is left out');
SELECT cdp.create_campaign_run('third', 'xian', 'mailer', goal_kinds => '{purchase}');
SELECT results_eq($$SELECT exposed, capped FROM cdp.launch_campaign_run('third')$$, $$VALUES (0::bigint, 150::bigint)$$, 'messages that wait count, too');
-- Time passes for 9 of them: the run that goes on adds them, and who came into the audience.
UPDATE cdp_data.campaign_exposure SET sent_at = now() - interval '8 days', exposed_at = now() - interval '8 days' WHERE state = 'sent' AND customer_id IN (SELECT customer_id FROM cdp_data.campaign_exposure WHERE state = 'sent' ORDER BY 1 LIMIT 9);
SELECT results_eq($$SELECT run, action, n FROM cdp.advance_campaign_runs() WHERE action <> 'failed'$$, $$VALUES ('second', 'add', 9::bigint)$$, 'the job adds who may be spoken to again');
SELECT cdp.identify('shop', '{"user_id": "u170"}', '{"city": "Xian"}'), cdp.record_consent('web', 'marketing', 'granted', '{"email": "u170@example.org"}', channel => 'email');
SELECT cdp.segment_tick();
-- x was never exposed, u1 was: merged, the one who is left is not exposed again.
SELECT cdp.identify('shop', '{"email": "x@example.org"}', '{"city": "Xian"}'), cdp.record_consent('web', 'marketing', 'granted', '{"email": "x@example.org"}', channel => 'email');
SELECT cdp.link_identifiers((SELECT identifier_id FROM cdp_data.identifier WHERE value = 'x@example.org'), (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'u1@example.org'), 'one person');
SELECT cdp.segment_tick();
SELECT cdp.set_campaign_cap('email', NULL, NULL);
SELECT customer_id AS capped FROM cdp_data.campaign_exposure WHERE state = 'sent' AND sent_at > now() - interval '1 day' ORDER BY 1 LIMIT 1 \gset
SELECT results_eq($$SELECT run, action, n FROM cdp.advance_campaign_runs() WHERE action <> 'failed'$$, $$VALUES ('second', 'add', 41::bigint)$$, 'without the limit the other 40, and who came into the audience; nobody twice for a merge');
SELECT is((SELECT count(*) FROM cdp_data.campaign_exposure e JOIN cdp_data.campaign_run r USING (campaign_run_id) WHERE r.name = 'second'), 151::bigint, 'all of them once');

-- The job launches what is due and ends what is past its end.
SELECT cdp.create_campaign_run('later', 'xian', 'mailer', goal_kinds => '{purchase}', starts_at => now() + interval '1 day', ends_at => now() + interval '2 days');
SELECT results_eq($$SELECT state, exposed FROM cdp.launch_campaign_run('later')$$, $$VALUES ('scheduled', 0::bigint)$$, 'before its start it is scheduled');
SELECT is((SELECT count(*) FROM cdp.advance_campaign_runs() WHERE run = 'later'), 0::bigint, 'and waits');
UPDATE cdp_data.campaign_run SET starts_at = now() - interval '1 minute', destination = 'nobody' WHERE name = 'later';
SELECT results_eq($$SELECT run, action, error LIKE '55000:%' FROM cdp.advance_campaign_runs()$$, $$VALUES ('later', 'failed', true)$$, 'what can not be launched is told');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'campaign_failed'), 1::bigint, 'by health, too');
SELECT cdp.edit_campaign_run('later', '{"destination": "mailer"}');
SELECT results_eq($$SELECT run, action, n FROM cdp.advance_campaign_runs()$$, $$VALUES ('later', 'launch', 151::bigint)$$, 'then it is launched');
UPDATE cdp_data.campaign_run SET starts_at = now() - interval '1 hour', ends_at = now() - interval '1 minute' WHERE name = 'later';
SELECT results_eq($$SELECT run, action FROM cdp.advance_campaign_runs()$$, $$VALUES ('later', 'finish')$$, 'and ended');
SELECT is(pg_temp.states('later'), '151 waiting', 'its messages still go');
SELECT is((SELECT count(*) FROM cdp_data.job WHERE name = 'campaign_runs' AND schedule = '1 minute'), 1::bigint, 'the job is on the list');

-- A message carries the attributes that the destination may get.
SELECT cdp.add_destination('letters', 'marketing', 'email', attributes => '{city}');
SELECT cdp.create_campaign_run('by letter', 'xian', 'letters', goal_kinds => '{purchase}');
UPDATE cdp_data.profile_state SET refreshed_at = now() - interval '61 minutes';
SELECT ok((SELECT bool_and(c.severity = 'warning' AND c.message ~ 'as of') FROM cdp.check_campaign_run('by letter') c WHERE c.code = 'stale_profiles'), 'the check tells of old ones');
SELECT cdp.refresh_profiles();
SELECT is((SELECT count(*) FROM cdp.check_campaign_run('by letter') c WHERE c.code = 'stale_profiles'), 0::bigint, 'and of none after a refresh');
SELECT cdp.launch_campaign_run('by letter');
SELECT is((SELECT count(*) FROM cdp_data.outbox WHERE destination = 'letters' AND payload -> 'attributes' = '{"city": "Xian"}'), 151::bigint, 'with what the destination may get');
-- A holdout keeps its control arm back: exposed as control, without a message, and counted like a message.
SELECT cdp.create_holdout('h', 0.3, 'a test');
SELECT cdp.create_campaign_run('held', 'xian', 'mailer', goal_kinds => '{purchase}', holdout => 'h');
SELECT is((SELECT exposed + control || ' of ' || audience FROM cdp.launch_campaign_run('held')), '151 of 151', 'a run with a holdout exposes everybody, in two arms');
SELECT is_empty($$SELECT e.customer_id FROM cdp_data.campaign_exposure e JOIN cdp_data.campaign_run r USING (campaign_run_id) WHERE r.name = 'held' AND (e.arm <> cdp.holdout_arm('h', e.customer_id) OR (e.arm = 'control') <> (e.outbox_id IS NULL) OR (e.arm = 'control') <> (e.variant IS NULL))$$, 'by the arms of the holdout; control has neither message nor variant');
SELECT ok(count(*) BETWEEN 20 AND 75, 'so many are control') FROM cdp_data.campaign_exposure WHERE arm = 'control';
SELECT is((SELECT count(*) FROM cdp_data.holdout_assignment a JOIN cdp_data.campaign_exposure e USING (customer_id) JOIN cdp_data.campaign_run r USING (campaign_run_id) WHERE r.name = 'held' AND a.arm = e.arm), 151::bigint, 'the arms of who was exposed are kept');
SELECT cdp.set_campaign_cap('email', 5, '7 days');
SELECT cdp.create_campaign_run('held again', 'xian', 'mailer', goal_kinds => '{purchase}', holdout => 'h') AS again \gset
SELECT cdp.launch_campaign_run('held again');
SELECT is_empty($$SELECT x.arm, min(n), max(n) FROM (SELECT a.arm, e.customer_id, count(*) AS n FROM cdp_data.campaign_exposure e JOIN cdp_data.holdout_assignment a USING (customer_id) WHERE e.state <> 'cancelled' AND coalesce(e.sent_at, e.exposed_at) > now() - interval '7 days' GROUP BY 1, 2) x GROUP BY 1 HAVING max(n) > 5$$, 'both arms are left out by the same limit');
SELECT cdp.end_holdout('h');
SELECT cdp.create_campaign_run('too late', 'xian', 'mailer', goal_kinds => '{purchase}');
SELECT throws_ok($$SELECT cdp.edit_campaign_run('too late', '{"holdout": "hh"}')$$, '42704', NULL, 'an unknown holdout');
SELECT cdp.edit_campaign_run('too late', '{"holdout": "h"}');
SELECT ok(pg_temp.codes('too late') LIKE '%error holdout_ended%', 'one that has ended is told');

-- The arms stay alike whatever happens: a run cancelled before it spoke uses up nobody's messages, what keeps the treated from a message keeps control from being control.
SELECT count(*) FROM generate_series(1, 80) i, cdp.record_consent('web', 'marketing', 'granted', jsonb_build_object('email', 'u' || i || '@example.org'), channel => 'sms') x;
SELECT cdp.create_segment('by sms', 'city = ''Xian''', 'marketing', 'sms'), cdp.create_holdout('h2', 0.4);
SELECT cdp.segment_tick();
SELECT cdp.set_campaign_cap('sms', 1, '7 days');
SELECT cdp.create_campaign_run('sms ' || i, 'by sms', 'texter', goal_kinds => '{purchase}', holdout => 'h2') FROM generate_series(1, 3) i;
SELECT is((SELECT exposed + control || ' ' || capped FROM cdp.launch_campaign_run('sms 1')), '80 0', 'a run with a holdout');
SELECT is(cdp.cancel_campaign_run('sms 1'), (SELECT count(*) FROM cdp_data.campaign_exposure e JOIN cdp_data.campaign_run r USING (campaign_run_id) WHERE r.name = 'sms 1' AND e.arm = 'treatment'), 'is cancelled before it spoke');
SELECT is((SELECT exposed + control || ' ' || capped FROM cdp.launch_campaign_run('sms 2')), '80 0', 'the next one finds both arms whole');
SELECT cdp.outbox_sent(outbox_id) FROM cdp.outbox_take('texter', 1);
SELECT cdp.advance_campaign_runs();
SELECT cdp.cancel_campaign_run('sms 2');
SELECT is((SELECT capped FROM cdp.launch_campaign_run('sms 3')), 1 + (SELECT count(*) FROM cdp_data.campaign_exposure e JOIN cdp_data.campaign_run r USING (campaign_run_id) WHERE r.name = 'sms 2' AND e.arm = 'control'), 'one that spoke counts for its control');
SELECT cdp.set_campaign_cap('sms', NULL, NULL), cdp.add_destination('with country', 'marketing', 'sms', attributes => '{country}');
SELECT count(*) FROM generate_series(1, 40) i, cdp.identify('shop', jsonb_build_object('user_id', 'u' || i), '{"country": "CN"}') x;
SELECT cdp.refresh_profiles();
SELECT cdp.create_campaign_run('country', 'by sms', 'with country', goal_kinds => '{purchase}', holdout => 'h2');
SELECT cdp.allow_purposes('attribute', 'country', '{service}');
SELECT is((SELECT exposed + control || ' ' || refused FROM cdp.launch_campaign_run('country')), '40 40', 'a message that the outbox refuses exposes nobody');
SELECT is((SELECT count(*) FROM cdp_data.campaign_exposure e JOIN cdp_data.campaign_run r USING (campaign_run_id) WHERE r.name = 'country' AND e.customer_id IN (SELECT pg_temp.id('u' || i) FROM generate_series(1, 40) i)), 0::bigint, 'in neither arm');
SELECT ok(EXISTS (SELECT FROM cdp_data.campaign_exposure e JOIN cdp_data.campaign_run r USING (campaign_run_id) WHERE r.name = 'country' AND e.arm = 'control'), 'others are control');
BEGIN;
SELECT cdp.create_campaign_run('h2 over', 'by sms', 'texter', goal_kinds => '{purchase}', holdout => 'h2'), cdp.end_holdout('h2');
SELECT ok(pg_temp.codes('h2 over') LIKE '%error holdout_ended%', 'a holdout that ends in this transaction has ended');
ROLLBACK;
-- A destination of no channel would not ask about the channel when a message goes: somebody may have withdrawn by then.
SELECT cdp.add_destination('any', 'marketing'), cdp.create_campaign_run('anyhow', 'by sms', 'any', goal_kinds => '{purchase}');
SELECT ok(pg_temp.codes('anyhow') LIKE '%error destination_channel%', 'the destination needs the channel of the run');
-- Past its end nobody is added, also before the job finishes it.
SELECT cdp.create_campaign_run('ending', 'by sms', 'texter', goal_kinds => '{purchase}', schedule => 'continuous'), cdp.launch_campaign_run('ending');
SELECT cdp.record_consent('web', 'marketing', 'granted', '{"email": "u81@example.org"}', channel => 'sms'), cdp.record_consent('web', 'marketing', 'granted', '{"email": "u82@example.org"}', channel => 'sms');
UPDATE cdp_data.campaign_run SET ends_at = now() + interval '1 day' WHERE name = 'ending';
SELECT is((SELECT exposed FROM cdp.launch_campaign_run('ending')), 2::bigint, 'before its end a run adds who came');
SELECT cdp.record_consent('web', 'marketing', 'granted', '{"email": "u83@example.org"}', channel => 'sms');
UPDATE cdp_data.campaign_run SET ends_at = now() - interval '1 minute' WHERE name = 'ending';
SELECT results_eq($$SELECT state, exposed, audience FROM cdp.launch_campaign_run('ending')$$, $$VALUES ('running', 0::bigint, NULL::bigint)$$, 'after it nobody');
SELECT * FROM finish();
