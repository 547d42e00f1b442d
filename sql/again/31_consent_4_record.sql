-- Governance room, consent: one record in one call, and the answer of the ledger for one customer.

CREATE OR REPLACE FUNCTION cdp_internal.consent_check(
  status text, legal_basis text, effective_at timestamptz, expires_at timestamptz, evidence jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF status IS NULL OR status NOT IN ('granted', 'denied', 'withdrawn') THEN
    RAISE EXCEPTION 'unknown status "%" of a consent', left(coalesce(status, 'NULL'), 50)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Use granted, denied (asked and refused) or withdrawn (granted before).';
  ELSIF legal_basis NOT IN ('consent', 'contract', 'legal_obligation', 'vital_interests', 'public_task', 'legitimate_interests') THEN
    RAISE EXCEPTION 'unknown legal basis "%"', left(legal_basis, 50)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Use consent, contract, legal_obligation, vital_interests, public_task or legitimate_interests.';
  ELSIF effective_at < '0001-01-01 00:00:00+00' OR effective_at >= '10000-01-01 00:00:00+00' THEN
    RAISE EXCEPTION 'no credible time of a consent' USING ERRCODE = 'datetime_field_overflow', DETAIL = 'Times from the year 1 to 9999 are taken.';
  ELSIF expires_at IS NOT NULL AND (status <> 'granted' OR NOT isfinite(expires_at) OR expires_at <= effective_at) THEN
    RAISE EXCEPTION 'only a grant can run out, after it began'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave expires_at out for a refusal and for a grant without end.';
  ELSIF jsonb_typeof(evidence) <> 'object' OR octet_length(evidence::text) > 65536 THEN
    RAISE EXCEPTION 'evidence must be a JSON object of at most 64 kB'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s of %s bytes.', jsonb_typeof(evidence), octet_length(evidence::text));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_check(text, text, timestamptz, timestamptz, jsonb) IS
'Raises for what no row of the ledger may hold: 22023 unknown status or legal basis, bad end or evidence, 22008 no credible time. NULLs but of status pass.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_subjects(identifiers jsonb, customer bigint, refusal boolean,
  OUT identifier_ids bigint[], OUT homes bigint[], OUT suppressed boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  clean record;
  root bigint;
  given bigint[];
  types smallint[];
  vals text[];
  unread text;
BEGIN
  suppressed := false;
  IF (identifiers IS NULL) = (customer IS NULL) THEN
    RAISE EXCEPTION 'a consent is of a customer or of identifiers, one of both'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Give identifiers => ''{"email": "..."}'' or customer => 7.';
  ELSIF customer IS NOT NULL THEN
    root := cdp_internal.root_of(customer);
    -- A refusal is written under every identifier, so that it stays with all parts when an unmerge divides them; a grant
    -- under the strongest one, so that no part takes along what another person said.
    SELECT array_agg(x.identifier_id), array_agg(x.type_id), array_agg(x.value) INTO given, types, vals
    FROM (
      SELECT m.identifier_id, m.type_id, i.value
      FROM cdp_internal.members(root) m JOIN cdp_data.identifier i USING (identifier_id) JOIN cdp_data.identifier_type_all t ON t.type_id = m.type_id
      -- As cdp_internal.strongest() has it: what several share, or is only attached, may be another's tomorrow.
      ORDER BY i.state = 'quarantined', t.role = 'attach_only', t.priority, m.identifier_id LIMIT CASE WHEN refusal THEN NULL ELSE 1 END) x;
    IF given IS NULL THEN
      RAISE EXCEPTION 'customer % has no identifier to which a consent can belong', customer
        USING ERRCODE = 'no_data_found', DETAIL = CASE WHEN root IS NULL THEN 'There is no such customer.' ELSE 'It is nobody''s any more.' END;
    END IF;
    PERFORM cdp_internal.guard_suppressed(types, vals); -- who was erased meanwhile is no longer there below
  ELSE
    clean := cdp_internal.clean_identifiers(identifiers);
    IF clean.refused @> '[{"code": "suppressed"}]' OR cdp_internal.guard_suppressed(clean.type_ids, clean.vals) THEN
      suppressed := true;
      RETURN;
    ELSIF cardinality(clean.type_ids) = 0 THEN
      RAISE EXCEPTION 'no identifier of the consent can identify anybody'
        USING ERRCODE = 'invalid_parameter_value',
          DETAIL = coalesce((SELECT string_agg(format('%s: %s', r ->> 'type', r ->> 'code'), ', ') || '.' FROM jsonb_array_elements(clean.refused) r), 'None was given.'),
          HINT = 'cdp.why_refused(type, value) tells more.';
    END IF;
    unread := (SELECT string_agg(format('%s: %s', r ->> 'type', r ->> 'code'), ', ') FROM jsonb_array_elements(clean.refused) r WHERE r ->> 'code' NOT IN ('empty', 'ignored'));
    IF unread IS NOT NULL THEN
      RAISE WARNING 'the consent is not recorded for all identifiers' USING DETAIL = unread || '.', HINT = 'cdp.why_refused(type, value) tells more.';
    END IF;
    WITH made AS (
      INSERT INTO cdp_data.identifier (type_id, value, customer_id)
      SELECT x.type_id, x.value, nextval('cdp_data.customer_customer_id_seq')
      FROM (
        SELECT u.type_id, u.value FROM unnest(clean.type_ids, clean.vals) u (type_id, value)
        WHERE NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE (i.type_id, i.value) = (u.type_id, u.value))
        ORDER BY u.type_id, u.value COLLATE "C" OFFSET 0) x
      ON CONFLICT (type_id, value) DO NOTHING
      RETURNING customer_id
    )
    INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT m.customer_id, m.customer_id FROM made m;
    given := ARRAY(
      SELECT i.identifier_id FROM unnest(clean.type_ids, clean.vals) u (type_id, value) JOIN cdp_data.identifier i ON (i.type_id, i.value) = (u.type_id, u.value));
  END IF;
  SELECT array_agg(x.identifier_id), array_agg(x.customer_id) INTO identifier_ids, homes
  FROM (
    SELECT i.identifier_id, i.customer_id FROM cdp_data.identifier i WHERE i.identifier_id = ANY (given) ORDER BY i.type_id, i.value) x;
  IF cardinality(identifier_ids) IS DISTINCT FROM cardinality(given) THEN
    RAISE EXCEPTION 'an identifier of the consent was erased meanwhile'
      USING ERRCODE = 'serialization_failure', HINT = 'Call again.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_subjects(jsonb, bigint, boolean) IS
