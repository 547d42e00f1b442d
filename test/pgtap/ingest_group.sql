-- Groups: of each trait what was said last counts, in whatever order and by whichever load it came; compared with an oracle.
SELECT plan(11);
SELECT cdp.add_source('app'), cdp.add_source('other');
SELECT cdp.group('app', '{"user_id": "g1"}', 'acme', '{"a": 1}', '2026-01-01 10:00Z');
SELECT cdp.group('app', '{"user_id": "g1"}', 'acme', '{"b": 2}', '2026-01-01 12:00Z');
SELECT cdp.group('app', '{"user_id": "g2"}', 'acme', '{"a": 3}', '2026-01-01 11:00Z');
SELECT is((SELECT traits FROM cdp.customer_groups(cdp.customer_of('user_id', 'g1'))), '{"a": 3, "b": 2}', 'a late message brings one trait up to date');
SELECT cdp.group('app', '{"user_id": "g1"}', 'acme', '{"a": 0}', '2026-01-01 10:30Z');
SELECT is((SELECT traits FROM cdp.customer_groups(cdp.customer_of('user_id', 'g1'))), '{"a": 3, "b": 2}', 'and is behind with another');
SELECT is((SELECT (first_at AT TIME ZONE 'UTC', last_at AT TIME ZONE 'UTC')::text FROM cdp.customer_groups(cdp.customer_of('user_id', 'g1'))), '("2026-01-01 10:00:00","2026-01-01 12:00:00")', 'membership has its own times');
SELECT cdp.group('app', '{"user_id": "g1"}', 'one', '{"a": "x"}', '2026-01-01 10:00Z'), cdp.group('app', '{"user_id": "g1"}', 'one', '{"a": "y"}', '2026-01-01 10:00Z'),
  cdp.group('app', '{"user_id": "g1"}', 'two', '{"a": "y"}', '2026-01-01 10:00Z'), cdp.group('app', '{"user_id": "g1"}', 'two', '{"a": "x"}', '2026-01-01 10:00Z');
SELECT is((SELECT count(DISTINCT traits) FROM cdp.customer_groups(cdp.customer_of('user_id', 'g1')) WHERE group_key IN ('one', 'two')), 1::bigint, 'at one moment the order of coming does not matter');
SELECT throws_ok($$SELECT cdp.group('app', '{"user_id": "g1"}', 'acme', jsonb_build_object(repeat('n', 801), 1))$$, '22023', 'the name of a trait has more than 800 bytes', 'a name has an end');
SELECT is((SELECT status FROM cdp.group('app', '{"user_id": "g1"}', 'long', jsonb_build_object('v', repeat('x', 1000000)))), 'written', 'a long value is a value');
SELECT is((SELECT count(*) FROM cdp.customer_groups(NULL)) + (SELECT count(*) FROM cdp.customer_groups(999999)), 0::bigint, 'nobody is in no group');

-- Random calls of two days and two orders
CREATE TEMP TABLE said AS SELECT n, 'r' || n % 3 AS grp, 't' || n * 7 % 5 AS trait, timestamptz '2026-03-01 00:00Z' + n * 37 % 20 * interval '1 hour' AS at, (n * 13 % 6)::text AS value FROM generate_series(1, 120) n;
SELECT cdp.group('app', '{"user_id": "rnd"}', grp, jsonb_build_object(trait, value), at) FROM said WHERE n <= 60 ORDER BY n;
UPDATE cdp_data.load SET started_at = started_at - interval '1 day' WHERE kind = 'calls';
SELECT cdp.group('app', '{"user_id": "rnd"}', grp, jsonb_build_object(trait, value), at) FROM said WHERE n > 60 ORDER BY n DESC;
CREATE FUNCTION pg_temp.wanted(upto integer) RETURNS TABLE (group_key text, traits jsonb) LANGUAGE sql AS $$
  SELECT grp, jsonb_object_agg(trait, value) FROM (SELECT DISTINCT ON (grp, trait) grp, trait, value FROM said WHERE n <= upto ORDER BY grp, trait, at DESC, to_jsonb(value)::text COLLATE "C") x GROUP BY grp $$;
SELECT set_eq($$SELECT group_key COLLATE "default", traits FROM cdp.customer_groups(cdp.customer_of('user_id', 'rnd'))$$, 'SELECT * FROM pg_temp.wanted(120)', 'the same as all that was said, sorted');
SELECT cdp.revert_load(max(load_id)) FROM cdp_data.load WHERE kind = 'calls';
SELECT set_eq($$SELECT group_key COLLATE "default", traits FROM cdp.customer_groups(cdp.customer_of('user_id', 'rnd'))$$, 'SELECT * FROM pg_temp.wanted(60)', 'without the second day as if it had not been');
SELECT cdp.retry_load(max(load_id)) FROM cdp_data.load WHERE kind = 'calls';
SELECT set_eq($$SELECT group_key COLLATE "default", traits FROM cdp.customer_groups(cdp.customer_of('user_id', 'rnd'))$$, 'SELECT * FROM pg_temp.wanted(120)', 'and back');
SELECT cdp.group('other', '{"user_id": "rnd"}', 'r1', '{"t1": "theirs"}');
SELECT is((SELECT count(*) FROM cdp.customer_groups(cdp.customer_of('user_id', 'rnd'))), 4::bigint, 'a key is that of its source');
SELECT * FROM finish();
