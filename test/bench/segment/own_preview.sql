-- Ours: how large all 35 would be, from a sample of half a percent, at the moment of the run.
SELECT nth, hits, looked_at, everybody
FROM cdp.segment_preview((SELECT jsonb_agg(r.value -> 'rule' ORDER BY r.nth) FROM bench.input AS i, jsonb_array_elements(i.rules) WITH ORDINALITY AS r (value, nth) WHERE i.name = '35'),
  'analytics', 0.005, as_of => bench.as_of() + make_interval(mins => :run)) ORDER BY 1;
