-- The table of the segment benchmark, from a CSV on standard input. amount and category are there for the peers, which read
-- columns faster than JSON; ours reads them in properties. The small index on time is what long tables of events have.
\set ON_ERROR_STOP on
SET timezone = 'UTC';
CREATE TABLE events (customer bigint NOT NULL, at timestamptz NOT NULL, kind integer NOT NULL, amount integer, category smallint, properties jsonb);
\copy events FROM pstdin WITH (FORMAT csv, HEADER)
CREATE INDEX ON events USING brin (at);
VACUUM (FREEZE, ANALYZE) events;
