-- Loads of events that merge customers, taken back and put in again around unmerges: customers and attribution are those of
-- the loads in force, the roll-up equals the direct pass, and who was who at each moment can be asked afterwards.
\ir ../twin/identity.sql
SET jit = off;
SET client_min_messages = warning;
SELECT plan(14);
SELECT cdp.add_source('web', 'UTC'), cdp.add_source('crm', 'UTC');
SELECT cdp.define_attribution_rollup('loads', models => '{last,linear,markov}') AS rollup;

-- base: sixty people, one address each; bridge: records that show two or three of them as one; more: touches and orders later.
CREATE TABLE public.base AS
SELECT 'a' || i AS source_key, timestamptz '2026-02-01 00:00+00' + i * interval '5 hours' AS occurred_at, 'person' || i * 7 % 60 || '@example.org' AS email,
  CASE WHEN i % 5 = 0 THEN 'crumb' || i * 7 % 60 || 'x' || i % 2 END AS cookie, CASE WHEN i % 6 = 0 THEN 'purchase' ELSE 'click' END AS kind,
  (ARRAY['weibo', 'douyin', 'google'])[1 + i % 3] AS source, (ARRAY['social', 'social', 'cpc'])[1 + i % 3] AS medium, CASE WHEN i % 6 = 0 THEN 20 + i % 17 END AS value
FROM generate_series(1, 240) i;
CREATE TABLE public.bridge AS
SELECT 'b' || i AS source_key, timestamptz '2026-02-20 00:00+00' + i * interval '1 hour' AS occurred_at, 'person' || i || '@example.org' AS email,
  'shared' || i / 3 AS device_name, 'visit' AS kind, 'newsletter' AS source, 'email' AS medium
FROM generate_series(0, 29) i;
ALTER TABLE public.bridge RENAME device_name TO crm_id;
CREATE TABLE public.more AS
SELECT 'c' || i AS source_key, timestamptz '2026-02-25 00:00+00' + i * interval '3 hours' AS occurred_at, 'person' || i * 11 % 60 || '@example.org' AS email,
  CASE WHEN i % 4 = 0 THEN 'late' || i * 11 % 60 END AS member_id, CASE WHEN i % 4 = 0 THEN 'purchase' ELSE 'click' END AS kind,
  (ARRAY['baidu', 'weibo', 'qq'])[1 + i % 3] AS source, 'social' AS medium, CASE WHEN i % 4 = 0 THEN 30 + i % 13 END AS value
FROM generate_series(1, 120) i;

CREATE FUNCTION pg_temp.picture() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  own text; totals text; rolled text;
BEGIN
  PERFORM cdp.refresh_attribution();
  -- A reverted load leaves its identifiers, without touches and links: they are nobody's fact.
  SELECT string_agg(x.name, E'\n' ORDER BY x.name COLLATE "C") INTO own
  FROM (SELECT string_agg(i.value, ' ' ORDER BY i.value COLLATE "C") AS name FROM twin.place() p JOIN cdp_data.identifier i USING (identifier_id)
        WHERE EXISTS (SELECT FROM cdp_data.touchpoint t WHERE t.identifier_id = i.identifier_id)
          OR EXISTS (SELECT FROM cdp_data.link l WHERE i.identifier_id IN (l.a_id, l.b_id) AND l.state = 'active' AND l.kind <> 'cannot') GROUP BY p.root) x;
  SELECT string_agg(t::text, E'\n' ORDER BY t.model, t.label) INTO totals FROM cdp.attribution(models => '{last,linear,markov}') t WHERE t.conversions <> 0;
  SELECT string_agg(t::text, E'\n' ORDER BY t.model, t.label) INTO rolled FROM cdp.attribution_rollup('loads') t WHERE t.conversions <> 0;
  RETURN concat_ws(E'\n--\n', own, totals, CASE WHEN rolled IS DISTINCT FROM totals THEN 'BUT THE ROLL-UP SAYS ' || rolled END, twin.tell());
