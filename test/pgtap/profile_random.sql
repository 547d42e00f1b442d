-- Whatever happens, in whatever order: a refresh by the change feed ends where a pass over everybody would.
-- And hostile values: they are refused or kept as text, and stop nothing.
BEGIN;
SELECT plan(52);
SET LOCAL client_min_messages = warning;
SET LOCAL jit = off;
SELECT cdp.add_source('crm') AS crm, cdp.add_source('shop') AS shop \gset
SELECT cdp.add_attribute('taste', 'text', 'most_frequent', sensitivity => 'internal') AS own \gset
SELECT setseed(0.7);
SELECT count(*) AS made FROM cdp.refresh_profiles();

CREATE FUNCTION pg_temp.pick(words text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT words[1 + floor(random() * cardinality(words))::int] $$;
CREATE FUNCTION pg_temp.someone() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT CASE floor(random() * 3)::int WHEN 0 THEN jsonb_build_object('user_id', 'u' || floor(random() * 12)::int)
    WHEN 1 THEN jsonb_build_object('cookie', 'cookie' || floor(random() * 20)::int) ELSE jsonb_build_object('email', 'p' || floor(random() * 12)::int || '@example.org') END
$$;
CREATE FUNCTION pg_temp.step(n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  what integer := floor(random() * 9)::int;
  at timestamptz := '2026-01-01 00:00+00'::timestamptz + floor(random() * 40)::int * interval '1 day';
  src text := pg_temp.pick('{crm,shop}');
  id bigint;
  nth integer;
BEGIN
  IF what < 3 THEN
    FOR nth IN 1 .. 3 LOOP
      PERFORM cdp.identify(src, pg_temp.someone() || CASE WHEN random() < 0.4 THEN pg_temp.someone() ELSE '{}' END,
        jsonb_build_object('city', pg_temp.pick('{Hangzhou,Shanghai,Xian,N/A}'), 'taste', pg_temp.pick('{a,b,c}'), 'tags', jsonb_build_array(pg_temp.pick('{x,y,z}')),
          'membership_points', floor(random() * 100)), at);
    END LOOP;
    RETURN 'identify';
  ELSIF what < 5 THEN
    PERFORM cdp.track(src, pg_temp.pick('{visit,purchase,refund,page_view}'), pg_temp.someone(), '{}', at + k * interval '1 hour', n || 'k' || k, round((random() * 100)::numeric, 2), pg_temp.pick('{CNY,EUR}'))
    FROM generate_series(1, 4) k;
    RETURN 'track';
  ELSIF what = 5 THEN
    SELECT l.link_id INTO id FROM cdp_data.link l WHERE l.state = 'active' AND l.kind <> 'cannot' ORDER BY random() LIMIT 1;
    PERFORM cdp.unmerge(link => id) WHERE id IS NOT NULL;
    RETURN 'unmerge';
  ELSIF what = 6 THEN
    SELECT m.merge_id INTO id FROM cdp_data.merge_log m WHERE m.kind = 'merge' AND m.undone_by IS NULL ORDER BY random() LIMIT 1;
    PERFORM cdp.unmerge(merge => id) WHERE id IS NOT NULL;
    RETURN 'unmerge a merge';
  ELSIF what = 7 THEN
    INSERT INTO cdp_data.load (source_id, kind, state) SELECT s.source_id, 'customers', 'done' FROM cdp_data.source s WHERE s.name = src RETURNING load_id INTO id;
    DROP TABLE IF EXISTS pg_temp.cdp_load_attribute;
    CREATE TEMP TABLE cdp_load_attribute AS
    SELECT i.identifier_id, i.customer_id, a.attribute_id, pg_temp.pick('{Hangzhou,Xian,7,-}') AS value, at AS observed_at, random() < 0.2 AS verified, 0::bigint AS version_id
    FROM cdp_data.identifier i, cdp_data.attribute_all a WHERE a.name IN ('city', 'taste', 'gender', 'membership_points') AND random() < 0.2;
    PERFORM cdp_internal.load_attributes(id, (SELECT l.source_id FROM cdp_data.load l WHERE l.load_id = id));
    RETURN 'load';
  ELSE
    -- a load of attributes, or all calls of a source: links, touchpoints and attributes at once
    SELECT l.load_id INTO id FROM cdp_data.load l ORDER BY random() LIMIT 1;
    IF (SELECT l.state FROM cdp_data.load l WHERE l.load_id = id) = 'done' THEN
      PERFORM cdp.revert_load(id);
      RETURN 'revert';
    ELSIF id IS NOT NULL THEN
      PERFORM cdp.retry_load(id);
    END IF;
    RETURN 'retry';
  END IF;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
  RETURN 'nothing left to take back';
END $$;
CREATE FUNCTION pg_temp.profiles() RETURNS text[] LANGUAGE sql AS $$ SELECT array_agg((to_jsonb(p) - 'refreshed_at')::text ORDER BY p.customer_id) FROM cdp_data.profile p $$;
-- The slow twin of the figures: each touchpoint in force, given to whom its identifier leads now.
CREATE FUNCTION pg_temp.figures_wrong() RETURNS bigint LANGUAGE sql AS $$
  WITH fact AS (
    SELECT cdp_internal.identifier_root(t.identifier_id) AS customer_id, t.occurred_at, k.is_touch, k.is_conversion,
      k.is_conversion AND (k.name IN ('refund', 'chargeback') OR t.value < 0 OR t.refers_to IS NOT NULL) AS is_refund,
      CASE WHEN k.name IN ('refund', 'chargeback') THEN -abs(t.value) ELSE t.value END * CASE t.currency WHEN 'CNY' THEN 1 END AS money
    FROM cdp_data.touchpoint t JOIN cdp_data.touch_kind_all k USING (kind_id) JOIN cdp_data.load l USING (load_id) WHERE l.state = 'done'
  ), told AS (
    SELECT f.customer_id, min(f.occurred_at), max(f.occurred_at), count(*) FILTER (WHERE f.is_touch), count(*) FILTER (WHERE f.is_conversion AND NOT f.is_refund),
      count(*) FILTER (WHERE f.is_refund), coalesce(round(sum(f.money) FILTER (WHERE f.is_conversion), 6), 0), count(*) FILTER (WHERE f.is_conversion AND f.money IS NULL)
    FROM fact f GROUP BY f.customer_id
  ), stored AS (
    SELECT p.customer_id, p.first_seen, p.last_seen, p.touches, p.conversions, p.refunds, p.revenue, p.unrated FROM cdp_data.profile p WHERE p.first_seen IS NOT NULL
  )
  SELECT (SELECT count(*) FROM (TABLE told EXCEPT TABLE stored) x) + (SELECT count(*) FROM (TABLE stored EXCEPT TABLE told) x)
$$;
CREATE TEMP TABLE figure (n integer, wrong bigint, people bigint);
CREATE FUNCTION pg_temp.check_step(n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  what text := pg_temp.step(n);
  few record;
  was text[];
BEGIN
  few := cdp.refresh_profiles();
  DELETE FROM cdp_data.change_feed;
  INSERT INTO figure VALUES (n, pg_temp.figures_wrong(), (SELECT count(*) FROM cdp_data.profile p WHERE p.revenue <> 0 AND p.refunds > 0));
  was := pg_temp.profiles();
  PERFORM cdp.refresh_profiles(everybody => true);
  RETURN public.ok(pg_temp.profiles() IS NOT DISTINCT FROM was AND few.started_over IS NULL, format('%s. %s', n, what));
END $$;
SELECT pg_temp.check_step(n) FROM generate_series(1, 40) n;
SELECT is((SELECT string_agg(f.n || ': ' || f.wrong, ', ' ORDER BY f.n) FROM figure f WHERE f.wrong <> 0), NULL, 'the figures are those of a slow twin after every step');
SELECT cmp_ok((SELECT max(f.people) FROM figure f), '>', 2::bigint, 'of people with revenue and refunds');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.profile), '>', 10::bigint, 'there were people');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.merge_log WHERE kind IN ('split', 'move')), '>', 0::bigint, 'who were taken apart, too');
SELECT is_empty($$ SELECT p.customer_id FROM cdp_data.profile p JOIN cdp_data.customer c USING (customer_id) WHERE c.parent_id <> c.customer_id $$, 'none of them merged away');

