-- Peer of funnel_vs_duckdb, by window functions: one running maximum a step hands the latest beginning of a chain on.
WITH step AS (
  SELECT customer, "at", kind FROM events WHERE kind BETWEEN 1 AND 4
), first AS (
  SELECT *, max(CASE WHEN kind = 1 THEN "at" END) OVER w AS began FROM step WINDOW w AS (PARTITION BY customer ORDER BY "at" ROWS UNBOUNDED PRECEDING)
), second AS (
  SELECT *, max(CASE WHEN kind = 2 AND "at" <= began + INTERVAL 7 DAYS THEN began END) OVER w AS began2
  FROM first WINDOW w AS (PARTITION BY customer ORDER BY "at" ROWS UNBOUNDED PRECEDING)
), third AS (
  SELECT *, max(CASE WHEN kind = 3 AND "at" <= began2 + INTERVAL 7 DAYS THEN began2 END) OVER w AS began3
  FROM second WINDOW w AS (PARTITION BY customer ORDER BY "at" ROWS UNBOUNDED PRECEDING)
), level AS (
  SELECT customer, max(CASE WHEN kind = 4 AND "at" <= began3 + INTERVAL 7 DAYS THEN 4 WHEN began3 IS NOT NULL THEN 3
    WHEN began2 IS NOT NULL THEN 2 WHEN began IS NOT NULL THEN 1 END) AS level
  FROM third GROUP BY customer
)
SELECT s.step, count(*) FILTER (WHERE level >= s.step) AS customers FROM level, (VALUES (1), (2), (3), (4)) AS s (step) GROUP BY 1 ORDER BY 1;
