-- Governance room, purposes of data: attributes, kinds of touchpoints and properties say for which purposes they may be
-- used. A use is refused where it is defined, with the way to what is wrong in it.

CREATE OR REPLACE FUNCTION cdp.allow_purposes(what text, name text, purposes text[], key text DEFAULT NULL, sensitivity text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  k cdp_data.touch_kind_all;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.purpose_of(p) FROM unnest(purposes) p;
  IF sensitivity IS NOT NULL THEN
    PERFORM cdp_internal.require_choice('sensitivity', sensitivity, '{internal,personal,sensitive}');
  END IF;
  IF what = 'property' THEN
    PERFORM cdp_internal.require_text('key of a property', key, 200);
  END IF;
  IF key IS NOT NULL AND what IS DISTINCT FROM 'property' THEN
    RAISE EXCEPTION 'only a property has a key'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('This says something about a whole %s.', left(coalesce(what, 'NULL'), 50)), HINT = 'Write property, or leave the key out.';
  END IF;
  IF what IN ('kind', 'property') THEN
    SELECT * INTO k FROM cdp_data.touch_kind_all t WHERE t.name = allow_purposes.name ORDER BY t.is_builtin LIMIT 1;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'there is no kind of touchpoint named "%"', left(name, 100)
        USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT t.name FROM cdp_data.touch_kind_all t), 'SELECT name FROM cdp_data.touch_kind_all; lists them.');
    END IF;
  END IF;
  CASE what
    WHEN 'attribute' THEN
      IF NOT EXISTS (SELECT FROM cdp_data.attribute_all a WHERE a.name = allow_purposes.name) THEN
        RAISE EXCEPTION 'there is no attribute named "%"', left(name, 100)
          USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT a.name FROM cdp_data.attribute_all a), 'SELECT name FROM cdp_data.attribute_all; lists them.');
      END IF;
      PERFORM cdp.add_attribute(name, sensitivity => sensitivity);
      UPDATE cdp_data.attribute a SET allowed_purposes = purposes WHERE a.name = allow_purposes.name;
    WHEN 'kind' THEN
      INSERT INTO cdp_data.touch_kind AS t (kind_id, name, is_touch, is_conversion, is_milestone, sensitivity, allowed_purposes)
      VALUES (k.kind_id, k.name, k.is_touch, k.is_conversion, k.is_milestone, coalesce(sensitivity, k.sensitivity), purposes)
      ON CONFLICT ON CONSTRAINT touch_kind_pkey DO UPDATE SET sensitivity = excluded.sensitivity, allowed_purposes = excluded.allowed_purposes;
    WHEN 'property' THEN
      INSERT INTO cdp_data.property_rule AS r (kind_id, key, sensitivity, allowed_purposes)
      VALUES (k.kind_id, key, coalesce(sensitivity, 'internal'), purposes)
      ON CONFLICT ON CONSTRAINT property_rule_pkey DO UPDATE SET sensitivity = coalesce(allow_purposes.sensitivity, r.sensitivity), allowed_purposes = excluded.allowed_purposes;
    ELSE
      RAISE EXCEPTION 'unknown thing "%"', left(coalesce(what, 'NULL'), 50)
        USING ERRCODE = 'invalid_parameter_value', HINT = 'Use attribute, kind or property.';
  END CASE;
  PERFORM cdp_data.audit_write('setting', concat_ws(' ', what, name, key), NULL, jsonb_build_object('allowed_purposes', to_jsonb(purposes), 'sensitivity', sensitivity));
  PERFORM cdp_internal.outbox_close();
  PERFORM cdp_internal.consent_told(NULL);
