-- Members of segments out of the sets of atoms, against logic customer by customer: random plans over random passes with customers the
-- passes did not meet and values that are missing, in both logics; laws of the algebra; ids in far slices; what does not belong together.
BEGIN;
SELECT plan(33);
SET client_min_messages = error;
SELECT setseed(0.51);

-- The population, some of whom no pass met, and some outside of it whom passes met.
CREATE TEMP TABLE person AS
SELECT id, random() < 0.9 AS member, random() < 0.8 AS has_events, random() < 0.9 AS has_profile
FROM (SELECT i::bigint AS id FROM generate_series(1, 400) i UNION ALL SELECT 65530 + i FROM generate_series(1, 12) i
  UNION ALL SELECT 40000000 + i * 3 FROM generate_series(1, 50) i UNION ALL SELECT 4294967290 + i FROM generate_series(1, 5) i) x;
-- What each atom says: t, f or NULL for unknown; of whoever a pass did not meet, its own answer.
CREATE TEMP TABLE said AS
SELECT kind, atom, unseen, id, CASE WHEN kind <> 'set' AND NOT CASE kind WHEN 'event' THEN has_events ELSE has_profile END THEN unseen
  ELSE CASE floor(random() * CASE WHEN kind = 'attribute' OR atom > 3 THEN 3 ELSE 2 END)::integer WHEN 0 THEN true WHEN 1 THEN false END END AS answer
FROM (VALUES ('event', 0, false), ('event', 1, true), ('event', 2, false), ('event', 3, true), ('event', 4, NULL), ('attribute', 0, NULL), ('attribute', 1, NULL),
  ('attribute', 2, false), ('set', 0, false), ('set', 1, false), ('set', 2, false)) a (kind, atom, unseen), person;

-- A pass of these answers: the layout of passresult.c.
CREATE FUNCTION pg_temp.le(v bigint, n integer) RETURNS bytea LANGUAGE sql AS
$$ SELECT string_agg(set_byte('\x00', 0, ((v >> (8 * i)) & 255)::integer), ''::bytea ORDER BY i) FROM generate_series(0, n - 1) i $$;
CREATE FUNCTION pg_temp.sized(b bytea) RETURNS bytea LANGUAGE sql AS 'SELECT pg_temp.le(length(b), 4) || b';
CREATE FUNCTION pg_temp.pass(what text) RETURNS bytea LANGUAGE sql AS $$
  SELECT '\x53504443'::bytea || pg_temp.le((SELECT count(DISTINCT atom) FROM said WHERE kind = what), 4)
    || pg_temp.sized((SELECT cdp.roaring_build(id) FROM person WHERE CASE what WHEN 'event' THEN has_events ELSE has_profile END))
    || (SELECT string_agg(b, ''::bytea ORDER BY atom) FROM (
        SELECT atom, CASE WHEN unseen THEN '\x01'::bytea WHEN NOT unseen THEN '\x00' ELSE '\x02' END
          || pg_temp.sized(cdp.roaring_build(id) FILTER (WHERE answer AND met)) || pg_temp.sized(cdp.roaring_build(id) FILTER (WHERE answer IS NULL AND met)) AS b
        FROM (SELECT s.*, CASE what WHEN 'event' THEN has_events ELSE has_profile END AS met FROM said s JOIN person USING (id) WHERE kind = what) m GROUP BY atom, unseen) a)
    || pg_temp.le(0, 8)
$$;
CREATE TEMP TABLE given AS
SELECT pg_temp.pass('event') AS events, pg_temp.pass('attribute') AS attributes, (SELECT cdp.roaring_build(id) FROM person WHERE member) AS population,
  (SELECT array_agg(b ORDER BY atom) FROM (SELECT atom, cdp.roaring_build(id) FILTER (WHERE answer) AS b FROM said WHERE kind = 'set' GROUP BY atom) x) AS sets;
SELECT is((SELECT count(*) FROM given, cdp_internal.segment_pass_events(events) WHERE unseen IS NULL), 1::bigint, 'the passes made here are read');

