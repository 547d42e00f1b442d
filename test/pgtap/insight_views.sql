-- Views of segments for BI tools: what each row tells, against plain SQL; types and comments that tools can use; small groups;
-- what uses a segment; sizes that jump.
BEGIN;
SELECT plan(35);
SET client_min_messages = error;
INSERT INTO cdp_data.source (source_id, name) VALUES (900, 'shop');
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, CASE WHEN i = 1001 THEN 301 ELSE i END FROM generate_series(1, 1001) i;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) SELECT i, 1, 'p' || i, i FROM generate_series(1, 1000) i;
SELECT cdp.add_attribute('taste', 'text', 'most_frequent', sensitivity => 'internal'), cdp.add_attribute('secret', 'text', 'latest', sensitivity => 'personal');
INSERT INTO cdp_data.profile (customer_id, city, account_manager, membership_points, attributes, registered_at)
SELECT i, CASE WHEN i <= 400 THEN 'Xian' WHEN i <= 404 THEN 'Ulm' ELSE 'Rome' END, 'Mia', CASE WHEN i <= 900 THEN i END, CASE WHEN i % 2 = 0 THEN '{"taste": "sweet"}' ELSE '{}' END::jsonb, timestamptz '2026-01-01 00:00+00' + i * interval '1 hour'
FROM generate_series(1, 999) i;
SELECT cdp.record_consent('shop', 'analytics', 'withdrawn', customer => c) FROM generate_series(801, 810) c;
SELECT cdp.create_segment('buyers', 'did(purchase last 30 days) and city = ''Rome''', 'service', 'email', 'they buy', owner => 'crm team'), cdp.create_segment('wide', 'segment buyers or country is known', 'service'),
  cdp.create_segment('unloved', 'everybody', 'service'), cdp.create_segment('away', 'everybody', 'service');
SELECT cdp.archive_segment('away');
INSERT INTO cdp_data.segment_chunk SELECT s.segment_id, c.* FROM cdp_data.segment s CROSS JOIN cdp.roaring_chunks((SELECT cdp.roaring_build(i) FROM (SELECT generate_series(301, 700) UNION VALUES (1001)) x (i))) c WHERE s.name = 'buyers';
SELECT cdp_internal.segment_partition('2026-06-01 00:00+00');
UPDATE cdp_data.segment_clock SET as_of = '2026-06-20 12:00+00', everybody = 990;
INSERT INTO cdp_data.segment_run (run_id, kind, as_of, started_at) VALUES (1001, 'full', '2026-06-01 00:00+00', now());
INSERT INTO cdp_data.segment_transition (segment_id, customer_id, at, entered, cause, version, run_id)
SELECT s.segment_id, 301, x.at::timestamptz, x.entered, 'event', 1, 1001 FROM cdp_data.segment s, (VALUES ('2026-06-01 00:00+00', true), ('2026-06-02 00:00+00', false), ('2026-06-03 00:00+00', true)) AS x (at, entered) WHERE s.name = 'buyers';
INSERT INTO cdp_data.segment_state (segment_id, version, basis, as_of, customers, run_id) SELECT segment_id, 1, '{}', '2026-06-20 11:00+00', 400, 1001 FROM cdp_data.segment WHERE name = 'buyers';
INSERT INTO cdp_data.segment_day (segment_id, day, customers, entered, "left")
SELECT s.segment_id, x.day::date, x.n, x.i, x.o FROM cdp_data.segment s, (VALUES ('2026-05-21', 100, 100, 0), ('2026-06-13', 250, 160, 10), ('2026-06-17', 390, 150, 10), ('2026-06-20', 400, 11, 1)) AS x (day, n, i, o) WHERE s.name = 'buyers';

-- An overview, sizes by day.
SELECT is((SELECT (description, purpose, channel, state, owner, customers, change_7_days, change_30_days, entered_today, left_today, last_run_at)::text FROM cdp_bi.segment_overview WHERE segment = 'buyers'),
  '("they buy",service,email,active,"crm team",400,150,300,11,1,"' || '2026-06-20 12:00+00'::timestamptz || '")', 'size, and how it changed in a week and a month');
