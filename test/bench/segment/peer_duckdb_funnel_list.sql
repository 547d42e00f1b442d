-- Peer of funnel_vs_duckdb, customer by customer: lists of each step's times, and for each step the latest beginning
-- among rows that come after one of the step before, folded over the ordered list.
WITH customer AS (
  SELECT list({"at": epoch_us("at"), kind: kind} ORDER BY "at") AS rows FROM events WHERE kind BETWEEN 1 AND 4 GROUP BY customer
), level AS (
  SELECT list_reduce(list_transform(rows, lambda r: {"at": r."at", kind: r.kind, a: CASE WHEN r.kind = 1 THEN r."at" END, b: NULL::BIGINT, c: NULL::BIGINT, best: CASE WHEN r.kind = 1 THEN 1 ELSE 0 END}),
    lambda s, r: {"at": r."at", kind: r.kind,
      a: CASE WHEN r.kind = 1 THEN r."at" ELSE s.a END,
      b: CASE WHEN r.kind = 2 AND r."at" - s.a <= 604800000000 THEN s.a ELSE s.b END,
      c: CASE WHEN r.kind = 3 AND r."at" - s.b <= 604800000000 THEN s.b ELSE s.c END,
      best: greatest(s.best, CASE WHEN r.kind = 1 THEN 1 WHEN r.kind = 2 AND r."at" - s.a <= 604800000000 THEN 2
        WHEN r.kind = 3 AND r."at" - s.b <= 604800000000 THEN 3 WHEN r.kind = 4 AND r."at" - s.c <= 604800000000 THEN 4 ELSE 0 END)}).best AS level
  FROM customer
)
SELECT s.step, count(*) FILTER (WHERE level >= s.step) AS customers FROM level, (VALUES (1), (2), (3), (4)) AS s (step) GROUP BY 1 ORDER BY 1;
