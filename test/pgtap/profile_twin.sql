-- Survivorship: every strategy by hand, against a slow twin in plain SQL on random data, and by all three roads.
BEGIN;
SELECT plan(63);
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY');
SET LOCAL TimeZone = 'America/New_York';
SET LOCAL DateStyle = 'SQL, DMY';
SET LOCAL client_min_messages = warning;

INSERT INTO cdp_data.source (source_id, name) VALUES (1, 'crm'), (2, 'shop'), (3, 'app'), (4, 'form');
INSERT INTO cdp_data.load (load_id, source_id, kind, state)
SELECT i, 1 + i % 4, 'test', CASE WHEN i % 5 = 0 THEN 'reverted' WHEN i = 11 THEN 'running' ELSE 'done' END FROM generate_series(1, 20) i;
UPDATE cdp_data.load SET xid = '3' WHERE load_id = 11; -- somebody else's

-- By hand: one customer, identifiers 1 and 2.
INSERT INTO cdp_data.customer (customer_id, parent_id) VALUES (1, 1), (2, 1);
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) VALUES (1, 1, 'a', 1), (2, 3, '+861', 2);
CREATE FUNCTION pg_temp.says(identifier bigint, source integer, load bigint, attribute text, value text, at text, last text DEFAULT NULL, verified boolean DEFAULT false) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO cdp_data.attribute_value (customer_id, identifier_id, load_id, first_at, last_at, attribute_id, source_id, verified, value)
  SELECT i.customer_id, i.identifier_id, load, at::date::timestamp AT TIME ZONE 'UTC', coalesce(last, at)::date::timestamp AT TIME ZONE 'UTC', a.attribute_id, source, verified, says.value
  FROM cdp_data.identifier i, cdp_data.attribute_all a WHERE i.identifier_id = identifier AND a.name = attribute
$$;
CREATE FUNCTION pg_temp.golden(attribute text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', d.doc -> 'values' ->> attribute, left(d.doc -> 'provenance' -> attribute ->> 'at', 10),
    'source ' || (d.doc -> 'provenance' -> attribute ->> 'source'), 'others ' || (d.doc -> 'provenance' -> attribute ->> 'others'))
  FROM cdp_internal.profile_rows(ARRAY[1]) d
$$;
SELECT cdp.add_attribute('latest_', 'text', 'latest'), cdp.add_attribute('seen_', 'text', 'latest_seen'), cdp.add_attribute('first_', 'text', 'earliest'),
  cdp.add_attribute('often_', 'text', 'most_frequent'), cdp.add_attribute('ranked_', 'text', 'source_order', source_order => '{form, crm}'),
  cdp.add_attribute('long_', 'text', 'longest'), cdp.add_attribute('sure_', 'text', 'verified'), cdp.add_attribute('low_', 'numeric', 'min'),
  cdp.add_attribute('high_', 'timestamp', 'max'), cdp.add_attribute('sum_', 'integer', 'sum'), cdp.add_attribute('all_', 'list', 'union');
-- crm Berlin in January, shop Paris in February, crm Berlin again in March
SELECT count(pg_temp.says(1, s.source, s.load, n, s.value, s.at)) AS said
FROM unnest(ARRAY['latest_', 'seen_', 'first_', 'often_', 'ranked_', 'long_', 'sure_']) n,
  (VALUES (1, 4, 'Berlin', '20260101'), (2, 1, 'Paris', '20260201'), (1, 8, 'Berlin', '20260301')) s (source, load, value, at);
SELECT is(pg_temp.golden('latest_'), 'Paris 2026-02-01 source 2 others 1', 'latest: what the crm repeats is no news');
SELECT is(pg_temp.golden('seen_'), 'Berlin 2026-03-01 source 1 others 1', 'latest_seen: whoever spoke last');
SELECT is(pg_temp.golden('first_'), 'Berlin 2026-01-01 source 1 others 1', 'earliest');
SELECT is(pg_temp.golden('ranked_'), 'Berlin 2026-01-01 source 1 others 1', 'source_order: crm before the unlisted');
SELECT is(pg_temp.golden('long_'), 'Berlin 2026-01-01 source 1 others 1', 'longest');
SELECT is(pg_temp.golden('often_'), 'Paris 2026-02-01 source 2 others 1', 'most_frequent: one voice each, so the newer');
SELECT pg_temp.says(2, 3, 2, 'often_', 'Berlin', '20250101'), pg_temp.says(2, 4, 3, 'ranked_', 'Rome', '20200101'),
  pg_temp.says(1, 3, 2, 'sure_', 'Oslo', '20200101', verified => true), pg_temp.says(2, 3, 2, 'first_', 'Bonn', '20200101');
