-- Segment room: what rules may speak of. The catalogue tells the compiler of rules what names mean today; the basis
-- tells a run whether that has changed since the last one.

CREATE OR REPLACE FUNCTION cdp_internal.segment_attributes() RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  levels constant text[] := '{internal,personal,sensitive}';
BEGIN
  RETURN (
    WITH own AS (
      SELECT a.name::text AS name, jsonb_strip_nulls(jsonb_build_object('type', a.data_type, 'purposes', to_jsonb(a.allowed_purposes), 'encrypted', CASE WHEN a.encrypted THEN true END)
        -- As cdp_internal.profile_store() has it: what does not fit its column stands among the others.
        || CASE WHEN b.name IS NOT NULL THEN jsonb_build_object('column', b.name)
             ELSE jsonb_build_object('json', CASE WHEN a.sensitivity = 'internal' THEN 'attributes' ELSE 'personal_attributes' END) END) AS entry
      FROM cdp_data.attribute_all a
        LEFT JOIN cdp.attribute_builtin() b ON b.name = a.name AND b.data_type = a.data_type AND NOT a.encrypted
          AND array_position(levels, a.sensitivity) <= array_position(levels, b.sensitivity)
    ), figure AS (
      SELECT v.name, jsonb_strip_nulls(jsonb_build_object('type', v.type, 'column', v.name, 'purposes', CASE v.name WHEN 'birth_year' THEN
        (SELECT to_jsonb(a.allowed_purposes) FROM cdp_data.attribute_all a WHERE a.name = 'birthday') END)) AS entry
      FROM (VALUES ('first_seen'::text, 'timestamp'::text), ('last_seen', 'timestamp'), ('touches', 'integer'), ('conversions', 'integer'), ('orders', 'integer'),
        ('refunds', 'integer'), ('revenue', 'numeric'), ('average_order', 'numeric'), ('birth_year', 'integer')) AS v (name, type)
      WHERE NOT EXISTS (SELECT FROM own o WHERE o.name = v.name)
    )
    SELECT jsonb_object_agg(x.name, x.entry) FROM (SELECT * FROM own UNION ALL SELECT * FROM figure) x);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_attributes() IS
'The attributes that rules may name: {"name": {"type", "column" (of cdp_data.profile) or "json" (its column of other attributes), "purposes" (absent: every one), "encrypted"}}: those of cdp_data.attribute_all and the figures of profiles (first_seen, last_seen, touches, conversions, orders, refunds, revenue, average_order, birth_year).';

CREATE OR REPLACE FUNCTION cdp_internal.segment_kinds() RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- What the planner knows of the table and its partitions: a look into them would read all of them for a kind that never
  -- came. NULL: it knows nothing yet.
  seen smallint[] := (
    SELECT array_agg(k) FROM pg_stats s CROSS JOIN LATERAL unnest(s.most_common_vals::text::smallint[] || s.histogram_bounds::text::smallint[]) k
    WHERE s.schemaname = 'cdp_data' AND s.attname = 'kind_id'
      AND (s.tablename = 'touchpoint' AND s.inherited
        OR s.tablename IN (SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'cdp_data.touchpoint'::regclass)));
BEGIN
  RETURN (
    SELECT jsonb_object_agg(k.name, jsonb_strip_nulls(jsonb_build_object('id', k.kind_id, 'seen', CASE WHEN seen IS NULL THEN true ELSE k.kind_id = ANY (seen) END,
      'purposes', to_jsonb(k.allowed_purposes), 'properties', (
        -- A property is never freer than its kind.
        SELECT jsonb_object_agg(r.key, jsonb_strip_nulls(jsonb_build_object('purposes',
          CASE WHEN k.allowed_purposes IS NULL OR r.allowed_purposes IS NULL THEN to_jsonb(coalesce(r.allowed_purposes, k.allowed_purposes))
            ELSE (SELECT coalesce(jsonb_agg(p ORDER BY p), '[]') FROM unnest(r.allowed_purposes) p WHERE p = ANY (k.allowed_purposes)) END)))
        FROM cdp_data.property_rule r WHERE r.kind_id = k.kind_id))))
    FROM cdp_data.touch_kind_all k);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_kinds() IS
