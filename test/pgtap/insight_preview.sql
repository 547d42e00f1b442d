-- Size of rules before they are kept: the sample and its interval, several rules in one pass, everybody, small groups; what
-- segments share.
BEGIN;
SELECT plan(47);
SET client_min_messages = error;
SELECT is((SELECT (customers, low, high, hits)::text FROM cdp.segment_preview('did(purchase)')), '(0,0,0,0)', 'of nobody nobody');
INSERT INTO cdp_data.source (source_id, name) VALUES (900, 'shop');
INSERT INTO cdp_data.load (load_id, source_id, state) VALUES (900, 900, 'done');
INSERT INTO cdp_data.origin (origin_id, source, medium, campaign) VALUES (901, 'google', 'cpc', 'brand');
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, i FROM generate_series(1, 3000) i;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) SELECT i, 1, 'p' || i, i FROM generate_series(1, 3000) i;
-- Three in ten bought in May, twenty of them before that as well.
INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, value, currency)
SELECT i, i, '2026-05-20 00:00+00', 901, 900, 900, k.kind_id, i, 'CNY' FROM generate_series(1, 3000) i, cdp_data.touch_kind_all k WHERE i % 10 < 3 AND k.name = 'purchase';
INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, value, currency)
SELECT i * 10, i * 10, '2026-04-01 00:00+00', 901, 900, 900, k.kind_id, i, 'CNY' FROM generate_series(1, 20) i, cdp_data.touch_kind_all k WHERE k.name = 'purchase';
\set at '2026-06-01 00:00+00'
\set may '{"where": {"did": "purchase", "last": "30 days"}}'
\set twice '{"where": {"did": "purchase", "count": {"gte": 2}}}'
\set others '{"where": {"not": {"attr": "city", "eq": "Xian"}}}'

-- Everybody, and a sample.
SELECT is((SELECT p::text FROM cdp.segment_preview(:'may', 'marketing', exact => true, as_of => :'at') p), '(1,900,900,900,0.3,3000,3000,900,0,"{1,2,10,11,12,20,21,22,30,31}")', 'everybody is looked at');
CREATE TEMP TABLE sample AS SELECT i AS id FROM generate_series(1, 3000) i WHERE cdp_internal.in_sample(i, 1000.0 / 3000);
CREATE TEMP TABLE seen AS SELECT * FROM cdp.segment_preview(:'may', 'marketing', as_of => :'at');
SELECT is((SELECT (looked_at, hits, everybody)::text FROM seen), (SELECT (count(*), count(*) FILTER (WHERE id % 10 < 3), 3000)::text FROM sample), 'a sample of a thousand at least');
SELECT is((SELECT customers FROM seen), (SELECT round(3000 * avg((id % 10 < 3)::int))::bigint FROM sample), 'stands for all');
SELECT is((SELECT share FROM seen), (SELECT customers / 3000.0 FROM seen)::float8, 'as a share');
SELECT is((SELECT examples FROM seen), ARRAY(SELECT id::bigint FROM sample WHERE id % 10 < 3 ORDER BY id LIMIT 10), 'some of those found');
SELECT cmp_ok((SELECT high - low FROM seen), '<', 160::bigint, 'the interval is as narrow as the sample allows');
SELECT ok((SELECT 900 BETWEEN low AND high AND low < customers AND customers < high FROM seen), 'and has the true size');
SELECT results_eq(format($$SELECT * FROM cdp.segment_preview(%L, 'marketing', as_of => %L)$$, :'may', :'at'), 'SELECT * FROM seen', 'the same again');
SELECT is((SELECT (looked_at, hits)::text FROM cdp.segment_preview(:'may', sample => 0.6, as_of => :'at')),
  (SELECT (count(*), count(*) FILTER (WHERE i % 10 < 3))::text FROM generate_series(1, 3000) i WHERE cdp_internal.in_sample(i, 0.6)), 'a larger one');
SELECT is((SELECT (customers, low, high)::text FROM cdp.segment_preview(:'may', sample => 1, as_of => :'at')), '(900,900,900)', 'all of them');
SELECT is((SELECT customers FROM cdp.segment_preview(:'may', exact => true, as_of => '2026-04-10 00:00+00')), 20::bigint, 'as of an earlier moment');
SELECT is((SELECT customers FROM cdp.segment_preview('count("purchase") >= 2', exact => true, as_of => :'at')), 20::bigint, 'a rule as text');