'The identifiers, guarded against erasure (cdp_internal.guard_calls()), under which a record of consent is written, with their home customers. Of identifiers: all of them, new ones are made. Of a customer: all of his for a refusal, the strongest for a grant. suppressed: one of them is of an erased person, nothing may be kept. Errors: 22023 neither or both, or none that identifies; P0002 no such customer; 40001 erased meanwhile.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_repeated(src integer, key text, identifier_ids bigint[], purpose_id smallint, channel text, status text, explicit boolean) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ids bigint[];
  other boolean;
BEGIN
  SELECT array_agg(c.consent_id ORDER BY c.consent_id),
    bool_or((c.purpose_id, c.channel, c.status, c.explicit) <> (consent_repeated.purpose_id, consent_repeated.channel, consent_repeated.status, consent_repeated.explicit))
      OR NOT bool_or(c.identifier_id = ANY (identifier_ids))
  INTO ids, other
  FROM cdp_data.consent c WHERE c.source_id = src AND c.source_key = key AND c.load_id IS NULL;
  IF other THEN
    -- Whoever withdraws must not be told that this was there already.
    RAISE EXCEPTION 'a message with this message_id said something else'
      USING ERRCODE = 'unique_violation', DETAIL = format('Record %s of the ledger has it: another person, purpose, channel or status. Nothing was written.', ids[1]),
        HINT = 'Give each record a message_id of its own, such as "form 17 marketing email", or none.';
  END IF;
  RETURN ids;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_repeated(integer, text, bigint[], smallint, text, text, boolean) IS
'The rows of the ledger that a call with this message_id (key) has written; NULL when there is none, or no key. Error 23505: they say something else than this call does.';

