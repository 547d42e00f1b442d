-- What is due: the planner of pulls beside a slow one in plain loops over random ledgers, known answers for lists, partitions, wishes and
-- what stands still, and a ledger so large that a plan in the square of it would not end.
SELECT no_plan();
SET client_min_messages = error;
SELECT setseed(0.31);
SELECT cdp.add_connector($${"connector": "plans", "version": 1, "base_url": "https://plans.example", "tz": "Asia/Shanghai", "config": {"shops": {"type": "list"}},
  "streams": {
    "staff": {"path": "/staff", "records": "$.staff[*]", "key": ["id"], "every": "1 day"},
    "days": {"path": "/days", "partition": {"from": "staff", "value": "id"}, "query": {"who": "$partition", "from": "$window.from", "to": "$window.to"}, "records": "$.days[*]", "key": ["$partition", "day"], "ref_date": "day",
      "window": {"unit": "day", "max_days": 7, "history_days": 40, "ready_at": "08:00", "lookback_days": 2, "final_after_days": 3, "format": "date"}, "metrics": {"n": "sum"}},
    "totals": {"path": "/totals", "query": {"from": "$window.from", "to": "$window.to"}, "records": "$.days[*]", "key": ["id"], "window": {"unit": "day", "max_days": 7, "history_days": 5, "delay_days": 1, "format": "date"}},
    "now": {"path": "/now", "query": {"day": "$window.from"}, "records": "$.now", "key": ["$window.from"], "ref_date": "$window.from", "window": {"unit": "day", "max_days": 1, "history_days": 0, "format": "date"}, "metrics": {"n": "gauge"}},
    "people": {"path": "/people", "method": "POST", "partition": {"from": "staff", "value": "id", "chunk": 3}, "body": {"ids": "$partition"}, "cursor": {"send": "body.cursor", "take": "$.next", "resumable": true}, "records": "$.people[*]", "key": ["id"], "every": "6 h"},
    "found": {"path": "/found", "method": "POST", "body": {}, "cursor": {"send": "body.cursor", "take": "$.next", "resumable": false}, "records": "$.found[*]", "key": ["id"], "every": "1 h"},
    "shops": {"path": "/shops", "partition": {"config": "shops"}, "query": {"shop": "$partition"}, "records": "$.shops[*]", "key": ["id"], "every": "1 day"}}}$$), cdp.add_source('p') \g /dev/null
SELECT cdp.create_connection('p', 'plans', '{"shops": ["s2", "s1"]}', 'p') AS id \gset
SELECT cdp_internal.connector_manifest('plans') AS manifest \gset
CREATE FUNCTION pg_temp.plan(stream text, as_of timestamptz) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', p.state ->> 'partition', p.state #>> '{window,from}', p.state #>> '{window,to}', p.state ->> 'cursor'), ', ') FROM cdp_internal.plan_stream((SELECT connection_id FROM cdp_data.connection WHERE name = 'p'), stream, as_of) p $$;
INSERT INTO cdp_data.stream (connection_id, stream_id, name, source_id) SELECT :id, n, s, source_id FROM cdp_data.connection, unnest('{staff,days,totals,now,people,found,shops}'::text[]) WITH ORDINALITY u (s, n) WHERE connection_id = :id;
CREATE FUNCTION pg_temp.staff(ids text[], at timestamptz DEFAULT '2026-01-01') RETURNS void LANGUAGE sql AS $$
  INSERT INTO cdp_data.raw_record (connection_id, stream_id, record_key, source_id, part, page_id, first_seen_at, changed_at, payload)
  SELECT c.connection_id, 1, i, c.source_id, '', 1, at, at, jsonb_build_object('id', i) FROM cdp_data.connection c, unnest(ids) i WHERE c.name = 'p' $$;