'The kinds of touchpoints that rules may name: {"name": {"id", "seen" (false: the planner''s statistics of touchpoints know none, or next to none), "purposes", "properties": {"key": {"purposes"}}}}; purposes absent: every one.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_closed(catalog jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  listed boolean := (SELECT s.property_policy = 'listed' FROM cdp_data.setting s);
BEGIN
  RETURN catalog || jsonb_build_object('kinds', (
    SELECT jsonb_object_agg(k.key, CASE WHEN listed OR k.value ? 'properties' THEN '{"properties": {}}'::jsonb || k.value || '{"closed": true}' ELSE k.value END)
    FROM jsonb_each(catalog -> 'kinds') k));
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_closed(jsonb) IS
'A catalogue of cdp_internal.segment_catalog() in which kinds whose properties are listed (cdp_data.property_rule, cdp_data.setting.property_policy) have no others. For rules that somebody writes now: a list that came later breaks no segment, whose events of before may still have them.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_words(origins boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT origins THEN
    RETURN jsonb_build_object(
      'channels', (SELECT coalesce(jsonb_object_agg(c.name, '[]'::jsonb), '{}') FROM cdp_data.channel_all c),
      'channel_groups', (SELECT coalesce(jsonb_object_agg(c.channel_group, '[]'::jsonb), '{}') FROM cdp_data.channel_all c),
      'campaigns', (SELECT coalesce(jsonb_object_agg(n.name, '{"ids": [], "origins": []}'::jsonb), '{}') FROM (
        SELECT g.name FROM cdp_data.campaign g UNION SELECT o.campaign FROM cdp_data.origin o WHERE o.campaign <> '') n));
  END IF;
  RETURN (
    WITH mapped AS MATERIALIZED (
      SELECT o.origin_id, o.channel, o.channel_group FROM cdp_bi.origin_channel o
    ), channel AS (
      SELECT c.name, coalesce(jsonb_agg(m.origin_id ORDER BY m.origin_id) FILTER (WHERE m.origin_id IS NOT NULL), '[]') AS ids
      FROM cdp_data.channel_all c LEFT JOIN mapped m ON m.channel = c.name GROUP BY c.name
    ), grouped AS (
      SELECT c.channel_group, coalesce(jsonb_agg(m.origin_id ORDER BY m.origin_id) FILTER (WHERE m.origin_id IS NOT NULL), '[]') AS ids
      FROM (SELECT DISTINCT x.channel_group FROM cdp_data.channel_all x) c LEFT JOIN mapped m ON m.channel_group = c.channel_group GROUP BY c.channel_group
    ), campaign AS (
      SELECT coalesce(g.name, o.campaign) AS name, CASE WHEN g.campaign_id IS NULL THEN '[]' ELSE jsonb_build_array(g.campaign_id) END AS ids,
        coalesce(o.ids, '[]') AS origins
      FROM cdp_data.campaign g FULL JOIN (
        SELECT x.campaign, jsonb_agg(x.origin_id ORDER BY x.origin_id) AS ids FROM cdp_data.origin x WHERE x.campaign <> '' GROUP BY x.campaign) o ON o.campaign = g.name
    )
    SELECT jsonb_build_object(
      'channels', (SELECT coalesce(jsonb_object_agg(c.name, c.ids), '{}') FROM channel c),
      'channel_groups', (SELECT coalesce(jsonb_object_agg(c.channel_group, c.ids), '{}') FROM grouped c),
      'campaigns', (SELECT coalesce(jsonb_object_agg(c.name, jsonb_build_object('ids', c.ids, 'origins', c.origins)), '{}') FROM campaign c)));
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_words(boolean) IS
'Channels, channel groups and campaigns that rules may name, with the ids of their origins (and of campaigns); origins false: the names only, for a check.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_hook(what text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  name text := (SELECT f FROM cdp_internal.room_functions('segment_catalog_of_' || what, 0) f);
  told jsonb;
