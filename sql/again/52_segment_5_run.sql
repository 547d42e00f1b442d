-- Segment room: runs. A tick looks again at the customers of whom something changed, at those whose answer changes with
-- time, and at segments whose rule changed; a pass looks at everybody. Both write who entered and left, in one
-- transaction, so that nothing is ever half done: what a run found is what is committed.
--
-- Locks: a run holds the row of cdp_data.profile_state first, as a refresh of profiles and an erasure do, then reads. So
-- an erasure ends before a run reads, or begins after it has written.

CREATE OR REPLACE FUNCTION cdp_internal.segment_cause(feed_cause text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN feed_cause = 'erasure' THEN 1 WHEN feed_cause IN ('merge', 'unmerge', 'rebuild') THEN 2 WHEN feed_cause = 'consent' THEN 3
  WHEN feed_cause = 'attribute' THEN 5 WHEN feed_cause = 'expiry' THEN 7 ELSE 6 END;
COMMENT ON FUNCTION cdp_internal.segment_cause(text) IS
'Place of a cause of the change feed in {erase, merge, consent, list, attribute, event, expiry}: the first of several is noted with a transition.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_changed(upto pg_snapshot, as_of timestamptz, gate_at timestamptz, purposes text[],
  OUT ids bigint[], OUT causes smallint[], OUT everybody text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  map bytea := cdp_internal.customer_map();
BEGIN
  -- Own writes of this transaction are in no snapshot of the feed; read again later, they do no harm.
  SELECT array_agg(x.id), array_agg(x.cause), max(x.cause_of_all) INTO ids, causes, everybody
  FROM (
    SELECT f.customer_id AS id, min(cdp_internal.segment_cause(f.cause)) AS cause, max(f.cause) FILTER (WHERE f.customer_id IS NULL) AS cause_of_all
    FROM (
      SELECT r.customer_id, r.cause FROM cdp.feed_read('segment', upto) r
      UNION ALL
      SELECT o.customer_id, o.cause FROM cdp_data.change_feed o WHERE o.xid = pg_current_xact_id_if_assigned()
      UNION ALL
      SELECT l.customer_id, 'expiry' FROM cdp_data.segment_flip l WHERE l.at <= as_of
      UNION ALL
      -- Consent turns without a word when a grant runs out, or a record of the future begins.
      SELECT unnest(cdp_internal.consent_turns(p, segment_changed.gate_at, clock_timestamp())), 'consent' FROM unnest(purposes) p
    ) f
    GROUP BY f.customer_id) x;
  IF everybody IS NOT NULL THEN
    everybody := CASE everybody WHEN 'full pass' THEN 'the place in the change feed is lost' ELSE format('the change feed says that everybody changed (%s)', everybody) END;
  END IF;
  IF EXISTS (SELECT FROM cdp_data.identifier_override) THEN
    -- The feed names homes; their moved identifiers belong to others.
    SELECT ids || array_agg(o.customer_id), causes || array_agg(u.cause) INTO ids, causes
    FROM unnest(ids, causes) AS u (id, cause) JOIN cdp_data.identifier i ON i.customer_id = u.id JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id;
  END IF;
  SELECT coalesce(array_agg(y.id ORDER BY y.id), '{}'), coalesce(array_agg(y.cause ORDER BY y.id), '{}') INTO ids, causes
  FROM (
    SELECT x.id, min(x.cause) AS cause
    FROM (
      SELECT u.id, u.cause FROM unnest(ids, causes) AS u (id, cause)
      UNION ALL
      SELECT cdp_internal.customer_root(map, NULL, u.id, NULL), u.cause FROM unnest(ids, causes) AS u (id, cause)) x
    WHERE x.id IS NOT NULL GROUP BY x.id) y;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_changed(pg_snapshot, timestamptz, timestamptz, text[]) IS
'Customers (ids that changed and their roots of now) whose membership may differ since the last run, each with the first of its causes (cdp_internal.segment_cause()): by the change feed up to the snapshot, by flips that are due at as_of, by consent to these purposes that turned since gate_at. everybody: why all may have changed, NULL when not.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_sound(ids integer[], again boolean) RETURNS TABLE (segment_id integer, version integer, basis jsonb, changed text, error text, known text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  s record;
  names jsonb;
BEGIN
  FOR s IN
    SELECT b.segment_id, b.version, b.basis, g.name, g.purpose, v.rule, t.basis AS was, t.error AS known
    FROM cdp_internal.segment_bases(ids) b JOIN cdp_data.segment g ON g.segment_id = b.segment_id
      JOIN cdp_data.segment_version v ON v.segment_id = b.segment_id AND v.version = b.version
      LEFT JOIN cdp_data.segment_state t ON t.segment_id = b.segment_id
    ORDER BY b.segment_id
  LOOP
    segment_id := s.segment_id;
    version := s.version;
    basis := s.basis;
    changed := CASE WHEN s.was IS NULL OR (s.was - 'list') <> (s.basis - 'list') THEN 'rule' WHEN s.was <> s.basis THEN 'list' END;
    known := s.known;
    error := s.known;
    IF again OR changed IS NOT NULL THEN
      names := coalesce(names, cdp_internal.segment_catalog());
      error := (SELECT format('%s at %s: %s', c.code, coalesce(nullif(c.path, ''), 'the top'), c.message)
        FROM cdp_internal.segment_check_as(s.rule, s.purpose, s.name, names) c WHERE c.severity = 'error' LIMIT 1);
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_sound(integer[], boolean) IS
'Of these segments: what they stand on, changed (rule or list: they have to be evaluated over everybody, for that cause; NULL: not), and error, why their rule no longer checks (known: what was noted before). again: the check is made for all of them, not only for those that changed.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_worklist(wanted integer[], again boolean) RETURNS TABLE (segment_id integer, version integer, basis jsonb, changed text, error text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  WITH reach AS MATERIALIZED (
    SELECT c.segment_id AS id, c.used_id FROM cdp_internal.segment_closure(wanted) c
  ), sound AS MATERIALIZED (
    SELECT * FROM cdp_internal.segment_sound(ARRAY(SELECT DISTINCT r.used_id FROM reach r ORDER BY 1), again)
  ), told AS (
    -- Who names one that can not be evaluated can not be evaluated either.
    SELECT s.*, coalesce(s.error, (
      SELECT format('it names segment "%s", which can not be evaluated', min(g.name)) FROM reach r JOIN sound o ON o.segment_id = r.used_id AND o.error IS NOT NULL
        JOIN cdp_data.segment g ON g.segment_id = o.segment_id WHERE r.id = s.segment_id HAVING count(*) > 0)) AS why
    FROM sound s WHERE s.segment_id = ANY (wanted)
  )
  SELECT t.segment_id, t.version, t.basis, CASE WHEN t.why IS DISTINCT FROM t.known THEN coalesce(t.changed, 'rule') ELSE t.changed END, t.why FROM told t;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_worklist(integer[], boolean) IS
