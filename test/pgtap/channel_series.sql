-- Figures of channels as series: what is known of a day over all partitions, sums, gauges and ratios, anomalies, trends, totals.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'America/New_York';
SELECT cdp.add_source('shop'), cdp.add_connector('{"connector": "my_shop", "version": 1, "base_url": "https://shop.example", "tz": "Europe/Berlin", "streams": {
  "staff": {"path": "/staff", "records": "$[*]", "key": ["@"]},
  "days": {"path": "/days", "query": {"from": "$window.from", "to": "$window.to", "staff": "$partition"}, "partition": {"from": "staff"}, "window": {"unit": "day", "end": "last_day", "max_days": 31, "ready_at": "06:00", "final_after_days": 2, "format": "date"},
    "records": "$.rows[*]", "key": ["day"], "ref_date": {"path": "day", "format": "date"}, "metrics": {"orders": "sum"}}}}'),
  cdp.create_connection('shop', 'my_shop', '{}', 'shop') \g /dev/null
UPDATE cdp_data.connection SET state = 'live' WHERE name = 'shop';
SELECT connection_id AS shop, source_id AS source FROM cdp_data.connection WHERE name = 'shop' \gset
INSERT INTO cdp_data.stream (connection_id, stream_id, name, source_id) VALUES (:shop, 1, 'days', :source), (:shop, 2, 'posts', :source);
-- The ledger: staff a from the first, b from day 11 on, c until day 20, when it went.
INSERT INTO cdp_data.coverage (connection_id, stream_id, part, day, source_id, state, records, checked_at, page_id)
SELECT :shop, 1, p, date '2026-01-01' + d, :source, 'final', 1, '2026-07-01', 1 FROM unnest('{a,b,c}'::text[]) p, generate_series(0, 119) d WHERE (p <> 'b' OR d >= 10) AND (p <> 'c' OR d < 20);
CREATE FUNCTION pg_temp.put(stream int, key text, metric text, day date, value numeric, part text DEFAULT '', kind text DEFAULT 'sum', weight numeric DEFAULT NULL, dims jsonb DEFAULT '{}', total boolean DEFAULT false, currency text DEFAULT NULL, standard text DEFAULT NULL, content text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
  INSERT INTO cdp_data.channel_metric (connection_id, stream_id, record_key, metric, source_id, part, day, standard, kind, value, weight, currency, dimensions, dimension_key, is_total, content_kind, content_id, page_id, revision, told_at)
  SELECT connection_id, stream, key, metric, source_id, part, day, standard, kind, value, weight, currency, dims, md5(dims::text)::uuid, total, CASE WHEN content IS NOT NULL THEN 'post' END, content, 1, 1, '2026-05-01 12:00+00' FROM cdp_data.connection WHERE name = 'shop' $$;

UPDATE cdp_data.coverage SET gone_at = '2026-01-21' WHERE part = 'c';
-- What is known of a day.
UPDATE cdp_data.coverage SET state = 'provisional' WHERE day = '2026-04-30' AND part = 'a';
UPDATE cdp_data.coverage SET state = 'suspect_zero' WHERE day = '2026-04-29' AND part = 'a';
UPDATE cdp_data.coverage SET restated_at = '2026-06-01' WHERE day = '2026-04-28' AND part = 'b';
UPDATE cdp_data.coverage SET state = 'unavailable' WHERE day = '2026-04-27';
UPDATE cdp_data.coverage SET state = 'unavailable' WHERE day = '2026-04-26' AND part = 'a';
UPDATE cdp_data.coverage SET state = 'missing' WHERE day = '2026-04-25' AND part = 'a';
DELETE FROM cdp_data.coverage WHERE day = '2026-04-24' AND part = 'a';
SELECT is((SELECT string_agg(to_char(day, 'DD ') || state, ', ' ORDER BY day) FROM cdp_internal.stream_days(:shop, '2026-04-23', '2026-05-30')),
  '23 final, 24 missing, 25 missing, 26 final, 27 unavailable, 28 restated, 29 suspect_zero, 30 provisional', 'a day is known as well as its least known partition');
UPDATE cdp_data.coverage SET state = 'provisional' WHERE part = 'c' AND day = '2026-01-20';
UPDATE cdp_data.coverage SET state = 'missing' WHERE part = 'c' AND day = '2026-01-19';
DELETE FROM cdp_data.coverage WHERE part = 'c' AND day = '2026-01-18';
SELECT is((SELECT string_agg(DISTINCT state, ' ') FROM cdp_internal.stream_days(:shop, '2026-01-01', '2026-04-23')), 'final', 'a partition counts from its first day, and one that is gone makes none less known');
DELETE FROM cdp_data.coverage WHERE part = 'b' AND day > '2026-04-25';
SELECT is((SELECT string_agg(to_char(day, 'DD ') || state, ', ' ORDER BY day) FROM cdp_internal.stream_days(:shop, '2026-04-25', '2026-05-30')),
  '25 missing, 26 missing, 27 missing, 28 missing, 29 missing, 30 missing', 'one that is not gone is missing when nobody asks for it');
INSERT INTO cdp_data.coverage (connection_id, stream_id, part, day, source_id, state, records, checked_at, page_id) SELECT :shop, 1, 'b', date '2026-04-26' + d, :source, 'final', 1, '2026-07-01', 1 FROM generate_series(0, 4) d;
UPDATE cdp_data.coverage SET state = 'final' WHERE part <> 'c';
INSERT INTO cdp_data.coverage (connection_id, stream_id, part, day, source_id, state, records, checked_at, page_id) VALUES (:shop, 1, 'a', '2026-04-24', :source, 'final', 1, '2026-07-01', 1);

-- Sums, gauges, ratios.
SELECT pg_temp.put(1, 'a' || d, 'orders', date '2026-04-01' + d, 10 + d, 'a'), pg_temp.put(1, 'b' || d, 'orders', date '2026-04-01' + d, 1, 'b') FROM generate_series(0, 3) d WHERE d <> 2 \g /dev/null
SELECT pg_temp.put(1, 'r1', 'rate', '2026-04-01', 0.5, 'a', 'ratio', 10), pg_temp.put(1, 'r2', 'rate', '2026-04-01', 0.8, 'b', 'ratio', 20), pg_temp.put(1, 'r3', 'rate', '2026-04-02', 0.3, 'b', 'ratio') \g /dev/null
SELECT pg_temp.put(1, 'g1', 'level', '2026-04-01', 5, 'a', 'gauge'), pg_temp.put(1, 'g2', 'level', '2026-04-02', 5, 'a', 'gauge'), pg_temp.put(1, 'g3', 'level', '2026-04-02', 6, 'b', 'gauge'), pg_temp.put(1, 'g4', 'level', '2026-04-02', 9, 'b', 'gauge', total => true) \g /dev/null
SELECT pg_temp.put(1, 't1', 'new', '2026-04-01', 7, dims => '{"s": "1"}'), pg_temp.put(1, 't2', 'new', '2026-04-01', 8, dims => '{"s": "2"}'), pg_temp.put(1, 't3', 'new', '2026-04-01', 15, dims => '{"s": "9"}', total => true), pg_temp.put(1, 't4', 'new', '2026-04-02', 4, dims => '{"s": "9"}', total => true) \g /dev/null
SELECT pg_temp.put(1, 'm1', 'sales', '2026-04-01', 100, currency => 'EUR'), pg_temp.put(1, 'm2', 'sales', '2026-04-01', 30, currency => 'USD') \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', metric, nullif(currency, ''), to_char(day, 'DD'), trim_scale(round(value, 2)), state), ', ' ORDER BY metric, currency, day) FROM cdp_internal.channel_series(:shop, '2026-04-01', '2026-04-04') WHERE metric <> 'sales' OR day = '2026-04-01'),
  'level 01 5 final, level 02 9 final, level 03 final, level 04 final, new 01 15 final, new 02 4 final, new 03 0 final, new 04 0 final, orders 01 11 final, orders 02 12 final, orders 03 0 final, orders 04 14 final, rate 01 0.7 final, rate 02 0.3 final, rate 03 final, rate 04 final, sales EUR 01 100 final, sales USD 01 30 final',
  'sums add and are 0 on days that are there, gauges do not, ratios are weighted, totals count once, currencies stand apart');
