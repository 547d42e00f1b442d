-- Identity room, the profile: which of several values counts (src/identity/survivor*.c), and the call that makes an attribute.

CREATE OR REPLACE FUNCTION cdp_internal.attribute_types() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['text', 'integer', 'numeric', 'boolean', 'date', 'timestamp', 'list', 'json'];
COMMENT ON FUNCTION cdp_internal.attribute_types() IS
'Types of attributes; the position of each is its number for cdp_internal.survivors().';

CREATE OR REPLACE FUNCTION cdp_internal.attribute_strategies() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['latest', 'latest_seen', 'earliest', 'most_frequent', 'source_order', 'longest', 'verified', 'min', 'max', 'sum', 'union', 'custom'];
COMMENT ON FUNCTION cdp_internal.attribute_strategies() IS
'Strategies of survivorship; the position of each is its number for cdp_internal.survivors(). docs/profile.md says what each does.';

CREATE OR REPLACE FUNCTION cdp_internal.survivors_add(internal, integer, text, integer, integer, integer, text, timestamptz, timestamptz, boolean,
  bigint, bigint, integer, timestamptz[]) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_survivors_add';
COMMENT ON FUNCTION cdp_internal.survivors_add(internal, integer, text, integer, integer, integer, text, timestamptz, timestamptz, boolean,
  bigint, bigint, integer, timestamptz[]) IS 'Transition function of survivors.';
