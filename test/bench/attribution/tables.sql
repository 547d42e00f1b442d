-- The tables of the attribution benchmark, from a CSV on standard input.
-- events is the user's plain table that pg_cdp reads. The SQL peers get what suits them best:
-- touches and conversions apart, the value as float8, and the tuned peer integers and a covering index.
\set ON_ERROR_STOP on
SET timezone = 'UTC';
SET maintenance_work_mem = '512MB';
CREATE TABLE events (customer bigint NOT NULL, at timestamptz NOT NULL, channel text, revenue numeric);
\copy events FROM pstdin WITH (FORMAT csv, HEADER)
VACUUM (FREEZE, ANALYZE) events;

CREATE TABLE touches AS
  SELECT customer, at, channel FROM events WHERE revenue IS NULL;
CREATE TABLE conversions AS
  SELECT row_number() OVER ()::int AS conversion, customer, at, revenue::float8 AS value
  FROM events WHERE revenue IS NOT NULL;
CREATE TABLE channels AS
  SELECT row_number() OVER (ORDER BY channel COLLATE "C")::int AS channel_id, channel
  FROM (SELECT DISTINCT channel FROM touches) AS d;
CREATE TABLE touches_tuned AS
  SELECT t.customer, t.at, c.channel_id AS channel FROM touches AS t JOIN channels AS c USING (channel)
  ORDER BY t.at;
CREATE INDEX touches_tuned_covering ON touches_tuned (customer, at) INCLUDE (channel);
VACUUM (FREEZE, ANALYZE) touches;
VACUUM (FREEZE, ANALYZE) conversions;
VACUUM (FREEZE, ANALYZE) channels;
VACUUM (FREEZE, ANALYZE) touches_tuned;
