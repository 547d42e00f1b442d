-- Batches that bring the same again: nothing is written for what is in force, and after any reverts and retries every
-- link, date and golden value is what it would be had each load kept rows of its own (the oracle: table told).
\ir resolve_check.inc
SET jit = off;
SET client_min_messages = warning;
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German, DMY';
SELECT plan(34);
SELECT cdp.add_source('plain', 'UTC') AS plain, cdp.add_source('dated', 'UTC') AS dated \gset
SELECT cdp.add_identifier_type('hub', normaliser => 'trim', priority => 10), cdp.add_identifier_type('weak', normaliser => 'trim', priority => 900);
SELECT cdp.add_attribute('taste', 'text', 'latest'), cdp.add_attribute('seen', 'text', 'latest_seen'), cdp.add_attribute('often', 'text', 'most_frequent'), cdp.add_attribute('first', 'text', 'earliest');
CREATE FUNCTION pg_temp.rows() RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', (SELECT count(*) FROM cdp_data.link_support), (SELECT count(*) FROM cdp_data.attribute_value), (SELECT count(*) FROM cdp_data.record_version),
    (SELECT count(*) FROM cdp_data.repetition), (SELECT count(*) FROM cdp_data.customer_record), (SELECT count(*) FROM cdp_data.identifier))
$$;
CREATE FUNCTION pg_temp.untouched() RETURNS text LANGUAGE sql AS $$
  SELECT md5(string_agg(x, ' ' ORDER BY x)) FROM (
    SELECT 's' || xmin || ctid AS x FROM cdp_data.link_support UNION ALL SELECT 'a' || xmin || ctid FROM cdp_data.attribute_value
    UNION ALL SELECT 'k' || xmin || ctid FROM cdp_data.customer_record UNION ALL SELECT 'i' || xmin || ctid FROM cdp_data.identifier
    UNION ALL SELECT 'l' || xmin || ctid FROM cdp_data.link UNION ALL SELECT 'v' || xmin || ctid FROM cdp_data.record_version UNION ALL SELECT 'c' || xmin || ctid FROM cdp_data.customer) y
$$;
CREATE FUNCTION pg_temp.golden(what text, who text) RETURNS text LANGUAGE sql AS $$
  SELECT p.doc -> 'values' ->> what FROM cdp_internal.profile_rows(ARRAY[cdp.customer_of('hub', who)]) p
$$;