-- Random nodes, each over nodes before it.
CREATE FUNCTION pg_temp.nodes(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  nodes jsonb := '[{"event":0},{"event":1},{"event":2},{"event":3},{"event":4},{"attribute":0},{"attribute":1},{"attribute":2},{"set":0},{"set":1},{"set":2},{"nobody":true},{"everybody":true},{"all":[]},{"any":[]}]';
  k integer;
BEGIN
  FOR i IN jsonb_array_length(nodes) .. n - 1 LOOP
    k := floor(random() * 5)::integer;
    nodes := nodes || CASE floor(random() * 8)::integer WHEN 0 THEN jsonb_build_object('members', floor(random() * i)::integer, 'nulls', CASE WHEN random() < 0.5 THEN 'set' ELSE 'sql' END)
      WHEN 1 THEN jsonb_build_object('not', floor(random() * i)::integer) WHEN 2 THEN jsonb_build_object('not', floor(random() * 11)::integer)
      ELSE jsonb_build_object(CASE WHEN random() < 0.5 THEN 'all' ELSE 'any' END, (SELECT jsonb_agg(CASE WHEN random() < 0.5 THEN floor(random() * i) ELSE greatest(i - 1 - floor(random() * 12), 0) END::integer) FROM generate_series(0, k))) END;
  END LOOP;
  RETURN nodes;
END $$;
CREATE TEMP TABLE plan AS
SELECT p, jsonb_build_object('v', 1, 'events', '[{},{},{},{},{}]'::jsonb, 'attributes', '[{},{},{}]'::jsonb, 'sets', '[{},{},{}]'::jsonb, 'nodes', nodes,
  'segments', (SELECT jsonb_agg(jsonb_build_object('id', i * 2 + l, 'node', i, 'nulls', (ARRAY['set', 'sql'])[l + 1]) ORDER BY i * 2 + l) FROM generate_series(0, 99) i, generate_series(0, 1) l)) AS plan
FROM (SELECT p, pg_temp.nodes(100) AS nodes FROM generate_series(1, 2) p) x;

-- The same, customer by customer: SQL's own logic, and its counterpart in which every atom without a value is false.
CREATE TEMP TABLE truth (p integer, node integer, id bigint, set boolean, sql boolean);
DO $$
DECLARE
  a record;
BEGIN
  FOR a IN SELECT p, i - 1 AS i, n FROM plan, jsonb_array_elements(plan -> 'nodes') WITH ORDINALITY x (n, i) ORDER BY p, i LOOP
    INSERT INTO truth
    SELECT a.p, a.i, m.id, coalesce(CASE WHEN leaf.answer IS NOT NULL OR leaf.id IS NOT NULL THEN leaf.answer WHEN a.n ? 'nobody' THEN false WHEN a.n ? 'everybody' THEN true
        WHEN a.n ? 'not' THEN NOT child.set1 WHEN a.n ? 'all' THEN child.all_set WHEN a.n ? 'any' THEN child.any_set ELSE CASE WHEN a.n ->> 'nulls' = 'sql' THEN coalesce(child.sql1, false) ELSE child.set1 END END, false),
      CASE WHEN leaf.id IS NOT NULL THEN leaf.answer WHEN a.n ? 'nobody' THEN false WHEN a.n ? 'everybody' THEN true
        WHEN a.n ? 'not' THEN NOT child.sql1 WHEN a.n ? 'all' THEN child.all_sql WHEN a.n ? 'any' THEN child.any_sql ELSE CASE WHEN a.n ->> 'nulls' = 'sql' THEN coalesce(child.sql1, false) ELSE child.set1 END END
    FROM (SELECT id FROM person WHERE member) m
    LEFT JOIN said leaf ON leaf.id = m.id AND a.n ? leaf.kind AND leaf.atom = (a.n ->> leaf.kind)::integer
    LEFT JOIN LATERAL (
      SELECT bool_and(t.set) AS set1, bool_and(t.sql) AS sql1, coalesce(bool_and(t.set), true) AS all_set, coalesce(bool_or(t.set), false) AS any_set,
        CASE WHEN bool_or(NOT t.sql) THEN false WHEN bool_or(t.sql IS NULL) THEN NULL ELSE true END AS all_sql,
        CASE WHEN bool_or(t.sql) THEN true WHEN bool_or(t.sql IS NULL) THEN NULL ELSE false END AS any_sql
      FROM truth t WHERE t.p = a.p AND t.id = m.id AND t.node IN (SELECT v::integer FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(coalesce(a.n -> 'all', a.n -> 'any')) = 'array' THEN coalesce(a.n -> 'all', a.n -> 'any') ELSE jsonb_build_array(coalesce(a.n -> 'not', a.n -> 'members', '-1')) END) v)
    ) child ON true;
    IF a.i % 20 = 0 THEN ANALYZE truth; END IF;
    IF a.i = 0 AND a.p = 1 THEN CREATE INDEX ON truth (p, id, node); END IF;
  END LOOP;
