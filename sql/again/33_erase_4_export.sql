-- Governance room, export: everything that the database holds about one person, from the registry of personal data.

CREATE OR REPLACE FUNCTION cdp_internal.person_tables()
RETURNS TABLE (table_name text, fits text, columns name[], key name[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT t.name, t.fits,
    ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = to_regclass(t.name) AND a.attnum > 0 AND NOT a.attisdropped
        -- Hashes of words by which rows are found say nothing to a person.
        AND NOT EXISTS (SELECT FROM cdp_data.personal_data p WHERE p.table_name = t.name AND p.column_name = a.attname AND (p.subject_kind = 'text' OR a.attname = 'tokens') AND a.atttypid = 'bigint[]'::regtype) ORDER BY a.attnum),
    -- In the order of the primary key, else of all columns.
    coalesce((SELECT array_agg(a.attname ORDER BY k.n) FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, n)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE i.indrelid = to_regclass(t.name) AND i.indisprimary), '{}')
  FROM (
    SELECT x.name, CASE WHEN x.name = 'cdp_data.outbox' THEN
      -- What was sent while two were taken for one is told by its words, and whoever it names besides keeps it to himself.
      format('(x.customer_id = ANY ($1) OR (x.customer_id = ANY ($7) OR x.customer_id IS NULL AND x.kind <> ''erase'') AND %1$s && $6) AND NOT %1$s && $8',
        'cdp_internal.outbox_tokens(x.payload, x.dedup_key, x.last_error)')
    ELSE concat_ws(' OR ', cdp_internal.person_where(x.name), (
      -- Content without a key: where the person's identifiers stand in it.
      SELECT string_agg(format(CASE a.atttypid WHEN 'jsonb'::regtype THEN 'cdp_internal.content_tokens(x.%I) && $6' ELSE 'x.%I && $6' END, a.attname), ' OR ')
      FROM cdp_data.personal_data p JOIN pg_attribute a ON a.attrelid = to_regclass(p.table_name) AND a.attname = p.column_name AND a.atttypid IN ('jsonb'::regtype, 'bigint[]'::regtype)
      WHERE p.table_name = x.name AND p.subject_kind = 'text')) END AS fits
    FROM (SELECT DISTINCT p.table_name AS name FROM cdp_data.personal_data p WHERE p.subject_kind <> 'none' AND to_regclass(p.table_name) IS NOT NULL) x) t
  WHERE t.fits <> '' ORDER BY t.name COLLATE "C";
END
$$;
COMMENT ON FUNCTION cdp_internal.person_tables() IS
'The registered tables that can hold rows of a person: the condition that finds them ($1 to $5 as cdp_internal.person_where(), $6 to $8 tokens, others and others_tokens of cdp_internal.export_person()), their columns and their primary key.';

