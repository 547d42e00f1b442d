-- The same from the table, which is read and whose ids are numbered.
SELECT CASE WHEN account IS NULL THEN 'attribute ' || attribute ELSE 'account ' || account END FROM cdp.fraud_dense_blocks('edge'::regclass);
