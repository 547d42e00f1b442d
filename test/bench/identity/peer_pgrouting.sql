-- All rows of pgRouting.
SELECT count(node) AS nodes, count(component) AS labelled
FROM pgr_connectedComponents('SELECT id, source, target, cost FROM routing');
