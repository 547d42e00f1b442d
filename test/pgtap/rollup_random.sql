-- Roll-ups under random changes: after each round of random touches, refunds, deletions, corrections, merges,
-- unmerges and rates, both the live report and the stored one equal the direct pass to the last digit, for
-- roll-ups of very different options.
BEGIN;
SELECT plan(1 + 12 * 6);
SET client_min_messages = error;
\ir report_data.inc
CREATE TEMP TABLE spec (name text, models text[], lookback interval, lookback_unbounded boolean, group_by text, journey text, collapse boolean, max_touches int, exclude text[], bots boolean, conversion_is_touch text);
INSERT INTO spec VALUES
  ('wide', '{first,last,linear,j_shaped,ramp,time_decay(3 days),markov,markov(3),shapley,shapley_ordered,shapley_rate,one_removed,participation}', '30 days', false, 'channel', 'shared', false, NULL, NULL, false, 'no'),
  ('narrow', '{last_non(Email),linear_unique,markov(2),shapley}', '3 days', false, 'channel_group', 'reset', true, 3, '{Social}', true, 'later'),
  ('open', '{"custom(3,2,1)",exponential(0.5),markov,one_removed}', NULL, true, 'origin', 'shared', false, NULL, NULL, false, 'also');
SELECT is((SELECT count(cdp.define_attribution_rollup(name, models => models, lookback => lookback, lookback_unbounded => lookback_unbounded, group_by => group_by, journey => journey,
  collapse => collapse, max_touches => max_touches, exclude => exclude, bots => bots, conversion_is_touch => conversion_is_touch)) FROM spec), 3::bigint, 'three roll-ups are defined');
SELECT count(*) AS built FROM cdp.refresh_attribution();
CREATE FUNCTION pg_temp.figures(p cdp.attribution_partial) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(t::text, E'\n' ORDER BY model, label) FROM cdp.attribution_totals(p) t WHERE conversions <> 0 OR value <> 0 $$;
CREATE FUNCTION pg_temp.change(round int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE a bigint := 1 + floor(random() * 240); b bigint := 1 + floor(random() * 240); ids bigint[];
BEGIN
  CASE floor(random() * 7)::int
    WHEN 0 THEN ids := pg_temp.touches(1 + floor(random() * 60)::int, '2025-12-15 00:00+08', 180);
    WHEN 1 THEN ids := pg_temp.refunds(1 + floor(random() * 10)::int);
    WHEN 2 THEN WITH d AS (DELETE FROM cdp_data.touchpoint WHERE touchpoint_id % 53 = round RETURNING customer_id) SELECT array_agg(DISTINCT customer_id) INTO ids FROM d;
    WHEN 3 THEN WITH d AS (UPDATE cdp_data.touchpoint SET occurred_at = occurred_at + (random() - 0.5) * interval '20 days', value = value * 1.5 WHERE touchpoint_id % 61 = round RETURNING customer_id)
                SELECT array_agg(DISTINCT customer_id) INTO ids FROM d;
    WHEN 4 THEN -- merge two roots
      a := cdp_internal.customer_root(cdp_internal.customer_map(), NULL, a, NULL); b := cdp_internal.customer_root(cdp_internal.customer_map(), NULL, b, NULL);
      UPDATE cdp_data.customer SET parent_id = b WHERE customer_id = a;
      ids := ARRAY[a, b];
    WHEN 5 THEN -- unmerge: the id comes back
      SELECT c.customer_id, cdp_internal.customer_root(cdp_internal.customer_map(), NULL, c.customer_id, NULL) INTO a, b FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id ORDER BY random() LIMIT 1;
      UPDATE cdp_data.customer SET parent_id = customer_id WHERE customer_id = a;
      ids := ARRAY[a, b];
    ELSE -- an identifier moves
      INSERT INTO cdp_data.identifier_override VALUES (2 * a, b) ON CONFLICT (identifier_id) DO UPDATE SET customer_id = excluded.customer_id RETURNING customer_id INTO b;
      ids := ARRAY(SELECT a UNION SELECT generate_series(1, 240)); -- an earlier target may lose it
  END CASE;
  PERFORM cdp_internal.feed_write(ids, 'random') WHERE cardinality(ids) > 0;
  RETURN coalesce(cardinality(ids), 0) || ' customers';
END $$;
CREATE FUNCTION pg_temp.rounds(n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE s record; what text; direct text[]; i int;
BEGIN
  FOR round IN 1 .. n LOOP
    what := format('round %s: %s, then %s', round, pg_temp.change(round), pg_temp.change(round + 20));
    direct := '{}';
    FOR s IN SELECT * FROM spec ORDER BY name LOOP
      direct := direct || pg_temp.figures(cdp.attribution_run(models => s.models, lookback => s.lookback, lookback_unbounded => s.lookback_unbounded, group_by => s.group_by, journey => s.journey,
        collapse => s.collapse, max_touches => s.max_touches, exclude => s.exclude, bots => s.bots, conversion_is_touch => s.conversion_is_touch));
      RETURN NEXT public.ok(pg_temp.figures(cdp.attribution_rollup_run(s.name)) = direct[cardinality(direct)], what || ', live, ' || s.name);
    END LOOP;
    PERFORM cdp.refresh_attribution();
    DELETE FROM cdp_data.change_feed;
    i := 0;
    FOR s IN SELECT * FROM spec ORDER BY name LOOP
      i := i + 1;
      RETURN NEXT public.ok(pg_temp.figures(cdp.attribution_rollup_run(s.name)) = direct[i], what || ', stored, ' || s.name);
    END LOOP;
  END LOOP;
END $$;
SELECT pg_temp.rounds(12);
SELECT * FROM finish();
ROLLBACK;
