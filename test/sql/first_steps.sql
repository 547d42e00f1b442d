-- Golden output of the first steps of README.md: install, setup, a staging table, a load, a report.
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY');
SELECT cdp.add_source('shop');
SELECT cdp.create_staging('my_touches');
COPY my_touches (source_key, occurred_at, identifier_type, identifier, kind, source, medium, value, currency) FROM stdin CSV;
1,2026-03-01 10:00:00+08,email,a@example.org,click,weibo,social,,
2,2026-03-02 10:00:00+08,email,a@example.org,click,google,cpc,,
3,2026-03-03 10:00:00+08,email,a@example.org,purchase,,,199,CNY
4,2026-03-03 11:00:00+08,email,b@example.org,click,weibo,social,,
5,2026-03-32 11:00:00+08,email,b@example.org,click,weibo,social,,
6,2026-03-04 12:00:00+08,email,b@example.org,purchase,,,0.5,CNY
\.
SELECT * FROM cdp.load_touchpoints('shop', 'my_touches');
SELECT row_no, code, reason FROM cdp_data.quarantine WHERE retried_by_load IS NULL;
SELECT label, model, conversions, value, contribution
FROM cdp.attribution(models => '{last,linear,markov}', since => '2026-03-01', until => '2026-04-01');
SELECT * FROM cdp.revert_load(1);
SELECT count(*) FROM cdp_data.touchpoint;
SELECT * FROM cdp.retry_load(1);
SELECT count(*) FROM cdp_data.touchpoint;
-- Again: nothing happens twice.
SELECT * FROM cdp.load_touchpoints('shop', 'my_touches');
-- What is not there is told with the next step.
\set SHOW_CONTEXT never
SELECT * FROM cdp.load_touchpoints('shap', 'my_touches');
SELECT cdp.attribution_options(models => '{lats}');
SET client_min_messages = warning;
DROP EXTENSION pg_cdp CASCADE;
SELECT count(*) FROM cdp_data.touchpoint_key;
CREATE EXTENSION pg_cdp;
CALL cdp.setup();
SELECT count(*) AS pending FROM cdp_internal.setup_pending() WHERE reason <> 'repeated';
DROP EXTENSION pg_cdp CASCADE;
DROP SCHEMA cdp_data, cdp_bi, cdp_api CASCADE;
