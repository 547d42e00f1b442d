-- The same records in any order, by calls, by loads, by loads that were taken back and put in again: after a rebuild the customers are the same, whatever numbers they got. A second rebuild
-- finds and writes nothing, and what was forbidden stays forbidden when all records come again.
\ir ../twin/identity.sql
\ir ../twin/identity_storm.sql
SET jit = off;
SET client_min_messages = warning;
SELECT plan(38);

CREATE TABLE public.told (world integer, n integer, ids jsonb, at timestamptz);
-- Records of one to four identifiers, crowded enough that all rules have work; one kiosk that many share.
CREATE FUNCTION pg_temp.write_world(which integer, records integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  ids jsonb; kind text;
BEGIN
  PERFORM setseed(which / 50.0);
  FOR i IN 1 .. records LOOP
    -- Up to three that many share, so that some records have no hub that is not in quarantine.
    ids := CASE WHEN i % 6 = 0 THEN '{"crumb": ["kiosk"]}' WHEN i % 10 = 1 THEN '{"crumb": ["kiosk", "till"]}' WHEN i % 10 = 3 THEN '{"crumb": ["hall", "kiosk", "till"]}' ELSE '{}' END;
    FOR j IN 1 .. 1 + floor(random() * 3)::integer LOOP
      kind := (ARRAY['account', 'mail', 'mail', 'tablet', 'tablet', 'card', 'free1'])[1 + floor(random() * 7)];
      ids := ids || jsonb_build_object(kind, coalesce(ids -> kind, '[]') || jsonb_build_array(kind || which || '-' || floor(random() * random() * 40)));
    END LOOP;
    INSERT INTO public.told VALUES (which, i, ids, timestamptz '2020-01-01 00:00+00' + make_interval(days => floor(random() * 2000)::integer, secs => i));
  END LOOP;
END
$$;
CREATE FUNCTION pg_temp.tell_world(which integer, seed integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  FOR r IN SELECT t.ids, t.at FROM public.told t WHERE t.world = which ORDER BY CASE seed WHEN 0 THEN t.n WHEN 1 THEN -t.n ELSE hashint8extended(t.n, seed) END LOOP
    PERFORM cdp.identify('storm0', r.ids, '{}', r.at);
  END LOOP;
END
$$;
-- The same by loads, some records each: three columns for each type, by a contract.
CREATE FUNCTION pg_temp.load_world(which integer, loads integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  kinds text[] := '{account,mail,tablet,card,free1,crumb}';
BEGIN
  PERFORM cdp.declare_contract('storm1', 'customer', (
    SELECT jsonb_agg(jsonb_build_object('field', k || n, 'target', 'identifier ' || k)) FROM unnest(kinds) k, generate_series(1, 3) n)
    || '[{"field": "key", "target": "record source_key"}, {"field": "at", "target": "record observed_at"}]');
  UPDATE cdp_data.source_contract SET status = 'live';
  FOR i IN 1 .. loads LOOP
    EXECUTE format('CREATE TEMP TABLE batch AS SELECT t.n AS key, t.at, %s FROM public.told t WHERE t.world = %s AND abs(hashint8(t.n)) %% %s = %s',
      (SELECT string_agg(format('t.ids #>> ''{%s,%s}'' AS %s', k, n - 1, k || n), ', ') FROM unnest(kinds) k, generate_series(1, 3) n), which, loads, i - 1);
    PERFORM cdp.load_customers('storm1', 'pg_temp.batch');
    DROP TABLE pg_temp.batch;
  END LOOP;
END
$$;
-- Takes loads back and puts them in again, at random, until all are in force: limits, of a span of time too, were full or free meanwhile.
CREATE FUNCTION pg_temp.shake_loads(seed integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  loads bigint[] := ARRAY(SELECT l.load_id FROM cdp_data.load l WHERE l.kind = 'customers' ORDER BY hashint8extended(l.load_id, seed));
BEGIN
  FOR i IN 1 .. 3 LOOP
    PERFORM cdp.revert_load(u.id) FROM unnest(loads) WITH ORDINALITY AS u (id, n) WHERE hashint8extended(u.n, i) % 3 <> 0 ORDER BY hashint8extended(u.n, seed + i);
    PERFORM cdp.retry_load(u.id) FROM unnest(loads) AS u (id) JOIN cdp_data.load l ON l.load_id = u.id WHERE l.state <> 'done' ORDER BY hashint8extended(u.id, seed - i);
  END LOOP;
END
$$;
-- Customers by the values of their identifiers; links by the values of their ends.
CREATE FUNCTION pg_temp.customers() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(x.name, E'\n' ORDER BY x.name COLLATE "C")
  FROM (SELECT string_agg(i.type_id || i.value || i.state, ' ' ORDER BY i.type_id, i.value) AS name FROM twin.place() p JOIN cdp_data.identifier i USING (identifier_id) GROUP BY p.root) x
$$;
CREATE FUNCTION pg_temp.links() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', least(a.type_id || a.value, b.type_id || b.value), greatest(a.type_id || a.value, b.type_id || b.value), l.kind, l.state, l.reason, l.first_seen), E'\n'
    ORDER BY least(a.type_id || a.value, b.type_id || b.value) COLLATE "C", greatest(a.type_id || a.value, b.type_id || b.value) COLLATE "C", l.kind)
  FROM cdp_data.link l JOIN cdp_data.identifier a ON a.identifier_id = l.a_id JOIN cdp_data.identifier b ON b.identifier_id = l.b_id
$$;
CREATE FUNCTION pg_temp.rows_as_they_lie() RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', (SELECT md5(string_agg(c::text || c.xmin || c.ctid, ' ' ORDER BY c.customer_id)) FROM cdp_data.customer c),
    (SELECT md5(string_agg(o::text || o.xmin || o.ctid, ' ' ORDER BY o.identifier_id)) FROM cdp_data.identifier_override o),
    (SELECT md5(string_agg(l::text || l.xmin || l.ctid, ' ' ORDER BY l.link_id)) FROM cdp_data.link l),
    (SELECT count(*) FROM cdp_data.merge_log), (SELECT count(*) FROM cdp_data.change_feed))
$$;
CREATE FUNCTION pg_temp.drift() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(DISTINCT r.change, ', ') FROM cdp.rebuild() r WHERE r.change IN ('merge', 'split', 'move', 'link activated', 'link rejected', 'quarantine')
$$;
CREATE FUNCTION pg_temp.apart(which integer) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(CASE WHEN cdp_internal.identifier_root(l.a_id) = cdp_internal.identifier_root(l.b_id) THEN 'together' ELSE 'apart' END, ',') FROM cdp_data.link l WHERE l.kind = 'cannot'
$$;
-- Lines of one text only, as < and >.
CREATE FUNCTION pg_temp.difference(a text, b text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(d, E'\n') FROM (
    (SELECT '< ' || x AS d FROM string_to_table(a, E'\n') x EXCEPT ALL SELECT '< ' || x FROM string_to_table(b, E'\n') x)
    UNION ALL
    (SELECT '> ' || x FROM string_to_table(b, E'\n') x EXCEPT ALL SELECT '> ' || x FROM string_to_table(a, E'\n') x)) v
$$;
CREATE TABLE public.outcome (world integer, seed integer, online text, customers text, links text, faults text, drift text, idle boolean, again text, forbidden text);

CREATE FUNCTION pg_temp.life(which integer, seed integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  o public.outcome; was text; a bigint; b bigint;
BEGIN
  o.world := which;
  o.seed := seed;
  BEGIN
    PERFORM twin.keep();
    IF seed < 4 THEN
      PERFORM pg_temp.tell_world(which, seed);
    ELSE
      PERFORM pg_temp.load_world(which, 7);
    END IF;
    IF seed > 4 THEN
      PERFORM pg_temp.shake_loads(seed);
    END IF;
    -- The same two in every order: whom the earliest record shows together.
    SELECT l.a_id, l.b_id INTO a, b FROM cdp_data.link l JOIN cdp_data.identifier x ON x.identifier_id = l.a_id JOIN cdp_data.identifier y ON y.identifier_id = l.b_id
    WHERE x.type_id <> 1013 AND y.type_id <> 1013
    ORDER BY l.first_seen, least(x.type_id || x.value, y.type_id || y.value) COLLATE "C", greatest(x.type_id || x.value, y.type_id || y.value) COLLATE "C" LIMIT 1;
    PERFORM cdp.forbid_link(a, b, 'two people');
    o.online := pg_temp.customers();
    -- After loads were taken back, a limit over a span of time may be broken until the rebuild.
    o.faults := CASE WHEN seed > 4 THEN '' ELSE twin.tell() END;
    PERFORM cdp.rebuild(dry_run => false);
    o.customers := pg_temp.customers();
    o.links := pg_temp.links();
    o.faults := o.faults || twin.tell();
    o.drift := pg_temp.drift();
    was := pg_temp.rows_as_they_lie();
    PERFORM cdp.rebuild(dry_run => false);
    o.idle := was = pg_temp.rows_as_they_lie();
    PERFORM pg_temp.tell_world(which, seed + 7);
    o.forbidden := pg_temp.apart(which);
    o.faults := o.faults || twin.tell();
    PERFORM cdp.rebuild(dry_run => false);
    o.again := pg_temp.customers();
    o.forbidden := o.forbidden || ' ' || pg_temp.apart(which);
    RAISE EXCEPTION 'enough' USING ERRCODE = 'P0099';
  EXCEPTION WHEN SQLSTATE 'P0099' THEN
  END;
  INSERT INTO public.outcome SELECT o.*;
END
$$;
SELECT pg_temp.write_world(w, 130) FROM generate_series(1, 2) w;
SELECT pg_temp.life(w, s) FROM generate_series(1, 2) w, generate_series(0, 6) s;

SELECT is(pg_temp.difference(o.customers, f.customers), NULL, format('world %s, order %s: the same customers after a rebuild', o.world, o.seed))
FROM public.outcome o JOIN public.outcome f ON f.world = o.world AND f.seed = 0 WHERE o.seed > 0 ORDER BY o.world, o.seed;
SELECT is(pg_temp.difference(o.links, f.links), NULL, format('world %s, order %s: and the same links, each in the same state', o.world, o.seed))
FROM public.outcome o JOIN public.outcome f ON f.world = o.world AND f.seed = 0 WHERE o.seed > 0 ORDER BY o.world, o.seed;
SELECT cmp_ok(count(DISTINCT online), '>', 1::bigint, format('world %s: without a rebuild the orders differ', world)) FROM public.outcome GROUP BY world ORDER BY world;
SELECT is(string_agg(faults, ''), '', format('world %s: graph, rules, ledger and feed hold all the way', world)) FROM public.outcome GROUP BY world ORDER BY world;
SELECT is(string_agg(drift, ''), NULL, format('world %s: no drift after a rebuild', world)) FROM public.outcome GROUP BY world ORDER BY world;
SELECT ok(bool_and(idle), format('world %s: a second rebuild writes nothing', world)) FROM public.outcome GROUP BY world ORDER BY world;
SELECT is(count(*) FILTER (WHERE again <> customers), 0::bigint, format('world %s: all records again change nothing', world)) FROM public.outcome GROUP BY world ORDER BY world;
SELECT is(string_agg(DISTINCT forbidden, '; '), 'apart apart', format('world %s: who is forbidden stays apart', world)) FROM public.outcome GROUP BY world ORDER BY world;
SELECT ok(bool_and(links LIKE '%limit account%' AND links LIKE '%limit mail%' AND customers LIKE '%quarantined%' AND links LIKE '%attach only%'), 'rules had work') FROM public.outcome;
SELECT is((SELECT count(*) FROM public.outcome), 14::bigint, 'fourteen lives');
SELECT * FROM finish();
