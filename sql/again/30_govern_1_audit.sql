-- Governance room: the audit's chain. Writers only insert; what makes rows tamper-evident happens later, in the seal.
--
-- A row is ripe when its transaction is older than every running one: nothing before it can appear any more. Rows are
-- sealed in the order of audit_id among the ripe ones, so a row of a long transaction comes later in the chain than rows
-- with higher numbers that were done before it.

CREATE OR REPLACE FUNCTION cdp_internal.audit_link(
  key_id integer, previous bytea, pos bigint, audit_id bigint, at timestamptz, xid xid8, actor text, role text, action text, object text,
  customer_id bigint, digest bytea, detail jsonb) RETURNS bytea
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_audit_link';
COMMENT ON FUNCTION cdp_internal.audit_link(integer, bytea, bigint, bigint, timestamptz, xid8, text, text, text, text, bigint, bytea, jsonb) IS
'Link of one row of cdp_data.audit at a place of the chain, after the link before it (NULL: 32 zero bytes): HMAC-SHA256 with that key, SHA-256 when key_id is NULL. See src/governance/chain.c for the bytes. Errors: 42501 without the right to verify the audit, 55000 no such key, 22004 no place, number, time or transaction, 22023 a link that does not have 32 bytes.';

CREATE OR REPLACE FUNCTION cdp_internal.audit_links(
  key_id integer, previous bytea, pos bigint, audit_id bigint, at timestamptz, xid xid8, actor text, role text, action text, object text,
  customer_id bigint, digest bytea, detail jsonb) RETURNS bytea
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_audit_links';
COMMENT ON FUNCTION cdp_internal.audit_links(integer, bytea, bigint, bigint, timestamptz, xid8, text, text, text, text, bigint, bytea, jsonb) IS
'cdp_internal.audit_link() for row after row of one query: previous counts for the first row, each later one follows the row before it. Error XX000 when places do not come as 1, 2, 3, ...; others as there.';

CREATE OR REPLACE FUNCTION cdp_internal.seal_mac(
  seal_id bigint, at timestamptz, kind text, first_pos bigint, last_pos bigint, key_id integer, head bytea, snapshot_xmin xid8, next_xid xid8,
  last_id bigint, system_identifier bigint) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  content text := concat_ws('|', seal_id, extract(epoch FROM at), kind, first_pos, last_pos, coalesce(key_id, 0), encode(head, 'hex'),
    snapshot_xmin, next_xid, last_id, system_identifier);
BEGIN
  RETURN CASE WHEN key_id IS NULL THEN sha256(convert_to(content, 'UTF8')) ELSE cdp_internal.keyed_digest('audit seal', content, key_id) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.seal_mac(bigint, timestamptz, text, bigint, bigint, integer, bytea, xid8, xid8, bigint, bigint) IS
'Digest of a row of cdp_data.audit_seal: keyed like its links, SHA-256 without a key.';

