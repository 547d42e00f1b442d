-- Ours: all rules together. The rules become a plan, the events go by once, and sets are combined. Every rule asks for
-- something done, so whoever the pass met is everybody. In the run that checks, checksum is a sum over the customers.
WITH plan AS MATERIALIZED (
  SELECT cdp_internal.rule_plan(i.rules, i.catalog, bench.as_of()) AS plan FROM bench.input AS i WHERE i.name = :'rules'
), pass AS MATERIALIZED (
  SELECT cdp_internal.segment_pass(e.customer, e.at, e.kind, NULL, NULL, NULL, NULL, e.properties, NULL, (SELECT plan FROM plan), NULL) AS result
  FROM events AS e WHERE e.at >= timestamptz '2026-04-01 00:00:00+00' -- no rule looks further back
)
SELECT c.segment_id AS nth, cdp.roaring_count(c.members) AS customers:checksum
FROM plan, pass, cdp_internal.segment_combine(plan.plan, cdp_internal.segment_pass_seen(pass.result), pass.result, NULL, '{}') AS c ORDER BY 1;
