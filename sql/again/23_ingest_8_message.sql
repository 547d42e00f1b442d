-- Identity room, ingestion: messages in the form of the Segment specification, as its libraries send them.
-- Nothing is lost: what cannot be taken goes to quarantine as it came, with the reason.

CREATE OR REPLACE FUNCTION cdp_internal.message_time(message jsonb, OUT at timestamptz, OUT bad boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  said timestamptz := cdp_internal.parse_time(message ->> 'timestamp', 'UTC');
  original timestamptz := cdp_internal.parse_time(message ->> 'originalTimestamp', 'UTC');
  sent timestamptz := cdp_internal.parse_time(message ->> 'sentAt', 'UTC');
  received timestamptz := cdp_internal.parse_time(message ->> 'receivedAt', 'UTC');
BEGIN
  bad := EXISTS (
    SELECT FROM (VALUES ('timestamp', said), ('originalTimestamp', original), ('sentAt', sent), ('receivedAt', received)) AS t (key, moment)
    WHERE coalesce(message ->> t.key, '') <> '' AND (t.moment IS NULL OR NOT isfinite(t.moment)));
  IF NOT bad THEN
    at := CASE
      -- Another server has received the message and put the sender's clock right.
      WHEN said IS NOT NULL AND (original IS NOT NULL OR received IS NOT NULL) THEN said
      -- The two clocks are held to agree at the moment of sending: what is between is the sender's error.
      WHEN coalesce(original, said) IS NOT NULL AND sent IS NOT NULL THEN coalesce(received, now()) - (sent - coalesce(original, said))
      ELSE coalesce(said, original, received, now()) END;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_time(jsonb) IS
'When a message happened: timestamp when another server has received it (receivedAt or originalTimestamp tell), else receivedAt (or now) less the time from timestamp or originalTimestamp to sentAt, which takes the error of the sender''s clock out; without sentAt the time as it stands; without any time, now. bad: one of the four is no ISO 8601 time.';

CREATE OR REPLACE FUNCTION cdp_internal.url_host(url text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lower(substring(left(btrim(url), 2000) FROM '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:]+)'));
COMMENT ON FUNCTION cdp_internal.url_host(text) IS
'The host of a web address in lower case; NULL when it is none.';

CREATE OR REPLACE FUNCTION cdp_internal.message_origin(message jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  campaign jsonb := message #> '{context,campaign}';
  referrer text := cdp_internal.url_host(coalesce(nullif(message #>> '{properties,referrer}', ''), nullif(message #>> '{context,page,referrer}', ''), message #>> '{context,referrer,url}'));
  own text := cdp_internal.url_host(coalesce(nullif(message #>> '{properties,url}', ''), message #>> '{context,page,url}'));
BEGIN
  -- From one page of the own site to the next is no origin.
  RETURN jsonb_strip_nulls(jsonb_build_object('source', campaign ->> 'source', 'medium', campaign ->> 'medium', 'campaign', campaign ->> 'name',
    'referrer_host', CASE WHEN referrer IS DISTINCT FROM own THEN referrer END));
END
$$;
COMMENT ON FUNCTION cdp_internal.message_origin(jsonb) IS
'Origin of a message, for cdp.track(): context.campaign, and the host of the referrer when it is another one than the page''s.';

CREATE OR REPLACE FUNCTION cdp_internal.message_identifiers(message jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found jsonb;
BEGIN
  SELECT coalesce(jsonb_object_agg(x.type, x.list), '{}') INTO found
  FROM (
    SELECT v.type, jsonb_agg(v.value ORDER BY v.n) AS list
    FROM (
      SELECT 'user_id' AS type, message -> 'userId' AS value, 1::bigint AS n
      UNION ALL SELECT 'anonymous_id', message -> 'anonymousId', 2
      UNION ALL SELECT 'device', message #> '{context,device,id}', 3
      UNION ALL SELECT 'device', message #> '{context,device,advertisingId}', 4 WHERE message #> '{context,device,adTrackingEnabled}' IS DISTINCT FROM 'false'
      UNION ALL
      SELECT t.name, e.value -> 'id', 4 + e.n
      FROM jsonb_array_elements(CASE jsonb_typeof(message #> '{context,externalIds}') WHEN 'array' THEN message #> '{context,externalIds}' ELSE '[]' END) WITH ORDINALITY AS e (value, n)
        JOIN cdp_data.identifier_type_all t ON t.name = cdp_internal.snake(e.value ->> 'type')
      WHERE coalesce(e.value ->> 'collection', 'users') = 'users'
    ) v
    WHERE jsonb_typeof(v.value) IN ('string', 'number') AND btrim(v.value #>> '{}') <> ''
    GROUP BY v.type) x;
  RETURN found;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_identifiers(jsonb) IS
'Identifiers that a message shows beside its traits: userId, anonymousId, the ids of its device (the advertising id unless tracking is switched off), and context.externalIds of users whose type is an identifier type.';

CREATE OR REPLACE FUNCTION cdp_internal.message_fields(src integer, record_kind text, message jsonb, plain jsonb, OUT identifiers jsonb, OUT attributes jsonb, OUT bad text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  zone text := (SELECT s.timezone FROM cdp_data.source s WHERE s.source_id = src);
BEGIN
  WITH given AS MATERIALIZED (
    SELECT f.*, cdp_internal.transform_text(CASE WHEN f.field ~ '^[$][.]' THEN message #>> (string_to_array(f.field, '.'))[2:] ELSE plain ->> f.field END, f.transform) AS value
    FROM cdp_data.source_field f WHERE f.source_id = src AND f.record_kind = message_fields.record_kind AND f.target_kind IN ('identifier', 'attribute')
  ), judged AS MATERIALIZED (
    SELECT g.*, CASE
      WHEN coalesce(btrim(g.value), '') = '' THEN 'missing_field'
      WHEN NOT coalesce(cdp_internal.fits_type(g.value, g.data_type, zone), false) THEN 'bad_field'
      WHEN NOT cdp_internal.in_range(g.value, g.data_type, zone, g.min_value, g.max_value) OR g.value !~ g.pattern OR g.value <> ALL (g.allowed) THEN 'bad_field' END AS code
    FROM given g
  )
  SELECT coalesce((SELECT jsonb_object_agg(x.name, x.list) FROM (SELECT j.target_name AS name, jsonb_agg(j.value ORDER BY j.nth) AS list FROM judged j
      WHERE j.target_kind = 'identifier' AND j.code IS NULL GROUP BY 1) x), '{}'),
    coalesce((SELECT jsonb_object_agg(j.target_name, j.value) FROM judged j WHERE j.target_kind = 'attribute' AND j.code IS NULL), '{}'),
    (SELECT j.code || ' ' || j.field FROM judged j WHERE j.required AND j.code IS NOT NULL ORDER BY j.nth LIMIT 1)
  INTO identifiers, attributes, bad;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_fields(integer, text, jsonb, jsonb) IS
'What the contract of a source makes of a message: identifiers and attributes from its fields (paths into the message, or names of plain: traits or properties). bad: code and name of the first required field that is missing or does not fit; NULL when all is well. Without a contract all is empty.';

CREATE OR REPLACE FUNCTION cdp_internal.note_unmapped(src integer, refused jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF refused @> '[{"code": "unknown_attribute"}]' THEN
    INSERT INTO cdp_data.source_unmapped (source_id, field)
    SELECT src, r ->> 'attribute' FROM jsonb_array_elements(refused) r
    WHERE r ->> 'code' = 'unknown_attribute' AND NOT EXISTS (SELECT FROM cdp_data.source_unmapped u WHERE u.source_id = src AND u.field = r ->> 'attribute')
      AND (SELECT count(*) FROM cdp_data.source_unmapped u WHERE u.source_id = src) < 1000
    ORDER BY 2
    ON CONFLICT DO NOTHING;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.note_unmapped(integer, jsonb) IS
'Notes in cdp_data.source_unmapped the traits of a call that no attribute has the name of.';

CREATE OR REPLACE FUNCTION cdp_internal.message_write(
  source text, src integer, call text, message jsonb, at timestamptz,
  OUT status text, OUT customer_id bigint, OUT touchpoint_id bigint, OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  about_person jsonb := CASE WHEN call = 'identify' THEN coalesce(nullif(message -> 'traits', 'null'), '{}') ELSE '{}' END;
  properties jsonb := coalesce(nullif(message -> 'properties', 'null'), '{}');
  context jsonb := coalesce(nullif(message -> 'context', 'null'), '{}');
  t record;
  f record;
  k record;
  c record;
  w record;
  money record;
  ids jsonb;
  content jsonb;
  key text := nullif(btrim(message ->> 'messageId'), '');
  refers text;
BEGIN
  IF jsonb_typeof(properties) <> 'object' OR jsonb_typeof(context) <> 'object' OR jsonb_typeof(about_person) <> 'object' THEN
    RAISE EXCEPTION 'traits, properties and context must be JSON objects' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF jsonb_typeof(context -> 'traits') = 'object' THEN
    about_person := (context -> 'traits') || about_person;
  END IF;
  t := cdp_internal.split_traits(about_person);
  f := cdp_internal.message_fields(src, CASE WHEN call IN ('identify', 'alias', 'group') THEN 'customer' ELSE 'event' END, message, CASE call WHEN 'identify' THEN about_person ELSE properties END);
  IF f.bad IS NOT NULL AND call NOT IN ('alias', 'group') THEN
    RAISE EXCEPTION 'a required field of the contract is missing or does not fit: %', substring(f.bad FROM ' (.*)$') USING ERRCODE = 'CDPMF';
  END IF;
  ids := cdp_internal.add_identifiers(cdp_internal.add_identifiers(cdp_internal.message_identifiers(message), t.identifiers), f.identifiers);
  IF call = 'alias' THEN
    IF coalesce(btrim(message ->> 'previousId'), message ->> 'anonymousId', '') = '' THEN
      RAISE EXCEPTION 'an alias has no previousId' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    ids := cdp_internal.add_identifiers(ids, cdp_internal.previous_identifier(message ->> 'previousId'));
  END IF;
  c := cdp_internal.call_read(source, ids, at, key);
  IF call IN ('identify', 'alias', 'group') THEN
    w := cdp_internal.record_in(call, c, CASE WHEN call = 'alias' THEN '{}' ELSE t.attributes || f.attributes END);
    IF call = 'group' AND w.status = 'written' THEN
      IF cdp_internal.parse_key(message ->> 'groupId') IS NULL OR jsonb_typeof(coalesce(nullif(message -> 'traits', 'null'), '{}')) <> 'object' THEN
        RAISE EXCEPTION 'a group needs a groupId of at most 800 bytes, and its traits must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
      END IF;
      PERFORM cdp_internal.group_write(w.load_id, src, cdp_internal.parse_key(message ->> 'groupId'), w.identifier_id, coalesce(nullif(message -> 'traits', 'null'), '{}'), at);
    END IF;
    SELECT w.status, w.customer_id, w.refused INTO status, customer_id, refused;
  ELSE
    k := cdp_internal.event_kind(src, CASE call WHEN 'track' THEN message ->> 'event' ELSE 'page_view' END);
    IF call = 'track' AND coalesce(btrim(message ->> 'event'), '') = '' THEN
      RAISE EXCEPTION 'a track message has no event' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    refers := CASE WHEN k.refers_property IS NOT NULL THEN cdp_internal.parse_key(properties ->> k.refers_property) END;
    IF refers IS NOT NULL AND coalesce(btrim(properties ->> 'currency'), '') = '' THEN
      -- What is paid back is in the money that was paid.
      properties := properties || coalesce((
        SELECT jsonb_build_object('currency', p.currency) FROM cdp_data.touchpoint_key y JOIN cdp_data.touchpoint p USING (customer_id, occurred_at, touchpoint_id)
        WHERE y.source_id = src AND y.source_key = refers AND p.currency IS NOT NULL), '{}');
    END IF;
    money := cdp_internal.message_money(properties, k.is_conversion, k.negate);
    IF k.key_property IS NOT NULL AND cdp_internal.parse_key(properties ->> k.key_property) IS NOT NULL THEN
      c.key := cdp_internal.parse_key(properties ->> k.key_property);
    END IF;
    content := jsonb_strip_nulls(jsonb_build_object('$event', CASE WHEN call = 'track' AND message ->> 'event' <> k.name THEN message ->> 'event' END,
        '$call', nullif(call, 'track'), 'name', CASE WHEN call <> 'track' THEN message ->> 'name' END, 'category', CASE WHEN call <> 'track' THEN message ->> 'category' END,
        '$context', nullif(context - ARRAY['traits', 'campaign', 'externalIds', 'library'], '{}'))) || properties;
    w := cdp_internal.touch_in(c, t.attributes || f.attributes, cdp_internal.message_origin(message), k.kind_id, 0, money.amount, money.code,
      nullif(content, '{}'), CASE WHEN refers <> c.key THEN refers END);
    SELECT w.status, w.customer_id, w.touchpoint_id, w.refused INTO status, customer_id, touchpoint_id, refused;
  END IF;
  PERFORM cdp_internal.note_unmapped(src, refused);
END
$$;
COMMENT ON FUNCTION cdp_internal.message_write(text, integer, text, jsonb, timestamptz) IS
'Writes one message, or raises what is wrong with it: CDPMF for a required field of the contract.';

CREATE OR REPLACE FUNCTION cdp_internal.message_money(properties jsonb, is_conversion boolean, negate boolean, OUT amount numeric, OUT code text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  raw text := coalesce(properties ->> 'revenue', CASE WHEN is_conversion THEN properties ->> 'total' END, properties ->> 'value');
BEGIN
  IF coalesce(btrim(raw), '') <> '' THEN
    -- A value that is no number says nothing about money; revenue must be one.
    IF btrim(raw) !~ '^[-+]?([0-9]{1,40}([.][0-9]{0,40})?|[.][0-9]{1,40})([eE][-+]?[0-9]{1,2})?$' THEN
      IF properties ? 'revenue' OR is_conversion THEN
        RAISE EXCEPTION 'revenue, total or value is no number' USING ERRCODE = 'numeric_value_out_of_range';
      END IF;
      RETURN;
    END IF;
    SELECT m.amount, m.code INTO amount, code FROM cdp_internal.call_money(
      CASE WHEN negate THEN -abs(btrim(raw)::numeric) ELSE btrim(raw)::numeric END, nullif(btrim(properties ->> 'currency'), '')) m;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_money(jsonb, boolean, boolean) IS
'Money of a message: revenue, for conversions else total, else value, in currency (that of the reports when none is given); with a minus when negate says so. Both NULL without any. Errors: 22003 no number or out of range, 22023 unknown currency.';

CREATE OR REPLACE FUNCTION cdp_internal.previous_identifier(previous text) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rules text[];
  type text;
BEGIN
  IF coalesce(btrim(previous), '') = '' THEN
    RETURN '{}';
  END IF;
  rules := cdp_internal.identifier_rules();
  -- The message does not tell the type: one under which the value is known, the strongest but for account numbers.
  SELECT t.name INTO type
  FROM cdp_data.identifier_type_all t JOIN cdp_data.identifier i ON i.type_id = t.type_id AND i.value = cdp_internal.read_identifier(previous, t.type_id, rules)
  WHERE t.role <> 'ignore'
  ORDER BY array_position(ARRAY['anonymous_id', 'cookie', 'user_id'], t.name), t.priority, t.type_id LIMIT 1;
  IF NOT FOUND THEN
    type := CASE WHEN cdp_internal.read_identifier(previous, (SELECT t.type_id FROM cdp_data.identifier_type_all t WHERE t.name = 'email'), rules) IS NOT NULL
      THEN 'email' ELSE 'anonymous_id' END;
  END IF;
  RETURN jsonb_build_object(type, previous);
END
$$;
COMMENT ON FUNCTION cdp_internal.previous_identifier(text) IS
'The identifier that previousId of an alias message is: anonymous_id, cookie or user_id when the value is known as one of them, else another type under which it is known; of an unknown value an e-mail address when it has that form, else an anonymous_id.';

CREATE OR REPLACE FUNCTION cdp_internal.message_suppressed(message jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ids jsonb;
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.suppression) THEN
    RETURN false;
  END IF;
  ids := cdp_internal.message_identifiers(message);
  RETURN EXISTS (
    SELECT FROM (
      SELECT e.key AS name, e.value FROM jsonb_each(ids) e
      UNION ALL
      SELECT cdp_internal.snake(e.key), e.value
      FROM (VALUES (message -> 'traits'), (message #> '{context,traits}')) AS v (traits)
        CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(v.traits) WHEN 'object' THEN v.traits ELSE '{}' END) e) x
      JOIN cdp_data.identifier_type_all t ON t.name = x.name
      CROSS JOIN LATERAL jsonb_array_elements_text(CASE jsonb_typeof(x.value) WHEN 'array' THEN x.value ELSE jsonb_build_array(x.value) END) y (value)
    WHERE cdp_internal.is_suppressed(t.type_id, cdp_internal.read_identifier(y.value, t.type_id, cdp_internal.identifier_rules())));
END
$$;
COMMENT ON FUNCTION cdp_internal.message_suppressed(jsonb) IS
'Whether a refused message shows an erased person, so that its original must not be kept.';

CREATE OR REPLACE FUNCTION cdp_internal.message_in(
  source text, src integer, message jsonb, OUT message_id text, OUT status text, OUT code text, OUT reason text, OUT customer_id bigint, OUT touchpoint_id bigint, OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  calls text[] := ARRAY['identify', 'track', 'page', 'screen', 'group', 'alias'];
  call text;
  when_ record;
  contract text;
  w record;
BEGIN
  IF jsonb_typeof(message) <> 'object' THEN
    status := 'refused';
    code := 'bad_message';
    reason := 'a message must be a JSON object';
    RETURN;
  END IF;
  message_id := left(message ->> 'messageId', 800);
  call := lower(btrim(message ->> 'type'));
  when_ := cdp_internal.message_time(message);
  SELECT c.status INTO contract FROM cdp_data.source_contract c
  WHERE c.source_id = src AND c.record_kind = CASE WHEN call IN ('identify', 'alias', 'group') THEN 'customer' ELSE 'event' END;
  IF call IS NULL OR call <> ALL (calls) THEN
    code := 'unknown_call';
    reason := format('type is none of %s', array_to_string(calls, ', '));
  ELSIF contract <> 'live' THEN
    code := 'not_live';
    reason := 'the contract of the source is not live';
  ELSIF when_.bad THEN
    code := 'bad_time';
    reason := 'timestamp, originalTimestamp, sentAt or receivedAt is no ISO 8601 time';
  ELSIF octet_length(message::text) > 1048576 THEN
    code := 'too_large';
    reason := 'the message has more than 1 MB';
  END IF;
  IF code IS NULL THEN
    BEGIN
      w := cdp_internal.message_write(source, src, call, message, when_.at);
      SELECT w.status, w.customer_id, w.touchpoint_id, w.refused INTO status, customer_id, touchpoint_id, refused;
      RETURN;
    EXCEPTION WHEN datetime_field_overflow THEN
      code := 'absurd_time';
      reason := SQLERRM;
    WHEN SQLSTATE 'CDPMF' THEN
      code := 'bad_field';
      reason := SQLERRM;
    -- What the message itself caused; all else is no fault of its own and goes to the caller.
    WHEN data_exception OR program_limit_exceeded THEN
      code := 'bad_message';
      reason := SQLERRM;
    END;
  END IF;
  status := 'refused';
  IF cdp_internal.message_suppressed(message) THEN
    PERFORM cdp_internal.count_suppressed(src, 1);
    status := 'suppressed';
    code := NULL;
    reason := NULL;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_in(text, integer, jsonb) IS
'Takes one message in. status: written, repeated, suppressed, or refused with code and reason; then nothing of it was written.';

CREATE OR REPLACE FUNCTION cdp.ingest(source text, message jsonb)
RETURNS TABLE (message_id text, status text, reason text, customer_id bigint, touchpoint_id bigint, refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  src integer;
  list jsonb;
  common jsonb;
  one jsonb;
  m record;
BEGIN
  PERFORM cdp_internal.require_setup();
  src := cdp_internal.source_of(source);
  IF message IS NULL THEN
    RAISE EXCEPTION 'no message was given' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  -- A batch: what stands beside the list holds for each message that does not say otherwise.
  list := CASE jsonb_typeof(message) WHEN 'array' THEN message WHEN 'object' THEN CASE WHEN jsonb_typeof(message -> 'batch') = 'array' THEN message -> 'batch' END END;
  common := CASE WHEN jsonb_typeof(message) = 'object' AND list IS NOT NULL THEN message - 'batch' ELSE '{}' END;
  FOR one IN SELECT e FROM jsonb_array_elements(coalesce(list, jsonb_build_array(message))) e LOOP
    IF common <> '{}' AND jsonb_typeof(one) = 'object' THEN
      one := common || one || CASE WHEN jsonb_typeof(common -> 'context') = 'object'
        THEN jsonb_build_object('context', (common -> 'context') || CASE jsonb_typeof(one -> 'context') WHEN 'object' THEN one -> 'context' ELSE '{}' END) ELSE '{}' END;
    END IF;
    m := cdp_internal.message_in(source, src, one);
    IF m.status = 'refused' THEN
      INSERT INTO cdp_data.quarantine (load_id, source_id, original, code, reason)
      VALUES (cdp_internal.live_load(src, now()), src, one, m.code, m.reason);
    END IF;
    message_id := m.message_id;
    status := m.status;
    reason := m.reason;
    customer_id := m.customer_id;
    touchpoint_id := m.touchpoint_id;
    refused := m.refused;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.ingest(text, jsonb) IS
'Takes a message in the form of the Segment specification (type identify, track, page, screen, group, alias), a list of them, or {"batch": [...]}: SELECT * FROM cdp.ingest(''app'', ''{"type": "track", "event": "Order Completed", "userId": "7", "messageId": "...", "properties": {...}}''). One row per message: status written; repeated (its messageId, or the order_id of its order, was here before: nothing is changed); suppressed (an erased person: nothing is kept); refused: it is in cdp_data.quarantine as it came, with the reason. userId, anonymousId, e-mail, phone and other identifiers among the traits identify, other traits are attributes, context.campaign and the referrer are the origin, revenue (of conversions else total, else value) and currency the money, the event''s name tells the kind by cdp_data.event_map_all, and the contract of the source, if there is one, what else becomes what. refused: what was left out, and why. Errors: 22023 unknown source, 22004 NULL, 55000 before cdp.setup(); never for what a message holds.';

CREATE OR REPLACE FUNCTION cdp.retry_messages(load_id bigint)
RETURNS TABLE (tried bigint, written bigint, refused bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  l record;
  q record;
  m record;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT x.source_id, x.kind, s.name INTO l FROM cdp_data.load x JOIN cdp_data.source s USING (source_id) WHERE x.load_id = retry_messages.load_id;
  IF l.kind IS DISTINCT FROM 'calls' THEN
    RAISE EXCEPTION 'load % is no load of calls', load_id USING ERRCODE = 'invalid_parameter_value', HINT = 'For a load of touchpoints: cdp.retry_quarantine().';
  END IF;
  tried := 0;
  written := 0;
  refused := 0;
  FOR q IN SELECT x.quarantine_id, x.original FROM cdp_data.quarantine x WHERE x.load_id = retry_messages.load_id AND x.retried_by_load IS NULL
      ORDER BY x.quarantine_id FOR UPDATE LOOP
    m := cdp_internal.message_in(l.name, l.source_id, q.original);
    tried := tried + 1;
    IF m.status = 'refused' THEN
      refused := refused + 1;
      UPDATE cdp_data.quarantine x SET code = m.code, reason = m.reason WHERE x.quarantine_id = q.quarantine_id AND (x.code, x.reason) IS DISTINCT FROM (m.code, m.reason);
    ELSE
      written := written + 1;
      UPDATE cdp_data.quarantine x SET retried_by_load = cdp_internal.live_load(l.source_id, now()) WHERE x.quarantine_id = q.quarantine_id;
    END IF;
  END LOOP;
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION cdp.retry_messages(bigint) IS
'Takes the messages that a load of calls put into quarantine once more, after their original or what they lack was mended. A message without a time of its own happens now. Returns how many were tried, taken in (or known, or of erased people), and refused again. Errors: 22023 no load of calls.';
