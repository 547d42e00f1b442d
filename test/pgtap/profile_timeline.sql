-- The timeline against a slow oracle, at equal moments, with few rows, after merges, moved identifiers and reverts; names of
-- events and groups in the document.
SELECT plan(20);
SET client_min_messages = warning;
SELECT cdp.add_source('crm'), cdp.add_source('shop');
SELECT cdp.identify('crm', jsonb_build_object('crm_id', c, 'email', c || '@example.org'), jsonb_build_object('full_name', c), '2026-01-01 00:00Z') FROM unnest('{A,B,C,D}'::text[]) c;
SELECT cdp.track('shop', (ARRAY['visit', 'purchase', 'Course Clicked', 'click', 'refund'])[1 + n % 5], jsonb_build_object('crm_id', (ARRAY['A', 'B', 'C', 'D'])[1 + n % 4]), '{}', '2026-02-01 00:00Z'::timestamptz + n / 20 * interval '1 hour', 't' || n, n)
FROM generate_series(1, 80) n;
SELECT cdp.alias('crm', '{"crm_id": "B"}', '{"crm_id": "A"}', '2026-02-02 00:00Z');
SELECT cdp.identify('crm', '{"crm_id": "A", "cookie": "ck"}', '{"nickname": "from a cookie"}', '2026-01-05 00:00Z');
SELECT cdp.identify('crm', '{"cookie": "ck"}', '{"nickname": "cookie alone"}', '2026-01-06 00:00Z');
SELECT cdp.track('shop', 'visit', '{"cookie": "ck"}', '{}', '2026-02-01 01:00Z', 'c' || n) FROM generate_series(1, 5) n;
SELECT cdp.customer_of('crm_id', 'A') AS a, cdp.customer_of('crm_id', 'D') AS d \gset

-- Fewer rows are the first of more, also when a hundred things happened at once
SELECT is_empty(format($$SELECT n FROM generate_series(0, 20) n WHERE
  (SELECT array_agg(x) FROM (SELECT kind, what, id, at, detail FROM cdp.customer_timeline(%1$s, max_rows => n)) x) IS DISTINCT FROM
  (SELECT array_agg(x) FROM (SELECT kind, what, id, at, detail FROM cdp.customer_timeline(%1$s) LIMIT n) x)$$, r), 'fewer rows are the first of more') FROM (VALUES (:a), (:d)) x (r);
SELECT is((SELECT count(*) FROM cdp.customer_timeline(:a) WHERE kind IN ('touch', 'conversion', 'refund', 'event')), 45::bigint, 'all of both and of the cookie');
SELECT is((SELECT count(*) FROM cdp.customer_timeline(:a) WHERE what = 'event' AND detail ->> 'event' = 'Course Clicked'), (SELECT count(*) FROM generate_series(1, 80) n WHERE n % 5 = 2 AND n % 4 IN (0, 1)), 'events by their names');

-- The oracle: everything that there is, filtered by who it belongs to now
CREATE FUNCTION pg_temp.slow(root bigint) RETURNS TABLE (kind text, id bigint, what text) LANGUAGE sql AS $$
  SELECT 'touchpoint', t.touchpoint_id, k.name FROM cdp_data.touchpoint t JOIN cdp_data.touch_kind_all k USING (kind_id) WHERE cdp_internal.identifier_root(t.identifier_id) = root
  UNION ALL
  SELECT DISTINCT 'attribute', NULL::bigint, a.name || ' ' || v.value FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) JOIN cdp_data.load l USING (load_id)
  WHERE l.state = 'done' AND cdp_internal.identifier_root(v.identifier_id) = root
  UNION ALL
  SELECT 'identity', m.merge_id, m.cause FROM cdp_data.merge_log m
  WHERE m.kind IN ('merge', 'split') AND (cdp_internal.root_of(m.customer_id) = root OR cdp_internal.root_of(m.to_id) = root)
    OR m.kind IN ('move', 'attach') AND (cdp_internal.identifier_root(m.identifier_id) = root OR cdp_internal.root_of(m.to_id) = root OR cdp_internal.root_of(m.customer_id) = root) $$;
CREATE FUNCTION pg_temp.fast(root bigint) RETURNS TABLE (kind text, id bigint, what text) LANGUAGE sql AS $$
  SELECT CASE WHEN t.kind IN ('touch', 'conversion', 'refund', 'event') THEN 'touchpoint' WHEN t.kind = 'attribute' THEN 'attribute' ELSE 'identity' END, t.id,
    CASE WHEN t.kind = 'attribute' THEN t.what || ' ' || (t.detail ->> 'value') ELSE t.what END FROM cdp.customer_timeline(root, max_rows => 1000) t $$;