SELECT is((SELECT string_agg(concat_ws(' ', metric, day, total, parts, n, cdp_internal.total_fits(total, parts)), ', ' ORDER BY day, metric) FROM cdp_internal.stream_totals(:shop, '2026-01-01', '2026-12-31')), 'new 2026-04-01 15 15 2 t, level 2026-04-02 9 6 1 f', 'totals beside their parts');
SELECT is(ARRAY(SELECT cdp_internal.total_fits(t, p) FROM (VALUES (100, 101), (100, 102), (1000, 990), (1000, 989), (0, 1), (0, 2), (NULL, 1)) AS v (t, p)), '{t,f,t,f,t,f,NULL}'::boolean[], 'within one, or one in a hundred');
SELECT is((SELECT concat_ws(' ', totals, facts -> 'totals', facts -> 'broken_totals') FROM cdp_internal.stream_quality(:shop, '2026-04-20 12:00+02') WHERE stream = 'days'), '0.5000 2 1', 'as part of the quality');
SELECT is((SELECT totals FROM cdp_internal.stream_quality(:shop, '2026-06-20 12:00+02') WHERE stream = 'days'), NULL, 'of the last 30 days');
-- Without a ledger: what was over a day before the last look, in Berlin.
SELECT pg_temp.put(2, 'p' || d, 'likes', date '2026-04-28' + d, 3, content => 'p1') FROM generate_series(0, 3) d \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', to_char(day, 'MM-DD'), value, state), ', ' ORDER BY day) FROM cdp_internal.channel_series(:shop, '2026-04-01', '2026-05-04') WHERE metric = 'likes'), '04-28 3 final, 04-29 3 final, 04-30 3 provisional, 05-01 3 provisional', 'days without a ledger');

