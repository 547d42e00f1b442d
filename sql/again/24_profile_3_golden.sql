-- Identity room, the profile: the golden profile of every customer, computed and kept up to date.
-- One function, profile_rows(), says what a profile is. A pass over everybody, the refresh of a few and the live
-- answer for one customer all call it; they differ only in how the rows of a customer are found.

CREATE OR REPLACE FUNCTION cdp_internal.profile_basis() RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT jsonb_build_object(
    'currency', s.currency,
    'rates', (SELECT coalesce(jsonb_object_agg(r.currency || ' ' || to_char(r.valid_from, 'YYYY-MM-DD'), r.rate), '{}') FROM cdp_data.currency_rate r WHERE r.base = s.currency),
    'kinds', (SELECT jsonb_object_agg(k.kind_id, CASE WHEN k.is_touch THEN 't' ELSE '' END || CASE WHEN k.is_conversion THEN 'c' ELSE '' END
        || CASE WHEN k.name IN ('refund', 'chargeback') THEN 'r' ELSE '' END) FROM cdp_data.touch_kind_all k WHERE k.is_touch OR k.is_conversion),
    'attributes', (SELECT md5(string_agg(ROW(a.attribute_id, a.name, a.data_type, a.strategy, a.aggregate, a.source_order, a.sensitivity, a.encrypted)::text, ',' ORDER BY a.attribute_id))
      FROM cdp_data.attribute_all a),
    'sources', (SELECT md5(string_agg(ROW(n.source_id, n.name)::text, ',' ORDER BY n.source_id)) FROM cdp_data.source n
      WHERE n.name IN (SELECT unnest(a.source_order) FROM cdp_data.attribute a)),
    'channels', (SELECT md5(string_agg(c.r, ',' ORDER BY c.r)) FROM (
      SELECT ROW(r.*)::text COLLATE "C" AS r FROM cdp_data.channel_rule_all r
      UNION ALL SELECT ROW(h.channel_id)::text COLLATE "C" FROM cdp_data.channel_all h) c))
  FROM cdp_data.setting s);
END
$$;
COMMENT ON FUNCTION cdp_internal.profile_basis() IS
'What all profiles stand on beside the facts: attributes, kinds of touchpoints, currency, rates into it, channel rules. Compared with the one of the last refresh.';

CREATE OR REPLACE FUNCTION cdp_internal.profile_strays(root_from bigint, root_to bigint) RETURNS bigint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(
    SELECT m.id FROM (
      SELECT c.customer_id AS id, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, c.customer_id, NULL) AS root
      FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id
      UNION
      SELECT i.customer_id, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, o.customer_id, NULL)
      FROM cdp_data.identifier_override o JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id) m
    WHERE m.root BETWEEN root_from AND root_to AND m.id NOT BETWEEN root_from AND root_to
    GROUP BY m.id);
END
$$;
COMMENT ON FUNCTION cdp_internal.profile_strays(bigint, bigint) IS
'Home customers outside a range of ids whose facts may belong to a root inside it, by merges or moved identifiers. Empty, never NULL, without any.';

