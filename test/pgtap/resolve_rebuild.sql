-- The rebuild: the same customers whatever the order of arrival, stable numbers, a dry run that says what the run does, bridges, super-nodes, shortened paths.
SET jit = off;
\ir resolve_check.inc
SELECT plan(36);
SELECT cdp.add_source('shop', 'UTC');
INSERT INTO cdp_data.load (source_id, kind, state) VALUES (1, 'calls', 'done');
SELECT is_empty('SELECT * FROM cdp.rebuild(false)', 'nothing to rebuild: no row');
SELECT throws_ok('SELECT * FROM cdp.rebuild(NULL)', '22004', NULL, 'dry_run NULL');
-- A world of limits: one account a customer, two e-mails, three devices a month, e-mail to one account, cookies attached only.
SELECT cdp.add_identifier_type('account', normaliser => 'trim', priority => 10, max_per_customer => 1), cdp.add_identifier_type('mail', normaliser => 'trim', priority => 20, max_per_customer => 2),
  cdp.add_identifier_type('gadget', normaliser => 'trim', priority => 30, max_per_customer => 3, limit_window => '30 days', supernode_degree => 6),
  cdp.add_identifier_type('tag', normaliser => 'trim', priority => 40, role => 'attach_only');
CREATE TEMP TABLE t AS SELECT name, type_id FROM cdp_data.identifier_type;
INSERT INTO cdp_data.identifier_pair_limit SELECT a.type_id, b.type_id, 1 FROM t a, t b WHERE a.name = 'mail' AND b.name = 'account';
UPDATE cdp_data.setting SET max_identifiers_per_customer = 12;

