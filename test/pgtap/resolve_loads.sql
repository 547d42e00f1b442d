-- Links of whole loads: many unions at once, homes of new identifiers, loads taken back and put in again, identifiers shared by too many.
SET jit = off;
\ir resolve_check.inc
SELECT plan(42);
SELECT cdp.add_source('shop', 'UTC');
-- Types without limits of their own, so that only the rules that a test sets count.
SELECT cdp.add_identifier_type('plain', normaliser => 'trim', priority => 10), cdp.add_identifier_type('weak', normaliser => 'trim', priority => 900);
CREATE TEMP TABLE kind AS SELECT (SELECT type_id FROM cdp_data.identifier_type WHERE name = 'plain') AS plain, (SELECT type_id FROM cdp_data.identifier_type WHERE name = 'weak') AS weak;

-- Loads pairs (each a record of two values of type plain) as a customer load does: new identifiers have a number set aside or 0 as home.
CREATE FUNCTION pg_temp.load_pairs(pairs text[], day integer DEFAULT 1) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  this bigint;
BEGIN
  INSERT INTO cdp_data.load (source_id, kind) VALUES (1, 'customers') RETURNING load_id INTO this;
  CREATE TEMP TABLE pair AS SELECT p.n, split_part(p.p, '-', 1) AS x, split_part(p.p, '-', 2) AS y, nextval('cdp_data.customer_customer_id_seq') AS aside FROM unnest(pairs) WITH ORDINALITY AS p (p, n);
  INSERT INTO cdp_data.identifier (type_id, value, customer_id, first_seen)
  SELECT k.plain, v.value, CASE WHEN this % 2 = 0 THEN min(pair.aside) ELSE 0 END, '2026-01-01'::timestamptz + make_interval(days => day)
  FROM kind k, pair CROSS JOIN LATERAL (VALUES (x), (y)) AS v (value)
  WHERE NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.type_id = k.plain AND i.value = v.value) GROUP BY k.plain, v.value ORDER BY v.value COLLATE "C";
  CREATE TEMP TABLE cdp_load_link AS
  SELECT a.identifier_id AS a_id, b.identifier_id AS b_id, '2026-01-01'::timestamptz + make_interval(days => day, secs => p.n::integer) AS at, 'e' || p.n AS event_key, 0::bigint AS version_id
  FROM pair p, kind k, cdp_data.identifier a, cdp_data.identifier b
  WHERE a.type_id = k.plain AND b.type_id = k.plain AND a.value = p.x AND b.value = p.y;
  PERFORM cdp_internal.load_links(this, 1);
  UPDATE cdp_data.load SET state = 'done' WHERE load_id = this;
  DROP TABLE pair, cdp_load_link;
  RETURN this;
END
$$;
CREATE FUNCTION pg_temp.who(VARIADIC vals text[]) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(cdp_internal.identifier_root(i.identifier_id)::text, ' ' ORDER BY v.n) FROM unnest(vals) WITH ORDINALITY AS v (value, n), kind k, cdp_data.identifier i WHERE i.type_id = k.plain AND i.value = v.value
$$;
-- Who is one with whom, by values; what a partition is, whatever the numbers.
CREATE FUNCTION pg_temp.parts() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(p, ' | ' ORDER BY p) FROM (SELECT string_agg(value, ',' ORDER BY value) AS p FROM cdp_data.identifier GROUP BY cdp_internal.identifier_root(identifier_id)) x
$$;
CREATE FUNCTION pg_temp.set_state(this bigint, to_state text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  UPDATE cdp_data.load SET state = to_state WHERE load_id = this;
  RETURN cdp_internal.links_of_load(this, to_state);
END
$$;
CREATE FUNCTION pg_temp.faults() RETURNS bigint LANGUAGE sql AS $$
  SELECT pg_temp.graph_differences() + pg_temp.ledger_differences() + pg_temp.idle_overrides()
    + (SELECT count(*) FROM cdp_data.identifier i WHERE NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = i.customer_id))
$$;

CREATE TEMP TABLE l (name text, id bigint);
INSERT INTO l VALUES ('first', pg_temp.load_pairs('{a-b,c-d,e-f}'));
SELECT is((SELECT count(*) FROM cdp_data.customer), 3::bigint, 'three records: three customers, none of which had to merge');
SELECT is((SELECT count(*) FROM cdp_data.merge_log), 0::bigint, 'and no line in the ledger');
SELECT is(pg_temp.faults(), 0::bigint, 'every identifier has a home, customers are the components');
SELECT is((SELECT min(event_key) || ' ' || count(*) FROM cdp_data.link_support), 'e1 3', 'each link is supported');
INSERT INTO l VALUES ('second', pg_temp.load_pairs('{b-c,d-g,g-h,x-y,y-z,c-b}'));
SELECT is(pg_temp.parts(), 'a,b,c,d,g,h | e,f | x,y,z', 'the second joins known ones with each other and with new ones');
SELECT is(pg_temp.who('a', 'd', 'g'), '4 4 4', 'under the earlier customer');
SELECT is((SELECT count(*) FROM cdp_data.merge_log), 1::bigint, 'one merge in the ledger');
SELECT is((SELECT count(*) FROM cdp_data.merge_log m JOIN cdp_data.link k USING (link_id) JOIN cdp_data.identifier i ON i.identifier_id = k.a_id JOIN cdp_data.identifier j ON j.identifier_id = k.b_id
  WHERE (i.value, j.value) IN (('b', 'c'), ('c', 'b')) AND m.load_id = 2), 1::bigint, 'with the link and the load that brought it');
