-- Ours: twelve rule models in one pass over the user's plain table.
SELECT r.label, r.model, r.conversions, r.value
FROM (SELECT cdp.attribution_pass(customer, at, channel, revenue,
               cdp.attribution_options(models => '{first,last,first_non(Direct),last_non(Direct),linear,linear_unique,u_shaped,j_shaped,inverse_j,time_decay(7 days),exponential(0.5),ramp}',
                                       lookback => '30 days')) AS a
      FROM events) AS s, cdp.attribution_totals(s.a) AS r;
