-- Governance room, erasure: what happens in the tables of the rooms below. Rooms above have a function of the same shape.
--
-- Each erase_of_<room>(customers, homes, identifiers, fresh, mode) works on the rows of one person, whose locks the caller
-- holds, and tells what it did. Those of rooms above come after core's, when touches have moved and identifiers are gone;
-- what needs the values of identifiers is in an erase_of_values_<room>, which comes before. fresh is the unlinked customer that keeps the touches; NULL in mode delete.

CREATE OR REPLACE FUNCTION cdp_internal.erase_tokens(identifiers bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(
    SELECT DISTINCT h
    FROM (SELECT i.value, i.type_id FROM cdp_data.identifier i WHERE i.identifier_id = ANY (identifiers)) i
      JOIN (
        -- A short one is found by the name of its field only: that of the type, or the one that a contract gives it.
        SELECT t.type_id, ARRAY[t.name, 'identifier', 'previousId'] || ARRAY(
          SELECT DISTINCT regexp_replace(f.field, '^.*[.]', '') FROM cdp_data.source_field f WHERE f.target_kind = 'identifier' AND f.target_name = t.name) AS words
        FROM cdp_data.identifier_type_all t) t ON t.type_id = i.type_id
      CROSS JOIN LATERAL unnest(cdp_internal.identifier_tokens(i.value, t.words)) h);
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_tokens(bigint[]) IS
'The hashes by which raw content with one of these identifiers is found: cdp_internal.content_tokens().';

CREATE OR REPLACE FUNCTION cdp_internal.without_values(content text, vals text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v text;
  tokens bigint[];
BEGIN
  FOREACH v IN ARRAY vals LOOP
    CONTINUE WHEN char_length(v) < 5;
    tokens := cdp_internal.identifier_tokens(v, '{}');
    IF strpos(lower(content), lower(v)) > 0 THEN
      content := regexp_replace(content, regexp_replace(v, '([^[:alnum:]])', '\\\1', 'g'), '(erased)', 'gi');
    END IF;
    -- Written in another way, such as %40 for @ or without the country of a number: all of it goes.
    IF cdp_internal.content_tokens(to_jsonb(ARRAY[content, replace(content, '%40', '@')])) && tokens THEN
      content := '(erased)';
    END IF;
  END LOOP;
  RETURN content;
END
$$;
COMMENT ON FUNCTION cdp_internal.without_values(text, text[]) IS
'The text with these values, of five characters or more, replaced by (erased); all of it when one stands there in another way of writing. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_origins(origins integer[], vals text[], tokens bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  n bigint;
BEGIN
  WITH bad AS (
    SELECT o.origin_id, cdp_internal.without_values(o.source, vals) AS source, cdp_internal.without_values(o.medium, vals) AS medium,
      cdp_internal.without_values(o.campaign, vals) AS campaign, cdp_internal.without_values(o.referrer_host, vals) AS referrer_host,
      cdp_internal.without_values(o.add_way, vals) AS add_way, cdp_internal.without_values(o.qr_scene, vals) AS qr_scene
    -- Corrected versions and touches past their retention had origins as well, which nothing leads to but their words.
    FROM cdp_data.origin o WHERE o.origin_id IN (
      SELECT unnest(origins)
      UNION SELECT w.origin_id FROM cdp_data.origin w
      WHERE cdp_internal.origin_tokens(w.source, w.medium, w.campaign, w.referrer_host, w.add_way, w.qr_scene) && tokens)
  )
  UPDATE cdp_data.origin o SET source = b.source, medium = b.medium, campaign = b.campaign, referrer_host = b.referrer_host, add_way = b.add_way,
    -- Two that differed in what is gone stay two.
    qr_scene = concat_ws(' ', nullif(b.qr_scene, ''), format('(erased %s)', o.origin_id))
  FROM bad b
  WHERE o.origin_id = b.origin_id
    AND (o.source, o.medium, o.campaign, o.referrer_host, o.add_way, o.qr_scene) IS DISTINCT FROM (b.source, b.medium, b.campaign, b.referrer_host, b.add_way, b.qr_scene);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_origins(integer[], text[], bigint[]) IS
'Takes identifiers out of the texts of these origins and of all in which one stands as a word (tokens: cdp_internal.erase_tokens()). Returns how many origins had some.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_keyed("table" regclass, key name, ids bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  n bigint;
BEGIN
  EXECUTE format('DELETE FROM %s x WHERE x.%I = ANY ($1)', "table", key) USING ids;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_keyed(regclass, name, bigint[]) IS 'Deletes the rows of a table whose key is among these. Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_awaited(homes bigint[], touched bigint[], referred bigint[], fresh bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
  more bigint;
BEGIN
  -- Rows that the person's refunds made: told by his home and by what the touches refer to.
  CREATE TEMP TABLE cdp_erase_awaited ON COMMIT DROP AS
  SELECT a.* FROM cdp_data.touchpoint_awaited a WHERE a.customer_id = ANY (homes) AND a.touchpoint_id = ANY (referred);
  DELETE FROM cdp_data.touchpoint_awaited a USING pg_temp.cdp_erase_awaited e
  WHERE (a.source_id, a.source_key, a.customer_id) = (e.source_id, e.source_key, e.customer_id)
    AND NOT EXISTS (SELECT FROM cdp_data.touchpoint t WHERE t.customer_id = a.customer_id AND t.refers_to = a.touchpoint_id);
  GET DIAGNOSTICS n = ROW_COUNT;
  IF fresh IS NOT NULL THEN
    INSERT INTO cdp_data.touchpoint_awaited (source_id, source_key, customer_id, touchpoint_id, first_at, last_at, load_id, owner_id, owner_identifier_id)
    SELECT e.source_id, e.source_key, fresh, e.touchpoint_id, min(e.first_at), max(e.last_at), min(e.load_id), min(e.owner_id), min(e.owner_identifier_id)
    FROM pg_temp.cdp_erase_awaited e GROUP BY e.source_id, e.source_key, e.touchpoint_id;
  END IF;
  DROP TABLE pg_temp.cdp_erase_awaited;
  -- Rows that wait for, or know, a record of the person.
  UPDATE cdp_data.touchpoint_awaited a SET owner_id = fresh, owner_identifier_id = -fresh
  WHERE a.owner_id = ANY (homes) AND a.touchpoint_id = ANY (touched);
  GET DIAGNOSTICS more = ROW_COUNT;
  UPDATE cdp_data.touchpoint_awaited a SET source_key = 'erased ' || a.touchpoint_id WHERE a.touchpoint_id = ANY (touched);
  -- A key that only this person's refunds know goes; that of a record which is there stays as the record's.
  UPDATE cdp_data.touchpoint_awaited a SET source_key = 'erased ' || a.touchpoint_id
  WHERE a.customer_id = fresh AND NOT EXISTS (SELECT FROM cdp_data.touchpoint_key k WHERE k.touchpoint_id = a.touchpoint_id)
    AND NOT EXISTS (SELECT FROM cdp_data.touchpoint_awaited o WHERE (o.source_id, o.source_key) = (a.source_id, a.source_key) AND o.customer_id <> fresh);
  RETURN n + more;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_awaited(bigint[], bigint[], bigint[], bigint) IS
'Brings touchpoint_awaited to an erasure: touched are the touchpoints of the person, referred those that they refer to, fresh the unlinked customer (NULL: they were deleted). Returns the rows concerned.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_touchpoints(homes bigint[], identifiers bigint[], fresh bigint,
  OUT touched bigint[], OUT referred bigint[], OUT origins integer[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  IF fresh IS NOT NULL THEN
    WITH moved AS (
      UPDATE cdp_data.touchpoint t SET customer_id = fresh, identifier_id = -fresh, properties = NULL
      WHERE t.customer_id = ANY (homes) AND t.identifier_id = ANY (identifiers)
      RETURNING t.touchpoint_id, t.refers_to, t.origin_id)
    SELECT array_agg(m.touchpoint_id), array_agg(DISTINCT m.refers_to) FILTER (WHERE m.refers_to IS NOT NULL), array_agg(DISTINCT m.origin_id)
    INTO touched, referred, origins FROM moved m;
    UPDATE cdp_data.touchpoint_key k SET source_key = 'erased ' || k.touchpoint_id, customer_id = fresh WHERE k.touchpoint_id = ANY (touched);
  ELSE
    WITH gone AS (
      DELETE FROM cdp_data.touchpoint t WHERE t.customer_id = ANY (homes) AND t.identifier_id = ANY (identifiers)
      RETURNING t.touchpoint_id, t.refers_to, t.origin_id)
    SELECT array_agg(m.touchpoint_id), array_agg(DISTINCT m.refers_to) FILTER (WHERE m.refers_to IS NOT NULL), array_agg(DISTINCT m.origin_id)
    INTO touched, referred, origins FROM gone m;
    DELETE FROM cdp_data.touchpoint_key k WHERE k.touchpoint_id = ANY (touched);
  END IF;
  touched := coalesce(touched, '{}');
  referred := coalesce(referred, '{}');
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_touchpoints(bigint[], bigint[], bigint) IS
'Moves the touchpoints of a person to an unlinked customer, without properties and under the identifier -fresh, which is nobody''s; their keys become erased <touchpoint_id>. fresh NULL deletes both. Returns their numbers, the records they refer to and their origins.';

CREATE OR REPLACE FUNCTION cdp_internal.record_keys(homes bigint[], identifiers bigint[]) RETURNS TABLE (source_id integer, source_key text)
LANGUAGE plpgsql STABLE ROWS 1000 SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  SELECT k.source_id, k.source_key::text FROM cdp_data.touchpoint x JOIN cdp_data.touchpoint_key k ON k.touchpoint_id = x.touchpoint_id
  WHERE x.customer_id = ANY (homes) AND x.identifier_id = ANY (identifiers)
  UNION
  SELECT r.source_id, r.source_key FROM cdp_data.touchpoint_retracted r WHERE r.customer_id = ANY (homes) AND r.identifier_id = ANY (identifiers)
  UNION
  SELECT c.source_id, c.source_key FROM cdp_data.customer_record c WHERE c.identifier_id = ANY (identifiers)
  UNION
  SELECT m.source_id, m.message_id FROM cdp_data.call_message m WHERE m.identifier_id = ANY (identifiers)
  UNION
  SELECT c.source_id, c.source_key FROM cdp_data.consent c WHERE c.identifier_id = ANY (identifiers) AND c.source_key IS NOT NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_keys(bigint[], bigint[]) IS
'Sources and keys of all records of a person: touchpoints, earlier versions, records of customers, messages, consents.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_quarantine(homes bigint[], identifiers bigint[], tokens bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  words constant text[] := ARRAY['source_key', 'messageId'];
  rows bigint[];
  n bigint;
  more bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.quarantine) THEN
    RETURN 0;
  END IF;
  DELETE FROM cdp_data.quarantine q WHERE cdp_internal.content_tokens(q.original) && tokens;
  GET DIAGNOSTICS n = ROW_COUNT;
  -- Rows that have nothing of him but the key of one of his records, in the same source. The index is asked for 200 keys
  -- at once: for each alone is slower, and its work grows with the square of what it is asked.
  rows := ARRAY(
    SELECT DISTINCT f.quarantine_id
    FROM (
      SELECT k.source_id, array_agg(DISTINCT h) AS hashes
      FROM (
        SELECT r.source_id, r.source_key, row_number() OVER (PARTITION BY r.source_id ORDER BY r.source_key) / 200 AS part
        FROM cdp_internal.record_keys(homes, identifiers) r) k
        CROSS JOIN LATERAL unnest(cdp_internal.identifier_tokens(k.source_key, words)) h
      GROUP BY k.source_id, k.part) c
    CROSS JOIN LATERAL (
      SELECT q.quarantine_id FROM cdp_data.quarantine q WHERE cdp_internal.content_tokens(q.original) && c.hashes AND q.source_id = c.source_id OFFSET 0) f);
  DELETE FROM cdp_data.quarantine q WHERE q.quarantine_id = ANY (rows);
  GET DIAGNOSTICS more = ROW_COUNT;
  RETURN n + more;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_quarantine(bigint[], bigint[], bigint[]) IS
'Deletes rows in quarantine that hold an identifier of the person (tokens), or the key of one of his records in the same source. Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_core(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  t record;
  tokens bigint[] := cdp_internal.erase_tokens(identifiers);
  vals text[] := ARRAY(SELECT i.value FROM cdp_data.identifier i WHERE i.identifier_id = ANY (identifiers));
  others bigint[];
  past integer[];
  more bigint;
BEGIN
  t := cdp_internal.erase_touchpoints(homes, identifiers, fresh);
  action := CASE WHEN fresh IS NULL THEN 'delete' ELSE 'unlink' END;
  RETURN QUERY SELECT x, erase_of_core.action, cardinality(t.touched)::bigint FROM unnest(ARRAY['cdp_data.touchpoint', 'cdp_data.touchpoint_key']) x;
  WITH gone AS (DELETE FROM cdp_data.touchpoint_retracted r WHERE r.customer_id = ANY (homes) AND r.identifier_id = ANY (identifiers) RETURNING r.origin_id)
  SELECT count(*), coalesce(array_agg(DISTINCT g.origin_id), '{}') INTO n, past FROM gone g;
  RETURN QUERY SELECT 'cdp_data.touchpoint_retracted', 'delete', erase_of_core.n;
  -- Earlier versions that belonged to somebody else stay his, under the key that the record has now.
  UPDATE cdp_data.touchpoint_retracted r SET source_key = 'erased ' || r.touchpoint_id WHERE r.touchpoint_id = ANY (t.touched);
  IF fresh IS NULL THEN
    -- Whose refunds take back nothing any more, and whose sales are no longer taken back.
    others := ARRAY(
      SELECT a.customer_id FROM cdp_data.touchpoint_awaited a WHERE a.touchpoint_id = ANY (t.touched) AND a.customer_id <> ALL (customers)
      UNION
      SELECT a.owner_id FROM cdp_data.touchpoint_awaited a WHERE a.customer_id = ANY (homes) AND a.touchpoint_id = ANY (t.referred) AND a.owner_id <> ALL (customers));
    IF others <> '{}' THEN
      PERFORM cdp_internal.feed_write(others, 'relink');
    END IF;
  END IF;
  RETURN QUERY SELECT 'cdp_data.touchpoint_awaited', erase_of_core.action, cdp_internal.erase_awaited(homes, t.touched, t.referred, fresh);
  RETURN QUERY SELECT 'cdp_data.origin', 'clear', cdp_internal.erase_origins(t.origins || past, vals, tokens);

  n := cdp_internal.erase_keyed('cdp_data.outbox', 'customer_id', customers);
  DELETE FROM cdp_data.outbox o WHERE o.customer_id IS NULL AND o.kind <> 'erase' AND cdp_internal.outbox_tokens(o.payload, o.dedup_key, o.last_error) && tokens;
  GET DIAGNOSTICS more = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.outbox', 'delete', erase_of_core.n + more;
  RETURN QUERY SELECT 'cdp_data.change_feed', 'delete', cdp_internal.erase_keyed('cdp_data.change_feed', 'customer_id', customers);
  PERFORM cdp_internal.feed_write(customers, 'erasure');

  -- Who is refused need not be blocked; who only stayed away may come again, and what is blocked must not lead to him.
  DELETE FROM cdp_data.identifier_block b
  WHERE b.value IS NOT NULL AND EXISTS (
    SELECT FROM cdp_data.identifier i WHERE i.identifier_id = ANY (identifiers) AND lower(i.value) = lower(b.value) AND cdp_internal.is_suppressed(i.type_id, i.value));
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.identifier_block', 'delete', erase_of_core.n;
  RETURN QUERY SELECT x, 'delete', cdp_internal.erase_keyed(x, 'identifier_id', identifiers) FROM unnest(ARRAY['cdp_data.identifier_override', 'cdp_data.identifier']) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_core(bigint[], bigint[], bigint[], bigint, text) IS
'Erases a person in the tables of the core: see docs/privacy.md for what happens where. Returns what was done per table.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_groups(identifiers bigint[], vals text[]) RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  groups bigint[] := ARRAY(SELECT DISTINCT m.group_id FROM cdp_data.group_member m WHERE m.identifier_id = ANY (identifiers));
  tokens bigint[] := ARRAY(SELECT DISTINCT h FROM unnest(vals) v CROSS JOIN LATERAL unnest(cdp_internal.identifier_tokens(v, '{}')) h);
  empty bigint[];
BEGIN
  DELETE FROM cdp_data.group_member m WHERE m.identifier_id = ANY (identifiers);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.group_member', 'delete', erase_groups.n;
  empty := ARRAY(SELECT g FROM unnest(groups) g WHERE NOT EXISTS (SELECT FROM cdp_data.group_member m WHERE m.group_id = g));
  DELETE FROM cdp_data.group_trait t
  WHERE t.group_id = ANY (empty)
    OR t.group_id = ANY (groups) AND cdp_internal.content_tokens(jsonb_build_object(t.trait, t.value)) && tokens;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.group_trait', 'delete', erase_groups.n;
  DELETE FROM cdp_data.customer_group g WHERE g.group_id = ANY (empty);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.customer_group', 'delete', erase_groups.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_groups(bigint[], text[]) IS
'Takes a person out of his groups: memberships, traits that hold one of his values, and groups that have no member left, whole. Returns what was done per table.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_matches(identifiers bigint[]) RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  models text[] := ARRAY(SELECT m.name FROM cdp_data.match_model m WHERE m.identifiers);
  ids text[] := identifiers;
BEGIN
  DELETE FROM cdp_data.match_review r
  WHERE r.model = ANY (models) AND r.source_l = '' AND r.id_l = ANY (ids) OR r.model = ANY (models) AND r.source_r = '' AND r.id_r = ANY (ids);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.match_review', 'delete', erase_matches.n;
  DELETE FROM cdp_data.match_seen s WHERE s.model = ANY (models) AND s.source = '' AND s.record_id = ANY (ids);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.match_seen', 'delete', erase_matches.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_matches(bigint[]) IS
'Deletes what models of identifiers hold about these. Models over tables of the user forget a record at the next run after it is gone there. Returns what was done per table.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_links(customers bigint[], identifiers bigint[]) RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  links bigint[] := ARRAY(
    SELECT l.link_id FROM cdp_data.link l WHERE l.a_id = ANY (identifiers) UNION SELECT l.link_id FROM cdp_data.link l WHERE l.b_id = ANY (identifiers));
BEGIN
  DELETE FROM cdp_data.link_support s WHERE s.link_id = ANY (links);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.link_support', 'delete', erase_links.n;
  DELETE FROM cdp_data.link l WHERE l.link_id = ANY (links);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.link', 'delete', erase_links.n;
  DELETE FROM cdp_data.identity_alert a WHERE a.identifier_id = ANY (identifiers) OR a.customer_id = ANY (customers);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.identity_alert', 'delete', erase_links.n;
  -- The ledger goes on saying which id became which. By what record, and at which moment, could lead to an unlinked touch.
  UPDATE cdp_data.merge_log m SET event_key = NULL, note = NULL, load_id = NULL, source_id = NULL, link_id = NULL, at = date_trunc('day', m.at, 'UTC')
  WHERE m.merge_id IN (
    SELECT x.merge_id FROM cdp_data.merge_log x WHERE x.customer_id = ANY (customers)
    UNION SELECT x.merge_id FROM cdp_data.merge_log x WHERE x.to_id = ANY (customers)
    UNION SELECT x.merge_id FROM cdp_data.merge_log x WHERE x.from_id = ANY (customers)
    UNION SELECT x.merge_id FROM cdp_data.merge_log x WHERE x.identifier_id = ANY (identifiers));
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.merge_log', 'clear', erase_links.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_links(bigint[], bigint[]) IS
'Deletes links at these identifiers and alerts, and takes keys, notes, loads and times of day out of the ledger''s lines about these customers. Returns what was done per table.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_versions(identifiers bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  others bigint[] := ARRAY(
    SELECT l.b_id FROM cdp_data.link l WHERE l.a_id = ANY (identifiers) AND l.b_id <> ALL (identifiers)
    UNION SELECT l.a_id FROM cdp_data.link l WHERE l.b_id = ANY (identifiers) AND l.a_id <> ALL (identifiers));
