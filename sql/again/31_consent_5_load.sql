-- Governance room, consent: batches. What cdp.load_touchpoints() is for touchpoints: a staging table is read once, bad
-- rows go to quarantine, the same record again changes nothing, a whole load can be taken back and put in again.
--
-- The ledger is only added to: a record that comes again with another content is a new row, and what counts of a
-- record is what the latest load in force said (cdp_data.consent_in_force).

CREATE OR REPLACE FUNCTION cdp_internal.consent_reasons() RETURNS TABLE (code text, reason text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
SELECT * FROM (VALUES
  ('bad_key'::text, 'source_key is missing, longer than 800 bytes, or a word that says nothing, such as null'::text),
  ('unknown_identifier_type', 'identifier_type is missing or not in cdp_data.identifier_type_all'),
  ('ignored_identifier', 'role of the identifier type is ignore'),
  ('bad_identifier', 'identifier is missing, longer than 800 bytes, or not what its type asks for'),
  ('unknown_purpose', 'purpose is missing or not in cdp_data.purpose_all'),
  ('bad_channel', 'channel is no word of at most 63 of a-z 0-9 _ . -'),
  ('bad_status', 'status is none of granted, denied, withdrawn'),
  ('bad_time', 'effective_at is missing or no ISO 8601 time of the years 1 to 9999'),
  ('bad_expiry', 'expires_at is no time after effective_at, or the status is no grant'),
  ('bad_explicit', 'explicit is none of true, false'),
  ('bad_legal_basis', 'legal_basis is none of cdp_data.purpose'),
  ('unknown_notice', 'notice is neither hash nor version of one text of the purpose'),
  ('bad_evidence', 'evidence is no JSON object of at most 64 kB'),
  ('superseded', 'a later row of the same load has the same source_key and another content'),
  ('suppressed', 'the identifier is on the suppression list; nothing of the row is kept')
) AS v (code, reason);
END;
COMMENT ON FUNCTION cdp_internal.consent_reasons() IS
'Every code that cdp.load_consents() writes to cdp_data.quarantine, with its text. Read-only; part of the release.';

CREATE OR REPLACE FUNCTION cdp.create_consent_staging(name text) RETURNS regclass
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.make_staging(name, cdp_internal.consent_columns(), 'cdp.load_consents');
END
$$;
COMMENT ON FUNCTION cdp.create_consent_staging(text) IS
'Makes a table of text columns to COPY consents into: source_key, identifier_type, identifier, purpose, channel, status, effective_at, expires_at, explicit, legal_basis, notice, evidence. A name without schema is made in public. Unlogged: a crash empties it. Returns the table. Error 42P07: it exists.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_columns() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['source_key', 'identifier_type', 'identifier', 'purpose', 'channel', 'status', 'effective_at', 'expires_at', 'explicit', 'legal_basis', 'notice', 'evidence'];
COMMENT ON FUNCTION cdp_internal.consent_columns() IS 'Names of the columns that cdp.load_consents() reads. Never NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_time(staging regclass, name text, zone text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kind regtype := (SELECT a.atttypid FROM pg_attribute a
    WHERE a.attrelid = staging AND a.attname = name AND a.attnum > 0 AND NOT a.attisdropped);
BEGIN
  RETURN CASE WHEN kind = 'timestamptz'::regtype THEN format('s.%I', name)
    ELSE format('cdp_internal.parse_time(%s, %L)', cdp_internal.staging_text(staging, name), zone) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_time(regclass, text, text) IS
'SQL that reads a time column of a staging table (alias s) as timestamptz; times without an offset are in the zone.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_read(load bigint, staging regclass, zone text, identifier_type text, purpose text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
DECLARE
  raw jsonb := (SELECT jsonb_object_agg(c, cdp_internal.staging_text(staging, c)) FROM unnest(cdp_internal.consent_columns()) c);
  types record;
  purposes record;
  n bigint;
