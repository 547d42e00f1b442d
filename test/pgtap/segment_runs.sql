-- Segments from their making to their end: versions, runs and their causes, audiences, purposes, the past, what an audit mends.
-- Commits, so without a transaction around.
SELECT plan(90);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC') AS shop \gset
CREATE FUNCTION pg_temp.members(name text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(i.value, ' ' ORDER BY i.value) FROM cdp.segment_members(name) m JOIN cdp_data.identifier i ON i.customer_id = m AND i.type_id = 1 $$;
CREATE FUNCTION pg_temp.changes(run bigint) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s %s%s %s', s.name, CASE WHEN t.entered THEN '+' ELSE '-' END, coalesce((SELECT min(i.value) FROM cdp_data.identifier i WHERE i.customer_id = t.customer_id), '?'), t.cause), ', ' ORDER BY s.name, t.transition_id)
  FROM cdp_data.segment_transition t JOIN cdp_data.segment s USING (segment_id) WHERE t.run_id = run $$;
CREATE FUNCTION pg_temp.id(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('user_id', v) $$;
SELECT cdp.track('shop', 'purchase', jsonb_build_object('user_id', u), '{}', at::timestamptz, u || at, v, 'CNY')
FROM (VALUES ('a', '2026-05-01 10:00+00', 50), ('a', '2026-05-20 10:00+00', 60), ('b', '2026-05-10 10:00+00', 500), ('c', '2026-03-01 10:00+00', 20)) AS x (u, at, v);
SELECT cdp.identify('shop', '{"user_id": "a"}', '{"city": "Xian", "gender": "f"}', '2026-05-01'), cdp.identify('shop', '{"user_id": "d"}', '{"city": "Rome"}', '2026-05-01');

-- Making.
SELECT is((SELECT array_agg(run_id) FROM cdp.segment_tick('2026-05-25 00:00+00')), ARRAY[NULL::bigint], 'without a segment a tick has nothing to do');
SELECT is(cdp.create_segment('buyers', 'did("purchase" last 30 days)', 'service'), 1, 'a segment by text');
SELECT is(cdp.create_segment('xian', '{"where": {"attr": "city", "eq": "Xian"}}'::jsonb, 'marketing', 'email', owner => 'crm team'), 2, 'another by JSON');
SELECT is((SELECT rule FROM cdp_data.segment_version WHERE segment_id = 2), '{"v": 1, "where": {"attr": "city", "eq": "Xian"}}', 'rules are kept canonical');
SELECT throws_ok($$SELECT cdp.create_segment('buyers', 'did("purchase")', 'service')$$, '23505', NULL, 'a name once');
SELECT throws_ok($$SELECT cdp.create_segment('x', '{"where": {"attr": "citty", "eq": "Xian"}}', 'service')$$, '22023', 'attribute "citty" is not known', 'an unknown name is refused');
SELECT throws_ok($$SELECT cdp.create_segment('x', 'did("purchase")', 'fun')$$, '22023', NULL, 'so is an unknown purpose');
SELECT throws_ok($$SELECT cdp.create_segment('x', 'did("purchase"', 'service')$$, '42601', NULL, 'and text that is none');
SELECT throws_ok($$SELECT cdp.create_segment('x', '{"where": {"segment": "x"}}', 'service')$$, '22023', NULL, 'and one that names itself');
SELECT throws_ok($$SELECT cdp.create_segment('', 'did("purchase")', 'service')$$, '22023', NULL, 'and no name');
SELECT throws_ok($$SELECT cdp.edit_segment('buyer', 'did("purchase")')$$, '42704', NULL, 'an unknown segment');
SELECT is((SELECT count(*) FROM cdp.segment_check('{"where": {"all": [{"attr": "citty", "eq": 1}, {"did": "purchasse"}]}}', 'service') WHERE severity = 'error'), 2::bigint, 'a check tells all errors');

-- The first run, a tick, one without work.
SELECT kind, reason, run_id AS run FROM cdp.segment_tick('2026-05-25 00:00+00') \gset
SELECT is(:'kind' || ': ' || :'reason', 'full: nothing was evaluated before', 'the first run looks at everybody');
SELECT is((SELECT everybody FROM cdp_data.segment_clock), 4::bigint, 'and notes how many that are');
SELECT is(pg_temp.changes(:run), 'buyers +a rule, buyers +b rule, xian +a rule', 'who is in is in because of the rule');
SELECT is((SELECT run_id FROM cdp.segment_tick('2026-05-25 00:00:01+00')), NULL, 'nothing new, no run');
SELECT cdp.track('shop', 'purchase', '{"user_id": "d"}', '{}', '2026-05-24', 'd1', 5, 'CNY');
SELECT cdp.identify('shop', '{"user_id": "d"}', '{"city": "Xian"}', '2026-05-24 12:00+00');
SELECT kind, touched, run_id AS run FROM cdp.segment_tick('2026-05-25 01:00+00') \gset
SELECT is(:'kind' || :'touched', 'tick1', 'then a tick at who changed');
SELECT is(pg_temp.changes(:run), 'buyers +d attribute, xian +d attribute', 'and why');
SELECT cdp.track('shop', 'purchase', '{"user_id": "c"}', '{}', '2026-05-25 00:30+00', 'c2', 5, 'CNY');
SELECT run_id AS run FROM cdp.segment_tick('2026-05-25 02:00+00') \gset
SELECT is(pg_temp.changes(:run), 'buyers +c event', 'an event is a cause');
-- b's purchase of 10 May leaves the window with 9 June 10:00, to the microsecond.
SELECT cdp.evaluate_segments('2026-06-09 09:00+00');
SELECT is((SELECT at FROM cdp_data.segment_flip WHERE customer_id = pg_temp.id('b')), '2026-06-09 10:00:00.000001+00'::timestamptz, 'when it ends is known');
SELECT is((SELECT run_id FROM cdp.segment_tick('2026-06-09 10:00+00')), NULL, 'until then nothing happens');
SELECT kind, run_id AS run FROM cdp.segment_tick('2026-06-09 10:00:00.000001+00') \gset
SELECT is(:'kind' || ' ' || pg_temp.changes(:run), 'tick buyers -b expiry', 'then he leaves');
SELECT is((SELECT reason FROM cdp.segment_tick('2026-06-08')), 'the moment lies before that of the last run', 'back in time everybody is looked at');
SELECT is(pg_temp.members('buyers'), 'a b c d', 'and he is in again');
SELECT is((SELECT reason FROM cdp.segment_tick('2026-06-10')), 'changes by time are known no further', 'so are all after a day');

-- The past.
SELECT is((SELECT array_agg(m) FROM cdp.segment_members('buyers', '2026-05-25 00:30+00') m), ARRAY[pg_temp.id('a'), pg_temp.id('b')], 'as it was seen in May');
SELECT is((SELECT array_agg(m) FROM cdp.segment_members('buyers', '2026-05-25 01:00+00') m), ARRAY[pg_temp.id('a'), pg_temp.id('b'), pg_temp.id('d')], 'an hour later');
SELECT is_empty($$SELECT cdp.segment_members('buyers', '2026-05-24')$$, 'nothing before the first run');
SELECT results_eq($$SELECT segment, since FROM cdp.customer_segments(pg_temp.id('d'))$$, $$VALUES ('buyers', '2026-05-25 01:00+00'::timestamptz), ('xian', '2026-05-25 01:00+00')$$, 'segments of a customer');
SELECT results_eq($$SELECT day, customers, entered, "left" FROM cdp_bi.segment_size_daily WHERE segment = 'buyers' AND entered + "left" > 0 ORDER BY day LIMIT 2$$,
  $$VALUES ('2026-05-25'::date, 4::bigint, 4::bigint, 0::bigint), ('2026-06-08', 4, 1, 0)$$, 'sizes by day, in the time zone of reports');

-- Rules that change: only they are evaluated, over everybody.
SELECT is(cdp.edit_segment('xian', '{"where": {"not": {"attr": "city", "eq": "Xian"}}}', 'the others'), 2, 'the next version');
SELECT is(cdp.edit_segment('xian', '{"where": {"not": {"attr": "city", "eq": "Xian"}}, "v": 1}'), 2, 'the same again is none');
SELECT throws_ok($$SELECT cdp.segment_audience('xian')$$, '55000', 'segment "xian" has no audience now', 'no audience before it was evaluated');
SELECT cdp.create_segment('both', '{"where": {"all": [{"segment": "xian"}, {"segment": "buyers"}]}}', 'service');
SELECT kind, run_id AS run FROM cdp.segment_tick('2026-06-10 00:01+00') \gset
SELECT is(:'kind' || ' ' || pg_temp.changes(:run), 'tick both +c rule, xian -a rule, xian +b rule, xian +c rule, xian -d rule', 'in a tick');
SELECT cdp.edit_segment('buyers', 'did("purchase" last 60 days)');
SELECT run_id AS run FROM cdp.segment_tick('2026-06-10 00:02+00') \gset
SELECT is(pg_temp.changes(:run), 'both +b rule, buyers +b rule', 'who names it follows');
SELECT throws_ok($$SELECT cdp.edit_segment('buyers', '{"where": {"segment": "both"}}')$$, '22023', NULL, 'no circles');
SELECT throws_ok($$SELECT cdp.archive_segment('buyers')$$, '2BP01', NULL, 'and can not lose it');
SELECT cdp.rename_segment('buyers', 'shoppers');
SELECT is((SELECT rule FROM cdp_data.segment_version JOIN cdp_data.segment USING (segment_id, version) WHERE name = 'both'), '{"v": 1, "where": {"all": [{"segment": "xian"}, {"segment": "shoppers"}]}}', 'a new name goes into the rules');
SELECT is((SELECT run_id FROM cdp.segment_tick('2026-06-10 00:02:01+00')), NULL, 'and nothing has to be evaluated');

-- Lists.
CREATE TEMP TABLE report AS SELECT * FROM cdp.upload_list('press', 'user_id', ARRAY['a', ' a ', 'b', 'z', '', NULL]);
SELECT is((SELECT (given, matched, customers, not_found, invalid, duplicates, blocked, suppressed, on_list)::text FROM report), '(6,2,2,1,2,1,0,0,3)', 'a list tells what became of each value');
SELECT is((SELECT count(*) FROM cdp_data.segment_list_row r WHERE r::text ~ 'z\M'), 0::bigint, 'and keeps none');
SELECT cdp.create_segment('listed', '{"where": {"list": "press"}}', 'service');
SELECT cdp.segment_tick('2026-06-10 00:03+00');
SELECT cdp.upload_list('press', 'user_id', '{a}', 'remove');
SELECT run_id AS run FROM cdp.segment_tick('2026-06-10 00:04+00') \gset
SELECT is(pg_temp.changes(:run), 'listed -a list', 'a list that changed is a cause');
SELECT cdp.identify('shop', '{"user_id": "z"}');
SELECT run_id AS run FROM cdp.segment_tick('2026-06-10 00:05+00') \gset
SELECT is(pg_temp.changes(:run), 'listed +z event, xian +z event', 'who stood on a list before he came is in once he comes; of whom nothing is known, the complement knows');
SELECT throws_ok($$SELECT cdp.drop_list('press')$$, '2BP01', NULL, 'a list that is used stays');
SELECT throws_ok($$SELECT cdp.upload_list('press', 'user_id', '{a}', 'put')$$, '22023', NULL, 'a mode that is none');
SELECT throws_ok($$SELECT cdp.upload_list('press', 'telex', '{a}')$$, '22023', NULL, 'a type that is none');
BEGIN;
SELECT cdp.upload_list('door', 'user_id', '{waits,waits too}'), cdp.identify('shop', '{"user_id": "waits"}'), cdp.identify('shop', '{"user_id": "waits too"}');
SELECT is((SELECT (matched, on_list)::text FROM cdp.upload_list('door', 'user_id', '{waits}', 'remove')), '(1,1)', 'who has come in since he was put on a list can be taken off it before a run saw him');
SELECT cdp.upload_list('door', 'user_id', '{waits too,b,new}');
SELECT cdp_internal.list_arrivals();
SELECT is((SELECT string_agg(coalesce(i.value, 'digest'), ' ' ORDER BY i.value) FROM cdp_data.segment_list_row r JOIN cdp_data.segment_list l USING (list_id) LEFT JOIN cdp_data.identifier i USING (identifier_id) WHERE l.name = 'door'), 'b waits too digest', 'and does not come back; nobody stands there twice');
ROLLBACK;
CREATE TABLE public.guests AS SELECT 'b' AS who UNION ALL SELECT 'c';
SELECT is((SELECT (matched, on_list)::text FROM cdp.upload_list_from('guests', 'user_id', 'public.guests', 'who')), '(2,2)', 'from a table');
SELECT is(cdp.drop_list('guests'), true, 'one that nobody names goes');

-- Merges: who loses his number leaves, who keeps it is looked at.
SELECT pg_temp.id('c') AS c, pg_temp.id('d') AS d \gset
SELECT cdp.create_segment('often', 'count("purchase" last 90 days) >= 2', 'service');
SELECT cdp.segment_tick('2026-06-10 00:06+00');
SELECT cdp.identify('shop', '{"email": "one@x.example", "cookie": "k1"}'), cdp.track('shop', 'purchase', '{"cookie": "k2"}', '{}', '2026-06-01', 'k2-1', 5, 'CNY');
SELECT cdp.track('shop', 'purchase', '{"cookie": "k1"}', '{}', '2026-06-01', 'k1-1', 5, 'CNY');
SELECT cdp.segment_tick('2026-06-10 00:07+00');
SELECT is((SELECT count(*) FROM cdp.segment_members('often')), 1::bigint, 'one bought often');
SELECT cdp.identify('shop', '{"cookie": "k1", "anonymous_id": "k2-link"}'), cdp.alias('shop', '{"cookie": "k1"}', '{"cookie": "k2"}');
SELECT run_id AS run FROM cdp.segment_tick('2026-06-10 00:08+00') \gset
SELECT is((SELECT string_agg(DISTINCT cause, ' ') FROM cdp_data.segment_transition WHERE run_id = :run), 'merge', 'a merge is a cause');
SELECT is((SELECT count(*) FROM cdp.segment_members('often')), 2::bigint, 'the two are one, who bought often');
SELECT merge_id FROM cdp_data.merge_log WHERE kind = 'merge' ORDER BY 1 DESC LIMIT 1 \gset
SELECT cdp.unmerge(merge => :merge_id);
SELECT cdp.segment_tick('2026-06-10 00:09+00');
SELECT is((SELECT count(*) FROM cdp.segment_members('often')), 1::bigint, 'and parted again they are not');

-- Pause and archive.
SELECT cdp.pause_segment('often');
SELECT pg_temp.id('a') AS a \gset
SELECT cdp.record_consent('shop', 'analytics', 'withdrawn', '{"user_id": "a"}');
SELECT cdp.segment_tick('2026-06-10 00:10+00');
SELECT is((SELECT array_agg(m) FROM cdp.segment_members('often') m), NULL, 'a paused segment loses who refuses analytics');
SELECT is((SELECT count(*) FROM cdp_bi.segment_member WHERE customer_id = :a), 0::bigint, 'he is in no segment');
SELECT is((SELECT string_agg(DISTINCT cause, ' ') FROM cdp_data.segment_transition WHERE customer_id = :a AND NOT entered AND at = '2026-06-10 00:10+00'), 'consent', 'for want of consent');
SELECT throws_ok($$SELECT cdp.segment_audience('often')$$, '55000', NULL, 'nor has a paused one an audience');
SELECT cdp.archive_segment('both');
SELECT is((SELECT string_agg(DISTINCT t.cause, ' ') FROM cdp_data.segment_transition t JOIN cdp_data.segment_run r USING (run_id) WHERE r.kind = 'manual'), 'manual', 'who archives a segment sends its members away');
SELECT is_empty($$SELECT cdp.segment_members('both')$$, 'all of them');
SELECT isnt_empty($$SELECT cdp.segment_members('both', '2026-06-10 00:09+00')$$, 'but not out of the past');

-- Audience: consent is asked when it is read, in the transaction that changed it.
SELECT cdp.create_segment('reach', '{"where": {"attr": "city", "exists": true}}', 'marketing', 'email');
SELECT cdp.segment_tick('2026-06-10 00:11+00');
SELECT is_empty($$SELECT cdp.segment_audience('reach')$$, 'nobody who has not granted');
SELECT cdp.record_consent('shop', 'marketing', 'granted', '{"user_id": "d"}', channel => 'email');
SELECT is((SELECT array_agg(x) FROM cdp.segment_audience('reach') x), ARRAY[:d]::bigint[], 'who has, at once');
SELECT is_empty($$SELECT cdp.segment_audience('reach', 'sms')$$, 'on that channel only');
BEGIN;
SELECT cdp.record_consent('shop', 'marketing', 'withdrawn', '{"user_id": "d"}');
SELECT is_empty($$SELECT cdp.segment_audience('reach')$$, 'who withdraws is out in the same transaction');
ROLLBACK;
BEGIN;
SELECT cdp.record_consent('shop', 'analytics', 'withdrawn', '{"user_id": "d"}');
SELECT is_empty($$SELECT cdp.segment_audience('reach')$$, 'so is who refuses analytics');
ROLLBACK;
BEGIN;
SELECT cdp.allow_purposes('attribute', 'city', '{service}');
SELECT throws_ok($$SELECT cdp.segment_audience('reach')$$, '22023', 'segment "reach" has no audience: attribute "city" may not be used for the purpose "marketing"', 'what may not be used for a purpose closes its audiences in the same transaction');
SELECT cdp.segment_tick('2026-06-10 00:12+00');
SELECT is((SELECT (customers, error)::text FROM cdp_bi.segment_overview WHERE segment = 'reach'), '(0,"E_PURPOSE at /where/attr: attribute ""city"" may not be used for the purpose ""marketing""")', 'and empties the segment with the next tick');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'segment_broken'), 2::bigint, 'as health tells, of each that reads it');
ROLLBACK;
SELECT throws_ok($$SELECT cdp.create_segment('y', '{"where": {"attr": "birthday", "exists": true}}', 'marketing') FROM cdp.allow_purposes('attribute', 'birthday', '{service}')$$, '22023', NULL, 'nor can one be made');
-- A grant that ran out since the last run, without a word to the feed.
SELECT cdp.create_segment('willing', '{"where": {"consent": "marketing", "channel": "email"}}', 'service');
SELECT cdp.segment_tick('2026-06-10 00:13+00');
UPDATE cdp_data.consent_state SET explicit_until = now() - interval '1 second' WHERE purpose_id = 3 AND explicit_at IS NOT NULL;
UPDATE cdp_data.segment_clock SET gate_at = now() - interval '1 hour';
SELECT run_id AS run FROM cdp.segment_tick('2026-06-10 00:14+00') \gset
SELECT is(pg_temp.changes(:run), 'willing -d consent', 'a grant that runs out is noticed');

