-- The attribution report as one readable table: a line a channel, a column a model, money of the reporting currency.
SELECT r.label AS channel,
  to_char(sum(r.value) FILTER (WHERE r.model = 'last'), '999,999,990') AS "last",
  to_char(sum(r.value) FILTER (WHERE r.model = 'linear'), '999,999,990') AS linear,
  to_char(sum(r.value) FILTER (WHERE r.model = 'u_shaped'), '999,999,990') AS u_shaped,
  to_char(sum(r.value) FILTER (WHERE r.model = 'markov'), '999,999,990') AS markov,
  to_char(sum(r.value) FILTER (WHERE r.model = 'shapley'), '999,999,990') AS shapley,
  to_char(sum(r.conversions) FILTER (WHERE r.model = 'markov'), '99,999,990.0') AS "markov orders"
FROM (SELECT cdp.attribution_pass(t.customer_id, t.occurred_at, c.channel, CASE WHEN k.is_conversion THEN t.value END, cdp.attribution_options()) AS a
      FROM cdp_data.touchpoint t JOIN cdp_bi.origin_channel c USING (origin_id) JOIN cdp_data.touch_kind_all k USING (kind_id)
      WHERE t.flags = 0 AND (k.is_touch OR k.is_conversion)) s, cdp.attribution_totals(s.a) r
GROUP BY GROUPING SETS ((r.label), ())
HAVING r.label IS NOT NULL
ORDER BY r.label = '(unattributed)', sum(r.value) FILTER (WHERE r.model = 'markov') DESC, r.label;
