-- Sets of customers with random content and random damage: bytes are refused as no set (22P03), or they are a set, and then every function
-- agrees on its ids and gives them back in the one smallest form.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null

CREATE FUNCTION pg_temp.change_bytes(b bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
  at integer;
BEGIN
  FOR n IN 1 .. 1 + floor(random() * 3)::integer LOOP
    CONTINUE WHEN length(b) = 0;
    at := floor(random() * least(length(b), CASE WHEN random() < 0.7 THEN 40 ELSE 1000000 END))::integer;
    b := CASE floor(random() * 5)::integer WHEN 0 THEN set_byte(b, at, floor(random() * 256)::integer) WHEN 1 THEN substr(b, 1, at) || substr(b, at + 2 + floor(random() * 8)::integer)
      WHEN 2 THEN overlay(b PLACING (ARRAY['\xffff'::bytea, '\x00', '\xc0ffffff', '\x0100', '\x3b30', '\x3a30'])[1 + floor(random() * 6)::integer] FROM at + 1)
      WHEN 3 THEN set_bit(b, at * 8 + floor(random() * 8)::integer, floor(random() * 2)::integer) ELSE substr(b, 1, at) END;
  END LOOP;
  RETURN b;
END $$;
CREATE FUNCTION pg_temp.some_ids() RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
  first bigint;
BEGIN
  FOR n IN 1 .. floor(random() * 5)::integer LOOP
    first := CASE floor(random() * 3)::integer WHEN 0 THEN floor(random() * 70000) WHEN 1 THEN 65536 * floor(random() * 6) + floor(random() * 3) ELSE 4294967295 - floor(random() * 70000) END;
    RETURN QUERY SELECT g FROM generate_series(first, least(first + (10 ^ (random() * 4.2))::bigint, 4294967295), 1 + floor(random() * 2 * random())::bigint) g;
    RETURN QUERY SELECT least(first + floor(random() * 200000)::bigint, 4294967295) FROM generate_series(1, (10 ^ (random() * 2))::integer);
  END LOOP;
END $$;

DO $$
DECLARE
  whole bytea;
  other bytea;
  damaged bytea;
  ids bigint[];
  refused bigint := 0;
  read bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer / 4 LOOP
    SELECT cdp.roaring_build(i) INTO whole FROM pg_temp.some_ids() i;
    SELECT cdp.roaring_build(i) INTO other FROM pg_temp.some_ids() i;
    FOR n IN 1 .. 8 LOOP
      damaged := CASE WHEN n = 1 THEN whole ELSE pg_temp.change_bytes(whole) END;
      BEGIN
        ids := ARRAY(SELECT cdp.roaring_ids(damaged));
        read := read + 1;
      EXCEPTION WHEN invalid_binary_representation THEN
        refused := refused + 1;
        CONTINUE;
      END;
      IF cdp.roaring_count(damaged) <> cardinality(ids) OR cdp.roaring_or(damaged, damaged) <> (SELECT cdp.roaring_build(i) FROM unnest(ids) i)
        OR (SELECT coalesce(sum(customers), 0) FROM cdp.roaring_chunks(damaged)) <> cardinality(ids)
        OR NOT cdp.roaring_has(damaged, ids[cardinality(ids) / 2 + 1])
        OR cdp.roaring_count(cdp.roaring_and(damaged, other)) + cdp.roaring_count(cdp.roaring_andnot(damaged, other)) <> cardinality(ids)
        OR (SELECT common FROM cdp.roaring_overlap(ARRAY[other, damaged]) WHERE a < b) <> cdp.roaring_count(cdp.roaring_and(damaged, other))
        OR (SELECT count(*) FROM cdp_internal.segment_diff(damaged, other)) <> cdp.roaring_count(cdp.roaring_andnot(damaged, other)) + cdp.roaring_count(cdp.roaring_andnot(other, damaged)) THEN
        RAISE EXCEPTION 'round %: functions differ on %', round, encode(damaged, 'base64');
      END IF;
    END LOOP;
  END LOOP;
  IF current_setting('fuzz.rounds')::integer >= 400 AND (read < current_setting('fuzz.rounds')::integer / 4 OR refused < current_setting('fuzz.rounds')::integer / 4) THEN
    RAISE EXCEPTION 'too little was tried: % read, % refused', read, refused;
  END IF;
END $$;
