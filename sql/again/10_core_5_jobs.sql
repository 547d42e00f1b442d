-- Core room: jobs, maintenance, and the line that pg_cron runs.
-- Procedures that commit can not SET search_path, so they write every name in full, those of types too.

CREATE OR REPLACE PROCEDURE cdp_internal.run_command(command text)
LANGUAGE c AS 'MODULE_PATHNAME', 'cdp_run_command';
COMMENT ON PROCEDURE cdp_internal.run_command(text) IS
'Runs one SQL command with the caller''s rights. Called outside a transaction block, the command may be a CALL that commits. Its result is thrown away; its error is the caller''s.';

CREATE OR REPLACE FUNCTION cdp_internal.next_run(schedule text, last_started timestamptz, timezone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  word text[] := regexp_match(schedule, '^\s*([1-9]\d{0,4})\s+(minute|hour|day|week|month)s?(?:\s+at\s+((?:[01]?\d|2[0-3]):[0-5]\d))?\s*$', 'i');
  every interval;
  due timestamp;
BEGIN
  -- The same language as the CHECK of cdp_data.job: one row that it let through and this refused would stop every job.
  IF word IS NULL OR (word[3] IS NOT NULL AND lower(word[2]) IN ('minute', 'hour')) THEN
    RAISE EXCEPTION 'invalid schedule "%"', schedule
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Write ''15 minutes'', ''1 hour'' or ''1 day at 03:30''.';
  END IF;
  IF last_started IS NULL THEN
    RETURN '-infinity';
  END IF;
  every := (word[1] || ' ' || word[2])::interval;
  IF word[3] IS NULL THEN
    RETURN last_started + every;
  END IF;
  -- The first such time of day after the last start that lies the interval's days further.
  due := date_trunc('day', last_started AT TIME ZONE timezone) + word[3]::time;
  IF due > last_started AT TIME ZONE timezone THEN
    due := due - interval '1 day'; -- it ran before that hour, so it stands for the day before
  END IF;
  RETURN (due + every) AT TIME ZONE timezone;
END
$$;
COMMENT ON FUNCTION cdp_internal.next_run(text, timestamptz, text) IS
'When a job with this schedule is due again, given its last start (NULL: at once) and the time zone of its time of day. Error 22023: not a schedule.';

CREATE OR REPLACE FUNCTION cdp_internal.job_is_running(pid integer, backend timestamptz, claimed timestamptz) RETURNS boolean
LANGUAGE sql STABLE
-- A session that is idle, or at a later statement than the one that claimed the job, was cancelled or met an error.
RETURN pid <> pg_catalog.pg_backend_pid() AND EXISTS (
  SELECT FROM pg_catalog.pg_stat_get_activity(pid) a
  WHERE a.backend_start = backend AND coalesce(a.state NOT LIKE 'idle%', true) AND coalesce(a.query_start <= claimed, true));
COMMENT ON FUNCTION cdp_internal.job_is_running(integer, timestamptz, timestamptz) IS
'True when another backend still works on the statement in which it claimed a job at that time (a claim of this session is over once it claims the next). A role without pg_read_all_stats sees only its own backends.';

CREATE OR REPLACE FUNCTION cdp_internal.claim_job(skip text[]) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  j record;
BEGIN
  SELECT t.name, t.running_pid INTO j
  FROM cdp_data.job t, cdp_data.setting s
  WHERE t.enabled AND t.name <> ALL (skip) AND NOT cdp_internal.job_is_running(t.running_pid, t.running_backend, t.last_started)
    AND cdp_internal.next_run(t.schedule, t.last_started, s.timezone) <= clock_timestamp()
  ORDER BY t.last_started NULLS FIRST, t.name
  LIMIT 1 FOR UPDATE OF t SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF j.running_pid IS NOT NULL THEN
    UPDATE cdp_data.job_run r SET state = 'abandoned', finished_at = clock_timestamp(), error = 'it did not come to its end; the server log tells why'
    WHERE r.job = j.name AND r.state = 'running';
  END IF;
  UPDATE cdp_data.job t SET last_started = clock_timestamp(), running_pid = pg_backend_pid(),
    running_backend = (SELECT a.backend_start FROM pg_stat_get_activity(pg_backend_pid()) a)
  WHERE t.name = j.name;
  INSERT INTO cdp_data.job_run (job) VALUES (j.name);
  RETURN j.name;
END
$$;
COMMENT ON FUNCTION cdp_internal.claim_job(text[]) IS
'Takes the due job that waited longest for this session, or NULL. skip: names not to take. A job whose session is gone or has stopped working on it is marked abandoned and can be taken again.';

CREATE OR REPLACE FUNCTION cdp_internal.finish_job(job text, error text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE cdp_data.job t SET last_finished = clock_timestamp(), last_error = finish_job.error, running_pid = NULL, running_backend = NULL
  WHERE t.name = job;
  UPDATE cdp_data.job_run r SET finished_at = clock_timestamp(), state = CASE WHEN finish_job.error IS NULL THEN 'done' ELSE 'failed' END, error = finish_job.error
  WHERE r.job = finish_job.job AND r.state = 'running';
END
$$;
COMMENT ON FUNCTION cdp_internal.finish_job(text, text) IS 'Notes the end of a job; error NULL when it went well.';

CREATE OR REPLACE FUNCTION cdp_internal.try_command(command text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  EXECUTE command;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;
COMMENT ON FUNCTION cdp_internal.try_command(text) IS
'Runs a command in a subtransaction; NULL when it went well, else SQLSTATE and message. The command can not commit.';

CREATE OR REPLACE PROCEDURE cdp.run_jobs()
LANGUAGE plpgsql
AS $$
DECLARE
  job pg_catalog.text;
  todo pg_catalog.record;
  error pg_catalog.text;
  done pg_catalog.text[] := '{}';
BEGIN
  PERFORM cdp_internal.require_setup();
  LOOP
    job := cdp_internal.claim_job(done);
    EXIT WHEN job IS NULL;
    SELECT t.command, t.commits INTO todo FROM cdp_data.job t WHERE t.name OPERATOR(pg_catalog.=) job;
    COMMIT; -- others see that it runs, and its work starts with no lock held
    IF todo.commits THEN
      error := NULL;
      CALL cdp_internal.run_command(todo.command);
    ELSE
      error := cdp_internal.try_command(todo.command);
    END IF;
    PERFORM cdp_internal.finish_job(job, error);
    IF error IS NOT NULL THEN
      RAISE WARNING 'job "%" failed: %', job, error;
    END IF;
    done := pg_catalog.array_append(done, job);
    COMMIT;
  END LOOP;
END
$$;
COMMENT ON PROCEDURE cdp.run_jobs() IS
'Runs every job of cdp_data.job that is due, each once, one after the other, and commits after each; several sessions may call it at once. A failure is noted in last_error and does not stop the others, except for a job that commits by itself: its error ends this call, and the next call takes it for abandoned and goes on with the rest. Runs with the caller''s rights: call it as the owner of cdp_data, outside a transaction block.';

CREATE OR REPLACE FUNCTION cdp_internal.maintain_partitions() RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n integer;
BEGIN
  SELECT cdp_internal.ensure_partitions(now(), now() + make_interval(months => t.partitions_ahead)) INTO n FROM cdp_data.setting t;
  RETURN n || ' partitions made ahead';
END
$$;
COMMENT ON FUNCTION cdp_internal.maintain_partitions() IS 'Step of cdp.maintain(): partitions for the coming months. Returns what it did.';

CREATE OR REPLACE FUNCTION cdp_internal.trim_default() RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  cutoff timestamptz;
  first_at timestamptz;
  n bigint;
BEGIN
  SELECT date_trunc('month', cdp_internal.cutoff(now(), t.touchpoint_retention), 'UTC') INTO cutoff FROM cdp_data.setting t;
  IF cutoff IS NULL OR NOT cdp_internal.retention_is_plain() THEN
    RETURN 'no retention by age alone';
  END IF;
  DELETE FROM cdp_data.touchpoint_key k USING cdp_data.touchpoint_default d
  WHERE d.occurred_at < cutoff AND k.touchpoint_id = d.touchpoint_id AND k.customer_id = d.customer_id AND k.occurred_at = d.occurred_at;
  WITH gone AS (
    DELETE FROM cdp_data.touchpoint_default d WHERE d.occurred_at < cutoff RETURNING d.occurred_at
  )
  SELECT count(*), min(g.occurred_at) INTO n, first_at FROM gone g;
  IF n > 0 THEN
    PERFORM cdp_internal.feed_write(NULL, 'retention', first_at, cutoff);
  END IF;
  -- Versions of months that never had a partition, or whose partition went before they were retracted.
  DELETE FROM cdp_data.touchpoint_retracted r WHERE r.occurred_at < cutoff;
  RETURN n || ' expired rows deleted from the default partition';
END
$$;
COMMENT ON FUNCTION cdp_internal.trim_default() IS
'Step of cdp.maintain(): deletes rows of the default partition that are older than the retention, with their keys, tells the change feed, and deletes retracted versions of that age wherever they were. Does nothing while kinds have a retention of their own or somebody is on hold: then single rows are looked at. Returns what it did.';

CREATE OR REPLACE FUNCTION cdp_internal.trim_runs() RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  DELETE FROM cdp_data.job_run r USING cdp_data.setting t WHERE r.started_at < cdp_internal.cutoff(now(), t.job_run_retention) AND r.state <> 'running';
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n || ' old job runs deleted';
END
$$;
COMMENT ON FUNCTION cdp_internal.trim_runs() IS 'Step of cdp.maintain(): deletes rows of cdp_data.job_run older than the retention. Returns what it did.';

CREATE OR REPLACE FUNCTION cdp_internal.room_functions(beginning text, arguments integer, kind "char" DEFAULT 'f') RETURNS SETOF text
LANGUAGE sql STABLE
BEGIN ATOMIC
  -- Only members count, so that nobody plants one that the owner then runs.
  SELECT p.proname::text
  FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_cdp'
  WHERE p.pronamespace = 'cdp_internal'::regnamespace AND p.prokind = kind AND p.pronargs = arguments AND pg_catalog.starts_with(p.proname::text, beginning)
  ORDER BY 1;
END;
COMMENT ON FUNCTION cdp_internal.room_functions(text, integer, "char") IS
'Names of the functions (kind p: procedures) in cdp_internal with which the rooms take part in what core does, by how their names begin. Procedures maintain_room_...() belong to cdp.maintain() and may commit. health_of_...() belong to cdp.health() and return (severity, finding, detail, remedy), rotate_room_...(key_id) to cdp.rotate_keys(). When a load is reverted or retried, load_identifiers_...(load_id) returns identifiers of the load beside those of its touchpoints, before anything is written; load_changed_...(load_id, to_state) follows in the same transaction, after the load has its new state and its touchpoints are settled, while pg_temp.cdp_load_version still tells which these are. outbox_refusal_of_...() says why a message must not go out, outbox_refusals_of_...() the same of many; consent_changed_for_...(roots) follows what people no longer allow, in the transaction in which they say so.';

CREATE OR REPLACE PROCEDURE cdp.maintain()
LANGUAGE plpgsql
AS $$
DECLARE
  name pg_catalog.text;
  month pg_catalog.date;
BEGIN
  PERFORM cdp_internal.require_setup();
  RAISE NOTICE 'maintain: %', cdp_internal.maintain_partitions();
  COMMIT;
  FOREACH month IN ARRAY ARRAY(SELECT cdp_internal.sweep_months()) LOOP
    IF cdp_internal.ensure_partitions(ARRAY[month]) OPERATOR(pg_catalog.>) 0 THEN
      RAISE NOTICE 'maintain: rows of % moved out of the default partition', month;
    END IF;
    COMMIT;
  END LOOP;
  FOREACH name IN ARRAY ARRAY(SELECT cdp_internal.expired_partitions()) LOOP
    IF cdp_internal.drop_partition(name, pg_catalog.now()) THEN
      RAISE NOTICE 'maintain: % dropped by retention', name;
    END IF;
    COMMIT;
  END LOOP;
  RAISE NOTICE 'maintain: %', cdp_internal.trim_default();
  COMMIT;
  RAISE NOTICE 'maintain: % rows of the change feed trimmed', cdp_internal.trim_feed();
  COMMIT;
  RAISE NOTICE 'maintain: %', cdp_internal.trim_runs();
  COMMIT;
  FOREACH name IN ARRAY ARRAY(SELECT cdp_internal.room_functions('maintain_room_', 0, 'p')) LOOP
    CALL cdp_internal.run_command(pg_catalog.format('CALL cdp_internal.%I()', name));
    COMMIT;
  END LOOP;
  -- Autovacuum analyzes partitions but never their parent, and the planner needs the parent's figures.
  ANALYZE cdp_data.touchpoint;
  RAISE NOTICE 'maintain: analyzed cdp_data.touchpoint';
END
$$;
COMMENT ON PROCEDURE cdp.maintain() IS
'Daily care of the tables: partitions for the coming months, rows out of the default partition, retention by dropping partitions with their keys, change feed and job runs trimmed, what other rooms need, ANALYZE of the partitioned parent. Commits after each step, so that a stop in between loses nothing and locks are short; run it outside a transaction block, as the owner of cdp_data. It is on the job list.';

CREATE OR REPLACE FUNCTION cdp_internal.cron_has(function_name text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Only members of pg_cron count: where it is not installed, anybody who may create schemas could plant a schema cron.
  RETURN EXISTS (
    SELECT FROM pg_extension e JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
    WHERE e.extname = 'pg_cron' AND d.classid = 'pg_proc'::regclass AND d.objid::regprocedure::text = function_name);
END
$$;
COMMENT ON FUNCTION cdp_internal.cron_has(text) IS
'True when the extension pg_cron of this database has the function, written as cron.schedule(text,text,text).';

CREATE OR REPLACE FUNCTION cdp_internal.schedule_line(prefix text, every text, command text, database text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  target text := coalesce(schedule_line.database, current_database());
  name text := prefix || target;
  home text := current_setting('cron.database_name', true);
  id bigint;
BEGIN
  -- pg_cron is looked up now, never required; it may be of any release and come or go later.
  IF cdp_internal.cron_has('cron.schedule(text,text,text)') THEN
    IF target = current_database() THEN
      EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO id USING name, every, command;
    ELSIF cdp_internal.cron_has('cron.schedule_in_database(text,text,text,text,text,boolean)') THEN
      EXECUTE 'SELECT cron.schedule_in_database($1, $2, $3, $4)' INTO id USING name, every, command, target;
    ELSE
      RAISE EXCEPTION 'this pg_cron can not run jobs in another database'
        USING ERRCODE = 'feature_not_supported', HINT = 'Install pg_cron 1.4 or later.';
    END IF;
    RETURN format('pg_cron job %s runs %s in database %s at %s', id, command, quote_ident(target), every);
  END IF;
  RETURN format(E'pg_cron is not in this database%s. %s',
    CASE WHEN home IS NULL THEN ', and this server does not load it' ELSE ' but in ' || quote_ident(home) END,
    CASE WHEN home IS NULL THEN format('Add pg_cron to shared_preload_libraries, or let any other scheduler run: %s;', command)
      ELSE format('There, run: SELECT cron.schedule_in_database(%L, %L, %L, %L);', name, every, command, target) END);
END
$$;
COMMENT ON FUNCTION cdp_internal.schedule_line(text, text, text, text) IS
'Puts a line into pg_cron under the name prefix || database, which it replaces, and tells what it did, or what somebody has to do: see cdp.schedule() and cdp.schedule_sync(). database NULL: this one.';

CREATE OR REPLACE FUNCTION cdp.schedule(every text DEFAULT '* * * * *', database text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.schedule_line('pg_cdp ', every, 'CALL cdp.run_jobs()', database);
END
$$;
COMMENT ON FUNCTION cdp.schedule(text, text) IS
'Puts the one line into pg_cron that runs the jobs of all rooms, and tells what it did. every is in cron''s syntax. When pg_cron lives in another database, it returns the statement to run there; called there with database => ''...'' (pg_cdp installed in both), it schedules for the other one. Calling it again replaces the line. Error 0A000: a pg_cron too old for other databases.';