SELECT is(pg_temp.faults(), 0::bigint, 'no fault');
SELECT is((SELECT count(*) FROM cdp_data.customer), 4::bigint, 'numbers that were set aside and not needed are no customers');

-- Taken back and put in again.
INSERT INTO l VALUES ('third', pg_temp.load_pairs('{c-b,f-x}', 5));
CREATE TEMP TABLE whole AS SELECT pg_temp.parts() AS p, pg_temp.state_of_identity() AS s;
SELECT is(pg_temp.set_state(2, 'reverted'), 4::bigint, 'the second is reverted: four of its five links have no other load');
SELECT is(pg_temp.parts(), 'a,b,c,d | e,f,x | g | h | y | z', 'merges that only it supported come apart, what the third shows as well stays');
SELECT is((SELECT string_agg(DISTINCT state || ' ' || reason, ', ') FROM cdp_data.link WHERE state <> 'active'), 'revoked load reverted', 'their links say why');
SELECT is((SELECT k.first_seen FROM cdp_data.link k JOIN cdp_data.identifier i ON i.identifier_id = a_id JOIN cdp_data.identifier j ON j.identifier_id = b_id WHERE i.value IN ('b', 'c') AND j.value IN ('b', 'c')),
  '2026-01-01'::timestamptz + make_interval(days => 5, secs => 1), 'a link shown by both is as old as what is in force says');
SELECT is(pg_temp.faults(), 0::bigint, 'no fault after the revert');
SELECT is(pg_temp.set_state(2, 'done'), 4::bigint, 'and in again');
SELECT is(pg_temp.parts(), (SELECT p FROM whole), 'the merges are back');
SELECT is(pg_temp.faults(), 0::bigint, 'no fault after the retry');
SELECT is((SELECT count(*) FROM cdp_data.link WHERE state <> 'active'), 0::bigint, 'all links hold');

