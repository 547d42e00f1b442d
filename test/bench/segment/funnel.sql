-- Ours: four steps within seven days in one pass, customers who came to each.
SELECT s.step, s.customers
FROM (SELECT cdp.funnel_pass(customer, at, kind, cdp.funnel_options('{1,2,3,4}', within => '7 days', durations => false)) AS f
      FROM events) AS e, cdp.funnel_steps(e.f) AS s ORDER BY 1;
