-- The plain-SQL twin of the event pass, and random plans over random events of schema t.
-- Some twenty rows a customer on a grid of ten minutes: ties and rows at the ends of windows are common.
CREATE TABLE t.ev AS
SELECT (random() * 24)::bigint AS customer, '2026-03-30 04:00Z'::timestamptz + ((random() * 210 - 200)::int * 10) * interval '1 minute' AS at,
  (ARRAY[1, 2, 40000])[1 + floor(random() * 3)::int] AS kind, (ARRAY[11, 12, 13, NULL])[1 + floor(random() * 4)::int] AS origin,
  (ARRAY[5, 6, NULL])[1 + floor(random() * 3)::int] AS campaign, (random() * 3)::int AS source,
  (ARRAY[NULL, 'NaN', 0, -5, 10, 10.5, 0.1234567, 12345678901234])[1 + floor(random() * 8)::int]::numeric AS value,
  CASE WHEN random() < 0.05 THEN NULL WHEN random() < 0.05 THEN '[1, 2]' ELSE
    jsonb_build_object('n', (ARRAY['1', '2', '2.0', '4', '5', '-3', '0.0000001', '1e20', '"2"', 'null', 'true', '[2, "a"]'])[1 + floor(random() * 12)::int]::jsonb,
      'w', (ARRAY['"a"', '"b"', '"ab"', '""', '"a long text, longer than a word"', '"a long text, but another"', 'true', 'false', '7', '{"a": 1}'])[1 + floor(random() * 10)::int]::jsonb)
    || CASE WHEN random() < 0.5 THEN jsonb_build_object('p', floor(random() * 3)) ELSE '{}' END END AS properties,
  i * 271 % 997 AS id
FROM generate_series(1, 480) i;

