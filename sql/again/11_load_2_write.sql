-- Core room, loading: from the rows that were read into the tables.
-- Each step is one or two statements over all rows. Locks are taken in one order by every load (source, partitions,
-- origins, identifiers, touchpoints), and within a table in key order, so that loads of several sources do not deadlock.

CREATE OR REPLACE FUNCTION cdp.add_source(name text, timezone text DEFAULT NULL, kind text DEFAULT 'batch', description text DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  zone text;
  id integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  zone := coalesce(add_source.timezone, (SELECT t.timezone FROM cdp_data.setting t));
  PERFORM cdp_internal.require_zone(zone);
  INSERT INTO cdp_data.source AS s (name, timezone, kind, description)
  VALUES (add_source.name, zone, add_source.kind, add_source.description)
  ON CONFLICT ON CONSTRAINT source_name_key DO UPDATE
  SET timezone = CASE WHEN add_source.timezone IS NULL THEN s.timezone ELSE zone END,
    kind = excluded.kind, description = coalesce(excluded.description, s.description)
  RETURNING s.source_id INTO id;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.add_source(text, text, text, text) IS
'Makes a source, or changes the one of that name: a shop, an app, an advertising account. timezone is that of its times without an offset and of its days of spend; NULL means the one of the reports, or keeps what is there. Returns source_id. Errors: 22023 unknown time zone, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.hold_source(src integer) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- The row is written, not only locked: a load that repeats another one leaves no other trace that a transaction on an
  -- older snapshot would meet.
  UPDATE cdp_data.source s SET name = s.name WHERE s.source_id = src;
END
$$;
COMMENT ON FUNCTION cdp_internal.hold_source(integer) IS
'Has loads, reverts and retries of one source stand in line until the transaction ends. Error 40001 in REPEATABLE READ and SERIALIZABLE when there was one since the snapshot.';

CREATE OR REPLACE FUNCTION cdp_internal.load_begin(source text, kind text, note text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  src integer;
  id bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.guard_batch();
  SELECT s.source_id INTO src FROM cdp_data.source s WHERE s.name = load_begin.source;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown source "%"', load_begin.source
      USING ERRCODE = 'invalid_parameter_value',
        DETAIL = format('Known sources: %s.', coalesce((SELECT string_agg(quote_literal(s.name), ', ' ORDER BY s.name)
          FROM (SELECT s.name FROM cdp_data.source s ORDER BY s.name LIMIT 10) s), 'none')),
        HINT = format('A new one is made with: SELECT cdp.add_source(%L);', load_begin.source);
  END IF;
  -- Loads of one source stand in line: the later one must see what the earlier one wrote.
  PERFORM cdp_internal.hold_source(src);
  INSERT INTO cdp_data.load (source_id, kind, note) VALUES (src, load_begin.kind, load_begin.note)
  RETURNING load_id INTO id;
  -- One row a load; its counts are in the ledger.
  PERFORM cdp_data.audit_write('load', format('load %s', id), NULL, jsonb_build_object('source_id', src, 'kind', load_begin.kind));
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_begin(text, text, text) IS
'Locks the source until the transaction ends and opens a ledger row. Returns load_id. Errors: 22023 unknown source, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.load_keep_arguments(load bigint, time_zone text, identifier_type text, kind text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE cdp_data.load l
  SET arguments = jsonb_strip_nulls(jsonb_build_object('time_zone', load_keep_arguments.time_zone, 'identifier_type', load_keep_arguments.identifier_type, 'kind', load_keep_arguments.kind))
  WHERE l.load_id = load AND num_nonnulls(load_keep_arguments.time_zone, load_keep_arguments.identifier_type, load_keep_arguments.kind) > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_keep_arguments(bigint, text, text, text) IS
'Notes in the ledger row of a load what rows without a zone, identifier type or kind of their own were read with, for cdp.retry_quarantine(). NULL: nothing was given.';

CREATE OR REPLACE FUNCTION cdp_internal.batch_memory() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN greatest(pg_size_bytes(current_setting('work_mem')), pg_size_bytes(current_setting('maintenance_work_mem'))) / 1024 || 'kB';
COMMENT ON FUNCTION cdp_internal.batch_memory() IS
'work_mem for a batch, which is maintenance: one at a time, and it sorts and hashes whole tables. The larger of work_mem and maintenance_work_mem.';

CREATE OR REPLACE FUNCTION cdp_internal.drop_temp_tables(names text[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY names LOOP
    IF to_regclass('pg_temp.' || quote_ident(name)) IS NOT NULL THEN
      EXECUTE format('DROP TABLE pg_temp.%I', name);
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.drop_temp_tables(text[]) IS
'Drops those temporary tables of the session that are there. Error 22004: names is NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.drop_load_tables() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.drop_temp_tables(ARRAY['cdp_load_row', 'cdp_load_group', 'cdp_load_person', 'cdp_load_origin', 'cdp_load_key',
    'cdp_load_ref', 'cdp_load_old', 'cdp_load_move', 'cdp_load_version', 'cdp_load_seen', 'cdp_load_end']);
END
$$;
COMMENT ON FUNCTION cdp_internal.drop_load_tables() IS
'Drops the temporary tables of a load, of which a failed or an earlier one may have left some.';

CREATE OR REPLACE FUNCTION cdp_internal.load_settle_repeats() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- The last row of a key counts. An equal earlier one is a mere repetition, a different one is refused visibly.
  UPDATE pg_temp.cdp_load_row r
  SET code = CASE WHEN (r.at, r.origin, r.type_id, r.kind_id, r.identifier) = (w.at, w.origin, w.type_id, w.kind_id, w.identifier)
      AND (r.flags, r.value, r.currency, r.properties, r.refers_key)
        IS NOT DISTINCT FROM (w.flags, w.value, w.currency, w.properties, w.refers_key)
    THEN 'repeated' ELSE 'superseded' END
  FROM (
    SELECT r.row_no, max(r.row_no) OVER (PARTITION BY r.source_key) AS winner
    FROM pg_temp.cdp_load_row r
    WHERE r.code IS NULL AND r.source_key IN (SELECT d.source_key FROM pg_temp.cdp_load_row d WHERE d.repeats)
  ) x JOIN pg_temp.cdp_load_row w ON w.row_no = x.winner
  WHERE r.row_no = x.row_no AND x.row_no <> x.winner;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_settle_repeats() IS
'Marks rows of the running load whose source_key comes again further down: repeated when equal in content, else superseded.';

CREATE OR REPLACE FUNCTION cdp_internal.load_group_people() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  keys integer[] := cdp_internal.suppression_keys();
BEGIN
  -- Refused rows, too: their original must not reach the quarantine.
  IF keys <> '{}' THEN
    UPDATE pg_temp.cdp_load_row r SET code = 'suppressed'
    FROM (SELECT DISTINCT p.type_id, p.identifier FROM pg_temp.cdp_load_row p) x
      CROSS JOIN LATERAL unnest(cdp_internal.suppression_digests(x.type_id, x.identifier, keys)) AS d (digest)
      JOIN cdp_data.suppression s ON s.digest = d.digest
    WHERE (r.type_id, r.identifier) = (x.type_id, x.identifier);
  END IF;
  CREATE TEMP TABLE cdp_load_group AS
  SELECT r.type_id, r.identifier, min(r.at) AS first_at, max(r.at) AS last_at
  FROM pg_temp.cdp_load_row r WHERE r.code IS NULL GROUP BY 1, 2;
  ANALYZE pg_temp.cdp_load_group;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_group_people() IS
'Marks rows of suppressed identifiers, also those refused for another reason, and collects the other identifiers of the running load with their first and last time.';

CREATE OR REPLACE FUNCTION cdp_internal.load_quarantine(load bigint, src integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  trial boolean := (SELECT l.kind = 'trial' FROM cdp_data.load l WHERE l.load_id = load);
  n bigint;
BEGIN
  INSERT INTO cdp_data.quarantine (load_id, source_id, row_no, original, code, reason)
  SELECT load, src, r.row_no,
    -- A trial takes nothing in, so nothing of its rows waits. What was read well is not kept as it came; it is put together again.
    CASE WHEN r.code = 'suppressed' OR trial THEN '{}' ELSE coalesce(r.original, jsonb_strip_nulls(jsonb_build_object(
      'source_key', r.source_key, 'occurred_at', r.at, 'identifier_type', t.name, 'identifier', r.identifier, 'kind', k.name,
      'value', r.value, 'currency', CASE WHEN r.flags < 0 THEN NULL ELSE r.currency END, 'properties', r.properties, 'refers_to', r.refers_key, 'flags', r.flags & ~cdp_internal.follows_flag()))) END,
    r.code, x.reason
  FROM pg_temp.cdp_load_row r JOIN cdp_internal.load_reasons() x USING (code)
    LEFT JOIN cdp_data.identifier_type_all t ON t.type_id = r.type_id
    LEFT JOIN cdp_data.touch_kind_all k ON k.kind_id = r.kind_id
  ORDER BY r.row_no;
  GET DIAGNOSTICS n = ROW_COUNT;
  PERFORM cdp_internal.count_suppressed(src, (SELECT count(*) FROM pg_temp.cdp_load_row r WHERE r.code = 'suppressed'));
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_quarantine(bigint, integer) IS
'Writes the refused rows of the running load to quarantine; of suppressed people nothing but the count is kept, of the rows of a trial their numbers and reasons. Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.load_origins() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  CREATE TEMP TABLE cdp_load_origin AS
  SELECT x.hash, x.part, cdp_internal.origin_digest(x.part[1], x.part[2], x.part[3], x.part[4], x.part[5], x.part[6]) AS digest,
    0 AS origin_id, NULL::integer AS campaign_id
  FROM (
    SELECT DISTINCT ON (r.origin) r.origin AS hash,
      ARRAY(SELECT coalesce(u, '') FROM unnest(r.origin_part) WITH ORDINALITY a (u, n) ORDER BY n) AS part
    FROM pg_temp.cdp_load_row r WHERE r.origin_part IS NOT NULL
    ORDER BY r.origin) x;
  INSERT INTO cdp_data.origin (source, medium, campaign, referrer_host, add_way, qr_scene)
  SELECT l.part[1], l.part[2], l.part[3], l.part[4], l.part[5], l.part[6]
  FROM pg_temp.cdp_load_origin l
  WHERE NOT EXISTS (SELECT FROM cdp_data.origin o WHERE o.digest = l.digest)
  ORDER BY l.digest
  ON CONFLICT DO NOTHING;
  UPDATE pg_temp.cdp_load_origin l
  SET origin_id = o.origin_id, campaign_id = c.campaign_id
  FROM cdp_data.origin o LEFT JOIN cdp_data.campaign c ON c.name = o.campaign
  WHERE o.digest = l.digest;
  ANALYZE pg_temp.cdp_load_origin (hash);
END
$$;
COMMENT ON FUNCTION cdp_internal.load_origins() IS
'Upserts the origins of the running load in the order of their digests, and links those whose campaign text is the name of a campaign.';

CREATE OR REPLACE FUNCTION cdp_internal.load_people() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  fresh bigint;
  groups bigint;
BEGIN
  WITH made AS (
    INSERT INTO cdp_data.identifier (type_id, value, customer_id, first_seen, last_seen)
    SELECT x.type_id, x.identifier, nextval('cdp_data.customer_customer_id_seq'), x.first_at, x.last_at
    FROM (
      SELECT g.* FROM pg_temp.cdp_load_group g
      WHERE NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE (i.type_id, i.value) = (g.type_id, g.identifier))
      ORDER BY g.type_id, g.identifier COLLATE "C"
      OFFSET 0) x
    ON CONFLICT (type_id, value) DO NOTHING
    RETURNING customer_id
  )
  INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT m.customer_id, m.customer_id FROM made m;
  GET DIAGNOSTICS fresh = ROW_COUNT;
  CREATE TEMP TABLE cdp_load_person AS
  SELECT g.type_id, g.identifier, i.identifier_id, i.customer_id, g.first_at, g.last_at
  FROM pg_temp.cdp_load_group g JOIN cdp_data.identifier i ON (i.type_id, i.value) = (g.type_id, g.identifier);
  GET DIAGNOSTICS groups = ROW_COUNT;
  ANALYZE pg_temp.cdp_load_person;
  IF fresh < groups THEN
    PERFORM FROM cdp_data.identifier i JOIN pg_temp.cdp_load_person p USING (identifier_id)
    WHERE p.first_at < coalesce(i.first_seen, 'infinity') OR p.last_at > coalesce(i.last_seen, '-infinity')
    ORDER BY i.type_id, i.value FOR NO KEY UPDATE OF i;
    UPDATE cdp_data.identifier i
    SET first_seen = least(i.first_seen, p.first_at), last_seen = greatest(i.last_seen, p.last_at)
    FROM pg_temp.cdp_load_person p
    WHERE i.identifier_id = p.identifier_id
      AND (p.first_at < coalesce(i.first_seen, 'infinity') OR p.last_at > coalesce(i.last_seen, '-infinity'));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_people() IS
'Upserts the identifiers of the running load in the order of type and value; each new one gets a new customer. Keeps first_seen and last_seen.';

CREATE OR REPLACE FUNCTION cdp_internal.load_match(src integer) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  CREATE TEMP TABLE cdp_load_key (row_no bigint, touchpoint_id bigint, customer_id bigint, occurred_at timestamptz);
  IF EXISTS (SELECT FROM cdp_data.touchpoint_key k WHERE k.source_id = src) THEN
    INSERT INTO pg_temp.cdp_load_key
    SELECT r.row_no, k.touchpoint_id, k.customer_id, k.occurred_at
    FROM pg_temp.cdp_load_row r JOIN cdp_data.touchpoint_key k ON k.source_id = src AND k.source_key = r.source_key
    WHERE r.code IS NULL;
    ANALYZE pg_temp.cdp_load_key;
  END IF;
  -- A record that was here before, or that somebody referred to, takes the id that it has.
  IF EXISTS (SELECT FROM cdp_data.touchpoint_retracted t WHERE t.source_id = src)
    OR EXISTS (SELECT FROM cdp_data.touchpoint_awaited a WHERE a.source_id = src) THEN
    UPDATE pg_temp.cdp_load_row r SET touchpoint_id = x.touchpoint_id
    FROM (
      SELECT n.row_no, t.touchpoint_id FROM pg_temp.cdp_load_row n
        JOIN cdp_data.touchpoint_retracted t ON t.source_id = src AND t.source_key = n.source_key WHERE n.code IS NULL
      UNION
      SELECT n.row_no, a.touchpoint_id FROM pg_temp.cdp_load_row n
        JOIN cdp_data.touchpoint_awaited a ON a.source_id = src AND a.source_key = n.source_key WHERE n.code IS NULL) x
    WHERE r.row_no = x.row_no;
  END IF;
  CREATE TEMP TABLE cdp_load_ref (row_no bigint, refers_key text, refers_to bigint, reserved boolean, owner_id bigint, follows boolean);
END
$$;
COMMENT ON FUNCTION cdp_internal.load_match(integer) IS
'Finds which rows of the running load are known records of the source, and gives returning or awaited records the id they had.';

CREATE OR REPLACE FUNCTION cdp_internal.claim_keys(src integer, keys text[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Put in and taken out again: whoever writes one of these keys waits until this transaction ends, as this one waits
  -- for whoever has written one. Otherwise a record and the first reference to it, told at once, would miss each other.
  INSERT INTO cdp_data.touchpoint_key (source_id, source_key, touchpoint_id, customer_id, occurred_at)
  SELECT src, k, 0, 0, '-infinity' FROM (SELECT DISTINCT u COLLATE "C" AS k FROM unnest(keys) u) x ORDER BY k
  ON CONFLICT ON CONSTRAINT touchpoint_key_pkey DO NOTHING;
  DELETE FROM cdp_data.touchpoint_key t WHERE t.source_id = src AND t.source_key = ANY (keys) AND t.touchpoint_id = 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.claim_keys(integer, text[]) IS
'Keeps others from writing or claiming these keys of a source until the transaction ends, and waits for those who do so now; what was committed meanwhile is seen by the next statement. Leaves no row. Error 40001: in REPEATABLE READ and SERIALIZABLE when one was written since the snapshot.';

CREATE OR REPLACE FUNCTION cdp_internal.load_references(load bigint, src integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  orphans bigint;
BEGIN
  INSERT INTO pg_temp.cdp_load_ref
  SELECT r.row_no, r.refers_key, coalesce(k.touchpoint_id, b.touchpoint_id), k.touchpoint_id IS NULL AND b.touchpoint_id IS NULL,
    coalesce(p.customer_id, k.customer_id), coalesce(r.flags < 0, false)
  FROM pg_temp.cdp_load_row r
    LEFT JOIN cdp_data.touchpoint_key k ON k.source_id = src AND k.source_key = r.refers_key
    LEFT JOIN pg_temp.cdp_load_row b ON b.source_key = r.refers_key AND b.code IS NULL
    LEFT JOIN pg_temp.cdp_load_person p ON (p.type_id, p.identifier) = (b.type_id, b.identifier)
  WHERE r.code IS NULL AND r.refers_key IS NOT NULL;
  IF EXISTS (SELECT FROM pg_temp.cdp_load_ref f WHERE f.reserved) THEN
    PERFORM cdp_internal.claim_keys(src, ARRAY(SELECT f.refers_key FROM pg_temp.cdp_load_ref f WHERE f.reserved));
    UPDATE pg_temp.cdp_load_ref f SET refers_to = k.touchpoint_id, reserved = false, owner_id = k.customer_id
    FROM cdp_data.touchpoint_key k WHERE f.reserved AND k.source_id = src AND k.source_key = f.refers_key;
  END IF;
  UPDATE pg_temp.cdp_load_ref f SET refers_to = coalesce(
    (SELECT t.touchpoint_id FROM cdp_data.touchpoint_retracted t WHERE (t.source_id, t.source_key) = (src, f.refers_key) LIMIT 1),
    (SELECT a.touchpoint_id FROM cdp_data.touchpoint_awaited a WHERE (a.source_id, a.source_key) = (src, f.refers_key) LIMIT 1))
  WHERE f.reserved;
  UPDATE pg_temp.cdp_load_ref f SET refers_to = x.id
  FROM (SELECT y.refers_key, nextval('cdp_data.touchpoint_id_seq') AS id
        FROM (SELECT DISTINCT g.refers_key FROM pg_temp.cdp_load_ref g WHERE g.refers_to IS NULL) y) x
  WHERE f.refers_to IS NULL AND f.refers_key = x.refers_key;
  INSERT INTO cdp_data.touchpoint_awaited AS a (source_id, source_key, customer_id, touchpoint_id, first_at, last_at, load_id)
  SELECT src, f.refers_key, p.customer_id, f.refers_to, min(r.at), max(r.at), load
  FROM pg_temp.cdp_load_ref f JOIN pg_temp.cdp_load_row r USING (row_no) JOIN pg_temp.cdp_load_person p USING (type_id, identifier)
  WHERE f.reserved OR f.owner_id <> p.customer_id
  GROUP BY f.refers_key, p.customer_id, f.refers_to
  ON CONFLICT ON CONSTRAINT touchpoint_awaited_pkey DO UPDATE
  SET first_at = least(a.first_at, excluded.first_at), last_at = greatest(a.last_at, excluded.last_at);
  ANALYZE pg_temp.cdp_load_ref; -- mostly empty: without that knowledge the write would be planned around it
  PERFORM cdp_internal.load_currencies(src);
  SELECT count(*) INTO orphans FROM pg_temp.cdp_load_ref f WHERE f.reserved;
  RETURN orphans;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_references(bigint, integer) IS
'Turns refers_to of the running load into touchpoint ids: of records that are there, come with this load, or were taken out; for others an id is reserved. Rows that named no currency take that of the record. Returns how many rows refer to a record that is not there.';

-- Rows that refer to a record are of its customer, as a rule. Those of another one are in touchpoint_awaited, for reports
-- of few customers must know whose conversion a refund takes back, and the change feed must tell that customer.
CREATE OR REPLACE FUNCTION cdp_internal.load_keep_references(load bigint, src integer, ids bigint[], customers bigint[], keys text[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.touchpoint_awaited AS a (source_id, source_key, customer_id, touchpoint_id, first_at, last_at, load_id)
  SELECT src, u.key, u.customer, u.id, min(t.occurred_at), max(t.occurred_at), load
  FROM unnest(ids, customers, keys) u (id, customer, key) JOIN cdp_data.touchpoint t ON t.customer_id = u.customer AND t.refers_to = u.id
  GROUP BY u.key, u.customer, u.id
  ON CONFLICT ON CONSTRAINT touchpoint_awaited_pkey DO UPDATE
  SET first_at = least(a.first_at, excluded.first_at), last_at = greatest(a.last_at, excluded.last_at);
END
$$;
COMMENT ON FUNCTION cdp_internal.load_keep_references(bigint, integer, bigint[], bigint[], text[]) IS
'Notes in touchpoint_awaited the rows that refer to records which leave the customer they share. NULL arrays do nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.load_tell_owners(src integer, cause text, refers bigint[], customers bigint[], keys text[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE cdp_data.touchpoint_awaited a SET owner_id = x.customer_id, owner_identifier_id = x.identifier_id
  FROM (
    SELECT w.source_key, w.customer_id AS referrer, t.customer_id, t.identifier_id
    FROM cdp_data.touchpoint_awaited w
      LEFT JOIN cdp_data.touchpoint_key k ON (k.source_id, k.source_key) = (w.source_id, w.source_key)
      LEFT JOIN cdp_data.touchpoint t ON (t.customer_id, t.occurred_at, t.touchpoint_id) = (k.customer_id, k.occurred_at, k.touchpoint_id)
    WHERE w.source_id = src AND (w.touchpoint_id = ANY (refers) OR w.source_key = ANY (keys))) x
  WHERE a.source_id = src AND (a.source_key, a.customer_id) = (x.source_key, x.referrer)
    AND (a.owner_id, a.owner_identifier_id) IS DISTINCT FROM (x.customer_id, x.identifier_id);
  INSERT INTO cdp_data.change_feed (customer_id, cause, occurred_from, occurred_to)
  SELECT a.owner_id, load_tell_owners.cause, min(k.occurred_at), max(k.occurred_at)
  FROM unnest(refers, customers) u (id, customer)
    JOIN cdp_data.touchpoint_awaited a ON a.source_id = src AND (a.touchpoint_id, a.customer_id) = (u.id, u.customer)
    JOIN cdp_data.touchpoint_key k ON (k.source_id, k.source_key) = (a.source_id, a.source_key)
  WHERE a.owner_id <> a.customer_id GROUP BY a.owner_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_tell_owners(integer, text, bigint[], bigint[], text[]) IS
'After rows came or went: notes whose the awaited records of these keys are now, and tells the change feed about customers whose records the rows (what they refer to, their customers) concern. NULL arrays do nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.load_correct(load bigint, src integer, OUT corrected bigint, OUT unchanged bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  CREATE TEMP TABLE cdp_load_old AS
  SELECT k.row_no, k.touchpoint_id, k.customer_id, k.occurred_at, t.load_id AS owner_load, r.source_key, p.customer_id AS new_customer, r.at AS new_at, t.refers_to,
    CASE WHEN t.flags >= 0 THEN t.currency END IS DISTINCT FROM CASE WHEN coalesce(r.flags, 0) >= 0 THEN r.currency END AS repriced,
    t.touchpoint_id IS NOT NULL AND t.occurred_at = r.at AND t.identifier_id = p.identifier_id AND t.origin_id = o.origin_id
      AND t.kind_id = r.kind_id AND t.flags = coalesce(r.flags, 0)
      AND (t.value, t.currency, t.properties, t.refers_to) IS NOT DISTINCT FROM (r.value, r.currency, r.properties, f.refers_to) AS same
  FROM pg_temp.cdp_load_key k JOIN pg_temp.cdp_load_row r USING (row_no)
    JOIN pg_temp.cdp_load_person p USING (type_id, identifier) JOIN pg_temp.cdp_load_origin o ON o.hash = r.origin
    LEFT JOIN pg_temp.cdp_load_ref f USING (row_no)
    LEFT JOIN cdp_data.touchpoint t ON (t.customer_id, t.occurred_at, t.touchpoint_id) = (k.customer_id, k.occurred_at, k.touchpoint_id);
  ANALYZE pg_temp.cdp_load_old;
  WITH gone AS (
    DELETE FROM cdp_data.touchpoint t USING pg_temp.cdp_load_old o
    WHERE NOT o.same AND (t.customer_id, t.occurred_at, t.touchpoint_id) = (o.customer_id, o.occurred_at, o.touchpoint_id)
    RETURNING t.*, o.source_key
  )
  INSERT INTO cdp_data.touchpoint_retracted (touchpoint_id, customer_id, identifier_id, occurred_at, origin_id, source_id, load_id,
    flags, kind_id, campaign_id, refers_to, value, currency, properties, source_key, retracted_by_load)
  SELECT g.touchpoint_id, g.customer_id, g.identifier_id, g.occurred_at, g.origin_id, g.source_id, g.load_id,
    g.flags, g.kind_id, g.campaign_id, g.refers_to, g.value, g.currency, g.properties, g.source_key, load
  FROM gone g;
  UPDATE cdp_data.touchpoint_key k SET customer_id = o.new_customer, occurred_at = o.new_at
  FROM pg_temp.cdp_load_old o
  WHERE NOT o.same AND k.source_id = src AND k.source_key = o.source_key;
  UPDATE pg_temp.cdp_load_row r SET touchpoint_id = o.touchpoint_id FROM pg_temp.cdp_load_old o WHERE NOT o.same AND r.row_no = o.row_no;
  PERFORM cdp_internal.load_keep_references(load, src, array_agg(o.touchpoint_id), array_agg(o.customer_id), array_agg(o.source_key))
  FROM pg_temp.cdp_load_old o WHERE o.new_customer <> o.customer_id;
  INSERT INTO cdp_data.load_confirmed (load_id, owner_load, touchpoints)
  SELECT load, x.owner_load, range_agg(x.run)
  FROM (
    SELECT y.owner_load, int8range(min(y.touchpoint_id), max(y.touchpoint_id), '[]') AS run
    FROM (SELECT o.owner_load, o.touchpoint_id, o.touchpoint_id - row_number() OVER (PARTITION BY o.owner_load ORDER BY o.touchpoint_id) AS island
          FROM pg_temp.cdp_load_old o WHERE o.same) y
    GROUP BY y.owner_load, y.island) x
  GROUP BY x.owner_load;
  SELECT count(*) FILTER (WHERE NOT o.same), count(*) FILTER (WHERE o.same) INTO corrected, unchanged FROM pg_temp.cdp_load_old o;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_correct(bigint, integer) IS
'Compares known records with what is in force: changed ones move to touchpoint_retracted and make room for the new version under the same touchpoint_id; equal ones are noted as confirmed. Returns both counts.';

CREATE OR REPLACE FUNCTION cdp_internal.load_write(load bigint, src integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  WITH fresh AS MATERIALIZED (
    SELECT r.touchpoint_id, p.customer_id, p.identifier_id, r.at, o.origin_id, coalesce(r.flags, 0) AS flags, r.kind_id, o.campaign_id,
      f.refers_to, r.value, r.currency, r.properties, r.source_key, k.row_no IS NULL AS is_new
    FROM pg_temp.cdp_load_row r JOIN pg_temp.cdp_load_person p USING (type_id, identifier)
      JOIN pg_temp.cdp_load_origin o ON o.hash = r.origin
      LEFT JOIN pg_temp.cdp_load_ref f USING (row_no) LEFT JOIN pg_temp.cdp_load_old k USING (row_no)
    WHERE r.code IS NULL AND k.same IS NOT TRUE
  ), keys AS (
    -- No ON CONFLICT: it would look each key up twice, and confirm each row. load_store() knows what a key that is there means.
    INSERT INTO cdp_data.touchpoint_key (source_id, source_key, touchpoint_id, customer_id, occurred_at)
    SELECT src, f.source_key, f.touchpoint_id, f.customer_id, f.at FROM fresh f WHERE f.is_new ORDER BY f.source_key COLLATE "C"
  ), feed AS (
    INSERT INTO cdp_data.change_feed (customer_id, cause, occurred_from, occurred_to)
    SELECT x.customer_id, 'load', min(x.at), max(x.at)
    FROM (SELECT f.customer_id, f.at FROM fresh f
          UNION ALL SELECT k.customer_id, k.occurred_at FROM pg_temp.cdp_load_old k WHERE NOT k.same) x
    GROUP BY x.customer_id ORDER BY x.customer_id
  ), relinked AS (
    INSERT INTO cdp_data.change_feed (customer_id, cause, occurred_from, occurred_to)
    SELECT a.customer_id, 'relink', a.first_at, a.last_at
    FROM cdp_data.touchpoint_awaited a JOIN fresh f ON a.source_id = src AND a.source_key = f.source_key
    WHERE f.is_new
  ), put AS (
    INSERT INTO cdp_data.touchpoint (touchpoint_id, customer_id, identifier_id, occurred_at, origin_id, source_id, load_id,
      flags, kind_id, campaign_id, refers_to, value, currency, properties)
    SELECT f.touchpoint_id, f.customer_id, f.identifier_id, f.at, f.origin_id, src, load,
      f.flags, f.kind_id, f.campaign_id, f.refers_to, f.value, f.currency, f.properties
    FROM fresh f
  )
  SELECT count(*) INTO n FROM fresh f;
  IF EXISTS (SELECT FROM cdp_data.touchpoint_awaited a WHERE a.source_id = src) THEN
    -- Whoever claimed a key is done by now, and may have reserved a number for its record, which has another new one.
    IF EXISTS (SELECT FROM pg_temp.cdp_load_row r WHERE r.code IS NULL
        AND EXISTS (SELECT FROM cdp_data.touchpoint_awaited a WHERE a.source_id = src AND a.source_key = r.source_key)
        AND NOT EXISTS (SELECT FROM cdp_data.touchpoint_awaited a WHERE (a.source_id, a.source_key, a.touchpoint_id) = (src, r.source_key, r.touchpoint_id))
        AND NOT EXISTS (SELECT FROM cdp_data.touchpoint_retracted t WHERE (t.source_id, t.source_key, t.touchpoint_id) = (src, r.source_key, r.touchpoint_id))
        AND NOT EXISTS (SELECT FROM pg_temp.cdp_load_old o WHERE o.row_no = r.row_no)) THEN
      RAISE EXCEPTION 'a record of the load was referred to meanwhile' USING ERRCODE = 'unique_violation', CONSTRAINT = 'touchpoint_key_pkey';
    END IF;
    PERFORM cdp_internal.load_tell_owners(src, 'relink', array_agg(x.refers_to) FILTER (WHERE x.refers_to IS NOT NULL),
      array_agg(x.customer_id) FILTER (WHERE x.refers_to IS NOT NULL), array_agg(x.source_key) FILTER (WHERE x.source_key IS NOT NULL))
    FROM (SELECT o.refers_to, o.customer_id, NULL AS source_key FROM pg_temp.cdp_load_old o WHERE NOT o.same AND o.refers_to IS NOT NULL
          UNION ALL
          SELECT f.refers_to, p.customer_id, NULL FROM pg_temp.cdp_load_ref f JOIN pg_temp.cdp_load_row r USING (row_no)
            JOIN pg_temp.cdp_load_person p USING (type_id, identifier) LEFT JOIN pg_temp.cdp_load_old o USING (row_no) WHERE o.same IS NOT TRUE
          UNION ALL
          SELECT NULL, NULL, a.source_key FROM cdp_data.touchpoint_awaited a JOIN pg_temp.cdp_load_row r USING (source_key)
          WHERE a.source_id = src AND r.code IS NULL) x;
  END IF;
  PERFORM cdp_internal.refunds_follow(load, src, 'relink', array_agg(x.source_key))
  FROM (SELECT a.source_key FROM cdp_data.touchpoint_awaited a JOIN pg_temp.cdp_load_row r USING (source_key) WHERE a.source_id = src AND r.code IS NULL
        UNION SELECT o.source_key FROM pg_temp.cdp_load_old o WHERE NOT o.same AND o.repriced) x
  HAVING count(*) > 0;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_write(bigint, integer) IS
'Writes the new rows of the running load: keys in key order, touchpoints, change feed. Returns how many touchpoints. Error 23505 of touchpoint_key_pkey (for its caller): a call wrote the key of one, or referred to one, since cdp_internal.load_match() looked.';

CREATE OR REPLACE FUNCTION cdp_internal.load_partitions(first_at timestamptz, last_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF last_at < first_at + interval '3 years' THEN
    PERFORM cdp_internal.ensure_partitions(first_at, last_at);
  ELSE -- a stray old row must not make a partition for each month since
    PERFORM cdp_internal.ensure_partitions(ARRAY(
      SELECT DISTINCT (r.at AT TIME ZONE 'UTC')::date FROM pg_temp.cdp_load_row r WHERE r.code IS NULL));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_partitions(timestamptz, timestamptz) IS
'Makes the partitions that the running load needs, from its first to its last time; NULLs when it has no row make none.';

CREATE OR REPLACE FUNCTION cdp_internal.load_store(load bigint, src integer, OUT inserted bigint, OUT corrected bigint, OUT orphaned bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  written bigint;
  violated text;
BEGIN
  PERFORM cdp_internal.load_properties(src);
  PERFORM cdp_internal.load_people();
  -- A batch is locked against other batches of its source, not against calls. When one brings a record between the
  -- look-up of the keys and their writing, all since the look-up is rolled back and done again.
  FOR attempt IN 1 .. 100 LOOP
    BEGIN
      PERFORM cdp_internal.load_match(src);
      orphaned := cdp_internal.load_references(load, src);
      SELECT c.corrected INTO corrected FROM cdp_internal.load_correct(load, src) c;
      written := cdp_internal.load_write(load, src);
      inserted := written - corrected;
      RETURN;
    EXCEPTION
      WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
        IF violated <> 'touchpoint_key_pkey' THEN
          RAISE;
        ELSIF current_setting('transaction_isolation') <> 'read committed' THEN -- looking again would show the same
          RAISE EXCEPTION 'a record of the load came by a call since the snapshot'
            USING ERRCODE = 'serialization_failure', HINT = 'Run the transaction again.';
        END IF;
      WHEN deadlock_detected THEN
        -- A call refers to a record of the load that refers to the call's: what the load claimed is free again.
        IF attempt >= 4 THEN
          RAISE;
        END IF;
    END;
  END LOOP;
  RAISE EXCEPTION 'records of the load come by calls faster than they can be written'
    USING ERRCODE = 'serialization_failure', DETAIL = 'Tried 100 times.', HINT = 'Load again.';
END
$$;
COMMENT ON FUNCTION cdp_internal.load_store(bigint, integer) IS
'Writes the rows of the running load that were taken, once its origins are there: properties that their kind lists, people, references, corrections, touchpoints. Returns how many were new, corrected, and refer to a record that is not there.';

CREATE OR REPLACE FUNCTION cdp_internal.load_read(
  load bigint, staging regclass, time_zone text, identifier_type text, kind text,
  OUT rows_read bigint, OUT repeats boolean, OUT first_at timestamptz, OUT last_at timestamptz)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  config record;
BEGIN
  SELECT t.currency, b.earliest, b.latest, coalesce(load_read.time_zone, s.timezone) AS zone INTO config
  FROM cdp_data.setting t, cdp_internal.time_bounds() b, cdp_data.load l JOIN cdp_data.source s USING (source_id) WHERE l.load_id = load;
  CREATE TEMP TABLE cdp_load_row (
    row_no bigint, touchpoint_id bigint, at timestamptz, origin uuid, type_id smallint, kind_id smallint, flags integer, repeats boolean,
    source_key text COLLATE "C", identifier text COLLATE "C", value numeric, currency text, properties jsonb, refers_key text COLLATE "C",
    code text, origin_part text[], original jsonb);
  -- Casts of a view, and moments in rows that go to quarantine, are read and written in the zone of the load as well.
  PERFORM set_config('timezone', config.zone, true);
  EXECUTE cdp_internal.load_read_sql(staging, config.zone, identifier_type, kind, config.currency, config.earliest, config.latest);
  GET DIAGNOSTICS rows_read = ROW_COUNT;
  PERFORM set_config('timezone', 'UTC', true);
  SELECT coalesce(bool_or(r.repeats), false), min(r.at) FILTER (WHERE r.code IS NULL), max(r.at) FILTER (WHERE r.code IS NULL)
  INTO repeats, first_at, last_at FROM pg_temp.cdp_load_row r;
  ANALYZE pg_temp.cdp_load_row (type_id, identifier, source_key, refers_key, origin, row_no, code);
END
$$;
COMMENT ON FUNCTION cdp_internal.load_read(bigint, regclass, text, text, text) IS
'Reads the staging table once into pg_temp.cdp_load_row. Returns the number of rows, whether a key may come twice, and the first and last time. Leaves the session in UTC: for functions that SET timezone. Errors: 22023 unknown time zone.';

CREATE OR REPLACE FUNCTION cdp_internal.check_staging(staging regclass, wanted text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  missing text;
BEGIN
  IF staging IS NULL THEN
    RAISE EXCEPTION 'no staging table was given'
      USING ERRCODE = 'null_value_not_allowed', HINT = 'Make one with: SELECT cdp.create_staging(''touches'');';
  END IF;
  SELECT string_agg(w, ', ') INTO missing FROM unnest(wanted) w
  WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = staging AND a.attname = w AND a.attnum > 0 AND NOT a.attisdropped);
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION 'staging table % lacks columns', staging
      USING ERRCODE = 'undefined_column', DETAIL = format('Missing: %s.', missing),
        HINT = 'Load from a view that names the columns so, or make a table with cdp.create_staging().';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.check_staging(regclass, text[]) IS
'Raises undefined_column (42703) when the staging table lacks one of the columns, and 22004 when there is no table.';

CREATE OR REPLACE FUNCTION cdp.load_touchpoints(
  source text, staging regclass, time_zone text DEFAULT NULL, identifier_type text DEFAULT NULL, kind text DEFAULT NULL, note text DEFAULT NULL)
RETURNS TABLE (load_id bigint, rows_read bigint, inserted bigint, corrected bigint, unchanged bigint, quarantined bigint, orphaned bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
-- A scan that starts in the middle (synchronize_seqscans) would change which of two rows comes last.
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET synchronize_seqscans = off SET extra_float_digits = 1 SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  src integer;
  seen record;
  work_mem text := current_setting('work_mem');
BEGIN
  load_id := cdp_internal.load_begin(source, 'touchpoints', note);
  PERFORM cdp_internal.check_staging(staging, ARRAY['source_key', 'occurred_at', 'identifier']
    || CASE WHEN identifier_type IS NULL THEN ARRAY['identifier_type'] END || CASE WHEN kind IS NULL THEN ARRAY['kind'] END);
  SELECT l.source_id INTO src FROM cdp_data.load l WHERE l.load_id = load_touchpoints.load_id;
  PERFORM cdp_internal.load_keep_arguments(load_id, time_zone, identifier_type, kind);
  -- A load is maintenance: one at a time, and it sorts and hashes whole tables.
  PERFORM set_config('work_mem', cdp_internal.batch_memory(), true);
  PERFORM cdp_internal.drop_load_tables();
  seen := cdp_internal.load_read(load_id, staging, time_zone, identifier_type, kind);
  rows_read := seen.rows_read;
  IF seen.repeats THEN
    PERFORM cdp_internal.load_settle_repeats();
  END IF;
  PERFORM cdp_internal.load_group_people();
  quarantined := cdp_internal.load_quarantine(load_id, src);
  PERFORM cdp_internal.load_partitions(seen.first_at, seen.last_at);
  -- From here on nobody makes partitions until this load ends, so that none waits for the other crosswise.
  LOCK TABLE cdp_data.touchpoint IN ROW EXCLUSIVE MODE;
  PERFORM cdp_internal.load_origins();
  SELECT w.inserted, w.corrected, w.orphaned INTO inserted, corrected, orphaned FROM cdp_internal.load_store(load_id, src) w;
  unchanged := rows_read - inserted - corrected - quarantined;
  PERFORM cdp_internal.drop_load_tables();
  PERFORM set_config('work_mem', work_mem, true);
  PERFORM cdp_internal.load_end(load_id, rows_read, inserted, corrected, unchanged, quarantined, orphaned, seen.first_at, seen.last_at);
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION cdp.load_touchpoints(text, regclass, text, text, text, text) IS
'Loads touchpoints, conversions and refunds from a staging table or view into cdp_data.touchpoint. Columns read, of type text or their own: source_key, occurred_at, identifier_type, identifier, kind (needed), source, medium, campaign, referrer_host, add_way, qr_scene, value, currency, properties, refers_to (source_key of the conversion that a refund reverses), flags (1 bot, 2 internal). A time without offset is in time_zone (NULL: that of the source). identifier_type and kind serve rows without one. The same record (source, source_key) again is unchanged; with other content or time it is corrected, and the earlier version moves to touchpoint_retracted. Of several rows of a key in one staging table the last counts. Rows that do not parse go to cdp_data.quarantine and stop nothing. Returns the ledger row''s counts: rows_read = inserted + corrected + unchanged + quarantined. Errors: 22023 unknown source or time zone, 42703 missing columns, 55000 before cdp.setup().';
