-- Four times t when the bench of the caps ended well: the ledger is whole; counters hold what rewards say, and every conversion that was
-- given out far from the caps has its reward in full; near them the budget is used to the cent; there no advocate has more than his cap,
-- and some have just that.
SELECT concat_ws(' ',
  (SELECT count(*) FROM cdp.ledger_verify()) = 0,
  NOT EXISTS (SELECT FROM cdp_data.reward_counter c LEFT JOIN (SELECT k, sum(w.amount_minor) AS minor, count(*) FILTER (WHERE w.amount_minor > 0) AS n FROM cdp_data.reward w CROSS JOIN LATERAL unnest(w.counters) k GROUP BY 1) x ON x.k = c.counter_key
    WHERE (c.used_minor, c.used_count) IS DISTINCT FROM (coalesce(x.minor, 0), coalesce(x.n, 0)))
    AND (SELECT count(*) = count(DISTINCT w.idempotency_key) AND bool_and(w.amount_minor = 1000 AND w.pending_minor = 1000) FROM cdp_data.reward w WHERE w.referral_campaign_id = 1),
  (SELECT sum(w.amount_minor) = 2123456 AND max(c.used_minor) = 2123456 FROM cdp_data.reward w CROSS JOIN cdp_data.reward_counter c WHERE w.referral_campaign_id = 2 AND c.counter_key = 'budget/2'),
  (SELECT max(x.minor) = 2500 FROM (SELECT sum(w.amount_minor) AS minor FROM cdp_data.reward w WHERE w.referral_campaign_id = 2 GROUP BY w.customer_id) x));