CREATE FUNCTION pg_temp.asked(stream smallint, part text, at timestamptz, done boolean, next jsonb DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
  INSERT INTO cdp_data.stream_part (connection_id, stream_id, part, source_id, last_fetched_at, page_id, next, done) SELECT connection_id, stream, part, source_id, at, 1, next, done FROM cdp_data.connection WHERE name = 'p'
  ON CONFLICT (connection_id, stream_id, part) DO UPDATE SET last_fetched_at = excluded.last_fetched_at, next = excluded.next, done = excluded.done $$;

-- Order: each stream after the one that it comes from.
SELECT is((SELECT string_agg(stream, ' ') FROM cdp_internal.stream_order(:'manifest')), 'found now shops staff totals days people', 'the order of a run');

-- Lists.
SELECT is(pg_temp.plan('found', '2026-03-02 12:00+00'), '', 'a list that was never asked: from its first page');
SELECT pg_temp.asked(6::smallint, '', '2026-03-02 11:30+00', true) \g /dev/null
SELECT is(pg_temp.plan('found', '2026-03-02 12:00+00'), NULL, 'not again before its time');
SELECT is(pg_temp.plan('found', '2026-03-02 12:30+00'), '', 'but then');
SELECT pg_temp.asked(6::smallint, '', '2026-03-02 11:59+00', false, '{"cursor": "c9"}') \g /dev/null
SELECT is(pg_temp.plan('found', '2026-03-02 12:00+00'), '', 'one that broke off at once, without its cursor where that expires');
SELECT is(pg_temp.plan('shops', '2026-03-02 12:00+00'), 's1, s2', 'partitions of the config');
SELECT pg_temp.asked(7::smallint, 's1', '2026-03-02 11:00+00', true) \g /dev/null
SELECT is(pg_temp.plan('shops', '2026-03-02 12:00+00'), 's2', 'each for itself');

-- Partitions from records, in lists.
SELECT is(pg_temp.plan('people', '2026-03-02 12:00+00'), NULL, 'nothing is asked before there is somebody to ask for');
SELECT pg_temp.staff('{e,d,c,b,a}') \g /dev/null
SELECT is(pg_temp.plan('people', '2026-03-02 12:00+00'), '["a", "b", "c"], ["d", "e"]', 'lists of three');
SELECT pg_temp.asked(5::smallint, '["a", "b", "c"]', '2026-03-02 11:00+00', true), pg_temp.asked(5::smallint, '["d", "e"]', '2026-03-02 11:59+00', false, '{"cursor": "c7"}') \g /dev/null
SELECT is(pg_temp.plan('people', '2026-03-02 12:00+00'), '["d", "e"] c7', 'a list that broke off goes on with its cursor');
SELECT pg_temp.staff('{f}', '2026-03-02 11:50+00') \g /dev/null
SELECT is(pg_temp.plan('people', '2026-03-02 12:00+00'), '["f"], ["d", "e"] c7', 'somebody new is asked for at once; who was asked together stays together');
UPDATE cdp_data.raw_record SET changed_at = '2026-03-02 11:55+00' WHERE record_key = 'b';
SELECT is(pg_temp.plan('people', '2026-03-02 12:00+00'), '["f"], ["a", "b", "c"], ["d", "e"] c7', 'a record that changed is a reason');
UPDATE cdp_data.raw_record SET gone_at = '2026-03-02 11:56+00' WHERE record_key IN ('d', 'f');
SELECT is(pg_temp.plan('people', '2026-03-02 12:00+00'), '["e"], ["a", "b", "c"]', 'who is gone is not asked for');
SELECT is((SELECT string_agg(jsonb_array_length(value) || '', ' ') FROM cdp_internal.stream_chunks(:id, jsonb_set(:'manifest', '{streams,shops,partition,chunk}', '100'), (SELECT jsonb_build_object('shops', jsonb_agg(repeat('x', 60) || i)) FROM generate_series(1, 100) i), 'shops')), '30 30 31 9', 'lists end at 2,000 bytes, for they are keys');

-- Days.
SELECT is(pg_temp.plan('totals', '2026-03-10 12:00+00'), '2026-03-08 2026-03-08, 2026-03-07 2026-03-07, 2026-03-06 2026-03-06, 2026-03-05 2026-03-05, 2026-03-04 2026-03-04', 'day by day where records have no day, newest first, as late as delay_days says');
SELECT is(pg_temp.plan('now', '2026-03-10 12:00+00'), '2026-03-10 2026-03-10', 'what is told as it is now: today');
SELECT is(pg_temp.plan('now', '2026-03-10 16:00+00'), '2026-03-11 2026-03-11', 'in the zone of the manifest');
SELECT is(split_part(pg_temp.plan('days', '2026-03-10 23:59+00'), ',', 1), 'a 2026-03-05 2026-03-09', 'a day is ready at eight in Shanghai');
SELECT is(split_part(pg_temp.plan('days', '2026-03-11 00:00+00'), ',', 1), 'a 2026-03-06 2026-03-10', 'the day after');

-- One that fails does not keep the others from being asked: neither a partition nor a window, whether it was answered or not.
UPDATE cdp_data.connection SET state = 'live' WHERE connection_id = :id;
SELECT cdp_internal.begin_sync(:id, NULL) AS run \gset
CREATE FUNCTION pg_temp.fails(run bigint, stream text, state jsonb, outcome text) RETURNS text LANGUAGE sql AS $$
  SELECT a.action FROM cdp_internal.sync_answered(run, stream, state, '/x', 3, '2026-03-10 12:00+00', outcome, 'x', CASE outcome WHEN 'ok' THEN 400 ELSE 0 END, '{}', CASE outcome WHEN 'ok' THEN convert_to('{}', 'UTF8') END, '2026-03-10 12:00+00', 1, 1, 0, NULL) a $$;
SELECT is(split_part(pg_temp.plan('days', '2026-03-10 12:01+00'), ', ', 1), 'a 2026-03-05 2026-03-09', 'by days: the newest of the first');
SELECT is(pg_temp.fails(:run, 'days', '{"partition": "a", "window": {"from": "2026-03-05", "to": "2026-03-09"}}', 'timeout'), 'pass', 'which never answers');
SELECT is(split_part(pg_temp.plan('days', '2026-03-10 12:01+00'), ', ', 1), 'b 2026-03-05 2026-03-09', 'then that of the second');
SELECT is(split_part(pg_temp.plan('totals', '2026-03-10 14:00+00'), ', ', 1), '2026-03-08 2026-03-08', 'without partitions: the newest');
SELECT pg_temp.fails(:run, 'totals', '{"window": {"from": "2026-03-08", "to": "2026-03-08"}}', 'ok') \g /dev/null
SELECT is(split_part(pg_temp.plan('totals', '2026-03-10 14:00+00'), ', ', 1), '2026-03-07 2026-03-07', 'then the one before');
SELECT is(pg_temp.fails(:run, 'shops', jsonb_build_object('partition', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 200) i)), o), 'pass', 'one that fits into no key is passed, too: ' || o) FROM unnest('{ok,timeout}'::text[]) o;
DELETE FROM cdp_data.stream_part WHERE stream_id IN (2, 3); DELETE FROM cdp_data.coverage; DELETE FROM cdp_data.sync_breaker;

