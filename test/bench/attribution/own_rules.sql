-- Ours: the twelve rule models of rules.sql over our own tables, as an analyst asks for them.
SELECT r.label, r.model, r.conversions, r.value
FROM cdp.attribution(models => '{first,last,first_non(Direct),last_non(Direct),linear,linear_unique,u_shaped,j_shaped,inverse_j,time_decay(7 days),exponential(0.5),ramp}',
                     lookback => '30 days') AS r;
