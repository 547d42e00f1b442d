-- Oracle of transitions.sql in plain SQL: journeys that convert (touches up to 30 days before the
-- conversion), and those that do not (touches of no conversion, cut at conversions and at 30 days of rest).
WITH pair AS (
  SELECT c.conversion, t.customer, t.at, t.channel
  FROM conversions AS c
  JOIN touches AS t ON t.customer = c.customer AND t.at <= c.at AND t.at >= c.at - interval '30 days'
), unused AS (
  SELECT e.customer, e.at, e.channel, e.revenue
  FROM events AS e
  WHERE NOT EXISTS (SELECT FROM pair AS p
                    WHERE p.customer = e.customer AND p.at = e.at AND e.revenue IS NULL)
), cut AS (
  SELECT customer, at, channel, revenue,
         coalesce(lag(revenue) OVER w IS NOT NULL OR lag(at) OVER w < at - interval '30 days', true) AS starts,
         lag(channel) OVER w AS channel_before,
         lead(at) OVER w AS at_next, lead(revenue) OVER w AS revenue_next
  FROM unused
  WINDOW w AS (PARTITION BY customer ORDER BY at)
), step AS (
  SELECT CASE WHEN starts THEN '(start)' ELSE channel_before END AS from_label, channel AS to_label
  FROM cut WHERE revenue IS NULL
  UNION ALL
  SELECT channel, '(null)'
  FROM cut
  WHERE revenue IS NULL
    AND (at_next IS NULL OR revenue_next IS NOT NULL OR at < at_next - interval '30 days')
  UNION ALL
  SELECT coalesce(lag(channel) OVER j, '(start)'), channel
  FROM pair WINDOW j AS (PARTITION BY conversion ORDER BY at)
  UNION ALL
  SELECT last_channel, '(conversion)'
  FROM (SELECT DISTINCT ON (conversion) channel AS last_channel
        FROM pair ORDER BY conversion, at DESC) AS l
)
SELECT from_label, to_label, count(*) AS count
FROM step
GROUP BY 1, 2
ORDER BY from_label, to_label;
