-- Random rules through the engine and the twin: \ir ../twin/segment_check.sql after setseed() and set_config('twin.batches', ...). Each
-- batch makes new data, sends 102 rules through one plan, and asks the engine for what logic says of all, any and not. Leaves the
-- answers in pg_temp.answer and pg_temp.law, and what is wrong in the views pg_temp.difference and pg_temp.broken_law.
\ir segment_rules.sql
\ir segment.sql
\ir segment_data.sql
CREATE TEMP TABLE answer (batch integer, id integer, rule jsonb, as_of timestamptz, members bigint[], twin bigint[]);
CREATE TEMP TABLE law (batch integer, name text, holds boolean, rule jsonb);

DO $$
DECLARE
  moments timestamptz[] := ARRAY['2024-06-15 12:00 Asia/Shanghai', '2024-03-31 03:30 Europe/Berlin', '2024-11-03 01:30 America/New_York', '2024-03-01 00:00 Asia/Shanghai', '2024-02-29 23:59:59.999999 UTC',
    '2025-03-01 10:00 Asia/Shanghai', '2024-04-07 02:15 Australia/Lord_Howe', '2024-12-30 00:00 UTC', '2024-07-01 00:00 Asia/Shanghai', '2024-10-27 02:30 Europe/Berlin'];
  catalog jsonb := twin.segment_catalog();
  as_of timestamptz;
  rules jsonb;
  others jsonb;
  vip jsonb;
  lapsed jsonb;
  a jsonb; b jsonb;
  got jsonb;
BEGIN
  FOR batch IN 1 .. current_setting('twin.batches')::integer LOOP
    as_of := moments[1 + batch % cardinality(moments)];
    PERFORM set_config('twin.narrow', CASE WHEN batch % 2 = 0 THEN 'on' ELSE 'off' END, true);
    PERFORM twin.segment_data(as_of, 40, CASE batch % 4 WHEN 0 THEN 150 ELSE 400 END);
    ANALYZE twin.event;
    vip := twin.segment_rule(0, false);
    lapsed := jsonb_build_object('v', 1, 'where', jsonb_build_object('all', jsonb_build_array('{"segment": "vip"}'::jsonb, twin.rule_node(0, 0, false))));
    others := jsonb_build_object('vip', vip, 'lapsed', lapsed);
    rules := jsonb_build_array(jsonb_build_object('id', 1, 'name', 'vip', 'rule', vip), jsonb_build_object('id', 2, 'name', 'lapsed', 'rule', lapsed))
      || (SELECT jsonb_agg(jsonb_build_object('id', n, 'name', 'r' || n, 'rule', cdp_internal.rule_canonical(twin.segment_rule()))) FROM generate_series(11, 110) n);
    INSERT INTO answer SELECT batch, e.id, r->'rule', as_of, e.members, twin.segment_members(r->'rule', catalog, as_of, others)
      FROM twin.engine(rules, catalog, as_of) e JOIN jsonb_array_elements(rules) r ON (r->>'id')::integer = e.id;

    -- laws, on two random nodes under one set of options
    a := twin.rule_node(0, 2); b := twin.rule_node(0, 1);
    rules := (SELECT jsonb_agg(x) FROM jsonb_array_elements(rules) x WHERE (x->>'id')::integer <= 2) || (SELECT jsonb_agg(jsonb_build_object('id', n, 'name', 'l' || n, 'rule',
        jsonb_build_object('v', 1, 'where', w) || CASE WHEN batch % 3 = 0 THEN '{"nulls": "sql"}'::jsonb ELSE '{}' END || CASE WHEN batch % 4 = 0 THEN '{"tz": "America/New_York"}'::jsonb ELSE '{}' END))
      FROM (VALUES (11, a), (12, jsonb_build_object('not', jsonb_build_object('not', a))), (13, jsonb_build_object('all', jsonb_build_array(a, a))), (14, jsonb_build_object('any', jsonb_build_array(a, a))),
        (15, jsonb_build_object('not', a)), (16, jsonb_build_object('all', jsonb_build_array(a, b))), (17, jsonb_build_object('all', jsonb_build_array(b, a))),
        (18, jsonb_build_object('any', jsonb_build_array(a, b))), (19, jsonb_build_object('any', jsonb_build_array(b, a))),
        (20, jsonb_build_object('not', jsonb_build_object('all', jsonb_build_array(a, b)))), (21, jsonb_build_object('any', jsonb_build_array(jsonb_build_object('not', a), jsonb_build_object('not', b)))),
        (22, jsonb_build_object('not', jsonb_build_object('any', jsonb_build_array(a, b)))), (23, jsonb_build_object('all', jsonb_build_array(jsonb_build_object('not', a), jsonb_build_object('not', b)))),
        (24, jsonb_build_object('any', jsonb_build_array(a, jsonb_build_object('all', jsonb_build_array(a, b))))), (25, jsonb_build_object('all', jsonb_build_array(a, '{"all": []}'::jsonb))),
        (26, jsonb_build_object('any', jsonb_build_array(a, '{"any": []}'::jsonb)))) v(n, w));
    SELECT jsonb_object_agg(e.id, to_jsonb(e.members)) INTO got FROM twin.engine(rules, catalog, as_of) e;
    INSERT INTO law SELECT batch, name, holds, jsonb_build_array(a, b) FROM (VALUES
      ('double negation', got->'11' = got->'12'), ('idempotence', got->'11' = got->'13' AND got->'11' = got->'14'), ('commutativity', got->'16' = got->'17' AND got->'18' = got->'19'),
      ('De Morgan', got->'20' = got->'21' AND got->'22' = got->'23'), ('absorption', got->'11' = got->'24'), ('identity', got->'11' = got->'25' AND got->'11' = got->'26'),
      ('complement', (SELECT count(*) FROM jsonb_array_elements(got->'11') x WHERE got->'15' @> x) = 0
        AND (batch % 3 = 0 OR jsonb_array_length(got->'11') + jsonb_array_length(got->'15') = (SELECT count(*) FROM twin.customer)))) l(name, holds);
  END LOOP;
