-- What comes back from a run: by calls, by items, by loads; in any order, twice, late, by people merged since, and by who was erased.
SELECT plan(76);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC'), cdp.add_source('mailer', 'UTC');
CREATE FUNCTION pg_temp.id(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('user_id', v) $$;
CREATE FUNCTION pg_temp.msg(v text) RETURNS text LANGUAGE sql AS $$ SELECT format('run %s %s', r.campaign_run_id, pg_temp.id(v)) FROM cdp_data.campaign_run r WHERE r.name = 'spring' $$;
CREATE FUNCTION pg_temp.may(v text, channel text DEFAULT 'email') RETURNS boolean LANGUAGE sql AS $$ SELECT cdp.consent_allowed(pg_temp.id(v), 'marketing', channel) $$;
CREATE FUNCTION pg_temp.kinds(v text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(k.name, ' ' ORDER BY t.occurred_at, k.name) FROM cdp_data.touchpoint t JOIN cdp_data.touch_kind_all k USING (kind_id) WHERE t.customer_id = pg_temp.id(v) AND t.properties ->> 'campaign_run' = 'spring' $$;
SELECT count(*) FROM generate_series(1, 30) i, cdp.identify('shop', jsonb_build_object('user_id', 'u' || i, 'email', 'u' || i || '@example.org'), '{"city": "Xian"}', '2026-05-01') x;
SELECT count(*) FROM generate_series(1, 30) i, unnest('{email,sms}'::text[]) c, cdp.record_consent('shop', 'marketing', 'granted', jsonb_build_object('email', 'u' || i || '@example.org'), channel => c, effective_at => '2026-05-02') x;
SELECT cdp.create_segment('xian', 'city = ''Xian''', 'marketing', 'email'), cdp.add_destination('mailer', 'marketing', 'email');
INSERT INTO cdp_data.campaign (name) VALUES ('spring sale');
SELECT cdp.segment_tick();
SELECT cdp.create_campaign_run('spring', 'xian', 'mailer', goal_kinds => '{purchase}', campaign => 'spring sale');
SELECT cdp.launch_campaign_run('spring');

-- By calls.
SELECT results_eq($$SELECT result, customer_id, withdrawn FROM cdp.record_feedback('mailer', 'open', pg_temp.msg('u1'), occurred_at => '2026-11-01 10:00+00')$$, $$VALUES ('written', pg_temp.id('u1'), false)$$, 'an open by the key of its message');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'open', pg_temp.msg('u1'), occurred_at => '2026-11-01 10:00+00')), 'repeated', 'once');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'open', pg_temp.msg('u1'), occurred_at => '2026-11-01 10:05+00')), 'written', 'another time again');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'Email Click', run => 'spring', identifiers => '{"email": "u1@example.org"}', occurred_at => '2026-11-01 10:06+00', properties => '{"url": "x"}', message_id => 'e1')), 'written', 'a click by run and identifier');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'click', run => 'spring', identifiers => '{"email": "u1@example.org"}', occurred_at => '2026-11-01 11:00+00', message_id => 'e1')), 'repeated', 'its message_id once');
SELECT is(pg_temp.kinds('u1'), 'email_open email_open email_click', 'they are touchpoints');
SELECT results_eq($$SELECT concat_ws(' ', o.source, o.medium, o.campaign, c.name) COLLATE "default", t.properties FROM cdp_data.touchpoint t JOIN cdp_data.origin o USING (origin_id) JOIN cdp_data.campaign c USING (campaign_id) WHERE t.kind_id = 8$$,
  $$VALUES ('mailer email spring sale spring sale', '{"url": "x", "campaign_run": "spring"}'::jsonb)$$, 'with the run''s campaign, which they earn credit for');
SELECT throws_ok($$SELECT cdp.record_feedback('mailer', 'opend', pg_temp.msg('u1'))$$, '22023', 'unknown kind of feedback "opend"', 'an unknown kind');
SELECT throws_ok($$SELECT cdp.record_feedback('mailer', 'open')$$, '22023', NULL, 'neither message nor run');
SELECT throws_ok($$SELECT cdp.record_feedback('mailer', 'open', run => 'spring')$$, '22023', NULL, 'of nobody');
SELECT throws_ok($$SELECT cdp.record_feedback('nobody', 'open', pg_temp.msg('u1'))$$, '22023', NULL, 'of no source');