-- Anomalies: 120 days with a weekly season, one that is half, one restated, one not final.
DELETE FROM cdp_data.channel_metric;
CREATE FUNCTION pg_temp.usual(d date) RETURNS int LANGUAGE sql AS $$ SELECT CASE WHEN extract(isodow FROM d) > 5 THEN 900 ELSE 600 END + (extract(doy FROM d)::int * 7919 % 31) $$;
SELECT pg_temp.put(1, p || d, 'orders', d, CASE WHEN d = '2026-04-20' THEN 0.5 WHEN d IN ('2026-04-22', '2026-04-30') THEN 0.4 ELSE 1 END * CASE p WHEN 'a' THEN 0.7 ELSE 0.3 END * pg_temp.usual(d), p, standard => 'orders_all')
FROM (SELECT date '2026-01-01' + i AS d FROM generate_series(0, 119) i) x, unnest('{a,b}'::text[]) p \g /dev/null
UPDATE cdp_data.coverage SET restated_at = '2026-06-01' WHERE day = '2026-04-22' AND part = 'b';
UPDATE cdp_data.coverage SET state = 'provisional' WHERE day = '2026-04-30' AND part = 'a';
SELECT is((SELECT string_agg(concat_ws(' ', connection_name, stream, metric, day, verdict), ', ' ORDER BY day) FROM cdp.channel_anomalies()), 'shop days orders 2026-04-20 low', 'half is told; what was restated or may change is not');
SELECT is((SELECT string_agg(to_char(day, 'DD ') || verdict, ', ' ORDER BY day) FROM cdp.channel_anomalies('shop', '2026-04-18', '2026-04-30', true) WHERE verdict <> 'ok'), '20 low, 22 restated, 30 not_final', 'with all days one sees why');
SELECT is((SELECT row(a.day, a.value, a.expected, a.low, a.high, a.score, a.verdict, a.reason)::text FROM cdp.channel_anomalies() a),
  (SELECT a::text FROM unnest((SELECT cdp.anomaly_pass(day, v, state, cdp.anomaly_options(since => '2026-04-03', until => '2026-04-30')) FROM (
    SELECT day, sum(value)::float8 AS v, CASE WHEN day = '2026-04-22' THEN 'restated' WHEN day = '2026-04-30' THEN 'provisional' ELSE 'final' END AS state FROM cdp_data.channel_metric GROUP BY day) x)) a WHERE a.verdict = 'low'), 'as cdp.anomaly_pass() says of the same days');
