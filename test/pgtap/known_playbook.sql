-- KA6: the dbt attribution playbook (90 sessions, 21 conversions), and the six channels' touches as the main job.
BEGIN;
\if :have_shared
SELECT plan(13);
CREATE SCHEMA t;
\set sessions `cat :'shared'/attribution/playbook_sessions.csv`
\set conversions `cat :'shared'/attribution/playbook_conversions.csv`
CREATE TABLE t.rows AS
SELECT f[2]::bigint AS customer, (f[3] || '+00')::timestamptz AS at, rtrim(f[5] || '/' || f[6], '/') AS label, NULL::numeric AS value
  FROM string_to_table(replace(:'sessions', E'\r', ''), E'\n') WITH ORDINALITY l(line, no), string_to_array(line, ',') f WHERE no > 1
UNION ALL
SELECT f[1]::bigint, (f[2] || '+00')::timestamptz, NULL, f[3]::numeric
  FROM string_to_table(replace(:'conversions', E'\r', ''), E'\n') WITH ORDINALITY l(line, no), string_to_array(line, ',') f WHERE no > 1;
CREATE TABLE t.got AS
SELECT r.* FROM (SELECT cdp.attribution_pass(customer, at, label, value,
         cdp.attribution_options(models => '{first,last,linear,u_shaped,time_decay(7 days)}', lookback => '30 days')) AS p FROM t.rows) q, cdp.attribution_totals(p) r;
CREATE FUNCTION t.row(of_label text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(trim_scale(round(value, 4))::text, ', ' ORDER BY array_position('{first,last,linear,u_shaped,time_decay(7 days)}', model))
    FROM t.got WHERE label = of_label
$$;
SELECT is(t.row(label), want, 'KA6, ' || label)
  FROM (VALUES ('adwords/paid_search', '10, 15, 19.1071, 16.4, 18.4278'), ('bing/search', '0, 25, 6.4286, 10, 8.6533'),
    ('direct', '140, 145, 141.4286, 141.4, 141.2056'), ('facebook_ads/paid_social', '95, 50, 70.1786, 71.4, 68.8689'),
    ('google/search', '30, 40, 37.8571, 35.8, 37.8445'), ('newsletter/email', '0, 0, 0, 0, 0'), ('(unattributed)', '0, 0, 0, 0, 0')) v(label, want);
SELECT results_eq('SELECT DISTINCT sum(value) OVER (PARTITION BY model), sum(conversions) OVER (PARTITION BY model) FROM t.got', 'VALUES (275::numeric, 21::numeric)', 'KA6, each column sums to 275');

-- Timed touches of six channels; a touch with Conversion = Yes is followed by a conversion of 1.
\set touches `cat :'shared'/attribution/touches_six_channels.csv`
CREATE TABLE t.six AS
SELECT no AS id, f[1]::bigint AS customer, (f[2] || '+00')::timestamptz AS at, f[3] AS label, f[4] AS campaign, f[5] = 'Yes' AS converts
  FROM string_to_table(replace(:'touches', E'\r', ''), E'\n') WITH ORDINALITY l(line, no), string_to_array(line, ',') f WHERE no > 1;
SELECT is((SELECT count(*) || ' of ' || count(DISTINCT customer) FROM t.six), '10000 of 2847', 'the file is the one described');
\ir ../twin/twin.sql
-- A conversion is a row with value and label; 'also' makes its own row the touch that carried it.
CREATE TABLE t.six_rows AS
SELECT customer::text AS key, at, label, CASE WHEN converts THEN 1 + id % 7 * 0.5 END AS value, id, NULL::text AS kind, NULL::bigint AS session, NULL::bigint AS refers_to FROM t.six;
SELECT is(twin.compare('t.six_rows', o), NULL, 'six channels, engine and twin: ' || (o - 'models')::text)
  FROM (VALUES ('{"ids": true, "key_type": "bigint", "conversion_is_touch": "also", "models": ["first","last","last_non(Direct Traffic)","linear","linear_unique","u_shaped","j_shaped","time_decay(7 days)","ramp","exponential(0.5)","participation","markov","markov(2)","shapley","shapley_rate","one_removed"]}'::jsonb),
               ('{"key_type": "bigint", "journey": "reset", "lookback": "10 days", "conversion_is_touch": "also", "models": ["first","last","linear","u_shaped","time_decay(1 day)","markov","shapley"]}')) v(o);
SELECT is((SELECT sum(conversions) FROM (SELECT cdp.attribution_pass(key::bigint, at, label, value, cdp.attribution_options(models => '{linear}', conversion_is_touch => 'also')) AS p FROM t.six_rows) q, cdp.attribution_totals(p)),
  4944::numeric, 'six channels: all conversions are attributed');
SELECT is((SELECT conversions FROM (SELECT cdp.attribution_pass(key::bigint, at, label, value, cdp.attribution_options(models => '{linear}', conversion_is_touch => 'also')) AS p FROM t.six_rows) q, cdp.attribution_totals(p) WHERE label = '(unattributed)'),
  0::numeric, 'six channels: none lacks its own touch');
\else
SELECT plan(1);
SELECT skip('../shared/data/attribution is absent', 1);
\endif
SELECT * FROM finish();
ROLLBACK;