SELECT is((SELECT sentence FROM cdp_bi.segment_overview WHERE segment = 'buyers'), (SELECT cdp.segment_describe(rule)::varchar FROM cdp_data.segment_version v JOIN cdp_data.segment s USING (segment_id) WHERE s.name = 'buyers'), 'whom it means, in words');
SELECT is((SELECT round(share_of_everybody::numeric, 9) FROM cdp_bi.segment_overview WHERE segment = 'buyers'), round(400 / 990.0, 9), 'as a part of all');
SELECT is((SELECT (customers, change_7_days, as_of)::text FROM cdp_bi.segment_overview WHERE segment = 'unloved'), '(0,,)', 'one that was never evaluated');
SELECT is((SELECT count(*) FROM cdp_bi.segment_overview), 4::bigint, 'a row for each, put away or not');
SELECT results_eq($$SELECT day, customers, entered, "left" FROM cdp_bi.segment_size_daily WHERE segment = 'buyers' AND day >= '2026-06-10' ORDER BY day$$,
  $$SELECT '2026-06-09'::date + i, CASE WHEN i < 4 THEN 100 WHEN i < 8 THEN 250 WHEN i < 11 THEN 390 ELSE 400 END::bigint, CASE i WHEN 4 THEN 160 WHEN 8 THEN 150 WHEN 11 THEN 11 ELSE 0 END::bigint, CASE i WHEN 4 THEN 10 WHEN 8 THEN 10 WHEN 11 THEN 1 ELSE 0 END::bigint FROM generate_series(1, 11) i$$, 'every day has a size');
SELECT is((SELECT min("time") FROM cdp_bi.segment_size_daily), (SELECT '2026-05-21'::timestamp AT TIME ZONE timezone FROM cdp_data.setting), 'a day begins at its midnight of reports');

-- Segments of a customer.
SELECT is((SELECT string_agg((segment, purpose, since)::text, ' ') FROM cdp_bi.customer_segment WHERE customer_id = 301), '(buyers,service,"' || '2026-06-03 00:00+00'::timestamptz || '")', 'of one customer, since he came the last time');
SELECT is((SELECT array_agg(customer_id ORDER BY customer_id) FROM cdp_bi.customer_segment), (SELECT array_agg(customer_id ORDER BY customer_id) FROM cdp_bi.segment_member WHERE customer_id <> 1001), 'the same as the members');
SELECT is((SELECT count(*) FROM cdp_bi.customer_segment WHERE customer_id IN (1001, 5)), 0::bigint, 'none of who was merged away, or in none');

-- Against everybody, as the job counted.
SELECT is((SELECT count(*) FROM cdp_bi.segment_profile), 0::bigint, 'nothing before the first count');
SELECT is(cdp.refresh_segment_profiles(), 3, 'every segment that is not put away');
CREATE TEMP TABLE person AS SELECT i.customer_id AS id, i.customer_id BETWEEN 301 AND 700 AS inside, p.* FROM cdp_data.identifier i LEFT JOIN cdp_data.profile p USING (customer_id) WHERE NOT i.customer_id BETWEEN 801 AND 810;
SELECT results_eq($$SELECT value COLLATE "default", members, everybody FROM cdp_bi.segment_profile WHERE segment = 'buyers' AND attribute = 'city' ORDER BY place$$,
  $$VALUES ('Rome'::varchar, 296::bigint, 585::bigint), ('Xian', 100, 400), ('(other)', 4, 4), ('(none)', 0, 1)$$, 'words, the few of a small town together, who has no profile');
SELECT results_eq($$SELECT value COLLATE "default", members, everybody, round(share_of_members::numeric, 9), round(lift::numeric, 9) FROM cdp_bi.segment_profile WHERE segment = 'buyers' AND attribute = 'taste' ORDER BY value COLLATE "C" DESC$$,
  $$SELECT v::varchar COLLATE "default", count(*) FILTER (WHERE inside), count(*), round(count(*) FILTER (WHERE inside) / 400.0, 9), round((count(*) FILTER (WHERE inside) / 400.0) / (count(*) / 990.0), 9) FROM (SELECT inside, coalesce(attributes ->> 'taste', '(none)') AS v FROM person) x GROUP BY v ORDER BY v COLLATE "C" DESC$$, 'own attributes, with shares');
