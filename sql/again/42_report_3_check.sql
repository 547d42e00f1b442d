-- Attribution: what to look at before trusting a report. One row per check, also when
-- nothing was found, so that a clean bill is visible.

CREATE OR REPLACE FUNCTION cdp_internal.attribution_finding(finding text, found bigint, total bigint, worst text, threshold numeric,
  what text, remedy text)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('finding', finding,
  'severity', CASE WHEN coalesce(found, 0) = 0 THEN 'ok'
                   WHEN found < threshold * greatest(total, 1) THEN 'info' ELSE worst END,
  'found', coalesce(found, 0), 'total', coalesce(total, 0),
  'detail', format('%s of %s %s (%s%%)', coalesce(found, 0), coalesce(total, 0), what,
    coalesce(round(100.0 * found / nullif(total, 0), 2), 0)),
  'remedy', CASE WHEN coalesce(found, 0) > 0 THEN remedy END);
COMMENT ON FUNCTION cdp_internal.attribution_finding(text, bigint, bigint, text, numeric, text, text) IS
'One line of a data check: severity is ok (nothing found), info (below the threshold share) or the given worst.';

CREATE OR REPLACE FUNCTION cdp.attribution_data_check(since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
  lookback interval DEFAULT NULL, conversion_kinds text[] DEFAULT NULL, currency text DEFAULT NULL)
