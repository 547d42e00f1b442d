-- Plans and rows that the event pass must refuse or leave out: an error that says where, never a crash or a silent false.
BEGIN;
SELECT plan(114);
SET LOCAL client_min_messages = error;
CREATE SCHEMA t;
CREATE TABLE t.good AS SELECT '{"v": 1, "as_of": 1000000, "tz": "UTC", "kinds": [1, 2],
  "conditions": [{"prop": "a", "op": "gt", "value": 1}, {"origins": [3, 1], "campaigns": []}, {"all": [0, 1]}, {"not": 2}, {"field": "value", "op": "between", "values": [1, 2]}],
  "events": [{"op": "count", "of": [{"kind": 1, "if": 3}], "window": {"from": 0, "to": 1000000, "slide_from": 1000000, "slide_to": 0}, "cmp": "gte", "value": 1},
    {"op": "days", "tz": "Asia/Shanghai", "of": [{"kind": 1}], "window": {"to": 1000000, "slide_to": 0}, "cmp": "gte", "value": 2},
    {"op": "sum", "field": "value", "of": [{"kind": 1}], "window": {"to": 1000000}, "cmp": "lt", "value": 5},
    {"op": "first", "prop": "x", "of": [{"kind": 2}], "window": {"to": 1000000}, "cmp": "in", "values": ["a", "b"]},
    {"op": "periods", "of": [{"kind": 2}], "bounds": [0, 10, 20], "cmp": "gte", "value": 1},
    {"op": "gap", "gap": 5, "of": [{"kind": 2}], "window": {"to": 1000000}},
    {"op": "seq", "window": {"to": 1000000, "slide_to": 0}, "steps": [{"of": [{"kind": 1}]}, {"of": [{"kind": 2}], "within": 5, "same": ["x"]}], "breaks": [{"kind": 1, "if": 4}], "ties": "order", "total": 7}]}'::jsonb AS p;
CREATE FUNCTION t.run(p jsonb, customer bigint DEFAULT 1, horizon timestamptz DEFAULT NULL) RETURNS int LANGUAGE sql
RETURN length((SELECT cdp_internal.segment_pass(customer, '2000-01-01 00:00:00.5Z', k, 1, NULL, 1, 1, '{"a": 5, "x": "a"}', 1, p, horizon) FROM generate_series(1, 2) k));
SELECT cmp_ok(t.run(p), '>', 0, 'the plan is good') FROM t.good;

