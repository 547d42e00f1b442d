-- Referral room, report: its sections about money: what the campaign brought and cost, how fast rewards come, what is owed, and fraud.

CREATE OR REPLACE FUNCTION cdp_internal.referral_window(campaign integer, as_of timestamptz, OUT since timestamptz, OUT until timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT coalesce(c.starts_at, (SELECT min(s.from_at) FROM cdp_data.referral_campaign_state s WHERE s.referral_campaign_id = campaign AND s.state = 'active'), c.created_at),
    least(c.ends_at, as_of, (SELECT min(s.from_at) FROM cdp_data.referral_campaign_state s WHERE s.referral_campaign_id = campaign AND s.state IN ('ended', 'archived')))
  INTO since, until FROM cdp_data.referral_campaign c WHERE c.referral_campaign_id = campaign;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_window(integer, timestamptz) IS
'From when to when a campaign ran: its start, else its first activation, else its making; its end, or as_of when that is earlier.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_costs(campaign integer, as_of timestamptz, rewards record, OUT granted_minor numeric, OUT clawed_minor numeric, OUT expired_minor numeric, OUT fees_minor numeric, OUT owed_minor numeric, OUT clawed_people bigint, OUT expired_people bigint, OUT owing_people bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  money text := (SELECT c.currency FROM cdp_data.referral_campaign c WHERE c.referral_campaign_id = campaign);
  map bytea := cdp_internal.customer_map();
BEGIN
  SELECT coalesce(sum(w.amount), 0), coalesce(sum(w.clawed), 0), coalesce(sum(w.expired), 0), count(DISTINCT w.root) FILTER (WHERE w.clawed > 0), count(DISTINCT w.root) FILTER (WHERE w.expired > 0) INTO granted_minor, clawed_minor, expired_minor, clawed_people, expired_people
  FROM unnest(rewards.roots, rewards.amounts, rewards.clawed, rewards.expired, rewards.states) AS w (root, amount, clawed, expired, state) WHERE w.state <> 'reserved';
  SELECT coalesce(sum(b.minor) FILTER (WHERE b.kind = 'fees'), 0), coalesce(sum(b.minor) FILTER (WHERE b.kind = 'clawback_receivable'), 0), count(*) FILTER (WHERE b.kind = 'clawback_receivable' AND b.minor <> 0) INTO fees_minor, owed_minor, owing_people
  FROM (SELECT a.kind, CASE WHEN a.kind <> 'fees' THEN CASE WHEN a.customer_id < 0 THEN a.customer_id ELSE cdp_internal.customer_root(map, NULL, a.customer_id, NULL) END END AS root, sum(e.amount_minor) AS minor
    FROM cdp_data.ledger_account a JOIN cdp_data.ledger_entry e ON e.ledger_account_id = a.ledger_account_id JOIN cdp_data.ledger_posting p ON p.ledger_posting_id = e.ledger_posting_id
    WHERE a.referral_campaign_id = campaign AND a.kind IN ('fees', 'clawback_receivable') AND p.occurred_at <= as_of AND a.currency = money GROUP BY 1, 2) b;
  -- The fee of a payout belongs to the campaigns whose rewards it paid, by their amounts.
  fees_minor := fees_minor + coalesce((
    SELECT sum(f.minor * i.minor / y.amount_minor)
    FROM (SELECT i.payout_id, sum(i.amount_minor) AS minor FROM cdp_data.payout_item i JOIN cdp_data.reward w ON w.reward_id = i.reward_id WHERE w.referral_campaign_id = campaign GROUP BY i.payout_id) i
      JOIN cdp_data.payout y ON y.payout_id = i.payout_id AND y.currency = money
      JOIN (SELECT p.payout_id, sum(e.amount_minor) AS minor
        FROM cdp_data.ledger_account a JOIN cdp_data.ledger_entry e ON e.ledger_account_id = a.ledger_account_id JOIN cdp_data.ledger_posting p ON p.ledger_posting_id = e.ledger_posting_id
        WHERE a.kind = 'fees' AND a.referral_campaign_id IS NULL AND a.currency = money AND p.payout_id IS NOT NULL AND p.occurred_at <= as_of GROUP BY p.payout_id) f ON f.payout_id = i.payout_id), 0);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_costs(integer, timestamptz, record) IS
'What a campaign cost up to as_of in minor units of its currency: rewards granted (reserved ones are not), taken back, expired, fees of providers (of payouts for several campaigns by their amounts) and debts given up, and what was paid, taken back and is still owed by those who got it; of how many people something was taken back, expired, and who owe. rewards: cdp_internal.referral_reward_book().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_report_money(campaign integer, as_of timestamptz, margin double precision, other_cost numeric, confidence double precision, book record, rewards record)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  c record;
  b record;
  cost record := cdp_internal.referral_costs(campaign, as_of, rewards);
  gross numeric;
  net numeric;
  net_people bigint; -- the fewest of whom net cost tells: less what is shown beside it, it would tell what is hidden of them
  x record;
  h record;
  w record := cdp_internal.referral_window(campaign, as_of);
  no_margin constant text := 'insufficient data: say what part of revenue is margin (margin => 0.3)';
BEGIN
  SELECT r.currency, r.campaign_id, (SELECT o.name FROM cdp_data.holdout o WHERE o.holdout_id = r.holdout_id) AS holdout, power(10, cdp_internal.referral_exponent(r.currency))::numeric AS unit INTO c
  FROM cdp_data.referral_campaign r WHERE r.referral_campaign_id = campaign;
  SELECT coalesce(sum(l.revenue), 0) / c.unit AS revenue, coalesce(sum(l.refunded), 0) / c.unit AS refunded, count(l.bought_at) AS buyers, count(*) AS approved, book.foreign_purchases AS elsewhere, count(*) FILTER (WHERE l.refunded > 0) AS refunders INTO b
  FROM unnest(book.states, book.bought, book.revenues, book.refunds) AS l (state, bought_at, revenue, refunded) WHERE l.state = 'approved';
  gross := (cost.granted_minor + cost.fees_minor) / c.unit + other_cost;
  net := (cost.granted_minor - cost.clawed_minor - cost.expired_minor + cost.fees_minor + cost.owed_minor) / c.unit + other_cost;
  net_people := least(nullif(cost.clawed_people, 0), nullif(cost.expired_people, 0), nullif(cost.owing_people, 0));
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('money', 'revenue', CASE WHEN b.approved > 0 THEN b.revenue::double precision END, c.currency, b.buyers, b.buyers, NULL, NULL,
    CASE WHEN b.approved = 0 THEN 'insufficient data: no approved referrals' WHEN cdp_internal.few_people(b.elsewhere, NULL) THEN 'net of tax, shipping and discounts; purchases in other currencies are left out' WHEN b.elsewhere > 0 THEN format('net of tax, shipping and discounts; %s purchases in other currencies are left out', b.elsewhere) ELSE 'net of tax, shipping and discounts, of approved referrals' END);
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('money', 'refunds', CASE WHEN b.approved > 0 THEN b.refunded::double precision END, c.currency, b.refunders, b.buyers, NULL, NULL, CASE WHEN b.approved = 0 THEN 'insufficient data: no approved referrals' END);
  RETURN QUERY SELECT r.* FROM (VALUES (1, 'rewards_granted', cost.granted_minor / c.unit, 'approved, also what was taken back later'), (2, 'rewards_taken_back', cost.clawed_minor / c.unit, 'refunds and rejections'), (3, 'rewards_expired', cost.expired_minor / c.unit, 'breakage'),
      (4, 'fees', cost.fees_minor / c.unit, 'of providers, by the rewards they paid, and debts given up'), (5, 'clawback_outstanding', cost.owed_minor / c.unit, 'paid, taken back and not returned'), (6, 'other_cost', other_cost, 'as told (other_cost)'), (7, 'cost', gross, 'granted rewards, fees and other cost'),
      (8, 'net_cost', net, 'cost less what was taken back and expired, plus what is outstanding')) AS m (o, metric, v, note)
    CROSS JOIN LATERAL cdp_internal.referral_figure_row('money', m.metric, m.v::double precision, c.currency, CASE m.o WHEN 2 THEN cost.clawed_people WHEN 3 THEN cost.expired_people WHEN 5 THEN cost.owing_people WHEN 8 THEN least(nullif(b.approved, 0), net_people) ELSE b.approved END, NULL, NULL, NULL, m.note) r ORDER BY m.o;
  -- Profit and cost of each referral that brought or cost something: their sums are the figures. What belongs to none in particular is spread over all.
  WITH unit AS MATERIALIZED (
    SELECT CASE WHEN l.state = 'approved' THEN l.revenue / c.unit ELSE 0 END AS revenue, CASE WHEN l.state = 'approved' THEN l.refunded / c.unit ELSE 0 END AS refunded, (l.state = 'approved' AND l.bought_at IS NOT NULL) IS TRUE AS buyer,
      coalesce(y.granted, 0) / c.unit AS granted, coalesce(y.kept, 0) / c.unit AS kept
    FROM unnest(book.ids, book.states, book.bought, book.revenues, book.refunds) AS l (referral_id, state, bought_at, revenue, refunded)
      FULL JOIN (SELECT y.referral_id, sum(y.amount) AS granted, sum(y.amount - y.clawed - y.expired) AS kept FROM unnest(rewards.referrals, rewards.amounts, rewards.clawed, rewards.expired, rewards.states) AS y (referral_id, amount, clawed, expired, state) WHERE y.state <> 'reserved' GROUP BY y.referral_id) y ON y.referral_id = l.referral_id
    WHERE l.state = 'approved' OR y.granted > 0
  ), cost AS (
    SELECT u.*, u.granted + (cost.fees_minor / c.unit + other_cost) / s.n AS gross, u.kept + ((cost.fees_minor + cost.owed_minor) / c.unit + other_cost) / s.n AS net FROM unit u CROSS JOIN (SELECT count(*) AS n FROM unit) s
  )
  SELECT coalesce(array_agg((coalesce(margin, 0)::numeric * u.revenue - u.gross)::double precision), '{}') AS profits, coalesce(array_agg(u.gross::double precision), '{}') AS costs, coalesce(array_agg((coalesce(margin, 0)::numeric * (u.revenue - u.refunded) - u.net)::double precision), '{}') AS nets,
    coalesce(array_agg(u.net::double precision), '{}') AS net_costs, coalesce(array_agg(u.buyer::integer::double precision), '{}') AS buyers, count(*) AS n INTO x FROM cost u;
  IF margin IS NOT NULL THEN
    h := cdp.bootstrap_ratio(x.profits, x.costs, 1, cdp_internal.referral_replicates(x.n), confidence);
  ELSE
    SELECT NULL::double precision AS low, NULL::double precision AS high INTO h;
  END IF;
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('money', 'gross_roi', CASE WHEN margin IS NOT NULL AND b.approved > 0 THEN ((margin * b.revenue::double precision - gross) / nullif(gross, 0))::double precision END, 'profit per unit of cost', b.buyers, b.approved, h.low, h.high,
    CASE WHEN b.approved = 0 THEN 'insufficient data: no approved referrals' WHEN margin IS NULL THEN no_margin WHEN gross = 0 THEN 'insufficient data: it cost nothing' ELSE '(margin x revenue - cost) / cost; interval by bootstrap over referrals' END, round((margin * b.revenue::double precision - gross)::numeric, 6), gross, 'cost');
  SELECT NULL::double precision AS low, NULL::double precision AS high INTO h;
  IF margin IS NOT NULL AND 0 <= ALL (x.net_costs) THEN
    h := cdp.bootstrap_ratio(x.nets, x.net_costs, 1, cdp_internal.referral_replicates(x.n), confidence);
  END IF;
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('money', 'net_roi', CASE WHEN margin IS NOT NULL AND b.approved > 0 THEN ((margin * (b.revenue - b.refunded)::double precision - net) / nullif(net, 0))::double precision END, 'profit per unit of cost', least(nullif(b.buyers, 0), nullif(b.refunders, 0), net_people), b.approved, h.low, h.high,
    CASE WHEN b.approved = 0 THEN 'insufficient data: no approved referrals' WHEN margin IS NULL THEN no_margin WHEN net = 0 THEN 'insufficient data: it cost nothing' ELSE '(margin x (revenue - refunds) - net cost) / net cost; interval by bootstrap over referrals' END, round((margin * (b.revenue - b.refunded)::double precision - net)::numeric, 6), net, 'net cost');
  SELECT l.* INTO h FROM cdp.holdout_lift(c.holdout, w.since, w.until, as_of, currency => c.currency, missing_rate => 'zero', confidence => confidence) l WHERE c.holdout IS NOT NULL AND w.since < w.until;
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('money', 'incremental_customers', CASE WHEN h.difference IS NOT NULL THEN h.difference::double precision * h.treated END, 'customers', h.treated, h.treated + h.control,
    h.low::double precision * h.treated, h.high::double precision * h.treated, CASE WHEN c.holdout IS NULL THEN 'insufficient data: the campaign has no holdout' WHEN h.treated IS NULL THEN 'insufficient data: nobody is in an arm of the holdout' ELSE CASE WHEN h.difference IS NULL THEN 'insufficient data: ' ELSE 'buyers of the audience, told against held out (Newcombe): ' END || h.verdict END,
    h.treated_converted, h.treated, 'customers of the arm treatment');
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('money', 'incremental_roi', (margin * h.revenue_difference * h.treated - net)::double precision / nullif(net, 0)::double precision, 'profit per unit of cost', least(nullif(h.treated, 0), net_people), h.treated + h.control,
    (margin * h.revenue_low * h.treated - net)::double precision / nullif(net, 0)::double precision, (margin * h.revenue_high * h.treated - net)::double precision / nullif(net, 0)::double precision,
    CASE WHEN c.holdout IS NULL THEN 'insufficient data: the campaign has no holdout' WHEN margin IS NULL THEN no_margin WHEN h.revenue_difference IS NULL THEN 'insufficient data: the arms are too small' WHEN net = 0 THEN 'insufficient data: it cost nothing' ELSE 'revenue per customer, told less held out, times margin and those told, less net cost (Welch)' END, NULL, net, 'net cost');
  h := cdp.bootstrap_ratio(x.net_costs, x.buyers, 1, cdp_internal.referral_replicates(x.n), confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('money', 'cac_referred', (net / nullif(b.buyers, 0))::double precision, c.currency || ' per new customer', least(nullif(b.buyers, 0), net_people), b.buyers, h.low, h.high,
    CASE WHEN b.buyers = 0 THEN 'insufficient data: nobody who was brought and approved has bought' ELSE 'net cost / approved buyers' END, net, b.buyers, 'approved buyers');
  RETURN QUERY SELECT * FROM cdp_internal.referral_other_cac(campaign, w.since, w.until);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_report_money(integer, timestamptz, double precision, numeric, double precision, record, record) IS
'Section money of cdp.referral_report().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_other_cac(campaign integer, since timestamptz, until timestamptz)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  own text := (SELECT a.name FROM cdp_data.referral_campaign c JOIN cdp_data.campaign a ON a.campaign_id = c.campaign_id WHERE c.referral_campaign_id = campaign);
  unit text := (SELECT s.currency FROM cdp_data.setting s);
  kinds smallint[] := cdp_internal.attribution_kinds(NULL, 'conversion');
  spent numeric;
  gained bigint;
BEGIN
  IF since < until THEN
    SELECT sum(s.spend) INTO spent FROM cdp_internal.attribution_spend(since, until, 'campaign', NULL, 'zero') s WHERE s.label IS DISTINCT FROM own;
  END IF;
  IF spent IS NOT NULL THEN
    SELECT count(*) INTO gained FROM (
        SELECT t.root FROM (SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), t.customer_id, t.identifier_id) AS root, t.occurred_at
          FROM cdp_data.touchpoint t WHERE t.kind_id = ANY (kinds) AND t.flags & 3 = 0 AND t.refers_to IS NULL AND t.occurred_at < until OFFSET 0) t
        WHERE t.root IS NOT NULL GROUP BY t.root HAVING min(t.occurred_at) >= since) n
      LEFT JOIN (SELECT b.referee FROM cdp_internal.referral_brought(campaign, until) b WHERE b.state <> 'rejected') b ON b.referee = n.root
    WHERE b.referee IS NULL;
  END IF;
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('money', 'cac_other', (spent / nullif(gained, 0))::double precision, unit || ' per new customer', gained, gained, NULL, NULL,
    CASE WHEN spent IS NULL THEN 'insufficient data: no spend is known of the time of the campaign' WHEN gained = 0 THEN 'insufficient data: no other new customers' ELSE 'spend of all other campaigns / customers whose first purchase came meanwhile and whom nobody brought' END, round(spent, 6), gained, 'other new customers');
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_other_cac(integer, timestamptz, timestamptz) IS
'The row cac_other of cdp.referral_report(): what a new customer cost who came otherwise, in the reporting currency.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_report_rewards(campaign integer, as_of timestamptz, gate bytea, confidence double precision, rewards record)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  c record;
  d record;
  q record;
  p double precision;