-- By hand.
CREATE TABLE public.people AS SELECT 'k' || n AS source_key, 'h' || n AS hub, 'w' || n AS weak, 'tea' AS taste, 'here' AS seen FROM generate_series(1, 10) n;
SELECT inserted, load_id AS one FROM cdp.load_customers('plain', 'people') \gset
SELECT is(pg_temp.rows(), '10 20 10 1 10 20', 'the first load: a row of support, two values and a version for each record, one list of loads');
SELECT pg_temp.untouched() AS before \gset
SELECT load_id AS two, inserted, corrected, unchanged, identifiers, links FROM cdp.load_customers('plain', 'people') \gset
SELECT is(concat_ws(' ', :inserted, :corrected, :unchanged, :identifiers, :links), '0 0 10 0 0', 'the same again is unchanged');
SELECT is(pg_temp.rows(), '10 20 10 1 10 20', 'and makes no row');
SELECT is(pg_temp.untouched(), :'before', 'nor touches one');
SELECT is((SELECT loads FROM cdp_data.repetition), ARRAY[:two]::bigint[], 'but for the list of loads');
SELECT is((SELECT first_at || ' ' || last_at FROM cdp_data.load WHERE load_id = :two), (SELECT first_at || ' ' || last_at FROM cdp_data.repetition), 'its times stand in the ledger');
UPDATE people SET taste = 'coffee' WHERE source_key = 'k1';
SELECT load_id AS three, inserted, corrected, unchanged FROM cdp.load_customers('plain', 'people') \gset
SELECT is(concat_ws(' ', :inserted, :corrected, :unchanged), '0 1 9', 'one has changed');
SELECT is(pg_temp.rows(), '11 22 11 3 10 20', 'which makes its rows, and lists of its own for what it said before and says now');
SELECT is(pg_temp.golden('taste', 'h1') || pg_temp.golden('taste', 'h2'), 'coffeetea', 'and is told');
SELECT cdp.revert_load(:one);
SELECT is((SELECT count(*) FROM cdp_data.link WHERE state = 'active'), 10::bigint, 'without the first load all links are in force by the second');
SELECT is(pg_temp.golden('taste', 'h2') || pg_temp.golden('seen', 'h2'), 'teahere', 'and all values');
SELECT is((SELECT count(*) FROM cdp_data.link k JOIN cdp_data.load l ON k.first_seen = l.first_at WHERE l.load_id = :two), 10::bigint, 'first seen in the second');
SELECT is((SELECT count(*) FROM cdp_data.identifier i JOIN cdp_data.load l ON i.first_seen = l.first_at WHERE l.load_id = :two), 20::bigint, 'as are the identifiers');
SELECT cdp.revert_load(:three);
SELECT is(pg_temp.golden('taste', 'h1'), 'tea', 'without the third the change is undone');
SELECT load_id AS four, inserted, corrected, unchanged FROM cdp.load_customers('plain', 'people') \gset
SELECT is(concat_ws(' ', :inserted, :corrected, :unchanged), '1 0 9', 'what only a reverted load said is new');
SELECT cdp.revert_load(:four), cdp.revert_load(:two);
SELECT is((SELECT count(*) FROM cdp_data.link WHERE state = 'active'), 0::bigint, 'without any load no link');
SELECT is(pg_temp.golden('taste', 'h2'), NULL, 'and no value');
SELECT is((SELECT count(*) FROM cdp.source_orphans() WHERE finding = 'identifier without evidence'), 2::bigint, 'and no evidence of either type') FROM (SELECT 1) x;
SELECT cdp.retry_load(:four);
SELECT is((SELECT count(*) FROM cdp_data.link WHERE state = 'active'), 10::bigint, 'a load of repetitions, alone: all links');
SELECT is(pg_temp.golden('taste', 'h1') || pg_temp.golden('taste', 'h2'), 'coffeetea', 'and values');
SELECT cdp.retry_load(:one), cdp.retry_load(:two), cdp.retry_load(:three);
SELECT is(pg_temp.golden('taste', 'h1') || pg_temp.golden('taste', 'h2'), 'coffeetea', 'all loads again');
SELECT is((SELECT count(*) FROM cdp_data.link k JOIN cdp_data.load l ON k.first_seen = l.first_at WHERE l.load_id = :one), 10::bigint, 'first seen in the first');
-- What is read otherwise today is no repetition; nor is a link that a rule had stopped left alone.
SELECT cdp.add_attribute('taste', aliases => '{"tea": "cha"}') IS NOT NULL;
SELECT unchanged FROM cdp.load_customers('plain', 'people') \gset
SELECT is(:unchanged, 10, 'an alias makes no record another one');
SELECT is(pg_temp.golden('taste', 'h2'), 'cha', 'but its value is read anew');
SELECT pg_temp.untouched() AS before \gset
SELECT unchanged FROM cdp.load_customers('plain', 'people') \gset
SELECT is(pg_temp.untouched(), :'before', 'once');
UPDATE cdp_data.link l SET state = 'rejected', reason = 'limit weak' FROM cdp_data.identifier i WHERE i.identifier_id = l.a_id AND i.value = 'h3';
SELECT cdp_internal.recompute(ARRAY[cdp.customer_of('hub', 'h3')], 'manual');
SELECT isnt(cdp.customer_of('hub', 'h3'), cdp.customer_of('weak', 'w3'), 'a link that a limit stopped');
SELECT links FROM cdp.load_customers('plain', 'people') \gset
SELECT is(cdp.customer_of('hub', 'h3'), cdp.customer_of('weak', 'w3'), 'is tried again when its record comes again');
SELECT is(:links, 1, 'alone');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'no promise is broken');
SELECT is((SELECT count(*) FROM cdp_data.attribute_value v WHERE v.version_id <> 0 AND NOT EXISTS (SELECT FROM cdp_data.record_version w JOIN cdp_data.repetition r USING (repetition_id) WHERE w.version_id = v.version_id)), 0::bigint, 'every version is there');

