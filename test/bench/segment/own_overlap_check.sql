-- The same by counting customers one by one.
WITH member AS (
  SELECT m AS customer, s.segment_id FROM cdp_data.segment AS s JOIN cdp_data.segment_chunk AS c USING (segment_id) CROSS JOIN LATERAL cdp.roaring_ids(c.bits) AS m
), pair AS (
  SELECT x, y, count(*) AS common FROM (SELECT array_agg(segment_id) AS ids FROM member GROUP BY customer) AS c CROSS JOIN LATERAL unnest(c.ids) AS x CROSS JOIN LATERAL unnest(c.ids) AS y GROUP BY x, y
)
SELECT a.name AS a, b.name AS b, coalesce(p.common, 0) AS common
FROM cdp_data.segment AS a CROSS JOIN cdp_data.segment AS b LEFT JOIN pair AS p ON p.x = a.segment_id AND p.y = b.segment_id ORDER BY a.name COLLATE "C", b.name COLLATE "C";