SELECT is(pg_temp.golden('often_'), 'Berlin 2026-01-01 source 1 others 1', 'most_frequent: two voices of three, the newest of them told');
SELECT is(pg_temp.golden('ranked_'), 'Rome 2020-01-01 source 4 others 2', 'source_order: the best source, however old');
SELECT is(pg_temp.golden('sure_'), 'Oslo 2020-01-01 source 3 others 2', 'verified first');
SELECT is(pg_temp.golden('first_'), 'Bonn 2020-01-01 source 3 others 2', 'earliest, of a merged customer');
-- the crm corrects itself
SELECT pg_temp.says(1, 1, 8, 'latest_', 'Hamburg', '20260401');
SELECT is(pg_temp.golden('latest_'), 'Hamburg 2026-04-01 source 1 others 1', 'a change is news');
SELECT pg_temp.says(1, 1, 12, 'latest_', 'Berlin', '20260501', '20260601');
SELECT is(pg_temp.golden('latest_'), 'Berlin 2026-05-01 source 1 others 1', 'and so is a change back, from its first record');
SELECT pg_temp.says(1, 1, 16, 'latest_', 'Hamburg', '20260515');
SELECT is(pg_temp.golden('latest_'), 'Berlin 2026-06-01 source 1 others 1', 'a late record breaks the run');
UPDATE cdp_data.load SET state = 'reverted' WHERE load_id = 16;
SELECT is(pg_temp.golden('latest_'), 'Berlin 2026-05-01 source 1 others 1', 'and its revert mends it');
UPDATE cdp_data.load SET state = 'done' WHERE load_id = 16;
-- ties: the same moment
SELECT pg_temp.says(2, 2, 1, 'latest_', 'Aachen', '20260601'), pg_temp.says(2, 3, 2, 'latest_', 'Aachen', '20260601');
SELECT is(pg_temp.golden('latest_'), 'Aachen 2026-06-01 source 2 others 2', 'of two at one moment the lesser value, then the lower source');
-- numbers, moments, sums, lists
SELECT pg_temp.says(1, 1, 4, 'low_', '10', '20260101'), pg_temp.says(2, 2, 1, 'low_', '9.5', '20260101'), pg_temp.says(1, 3, 2, 'low_', '-1', '20250101', '20250101'), pg_temp.says(1, 3, 2, 'low_', '11', '20260101');
SELECT is(pg_temp.golden('low_'), '9.5 2026-01-01 source 2 others 2', 'min by size, of what is said now');
SELECT pg_temp.says(1, 1, 4, 'high_', '2026-01-01T00:00:00Z', '20260101'), pg_temp.says(2, 2, 1, 'high_', '2026-01-01T00:00:00.5Z', '20260101');
SELECT is(pg_temp.golden('high_'), '2026-01-01T00:00:00.5Z 2026-01-01 source 2 others 1', 'max of moments');
SELECT pg_temp.says(1, 1, 4, 'sum_', '100', '20260101'), pg_temp.says(1, 1, 8, 'sum_', '150', '20260201'), pg_temp.says(1, 2, 1, 'sum_', '140', '20260101'), pg_temp.says(2, 2, 1, 'sum_', '7', '20260101');
SELECT is(pg_temp.golden('sum_'), '157 2026-02-01 source 1 others 0', 'sum: one figure per home, the newest');
SELECT pg_temp.says(1, 1, 4, 'all_', '["b", "a"]', '20260101'), pg_temp.says(2, 2, 1, 'all_', '["c", "a"]', '20260201'), pg_temp.says(1, 1, 8, 'all_', '["b"]', '20260301');
SELECT is(pg_temp.golden('all_'), '["a", "b", "c"] 2026-03-01 source 1 others 0', 'union of what each says now');
SELECT pg_temp.says(1, 1, 8, 'all_', '[]', '20260401');
SELECT is(pg_temp.golden('all_'), '["a", "c"] 2026-04-01 source 1 others 0', 'an empty list takes its own away');
-- a value that no longer fits its type counts for nothing
SELECT pg_temp.says(1, 1, 4, 'low_', 'abc', '20260901'), pg_temp.says(1, 4, 3, 'high_', '2026-13-45T99:00:00Z', '20260901'), pg_temp.says(2, 1, 4, 'all_', '{"x": 1}', '20260901'), pg_temp.says(2, 3, 2, 'all_', '[1]', '20260901');
SELECT is(pg_temp.golden('low_'), '9.5 2026-01-01 source 2 others 2', 'no number');
SELECT is(pg_temp.golden('high_'), '2026-01-01T00:00:00.5Z 2026-01-01 source 2 others 1', 'no moment');
SELECT is(pg_temp.golden('all_'), '["a", "c"] 2026-04-01 source 1 others 0', 'no list');