CREATE OR REPLACE FUNCTION cdp_internal.customer_places(root bigint) RETURNS TABLE (home_id bigint, moved_id bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  WITH under AS MATERIALIZED (SELECT u.id FROM cdp_internal.customers_under(root) AS u (id))
  SELECT u.id, NULL::bigint FROM under u
  UNION ALL
  SELECT i.customer_id, o.identifier_id
  FROM under u CROSS JOIN LATERAL (SELECT * FROM cdp_data.identifier_override o WHERE o.customer_id = u.id OFFSET 0) o
    JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.customer_places(bigint) IS
'Where the facts of a root stand: home customers whose identifiers without an override are his (moved_id NULL), and identifiers that an override moved to him, each with its home. No row for an unknown customer.';

CREATE OR REPLACE FUNCTION cdp_internal.profile_rows(roots bigint[], root_from bigint DEFAULT NULL, root_to bigint DEFAULT NULL)
RETURNS TABLE (customer_id bigint, doc jsonb, first_seen timestamptz, last_seen timestamptz, touches bigint, conversions bigint, orders bigint,
  refunds bigint, revenue numeric, average_order numeric, unrated bigint, first_channel_id integer, last_channel_id integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_hashagg = off
AS $$
DECLARE
  kinds record;
  base text := (SELECT s.currency FROM cdp_data.setting s);
  few text := '';
  said text;
  touch text;
  origins text := 'SELECT c.origin_id, c.channel_id FROM cdp_bi.origin_channel c';
BEGIN
  SELECT array_agg(k.kind_id) FILTER (WHERE k.is_touch) AS touch, array_agg(k.kind_id) FILTER (WHERE k.is_conversion) AS conversion,
    array_agg(k.kind_id) FILTER (WHERE k.name IN ('refund', 'chargeback')) AS refund
  INTO kinds FROM cdp_data.touch_kind_all k;
  IF roots IS NOT NULL THEN
    -- By index: the homes under each root, and the homes of identifiers that were moved there.
    few := $sql$
      spot AS MATERIALIZED (
        SELECT c.customer_id AS root, p.home_id AS home, p.moved_id AS moved
        FROM cdp_data.customer c CROSS JOIN LATERAL cdp_internal.customer_places(c.customer_id) p
        WHERE c.customer_id = ANY ($1) AND c.parent_id = c.customer_id
      ), $sql$;
    said := $sql$
      SELECT s.root, v.* FROM spot s CROSS JOIN LATERAL (SELECT * FROM cdp_data.attribute_value_now v WHERE v.customer_id = s.home OFFSET 0) v
      WHERE CASE WHEN s.moved IS NULL THEN NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = v.identifier_id) ELSE v.identifier_id = s.moved END$sql$;
    touch := $sql$
      SELECT s.root, t.* FROM spot s CROSS JOIN LATERAL (SELECT * FROM cdp_data.touchpoint t WHERE t.customer_id = s.home OFFSET 0) t
      WHERE CASE WHEN s.moved IS NULL THEN NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = t.identifier_id) ELSE t.identifier_id = s.moved END$sql$;
    -- Rules are matched for the origins of these customers only, not for all that there are, and once for each.
    origins := $sql$
      SELECT o.id AS origin_id, c.channel_id
      FROM (SELECT t.first_origin AS id FROM counted t UNION SELECT t.last_origin FROM counted t) o
        CROSS JOIN LATERAL (SELECT c.channel_id FROM cdp_bi.origin_channel c WHERE c.origin_id = o.id OFFSET 0) c$sql$;
  ELSE
    said := $sql$
      SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), v.customer_id, v.identifier_id) AS root, v.*
      FROM cdp_data.attribute_value_now v$sql$;
    touch := $sql$
      SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), t.customer_id, t.identifier_id) AS root, t.*
      FROM cdp_data.touchpoint t$sql$;
    IF root_from IS NOT NULL THEN
      roots := cdp_internal.profile_strays(root_from, root_to);
      said := format('SELECT * FROM (%s WHERE v.customer_id BETWEEN $2 AND $3 OR v.customer_id = ANY ($1)) v WHERE v.root BETWEEN $2 AND $3', said);
      touch := format('SELECT * FROM (%s WHERE t.customer_id BETWEEN $2 AND $3 OR t.customer_id = ANY ($1)) t WHERE t.root BETWEEN $2 AND $3', touch);
    END IF;
  END IF;
  RETURN QUERY EXECUTE format($sql$
    WITH %s attribute AS MATERIALIZED (
      SELECT a.attribute_id, a.name, CASE WHEN a.encrypted THEN 1 ELSE array_position(cdp_internal.attribute_types(), a.data_type) END AS data_type,
        array_position(cdp_internal.attribute_strategies(), a.strategy) AS strategy, a.source_order
      FROM cdp_data.attribute_all a
    ), golden AS (
      SELECT v.root, cdp_internal.survivors(a.attribute_id, a.name, a.data_type, a.strategy,
        CASE WHEN a.source_order IS NULL THEN 0
          ELSE coalesce(array_position(a.source_order, (SELECT s.name FROM cdp_data.source s WHERE s.source_id = v.source_id)), 1000000) END,
        v.value, v.first_at, v.last_at, v.verified, v.customer_id, v.identifier_id, v.source_id, v.times) AS doc
      FROM (%s) v JOIN attribute a ON a.attribute_id = v.attribute_id
      GROUP BY v.root
    ), counted AS (
      SELECT t.root, min(t.occurred_at) AS first_seen, max(t.occurred_at) AS last_seen, count(*) FILTER (WHERE t.is_touch) AS touches,
        count(*) FILTER (WHERE t.is_conversion AND NOT t.is_refund) AS conversions,
        count(*) FILTER (WHERE t.is_conversion AND NOT t.is_refund AND t.value > 0) AS orders,
        count(*) FILTER (WHERE t.is_refund) AS refunds,
        coalesce(round(sum(t.money), 6), 0) AS revenue,
        round(avg(t.money) FILTER (WHERE NOT t.is_refund AND t.value > 0), 6) AS average_order,
        count(*) FILTER (WHERE t.is_conversion AND t.value <> 0 AND t.money IS NULL) AS unrated,
        cdp_internal.first_origin(t.occurred_at, t.touchpoint_id, CASE WHEN t.is_touch THEN t.origin_id END) AS first_origin,
        cdp_internal.last_origin(t.occurred_at, t.touchpoint_id, CASE WHEN t.is_touch THEN t.origin_id END) AS last_origin
      FROM (
        SELECT t.root, t.occurred_at, t.touchpoint_id, t.origin_id, k.is_touch, k.is_conversion, r.is_refund, t.value,
          CASE WHEN k.is_conversion THEN CASE WHEN t.kind_id = ANY ($4) THEN -abs(t.value) ELSE t.value END
            * CASE WHEN t.currency IS NULL OR t.currency = $5 THEN 1
                ELSE (SELECT c.rate FROM cdp_data.currency_rate c WHERE c.currency = t.currency AND c.base = $5
                  AND c.valid_from <= (t.occurred_at AT TIME ZONE 'UTC')::date ORDER BY c.valid_from DESC LIMIT 1) END END AS money
        FROM (%s) t
          CROSS JOIN LATERAL (SELECT t.kind_id = ANY ($6) AS is_touch, t.kind_id = ANY ($7) AS is_conversion OFFSET 0) k
          CROSS JOIN LATERAL (SELECT k.is_conversion AND (t.kind_id = ANY ($4) OR coalesce(t.value, 0) < 0 OR t.refers_to IS NOT NULL) AS is_refund OFFSET 0) r
        WHERE t.flags & 3 = 0) t
      GROUP BY t.root
    ), channel AS MATERIALIZED (
      %s
    )
    SELECT c.customer_id, CASE WHEN g.doc ? 'custom' THEN cdp_internal.apply_custom(g.doc) ELSE g.doc END, t.first_seen, t.last_seen, coalesce(t.touches, 0),
      coalesce(t.conversions, 0), coalesce(t.orders, 0), coalesce(t.refunds, 0), coalesce(t.revenue, 0), t.average_order, coalesce(t.unrated, 0),
      f.channel_id, e.channel_id
    FROM golden g FULL JOIN counted t ON t.root = g.root
      JOIN cdp_data.customer c ON c.customer_id = coalesce(g.root, t.root) AND c.parent_id = c.customer_id
      LEFT JOIN channel f ON f.origin_id = t.first_origin LEFT JOIN channel e ON e.origin_id = t.last_origin
    WHERE g.doc IS NOT NULL OR t.root IS NOT NULL$sql$,
    few, said, touch, origins)
  USING roots, root_from, root_to, coalesce(kinds.refund, '{}'), base, coalesce(kinds.touch, '{}'), coalesce(kinds.conversion, '{}');
