-- Segment room: segments and their versions. Nothing is evaluated here: the next tick finds what changed. Rules are kept
-- canonical, and only those that the check finds no error in.

CREATE OR REPLACE FUNCTION cdp_internal.segment_of(name text, OUT segment_id integer, OUT purpose text, OUT channel text, OUT state text, OUT version integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT s.segment_id, s.purpose, s.channel, s.state, s.version INTO segment_id, purpose, channel, state, version
  FROM cdp_data.segment s WHERE s.name = segment_of.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no segment named "%"', left(coalesce(name, 'NULL'), 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT s.name FROM cdp_data.segment s WHERE s.state <> 'archived'),
        'SELECT name FROM cdp_data.segment; lists them.');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_of(text) IS
'The segment of that name. Errors: 42704 when there is none, with the nearest name; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.segment_users(name text) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(
    SELECT s.name FROM cdp_data.segment s JOIN cdp_data.segment_version v USING (segment_id, version)
    WHERE s.state <> 'archived' AND s.name <> segment_users.name
      AND EXISTS (SELECT FROM cdp_internal.rule_uses(v.rule) u WHERE u.what = 'segment' AND u.name = segment_users.name)
    ORDER BY s.name);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_users(text) IS 'Names of the segments, archived ones left out, whose rule names this one.';

