-- Connector room, landing: the ledger of days, what it adds to health, erasure and maintenance.

CREATE OR REPLACE FUNCTION cdp_internal.day_ready(day date, stream jsonb, zone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ((day + 1 + coalesce((stream #>> '{window,delay_days}')::integer, 0)) + coalesce(stream #>> '{window,ready_at}', '00:00')::time) AT TIME ZONE zone;
COMMENT ON FUNCTION cdp_internal.day_ready(date, jsonb, text) IS
'From when on a vendor has the figures of a day: delay_days after it is over, at ready_at, in the zone of the manifest; stream is its part of the manifest.';

CREATE OR REPLACE FUNCTION cdp_internal.usual_count(connection_id integer, stream_id smallint, part text, day date) RETURNS double precision
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
  RETURN (SELECT CASE WHEN count(*) >= 2 THEN percentile_cont(0.5) WITHIN GROUP (ORDER BY c.nonzero) END
    FROM generate_series(1, 8) w JOIN cdp_data.coverage c ON c.connection_id = usual_count.connection_id AND c.stream_id = usual_count.stream_id AND c.part = usual_count.part AND c.day = usual_count.day - 7 * w
    WHERE c.state = 'final');
END
$$;
COMMENT ON FUNCTION cdp_internal.usual_count(integer, smallint, text, date) IS
'Median of the records that are not all zero on the same weekday of the eight weeks before a day, of final days. NULL: there are fewer than two.';

CREATE OR REPLACE FUNCTION cdp_internal.cover_days(p record, manifest jsonb, stream text, again boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
  zone text := manifest ->> 'tz';
  stays integer := coalesce((spec #>> '{window,final_after_days}')::integer, (spec #>> '{window,lookback_days}')::integer, 0);
  counts boolean := p.verb IN ('ok', 'ignore') AND coalesce(p.done, false) AND p.pull_id IS NOT NULL AND NOT (p.verb = 'ok' AND p.unread);
  reason text := CASE WHEN p.verb NOT IN ('ok', 'ignore') THEN concat_ws(' ', p.verb, p.code) WHEN p.pull_id IS NULL THEN 'a page before it is missing' END;
BEGIN
  IF p.verb = 'ok' AND NOT coalesce(p.done, false) AND p.pull_id IS NOT NULL THEN
    RETURN; -- a page in the midst of a pull
  END IF;
  WITH told AS (
    -- Of pages that were asked for twice in the pull the later one counts.
    SELECT DISTINCT ON (x.asked -> 'cursor') x.days FROM cdp_data.raw_page x WHERE counts AND x.pull_id = p.pull_id AND x.verb = 'ok' ORDER BY x.asked -> 'cursor', x.fetched_at DESC, x.page_id DESC
  ), sums AS (
    SELECT e.key::date AS day, sum((e.value ->> 0)::bigint) AS n, sum((e.value ->> 1)::bigint) AS nonzero, sum((e.value ->> 2)::bigint) AS moved FROM told t, jsonb_each(t.days) e GROUP BY 1
  ), facts AS (
    SELECT d.day, coalesce(s.n, 0) AS n, coalesce(s.nonzero, 0) AS nonzero, coalesce(s.moved, 0) AS moved, o.state AS old_state, o.records AS old_n, o.nonzero AS old_nonzero, o.zero_at AS old_zero, o.final_at AS old_final,
      o.restated_at AS old_restated, o.reason AS old_reason, o.first_pulled_at AS old_first,
      p.fetched_at >= (d.day + 1)::timestamp AT TIME ZONE zone AS is_over, p.fetched_at >= cdp_internal.day_ready(d.day, spec, zone) AS is_ready, p.fetched_at >= cdp_internal.day_ready(d.day + stays, spec, zone) AS is_final,
      CASE WHEN counts AND coalesce(s.nonzero, 0) = 0 THEN cdp_internal.usual_count(p.connection_id, p.stream_id, p.part, d.day) END AS usual
    FROM (SELECT p.window_from + i AS day FROM generate_series(0, p.window_to - p.window_from) i) d LEFT JOIN sums s ON s.day = d.day
      LEFT JOIN cdp_data.coverage o ON o.connection_id = p.connection_id AND o.stream_id = p.stream_id AND o.part = p.part AND o.day = d.day
  ), doubts AS (
    SELECT f.*, counts AND f.nonzero = 0 AND (coalesce(f.old_nonzero, 0) > 0 OR coalesce(f.usual, 0) > 0)
        AND NOT coalesce(f.is_ready AND f.old_zero + interval '1 hour' <= p.fetched_at, false) AND f.is_over AS is_doubted
    FROM facts f
  ), judged AS (
    SELECT f.day, f.old_state, f.old_n, f.moved,
      CASE WHEN NOT counts THEN CASE WHEN p.verb = 'skip_partition' AND coalesce(f.old_state, 'missing') = 'missing' THEN 'unavailable' ELSE coalesce(f.old_state, 'missing') END
        WHEN f.is_doubted THEN 'suspect_zero'
        WHEN NOT f.is_over AND f.nonzero = 0 THEN CASE WHEN coalesce(f.old_nonzero, 0) > 0 THEN f.old_state ELSE 'missing' END
        WHEN f.is_final THEN 'final' ELSE 'provisional' END AS state,
      CASE WHEN NOT counts OR f.nonzero = 0 AND coalesce(f.old_nonzero, 0) > 0 AND (f.is_doubted OR NOT f.is_over) THEN coalesce(f.old_n, 0) ELSE f.n END AS n,
      CASE WHEN NOT counts OR f.nonzero = 0 AND (f.is_doubted OR NOT f.is_over) THEN coalesce(f.old_nonzero, 0) ELSE f.nonzero END AS nonzero,
      CASE WHEN NOT counts THEN f.old_zero WHEN f.nonzero > 0 THEN NULL WHEN f.is_ready THEN coalesce(f.old_zero, p.fetched_at) END AS zero_at,
      CASE WHEN NOT counts THEN CASE WHEN coalesce(f.old_state, 'missing') = 'missing' THEN reason ELSE f.old_reason END
        WHEN f.is_doubted THEN CASE WHEN coalesce(f.old_nonzero, 0) > 0 THEN format('nothing, after %s', f.old_nonzero) ELSE format('nothing, usually %s', f.usual) END
        WHEN NOT f.is_over THEN 'the day is not over' WHEN NOT f.is_ready THEN 'told before it is ready'
        WHEN f.nonzero = 0 AND f.old_zero IS NOT NULL THEN 'nothing, told again' END AS reason,
      f.old_final, f.old_restated, f.old_first
    FROM doubts f
  ), rows AS (
    SELECT j.*, j.old_state = 'final' AND counts AND (j.n <> j.old_n OR j.moved > 0) AND j.state <> 'suspect_zero' AS is_restated FROM judged j
  ), history AS (
    INSERT INTO cdp_data.coverage_history (connection_id, stream_id, part, day, source_id, at, from_state, to_state, from_records, to_records, restated, reason, page_id)
    SELECT p.connection_id, p.stream_id, p.part, r.day, p.source_id, p.fetched_at, r.old_state, r.state, r.old_n, r.n, r.is_restated, r.reason, p.page_id
    FROM rows r WHERE r.old_state IS NOT NULL AND (r.old_state <> r.state OR r.old_n <> r.n OR r.is_restated) ORDER BY r.day
  )
  INSERT INTO cdp_data.coverage AS c (connection_id, stream_id, part, day, source_id, state, records, nonzero, pulls, first_pulled_at, checked_at, final_at, restated_at, zero_at, reason, page_id)
  SELECT p.connection_id, p.stream_id, p.part, r.day, p.source_id, r.state, r.n, r.nonzero, CASE WHEN counts AND NOT again THEN 1 ELSE 0 END,
    coalesce(r.old_first, CASE WHEN r.state IN ('provisional', 'final') THEN p.fetched_at END), p.fetched_at, CASE r.state WHEN 'final' THEN coalesce(r.old_final, p.fetched_at) END,
    CASE WHEN r.is_restated THEN p.fetched_at ELSE r.old_restated END, r.zero_at, r.reason, p.page_id
  FROM rows r ORDER BY r.day
  ON CONFLICT (connection_id, stream_id, part, day) DO UPDATE
  SET state = excluded.state, records = excluded.records, nonzero = excluded.nonzero, pulls = c.pulls + excluded.pulls, first_pulled_at = excluded.first_pulled_at,
    checked_at = greatest(c.checked_at, excluded.checked_at), final_at = excluded.final_at, restated_at = excluded.restated_at, zero_at = excluded.zero_at, reason = excluded.reason, page_id = excluded.page_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.cover_days(record, jsonb, text, boolean) IS
'Writes what a page says about the days of its window to cdp_data.coverage, and what that changed to coverage_history. Only a whole pull says that a day is there: from its first page, each with the cursor of the one before, to the last. A day is final final_after_days (else lookback_days) after it is ready. Nothing, where there was something or the median of the weekday is above zero (cdp_internal.usual_count()), is suspect until another pull at least an hour later, and past the time at which the day is ready, says so as well. again: the page landed before, and is no pull. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.stream_coverage(connection_id integer, as_of timestamptz)
RETURNS TABLE (stream text, first_day date, last_day date, parts bigint, due bigint, missing bigint, provisional bigint, final bigint, suspect_zero bigint, unavailable bigint,
  completeness numeric, finality numeric, overdue bigint, restated bigint, checked_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  m jsonb := (SELECT cdp_internal.connector_manifest(c.connector) FROM cdp_data.connection c WHERE c.connection_id = stream_coverage.connection_id);
BEGIN
  RETURN QUERY
  WITH s AS MATERIALIZED (
    SELECT t.stream_id, t.name, (as_of AT TIME ZONE z.zone - coalesce(w.window ->> 'ready_at', '00:00')::time)::date - 1 - coalesce((w.window ->> 'delay_days')::integer, 0) AS due_day
    FROM cdp_data.stream t CROSS JOIN LATERAL (SELECT m #> ARRAY['streams', t.name, 'window'] AS "window") w CROSS JOIN (SELECT m ->> 'tz' AS zone) z
    WHERE t.connection_id = stream_coverage.connection_id AND w.window IS NOT NULL
  ), p AS (
    -- One row for each partition; days that nobody asked for have no row and are missing.
    SELECT s.stream_id, s.name, s.due_day, min(c.day) AS first_day, greatest(0, s.due_day - min(c.day) + 1)::bigint AS due,
      count(*) FILTER (WHERE c.day <= s.due_day AND c.state <> 'missing') AS known, count(*) FILTER (WHERE c.day <= s.due_day AND c.state = 'provisional') AS provisional,
      count(*) FILTER (WHERE c.day <= s.due_day AND c.state = 'final') AS final, count(*) FILTER (WHERE c.day <= s.due_day AND c.state = 'suspect_zero') AS suspect,
      count(*) FILTER (WHERE c.day <= s.due_day AND c.state = 'unavailable') AS unavailable,
      greatest(0, s.due_day - 1 - min(c.day) + 1)::bigint - count(*) FILTER (WHERE c.day <= s.due_day - 1 AND c.state IN ('provisional', 'final', 'unavailable')) AS overdue,
      count(*) FILTER (WHERE c.restated_at IS NOT NULL) AS restated, max(c.checked_at) AS checked_at
    FROM s JOIN cdp_data.coverage c ON c.connection_id = stream_coverage.connection_id AND c.stream_id = s.stream_id
    GROUP BY s.stream_id, s.name, s.due_day, c.part
  )
  SELECT p.name::text, min(p.first_day), min(p.due_day), count(*), sum(p.due)::bigint, sum(p.due - p.known)::bigint, sum(p.provisional)::bigint, sum(p.final)::bigint, sum(p.suspect)::bigint, sum(p.unavailable)::bigint,
    round(sum(p.provisional + p.final) / nullif(sum(p.due - p.unavailable), 0), 4), round(sum(p.final) / nullif(sum(p.due - p.unavailable), 0), 4), sum(p.overdue)::bigint, sum(p.restated)::bigint, max(p.checked_at)
  FROM p GROUP BY p.stream_id, p.name ORDER BY p.name;
END
$$;
COMMENT ON FUNCTION cdp_internal.stream_coverage(integer, timestamptz) IS
'Of a connection, each stream that is asked by days and was asked: what cdp_bi.connection_coverage tells, at as_of. Days are due when they are ready (cdp_internal.day_ready()). For who reads cdp_data.coverage.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_landing()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.coverage') IS NULL OR NOT has_table_privilege('cdp_data.coverage', 'SELECT') OR NOT has_table_privilege('cdp_data.connection', 'SELECT') THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', v.finding, format('stream %s of connection %s: %s %s', v.stream, quote_ident(v.name), v.n, v.words), v.remedy
  FROM (
    SELECT c.name, s.stream, x.* FROM cdp_data.connection c CROSS JOIN LATERAL cdp_internal.stream_coverage(c.connection_id, now()) s
      CROSS JOIN LATERAL (VALUES ('coverage_overdue', s.overdue - s.suspect_zero, 'days are due for a day and more and not there', 'SELECT * FROM cdp_data.coverage WHERE state = ''missing''; pull them; days without a row were never asked for'),
        ('coverage_suspect', s.suspect_zero, 'days were told as nothing and are not believed', 'Pull them again: a second pull an hour later settles it')) AS x (finding, n, words, remedy)
    WHERE c.state IN ('shadow', 'live', 'degraded') AND x.n > 0) v
  ORDER BY 2, 3;
  IF has_column_privilege('cdp_data.raw_refused', 'code', 'SELECT') THEN
    RETURN QUERY
    SELECT 'warning', 'records_refused', format('stream %s of connection %s: %s records have %s', s.name, quote_ident(c.name), count(*), f.code), 'Mend the manifest with cdp.add_connector(), then SELECT cdp.replay_page(page_id) for the pages of cdp_data.raw_refused'
    FROM cdp_data.raw_refused f JOIN cdp_data.stream s USING (connection_id, stream_id) JOIN cdp_data.connection c USING (connection_id)
    WHERE c.state <> 'retired' GROUP BY c.name, s.name, f.code ORDER BY 3;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_landing() IS
'Findings of cdp.health() about what connections brought: days that are overdue, zeros that are not believed, records that were refused.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_values_landing(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
  words bigint[] := cdp_internal.erase_tokens(identifiers);
  vals text[] := ARRAY(SELECT i.value FROM cdp_data.identifier i WHERE i.identifier_id = ANY (identifiers));
  more bigint;
BEGIN
  -- A page that nobody can read may name anybody.
  DELETE FROM cdp_data.raw_page p WHERE p.tokens && words;
  GET DIAGNOSTICS n = ROW_COUNT;
  DELETE FROM cdp_data.raw_page p WHERE p.unread;
  GET DIAGNOSTICS more = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.raw_page', 'delete', erase_of_values_landing.n + more;
  DELETE FROM cdp_data.raw_refused f WHERE f.tokens && words;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.raw_refused', 'delete', erase_of_values_landing.n;
  -- With a record all that it ever said goes, also what did not name her yet; and what only named her before.
  WITH gone AS (DELETE FROM cdp_data.raw_record r WHERE r.tokens && words RETURNING r.connection_id, r.stream_id, r.record_key),
    past AS (DELETE FROM cdp_data.raw_record_history h USING gone g WHERE (h.connection_id, h.stream_id, h.record_key) = (g.connection_id, g.stream_id, g.record_key) RETURNING 1)
  SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM past) INTO n, more;
  RETURN QUERY SELECT 'cdp_data.raw_record', 'delete', erase_of_values_landing.n;
  DELETE FROM cdp_data.raw_record_history h WHERE h.tokens && words;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.raw_record_history', 'delete', erase_of_values_landing.n + more;
  -- A cursor may be an identifier, such as next_openid: the next pull begins anew.
  UPDATE cdp_data.stream_part t SET next = NULL WHERE cdp_internal.content_tokens(t.next) && words;
  DELETE FROM cdp_data.stream_part t USING cdp_data.stream s WHERE t.connection_id = s.connection_id AND t.stream_id = s.stream_id AND t.part = ANY (vals);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.stream_part', 'delete', erase_of_values_landing.n;
  DELETE FROM cdp_data.coverage c USING cdp_data.stream s WHERE c.connection_id = s.connection_id AND c.stream_id = s.stream_id AND c.part = ANY (vals);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.coverage', 'delete', erase_of_values_landing.n;
  DELETE FROM cdp_data.coverage_history c USING cdp_data.stream s WHERE c.connection_id = s.connection_id AND c.stream_id = s.stream_id AND c.part = ANY (vals);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.coverage_history', 'delete', erase_of_values_landing.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_values_landing(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes pages and records that name a person, with their history, refused ones, pages that nobody can read, and what says that a stream was asked by an identifier of his. Returns what was done per table.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_landing()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  cutoff timestamptz := (SELECT cdp_internal.cutoff(now(), s.page_retention) FROM cdp_data.setting s);
  n bigint := 0;
BEGIN
  IF cutoff IS NOT NULL THEN
    WITH gone AS (DELETE FROM cdp_data.raw_page p WHERE p.fetched_at < cutoff RETURNING p.page_id),
      bad AS (DELETE FROM cdp_data.raw_refused f USING gone g WHERE f.page_id = g.page_id)
    SELECT count(*) INTO n FROM gone;
    DELETE FROM cdp_data.raw_refused f WHERE f.refused_at < cutoff;
  END IF;
  RAISE NOTICE 'maintain: % pages of connections past their retention', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_landing() IS
'Part of cdp.maintain(): pages older than cdp_data.setting.page_retention, and the records in them that were refused.';