-- The interval: published figures, and how often it holds the truth.
SELECT is((SELECT (round(low / 1e12, 4), round(high / 1e12, 4))::text FROM cdp_internal.sample_interval(81, 263, 1000000000000)), '(0.2553,0.3662)', '81 of 263, as Newcombe (1998) has it');
SELECT is((SELECT (round(low / 1e12, 4), round(high / 1e12, 4))::text FROM cdp_internal.sample_interval(0, 20, 1000000000000)), '(0.0000,0.1611)', '0 of 20');
SELECT is((SELECT (round(low / 1e12, 4), round(high / 1e12, 4))::text FROM cdp_internal.sample_interval(1, 29, 1000000000000)), '(0.0061,0.1718)', '1 of 29');
SELECT is(cdp_internal.sample_interval(7, 20, 20)::text, '(7,7)', 'nothing is left to guess');
SELECT is(cdp_internal.sample_interval(7, 19, 20)::text, '(7,8)', 'one is left');
SELECT is(cdp_internal.sample_interval(0, 0, 20)::text, '(0,20)', 'nobody was asked');
SELECT cmp_ok((SELECT count(*) FILTER (WHERE 900 BETWEEN i.low AND i.high) FROM generate_series(1, 400) seed
    CROSS JOIN LATERAL (SELECT cdp.roaring_sample((SELECT cdp.roaring_build(c) FROM generate_series(1, 3000) c), 0.5, seed) AS s OFFSET 0) x
    CROSS JOIN LATERAL cdp_internal.sample_interval((SELECT count(*) FROM cdp.roaring_ids(x.s) m WHERE m % 10 < 3), cdp.roaring_count(x.s), 3000) i), '>=', 368::bigint, 'half of a population: the truth is within for 95 of 100 samples, less chance');
SELECT cmp_ok((SELECT count(*) FILTER (WHERE 900 BETWEEN i.low AND i.high) FROM generate_series(1, 400) seed
    CROSS JOIN LATERAL (SELECT cdp.roaring_sample((SELECT cdp.roaring_build(c) FROM generate_series(1, 3000) c), 0.5, seed) AS s OFFSET 0) x
    CROSS JOIN LATERAL cdp_internal.sample_interval((SELECT count(*) FROM cdp.roaring_ids(x.s) m WHERE m % 10 < 3), cdp.roaring_count(x.s), 3000) i), '<=', 391::bigint, 'and not for nearly all: it is no wider than it must be');

-- Several rules; segments and ranks in them; missing values.
SELECT is((SELECT array_agg(nth) FROM cdp.segment_preview(jsonb_build_array(:'twice'::jsonb, :'may'::jsonb, :'twice'::jsonb), as_of => :'at')), '{1,2,3}', 'in their order');
SELECT is((SELECT array_agg(customers ORDER BY nth) FROM cdp.segment_preview(jsonb_build_array(:'twice'::jsonb, :'may'::jsonb, :'twice'::jsonb), exact => true, as_of => :'at')), '{20,900,20}', 'several rules, each its row');
SELECT results_eq(format($$SELECT p.customers, p.low, p.high, p.hits FROM cdp.segment_preview(jsonb_build_array(%L::jsonb, %L::jsonb), as_of => %L) p WHERE nth = 2$$, :'twice', :'may', :'at'), 'SELECT customers, low, high, hits FROM seen', 'the same as alone');
SELECT is_empty($$SELECT * FROM cdp.segment_preview('[]'::jsonb)$$, 'no rule, no row');
SELECT is((SELECT (customers, through_null)::text FROM cdp.segment_preview(:'others', exact => true)), '(3000,3000)', 'who is in because nobody knows');
SELECT cdp.create_segment('may', :'may'::jsonb, 'marketing'), cdp.create_segment('in may', '{"where": {"segment": "may"}}'::jsonb, 'marketing');
SELECT is((SELECT customers FROM cdp.segment_preview('segment "in may" and not did("purchase" since ''2026-04-01'' until ''2026-04-02'')', exact => true, as_of => :'at')), 880::bigint, 'segments by name');
SELECT is((SELECT array_agg(customers ORDER BY nth) FROM cdp.segment_preview('[{"where": {"rank": {"attr": "revenue"}, "top": "10%"}}, {"where": {"segment": "may"}}]'::jsonb, exact => true, as_of => :'at')), '{0,900}', 'a rank that no segment has: nobody has a value');
SELECT is((SELECT array_agg(customers ORDER BY nth) FROM cdp.segment_preview('[{"where": {"did": "purchase", "where": {"field": "campaign", "eq": "brand"}}}, {"where": {"not": {"did": "purchase", "where": {"field": "campaign", "eq": "brand"}}}}]'::jsonb, exact => true, as_of => :'at')), '{900,2100}', 'campaigns');
SELECT cdp.create_segment('brand', 'did("purchase" where campaign = ''brand'')', 'marketing');
SELECT is((SELECT customers FROM cdp.segment_preview('segment brand', exact => true, as_of => :'at')), 900::bigint, 'and in a segment that is named');
SELECT is((SELECT count(*) FROM cdp_data.rank_threshold), 0::bigint, 'and nothing is written');
SELECT cdp.record_consent('shop', 'analytics', 'denied', customer => 1);
SELECT is((SELECT (customers, everybody)::text FROM cdp.segment_preview(:'may', exact => true, as_of => :'at')), '(899,2999)', 'who refuses does not count');