SELECT bag_eq(format('SELECT * FROM pg_temp.fast(%s)', :a), format('SELECT * FROM pg_temp.slow(%s)', :a), 'all that is his');
-- The cookie leaves; then the home that it came from becomes somebody else's.
SELECT * FROM cdp.unmerge(identifier => (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'ck'), reason => 'two people');
SELECT cdp.customer_of('cookie', 'ck') AS k \gset
SELECT isnt(:k::bigint, :a::bigint, 'the cookie is another customer now');
SELECT is((SELECT array_agg(kind ORDER BY kind) FROM cdp.customer_timeline(:k) WHERE kind IN ('merge', 'move', 'split')), ARRAY['move'], 'who knows of his move only');
SELECT cdp.alias('crm', '{"crm_id": "A"}', '{"crm_id": "C"}', '2026-03-01 00:00Z'), cdp.unmerge(customer => cdp.customer_of('crm_id', 'A'), since => '2020-01-01', reason => 'all over');
SELECT cdp.link_identifiers((SELECT identifier_id FROM cdp_data.identifier WHERE value = 'D'), (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'C'), 'same');
SELECT cdp.customer_of('crm_id', 'C') AS c \gset
SELECT bag_eq(format('SELECT * FROM pg_temp.fast(%s)', r), format('SELECT * FROM pg_temp.slow(%s)', r), 'customer ' || row_number() OVER () || ' after merges and unmerges')
FROM (SELECT DISTINCT cdp.customer_of('crm_id', v) AS r FROM unnest('{A,B,C}'::text[]) v ORDER BY 1) x;
-- Make the cookie's home a loser: its merge is not the cookie's
SELECT cdp.identify('crm', '{"user_id": "Z"}', '{}', '2026-01-01 00:00Z'), cdp.alias('crm', '{"crm_id": "A"}', '{"user_id": "Z"}', '2026-04-01 00:00Z');
SELECT isnt(cdp.customer_of('crm_id', 'A'), :a::bigint, 'A goes under a stronger one');
SELECT is((SELECT count(*) FROM cdp.customer_timeline(:k) WHERE kind = 'merge'), 0::bigint, 'merges of the home that it left are not the cookie''s');
SELECT is((SELECT count(*) FROM cdp.customer_timeline(:k) WHERE kind = 'touch'), 5::bigint, 'its visits are');

-- Reverted loads
SELECT count(*) AS n FROM cdp.customer_timeline(:k) WHERE kind = 'attribute' \gset
SELECT is(:n::bigint, 1::bigint, 'what was said under the cookie');
SELECT cdp.revert_load(l.load_id) FROM cdp_data.load l JOIN cdp_data.source s USING (source_id) WHERE s.name = 'crm' AND l.kind = 'calls';
SELECT is((SELECT count(*) FROM cdp.customer_timeline(cdp.customer_of('cookie', 'ck')) WHERE kind = 'attribute'), 0::bigint, 'is not told when the load is taken back');
SELECT cdp.retry_load(l.load_id) FROM cdp_data.load l JOIN cdp_data.source s USING (source_id) WHERE s.name = 'crm' AND l.kind = 'calls';
SELECT is((SELECT count(*) FROM cdp.customer_timeline(cdp.customer_of('cookie', 'ck')) WHERE kind = 'attribute'), 1::bigint, 'and told again');

-- The document
SELECT cdp.group('crm', '{"crm_id": "A"}', 'acme', '{"industry": "toys"}', '2026-01-07 00:00Z');
SELECT is((cdp.customer_360('crm_id', 'A') -> 'groups' -> 0) - 'group', '{"key": "acme", "source": "crm", "traits": {"industry": "toys"}, "first_at": "2026-01-07T00:00:00+00:00", "last_at": "2026-01-07T00:00:00+00:00"}', 'groups are in the document');
SELECT is(cdp.customer_360('crm_id', 'B') -> 'groups', '[]', 'of those who have any');
SELECT cdp.add_attribute('shoe_size', 'numeric');
SELECT ok((cdp.customer_360('crm_id', 'A') -> 'quality' -> 'missing') ? 'shoe_size', 'your own attributes may be missing');
SELECT is_empty($$SELECT t FROM jsonb_array_elements(cdp.customer_360('crm_id', 'A') -> 'timeline') t WHERE t ?| ARRAY['nth', 'part']$$, 'nothing of the making is in it');
SELECT * FROM finish();
