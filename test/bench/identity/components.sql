-- All rows of ours, streamed.
SELECT count((r).id) AS nodes, count((r).component) AS labelled FROM (SELECT cdp.connected_components('links') AS r OFFSET 0) s;
