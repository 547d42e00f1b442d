-- Who is told of a referral campaign: once each, by his language and the weights, with a code of his own; who may not be told is kept with
-- the reason; what failed is tried again with growing pauses; reports of the channel end in the same in any order; pause, end, merges,
-- erasure, retention. Commits, so without a transaction around.
SELECT plan(111);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
CREATE FUNCTION pg_temp.id(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('user_id', v) $$;
CREATE FUNCTION pg_temp.states(name text DEFAULT 'bring', channel text DEFAULT 'email') RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(n || ' ' || state, ', ' ORDER BY state) FROM (SELECT d.state, count(*) AS n FROM cdp_data.referral_distribution d JOIN cdp_data.referral_campaign c USING (referral_campaign_id) WHERE c.name = states.name AND d.channel = states.channel GROUP BY 1) x $$;
SELECT count(*) FROM generate_series(1, 200) i, cdp.identify('shop', jsonb_build_object(CASE WHEN i = 21 THEN 'cookie' ELSE 'user_id' END, 'u' || i, 'email', 'u' || i || '@example.org'),
  jsonb_build_object('city', CASE WHEN i <= 160 THEN 'Xian' ELSE 'Rome' END, 'language', (ARRAY['zh-CN', 'zh_TW', 'en', 'de-AT', 'fr'])[1 + i % 5], 'first_name', '{code} of ' || i), '2026-05-01') x;
SELECT count(*) FROM generate_series(1, 150) i, cdp.record_consent('shop', 'marketing', 'granted', jsonb_build_object('email', 'u' || i || '@example.org'), channel => 'email') x;
SELECT count(*) FROM generate_series(1, 150) i, cdp.record_consent('shop', 'marketing', 'granted', jsonb_build_object('email', 'u' || i || '@example.org'), channel => 'sms') x WHERE i % 2 = 0;
SELECT cdp.create_segment('xian', 'city = ''Xian''', 'marketing', 'email'), cdp.create_segment('serve', 'city = ''Xian''', 'service');
SELECT cdp.segment_tick();
SELECT cdp.add_destination('mailer', 'marketing', 'email', attributes => '{first_name}'), cdp.add_destination('plain', 'marketing', 'email'), cdp.add_destination('texter', 'marketing', 'sms'), cdp.add_destination('desk', 'service', 'email');
SELECT cdp.refresh_profiles() IS NOT NULL;
SELECT cdp.create_referral_campaign('bring', 'xian', '{email,sms}', 'https://shop.example/r/{code}', ends_at => '2099-01-01') AS bring \gset
SELECT cdp.set_referral_terms('bring', rules => '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}, {"rule": "b", "side": "referrer", "trigger": "signup", "shape": "flat", "amount": 1, "priority": 200}]');

-- Nothing goes before everything is ready.
CREATE FUNCTION pg_temp.why(call text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE call; RETURN 'done'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
SELECT is(pg_temp.why($$SELECT cdp.distribute_referral('bring', 'email', 'mailer')$$), '55000 referral campaign "bring" can not be distributed: it is draft', 'not a draft');
SELECT cdp.activate_referral_campaign('bring');
SELECT is(pg_temp.why($$SELECT cdp.distribute_referral('bring', 'email', 'mailer')$$), '55000 referral campaign "bring" can not be distributed: no material is approved for the channel', 'not without a text');
SELECT throws_ok($$SELECT cdp.add_referral_material('bring', 'fax', 'x {code}')$$, '22023', NULL, 'no text for another channel');
SELECT throws_ok(format($$SELECT cdp.add_referral_material('bring', 'email', 'x {code}', 't', %s)$$, v), '22023', NULL, 'bad material ' || v) FROM unnest(ARRAY['''english please''', '''en'', ''''', '''en'', ''a'', -1', '''en'', ''a'', ''NaN''', '''en'', ''a'', NULL']) v;
SELECT is((SELECT string_agg(severity || ' ' || code, ', ') FROM cdp_internal.referral_findings_of_text(v.channel, v.title, v.body, 'https://x/{code}', true)), v.finds, v.channel || ': ' || v.body) FROM (VALUES
  ('email', 't', 'hello {name}: {link}, {reward}', NULL), ('email', '', 'x {code}', 'error no_title'), ('sms', '', '', 'error no_text, error no_variable'), ('sms', '', 'hello', 'error no_variable'), ('sms', '', '{cod} {link}', 'error variable'), ('sms', '', '{code', 'error brace, error no_variable'),
  ('sms', '', '{code} }', 'error brace'), ('sms', '', '{{code}}', 'error brace'), ('sms', '', '{Code} {code}', 'error variable'), ('sms', '', '{code}' || repeat('x', 160), 'warning long'), ('wecom', '', '{link} {reward}', 'warning wechat_reward')) AS v (channel, title, body, finds);
SELECT is((SELECT string_agg(code, ', ') FROM cdp_internal.referral_findings_of_text('sms', '', '{link} {reward}', '', false)), 'no_link_template, no_reward_text', 'variables that mean nothing in the campaign');
SELECT cdp.add_referral_material('bring', 'email', 'Hi {name}: {link} {code} {reward}', 'Bring', '', 'a', 3) AS m1, cdp.add_referral_material('bring', 'email', 'Ho {link}', 'Bring {name}', '', 'b', 1) AS m2, cdp.add_referral_material('bring', 'email', '给 {link}', '带来', 'zh') AS m3,
  cdp.add_referral_material('bring', 'email', '給 {link}', '帶來', 'zh-TW') AS m4, cdp.add_referral_material('bring', 'email', 'nix {lnk}', '', 'de') AS bad, cdp.add_referral_material('bring', 'sms', '{code}', language => 'en') AS m6 \gset
SELECT throws_ok(format($$SELECT cdp.approve_referral_material(%s)$$, :bad), '55000', NULL, 'what is wrong is not approved');
SELECT is(cdp.add_referral_material('bring', 'email', 'fein {link}', 'Hallo', 'DE'), :bad, 'a draft is replaced');
SELECT cdp.approve_referral_material(m) FROM unnest(ARRAY[:m1, :m2, :m3, :m4, :bad, :m6]) m;
SELECT throws_ok($$SELECT cdp.add_referral_material('bring', 'email', 'other {link}', 'x', 'de')$$, '55000', NULL, 'what is approved is not');
SELECT is((SELECT count(*) FROM cdp_data.referral_material WHERE approved_by = session_user AND approved_at IS NOT NULL), 6::bigint, 'who approved it is kept');
SELECT is(pg_temp.why(format('SELECT cdp.distribute_referral(''bring'', %L, %L)', v.channel, v.destination)), v.says, v.destination || ' on ' || v.channel) FROM (VALUES ('fax', 'mailer', '22023 referral campaign "bring" is not spread on channel "fax"'), ('email', 'maler', '42704 there is no destination named "maler"'),
  ('email', 'desk', '55000 referral campaign "bring" can not be distributed: destination "desk" is for the purpose service, the campaign for the purpose marketing'), ('sms', 'mailer', '55000 referral campaign "bring" can not be distributed: destination "mailer" speaks on the channel email')) AS v (channel, destination, says);

-- Each of the audience once.
UPDATE cdp_data.setting SET referral_retry_after = '2 hours', referral_attempts = 3;
SELECT results_eq($$SELECT audience, queued, suppressed, control, known FROM cdp.distribute_referral('bring', 'email', 'mailer')$$, $$VALUES (150::bigint, 150::bigint, 10::bigint, 0::bigint, 0::bigint)$$, 'who allows it is told, who does not is kept with the reason');
SELECT is((SELECT string_agg(DISTINCT error, '; ') FROM cdp_data.referral_distribution WHERE state = 'suppressed'), 'no consent of the customer to marketing by email', 'without a number of a customer');
SELECT results_eq($$SELECT audience, queued, suppressed, control, known FROM cdp.distribute_referral('bring', 'email', 'mailer')$$, $$VALUES (150::bigint, 0::bigint, 10::bigint, 0::bigint, 150::bigint)$$, 'told again it writes nothing twice');
SELECT is((SELECT count(*) || ' ' || count(DISTINCT o.dedup_key) || ' ' || count(DISTINCT d.referral_code_id) FROM cdp_data.outbox o JOIN cdp_data.referral_distribution d USING (outbox_id)), '150 150 150', 'a message and a code each');
SELECT is_empty($$SELECT d.customer_id FROM cdp_data.referral_distribution d JOIN cdp_data.outbox o USING (outbox_id) JOIN cdp_data.referral_code k USING (referral_code_id)
  WHERE (o.customer_id, o.kind, o.destination, k.customer_id, d.attempts, d.destination) IS DISTINCT FROM (d.customer_id, 'referral', 'mailer', d.customer_id, 1, 'mailer') OR o.dedup_key <> format('referral %s email %s 1', d.referral_campaign_id, d.customer_id) OR o.payload ->> 'message' <> o.dedup_key$$, 'each with its own');
-- A twin of languages and of the draw in plain words.
SELECT is_empty(format($$SELECT d.customer_id, m.language FROM cdp_data.referral_distribution d JOIN cdp_data.referral_material m USING (referral_material_id) JOIN cdp_data.profile p USING (customer_id)
  WHERE d.state = 'queued' AND m.language <> CASE p.language WHEN 'zh-CN' THEN 'zh' WHEN 'zh_TW' THEN 'zh-tw' WHEN 'de-AT' THEN 'de' ELSE '' END$$), 'the nearest language');
SELECT is_empty(format($$SELECT d.customer_id, d.variant FROM cdp_data.referral_distribution d JOIN cdp_data.referral_material m USING (referral_material_id),
    LATERAL (SELECT sha256(int8send(('x' || substr(md5('%s email'), 1, 16))::bit(64)::bigint) || int8send(d.customer_id)) AS h) s WHERE d.state = 'queued' AND m.language = ''
    AND d.variant <> CASE WHEN (SELECT sum(get_byte(s.h, i) * 256::numeric ^ (5 - i)) FROM generate_series(0, 5) i) * 4 < 3 * 256::numeric ^ 6 THEN 'a' ELSE 'b' END$$, :bring), 'the draw by weight');
SELECT is((SELECT count(DISTINCT d.variant) FROM cdp_data.referral_distribution d JOIN cdp_data.referral_material m USING (referral_material_id) WHERE m.language = '' AND d.state = 'queued'), 2::bigint, 'both variants are used');
SELECT is_empty($$SELECT o.payload FROM cdp_data.outbox o JOIN cdp_data.referral_distribution d USING (outbox_id) JOIN cdp_data.referral_code k USING (referral_code_id) JOIN cdp_data.referral_material m USING (referral_material_id) JOIN cdp_data.profile p ON p.customer_id = d.customer_id
  WHERE m.referral_material_id = (SELECT min(referral_material_id) FROM cdp_data.referral_material) AND o.payload ->> 'body' <> format('Hi %s: https://shop.example/r/%s %s 10.00 CNY', p.first_name, k.code, cdp.referral_code_format(k.code))$$, 'the variables are filled in, and a name that looks like one stays a name');
SELECT is((SELECT count(*) FROM cdp_data.outbox o WHERE o.payload -> 'identifiers' ->> 'email' IS NULL OR o.payload ->> 'code' IS NULL), 0::bigint, 'with address and code');
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE detail ->> 'op' = 'distribute'), 1::bigint, 'one line in the audit');

-- Consent that changes: given later, taken away before it goes.
SELECT result FROM cdp.record_consent('shop', 'marketing', 'granted', '{"email": "u151@example.org"}', channel => 'email');
SELECT result, cancelled FROM cdp.record_consent('shop', 'marketing', 'withdrawn', '{"email": "u1@example.org"}', channel => 'email');
SELECT result FROM cdp.record_consent('shop', 'analytics', 'withdrawn', '{"email": "u2@example.org"}');
SELECT is((SELECT string_agg(DISTINCT state, ' ') FROM cdp_data.outbox WHERE customer_id IN (pg_temp.id('u1'), pg_temp.id('u2'))), 'cancelled', 'who withdraws is not told any more');
SELECT is((SELECT string_agg(campaign || ' ' || action || ' ' || n, ', ') FROM cdp.advance_referral_campaigns()), 'bring sync 2', 'the job notes it');
SELECT is(pg_temp.states(), '148 queued, 12 suppressed', 'as suppressed');
SELECT results_eq($$SELECT queued, suppressed FROM cdp.distribute_referral('bring', 'email', 'mailer')$$, $$VALUES (1::bigint, 10::bigint)$$, 'who allows it since is told');
SELECT is((SELECT array_agg(attempts ORDER BY attempts) FROM cdp_data.referral_distribution WHERE customer_id IN (pg_temp.id('u151'), pg_temp.id('u152'), pg_temp.id('u1'))), '{0,1,1}', 'attempts are messages');
SELECT results_eq($$SELECT audience, queued, suppressed, known FROM cdp.distribute_referral('bring', 'sms', 'texter')$$, format('VALUES (%s::bigint, %s::bigint, %s::bigint, 0::bigint)', a.n, e.n, s.n - e.n), 'by another channel: only who allows it there, and only in the language that is there')
FROM (SELECT count(*) AS n FROM cdp.segment_audience('xian', 'sms')) a, (SELECT count(*) AS n FROM cdp.segment_audience('xian', 'sms') x JOIN cdp_data.profile p ON p.customer_id = x WHERE p.language = 'en') e, (SELECT count(*) AS n FROM cdp_internal.segment_bits((SELECT segment_id FROM cdp_data.segment WHERE name = 'xian')) b, cdp.roaring_ids(b) m WHERE m <> pg_temp.id('u2')) s;
SELECT is((SELECT count(*) FROM cdp_data.referral_distribution WHERE channel = 'sms' AND error = 'nothing is approved in a language of the customer') > 0, true, 'with the reason');
SELECT is((SELECT count(DISTINCT d.referral_code_id) FROM cdp_data.referral_distribution d JOIN cdp_data.referral_distribution e USING (customer_id, referral_campaign_id) WHERE d.channel = 'sms' AND e.channel = 'email' AND d.referral_code_id IS NOT NULL AND d.referral_code_id <> e.referral_code_id), 0::bigint, 'with the code that he has');

-- What the outbox says, and trying again.
SELECT outbox_id AS one FROM cdp.outbox_take('mailer', 1) \gset
SELECT outbox_id AS two FROM cdp.outbox_take('mailer', 1) \gset
SELECT cdp.outbox_sent(:one), cdp.outbox_failed(:two, 'mailbox of somebody is full', false);
SELECT is((SELECT string_agg(action || ' ' || n, ', ') FROM cdp.advance_referral_campaigns()), 'sync 2', 'two came back');
SELECT results_eq(format($$SELECT state, error, attempts, sent_at IS NOT NULL, next_try_at > now() + interval '119 minutes' AND next_try_at <= now() + interval '2 hours' FROM cdp_data.referral_distribution WHERE outbox_id IN (%s, %s) ORDER BY outbox_id$$, :one, :two),
  $$VALUES ('sent' COLLATE "C", NULL::text, 1, true, NULL::boolean), ('failed', 'mailbox of somebody is full', 1, false, true)$$, 'one was sent, one failed and is tried in two hours');
SELECT is_empty($$SELECT * FROM cdp.advance_referral_campaigns()$$, 'not before');
SELECT results_eq($$SELECT queued FROM cdp.distribute_referral('bring', 'email', 'mailer')$$, $$VALUES (0::bigint)$$, 'nor by being told again');
CREATE FUNCTION pg_temp.due() RETURNS void LANGUAGE sql AS $$ UPDATE cdp_data.referral_distribution SET next_try_at = now() - interval '1 second' WHERE next_try_at IS NOT NULL $$;
SELECT pg_temp.due();
SELECT is((SELECT string_agg(action || ' ' || n, ', ') FROM cdp.advance_referral_campaigns()), 'retry 1', 'then it is');
SELECT is((SELECT o.dedup_key LIKE '% 2' AND d.state = 'queued' AND d.attempts = 2 AND d.error IS NULL FROM cdp_data.referral_distribution d JOIN cdp_data.outbox o USING (outbox_id) WHERE d.customer_id = (SELECT customer_id FROM cdp_data.outbox WHERE outbox_id = :two) AND d.channel = 'email'), true, 'as a message of its own');
SELECT customer_id AS busy, outbox_id AS again FROM cdp_data.referral_distribution WHERE attempts = 2 \gset
UPDATE cdp_data.outbox SET state = 'failed', last_error = 'still full' WHERE outbox_id = :again;
SELECT cdp.advance_referral_campaigns();
SELECT is((SELECT next_try_at > now() + interval '239 minutes' FROM cdp_data.referral_distribution WHERE customer_id = :busy AND channel = 'email'), true, 'the pause doubles');
SELECT pg_temp.due();
SELECT cdp.advance_referral_campaigns();
UPDATE cdp_data.outbox o SET state = 'failed', last_error = NULL FROM cdp_data.referral_distribution d WHERE d.outbox_id = o.outbox_id AND d.customer_id = :busy AND d.channel = 'email';
SELECT cdp.advance_referral_campaigns();
SELECT results_eq(format($$SELECT state, error, attempts, next_try_at FROM cdp_data.referral_distribution WHERE customer_id = %s AND channel = 'email'$$, :busy), $$VALUES ('failed' COLLATE "C", 'it failed', 3, NULL::timestamptz)$$, 'after the third it is given up');
SELECT is((SELECT detail FROM cdp.health() WHERE finding = 'referral_undelivered'), '1 messages of referral campaign ''bring'' were given up', 'health tells');

-- Reports of the channel, in every order and twice, end in the same.
CREATE FUNCTION pg_temp.told(reports text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text; d record; key text;
BEGIN
  SELECT x.* INTO d FROM cdp_data.referral_distribution x WHERE x.customer_id = pg_temp.id('u10') AND x.channel = 'email';
  UPDATE cdp_data.referral_distribution x SET state = 'sent', error = NULL, next_try_at = NULL, delivered_at = NULL, sent_at = '2026-06-01' WHERE x.referral_distribution_id = d.referral_distribution_id;
  key := format('referral %s email %s 1', d.referral_campaign_id, d.customer_id);
  FOREACH r IN ARRAY reports LOOP PERFORM cdp.referral_delivery(key, split_part(r, ' ', 1), 'why', split_part(r, ' ', 2)::timestamptz); END LOOP;
  RETURN (SELECT concat_ws(' ', x.state, (x.delivered_at AT TIME ZONE 'UTC')::date, x.next_try_at IS NOT NULL) FROM cdp_data.referral_distribution x WHERE x.referral_distribution_id = d.referral_distribution_id);
END $$;
CREATE FUNCTION pg_temp.orders(reports text[]) RETURNS SETOF text[] LANGUAGE sql AS $$
  WITH RECURSIVE p AS (SELECT ARRAY[]::text[] AS done, reports AS rest UNION ALL SELECT p.done || p.rest[i], p.rest[:i - 1] || p.rest[i + 1:] FROM p, generate_subscripts(p.rest, 1) i) SELECT done FROM p WHERE rest = '{}' $$;
SELECT is((SELECT string_agg(DISTINCT pg_temp.told(o || o), ', ') FROM pg_temp.orders(v.reports) o), v.ends, array_to_string(v.reports, ', ')) FROM (VALUES ('{delivered 2026-06-03,delivered 2026-06-02,bounced 2026-06-04}'::text[], 'delivered 2026-06-02 f'), ('{failed 2026-06-03,bounced 2026-06-04}', 'failed f'), ('{failed 2026-06-03,failed 2026-06-03}', 'failed t'),
  ('{failed 2026-06-03,bounced 2026-06-04,delivered 2026-06-05,failed 2026-06-06}', 'delivered 2026-06-05 f')) AS v (reports, ends);
SELECT is(cdp.referral_delivery(v, 'delivered'), 'unknown', 'unknown: ' || coalesce(v, 'NULL')) FROM unnest(ARRAY['referral 1 email 1 9', 'referral 99 email 1 1', 'run 1 1', '', NULL]) v;
SELECT throws_ok($$SELECT cdp.referral_delivery('x', 'opened')$$, '22023', NULL, 'another report');
SELECT throws_ok($$SELECT cdp.referral_delivery('x', 'delivered', at => 'infinity')$$, '22008', NULL, 'no time at all');
SELECT is(cdp.referral_delivery(format('referral %s email %s 1', :bring, :busy), 'bounced'), 'repeated', 'of a message that was tried again since');
SELECT bag_eq(format($$SELECT * FROM cdp.load_referral_deliveries('[{"message": "referral %s email %s 1", "report": "delivered"}, {"message": "x", "report": "failed"}, {"message": "referral %1$s email %2$s 1", "report": "delivered"}]')$$, :bring, pg_temp.id('u11')), $$VALUES ('noted', 1::bigint), ('repeated', 1), ('unknown', 1)$$, 'many at once');
SELECT throws_ok($$SELECT * FROM cdp.load_referral_deliveries('{}')$$, '22023', NULL, 'that are no list');

SELECT is(cdp_internal.referral_reason(v.said), v.kept, 'kept of: ' || v.said) FROM (VALUES ('550 5.1.1 <ann.b+x@mail.example.org>: no mailbox', '550 5.1.1 <(address)>: no mailbox'), ('number +49 (151) 234-56789 is off', 'number (number) is off'),
  ('customer 42 refuses', 'the customer refuses'), ('openid oABCdefGHIjklMNOpqrSTUvwx12 unknown', 'openid (id) unknown'), ('error 421', 'error 421'), (repeat('x ', 400), left(repeat('x ', 400), 500))) AS v (said, kept);
SELECT results_eq($$SELECT language, variant, state, people FROM cdp_bi.referral_distribution WHERE referral_campaign = 'bring' AND channel = 'sms' AND state = 'queued'$$, $$SELECT 'en'::text COLLATE "C", 'a'::text COLLATE "C", 'queued'::text COLLATE "C", count(*) FROM cdp_data.referral_distribution WHERE channel = 'sms' AND state = 'queued'$$, 'the view counts people');
SELECT results_eq($$SELECT state, segment, channels, budget, terms_version FROM cdp_bi.referral_campaign$$, $$VALUES ('active' COLLATE "C", 'xian' COLLATE "C", '{email,sms}'::text[] COLLATE "C", NULL::numeric, 1)$$, 'campaigns have names');

-- Pause, going on, the end.
SELECT cdp.outbox_take('texter', 1) IS NOT NULL;
SELECT cdp.pause_referral_campaign('bring');
SELECT is_empty($$SELECT * FROM cdp.outbox_take('mailer', 10)$$, 'a pause holds what waits');
SELECT cdp.outbox_failed(outbox_id, 'busy') FROM cdp_data.outbox WHERE state = 'taken';
UPDATE cdp_data.outbox SET next_attempt_at = now() WHERE destination = 'texter' AND state = 'waiting' AND attempts > 0;
SELECT is_empty($$SELECT * FROM cdp.outbox_take('texter', 10)$$, 'also what a deliverer gives back');
SELECT throws_ok($$SELECT cdp.distribute_referral('bring', 'email', 'mailer')$$, '55000', NULL, 'and nobody is told');
SELECT cdp.resume_referral_campaign('bring');
SELECT is((SELECT count(*) FROM cdp.outbox_take('mailer', 5)), 5::bigint, 'it goes on');
SELECT cdp.link_identifiers((SELECT identifier_id FROM cdp_data.identifier WHERE value = 'u20'), (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'u21'), 'one person') IS NOT NULL;
SELECT results_eq($$SELECT queued FROM cdp.distribute_referral('bring', 'email', 'mailer')$$, $$VALUES (0::bigint)$$, 'who was merged is not told again');
SELECT is((SELECT count(*) || ' ' || (SELECT count(*) FROM cdp_data.referral_distribution d WHERE d.channel = 'email' AND d.referral_campaign_id = :bring AND cdp_internal.root_of(d.customer_id) = pg_temp.id('u20')) FROM cdp_internal.referral_told(:bring, 'email') WHERE root = pg_temp.id('u20')), '1 2', 'and counts once');
-- One of two parts failed: the person was told by the other one. Both failed: one of them is tried again.
CREATE FUNCTION pg_temp.parts(root bigint) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(d.state || ' ' || d.attempts, ', ' ORDER BY d.state, d.attempts) FROM cdp_data.referral_distribution d WHERE d.channel = 'email' AND d.referral_campaign_id = 1 AND cdp_internal.root_of(d.customer_id) = root $$;
SELECT (SELECT count(*) FROM cdp_data.outbox) AS messages \gset
UPDATE cdp_data.outbox o SET state = 'failed' FROM cdp_data.referral_distribution d WHERE d.outbox_id = o.outbox_id AND d.channel = 'email' AND cdp_internal.root_of(d.customer_id) = pg_temp.id('u20');
UPDATE cdp_data.referral_distribution d SET state = CASE u.n WHEN 1 THEN 'sent' ELSE 'failed' END, next_try_at = CASE u.n WHEN 2 THEN now() - interval '1 minute' END, attempts = 1
FROM (SELECT x.referral_distribution_id AS id, row_number() OVER (ORDER BY x.referral_distribution_id) AS n FROM cdp_data.referral_distribution x WHERE x.channel = 'email' AND x.referral_campaign_id = :bring AND cdp_internal.root_of(x.customer_id) = pg_temp.id('u20')) u WHERE u.id = d.referral_distribution_id;
SELECT cdp.advance_referral_campaigns();
SELECT is(pg_temp.parts(pg_temp.id('u20')), 'sent 1, suppressed 1', 'who was told as another one is not tried again');
SELECT is((SELECT error FROM cdp_data.referral_distribution WHERE state = 'suppressed' AND cdp_internal.root_of(customer_id) = pg_temp.id('u20') AND channel = 'email'), 'the customer was told as another one, with whom he is one now', 'and says why');
UPDATE cdp_data.referral_distribution SET state = 'failed', next_try_at = now() - interval '1 minute', error = 'busy' WHERE channel = 'email' AND referral_campaign_id = :bring AND cdp_internal.root_of(customer_id) = pg_temp.id('u20');
SELECT cdp.advance_referral_campaigns();
SELECT cdp.advance_referral_campaigns();
SELECT is(pg_temp.parts(pg_temp.id('u20')), 'queued 2, suppressed 1', 'of two that failed one is');
SELECT is((SELECT count(*) - :messages FROM cdp_data.outbox), 1::bigint, 'by one message');
SELECT cdp.end_referral_campaign('bring');
SELECT is((SELECT count(*) FROM cdp_data.outbox WHERE state = 'waiting'), 0::bigint, 'the end takes back what waits');
SELECT cdp.outbox_failed(outbox_id, 'busy') FROM cdp_data.outbox WHERE state = 'taken';
UPDATE cdp_data.outbox SET next_attempt_at = now() WHERE state = 'waiting';
SELECT is_empty($$SELECT * FROM cdp.outbox_take('mailer', 10)$$, 'and what comes back later');
SELECT cdp.advance_referral_campaigns();
SELECT is((SELECT count(*) FROM cdp_data.referral_distribution WHERE state = 'queued' OR next_try_at IS NOT NULL), 0::bigint, 'nothing is left open');

-- Holdout: the arms are kept where somebody was told, or kept back; past its end a campaign ends by itself.
SELECT cdp.create_holdout('half', 0.5), cdp.create_referral_campaign('held', 'serve', '{email}', 'https://shop.example/{code}', ends_at => now() + interval '1 hour', holdout => 'half');
SELECT cdp.set_referral_terms('held', rules => '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "percent", "rate": 0.125}]'), cdp.approve_referral_material(cdp.add_referral_material('held', 'email', '{code} {reward} {name}', 'x')), cdp.activate_referral_campaign('held');
SELECT * FROM cdp.distribute_referral('held', 'email', 'desk') \gset h_
SELECT is((:h_queued + :h_control)::bigint, (SELECT count(*) FROM cdp.segment_audience('serve')), 'everybody is in one of the arms');
SELECT is((SELECT count(*) || ' ' || count(*) FILTER (WHERE a.arm = 'control') || ' ' || count(d.customer_id) FROM cdp_data.holdout_assignment a LEFT JOIN cdp_data.referral_distribution d ON d.customer_id = a.customer_id AND d.referral_campaign_id = (SELECT referral_campaign_id FROM cdp_data.referral_campaign WHERE name = 'held')),
  format('%s %s %s', :h_queued + :h_control, :h_control, :h_queued), 'who was told is treated, who was kept back is control');
SELECT is((SELECT payload ->> 'body' FROM cdp_data.outbox WHERE destination = 'desk' LIMIT 1) ~ ' 12.5 % [{]name[}]$', true, 'without the right to a name its place stays open');
-- What promises a reward goes out only where the terms have one, now and later.
SELECT throws_ok(format($$SELECT cdp.set_referral_terms('held', %s)$$, v), '55000', 'by these terms nothing is paid to advocates, and what goes out to them promises a reward', v)
FROM unnest(ARRAY['rules => ''[{"rule": "w", "side": "referee", "trigger": "first_purchase", "shape": "flat", "amount": 5}]''', 'valid_from => now() + interval ''1 day''',
  '''{"levels": 2}'', ''[{"rule": "up", "side": "referrer", "level": 2, "trigger": "first_purchase", "shape": "flat", "amount": 5}]''']) v;
SELECT cdp.retire_referral_material(referral_material_id) FROM cdp_data.referral_material m JOIN cdp_data.referral_campaign c USING (referral_campaign_id) WHERE c.name = 'held';
SELECT lives_ok($$SELECT cdp.set_referral_terms('held', valid_from => now() + interval '1 day')$$, 'nothing promises one any more');
SELECT throws_ok($$SELECT cdp.approve_referral_material(cdp.add_referral_material('held', 'email', '{code} {reward} {name}', 'x'))$$, '55000', NULL, 'nor can it, before terms that begin later');
UPDATE cdp_data.referral_campaign SET ends_at = now() - interval '1 minute' WHERE name = 'held';
UPDATE cdp_data.referral_campaign SET ends_at = now() - interval '2 hours', starts_at = NULL WHERE name = 'held';
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'referral_past_end'), 1::bigint, 'health tells who is past the end');
SELECT ok((SELECT array_agg(action ORDER BY action) FROM cdp.advance_referral_campaigns()) @> '{end,sync}', 'the job ends it');
SELECT is((SELECT actor FROM cdp_data.referral_campaign_state WHERE state = 'ended' ORDER BY from_at DESC LIMIT 1), 'system', 'as itself');

-- Erasure and retention.
SELECT is((cdp_internal.erase_of_referral_programme(ARRAY[pg_temp.id('u30')], '{}', '{}', NULL, 'delete')).n, r.n, 'an erasure forgets where he was told') FROM (SELECT count(*) AS n FROM cdp_data.referral_distribution WHERE customer_id = pg_temp.id('u30') HAVING count(*) > 1) r;
-- Who speaks none of the languages in which something is approved is not told: the check says so before.
SELECT cdp.create_referral_campaign('tongues', channels => '{email}', link_template => 'https://shop.example/{code}', ends_at => '2099-01-01') AS tongues \gset
SELECT cdp.add_referral_material('tongues', 'email', '{code}', '', 'fr') AS untitled \gset
SELECT is((SELECT hint FROM cdp.check_referral_campaign('tongues') WHERE code = 'no_material'), format('SELECT cdp.approve_referral_material(%s); lets the draft go out.', :untitled), 'a draft is waiting');
SELECT is((SELECT hint FROM cdp.check_referral_material(:untitled)), 'Give it one: title => ''Bring a friend''.', 'which lacks a title');
SELECT cdp.approve_referral_material(cdp.add_referral_material('tongues', 'email', '{code}', 't', l)) FROM unnest('{zh,en}'::text[]) l;
SELECT is((SELECT message FROM cdp.check_referral_campaign('tongues') WHERE code = 'material_language'), 'on channel "email" something is approved in en, zh only: who speaks another language, or of whom none is known, is not told', 'languages, and none for everybody else');
SELECT cdp.approve_referral_material(cdp.add_referral_material('tongues', 'email', '{code}', 't'));
SELECT is((SELECT count(*) FROM cdp.check_referral_campaign('tongues') WHERE code = 'material_language'), 0::bigint, 'with one for everybody else');
SELECT cdp.create_referral_campaign('kept'), cdp.set_referral_terms('kept', rules => '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 1}]'), cdp.activate_referral_campaign('kept', '2026-01-01');
SELECT cdp.issue_referral_code('kept', pg_temp.id('u1'), issued_at => '2026-01-02') AS code \gset
SELECT result FROM unnest('{eve,kim}'::text[]) f, cdp.referral_share((SELECT min(name) FROM cdp_data.source), 'share ' || f, :'code', 'email', '2026-01-03', jsonb_build_object('email', f || '@example.org'));
SELECT result FROM unnest('{eve,kim}'::text[]) f, cdp.referral_convert((SELECT min(name) FROM cdp_data.source), 'order ' || f, 'purchase', '2026-01-04', jsonb_build_object('email', f || '@example.org'), 50, 'CNY', code => :'code');
CREATE FUNCTION pg_temp.kept() RETURNS text LANGUAGE sql AS $$ SELECT (SELECT count(recipient_digest) FROM cdp_data.referral_share) || ' ' || (SELECT count(*) FROM cdp_data.referral_decision WHERE evidence <> '{}') || ' ' || (SELECT count(*) FROM cdp_data.referral_decision) $$;
SELECT is(pg_temp.kept(), '2 4 4', 'to whom was shared, and what decisions stood on');
SELECT cdp.erase_customer(cdp.customer_of('email', 'eve@example.org')) \g /dev/null
SELECT is(pg_temp.kept(), '1 2 4', 'goes with a friend who is erased; that there were decisions stays');
UPDATE cdp_data.setting SET referral_distribution_retention = '1 day';
CALL cdp_internal.maintain_room_referral_programme();
SELECT ok((SELECT count(*) FROM cdp_data.referral_distribution) > 0, 'retention counts from the end');
UPDATE cdp_data.setting SET referral_distribution_retention = '1 microsecond';
CALL cdp_internal.maintain_room_referral_programme();
SELECT is((SELECT count(*) FROM cdp_data.referral_distribution), 0::bigint, 'past it nothing is kept');
SELECT * FROM finish();
