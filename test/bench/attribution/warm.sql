-- A pass over a thousand rows: loads the library and fills the caches of a new session.
SELECT count(*)
FROM (SELECT cdp.attribution_pass(customer, at, channel, revenue,
               cdp.attribution_options(models => '{last,markov(1),shapley}', lookback => '30 days')) AS a
      FROM (SELECT * FROM events LIMIT 1000) AS e) AS s, cdp.attribution_totals(s.a) AS r;
