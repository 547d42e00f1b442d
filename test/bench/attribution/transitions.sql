-- Ours, for the check of Markov: the transition counts of order 1.
SELECT t.from_state[1] AS from_label, t.to_label, t.count
FROM (SELECT cdp.attribution_pass(customer, at, channel, revenue,
               cdp.attribution_options(models => '{markov(1)}', lookback => '30 days')) AS a
      FROM events) AS s, cdp.attribution_transitions(s.a, 1) AS t
WHERE t.count <> 0
ORDER BY from_label, to_label;