-- An unsubscribe withdraws the purpose on the channel, at once and once.
SELECT results_eq($$SELECT result, withdrawn FROM cdp.record_feedback('mailer', 'unsubscribe', pg_temp.msg('u2'))$$, $$VALUES ('written', true)$$, 'an unsubscribe');
SELECT is(pg_temp.may('u2') || ' ' || pg_temp.may('u2', 'sms'), 'false true', 'holds on the channel of the run');
SELECT is((SELECT state FROM cdp_data.outbox WHERE dedup_key = pg_temp.msg('u2')), 'cancelled', 'and cancels what waits');
SELECT is((SELECT evidence - 'touchpoint_id' FROM cdp.consent_history('user_id', 'u2') WHERE status = 'withdrawn' LIMIT 1), '{"kind": "unsubscribe", "campaign_run": "spring"}', 'the touchpoint is the evidence');
SELECT cdp.record_feedback('mailer', 'complaint', pg_temp.msg('u3'));
SELECT is(pg_temp.may('u3'), false, 'a complaint says the same');
-- Late: before a newer grant it changes nothing, and a repeated one nothing twice.
SELECT cdp.record_consent('shop', 'marketing', 'granted', '{"email": "u4@example.org"}', channel => 'email', effective_at => '2026-11-10');
SELECT cdp.record_feedback('mailer', 'unsubscribe', pg_temp.msg('u4'), occurred_at => '2026-11-09');
SELECT is(pg_temp.may('u4'), true, 'an unsubscribe that comes late does not outweigh a newer grant');
SELECT cdp.record_feedback('mailer', 'unsubscribe', pg_temp.msg('u4'), occurred_at => '2026-11-11');
SELECT count(*) AS ledger FROM cdp_data.consent \gset
SELECT cdp.record_feedback('mailer', 'unsubscribe', pg_temp.msg('u4'), occurred_at => '2026-11-11');
SELECT is(pg_temp.may('u4') || ' ' || (SELECT count(*) - :ledger FROM cdp_data.consent), 'false 0', 'a newer one does, once');

-- What names no run, or no message, waits in quarantine and is told.
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'unsubscribe', run => 'sprng', identifiers => '{"email": "u5@example.org"}', occurred_at => '2026-11-12', message_id => 'q1')), 'unknown', 'an unknown run');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'open', 'run 99 1')), 'unknown', 'an unknown message');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'open', 'something else')), 'unknown', 'what is no message');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'unsubscribe', run => 'sprng', identifiers => '{"email": "u5@example.org"}', occurred_at => '2026-11-12', message_id => 'q1')), 'unknown', 'told again');
SELECT is((SELECT string_agg(code || ' ' || coalesce(original ->> 'messageId', '-'), ', ' ORDER BY quarantine_id) FROM cdp_data.quarantine), 'unknown_run q1, unknown_run -, unknown_run -', 'each once in quarantine');
UPDATE cdp_data.quarantine SET original = jsonb_set(original, '{properties,campaign_run}', '"spring"') WHERE original ->> 'messageId' = 'q1';
SELECT is((SELECT written || ' ' || refused FROM cdp.retry_messages((SELECT load_id FROM cdp_data.quarantine LIMIT 1))), '1 2', 'mended and tried again');
SELECT is(pg_temp.may('u5'), true, 'the touchpoint is there');
SELECT results_eq($$SELECT action, n FROM cdp.advance_campaign_runs() WHERE run IS NULL$$, $$VALUES ('withdrawn', 1::bigint)$$, 'and the job acts upon it');
SELECT is(pg_temp.may('u5'), false, 'who unsubscribed is not spoken to');
SELECT is_empty($$SELECT * FROM cdp.advance_campaign_runs() WHERE run IS NULL$$, 'once');