END
$$;
COMMENT ON FUNCTION cdp.allow_purposes(text, text, text[], text, text) IS
'Says for which purposes data may be used: cdp.allow_purposes(''attribute'', ''birthday'', ''{service}''), (''kind'', ''health_quiz'', ''{service}''), (''property'', ''purchase'', ''{analytics}'', key => ''coupon''). purposes NULL: every one. sensitivity (internal, personal, sensitive) NULL keeps what is there. The first property of a kind makes its list: keys that are not listed are no longer kept. Attribution refuses such kinds where they are named and leaves them out where they are not; roll-ups start over. Errors: 22023 unknown thing, name or purpose, a key that is no property''s, a property without key, unknown sensitivity, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.json_pointer(part text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN '/' || replace(replace(part, '~', '~0'), '/', '~1');
COMMENT ON FUNCTION cdp_internal.json_pointer(text) IS 'One step of a JSON Pointer (RFC 6901) with its slash.';

CREATE OR REPLACE FUNCTION cdp_internal.purpose_finding(path text, purpose text, what text, known boolean, allowed text[])
RETURNS TABLE (path text, code text, message text, hint text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT purpose_finding.path, CASE WHEN known THEN 'E_PURPOSE' ELSE 'E_UNKNOWN' END,
    CASE WHEN known THEN format('%s may not be used for %s', what, purpose) ELSE format('there is no %s', what) END,
    CASE WHEN NOT known THEN 'Is it spelled as in cdp_data.attribute_all, touch_kind_all and property_rule?'
      WHEN allowed = '{}' THEN 'It may be used for nothing.' ELSE format('It may be used for %s.', array_to_string(allowed, ', ')) END
  -- A NULL among the purposes allows none.
  WHERE NOT known OR allowed IS NOT NULL AND (purpose = ANY (allowed)) IS NOT TRUE;
END;
COMMENT ON FUNCTION cdp_internal.purpose_finding(text, text, text, boolean, text[]) IS
'One finding of cdp.purpose_check(), or no row when the use is allowed (allowed NULL: every purpose).';

CREATE OR REPLACE FUNCTION cdp.purpose_check(purpose text, uses jsonb)
RETURNS TABLE (path text, code text, message text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  PERFORM cdp_internal.purpose_of(purpose_check.purpose);
  IF jsonb_typeof(uses) IS DISTINCT FROM 'object' OR EXISTS (SELECT FROM jsonb_each(uses) e WHERE e.key NOT IN ('attributes', 'kinds', 'properties') OR jsonb_typeof(e.value) NOT IN ('array', 'null')) THEN
    RAISE EXCEPTION 'uses must be an object of lists'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Write {"attributes": ["city"], "kinds": ["purchase"], "properties": [{"kind": "purchase", "key": "coupon"}]}.';
  END IF;
  RETURN QUERY
  SELECT f.path, f.code, f.message, f.hint
  FROM (
    SELECT 1 AS part, u.nth, '/attributes' || cdp_internal.json_pointer((u.nth - 1)::text) AS path, format('attribute "%s"', left(u.name, 100)) AS what,
      a.name IS NOT NULL AS known, a.allowed_purposes AS allowed
    FROM jsonb_array_elements_text(nullif(uses->'attributes', 'null')) WITH ORDINALITY AS u (name, nth) LEFT JOIN cdp_data.attribute_all a ON a.name = u.name
    UNION ALL
    SELECT 2, u.nth, '/kinds' || cdp_internal.json_pointer((u.nth - 1)::text), format('kind "%s"', left(u.name, 100)), k.name IS NOT NULL, k.allowed_purposes
    FROM jsonb_array_elements_text(nullif(uses->'kinds', 'null')) WITH ORDINALITY AS u (name, nth) LEFT JOIN cdp_data.touch_kind_all k ON k.name = u.name
    UNION ALL
    -- A property is never freer than its kind.
    SELECT 3, u.nth, '/properties' || cdp_internal.json_pointer((u.nth - 1)::text), format('property "%s" of "%s"', left(u.item->>'key', 100), left(u.item->>'kind', 100)),
      k.name IS NOT NULL AND (r.key IS NOT NULL OR NOT EXISTS (SELECT FROM cdp_data.property_rule o WHERE o.kind_id = k.kind_id)),
      CASE WHEN k.allowed_purposes IS NULL OR r.allowed_purposes IS NULL THEN coalesce(r.allowed_purposes, k.allowed_purposes)
        ELSE ARRAY(SELECT x FROM unnest(r.allowed_purposes) x WHERE x = ANY (k.allowed_purposes)) END
    FROM jsonb_array_elements(nullif(uses->'properties', 'null')) WITH ORDINALITY AS u (item, nth)
      LEFT JOIN cdp_data.touch_kind_all k ON k.name = u.item->>'kind' LEFT JOIN cdp_data.property_rule r ON r.kind_id = k.kind_id AND r.key = u.item->>'key'
  ) u CROSS JOIN LATERAL cdp_internal.purpose_finding(u.path, purpose_check.purpose, u.what, u.known, u.allowed) f
  ORDER BY u.part, u.nth;
END
$$;
COMMENT ON FUNCTION cdp.purpose_check(text, jsonb) IS
'What of a use is not allowed for a purpose: one row each with path (JSON Pointer into uses), code E_PURPOSE (it may not be used for it) or E_UNKNOWN (there is no such thing), message, hint. No row: all of it is allowed. uses: {"attributes": ["city"], "kinds": ["purchase"], "properties": [{"kind": "purchase", "key": "coupon"}]}. Error 22023: unknown purpose, or uses of another shape.';

CREATE OR REPLACE FUNCTION cdp_internal.require_purpose(purpose text, what text, names text[], path text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  f record;
BEGIN
  SELECT * INTO f FROM cdp.purpose_check(purpose, jsonb_build_object(what, to_jsonb(names))) c WHERE c.code = 'E_PURPOSE' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '%', f.message
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('E_PURPOSE at %s', replace(f.path, '/' || what, path)), HINT = f.hint;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_purpose(text, text, text[], text) IS
'Raises 22023 with E_PURPOSE and the path (path in place of /attributes or /kinds) for the first of these names that may not be used for the purpose. Unknown names pass: their own checks tell.';

CREATE OR REPLACE FUNCTION cdp.add_destination(
  destination text, purpose text, channel text DEFAULT '', attributes text[] DEFAULT NULL, kind text DEFAULT NULL, description text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  word text := cdp_internal.consent_channel(channel);
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('name of a destination', destination, 200);
  IF kind IS NOT NULL THEN
    PERFORM cdp_internal.require_text('kind of a destination', kind, 100, NULL, 'Such as webhook; leave it out for that.');
  END IF;
  PERFORM cdp_internal.purpose_of(purpose);
  IF array_position(attributes, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'attributes of a destination must not be NULL'
      USING ERRCODE = 'null_value_not_allowed', HINT = 'Leave the argument out when they are not declared; ''{}'': its messages may carry none.';
  END IF;
  PERFORM cdp_internal.require_purpose(purpose, 'attributes', attributes, '/attributes');
  INSERT INTO cdp_data.destination AS d (destination, purpose, channel, attributes, kind, description)
  VALUES (add_destination.destination, add_destination.purpose, word, add_destination.attributes, coalesce(add_destination.kind, 'webhook'), add_destination.description)
  ON CONFLICT ON CONSTRAINT destination_pkey DO UPDATE
  SET purpose = excluded.purpose, channel = excluded.channel, attributes = excluded.attributes,
    kind = coalesce(add_destination.kind, d.kind), description = coalesce(add_destination.description, d.description);
  PERFORM cdp_data.audit_write('setting', 'destination ' || destination, NULL, jsonb_build_object('purpose', purpose, 'channel', word, 'attributes', to_jsonb(attributes)));
  PERFORM cdp_internal.outbox_recheck(NULL);
END
$$;
COMMENT ON FUNCTION cdp.add_destination(text, text, text, text[], text, text) IS
'Makes a destination of the outbox, or changes the one of that name: for which purpose it gets data, on which channel it speaks to people, and which attributes its messages may carry (NULL: not declared). Errors: 22023 unknown purpose, bad channel, or an attribute that may not be used for the purpose (E_PURPOSE with the path); 22004 a NULL among the attributes; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusal_of_purpose(destination text, kind text, customer_id bigint, payload jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  d record;
  f record;
  odd text;
BEGIN
  IF kind = 'erase' AND customer_id IS NULL OR coalesce(jsonb_typeof(payload->'attributes'), 'null') = 'null' THEN
    RETURN NULL;
  ELSIF jsonb_typeof(payload->'attributes') <> 'object' THEN
    RETURN 'attributes at /attributes are no object of names and values'; -- in another form nobody could tell which they are
  END IF;
  SELECT x.purpose, x.attributes INTO d FROM cdp_data.destination x JOIN cdp_data.purpose_all p ON p.name = x.purpose WHERE x.destination = outbox_refusal_of_purpose.destination;
  SELECT k INTO odd FROM jsonb_object_keys(payload->'attributes') k WHERE d.attributes IS NOT NULL AND (k = ANY (d.attributes)) IS NOT TRUE ORDER BY k COLLATE "C" LIMIT 1;
  IF FOUND THEN
    RETURN format('attribute at %s is not declared for the destination', '/attributes' || cdp_internal.json_pointer(left(odd, 63)));
  END IF;
  SELECT a.name INTO f FROM jsonb_object_keys(payload->'attributes') k JOIN cdp_data.attribute_all a ON a.name = k
  WHERE a.allowed_purposes IS NOT NULL AND (d.purpose = ANY (a.allowed_purposes)) IS NOT TRUE ORDER BY a.name LIMIT 1;
  RETURN CASE WHEN FOUND THEN format('attribute at %s may not be used for %s', '/attributes' || cdp_internal.json_pointer(f.name), d.purpose) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusal_of_purpose(text, text, bigint, jsonb) IS
'The gate of purposes before the outbox: refuses a message whose payload carries, in its object attributes, one that is not declared for the destination or that may not be used for its purpose, or whose attributes are no object. NULL: nothing against it.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusals_of_purpose(destination text, kind text, customers bigint[], payloads jsonb[])
RETURNS TABLE (n bigint, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  d record;
  closed text[];
BEGIN
  SELECT x.purpose, x.attributes INTO d FROM cdp_data.destination x JOIN cdp_data.purpose_all p ON p.name = x.purpose WHERE x.destination = outbox_refusals_of_purpose.destination;
  closed := ARRAY(SELECT a.name FROM cdp_data.attribute_all a WHERE a.allowed_purposes IS NOT NULL AND (d.purpose = ANY (a.allowed_purposes)) IS NOT TRUE ORDER BY a.name);
  RETURN QUERY
  SELECT x.n, x.reason FROM (
    SELECT w.n, CASE WHEN jsonb_typeof(w.attributes) <> 'object' THEN 'attributes at /attributes are no object of names and values'
      ELSE coalesce((
          SELECT format('attribute at %s is not declared for the destination', '/attributes' || cdp_internal.json_pointer(left(min(k COLLATE "C"), 63)))
          FROM jsonb_object_keys(w.attributes) k WHERE d.attributes IS NOT NULL AND (k = ANY (d.attributes)) IS NOT TRUE HAVING count(*) > 0), (
          SELECT format('attribute at %s may not be used for %s', '/attributes' || cdp_internal.json_pointer(f.name), d.purpose)
          FROM unnest(closed) WITH ORDINALITY AS f (name, nth) WHERE w.attributes ? f.name ORDER BY f.nth LIMIT 1)) END AS reason
    FROM (SELECT p.n, p.customer, p.payload -> 'attributes' AS attributes FROM unnest(customers, payloads) WITH ORDINALITY AS p (customer, payload, n) OFFSET 0) w
    WHERE coalesce(jsonb_typeof(w.attributes), 'null') <> 'null' AND NOT (kind = 'erase' AND w.customer IS NULL)) x
  WHERE x.reason IS NOT NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusals_of_purpose(text, text, bigint[], jsonb[]) IS
'The same gate for many messages (cdp_internal.outbox_refusals()): a row for each that it refuses, with its place and the reason.';
