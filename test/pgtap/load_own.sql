-- The user's own file of the demo: what cannot be used is named with its line, whatever the reason.
SELECT plan(5);
\set ON_ERROR_STOP off
\set timezone Asia/Shanghai
CREATE SCHEMA demo;
CREATE TABLE demo.own (nth bigint GENERATED ALWAYS AS IDENTITY, customer text, "time" text, channel text, revenue text, currency text, id text);
INSERT INTO demo.own (customer, "time", channel, revenue, currency, id) VALUES
  ('u1', '2026-03-01', E'two\nlines', NULL, NULL, 'a'), ('u1', '2026-03-02', NULL, '10', 'usd', 'b'), ('u1', '2026-03-03', NULL, '10', 'CNY', 'c');
\o /dev/null
\ir ../demo/own.sql
\o
SELECT is(:'LAST_ERROR_MESSAGE'::text, E'rows that cannot be used\nline 4: revenue is in USD, and there is no rate into CNY', 'money without a rate, which the report would stop at');

TRUNCATE cdp_data.quarantine, cdp_data.touchpoint, cdp_data.touchpoint_key, cdp_data.channel_rule;
DROP VIEW demo.touches;
UPDATE demo.own SET currency = NULL, id = 'b';
\o /dev/null
\ir ../demo/own.sql
\o
SELECT is(:'LAST_ERROR_MESSAGE'::text, E'2 of the rows cannot be used\nline 2: a later row of the same load has the same id and another content\nline 4: a later row of the same load has the same id and another content',
  'a key that comes twice with different content');

TRUNCATE cdp_data.quarantine, cdp_data.touchpoint, cdp_data.touchpoint_key, cdp_data.channel_rule;
DROP VIEW demo.touches;
UPDATE demo.own SET id = nth, "time" = CASE WHEN nth = 3 THEN '3/1/2026' ELSE "time" END;
\o /dev/null
\ir ../demo/own.sql
\o
SELECT is(:'LAST_ERROR_MESSAGE'::text, E'1 of the rows cannot be used\nline 5: the time is no ISO 8601 time such as 2026-01-31 23:59:59+08', 'a time as a spreadsheet writes it');

TRUNCATE cdp_data.quarantine, cdp_data.touchpoint, cdp_data.touchpoint_key, cdp_data.channel_rule;
DROP VIEW demo.touches;
UPDATE demo.own SET "time" = '2026-03-09' WHERE nth = 3;
INSERT INTO demo.own (customer, "time", channel, revenue, id) VALUES ('u2', '2026-03-09 10:00', 'mail', '  ', 'd');
\o /dev/null
\ir ../demo/own.sql
\o
SELECT is((SELECT sum(value) FROM cdp.attribution(models => '{last}')), 20::numeric, 'a sound file is loaded');
\set ON_ERROR_STOP on
\o /dev/null
\ir ../demo/next_own.sql
\o
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), 4::bigint, 'the statements to try next run, and leave all as it was');
SELECT * FROM finish();