-- Erasure, in its transaction.
SELECT cdp.upload_list('press', 'user_id', '{d}');
SELECT cdp.segment_tick('2026-06-10 00:15+00');
BEGIN;
SELECT cdp.erase_customer(:d);
SELECT is((SELECT count(*) FROM cdp_bi.segment_member WHERE customer_id = :d) + (SELECT count(*) FROM cdp_data.segment_transition WHERE customer_id = :d) + (SELECT count(*) FROM cdp_data.segment_flip WHERE customer_id = :d), 0::bigint, 'who is erased is in no segment and in no history');
SELECT is((SELECT count(*) FROM cdp_data.segment_list_row r LEFT JOIN cdp_data.identifier i USING (identifier_id) WHERE r.digest IS NULL AND i.identifier_id IS NULL), 0::bigint, 'and on no list');
SELECT is((SELECT sum(c.customers) FROM cdp_data.segment_chunk c WHERE c.segment_id = 1), (SELECT customers FROM cdp_data.segment_state WHERE segment_id = 1), 'the counts follow');
SELECT is((SELECT suppressed FROM cdp.upload_list('press', 'user_id', '{d}')), 1::bigint, 'and does not come back onto one');
ROLLBACK;
BEGIN;
SELECT cdp.upload_list('press', 'user_id', '{later}');
INSERT INTO cdp_data.identifier (type_id, value, customer_id) VALUES (1, 'later', :d);
SELECT cdp.erase_customer(:d);
SELECT is((SELECT count(*) FROM cdp_data.segment_list_row WHERE digest IS NOT NULL), 0::bigint, 'nor is a digest left of somebody who had come in since');
ROLLBACK;

