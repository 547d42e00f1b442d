-- Identity room, ingestion: groups of customers, pages and screens.

CREATE OR REPLACE FUNCTION cdp_internal.group_write(
  load_id bigint, source_id integer, group_key text, identifier_id bigint, traits jsonb, at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id bigint;
BEGIN
  SELECT g.group_id INTO id FROM cdp_data.customer_group g WHERE g.source_id = group_write.source_id AND g.group_key = group_write.group_key;
  IF NOT FOUND THEN
    INSERT INTO cdp_data.customer_group (source_id, group_key) VALUES (group_write.source_id, group_write.group_key)
    ON CONFLICT ON CONSTRAINT customer_group_once DO NOTHING;
    SELECT g.group_id INTO STRICT id FROM cdp_data.customer_group g WHERE g.source_id = group_write.source_id AND g.group_key = group_write.group_key;
  END IF;
  INSERT INTO cdp_data.group_member AS m (group_id, identifier_id, load_id, first_at, last_at)
  VALUES (id, group_write.identifier_id, group_write.load_id, at, at)
  ON CONFLICT ON CONSTRAINT group_member_pkey DO UPDATE SET first_at = least(m.first_at, excluded.first_at), last_at = greatest(m.last_at, excluded.last_at)
  WHERE excluded.first_at < m.first_at OR excluded.last_at > m.last_at;
  IF EXISTS (SELECT FROM jsonb_object_keys(traits) k WHERE octet_length(k) > 800) THEN
    RAISE EXCEPTION 'the name of a trait has more than 800 bytes' USING ERRCODE = 'invalid_parameter_value', HINT = 'Put long texts into the value.';
  END IF;
  -- Each trait has its own time: a late message may bring one up to date and be behind with another.
  INSERT INTO cdp_data.group_trait AS t (group_id, load_id, trait, observed_at, value)
  SELECT id, group_write.load_id, e.key, at, e.value FROM jsonb_each(traits) e ORDER BY e.key COLLATE "C"
  ON CONFLICT ON CONSTRAINT group_trait_pkey DO UPDATE SET observed_at = excluded.observed_at, value = excluded.value
  WHERE excluded.observed_at > t.observed_at
    OR (excluded.observed_at = t.observed_at AND excluded.value::text COLLATE "C" < t.value::text COLLATE "C");
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.group_write(bigint, integer, text, bigint, jsonb, timestamptz) IS
'Notes that an identifier belongs to a group of a source, and what is known of the group. Returns group_id. Errors: 22023 the name of a trait is too long.';

CREATE OR REPLACE FUNCTION cdp.group(
  source text, identifiers jsonb, group_id text, traits jsonb DEFAULT '{}', occurred_at timestamptz DEFAULT now(), message_id text DEFAULT NULL,
  OUT customer_id bigint, OUT status text, OUT created boolean, OUT merged bigint[], OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  c record;
  w record;
  key text := cdp_internal.parse_key(cdp_internal.said_key(group_id));
BEGIN
  PERFORM cdp_internal.require_setup();
  IF key IS NULL THEN
    RAISE EXCEPTION 'group_id must have 1 to 800 bytes, and be no word such as null' USING ERRCODE = 'invalid_parameter_value', HINT = 'It is the key of the company, team or household in the source.';
  ELSIF jsonb_typeof(coalesce(traits, '{}')) <> 'object' OR octet_length(traits::text) > 1048576 THEN
    RAISE EXCEPTION 'traits of a group must be a JSON object of at most 1 MB' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  c := cdp_internal.call_read(source, identifiers, occurred_at, message_id);
  w := cdp_internal.record_in('group', c, '{}');
  IF w.status = 'written' THEN
    PERFORM cdp_internal.group_write(w.load_id, c.source_id, key, w.identifier_id, coalesce(traits, '{}'), c.at);
  END IF;
  SELECT w.customer_id, w.status, w.created, w.merged, w.refused INTO customer_id, status, created, merged, refused;
END
$$;
COMMENT ON FUNCTION cdp.group(text, jsonb, text, jsonb, timestamptz, text) IS
'Tells that somebody belongs to a company, team or household: SELECT * FROM cdp.group(''app'', ''{"user_id": "7"}'', ''acme'', ''{"industry": "toys"}''). traits are the group''s; of each the latest by occurred_at counts, of two at one moment the lesser by the bytes of its text. See cdp.customer_groups(). Returns and errors as cdp.identify().';

CREATE OR REPLACE FUNCTION cdp_internal.group_rows(customer bigint)
RETURNS TABLE (group_id bigint, source text, group_key text, first_at timestamptz, last_at timestamptz, traits jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  SELECT g.group_id, s.name, g.group_key, x.first_at, x.last_at, coalesce((
    SELECT jsonb_object_agg(k.trait, k.value)
    FROM (SELECT DISTINCT ON (t.trait) t.trait, t.value FROM cdp_data.group_trait t JOIN cdp_data.load d USING (load_id)
          WHERE t.group_id = g.group_id AND d.state = 'done' ORDER BY t.trait, t.observed_at DESC, t.value::text COLLATE "C") k), '{}')
  FROM (
    SELECT m.group_id, min(m.first_at) AS first_at, max(m.last_at) AS last_at
    FROM cdp_internal.members(cdp_internal.root_of(customer)) i JOIN cdp_data.group_member m USING (identifier_id) JOIN cdp_data.load d USING (load_id)
    WHERE d.state = 'done' GROUP BY m.group_id) x
    JOIN cdp_data.customer_group g USING (group_id) JOIN cdp_data.source s USING (source_id)
  ORDER BY x.last_at DESC, g.group_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.group_rows(bigint) IS
'The rows of cdp.customer_groups(), without a trace in the audit: for functions that leave their own.';

CREATE OR REPLACE FUNCTION cdp.customer_groups(customer_id bigint)
RETURNS TABLE (group_id bigint, source text, group_key text, first_at timestamptz, last_at timestamptz, traits jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT * FROM cdp_internal.group_rows(customer_groups.customer_id);
  PERFORM cdp_internal.audit_read('customer_groups', cdp_internal.root_of(customer_groups.customer_id));
END
$$;
COMMENT ON FUNCTION cdp.customer_groups(bigint) IS
'The groups of a customer (any id of it), the latest first: since when and until when loads in force showed it there, and what is known of the group: of each trait the value said last, whichever load said it. No row for nobody. The read leaves a row in cdp_data.audit. Error 25006: in a read-only transaction.';

CREATE OR REPLACE FUNCTION cdp.page(
  source text, identifiers jsonb, name text DEFAULT NULL, properties jsonb DEFAULT '{}', occurred_at timestamptz DEFAULT now(), message_id text DEFAULT NULL,
  origin jsonb DEFAULT '{}', OUT customer_id bigint, OUT touchpoint_id bigint, OUT status text, OUT created boolean, OUT merged bigint[], OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT t.customer_id, t.touchpoint_id, t.status, t.created, t.merged, t.refused INTO customer_id, touchpoint_id, status, created, merged, refused
  FROM cdp.track(source, 'page_view', identifiers, CASE WHEN page.name IS NULL THEN properties ELSE jsonb_build_object('name', page.name) || coalesce(properties, '{}') END,
    occurred_at, message_id, origin => origin) t;
END
$$;
COMMENT ON FUNCTION cdp.page(text, jsonb, text, jsonb, timestamptz, text, jsonb) IS
'Tells that somebody saw a page (or a screen of an app): a touchpoint of kind page_view, with the page''s name among the properties. Otherwise as cdp.track().';
