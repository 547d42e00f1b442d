-- Customer map, overrides and dense codes: equal to a slow oracle, and safe with any bytes.
BEGIN;
SELECT plan(30);
SELECT setseed(0.42);

-- The oracle: follow the parents one by one.
CREATE FUNCTION pg_temp.slow_root(id bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
  WITH RECURSIVE up AS (
    SELECT $1 AS id, 0 AS depth
    UNION ALL
    SELECT c.parent_id, u.depth + 1 FROM up u JOIN cdp_data.customer c ON c.customer_id = u.id AND c.parent_id <> c.customer_id
  ) SELECT id FROM up ORDER BY depth DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.differences(low bigint, high bigint) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM cdp_data.customer c
  WHERE c.customer_id BETWEEN low AND high
    AND cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), c.customer_id, 7) <> pg_temp.slow_root(c.customer_id)
$$;
CREATE FUNCTION pg_temp.kind(map bytea) RETURNS int LANGUAGE sql AS 'SELECT get_byte(map, 4)';

-- Nothing merged.
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, i FROM generate_series(1, 3000) i;
SELECT is(pg_temp.kind(cdp_internal.customer_map()), 0, 'without merges the map is empty');
SELECT is(cdp_internal.customer_root(cdp_internal.customer_map(), cdp_internal.override_map(), 5, 6), 5::bigint, 'and everybody is his own root');

-- A random forest with long chains: parents always have a smaller id, so there is no circle.
UPDATE cdp_data.customer SET parent_id = greatest(1, customer_id - 1 - (random() * 20)::int) WHERE random() < 0.8;
SELECT cmp_ok((SELECT count(*) FROM cdp_data.customer WHERE parent_id <> customer_id), '>', 2000::bigint, 'most of 3000 are merged');
SELECT is(pg_temp.kind(cdp_internal.customer_map()), 1, 'a small range makes a dense map');
SELECT is(pg_temp.differences(1, 3000), 0::bigint, 'dense map = following the parents');
-- The same ids spread over all 32 bits.
INSERT INTO cdp_data.customer (customer_id, parent_id)
SELECT customer_id * 1430000 + 5000, parent_id * 1430000 + 5000 FROM cdp_data.customer;
SELECT is(pg_temp.kind(cdp_internal.customer_map()), 2, 'a wide range makes a hash map');
SELECT is(pg_temp.differences(1, 4294967295), 0::bigint, 'hash map = following the parents');
SELECT is((SELECT cdp_internal.customer_map(c.customer_id, c.parent_id) FROM (SELECT * FROM cdp_data.customer ORDER BY random()) c) IS NOT NULL, true, 'any order of rows');
INSERT INTO cdp_data.customer (customer_id, parent_id) VALUES (4294967295, 3);
SELECT is(pg_temp.differences(4294967295, 4294967295), 0::bigint, 'the highest id');
SELECT is(cdp_internal.customer_root(cdp_internal.customer_map(), NULL, 4294967296, NULL), 4294967296, 'beyond the highest id: itself');
SELECT is(cdp_internal.customer_root(cdp_internal.customer_map(), NULL, -1, NULL), -1::bigint, 'negative: itself');
SELECT is(cdp_internal.customer_root(NULL, NULL, 9, 9), 9::bigint, 'NULL maps count as empty');
SELECT is(cdp_internal.customer_root(cdp_internal.customer_map(), NULL, NULL, 9), NULL, 'NULL customer: NULL');

-- One chain as long as it gets.
SELECT is((SELECT min(cdp_internal.customer_root(m.map, NULL, i, NULL)) || ' ' || max(cdp_internal.customer_root(m.map, NULL, i, NULL))
  FROM (SELECT cdp_internal.customer_map(j, j + 1) AS map FROM generate_series(1, 200000) j) m, generate_series(1, 200001, 1000) i), '200001 200001', 'a chain of 200000 parents');

-- Overrides come before the map.
INSERT INTO cdp_data.identifier_override SELECT i * 7919, 1 + (i * 31) % 3000 FROM generate_series(1, 5000) i;
SELECT is((SELECT count(*) FROM cdp_data.identifier_override o
  WHERE cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), 2, o.identifier_id) <> pg_temp.slow_root(o.customer_id)), 0::bigint,
  'an overridden identifier goes to the root of its override');