-- What an audit mends.
SELECT segment_id AS sid FROM cdp_data.segment WHERE name = 'shoppers' \gset
UPDATE cdp_data.segment_chunk c SET bits = (SELECT cdp.roaring_build(x) FROM cdp.roaring_ids(c.bits) x WHERE x <> :d), customers = customers - 1 WHERE segment_id = :sid;
SELECT is((SELECT defects FROM cdp.audit_segments('2026-06-10 00:16+00')), 1::bigint, 'an audit finds what is wrong');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'segment_defect'), 1::bigint, 'tells it');
SELECT is((SELECT count(*) FROM cdp.segment_members('shoppers') m WHERE m = :d), 1::bigint, 'and mends it');

-- Ranks.
DELETE FROM cdp_data.segment_defect;
SELECT cdp.create_segment('best', '{"where": {"rank": {"attr": "revenue"}, "top": 1}}', 'service');
SELECT cdp.segment_tick('2026-06-10 00:17+00');
SELECT is(pg_temp.members('best'), 'b', 'the best one');
SELECT cdp.track('shop', 'purchase', '{"user_id": "c"}', '{}', '2026-06-10', 'c9', 900, 'CNY');
SELECT cdp.segment_tick('2026-06-10 00:18+00');
SELECT is(pg_temp.members('best'), 'b c', 'by the threshold of the snapshot');
SELECT cdp.refresh_ranks();
SELECT run_id AS run FROM cdp.segment_tick('2026-06-10 00:19+00') \gset
SELECT is(pg_temp.changes(:run), 'best -b rule', 'and by the next one');
BEGIN;
DELETE FROM cdp_data.rank_threshold;
SELECT run_id AS run FROM cdp.segment_tick('2026-06-10 00:20+00') \gset
SELECT is((SELECT count(*) FROM cdp_data.rank_threshold) || ' ' || pg_temp.members('best'), '1 c', 'a run takes a snapshot that is gone');
ROLLBACK;

