-- Who may have an offer is exactly who would be in a segment of its rule: random worlds with merges, erasures, consent and
-- lists, every rule of the world asked for all at once, and for some customers one at a time.
BEGIN;
SELECT plan(8);
\ir segment_world.inc
SELECT setseed(0.4711);
SELECT cdp.create_segment(v.name, v.rule, 'service') FROM public.variant v WHERE v.nth = 1 AND v.name NOT IN ('listed', 'both') \g /dev/null
SELECT cdp.upload_list(l, 'email', '{p1@example.org}') IS NOT NULL FROM unnest('{press,staff}'::text[]) l;
SELECT cdp.create_segment(v.name, v.rule, 'service') FROM public.variant v WHERE v.nth = 1 AND v.name = 'listed' \g /dev/null
SELECT cdp.create_segment('both', (SELECT rule FROM public.variant WHERE name = 'both' AND nth = 1), 'service') \g /dev/null
SELECT cdp.create_placement('home', '{"method": "value"}') \g /dev/null
SELECT cdp.create_offer(v.name || v.nth, '{home}', 'service', rule => v.rule::text) FROM public.variant v \g /dev/null
-- What segments of the same rules would have: names of offers by customer, who is in none as well.
CREATE FUNCTION pg_temp.by_segments(at timestamptz) RETURNS TABLE (customer bigint, offers text) LANGUAGE plpgsql AS $$
DECLARE
  n integer := (SELECT count(*) FROM public.variant);
  plan jsonb := cdp_internal.unsaved_plan((SELECT jsonb_agg(cdp_internal.rule_canonical(v.rule) ORDER BY v.name, v.nth) FROM public.variant v), at);
BEGIN
  RETURN QUERY
  WITH r AS MATERIALIZED (SELECT x.members, row_number() OVER (ORDER BY x.segment_id DESC) AS back FROM cdp_internal.segment_results(plan, NULL, NULL, cdp_internal.segment_population()) x),
    s AS (SELECT v.name || v.nth AS name, r.members FROM (SELECT v.*, row_number() OVER (ORDER BY v.name, v.nth) AS k FROM public.variant v) v JOIN r ON r.back = n - v.k + 1)
  SELECT c.customer_id, coalesce(string_agg(s.name, ' ' ORDER BY s.name COLLATE "C") FILTER (WHERE cdp.roaring_has(s.members, c.customer_id)), '') FROM cdp_data.customer c CROSS JOIN s WHERE c.parent_id = c.customer_id GROUP BY c.customer_id;
END $$;
CREATE FUNCTION pg_temp.by_offers(at timestamptz, part int) RETURNS TABLE (customer bigint, offers text) LANGUAGE sql AS $$
  SELECT c.customer_id, coalesce(string_agg(e.offer, ' ' ORDER BY e.offer COLLATE "C") FILTER (WHERE e.refused IS NULL), '') FROM cdp_data.customer c CROSS JOIN LATERAL cdp.explain_offers(c.customer_id, 'home', at) e WHERE c.parent_id = c.customer_id AND c.customer_id % 4 = part GROUP BY c.customer_id $$;
CREATE FUNCTION pg_temp.at_once(at timestamptz) RETURNS TABLE (customer bigint, offers text) LANGUAGE sql AS $$
  SELECT d.customer_id, coalesce(string_agg(o.name, ' ' ORDER BY o.name COLLATE "C") FILTER (WHERE NOT c ? 'refused'), '') FROM cdp_internal.offer_decide('home', ARRAY(SELECT customer_id FROM cdp_data.customer), at, 1, false) d
    CROSS JOIN LATERAL jsonb_array_elements(d.candidates) c JOIN cdp_data.offer o ON o.offer_id = (c ->> 'offer')::int GROUP BY d.customer_id $$;
SELECT count(pg_temp.step(n)) FROM generate_series(1, 60) n \g /dev/null
SELECT cdp.refresh_profiles() \g /dev/null
SELECT cmp_ok((SELECT count(DISTINCT offers) FROM pg_temp.by_segments((SELECT at FROM public.world))), '>', 5::bigint, 'people differ');
SELECT results_eq('SELECT * FROM pg_temp.by_offers((SELECT at FROM public.world), 0) ORDER BY 1', 'SELECT * FROM pg_temp.by_segments((SELECT at FROM public.world)) WHERE customer % 4 = 0 ORDER BY 1', 'each customer, asked alone');
SELECT results_eq('SELECT * FROM pg_temp.at_once((SELECT at FROM public.world)) ORDER BY 1', 'SELECT * FROM pg_temp.by_segments((SELECT at FROM public.world)) ORDER BY 1', 'and all at once');
SELECT count(pg_temp.step(n)) FROM generate_series(61, 150) n \g /dev/null
SELECT cdp.refresh_profiles() \g /dev/null
SELECT results_eq('SELECT * FROM pg_temp.by_offers((SELECT at FROM public.world), 1) ORDER BY 1', 'SELECT * FROM pg_temp.by_segments((SELECT at FROM public.world)) WHERE customer % 4 = 1 ORDER BY 1', 'further on, alone');
SELECT results_eq('SELECT * FROM pg_temp.at_once((SELECT at FROM public.world)) ORDER BY 1', 'SELECT * FROM pg_temp.by_segments((SELECT at FROM public.world)) ORDER BY 1', 'and at once');
SELECT results_eq($$SELECT * FROM pg_temp.at_once((SELECT at - interval '11 days' FROM public.world)) ORDER BY 1$$, $$SELECT * FROM pg_temp.by_segments((SELECT at - interval '11 days' FROM public.world)) ORDER BY 1$$, 'as of an earlier moment');
-- What a run of segments finds is the same.
SELECT kind FROM cdp.evaluate_segments((SELECT at FROM public.world)) \g /dev/null
SELECT results_eq($$SELECT m.customer_id FROM cdp_bi.segment_member m WHERE m.segment = 'spenders' ORDER BY 1$$, $$SELECT customer FROM pg_temp.at_once((SELECT at FROM public.world)) WHERE 'spenders' || (SELECT nth FROM public.variant v JOIN cdp_data.segment s ON s.name = v.name JOIN cdp_data.segment_version x ON x.segment_id = s.segment_id AND x.version = s.version WHERE v.name = 'spenders' AND cdp_internal.rule_canonical(v.rule) = x.rule) = ANY (string_to_array(offers, ' ')) ORDER BY 1$$, 'members of a segment are those who may have its offer');
-- A rule that no longer checks is given to nobody, and the others stay.
SELECT cdp.archive_segment('both');
UPDATE cdp_data.offer_version SET rule = replace(rule::text, '"segment": "idle"', '"segment": "nobody knows"')::jsonb;
SELECT is((SELECT array_agg(DISTINCT e.offer ORDER BY e.offer) FROM cdp.explain_offers((SELECT min(customer_id) FROM cdp_data.customer WHERE parent_id = customer_id), 'home') e WHERE e.refused = 'rule'), '{both2}', 'a rule that no longer checks');
SELECT * FROM finish();
ROLLBACK;
