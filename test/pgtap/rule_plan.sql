-- Plans of rules: three whole ones, what is shared, calendar and clock changes against plain SQL, logics, circles.
BEGIN;
\ir rule_catalog.inc
SELECT plan(156);
CREATE FUNCTION pg_temp.same_plan(catalog jsonb, name text, rules jsonb, as_of timestamptz, expected jsonb) RETURNS SETOF text LANGUAGE sql
AS $$SELECT is(key || ': ' || (cdp_internal.rule_plan(rules, catalog, as_of) -> key)::text, key || ': ' || (expected -> key)::text, name)
  FROM (SELECT jsonb_object_keys(expected || cdp_internal.rule_plan(rules, catalog, as_of)) AS key) k ORDER BY key$$;
CREATE FUNCTION pg_temp.plan_of(catalog jsonb, node text, as_of timestamptz DEFAULT '2026-06-15 12:00+08', head jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql
AS $$SELECT cdp_internal.rule_plan(jsonb_build_array(jsonb_build_object('id', 1, 'name', 'x', 'rule', head || jsonb_build_object('v', 1, 'where', node::jsonb))), catalog, as_of)$$;
CREATE FUNCTION pg_temp.moment(us jsonb) RETURNS timestamptz LANGUAGE sql
AS $$SELECT timestamptz '2000-01-01 00:00Z' + us::text::bigint / 1000000 * interval '1 second' + us::text::bigint % 1000000 * interval '1 microsecond'$$;

-- Whole plans.
SELECT pg_temp.same_plan(:'catalog', 'counts, sums, days, conditions, attributes',
  '[{"id": 7, "name": "vip", "rule": {"v": 1, "where": {"all": [{"attr": "country", "in": ["US", "CN"]}, {"any": [{"attr": "ltv", "gte": 300}, {"not": {"attr": "plan", "neq": "pro"}}]}, {"not": {"did": "refund", "last": "90 days"}}, {"did": "order", "last": "30 days", "count": {"gt": 1}, "where": {"prop": "amount", "gt": 50}}, {"did": ["order", "renewal"], "last": "90 days", "sum": {"field": "value"}, "gte": 500}, {"did": "order", "last": "30 days", "where": {"all": [{"field": "channel", "eq": "email"}, {"prop": "coupon", "neq": "X"}]}, "count": {"between": [1, 4]}}, {"did": "visit", "last": "3 months", "days": {"gte": 5}}]}}}]',
  '2026-06-15 12:00+08',
  '{"v": 1,
  "as_of": 834811200000000,
  "boundary": 834854400000000,
  "from": 826819200000000,
  "tz": "Asia/Shanghai",
  "kinds": [3, 4, 5, 9],
  "need_properties": true,
  "need_value": true,
  "need_ids": false,
  "need_origin": true,
  "conditions": [
    {"op": "gt", "prop": "amount", "value": 50},
    {"origins": [11, 12], "campaigns": []},
    {"op": "eq", "prop": "coupon", "value": "X"},
    {"not": 2},
    {"all": [1, 3]}],
  "events": [
    {"of": [{"kind": 4}], "op": "count", "cmp": "gte", "value": 1, "window": {"to": 834811200000000, "from": 827035200000000, "slide_to": 0, "slide_from": 7776000000000}},
    {"of": [{"if": 0, "kind": 3}], "op": "count", "cmp": "gte", "value": 2, "window": {"to": 834811200000000, "from": 832219200000000, "slide_to": 0, "slide_from": 2592000000000}},
    {"of": [{"kind": 3}, {"kind": 5}], "op": "sum", "cmp": "gte", "field": "value", "value": 500, "window": {"to": 834811200000000, "from": 827035200000000, "slide_to": 0, "slide_from": 7776000000000}},
    {"of": [{"if": 4, "kind": 3}], "op": "count", "cmp": "gte", "value": 1, "window": {"to": 834811200000000, "from": 832219200000000, "slide_to": 0, "slide_from": 2592000000000}},
    {"of": [{"if": 4, "kind": 3}], "op": "count", "cmp": "gte", "value": 5, "window": {"to": 834811200000000, "from": 832219200000000, "slide_to": 0, "slide_from": 2592000000000}},
    {"of": [{"kind": 9}], "op": "days", "tz": "Asia/Shanghai", "cmp": "gte", "value": 5, "window": {"to": 834811200000000, "from": 826819200000000, "slide_to": 0}}],
  "attributes": [
    {"op": "in", "type": "text", "column": "country", "values": ["CN", "US"]},
    {"op": "gte", "type": "numeric", "value": 300, "column": "ltv"},
    {"op": "eq", "key": "plan", "json": "attributes", "type": "text", "value": "pro"}],
  "sets": [],
  "nodes": [
    {"attribute": 0},
    {"attribute": 1},
    {"attribute": 2},
    {"not": 2},
    {"any": [1, 2]},
    {"event": 0},
    {"not": 5},
    {"event": 1},
    {"event": 2},
    {"event": 3},
    {"event": 4},
    {"not": 10},
    {"all": [9, 11]},
    {"event": 5},
    {"all": [0, 4, 6, 7, 8, 12, 13]}],
  "segments": [
    {"id": 7, "node": 14, "nulls": "set"}]}');
SELECT pg_temp.same_plan(:'catalog', 'sequences, absence, named behaviours, aggregates',
  '[{"id": 8, "name": "b", "rule": {"v": 1, "where": {"any": [{"seq": [{"did": "cart_add"}, {"did": "order", "within": "7 days", "same": ["product_id"]}], "last": "90 days", "not_between": {"did": "cart_remove"}}, {"seq": [{"did": "checkout"}, {"absent": "order", "within": "1 hour"}], "last": "7 days", "total": "2 hours", "ties": "order"}, {"first_time": "order", "last": "30 days"}, {"regularly": "visit", "at_least": 2, "of": 3, "unit": "month"}, {"stopped": "visit", "between": ["90 days", "30 days"]}, {"resumed": "order", "after": "60 days", "last": "14 days"}, {"did": "order", "between": ["90 days", "30 days"], "distinct": "product_id", "gte": 3}, {"did": "order", "previous": "month", "avg": "amount", "lt": 20}, {"did": "order", "since": "2026-01-01T00:00:00", "first_value": "coupon", "prefix": "NEW"}]}}}]',
  '2026-06-15 12:00+08',
  '{"v": 1,
  "as_of": 834811200000000,
  "boundary": 836150400000000,
  "tz": "Asia/Shanghai",
  "kinds": [3, 6, 7, 8, 9],
  "need_properties": true,
  "need_value": false,
  "need_ids": true,
  "need_origin": false,
  "conditions": [],
  "events": [
    {"op": "seq", "ties": "strict", "steps": [{"of": [{"kind": 6}]}, {"of": [{"kind": 3}], "same": ["product_id"], "within": 604800000000}], "breaks": [{"kind": 7}], "window": {"to": 834811200000000, "from": 827035200000000, "slide_to": 0, "slide_from": 7776000000000}},
    {"op": "seq", "ties": "order", "steps": [{"of": [{"kind": 8}]}, {"of": [{"kind": 3}], "absent": true, "within": 3600000000}], "total": 7200000000, "breaks": [], "window": {"to": 834811200000000, "from": 834206400000000, "slide_to": 0, "slide_from": 604800000000}},
    {"of": [{"kind": 3}], "op": "count", "cmp": "gte", "value": 1, "window": {"to": 834811200000000, "from": 832219200000000, "slide_to": 0, "slide_from": 2592000000000}},
    {"of": [{"kind": 3}], "op": "count", "cmp": "gte", "value": 1, "window": {"to": 832219200000000, "slide_to": 2592000000000}},
    {"of": [{"kind": 9}], "op": "periods", "cmp": "gte", "value": 2, "bounds": [825609600000000, 828288000000000, 830880000000000, 833558400000000]},
    {"of": [{"kind": 9}], "op": "count", "cmp": "gte", "value": 1, "window": {"to": 832219200000000, "from": 827035200000000, "slide_to": 2592000000000, "slide_from": 7776000000000}},
    {"of": [{"kind": 9}], "op": "count", "cmp": "gte", "value": 1, "window": {"to": 834811200000000, "from": 832219200000000, "slide_to": 0, "slide_from": 2592000000000}},
    {"of": [{"kind": 3}], "op": "gap", "gap": 5184000000000, "window": {"to": 834811200000000, "from": 833601600000000, "slide_to": 0, "slide_from": 1209600000000}},
    {"of": [{"kind": 3}], "op": "distinct", "cmp": "gte", "prop": "product_id", "value": 3, "window": {"to": 832219200000000, "from": 827035200000000, "slide_to": 2592000000000, "slide_from": 7776000000000}},
    {"of": [{"kind": 3}], "op": "avg", "cmp": "lt", "prop": "amount", "value": 20, "window": {"to": 833558400000000, "from": 830880000000000}},
    {"of": [{"kind": 3}], "op": "first", "cmp": "prefix", "prop": "coupon", "value": "NEW", "window": {"to": 834811200000000, "from": 820512000000000, "slide_to": 0}}],
  "attributes": [],
  "sets": [],
  "nodes": [
    {"event": 0},
    {"event": 1},
    {"event": 2},
    {"event": 3},
    {"not": 3},
    {"all": [2, 4]},
    {"event": 4},
    {"event": 5},
    {"event": 6},
    {"not": 8},
    {"all": [7, 9]},
    {"event": 7},
    {"event": 8},
    {"event": 9},
    {"event": 10},
    {"any": [0, 1, 5, 6, 10, 11, 12, 13, 14]}],
  "segments": [
    {"id": 8, "node": 15, "nulls": "set"}]}');
SELECT pg_temp.same_plan(:'catalog', 'times, sets, ranks, logic of SQL, a segment of a segment',
  '[{"id": 9, "name": "c", "rule": {"v": 1, "nulls": "sql", "where": {"all": [{"attr": "signup", "last": "30 days"}, {"attr": "seen_at", "next": "7 days"}, {"attr": "seen_at", "before_last": "3 months"}, {"attr": "birthday", "anniversary_next": "20 days"}, {"attr": "interests", "has_any": ["golf", "tea"]}, {"attr": "email", "exists": false}, {"attr": "age", "not_between": [18, 30]}, {"list": "press"}, {"consent": "marketing", "channel": "email"}, {"holdout": "h"}, {"trait": "rfm_r", "gte": 4}, {"rank": {"attr": "ltv"}, "top": "10%"}, {"rank": {"trait": "rfm_m"}, "bottom": 100}, {"segment": "vip"}, {"not": {"did": "order", "last": "7 days", "where": {"prop": "coupon", "neq": "X"}}}]}}}, {"id": 7, "name": "vip", "rule": {"v": 1, "where": {"did": "order", "last": "30 days", "count": {"gte": 2}}}}]',
  '2026-06-15 12:00+08',
  '{"v": 1,
  "as_of": 834811200000000,
  "boundary": 834854400000000,
  "from": 832219200000000,
  "tz": "Asia/Shanghai",
  "kinds": [3],
  "need_properties": true,
  "need_value": false,
  "need_ids": false,
  "need_origin": false,
  "conditions": [
    {"op": "eq", "prop": "coupon", "value": "X", "complement": true}],
  "events": [
    {"of": [{"kind": 3}], "op": "count", "cmp": "gte", "value": 2, "window": {"to": 834811200000000, "from": 832219200000000, "slide_to": 0, "slide_from": 2592000000000}},
    {"of": [{"if": 0, "kind": 3}], "op": "count", "cmp": "gte", "value": 1, "window": {"to": 834811200000000, "from": 834206400000000, "slide_to": 0, "slide_from": 604800000000}}],
  "attributes": [
    {"hi": 9662, "lo": 9632, "op": "range", "type": "date", "column": "signup"},
    {"hi": 835416000000000, "lo": 834811200000000, "op": "range", "type": "timestamp", "column": "seen_at", "slide_hi": -604800000000, "slide_lo": 0},
    {"hi": 826819200000000, "op": "range", "type": "timestamp", "column": "seen_at"},
    {"op": "anniversary", "type": "date", "column": "birthday", "values": [[615, 704]]},
    {"op": "has", "key": "interests", "json": "attributes", "type": "list", "value": "golf"},
    {"op": "has", "key": "interests", "json": "attributes", "type": "list", "value": "tea"},
    {"op": "exists", "key": "email", "json": "personal_attributes", "type": "text"},
    {"op": "between", "type": "integer", "column": "age", "values": [18, 30]},
    {"op": "gte", "type": "numeric", "value": 812.5, "column": "ltv"}],
  "sets": [
    {"list": 1},
    {"channel": "email", "consent": "marketing"},
    {"arm": "control", "holdout": 1},
    {"op": "gte", "trait": 7, "value": 4},
    {"op": "lte", "trait": 8, "value": 12.5}],
  "nodes": [
    {"event": 0},
    {"attribute": 0},
    {"attribute": 1},
    {"attribute": 2},
    {"attribute": 3},
    {"attribute": 4},
    {"attribute": 5},
    {"any": [5, 6]},
    {"attribute": 6},
    {"not": 8},
    {"attribute": 7},
    {"not": 10},
    {"set": 0},
    {"set": 1},
    {"set": 2},
    {"set": 3},
    {"attribute": 8},
    {"set": 4},
    {"nulls": "set", "members": 0},
    {"event": 1},
    {"not": 19},
    {"all": [1, 2, 3, 4, 7, 9, 11, 12, 13, 14, 15, 16, 17, 18, 20]}],
  "segments": [
    {"id": 7, "node": 0, "nulls": "set"},
    {"id": 9, "node": 21, "nulls": "sql"}]}');

-- What is the same is there once.
CREATE FUNCTION pg_temp.many(n integer) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_agg(jsonb_build_object('id', i, 'name', 's' || i, 'rule', jsonb_build_object('v', 1, 'where',
    ('{"all":[{"did":"order","last":"' || 7 + i % 9 || ' days","count":{"gte":' || 1 + i / 9 % 3 || '}},{"not":{"not":{"did":["visit"],"last":"' || 7 + i / 3 % 9 || ' days","count":{"gt":' || i % 3 || '}}}}]}')::jsonb)) ORDER BY i)
  FROM generate_series(1, n) i$$;
SELECT is(jsonb_array_length(cdp_internal.rule_plan(pg_temp.many(230), :'catalog', '2026-06-15') -> 'events'), 54, '230 rules on 27 atoms of each of two kinds');
SELECT is(jsonb_array_length(cdp_internal.rule_plan(replace(pg_temp.many(230)::text, '"visit"', '"order"')::jsonb, :'catalog', '2026-06-15') -> 'events'), 27, '230 rules on 27 atoms');
SELECT is(cdp_internal.rule_plan((SELECT jsonb_agg(e ORDER BY md5(e::text)) FROM jsonb_array_elements(pg_temp.many(100)) e), :'catalog', '2026-06-15')::text,
  cdp_internal.rule_plan(pg_temp.many(100), :'catalog', '2026-06-15')::text, 'the order of the rules changes no byte');
CREATE FUNCTION pg_temp.nodes(catalog jsonb, node text) RETURNS text LANGUAGE sql
AS $$SELECT (pg_temp.plan_of(catalog, node) ->> 'nodes') || ' ' || (pg_temp.plan_of(catalog, node) #>> '{segments,0,node}')$$;
SELECT is(pg_temp.nodes(:'catalog', '{"all":[{"list":"press"},{"holdout":"h"},{"list":"press"}]}'), '[{"set": 0}, {"set": 1}, {"all": [0, 1]}] 2', 'twice the same condition');
SELECT is(pg_temp.nodes(:'catalog', '{"any":[{"all":[{"list":"press"},{"holdout":"h"}]},{"all":[{"holdout":"h","arm":"control"},{"list":"press"}]}]}'), '[{"set": 0}, {"set": 1}, {"all": [0, 1]}] 2', 'in another order');
SELECT is(pg_temp.nodes(:'catalog', '{"not":{"not":{"list":"press"}}}'), '[{"set": 0}, {"not": 0}] 0', 'twice not');
SELECT is(pg_temp.nodes(:'catalog', '{"all":[]}'), '[{"everybody": true}] 0', 'everybody');
SELECT is(pg_temp.nodes(:'catalog', '{"not":{"all":[]}}'), '[{"everybody": true}, {"nobody": true}] 1', 'nobody');
SELECT is(pg_temp.nodes(:'catalog', '{"any":[{"any":[]},{"list":"press"}]}'), '[{"nobody": true}, {"set": 0}] 1', 'or nobody');
SELECT is(pg_temp.nodes(:'catalog', '{"any":[{"all":[]},{"list":"press"}]}'), '[{"everybody": true}, {"set": 0}] 0', 'or everybody');
SELECT is(pg_temp.nodes(:'catalog', '{"all":[{"any":[]},{"list":"press"}]}'), '[{"nobody": true}, {"set": 0}] 0', 'and nobody');
SELECT is(pg_temp.plan_of(:'catalog', '{"attr":"country","in":["US","CN","US"]}') #>> '{attributes,0}', '{"op": "in", "type": "text", "column": "country", "values": ["CN", "US"]}', 'constants are sorted, each once');
SELECT is(pg_temp.plan_of(:'catalog', '{"attr":"age","in":[18.0,18]}') #>> '{attributes,0}', '{"op": "eq", "type": "integer", "value": 18, "column": "age"}', 'one constant');
SELECT is(pg_temp.plan_of(:'catalog', '{"attr":"age","in":[9,10,-1.5]}') #>> '{attributes,0,values}', '[-1.5, 9, 10]', 'numbers are sorted as numbers');
SELECT is(pg_temp.plan_of(:'catalog', '{"any":[{"did":"order","last":"1 day","where":{"all":[{"prop":"a","eq":1},{"prop":"b","eq":2}]}},{"did":"visit","last":"1 day","where":{"all":[{"prop":"b","eq":2},{"not":{"prop":"a","neq":1.0}}]}}]}') #>> '{events}',
  pg_temp.plan_of(:'catalog', '{"any":[{"did":"order","last":"1 day","where":{"all":[{"prop":"b","eq":2},{"prop":"a","eq":1}]}},{"did":"visit","last":"1 day","where":{"all":[{"prop":"a","eq":1},{"prop":"b","eq":2}]}}]}') #>> '{events}', 'conditions are shared among kinds') ;

-- Counts: whatever the comparison, made of "at least k", for every count from 0 to 6.
CREATE FUNCTION pg_temp.holds(plan jsonb, node integer, n integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  x jsonb := plan -> 'nodes' -> node;
BEGIN
  IF x ? 'event' THEN
    IF plan #>> ARRAY['events', x ->> 'event', 'cmp'] <> 'gte' OR (plan #>> ARRAY['events', x ->> 'event', 'value'])::integer < 1 THEN
      RAISE EXCEPTION 'no "at least": %', plan #> ARRAY['events', x ->> 'event'];
    END IF;
    RETURN n >= (plan #>> ARRAY['events', x ->> 'event', 'value'])::integer;
  END IF;
  RETURN CASE WHEN x ? 'not' THEN NOT pg_temp.holds(plan, (x ->> 'not')::integer, n)
    WHEN x ? 'all' THEN (SELECT bool_and(pg_temp.holds(plan, c::integer, n)) FROM jsonb_array_elements_text(x -> 'all') c)
    WHEN x ? 'any' THEN (SELECT bool_or(pg_temp.holds(plan, c::integer, n)) FROM jsonb_array_elements_text(x -> 'any') c)
    ELSE x ? 'everybody' END;
END $$;
SELECT is((SELECT string_agg(format('%s %s: %s', op, k, n), ', ') FROM unnest('{eq,neq,lt,lte,gt,gte}'::text[]) op, generate_series(-1, 5) k, generate_series(0, 6) n,
    LATERAL (SELECT pg_temp.plan_of(:'catalog', format('{"did":"order","last":"1 day","%s":{"%s":%s}}', CASE WHEN k % 2 = 0 THEN 'count' ELSE 'days' END, op, k)) AS p) x
  WHERE pg_temp.holds(p, (p #>> '{segments,0,node}')::integer, n)
    <> CASE op WHEN 'eq' THEN n = k WHEN 'neq' THEN n <> k WHEN 'lt' THEN n < k WHEN 'lte' THEN n <= k WHEN 'gt' THEN n > k ELSE n >= k END), NULL, 'each comparison of a count');
SELECT is((SELECT string_agg(format('%s %s: %s', a, b, n), ', ') FROM generate_series(-1, 4) a, generate_series(-1, 4) b, generate_series(0, 6) n,
    LATERAL (SELECT pg_temp.plan_of(:'catalog', format('{"did":"order","last":"1 day","count":{"between":[%s,%s]}}', a, b)) AS p) x
  WHERE pg_temp.holds(p, (p #>> '{segments,0,node}')::integer, n) <> (n BETWEEN a AND b)), NULL, 'between of a count');

-- Windows against plain SQL: zones with and without clock changes, at midnight and on the days of a change.
CREATE TEMP TABLE moments AS
SELECT tz, at FROM (VALUES ('America/New_York', timestamptz '2026-03-08 12:00Z'), ('America/New_York', '2026-11-01 12:00Z'), ('Europe/London', '2026-03-29 12:00Z'),
    ('Asia/Shanghai', '2024-02-29 12:00Z'), ('Australia/Lord_Howe', '2026-04-05 12:00Z'), ('America/Sao_Paulo', '2018-11-04 12:00Z'), ('Asia/Kathmandu', '2026-01-01 12:00Z'),
    ('Pacific/Apia', '2011-12-31 12:00Z'), ('UTC', '2026-05-31 12:00Z')) z (tz, day),
  LATERAL (SELECT day + i * interval '13 hours 17 minutes' AS at FROM generate_series(-6, 6) i UNION ALL SELECT date_trunc('day', day, tz) UNION ALL SELECT date_trunc('day', day, tz) - interval '1 microsecond') m;
CREATE FUNCTION pg_temp.window_of(catalog jsonb, tz text, at timestamptz, form text) RETURNS timestamptz[] LANGUAGE sql
AS $$SELECT array[pg_temp.moment(w -> 'from'), pg_temp.moment(w -> 'to')] FROM (SELECT pg_temp.plan_of(catalog, '{"did":"order",' || form || '}', at, jsonb_build_object('tz', tz)) #> '{events,0,window}' AS w) x$$;
CREATE TEMP TABLE forms (form text, starts text, ends text);
INSERT INTO forms VALUES
  ('"last":"3 months"', '(today - interval ''3 months'') AT TIME ZONE tz', 'at'), ('"last":"1 year"', '(today - interval ''1 year'') AT TIME ZONE tz', 'at'),
  ('"last":"2 days"', 'at - interval ''48 hours''', 'at'), ('"last":"90 seconds"', 'at - interval ''90 seconds''', 'at'),
  ('"between":["3 weeks","36 hours"]', 'at - interval ''504 hours''', 'at - interval ''36 hours'''),
  ('"between":["3 months","1 month"]', '(today - interval ''3 months'') AT TIME ZONE tz', '(today - interval ''1 month'') AT TIME ZONE tz'),
  ('"this":"day"', 'date_trunc(''day'', today) AT TIME ZONE tz', 'at'), ('"this":"week"', 'date_trunc(''week'', today) AT TIME ZONE tz', 'at'), ('"this":"month"', 'date_trunc(''month'', today) AT TIME ZONE tz', 'at'),
  ('"this":"quarter"', 'date_trunc(''quarter'', today) AT TIME ZONE tz', 'at'), ('"this":"year"', 'date_trunc(''year'', today) AT TIME ZONE tz', 'at'),
  ('"previous":"day"', '(today - interval ''1 day'') AT TIME ZONE tz', 'today AT TIME ZONE tz'),
  ('"previous":"week"', '(date_trunc(''week'', today) - interval ''1 week'') AT TIME ZONE tz', 'date_trunc(''week'', today) AT TIME ZONE tz'),
  ('"previous":"month"', '(date_trunc(''month'', today) - interval ''1 month'') AT TIME ZONE tz', 'date_trunc(''month'', today) AT TIME ZONE tz'),
  ('"previous":"quarter"', '(date_trunc(''quarter'', today) - interval ''3 months'') AT TIME ZONE tz', 'date_trunc(''quarter'', today) AT TIME ZONE tz'),
  ('"since":"2018-01-31","until":"2026-03-08T02:30:00"', 'timestamp ''2018-01-31'' AT TIME ZONE tz', 'least(at, timestamp ''2026-03-08 02:30:00'' AT TIME ZONE tz)'),
  ('"since":"2010-06-30T23:59:59.5+05:30"', 'timestamptz ''2010-06-30 23:59:59.5+05:30''', 'at');
CREATE FUNCTION pg_temp.plain(tz text, at timestamptz, expression text) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
  r timestamptz;
BEGIN
  EXECUTE 'SELECT ' || expression || ' FROM (SELECT $1 AS tz, $2 AS at, (($2 AT TIME ZONE $1)::date)::timestamp AS today) x' INTO r USING tz, at;
  RETURN r;
END $$;
SELECT is((SELECT string_agg(format('%s %s: %s', tz, at, pg_temp.window_of(:'catalog', tz, at, form)), E'\n') FROM moments
  WHERE pg_temp.window_of(:'catalog', tz, at, form) IS DISTINCT FROM ARRAY[pg_temp.plain(tz, at, starts), pg_temp.plain(tz, at, ends)]), NULL, form) FROM forms;
SELECT is((SELECT string_agg(format('%s %s', tz, at), E'\n') FROM moments, LATERAL (SELECT pg_temp.plan_of(:'catalog', '{"regularly":"order","at_least":2,"of":5,"unit":"' || unit || '"}', at, jsonb_build_object('tz', tz)) AS p) x
  WHERE (SELECT array_agg(pg_temp.moment(b) ORDER BY n) FROM jsonb_array_elements(p #> '{events,0,bounds}') WITH ORDINALITY e (b, n))
    <> ARRAY(SELECT (date_trunc(unit, at AT TIME ZONE tz) - i * ('1 ' || unit)::interval) AT TIME ZONE tz FROM generate_series(5, 0, -1) i)), NULL, 'regularly by ' || unit) FROM unnest('{day,week,month}'::text[]) unit;
SELECT is((SELECT string_agg(format('%s %s', tz, at), E'\n') FROM moments
  WHERE pg_temp.moment(pg_temp.plan_of(:'catalog', '{"did":"order","last":"2 months"}', at, jsonb_build_object('tz', tz)) -> 'boundary') <> ((at AT TIME ZONE tz)::date + 1)::timestamp AT TIME ZONE tz), NULL, 'calendar windows move at the next local midnight');
SELECT is((SELECT count(*) FROM moments WHERE pg_temp.moment(pg_temp.plan_of(:'catalog', '{"any":[{"did":"order","this":"year"},{"did":"order","previous":"month"}]}', at, jsonb_build_object('tz', tz)) -> 'boundary')
  <> (date_trunc('month', at AT TIME ZONE tz) + interval '1 month') AT TIME ZONE tz), 0::bigint, 'the next of two boundaries');
SELECT is(pg_temp.plan_of(:'catalog', '{"did":"order","last":"90 days"}') -> 'boundary', NULL, 'windows of days slide: there is no boundary');
SELECT is(pg_temp.moment(pg_temp.plan_of(:'catalog', '{"did":"order","until":"2027-01-01"}') -> 'boundary'), '2027-01-01 00:00+08', 'until in the future is one');

-- How far back a plan reads.
SELECT is(pg_temp.moment(pg_temp.plan_of(:'catalog', '{"any":[{"did":"order","last":"90 days"},{"stopped":"visit","between":["100 days","1 day"]}]}') -> 'from'), timestamptz '2026-06-15 12:00+08' - interval '100 days', 'the earliest of all windows');
SELECT is((SELECT string_agg(node, ' ') FROM unnest(ARRAY['{"did":"order"}', '{"did":"order","until":"2020-01-01"}', '{"first_time":"order","last":"1 day"}', '{"resumed":"order","after":"5 days","last":"1 day"}']) node WHERE pg_temp.plan_of(:'catalog', node) ? 'from'), NULL, 'what reads all the past');
SELECT is(pg_temp.plan_of(:'catalog', '{"list":"press"}') - 'nodes' - 'segments' - 'sets', '{"v": 1, "tz": "Asia/Shanghai", "from": 834811200000000, "as_of": 834811200000000, "kinds": [], "events": [], "need_ids": false, "attributes": [], "conditions": [], "need_value": false, "need_origin": false, "need_properties": false}', 'without event atoms nothing is read');

-- Dates and anniversaries against plain SQL.
SELECT is((SELECT string_agg(format('%s %s', tz, at), E'\n') FROM moments, LATERAL (SELECT (at AT TIME ZONE tz)::date AS today, pg_temp.plan_of(:'catalog', '{"attr":"signup",' || form || '}', at, jsonb_build_object('tz', tz)) #> '{attributes,0}' AS a) x
  WHERE daterange(date '2000-01-01' + (a ->> 'lo')::integer, date '2000-01-01' + (a ->> 'hi')::integer) IS DISTINCT FROM
    CASE form WHEN '"last":"30 days"' THEN daterange(today - 30, today) WHEN '"next":"2 weeks"' THEN daterange(today, today + 14)
      WHEN '"before_last":"1 month"' THEN daterange(NULL, (today - interval '1 month')::date) ELSE daterange(today, (today + interval '1 year')::date) END), NULL, 'dates: ' || form)
  FROM unnest(ARRAY['"last":"30 days"', '"next":"2 weeks"', '"before_last":"1 month"', '"next":"1 year"']) form;
CREATE FUNCTION pg_temp.birthday_soon(catalog jsonb, today date, span text) RETURNS jsonb LANGUAGE sql
AS $$SELECT pg_temp.plan_of(catalog, '{"attr":"birthday","anniversary_next":"' || span || '"}', (today + time '09:00')::timestamp AT TIME ZONE 'Asia/Shanghai') #> '{attributes,0,values}'$$;
SELECT is((SELECT string_agg(format('%s %s', today, b), ', ') FROM (SELECT d::date AS today, span, pg_temp.birthday_soon(:'catalog', d::date, span) AS ranges FROM generate_series(timestamp '2027-12-15', '2028-03-05', '3 days') d) t,
    (SELECT b::date FROM generate_series(timestamp '2000-01-01', '2000-12-31', '1 day') b) y
  WHERE EXISTS (SELECT FROM jsonb_array_elements(ranges) r WHERE extract(month FROM b) * 100 + extract(day FROM b) BETWEEN (r ->> 0)::integer AND (r ->> 1)::integer)
    <> EXISTS (SELECT FROM generate_series(today::timestamp, today::timestamp + span::interval - interval '1 day', '1 day') d
         WHERE to_char(d, 'MMDD') = to_char(b, 'MMDD') OR (to_char(b, 'MMDD') = '0229' AND to_char(d, 'MMDD') = '0301' AND to_char(d - interval '1 day', 'MMDD') = '0228'))), NULL, 'anniversaries in the next ' || span)
  FROM unnest('{1 day,7 days,30 days,2 months,365 days,1 year}'::text[]) span;
SELECT is(pg_temp.birthday_soon(:'catalog', '2027-03-01', '3 days'), '[[229, 303]]', '29 February counts on 1 March of a year without it');
SELECT is(pg_temp.birthday_soon(:'catalog', '2028-03-01', '3 days'), '[[301, 303]]', 'and not in one that has it');
SELECT is(pg_temp.birthday_soon(:'catalog', '2027-12-30', '5 days'), '[[1230, 1231], [101, 103]]', 'over the turn of the year');
SELECT is(pg_temp.plan_of(:'catalog', '{"attr":"seen_at","anniversary_next":"1 day"}', head => '{"tz":"UTC"}') #> '{attributes,0}', '{"op": "anniversary", "tz": "UTC", "type": "timestamp", "column": "seen_at", "values": [[615, 615]]}', 'a moment falls on a day of the zone');
SELECT is(pg_temp.plan_of(:'catalog', '{"attr":"seen_at","gte":"2026-01-01T08:00:00"}') #>> '{attributes,0,value}', extract(epoch FROM timestamptz '2026-01-01 00:00Z' - timestamptz '2000-01-01 00:00Z')::bigint || '000000', 'a moment in the zone of the rule');

-- Fields of events by the numbers of the catalogue; the logic of SQL.
CREATE FUNCTION pg_temp.conditions(catalog jsonb, cond text, nulls text) RETURNS text LANGUAGE sql
AS $$SELECT (p ->> 'conditions') || ' ' || coalesce(p #>> '{events,0,of,0,if}', 'none') FROM pg_temp.plan_of(catalog, '{"did":"order","last":"1 day","where":' || cond || '}', head => jsonb_build_object('nulls', nulls)) p$$;
CREATE TEMP TABLE conditions (n integer GENERATED ALWAYS AS IDENTITY, cond text, as_set text, as_sql text);
INSERT INTO conditions (cond, as_set, as_sql) VALUES
  ('{"field":"channel","in":["social","email"]}', '[{"origins": [11, 12, 13], "campaigns": []}] 0', NULL),
  ('{"field":"channel","neq":"email"}', '[{"origins": [11, 12], "campaigns": []}, {"not": 0}] 1', '[{"origins": [11, 12], "campaigns": []}, {"not": 0}, {"origins": [11, 12, 13], "campaigns": []}, {"all": [1, 2]}] 3'),
  ('{"field":"channel","prefix":"so"}', '[{"origins": [13], "campaigns": []}] 0', NULL),
  ('{"field":"channel","gt":"z"}', '[{"nothing": true}] 0', NULL),
  ('{"field":"channel_group","exists":false}', '[{"origins": [13, 14], "campaigns": []}, {"not": 0}] 1', NULL),
  ('{"field":"campaign","eq":"spring"}', '[{"origins": [12], "campaigns": [2]}] 0', NULL),
  ('{"field":"source","eq":"shop"}', '[{"sources": [4]}] 0', NULL),
  ('{"field":"value","not_between":[1,2.50]}', '[{"op": "between", "field": "value", "values": [1, 2.5]}, {"not": 0}] 1', '[{"op": "between", "field": "value", "values": [1, 2.5], "complement": true}] 0'),
  ('{"not":{"any":[{"prop":"a","gt":1},{"prop":"b","exists":true}]}}', '[{"op": "gt", "prop": "a", "value": 1}, {"op": "exists", "prop": "b"}, {"any": [0, 1]}, {"not": 2}] 3',
    '[{"op": "gt", "prop": "a", "value": 1, "complement": true}, {"op": "exists", "prop": "b"}, {"not": 1}, {"all": [0, 2]}] 3'),
  ('{"prop":"tags","has_any":["y","x"]}', '[{"op": "has", "prop": "tags", "value": "y"}, {"op": "has", "prop": "tags", "value": "x"}, {"any": [0, 1]}] 2', NULL),
  ('{"not":{"prop":"tags","has_all":["y","x"]}}', '[{"op": "has", "prop": "tags", "value": "y"}, {"op": "has", "prop": "tags", "value": "x"}, {"all": [0, 1]}, {"not": 2}] 3',
    '[{"op": "has", "prop": "tags", "value": "y", "complement": true}, {"op": "has", "prop": "tags", "value": "x", "complement": true}, {"any": [0, 1]}] 2'),
  ('{"all":[]}', '[{"everything": true}] none', NULL), ('{"any":[]}', '[{"nothing": true}] 0', NULL);
SELECT is(pg_temp.conditions(:'catalog', cond, 'set'), as_set, cond || ' in sets') FROM conditions ORDER BY n;
SELECT is(pg_temp.conditions(:'catalog', cond, 'sql'), coalesce(as_sql, as_set), cond || ' in SQL') FROM conditions ORDER BY n;

-- Segments of segments.
CREATE FUNCTION pg_temp.chain(n integer, last_node text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_agg(jsonb_build_object('id', i, 'name', 's' || i, 'rule', jsonb_build_object('v', 1, 'where', CASE WHEN i < n THEN jsonb_build_object('segment', 's' || i + 1) ELSE last_node::jsonb END)))
  FROM generate_series(1, n) i$$;
CREATE FUNCTION pg_temp.chain_catalog(catalog jsonb, n integer) RETURNS jsonb LANGUAGE sql
AS $$SELECT catalog || jsonb_build_object('segments', jsonb_object_agg('s' || i, jsonb_build_object('id', i))) FROM generate_series(1, n) i$$;
SELECT is(cdp_internal.rule_plan(pg_temp.chain(3, '{"list":"press"}'), pg_temp.chain_catalog(:'catalog', 3), '2026-01-01') -> 'segments',
  '[{"id": 1, "node": 0, "nulls": "set"}, {"id": 2, "node": 0, "nulls": "set"}, {"id": 3, "node": 0, "nulls": "set"}]', 'a chain of segments is one node');
SELECT is(jsonb_array_length(cdp_internal.rule_plan(pg_temp.chain(3000, '{"list":"press"}'), pg_temp.chain_catalog(:'catalog', 3000), '2026-01-01') -> 'nodes'), 1, 'however long');
SELECT throws_ok(format('SELECT cdp_internal.rule_plan(%L, %L, now())', pg_temp.chain(3, '{"not":{"segment":"s2"}}'), pg_temp.chain_catalog(:'catalog', 3)), '22023',
  'the segments name each other in a circle: "s2" -> "s3" -> "s2"', 'a circle is named');
SELECT throws_ok(format('SELECT cdp_internal.rule_plan(%L, %L, now())', pg_temp.chain(1, '{"segment":"s1"}'), pg_temp.chain_catalog(:'catalog', 1)), '22023',
  'the segments name each other in a circle: "s1" -> "s1"', 'a circle of one');
SELECT throws_ok(format('SELECT cdp_internal.rule_plan(%L, %L, now())', pg_temp.chain(2, '{"segment":"s3"}'), pg_temp.chain_catalog(:'catalog', 3)), '22023', 'segment "s3" is not among the rules of the plan', 'a segment that was not handed in');
SELECT is(cdp_internal.rule_plan('[{"id":1,"name":"a","rule":{"v":1,"where":{"not":{"segment":"b"}}}},{"id":2,"name":"b","rule":{"v":1,"nulls":"sql","where":{"attr":"age","neq":5}}},{"id":3,"name":"c","rule":{"v":1,"nulls":"sql","where":{"any":[{"segment":"a"},{"segment":"b"}]}}}]',
  jsonb_set(:'catalog', '{segments}', '{"a":{"id":1},"b":{"id":2}}'), '2026-01-01') -> 'nodes',
  '[{"attribute": 0}, {"not": 0}, {"nulls": "sql", "members": 1}, {"not": 2}, {"nulls": "set", "members": 3}, {"any": [2, 4]}]', 'a segment is a set of members, whatever logic made it');

-- Ranks, paths, and what is refused.
SELECT is(pg_temp.nodes(jsonb_set(:'catalog', ARRAY['ranks', '{"rank":{"attr":"ltv"},"top":"10%"}', 'gte'], 'null'), '{"rank":{"attr":"ltv"},"top":"10.0%"}'), '[{"nobody": true}] 0', 'a rank of which nobody has a value');
SELECT throws_ok(format('SELECT pg_temp.plan_of(%L, %L)', :'catalog', '{"rank":{"attr":"ltv"},"top":"20%"}'), '55000', 'the threshold of a rank is not known', 'a rank without threshold');
SELECT is(cdp_internal.rule_plan('[{"id":1,"name":"a","rule":{"where":{"all":[{"list":"press"},{"not":{"did":"order","last":"1 day","count":{"lt":1}}}]}}}]', :'catalog', '2026-01-01', true) #>> '{segments,0,paths}',
  '{"/where": 3, "/where/all/0": 0, "/where/all/1": 1, "/where/all/1/not": 2}', 'which node stands for which part of the rule');
SELECT throws_ok(format('SELECT pg_temp.plan_of(%L, %L)', :'catalog', '{"did":"oder","last":"1 day"}'), '22023', 'kind of events "oder" is not known', 'a rule with an error has no plan');
SELECT throws_ok(format('SELECT cdp_internal.rule_plan(%L, %L, now())', '[{"id":1,"name":"a","purpose":"marketing","rule":{"where":{"attr":"diagnosis","exists":true}}}]', :'catalog'::jsonb - 'purpose'), '22023', 'attribute "diagnosis" may not be used for the purpose "marketing"', 'the purpose of one rule');
SELECT throws_ok(format('SELECT cdp_internal.rule_plan(%L, %L, now())', r, :'catalog'), '22023', 'the rules of a plan are malformed', r)
  FROM unnest(ARRAY['{}', '5', '[5]', '[{"id":1}]', '[{"id":1,"name":"a","rule":5}]', '[{"id":1,"name":"a","rule":{"where":{"all":[]}}},{"id":1,"name":"b","rule":{"where":{"all":[]}}}]', '[{"id":1,"name":"a","rule":{"where":{"all":[]}}},{"id":2,"name":"a","rule":{"where":{"all":[]}}}]']) r;
SELECT is(cdp_internal.rule_plan('[]', '{}', '2026-01-01') -> 'segments', '[]', 'no rules');
SELECT throws_ok(format('SELECT pg_temp.plan_of(%L, %L, %L)', :'catalog', '{"list":"press"}', at), '22008', 'as_of is out of range', at) FROM unnest('{infinity,-infinity,0900-01-01,9999-01-01}'::text[]) at;
SELECT is(cdp_internal.rule_plan('[]', NULL, now()), NULL, 'NULL for NULL');
SELECT * FROM finish();
ROLLBACK;
