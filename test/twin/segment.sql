-- The plain-SQL twin of segments: \ir ../twin/segment.sql. From a canonical rule it writes one slow and obvious query over simple
-- tables, a subquery an atom, straight from the definitions of docs/segments.md. It knows nothing of plans, passes or bitmaps.
--   twin.segment_sql(rule, catalog, as_of, others)   the query of the customers; others: {"name": rule} of referenced segments
--   twin.segment_members(...)                        its answer, sorted
\set QUIET on
CREATE SCHEMA IF NOT EXISTS twin;
CREATE TABLE twin.customer (customer_id bigint PRIMARY KEY);
CREATE TABLE twin.profile (customer_id bigint PRIMARY KEY, country text, city text, age integer, ltv numeric, member boolean,
  birthday date, signed_up timestamptz, tags text[], attributes jsonb, personal_attributes jsonb);
-- The names of channel, group, campaign and source stand beside the numbers that the engine gets.
CREATE TABLE twin.event (id bigint PRIMARY KEY, customer_id bigint, at timestamptz, kind text, channel text, channel_group text, campaign text,
  source text, value numeric, properties jsonb, kind_id integer, origin_id bigint, campaign_id bigint, source_id integer);
CREATE INDEX ON twin.event (customer_id);
CREATE TABLE twin.list_member (list text, customer_id bigint);
CREATE TABLE twin.trait_value (trait text, customer_id bigint, value numeric);
CREATE TABLE twin.consented (purpose text, channel text, customer_id bigint); -- channel '': none was asked for
CREATE TABLE twin.holdout_member (holdout text, arm text, customer_id bigint);

-- What a rule's SQL is written with: zone, moment, null mode, names.
CREATE TYPE twin.context AS (tz text, as_of timestamptz, sql_nulls boolean, catalog jsonb, others jsonb);

