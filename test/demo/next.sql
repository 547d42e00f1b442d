-- Other models, another lookback, by group of channels:
SELECT * FROM cdp.attribution(models => '{first,last_non(Direct),time_decay(7 days),markov(2)}', lookback => '14 days', group_by => 'channel_group');

-- The same engine on any table of yours (who, when, where from, money):
SELECT r.* FROM (SELECT cdp.attribution_pass(identifier, occurred_at AT TIME ZONE 'Asia/Shanghai', source, value, cdp.attribution_options(models => '{linear,shapley}')) AS a
                 FROM demo.touches WHERE source <> '' OR value IS NOT NULL) s, cdp.attribution_totals(s.a) r;

-- Take the whole load back, look, and put it in again:
SELECT * FROM cdp.revert_load(1); SELECT count(*) FROM cdp_data.touchpoint; SELECT * FROM cdp.retry_load(1);

-- One customer as a document; and why an account and a newsletter's address are the same person:
SELECT jsonb_pretty(cdp.customer_360('user_id', 'U0000019'));
SELECT w.from_type, w.to_type, w.how FROM cdp_data.identifier a, cdp_data.identifier b, cdp.why_same(a.identifier_id, b.identifier_id) w
WHERE a.value = 'U0000019' AND b.value = 'hello.u100019@mail.example';
