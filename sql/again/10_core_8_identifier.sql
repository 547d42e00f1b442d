-- Core room: identifiers in one form, so that loads and the identity room read them alike.
-- See src/core/normalise*.c; docs/identity.md, section Normalising, tells each rule.

CREATE OR REPLACE FUNCTION cdp.normaliser_builtin() RETURNS TABLE (name text, description text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
SELECT * FROM (VALUES
  ('trim'::text, 'NFKC, without blanks and control characters at the ends and without invisible characters'::text),
  ('lower', 'as trim, in lower case'),
  ('email', 'e-mail address: lower case, without display name, mailto: and closing dot'),
  ('email_gmail', 'as email; of addresses at Google also without dots and +tag, at gmail.com'),
  ('phone', 'E.164: + calling code and number; without a code that of the phone region'),
  ('openid', 'WeChat openid: 20 to 64 characters of A-Z a-z 0-9 _ -'),
  ('unionid', 'WeChat unionid: like openid'),
  ('external_userid', 'WeCom external_userid: like openid'),
  ('device', 'IDFA, GAID, OAID, Android id, IMEI, MAC: 8 to 128 characters, those in hexadecimal digits in lower case'),
  ('cookie', 'without quotes around it; of a cookie _ga the client id'),
  ('hash', '32 to 128 hexadecimal digits, in lower case'),
  ('digits', 'digits only; blanks, dots, hyphens and slashes between them are left out'),
  ('uuid', 'UUID in lower case with hyphens')
) AS v (name, description);
END;
COMMENT ON FUNCTION cdp.normaliser_builtin() IS
'Names for identifier_type.normaliser and what each makes of a value. Read-only; part of the release.';

CREATE OR REPLACE FUNCTION cdp_internal.identifier_reasons() RETURNS TABLE (code text, reason text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
SELECT * FROM (VALUES
  ('empty'::text, 'nothing is left without blanks and invisible characters'::text),
  ('too_long', 'longer than 800 bytes'),
  ('bad_character', 'a control character or U+FFFD inside: the text was broken on its way'),
  ('blocked', 'in cdp_data.identifier_block_all: it identifies nobody'),
  ('ignored', 'role of the type is ignore'),
  ('pattern', 'does not match the pattern of its type'),
  ('bad_email', 'no address of the form local@domain'),
  ('mixed_script', 'a part of the domain mixes Latin with Greek or Cyrillic letters'),
  ('bad_phone', 'no telephone number of any country by its digits'),
  ('phone_region', 'has no country code, and cdp_data.setting has no phone_region'),
  ('phone_extension', 'has an extension: the number of many people'),
  ('bad_openid', 'not 20 to 64 characters of A-Z a-z 0-9 _ -'),
  ('bad_device', 'not 8 to 128 characters of a device id, or one character repeated'),
  ('bad_cookie', 'holds a blank, a comma, a semicolon or a quote'),
  ('bad_hash', 'not an even number of 32 to 128 hexadecimal digits, or one digit repeated'),
  ('bad_digits', 'holds something else than digits'),
  ('bad_uuid', 'no UUID, or one digit repeated')
) AS v (code, reason);
END;
COMMENT ON FUNCTION cdp_internal.identifier_reasons() IS
'Every code that cdp.why_refused() gives, with its text. Read-only; part of the release.';

CREATE OR REPLACE FUNCTION cdp_internal.normalise_identifier(value text, normaliser text, region text) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_normalise_identifier';
COMMENT ON FUNCTION cdp_internal.normalise_identifier(text, text, text) IS
'The value in the form of a normaliser (cdp.normaliser_builtin), without regard to blocked values. region (ISO 3166, two capitals) is that of phone numbers without a country code; NULL: they are none. NULL, never an error, when the value is none of that kind or longer than 800 bytes; NULL for a NULL normaliser. Idempotent. Errors: 22023 unknown normaliser.';

CREATE OR REPLACE FUNCTION cdp_internal.phone_region_known(code text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_phone_region';
COMMENT ON FUNCTION cdp_internal.phone_region_known(text) IS
'True for a country code (ISO 3166, two capitals) whose phone numbers are known. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.identifier_rules_builtin() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT array_agg(ARRAY[r.kind, r.id::text, r.a, r.b, r.pattern])
  FROM (
    SELECT 'type' AS kind, t.type_id::integer AS id, t.normaliser AS a, NULL::text AS b, t.pattern FROM cdp.identifier_type_builtin() t
    UNION ALL
    SELECT 'block', b.block_id, b.type_id::text, b.value, b.pattern FROM cdp.identifier_block_builtin() b
  ) r;
END;
COMMENT ON FUNCTION cdp_internal.identifier_rules_builtin() IS
'The built-in types and blocked values in the form that read_identifier() takes: rows of kind, number and three texts (src/core/normalise_rules.c). Never NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.identifier_rules() RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT array_agg(ARRAY[r.kind, r.id::text, r.a, r.b, r.pattern])
    FROM (
      SELECT 'region' AS kind, NULL::integer AS id, s.phone_region AS a, NULL::text AS b, NULL::text AS pattern
      FROM cdp_data.setting s WHERE s.phone_region IS NOT NULL
      UNION ALL
      SELECT 'type', t.type_id, t.normaliser, NULL, t.pattern FROM cdp_data.identifier_type t
      UNION ALL
      SELECT 'block', k.block_id, k.type_id::text, CASE WHEN k.is_active THEN k.value END, CASE WHEN k.is_active THEN k.pattern END
      FROM cdp_data.identifier_block k
    ) r);
END
$$;
COMMENT ON FUNCTION cdp_internal.identifier_rules() IS
'Your own identifier types, blocked values and phone region in the form that read_identifier() takes. Ask once per query or call: (SELECT cdp_internal.identifier_rules()). NULL when there are none.';

CREATE OR REPLACE FUNCTION cdp_internal.read_identifier(
  value text, type_id integer, own text[], builtin text[] DEFAULT cdp_internal.identifier_rules_builtin()) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_read_identifier';
COMMENT ON FUNCTION cdp_internal.read_identifier(text, integer, text[], text[]) IS
'The form in which cdp_data.identifier stores the value of a type; own comes from identifier_rules(). Roles are not looked at. A type_id that is NULL or in neither list is only trimmed. NULL, never an error, when the value is refused: refused_identifier() tells why. Errors: 2202E wrong shape of the rules, 22023 unknown normaliser, 2201B bad pattern.';

CREATE OR REPLACE FUNCTION cdp_internal.refused_identifier(
  value text, type_id integer, own text[], builtin text[] DEFAULT cdp_internal.identifier_rules_builtin()) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_refused_identifier';
COMMENT ON FUNCTION cdp_internal.refused_identifier(text, integer, text[], text[]) IS
'Why read_identifier() gives NULL for the same arguments: a code of identifier_reasons(). NULL when it gives a value.';

CREATE OR REPLACE FUNCTION cdp_internal.identifier_type_of(name text, OUT type_id smallint, OUT role text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT t.type_id, t.role INTO type_id, role FROM cdp_data.identifier_type_all t WHERE t.name = identifier_type_of.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown identifier type "%"', left(identifier_type_of.name, 100)
      USING ERRCODE = 'invalid_parameter_value',
        DETAIL = format('Known types: %s.', (SELECT string_agg(t.name, ', ' ORDER BY t.type_id) FROM cdp_data.identifier_type_all t)),
        HINT = 'A new one is made with cdp.add_identifier_type().';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.identifier_type_of(text) IS
'Number and role of the identifier type of that name. Errors: 22023 when there is none, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.normalise(identifier_type text, value text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kind record := cdp_internal.identifier_type_of(identifier_type);
BEGIN
  RETURN CASE WHEN kind.role <> 'ignore' THEN cdp_internal.read_identifier(value, kind.type_id, cdp_internal.identifier_rules()) END;
END
$$;
COMMENT ON FUNCTION cdp.normalise(text, text) IS
'The form in which an identifier is stored: cdp.normalise(''phone'', ''138 1234 5678''). NULL when it is refused; cdp.why_refused() tells why. Reads the lists at each call; for whole tables see docs/identity.md. Errors: 22023 unknown type, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.why_refused(identifier_type text, value text, OUT code text, OUT reason text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kind record := cdp_internal.identifier_type_of(identifier_type);
BEGIN
  code := CASE WHEN kind.role = 'ignore' THEN 'ignored'
    ELSE cdp_internal.refused_identifier(value, kind.type_id, cdp_internal.identifier_rules()) END;
  reason := (SELECT r.reason FROM cdp_internal.identifier_reasons() r WHERE r.code = why_refused.code);
END
$$;
COMMENT ON FUNCTION cdp.why_refused(text, text) IS
'Why an identifier would be refused: code and text of cdp_internal.identifier_reasons(). Both NULL when it is taken. Errors: 22023 unknown type, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.add_identifier_type(
  name text, description text DEFAULT NULL, normaliser text DEFAULT NULL, role text DEFAULT NULL, priority integer DEFAULT NULL,
  max_per_customer integer DEFAULT NULL, limit_window interval DEFAULT NULL, supernode_degree integer DEFAULT NULL, pattern text DEFAULT NULL)
RETURNS smallint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known cdp_data.identifier_type_all;
  id smallint;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT EXISTS (SELECT FROM cdp.normaliser_builtin() n WHERE n.name = add_identifier_type.normaliser) AND normaliser IS NOT NULL THEN
    RAISE EXCEPTION 'unknown normaliser "%"', left(normaliser, 100)
      USING ERRCODE = 'invalid_parameter_value',
        HINT = format('Take one of: %s.', (SELECT string_agg(n.name, ', ' ORDER BY n.name) FROM cdp.normaliser_builtin() n));
  END IF;
  SELECT * INTO known FROM cdp_data.identifier_type_all t WHERE t.name = add_identifier_type.name;
  INSERT INTO cdp_data.identifier_type AS t (type_id, name, description, normaliser, role, priority, max_per_customer, limit_window,
    supernode_degree, pattern)
  VALUES (coalesce(known.type_id, nextval('cdp_data.identifier_type_type_id_seq')::smallint), add_identifier_type.name,
    coalesce(add_identifier_type.description, known.description), coalesce(add_identifier_type.normaliser, known.normaliser, 'trim'),
    coalesce(add_identifier_type.role, known.role, 'merge'), coalesce(add_identifier_type.priority, known.priority, 500),
    coalesce(add_identifier_type.max_per_customer, known.max_per_customer), coalesce(add_identifier_type.limit_window, known.limit_window),
    coalesce(add_identifier_type.supernode_degree, known.supernode_degree), coalesce(add_identifier_type.pattern, known.pattern))
  ON CONFLICT ON CONSTRAINT identifier_type_pkey DO UPDATE
  SET description = excluded.description, normaliser = excluded.normaliser, role = excluded.role, priority = excluded.priority,
    max_per_customer = excluded.max_per_customer, limit_window = excluded.limit_window, supernode_degree = excluded.supernode_degree,
    pattern = excluded.pattern
  RETURNING t.type_id INTO id;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.add_identifier_type(text, text, text, text, integer, integer, interval, integer, text) IS
'Makes an identifier type, or changes the one of that name, built-in ones too: an argument that is NULL keeps what is there, at first trim, merge, 500 and no limits. Arguments as the columns of cdp_data.identifier_type; to take a limit away, UPDATE that table. Identifiers that are stored already stay as they are. Returns type_id. Errors: 22023 unknown normaliser, 23514 a value out of range, 2201B a pattern that is no regular expression, 55000 before cdp.setup().';
