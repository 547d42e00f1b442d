-- The same random records through cdp_internal.identify_in() and through its slow twin in plpgsql: every answer and every
-- table must be equal but for times of writing. Between records people forbid, allow, unmerge, quarantine and release.
SELECT plan(13);
\ir ../twin/identify.sql
SELECT cdp.add_source('twin');
INSERT INTO cdp_data.identifier_type (type_id, name, normaliser, role, priority, max_per_customer, limit_window, supernode_degree) VALUES
  (1001, 'free', 'trim', 'merge', 400, NULL, NULL, NULL), (1010, 'account', 'trim', 'merge', 100, 1, NULL, NULL), (1011, 'mail', 'lower', 'merge', 300, 3, NULL, NULL),
  (1012, 'tablet', 'trim', 'merge', 700, 3, '10 days', NULL), (1013, 'crumb', 'trim', 'merge', 800, NULL, NULL, 7), (1014, 'card', 'trim', 'attach_only', 450, NULL, NULL, 12),
  (1015, 'bare', 'trim', 'ignore', 500, NULL, NULL, NULL);

-- What is done: a record, or a step of a person between two identifiers.
CREATE TABLE public.step (n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text, ids jsonb, at timestamptz, a double precision, b double precision);
CREATE FUNCTION public.draw(steps integer, world integer, longest integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  ids jsonb;
  kind text;
BEGIN
  TRUNCATE public.step RESTART IDENTITY;
  FOR n IN 1 .. steps LOOP
    ids := '{}';
    FOR i IN 1 .. 1 + floor(random() * random() * longest)::integer LOOP
      kind := (ARRAY['account', 'mail', 'mail', 'tablet', 'crumb', 'crumb', 'free', 'free', 'card', 'bare', 'nobody'])[1 + floor(random() ^ 1.5 * 11)::integer];
      ids := ids || jsonb_build_object(kind, coalesce(ids -> kind, '[]') || CASE floor(random() * 40)::integer WHEN 0 THEN '[null]'::jsonb WHEN 1 THEN '[7, true, {}]'
        ELSE jsonb_build_array((ARRAY['V', 'v ', ' v'])[1 + floor(random() * 3)::integer] || floor(random() * random() * world)::integer) END);
    END LOOP;
    INSERT INTO public.step (what, ids, at, a, b)
    VALUES (CASE WHEN random() < 0.94 THEN 'record' ELSE (ARRAY['forbid', 'allow', 'unmerge', 'quarantine', 'release', 'link'])[1 + floor(random() * 6)::integer] END,
      ids, timestamptz '2026-01-01 00:00+00' + make_interval(hours => floor(random() * 600)::integer), random(), random());
  END LOOP;
END $$;

CREATE TABLE public.told (engine text, n integer, answer text);
CREATE FUNCTION public.person(s public.step) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  top bigint := (SELECT max(identifier_id) FROM cdp_data.identifier);
  a bigint := (SELECT i.identifier_id FROM cdp_data.identifier i WHERE i.identifier_id >= s.a * top ORDER BY 1 LIMIT 1);
  b bigint := (SELECT i.identifier_id FROM cdp_data.identifier i WHERE i.identifier_id >= s.b * top ORDER BY 1 LIMIT 1);
BEGIN
  CASE s.what
    WHEN 'forbid' THEN RETURN cdp.forbid_link(a, b, 'twin')::text;
    WHEN 'allow' THEN RETURN (SELECT x::text FROM cdp.allow_link(a, b, 'twin') x);
    WHEN 'unmerge' THEN RETURN (SELECT count(*)::text FROM cdp.unmerge(identifier => a, reason => 'twin'));
    WHEN 'quarantine' THEN RETURN (SELECT x::text FROM cdp.quarantine_identifier(a, 'twin') x);
    WHEN 'release' THEN RETURN cdp.release_identifier((SELECT min(i.identifier_id) FROM cdp_data.identifier i WHERE i.state = 'quarantined'))::text;
    WHEN 'link' THEN RETURN (SELECT (x.state, x.why, x.customer_id)::text FROM cdp.link_identifiers(a, b, 'twin') x);
  END CASE;
EXCEPTION WHEN invalid_parameter_value OR null_value_not_allowed OR object_not_in_prerequisite_state THEN
  RETURN sqlstate;
END $$;
CREATE PROCEDURE public.play(engine text) LANGUAGE plpgsql AS $$
DECLARE
  s public.step;
  c record;
  r record;
BEGIN
  TRUNCATE cdp_data.customer, cdp_data.identifier, cdp_data.identifier_override, cdp_data.link, cdp_data.link_support, cdp_data.merge_log,
    cdp_data.identity_alert, cdp_data.change_feed, cdp_data.load RESTART IDENTITY;
  ALTER SEQUENCE cdp_data.identity_operation_seq RESTART;
  INSERT INTO cdp_data.load (source_id, kind, state) SELECT 1, 'calls', 'done' FROM generate_series(1, 2);
  COMMIT;
  FOR s IN SELECT * FROM public.step ORDER BY n LOOP
    IF s.what <> 'record' THEN
      INSERT INTO public.told VALUES (engine, s.n, public.person(s));
    ELSIF engine = 'slow' THEN
      c := slow.clean_identifiers(s.ids);
      r := slow.identify_in(1 + s.n % 2, 1, c.type_ids, c.vals, s.at, 'key' || s.n, 'identify');
      INSERT INTO public.told VALUES (engine, s.n, concat(c, ' ', r));
    ELSE
      c := cdp_internal.clean_identifiers(s.ids);
      r := cdp_internal.identify_in(1 + s.n % 2, 1, c.type_ids, c.vals, s.at, 'key' || s.n, 'identify');
      INSERT INTO public.told VALUES (engine, s.n, concat(c, ' ', r));
    END IF;
    COMMIT;
  END LOOP;
END $$;
CREATE TABLE public.state (world integer, engine text, what text, line text);
CREATE FUNCTION public.keep(world integer, engine text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO public.state
  SELECT world, engine, 'identifier', i::text FROM cdp_data.identifier i
  UNION ALL SELECT world, engine, 'override', o::text FROM cdp_data.identifier_override o
  UNION ALL SELECT world, engine, 'customer', (c.customer_id, c.parent_id)::text FROM cdp_data.customer c
  UNION ALL SELECT world, engine, 'link', (l.link_id, l.a_id, l.b_id, l.kind, l.state, l.first_seen, l.reason, l.blocker)::text FROM cdp_data.link l WHERE l.kind = 'deterministic'
  UNION ALL SELECT world, engine, 'link', (l.link_id, l.a_id, l.b_id, l.kind, l.state, l.reason, l.blocker)::text FROM cdp_data.link l WHERE l.kind <> 'deterministic'
  UNION ALL SELECT world, engine, 'support', s::text FROM cdp_data.link_support s
  UNION ALL SELECT world, engine, 'ledger', (m.merge_id, m.operation_id, m.kind, m.customer_id, m.identifier_id, m.from_id, m.to_id, m.link_id, m.cause, m.source_id, m.load_id,
    m.event_key, m.winner_size, m.loser_size, m.undone_by)::text FROM cdp_data.merge_log m
  UNION ALL SELECT world, engine, 'alert', (a.alert_id, a.kind, a.identifier_id, a.customer_id, a.detail, a.resolved_at IS NULL)::text FROM cdp_data.identity_alert a
  UNION ALL SELECT world, engine, 'feed', (f.seq, f.customer_id, f.cause)::text FROM cdp_data.change_feed f
$$;

CREATE PROCEDURE public.compare(world integer) LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE public.told;
  COMMIT;
  CALL public.play('slow');
  PERFORM public.keep(world, 'slow');
  COMMIT;
  CALL public.play('fast');
  PERFORM public.keep(world, 'fast');
  COMMIT;
END $$;
CREATE FUNCTION public.answers() RETURNS TABLE (n integer, slow text, fast text, record text) LANGUAGE sql AS $$
  SELECT s.n, s.answer, f.answer, p.ids::text FROM public.told s JOIN public.told f USING (n) JOIN public.step p USING (n)
  WHERE s.engine = 'slow' AND f.engine = 'fast' AND s.answer IS DISTINCT FROM f.answer ORDER BY s.n LIMIT 3
$$;
CREATE FUNCTION public.differences(world integer) RETURNS TABLE (what text, line text, engines text) LANGUAGE sql AS $$
  SELECT what, line, string_agg(engine, ' ') FROM public.state s WHERE s.world = differences.world GROUP BY what, line HAVING count(*) <> 2 ORDER BY 1, 2 LIMIT 10
$$;

SELECT setseed(0.42);
SELECT public.draw(700, 400, 4);
CALL public.compare(1);
SELECT is_empty('SELECT * FROM public.answers()', 'small customers: the same answers');
SELECT is_empty('SELECT * FROM public.differences(1)', 'and the same tables');
UPDATE cdp_data.setting SET max_identifiers_per_customer = 9;
SELECT public.draw(700, 150, 6);
CALL public.compare(2);
SELECT is_empty('SELECT * FROM public.answers()', 'a size of nine: the same answers');
SELECT is_empty('SELECT * FROM public.differences(2)', 'and the same tables');
UPDATE cdp_data.setting SET max_identifiers_per_customer = NULL;
INSERT INTO cdp_data.identifier_pair_limit (type_id, other_type_id, max_n) VALUES (1011, 1010, 1), (1001, 1011, 2);
SELECT public.draw(700, 300, 5);
CALL public.compare(3);
SELECT is_empty('SELECT * FROM public.answers()', 'limits between types, no limit of size: the same answers');
SELECT is_empty('SELECT * FROM public.differences(3)', 'and the same tables');
DELETE FROM cdp_data.identifier_pair_limit;
UPDATE cdp_data.identifier_type SET supernode_degree = NULL, max_per_customer = CASE WHEN type_id = 1010 THEN 40 END, limit_window = NULL;
SELECT public.draw(900, 300, 5);
CALL public.compare(4);
SELECT is_empty('SELECT * FROM public.answers()', 'large customers, read in part: the same answers');
SELECT is_empty('SELECT * FROM public.differences(4)', 'and the same tables');
SELECT cmp_ok((SELECT max(n) FROM (SELECT count(*) AS n FROM cdp_data.identifier i GROUP BY cdp_internal.identifier_root(i.identifier_id)) x), '>', 40::bigint, 'some are large');
UPDATE cdp_data.identifier_type SET supernode_degree = 5;
SELECT public.draw(120, 300, 42);
CALL public.compare(5);
SELECT is_empty('SELECT * FROM public.answers()', 'long records, shared identifiers: the same answers');
SELECT is_empty('SELECT * FROM public.differences(5)', 'and the same tables');
SELECT is((SELECT array_agg(DISTINCT what ORDER BY what) FROM public.state), '{alert,customer,feed,identifier,ledger,link,override,support}', 'every table had rows');
SELECT cmp_ok((SELECT count(DISTINCT substring(line FROM '(super-node|attach only|cannot|customer size|pair limit|limit account|limit mail|limit tablet|unmerge)')) FROM public.state WHERE what = 'link'),
  '>=', 9::bigint, 'and every rule stopped somebody');
SELECT * FROM finish();
