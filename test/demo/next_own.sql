-- Other models, another lookback; a row with revenue counts as a touch of its own conversion, too:
SELECT * FROM cdp.attribution(models => '{first,last,time_decay(7 days),markov(2)}', lookback => '14 days', conversion_is_touch => 'also');

-- How many bought within 30 days of a touch, and how long that took, by the channel of the touch:
SELECT * FROM cdp.funnel('{touch,purchase}', within => '30 days', breakdown_by => 'channel');

-- The same engine on any table of yours (who, when, where from, money):
SELECT r.* FROM (SELECT cdp.attribution_pass(customer, "time"::timestamptz, channel, nullif(btrim(revenue), '')::numeric, cdp.attribution_options(models => '{linear,shapley}')) AS a
                 FROM demo.own) s, cdp.attribution_totals(s.a) r;

-- Take the whole load back, look, and put it in again:
SELECT * FROM cdp.revert_load(1); SELECT count(*) FROM cdp_data.touchpoint; SELECT * FROM cdp.retry_load(1);