CREATE OR REPLACE FUNCTION cdp_internal.seal_write(
  kind text, first_pos bigint, last_pos bigint, key_id integer, head bytea, snapshot_xmin xid8, next_xid xid8, last_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id bigint := nextval('cdp_data.audit_seal_seal_id_seq');
  at timestamptz := clock_timestamp();
  cluster bigint := cdp_internal.system_identifier();
BEGIN
  INSERT INTO cdp_data.audit_seal (seal_id, at, kind, first_pos, last_pos, key_id, head, snapshot_xmin, next_xid, last_id, system_identifier, mac)
  VALUES (id, at, seal_write.kind, seal_write.first_pos, seal_write.last_pos, seal_write.key_id, seal_write.head,
    seal_write.snapshot_xmin, seal_write.next_xid, seal_write.last_id, cluster,
    cdp_internal.seal_mac(id, at, seal_write.kind, seal_write.first_pos, seal_write.last_pos, seal_write.key_id, seal_write.head,
      seal_write.snapshot_xmin, seal_write.next_xid, seal_write.last_id, cluster));
END
$$;
COMMENT ON FUNCTION cdp_internal.seal_write(text, bigint, bigint, integer, bytea, xid8, xid8, bigint) IS
'Writes a row of cdp_data.audit_seal with its digest.';

CREATE OR REPLACE FUNCTION cdp_internal.audit_ripe(xid xid8, snapshot pg_snapshot) RETURNS boolean
LANGUAGE sql VOLATILE
RETURN xid < pg_snapshot_xmin(snapshot)
  -- Visible though this cluster has not come so far: a dump brought it from another one, where it is long done.
  OR xid >= cdp_internal.next_xid();
COMMENT ON FUNCTION cdp_internal.audit_ripe(xid8, pg_snapshot) IS
'Whether a visible row of that transaction can be sealed: the transaction is older than every one that was running when the snapshot was taken.';

CREATE OR REPLACE FUNCTION cdp_internal.audit_sealed_upto() RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- When a seal had issued numbers up to last_id, transactions with rows among them were below next_xid. A later seal
  -- with nothing running below next_xid has taken what they left.
  RETURN coalesce((
    SELECT s.last_id
    FROM cdp_data.audit_seal s, (
      SELECT x.snapshot_xmin FROM cdp_data.audit_seal x WHERE x.system_identifier = cdp_internal.system_identifier() ORDER BY x.snapshot_xmin DESC LIMIT 1) t
    WHERE s.system_identifier = cdp_internal.system_identifier() AND s.next_xid <= t.snapshot_xmin ORDER BY s.last_id DESC LIMIT 1), 0);
END
$$;
COMMENT ON FUNCTION cdp_internal.audit_sealed_upto() IS
'Every row of the audit up to this audit_id is sealed, or was put in by hand later. 0 when nothing is known.';

CREATE OR REPLACE FUNCTION cdp.seal_audit(
  upto timestamptz DEFAULT 'infinity', OUT sealed bigint, OUT last_pos bigint, OUT head text, OUT key_id integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  issued bigint;
  next_xid xid8;
  snapshot pg_snapshot;
  low bigint;
  before record;
  trim record;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'cdp.seal_audit() works in READ COMMITTED only'
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call it in a transaction of its own.';
  END IF;
  LOCK TABLE cdp_data.audit_seal IN SHARE ROW EXCLUSIVE MODE; -- one sealer at a time; writers of the audit do not notice
  -- The row's number first, the transaction's after it: who has a lower row has a lower transaction.
  SELECT q.last_value INTO issued FROM cdp_data.audit_audit_id_seq q;
  next_xid := cdp_internal.next_xid();
  snapshot := pg_current_snapshot();
  low := cdp_internal.audit_sealed_upto();
  SELECT c.pos, c.link INTO before FROM cdp_data.audit_chain c ORDER BY c.pos DESC LIMIT 1;
  IF cdp_internal.key_file_is_set() THEN
    key_id := (cdp_internal.key_ids())[cardinality(cdp_internal.key_ids())];
  END IF;
  INSERT INTO cdp_data.audit_chain (pos, audit_id, link)
  SELECT coalesce(before.pos, 0) + x.n, x.audit_id, cdp_internal.audit_links(seal_audit.key_id, before.link, coalesce(before.pos, 0) + x.n, x.audit_id,
    x.at, x.xid, x.actor, x.role, x.action, x.object, x.customer_id, x.digest, x.detail)
  FROM (
    SELECT a.*, row_number() OVER (ORDER BY a.audit_id) AS n
    FROM cdp_data.audit a
    WHERE a.audit_id > low AND a.at < upto AND cdp_internal.audit_ripe(a.xid, snapshot)
      AND NOT EXISTS (SELECT FROM cdp_data.audit_chain c WHERE c.audit_id = a.audit_id)
    ORDER BY a.audit_id OFFSET 0) x;
  GET DIAGNOSTICS sealed = ROW_COUNT;
  last_pos := coalesce(before.pos, 0) + sealed;
  IF sealed > 0 THEN
    SELECT encode(c.link, 'hex') INTO head FROM cdp_data.audit_chain c WHERE c.pos = seal_audit.last_pos;
    -- From the first key on no trim is without one: cdp.audit_verify() takes such a one for made by hand.
    IF key_id IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.audit_seal s WHERE s.key_id IS NOT NULL) THEN
      FOR trim IN DELETE FROM cdp_data.audit_seal s WHERE s.kind = 'trim' RETURNING s.last_pos, s.head LOOP
        PERFORM cdp_internal.seal_write('trim', trim.last_pos, trim.last_pos, key_id, trim.head, '0', next_xid, 0);
      END LOOP;
    END IF;
    PERFORM cdp_internal.seal_write('seal', coalesce(before.pos, 0) + 1, last_pos, key_id, decode(head, 'hex'),
      CASE WHEN upto = 'infinity' THEN pg_snapshot_xmin(snapshot) ELSE '0'::xid8 END, next_xid, issued);
    -- In the server log, which often goes to another machine: with it one can show that nothing was cut off or made anew.
    RAISE LOG 'pg_cdp: audit of database % sealed up to place %, head %', quote_ident(current_database()), last_pos, head;
  ELSE
    head := encode(before.link, 'hex');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.seal_audit(timestamptz) IS
'Seals the rows of cdp_data.audit that are older than the oldest running transaction (and, with upto, were written before that moment): each gets its place in cdp_data.audit_chain and a link made of the row and of the link before it. Returns how many, the last place, its link as hex (head: note it elsewhere, it is also written to the server log), and the key of the links (NULL: no key file is set, the links are SHA-256 that anybody can compute). cdp.maintain() calls it. Waits for another sealer, never for writers. Errors: 55000 in REPEATABLE READ and SERIALIZABLE and before cdp.setup(), F0000 the key file can not be used.';

CREATE OR REPLACE FUNCTION cdp_internal.verify_links(
  from_pos bigint, upto_pos bigint, before bytea, key_id integer, OUT bad bigint[], OUT gone bigint[], OUT gaps bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Each row is checked against the stored link before it, so that one change shows at its own place only.
  SELECT (array_agg(x.pos ORDER BY x.pos) FILTER (WHERE x.bad))[:1000], (array_agg(x.pos ORDER BY x.pos) FILTER (WHERE x.gone))[:1000],
    (array_agg(x.pos ORDER BY x.pos) FILTER (WHERE x.gap))[:1000]
  INTO bad, gone, gaps
  FROM (
    SELECT y.pos, a.audit_id IS NULL AS gone, y.pos <> y.pos_before + 1 AS gap,
      a.audit_id IS NOT NULL AND y.pos = y.pos_before + 1 AND y.link IS DISTINCT FROM cdp_internal.audit_link(verify_links.key_id, y.link_before, y.pos,
        y.audit_id, a.at, a.xid, a.actor, a.role, a.action, a.object, a.customer_id, a.digest, a.detail) AS bad
    FROM (
      SELECT c.pos, c.audit_id, c.link, lag(c.pos, 1, from_pos - 1) OVER (ORDER BY c.pos) AS pos_before, lag(c.link, 1, before) OVER (ORDER BY c.pos) AS link_before
      FROM cdp_data.audit_chain c WHERE c.pos BETWEEN from_pos AND upto_pos) y
      LEFT JOIN cdp_data.audit a ON a.audit_id = y.audit_id) x
  WHERE x.bad OR x.gone OR x.gap;
  bad := coalesce(bad, '{}');
  gone := coalesce(gone, '{}');
  gaps := coalesce(gaps, '{}');
END
$$;
COMMENT ON FUNCTION cdp_internal.verify_links(bigint, bigint, bytea, integer) IS
'Checks a run of the chain made with one key, after the link before it: places whose row or link is not what was sealed (bad), whose row is gone, and places before which others are missing (gaps); at most 1000 of each.';

CREATE OR REPLACE FUNCTION cdp_internal.verify_swaps(places bigint[], keys integer[])
RETURNS TABLE (pos bigint, other_pos bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- The row that belongs to a place stands at another one: either the rows or their entries in the chain changed places.
  RETURN QUERY
  WITH place AS MATERIALIZED (
    SELECT c.pos, c.audit_id, c.link, b.link AS before, u.key_id
    FROM unnest(places[:200], keys[:200]) AS u (pos, key_id) JOIN cdp_data.audit_chain c ON c.pos = u.pos LEFT JOIN cdp_data.audit_chain b ON b.pos = c.pos - 1
  )
  SELECT p.pos, o.pos
  FROM place p JOIN place o ON o.pos <> p.pos JOIN cdp_data.audit a ON a.audit_id = o.audit_id CROSS JOIN LATERAL (VALUES (p.audit_id), (o.audit_id)) AS v (audit_id)
  WHERE p.link = cdp_internal.audit_link(p.key_id, p.before, p.pos, v.audit_id, a.at, a.xid, a.actor, a.role, a.action, a.object, a.customer_id, a.digest, a.detail);
END
$$;
COMMENT ON FUNCTION cdp_internal.verify_swaps(bigint[], integer[]) IS
'Of places that do not fit (with the keys of their links; the first 200 are tried): those whose sealed row stands at another of them now.';

CREATE OR REPLACE FUNCTION cdp_internal.verify_seals()
RETURNS TABLE (finding text, pos bigint, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s record;
  good boolean;
  place bigint := coalesce((SELECT t.last_pos FROM cdp_data.audit_seal t WHERE t.kind = 'trim' ORDER BY t.last_pos DESC LIMIT 1), 0);
  keyed boolean := false;
  any_key boolean := EXISTS (SELECT FROM cdp_data.audit_seal x WHERE x.key_id IS NOT NULL);
BEGIN
  FOR s IN SELECT x.*, c.link FROM cdp_data.audit_seal x LEFT JOIN cdp_data.audit_chain c ON c.pos = x.last_pos ORDER BY x.seal_id LOOP
    BEGIN
      good := s.mac = cdp_internal.seal_mac(s.seal_id, s.at, s.kind, s.first_pos, s.last_pos, s.key_id, s.head, s.snapshot_xmin, s.next_xid, s.last_id, s.system_identifier);
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
      RETURN QUERY SELECT 'key_missing', s.first_pos, format('seal %s was made with key %s, which can not be had: %s', s.seal_id, s.key_id, SQLERRM);
      good := true; -- not known to be wrong
    END;
    IF NOT good THEN
      RETURN QUERY SELECT 'seal_changed', s.first_pos, format('row %s of audit_seal is not what was written', s.seal_id);
    ELSIF s.head IS DISTINCT FROM s.link AND s.last_pos >= place THEN
      RETURN QUERY SELECT 'head_changed', s.last_pos, format('the link at place %s is not the head of seal %s', s.last_pos, s.seal_id);
    ELSIF s.kind = 'trim' AND s.key_id IS NULL AND any_key THEN
      RETURN QUERY SELECT 'seal_changed', s.first_pos, format('trim %s has no key, though seals have', s.seal_id);
    END IF;
    IF s.kind = 'seal' AND s.last_pos > place THEN
      IF s.first_pos > place + 1 THEN
        RETURN QUERY SELECT 'seal_missing', place + 1, format('no seal covers places %s to %s', place + 1, s.first_pos - 1);
      END IF;
      place := s.last_pos;
      IF s.key_id IS NULL AND keyed THEN
        RETURN QUERY SELECT 'downgraded', s.first_pos, format('seal %s has no key, though earlier ones have', s.seal_id);
      END IF;
    END IF;
    keyed := keyed OR s.key_id IS NOT NULL;
  END LOOP;
  RETURN QUERY
  SELECT 'seal_missing', min(c.pos), format('no seal covers places %s to %s', min(c.pos), max(c.pos)) FROM cdp_data.audit_chain c WHERE c.pos > place HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.verify_seals() IS
'What is wrong with the rows of cdp_data.audit_seal: changed, missing, not fitting the chain, their key not in the key file, or without a key after keyed ones.';

CREATE OR REPLACE FUNCTION cdp_internal.verify_rows()
RETURNS TABLE (finding text, pos bigint, audit_id bigint, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s record;
  w record;
  place bigint := coalesce((SELECT t.last_pos FROM cdp_data.audit_seal t WHERE t.kind = 'trim' ORDER BY t.last_pos DESC LIMIT 1), 0);
  bad bigint[] := '{}';
  keys integer[] := '{}';
BEGIN
  FOR s IN SELECT x.first_pos, x.last_pos, x.key_id FROM cdp_data.audit_seal x WHERE x.kind = 'seal' AND x.last_pos > place ORDER BY x.first_pos LOOP
    BEGIN
      w := cdp_internal.verify_links(greatest(s.first_pos, place + 1), s.last_pos,
        (SELECT c.link FROM cdp_data.audit_chain c WHERE c.pos = greatest(s.first_pos, place + 1) - 1), s.key_id);
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
      CONTINUE; -- cdp_internal.verify_seals() tells that the key is missing
    END;
    bad := bad || w.bad;
    keys := keys || array_fill(s.key_id, ARRAY[cardinality(w.bad)]);
    RETURN QUERY SELECT 'removed', c.pos, c.audit_id, 'the row is gone, its link is still there'
    FROM unnest(w.gone) g JOIN cdp_data.audit_chain c ON c.pos = g;
    RETURN QUERY SELECT 'links_removed', x.low + 1, NULL::bigint, format('places %s to %s of the chain are gone', x.low + 1, g - 1)
    FROM unnest(w.gaps) g CROSS JOIN LATERAL (
      SELECT greatest(s.first_pos - 1, coalesce(max(c.pos), 0)) AS low FROM cdp_data.audit_chain c WHERE c.pos < g) x;
    IF NOT EXISTS (SELECT FROM cdp_data.audit_chain c WHERE c.pos = s.last_pos) THEN
      RETURN QUERY SELECT 'links_removed', x.low, NULL::bigint, format('places %s to %s of the chain are gone', x.low, s.last_pos)
      FROM (SELECT coalesce(max(c.pos) + 1, s.first_pos) AS low FROM cdp_data.audit_chain c WHERE c.pos BETWEEN s.first_pos AND s.last_pos) x;
    END IF;
  END LOOP;
  RETURN QUERY
  SELECT CASE WHEN count(v.other_pos) > 0 THEN 'swapped' ELSE 'changed' END, b.pos, c.audit_id,
    CASE WHEN count(v.other_pos) > 0 THEN format('what was sealed here stands at place %s now', min(v.other_pos)) ELSE 'the row or its link is not what was sealed' END
  FROM unnest(bad, keys) AS b (pos, key_id) JOIN cdp_data.audit_chain c ON c.pos = b.pos
    LEFT JOIN cdp_internal.verify_swaps(bad, keys) v ON v.pos = b.pos
  GROUP BY b.pos, c.audit_id ORDER BY b.pos;
END
$$;
COMMENT ON FUNCTION cdp_internal.verify_rows() IS
'Rows of the audit that are not as they were sealed: changed, swapped, removed, or removed with their links. Reads the whole chain once.';

CREATE OR REPLACE FUNCTION cdp_internal.audit_holes() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  issued bigint;
  holes bigint;
BEGIN
  SELECT CASE WHEN q.is_called THEN q.last_value ELSE 0 END INTO issued FROM cdp_data.audit_audit_id_seq q;
  SELECT issued - coalesce((SELECT max(s.last_pos) FROM cdp_data.audit_seal s WHERE s.kind = 'trim'), 0) - count(*) INTO holes
  FROM cdp_data.audit a WHERE a.audit_id BETWEEN 1 AND issued;
  RETURN format('numbers up to %s without a row: %s', issued, greatest(holes, 0));
END
$$;
COMMENT ON FUNCTION cdp_internal.audit_holes() IS
'How many numbers of rows of the audit were given out to no row that is there, in words. Transactions that were rolled back or are still open leave such holes, and so do rows removed before they were sealed: a figure to wonder about, no proof.';

CREATE OR REPLACE FUNCTION cdp.audit_verify(head text DEFAULT NULL)
RETURNS TABLE (severity text, finding text, pos bigint, audit_id bigint, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  snapshot pg_snapshot := pg_current_snapshot();
  low bigint := cdp_internal.audit_sealed_upto();
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY SELECT CASE v.finding WHEN 'downgraded' THEN 'warning' ELSE 'error' END, v.finding, v.pos, NULL::bigint, v.detail FROM cdp_internal.verify_seals() v;
  RETURN QUERY SELECT 'error', v.finding, v.pos, v.audit_id, v.detail FROM cdp_internal.verify_rows() v;
  RETURN QUERY
  SELECT 'error', 'added', NULL::bigint, a.audit_id, 'the row came in among sealed ones, not through cdp_data.audit_write()'
  FROM cdp_data.audit a WHERE a.audit_id <= low AND NOT EXISTS (SELECT FROM cdp_data.audit_chain c WHERE c.audit_id = a.audit_id) ORDER BY a.audit_id LIMIT 1000;
  RETURN QUERY
  SELECT 'error', 'unknown_head', NULL::bigint, NULL::bigint, 'the head that was given is the link of no place: the chain was cut off or made anew since it was noted'
  WHERE audit_verify.head IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.audit_chain c WHERE encode(c.link, 'hex') = lower(btrim(audit_verify.head)));
  RETURN QUERY
  SELECT 'info', 'sealed', max(c.pos), NULL::bigint, format('%s rows in places %s to %s; places without a key: %s; trimmed by retention: %s; %s; head %s', count(*) FILTER (WHERE c.pos > t.pos),
      min(c.pos) FILTER (WHERE c.pos > t.pos), max(c.pos), coalesce((SELECT sum(s.last_pos - greatest(s.first_pos, t.pos + 1) + 1) FROM cdp_data.audit_seal s WHERE s.kind = 'seal' AND s.key_id IS NULL AND s.last_pos > t.pos), 0),
      t.pos, cdp_internal.audit_holes(), (SELECT encode(h.link, 'hex') FROM cdp_data.audit_chain h ORDER BY h.pos DESC LIMIT 1))
  FROM cdp_data.audit_chain c, (SELECT coalesce(max(x.last_pos), 0) AS pos FROM cdp_data.audit_seal x WHERE x.kind = 'trim') t GROUP BY t.pos;
  RETURN QUERY
  SELECT 'info', 'unsealed', NULL::bigint, min(a.audit_id), format('%s rows since %s are not sealed yet, %s of them ripe; %s', count(*), min(a.at), count(*) FILTER (WHERE cdp_internal.audit_ripe(a.xid, snapshot)), cdp_internal.audit_holes())
  FROM cdp_data.audit a WHERE a.audit_id > low AND NOT EXISTS (SELECT FROM cdp_data.audit_chain c WHERE c.audit_id = a.audit_id) HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION cdp.audit_verify(text) IS
'Checks the chain of the audit, one row for each finding. error: changed, swapped, removed (each with the row''s place and audit_id), links_removed, added (a row put in by hand among sealed ones), seal_changed, head_changed, seal_missing, key_missing (these places could not be checked), unknown_head. warning: downgraded (seals without a key after keyed ones). info: sealed (how many, how many without a key, the head) and unsealed (the tail that nothing protects yet). head: a head that was noted earlier, as cdp.seal_audit() returned it; must still be a link of the chain, which is the only way to find that the end was cut off or everything sealed anew by somebody who may use the keys. Reads the whole chain once, writes nothing, runs on a standby that has the key file. At most 1000 findings of a kind for each seal. Errors: 42501 without the right to verify (SELECT on cdp_data.key_right_audit), 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.audit_check() RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found_errors bigint;
  first text;
BEGIN
  SELECT count(*), (array_agg(format('%s at place %s, row %s', v.finding, coalesce(v.pos::text, '?'), coalesce(v.audit_id::text, '?')) ORDER BY v.pos, v.audit_id))[1]
  INTO found_errors, first FROM cdp.audit_verify() v WHERE v.severity = 'error';
  INSERT INTO cdp_data.audit_check (last_pos, errors, first_error) SELECT coalesce(max(c.pos), 0), found_errors, first FROM cdp_data.audit_chain c;
  RETURN found_errors;
END
$$;
COMMENT ON FUNCTION cdp_internal.audit_check() IS
'Runs cdp.audit_verify() and notes in cdp_data.audit_check how many errors there are, for cdp.health(). Returns that number. It is on the job list.';

CREATE OR REPLACE FUNCTION cdp_internal.trim_audit(older timestamptz, most bigint DEFAULT 100000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  low bigint;
  last bigint;
  anchor record;
  n bigint;
  id integer;
BEGIN
  LOCK TABLE cdp_data.audit_seal IN SHARE ROW EXCLUSIVE MODE;
  IF cdp_internal.key_file_is_set() THEN
    id := (cdp_internal.key_ids())[cardinality(cdp_internal.key_ids())];
  ELSIF EXISTS (SELECT FROM cdp_data.audit_seal s WHERE s.key_id IS NOT NULL) THEN
    RAISE NOTICE 'the audit is not trimmed: its chain has a key, and no key file is set';
    RETURN 0;
  END IF;
  low := coalesce((SELECT max(s.last_pos) FROM cdp_data.audit_seal s WHERE s.kind = 'trim'), 0);
  -- Everything before the first sealed row that has to stay.
  SELECT c.pos - 1 INTO last FROM cdp_data.audit_chain c JOIN cdp_data.audit a USING (audit_id) WHERE c.pos > low AND a.at >= older ORDER BY c.pos LIMIT 1;
  last := least(coalesce(last, (SELECT max(c.pos) FROM cdp_data.audit_chain c)), low + most);
  IF last IS NULL OR last <= low THEN
    RETURN 0;
  END IF;
  SELECT c.pos, c.link INTO anchor FROM cdp_data.audit_chain c WHERE c.pos = last;
  DELETE FROM cdp_data.audit a USING cdp_data.audit_chain c WHERE c.pos BETWEEN low AND last AND a.audit_id = c.audit_id;
  GET DIAGNOSTICS n = ROW_COUNT;
  DELETE FROM cdp_data.audit_chain c WHERE c.pos < last;
  DELETE FROM cdp_data.audit_seal s WHERE s.last_pos <= last AND (s.kind = 'trim' OR s.last_pos < last)
    AND s.seal_id < (SELECT max(x.seal_id) FROM cdp_data.audit_seal x WHERE x.kind = 'seal');
  PERFORM cdp_internal.seal_write('trim', last, last, id, anchor.link, '0', cdp_internal.next_xid(), 0);
  PERFORM cdp_data.audit_write('retention', 'cdp_data.audit', NULL, jsonb_build_object('rows', n, 'upto_pos', last));
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.trim_audit(timestamptz, bigint) IS
'Deletes sealed rows of the audit from before a moment, from the front of the chain, at most so many; the last link stays as the anchor of what follows, and the trim itself is sealed and audited. Returns how many rows went; 0 when none is left to delete, or when the chain has a key and no key file is set.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_governance()
LANGUAGE plpgsql
AS $$
DECLARE
  keep pg_catalog.interval := (SELECT t.audit_retention FROM cdp_data.setting t);
  said record;
  n pg_catalog.int8;
BEGIN
  said := cdp.seal_audit();
  RAISE NOTICE 'maintain: % rows of the audit sealed, up to place %', said.sealed, said.last_pos;
  COMMIT;
  WHILE keep IS NOT NULL LOOP
    n := cdp_internal.trim_audit(cdp_internal.cutoff(pg_catalog.now(), keep));
    COMMIT;
    EXIT WHEN n OPERATOR(pg_catalog.=) 0;
    RAISE NOTICE 'maintain: % rows of the audit deleted by retention', n;
  END LOOP;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_governance() IS
'Part of cdp.maintain(): seals the audit, then deletes what is older than cdp_data.setting.audit_retention. Commits in between.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_audit()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  last record;
BEGIN
  SELECT c.* INTO last FROM cdp_data.audit_check c ORDER BY c.check_id DESC LIMIT 1;
  RETURN QUERY
  SELECT 'error', 'audit_broken', format('%s errors in the chain of the audit at %s, the first: %s', last.errors, last.at, last.first_error),
    'SELECT * FROM cdp.audit_verify(); then find out who changed these rows' WHERE last.errors > 0;
  RETURN QUERY
  SELECT 'warning', 'audit_unchecked', format('the chain of the audit was last checked at %s', last.at), 'SELECT cdp_internal.audit_check(); and see that the job verify_audit runs'
  WHERE last.at < now() - interval '30 days';
  RETURN QUERY
  SELECT 'warning', 'audit_unsealed', format('the audit is not sealed since row %s of %s', x.audit_id, x.at), 'SELECT cdp.seal_audit(); and see that cdp.maintain() runs daily; a transaction that runs for days also holds it up'
  FROM (
    SELECT a.audit_id, a.at FROM cdp_data.audit a WHERE a.audit_id > cdp_internal.audit_sealed_upto()
      AND NOT EXISTS (SELECT FROM cdp_data.audit_chain c WHERE c.audit_id = a.audit_id) ORDER BY a.audit_id LIMIT 1) x
  WHERE x.at < now() - interval '3 days';
  RETURN QUERY
  SELECT 'warning', 'audit_off', 'cdp_data.setting.audit is off: nobody can show later who did what', 'UPDATE cdp_data.setting SET audit = ''full'';'
  FROM cdp_data.setting s WHERE s.audit = 'off';
  RETURN QUERY
  SELECT 'info', 'audit_unkeyed', format('the last seal of the audit, at %s, has no key: who may write the tables can also make the chain anew', s.at), 'Set cdp.key_file, see docs/encryption.md'
  FROM (SELECT y.at, y.key_id FROM cdp_data.audit_seal y WHERE y.kind = 'seal' ORDER BY y.seal_id DESC LIMIT 1) s WHERE s.key_id IS NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_audit() IS
'Findings of cdp.health() about the audit: errors of the last check, no check for a month, a tail that waits to be sealed for three days, no key, switched off.';
