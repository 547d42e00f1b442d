-- Sets of customers as bytes: the published examples of the format, the three forms of a container at their borders, and bytes that
-- are no set. The type of the extension pg_roaringbitmap reads these bytes by a cast, as its README says.
BEGIN;
SELECT plan(42);

-- The two files of the format's specification hold the same ids (RoaringBitmap/RoaringFormatSpec, testdata): with runs, which is the
-- smallest form, and without.
CREATE TEMP TABLE example AS
SELECT k * 1000 AS id FROM generate_series(0, 99) k UNION ALL SELECT 3 * k FROM generate_series(100000, 199999) k
UNION ALL SELECT k FROM generate_series(700000, 799999) k;
SELECT is((SELECT md5(cdp.roaring_build(id)) FROM example), 'a551ba54788ef4e52dcf74e3861886dc', 'the example of the specification, byte for byte');
SELECT is((SELECT md5(cdp.roaring_build(id)) FROM (SELECT id FROM example ORDER BY md5(id::text)) e), 'a551ba54788ef4e52dcf74e3861886dc', 'whatever the order of its ids');
-- The same without runs, made by hand: head, offsets, then lists and bits.
CREATE FUNCTION pg_temp.le(v bigint, n integer) RETURNS bytea LANGUAGE sql AS
$$ SELECT string_agg(set_byte('\x00', 0, ((v >> (8 * i)) & 255)::integer), ''::bytea ORDER BY i) FROM generate_series(0, n - 1) i $$;
CREATE FUNCTION pg_temp.plain_container(ids integer[]) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE bits bytea := decode(repeat('00', 8192), 'hex'); i integer;
BEGIN
  IF cardinality(ids) <= 4096 THEN
    RETURN (SELECT string_agg(pg_temp.le(v, 2), ''::bytea ORDER BY v) FROM unnest(ids) v);
  END IF;
  RETURN (SELECT string_agg(set_byte('\x00', 0, coalesce(b.v, 0)), ''::bytea ORDER BY o) FROM generate_series(0, 8191) o
    LEFT JOIN (SELECT v / 8 AS o, sum(1 << (v % 8))::integer AS v FROM unnest(ids) v GROUP BY 1) b USING (o));
END $$;
CREATE TEMP TABLE plain AS
SELECT id / 65536 AS key, count(*) AS n, pg_temp.plain_container(array_agg(id % 65536)) AS body FROM example GROUP BY 1;
CREATE TEMP TABLE without_runs AS
SELECT pg_temp.le(12346, 4) || pg_temp.le(count(*), 4) || string_agg(pg_temp.le(key, 2) || pg_temp.le(n - 1, 2), ''::bytea ORDER BY key)
  || string_agg(pg_temp.le(at, 4), ''::bytea ORDER BY key) || string_agg(body, ''::bytea ORDER BY key) AS bits
FROM (SELECT *, 8 + 8 * count(*) OVER () + sum(length(body)) OVER (ORDER BY key) - length(body) AS at FROM plain) p;
SELECT is((SELECT md5(bits) FROM without_runs), 'fd259250e4b2b9bdb550ff91e7bdd443', 'the example without runs is the other file');
SELECT is((SELECT cdp.roaring_count(bits) FROM without_runs), 200100::bigint, 'and is read');
SELECT results_eq('SELECT cdp.roaring_ids(bits) FROM without_runs', 'SELECT id::bigint FROM example ORDER BY 1', 'with the same ids');
SELECT is((SELECT md5(cdp.roaring_or(bits, bits)) FROM without_runs), 'a551ba54788ef4e52dcf74e3861886dc', 'what comes out of an operation takes the smallest form again');

