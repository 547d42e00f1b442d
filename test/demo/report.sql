-- The attribution report as one readable table: a line a channel, a column a model, money of the reporting currency.
SELECT r.label AS channel,
  to_char(sum(r.value) FILTER (WHERE r.model = 'last'), '99,999,990') AS "last",
  to_char(sum(r.value) FILTER (WHERE r.model = 'linear'), '99,999,990') AS linear,
  to_char(sum(r.value) FILTER (WHERE r.model = 'u_shaped'), '99,999,990') AS u_shaped,
  to_char(sum(r.value) FILTER (WHERE r.model = 'markov'), '99,999,990') AS markov,
  to_char(sum(r.value) FILTER (WHERE r.model = 'shapley'), '99,999,990') AS shapley,
  to_char(sum(r.conversions) FILTER (WHERE r.model = 'markov'), '99,999,990.0') AS "markov orders",
  coalesce(to_char(max(r.spend), '99,999,990'), '') AS spend,
  coalesce(to_char(max(r.roas) FILTER (WHERE r.model = 'markov'), '99,990.0'), '') AS "markov ROAS"
FROM cdp.attribution() r
GROUP BY GROUPING SETS ((r.label), ())
HAVING r.label IS NOT NULL
ORDER BY r.label = '(unattributed)', sum(r.value) FILTER (WHERE r.model = 'markov') DESC, r.label;
