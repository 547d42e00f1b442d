-- Core room: cdp.setup() and what it stands on.
-- Members only: nothing here may need a table of cdp_data before setup() has made it.

CREATE OR REPLACE FUNCTION cdp_internal.setup_objects() RETURNS SETOF text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
  -- Everything that setup() can make, by name. Partitions come and go by themselves, so they are left out, but for the default one.
  WITH ours AS (
    SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname IN ('cdp_data', 'cdp_bi', 'cdp_api')
  ), rel AS (
    SELECT c.oid, c.relkind, o.nspname || '.' || c.relname AS name
    FROM pg_catalog.pg_class c JOIN ours o ON o.oid = c.relnamespace
    WHERE NOT c.relispartition OR (o.nspname = 'cdp_data' AND c.relname = 'touchpoint_default')
  )
  SELECT 'schema ' || o.nspname FROM ours o
  UNION ALL
  SELECT CASE r.relkind WHEN 'r' THEN 'table ' WHEN 'p' THEN 'table ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'view '
           WHEN 'i' THEN 'index ' WHEN 'I' THEN 'index ' WHEN 'S' THEN 'sequence ' WHEN 'c' THEN 'type ' ELSE 'relation ' END || r.name
  FROM rel r
  UNION ALL
  SELECT v.kind || r.name || '.' || a.attname
  FROM rel r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN (VALUES ('column '), ('default ')) AS v (kind)
  WHERE r.relkind IN ('r', 'p') AND (v.kind = 'column ' OR a.atthasdef)
  UNION ALL
  SELECT 'constraint ' || r.name || '.' || k.conname
  FROM rel r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
  UNION ALL
  SELECT 'policy ' || r.name || '.' || p.polname FROM rel r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
  UNION ALL
  SELECT 'trigger ' || r.name || '.' || t.tgname
  FROM rel r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
  UNION ALL
  SELECT 'function ' || o.nspname || '.' || p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')'
  FROM pg_catalog.pg_proc p JOIN ours o ON o.oid = p.pronamespace;
END;
COMMENT ON FUNCTION cdp_internal.setup_objects() IS
'Names of everything in the schemas cdp_data, cdp_bi and cdp_api (partitions excepted, but for the default one), one row each. cdp.setup() compares it with what its steps made.';

CREATE OR REPLACE FUNCTION cdp_internal.setup_pending()
RETURNS TABLE (nth bigint, room text, step text, body text, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  present text[];
BEGIN
  IF to_regclass('cdp_data.setup_step') IS NULL THEN
    RETURN QUERY SELECT s.ordinality, s.room, s.step, s.body, 'new'
    FROM cdp_internal.setup_script() WITH ORDINALITY s;
    RETURN;
  END IF;
  present := ARRAY(SELECT cdp_internal.setup_objects());
  RETURN QUERY
  SELECT p.ordinality, p.room, p.step, p.body, p.why
  FROM (
    SELECT s.ordinality, s.room, s.step, s.body,
      CASE
        WHEN d.md5 IS NULL THEN 'new'
        WHEN d.md5 <> md5(s.body) THEN 'changed'
        WHEN EXISTS (SELECT FROM unnest(d.objects) o WHERE o <> ALL (present)) THEN 'missing: '
          || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(d.objects) o WHERE o <> ALL (present))
        -- A step without objects leaves no trace to compare; it is cheap and repeatable.
        WHEN d.objects = '{}' THEN 'repeated'
      END AS why
    FROM cdp_internal.setup_script() WITH ORDINALITY s
      LEFT JOIN cdp_data.setup_step d ON d.room = s.room AND d.step = s.step
  ) p
  WHERE p.why IS NOT NULL
  ORDER BY p.ordinality;
END
$$;
COMMENT ON FUNCTION cdp_internal.setup_pending() IS
'The steps that cdp.setup() would run now, in order, with their SQL and the reason: new, changed (by a release), missing (objects that are gone, by DROP EXTENSION CASCADE for one), repeated (a step that makes no object).';

