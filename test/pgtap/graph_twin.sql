-- Random records against a slow twin that knows nothing but the rules: the same people come out, after every batch and
-- in every order of loading; then unmerges at random, after which the check must find nothing.
SELECT plan(11);
SELECT cdp.add_source('twin');
INSERT INTO cdp_data.load (source_id, kind, state) VALUES (1, 'calls', 'done');
-- Strong with a limit of one, middle with a limit of three, weak without any.
SELECT cdp.add_identifier_type('tw_s', priority => 101, max_per_customer => 1), cdp.add_identifier_type('tw_m', priority => 301, max_per_customer => 3),
  cdp.add_identifier_type('tw_w', priority => 801);
UPDATE cdp_data.setting SET max_identifiers_per_customer = 12;

CREATE TABLE public.twin (name text COLLATE "C" PRIMARY KEY, part integer);
CREATE FUNCTION public.twin_record(names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  each text;
  own integer;
  other integer;
BEGIN
  -- tw_s sorts before tw_m only by strength: s, m, w.
  FOREACH each IN ARRAY ARRAY(SELECT n FROM unnest(names) n ORDER BY position(left(n, 1) IN 'smw'), n COLLATE "C") LOOP
    INSERT INTO public.twin SELECT each, (SELECT coalesce(max(t.part), 0) + 1 FROM public.twin t) ON CONFLICT DO NOTHING;
    SELECT t.part INTO other FROM public.twin t WHERE t.name = each;
    IF own IS NULL THEN
      own := other;
    ELSIF own <> other
      AND (SELECT count(*) FROM public.twin t WHERE t.part IN (own, other) AND t.name LIKE 's%') <= greatest(1, (SELECT max(n) FROM (SELECT count(*) AS n FROM public.twin t WHERE t.part IN (own, other) AND t.name LIKE 's%' GROUP BY t.part) c))
      AND (SELECT count(*) FROM public.twin t WHERE t.part IN (own, other) AND t.name LIKE 'm%') <= greatest(3, (SELECT max(n) FROM (SELECT count(*) AS n FROM public.twin t WHERE t.part IN (own, other) AND t.name LIKE 'm%' GROUP BY t.part) c))
      AND (SELECT count(*) FROM public.twin t WHERE t.part IN (own, other)) <= 12 THEN
      UPDATE public.twin t SET part = own WHERE t.part = other;
    END IF;
  END LOOP;
END $$;
CREATE FUNCTION public.real_record(names text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  c record := cdp_internal.clean_identifiers((SELECT jsonb_object_agg('tw_' || k, v) FROM (SELECT left(n, 1) AS k, jsonb_agg(n) AS v FROM unnest(names) n GROUP BY 1) x));
BEGIN
  RETURN (cdp_internal.identify_in(1, 1, c.type_ids, c.vals, '2026-01-01', NULL, 'identify')).customer_id;
END $$;
-- Pairs of names that are one person for one side and not for the other.
CREATE VIEW public.differ AS
WITH t AS (SELECT name, min(name) OVER (PARTITION BY part) AS head FROM public.twin),
  r AS (SELECT i.value AS name, min(i.value) OVER (PARTITION BY cdp_internal.identifier_root(i.identifier_id)) AS head FROM cdp_data.identifier i)
SELECT * FROM (TABLE t EXCEPT TABLE r) x UNION ALL SELECT * FROM (TABLE r EXCEPT TABLE t) y;
CREATE FUNCTION public.random_record() RETURNS text[] LANGUAGE sql AS $$
  SELECT array_agg(DISTINCT CASE WHEN k < 0.15 THEN 's' || (random() * 25)::int WHEN k < 0.45 THEN 'm' || (random() * 50)::int ELSE 'w' || (random() * 120)::int END)
  FROM (SELECT random() AS k FROM generate_series(1, 1 + (random() * 4)::int)) x
$$;

SELECT setseed(0.4711);
CREATE FUNCTION public.batch(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  names text[];
BEGIN
  FOR i IN 1 .. n LOOP
    names := public.random_record();
    PERFORM public.twin_record(names);
    PERFORM public.real_record(names);
  END LOOP;
END $$;
SELECT public.batch(30);
SELECT is_empty('SELECT * FROM public.differ', '30 records');
SELECT public.batch(70);
SELECT is_empty('SELECT * FROM public.differ', '100 records');
SELECT public.batch(200);
SELECT is_empty('SELECT * FROM public.differ', '300 records');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'and the promise holds');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.merge_log WHERE kind = 'merge'), '>', 25::bigint, 'enough merges to mean something');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.link WHERE state = 'rejected'), '>', 40::bigint, 'and enough refusals');

