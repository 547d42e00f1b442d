-- Governance room: encrypted attributes and columns, reading them, and rotation of keys.

CREATE OR REPLACE FUNCTION cdp.encrypt_attribute(name text) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  a record;
  own constant text[] := ARRAY['latest', 'latest_seen', 'earliest', 'most_frequent', 'source_order', 'verified'];
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.key_ids(); -- no key, no promise
  SELECT * INTO a FROM cdp_data.attribute_all x WHERE x.name = encrypt_attribute.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown attribute "%"', left(name, 63)
      USING ERRCODE = 'invalid_parameter_value',
        HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT x.name FROM cdp_data.attribute_all x), 'A new one is made with: SELECT cdp.add_attribute(...);');
  ELSIF a.strategy <> ALL (own) THEN
    RAISE EXCEPTION 'attribute "%" can not be encrypted with strategy %', a.name, a.strategy
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Encrypted values can be told equal or different, not longer, higher, or added up.',
        HINT = format('Choose another with cdp.add_attribute(): %s.', array_to_string(own, ', '));
  ELSIF a.encrypted THEN
    RETURN a.attribute_id;
  END IF;
  -- Whatever tells nothing about a person needs no encryption; the profile keeps it among the personal ones.
  INSERT INTO cdp_data.attribute AS t (attribute_id, name, description, data_type, strategy, sensitivity, source_order, pattern, aliases, blanks, encrypted)
  VALUES (a.attribute_id, a.name, a.description, a.data_type, a.strategy, CASE a.sensitivity WHEN 'internal' THEN 'personal' ELSE a.sensitivity END,
    a.source_order, a.pattern, a.aliases, a.blanks, true)
  ON CONFLICT ON CONSTRAINT attribute_pkey DO UPDATE SET encrypted = true, sensitivity = excluded.sensitivity;
  PERFORM cdp_data.audit_write('encrypt', format('attribute %s', a.name));
  RAISE NOTICE 'values that are there already stay readable until: CALL cdp.rotate_keys();';
  RETURN a.attribute_id;
END
$$;
COMMENT ON FUNCTION cdp.encrypt_attribute(text) IS
'Has values of an attribute, built-in ones too, stored encrypted from now on; CALL cdp.rotate_keys() encrypts those that are there. Its typed column in cdp_data.profile stays empty, its sensitivity becomes personal at least, and cdp.reveal() reads it. There is no way back but a new attribute. Returns attribute_id; again changes nothing. Errors: 22023 unknown, or its strategy compares values by more than being equal (longest, min, max, sum, union, custom); 55000 no key file; F0000 it can not be used.';

