-- Governance room, consent: what becomes of it when the person is erased, and how it is proved afterwards.
-- The ledger keeps what was said and under which text; who said it becomes a keyed digest, so that it can be found again
-- only by somebody who brings the identifier.

CREATE OR REPLACE FUNCTION cdp_internal.consent_subject(type_id smallint, value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN type_id::text || ':' || value;
COMMENT ON FUNCTION cdp_internal.consent_subject(smallint, text) IS
'The text of an identifier of which cdp_data.consent.subject_digest is the keyed digest (purpose consent): type_id, a colon, the normalised value.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_consent(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  root bigint := cdp_internal.root_of(customers[1]);
  versions bigint[];
BEGIN
  IF fresh IS NOT NULL THEN
    -- Totals stay: touches that counted go on to count, and those that a refusal kept out stay out, under whatever rule
    -- comes later. One bit a purpose, at a time that says nothing; the rows of nobody's identifier have a negative number.
    INSERT INTO cdp_data.consent_state (identifier_id, customer_id, purpose_id, channel, refused_at, explicit_at, explicit_until)
    SELECT -fresh, fresh, p.purpose_id, '', CASE WHEN s.state = 'refused' THEN timestamptz '1970-01-01 00:00:00+00' END,
      CASE WHEN s.state = 'granted' THEN timestamptz '1970-01-01 00:00:00+00' END, CASE WHEN s.state = 'granted' THEN timestamptz 'infinity' END
    FROM cdp_data.purpose_all p CROSS JOIN LATERAL (SELECT cdp_internal.consent_state_at(root, p.purpose_id, '', clock_timestamp()) AS state) s
    WHERE NOT p.is_messaging AND (s.state = 'refused' OR s.state = 'granted' AND p.rule = 'opt_in');
  END IF;
  DELETE FROM cdp_data.consent_state s WHERE s.customer_id = ANY (homes) AND s.identifier_id = ANY (identifiers);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.consent_state', 'delete', erase_of_consent.n;
  -- Of a record with several versions the latest counts, also where an earlier one is another person's: so they go on
  -- having one key, which names nobody.
  WITH record AS (
    SELECT v.source_id, v.source_key, min(v.consent_id) AS first_id FROM cdp_data.consent v
    WHERE v.load_id IS NOT NULL AND (v.source_id, v.source_key) IN (
      SELECT m.source_id, m.source_key FROM cdp_data.consent m WHERE m.identifier_id = ANY (identifiers) AND m.load_id IS NOT NULL)
    GROUP BY v.source_id, v.source_key HAVING count(*) > 1
  ), renamed AS (
    UPDATE cdp_data.consent c SET source_key = 'erased ' || r.first_id FROM record r
    WHERE c.source_id = r.source_id AND c.source_key = r.source_key AND c.load_id IS NOT NULL RETURNING c.consent_id)
  SELECT coalesce(array_agg(r.consent_id), '{}') INTO versions FROM renamed r;
  UPDATE cdp_data.consent c SET identifier_id = NULL, customer_id = NULL, source_key = CASE WHEN c.consent_id = ANY (versions) THEN c.source_key END, evidence = NULL,
    subject_digest = cdp_internal.keyed_digest('consent', cdp_internal.consent_subject(i.type_id, i.value))
  FROM cdp_data.identifier i WHERE i.identifier_id = ANY (identifiers) AND c.identifier_id = i.identifier_id;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.consent', 'digest', erase_of_consent.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_consent(bigint[], bigint[], bigint[], bigint, text) IS
'Erases a person in the tables of consent, before his identifiers go: rows of the ledger keep what was said, its times and text, and a keyed digest of the identifier in place of the person and the evidence; the key of the source goes, or becomes erased <number> on all versions of a record that has several; summaries go. The unlinked customer keeps, per purpose that is no messaging, that the person had refused, or under opt_in that he had granted. Returns what was done per table.';

CREATE OR REPLACE FUNCTION cdp.consent_history(identifier_type text, value text)
RETURNS TABLE (consent_id bigint, purpose text, channel text, status text, explicit boolean, effective_at timestamptz, expires_at timestamptz, recorded_at timestamptz,
  in_force boolean, erased boolean, legal_basis text, notice text, source text, evidence jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  kind record := cdp_internal.identifier_type_of(identifier_type);
  clean text := cdp_internal.read_identifier(consent_history.value, kind.type_id, cdp_internal.identifier_rules());
  id bigint := (SELECT i.identifier_id FROM cdp_data.identifier i WHERE i.type_id = kind.type_id AND i.value = clean);
  digests bytea[] := '{}';
BEGIN
  PERFORM cdp_internal.audit_read('consent_history', cdp_internal.identifier_root(id));
  IF EXISTS (SELECT FROM cdp_data.consent c WHERE c.subject_digest IS NOT NULL) THEN
    digests := cdp_internal.keyed_digests('consent', cdp_internal.consent_subject(kind.type_id, clean), cdp_internal.key_ids());
  END IF;
  RETURN QUERY
  SELECT c.consent_id, p.name, c.channel, c.status, c.explicit, c.effective_at, c.expires_at, c.recorded_at,
    EXISTS (SELECT FROM cdp_data.consent_in_force f WHERE f.consent_id = c.consent_id), c.subject_digest IS NOT NULL, c.legal_basis,
    n.language || ' ' || n.version, s.name, c.evidence
  FROM cdp_data.consent c JOIN cdp_data.source s USING (source_id) LEFT JOIN cdp_data.purpose_all p ON p.purpose_id = c.purpose_id
    LEFT JOIN cdp_data.notice n ON n.sha256 = c.notice_hash
  WHERE c.identifier_id = id OR c.subject_digest = ANY (digests)
  ORDER BY c.effective_at, c.consent_id;
END
$$;
COMMENT ON FUNCTION cdp.consent_history(text, text) IS
'All that the ledger holds about who brings this identifier, in the order of effective_at, also after an erasure (erased: by its keyed digest; the evidence is gone). notice is language and version of the text shown. in_force false: of a reverted load, or corrected since. For the privacy role: shows evidence, so the read is logged. Errors: 22023 unknown type, 42501 without the right, 25006 in a read-only transaction.';