END $$;

-- Days of the year about the end of February, and the runs of absence that end just then, or a microsecond later.
CREATE TEMP TABLE edge AS SELECT *, NULL::bigint[] AS members, NULL::bigint[] AS twin FROM (
  SELECT row_number() OVER (PARTITION BY m) AS id, m::timestamptz AS as_of, cdp.segment_rule(t || o) AS rule
  FROM unnest(ARRAY['2024-02-28 12:00+08', '2024-02-29 12:00+08', '2024-03-01 12:00+08', '2025-02-27 12:00+08', '2025-02-28 12:00+08', '2025-03-01 12:00+08', '2025-03-02 12:00+08', '2025-12-31 12:00+08']) m,
    unnest(ARRAY['birthday anniversary in next 1 day', 'birthday anniversary in next 2 days', 'birthday anniversary in next 70 days', 'signed_up anniversary in next 3 days', 'birthday anniversary in next 366 days',
      'seq(view -> no visit within 1 hour)', 'seq(view -> no visit within 1 hour same product_id)', 'seq(view -> visit within 2 hours; total 2 hours)', 'seq(view -> visit within 2 hours same product_id -> order within 1 hour; total 2 hours)',
      'seq(view -> visit -> order; total 3 hours)', 'seq(view -> visit -> order same product_id; total 3 hours; without refund)', 'resumed(view after 2 hours last 5 hours)']) t,
    unnest(ARRAY['', '; nulls sql']) o) x;
DO $$
DECLARE
  m timestamptz;
BEGIN
  PERFORM set_config('twin.narrow', 'on', true);
  FOR m IN SELECT DISTINCT as_of FROM edge ORDER BY 1 LOOP
    PERFORM twin.segment_data(m, 40, 150);
    UPDATE edge SET members = e.members, twin = twin.segment_members(rule, twin.segment_catalog(), m) FROM twin.engine((SELECT jsonb_agg(jsonb_build_object('id', id, 'name', id::text, 'rule', rule)) FROM edge WHERE as_of = m), twin.segment_catalog(), m) e
      WHERE edge.as_of = m AND edge.id = e.id;
  END LOOP;
  INSERT INTO answer SELECT 0, id, rule, as_of, members, twin FROM edge;
END $$;

CREATE TEMP VIEW difference AS
SELECT format(E'batch %s rule %s as of %s\n  %s\n  only the engine: %s; only the twin: %s', batch, id, as_of, cdp.segment_rule_text(rule),
    ARRAY(SELECT unnest(members) EXCEPT SELECT unnest(twin)), ARRAY(SELECT unnest(twin) EXCEPT SELECT unnest(members))) AS told
FROM answer WHERE members IS DISTINCT FROM twin ORDER BY length(rule::text);
CREATE TEMP VIEW broken_law AS SELECT format('%s: %s', name, rule) AS told FROM law WHERE holds IS NOT TRUE;
