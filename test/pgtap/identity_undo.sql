-- A merge taken back leaves what would be there without it, whatever came in between: touches, orders, refunds, new
-- identifiers, attributes. And while it holds, reports say what they would say of one customer from the start.
-- Four ways of telling the same story: never merged, merged first, merged midway, merged midway and taken apart at the end.
\ir ../twin/identity.sql
SET jit = off;
SET client_min_messages = warning;
SELECT plan(45);
SELECT cdp.add_source('web', 'UTC'), cdp.add_source('till', 'UTC');
SELECT isnt(cdp.define_attribution_rollup('undo', models => '{last,linear,u_shaped,markov}'), NULL, 'a roll-up is defined');

-- Three people. A step is a record of one of them, with at least one of the two identifiers that stand from the start.
CREATE TABLE public.story (story integer, n integer, person integer, step text, ids jsonb, traits jsonb, at timestamptz, message text, value numeric, origin jsonb, refers_to text);
CREATE FUNCTION pg_temp.write_story(which integer, steps integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  p integer; core jsonb; more jsonb; orders text[] := '{}'; what text; said text;
BEGIN
  PERFORM setseed(which / 100.0);
  FOR i IN 1 .. 3 LOOP
    INSERT INTO public.story VALUES (which, i, i, 'identify', jsonb_build_object('email', format('s%sp%s@example.org', which, i), 'cookie', format('s%sp%s', which, i)),
      jsonb_build_object('city', 'Town ' || i, 'first_name', 'P' || i), timestamptz '2026-03-01 00:00+00' + make_interval(mins => i));
  END LOOP;
  FOR i IN 4 .. steps LOOP
    p := 1 + floor(random() * 3);
    core := CASE WHEN random() < 0.5 THEN jsonb_build_object('email', format('s%sp%s@example.org', which, p)) ELSE jsonb_build_object('cookie', jsonb_build_array(format('s%sp%s', which, p))) END;
    more := CASE floor(random() * 5)::integer
      WHEN 0 THEN jsonb_build_object('device', format('device-s%sp%s-%s', which, p, floor(random() * 3)))
      WHEN 1 THEN jsonb_build_object('crm_id', format('s%sp%s-%s', which, p, floor(random() * 3)))
      WHEN 2 THEN jsonb_build_object('openid', format('openid-of-person-s%sp%s-%s', which, p, floor(random() * 2)))
      ELSE '{}' END;
    what := (ARRAY['identify', 'visit', 'visit', 'visit', 'purchase', 'purchase', 'refund'])[1 + floor(random() * 7)];
    said := format('s%s-%s', which, i);
    IF what = 'refund' AND orders = '{}' THEN
      what := 'visit';
    END IF;
    INSERT INTO public.story VALUES (which, i, p, what, core || more,
      CASE WHEN random() < 0.3 THEN jsonb_build_object('city', 'Town ' || floor(random() * 9), 'job_title', 'Job ' || floor(random() * 4)) ELSE '{}' END,
      timestamptz '2026-03-01 00:00+00' + make_interval(hours => i * 7 + floor(random() * 40)::integer), said,
      CASE what WHEN 'purchase' THEN 10 + floor(random() * 900) / 4 WHEN 'refund' THEN -5 END,
      jsonb_build_object('source', (ARRAY['weibo', 'douyin', 'google', 'baidu'])[1 + floor(random() * 4)], 'medium', (ARRAY['social', 'cpc'])[1 + floor(random() * 2)]),
      CASE WHEN what = 'refund' THEN orders[1 + floor(random() * cardinality(orders))] END);
    IF what = 'purchase' THEN
      orders := orders || said;
    END IF;
  END LOOP;
END
$$;
CREATE FUNCTION pg_temp.tell_step(s public.story) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF s.step = 'identify' THEN
    PERFORM cdp.identify('web', s.ids, s.traits, s.at, s.message);
  ELSE
    PERFORM cdp.track(CASE WHEN s.n % 4 = 0 THEN 'till' ELSE 'web' END, s.step, s.ids, '{}', s.at, s.message, s.value, NULL, s.origin, s.traits,
      s.refers_to);
  END IF;
END
$$;

-- Everything that can be asked of customers, in words that hold no number of ours: each is named by its identifiers,
-- and by the first of those whose home it is, so that a customer which comes back under another number is seen.
CREATE FUNCTION pg_temp.picture() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  own text; profiles text; credits text; totals text; rolled text;
BEGIN
  PERFORM cdp.refresh_profiles();
  PERFORM cdp.refresh_attribution();
  DROP TABLE IF EXISTS pg_temp.names;
  CREATE TEMP TABLE names AS
  SELECT p.root, string_agg(i.value || i.state, ' ' ORDER BY i.value COLLATE "C") AS name,
    (SELECT h.value FROM cdp_data.identifier h WHERE h.customer_id = p.root ORDER BY h.identifier_id LIMIT 1) AS anchor
  FROM twin.place() p JOIN cdp_data.identifier i USING (identifier_id) GROUP BY p.root;
  SELECT string_agg(n.anchor || ': ' || n.name, E'\n' ORDER BY n.name COLLATE "C") INTO own FROM names n;
  SELECT string_agg(concat_ws(' ', n.anchor, p.city, p.first_name, p.job_title, p.first_seen, p.last_seen, p.touches, p.conversions, p.orders, p.refunds, p.revenue,
      p.average_order, p.first_channel_id, p.last_channel_id), E'\n' ORDER BY n.name COLLATE "C")
  INTO profiles FROM cdp_data.profile p JOIN names n ON n.root = p.customer_id;
  SELECT string_agg(concat_ws(' ', n.anchor, c.conversion_at, c.touch_at, c.label, c.model, c.weight, c.conversions, c.value), E'\n'
    ORDER BY n.name COLLATE "C", c.conversion_at, c.touch_at, c.label, c.model COLLATE "C", c.value)
  INTO credits FROM cdp.attribution_credit(models => '{last,linear,u_shaped}') c JOIN names n ON n.root = cdp_internal.root_of(c.customer_id);
  SELECT string_agg(t::text, E'\n' ORDER BY t.model, t.label) INTO totals FROM cdp.attribution(models => '{last,linear,u_shaped,markov}') t WHERE t.conversions <> 0;
  SELECT string_agg(t::text, E'\n' ORDER BY t.model, t.label) INTO rolled FROM cdp.attribution_rollup('undo') t WHERE t.conversions <> 0;
  IF rolled IS DISTINCT FROM totals THEN
    totals := totals || E'\nBUT THE ROLL-UP SAYS\n' || rolled;
  END IF;
  RETURN concat_ws(E'\n--\n', own, profiles, credits, totals, twin.tell());
END
$$;
SET intervalstyle = postgres;

-- merge_at NULL: never. Two merges, of persons 1 with 2 and 2 with 3; how: which way of unmerging, NULL for none.
CREATE FUNCTION pg_temp.live(which integer, merge_at integer, how integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  s public.story; merges bigint[]; links bigint[]; began timestamptz; before bigint; ids text[]; answer text;
BEGIN
  PERFORM twin.keep();
  FOR s IN SELECT * FROM public.story x WHERE x.story = which ORDER BY x.n LOOP
    IF s.n = merge_at THEN
      before := (SELECT coalesce(max(merge_id), 0) FROM cdp_data.merge_log);
      ids := ARRAY(SELECT cdp.customer_of('email', format('s%sp%s@example.org', which, i)) FROM generate_series(1, 3) i);
      began := clock_timestamp();
      PERFORM cdp.identify('web', jsonb_build_object('email', jsonb_build_array(format('s%sp1@example.org', which), format('s%sp2@example.org', which))), '{}', '2026-03-03 00:00+00'),
        cdp.identify('till', jsonb_build_object('cookie', jsonb_build_array(format('s%sp2', which), format('s%sp3', which))), '{}', '2026-03-04 00:00+00');
      merges := ARRAY(SELECT merge_id FROM cdp_data.merge_log WHERE merge_id > before AND kind = 'merge' ORDER BY 1);
      links := ARRAY(SELECT link_id FROM cdp_data.merge_log WHERE merge_id > before AND kind = 'merge' ORDER BY 1);
      PERFORM cdp.refresh_profiles(), cdp.refresh_attribution();
    END IF;
    PERFORM pg_temp.tell_step(s);
  END LOOP;
  IF how IS NOT NULL THEN
    PERFORM cdp.refresh_profiles(), cdp.refresh_attribution();
    PERFORM cdp.unmerge(merge => m) FROM unnest(merges) WITH ORDINALITY AS u (m, n) WHERE how < 2 ORDER BY CASE how WHEN 0 THEN n ELSE -n END;
    PERFORM cdp.unmerge(link => l) FROM unnest(links) l WHERE how = 2;
    PERFORM cdp.unmerge(customer => cdp.customer_of('email', format('s%sp1@example.org', which)), since => began) WHERE how = 3;
    -- The same records once more: nothing comes back.
    PERFORM cdp.identify('web', jsonb_build_object('email', jsonb_build_array(format('s%sp1@example.org', which), format('s%sp2@example.org', which))), '{}', '2026-03-03 00:00+00'),
      cdp.identify('till', jsonb_build_object('cookie', jsonb_build_array(format('s%sp2', which), format('s%sp3', which))), '{}', '2026-03-04 00:00+00');
  END IF;
  answer := pg_temp.picture();
  IF how IS NOT NULL THEN
    IF ids <> ARRAY(SELECT cdp.customer_of('email', format('s%sp%s@example.org', which, i)) FROM generate_series(1, 3) i)::text[] THEN
      answer := answer || E'\nids did not come back';
    END IF;
    PERFORM cdp.rebuild(dry_run => false);
    IF answer <> pg_temp.picture() THEN
      answer := answer || E'\nand a rebuild changes it to\n' || pg_temp.picture();
    END IF;
  END IF;
  RETURN answer;
END
$$;

CREATE TABLE public.pictures (story integer, merge_at integer, how integer, picture text);
SELECT pg_temp.write_story(i, 34) FROM generate_series(1, 6) i;
-- Each life is lived in the same empty database: what it wrote is undone, but its picture.
CREATE FUNCTION pg_temp.life(which integer, merge_at integer, how integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  picture text;
BEGIN
  BEGIN
    picture := pg_temp.live(which, merge_at, how);
    RAISE EXCEPTION 'enough' USING ERRCODE = 'P0099';
  EXCEPTION WHEN SQLSTATE 'P0099' THEN
  END;
  RETURN picture;
END
$$;
INSERT INTO public.pictures
SELECT s, m.merge_at, m.how, pg_temp.life(s, m.merge_at, m.how)
FROM generate_series(1, 6) s, (VALUES (NULL, NULL), (4, NULL), (20, NULL), (34, NULL), (5, 0), (20, 1), (20, 2), (12, 3)) AS m (merge_at, how);

SELECT isnt(n.picture, m.picture, format('story %s: merging changes the picture', n.story))
FROM public.pictures n JOIN public.pictures m USING (story) WHERE n.merge_at IS NULL AND m.merge_at = 4 AND m.how IS NULL ORDER BY n.story;
SELECT is(n.picture, m.picture, format('story %s: merged at step %s, reports are those of one customer from the start', n.story, n.merge_at))
FROM public.pictures n JOIN public.pictures m USING (story) WHERE n.merge_at > 4 AND n.how IS NULL AND m.merge_at = 4 AND m.how IS NULL ORDER BY n.story, n.merge_at;
SELECT is(n.picture, m.picture, format('story %s: merged at step %s and taken apart (%s), all is as if never merged', n.story, n.merge_at, n.how))
FROM public.pictures n JOIN public.pictures m USING (story) WHERE n.how IS NOT NULL AND m.merge_at IS NULL ORDER BY n.story, n.merge_at, n.how;
SELECT is((SELECT count(*) FROM public.pictures WHERE picture LIKE '%BUT THE%' OR picture IS NULL), 0::bigint, 'the roll-up equals the direct pass in each');
SELECT cmp_ok((SELECT min(length(picture)) FROM public.pictures), '>', 3000, 'the pictures show something');
SELECT * FROM finish();