CREATE OR REPLACE FUNCTION cdp_internal.check_setup_owner() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  other record;
BEGIN
  SELECT n.nspname, pg_get_userbyid(n.nspowner) AS owner INTO other
  FROM pg_namespace n
  WHERE n.nspname IN ('cdp_data', 'cdp_bi', 'cdp_api') AND pg_get_userbyid(n.nspowner) <> current_user
  ORDER BY 1 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'schema % belongs to another role', other.nspname
      USING ERRCODE = 'insufficient_privilege',
        DETAIL = format('It belongs to %s, and setup() runs as %s.', quote_ident(other.owner), quote_ident(current_user)),
        HINT = format('If %1$s is who owns the data: SET ROLE %1$s; CALL cdp.setup(); RESET ROLE;', quote_ident(other.owner));
  END IF;
  SELECT n.nspname || '.' || c.relname AS name, pg_get_userbyid(c.relowner) AS owner INTO other
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname IN ('cdp_data', 'cdp_bi', 'cdp_api') AND pg_get_userbyid(c.relowner) <> current_user AND c.relkind IN ('r', 'p', 'v', 'S')
    AND EXISTS (SELECT FROM cdp_internal.setup_script() s WHERE strpos(s.body, n.nspname || '.' || c.relname) > 0)
  ORDER BY 1 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'relation % belongs to another role', other.name
      USING ERRCODE = 'insufficient_privilege',
        DETAIL = format('It belongs to %s, and setup() runs as %s.', quote_ident(other.owner), quote_ident(current_user)),
        HINT = 'Give it to the owner of schema cdp_data with ALTER TABLE ... OWNER TO, after looking at where it came from.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.check_setup_owner() IS
'Raises insufficient_privilege when a schema or table that setup() would use belongs to somebody else, so that nothing planted is adopted.';