BEGIN
  SELECT array_agg(t.name) AS names, array_agg(t.type_id::integer) AS ids,
    coalesce(array_agg(t.type_id::integer) FILTER (WHERE t.role = 'ignore'), '{}') AS ignored INTO types FROM cdp_data.identifier_type_all t;
  SELECT array_agg(p.name) AS names, array_agg(p.purpose_id::integer) AS ids INTO purposes FROM cdp_data.purpose_all p;
  -- The first columns are those by which the core finds people and the suppressed among them.
  CREATE TEMP TABLE cdp_load_row (
    row_no bigint, at timestamptz, type_id smallint, identifier text COLLATE "C", code text, source_key text COLLATE "C", purpose_id smallint,
    channel text COLLATE "C", status text COLLATE "C", explicit boolean, legal_basis text COLLATE "C", notice_hash bytea, evidence jsonb,
    expires_at timestamptz, original jsonb);
  EXECUTE format($sql$
INSERT INTO pg_temp.cdp_load_row
SELECT q.row_no, q.at, q.type_id, q.identifier, q.code, q.source_key, q.purpose_id, q.channel, q.status, q.explicit,
  coalesce(q.legal_basis, b.legal_basis), n.sha256, q.evidence, q.expires_at, to_jsonb(q.whole)
FROM (
  SELECT p.*, CASE
    WHEN p.source_key IS NULL THEN 'bad_key'
    WHEN p.type_id IS NULL THEN 'unknown_identifier_type'
    WHEN p.type_id = ANY (%1$L) THEN 'ignored_identifier'
    WHEN p.identifier IS NULL THEN 'bad_identifier'
    WHEN p.purpose_id IS NULL THEN 'unknown_purpose'
    WHEN p.channel !~ '^[a-z0-9_.-]{0,63}$' THEN 'bad_channel'
    WHEN p.status IS NULL THEN 'bad_status'
    WHEN p.at IS NULL OR p.at < '0001-01-01 00:00:00+00' OR p.at >= '10000-01-01 00:00:00+00' THEN 'bad_time'
    WHEN p.raw_expires <> '' AND (p.expires_at IS NULL OR NOT isfinite(p.expires_at) OR p.expires_at <= p.at OR p.status <> 'granted') THEN 'bad_expiry'
    WHEN p.explicit IS NULL THEN 'bad_explicit'
    WHEN p.raw_basis <> '' AND p.legal_basis IS NULL THEN 'bad_legal_basis'
    WHEN p.raw_evidence <> '' AND (jsonb_typeof(p.evidence) IS DISTINCT FROM 'object' OR octet_length(p.raw_evidence) > 65536) THEN 'bad_evidence' END AS code
  FROM (
    SELECT coalesce(s.*) AS whole, cdp_internal.row_number() AS row_no, cdp_internal.parse_key(%2$s) AS source_key,
      cdp_internal.code_of(%3$s, %4$L, %5$L)::smallint AS type_id,
      cdp_internal.read_identifier(%6$s, cdp_internal.code_of(%3$s, %4$L, %5$L), %7$L) AS identifier,
      cdp_internal.code_of(%8$s, %9$L, %10$L)::smallint AS purpose_id, lower(btrim(coalesce(%11$s, ''))) AS channel,
      cdp_internal.word_of(%12$s, '{granted,denied,withdrawn}') AS status, %13$s AS at,
      %14$s AS expires_at, btrim(%15$s) AS raw_expires,
      CASE lower(btrim(coalesce(%16$s, ''))) WHEN '' THEN false WHEN 'true' THEN true WHEN 't' THEN true WHEN '1' THEN true WHEN 'yes' THEN true
        WHEN 'false' THEN false WHEN 'f' THEN false WHEN '0' THEN false WHEN 'no' THEN false END AS explicit,
      cdp_internal.word_of(%17$s, '{consent,contract,legal_obligation,vital_interests,public_task,legitimate_interests}') AS legal_basis, btrim(%17$s) AS raw_basis,
      nullif(btrim(%18$s), '') AS notice, nullif(cdp_internal.parse_json(%19$s), '{}') AS evidence, nullif(btrim(%19$s), '{}') AS raw_evidence
    FROM %20$s s OFFSET 0) p
  OFFSET 0) q
  LEFT JOIN cdp_data.purpose_all b ON b.purpose_id = q.purpose_id
  LEFT JOIN (
    SELECT v.purpose_id, v.word, (array_agg(v.sha256))[1] AS sha256
    FROM (SELECT DISTINCT t.purpose_id, w.word, t.sha256 FROM cdp_data.notice t
          CROSS JOIN LATERAL (VALUES (encode(t.sha256, 'hex')), (t.version), (t.language || ' ' || t.version)) w (word)) v
    GROUP BY v.purpose_id, v.word HAVING count(*) = 1) n ON n.purpose_id = q.purpose_id AND n.word = q.notice$sql$,
    types.ignored, cdp_internal.staging_key(raw ->> 'source_key'),
    CASE WHEN identifier_type IS NULL THEN raw ->> 'identifier_type' ELSE format('coalesce(nullif(%s, ''''), %L)', raw ->> 'identifier_type', identifier_type) END,
    types.names, types.ids, raw ->> 'identifier', cdp_internal.identifier_rules(),
    CASE WHEN purpose IS NULL THEN raw ->> 'purpose' ELSE format('coalesce(nullif(%s, ''''), %L)', raw ->> 'purpose', purpose) END,
    purposes.names, purposes.ids, raw ->> 'channel', raw ->> 'status', cdp_internal.consent_time(staging, 'effective_at', zone),
    cdp_internal.consent_time(staging, 'expires_at', zone), raw ->> 'expires_at', raw ->> 'explicit', raw ->> 'legal_basis', raw ->> 'notice', raw ->> 'evidence',
    (SELECT format('%I.%I', s.nspname, c.relname) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE c.oid = staging));
  GET DIAGNOSTICS n = ROW_COUNT;
  UPDATE pg_temp.cdp_load_row r SET code = 'unknown_notice'
  WHERE r.code IS NULL AND r.notice_hash IS NULL AND btrim(r.original ->> 'notice') <> '';
  ANALYZE pg_temp.cdp_load_row;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_read(bigint, regclass, text, text, text) IS
