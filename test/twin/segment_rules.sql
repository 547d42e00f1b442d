-- Random segment rules over a catalogue of their own: \ir ../twin/segment_rules.sql, then setseed(), then
-- twin.segment_rule(nonsense). Every construct of the language comes up. With nonsense > 0 names that nobody knows, constants of
-- other types, hostile strings and windows that mean nothing come in with that chance; with 0 each rule checks without an error.
\set QUIET on
CREATE SCHEMA IF NOT EXISTS twin;

CREATE FUNCTION twin.segment_catalog() RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT '{
  "timezone": "Asia/Shanghai", "purpose": null, "self": null, "purposes": ["marketing", "analytics"],
  "attributes": {"country": {"type": "text", "column": "country"}, "city": {"type": "text", "column": "city"},
    "age": {"type": "integer", "column": "age"}, "ltv": {"type": "numeric", "column": "ltv"},
    "member": {"type": "boolean", "column": "member"}, "birthday": {"type": "date", "column": "birthday"},
    "signed_up": {"type": "timestamp", "column": "signed_up"}, "tags": {"type": "list", "column": "tags"},
    "plan": {"type": "text", "json": "attributes"}, "score": {"type": "numeric", "json": "attributes"},
    "trial": {"type": "boolean", "json": "attributes"}, "renewal": {"type": "date", "json": "personal_attributes"},
    "seen": {"type": "timestamp", "json": "personal_attributes"}, "hobbies": {"type": "list", "json": "personal_attributes"},
    "visits": {"type": "integer", "json": "personal_attributes"}, "raw": {"type": "json", "json": "attributes"}},
  "kinds": {"view": {"id": 1, "seen": true}, "cart add": {"id": 2, "seen": true}, "order": {"id": 3, "seen": true},
    "refund": {"id": 4, "seen": true}, "visit": {"id": 5, "seen": true}, "rare": {"id": 6, "seen": false}},
  "channels": {"email": [1, 2], "search": [3], "social": [4, 5]},
  "channel_groups": {"paid": [3, 4], "owned": [1, 2, 5]},
  "campaigns": {"spring": {"origins": [1], "ids": [11]}, "618": {"origins": [], "ids": [12, 13]}},
  "sources": {"shop": 1, "app": 2},
  "segments": {"vip": {"id": 1, "uses": []}, "lapsed": {"id": 2, "uses": ["vip"]}},
  "lists": {"press 2025": {"id": 1}, "staff": {"id": 2}},
  "traits": {"rfm_r": {"id": 1}, "clv": {"id": 2}},
  "ranks": {},
  "holdouts": {"global": {"id": 1, "arms": ["control", "treated"]}}}'::jsonb $$;

CREATE FUNCTION twin.pick(VARIADIC a anyarray) RETURNS anyelement LANGUAGE sql VOLATILE AS
  'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION twin.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql VOLATILE AS
  'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION twin.upto(most integer) RETURNS integer LANGUAGE sql VOLATILE AS 'SELECT floor(random() * (most + 1))::integer';
