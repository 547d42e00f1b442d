-- The table of the segment benchmark, from a CSV on standard input.
\set ON_ERROR_STOP on
SET timezone = 'UTC';
CREATE TABLE events (customer bigint NOT NULL, at timestamptz NOT NULL, kind integer NOT NULL, amount integer, category smallint);
\copy events FROM pstdin WITH (FORMAT csv, HEADER)
VACUUM (FREEZE, ANALYZE) events;