-- One member changed or taken away: always 22023.
SELECT throws_ok(format('SELECT t.run(%L)', CASE WHEN new = 'drop' THEN p #- path::text[] ELSE jsonb_set(p, path::text[], new::jsonb) END), '22023', 'invalid plan of segments', path || ' = ' || new)
FROM t.good, (VALUES
  ('{v}', '2'), ('{v}', 'drop'), ('{as_of}', 'drop'), ('{as_of}', '"now"'), ('{as_of}', '1.5'), ('{as_of}', '9223372036854775807'), ('{as_of}', '99999999999999999999999'), ('{as_of}', '2000000'),
  ('{kinds}', '5'), ('{kinds,0}', '"1"'), ('{kinds,0}', '3000000000'), ('{kinds}', '[]'), ('{kinds}', 'drop'), ('{events}', '{}'), ('{events,0}', '7'), ('{conditions}', '"x"'), ('{conditions,0}', '[]'),
  ('{conditions,0,op}', '"like"'), ('{conditions,0,op}', 'drop'), ('{conditions,0,op}', '"prefix"'), ('{conditions,0,op}', '"between"'), ('{conditions,0,value}', 'drop'), ('{conditions,0,value}', '[1]'), ('{conditions,0,value}', '{}'),
  ('{conditions,0,prop}', '5'), ('{conditions,0,complement}', '1'), ('{conditions,1,origins}', '["x"]'), ('{conditions,1,origins}', '[3000000000]'), ('{conditions,2,all}', '[2]'), ('{conditions,2,all}', '[-1]'), ('{conditions,2,all}', '[0, 4]'),
  ('{conditions,3,not}', '3'), ('{conditions,3,not}', '"x"'), ('{conditions,4,field}', '"currency"'), ('{conditions,4,values}', '[1]'), ('{conditions,4,values}', '[1, 2, 3]'), ('{conditions,4,values}', '["a", "b"]'), ('{conditions,4,values}', '[1, "b"]'),
  ('{events,0,op}', '"median"'), ('{events,0,op}', 'drop'), ('{events,0,of}', '3'), ('{events,0,of}', 'drop'), ('{events,6,steps,1,of}', 'drop'), ('{events,0,of,0,kind}', '3'), ('{events,0,of,0,kind}', 'drop'), ('{events,0,of,0,if}', '5'), ('{events,0,of,0,if}', '-1'), ('{events,0,window}', 'drop'), ('{events,0,window}', '[]'),
  ('{events,0,window,to}', 'drop'), ('{events,0,window,slide_from}', '5'), ('{events,0,window,slide_from}', '-1'), ('{events,0,window,slide_to}', '1'), ('{events,0,window,from}', 'drop'), ('{events,0,window,from}', '-9223372036854775808'),
  ('{events,0,cmp}', '"lt"'), ('{events,0,cmp}', 'drop'), ('{events,0,value}', '0'), ('{events,0,value}', '1.5'), ('{events,1,tz}', '"Mars/Base"'), ('{events,2,field}', 'drop'), ('{events,2,value}', '"5"'), ('{events,2,cmp}', '"prefix"'),
  ('{events,3,values}', '[]'), ('{events,3,values}', '["a", 1]'), ('{events,3,cmp}', '"exists"'), ('{events,4,bounds}', '[5]'), ('{events,4,bounds}', '[5, 5]'), ('{events,4,bounds}', '[5, "x"]'), ('{events,5,gap}', '0'), ('{events,5,gap}', 'drop'),
  ('{events,6,steps}', '[]'), ('{events,6,steps,1}', 'drop'), ('{events,6,steps,0,absent}', 'true'), ('{events,6,steps,0,within}', '5'), ('{events,6,steps,1,within}', '0'), ('{events,6,steps,1,within}', '99999999999999999'), ('{events,6,steps,1,same}', '[5]'),
  ('{events,6,ties}', '"both"'), ('{events,6,total}', '0'), ('{events,6,breaks}', '{}'), ('{events,6,steps,1}', '{"of": [], "absent": true}')) v (path, new);
SELECT throws_ok(format('SELECT t.run(%L)', x), '22023', 'invalid plan of segments', 'no plan: ' || x) FROM unnest('{5,"[]","\"x\"","{}","null"}'::text[]) x;
SELECT throws_like(format('SELECT t.run(%L)', jsonb_set(p, '{events,6,steps}', (SELECT jsonb_agg(s) FROM (SELECT p #> '{events,6,steps,0}' AS s FROM generate_series(1, 17)) x))), 'invalid plan%', 'seventeen steps') FROM t.good;
SELECT throws_like(format('SELECT t.run(%L)', p || jsonb_build_object('kinds', (SELECT jsonb_agg(i) FROM generate_series(1, 20001) i))), 'invalid plan%', 'too many kinds') FROM t.good;

-- Arguments.
SELECT throws_ok('SELECT t.run(p, -1) FROM t.good', '22003', NULL, 'a negative customer');
SELECT throws_ok('SELECT t.run(p, 4294967296) FROM t.good', '22003', NULL, 'a customer that no set holds');
SELECT lives_ok('SELECT t.run(p, 4294967295) FROM t.good', 'the last customer');
SELECT throws_ok('SELECT t.run(NULL)', '22004', NULL, 'no plan at all');
SELECT throws_ok($$SELECT t.run(p, 1, 'infinity') FROM t.good$$, '22023', NULL, 'an infinite horizon');
SELECT throws_ok($$SELECT cdp_internal.segment_pass(1, now(), 1, 1, 1, 1, 1, NULL, 1, CASE WHEN k = 1 THEN p ELSE p || '{"as_of": 999999}' END, NULL) FROM t.good, generate_series(1, 2) k$$, '22023', NULL, 'two plans');
SELECT throws_ok($$SELECT cdp_internal.segment_pass(1, now(), 1, 1, 1, 1, 1, NULL, 1, p, CASE WHEN k = 1 THEN now() END) FROM t.good, generate_series(1, 2) k$$, '22023', NULL, 'two horizons');
SELECT throws_ok($$SELECT cdp_internal.segment_explain_pass(k, '2000-01-01Z', 1, 1, 1, 1, 1, NULL, 1, p, NULL) FROM t.good, generate_series(1, 2) k$$, '22023', NULL, 'an explanation of two customers');

-- Rows that count for nothing.
CREATE FUNCTION t.one(c bigint, at timestamptz, k int) RETURNS bytea LANGUAGE sql RETURN (SELECT cdp_internal.segment_pass(c, at, k, 1, 1, 1, 'NaN', NULL, NULL, p, NULL) FROM t.good);
SELECT is(t.one(c, at, k), cdp_internal.segment_pass_nothing(p), label)
FROM t.good, (VALUES (NULL, now(), 1, 'no customer'), (1, NULL, 1, 'no time'), (1, '2000-01-01Z', NULL, 'no kind'), (1, '2000-01-01Z', 7, 'another kind'), (1, 'infinity', 1, 'no finite time'),
  (1, '-infinity', 1, 'no finite time before'), (1, '2000-01-01 00:00:01Z', 1, 'the moment of as_of')) v (c, at, k, label);
SELECT is((SELECT cdp_internal.segment_pass(1, now(), 1, 1, 1, 1, 1, NULL, 1, p, NULL) FROM t.good WHERE false), NULL, 'no rows, no result');
SELECT is((SELECT string_agg(coalesce(unseen::text, 'unknown'), ' ' ORDER BY atom) FROM t.good, cdp_internal.segment_pass_events(cdp_internal.segment_pass_nothing(p))), 'false false true unknown false false false',
  'what the atoms say of customers without events');
SELECT is((SELECT count(*) FROM jsonb_array_elements((SELECT cdp_internal.segment_explain_pass(1, now(), NULL, 1, 1, 1, 1, NULL, 1, p, NULL) FROM t.good)) e WHERE e->'result' = 'true'), 1::bigint, 'an explanation of a customer without events');
-- Properties that are no object, and all that does not fit.
SELECT lives_ok(format('SELECT cdp_internal.segment_pass(1, %L, 1, 1, 1, 1, v, j, 1, p, NULL) FROM t.good, (VALUES (%L::numeric, %L::jsonb)) x (v, j)', '2000-01-01Z', v, j), left(format('value %s, properties %s', v, j), 60))
FROM (VALUES ('NaN', '[]'), ('-Infinity', '5'), ('1e1000', '"a"'), (NULL, 'null'), ('-99999999999999.999999', '{"a": 1e400, "x": {"y": [1]}}'), ('0.0000000000001', format('{"a": -1e-300, "x": "%s"}', repeat('x', 100000)))) x (v, j);
SELECT * FROM finish();
ROLLBACK;