END $$;
CREATE TEMP TABLE got AS
SELECT p, c.segment_id / 2 AS node, c.segment_id % 2 = 1 AS sql, c.members, c.through_null FROM plan, given, cdp_internal.segment_combine(plan, population, events, attributes, sets) c;
SELECT is((SELECT count(*) FROM got), 400::bigint, 'a row for each segment');
SELECT is_empty($$SELECT p, node, sql FROM got WHERE members <> (SELECT cdp.roaring_build(id) FROM truth t WHERE t.p = got.p AND t.node = got.node AND CASE WHEN got.sql THEN t.sql ELSE t.set END)$$, 'members by either logic');
SELECT is_empty($$SELECT p, node FROM got WHERE through_null <> CASE WHEN sql THEN 0 ELSE (SELECT count(*) FROM truth t WHERE t.p = got.p AND t.node = got.node AND t.set AND t.sql IS NOT TRUE) END$$, 'members through a missing value');
SELECT cmp_ok((SELECT count(*) FROM got WHERE through_null > 0), '>', 20::bigint, 'there are many such segments');
SELECT cmp_ok((SELECT count(DISTINCT members) FROM got), '>', 40::bigint, 'and many different answers');
SELECT is_empty($$SELECT FROM got a JOIN got b USING (p, node) WHERE NOT a.sql AND b.sql AND cdp.roaring_count(cdp.roaring_andnot(b.members, a.members)) > 0$$, 'SQL''s logic takes nobody whom the other leaves out');
SELECT is_empty($$SELECT FROM got, given WHERE cdp.roaring_count(cdp.roaring_andnot(members, population)) > 0$$, 'nobody from outside of the population');
SELECT is((SELECT jsonb_agg(through_null) FROM got WHERE node < 11 AND NOT sql), (SELECT jsonb_agg(0) FROM generate_series(1, 22)), 'an atom takes nobody through a missing value');

-- Laws, in both logics: over all pairs of nodes of one plan.
CREATE FUNCTION pg_temp.members(extra jsonb, node integer, nulls text) RETURNS bytea LANGUAGE sql AS $$
  SELECT members FROM plan, given, cdp_internal.segment_combine(jsonb_set(jsonb_set(plan, '{nodes}', (plan -> 'nodes') || extra), '{segments}', jsonb_build_array(jsonb_build_object('id', 1, 'node', node, 'nulls', nulls))), population, events, attributes, sets)
  WHERE p = 2
$$;
CREATE TEMP TABLE two AS SELECT x AS a, y AS b, l AS nulls FROM unnest('{4,6,33}'::integer[]) x, unnest('{2,7,41,66}'::integer[]) y, unnest('{set,sql}'::text[]) l;
SELECT is_empty($$SELECT a, b, nulls FROM two WHERE pg_temp.members(jsonb_build_array(jsonb_build_object('all', jsonb_build_array(a, b)), '{"not":100}'::jsonb), 101, nulls)
  <> pg_temp.members(jsonb_build_array(jsonb_build_object('not', a), jsonb_build_object('not', b), '{"any":[100,101]}'::jsonb), 102, nulls)$$, 'De Morgan');
SELECT is_empty($$SELECT a, nulls FROM two WHERE pg_temp.members(jsonb_build_array(jsonb_build_object('not', a), '{"not":100}'::jsonb), 101, nulls) <> pg_temp.members('[]', a, nulls)$$, 'twice not');
SELECT is_empty($$SELECT b FROM two, given WHERE cdp.roaring_or(pg_temp.members(jsonb_build_array(jsonb_build_object('not', b)), 100, 'set'), pg_temp.members('[]', b, 'set')) <> population
  OR cdp.roaring_count(cdp.roaring_and(pg_temp.members(jsonb_build_array(jsonb_build_object('not', b)), 100, 'set'), pg_temp.members('[]', b, 'set'))) > 0$$, 'a rule and its complement part the population');
SELECT is_empty($$SELECT a, b, nulls FROM two WHERE pg_temp.members(jsonb_build_array(jsonb_build_object('any', jsonb_build_array(a, b)), jsonb_build_object('all', jsonb_build_array(a, 100))), 101, nulls) <> pg_temp.members('[]', a, nulls)$$, 'absorption');
SELECT is_empty($$SELECT a, nulls FROM two WHERE pg_temp.members(jsonb_build_array(jsonb_build_object('all', jsonb_build_array(a, a, a))), 100, nulls) <> pg_temp.members('[]', a, nulls)$$, 'idempotence');