CREATE OR REPLACE FUNCTION cdp_internal.person_names("table" text, columns name[], OUT joins text, OUT adds text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Numbers of lists say nothing to a person; their names do.
  SELECT string_agg(v.joined, ' '), string_agg(format('%L, %s', v.word, v.shown), ', ') INTO joins, adds
  FROM (VALUES
    ('kind_id', 'kind', 'k.name', 'LEFT JOIN cdp_data.touch_kind_all k ON k.kind_id = x.kind_id'),
    ('source_id', 'source', 's.name', 'LEFT JOIN cdp_data.source s ON s.source_id = x.source_id'),
    ('type_id', 'type', 't.name', 'LEFT JOIN cdp_data.identifier_type_all t ON t.type_id = x.type_id'),
    ('attribute_id', 'attribute', 'b.name', 'LEFT JOIN cdp_data.attribute_all b ON b.attribute_id = x.attribute_id'),
    ('campaign_id', 'campaign', 'c.name', 'LEFT JOIN cdp_data.campaign c ON c.campaign_id = x.campaign_id'),
    ('purpose_id', 'purpose', 'u.name', 'LEFT JOIN cdp_data.purpose_all u ON u.purpose_id = x.purpose_id'),
    ('origin_id', 'origin', 'nullif(jsonb_strip_nulls(jsonb_build_object(''source'', nullif(o.source, ''''), ''medium'', nullif(o.medium, ''''), ''campaign'', nullif(o.campaign, ''''), ''referrer_host'', nullif(o.referrer_host, ''''), ''add_way'', nullif(o.add_way, ''''), ''qr_scene'', nullif(o.qr_scene, ''''))), ''{}'')',
      'LEFT JOIN cdp_data.origin o ON o.origin_id = x.origin_id')
  ) AS v (col, word, shown, joined)
  WHERE v.col = ANY (columns) AND "table" LIKE 'cdp\_data.%';
  IF "table" = 'cdp_data.attribute_value' THEN
    -- What a source wrote so that it looks encrypted does not keep a person from her export.
    adds := adds || ', ''value'', CASE WHEN NOT b.encrypted OR cdp_internal.envelope_key(x.value) IS NULL THEN x.value
      WHEN cdp_internal.envelope_key(x.value) = ANY (cdp_internal.key_ids()) THEN coalesce(cdp_internal.open_or_null(x.value, ''attribute '' || x.attribute_id), x.value)
      ELSE cdp_internal.open_attribute(x.attribute_id, x.value) END';
  ELSIF "table" = 'cdp_data.quarantine' THEN
    adds := adds || ', ''original'', cdp_internal.open_fields(x.original, cdp_internal.secret_places(x.source_id, x.original))';
  END IF;
  joins := coalesce(joins, '');
  adds := coalesce(adds, '');
END
$$;
COMMENT ON FUNCTION cdp_internal.person_names(text, name[]) IS
'SQL that puts names beside the numbers of lists in an exported row (alias x), and opens encrypted attributes.';

CREATE OR REPLACE FUNCTION cdp_internal.export_person(customer bigint,
  OUT root bigint, OUT customers bigint[], OUT homes bigint[], OUT identifiers bigint[], OUT type_ids smallint[], OUT vals text[],
  OUT tokens bigint[], OUT others bigint[], OUT others_tokens bigint[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT * INTO root, customers, homes, identifiers, type_ids, vals FROM cdp_internal.person(customer);
  tokens := cdp_internal.erase_tokens(identifiers);
  others := cdp_internal.once_one_with(customers, identifiers);
  others_tokens := ARRAY(
    SELECT unnest(cdp_internal.erase_tokens(ARRAY(
      SELECT m.identifier_id FROM (SELECT DISTINCT cdp_internal.root_of(o) AS root FROM unnest(others) o) r CROSS JOIN LATERAL cdp_internal.members(r.root) m
      WHERE r.root <> export_person.root)))
    EXCEPT SELECT unnest(tokens));
  -- A profile that was made before a merge or an unmerge would lack something, or show what is another's.
  IF EXISTS (SELECT FROM cdp_data.profile_state s WHERE s.basis IS NOT NULL FOR UPDATE) THEN
    PERFORM cdp_internal.profile_store(customers, NULL, NULL);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.export_person(bigint) IS
'cdp_internal.person(), with the profile made anew, as it is now; tokens: the hashes of his identifiers (cdp_internal.erase_tokens()), others: who was once one with him, and the hashes of their identifiers. Waits for a refresh that is under way. Error 22023: no such customer.';

CREATE OR REPLACE FUNCTION cdp_internal.export_in(customer bigint) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  p record;
  t record;
  n record;
  rows jsonb;
  names text[] := '{}';
  docs jsonb[] := '{}'; -- put together once: each || would write all that is there anew
  counts jsonb := '{}';
BEGIN
  PERFORM cdp_internal.require_setup();
  p := cdp_internal.export_person(customer);
  FOR t IN SELECT * FROM cdp_internal.person_tables() LOOP
    n := cdp_internal.person_names(t.table_name, t.columns);
    EXECUTE format('SELECT jsonb_agg(to_jsonb(x) - $9 || jsonb_strip_nulls(jsonb_build_object(%s)) ORDER BY %s) FROM %s x %s WHERE %s', n.adds,
        coalesce((SELECT string_agg(format('x.%I', k), ', ') FROM unnest(t.key) k), 'x::text'), to_regclass(t.table_name), n.joins, t.fits)
      INTO rows USING p.customers, p.homes, p.identifiers, p.type_ids, p.vals, p.tokens, p.others, p.others_tokens,
        ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = to_regclass(t.table_name) AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (t.columns));
    CONTINUE WHEN rows IS NULL;
    names := array_append(names, t.table_name);
    docs := array_append(docs, rows);
    counts := counts || jsonb_build_object(t.table_name, jsonb_array_length(rows));
  END LOOP;
  PERFORM cdp_data.audit_write('export', 'subject', p.root, jsonb_build_object('format', 'json', 'rows', counts));
  RETURN jsonb_build_object('format', 'pg_cdp subject export 1', 'made_at', to_char(now(), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'customer', p.root, 'customers', to_jsonb(p.customers),
    'identifiers', (SELECT coalesce(jsonb_agg(jsonb_build_object('type', y.name, 'value', u.value) ORDER BY y.name, u.value), '[]')
      FROM unnest(p.type_ids, p.vals) AS u (type_id, value) JOIN cdp_data.identifier_type_all y ON y.type_id = u.type_id),
    'profile', (SELECT to_jsonb(r) - 'customer_id' - 'provenance' FROM cdp_data.profile r WHERE r.customer_id = p.root),
    'rows', counts, 'tables', (SELECT coalesce(jsonb_object_agg(u.name, u.doc), '{}') FROM unnest(names, docs) AS u (name, doc)));
END
$$;
COMMENT ON FUNCTION cdp_internal.export_in(bigint) IS
'What cdp.subject_export() does; it runs with the rights of the owner of cdp_data.';

CREATE OR REPLACE FUNCTION cdp_internal.csv_field(field text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN field IS NULL THEN '' WHEN field ~ E'[",\r\n]' OR field = '' THEN '"' || replace(field, '"', '""') || '"' ELSE field END;
COMMENT ON FUNCTION cdp_internal.csv_field(text) IS
'A field of CSV as RFC 4180 has it; NULL is empty, the empty text is "".';

CREATE OR REPLACE FUNCTION cdp_internal.export_csv_in(customer bigint) RETURNS TABLE (table_name text, part integer, csv text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  p record;
  t record;
  n record;
  names text[];
  fields text;
BEGIN
  PERFORM cdp_internal.require_setup();
  p := cdp_internal.export_person(customer);
  FOR t IN SELECT * FROM cdp_internal.person_tables() LOOP
    n := cdp_internal.person_names(t.table_name, t.columns);
    names := t.columns::text[] || ARRAY(SELECT k FROM jsonb_object_keys(cdp_internal.person_words(t.table_name, t.columns)) k);
    fields := (SELECT string_agg(format('cdp_internal.csv_field(y.r ->> %L)', c), ' || '','' || ' ORDER BY o) FROM unnest(names) WITH ORDINALITY AS u (c, o));
    RETURN QUERY EXECUTE format('SELECT %L::text, ((y.nth - 1) / 50000)::integer + 1, %L || string_agg(%s, E''\r\n'' ORDER BY y.nth) || E''\r\n''
      FROM (SELECT to_jsonb(x) || jsonb_strip_nulls(jsonb_build_object(%s)) AS r, row_number() OVER (ORDER BY %s) AS nth FROM %s x %s WHERE %s) y GROUP BY 2 ORDER BY 2',
        t.table_name, (SELECT string_agg(cdp_internal.csv_field(c), ',' ORDER BY o) FROM unnest(names) WITH ORDINALITY AS u (c, o)) || E'\r\n', fields, n.adds,
        coalesce((SELECT string_agg(format('x.%I', k), ', ') FROM unnest(t.key) k), 'x::text'), to_regclass(t.table_name), n.joins, t.fits)
      USING p.customers, p.homes, p.identifiers, p.type_ids, p.vals, p.tokens, p.others, p.others_tokens;
  END LOOP;
  PERFORM cdp_data.audit_write('export', 'subject', p.root, jsonb_build_object('format', 'csv'));
END
$$;
COMMENT ON FUNCTION cdp_internal.export_csv_in(bigint) IS
'What cdp.subject_export_csv() does; it runs with the rights of the owner of cdp_data.';

CREATE OR REPLACE FUNCTION cdp_internal.person_words("table" text, columns name[]) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT coalesce(jsonb_object_agg(v.word, v.col), '{}') FROM (VALUES ('kind_id', 'kind'), ('source_id', 'source'), ('type_id', 'type'), ('attribute_id', 'attribute'),
    ('campaign_id', 'campaign'), ('purpose_id', 'purpose'), ('origin_id', 'origin')) AS v (col, word)
  WHERE v.col = ANY (columns::text[]) AND v.word <> ALL (columns::text[]) AND "table" LIKE 'cdp\_data.%');
COMMENT ON FUNCTION cdp_internal.person_words(text, name[]) IS
'The names that cdp_internal.person_names() adds to a row, with the column that each is for.';

CREATE OR REPLACE FUNCTION cdp.subject_export(customer bigint) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.export(customer);
END
$$;
COMMENT ON FUNCTION cdp.subject_export(bigint) IS
'Everything that the database holds about a person, as one JSON document: ids, identifiers, the profile, and under tables every row of every table of cdp_data.personal_data, your own too, with names beside numbers; encrypted attributes are opened, times are UTC. Logged in cdp_data.audit, with the rows of each table. A document has at most 256 MB; above, cdp.subject_export_csv(). Errors: 42501 for others than the privacy role, 22023 no such customer, 54000 too large.';

CREATE OR REPLACE FUNCTION cdp.subject_export_csv(customer bigint) RETURNS TABLE (table_name text, part integer, csv text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY SELECT * FROM cdp_data.export_csv(customer);
END
$$;
COMMENT ON FUNCTION cdp.subject_export_csv(bigint) IS
'cdp.subject_export() as CSV (RFC 4180, with a header), a text for each table that has rows of the person, in parts of 50,000 rows. Logged. Errors: 42501 for others than the privacy role, 22023 no such customer.';