BEGIN
  -- A record may tell of two people whom a rule keeps apart: then a link of hers ends at the other.
  RETURN ARRAY(
    SELECT x.version_id FROM cdp_internal.versions_of(identifiers) x
    EXCEPT SELECT x.version_id FROM cdp_internal.versions_of(others) x WHERE others <> '{}' AND NOT EXISTS (
      SELECT FROM cdp_data.link l WHERE l.link_id = x.link_id AND (l.a_id = ANY (identifiers) OR l.b_id = ANY (identifiers))));
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_versions(bigint[]) IS
'Rows of cdp_data.record_version that nobody needs once these identifiers are gone. To be called while their links are there.';

CREATE OR REPLACE FUNCTION cdp_internal.versions_of(identifiers bigint[]) RETURNS TABLE (version_id bigint, link_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  SELECT v.version_id, NULL::bigint FROM cdp_data.attribute_value v WHERE v.identifier_id = ANY (identifiers) AND v.version_id <> 0
  UNION SELECT r.version_id, NULL FROM cdp_data.customer_record r WHERE r.identifier_id = ANY (identifiers) AND r.version_id <> 0
  UNION SELECT s.version_id, s.link_id FROM cdp_data.link_support s WHERE s.version_id <> 0 AND s.link_id IN (
    SELECT l.link_id FROM cdp_data.link l WHERE l.a_id = ANY (identifiers) UNION SELECT l.link_id FROM cdp_data.link l WHERE l.b_id = ANY (identifiers));
END
$$;
COMMENT ON FUNCTION cdp_internal.versions_of(bigint[]) IS
'Rows of cdp_data.record_version that values, records and links of these identifiers refer to; link_id when a link does.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_identity(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  vals text[] := ARRAY(SELECT v.value FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id)
      WHERE v.identifier_id = ANY (identifiers) AND a.sensitivity <> 'internal')
    || ARRAY(SELECT i.value FROM cdp_data.identifier i WHERE i.identifier_id = ANY (identifiers));
  versions bigint[];
  repeated bigint[];
