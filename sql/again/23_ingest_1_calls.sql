-- Identity room, ingestion: one record in one call. cdp.identify(), cdp.track() and their kin.
--
-- Whatever a call writes belongs to a load, one for each source and UTC day, so that a day of calls can be taken back
-- like a batch. The ledger row is not touched by the calls: it would be the one row that all of them wait for.

CREATE OR REPLACE FUNCTION cdp_internal.nearest_name(word text, names text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
  SELECT n FROM unnest(names) n
  WHERE cdp.jaro_winkler(lower(left(word, 100)), lower(left(n, 100))) >= 0.8
  ORDER BY cdp.jaro_winkler(lower(left(word, 100)), lower(left(n, 100))) DESC, n COLLATE "C" LIMIT 1);
COMMENT ON FUNCTION cdp_internal.nearest_name(text, text[]) IS
'The name that was probably meant, for hints: the most like by Jaro-Winkler, at least 0.8; ties by bytes. NULL when none is like it.';

CREATE OR REPLACE FUNCTION cdp_internal.did_you_mean(word text, names text[], otherwise text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce('Did you mean ' || quote_literal(cdp_internal.nearest_name(word, names)) || '?', otherwise);
COMMENT ON FUNCTION cdp_internal.did_you_mean(text, text[], text) IS
'Text for a hint: the nearest of the names, or the other text when none is near.';

CREATE OR REPLACE FUNCTION cdp_internal.source_of(name text) RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
BEGIN
  SELECT s.source_id INTO id FROM cdp_data.source s WHERE s.name = source_of.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown source "%"', left(name, 100)
      USING ERRCODE = 'invalid_parameter_value',
        DETAIL = format('%s sources are known.', (SELECT count(*) FROM cdp_data.source)),
        HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT s.name FROM cdp_data.source s),
          format('A new one is made with: SELECT cdp.add_source(%L);', left(name, 100)));
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.source_of(text) IS
'Number of the source of that name. Errors: 22023 when there is none, with the nearest name.';