-- Forms at their borders.
CREATE FUNCTION pg_temp.build(ids bigint[]) RETURNS bytea LANGUAGE sql AS $$ SELECT cdp.roaring_build(i) FROM unnest(ids) i $$;
SELECT is(pg_temp.build('{}'), '\x3a30000000000000'::bytea, 'the empty set');
SELECT is((SELECT cdp.roaring_build(i) FROM (SELECT 1::bigint AS i WHERE false) e), '\x3a30000000000000'::bytea, 'also of no row');
SELECT is((SELECT cdp.roaring_build(i) FROM unnest(ARRAY[NULL, 7, NULL, 7]::bigint[]) i), '\x3a3000000100000000000000100000000700'::bytea, 'one id; NULLs and repeats count for nothing');
SELECT is(pg_temp.build('{1,2,3}'), '\x3a300000010000000000020010000000010002000300'::bytea, 'three neighbours: the list is no longer than the run');
SELECT is(pg_temp.build('{1,2,3,4}'), '\x3b3000000100000300010001000300'::bytea, 'four: the run is shorter');
SELECT is(cdp.roaring_or(pg_temp.build('{1,2,3,4}'), pg_temp.build('{5}')), pg_temp.build('{1,2,3,4,5}'), 'equal sets are equal bytes, as runs');
SELECT is(cdp.roaring_andnot(pg_temp.build('{1,2,3,4}'), pg_temp.build('{4}')), pg_temp.build('{1,2,3}'), 'as lists');
SELECT is((SELECT get_byte(cdp.roaring_build(i * 2), 0) FROM generate_series(0, 4095) i), 58, '4,096 scattered ids have no run');
SELECT is((SELECT length(cdp.roaring_build(i * 2)) FROM generate_series(0, 4095) i), 16 + 8192, 'they are a list');
SELECT is((SELECT length(cdp.roaring_build(i * 2)) FROM generate_series(0, 4096) i), 16 + 8192, 'one more, and they are bits');
SELECT is((SELECT cdp.roaring_count(cdp.roaring_build(i * 2)) FROM generate_series(0, 4096) i), 4097::bigint, 'with all of them');
SELECT is((SELECT length(cdp.roaring_build(i)) FROM generate_series(0, 65535) i), 4 + 1 + 4 + 6, 'a full container is one run');
SELECT is((SELECT cdp.roaring_build(i) FROM generate_series(65530, 65541) i), '\x3b300100030000050001000500'::bytea || '\x0100faff0500'::bytea || '\x010000000500'::bytea, 'neighbours across a border of containers');
SELECT is((SELECT array_agg(i ORDER BY o) FROM cdp.roaring_ids(pg_temp.build('{4294967295,0,65535,65536,4294901760}')) WITH ORDINALITY t (i, o)), '{0,65535,65536,4294901760,4294967295}', 'the least and the last id');
SELECT throws_ok('SELECT cdp.roaring_build(i) FROM (VALUES (-1::bigint)) v (i)', '22003', 'id out of range for a roaring bitmap', 'no id below 0');
SELECT throws_ok('SELECT cdp.roaring_build(i) FROM (VALUES (4294967296)) v (i)', '22003', 'id out of range for a roaring bitmap', 'none of 33 bits');

-- Bytes that are no set: what is wrong with each, and the same said of the smallest good one beside it.
CREATE FUNCTION pg_temp.answer(bits bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE code text; detail text;
BEGIN
  RETURN cdp.roaring_count(bits);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL;
  RETURN code || regexp_replace(detail, '^Of its \d+ bytes,', '');
END $$;
SELECT is(pg_temp.answer('\x3b300000010000050002000100020005000200'), '6', 'two runs are good');
SELECT is(pg_temp.answer(bits), says, title) FROM (VALUES
  ('\x'::bytea, '22P03 the first four are missing.', 'no byte'),
  ('\x3a30', '22P03 the first four are missing.', 'half a cookie'),
  ('\x3c30000000000000', '22P03 the first are not those of any.', 'another cookie'),
  ('\x3a300000', '22P03 the first are not those of any.', 'no number of containers'),
  ('\x3a30000001000100', '22P03 the first are not those of any.', 'more containers than keys'),
  ('\x3a30000001000000000000', '22P03 the heads are cut.', 'half a head'),
  ('\x3b30ffff01', '22P03 the heads are cut.', 'a cookie that tells of 65,536 containers with runs'),
  ('\x3a300000010000000000000010000000', '22P03 the last container is cut.', 'a head without its container'),
  ('\x3a30000001000000000001001000000007000700', '22P03 some are a container that does not fit its head.', 'an id twice'),
  ('\x3a30000001000000000001001000000008000700', '22P03 some are a container that does not fit its head.', 'falling ids'),
  ('\x3a300000010000000000000011000000070000', '22P03 some are offsets that lead elsewhere.', 'an offset that is wrong'),
  ('\x3a300000020000000100000000000000180000001a00000007000700', '22P03 some are containers out of order.', 'falling keys'),
  ('\x3a300000020000000100000001000000180000001a00000007000700', '22P03 some are containers out of order.', 'a key twice'),
  ('\x3a300000010000000000000010000000070000', '22P03 some follow the last container.', 'a byte too many'),
  ('\x3b300000010000040002000100020004000100', '22P03 some are a container that does not fit its head.', 'runs that touch'),
  ('\x3b300000010000040002000100020003000100', '22P03 some are a container that does not fit its head.', 'runs that overlap'),
  ('\x3b300000010000030001000100ffff', '22P03 some are a container that does not fit its head.', 'a run past the last id'),
  ('\x3b3000000100000400010001000300', '22P03 some are a container that does not fit its head.', 'runs that hold less than the head says'),
  ('\x3a3000000100000000001010100000'::bytea || decode(repeat('00', 8193), 'hex'), '22P03 some are a container that does not fit its head.', 'bits that hold less than the head says')
) v (bits, says, title);
SELECT * FROM finish();
ROLLBACK;
