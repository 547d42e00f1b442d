-- Referral campaigns from the draft to the archive: what they are made of, what may change when, which state follows which, the
-- history of states, what the check tells, and what WeChat forbids in every order of edits.
SELECT plan(142);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
CREATE FUNCTION pg_temp.codes(name text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(severity || ' ' || code, ', ' ORDER BY n) FROM cdp.check_referral_campaign(name) WITH ORDINALITY AS c (severity, code, message, hint, n) $$;
CREATE FUNCTION pg_temp.states(name text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(s.state, ' ' ORDER BY s.from_at) FROM cdp_data.referral_campaign_state s JOIN cdp_data.referral_campaign c USING (referral_campaign_id) WHERE c.name = states.name $$;
SELECT count(*) FROM generate_series(1, 60) i, cdp.identify('shop', jsonb_build_object('user_id', 'u' || i, 'email', 'u' || i || '@example.org'), jsonb_build_object('city', CASE WHEN i <= 50 THEN 'Xian' ELSE 'Rome' END), '2026-05-01') x;
SELECT cdp.create_segment('xian', 'city = ''Xian''', 'service'), cdp.create_segment('rome', 'city = ''Rome''', 'service'), cdp.create_segment('market', 'city = ''Rome''', 'marketing'), cdp.create_segment('later', 'city = ''Rome''', 'service');
SELECT cdp.segment_tick();
SELECT cdp.create_segment('raw', 'city = ''Oslo''', 'service', state => 'draft');
SELECT cdp.create_holdout('global', 0.1), cdp.create_holdout('old', 0.1), cdp.end_holdout('old');
\set rules '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}]'

-- A draft may lack anything, and the check tells all of it.
SELECT is(cdp.create_referral_campaign('empty'), 1, 'a draft may lack everything');
SELECT is(pg_temp.codes('empty'), 'error no_terms, warning no_channel, warning no_end, warning no_link, warning no_segment, info no_goal, info no_holdout', 'which the check tells at once');
SELECT results_eq($$SELECT campaign_group, timezone, currency, state, goal_metric FROM cdp_data.referral_campaign$$, $$VALUES ('empty' COLLATE "C", 'Asia/Shanghai', 'CNY' COLLATE "C", 'draft' COLLATE "C", 'conversions' COLLATE "C")$$, 'with what was set up');
SELECT is(pg_temp.states('empty'), 'draft', 'its history begins');
SELECT is((SELECT from_at FROM cdp_data.referral_campaign_state), '-infinity', 'before everything');
SELECT throws_ok($$SELECT cdp.activate_referral_campaign('empty')$$, '55000', 'referral campaign "empty" can not be activated: it has no terms: nobody knows what is paid for what', 'what the check calls an error is not activated');
SELECT is(pg_temp.states('empty'), 'draft', 'and nothing is left of it');
SELECT throws_ok($$SELECT cdp.check_referral_campaign('emtpy')$$, '42704', 'there is no referral campaign named "emtpy"', 'an unknown name');
SELECT cdp.create_referral_campaign('wrong', 'market', '{fax}', 'http://{code}.example/{code}', ends_at => now() - interval '1 day', purpose => 'service', holdout => 'old', budget => 5);
SELECT cdp.set_referral_terms('wrong', rules => :'rules');
SELECT is(pg_temp.codes('wrong'), 'error budget_small, error ends_past, error holdout_ended, error link_address, error link_code, error link_host, error segment_purpose, warning empty_audience, warning link_plain, warning no_material, info no_goal, info one_sided', 'everything that is wrong with another');
SELECT is((SELECT count(*) FROM cdp.check_referral_campaign('wrong') WHERE hint IS NULL OR message IS NULL), 0::bigint, 'each with what to do');
SELECT cdp.edit_referral_campaign('wrong', '{"segment": "raw", "purpose": "srvice", "link_template": "shop/{cod}"}');
SELECT ok(pg_temp.codes('wrong') LIKE 'error budget_small, error ends_past, error holdout_ended, error link_address, error link_code, error link_variable, error no_audience, error segment_purpose, error unknown_purpose%', 'a segment that is not evaluated, an unknown purpose');
SELECT is((SELECT hint FROM cdp.check_referral_campaign('wrong') WHERE code = 'unknown_purpose'), 'Did you mean ''service''?', 'with the nearest name');

-- Links.
SELECT is((SELECT string_agg(severity || ' ' || code, ', ' ORDER BY code) FROM cdp_internal.referral_findings_of_link(v.link)), v.finds, 'link ' || v.link) FROM (VALUES
  ('https://shop.example/r/{code}', NULL), ('https://shop.example:8443/?ref={code}', NULL), ('https://shop.example/r/', 'error link_code'), ('https://shop.example/{code}/{code}', 'error link_code'),
  ('https://shop.example/{code}/{x}', 'error link_variable'), ('ftp://shop.example/{code}', 'error link_address'), ('javascript:{code}', 'error link_address'), ('http://shop.example/{code}', 'warning link_plain'),
  ('https://a{code}.example/', 'error link_address, error link_host'), ('https://shop.example\@evil/{code}', 'error link_address')) AS v (link, finds);

-- Making and editing: bad input.
SELECT throws_ok($$SELECT cdp.create_referral_campaign('empty')$$, '23505', NULL, 'a name once');
SELECT throws_ok($$SELECT cdp.create_referral_campaign(NULL)$$, '22023', NULL, 'a name there must be');
SELECT throws_ok($$SELECT cdp.create_referral_campaign(' ')$$, '22023', NULL, 'not a blank one');
SELECT throws_ok($$SELECT cdp.create_referral_campaign('x', 'xain')$$, '42704', 'there is no segment named "xain"', 'an unknown segment');
SELECT throws_ok(format($$SELECT cdp.create_referral_campaign('x', %s)$$, v), '22023', NULL, 'bad ' || v) FROM unnest(ARRAY['timezone => ''CET''', 'timezone => ''Mars/Base''', 'currency => ''XYZ''', 'currency => ''cny''', 'budget => 0', 'budget => -1', 'budget => 0.001',
  'budget => 1e16', 'budget => ''NaN''', 'budget => ''Infinity''', 'goal_target => 0', 'goal_target => ''NaN''', 'goal_metric => ''money''', 'starts_at => ''infinity''', 'ends_at => ''-infinity''', 'starts_at => ''2026-02-01'', ends_at => ''2026-02-01''',
  'channels => ''{e mail}''', 'channels => ''{""}''', 'channels => ARRAY[NULL]', 'link_template => ''https://a b''', 'campaign_group => '' ''']) v;
SELECT is((SELECT count(*) FROM cdp_data.referral_campaign), 2::bigint, 'none of which left anything');
SELECT throws_ok($$SELECT cdp.edit_referral_campaign('empty', '{"segmnt": "xian"}')$$, '22023', 'a referral campaign has no "segmnt"', 'an unknown key');
SELECT throws_ok($$SELECT cdp.edit_referral_campaign('empty', '[]')$$, '22023', NULL, 'changes that are no object');
SELECT throws_ok(format($$SELECT cdp.edit_referral_campaign('empty', '%s')$$, v), '22023', NULL, 'changes ' || v) FROM unnest(ARRAY['{"budget": "5"}', '{"channels": "email"}', '{"channels": [1]}', '{"segment": 5}', '{"starts_at": "soon"}', '{"starts_at": 5}', '{"goal_target": true}', '{"description": {}}']) v;
SELECT lives_ok($$SELECT cdp.edit_referral_campaign('empty', '{"segment": "xian", "channels": ["SMS", "email", "sms"], "link_template": "https://shop.example/{code}", "budget": 50.5, "goal_target": 10, "holdout": "global", "timezone": "Europe/Rome", "ends_at": "2099-01-01T00:00:00Z"}')$$, 'a draft is changed');
SELECT results_eq($$SELECT channels, budget_minor, purpose, timezone FROM cdp_data.referral_campaign WHERE name = 'empty'$$, $$VALUES ('{email,sms}'::text[] COLLATE "C", 5050::bigint, 'service' COLLATE "C", 'Europe/Rome')$$, 'in one form; the purpose is that of the segment');
SELECT cdp.edit_referral_campaign('empty', '{"budget": null, "holdout": null}');
SELECT is((SELECT budget_minor IS NULL AND holdout_id IS NULL FROM cdp_data.referral_campaign WHERE name = 'empty'), true, 'null empties');
SELECT throws_ok($$SELECT cdp.edit_referral_campaign('empty', '{"currency": "JPY", "budget": 0.5}')$$, '22023', NULL, 'a budget has the digits of the currency');
SELECT cdp.set_referral_terms('empty', rules => :'rules');
SELECT throws_ok($$SELECT cdp.edit_referral_campaign('empty', '{"currency": "EUR"}')$$, '55000', NULL, 'the currency stays once there are terms');

-- States. Every one with every verb: what is allowed, and that the rest is refused and changes nothing.
CREATE TABLE public.story AS SELECT * FROM (VALUES ('draft', '{}'::text[]), ('active', '{activate}'), ('paused', '{activate,pause}'), ('ended', '{activate,pause,end}'), ('archived', '{activate,end,archive}')) AS v (state, road);
CREATE FUNCTION public.walk(name text, road text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v text; BEGIN
  FOREACH v IN ARRAY road LOOP EXECUTE format('SELECT cdp.%s_referral_campaign(%L)', v, name); END LOOP; END $$;
SELECT cdp.create_referral_campaign('is ' || s.state, ends_at => '2099-01-01'), cdp.set_referral_terms('is ' || s.state, rules => :'rules'), public.walk('is ' || s.state, s.road) FROM public.story s;
SELECT is((SELECT state FROM cdp_data.referral_campaign WHERE name = 'is ' || s.state), s.state, 'came to ' || s.state) FROM public.story s;
CREATE FUNCTION pg_temp.tried(state text, verb text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM public.walk('is ' || state, ARRAY[verb]);
  RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ001';
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN RETURN 'done'; WHEN object_not_in_prerequisite_state THEN RETURN 'refused'; END $$;
SELECT results_eq($$SELECT s.state, string_agg(v, ',' ORDER BY v) FILTER (WHERE pg_temp.tried(s.state, v) = 'done') FROM public.story s, unnest('{activate,pause,resume,end,archive}'::text[]) v GROUP BY 1 ORDER BY 1$$,
  $$VALUES ('active', 'end,pause'), ('archived', NULL), ('draft', 'activate,archive'), ('ended', 'archive'), ('paused', 'end,resume')$$, 'which state follows which, and no other');
SELECT is((SELECT string_agg(pg_temp.states('is ' || state), '; ' ORDER BY state) FROM public.story), 'draft active; draft active ended archived; draft; draft active paused ended; draft active paused', 'what was refused left no row');
SELECT throws_ok($$SELECT cdp.resume_referral_campaign('is active')$$, '55000', 'referral campaign "is active" is active: it can not be resumed', 'it is said what it is');
SELECT throws_ok($$SELECT cdp.activate_referral_campaign('is archived')$$, '55000', NULL, 'the archive is for good');
SELECT is((SELECT count(*) FROM cdp_data.referral_campaign c WHERE c.state <> (SELECT s.state FROM cdp_data.referral_campaign_state s WHERE s.referral_campaign_id = c.referral_campaign_id ORDER BY s.from_at DESC LIMIT 1)), 0::bigint, 'the state of now is the last of the history');
SELECT ok(EXISTS (SELECT FROM cdp_data.audit WHERE object = 'referral campaign is ended' AND detail ->> 'op' = 'end' AND detail ->> 'was' = 'paused'), 'the audit has it');
SELECT throws_ok(format($$%s cdp_data.referral_campaign_state %s$$, split_part(v, '|', 1), split_part(v, '|', 2)), '23001', NULL, 'history is not changed: ' || v) FROM unnest(ARRAY['UPDATE|SET state = ''ended''', 'DELETE FROM|']) v;

-- Active at a moment: half-open, by the history, within the campaign's time.
SELECT cdp.create_referral_campaign('past', starts_at => '2026-01-10 00:00+00', ends_at => '2099-01-20 00:00+00'), cdp.set_referral_terms('past', rules => :'rules', valid_from => '2026-01-01');
SELECT throws_ok($$SELECT cdp.activate_referral_campaign('past', now() + interval '1 hour')$$, '22023', NULL, 'no state begins in the future');
SELECT throws_ok($$SELECT cdp.activate_referral_campaign('past', '-infinity')$$, '22023', NULL, 'nor before all time');
SELECT cdp.activate_referral_campaign('past', '2026-01-05 00:00+00');
INSERT INTO cdp_data.referral_campaign_state (referral_campaign_id, from_at, state) SELECT referral_campaign_id, v.at, v.state FROM cdp_data.referral_campaign, (VALUES ('2026-01-12 00:00+00'::timestamptz, 'paused'), ('2026-01-14 00:00+00', 'active')) AS v (at, state) WHERE name = 'past';
SELECT is(cdp_internal.referral_active_at((SELECT referral_campaign_id FROM cdp_data.referral_campaign WHERE name = 'past'), v.at::timestamptz), v.is_active, 'at ' || v.at) FROM (VALUES ('2026-01-04 00:00+00', false), ('2026-01-06 00:00+00', false),
  ('2026-01-09 23:59:59.999999+00', false), ('2026-01-10 00:00+00', true), ('2026-01-11 23:59:59.999999+00', true), ('2026-01-12 00:00+00', false), ('2026-01-14 00:00+00', true), ('2099-01-20 00:00+00', false)) AS v (at, is_active);
SELECT is(cdp_internal.referral_active_at(999, now()), false, 'no campaign is not active');

-- What may change after activation.
SELECT throws_ok(format($$SELECT cdp.edit_referral_campaign('past', '%s')$$, v), '55000', NULL, 'not any more: ' || v) FROM unnest(ARRAY['{"currency": "EUR"}', '{"timezone": "UTC"}', '{"starts_at": "2026-01-01T00:00:00Z"}', '{"campaign_group": "g"}', '{"holdout": "global"}', '{"ends_at": "2026-01-18T00:00:00Z"}']) v;
SELECT lives_ok($$SELECT cdp.edit_referral_campaign('past', '{"ends_at": "2098-01-18T00:00:00Z", "budget": 100, "channels": ["email"], "description": "x", "goal_target": 5, "segment": "xian", "link_template": "https://shop.example/{code}"}')$$, 'these may');
SELECT throws_ok($$SELECT cdp.edit_referral_campaign('is ended', '{"budget": 5}')$$, '55000', NULL, 'nothing of one that is over');
SELECT lives_ok($$SELECT cdp.edit_referral_campaign('is ended', '{"description": "was good"}')$$, 'but its description');
SELECT throws_ok($$SELECT cdp.set_referral_terms('is ended')$$, '55000', NULL, 'no new terms of one that is over');

-- Terms that begin later only hold before, too, which is told; those of now are not late, in the same transaction either.
BEGIN;
SELECT cdp.create_referral_campaign('late'), cdp.set_referral_terms('late', rules => :'rules', valid_from => '2090-01-01'), cdp.create_referral_campaign('early'), cdp.set_referral_terms('early', rules => :'rules');
SELECT is((SELECT string_agg(n, ' ') FROM unnest('{late,early}'::text[]) n WHERE EXISTS (SELECT FROM cdp.check_referral_campaign(n) WHERE code = 'terms_late')), 'late', 'terms of later only');
SELECT cdp.set_referral_terms('late', rules => jsonb_set(:'rules', '{0,amount}', '5'), valid_from => now());
SELECT is((SELECT count(*) FROM cdp.check_referral_campaign('late') WHERE code = 'terms_late'), 0::bigint, 'with some of now');
ROLLBACK;

-- WeChat, by construction: sharing and levels are refused whichever comes first, and again at activation.
SELECT is(cdp_internal.is_wechat_channel(v.word), v.yes, 'WeChat: ' || coalesce(v.word, 'NULL')) FROM (VALUES ('wechat', true), ('WeChat', true), ('we-chat', true), ('WeCom', true), ('work_weixin', true), ('moments', true), ('wechat_moments', true), ('pyq', true), ('wechat_oa', true), ('official_account', true),
  ('gzh', true), ('wechat_channels', true), ('shipinhao', true), ('mini_program', true), ('miniprogram', true), ('mini.program', true), ('wx', true), ('wx_group', true), ('wxapp', true), ('朋友圈', true), ('email', false), ('sms', false), ('whatsapp', false), ('app', false), ('weibo', false), ('push', false), (NULL, false)) AS v (word, yes);
SELECT is((SELECT string_agg(name, ' ') FROM cdp.channel_builtin() c WHERE NOT cdp_internal.is_wechat_channel(c.name) AND (c.name ILIKE '%wechat%' OR c.name ILIKE '%wecom%')), NULL, 'no channel of the list escapes');
\set share '[{"rule": "s", "side": "referrer", "trigger": "share", "shape": "flat", "amount": 1}]'
\set two '[{"rule": "f", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 1}, {"rule": "g", "side": "referrer", "trigger": "first_purchase", "shape": "percent", "rate": 0.1, "level": 2}]'
SELECT cdp.create_referral_campaign('c first', channels => '{email,moments}'), cdp.create_referral_campaign('t first', channels => '{email}'), cdp.create_referral_campaign('l first', channels => '{email}'), cdp.create_referral_campaign('later', channels => '{email}');
SELECT throws_ok(format($$SELECT cdp.set_referral_terms('c first', rules => %L)$$, :'share'), '22023', 'the terms have 2 errors', 'channel, then sharing');
SELECT is((SELECT string_agg(code, ' ') FROM cdp.check_referral_terms(n, '{}', :'share', '[{"per": "campaign", "rewards": 9}]')), v, 'sharing in ' || n) FROM (VALUES ('c first', 'E_SHARE E_WECHAT_SHARE'), ('t first', 'E_SHARE')) AS x (n, v);
SELECT throws_ok(format($$SELECT cdp.set_referral_terms('c first', '{"levels": 2}', %L)$$, :'two'), '22023', 'the terms have 2 errors', 'channel, then two levels');
SELECT throws_ok(format($$SELECT cdp.set_referral_terms('t first', rules => %L)$$, :'share'), '22023', 'the terms have 1 error', 'sharing is paid nowhere');
SELECT throws_ok($$INSERT INTO cdp_data.reward_rule (referral_campaign_id, terms_version, rule, side, trigger, shape, amount_minor) VALUES (1, 99, 's', 'referrer', 'share', 'flat', 1)$$, '23514', NULL, 'by no road');
SELECT lives_ok(format($$SELECT cdp.set_referral_terms('t first', '{"levels": 2}', %1$L), cdp.set_referral_terms('l first', '{"levels": 2}', %1$L)$$, :'two'), 'two levels may be elsewhere');
SELECT throws_ok($$SELECT cdp.edit_referral_campaign('t first', '{"channels": ["email", "wecom"]}')$$, '22023', 'version 1 has 2 levels, and channel "wecom" is of WeChat', 'two levels, then channel');
SELECT throws_ok($$SELECT cdp.edit_referral_campaign('l first', '{"channels": ["mini_program"]}')$$, '22023', NULL, 'two levels, then channel');
-- Terms that only begin later count, too; those that are over do not.
SELECT cdp.set_referral_terms('later', rules => :'rules'), cdp.set_referral_terms('later', '{"levels": 2}', :'two', valid_from => '2090-01-01');
SELECT throws_ok($$SELECT cdp.edit_referral_campaign('later', '{"channels": ["wechat"]}')$$, '22023', NULL, 'terms of later count');
SELECT cdp.set_referral_terms('t first', rules => :'rules');
SELECT cdp.set_referral_terms('t first', '{"levels": 2}', :'two', valid_from => '2091-01-01');
SELECT throws_ok($$SELECT cdp.edit_referral_campaign('t first', '{"channels": ["wechat"]}')$$, '22023', NULL, 'two levels are replaced, and come again later');
-- What came in by another road is found by the check and by activation.
UPDATE cdp_data.referral_campaign SET channels = '{email,wechat_channels}' WHERE name IN ('l first', 'later');
SELECT ok(pg_temp.codes('l first') LIKE 'error wechat_levels%' AND pg_temp.codes('later') LIKE 'error wechat_levels%', 'the check tells both');
SELECT throws_ok($$SELECT cdp.activate_referral_campaign('l first')$$, '55000', NULL, 'and activation refuses both');
SELECT throws_ok($$SELECT cdp.activate_referral_campaign('later')$$, '55000', NULL, 'the other one');
UPDATE cdp_data.referral_campaign SET channels = '{wechat}' WHERE name = 'is paused';
SELECT lives_ok($$SELECT cdp.resume_referral_campaign('is paused')$$, 'WeChat itself is fine');
SELECT * FROM finish();
