-- Traits of one's own: figures that you bring (own), and figures that are computed from events (computed), by an aggregate
-- of the language of rules.

CREATE OR REPLACE FUNCTION cdp_internal.trait_users(name text) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(
    SELECT s.name FROM cdp_data.segment s JOIN cdp_data.segment_version v USING (segment_id, version)
    WHERE s.state <> 'archived' AND EXISTS (
      SELECT FROM cdp_internal.rule_uses(v.rule) u
      WHERE CASE u.what WHEN 'trait' THEN u.name WHEN 'rank' THEN u.name::jsonb #>> '{rank,trait}' END = trait_users.name)
    ORDER BY s.name);
END
$$;
COMMENT ON FUNCTION cdp_internal.trait_users(text) IS 'Names of the segments, archived ones left out, whose rule asks for a trait or ranks by it.';

CREATE OR REPLACE FUNCTION cdp_internal.trait_own(name text, kind text, value_type text, definition jsonb, description text, purposes text[]) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  known record;
  id integer;
BEGIN
  PERFORM cdp_internal.require_text('name of a trait', name, 63);
  IF name !~ '^[a-z][a-z0-9_]*$' THEN
    RAISE EXCEPTION 'bad name of a trait: "%"', name USING ERRCODE = 'invalid_parameter_value', HINT = 'Small letters, digits and _, a letter first.';
  END IF;
  PERFORM cdp_internal.purpose_of(p) FROM unnest(purposes) p;
  -- Two who fill one trait wait for each other here.
  SELECT t.* INTO known FROM cdp_data.trait t WHERE t.name = trait_own.name FOR UPDATE;
  IF FOUND AND known.kind <> kind THEN
    RAISE EXCEPTION 'trait "%" is of kind %', name, known.kind USING ERRCODE = 'duplicate_object', HINT = 'Give yours another name.';
  ELSIF FOUND AND known.value_type <> value_type AND cdp_internal.trait_users(name) <> '{}' THEN
    RAISE EXCEPTION 'trait "%" is asked for as a %', name, known.value_type
      USING ERRCODE = 'dependent_objects_still_exist', DETAIL = format('By %s.', array_to_string(cdp_internal.trait_users(name), ', ')), HINT = 'Archive or edit those segments first.';
  END IF;
  INSERT INTO cdp_data.trait AS t (name, kind, value_type, description, allowed_purposes, definition)
  VALUES (name, kind, value_type, coalesce(description, ''), purposes, coalesce(definition, '{}'))
  ON CONFLICT ON CONSTRAINT trait_name_key DO UPDATE SET value_type = excluded.value_type, description = coalesce(trait_own.description, t.description),
    allowed_purposes = coalesce(purposes, t.allowed_purposes), definition = excluded.definition
  RETURNING t.trait_id INTO id;
  IF known.trait_id IS NOT NULL AND (known.value_type, known.definition) <> (value_type, coalesce(definition, '{}')) THEN
    DELETE FROM cdp_data.trait_value v WHERE v.trait_id = id;
    UPDATE cdp_data.trait t SET version = t.version + 1, as_of = NULL, refreshed_at = NULL WHERE t.trait_id = id;
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.trait_own(text, text, text, jsonb, text, text[]) IS
'Makes a trait of kind own or computed, or changes it: what is NULL of description and purposes stays as it was; another type or definition drops its values. Returns trait_id, its row locked. Errors: 22023 a bad name or an unknown purpose, 42710 the name is that of another kind, 2BP01 segments ask for it as another type.';

CREATE OR REPLACE FUNCTION cdp_internal.trait_fill(name text, value_type text, customer_ids bigint[], numbers double precision[], words text[], mode text, description text, purposes text[],
  OUT trait_id integer, OUT given bigint, OUT customers bigint, OUT written bigint, OUT removed bigint, OUT unknown bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  map bytea;
  told bigint[];
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_choice('mode', mode, '{replace,add,remove}');
  given := coalesce(cardinality(customer_ids), 0);
  IF mode <> 'remove' AND given <> coalesce(cardinality(CASE value_type WHEN 'number' THEN numbers::text[] ELSE words END), 0) THEN
    RAISE EXCEPTION 'there are % customers and another number of values', given
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('%s values.', coalesce(cardinality(CASE value_type WHEN 'number' THEN numbers::text[] ELSE words END), 0)), HINT = 'Give one value for each customer; NULL takes his away.';
  ELSIF EXISTS (SELECT FROM unnest(numbers) n WHERE n = 'NaN') OR EXISTS (SELECT FROM unnest(words) w WHERE octet_length(w) > 1000) THEN
    RAISE EXCEPTION 'a value cannot be kept' USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It is NaN, or a text of more than 1,000 bytes.', HINT = 'Give NULL for a value that is not known.';
  END IF;
  trait_id := cdp_internal.trait_own(name, 'own', value_type, NULL, description, purposes);
  map := cdp_internal.customer_map();
  -- Of several values for one customer the last counts.
  CREATE TEMP TABLE cdp_trait_given ON COMMIT DROP AS
  SELECT DISTINCT ON (g.root) g.root, g.number, g.word
  FROM (
    SELECT cdp_internal.customer_root(map, NULL, u.id, NULL) AS root, u.number, u.word, u.nth FROM unnest(customer_ids, CASE WHEN mode <> 'remove' THEN numbers END, CASE WHEN mode <> 'remove' THEN words END)
      WITH ORDINALITY AS u (id, number, word, nth)) g
  WHERE EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = g.root)
  ORDER BY g.root, g.nth DESC;
  SELECT count(*) INTO customers FROM pg_temp.cdp_trait_given;
  unknown := (SELECT count(*) FROM unnest(customer_ids) u WHERE u IS NULL OR NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = u));
  WITH gone AS (
    DELETE FROM cdp_data.trait_value v
    WHERE v.trait_id = trait_fill.trait_id
      AND CASE WHEN mode = 'replace' THEN NOT EXISTS (SELECT FROM pg_temp.cdp_trait_given n WHERE n.root = v.customer_id AND num_nonnulls(n.number, n.word) > 0)
        ELSE cdp_internal.customer_root(map, NULL, v.customer_id, NULL) IN (SELECT n.root FROM pg_temp.cdp_trait_given n WHERE num_nonnulls(n.number, n.word) = 0) END
    RETURNING v.customer_id
  ), kept AS (
    INSERT INTO cdp_data.trait_value AS v (trait_id, customer_id, value, word)
    SELECT trait_fill.trait_id, n.root, n.number, n.word FROM pg_temp.cdp_trait_given n WHERE num_nonnulls(n.number, n.word) > 0 ORDER BY n.root
    ON CONFLICT ON CONSTRAINT trait_value_pkey DO UPDATE SET value = excluded.value, word = excluded.word WHERE (v.value, v.word) IS DISTINCT FROM (excluded.value, excluded.word)
    RETURNING v.customer_id
  )
  SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM gone), ARRAY(SELECT k.customer_id FROM kept k UNION SELECT g.customer_id FROM gone g ORDER BY 1)
  INTO written, removed, told;
  DROP TABLE pg_temp.cdp_trait_given;
  -- A few are told one by one, so that the next tick looks at them only.
  IF cardinality(told) > 1000 THEN
    UPDATE cdp_data.trait t SET version = t.version + 1 WHERE t.trait_id = trait_fill.trait_id;
  ELSIF told <> '{}' THEN
    PERFORM cdp_internal.feed_write(told, 'attribute');
  END IF;
  UPDATE cdp_data.trait t SET as_of = now(), refreshed_at = clock_timestamp() WHERE t.trait_id = trait_fill.trait_id;
  PERFORM cdp_data.audit_write('trait', 'trait ' || name, NULL, jsonb_build_object('mode', mode, 'given', given, 'written', written, 'removed', removed));
