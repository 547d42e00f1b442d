-- Peer of attribution_rules_vs_duckdb: five rule models in DuckDB, on the same plain 4-column table.
-- Seconds are subtracted as integers: epoch() of an interval costs DuckDB five times the rest of the query.
WITH conversion AS MATERIALIZED (
  SELECT row_number() OVER () AS conversion, customer, "at", "at" - INTERVAL 720 HOURS AS since,
         revenue::DOUBLE AS value
  FROM events WHERE revenue IS NOT NULL
), pair AS (
  SELECT c.conversion, c.value, t.channel, t."at" AS touched,
         (epoch_us(c."at") - epoch_us(t."at")) / 1e6 AS age
  FROM conversion AS c
  JOIN events AS t ON t.revenue IS NULL AND t.customer = c.customer AND t."at" <= c."at" AND t."at" >= c.since
), ranked AS (
  SELECT channel, value,
         row_number() OVER by_time AS i,
         count(*) OVER whole AS n,
         exp(-0.6931471805599453 * age / 604800) AS decay,
         sum(exp(-0.6931471805599453 * age / 604800)) OVER whole AS decays
  FROM pair
  WINDOW whole AS (PARTITION BY conversion), by_time AS (PARTITION BY conversion ORDER BY touched)
), weighted AS (
  SELECT channel, value,
         CASE WHEN i = 1 THEN 1.0::DOUBLE ELSE 0 END AS first,
         CASE WHEN i = n THEN 1.0::DOUBLE ELSE 0 END AS last,
         1.0::DOUBLE / n AS linear,
         CASE WHEN n = 1 THEN 1.0::DOUBLE WHEN n = 2 THEN 0.5
              WHEN i = 1 OR i = n THEN 0.4 ELSE 0.2::DOUBLE / (n - 2) END AS u_shaped,
         decay / decays AS time_decay
  FROM ranked
)
SELECT channel,
       sum(first) AS first, sum(first * value) AS first_value,
       sum(last) AS last, sum(last * value) AS last_value,
       sum(linear) AS linear, sum(linear * value) AS linear_value,
       sum(u_shaped) AS u_shaped, sum(u_shaped * value) AS u_shaped_value,
       sum(time_decay) AS time_decay, sum(time_decay * value) AS time_decay_value
FROM weighted
GROUP BY channel
ORDER BY channel;
