-- Holdouts: shares are exact enough, draws independent of each other and of any order, arms stay with who is united and come
-- back with who is parted, rules follow.
BEGIN;
SELECT plan(43);
SET LOCAL client_min_messages = error;
SELECT throws_ok($$SELECT cdp.create_holdout('h', 0)$$, '22023', 'the share of a holdout lies between 0 and 1', 'a share of nobody');
SELECT throws_ok($$SELECT cdp.create_holdout('h', 1)$$, '22023', NULL, 'of everybody');
SELECT throws_ok($$SELECT cdp.create_holdout('h', NULL)$$, '22023', NULL, 'of nothing');
SELECT throws_ok($$SELECT cdp.create_holdout('h', 'NaN')$$, '22023', NULL, 'that is no number');
SELECT throws_ok($$SELECT cdp.create_holdout('', 0.5)$$, '22023', NULL, 'without a name');
SELECT cdp.create_holdout('global', 0.1) AS made \gset
SELECT is(:made, (SELECT holdout_id FROM cdp_data.holdout), 'a holdout is made');
SELECT throws_ok($$SELECT cdp.create_holdout('global', 0.2)$$, '23505', 'there is a holdout named "global" already', 'once');
SELECT throws_ok($$SELECT cdp.holdout_arm('globl', 1)$$, '42704', 'there is no holdout named "globl"', 'a name that is none');
SELECT throws_ok($$SELECT * FROM cdp_internal.holdout_arms(-1, '{1}')$$, '42704', NULL, 'a number that is none');
SELECT is(cdp.holdout_arm('global', 1), NULL, 'nobody has no arm');

-- The draw, over 100,000 ids: within 4.5 standard deviations, for the whole and for each tenth of the ids.
INSERT INTO cdp_data.holdout (name, share, salt) VALUES ('a', 0.1, 7000001), ('b', 0.3, -8423), ('c', 0.5, 7000002), ('d', 0.01, 0);
CREATE TEMP TABLE drawn AS SELECT h.name, h.share, a.customer_id AS id, a.arm FROM cdp_data.holdout h CROSS JOIN LATERAL cdp_internal.holdout_arms(h.holdout_id, ARRAY(SELECT generate_series(1, 100000)::bigint)) a WHERE h.name <> 'global';
SELECT is_empty($$SELECT name, n FROM (SELECT name, share, count(*) FILTER (WHERE arm = 'control') AS n FROM drawn GROUP BY 1, 2) x WHERE abs(n - 100000 * share) > 4.5 * sqrt(100000 * share * (1 - share))$$, 'shares of 100,000');
SELECT is_empty($$SELECT name, part, n FROM (SELECT name, share, id / 10000 AS part, count(*) AS total, count(*) FILTER (WHERE arm = 'control') AS n FROM drawn GROUP BY 1, 2, 3) x WHERE abs(n - total * share) > 4.5 * sqrt(total * share * (1 - share)) + 1$$, 'of every 10,000');
SELECT is_empty($$SELECT x.name, x.digit, x.n FROM (SELECT name, share, id % 10 AS digit, count(*) FILTER (WHERE arm = 'control') AS n FROM drawn GROUP BY 1, 2, 3) x WHERE abs(n - 10000 * share) > 4.5 * sqrt(10000 * share * (1 - share))$$, 'and of ids with each last digit');
SELECT is((SELECT count(*) FROM (SELECT a.name, b.name, a.share * b.share AS p, count(*) FILTER (WHERE a.arm = 'control' AND b.arm = 'control') AS n FROM drawn a JOIN drawn b ON a.id = b.id AND a.name < b.name GROUP BY a.name, b.name, a.share, b.share) x
  WHERE abs(n - 100000 * p) <= 4.5 * sqrt(100000 * p * (1 - p))), 6::bigint, 'each two draws are independent: both of them take the product of the shares');
SELECT is_empty($$SELECT name, n FROM (SELECT d.name, d.share, count(*) FILTER (WHERE d.arm = 'control' AND e.arm = 'control') AS n FROM drawn d JOIN drawn e ON e.name = d.name AND e.id = d.id + 1 GROUP BY 1, 2) x
  WHERE abs(n - 99999 * share ^ 2) > 4.5 * sqrt(99999 * share ^ 2 * (1 - share ^ 2) * 2)$$, 'neighbours are, too');