SELECT is(cdp_internal.watch_anomalies(:shop, '2026-05-01 12:00+00'), 1, 'it is kept');
SELECT is(cdp_internal.watch_anomalies(:shop, '2026-05-01 13:00+00'), 0, 'once');
SELECT is((SELECT concat_ws(' ', connection, stream, metric, standard, day, verdict, found_at AT TIME ZONE 'UTC', gone_at) FROM cdp_bi.channel_anomaly), 'shop days orders orders_all 2026-04-20 low 2026-05-01 12:00:00', 'to be read');
-- An alert on its newest days, and on values.
SELECT cdp.add_destination('ops', 'service'), cdp.add_alert('odd', 'anomaly', 'ops', metric => 'orders_all'), cdp.add_alert('very odd', 'anomaly', 'ops', above => 1000), cdp.add_alert('few', 'metric', 'ops', metric => 'orders', below => 500), cdp.add_alert('band', 'metric', 'ops', 'shop', 'days', 'orders_all', 10, 20) \g /dev/null
SELECT is((SELECT concat_ws(' ', opened, closed, told) FROM cdp_internal.watch_alerts('2026-05-01 12:00+00')), '1 0 1', 'the anomaly is more than two days before the last final one; a value is above a limit');
SELECT is((SELECT string_agg(concat_ws('|', alert, subject, value::numeric(9,2), detail), ', ') FROM cdp_bi.alert_episode), format('band|shop days orders|%s|stream days: orders is %s on 2026-04-29', pg_temp.usual('2026-04-29')::numeric(9,2), (pg_temp.usual('2026-04-29'))::numeric(9,1)), 'on the last final day');
UPDATE cdp_data.channel_metric SET value = value * 0.2 WHERE day = '2026-04-28';
SELECT is(cdp_internal.watch_anomalies(:shop, '2026-05-01 14:00+00'), 1, 'another one');
SELECT is((SELECT concat_ws(' ', opened, closed, told) FROM cdp_internal.watch_alerts('2026-05-01 14:00+00')), '1 0 1', 'within the last three days');
SELECT is((SELECT concat_ws('|', alert, subject, value = (SELECT abs(score)::numeric FROM cdp_bi.channel_anomaly WHERE day = '2026-04-28'), detail ~ '^2026-04-28: .* usual error below$') FROM cdp_bi.alert_episode WHERE alert = 'odd'), 'odd|shop days orders|t|t', 'with its score and reason');
SELECT is((SELECT concat_ws(' ', payload -> 'limit', payload ->> 'value') FROM cdp_data.outbox WHERE payload ->> 'alert' = 'band'), '20 ' || pg_temp.usual('2026-04-29')::numeric(9,1), 'a message names the limit that was passed');
-- A restatement: no anomaly any more.
UPDATE cdp_data.coverage SET restated_at = '2026-06-02' WHERE day = '2026-04-28' AND part = 'a';
SELECT is(cdp_internal.watch_anomalies(:shop, '2026-05-01 15:00+00'), 0, 'the vendor changes the day');
SELECT is((SELECT string_agg(concat_ws(' ', day, gone_at AT TIME ZONE 'UTC'), ', ' ORDER BY day) FROM cdp_bi.channel_anomaly), '2026-04-20, 2026-04-28 2026-05-01 15:00:00', 'and it is gone');
SELECT is((SELECT concat_ws(' ', opened, closed, told) FROM cdp_internal.watch_alerts('2026-05-01 17:00+00')), '0 1 1', 'so is the alert');
-- Money below zero, gauges and ratios have errors of their own.
SELECT is(ARRAY(SELECT o - 'absent' - 'season' - 'window' - 'threshold' FROM (VALUES (cdp_internal.series_options('sum', '{1,2}', NULL, NULL)), (cdp_internal.series_options('sum', '{-100,100,300}', NULL, NULL)), (cdp_internal.series_options('gauge', '{1000,2000,3000}', NULL, NULL)), (cdp_internal.series_options('ratio', '{0.5}', NULL, NULL))) AS v (o))::text,
  ARRAY(SELECT o - 'absent' - 'season' - 'window' - 'threshold' FROM (VALUES (cdp.anomaly_options()), (cdp.anomaly_options(transform => 'none', floor => 2)), (cdp.anomaly_options(transform => 'none', floor => 2)), (cdp.anomaly_options(transform => 'none', floor => 0.01))) AS v (o))::text, 'options of each kind');

