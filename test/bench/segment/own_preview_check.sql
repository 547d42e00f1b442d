-- What a preview must find: those of its sample whom the pass found.
WITH everybody AS MATERIALIZED (
  SELECT cdp.roaring_build(customer_id) AS bits FROM cdp_data.customer
), drawn AS MATERIALIZED (
  SELECT cdp.roaring_sample(e.bits, greatest(0.005, 1000.0 / cdp.roaring_count(e.bits))) AS bits, cdp.roaring_count(e.bits) AS everybody FROM everybody AS e
)
SELECT right(s.name, 2)::integer AS nth, (SELECT count(*) FROM cdp_data.segment_chunk AS c CROSS JOIN LATERAL cdp.roaring_ids(c.bits) AS m WHERE c.segment_id = s.segment_id AND cdp.roaring_has(d.bits, m)) AS hits,
  cdp.roaring_count(d.bits) AS looked_at, d.everybody
FROM cdp_data.segment AS s, drawn AS d WHERE s.name LIKE 'rule%' ORDER BY 1;
