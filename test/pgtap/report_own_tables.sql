-- Reports over our own tables against plain joins, plain SQL and themselves by other roads.
BEGIN;
SELECT plan(35);
SET client_min_messages = error;
\ir report_data.inc

-- 1. the one scan sees what plain joins see
CREATE FUNCTION pg_temp.all_models() RETURNS text[] LANGUAGE sql IMMUTABLE AS
$$ SELECT '{first,last,linear,linear_unique,u_shaped,j_shaped,time_decay(7 days),exponential(0.5),ramp,participation,markov,markov(2),shapley,shapley_rate,one_removed}'::text[] $$;
CREATE TEMP TABLE grouping_name (by text);
INSERT INTO grouping_name VALUES ('channel'), ('channel_group'), ('campaign'), ('source'), ('origin');
SELECT is(
  (SELECT jsonb_agg(t) FROM cdp.attribution_totals(cdp.attribution_run(models => pg_temp.all_models(), group_by => g.by)) t WHERE conversions <> 0 OR value <> 0),
  (SELECT jsonb_agg(t) FROM cdp.attribution_totals(pg_temp.by_join(g.by, cdp.attribution_options(models => pg_temp.all_models()))) t WHERE conversions <> 0 OR value <> 0),
  'all models by ' || g.by || ' equal the engine over plain joins')
FROM grouping_name g;
SELECT cmp_ok((SELECT count(*) FROM cdp.attribution_totals(cdp.attribution_run(models => '{last}')) WHERE conversions > 0), '>=', 6::bigint, 'with figures for several channels');

-- 2. last and linear by window functions alone
CREATE TEMP TABLE f AS SELECT * FROM pg_temp.flat;
CREATE INDEX ON f (customer, at);
CREATE INDEX ON f (refers_to);
ANALYZE f;
CREATE TEMP TABLE pair AS
SELECT c.id AS conversion, t.id AS touch, t.channel,
  round(c.value, 6) + coalesce((SELECT sum(round(r.value, 6)) FROM f r WHERE r.refers_to = c.id AND r.flags = 0), 0)
    + coalesce((SELECT sum(round(r.value, 6)) FROM f r WHERE r.customer = c.customer AND r.kind = 'refund' AND r.refers_to IS NULL AND r.flags = 0
        AND (r.at, r.id) > (c.at, c.id)
        AND NOT EXISTS (SELECT FROM f n WHERE n.customer = c.customer AND n.kind IN ('purchase', 'sign_up') AND n.flags = 0
                        AND (n.at, n.id) > (c.at, c.id) AND (n.at, n.id) < (r.at, r.id))), 0) AS value,
  row_number() OVER (PARTITION BY c.id ORDER BY t.at DESC, t.id DESC) AS from_end, count(t.id) OVER (PARTITION BY c.id) AS n
FROM f c LEFT JOIN f t ON t.customer = c.customer AND t.is_touch AND t.flags = 0
  AND (t.at, t.id) < (c.at, c.id) AND t.at >= c.at - interval '30 days'
WHERE c.kind IN ('purchase', 'sign_up') AND c.flags = 0;
SELECT is(
  (SELECT jsonb_object_agg(label, round(value, 6) || ' ' || conversions) FROM cdp.attribution_totals(cdp.attribution_run(models => '{last}')) WHERE label <> '(unattributed)' AND conversions > 0),
  (SELECT jsonb_object_agg(channel, v || ' ' || n) FROM (SELECT channel, round(sum(round(value, 6)), 6) AS v, count(*) AS n FROM pair WHERE from_end = 1 AND touch IS NOT NULL GROUP BY channel) x),
  'last touch equals a window query');
SELECT is(
  (SELECT jsonb_object_agg(label, round(value, 3)) FROM cdp.attribution_totals(cdp.attribution_run(models => '{linear}')) WHERE label <> '(unattributed)' AND conversions > 0),
  (SELECT jsonb_object_agg(channel, v) FROM (SELECT channel, round(sum(value / n), 3) AS v FROM pair WHERE touch IS NOT NULL GROUP BY channel) x),
  'linear equals a window query');
SELECT is(
  (SELECT conversions FROM cdp.attribution(models => '{linear}') WHERE label = '(unattributed)'),
  (SELECT count(*)::numeric FROM pair WHERE touch IS NULL), 'conversions without touch stand at (unattributed)');