CREATE OR REPLACE FUNCTION cdp_internal.sound_rule(rule jsonb, purpose text, self text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  canonical jsonb;
  f record;
BEGIN
  SELECT c.path, c.code, c.message, c.hint, count(*) OVER () AS n INTO f
  FROM cdp_internal.segment_check_as(sound_rule.rule, sound_rule.purpose, self, cdp_internal.segment_closed(cdp_internal.segment_catalog())) c
  WHERE c.severity = 'error' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '%', f.message
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('%s at %s; %s errors in all.', f.code, coalesce(nullif(f.path, ''), 'the top'), f.n),
        HINT = coalesce(nullif(f.hint, ''), 'cdp.segment_check(rule, purpose) tells them all.');
  END IF;
  canonical := cdp_internal.rule_canonical(rule);
  IF EXISTS (SELECT FROM cdp_internal.rule_uses(canonical) u WHERE u.what = 'rank' AND NOT EXISTS (SELECT FROM cdp_data.rank_threshold r WHERE r.rank = u.name)) THEN
    -- A new threshold is that of today's values: the next snapshot is taken at night.
    PERFORM cdp.refresh_profiles();
  END IF;
  PERFORM cdp_internal.refresh_rank(u.name, false) FROM cdp_internal.rule_uses(canonical) u WHERE u.what = 'rank';
  RETURN canonical;
END
$$;
COMMENT ON FUNCTION cdp_internal.sound_rule(jsonb, text, text) IS
'The canonical form of a rule that has no error for the purpose, with a snapshot of each rank that it names and that has none yet. Error 22023: the first finding of the check.';

CREATE OR REPLACE FUNCTION cdp.create_segment(name text, rule jsonb, purpose text, channel text DEFAULT '', description text DEFAULT '',
  state text DEFAULT 'active', owner text DEFAULT NULL, note text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
  word text := cdp_internal.consent_channel(channel);
  canonical jsonb;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('name of a segment', name, 200);
  PERFORM cdp_internal.require_choice('state of a new segment', state, '{draft,active,paused}');
  PERFORM cdp_internal.purpose_of(purpose);
  canonical := cdp_internal.sound_rule(rule, purpose, name);
  INSERT INTO cdp_data.segment AS s (name, description, purpose, channel, state, owner)
  VALUES (create_segment.name, coalesce(create_segment.description, ''), create_segment.purpose, word, create_segment.state, create_segment.owner)
  ON CONFLICT ON CONSTRAINT segment_name_key DO NOTHING RETURNING s.segment_id INTO id;
  IF id IS NULL THEN
    RAISE EXCEPTION 'there is a segment named "%" already', name
      USING ERRCODE = 'unique_violation', HINT = 'Give it another name, or change that one with cdp.edit_segment().';
  END IF;
  INSERT INTO cdp_data.segment_version (segment_id, version, rule, note) VALUES (id, 1, canonical, create_segment.note);
  PERFORM cdp_data.audit_write('segment', 'segment ' || name, NULL, jsonb_build_object('op', 'create', 'segment_id', id, 'purpose', purpose, 'channel', word, 'state', state));
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.create_segment(text, jsonb, text, text, text, text, text, text) IS
'Makes a segment: SELECT cdp.create_segment(''vip'', ''{"where": {"attr": "revenue", "gte": 300}}'', ''marketing'', ''email''). purpose (of cdp_data.purpose_all) says what its audience is used for: the rule may read only what it allows. state draft: not evaluated before cdp.activate_segment(). The next cdp.segment_tick() evaluates it. Returns segment_id. Needs the rights of the tables'' owner. Errors: 22023 the rule has an error (its code and path; cdp.segment_check() tells all), unknown purpose, bad channel or state; 23505 the name is taken; 55000 before cdp.setup().';
CREATE OR REPLACE FUNCTION cdp.create_segment(name text, rule text, purpose text, channel text DEFAULT '', description text DEFAULT '',
  state text DEFAULT 'active', owner text DEFAULT NULL, note text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp.create_segment(name, cdp_internal.read_rule(rule), purpose, channel, description, state, owner, note);
END
$$;
COMMENT ON FUNCTION cdp.create_segment(text, text, text, text, text, text, text, text) IS
'The same with the rule in its text form, or with JSON as text: SELECT cdp.create_segment(''vip'', ''revenue >= 300'', ''marketing'').';

CREATE OR REPLACE FUNCTION cdp.edit_segment(name text, rule jsonb, note text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s record := cdp_internal.segment_of(name);
  canonical jsonb;
  v integer;
BEGIN
  IF s.state <> 'archived' THEN
    -- Before the segment is held: it may wait for a run that holds profiles.
    canonical := cdp_internal.sound_rule(rule, s.purpose, name);
  END IF;
  PERFORM FROM cdp_data.segment x WHERE x.segment_id = s.segment_id FOR UPDATE;
  s := cdp_internal.segment_of(name);
  IF s.state = 'archived' OR canonical IS NULL THEN
    RAISE EXCEPTION 'segment "%" is archived', name USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Activate it first, or make a new one.';
  END IF;
  IF canonical = (SELECT x.rule FROM cdp_data.segment_version x WHERE x.segment_id = s.segment_id AND x.version = s.version) THEN
    RETURN s.version;
  END IF;
  SELECT max(x.version) + 1 INTO v FROM cdp_data.segment_version x WHERE x.segment_id = s.segment_id;
  INSERT INTO cdp_data.segment_version (segment_id, version, rule, note) VALUES (s.segment_id, v, canonical, edit_segment.note);
  UPDATE cdp_data.segment x SET version = v WHERE x.segment_id = s.segment_id;
  PERFORM cdp_data.audit_write('segment', 'segment ' || name, NULL, jsonb_build_object('op', 'edit', 'segment_id', s.segment_id, 'version', v));
  RETURN v;
END
$$;
COMMENT ON FUNCTION cdp.edit_segment(text, jsonb, text) IS
'Gives a segment a new rule as its next version, and returns its number; the same rule again changes nothing. The next tick evaluates it over everybody, with cause rule; until then its audience is closed. Errors: as cdp.create_segment(); 42704 no such segment, 55000 it is archived.';
CREATE OR REPLACE FUNCTION cdp.edit_segment(name text, rule text, note text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp.edit_segment(name, cdp_internal.read_rule(rule), note);
END
$$;
COMMENT ON FUNCTION cdp.edit_segment(text, text, text) IS 'The same with the rule in its text form, or with JSON as text.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_become(name text, becomes text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s record := cdp_internal.segment_of(name);
  gone record;
BEGIN
  IF becomes = 'archived' THEN
    -- Runs hold the same while they work: none of them writes members of it afterwards.
    PERFORM FROM cdp_data.profile_state FOR UPDATE;
  ELSIF becomes = 'active' AND s.state <> 'active' THEN
    -- What its rule names may have changed since. Asked before the segment is held, as by an edit.
    PERFORM cdp_internal.sound_rule(v.rule, s.purpose, name) FROM cdp_data.segment_version v WHERE v.segment_id = s.segment_id AND v.version = s.version;
  END IF;
  PERFORM FROM cdp_data.segment x WHERE x.segment_id = s.segment_id FOR UPDATE;
  s := cdp_internal.segment_of(name);
  IF s.state = becomes THEN
    RETURN;
  ELSIF becomes = 'archived' AND cdp_internal.segment_users(name) <> '{}' THEN
    RAISE EXCEPTION 'segment "%" is named by others', name
      USING ERRCODE = 'dependent_objects_still_exist', DETAIL = format('By %s.', array_to_string(cdp_internal.segment_users(name), ', ')), HINT = 'Archive or edit those first.';
  ELSIF becomes = 'active' THEN
    -- It is evaluated over everybody then, whatever it was last evaluated with.
    UPDATE cdp_data.segment_state t SET basis = '{}' WHERE t.segment_id = s.segment_id;
  ELSIF becomes = 'paused' AND s.state <> 'active' THEN
    RAISE EXCEPTION 'segment "%" is not active', name
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It is %s.', s.state), HINT = 'Only an active segment can be paused.';
  END IF;
  UPDATE cdp_data.segment x SET state = becomes WHERE x.segment_id = s.segment_id;
  IF becomes = 'archived' THEN
    PERFORM cdp_internal.segment_empty(s.segment_id);
  END IF;
  PERFORM cdp_data.audit_write('segment', 'segment ' || name, NULL, jsonb_build_object('op', becomes, 'segment_id', s.segment_id, 'was', s.state));
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_become(text, text) IS
'What cdp.activate_segment(), pause_segment() and archive_segment() do.';

CREATE OR REPLACE FUNCTION cdp.activate_segment(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.segment_become(name, 'active');
END
$$;
COMMENT ON FUNCTION cdp.activate_segment(text) IS
'Has a segment (draft, paused or archived) evaluated from the next tick on. Errors: 42704 no such segment, 22023 its rule no longer checks.';
CREATE OR REPLACE FUNCTION cdp.pause_segment(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.segment_become(name, 'paused');
END
$$;
COMMENT ON FUNCTION cdp.pause_segment(text) IS
'Leaves the members of an active segment as they are: ticks only follow merges and take out who was erased or refused analytics. Its audience is closed until it is active again. Errors: 42704 no such segment, 55000 it is not active.';
CREATE OR REPLACE FUNCTION cdp.archive_segment(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.segment_become(name, 'archived');
END
$$;
COMMENT ON FUNCTION cdp.archive_segment(text) IS
'Puts a segment away: its members leave now (cause manual), its versions and its history stay. Waits for a run that is under way. Errors: 42704 no such segment, 2BP01 other segments name it.';

CREATE OR REPLACE FUNCTION cdp_internal.rule_renamed(rule jsonb, was text, becomes text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE jsonb_typeof(rule)
    WHEN 'object' THEN (
      SELECT coalesce(jsonb_object_agg(e.key, CASE WHEN e.key = 'segment' AND e.value = to_jsonb(was) THEN to_jsonb(becomes) ELSE cdp_internal.rule_renamed(e.value, was, becomes) END), '{}')
      FROM jsonb_each(rule) e)
    WHEN 'array' THEN (SELECT coalesce(jsonb_agg(cdp_internal.rule_renamed(a.value, was, becomes) ORDER BY a.nth), '[]') FROM jsonb_array_elements(rule) WITH ORDINALITY AS a (value, nth))
    ELSE rule END;
END
$$;
COMMENT ON FUNCTION cdp_internal.rule_renamed(jsonb, text, text) IS 'A rule in which one segment has another name.';

CREATE OR REPLACE FUNCTION cdp.rename_segment(name text, new_name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s record := cdp_internal.segment_of(name);
BEGIN
  PERFORM cdp_internal.require_text('name of a segment', new_name, 200);
  IF name = new_name THEN
    RETURN;
  END IF;
  -- Not beside a run, which would note what segments stand on by their old names.
  PERFORM FROM cdp_data.profile_state FOR UPDATE;
  -- Whoever makes or edits a rule with the old name has ended then, or finds the new one: they hold a row of segment first.
  LOCK TABLE cdp_data.segment IN EXCLUSIVE MODE;
  LOCK TABLE cdp_data.segment_version IN SHARE ROW EXCLUSIVE MODE;
  IF EXISTS (SELECT FROM cdp_data.segment x WHERE x.name = new_name) THEN
    RAISE EXCEPTION 'there is a segment named "%" already', new_name USING ERRCODE = 'unique_violation', HINT = 'Give it another name.';
  END IF;
  UPDATE cdp_data.segment x SET name = new_name WHERE x.segment_id = s.segment_id;
  UPDATE cdp_data.segment_version v SET rule = cdp_internal.rule_renamed(v.rule, rename_segment.name, new_name)
  WHERE EXISTS (SELECT FROM cdp_internal.rule_uses(v.rule) u WHERE u.what = 'segment' AND u.name = rename_segment.name);
  -- The same segments by another name: nothing has to be evaluated.
  UPDATE cdp_data.segment_state t SET basis = b.basis
  FROM cdp_internal.segment_bases(ARRAY(SELECT x.segment_id FROM cdp_data.segment_state x WHERE x.basis -> 'segment' ? rename_segment.name)) b
  WHERE t.segment_id = b.segment_id AND t.basis - 'segment' = b.basis - 'segment'
    AND (t.basis -> 'segment') - rename_segment.name || jsonb_build_object(new_name, t.basis -> 'segment' -> rename_segment.name) = b.basis -> 'segment';
  PERFORM cdp_data.audit_write('segment', 'segment ' || name, NULL, jsonb_build_object('op', 'rename', 'segment_id', s.segment_id, 'to', new_name));
END
$$;
COMMENT ON FUNCTION cdp.rename_segment(text, text) IS
'Gives a segment another name, in the rules that name it, too. Members and history stay. Waits for a run that is under way. Errors: 42704 no such segment, 23505 the name is taken, 22023 an empty or too long name.';

CREATE OR REPLACE FUNCTION cdp_internal.rank_values(atom jsonb) RETURNS TABLE (customer_id bigint, value numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  entry jsonb;
  hook text;
BEGIN
  IF atom -> 'rank' ? 'trait' THEN
    hook := (SELECT f FROM cdp_internal.room_functions('segment_values_of_trait', 1) f);
    IF hook IS NOT NULL THEN
      RETURN QUERY EXECUTE format('SELECT v.customer_id, v.value FROM cdp_internal.%I($1) AS v (customer_id, value)', hook) USING atom #>> '{rank,trait}';
    END IF;
    RETURN;
  END IF;
  entry := cdp_internal.segment_attributes() -> (atom #>> '{rank,attr}');
  RETURN QUERY EXECUTE CASE WHEN entry ? 'column'
    THEN format('SELECT p.customer_id, p.%I::numeric FROM cdp_data.profile p WHERE p.%1$I IS NOT NULL', entry ->> 'column')
    ELSE format('SELECT p.customer_id, CASE WHEN jsonb_typeof(p.%I -> $1) = ''number'' THEN (p.%1$I ->> $1)::numeric END FROM cdp_data.profile p WHERE jsonb_typeof(p.%1$I -> $1) = ''number''', entry ->> 'json') END
  USING atom #>> '{rank,attr}';
END
$$;
COMMENT ON FUNCTION cdp_internal.rank_values(jsonb) IS
'Customers with the value that a rank is about: an attribute as it is in cdp_data.profile, or a trait (cdp_internal.segment_values_of_trait(name) of the part that computes traits). Customers without a value have no row.';

CREATE OR REPLACE FUNCTION cdp_internal.rank_limit(atom jsonb, OUT threshold numeric, OUT customers bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  population bytea := cdp_internal.segment_population();
  word text := coalesce(atom ->> 'top', atom ->> 'bottom');
BEGIN
  SELECT count(*) INTO customers FROM cdp_internal.rank_values(atom) v WHERE v.customer_id IN (SELECT cdp.roaring_ids(population));
  -- A share of n customers is the least number of them that is not below it.
  SELECT v.value INTO threshold FROM cdp_internal.rank_values(atom) v WHERE v.customer_id IN (SELECT cdp.roaring_ids(population))
  ORDER BY CASE WHEN atom ? 'top' THEN -v.value ELSE v.value END
  OFFSET greatest(0, least(customers, CASE WHEN word LIKE '%\%' THEN ceil(customers * rtrim(word, '% ')::numeric / 100) ELSE word::numeric END)::bigint - 1) LIMIT 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.rank_limit(jsonb) IS
'The last value that is in the top or bottom of a rank now, over those who have a value and may be used for analytics, and how many they are. threshold NULL: nobody.';

CREATE OR REPLACE FUNCTION cdp_internal.refresh_rank(rank text, again boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  l record;
BEGIN
  IF NOT again AND EXISTS (SELECT FROM cdp_data.rank_threshold r WHERE r.rank = refresh_rank.rank) THEN
    RETURN false;
  END IF;
  l := cdp_internal.rank_limit(rank::jsonb);
  INSERT INTO cdp_data.rank_threshold AS r (rank, atom, threshold, customers, as_of) VALUES (refresh_rank.rank, refresh_rank.rank::jsonb, l.threshold, l.customers, now())
  ON CONFLICT ON CONSTRAINT rank_threshold_pkey DO UPDATE SET threshold = excluded.threshold, customers = excluded.customers, as_of = excluded.as_of;
  RETURN true;
END
$$;
COMMENT ON FUNCTION cdp_internal.refresh_rank(text, boolean) IS
'Takes the snapshot of a rank (canonical text of its atom); again false: only when there is none. Returns whether it did.';

CREATE OR REPLACE FUNCTION cdp.refresh_ranks() RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp.refresh_profiles() WHERE EXISTS (SELECT FROM cdp_data.rank_threshold);
  WITH used AS (
    SELECT DISTINCT u.name FROM cdp_data.segment s JOIN cdp_data.segment_version v USING (segment_id, version) CROSS JOIN LATERAL cdp_internal.rule_uses(v.rule) u
    WHERE s.state <> 'archived' AND u.what = 'rank'
  ), gone AS (
    DELETE FROM cdp_data.rank_threshold r WHERE NOT EXISTS (SELECT FROM used u WHERE u.name = r.rank)
  )
  SELECT count(*) INTO n FROM (SELECT cdp_internal.refresh_rank(u.name, true) FROM used u ORDER BY u.name) x;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp.refresh_ranks() IS
'Takes a new snapshot of the threshold of every rank that a rule names, and drops those that none does. Segments whose threshold changed are evaluated anew by the next tick. Returns how many there are. The job list runs it nightly. Needs the rights of the tables'' owner.';
