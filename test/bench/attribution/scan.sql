-- The floor of attribution_rules_vs_scan: the cheapest thing that reads every row of the table.
SELECT count(*), max(at) FROM events;
