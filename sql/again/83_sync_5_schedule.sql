-- Connector room, pulls: the line that a scheduler runs, and what health tells of pulls.

CREATE OR REPLACE FUNCTION cdp.schedule_sync(every text DEFAULT '* * * * *', database text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.schedule_line('pg_cdp sync ', every, 'CALL cdp.sync_due()', database);
END
$$;
COMMENT ON FUNCTION cdp.schedule_sync(text, text) IS
'Puts the line into pg_cron that pulls what is due (CALL cdp.sync_due()), and tells what it did: a line of its own beside that of cdp.schedule(), since pulls wait for others. every is in cron''s syntax; database as for cdp.schedule(). Calling it again replaces the line. pg_cron runs it as the role that called this. Error 0A000: a pg_cron too old for other databases.';
REVOKE ALL ON FUNCTION cdp.schedule_sync(text, text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION cdp.unschedule_sync(database text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id bigint;
BEGIN
  IF NOT cdp_internal.cron_has('cron.unschedule(bigint)') THEN
    RETURN false;
  END IF;
  EXECUTE 'SELECT j.jobid FROM cron.job j WHERE j.jobname = $1 AND j.username = current_user' INTO id USING 'pg_cdp sync ' || coalesce(database, current_database());
  IF id IS NULL THEN
    RETURN false;
  END IF;
  EXECUTE 'SELECT cron.unschedule($1)' USING id;
  RETURN true;
END
$$;
COMMENT ON FUNCTION cdp.unschedule_sync(text) IS
'Takes the line of cdp.schedule_sync() out of pg_cron again, as the role that put it there. False: there was none, or pg_cron is not in this database.';
REVOKE ALL ON FUNCTION cdp.unschedule_sync(text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION cdp_internal.health_of_sync()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.sync_breaker') IS NULL OR NOT has_table_privilege('cdp_data.sync_run', 'SELECT') OR NOT has_table_privilege('cdp_data.connection', 'SELECT') THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'sync_late', format('connection %s: %s', quote_ident(c.name), coalesce('last pulled at ' || r.started_at, 'never pulled since it is ' || c.state || ', ' || c.state_at)), 'SELECT cdp.schedule_sync(); or let any scheduler run CALL cdp.sync_due();'
  FROM cdp_data.connection c LEFT JOIN LATERAL (SELECT max(x.started_at) AS started_at FROM cdp_data.sync_run x WHERE x.connection_id = c.connection_id) r ON true
  WHERE c.state IN ('shadow', 'live', 'degraded') AND greatest(r.started_at, c.state_at) < now() - interval '1 day' ORDER BY c.name;
  RETURN QUERY
  SELECT 'error', 'sync_failed', format('connection %s: its last %s runs failed, the last one at %s: %s', quote_ident(c.name), f.n, f.started_at, coalesce(f.problem, 'no reason told')), format('SELECT * FROM cdp_bi.sync_run WHERE connection = %L ORDER BY run_id DESC;', c.name)
  FROM cdp_data.connection c CROSS JOIN LATERAL (
    SELECT count(*) AS n, max(x.started_at) AS started_at, (array_agg(x.problem ORDER BY x.run_id DESC))[1] AS problem, bool_and(x.outcome = 'failed') AS all_failed
    FROM (SELECT s.* FROM cdp_data.sync_run s WHERE s.connection_id = c.connection_id AND s.finished_at IS NOT NULL ORDER BY s.run_id DESC LIMIT 3) x) f
  WHERE c.state IN ('shadow', 'live', 'degraded') AND f.n = 3 AND f.all_failed ORDER BY c.name;
  RETURN QUERY
  SELECT 'warning', 'sync_stands', format('%sconnection %s is not asked until %s: %s', CASE WHEN b.stream = '' THEN '' ELSE 'stream ' || b.stream || ' of ' END, quote_ident(c.name), b.open_until, coalesce(b.reason, 'no reason told')), 'It goes on by itself; look at cdp_data.sync_call for what was answered'
  FROM cdp_data.sync_breaker b JOIN cdp_data.connection c USING (connection_id)
  WHERE c.state IN ('shadow', 'live', 'degraded') AND b.open_until > now() AND b.since < now() - interval '1 day' ORDER BY c.name, b.stream;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_sync() IS
'Findings of cdp.health() about pulls: connections that nobody pulled for a day, whose last three runs failed, or of which something stands still for longer than a day.';
