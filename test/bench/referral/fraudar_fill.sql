-- A random graph of :edges edges with attributes of uneven popularity, an injected block of 300 accounts by 100 attributes at
-- probability 0.5, ids without gaps, in no order; and the same as one value.
CREATE EXTENSION pg_cdp;
CREATE FUNCTION unit(i bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashint8extended(i, salt) >> 11 & 9007199254740991)::float8 / 9007199254740992;
CREATE TABLE raw AS
SELECT floor(unit(i, 1) * :edges / 5)::bigint AS a, floor(:edges / 10 * unit(i, 2) ^ 2)::bigint AS b FROM generate_series(1, :edges::bigint) i
UNION ALL SELECT a, b FROM generate_series(1, 300::bigint) a, generate_series(1, 100::bigint) b WHERE unit(a * 1000003 + b, 3) < 0.5;
-- Without statistics the planner takes the pairs for a few thousand, and a hash table of so few goes to disk in thousands of pieces:
-- minutes, in a cluster of default settings.
ANALYZE raw;
CREATE TABLE edge AS
SELECT dense_rank() OVER (ORDER BY a) - 1 AS a, dense_rank() OVER (ORDER BY b) - 1 AS b, hashint8extended(a * 1000003 + b, 6) AS place FROM (SELECT DISTINCT a, b FROM raw) d;
CREATE TABLE shuffled AS SELECT a, b FROM edge ORDER BY place;
DROP TABLE raw, edge;
ALTER TABLE shuffled RENAME TO edge;
CREATE TABLE graph AS SELECT cdp.fraud_graph(a, b) AS g FROM edge;
VACUUM ANALYZE;