CREATE FUNCTION t.us(at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN ((extract(epoch FROM at) - 946684800) * 1000000)::bigint;
ALTER TABLE t.ev ADD us bigint;
UPDATE t.ev SET us = t.us(at);
ANALYZE t.ev;
CREATE FUNCTION t.pick(VARIADIC given text[]) RETURNS text LANGUAGE sql VOLATILE RETURN given[1 + floor(random() * cardinality(given))::int];

-- How a value compares: true, false, or NULL when it is missing or of another type.
CREATE FUNCTION t.compare(op text, v jsonb, c jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE k jsonb := coalesce(c->'value', c->'values'->0);
BEGIN
  IF op = 'exists' THEN RETURN v IS NOT NULL AND v <> 'null'; END IF;
  IF op = 'has' THEN RETURN CASE WHEN jsonb_typeof(v) = 'array' THEN EXISTS (SELECT FROM jsonb_array_elements(v) e WHERE e = k) END; END IF;
  IF v IS NULL OR jsonb_typeof(v) <> jsonb_typeof(k) THEN RETURN NULL; END IF;
  IF op = 'in' THEN RETURN EXISTS (SELECT FROM jsonb_array_elements(c->'values') e WHERE e = v); END IF;
  IF op = 'eq' THEN RETURN v = k; END IF;
  IF jsonb_typeof(v) = 'string' THEN
    DECLARE a text COLLATE "C" := v #>> '{}'; b text COLLATE "C" := k #>> '{}';
    BEGIN
      RETURN CASE op WHEN 'lt' THEN a < b WHEN 'lte' THEN a <= b WHEN 'gt' THEN a > b WHEN 'gte' THEN a >= b
        WHEN 'between' THEN a >= b AND a <= (c->'values'->>1) COLLATE "C" WHEN 'prefix' THEN left(a, length(b)) = b
        WHEN 'suffix' THEN right(a, length(b)) = b OR b = '' WHEN 'contains' THEN position(b IN a) > 0 END;
    END;
  END IF;
  DECLARE a numeric := v::numeric; b numeric := k::numeric;
  BEGIN
    RETURN CASE op WHEN 'lt' THEN a < b WHEN 'lte' THEN a <= b WHEN 'gt' THEN a > b WHEN 'gte' THEN a >= b
      WHEN 'between' THEN a >= b AND a <= (c->'values'->1)::numeric END;
  END;
END $$;

-- The scalar or number of a row that an atom reads.
CREATE FUNCTION t.operand(e t.ev, a jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN CASE WHEN a ? 'field' THEN CASE WHEN (e).value <> 'NaN' THEN to_jsonb((e).value) END
  WHEN jsonb_typeof((e).properties) = 'object' THEN nullif((e).properties->(a->>'prop'), 'null') END;
CREATE FUNCTION t.scalar(v jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE RETURN CASE WHEN jsonb_typeof(v) IN ('string', 'number', 'boolean') THEN v END;
CREATE FUNCTION t.number(v jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN CASE WHEN jsonb_typeof(v) = 'number' THEN v::numeric END;

CREATE FUNCTION t.holds(e t.ev, conditions jsonb, i int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE c jsonb := conditions->i; said boolean;
BEGIN
  IF c ? 'prop' OR c ? 'field' THEN
    said := t.compare(c->>'op', t.operand(e, c), c);
    RETURN CASE WHEN c ? 'complement' THEN coalesce(NOT said, false) ELSE coalesce(said, false) END;
  END IF;
  RETURN CASE WHEN c ? 'origins' THEN coalesce(c->'origins' @> to_jsonb(e.origin), false) OR coalesce(c->'campaigns' @> to_jsonb(e.campaign), false)
    WHEN c ? 'sources' THEN coalesce(c->'sources' @> to_jsonb(e.source), false)
    WHEN c ? 'not' THEN NOT t.holds(e, conditions, (c->>'not')::int)
    WHEN c ? 'all' THEN (SELECT coalesce(bool_and(t.holds(e, conditions, m::int)), true) FROM jsonb_array_elements_text(c->'all') m)
    WHEN c ? 'any' THEN (SELECT coalesce(bool_or(t.holds(e, conditions, m::int)), false) FROM jsonb_array_elements_text(c->'any') m)
    ELSE c ? 'everything' END;
END $$;

-- Which conditions hold of which rows, told once for each plan.
CREATE TABLE t.held (condition int, id bigint, PRIMARY KEY (condition, id));
CREATE FUNCTION t.hold(p jsonb) RETURNS void LANGUAGE sql VOLATILE AS $$
  TRUNCATE t.held;
  INSERT INTO t.held SELECT i, e.id FROM generate_series(0, jsonb_array_length(p->'conditions') - 1) i, t.ev e WHERE t.holds(e, p->'conditions', i);
$$;
-- The rows of an atom or a step.
CREATE FUNCTION t.rows_of(p jsonb, list jsonb) RETURNS TABLE (e t.ev, us bigint) LANGUAGE sql STABLE AS $$
  SELECT e, e.us FROM t.ev e WHERE e.us < (p->>'as_of')::bigint AND e.id IN (SELECT x.id FROM jsonb_array_elements(list) o JOIN t.ev x ON x.kind = (o->>'kind')::int
    WHERE NOT o ? 'if' OR EXISTS (SELECT FROM t.held h WHERE h.id = x.id AND h.condition = (o->>'if')::int))
$$;

CREATE FUNCTION t.follows(a jsonb, us bigint, id bigint, us2 bigint, id2 bigint) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN CASE WHEN a->>'ties' = 'order' THEN (us2, id2) > (us, id) ELSE us2 > us END;
CREATE FUNCTION t.linked(step jsonb, e t.ev, e2 t.ev) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN NOT EXISTS (SELECT FROM jsonb_array_elements_text(coalesce(step->'same', '[]')) k
  WHERE (t.scalar(t.operand(e, jsonb_build_object('prop', k))) = t.scalar(t.operand(e2, jsonb_build_object('prop', k)))) IS NOT TRUE);

-- All chains, step by step; nothing clever.
CREATE FUNCTION t.sequence(p jsonb, a jsonb, customers bigint[]) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
  WITH RECURSIVE step AS MATERIALIZED (SELECT s.no::int - 1 AS no, s.step, r.* FROM jsonb_array_elements(a->'steps') WITH ORDINALITY s (step, no), t.rows_of(p, s.step->'of') r),
  breaks AS MATERIALIZED (SELECT * FROM t.rows_of(p, coalesce(a->'breaks', '[]'))),
  chain AS (
    SELECT no, e, us, us AS start FROM step WHERE no = 0 AND us >= coalesce((a->'window'->>'from')::bigint, us) AND us < (a->'window'->>'to')::bigint
    UNION ALL
    SELECT n.no, n.e, n.us, c.start FROM chain c JOIN step n ON n.no = c.no + 1 AND (n.e).customer = (c.e).customer
    WHERE NOT n.step ? 'absent' AND t.follows(a, c.us, (c.e).id, n.us, (n.e).id) AND n.us - c.us <= coalesce((n.step->>'within')::bigint, n.us - c.us)
      AND n.us - c.start <= coalesce((a->>'total')::bigint, n.us - c.start) AND t.linked(n.step, c.e, n.e)
      AND NOT EXISTS (SELECT FROM breaks b WHERE (b.e).customer = (c.e).customer
        AND t.follows(a, c.us, (c.e).id, b.us, (b.e).id) AND t.follows(a, b.us, (b.e).id, n.us, (n.e).id)))
  SELECT DISTINCT (c.e).customer FROM chain c
  WHERE CASE WHEN a->'steps'->-1 ? 'absent'
    THEN c.no = jsonb_array_length(a->'steps') - 2 AND c.us + (a->'steps'->-1->>'within')::bigint <= (p->>'as_of')::bigint
      AND NOT EXISTS (SELECT FROM step n WHERE n.no = c.no + 1 AND (n.e).customer = (c.e).customer AND t.follows(a, c.us, (c.e).id, n.us, (n.e).id)
        AND n.us - c.us <= (n.step->>'within')::bigint AND t.linked(n.step, c.e, n.e))
    ELSE c.no = jsonb_array_length(a->'steps') - 1 END
$$;
CREATE FUNCTION t.twin(p jsonb) RETURNS TABLE (atom int, customer bigint, truth boolean) LANGUAGE plpgsql STABLE AS $$
DECLARE a jsonb; op text; lo bigint; hi bigint;
BEGIN
  FOR atom, a IN SELECT ordinality::int - 1, value FROM jsonb_array_elements(p->'events') WITH ORDINALITY LOOP
    op := a->>'op';
    lo := coalesce((a->'window'->>'from')::bigint, -9e18); hi := (a->'window'->>'to')::bigint;
    IF op = 'seq' THEN
      RETURN QUERY WITH yes AS MATERIALIZED (SELECT c FROM t.sequence(p, a, NULL) c) SELECT atom, c::bigint, c IN (SELECT y.c FROM yes y) FROM generate_series(0, 27::bigint) c;
      CONTINUE;
    END IF;
    RETURN QUERY WITH r AS MATERIALIZED (SELECT (x.e).customer AS c, x.us, (x.e).id, (x.e).at, t.operand(x.e, a) AS v FROM t.rows_of(p, a->'of') x),
    w AS (SELECT *, t.number(v) AS n FROM r WHERE us >= lo AND us < hi),
    agg AS (
      SELECT c, CASE op WHEN 'count' THEN count(us) >= (a->>'value')::bigint
        WHEN 'days' THEN count(DISTINCT (at AT TIME ZONE coalesce(a->>'tz', p->>'tz'))::date) >= (a->>'value')::bigint
        WHEN 'distinct' THEN count(DISTINCT t.scalar(v)) >= (a->>'value')::bigint
        WHEN 'sum' THEN t.compare(a->>'cmp', to_jsonb(coalesce(sum(n), 0)), a)
        WHEN 'avg' THEN t.compare(a->>'cmp', to_jsonb(sum(n)), jsonb_build_object('value', (a->>'value')::numeric * count(n)))
        WHEN 'min' THEN t.compare(a->>'cmp', to_jsonb(min(n)), a)
        WHEN 'max' THEN t.compare(a->>'cmp', to_jsonb(max(n)), a)
        WHEN 'first' THEN t.compare(a->>'cmp', (array_agg(v ORDER BY us, id) FILTER (WHERE t.scalar(v) IS NOT NULL))[1], a)
        WHEN 'last' THEN t.compare(a->>'cmp', (array_agg(v ORDER BY us DESC, id DESC) FILTER (WHERE t.scalar(v) IS NOT NULL))[1], a)
        WHEN 'periods' THEN (SELECT count(DISTINCT b.i) FROM (SELECT ordinality AS i, value::text::bigint AS f, lead(value::text::bigint) OVER (ORDER BY ordinality) AS u
          FROM jsonb_array_elements(a->'bounds') WITH ORDINALITY) b JOIN r ON r.c = k.c AND r.us >= b.f AND r.us < b.u) >= (a->>'value')::bigint
        WHEN 'gap' THEN EXISTS (SELECT FROM w x WHERE x.c = k.c AND x.us - (SELECT max(q.us) FROM r q WHERE q.c = k.c AND q.us < x.us) >= (a->>'gap')::bigint) END AS said
      FROM generate_series(0, 27::bigint) k (c) LEFT JOIN w USING (c) GROUP BY k.c)
    SELECT atom, agg.c::bigint, agg.said FROM agg;
  END LOOP;
END $$;

-- What the engine says, for the same customers.
CREATE FUNCTION t.engine(p jsonb, horizon timestamptz DEFAULT NULL) RETURNS bytea LANGUAGE sql STABLE
RETURN (SELECT cdp_internal.segment_pass(customer, at, kind, origin, campaign, source, value, properties, id, p, horizon) FROM t.ev);
CREATE FUNCTION t.answers(result bytea) RETURNS TABLE (atom int, customer bigint, truth boolean) LANGUAGE sql STABLE AS $$
  WITH seen AS MATERIALIZED (SELECT cdp_internal.segment_pass_seen(result) AS s)
  SELECT e.atom, c, CASE WHEN NOT cdp.roaring_has(s, c) THEN e.unseen WHEN cdp.roaring_has(e.customers, c) THEN true
    WHEN cdp.roaring_has(e.unknown, c) THEN NULL ELSE false END
  FROM seen, cdp_internal.segment_pass_events(result) e, generate_series(0, 27::bigint) c
$$;

-- Random plans.
CREATE FUNCTION t.random_window(as_of bigint) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE u bigint := 600000000; d bigint := floor(sqrt(random()) * 200) * u; e bigint := floor(random() * random() * 100) * u;
BEGIN
  RETURN CASE t.pick('last', 'last', 'between', 'all', 'before', 'fixed', 'since')
    WHEN 'last' THEN jsonb_build_object('from', as_of - d, 'slide_from', d, 'to', as_of, 'slide_to', 0)
    WHEN 'between' THEN jsonb_build_object('from', as_of - d, 'slide_from', d, 'to', as_of - e, 'slide_to', e)
    WHEN 'all' THEN jsonb_build_object('to', as_of, 'slide_to', 0)
    WHEN 'before' THEN jsonb_build_object('to', as_of - e, 'slide_to', e)
    WHEN 'fixed' THEN jsonb_build_object('from', as_of - d, 'to', as_of - e)
    ELSE jsonb_build_object('from', as_of - d, 'to', as_of, 'slide_to', 0) END;
END $$;
CREATE FUNCTION t.random_of(n int) RETURNS jsonb LANGUAGE sql VOLATILE
RETURN (SELECT jsonb_agg(CASE WHEN random() < 0.7 THEN jsonb_build_object('kind', k::int) ELSE jsonb_build_object('kind', k::int, 'if', floor(random() * n)::int) END)
  FROM (SELECT t.pick('1', '2', '40000') AS k FROM generate_series(1, 1 + floor(random() * 2)::int)) x);
CREATE FUNCTION t.random_test() RETURNS jsonb LANGUAGE sql VOLATILE
RETURN (SELECT x FROM unnest(ARRAY['{"op": "exists"}', '{"op": "eq", "value": 2}', '{"op": "lt", "value": 4}', '{"op": "gte", "value": 0.0000001}', '{"op": "gt", "value": 2}',
    '{"op": "lte", "value": 0.00000005}', '{"op": "in", "values": [-3, 1e20, 2]}', '{"op": "between", "values": [1, 2]}', '{"op": "eq", "value": "ab"}', '{"op": "in", "values": ["a", "", "2"]}',
    '{"op": "prefix", "value": "a long"}', '{"op": "suffix", "value": "b"}', '{"op": "contains", "value": "but"}', '{"op": "gt", "value": "a"}', '{"op": "between", "values": ["a", "ab"]}',
    '{"op": "eq", "value": true}', '{"op": "in", "values": [true, false]}', '{"op": "has", "value": 2.0}', '{"op": "has", "value": "a"}']::jsonb[]) x ORDER BY random() LIMIT 1);
CREATE FUNCTION t.random_step(n int, first boolean) RETURNS jsonb LANGUAGE sql VOLATILE
RETURN jsonb_build_object('of', t.random_of(n)) || CASE WHEN first THEN '{}' ELSE
  CASE WHEN random() < 0.6 THEN jsonb_build_object('within', (1 + floor(random() * 60)) * 600000000) ELSE '{}' END ||
  CASE WHEN random() < 0.3 THEN t.pick('{"same": ["p"]}', '{"same": ["n"]}', '{"same": ["w"]}', '{"same": ["p", "n"]}')::jsonb ELSE '{}' END END;
CREATE FUNCTION t.random_atom(as_of bigint, n int, op text) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE a jsonb := jsonb_build_object('op', op); steps jsonb;
BEGIN
  IF op = 'seq' THEN
    SELECT jsonb_agg(t.random_step(n, i = 1)) INTO steps FROM generate_series(1, 2 + floor(random() * 3)::int) i;
    IF random() < 0.35 THEN
      steps := steps || (t.random_step(n, false) || jsonb_build_object('within', (1 + floor(random() * 60)) * 600000000, 'absent', true));
    END IF;
    RETURN a || jsonb_build_object('window', t.random_window(as_of), 'steps', steps, 'ties', t.pick('strict', 'order'))
      || CASE WHEN random() < 0.4 THEN jsonb_build_object('total', (1 + floor(random() * 100)) * 600000000) ELSE '{}' END
      || CASE WHEN random() < 0.4 THEN jsonb_build_object('breaks', t.random_of(n)) ELSE '{}' END;
  END IF;
  IF op = 'pair' THEN -- two steps that only times bound: the engine has a short way for them
    RETURN jsonb_build_object('op', 'seq', 'window', t.random_window(as_of), 'steps', jsonb_build_array(t.random_step(n, true), t.random_step(n, false) - 'same'))
      || CASE WHEN random() < 0.4 THEN jsonb_build_object('total', (1 + floor(random() * 60)) * 600000000) ELSE '{}' END;
  END IF;
  a := a || jsonb_build_object('of', t.random_of(n));
  IF op = 'periods' THEN
    RETURN a || jsonb_build_object('cmp', 'gte', 'value', 1 + floor(random() * 3), 'bounds',
      (SELECT jsonb_agg(x ORDER BY x) FROM (SELECT DISTINCT as_of - floor(random() * 200)::bigint * 600000000 AS x FROM generate_series(1, 6)) b));
  END IF;
  a := a || jsonb_build_object('window', t.random_window(as_of));
  IF op = 'gap' THEN RETURN a || jsonb_build_object('gap', (1 + floor(random() * 30)) * 600000000); END IF;
  IF op = 'days' THEN a := a || jsonb_build_object('tz', t.pick('Asia/Shanghai', 'Europe/Berlin', 'America/St_Johns')); END IF;
  IF op IN ('count', 'days', 'distinct') THEN a := a || jsonb_build_object('cmp', 'gte', 'value', 1 + floor(random() * 3)); END IF;
  IF op NOT IN ('count', 'days') THEN a := a || t.pick('{"prop": "n"}', '{"prop": "w"}', '{"field": "value"}')::jsonb; END IF;
  IF op IN ('sum', 'avg', 'min', 'max') THEN
    a := a || jsonb_build_object('cmp', t.pick('eq', 'lt', 'lte', 'gt', 'gte'), 'value', t.pick('0', '2', '5', '0.0000001', '1e20', '10.5', '1.5')::numeric);
  ELSIF op IN ('first', 'last') THEN
    LOOP
      steps := t.random_test();
      EXIT WHEN steps->>'op' NOT IN ('exists', 'has', 'between');
    END LOOP;
    a := a || (steps - 'op') || jsonb_build_object('cmp', steps->'op');
  END IF;
  RETURN a;
END $$;
CREATE FUNCTION t.random_plan(as_of bigint, ops text[], natoms int) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE c jsonb := '[{"everything": true}]'; e jsonb := '[]'; one jsonb;
BEGIN
  FOR i IN 1..10 LOOP
    one := CASE t.pick('prop', 'prop', 'prop', 'value', 'origins', 'sources', 'all', 'any', 'not', 'nothing')
      WHEN 'prop' THEN jsonb_build_object('prop', t.pick('n', 'w', 'p', 'absent')) || t.random_test() || CASE WHEN random() < 0.2 THEN '{"complement": true}' ELSE '{}' END::jsonb
      WHEN 'value' THEN '{"field": "value"}' || t.pick('{"op": "gte", "value": 10}', '{"op": "exists"}', '{"op": "between", "values": [-5, 0.5]}', '{"op": "in", "values": [0.1234567, 12345678901234]}')::jsonb
      WHEN 'origins' THEN '{"origins": [12, 11], "campaigns": [6]}' WHEN 'sources' THEN '{"sources": [3, 1]}'
      WHEN 'all' THEN jsonb_build_object('all', (SELECT jsonb_agg(floor(random() * i)::int) FROM generate_series(1, 2)))
      WHEN 'any' THEN jsonb_build_object('any', (SELECT jsonb_agg(floor(random() * i)::int) FROM generate_series(1, 2)))
      WHEN 'not' THEN jsonb_build_object('not', floor(random() * i)::int) ELSE '{"nothing": true}' END;
    c := c || one;
  END LOOP;
  FOR i IN 1..natoms LOOP
    one := t.random_atom(as_of, 11, ops[1 + floor(random() * cardinality(ops))::int]);
    e := e || one;
    -- Neighbours that differ in their threshold only.
    IF one->>'op' IN ('count', 'days', 'periods', 'distinct') AND random() < 0.3 THEN e := e || (one || '{"value": 2}'); END IF;
  END LOOP;
  RETURN jsonb_build_object('v', 1, 'as_of', as_of, 'tz', 'Asia/Shanghai', 'kinds', '[1, 2, 40000]'::jsonb, 'conditions', c, 'events', e);
END $$;

-- A plan at another moment: windows that move have moved.
CREATE FUNCTION t.shift(p jsonb, as_of bigint) RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN p || jsonb_build_object('as_of', as_of, 'events', (SELECT jsonb_agg(CASE WHEN a ? 'window' THEN jsonb_set(a, '{window}', a->'window'
    || CASE WHEN a->'window' ? 'slide_from' THEN jsonb_build_object('from', as_of - (a->'window'->>'slide_from')::bigint) ELSE '{}' END
    || CASE WHEN a->'window' ? 'slide_to' THEN jsonb_build_object('to', as_of - (a->'window'->>'slide_to')::bigint) ELSE '{}' END) ELSE a END ORDER BY i)
  FROM jsonb_array_elements(p->'events') WITH ORDINALITY x (a, i)));