-- Slices: the least memory cuts the ids finer and changes nothing.
SET cdp.segment_memory = '16MB';
SELECT is_empty($$SELECT plan.p, c.segment_id FROM plan, given, cdp_internal.segment_combine(jsonb_set(plan.plan, '{nodes}', (plan.plan -> 'nodes') || (SELECT jsonb_agg('{"nobody":true}'::jsonb) FROM generate_series(1, 900))), population, events, attributes, sets) c
  JOIN got g ON g.node = c.segment_id / 2 AND g.sql = (c.segment_id % 2 = 1) WHERE g.p = plan.p AND (g.members <> c.members OR g.through_null <> c.through_null)$$, 'little memory changes no answer');
RESET cdp.segment_memory;
SELECT is((SELECT count(*) FROM plan, given, cdp_internal.segment_combine(plan, '\x3a30000000000000', events, attributes, sets) WHERE cdp.roaring_count(members) = 0 AND through_null = 0), 400::bigint, 'nobody is in any segment of nobody');
SELECT is((SELECT cdp.roaring_count(members) FROM cdp_internal.segment_combine('{"nodes":[{"everybody":true}],"segments":[{"id":1,"node":0,"nulls":"set"}]}', (SELECT population FROM given), NULL, NULL, NULL)), (SELECT count(*) FROM person WHERE member), 'a plan without atoms needs no pass');
SELECT is((SELECT string_agg(c::text, ' ') FROM cdp_internal.segment_combine('{"sets":[{}],"nodes":[{"set":0}],"segments":[{"id":1,"node":0,"nulls":"set"}]}', '\x3a3000000100000000000000100000000700', NULL, NULL, ARRAY[NULL]::bytea[]) c), '(1,"\\x3a30000000000000",0)', 'a set that is NULL is empty');

-- What does not belong together.
CREATE FUNCTION pg_temp.try(plan jsonb, population bytea DEFAULT '\x3a30000000000000', events bytea DEFAULT NULL, sets bytea[] DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE code text; message text; detail text;
BEGIN
  PERFORM cdp_internal.segment_combine(plan, population, events, NULL, sets);
  RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
  RETURN concat_ws(' | ', code, message, nullif(detail, ''));
END $$;
SELECT is(pg_temp.try(p), '22023 | invalid plan of segments | ' || x, t) FROM (VALUES
  ('[]'::jsonb, 'plan: it is no object.', 'a plan that is a list'),
  ('{"nodes":[{"not":0}]}', 'nodes[0]: "not" is not one of 0 before it.', 'a node of itself'),
  ('{"nodes":[{"all":[1]},{"nobody":true}]}', 'nodes[0]: "all" is not one of 0 before it.', 'a node after it'),
  ('{"nodes":[{"event":0}]}', 'nodes[0]: "event" is not one of 0 before it.', 'an atom that is none'),
  ('{"nodes":[{"nobody":true},{"all":0}]}', 'nodes[1]: it has no list of nodes where one is needed, or the other way round.', 'no list'),
  ('{"nodes":[{"nobody":true},{"members":0,"nulls":"x"}]}', 'nodes[1]: "nulls" is neither set nor sql.', 'a logic that is none'),
  ('{"nodes":[{"xor":[0]}]}', 'nodes[0]: it is none of the known ones.', 'another node'),
  ('{"segments":[{"id":1,"node":0,"nulls":"set"}]}', 'segments[0]: "node" is not one of 0 before it.', 'a segment without its node')) v (p, x, t);
SELECT is(pg_temp.try('{"events":[{}]}'), '22004 | the result of the pass over events must not be NULL | The plan has 1 atoms about them.', 'a pass must be there');
SELECT is(pg_temp.try('{"events":[{}]}', events => (SELECT g.events FROM given g)), '22023 | the result of the pass over events belongs to another plan | It has 5 atoms, the plan 1.', 'a pass of another plan');
SELECT is(pg_temp.try('{"sets":[{}]}', sets => '{}'), '22023 | the sets belong to another plan | There are 0, the plan has 1 set atoms.', 'too few sets');
SELECT is(pg_temp.try('{}', '\x00'), '22P03 | invalid roaring bitmap | Of its 1 bytes, the first four are missing.', 'a population that is no set');
SELECT is(pg_temp.try('{"events":[{}]}', events => '\x5350444301'), '22P03 | invalid result of a segment pass | Its 5 bytes do not fit what they say they hold.', 'a pass that is cut');
SELECT is(pg_temp.try(NULL), '22004 | plan and population must not be NULL', 'no plan');
SELECT is(pg_temp.try('{}', sets => '{{"\\x00"},{"\\x00"}}'), '2202E | the sets must come as an array of one dimension | It has 2.', 'sets of two dimensions');
SELECT * FROM finish();
ROLLBACK;