CREATE OR REPLACE FUNCTION cdp_internal.reveal_in(customer bigint, attribute text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  root bigint;
  a record;
  value text;
BEGIN
  PERFORM cdp_internal.require_setup();
  root := cdp_internal.known_customer(customer);
  SELECT * INTO a FROM cdp_data.attribute_all x WHERE x.name = reveal_in.attribute;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown attribute "%"', left(attribute, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(attribute, ARRAY(SELECT x.name FROM cdp_data.attribute_all x), 'SELECT name FROM cdp_data.attribute_all; lists them.');
  END IF;
  -- The trace comes first: who can not leave it sees nothing.
  PERFORM cdp_data.audit_write('reveal', format('attribute %s', a.name), root);
  PERFORM cdp_internal.audit_log('reveal', format('attribute %s', a.name), root);
  SELECT r.doc -> 'values' ->> a.name INTO value FROM cdp_internal.profile_rows(ARRAY[root]) r;
  RETURN CASE WHEN a.encrypted AND cdp_internal.envelope_key(value) IS NOT NULL THEN cdp_internal.open_attribute(a.attribute_id, value) ELSE value END;
END
$$;
COMMENT ON FUNCTION cdp_internal.reveal_in(bigint, text) IS
'What cdp.reveal() does, for cdp_data.reveal(). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.require_reveal(function text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT has_function_privilege(function, 'EXECUTE') THEN
    RAISE EXCEPTION 'permission denied to reveal values'
      USING ERRCODE = 'insufficient_privilege', HINT = 'It takes the part of privacy: CALL cdp.setup(privacy => ...);';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_reveal(text) IS
'Error 42501 when the caller may not call this function of cdp_data, which shows encrypted values.';

CREATE OR REPLACE FUNCTION cdp.reveal(customer bigint, attribute text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_reveal('cdp_data.reveal(bigint,text)');
  RETURN cdp_data.reveal(customer, attribute);
END
$$;
COMMENT ON FUNCTION cdp.reveal(bigint, text) IS
'The golden value of an attribute of a customer as text, decrypted when it is encrypted; in the stored form of its type. NULL when nothing is known. For the part of privacy; each call leaves a row in cdp_data.audit (action reveal), so it needs a writable session. customer may be any id that he ever had. Errors: 22023 unknown customer or attribute, 42501 without the part of privacy or for a role that is kept to some sources, 39000 the stored text was changed, 55000 the key is not in the key file, 25006 in a read-only transaction.';

CREATE OR REPLACE FUNCTION cdp.encrypt_text(value text, context text, same_for_same boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF context IS NULL OR context = '' THEN
    RAISE EXCEPTION 'context must not be empty'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Name the column that will hold the text, such as ''public.account iban''.';
  END IF;
  RETURN CASE WHEN same_for_same THEN cdp_internal.seal_same(value, 'text ' || context) ELSE cdp_internal.seal_text(value, 'text ' || context) END;
END
$$;
COMMENT ON FUNCTION cdp.encrypt_text(text, text, boolean) IS
'A text for a column of your own, encrypted with AES-256-GCM and the newest key of the key file: cdp1:<key>:<base64>. context is any word, the same for the whole column; the text opens with it only, so it can not be moved to another column. same_for_same: equal texts give equal results, so that they can be found and joined, and everybody sees which rows are equal. NULL for NULL. Give values as parameters, not as literals: SQL text reaches logs. Errors: 22023 no context, 42501 without the right to digest, 55000 no key file, F0000 it can not be used.';

CREATE OR REPLACE FUNCTION cdp_internal.decrypt_in(envelope text, context text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  value text := cdp_internal.open_text(envelope, 'text ' || context);
BEGIN
  PERFORM cdp_data.audit_write('reveal', 'text', NULL, jsonb_build_object('context', left(context, 200)));
  PERFORM cdp_internal.audit_log('reveal', 'text', NULL);
  RETURN value;
END
$$;
COMMENT ON FUNCTION cdp_internal.decrypt_in(text, text) IS
'What cdp.decrypt_text() does, for cdp_data.decrypt(). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.decrypt_text(envelope text, context text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_reveal('cdp_data.decrypt(text,text)');
  RETURN cdp_data.decrypt(envelope, context);
END
$$;
COMMENT ON FUNCTION cdp.decrypt_text(text, text) IS
'The text that cdp.encrypt_text() encrypted with this context. For the part of privacy; each call leaves a row in cdp_data.audit. NULL for NULL. Errors, never a wrong text: 22023 it is no encrypted text, 39000 it was changed or has another context, 42501 without the right to decrypt, 55000 no such key.';

CREATE OR REPLACE FUNCTION cdp.add_encrypted_column(target regclass, column_name text, context text, same_for_same boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kind regtype := (SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = target AND a.attname = add_encrypted_column.column_name AND a.attnum > 0 AND NOT a.attisdropped);
BEGIN
  PERFORM cdp_internal.require_setup();
  IF kind IS NULL THEN
    RAISE EXCEPTION 'table % has no column "%"', target, left(column_name, 63) USING ERRCODE = 'undefined_column', HINT = 'Make it first, of type text.';
  ELSIF kind <> 'text'::regtype OR (SELECT c.relkind FROM pg_class c WHERE c.oid = target) <> 'r' THEN
    RAISE EXCEPTION 'an encrypted column has type text and stands in an ordinary table'
      USING ERRCODE = 'wrong_object_type', DETAIL = format('Type %s.', kind), HINT = 'Name each partition by itself.';
  ELSIF coalesce(context, '') = '' THEN
    RAISE EXCEPTION 'context must not be empty' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the word that was given to cdp.encrypt_text().';
  END IF;
  INSERT INTO cdp_data.encrypted_column AS e (table_name, column_name, context, same_for_same)
  SELECT format('%I.%I', n.nspname, c.relname), add_encrypted_column.column_name, add_encrypted_column.context, add_encrypted_column.same_for_same
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target
  ON CONFLICT ON CONSTRAINT encrypted_column_pkey DO UPDATE SET context = excluded.context, same_for_same = excluded.same_for_same;
  PERFORM cdp_data.audit_write('encrypt', format('column %s of %s', column_name, target));
END
$$;
COMMENT ON FUNCTION cdp.add_encrypted_column(regclass, text, text, boolean) IS
'Tells cdp.rotate_keys() of a text column of your own that holds what cdp.encrypt_text() gave with this context, and whether equal texts are to stay equal. Plain texts in it stay plain. Errors: 42703 no such column, 42809 not of type text or no ordinary table, 22023 no context, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.rotate_attributes(key_id integer, fresh_ids integer[], from_block bigint, blocks integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  n bigint;
  known integer[] := cdp_internal.key_ids();
  -- Keys that have to stay in the file and are not there: what names one of them was sealed, not written so by a source.
  lost integer[] := ARRAY(SELECT s.key_id FROM cdp_data.audit_seal s WHERE s.key_id <> ALL (known) UNION SELECT k FROM unnest(cdp_internal.suppression_keys()) k WHERE k <> ALL (known));
BEGIN
  PERFORM cdp_internal.guard_batch(); -- rows are written anew here: an erasure beside it would miss them
  -- One load may have said the same with two keys, when one was added meanwhile: they become one row again.
  -- Rows that somebody works on are left to the next pass: this never waits for a row.
  WITH seen AS MATERIALIZED (
    SELECT v.ctid, v.attribute_id = ANY (fresh_ids) AS is_fresh, e.key, CASE WHEN e.key IS NOT NULL THEN cdp_internal.open_or_null(v.value, 'attribute ' || v.attribute_id) END AS opened
    FROM cdp_data.attribute_value v CROSS JOIN LATERAL (SELECT cdp_internal.envelope_key(v.value) AS key) e
    WHERE v.ctid >= format('(%s,0)', from_block)::tid AND v.ctid < format('(%s,0)', from_block + blocks)::tid
      AND v.attribute_id IN (SELECT a.attribute_id FROM cdp_data.attribute a WHERE a.encrypted)
      AND (e.key IS DISTINCT FROM rotate_attributes.key_id OR v.attribute_id = ANY (fresh_ids))
  ), picked AS MATERIALIZED (
    -- Of an attribute that was never sealed as a whole, what looks encrypted and does not open came so from a source.
    SELECT v.ctid FROM cdp_data.attribute_value v JOIN seen s ON s.ctid = v.ctid
    WHERE s.key IS NULL OR s.is_fresh AND s.opened IS NULL OR s.key <> rotate_attributes.key_id AND (s.opened IS NOT NULL OR s.key <> ALL (known))
    FOR UPDATE OF v SKIP LOCKED
  ), old AS MATERIALIZED (
    DELETE FROM cdp_data.attribute_value v USING picked p WHERE v.ctid = p.ctid RETURNING v.*
  ), fresh AS (
    SELECT o.customer_id, o.identifier_id, o.load_id, o.version_id, min(o.first_at) AS first_at, max(o.last_at) AS last_at, o.attribute_id, o.source_id, bool_or(o.verified) AS verified, o.sealed
    FROM (
      SELECT x.*, cdp_internal.seal_attribute(x.attribute_id, CASE WHEN cdp_internal.envelope_key(x.value) IS NULL THEN x.value
        WHEN x.attribute_id = ANY (fresh_ids) AND cdp_internal.envelope_key(x.value) <> ALL (lost) THEN coalesce(cdp_internal.open_or_null(x.value, 'attribute ' || x.attribute_id), x.value)
        ELSE cdp_internal.open_attribute(x.attribute_id, x.value) END) AS sealed
      FROM old x) o
    GROUP BY o.customer_id, o.identifier_id, o.load_id, o.version_id, o.attribute_id, o.source_id, o.sealed
  ), kept AS (
    INSERT INTO cdp_data.attribute_value AS v (customer_id, identifier_id, load_id, version_id, first_at, last_at, attribute_id, source_id, verified, value)
    SELECT f.customer_id, f.identifier_id, f.load_id, f.version_id, f.first_at, f.last_at, f.attribute_id, f.source_id, f.verified, f.sealed FROM fresh f
    ORDER BY f.identifier_id, f.attribute_id, f.sealed COLLATE "C" -- as every load does
    ON CONFLICT (identifier_id, attribute_id, source_id, load_id, version_id, substr(sha256(replace(value, '\', '\\')::bytea), 1, 16)) DO UPDATE
    SET first_at = least(v.first_at, excluded.first_at), last_at = greatest(v.last_at, excluded.last_at), verified = v.verified OR excluded.verified
  ), told AS (
    INSERT INTO cdp_data.change_feed (customer_id, cause) SELECT DISTINCT f.customer_id, 'attribute' FROM fresh f
  )
  SELECT count(*) INTO n FROM old;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.rotate_attributes(integer, integer[], bigint, integer) IS
'Seals values of encrypted attributes anew that stand on these pages of cdp_data.attribute_value, in the clear or with another key than this one, the newest. fresh_ids: attributes that no rotation has finished yet, of which a text that does not open counts as one in the clear; of others it stays as it is. Writes the change feed, so that profiles follow. Returns how many. Errors: 55000 a key is missing; others as cdp_internal.seal_text().';

CREATE OR REPLACE FUNCTION cdp_internal.envelopes_in(original jsonb) RETURNS TABLE (key integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
SELECT cdp_internal.envelope_key(m.parts[1]) FROM regexp_matches(CASE WHEN original::text LIKE '%"cdp1:%' THEN original::text END, '"(cdp1:[0-9]+:[A-Za-z0-9+/=]+)"', 'g') AS m (parts)
WHERE cdp_internal.envelope_key(m.parts[1]) IS NOT NULL;
END;
COMMENT ON FUNCTION cdp_internal.envelopes_in(jsonb) IS
'The keys of the encrypted texts that stand anywhere in a record or message, one row each. Without rows for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.rotate_quarantine(from_block bigint, blocks integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
  known integer[] := cdp_internal.key_ids();
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.attribute a WHERE a.encrypted) THEN
    RETURN 0;
  END IF;
  WITH picked AS MATERIALIZED (
    SELECT q.quarantine_id, q.source_id, q.original FROM cdp_data.quarantine q
    WHERE q.ctid >= format('(%s,0)', from_block)::tid AND q.ctid < format('(%s,0)', from_block + blocks)::tid
      -- A row that names a key which is not there stays as it is: a source may have written it, and it must not stop the others.
      AND NOT EXISTS (SELECT FROM cdp_internal.envelopes_in(q.original) e WHERE e.key <> ALL (known))
    FOR UPDATE SKIP LOCKED
  )
  UPDATE cdp_data.quarantine q SET original = f.sealed
  FROM (
    -- What is sealed with the newest key already is the same text again.
    SELECT p.quarantine_id, p.original, cdp_internal.seal_fields(cdp_internal.open_fields(p.original, s.places), s.places) AS sealed
    FROM picked p CROSS JOIN LATERAL (SELECT cdp_internal.secret_places(p.source_id, p.original) AS places OFFSET 0) s OFFSET 0) f
  WHERE q.quarantine_id = f.quarantine_id AND f.sealed IS DISTINCT FROM f.original;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.rotate_quarantine(bigint, integer) IS
'Seals encrypted attributes of refused records and messages anew, with the newest key, that stand on these pages of cdp_data.quarantine, in the clear or sealed; rows that somebody works on, or that hold a text of a key that is not in the key file, are left out. Returns how many rows.';

CREATE OR REPLACE FUNCTION cdp_internal.rotate_column(
  target regclass, column_name text, context text, same_for_same boolean, key_id integer, from_block bigint, blocks integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  EXECUTE format('UPDATE %s t SET %2$I = cdp_internal.%3$s(cdp_internal.open_text(t.%2$I, $1), $1)
    WHERE t.ctid = ANY (ARRAY(SELECT x.ctid FROM %1$s x WHERE x.ctid >= $2::tid AND x.ctid < $3::tid AND cdp_internal.envelope_key(x.%2$I) <> $4
      AND (cdp_internal.envelope_key(x.%2$I) <> ALL ($5) OR cdp_internal.open_or_null(x.%2$I, $1) IS NOT NULL) FOR UPDATE SKIP LOCKED))',
    target, column_name, CASE WHEN same_for_same THEN 'seal_same' ELSE 'seal_text' END)
  USING 'text ' || context, format('(%s,0)', from_block), format('(%s,0)', from_block + blocks), key_id, cdp_internal.key_ids();
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.rotate_column(regclass, text, text, boolean, integer, bigint, integer) IS
'Seals the encrypted texts of a user''s column anew that stand on these pages and have another key than this one, the newest; rows that somebody works on, and texts that do not open, are left out. Returns how many. Error 55000: a key is missing.';

CREATE OR REPLACE FUNCTION cdp_internal.rotate_rooms(key_id integer, OUT changed bigint, OUT unopened bigint, OUT held bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  name text;
  n record;
BEGIN
  changed := 0;
  unopened := 0;
  held := 0;
  FOREACH name IN ARRAY ARRAY(SELECT cdp_internal.room_functions('rotate_room_', 1)) LOOP
    EXECUTE format('SELECT * FROM cdp_internal.%I($1)', name) INTO n USING key_id;
    changed := changed + n.changed;
    unopened := unopened + n.unopened;
    held := held + n.held;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.rotate_rooms(integer) IS
'Part of cdp.rotate_keys(): has other rooms seal anew with this key what they keep encrypted in tables of their own, by their functions rotate_room_...(key_id), and adds up what these tell: changed, unopened (left, because they do not open), held (left, because others worked on them).';

CREATE OR REPLACE FUNCTION cdp_internal.rotation_rest(key_id integer, OUT unopened bigint, OUT held bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record;
  n record;
BEGIN
  SELECT count(*) FILTER (WHERE x.key IS NOT NULL AND x.opened IS NULL), count(*) FILTER (WHERE x.key IS NULL OR x.opened IS NOT NULL) INTO unopened, held
  FROM (
    SELECT e.key, CASE WHEN e.key IS NOT NULL THEN cdp_internal.open_or_null(v.value, 'attribute ' || v.attribute_id) END AS opened
    FROM cdp_data.attribute_value v JOIN cdp_data.attribute a ON a.attribute_id = v.attribute_id AND a.encrypted
      CROSS JOIN LATERAL (SELECT cdp_internal.envelope_key(v.value) AS key) e
    WHERE e.key IS DISTINCT FROM rotation_rest.key_id) x;
  FOR p IN SELECT * FROM cdp_internal.rotation_places() r WHERE r.context IS NOT NULL LOOP
    EXECUTE format('SELECT count(*) FILTER (WHERE x.opened IS NULL) AS unopened, count(x.opened) AS held
      FROM (SELECT cdp_internal.open_or_null(t.%2$I, $2) AS opened FROM %1$s t WHERE cdp_internal.envelope_key(t.%2$I) <> $1) x', to_regclass(p.table_name), p.column_name)
    INTO n USING key_id, 'text ' || p.context;
    unopened := unopened + n.unopened;
    held := held + n.held;
    -- What was readable until now is in the planner's statistics, too.
    EXECUTE format('ANALYZE %s', to_regclass(p.table_name));
  END LOOP;
  SELECT * INTO n FROM cdp_internal.rotate_rooms(rotation_rest.key_id);
  unopened := unopened + n.unopened;
  held := held + n.held;
  -- Where a contract says otherwise by now, an envelope stands at no place that would be looked at.
  unopened := unopened + (SELECT count(*) FROM cdp_data.quarantine q
    WHERE EXISTS (SELECT FROM cdp_internal.envelopes_in(q.original) e WHERE e.key <> rotation_rest.key_id));
  ANALYZE cdp_data.attribute_value;
  ANALYZE cdp_data.quarantine;
  ANALYZE cdp_data.profile;
END
$$;
COMMENT ON FUNCTION cdp_internal.rotation_rest(integer) IS
'The end of a rotation to this key: counts the texts that it left because they do not open (unopened; in quarantine: rows with a text that another key sealed) or because somebody held their rows (held), and makes the statistics of the tables anew, which may hold values that were in the clear.';

CREATE OR REPLACE FUNCTION cdp_internal.rotation_writers() RETURNS text[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(
    SELECT DISTINCT l.virtualtransaction FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND (c.relnamespace = to_regnamespace('cdp_data') OR c.oid IN (SELECT to_regclass(r.table_name) FROM cdp_internal.rotation_places() r)));
END
$$;
COMMENT ON FUNCTION cdp_internal.rotation_writers() IS
'Other transactions that write now: what they wrote is not seen yet, and may be in the clear or have an older key.';

CREATE OR REPLACE FUNCTION cdp_internal.rotation_progress(rotation bigint, table_name text, block bigint, more bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE cdp_data.key_rotation r SET table_name = rotation_progress.table_name, block = rotation_progress.block, changed = r.changed + more
  WHERE r.rotation_id = rotation;
END
$$;
COMMENT ON FUNCTION cdp_internal.rotation_progress(bigint, text, bigint, bigint) IS
'Notes how far a run of cdp.rotate_keys() is.';

CREATE OR REPLACE FUNCTION cdp_internal.rotation_begin(OUT rotation bigint, OUT key_id integer, OUT fresh_ids integer[], OUT writers text[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT cdp_internal.may_use_keys('decrypt') OR NOT cdp_internal.may_use_keys('digest') THEN
    RAISE EXCEPTION 'permission denied to rotate keys'
      USING ERRCODE = 'insufficient_privilege', HINT = 'Run it as the owner of the tables.';
  END IF;
  key_id := (cdp_internal.key_ids())[cardinality(cdp_internal.key_ids())];
  writers := cdp_internal.rotation_writers();
  fresh_ids := ARRAY(SELECT a.attribute_id FROM cdp_data.attribute a WHERE a.encrypted
    AND NOT EXISTS (SELECT FROM cdp_data.key_rotation r WHERE r.finished_at IS NOT NULL AND a.attribute_id = ANY (r.attributes)));
  INSERT INTO cdp_data.key_rotation AS r (key_id, attributes)
  VALUES (rotation_begin.key_id, ARRAY(SELECT a.attribute_id FROM cdp_data.attribute a WHERE a.encrypted ORDER BY 1)) RETURNING r.rotation_id INTO rotation;
  PERFORM cdp_data.audit_write('rotate', format('key %s', key_id), NULL, jsonb_build_object('rotation', rotation, 'state', 'begun'));
END
$$;
COMMENT ON FUNCTION cdp_internal.rotation_begin() IS
'Opens a run of cdp.rotate_keys(). fresh_ids: attributes that no run has finished before; writers: cdp_internal.rotation_writers(). Errors: 42501 without the rights to digest and decrypt, 55000 no key file.';

CREATE OR REPLACE FUNCTION cdp_internal.rotation_end(rotation bigint, writers text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
  open_writers bigint := (SELECT count(*) FROM unnest(writers) w WHERE EXISTS (SELECT FROM pg_locks l WHERE l.virtualtransaction = w));
  rest record := cdp_internal.rotation_rest((SELECT x.key_id FROM cdp_data.key_rotation x WHERE x.rotation_id = rotation));
  is_done boolean := rest.held = 0 AND open_writers = 0;
BEGIN
  UPDATE cdp_data.key_rotation x SET finished_at = CASE WHEN is_done THEN clock_timestamp() END, table_name = NULL, unopened = rest.unopened WHERE x.rotation_id = rotation RETURNING * INTO r;
  PERFORM cdp_data.audit_write('rotate', format('key %s', r.key_id), NULL,
    jsonb_build_object('rotation', rotation, 'state', CASE WHEN is_done THEN 'done' ELSE 'not done' END, 'changed', r.changed, 'unopened', rest.unopened, 'held', rest.held));
  IF rest.unopened > 0 THEN
    RAISE WARNING '% encrypted texts do not open and were left as they are', rest.unopened
      USING HINT = 'They were changed, or made with another key of the same number: keep their keys and look at them.';
  END IF;
  IF NOT is_done THEN
    RAISE WARNING 'the rotation is not done: % values are held by others, and % transactions that were writing when it began are still open', rest.held, open_writers
      USING HINT = 'Keep the older keys, and CALL cdp.rotate_keys() again when these transactions have ended.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.rotation_end(bigint, text[]) IS
'Closes a run of cdp.rotate_keys(). It stays unfinished, with a warning, when rows were left that others held, or when one of these writers is still at work.';

CREATE OR REPLACE FUNCTION cdp_internal.rotation_places()
RETURNS TABLE (table_name text, column_name text, context text, same_for_same boolean, blocks bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT p.t, p.c, p.x, p.s, pg_relation_size(to_regclass(p.t)) / current_setting('block_size')::bigint + 1
  FROM (
    SELECT 'cdp_data.attribute_value' AS t, 'value' AS c, NULL AS x, true AS s
    UNION ALL
    SELECT 'cdp_data.quarantine', 'original', NULL, true
    UNION ALL
    SELECT e.table_name, e.column_name, e.context, e.same_for_same FROM cdp_data.encrypted_column e) p
  WHERE to_regclass(p.t) IS NOT NULL ORDER BY p.x NULLS FIRST, p.t, p.c;
END
$$;
COMMENT ON FUNCTION cdp_internal.rotation_places() IS
'Where encrypted values stand: the attributes'' table and the quarantine first (context NULL), then columns of cdp_data.encrypted_column whose table is there, each with its size in pages.';

CREATE OR REPLACE PROCEDURE cdp.rotate_keys(pages integer DEFAULT 500)
LANGUAGE plpgsql
AS $$
DECLARE
  run record := cdp_internal.rotation_begin();
  place record;
  block pg_catalog.int8;
  n pg_catalog.int8;
  again pg_catalog.int8;
BEGIN
  IF pages IS NULL OR pages OPERATOR(pg_catalog.<) 1 THEN
    RAISE EXCEPTION 'pages must be a whole number from 1 on' USING ERRCODE = 'invalid_parameter_value', DETAIL = pg_catalog.format('Got %s.', coalesce(pages::pg_catalog.text, 'NULL'));
  END IF;
  COMMIT;
  -- A row that a writer moved or held meanwhile is found by the next pass; the last one finds nothing.
  FOR pass IN 1 .. 20 LOOP
    again := 0;
    FOR place IN SELECT * FROM cdp_internal.rotation_places() LOOP
      block := 0;
      WHILE block OPERATOR(pg_catalog.<) place.blocks LOOP
        IF place.table_name OPERATOR(pg_catalog.=) 'cdp_data.quarantine' AND place.context IS NULL THEN
          n := cdp_internal.rotate_quarantine(block, pages);
        ELSIF place.context IS NULL THEN
          n := cdp_internal.rotate_attributes(run.key_id, run.fresh_ids, block, pages);
        ELSE
          n := cdp_internal.rotate_column(pg_catalog.to_regclass(place.table_name), place.column_name, place.context, place.same_for_same, run.key_id, block, pages);
        END IF;
        block := block OPERATOR(pg_catalog.+) pages;
        again := again OPERATOR(pg_catalog.+) n;
        PERFORM cdp_internal.rotation_progress(run.rotation, place.table_name, block, n);
        COMMIT;
      END LOOP;
    END LOOP;
    n := (cdp_internal.rotate_rooms(run.key_id)).changed;
    again := again OPERATOR(pg_catalog.+) n;
    IF n OPERATOR(pg_catalog.>) 0 THEN
      PERFORM cdp_internal.rotation_progress(run.rotation, place.table_name, block, n);
    END IF;
    COMMIT;
    EXIT WHEN again OPERATOR(pg_catalog.=) 0;
  END LOOP;
  PERFORM cdp.refresh_profiles();
  COMMIT;
  PERFORM cdp_internal.rotation_end(run.rotation, run.writers);
END
$$;
COMMENT ON PROCEDURE cdp.rotate_keys(integer) IS
'Seals everything encrypted anew with the newest key of the key file: values of encrypted attributes (also those that are still in the clear, and those of refused records and messages), columns named by cdp.add_encrypted_column(), what other rooms keep encrypted, and the profiles. Works on so many pages of a table at a time and commits after each; when it is stopped or killed, the next run does what is left. Writers go on beside it; a value written twice, with the old key and the new, counts as two values until its turn. What others hold to the end, and transactions that wrote when it began and are still open, leave it unfinished, with a warning: call it again. Digests of suppressed people and links of the audit stay with their keys: never take a key out of the file that cdp_internal.suppression_keys() or cdp_data.audit_seal names. Progress: cdp_data.key_rotation. Run it outside a transaction block, as the owner of the tables. Errors: 42501 without the rights, 55000 a key is missing. A text that does not open stays as it is, is counted in key_rotation.unopened and told in a warning and by cdp.health(). At the end the statistics of these tables are made anew; old rows stay in the files until VACUUM.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_vault()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  secret integer[] := ARRAY(SELECT a.attribute_id FROM cdp_data.attribute a WHERE a.encrypted ORDER BY 1);
  last record;
  newest integer;
BEGIN
  IF secret = '{}' AND NOT EXISTS (SELECT FROM cdp_data.encrypted_column) THEN
    RETURN;
  END IF;
  RETURN QUERY SELECT 'error', 'key_file_missing', 'attributes are encrypted, and no key file is set', 'Set cdp.key_file, see docs/encryption.md'
  WHERE NOT cdp_internal.key_file_is_set();
  SELECT r.* INTO last FROM cdp_data.key_rotation r WHERE r.finished_at IS NOT NULL ORDER BY r.rotation_id DESC LIMIT 1;
  BEGIN
    newest := (cdp_internal.key_ids())[cardinality(cdp_internal.key_ids())];
  EXCEPTION WHEN config_file_error OR object_not_in_prerequisite_state THEN
    RETURN; -- told above, or by cdp_internal.health_of_keys()
  END;
  RETURN QUERY SELECT 'warning', 'rotation_due', format('the newest key is %s, values were last sealed anew with key %s', newest, coalesce(last.key_id::text, 'none')),
    'CALL cdp.rotate_keys(); outside a transaction block'
  WHERE last.key_id IS DISTINCT FROM newest OR NOT secret <@ last.attributes;
  RETURN QUERY SELECT 'warning', 'not_opened', format('%s encrypted texts did not open when keys were rotated at %s', last.unopened, last.finished_at),
    'They were changed, or made with another key of the same number; see docs/encryption.md'
  WHERE last.unopened > 0;
  RETURN QUERY SELECT 'warning', 'column_missing', format('%s of %s is on the list of encrypted columns and not there', quote_ident(e.column_name), e.table_name),
    'DELETE FROM cdp_data.encrypted_column for it, or bring the table back'
  FROM cdp_data.encrypted_column e
  WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(e.table_name) AND a.attname = e.column_name AND NOT a.attisdropped);
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_vault() IS
'Findings of cdp.health() about encryption: no key file, values that wait for cdp.rotate_keys() or did not open there, columns that are gone.';
