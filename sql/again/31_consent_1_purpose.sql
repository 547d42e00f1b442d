-- Governance room, consent: purposes of processing and the notices that people are shown.

CREATE OR REPLACE FUNCTION cdp.purpose_builtin()
RETURNS TABLE (purpose_id smallint, name text, description text, legal_basis text, rule text, is_messaging boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT v.id::smallint, v.name, v.description, v.legal_basis, v.rule, v.messaging
  FROM (VALUES
    (1, 'analytics'::text, 'Measuring what brings customers: attribution, journeys, figures'::text, 'legitimate_interests'::text, 'opt_out'::text, false),
    (2, 'personalisation', 'Showing people what fits them, by segments and offers', 'legitimate_interests', 'opt_out', false),
    (3, 'marketing', 'Advertising messages by e-mail, phone, messenger or post', 'consent', 'opt_in', true),
    (4, 'sharing', 'Handing data to other companies for their own ends', 'consent', 'opt_in', false),
    (5, 'service', 'Messages that a contract needs: orders, deliveries, security', 'contract', 'off', false)
  ) AS v (id, name, description, legal_basis, rule, messaging);
END;
COMMENT ON FUNCTION cdp.purpose_builtin() IS
'Built-in purposes, numbers below 1000; columns as in cdp_data.purpose. What is lawful where you are is for your counsel: replace them with cdp.set_purpose(). With your own: cdp_data.purpose_all.';

CREATE OR REPLACE FUNCTION cdp_internal.purpose_of(name text, OUT purpose_id smallint, OUT rule text, OUT is_messaging boolean, OUT legal_basis text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT p.purpose_id, p.rule, p.is_messaging, p.legal_basis INTO purpose_id, rule, is_messaging, legal_basis
  FROM cdp_data.purpose_all p WHERE p.name = purpose_of.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown purpose "%"', left(coalesce(name, 'NULL'), 100)
      USING ERRCODE = 'invalid_parameter_value',
        HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT p.name FROM cdp_data.purpose_all p),
          format('Purposes are: %s; a new one is made with cdp.set_purpose().', (SELECT string_agg(p.name, ', ' ORDER BY p.name) FROM cdp_data.purpose_all p)));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.purpose_of(text) IS
'Number, switch and legal basis of the purpose of that name. Error 22023 when there is none, with the nearest name.';

CREATE OR REPLACE FUNCTION cdp.set_purpose(
  name text, legal_basis text DEFAULT NULL, rule text DEFAULT NULL, is_messaging boolean DEFAULT NULL, description text DEFAULT NULL,
  controller text DEFAULT NULL, contact text DEFAULT NULL, data_subjects text DEFAULT NULL, data_categories text DEFAULT NULL,
  recipients text DEFAULT NULL, transfers text DEFAULT NULL, retention text DEFAULT NULL, security_measures text DEFAULT NULL,
  assessment text DEFAULT NULL)
RETURNS smallint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known cdp_data.purpose_all;
  id smallint;
  switch text;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('name of a purpose', name, 63, '^[a-z][a-z0-9_]*$', 'Use 1 to 63 of a-z 0-9 _, with a letter first, such as loyalty_programme.');
  SELECT * INTO known FROM cdp_data.purpose_all p WHERE p.name = set_purpose.name;
  IF known.purpose_id IS NULL AND (legal_basis IS NULL OR rule IS NULL) THEN
    RAISE EXCEPTION 'a new purpose needs a legal basis and a rule'
      USING ERRCODE = 'null_value_not_allowed',
        HINT = 'legal_basis: consent, contract, legal_obligation, vital_interests, public_task or legitimate_interests; rule: off, opt_out or opt_in.';
  END IF;
  PERFORM cdp_internal.require_choice('legal basis', coalesce(set_purpose.legal_basis, known.legal_basis),
    '{consent,contract,legal_obligation,vital_interests,public_task,legitimate_interests}');
  switch := coalesce(set_purpose.rule, known.rule);
  PERFORM cdp_internal.require_choice('rule', switch, '{off,opt_out,opt_in}');
  IF coalesce(set_purpose.is_messaging, known.is_messaging, false) AND switch <> 'opt_in' THEN
    RAISE EXCEPTION 'messages that people must have asked for need rule opt_in'
      USING ERRCODE = 'check_violation', DETAIL = format('Rule of "%s" would be %s.', name, switch),
        HINT = 'For messages that a contract or a law asks for, make a purpose of that legal basis with is_messaging => false.';
  END IF;
  INSERT INTO cdp_data.purpose AS p (purpose_id, name, description, legal_basis, rule, is_messaging, controller, contact, data_subjects,
    data_categories, recipients, transfers, retention, security_measures, assessment)
  VALUES (coalesce(known.purpose_id, nextval('cdp_data.purpose_purpose_id_seq')::smallint), set_purpose.name,
    coalesce(set_purpose.description, known.description, ''), coalesce(set_purpose.legal_basis, known.legal_basis), switch,
    coalesce(set_purpose.is_messaging, known.is_messaging, false), coalesce(set_purpose.controller, known.controller),
    coalesce(set_purpose.contact, known.contact), coalesce(set_purpose.data_subjects, known.data_subjects),
    coalesce(set_purpose.data_categories, known.data_categories), coalesce(set_purpose.recipients, known.recipients),
    coalesce(set_purpose.transfers, known.transfers), coalesce(set_purpose.retention, known.retention),
    coalesce(set_purpose.security_measures, known.security_measures), coalesce(set_purpose.assessment, known.assessment))
  ON CONFLICT ON CONSTRAINT purpose_pkey DO UPDATE
  SET description = excluded.description, legal_basis = excluded.legal_basis, rule = excluded.rule, is_messaging = excluded.is_messaging,
    controller = excluded.controller, contact = excluded.contact, data_subjects = excluded.data_subjects,
    data_categories = excluded.data_categories, recipients = excluded.recipients, transfers = excluded.transfers,
    retention = excluded.retention, security_measures = excluded.security_measures, assessment = excluded.assessment, updated_at = now()
  RETURNING p.purpose_id INTO id;
  PERFORM cdp_data.audit_write('setting', 'purpose ' || name, NULL, jsonb_build_object('rule', switch, 'was', known.rule,
    'is_messaging', coalesce(set_purpose.is_messaging, known.is_messaging, false), 'legal_basis', coalesce(set_purpose.legal_basis, known.legal_basis)));
  IF known.rule IS DISTINCT FROM switch THEN
    PERFORM cdp_internal.feed_write(NULL, 'consent');
    PERFORM cdp_internal.outbox_recheck(NULL);
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.set_purpose(text, text, text, boolean, text, text, text, text, text, text, text, text, text, text) IS
'Makes a purpose, or changes the one of that name, built-in ones too: an argument that is NULL keeps what is there. rule is the switch of the gate: off, opt_out, opt_in. The other arguments are the record of processing (GDPR Art. 30), in words; see cdp_bi.processing_record. A changed rule holds at once, everywhere: roll-ups start over, and waiting messages that it no longer allows are cancelled. Returns purpose_id. Errors: 22004 a new purpose without legal basis or rule, 22023 a bad name or a word that is none of the list, 23514 a messaging purpose that is not opt_in; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.notice_digest(purpose text, language text, version text, content text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(convert_to(jsonb_build_array(purpose, language, version, content)::text, 'UTF8'));
COMMENT ON FUNCTION cdp_internal.notice_digest(text, text, text, text) IS
'SHA-256 of a notice: of the JSON list of purpose, language, version and text in UTF-8.';