-- Figures that were not final when nobody asked any more are asked for when somebody does; what the vendor keeps back waits an hour.
CREATE FUNCTION pg_temp.day(state text, pulled timestamptz, checked timestamptz) RETURNS void LANGUAGE sql AS $$
  INSERT INTO cdp_data.coverage (connection_id, stream_id, part, day, source_id, state, records, pulls, checked_at, pulled_at, page_id)
  SELECT c.connection_id, 2, p, d::date, c.source_id, CASE d WHEN '2026-03-01' THEN day.state ELSE 'final' END, 1, 1, checked, pulled, 1 FROM cdp_data.connection c, unnest('{a,b,c,e}'::text[]) p, generate_series(timestamp '2026-01-01', '2026-03-31', '1 day') d WHERE c.name = 'p'
  ON CONFLICT (connection_id, stream_id, part, day) DO UPDATE SET state = excluded.state, pulled_at = excluded.pulled_at, checked_at = excluded.checked_at $$;
SELECT pg_temp.day('provisional', '2026-03-02 01:00+00', '2026-03-02 01:00+00') \g /dev/null
SELECT matches(pg_temp.plan('days', '2026-03-20 02:00+00'), '^a 2026-03-01 2026-03-01, ', 'a day that was unfinished when the connection stood still is asked for weeks later');
SELECT pg_temp.day('provisional', '2026-03-05 01:00+00', '2026-03-05 01:00+00') \g /dev/null
SELECT is(pg_temp.plan('days', '2026-03-20 02:00+00'), NULL, 'once it was asked for when it was final, and has records that are refused, only for a week');
SELECT pg_temp.day('provisional', '2026-03-02 01:00+00', '2026-03-03 01:00+00') \g /dev/null
SELECT is(pg_temp.plan('days', '2026-03-03 01:59+00'), NULL, 'not ready: not within the hour');
SELECT matches(pg_temp.plan('days', '2026-03-03 02:00+00'), '^a 2026-03-01 2026-03-01, ', 'but then');
DELETE FROM cdp_data.coverage;
SELECT is((SELECT string_agg(coalesce(cdp_internal.oldest_day(s::jsonb, '2026-03-10')::text, 'none'), ' ' ORDER BY n) FROM unnest(ARRAY['{}', '{"history_days": 5}', '{"history_from": "2014-12-01"}', '{"history_days": 90, "history_from": "2026-01-01"}', '{"history_days": 9, "history_from": "2026-01-01"}']) WITH ORDINALITY u (s, n)),
  '2026-02-09 2026-03-06 2014-12-01 2026-01-01 2026-03-02', 'where history begins');

