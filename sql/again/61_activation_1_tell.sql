-- Activation room, activations: who should be at a destination, what it has been told, and the messages that make the one the
-- other. A message is written in the transaction that decides it.
--
-- Locks: who adds holds the row of cdp_data.profile_state, as runs of segments do, then the outbox, then activations, and customers
-- only as far as nobody else has them: an erasure waits for profile_state with customers in its hands. Who takes somebody out
-- because he may no longer be used holds his customers alone, or the whole outbox, before activations.

CREATE OR REPLACE FUNCTION cdp_internal.activation_of(name text) RETURNS record
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  a cdp_data.activation;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT * INTO a FROM cdp_data.activation x WHERE x.name = activation_of.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no activation named "%"', left(coalesce(name, 'NULL'), 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT x.name FROM cdp_data.activation x WHERE x.state <> 'ended'),
        'SELECT name FROM cdp_data.activation; lists them.');
  END IF;
  RETURN a;
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_of(text) IS
'The activation of that name. Errors: 42704 when there is none, with the nearest name; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.activation_hold() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM FROM cdp_data.profile_state FOR UPDATE;
  -- Before rows of activations: who changes what purposes allow has the outbox alone, and then marks and blocks them.
  LOCK TABLE cdp_data.outbox IN ROW EXCLUSIVE MODE;
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_hold() IS
'What everybody takes before he changes activations or adds somebody: waits for runs of segments, refreshes of profiles, erasures, and for who changes what many people or purposes allow.';

CREATE OR REPLACE FUNCTION cdp_internal.activation_blocked(a record, names jsonb DEFAULT NULL) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s record;
  d record;
  entries jsonb := cdp_internal.segment_attributes();
  odd text;