CREATE OR REPLACE FUNCTION cdp_internal.survivors_final(internal) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_survivors_final';
COMMENT ON FUNCTION cdp_internal.survivors_final(internal) IS 'Final function of survivors.';
CREATE OR REPLACE AGGREGATE cdp_internal.survivors(attribute_id integer, name text, data_type integer, strategy integer, rank integer,
  value text, first_at timestamptz, last_at timestamptz, verified boolean, customer_id bigint, identifier_id bigint, source_id integer, times timestamptz[]) (
  SFUNC = cdp_internal.survivors_add, STYPE = internal, SSPACE = 4096,
  FINALFUNC = cdp_internal.survivors_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp_internal.survivors(integer, text, integer, integer, integer, text, timestamptz, timestamptz, boolean, bigint, bigint, integer, timestamptz[]) IS
'The golden values of one customer from all rows in force: {"values": {name: value}, "provenance": {name: {at, source, customer, identifier, strategy, verified, others}}, and, for strategy custom, "custom": {name: [what each voice says]}}. Type and strategy by number, rank is the place of the source for source_order. Does not depend on the order of rows. times: when a row said it between first_at and last_at, sorted; NULL: at these two only. NULL without rows; a row with another NULL counts for nothing. Times in ISO 8601, UTC.';

CREATE OR REPLACE FUNCTION cdp_internal.origin_final(internal) RETURNS integer
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_origin_final';
COMMENT ON FUNCTION cdp_internal.origin_final(internal) IS 'Final function of first_origin and last_origin.';
CREATE OR REPLACE FUNCTION cdp_internal.first_origin_add(internal, timestamptz, bigint, integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_first_origin_add';
COMMENT ON FUNCTION cdp_internal.first_origin_add(internal, timestamptz, bigint, integer) IS 'Transition function of first_origin.';
CREATE OR REPLACE FUNCTION cdp_internal.last_origin_add(internal, timestamptz, bigint, integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_last_origin_add';
COMMENT ON FUNCTION cdp_internal.last_origin_add(internal, timestamptz, bigint, integer) IS 'Transition function of last_origin.';
CREATE OR REPLACE AGGREGATE cdp_internal.first_origin(occurred_at timestamptz, touchpoint_id bigint, origin_id integer) (
  SFUNC = cdp_internal.first_origin_add, STYPE = internal, SSPACE = 32,
  FINALFUNC = cdp_internal.origin_final, FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp_internal.first_origin(timestamptz, bigint, integer) IS
'origin_id of the earliest touch; of two at one moment, of the lower touchpoint_id. Rows with a NULL count for nothing; NULL without any.';
CREATE OR REPLACE AGGREGATE cdp_internal.last_origin(occurred_at timestamptz, touchpoint_id bigint, origin_id integer) (
  SFUNC = cdp_internal.last_origin_add, STYPE = internal, SSPACE = 32,
  FINALFUNC = cdp_internal.origin_final, FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp_internal.last_origin(timestamptz, bigint, integer) IS
'origin_id of the latest touch; of two at one moment, of the higher touchpoint_id. Rows with a NULL count for nothing; NULL without any.';

CREATE OR REPLACE FUNCTION cdp_internal.check_attribute_aggregate(aggregate text, OUT name text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id regprocedure := to_regprocedure(aggregate);
  house oid := (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'cdp_data');
  stranger text;
BEGIN
  IF id IS NULL OR NOT EXISTS (SELECT FROM pg_proc p WHERE p.oid = id AND p.prokind = 'a' AND p.pronargs = 1
    AND p.proargtypes[0] = 'text'::regtype AND p.prorettype = 'text'::regtype)
    OR NOT EXISTS (SELECT FROM pg_aggregate g WHERE g.aggfnoid = id AND g.aggkind = 'n')
  THEN
    RAISE EXCEPTION 'the aggregate of the attribute is not there'
      USING ERRCODE = 'undefined_function', DETAIL = format('Asked for: %s.', left(aggregate, 200)),
        HINT = 'Name an aggregate from text to text with its schema, such as my.choose(text).';
  END IF;
  -- Passes run as the owner of the tables: whoever could change the aggregate could act as him.
  SELECT p.oid::regprocedure::text INTO stranger
  FROM pg_aggregate g JOIN pg_proc p ON p.oid IN (g.aggfnoid, g.aggtransfn, g.aggfinalfn, g.aggcombinefn)
  WHERE g.aggfnoid = id AND p.proowner <> house AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = p.proowner)
  LIMIT 1;
  IF stranger IS NOT NULL THEN
    RAISE EXCEPTION 'the aggregate of the attribute belongs to another role'
      USING ERRCODE = 'insufficient_privilege', DETAIL = format('Function %s.', stranger),
        HINT = 'Give it and its functions to the owner of schema cdp_data with ALTER ... OWNER TO, after reading them.';
  END IF;
  SELECT format('%I.%I', n.nspname, p.proname) INTO name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = id;
END
$$;
COMMENT ON FUNCTION cdp_internal.check_attribute_aggregate(text) IS
'The name of a custom aggregate as SQL may write it, once it is known to take text, to give text, and to belong with its functions to the owner of schema cdp_data or a superuser. Errors: 42883 none such, 42501 it belongs to another role.';

CREATE OR REPLACE FUNCTION cdp_internal.apply_custom(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  a record;
  chosen text;
  others integer;
BEGIN
  FOR a IN
    SELECT c.key AS name, c.value AS voices, t.aggregate, t.data_type
    FROM jsonb_each(doc -> 'custom') c JOIN cdp_data.attribute t ON t.name = c.key AND t.strategy = 'custom'
  LOOP
    BEGIN
      EXECUTE format('SELECT %s(e.value ORDER BY e.nth) FROM jsonb_array_elements_text($1) WITH ORDINALITY AS e (value, nth)',
        cdp_internal.check_attribute_aggregate(a.aggregate)) INTO chosen USING a.voices;
    EXCEPTION WHEN undefined_function OR insufficient_privilege THEN
      RAISE;
    WHEN OTHERS THEN
      -- its own message may hold what it was given
      RAISE EXCEPTION 'the aggregate of attribute "%" failed', a.name
        USING ERRCODE = 'external_routine_exception', DETAIL = format('%s raised SQLSTATE %s.', a.aggregate, SQLSTATE),
          HINT = 'Mend it so that it takes any text, or choose another strategy with cdp.add_attribute().';
    END;
    chosen := (cdp_internal.read_attribute(chosen, a.data_type, 'UTC', NULL, NULL, '{}')).value;
    IF chosen IS NULL THEN
      doc := doc #- ARRAY['provenance', a.name];
    ELSE
      others := (SELECT count(*) FROM jsonb_array_elements_text(a.voices) v WHERE v <> chosen);
      doc := jsonb_set(jsonb_set(doc, ARRAY['values', a.name],
          CASE WHEN a.data_type IN ('integer', 'numeric', 'boolean', 'list', 'json') THEN chosen::jsonb ELSE to_jsonb(chosen) END),
        ARRAY['provenance', a.name, 'others'], to_jsonb(others));
    END IF;
  END LOOP;
  RETURN doc - 'custom';
END
$$;
COMMENT ON FUNCTION cdp_internal.apply_custom(jsonb) IS
'A document of cdp_internal.survivors() with the attributes of strategy custom filled in: their aggregate is called over what each voice says, newest first. A result that is NULL, blank or not of the attribute''s type gives no value. Provenance tells the newest voice. Errors: 42883, 42501 as check_attribute_aggregate(), 38000 the aggregate failed.';

CREATE OR REPLACE FUNCTION cdp.add_attribute(
  name text, data_type text DEFAULT NULL, strategy text DEFAULT NULL, description text DEFAULT NULL, sensitivity text DEFAULT NULL,
  source_order text[] DEFAULT NULL, pattern text DEFAULT NULL, aliases jsonb DEFAULT NULL, blanks text[] DEFAULT NULL, aggregate text DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known record;
  way text;
  kind text;
  missing text;
  id integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('name of an attribute', name, 63, '^[^[:space:][:cntrl:]]+$', 'Use one word, such as shoe_size.');
  IF sensitivity IS NOT NULL THEN
    PERFORM cdp_internal.require_choice('sensitivity', sensitivity, '{internal,personal,sensitive}');
  END IF;
  SELECT * INTO known FROM cdp_data.attribute_all a WHERE a.name = add_attribute.name;
  way := coalesce(add_attribute.strategy, known.strategy, 'latest');
  IF way <> ALL (cdp_internal.attribute_strategies()) OR coalesce(add_attribute.data_type, 'text') <> ALL (cdp_internal.attribute_types()) THEN
    RAISE EXCEPTION 'unknown type or strategy of an attribute'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Type %s, strategy %s.', left(add_attribute.data_type, 63), left(way, 63)),
        HINT = format('Types: %s. Strategies: %s.', array_to_string(cdp_internal.attribute_types(), ', '), array_to_string(cdp_internal.attribute_strategies(), ', '));
  ELSIF add_attribute.name ~* '(^|_)(consent|opt_?(in|out)|unsubscribed?)(_|$)' THEN
    RAISE EXCEPTION 'consent is no attribute'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Of several answers about consent the strictest holds, never the latest.',
        HINT = 'The rooms of governance keep consent; give the attribute another name if it is none.';
  END IF;
  IF known.name IS NULL THEN
    SELECT k.name INTO missing
    FROM (SELECT t.name FROM cdp_data.identifier_type_all t UNION ALL SELECT a.name FROM cdp_data.attribute_all a) k
    WHERE cdp_internal.snake(k.name) = cdp_internal.snake(add_attribute.name) ORDER BY k.name COLLATE "C" LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'the name of the attribute is taken in another spelling'
        USING ERRCODE = 'duplicate_object', DETAIL = format('Asked for %s, there is %s.', left(add_attribute.name, 63), missing),
          HINT = 'Sources that spell it either way are understood; use the one that is there, or another word.';
    END IF;
  END IF;
  kind := coalesce(add_attribute.data_type, known.data_type, 'text');
  IF way = 'sum' AND kind NOT IN ('integer', 'numeric') OR way = 'union' AND kind <> 'list' THEN
    RAISE EXCEPTION 'strategy % is not for type %', way, kind
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Sums are of integer and numeric, unions of list.', HINT = 'Choose another strategy, or another type.';
  ELSIF known.encrypted AND (way NOT IN ('latest', 'latest_seen', 'earliest', 'most_frequent', 'source_order', 'verified') OR sensitivity = 'internal') THEN
    RAISE EXCEPTION 'attribute "%" is encrypted', known.name
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Asked for strategy %s, sensitivity %s.', way, coalesce(sensitivity, known.sensitivity)),
        HINT = 'Encrypted values can be told equal or different, not longer, higher, or added up, and are personal at least.';
  ELSIF jsonb_typeof(aliases) <> 'object' THEN
    RAISE EXCEPTION 'aliases must be a JSON object'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', jsonb_typeof(aliases)), HINT = 'Write {"m": "male", "f": "female"}: what comes, and what is kept.';
  END IF;
  SELECT o.source INTO missing FROM unnest(add_attribute.source_order) AS o (source)
  WHERE NOT EXISTS (SELECT FROM cdp_data.source s WHERE s.name = o.source);
  IF FOUND THEN
    RAISE EXCEPTION 'unknown source "%"', left(missing, 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = format('A new one is made with: SELECT cdp.add_source(%L);', left(missing, 100));
  END IF;
  IF way = 'custom' THEN
    PERFORM cdp_internal.check_attribute_aggregate(coalesce(add_attribute.aggregate, known.aggregate));
  END IF;
  INSERT INTO cdp_data.attribute AS a (attribute_id, name, description, data_type, strategy, sensitivity, source_order, pattern, aliases, blanks, aggregate)
  VALUES (coalesce(known.attribute_id, nextval('cdp_data.attribute_attribute_id_seq')::integer), add_attribute.name,
    coalesce(add_attribute.description, known.description), coalesce(add_attribute.data_type, known.data_type, 'text'), way,
    coalesce(add_attribute.sensitivity, known.sensitivity, 'personal'), coalesce(add_attribute.source_order, known.source_order),
    coalesce(add_attribute.pattern, known.pattern), coalesce(add_attribute.aliases, known.aliases), coalesce(add_attribute.blanks, known.blanks),
    CASE way WHEN 'custom' THEN coalesce(add_attribute.aggregate, known.aggregate) END)
  ON CONFLICT ON CONSTRAINT attribute_pkey DO UPDATE
  SET description = excluded.description, data_type = excluded.data_type, strategy = excluded.strategy, sensitivity = excluded.sensitivity,
    source_order = excluded.source_order, pattern = excluded.pattern, aliases = excluded.aliases, blanks = excluded.blanks,
    aggregate = excluded.aggregate
  RETURNING a.attribute_id INTO id;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.add_attribute(text, text, text, text, text, text[], text, jsonb, text[], text) IS
'Makes an attribute of customers, or changes the one of exactly that name, built-in ones too: SELECT cdp.add_attribute(''shoe_size'', ''numeric'', ''most_frequent''). Arguments as the columns of cdp_data.attribute; one that is NULL keeps what is there, at first text, latest, personal. To take something away, UPDATE that table. A change of the strategy holds for all values at the next refresh of profiles; one of the type, pattern, aliases or blanks for what comes from then on. Returns attribute_id. Errors: 22023 a bad name, unknown type, strategy, sensitivity or source, a strategy that is not for the type or not for encrypted values, aliases that are no object, or a name that means consent, 42710 the name of another attribute or of an identifier type in another spelling, 2201B a pattern that is no regular expression, 42883 or 42501 an aggregate that cannot be used, 55000 before cdp.setup().';
