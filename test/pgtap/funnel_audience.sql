-- The minimum audience in funnels over our own tables: no figure is of fewer people, none tells of fewer, and what is
-- hidden can not be had from what is shown.
BEGIN;
SELECT plan(15);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT setseed(0.17) \g /dev/null
CREATE FUNCTION pg_temp.step(who int, kind text, origin text, hour int) RETURNS void LANGUAGE sql AS $$
  SELECT cdp.track('shop', kind, jsonb_build_object('user_id', 'u' || who), occurred_at => '2026-01-01Z'::timestamptz + hour * interval '1 hour', origin => jsonb_build_object('source', origin)) $$;
-- alpha: 9 visit, 7 put into the cart, 4 buy; beta: 6, 6, 6; gamma: 2, 1, 0; delta: 30, 20, 10.
SELECT pg_temp.step(100 * s + i, k.kind, 'alpha', k.h) FROM (VALUES (1, 9, 7, 4)) n (s, v, c, b), generate_series(1, 9) i, LATERAL (VALUES ('visit', 1, v), ('add_to_cart', 2, c), ('purchase', 3, b)) k (kind, h, n) WHERE i <= k.n;
SELECT pg_temp.step(200 + i, k, 'beta', h) FROM generate_series(1, 6) i, (VALUES ('visit', 1), ('add_to_cart', 2), ('purchase', 3)) v (k, h);
SELECT pg_temp.step(301, 'visit', 'gamma', 1), pg_temp.step(302, 'visit', 'gamma', 1), pg_temp.step(301, 'add_to_cart', 'gamma', 2);
SELECT pg_temp.step(400 + i, k.kind, 'delta', k.h) FROM generate_series(1, 30) i, (VALUES ('visit', 1, 30), ('add_to_cart', 2, 20), ('purchase', 3, 10)) k (kind, h, n) WHERE i <= k.n;
CREATE FUNCTION pg_temp.shown(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format('SELECT string_agg(b, ''; '' ORDER BY b) FROM (SELECT concat_ws('' '', breakdown, string_agg(coalesce(customers::text, ''-'') || ''/'' || coalesce(dropped::text, ''-''), '' '' ORDER BY step)) AS b FROM cdp.funnel(%s) GROUP BY breakdown) x', call) INTO r;
  RETURN r;
END $$;
\set all '''{visit,add_to_cart,purchase}'''
\set by_source '''{visit,add_to_cart,purchase}'', breakdown_by => ''source'''
SELECT is(pg_temp.shown(:'all'), '47/13 34/14 20/0', 'without a minimum all is shown');
SELECT is(pg_temp.shown(:'by_source'), 'alpha 9/2 7/3 4/0; beta 6/0 6/0 6/0; delta 30/10 20/10 10/0; gamma 2/1 1/1 0/0', 'of every source');
UPDATE cdp_data.setting SET minimum_audience = 4;
SELECT is(pg_temp.shown(:'all'), '47/13 34/14 20/0', 'enough people at every step, and between them');
SELECT is(pg_temp.shown(:'by_source'), 'alpha 9/- -/- 4/0; beta -/- -/- 6/0; delta 30/10 20/10 10/0; gamma -/- -/- 0/0',
  'two are too few to show, and so are the two of alpha who left; where one is hidden the smallest other goes with it');
SELECT is((SELECT count(*) FROM cdp.funnel('{visit,add_to_cart,purchase}', breakdown_by => 'source') WHERE customers IS NULL
  AND num_nonnulls(of_previous, of_first, median_from_previous, mean_from_previous, p90_from_previous, median_from_first, mean_from_first, p90_from_first) > 0), 0::bigint, 'no other figure tells them');
SELECT is((SELECT of_previous FROM cdp.funnel('{visit,add_to_cart,purchase}', breakdown_by => 'source') WHERE breakdown = 'alpha' AND step = 3), NULL, 'nor a share of what is hidden');
SELECT throws_ok($$SELECT * FROM cdp.funnel('{visit,purchase}', customer_ids => (SELECT array_agg(cdp.customer_of('user_id', u)) FROM unnest('{u301,u302,u101}'::text[]) u))$$, '42501', 'the report is about fewer people than the minimum audience', 'three chosen ones');
SELECT is(pg_temp.shown($$'{purchase,donation}', since => '2027-01-01Z'$$), '0/0 0/0', 'about nobody it is empty');

-- Whatever the data: 30 random funnels, hidden and open.
CREATE FUNCTION pg_temp.leaks(least_people int) RETURNS TABLE (what text, breakdown text, step int) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE cdp_data.setting SET minimum_audience = NULL;
  CREATE TEMP TABLE truth ON COMMIT DROP AS SELECT f.breakdown, f.step, f.customers FROM cdp.funnel('{visit,add_to_cart,checkout,purchase}', breakdown_by => 'source') f;
  UPDATE cdp_data.setting SET minimum_audience = least_people;
  CREATE TEMP TABLE told ON COMMIT DROP AS SELECT f.* FROM cdp.funnel('{visit,add_to_cart,checkout,purchase}', breakdown_by => 'source') f;
  RETURN QUERY
    SELECT 'few', t.breakdown, t.step FROM told t WHERE t.customers BETWEEN 1 AND least_people - 1
    UNION ALL SELECT 'few left', t.breakdown, t.step FROM told t JOIN told u ON u.breakdown = t.breakdown AND u.step > t.step WHERE t.customers - u.customers BETWEEN 1 AND least_people - 1
    UNION ALL SELECT 'dropped', t.breakdown, t.step FROM told t LEFT JOIN told u ON u.breakdown = t.breakdown AND u.step = t.step + 1 WHERE t.dropped IS NOT NULL AND (t.customers IS NULL OR u.step = t.step + 1 AND u.customers IS NULL)
    UNION ALL SELECT 'share', t.breakdown, t.step FROM told t JOIN told u ON u.breakdown = t.breakdown AND u.step = t.step - 1 WHERE t.of_previous IS NOT NULL AND (t.customers IS NULL OR u.customers IS NULL)
    UNION ALL SELECT 'the rest', NULL, h.step FROM truth h JOIN told t USING (breakdown, step) GROUP BY h.step
      HAVING sum(h.customers) FILTER (WHERE t.customers IS NULL) BETWEEN 1 AND least_people - 1 AND sum(t.customers) > 0
    UNION ALL SELECT 'wrong', t.breakdown, t.step FROM told t FULL JOIN truth h USING (breakdown, step) WHERE t.customers <> h.customers OR h.step IS NULL OR t.step IS NULL;
  DROP TABLE truth, told;
END $$;
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT 100000 + i, 100000 + i FROM generate_series(1, 1500) i;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) SELECT 100000 + i, 1, 'r' || i, 100000 + i FROM generate_series(1, 1500) i;
INSERT INTO cdp_data.origin (origin_id, source, medium, campaign) SELECT 900 + i, 's' || i, '', '' FROM generate_series(1, 30) i;
INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id)
SELECT 100000 + i, 100000 + i, '2026-02-01Z'::timestamptz + k.h * interval '1 hour', 900 + 1 + floor(30 * (i / 1501.0) ^ 2)::int, 1, 1, (SELECT kind_id FROM cdp_data.touch_kind_all WHERE name = k.kind)
FROM generate_series(1, 1500) i, LATERAL (SELECT random() AS r, i AS x) r, (VALUES ('visit', 1, 1.0), ('add_to_cart', 2, 0.6), ('checkout', 3, 0.5), ('purchase', 4, 0.2)) k (kind, h, share) WHERE r.r < k.share;
SELECT is((SELECT string_agg(format('%s %s %s', what, breakdown, step), ', ') FROM pg_temp.leaks(n)), NULL, format('with a minimum of %s nothing small can be told', n)) FROM unnest('{2,3,5,10,20,40}'::int[]) n;
SELECT cmp_ok((SELECT count(*) FROM cdp.funnel('{visit,add_to_cart,checkout,purchase}', breakdown_by => 'source') WHERE customers IS NULL), '>', 10::bigint, 'some are hidden then');
SELECT * FROM finish();
ROLLBACK;