CREATE OR REPLACE FUNCTION cdp.add_notice(purpose text, version text, content text, language text DEFAULT 'en', valid_from timestamptz DEFAULT now())
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record;
  digest bytea;
BEGIN
  PERFORM cdp_internal.require_setup();
  p := cdp_internal.purpose_of(purpose);
  PERFORM cdp_internal.require_text('version of a notice', version, 100), cdp_internal.require_text('language of a notice', language, 35, NULL, 'Such as en or zh-Hans.');
  PERFORM cdp_internal.require_text('text of a notice', content, 1048576, '', 'Give the exact text that people are shown, at most 1 MB.');
  IF valid_from IS NULL THEN
    RAISE EXCEPTION 'valid_from must not be NULL' USING ERRCODE = 'null_value_not_allowed', HINT = 'Leave it out: the notice counts from now on.';
  END IF;
  digest := cdp_internal.notice_digest(purpose, language, version, content);
  INSERT INTO cdp_data.notice AS n (sha256, purpose_id, language, version, text, valid_from)
  VALUES (digest, p.purpose_id, add_notice.language, add_notice.version, content, add_notice.valid_from)
  ON CONFLICT ON CONSTRAINT notice_once DO NOTHING;
  IF NOT FOUND AND NOT EXISTS (SELECT FROM cdp_data.notice n WHERE n.sha256 = digest) THEN
    RAISE EXCEPTION 'version "%" of the notice of "%" (%) has another text', version, purpose, language
      USING ERRCODE = 'unique_violation', HINT = 'What people were shown is never changed: give the new text a new version.';
  END IF;
  RETURN encode(digest, 'hex');
END
$$;
COMMENT ON FUNCTION cdp.add_notice(text, text, text, text, timestamptz) IS
'Keeps the exact text that people are shown when they are asked about a purpose, and returns its hash in hexadecimal, which consents name. The same version with the same text changes nothing. Errors: 23505 the version is there with another text, 22023 unknown purpose, or an empty or too long version, language or text, 22004 valid_from NULL, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.notice_of(purpose_id smallint, notice text) RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found bytea[];
BEGIN
  IF notice IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT array_agg(n.sha256) INTO found FROM cdp_data.notice n
  WHERE n.purpose_id = notice_of.purpose_id AND (encode(n.sha256, 'hex') = lower(notice) OR n.version = notice OR n.language || ' ' || n.version = notice);
  IF cardinality(found) IS DISTINCT FROM 1 THEN
    RAISE EXCEPTION '% notice "%" of this purpose', CASE WHEN found IS NULL THEN 'no' ELSE 'more than one' END, left(notice, 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the hash that cdp.add_notice() returned, or "language version".';
  END IF;
  RETURN found[1];
END
$$;
COMMENT ON FUNCTION cdp_internal.notice_of(smallint, text) IS
'The hash of a notice of a purpose by its hash in hexadecimal, its version, or language and version with a blank between. NULL for NULL. Error 22023: none or several.';