-- A user's own aggregate.
CREATE AGGREGATE public.joined(text) (SFUNC = textcat, STYPE = text);
SELECT throws_ok($$ SELECT cdp.add_attribute('own_', 'text', 'custom', aggregate => 'public.nothing(text)') $$, '42883', NULL, 'an unknown aggregate');
SELECT throws_ok($$ SELECT cdp.add_attribute('own_', 'text', 'custom', aggregate => 'public.joined(text) FILTER (WHERE true)') $$, NULL, NULL, 'more than a name');
SELECT throws_ok($$ SELECT cdp.add_attribute('own_', 'text', 'custom', aggregate => 'pg_catalog.count("any")') $$, '42883', NULL, 'an aggregate of another sort');
SELECT throws_ok($$ SELECT cdp.add_attribute('own_', 'text', 'custom') $$, '42883', NULL, 'no aggregate');
CREATE ROLE profile_stranger;
ALTER AGGREGATE public.joined(text) OWNER TO profile_stranger;
SELECT throws_ok($$ SELECT cdp.add_attribute('own_', 'text', 'custom', aggregate => 'public.joined(text)') $$, '42501', NULL, 'an aggregate of another role');
ALTER AGGREGATE public.joined(text) OWNER TO CURRENT_USER;
SELECT isnt(cdp.add_attribute('own_', 'text', 'custom', aggregate => 'public.joined(text)'), NULL, 'an aggregate of ours');
SELECT pg_temp.says(1, 1, 4, 'own_', 'x', '20260101'), pg_temp.says(1, 2, 1, 'own_', 'y', '20260201'), pg_temp.says(2, 2, 1, 'own_', 'z', '20260301');
SELECT is(pg_temp.golden('own_'), 'zyx 2026-03-01 source 2 others 3', 'is given what each says now, newest first');
CREATE FUNCTION public.broken(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'secret %', $2; END $$;
CREATE AGGREGATE public.breaks(text) (SFUNC = public.broken, STYPE = text);
SELECT cdp.add_attribute('own_', aggregate => 'public.breaks(text)') AS changed;
SELECT throws_ok($$ SELECT pg_temp.golden('own_') $$, '38000', 'the aggregate of attribute "own_" failed', 'one that fails is named, without what it was given');
SELECT cdp.add_attribute('own_', strategy => 'latest') AS changed;
SELECT is(pg_temp.golden('own_'), 'z 2026-03-01 source 2 others 2', 'another strategy, the same values');
-- The registry.
SELECT throws_ok($$ SELECT cdp.add_attribute('x', 'money') $$, '22023', NULL, 'an unknown type');
SELECT throws_ok($$ SELECT cdp.add_attribute('x', strategy => 'newest') $$, '22023', NULL, 'an unknown strategy');
SELECT throws_ok($$ SELECT cdp.add_attribute('email_consent', 'boolean') $$, '22023', 'consent is no attribute', 'consent');
SELECT throws_ok($$ SELECT cdp.add_attribute('x', strategy => 'source_order', source_order => '{crm, fax}') $$, '22023', 'unknown source "fax"', 'an unknown source');
SELECT throws_ok($$ SELECT cdp.add_attribute('x y') $$, '22023', 'name of an attribute has signs that are not taken', 'a blank in the name');
SELECT throws_ok($$ SELECT cdp.add_attribute('x', 'text', 'sum') $$, '22023', 'strategy sum is not for type text', 'a sum of texts');
SELECT throws_ok($$ SELECT cdp.add_attribute('x', sensitivity => 'secret') $$, '22023', 'unknown sensitivity', 'a sensitivity that is none');
SELECT throws_ok($$ SELECT cdp.add_attribute('x', aliases => '["a"]') $$, '22023', 'aliases must be a JSON object', 'aliases as a list');
SELECT throws_ok($$ SELECT cdp.add_attribute(NULL) $$, '22023', 'name of an attribute must not be empty', 'no name');
SELECT throws_ok($$ SELECT cdp.add_attribute('x', pattern => '(') $$, '2201B', NULL, 'a bad pattern');
SELECT is(cdp.add_attribute('city', strategy => 'longest'), 22, 'a built-in one is changed under its number');
SELECT is((SELECT strategy || data_type || sensitivity FROM cdp_data.attribute_all WHERE name = 'city'), 'longesttextinternal', 'and keeps the rest');
SELECT is((SELECT count(*) FROM cdp_data.attribute_all WHERE name = 'city'), 1::bigint, 'there is one of each name');
SELECT is_empty($$ SELECT name FROM cdp.attribute_builtin() b WHERE NOT EXISTS (SELECT FROM information_schema.columns c
  WHERE c.table_schema = 'cdp_data' AND c.table_name = 'profile' AND c.column_name = b.name) $$, 'each built-in attribute has its column');

-- Random data against the twin.
SELECT setseed(0.42);
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, i FROM generate_series(101, 220) i;
UPDATE cdp_data.customer SET parent_id = 101 + (random() * 20)::int WHERE customer_id > 150 AND random() < 0.6;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) SELECT 1000 + i, 8, 'c' || i, 101 + (random() * 119)::int FROM generate_series(1, 60) i;
INSERT INTO cdp_data.identifier_override SELECT identifier_id, 101 + (random() * 119)::int FROM cdp_data.identifier WHERE identifier_id > 1000 AND random() < 0.15;
INSERT INTO cdp_data.attribute_value (customer_id, identifier_id, load_id, first_at, last_at, attribute_id, source_id, verified, value)
SELECT i.customer_id, i.identifier_id, 1 + (random() * 19)::int, r.at, r.at + (random() * 2)::int * interval '1 day', a.attribute_id, r.source, random() < 0.2,
  CASE a.data_type WHEN 'text' THEN (ARRAY['a', 'b', 'ab', 'é', '张三', 'Z', ' '])[1 + (random() * 6)::int]
    WHEN 'integer' THEN (random() * 20 - 10)::int::text WHEN 'numeric' THEN trim_scale(round((random() * 20 - 10)::numeric, (random() * 2)::int))::text
    WHEN 'boolean' THEN (random() < 0.5)::text
    WHEN 'date' THEN to_char(date '2020-01-01' + (random() * 5)::int, 'YYYY-MM-DD')
    WHEN 'timestamp' THEN '2020-01-0' || 1 + (random() * 3)::int || 'T00:00:0' || (random() * 2)::int || (ARRAY['', '.5', '.25'])[1 + (random() * 2)::int] || 'Z'
    ELSE (ARRAY['["a"]', '["a", "b"]', '["b", "é"]', '["c", "d", "e"]'])[1 + (random() * 3)::int] END