END
$$;
COMMENT ON FUNCTION cdp_internal.profile_rows(bigint[], bigint, bigint) IS
'The profiles of these roots, of a range of root ids (roots NULL), or of everybody (all NULL), computed from the facts: doc as cdp_internal.survivors() gives it (NULL: no attribute), and the figures of cdp_data.profile. No row for an id that is no root, or of whom neither an attribute nor a touchpoint is known. Reads only; works on a standby. The answer does not depend on the road.';

CREATE OR REPLACE FUNCTION cdp_internal.profile_store(roots bigint[], root_from bigint, root_to bigint, OUT written bigint, OUT removed bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  names text;
  picked text;
  typed text[];
  levels constant text[] := '{internal,personal,sensitive}';
  personal text[];
  internal text[];
  figures text := 'first_seen, last_seen, touches, conversions, orders, refunds, revenue, average_order, unrated, first_channel_id, last_channel_id';
BEGIN
  -- A built-in attribute whose type was changed, or that is encrypted or more sensitive than its column, stands among the others.
  SELECT string_agg(format('%I', b.name), ', ' ORDER BY b.attribute_id),
    string_agg(CASE
      WHEN a.name IS NULL THEN format('NULL::%s', t.sql_type)
      WHEN b.data_type = 'list' THEN format('CASE WHEN x.v ? %L THEN ARRAY(SELECT jsonb_array_elements_text(x.v -> %1$L)) END', b.name)
      WHEN b.data_type = 'text' THEN format('x.v ->> %L', b.name)
      ELSE format('(x.v ->> %L)::%s', b.name, t.sql_type) END, ', ' ORDER BY b.attribute_id),
    array_agg(a.name) FILTER (WHERE a.name IS NOT NULL)
  INTO names, picked, typed
  FROM cdp.attribute_builtin() b
    CROSS JOIN LATERAL (SELECT CASE b.data_type WHEN 'timestamp' THEN 'timestamptz' WHEN 'list' THEN 'text[]' ELSE b.data_type END AS sql_type) t
    LEFT JOIN cdp_data.attribute_all a ON a.name = b.name AND a.data_type = b.data_type AND NOT a.encrypted
      AND array_position(levels, a.sensitivity) <= array_position(levels, b.sensitivity);
  SELECT coalesce(array_agg(a.name) FILTER (WHERE a.sensitivity <> 'internal'), '{}'), coalesce(array_agg(a.name) FILTER (WHERE a.sensitivity = 'internal'), '{}')
  INTO personal, internal FROM cdp_data.attribute_all a;
  EXECUTE format($sql$
    WITH new AS MATERIALIZED (
      SELECT x.customer_id, %s, x.v - $4 - $5 AS attributes, x.v - $4 - $6 AS personal_attributes, x.p AS provenance, %s
      FROM (SELECT r.*, coalesce(r.doc -> 'values', '{}') AS v, coalesce(r.doc -> 'provenance', '{}') AS p FROM cdp_internal.profile_rows($1, $2, $3) r) x
    ), gone AS (
      DELETE FROM cdp_data.profile p
      WHERE %s AND NOT EXISTS (SELECT FROM new n WHERE n.customer_id = p.customer_id)
      RETURNING 1
    ), kept AS (
      INSERT INTO cdp_data.profile AS p (customer_id, %s, attributes, personal_attributes, provenance, %s)
      SELECT * FROM new n ORDER BY n.customer_id
      ON CONFLICT ON CONSTRAINT profile_pkey DO UPDATE
      SET (%4$s, attributes, personal_attributes, provenance, %5$s, refreshed_at) = ROW (%s, now())
      WHERE (%s) IS DISTINCT FROM (%6$s)
      RETURNING 1
    )
    SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM gone)$sql$,
    picked, figures,
    CASE WHEN roots IS NOT NULL THEN 'p.customer_id = ANY ($1)' WHEN root_from IS NOT NULL THEN 'p.customer_id BETWEEN $2 AND $3' ELSE 'true' END,
    names, figures,
    (SELECT string_agg('excluded.' || btrim(n), ', ') FROM string_to_table(names || ', attributes, personal_attributes, provenance, ' || figures, ',') n),
    (SELECT string_agg('p.' || btrim(n), ', ') FROM string_to_table(names || ', attributes, personal_attributes, provenance, ' || figures, ',') n))
  INTO written, removed USING roots, root_from, root_to, typed, personal, internal;
