-- The tables of the component benchmark, from links.tsv on standard input.
-- links is the user's plain table that pg_cdp reads. The peers get what suits them best: PL/pgSQL nodes that are numbers
-- from 1 on, pgRouting the columns that it asks for.
\set ON_ERROR_STOP on
SET maintenance_work_mem = '512MB';
CREATE UNLOGGED TABLE line (a bigint, b bigint, dense_a integer, dense_b integer);
\copy line FROM pstdin
CREATE TABLE links (a bigint, b bigint);
INSERT INTO links SELECT a, b FROM line;
CREATE TABLE dense (a integer, b integer);
INSERT INTO dense SELECT dense_a, dense_b FROM line;
CREATE TABLE routing AS SELECT row_number() OVER () AS id, a AS source, b AS target, 1.0::float8 AS cost FROM line;
-- Which number stands for which identifier, to compare the answers.
CREATE TABLE dense_of AS SELECT DISTINCT v.id, v.dense FROM line, LATERAL (VALUES (a, dense_a), (b, dense_b)) v (id, dense);
DROP TABLE line;
VACUUM (FREEZE, ANALYZE) links;
VACUUM (FREEZE, ANALYZE) dense;
VACUUM (FREEZE, ANALYZE) routing;