'Reads a staging table of consents once into pg_temp.cdp_load_row, every field parsed, with a reason code where one does not. Returns the number of rows.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_repeats() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE pg_temp.cdp_load_row r
  SET code = CASE WHEN (r.type_id, r.identifier, r.purpose_id, r.channel, r.status, r.explicit, r.legal_basis, r.at) = (w.type_id, w.identifier, w.purpose_id, w.channel, w.status, w.explicit, w.legal_basis, w.at)
      AND (r.notice_hash, r.evidence, r.expires_at) IS NOT DISTINCT FROM (w.notice_hash, w.evidence, w.expires_at) THEN 'repeated' ELSE 'superseded' END
  FROM (
    SELECT x.row_no, max(x.row_no) OVER (PARTITION BY x.source_key) AS winner FROM pg_temp.cdp_load_row x WHERE x.code IS NULL
  ) x JOIN pg_temp.cdp_load_row w ON w.row_no = x.winner
  WHERE r.row_no = x.row_no AND x.row_no <> x.winner;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_repeats() IS
'Marks rows of the running load of consents whose source_key comes again further down: repeated when equal, else superseded.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_quarantine(load bigint, src integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  INSERT INTO cdp_data.quarantine (load_id, source_id, row_no, original, code, reason)
  SELECT load, src, r.row_no, CASE WHEN r.code = 'suppressed' THEN '{}' ELSE r.original END, r.code, x.reason
  FROM pg_temp.cdp_load_row r JOIN cdp_internal.consent_reasons() x USING (code)
  ORDER BY r.row_no;
  GET DIAGNOSTICS n = ROW_COUNT;
  PERFORM cdp_internal.count_suppressed(src, (SELECT count(*) FROM pg_temp.cdp_load_row r WHERE r.code = 'suppressed'));
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_quarantine(bigint, integer) IS
'Writes the refused rows of the running load of consents to quarantine; of suppressed people nothing but the count is kept (cdp_bi.suppression_refusal). Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_write(load bigint, src integer, at timestamptz,
  OUT inserted bigint, OUT corrected bigint, OUT unchanged bigint, OUT consent_ids bigint[], OUT old_ids bigint[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  CREATE TEMP TABLE cdp_load_old AS
  SELECT r.row_no, c.consent_id, c.load_id AS owner_load, c.identifier_id = p.identifier_id AND
    (c.purpose_id, c.channel, c.status, c.explicit, c.legal_basis, c.effective_at) = (r.purpose_id, r.channel, r.status, r.explicit, r.legal_basis, r.at)
      AND (c.notice_hash, c.evidence, c.expires_at) IS NOT DISTINCT FROM (r.notice_hash, r.evidence, r.expires_at) AS same
  FROM pg_temp.cdp_load_row r JOIN pg_temp.cdp_load_person p USING (type_id, identifier)
    JOIN cdp_data.consent_in_force c ON c.source_id = src AND c.source_key = r.source_key AND c.load_id IS NOT NULL
  WHERE r.code IS NULL AND EXISTS (SELECT FROM cdp_data.consent e WHERE e.source_id = src AND e.load_id IS NOT NULL);
  ANALYZE pg_temp.cdp_load_old;
  WITH made AS (
    INSERT INTO cdp_data.consent AS c (identifier_id, customer_id, load_id, effective_at, expires_at, recorded_at, source_id, purpose_id, explicit, status,
      channel, legal_basis, notice_hash, source_key, evidence)
    SELECT p.identifier_id, p.customer_id, load, r.at, r.expires_at, consent_write.at, src, r.purpose_id, r.explicit, r.status,
      r.channel, r.legal_basis, r.notice_hash, r.source_key, r.evidence
    FROM pg_temp.cdp_load_row r JOIN pg_temp.cdp_load_person p USING (type_id, identifier) LEFT JOIN pg_temp.cdp_load_old o USING (row_no)
    WHERE r.code IS NULL AND o.same IS NOT TRUE
    ORDER BY p.identifier_id, r.row_no
    RETURNING c.consent_id
  )
  SELECT array_agg(m.consent_id), count(*) INTO consent_ids, inserted FROM made m;
  INSERT INTO cdp_data.consent_confirmed (load_id, owner_load, consents)
  SELECT load, x.owner_load, range_agg(x.run)
  FROM (
    SELECT y.owner_load, int8range(min(y.consent_id), max(y.consent_id), '[]') AS run
    FROM (SELECT o.owner_load, o.consent_id, o.consent_id - row_number() OVER (PARTITION BY o.owner_load ORDER BY o.consent_id) AS island
          FROM pg_temp.cdp_load_old o WHERE o.same) y
    GROUP BY y.owner_load, y.island) x
  GROUP BY x.owner_load;
  SELECT count(*) FILTER (WHERE NOT o.same), count(*) FILTER (WHERE o.same), array_agg(o.consent_id) FILTER (WHERE NOT o.same)
  INTO corrected, unchanged, old_ids FROM pg_temp.cdp_load_old o;
  inserted := inserted - corrected;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_write(bigint, integer, timestamptz) IS
'Writes the rows of the running load that are new or other than what is in force into the ledger, and notes which were there unchanged. Returns the counts, the new rows, and the rows that no longer count.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_remake_of(consent_ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  k record;
BEGIN
  SELECT array_agg(x.identifier_id) AS ids, array_agg(x.purpose_id) AS purposes, array_agg(x.channel) AS channels INTO k
  FROM (SELECT DISTINCT c.identifier_id, c.purpose_id, c.channel FROM unnest(consent_ids) u JOIN cdp_data.consent c ON c.consent_id = u
        WHERE c.identifier_id IS NOT NULL) x;
  PERFORM cdp_internal.consent_remake_state(k.ids, k.purposes, k.channels, at);
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_remake_of(bigint[], timestamptz) IS
'Makes the summaries concerned by these rows of the ledger anew.';

CREATE OR REPLACE FUNCTION cdp.load_consents(
  source text, staging regclass, time_zone text DEFAULT NULL, identifier_type text DEFAULT NULL, purpose text DEFAULT NULL, note text DEFAULT NULL)
RETURNS TABLE (load_id bigint, rows_read bigint, inserted bigint, corrected bigint, unchanged bigint, quarantined bigint, cancelled bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp SET synchronize_seqscans = off SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  src integer;
  zone text;
  seen record;
  w record;
  written timestamptz;
  work_mem text := current_setting('work_mem');
BEGIN
  load_id := cdp_internal.load_begin(source, 'consents', note);
  PERFORM cdp_internal.check_staging(staging, ARRAY['source_key', 'identifier', 'status', 'effective_at']
    || CASE WHEN identifier_type IS NULL THEN ARRAY['identifier_type'] END || CASE WHEN purpose IS NULL THEN ARRAY['purpose'] END);
  IF purpose IS NOT NULL THEN
    PERFORM cdp_internal.purpose_of(purpose);
  END IF;
  SELECT l.source_id, coalesce(time_zone, s.timezone) INTO src, zone FROM cdp_data.load l JOIN cdp_data.source s USING (source_id) WHERE l.load_id = load_consents.load_id;
  PERFORM set_config('work_mem', cdp_internal.batch_memory(), true);
  PERFORM cdp_internal.drop_load_tables();
  rows_read := cdp_internal.consent_read(load_id, staging, zone, identifier_type, purpose);
  PERFORM cdp_internal.consent_repeats();
  PERFORM cdp_internal.load_group_people();
  quarantined := cdp_internal.consent_quarantine(load_id, src);
  SELECT min(r.at) AS first_at, max(r.at) AS last_at INTO seen FROM pg_temp.cdp_load_row r WHERE r.code IS NULL;
  -- A consent is no sight of the identifier: first_seen and last_seen stay.
  UPDATE pg_temp.cdp_load_group g SET first_at = NULL, last_at = NULL;
  PERFORM cdp_internal.load_people();
  written := clock_timestamp();
  w := cdp_internal.consent_write(load_id, src, written);
  inserted := w.inserted;
  corrected := w.corrected;
  unchanged := rows_read - inserted - corrected - quarantined;
  PERFORM cdp_internal.load_end(load_id, rows_read, inserted, corrected, unchanged, quarantined, 0, seen.first_at, seen.last_at);
  PERFORM cdp_internal.outbox_close();
  IF w.old_ids IS NOT NULL THEN
    PERFORM cdp_internal.consent_remake_of(w.old_ids || w.consent_ids, written);
  ELSE
    PERFORM cdp_internal.consent_add_state(w.consent_ids, written);
  END IF;
  PERFORM cdp_internal.feed_write(array_agg(x.customer_id), 'consent')
  FROM (SELECT DISTINCT c.customer_id FROM unnest(w.old_ids || w.consent_ids) u JOIN cdp_data.consent c ON c.consent_id = u ORDER BY 1) x HAVING count(*) > 0;
  cancelled := cdp_internal.outbox_recheck(NULL);
  PERFORM cdp_data.audit_write('load', 'consents', NULL, jsonb_build_object('load_id', load_id, 'source_id', src, 'rows', rows_read,
    'inserted', inserted, 'corrected', corrected, 'quarantined', quarantined));
  PERFORM cdp_internal.drop_load_tables();
  PERFORM set_config('work_mem', work_mem, true);
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION cdp.load_consents(text, regclass, text, text, text, text) IS
'Loads records of consent from a staging table or view into the ledger. Columns, of type text or their own: source_key, identifier_type, identifier, purpose, status (granted, denied, withdrawn), effective_at (needed), channel, expires_at, explicit (without it: implied), legal_basis, notice (hash or version), evidence (JSON object). identifier_type and purpose serve rows without one; a time without offset is in time_zone (NULL: that of the source). The same record (source, source_key) again is unchanged; with other content it is a new row, which counts from then on. Of several rows of a key the last counts. Rows that do not parse go to cdp_data.quarantine (mend and load them again) and stop nothing. Unknown identifiers become customers. Holds within this transaction; waiting messages that it forbids are cancelled. cdp.revert_load() and retry_load() take it back and put it in again: records end as if only the loads in force had ever run. Returns the ledger row''s counts and the messages cancelled. Errors: 22023 unknown source or purpose, 42703 missing columns, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.load_changed_consent(load_id bigint, to_state text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  load bigint := load_changed_consent.load_id;
  ids bigint[];
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.load l WHERE l.load_id = load AND l.kind = 'consents') THEN
    RETURN;
  END IF;
  -- All versions of the records about which the load said something.
  SELECT array_agg(DISTINCT v.consent_id) INTO ids
  FROM (
    SELECT c.source_id, c.source_key FROM cdp_data.consent c WHERE c.load_id = load
    UNION
    SELECT c.source_id, c.source_key FROM cdp_data.consent_confirmed f, unnest(f.consents) r, generate_series(lower(r), upper(r) - 1) i
      JOIN cdp_data.consent c ON c.consent_id = i WHERE f.load_id = load) k
    JOIN cdp_data.consent v ON v.source_id = k.source_id AND v.source_key = k.source_key AND v.load_id IS NOT NULL;
  PERFORM cdp_internal.outbox_close();
  PERFORM cdp_internal.consent_remake_of(ids, clock_timestamp());
  PERFORM cdp_internal.feed_write(array_agg(x.customer_id), 'consent')
  FROM (SELECT DISTINCT c.customer_id FROM unnest(ids) u JOIN cdp_data.consent c ON c.consent_id = u WHERE c.customer_id IS NOT NULL ORDER BY 1) x HAVING count(*) > 0;
  PERFORM cdp_internal.outbox_recheck(NULL);
  PERFORM cdp_data.audit_write(CASE to_state WHEN 'reverted' THEN 'revert' ELSE 'load' END, 'consents', NULL,
    jsonb_build_object('load_id', load, 'to_state', to_state, 'rows', coalesce(cardinality(ids), 0)));
END
$$;
COMMENT ON FUNCTION cdp_internal.load_changed_consent(bigint, text) IS
'What consent does when a load was reverted or retried (cdp_internal.room_functions()): the summaries of the records concerned are made anew, and waiting messages that are no longer allowed are cancelled.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_consent()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.outbox_close();
  RAISE NOTICE 'maintain: % summaries of consent began', cdp_internal.consent_fold_due();
  RAISE NOTICE 'maintain: % messages cancelled for want of consent', cdp_internal.outbox_recheck(NULL);
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_consent() IS
'Part of cdp.maintain(): records of consent that have begun come into the summaries, and waiting messages whose consent has run out are cancelled.';
