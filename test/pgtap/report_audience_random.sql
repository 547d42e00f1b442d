-- The minimum audience over random journeys, under all sorts of models, with merges and refusals: what is hidden is what
-- people counted one by one say, in the direct report and in the one from the roll-up.
BEGIN;
SELECT plan(12);
SET client_min_messages = error;
\ir report_data.inc
SELECT count(cdp.record_consent('test source', 'analytics', 'denied', customer => c)) AS refused FROM generate_series(30, 60) c;
SELECT cdp.define_attribution_rollup('main', models => '{last,linear,markov}', group_by => 'campaign');
SELECT count(*) FROM cdp.refresh_attribution();
CREATE FUNCTION pg_temp.expected(k int) RETURNS text LANGUAGE sql AS $$
  WITH person AS (
    SELECT c.label, c.model, count(DISTINCT c.customer_id) AS people FROM cdp.attribution_credit(models => '{last,first,linear,time_decay,participation}', group_by => 'campaign', slice => 60) c GROUP BY 1, 2
  ), figure AS (
    SELECT t.label, t.model, coalesce(p.people, CASE WHEN t.model ~ 'markov|shapley' THEN (SELECT q.people FROM person q WHERE q.label = t.label AND q.model = 'participation') END, 0) AS people
    FROM cdp.attribution_totals(cdp.attribution_run(models => '{last,first,linear,time_decay,participation,markov,shapley}', group_by => 'campaign')) t LEFT JOIN person p USING (label, model) WHERE t.conversions <> 0 OR t.value <> 0
  ), placed AS (
    SELECT f.*, bool_or(f.people < k) OVER (PARTITION BY f.model) AS any_small, row_number() OVER (PARTITION BY f.model, f.people >= k ORDER BY f.people, f.label COLLATE "C") AS nth FROM figure f
  )
  SELECT string_agg(label || '/' || model, ' ' ORDER BY label COLLATE "C", model COLLATE "C") FROM placed WHERE people < k OR any_small AND nth = 1
$$;
CREATE FUNCTION pg_temp.hidden() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(label || '/' || model, ' ' ORDER BY label COLLATE "C", model COLLATE "C") FROM cdp.attribution(models => '{last,first,linear,time_decay,participation,markov,shapley}', group_by => 'campaign') WHERE conversions IS NULL
$$;
CREATE FUNCTION pg_temp.compared(k int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE want text;
BEGIN
  UPDATE cdp_data.setting SET minimum_audience = NULL;
  want := pg_temp.expected(k);
  UPDATE cdp_data.setting SET minimum_audience = k;
  RETURN NEXT public.is(pg_temp.hidden(), want, format('at %s: %s', k, coalesce(want, 'nothing is hidden')));
  RETURN NEXT public.is((SELECT jsonb_agg(t ORDER BY t) FROM cdp.attribution_rollup('main') t), (SELECT jsonb_agg(t ORDER BY t) FROM cdp.attribution(models => '{last,linear,markov}', group_by => 'campaign') t), 'the roll-up hides the same');
  RETURN NEXT public.is((SELECT count(*) FROM (SELECT model FROM cdp.attribution(models => '{last,linear,markov}', group_by => 'campaign') GROUP BY model HAVING count(*) FILTER (WHERE conversions IS NULL) = 1) x), 0::bigint, 'never one alone');
END $$;
SELECT pg_temp.compared(n) FROM unnest(ARRAY[2, 40, 90, 140]) n;
SELECT * FROM finish();
ROLLBACK;
