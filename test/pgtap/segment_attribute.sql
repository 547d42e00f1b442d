-- The pass over profiles against plain SQL: every comparison and type, as columns and as members of JSON, over random rows with NULLs,
-- JSON null, missing keys and values of other types; moments at which ranges change by themselves; rows and plans that do not fit.
BEGIN;
SELECT plan(38);
SET client_min_messages = error;
SELECT setseed(0.17);

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION pg_temp.word() RETURNS text LANGUAGE sql AS
$$ SELECT pg_temp.pick('', 'a', 'A', 'ab', 'abc', 'b%', 'a_c', 'a\c', 'Zoë', 'zoe', '微信', '微', ' a', repeat('long ', 60), NULL) $$;
CREATE FUNCTION pg_temp.number() RETURNS numeric LANGUAGE sql AS
$$ SELECT pg_temp.pick('0', '1', '-1', '2', '2.5', '3', '1e15', '-7.25', '0.1', '100', NULL)::numeric $$;
CREATE FUNCTION pg_temp.moment() RETURNS timestamptz LANGUAGE sql AS
$$ SELECT CASE WHEN random() < 0.1 THEN NULL WHEN random() < 0.1 THEN pg_temp.pick('infinity', '-infinity', '2026-05-02Z', '2026-06-01Z', '2026-06-08Z', '2024-02-29 17:00Z', '2026-02-28 16:00Z')::timestamptz
   ELSE '2026-06-01Z'::timestamptz + (random() * 80 - 40) * interval '1 day' END $$;
CREATE FUNCTION pg_temp.day() RETURNS date LANGUAGE sql AS
$$ SELECT CASE WHEN random() < 0.1 THEN NULL WHEN random() < 0.15 THEN pg_temp.pick('infinity', '-infinity', '2024-02-29', '2025-02-28', '2025-03-01', '2026-06-01', '1970-12-31')::date ELSE '1990-01-01'::date + floor(random() * 14000)::integer END $$;
CREATE FUNCTION pg_temp.list() RETURNS text[] LANGUAGE sql AS
$$ SELECT CASE WHEN random() < 0.2 THEN NULL ELSE ARRAY(SELECT pg_temp.word() FROM generate_series(1, floor(random() * 4)::integer)) END $$;
-- A value of JSON: of the type asked for, of another one, null, or none.
CREATE FUNCTION pg_temp.json(v anyelement) RETURNS jsonb LANGUAGE sql AS
$$ SELECT CASE WHEN random() < 0.75 THEN to_jsonb(v) WHEN random() < 0.5 THEN pg_temp.pick('"2"', '2', 'true', '{"a":1}', '["a", 1, null]', 'null', '"2026-06-31"', '"2026-06-01"')::jsonb END $$;

CREATE TABLE pg_temp.person AS
SELECT c * 37 AS customer_id, pg_temp.word() AS name, left(pg_temp.word(), 20)::varchar(20) AS code, left(pg_temp.word(), 4)::char(4) AS fixed,
  round(pg_temp.number() % 100000)::smallint AS small, round(pg_temp.number() % 1000000)::integer AS age, round(pg_temp.number())::bigint AS big,
  pg_temp.number() AS score, pg_temp.number()::real AS weight, pg_temp.number()::double precision AS ratio,
  pg_temp.pick('t', 'f', NULL)::boolean AS vip, pg_temp.day() AS born, pg_temp.moment() AS seen, pg_temp.list() AS tags,
  (pg_temp.list())::varchar[] AS codes,
  (SELECT coalesce(jsonb_object_agg(k, v) FILTER (WHERE v IS NOT NULL), '{}') FROM (VALUES ('t', pg_temp.json(pg_temp.word())), ('n', pg_temp.json(pg_temp.number())),
    ('b', pg_temp.json(pg_temp.pick('t', 'f')::boolean)), ('d', pg_temp.json('2020-01-01'::date + floor(random() * 3000)::integer)), ('m', pg_temp.json(to_char('2026-06-01'::timestamp + (random() * 80 - 40) * interval '1 day', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))),
    ('l', pg_temp.json(pg_temp.list()))) x (k, v) WHERE c > 0) AS attributes,
  pg_temp.json(pg_temp.word()) AS whole, c AS unused
