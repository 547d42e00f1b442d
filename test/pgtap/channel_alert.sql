-- Alerts: each kind opens, is told once, goes on, ends after its calm, is told once; what is refused is told later; who may.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'America/New_York';
SELECT cdp.add_source('shop'), cdp.add_connector('{"connector": "my_shop", "version": 1, "base_url": "https://shop.example", "tz": "Europe/Berlin", "streams": {
  "days": {"path": "/days", "query": {"from": "$window.from", "to": "$window.to"}, "window": {"unit": "day", "end": "last_day", "max_days": 31, "ready_at": "06:00", "final_after_days": 2, "format": "date"},
    "records": "$.rows[*]", "key": ["day"], "ref_date": {"path": "day", "format": "date"}, "metrics": {"orders": "sum"}}}}'),
  cdp.create_connection('shop', 'my_shop', '{}', 'shop'), cdp.create_connection('other', 'my_shop', '{}', 'shop') \g /dev/null
UPDATE cdp_data.connection SET state = 'live' WHERE name = 'shop';
CREATE FUNCTION pg_temp.days(first date, n integer, at text, connection text DEFAULT 'shop') RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.verb, r.inserted) FROM cdp.ingest_page(connection, 'days', convert_to(jsonb_build_object('rows', (SELECT jsonb_agg(jsonb_build_object('day', first + i, 'orders', 3)) FROM generate_series(0, n - 1) i))::text, 'UTF8'), NULL, first, first + n - 1, fetched_at => (at || '+01')::timestamptz) r $$;
CREATE FUNCTION pg_temp.told() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(concat_ws(' ', payload ->> 'alert', payload ->> 'state', payload ->> 'subject', payload ->> 'value', payload ->> 'worst', payload ->> 'limit'), ', ' ORDER BY outbox_id) FROM cdp_data.outbox $$;
CREATE FUNCTION pg_temp.episodes() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(concat_ws(' ', alert, subject, value, worst, opened_at AT TIME ZONE 'Europe/Berlin', closed_at AT TIME ZONE 'Europe/Berlin', told), ', ' ORDER BY episode_id) FROM cdp_bi.alert_episode $$;
CREATE FUNCTION pg_temp.watch(at text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM cdp_internal.watch_connection(connection_id, (at || '+01')::timestamptz) FROM cdp_data.connection;
  RETURN (SELECT concat_ws(' ', opened, closed, told) FROM cdp_internal.watch_alerts((at || '+01')::timestamptz));
END $$;

-- What is no alert.
SELECT cdp.add_destination('ops', 'service'), cdp.add_destination('letters', 'marketing') \g /dev/null
CREATE FUNCTION pg_temp.bad(why text, call text, state text) RETURNS SETOF text LANGUAGE sql AS $$ SELECT throws_ok('SELECT cdp.add_alert(' || call || ')', state, NULL, why) $$;
SELECT b FROM (VALUES
  ('no name', $$'', 'quality', 'ops'$$, '22023'), ('an unknown kind', $$'a', 'qality', 'ops'$$, '22023'), ('an unknown destination', $$'a', 'quality', 'op'$$, '42704'),
  ('a destination that asks for consent', $$'a', 'quality', 'letters'$$, '22023'), ('an unknown connection', $$'a', 'quality', 'ops', 'shp'$$, '22023'),
  ('a limit of another kind', $$'a', 'overdue', 'ops', below => 0.5$$, '22023'), ('and the other one', $$'a', 'quality', 'ops', above => 1$$, '22023'), ('a quality above 1', $$'a', 'quality', 'ops', below => 1.1$$, '22023'),
  ('NaN', $$'a', 'quality', 'ops', below => 'NaN'$$, '22023'), ('a stream of a whole connection', $$'a', 'connection', 'ops', stream => 'days'$$, '22023'), ('calm below zero', $$'a', 'quality', 'ops', calm => '-1 day'$$, '22023')) AS v (why, call, state),
  LATERAL pg_temp.bad(v.why, v.call, v.state) b;
SELECT is((SELECT count(*) FROM cdp_data.alert), 0::bigint, 'none of them is there');

SELECT is(cdp.add_alert('late days', 'overdue', 'ops', above => 1) + 0 * cdp.add_alert('low quality', 'quality', 'ops', 'shop', below => 0.8), 1, 'two rules');
SELECT throws_ok($$SELECT cdp.add_alert('late days', 'quality', 'ops')$$, '23505', NULL, 'a name is taken once');
SELECT pg_temp.days('2026-03-02', 7, '2026-03-09 07:00'), pg_temp.days('2026-03-02', 7, '2026-03-09 07:00', 'other') \g /dev/null
SELECT is(pg_temp.watch('2026-03-09 07:00'), '0 0 0', 'all is well');
SELECT is(pg_temp.watch('2026-03-11 05:00'), '0 0 0', 'one day overdue is not above one');
SELECT is(pg_temp.watch('2026-03-12 07:00'), '1 0 1', 'two are; the connection that does not run is not asked');
SELECT is(pg_temp.told(), 'late days open shop days 2 2 1', 'that is told');
SELECT is((SELECT payload - 'episode' FROM cdp_data.outbox), '{"alert": "late days", "kind": "overdue", "state": "open", "subject": "shop days", "connection": "shop", "value": 2, "worst": 2, "limit": 1, "since": "2026-03-12T06:00:00Z",
  "detail": "stream days: 2 days are missing a day and more after they should be there; the last that is due is 2026-03-11"}'::jsonb, 'with the figures');
SELECT is(pg_temp.watch('2026-03-13 07:00'), '1 0 1', 'the next day it is three, and the quality is low');
SELECT is(pg_temp.watch('2026-03-13 07:00'), '0 0 0', 'asked again nothing is new');
SELECT is(pg_temp.told(), 'late days open shop days 2 2 1, low quality open shop 0.7565 0.7565 0.8', 'each is told once');
SELECT is(round((0.30 * 7 / 11 + 0.15 * 3 / 7 + 0.25 + 0.10) / 0.80, 4), 0.7565, 'as reckoned by hand');
SELECT pg_temp.days('2026-03-09', 2, '2026-03-13 08:00') \g /dev/null
SELECT is(pg_temp.watch('2026-03-13 08:00') || ', ' || pg_temp.watch('2026-03-13 08:59'), '0 0 0, 0 0 0', 'one day is overdue: no finding any more, but not for two hours');
SELECT is(pg_temp.watch('2026-03-13 09:00') || ', ' || pg_temp.watch('2026-03-13 09:30'), '0 2 2, 0 0 0', 'then both have ended');
SELECT is(pg_temp.told(), 'late days open shop days 2 2 1, low quality open shop 0.7565 0.7565 0.8, late days closed shop days 3 3 1, low quality closed shop 0.7565 0.7565 0.8', 'which is told once');
SELECT is(pg_temp.episodes(), 'late days shop days 3 3 2026-03-12 07:00:00 2026-03-13 09:00:00 told, low quality shop 0.7565 0.7565 2026-03-13 07:00:00 2026-03-13 09:00:00 told', 'and can be read');

-- What comes back within its calm is the same episode; later it is another one.
SELECT is(pg_temp.watch('2026-03-14 07:00') || ', ' || pg_temp.watch('2026-03-14 07:10'), '1 0 1, 0 0 0', 'one is back');
SELECT pg_temp.days('2026-03-11', 3, '2026-03-14 07:20') \g /dev/null
SELECT is(pg_temp.watch('2026-03-14 07:30'), '0 0 0', 'all is there');
DELETE FROM cdp_data.coverage WHERE day >= '2026-03-11';
SELECT is(pg_temp.watch('2026-03-14 08:00'), '0 0 0', 'and not again');
SELECT is((SELECT count(*) FILTER (WHERE closed_at IS NULL) || ' of ' || count(*) FROM cdp_bi.alert_episode), '1 of 3', 'that goes on');
SELECT is((SELECT concat_ws(' ', (payload ->> 'episode')::bigint = (SELECT max(episode_id) FROM cdp_data.alert_episode WHERE subject = 'shop days'), dedup_key ~ '^alert [0-9]+ open$', kind) FROM cdp_data.outbox WHERE payload ->> 'alert' = 'late days' ORDER BY outbox_id DESC LIMIT 1), 't t alert', 'a message names its episode');
SELECT pg_temp.days('2026-03-09', 5, '2026-03-14 09:00'), pg_temp.watch('2026-03-14 09:00'), pg_temp.watch('2026-03-14 12:00') \g /dev/null
SELECT is((SELECT count(*) FILTER (WHERE closed_at IS NULL) FROM cdp_bi.alert_episode), 0::bigint, 'and ends');

-- The other kinds; a stream; quality that nobody judged lately; a rule that is off.
UPDATE cdp_data.alert SET is_active = false;
SELECT cdp.add_alert('form', 'schema', 'ops'), cdp.add_alert('state', 'connection', 'ops'), cdp.add_alert('days', 'quality', 'ops', stream => 'days'), cdp.add_alert('nothing', 'quality', 'ops', stream => 'weeks') \g /dev/null
INSERT INTO cdp_data.stream_drift (connection_id, stream_id, source_id, path, kind, at, is_used, detail) SELECT c.connection_id, 1, c.source_id, v.path, v.kind, '2026-03-14 13:00+01', v.used, 'so' FROM cdp_data.connection c, (VALUES ('a', 'missing', true), ('b', 'type', true), ('c', 'missing', false), ('d', 'new', true)) AS v (path, kind, used) WHERE c.name = 'shop';
UPDATE cdp_data.connection SET state = 'degraded', state_at = '2026-03-14 12:30+01' WHERE name = 'shop';
INSERT INTO cdp_data.connection_state_log (connection_id, source_id, from_state, to_state, why, actor, role) SELECT connection_id, source_id, 'live', 'degraded', 'five runs failed', 'a', 'a' FROM cdp_data.connection WHERE name = 'shop';
SELECT is((SELECT concat_ws(' ', opened, closed, told) FROM cdp_internal.watch_alerts('2026-03-14 13:00+01')), '2 0 2', 'a form that can not be read, and a state');
SELECT is((SELECT string_agg(concat_ws('|', alert, subject, value, detail), ', ' ORDER BY alert) FROM cdp_bi.alert_episode WHERE closed_at IS NULL), 'form|shop days|2|stream days: a is missing (so); b has another type (so), state|shop|it is degraded since 2026-03-14 19:30: five runs failed', 'with what is known');
SELECT is((SELECT concat_ws(' ', opened, closed, told) FROM cdp_internal.watch_alerts('2026-03-16 11:00+01')), '0 0 0', 'a quality of two days ago is good enough to be judged');
SELECT is(pg_temp.watch('2026-03-20 11:00'), '1 0 1', 'that of a stream is below min_quality');
SELECT is((SELECT payload - 'episode' - 'detail' - 'since' FROM cdp_data.outbox ORDER BY outbox_id DESC LIMIT 1), '{"kind": "quality", "alert": "days", "state": "open", "value": 0.7143, "worst": 0.7143, "subject": "shop days", "connection": "shop"}'::jsonb, 'and told') ;
SELECT is((SELECT concat_ws(' ', opened, closed, told) FROM cdp_internal.watch_alerts('2026-03-23 11:00+01')), '0 1 1', 'what nobody judged for two days says nothing');

-- The outbox refuses: told when it takes it. Gates of data quality hold no alerts.
UPDATE cdp_data.destination SET purpose = NULL WHERE destination = 'ops';
UPDATE cdp_data.connection SET state = 'suspended', suspended_from = 'live' WHERE name = 'other';
SELECT is((SELECT concat_ws(' ', opened, closed, told) FROM cdp_internal.watch_alerts('2026-03-23 12:00+01')), '1 0 0', 'a destination without purpose takes nothing');
SELECT is((SELECT told || ': ' || failure FROM cdp_bi.alert_episode WHERE subject = 'other'), 'refused: the destination has no purpose; name one in cdp_data.destination.purpose', 'which can be seen');
SELECT is((SELECT detail FROM cdp.health() WHERE finding = 'alert_refused'), 'alert state: 1 episodes could not be told: the destination has no purpose; name one in cdp_data.destination.purpose', 'and health tells');
UPDATE cdp_data.destination SET purpose = 'service' WHERE destination = 'ops';
SELECT cdp.set_gate('all', 'freshness', 'shop', max_age => '1 hour') \g /dev/null
SELECT isnt(cdp.outbox_refusal('ops', 'offer', NULL), NULL, 'a gate is closed');
SELECT is((SELECT concat_ws(' ', opened, closed, told) FROM cdp_internal.watch_alerts('2026-03-23 12:10+01')), '0 0 1', 'what was refused is told, though the gate is closed');
SELECT is((SELECT told || coalesce(failure, '') FROM cdp_bi.alert_episode WHERE subject = 'other'), 'told', 'and nothing is left of the refusal');
UPDATE cdp_data.connection SET state = 'live', suspended_from = NULL WHERE name = 'other';
SELECT is((SELECT count(*) FROM cdp.outbox_take('ops', 100) WHERE kind = 'alert'), (SELECT count(*) FROM cdp_data.outbox), 'a deliverer takes all');

-- Ended for good.
SELECT is(cdp.drop_alert('state')::text || cdp.drop_alert('state'), 'truefalse', 'a rule goes once');
CALL cdp_internal.maintain_room_watch();
SELECT is((SELECT count(*) FROM cdp_data.alert_episode WHERE alert_id NOT IN (SELECT alert_id FROM cdp_data.alert)), 0::bigint, 'with what it found');
CREATE ROLE alert_admin; CREATE ROLE alert_analyst;
CALL cdp.setup(admin => 'alert_admin', analyst => 'alert_analyst');
SET ROLE alert_analyst;
SELECT is((SELECT count(*) > 0 FROM cdp_bi.alert_episode), true, 'analysts see episodes');
SELECT throws_ok($$SELECT cdp.add_alert('mine', 'quality', 'ops')$$, '42501', NULL, 'and make no rules');
SET ROLE alert_admin;
SELECT lives_ok($$SELECT cdp.add_alert('mine', 'quality', 'ops'), cdp.drop_alert('mine')$$, 'admins do');
RESET ROLE;
SELECT * FROM finish();
