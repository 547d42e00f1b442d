-- Quality of the data of connections: known answers for each part and the score, the form of records learned and compared, who may.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'America/New_York';

-- A stream by days in Berlin, ready at 06:00, one that is asked every day, and one by partition.
CREATE FUNCTION pg_temp.shop(key text DEFAULT 'id', every text DEFAULT '1 day') RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('connector', 'my_shop', 'version', 1, 'base_url', 'https://shop.example', 'tz', 'Europe/Berlin',
  'streams', jsonb_build_object(
    'days', '{"path": "/days", "query": {"from": "$window.from", "to": "$window.to"}, "window": {"unit": "day", "end": "last_day", "max_days": 31, "ready_at": "06:00", "final_after_days": 2, "format": "date"},
      "records": "$.rows[*]", "key": ["day", "kind"], "ref_date": {"path": "day", "format": "date"}, "dimensions": {"kind": "kind"}, "metrics": {"orders": "sum", "sales": {"path": "money.sales", "kind": "sum"}}}'::jsonb,
    'goods', jsonb_build_object('path', '/goods', 'cursor', '{"send": "query.cursor", "take": "$.next"}'::jsonb, 'records', '$.rows[*]', 'key', jsonb_build_array(key), 'every', every))) $$;
SELECT cdp.add_source('shop'), cdp.add_connector(pg_temp.shop()), cdp.create_connection('shop', 'my_shop', '{}', 'shop') \g /dev/null
SELECT connection_id AS shop FROM cdp_data.connection WHERE name = 'shop' \gset
CREATE FUNCTION pg_temp.days(first date, rows jsonb[], at text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.verb, r.inserted, r.changed, r.refused, r.problem) FROM cdp.ingest_page('shop', 'days', convert_to(jsonb_build_object('rows', to_jsonb(rows))::text, 'UTF8'), NULL, first, first + 6, fetched_at => (at || '+01')::timestamptz) r $$;
CREATE FUNCTION pg_temp.goods(rows jsonb[], cursor text, next text, at text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.verb, r.inserted, r.changed, r.refused, r.problem) FROM cdp.ingest_page('shop', 'goods', convert_to(jsonb_build_object('rows', to_jsonb(rows), 'next', next)::text, 'UTF8'), cursor => to_jsonb(cursor), fetched_at => (at || '+01')::timestamptz) r $$;
CREATE FUNCTION pg_temp.parts(of text, at text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', coalesce(completeness::text, '-'), coalesce(freshness::text, '-'), coalesce(validity::text, '-'), coalesce(schema::text, '-'), coalesce(uniqueness::text, '-'), coalesce(score::text, '-'))
  FROM cdp_internal.stream_quality((SELECT connection_id FROM cdp_data.connection WHERE name = 'shop'), (at || '+01')::timestamptz) WHERE stream = of $$;
CREATE FUNCTION pg_temp.row(day date, kind text, orders integer) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('day', day, 'kind', kind, 'orders', orders, 'money', jsonb_build_object('sales', orders * 2, 'currency', 'EUR')) $$;

SELECT is((SELECT round(sum(weight), 4) FROM cdp_internal.quality_weights()), 1.0000, 'weights are 1 together');
SELECT is(ARRAY(SELECT cdp_internal.quality_score(v::jsonb) FROM unnest(ARRAY['{}', '{"freshness": 0.5}', '{"completeness": 1, "freshness": 0, "validity": null}', '{"completeness": 1, "freshness": 1, "validity": 1, "schema": 1, "uniqueness": 1, "totals": 0}']) v),
  ARRAY[NULL, 0.5000, 0.6667, 0.9500], 'a score weighs the parts that are known');
SELECT is(ARRAY(SELECT round(cdp_internal.freshness_of(v), 2) FROM unnest(ARRAY[-1, 0, 1.75, 7, 99, NULL]) v), ARRAY[1, 1, 0.75, 0, 0, NULL]::numeric[], 'seven turns late is as late as can be');
SELECT is(cdp_internal.connection_quality(:shop, '2026-03-10 12:00+01'), NULL, 'nothing landed: no quality');

-- A week of which all is there.
SELECT is(pg_temp.days('2026-03-02', ARRAY(SELECT pg_temp.row(date '2026-03-02' + i, k, 5 + i) FROM generate_series(0, 6) i, unnest('{web,app}'::text[]) k), '2026-03-09 07:00'), 'ok 14 0 0', 'a week lands');
SELECT is(pg_temp.parts('days', '2026-03-09 07:00'), '1.0000 1.0000 1.0000 - 1.0000 1.0000', 'all is there, in time, once; its form is not known yet');
SELECT is(pg_temp.parts('days', '2026-03-10 05:59'), '1.0000 1.0000 1.0000 - 1.0000 1.0000', 'the next day is due when it is ready');
SELECT is(pg_temp.parts('days', '2026-03-10 06:00'), '0.8750 0.8571 1.0000 - 1.0000 0.9263', 'then it is missing, and a day late');
SELECT is(round((0.30 * 7 / 8 + 0.15 * 6 / 7 + 0.25 + 0.10) / 0.80, 4), 0.9263, 'as reckoned by hand');
SELECT is(pg_temp.parts('days', '2026-03-16 06:59'), '0.5000 0.0000 1.0000 - 1.0000 0.6250', 'seven days late there is no freshness left; pages of the last seven days still count');
SELECT is(pg_temp.parts('days', '2026-03-16 07:00'), '0.5000 0.0000 - - 1.0000 0.4545', 'older ones do not');

-- Refused, and told twice in a pull.
SELECT is(pg_temp.goods(ARRAY(SELECT jsonb_build_object('id', i, 'note', 'n') FROM generate_series(1, 8) i) || '{"note": "x"}'::jsonb || '{"note": "y"}'::jsonb, NULL, 'c2', '2026-03-09 08:00'), 'ok 8 0 2', 'two of ten have no key');
SELECT is(pg_temp.parts('goods', '2026-03-09 08:00'), '0.0000 1.0000 0.8000 - 1.0000 0.5625', 'in the midst of a pull nothing is whole');
SELECT is(round((0.15 + 0.25 * 0.8 + 0.10) / 0.80, 4), 0.5625, 'as reckoned by hand');
SELECT is(pg_temp.goods(ARRAY(SELECT jsonb_build_object('id', i, 'note', 'n') FROM generate_series(7, 10) i), 'c2', '', '2026-03-09 08:01'), 'ok 2 0 0', 'a page that overlaps the one before');
SELECT is(pg_temp.parts('goods', '2026-03-09 08:01'), '1.0000 1.0000 0.8571 - 0.8333 0.9345', 'two of twelve came twice');
SELECT is((SELECT facts - 'last_fetched_at' FROM cdp_internal.stream_quality(:shop, '2026-03-09 08:01+01') WHERE stream = 'goods'),
  '{"parts": 1, "open_parts": 0, "late_parts": 0, "every": "1 day", "records": 14, "refused": 2, "pages": 2, "pull_records": 12, "repeats": 2}'::jsonb, 'with the counts');
SELECT is(pg_temp.parts('goods', '2026-03-11 08:01'), '1.0000 0.8571 0.8571 - 0.8333 0.9077', 'one turn was left out');
SELECT cdp.add_connector(pg_temp.shop(every => '10 min')) \g /dev/null
SELECT is(pg_temp.parts('goods', '2026-03-09 08:11'), '1.0000 1.0000 0.8571 - 0.8333 0.9345', 'ten minutes later the next turn is not over') FROM (SELECT 1) x;
SELECT is(pg_temp.parts('goods', '2026-03-09 08:56'), '1.0000 0.3571 0.8571 - 0.8333 0.8140', 'four and a half turns are left out');
SELECT cdp.add_connector(pg_temp.shop()) \g /dev/null
SELECT is(cdp_internal.connection_quality(:shop, '2026-03-09 08:01+01'), round((1.0000 + 0.9345) / 2, 4), 'a connection is the mean of its streams');

-- What is written by the clock.
UPDATE cdp_data.connection SET state = 'live' WHERE name = 'shop';
CALL cdp.watch('2026-03-09 08:01+01');
SELECT is((SELECT string_agg(concat_ws(' ', stream, day, score, completeness, is_newest), ', ' ORDER BY stream) FROM cdp_bi.stream_quality), 'days 2026-03-09 1.0000 1.0000 t, goods 2026-03-09 0.9345 1.0000 t', 'each stream, of the day in the zone of reports');
SELECT is((SELECT concat_ws(' ', connection, day, score, streams, worst_stream, worst_score) FROM cdp_bi.channel_quality), 'shop 2026-03-09 0.9673 2 goods 0.9345', 'and the connection');
CALL cdp.watch('2026-03-09 07:00+01');
SELECT is((SELECT count(*) || ' ' || max(at) FROM cdp_data.channel_quality), '2 2026-03-09 03:01:00-04', 'the last one of a day stays');
CALL cdp.watch('2026-03-12 18:00+01');
SELECT is((SELECT string_agg(concat_ws(' ', day, score, worst_stream), ', ' ORDER BY day) FROM cdp_bi.channel_quality), '2026-03-09 0.9673 goods, 2026-03-13 0.8385 days', 'another day is another row; its zone is that of cdp_data.setting');
SELECT is((SELECT string_agg(detail, '; ') FROM cdp.health() WHERE finding = 'quality_low'), 'connection shop: 0.8385, worst is stream days with 0.8071', 'health tells of what is below min_quality');

-- The form of records.
SELECT is((SELECT string_agg(concat_ws(' ', path, type, n), ', ' ORDER BY path, type) FROM cdp_internal.shape_of(ARRAY['{"a": 1, "b": {"c": "x", "2026-03-02": 5, "d.e": 1}, "l": [{"m": 1}, {"m": "1"}, 7], "z": null}', '{"a": "1", "l": []}', '"text"']::jsonb[])),
  '$ string 1, a number 1, a string 1, b object 1, b.* number 1, b.c string 1, l array 2, l[*] number 1, l[*] object 1, l[*].m number 1, l[*].m string 1', 'paths, types, and in how many records; what looks like a value is no name');
SELECT is(ARRAY(SELECT cdp_internal.shape_step(s) FROM unnest('{chat_cnt,ref_date,read_user7d,h264,a@b.c,2026-03-02,13812345678,oAbCdEfGhIjKlMnOpQrStUv9xyz0,Bestellwert (EUR),订单数,a.b,"x[1]",""}'::text[]) s),
  '{chat_cnt,ref_date,read_user7d,h264,*,*,*,*,Bestellwert (EUR),订单数,*,*,*}'::text[], 'names of fields, and what is none');
SELECT is(ARRAY(SELECT cdp_internal.shape_parent(p) FROM unnest('{a,a.b,a[*],a[*].b,a[*][*]}'::text[]) p), '{"",a,a,a[*],a[*]}'::text[], 'what lies above');
SELECT is((SELECT string_agg(p || ' ' || cdp_internal.shape_is_used(p, pg_temp.shop() #> '{streams,days}'), ', ') FROM unnest('{day,kind,orders,money,money.sales,money.currency,other,$}'::text[]) p),
  'day true, kind true, orders true, money true, money.sales true, money.currency false, other false, $ false', 'what the manifest reads');
SELECT is(cdp_internal.shape_is_used('$', '{"key": ["@"]}') AND cdp_internal.shape_is_used('follow.tags[*].name', '{"dimensions": {"t": "follow.tags"}}'), true, 'a record that is a text; what lies below a path');
-- 400 good ones in four looks; "price" in all, "note" in one of ten.
CREATE FUNCTION pg_temp.make(i integer, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_strip_nulls(jsonb_build_object('id', i, 'price', jsonb_build_object('amount', 1, 'unit', 'EUR'), 'note', CASE WHEN i % 10 = 0 THEN 'x' END)) || more $$;
CREATE FUNCTION pg_temp.look(day integer, first integer, n integer, more jsonb DEFAULT '{}', less text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_temp.goods(ARRAY(SELECT pg_temp.make(i, more) - less FROM generate_series(first, first + n - 1) i), NULL, '', to_char(date '2026-03-13' + day, 'YYYY-MM-DD') || ' 08:00');
  PERFORM cdp_internal.watch_connection((SELECT connection_id FROM cdp_data.connection WHERE name = 'shop'), (to_char(date '2026-03-13' + day, 'YYYY-MM-DD') || ' 08:30+01')::timestamptz);
  RETURN (SELECT string_agg(concat_ws(' ', stream, kind, path, is_used, detail, closed_by), '; ' ORDER BY drift_id) FROM cdp_bi.stream_drift);
END $$;
SELECT is((SELECT concat_ws(' ', records, page_id = (SELECT max(page_id) FROM cdp_data.raw_page p WHERE p.stream_id = q.stream_id)) FROM cdp_data.stream_profile q JOIN cdp_data.stream USING (connection_id, stream_id) WHERE name = 'goods'), '12 t', 'ten records and two refused ones were looked at');
SELECT is(pg_temp.look(0, 100, 40), NULL, 'forty are learned, though "price" is new to them');
SELECT is(pg_temp.parts('goods', '2026-03-13 08:30'), '1.0000 1.0000 0.9630 1.0000 1.0000 0.9903', 'then the form counts');
SELECT is(pg_temp.look(1, 200, 400), NULL, 'and more; no field is missing that only some have');
SELECT is((SELECT string_agg(concat_ws(' ', path, types::text, seen, of), ', ' ORDER BY path) FROM cdp_data.stream_shape JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = 'goods'),
  'id {number} 450 452, note {string} 56 452, price {object} 440 452, price.amount {number} 440 452, price.unit {string} 440 452', 'what is known');
SELECT is(pg_temp.look(2, 200, 400), NULL, 'told again unchanged, nothing is looked at again');
SELECT is((SELECT records FROM cdp_data.stream_profile JOIN cdp_data.stream USING (connection_id, stream_id) WHERE name = 'goods'), 452::bigint, 'nor counted');
SELECT is(pg_temp.look(3, 700, 4, '{}', 'price'), NULL, 'four say nothing');
SELECT is(pg_temp.look(4, 704, 16, '{"size": "L"}', 'price'), 'goods missing price f in 440 of 452 records, now in none of 16; goods new size f in none of 452 records, now in 16 of 16', 'sixteen do: a field vanished with all below it, another came');
SELECT is(pg_temp.parts('goods', '2026-03-17 08:30'), '1.0000 1.0000 1.0000 0.2500 1.0000 0.8816', 'three of the four paths that nearly all had are gone; what is new takes nothing');
SELECT is((SELECT concat_ws(' ', seen, of) FROM cdp_data.stream_shape WHERE path = 'price.unit'), '440 452', 'it keeps what was known of it');
SELECT is(pg_temp.look(5, 720, 10), 'goods missing price f in 440 of 452 records, now in none of 16 back; goods new size f in none of 452 records, now in 16 of 16', 'it is back');
SELECT is(pg_temp.look(6, 800, 30, '{"price": "1 EUR"}') ~ '; goods type price f object in 450 records, now string in 30 of 30$', true, 'another type') ;
SELECT is((SELECT types::text FROM cdp_data.stream_shape WHERE path = 'price'), '{object}', 'is not learned while it is told of');
SELECT is((SELECT string_agg(d.kind || ' ' || d.path, ', ' ORDER BY d.kind, d.path) FROM cdp_bi.stream_drift d WHERE d.closed_at IS NULL), 'new size, type price', 'what lay below is told by that');
-- A key that has another name: its records are refused, and looked at all the same.
SELECT is(pg_temp.look(7, 900, 30, '{"number": 1}', 'id') ~ 'goods missing id t in [0-9]+ of [0-9]+ records, now in none of 30', true, 'a key that vanished is used');
SELECT is((pg_temp.parts('goods', '2026-03-20 08:30') ~ '^1.0000 1.0000 0.[0-9]+ 0 '), true, 'a form that the manifest can not read is worth nothing');
SELECT is((SELECT string_agg(finding || ': ' || detail, '; ') FROM cdp.health() WHERE finding = 'schema_drift'), 'schema_drift: stream goods of connection shop: id is missing', 'health tells of what is read');
SELECT is(cdp.accept_schema('shop', 'goods'), 3, 'somebody says that it is right');
SELECT is((SELECT count(*) FROM cdp_bi.stream_drift WHERE closed_at IS NULL) || ' ' || (SELECT count(*) FROM cdp_data.stream_shape s JOIN cdp_data.stream USING (connection_id, stream_id) WHERE name = 'goods'), '0 0', 'all is closed and learned anew');
SELECT is((SELECT string_agg(DISTINCT closed_by, ' ') FROM cdp_bi.stream_drift), 'accepted back', 'with who closed it');
SELECT pg_temp.look(8, 1000, 60) \g /dev/null
SELECT is(pg_temp.look(9, 1100, 60, '{}', 'price') ~ 'price f in 60 of 60 records, now in none of 60$', true, 'learned anew, it is told anew');
SELECT is(pg_temp.look(38, 1200, 30, '{}', 'price') ~ '60$', true, 'for thirty days');
SELECT is(pg_temp.look(39, 1300, 30, '{}', 'price') ~ '60 settled$', true, 'then it is how it is');
SELECT is((SELECT count(*) FROM cdp_data.stream_shape WHERE path ~ '^price'), 0::bigint, 'and forgotten');
SELECT throws_ok($$SELECT cdp.accept_schema('shop', 'good')$$, '22023', 'nothing landed from stream "good"', 'an unknown stream');
SELECT throws_ok($$SELECT cdp.accept_schema('nope', 'goods')$$, '22023', NULL, 'an unknown connection');

-- Erasure, rights, and a stream that the manifest has not any more.
SELECT pg_temp.look(40, 1400, 30, '{"u77xy": 1}') \g /dev/null
SELECT cdp.track('shop', 'visit', '{"user_id": "u77xy"}') \g /dev/null
INSERT INTO cdp_data.alert_episode (alert_id, subject, connection_id, source_id, opened_at, seen_at, detail) SELECT 1, d, connection_id, source_id, now(), now(), d FROM cdp_data.connection, unnest(ARRAY['stream goods: u77xy is missing', 'stream goods: price is missing']) d WHERE name = 'shop';
SELECT is((SELECT count(*) FROM cdp_data.stream_shape WHERE path = 'u77xy') || ' ' || (SELECT (cdp.erase_customer(cdp.customer_of('user_id', 'u77xy')) IS NOT NULL)) , '1 true', 'an identifier as the name of a field');
SELECT is((SELECT count(*) FROM cdp_data.stream_shape WHERE path = 'u77xy') + (SELECT count(*) FROM cdp_data.stream_drift WHERE path = 'u77xy'), 0::bigint, 'goes with the person');
SELECT is((SELECT string_agg(detail, ', ' ORDER BY detail) FROM cdp_data.alert_episode), 'erased, stream goods: price is missing', 'also out of what alerts said');
CREATE ROLE quality_analyst;
CREATE ROLE quality_reader;
CALL cdp.setup(analyst => 'quality_analyst', reader => 'quality_reader');
SET ROLE quality_analyst;
SELECT is((SELECT count(*) > 0 FROM cdp_bi.channel_quality) AND (SELECT count(*) > 0 FROM cdp_bi.stream_drift), true, 'analysts see it');
SELECT throws_ok($$SELECT cdp.accept_schema('shop', 'goods')$$, '42501', NULL, 'and accept nothing');
SET ROLE quality_reader;
SELECT throws_ok($$SELECT * FROM cdp_bi.channel_quality$$, '42501', NULL, 'readers do not');
RESET ROLE;
SELECT cdp.add_connector(pg_temp.shop() #- '{streams,goods}') \g /dev/null
SELECT is((SELECT string_agg(stream, ' ') FROM cdp_internal.stream_quality(:shop, '2026-03-20 12:00+01')), 'days', 'a stream that the manifest has not any more is not judged');
SELECT * FROM finish();