-- What is no figure of a day breaks nothing.
SELECT pg_temp.put(1, 'big' || d, 'number', date '2026-01-01' + d, CASE WHEN d % 2 = 0 THEN 10::numeric ^ 400 ELSE 5 END) FROM generate_series(0, 119) d \g /dev/null
SELECT is((SELECT string_agg(DISTINCT verdict, ' ' ORDER BY verdict) FROM cdp.channel_anomalies('shop', all_days => true) WHERE metric = 'number' AND value IS NULL), 'no_value', 'a number that is none has no value');
SELECT lives_ok('SELECT * FROM cdp.channel_trends()', 'and no trend fails by it');

-- Trends.
DELETE FROM cdp_data.channel_metric;
SELECT pg_temp.put(1, 'x' || d, 'orders', date '2026-01-01' + d, CASE WHEN d < 90 THEN 100 ELSE 160 END), pg_temp.put(1, 'y' || d, 'visits', date '2026-01-01' + d, 1000 + 5 * d) FROM generate_series(0, 119) d \g /dev/null
UPDATE cdp_data.coverage SET state = 'final', restated_at = NULL;
SELECT is((SELECT string_agg(concat_ws(' ', metric, n, first_day, last_day, round(slope::numeric, 2), round(level), p < 0.001, change_day, before, after), ', ' ORDER BY metric) FROM cdp.channel_trends('shop')),
  'orders 56 2026-03-06 2026-04-30 ' || (SELECT concat_ws(' ', round((t).slope::numeric, 2), round((t).level), (t).p < 0.001) FROM (SELECT cdp.daily_trend(date '2026-03-06' + d, CASE WHEN d < 26 THEN 100 ELSE 160 END, NULL::boolean, NULL) AS t FROM generate_series(0, 55) d) x) || ' 2026-04-01 100 160, visits 56 2026-03-06 2026-04-30 5.00 1458 t ' || (SELECT concat_ws(' ', change_day, before, after) FROM cdp.channel_trends('shop') WHERE metric = 'visits'), 'slope, and since when there is another level');
SELECT throws_ok($$SELECT * FROM cdp.channel_trends(days => 13)$$, '22023', NULL, 'too few days');
SELECT throws_ok($$SELECT * FROM cdp.channel_trends('shp')$$, '22023', NULL, 'an unknown connection');
SELECT throws_ok($$SELECT * FROM cdp.channel_anomalies(since => '2026-02-01', until => '2026-01-01')$$, '22023', NULL, 'days backwards');
SELECT throws_ok($$SELECT * FROM cdp.channel_anomalies(since => '-infinity')$$, '22023', NULL, 'days without end');

-- Analysts see the figures.
CREATE ROLE series_analyst; CREATE ROLE series_reader;
CALL cdp.setup(analyst => 'series_analyst', reader => 'series_reader');
SET ROLE series_analyst;
SELECT is((SELECT count(*) FROM cdp.channel_trends()) || ' ' || (SELECT count(*) FROM cdp.channel_anomalies(all_days => true)) || ' ' || (SELECT count(*) FROM cdp_bi.channel_anomaly), '2 56 2', 'analysts may');
SET ROLE series_reader;
SELECT throws_ok($$SELECT * FROM cdp.channel_trends()$$, '42501', NULL, 'readers may not');
RESET ROLE;
SELECT * FROM finish();
