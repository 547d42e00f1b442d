-- Governance room: the registers of requests and of breaches.
--
-- A request goes received -> verified -> fulfilled, or is refused or withdrawn on the way; it is fulfilled only when
-- somebody has checked who asks. The functions that people call pack their arguments for one definer, cdp_data.register().

CREATE OR REPLACE FUNCTION cdp.request_law_builtin() RETURNS TABLE (law text, kind text, answer_within interval, extension interval, note text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
SELECT l.law, k.kind, l.within, l.extension, l.note
FROM (VALUES
  ('GDPR', '1 month'::interval, '2 months'::interval, 'Art. 12(3)'),
  ('UK GDPR', '1 month', '2 months', 'Art. 12(3)'),
  ('PIPL', '15 days', '0', 'Art. 50: in good time; 15 days is what regulators of China ask of apps'),
  ('CCPA', '45 days', '45 days', 'Cal. Civ. Code 1798.130(a)(2)')
) AS l (law, within, extension, note)
CROSS JOIN (VALUES ('access'), ('correction'), ('erasure'), ('objection'), ('portability'), ('restriction')) AS k (kind);
END;
COMMENT ON FUNCTION cdp.request_law_builtin() IS
'Deadlines of answers by law and kind of request, as read by the makers of pg_cdp; have counsel check them, and put your own into cdp_data.request_law. Read-only; part of the release.';

CREATE OR REPLACE FUNCTION cdp_internal.request_of(request bigint, states text[]) RETURNS record
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
BEGIN
  SELECT q.* INTO r FROM cdp_data.request q WHERE q.request_id = request FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no request %', coalesce(request::text, 'NULL') USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM cdp_bi.request_register;';
  ELSIF r.state <> ALL (states) THEN
    RAISE EXCEPTION 'request % is %', request, r.state
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It must be %s.', array_to_string(states, ' or ')),
        HINT = CASE r.state WHEN 'received' THEN 'Check who asks, then: SELECT cdp.verify_request(request, method, customer);' ELSE 'Open a new one with cdp.open_request().' END;
  END IF;
  RETURN r;
END
$$;
COMMENT ON FUNCTION cdp_internal.request_of(bigint, text[]) IS
'A request, locked. Errors: 22023 no such request, 55000 it is in another state.';

CREATE OR REPLACE FUNCTION cdp_internal.request_noted(request bigint, step text, detail text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.request_step (request_id, actor, step, detail) VALUES (request, session_user, step, left(detail, 500));
  PERFORM cdp_data.audit_write('request', 'request ' || request, NULL, jsonb_build_object('step', step));
END
$$;
COMMENT ON FUNCTION cdp_internal.request_noted(bigint, text, text) IS 'Writes a step of a request, and the audit.';

CREATE OR REPLACE FUNCTION cdp_internal.request_customer(args jsonb) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  root bigint := cdp_internal.root_of((args ->> 'customer')::bigint);
BEGIN
  IF root IS NULL AND args ->> 'customer' IS NOT NULL THEN
    RAISE EXCEPTION 'there is no customer %', args ->> 'customer'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp.customer_of(type, value) finds the customer of an identifier.';
  END IF;
  RETURN root;
END
$$;
COMMENT ON FUNCTION cdp_internal.request_customer(jsonb) IS
'The root of the customer that a call names; NULL when it names none. Error 22023: there is no such customer.';

CREATE OR REPLACE FUNCTION cdp_internal.require_words(words text, message text, hint text) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF coalesce(btrim(words), '') = '' THEN
    RAISE EXCEPTION '%', message USING ERRCODE = 'invalid_parameter_value', HINT = hint;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_words(text, text, text) IS 'Error 22023 with this message and hint when nothing is said.';

CREATE OR REPLACE FUNCTION cdp_internal.request_open(args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  l record;
  came timestamptz := coalesce((args ->> 'received_at')::timestamptz, now());
  id bigint;
BEGIN
  SELECT x.* INTO l FROM cdp_data.request_law_all x WHERE x.law = args ->> 'law' AND x.kind = args ->> 'kind';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no deadline is known for a request of kind "%" under "%"', left(coalesce(args ->> 'kind', 'NULL'), 30), left(coalesce(args ->> 'law', 'NULL'), 30)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM cdp_data.request_law_all; lists them. Put your own into cdp_data.request_law.';
  ELSIF came > now() + interval '1 day' OR came < now() - interval '5 years' THEN
    RAISE EXCEPTION 'a request can not have come at %', came
      USING ERRCODE = 'datetime_field_overflow', DETAIL = 'Taken are the last five years and the day to come.', HINT = 'Leave received_at out when it came now.';
  END IF;
  PERFORM cdp_internal.require_text('channel of a request', coalesce(args ->> 'channel', 'email'), 100, NULL, 'Such as email, letter, shop.');
  INSERT INTO cdp_data.request (kind, law, channel, customer_id, received_at, due_at, reference)
  VALUES (l.kind, l.law, coalesce(args ->> 'channel', 'email'), cdp_internal.request_customer(args), came, (came AT TIME ZONE 'UTC' + l.answer_within) AT TIME ZONE 'UTC', left(args ->> 'reference', 200))
  RETURNING request_id INTO id;
  PERFORM cdp_internal.request_noted(id, 'opened', format('%s under %s', l.kind, l.law));
  RETURN to_jsonb(id);
END
$$;
COMMENT ON FUNCTION cdp_internal.request_open(jsonb) IS 'What cdp.open_request() does.';

CREATE OR REPLACE FUNCTION cdp_internal.parted_since(customer bigint, moment timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  under bigint[] := customer || ARRAY(SELECT u FROM cdp_internal.customers_under(cdp_internal.root_of(customer)) u);
BEGIN
  RETURN EXISTS (
    SELECT FROM cdp_data.merge_log m WHERE m.from_id = ANY (under) AND m.kind IN ('split', 'move') AND m.at >= moment
    UNION ALL SELECT FROM cdp_data.merge_log m WHERE m.customer_id = ANY (under) AND m.kind IN ('split', 'move') AND m.at >= moment);
END
$$;
COMMENT ON FUNCTION cdp_internal.parted_since(bigint, timestamptz) IS
'Whether an unmerge has taken somebody out of a customer, or him out of another, since a moment: then it may be another person than it was.';

CREATE OR REPLACE FUNCTION cdp_internal.request_verify(args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record := cdp_internal.request_of((args ->> 'request')::bigint, '{received,verified}');
  root bigint := coalesce(cdp_internal.request_customer(args), r.customer_id);
BEGIN
  IF r.state = 'verified' THEN
    IF NOT cdp_internal.parted_since(r.customer_id, r.verified_at) THEN
      PERFORM cdp_internal.request_of(r.request_id, '{received}');
    END IF;
    root := cdp_internal.request_customer(args); -- told anew
  END IF;
  PERFORM cdp_internal.require_words(args ->> 'method', 'how the identity was checked must be told', 'Such as: link to the stored address, passport shown.');
  IF (args ->> 'passed')::boolean AND root IS NULL THEN
    RAISE EXCEPTION 'the customer must be told' USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp.customer_of(type, value) finds him.';
  END IF;
  IF (args ->> 'passed')::boolean THEN
    UPDATE cdp_data.request q SET state = 'verified', customer_id = root, verified_at = now(), verified_by = session_user, verification = left(args ->> 'method', 200)
    WHERE q.request_id = r.request_id;
    PERFORM cdp_internal.request_noted(r.request_id, 'verified', args ->> 'method');
  ELSE
    UPDATE cdp_data.request q SET state = 'received' WHERE q.request_id = r.request_id;
    PERFORM cdp_internal.request_noted(r.request_id, 'not verified', args ->> 'method');
  END IF;
  RETURN args -> 'passed';
END
$$;
COMMENT ON FUNCTION cdp_internal.request_verify(jsonb) IS 'What cdp.verify_request() does.';

CREATE OR REPLACE FUNCTION cdp_internal.request_extend(args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record := cdp_internal.request_of((args ->> 'request')::bigint, '{received,verified}');
  more interval := (SELECT l.extension FROM cdp_data.request_law_all l WHERE (l.law, l.kind) = (r.law, r.kind));
BEGIN
  PERFORM cdp_internal.require_words(args ->> 'reason', 'an extension needs a reason', 'The person has to be told it, too.');
  IF r.extended_at IS NOT NULL OR coalesce(more, '0') = '0'::interval THEN
    RAISE EXCEPTION 'request % can not be extended', r.request_id
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = CASE WHEN r.extended_at IS NOT NULL THEN 'It was extended before.' ELSE format('%s knows no extension.', r.law) END;
  ELSIF r.due_at < now() THEN
    RAISE EXCEPTION 'request % was due at %', r.request_id, r.due_at USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'The person must be told of an extension within the first term.';
  END IF;
  UPDATE cdp_data.request q SET extended_at = now(), extension_reason = left(args ->> 'reason', 500), due_at = (q.due_at AT TIME ZONE 'UTC' + more) AT TIME ZONE 'UTC' WHERE q.request_id = r.request_id;
  PERFORM cdp_internal.request_noted(r.request_id, 'extended', args ->> 'reason');
  RETURN (SELECT to_jsonb(q.due_at) FROM cdp_data.request q WHERE q.request_id = r.request_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.request_extend(jsonb) IS 'What cdp.extend_request() does.';

CREATE OR REPLACE FUNCTION cdp_internal.request_close(args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record := cdp_internal.request_of((args ->> 'request')::bigint, '{received,verified}');
BEGIN
  IF args ->> 'state' NOT IN ('refused', 'withdrawn') OR args ->> 'state' IS NULL THEN
    RAISE EXCEPTION 'a request is closed as refused or withdrawn' USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp.fulfil_request() fulfils it.';
  END IF;
  PERFORM cdp_internal.require_words(args ->> 'reason', 'a reason must be given', 'Of a refusal the person has to be told it, with the way to the authority.');
  UPDATE cdp_data.request q SET state = args ->> 'state', closed_at = now(), closed_by = session_user, outcome = left(args ->> 'reason', 500) WHERE q.request_id = r.request_id;
  PERFORM cdp_internal.request_noted(r.request_id, args ->> 'state', args ->> 'reason');
  RETURN 'true';
END
$$;
COMMENT ON FUNCTION cdp_internal.request_close(jsonb) IS 'What cdp.close_request() does.';

CREATE OR REPLACE FUNCTION cdp_internal.request_source() RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce((SELECT s.source_id FROM cdp_data.source s WHERE s.name = 'requests'),
    cdp.add_source('requests', kind => 'requests', description => 'What persons had corrected or refused by a request.'));
END
$$;
COMMENT ON FUNCTION cdp_internal.request_source() IS 'The source named requests, made when it is not there: provenance of corrections and objections.';

CREATE OR REPLACE FUNCTION cdp_internal.correct_customer(customer bigint, attributes jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  src integer := cdp_internal.request_source();
  id bigint;
  home bigint;
  w record;
BEGIN
  IF attributes IS NULL OR jsonb_typeof(attributes) <> 'object' OR attributes = '{}' THEN
    RAISE EXCEPTION 'nothing is to be corrected' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give {"attributes": {"name": value, ...}}.';
  END IF;
  id := cdp_internal.strongest(ARRAY(SELECT m.identifier_id FROM cdp_internal.members(cdp_internal.root_of(customer)) m));
  IF id IS NULL THEN
    RAISE EXCEPTION 'customer % has no identifier', customer USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  PERFORM cdp_internal.guard_suppressed(ARRAY[i.type_id], ARRAY[i.value]) FROM cdp_data.identifier i WHERE i.identifier_id = id;
  SELECT i.customer_id INTO home FROM cdp_data.identifier i WHERE i.identifier_id = id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'customer % was erased meanwhile', customer USING ERRCODE = 'serialization_failure', HINT = 'Close the request: there is nothing to correct any more.';
  END IF;
  w := cdp_internal.attributes_write(cdp_internal.live_load(src, now()), src, home, id, attributes, now(), true);
  IF w.refused <> '[]' THEN
    RAISE EXCEPTION 'not all could be corrected'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = (SELECT string_agg(format('%s: %s', f ->> 'attribute', f ->> 'code'), ', ') || '.' FROM jsonb_array_elements(w.refused) f);
  END IF;
  RETURN jsonb_build_object('attributes', (SELECT jsonb_agg(k ORDER BY k) FROM jsonb_object_keys(attributes) k));
END
$$;
COMMENT ON FUNCTION cdp_internal.correct_customer(bigint, jsonb) IS
'Writes what a person had corrected: attributes as said now by the source requests, checked, so that strategies latest and verified take them. Returns the names. Errors: 22023 nothing to correct, or a value is refused; 40001 erased meanwhile.';

CREATE OR REPLACE FUNCTION cdp_internal.refuse_purposes(customer bigint, purposes jsonb, channel text, request bigint) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  src integer := cdp_internal.request_source();
  wanted text[];
  word text;
  told jsonb := '{}';
  w record;
BEGIN
  wanted := CASE WHEN purposes IS NULL THEN ARRAY(SELECT p.name FROM cdp_data.purpose_all p WHERE p.rule <> 'off' ORDER BY p.name)
    ELSE ARRAY(SELECT jsonb_array_elements_text(purposes)) END;
  FOREACH word IN ARRAY wanted LOOP
    w := cdp.record_consent('requests', word, 'denied', customer => customer, channel => coalesce(channel, ''), message_id => format('request %s %s', request, word),
      evidence => jsonb_build_object('request', request));
    told := told || jsonb_build_object(word, to_jsonb(w.consent_ids));
  END LOOP;
  RETURN jsonb_build_object('refused', told);
END
$$;
COMMENT ON FUNCTION cdp_internal.refuse_purposes(bigint, jsonb, text, bigint) IS
'Records that a person refuses purposes (NULL: every one that has a switch), by the source requests. Returns the purposes with the numbers of the records of consent.';

CREATE OR REPLACE FUNCTION cdp_internal.request_fulfil(args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record := cdp_internal.request_of((args ->> 'request')::bigint, '{verified}');
  given jsonb := coalesce(args -> 'args', '{}');
  answer jsonb;
  made jsonb;
BEGIN
  IF cdp_internal.parted_since(r.customer_id, r.verified_at) THEN
    RAISE EXCEPTION 'customer % was parted after the identity was checked', r.customer_id
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'An unmerge has made two of him; who asks may be either.',
        HINT = 'SELECT cdp.verify_request(request, method, customer); once more, with the customer who it is now.';
  END IF;
  CASE r.kind
    WHEN 'access', 'portability' THEN
      answer := cdp_internal.export_in(r.customer_id);
      made := jsonb_build_object('export_sha256', encode(sha256(convert_to(answer::text, 'UTF8')), 'hex'), 'rows', answer -> 'rows');
    WHEN 'erasure' THEN
      answer := cdp_internal.erase_in(r.customer_id, coalesce(given ->> 'mode', 'anonymise'), r.request_id);
      made := jsonb_build_object('erasure', answer -> 'receipt');
    WHEN 'correction' THEN
      made := cdp_internal.correct_customer(r.customer_id, given -> 'attributes');
    WHEN 'objection' THEN
      IF jsonb_typeof(given -> 'purposes') IS DISTINCT FROM 'array' OR given -> 'purposes' = '[]' THEN
        RAISE EXCEPTION 'an objection names purposes' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give {"purposes": ["marketing"]}; cdp_data.purpose_all lists them.';
      END IF;
      made := cdp_internal.refuse_purposes(r.customer_id, given -> 'purposes', given ->> 'channel', r.request_id);
    ELSE
      made := cdp_internal.refuse_purposes(r.customer_id, NULL, NULL, r.request_id);
  END CASE;
  UPDATE cdp_data.request q SET state = 'fulfilled', closed_at = now(), closed_by = session_user, receipt = made, outcome = 'done' WHERE q.request_id = r.request_id;
  PERFORM cdp_internal.request_noted(r.request_id, 'fulfilled', NULL);
  RETURN coalesce(answer, made);
END
$$;
COMMENT ON FUNCTION cdp_internal.request_fulfil(jsonb) IS 'What cdp.fulfil_request() does.';

CREATE OR REPLACE FUNCTION cdp_internal.breach_read(given jsonb, known_reason text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_choice('risk', coalesce(given ->> 'risk', 'risk'), '{none,risk,high}');
  IF given ->> 'risk' = 'none' AND coalesce(btrim(given ->> 'risk_reason'), known_reason, '') = '' THEN
    RAISE EXCEPTION 'a breach without risk needs a reason'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'risk is none, risk_reason is empty.', HINT = 'Say in details why it harms nobody: {"risk_reason": "..."} (GDPR Art. 33(1)).';
  ELSIF EXISTS (SELECT FROM unnest(ARRAY[given ->> 'people', given ->> 'records']) n WHERE n !~ '^[0-9]{1,18}$') THEN
    RAISE EXCEPTION 'people and records of a breach must be whole numbers from 0 on'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got people %s, records %s.', left(coalesce(given ->> 'people', 'NULL'), 50), left(coalesce(given ->> 'records', 'NULL'), 50)),
        HINT = 'Leave out what is not known yet; cdp.update_breach() adds it.';
  ELSIF EXISTS (SELECT FROM unnest(ARRAY[given ->> 'began_at', given ->> 'ended_at']) t WHERE t IS NOT NULL AND cdp_internal.parse_time(t, 'UTC') IS NULL) THEN
    RAISE EXCEPTION 'began_at and ended_at of a breach must be times'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got began_at %s, ended_at %s.', left(coalesce(given ->> 'began_at', 'NULL'), 50), left(coalesce(given ->> 'ended_at', 'NULL'), 50)),
        HINT = 'Write 2026-01-31 18:00+01; without an offset it is UTC.';
  ELSIF given ? 'close' AND jsonb_typeof(given -> 'close') <> 'boolean' THEN
    RAISE EXCEPTION 'close must be true or false' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', left((given -> 'close')::text, 50)), HINT = 'Write {"close": true}.';
  ELSIF given ? 'categories' AND jsonb_typeof(given -> 'categories') <> 'array' THEN
    RAISE EXCEPTION 'categories of a breach must be a list'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', jsonb_typeof(given -> 'categories')), HINT = 'Such as {"categories": ["names", "orders"]}.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.breach_read(jsonb, text) IS
'Error 22023 when what is told of a breach can not be taken: unknown risk, risk none without a reason (known_reason: that of before), figures that are none.';

CREATE OR REPLACE FUNCTION cdp_internal.breach_write(args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id bigint := (args ->> 'breach_id')::bigint;
  given jsonb := jsonb_strip_nulls(args - 'breach_id');
BEGIN
  PERFORM cdp_internal.breach_read(given, (SELECT b.risk_reason FROM cdp_data.breach b WHERE b.breach_id = id));
  IF id IS NULL THEN
    PERFORM cdp_internal.require_words(given ->> 'nature', 'what happened must be told', 'In a sentence, without names.');
    IF (given ->> 'discovered_at')::timestamptz > now() + interval '1 minute' THEN
      RAISE EXCEPTION 'a breach can not have been discovered at %', given ->> 'discovered_at'
        USING ERRCODE = 'datetime_field_overflow', HINT = 'The 72 hours run from when it became known.';
    END IF;
    INSERT INTO cdp_data.breach (discovered_at, nature, recorded_by, risk, risk_reason)
    VALUES (coalesce((given ->> 'discovered_at')::timestamptz, now()), given ->> 'nature', session_user, coalesce(given ->> 'risk', 'risk'), given ->> 'risk_reason')
    RETURNING breach_id INTO id;
  END IF;
  UPDATE cdp_data.breach b SET nature = coalesce(given ->> 'nature', b.nature), began_at = coalesce(cdp_internal.parse_time(given ->> 'began_at', 'UTC'), b.began_at),
    ended_at = coalesce(cdp_internal.parse_time(given ->> 'ended_at', 'UTC'), b.ended_at),
    categories = CASE WHEN given ? 'categories' THEN ARRAY(SELECT jsonb_array_elements_text(given -> 'categories')) ELSE b.categories END,
    people = coalesce((given ->> 'people')::bigint, b.people), records = coalesce((given ->> 'records')::bigint, b.records),
    consequences = coalesce(given ->> 'consequences', b.consequences), measures = coalesce(given ->> 'measures', b.measures),
    risk = coalesce(given ->> 'risk', b.risk), risk_reason = coalesce(given ->> 'risk_reason', b.risk_reason),
    closed_at = CASE WHEN (given ->> 'close')::boolean THEN now() ELSE b.closed_at END
  WHERE b.breach_id = id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no breach %', id USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM cdp_bi.breach_register;';
  END IF;
  IF (given ->> 'close')::boolean AND EXISTS (SELECT FROM cdp_bi.breach_register g WHERE g.breach_id = id AND g.risk <> 'none' AND (g.authority_at IS NULL OR g.people_to_tell)) THEN
    RAISE EXCEPTION 'breach % can not be closed yet', id
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'The authority, or with risk high the people, have not been told.',
        HINT = 'cdp.breach_notified() notes it; a breach that harms nobody has risk none, with the reason.';
  END IF;
  PERFORM cdp_data.audit_write('breach', 'breach ' || id, NULL, jsonb_build_object('set', (SELECT jsonb_agg(k ORDER BY k) FROM jsonb_object_keys(given) k)));
  RETURN to_jsonb(id);
END
$$;
COMMENT ON FUNCTION cdp_internal.breach_write(jsonb) IS 'What cdp.open_breach() and cdp.update_breach() do.';

CREATE OR REPLACE FUNCTION cdp_internal.breach_tell(args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found timestamptz := (SELECT b.discovered_at FROM cdp_data.breach b WHERE b.breach_id = (args ->> 'breach')::bigint);
  sent timestamptz := coalesce((args ->> 'sent_at')::timestamptz, now());
  id bigint;
BEGIN
  IF found IS NULL THEN
    RAISE EXCEPTION 'there is no breach %', args ->> 'breach' USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM cdp_bi.breach_register;';
  ELSIF sent < found OR sent > now() + interval '1 minute' THEN
    RAISE EXCEPTION 'nobody can have been told at %', sent
      USING ERRCODE = 'datetime_field_overflow', DETAIL = format('It was discovered at %s.', found), HINT = 'Note it when it is done.';
  ELSIF args ->> 'recipient_kind' = 'authority' AND sent > found + interval '72 hours' AND coalesce(btrim(args ->> 'delay_reason'), '') = '' THEN
    RAISE EXCEPTION 'an authority that is told after 72 hours must be told why'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It was discovered at %s.', found), HINT = 'Give delay_reason (GDPR Art. 33(1)).';
  END IF;
  PERFORM cdp_internal.require_choice('kind of recipient', args ->> 'recipient_kind', '{authority,people,processor,controller,other}');
  PERFORM cdp_internal.require_text('recipient', args ->> 'recipient', 500);
  IF (args ->> 'people')::bigint < 0 THEN
    RAISE EXCEPTION 'the number of people told must be from 0 on' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', args ->> 'people'), HINT = 'Leave it out when it is not known.';
  END IF;
  INSERT INTO cdp_data.breach_notice (breach_id, recipient_kind, recipient, sent_at, people, reference, delay_reason, actor)
  VALUES ((args ->> 'breach')::bigint, args ->> 'recipient_kind', args ->> 'recipient', sent, (args ->> 'people')::bigint, args ->> 'reference', args ->> 'delay_reason', session_user)
  RETURNING notice_id INTO id;
  PERFORM cdp_data.audit_write('breach', 'breach ' || (args ->> 'breach'), NULL, jsonb_build_object('told', args ->> 'recipient_kind'));
  RETURN to_jsonb(id);
END
$$;
COMMENT ON FUNCTION cdp_internal.breach_tell(jsonb) IS 'What cdp.breach_notified() does.';

CREATE OR REPLACE FUNCTION cdp_internal.register_in(action text, args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN CASE action
    WHEN 'open' THEN cdp_internal.request_open(args) WHEN 'verify' THEN cdp_internal.request_verify(args)
    WHEN 'extend' THEN cdp_internal.request_extend(args) WHEN 'close' THEN cdp_internal.request_close(args)
    WHEN 'fulfil' THEN cdp_internal.request_fulfil(args) WHEN 'breach' THEN cdp_internal.breach_write(args)
    WHEN 'tell' THEN cdp_internal.breach_tell(args) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.register_in(text, jsonb) IS
'Does what the registers'' functions ask for; it runs with the rights of the owner of cdp_data. NULL for an unknown action.';

CREATE OR REPLACE FUNCTION cdp_internal.to_register(action text, args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.register(action, args);
END
$$;
COMMENT ON FUNCTION cdp_internal.to_register(text, jsonb) IS
'Hands a call on to cdp_data.register(), whose rights decide. Errors: 42501 for others than the privacy role, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.open_request(kind text, law text DEFAULT 'GDPR', customer bigint DEFAULT NULL, received_at timestamptz DEFAULT now(),
  channel text DEFAULT 'email', reference text DEFAULT NULL) RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
SELECT cdp_internal.to_register('open', jsonb_build_object('kind', kind, 'law', law, 'customer', customer, 'received_at', received_at, 'channel', channel, 'reference', reference))::bigint;
END;
COMMENT ON FUNCTION cdp.open_request(text, text, bigint, timestamptz, text, text) IS
'Registers a request of a person: kind access, correction, erasure, objection, portability or restriction, under a law of cdp_data.request_law_all, which tells the deadline from received_at. customer when it is known already; reference is the number of the letter or ticket: no name, no address. Returns request_id. Errors: 42501 for others than the privacy role, 22023 unknown kind, law or customer, 22008 no credible time.';

CREATE OR REPLACE FUNCTION cdp.verify_request(request bigint, method text, customer bigint DEFAULT NULL, passed boolean DEFAULT true) RETURNS boolean
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
SELECT cdp_internal.to_register('verify', jsonb_build_object('request', request, 'method', method, 'customer', customer, 'passed', coalesce(passed, false)))::boolean;
END;
COMMENT ON FUNCTION cdp.verify_request(bigint, text, bigint, boolean) IS
'Notes how the identity of who asks was checked, and which customer it is; without that no request is fulfilled. passed false notes a check that failed; the request stays received. Where an unmerge has parted the customer since, it is checked once more, with the customer told anew. Returns passed. Errors: 42501, 22023 no such request or customer, no method or no customer, 55000 verified or closed before.';

CREATE OR REPLACE FUNCTION cdp.extend_request(request bigint, reason text) RETURNS timestamptz
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
SELECT (cdp_internal.to_register('extend', jsonb_build_object('request', request, 'reason', reason)) #>> '{}')::timestamptz;
END;
COMMENT ON FUNCTION cdp.extend_request(bigint, text) IS
'Puts the deadline off, once, by what the law allows; the person has to be told the reason within the first term. Returns the new deadline. Errors: 42501, 22023 no such request or no reason, 55000 closed, extended before, overdue, or the law knows none.';

CREATE OR REPLACE FUNCTION cdp.close_request(request bigint, state text, reason text) RETURNS boolean
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
SELECT cdp_internal.to_register('close', jsonb_build_object('request', request, 'state', state, 'reason', reason))::boolean;
END;
COMMENT ON FUNCTION cdp.close_request(bigint, text, text) IS
'Closes a request without fulfilling it: state refused or withdrawn, with the reason. Errors: 42501, 22023 no such request, state or reason, 55000 closed before.';

CREATE OR REPLACE FUNCTION cdp.fulfil_request(request bigint, args jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
SELECT cdp_internal.to_register('fulfil', jsonb_build_object('request', request, 'args', args));
END;
COMMENT ON FUNCTION cdp.fulfil_request(bigint, jsonb) IS
'Does what a verified request asks for, in one transaction, and closes it with a receipt that holds no personal value. access, portability: returns cdp.subject_export(). erasure: cdp.erase_customer(), args {"mode": "delete"} if so wished; returns its receipt. correction: args {"attributes": {"city": "..."}} are written as said now by the source requests and checked. objection: args {"purposes": ["marketing"], "channel": ""} are recorded as refused. restriction: every purpose that has a switch is. Errors: 42501, 22023 no such request or bad args, 55000 not verified, closed, or the customer was parted by an unmerge since the check (verify it once more); those of what is done.';

CREATE OR REPLACE FUNCTION cdp.open_breach(nature text, discovered_at timestamptz DEFAULT now(), risk text DEFAULT 'risk', details jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
SELECT cdp_internal.to_register('breach', coalesce(details, '{}') - 'breach_id' || jsonb_build_object('nature', nature, 'discovered_at', discovered_at, 'risk', risk))::bigint;
END;
COMMENT ON FUNCTION cdp.open_breach(text, timestamptz, text, jsonb) IS
'Registers a breach of personal data; the 72 hours of the authority run from discovered_at. risk none (with risk_reason in details), risk or high. details: began_at, ended_at, categories (list), people, records, consequences, measures, risk_reason. Returns breach_id. Errors: 42501 for others than the privacy role, 22023 no nature, bad risk, risk none without risk_reason, figures that are none, 22008 discovered in the future.';

CREATE OR REPLACE FUNCTION cdp.update_breach(breach bigint, details jsonb) RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
SELECT cdp_internal.to_register('breach', coalesce(details, '{}') - 'discovered_at' || jsonb_build_object('breach_id', coalesce(breach, 0)))::bigint;
END;
COMMENT ON FUNCTION cdp.update_breach(bigint, jsonb) IS
'Writes what became known of a breach: keys as details of cdp.open_breach(), nature, risk, and close: true to close it. Errors: 42501, 22023 no such breach, 55000 who must be told has not been.';

CREATE OR REPLACE FUNCTION cdp.breach_notified(breach bigint, recipient_kind text, recipient text, sent_at timestamptz DEFAULT now(),
  people bigint DEFAULT NULL, reference text DEFAULT NULL, delay_reason text DEFAULT NULL) RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
SELECT cdp_internal.to_register('tell', jsonb_build_object('breach', coalesce(breach, 0), 'recipient_kind', recipient_kind, 'recipient', recipient, 'sent_at', sent_at,
  'people', people, 'reference', reference, 'delay_reason', delay_reason))::bigint;
END;
COMMENT ON FUNCTION cdp.breach_notified(bigint, text, text, timestamptz, bigint, text, text) IS
'Notes that somebody was told of a breach: recipient_kind authority, people, processor, controller or other; people: how many were told. Returns its number. Errors: 42501, 22023 no such breach, bad kind, no recipient, or an authority later than 72 hours without delay_reason, 22008 told before it was discovered or in the future.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_requests()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.breach_notice') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'error', 'request_overdue', format('%s requests are overdue, the oldest, %s, since %s', count(*), min(r.request_id), min(r.due_at)), 'SELECT * FROM cdp_bi.request_register WHERE is_overdue;'
  FROM cdp_data.request r WHERE r.closed_at IS NULL AND r.due_at < now() HAVING count(*) > 0;
  RETURN QUERY
  SELECT 'warning', 'request_due', format('%s requests are due within a week, the first at %s', count(*), min(r.due_at)), 'SELECT * FROM cdp_bi.request_register WHERE closed_at IS NULL ORDER BY due_at;'
  FROM cdp_data.request r WHERE r.closed_at IS NULL AND r.due_at BETWEEN now() AND now() + interval '7 days' HAVING count(*) > 0;
  RETURN QUERY
  SELECT CASE WHEN g.is_late THEN 'error' ELSE 'warning' END, 'breach_untold', format('breach %s: the authority is to be told until %s', g.breach_id, g.authority_due_at),
    format('SELECT cdp.breach_notified(%s, ''authority'', ...); or risk none with the reason', g.breach_id)
  FROM cdp_bi.breach_register g WHERE g.risk <> 'none' AND g.authority_at IS NULL AND g.closed_at IS NULL;
  RETURN QUERY
  SELECT 'error', 'breach_people_untold', format('breach %s is of high risk, and the people have not been told', g.breach_id), format('SELECT cdp.breach_notified(%s, ''people'', ...);', g.breach_id)
  FROM cdp_bi.breach_register g WHERE g.people_to_tell AND g.closed_at IS NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_requests() IS
'Findings of cdp.health() about requests that are due or overdue and breaches of which somebody has still to be told.';
