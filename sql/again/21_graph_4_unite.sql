-- Identity room, the graph: many links at once. Links judged against the customers of now, written with what became
-- of them; the links of a load, and of a load that is taken back or put in again.

CREATE OR REPLACE FUNCTION cdp_internal.judge_links(
  link_ids bigint[], a_ids bigint[], b_ids bigint[], kinds text[], weights double precision[], ats timestamptz[], known bigint[], fresh bigint[],
  OUT ids bigint[], OUT parts bigint[], OUT fresh_ids bigint[], OUT fresh_parts bigint[], OUT judged bigint[], OUT verdicts bigint[], OUT blockers bigint[], OUT reasons text[],
  OUT via_roots bigint[], OUT via_links bigint[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  rule record;
  roots bigint[] := '{}';
  n_id bigint[]; n_root bigint[];
  told boolean;
BEGIN
  SELECT * INTO rule FROM cdp_internal.resolve_rules();
  reasons := rule.reasons;
  IF known <> '{}' THEN
    roots := ARRAY(
      SELECT DISTINCT r.root_id
      FROM cdp_internal.roots_of(ARRAY(
        SELECT DISTINCT coalesce(o.customer_id, i.customer_id)
        FROM unnest(known) AS e (id) JOIN cdp_data.identifier i ON i.identifier_id = e.id
          LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id)) r);
    SELECT array_agg(m.identifier_id), array_agg(m.root_id) INTO n_id, n_root
    FROM cdp_internal.members_of(roots) m;
  END IF;
  -- Links in force matter only to rules that count links.
  told := EXISTS (SELECT FROM cdp_data.identifier_pair_limit) OR EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE t.role = 'attach_only');
  SELECT (x.r).ids, (x.r).parts, (x.r).link_ids, (x.r).verdicts, (x.r).blockers INTO ids, parts, judged, verdicts, blockers
  FROM (
    SELECT cdp_internal.resolve(rule.rules, s.what, s.id, s.other, s.ref, s.type_id, s.weight, s.at) AS r
    FROM (
      SELECT CASE WHEN i.state = 'quarantined' THEN 'q' ELSE 'n' END::"char" AS what, i.identifier_id AS id,
        row_number() OVER (ORDER BY i.type_id, i.value) AS other, n.root AS ref, i.type_id, NULL::double precision AS weight, i.first_seen AS at
      FROM unnest(n_id || fresh, n_root) AS n (id, root) JOIN cdp_data.identifier i ON i.identifier_id = n.id
      UNION ALL
      SELECT left(l.kind, 1)::"char", l.a, l.b, l.id, NULL, l.weight, l.at
      FROM unnest(link_ids, a_ids, b_ids, kinds, weights, ats) AS l (id, a, b, kind, weight, at)
      UNION ALL
      SELECT 'c', l.a_id, l.b_id, l.link_id, NULL, l.weight, l.first_seen
      FROM cdp_data.link l JOIN unnest(n_id || fresh) AS n (id) ON n.id = l.a_id WHERE l.kind = 'cannot' AND l.state = 'active'
      UNION ALL
      SELECT 'h', l.a_id, l.b_id, l.link_id, NULL, NULL, l.first_seen FROM cdp_internal.links_held(CASE WHEN told THEN known END) l
    ) s OFFSET 0) x;
  fresh_ids := '{}';
  fresh_parts := '{}';
  IF n_id IS NULL THEN
    fresh_ids := ids;
    fresh_parts := parts;
    ids := '{}';
    parts := '{}';
    via_roots := '{}';
    via_links := '{}';
    RETURN;
  ELSIF fresh <> '{}' THEN
    SELECT array_agg(p.id), array_agg(p.part) INTO fresh_ids, fresh_parts FROM unnest(ids, parts) AS p (id, part) JOIN unnest(fresh) AS n (id) ON n.id = p.id;
    SELECT array_agg(p.id), array_agg(p.part) INTO ids, parts FROM unnest(ids, parts) AS p (id, part) JOIN unnest(n_id) AS n (id) ON n.id = p.id;
  END IF;
  -- By which link did a root come to others? The first of its links that joined something.
  SELECT array_agg(v.root), array_agg(v.id) INTO via_roots, via_links
  FROM (
    WITH joined AS MATERIALIZED (
      SELECT v.id, v.nth, l.a, l.b
      FROM unnest(judged, verdicts) WITH ORDINALITY AS v (id, verdict, nth) JOIN unnest(link_ids, a_ids, b_ids) AS l (id, a, b) ON l.id = v.id
      WHERE v.verdict = 2)
    SELECT DISTINCT ON (n.root) n.root, e.id
    FROM (SELECT j.id, j.nth, j.a AS identifier_id FROM joined j UNION ALL SELECT j.id, j.nth, j.b FROM joined j) e
      JOIN unnest(n_id, n_root) AS n (id, root) ON n.id = e.identifier_id
    ORDER BY n.root, e.nth) v;
END
$$;
COMMENT ON FUNCTION cdp_internal.judge_links(bigint[], bigint[], bigint[], text[], double precision[], timestamptz[], bigint[], bigint[]) IS
'Judges links that are not in force against the customers of now, under all rules: which would hold, and which identifiers of the customers concerned would be one. Arguments are columns of the links; known: their ends that have a customer, fresh: those that are new in this load and have none yet. Answers as type cdp_internal.resolution, ids and parts without the fresh ones, which are in fresh_ids and fresh_parts, with the reasons of the rules by number, and for each root that comes to others the link that brings it. Writes nothing; the caller holds the locks of the roots.';

CREATE OR REPLACE FUNCTION cdp_internal.links_held(identifiers bigint[])
RETURNS TABLE (link_id bigint, a_id bigint, b_id bigint, first_seen timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  counted bigint[] := ARRAY(
    SELECT i.identifier_id
    FROM unnest(identifiers) AS e (id) JOIN cdp_data.identifier i ON i.identifier_id = e.id JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
    WHERE (t.role = 'attach_only' OR EXISTS (SELECT FROM cdp_data.identifier_pair_limit p WHERE p.type_id = i.type_id)));
BEGIN
  RETURN QUERY
  SELECT l.link_id, l.a_id, l.b_id, l.first_seen
  FROM unnest(counted) AS e (id) JOIN cdp_data.link l ON l.a_id = e.id WHERE l.state = 'active' AND l.kind <> 'cannot'
  UNION
  SELECT l.link_id, l.a_id, l.b_id, l.first_seen
  FROM unnest(counted) AS e (id) JOIN cdp_data.link l ON l.b_id = e.id WHERE l.state = 'active' AND l.kind <> 'cannot';
END
$$;
COMMENT ON FUNCTION cdp_internal.links_held(bigint[]) IS
'Active links of those of these identifiers whose links are counted: of attach-only types, and of types that a pair limit is about. None for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.verdict_reason(verdict bigint, reasons text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE verdict WHEN -1 THEN 'cannot' WHEN -2 THEN 'super-node' WHEN -3 THEN 'attach only' ELSE CASE WHEN verdict < 0 THEN reasons[-3 - verdict] END END;
COMMENT ON FUNCTION cdp_internal.verdict_reason(bigint, text[]) IS
'The reason that stands in cdp_data.link for a verdict of cdp_internal.resolution; NULL when the link holds. reasons: of cdp_internal.resolve_rules().';

CREATE OR REPLACE FUNCTION cdp_internal.resolve_links(
  link_ids bigint[], cause text, load_id bigint DEFAULT NULL, source_id integer DEFAULT NULL, note text DEFAULT NULL,
  OUT accepted bigint, OUT rejected bigint, OUT operation_id bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  ends bigint[] := ARRAY(
    SELECT l.a_id FROM unnest(link_ids) AS x (id) JOIN cdp_data.link l ON l.link_id = x.id
    UNION SELECT l.b_id FROM unnest(link_ids) AS x (id) JOIN cdp_data.link l ON l.link_id = x.id);
  c record;
  j record;
  pairs record;
BEGIN
  -- Links that come back bring neighbours, as those of a new record do.
  SELECT array_agg(l.a_id) AS a, array_agg(l.b_id) AS b INTO pairs
  FROM (SELECT DISTINCT l.a_id, l.b_id FROM unnest(link_ids) AS x (id) JOIN cdp_data.link l ON l.link_id = x.id
        WHERE l.kind = 'deterministic' AND l.state = 'revoked') l;
  IF pairs.a IS NULL THEN
    PERFORM cdp_internal.lock_customers(ends);
  ELSE
    PERFORM cdp_internal.lock_and_crowd(ends, pairs.a, pairs.b);
  END IF;
  SELECT array_agg(l.link_id) AS id, array_agg(l.a_id) AS a, array_agg(l.b_id) AS b, array_agg(l.kind::text) AS kind,
    array_agg(l.weight) AS weight, array_agg(l.first_seen) AS at
  INTO c
  FROM unnest(link_ids) AS x (id) JOIN cdp_data.link l ON l.link_id = x.id WHERE l.state <> 'active' AND l.kind <> 'cannot';
  accepted := 0;
  rejected := 0;
  IF c.id IS NULL THEN
    RETURN;
  END IF;
  j := cdp_internal.judge_links(c.id, c.a, c.b, c.kind, c.weight, c.at, ends, '{}');
  UPDATE cdp_data.link l
  SET state = CASE WHEN v.verdict > 0 THEN 'active' ELSE 'rejected' END, reason = cdp_internal.verdict_reason(v.verdict, j.reasons),
    blocker = nullif(v.blocker, 0), changed_at = clock_timestamp()
  FROM unnest(j.judged, j.verdicts, j.blockers) AS v (link_id, verdict, blocker)
  WHERE l.link_id = v.link_id
    AND (l.state, l.reason, l.blocker) IS DISTINCT FROM
      (CASE WHEN v.verdict > 0 THEN 'active' ELSE 'rejected' END, cdp_internal.verdict_reason(v.verdict, j.reasons), nullif(v.blocker, 0));
  SELECT count(*) FILTER (WHERE v.verdict > 0), count(*) FILTER (WHERE v.verdict < 0) INTO accepted, rejected FROM unnest(j.verdicts) AS v (verdict);
  SELECT p.operation_id INTO operation_id
  FROM cdp_internal.apply_partition(j.ids, j.parts, cause, note, source_id, load_id, j.via_roots, j.via_links) p;
  PERFORM cdp_internal.alert_sizes(j.judged, j.verdicts, j.reasons);
  IF accepted > 0 THEN
    PERFORM cdp_internal.touch_roots(ARRAY(
      SELECT l.a_id FROM unnest(j.judged, j.verdicts) AS v (id, verdict) JOIN cdp_data.link l ON l.link_id = v.id WHERE v.verdict > 0));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.resolve_links(bigint[], text, bigint, integer, text) IS
'Tries links that are not in force, all at once and in canonical order, against the customers of now: each becomes active or rejected with its reason, and customers merge accordingly, with ledger and change feed. Links that are active and cannot links among the arguments are left alone. Serves millions. Returns how many hold and how many do not, and the operation of the ledger (NULL: nobody merged). Takes the locks itself, as cdp_internal.lock_customers().';

CREATE OR REPLACE FUNCTION cdp_internal.touch_roots(identifiers bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  own xid8 := pg_current_xact_id();
BEGIN
  UPDATE cdp_data.customer c SET parent_id = c.parent_id
  FROM (SELECT DISTINCT r.root_id FROM cdp_internal.roots_of(ARRAY(
    SELECT DISTINCT coalesce(o.customer_id, i.customer_id)
    FROM unnest(identifiers) AS e (id) JOIN cdp_data.identifier i ON i.identifier_id = e.id
      LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id)) r) x
  WHERE c.customer_id = x.root_id AND c.xmin::text <> (own::text::numeric % 4294967296)::text;
END
$$;
COMMENT ON FUNCTION cdp_internal.touch_roots(bigint[]) IS
'Writes the rows of these identifiers'' roots anew, so that a transaction on an older snapshot (REPEATABLE READ) fails instead of judging by what it cannot see. Rows that this transaction wrote are left alone.';

CREATE OR REPLACE FUNCTION cdp_internal.alert_sizes(link_ids bigint[], verdicts bigint[], reasons text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  too_many bigint := -3 - array_position(reasons, 'customer size');
BEGIN
  IF too_many = ANY (verdicts) THEN
    PERFORM cdp_internal.alert_size(r.root_id, (SELECT s.max_identifiers_per_customer FROM cdp_data.setting s))
    FROM cdp_internal.roots_of(ARRAY(
      SELECT DISTINCT coalesce(o.customer_id, i.customer_id)
      FROM unnest(link_ids, verdicts) AS v (id, verdict) JOIN cdp_data.link l ON l.link_id = v.id
        JOIN cdp_data.identifier i ON i.identifier_id IN (l.a_id, l.b_id)
        LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id
      WHERE v.verdict = too_many)) r
    WHERE (SELECT count(*) FROM cdp_internal.members(r.root_id)) * 2 >= (SELECT s.max_identifiers_per_customer FROM cdp_data.setting s);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.alert_sizes(bigint[], bigint[], text[]) IS
'Notes the customers that were refused more identifiers for their size: of the links so judged, those ends whose customer has at least half of what is allowed.';

CREATE OR REPLACE FUNCTION cdp_internal.crowded_by(a_ids bigint[], b_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  t_id smallint[]; t_degree integer[];
  g_id bigint[]; g_n bigint[];
  -- Newer identifiers have no links yet, so that nobody needs to look for them.
  linked bigint := greatest((SELECT max(l.a_id) FROM cdp_data.link l), (SELECT max(l.b_id) FROM cdp_data.link l), 0);
BEGIN
  SELECT array_agg(t.type_id), array_agg(t.supernode_degree) INTO t_id, t_degree
  FROM cdp_data.identifier_type_all t WHERE t.supernode_degree IS NOT NULL;
  SELECT array_agg(e.id), array_agg(e.n) INTO g_id, g_n
  FROM (
    SELECT x.id, count(*) AS n
    FROM (SELECT unnest(ARRAY[p.a, p.b]) AS id FROM unnest(a_ids, b_ids) AS p (a, b)
          WHERE p.b > linked
            OR NOT EXISTS (SELECT FROM cdp_data.link l WHERE l.a_id = p.a AND l.b_id = p.b AND l.kind = 'deterministic' AND l.state <> 'revoked')) x
    GROUP BY x.id) e
  WHERE e.id <= linked OR e.n > (SELECT min(d) FROM unnest(t_degree) d);
  RETURN ARRAY(
    SELECT i.identifier_id
    FROM unnest(g_id, g_n) AS g (id, n) JOIN cdp_data.identifier i ON i.identifier_id = g.id
      JOIN unnest(t_id, t_degree) AS t (type_id, degree) ON t.type_id = i.type_id
    WHERE i.state = 'active' AND t.degree < g.n + CASE WHEN i.identifier_id > linked THEN 0 ELSE (
      SELECT count(*) FROM (
        SELECT FROM cdp_data.link l WHERE l.a_id = i.identifier_id AND l.kind = 'deterministic' AND l.state <> 'revoked'
        UNION ALL
        SELECT FROM cdp_data.link l WHERE l.b_id = i.identifier_id AND l.kind = 'deterministic' AND l.state <> 'revoked'
        LIMIT t.degree + 1) n) END
    ORDER BY i.type_id, i.value);
END
$$;
COMMENT ON FUNCTION cdp_internal.crowded_by(bigint[], bigint[]) IS
'Identifiers that would have more neighbours than supernode_degree of their type, by links that records brought, if these pairs (each once, lower end first) were linked. Sorted by type and value, the order in which their rows are locked.';

CREATE OR REPLACE FUNCTION cdp_internal.lock_and_crowd(known bigint[], a_ids bigint[], b_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
DECLARE
  crowded bigint[] := cdp_internal.crowded_by(a_ids, b_ids);
  late bigint[] := '{}';
BEGIN
  FOR attempt IN 1 .. 100 LOOP
    crowded := ARRAY(SELECT unnest(crowded) UNION SELECT unnest(late));
    -- Rows of identifiers come before roots. Who turns out to be crowded only under the locks, because a record was
    -- waited for, is locked by going back to before the first lock.
    BEGIN
      PERFORM FROM cdp_data.identifier i WHERE i.identifier_id = ANY (crowded) ORDER BY i.type_id, i.value FOR NO KEY UPDATE;
      PERFORM cdp_internal.lock_customers(known);
      -- Those new in this transaction have no neighbours but in the list.
      IF known <> '{}' THEN
        late := cdp_internal.crowded_by(a_ids, b_ids);
        IF NOT late <@ crowded THEN
          RAISE EXCEPTION 'an identifier became crowded' USING ERRCODE = 'CDPRT';
        END IF;
        crowded := late;
      END IF;
      IF crowded <> '{}' THEN
        PERFORM cdp_internal.quarantine_in(crowded);
      END IF;
      RETURN crowded;
    EXCEPTION WHEN SQLSTATE 'CDPRT' THEN
      NULL;
    END;
  END LOOP;
  RAISE EXCEPTION 'identifiers get neighbours faster than they can be locked'
    USING ERRCODE = 'serialization_failure', DETAIL = 'Tried 100 times.', HINT = 'Try again.';
END
$$;
COMMENT ON FUNCTION cdp_internal.lock_and_crowd(bigint[], bigint[], bigint[]) IS
'Locks for pairs of identifiers that are about to be linked (each once, lower end first; known: their ends that have a customer): rows of those that get too many neighbours, by type and value, then all roots; and quarantines those, judged once more under the locks. Returns them. Error 40001: no calm within 100 attempts.';

CREATE OR REPLACE FUNCTION cdp_internal.load_links(
  load_id bigint, source_id integer, cause text DEFAULT 'load', OUT links bigint, OUT rejected bigint, OUT operation_id bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
DECLARE
  -- Each pair of the load once: ends, time, key and version of the first record, number of its link. lone: each comes once.
  p_a bigint[]; p_b bigint[]; p_first timestamptz[]; p_key text[]; p_version bigint[]; p_link bigint[]; p_new boolean[];
  lone boolean;
  -- Its identifiers: known ones, and those whose customer is not made yet.
  known bigint[]; fresh bigint[];
  made bigint;
  c record;
  j record;
  work_mem text := current_setting('work_mem');
BEGIN
  PERFORM set_config('work_mem', cdp_internal.batch_memory(), true);
  SELECT array_agg(x.a), array_agg(x.b), array_agg(x.at), array_agg(x.key), array_agg(x.version_id), bool_and(x.n = 1)
  INTO p_a, p_b, p_first, p_key, p_version, lone
  FROM (
    SELECT least(t.a_id, t.b_id) AS a, greatest(t.a_id, t.b_id) AS b, min(t.at) AS at, min(t.event_key COLLATE "C") AS key, min(t.version_id) AS version_id, count(*) AS n
    FROM pg_temp.cdp_load_link t WHERE t.a_id <> t.b_id GROUP BY 1, 2 ORDER BY 1, 2) x;
  links := coalesce(cardinality(p_a), 0);
  rejected := 0;
  IF links = 0 THEN
    PERFORM cdp_internal.settle_homes('{}', '{}', '{}', '{}'), set_config('work_mem', work_mem, true);
    RETURN;
  END IF;
  known := ARRAY(SELECT unnest(p_a) UNION SELECT unnest(p_b));
  SELECT coalesce(array_agg(e.id) FILTER (WHERE e.known), '{}'), coalesce(array_agg(e.id) FILTER (WHERE NOT e.known), '{}') INTO known, fresh
  FROM (
    SELECT u.id, h.customer_id IS NOT NULL OR EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = u.id) AS known
    FROM unnest(known) AS u (id)
      JOIN cdp_data.identifier i ON i.identifier_id = u.id LEFT JOIN cdp_data.customer h ON h.customer_id = i.customer_id) e;

  PERFORM cdp_internal.lock_and_crowd(known, p_a, p_b);

  SELECT array_agg(coalesce(l.link_id, nextval('cdp_data.link_link_id_seq')) ORDER BY p.n), array_agg(l.link_id IS NULL ORDER BY p.n)
  INTO p_link, p_new
  FROM unnest(p_a, p_b) WITH ORDINALITY AS p (a, b, n)
    LEFT JOIN cdp_data.link l ON l.a_id = p.a AND l.b_id = p.b AND l.kind = 'deterministic';
  SELECT array_agg(p.id) AS id, array_agg(p.a) AS a, array_agg(p.b) AS b, array_agg('deterministic'::text) AS kind,
    array_agg(NULL::double precision) AS weight, array_agg(CASE WHEN l.reason = 'load reverted' THEN p.at ELSE least(p.at, l.first_seen) END) AS at
  INTO c
  FROM unnest(p_link, p_a, p_b, p_first) AS p (id, a, b, at) LEFT JOIN cdp_data.link l ON l.link_id = p.id
  WHERE l.state IS DISTINCT FROM 'active';
  IF c.id IS NOT NULL THEN
    j := cdp_internal.judge_links(c.id, c.a, c.b, c.kind, c.weight, c.at, known, fresh);
    INSERT INTO cdp_data.link (link_id, a_id, b_id, kind, state, first_seen, reason, blocker)
    SELECT p.id, p.a, p.b, 'deterministic', CASE WHEN v.verdict > 0 THEN 'active' ELSE 'rejected' END, p.at,
      cdp_internal.verdict_reason(v.verdict, j.reasons), nullif(v.blocker, 0)
    FROM unnest(p_link, p_a, p_b, p_first, p_new) AS p (id, a, b, at, is_new)
      JOIN unnest(j.judged, j.verdicts, j.blockers) AS v (id, verdict, blocker) ON v.id = p.id
    WHERE p.is_new ORDER BY p.a, p.b
    ON CONFLICT ON CONSTRAINT link_once DO NOTHING;
    GET DIAGNOSTICS made = ROW_COUNT;
    IF made < (SELECT count(*) FROM unnest(p_new) AS n (is_new) WHERE n.is_new) THEN
      -- Between two that may join nobody a call writes a link without the locks of roots, so that it may come meanwhile:
      -- it stands rejected as ours would.
      p_link := ARRAY(SELECT l.link_id FROM unnest(p_a, p_b) WITH ORDINALITY AS p (a, b, n)
        JOIN cdp_data.link l ON l.a_id = p.a AND l.b_id = p.b AND l.kind = 'deterministic' ORDER BY p.n);
    END IF;
    UPDATE cdp_data.link l
    SET state = CASE WHEN v.verdict > 0 THEN 'active' ELSE 'rejected' END, reason = cdp_internal.verdict_reason(v.verdict, j.reasons),
      blocker = nullif(v.blocker, 0), changed_at = clock_timestamp(),
      -- What only reverted records told is no time.
      first_seen = CASE WHEN l.reason = 'load reverted' THEN p.at ELSE l.first_seen END
    FROM unnest(p_link, p_new, p_first) AS p (id, is_new, at) JOIN unnest(j.judged, j.verdicts, j.blockers) AS v (id, verdict, blocker) ON v.id = p.id
    WHERE NOT p.is_new AND l.link_id = p.id
      AND (l.state, l.reason, l.blocker) IS DISTINCT FROM
        (CASE WHEN v.verdict > 0 THEN 'active' ELSE 'rejected' END, cdp_internal.verdict_reason(v.verdict, j.reasons), nullif(v.blocker, 0))
      -- Taken back by somebody: what still stops it does not make it a link to try again.
      AND NOT (v.verdict < 0 AND l.state = 'revoked' AND l.reason = 'unmerge');
    rejected := (SELECT count(*) FROM unnest(j.verdicts) AS v (verdict) WHERE v.verdict < 0);
  END IF;
  UPDATE cdp_data.link l SET first_seen = p.at FROM unnest(p_link, p_first, p_new) AS p (id, at, is_new)
  WHERE NOT p.is_new AND l.link_id = p.id AND l.first_seen > p.at;
  -- One row for each record that is kept as such; rows without a version were shown before.
  INSERT INTO cdp_data.link_support AS s (link_id, load_id, first_at, last_at, version_id, event_key)
  SELECT p.id, load_links.load_id, p.at, p.at, p.version_id, p.key
  FROM unnest(p_link, p_first, p_version, p_key) AS p (id, at, version_id, key) WHERE lone AND p.version_id IS NOT NULL
  UNION ALL
  SELECT p.id, load_links.load_id, t.first_at, t.last_at, t.version_id, t.key
  FROM unnest(p_link, p_a, p_b) AS p (id, a, b) JOIN (
    SELECT least(t.a_id, t.b_id) AS a, greatest(t.a_id, t.b_id) AS b, t.version_id, min(t.at) AS first_at, max(t.at) AS last_at,
      CASE WHEN count(*) = 1 THEN min(t.event_key COLLATE "C") ELSE (array_agg(t.event_key COLLATE "C" ORDER BY t.at, t.event_key COLLATE "C"))[1] END AS key
    FROM pg_temp.cdp_load_link t WHERE t.a_id <> t.b_id AND t.version_id IS NOT NULL GROUP BY 1, 2, 3) t ON (t.a, t.b) = (p.a, p.b)
  WHERE NOT lone
  ORDER BY 1, 5
  ON CONFLICT ON CONSTRAINT link_support_pkey DO UPDATE
  SET first_at = least(s.first_at, excluded.first_at), last_at = greatest(s.last_at, excluded.last_at),
    event_key = CASE WHEN excluded.first_at < s.first_at THEN excluded.event_key ELSE s.event_key END
  WHERE excluded.first_at < s.first_at OR excluded.last_at > s.last_at;

  IF c.id IS NOT NULL THEN
    IF j.ids <> '{}' THEN
      SELECT p.operation_id INTO operation_id
      FROM cdp_internal.apply_partition(j.ids, j.parts, cause, NULL, source_id, load_id, j.via_roots, j.via_links) p;
    END IF;
    PERFORM cdp_internal.settle_homes(j.fresh_ids, j.fresh_parts, j.ids, j.parts);
    PERFORM cdp_internal.alert_sizes(j.judged, j.verdicts, j.reasons);
  END IF;
  PERFORM cdp_internal.touch_roots(known), set_config('work_mem', work_mem, true);
END
$$;
COMMENT ON FUNCTION cdp_internal.load_links(bigint, integer, text) IS
'Writes the links of a load, read from pg_temp.cdp_load_link (a_id, b_id, at, event_key, version_id: the record that shows it, 0 when it is not kept as such, NULL when the link is only to be tried again), with their support, and makes customers one as far as the rules let them: set-based, for millions. Identifiers with too many neighbours are quarantined. New identifiers of the load have as home, until then, a number set aside from cdp_data.customer_customer_id_seq (best one a record) without a customer row, or 0; each gets the customer of its part, a new one when nobody known is in it. Returns the distinct pairs, how many of them a rule stopped, and the operation of the ledger (NULL: no known customers merged).';

CREATE OR REPLACE FUNCTION cdp_internal.settle_homes(fresh bigint[], fresh_parts bigint[], known bigint[], known_parts bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  -- Identifiers without home: their part, and the number that was set aside for them, 0: none.
  n_id bigint[]; n_part bigint[]; n_aside bigint[];
  h_part bigint[]; h_id bigint[]; h_new boolean[];
  n bigint;
BEGIN
  SELECT array_agg(x.id), array_agg(x.part), array_agg(x.aside) INTO n_id, n_part, n_aside
  FROM (
    SELECT i.identifier_id AS id, p.part, i.customer_id AS aside
    FROM unnest(fresh, fresh_parts) AS p (id, part) JOIN cdp_data.identifier i ON i.identifier_id = p.id
    UNION ALL
    SELECT i.identifier_id, i.identifier_id, 0
    FROM cdp_data.identifier i WHERE i.customer_id = 0 AND NOT EXISTS (SELECT FROM unnest(fresh) AS p (id) WHERE p.id = i.identifier_id)) x;
  IF n_id IS NULL THEN
    RETURN 0;
  END IF;
  -- A part with somebody known has a root. Else it takes the number set aside for its lowest identifier, if no lower
  -- part has the same, or a new one, in the order of the lowest identifiers.
  WITH met AS MATERIALIZED (
    SELECT DISTINCT ON (p.part) p.part, coalesce(o.customer_id, i.customer_id) AS at
    FROM unnest(known, known_parts) AS p (id, part) JOIN cdp_data.identifier i ON i.identifier_id = p.id
      LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id
    ORDER BY p.part
  ), first AS (
    SELECT DISTINCT ON (n.part) n.part, nullif(n.aside, 0) AS aside
    FROM unnest(n_id, n_part, n_aside) AS n (id, part, aside) ORDER BY n.part, n.id
  ), named AS (
    SELECT f.part, r.root_id, CASE WHEN row_number() OVER (PARTITION BY f.aside, r.root_id IS NULL ORDER BY f.part) = 1 THEN f.aside END AS aside
    FROM first f LEFT JOIN met k ON k.part = f.part
      LEFT JOIN cdp_internal.roots_of(ARRAY(SELECT DISTINCT at FROM met)) r ON r.customer_id = k.at
    ORDER BY f.part OFFSET 0
  )
  SELECT array_agg(m.part), array_agg(coalesce(m.root_id, m.aside, nextval('cdp_data.customer_customer_id_seq'))), array_agg(m.root_id IS NULL)
  INTO h_part, h_id, h_new FROM named m;
  INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT h.id, h.id FROM unnest(h_id, h_new) AS h (id, is_new) WHERE h.is_new ORDER BY h.id;
  n := cardinality(n_id);
  SELECT array_agg(u.id), array_agg(h.id) INTO n_id, n_part
  FROM unnest(n_id, n_part, n_aside) AS u (id, part, aside) JOIN unnest(h_part, h_id) AS h (part, id) ON h.part = u.part
  WHERE h.id <> u.aside;
  UPDATE cdp_data.identifier i SET customer_id = u.home FROM unnest(n_id, n_part) AS u (id, home) WHERE i.identifier_id = u.id;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.settle_homes(bigint[], bigint[], bigint[], bigint[]) IS
'Gives new identifiers of this transaction their home: the customer of the known identifiers in their part, else one new customer for the part. fresh are those whose home is a number without a customer (set aside from cdp_data.customer_customer_id_seq, and kept where it fits, which spares writing the row again) or 0; any other of home 0 gets a customer of its own. known with known_parts: known identifiers and their parts. Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.links_of_load(load_id bigint, to_state text, OUT changed bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
DECLARE
  shown bigint[] := ARRAY(SELECT DISTINCT s FROM cdp_internal.links_shown_by(links_of_load.load_id) s);
  ends bigint[] := ARRAY(
    SELECT v.id FROM unnest(shown) AS s (link_id) JOIN cdp_data.link l ON l.link_id = s.link_id CROSS JOIN LATERAL (VALUES (l.a_id), (l.b_id)) AS v (id)
    WHERE l.kind = 'deterministic' GROUP BY v.id);
  source integer := (SELECT l.source_id FROM cdp_data.load l WHERE l.load_id = links_of_load.load_id);
  gone bigint[];
  back bigint[];
  roots bigint[];
BEGIN
  changed := 0;
  IF ends = '{}' THEN
    RETURN;
  END IF;
  roots := cdp_internal.lock_customers(ends, to_state <> 'done');
  -- The earliest record that still counts; a link without any keeps what it had.
  UPDATE cdp_data.link l SET first_seen = x.first_at
  FROM (
    SELECT o.link_id, min(o.first_at) AS first_at
    FROM unnest(shown) AS s (link_id) JOIN cdp_data.link_support_now o ON o.link_id = s.link_id
    GROUP BY o.link_id) x
  WHERE l.link_id = x.link_id AND l.kind = 'deterministic' AND l.first_seen <> x.first_at;
  IF to_state = 'done' THEN
    back := ARRAY(
      SELECT l.link_id FROM unnest(shown) AS s (link_id) JOIN cdp_data.link l ON l.link_id = s.link_id
      WHERE l.kind = 'deterministic' AND l.state = 'revoked' AND l.reason = 'load reverted' ORDER BY 1);
    PERFORM cdp_internal.resolve_links(back, 'retry', load_id, source);
    changed := cardinality(back);
    RETURN;
  END IF;
  gone := ARRAY(
    SELECT l.link_id FROM unnest(shown) AS s (link_id) JOIN cdp_data.link l ON l.link_id = s.link_id
    WHERE l.kind = 'deterministic' AND l.state <> 'revoked'
      AND NOT EXISTS (SELECT FROM cdp_data.link_support_now o WHERE o.link_id = l.link_id)
    ORDER BY 1);
  UPDATE cdp_data.link l SET state = 'revoked', reason = 'load reverted', blocker = NULL, changed_at = clock_timestamp() WHERE l.link_id = ANY (gone);
  changed := cardinality(gone);
  IF changed > 0 THEN
    PERFORM cdp_internal.recompute(ARRAY(
      SELECT DISTINCT r.root_id FROM cdp_internal.roots_of(ARRAY(
        SELECT DISTINCT coalesce(o.customer_id, i.customer_id)
        FROM cdp_data.link l JOIN cdp_data.identifier i ON i.identifier_id IN (l.a_id, l.b_id)
          LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id
        WHERE l.link_id = ANY (gone))) r), 'revert', format('load %s', load_id), true);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.links_of_load(bigint, text) IS
'Brings links and customers to the state that a load has now: call it in the transaction that changed cdp_data.load.state. Reverted: links that no load in force shows any more are revoked (reason: load reverted), merges that only they made come apart, and links that a rule had stopped may take their place. Done again: those links are tried as if they came now. first_seen becomes that of the earliest record still in force. Links that an unmerge took back stay so. Returns how many links it revoked or tried.';