'cdp_internal.segment_sound() of these segments, with an error also where a segment that they name has one; changed also where the error is new or gone.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_partition(at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
DECLARE
  month date := date_trunc('month', at)::date;
  name text := 'segment_transition_' || to_char(month, 'YYYY_MM');
  owner name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = 'cdp_data.segment_transition'::regclass);
BEGIN
  IF to_regclass('cdp_data.' || quote_ident(name)) IS NOT NULL THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE cdp_data.%I (LIKE cdp_data.segment_transition INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', name);
  IF owner <> current_user THEN
    EXECUTE format('ALTER TABLE cdp_data.%I OWNER TO %I', name, owner);
  END IF;
  EXECUTE format('COMMENT ON TABLE cdp_data.%I IS %L', name, 'Transitions of ' || to_char(month, 'FMMonth YYYY') || ' (UTC).');
  EXECUTE format('ALTER TABLE cdp_data.segment_transition ATTACH PARTITION cdp_data.%I FOR VALUES FROM (%L) TO (%L)', name,
    month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_partition(timestamptz) IS
'Makes the partition of cdp_data.segment_transition for the month (UTC) of a moment when it is not there; readers do not wait.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_store(id integer, version integer, members bytea, touched bytea, chunks integer[], run_id bigint, as_of timestamptz,
  ids bigint[], causes smallint[], otherwise text, OUT entered bigint, OUT "left" bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  words constant text[] := '{erase,merge,consent,list,attribute,event,expiry}';
  before bytea;
  after bytea := members;
BEGIN
  entered := 0;
  "left" := 0;
  SELECT cdp.roaring_union(c.bits) INTO before FROM cdp_data.segment_chunk c WHERE c.segment_id = id AND (chunks IS NULL OR c.chunk = ANY (chunks));
  IF touched IS NOT NULL THEN
    after := cdp.roaring_or(cdp.roaring_andnot(before, touched), members);
  END IF;
  IF before = after THEN
    RETURN;
  END IF;
  WITH told AS (
    INSERT INTO cdp_data.segment_transition AS t (segment_id, customer_id, at, entered, cause, version, run_id)
    SELECT id, d.customer_id, as_of, d.entered, coalesce(words[u.cause], otherwise), segment_store.version, segment_store.run_id
    FROM cdp_internal.segment_diff(before, after) d LEFT JOIN unnest(ids, causes) AS u (id, cause) ON u.id = d.customer_id
    RETURNING t.entered
  )
  SELECT count(*) FILTER (WHERE t.entered), count(*) FILTER (WHERE NOT t.entered) INTO entered, "left" FROM told t;
  DELETE FROM cdp_data.segment_chunk c
  WHERE c.segment_id = id AND (chunks IS NULL OR c.chunk = ANY (chunks)) AND NOT EXISTS (SELECT FROM cdp.roaring_chunks(after) n WHERE n.chunk = c.chunk);
  INSERT INTO cdp_data.segment_chunk AS c (segment_id, chunk, bits, customers) SELECT id, n.chunk, n.bits, n.customers FROM cdp.roaring_chunks(after) n
  ON CONFLICT ON CONSTRAINT segment_chunk_pkey DO UPDATE SET bits = excluded.bits, customers = excluded.customers WHERE c.bits <> excluded.bits;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_store(integer, integer, bytea, bytea, integer[], bigint, timestamptz, bigint[], smallint[], text) IS
'Gives a segment its members: all of them, or with touched those among the touched customers only (chunks: the chunks that these lie in). Writes chunks and transitions where they differ; the cause of a customer is that of ids and causes (cdp_internal.segment_changed()), else otherwise. Returns how many entered and left.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_kept(id integer, population bytea, ids bigint[]) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN cdp.roaring_and(population, (
    SELECT cdp.roaring_build(cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, m, NULL))
    FROM (SELECT CASE WHEN ids IS NULL THEN cdp_internal.segment_bits(id) ELSE cdp.roaring_and(cdp_internal.segment_bits(id), (SELECT cdp.roaring_build(i) FROM unnest(ids) i)) END AS bits OFFSET 0) b
      CROSS JOIN LATERAL cdp.roaring_ids(b.bits) m));
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_kept(integer, bytea, bigint[]) IS
'Members of a paused segment as they are now: its members (among ids; NULL: all) by the roots that they have become, as far as they are in the population.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_plan(wanted integer[], as_of timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rules jsonb;
  origins boolean;