-- Hostile values.
CREATE TEMP TABLE hostile AS SELECT w.* FROM cdp.identify('crm', '{"user_id": "hostile"}', jsonb_build_object(
  'city', repeat('x', 1048576), 'note', E'\u0001\u200b', 'address', repeat('張', 2000), 'tags', repeat('["x"],', 10000), 'interests', (SELECT jsonb_agg(i::text) FROM generate_series(1, 1001) i),
  'nickname', '''; DROP TABLE cdp_data.profile; --', 'website', '<script>alert(1)</script>', 'birthday', '99999-01-01', 'registered_at', '9999999999999999', 'membership_points', '1e99',
  'company', 'n/a', 'full_name', E'\ufeff N/A \u00a0')) w;
SELECT set_eq($$ SELECT r ->> 'attribute' AS a, r ->> 'code' AS c FROM hostile, jsonb_array_elements(refused) r WHERE r ? 'attribute' $$,
  $$ VALUES ('city', 'too_long'), ('birthday', 'bad_date'), ('registered_at', 'bad_timestamp'), ('interests', 'bad_list'), ('tags', 'bad_list') $$, 'hostile values are refused by name');
SELECT throws_ok($$ SELECT cdp.identify('crm', '{"user_id": "hostile"}', '{"note": "a\u0000b"}') $$, '22P05', NULL, 'a NUL never gets in');
SELECT cdp.add_attribute('anything', 'json') AS anything \gset
SELECT is((SELECT refused FROM cdp.identify('crm', '{"user_id": "hostile"}', ('{"anything": ' || repeat('[', 1000) || repeat(']', 1000) || '}')::jsonb)),
  '[{"code": "bad_json", "attribute": "anything"}]', 'deep JSON is refused');
SELECT lives_ok('SELECT cdp.refresh_profiles()', 'and profiles are made');
SELECT is((SELECT (note, company, full_name, nickname, length(address), membership_points)::text FROM cdp_data.profile WHERE customer_id = cdp.customer_of('user_id', 'hostile')),
  (NULL::text, NULL::text, NULL::text, '''; DROP TABLE cdp_data.profile; --', 2000, 1e99::numeric)::text, 'of what is text');
SELECT lives_ok($$ SELECT cdp.customer_360('user_id', 'hostile') $$, 'also as a document');
SELECT is((SELECT count(*) FROM cdp_data.identifier i, LATERAL cdp_internal.attributes_write(1, 1, i.customer_id, i.identifier_id, '{"": 1, "x'' OR true --": 2}', now()) w WHERE i.value = 'hostile' AND jsonb_array_length(w.refused) = 2), 1::bigint, 'names are only names');
SELECT * FROM finish();
ROLLBACK;