-- By items.
SELECT results_eq($$SELECT * FROM cdp.load_feedback('mailer', jsonb_build_array(
    jsonb_build_object('kind', 'delivered', 'message', pg_temp.msg('u6'), 'occurred_at', '2026-11-02T10:00:00Z'),
    jsonb_build_object('kind', 'open', 'message', pg_temp.msg('u6'), 'occurred_at', '2026-11-02T11:00:00Z'),
    jsonb_build_object('kind', 'open', 'message', pg_temp.msg('u6'), 'occurred_at', '2026-11-02T11:00:00Z'),
    jsonb_build_object('kind', 'unsubscribe', 'run', 'spring', 'identifiers', jsonb_build_object('email', 'u7@example.org'), 'occurred_at', '2026-11-02T11:00:00Z'),
    jsonb_build_object('kind', 'open', 'message', 'run 99 1', 'occurred_at', '2026-11-02T11:00:00Z'),
    jsonb_build_object('kind', 'opn', 'message', pg_temp.msg('u6')), jsonb_build_object('kind', 'open', 'message', pg_temp.msg('u6'), 'occurred_at', 'some day'), jsonb_build_object('kind', 'open'), '7'::jsonb))$$,
  $$VALUES (9::bigint, 3::bigint, 1::bigint, 1::bigint, 0::bigint, 5::bigint)$$, 'many items, each for itself');
SELECT set_eq($$SELECT code, count(*) FROM cdp_data.quarantine WHERE retried_by_load IS NULL GROUP BY 1$$, $$VALUES ('unknown_run', 1::bigint), ('bad_time', 1), ('bad_message', 5)$$, 'what could not be taken has its reason');
SELECT is(pg_temp.may('u7'), false, 'an unsubscribe among them holds');
SELECT throws_ok($$SELECT cdp.load_feedback('mailer', '{}')$$, '22023', NULL, 'no array');

-- By a load, with the property campaign_run: the next run of the job acts.
CREATE TABLE public.st (source_key text, occurred_at timestamptz, identifier_type text, identifier text, kind text, source text, medium text, properties jsonb);
INSERT INTO public.st VALUES ('l1', '2026-11-03', 'email', 'u8@example.org', 'unsubscribe', 'mailer', 'email', '{"campaign_run": "spring"}'), ('l2', '2026-11-03', 'email', 'u9@example.org', 'unsubscribe', 'mailer', 'email', '{"campaign_run": "summer"}'),
  ('l3', '2026-11-03', 'email', 'u10@example.org', 'bounce', 'mailer', 'email', '{"campaign_run": "spring", "bounce": "hard"}'), ('l4', '2026-11-03', 'email', 'u11@example.org', 'bounce', 'mailer', 'email', '{"campaign_run": "spring", "bounce": "soft"}'),
  ('l5', '2026-11-03', 'email', 'u12@example.org', 'unsubscribe', 'mailer', 'email', NULL);
SELECT load_id AS load FROM cdp.load_touchpoints('mailer', 'public.st') \gset
SELECT is(pg_temp.may('u8'), true, 'not yet');
SELECT results_eq($$SELECT action, n FROM cdp.advance_campaign_runs() WHERE run IS NULL$$, $$VALUES ('addresses', 1::bigint), ('unknown_run', 1), ('withdrawn', 1)$$, 'the job acts upon what a load brought');
SELECT is(pg_temp.may('u8') || ' ' || pg_temp.may('u9') || ' ' || pg_temp.may('u12'), 'false true true', 'an unsubscribe of a known run withdraws');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'feedback_unknown_run'), 1::bigint, 'of an unknown one health tells');
SELECT cdp.create_campaign_run('summer', 'xian', 'mailer');
SELECT results_eq($$SELECT action, n FROM cdp.advance_campaign_runs() WHERE run IS NULL$$, $$VALUES ('withdrawn', 1::bigint)$$, 'until a run of that name is there');
SELECT is(pg_temp.may('u9')::text || (SELECT count(*) FROM cdp_data.campaign_stray), 'false0', 'then it holds');