END
$$;
COMMENT ON FUNCTION cdp_internal.trait_fill(text, text, bigint[], double precision[], text[], text, text, text[]) IS
'What cdp.set_trait() and cdp.set_trait_words() do. Segments follow by the change feed, or after more than 1,000 changes by an evaluation over everybody.';

CREATE OR REPLACE FUNCTION cdp.set_trait(name text, customer_ids bigint[], "values" double precision[] DEFAULT NULL, mode text DEFAULT 'replace', description text DEFAULT NULL, allowed_purposes text[] DEFAULT NULL,
  OUT trait_id integer, OUT given bigint, OUT customers bigint, OUT written bigint, OUT removed bigint, OUT unknown bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT f.* INTO trait_id, given, customers, written, removed, unknown
  FROM cdp_internal.trait_fill(name, 'number', customer_ids, "values", NULL, mode, description, set_trait.allowed_purposes) f;
END
$$;
COMMENT ON FUNCTION cdp.set_trait(text, bigint[], double precision[], text, text, text[]) IS
'Fills a trait of your own with numbers, and makes it when it is not there: SELECT * FROM cdp.set_trait(''credit'', ARRAY[7, 9], ARRAY[1.5, 3], description => ''credit score''). customer_ids are any ids that were merged into a customer; of several values for one the last counts, NULL takes his away. mode replace (default): the trait is these values; add: they are added or changed; remove: those customers lose theirs (values are left out). allowed_purposes: for which rules may ask for it, of cdp_data.purpose_all; NULL: as before, at first every one. Returns trait_id, ids given, customers they are, values written (new or other) and removed, and unknown: ids that nobody has, which are left out. Segments that name it follow with the next tick; an erasure takes the person''s values; a value follows its customer through merges (the survivor''s own comes first) and unmerges. Needs the rights of the tables'' owner. Errors: 22023 a bad name, mode, purpose, NaN, or another number of values; 42710 a built-in or computed trait; 2BP01 segments ask for it as text; 55000 before cdp.setup().';
CREATE OR REPLACE FUNCTION cdp.set_trait_words(name text, customer_ids bigint[], "values" text[] DEFAULT NULL, mode text DEFAULT 'replace', description text DEFAULT NULL, allowed_purposes text[] DEFAULT NULL,
  OUT trait_id integer, OUT given bigint, OUT customers bigint, OUT written bigint, OUT removed bigint, OUT unknown bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT f.* INTO trait_id, given, customers, written, removed, unknown
  FROM cdp_internal.trait_fill(name, 'text', customer_ids, NULL, "values", mode, description, set_trait_words.allowed_purposes) f;
END
$$;
COMMENT ON FUNCTION cdp.set_trait_words(text, bigint[], text[], text, text, text[]) IS
'cdp.set_trait() with texts of at most 1,000 bytes, such as the shop that somebody goes to: {"trait": "shop", "eq": "Hangzhou"}. Errors also 2BP01: segments ask for it as a number.';

CREATE OR REPLACE FUNCTION cdp.drop_trait(name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  t record;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT x.trait_id, x.kind INTO t FROM cdp_data.trait x WHERE x.name = drop_trait.name FOR UPDATE;
  IF NOT FOUND THEN
    RETURN false;
  ELSIF t.kind NOT IN ('own', 'computed') THEN
    RAISE EXCEPTION 'trait "%" is built in', name USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Those of kinds own and computed can be dropped.';
  ELSIF cdp_internal.trait_users(name) <> '{}' THEN
    RAISE EXCEPTION 'trait "%" is named by segments', name
      USING ERRCODE = 'dependent_objects_still_exist', DETAIL = format('By %s.', array_to_string(cdp_internal.trait_users(name), ', ')), HINT = 'Archive or edit those first.';
  END IF;
  DELETE FROM cdp_data.trait_value v WHERE v.trait_id = t.trait_id;
  DELETE FROM cdp_data.trait x WHERE x.trait_id = t.trait_id;
  PERFORM cdp_data.audit_write('trait', 'trait ' || name, NULL, '{"mode": "drop"}');
  RETURN true;
END
$$;
COMMENT ON FUNCTION cdp.drop_trait(text) IS
'Deletes a trait of kind own or computed with all its values; returns whether it was there. Errors: 55000 it is built in, 2BP01 segments name it.';

CREATE OR REPLACE FUNCTION cdp_internal.trait_atom(definition jsonb, OUT rule jsonb, OUT tells text, OUT value_type text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ops text[] := ARRAY(SELECT k FROM unnest('{count,days,sum,avg,min,max,distinct,first_value,last_value,most_frequent,days_since}'::text[]) k WHERE definition ? k);
  op text := ops[1];
  of jsonb := definition -> op;
  alone boolean := op IN ('count', 'days', 'days_since');
  rest jsonb;
BEGIN
  IF jsonb_typeof(definition) IS DISTINCT FROM 'object' OR NOT definition ? 'did' OR cardinality(ops) <> 1 OR definition ?| '{eq,neq,lt,lte,gt,gte,v,nulls}'
    OR alone AND of <> 'true' OR NOT alone AND jsonb_typeof(of) NOT IN ('string', 'object') THEN
    RAISE EXCEPTION 'this defines no trait'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'A trait is "did" with a kind of event, a window and "where" where wanted, and one aggregate without a comparison.',
        HINT = 'Write {"did": "order", "last": "90 days", "sum": "amount"}; aggregates: count, days and days_since (true), sum, avg, min, max, distinct, first_value, last_value and most_frequent (of a property).';
  END IF;
  rest := definition - op - 'tz';
  tells := CASE op WHEN 'most_frequent' THEN 'mode' WHEN 'days_since' THEN 'since' ELSE 'value' END;
  value_type := CASE WHEN op IN ('first_value', 'last_value', 'most_frequent') AND jsonb_typeof(of) = 'string' THEN 'text' ELSE 'number' END;
  -- What is compared does not matter: the pass tells what it would compare.
  rule := jsonb_build_object('v', 1, 'where', rest || CASE
    WHEN op = 'days_since' THEN '{"count": {"gte": 1}}'::jsonb WHEN alone THEN jsonb_build_object(op, '{"gte": 1}'::jsonb)
    WHEN op IN ('distinct', 'most_frequent') THEN jsonb_build_object('distinct', of, 'gte', 1)
    WHEN op IN ('first_value', 'last_value') THEN jsonb_build_object(op, of, 'eq', CASE WHEN value_type = 'text' THEN '""'::jsonb ELSE '0' END)
    ELSE jsonb_build_object(op, of, 'gte', 0) END) || CASE WHEN definition ? 'tz' THEN jsonb_build_object('tz', definition -> 'tz') ELSE '{}' END;
END
$$;
COMMENT ON FUNCTION cdp_internal.trait_atom(jsonb) IS
'The definition of a computed trait as a rule with one event atom that looks at the same, what is told of that atom (value, mode, since), and of which type values are. Error 22023: it is none.';

CREATE OR REPLACE FUNCTION cdp_internal.trait_purposes(purposes text[], definition jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  list text[];
BEGIN
  IF definition ? 'did' THEN
    FOR list IN
      WITH used AS MATERIALIZED (
        SELECT u.what, u.name FROM cdp_internal.trait_atom(definition) a CROSS JOIN LATERAL cdp_internal.rule_uses(a.rule) u
      ), kind AS MATERIALIZED (
        SELECT k.kind_id, k.allowed_purposes FROM used u JOIN cdp_data.touch_kind_all k ON k.name = u.name WHERE u.what = 'kind'
      )
      SELECT k.allowed_purposes FROM kind k WHERE k.allowed_purposes IS NOT NULL
      UNION ALL
      SELECT r.allowed_purposes FROM kind k JOIN cdp_data.property_rule r USING (kind_id) JOIN used u ON u.what = 'property' AND u.name = r.key WHERE r.allowed_purposes IS NOT NULL
    LOOP
      purposes := CASE WHEN purposes IS NULL THEN list ELSE ARRAY(SELECT p FROM unnest(purposes) p WHERE p = ANY (list)) END;
    END LOOP;
  END IF;
  RETURN CASE WHEN purposes IS NOT NULL THEN to_jsonb(ARRAY(SELECT DISTINCT p FROM unnest(purposes) p ORDER BY p)) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.trait_purposes(text[], jsonb) IS
'For which purposes a trait may be used: what is said of it itself, and of the kinds and properties that its definition reads. NULL: every one.';

CREATE OR REPLACE FUNCTION cdp.define_trait(name text, definition jsonb, description text DEFAULT NULL, allowed_purposes text[] DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  a record := cdp_internal.trait_atom(definition);
  f record;
  id integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT c.path, c.code, c.message, c.hint INTO f FROM cdp_internal.rule_check(a.rule, cdp_internal.segment_closed(cdp_internal.segment_catalog())) c WHERE c.severity = 'error' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '%', f.message
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('%s at %s.', f.code, coalesce(nullif(regexp_replace(f.path, '^/where', ''), ''), 'the top')),
        HINT = coalesce(nullif(f.hint, ''), 'See the language of rules in docs/segments.md.');
  END IF;
  id := cdp_internal.trait_own(define_trait.name, 'computed', a.value_type, define_trait.definition, define_trait.description, define_trait.allowed_purposes);
  PERFORM cdp_data.audit_write('trait', 'trait ' || define_trait.name, NULL, jsonb_build_object('mode', 'define', 'definition', define_trait.definition));
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.define_trait(text, jsonb, text, text[]) IS
'Defines a trait that cdp.refresh_traits() computes from events: SELECT cdp.define_trait(''spent_90'', ''{"did": "order", "last": "90 days", "sum": "amount"}''). A definition is an event condition of the language of rules ("did", a window, "where", "tz" where wanted) with one aggregate and no comparison: count, days, days_since (true; days and parts of days since the last one), sum, avg, min, max, distinct, first_value, last_value, most_frequent (a property, or {"field": "value"}: the money; of several values that came as often the one that came last). first_value, last_value and most_frequent of a property are texts (numbers as text; above 1,000 bytes no value), all others numbers. Who has no such event (with such a value) has no value. Values are made by the next refresh (it waits for one that is under way), for customers whose consent to analytics lets their data be used. It may be used for allowed_purposes (NULL: as before, at first every one) as far as its kinds and properties allow. Another definition drops the values. Returns trait_id. Needs the rights of the tables'' owner. Errors: 22023 no definition, with code and path of the rule language where it has one; 42710 a built-in trait or one of yours that you fill; 2BP01 segments ask for it as another type; 55000 before cdp.setup().';
CREATE OR REPLACE FUNCTION cdp.define_trait(name text, definition text, description text DEFAULT NULL, allowed_purposes text[] DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp.define_trait(name, cdp_internal.read_trait(definition), description, allowed_purposes);
END
$$;
COMMENT ON FUNCTION cdp.define_trait(text, text, text, text[]) IS
'The same with the definition in the text form of rules: sum(amount of order last 90 days), count(visit this month), days_since(order), most_frequent(category of order where amount > 5); or with JSON as text. Errors also 42601: it can not be read.';

CREATE OR REPLACE FUNCTION cdp_internal.read_trait(definition text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  word text := lower(substring(definition FROM '^\s*([a-zA-Z_]+)\s*[(]'));
  base text := CASE word WHEN 'most_frequent' THEN 'distinct' WHEN 'days_since' THEN 'count' ELSE word END;
  key text := CASE WHEN base IN ('first', 'last') THEN base || '_value' ELSE base END;
  atom jsonb;
BEGIN
  IF definition ~ '^\s*[{]' THEN
    RETURN definition::jsonb;
  END IF;
  IF definition ~ '[)]\s*([<>=!]|between\M|not\M|in\M|is\M)[^)]*$' THEN
    RAISE EXCEPTION 'this text defines no trait'
      USING ERRCODE = 'syntax_error', DETAIL = 'A comparison follows the aggregate.', HINT = 'A trait is the value itself, such as sum(amount of order last 90 days); rules compare it.';
  END IF;
  -- The text form has aggregates only with a comparison, which is taken away again.
  IF base <> 'did' THEN
    atom := cdp.segment_rule(base || substr(ltrim(definition, E' \t\r\n'), length(word) + 1) || CASE WHEN key <> base THEN ' = ''''' ELSE ' >= 1' END) -> 'where';
  END IF;
  IF (atom ? 'did' AND atom ? key) IS NOT TRUE THEN
    RAISE EXCEPTION 'this text defines no trait'
      USING ERRCODE = 'syntax_error', DETAIL = 'It is no aggregate of events.', HINT = 'Write one, such as sum(amount of order last 90 days), without a comparison.';
  END IF;
  RETURN atom - '{gte,eq}'::text[] - key
    || jsonb_build_object(CASE WHEN base <> word THEN word ELSE key END, CASE WHEN base IN ('count', 'days') THEN 'true'::jsonb ELSE atom -> key END);
END
$$;
COMMENT ON FUNCTION cdp_internal.read_trait(text) IS
'The definition of a computed trait from text: JSON when it begins with a brace, else the text form. Errors: 22P02 no JSON, 42601 not the text form.';

CREATE OR REPLACE FUNCTION cdp_internal.trait_plan(ids integer[], as_of timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rules jsonb;
  plan jsonb;
BEGIN
  SELECT jsonb_agg(jsonb_build_object('id', t.trait_id, 'name', t.name, 'rule', a.rule) ORDER BY t.trait_id) INTO rules
  FROM cdp_data.trait t CROSS JOIN LATERAL cdp_internal.trait_atom(t.definition) a WHERE t.trait_id = ANY (ids);
  plan := cdp_internal.rule_plan(rules, cdp_internal.segment_catalog(NULL, NULL, true), as_of);
  -- Ids decide between events of one moment.
  RETURN plan || '{"need_ids": true}' || jsonb_build_object('traits', (
    SELECT jsonb_agg(jsonb_build_object('id', t.trait_id, 'event', plan -> 'nodes' -> (s.value ->> 'node')::integer -> 'event', 'tells', a.tells) ORDER BY t.trait_id)
    FROM jsonb_array_elements(plan -> 'segments') s JOIN cdp_data.trait t ON t.trait_id = (s.value ->> 'id')::integer CROSS JOIN LATERAL cdp_internal.trait_atom(t.definition) a));
END
$$;
COMMENT ON FUNCTION cdp_internal.trait_plan(integer[], timestamptz) IS
'The plan of these computed traits at a moment: that of rules, with "traits": id, the event atom that each looks at, and what it tells of it (value, mode, since).';

CREATE OR REPLACE FUNCTION cdp_internal.computed_traits(as_of timestamptz) RETURNS TABLE (name text, customer_id bigint, value double precision, word text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET extra_float_digits = 1
AS $$
#variable_conflict use_column
DECLARE
  t record;
  good integer[] := '{}';
  population bytea;
  plan jsonb;
  kinds smallint[];
  result bytea;
  slice integer;
BEGIN
  FOR t IN
    SELECT d.trait_id, d.name, f.code, f.message FROM cdp_data.trait d CROSS JOIN LATERAL cdp_internal.trait_atom(d.definition) a
      LEFT JOIN LATERAL (SELECT c.code, c.message FROM cdp_internal.rule_check(a.rule, cdp_internal.segment_catalog()) c WHERE c.severity = 'error' LIMIT 1) f ON true
    WHERE d.kind = 'computed' ORDER BY d.trait_id
  LOOP
    IF t.code IS NULL THEN
      good := good || t.trait_id;
    ELSE
      RAISE WARNING 'trait "%" has no values: %', t.name, t.message USING DETAIL = t.code, HINT = 'Define it anew with cdp.define_trait(), or drop it.';
    END IF;
  END LOOP;
  IF good = '{}' THEN
    RETURN;
  END IF;
  population := cdp_internal.segment_population();
  -- So many at a time that their values fit into half of what a pass may take.
  slice := least(100, greatest(1, pg_size_bytes(current_setting('cdp.segment_memory')) / 2 / 32 / greatest(1, cdp.roaring_count(population))));
  FOR nth IN 1 .. cardinality(good) BY slice LOOP
    plan := cdp_internal.trait_plan(good[nth : nth + slice - 1], computed_traits.as_of);
    kinds := translate(plan ->> 'kinds', '[] ', '{}');
    EXECUTE format('SELECT cdp_internal.segment_values_pass(x.customer, x.at, x.kind, x.origin, x.campaign, x.source, x.value, x.properties, x.id, $4, NULL) FROM (%s) x',
        cdp_internal.segment_rows_sql(plan, false))
      INTO result USING kinds, cdp_internal.plan_moment((plan ->> 'from')::bigint), cdp_internal.plan_moment((plan ->> 'as_of')::bigint), plan;
    RETURN QUERY
    SELECT d.name::text, v.customer_id, CASE WHEN d.value_type = 'number' THEN v.number END, CASE WHEN d.value_type = 'text' THEN coalesce(v.word, v.number::text) END
    FROM (SELECT x.customer_id, x.number, x.word, (plan -> 'traits' -> x.trait ->> 'id')::integer AS trait_id FROM cdp_internal.segment_values(result) x OFFSET 0) v
      JOIN cdp_data.trait d ON d.trait_id = v.trait_id
    WHERE v.customer_id IN (SELECT cdp.roaring_ids(population)) AND (d.value_type = 'text' OR v.number IS NOT NULL);
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.computed_traits(timestamptz) IS
'The values of all computed traits at a moment, in one pass over events (more above some ten million values): value where the trait is a number, word where it is a text. A trait whose definition no longer checks has none, and a WARNING says so.';