-- Wishes come first, whatever the ledger says.
SELECT cdp_internal.wish(:id, 'people', 'z', 'callback', '2026-03-02 11:59+00'), cdp_internal.wish(:id, 'days', 'b', 'callback', '2026-03-02 11:59+00', '2026-02-20', '2026-02-28') \g /dev/null
SELECT is(pg_temp.plan('people', '2026-03-02 12:00+00'), '["z"], ["e"], ["a", "b", "c"]', 'somebody of whom a callback told');
SELECT is((SELECT string_agg(x, ',') FROM unnest((string_to_array(pg_temp.plan('days', '2026-03-02 12:00+00'), ','))[1:2]) x), 'b 2026-02-20 2026-02-26, b 2026-02-27 2026-02-28', 'days that are wished, in windows');
DELETE FROM cdp_data.stream_wish;

-- The slow planner: each part, each day, by the words of docs/sync.md.
CREATE FUNCTION pg_temp.slow(as_of timestamptz) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  who record; d date; c record; ready timestamptz; last_ready date; due boolean;
BEGIN
  last_ready := (as_of AT TIME ZONE 'Asia/Shanghai')::date;
  WHILE (last_ready + 1 + time '08:00') AT TIME ZONE 'Asia/Shanghai' > as_of LOOP last_ready := last_ready - 1; END LOOP;
  ready := (last_ready + 1 + time '08:00') AT TIME ZONE 'Asia/Shanghai';
  FOR who IN SELECT r.record_key FROM cdp_data.raw_record r WHERE r.stream_id = 1 AND r.gone_at IS NULL LOOP
    FOR i IN 0 .. 39 LOOP
      d := last_ready - i;
      SELECT * INTO c FROM cdp_data.coverage x WHERE x.stream_id = 2 AND x.part = who.record_key AND x.day = d;
      due := NOT FOUND;
      IF NOT due THEN
        IF c.state = 'missing' THEN due := c.reason IS NULL OR c.reason NOT LIKE 'not_ready%' OR as_of - c.checked_at >= interval '1 hour';
        ELSIF c.state = 'suspect_zero' THEN due := as_of - c.checked_at >= interval '1 hour';
        ELSIF c.state = 'unavailable' THEN due := as_of - c.checked_at >= interval '7 days';
        ELSIF c.state = 'provisional' THEN
          due := c.pulled_at < ready AND (last_ready - d <= 3 + 7 OR c.pulled_at < (d + 3 + 1 + time '08:00') AT TIME ZONE 'Asia/Shanghai') AND (c.checked_at = c.pulled_at OR as_of - c.checked_at >= interval '1 hour');
        END IF;
      END IF;
      IF due THEN RETURN NEXT who.record_key || ' ' || d; END IF;
    END LOOP;
  END LOOP;
END $$;
CREATE FUNCTION pg_temp.ledger(round integer, as_of timestamptz) RETURNS void LANGUAGE sql AS $$
  DELETE FROM cdp_data.coverage;
  INSERT INTO cdp_data.coverage (connection_id, stream_id, part, day, source_id, state, records, pulls, checked_at, pulled_at, page_id, reason)
  SELECT c.connection_id, 2, p, (as_of AT TIME ZONE 'Asia/Shanghai')::date - i, c.source_id, s.state, 1, 1, s.at + CASE WHEN s.tried > '0' THEN (as_of - s.at) * 0.98 ELSE '0' END, s.at, 1, s.reason
  FROM cdp_data.connection c, unnest('{a,b,c,e}'::text[]) p, generate_series(-1, 45) i,
    LATERAL (SELECT (ARRAY['missing', 'missing', 'provisional', 'provisional', 'provisional', 'final', 'suspect_zero', 'unavailable'])[1 + floor(random() * 8 + 0 * (i + length(p)))::integer] AS state,
      as_of - random() * CASE WHEN random() < 0.3 THEN interval '40 days' ELSE interval '3 days' END + 0 * i * interval '1 s' AS at, CASE WHEN random() < 0.3 THEN interval '2 hours' ELSE '0' END * random() AS tried,
      CASE WHEN random() < 0.3 THEN 'not_ready: later' END AS reason, random() AS r) s
  WHERE c.name = 'p' AND s.r < 0.8 $$;