-- Addresses that bounce.
SELECT is(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u10')), format('nothing arrives at customer %s by email', pg_temp.id('u10')), 'who bounced for good gets no message of a run');
SELECT is(cdp.outbox_refusal('mailer', 'receipt', pg_temp.id('u10')), NULL, 'others are not stopped');
SELECT is(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u11')), NULL, 'a soft bounce changes nothing');
SELECT cdp.identify('shop', '{"user_id": "u10", "email": "other10@example.org"}');
SELECT is(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u10')), NULL, 'who has another address is reached there');
SELECT cdp.edit_campaign_run('summer', '{"segment": "xian", "destination": "mailer"}'), cdp.launch_campaign_run('summer');
SELECT is((SELECT payload -> 'identifiers' FROM cdp_data.outbox WHERE customer_id = pg_temp.id('u10') AND payload ->> 'campaign_run' = 'summer'), '{"email": ["other10@example.org"]}', 'and only there');
SELECT cdp.record_feedback('mailer', 'bounce', pg_temp.msg('u13'), occurred_at => '2026-11-04', properties => '{"bounce": "hard"}');
SELECT ok(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u13')) IS NOT NULL, 'a bounce by a call holds at once');
SELECT cdp.record_feedback('mailer', 'open', pg_temp.msg('u13'), occurred_at => '2026-11-03');
SELECT ok(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u13')) IS NOT NULL, 'what arrived before it does not matter');
SELECT cdp.record_feedback('mailer', 'delivered', pg_temp.msg('u13'), occurred_at => '2026-11-05');
SELECT is(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u13')), NULL, 'what arrived after it ends it');
SELECT cdp.record_feedback('mailer', 'delivered', pg_temp.msg('u14'), occurred_at => '2026-11-05'), cdp.record_feedback('mailer', 'bounce', pg_temp.msg('u14'), occurred_at => '2026-11-04', properties => '{"bounce": "hard"}');
SELECT is(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u14')), NULL, 'in whatever order they are told');
SELECT cdp.identify('shop', '{"user_id": "u15", "email": "other15@example.org"}');
SELECT cdp.record_feedback('mailer', 'bounce', pg_temp.msg('u15'), occurred_at => '2026-11-04', properties => '{"bounce": "hard"}');
SELECT is((SELECT count(*) FROM cdp_data.channel_bounce b JOIN cdp_data.identifier i USING (identifier_id) WHERE i.value LIKE '%15@%'), 0::bigint, 'of two addresses nobody can tell which it was');
-- One message and many are judged alike.
SELECT is_empty($$SELECT c.customer_id FROM (SELECT array_agg(customer_id ORDER BY customer_id) AS ids FROM cdp_data.customer) a,
  unnest(a.ids, cdp_internal.outbox_refusals('mailer', 'campaign', a.ids, array_fill('{}'::jsonb, ARRAY[cardinality(a.ids)]))) AS c (customer_id, reason) WHERE c.reason IS DISTINCT FROM cdp.outbox_refusal('mailer', 'campaign', c.customer_id)$$, 'one message and many are refused alike');
SELECT cdp.revert_load(:load);
SELECT cdp.advance_campaign_runs();
SELECT is((SELECT count(*) FROM cdp_data.channel_bounce b JOIN cdp_data.identifier i USING (identifier_id) WHERE i.value = 'u10@example.org') || ' ' || pg_temp.may('u8'), '0 false', 'a reverted load takes its bounces along, not what people said');

-- People merged since, and people erased.
SELECT cdp.identify('shop', '{"email": "w@example.org"}');
SELECT cdp.link_identifiers((SELECT identifier_id FROM cdp_data.identifier WHERE value = 'w@example.org'), (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'u16@example.org'), 'one person');
SELECT is((SELECT customer_id FROM cdp.record_feedback('mailer', 'unsubscribe', pg_temp.msg('u16'))), cdp.customer_of('email', 'w@example.org'), 'a message finds who he is now');
SELECT is((SELECT count(*) FROM cdp.consent_history('email', 'w@example.org') WHERE status = 'withdrawn'), 1::bigint, 'and the withdrawal is under all his identifiers');
SELECT pg_temp.msg('u17') AS msg17, pg_temp.id('u17') AS id17 \gset
SELECT cdp.erase_customer(:id17) IS NOT NULL AS erased;
SELECT is((SELECT count(*) FROM cdp_data.campaign_exposure WHERE customer_id = :id17), 0::bigint, 'who is erased was in no run');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'open', run => 'spring', identifiers => '{"email": "u17@example.org"}')), 'suppressed', 'feedback of his is not kept');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'open', :'msg17')), 'unknown', 'his message is not known');

-- A bounce that named a run which came later takes effect, too; feedback on a draft whose purpose is unknown stops nothing else.
INSERT INTO public.st VALUES ('m1', '2026-11-06', 'email', 'u18@example.org', 'bounce', 'mailer', 'email', '{"campaign_run": "autumn", "bounce": "hard"}'), ('m2', '2026-11-06', 'email', 'u19@example.org', 'unsubscribe', 'mailer', 'email', '{"campaign_run": "odd"}'),
  ('m3', '2026-11-06', 'email', 'u20@example.org', 'unsubscribe', 'mailer', 'email', '{"campaign_run": "spring"}'), ('m4', '2026-11-06', 'user_id', 'u23', 'bounce', 'mailer', 'email', '{"campaign_run": "spring", "bounce": "hard"}'),
  ('m5', '2026-11-06', 'user_id', 'u24', 'bounce', 'mailer', 'email', '{"campaign_run": "spring", "bounce": "hard"}');
DELETE FROM public.st WHERE source_key LIKE 'l%';
SELECT cdp.create_campaign_run('odd', purpose => 'nothing known'), cdp.identify('shop', '{"user_id": "u23", "email": "other23@example.org"}');
SELECT count(*) FROM cdp.load_touchpoints('mailer', 'public.st');
SELECT set_eq($$SELECT action, n FROM cdp.advance_campaign_runs() WHERE run IS NULL$$, $$VALUES ('withdrawn', 1::bigint), ('addresses', 2), ('unknown_run', 2)$$, 'a run of no known purpose is an unknown one');
SELECT is(pg_temp.may('u19') || ' ' || pg_temp.may('u20'), 'true false', 'what can be acted upon is');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'unsubscribe', run => 'odd', identifiers => '{"email": "u19@example.org"}')), 'unknown', 'for calls, too');
SELECT cdp.create_campaign_run('autumn', 'xian', 'mailer');
SELECT results_eq($$SELECT action, n FROM cdp.advance_campaign_runs() WHERE run IS NULL$$, $$VALUES ('addresses', 1::bigint)$$, 'the bounce takes effect when its run is there');
SELECT ok(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u18')) IS NOT NULL, 'then nothing goes to that address');

-- Which address it was.
SELECT is(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u23')), NULL, 'a bounce that names no address tells nothing of who has two');
SELECT ok(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u24')) IS NOT NULL, 'of who has one it does');
SELECT cdp.identify('shop', '{"user_id": "u25", "email": "other25@example.org"}');
SELECT cdp.record_feedback('mailer', 'bounce', run => 'spring', identifiers => '{"user_id": "u25", "email": "u25@example.org"}', occurred_at => '2026-11-07', properties => '{"bounce": "hard"}');
SELECT is((SELECT string_agg(i.value, ' ') FROM cdp_data.channel_bounce b JOIN cdp_data.identifier i USING (identifier_id) WHERE i.customer_id = pg_temp.id('u25')), 'u25@example.org', 'of several identifiers the address is meant');
SELECT cdp.record_feedback('mailer', 'bounce', run => 'spring', identifiers => '{"user_id": "u25", "email": "other25@example.org"}', occurred_at => '2026-11-07', properties => '{"bounce": "hard"}');
SELECT ok(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u25')) IS NOT NULL, 'when both have bounced nothing is left');
SELECT cdp.record_feedback('mailer', 'delivered', run => 'spring', identifiers => '{"user_id": "u25", "email": "other25@example.org"}', occurred_at => '2026-11-08');
SELECT is(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u25')), NULL, 'until something arrives at one');
SELECT cdp.record_feedback('mailer', 'bounce', run => 'spring', identifiers => '{"email": ["u26@example.org", "other26@example.org"]}', occurred_at => '2026-11-07', properties => '{"bounce": "hard"}');
SELECT is(cdp.outbox_refusal('mailer', 'campaign', pg_temp.id('u26')), NULL, 'of two addresses in one word nobody can tell which it was');
SELECT cdp.identify('shop', '{"user_id": "wx", "openid": "oABCDEFGHIJKLMNOPQRST", "unionid": "uABCDEFGHIJKLMNOPQRST"}');
INSERT INTO cdp_data.channel_bounce (identifier_id, channel, bounced_at) SELECT i.identifier_id, 'wechat', now() FROM cdp_data.identifier i WHERE i.value = 'oABCDEFGHIJKLMNOPQRST';
SELECT is((SELECT count(*) FROM cdp_internal.unreachable('wechat', ARRAY[pg_temp.id('wx')])), 0::bigint, 'who has an address of another type on the channel is reached there');
SELECT is_empty($$SELECT c.customer_id FROM (SELECT array_agg(customer_id ORDER BY customer_id) AS ids FROM cdp_data.customer) a,
  unnest(a.ids, cdp_internal.outbox_refusals('mailer', 'campaign', a.ids, array_fill('{}'::jsonb, ARRAY[cardinality(a.ids)]))) AS c (customer_id, reason) WHERE c.reason IS DISTINCT FROM cdp.outbox_refusal('mailer', 'campaign', c.customer_id)$$, 'one message and many are still refused alike');

-- Who got the message is another than whom the identifiers name: both mean it.
SELECT cdp.record_consent('shop', 'marketing', 'granted', '{"email": "friend@example.org"}', channel => 'email', effective_at => '2026-05-02');
SELECT is((SELECT withdrawn FROM cdp.record_feedback('mailer', 'unsubscribe', pg_temp.msg('u22'), identifiers => '{"email": "friend@example.org"}', message_id => 'f1')), true, 'a forwarded message');
SELECT is(pg_temp.may('u22') || ' ' || cdp.consent_allowed(cdp.customer_of('email', 'friend@example.org'), 'marketing', 'email'), 'false false', 'neither is written to again');
SELECT is((SELECT result || ' ' || withdrawn FROM cdp.record_feedback('mailer', 'unsubscribe', pg_temp.msg('u22'), identifiers => '{"email": "friend@example.org"}', message_id => 'f1')), 'repeated false', 'once');

-- Exposures past their retention: a late unsubscribe still holds.
SELECT format('run %s %s', campaign_run_id, pg_temp.id('u21')) AS late FROM cdp_data.campaign_run WHERE name = 'summer' \gset
UPDATE cdp_data.campaign_run SET state = 'finished', finished_at = now() - interval '1 year' WHERE name = 'summer';
UPDATE cdp_data.setting SET exposure_retention = '90 days';
CALL cdp_internal.maintain_room_run();
SELECT is((SELECT count(*) FROM cdp_data.campaign_exposure e JOIN cdp_data.campaign_run r USING (campaign_run_id) WHERE r.name = 'summer'), 0::bigint, 'exposures of a run long over are gone');
SELECT is((SELECT result || ' ' || withdrawn FROM cdp.record_feedback('mailer', 'unsubscribe', :'late')), 'written true', 'an unsubscribe from it is not lost');
SELECT is(pg_temp.may('u21'), false, 'and holds');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'unsubscribe', regexp_replace(:'late', '\d+$', '4000000'))), 'unknown', 'of nobody there is none');
SELECT cdp.identify('shop', '{"user_id": "never"}');
SELECT is((SELECT result FROM cdp.record_feedback('mailer', 'unsubscribe', pg_temp.msg('never'))), 'unknown', 'nor of who got no message of a run whose exposures are kept');
SELECT * FROM finish();
