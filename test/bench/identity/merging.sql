-- merge_large_vs_small: prints milliseconds of CPU a merge, for two customers with 100,000 touchpoints each and for two
-- with one each, in turn; each merge is rolled back. At the end one is kept, and its touchpoints are counted.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'UTC', currency => 'CNY');
\o /dev/null
SELECT cdp.add_source('bench');
INSERT INTO cdp_data.load (source_id, kind, state) VALUES (1, 'calls', 'done');
INSERT INTO cdp_data.origin (source) VALUES ('bench');
CREATE FUNCTION seen(ids jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  c record := cdp_internal.clean_identifiers(ids);
BEGIN
  RETURN (cdp_internal.identify_in(1, 1, c.type_ids, c.vals, '2026-01-01', NULL, 'identify')).customer_id;
END $$;
SELECT seen('{"cookie": "large1"}'), seen('{"cookie": "large2"}'), seen('{"cookie": "small1"}'), seen('{"cookie": "small2"}');
SELECT cdp_internal.ensure_partitions('2026-01-01', '2026-02-01');
INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id)
SELECT i.customer_id, i.identifier_id, '2026-01-01'::timestamptz + n * interval '10 seconds', 1, 1, 1, 1
FROM cdp_data.identifier i, generate_series(1, CASE WHEN i.value LIKE 'large%' THEN 100000 ELSE 1 END) n;
VACUUM (ANALYZE) cdp_data.touchpoint, cdp_data.customer, cdp_data.identifier;
CREATE PROCEDURE merges(which text, n integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. n LOOP
    PERFORM seen(jsonb_build_object('cookie', jsonb_build_array(which || 1, which || 2)));
    ROLLBACK;
  END LOOP;
END $$;
CALL merges('large', 50);
CALL merges('small', 50);
CREATE TABLE figure (nth serial, side text, used double precision);
SELECT format('SELECT bench_cpu() AS c \gset
CALL merges(%1$L, 200);
INSERT INTO figure (side, used) VALUES (%1$L, (bench_cpu() - :c) / 200 / 1e6);', side)
FROM generate_series(1, :runs) n, unnest(ARRAY['large', 'small']) side ORDER BY n, side
\g (tuples_only=on format=unaligned) bench_merging.tmp
\i bench_merging.tmp
\! rm -f bench_merging.tmp
SELECT seen('{"cookie": ["large1", "large2"]}');
\o
SELECT side, used FROM figure ORDER BY nth;
SELECT 'answer', count(*) = 200000 FROM cdp_data.touchpoint t
WHERE cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), t.customer_id, t.identifier_id) = cdp.customer_of('cookie', 'large2');