BEGIN
  SELECT r.currency, power(10, cdp_internal.referral_exponent(r.currency))::numeric AS unit INTO c FROM cdp_data.referral_campaign r WHERE r.referral_campaign_id = campaign;
  -- What was taken back before is censored nowhere: it never would have come.
  SELECT coalesce(array_agg(greatest(0, extract(epoch FROM coalesce(w.available_at, as_of) - w.earned_at)::double precision / 86400)), '{}') AS t, coalesce(array_agg(w.available_at IS NOT NULL), '{}') AS e,
    coalesce(array_agg(greatest(0, extract(epoch FROM coalesce(w.paid_at, as_of) - w.available_at)::double precision / 86400)) FILTER (WHERE w.available_at IS NOT NULL), '{}') AS pt, coalesce(array_agg(w.paid_at IS NOT NULL) FILTER (WHERE w.available_at IS NOT NULL), '{}') AS pe, count(DISTINCT w.root) AS people, count(DISTINCT w.root) FILTER (WHERE w.available_at IS NOT NULL) AS paid_people
  INTO d FROM unnest(rewards.roots, rewards.amounts, rewards.clawed, rewards.earned, rewards.available, rewards.paid) AS w (root, amount, clawed, earned_at, available_at, paid_at) WHERE w.amount > 0 AND (w.clawed < w.amount OR w.paid_at IS NOT NULL) AND (w.root < 0 OR cdp_internal.bitmap_has(gate, w.root));
  FOREACH p IN ARRAY '{0.5,0.9}'::double precision[] LOOP
    q := cdp.survival_quantile(d.t, d.e, p, confidence);
    RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('rewards', format('conversion_to_available_p%s', p * 100), q.value, 'days', d.people, q.n, q.low, q.high,
      CASE WHEN q.n = 0 THEN 'insufficient data: no rewards' WHEN q.value IS NULL THEN 'insufficient data: too few have become available' || CASE WHEN cdp_internal.few_people(q.ends, q.n) THEN '' ELSE format(' (%s of %s)', q.ends, q.n) END ELSE 'rewards that are not available yet are censored (Kaplan-Meier)' END);
  END LOOP;
  FOREACH p IN ARRAY '{0.5,0.9}'::double precision[] LOOP
    q := cdp.survival_quantile(d.pt, d.pe, p, confidence);
    RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('rewards', format('available_to_paid_p%s', p * 100), q.value, 'days', d.paid_people, q.n, q.low, q.high,
      CASE WHEN q.n = 0 THEN 'insufficient data: no available rewards' WHEN q.value IS NULL THEN 'insufficient data: too few are paid' || CASE WHEN cdp_internal.few_people(q.ends, q.n) THEN '' ELSE format(' (%s of %s)', q.ends, q.n) END ELSE 'rewards that are not paid yet are censored (Kaplan-Meier)' END);
  END LOOP;
  RETURN QUERY
  WITH open AS (
    SELECT w.open_minor, w.root, least(3, floor(extract(epoch FROM as_of - w.earned_at) / 2592000))::integer AS age FROM unnest(rewards.opens, rewards.roots, rewards.earned) AS w (open_minor, root, earned_at) WHERE w.open_minor > 0
  )
  SELECT r.* FROM (VALUES (0, 'liability_0_to_30_days'), (1, 'liability_30_to_60_days'), (2, 'liability_60_to_90_days'), (3, 'liability_over_90_days'), (4, 'liability')) AS a (o, metric)
    CROSS JOIN LATERAL (SELECT coalesce(sum(o.open_minor), 0) AS minor, count(DISTINCT o.root) AS people, count(*) AS n FROM open o WHERE o.age = a.o OR a.o = 4) s
    -- The sum less the other ages would tell one: then none of them is told.
    CROSS JOIN (SELECT min(y.people) AS people FROM (SELECT count(DISTINCT o.root) AS people FROM open o GROUP BY o.age) y) few
    CROSS JOIN LATERAL cdp_internal.referral_figure_row('rewards', a.metric, (s.minor / c.unit)::double precision, c.currency, CASE WHEN a.o < 4 AND s.people > 0 THEN few.people ELSE s.people END, s.n, NULL, NULL, CASE a.o WHEN 4 THEN 'earned and not paid out by as_of, of referrals that are approved now' ELSE 'since it was earned' END) r ORDER BY a.o;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_report_rewards(integer, timestamptz, bytea, double precision, record) IS
'Section rewards of cdp.referral_report(): how fast rewards come, and what is owed by its age.';
