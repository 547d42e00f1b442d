-- Peer of funnel_vs_duckdb, by ASOF joins: each step goes on from the last row of the step before, which carries the
-- latest beginning of a chain, so each join has the rows of one step that are still under way.
WITH first AS (
  SELECT customer, "at", "at" AS began FROM events WHERE kind = 1
), second AS MATERIALIZED (
  SELECT e.customer, e."at", f.began FROM events AS e ASOF JOIN first AS f ON e.customer = f.customer AND e."at" > f."at"
  WHERE e.kind = 2 AND e."at" <= f.began + INTERVAL 7 DAYS
), third AS MATERIALIZED (
  SELECT e.customer, e."at", f.began FROM events AS e ASOF JOIN second AS f ON e.customer = f.customer AND e."at" > f."at"
  WHERE e.kind = 3 AND e."at" <= f.began + INTERVAL 7 DAYS
), fourth AS MATERIALIZED (
  SELECT e.customer, e."at", f.began FROM events AS e ASOF JOIN third AS f ON e.customer = f.customer AND e."at" > f."at"
  WHERE e.kind = 4 AND e."at" <= f.began + INTERVAL 7 DAYS
)
SELECT 1 AS step, count(DISTINCT customer) AS customers FROM first
UNION ALL SELECT 2, count(DISTINCT customer) FROM second
UNION ALL SELECT 3, count(DISTINCT customer) FROM third
UNION ALL SELECT 4, count(DISTINCT customer) FROM fourth ORDER BY 1;