CREATE OR REPLACE FUNCTION cdp_internal.run_setup_step(room text, step text, body text, before text[]) RETURNS text[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  after text[];
  made text[];
  gone text[];
  version text := (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'pg_cdp');
BEGIN
  BEGIN
    EXECUTE body;
  EXCEPTION WHEN OTHERS THEN
    RAISE EXCEPTION 'setup step "%" of room % failed: %', step, room, SQLERRM
      USING ERRCODE = SQLSTATE, HINT = 'Nothing was changed. See the step''s SQL with: CALL cdp.setup(dry_run => true)';
  END;
  -- Sets are compared by EXCEPT: <> ALL of thousands of names would look through them for each name.
  after := ARRAY(SELECT cdp_internal.setup_objects());
  made := ARRAY(SELECT unnest(after) EXCEPT SELECT unnest(before) ORDER BY 1);
  IF to_regclass('cdp_data.setup_step') IS NULL THEN
    RETURN after; -- the step that makes the record has still to come
  END IF;
  INSERT INTO cdp_data.setup_step AS s (room, step, md5, objects, version)
  VALUES (run_setup_step.room, run_setup_step.step, md5(body), made, version)
  ON CONFLICT ON CONSTRAINT setup_step_pkey DO UPDATE
  SET md5 = excluded.md5, version = excluded.version, done_at = now(),
    objects = ARRAY((SELECT unnest(s.objects) UNION SELECT unnest(excluded.objects)) INTERSECT SELECT unnest(after) ORDER BY 1);
  -- What this step took away on purpose is no longer missed from an earlier one.
  gone := ARRAY(SELECT unnest(before) EXCEPT SELECT unnest(after));
  IF gone <> '{}' THEN
    UPDATE cdp_data.setup_step s SET objects = ARRAY(SELECT unnest(s.objects) EXCEPT SELECT unnest(gone) ORDER BY 1) WHERE s.objects && gone;
  END IF;
  RETURN after;
END
$$;
COMMENT ON FUNCTION cdp_internal.run_setup_step(text, text, text, text[]) IS
'Runs one step of cdp.setup() and records its md5 and the objects it made: those that are there after it and not in before. Returns the objects that are there after it. Errors keep their SQLSTATE and name the step.';

CREATE OR REPLACE FUNCTION cdp_internal.declare_grant(template text, privileges text, object_kind text, object text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.grant_rule AS g (template, privileges, object_kind, object)
  VALUES (declare_grant.template, declare_grant.privileges, declare_grant.object_kind, declare_grant.object)
  ON CONFLICT ON CONSTRAINT grant_rule_pkey DO UPDATE SET privileges = excluded.privileges, declared = true;
END
$$;
COMMENT ON FUNCTION cdp_internal.declare_grant(text, text, text, text) IS
'For setup steps of the rooms: says that the role playing a part (template) gets privileges on an object. object_kind is SCHEMA, TABLE, SEQUENCE, FUNCTION or PROCEDURE; object is its qualified name, with argument types for the last two. cdp.setup() grants, and takes back what it granted before and no step declares any more: so the step that declares must be one that every setup() repeats (it makes no object).';

CREATE OR REPLACE FUNCTION cdp_internal.declare_personal_data(
  room text, table_name text, column_name text, category text, subject_key text, erasure text, note text DEFAULT NULL,
  subject_kind text DEFAULT NULL, subject_type text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kind text := coalesce(declare_personal_data.subject_kind, CASE
    WHEN subject_key IS NULL THEN CASE erasure WHEN 'keep' THEN 'none' ELSE 'text' END
    WHEN subject_key IN ('customer_id', 'owner_id') THEN 'customer'
    WHEN subject_key IN ('identifier_id', 'a_id', 'b_id') THEN 'identifier'
    WHEN subject_key IN ('record_id', 'id_l', 'id_r') THEN 'record'
    WHEN subject_key IN ('touchpoint_id', 'link_id', 'group_id') THEN replace(subject_key, '_id', '') END);
BEGIN
  IF kind IS NULL THEN
    RAISE EXCEPTION 'what column "%" of % holds is not known', subject_key, table_name
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Give subject_kind: customer, identifier, touchpoint, link, group, record or value.';
  END IF;
  INSERT INTO cdp_data.personal_data AS p (room, table_name, column_name, category, subject_key, erasure, note, subject_kind, subject_type)
  VALUES (declare_personal_data.room, declare_personal_data.table_name, declare_personal_data.column_name, declare_personal_data.category,
    declare_personal_data.subject_key, declare_personal_data.erasure, declare_personal_data.note, kind, declare_personal_data.subject_type)
  ON CONFLICT ON CONSTRAINT personal_data_pkey DO UPDATE
  SET room = excluded.room, category = excluded.category, subject_key = excluded.subject_key,
    erasure = excluded.erasure, note = excluded.note, subject_kind = excluded.subject_kind, subject_type = excluded.subject_type;
END
$$;
COMMENT ON FUNCTION cdp_internal.declare_personal_data(text, text, text, text, text, text, text, text, text) IS
'For setup steps of the rooms: registers a column that can hold personal data. See cdp_data.personal_data for the words. subject_kind NULL: told by the name of subject_key, such as customer_id; without a key none when the column is kept, else text. Column * says that a table is about nobody. Error 22023: the kind can not be told.';

CREATE OR REPLACE FUNCTION cdp.register_personal_data(
  "table" regclass, column_name text, category text, subject_key text, subject_kind text, erasure text, note text DEFAULT NULL,
  subject_type text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  missing text;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT c INTO missing FROM unnest(ARRAY[column_name, subject_key]) c
  WHERE c IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = "table" AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped);
  IF FOUND THEN
    RAISE EXCEPTION 'table % has no column "%"', "table", missing USING ERRCODE = 'undefined_column', HINT = format('\d %s shows its columns.', "table");
  ELSIF "table" IS NULL OR column_name IS NULL OR subject_key IS NULL THEN
    RAISE EXCEPTION 'table, column and key must be told'
      USING ERRCODE = 'null_value_not_allowed', HINT = 'subject_key is the column of the table that ties a row to a person.';
  ELSIF subject_type IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE t.name = register_personal_data.subject_type) THEN
    RAISE EXCEPTION 'unknown identifier type "%"', subject_type
      USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT name FROM cdp_data.identifier_type_all; lists them.';
  END IF;
  PERFORM cdp_internal.require_choice('erasure of a table of your own', erasure, '{delete,clear,keep}'),
    cdp_internal.require_choice('category of personal data', category, '{identifier,contact,behaviour,content,pseudonym,financial,other}'),
    cdp_internal.require_choice('kind of key', subject_kind, '{customer,identifier,touchpoint,value}');
  PERFORM cdp_internal.declare_personal_data('user', (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = "table"),
    column_name, category, subject_key, erasure, note, subject_kind, subject_type);
END
$$;
COMMENT ON FUNCTION cdp.register_personal_data(regclass, text, text, text, text, text, text, text) IS
'Registers a column of your own, of any table, in cdp_data.personal_data, so that exports show it and erasures empty it (clear) or delete its rows (delete; one such column is enough). subject_key is the column that ties a row to a person, subject_kind what it holds: customer, identifier, touchpoint, or value (an identifier itself, of type subject_type). An erasure writes to the table with the rights of the owner of cdp_data. Errors: 42703 no such column, 22023 unknown word, 22004 no table, column or key.';

CREATE OR REPLACE FUNCTION cdp_internal.declare_impersonal(room text, table_name text, column_names text[], note text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.declare_personal_data(declare_impersonal.room, declare_impersonal.table_name, c, 'other', NULL, 'keep', declare_impersonal.note)
  FROM unnest(column_names) c;
END
$$;
COMMENT ON FUNCTION cdp_internal.declare_impersonal(text, text, text[], text) IS
'For setup steps of the rooms: registers columns (* for all) that look as if they could hold personal data and hold none, with the reason.';

CREATE OR REPLACE FUNCTION cdp_internal.declare_column(views text[], name text, meaning text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  view_name text;
BEGIN
  FOREACH view_name IN ARRAY views LOOP
    EXECUTE format('COMMENT ON COLUMN cdp_bi.%I.%I IS %L', view_name, declare_column.name, declare_column.meaning);
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.declare_column(text[], text, text) IS
'For setup steps of the rooms: the comment of a column that means the same in several views of cdp_bi (columns of views inherit none). Error 42703: one of them has no such column.';

CREATE OR REPLACE FUNCTION cdp_internal.declare_job(
  name text, room text, command text, schedule text, description text, commits boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- The schedule and the switch are the user's once the row is there.
  INSERT INTO cdp_data.job AS j (name, room, command, schedule, description, commits)
  VALUES (declare_job.name, declare_job.room, declare_job.command, declare_job.schedule, declare_job.description, declare_job.commits)
  ON CONFLICT ON CONSTRAINT job_pkey DO UPDATE
  SET room = excluded.room, command = excluded.command, description = excluded.description, commits = excluded.commits;
END
$$;
COMMENT ON FUNCTION cdp_internal.declare_job(text, text, text, text, text, boolean) IS
'For setup steps of the rooms: puts a job on the list, or renews its command; a schedule or switch that a user changed stays.';

CREATE OR REPLACE FUNCTION cdp_internal.declare_audited(table_name text, key_columns text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  EXECUTE format('CREATE OR REPLACE TRIGGER audit_change AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION cdp_data.audit_change(%s)',
    table_name::regclass, (SELECT string_agg(quote_literal(k), ', ' ORDER BY n) FROM unnest(key_columns) WITH ORDINALITY AS u (k, n)));
  EXECUTE format('COMMENT ON TRIGGER audit_change ON %s IS %L', table_name::regclass, 'Writes changes of rows to cdp_data.audit: names of columns, no values.');
END
$$;
COMMENT ON FUNCTION cdp_internal.declare_audited(text, text[]) IS
'For setup steps of the rooms: has changes of a small table of settings audited, row by row, by the names of the columns that changed and the values of key_columns, which must not be personal; -name among them: changes of that column are none. Not for tables that calls or loads write.';

CREATE OR REPLACE FUNCTION cdp_internal.grant_words(privileges text) RETURNS TABLE (privilege text, column_name text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT w.m[1], c.name
  FROM regexp_matches(privileges, '([A-Z]+)(?: \(([^)]*)\))?', 'g') AS w (m) LEFT JOIN LATERAL string_to_table(w.m[2], ', ') AS c (name) ON true;
END;
COMMENT ON FUNCTION cdp_internal.grant_words(text) IS
'The single rights in the privileges of a rule, such as SELECT (a, b), INSERT: one row for each privilege and column; column_name NULL for the whole object.';

CREATE OR REPLACE FUNCTION cdp_internal.grant_object_exists(object_kind text, object text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE object_kind WHEN 'SCHEMA' THEN to_regnamespace(object)::oid WHEN 'TABLE' THEN to_regclass(object)::oid
  WHEN 'SEQUENCE' THEN to_regclass(object)::oid ELSE to_regprocedure(object)::oid END IS NOT NULL;
COMMENT ON FUNCTION cdp_internal.grant_object_exists(text, text) IS
'Whether the object of a rule is there; a later release may not have it any more. Never NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.revoke_right(role_name text, privilege text, column_name text, object_kind text, object text, ours text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kept text;
BEGIN
  IF column_name IS NOT NULL THEN
    IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(object) AND a.attname = column_name AND NOT a.attisdropped) THEN
      EXECUTE format('REVOKE %s (%I) ON TABLE %s FROM %I', privilege, column_name, object, role_name);
    END IF;
    RETURN;
  END IF;
  -- Taking a right from a table takes it from each column, too: what somebody granted on a column by hand is given back.
  SELECT string_agg(quote_ident(a.attname), ', ') INTO kept
  FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) x
  WHERE object_kind = 'TABLE' AND a.attrelid = to_regclass(object) AND a.attnum > 0 AND NOT a.attisdropped AND x.privilege_type = privilege
    AND x.grantee = to_regrole(quote_ident(role_name)) AND x.grantor = to_regrole(quote_ident(current_user)) AND a.attname <> ALL (ours);
  EXECUTE format('REVOKE %s ON %s %s FROM %I', privilege, object_kind, object, role_name);
  IF kept IS NOT NULL THEN
    EXECUTE format('GRANT %s (%s) ON TABLE %s TO %I', privilege, kept, object, role_name);
  END IF;
EXCEPTION WHEN dependent_objects_still_exist THEN
  RAISE WARNING '% on % stays with %: it was passed on', privilege, object, quote_ident(role_name)
    USING HINT = format('Look who has it, then REVOKE %s ON %s %s FROM %I CASCADE;', privilege, object_kind, object, role_name);
END
$$;
COMMENT ON FUNCTION cdp_internal.revoke_right(text, text, text, text, text, text[]) IS
'Takes one right back that cdp.setup() had granted, on one column (column_name) or on the whole object. ours: columns on which it was setup() that granted the same; others keep it. A right that the role passed on stays, with a warning.';

CREATE OR REPLACE FUNCTION cdp_internal.apply_grants() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
BEGIN
  DELETE FROM cdp_data.grant_rule g WHERE NOT g.declared;
  -- Back comes what setup() had granted to a role and what no part that the role plays has any more.
  FOR r IN
    WITH had AS (
      SELECT DISTINCT d.role_name, d.object_kind, d.object, w.privilege, w.column_name
      FROM cdp_data.granted d CROSS JOIN LATERAL cdp_internal.grant_words(d.privileges) w
    ), wanted AS (
      SELECT n.role_name, g.object_kind, g.object, w.privilege, w.column_name
      FROM cdp_data.grant_rule g JOIN cdp_data.role_name n USING (template) CROSS JOIN LATERAL cdp_internal.grant_words(g.privileges) w
    ), gone AS (
      SELECT * FROM had EXCEPT SELECT * FROM wanted
    ), taken AS MATERIALIZED (
      SELECT x.*, cdp_internal.revoke_right(x.role_name, x.privilege, x.column_name, x.object_kind, x.object,
        ARRAY(SELECT h.column_name FROM had h WHERE (h.role_name, h.object_kind, h.object, h.privilege) = (x.role_name, x.object_kind, x.object, x.privilege) AND h.column_name IS NOT NULL))
      FROM gone x WHERE to_regrole(quote_ident(x.role_name)) IS NOT NULL AND cdp_internal.grant_object_exists(x.object_kind, x.object)
      ORDER BY x.object_kind = 'SCHEMA', x.object, x.privilege
    )
    SELECT t.role_name, jsonb_agg(DISTINCT t.privilege || ' ' || t.object) AS rights FROM taken t GROUP BY t.role_name
  LOOP
    PERFORM cdp_data.audit_write('revoke', 'role ' || r.role_name, NULL, jsonb_build_object('rights', r.rights));
  END LOOP;
  FOR r IN
    SELECT g.privileges, g.object_kind, g.object, n.role_name
    FROM cdp_data.grant_rule g JOIN cdp_data.role_name n USING (template)
    WHERE cdp_internal.grant_object_exists(g.object_kind, g.object)
      -- A restored dump may name roles that this server does not have; health() tells.
      AND to_regrole(quote_ident(n.role_name)) IS NOT NULL
    ORDER BY g.object_kind <> 'SCHEMA', g.object, n.role_name
  LOOP
    EXECUTE format('GRANT %s ON %s %s TO %I', r.privileges, r.object_kind, r.object, r.role_name);
  END LOOP;
  WITH wanted AS (
    SELECT DISTINCT n.role_name, g.object_kind, g.object, g.privileges FROM cdp_data.grant_rule g JOIN cdp_data.role_name n USING (template)
  ), gone AS (
    DELETE FROM cdp_data.granted d WHERE NOT EXISTS (SELECT FROM wanted w WHERE (w.role_name, w.object_kind, w.object, w.privileges) = (d.role_name, d.object_kind, d.object, d.privileges))
  )
  INSERT INTO cdp_data.granted (role_name, object_kind, object, privileges) SELECT * FROM wanted ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION cdp_internal.apply_grants() IS
'Brings the rights of the roles of cdp_data.role_name to what cdp_data.grant_rule says: grants it, and takes back what cdp.setup() had granted before (cdp_data.granted) to them or to roles that played a part, and what is not declared any more. Leaves what others granted, and what the owner granted by hand beyond it. What it takes back is in the audit.';

CREATE OR REPLACE PROCEDURE cdp.setup(
  timezone text DEFAULT NULL, currency text DEFAULT NULL, dry_run boolean DEFAULT false,
  admin text DEFAULT NULL, analyst text DEFAULT NULL, marketer text DEFAULT NULL, finance text DEFAULT NULL,
  privacy text DEFAULT NULL, connector text DEFAULT NULL, reader text DEFAULT NULL, phone_region text DEFAULT NULL, gateway text DEFAULT NULL)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
  s record;
  part record;
  there text[];
  done integer := 0;
  made integer := 0;
BEGIN
  -- Two sessions must not run the steps at once.
  PERFORM pg_advisory_xact_lock(hashtextextended('pg_cdp setup', 0));
  IF setup.timezone IS NOT NULL THEN
    PERFORM cdp_internal.require_zone(setup.timezone);
  END IF;
  IF setup.currency IS NOT NULL AND NOT EXISTS (SELECT FROM cdp.currency_builtin() c WHERE c.code = setup.currency)
    AND NOT cdp_internal.own_currency_exists(setup.currency) THEN
    RAISE EXCEPTION 'unknown currency "%"', setup.currency
      USING ERRCODE = 'invalid_parameter_value',
        HINT = 'Use a code of ISO 4217 in capitals, such as CNY; put one of your own into cdp_data.currency first.';
  END IF;
  IF NOT cdp_internal.phone_region_known(setup.phone_region) THEN
    RAISE EXCEPTION 'unknown phone region "%"', setup.phone_region
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Use a country code of ISO 3166 in capitals, such as CN.';
  END IF;
  FOR part IN SELECT * FROM (VALUES ('admin', admin), ('analyst', analyst), ('marketer', marketer), ('finance', finance),
      ('privacy', privacy), ('connector', connector), ('reader', reader), ('gateway', gateway)) AS v (template, role_name) WHERE v.role_name IS NOT NULL
  LOOP
    IF to_regrole(quote_ident(part.role_name)) IS NULL THEN
      RAISE EXCEPTION 'role "%" for % does not exist', part.role_name, part.template
        USING ERRCODE = 'undefined_object', HINT = format('CREATE ROLE %I; first. pg_cdp creates no roles.', part.role_name);
    END IF;
  END LOOP;
  PERFORM cdp_internal.check_setup_owner();

  FOR s IN SELECT * FROM cdp_internal.setup_pending() LOOP
    IF dry_run THEN
      CONTINUE WHEN s.reason = 'repeated';
      RAISE INFO USING MESSAGE = format(E'-- %s: %s (%s)\n%s', s.room, s.step, s.reason, s.body);
    ELSE
      there := cdp_internal.run_setup_step(s.room, s.step, s.body, coalesce(there, ARRAY(SELECT cdp_internal.setup_objects())));
      made := made + (s.reason <> 'repeated')::integer;
    END IF;
    done := done + 1;
  END LOOP;
  IF dry_run THEN
    RAISE INFO '-- % steps to run; nothing was changed', done;
    RETURN;
  END IF;

  UPDATE cdp_data.setting t
  SET timezone = n.timezone, currency = n.currency, phone_region = n.phone_region, version = n.version, updated_at = now()
  FROM (
    SELECT coalesce(setup.timezone, x.timezone) AS timezone, coalesce(setup.currency, x.currency) AS currency, coalesce(setup.phone_region, x.phone_region) AS phone_region,
      (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'pg_cdp') AS version
    FROM cdp_data.setting x) n
  WHERE (t.timezone, t.currency, t.phone_region, t.version) IS DISTINCT FROM (n.timezone, n.currency, n.phone_region, n.version);
  INSERT INTO cdp_data.role_name AS r (template, role_name)
  SELECT v.template, v.role_name FROM (VALUES ('admin', admin), ('analyst', analyst), ('marketer', marketer), ('finance', finance),
      ('privacy', privacy), ('connector', connector), ('reader', reader), ('gateway', gateway)) AS v (template, role_name) WHERE v.role_name IS NOT NULL
  ON CONFLICT ON CONSTRAINT role_name_pkey DO UPDATE SET role_name = excluded.role_name;
  PERFORM cdp_internal.apply_grants();
  IF made > 0 THEN
    PERFORM cdp_data.audit_write('setup', 'pg_cdp ' || (SELECT t.version FROM cdp_data.setting t), NULL, jsonb_build_object('steps', made));
  END IF;
  PERFORM cdp_data.audit_write('grant', v.template, NULL, jsonb_build_object('role', v.role_name))
  FROM (VALUES ('admin', admin), ('analyst', analyst), ('marketer', marketer), ('finance', finance),
      ('privacy', privacy), ('connector', connector), ('reader', reader), ('gateway', gateway)) AS v (template, role_name) WHERE v.role_name IS NOT NULL;
END
$$;
COMMENT ON PROCEDURE cdp.setup(text, text, boolean, text, text, text, text, text, text, text, text, text) IS
'Makes or brings up to date the schemas cdp_data, cdp_bi and cdp_api and all in them. Run it after CREATE EXTENSION, after ALTER EXTENSION UPDATE and after a DROP EXTENSION; it can be run at any time and never removes a row. timezone and currency are those of the reports; NULL keeps what is there (UTC and USD at first). dry_run => true prints the SQL of the steps that would run and changes nothing. The other arguments name existing roles (analyst => ''bi_team'') that get the rights of that part; a role that played it before, and a right that is not declared any more, loses what setup() had granted, never what somebody granted by hand. phone_region is the country (ISO 3166, CN) whose phone numbers may come without a country code; NULL keeps what is there (none at first). The caller owns what is made. Errors: 22023 unknown time zone, currency or region, 42704 unknown role, 42501 a schema belongs to another role.';

CREATE OR REPLACE FUNCTION cdp_internal.own_currency_exists(code text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.currency') IS NULL THEN
    RETURN false;
  END IF;
  RETURN EXISTS (SELECT FROM cdp_data.currency c WHERE c.code = own_currency_exists.code);
END
$$;
COMMENT ON FUNCTION cdp_internal.own_currency_exists(text) IS
'True when cdp_data.currency has the code; false also before the first cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.require_setup() RETURNS void
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_require_setup';
COMMENT ON FUNCTION cdp_internal.require_setup() IS
'For entry points: raises object_not_in_prerequisite_state (55000) with a hint unless cdp.setup() of the installed release has run and its views stand. Three small look-ups.';
