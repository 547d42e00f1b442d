-- Peer of attribution_rules_vs_sql: five rule models by window functions, in one query.
-- Reads touches and conversions apart (nothing to filter) and the value as float8.
WITH pair AS (
  SELECT c.conversion, c.value, t.channel, t.at,
         extract(epoch FROM c.at - t.at)::float8 AS age
  FROM conversions AS c
  JOIN touches AS t ON t.customer = c.customer AND t.at <= c.at AND t.at >= c.at - interval '30 days'
), ranked AS (
  SELECT channel, value,
         row_number() OVER by_time AS i,
         count(*) OVER whole AS n,
         exp(-0.6931471805599453 * age / 604800) AS decay,
         sum(exp(-0.6931471805599453 * age / 604800)) OVER whole AS decays
  FROM pair
  WINDOW whole AS (PARTITION BY conversion), by_time AS (PARTITION BY conversion ORDER BY at)
), weighted AS (
  SELECT channel, value,
         CASE WHEN i = 1 THEN 1.0::float8 ELSE 0 END AS first,
         CASE WHEN i = n THEN 1.0::float8 ELSE 0 END AS last,
         1.0::float8 / n AS linear,
         CASE WHEN n = 1 THEN 1.0::float8 WHEN n = 2 THEN 0.5
              WHEN i = 1 OR i = n THEN 0.4 ELSE 0.2::float8 / (n - 2) END AS u_shaped,
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
ORDER BY channel COLLATE "C";