BEGIN
  SELECT x.name, x.purpose, v.rule INTO s FROM cdp_data.segment x JOIN cdp_data.segment_version v ON v.segment_id = x.segment_id AND v.version = x.version WHERE x.segment_id = a.segment_id;
  SELECT x.purpose, x.attributes INTO d FROM cdp_data.destination x WHERE x.destination = a.destination;
  IF d.purpose IS DISTINCT FROM s.purpose THEN
    RETURN format('the segment is for %s, the destination for %s', s.purpose, coalesce(d.purpose, 'no purpose'));
  END IF;
  SELECT u.name INTO odd FROM unnest(a.attributes) u (name)
  WHERE NOT entries ? u.name OR (entries -> u.name) ? 'encrypted' OR (entries -> u.name) ? 'purposes' AND NOT entries -> u.name -> 'purposes' ? s.purpose
    OR (u.name = ANY (d.attributes)) IS FALSE ORDER BY u.name LIMIT 1;
  IF FOUND THEN
    RETURN format('attribute "%s" is unknown, encrypted, not declared for the destination, or may not be used for %s', odd, s.purpose);
  END IF;
  RETURN (
    SELECT format('its segment: %s at %s: %s', c.code, coalesce(nullif(c.path, ''), 'the top'), c.message)
    FROM cdp_internal.segment_check_as(s.rule, s.purpose, s.name, names) c WHERE c.severity = 'error' ORDER BY c.code <> 'E_PURPOSE', c.path LIMIT 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_blocked(record, jsonb) IS
'Why nobody may be used at the destination of an activation now: another purpose, an attribute or a rule that the purpose does not allow. NULL: nothing against it. names: cdp_internal.segment_catalog(), for who asks about many.';

CREATE OR REPLACE FUNCTION cdp_internal.activation_mark(ids integer[], reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE cdp_data.activation a SET stale = reason, stale_since = coalesce(a.stale_since, clock_timestamp())
  WHERE a.activation_id = ANY (ids) AND a.state <> 'ended' AND a.stale IS DISTINCT FROM reason;
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_mark(integer[], text) IS 'Notes that everybody has to be compared once more at these activations, and why.';

CREATE OR REPLACE FUNCTION cdp_internal.activation_want(ids integer[], scope bigint[])
RETURNS TABLE (activation_id integer, base bytea, want bytea, refused bytea)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  a record;
  map bytea := cdp_internal.customer_map();
  asked bytea := CASE WHEN scope IS NOT NULL THEN (SELECT cdp.roaring_build(c) FROM unnest(scope) c) END;
  chunks integer[] := ARRAY(SELECT DISTINCT (c >> 16)::integer FROM unnest(scope) c);
  roots bigint[] := CASE WHEN cardinality(scope) <= 1000 THEN ARRAY(SELECT DISTINCT cdp_internal.customer_root(map, NULL, c, NULL) FROM unnest(scope) c) END;
  analytics bytea := cdp_internal.consent_gate('analytics', '', roots);
  gate bytea;
  claimed bytea;
  in_group text := '';
BEGIN
  FOR a IN
    SELECT x.*, s.purpose, d.channel FROM cdp_data.activation x JOIN cdp_data.segment s ON s.segment_id = x.segment_id JOIN cdp_data.destination d ON d.destination = x.destination
    WHERE x.state <> 'ended' AND (x.activation_id = ANY (ids)
      OR x.priority_group <> '' AND x.priority_group IN (SELECT y.priority_group FROM cdp_data.activation y WHERE y.activation_id = ANY (ids)))
    ORDER BY x.priority_group, x.priority, x.activation_id
  LOOP
    gate := cdp_internal.consent_gate(a.purpose, a.channel, roots);
    SELECT cdp.roaring_union(c.bits) INTO base FROM cdp_data.segment_chunk c WHERE c.segment_id = a.segment_id AND (asked IS NULL OR c.chunk = ANY (chunks)) AND a.blocked IS NULL;
    IF asked IS NOT NULL THEN
      base := cdp.roaring_and(base, asked);
    END IF;
    base := (
      SELECT cdp.roaring_build(m) FROM cdp.roaring_ids(base) m
      WHERE cdp_internal.bitmap_has(gate, m) AND cdp_internal.bitmap_has(analytics, m) AND cdp_internal.customer_root(map, NULL, m, NULL) = m);
    IF a.priority_group <> '' THEN
      claimed := CASE WHEN a.priority_group = in_group THEN claimed ELSE (SELECT cdp.roaring_build(NULL)) END;
      in_group := a.priority_group;
      base := cdp.roaring_andnot(base, claimed);
      claimed := cdp.roaring_or(claimed, base);
    END IF;
    CONTINUE WHEN a.activation_id <> ALL (ids);
    activation_id := a.activation_id;
    want := CASE WHEN a.holdout_id IS NULL THEN base ELSE cdp.roaring_andnot(base, cdp_internal.holdout_control(a.holdout_id, ARRAY(SELECT cdp.roaring_ids(base)))) END;
    -- Who was told of and may no longer be used, by the root that he is now.
    refused := (
      SELECT cdp.roaring_build(m.customer_id)
      FROM (SELECT x.customer_id, cdp_internal.customer_root(map, NULL, x.customer_id, NULL) AS root FROM cdp_data.activation_member x
        WHERE x.activation_id = a.activation_id AND x.is_in AND (scope IS NULL OR x.customer_id = ANY (scope)) OFFSET 0) m
      WHERE a.blocked IS NOT NULL OR NOT cdp_internal.bitmap_has(gate, m.root) OR NOT cdp_internal.bitmap_has(analytics, m.root));
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_want(integer[], bigint[]) IS
'For each of these activations that has not ended, among the customers in scope (NULL: all), as Roaring bitmaps: base, who belongs there by segment, consent (to the purpose of segment and destination on its channel, and to analytics) and priority, roots only; want, base without the control arm of its holdout; refused, who was told of and may no longer be used there. Customers of an activation that is blocked, or of one before it in its group, are not in base.';

CREATE OR REPLACE FUNCTION cdp_internal.audience_facts(customers bigint[], identifier_types text[], attribute_names text[])
RETURNS TABLE (customer_id bigint, identifier_ids bigint[], identifiers jsonb, attributes jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
#variable_conflict use_column
DECLARE
  entries jsonb := cdp_internal.segment_attributes();
  types smallint[] := ARRAY(SELECT t.type_id FROM cdp_data.identifier_type_all t WHERE t.name = ANY (identifier_types));
  homes bigint[] := CASE WHEN types <> '{}' THEN cdp_internal.attribution_members(customers) END;
BEGIN
  RETURN QUERY
  WITH found AS MATERIALIZED (
    SELECT y.identifier_id, t.name, y.value, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), y.customer_id, y.identifier_id) AS root
    FROM cdp_data.identifier y JOIN cdp_data.identifier_type_all t ON t.type_id = y.type_id WHERE y.customer_id = ANY (homes) AND y.type_id = ANY (types) AND y.state = 'active'
  ), numbered AS MATERIALIZED (
    SELECT f.root, array_agg(f.identifier_id ORDER BY f.identifier_id) AS ids FROM found f GROUP BY f.root
  ), named AS MATERIALIZED (
    SELECT x.root, jsonb_object_agg(x.name, x.vals) AS vals
    FROM (SELECT f.root, f.name, jsonb_agg(f.value ORDER BY f.value) AS vals FROM found f GROUP BY f.root, f.name) x GROUP BY x.root
  ), known AS MATERIALIZED (
    SELECT p.customer_id, (
      SELECT jsonb_object_agg(x.name, x.value)
      FROM (SELECT u.name, CASE WHEN entries -> u.name ? 'column' THEN to_jsonb(p) -> (entries -> u.name ->> 'column') ELSE to_jsonb(p) -> (entries -> u.name ->> 'json') -> u.name END AS value
        FROM unnest(attribute_names) u (name)) x
      WHERE x.value <> 'null') AS vals
    FROM cdp_data.profile p WHERE attribute_names <> '{}' AND p.customer_id = ANY (customers)
  )
  SELECT c, coalesce(i.ids, '{}'), coalesce(n.vals, '{}'), coalesce(k.vals, '{}')
  FROM unnest(customers) c LEFT JOIN numbered i ON i.root = c LEFT JOIN named n ON n.root = c LEFT JOIN known k ON k.customer_id = c;
END
$$;
COMMENT ON FUNCTION cdp_internal.audience_facts(bigint[], text[], text[]) IS
'What is known of these customers (roots), a row for each: values of their identifiers of these types ({"email": ["a@b.example"]}, active ones, sorted) with their numbers, and these attributes of their profiles ({"city": "Xian"}; those without a value are left out; times in UTC). The caller asks which of them may be used.';

CREATE OR REPLACE FUNCTION cdp_internal.activation_undo(a record, refused bigint[], before jsonb, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- With the number of the message before, which may be on its way and is the last one again.
  UPDATE cdp_data.activation_member x SET is_in = b.is_in, sequence = b.sequence, at = b.at, identifiers = b.identifiers
  FROM jsonb_populate_recordset(NULL::cdp_data.activation_member, before) b WHERE x.activation_id = a.activation_id AND x.customer_id = b.customer_id AND b.customer_id = ANY (refused);
  DELETE FROM cdp_data.activation_member x WHERE x.activation_id = a.activation_id AND x.customer_id = ANY (refused)
    AND NOT EXISTS (SELECT FROM jsonb_populate_recordset(NULL::cdp_data.activation_member, before) b WHERE b.customer_id = x.customer_id);
  -- It is noted where everybody reads it: whom it was about is not.
  RETURN coalesce(regexp_replace(reason, '\mcustomer \d+', 'a customer', 'g'), 'the outbox has such a message already');
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_undo(record, bigint[], jsonb, text) IS
'Notes of these customers, of whom the outbox refused a message for that reason (NULL: it stands there already), what was noted before (rows of cdp_data.activation_member). Returns the reason without a number of a customer.';

CREATE OR REPLACE FUNCTION cdp_internal.activation_add(a record, customers bigint[], OUT added bigint, OUT late text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  batch constant integer := 10000;
  part bigint[];
  held bigint[];
  known bigint[];
  before cdp_data.activation_member[];
  gate bytea;
  m record;
  segment text := (SELECT s.name FROM cdp_data.segment s WHERE s.segment_id = a.segment_id);
  refused bigint[];
  reason text;
BEGIN
  added := 0;
  late := cdp_internal.outbox_hold(a.destination);
  IF late IS NOT NULL OR customers = '{}' THEN
    RETURN;
  END IF;
  -- Messages carry attributes as they are now; runs of rules over events do not wait for profiles.
  PERFORM cdp.refresh_profiles() WHERE a.attributes <> '{}';
  FOR start IN 1 .. cardinality(customers) BY batch LOOP
    part := customers[start : start + batch - 1];
    IF a.holdout_id IS NULL THEN
      held := ARRAY(SELECT c.customer_id FROM cdp_data.customer c WHERE c.customer_id = ANY (part) ORDER BY 1 FOR KEY SHARE SKIP LOCKED);
    ELSE
      SELECT coalesce(array_agg(h.customer_id), '{}'), coalesce(array_agg(h.customer_id ORDER BY h.customer_id) FILTER (WHERE h.arm = 'treatment'), '{}') INTO known, held
      FROM cdp_internal.holdout_assign(a.holdout_id, part, clock_timestamp(), false) h;
    END IF;
    late := CASE WHEN cardinality(CASE WHEN a.holdout_id IS NULL THEN held ELSE known END) < cardinality(part) THEN 'somebody else was changing a customer' ELSE late END;
    -- Who refused since this was asked has ended; from here on nobody does before this transaction ends. The outbox asks about
    -- the purpose.
    gate := cdp_internal.consent_gate('analytics', '', held);
    held := ARRAY(SELECT h FROM unnest(held) h WHERE cdp_internal.bitmap_has(gate, h) ORDER BY h);
    CONTINUE WHEN held = '{}';
    before := ARRAY(SELECT x FROM cdp_data.activation_member x WHERE x.activation_id = a.activation_id AND x.customer_id = ANY (held));
    WITH facts AS MATERIALIZED (
      SELECT f.* FROM cdp_internal.audience_facts(held, a.identifiers, a.attributes) f
    ), noted AS (
      INSERT INTO cdp_data.activation_member AS x (activation_id, customer_id, is_in, at, identifiers) SELECT a.activation_id, f.customer_id, true, clock_timestamp(), f.identifier_ids FROM facts f ORDER BY f.customer_id
      ON CONFLICT ON CONSTRAINT activation_member_pkey DO UPDATE SET is_in = true, sequence = excluded.sequence, at = excluded.at, identifiers = excluded.identifiers
      RETURNING x.customer_id, x.sequence
    )
    SELECT array_agg(n.customer_id ORDER BY n.customer_id) AS customers, array_agg(format('activation %s %s', a.activation_id, n.sequence) ORDER BY n.customer_id) AS keys,
      array_agg(jsonb_build_object('activation', a.name, 'segment', segment, 'sequence', n.sequence, 'customer', n.customer_id)
        || CASE WHEN a.identifiers = '{}' THEN '{}' ELSE jsonb_build_object('identifiers', f.identifiers) END
        || CASE WHEN a.attributes = '{}' THEN '{}' ELSE jsonb_build_object('attributes', f.attributes) END ORDER BY n.customer_id) AS payloads
    INTO m FROM noted n JOIN facts f ON f.customer_id = n.customer_id;
    SELECT coalesce(array_agg(m.customers[p.n]) FILTER (WHERE p.outbox_id IS NULL), '{}'), min(p.refusal) INTO refused, reason
    FROM cdp_internal.outbox_put_many(a.destination, 'audience_add', m.customers, m.payloads, m.keys) p;
    added := added + cardinality(m.customers) - cardinality(refused);
    IF refused <> '{}' THEN
      late := cdp_internal.activation_undo(a, refused, to_jsonb(before), reason);
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_add(record, bigint[]) IS
'Tells the destination of an activation to add these customers (roots), but for the control arm of its holdout, whose arms are kept from now on. Returns how many it told, and late, why not all: somebody else was changing one, or the outbox refused; NULL: all. Works on 10,000 at a time.';

CREATE OR REPLACE FUNCTION cdp_internal.activation_remove(a record, customers bigint[], urgent bytea, waits boolean, OUT removed bigint, OUT late text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  batch constant integer := 10000;
  part bigint[];
  keys text[];
  unseen text[];
  before cdp_data.activation_member[];
  kept bigint[];
  m record;
  segment text := (SELECT s.name FROM cdp_data.segment s WHERE s.segment_id = a.segment_id);
  n bigint;
  refused bigint[];
  reason text;
BEGIN
  removed := 0;
  late := cdp_internal.outbox_hold(a.destination);
  IF late IS NOT NULL THEN
    customers := ARRAY(SELECT c FROM unnest(customers) c WHERE cdp.roaring_has(urgent, c));
  END IF;
  FOR start IN 1 .. cardinality(customers) BY batch LOOP
    part := customers[start : start + batch - 1];
    IF NOT waits THEN
      n := cardinality(part);
      part := ARRAY(SELECT c.customer_id FROM cdp_data.customer c WHERE c.customer_id = ANY (part) ORDER BY 1 FOR KEY SHARE SKIP LOCKED);
      late := CASE WHEN cardinality(part) < n THEN 'somebody else was changing a customer' ELSE late END;
    END IF;
    -- What nobody has sent yet is taken back, and the destination hears nothing.
    keys := ARRAY(SELECT format('activation %s %s', a.activation_id, x.sequence) FROM cdp_data.activation_member x WHERE x.activation_id = a.activation_id AND x.customer_id = ANY (part));
    UPDATE cdp_data.outbox o SET state = 'cancelled', payload = '{}', last_error = 'no longer in the audience'
    WHERE o.destination = a.destination AND o.dedup_key = ANY (keys) AND o.state = 'waiting';
    unseen := ARRAY(SELECT o.dedup_key FROM cdp_data.outbox o WHERE o.destination = a.destination AND o.dedup_key = ANY (keys) AND o.kind = 'audience_add' AND o.state = 'cancelled' AND o.attempts = 0);
    WITH gone AS (
      DELETE FROM cdp_data.activation_member x WHERE x.activation_id = a.activation_id AND x.customer_id = ANY (part) AND x.is_in
        AND format('activation %s %s', a.activation_id, x.sequence) = ANY (unseen) RETURNING x.customer_id
    )
    SELECT count(*) INTO n FROM gone;
    removed := removed + n;
    before := ARRAY(SELECT x FROM cdp_data.activation_member x WHERE x.activation_id = a.activation_id AND x.customer_id = ANY (part));
    -- Who was one with him when he was added, and stays, stays by his own identifiers.
    kept := CASE WHEN EXISTS (SELECT FROM unnest(before) b WHERE b.identifiers <> '{}') THEN ARRAY(
      SELECT DISTINCT u FROM cdp_data.activation_member x CROSS JOIN LATERAL unnest(x.identifiers) u
      WHERE x.activation_id = a.activation_id AND x.is_in AND x.identifiers <> '{}' AND x.customer_id <> ALL (part) AND x.identifiers && ARRAY(SELECT unnest(b.identifiers) FROM unnest(before) b WHERE b.is_in))
      ELSE '{}' END;
    FOR m IN
      WITH noted AS (
        UPDATE cdp_data.activation_member x SET is_in = false, sequence = DEFAULT, at = clock_timestamp() WHERE x.activation_id = a.activation_id AND x.customer_id = ANY (part) AND x.is_in
        RETURNING x.customer_id, x.sequence, x.identifiers
      ), named AS (
        SELECT i.customer_id, jsonb_object_agg(i.name, i.vals) AS vals
        FROM (SELECT n.customer_id, t.name, jsonb_agg(y.value ORDER BY y.value) AS vals FROM noted n CROSS JOIN LATERAL unnest(n.identifiers) u (id)
          JOIN cdp_data.identifier y ON y.identifier_id = u.id JOIN cdp_data.identifier_type_all t ON t.type_id = y.type_id WHERE u.id <> ALL (kept) GROUP BY n.customer_id, t.name) i
        GROUP BY i.customer_id
      )
      SELECT CASE WHEN cdp.roaring_has(urgent, n.customer_id) THEN 'audience_withdraw' ELSE 'audience_remove' END AS kind,
        array_agg(n.customer_id ORDER BY n.customer_id) AS customers, array_agg(format('activation %s %s', a.activation_id, n.sequence) ORDER BY n.customer_id) AS keys,
        array_agg(jsonb_build_object('activation', a.name, 'segment', segment, 'sequence', n.sequence, 'customer', n.customer_id)
          || CASE WHEN a.identifiers = '{}' THEN '{}' ELSE jsonb_build_object('identifiers', coalesce(d.vals, '{}')) END ORDER BY n.customer_id) AS payloads
      FROM noted n LEFT JOIN named d ON d.customer_id = n.customer_id GROUP BY 1 ORDER BY 1
    LOOP
      SELECT coalesce(array_agg(m.customers[p.n]) FILTER (WHERE p.outbox_id IS NULL), '{}'), min(p.refusal) INTO refused, reason
      FROM cdp_internal.outbox_put_many(a.destination, m.kind, m.customers, m.payloads, m.keys) p;
      removed := removed + cardinality(m.customers) - cardinality(refused);
      IF refused <> '{}' THEN
        late := cdp_internal.activation_undo(a, refused, to_jsonb(before), reason);
      END IF;
    END LOOP;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_remove(record, bigint[], bytea, boolean) IS
'Tells the destination of an activation to remove these customers, whom it was told to add: urgent ones (Roaring bitmap) by a message that goes out even while the destination is held. An addition that nobody took from the outbox yet is taken back without a word. waits false: who is being changed by somebody else is left out; true: the caller keeps others away. Returns how many, and late, why not all; NULL: all.';

CREATE OR REPLACE FUNCTION cdp_internal.activation_sync(ids integer[], scope bigint[], adds boolean, waits boolean DEFAULT false)
RETURNS TABLE (activation_id integer, added bigint, removed bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  w record;
  a cdp_data.activation;
  told bytea;
  leave bytea;
  come bytea;
  late text;
  done record;
  least_people integer := cdp_internal.minimum_audience();
BEGIN
  -- Before what people allow is asked; who takes consent from many keeps it for himself.
  LOCK TABLE cdp_data.outbox IN ROW EXCLUSIVE MODE;
  FOR w IN SELECT * FROM cdp_internal.activation_want(ids, scope) LOOP
    SELECT * INTO a FROM cdp_data.activation x WHERE x.activation_id = w.activation_id;
    told := (SELECT cdp.roaring_build(x.customer_id) FROM cdp_data.activation_member x WHERE x.activation_id = w.activation_id AND x.is_in AND (scope IS NULL OR x.customer_id = ANY (scope)));
    leave := CASE WHEN a.state = 'active' THEN cdp.roaring_andnot(told, w.want) ELSE w.refused END;
    activation_id := w.activation_id;
    late := NULL;
    done := cdp_internal.activation_remove(a, ARRAY(SELECT cdp.roaring_ids(leave)), w.refused, waits);
    removed := done.removed;
    late := done.late;
    added := 0;
    come := CASE WHEN adds AND a.state = 'active' THEN cdp.roaring_andnot(w.base, told) ELSE (SELECT cdp.roaring_build(NULL)) END;
    IF scope IS NULL AND a.filled_to IS NOT NULL THEN
      come := (SELECT cdp.roaring_build(m) FROM cdp.roaring_ids(come) m WHERE m <= a.filled_to);
    END IF;
    IF cdp.roaring_count(come) > 0 THEN
      IF NOT EXISTS (SELECT FROM cdp_data.segment s JOIN cdp_data.segment_state t ON t.segment_id = s.segment_id WHERE s.segment_id = a.segment_id AND s.state = 'active' AND t.version = s.version AND t.error IS NULL) THEN
        late := 'its segment is not active, or its rule was not evaluated yet';
      -- A message about each of a few would tell more than a report may.
      ELSIF least_people IS NOT NULL AND least_people > (SELECT count(*) FROM cdp_data.activation_member x WHERE x.activation_id = w.activation_id AND x.is_in)
          AND least_people > (SELECT cdp.roaring_count(f.want) FROM cdp_internal.activation_want(ARRAY[w.activation_id], NULL) f) THEN
        late := 'it is about fewer people than the minimum audience';
      ELSE
        done := cdp_internal.activation_add(a, ARRAY(SELECT cdp.roaring_ids(come)));
        added := done.added;
        late := coalesce(done.late, late);
      END IF;
    END IF;
    IF late IS NOT NULL THEN
      PERFORM cdp_internal.activation_mark(ARRAY[w.activation_id], late);
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.activation_sync(integer[], bigint[], boolean, boolean) IS
'Compares who should be at the destinations of these activations with what they were told, among the customers in scope (NULL: all), and writes the messages that make up the difference: removals, and with adds additions. A paused activation only hears of who may no longer be used. What could not be told is noted as stale. waits as cdp_internal.activation_remove(); who adds holds cdp_data.profile_state. Returns what was told.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusals_of_activation(destination text, kind text, customers bigint[], payloads jsonb[])
RETURNS TABLE (n bigint, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  IF kind IS NULL OR kind NOT IN ('audience_add', 'audience_remove', 'audience_withdraw') THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT w.n, 'it is not the last message about the customer'
  FROM unnest(customers, payloads) WITH ORDINALITY AS w (customer, payload, n)
    LEFT JOIN cdp_data.activation a ON a.name = w.payload ->> 'activation' AND a.destination = outbox_refusals_of_activation.destination
    LEFT JOIN cdp_data.activation_member m ON m.activation_id = a.activation_id AND m.customer_id = w.customer
  WHERE (m.sequence::text = w.payload ->> 'sequence' AND m.is_in = (kind = 'audience_add')) IS NOT TRUE;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusals_of_activation(text, text, bigint[], jsonb[]) IS
'The same gate for many messages (cdp_internal.outbox_refusals()): a row for each that it refuses, with its place and the reason.';
CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusal_of_activation(destination text, kind text, customer_id bigint, payload jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT r.reason FROM cdp_internal.outbox_refusals_of_activation(destination, kind, ARRAY[customer_id], ARRAY[payload]) r);
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusal_of_activation(text, text, bigint, jsonb) IS
'The order of messages before the outbox: of messages of activations (kinds audience_add, audience_remove, audience_withdraw) only the last one about a customer goes out, so that one that is tried again never undoes a later one; and nobody else writes such messages. NULL: nothing against it.';