CREATE FUNCTION pg_temp.record(at timestamptz, idents text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  types smallint[]; vals text[];
BEGIN
  SELECT array_agg(t.type_id ORDER BY y.priority, t.type_id, x.v), array_agg(x.v ORDER BY y.priority, t.type_id, x.v) INTO types, vals
  FROM (SELECT DISTINCT split_part(i, ':', 1) AS name, split_part(i, ':', 2) AS v FROM unnest(idents) i) x JOIN t USING (name) JOIN cdp_data.identifier_type y USING (type_id);
  RETURN (SELECT r.customer_id FROM cdp_internal.identify_in(1, 1, types, vals, at, 'k', 'identify') r);
END
$$;
CREATE TEMP TABLE world (n integer, at timestamptz, idents text[]);
CREATE FUNCTION pg_temp.make_world(seed integer, records integer) RETURNS void LANGUAGE sql AS $$
  DELETE FROM world;
  INSERT INTO world SELECT n, '2026-03-01'::timestamptz + make_interval(days => (h % 40)::integer),
    array_remove(ARRAY[CASE WHEN h % 3 = 0 THEN 'account:a' || h / 3 % 8 END, CASE WHEN h / 100 % 4 > 0 THEN 'mail:m' || h / 400 % 20 END,
      CASE WHEN h / 10000 % 2 = 0 THEN 'gadget:g' || h / 20000 % 9 END, CASE WHEN h / 200000 % 3 = 0 THEN 'tag:t' || h / 600000 % 10 END], NULL)
  FROM generate_series(1, records) n, LATERAL (SELECT abs(hashint8extended(n, seed)) % 100000007) x (h);
$$;
CREATE FUNCTION pg_temp.parts() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(p, ' | ' ORDER BY p) FROM (SELECT string_agg(value, ',' ORDER BY value COLLATE "C") AS p FROM cdp_data.identifier GROUP BY cdp_internal.identifier_root(identifier_id)) x
$$;
CREATE FUNCTION pg_temp.links() RETURNS text LANGUAGE sql AS $$
  SELECT md5(string_agg(concat_ws('-', least(a.value, b.value), greatest(a.value, b.value), l.kind, l.state, l.reason), ' ' ORDER BY least(a.value, b.value) COLLATE "C", greatest(a.value, b.value) COLLATE "C", l.kind))
  FROM cdp_data.link l JOIN cdp_data.identifier a ON a.identifier_id = a_id JOIN cdp_data.identifier b ON b.identifier_id = b_id
  WHERE a.state = 'active' AND b.state = 'active' -- which links a shared identifier has depends on when it was found out
$$;
CREATE TEMP TABLE outcome (seed integer, arrival integer, before text, parts text, links text, faults bigint, again text, drift text);
CREATE FUNCTION pg_temp.arrive(seed integer, arrival integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  w record;
  ids bigint[];
  told text;
  numbers text;
  mark text;
BEGIN
  DELETE FROM cdp_data.identifier; DELETE FROM cdp_data.identifier_override; DELETE FROM cdp_data.customer; DELETE FROM cdp_data.link;
  DELETE FROM cdp_data.link_support; DELETE FROM cdp_data.merge_log; DELETE FROM cdp_data.identity_alert;
  FOR w IN SELECT * FROM world ORDER BY hashint8extended(n, arrival) LOOP
    PERFORM pg_temp.record(w.at, w.idents);
  END LOOP;
  INSERT INTO outcome (seed, arrival, before) VALUES (arrive.seed, arrive.arrival, pg_temp.parts());
  -- What the dry run foretells is what the run then says, and it writes nothing.
  mark := pg_temp.written();
  told := (SELECT string_agg(concat_ws('/', change, customer_id, other_id, identifiers), ' ' ORDER BY change, customer_id, other_id, identifiers, detail) FROM cdp.rebuild() WHERE change IN ('merge', 'split', 'move', 'link activated', 'link rejected', 'quarantine'));
  IF mark <> pg_temp.written() THEN
    told := 'the dry run wrote';
  END IF;
  IF told IS DISTINCT FROM (SELECT string_agg(concat_ws('/', change, customer_id, other_id, identifiers), ' ' ORDER BY change, customer_id, other_id, identifiers, detail) FROM cdp.rebuild(false) WHERE change IN ('merge', 'split', 'move', 'link activated', 'link rejected', 'quarantine')) THEN
    told := 'another run than foretold';
  ELSE
    told := 'as foretold';
  END IF;
  mark := pg_temp.written();
  PERFORM FROM cdp.rebuild(false);
  UPDATE outcome o SET parts = pg_temp.parts(), links = pg_temp.links(), faults = pg_temp.graph_differences() + pg_temp.ledger_differences() + pg_temp.idle_overrides(), drift = told,
    again = CASE WHEN mark = pg_temp.written() AND NOT EXISTS (SELECT FROM cdp.rebuild() r WHERE r.change NOT IN ('largest', 'bridge', 'super-node')) THEN 'nothing' ELSE 'wrote' END
  WHERE o.seed = arrive.seed AND o.arrival = arrive.arrival;
END
$$;
SELECT pg_temp.make_world(s, 80), pg_temp.arrive(s, 1), pg_temp.arrive(s, 2), pg_temp.arrive(s, 3) FROM generate_series(1, 4) s;
SELECT is((SELECT count(DISTINCT parts) FROM outcome WHERE seed = s), 1::bigint, format('world %s: the same customers whatever the order of arrival', s)) FROM generate_series(1, 4) s;
SELECT is((SELECT count(DISTINCT links) FROM outcome WHERE seed = s), 1::bigint, format('world %s: and the same links, with the same reasons', s)) FROM generate_series(1, 4) s;
SELECT cmp_ok((SELECT count(DISTINCT before) FROM outcome), '>', 4::bigint, 'although arrivals had led to different ones');
SELECT is((SELECT sum(faults) FROM outcome), 0::numeric, 'customers are the components of active links, the ledger replays');
SELECT is((SELECT string_agg(DISTINCT again, ' ') FROM outcome), 'nothing', 'a second rebuild changes and writes nothing');
SELECT is((SELECT string_agg(DISTINCT drift, ' ') FROM outcome), 'as foretold', 'the dry run foretells the run and writes nothing');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.identifier WHERE state = 'quarantined'), '>', 0::bigint, 'the worlds have a shared gadget');
SELECT is((SELECT count(*) FROM cdp_internal.identity_violations()), 0::bigint, 'no customer is beyond a limit');