FROM cdp_data.identifier i, cdp_data.attribute_all a, LATERAL generate_series(1, 9) n,
  LATERAL (SELECT timestamptz '2026-01-01 00:00Z' + (random() * 6)::int * interval '1 day' AS at, 1 + (random() * 3)::int AS source, i.identifier_id + n) r
WHERE i.identifier_id > 1000 AND (a.attribute_id >= 1000 OR a.name IN ('birthday', 'tags', 'registered_at', 'gender')) AND random() < 0.8
ON CONFLICT DO NOTHING;

CREATE TEMP TABLE twin AS
WITH RECURSIVE up (id, root) AS (
  SELECT c.customer_id, c.parent_id FROM cdp_data.customer c
  UNION
  SELECT u.id, c.parent_id FROM up u JOIN cdp_data.customer c ON c.customer_id = u.root
), root AS (
  SELECT u.id, u.root FROM up u JOIN cdp_data.customer c ON c.customer_id = u.root AND c.parent_id = c.customer_id
), said AS (
  SELECT r.root, a.name, a.strategy, a.data_type, coalesce(array_position(a.source_order, s.name), 1000000) AS rank, v.*
  FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) JOIN cdp_data.source s USING (source_id)
    JOIN cdp_data.load l ON l.load_id = v.load_id AND l.state = 'done'
    LEFT JOIN cdp_data.identifier_override o USING (identifier_id)
    JOIN root r ON r.id = coalesce(o.customer_id, v.customer_id)
  WHERE v.identifier_id > 1000
), whole AS ( -- one row per voice and value
  SELECT root, name, strategy, data_type, rank, customer_id, identifier_id, source_id, value, min(first_at) AS first_at, max(last_at) AS last_at, bool_or(verified) AS verified
  FROM said GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
), now AS (
  SELECT DISTINCT ON (root, name, identifier_id, source_id) * FROM whole ORDER BY root, name, identifier_id, source_id, last_at DESC, value
), voice AS (
  SELECT n.*, coalesce((
    SELECT min(t) FROM said s, LATERAL (VALUES (s.first_at), (s.last_at)) x (t)
    WHERE (s.root, s.name, s.identifier_id, s.source_id, s.value) = (n.root, n.name, n.identifier_id, n.source_id, n.value)
      AND t > coalesce((SELECT max(o.last_at) FROM whole o WHERE (o.root, o.name, o.identifier_id, o.source_id) = (n.root, n.name, n.identifier_id, n.source_id) AND o.value <> n.value), '-infinity')),
    n.last_at) AS since
  FROM now n
), ranked AS (
  SELECT v.*, row_number() OVER (PARTITION BY v.root, v.name ORDER BY
    CASE v.strategy WHEN 'latest_seen' THEN -extract(epoch FROM v.last_at) WHEN 'source_order' THEN v.rank
      WHEN 'longest' THEN -CASE WHEN v.data_type IN ('list', 'json') THEN octet_length(v.value) ELSE length(v.value) END
      WHEN 'verified' THEN CASE WHEN v.verified THEN 0 ELSE 1 END
      WHEN 'most_frequent' THEN -(SELECT count(*) FROM voice w WHERE (w.root, w.name, w.value) = (v.root, v.name, v.value))
      WHEN 'min' THEN CASE v.data_type WHEN 'numeric' THEN v.value::numeric WHEN 'timestamp' THEN extract(epoch FROM v.value::timestamptz) END
      WHEN 'max' THEN -CASE v.data_type WHEN 'numeric' THEN v.value::numeric WHEN 'timestamp' THEN extract(epoch FROM v.value::timestamptz) END
    END, v.since DESC, v.last_at DESC, v.value COLLATE "C", v.source_id, v.identifier_id) AS nth
  FROM voice v
), first AS (
  SELECT DISTINCT ON (w.root, w.name) w.* FROM whole w WHERE w.strategy = 'earliest' ORDER BY w.root, w.name, w.first_at, w.value COLLATE "C", w.source_id, w.identifier_id
)
SELECT r.root, r.name, r.strategy,
  CASE r.strategy WHEN 'earliest' THEN to_jsonb(f.value)
    WHEN 'sum' THEN to_jsonb((SELECT sum(x.value::numeric) FROM (SELECT DISTINCT ON (v.customer_id) v.value FROM voice v WHERE (v.root, v.name) = (r.root, r.name)
      ORDER BY v.customer_id, v.since DESC, v.last_at DESC, v.value COLLATE "C", v.source_id, v.identifier_id) x))
    WHEN 'union' THEN (SELECT jsonb_agg(x.e ORDER BY x.e COLLATE "C") FROM (SELECT DISTINCT e FROM voice v, jsonb_array_elements_text(v.value::jsonb) e WHERE (v.root, v.name) = (r.root, r.name)) x)
    ELSE CASE WHEN r.data_type IN ('integer', 'numeric', 'list') THEN r.value::jsonb ELSE to_jsonb(r.value) END END AS value,
  CASE r.strategy WHEN 'earliest' THEN f.first_at WHEN 'latest_seen' THEN r.last_at ELSE r.since END AS at,
  CASE r.strategy WHEN 'earliest' THEN f.source_id ELSE r.source_id END AS source, CASE r.strategy WHEN 'earliest' THEN f.identifier_id ELSE r.identifier_id END AS identifier,
  CASE r.strategy WHEN 'earliest' THEN f.customer_id ELSE r.customer_id END AS customer, CASE r.strategy WHEN 'earliest' THEN f.verified ELSE r.verified END AS verified,
  CASE WHEN r.strategy IN ('sum', 'union') THEN 0
    ELSE (SELECT count(*) FROM voice v WHERE (v.root, v.name) = (r.root, r.name) AND v.value <> CASE r.strategy WHEN 'earliest' THEN f.value ELSE r.value END) END AS others