CREATE FUNCTION twin.odd() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT twin.pick('', ' ', 'and', 'Not', 'list', 'value', 'Channel', 'a b', '微信', 'x"y', 'O''Brien', E'a\nb', E'\\', '''; DROP TABLE x; --',
    '"', '''''', '%', '->', '(', '。', '（', '😀', 'días', '1', '.a', 'a.b', 'a-b', '$1', repeat('n', 70), 'order', 'total', 'within', 'last', E'\t', '30 days', '{"a":1}') $$;

CREATE FUNCTION twin.name(nonsense float8, VARIADIC names text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN random() < nonsense THEN twin.odd() ELSE twin.pick(VARIADIC names) END $$;

-- While the setting twin.narrow is on, data and durations lie on whole hours within a day, so that edges are met all the time.
CREATE FUNCTION twin.narrow() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT coalesce(current_setting('twin.narrow', true), 'off') = 'on' $$;

-- A duration, fixed or also of the calendar, at least some days long.
CREATE FUNCTION twin.span(nonsense float8, fixed boolean) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  n integer := 1 + twin.upto(CASE WHEN random() < 0.3 THEN 60 ELSE 9 END);
  unit text := CASE WHEN fixed OR random() < 0.7 THEN twin.pick('second', 'minute', 'hour', 'hour', 'day', 'day', 'day', 'day', 'week')
                    ELSE twin.pick('month', 'month', 'year') END;
BEGIN
  IF random() < nonsense THEN
    RETURN twin.pick('0 days', '-3 days', '1000000 years', '5', 'days', '1 fortnight', '2 days 3 hours', '1.5 hours', '007 days', twin.odd());
  END IF;
  IF twin.narrow() THEN RETURN twin.pick('1 hour', '2 hours', '3 hours', '5 hours', '60 minutes'); END IF;
  IF unit = 'second' THEN n := n * 1000; END IF;
  RETURN n || ' ' || unit || CASE WHEN n = 1 THEN '' ELSE 's' END;
END $$;

CREATE FUNCTION twin.moment() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT to_char(timestamp '2024-01-01' + random() * interval '400 days', twin.pick('YYYY-MM-DD', 'YYYY-MM-DD', 'YYYY-MM-DD"T"HH24:MI:SS', 'YYYY-MM-DD"T"HH24:MI:SS"Z"', 'YYYY-MM-DD"T"HH24:MI:SS+08:00')) $$;

CREATE FUNCTION twin.junk() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT twin.pick('null'::jsonb, 'true', 'false', '0', '-1', '1e30', '1.50', '123456789012345678901234567890.5', to_jsonb(twin.odd())) $$;

-- A constant of a type.
CREATE FUNCTION twin.const(nonsense float8, type text) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF random() < nonsense THEN RETURN twin.junk(); END IF;
  RETURN CASE type
    WHEN 'boolean' THEN to_jsonb(random() < 0.5)
    WHEN 'integer' THEN to_jsonb(twin.upto(12) - 1)
    WHEN 'numeric' THEN to_jsonb(CASE WHEN random() < 0.5 THEN twin.upto(10)::numeric ELSE round((random() * 12)::numeric, 1) END)
    WHEN 'date' THEN to_jsonb(to_char(date '2024-01-01' + twin.upto(400), 'YYYY-MM-DD'))
    WHEN 'timestamp' THEN to_jsonb(twin.moment())
    ELSE to_jsonb(twin.pick('CN', 'US', 'cn', '', 'a', 'ab', 'b', '微信')) END;
END $$;

CREATE FUNCTION twin.consts(nonsense float8, type text, fewest integer DEFAULT 1) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(jsonb_agg(twin.const(nonsense, type)), '[]') FROM generate_series(1, fewest + twin.upto(2) - CASE WHEN random() < nonsense THEN 1 ELSE 0 END) $$;

-- Two constants in order, as a sensible pair is.
CREATE FUNCTION twin.pair(nonsense float8, type text) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  a jsonb := twin.const(nonsense, type);
  b jsonb := twin.const(nonsense, type);
BEGIN
  IF random() < nonsense THEN RETURN jsonb_build_array(a, b); END IF;
  IF type = 'timestamp' THEN -- forms differ, so their texts say nothing of their order
    RETURN jsonb_build_array(to_char(timestamp '2024-01-01' + random() * interval '200 days', 'YYYY-MM-DD"T"HH24:MI:SS'),
                             to_char(timestamp '2024-08-01' + random() * interval '200 days', 'YYYY-MM-DD"T"HH24:MI:SS'));
  END IF;
  IF jsonb_typeof(a) = 'string' AND jsonb_typeof(b) = 'string' AND (a #>> '{}') COLLATE "C" > (b #>> '{}') COLLATE "C" OR jsonb_typeof(a) = 'number' AND a > b
    THEN RETURN jsonb_build_array(b, a); END IF;
  RETURN jsonb_build_array(a, b);
END $$;

-- A comparison that fits a type: text, integer, numeric, boolean, date, timestamp, list, json.
CREATE FUNCTION twin.test(nonsense float8, type text, times boolean DEFAULT true) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  op text;
BEGIN
  IF random() < nonsense THEN type := twin.pick('text', 'integer', 'numeric', 'boolean', 'date', 'timestamp', 'list', 'json'); END IF;
  op := CASE type
    WHEN 'json' THEN 'exists'
    WHEN 'list' THEN twin.pick('has', 'has_any', 'has_all', 'exists')
    WHEN 'boolean' THEN twin.pick('eq', 'neq', 'exists')
    WHEN 'text' THEN twin.pick('eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'in', 'not_in', 'between', 'not_between', 'exists', 'prefix', 'suffix', 'contains', 'not_contains')
    WHEN 'date' THEN twin.pick('eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'in', 'not_in', 'between', 'not_between', 'exists', 'last', 'next', 'before_last', 'anniversary_next', 'last', 'next', 'before_last', 'anniversary_next')
    WHEN 'timestamp' THEN twin.pick('eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'in', 'not_in', 'between', 'not_between', 'exists', 'last', 'next', 'before_last', 'anniversary_next')
    ELSE twin.pick('eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'in', 'not_in', 'between', 'not_between', 'exists') END;
  IF op IN ('last', 'next', 'before_last', 'anniversary_next') AND NOT times THEN op := 'gte'; END IF;
  RETURN jsonb_build_object(op, CASE
    WHEN op = 'exists' THEN to_jsonb(random() < 0.5)
    WHEN op IN ('in', 'not_in', 'has_any', 'has_all') THEN twin.consts(nonsense, type)
    WHEN op IN ('between', 'not_between') THEN twin.pair(nonsense, type)
    WHEN op IN ('last', 'next', 'before_last') THEN to_jsonb(CASE WHEN type = 'date' AND random() >= nonsense THEN twin.pick('1 day', '30 days', '2 weeks', '1 month', '7 months', '1 year') ELSE twin.span(nonsense, false) END)
    WHEN op = 'anniversary_next' THEN to_jsonb(CASE WHEN random() < nonsense THEN twin.span(1, true) ELSE (1 + twin.upto(60)) || ' days' END)
    ELSE twin.const(nonsense, type) END);
END $$;

CREATE FUNCTION twin.compare(nonsense float8, type text, between_ok boolean DEFAULT false) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  op text := CASE WHEN between_ok AND random() < 0.15 THEN 'between' ELSE twin.pick('eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'gte', 'gte') END;
  a integer := twin.upto(4);
BEGIN
  RETURN jsonb_build_object(op, CASE WHEN op = 'between' THEN CASE WHEN type = 'count' THEN jsonb_build_array(a, a + twin.upto(3)) ELSE twin.pair(nonsense, type) END
    WHEN random() < nonsense THEN twin.junk() WHEN type = 'count' THEN to_jsonb(a) ELSE twin.const(nonsense, type) END);
END $$;

CREATE FUNCTION twin.kinds(nonsense float8) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  names text[] := ARRAY['view', 'cart add', 'order', 'refund', 'visit'];
BEGIN
  IF random() < 0.75 THEN
    RETURN to_jsonb(twin.name(nonsense, VARIADIC CASE WHEN random() < 0.03 THEN ARRAY['rare'] ELSE names END));
  END IF;
  IF random() < nonsense THEN RETURN twin.pick('[]'::jsonb, '["order"]', '["order", "order"]', '["", "a"]'); END IF;
  -- two or three of them in their order, as the canonical form has them
  RETURN (SELECT jsonb_agg(n ORDER BY n COLLATE "C") FROM (SELECT n FROM unnest(names) n ORDER BY random() LIMIT 2 + twin.upto(1)) x);
END $$;

-- A condition on events.
CREATE FUNCTION twin.condition(nonsense float8, depth integer DEFAULT 0) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  r float8 := random();
  field text;
BEGIN
  IF r < 0.25 AND depth < 3 THEN
    RETURN jsonb_build_object(twin.pick('all', 'any'), (SELECT jsonb_agg(twin.condition(nonsense, depth + 1)) FROM generate_series(1, 2 + twin.upto(1))));
  ELSIF r < 0.33 AND depth < 3 THEN
    RETURN jsonb_build_object('not', twin.condition(nonsense, depth + 1));
  ELSIF r < 0.35 THEN
    RETURN jsonb_build_object(twin.pick('all', 'any'), CASE WHEN random() < nonsense THEN '[]' ELSE jsonb_build_array(twin.condition(nonsense, 3)) END);
  ELSIF r < 0.55 THEN
    field := twin.pick('channel', 'channel_group', 'campaign', 'source', 'value');
    RETURN jsonb_build_object('field', field) || CASE
      WHEN field = 'value' THEN twin.test(nonsense, 'numeric', false)
      WHEN random() < 0.2 THEN jsonb_build_object('exists', random() < 0.5)
      ELSE (SELECT CASE WHEN random() < 0.5 THEN jsonb_build_object(twin.pick('eq', 'neq'), twin.name(nonsense, VARIADIC names))
                   ELSE jsonb_build_object(twin.pick('in', 'not_in'), jsonb_build_array(twin.name(nonsense, VARIADIC names), twin.name(nonsense, VARIADIC names))) END
              FROM (SELECT CASE field WHEN 'channel' THEN ARRAY['email', 'search', 'social'] WHEN 'channel_group' THEN ARRAY['paid', 'owned']
                           WHEN 'campaign' THEN ARRAY['spring', '618'] ELSE ARRAY['shop', 'app'] END AS names) n) END;
  END IF;
  field := twin.pick('amount', 'product_id', 'coupon', 'gift', 'mixed');
  RETURN jsonb_build_object('prop', twin.name(nonsense, field)) ||
    twin.test(nonsense, CASE field WHEN 'amount' THEN 'numeric' WHEN 'product_id' THEN 'integer' WHEN 'gift' THEN 'boolean'
                                   WHEN 'coupon' THEN 'text' ELSE twin.pick('text', 'numeric', 'boolean', 'list') END, false);
END $$;

CREATE FUNCTION twin.maybe_where(nonsense float8, chance float8) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN random() < chance THEN jsonb_build_object('where', twin.condition(nonsense)) ELSE '{}' END $$;

-- A window, or none.
CREATE FUNCTION twin.segment_window(nonsense float8) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  r float8 := random();
  a integer;
BEGIN
  IF r < 0.45 THEN RETURN jsonb_build_object('last', twin.span(nonsense, false));
  ELSIF r < 0.6 THEN
    IF random() < nonsense THEN RETURN jsonb_build_object('between', jsonb_build_array(twin.span(0.5, false), twin.span(0.5, false))); END IF;
    a := 1 + twin.upto(40);
    RETURN jsonb_build_object('between', twin.pick(
      jsonb_build_array(a + 1 + twin.upto(90) || ' days', a || CASE WHEN a = 1 THEN ' day' ELSE ' days' END),
      jsonb_build_array(24 * a + 1 + twin.upto(99) || ' hours', a || CASE WHEN a = 1 THEN ' day' ELSE ' days' END),
      jsonb_build_array(a % 5 + 2 + twin.upto(5) || ' months', a % 5 + 1 || CASE WHEN a % 5 = 0 THEN ' month' ELSE ' months' END)));
  ELSIF r < 0.7 THEN RETURN jsonb_build_object('this', twin.name(nonsense, 'day', 'week', 'month', 'quarter', 'year'));
  ELSIF r < 0.8 THEN RETURN jsonb_build_object('previous', twin.name(nonsense, 'day', 'week', 'month', 'quarter', 'year'));
  ELSIF r < 0.84 THEN RETURN jsonb_build_object('since', twin.moment());
  ELSIF r < 0.87 THEN RETURN jsonb_build_object('until', twin.moment());
  ELSIF r < 0.9 THEN RETURN jsonb_build_object('since', to_char(date '2024-01-01' + twin.upto(200), 'YYYY-MM-DD'), 'until', to_char(date '2024-08-01' + twin.upto(200), 'YYYY-MM-DD'));
  END IF;
  RETURN '{}';
END $$;

CREATE FUNCTION twin.event_atom(nonsense float8) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  agg text := twin.pick('did', 'did', 'count', 'count', 'count', 'days', 'sum', 'sum', 'avg', 'min', 'max', 'distinct', 'first_value', 'last_value');
  base jsonb := jsonb_build_object('did', twin.kinds(nonsense)) || twin.maybe_where(nonsense, 0.4);
  test jsonb := '{}';
  operand jsonb;
BEGIN
  IF agg IN ('count', 'days') THEN
    RETURN base || twin.segment_window(nonsense) || jsonb_build_object(agg, twin.compare(nonsense, 'count', true));
  ELSIF agg IN ('sum', 'avg', 'min', 'max') THEN
    operand := CASE WHEN random() < 0.3 THEN '{"field": "value"}'::jsonb ELSE to_jsonb(twin.name(nonsense, 'amount', 'mixed', 'product_id')) END;
    test := twin.compare(nonsense, 'numeric');
  ELSIF agg = 'distinct' THEN
    operand := to_jsonb(twin.name(nonsense, 'product_id', 'coupon', 'mixed', 'amount'));
    test := twin.compare(nonsense, 'count');
  ELSIF agg IN ('first_value', 'last_value') THEN
    operand := to_jsonb(twin.name(nonsense, 'coupon', 'mixed'));
    test := twin.test(nonsense, twin.pick('text', 'text', 'numeric', 'boolean'), false);
    IF test ?| ARRAY['between', 'not_between', 'exists', 'has', 'has_any', 'has_all'] THEN test := '{"gte": "a"}'; END IF;
  ELSE
    RETURN base || twin.segment_window(nonsense);
  END IF;
  RETURN base || jsonb_build_object(agg, operand) || test || twin.segment_window(nonsense);
END $$;

CREATE FUNCTION twin.behaviour(nonsense float8) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  n integer := 1 + twin.upto(7);
  kinds jsonb := twin.kinds(nonsense);
BEGIN
  RETURN twin.maybe_where(nonsense, 0.3) || CASE twin.upto(3)
    WHEN 0 THEN jsonb_build_object('first_time', kinds, 'last', twin.span(nonsense, false))
    WHEN 1 THEN jsonb_build_object('regularly', kinds, 'at_least', CASE WHEN random() < nonsense THEN 1e20 ELSE 1 + twin.upto(n - 1) END, 'of', n, 'unit', twin.name(nonsense, 'day', 'week', 'month'))
    WHEN 2 THEN jsonb_build_object('stopped', kinds, 'between', CASE WHEN random() < nonsense THEN '["1 day", "3 days"]' ELSE twin.pick(
                  jsonb_build_array(30 + n || ' days', n + 1 || ' days'), jsonb_build_array('6 months', '2 months')) END)
    ELSE jsonb_build_object('resumed', kinds, 'after', twin.span(nonsense, true), 'last', twin.span(nonsense, false)) END;
END $$;

CREATE FUNCTION twin.sequence(nonsense float8) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  n integer := 2 + twin.upto(twin.pick(0, 0, 1, 2));
  steps jsonb := '[]';
  step jsonb;
  node jsonb;
BEGIN
  FOR i IN 1 .. n LOOP
    IF i = n AND random() < 0.3 THEN step := jsonb_build_object('absent', twin.kinds(nonsense), 'within', twin.span(nonsense, true));
    ELSE
      step := jsonb_build_object('did', twin.kinds(nonsense));
      IF i > 1 AND random() < 0.7 THEN step := step || jsonb_build_object('within', twin.span(nonsense, true)); END IF;
    END IF;
    IF i > 1 AND random() < 0.35 THEN
      step := step || jsonb_build_object('same', CASE WHEN random() < nonsense THEN twin.pick('[]'::jsonb, '["a", "a"]', '["within", "x y"]')
                                                      ELSE twin.pick('["product_id"]'::jsonb, '["coupon"]', '["mixed"]', '["coupon", "product_id"]') END);
    END IF;
    steps := steps || jsonb_build_array(step || twin.maybe_where(nonsense, 0.25));
  END LOOP;
  node := jsonb_build_object('seq', steps) || twin.segment_window(nonsense);
  IF random() < 0.3 THEN node := node || jsonb_build_object('total', twin.span(nonsense, true)); END IF;
  IF random() < 0.3 THEN
    step := jsonb_build_object('did', twin.kinds(nonsense)) || twin.maybe_where(nonsense, 0.3);
    node := node || jsonb_build_object('not_between', CASE WHEN random() < 0.7 THEN step
      ELSE jsonb_build_array(step, jsonb_build_object('did', twin.kinds(nonsense))) END);
  END IF;
  IF random() < 0.3 THEN node := node || jsonb_build_object('ties', twin.name(nonsense, 'order')); END IF;
  RETURN node;
END $$;

CREATE FUNCTION twin.attribute_atom(nonsense float8) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  name text;
  type text;
BEGIN
  SELECT key, value->>'type' INTO name, type FROM jsonb_each(twin.segment_catalog()->'attributes') ORDER BY random() LIMIT 1;
  RETURN jsonb_build_object('attr', twin.name(nonsense, name)) || twin.test(nonsense, type);
END $$;

CREATE FUNCTION twin.other_atom(nonsense float8, segments boolean) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN CASE twin.upto(CASE WHEN segments THEN 5 ELSE 4 END)
    WHEN 0 THEN jsonb_build_object('list', twin.name(nonsense, 'press 2025', 'staff'))
    WHEN 1 THEN jsonb_build_object('trait', twin.name(nonsense, 'rfm_r', 'clv')) ||
      CASE WHEN random() < 0.2 THEN jsonb_build_object('exists', random() < 0.5) ELSE twin.compare(nonsense, 'numeric', true) END
    WHEN 2 THEN jsonb_build_object('rank', twin.pick('{"trait": "clv"}'::jsonb, '{"attr": "ltv"}', '{"attr": "score"}'), twin.pick('top', 'bottom'),
      CASE WHEN random() < nonsense THEN twin.pick('"110%"'::jsonb, '"x"', '-3', '1.5', '"1.5.2%"', '"."', '"%"') ELSE twin.pick('"10%"'::jsonb, '"2.5%"', '"100%"', '5', '100') END)
    WHEN 3 THEN jsonb_build_object('consent', twin.name(nonsense, 'marketing', 'analytics')) ||
      CASE WHEN random() < 0.5 THEN jsonb_build_object('channel', twin.name(nonsense, 'email', 'sms')) ELSE '{}' END
    WHEN 4 THEN jsonb_build_object('holdout', twin.name(nonsense, 'global')) ||
      CASE WHEN random() < 0.5 THEN jsonb_build_object('arm', twin.name(nonsense, 'control', 'treated')) ELSE '{}' END
    ELSE jsonb_build_object('segment', twin.name(nonsense, 'vip', 'lapsed')) END;
END $$;

CREATE FUNCTION twin.rule_node(nonsense float8, depth integer, segments boolean DEFAULT true) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  r float8 := random();
BEGIN
  IF depth > 0 THEN
    IF r < 0.5 THEN
      RETURN jsonb_build_object(twin.pick('all', 'any'), (SELECT jsonb_agg(twin.rule_node(nonsense, depth - 1, segments)) FROM generate_series(1, 2 + twin.upto(2))));
    ELSIF r < 0.65 THEN RETURN jsonb_build_object('not', twin.rule_node(nonsense, depth - 1, segments));
    ELSIF r < 0.68 THEN RETURN jsonb_build_object(twin.pick('all', 'any'), CASE WHEN random() < 0.5 THEN '[]' ELSE jsonb_build_array(twin.rule_node(nonsense, depth - 1, segments)) END);
    END IF;
  END IF;
  r := random();
  RETURN CASE WHEN r < 0.3 THEN twin.attribute_atom(nonsense) WHEN r < 0.6 THEN twin.event_atom(nonsense) WHEN r < 0.72 THEN twin.behaviour(nonsense)
    WHEN r < 0.87 THEN twin.sequence(nonsense) ELSE twin.other_atom(nonsense, segments) END;
END $$;

-- A whole rule; zone and nulls differ from the defaults now and then.
CREATE FUNCTION twin.segment_rule(nonsense float8 DEFAULT 0, segments boolean DEFAULT true) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN jsonb_build_object('v', 1, 'where', twin.rule_node(nonsense, twin.pick(0, 0, 1, 1, 2, 3), segments))
    || CASE WHEN random() < 0.3 THEN jsonb_build_object('tz', twin.name(nonsense, 'UTC', 'America/New_York', 'Europe/Berlin', 'Australia/Lord_Howe')) ELSE '{}' END
    || CASE WHEN random() < 0.3 THEN jsonb_build_object('nulls', twin.name(nonsense, 'sql')) ELSE '{}' END;
END $$;
