-- Members of the densest block of the graph that was kept as one value.
SELECT CASE WHEN account IS NULL THEN 'attribute ' || attribute ELSE 'account ' || account END FROM graph, LATERAL cdp.fraud_dense_blocks(g);