-- 3. a window reads less and says the same
SELECT is(
  (SELECT jsonb_agg(t) FROM cdp.attribution_totals(cdp.attribution_run(models => '{first,last,linear,shapley}', since => w.since, until => w.until, lookback => w.lookback)) t WHERE conversions <> 0 OR value <> 0),
  (SELECT jsonb_agg(t) FROM cdp.attribution_totals(pg_temp.by_join('channel', cdp.attribution_options(models => '{first,last,linear,shapley}', since => w.since, until => w.until, lookback => w.lookback))) t WHERE conversions <> 0 OR value <> 0),
  format('window %s to %s, lookback %s', w.since, w.until, w.lookback))
FROM (VALUES ('2026-03-01+08'::timestamptz, '2026-04-01+08'::timestamptz, '30 days'::interval), ('2026-02-10+08', '2026-02-11+08', '7 days'), ('2026-05-01+08', NULL, '1 day'), (NULL, '2026-02-01+08', '10 days')) w (since, until, lookback);
SELECT is(
  (SELECT jsonb_agg(t) FROM cdp.attribution_totals(cdp.attribution_run(models => '{markov,shapley_rate}', since => '2026-03-01+08', until => '2026-04-01+08')) t WHERE conversions <> 0),
  (SELECT jsonb_agg(t) FROM cdp.attribution_totals(pg_temp.by_join('channel', cdp.attribution_options(models => '{markov,shapley_rate}', since => '2026-03-01+08', until => '2026-04-01+08'))) t WHERE conversions <> 0),
  'a window with models that count journeys without conversion');