BEGIN
  SELECT jsonb_agg(jsonb_build_object('id', s.segment_id, 'name', s.name, 'rule', v.rule) ORDER BY s.segment_id),
    bool_or(EXISTS (SELECT FROM cdp_internal.rule_uses(v.rule) u WHERE u.what IN ('channel', 'channel_group', 'campaign')))
  INTO rules, origins
  FROM (SELECT DISTINCT c.used_id FROM cdp_internal.segment_closure(wanted) c) c JOIN cdp_data.segment s ON s.segment_id = c.used_id JOIN cdp_data.segment_version v USING (segment_id, version);
  RETURN cdp_internal.rule_plan(rules, cdp_internal.segment_catalog(NULL, NULL, origins), as_of);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_plan(integer[], timestamptz) IS
'The plan of these segments, and of those that they name, at a moment. Errors: 22023 a rule no longer checks, 55000 a rank without a snapshot.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_empty(id integer) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint := (SELECT sum(c.customers) FROM cdp_data.segment_chunk c WHERE c.segment_id = id);
  run bigint;
  at timestamptz := coalesce((SELECT greatest(c.as_of, now()) FROM cdp_data.segment_clock c), now());
BEGIN
  IF n IS NULL THEN
    RETURN;
  END IF;
  PERFORM cdp_internal.segment_partition(at);
  INSERT INTO cdp_data.segment_run (kind, as_of, started_at, finished_at, "left", segments) VALUES ('manual', at, clock_timestamp(), clock_timestamp(), n, 1) RETURNING run_id INTO run;
  PERFORM cdp_internal.segment_store(id, s.version, (SELECT cdp.roaring_build(NULL)), NULL, NULL, run, at, NULL, NULL, 'manual') FROM cdp_data.segment_state s WHERE s.segment_id = id;
  UPDATE cdp_data.segment_state s SET customers = 0, as_of = at, run_id = run WHERE s.segment_id = id;
  PERFORM cdp_internal.segment_told(run);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_empty(integer) IS