-- Random stories against the oracle.
CREATE TABLE public.told (load_id bigint, source_id integer, hub text, weak text, at timestamptz, taste text, seen text, often text, first text);
CREATE TABLE public.batch (source_key text, hub text, weak text, observed_at timestamptz, taste text, seen text, often text, first text);
CREATE VIEW public.undated AS SELECT source_key, hub, weak, taste, seen, often, first FROM batch;
CREATE FUNCTION pg_temp.pick(words text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT words[1 + floor(random() * cardinality(words))::int] $$;
CREATE FUNCTION pg_temp.mutate(share double precision) RETURNS void LANGUAGE sql AS $$
  UPDATE public.batch SET taste = pg_temp.pick('{a,b,c}'), seen = pg_temp.pick('{x,y}'), often = pg_temp.pick('{p,q,NULL}'), first = pg_temp.pick('{1,2}'),
    hub = CASE WHEN random() < 0.2 THEN pg_temp.pick('{H1,H2,H3,H4,H5,H6}') ELSE hub END, observed_at = observed_at + floor(random() * 5)::int * interval '1 day'
  WHERE random() < share
$$;
CREATE FUNCTION pg_temp.step() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  what integer := floor(random() * 10)::int;
  src text := CASE WHEN random() < 0.6 THEN 'plain' ELSE 'dated' END;
  id bigint;
  who text := pg_temp.pick('{H1,H2,H3,H4}');
  said text := pg_temp.pick('{a,b,c}');
BEGIN
  IF what < 6 THEN
    PERFORM pg_temp.mutate(CASE WHEN random() < 0.4 THEN 0 ELSE 0.3 END);
    CREATE TEMP TABLE kept AS TABLE public.batch;
    DELETE FROM public.batch WHERE random() < 0.15;
    id := (SELECT load_id FROM cdp.load_customers(src, CASE src WHEN 'plain' THEN 'public.undated' ELSE 'public.batch' END));
    INSERT INTO public.told SELECT id, l.source_id, b.hub, b.weak, CASE src WHEN 'plain' THEN now() ELSE b.observed_at END, b.taste, b.seen, nullif(b.often, 'NULL'), b.first
    FROM public.batch b, cdp_data.load l WHERE l.load_id = id;
    TRUNCATE public.batch;
    INSERT INTO public.batch TABLE kept;
    DROP TABLE kept;
    RETURN 'load';
  ELSIF what < 8 THEN
    -- Each call in a load of its own, as if the days were short: within one load only the first and last time of a value
    -- are kept, and a day that goes on after its values were folded would know more than the oracle.
    UPDATE cdp_data.load SET finished_at = now(), started_at = started_at - interval '3 days' WHERE kind = 'calls' AND finished_at IS NULL;
    PERFORM cdp.identify(src, jsonb_build_object('hub', who), jsonb_build_object('taste', said), now());
    INSERT INTO public.told SELECT max(l.load_id), l.source_id, who, NULL, now(), said FROM cdp_data.load l JOIN cdp_data.source s USING (source_id)
    WHERE s.name = src AND l.kind = 'calls' GROUP BY l.source_id;
    RETURN 'call';
  END IF;
  SELECT l.load_id INTO id FROM cdp_data.load l WHERE EXISTS (SELECT FROM public.told t WHERE t.load_id = l.load_id) ORDER BY random() LIMIT 1;
  IF (SELECT l.state FROM cdp_data.load l WHERE l.load_id = id) = 'done' THEN
    PERFORM cdp.revert_load(id);
    RETURN 'revert';
  ELSIF id IS NOT NULL THEN
    PERFORM cdp.retry_load(id);
  END IF;
  RETURN 'retry';
END
$$;
-- What differs from the oracle: links in force and when they were first seen, who is one, golden values.
CREATE FUNCTION pg_temp.differences() RETURNS TABLE (what text, id text, has text, should text) LANGUAGE sql AS $$
  WITH said AS MATERIALIZED (
    SELECT t.*, h.identifier_id AS hub_id, w.identifier_id AS weak_id, h.customer_id AS home,
      cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), h.customer_id, h.identifier_id) AS root
    FROM public.told t JOIN cdp_data.load l ON l.load_id = t.load_id AND l.state = 'done'
      JOIN cdp_data.identifier h ON h.value = t.hub LEFT JOIN cdp_data.identifier w ON w.value = t.weak
  ), shown AS (
    SELECT least(hub_id, weak_id) AS a, greatest(hub_id, weak_id) AS b, min(at) AS at FROM said WHERE weak_id IS NOT NULL GROUP BY 1, 2
  ), row AS (
    SELECT s.root, s.home, s.hub_id, s.source_id, a.attribute_id, a.name, a.strategy, v.value, min(s.at) AS first_at, max(s.at) AS last_at
    FROM said s CROSS JOIN LATERAL (VALUES ('taste', CASE s.taste WHEN 'tea' THEN 'cha' ELSE s.taste END), ('seen', s.seen), ('often', s.often), ('first', s.first)) AS v (name, value)
      JOIN cdp_data.attribute_all a ON a.name = v.name
    WHERE v.value IS NOT NULL
    GROUP BY s.root, s.home, s.hub_id, s.source_id, a.attribute_id, a.name, a.strategy, v.value, s.load_id, CASE WHEN s.weak IS NOT NULL THEN s.at END
  ), should AS (
    SELECT r.root, cdp_internal.survivors(r.attribute_id, r.name, 1, array_position(cdp_internal.attribute_strategies(), r.strategy), 0, r.value, r.first_at, r.last_at,
      false, r.home, r.hub_id, r.source_id, NULL) AS doc
    FROM row r GROUP BY r.root
  )
  SELECT 'link', coalesce(l.a_id, s.a) || '-' || coalesce(l.b_id, s.b), l.first_seen::text, s.at::text
  FROM (SELECT * FROM cdp_data.link k WHERE k.state = 'active' AND k.a_id > (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'w10')) l
    FULL JOIN shown s ON s.a = l.a_id AND s.b = l.b_id WHERE l.first_seen IS DISTINCT FROM s.at
  UNION ALL
  SELECT 'golden', coalesce(p.customer_id, s.root)::text, p.doc::text, s.doc::text
  FROM (SELECT * FROM cdp_internal.profile_rows(NULL) p WHERE p.customer_id > (SELECT max(customer_id) FROM cdp_data.identifier WHERE value ~ '^[hw]\d')) p
    FULL JOIN should s ON s.root = p.customer_id WHERE p.doc IS DISTINCT FROM s.doc
  UNION ALL
  SELECT 'graph', '', pg_temp.graph_differences()::text, '0' WHERE pg_temp.graph_differences() <> 0
  UNION ALL
  SELECT 'check', to_jsonb(c)::text, NULL, NULL FROM cdp.identity_check() c
