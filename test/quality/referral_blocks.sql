-- FRAUDAR on injected blocks: 300 accounts and 100 attributes with an edge between each pair at probability 0.5, in a random
-- graph of 2 million edges, 400,000 accounts and 200,000 attributes of uneven popularity. Three times: without camouflage; with
-- as many edges again from each account of the block to attributes at random; and to attributes by their popularity. F is the
-- harmonic mean of precision and recall over all members, accounts and attributes.
CREATE EXTENSION pg_cdp;
-- A number in [0, 1) that depends on its arguments alone.
CREATE FUNCTION unit(i bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashint8extended(i, salt) >> 11 & 9007199254740991)::float8 / 9007199254740992;
CREATE TABLE edge AS
SELECT floor(unit(i, 1) * 400000)::bigint AS a, floor(200000 * unit(i, 2) ^ 2)::bigint AS b FROM generate_series(1, 2000000::bigint) i;
-- The block takes accounts and attributes that are there already.
CREATE TABLE member AS SELECT 'account' AS side, i * 997 % 400000 AS id FROM generate_series(1, 300::bigint) i
UNION ALL SELECT 'attribute', 100000 + i * 613 % 100000 FROM generate_series(1, 100::bigint) i;
CREATE TABLE injected AS SELECT a.id AS a, b.id AS b FROM member a, member b WHERE a.side = 'account' AND b.side = 'attribute' AND unit(a.id * 1000003 + b.id, 3) < 0.5;
CREATE TABLE camouflage AS
SELECT 'random' AS sort, a, floor(200000 * unit(a * 200003 + b, 4))::bigint AS b FROM injected
UNION ALL SELECT 'biased', a, floor(200000 * unit(a * 200003 + b, 5) ^ 2)::bigint FROM injected;
CREATE TABLE found AS
SELECT sort, coalesce(account, attribute::bigint) AS id, CASE WHEN account IS NULL THEN 'attribute' ELSE 'account' END AS side
FROM unnest('{none,random,biased}'::text[]) AS sort,
  LATERAL (SELECT cdp.fraud_graph(a, b) AS g FROM (SELECT a, b FROM edge UNION ALL SELECT a, b FROM injected UNION ALL SELECT c.a, c.b FROM camouflage c WHERE c.sort = sort.sort) e) x,
  LATERAL cdp.fraud_dense_blocks(g) d;
SELECT format('%-6sblock, camouflage %s: F %s >= 0.99 (%s found, %s of %s right)', CASE WHEN f >= 0.99 THEN 'ok' ELSE 'BELOW' END, sort, round(f, 4), n, hits, members)
FROM (SELECT sort, count(*) AS n, count(m.id) AS hits, (SELECT count(*) FROM member) AS members, 2.0 * count(m.id) / (count(*) + (SELECT count(*) FROM member)) AS f
  FROM found LEFT JOIN member m USING (side, id) GROUP BY sort) s
ORDER BY sort <> 'none', sort DESC;