BEGIN
  IF name IS NOT NULL THEN
    EXECUTE format('SELECT cdp_internal.%I()', name) INTO told;
  END IF;
  RETURN coalesce(told, '{}');
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_hook(text) IS
'What a part of the room adds to the catalogue: the JSON object of cdp_internal.segment_catalog_of_<what>(), {} without such a function.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_catalog(purpose text DEFAULT NULL, self text DEFAULT NULL, origins boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.segment_words(origins) || jsonb_build_object(
    'timezone', (SELECT s.timezone FROM cdp_data.setting s), 'purpose', purpose, 'self', self,
    'attributes', cdp_internal.segment_attributes(), 'kinds', cdp_internal.segment_kinds(),
    'sources', (SELECT coalesce(jsonb_object_agg(s.name, s.source_id), '{}') FROM cdp_data.source s),
    'segments', (SELECT coalesce(jsonb_object_agg(s.name, jsonb_build_object('id', s.segment_id, 'uses', (
        SELECT coalesce(jsonb_agg(u.name ORDER BY u.name), '[]') FROM cdp_internal.rule_uses(v.rule) u WHERE u.what = 'segment'))), '{}')
      FROM cdp_data.segment s JOIN cdp_data.segment_version v USING (segment_id, version)
      WHERE s.state <> 'archived'),
    'lists', (SELECT coalesce(jsonb_object_agg(l.name, jsonb_build_object('id', l.list_id)), '{}') FROM cdp_data.segment_list l),
    'traits', cdp_internal.segment_hook('traits'), 'holdouts', cdp_internal.segment_hook('holdouts'),
    'ranks', (SELECT coalesce(jsonb_object_agg(r.rank, (r.atom -> 'rank') || jsonb_build_object(CASE WHEN r.atom ? 'top' THEN 'gte' ELSE 'lte' END, r.threshold)), '{}') FROM cdp_data.rank_threshold r),
    'purposes', (SELECT jsonb_agg(p.name ORDER BY p.name) FROM cdp_data.purpose_all p));
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_catalog(text, text, boolean) IS
'All names that a rule may use today, for cdp_internal.rule_check() and rule_plan(). purpose: for which the rule is to be used (NULL: nothing is refused for its purpose); self: name of the segment that the rule is to be of; origins: with the ids of origins, which a plan needs and a check does not. Reads only.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_basis(origins boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.profile_basis() || jsonb_build_object(
    'timezone', (SELECT s.timezone FROM cdp_data.setting s),
    'words', (SELECT md5(concat_ws(E'\n',
      (SELECT string_agg(ROW(k.kind_id, k.name, k.allowed_purposes)::text, ',' ORDER BY k.kind_id) FROM cdp_data.touch_kind_all k),
      (SELECT string_agg(ROW(r.kind_id, r.key, r.allowed_purposes)::text, ',' ORDER BY r.kind_id, r.key) FROM cdp_data.property_rule r),
      (SELECT string_agg(ROW(a.attribute_id, a.name, a.allowed_purposes)::text, ',' ORDER BY a.attribute_id) FROM cdp_data.attribute_all a),
      (SELECT string_agg(ROW(p.purpose_id, p.name, p.rule)::text, ',' ORDER BY p.purpose_id) FROM cdp_data.purpose_all p)))),
    -- An erasure takes words out of origins, which others may have come by, too; a channel gets another name or group.
    'origins', CASE WHEN origins THEN md5(concat_ws(E'\n', (SELECT count(*) FROM cdp_data.origin o WHERE o.qr_scene LIKE '%(erased %'),
      (SELECT string_agg(ROW(c.channel_id, c.name, c.channel_group)::text, ',' ORDER BY c.channel_id) FROM cdp_data.channel_all c))) END);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_basis(boolean) IS
