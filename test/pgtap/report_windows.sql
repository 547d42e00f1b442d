-- A report of a window reads only a part of the touchpoints (the window, the lookback before it, and what refunds
-- may concern). For random windows and options it says the same as the engine over all rows.
BEGIN;
SELECT plan(43);
SET client_min_messages = error;
\ir report_data.inc
CREATE TEMP TABLE f AS SELECT * FROM pg_temp.flat WHERE flags = 0;
CREATE FUNCTION pg_temp.over_all(options jsonb) RETURNS cdp.attribution_partial LANGUAGE sql AS $$
  SELECT cdp.attribution_pass(customer, at, CASE WHEN is_touch OR is_conversion THEN channel END, value, $1, id, kind, NULL::bigint, refers_to) FROM f $$;
CREATE FUNCTION pg_temp.figures(p cdp.attribution_partial) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(t::text, E'\n') FROM cdp.attribution_totals(p) t WHERE conversions <> 0 OR value <> 0 $$;
CREATE FUNCTION pg_temp.try(n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz; until timestamptz; as_of timestamptz; lookback interval; journey text; collapse boolean; max_touches int; later text; by_kind jsonb; exclude text[]; models text[]; said text;
BEGIN
  FOR i IN 1 .. n LOOP
    since := CASE WHEN random() < 0.85 THEN timestamptz '2025-12-25 00:00+08' + floor(random() * 600) * interval '6 hours' END;
    until := CASE WHEN random() < 0.85 THEN coalesce(since, '2026-02-01 00:00+08') + (1 + floor(random() * 150)) * interval '6 hours' END;
    as_of := CASE WHEN random() < 0.2 THEN timestamptz '2026-04-10 00:00+08' END;
    lookback := (ARRAY['1 day', '7 days', '30 days', '18 hours', '400 days'])[1 + floor(random() * 5)::int];
    journey := (ARRAY['shared', 'reset'])[1 + floor(random() * 2)::int];
    collapse := random() < 0.3;
    max_touches := CASE WHEN random() < 0.3 THEN 1 + floor(random() * 4)::int END;
    later := (ARRAY['no', 'later', 'also'])[1 + floor(random() * 3)::int];
    by_kind := CASE WHEN random() < 0.3 THEN '{"impression": "2 days", "visit": "45 days"}'::jsonb END;
    exclude := CASE WHEN random() < 0.3 THEN '{Direct}'::text[] END;
    models := CASE WHEN random() < 0.7 THEN '{first,last_non(Email),linear,time_decay(2 days),shapley,participation}'::text[] ELSE '{last,markov,shapley_rate,one_removed}' END;
    said := pg_temp.figures(cdp.attribution_run(models => models, since => since, until => until, as_of => as_of, lookback => lookback, journey => journey, collapse => collapse,
      max_touches => max_touches, conversion_is_touch => later, lookback_by_kind => by_kind, exclude => exclude));
    RETURN NEXT public.is(said, pg_temp.figures(pg_temp.over_all(cdp.attribution_options(models => models, since => since, until => until, as_of => as_of, lookback => lookback, journey => journey,
      collapse => collapse, max_touches => max_touches, conversion_is_touch => later, lookback_by_kind => by_kind, exclude => exclude))),
      format('%s to %s, as of %s, %s, %s, %s %s %s %s %s', since, until, as_of, lookback, journey, collapse, max_touches, later, by_kind, models));
  END LOOP;
END $$;
SELECT pg_temp.try(40);
-- sessions: the touches of the conversion's own session
UPDATE cdp_data.touchpoint SET properties = jsonb_build_object('session_id', customer_id || '/' || occurred_at::date) WHERE touchpoint_id % 3 > 0;
UPDATE cdp_data.touchpoint t SET origin_id = 901 WHERE kind_id = 60;
SELECT is((SELECT conversions FROM cdp.attribution(models => '{same_touch}') WHERE label = 'Google Ads') > 0, true, 'same touch with our own tables');
-- the index on refunds is used, not a scan of every month
SELECT isnt(to_regclass('cdp_data.touchpoint_refund_idx'), NULL, 'refunds have an index');
SELECT is((SELECT count(*) FROM cdp.attribution(models => '{last}', since => '2030-01-01')), 1::bigint, 'an empty window has its (unattributed) row');
SELECT * FROM finish();
ROLLBACK;
