-- The week of the channels: known answers for each section, one message a week and destination, what is refused, who may.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'America/New_York';
SELECT cdp.add_source('shop'), cdp.add_connector('{"connector": "my_shop", "version": 1, "base_url": "https://shop.example", "tz": "Europe/Berlin", "streams": {
  "days": {"path": "/days", "query": {"from": "$window.from", "to": "$window.to"}, "window": {"unit": "day", "end": "last_day", "max_days": 31, "ready_at": "06:00", "final_after_days": 2, "format": "date"},
    "records": "$.rows[*]", "key": ["day"], "ref_date": {"path": "day", "format": "date"}, "metrics": {"orders": "sum"}}}}'),
  cdp.create_connection('shop', 'my_shop', '{}', 'shop'), cdp.create_connection('draft', 'my_shop', '{}', 'shop') \g /dev/null
UPDATE cdp_data.connection SET state = 'live' WHERE name = 'shop';
INSERT INTO cdp_data.stream (connection_id, stream_id, name, source_id) SELECT connection_id, 1, 'days', source_id FROM cdp_data.connection;
-- Weeks of 9 March and 16 March; Sunday the 22nd may change, of the first week Monday is not there.
INSERT INTO cdp_data.coverage (connection_id, stream_id, part, day, source_id, state, records, checked_at, page_id)
SELECT connection_id, 1, '', date '2026-03-10' + d, source_id, CASE WHEN d = 12 THEN 'provisional' ELSE 'final' END, 1, '2026-07-01', 1 FROM cdp_data.connection, generate_series(0, 12) d;
INSERT INTO cdp_data.channel_metric (connection_id, stream_id, record_key, metric, source_id, part, day, standard, kind, value, currency, dimension_key, page_id, revision, told_at)
SELECT c.connection_id, 1, v.metric || d, v.metric, c.source_id, '', date '2026-03-10' + d, v.standard, v.kind, v.value, v.currency, md5('')::uuid, 1, 1, '2026-03-23'
FROM cdp_data.connection c, generate_series(0, 12) d, LATERAL (VALUES ('orders', 'orders', 'sum', 10 + d, NULL), ('fans', 'followers', 'gauge', 1000 + d, NULL), ('cost', 'spend', 'sum', CASE WHEN d < 6 THEN 0 ELSE 2 END, 'EUR'), ('rate', 'rate', 'ratio', 0.5, NULL), ('own', NULL, 'sum', 3, NULL)) AS v (metric, standard, kind, value, currency);
INSERT INTO cdp_data.channel_quality (connection_id, stream_id, day, source_id, at, score, facts) SELECT connection_id, 1, day::date, source_id, '2026-03-23', score, '{}' FROM cdp_data.connection, (VALUES ('2026-03-12', 0.8), ('2026-03-17', 0.7), ('2026-03-20', 0.9)) AS v (day, score) WHERE name = 'shop';
INSERT INTO cdp_data.channel_anomaly (connection_id, stream_id, metric, currency, day, source_id, value, verdict, reason, found_at, gone_at) SELECT connection_id, 1, 'orders', '', day::date, source_id, 1, 'low', 'too few', '2026-03-23', gone::timestamptz
FROM cdp_data.connection, (VALUES ('2026-03-11', NULL), ('2026-03-18', NULL), ('2026-03-19', '2026-03-20'), ('2026-03-20', NULL)) AS v (day, gone) WHERE name = 'shop';
INSERT INTO cdp_data.stream_drift (connection_id, stream_id, source_id, path, kind, at, is_used, detail) SELECT connection_id, 1, source_id, path, kind, at::timestamptz, true, 'so' FROM cdp_data.connection, (VALUES ('a', 'missing', '2026-03-15 17:00+01'), ('b', 'new', '2026-03-22 16:59:59+01'), ('c', 'type', '2026-03-22 17:00+01')) AS v (path, kind, at) WHERE name = 'shop';
SELECT cdp.add_destination('ops', 'service'), cdp.add_destination('boss', 'service'), cdp.add_destination('letters', 'marketing'), cdp.add_alert('state', 'connection', 'ops') \g /dev/null
INSERT INTO cdp_data.alert_episode (alert_id, subject, connection_id, source_id, opened_at, seen_at, closed_at, detail) SELECT 1, 'shop', connection_id, source_id, at::timestamptz, at::timestamptz, until::timestamptz, 'so' FROM cdp_data.connection, (VALUES ('2026-03-10', '2026-03-11'), ('2026-03-17', '2026-03-18'), ('2026-03-18', NULL)) AS v (at, until) WHERE name = 'shop';

SELECT is(ARRAY(SELECT cdp_internal.digest_week(t::timestamptz) FROM unnest(ARRAY['2026-03-22 15:59:59+00', '2026-03-22 16:00+00', '2026-03-29 15:00+00']) t), '{2026-03-09,2026-03-16,2026-03-16}'::date[], 'the last week that is over, in Shanghai');
CREATE FUNCTION pg_temp.digest(w date) RETURNS SETOF text LANGUAGE sql AS $$ SELECT concat_ws('|', section, connection, subject, currency, trim_scale(value), trim_scale(previous), change, note) FROM cdp.channel_digest(w) $$;
SELECT results_eq($$SELECT pg_temp.digest('2026-03-19')$$, $$VALUES ('figures|shop|days cost|EUR|14|0|6 of 7 days are final; the week before has 6 days'), ('figures|shop|days fans|1012|1005|0.0070|6 of 7 days are final; the week before has 6 days; last day of the week'),
  ('figures|shop|days orders|133|75|0.7733|6 of 7 days are final; the week before has 6 days'), ('quality|shop|score|0.9|0.8|0.1250|worst is stream days with 0.9'),
  ('anomalies|shop|days orders|2|1|1.0000|2026-03-18: too few; 2026-03-20: too few'), ('schema|shop|days|2|a is missing; b is new'), ('alerts|shop|state|2|1|1.0000|1 stood at the end of the week')$$, 'every section but advice, for which there is too little, with the week before');