'What every rule stands on beside the facts: cdp_internal.profile_basis(), the time zone of reports, and names and purposes of kinds, properties and attributes, and rules of purposes, as digests. origins: some rule names a channel or a campaign.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_closure(ids integer[]) RETURNS TABLE (segment_id integer, used_id integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  WITH RECURSIVE direct AS MATERIALIZED (
    SELECT s.segment_id AS id, o.segment_id AS used
    FROM cdp_data.segment s JOIN cdp_data.segment_version v ON v.segment_id = s.segment_id AND v.version = s.version
      CROSS JOIN LATERAL cdp_internal.rule_uses(v.rule) u JOIN cdp_data.segment o ON o.name = u.name
    WHERE u.what = 'segment' AND s.state <> 'archived'
  ), reach (id, used) AS (
    SELECT i, i FROM unnest(ids) i
    UNION
    SELECT r.id, d.used FROM reach r JOIN direct d ON d.id = r.used
  )
  SELECT r.id, r.used FROM reach r;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_closure(integer[]) IS
'For each of these segments itself and all that its rule names, directly or through others.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_bases(ids integer[]) RETURNS TABLE (segment_id integer, version integer, basis jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  traits jsonb := cdp_internal.segment_hook('traits');
  holdouts jsonb := cdp_internal.segment_hook('holdouts');
BEGIN
  RETURN QUERY
  WITH named AS (
    SELECT DISTINCT c.segment_id AS id, u.what, u.name
    FROM cdp_internal.segment_closure(ids) c JOIN cdp_data.segment o ON o.segment_id = c.used_id
      JOIN cdp_data.segment_version v ON v.segment_id = o.segment_id AND v.version = o.version CROSS JOIN LATERAL cdp_internal.rule_uses(v.rule) u
    WHERE u.what IN ('segment', 'list', 'rank', 'trait', 'holdout', 'source', 'campaign')
  ), told AS (
    SELECT n.id, n.what, jsonb_object_agg(n.name, CASE n.what
      WHEN 'segment' THEN (SELECT to_jsonb(s.version) FROM cdp_data.segment s WHERE s.name = n.name)
      WHEN 'list' THEN (SELECT to_jsonb(l.version) FROM cdp_data.segment_list l WHERE l.name = n.name)
      WHEN 'rank' THEN (SELECT to_jsonb(r.threshold) FROM cdp_data.rank_threshold r WHERE r.rank = n.name)
      WHEN 'source' THEN (SELECT to_jsonb(s.source_id) FROM cdp_data.source s WHERE s.name = n.name)
      WHEN 'campaign' THEN (SELECT to_jsonb(g.campaign_id) FROM cdp_data.campaign g WHERE g.name = n.name)
      WHEN 'trait' THEN traits -> n.name ELSE holdouts -> n.name END) AS entries
    FROM named n GROUP BY n.id, n.what
  )
  SELECT s.segment_id, s.version, jsonb_build_object('version', s.version, 'purpose', s.purpose)
    || coalesce((SELECT jsonb_object_agg(t.what, t.entries) FROM told t WHERE t.id = s.segment_id), '{}')
  FROM cdp_data.segment s WHERE s.segment_id = ANY (ids);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_bases(integer[]) IS
'What the members of each of these segments stand on beside the facts, as in cdp_data.segment_state.basis.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_pointer(rule jsonb, name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    WITH RECURSIVE node (path, value) AS (
      SELECT '', rule
      UNION ALL
      SELECT n.path || x.step, x.value
      FROM node n CROSS JOIN LATERAL (
        SELECT cdp_internal.json_pointer(e.key) AS step, e.value FROM jsonb_each(CASE jsonb_typeof(n.value) WHEN 'object' THEN n.value END) e
        UNION ALL
        SELECT '/' || (a.nth - 1), a.value FROM jsonb_array_elements(CASE jsonb_typeof(n.value) WHEN 'array' THEN n.value END) WITH ORDINALITY AS a (value, nth)) x
    )
    SELECT n.path || '/segment' FROM node n WHERE jsonb_typeof(n.value) = 'object' AND n.value ->> 'segment' = name ORDER BY n.path LIMIT 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_pointer(jsonb, text) IS
'JSON Pointer to the first place where a rule names the segment; NULL when it does not.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_check_as(rule jsonb, purpose text, self text, names jsonb DEFAULT NULL) RETURNS TABLE (path text, code text, severity text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  catalog jsonb := coalesce(names, cdp_internal.segment_catalog()) || jsonb_build_object('purpose', purpose, 'self', self);
  bad boolean := false;
