-- Core room: cdp.health() and the checks that replace foreign keys.

CREATE OR REPLACE FUNCTION cdp_internal.health_of_setup()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  installed text := (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'pg_cdp');
BEGIN
  IF to_regclass('cdp_data.setting') IS NULL THEN
    RETURN QUERY SELECT 'error', 'no_tables', 'cdp.setup() has not run in this database', 'CALL cdp.setup();';
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'error', 'library_version', format('library %s, extension %s', cdp.version(), installed), 'ALTER EXTENSION pg_cdp UPDATE; in a new session'
  WHERE cdp.version() <> installed;
  RETURN QUERY
  SELECT 'error', 'setup_version', format('tables of %s, extension %s', coalesce(t.version, 'none'), installed), 'CALL cdp.setup();'
  FROM cdp_data.setting t WHERE t.version IS DISTINCT FROM installed;
  RETURN QUERY
  SELECT 'error', 'setup_missing', format('%s: %s (%s)', p.room, p.step, left(p.reason, 200)), 'CALL cdp.setup();'
  FROM cdp_internal.setup_pending() p WHERE p.reason <> 'repeated';
  RETURN QUERY
  SELECT 'warning', 'unknown_role', format('%s for %s', quote_ident(r.role_name), r.template), 'CREATE ROLE ...; CALL cdp.setup();'
  FROM cdp_data.role_name r WHERE to_regrole(quote_ident(r.role_name)) IS NULL;
  RETURN QUERY
  SELECT 'warning', 'duplicate_channel', format('channel name %s has numbers %s', quote_literal(c.name), string_agg(c.channel_id::text, ', ' ORDER BY c.channel_id)),
    'Give your channel another name, or the number of the built-in one'
  FROM cdp_data.channel_all c GROUP BY c.name HAVING count(*) > 1;
  RETURN QUERY
  SELECT 'warning', 'unknown_channel', format('rule %s names channel %s', r.rule_id, r.channel_id), 'Mend cdp_data.channel_rule or add the channel to cdp_data.channel'
  FROM cdp_data.channel_rule r WHERE NOT EXISTS (SELECT FROM cdp_data.channel_all c WHERE c.channel_id = r.channel_id);
  RETURN QUERY
  SELECT 'warning', 'duplicate_kind', format('kind name %s has numbers %s', quote_literal(k.name), string_agg(k.kind_id::text, ', ' ORDER BY k.kind_id)),
    'Give your kind another name, or the number of the built-in one'
  FROM cdp_data.touch_kind_all k GROUP BY k.name HAVING count(*) > 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_setup() IS 'Findings of cdp.health() about releases, setup steps, roles and lists.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_partitions()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT 'error', 'no_partition_now', format('no monthly partition holds %s', now()), 'CALL cdp.maintain();'
  WHERE NOT EXISTS (SELECT FROM cdp_internal.touchpoint_bounds() p WHERE NOT p.is_default AND p.from_at <= now() AND p.to_at > now());
  RETURN QUERY
  SELECT 'warning', 'partitions_end', format('partitions end at %s, wanted are %s months ahead', max(p.to_at), t.partitions_ahead), 'CALL cdp.maintain(); and see that it runs daily'
  FROM cdp_internal.touchpoint_bounds() p, cdp_data.setting t WHERE NOT p.is_default
  GROUP BY t.partitions_ahead HAVING max(p.to_at) <= now() + make_interval(months => t.partitions_ahead - 1);
  RETURN QUERY
  SELECT 'warning', 'default_partition', format('months with rows to move: %s', string_agg(to_char(m, 'YYYY-MM'), ', ' ORDER BY m)), 'CALL cdp.maintain();'
  FROM cdp_internal.sweep_months() m HAVING count(*) > 0;
  RETURN QUERY
  SELECT 'info', 'expired_partitions', format('%s partitions are older than the retention', count(*)), 'CALL cdp.maintain();'
  FROM cdp_internal.expired_partitions() HAVING count(*) > 0;
  RETURN QUERY
  SELECT 'warning', 'absurd_times', format('%s rows of the default partition lie outside the allowed times', count(*)),
    'SELECT * FROM cdp_data.touchpoint_default, cdp_internal.time_bounds() WHERE occurred_at < earliest OR occurred_at > latest; then revert or correct the loads'
  FROM cdp_data.touchpoint_default d, cdp_internal.time_bounds() b WHERE d.occurred_at < b.earliest OR d.occurred_at > b.latest HAVING count(*) > 0;
  RETURN QUERY
  SELECT 'warning', 'no_statistics', 'cdp_data.touchpoint has rows but no statistics as a whole', 'ANALYZE cdp_data.touchpoint;'
  WHERE EXISTS (SELECT FROM cdp_internal.touchpoint_bounds() p JOIN pg_class c ON c.oid = p.partition_oid WHERE c.reltuples > 100000)
    AND NOT EXISTS (SELECT FROM pg_stats s WHERE s.schemaname = 'cdp_data' AND s.tablename = 'touchpoint');
  RETURN QUERY
  SELECT 'error', 'invalid_index', format('%s is not valid', i.indexrelid::regclass), format('REINDEX INDEX %s;', i.indexrelid::regclass)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'cdp_data'::regnamespace AND NOT i.indisvalid AND c.relkind = 'r';
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_partitions() IS
'Findings of cdp.health() about the partitions of touchpoint. Reads the default partition, not the others.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_jobs()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT 'error', 'job_failed', format('job %s at %s: %s', j.name, j.last_finished, left(j.last_error, 300)), format('%s  -- by hand, and read the error', j.command)
  FROM cdp_data.job j WHERE j.enabled AND j.last_error IS NOT NULL;
  RETURN QUERY
  SELECT 'error', 'job_abandoned', format('job %s started at %s and nobody works on it any more', j.name, j.last_started), 'CALL cdp.run_jobs(); and look into the server log'
  FROM cdp_data.job j WHERE j.running_pid IS NOT NULL AND NOT cdp_internal.job_is_running(j.running_pid, j.running_backend, j.last_started) AND j.running_pid <> pg_backend_pid();
  RETURN QUERY
  SELECT 'warning', 'job_late', CASE WHEN j.last_started IS NULL THEN format('job %s has never run', j.name)
      ELSE format('job %s is due since %s', j.name, cdp_internal.next_run(j.schedule, j.last_started, t.timezone)) END,
    'SELECT cdp.schedule(); or let another scheduler CALL cdp.run_jobs();'
  FROM cdp_data.job j, cdp_data.setting t
  WHERE j.enabled AND NOT cdp_internal.job_is_running(j.running_pid, j.running_backend, j.last_started)
    AND cdp_internal.next_run(j.schedule, j.last_started, t.timezone) < now() - interval '1 hour';
  RETURN QUERY
  SELECT 'warning', 'feed_unread', format('consumer %s last read at %s', quote_ident(c.consumer), c.advanced_at),
    format('Run the consumer, or DELETE FROM cdp_data.feed_cursor WHERE consumer = %L; when it is gone for good', c.consumer)
  FROM cdp_data.feed_cursor c, cdp_data.setting t
  WHERE c.advanced_at < now() - t.feed_retention / 2 AND EXISTS (SELECT FROM cdp_data.change_feed f WHERE f.xid >= pg_snapshot_xmax(c.snapshot));
  RETURN QUERY
  SELECT 'info', 'feed_other_cluster', format('consumer %s read in another cluster; its next run is a full pass', quote_ident(c.consumer)), 'None needed'
  FROM cdp_data.feed_cursor c WHERE c.system_identifier <> cdp_internal.system_identifier();
  RETURN QUERY
  SELECT 'warning', 'outbox_failed', format('%s messages to %s were given up, the last one at %s', count(*), quote_ident(o.destination), max(o.taken_at)),
    format('Read their last_error (it may hold personal data), then: UPDATE cdp_data.outbox SET state = ''waiting'', attempts = 0 WHERE destination = %L AND state = ''failed'';', o.destination)
  FROM cdp_data.outbox o WHERE o.state = 'failed' GROUP BY o.destination;
  RETURN QUERY
  SELECT 'warning', 'outbox_late', format('%s messages to %s wait since %s', count(*), quote_ident(o.destination), min(o.next_attempt_at)), 'Is the deliverer running?'
  FROM cdp_data.outbox o JOIN cdp_data.destination d USING (destination)
  WHERE d.enabled AND o.state IN ('waiting', 'taken') AND o.next_attempt_at < now() - interval '1 day' GROUP BY o.destination;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_jobs() IS 'Findings of cdp.health() about jobs, the change feed and the outbox.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_data()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT 'warning', 'load_stuck', format('load %s of source %s says running since %s', l.load_id, l.source_id, l.started_at),
    format('Its transaction is over. SELECT cdp.revert_load(%s); or look at its rows', l.load_id)
  FROM cdp_data.load l WHERE l.state = 'running' AND l.xid < pg_snapshot_xmin(pg_current_snapshot());
  RETURN QUERY
  SELECT 'info', 'quarantine', format('%s rows wait, most often %s', count(*), mode() WITHIN GROUP (ORDER BY q.code)),
    'SELECT load_id, code, reason, count(*) FROM cdp_data.quarantine WHERE retried_by_load IS NULL AND code NOT IN (''superseded'', ''suppressed'') GROUP BY 1, 2, 3; mend, then SELECT cdp.retry_quarantine(load_id); of loads that are not of kind touchpoints as docs/ingest.md tells'
  FROM cdp_data.quarantine q WHERE q.retried_by_load IS NULL AND q.code NOT IN ('superseded', 'suppressed')
    AND NOT EXISTS (SELECT FROM cdp_data.load l WHERE l.load_id = q.load_id AND l.kind = 'trial') HAVING count(*) > 0;
  -- Rows of these two codes wait for nothing: a later row counted instead, or the person must not come back. So do those of trials.
  RETURN QUERY
  SELECT 'warning', 'customer_ids', format('%s of 4294967295 customer ids are used', s.last_value), 'Ids are never used again; tell the makers of pg_cdp before they run out'
  FROM pg_sequences s WHERE s.schemaname = 'cdp_data' AND s.sequencename = 'customer_customer_id_seq' AND s.last_value > 3500000000;
  RETURN QUERY
  SELECT 'error', 'parent_missing', format('%s customers point to a parent that is not there, such as %s', count(*), min(c.customer_id)), 'Restore the customer rows from a backup'
  FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id
    AND NOT EXISTS (SELECT FROM cdp_data.customer p WHERE p.customer_id = c.parent_id) HAVING count(*) > 0;
  BEGIN
    PERFORM cdp_internal.customer_map();
  EXCEPTION WHEN data_corrupted OR program_limit_exceeded THEN
    RETURN QUERY SELECT 'error', 'parent_circle', SQLERRM, 'One of the merges in the circle has to be undone: set parent_id of one of them to its own id';
  END;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_data() IS 'Findings of cdp.health() about loads, quarantine, customers and merges. Reads merged customers and open quarantine rows only.';

