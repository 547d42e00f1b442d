-- Identity room, the profile: the registry of attributes, how values are read, and how they are written.

CREATE OR REPLACE FUNCTION cdp.attribute_builtin()
RETURNS TABLE (attribute_id integer, name text, description text, data_type text, strategy text, sensitivity text, aliases jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT v.id, v.name, v.description, v.data_type, v.strategy, v.sensitivity,
    CASE v.name WHEN 'gender' THEN
      '{"m": "male", "man": "male", "mr": "male", "1": "male", "男": "male", "男性": "male", "先生": "male",
        "f": "female", "w": "female", "woman": "female", "mrs": "female", "ms": "female", "2": "female", "女": "female", "女性": "female", "女士": "female",
        "0": null, "x": "other", "d": "other", "u": null, "保密": null}'::jsonb END
  FROM (VALUES
    (1, 'full_name'::text, 'Name as the person writes it'::text, 'text'::text, 'verified'::text, 'personal'::text),
    (2, 'first_name', 'Given name', 'text', 'verified', 'personal'),
    (3, 'last_name', 'Family name', 'text', 'verified', 'personal'),
    (4, 'nickname', 'Name by which the person wants to be called', 'text', 'latest', 'personal'),
    (5, 'wechat_nickname', 'Name shown in WeChat', 'text', 'latest', 'personal'),
    (6, 'avatar_url', 'Picture', 'text', 'latest', 'personal'),
    (7, 'gender', 'male, female, other, or a word of your own', 'text', 'most_frequent', 'personal'),
    (8, 'birthday', 'Day of birth', 'date', 'verified', 'personal'),
    (9, 'language', 'Language tag, such as zh-CN', 'text', 'latest', 'internal'),
    (10, 'timezone', 'Time zone, such as Asia/Shanghai', 'text', 'latest', 'internal'),
    (20, 'country', 'Country of the address', 'text', 'latest', 'internal'),
    (21, 'region', 'Province or state', 'text', 'latest', 'internal'),
    (22, 'city', 'City', 'text', 'latest', 'internal'),
    (23, 'district', 'District', 'text', 'latest', 'internal'),
    (24, 'postcode', 'Postal code', 'text', 'latest', 'personal'),
    (25, 'address', 'Street and house', 'text', 'latest', 'personal'),
    (40, 'company', 'Employer', 'text', 'latest', 'personal'),
    (41, 'job_title', 'Position', 'text', 'latest', 'personal'),
    (42, 'department', 'Department', 'text', 'latest', 'personal'),
    (43, 'industry', 'Industry of the employer', 'text', 'latest', 'internal'),
    (44, 'company_size', 'Employees of the employer', 'text', 'latest', 'internal'),
    (45, 'website', 'Web page', 'text', 'latest', 'personal'),
    (60, 'membership_level', 'Level in the loyalty programme', 'text', 'latest', 'internal'),
    (61, 'membership_points', 'Points, each account''s own, added up', 'numeric', 'sum', 'internal'),
    (62, 'registered_at', 'When the person first registered anywhere', 'timestamp', 'min', 'internal'),
    (63, 'lifecycle_stage', 'Stage that sales or service gave', 'text', 'latest', 'internal'),
    (64, 'preferred_store', 'Store of choice', 'text', 'latest', 'internal'),
    (65, 'preferred_channel', 'Channel of choice', 'text', 'latest', 'internal'),
    (66, 'account_manager', 'Colleague who looks after the customer', 'text', 'latest', 'internal'),
    (67, 'tags', 'Marketing tags of all sources', 'list', 'union', 'internal'),
    (68, 'interests', 'Interests of all sources', 'list', 'union', 'personal'),
    (69, 'note', 'Remark', 'text', 'latest', 'personal')
  ) AS v (id, name, description, data_type, strategy, sensitivity);
END;
COMMENT ON FUNCTION cdp.attribute_builtin() IS
'Built-in attributes, numbers below 1000; columns as in cdp_data.attribute. Never changes a number. With your own: cdp_data.attribute_all.';

