-- Segment room, insight: what a run reads for a segment, and with which other segments it shares that.

CREATE OR REPLACE FUNCTION cdp_internal.plan_condition(plan jsonb, nth integer) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  spec jsonb := plan -> 'conditions' -> nth;
  word text := (SELECT k FROM jsonb_object_keys(spec) k WHERE k IN ('all', 'any', 'not'));
BEGIN
  RETURN CASE
    WHEN word IS NULL THEN spec
    WHEN word = 'not' THEN jsonb_build_object('not', cdp_internal.plan_condition(plan, (spec ->> 'not')::integer))
    ELSE jsonb_build_object(word, (SELECT jsonb_agg(cdp_internal.plan_condition(plan, c.value::text::integer) ORDER BY c.place) FROM jsonb_array_elements(spec -> word) WITH ORDINALITY AS c (value, place))) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.plan_condition(jsonb, integer) IS
'A condition of a plan with those that it stands on in their places instead of their numbers. NULL for none.';

CREATE OR REPLACE FUNCTION cdp_internal.atom_reads(plan jsonb, what text, nth integer, OUT atom jsonb, OUT reads text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  atom := plan -> (what || 's') -> nth;
  IF what = 'event' THEN
    reads := (
      SELECT 'touchpoints: ' || string_agg(DISTINCT k.name, ', ' ORDER BY k.name)
      FROM jsonb_path_query(jsonb_build_array(atom -> 'of', jsonb_path_query_array(atom, '$.steps[*].of'), atom -> 'breaks'), 'strict $.**.kind') AS i (id) JOIN cdp_data.touch_kind_all k ON k.kind_id = i.id::text::integer);
    atom := atom || coalesce((
      SELECT jsonb_build_object('conditions', jsonb_object_agg(i.n, cdp_internal.plan_condition(plan, i.n::integer)))
      FROM (SELECT DISTINCT x.n #>> '{}' AS n FROM jsonb_path_query(atom, 'strict $.**."if"') AS x (n)) i HAVING count(*) > 0), '{}');
  ELSIF what = 'attribute' THEN
    reads := 'profile: ' || coalesce(atom ->> 'column', concat_ws(' ', atom ->> 'json', atom ->> 'key'));
  ELSE
    reads := CASE WHEN atom ? 'list' THEN 'list: ' || coalesce((SELECT l.name FROM cdp_data.segment_list l WHERE l.list_id = (atom ->> 'list')::integer), atom ->> 'list')
      ELSE (SELECT k.key || ': ' || k.value FROM jsonb_each_text(atom) k WHERE k.key IN ('consent', 'holdout', 'trait')) END;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.atom_reads(jsonb, text, integer) IS
'An atom of a plan (what: event, attribute, set) with the conditions on its events by their numbers, and what it is read from.';

CREATE OR REPLACE FUNCTION cdp.segment_explain_plan(segment text, counted boolean DEFAULT false, as_of timestamptz DEFAULT NULL)
RETURNS TABLE (what text, atom jsonb, reads text, shared_with text[], customers bigint, unknown bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  s record := cdp_internal.segment_of(segment);
  least_people integer := cdp_internal.minimum_audience();
  ids integer[] := ARRAY(SELECT g.segment_id FROM cdp_data.segment g WHERE g.state IN ('active', 'paused') UNION SELECT s.segment_id);
  plan jsonb := cdp_internal.segment_plan(ids, coalesce(segment_explain_plan.as_of, now()));
  population bytea;
  own integer[];
  known integer[];
  events bytea;
  attributes bytea;
  leaf record;
  r record;
BEGIN
  IF counted THEN
    population := cdp_internal.segment_population();
    -- The atoms of this one only: the others may read what the caller may not.
    SELECT coalesce(array_agg(l.nth) FILTER (WHERE l.what = 'event'), '{}'), coalesce(array_agg(l.nth) FILTER (WHERE l.what = 'attribute'), '{}') INTO own, known
    FROM jsonb_array_elements(plan -> 'segments') p CROSS JOIN LATERAL cdp_internal.plan_leaves(plan, (p.value ->> 'node')::integer, true) l
    WHERE (p.value ->> 'id')::integer = s.segment_id;
    events := cdp_internal.segment_scan(plan || jsonb_build_object('events', (SELECT coalesce(jsonb_agg(plan -> 'events' -> i.n ORDER BY i.place), '[]') FROM unnest(own) WITH ORDINALITY AS i (n, place))), NULL, NULL);
    attributes := cdp_internal.segment_profiles(plan || jsonb_build_object('attributes', (SELECT coalesce(jsonb_agg(plan -> 'attributes' -> i.n ORDER BY i.place), '[]') FROM unnest(known) WITH ORDINALITY AS i (n, place))), NULL, NULL);
  END IF;
  FOR leaf IN
    WITH used AS MATERIALIZED (
      SELECT g.name, l.what AS kind, l.nth FROM jsonb_array_elements(plan -> 'segments') p JOIN cdp_data.segment g ON g.segment_id = (p.value ->> 'id')::integer
        CROSS JOIN LATERAL cdp_internal.plan_leaves(plan, (p.value ->> 'node')::integer, true) l
    )
    SELECT u.kind, u.nth, ARRAY(SELECT o.name FROM used o WHERE (o.kind, o.nth) = (u.kind, u.nth) AND o.name <> segment ORDER BY o.name) AS others
    FROM used u WHERE u.name = segment ORDER BY array_position('{event,attribute,set}', u.kind), u.nth
  LOOP
    what := leaf.kind;
    shared_with := leaf.others;
    SELECT a.atom, a.reads INTO atom, reads FROM cdp_internal.atom_reads(plan, leaf.kind, leaf.nth) a;
    customers := NULL;
    unknown := NULL;
    IF counted AND what = 'set' THEN
      customers := cdp.roaring_count(cdp.roaring_and(cdp_internal.segment_set(plan -> 'sets' -> leaf.nth, NULL), population));
    ELSIF counted THEN
      SELECT e.*, cdp.roaring_count(cdp.roaring_andnot(population, cdp_internal.segment_pass_seen(x.result))) AS unmet INTO r
      FROM (SELECT CASE what WHEN 'event' THEN events ELSE attributes END AS result) x CROSS JOIN LATERAL cdp_internal.segment_pass_events(x.result) e WHERE e.atom = array_position(CASE what WHEN 'event' THEN own ELSE known END, leaf.nth) - 1;
      customers := cdp.roaring_count(cdp.roaring_and(r.customers, population)) + CASE WHEN r.unseen THEN r.unmet ELSE 0 END;
      unknown := cdp.roaring_count(cdp.roaring_and(r.unknown, population)) + CASE WHEN r.unseen IS NULL THEN r.unmet ELSE 0 END;
    END IF;
    customers := CASE WHEN NOT coalesce(customers BETWEEN 1 AND least_people - 1 OR cdp.roaring_count(population) - customers BETWEEN 1 AND least_people - 1, false) THEN customers END;
    unknown := CASE WHEN NOT coalesce(unknown BETWEEN 1 AND least_people - 1, false) THEN unknown END;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.segment_explain_plan(text, boolean, timestamptz) IS
'What a run over everybody reads for a segment, a row for each condition (atom) that its rule and those of the segments in it stand on: what (event, attribute, set), atom as in the plan (docs/segments.md, Plans), reads: kinds of touchpoints, attribute, list; shared_with: the other active or paused segments that stand on the same, which is computed once. counted: runs a pass of them and tells for how many customers the atom is true, and for how many unknown (NULL: not counted, sets are never unknown; and fewer than cdp_data.setting.minimum_audience, or all but fewer). Reads only. Errors: 42704 no such segment, 22023 a rule no longer checks.';