SELECT is((SELECT count(*) FROM generate_series(1, 30000) i WHERE i % 7919 <> 0
  AND cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), 2, i) <> pg_temp.slow_root(2)), 0::bigint, 'other identifiers stay');

-- What must be refused.
SELECT throws_ok('SELECT cdp_internal.customer_map(a, b) FROM (VALUES (1::bigint, 2::bigint), (2, 3), (3, 1)) v (a, b)', 'XX001', NULL, 'parents in a circle');
SELECT throws_ok('SELECT cdp_internal.customer_map(a, b) FROM (VALUES (1::bigint, 2::bigint), (1, 3)) v (a, b)', '21000', NULL, 'two parents');
SELECT throws_ok('SELECT cdp_internal.customer_map(0, 1)', '22003', NULL, 'customer 0');
SELECT throws_ok('SELECT cdp_internal.customer_map(1, 4294967296)', '22003', NULL, 'a parent above 32 bits');
SELECT throws_ok('SELECT cdp_internal.override_map(a, b) FROM (VALUES (1::bigint, 2::bigint), (1, 3)) v (a, b)', '21000', NULL, 'two overrides');
SELECT throws_ok($$SELECT cdp_internal.customer_root('\x00', NULL, 1, 1)$$, '22P03', NULL, 'bytes too short for a map');
SELECT throws_ok($$SELECT cdp_internal.customer_root(NULL, cdp_internal.customer_map(), 1, 1)$$, '22P03', NULL, 'a map of customers is no map of overrides');
-- Mutated bytes: an answer or an error, never a crash; the server answers afterwards.
CREATE FUNCTION pg_temp.hammer(original bytea, n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  b bytea;
  errors int := 0;
BEGIN
  FOR i IN 1 .. n LOOP
    b := substr(original, 1, 1 + (random() * least(length(original), 400))::int) || CASE WHEN random() < 0.3 THEN '\xffffffffffff'::bytea ELSE '' END;
    FOR j IN 1 .. (random() * 3)::int LOOP
      b := set_byte(b, (random() * least(length(b) - 1, 30))::int, (random() * 255)::int);
    END LOOP;
    BEGIN
      PERFORM cdp_internal.customer_root(b, NULL, (random() * 4294967295)::bigint, 1), cdp_internal.customer_root(NULL, b, 1, (random() * 1e18)::bigint),
        cdp_internal.customer_root(overlay(original PLACING b FROM 1), NULL, (random() * 4294967295)::bigint, 1);
    EXCEPTION WHEN invalid_binary_representation THEN errors := errors + 1;
    END;
  END LOOP;
  RETURN errors;
END $$;
SELECT cmp_ok(pg_temp.hammer(cdp_internal.customer_map(), 2000), '>', 0, 'mutated maps are refused or answered');
SELECT cmp_ok(pg_temp.hammer(cdp_internal.override_map(), 2000), '>', 0, 'mutated overrides too');

-- Dense codes.
SELECT is((SELECT cdp_internal.dense_codes(i, i * 2) FROM (VALUES (3), (1)) v (i)), '{2,0,6}'::int[], 'codes by id');
SELECT is((SELECT cdp_internal.dense_codes(i, i) FROM generate_series(1, 0) i), '{}'::int[], 'no rows: an empty array');
SELECT results_eq('SELECT cdp_internal.dense_lookup((SELECT cdp_internal.dense_codes(i, i * 2) FROM (VALUES (3), (5000)) v (i)), id) FROM (VALUES (0), (-1), (1), (3), (5000), (5001), (NULL)) w (id)',
  'VALUES (NULL::int), (NULL), (NULL), (6), (10000), (NULL), (NULL)', 'lookup');
SELECT throws_ok($$SELECT cdp_internal.dense_lookup('[0:1]={1,2}', 1)$$, '2202E', NULL, 'an array that does not start at 1');
SELECT throws_ok($$SELECT cdp_internal.dense_codes(0, 1)$$, '22003', NULL, 'id 0');
SELECT * FROM finish();
ROLLBACK;