CREATE OR REPLACE FUNCTION cdp_internal.attribute_margin() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN E' \u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f\u007f'
  || U&'\0085\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A\200B\200C\200D\2028\2029\202F\205F\2060\3000\FEFF';
COMMENT ON FUNCTION cdp_internal.attribute_margin() IS
'Characters that say nothing at the ends of a value: blanks of all sorts, controls, invisible ones.';

CREATE OR REPLACE FUNCTION cdp_internal.read_attribute(
  given text, data_type text, zone text, pattern text, aliases jsonb, blanks text[], OUT value text, OUT code text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  t text := btrim(given, cdp_internal.attribute_margin());
  l text := lower(t);
  most integer := CASE WHEN data_type IN ('list', 'json') THEN 65536 ELSE 8192 END;
  moment timestamptz;
  j jsonb;
BEGIN
  IF coalesce(l, '') = '' OR l = ANY (coalesce(blanks, cdp_internal.blank_words())) THEN
    RETURN;
  ELSIF octet_length(t) > most THEN
    code := 'too_long';
    RETURN;
  END IF;
  IF aliases ? l THEN
    t := aliases ->> l;
    IF t IS NULL THEN
      RETURN;
    END IF;
    l := lower(t);
  END IF;
  CASE data_type
    WHEN 'text' THEN
      value := normalize(t, NFC);
    WHEN 'integer' THEN
      IF t ~ '^[-+]?[0-9]{1,40}([.]0{1,20})?$' AND t::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
        value := t::numeric::bigint::text;
      END IF;
    WHEN 'numeric' THEN
      IF cdp_internal.is_number(t) THEN
        value := trim_scale(t::numeric)::text;
      END IF;
    WHEN 'boolean' THEN
      value := CASE WHEN l IN ('true', 't', 'yes', 'y', '1', 'on', '是') THEN 'true' WHEN l IN ('false', 'f', 'no', 'n', '0', 'off', '否') THEN 'false' END;
    WHEN 'date' THEN
      -- The day as it is written: a birthday has no time zone.
      t := CASE
        WHEN t ~ '^[0-9]{8}$' THEN regexp_replace(t, '^(....)(..)(..)$', '\1-\2-\3')
        WHEN t ~ '^[0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日$' THEN regexp_replace(t, '^([0-9]+)年([0-9]+)月([0-9]+)日$', '\1-\2-\3')
        ELSE t END;
      IF t ~ '^[0-9]{4}' AND isfinite(cdp_internal.parse_time(t, 'UTC')) THEN
        value := to_char(cdp_internal.parse_time(substring(t, '^[0-9]+[-/][0-9]+[-/][0-9]+'), 'UTC') AT TIME ZONE 'UTC', 'YYYY-MM-DD');
      END IF;
    WHEN 'timestamp' THEN
      moment := CASE
        WHEN t ~ '^[0-9]{9,10}$' THEN to_timestamp(t::bigint)
        WHEN t ~ '^[0-9]{12,13}$' THEN '1970-01-01 00:00:00+00'::timestamptz + t::bigint * interval '0.001 second'
        ELSE cdp_internal.parse_time(t, coalesce(zone, 'UTC')) END;
      IF isfinite(moment) THEN
        value := regexp_replace(to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '[.]?0*$', '') || 'Z';
        value := CASE WHEN value ~ ':[0-9][0-9]:[0-9][0-9]' THEN value ELSE to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END;
      END IF;
    ELSE
      j := CASE
        WHEN data_type = 'json' OR t ~ '^\[' THEN cdp_internal.parse_json(t)
        ELSE to_jsonb(regexp_split_to_array(t, '[,;|，；、]')) END;
      IF data_type = 'list' THEN
        IF jsonb_typeof(j) = 'array' AND jsonb_array_length(j) <= 1000 THEN
          SELECT coalesce(jsonb_agg(e.item ORDER BY e.item COLLATE "C"), '[]'),
            max(CASE WHEN jsonb_typeof(e.raw) IN ('array', 'object') OR octet_length(e.item) > 1024 THEN 'bad_list' END)
          INTO j, code
          FROM (SELECT DISTINCT ON (i.item COLLATE "C") i.item, i.raw
                FROM (SELECT btrim(x #>> '{}', cdp_internal.attribute_margin()) AS item, x AS raw FROM jsonb_array_elements(j) x) i
                WHERE i.item <> '' AND lower(i.item) <> ALL (coalesce(blanks, cdp_internal.blank_words()))
                ORDER BY i.item COLLATE "C", i.raw) e;
          IF code IS NOT NULL OR j = '[]' THEN
            RETURN;
          END IF;
        ELSE
          j := NULL;
        END IF;
      END IF;
      IF j IN ('null', '{}', '[]', '""') THEN
        RETURN;
      END IF;
      value := j::text;
  END CASE;
  IF value IS NULL THEN
    code := 'bad_' || data_type;
  ELSIF octet_length(value) > 2 * most THEN -- JSON is stored with blanks between its parts, and with its exponents spelled out
    value := NULL;
    code := 'too_long';
  ELSIF value !~ pattern COLLATE "C" THEN
    value := NULL;
    code := 'pattern';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.read_attribute(text, text, text, text, jsonb, text[]) IS
'The form in which a value of an attribute is stored; arguments as the columns of cdp_data.attribute, zone that of moments without one. value and code both NULL: it is blank. code, never an error, when it is refused: too_long (8 kB, lists and JSON 64 kB), bad_ and the type, or pattern.';

CREATE OR REPLACE FUNCTION cdp_internal.attributes_write(
  load_id bigint, source_id integer, home_id bigint, identifier_id bigint, attributes jsonb, at timestamptz, verified boolean DEFAULT false,
  OUT written integer, OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  zone text;
  n bigint;
BEGIN
  written := 0;
  refused := '[]';
  IF attributes IS NULL OR attributes IN ('{}', 'null') THEN
    RETURN;
  ELSIF jsonb_typeof(attributes) <> 'object' THEN
    RAISE EXCEPTION 'attributes must be a JSON object'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', jsonb_typeof(attributes)),
        HINT = 'Write name and value, such as {"city": "Hangzhou"}.';
  END IF;
  n := (SELECT count(*) FROM jsonb_object_keys(attributes));
  IF n > 500 THEN
    RAISE EXCEPTION 'too many attributes in one record'
      USING ERRCODE = 'program_limit_exceeded', DETAIL = format('%s were given, at most 500 are taken.', n),
        HINT = 'Put what belongs together into one attribute of type json.';
  END IF;
  zone := (SELECT s.timezone FROM cdp_data.source s WHERE s.source_id = attributes_write.source_id);
  WITH judged AS MATERIALIZED (
    SELECT g.key, a.attribute_id, CASE WHEN a.encrypted THEN cdp_internal.seal_attribute(a.attribute_id, r.value) ELSE r.value END AS value,
      CASE WHEN a.attribute_id IS NULL THEN 'unknown_attribute'
        WHEN jsonb_typeof(g.value) IN ('array', 'object') AND a.data_type NOT IN ('list', 'json') THEN 'bad_' || a.data_type
        ELSE r.code END AS code
    FROM jsonb_each(attributes) g
      LEFT JOIN cdp_data.attribute_all a ON a.name = g.key
      LEFT JOIN LATERAL cdp_internal.read_attribute(
        CASE WHEN jsonb_typeof(g.value) IN ('array', 'object') OR a.data_type = 'json' THEN g.value::text ELSE g.value #>> '{}' END,
        a.data_type, zone, a.pattern, a.aliases, a.blanks) r ON a.attribute_id IS NOT NULL
  ), kept AS (
    INSERT INTO cdp_data.attribute_value AS v (customer_id, identifier_id, load_id, first_at, last_at, attribute_id, source_id, verified, value)
    SELECT home_id, attributes_write.identifier_id, attributes_write.load_id, coalesce(at, now()), coalesce(at, now()), j.attribute_id,
      attributes_write.source_id, coalesce(attributes_write.verified, false), j.value
    FROM judged j WHERE j.value IS NOT NULL AND j.code IS NULL
    ORDER BY j.attribute_id -- calls that write the same values at once wait for each other in one order
    ON CONFLICT (identifier_id, attribute_id, source_id, load_id, version_id, substr(sha256(replace(value, '\', '\\')::bytea), 1, 16)) DO UPDATE
    SET first_at = least(v.first_at, excluded.first_at), last_at = greatest(v.last_at, excluded.last_at), verified = v.verified OR excluded.verified
    WHERE excluded.first_at < v.first_at OR excluded.last_at > v.last_at OR (excluded.verified AND NOT v.verified)
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM kept),
    coalesce((SELECT jsonb_agg(jsonb_build_object('attribute', left(j.key, 63), 'code', j.code) ORDER BY j.key COLLATE "C") FROM judged j WHERE j.code IS NOT NULL), '[]')
  INTO written, refused;
  IF written > 0 THEN
    PERFORM cdp_internal.feed_write(ARRAY[home_id], 'attribute');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.attributes_write(bigint, integer, bigint, bigint, jsonb, timestamptz, boolean) IS
'Stores what one record says about the customer of an identifier: attributes as {"name": value}, at the time of the record. home_id is the home customer of the identifier. Blank values are passed over; the same record again writes nothing. written counts the values that are new or whose times moved; refused tells the others as [{"attribute", "code"}], never with the value. Writes the change feed. Errors: 22023 no JSON object, 54000 more than 500 attributes.';

-- Values that a voice says again and again, in loads of their own.

CREATE OR REPLACE FUNCTION cdp_internal.compact_values(after bigint, most integer DEFAULT 2000, OUT reached bigint, OUT gone bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  ids bigint[] := ARRAY(SELECT i.identifier_id FROM cdp_data.identifier i WHERE i.identifier_id > after ORDER BY i.identifier_id LIMIT most);
BEGIN
  gone := 0;
  IF ids = '{}' THEN
    RETURN;
  END IF;
  reached := ids[cardinality(ids)];
  CREATE TEMP TABLE cdp_compact ON COMMIT DROP AS
  SELECT x.* FROM (
    SELECT v.ctid AS at, v.identifier_id, v.attribute_id, v.source_id, v.value, v.verified, v.load_id, v.first_at, v.last_at, v.version_id,
      row_number() OVER w AS nth, count(*) OVER (PARTITION BY v.identifier_id, v.attribute_id, v.source_id, v.verified, v.value) AS n,
      first_value(v.ctid) OVER w AS kept
    FROM cdp_data.attribute_value v JOIN cdp_data.load l ON l.load_id = v.load_id
    WHERE v.identifier_id = ANY (ids) AND l.finished_at IS NOT NULL
      -- A record of a batch that may come again keeps its own rows: its next repetition must find them.
      AND NOT EXISTS (SELECT FROM cdp_data.customer_record k WHERE v.version_id <> 0 AND k.identifier_id = v.identifier_id AND k.version_id = v.version_id)
    WINDOW w AS (PARTITION BY v.identifier_id, v.attribute_id, v.source_id, v.verified, v.value ORDER BY v.first_at, v.load_id, v.version_id)) x
  WHERE x.n > 3;
  IF EXISTS (SELECT FROM pg_temp.cdp_compact) THEN
    -- What somebody wrote meanwhile stands elsewhere: then all of its value stays as it is.
    PERFORM FROM cdp_data.attribute_value v JOIN pg_temp.cdp_compact c ON v.ctid = c.at
    ORDER BY v.identifier_id, v.attribute_id, v.source_id, v.load_id, v.version_id FOR UPDATE OF v;
    DELETE FROM pg_temp.cdp_compact c WHERE NOT EXISTS (SELECT FROM cdp_data.attribute_value v WHERE v.ctid = c.kept);
    gone := cdp_internal.compact_rows();
  END IF;
  DROP TABLE pg_temp.cdp_compact;
END
$$;
COMMENT ON FUNCTION cdp_internal.compact_values(bigint, integer) IS
'Makes one row of those with which a voice said the same value (equally verified) in more than three finished loads, for at most so many identifiers above a number. The row that stays is the earliest; the loads and times of the others stand in its list (cdp_data.repetition), so that survivorship, timelines and every revert give what they gave. Rows of batches whose record still stands so stay. Returns the last identifier looked at (NULL: none left) and how many rows went.';

CREATE OR REPLACE FUNCTION cdp_internal.compact_rows() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  n bigint;
BEGIN
  -- What each row says by its own load and by those that repeated it, for all but the earliest; of that one its list.
  CREATE TEMP TABLE cdp_compact_list ON COMMIT DROP AS
  SELECT x.kept, nextval('cdp_data.record_version_version_id_seq') AS version_id, nextval('cdp_data.repetition_repetition_id_seq') AS repetition_id,
    array_agg(x.load_id ORDER BY x.load_id, x.at) AS loads, array_agg(x.at ORDER BY x.load_id, x.at) AS ats
  FROM (
    SELECT c.kept, c.load_id, e.at FROM pg_temp.cdp_compact c CROSS JOIN LATERAL (VALUES (c.first_at), (c.last_at)) AS e (at) WHERE c.nth > 1
    UNION
    SELECT c.kept, u.load_id, e.at
    FROM pg_temp.cdp_compact c JOIN cdp_data.record_version w ON w.version_id = c.version_id JOIN cdp_data.repetition r ON r.repetition_id = w.repetition_id
      CROSS JOIN LATERAL unnest(r.loads, r.ats) AS u (load_id, at)
      CROSS JOIN LATERAL (SELECT u.at WHERE u.at IS NOT NULL OR c.nth = 1 UNION SELECT x FROM unnest(ARRAY[c.first_at, c.last_at]) x WHERE u.at IS NULL AND c.nth > 1) AS e (at)
    WHERE c.version_id <> 0) x
  GROUP BY x.kept;
  INSERT INTO cdp_data.repetition (repetition_id, loads, ats) SELECT l.repetition_id, l.loads, l.ats FROM pg_temp.cdp_compact_list l;
  INSERT INTO cdp_data.record_version (version_id, repetition_id) SELECT l.version_id, l.repetition_id FROM pg_temp.cdp_compact_list l;
  PERFORM cdp_internal.repetition_refresh(ARRAY(SELECT l.repetition_id FROM pg_temp.cdp_compact_list l));
  DELETE FROM cdp_data.attribute_value v USING pg_temp.cdp_compact c WHERE v.ctid = c.at AND c.nth > 1;
  GET DIAGNOSTICS n = ROW_COUNT;
  UPDATE cdp_data.attribute_value v SET version_id = l.version_id FROM pg_temp.cdp_compact_list l WHERE v.ctid = l.kept;
  DROP TABLE pg_temp.cdp_compact_list;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.compact_rows() IS
'The work of cdp_internal.compact_values() on the rows in pg_temp.cdp_compact. Returns how many rows went.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_profile()
LANGUAGE plpgsql
AS $$
DECLARE
  step pg_catalog.record;
  after pg_catalog.int8 := 0;
  total pg_catalog.int8 := 0;
BEGIN
  LOOP
    -- One after the other with batches and reverts, which extend and read the lists.
    PERFORM FROM cdp_data.source s ORDER BY s.source_id FOR NO KEY UPDATE;
    step := cdp_internal.compact_values(after);
    EXIT WHEN step.reached IS NULL;
    after := step.reached;
    total := total OPERATOR(pg_catalog.+) step.gone;
    COMMIT;
  END LOOP;
  RAISE NOTICE 'maintain: % rows of repeated values folded into others', total;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_profile() IS
'Part of cdp.maintain(): values that a source said again and again become one row each, two thousand identifiers at a time.';