END
$$;
COMMENT ON FUNCTION cdp_internal.profile_store(bigint[], bigint, bigint) IS
'Writes the profiles of these ids (roots, and ids that were roots before), of a range of root ids, or of everybody, where they differ from what is stored, and removes those that are no more. Returns how many of each.';

CREATE OR REPLACE FUNCTION cdp_internal.profile_stale() RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s cdp_data.profile_state;
  c cdp_data.feed_cursor;
  basis jsonb := cdp_internal.profile_basis();
BEGIN
  SELECT * INTO s FROM cdp_data.profile_state;
  SELECT * INTO c FROM cdp_data.feed_cursor f WHERE f.consumer = 'profile';
  RETURN CASE
    WHEN s.basis IS NULL THEN 'profiles were never made'
    WHEN c.consumer IS NULL THEN 'the place in the change feed is lost'
    WHEN c.system_identifier <> cdp_internal.system_identifier() THEN 'the database was restored on another cluster'
    WHEN EXISTS (SELECT FROM cdp_data.change_feed f WHERE f.customer_id IS NULL AND f.xid >= pg_snapshot_xmin(c.snapshot) AND NOT pg_visible_in_snapshot(f.xid, c.snapshot))
      THEN 'the change feed says that everybody changed'
    ELSE (SELECT string_agg(k, ', ' ORDER BY k) || ' changed' FROM jsonb_object_keys(s.basis || basis) k
      WHERE s.basis -> k IS DISTINCT FROM basis -> k)
  END;