CREATE OR REPLACE FUNCTION cdp.health()
RETURNS TABLE (severity text, area text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY(SELECT f FROM cdp_internal.room_functions('health_of_', 0) f ORDER BY f <> 'health_of_setup', f) LOOP
    BEGIN
      RETURN QUERY EXECUTE format('SELECT h.severity, %L::text, h.finding, h.detail, h.remedy FROM cdp_internal.%I() h
        ORDER BY array_position(ARRAY[''error'', ''warning'', ''info''], h.severity), h.finding, h.detail', replace(name, 'health_of_', ''), name);
    EXCEPTION WHEN undefined_object OR undefined_table OR undefined_column OR undefined_function OR data_exception THEN
      -- What is broken in one area must not hide the findings of the others.
      RETURN QUERY SELECT 'error', replace(name, 'health_of_', ''), 'check_failed', format('%s: %s', SQLSTATE, SQLERRM), 'Mend what the message names; CALL cdp.setup(); remakes missing objects';
    WHEN insufficient_privilege THEN
      RETURN QUERY SELECT 'info', replace(name, 'health_of_', ''), 'not_allowed', SQLERRM, 'Nothing is known to be wrong there; to see, ask as the owner of cdp_data';
    END;
    -- Without tables nothing else can be looked at.
    EXIT WHEN to_regclass('cdp_data.setting') IS NULL;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.health() IS
'What is wrong or will be, one row per finding: severity (error, warning, info), area, finding (a fixed word), detail with the numbers, remedy (what to type or do). No row: all is well. An area that cannot be looked at is a finding, check_failed (or not_allowed, for want of rights), and the others are still told. Writes nothing, runs on a standby, shows no personal data. Run it as the owner of cdp_data.';

CREATE OR REPLACE FUNCTION cdp.check_orphans(from_at timestamptz DEFAULT '-infinity', to_at timestamptz DEFAULT 'infinity')
RETURNS TABLE (column_name text, orphans bigint, example bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  WITH t AS NOT MATERIALIZED (
    SELECT * FROM cdp_data.touchpoint p WHERE p.occurred_at >= from_at AND p.occurred_at < to_at
  )
  SELECT 'customer_id', count(*), min(t.touchpoint_id) FROM t WHERE NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = t.customer_id)
  UNION ALL
  SELECT 'identifier_id', count(*), min(t.touchpoint_id) FROM t WHERE t.identifier_id > 0 AND NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.identifier_id = t.identifier_id)
  UNION ALL
  SELECT 'origin_id', count(*), min(t.touchpoint_id) FROM t WHERE NOT EXISTS (SELECT FROM cdp_data.origin o WHERE o.origin_id = t.origin_id)
  UNION ALL
  SELECT 'kind_id', count(*), min(t.touchpoint_id) FROM t WHERE NOT EXISTS (SELECT FROM cdp_data.touch_kind_all k WHERE k.kind_id = t.kind_id)
  UNION ALL
  SELECT 'campaign_id', count(*), min(t.touchpoint_id) FROM t WHERE t.campaign_id IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.campaign c WHERE c.campaign_id = t.campaign_id)
  UNION ALL
  SELECT 'source_id', count(*), min(t.touchpoint_id) FROM t WHERE NOT EXISTS (SELECT FROM cdp_data.source s WHERE s.source_id = t.source_id)
  UNION ALL
  SELECT 'load_id', count(*), min(t.touchpoint_id) FROM t WHERE NOT EXISTS (SELECT FROM cdp_data.load l WHERE l.load_id = t.load_id)
  UNION ALL
  SELECT 'currency', count(*), min(t.touchpoint_id) FROM t WHERE t.value IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.currency_all c WHERE c.code = t.currency)
  UNION ALL
  SELECT 'key', count(*), min(t.touchpoint_id) FROM t WHERE NOT EXISTS (SELECT FROM cdp_data.touchpoint_key k WHERE k.touchpoint_id = t.touchpoint_id)
  UNION ALL
  SELECT 'refers_to', count(*), min(t.touchpoint_id) FROM t WHERE t.refers_to IS NOT NULL
    AND NOT EXISTS (SELECT FROM cdp_data.touchpoint p WHERE p.touchpoint_id = t.refers_to);
END
$$;
COMMENT ON FUNCTION cdp.check_orphans(timestamptz, timestamptz) IS
'What foreign keys of cdp_data.touchpoint would have checked, for touchpoints from from_at until before to_at: one row per column with the number of touchpoints whose value is unknown and the lowest touchpoint_id among them (NULL when none). key: touchpoints without a row of touchpoint_key. Those that an erasure unlinked have a negative identifier_id, which is nobody''s. Reads all rows of the range once per column: give it a month at a time on a large table.';