CREATE OR REPLACE FUNCTION cdp_internal.live_load(source_id integer, at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  day timestamptz := date_trunc('day', at, 'UTC');
  id bigint;
BEGIN
  LOOP
    FOR attempt IN 1 .. 2 LOOP
      SELECT l.load_id INTO id FROM cdp_data.load l
      WHERE l.source_id = live_load.source_id AND l.kind = 'calls' AND l.state = 'done' AND l.started_at >= day AND l.started_at < day + interval '24 hours'
      ORDER BY l.load_id LIMIT 1;
      EXIT WHEN FOUND OR attempt = 2;
      -- The first call of the day makes the load; others that come meanwhile wait for its transaction.
      PERFORM pg_advisory_xact_lock(hashint8extended(live_load.source_id, 7234564));
    END LOOP;
    IF id IS NULL THEN
      INSERT INTO cdp_data.load AS l (source_id, kind, state, started_at) VALUES (live_load.source_id, 'calls', 'done', at)
      RETURNING l.load_id INTO id;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(cdp_internal.load_lock_key(id));
    -- Between look-up and lock it may have been taken back; on an older snapshot only a lock of the row tells (40001).
    IF current_setting('transaction_isolation') <> 'read committed' THEN
      PERFORM FROM cdp_data.load l WHERE l.load_id = id FOR KEY SHARE;
    END IF;
    IF (SELECT l.state FROM cdp_data.load l WHERE l.load_id = id) = 'done' THEN
      RETURN id;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.live_load(integer, timestamptz) IS
'The load that single calls of a source write into on the UTC day of a time: kind calls, state done from its start, its counts left to cdp.maintain(). Made when there is none, or only reverted ones. Holds a shared lock until the transaction ends, so that the load is not taken back under the call. Error 40001: in REPEATABLE READ and SERIALIZABLE when somebody changed the load since the snapshot.';

CREATE OR REPLACE FUNCTION cdp_internal.snake(name text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_snake';
COMMENT ON FUNCTION cdp_internal.snake(text) IS
'The one spelling of a name: in NFKC and lower case with _ between words, so that firstName, First Name and first-name are first_name, whatever the locale. Beyond ASCII every character but blanks is a letter. A text that is no name (above 3200 bytes, a control character inside) comes back as it is.';

CREATE OR REPLACE FUNCTION cdp_internal.trait_names() RETURNS TABLE (trait text, attribute text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
SELECT * FROM (VALUES
  ('name'::text, 'full_name'::text), ('title', 'job_title'), ('avatar', 'avatar_url'), ('created_at', 'registered_at'), ('description', 'note'),
  ('address.street', 'address'), ('address.city', 'city'), ('address.state', 'region'), ('address.postal_code', 'postcode'), ('address.country', 'country'),
  ('company.name', 'company'), ('company.industry', 'industry'), ('company.employee_count', 'company_size'), ('locale', 'language')
) AS v (trait, attribute);
END;
COMMENT ON FUNCTION cdp_internal.trait_names() IS
'Reserved traits of the Segment specification that have another name among the attributes; a dot leads into an object.';

CREATE OR REPLACE FUNCTION cdp_internal.field_targets(names text[]) RETURNS TABLE (name text, target_kind text, target_name text, is_exact boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  other text[];
  n bigint;
BEGIN
  RETURN QUERY
  SELECT DISTINCT ON (k.name) k.name::text, k.kind, k.name::text, true
  FROM (
    SELECT 'identifier' AS kind, t.name, 1 AS place FROM cdp_data.identifier_type_all t WHERE t.name = ANY (names)
    UNION ALL SELECT 'attribute', a.name, 2 FROM cdp_data.attribute_all a WHERE a.name = ANY (names)) k
  ORDER BY k.name, k.place;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n = cardinality(names) THEN
    RETURN; -- all have their own names, as most have
  END IF;
  other := ARRAY(SELECT DISTINCT g.name FROM unnest(names) AS g (name) WHERE NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE t.name = g.name)
    AND NOT EXISTS (SELECT FROM cdp_data.attribute_all a WHERE a.name = g.name));
  RETURN QUERY
  SELECT DISTINCT ON (o.name) o.name, k.kind, k.name::text, false
  FROM (SELECT u.name, cdp_internal.snake(u.name) AS spelled FROM unnest(other) AS u (name) OFFSET 0) o JOIN (
    SELECT 'identifier' AS kind, t.name, cdp_internal.snake(t.name) AS spelled, 1 AS place FROM cdp_data.identifier_type_all t
    UNION ALL SELECT 'attribute', a.name, cdp_internal.snake(a.name), 2 FROM cdp_data.attribute_all a
    UNION ALL SELECT 'attribute', r.attribute, r.trait, 3 FROM cdp_internal.trait_names() r WHERE strpos(r.trait, '.') = 0) k ON k.spelled = o.spelled
  ORDER BY o.name, k.place, k.spelled <> k.name, k.name COLLATE "C";
  IF EXISTS (SELECT FROM unnest(other) AS u (name) WHERE strpos(u.name, '.') > 0) THEN
    RETURN QUERY
    SELECT o.name, 'attribute', r.attribute, false
    FROM unnest(other) AS o (name) JOIN cdp_internal.trait_names() r
      ON r.trait = array_to_string(ARRAY(SELECT cdp_internal.snake(p) FROM unnest(string_to_array(o.name, '.')) WITH ORDINALITY AS u (p, n) ORDER BY n), '.')
    WHERE strpos(o.name, '.') > 0 AND NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE cdp_internal.snake(t.name) = cdp_internal.snake(o.name))
      AND NOT EXISTS (SELECT FROM cdp_data.attribute_all a WHERE cdp_internal.snake(a.name) = cdp_internal.snake(o.name));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.field_targets(text[]) IS
'What fields of records are, by their names: the one rule for calls, messages and columns of loads. The identifier type of exactly that name, else the attribute; else the type, else the attribute whose name is the same in the spelling of cdp_internal.snake() (of several one that is spelled so itself, then the lesser by bytes); else the attribute that the Segment specification means (cdp_internal.trait_names(), a dot leads into an object). No row for other names. Of several fields of a record that are one attribute, the one of exactly its name counts, then the last by bytes; those that are one identifier type all identify.';

CREATE OR REPLACE FUNCTION cdp_internal.split_traits(traits jsonb, OUT identifiers jsonb, OUT attributes jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF traits IS NULL OR jsonb_typeof(traits) <> 'object' THEN
    RAISE EXCEPTION 'traits must be a JSON object'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', coalesce(jsonb_typeof(traits), 'NULL')),
        HINT = 'Write name and value, such as {"city": "...", "email": "..."}.';
  ELSIF traits = '{}' THEN
    identifiers := '{}';
    attributes := '{}';
    RETURN;
  END IF;
  WITH given AS MATERIALIZED (
    SELECT e.key, e.value FROM jsonb_each(traits) e
    WHERE NOT (jsonb_typeof(e.value) = 'object' AND cdp_internal.snake(e.key) IN ('address', 'company'))
    UNION ALL
    SELECT e.key || '.' || i.key, i.value
    FROM jsonb_each(traits) e CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(e.value) WHEN 'object' THEN e.value ELSE '{}' END) i
    WHERE cdp_internal.snake(e.key) IN ('address', 'company')
  ), named AS MATERIALIZED (
    SELECT g.key, g.value, f.target_kind, coalesce(f.target_name, cdp_internal.snake(g.key)) AS name, f.is_exact
    FROM given g LEFT JOIN cdp_internal.field_targets(ARRAY(SELECT key FROM given)) f ON f.name = g.key
  )
  SELECT
    (SELECT coalesce(jsonb_object_agg(x.name, x.list), '{}')
     FROM (SELECT n.name, CASE count(*) WHEN 1 THEN (jsonb_agg(n.value)) -> 0 ELSE jsonb_agg(v.value ORDER BY n.is_exact DESC, n.key COLLATE "C" DESC, v.nth) END AS list
           FROM named n CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(n.value) WHEN 'array' THEN n.value ELSE jsonb_build_array(n.value) END)
             WITH ORDINALITY AS v (value, nth)
           WHERE n.target_kind = 'identifier' GROUP BY n.name) x),
    (SELECT coalesce(jsonb_object_agg(x.name, x.value), '{}')
     FROM (SELECT DISTINCT ON (n.name) n.name, n.value FROM named n WHERE n.target_kind IS DISTINCT FROM 'identifier'
           ORDER BY n.name, n.is_exact DESC NULLS LAST, n.key COLLATE "C" DESC) x)
  INTO identifiers, attributes;
END
$$;
COMMENT ON FUNCTION cdp_internal.split_traits(jsonb) IS
'Traits of a person divided by cdp_internal.field_targets(): those that are identifier types (email, phone, ...) identify, the others are attributes. Names come out as types and attributes have them, unknown ones as cdp_internal.snake() writes them; address and company may be objects. Errors: 22023 no JSON object.';

CREATE OR REPLACE FUNCTION cdp_internal.add_identifiers(base jsonb, more jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Most records have nothing to add, and a statement is planned by each session only when it is met.
  IF more IS NULL OR more = '{}' THEN
    RETURN base;
  ELSIF base = '{}' THEN
    RETURN more;
  END IF;
  RETURN (
    SELECT jsonb_object_agg(x.key, x.list)
    FROM (
      SELECT u.key, jsonb_agg(v.value ORDER BY u.n, v.nth) AS list
      FROM (SELECT e.key, e.value, 1 AS n FROM jsonb_each(base) e UNION ALL SELECT e.key, e.value, 2 FROM jsonb_each(more) e) u
        CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(u.value) WHEN 'array' THEN u.value ELSE jsonb_build_array(u.value) END)
          WITH ORDINALITY AS v (value, nth)
      GROUP BY u.key) x);
END
$$;
COMMENT ON FUNCTION cdp_internal.add_identifiers(jsonb, jsonb) IS
'Two objects {"type": value or [values]} as one with all values of both.';

CREATE OR REPLACE FUNCTION cdp_internal.said_key(given text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  t text := btrim(given);
BEGIN
  -- Else all that a broken sender calls "undefined" would be one record, and the second would be lost.
  RETURN CASE WHEN t <> '' AND cdp_internal.word_of(t, cdp_internal.blank_words()) IS NULL THEN t END;
END
$$;
COMMENT ON FUNCTION cdp_internal.said_key(text) IS
'A key as a caller or a message gives it, without blanks at its ends; NULL when it is missing, blank or a word that says nothing (undefined, null, ...: cdp_internal.blank_words()).';

CREATE OR REPLACE FUNCTION cdp_internal.call_read(
  source text, identifiers jsonb, occurred_at timestamptz, message_id text,
  OUT source_id integer, OUT type_ids smallint[], OUT vals text[], OUT refused jsonb, OUT key text, OUT at timestamptz, OUT suppressed boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  clean record;
  bounds record;
BEGIN
  PERFORM cdp_internal.require_setup();
  source_id := cdp_internal.source_of(source);
  at := coalesce(occurred_at, now());
  bounds := cdp_internal.time_bounds();
  IF at < bounds.earliest OR at > bounds.latest THEN
    RAISE EXCEPTION 'no credible time of a record: %', at
      USING ERRCODE = 'datetime_field_overflow', DETAIL = format('Times from %s to %s are taken.', bounds.earliest, bounds.latest),
        HINT = 'See time_floor, time_ahead and touchpoint_retention of cdp_data.setting.';
  END IF;
  IF octet_length(message_id) > 800 OR btrim(message_id) = '' THEN
    RAISE EXCEPTION 'message_id must have 1 to 800 bytes'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It has %s.', octet_length(message_id)),
        HINT = 'Without one, leave it out; then a message that comes twice is taken twice.';
  END IF;
  key := coalesce(cdp_internal.said_key(message_id), gen_random_uuid()::text);
  clean := cdp_internal.clean_identifiers(identifiers);
  type_ids := clean.type_ids;
  vals := clean.vals;
  refused := clean.refused;
  suppressed := refused @> '[{"code": "suppressed"}]' OR cdp_internal.guard_suppressed(type_ids, vals);
  IF suppressed THEN
    PERFORM cdp_internal.count_suppressed(source_id, 1);
  END IF;
  IF cardinality(type_ids) = 0 AND NOT suppressed THEN
    RAISE EXCEPTION 'no identifier of the record can identify anybody'
      USING ERRCODE = 'invalid_parameter_value',
        DETAIL = coalesce((SELECT string_agg(format('%s: %s', r ->> 'type', r ->> 'code'), ', ') || '.' FROM jsonb_array_elements(refused) r), 'None was given.'),
        HINT = 'cdp.why_refused(type, value) tells more.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.call_read(text, jsonb, timestamptz, text) IS
'Checks what all calls have in common: the source, the time (NULL: now), the key of the message (NULL or a word that says nothing: a new one), and the identifiers in the form in which they are stored. suppressed: one of them is on the suppression list, nothing of the record may be kept. Errors: 22023 unknown source, bad message_id, no usable identifier; 22008 no credible time; 54000 more than 50 identifiers; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.message_known(source_id integer, key text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT m.identifier_id FROM cdp_data.call_message m JOIN cdp_data.load l ON l.load_id = m.load_id
    WHERE m.source_id = message_known.source_id AND m.message_id = key AND l.state = 'done');
END
$$;
COMMENT ON FUNCTION cdp_internal.message_known(integer, text) IS
'The identifier of an earlier message without touchpoint of the same key; NULL when there was none or its load was reverted.';

CREATE OR REPLACE FUNCTION cdp_internal.message_note(
  source_id integer, key text, load_id bigint, call text, identifier_id bigint, at timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.call_message AS m (source_id, message_id, load_id, call, identifier_id, occurred_at)
  VALUES (message_note.source_id, key, message_note.load_id, message_note.call, message_note.identifier_id, at)
  ON CONFLICT ON CONSTRAINT call_message_pkey DO UPDATE
  SET load_id = excluded.load_id, call = excluded.call, identifier_id = excluded.identifier_id, occurred_at = excluded.occurred_at
  WHERE NOT EXISTS (SELECT FROM cdp_data.load l WHERE l.load_id = m.load_id AND l.state = 'done');
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION cdp_internal.message_note(integer, text, bigint, text, bigint, timestamptz) IS
'Notes a message without touchpoint. False when another session has written the same one meanwhile.';

CREATE OR REPLACE FUNCTION cdp_internal.call_trace(created boolean, merged bigint[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN merged <> '{}' THEN jsonb_build_object('merged', merged) WHEN created THEN '{"created": true}'::jsonb END;
COMMENT ON FUNCTION cdp_internal.call_trace(boolean, bigint[]) IS
'What the audit notes of a call beside its customer: {"merged": [customers]} or {"created": true}; NULL when it changed nobody''s number.';

CREATE OR REPLACE FUNCTION cdp_internal.call_fresh(type_ids smallint[], vals text[]) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off -- by key, in small tables too
AS $$
BEGIN
  RETURN EXISTS (SELECT FROM unnest(type_ids, vals) AS u (type_id, value)
    WHERE (SELECT i.identifier_id FROM cdp_data.identifier i WHERE i.type_id = u.type_id AND i.value = u.value) IS NULL);
END
$$;
COMMENT ON FUNCTION cdp_internal.call_fresh(smallint[], text[]) IS
'Whether some of these identifiers are not known yet.';

CREATE OR REPLACE FUNCTION cdp_internal.call_newcomers(type_ids smallint[], vals text[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off -- by key, in small tables too
AS $$
BEGIN
  PERFORM cdp_internal.feed_write(ARRAY(
    SELECT DISTINCT cdp_internal.identifier_root(i.identifier_id) AS root
    FROM unnest(type_ids, vals) AS u (type_id, value)
      CROSS JOIN LATERAL (SELECT k.identifier_id FROM cdp_data.identifier k WHERE k.type_id = u.type_id AND k.value = u.value OFFSET 0) i ORDER BY root), 'identify');
END
$$;
COMMENT ON FUNCTION cdp_internal.call_newcomers(smallint[], text[]) IS
'Tells the change feed about the customers to whom these identifiers belong now: for a call that made some of them and tells nothing else of all of them.';

CREATE OR REPLACE FUNCTION cdp_internal.record_in(
  call text, c record, attributes jsonb,
  OUT status text, OUT customer_id bigint, OUT created boolean, OUT merged bigint[], OUT refused jsonb, OUT load_id bigint, OUT identifier_id bigint, OUT home_id bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
  told record;
  fresh boolean;
BEGIN
  created := false;
  merged := '{}';
  refused := c.refused;
  IF c.suppressed THEN
    status := 'suppressed';
    refused := '[]';
    RETURN;
  END IF;
  identifier_id := cdp_internal.message_known(c.source_id, c.key);
  IF identifier_id IS NULL THEN
    load_id := cdp_internal.live_load(c.source_id, now());
    BEGIN
      fresh := cdp_internal.call_fresh(c.type_ids, c.vals);
      r := cdp_internal.identify_in(load_id, c.source_id, c.type_ids, c.vals, c.at, c.key, call);
      SELECT w.refused, w.written INTO told FROM cdp_internal.attributes_write(load_id, c.source_id, r.home_id, r.identifier_id, attributes, c.at, false) w;
      IF fresh AND (told.written = 0 OR r.rejected <> '[]') THEN
        PERFORM cdp_internal.call_newcomers(c.type_ids, c.vals);
      END IF;
      IF NOT cdp_internal.message_note(c.source_id, c.key, load_id, call, r.identifier_id, c.at) THEN
        RAISE EXCEPTION 'the message came twice at once' USING ERRCODE = 'CDPTW';
      END IF;
      status := 'written';
      customer_id := r.customer_id;
      created := r.created;
      merged := r.merged;
      refused := c.refused || r.rejected || told.refused;
      identifier_id := r.identifier_id;
      home_id := r.home_id;
      PERFORM cdp_data.audit_write(call, 'load ' || load_id, customer_id, cdp_internal.call_trace(created, merged));
      RETURN;
    EXCEPTION WHEN SQLSTATE 'CDPTW' THEN
      identifier_id := cdp_internal.message_known(c.source_id, c.key);
    END;
  END IF;
  status := 'repeated';
  refused := '[]';
  customer_id := cdp_internal.identifier_root(identifier_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.record_in(text, record, jsonb) IS
'Writes a record without touchpoint, as cdp_internal.call_read() gives it: identifiers, attributes, the message''s key. status: written; repeated (nothing was changed); suppressed (nothing was kept). The last three are NULL unless written.';

CREATE OR REPLACE FUNCTION cdp.identify(
  source text, identifiers jsonb, traits jsonb DEFAULT '{}', occurred_at timestamptz DEFAULT now(), message_id text DEFAULT NULL,
  OUT customer_id bigint, OUT status text, OUT created boolean, OUT merged bigint[], OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  t record;
  c record;
  r record;
BEGIN
  PERFORM cdp_internal.require_setup();
  t := cdp_internal.split_traits(coalesce(traits, '{}'));
  c := cdp_internal.call_read(source, cdp_internal.add_identifiers(identifiers, t.identifiers), occurred_at, message_id);
  r := cdp_internal.record_in('identify', c, t.attributes);
  customer_id := r.customer_id;
  status := r.status;
  created := r.created;
  merged := r.merged;
  refused := r.refused;
END
$$;
COMMENT ON FUNCTION cdp.identify(text, jsonb, jsonb, timestamptz, text) IS
'Tells who somebody is: SELECT * FROM cdp.identify(''shop'', ''{"user_id": "7", "cookie": "..."}'', ''{"email": "...", "city": "..."}''). All identifiers of the record become one customer, as far as the rules of their types let them. Traits with the name of an identifier type identify, too; the others become attributes, seen at occurred_at. Returns the customer; status written, repeated (a message_id that was here before: nothing is changed), or suppressed (an erased person: nothing is kept); created: the customer is new; merged: customers that became part of this one; refused: [{"type", "code" or "reason"}] of identifiers that were left out, without their values. message_id NULL, or a word that says nothing (undefined, null): every call is taken. Errors: 22023 unknown source or no usable identifier, 22008 no credible time, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.alias(
  source text, previous jsonb, current jsonb, occurred_at timestamptz DEFAULT now(), message_id text DEFAULT NULL,
  OUT customer_id bigint, OUT status text, OUT created boolean, OUT merged bigint[], OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  c record;
  one record;
  other record;
BEGIN
  PERFORM cdp_internal.require_setup();
  one := cdp_internal.clean_identifiers(previous);
  other := cdp_internal.clean_identifiers(current);
  -- Of an erased person: call_read() tells and counts.
  IF cardinality(one.type_ids) = 0 AND NOT one.refused @> '[{"code": "suppressed"}]'
    OR cardinality(other.type_ids) = 0 AND NOT other.refused @> '[{"code": "suppressed"}]' THEN
    RAISE EXCEPTION 'an alias needs a usable identifier on both sides'
      USING ERRCODE = 'invalid_parameter_value',
        DETAIL = format('previous has %s, current has %s.', cardinality(one.type_ids), cardinality(other.type_ids)),
        HINT = 'Write type and value, such as {"cookie": "..."} and {"user_id": "..."}; cdp.why_refused(type, value) tells more.';
  END IF;
  c := cdp_internal.call_read(source, cdp_internal.add_identifiers(previous, current), occurred_at, message_id);
  SELECT r.customer_id, r.status, r.created, r.merged, r.refused INTO customer_id, status, created, merged, refused
  FROM cdp_internal.record_in('alias', c, '{}') r;
END
$$;
COMMENT ON FUNCTION cdp.alias(text, jsonb, jsonb, timestamptz, text) IS
'Tells that somebody who was known as previous is now known as current, both {"type": "value"}: SELECT * FROM cdp.alias(''app'', ''{"anonymous_id": "..."}'', ''{"user_id": "7"}''). Their customers become one, as far as the rules let them: two numbers of a type of which a customer has one only stay two customers, and refused tells it. Returns and errors as cdp.identify().';