END
$$;
COMMENT ON FUNCTION cdp_internal.profile_stale() IS
'Why all profiles have to be made anew, in words; NULL when they need not.';

CREATE OR REPLACE FUNCTION cdp_internal.profile_changed() RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  seen pg_snapshot := (SELECT c.snapshot FROM cdp_data.feed_cursor c WHERE c.consumer = 'profile');
  ids bigint[];
BEGIN
  ids := ARRAY(SELECT DISTINCT f.customer_id FROM cdp_data.change_feed f
    WHERE f.xid >= pg_snapshot_xmin(seen) AND NOT pg_visible_in_snapshot(f.xid, seen) AND f.customer_id IS NOT NULL);
  -- The feed names homes; their moved identifiers belong to others.
  IF cardinality(ids) > 0 AND EXISTS (SELECT FROM cdp_data.identifier_override) THEN
    ids := ids || ARRAY(SELECT DISTINCT o.customer_id FROM cdp_data.identifier_override o JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id
      WHERE i.customer_id = ANY (ids));
  END IF;
  IF cardinality(ids) > 1000 THEN
    RETURN ARRAY(SELECT u.id FROM (
      SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, i, NULL) AS id FROM unnest(ids) i UNION SELECT i FROM unnest(ids) i) u ORDER BY u.id);
  END IF;
  RETURN ARRAY(SELECT u.id FROM (SELECT cdp_internal.root_of(i) AS id FROM unnest(ids) i UNION SELECT i FROM unnest(ids) i) u WHERE u.id IS NOT NULL ORDER BY u.id);
END
$$;
COMMENT ON FUNCTION cdp_internal.profile_changed() IS
'Customers (ids of the change feed and their roots of now) whose profile may have changed since the last refresh.';