-- Cannot links hold through rebuilds; a limit taken away brings what it had stopped.
CREATE TEMP TABLE pair AS SELECT l.a_id, l.b_id, l.link_id FROM cdp_data.link l WHERE l.state = 'active' AND l.kind = 'deterministic' ORDER BY l.link_id LIMIT 1;
SELECT cdp.forbid_link(a_id, b_id, 'two people') FROM pair;
SELECT count(*) FROM cdp.rebuild(false);
SELECT isnt((SELECT cdp_internal.identifier_root(a_id) FROM pair), (SELECT cdp_internal.identifier_root(b_id) FROM pair), 'a cannot link holds through a rebuild');
SELECT is((SELECT state || ' ' || reason FROM cdp_data.link JOIN pair USING (link_id)), 'rejected cannot', 'its links say so');
UPDATE cdp_data.identifier_type SET max_per_customer = 1 WHERE name = 'mail';
SELECT cmp_ok((SELECT count(*) FROM cdp.rebuild() WHERE change = 'violation'), '>', 0::bigint, 'a tightened limit: the dry run names the customers beyond it');
SELECT cmp_ok((SELECT count(*) FROM cdp.rebuild() WHERE change = 'split'), '>', 0::bigint, 'and would split them');
SELECT count(*) FROM cdp.rebuild(false);
SELECT is((SELECT count(*) FROM cdp_internal.identity_violations()), 0::bigint, 'which the run does');
SELECT is(pg_temp.graph_differences() + pg_temp.ledger_differences() + pg_temp.idle_overrides(), 0::bigint, 'no fault after it');
UPDATE cdp_data.identifier_type SET max_per_customer = 2 WHERE name = 'mail';
SELECT count(*) FROM cdp.rebuild(false);
-- Released by a person: a rebuild leaves it so.
SELECT cdp.release_identifier((SELECT min(identifier_id) FROM cdp_data.identifier WHERE state = 'quarantined')) IS NOT NULL;
SELECT is((SELECT count(*) FROM cdp.rebuild() WHERE change = 'quarantine'), 0::bigint, 'what a person released is not quarantined by a rebuild');

-- Bridges against the plain way: taking a link away and counting.
CREATE TEMP TABLE edge (id bigint, a bigint, b bigint);
CREATE FUNCTION pg_temp.slow_bridges() RETURNS TABLE (id bigint, small bigint, whole bigint) LANGUAGE sql AS $$
  WITH RECURSIVE reach (cut, start, node) AS (
    SELECT c.id, c.a, c.a FROM edge c UNION ALL SELECT c.id, c.b, c.b FROM edge c
  ), walk (cut, start, node) AS (
    TABLE reach
    UNION
    SELECT w.cut, w.start, CASE WHEN e.a = w.node THEN e.b ELSE e.a END FROM walk w JOIN edge e ON w.node IN (e.a, e.b) AND e.id <> w.cut
  )
  SELECT c.id, least(x.n, y.n), x.n + y.n FROM edge c, LATERAL (SELECT count(*) AS n FROM walk w WHERE w.cut = c.id AND w.start = c.a) x, LATERAL (SELECT count(*) AS n FROM walk w WHERE w.cut = c.id AND w.start = c.b) y
  WHERE NOT EXISTS (SELECT FROM walk w WHERE w.cut = c.id AND w.start = c.a AND w.node = c.b)
$$;
CREATE FUNCTION pg_temp.bridge_differences(seed integer, nodes integer, edges integer, OUT differ bigint, OUT bridges bigint) LANGUAGE plpgsql AS $$
DECLARE
  b bigint[];
BEGIN
  DELETE FROM edge;
  INSERT INTO edge SELECT i, 1 + h % nodes, 1 + h / 1000 % nodes FROM generate_series(1, edges) i, LATERAL (SELECT abs(hashint8extended(i, seed)) % 1000003) x (h) WHERE h % nodes <> h / 1000 % nodes;
  b := (SELECT cdp_internal.bridges(1, e.id, e.a, e.b ORDER BY hashint8extended(e.id, seed + 9)) FROM edge e);
  SELECT count(*) INTO differ FROM (
    (SELECT b[n][1], b[n][2], b[n][3] FROM generate_series(1, coalesce(array_length(b, 1), 0)) n EXCEPT SELECT * FROM pg_temp.slow_bridges())
    UNION ALL (SELECT * FROM pg_temp.slow_bridges() EXCEPT SELECT b[n][1], b[n][2], b[n][3] FROM generate_series(1, coalesce(array_length(b, 1), 0)) n)) d;
  bridges := coalesce(array_length(b, 1), 0);
