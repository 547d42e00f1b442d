-- Core room, loading: from a staging table into touchpoint, with quarantine, ledger, revert and retry.
-- The readers of text; see src/core/parse.c.
CREATE OR REPLACE FUNCTION cdp_internal.parse_time(input text, zone text) RETURNS timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_parse_time';
COMMENT ON FUNCTION cdp_internal.parse_time(text, text) IS
'Reads an ISO 8601 time (2026-01-02, 2026-01-02 3:04, 2026/1/2T03:04:05.123456+08:00, ...Z). Text without an offset is in the given zone. Gives infinity for the words infinity and -infinity, and NULL, never an error, for anything else. Independent of DateStyle and TimeZone. Errors: 22023 for an unknown zone.';

CREATE OR REPLACE FUNCTION cdp_internal.parse_value(input text) RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_parse_value';
COMMENT ON FUNCTION cdp_internal.parse_value(text) IS
'Reads a decimal number (-12.5, 1.25e3) as money with six decimals. NULL, never an error, when it is no such number, is 9.2e12 or more either way, or has digits beyond the sixth decimal that are not zero.';

CREATE OR REPLACE FUNCTION cdp_internal.is_number(input text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN btrim(input, E' \t\n\v\f\r') ~ '^[-+]?([0-9]{1,40}([.][0-9]{0,40})?|[.][0-9]{1,40})([eE][-+]?[0-9]{1,2})?$';
COMMENT ON FUNCTION cdp_internal.is_number(text) IS
'Whether a text is a number that any road takes: -12.5, .5, 1e3; up to 40 digits on either side and two in the exponent, so that its cast to numeric cannot fail. Blanks at its ends do not count. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.parse_int(input text) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_parse_int';
COMMENT ON FUNCTION cdp_internal.parse_int(text) IS
'Reads a whole number of 32 bits. NULL, never an error, when the text is none.';

CREATE OR REPLACE FUNCTION cdp_internal.parse_key(input text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_parse_key';
COMMENT ON FUNCTION cdp_internal.parse_key(text) IS
'The text without blanks at its ends. NULL, never an error, when nothing is left or it is longer than 800 bytes, which an index could not hold beside other columns.';

CREATE OR REPLACE FUNCTION cdp_internal.parse_json(input text) RETURNS jsonb
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_parse_json';
COMMENT ON FUNCTION cdp_internal.parse_json(text) IS
'Reads JSON text to jsonb. NULL, never an error, when it is no JSON, is deeper than 64 levels, larger than 1 MB, or has a number of more than 2000 characters (1000 with an exponent, of at most three digits).';

CREATE OR REPLACE FUNCTION cdp_internal.row_number() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_row_number';
COMMENT ON FUNCTION cdp_internal.row_number() IS
'Counts 1, 2, 3, ... the rows that one query evaluates it for. Never NULL. Only for a plain scan: the numbers follow the order of evaluation.';

-- What a load remembers while it reads; see src/core/parse_set.c and parse_list.c.
CREATE OR REPLACE FUNCTION cdp_internal.origin_hash(source text, medium text, campaign text, referrer_host text, add_way text, qr_scene text)
RETURNS uuid
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_origin_hash';
COMMENT ON FUNCTION cdp_internal.origin_hash(text, text, text, text, text, text) IS
'128 bits that tell combinations of origin texts apart within one load. NULL counts as the empty text; never NULL. Not stored: its value depends on the machine.';

CREATE OR REPLACE FUNCTION cdp_internal.first_sight(hash uuid) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_first_sight';
COMMENT ON FUNCTION cdp_internal.first_sight(uuid) IS
'True when one query calls it with this hash for the first time. Beyond four million hashes also true for later calls. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.key_repeats(key text) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_key_repeats';
COMMENT ON FUNCTION cdp_internal.key_repeats(text) IS
'False when one query has surely not called it with this text before; true when it has, and for every new text beyond four million. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.code_of(input text, words text[], codes integer[]) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 2
AS 'MODULE_PATHNAME', 'cdp_code_of';
COMMENT ON FUNCTION cdp_internal.code_of(text, text[], integer[]) IS
'The code that stands where the text stands in words; A-Z like a-z, blanks at the ends do not count. NULL when it is not there. Errors: 2202E arrays of unequal length, 22004 an empty entry.';

CREATE OR REPLACE FUNCTION cdp_internal.word_of(input text, words text[]) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 2
AS 'MODULE_PATHNAME', 'cdp_word_of';
COMMENT ON FUNCTION cdp_internal.word_of(text, text[]) IS
'The text as words spells it; A-Z like a-z, blanks at the ends do not count. NULL when it is not there. Errors: 22004 an empty entry.';

-- The columns of a staging table, in the order of cdp.create_staging().
CREATE OR REPLACE FUNCTION cdp_internal.staging_columns() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['source_key', 'occurred_at', 'identifier_type', 'identifier', 'kind', 'source', 'medium', 'campaign',
  'referrer_host', 'add_way', 'qr_scene', 'value', 'currency', 'properties', 'refers_to', 'flags'];
COMMENT ON FUNCTION cdp_internal.staging_columns() IS
'Names of the columns that cdp.load_touchpoints() reads. Never NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.make_staging(name text, columns text[], loader text) RETURNS regclass
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  part text[] := parse_ident(name);
  target text;
BEGIN
  IF cardinality(part) > 2 THEN
    RAISE EXCEPTION 'table name "%" has too many parts', name
      USING ERRCODE = 'invalid_name', HINT = 'Give table or schema.table.';
  END IF;
  target := CASE cardinality(part) WHEN 2 THEN format('%I.%I', part[1], part[2]) ELSE format('public.%I', part[1]) END;
  EXECUTE format('CREATE UNLOGGED TABLE %s (%s)', target,
    (SELECT string_agg(format('%I text', c), ', ' ORDER BY n) FROM unnest(columns) WITH ORDINALITY u (c, n)));
  EXECUTE format('COMMENT ON TABLE %s IS %L', target, format('Staging for %s(): COPY into it, load, truncate.', loader));
  RETURN target::regclass;
END
$$;
COMMENT ON FUNCTION cdp_internal.make_staging(text, text[], text) IS
'Makes an unlogged table of text columns to COPY into; loader is the function that reads it, for its comment. A name without schema is made in public. Returns the table. Errors: 42602 too many parts, 42P07 when it exists.';

CREATE OR REPLACE FUNCTION cdp.create_staging(name text) RETURNS regclass
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.make_staging(name, cdp_internal.staging_columns(), 'cdp.load_touchpoints');
END
$$;
COMMENT ON FUNCTION cdp.create_staging(text) IS
'Makes a table of text columns to COPY touchpoints into: source_key, occurred_at, identifier_type, identifier, kind, source, medium, campaign, referrer_host, add_way, qr_scene, value, currency, properties, refers_to, flags. A name without schema is made in public. Unlogged: a crash empties it; the file is still there. Returns the table. Errors: 42P07 when it exists.';

-- Builds the text expression of a staging column, 'NULL::text' when the table lacks it.
CREATE OR REPLACE FUNCTION cdp_internal.staging_text(staging regclass, name text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kind regtype;
BEGIN
  SELECT a.atttypid INTO kind FROM pg_attribute a
  WHERE a.attrelid = staging AND a.attname = name AND a.attnum > 0 AND NOT a.attisdropped;
  RETURN CASE
    WHEN kind IS NULL THEN 'NULL::text'
    -- The text of floating point has every digit, which the cast to numeric cuts off; numeric takes an exponent away.
    -- For money it has digits that nobody meant: six decimals are enough.
    WHEN kind IN ('float4'::regtype, 'float8'::regtype) THEN format(CASE WHEN name IN ('value', 'amount')
      THEN 'round(s.%I::text::numeric, 6)::text' ELSE 's.%I::text::numeric::text' END, name)
    WHEN kind = 'text'::regtype THEN format('s.%I', name)
    ELSE format('s.%I::text', name)
  END;
END
$$;
COMMENT ON FUNCTION cdp_internal.staging_text(regclass, text) IS
'SQL that reads a staging column (table alias s) as text; NULL::text when the table has no such column.';

-- Builds the expression of a key: what a broken export calls undefined is no record, and not the same one each time.
CREATE OR REPLACE FUNCTION cdp_internal.staging_key(expression text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN format('CASE WHEN cdp_internal.word_of(%1$s, %2$L) IS NULL THEN %1$s END', expression, cdp_internal.blank_words());
END
$$;
COMMENT ON FUNCTION cdp_internal.staging_key(text) IS
'SQL that gives what an expression of type text gives, but NULL for a word of cdp_internal.blank_words().';

-- Builds the expression of the time column: text is parsed, a local time is put into the zone, a moment is taken.
CREATE OR REPLACE FUNCTION cdp_internal.staging_time(staging regclass, zone text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kind regtype := (SELECT a.atttypid FROM pg_attribute a
    WHERE a.attrelid = staging AND a.attname = 'occurred_at' AND a.attnum > 0 AND NOT a.attisdropped);
BEGIN
  RETURN CASE
    WHEN kind = 'timestamptz'::regtype THEN 's.occurred_at'
    -- Near the end of the calendar the shift itself would fail.
    WHEN kind IN ('timestamp'::regtype, 'date'::regtype) THEN format(
      'CASE WHEN s.occurred_at IS NULL THEN NULL WHEN s.occurred_at BETWEEN ''0001-01-01'' AND ''9999-12-31'''
      ' THEN s.occurred_at::timestamp AT TIME ZONE %L ELSE ''infinity'' END', zone)
    ELSE format('cdp_internal.parse_time(%s, %L)', cdp_internal.staging_text(staging, 'occurred_at'), zone)
  END;
END
$$;
COMMENT ON FUNCTION cdp_internal.staging_time(regclass, text) IS
'SQL that reads column occurred_at of a staging table (alias s) as timestamptz; times without an offset are in the zone.';

CREATE OR REPLACE FUNCTION cdp_internal.load_reasons() RETURNS TABLE (code text, reason text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
SELECT * FROM (VALUES
  ('bad_key', 'source_key is missing, longer than 800 bytes, or a word that says nothing, such as null'),
  ('no_time', 'occurred_at is missing'),
  ('bad_time', 'the time is no ISO 8601 time such as 2026-01-31 23:59:59+08'),
  ('endless_time', 'occurred_at is infinite'),
  ('absurd_time', 'the time is before time_floor, older than touchpoint_retention, or later than now plus time_ahead of cdp_data.setting'),
  ('no_identifier', 'no identifier of the record can identify anybody'),
  ('too_many_identifiers', 'the record has more than 50 identifiers'),
  ('bad_identifier', 'identifier is missing, longer than 800 bytes, or not what its type asks for'),
  ('blocked_identifier', 'identifier is a word or a number that stands for nobody, such as null or 0000'),
  ('unknown_identifier_type', 'identifier_type is missing or not in cdp_data.identifier_type_all'),
  ('ignored_identifier', 'role of the identifier type is ignore'),
  ('missing_field', 'a required field of the contract is missing'),
  ('bad_field', 'a required field, or money, does not fit the contract'),
  ('unknown_kind', 'kind is missing or not in cdp_data.touch_kind_all'),
  ('bad_value', 'value is no number below 9.2e12 with at most six decimals'),
  ('unknown_currency', 'currency is not in cdp_data.currency_all'),
  ('bad_properties', 'properties is no JSON of at most 1 MB and 64 levels'),
  ('bad_refers_to', 'refers_to is longer than 800 bytes or names the record itself'),
  ('bad_flags', 'flags is no whole number from 0 on'),
  ('bad_message', 'the message cannot be read'),
  ('unknown_call', 'type of the message is none of identify, track, page, screen, group, alias'),
  ('not_live', 'the contract of the source is not live'),
  ('too_large', 'the message has more than 1 MB'),
  ('unknown_run', 'the feedback names a message or a campaign run that is not known'),
  ('superseded', 'a later row of the same load has the same source_key and another content'),
  ('suppressed', 'the identifier is on the suppression list; nothing of the row is kept')
) AS v (code, reason);
END;
COMMENT ON FUNCTION cdp_internal.load_reasons() IS
'Every code in cdp_data.quarantine, with its text: of loads of touchpoints, of records and of messages. Read-only; part of the release.';

-- Builds the one statement that reads a staging table into pg_temp.cdp_load_row.
CREATE OR REPLACE FUNCTION cdp_internal.load_read_sql(
  staging regclass, zone text, identifier_type text, kind text, currency text, not_before timestamptz, not_after timestamptz)
RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  raw jsonb := (SELECT jsonb_object_agg(c, cdp_internal.staging_text(staging, c)) FROM unnest(cdp_internal.staging_columns()) c);
  json_column boolean := EXISTS (SELECT FROM pg_attribute a
    WHERE a.attrelid = staging AND a.attname = 'properties' AND a.atttypid = 'jsonb'::regtype AND NOT a.attisdropped);
  bare boolean := NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = staging AND NOT a.attisdropped
    AND a.attname IN ('source', 'medium', 'campaign', 'referrer_host', 'add_way', 'qr_scene'));
  types record;
  kinds record;
  currencies text[] := ARRAY(SELECT c.code FROM cdp_data.currency_all c);
BEGIN
  SELECT array_agg(t.name) AS names, array_agg(t.type_id::integer) AS ids,
    array_agg(t.type_id::integer) FILTER (WHERE t.role = 'ignore') AS ignored INTO types FROM cdp_data.identifier_type_all t;
  SELECT array_agg(k.name) AS names, array_agg(k.kind_id::integer) AS ids INTO kinds FROM cdp_data.touch_kind_all k;
  RETURN format($sql$
INSERT INTO pg_temp.cdp_load_row
SELECT q.row_no, CASE WHEN q.code IS NULL THEN nextval('cdp_data.touchpoint_id_seq') END, q.at, q.origin, q.type_id, q.kind_id,
  CASE WHEN q.refers_key IS NOT NULL AND q.value IS NOT NULL AND q.currency IS NULL THEN coalesce(q.flags, 0) | cdp_internal.follows_flag() ELSE q.flags END,
  q.code IS NULL AND cdp_internal.key_repeats(q.source_key),
  q.source_key, q.identifier, q.value, CASE WHEN q.value IS NOT NULL THEN coalesce(q.currency, %1$L) END, q.properties, q.refers_key, q.code,
  CASE WHEN q.code IS NULL AND cdp_internal.first_sight(q.origin) THEN
    ARRAY[q.source, q.medium, q.campaign, q.referrer_host, q.add_way, q.qr_scene] END,
  CASE WHEN q.code IS NOT NULL THEN to_jsonb(q.whole) END
FROM (
  SELECT p.*, CASE
    WHEN p.source_key IS NULL THEN 'bad_key'
    WHEN p.at IS NULL THEN CASE WHEN coalesce(p.raw_at, '') = '' THEN 'no_time' ELSE 'bad_time' END
    WHEN NOT isfinite(p.at) THEN 'endless_time'
    WHEN p.at < %2$L OR p.at > %3$L THEN 'absurd_time'
    WHEN p.identifier IS NULL THEN CASE cdp_internal.refused_identifier(p.raw_identifier, p.type_id, %30$L)
      WHEN 'blocked' THEN 'blocked_identifier' ELSE 'bad_identifier' END
    WHEN p.type_id IS NULL THEN 'unknown_identifier_type'
    WHEN p.type_id = ANY (%29$L) THEN 'ignored_identifier'
    WHEN p.kind_id IS NULL THEN 'unknown_kind'
    WHEN p.value IS NULL AND p.raw_value <> '' THEN 'bad_value'
    WHEN p.currency IS NULL AND p.raw_currency <> '' THEN 'unknown_currency'
    WHEN p.properties IS NULL AND p.raw_properties <> '' THEN 'bad_properties'
    WHEN p.refers_key IS NULL AND p.raw_refers <> '' OR p.refers_key = p.source_key THEN 'bad_refers_to'
    WHEN p.flags IS NULL AND p.raw_flags <> '' OR p.flags < 0 THEN 'bad_flags' END AS code
  FROM (
    -- coalesce(): the row also where a column has the name s.
    SELECT coalesce(s.*) AS whole, cdp_internal.row_number() AS row_no,
      cdp_internal.parse_key(%4$s) AS source_key, %5$s AS at, %6$s AS raw_at,
      cdp_internal.read_identifier(%7$s, cdp_internal.code_of(%8$s, %9$L, %10$L), %30$L) AS identifier, %7$s AS raw_identifier,
      cdp_internal.code_of(%8$s, %9$L, %10$L) AS type_id,
      cdp_internal.code_of(%11$s, %12$L, %13$L) AS kind_id,
      cdp_internal.parse_value(%14$s) AS value, %14$s AS raw_value,
      cdp_internal.word_of(%15$s, %16$L) AS currency, %15$s AS raw_currency,
      %17$s AS properties, %18$s AS raw_properties,
      cdp_internal.parse_key(%19$s) AS refers_key, %19$s AS raw_refers,
      cdp_internal.parse_int(%20$s) AS flags, %20$s AS raw_flags,
      %21$s AS source, %22$s AS medium, %23$s AS campaign, %24$s AS referrer_host, %25$s AS add_way, %26$s AS qr_scene,
      %27$s AS origin
    FROM %28$s s OFFSET 0) p
  OFFSET 0) q$sql$,
    currency, not_before, not_after, cdp_internal.staging_key(raw ->> 'source_key'),
    cdp_internal.staging_time(staging, zone), raw ->> 'occurred_at', raw ->> 'identifier',
    CASE WHEN identifier_type IS NULL THEN raw ->> 'identifier_type'
      ELSE format('coalesce(nullif(%s, ''''), %L)', raw ->> 'identifier_type', identifier_type) END, types.names, types.ids,
    CASE WHEN kind IS NULL THEN raw ->> 'kind' ELSE format('coalesce(nullif(%s, ''''), %L)', raw ->> 'kind', kind) END,
    kinds.names, kinds.ids, raw ->> 'value', raw ->> 'currency', currencies,
    CASE WHEN json_column THEN 's.properties' ELSE format('cdp_internal.parse_json(%s)', raw ->> 'properties') END,
    CASE WHEN json_column THEN 'NULL::text' ELSE raw ->> 'properties' END,
    cdp_internal.staging_key(raw ->> 'refers_to'), raw ->> 'flags',
    raw ->> 'source', raw ->> 'medium', raw ->> 'campaign', raw ->> 'referrer_host', raw ->> 'add_way', raw ->> 'qr_scene',
    CASE WHEN bare THEN quote_literal(cdp_internal.origin_hash('', '', '', '', '', '')) || '::uuid'
      ELSE format('cdp_internal.origin_hash(%s, %s, %s, %s, %s, %s)', raw ->> 'source', raw ->> 'medium', raw ->> 'campaign',
        raw ->> 'referrer_host', raw ->> 'add_way', raw ->> 'qr_scene') END,
    (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = staging),
    coalesce(types.ignored, '{}'), cdp_internal.identifier_rules());
END
$$;
COMMENT ON FUNCTION cdp_internal.load_read_sql(regclass, text, text, text, text, timestamptz, timestamptz) IS
'The statement that reads a staging table once into pg_temp.cdp_load_row: every field parsed, identifiers in the form that is stored, a reason code and the original row where one does not parse. The last two bound credible times.';