'All members of a segment leave now, with cause manual. The caller keeps runs away (cdp_data.profile_state).';

CREATE OR REPLACE FUNCTION cdp_internal.segment_told(run bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  hook text;
BEGIN
  INSERT INTO cdp_data.segment_day AS d (segment_id, day, customers, entered, "left")
  SELECT s.segment_id, (r.as_of AT TIME ZONE g.timezone)::date, s.customers, coalesce(t.entered, 0), coalesce(t."left", 0)
  FROM cdp_data.segment_run r CROSS JOIN cdp_data.setting g CROSS JOIN cdp_data.segment_state s
    LEFT JOIN (SELECT x.segment_id, count(*) FILTER (WHERE x.entered) AS entered, count(*) FILTER (WHERE NOT x.entered) AS "left"
      FROM cdp_data.segment_transition x WHERE x.run_id = run GROUP BY x.segment_id) t ON t.segment_id = s.segment_id
  WHERE r.run_id = run AND (t.segment_id IS NOT NULL OR EXISTS (SELECT FROM cdp_data.segment e WHERE e.segment_id = s.segment_id AND e.state = 'active'))
  ON CONFLICT ON CONSTRAINT segment_day_pkey DO UPDATE
  SET customers = excluded.customers, entered = d.entered + excluded.entered, "left" = d."left" + excluded."left"
  WHERE d.customers <> excluded.customers OR excluded.entered + excluded."left" > 0;
  FOR hook IN SELECT f FROM cdp_internal.room_functions('segment_run_for_', 1) f ORDER BY f LOOP
    EXECUTE format('SELECT cdp_internal.%I($1)', hook) USING run;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_told(bigint) IS
'After the transitions of a run, in its transaction: writes the sizes of the day, and calls every cdp_internal.segment_run_for_...(run_id) of the room, by which other parts follow (cdp_data.segment_transition has the run''s rows).';

CREATE OR REPLACE FUNCTION cdp_internal.segment_why_full(clock record, as_of timestamptz, basis jsonb, everybody text, touched bigint) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- A customer costs a tick about 120 microseconds, a touchpoint costs a pass about 120 nanoseconds: so a tick is cheaper
  -- up to one customer for each thousand touchpoints (2 % of customers with twenty each). Few are always cheap.
  RETURN CASE
    WHEN clock.as_of IS NULL THEN 'nothing was evaluated before'
    WHEN everybody IS NOT NULL THEN everybody
    WHEN segment_why_full.as_of < clock.as_of THEN 'the moment lies before that of the last run'
    WHEN segment_why_full.as_of >= clock.boundary THEN 'a calendar window moved'
    WHEN segment_why_full.as_of >= clock.horizon THEN 'changes by time are known no further'
    WHEN clock.basis IS DISTINCT FROM segment_why_full.basis THEN (SELECT string_agg(k, ', ' ORDER BY k) || ' changed' FROM jsonb_object_keys(coalesce(clock.basis, '{}') || segment_why_full.basis) k
      WHERE clock.basis -> k IS DISTINCT FROM segment_why_full.basis -> k)
    WHEN touched > greatest(1000, (SELECT sum(greatest(c.reltuples, 0)) / 1000 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'cdp_data.touchpoint'::regclass))
      THEN 'so many customers changed that a pass is cheaper'
  END;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_why_full(record, timestamptz, jsonb, text, bigint) IS
'Why a run has to look at everybody, in words; NULL when the changed customers are enough. clock: the row of cdp_data.segment_clock.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_run(kind text, as_of timestamptz,
  OUT run_id bigint, OUT ran text, OUT reason text, OUT at timestamptz, OUT touched bigint, OUT entered bigint, OUT "left" bigint, OUT segments integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  clock record;
  upto pg_snapshot;
  asked_at timestamptz;
  started timestamptz := clock_timestamp();
  changed record;
  stands_on jsonb;
  wanted integer[];
  purposes text[];
  origins boolean;
  profiles boolean;
  ranks text[];
  good integer[];
  part integer[];
  roots bigint[];
  upto_flip timestamptz;
  moves_at bigint;
  s record;
  counts record;
  work record;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT isfinite(as_of) THEN
    RAISE EXCEPTION 'as_of must be a moment' USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out for now.';
  END IF;
  entered := 0;
  "left" := 0;
  segments := 0;
  PERFORM FROM cdp_data.profile_state FOR UPDATE;
  SELECT c.* INTO clock FROM cdp_data.segment_clock c FOR UPDATE;
  at := coalesce(as_of, clock_timestamp());
  wanted := ARRAY(SELECT x.segment_id FROM cdp_data.segment x WHERE x.state = 'active' ORDER BY 1);
  IF wanted = '{}' AND NOT EXISTS (SELECT FROM cdp_data.segment x WHERE x.state = 'paused') THEN
    -- Nobody reads the feed; whoever is activated next starts with everybody.
    DELETE FROM cdp_data.feed_cursor c WHERE c.consumer = 'segment';
    UPDATE cdp_data.segment_clock c SET as_of = NULL WHERE c.as_of IS NOT NULL;
    RETURN;
  END IF;
  -- The feed is read up to a snapshot before profiles are made: what they lack then comes with the next run.
  upto := pg_current_snapshot();
  asked_at := clock_timestamp();
  SELECT coalesce(array_agg(DISTINCT u.name) FILTER (WHERE u.what = 'consent'), '{}') || 'analytics'::text, bool_or(u.what IN ('channel', 'channel_group', 'campaign')),
    bool_or(u.what = 'attr'), array_agg(DISTINCT u.name) FILTER (WHERE u.what = 'rank')
  INTO purposes, origins, profiles, ranks
  FROM cdp_internal.segment_closure(wanted) c JOIN cdp_data.segment g ON g.segment_id = c.used_id JOIN cdp_data.segment_version v ON v.segment_id = g.segment_id AND v.version = g.version
    LEFT JOIN LATERAL cdp_internal.rule_uses(v.rule) u ON true;
  -- So is what rules stand on: what changes while profiles are made must differ from it at the next run.
  stands_on := cdp_internal.segment_basis(coalesce(origins, false));
  -- Rules over events only do not wait for profiles, which take longer than they do.
  IF profiles THEN
    PERFORM cdp.refresh_profiles();
    -- Profiles that were all made anew are told by nothing else.
    stands_on := stands_on || jsonb_build_object('profiles', (SELECT extract(epoch FROM p.built_at) FROM cdp_data.profile_state p));
  END IF;
  changed := cdp_internal.segment_changed(upto, at, clock.gate_at, ARRAY(SELECT p.name FROM cdp_data.purpose_all p WHERE p.name = ANY (purposes)));
  roots := ARRAY(SELECT c.customer_id FROM cdp_data.customer c WHERE c.customer_id = ANY (changed.ids) AND c.parent_id = c.customer_id ORDER BY 1);
  reason := cdp_internal.segment_why_full(clock, at, stands_on, changed.everybody, cardinality(roots));
  ran := CASE WHEN kind = 'tick' AND reason IS NULL THEN 'tick' WHEN kind = 'tick' THEN 'full' ELSE kind END;
  -- One that nobody named when snapshots were taken anew.
  PERFORM cdp_internal.refresh_rank(n, false) FROM unnest(ranks) n ORDER BY n;
  PERFORM cdp_internal.list_arrivals(CASE WHEN ran = 'tick' THEN cdp_internal.attribution_members(roots) END);
  CREATE TEMP TABLE cdp_segment_work ON COMMIT DROP AS SELECT * FROM cdp_internal.segment_worklist(wanted, ran <> 'tick');
  ANALYZE pg_temp.cdp_segment_work;
  good := ARRAY(SELECT w.segment_id FROM pg_temp.cdp_segment_work w WHERE w.error IS NULL ORDER BY 1);
  IF ran = 'tick' AND changed.ids = '{}' AND NOT EXISTS (SELECT FROM pg_temp.cdp_segment_work w WHERE w.changed IS NOT NULL) THEN
    touched := 0;
  ELSE
    PERFORM cdp_internal.segment_partition(at);
    INSERT INTO cdp_data.segment_run AS q (kind, reason, as_of, started_at) VALUES (ran, reason, at, started) RETURNING q.run_id INTO run_id;
    CREATE TEMP TABLE cdp_segment_count (segment_id integer PRIMARY KEY, through_null bigint) ON COMMIT DROP;
    IF ran = 'tick' THEN
      upto_flip := clock.horizon;
      moves_at := extract(epoch FROM clock.boundary - timestamptz '2000-01-01 00:00:00+00') * 1000000;
      touched := cardinality(roots);
      part := ARRAY(SELECT w.segment_id FROM pg_temp.cdp_segment_work w WHERE w.error IS NULL AND w.changed IS NOT NULL ORDER BY 1);
      DELETE FROM cdp_data.segment_flip f WHERE f.customer_id = ANY (changed.ids);
    ELSE
      -- An hour more than a day, so that the nightly pass finds the flips of the whole day.
      upto_flip := at + interval '25 hours';
      part := good;
      DELETE FROM cdp_data.segment_flip;
    END IF;
    -- Over everybody: all segments in a pass, those whose rule changed in a tick.
    work := cdp_internal.segment_part(run_id, at, upto_flip, NULL, part, changed.ids, changed.causes, CASE WHEN reason LIKE '% changed' THEN 'rule' ELSE 'expiry' END);
    moves_at := least(moves_at, work.boundary);
    entered := work.entered;
    "left" := work."left";
    IF ran = 'tick' AND changed.ids <> '{}' THEN
      good := ARRAY(SELECT g FROM unnest(good) g WHERE g <> ALL (part));
      work := cdp_internal.segment_part(run_id, at, upto_flip, roots, good, changed.ids, changed.causes, 'event');
      moves_at := least(moves_at, work.boundary);
      entered := entered + work.entered;
      "left" := "left" + work."left";
    END IF;
    -- What can not be evaluated any more has no members.
    FOR s IN SELECT w.segment_id, w.version FROM pg_temp.cdp_segment_work w WHERE w.error IS NOT NULL AND EXISTS (SELECT FROM cdp_data.segment_chunk c WHERE c.segment_id = w.segment_id) LOOP
      counts := cdp_internal.segment_store(s.segment_id, s.version, (SELECT cdp.roaring_build(NULL)), NULL, NULL, run_id, at, NULL, NULL, 'rule');
      "left" := "left" + counts."left";
    END LOOP;
    segments := (SELECT count(*) FROM pg_temp.cdp_segment_work);
    INSERT INTO cdp_data.segment_state AS t (segment_id, version, basis, as_of, customers, through_null, run_id, error)
    SELECT w.segment_id, w.version, w.basis, at, (SELECT coalesce(sum(c.customers), 0) FROM cdp_data.segment_chunk c WHERE c.segment_id = w.segment_id), n.through_null, run_id, w.error
    FROM (
      SELECT x.segment_id, x.version, x.basis, x.error FROM pg_temp.cdp_segment_work x
      UNION ALL
      SELECT p.segment_id, p.version, p.basis, p.error FROM cdp_data.segment_state p JOIN cdp_data.segment g ON g.segment_id = p.segment_id AND g.state = 'paused'
      WHERE NOT EXISTS (SELECT FROM pg_temp.cdp_segment_work x WHERE x.segment_id = p.segment_id)) w
      LEFT JOIN pg_temp.cdp_segment_count n ON n.segment_id = w.segment_id
    ON CONFLICT ON CONSTRAINT segment_state_pkey DO UPDATE
    SET version = excluded.version, basis = excluded.basis, as_of = excluded.as_of, customers = excluded.customers, run_id = excluded.run_id, error = excluded.error,
      through_null = coalesce(excluded.through_null, t.through_null)
    WHERE ran <> 'tick' OR excluded.through_null IS NOT NULL OR t.customers <> excluded.customers OR (t.version, t.basis, t.error) IS DISTINCT FROM (excluded.version, excluded.basis, excluded.error)
      OR EXISTS (SELECT FROM cdp_data.segment_transition x WHERE x.run_id = segment_run.run_id AND x.segment_id = t.segment_id);
    UPDATE cdp_data.segment_run r SET finished_at = clock_timestamp(), touched = segment_run.touched, entered = segment_run.entered, "left" = segment_run."left", segments = segment_run.segments
    WHERE r.run_id = segment_run.run_id;
    PERFORM cdp_internal.segment_told(run_id);
    DROP TABLE pg_temp.cdp_segment_count;
  END IF;
  DROP TABLE pg_temp.cdp_segment_work;
  UPDATE cdp_data.segment_clock c SET as_of = at, gate_at = asked_at, basis = stands_on,
    horizon = coalesce(upto_flip, c.horizon), boundary = CASE WHEN run_id IS NULL THEN c.boundary ELSE cdp_internal.plan_moment(moves_at) END;
  PERFORM cdp.feed_advance('segment', upto);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_run(text, timestamptz) IS
'One run: kind tick (changed customers, or everybody when that is needed: ran and reason tell), full or audit (everybody). as_of NULL: the moment at which it has its locks. run_id NULL: there was nothing to do. Runs wait for each other.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_part(run_id bigint, at timestamptz, horizon timestamptz, roots bigint[], wanted integer[], ids bigint[], causes smallint[], otherwise text,
  OUT entered bigint, OUT "left" bigint, OUT boundary bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  few boolean := roots IS NOT NULL;
  population bytea;
  touched bytea;
  chunks integer[];
  plan jsonb;
  r record;
  counts record;
BEGIN
  entered := 0;
  "left" := 0;
  IF wanted = '{}' AND NOT EXISTS (SELECT FROM cdp_data.segment g WHERE g.state = 'paused') THEN
    RETURN;
  END IF;
  population := cdp_internal.segment_population(roots);
  IF few THEN
    SELECT cdp.roaring_build(i), array_agg(DISTINCT (i >> 16)::integer) INTO touched, chunks FROM unnest(ids) i;
  ELSE
    UPDATE cdp_data.segment_clock c SET everybody = cdp.roaring_count(population);
  END IF;
  IF wanted <> '{}' THEN
    plan := cdp_internal.segment_plan(wanted, at);
    boundary := (plan ->> 'boundary')::bigint;
    FOR r IN
      SELECT x.segment_id, x.members, x.through_null, w.version, w.changed
      FROM cdp_internal.segment_results(plan, horizon, roots, population) x JOIN pg_temp.cdp_segment_work w ON w.segment_id = x.segment_id
      WHERE x.segment_id = ANY (wanted)
    LOOP
      -- A rule that changed is the cause, whatever else happened.
      counts := cdp_internal.segment_store(r.segment_id, r.version, r.members, touched, chunks, run_id, at,
        CASE WHEN r.changed IS NULL THEN ids END, CASE WHEN r.changed IS NULL THEN causes END, coalesce(r.changed, otherwise));
      entered := entered + counts.entered;
      "left" := "left" + counts."left";
      IF NOT few THEN
        INSERT INTO pg_temp.cdp_segment_count VALUES (r.segment_id, r.through_null);
      END IF;
    END LOOP;
  END IF;
  -- Those that were paused when the run began: one that is paused meanwhile has just been evaluated.
  FOR r IN
    SELECT g.segment_id, t.version FROM cdp_data.segment g JOIN cdp_data.segment_state t ON t.segment_id = g.segment_id
    WHERE g.state = 'paused' AND NOT EXISTS (SELECT FROM pg_temp.cdp_segment_work w WHERE w.segment_id = g.segment_id) ORDER BY 1
  LOOP
    counts := cdp_internal.segment_store(r.segment_id, r.version, cdp_internal.segment_kept(r.segment_id, population, CASE WHEN few THEN ids END), touched, chunks, run_id, at, ids, causes, 'consent');
    entered := entered + counts.entered;
    "left" := "left" + counts."left";
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_part(bigint, timestamptz, timestamptz, bigint[], integer[], bigint[], smallint[], text) IS
'Part of a run: evaluates these segments over everybody (roots NULL) or these roots, stores who entered and left, and lets paused segments follow. ids and causes: who changed, and why; ids are also the customers whose membership the result replaces. boundary: that of the plan. Reads pg_temp.cdp_segment_work, writes pg_temp.cdp_segment_count.';

CREATE OR REPLACE FUNCTION cdp.segment_tick(as_of timestamptz DEFAULT NULL,
  OUT run_id bigint, OUT kind text, OUT reason text, OUT at timestamptz, OUT touched bigint, OUT entered bigint, OUT "left" bigint, OUT segments integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT r.* INTO run_id, kind, reason, at, touched, entered, "left", segments FROM cdp_internal.segment_run('tick', segment_tick.as_of) r;
END
$$;
COMMENT ON FUNCTION cdp.segment_tick(timestamptz) IS
'Brings all active segments up to date, in this transaction: refreshes profiles when a rule reads an attribute, looks again at every customer of whom the change feed tells, whose consent turned or whose window ends (to the microsecond, at as_of), and over everybody at segments whose rule, list or threshold changed. kind full when changed customers were not enough; reason tells why: the first run, a calendar window that moved, changed rates, too many changes. as_of: the moment for which it evaluates, NULL: now; one before the last makes a pass over everybody. touched NULL: everybody. run_id NULL: nothing was to do. Two calls wait for each other. The job list runs it every minute. Needs the rights of the tables'' owner. Errors: 22023 as_of is no moment, 22008 one before the year 1000 or after 9890, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.evaluate_segments(as_of timestamptz DEFAULT NULL,
  OUT run_id bigint, OUT kind text, OUT reason text, OUT at timestamptz, OUT touched bigint, OUT entered bigint, OUT "left" bigint, OUT segments integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT r.* INTO run_id, kind, reason, at, touched, entered, "left", segments FROM cdp_internal.segment_run('full', evaluate_segments.as_of) r;
END
$$;
COMMENT ON FUNCTION cdp.evaluate_segments(timestamptz) IS
'Evaluates all active segments over everybody, in one scan of touchpoints and one of profiles; else as cdp.segment_tick().';

CREATE OR REPLACE FUNCTION cdp.audit_segments(as_of timestamptz DEFAULT NULL, OUT run_id bigint, OUT at timestamptz, OUT segments integer, OUT defects bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  before record;
  after record;
  upto pg_snapshot;
  stood record;
  late bigint[];
  everybody boolean;
  moved integer[];
BEGIN
  before := cdp_internal.segment_run('tick', audit_segments.as_of);
  SELECT c.snapshot INTO upto FROM cdp_data.feed_cursor c WHERE c.consumer = 'segment';
  after := cdp_internal.segment_run('audit', before.at);
  run_id := after.run_id;
  at := after.at;
  segments := after.segments;
  defects := 0;
  IF run_id IS NULL THEN
    RETURN;
  END IF;
  -- Who was written about between the two, by others who committed meanwhile, is no defect.
  SELECT coalesce(array_agg(DISTINCT f.customer_id), '{}'), coalesce(bool_or(f.customer_id IS NULL), false) INTO late, everybody
  FROM cdp_data.change_feed f WHERE f.xid >= pg_snapshot_xmin(upto) AND NOT pg_visible_in_snapshot(f.xid, upto) AND f.xid IS DISTINCT FROM pg_current_xact_id_if_assigned();
  SELECT c.basis, c.gate_at INTO stood FROM cdp_data.segment_clock c;
  late := late || ARRAY(SELECT unnest(cdp_internal.consent_turns(p.name, stood.gate_at, clock_timestamp())) FROM cdp_data.purpose_all p);
  -- Nor is what names, rates, rules, lists, traits and thresholds have become since this run looked at them: the next one does.
  everybody := everybody OR stood.basis - 'profiles' <> cdp_internal.segment_basis(stood.basis -> 'origins' <> 'null');
  moved := ARRAY(SELECT b.segment_id FROM cdp_internal.segment_bases(ARRAY(SELECT t.segment_id FROM cdp_data.segment_state t)) b JOIN cdp_data.segment_state t ON t.segment_id = b.segment_id WHERE t.basis <> b.basis);
  late := late || ARRAY(SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, l, NULL) FROM unnest(late) l)
    || ARRAY(SELECT o.customer_id FROM cdp_data.identifier_override o JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id WHERE i.customer_id = ANY (late));
  INSERT INTO cdp_data.segment_defect (run_id, segment_id, customer_id, missing)
  SELECT t.run_id, t.segment_id, t.customer_id, t.entered FROM cdp_data.segment_transition t
  WHERE t.run_id = audit_segments.run_id AND t.cause = 'expiry' AND NOT everybody AND t.segment_id <> ALL (moved) AND t.customer_id <> ALL (late);
  GET DIAGNOSTICS defects = ROW_COUNT;
  UPDATE cdp_data.segment_transition t SET cause = 'audit' FROM cdp_data.segment_defect d
  WHERE d.run_id = audit_segments.run_id AND t.run_id = d.run_id AND (t.segment_id, t.customer_id) = (d.segment_id, d.customer_id);
  UPDATE cdp_data.segment_run r SET defects = audit_segments.defects WHERE r.run_id = audit_segments.run_id;
END
$$;
COMMENT ON FUNCTION cdp.audit_segments(timestamptz) IS
'A tick, and after it, for the same moment, an evaluation over everybody that must find no difference. Each one that it finds is mended (cause audit) and kept in cdp_data.segment_defect; cdp.health() tells. Changes that others commit meanwhile are none. Returns how many defects. The job list runs it nightly; it also notes whose answer changes during the next day. Needs the rights of the tables'' owner.';
