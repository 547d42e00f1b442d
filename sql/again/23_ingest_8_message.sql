-- Identity room, ingestion: messages in the form of the Segment specification, as its libraries send them.
-- Nothing is lost: what cannot be taken goes to quarantine as it came, with the reason.

CREATE OR REPLACE FUNCTION cdp_internal.message_time(message jsonb, came timestamptz DEFAULT now(), OUT at timestamptz, OUT bad boolean)
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
      WHEN coalesce(original, said) IS NOT NULL AND sent IS NOT NULL THEN coalesce(received, came) - (sent - coalesce(original, said))
      ELSE coalesce(said, original, received, came) END;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_time(jsonb, timestamptz) IS
'When a message happened: timestamp when another server has received it (receivedAt or originalTimestamp tell), else receivedAt (or when it came to us) less the time from timestamp or originalTimestamp to sentAt, which takes the error of the sender''s clock out; without sentAt the time as it stands; without any time, when it came. bad: one of the four is no ISO 8601 time. Errors: 22008 the clocks are further apart than the calendar reaches.';

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

CREATE OR REPLACE FUNCTION cdp_internal.message_key(value jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF jsonb_typeof(value) NOT IN ('string', 'number', 'null') THEN
    RAISE EXCEPTION 'a key must be a text or a number' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN cdp_internal.said_key(value #>> '{}');
END
$$;
COMMENT ON FUNCTION cdp_internal.message_key(jsonb) IS
'A key in a message (messageId, order_id, groupId) as text, as cdp_internal.said_key() has it. Errors: 22023 a list, an object, true or false.';

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
      SELECT t.target_name, e.value -> 'id', 4 + e.n
      FROM jsonb_array_elements(CASE jsonb_typeof(message #> '{context,externalIds}') WHEN 'array' THEN message #> '{context,externalIds}' ELSE '[]' END) WITH ORDINALITY AS e (value, n)
        JOIN LATERAL cdp_internal.field_targets(ARRAY[e.value ->> 'type']) t ON t.target_kind = 'identifier'
      WHERE coalesce(e.value ->> 'collection', 'users') = 'users'
    ) v
    WHERE jsonb_typeof(v.value) IN ('string', 'number') AND btrim(v.value #>> '{}') <> ''
    GROUP BY v.type) x;
  RETURN found;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_identifiers(jsonb) IS
'Identifiers that a message shows beside its traits: userId, anonymousId, the ids of its device (the advertising id unless tracking is switched off), and context.externalIds of users whose type is an identifier type.';

CREATE OR REPLACE FUNCTION cdp_internal.message_judged(src integer, record_kind text, message jsonb, plain jsonb)
RETURNS TABLE (field text, target_kind text, target_name text, data_type text, required boolean, raw jsonb, value text, code text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  f record;
  t record;
  zone text;
  rules text[];
BEGIN
  -- A loop of plain assignments: in a query the functions would be made ready anew for each message.
  FOR f IN SELECT * FROM cdp_data.source_field x WHERE x.source_id = src AND x.record_kind = message_judged.record_kind ORDER BY x.nth LOOP
    zone := coalesce(zone, (SELECT s.timezone FROM cdp_data.source s WHERE s.source_id = src));
    field := f.field;
    target_kind := f.target_kind;
    target_name := f.target_name;
    data_type := f.data_type;
    required := f.required;
    raw := CASE WHEN f.field ~ '^[$][.]' THEN message #> (string_to_array(f.field, '.'))[2:] ELSE plain -> f.field END;
    value := raw #>> '{}';
    IF f.transform IS NOT NULL THEN
      value := cdp_internal.transform_text(value, f.transform);
    END IF;
    code := NULL;
    IF target_kind = 'ignore' THEN
      NULL;
    ELSIF coalesce(btrim(value, E' \t\r\n'), '') = '' THEN
      code := 'empty';
    ELSIF data_type <> 'text' AND NOT coalesce(cdp_internal.fits_type(value, data_type, zone), false) THEN
      code := 'bad_' || data_type;
    ELSIF num_nonnulls(f.min_value, f.max_value) > 0 AND NOT cdp_internal.in_range(value, data_type, zone, f.min_value, f.max_value) THEN
      code := 'range';
    ELSIF value !~ f.pattern COLLATE "C" THEN
      code := 'pattern';
    ELSIF value <> ALL (f.allowed) THEN
      code := 'not_allowed';
    -- The values of a list are judged one by one when they identify.
    ELSIF target_kind = 'identifier' AND jsonb_typeof(raw) <> 'array' THEN
      SELECT y.type_id, y.role INTO t FROM cdp_data.identifier_type_all y WHERE y.name = target_name;
      IF t.type_id IS NULL THEN
        code := 'unknown_identifier_type';
      ELSIF t.role = 'ignore' THEN
        code := 'ignored';
      ELSE
        rules := coalesce(rules, cdp_internal.identifier_rules());
        IF cdp_internal.read_identifier(value, t.type_id, rules) IS NULL THEN
          code := cdp_internal.refused_identifier(value, t.type_id, rules);
        END IF;
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_judged(integer, text, jsonb, jsonb) IS
'The fields of a source''s contract in one message: paths into the message, or names of plain (traits or properties). raw as it came, value as text after the transform, code why it is not taken, as cdp_internal.field_code_sql() tells it (NULL: it is). No row without a contract.';

CREATE OR REPLACE FUNCTION cdp_internal.message_fields(src integer, record_kind text, message jsonb, plain jsonb,
  OUT identifiers jsonb, OUT attributes jsonb, OUT touch jsonb, OUT properties jsonb, OUT refused jsonb, OUT names text[], OUT rest jsonb, OUT missing boolean, OUT bad text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  j record;
  said jsonb;
  way text[];
BEGIN
  identifiers := '{}';
  attributes := '{}';
  touch := '{}';
  properties := '{}';
  refused := '[]';
  names := '{}';
  rest := message;
  FOR j IN SELECT * FROM cdp_internal.message_judged(src, record_kind, message, plain) LOOP
    IF j.field ~ '^[$][.]' THEN
      way := (string_to_array(j.field, '.'))[2:];
      rest := rest #- way;
      -- An object of which nothing is left was declared as well.
      WHILE cardinality(way) > 2 AND rest #> way[:cardinality(way) - 1] = '{}' LOOP
        way := way[:cardinality(way) - 1];
        rest := rest #- way;
      END LOOP;
    ELSE
      names := names || j.field;
    END IF;
    CONTINUE WHEN j.target_kind = 'ignore';
    IF j.code IS NOT NULL THEN
      -- Key, time and name of the event are a message's own when the contract's fields are not in it.
      IF (j.required OR j.code <> 'empty' AND cdp_internal.is_money(j.target_kind, j.target_name)) AND bad IS NULL AND NOT (j.code = 'empty' AND j.target_kind IN ('record', 'touchpoint') AND j.target_name IN ('source_key', 'observed_at', 'occurred_at', 'kind')) THEN
        missing := j.code = 'empty';
        bad := j.field || CASE WHEN missing THEN '' ELSE ' (' || j.code || ')' END;
      END IF;
      IF j.code <> 'empty' THEN
        refused := refused || jsonb_build_object('field', left(j.field, 63), 'code', j.code);
      END IF;
      CONTINUE;
    END IF;
    -- What came as a list or an object stays one; what was declared to be JSON becomes it.
    said := CASE WHEN j.data_type = 'json' THEN cdp_internal.parse_json(j.value)
      WHEN jsonb_typeof(j.raw) IN ('array', 'object') THEN j.raw ELSE to_jsonb(j.value) END;
    CASE j.target_kind
      WHEN 'identifier' THEN
        identifiers := cdp_internal.add_identifiers(identifiers, jsonb_build_object(j.target_name, said));
      WHEN 'attribute' THEN
        attributes := attributes || jsonb_build_object(j.target_name, said);
      WHEN 'property' THEN
        properties := properties || jsonb_build_object(j.target_name, CASE
          WHEN j.data_type IN ('integer', 'numeric') THEN to_jsonb(btrim(j.value)::numeric)
          WHEN j.data_type = 'boolean' THEN to_jsonb(lower(btrim(j.value)) IN ('true', 't', 'yes', 'y', '1', 'on', '是'))
          ELSE said END);
      ELSE
        touch := touch || jsonb_build_object(j.target_name, said #>> '{}');
    END CASE;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_fields(integer, text, jsonb, jsonb) IS
'What the contract of a source makes of a message: identifiers, attributes, properties, and touch, the columns of a touchpoint or record as text; refused: fields with a value that does not fit; names: fields of plain that the contract speaks of, and rest, the message without its paths, for what is declared is taken by the contract alone; bad: the first required field that is missing (missing) or does not fit, or money that does not, NULL when all is well. Without a contract all is empty and rest the message.';

CREATE OR REPLACE FUNCTION cdp_internal.note_unmapped(src integer, refused jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF refused @> '[{"code": "unknown_attribute"}]' THEN
    PERFORM cdp_internal.note_unused(src, ARRAY(SELECT r ->> 'attribute' FROM jsonb_array_elements(refused) r WHERE r ->> 'code' = 'unknown_attribute'));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.note_unmapped(integer, jsonb) IS
'Notes in cdp_data.source_unmapped the traits of a call that no attribute has the name of.';

CREATE OR REPLACE FUNCTION cdp_internal.message_plain(message jsonb, call text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN call IN ('track', 'page', 'screen') THEN CASE jsonb_typeof(message -> 'properties') WHEN 'object' THEN message -> 'properties' ELSE '{}' END
  ELSE CASE jsonb_typeof(message #> '{context,traits}') WHEN 'object' THEN message #> '{context,traits}' ELSE '{}' END
    || CASE WHEN call = 'identify' AND jsonb_typeof(message -> 'traits') = 'object' THEN message -> 'traits' ELSE '{}' END END;
COMMENT ON FUNCTION cdp_internal.message_plain(jsonb, text) IS
'Where the plain names of a contract lead in a message: to its properties when it tells of an event, else to the traits of the person.';

CREATE OR REPLACE FUNCTION cdp_internal.message_contract(call text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN call IN ('identify', 'alias', 'group') THEN 'customer' ELSE 'event' END;
COMMENT ON FUNCTION cdp_internal.message_contract(text) IS
'Which contract of its source a call obeys: that about customers or that about events.';

CREATE OR REPLACE FUNCTION cdp_internal.message_touch(c record, src integer, call text, event text, message jsonb, r record,
  OUT status text, OUT customer_id bigint, OUT touchpoint_id bigint, OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  k record;
  given jsonb := coalesce(nullif(message -> 'properties', 'null'), '{}');
  properties jsonb := r.properties;
  touch jsonb := r.touch;
  money record;
  content jsonb;
  refers text;
  flags integer := 0;
BEGIN
  IF coalesce(btrim(event), '') = '' THEN
    RAISE EXCEPTION 'a track message has no event' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  k := cdp_internal.event_kind(src, event);
  refers := coalesce(cdp_internal.parse_key(cdp_internal.message_key(touch -> 'refers_to')), CASE WHEN k.refers_property IS NOT NULL THEN cdp_internal.parse_key(cdp_internal.message_key(given -> k.refers_property)) END);
  IF touch ? 'flags' THEN
    flags := cdp_internal.parse_int(touch ->> 'flags');
    IF flags IS NULL OR flags < 0 THEN
      RAISE EXCEPTION 'flags must be a whole number from 0 on' USING ERRCODE = 'invalid_parameter_value';
    END IF;
  END IF;
  properties := properties || coalesce(cdp_internal.parse_json(touch ->> 'properties'), '{}');
  IF jsonb_typeof(properties) <> 'object' THEN
    RAISE EXCEPTION 'the field that is the properties must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  money := cdp_internal.message_money(properties || jsonb_strip_nulls(jsonb_build_object('revenue', touch ->> 'value', 'currency', touch ->> 'currency')), k.is_conversion, k.negate);
  -- The key of the record: by the contract, by the rule of the event, else the message's own.
  c.key := coalesce((
    SELECT x.key FROM (VALUES (1, cdp_internal.parse_key(cdp_internal.message_key(touch -> 'source_key'))), (2, CASE WHEN k.key_property IS NOT NULL THEN cdp_internal.parse_key(cdp_internal.message_key(given -> k.key_property)) END)) AS x (n, key)
    WHERE x.key IS DISTINCT FROM refers AND x.key IS NOT NULL ORDER BY x.n LIMIT 1), c.key);
  -- What is paid back is in the money that was paid.
  IF refers <> c.key AND money.amount IS NOT NULL AND coalesce(btrim(touch ->> 'currency'), btrim(properties ->> 'currency'), '') = '' THEN
    flags := flags | cdp_internal.follows_flag();
  END IF;
  content := jsonb_strip_nulls(jsonb_build_object('$event', CASE WHEN call = 'track' AND event <> k.name THEN event END,
      '$call', nullif(call, 'track'), 'name', CASE WHEN call <> 'track' THEN message ->> 'name' END, 'category', CASE WHEN call <> 'track' THEN message ->> 'category' END,
      '$context', nullif(r.context - ARRAY['traits', 'campaign', 'externalIds', 'library'], '{}'))) || properties;
  SELECT w.status, w.customer_id, w.touchpoint_id, w.refused INTO status, customer_id, touchpoint_id, refused
  FROM cdp_internal.touch_in(c, r.attributes,
    cdp_internal.message_origin(r.rest) || jsonb_strip_nulls(jsonb_build_object('source', touch ->> 'source', 'medium', touch ->> 'medium', 'campaign', touch ->> 'campaign',
      'referrer_host', touch ->> 'referrer_host', 'add_way', touch ->> 'add_way', 'qr_scene', touch ->> 'qr_scene')),
    k.kind_id, flags, money.amount, money.code, nullif(content, '{}'), CASE WHEN refers <> c.key THEN refers END) w;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_touch(record, integer, text, text, jsonb, record) IS
'Writes the touchpoint of a message: c as cdp_internal.call_read() gives it, r as cdp_internal.message_read() does.';

CREATE OR REPLACE FUNCTION cdp_internal.message_read(src integer, call text, message jsonb,
  OUT identifiers jsonb, OUT attributes jsonb, OUT touch jsonb, OUT properties jsonb, OUT context jsonb, OUT rest jsonb, OUT refused jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  person jsonb;
  t record;
  f record;
BEGIN
  IF jsonb_typeof(coalesce(nullif(message -> 'properties', 'null'), '{}')) <> 'object' OR jsonb_typeof(coalesce(nullif(message -> 'context', 'null'), '{}')) <> 'object'
    OR call = 'identify' AND jsonb_typeof(coalesce(nullif(message -> 'traits', 'null'), '{}')) <> 'object' THEN
    RAISE EXCEPTION 'traits, properties and context must be JSON objects' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  f := cdp_internal.message_fields(src, cdp_internal.message_contract(call), message, cdp_internal.message_plain(message, call));
  IF f.bad IS NOT NULL AND call NOT IN ('alias', 'group') THEN
    RAISE EXCEPTION '%', f.bad USING ERRCODE = CASE WHEN f.missing THEN 'CDPMF' ELSE 'CDPBF' END;
  END IF;
  context := coalesce(nullif(f.rest -> 'context', 'null'), '{}');
  properties := coalesce(nullif(f.rest -> 'properties', 'null'), '{}');
  person := cdp_internal.message_plain(f.rest, CASE call WHEN 'identify' THEN 'identify' ELSE 'alias' END);
  -- What is declared is taken by the contract alone.
  IF cdp_internal.message_contract(call) = 'customer' THEN
    person := person - f.names;
  ELSE
    properties := properties - f.names;
  END IF;
  rest := f.rest || jsonb_build_object('properties', properties);
  properties := properties || f.properties;
  t := cdp_internal.split_traits(person);
  identifiers := cdp_internal.add_identifiers(cdp_internal.add_identifiers(cdp_internal.message_identifiers(f.rest), t.identifiers), f.identifiers);
  IF call = 'alias' THEN
    IF jsonb_typeof(message -> 'previousId') NOT IN ('string', 'number', 'null') OR coalesce(btrim(message ->> 'previousId'), message ->> 'anonymousId', '') = '' THEN
      RAISE EXCEPTION 'an alias has no previousId' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    identifiers := cdp_internal.add_identifiers(identifiers, cdp_internal.previous_identifier(message ->> 'previousId'));
  END IF;
  attributes := t.attributes || f.attributes;
  touch := f.touch;
  refused := f.refused;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_read(integer, text, jsonb) IS
'What a message shows, by the contract of its source and by the names of its traits: identifiers, attributes, touch (columns that the contract tells), properties and context to be kept, rest (the message without what is declared), refused. Errors: CDPMF a required field of the contract is missing, CDPBF it, or money, does not fit (the message of both is the field), 22023 what cannot be read.';

CREATE OR REPLACE FUNCTION cdp_internal.message_write(
  source text, src integer, call text, message jsonb, at timestamptz,
  OUT status text, OUT customer_id bigint, OUT touchpoint_id bigint, OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record := cdp_internal.message_read(src, call, message);
  c record;
  w record;
  group_key text;
BEGIN
  IF r.touch ?| ARRAY['occurred_at', 'observed_at'] THEN
    at := cdp_internal.parse_time(coalesce(r.touch ->> 'occurred_at', r.touch ->> 'observed_at'), (SELECT s.timezone FROM cdp_data.source s WHERE s.source_id = src));
    IF at IS NULL OR NOT isfinite(at) THEN
      RAISE EXCEPTION 'the field that is the time is no ISO 8601 time' USING ERRCODE = 'invalid_parameter_value';
    END IF;
  END IF;
  c := cdp_internal.call_read(source, r.identifiers, at, cdp_internal.message_key(message -> 'messageId'));
  IF cdp_internal.message_contract(call) = 'event' THEN
    SELECT m.status, m.customer_id, m.touchpoint_id, m.refused INTO status, customer_id, touchpoint_id, refused
    FROM cdp_internal.message_touch(c, src, call, coalesce(r.touch ->> 'kind', CASE WHEN call <> 'track' THEN 'page_view' WHEN jsonb_typeof(message -> 'event') IN ('string', 'number') THEN message ->> 'event' END), message, r) m;
  ELSE
    w := cdp_internal.record_in(call, c, CASE WHEN call = 'alias' THEN '{}' ELSE r.attributes END);
    IF call = 'group' AND w.status = 'written' THEN
      group_key := cdp_internal.parse_key(cdp_internal.message_key(message -> 'groupId'));
      IF group_key IS NULL OR jsonb_typeof(coalesce(nullif(message -> 'traits', 'null'), '{}')) <> 'object' THEN
        RAISE EXCEPTION 'a group needs a groupId of at most 800 bytes, and its traits must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
      END IF;
      PERFORM cdp_internal.group_write(w.load_id, src, group_key, w.identifier_id, coalesce(nullif(message -> 'traits', 'null'), '{}'), c.at);
    END IF;
    SELECT w.status, w.customer_id, w.refused INTO status, customer_id, refused;
  END IF;
  PERFORM cdp_internal.note_unmapped(src, refused);
  IF status = 'written' THEN
    refused := r.refused || refused;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_write(text, integer, text, jsonb, timestamptz) IS
'Writes one message, or raises what is wrong with it, as cdp_internal.message_read() and the calls do.';

CREATE OR REPLACE FUNCTION cdp_internal.message_money(properties jsonb, is_conversion boolean, negate boolean, OUT amount numeric, OUT code text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  raw text := coalesce(properties ->> 'revenue', CASE WHEN is_conversion THEN properties ->> 'total' END, properties ->> 'value');
BEGIN
  IF coalesce(btrim(raw), '') <> '' THEN
    -- A value that is no number says nothing about money; revenue must be one.
    IF NOT cdp_internal.is_number(raw) THEN
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
  IF NOT FOUND AND EXISTS (SELECT FROM cdp_data.suppression) THEN
    -- Of an erased person nothing is known any more; under another type it would be taken in.
    SELECT t.name INTO type FROM cdp_data.identifier_type_all t
    WHERE t.role <> 'ignore' AND cdp_internal.is_suppressed(t.type_id, cdp_internal.read_identifier(previous, t.type_id, rules))
    ORDER BY t.priority, t.type_id LIMIT 1;
  END IF;
  IF type IS NULL THEN
    type := CASE WHEN cdp_internal.read_identifier(previous, (SELECT t.type_id FROM cdp_data.identifier_type_all t WHERE t.name = 'email'), rules) IS NOT NULL
      THEN 'email' ELSE 'anonymous_id' END;
  END IF;
  RETURN jsonb_build_object(type, previous);
END
$$;
COMMENT ON FUNCTION cdp_internal.previous_identifier(text) IS
'The identifier that previousId of an alias message is: anonymous_id, cookie or user_id when the value is known as one of them, else another type under which it is known; else one under which it is suppressed, so that it is refused; of an unknown value an e-mail address when it has that form, else an anonymous_id.';

CREATE OR REPLACE FUNCTION cdp_internal.message_suppressed(src integer, message jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rules text[];
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.suppression) THEN
    RETURN false;
  END IF;
  rules := cdp_internal.identifier_rules();
  RETURN EXISTS (
    SELECT FROM (
      SELECT e.key AS name, e.value FROM jsonb_each(cdp_internal.message_identifiers(message)) e
      UNION ALL
      SELECT e.key, e.value
      FROM (VALUES (message -> 'traits'), (message #> '{context,traits}')) AS v (traits)
        CROSS JOIN LATERAL jsonb_each((cdp_internal.split_traits(CASE jsonb_typeof(v.traits) WHEN 'object' THEN v.traits ELSE '{}' END)).identifiers) e
      UNION ALL
      -- What the contract takes for an identifier, whether it fits or not.
      SELECT j.target_name, CASE WHEN jsonb_typeof(j.raw) = 'array' THEN j.raw ELSE to_jsonb(j.value) END
      FROM (VALUES ('identify'), ('track')) AS c (call)
        CROSS JOIN LATERAL cdp_internal.message_judged(src, cdp_internal.message_contract(c.call), message, cdp_internal.message_plain(message, c.call)) j
      WHERE j.target_kind = 'identifier' AND j.value IS NOT NULL
      UNION ALL
      SELECT t.name, message -> 'previousId' FROM cdp_data.identifier_type_all t WHERE message ? 'previousId') x
      JOIN cdp_data.identifier_type_all t ON t.name = x.name
      CROSS JOIN LATERAL jsonb_array_elements_text(CASE jsonb_typeof(x.value) WHEN 'array' THEN x.value ELSE jsonb_build_array(x.value) END) y (value)
    WHERE cdp_internal.is_suppressed(t.type_id, cdp_internal.read_identifier(y.value, t.type_id, rules)));
END
$$;
COMMENT ON FUNCTION cdp_internal.message_suppressed(integer, jsonb) IS
'Whether a refused message shows an erased person, also in a field that the contract of the source takes for an identifier, so that its original must not be kept.';

CREATE OR REPLACE FUNCTION cdp_internal.message_in(
  source text, src integer, message jsonb, came timestamptz,
  OUT message_id text, OUT status text, OUT code text, OUT reason text, OUT customer_id bigint, OUT touchpoint_id bigint, OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  call text;
  told record;
  contract text;
  w record;
BEGIN
  IF jsonb_typeof(message) <> 'object' THEN
    code := 'bad_message';
    reason := 'a message must be a JSON object';
  ELSE
    message_id := left(message ->> 'messageId', 800);
    call := lower(btrim(message ->> 'type'));
    SELECT c.status INTO contract FROM cdp_data.source_contract c WHERE c.source_id = src AND c.record_kind = cdp_internal.message_contract(call);
    IF call IS NULL OR call NOT IN ('identify', 'track', 'page', 'screen', 'group', 'alias') THEN
      code := 'unknown_call';
    ELSIF contract <> 'live' THEN
      code := 'not_live';
    ELSIF octet_length(message::text) > 1048576 THEN
      code := 'too_large';
    END IF;
  END IF;
  IF code IS NULL THEN
    BEGIN
      told := cdp_internal.message_time(message, came);
      IF told.bad THEN
        code := 'bad_time';
      ELSE
        w := cdp_internal.message_write(source, src, call, message, told.at);
        SELECT w.status, w.customer_id, w.touchpoint_id, w.refused INTO status, customer_id, touchpoint_id, refused;
        RETURN;
      END IF;
    EXCEPTION WHEN datetime_field_overflow THEN
      code := 'absurd_time';
    WHEN SQLSTATE 'CDPMF' THEN
      code := 'missing_field';
      reason := (SELECT x.reason FROM cdp_internal.load_reasons() x WHERE x.code = 'missing_field') || ': ' || SQLERRM;
    WHEN SQLSTATE 'CDPBF' THEN
      code := 'bad_field';
      reason := (SELECT x.reason FROM cdp_internal.load_reasons() x WHERE x.code = 'bad_field') || ': ' || SQLERRM;
    -- What the message itself caused; all else is no fault of its own and goes to the caller.
    WHEN data_exception OR program_limit_exceeded THEN
      code := 'bad_message';
      reason := SQLERRM;
    END;
  END IF;
  status := 'refused';
  reason := coalesce(reason, (SELECT x.reason FROM cdp_internal.load_reasons() x WHERE x.code = message_in.code));
  PERFORM cdp_internal.guard_batch(); -- the original of an erased person must not be kept either
  IF jsonb_typeof(message) = 'object' AND cdp_internal.message_suppressed(src, message) THEN
    PERFORM cdp_internal.count_suppressed(src, 1);
    status := 'suppressed';
    code := NULL;
    reason := NULL;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_in(text, integer, jsonb, timestamptz) IS
'Takes one message in that came at that time. status: written, repeated, suppressed, or refused with code and reason; then nothing of it was written.';

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
  -- A batch: what stands beside the list holds for each message that does not say otherwise, but for the batch's own number.
  list := CASE jsonb_typeof(message) WHEN 'array' THEN message WHEN 'object' THEN CASE WHEN jsonb_typeof(message -> 'batch') = 'array' THEN message -> 'batch' END END;
  common := CASE WHEN jsonb_typeof(message) = 'object' AND list IS NOT NULL THEN message - ARRAY['batch', 'messageId'] ELSE '{}' END;
  IF list IS NOT NULL THEN
    PERFORM cdp_internal.calls_follow();
  END IF;
  FOR one IN SELECT e FROM jsonb_array_elements(coalesce(list, jsonb_build_array(message))) e LOOP
    IF common <> '{}' AND jsonb_typeof(one) = 'object' THEN
      one := common || one || CASE WHEN jsonb_typeof(common -> 'context') = 'object'
        THEN jsonb_build_object('context', (common -> 'context') || CASE jsonb_typeof(one -> 'context') WHEN 'object' THEN one -> 'context' ELSE '{}' END) ELSE '{}' END;
    END IF;
    m := cdp_internal.message_in(source, src, one, now());
    IF m.status = 'refused' THEN
      INSERT INTO cdp_data.quarantine (load_id, source_id, original, code, reason)
      VALUES (cdp_internal.live_load(src, now()), src, cdp_internal.seal_fields(one, cdp_internal.secret_places(src, one)), m.code, m.reason);
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
'Takes a message in the form of the Segment specification (type identify, track, page, screen, group, alias), a list of them, or {"batch": [...]}: SELECT * FROM cdp.ingest(''app'', ''{"type": "track", "event": "Order Completed", "userId": "7", "messageId": "...", "properties": {...}}''). One row per message: status written; repeated (its messageId, or the order_id of its order, was here before: nothing is changed); suppressed (an erased person: nothing is kept); refused: it is in cdp_data.quarantine as it came (encrypted attributes sealed), with the reason. userId, anonymousId, e-mail, phone and other identifiers among the traits identify, other traits are attributes, context.campaign and the referrer are the origin, revenue (of conversions else total, else value) and currency the money, the event''s name tells the kind by cdp_data.event_map_all, and the contract of the source, if there is one, what else becomes what. refused: what was left out, and why. Errors: 22023 unknown source, 22004 NULL, 55000 before cdp.setup(); never for what a message holds.';

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
  PERFORM cdp_internal.guard_batch(); -- before rows of the quarantine, which an erasure may want
  PERFORM cdp_internal.calls_follow();
  FOR q IN SELECT x.quarantine_id, x.original, x.created_at FROM cdp_data.quarantine x WHERE x.load_id = retry_messages.load_id AND x.retried_by_load IS NULL
      ORDER BY x.quarantine_id FOR UPDATE LOOP
    m := cdp_internal.message_in(l.name, l.source_id, cdp_internal.open_fields(q.original, cdp_internal.secret_places(l.source_id, q.original)), q.created_at);
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
'Takes the messages that a load of calls put into quarantine once more, after their original or what they lack was mended. A message without a time of its own happened when it came first. Returns how many were tried, taken in (or known, or of erased people), and refused again. Errors: 22023 no load of calls.';

CREATE OR REPLACE FUNCTION cdp.trial_messages(source text)
RETURNS TABLE (load_id bigint, record_kind text, messages bigint, refused bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  src integer;
  q record;
  seen jsonb;
  bad boolean;
BEGIN
  PERFORM cdp_internal.require_setup();
  src := cdp_internal.source_of(source);
  FOR record_kind IN SELECT c.record_kind FROM cdp_data.source_contract c WHERE c.source_id = src AND c.status <> 'live' ORDER BY 1 LOOP
    messages := 0;
    refused := 0;
    load_id := cdp_internal.load_begin(source, 'trial', 'messages that wait in quarantine');
    PERFORM cdp_internal.contract_admits(src, record_kind, true);
    FOR q IN SELECT cdp_internal.open_fields(x.original, cdp_internal.secret_places(src, x.original)) AS message, x.created_at, lower(btrim(x.original ->> 'type')) AS call FROM cdp_data.quarantine x
      WHERE x.source_id = src AND x.code = 'not_live' AND x.retried_by_load IS NULL
        AND lower(btrim(x.original ->> 'type')) = ANY (CASE record_kind WHEN 'customer' THEN ARRAY['identify'] ELSE ARRAY['track', 'page', 'screen'] END)
    LOOP
      messages := messages + 1;
      BEGIN
        seen := (cdp_internal.message_read(src, q.call, q.message)).identifiers;
        bad := (cdp_internal.message_time(q.message, q.created_at)).bad OR cardinality((cdp_internal.clean_identifiers(seen)).type_ids) = 0;
      EXCEPTION WHEN data_exception OR program_limit_exceeded OR SQLSTATE 'CDPMF' OR SQLSTATE 'CDPBF' THEN
        bad := true;
      END;
      refused := refused + bad::integer;
    END LOOP;
    INSERT INTO cdp_data.source_quality (load_id, source_id, record_kind, field, target, rows_seen, filled, valid, distinct_values)
    SELECT load_id, src, record_kind, j.field, concat_ws(' ', j.target_kind, j.target_name), messages, count(*) FILTER (WHERE j.code IS DISTINCT FROM 'empty'),
      count(*) FILTER (WHERE j.code IS NULL), count(DISTINCT hashtextextended(j.value, 0)) FILTER (WHERE j.code IS NULL)
    FROM cdp_data.quarantine x CROSS JOIN LATERAL (SELECT cdp_internal.open_fields(x.original, cdp_internal.secret_places(src, x.original)) AS message OFFSET 0) o
      CROSS JOIN LATERAL cdp_internal.message_judged(src, record_kind, o.message, cdp_internal.message_plain(o.message, lower(btrim(x.original ->> 'type')))) j
    WHERE x.source_id = src AND x.code = 'not_live' AND x.retried_by_load IS NULL AND j.target_kind <> 'ignore'
      AND NOT (j.target_kind IN ('record', 'touchpoint') AND j.target_name IN ('source_key', 'observed_at', 'occurred_at', 'kind') AND j.code = 'empty')
      AND lower(btrim(x.original ->> 'type')) = ANY (CASE record_kind WHEN 'customer' THEN ARRAY['identify'] ELSE ARRAY['track', 'page', 'screen'] END)
    GROUP BY j.field, j.target_kind, j.target_name;
    UPDATE cdp_data.load l SET state = 'done', finished_at = clock_timestamp(), rows_read = messages, inserted = 0, corrected = 0, unchanged = messages - refused, quarantined = refused
    WHERE l.load_id = load_id;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.trial_messages(text) IS
'Judges the messages that wait in quarantine because the contract of their source is not live yet, and takes none in: a trial for sources that send messages only, so that cdp.source_check() has something to judge. Returns a row for each contract that is not live: the trial''s load, how many messages there were, and how many of them would be refused. After cdp.source_go_live(), cdp.retry_messages() takes them in. Errors: 22023 unknown source, 55000 before cdp.setup().';