END
$$;
CREATE TABLE public.pictures (life text PRIMARY KEY, picture text);
CREATE TABLE public.moment (at timestamptz, customer_id bigint, root bigint);
-- One step: +name loads, -name takes back, ~name puts in again, and u an unmerge of one pair that the bridge joined.
CREATE FUNCTION pg_temp.live(steps text, moments boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  step text; name text; n bigint;
BEGIN
  PERFORM twin.keep();
  FOREACH step IN ARRAY string_to_array(steps, ' ') LOOP
    name := substr(step, 2);
    CASE left(step, 1)
      WHEN '+' THEN PERFORM cdp.load_events(CASE name WHEN 'more' THEN 'crm' ELSE 'web' END, ('public.' || name)::regclass, note => name);
      WHEN '-' THEN PERFORM cdp.revert_load((SELECT l.load_id FROM cdp_data.load l WHERE l.note = name));
      WHEN '~' THEN PERFORM cdp.retry_load((SELECT l.load_id FROM cdp_data.load l WHERE l.note = name));
      WHEN 'u' THEN
        PERFORM cdp.unmerge(link => l.link_id) FROM cdp_data.link l JOIN cdp_data.identifier a ON a.identifier_id = l.a_id JOIN cdp_data.identifier b ON b.identifier_id = l.b_id
        WHERE (a.value, b.value) IN (('person1@example.org', 'shared0'), ('shared0', 'person1@example.org'));
    END CASE;
    IF moments THEN
      INSERT INTO public.moment SELECT clock_timestamp(), c.customer_id, c.root FROM twin.customer_root() c;
    END IF;
    PERFORM cdp.refresh_attribution() WHERE length(step) % 2 = 0;
  END LOOP;
  RETURN pg_temp.picture();
END
$$;
CREATE FUNCTION pg_temp.life(steps text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  picture text;
BEGIN
  BEGIN
    picture := pg_temp.live(steps, false);
    RAISE EXCEPTION 'enough' USING ERRCODE = 'P0099';
  EXCEPTION WHEN SQLSTATE 'P0099' THEN
  END;
  INSERT INTO public.pictures VALUES (steps, picture);
  RETURN picture;
END
$$;
SELECT pg_temp.life('+base +more') IS NOT NULL AS told;
SELECT pg_temp.life('+base +bridge +more') IS NOT NULL AS told;
SELECT pg_temp.life('+base +bridge +more u') IS NOT NULL AS told;
-- Lines of one text only, as < and >.
CREATE FUNCTION pg_temp.difference(a text, b text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(d, E'\n') FROM (
    (SELECT '< ' || x AS d FROM string_to_table(a, E'\n') x EXCEPT ALL SELECT '< ' || x FROM string_to_table(b, E'\n') x)
    UNION ALL
    (SELECT '> ' || x FROM string_to_table(b, E'\n') x EXCEPT ALL SELECT '> ' || x FROM string_to_table(a, E'\n') x)) v
$$;
CREATE FUNCTION pg_temp.same(life text, other text) RETURNS text LANGUAGE sql AS $$
  SELECT public.is(pg_temp.difference(pg_temp.life(same.life), (SELECT p.picture FROM public.pictures p WHERE p.life = other)), NULL, same.life || ' is as ' || other)
$$;
SELECT isnt(a.picture, b.picture, 'merging changes the picture') FROM public.pictures a, public.pictures b WHERE a.life = '+base +more' AND b.life = '+base +bridge +more';
SELECT isnt(a.picture, b.picture, 'so does the unmerge') FROM public.pictures a, public.pictures b WHERE a.life = '+base +bridge +more u' AND b.life = '+base +bridge +more';
SELECT pg_temp.same('+base +bridge +more -bridge', '+base +more');
SELECT pg_temp.same('+base +bridge -bridge +more', '+base +more');
SELECT pg_temp.same('+bridge +more +base', '+base +bridge +more');
SELECT pg_temp.same('+base +bridge -bridge +more ~bridge', '+base +bridge +more');
SELECT pg_temp.same('+base +bridge +more -bridge -more ~more ~bridge', '+base +bridge +more');
SELECT pg_temp.same('+base +bridge +more -base ~base', '+base +bridge +more');
SELECT pg_temp.same('+base +bridge u +more', '+base +bridge +more u');
SELECT pg_temp.same('+base +bridge u -bridge +more ~bridge', '+base +bridge +more u');
SELECT pg_temp.same('+base +bridge u +more -bridge', '+base +more');
SELECT is((SELECT count(*) FROM public.pictures WHERE picture LIKE '%BUT THE%'), 0::bigint, 'the roll-up equals the direct pass in each');
-- This one stays, each step in a transaction of its own.
SELECT pg_temp.live(s, true) IS NOT NULL AS told FROM unnest('{+base,+bridge,u,+more,-bridge,~bridge}'::text[]) s;
SELECT cmp_ok((SELECT count(DISTINCT root) FROM public.moment), '>', 40::bigint, 'customers of six moments');
SELECT is((SELECT count(*) FROM public.moment m WHERE cdp.customer_asof(m.customer_id, m.at) IS DISTINCT FROM m.root), 0::bigint, 'who was who then is told of each moment');
SELECT * FROM finish();
