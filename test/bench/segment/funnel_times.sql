-- For comparison: the same with the exact quantiles of the times between steps.
SELECT s.step, s.customers, s.median_from_previous, s.p90_from_first
FROM (SELECT cdp.funnel_pass(customer, at, kind, cdp.funnel_options('{1,2,3,4}', within => '7 days')) AS f
      FROM events) AS e, cdp.funnel_steps(e.f) AS s ORDER BY 1;