CREATE OR REPLACE FUNCTION cdp.record_consent(
  source text, purpose text, status text, identifiers jsonb DEFAULT NULL, customer bigint DEFAULT NULL, channel text DEFAULT '',
  explicit boolean DEFAULT true, notice text DEFAULT NULL, evidence jsonb DEFAULT NULL, effective_at timestamptz DEFAULT NULL,
  expires_at timestamptz DEFAULT NULL, legal_basis text DEFAULT NULL, message_id text DEFAULT NULL,
  OUT result text, OUT consent_ids bigint[], OUT customer_ids bigint[], OUT cancelled bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  p record;
  s record;
  src integer;
  word text := cdp_internal.consent_channel(channel);
  written timestamptz := clock_timestamp();
  hash bytea;
  key text := cdp_internal.said_key(message_id);
  narrows boolean; -- it may take something away
BEGIN
  PERFORM cdp_internal.require_setup();
  src := cdp_internal.source_of(source);
  p := cdp_internal.purpose_of(purpose);
  effective_at := coalesce(effective_at, written);
  PERFORM cdp_internal.consent_check(status, legal_basis, effective_at, expires_at, evidence);
  IF explicit IS NULL OR octet_length(key) NOT BETWEEN 1 AND 800 THEN
    RAISE EXCEPTION 'explicit must be true or false, and message_id have 1 to 800 bytes'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got explicit %s, a message_id of %s bytes.', coalesce(explicit::text, 'NULL'), coalesce(octet_length(key), 0)),
        HINT = 'Leave out what the record does not have.';
  ELSIF status <> 'granted' AND word <> '' AND NOT p.is_messaging AND p.rule <> 'off' THEN
    RAISE WARNING 'what is done for "%" without a channel goes on', purpose
      USING DETAIL = format('The refusal is of channel %s only; reports ask without one.', word), HINT = 'Leave channel out when the person refuses the purpose as such.';
  END IF;
  hash := cdp_internal.notice_of(p.purpose_id, notice);
  s := cdp_internal.consent_subjects(identifiers, customer, status <> 'granted');
  cancelled := 0;
  IF s.suppressed THEN
    PERFORM cdp_internal.count_suppressed(src, 1);
    result := 'suppressed';
    RETURN;
  END IF;
  narrows := status <> 'granted' OR expires_at IS NOT NULL;
  customer_ids := CASE WHEN narrows THEN cdp_internal.consent_hold(s.identifier_ids)
    ELSE ARRAY(SELECT DISTINCT cdp_internal.identifier_root(i) AS r FROM unnest(s.identifier_ids) i ORDER BY r) END;
  consent_ids := cdp_internal.consent_repeated(src, key, s.identifier_ids, p.purpose_id, word, status, explicit);
  IF consent_ids IS NOT NULL THEN
    result := 'repeated';
    RETURN;
  END IF;
  WITH made AS (
    INSERT INTO cdp_data.consent AS c (identifier_id, customer_id, effective_at, expires_at, recorded_at, source_id, purpose_id, explicit, status, channel,
      legal_basis, notice_hash, source_key, evidence)
    SELECT u.identifier_id, u.home, effective_at, expires_at, written, src, p.purpose_id, explicit, status, word, coalesce(legal_basis, p.legal_basis), hash, key, evidence
    FROM unnest(s.identifier_ids, s.homes) u (identifier_id, home)
    ON CONFLICT (source_id, source_key, identifier_id) WHERE load_id IS NULL AND source_key IS NOT NULL DO NOTHING
    RETURNING c.consent_id
  )
  SELECT array_agg(m.consent_id ORDER BY m.consent_id) INTO consent_ids FROM made m;
  IF consent_ids IS NULL THEN
    -- The same message in another session, which has committed since.
    consent_ids := cdp_internal.consent_repeated(src, key, s.identifier_ids, p.purpose_id, word, status, explicit);
    result := 'repeated';
    RETURN;
  END IF;
  PERFORM cdp_internal.consent_add_state(consent_ids, written);
  PERFORM cdp_internal.feed_write(ARRAY(SELECT DISTINCT h FROM unnest(s.homes) h ORDER BY h), 'consent');
  PERFORM cdp_data.audit_write('consent', format('%s %s%s', status, purpose, CASE WHEN word <> '' THEN ' ' || word ELSE '' END), u,
    jsonb_build_object('consent_ids', to_jsonb(consent_ids), 'source_id', src, 'explicit', explicit)) FROM unnest(customer_ids) u;
  IF narrows THEN
    cancelled := cdp_internal.outbox_recheck(customer_ids);
  END IF;
  result := 'written';
END
$$;
COMMENT ON FUNCTION cdp.record_consent(text, text, text, jsonb, bigint, text, boolean, text, jsonb, timestamptz, timestamptz, text, text) IS
'Writes what a person said about a purpose: SELECT * FROM cdp.record_consent(''web'', ''marketing'', ''granted'', ''{"email": "..."}'', channel => ''email'', notice => ''en 1''). status: granted, denied, withdrawn. The person by identifiers (each gets the record; unknown ones become customers of their own; link them with cdp.identify()) or by customer (a refusal goes to all identifiers, a grant to the strongest). channel '''': every one; a refusal of one channel only of a purpose that is no messaging raises a WARNING, for reports ask without a channel. explicit false: it was imported or inferred, and never overrides a refusal. notice: the text that was shown, by hash or version. effective_at: when it was said (NULL: now), in the past or the future; expires_at: when a grant runs out. message_id: the same record with the same one again changes nothing; a word that says nothing (undefined, null) counts as none. Identifiers that can identify nobody are left out, with a WARNING. Holds from this call on, within this transaction, for every reader of the gate; waiting messages that it forbids are cancelled. Returns result (written, repeated, or suppressed: an erased person, nothing is kept), the ledger rows, the customers, and the messages cancelled. Errors: 22023 bad argument, unknown source, purpose or notice; 22008 no credible time; 23505 the message_id was given to another record; P0002 no such customer; 40001 erased meanwhile; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.require_whole_ledger() RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Row security would hide a withdrawal that came by another source, and the grant before it would count.
  IF row_security_active('cdp_data.consent') AND cdp_data.sources_of(current_user::text) IS NOT NULL THEN
    RAISE EXCEPTION 'permission denied to judge by the ledger of consent'
      USING ERRCODE = 'insufficient_privilege', DETAIL = format('The role is kept to %s sources, and the word that counts may have come by another.', cardinality(cdp_data.sources_of(current_user::text))),
        HINT = 'cdp.consent_allowed() without as_of says what holds now, by what came from all sources.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_whole_ledger() IS
'Error 42501 when row security shows the caller a part of cdp_data.consent only (cdp.restrict_to_sources()).';

CREATE OR REPLACE FUNCTION cdp.consent_at(customer bigint, purpose text, channel text DEFAULT '', as_of timestamptz DEFAULT NULL,
  OUT state text, OUT allowed boolean, OUT since timestamptz, OUT until timestamptz, OUT consent_id bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  p record := cdp_internal.purpose_of(purpose);
  word text := cdp_internal.consent_channel(channel);
  at timestamptz := coalesce(as_of, clock_timestamp());
  root bigint := cdp_internal.root_of(customer);
  spoken record;
  w record;
BEGIN
  PERFORM cdp_internal.require_whole_ledger();
  -- The latest explicit word; then the latest grant from it on.
  SELECT c.consent_id, c.status, c.effective_at INTO spoken
  FROM cdp_internal.members(root) m JOIN cdp_data.consent_in_force c ON c.identifier_id = m.identifier_id
  WHERE c.purpose_id = p.purpose_id AND c.channel IN ('', word) AND c.effective_at <= at AND (c.explicit OR c.status <> 'granted')
  ORDER BY c.effective_at DESC, c.status = 'granted', c.expires_at NULLS LAST, c.consent_id LIMIT 1;
  IF spoken.status <> 'granted' THEN
    state := 'refused';
    since := spoken.effective_at;
    consent_id := spoken.consent_id;
  ELSE
    SELECT c.consent_id, c.effective_at, c.expires_at INTO w
    FROM cdp_internal.members(root) m JOIN cdp_data.consent_in_force c ON c.identifier_id = m.identifier_id
    WHERE c.purpose_id = p.purpose_id AND c.channel IN ('', word) AND c.effective_at <= at AND c.status = 'granted'
      AND c.effective_at >= coalesce(spoken.effective_at, '-infinity')
    ORDER BY c.effective_at DESC, c.expires_at NULLS LAST, c.consent_id LIMIT 1;
    state := CASE WHEN w.consent_id IS NULL THEN 'unknown' WHEN w.expires_at <= at THEN 'expired' ELSE 'granted' END;
    since := w.effective_at;
    until := w.expires_at;
    consent_id := w.consent_id;
  END IF;
  allowed := p.rule = 'off' OR root IS NOT NULL AND cdp_internal.consent_permits(p.rule, state);
END
$$;
COMMENT ON FUNCTION cdp.consent_at(bigint, text, text, timestamptz) IS
'What the ledger says of a customer (whatever merged id is given), a purpose and a channel at a moment (NULL: now): state unknown, granted, refused or expired; whether the purpose''s rule allows the use (an unknown customer''s: only when it is off); since when, until when (NULL: no end), and the row of cdp_data.consent that decides, which proves it. By what is known today about who is whom and what was said when: records that came late count from effective_at on. The latest explicit word wins, refusals first among those of one time; an implied grant counts from the latest explicit grant on, never against a refusal. Needs the right to read the ledger; a gate asks cdp.consent_allowed(). Errors: 22023 unknown purpose or bad channel, 42501 for a role that is kept to some sources: a part of the ledger decides nothing.';
