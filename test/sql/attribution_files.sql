-- A pass that spilled to temporary files and is then not asked for its result closes them: no warning of a leak.
CREATE EXTENSION pg_cdp;
SET cdp.attribution_memory = '16MB';
SET enable_sort = off;
SELECT g, (r).touches FROM (
  SELECT g, cdp.attribution_pass(i, timestamptz '2026-01-01' + i * interval '1 s', 'a', NULL::numeric, NULL) AS p
  FROM (SELECT i, i % 2 AS g FROM generate_series(1, 1000000::bigint) i) n GROUP BY g LIMIT 1) s, cdp.attribution_summary(p) r;
DROP EXTENSION pg_cdp;
