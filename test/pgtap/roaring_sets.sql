-- Functions on sets of customers against plain SQL over random sets, thin, crowded and in runs; laws of set algebra; what NULL gives;
-- samples and intervals.
BEGIN;
SELECT plan(34);
SELECT setseed(0.31);

-- Each set mixes forms: scattered ids, crowded ones, runs, over a few containers and the last one.
CREATE TEMP TABLE member AS
SELECT s AS set, id FROM generate_series(1, 16) s CROSS JOIN LATERAL (
  SELECT floor(random() * (ARRAY[300, 70000, 400000])[1 + s % 3])::bigint AS id FROM generate_series(1, (ARRAY[0, 40, 3000, 20000])[1 + s % 4])
  UNION SELECT f.base + g FROM (SELECT floor(random() * 200000)::bigint AS base FROM generate_series(1, s % 5)) f, generate_series(0, s * 97) g
  UNION SELECT 4294967295 - floor(random() * 50)::bigint FROM generate_series(1, s % 2)) m;
CREATE TEMP TABLE sets AS SELECT s AS set, (SELECT cdp.roaring_build(id) FROM member m WHERE m.set = s) AS bits FROM generate_series(1, 16) s;
CREATE INDEX ON member (set, id);
ANALYZE member;

SELECT is_empty('SELECT set, cdp.roaring_ids(bits) FROM sets EXCEPT SELECT set, id FROM member', 'no id that was not put in');
SELECT is_empty('SELECT set, id FROM member EXCEPT SELECT set, cdp.roaring_ids(bits) FROM sets', 'none is lost');
SELECT is_empty('SELECT set FROM sets WHERE cdp.roaring_count(bits) <> (SELECT count(*) FROM member m WHERE m.set = sets.set)', 'counts');
SELECT is_empty($$SELECT FROM sets, generate_series(0, 400000, 997) i WHERE cdp.roaring_has(bits, i) <> EXISTS (SELECT FROM member m WHERE m.set = sets.set AND m.id = i)$$, 'has, of ids in and out');
SELECT is_empty('SELECT FROM member m JOIN sets USING (set) WHERE id % 7 = 0 AND NOT cdp.roaring_has(bits, id)', 'has, of members');
SELECT is((SELECT array_agg(cdp.roaring_has(bits, i)) FROM sets, unnest('{-1,4294967296,9223372036854775807}'::bigint[]) i WHERE set = 15), '{f,f,f}', 'a number that is no id is in no set');

CREATE TEMP TABLE pair AS SELECT x.set AS a, y.set AS b, x.bits AS p, y.bits AS q FROM sets x, sets y WHERE (x.set + y.set) % 3 = 0;
CREATE FUNCTION pg_temp.ids(bits bytea) RETURNS SETOF bigint LANGUAGE sql AS 'SELECT cdp.roaring_ids(bits)';
CREATE FUNCTION pg_temp.wrong(operation text, clause text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
  EXECUTE format('SELECT count(*) FROM pair WHERE cdp.%s(p, q) IS DISTINCT FROM (SELECT cdp.roaring_build(id) FROM (
    SELECT id FROM member WHERE set = a %s SELECT id FROM member WHERE set = b) x)', operation, clause) INTO n;
  RETURN n;
END $$;
SELECT is(pg_temp.wrong('roaring_and', 'INTERSECT'), 0::bigint, 'and, byte for byte');
SELECT is(pg_temp.wrong('roaring_or', 'UNION'), 0::bigint, 'or');
SELECT is(pg_temp.wrong('roaring_andnot', 'EXCEPT'), 0::bigint, 'and not');
SELECT is_empty($$SELECT FROM (SELECT array_agg(bits ORDER BY set) AS all_sets FROM sets) s, cdp.roaring_overlap(all_sets) o
  WHERE o.common <> (SELECT count(*) FROM (SELECT id FROM member WHERE set = o.a INTERSECT SELECT id FROM member WHERE set = o.b) x)$$, 'overlaps');
SELECT is((SELECT count(*) FROM (SELECT array_agg(bits ORDER BY set) AS all_sets FROM sets) s, cdp.roaring_overlap(all_sets) o WHERE a <= b), 136::bigint, 'each pair once, and each set with itself');
SELECT is_empty('SELECT FROM pair WHERE cdp.roaring_andnot(p, q) <> cdp.roaring_andnot(p, cdp.roaring_and(p, q))', 'a - b = a - (a and b)');
SELECT is_empty('SELECT FROM pair WHERE cdp.roaring_or(cdp.roaring_andnot(p, q), cdp.roaring_or(cdp.roaring_and(p, q), cdp.roaring_andnot(q, p))) <> cdp.roaring_or(p, q)', 'three parts make the union');
SELECT is_empty('SELECT FROM pair JOIN sets r ON r.set = 7 WHERE cdp.roaring_andnot(r.bits, cdp.roaring_or(p, q)) <> cdp.roaring_and(cdp.roaring_andnot(r.bits, p), cdp.roaring_andnot(r.bits, q))', 'De Morgan');
SELECT is((SELECT cdp.roaring_union(bits) FROM sets), (SELECT cdp.roaring_build(id) FROM member), 'the union of all');
SELECT is((SELECT cdp.roaring_union(bits ORDER BY set DESC) FROM (SELECT * FROM sets UNION ALL SELECT 99, NULL) s), (SELECT cdp.roaring_build(id) FROM member), 'in any order, NULLs for nothing');
SELECT is((SELECT cdp.roaring_union(bits) FROM sets WHERE false), '\x3a30000000000000'::bytea, 'of no row');

