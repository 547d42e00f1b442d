-- The data check finds what was planted, says how bad it is, and stays silent otherwise.
BEGIN;
SELECT plan(23);
SET client_min_messages = error;
INSERT INTO cdp_data.source (source_id, name) VALUES (900, 'shop');
INSERT INTO cdp_data.load (load_id, source_id, state, started_at) VALUES (900, 900, 'done', now());
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO cdp_data.origin (origin_id, source, medium) VALUES (901, 'google', 'cpc'), (902, 'newsletter', 'email');
CREATE FUNCTION pg_temp.touch(customer bigint, at timestamptz, kind int DEFAULT 4, value numeric DEFAULT NULL, currency text DEFAULT NULL, refers_to bigint DEFAULT NULL, flags int DEFAULT 0)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, value, currency, refers_to, flags)
  VALUES (customer, customer, at, 901, 900, 900, kind, value, currency, refers_to, flags) $$;
SELECT is((SELECT string_agg(finding, ', ' ORDER BY finding) FROM cdp.attribution_data_check() WHERE severity = 'error'), 'no conversions, no touches', 'an empty database');
SELECT pg_temp.touch(1, '2026-03-01'), pg_temp.touch(1, '2026-03-02', 60, 10, 'CNY'), pg_temp.touch(2, '2026-03-01'), pg_temp.touch(2, '2026-03-03', 60, 20, 'CNY');
SELECT is((SELECT string_agg(finding, ', ') FROM cdp.attribution_data_check() WHERE severity <> 'ok'), NULL, 'clean data: every check is ok');
SELECT is((SELECT count(remedy) FROM cdp.attribution_data_check()), 0::bigint, 'and asks for nothing');

INSERT INTO cdp_data.quarantine (load_id, source_id, row_no, original, code, reason) VALUES (900, 900, 1, '{}', 'bad_time', 'no time'), (900, 900, 2, '{}', 'unknown_kind', 'no kind');
SELECT pg_temp.touch(3, '2026-03-05 10:00', 60, 5, 'CNY'), pg_temp.touch(3, '2026-03-05 10:04');                      -- touch just after
SELECT pg_temp.touch(4, now() + interval '3 hours');                                                                -- future, and before its load
SELECT pg_temp.touch(5, '2026-03-01'), pg_temp.touch(5, '2026-03-01');                                              -- duplicate
SELECT pg_temp.touch(6, '2026-03-01', flags => 1), pg_temp.touch(6, '2026-03-02', flags => 2);
SELECT count(pg_temp.touch(7, timestamptz '2026-03-01' + i * interval '1 second')) FROM generate_series(1, 501) i;  -- likely a bot
SELECT pg_temp.touch(8, '2026-03-01', 60, 7, 'USD'), pg_temp.touch(8, '2026-03-01', 60, 8, NULL), pg_temp.touch(8, '2026-03-02', 62);
SELECT pg_temp.touch(9, '2026-03-01', 80, -7, 'CNY', 12345678);
CREATE TEMP TABLE found AS SELECT * FROM cdp.attribution_data_check();
SELECT is((SELECT found || ' ' || severity FROM found f WHERE f.finding = v.finding), v.want, v.finding)
FROM (VALUES ('untimed rows', '1 warning'), ('quarantine', '2 warning'), ('conversions without touches', '4 warning'), ('touch just after its conversion', '1 warning'),
  ('rows in the future', '1 warning'), ('loaded before it happened', '1 warning'), ('duplicates', '1 warning'), ('bots', '1 info'), ('internal traffic', '1 info'),
  ('likely bots', '501 warning'), ('missing rates', '1 error'), ('value without currency', '1 warning'), ('conversions without value', '1 info'), ('refunds without conversion', '1 warning')) v (finding, want);
SELECT is((SELECT count(*) FROM found WHERE severity <> 'ok' AND remedy IS NULL), 0::bigint, 'each finding has a remedy');
SELECT is((SELECT found FROM cdp.attribution_data_check(since => '2026-04-01', until => '2026-05-01') WHERE finding = 'duplicates'), 0::bigint, 'a window looks at its rows only');

CREATE TABLE public."My events" ("user" text, seen timestamptz, "the channel" text, revenue float8);
INSERT INTO public."My events" VALUES ('a', '2026-03-01', 'x', NULL), ('a', '2026-03-02', NULL, 5), ('b', NULL, 'x', NULL), ('b', 'infinity', 'x', NULL), (NULL, '2026-03-01', 'x', NULL),
  ('c', '2026-03-01', NULL, NULL), ('d', '2026-03-01', NULL, 7), ('d', '2026-03-01 00:03', 'y', NULL), ('e', '2026-03-01', 'x', NULL), ('e', '2026-03-01', 'x', NULL), ('f', '2026-03-01', NULL, 'NaN'), ('g', '2026-03-01', NULL, -3);
SELECT is((SELECT jsonb_object_agg(finding, found) FROM cdp.attribution_table_check('"My events"', 'user', 'seen', 'the channel', 'revenue') WHERE found > 0),
  '{"untimed rows": 2, "touches without key": 1, "touches without label": 1, "odd values": 1, "conversions without touches": 1, "refunds without conversion": 1, "duplicates": 1, "touch just after its conversion": 1}'::jsonb,
  'the same on a table of one''s own');
SELECT throws_ok($$ SELECT * FROM cdp.attribution_table_check('"My events"', 'usr', 'seen', 'the channel', 'revenue') $$, '42703', NULL, 'a wrong column is named');
SELECT throws_ok($$ SELECT * FROM cdp.attribution_table_check('"My events"', 'user; drop table x', 'seen', 'the channel', 'revenue') $$, '42703', NULL, 'and is never run as SQL');
SELECT is((SELECT bool_and(total >= found) FROM found), true, 'nothing is found more often than it is there');
SELECT * FROM finish();
ROLLBACK;