FROM ranked r LEFT JOIN first f ON (f.root, f.name) = (r.root, r.name) WHERE r.nth = 1;

CREATE TEMP TABLE ours AS SELECT * FROM cdp_internal.profile_rows(NULL);
CREATE TEMP VIEW opened AS
SELECT o.customer_id AS root, p.key AS name, p.value ->> 'strategy' AS strategy, o.doc -> 'values' -> p.key AS value, (p.value ->> 'at')::timestamptz AS at, (p.value ->> 'source')::int AS source,
  (p.value ->> 'identifier')::bigint AS identifier, (p.value ->> 'customer')::bigint AS customer, (p.value ->> 'verified')::boolean AS verified, (p.value ->> 'others')::bigint AS others
FROM ours o, jsonb_each(o.doc -> 'provenance') p WHERE o.customer_id > 100;
SELECT cmp_ok((SELECT count(*) FROM twin), '>', 250::bigint, 'there is much to compare');
SELECT is_empty(format('(SELECT * FROM twin WHERE strategy = %1$L EXCEPT SELECT * FROM opened) UNION ALL (SELECT * FROM opened WHERE strategy = %1$L EXCEPT SELECT * FROM twin)', s), s || ' equals its twin')
FROM unnest(cdp_internal.attribute_strategies()) s WHERE s <> 'custom';
SELECT is((SELECT count(DISTINCT strategy) FROM twin WHERE others > 0), 9::bigint, 'each strategy with something to disagree about had some');
-- The roads: few, a range, everybody; and no order of rows matters.
SELECT set_eq($$ SELECT * FROM cdp_internal.profile_rows(ARRAY(SELECT customer_id FROM cdp_data.customer)) $$, 'TABLE ours', 'by index the same');
SELECT set_eq($$ SELECT r.* FROM generate_series(1, 300, 37) low, cdp_internal.profile_rows(NULL, low, low + 36) r $$, 'TABLE ours', 'in slices the same');
CREATE TEMP TABLE shuffled AS SELECT * FROM cdp_data.attribute_value;
TRUNCATE cdp_data.attribute_value;
INSERT INTO cdp_data.attribute_value SELECT * FROM shuffled ORDER BY md5(shuffled::text);
SELECT set_eq('SELECT * FROM cdp_internal.profile_rows(NULL)', 'TABLE ours', 'in another order the same');
SET LOCAL TimeZone = 'Asia/Kathmandu';
SELECT set_eq('SELECT * FROM cdp_internal.profile_rows(NULL)', 'TABLE ours', 'in another time zone the same');
SELECT * FROM finish();
ROLLBACK;