CREATE OR REPLACE FUNCTION cdp.refresh_profiles(everybody boolean DEFAULT false,
  OUT started_over text, OUT customers bigint, OUT written bigint, OUT removed bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  stands_on jsonb;
  upto pg_snapshot;
  ids bigint[];
  part record;
  highest bigint;
  slice constant bigint := 2000000; -- a pass in pieces, so that its temporary files stay within some gigabytes
  first bigint;
  work_mem text := current_setting('work_mem');
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM set_config('work_mem', cdp_internal.batch_memory(), true);
  written := 0;
  removed := 0;
  -- Two refreshes wait for each other.
  PERFORM FROM cdp_data.profile_state FOR UPDATE;
  -- What profiles stand on is read before they are made: what changes meanwhile must differ from it later.
  stands_on := cdp_internal.profile_basis();
  upto := pg_current_snapshot();
  started_over := CASE WHEN everybody THEN 'asked for' ELSE cdp_internal.profile_stale() END;
  ids := CASE WHEN started_over IS NULL THEN cdp_internal.profile_changed() END;
  customers := cardinality(ids);
  IF ids IS NULL OR customers > greatest(10000, (SELECT k.reltuples FROM pg_class k WHERE k.oid = 'cdp_data.profile'::regclass) / 4) THEN
    customers := (SELECT count(*) FROM cdp_data.customer c WHERE c.parent_id = c.customer_id);
    highest := (SELECT coalesce(max(c.customer_id), 0) FROM cdp_data.customer c);
    IF highest <= slice THEN
      SELECT * INTO written, removed FROM cdp_internal.profile_store(NULL, NULL, NULL);
    ELSE
      FOR first IN SELECT g FROM generate_series(1, highest, slice) g LOOP -- an integer loop ends at 2^31
        part := cdp_internal.profile_store(NULL, first, first + slice - 1);
        written := written + part.written;
        removed := removed + part.removed;
      END LOOP;
      DELETE FROM cdp_data.profile p WHERE p.customer_id > highest;
    END IF;
  ELSE
    FOR low IN 1 .. customers BY 5000 LOOP
      part := cdp_internal.profile_store(ids[low : low + 4999], NULL, NULL);
      written := written + part.written;
      removed := removed + part.removed;
    END LOOP;
  END IF;
  UPDATE cdp_data.profile_state s SET basis = stands_on, refreshed_at = now(),
    built_at = CASE WHEN started_over IS NULL THEN s.built_at ELSE now() END;
  PERFORM cdp.feed_advance('profile', upto);
  PERFORM set_config('work_mem', work_mem, true);
END
$$;
COMMENT ON FUNCTION cdp.refresh_profiles(boolean) IS
'Brings cdp_data.profile up to date: reads the change feed and the facts of changed customers only. everybody => true passes over all. started_over says why all profiles were made anew (first time, restored elsewhere, changed attributes, kinds, rates, currency or channel rules), NULL when they were not; customers how many were looked at, written and removed how many rows changed. Two refreshes wait for each other. Needs the rights of the tables'' owner; the job list runs it every 10 minutes. Errors: 38000 a custom aggregate failed, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.attributes_of_load(load_id bigint, cause text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
  repeats bigint[] := ARRAY(SELECT cdp_internal.load_repeats(attributes_of_load.load_id));
BEGIN
  INSERT INTO cdp_data.change_feed (customer_id, cause)
  SELECT v.customer_id, attributes_of_load.cause FROM cdp_data.attribute_value v WHERE v.load_id = attributes_of_load.load_id
  UNION
  SELECT v.customer_id, attributes_of_load.cause
  FROM unnest(repeats) AS r (id) JOIN cdp_data.record_version w ON w.repetition_id = r.id JOIN cdp_data.attribute_value v ON v.version_id = w.version_id;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.attributes_of_load(bigint, text) IS
'Tells the change feed about every customer of whom a load said something; to be called when the load was reverted or put in again, which changes what is in force without a write to attribute_value. cause: revert or retry. Returns the feed rows written.';

CREATE OR REPLACE FUNCTION cdp_internal.load_attributes(load_id bigint, source_id integer, fresh boolean DEFAULT false, time_zone text DEFAULT NULL,
  OUT written bigint, OUT customers bigint, OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  zone text := coalesce(time_zone, (SELECT s.timezone FROM cdp_data.source s WHERE s.source_id = load_attributes.source_id));
BEGIN
  -- Each spelling of a value is read once.
  CREATE TEMP TABLE cdp_load_attribute_read ON COMMIT DROP AS
  SELECT g.attribute_id, g.given, g.n, CASE WHEN a.encrypted THEN cdp_internal.seal_attribute(a.attribute_id, r.value) ELSE r.value END AS value, CASE WHEN a.attribute_id IS NULL THEN 'unknown_attribute' ELSE r.code END AS code
  FROM (SELECT l.attribute_id, l.value AS given, count(*) AS n FROM pg_temp.cdp_load_attribute l WHERE l.value <> '' GROUP BY 1, 2) g
    LEFT JOIN cdp_data.attribute_all a ON a.attribute_id = g.attribute_id
    LEFT JOIN LATERAL cdp_internal.read_attribute(g.given, a.data_type, zone, a.pattern, a.aliases, a.blanks) r ON a.attribute_id IS NOT NULL;
  ANALYZE pg_temp.cdp_load_attribute_read;
  CREATE TEMP TABLE cdp_load_attribute_home (customer_id bigint, n bigint) ON COMMIT DROP;
  IF fresh THEN
    -- Nobody else knows these versions: nothing to compare with. In the order of the index.
    INSERT INTO cdp_data.attribute_value (customer_id, identifier_id, load_id, first_at, last_at, attribute_id, source_id, version_id, verified, value)
    SELECT l.customer_id, l.identifier_id, load_attributes.load_id, coalesce(l.observed_at, now()), coalesce(l.observed_at, now()), l.attribute_id,
      load_attributes.source_id, l.version_id, coalesce(l.verified, false), r.value
    FROM pg_temp.cdp_load_attribute l JOIN pg_temp.cdp_load_attribute_read r ON r.attribute_id = l.attribute_id AND r.given = l.value
    WHERE r.value IS NOT NULL AND r.code IS NULL
    ORDER BY l.identifier_id, l.attribute_id;
    INSERT INTO pg_temp.cdp_load_attribute_home
    SELECT l.customer_id, count(*) FROM pg_temp.cdp_load_attribute l JOIN pg_temp.cdp_load_attribute_read r ON r.attribute_id = l.attribute_id AND r.given = l.value
    WHERE r.value IS NOT NULL AND r.code IS NULL GROUP BY l.customer_id;
  ELSE
    WITH kept AS (
      INSERT INTO cdp_data.attribute_value AS v (customer_id, identifier_id, load_id, first_at, last_at, attribute_id, source_id, version_id, verified, value)
      SELECT min(l.customer_id), l.identifier_id, load_attributes.load_id, min(coalesce(l.observed_at, now())), max(coalesce(l.observed_at, now())), l.attribute_id,
        load_attributes.source_id, l.version_id, coalesce(bool_or(l.verified), false), r.value
      FROM pg_temp.cdp_load_attribute l JOIN pg_temp.cdp_load_attribute_read r ON r.attribute_id = l.attribute_id AND r.given = l.value
      WHERE r.value IS NOT NULL AND r.code IS NULL
      GROUP BY l.identifier_id, l.attribute_id, l.version_id, r.value
      ORDER BY l.identifier_id, l.attribute_id, l.version_id, r.value COLLATE "C"
      ON CONFLICT (identifier_id, attribute_id, source_id, load_id, version_id, substr(sha256(replace(value, '\', '\\')::bytea), 1, 16)) DO UPDATE
      SET first_at = least(v.first_at, excluded.first_at), last_at = greatest(v.last_at, excluded.last_at), verified = v.verified OR excluded.verified
      WHERE excluded.first_at < v.first_at OR excluded.last_at > v.last_at OR (excluded.verified AND NOT v.verified)
      RETURNING v.customer_id
    )
    INSERT INTO pg_temp.cdp_load_attribute_home SELECT k.customer_id, count(*) FROM kept k GROUP BY k.customer_id;
  END IF;
  INSERT INTO cdp_data.change_feed (customer_id, cause) SELECT h.customer_id, 'attribute' FROM pg_temp.cdp_load_attribute_home h;
  SELECT coalesce(sum(h.n), 0), count(*) INTO written, customers FROM pg_temp.cdp_load_attribute_home h;
  refused := (
    SELECT coalesce(jsonb_agg(jsonb_build_object('attribute', x.name, 'code', x.code, 'rows', x.n) ORDER BY x.name, x.code), '[]')
    FROM (SELECT a.name, r.code, sum(r.n) AS n FROM pg_temp.cdp_load_attribute_read r LEFT JOIN cdp_data.attribute_all a ON a.attribute_id = r.attribute_id
          WHERE r.code IS NOT NULL GROUP BY 1, 2) x);
  DROP TABLE pg_temp.cdp_load_attribute_read, pg_temp.cdp_load_attribute_home;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_attributes(bigint, integer, boolean, text) IS
'Stores what a load says about customers, set by set, from pg_temp.cdp_load_attribute (identifier_id, customer_id, attribute_id, value, observed_at, verified, version_id): customer_id is the home of the identifier, value the text as it came (JSON for lists and json), observed_at NULL means now, version_id 0 a record that is not kept as such. fresh: each attribute comes once for each version, and the versions were made in this load. time_zone: of moments without one, NULL that of the source. Same result as attributes_write() row by row. written counts values that are new or whose times moved, customers their homes, refused [{attribute, code, rows}] what could not be read. Writes the change feed.';
