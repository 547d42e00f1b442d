-- After the tables of every room are there: row security by source on those that it does not cover yet.

-- step: again: source policies
SELECT cdp_internal.apply_source_policies();