$$;
CREATE PROCEDURE pg_temp.story(seed double precision, steps integer, INOUT wrong text) LANGUAGE plpgsql AS $$
DECLARE
  done text := '';
  folded bigint := 0;
BEGIN
  PERFORM setseed(seed);
  DELETE FROM public.batch WHERE random() < 0.5;
  INSERT INTO public.batch SELECT 'r' || seed || n, 'H' || 1 + n % 6, 'W' || 1 + n % 9, timestamptz '2026-05-01 00:00+00' + n * interval '1 hour' FROM generate_series(1, 14) n;
  PERFORM pg_temp.mutate(1);
  COMMIT;
  FOR i IN 1 .. steps LOOP
    done := left(pg_temp.step(), 3) || ' ' || left(done, 60);
    COMMIT;
    SELECT concat_ws(' ', 'step', i, done, d.what, d.id, 'has', d.has, 'should', d.should) INTO wrong FROM pg_temp.differences() d ORDER BY d.what, d.id LIMIT 1;
    EXIT WHEN wrong IS NOT NULL;
    IF i % 7 = 0 THEN
      UPDATE cdp_data.load SET finished_at = now(), started_at = started_at - interval '3 days' WHERE kind = 'calls' AND finished_at IS NULL;
      folded := folded + (cdp_internal.compact_values(0)).gone;
      PERFORM cdp.refresh_profiles();
      COMMIT;
    END IF;
  END LOOP;
  INSERT INTO public.fold VALUES (folded);
END
$$;
CREATE TABLE public.fold (n bigint);
CREATE TEMP TABLE ending (n integer, wrong text);
DO $$
DECLARE
  said text;
BEGIN
  FOR n IN 1 .. 3 LOOP
    CALL pg_temp.story(n / 10.0, 28, said);
    INSERT INTO ending VALUES (n, said);
    COMMIT;
  END LOOP;
END
$$;
SELECT is((SELECT string_agg(n || ': ' || wrong, E'\n' ORDER BY n) FROM ending), NULL, 'random loads, calls, reverts and retries: as the oracle at each step');
SELECT ok((SELECT count(*) FROM cdp_data.repetition WHERE cardinality(loads) > 2) > 3, 'many loads stand on lists');
SELECT ok((SELECT count(*) FROM cdp_data.repetition WHERE cardinality(times) > 2) > 0, 'with times in between');
SELECT ok((SELECT sum(n) FROM fold) > 20, 'rows of repeated values were folded on the way');
SELECT * FROM finish();
