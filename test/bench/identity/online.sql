-- The database of identify_vs_unsafe: 50,000 identifiers, each its own customer, and both sides as functions.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'UTC', currency => 'CNY');
SELECT cdp.add_source('bench') \g /dev/null
INSERT INTO cdp_data.load (source_id, kind, state) VALUES (1, 'calls', 'done');
SELECT cdp.add_identifier_type('bench') \g /dev/null
-- The hub of these pairs collects thousands, which no limit of real life would allow; limits are asked all the same.
UPDATE cdp_data.setting SET max_identifiers_per_customer = NULL;
SELECT setval('cdp_data.customer_customer_id_seq', 50000), setval('cdp_data.identifier_identifier_id_seq', 50000) \g /dev/null
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT n, n FROM generate_series(1, 50000) n;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id, first_seen, last_seen)
SELECT n, t.type_id, 'v' || n, n, '2026-01-01', '2026-01-01' FROM generate_series(1, 50000) n, cdp_data.identifier_type_all t WHERE t.name = 'bench';
VACUUM (ANALYZE) cdp_data.identifier, cdp_data.customer;

-- The peer is our function, from the same files, but for the union step: see unsafe.c. Both libraries clean by ours.
CREATE FUNCTION identify_unsafe(
  load_id bigint, source_id integer, type_ids smallint[], vals text[], at timestamptz, event_key text, cause text,
  OUT customer_id bigint, OUT identifier_id bigint, OUT home_id bigint, OUT created boolean, OUT merged bigint[], OUT rejected jsonb)
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS :'unsafe', 'cdp_identify_in';
CREATE FUNCTION bench_ours(a integer, b integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  c record := cdp_internal.clean_identifiers(jsonb_build_object('bench', jsonb_build_array('v' || a, 'v' || b)));
BEGIN
  RETURN (cdp_internal.identify_in(1, 1, c.type_ids, c.vals, '2026-01-01', NULL, 'identify')).customer_id;
END $$;
CREATE FUNCTION bench_unsafe(a integer, b integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  c record := cdp_internal.clean_identifiers(jsonb_build_object('bench', jsonb_build_array('v' || a, 'v' || b)));
BEGIN
  RETURN (public.identify_unsafe(1, 1, c.type_ids, c.vals, '2026-01-01', NULL, 'identify')).customer_id;
END $$;

-- The oracle: union-find over the link table. Lost: links whose ends are not one customer. Same: as many customers as
-- components.
CREATE FUNCTION bench_lost(OUT lost bigint, OUT merges bigint, OUT same boolean) LANGUAGE plpgsql AS $$
DECLARE
  up bigint[] := ARRAY(SELECT generate_series(1, (SELECT max(identifier_id) FROM cdp_data.identifier)));
  l record;
  x bigint;
  y bigint;
  parts bigint := cardinality(up);
BEGIN
  FOR l IN SELECT k.a_id, k.b_id FROM cdp_data.link k WHERE k.state = 'active' LOOP
    x := l.a_id;
    WHILE up[x] <> x LOOP up[x] := up[up[x]]; x := up[x]; END LOOP;
    y := l.b_id;
    WHILE up[y] <> y LOOP up[y] := up[up[y]]; y := up[y]; END LOOP;
    IF x <> y THEN
      up[greatest(x, y)] := least(x, y);
      parts := parts - 1;
    END IF;
  END LOOP;
  lost := (SELECT count(*) FROM cdp_data.link k WHERE k.state = 'active' AND cdp_internal.identifier_root(k.a_id) <> cdp_internal.identifier_root(k.b_id));
  merges := (SELECT count(*) FROM cdp_data.merge_log);
  same := parts = (SELECT count(*) FROM cdp_data.customer c WHERE c.parent_id = c.customer_id);
END $$;