CREATE TEMP TABLE met (round integer, n bigint, differs bigint, too_long bigint, overlap bigint);
DO $$
DECLARE at timestamptz;
BEGIN
  FOR round IN 1 .. 40 LOOP
    at := timestamptz '2026-03-01 00:00+00' + round * interval '7 hours 13 minutes';
    PERFORM pg_temp.ledger(round, at);
    INSERT INTO met
    WITH fast AS (SELECT p.state ->> 'partition' AS part, (p.state #>> '{window,from}')::date AS a, (p.state #>> '{window,to}')::date AS z FROM cdp_internal.plan_stream((SELECT connection_id FROM cdp_data.connection WHERE name = 'p'), 'days', at) p),
      flat AS (SELECT f.part || ' ' || (f.a + i) AS due FROM fast f, generate_series(0, f.z - f.a) i), slow AS (SELECT s AS due FROM pg_temp.slow(at) s)
    SELECT round, (SELECT count(*) FROM slow), (SELECT count(*) FROM ((TABLE flat EXCEPT ALL TABLE slow) UNION ALL (TABLE slow EXCEPT ALL TABLE flat)) x), (SELECT count(*) FROM fast WHERE z - a >= 7), (SELECT count(*) - count(DISTINCT due) FROM flat);
  END LOOP;
END $$;
SELECT is((SELECT sum(differs) FROM met), 0::numeric, 'forty random ledgers: the days that plain loops find, and no other');
SELECT cmp_ok((SELECT sum(n) FROM met), '>', 1000::numeric, 'of which there are enough');
SELECT is((SELECT sum(too_long) || ' ' || sum(overlap) FROM met), '0 0', 'in windows of seven days at most, no day twice');

-- Many partitions: a plan that looks through all days of all for each of them would take hours.
DELETE FROM cdp_data.coverage; DELETE FROM cdp_data.raw_record; DELETE FROM cdp_data.stream_part;
SELECT pg_temp.staff(ARRAY(SELECT 'p' || i FROM generate_series(1, 2000) i)) \g /dev/null
INSERT INTO cdp_data.coverage (connection_id, stream_id, part, day, source_id, state, records, pulls, checked_at, pulled_at, page_id)
SELECT c.connection_id, 2, 'p' || i, date '2026-03-10' - d, c.source_id, 'final', 1, 1, '2026-03-11 01:00+00', '2026-03-11 01:00+00', 1 FROM cdp_data.connection c, generate_series(1, 2000) i, generate_series(0, 39) d WHERE c.name = 'p' AND (i, d) <> (1234, 20);
SET statement_timeout = '60s';
SELECT is(pg_temp.plan('days', '2026-03-11 02:00+00'), 'p1234 2026-02-18 2026-02-18', 'two thousand partitions of forty days, one of which is missing');
SELECT is((SELECT count(*) FROM cdp_internal.stream_chunks(:id, :'manifest', '{}', 'people')), 670::bigint, 'and in lists');
INSERT INTO cdp_data.stream_part (connection_id, stream_id, part, source_id, last_fetched_at, page_id, done) SELECT :id, 5, k.part, 1, '2026-03-11 01:00+00', 1, true FROM cdp_internal.stream_chunks(:id, :'manifest', '{}', 'people') k;
SELECT is((SELECT count(*) || ' ' || count(DISTINCT part) FROM cdp_internal.stream_chunks(:id, :'manifest', '{}', 'people')), '670 670', 'which stay the same when they were asked');
SELECT is(pg_temp.plan('people', '2026-03-11 02:00+00'), NULL, 'and are not due again');
-- Somebody who must not come in again makes it no slower.
SELECT cdp_internal.guard_batch() \g /dev/null
SET statement_timeout = '3s';
INSERT INTO cdp_data.suppression (digest) SELECT unnest(cdp_internal.suppression_digests((SELECT type_id FROM cdp_data.identifier_type_all WHERE name = 'user_id'), 'p1234567', cdp_internal.key_ids()));
SELECT is((SELECT count(*) FROM cdp_internal.stream_values(:id, :'manifest', '{}', 'people')), 2000::bigint, 'two thousand partitions when somebody else is suppressed');
INSERT INTO cdp_data.suppression (digest) SELECT unnest(cdp_internal.suppression_digests((SELECT type_id FROM cdp_data.identifier_type_all WHERE name = 'user_id'), 'p1234', cdp_internal.key_ids()));
SELECT is((SELECT count(*) FROM cdp_internal.stream_values(:id, :'manifest', '{}', 'people')), 1999::bigint, 'but him');
RESET statement_timeout;
SELECT * FROM finish();
