-- Every data-driven model of the engine equals its plain-SQL twin, to 1e-9, on random journeys with random options.
-- A failing test prints its seed and options. CDP_SEED in the environment shifts all seeds.
BEGIN;
\getenv base CDP_SEED
\if :{?base}
\else
\set base 0
\endif
SELECT plan(64);
SET client_min_messages = error;
\ir ../twin/twin.sql

CREATE FUNCTION twin.run(seed int, models text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE o jsonb;
BEGIN
  PERFORM twin.make_rows(seed, 'mixed', 0, seed % 5 = 3);
  o := twin.make_options(seed, models, seed % 2 = 0, seed % 5 = 3);
  RETURN twin.compare('twin.rows', o || jsonb_build_object('key_type', (ARRAY['text', 'bigint', 'uuid'])[1 + seed % 3]));
END $$;
SELECT is(twin.run(:base + seed, '{markov,shapley,shapley_ordered,shapley_rate,one_removed}'), NULL, 'Markov 1, Shapley, one removed, seed ' || :base + seed)
  FROM generate_series(301, 330) seed;
SELECT is(twin.run(:base + seed, '{markov(2)}'), NULL, 'Markov 2, seed ' || :base + seed) FROM generate_series(331, 340) seed;
SELECT is(twin.run(:base + seed, '{markov(3),markov(7)}'), NULL, 'Markov 3 and 7, seed ' || :base + seed) FROM generate_series(341, 345) seed;

-- Aggregated paths: random paths over few labels with null counts.
CREATE TABLE twin.agg (path text[], conversions bigint, value numeric, nulls bigint);
CREATE FUNCTION twin.make_agg(seed int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE labels int;
BEGIN
  PERFORM setseed(seed / 1000.0);
  labels := 1 + floor(random() * 6);
  DELETE FROM twin.agg;
  FOR i IN 1..(1 + floor(random() * 30))::int LOOP
    INSERT INTO twin.agg VALUES (
      ARRAY(SELECT chr(65 + floor(random() * labels)::int) FROM generate_series(1, 1 + floor(random() * random() * 7)::int)),
      floor(random() * random() * 20), round((random() * 100)::numeric, 2), floor(random() * 30));
  END LOOP;
  UPDATE twin.agg SET value = 0 WHERE conversions = 0;
END $$;
CREATE FUNCTION twin.run_agg(seed int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE bad text;
BEGIN
  PERFORM twin.make_agg(seed);
  DELETE FROM twin.path;
  INSERT INTO twin.path SELECT path, sum(conversions), sum(nulls), sum(value) FROM twin.agg WHERE conversions + nulls > 0 GROUP BY path;
  SELECT string_agg(format('%s/%s: engine %s, %s; twin %s, %s', coalesce(t.m, e.model), coalesce(e.label, t.label), e.conversions, e.value, t.conv, t.value), E'\n') INTO bad
    FROM (SELECT r.* FROM (SELECT cdp.attribution_path_pass(path, conversions, value, nulls,
            cdp.attribution_options(models => '{markov,markov(2),markov(3),shapley,shapley_rate,one_removed}')) AS p FROM twin.agg) q,
            cdp.attribution_totals(p) r WHERE conversions <> 0 OR value <> 0) e
    FULL JOIN (SELECT m, d.* FROM unnest('{markov,markov(2),markov(3),shapley,shapley_rate,one_removed}'::text[]) m, twin.data_driven(m) d) t
      ON t.m = e.model AND t.label = e.label
   WHERE abs(coalesce(e.conversions::float8, 0) - coalesce(t.conv, 0)) > 1e-9 * (SELECT 1 + sum(conversions) FROM twin.agg)
      OR abs(coalesce(e.value::float8, 0) - coalesce(t.value, 0)) > 1e-9 * (SELECT 1 + sum(abs(value)) FROM twin.agg);
  RETURN bad;
END $$;
SELECT is(twin.run_agg(seed), NULL, 'aggregated paths, seed ' || seed) FROM generate_series(1, 12) seed;

-- Removal effects, of one label and of sets, and the transition matrix.
CREATE FUNCTION twin.run_removal(seed int, k int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE bad text; whole float8[];
BEGIN
  PERFORM twin.make_agg(seed);
  DELETE FROM twin.path;
  INSERT INTO twin.path SELECT path, sum(conversions), sum(nulls), sum(value) FROM twin.agg WHERE conversions + nulls > 0 GROUP BY path;
  whole := twin.chain(k, '{}');
  WITH p AS MATERIALIZED (SELECT cdp.attribution_path_pass(path, conversions, value, nulls, cdp.attribution_options(models => ARRAY['markov(' || k || ')'])) AS p FROM twin.agg)
  SELECT concat_ws(E'\n',
    (SELECT string_agg(format('%s: engine %s, %s; twin %s, %s', e.label, e.removal_conversions, e.removal_value, t.removal_conv, t.removal_value), E'\n')
       FROM p, cdp.attribution_removal(p, k) e FULL JOIN twin.markov(k) t ON t.label = e.label
      WHERE NOT coalesce(abs(e.removal_conversions - t.removal_conv) < 1e-9 AND abs(e.removal_value - t.removal_value) < 1e-9, false)),
    (SELECT string_agg(format('without %s: engine %s, %s; twin %s', gone, e.removal_conversions, e.removal_value, c), E'\n')
       FROM p, (VALUES ('{A,B}'::text[]), ('{A,C,D}')) v(some_labels),
            LATERAL (SELECT array_agg(DISTINCT l) AS gone FROM twin.path, unnest(path) l WHERE l = ANY (some_labels)) u, LATERAL (SELECT twin.chain(k, gone) AS c) t, cdp.attribution_removal_of(p, gone, k) e
      WHERE NOT coalesce(abs(e.removal_conversions - (1 - c[1] / whole[1])) < 1e-9 AND abs(e.removal_value - (1 - c[2] / whole[2])) < 1e-9, false)))
    INTO bad;
  RETURN nullif(bad, '');
END $$;
SELECT is(twin.run_removal(seed, 1 + seed % 3), NULL, 'removal effects of labels and sets, order ' || 1 + seed % 3 || ', seed ' || seed) FROM generate_series(31, 36) seed;

-- Transition counts of order 1 against a plain count of neighbours.
SELECT twin.make_agg(50) \g /dev/null
SELECT is((WITH p AS (SELECT cdp.attribution_path_pass(path, conversions, value, nulls, cdp.attribution_options(models => '{markov}')) AS p FROM twin.agg),
                want AS (SELECT path[i] AS f, path[i + 1] AS t, sum(conversions + nulls) AS n FROM twin.agg, generate_series(1, cardinality(path) - 1) i WHERE conversions + nulls > 0 GROUP BY 1, 2
                         UNION ALL SELECT '(start)', path[1], sum(conversions + nulls) FROM twin.agg WHERE conversions + nulls > 0 GROUP BY 2
                         UNION ALL SELECT path[cardinality(path)], '(conversion)', sum(conversions) FROM twin.agg WHERE conversions > 0 GROUP BY 1
                         UNION ALL SELECT path[cardinality(path)], '(null)', sum(nulls) FROM twin.agg WHERE nulls > 0 GROUP BY 1)
           SELECT string_agg(format('%s -> %s: %s / %s', coalesce(f, from_state::text), coalesce(t, to_label), count, n), E'\n')
             FROM p, cdp.attribution_transitions(p) m FULL JOIN want ON m.from_state[1] = f AND m.to_label = t WHERE count IS DISTINCT FROM n),
  NULL, 'transition counts of order 1');
SELECT * FROM finish();
ROLLBACK;