-- Errors.
SELECT throws_ok($$SELECT * FROM cdp.segment_preview('{"where": {"attr": "citty", "eq": "x"}}')$$, '22023', 'attribute "citty" is not known', 'an unknown name');
SELECT throws_ok($$SELECT * FROM cdp.segment_preview('did("purchase")', 'fun')$$, '22023', NULL, 'an unknown purpose');
SELECT throws_ok(format('SELECT * FROM cdp.segment_preview(%L, sample => %L)', :'may', s), '22023', 'a sample is a share of customers from 0 to 1', 'sample ' || coalesce(s, 'NULL')) FROM unnest('{5,-0.1,NaN,NULL}'::text[]) s;

SAVEPOINT listed;
INSERT INTO cdp_data.property_rule (kind_id, key) SELECT kind_id, 'size' FROM cdp_data.touch_kind_all WHERE name = 'purchase';
SELECT throws_ok($$SELECT * FROM cdp.segment_preview('did(purchase where sise = ''a'')')$$, '22023', NULL, 'a property that the list of its kind lacks, as when the rule is kept');
ROLLBACK TO listed;

-- Small groups.
UPDATE cdp_data.setting SET minimum_audience = 50;
SELECT is((SELECT array_agg((p.customers, p.low, p.high, p.share, p.hits, p.examples)::text ORDER BY nth) FROM cdp.segment_preview(jsonb_build_array(:'twice'::jsonb, jsonb_build_object('where', jsonb_build_object('not', :'twice'::jsonb -> 'where'))), exact => true, as_of => :'at') p),
  '{"(,,,,,)","(,,,,,)"}', 'fewer people than the minimum are not told, nor all but them');
SELECT is((SELECT customers FROM cdp.segment_preview(:'may', exact => true, as_of => :'at')), 899::bigint, 'enough are');

-- What segments share.
UPDATE cdp_data.setting SET minimum_audience = NULL;
INSERT INTO cdp_data.segment (name, purpose, state) SELECT n, 'service', CASE n WHEN 'old' THEN 'archived' ELSE 'active' END FROM unnest('{a,b,c,empty,old}'::text[]) n;
INSERT INTO cdp_data.segment_chunk SELECT s.segment_id, c.* FROM cdp_data.segment s
  JOIN LATERAL (SELECT cdp.roaring_build(i) AS bits FROM generate_series(65000, 66000) i WHERE CASE s.name WHEN 'a' THEN i < 65100 OR i > 65990 WHEN 'b' THEN i < 65108 OR i > 65990 WHEN 'c' THEN i < 65010 END) x ON true
  CROSS JOIN LATERAL cdp.roaring_chunks(x.bits) c WHERE s.name IN ('a', 'b', 'c');
UPDATE cdp_data.segment_clock SET everybody = 1210;
SELECT results_eq($$SELECT o::text FROM cdp.segment_overlap('{c,a,empty}') o$$, $$VALUES ('(a,a,110,110,110,1,1,1,11)'), ('(a,c,110,10,10,0.09090909090909091,1,0.09090909090909091,11)'), ('(a,empty,110,0,0,0,,0,)'),
  ('(c,a,10,110,10,1,0.09090909090909091,0.09090909090909091,11)'), ('(c,c,10,10,10,1,1,1,121)'), ('(c,empty,10,0,0,0,,0,)'), ('(empty,a,0,110,0,,0,0,)'), ('(empty,c,0,10,0,,0,0,)'), ('(empty,empty,0,0,0,,,,)')$$, 'every pair');
SELECT is((SELECT string_agg(DISTINCT a, ' ' ORDER BY a) || ' ' || count(*) FROM cdp_bi.segment_overlap), 'a b brand c empty in may may 49', 'of all segments but those put away');
SELECT is_empty('SELECT * FROM cdp_bi.segment_duplicate', '110 of 118 in either are not nearly the same');
UPDATE cdp_data.segment_chunk c SET bits = x.bits, customers = cdp.roaring_count(x.bits) FROM (SELECT cdp.roaring_build(i) AS bits FROM generate_series(65000, 65104) i) x
WHERE c.chunk = 0 AND c.segment_id = (SELECT segment_id FROM cdp_data.segment WHERE name = 'b');
SELECT is((SELECT string_agg(d::text, ' ') FROM cdp_bi.segment_duplicate d), '(a,b,110,115,110,' || 110 / 115.0::float8 || ')', '110 of 115 are');
SELECT throws_ok($$SELECT * FROM cdp.segment_overlap('{a,bb}')$$, '42704', NULL, 'an unknown segment');
UPDATE cdp_data.setting SET minimum_audience = 20;
SELECT results_eq($$SELECT o::text FROM cdp.segment_overlap('{a,b,c}') o WHERE a <= b$$, $$VALUES ('(a,a,110,110,110,1,1,1,11)'), ('(a,b,110,115,,,,,)'), ('(a,c,110,,,,,,)'), ('(b,b,115,115,115,1,1,1,10.521739130434783)'), ('(b,c,115,,,,,,)'), ('(c,c,,,,,,,)')$$, 'small parts are not told');
SELECT * FROM finish();
ROLLBACK;