BEGIN
  versions := cdp_internal.erase_versions(identifiers);
  RETURN QUERY SELECT * FROM cdp_internal.erase_links(customers, identifiers);
  RETURN QUERY SELECT * FROM cdp_internal.erase_groups(identifiers, vals);
  RETURN QUERY SELECT * FROM cdp_internal.erase_matches(identifiers);
  RETURN QUERY SELECT x, 'delete', cdp_internal.erase_keyed(x, 'identifier_id', identifiers)
  FROM unnest(ARRAY['cdp_data.call_message', 'cdp_data.customer_record', 'cdp_data.attribute_value']) x;
  WITH gone AS (DELETE FROM cdp_data.record_version v WHERE v.version_id = ANY (versions) RETURNING v.repetition_id)
  SELECT count(*), coalesce(array_agg(DISTINCT g.repetition_id), '{}') INTO n, repeated FROM gone g;
  RETURN QUERY SELECT 'cdp_data.record_version', 'delete', erase_of_identity.n;
  DELETE FROM cdp_data.repetition r WHERE r.repetition_id = ANY (repeated) AND NOT EXISTS (SELECT FROM cdp_data.record_version v WHERE v.repetition_id = r.repetition_id);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.repetition', 'delete', erase_of_identity.n;
  RETURN QUERY SELECT 'cdp_data.profile', 'delete', cdp_internal.erase_keyed('cdp_data.profile', 'customer_id', customers);
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_identity(bigint[], bigint[], bigint[], bigint, text) IS
'Erases a person in the tables of identity, before his identifiers go. Returns what was done per table.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_own_tables(p record) RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  t record;
  fits text;
  sets text;
  broken text;