SELECT cdp_internal.ensure_partitions('2026-01-01'::timestamptz, '2026-07-01'::timestamptz);
CREATE FUNCTION pg_temp.plan_of(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; result text := '';
BEGIN
  FOR line IN EXECUTE 'EXPLAIN SELECT FROM cdp_data.touchpoint t WHERE ' || condition LOOP result := result || line || E'\n'; END LOOP;
  RETURN result;
END $$;
SELECT unalike(pg_temp.plan_of((cdp_internal.attribution_range_sql(cdp.attribution_options(models => '{last}', since => '2026-06-01+00', lookback => '7 days'), cdp_internal.attribution_own(NULL, NULL, NULL, false, false, NULL, NULL))).main),
  '%2026_0[1-4]%', 'the window prunes partitions');
SELECT is((cdp_internal.attribution_range_sql(cdp.attribution_options(models => '{markov}', since => '2026-06-01+00'), cdp_internal.attribution_own(NULL, NULL, NULL, false, false, NULL, NULL))).outside,
  NULL, 'with journeys that do not convert nothing is pruned');

-- 4. the index road
CREATE TEMP TABLE credit AS SELECT * FROM cdp.attribution_credit(models => '{last,linear,time_decay(7 days)}');
CREATE TEMP TABLE credit_of AS SELECT * FROM cdp.attribution_credit(models => '{last,linear,time_decay(7 days)}', customers => '{7, 9, 12, 20}');
SELECT set_eq('SELECT * FROM credit_of', 'SELECT * FROM credit WHERE customer_id IN (7, 9, 12, 20)', 'few customers by index: the same credit as in the full pass');
SELECT cmp_ok((SELECT count(*) FROM credit_of), '>', 20::bigint, 'and there is some');
SELECT is((SELECT jsonb_agg(t) FROM cdp.attribution(customers => '{3, 5}') t), (SELECT jsonb_agg(t) FROM cdp.attribution(customers => '{7}') t), 'a merged id asks for its root');
SELECT set_eq('SELECT * FROM cdp.attribution_credit(models => ''{last,linear,time_decay(7 days)}'', slice => 13)', 'SELECT * FROM credit', 'the size of a slice changes nothing');

-- 5. credit adds up to the report
SELECT is((SELECT jsonb_agg(jsonb_build_array(label, model, sum_c, sum_v) ORDER BY model, label) FROM (SELECT label, model, trim_scale(sum(conversions)) AS sum_c, trim_scale(sum(value)) AS sum_v FROM credit GROUP BY 1, 2) x),
  (SELECT jsonb_agg(jsonb_build_array(label, model, conversions, value) ORDER BY model, label) FROM cdp.attribution(models => '{last,linear,time_decay(7 days)}')
   WHERE conversions <> 0 OR value <> 0), 'credit per touch sums to the totals, to the last digit');
SELECT is((SELECT count(*) FROM credit c LEFT JOIN cdp_data.touchpoint t ON t.touchpoint_id = c.touchpoint_id WHERE c.label <> '(unattributed)' AND t.touchpoint_id IS NULL), 0::bigint, 'credit joins with touchpoint');

-- 6. bots, kinds, merges
SELECT cmp_ok((SELECT conversions FROM cdp.attribution(models => '{last}', bots => true, internal => true) WHERE label = '(unattributed)'), '<',
  (SELECT conversions FROM cdp.attribution(models => '{last}') WHERE label = '(unattributed)'), 'touches of bots are left out unless asked for');
SELECT is((SELECT sum(conversions) FROM cdp.attribution(models => '{last}', conversion_kinds => '{sign_up}')), (SELECT count(*)::numeric FROM pg_temp.flat WHERE kind = 'sign_up' AND flags = 0), 'chosen kinds of conversions');
SELECT is((SELECT sum(value) FROM cdp.attribution(models => '{last}', conversion_kinds => '{purchase}')),
  (SELECT trim_scale(sum(round(value, 6))) FROM pg_temp.flat f WHERE flags = 0 AND (kind = 'purchase' OR kind = 'refund' AND refers_to IS NOT NULL)), 'refunds that name a conversion go with its kind');
SELECT is((SELECT sum(value) FROM cdp.attribution(models => '{last}')), (SELECT trim_scale(sum(round(value, 6))) FROM pg_temp.flat WHERE flags = 0), 'all value is in the report, whoever earned it');
SELECT throws_like($$ SELECT cdp.attribution_run(conversion_kinds => '{purchse}') $$, '%no kind of touchpoint named "purchse"%', 'an unknown kind');
SELECT throws_like($$ SELECT cdp.attribution_run(group_by => 'chanel') $$, '%unknown grouping "chanel"%', 'an unknown grouping');
SELECT throws_like($$ SELECT cdp.attribution_run(models => '{liner}') $$, '%liner%', 'an unknown model');
SELECT is((SELECT jsonb_agg(t) FROM cdp.attribution_totals(cdp.attribution_run(models => '{last_non(Douyin Ads),first_non(Google Ads)}', exclude => '{Email}')) t WHERE conversions <> 0 OR value <> 0),
  (SELECT jsonb_agg(t) FROM cdp.attribution_totals(pg_temp.by_join('channel', cdp.attribution_options(models => '{last_non(Douyin Ads),first_non(Google Ads)}', exclude => '{Email}'))) t WHERE conversions <> 0 OR value <> 0),
  'options name labels by name');
SELECT is((SELECT jsonb_agg(t) FROM cdp.attribution_totals(cdp.attribution_run(models => '{linear}', lookback_by_kind => '{"impression": "1 day", "click": "20 days"}')) t WHERE conversions <> 0 OR value <> 0),
  (SELECT jsonb_agg(t) FROM cdp.attribution_totals(pg_temp.by_join('channel', cdp.attribution_options(models => '{linear}', lookback_by_kind => '{"impression": "1 day", "click": "20 days"}'))) t WHERE conversions <> 0 OR value <> 0),
  'lookback per kind of touch');

-- 7. money
DELETE FROM cdp_data.currency_rate WHERE valid_from < '2026-02-01';
SELECT throws_ok($$ SELECT cdp.attribution_run() $$, '22000', NULL, 'a missing rate stops the report');
SELECT lives_ok($$ SELECT cdp.attribution_run(missing_rate => 'zero') $$, 'unless it is told to count 0');
SELECT cmp_ok((SELECT found FROM cdp.attribution_data_check() WHERE finding = 'missing rates'), '=',
  (SELECT count(*) FROM cdp_data.touchpoint t JOIN cdp_data.touch_kind_all k USING (kind_id) WHERE is_conversion AND currency = 'USD' AND (occurred_at AT TIME ZONE 'UTC')::date < '2026-03-01'),
  'and the data check counts them');

-- 8. nothing is written
SET TRANSACTION READ ONLY;
SELECT lives_ok($$ SELECT count(*) FROM cdp.attribution(missing_rate => 'zero', new_customers => true) $$, 'the report runs in a read-only transaction');
SELECT * FROM finish();
ROLLBACK;