-- Who may: a marketer reads, and does not write.
CREATE ROLE segment_runs_marketer;
CALL cdp.setup(marketer => 'segment_runs_marketer');
SET ROLE segment_runs_marketer;
SELECT lives_ok($$SELECT cdp.segment_members('best'), cdp.segment_members('best', '2026-06-10 00:18+00')$$, 'a marketer sees members');
SELECT lives_ok($$SELECT cdp.segment_audience('best')$$, 'audiences');
SELECT lives_ok(format('SELECT cdp.customer_segments(%s)', :c), 'the segments of a customer');
SELECT lives_ok($$SELECT (SELECT count(*) FROM cdp_bi.segment_member), (SELECT count(*) FROM cdp_bi.segment_overview), (SELECT count(*) FROM cdp_bi.segment_size_daily), (SELECT count(*) FROM cdp.segment_check('did(purchase)', 'marketing'))$$, 'views and checks');
SELECT throws_ok($$SELECT cdp.create_segment('mine', 'did(purchase)', 'service')$$, '42501', NULL, 'and makes none');
RESET ROLE;
DELETE FROM cdp_data.role_name WHERE role_name = 'segment_runs_marketer';
DROP OWNED BY segment_runs_marketer;
DROP ROLE segment_runs_marketer;

-- Retention.
UPDATE cdp_data.setting SET transition_retention = interval '1 day';
SELECT cdp_internal.segment_partition('2020-01-01');
INSERT INTO cdp_data.segment_transition (segment_id, customer_id, at, entered, cause, version, run_id) VALUES (:sid, :c, '2020-01-05', true, 'event', 1, 0);
SELECT place_hold AS hold FROM cdp.place_hold(:c, 'case 1') \gset
CALL cdp_internal.maintain_room_segment();
SELECT is((SELECT count(*) FROM cdp_data.segment_transition WHERE at < '2021-01-01'), 1::bigint, 'what is held stays');
SELECT throws_ok($$SELECT cdp.segment_members('shoppers', '2020-01-06')$$, '22023', NULL, 'a past that is no longer kept is told');
SELECT * FROM finish();