RETURNS TABLE (finding text, severity text, found bigint, total bigint, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  lo timestamptz := coalesce(since, '-infinity');
  hi timestamptz := coalesce(until, 'infinity');
  base text;
  conversion_ids smallint[];
  touch_ids smallint[];
  reach interval;
  unknown int[];
  n record;
  s record;
  list jsonb[] := '{}';
  x record;
BEGIN
  PERFORM cdp_internal.require_setup();
  base := coalesce(currency, (SELECT f.currency FROM cdp_data.setting f));
  conversion_ids := cdp_internal.attribution_kinds(conversion_kinds, 'conversion');
  touch_ids := cdp_internal.attribution_kinds(NULL, 'touch');
  reach := make_interval(secs => extract(epoch FROM coalesce(lookback, '30 days'))::double precision);
  SELECT array_agg(o.origin_id) INTO unknown FROM cdp_bi.origin_channel o WHERE o.channel_id = 99;

  EXECUTE $query$
    SELECT count(*) AS rows, count(*) FILTER (WHERE t.kind_id = ANY ($3)) AS touches,
      count(*) FILTER (WHERE t.kind_id = ANY ($4)) AS conversions,
      count(*) FILTER (WHERE t.kind_id = ANY ($4) AND t.value IS NULL) AS no_value,
      count(*) FILTER (WHERE t.value IS NOT NULL AND t.currency IS NULL) AS no_currency,
      count(*) FILTER (WHERE t.occurred_at > now()) AS future,
      count(*) FILTER (WHERE t.occurred_at > l.started_at + interval '5 minutes') AS before_load,
      count(*) FILTER (WHERE t.flags & 1 <> 0) AS bots, count(*) FILTER (WHERE t.flags & 2 <> 0) AS internal,
      count(*) FILTER (WHERE t.kind_id = ANY ($3) AND t.origin_id = ANY ($5)) AS unknown
    FROM cdp_data.touchpoint t LEFT JOIN cdp_data.load l ON l.load_id = t.load_id
    WHERE t.occurred_at >= $1 AND t.occurred_at < $2$query$
  INTO n USING lo, hi, touch_ids, conversion_ids, coalesce(unknown, '{}');

  SELECT * INTO s FROM cdp.attribution_summary(cdp.attribution_run(models => '{last}', lookback => lookback, since => since, until => until,
    conversion_kinds => conversion_kinds, currency => currency, missing_rate => 'zero'));

  list := list || cdp_internal.attribution_finding('no touches', (n.touches = 0)::int, 1, 'error', 0, 'windows without any touch',
    'Load touchpoints (docs/load.md), or widen since and until.');
  list := list || cdp_internal.attribution_finding('no conversions', (coalesce(s.conversions, 0) = 0)::int, 1, 'error', 0, 'windows without any conversion',
    'Load conversions: a kind that cdp_data.touch_kind_all marks is_conversion. Without them every report is empty.');

  SELECT * INTO x FROM cdp.attribution_left_out(since, until, conversion_kinds, currency => currency, missing_rate => 'zero');
  list := list || cdp_internal.attribution_finding('left out for want of consent', x.conversions, n.conversions, 'info', 0,
    CASE WHEN x.customers IS NULL THEN 'conversions are told: customers without consent to analytics are fewer than cdp_data.setting.minimum_audience'
      ELSE format('conversions, worth %s %s, are of %s customers without consent to analytics', x.value, base, x.customers) END,
    'Reports do not count them. Right if they refused; see docs/consent.md and the rule of purpose analytics.');

  IF has_table_privilege('cdp_data.quarantine', 'SELECT') THEN -- holds personal data: not for every analyst
    SELECT count(*) FILTER (WHERE q.code LIKE '%time%') AS untimed, count(*) AS waiting INTO x
    FROM cdp_data.quarantine q WHERE q.retried_by_load IS NULL;
    list := list || cdp_internal.attribution_finding('untimed rows', x.untimed, n.rows + x.untimed, 'warning', 0.001, 'rows have no usable time and wait in quarantine',
      'See cdp_data.quarantine; mend the source, then cdp.retry_quarantine(load_id).');
    list := list || cdp_internal.attribution_finding('quarantine', x.waiting, n.rows + x.waiting, 'warning', 0.001, 'rows wait in quarantine, whatever the reason',
      'SELECT code, count(*) FROM cdp_data.quarantine WHERE retried_by_load IS NULL GROUP BY 1; then cdp.retry_quarantine(load_id).');
  END IF;

  list := list || cdp_internal.attribution_finding('conversions without touches', s.conversions_without_touch, s.conversions, 'warning', 0.3,
    'conversions have no touch in their journey', 'They are reported as (unattributed). Check that touches and conversions carry the same identifiers, that all channels are loaded, and the lookback.');

  -- A touch that follows its conversion within minutes usually has a clock that runs late.
  EXECUTE $query$
    SELECT count(*) FROM cdp_data.touchpoint c
    WHERE c.kind_id = ANY ($4) AND c.refers_to IS NULL AND c.occurred_at >= $1 AND c.occurred_at < $2
      AND EXISTS (SELECT FROM cdp_data.touchpoint t WHERE t.customer_id = c.customer_id AND t.occurred_at > c.occurred_at
                  AND t.occurred_at <= c.occurred_at + interval '10 minutes' AND t.kind_id = ANY ($3))
      AND NOT EXISTS (SELECT FROM cdp_data.touchpoint t WHERE t.customer_id = c.customer_id AND t.occurred_at <= c.occurred_at
                  AND t.occurred_at >= c.occurred_at - $5 AND t.kind_id = ANY ($3))$query$
  INTO x USING lo, hi, touch_ids, conversion_ids, reach;
  list := list || cdp_internal.attribution_finding('touch just after its conversion', x.count, s.conversions, 'warning', 0.001,
    'conversions have no touch before, but one within 10 minutes after', 'Compare the clocks and time zones of the sources (cdp_data.source.timezone); reload with corrected times.');
  list := list || cdp_internal.attribution_finding('rows in the future', n.future, n.rows, 'warning', 0.0001, 'rows lie after now',
    'A clock or time zone of the source is wrong. as_of => now() leaves them out.');
  list := list || cdp_internal.attribution_finding('loaded before it happened', n.before_load, n.rows, 'warning', 0.0001,
    'rows happened more than 5 minutes after their load began', 'A clock or time zone of the source is wrong: check cdp_data.source.timezone.');

  EXECUTE 'SELECT coalesce(sum(d.n - 1), 0)::bigint AS count FROM (SELECT count(*) AS n FROM cdp_data.touchpoint t WHERE t.occurred_at >= $1 AND t.occurred_at < $2 GROUP BY t.customer_id, t.occurred_at, t.kind_id, t.origin_id, t.value, t.refers_to HAVING count(*) > 1) d'
  INTO x USING lo, hi;
  list := list || cdp_internal.attribution_finding('duplicates', x.count, n.rows, 'warning', 0.001, 'rows repeat another one in customer, time, kind, origin and value',
    'Give the source stable record keys (source_key): the same key is loaded once. cdp.revert_load() undoes a load that came twice.');

  list := list || cdp_internal.attribution_finding('bots', n.bots, n.rows, 'info', 0, 'rows are marked as bots and left out of reports', 'Nothing to do; bots => true counts them.');
  list := list || cdp_internal.attribution_finding('internal traffic', n.internal, n.rows, 'info', 0, 'rows are marked as internal and left out of reports', 'Nothing to do; internal => true counts them.');
  EXECUTE 'SELECT coalesce(sum(d.n), 0)::bigint AS count FROM (SELECT count(*) AS n FROM cdp_data.touchpoint t WHERE t.occurred_at >= $1 AND t.occurred_at < $2 AND t.flags & 3 = 0 GROUP BY t.customer_id, date_trunc(''day'', t.occurred_at, ''UTC'') HAVING count(*) > 500) d'
  INTO x USING lo, hi;
  list := list || cdp_internal.attribution_finding('likely bots', x.count, n.rows, 'warning', 0, 'unmarked rows are of a customer with more than 500 on one day',
    'Look at these customers; load the rows again with flags = 1 when they are machines. exclude or max_touches limit their weight.');

  EXECUTE $query$
    SELECT count(*) AS count, string_agg(DISTINCT t.currency, ', ') AS codes FROM cdp_data.touchpoint t
    WHERE t.occurred_at >= $1 AND t.occurred_at < $2 AND t.kind_id = ANY ($3) AND t.currency <> $4
      AND NOT EXISTS (SELECT FROM cdp_data.currency_rate r WHERE r.currency = t.currency AND r.base = $4
                      AND r.valid_from <= (t.occurred_at AT TIME ZONE 'UTC')::date)$query$
  INTO x USING lo, hi, conversion_ids, base;
  list := list || cdp_internal.attribution_finding('missing rates', x.count, n.conversions, 'error', 0,
    format('conversions have no rate into %s%s', base, coalesce(' from ' || x.codes, '')), 'Insert dated rates into cdp_data.currency_rate; reports stop at a missing rate unless missing_rate => ''zero''.');
  SELECT count(*) FILTER (WHERE p.currency <> base AND NOT EXISTS (SELECT FROM cdp_data.currency_rate r WHERE r.currency = p.currency AND r.base = base AND r.valid_from <= p.day)) AS count,
    count(*) AS rows INTO x
  FROM cdp_data.spend p WHERE (p.day + 1)::timestamp AT TIME ZONE p.timezone > lo AND p.day::timestamp AT TIME ZONE p.timezone < hi;
  list := list || cdp_internal.attribution_finding('missing rates of spend', x.count, x.rows, 'error', 0, format('figures of spend have no rate into %s', base),
    'Insert dated rates into cdp_data.currency_rate.');
  list := list || cdp_internal.attribution_finding('value without currency', n.no_currency, n.rows, 'warning', 0, format('rows have a value and no currency; it is taken for %s', base),
    'Load the currency with the value.');
  list := list || cdp_internal.attribution_finding('conversions without value', n.no_value, n.conversions, 'info', 0, 'conversions have no value and count 0',
    'Right for sign-ups; for purchases load the value.');
  list := list || cdp_internal.attribution_finding('refunds without conversion', s.orphan_refunds, s.conversions, 'warning', 0, 'refunds fit no conversion; their value is taken from (unattributed)',
    'Load the conversions they refer to, or set refers_to.');
  list := list || cdp_internal.attribution_finding('touches without a channel', n.unknown, n.touches, 'warning', 0.05, 'touches match no channel rule',
    'Add a rule to cdp_data.channel_rule; cdp_bi.origin_channel shows which origins match nothing.');

  RETURN QUERY SELECT e->>'finding', e->>'severity', (e->>'found')::bigint, (e->>'total')::bigint, e->>'detail', e->>'remedy'
  FROM unnest(list) WITH ORDINALITY AS u (e, place)
  ORDER BY array_position('{error,warning,info,ok}', e->>'severity'), place;
END $$;
COMMENT ON FUNCTION cdp.attribution_data_check(timestamptz, timestamptz, interval, text[], text) IS
'What to look at before trusting a report over our own tables: one row per check with severity (error, warning, info, ok), how many rows of how many, and the remedy (NULL when ok). since <= time < until, NULL: all. lookback NULL: 30 days. Reads only; takes a few scans of the window.';

CREATE OR REPLACE FUNCTION cdp.attribution_table_check(data regclass, key text, at text, label text, value text,
  lookback interval DEFAULT NULL)
RETURNS TABLE (finding text, severity text, found bigint, total bigint, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  n record;
  x record;
  s record;
  list jsonb[] := '{}';
BEGIN
  -- regclass prints quoted; columns are quoted here: no text of the caller becomes SQL
  EXECUTE format($query$
    SELECT count(*) AS rows, count(*) FILTER (WHERE %3$I IS NOT NULL AND %4$I IS NULL) AS touches,
      count(*) FILTER (WHERE %4$I IS NOT NULL) AS conversions,
      count(*) FILTER (WHERE %2$I IS NULL OR NOT isfinite(%2$I::timestamptz)) AS untimed,
      count(*) FILTER (WHERE %5$I IS NULL AND %4$I IS NULL) AS no_key,
      count(*) FILTER (WHERE %3$I IS NULL AND %4$I IS NULL) AS unlabelled,
      count(*) FILTER (WHERE %2$I::timestamptz > now() AND isfinite(%2$I::timestamptz)) AS future,
      count(*) FILTER (WHERE %4$I::text IN ('NaN', 'Infinity', '-Infinity')) AS odd,
      count(*) FILTER (WHERE %4$I::numeric = 0) AS zero
    FROM %1$s$query$, data, at, label, value, key) INTO n;
  EXECUTE format('SELECT * FROM cdp.attribution_summary((SELECT cdp.attribution_pass(%I::text, %I::timestamptz, %I::text, nullif(nullif(nullif(%I::text, ''NaN''), ''Infinity''), ''-Infinity'')::numeric, cdp.attribution_options(models => ''{last}'', lookback => %L)) FROM %s))',
    key, at, label, value, lookback, data) INTO s;

  list := list || cdp_internal.attribution_finding('no touches', (n.touches = 0)::int, 1, 'error', 0, 'tables without any touch', 'A touch is a row with a label and a NULL value.');
  list := list || cdp_internal.attribution_finding('no conversions', (n.conversions = 0)::int, 1, 'error', 0, 'tables without any conversion', 'A conversion is a row whose value is not NULL.');
  list := list || cdp_internal.attribution_finding('untimed rows', n.untimed, n.rows, 'warning', 0.001, 'rows have no time or an infinite one and are left out', 'Mend the source.');
  list := list || cdp_internal.attribution_finding('touches without key', n.no_key, n.rows, 'warning', 0.001, 'touches have no key and are left out', 'Use an identifier that every touch carries, such as a device id.');
  list := list || cdp_internal.attribution_finding('touches without label', n.unlabelled, n.rows, 'warning', 0.001, 'rows have neither label nor value and are left out', 'Give them a label such as ''(unknown)'' with coalesce().');
  list := list || cdp_internal.attribution_finding('odd values', n.odd, n.conversions, 'error', 0, 'values are NaN or infinite; a pass stops at them', 'Mend the values, or leave the rows out with WHERE.');
  list := list || cdp_internal.attribution_finding('rows in the future', n.future, n.rows, 'warning', 0.0001, 'rows lie after now', 'A clock or time zone of the source is wrong. as_of => now() leaves them out.');
  list := list || cdp_internal.attribution_finding('zero values', n.zero, n.conversions, 'info', 0, 'conversions have value 0', 'They count as conversions. Is 0 perhaps meant as "no conversion"? Then use nullif(value, 0).');
  list := list || cdp_internal.attribution_finding('conversions without touches', s.conversions_without_touch, s.conversions, 'warning', 0.3, 'conversions have no touch in their journey',
    'Check that touches and conversions carry the same key, and the lookback.');
  list := list || cdp_internal.attribution_finding('refunds without conversion', s.orphan_refunds, s.conversions, 'warning', 0, 'refunds follow no conversion of their key', 'Load the conversions, or pass ids and refers_to.');

  EXECUTE format('SELECT coalesce(sum(d.n - 1), 0)::bigint AS count FROM (SELECT count(*) AS n FROM %s GROUP BY %I, %I, %I, %I HAVING count(*) > 1) d', data, key, at, label, value) INTO x;
  list := list || cdp_internal.attribution_finding('duplicates', x.count, n.rows, 'warning', 0.001, 'rows repeat another one in key, time, label and value', 'SELECT DISTINCT, or a unique key in the source.');
  EXECUTE format('SELECT coalesce(sum(d.n), 0)::bigint AS count FROM (SELECT count(*) AS n FROM %1$s WHERE isfinite(%3$I::timestamptz) GROUP BY %2$I, date_trunc(''day'', %3$I::timestamptz, ''UTC'') HAVING count(*) > 500) d', data, key, at) INTO x;
  list := list || cdp_internal.attribution_finding('likely bots', x.count, n.rows, 'warning', 0, 'rows are of a key with more than 500 on one day', 'Look at these keys; leave machines out with WHERE.');
  EXECUTE format($query$
    SELECT count(*) AS count FROM (
      SELECT %4$I IS NOT NULL AS conversion, %3$I::timestamptz AS at,
        max(%3$I::timestamptz) FILTER (WHERE %4$I IS NULL) OVER (PARTITION BY %2$I ORDER BY %3$I::timestamptz RANGE BETWEEN $1 PRECEDING AND CURRENT ROW) AS before,
        min(%3$I::timestamptz) FILTER (WHERE %4$I IS NULL) OVER (PARTITION BY %2$I ORDER BY %3$I::timestamptz RANGE BETWEEN interval '1 microsecond' FOLLOWING AND interval '10 minutes' FOLLOWING) AS after
      FROM %1$s WHERE isfinite(%3$I::timestamptz) AND %2$I IS NOT NULL) w
    WHERE w.conversion AND w.before IS NULL AND w.after IS NOT NULL$query$, data, key, at, value)
  INTO x USING make_interval(secs => extract(epoch FROM coalesce(lookback, '30 days'))::double precision);
  list := list || cdp_internal.attribution_finding('touch just after its conversion', x.count, n.conversions, 'warning', 0.001, 'conversions have no touch before, but one within 10 minutes after',
    'Compare the clocks and time zones of the sources.');

  RETURN QUERY SELECT e->>'finding', e->>'severity', (e->>'found')::bigint, (e->>'total')::bigint, e->>'detail', e->>'remedy'
  FROM unnest(list) WITH ORDINALITY AS u (e, place)
  ORDER BY array_position('{error,warning,info,ok}', e->>'severity'), place;
END $$;
COMMENT ON FUNCTION cdp.attribution_table_check(regclass, text, text, text, text, interval) IS
'The same checks on a table or view of your own: name its columns for key, time, label and value, as in cdp.attribution_table_check(''my_events'', ''user_id'', ''seen_at'', ''channel'', ''revenue''). Runs with the caller''s rights; reads only.';
