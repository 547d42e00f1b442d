-- The segments that the first pass found in our own tables, to be those of the plain table.
SELECT right(s.name, 2)::integer AS nth, count(m) AS customers, coalesce(sum(m * 2654435761 % 4294967291), 0) AS checksum
FROM cdp_data.segment AS s LEFT JOIN cdp_data.segment_chunk AS c USING (segment_id) LEFT JOIN LATERAL cdp.roaring_ids(c.bits) AS m ON true
WHERE s.name LIKE 'rule%' GROUP BY s.segment_id, s.name ORDER BY 1;