END
$$;
SELECT unnest(ARRAY[is(sum(b.differ), 0::numeric, 'bridges are the links whose taking away parts their ends: 40 random graphs'), cmp_ok(sum(b.bridges), '>', 100::numeric, 'there were some')])
FROM generate_series(1, 40) s, pg_temp.bridge_differences(s, 12 + s % 10, 10 + s % 15) b;
SELECT is((SELECT max(b[n][2]) FROM (SELECT cdp_internal.bridges(1, i, i, i + 1) AS b FROM generate_series(1, 100000) i) x, generate_series(1, 100000) n), 50000::bigint, 'a chain of a hundred thousand overflows no stack');
SELECT is((SELECT cdp_internal.bridges(1, i, 1, 2) FROM generate_series(1, 2) i), NULL, 'of two links between the same ends none is a bridge');
SELECT lives_ok('SELECT * FROM cdp.identity_bridges()', 'bridges of the graph');
SELECT cmp_ok((SELECT count(*) FROM cdp.identity_supernodes(9)), '>', 0::bigint, 'super-nodes of the graph');

-- Paths are shortened without a word to anybody.
SELECT pg_temp.strangers(6);
UPDATE cdp_data.customer c SET parent_id = c.customer_id - 1 WHERE c.customer_id IN (SELECT customer_id FROM cdp_data.identifier WHERE value ~ '^v' ORDER BY identifier_id OFFSET 1);
CREATE TEMP TABLE quiet AS SELECT (SELECT count(*) FROM cdp_data.merge_log) + (SELECT count(*) FROM cdp_data.change_feed) AS n, pg_temp.parts() AS p;
CALL cdp_internal.maintain_room_identity();
SELECT is((SELECT count(*) FROM cdp_data.customer c JOIN cdp_data.customer p ON p.customer_id = c.parent_id WHERE p.parent_id <> p.customer_id), 0::bigint, 'every parent is a root');
SELECT is((SELECT (SELECT count(*) FROM cdp_data.merge_log) + (SELECT count(*) FROM cdp_data.change_feed) - n || (p = pg_temp.parts())::text FROM quiet), '0true', 'nobody heard of it and nobody moved');
-- What was computed before the lock is thrown away when anything that it goes by has changed.
CREATE TEMP TABLE mark AS SELECT cdp_internal.rebuild_mark() AS m;
SELECT is(cdp_internal.rebuild_mark(), m, 'nobody wrote: the result holds') FROM mark;
SELECT cdp.add_identifier_type('gadget', supernode_degree => 7);
SELECT isnt(cdp_internal.rebuild_mark(), m, 'another number of neighbours makes an identifier shared') FROM mark;
UPDATE mark SET m = cdp_internal.rebuild_mark();
UPDATE cdp_data.identifier SET value = value || '!' WHERE identifier_id = (SELECT min(identifier_id) FROM cdp_data.identifier);
SELECT isnt(cdp_internal.rebuild_mark(), m, 'values decide between equal links') FROM mark;
SET cdp.components_memory = '1MB';
INSERT INTO cdp_data.identifier (type_id, value, customer_id) SELECT t.type_id, 'much' || n, 0 FROM generate_series(1, 20000) n, (SELECT min(type_id) AS type_id FROM cdp_data.identifier_type_all) t;
SELECT throws_ok('SELECT * FROM cdp.rebuild()', '54000', 'the identity graph does not fit into the memory that is allowed', 'what does not fit is refused');
SELECT throws_ok('SELECT * FROM cdp.rebuild(dry_run => false)', '54000', NULL, 'before anything is locked');
RESET cdp.components_memory;
SELECT * FROM finish();