-- Random loads, reverts and retries: always the components of what is in force.
CREATE FUNCTION pg_temp.storm(seed integer, rounds integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  h bigint;
  l record;
BEGIN
  FOR i IN 1 .. rounds LOOP
    h := abs(hashint8extended(i, seed)) % 1000003;
    SELECT load_id, state INTO l FROM cdp_data.load ORDER BY hashint8extended(load_id, seed + i) LIMIT 1;
    IF h % 5 < 2 THEN
      PERFORM pg_temp.load_pairs(ARRAY(SELECT 'n' || x % 30 || '-' || 'n' || x / 30 % 30
        FROM generate_series(1, 1 + h % 7) j, LATERAL (SELECT abs(hashint8extended(j, seed * 100 + i)) % 100003) y (x) WHERE x % 30 <> x / 30 % 30), 1 + (h % 9)::integer);
    ELSE
      PERFORM pg_temp.set_state(l.load_id, CASE l.state WHEN 'done' THEN 'reverted' ELSE 'done' END);
    END IF;
    IF pg_temp.faults() > 0 THEN
      RETURN 'faults after ' || i;
    END IF;
    IF EXISTS (SELECT FROM cdp_data.link k WHERE (k.state = 'active') IS DISTINCT FROM EXISTS (
      SELECT FROM cdp_data.link_support s JOIN cdp_data.load USING (load_id) WHERE s.link_id = k.link_id AND state = 'done')) THEN
      RETURN 'support differs after ' || i;
    END IF;
  END LOOP;
  RETURN 'same';
END
$$;
SELECT is(pg_temp.storm(seed, 25), 'same', 'loads, reverts and retries, sequence ' || seed) FROM generate_series(1, 2) seed;

CREATE FUNCTION pg_temp.drift() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM cdp.rebuild() WHERE change NOT IN ('largest', 'bridge', 'super-node')
$$;
SELECT is(pg_temp.drift(), 0::bigint, 'without limits there is no drift, whatever happened');
-- One load of new identifiers is judged as a rebuild judges, limits and all.
SELECT count(pg_temp.set_state(load_id, 'reverted')) FROM (SELECT load_id FROM cdp_data.load WHERE state = 'done' ORDER BY load_id OFFSET 0) l;
SELECT is((SELECT count(*) FROM cdp_data.link WHERE state <> 'revoked'), 0::bigint, 'all loads reverted: no link is left');
UPDATE cdp_data.identifier_type SET max_per_customer = 4, supernode_degree = 12 WHERE name = 'plain';
SELECT pg_temp.load_pairs(ARRAY(SELECT 'z' || x % 150 || '-' || 'z' || x / 150 % 150 FROM generate_series(1, 400) j, LATERAL (SELECT abs(hashint8extended(j, 4711)) % 1000003) y (x) WHERE x % 150 <> x / 150 % 150)
  || ARRAY(SELECT 'zhub-z' || i FROM generate_series(1, 20) i));
SELECT cmp_ok((SELECT count(*) FROM cdp_data.link WHERE state = 'rejected'), '>', 50::bigint, 'a load in which a limit stops many links');
SELECT is(pg_temp.drift(), 0::bigint, 'a rebuild of it changes nothing');
SELECT is(pg_temp.faults(), 0::bigint, 'no fault in it');
SELECT pg_temp.set_state(max(load_id), 'reverted') FROM cdp_data.load;
UPDATE cdp_data.identifier_type SET max_per_customer = NULL, supernode_degree = NULL WHERE name = 'plain';

-- Rules: a limit, a cannot link, a device of thousands.
UPDATE cdp_data.identifier_type SET max_per_customer = 3 WHERE name = 'plain';
SELECT pg_temp.load_pairs('{p1-p2,p2-p3,p3-p4}');
SELECT is(pg_temp.parts() ~ 'p1,p2,p3 \| p4', true, 'the fourth is one too many');
SELECT is((SELECT reason FROM cdp_data.link WHERE state = 'rejected'), 'limit plain', 'as its link says');
UPDATE cdp_data.identifier_type SET max_per_customer = NULL WHERE name = 'plain';
SELECT is((SELECT accepted FROM cdp_internal.resolve_links(ARRAY(SELECT link_id FROM cdp_data.link WHERE state = 'rejected'), 'manual')), 1::bigint, 'tried again without the limit, it holds');
UPDATE cdp_data.identifier_type SET supernode_degree = 50 WHERE name = 'plain';
SELECT pg_temp.load_pairs(ARRAY(SELECT 'device-q' || i FROM generate_series(1, 50) i));
SELECT is((SELECT state FROM cdp_data.identifier WHERE value = 'device'), 'active', 'fifty neighbours are allowed');
SELECT pg_temp.load_pairs(ARRAY(SELECT 'device-q' || i FROM generate_series(40, 10000) i));
SELECT is((SELECT state FROM cdp_data.identifier WHERE value = 'device'), 'quarantined', 'ten thousand are not');
SELECT is((SELECT count(*) || ' ' || count(DISTINCT cdp_internal.identifier_root(identifier_id)) FROM cdp_data.identifier WHERE value LIKE 'q%'), '10000 10000', 'its people are ten thousand customers again');
SELECT is((SELECT count(*) || min(k.reason) || min(k.state) FROM cdp_data.link k JOIN cdp_data.identifier i ON i.identifier_id IN (k.a_id, k.b_id) WHERE i.value = 'device'), '10000super-noderejected', 'all its links are rejected');
-- Links that come back bring neighbours, too: by a retry, and by allow_link().
UPDATE cdp_data.identifier_type SET supernode_degree = 4 WHERE name = 'plain';
CREATE TEMP TABLE made AS SELECT pg_temp.load_pairs('{till-t1,till-t2,till-t3}') AS first;
SELECT pg_temp.set_state(first, 'reverted') FROM made;
SELECT pg_temp.load_pairs('{till-t4,till-t5}');
SELECT is((SELECT state FROM cdp_data.identifier WHERE value = 'till'), 'active', 'two neighbours are in force');
SELECT pg_temp.set_state(first, 'done') FROM made;
SELECT is((SELECT state FROM cdp_data.identifier WHERE value = 'till'), 'quarantined', 'a retry that brings three more makes five: quarantined');
SELECT is((SELECT count(DISTINCT cdp_internal.identifier_root(identifier_id)) FROM cdp_data.identifier WHERE value ~ '^t[1-5]$'), 5::bigint, 'and its people part');
SELECT is((SELECT count(*) FROM cdp_data.identity_alert a JOIN cdp_data.identifier i USING (identifier_id) WHERE i.value = 'till'), 1::bigint, 'an alert tells');
SELECT pg_temp.load_pairs('{desk-d1,desk-d2,desk-d3}');
SELECT cdp.unmerge(identifier => identifier_id) FROM cdp_data.identifier WHERE value = 'desk';
SELECT pg_temp.load_pairs('{desk-d4,desk-d5,d1-d2,d2-d3}');
SELECT is((SELECT state FROM cdp_data.identifier WHERE value = 'desk'), 'active', 'three were taken back by an unmerge, two are there');
SELECT cdp.allow_link(a.identifier_id, b.identifier_id) IS NOT NULL FROM cdp_data.identifier a, cdp_data.identifier b WHERE a.value = 'desk' AND b.value = 'd1';
SELECT is((SELECT state FROM cdp_data.identifier WHERE value = 'desk'), 'quarantined', 'allowing them makes five: quarantined');
SELECT isnt(pg_temp.who('desk'), pg_temp.who('d1'), 'and nothing is joined through it');
SELECT is(pg_temp.faults(), 0::bigint, 'no fault after that');
SELECT is(pg_temp.faults(), 0::bigint, 'no fault at the end');
SELECT * FROM finish();