SELECT results_eq($$SELECT place, members, everybody FROM cdp_bi.segment_profile WHERE segment = 'buyers' AND attribute = 'membership_points' ORDER BY place$$,
  $$WITH l AS (SELECT percentile_disc(ARRAY[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) WITHIN GROUP (ORDER BY membership_points) AS limits FROM person)
    SELECT coalesce(width_bucket(membership_points, limits), 22), count(*) FILTER (WHERE inside), count(*) FROM person CROSS JOIN l GROUP BY 1 ORDER BY 1$$, 'tenths of numbers');
SELECT is((SELECT string_agg(value, ' | ' ORDER BY place) FROM cdp_bi.segment_profile WHERE segment = 'buyers' AND attribute = 'membership_points' AND place IN (0, 9)),
  (SELECT format('below %s | %s and above', min(m) FILTER (WHERE nth = 1), min(m) FILTER (WHERE nth = 9)) FROM (SELECT ceil(0.1 * n * 890)::int AS at, n AS nth FROM generate_series(1, 9) n) q JOIN (SELECT membership_points AS m, row_number() OVER (ORDER BY membership_points) AS r FROM person WHERE membership_points IS NOT NULL) o ON o.r = q.at), 'named by their limits');
SELECT is((SELECT (min(members), max(everybody), count(DISTINCT segment))::text FROM cdp_bi.segment_profile WHERE segment IN ('wide', 'unloved') AND attribute = 'city' AND value = 'Rome'), '(0,585,2)', 'one without members, too');
SELECT is((SELECT string_agg(DISTINCT attribute, ' ') FROM cdp_data.segment_composition WHERE attribute IN ('secret', 'first_name', 'birthday', 'account_manager', 'full_name')), NULL, 'nothing personal, nor who serves them');
SELECT is((SELECT count(*) FROM (SELECT segment_id, attribute FROM cdp_data.segment_composition GROUP BY 1, 2 HAVING sum(everybody) <> 990) x), 0::bigint, 'everybody has one value of each attribute');
UPDATE cdp_data.setting SET minimum_audience = 5;
SELECT results_eq($$SELECT value COLLATE "default", members, share_of_everybody IS NULL FROM cdp_bi.segment_profile WHERE segment = 'buyers' AND attribute = 'city' ORDER BY place$$,
  $$VALUES ('Rome'::varchar, 296::bigint, false), ('Xian', NULL, true), ('(other)', NULL, true), ('(none)', NULL, true)$$, 'few are not told, nor the smallest beside them');
-- What is hidden beside the few is not nobody; and what few of everybody have is not told by the rows of another segment.
SAVEPOINT counted;
DELETE FROM cdp_data.segment_composition;
INSERT INTO cdp_data.segment_composition SELECT s.segment_id, x.a, x.v, row_number() OVER (), x.m, x.e, now() FROM cdp_data.segment s JOIN (VALUES
  ('buyers', 'few in', 'A', 3, 100), ('buyers', 'few in', 'B', 0, 50), ('buyers', 'few in', 'C', 20, 200), ('buyers', 'few in', 'D', 77, 150),
  ('buyers', 'few out', 'A', 97, 100), ('buyers', 'few out', 'B', 6, 6), ('buyers', 'few out', 'C', 20, 200), ('buyers', 'few out', 'D', 77, 150),
  ('buyers', 'alone', 'A', 3, 100), ('buyers', 'alone', 'B', 0, 50), ('buyers', 'alone', 'C', 0, 70), ('buyers', 'alone', 'D', 3, 100),
  ('buyers', 'rare', 'A', 0, 3), ('buyers', 'rare', 'B', 0, 50), ('buyers', 'rare', 'C', 20, 200), ('buyers', 'rare', 'D', 77, 150),
  ('wide', 'rare', 'A', 1, 3), ('wide', 'rare', 'B', 30, 50), ('wide', 'rare', 'C', 190, 200), ('wide', 'rare', 'D', 40, 150),
  ('unloved', 'rare', 'A', 3, 3), ('unloved', 'rare', 'B', 40, 50), ('unloved', 'rare', 'C', 9, 200), ('unloved', 'rare', 'D', 143, 150)) AS x (s, a, v, m, e) ON x.s = s.name;
SELECT is((SELECT array_agg(concat_ws(': ', attribute, told) ORDER BY attribute) FROM (SELECT attribute, string_agg(value || ' ' || members, ', ' ORDER BY value) AS told FROM cdp_bi.segment_profile WHERE segment = 'buyers' AND attribute <> 'rare' GROUP BY 1) x),
  '{alone,"few in: B 0, D 77","few out: B 6, D 77"}', 'as many are hidden as the minimum, else nothing is told');
SELECT is((SELECT string_agg(DISTINCT value || ' ' || everybody, ', ') FROM cdp_bi.segment_profile WHERE attribute = 'rare' AND everybody IS NOT NULL), 'C 200, D 150', 'hidden for one segment, hidden for all');
SELECT is((SELECT string_agg(v.segment || ' ' || v.attribute, ', ') FROM (
    SELECT segment, attribute, (SELECT sum(c.members) FROM cdp_data.segment_composition c JOIN cdp_data.segment s USING (segment_id) WHERE s.name = p.segment AND c.attribute = p.attribute) - coalesce(sum(members), 0) AS members,
      (SELECT sum(c.everybody - c.members) FROM cdp_data.segment_composition c JOIN cdp_data.segment s USING (segment_id) WHERE s.name = p.segment AND c.attribute = p.attribute) - coalesce(sum(everybody - members), 0) AS others
    FROM cdp_bi.segment_profile p GROUP BY 1, 2) v WHERE v.members BETWEEN 1 AND 4 OR v.others BETWEEN 1 AND 4), NULL, 'no sum less what is told is about few');
ROLLBACK TO counted;
UPDATE cdp_data.setting SET minimum_audience = 401;
SELECT is((SELECT count(members) FROM cdp_bi.segment_profile WHERE segment = 'buyers'), 0::bigint, 'of too small a segment nothing');
UPDATE cdp_data.setting SET minimum_audience = NULL;

-- What nothing uses.
SELECT is_empty('SELECT FROM cdp_bi.segment_unused', 'young ones are not looked for');
UPDATE cdp_data.segment SET created_at = now() - interval '100 days';
SELECT results_eq('SELECT segment COLLATE "default", customers, last_used_at, unused_days FROM cdp_bi.segment_unused ORDER BY 1', $$VALUES ('unloved'::varchar, 0::bigint, NULL::timestamptz, 100), ('wide', 0, NULL, 100)$$, 'who is named by another is used');
SELECT is((SELECT string_agg(what, ', ') FROM cdp.segment_uses()), 'segment "wide"', 'by that one');
INSERT INTO cdp_data.activation (name, segment_id, destination) SELECT 'to the crm', segment_id, 'crm' FROM cdp_data.segment WHERE name = 'wide';
INSERT INTO cdp_data.campaign_run (name, segment_id, state, launched_at, finished_at, seed) SELECT 'spring', segment_id, 'finished', now() - interval '50 days', now() - interval '40 days', 1 FROM cdp_data.segment WHERE name = 'unloved';
SELECT results_eq('SELECT segment COLLATE "default", unused_days FROM cdp_bi.segment_unused', $$VALUES ('unloved'::varchar, 40)$$, 'an activation uses its segment, a run used it until it ended');
SELECT cdp.create_offer('tea', placements => '{home}', purpose => 'service', rule => '{"where": {"segment": "unloved"}}') FROM cdp.create_placement('home');
SELECT is_empty('SELECT FROM cdp_bi.segment_unused', 'so does an offer that names it');

-- Sizes that jump.
CREATE FUNCTION pg_temp.jumps(last bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM cdp_data.segment_day;
  INSERT INTO cdp_data.segment_day SELECT s.segment_id, now()::date - d, CASE d WHEN 0 THEN last ELSE 1000 + d % 3 * 20 END, 0, 0 FROM cdp_data.segment s, generate_series(0, 12) d WHERE s.name = 'buyers';
  RETURN (SELECT count(*) FROM cdp.health() WHERE finding = 'segment_jump');
END $$;
UPDATE cdp_data.segment_version SET created_at = now() - interval '20 days';
SELECT is(ARRAY(SELECT pg_temp.jumps(n) FROM unnest('{1030,1240,1300,1500,700,0}'::bigint[]) n), '{0,0,1,1,1,1}', 'more than a quarter within a day');
SELECT is((SELECT detail FROM cdp.health() WHERE finding = 'segment_jump'), format('segment "buyers" went from 1020 to 0 customers on %s; a day usually changes 2.0 %%', now()::date), 'is told with its numbers');
UPDATE cdp_data.segment_version SET created_at = now();
SELECT is(pg_temp.jumps(0), 0::bigint, 'not when its rule was changed');

-- For tools.
CREATE TEMP TABLE told AS SELECT c.oid, c.relname, c.reloptions, a.attname, a.attnum, a.atttypid, a.atttypmod FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
  WHERE c.relnamespace = 'cdp_bi'::regnamespace AND c.relkind = 'v' AND (c.relname LIKE 'segment\_%' OR c.relname = 'customer_segment');
SELECT is((SELECT string_agg(relname || '.' || attname, ' ') FROM told WHERE col_description(oid, attnum) IS NULL AND relname NOT LIKE 'segment\_performance%'), NULL, 'every column says what it is');
SELECT is((SELECT string_agg(relname || '.' || attname, ' ') FROM told WHERE (atttypid IN ('text'::regtype, 'jsonb'::regtype, 'interval'::regtype) OR atttypid IN ('varchar'::regtype, 'numeric'::regtype) AND atttypmod < 0 OR format_type(atttypid, NULL) LIKE '%[]') AND relname NOT LIKE 'segment\_performance%'), NULL, 'of types that have a size');
SELECT is((SELECT string_agg(DISTINCT relname, ' ') FROM told WHERE NOT coalesce(reloptions @> '{security_invoker=true}', false)), NULL, 'with the rights of who reads');
SELECT * FROM finish();
ROLLBACK;
