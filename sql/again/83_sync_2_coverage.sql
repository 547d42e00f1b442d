-- Connector room, landing: the ledger of days, what it adds to health, erasure and maintenance.

CREATE OR REPLACE FUNCTION cdp_internal.day_ready(day date, stream jsonb, zone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ((day + 1 + coalesce((stream #>> '{window,delay_days}')::integer, 0)) + coalesce(stream #>> '{window,ready_at}', '00:00')::time) AT TIME ZONE zone;
COMMENT ON FUNCTION cdp_internal.day_ready(date, jsonb, text) IS
'From when on a vendor has the figures of a day: delay_days after it is over, at ready_at, in the zone of the manifest; stream is its part of the manifest.';

CREATE OR REPLACE FUNCTION cdp_internal.usual_count(connection_id integer, stream_id smallint, part text, day date, own jsonb DEFAULT '{}') RETURNS double precision
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
  RETURN (SELECT CASE WHEN count(*) >= 2 THEN percentile_cont(0.5) WITHIN GROUP (ORDER BY v.nonzero) END FROM (
    SELECT c.nonzero FROM generate_series(1, 8) w JOIN cdp_data.coverage c ON c.connection_id = usual_count.connection_id AND c.stream_id = usual_count.stream_id AND c.part = usual_count.part AND c.day = usual_count.day - 7 * w
    WHERE c.state = 'final' AND NOT own ? to_char(c.day, 'YYYY-MM-DD')
    UNION ALL
    SELECT (own ->> to_char(usual_count.day + 7 * w, 'YYYY-MM-DD'))::bigint FROM generate_series(-8, 8) w WHERE w <> 0 AND own ? to_char(usual_count.day + 7 * w, 'YYYY-MM-DD')) v);
END
$$;
COMMENT ON FUNCTION cdp_internal.usual_count(integer, smallint, text, date, jsonb) IS
'Median of the records that are not all zero on the same weekday: of final days of the eight weeks before a day, and of what the pull that tells the day tells of the eight weeks before and after it (day to number). NULL: there are fewer than two.';

CREATE OR REPLACE FUNCTION cdp_internal.pull_facts(first_page bigint, OUT pull_id bigint, OUT is_whole boolean, OUT pulled_at timestamptz, OUT page_id bigint, OUT refused bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
  -- Of pages that were asked for twice the later one counts.
  SELECT first_page, count(*) = max(t.nth) AND bool_or(t.done AND t.nth = t.most) AND NOT bool_or(t.broken OR t.verb = 'ok' AND t.unread), max(t.fetched_at), max(t.page_id), coalesce(sum(t.refused), 0)
  INTO pull_id, is_whole, pulled_at, page_id, refused
  FROM (SELECT DISTINCT ON (x.nth) x.nth, x.done, x.broken, x.verb, x.unread, x.fetched_at, x.page_id, x.refused, max(x.nth) OVER () AS most
    FROM cdp_data.raw_page x WHERE x.pull_id = first_page AND x.verb IN ('ok', 'ignore') ORDER BY x.nth, x.fetched_at DESC, x.page_id DESC) t;
  is_whole := coalesce(is_whole, false);
END
$$;
COMMENT ON FUNCTION cdp_internal.pull_facts(bigint) IS
'Of the pull that began with a page: whether it is whole (each page from the first to the last has landed, and is there still), when its last page was fetched, and how many records were refused. Not whole for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.pull_days(first_page bigint) RETURNS TABLE (day text, n bigint, nonzero bigint, moved bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT e.key, sum((e.value ->> 0)::bigint)::bigint, sum((e.value ->> 1)::bigint)::bigint, sum((e.value ->> 2)::bigint)::bigint
  FROM (SELECT DISTINCT ON (x.nth) x.days FROM cdp_data.raw_page x WHERE x.pull_id = first_page AND x.verb = 'ok' ORDER BY x.nth, x.fetched_at DESC, x.page_id DESC) t, jsonb_each(t.days) e GROUP BY 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.pull_days(bigint) IS
'What the pages of a pull say about days: as cdp_data.raw_page.days, added up.';

CREATE OR REPLACE FUNCTION cdp_internal.cover_days(p record, manifest jsonb, stream text, pull record, days date[], again boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
  zone text := manifest ->> 'tz';
  stays integer := coalesce((spec #>> '{window,final_after_days}')::integer, (spec #>> '{window,lookback_days}')::integer, 0);
  counts boolean := pull.is_whole;
  at timestamptz := CASE WHEN again THEN pull.pulled_at ELSE p.fetched_at END;
  page bigint := CASE WHEN again THEN pull.page_id ELSE p.page_id END;
  bad bigint := CASE WHEN counts THEN pull.refused ELSE 0 END;
  -- A window of several days whose records tell no day.
  together integer := CASE WHEN NOT spec ? 'ref_date' THEN nullif(p.window_to - p.window_from, 0) + 1 END;
  -- What a long window tells of the same weekday; a first pull of history has nothing else to be judged by.
  own jsonb := CASE WHEN counts AND together IS NULL AND p.window_to - p.window_from >= 7 THEN
    (SELECT jsonb_object_agg(to_char(d.day, 'YYYY-MM-DD'), coalesce(s.nonzero, 0)) FROM unnest(days) AS d (day) LEFT JOIN cdp_internal.pull_days(pull.pull_id) s ON s.day = to_char(d.day, 'YYYY-MM-DD')) ELSE '{}' END;
  reason text := CASE WHEN p.verb NOT IN ('ok', 'ignore') THEN concat_ws(' ', p.verb, p.code) WHEN p.broken THEN p.problem WHEN p.unread THEN 'the body could not be read' ELSE 'a page before it is missing' END;
BEGIN
  WITH sums AS MATERIALIZED (
    SELECT * FROM cdp_internal.pull_days(CASE WHEN counts THEN pull.pull_id END)
  ), facts AS (
    SELECT d.day, coalesce(s.n, 0) AS n, coalesce(s.nonzero, 0) AS nonzero, coalesce(s.moved, 0) AS moved, o.state AS old_state, o.records AS old_n, o.nonzero AS old_nonzero, o.zero_at AS old_zero, o.final_at AS old_final,
      o.restated_at AS old_restated, o.reason AS old_reason, o.first_pulled_at AS old_first, o.pull_id AS old_pull, o.pulled_at AS old_pulled, o.told AS old_told, o.told_nonzero AS old_told_nonzero, o.refused AS old_refused,
      at >= (d.day + 1)::timestamp AT TIME ZONE zone AS is_over, at >= cdp_internal.day_ready(d.day, spec, zone) AS is_ready, at >= cdp_internal.day_ready(d.day + stays, spec, zone) AS is_final,
      CASE WHEN counts AND bad = 0 AND coalesce(s.nonzero, 0) = 0 THEN cdp_internal.usual_count(p.connection_id, p.stream_id, p.part, d.day, own) END AS usual
    FROM unnest(days) AS d (day) LEFT JOIN sums s ON s.day = '*' OR s.day = to_char(d.day, 'YYYY-MM-DD')
      LEFT JOIN cdp_data.coverage o ON o.connection_id = p.connection_id AND o.stream_id = p.stream_id AND o.part = p.part AND o.day = d.day
    -- What the pull said before is told no better by saying it again.
    WHERE NOT again OR o.pull_id IS DISTINCT FROM pull.pull_id OR (o.told, o.told_nonzero, o.refused) IS DISTINCT FROM (coalesce(s.n, 0), coalesce(s.nonzero, 0), bad)
  ), doubts AS (
    SELECT f.*, counts AND bad = 0 AND f.nonzero = 0 AND (coalesce(f.old_nonzero, 0) > 0 OR coalesce(f.usual, 0) > 0)
        AND NOT coalesce(f.is_ready AND f.old_zero + interval '1 hour' <= at, false) AND f.is_over AS is_doubted,
      -- Records that were refused are of some day of the window: what was known of it is not given up for less.
      counts AND bad > 0 AND f.nonzero < coalesce(f.old_nonzero, 0) OR counts AND f.nonzero = 0 AND coalesce(f.old_nonzero, 0) > 0 AND NOT f.is_over AS is_kept
    FROM facts f
  ), judged AS (
    SELECT f.day, f.old_state, f.old_n, f.moved,
      CASE WHEN NOT counts THEN CASE WHEN p.verb = 'skip_partition' AND coalesce(f.old_state, 'missing') = 'missing' THEN 'unavailable' ELSE coalesce(f.old_state, 'missing') END
        WHEN f.is_doubted THEN 'suspect_zero'
        WHEN f.is_kept THEN f.old_state
        WHEN NOT f.is_over AND f.nonzero = 0 THEN 'missing'
        WHEN bad > 0 AND f.old_state IS DISTINCT FROM 'final' THEN 'provisional'
        WHEN f.is_final OR f.old_state = 'final' AND bad > 0 THEN 'final' ELSE 'provisional' END AS state,
      CASE WHEN NOT counts OR f.is_kept OR f.is_doubted AND coalesce(f.old_nonzero, 0) > 0 THEN coalesce(f.old_n, 0) ELSE f.n END AS n,
      CASE WHEN NOT counts OR f.is_kept OR f.is_doubted OR f.nonzero = 0 AND NOT f.is_over THEN coalesce(f.old_nonzero, 0) ELSE f.nonzero END AS nonzero,
      CASE WHEN NOT counts OR bad > 0 AND f.nonzero = 0 THEN f.old_zero WHEN f.nonzero > 0 THEN NULL WHEN f.is_ready THEN coalesce(f.old_zero, at) END AS zero_at,
      CASE WHEN NOT counts THEN CASE WHEN coalesce(f.old_state, 'missing') = 'missing' THEN reason ELSE f.old_reason END
        WHEN f.is_doubted THEN CASE WHEN coalesce(f.old_nonzero, 0) > 0 THEN format('nothing, after %s', f.old_nonzero) ELSE format('nothing, usually %s', f.usual) END
        WHEN NOT f.is_over THEN 'the day is not over' WHEN bad > 0 THEN format('%s records refused', bad) WHEN NOT f.is_ready THEN 'told before it is ready'
        WHEN f.nonzero = 0 AND f.old_zero < at THEN 'nothing, told again' WHEN together IS NOT NULL THEN format('the total of %s days', together) END AS reason,
      f.old_final, f.old_restated, f.old_first,
      CASE WHEN counts THEN pull.pull_id ELSE f.old_pull END AS pull_id, CASE WHEN counts THEN at ELSE f.old_pulled END AS pulled_at,
      CASE WHEN counts THEN f.n ELSE f.old_told END AS told, CASE WHEN counts THEN f.nonzero ELSE f.old_told_nonzero END AS told_nonzero, CASE WHEN counts THEN bad ELSE coalesce(f.old_refused, 0) END AS refused
    FROM doubts f
  ), rows AS (
    SELECT j.*, coalesce(j.old_state = 'final' AND counts AND NOT again AND (j.n <> j.old_n OR j.moved > 0) AND j.state <> 'suspect_zero', false) AS is_restated FROM judged j
  ), history AS (
    INSERT INTO cdp_data.coverage_history (connection_id, stream_id, part, day, source_id, at, from_state, to_state, from_records, to_records, restated, reason, page_id)
    SELECT p.connection_id, p.stream_id, p.part, r.day, p.source_id, at, r.old_state, r.state, r.old_n, r.n, r.is_restated, r.reason, page
    FROM rows r WHERE r.old_state IS NOT NULL AND (r.old_state <> r.state OR r.old_n <> r.n OR r.is_restated) ORDER BY r.day
  )
  INSERT INTO cdp_data.coverage AS c (connection_id, stream_id, part, day, source_id, state, records, nonzero, pulls, first_pulled_at, checked_at, final_at, restated_at, zero_at, reason, page_id, pull_id, pulled_at, told, told_nonzero, refused)
  SELECT p.connection_id, p.stream_id, p.part, r.day, p.source_id, r.state, r.n, r.nonzero, CASE WHEN counts AND NOT again THEN 1 ELSE 0 END,
    coalesce(r.old_first, CASE WHEN r.state IN ('provisional', 'final') THEN at END), at, CASE r.state WHEN 'final' THEN coalesce(r.old_final, at) END,
    CASE WHEN r.is_restated THEN at ELSE r.old_restated END, r.zero_at, r.reason, page, r.pull_id, r.pulled_at, r.told, r.told_nonzero, r.refused
  FROM rows r ORDER BY r.day
  ON CONFLICT (connection_id, stream_id, part, day) DO UPDATE
  SET state = excluded.state, records = excluded.records, nonzero = excluded.nonzero, pulls = c.pulls + excluded.pulls, first_pulled_at = excluded.first_pulled_at,
    checked_at = greatest(c.checked_at, excluded.checked_at), final_at = excluded.final_at, restated_at = excluded.restated_at, zero_at = excluded.zero_at, reason = excluded.reason, page_id = excluded.page_id,
    pull_id = excluded.pull_id, pulled_at = excluded.pulled_at, told = excluded.told, told_nonzero = excluded.told_nonzero, refused = excluded.refused;
END
$$;
COMMENT ON FUNCTION cdp_internal.cover_days(record, jsonb, text, record, date[], boolean) IS
'Writes what a pull (cdp_internal.pull_facts()) says about days to cdp_data.coverage, and what that changed to coverage_history; a pull that is not whole only why they are missing. A day is final final_after_days (else lookback_days) after it is ready. Nothing, where there was something or the median of the weekday is above zero (cdp_internal.usual_count(): final days of before, and those of the pull itself), is suspect until another pull at least an hour later, and past the time at which the day is ready, says so as well. A pull with refused records makes no day final and takes nothing back. again: its page p landed before, so that it is no other pull and no restatement. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.cover_page(p record, manifest jsonb, stream text, is_late boolean, late_days datemultirange) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  days date[];
  pull record;
BEGIN
  IF p.verb = 'ok' AND NOT coalesce(p.done, false) AND p.pull_id IS NOT NULL THEN
    RETURN; -- a page in the midst of a pull
  END IF;
  IF p.window_from IS NOT NULL THEN
    days := ARRAY(SELECT p.window_from + i FROM generate_series(0, p.window_to - p.window_from) i WHERE NOT late_days @> (p.window_from + i) ORDER BY 1);
    IF days = '{}' THEN
      RETURN;
    END IF;
  ELSIF is_late OR p.done IS NULL THEN
    RETURN;
  END IF;
  pull := cdp_internal.pull_facts(CASE WHEN p.done THEN p.pull_id END);
  IF days IS NOT NULL THEN
    PERFORM cdp_internal.cover_days(p, manifest, stream, pull, days, false);
  END IF;
  IF pull.is_whole AND pull.refused = 0 THEN
    PERFORM cdp_internal.mark_parts(p, manifest, stream, cdp_internal.mark_gone(p, manifest -> 'streams' -> stream));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.cover_page(record, jsonb, text, boolean, datemultirange) IS
'After a page: when it ends a pull, or is none, what that says about the days of its window, but those about which newer pages have landed, and which records are gone. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.cover_again(p record, manifest jsonb, stream text, was_done boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  d record;
  -- Its pull is none any more, by what is read in it now; a pull of which only pages are gone since was one.
  fails boolean := p.verb NOT IN ('ok', 'ignore') OR p.broken OR p.verb = 'ok' AND p.unread OR was_done AND NOT p.done;
BEGIN
  IF p.window_from IS NULL THEN
    RETURN;
  END IF;
  FOR d IN
    SELECT q.pull_id, array_agg(g.day ORDER BY g.day) AS days
    FROM (SELECT p.window_from + i AS day FROM generate_series(0, p.window_to - p.window_from) i) g
      LEFT JOIN cdp_data.coverage c ON c.connection_id = p.connection_id AND c.stream_id = p.stream_id AND c.part = p.part AND c.day = g.day
      LEFT JOIN LATERAL (
        SELECT e.pull_id FROM (
          SELECT x.pull_id, x.fetched_at FROM cdp_data.raw_page x
          WHERE x.connection_id = p.connection_id AND x.stream_id = p.stream_id AND x.part = p.part AND x.window_from BETWEEN g.day - 400 AND g.day AND x.window_to >= g.day
            AND x.done AND NOT x.broken AND x.pull_id IS NOT NULL AND x.verb IN ('ok', 'ignore') ORDER BY x.fetched_at DESC, x.page_id DESC OFFSET 0) e
        WHERE (cdp_internal.pull_facts(e.pull_id)).is_whole LIMIT 1) q ON true
    -- A newer pull whose pages are not kept any more said more than this one.
    WHERE c.pulled_at IS NULL OR c.pull_id = p.pull_id AND fails OR c.pull_id = q.pull_id OR c.pulled_at <= (SELECT max(x.fetched_at) FROM cdp_data.raw_page x WHERE x.pull_id = q.pull_id)
    GROUP BY q.pull_id ORDER BY q.pull_id
  LOOP
    IF d.pull_id IS NOT NULL THEN
      PERFORM cdp_internal.cover_days(p, manifest, stream, cdp_internal.pull_facts(d.pull_id), d.days, true);
    ELSE
      -- The pull that told of them is none any more, by the manifest of today.
      WITH was AS (
        UPDATE cdp_data.coverage c SET state = 'missing', records = 0, nonzero = 0, final_at = NULL, zero_at = NULL, reason = CASE WHEN p.verb NOT IN ('ok', 'ignore') THEN concat_ws(' ', p.verb, p.code) ELSE coalesce(p.problem, 'there is more') END, page_id = p.page_id,
          pull_id = NULL, pulled_at = NULL, told = NULL, told_nonzero = NULL, refused = 0
        FROM cdp_data.coverage o
        WHERE c.connection_id = p.connection_id AND c.stream_id = p.stream_id AND c.part = p.part AND c.day = ANY (d.days) AND c.pull_id = p.pull_id
          AND (o.connection_id, o.stream_id, o.part, o.day) = (c.connection_id, c.stream_id, c.part, c.day)
        RETURNING c.day, o.state, o.records, c.reason)
      INSERT INTO cdp_data.coverage_history (connection_id, stream_id, part, day, source_id, at, from_state, to_state, from_records, to_records, restated, reason, page_id)
      SELECT p.connection_id, p.stream_id, p.part, w.day, p.source_id, p.fetched_at, w.state, 'missing', w.records, 0, false, w.reason, p.page_id FROM was w WHERE w.state <> 'missing' ORDER BY w.day;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.cover_again(record, jsonb, text, boolean) IS
'After the replay of a page, which ended its pull before or not (was_done): each day of its window is told by the newest whole pull about it, whichever that is now. Days of a pull some of whose pages were deleted since stay as they are. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.write_gone(p record, lost text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  n bigint;
BEGIN
  INSERT INTO cdp_data.raw_record_history (connection_id, stream_id, record_key, revision, source_id, ref_date, from_at, to_at, page_id, payload, tokens)
  SELECT r.connection_id, r.stream_id, r.record_key, r.revision, r.source_id, r.ref_date, r.changed_at, p.fetched_at, p.page_id, r.payload, r.tokens
  FROM cdp_data.raw_record r WHERE r.connection_id = p.connection_id AND r.stream_id = p.stream_id AND r.record_key = ANY (lost);
  UPDATE cdp_data.raw_record r SET gone_at = p.fetched_at, changed_at = greatest(r.changed_at, p.fetched_at), page_id = p.page_id, revision = r.revision + 1, zero_at = NULL
  WHERE r.connection_id = p.connection_id AND r.stream_id = p.stream_id AND r.record_key = ANY (lost);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.write_gone(record, text[]) IS
'Marks these records of the stream of a page as gone by that page, their value goes to the history. Returns how many. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.others_known(p record, days date[], first_page bigint, last_page bigint) RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off
AS $$
#variable_conflict use_variable
BEGIN
  -- Three ways to ask, so that each meets its index.
  IF days IS NOT NULL THEN
    RETURN QUERY SELECT r.record_key::text FROM cdp_data.raw_record r WHERE r.connection_id = p.connection_id AND r.stream_id = p.stream_id AND r.part = p.part AND r.ref_date = ANY (days)
      AND r.gone_at IS NULL AND r.changed_at <= p.fetched_at AND r.page_id NOT BETWEEN first_page AND last_page;
  ELSIF p.part <> '' THEN
    RETURN QUERY SELECT r.record_key::text FROM cdp_data.raw_record r WHERE r.connection_id = p.connection_id AND r.stream_id = p.stream_id AND r.part = p.part AND r.part <> ''
      AND r.gone_at IS NULL AND r.changed_at <= p.fetched_at AND r.page_id NOT BETWEEN first_page AND last_page;
  ELSE
    RETURN QUERY SELECT r.record_key::text FROM cdp_data.raw_record r WHERE r.connection_id = p.connection_id AND r.stream_id = p.stream_id AND r.part = ''
      AND r.gone_at IS NULL AND r.changed_at <= p.fetched_at AND r.page_id NOT BETWEEN first_page AND last_page;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.others_known(record, date[], bigint, bigint) IS
'Keys of the records of the part of a page, and of these days (NULL: of all), that were known before it, are not gone, and were not told last by pages first_page to last_page. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.mark_gone(p record, spec jsonb) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off SET enable_nestloop = off SET enable_seqscan = off
AS $$
DECLARE
  days date[];
  told bigint;
  first_page bigint;
  last_page bigint;
  lost text[];
  again timestamptz;
BEGIN
  -- A cursor that is kept tells what is new; a window that is not of the record's own day does not tell all of it.
  IF coalesce((spec #>> '{cursor,keep}')::boolean, false) OR p.window_from IS NOT NULL AND (NOT spec ? 'ref_date' OR (SELECT s.strays FROM cdp_data.stream s WHERE s.connection_id = p.connection_id AND s.stream_id = p.stream_id)) THEN
    RETURN 0;
  END IF;
  IF p.window_from IS NOT NULL THEN
    days := ARRAY(SELECT c.day FROM cdp_data.coverage c WHERE c.connection_id = p.connection_id AND c.stream_id = p.stream_id AND c.part = p.part AND c.day BETWEEN p.window_from AND p.window_to
      AND c.pull_id = p.pull_id AND c.records = c.told AND c.state IN ('provisional', 'final'));
    IF days = '{}' THEN
      RETURN 0;
    END IF;
  ELSE
    SELECT t.zero_at INTO again FROM cdp_data.stream_part t WHERE t.connection_id = p.connection_id AND t.stream_id = p.stream_id AND t.part = p.part;
  END IF;
  -- Where the pages of the pull stand together, what was told last by one of them is told; of a first pull that is all.
  SELECT coalesce(sum(cardinality(x.keys)), 0), min(x.page_id), CASE WHEN count(DISTINCT x.nth) = (SELECT count(*) FROM cdp_data.raw_page y WHERE y.page_id BETWEEN min(x.page_id) AND max(x.page_id)) THEN max(x.page_id) ELSE 0 END
  INTO told, first_page, last_page FROM cdp_data.raw_page x WHERE x.pull_id = p.pull_id AND x.verb = 'ok';
  WITH other AS MATERIALIZED (
    SELECT k AS record_key FROM cdp_internal.others_known(p, days, first_page, last_page) k
  ), keys AS MATERIALIZED (
    SELECT DISTINCT k FROM (SELECT DISTINCT ON (x.nth) x.keys FROM cdp_data.raw_page x WHERE x.pull_id = p.pull_id AND x.verb = 'ok' ORDER BY x.nth, x.fetched_at DESC, x.page_id DESC) t, unnest(t.keys) k
    WHERE EXISTS (SELECT FROM other)
  )
  SELECT array_agg(o.record_key ORDER BY o.record_key COLLATE "C") INTO lost FROM other o WHERE NOT EXISTS (SELECT FROM keys t WHERE t.k = hashtextextended(o.record_key COLLATE "C", 0));
  IF days IS NULL AND (told = 0 AND lost IS NOT NULL AND again IS NULL OR again IS NOT NULL AND (told > 0 OR lost IS NULL)) THEN
    UPDATE cdp_data.stream_part t SET zero_at = CASE WHEN again IS NULL THEN p.fetched_at END WHERE t.connection_id = p.connection_id AND t.stream_id = p.stream_id AND t.part = p.part;
  END IF;
  IF lost IS NULL OR days IS NULL AND told = 0 AND NOT coalesce(again + interval '1 hour' <= p.fetched_at, false) THEN
    RETURN 0;
  END IF;
  RETURN cdp_internal.write_gone(p, lost);
END
$$;
COMMENT ON FUNCTION cdp_internal.mark_gone(record, jsonb) IS
'After the last page of a whole pull without refused records: what was known of its part, and of its days (those that are believed), and is not told any more, is gone from then on. Nothing of a stream whose cursor is kept, whose records tell no day, or tell days outside of their window. A list that tells nothing at all is believed when another pull an hour later says so as well. Returns how many. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.drop_keys(p record, was bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  lost bigint[];
  keys text[];
BEGIN
  IF was IS NULL OR p.body IS NULL THEN
    RETURN 0;
  END IF;
  lost := ARRAY(SELECT unnest(was) EXCEPT SELECT unnest(p.keys));
  IF lost = '{}' THEN
    RETURN 0;
  END IF;
  keys := ARRAY(SELECT r.record_key FROM cdp_data.raw_record r
    WHERE r.connection_id = p.connection_id AND r.stream_id = p.stream_id AND r.page_id = p.page_id AND r.page_id > 0 AND r.gone_at IS NULL AND hashtextextended(r.record_key, 0) = ANY (lost) ORDER BY 1);
  RETURN CASE WHEN keys <> '{}' THEN cdp_internal.write_gone(p, keys) ELSE 0 END;
END
$$;
COMMENT ON FUNCTION cdp_internal.drop_keys(record, bigint[]) IS
'After the replay of a page: records that only it said, under keys that it does not make any more, are gone. was: hashes of the keys that it made before. Returns how many. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.gone_parts(connection_id integer, manifest jsonb, stream text) RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  spec jsonb := manifest -> 'streams' -> stream -> 'partition';
  origin smallint := (SELECT s.stream_id FROM cdp_data.stream s WHERE s.connection_id = gone_parts.connection_id AND s.name = spec ->> 'from');
  path text[] := string_to_array(coalesce(spec ->> 'value', '@'), '.');
BEGIN
  IF origin IS NULL OR spec ? 'fields' THEN
    RETURN;
  END IF;
  RETURN QUERY
  WITH told AS MATERIALIZED (
    SELECT v.value, bool_and(r.gone_at IS NOT NULL) AS is_gone
    FROM cdp_data.raw_record r CROSS JOIN LATERAL (SELECT CASE WHEN path = '{@}' THEN r.payload #>> '{}' ELSE r.payload #>> path END) AS v (value)
    WHERE r.connection_id = gone_parts.connection_id AND r.stream_id = origin AND v.value IS NOT NULL GROUP BY v.value)
  SELECT t.value FROM told t WHERE t.is_gone AND NOT spec ? 'chunk'
  UNION
  SELECT p.part::text FROM cdp_data.stream s JOIN cdp_data.stream_part p ON p.connection_id = s.connection_id AND p.stream_id = s.stream_id
  WHERE spec ? 'chunk' AND s.connection_id = gone_parts.connection_id AND s.name = stream AND p.part LIKE '[%]'
    AND EXISTS (SELECT FROM jsonb_array_elements_text((cdp_internal.decode_body(convert_to(p.part, 'UTF8'))).doc) e (value) JOIN told t ON t.value = e.value WHERE t.is_gone)
  ORDER BY 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.gone_parts(integer, jsonb, text) IS
'What a stream was asked by and is not to be asked any more: values of the records of the stream that its partitions come from that are all gone; lists with one of them. None when that stream never landed, or takes several fields. For who reads cdp_data.raw_record.';

CREATE OR REPLACE FUNCTION cdp_internal.mark_parts(p record, manifest jsonb, stream text, lost bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  d record;
  gone text[];
BEGIN
  FOR d IN
    SELECT s.name, s.stream_id FROM cdp_data.stream s WHERE s.connection_id = p.connection_id AND manifest #>> ARRAY['streams', s.name, 'partition', 'from'] = stream ORDER BY s.stream_id
  LOOP
    CONTINUE WHEN lost = 0 AND NOT EXISTS (SELECT FROM cdp_data.stream_part t WHERE t.connection_id = p.connection_id AND t.stream_id = d.stream_id AND t.gone_at IS NOT NULL);
    gone := ARRAY(SELECT cdp_internal.gone_parts(p.connection_id, manifest, d.name));
    WITH moved AS (
      UPDATE cdp_data.stream_part t SET gone_at = CASE WHEN t.part = ANY (gone) THEN p.fetched_at END
      WHERE t.connection_id = p.connection_id AND t.stream_id = d.stream_id AND (t.gone_at IS NULL) = (t.part = ANY (gone)) RETURNING t.part, t.gone_at)
    UPDATE cdp_data.coverage c SET gone_at = m.gone_at FROM moved m WHERE c.connection_id = p.connection_id AND c.stream_id = d.stream_id AND c.part = m.part;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.mark_parts(record, jsonb, text, bigint) IS
'After a whole pull of a stream in which so many records were lost: marks what other streams are asked by, and does not come from its records any more (cdp_internal.gone_parts()), and what came back. Needs the rights of the tables'' owner.';

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
    SELECT t.stream_id, t.name, (as_of AT TIME ZONE z.zone - coalesce(w.window ->> 'ready_at', '00:00')::time)::date - 1 - coalesce((w.window ->> 'delay_days')::integer, 0) AS due_day,
      m #> ARRAY['streams', t.name] AS spec, z.zone
    FROM cdp_data.stream t CROSS JOIN LATERAL (SELECT m #> ARRAY['streams', t.name, 'window'] AS "window") w CROSS JOIN (SELECT m ->> 'tz' AS zone) z
    WHERE t.connection_id = stream_coverage.connection_id AND w.window IS NOT NULL
  ), told AS (
    -- What was told before it was ready is not there once it is due.
    SELECT c.*, c.state IN ('provisional', 'final') AND coalesce(c.pulled_at >= cdp_internal.day_ready(c.day, s.spec, s.zone), true) AS is_there, s.name, s.due_day
    FROM s JOIN cdp_data.coverage c ON c.connection_id = stream_coverage.connection_id AND c.stream_id = s.stream_id
  ), p AS (
    -- One row for each partition that is not gone; days that nobody asked for have no row and are missing.
    SELECT c.stream_id, c.name, c.due_day, min(c.day) AS first_day, greatest(0, c.due_day - min(c.day) + 1)::bigint AS due,
      count(*) FILTER (WHERE c.day <= c.due_day AND (c.is_there OR c.state IN ('suspect_zero', 'unavailable'))) AS known, count(*) FILTER (WHERE c.day <= c.due_day AND c.state = 'provisional' AND c.is_there) AS provisional,
      count(*) FILTER (WHERE c.day <= c.due_day AND c.state = 'final') AS final, count(*) FILTER (WHERE c.day <= c.due_day AND c.state = 'suspect_zero') AS suspect,
      count(*) FILTER (WHERE c.day <= c.due_day AND c.state = 'unavailable') AS unavailable,
      greatest(0, c.due_day - 1 - min(c.day) + 1)::bigint - count(*) FILTER (WHERE c.day <= c.due_day - 1 AND (c.is_there OR c.state = 'unavailable')) AS overdue,
      count(*) FILTER (WHERE c.restated_at IS NOT NULL) AS restated, max(c.checked_at) AS checked_at
    FROM told c
    GROUP BY c.stream_id, c.name, c.due_day, c.part HAVING NOT bool_or(c.gone_at IS NOT NULL)
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
  parts bigint;
  days bigint;
  changes bigint;
  more bigint;
BEGIN
  -- A page that nobody can read may name anybody. With a page go the records in it that were refused: nothing could read them again.
  WITH gone AS (DELETE FROM cdp_data.raw_page p WHERE p.tokens && words OR p.unread RETURNING p.page_id),
    bad AS (DELETE FROM cdp_data.raw_refused f USING gone g WHERE f.page_id = g.page_id RETURNING 1)
  SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM bad) INTO n, more;
  RETURN QUERY SELECT 'cdp_data.raw_page', 'delete', erase_of_values_landing.n;
  DELETE FROM cdp_data.raw_refused f WHERE f.tokens && words;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.raw_refused', 'delete', erase_of_values_landing.n + more;
  -- With a record all that it ever said goes, also what did not name her yet; and what only named her before.
  WITH gone AS (DELETE FROM cdp_data.raw_record r WHERE r.tokens && words RETURNING r.connection_id, r.stream_id, r.record_key),
    past AS (DELETE FROM cdp_data.raw_record_history h USING gone g WHERE (h.connection_id, h.stream_id, h.record_key) = (g.connection_id, g.stream_id, g.record_key) RETURNING 1)
  SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM past) INTO n, more;
  RETURN QUERY SELECT 'cdp_data.raw_record', 'delete', erase_of_values_landing.n;
  DELETE FROM cdp_data.raw_record_history h WHERE h.tokens && words;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.raw_record_history', 'delete', erase_of_values_landing.n + more;
  -- A cursor may be an identifier, such as next_openid: the next pull begins anew.
  UPDATE cdp_data.stream_part t SET next = NULL WHERE t.next IS NOT NULL AND cdp_internal.content_tokens(t.next) && words;
  WITH gone AS (DELETE FROM cdp_data.stream_part t WHERE t.tokens && words RETURNING t.connection_id, t.stream_id, t.part),
    day AS (DELETE FROM cdp_data.coverage c USING gone g WHERE (c.connection_id, c.stream_id, c.part) = (g.connection_id, g.stream_id, g.part) RETURNING 1),
    change AS (DELETE FROM cdp_data.coverage_history c USING gone g WHERE (c.connection_id, c.stream_id, c.part) = (g.connection_id, g.stream_id, g.part) RETURNING 1)
  SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM day), (SELECT count(*) FROM change) INTO parts, days, changes;
  RETURN QUERY VALUES ('cdp_data.stream_part', 'delete', parts), ('cdp_data.coverage', 'delete', days), ('cdp_data.coverage_history', 'delete', changes);
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_values_landing(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes pages and records that name a person, with their history, refused ones, pages that nobody can read, and what says that a stream was asked by an identifier of his, alone or among others. Returns what was done per table.';

CREATE OR REPLACE FUNCTION cdp_internal.trim_pages(cutoff timestamptz, most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  n bigint;
BEGIN
  WITH old AS MATERIALIZED (SELECT p.page_id FROM cdp_data.raw_page p WHERE p.fetched_at < cutoff ORDER BY p.fetched_at LIMIT most),
    gone AS (DELETE FROM cdp_data.raw_page p USING old o WHERE p.page_id = o.page_id RETURNING p.page_id),
    bad AS (DELETE FROM cdp_data.raw_refused f USING old o WHERE f.page_id = o.page_id)
  SELECT count(*) INTO n FROM gone;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.trim_pages(timestamptz, integer) IS
'Deletes so many of the oldest pages that were fetched before cutoff, with the records in them that were refused. Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.trim_records(cutoff timestamptz, most integer, INOUT connection_id integer, INOUT stream_id smallint, INOUT record_key text, OUT n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
  last record;
BEGIN
  WITH walk AS MATERIALIZED (
    SELECT r.connection_id, r.stream_id, r.record_key, r.changed_at < cutoff AND coalesce(r.ref_date < cutoff::date, true) AS is_past
    FROM cdp_data.raw_record r WHERE (r.connection_id, r.stream_id, r.record_key) > (trim_records.connection_id, trim_records.stream_id, trim_records.record_key)
    ORDER BY r.connection_id, r.stream_id, r.record_key LIMIT most
  ), gone AS (
    DELETE FROM cdp_data.raw_record r USING walk w WHERE w.is_past AND (r.connection_id, r.stream_id, r.record_key) = (w.connection_id, w.stream_id, w.record_key) RETURNING 1
  ), past AS (
    DELETE FROM cdp_data.raw_record_history h USING walk w WHERE h.to_at < cutoff AND (h.connection_id, h.stream_id, h.record_key) = (w.connection_id, w.stream_id, w.record_key) RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM past) AS n, w.connection_id, w.stream_id, w.record_key INTO last
  FROM (SELECT true) one LEFT JOIN (SELECT * FROM walk ORDER BY connection_id DESC, stream_id DESC, record_key DESC LIMIT 1) w ON true;
  n := last.n;
  connection_id := last.connection_id;
  stream_id := last.stream_id;
  record_key := last.record_key;
END
$$;
COMMENT ON FUNCTION cdp_internal.trim_records(timestamptz, integer, integer, smallint, text) IS
'Looks at so many records after that one, in the order of their keys, and deletes those that have not changed since cutoff and are about earlier days, and what records said before that ended before it. Returns the last one it looked at (NULL: there was none) and how many rows went.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_landing()
LANGUAGE plpgsql
AS $$
DECLARE
  c pg_catalog.record;
  t pg_catalog.record;
  n pg_catalog.int8;
  total pg_catalog.int8 := 0;
BEGIN
  SELECT cdp_internal.cutoff(pg_catalog.now(), s.page_retention) AS pages, cdp_internal.cutoff(pg_catalog.now(), s.record_retention) AS records INTO c FROM cdp_data.setting s;
  WHILE c.pages IS NOT NULL LOOP
    n := cdp_internal.trim_pages(c.pages, 1000);
    EXIT WHEN n OPERATOR(pg_catalog.=) 0;
    total := total OPERATOR(pg_catalog.+) n;
    COMMIT;
  END LOOP;
  RAISE NOTICE 'maintain: % pages of connections past their retention', total;
  total := 0;
  SELECT 0 AS connection_id, 0::pg_catalog.int2 AS stream_id, '' AS record_key, 0::pg_catalog.int8 AS n INTO t;
  WHILE c.records IS NOT NULL LOOP
    SELECT r.* INTO t FROM cdp_internal.trim_records(c.records, 10000, t.connection_id, t.stream_id, t.record_key) r;
    total := total OPERATOR(pg_catalog.+) t.n;
    EXIT WHEN t.record_key IS NULL;
    COMMIT;
  END LOOP;
  IF total OPERATOR(pg_catalog.>) 0 THEN
    RAISE NOTICE 'maintain: % records of connections past their retention', total;
  END IF;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_landing() IS
'Part of cdp.maintain(): pages past cdp_data.setting.page_retention, with the records in them that were refused, 1000 a transaction; records and their history past record_retention, 10000 a transaction.';