SELECT is_empty('SELECT set FROM sets, cdp.roaring_chunks(bits) c GROUP BY set, sets.bits HAVING cdp.roaring_union(c.bits) <> sets.bits OR sum(customers) <> cdp.roaring_count(sets.bits)', 'pieces make the whole');
SELECT is_empty('SELECT FROM sets, cdp.roaring_chunks(bits) c WHERE customers <> cdp.roaring_count(c.bits) OR EXISTS (SELECT FROM cdp.roaring_ids(c.bits) i WHERE i / 65536 <> chunk)', 'each has the ids of its range');
SELECT is((SELECT max(chunk) FROM sets, cdp.roaring_chunks(bits) c), 65535, 'up to the last one');
SELECT is_empty('SELECT set, chunk FROM sets, cdp.roaring_chunks(bits) c GROUP BY 1, 2 HAVING count(*) > 1', 'each once');

SELECT is_empty($$SELECT FROM pair CROSS JOIN LATERAL (SELECT array_agg(d ORDER BY customer_id) AS is FROM cdp_internal.segment_diff(p, q) d) i
  CROSS JOIN LATERAL (SELECT array_agg((id, entered)::record ORDER BY id) AS should FROM (
    (SELECT id, false AS entered FROM member WHERE set = a EXCEPT SELECT id, false FROM member WHERE set = b)
    UNION ALL (SELECT id, true FROM member WHERE set = b EXCEPT SELECT id, true FROM member WHERE set = a)) x) s
  WHERE i.is::text IS DISTINCT FROM s.should::text$$, 'who entered and who left');
SELECT is_empty($$SELECT FROM sets, cdp_internal.segment_diff(bits, bits)$$, 'nobody, between equal sets');
SELECT is((SELECT string_agg(d::text, ' ') FROM sets, cdp_internal.segment_diff('\x3a3000000100000000000000100000000700', '\x3a3000000100000000000000100000000300') d WHERE set = 1), '(3,t) (7,f)', 'by id');

SELECT is(num_nonnulls(cdp.roaring_and(NULL, '\x3a30000000000000'), cdp.roaring_or('\x3a30000000000000', NULL), cdp.roaring_andnot(NULL, NULL),
  cdp.roaring_has('\x3a30000000000000', NULL), cdp.roaring_sample('\x3a30000000000000', NULL)), 0, 'NULL gives NULL');
SELECT is(cdp.roaring_count(NULL), NULL, 'also as a count');
SELECT is((SELECT string_agg(o::text, ' ') FROM cdp.roaring_overlap(ARRAY[NULL, '\x3a3000000100000000000000100000000700']::bytea[]) o), '(1,1,0) (1,2,0) (2,2,1)', 'a NULL in an array is the empty set');
SELECT throws_ok($$SELECT * FROM cdp.roaring_overlap('{{"\\x3a30000000000000"},{"\\x3a30000000000000"}}')$$, '2202E', NULL, 'sets of two dimensions are refused');

-- Samples.
CREATE TEMP TABLE everyone AS SELECT cdp.roaring_build(i) AS bits FROM generate_series(1, 100000) i;
SELECT is((SELECT cdp.roaring_sample(bits, 0.05, 3) FROM everyone), (SELECT cdp.roaring_build(i) FROM generate_series(1, 100000) i WHERE cdp_internal.in_sample(i, 0.05, 3)), 'the sample of a set is that of its ids');
SELECT cmp_ok((SELECT abs(cdp.roaring_count(cdp.roaring_sample(bits, 0.05, s)) - 5000) FROM everyone, generate_series(1, 40) s ORDER BY 1 DESC LIMIT 1), '<', 350::bigint, 'of the size asked for, within five deviations, for 40 seeds');
SELECT is((SELECT array_agg(DISTINCT cdp.roaring_count(cdp.roaring_andnot(cdp.roaring_sample(bits, 0.02, 8), cdp.roaring_sample(bits, 0.03, 8)))) FROM everyone), '{0}', 'a larger fraction takes all that a smaller one takes');
SELECT cmp_ok((SELECT abs(cdp.roaring_count(cdp.roaring_and(cdp.roaring_sample(bits, 0.1, 1), cdp.roaring_sample(bits, 0.1, 2))) - 1000) FROM everyone), '<', 160::bigint, 'two seeds are independent');
SELECT is((SELECT ARRAY[cdp.roaring_count(cdp.roaring_sample(bits, 0)), cdp.roaring_count(cdp.roaring_sample(bits, 1))] FROM everyone), '{0,100000}', 'nobody, and everybody');
SELECT throws_ok($$SELECT cdp_internal.in_sample(1, f) FROM unnest('{1.01,-0.1,NaN}'::double precision[]) f$$, '22023', NULL, 'a fraction outside of 0 to 1 is refused');
SELECT * FROM finish();
ROLLBACK;