FROM generate_series(1, 2500) c;
ALTER TABLE person DROP COLUMN unused;
UPDATE person SET attributes = attributes || jsonb_build_object('filler', repeat('x', 5000)) WHERE customer_id % 5 = 0; -- stored apart
UPDATE person SET attributes = CASE customer_id % 3 WHEN 0 THEN NULL WHEN 1 THEN '[1]'::jsonb ELSE '"x"' END WHERE customer_id % 50 = 1;
ALTER TABLE person ADD COLUMN late text DEFAULT 'ab'; -- a column that old rows do not store

-- Fields: where a value lies, and the same as SQL, NULL for no value.
CREATE TEMP TABLE field (place jsonb, type text, value text);
INSERT INTO field VALUES
  ('{"column": "name"}', 'text', 'name'), ('{"column": "code"}', 'text', 'code::text'), ('{"column": "fixed"}', 'text', 'fixed::text'), ('{"column": "late"}', 'text', 'late'),
  ('{"json": "attributes", "key": "t"}', 'text', $$CASE WHEN jsonb_typeof(attributes -> 't') = 'string' THEN attributes ->> 't' END$$),
  ('{"column": "whole"}', 'text', $$CASE WHEN jsonb_typeof(whole) = 'string' THEN whole #>> '{}' END$$),
  ('{"column": "small"}', 'integer', 'small'), ('{"column": "age"}', 'integer', 'age'), ('{"column": "big"}', 'integer', 'big'), ('{"column": "score"}', 'numeric', 'score'),
  ('{"column": "weight"}', 'numeric', 'weight::double precision'), ('{"column": "ratio"}', 'numeric', 'ratio'),
  ('{"json": "attributes", "key": "n"}', 'numeric', $$CASE WHEN jsonb_typeof(attributes -> 'n') = 'number' THEN (attributes ->> 'n')::numeric END$$),
  ('{"column": "vip"}', 'boolean', 'vip'), ('{"json": "attributes", "key": "b"}', 'boolean', $$CASE WHEN jsonb_typeof(attributes -> 'b') = 'boolean' THEN (attributes ->> 'b')::boolean END$$),
  ('{"column": "born"}', 'date', 'born'), ('{"json": "attributes", "key": "d"}', 'date', $$CASE WHEN jsonb_typeof(attributes -> 'd') = 'string' AND length(attributes ->> 'd') = 10 THEN nullif(attributes ->> 'd', '2026-06-31')::date END$$),
  ('{"column": "seen"}', 'timestamp', 'seen'),
  ('{"json": "attributes", "key": "m"}', 'timestamp', $$CASE WHEN jsonb_typeof(attributes -> 'm') = 'string' AND attributes ->> 'm' ~ '^2026-(0[57]-31|0[4-7]-(0[1-9]|[12]\d|30))' THEN ((attributes ->> 'm')::timestamp AT TIME ZONE 'UTC') END$$),
  ('{"column": "tags"}', 'list', 'tags'), ('{"column": "codes"}', 'list', 'codes::text[]'),
  ('{"json": "attributes", "key": "l"}', 'list', $$CASE WHEN jsonb_typeof(attributes -> 'l') = 'array' THEN ARRAY(SELECT e #>> '{}' FROM jsonb_array_elements(attributes -> 'l') e WHERE jsonb_typeof(e) = 'string') END$$);

-- Atoms and the same as SQL over v, the value.
CREATE TEMP TABLE atom (n integer GENERATED ALWAYS AS IDENTITY, atom jsonb, yes text, value text);
INSERT INTO atom (atom, yes, value)
SELECT f.place || jsonb_build_object('type', f.type) || o.atom, o.yes, f.value
FROM field f CROSS JOIN LATERAL (
  SELECT jsonb_build_object('op', op, 'value', c), format(CASE op WHEN 'prefix' THEN 'left(v, length(%1$L)) = %1$L' WHEN 'suffix' THEN 'right(v, length(%1$L)) = %1$L' WHEN 'contains' THEN 'position(%1$L IN v) > 0' ELSE 'v COLLATE "C" %2$s %1$L' END, c, sign)
  FROM (VALUES ('eq', '='), ('lt', '<'), ('lte', '<='), ('gt', '>'), ('gte', '>='), ('prefix', NULL), ('suffix', NULL), ('contains', NULL)) o (op, sign), unnest('{"",a,ab,"b%",_,"\\\\",c,微,"a\\\\c"}'::text[]) c WHERE f.type = 'text'
  UNION ALL SELECT jsonb_build_object('op', 'between', 'values', '["A", "abc"]'::jsonb), $$v COLLATE "C" BETWEEN 'A' AND 'abc'$$ WHERE f.type = 'text'
  UNION ALL SELECT jsonb_build_object('op', 'in', 'values', to_jsonb(c)), format('v = ANY (%L)', c::text) FROM (VALUES ('{a,微,Zoë}'::text[]), ('{zoe,"","long",1,2,3,4,5,6,a\\c,8,9}')) v (c) WHERE f.type = 'text'
  UNION ALL SELECT jsonb_build_object('op', op, 'value', c), format('v %s %L%s', sign, c, CASE WHEN f.value ~ 'weight|ratio' THEN '::double precision' ELSE '::numeric' END)
  FROM (VALUES ('eq', '='), ('lt', '<'), ('lte', '<='), ('gt', '>'), ('gte', '>=')) o (op, sign), unnest('{0,2,2.5,-7.25,0.1,1e15,1e30,-1e30,3.0}'::numeric[]) c WHERE f.type IN ('integer', 'numeric')
  UNION ALL SELECT jsonb_build_object('op', 'between', 'values', jsonb_build_array(a, b)), format('v BETWEEN %s AND %s', a, b) FROM (VALUES (0, 2.5), (1, 3), (3, 1)) v (a, b) WHERE f.type IN ('integer', 'numeric')
  UNION ALL SELECT jsonb_build_object('op', 'in', 'values', to_jsonb(c)), format('v = ANY (%L::%s[])', c::text, CASE WHEN f.value ~ 'weight|ratio' THEN 'double precision' ELSE 'numeric' END) FROM (VALUES ('{1,2.50}'::numeric[]), ('{1,2,3,5,6,7,8,9,10,100,0}')) v (c) WHERE f.type IN ('integer', 'numeric')
  UNION ALL SELECT jsonb_build_object('op', 'eq', 'value', c), format('v = %L', c) FROM unnest('{t,f}'::boolean[]) c WHERE f.type = 'boolean'
  UNION ALL SELECT jsonb_build_object('op', 'in', 'values', '[true, false]'::jsonb), 'v IN (true, false)' WHERE f.type = 'boolean'
  UNION ALL SELECT jsonb_build_object('op', op, 'value', c - '2000-01-01'), format('v %s %L', sign, c) FROM (VALUES ('eq', '='), ('lt', '<'), ('lte', '<='), ('gt', '>'), ('gte', '>=')) o (op, sign), unnest('{2024-02-29,2025-03-01,1900-01-01,1999-12-31}'::date[]) c WHERE f.type = 'date'
  UNION ALL SELECT jsonb_build_object('op', 'in', 'values', jsonb_build_array('2024-02-29'::date - '2000-01-01', '2025-03-01'::date - '2000-01-01')), $$v IN ('2024-02-29', '2025-03-01')$$ WHERE f.type = 'date'
  UNION ALL SELECT jsonb_build_object('op', 'range', 'lo', '2024-02-29'::date - '2000-01-01', 'hi', '2025-03-01'::date - '2000-01-01'), $$v >= '2024-02-29' AND v < '2025-03-01'$$ WHERE f.type = 'date'
  UNION ALL SELECT jsonb_build_object('op', 'range', 'hi', '2025-03-01'::date - '2000-01-01'), $$v < '2025-03-01'$$ WHERE f.type = 'date'
  UNION ALL SELECT jsonb_build_object('op', 'anniversary', 'values', '[[229, 305], [1230, 1231]]'::jsonb), $$coalesce(to_char(nullif(nullif(v, 'infinity'), '-infinity'), 'MMDD')::integer BETWEEN 229 AND 305 OR to_char(nullif(nullif(v, 'infinity'), '-infinity'), 'MMDD')::integer BETWEEN 1230 AND 1231, false)$$ WHERE f.type = 'date'
  UNION ALL SELECT jsonb_build_object('op', 'anniversary', 'values', '[[301, 301], [515, 520]]'::jsonb, 'tz', 'Asia/Shanghai'), $$coalesce(to_char(nullif(nullif(v, 'infinity'), '-infinity') AT TIME ZONE 'Asia/Shanghai', 'MMDD')::integer IN (301, 515, 516, 517, 518, 519, 520), false)$$ WHERE f.type = 'timestamp'
  UNION ALL SELECT jsonb_build_object('op', op, 'value', extract(epoch FROM c - '2000-01-01Z')::bigint * 1000000), format('v %s %L', sign, c) FROM (VALUES ('eq', '='), ('lt', '<'), ('lte', '<='), ('gt', '>'), ('gte', '>=')) o (op, sign), unnest('{2026-06-01Z,2026-05-02Z}'::timestamptz[]) c WHERE f.type = 'timestamp'
  UNION ALL SELECT jsonb_build_object('op', 'range', 'lo', extract(epoch FROM '2026-05-02Z'::timestamptz - '2000-01-01Z')::bigint * 1000000, 'slide_lo', 30 * 86400000000, 'hi', extract(epoch FROM '2026-06-01Z'::timestamptz - '2000-01-01Z')::bigint * 1000000, 'slide_hi', 0), $$v >= '2026-05-02Z' AND v < '2026-06-01Z'$$ WHERE f.type = 'timestamp'
  UNION ALL SELECT jsonb_build_object('op', 'range', 'lo', extract(epoch FROM '2026-06-01Z'::timestamptz - '2000-01-01Z')::bigint * 1000000, 'slide_lo', 0, 'hi', extract(epoch FROM '2026-06-08Z'::timestamptz - '2000-01-01Z')::bigint * 1000000, 'slide_hi', -7 * 86400000000), $$v >= '2026-06-01Z' AND v < '2026-06-08Z'$$ WHERE f.type = 'timestamp'
  UNION ALL SELECT jsonb_build_object('op', 'has', 'value', c), format('%L = ANY (array_remove(v, NULL))', c) FROM unnest('{"",a,微,nobody}'::text[]) c WHERE f.type = 'list'
) o (atom, yes);
-- Whether there is a value, of whatever type.
INSERT INTO atom (atom, yes, value)
SELECT place || jsonb_build_object('type', type, 'op', 'exists'), format(CASE WHEN place ? 'json' THEN 'coalesce(jsonb_typeof(attributes -> %2$L), ''null'') <> ''null''' WHEN place ->> 'column' = 'whole' THEN 'coalesce(jsonb_typeof(whole), ''null'') <> ''null''' ELSE '%1$I IS NOT NULL' END, place ->> 'column', place ->> 'key'), NULL
FROM field UNION ALL SELECT '{"json": "attributes", "key": "no such", "type": "json", "op": "exists"}', 'false', NULL;
SELECT cmp_ok((SELECT count(*) FROM atom), '>', 350::bigint, 'hundreds of atoms');

CREATE FUNCTION pg_temp.plan(atoms jsonb) RETURNS jsonb LANGUAGE sql AS
$$ SELECT jsonb_build_object('v', 1, 'as_of', extract(epoch FROM '2026-06-01Z'::timestamptz - '2000-01-01Z')::bigint * 1000000, 'attributes', atoms) $$;
CREATE TEMP TABLE pass AS
SELECT cdp_internal.segment_attribute_pass(p.customer_id, p, (SELECT pg_temp.plan(jsonb_agg(atom ORDER BY n)) FROM atom), '2026-06-20Z') AS result FROM person p;

CREATE FUNCTION pg_temp.wrong() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  a record;
  yes bytea;
  unknown bytea;
BEGIN
  FOR a IN SELECT x.atom, x.yes, x.value, e.customers, e.unknown, e.unseen FROM atom x JOIN (SELECT (cdp_internal.segment_pass_events(result)).* FROM pass) e ON e.atom = x.n - 1 ORDER BY n LOOP
    EXECUTE format('SELECT cdp.roaring_build(customer_id) FILTER (WHERE %s), cdp.roaring_build(customer_id) FILTER (WHERE %s) FROM (SELECT *, %s AS v FROM person) p',
      a.yes, CASE WHEN a.value IS NULL THEN 'false' ELSE 'v IS NULL' END, coalesce(a.value, 'NULL::text')) INTO yes, unknown;
    IF a.customers <> yes OR a.unknown <> unknown OR a.unseen IS DISTINCT FROM (CASE WHEN a.value IS NULL THEN false END) THEN
      RETURN NEXT format('%s: %s for %s, %s unknown for %s', a.atom, cdp.roaring_count(a.customers), cdp.roaring_count(yes), cdp.roaring_count(a.unknown), cdp.roaring_count(unknown));
    END IF;
  END LOOP;
END $$;
SELECT cmp_ok((SELECT count(DISTINCT attributes) FROM person), '>', 2000::bigint, 'and hardly two documents are the same');
SELECT is_empty('SELECT * FROM pg_temp.wrong()', 'every atom, true and unknown, as plain SQL has it');
SELECT cmp_ok((SELECT count(*) FROM pass, cdp_internal.segment_pass_events(result) WHERE cdp.roaring_count(customers) > 0 AND cdp.roaring_count(unknown) > 0), '>', 200::bigint, 'most of them with members and unknowns');
SELECT is((SELECT cdp_internal.segment_pass_seen(result) FROM pass), (SELECT cdp.roaring_build(customer_id) FROM person), 'it met everybody');
SELECT is((SELECT cdp_internal.segment_attribute_pass(p.customer_id, p, (SELECT pg_temp.plan(jsonb_agg(atom ORDER BY n)) FROM atom), '2026-06-20Z') FROM (SELECT * FROM person ORDER BY md5(customer_id::text)) p), (SELECT result FROM pass),
  'the same bytes whatever the order of the rows, of a subquery too');
SET LOCAL timezone = 'America/New_York';
SET LOCAL datestyle = 'German';
SELECT is((SELECT cdp_internal.segment_attribute_pass(p.customer_id, p, (SELECT pg_temp.plan(jsonb_agg(atom ORDER BY n)) FROM atom), '2026-06-20Z') FROM person p), (SELECT result FROM pass), 'and whatever the zone and the style of dates of the session');
RESET timezone;
RESET datestyle;

-- Flips: until the moment nothing changes, at the moment something does, and where there is none nothing does up to the horizon.
CREATE FUNCTION pg_temp.truths(p person, at timestamptz) RETURNS boolean[] LANGUAGE sql AS $$
  SELECT ARRAY[v >= at - interval '30 days' AND v < at, v >= at AND v < at + interval '7 days', m >= at - interval '30 days' AND m < at, m >= at AND m < at + interval '7 days']
  FROM (SELECT p.seen AS v, CASE WHEN jsonb_typeof(p.attributes -> 'm') = 'string' AND p.attributes ->> 'm' ~ '^2026-(0[57]-31|0[4-7]-(0[1-9]|[12]\d|30))' THEN ((p.attributes ->> 'm')::timestamp AT TIME ZONE 'UTC') END AS m) x
$$;
CREATE TEMP TABLE flip AS SELECT p.*::person AS p, f.at FROM person p LEFT JOIN (SELECT (cdp_internal.segment_pass_flips(result)).* FROM pass) f USING (customer_id);
SELECT cmp_ok((SELECT count(*) FROM flip WHERE at IS NOT NULL), '>', 1000::bigint, 'many customers change by themselves');
SELECT is_empty($$SELECT FROM flip WHERE at NOT BETWEEN '2026-06-01 00:00:00.000001Z' AND '2026-06-20Z'$$, 'after as_of and up to the horizon');
SELECT is_empty($$SELECT FROM flip WHERE at IS NOT NULL AND pg_temp.truths(p, at - interval '1 microsecond') <> pg_temp.truths(p, '2026-06-01Z')$$, 'not a microsecond late');
SELECT is_empty($$SELECT FROM flip WHERE at IS NOT NULL AND pg_temp.truths(p, at) = pg_temp.truths(p, '2026-06-01Z')$$, 'nor early');
SELECT is_empty($$SELECT FROM flip, generate_series('2026-06-01Z'::timestamptz, '2026-06-20Z', '8 hours') t WHERE at IS NULL AND pg_temp.truths(p, t) IS DISTINCT FROM pg_temp.truths(p, '2026-06-01Z')$$, 'none is missing');
SELECT is_empty($$SELECT FROM (SELECT cdp_internal.segment_attribute_pass(p.customer_id, p, (SELECT pg_temp.plan(jsonb_agg(atom ORDER BY n)) FROM atom), NULL) AS r FROM person p) x, cdp_internal.segment_pass_flips(r)$$, 'without a horizon none is told');

-- Rows that count for nothing, and none at all.
CREATE TEMP TABLE one_plan AS SELECT pg_temp.plan('[{"column": "name", "type": "text", "op": "eq", "value": "a"}, {"column": "name", "type": "text", "op": "exists"}]') AS plan;
SELECT is((SELECT string_agg(format('%s %s %s %s', atom, cdp.roaring_count(customers), cdp.roaring_count(unknown), unseen), ', ' ORDER BY atom) FROM (SELECT cdp_internal.segment_attribute_pass(NULL, NULL::person, plan, NULL) AS r FROM one_plan) x, cdp_internal.segment_pass_events(r)), '0 0 0 , 1 0 0 f', 'a row of NULLs tells the plan and nobody');
SELECT is((SELECT cdp_internal.segment_attribute_pass(customer_id, p, plan, NULL) FROM person p, one_plan WHERE false), NULL, 'no row gives NULL');
SELECT is((SELECT cdp.roaring_count(cdp_internal.segment_pass_seen(cdp_internal.segment_attribute_pass(CASE WHEN customer_id % 2 = 0 THEN customer_id END, p, plan, NULL))) FROM person p, one_plan), 1250::bigint, 'a customer of NULL is left out');

-- What does not fit.
CREATE FUNCTION pg_temp.try(atom text, extra text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE code text; message text; detail text; hint text;
BEGIN
  PERFORM cdp_internal.segment_attribute_pass(p.customer_id, p, pg_temp.plan(jsonb_build_array(atom::jsonb)) || coalesce(extra::jsonb, '{}'), NULL) FROM person p;
  RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(' | ', code, message, detail, hint);
END $$;
SELECT is(pg_temp.try('{"column": "nme", "type": "text", "op": "exists"}'), '22023 | profiles have no column "nme" | The plan of the segments reads it; the rows have 18 columns. | Did you mean "name"?', 'a column that is not there');
SELECT is(pg_temp.try(a), x, t) FROM (VALUES
  ('{"column": "unused", "type": "text", "op": "exists"}', '22023 | profiles have no column "unused" | The plan of the segments reads it; the rows have 18 columns. | Known names: customer_id, name, code, fixed, small, age, big, score, weight, ratio, vip, born, seen, tags, codes, attributes, whole, late.', 'a column that was dropped'),
  ('{"column": "age", "type": "text", "op": "eq", "value": "1"}', '42804 | column "age" of profiles has the wrong type | It is integer; an attribute of this type needs text or jsonb. | Correct the type of the attribute, or cast the column in a subquery: rows of any type will do.', 'a number as text'),
  ('{"column": "name", "type": "integer", "op": "eq", "value": 1}', '42804 | column "name" of profiles has the wrong type | It is text; an attribute of this type needs a number or jsonb. | Correct the type of the attribute, or cast the column in a subquery: rows of any type will do.', 'text as a number'),
  ('{"json": "name", "key": "x", "type": "integer", "op": "eq", "value": 1}', '42804 | column "name" of profiles has the wrong type | It is text; an attribute of this type needs jsonb. | Correct the type of the attribute, or cast the column in a subquery: rows of any type will do.', 'text as a document'),
  ('{"column": "born", "type": "timestamp", "op": "eq", "value": 1}', '42804 | column "born" of profiles has the wrong type | It is date; an attribute of this type needs timestamp with time zone or jsonb. | Correct the type of the attribute, or cast the column in a subquery: rows of any type will do.', 'a date as a moment'),
  ('{"column": "name", "type": "text", "op": "eq", "value": 1}', '22023 | invalid plan of segments | attributes[0]: a constant is of another type than text. | Plans are made by cdp_internal.rule_plan().', 'a constant of another type'),
  ('{"column": "name", "type": "text", "op": "has", "value": "a"}', '22023 | invalid plan of segments | attributes[0]: "has" is no comparison of type text. | Plans are made by cdp_internal.rule_plan().', 'a comparison of another type'),
  ('{"column": "name", "type": "text", "op": "between", "values": ["a"]}', '22023 | invalid plan of segments | attributes[0]: "between" with another number of constants. | Plans are made by cdp_internal.rule_plan().', 'one end of two'),
  ('{"column": "name", "type": "text", "op": "like", "value": "a"}', '22023 | invalid plan of segments | attributes[0]: unknown word for "op". | Plans are made by cdp_internal.rule_plan().', 'an unknown comparison'),
  ('{"column": "born", "type": "date", "op": "range", "lo": 1, "slide_lo": 1}', '22023 | invalid plan of segments | attributes[0]: "slide_lo" is not for an end of its kind. | Plans are made by cdp_internal.rule_plan().', 'a date that slides'),
  ('{"column": "born", "type": "date", "op": "range"}', '22023 | invalid plan of segments | attributes[0]: a range has neither "lo" nor "hi". | Plans are made by cdp_internal.rule_plan().', 'a range without ends'),
  ('{"column": "born", "type": "date", "op": "anniversary", "values": [[229]]}', '22023 | invalid plan of segments | attributes[0]: an entry of "values" is no pair of month * 100 + day. | Plans are made by cdp_internal.rule_plan().', 'half a pair'),
  ('{"column": "seen", "type": "timestamp", "op": "anniversary", "values": [], "tz": "Mars/Olympus"}', '22023 | invalid plan of segments | attributes[0]: "tz" is no time zone. | Plans are made by cdp_internal.rule_plan().', 'a zone that is none'),
  ('"x"', '22023 | invalid plan of segments | attributes[0]: an entry is no object. | Plans are made by cdp_internal.rule_plan().', 'an atom that is no object'),
  ('{"type": "text", "op": "exists"}', '22023 | invalid plan of segments | attributes[0]: neither "column" nor "json". | Plans are made by cdp_internal.rule_plan().', 'a value that lies nowhere')
) v (a, x, t);
SELECT throws_ok($$SELECT cdp_internal.segment_attribute_pass(customer_id, p, pg_temp.plan(jsonb_build_array(jsonb_build_object('column', 'name', 'type', 'text', 'op', 'eq', 'value', name))), NULL) FROM person p WHERE name IS NOT NULL$$, '22023', NULL, 'one plan for all rows');
SELECT throws_ok($$SELECT cdp_internal.segment_attribute_pass(c, p, plan, NULL) FROM person p, one_plan, unnest('{0}'::bigint[]) c$$, '22003', NULL, 'a number that is no customer');
SELECT throws_ok($$SELECT cdp_internal.segment_attribute_pass(customer_id, p, NULL, NULL) FROM person p$$, '22004', NULL, 'a plan must be there');
-- More atoms than one row of answers holds, and more attributes than a row of PostgreSQL can have.
SELECT is((SELECT sum(cdp.roaring_count(customers)) FROM (SELECT cdp_internal.segment_attribute_pass(n, r, (SELECT pg_temp.plan(jsonb_agg(jsonb_build_object('column', 'n', 'type', 'integer', 'op', 'lte', 'value', c) ORDER BY c)) FROM generate_series(1, 2300) c), NULL) AS p
  FROM (SELECT generate_series(1, 2500) AS n) r) x, cdp_internal.segment_pass_events(p) WHERE cdp.roaring_count(customers) = atom + 1), 2646150::numeric, 'thousands of atoms');
SELECT throws_ok($$SELECT cdp_internal.segment_attribute_pass(customer_id, p, (SELECT pg_temp.plan(jsonb_agg(jsonb_build_object('json', 'attributes', 'key', c::text, 'type', 'text', 'op', 'eq', 'value', 'x'))) FROM generate_series(1, 1601) c), NULL) FROM person p$$, '54000', 'the segments read too many attributes in one pass', 'thousands of attributes');
SELECT is((SELECT cdp.roaring_count(customers) FROM (SELECT cdp_internal.segment_attribute_pass(7, r, plan, NULL) AS p FROM one_plan, (SELECT 'a'::text AS name) r) x, cdp_internal.segment_pass_events(p) WHERE atom = 0), 1::bigint, 'rows without a named type');
SELECT * FROM finish();
ROLLBACK;
