-- Ours: the twelve rule models of rules.sql with Markov of order 1 to 3 and Shapley, in the same pass.
SELECT r.label, r.model, r.conversions, r.value
FROM (SELECT cdp.attribution_pass(customer, at, channel, revenue,
               cdp.attribution_options(models => '{first,last,first_non(Direct),last_non(Direct),linear,linear_unique,u_shaped,j_shaped,inverse_j,time_decay(7 days),exponential(0.5),ramp,markov(1),markov(2),markov(3),shapley}',
                                       lookback => '30 days')) AS a
      FROM events) AS s, cdp.attribution_totals(s.a) AS r;