SELECT is_empty($$SELECT d.id FROM cdp_data.holdout h CROSS JOIN LATERAL cdp_internal.holdout_arms(h.holdout_id, ARRAY(SELECT g::bigint FROM generate_series(1, 100000, 97) g ORDER BY hashint8(g))) a
  JOIN drawn d ON d.name = h.name AND d.id = a.customer_id WHERE d.arm <> a.arm$$, 'the same in another order');
SELECT is_empty($$SELECT d.id FROM cdp_data.holdout h CROSS JOIN LATERAL cdp_internal.holdout_arms(h.holdout_id, '{5,99999,17,5}') a JOIN drawn d ON d.name = h.name AND d.id = a.customer_id WHERE d.arm <> a.arm$$, 'and of a few');
SELECT is(cdp.roaring_count(cdp_internal.holdout_control(h.holdout_id, ARRAY(SELECT generate_series(1, 100000)::bigint))), (SELECT count(*) FROM drawn d WHERE d.name = 'a' AND d.arm = 'control'), 'as a bitmap') FROM cdp_data.holdout h WHERE h.name = 'a';

-- People.
SELECT cdp.add_source('shop', 'UTC');
SELECT count(cdp.track('shop', 'visit', jsonb_build_object('email', 'p' || i || '@example.org'))) FROM generate_series(1, 60) i;
CREATE FUNCTION pg_temp.p(i int) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('email', 'p' || i || '@example.org') $$;
SELECT holdout_id AS c FROM cdp_data.holdout WHERE name = 'c' \gset
CREATE TEMP TABLE first_arm AS SELECT i, pg_temp.p(i) AS id, cdp.holdout_arm('c', pg_temp.p(i)) AS arm FROM generate_series(1, 60) i;
SELECT cmp_ok((SELECT count(*) FROM first_arm WHERE arm = 'control'), '>', 15::bigint, 'some are control');
SELECT min(i) AS c1, min(i) FILTER (WHERE k = 2) AS c2, min(i) FILTER (WHERE k = 3) AS c3 FROM (SELECT i, row_number() OVER (ORDER BY i) AS k FROM first_arm WHERE arm = 'control') x \gset
SELECT min(i) AS t1, min(i) FILTER (WHERE k = 2) AS t2, min(i) FILTER (WHERE k = 3) AS t3 FROM (SELECT i, row_number() OVER (ORDER BY i) AS k FROM first_arm WHERE arm = 'treatment') x \gset
CREATE FUNCTION pg_temp.unite(a int, b int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  PERFORM cdp.alias('shop', jsonb_build_object('email', 'p' || a || '@example.org'), jsonb_build_object('email', 'p' || b || '@example.org'));
  RETURN (SELECT max(m.merge_id) FROM cdp_data.merge_log m WHERE m.kind = 'merge');
END $$;
SELECT results_eq(format('SELECT customer_id, arm FROM cdp_internal.holdout_assign(%s, ARRAY[pg_temp.p(%s), pg_temp.p(%s), 4000000], %L)', :c, :t1, :c1, '2026-03-02'), format('SELECT id, arm FROM first_arm WHERE i IN (%s, %s) ORDER BY id', :t1, :c1), 'arms are kept; of nobody none is');
SELECT is((SELECT count(*) FROM cdp_data.holdout_assignment), 2::bigint, 'for each');
SELECT count(*) FROM cdp_internal.holdout_assign(:c, ARRAY[pg_temp.p(:t1), pg_temp.p(:c1)], '2026-03-01');
SELECT is((SELECT max(assigned_at) FROM cdp_data.holdout_assignment), '2026-03-02'::timestamptz, 'once');
SELECT pg_temp.unite(:c2, :t1) AS m1 \gset
SELECT is(pg_temp.p(:c2), pg_temp.p(:t1), 'two are one');
SELECT is(cdp.holdout_arm('c', pg_temp.p(:c2)), 'treatment', 'who was exposed keeps his arm, whoever survives');
SELECT is((SELECT string_agg(DISTINCT cdp.holdout_arm('c', f.id), ' ') FROM first_arm f WHERE f.i IN (:c2, :t1)), 'treatment', 'by whatever id');
SELECT pg_temp.unite(:c1, :t2) AS m2 \gset
SELECT is(cdp.holdout_arm('c', pg_temp.p(:t2)), 'control', 'in the other arm, too');
SELECT pg_temp.unite(:c1, :t1) AS m3 \gset
SELECT is(cdp.holdout_arm('c', pg_temp.p(:c1)), (SELECT f.arm FROM first_arm f WHERE f.i IN (:c1, :t1) ORDER BY f.id LIMIT 1), 'of two at one moment the lower id');
UPDATE cdp_data.holdout_assignment SET assigned_at = '2026-03-01' WHERE customer_id = (SELECT max(f.id) FROM first_arm f WHERE f.i IN (:c1, :t1));
SELECT is(cdp.holdout_arm('c', pg_temp.p(:c1)), (SELECT f.arm FROM first_arm f WHERE f.i IN (:c1, :t1) ORDER BY f.id DESC LIMIT 1), 'else the earlier');
SELECT count(*) FROM cdp_internal.holdout_assign(:c, ARRAY[pg_temp.p(:c1)], '2026-02-01');
SELECT is((SELECT count(*) FROM cdp_data.holdout_assignment), 2::bigint, 'nothing is stored for who has an arm through a part');
SELECT is_empty(format('SELECT * FROM cdp_internal.holdout_assign(%s, ARRAY[%s])', :c, (SELECT f.id FROM first_arm f WHERE f.i IN (:c1, :t1, :c2, :t2) AND f.id <> pg_temp.p(:c1) LIMIT 1)), 'nor for a part');
SELECT count(*) FROM cdp.unmerge(merge => :m3);
SELECT is((SELECT string_agg(cdp.holdout_arm('c', pg_temp.p(i)), ' ' ORDER BY nth) FROM unnest(ARRAY[:c1, :t2, :c2, :t1]) WITH ORDINALITY AS u (i, nth)), 'control control treatment treatment', 'parted, each has his own again');
SELECT count(*) FROM cdp.unmerge(merge => :m1);
SELECT count(*) FROM cdp.unmerge(merge => :m2);
SELECT is_empty($$SELECT f.i FROM first_arm f WHERE cdp.holdout_arm('c', pg_temp.p(f.i)) <> f.arm AND pg_temp.p(f.i) = f.id$$, 'and who was never exposed as he is by the draw');

-- In rules.
SELECT cdp.create_segment('control', 'holdout c', 'service'), cdp.create_segment('treated', 'holdout c arm treatment', 'service'), cdp.create_segment('visitors', 'did(visit) and not holdout c', 'service');
SELECT results_eq($$SELECT path, code FROM cdp.segment_check('{"v": 1, "where": {"holdout": "global", "arm": "treated"}}'::jsonb)$$, $$VALUES ('/where/arm', 'E_UNKNOWN_HOLDOUT')$$, 'an arm that is none');
SELECT count(*) FROM cdp.segment_tick();
SELECT set_eq($$SELECT cdp.segment_members('control')$$, $$SELECT DISTINCT pg_temp.p(i) FROM first_arm WHERE cdp.holdout_arm('c', pg_temp.p(i)) = 'control'$$, 'a segment of an arm');
SELECT set_eq($$SELECT cdp.segment_members('treated')$$, $$SELECT DISTINCT pg_temp.p(i) FROM first_arm WHERE cdp.holdout_arm('c', pg_temp.p(i)) = 'treatment'$$, 'and of the other');
SELECT set_eq($$SELECT cdp.segment_members('visitors')$$, $$SELECT cdp.segment_members('treated')$$, 'not in the one is in the other');
SELECT is((SELECT e.result FROM cdp.segment_explain('control', pg_temp.p(:c3)) e WHERE e.sentence ~ 'holdout' LIMIT 1), true, 'and it is explained');
SELECT cdp.end_holdout('c');
SELECT cdp.end_holdout('c');
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE action = 'holdout' AND detail ->> 'op' = 'end'), 1::bigint, 'a holdout ends once');
SELECT is(cdp.holdout_arm('c', pg_temp.p(:c1)), 'treatment', 'then nobody is kept out');
SELECT is((SELECT kind FROM cdp.segment_tick()), 'tick', 'the next tick');
SELECT is((SELECT count(*) FROM cdp.segment_members('control')) + (SELECT count(*) FROM cdp.segment_members('treated')), (SELECT count(*) FROM cdp.segment_members('visitors')), 'lets segments that name it follow');
SELECT count(*) FROM cdp_internal.holdout_assign(:c, ARRAY[pg_temp.p(:t3)]);
SELECT is((SELECT count(*) FROM cdp_data.holdout_assignment), 2::bigint, 'nothing is kept of it any more, what was stays');
SELECT count(*) FROM cdp.erase_customer(pg_temp.p(:c1), 'delete');
SELECT is((SELECT count(*) FROM cdp_data.holdout_assignment), 1::bigint, 'an erasure takes the arm of the person');
SELECT * FROM finish();
ROLLBACK;
