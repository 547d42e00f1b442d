-- Activation room, file export: the audience of a segment as lines of a file, through the register of exports (maker, checker,
-- minimum audience) of the governance room.

CREATE OR REPLACE FUNCTION cdp_internal.csv_field(value text, guard boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value IS NULL THEN ''
  WHEN value = '' THEN '""'
  -- East Asian spreadsheets take the wide signs for the narrow ones.
  WHEN guard AND value ~ '^[\t\r\n]|^\s*[=+@＝＋＠－-]' AND value !~ '^-?[0-9]+([.][0-9]+)?$' THEN '"''' || replace(value, '"', '""') || '"'
  WHEN value ~ '[",\r\n]|^\s|\s$' THEN '"' || replace(value, '"', '""') || '"'
  ELSE value END;
COMMENT ON FUNCTION cdp_internal.csv_field(text, boolean) IS
'A value as a field of a CSV file (RFC 4180): in quotes where it has to be, quotes in it doubled; NULL is nothing, the empty text two quotes. guard: what a spreadsheet would take for a formula (it begins with = + - @, narrow or wide, also after blanks, with a tab or the end of a line, and is no number) gets an apostrophe in front.';

CREATE OR REPLACE FUNCTION cdp_internal.export_words(segment text, channel text, identifiers text[], attributes text[], holdout text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  words text := format('segment %s', quote_literal(segment)) || CASE WHEN channel IS NOT NULL THEN ' by ' || quote_literal(channel) ELSE '' END
    || CASE WHEN holdout IS NOT NULL THEN ' without holdout ' || quote_literal(holdout) ELSE '' END
    || ': customer' || CASE WHEN identifiers <> '{}' THEN '; identifiers ' || array_to_string(identifiers, ', ') ELSE '' END
    || CASE WHEN attributes <> '{}' THEN '; attributes ' || array_to_string(attributes, ', ') ELSE '' END;
BEGIN
  -- The register has room for 200 characters; what does not fit is told apart by a digest.
  RETURN CASE WHEN length(words) <= 200 THEN words ELSE left(words, 160) || ' ... ' || md5(words) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.export_words(text, text, text[], text[], text) IS
'What an export of an audience is called in the register of exports: the segment, the channel, and the columns, so that who approves it sees what will leave.';

CREATE OR REPLACE FUNCTION cdp_internal.export_bits(segment text, channel text, identifiers text[], attributes text[], holdout text) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s record := cdp_internal.segment_of(segment);
  entries jsonb := cdp_internal.segment_attributes();
  bits bytea;
  odd text;
BEGIN
  SELECT u INTO odd FROM unnest(identifiers) u WHERE u IS NULL OR NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE t.name = u) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'there is no type of identifiers named "%"', left(coalesce(odd, 'NULL'), 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(odd, ARRAY(SELECT t.name FROM cdp_data.identifier_type_all t), 'SELECT name FROM cdp_data.identifier_type_all; lists them.');
  END IF;
  SELECT u INTO odd FROM unnest(attributes) u WHERE (entries ? u) IS NOT TRUE OR entries -> u ? 'encrypted' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'there is no attribute "%" that can be exported', left(coalesce(odd, 'NULL'), 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(odd, ARRAY(SELECT jsonb_object_keys(entries)), 'Encrypted ones can not be.');
  END IF;
  SELECT u INTO odd FROM unnest(attributes) u WHERE entries -> u ? 'purposes' AND NOT entries -> u -> 'purposes' ? s.purpose LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'attribute "%" may not be used for %', odd, s.purpose
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('E_PURPOSE at /attributes/%s', array_position(attributes, odd) - 1), HINT = format('It may be used for %s.', entries -> odd -> 'purposes');
  END IF;
  bits := cdp_internal.audience_bits(segment, channel);
  RETURN CASE WHEN holdout IS NULL THEN bits ELSE cdp.roaring_andnot(bits, cdp_internal.holdout_control((cdp_internal.holdout_of(holdout)).holdout_id, ARRAY(SELECT cdp.roaring_ids(bits)))) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.export_bits(text, text, text[], text[], text) IS
'Whom an export would hold now: the audience of the segment on the channel, without the control arm of the holdout (NULL: none), as a Roaring bitmap. Errors: those of cdp.segment_audience(); 22023 an identifier or attribute that is none, is encrypted, or may not be used for the purpose (E_PURPOSE); 42704 no such holdout.';

CREATE OR REPLACE FUNCTION cdp_internal.export_fits(destination text, purpose text, attributes text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  d record;
  odd text;
BEGIN
  SELECT x.purpose, x.attributes INTO d FROM cdp_data.destination x WHERE x.destination = export_fits.destination;
  IF NOT FOUND THEN
    RETURN; -- a file, or the register says that there is none
  ELSIF d.purpose IS DISTINCT FROM purpose THEN
    RAISE EXCEPTION 'the destination may not get this segment: the segment is for %, the destination for %', purpose, coalesce(d.purpose, 'no purpose')
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('The destination is %s.', quote_literal(destination)), HINT = 'See cdp.add_destination().';
  END IF;
  SELECT u INTO odd FROM unnest(attributes) u WHERE (u = ANY (d.attributes)) IS FALSE ORDER BY u LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'attribute "%" is not declared for the destination', odd
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Declared for %s are: %s.', quote_literal(destination), coalesce(nullif(array_to_string(d.attributes, ', '), ''), 'none')), HINT = 'See cdp.add_destination().';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.export_fits(text, text, text[]) IS
'Nothing when an export of a segment for this purpose, with these attributes, may go to the destination (NULL: a file). Error 22023: the destination is for another purpose, or an attribute is not declared for it; an unknown one passes.';

CREATE OR REPLACE FUNCTION cdp.request_audience_export(segment text, identifiers text[] DEFAULT '{}', attributes text[] DEFAULT '{}', channel text DEFAULT NULL,
  holdout text DEFAULT NULL, destination text DEFAULT NULL, reason text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s record := cdp_internal.segment_of(segment);
BEGIN
  PERFORM cdp_internal.export_fits(destination, s.purpose, attributes);
  RETURN cdp.request_export(cdp_internal.export_words(segment, channel, identifiers, attributes, holdout),
    cdp.roaring_count(cdp_internal.export_bits(segment, channel, identifiers, attributes, holdout)), destination, s.purpose, reason);
END
$$;
COMMENT ON FUNCTION cdp.request_audience_export(text, text[], text[], text, text, text, text) IS
'Asks for an export of the audience of a segment as it is now: which types of identifiers and which attributes, on which channel (NULL: that of the segment), without the control arm of a holdout; destination: for whom (NULL: a file). Returns its number for cdp.export_audience(). Whether another person has to let it pass: cdp.request_export(). Errors: those of cdp.segment_audience() and cdp.request_export(); 22023 an identifier or attribute that is none, is encrypted, may not be used for the purpose (E_PURPOSE with the path) or is not declared for the destination, or a destination for another purpose.';

CREATE OR REPLACE FUNCTION cdp.export_audience(export bigint, segment text, identifiers text[] DEFAULT '{}', attributes text[] DEFAULT '{}', channel text DEFAULT NULL,
  holdout text DEFAULT NULL, format text DEFAULT 'csv', header boolean DEFAULT true, guard_formulas boolean DEFAULT true) RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  batch constant integer := 5000;
  words text := cdp_internal.export_words(segment, channel, identifiers, attributes, holdout);
  asked record;
  bits bytea := cdp_internal.export_bits(segment, channel, identifiers, attributes, holdout);
  part bigint[] := '{}';
  after bigint := -1;
BEGIN
  PERFORM cdp_internal.require_choice('format', format, '{csv,ndjson}');
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'audiences are exported under READ COMMITTED only'
      USING ERRCODE = 'invalid_transaction_state', DETAIL = pg_catalog.format('This transaction is %s: what was withdrawn since it began would not be seen.', upper(current_setting('transaction_isolation'))),
        HINT = 'Export in a transaction of its own.';
  END IF;
  SELECT e.what, e.destination INTO asked FROM cdp_data.export_request e WHERE e.export_id = export;
  IF asked.what <> words THEN
    RAISE EXCEPTION 'export % is about something else', export
      USING ERRCODE = 'insufficient_privilege', DETAIL = pg_catalog.format('Asked for was: %s. This is: %s.', asked.what, words), HINT = 'Ask for this one: cdp.request_audience_export().';
  END IF;
  PERFORM cdp_internal.export_fits(asked.destination, (cdp_internal.segment_of(segment)).purpose, attributes);
  PERFORM cdp.use_export(export, cdp.roaring_count(bits));
  PERFORM cdp_internal.audit_read('export_audience', NULL, jsonb_build_object('export', export, 'what', words));
  IF holdout IS NOT NULL THEN
    PERFORM cdp_internal.holdout_assign((cdp_internal.holdout_of(holdout)).holdout_id, ARRAY(SELECT cdp.roaring_ids(cdp_internal.audience_bits(segment, channel))), clock_timestamp());
  END IF;
  IF format = 'csv' AND header THEN
    RETURN NEXT (SELECT string_agg(cdp_internal.csv_field(u.name, guard_formulas), ',' ORDER BY u.nth) FROM unnest('customer'::text || identifiers || attributes) WITH ORDINALITY AS u (name, nth));
  END IF;
  LOOP
    part := ARRAY(SELECT m FROM cdp.roaring_ids(bits) m WHERE m > after ORDER BY m LIMIT batch);
    EXIT WHEN part = '{}';
    after := part[cardinality(part)];
    IF format = 'csv' THEN
      RETURN QUERY
      SELECT concat_ws(',', f.customer_id::text,
        (SELECT string_agg(cdp_internal.csv_field((SELECT string_agg(v, ';' ORDER BY v) FROM jsonb_array_elements_text(f.identifiers -> u.name) v), guard_formulas), ',' ORDER BY u.nth)
          FROM unnest(export_audience.identifiers) WITH ORDINALITY AS u (name, nth)),
        (SELECT string_agg(cdp_internal.csv_field(f.attributes ->> u.name, guard_formulas), ',' ORDER BY u.nth) FROM unnest(export_audience.attributes) WITH ORDINALITY AS u (name, nth)))
      FROM cdp_internal.audience_facts(part, export_audience.identifiers, export_audience.attributes) f ORDER BY f.customer_id;
    ELSE
      RETURN QUERY
      SELECT (jsonb_build_object('customer', f.customer_id) || CASE WHEN export_audience.identifiers = '{}' THEN '{}' ELSE jsonb_build_object('identifiers', f.identifiers) END
        || CASE WHEN export_audience.attributes = '{}' THEN '{}' ELSE jsonb_build_object('attributes', f.attributes) END)::text
      FROM cdp_internal.audience_facts(part, export_audience.identifiers, export_audience.attributes) f ORDER BY f.customer_id;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.export_audience(bigint, text, text[], text[], text, text, text, boolean, boolean) IS
'The lines of an export that was asked for with the same segment, identifiers, attributes, channel and holdout and let pass: the audience as it is now, a line for each customer in the order of their ids. format csv (RFC 4180, UTF-8, lines without their end; several identifiers of a type stand in one field with ; between them; header: names of columns first; guard_formulas: what a spreadsheet would take for a formula gets an apostrophe in front) or ndjson (an object for each customer, as in messages of activations). An export passes once; it is logged. Reads 5,000 customers at a time; lines beyond work_mem wait on disk, the ids of the audience take 8 bytes each. Needs the right to read identifiers and profiles (the part of privacy, or the tables'' owner), with a holdout the rights of the owner, whose arms are kept from then on. Attributes are as of the last cdp.refresh_profiles(). Errors: 25000 in a transaction that is not READ COMMITTED; 42501 without the right, for another audience or another''s export, or fewer people than the minimum audience; 55000 it was not let pass, or was made already; 22023 format; else as cdp.request_audience_export().';