SELECT is((SELECT sum(10 + d) FROM generate_series(6, 12) d) || ' ' || (SELECT sum(10 + d) FROM generate_series(0, 5) d), '133 75', 'as reckoned by hand');
SELECT results_eq($$SELECT pg_temp.digest('2026-03-22')$$, $$SELECT pg_temp.digest('2026-03-16')$$, 'any day of the week tells it');
SELECT is_empty($$SELECT pg_temp.digest('2026-05-19')$$, 'a week of nothing');
SELECT throws_ok($$SELECT * FROM cdp.channel_digest('infinity')$$, '22023', NULL, 'no week');

UPDATE cdp_data.channel_quality SET score = 0.6 WHERE day = '2026-03-20';
SELECT is((SELECT string_agg(concat_ws('|', connection, subject, value, note), ', ') FROM cdp.channel_digest('2026-03-16') WHERE section = 'advice'), 'shop|A01 quality|The quality of its data is 0.6000, below 0.9; the worst is stream days with 0.6. Mend stream days before anything is decided by these figures.', 'advice, when there is some');
UPDATE cdp_data.channel_quality SET score = 0.9 WHERE day = '2026-03-20';

-- Sent once a week, from the hour on.
SELECT throws_ok($$SELECT cdp.add_digest('op')$$, '42704', NULL, 'an unknown destination');
SELECT throws_ok($$SELECT cdp.add_digest('letters')$$, '22023', NULL, 'one that asks for consent');
SELECT throws_ok($$SELECT cdp.add_digest('ops', 8)$$, '22023', NULL, 'no day');
SELECT cdp.add_digest('ops'), cdp.add_digest('boss', 2, 8) \g /dev/null
SELECT is(cdp_internal.send_digests('2026-03-23 09:59+08'), 0, 'not before its hour');
SELECT is(cdp_internal.send_digests('2026-03-23 10:00+08'), 1, 'then one');
SELECT is(cdp_internal.send_digests('2026-03-23 11:00+08') || ' ' || cdp_internal.send_digests('2026-03-24 08:00+08') || ' ' || cdp_internal.send_digests('2026-03-29 23:59+08'), '0 1 0', 'each once');
SELECT is((SELECT string_agg(concat_ws(' ', destination, kind, dedup_key, payload ->> 'week', payload ->> 'from', payload ->> 'to', jsonb_array_length(payload -> 'rows'), payload -> 'left_out'), ', ' ORDER BY outbox_id) FROM cdp_data.outbox WHERE kind = 'digest'),
  'ops digest digest 2026-W12 2026-W12 2026-03-16 2026-03-22 7 0, boss digest digest 2026-W12 2026-W12 2026-03-16 2026-03-22 7 0', 'one message for each');
SELECT is((SELECT jsonb_agg(r ORDER BY n) FROM cdp_data.outbox, jsonb_array_elements(payload -> 'rows') WITH ORDINALITY AS u (r, n) WHERE destination = 'ops' AND kind = 'digest'), (SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(d))) FROM cdp.channel_digest('2026-03-16') d), 'that anybody can reckon again');
UPDATE cdp_data.digest SET last_week = NULL;
SELECT is(cdp_internal.send_digests('2026-03-24 11:00+08') || ' ' || (SELECT count(*) FROM cdp_data.outbox WHERE kind = 'digest'), '2 2', 'even if it forgot, no second message');
UPDATE cdp_data.destination SET purpose = NULL WHERE destination = 'ops';
SELECT is(cdp_internal.send_digests('2026-03-31 11:00+08'), 1, 'the next week; one destination takes nothing');
SELECT is((SELECT string_agg(detail, '; ') FROM cdp.health() WHERE finding = 'digest_refused'), 'the digest of destination ops could not be written: the destination has no purpose; name one in cdp_data.destination.purpose', 'which health tells');
UPDATE cdp_data.destination SET purpose = 'service' WHERE destination = 'ops';
SELECT is(cdp_internal.send_digests('2026-03-31 12:00+08'), 1, 'later it does');
SELECT is((SELECT failure FROM cdp_data.digest WHERE destination = 'ops'), NULL, 'and nothing is left of the refusal');
SELECT is(cdp_internal.send_digests('2026-05-12 12:00+08'), 2, 'after weeks that nobody watched');
SELECT is((SELECT string_agg(DISTINCT last_week::text, ' ') FROM cdp_data.digest) || ' ' || (SELECT count(*) FROM cdp_data.outbox WHERE kind = 'digest'), '2026-05-04 6', 'only the last is sent');
SELECT cdp.add_digest('ops', 5) \g /dev/null
SELECT is((SELECT concat_ws(' ', weekday, hour, is_active) FROM cdp_data.digest WHERE destination = 'ops'), '5 10 t', 'given again it is changed');
SELECT is(cdp_internal.send_digests('2026-05-11 12:00+08'), 0, 'an earlier moment sends nothing');

CREATE ROLE digest_analyst; CREATE ROLE digest_admin;
CALL cdp.setup(analyst => 'digest_analyst', admin => 'digest_admin');
SET ROLE digest_analyst;
SELECT is((SELECT count(*) FROM cdp.channel_digest('2026-03-16')), 7::bigint, 'analysts read it');
SELECT throws_ok($$SELECT cdp.add_digest('ops')$$, '42501', NULL, 'and order none');
SET ROLE digest_admin;
SELECT lives_ok($$SELECT cdp.add_digest('ops', 1)$$, 'admins do');
RESET ROLE;
SELECT * FROM finish();
