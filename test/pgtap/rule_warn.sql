-- Warnings about rules without errors: each by its path, and on random rules against every value that there can be.
BEGIN;
\ir rule_catalog.inc
SELECT plan(95);
CREATE FUNCTION pg_temp.warned(rule jsonb, catalog jsonb) RETURNS text LANGUAGE sql
AS $$SELECT coalesce(string_agg(path || ' ' || code, E'\n'), '') FROM cdp_internal.rule_check(rule, catalog)$$;
CREATE TEMP TABLE cases (n integer GENERATED ALWAYS AS IDENTITY, node jsonb, nulls text, expected text);
INSERT INTO cases (node, nulls, expected) VALUES
  ('{"all":[{"attr":"age","gt":5},{"attr":"age","lt":6}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"attr":"ltv","gt":5},{"attr":"ltv","lt":6}]}', 'set', ''),
  ('{"all":[{"attr":"ltv","gt":5},{"list":"press"},{"attr":"ltv","lte":5}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"attr":"ltv","gt":5},{"any":[{"list":"press"},{"attr":"ltv","lte":5}]}]}', 'set', ''),
  ('{"all":[{"attr":"age","gt":5},{"all":[{"list":"press"},{"attr":"age","lte":5}]}]}', 'set', '/where W_EMPTY'),
  ('{"any":[{"attr":"age","gt":5},{"attr":"age","lte":5}]}', 'set', ''),
  ('{"any":[{"attr":"age","gt":5},{"attr":"age","lte":5},{"attr":"age","exists":false}]}', 'set', '/where W_ALWAYS'),
  ('{"all":[{"attr":"age","exists":false},{"any":[{"attr":"age","lt":9},{"attr":"age","gt":10}]}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"attr":"country","eq":"CN"},{"attr":"country","in":["US","DE"]}]}', 'set', '/where W_EMPTY'),
  ('{"not":{"all":[{"attr":"country","eq":"CN"},{"attr":"country","prefix":"U"}]}}', 'set', '/where/not/all/0 W_NULL_NEGATION
/where/not/all/1 W_NULL_NEGATION'),
  ('{"attr":"age","between":[9,3]}', 'set', '/where W_EMPTY'),
  ('{"attr":"age","eq":1.5}', 'set', '/where W_EMPTY'),
  ('{"attr":"ltv","eq":1.5}', 'set', ''),
  ('{"all":[{"list":"press"},{"not":{"list":"press"}}]}', 'set', '/where W_EMPTY'),
  ('{"any":[{"segment":"plain"},{"not":{"segment":"plain"}}]}', 'set', '/where W_ALWAYS'),
  ('{"all":[{"attr":"country","prefix":"C"},{"not":{"attr":"country","prefix":"C"}}]}', 'set', '/where W_EMPTY
/where/all/1/not W_NULL_NEGATION'),
  ('{"did":"order","last":"3 days","count":{"gte":0}}', 'set', '/where W_ALWAYS'),
  ('{"did":"order","last":"3 days","days":{"lt":0}}', 'set', '/where W_EMPTY'),
  ('{"did":"order","last":"3 days","sum":"x","lt":0}', 'set', ''),
  ('{"all":[{"did":"order","last":"3 days"},{"did":"order","last":"72 hours","count":{"eq":0}}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","last":"7 days"},{"not":{"did":"order","last":"30 days"}}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","last":"30 days"},{"not":{"did":"order","last":"7 days"}}]}', 'set', ''),
  ('{"all":[{"did":"order","last":"7 days","count":{"gte":3}},{"list":"press"},{"did":"order","last":"30 days","count":{"lte":2}}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","last":"7 days","count":{"gte":3}},{"did":"order","last":"30 days","count":{"lte":3}}]}', 'set', ''),
  ('{"all":[{"did":"order","last":"7 days","count":{"gte":3}},{"did":"order","last":"30 days","days":{"lte":2}}]}', 'set', ''),
  ('{"all":[{"did":"order","last":"7 days","days":{"gte":3}},{"did":"order","last":"30 days","days":{"between":[1,2]}}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","last":"7 days","distinct":"sku","gte":3},{"did":"order","last":"30 days","distinct":"sku","lt":3}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","last":"7 days","distinct":"sku","gte":3},{"did":"order","last":"30 days","distinct":"size","lt":3}]}', 'set', ''),
  ('{"all":[{"did":"order","last":"7 days","sum":"x","gte":3},{"did":"order","last":"30 days","sum":"x","lt":3}]}', 'set', ''),
  ('{"all":[{"did":"order","between":["20 days","10 days"]},{"not":{"did":"order","last":"30 days"}}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","between":["40 days","10 days"]},{"not":{"did":"order","last":"30 days"}}]}', 'set', ''),
  ('{"all":[{"did":"order","last":"1 month"},{"not":{"did":"order","last":"1 year"}}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","last":"30 days"},{"not":{"did":"order","last":"1 year"}}]}', 'set', ''),
  ('{"all":[{"did":"order","this":"day"},{"not":{"did":"order","this":"quarter"}}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","this":"week"},{"not":{"did":"order","this":"month"}}]}', 'set', ''),
  ('{"all":[{"did":"order","since":"2026-02-01","until":"2026-03-01"},{"not":{"did":"order","since":"2026-01-01"}}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","since":"2026-02-01"},{"not":{"did":"order","since":"2026-01-01","until":"2026-03-01"}}]}', 'set', ''),
  ('{"all":[{"did":"order","last":"7 days"},{"not":{"did":["order","visit"],"last":"7 days"}}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":["order","visit"],"last":"7 days"},{"not":{"did":"order","last":"7 days"}}]}', 'set', ''),
  ('{"all":[{"did":"order","last":"7 days","where":{"prop":"x","eq":1}},{"not":{"did":"order","last":"30 days"}}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","last":"7 days","where":{"prop":"x","eq":1}},{"not":{"did":"order","last":"30 days","where":{"prop":"x","eq":2}}}]}', 'set', ''),
  ('{"any":[{"did":"order","last":"30 days"},{"not":{"did":"order","last":"7 days"}}]}', 'set', '/where W_ALWAYS'),
  ('{"any":[{"not":{"did":"order","last":"30 days"}},{"did":"order","last":"7 days"}]}', 'set', ''),
  ('{"all":[{"did":"order","last":"3 days"},{"did":["order"],"last":"3 days","count":{"eq":0}}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","last":"3 days","sum":"x","gt":3},{"did":"order","last":"3 days","sum":"y","lt":2}]}', 'set', ''),
  ('{"all":[{"did":"order","last":"3 days","sum":"x","gt":3},{"did":"order","last":"3 days","sum":"x","lt":2}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"did":"order","last":"3 days","last_value":"x","gt":3},{"did":"order","last":"3 days","last_value":"x","eq":"a"}]}', 'set', ''),
  ('{"did":"order","last":"3 days","where":{"all":[{"prop":"x","gt":5},{"prop":"x","lt":3}]}}', 'set', '/where/where W_EMPTY'),
  ('{"seq":[{"did":"visit"},{"did":"order","where":{"any":[]}}],"last":"1 day","not_between":{"did":"renewal"}}', 'set', '/where/seq/1/where W_EMPTY
/where/not_between/did W_RARE_EVENT'),
  ('{"all":[]}', 'set', '/where W_ALWAYS'),
  ('{"not":{"any":[]}}', 'set', '/where/not W_EMPTY'),
  ('{"did":"order"}', 'set', '/where W_UNBOUNDED'),
  ('{"did":"order","until":"2026-01-01"}', 'set', '/where W_UNBOUNDED'),
  ('{"did":"order","since":"2026-01-01"}', 'set', ''),
  ('{"seq":[{"did":"visit"},{"did":"order"}]}', 'set', '/where W_UNBOUNDED'),
  ('{"first_time":"order","last":"1 day"}', 'set', ''),
  ('{"did":["order","renewal"],"last":"1 day"}', 'set', '/where/did W_RARE_EVENT'),
  ('{"not":{"attr":"age","gt":5}}', 'set', '/where/not W_NULL_NEGATION'),
  ('{"attr":"age","neq":5}', 'set', '/where W_NULL_NEGATION'),
  ('{"not":{"attr":"age","neq":5}}', 'set', ''),
  ('{"not":{"attr":"age","exists":true}}', 'set', ''),
  ('{"all":[{"attr":"age","exists":true},{"attr":"age","neq":5}]}', 'set', ''),
  ('{"all":[{"attr":"ltv","exists":true},{"attr":"age","neq":5}]}', 'set', '/where/all/1 W_NULL_NEGATION'),
  ('{"any":[{"attr":"age","exists":true},{"attr":"age","neq":5}]}', 'set', '/where W_ALWAYS
/where/any/1 W_NULL_NEGATION'),
  ('{"attr":"signup","before_last":"3 days"}', 'set', ''),
  ('{"not":{"attr":"signup","last":"3 days"}}', 'set', '/where/not W_NULL_NEGATION'),
  ('{"not":{"trait":"rfm_r","gte":3}}', 'set', '/where/not W_NULL_NEGATION'),
  ('{"not":{"rank":{"attr":"ltv"},"top":"10%"}}', 'set', '/where/not W_NULL_NEGATION'),
  ('{"not":{"list":"press"}}', 'set', ''),
  ('{"not":{"did":"order","last":"1 day"}}', 'set', ''),
  ('{"not":{"did":"order","last":"1 day","max":"x","gte":3}}', 'set', '/where/not W_NULL_NEGATION'),
  ('{"not":{"did":"order","last":"1 day","sum":"x","gte":3}}', 'set', ''),
  ('{"did":"order","last":"1 day","where":{"not":{"field":"value","gt":3}}}', 'set', '/where/where/not W_NULL_NEGATION'),
  ('{"any":[{"attr":"active","eq":true},{"attr":"active","neq":true}]}', 'set', '/where W_ALWAYS
/where/any/1 W_NULL_NEGATION'),
  ('{"all":[{"attr":"active","neq":false},{"attr":"active","neq":true},{"attr":"active","exists":true}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"attr":"signup","gt":"2026-01-01"},{"attr":"signup","lt":"2026-01-02"}]}', 'set', '/where W_EMPTY'),
  ('{"all":[{"attr":"seen_at","gt":"2026-01-01"},{"attr":"seen_at","lt":"2026-01-02"}]}', 'set', ''),
  ('{"all":[{"attr":"seen_at","gte":"2026-01-01T08:00:00"},{"attr":"seen_at","lt":"2026-01-01T00:00:00Z"}]}', 'set', '/where W_EMPTY'),
  ('{"attr":"age","neq":5}', 'sql', ''),
  ('{"any":[{"attr":"age","gt":5},{"attr":"age","lte":5}]}', 'sql', ''),
  ('{"any":[{"attr":"age","gt":5},{"not":{"attr":"age","gt":5}}]}', 'sql', ''),
  ('{"any":[{"attr":"country","prefix":"C"},{"not":{"attr":"country","prefix":"C"}}]}', 'sql', ''),
  ('{"any":[{"list":"press"},{"not":{"list":"press"}}]}', 'sql', '/where W_ALWAYS'),
  ('{"all":[{"attr":"age","exists":false},{"attr":"age","neq":3}]}', 'sql', '/where W_EMPTY'),
  ('{"all":[{"trait":"rfm_r","exists":false},{"trait":"rfm_r","neq":3}]}', 'sql', '/where/all/1 W_NULL_NEGATION'),
  ('{"any":[{"trait":"rfm_r","gt":3},{"not":{"trait":"rfm_r","gt":3}}]}', 'sql', E'/where W_ALWAYS\n/where/any/1/not W_NULL_NEGATION'),
  ('{"not":{"rank":{"trait":"rfm_m"},"top":1}}', 'sql', '/where/not W_NULL_NEGATION'), ('{"not":{"rank":{"attr":"ltv"},"top":1}}', 'sql', '');
SELECT is(pg_temp.warned(jsonb_build_object('nulls', nulls, 'where', node), :'catalog'), expected, nulls || ' ' || left(node::text, 100)) FROM cases ORDER BY n;
SELECT is((SELECT count(*) FROM cases, cdp_internal.rule_check(jsonb_build_object('nulls', nulls, 'where', node), :'catalog') c
  WHERE severity <> 'warning' OR code !~ '^W_[A-Z_]+$' OR message !~ '^[a-z]' OR coalesce(hint, '') = ''), 0::bigint, 'each warning has a code, a message in lower case and a hint');
SELECT is((SELECT string_agg(DISTINCT code, ' ' ORDER BY code) FROM cases, cdp_internal.rule_check(jsonb_build_object('nulls', nulls, 'where', node), :'catalog')), 'W_ALWAYS W_EMPTY W_NULL_NEGATION W_RARE_EVENT W_UNBOUNDED', 'every code');
SELECT is(pg_temp.warned('{"where":{"all":[{"did":"order"},{"attr":"agee","neq":1}]}}', :'catalog'), '/where/all/1/attr E_UNKNOWN_ATTR', 'no warnings while there are errors');
SELECT is(pg_temp.warned('{"where":{"all":[{"attr":"x","eq":1},{"attr":"x","eq":"a"},{"attr":"x","neq":true}]}}', NULL), '/where W_EMPTY
/where/all/2 W_NULL_NEGATION', 'constants of several types, without a catalogue');

-- Random conditions on an age of 0 to 9 or none, counts of 0 to 4 in 5 days and as many or more in 9, and a list: what is said never to hold holds for none of them, what is said
-- always to hold for each. On one operand nothing is overlooked.
CREATE FUNCTION pg_temp.some_node(depth integer, operands integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  kind integer := floor(random() * (CASE WHEN depth > 2 THEN 3 ELSE 6 END));
  a integer := floor(random() * 10);
  b integer := least(9, a + floor(random() * 4)::integer);
  op text := (ARRAY['eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'in', 'not_in', 'between', 'not_between', 'exists'])[1 + floor(random() * 11)::integer];
BEGIN
  IF kind < 3 AND (operands = 1 OR random() < 0.5) THEN
    RETURN jsonb_build_object('attr', 'age', op, CASE WHEN op = 'exists' THEN to_jsonb(random() < 0.5) WHEN op IN ('in', 'not_in', 'between', 'not_between') THEN jsonb_build_array(a, b) ELSE to_jsonb(a) END);
  ELSIF kind < 3 AND random() < 0.7 THEN
    RETURN jsonb_build_object('did', 'order', 'last', CASE WHEN random() < 0.5 THEN '5 days' ELSE '9 days' END, 'count', jsonb_build_object((ARRAY['eq', 'neq', 'lt', 'lte', 'gt', 'gte'])[1 + floor(random() * 6)::integer], a % 5));
  ELSIF kind < 3 THEN
    RETURN '{"list":"press"}';
  ELSIF kind = 3 THEN
    RETURN jsonb_build_object('not', pg_temp.some_node(depth + 1, operands));
  END IF;
  RETURN jsonb_build_object(CASE kind WHEN 4 THEN 'all' ELSE 'any' END, (SELECT jsonb_agg(pg_temp.some_node(depth + 1, operands)) FROM generate_series(1, 2 + (random() * 1.4)::integer)));
END $$;
CREATE FUNCTION pg_temp.compare(v integer, op text, c jsonb) RETURNS boolean LANGUAGE sql AS $$
  SELECT CASE op WHEN 'eq' THEN v = c::integer WHEN 'neq' THEN v <> c::integer WHEN 'lt' THEN v < c::integer WHEN 'lte' THEN v <= c::integer WHEN 'gt' THEN v > c::integer WHEN 'gte' THEN v >= c::integer
    WHEN 'in' THEN v IN ((c -> 0)::integer, (c -> 1)::integer) WHEN 'not_in' THEN v NOT IN ((c -> 0)::integer, (c -> 1)::integer)
    WHEN 'between' THEN v BETWEEN (c -> 0)::integer AND (c -> 1)::integer WHEN 'not_between' THEN v NOT BETWEEN (c -> 0)::integer AND (c -> 1)::integer ELSE (v IS NOT NULL) = c::boolean END $$;
CREATE FUNCTION pg_temp.holds(node jsonb, as_sql boolean, age integer, times integer, more integer, listed boolean) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  r boolean;
  k text;
BEGIN
  IF node ? 'all' THEN
    RETURN (SELECT CASE WHEN bool_or(NOT h) THEN false WHEN bool_or(h IS NULL) THEN NULL ELSE true END FROM (SELECT pg_temp.holds(c, as_sql, age, times, more, listed) AS h FROM jsonb_array_elements(node -> 'all') c) x);
  ELSIF node ? 'any' THEN
    RETURN (SELECT CASE WHEN bool_or(h) THEN true WHEN bool_or(h IS NULL) THEN NULL ELSE false END FROM (SELECT pg_temp.holds(c, as_sql, age, times, more, listed) AS h FROM jsonb_array_elements(node -> 'any') c) x);
  ELSIF node ? 'not' THEN
    RETURN NOT pg_temp.holds(node -> 'not', as_sql, age, times, more, listed);
  ELSIF node ? 'list' THEN
    RETURN listed;
  ELSIF node ? 'did' THEN
    SELECT key INTO k FROM jsonb_each(node -> 'count');
    RETURN pg_temp.compare(CASE WHEN node ->> 'last' = '5 days' THEN times ELSE more END, k, node -> 'count' -> k);
  END IF;
  SELECT key INTO k FROM jsonb_each(node) WHERE key <> 'attr';
  r := pg_temp.compare(age, k, node -> k);
  RETURN CASE WHEN as_sql THEN r ELSE coalesce(r, k IN ('neq', 'not_in', 'not_between')) END;
END $$;
SELECT setseed(0.42) \g /dev/null
CREATE TEMP TABLE tried AS SELECT i, pg_temp.some_node(0, 1 + i % 2) AS node, i % 3 = 0 AS as_sql FROM generate_series(1, 600) i;
CREATE TEMP TABLE said AS SELECT t.i, t.as_sql, c.code, CASE WHEN c.path = '/where' THEN node ELSE node #> string_to_array(substr(c.path, 8), '/') END AS node
  FROM tried t, cdp_internal.rule_check(jsonb_build_object('nulls', CASE WHEN as_sql THEN 'sql' ELSE 'set' END, 'where', node), :'catalog') c WHERE c.code IN ('W_EMPTY', 'W_ALWAYS');
SELECT cmp_ok((SELECT least(count(*) FILTER (WHERE code = 'W_EMPTY'), count(*) FILTER (WHERE code = 'W_ALWAYS')) FROM said), '>', 20::bigint, 'both are said often enough');
SELECT is((SELECT string_agg(DISTINCT format('%s %s', s.code, s.node), E'\n') FROM said s, generate_series(-1, 11) age, generate_series(0, 5) times, generate_series(times, 6) more, unnest('{t,f}'::boolean[]) listed
  WHERE (pg_temp.holds(s.node, s.as_sql, nullif(age, 11), times, more, listed) IS TRUE) <> (s.code = 'W_ALWAYS')), NULL, 'what is said is so');
SELECT is((SELECT string_agg(node::text, E'\n') FROM (SELECT node, count(*) FILTER (WHERE pg_temp.holds(node, false, nullif(age, 11), 0, 0, false)) AS n FROM tried, generate_series(-1, 11) age
  WHERE i % 2 = 0 AND NOT as_sql AND NOT EXISTS (SELECT FROM said s WHERE s.i = tried.i) GROUP BY i, node) x WHERE n IN (0, 13)), NULL, 'what is so is said');
SELECT * FROM finish();
ROLLBACK;