-- The limits that rejected links name are those that would have been broken, in no customer are they.
SELECT is_empty($$SELECT cdp_internal.identifier_root(i.identifier_id) FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
  WHERE t.max_per_customer IS NOT NULL GROUP BY 1, t.type_id, t.max_per_customer HAVING count(*) > t.max_per_customer$$, 'no customer is above a limit');

-- Merges by records of known people, taken back: every table of who is who is byte for byte as it was.
CREATE FUNCTION public.state() RETURNS text LANGUAGE sql AS $$
  SELECT md5(concat((SELECT jsonb_agg(to_jsonb(c) ORDER BY customer_id) FROM cdp_data.customer c),
    (SELECT jsonb_agg(to_jsonb(i) ORDER BY identifier_id) FROM cdp_data.identifier i),
    (SELECT jsonb_agg(to_jsonb(o) ORDER BY identifier_id) FROM cdp_data.identifier_override o)))
$$;
CREATE FUNCTION public.there_and_back(rounds integer, OUT merges bigint, OUT unlike bigint) LANGUAGE plpgsql AS $$
DECLARE
  before text;
  since timestamptz;
  root bigint;
  n bigint;
BEGIN
  merges := 0;
  unlike := 0;
  FOR round IN 1 .. rounds LOOP
    before := public.state();
    since := clock_timestamp();
    n := (SELECT count(*) FROM cdp_data.merge_log);
    FOR j IN 1 .. 3 LOOP
      root := public.real_record((SELECT array_agg(x.value) FROM (
        SELECT i.value FROM cdp_data.identifier i WHERE i.value LIKE 'w1___'
        ORDER BY random() LIMIT 2 + round % 3) x));
    END LOOP;
    merges := merges + (SELECT count(*) FROM cdp_data.merge_log) - n;
    PERFORM cdp.unmerge(customer => m.to_id, since => since)
    FROM (SELECT DISTINCT cdp_internal.root_of(m.to_id) AS to_id FROM cdp_data.merge_log m WHERE m.at >= since) m;
    unlike := unlike + (before <> public.state())::integer;
  END LOOP;
END $$;
SELECT public.real_record(ARRAY['w' || 1000 + 2 * n, 'w' || 1001 + 2 * n]) FROM generate_series(0, 79) n;
SELECT merges AS back_merges, unlike AS back_unlike FROM public.there_and_back(25) \gset
SELECT cmp_ok(:back_merges::bigint, '>', 20::bigint, 'records of known people merge some');
SELECT is(:back_unlike::bigint, 0::bigint, 'taken back, nothing is left of it');

-- Unmerges, decisions and more records at random; each step is checked by the tables alone.
CREATE FUNCTION public.chaos(n integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  k double precision;
  bad bigint := 0;
  a bigint;
  b bigint;
BEGIN
  FOR i IN 1 .. n LOOP
    k := random();
    IF k < 0.4 THEN
      PERFORM public.real_record(public.random_record());
    ELSIF k < 0.55 THEN
      PERFORM cdp.unmerge(merge => (SELECT m.merge_id FROM cdp_data.merge_log m WHERE m.kind = 'merge' AND m.undone_by IS NULL ORDER BY random() LIMIT 1));
    ELSIF k < 0.7 THEN
      PERFORM cdp.unmerge(link => (SELECT l.link_id FROM cdp_data.link l WHERE l.state = 'active' AND l.kind <> 'cannot' ORDER BY random() LIMIT 1));
    ELSIF k < 0.8 THEN
      PERFORM cdp.unmerge(identifier => (SELECT l.a_id FROM cdp_data.link l WHERE l.state = 'active' AND l.kind <> 'cannot' ORDER BY random() LIMIT 1));
    ELSE
      SELECT min(x.identifier_id), max(x.identifier_id) INTO a, b FROM (SELECT i.identifier_id FROM cdp_data.identifier i ORDER BY random() LIMIT 2) x;
      IF k < 0.9 THEN
        PERFORM cdp.link_identifiers(a, b);
      ELSE
        PERFORM cdp.forbid_link(a, b);
      END IF;
    END IF;
    bad := bad + (SELECT count(*) FROM cdp.identity_check());
  END LOOP;
  RETURN bad;
END $$;
SELECT is(public.chaos(120), 0::bigint, '120 changes of every kind at random, each followed by the whole check');
-- The ledger alone leads to the customers of now.
SELECT is_empty($$SELECT i.identifier_id FROM cdp_data.identifier i WHERE cdp.customer_asof(identifier => i.identifier_id, at => clock_timestamp()) <> cdp_internal.identifier_root(i.identifier_id)$$,
  'the ledger, replayed, gives the customers of now');
SELECT * FROM finish();