-- A condition that is never unknown where sets are meant; negated: its opposite.
CREATE FUNCTION twin.truth(c twin.context, negated boolean, sql text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN negated THEN 'NOT ' ELSE '' END || CASE WHEN (c).sql_nulls THEN '(' || sql || ')' ELSE 'coalesce(' || sql || ', false)' END $$;

CREATE FUNCTION twin.moment_of(tz text, t text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN t ~ '([zZ]|[T ].*[+-][0-9:]+)$' THEN t::timestamptz ELSE t::timestamp AT TIME ZONE tz END $$;
CREATE FUNCTION twin.is_calendar(span text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT span ~ 'month|year' $$;
-- The moment a duration before (or, with sign 1, after) as_of: exact for fixed ones, the local midnight of that day for calendar ones.
CREATE FUNCTION twin.shifted(c twin.context, span text, sign integer) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN twin.is_calendar(span) THEN ((((c).as_of AT TIME ZONE (c).tz)::date + sign * span::interval)::date)::timestamp AT TIME ZONE (c).tz
    ELSE (c).as_of + sign * make_interval(secs => extract(epoch FROM span::interval)) END $$;

-- [from, to) of a window; NULL from: all the past.
CREATE FUNCTION twin.bounds(c twin.context, atom jsonb, OUT lo timestamptz, OUT hi timestamptz) LANGUAGE plpgsql STABLE AS $$
DECLARE
  unit text := coalesce(atom->>'this', atom->>'previous');
  start timestamp := date_trunc(unit, (c).as_of AT TIME ZONE (c).tz);
BEGIN
  hi := (c).as_of;
  IF atom ? 'between' THEN
    lo := twin.shifted(c, atom->'between'->>0, -1);
    IF atom->'between'->>1 !~ '^0 ' THEN hi := twin.shifted(c, atom->'between'->>1, -1); END IF;
  ELSIF atom ? 'last' THEN lo := twin.shifted(c, atom->>'last', -1);
  ELSIF atom ? 'this' THEN lo := start AT TIME ZONE (c).tz;
  ELSIF atom ? 'previous' THEN
    hi := start AT TIME ZONE (c).tz;
    lo := (start - CASE unit WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || unit)::interval END) AT TIME ZONE (c).tz;
  ELSE
    lo := twin.moment_of((c).tz, atom->>'since');
    hi := least(hi, twin.moment_of((c).tz, atom->>'until'));
  END IF;
END $$;

-- A JSON constant as SQL.
CREATE FUNCTION twin.literal(v jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE jsonb_typeof(v) WHEN 'string' THEN '(' || quote_literal(v #>> '{}') || '::text COLLATE "C")' ELSE quote_literal(v #>> '{}') || CASE jsonb_typeof(v) WHEN 'number' THEN '::numeric' ELSE '::boolean' END END $$;

-- A comparison of an SQL value that is NULL when missing; constants come as SQL. Negative ones are opposites.
CREATE FUNCTION twin.compare_sql(c twin.context, value text, op text, k text[], is_list boolean DEFAULT false) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE op
    WHEN 'exists' THEN format('(%s IS NOT NULL) = %s', value, k[1])
    ELSE twin.truth(c, op IN ('neq', 'not_in', 'not_between', 'not_contains'), CASE op
      WHEN 'eq' THEN format('%s = %s', value, k[1]) WHEN 'neq' THEN format('%s = %s', value, k[1])
      WHEN 'lt' THEN format('%s < %s', value, k[1]) WHEN 'lte' THEN format('%s <= %s', value, k[1])
      WHEN 'gt' THEN format('%s > %s', value, k[1]) WHEN 'gte' THEN format('%s >= %s', value, k[1])
      WHEN 'in' THEN format('%s IN (%s)', value, array_to_string(k, ', ')) WHEN 'not_in' THEN format('%s IN (%s)', value, array_to_string(k, ', '))
      WHEN 'between' THEN format('%s BETWEEN %s AND %s', value, k[1], k[2]) WHEN 'not_between' THEN format('%s BETWEEN %s AND %s', value, k[1], k[2])
      WHEN 'prefix' THEN format('starts_with(%s, %s)', value, k[1])
      WHEN 'suffix' THEN format('right(%s, length(%s)) = %2$s', value, k[1])
      WHEN 'contains' THEN format('strpos(%s, %s) > 0', value, k[1]) WHEN 'not_contains' THEN format('strpos(%s, %s) > 0', value, k[1])
      WHEN 'has' THEN format('%s @> ARRAY[%s]', value, k[1])
      WHEN 'has_any' THEN format('%s && ARRAY[%s]', value, array_to_string(k, ', '))
      WHEN 'has_all' THEN format('%s @> ARRAY[%s]', value, array_to_string(k, ', ')) END) END $$;

-- The one comparison of an object: its operator, and its constants as a JSON array.
CREATE FUNCTION twin.test_of(o jsonb, OUT op text, OUT k jsonb) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  SELECT w INTO op FROM unnest(ARRAY['eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'in', 'not_in', 'not_between', 'exists', 'prefix', 'suffix', 'contains', 'not_contains',
    'has', 'has_any', 'has_all', 'before_last', 'anniversary_next', 'next', 'last', 'between']) WITH ORDINALITY AS x(w, n) WHERE o ? w ORDER BY n LIMIT 1;
  k := CASE WHEN jsonb_typeof(o->op) = 'array' THEN o->op ELSE jsonb_build_array(o->op) END;
END $$;
CREATE FUNCTION twin.literals(k jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$ SELECT ARRAY(SELECT twin.literal(v) FROM jsonb_array_elements(k) WITH ORDINALITY AS e(v, n) ORDER BY n) $$;

-- {"attr": ...}: a column of p, or a key of one of its JSON columns that has the type's form.
CREATE FUNCTION twin.attribute_sql(c twin.context, o jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  a jsonb := (c).catalog->'attributes'->(o->>'attr');
  type text := a->>'type';
  j text := format('p.%I->%L', coalesce(a->>'json', ''), coalesce(a->>'key', o->>'attr'));
  value text;
  t record := twin.test_of(o);
  k text[];
  today date := ((c).as_of AT TIME ZONE (c).tz)::date;
  lo text; hi text;
BEGIN
  value := CASE
    WHEN a ? 'column' THEN format('p.%I', a->>'column')
    WHEN type = 'json' THEN format('nullif(%s, ''null'')', j)
    WHEN type = 'list' THEN format('CASE WHEN jsonb_typeof(%s) = ''array'' THEN ARRAY(SELECT jsonb_array_elements_text(%1$s)) END', j)
    WHEN type IN ('integer', 'numeric') THEN format('CASE WHEN jsonb_typeof(%s) = ''number'' THEN (%1$s)::numeric END', j)
    WHEN type = 'boolean' THEN format('CASE WHEN jsonb_typeof(%s) = ''boolean'' THEN (%1$s)::boolean END', j)
    ELSE format('CASE WHEN jsonb_typeof(%s) = ''string'' THEN (%1$s #>> ''{}'')::%2$s END', j, CASE type WHEN 'timestamp' THEN 'timestamptz' ELSE type END) END;
  value := '(' || value || ')';
  IF type IN ('text') THEN value := value || ' COLLATE "C"'; END IF;
  IF t.op = 'anniversary_next' THEN
    value := CASE WHEN type = 'date' THEN value ELSE format('(%s AT TIME ZONE %L)::date', value, (c).tz) END;
    -- on some day of the stretch the month and day are those of the date; 29 February has its day on 1 March of other years
    RETURN twin.truth(c, false, format('CASE WHEN %1$s IS NOT NULL THEN EXISTS (SELECT FROM generate_series(%2$L::timestamp, %3$L::timestamp - interval ''1 day'', ''1 day'') AS d(d)
      WHERE to_char(d.d, ''MMDD'') = to_char(%1$s, ''MMDD'') OR (to_char(%1$s, ''MMDD'') = ''0229'' AND to_char(d.d, ''MMDD'') = ''0301'' AND to_char(d.d - interval ''1 day'', ''MMDD'') = ''0228'')) END',
      value, today, (today + (t.k->>0)::interval)::date));
  ELSIF t.op IN ('last', 'next', 'before_last') THEN
    IF type = 'date' THEN
      lo := format('%L::date', (today - (t.k->>0)::interval)::date);
      hi := format('%L::date', CASE t.op WHEN 'next' THEN (today + (t.k->>0)::interval)::date ELSE today END);
      IF t.op = 'next' THEN lo := format('%L::date', today); END IF;
    ELSE
      lo := format('%L::timestamptz', twin.shifted(c, t.k->>0, -1));
      hi := format('%L::timestamptz', CASE t.op WHEN 'next' THEN twin.shifted(c, t.k->>0, 1) ELSE (c).as_of END);
      IF t.op = 'next' THEN lo := format('%L::timestamptz', (c).as_of); END IF;
    END IF;
    RETURN twin.truth(c, false, CASE t.op WHEN 'before_last' THEN format('%s < %s', value, lo) ELSE format('%1$s >= %2$s AND %1$s < %3$s', value, lo, hi) END);
  END IF;
  k := twin.literals(t.k);
  IF type = 'date' AND t.op <> 'exists' THEN k := ARRAY(SELECT format('%L::date', v) FROM jsonb_array_elements_text(t.k) v);
  ELSIF type = 'timestamp' AND t.op <> 'exists' THEN k := ARRAY(SELECT format('%L::timestamptz', twin.moment_of((c).tz, v)) FROM jsonb_array_elements_text(t.k) WITH ORDINALITY AS e(v, n) ORDER BY n);
  END IF;
  RETURN twin.compare_sql(c, value, t.op, k);
END $$;

-- A comparison of a JSON value: what is of another type than the constants, or null, is missing.
CREATE FUNCTION twin.json_test(c twin.context, j text, o jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  t record := twin.test_of(o);
  wanted text := jsonb_typeof(t.k->0);
BEGIN
  IF t.op = 'exists' THEN RETURN format('coalesce(jsonb_typeof(%s) <> ''null'', false) = %s', j, t.k->>0); END IF;
  IF t.op IN ('has', 'has_any', 'has_all') THEN
    RETURN twin.truth(c, false, (SELECT string_agg(format('CASE WHEN jsonb_typeof(%1$s) = ''array'' THEN %1$s @> %2$L::jsonb END', j, jsonb_build_array(v)), CASE t.op WHEN 'has_any' THEN ' OR ' ELSE ' AND ' END)
      FROM jsonb_array_elements(t.k) v));
  END IF;
  RETURN twin.compare_sql(c, format('(CASE WHEN jsonb_typeof(%s) = %L THEN (%1$s #>> ''{}'')%3$s END)', j, wanted,
    CASE wanted WHEN 'number' THEN '::numeric' WHEN 'boolean' THEN '::boolean' ELSE '' END) || CASE wanted WHEN 'string' THEN ' COLLATE "C"' ELSE '' END, t.op, twin.literals(t.k));
END $$;

-- A condition on the event of an alias.
CREATE FUNCTION twin.condition_sql(c twin.context, e text, o jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  t record;
BEGIN
  IF o IS NULL THEN RETURN 'true'; END IF;
  IF o ? 'all' THEN RETURN coalesce((SELECT '(' || string_agg(twin.condition_sql(c, e, v), ' AND ') || ')' FROM jsonb_array_elements(o->'all') v), 'true'); END IF;
  IF o ? 'any' THEN RETURN coalesce((SELECT '(' || string_agg(twin.condition_sql(c, e, v), ' OR ') || ')' FROM jsonb_array_elements(o->'any') v), 'false'); END IF;
  IF o ? 'not' THEN RETURN 'NOT (' || twin.condition_sql(c, e, o->'not') || ')'; END IF;
  IF o ? 'prop' THEN RETURN twin.json_test(c, format('(%s.properties->%L)', e, o->>'prop'), o); END IF;
  t := twin.test_of(o);
  RETURN twin.compare_sql(c, format('%s.%I', e, o->>'field') || CASE WHEN o->>'field' = 'value' THEN '' ELSE ' COLLATE "C"' END, t.op, twin.literals(t.k));
END $$;

-- The event of an alias is one of c's of these kinds that meets the condition, and before as_of.
CREATE FUNCTION twin.event_sql(c twin.context, e text, kinds jsonb, cond jsonb) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT format('%1$s.customer_id = c.customer_id AND %1$s.at < %2$L AND %1$s.kind IN (%3$s) AND %4$s', e, (c).as_of,
    (SELECT string_agg(quote_literal(k), ', ') FROM jsonb_array_elements_text(CASE jsonb_typeof(kinds) WHEN 'array' THEN kinds ELSE jsonb_build_array(kinds) END) k),
    twin.condition_sql(c, e, cond)) $$;
CREATE FUNCTION twin.within_sql(e text, lo timestamptz, hi timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN lo IS NULL THEN '' ELSE format(' AND %s.at >= %L', e, lo) END || format(' AND %s.at < %L', e, hi) $$;

-- {"did": ...} with its aggregate.
CREATE FUNCTION twin.did_sql(c twin.context, o jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  w record := twin.bounds(c, o);
  source text := ' FROM twin.event e WHERE ' || twin.event_sql(c, 'e', o->'did', o->'where') || twin.within_sql('e', w.lo, w.hi);
  agg text := (SELECT a FROM unnest(ARRAY['count', 'days', 'sum', 'avg', 'min', 'max', 'distinct', 'first_value', 'last_value']) a WHERE o ? a);
  t record := twin.test_of(CASE WHEN agg IN ('count', 'days') THEN o->agg ELSE o - 'last' - 'between' END);
  v text := CASE WHEN jsonb_typeof(o->agg) = 'object' THEN 'e.value' ELSE format('(e.properties->%L)', o->>agg) END;
  scalar text := format('jsonb_typeof(%s) IN (''string'', ''number'', ''boolean'')', v);
  k text[] := twin.literals(t.k);
BEGIN
  IF agg IS NULL THEN RETURN 'EXISTS (SELECT' || source || ')'; END IF;
  IF agg = 'count' THEN RETURN twin.compare_sql(c, '(SELECT count(*)' || source || ')', t.op, k); END IF;
  IF agg = 'days' THEN RETURN twin.compare_sql(c, format('(SELECT count(DISTINCT (e.at AT TIME ZONE %L)::date)', (c).tz) || source || ')', t.op, k); END IF;
  IF agg = 'distinct' THEN RETURN twin.compare_sql(c, '(SELECT count(DISTINCT ' || v || ')' || source || ' AND ' || CASE WHEN v = 'e.value' THEN 'true' ELSE scalar END || ')', t.op, k); END IF;
  IF agg IN ('first_value', 'last_value') THEN
    IF v = 'e.value' THEN v := 'to_jsonb(e.value)'; scalar := 'e.value IS NOT NULL'; END IF;
    RETURN twin.json_test(c, format('(SELECT %s%s AND %s ORDER BY e.at%s, e.id%4$s LIMIT 1)', v, source, scalar, CASE agg WHEN 'last_value' THEN ' DESC' ELSE '' END), o - 'last' - 'between');
  END IF;
  IF v <> 'e.value' THEN v := format('(CASE WHEN jsonb_typeof(%s) = ''number'' THEN (%1$s)::numeric END)', v); END IF;
  IF agg = 'avg' THEN -- compared without dividing
    RETURN twin.compare_sql(c, '(SELECT sum(' || v || ') - ' || k[1] || ' * count(' || v || ')' || source || ')', t.op, ARRAY['0']);
  END IF;
  RETURN twin.compare_sql(c, CASE agg WHEN 'sum' THEN format('(SELECT coalesce(sum(%s), 0)%s)', v, source) ELSE format('(SELECT %s(%s)%s)', agg, v, source) END, t.op, k);
END $$;

-- The named behaviours, from their meaning.
CREATE FUNCTION twin.behaviour_sql(c twin.context, o jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  key text := (SELECT a FROM unnest(ARRAY['first_time', 'regularly', 'stopped', 'resumed']) a WHERE o ? a);
  e text := ' FROM twin.event e WHERE ' || twin.event_sql(c, 'e', o->key, o->'where');
  w record := twin.bounds(c, o);
  unit text := o->>'unit';
  this timestamp := date_trunc(unit, (c).as_of AT TIME ZONE (c).tz);
BEGIN
  CASE key
    WHEN 'first_time' THEN -- the first event of all lies in the window
      RETURN format('coalesce((SELECT min(e.at)%s) >= %L, false)', e, w.lo);
    WHEN 'regularly' THEN -- in so many of the periods from -1 to -n there is one
      RETURN format('(SELECT count(*) FROM generate_series(1, %s) AS g(n) WHERE EXISTS (SELECT%s AND e.at >= (%L::timestamp - g.n * interval ''1 %s'') AT TIME ZONE %L AND e.at < (%3$L::timestamp - (g.n - 1) * interval ''1 %4$s'') AT TIME ZONE %5$L)) >= %6$s',
        o->>'of', e, this, unit, (c).tz, o->>'at_least');
    WHEN 'stopped' THEN -- the newest event of all that are old enough lies in the window, and none is younger
      RETURN format('coalesce((SELECT max(e.at)%s) >= %L AND (SELECT max(e.at)%1$s) < %3$L, false)', e, w.lo, w.hi);
    ELSE -- an event of the window whose latest one before it is so old
      RETURN format('EXISTS (SELECT%s%s AND e.at - (SELECT max(x.at) FROM twin.event x WHERE %s AND x.at < e.at) >= make_interval(secs => %s))', e, twin.within_sql('e', w.lo, w.hi),
        twin.event_sql(c, 'x', o->key, o->'where'), extract(epoch FROM (o->>'after')::interval));
  END CASE;
END $$;

CREATE FUNCTION twin.seconds(span text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT format('make_interval(secs => %s)', extract(epoch FROM span::interval)) $$;
-- b comes after a in the sequence's order.
CREATE FUNCTION twin.after_sql(o jsonb, a text, b text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN o->>'ties' = 'order' THEN format('(%s.at, %1$s.id) < (%s.at, %2$s.id)', a, b) ELSE format('%s.at < %s.at', a, b) END $$;

-- A sequence: one alias a step, joined; what is absent or may not come between as NOT EXISTS.
CREATE FUNCTION twin.sequence_sql(c twin.context, o jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  n integer := jsonb_array_length(o->'seq');
  present integer := n - CASE WHEN o->'seq'->-1 ? 'absent' THEN 1 ELSE 0 END;
  w record := twin.bounds(c, o);
  step jsonb;
  cond text;
  text text := twin.event_sql(c, 'e1', o->'seq'->0->'did', o->'seq'->0->'where') || twin.within_sql('e1', w.lo, w.hi);
BEGIN
  FOR i IN 2 .. n LOOP
    step := o->'seq'->(i - 1);
    cond := twin.event_sql(c, 'e' || i, coalesce(step->'did', step->'absent'), step->'where') || ' AND ' || twin.after_sql(o, 'e' || i - 1, 'e' || i)
      || CASE WHEN step ? 'within' THEN format(' AND e%s.at <= e%s.at + %s', i, i - 1, twin.seconds(step->>'within')) ELSE '' END
      || coalesce((SELECT string_agg(format(' AND jsonb_typeof(e%1$s.properties->%2$L) IN (''string'', ''number'', ''boolean'') AND e%1$s.properties->%2$L = e%3$s.properties->%2$L', i, key, i - 1), '')
                   FROM jsonb_array_elements_text(step->'same') key), '');
    IF step ? 'absent' THEN -- the time for it has run out, and it did not come
      text := text || format(' AND e%s.at + %s <= %L AND NOT EXISTS (SELECT FROM twin.event e%s WHERE %s)', i - 1, twin.seconds(step->>'within'), (c).as_of, i, cond);
    ELSE
      text := text || ' AND ' || cond || coalesce((SELECT string_agg(format(' AND NOT EXISTS (SELECT FROM twin.event b WHERE %s AND %s AND %s)',
          twin.event_sql(c, 'b', b->'did', b->'where'), twin.after_sql(o, 'e' || i - 1, 'b'), twin.after_sql(o, 'b', 'e' || i)), '')
        FROM jsonb_array_elements(CASE jsonb_typeof(o->'not_between') WHEN 'array' THEN o->'not_between' ELSE jsonb_build_array(o->'not_between') END) b WHERE o ? 'not_between'), '');
    END IF;
  END LOOP;
  IF o ? 'total' THEN text := text || format(' AND e%s.at <= e1.at + %s', present, twin.seconds(o->>'total')); END IF;
  RETURN format('EXISTS (SELECT FROM %s WHERE %s)', (SELECT string_agg('twin.event e' || i, ', ') FROM generate_series(1, present) i), text);
END $$;

-- {"rank": ...}: fewer than so many who have a value are better, so that ties are in.
CREATE FUNCTION twin.rank_sql(c twin.context, o jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  of_trait boolean := o->'rank' ? 'trait';
  name text := coalesce(o->'rank'->>'trait', o->'rank'->>'attr');
  amount text := coalesce(o->>'top', o->>'bottom');
  a jsonb := (c).catalog->'attributes'->name;
  value text := CASE WHEN of_trait THEN 't.value' WHEN a ? 'column' THEN format('t.%I', a->>'column') ELSE format('(CASE WHEN jsonb_typeof(t.%I->%L) = ''number'' THEN (t.%1$I->%2$L)::numeric END)', a->>'json', name) END;
  source text := CASE WHEN of_trait THEN format('twin.trait_value t WHERE t.trait = %L AND ', name) ELSE 'twin.profile t WHERE ' END;
  mine text := format('(SELECT %s FROM %s t.customer_id = c.customer_id)', value, source);
BEGIN
  RETURN format('CASE WHEN %1$s IS NOT NULL THEN (SELECT count(*) FROM %2$s %3$s %4$s %1$s) < %5$s END', mine, source, value, CASE WHEN o ? 'top' THEN '>' ELSE '<' END,
    CASE WHEN amount LIKE '%\%' THEN format('(SELECT ceil(%s * count(*) / 100) FROM %s %s IS NOT NULL)', left(amount, -1), source, value) ELSE amount END);
END $$;

-- A node of a rule as a condition on c and p.
CREATE FUNCTION twin.node_sql(c twin.context, o jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  t record;
  other jsonb;
BEGIN
  IF o ? 'all' THEN RETURN coalesce((SELECT '(' || string_agg(twin.node_sql(c, v), ' AND ') || ')' FROM jsonb_array_elements(o->'all') v), 'true'); END IF;
  IF o ? 'any' THEN RETURN coalesce((SELECT '(' || string_agg(twin.node_sql(c, v), ' OR ') || ')' FROM jsonb_array_elements(o->'any') v), 'false'); END IF;
  IF o ? 'not' THEN RETURN 'NOT (' || twin.node_sql(c, o->'not') || ')'; END IF;
  IF o ? 'attr' THEN RETURN twin.attribute_sql(c, o); END IF;
  IF o ? 'did' THEN RETURN twin.did_sql(c, o); END IF;
  IF o ? 'seq' THEN RETURN twin.sequence_sql(c, o); END IF;
  IF o ?| ARRAY['first_time', 'regularly', 'stopped', 'resumed'] THEN RETURN twin.behaviour_sql(c, o); END IF;
  IF o ? 'rank' THEN RETURN CASE WHEN o->'rank' ? 'trait' THEN 'coalesce(' || twin.rank_sql(c, o) || ', false)' ELSE twin.truth(c, false, twin.rank_sql(c, o)) END; END IF;
  -- what follows is always true or false
  IF o ? 'list' THEN RETURN format('EXISTS (SELECT FROM twin.list_member m WHERE m.list = %L AND m.customer_id = c.customer_id)', o->>'list'); END IF;
  IF o ? 'consent' THEN RETURN format('EXISTS (SELECT FROM twin.consented m WHERE m.purpose = %L AND m.channel = %L AND m.customer_id = c.customer_id)', o->>'consent', coalesce(o->>'channel', '')); END IF;
  IF o ? 'holdout' THEN RETURN format('EXISTS (SELECT FROM twin.holdout_member m WHERE m.holdout = %L AND m.arm = %L AND m.customer_id = c.customer_id)', o->>'holdout', coalesce(o->>'arm', 'control')); END IF;
  IF o ? 'trait' THEN
    t := twin.test_of(o);
    c.sql_nulls := false;
    RETURN twin.compare_sql(c, format('(SELECT m.value FROM twin.trait_value m WHERE m.trait = %L AND m.customer_id = c.customer_id)', o->>'trait'), t.op, twin.literals(t.k));
  END IF;
  other := (c).others->(o->>'segment');
  RETURN 'coalesce(' || twin.node_sql((coalesce(other->>'tz', (c).catalog->>'timezone'), (c).as_of, other->>'nulls' = 'sql', (c).catalog, (c).others)::twin.context, other->'where') || ', false)';
END $$;

CREATE FUNCTION twin.segment_sql(rule jsonb, catalog jsonb, as_of timestamptz, others jsonb DEFAULT '{}') RETURNS text LANGUAGE sql STABLE AS $$
  SELECT 'SELECT c.customer_id FROM twin.customer c LEFT JOIN twin.profile p USING (customer_id) WHERE '
    || twin.node_sql((coalesce(rule->>'tz', catalog->>'timezone'), as_of, coalesce(rule->>'nulls' = 'sql', false), catalog, others)::twin.context, rule->'where') $$;
CREATE FUNCTION twin.segment_members(rule jsonb, catalog jsonb, as_of timestamptz, others jsonb DEFAULT '{}') RETURNS bigint[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  members bigint[];
BEGIN
  EXECUTE 'SELECT coalesce(array_agg(x.customer_id ORDER BY x.customer_id), ''{}'') FROM (' || twin.segment_sql(rule, catalog, as_of, others) || ') x' INTO members;
  RETURN members;
END $$;
