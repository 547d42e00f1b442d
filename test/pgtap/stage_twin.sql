-- Stages equal a twin in plpgsql and SQL on random rows and options; known walks; hostile input.
BEGIN;
SELECT plan(35);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off;
CREATE SCHEMA t;
\i :top/test/pgtap/journey_pass.inc
SELECT setseed(0.2718) \g /dev/null
CREATE TABLE t.event AS
SELECT CASE WHEN random() < 0.9 THEN i END AS id, CASE WHEN random() < 0.02 THEN NULL ELSE (1 + floor(random() * 50))::int END AS customer,
  CASE WHEN random() < 0.02 THEN (ARRAY[NULL, 'infinity', '-infinity'])[1 + floor(random() * 3)]::timestamptz ELSE timestamptz '2026-03-01' + make_interval(mins => 30 * floor(random() * 60)::int) END AS at,
  (ARRAY['a', 'b', 'c', 'd', 'e', 'out', 'x', NULL])[1 + floor(random() * 8)] AS label
FROM generate_series(1, 600) i;

-- Every stay of every customer, row by row.
CREATE TABLE t.stay (customer int, journey timestamptz, stage int, since timestamptz, until timestamptz, ended text, went int, engagements int, last timestamptz);
CREATE FUNCTION t.walk(o jsonb, by_id boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  n int := jsonb_array_length(o -> 'stages');
  r record; who int; stage int; journey timestamptz; since timestamptz; last timestamptz; engaged int; seen int[]; next int; k int;
BEGIN
  DELETE FROM t.stay;
  FOR r IN
    SELECT e.customer, e.at, e.label, e.label IS NULL AS final FROM (
      SELECT customer, at, label, id FROM t.event WHERE isfinite(at) AND customer IS NOT NULL AND label IS NOT NULL AND at < (o ->> 'as_of')::timestamptz
      UNION ALL SELECT DISTINCT customer, NULL::timestamptz, NULL, NULL::int FROM t.event WHERE customer IS NOT NULL) e
    ORDER BY e.customer, e.at NULLS LAST, CASE WHEN by_id THEN coalesce(e.id, 1000000) END,
      coalesce((SELECT min(s.ordinality) FROM jsonb_array_elements(o -> 'stages') WITH ORDINALITY s WHERE s.value -> 'enter' ? e.label), CASE WHEN o -> 'exits' ? e.label THEN 100 ELSE 99 END), e.label COLLATE "C"
  LOOP
    IF who IS DISTINCT FROM r.customer THEN
      who := r.customer; stage := 0; seen := array_fill(0, ARRAY[n]);
    END IF;
    IF r.final THEN
      IF stage > 0 THEN
        INSERT INTO t.stay VALUES (who, journey, stage, since, NULL,
          CASE WHEN o ->> 'idle' <> 'unbounded' AND (o ->> 'as_of')::timestamptz - last > (o ->> 'idle')::interval THEN 'dropped' ELSE 'staying' END, NULL, engaged, last);
      END IF;
      CONTINUE;
    END IF;
    IF o -> 'exits' ? r.label THEN
      IF stage > 0 THEN
        INSERT INTO t.stay VALUES (who, journey, stage, since, r.at, 'exit', NULL, engaged, r.at);
      END IF;
      stage := 0; seen := array_fill(0, ARRAY[n]);
      CONTINUE;
    END IF;
    CONTINUE WHEN NOT EXISTS (SELECT FROM jsonb_array_elements(o -> 'stages') s WHERE (s -> 'enter') || (s -> 'engage') ? r.label);
    last := r.at;
    FOR k IN 1 .. n LOOP
      IF o -> 'stages' -> (k - 1) -> 'enter' ? r.label THEN seen[k] := seen[k] + 1; END IF;
    END LOOP;
    next := (SELECT min(i) FROM generate_series(stage + 1, n) i WHERE o -> 'stages' -> (i - 1) -> 'enter' ? r.label AND seen[i] >= (o -> 'stages' -> (i - 1) ->> 'count')::int AND ((o ->> 'skip')::bool OR i = stage + 1));
    IF next IS NULL AND (o ->> 'back')::bool AND stage > 0 AND NOT o -> 'stages' -> (stage - 1) -> 'enter' ? r.label THEN
      next := (SELECT max(i) FROM generate_series(1, stage - 1) i WHERE o -> 'stages' -> (i - 1) -> 'enter' ? r.label AND seen[i] >= (o -> 'stages' -> (i - 1) ->> 'count')::int);
    END IF;
    IF next IS NOT NULL THEN
      IF stage > 0 THEN
        INSERT INTO t.stay VALUES (who, journey, stage, since, r.at, CASE WHEN next > stage THEN 'on' ELSE 'back' END, next, engaged, r.at);
      ELSE
        journey := r.at;
      END IF;
      stage := next; since := r.at; engaged := 0;
    ELSIF stage > 0 AND o -> 'stages' -> (stage - 1) -> 'engage' ? r.label THEN
      engaged := engaged + 1;
    END IF;
  END LOOP;
  DELETE FROM t.stay s WHERE s.journey < (o ->> 'since')::timestamptz OR s.journey >= (o ->> 'until')::timestamptz;
END $$;
CREATE FUNCTION t.median(f float8[]) RETURNS interval LANGUAGE sql AS $$ SELECT justify_hours(make_interval(secs => percentile_cont(0.5) WITHIN GROUP (ORDER BY u))) FROM unnest(f) u $$;
CREATE FUNCTION t.stages(o jsonb) RETURNS TABLE (stage int, name text, customers bigint, engaged bigint, converted bigint, engagement numeric, conversion numeric, engagements bigint, stays bigint, went_on bigint, went_back bigint, exited bigint, dropped bigint, staying bigint, median interval) LANGUAGE sql AS $$
  SELECT k.ordinality::int, k.value ->> 'name', count(DISTINCT s.customer), count(DISTINCT s.customer) FILTER (WHERE engagements > 0), count(DISTINCT s.customer) FILTER (WHERE ended = 'on'),
    round(count(DISTINCT s.customer) FILTER (WHERE engagements > 0)::numeric / nullif(count(DISTINCT s.customer), 0), 6), round(count(DISTINCT s.customer) FILTER (WHERE ended = 'on')::numeric / nullif(count(DISTINCT s.customer), 0), 6),
    coalesce(sum(engagements), 0), count(s.customer), count(*) FILTER (WHERE ended = 'on'), count(*) FILTER (WHERE ended = 'back'), count(*) FILTER (WHERE ended = 'exit'), count(*) FILTER (WHERE ended = 'dropped'), count(*) FILTER (WHERE ended = 'staying'),
    t.median(array_agg(extract(epoch FROM s.until - s.since)::float8) FILTER (WHERE s.until IS NOT NULL))
  FROM jsonb_array_elements(o -> 'stages') WITH ORDINALITY k LEFT JOIN t.stay s ON s.stage = k.ordinality GROUP BY 1, 2 $$;
CREATE FUNCTION t.flows(o jsonb) RETURNS TABLE (from_stage int, from_name text, to_stage int, to_name text, back bool, stays bigint, customers bigint, share numeric, median interval) LANGUAGE sql AS $$
  WITH flow AS (
    SELECT stage AS a, went AS b, CASE ended WHEN 'on' THEN NULL WHEN 'back' THEN NULL ELSE '(' || ended || ')' END AS word, customer, extract(epoch FROM until - since)::float8 AS took FROM t.stay
    UNION ALL SELECT NULL, (SELECT f.stage FROM t.stay f WHERE f.customer = s.customer AND f.journey = s.journey AND f.since = s.journey ORDER BY f.until NULLS LAST LIMIT 1), NULL, customer, NULL FROM (SELECT DISTINCT customer, journey FROM t.stay) s)
  SELECT a, CASE WHEN a IS NULL THEN '(outside)' ELSE o -> 'stages' -> (a - 1) ->> 'name' END, b, coalesce(word, o -> 'stages' -> (b - 1) ->> 'name'), coalesce(b < a, false), count(*), count(DISTINCT customer),
    CASE WHEN a IS NOT NULL THEN round(count(*)::numeric / (SELECT count(*) FROM t.stay WHERE stage = a), 6) END, t.median(array_agg(took) FILTER (WHERE took IS NOT NULL))
  FROM flow GROUP BY a, b, word $$;
CREATE FUNCTION t.states(o jsonb) RETURNS TABLE (customer text, stage int, name text, status text, since timestamptz, last_at timestamptz, engagements bigint) LANGUAGE sql AS $$
  SELECT DISTINCT ON (customer) customer::text, stage, o -> 'stages' -> (stage - 1) ->> 'name', CASE ended WHEN 'exit' THEN 'exited' WHEN 'dropped' THEN 'dropped' ELSE 'active' END,
    CASE WHEN ended = 'exit' THEN until ELSE since END, last, engagements FROM t.stay WHERE ended IN ('exit', 'dropped', 'staying') ORDER BY customer, until DESC NULLS FIRST, since DESC $$;

CREATE FUNCTION t.random_options() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz := timestamptz '2026-03-01' + make_interval(hours => floor(random() * 12)::int);
  as_of timestamptz := CASE WHEN random() < 0.7 THEN timestamptz '2026-03-01' + make_interval(hours => 10 + floor(random() * 25)::int) END;
BEGIN
  RETURN cdp.stage_options((SELECT jsonb_agg(jsonb_build_object('name', 'stage ' || k, 'enter', t.pick('["a"]', '["b"]', '["c"]', '["a", "c"]', '["b", "d"]')::jsonb, 'engage', t.pick('["e"]', '["d", "e"]', '[]', '["a"]')::jsonb,
      'count', CASE WHEN random() < 0.7 THEN 1 ELSE 1 + floor(random() * 3)::int END)) FROM generate_series(1, 1 + floor(random() * 4)::int) k),
    skip => random() < 0.6, back => random() < 0.5, exits => t.pick('{out}', '{out,x}', NULL)::text[], idle => CASE WHEN as_of IS NOT NULL THEN t.pick('2 hours', '8 hours', NULL)::interval END, customers => true,
    since => CASE WHEN random() < 0.4 THEN since END, until => CASE WHEN random() < 0.4 THEN since + make_interval(hours => 1 + floor(random() * 12)::int) END, as_of => as_of);
END $$;
CREATE FUNCTION t.differences(rounds int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE o jsonb; p cdp.stage_partial; bad text; d text; by_id bool; n int := 0; found bigint := 0;
BEGIN
  FOR round IN 1 .. rounds LOOP
    o := t.random_options();
    by_id := random() < 0.5;
    IF by_id THEN
      SELECT cdp.stage_pass(e.customer::text, e.at, e.label, o, e.id::bigint) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
    ELSE
      SELECT cdp.stage_pass(e.customer, e.at, e.label, o) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
    END IF;
    PERFORM t.walk(o, by_id);
    SELECT found + count(*) INTO found FROM t.stay;
    d := concat_ws(E'\n', t.apart(format('SELECT stage, name, customers, engaged, converted, engagement, conversion, engagements, stays, went_on, went_back, exited, dropped, staying, median_time FROM cdp.stage_table(%L)', p), format('SELECT * FROM t.stages(%L)', o)),
      t.apart(format('SELECT * FROM cdp.stage_state(%L)', p), format('SELECT * FROM t.states(%L)', o)),
      t.apart(format('SELECT from_stage, from_name, to_stage, to_name, back, stays, customers, share, median_time FROM cdp.stage_flows(%L) WHERE from_stage IS NOT NULL', p), format('SELECT * FROM t.flows(%L) WHERE from_stage IS NOT NULL', o)),
      -- as many begin as leave for good or are still there
      (SELECT 'unbalanced' FROM cdp.stage_flows(p) HAVING sum(stays) FILTER (WHERE from_stage IS NULL) <> sum(stays) FILTER (WHERE to_stage IS NULL)),
      (SELECT 'ends: ' || string_agg(name, ' ') FROM cdp.stage_table(p) WHERE stays <> went_on + went_back + exited + dropped + staying));
    IF d <> '' THEN
      bad := concat_ws(E'\n', bad, o::text, by_id::text, d);
      n := n + 1;
      EXIT WHEN n = 2;
    END IF;
  END LOOP;
  RETURN coalesce(bad, CASE WHEN found < 50 * rounds THEN 'hardly any stay: ' || found END);
END $$;
SELECT is(t.differences(100), NULL, 'a hundred random passes');

-- By hand.
CREATE FUNCTION t.hand(events text, o jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s>%s:%s', from_name, to_name, stays), ' ' ORDER BY coalesce(from_stage, 0), coalesce(to_stage, 99), to_name) FROM (
    SELECT cdp.stage_pass(1, timestamptz '2026-01-01' + make_interval(mins => split_part(e, '@', 2)::int), split_part(e, '@', 1), o) AS p FROM unnest(string_to_array(events, ' ')) e) f, cdp.stage_flows(f.p) $$;
CREATE FUNCTION t.state(events text, o jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT format('%s %s %s %s', name, status, to_char(since AT TIME ZONE 'UTC', 'HH24:MI'), engagements) FROM (
    SELECT cdp.stage_pass(1, timestamptz '2026-01-01' + make_interval(mins => split_part(e, '@', 2)::int), split_part(e, '@', 1), o || '{"customers": true}') AS p FROM unnest(string_to_array(events, ' ')) e) f, cdp.stage_state(f.p) $$;
CREATE FUNCTION t.shop(count int DEFAULT 1, VARIADIC more text[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT cdp.stage_options(jsonb_build_array('{"name": "new", "enter": "visit", "engage": ["read"]}'::jsonb, '{"name": "buyer", "enter": ["buy"], "engage": "read"}'::jsonb, jsonb_build_object('name', 'loyal', 'enter', 'buy', 'count', count + 1)),
    exits => '{bye}', as_of => '2026-01-02Z') || coalesce(jsonb_object(more), '{}') $$;
SELECT is(t.hand('visit@0 read@1 buy@5', t.shop()), '(outside)>new:1 new>buyer:1 buyer>(staying):1', 'on and on');
SELECT is(t.hand('visit@0 buy@5 buy@6 buy@7', t.shop(2)), '(outside)>new:1 new>buyer:1 buyer>loyal:1 loyal>(staying):1', 'the third purchase makes loyal');
SELECT is(t.state('visit@0 buy@5 buy@6', t.shop(2)), 'buyer active 00:05 0', 'the second does not');
SELECT is(t.state('visit@0 buy@5 visit@6', t.shop(2)), 'buyer active 00:05 0', 'nobody goes back by himself');
SELECT is(t.state('visit@0 buy@5 visit@6 read@7 read@8', t.shop(2, 'back', 'true') || '{"back": true}'), 'new active 00:06 2', 'unless he may');
SELECT is(t.hand('buy@5', t.shop()), '(outside)>buyer:1 buyer>(staying):1', 'from outside to a later stage');
SELECT is(t.hand('buy@5', t.shop() || '{"skip": false}'), NULL, 'not when none may be skipped');
SELECT is(t.hand('visit@0 bye@3 visit@9 buy@10 bye@11', t.shop()), '(outside)>new:2 new>buyer:1 new>(exit):1 buyer>(exit):1', 'two journeys');
SELECT is(t.state('visit@0 bye@3', t.shop()), 'new exited 00:03 0', 'left');
SELECT is(t.state('visit@0 read@60', t.shop() || '{"idle": "23 hours"}'), 'new active 00:00 1', 'as long as that is not idle');
SELECT is(t.state('visit@0 read@59', t.shop() || '{"idle": "23 hours"}'), 'new dropped 00:00 1', 'longer is');
SELECT is(t.state('bye@0 buy@0 visit@0 read@0', t.shop()), 'buyer exited 00:00 1', 'at one time: in, on, engaged, out');
SELECT is((SELECT name FROM (SELECT cdp.stage_pass(1, now(), l, '{"stages": [{"name": "i", "enter": ["1"]}, {"name": "ii", "enter": ["2"]}], "customers": true}') AS p FROM generate_series(1, 3) l) f, cdp.stage_state(f.p)), 'ii', 'labels by number');
SELECT throws_ok($$SELECT cdp.stage_pass(1, now(), 1, '{"stages": [{"name": "i", "enter": ["one"]}]}')$$, '22023', NULL, 'words where labels are numbers');

-- Adding, orders, spilling.
CREATE TABLE t.sum AS SELECT cdp.stage_pass(customer, at, label, '{"customers": true, "stages": [{"name": "1", "enter": "a", "engage": "e"}, {"name": "2", "enter": "b"}]}') AS p FROM t.event;
SELECT is(md5(cdp.stage_merge(s.p)::text), md5((SELECT p FROM t.sum)::text), 'shards of customers add to the whole') FROM (
  SELECT cdp.stage_pass(customer, at, label, '{"customers": true, "stages": [{"name": "1", "enter": "a", "engage": "e"}, {"name": "2", "enter": "b"}]}') AS p FROM t.event GROUP BY customer % 5) s;
SELECT throws_ok($$SELECT cdp.stage_merge(p) FROM (SELECT p FROM t.sum UNION ALL TABLE t.sum) s$$, '22023', NULL, 'a customer in two shards is told');
SELECT is(p::text::cdp.stage_partial::text, p::text, 'text in and out') FROM t.sum;
SELECT is((SELECT (customers, stays)::text FROM cdp.stage_summary(p)), (SELECT (count(*), (SELECT sum(stays) FROM cdp.stage_table(p)))::text FROM cdp.stage_state(p)), 'what the pass read') FROM t.sum;
SELECT throws_ok($$SELECT cdp.stage_merge(p) FROM (SELECT p FROM t.sum UNION ALL SELECT cdp.stage_pass(1, now(), 'a', t.shop())) s$$, '22023', NULL, 'other options do not add');
CREATE FUNCTION t.large() RETURNS text LANGUAGE sql AS $$
  SELECT md5(cdp.stage_pass(i % 20011, timestamptz '2026-01-01' + (i * 7919::bigint % 5000) * interval '1 minute', (i * 31::bigint % 7)::text, '{"stages": [{"name": "1", "enter": ["0", "1", "2"]}, {"name": "2", "enter": ["4", "3"], "engage": ["5", "6"]}], "back": true}', i)::text) FROM generate_series(1::bigint, 330000) i $$;
CREATE TABLE t.kept AS SELECT t.large() AS digest;
SET LOCAL cdp.journey_memory = '16MB';
SELECT is(t.large(), digest, 'spilled is as not spilled') FROM t.kept;
RESET cdp.journey_memory;

-- Input that nobody should trust.
SELECT is(t.broken(p, 'cdp.stage_partial', o), NULL, 'cut or changed, it is refused or a value: ' || o) FROM (SELECT cdp.stage_pass(customer, at, label, (SELECT options FROM t.sum, cdp.stage_summary(p)))::text AS p FROM t.event WHERE customer < 12) f,
  unnest('{cdp.stage_table,cdp.stage_flows,cdp.stage_state}'::text[]) o;
SELECT throws_ok($$SELECT cdp.stage_options('[]')$$, '22023', NULL, 'no stage');
SELECT throws_ok($$SELECT cdp.stage_options('{"name": "a"}')$$, '22023', NULL, 'no list');
SELECT throws_ok($$SELECT cdp.stage_options('[{"name": "a"}]')$$, '22023', NULL, 'no way in');
SELECT throws_ok($$SELECT cdp.stage_options('[{"name": "a", "enter": "x"}, {"name": "a", "enter": "y"}]')$$, '22023', NULL, 'two of a name');
SELECT throws_ok($$SELECT cdp.stage_options('[{"name": "a", "enter": "x", "exit": "y"}]')$$, '22023', NULL, 'an unknown member');
SELECT throws_ok($$SELECT cdp.stage_options('[{"name": "a", "enter": "x", "count": 0}]')$$, '22023', NULL, 'no row');
SELECT throws_ok($$SELECT cdp.stage_options('[{"name": "a", "enter": "x"}]', exits => '{x}')$$, '22023', NULL, 'in and out');
SELECT throws_ok($$SELECT cdp.stage_options('[{"name": "a", "enter": "x"}]', idle => '1 day')$$, '22023', NULL, 'idle when?');
SELECT throws_ok($$SELECT cdp.stage_options((SELECT jsonb_agg(jsonb_build_object('name', i, 'enter', i::text)) FROM generate_series(1, 65) i))$$, '22023', NULL, 'too many');
SELECT throws_ok($$SELECT cdp.stage_options(NULL)$$, '22023', NULL, 'nothing');
SELECT throws_ok($$SELECT s.* FROM (SELECT cdp.stage_pass(1, now(), 'visit', t.shop()) AS p) f, cdp.stage_state(f.p) s$$, '22023', NULL, 'customers were not asked for');
SELECT * FROM finish();
ROLLBACK;
