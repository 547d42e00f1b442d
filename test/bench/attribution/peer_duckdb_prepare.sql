-- Prepares the tables of peer_duckdb_prepared.sql from the plain one.
CREATE TYPE channel AS ENUM (SELECT DISTINCT channel FROM events WHERE channel IS NOT NULL ORDER BY 1);
CREATE TABLE touches AS
  SELECT customer::INTEGER AS customer, "at"::TIMESTAMP AS "at", channel::channel AS channel
  FROM events WHERE revenue IS NULL;
CREATE TABLE conversions AS
  SELECT (row_number() OVER ())::INTEGER AS conversion, customer::INTEGER AS customer, "at"::TIMESTAMP AS "at",
         "at"::TIMESTAMP - INTERVAL 720 HOURS AS since, revenue::DOUBLE AS value
  FROM events WHERE revenue IS NOT NULL;