BEGIN
  FOR t IN
    SELECT r.table_name, to_regclass(r.table_name) AS relation, bool_or(r.erasure = 'delete') AS deletes
    FROM cdp_data.personal_data r WHERE r.room = 'user' AND r.erasure IN ('delete', 'clear') GROUP BY r.table_name ORDER BY r.table_name
  LOOP
    table_name := t.table_name;
    fits := cdp_internal.person_where(t.table_name);
    CONTINUE WHEN fits IS NULL;
    action := CASE WHEN t.deletes THEN 'delete' ELSE 'clear' END;
    -- What may not be NULL gets its type's nothing. A key that is an identifier itself goes with what it led to.
    SELECT string_agg(format('%I = %s', a.attname, CASE WHEN NOT a.attnotnull THEN 'NULL' WHEN y.typcategory = 'S' THEN '''''' WHEN y.typname IN ('json', 'jsonb') THEN '''{}''' ELSE 'DEFAULT' END), ', ')
    INTO sets
    FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
    WHERE a.attrelid = t.relation AND a.attnum > 0 AND NOT a.attisdropped AND EXISTS (
      SELECT FROM cdp_data.personal_data r WHERE r.table_name = t.table_name AND r.room = 'user' AND (r.column_name = a.attname AND r.erasure = 'clear'
        OR r.subject_kind = 'value' AND r.subject_key = a.attname
          AND NOT EXISTS (SELECT FROM cdp_data.personal_data k WHERE k.table_name = t.table_name AND k.column_name = a.attname AND k.erasure = 'keep')));
    CONTINUE WHEN NOT t.deletes AND sets IS NULL;
    BEGIN
      EXECUTE CASE WHEN t.deletes THEN format('DELETE FROM %s x WHERE %s', t.relation, fits) ELSE format('UPDATE %s x SET %s WHERE %s', t.relation, sets, fits) END
      USING p.customers, p.homes, p.identifiers, p.type_ids, p.vals;
      GET DIAGNOSTICS n = ROW_COUNT;
    EXCEPTION WHEN integrity_constraint_violation THEN
      -- The error of a constraint shows the row.
      GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
      RAISE EXCEPTION 'the rows of the person in % can not be %', t.table_name, CASE WHEN t.deletes THEN 'deleted' ELSE 'emptied' END
        USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('SQLSTATE %s%s.', SQLSTATE, ' by constraint ' || nullif(broken, '')),
          HINT = 'Register another way with cdp.register_personal_data() (delete, clear, or first the table that refers to it), or change the constraint.';
    END;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_own_tables(record) IS
'Erases a person, as cdp_internal.person() gives him, in the columns that the user registered, of his own tables and of ours: deletes rows, or empties columns (those that may not be NULL get '''', {} or their default; a key that holds identifiers is emptied with them unless it is registered as keep). To be called while the person''s rows can still be found. Returns what was done per table.';