BEGIN
  FOR path, code, severity, message, hint IN SELECT c.* FROM cdp_internal.rule_check(segment_check_as.rule, catalog) c LOOP
    bad := bad OR severity = 'error';
    RETURN NEXT;
  END LOOP;
  IF purpose IS NULL OR bad THEN
    RETURN;
  END IF;
  -- Nor may it read, through a segment that it names, what it may not read itself.
  RETURN QUERY
  SELECT coalesce(cdp_internal.segment_pointer(segment_check_as.rule, d.name), ''), c.code, c.severity, format('through segment "%s": %s', o.name, c.message), c.hint
  FROM cdp_internal.rule_uses(segment_check_as.rule) d JOIN cdp_data.segment s ON s.name = d.name
    CROSS JOIN LATERAL cdp_internal.segment_closure(ARRAY[s.segment_id]) u JOIN cdp_data.segment o ON o.segment_id = u.used_id
    JOIN cdp_data.segment_version v ON v.segment_id = o.segment_id AND v.version = o.version
    CROSS JOIN LATERAL cdp_internal.rule_check(v.rule, catalog || jsonb_build_object('self', o.name)) c
  WHERE d.what = 'segment' AND c.code = 'E_PURPOSE'
  ORDER BY 1, 4;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_check_as(jsonb, text, text, jsonb) IS
'cdp.segment_check() of a rule for a purpose (NULL: none) as the one of a segment (NULL: of none). names: cdp_internal.segment_catalog(), for who checks many; NULL: it is made.';

CREATE OR REPLACE FUNCTION cdp_internal.read_rule(rule text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN rule ~ '^\s*[{]' THEN rule::jsonb ELSE cdp.segment_rule(rule) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.read_rule(text) IS
'A rule from text: JSON when it begins with a brace, else the text form. NULL for NULL. Errors: 22P02 no JSON, 42601 not the text form.';

CREATE OR REPLACE FUNCTION cdp.segment_check(rule jsonb, purpose text DEFAULT NULL) RETURNS TABLE (path text, code text, severity text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  IF purpose IS NOT NULL THEN
    PERFORM cdp_internal.purpose_of(purpose);
  END IF;
  RETURN QUERY SELECT * FROM cdp_internal.segment_check_as(segment_check.rule, segment_check.purpose, NULL, cdp_internal.segment_closed(cdp_internal.segment_catalog()));
END
$$;
COMMENT ON FUNCTION cdp.segment_check(jsonb, text) IS
'All that is wrong or doubtful with a rule, at once: path (JSON Pointer), code, severity (error or warning), message, hint. purpose: for which it is to be used; what may not be used for it is E_PURPOSE, also when another segment that the rule names reads it. No row: it is sound. Error 22023: unknown purpose.';
CREATE OR REPLACE FUNCTION cdp.segment_check(rule text, purpose text DEFAULT NULL) RETURNS TABLE (path text, code text, severity text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  form jsonb;
  place text;
BEGIN
  PERFORM cdp_internal.require_setup();
  BEGIN
    form := cdp_internal.read_rule(segment_check.rule);
  EXCEPTION WHEN syntax_error OR invalid_text_representation OR program_limit_exceeded OR statement_too_complex THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, place = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    path := '';
    code := CASE SQLSTATE WHEN '54000' THEN 'E_SIZE' WHEN '54001' THEN 'E_DEPTH' ELSE 'E_SYNTAX' END;
    severity := 'error';
    message := concat_ws(': ', message, lower(left(place, 1)) || rtrim(substr(place, 2), '.'));
    RETURN NEXT;
    RETURN;
  END;
  RETURN QUERY SELECT * FROM cdp.segment_check(form, segment_check.purpose);
END
$$;
COMMENT ON FUNCTION cdp.segment_check(text, text) IS
'The same of a rule in its text form, or of JSON as text. A text that can not be read is E_SYNTAX (too long or too deep: E_SIZE, E_DEPTH) with line, column and offset in the message; paths are those of the JSON that it becomes.';
