-- Core room, loading: figures that are not about a person: spend and exchange rates.

CREATE OR REPLACE FUNCTION cdp_internal.load_end(
  load bigint, rows_read bigint, inserted bigint, corrected bigint, unchanged bigint, quarantined bigint,
  orphaned bigint DEFAULT 0, first_at timestamptz DEFAULT NULL, last_at timestamptz DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE cdp_data.load l
  SET state = 'done', finished_at = clock_timestamp(), rows_read = load_end.rows_read, inserted = load_end.inserted,
    corrected = load_end.corrected, unchanged = load_end.unchanged, quarantined = load_end.quarantined,
    orphaned = load_end.orphaned, first_at = load_end.first_at, last_at = load_end.last_at
  WHERE l.load_id = load;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_end(bigint, bigint, bigint, bigint, bigint, bigint, bigint, timestamptz, timestamptz) IS
'Closes the ledger row of a load with its counts, and the first and last time of its rows (NULL: it has none).';

CREATE OR REPLACE FUNCTION cdp_internal.parse_day(input text) RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN isfinite(cdp_internal.parse_time(input, 'UTC'))
  AND cdp_internal.parse_time(input, 'UTC') = date_trunc('day', cdp_internal.parse_time(input, 'UTC'), 'UTC')
  THEN (cdp_internal.parse_time(input, 'UTC') AT TIME ZONE 'UTC')::date END;
COMMENT ON FUNCTION cdp_internal.parse_day(text) IS
'Reads a day such as 2026-01-31. NULL, never an error, when it is none, is infinite, or has a time other than midnight.';

CREATE OR REPLACE FUNCTION cdp.load_spend(source text, staging regclass, note text DEFAULT NULL)
RETURNS TABLE (load_id bigint, rows_read bigint, inserted bigint, corrected bigint, unchanged bigint, quarantined bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET synchronize_seqscans = off SET extra_float_digits = 1
AS $$
#variable_conflict use_variable
DECLARE
  src record;
  relation text := (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = staging);
BEGIN
  load_id := cdp_internal.load_begin(source, 'spend', note);
  PERFORM cdp_internal.check_staging(staging, ARRAY['day', 'channel', 'amount']);
  SELECT s.source_id, s.timezone INTO src FROM cdp_data.source s WHERE s.name = source;
  IF to_regclass('pg_temp.cdp_load_spend') IS NOT NULL THEN
    DROP TABLE pg_temp.cdp_load_spend;
  END IF;
  EXECUTE format($sql$
    CREATE TEMP TABLE cdp_load_spend AS
    SELECT p.*, to_jsonb(p.whole) AS original, CASE
      WHEN p.day IS NULL THEN 'bad_day' WHEN p.channel_id IS NULL THEN 'unknown_channel' WHEN p.amount IS NULL THEN 'bad_amount'
      WHEN p.currency IS NULL THEN 'unknown_currency' END AS code
    FROM (
      SELECT coalesce(s.*) AS whole, cdp_internal.row_number() AS row_no, cdp_internal.parse_day(%1$s) AS day,
        (SELECT c.channel_id FROM cdp_data.channel_all c WHERE lower(c.name) = lower(btrim(%2$s)) ORDER BY c.channel_id LIMIT 1) AS channel_id,
        cdp_internal.parse_value(%3$s) AS amount, nullif(btrim(%4$s), '') AS campaign,
        CASE WHEN nullif(%5$s, '') IS NULL THEN (SELECT t.currency FROM cdp_data.setting t)
          ELSE (SELECT c.code FROM cdp_data.currency_all c WHERE c.code = upper(btrim(%5$s))) END AS currency
      FROM %6$s s OFFSET 0) p
    $sql$, cdp_internal.staging_text(staging, 'day'), cdp_internal.staging_text(staging, 'channel'), cdp_internal.staging_text(staging, 'amount'),
    cdp_internal.staging_text(staging, 'campaign'), cdp_internal.staging_text(staging, 'currency'), relation);
  GET DIAGNOSTICS rows_read = ROW_COUNT;
  -- One figure can have one currency only: a second one cannot be added.
  UPDATE pg_temp.cdp_load_spend p SET code = 'mixed_currency'
  FROM (SELECT o.row_no, o.currency, first_value(o.currency) OVER (PARTITION BY o.day, o.channel_id, o.campaign ORDER BY o.row_no) AS first
        FROM pg_temp.cdp_load_spend o WHERE o.code IS NULL) f
  WHERE f.row_no = p.row_no AND f.currency <> f.first;
  INSERT INTO cdp_data.quarantine (load_id, source_id, row_no, original, code, reason)
  SELECT load_id, src.source_id, p.row_no, p.original, p.code, CASE p.code
    WHEN 'bad_day' THEN 'day is missing or no day such as 2026-01-31' WHEN 'unknown_channel' THEN 'channel is not in cdp_data.channel_all'
    WHEN 'bad_amount' THEN 'amount is missing or no number below 9.2e12 with at most six decimals'
    WHEN 'unknown_currency' THEN 'currency is not in cdp_data.currency_all' ELSE 'an earlier row of the same day, channel and campaign has another currency' END
  FROM pg_temp.cdp_load_spend p WHERE p.code IS NOT NULL ORDER BY p.row_no;
  GET DIAGNOSTICS quarantined = ROW_COUNT;
  INSERT INTO cdp_data.campaign (name, source_id)
  SELECT DISTINCT p.campaign, src.source_id FROM pg_temp.cdp_load_spend p WHERE p.code IS NULL AND p.campaign IS NOT NULL ORDER BY 1
  ON CONFLICT DO NOTHING;
  WITH figure AS MATERIALIZED (
    SELECT p.day, p.channel_id, c.campaign_id, sum(p.amount) AS amount, min(p.currency) AS currency, count(*) AS rows
    FROM pg_temp.cdp_load_spend p LEFT JOIN cdp_data.campaign c ON c.name = p.campaign
    WHERE p.code IS NULL GROUP BY 1, 2, 3
  ), compared AS MATERIALIZED (
    SELECT f.*, CASE WHEN s.spend_id IS NULL THEN 'new'
      WHEN (s.amount, s.currency, s.timezone) = (f.amount, f.currency, src.timezone) THEN 'same' ELSE 'changed' END AS fate
    FROM figure f LEFT JOIN cdp_data.spend s ON s.source_id = src.source_id
      AND (s.day, s.channel_id) = (f.day, f.channel_id) AND s.campaign_id IS NOT DISTINCT FROM f.campaign_id
  ), written AS (
    INSERT INTO cdp_data.spend AS s (day, timezone, channel_id, campaign_id, amount, currency, source_id, load_id)
    SELECT c.day, src.timezone, c.channel_id, c.campaign_id, c.amount, c.currency, src.source_id, load_id
    FROM compared c WHERE c.fate <> 'same'
    ON CONFLICT ON CONSTRAINT spend_once DO UPDATE
    SET amount = excluded.amount, currency = excluded.currency, timezone = excluded.timezone, load_id = excluded.load_id
  )
  SELECT coalesce(sum(c.rows) FILTER (WHERE c.fate = 'new'), 0), coalesce(sum(c.rows) FILTER (WHERE c.fate = 'changed'), 0),
    coalesce(sum(c.rows) FILTER (WHERE c.fate = 'same'), 0)
  INTO inserted, corrected, unchanged FROM compared c;
  DROP TABLE pg_temp.cdp_load_spend;
  PERFORM cdp_internal.load_end(load_id, rows_read, inserted, corrected, unchanged, quarantined);
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION cdp.load_spend(text, regclass, text) IS
'Loads advertising spend from a staging table or view with columns day, channel (a name of cdp_data.channel_all), amount (money, not minor units), and if you like campaign (made when new) and currency (that of the reports when missing). Days are those of the source''s time zone. Rows of one day, channel and campaign in one staging table are added up; the figure replaces what the same source said before. Bad rows go to cdp_data.quarantine. Returns counts of rows: rows_read = inserted + corrected + unchanged + quarantined. Errors: 22023 unknown source, 42703 missing columns.';

CREATE OR REPLACE FUNCTION cdp.load_currency_rates(source text, staging regclass, note text DEFAULT NULL)
RETURNS TABLE (load_id bigint, rows_read bigint, inserted bigint, corrected bigint, unchanged bigint, quarantined bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET synchronize_seqscans = off SET extra_float_digits = 1
AS $$
#variable_conflict use_variable
DECLARE
  src integer;
  relation text := (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = staging);
BEGIN
  load_id := cdp_internal.load_begin(source, 'currency_rates', note);
  PERFORM cdp_internal.check_staging(staging, ARRAY['currency', 'base', 'valid_from', 'rate']);
  SELECT l.source_id INTO src FROM cdp_data.load l WHERE l.load_id = load_currency_rates.load_id;
  IF to_regclass('pg_temp.cdp_load_rate') IS NOT NULL THEN
    DROP TABLE pg_temp.cdp_load_rate;
  END IF;
  EXECUTE format($sql$
    CREATE TEMP TABLE cdp_load_rate AS
    SELECT p.*, to_jsonb(p.whole) AS original, CASE
      WHEN p.currency IS NULL OR p.base IS NULL OR p.currency = p.base THEN 'unknown_currency'
      WHEN p.valid_from IS NULL THEN 'bad_day' WHEN p.rate IS NULL OR p.rate <= 0 THEN 'bad_rate' END AS code
    FROM (
      SELECT coalesce(s.*) AS whole, cdp_internal.row_number() AS row_no,
        (SELECT c.code FROM cdp_data.currency_all c WHERE c.code = upper(btrim(%1$s))) AS currency,
        (SELECT c.code FROM cdp_data.currency_all c WHERE c.code = upper(btrim(%2$s))) AS base,
        cdp_internal.parse_day(%3$s) AS valid_from,
        CASE WHEN cdp_internal.is_number(%4$s) AND (%4$s)::numeric < 1e15 AND scale((%4$s)::numeric) <= 20 THEN (%4$s)::numeric END AS rate
      FROM %5$s s OFFSET 0) p
    $sql$, cdp_internal.staging_text(staging, 'currency'), cdp_internal.staging_text(staging, 'base'),
    cdp_internal.staging_text(staging, 'valid_from'), cdp_internal.staging_text(staging, 'rate'), relation);
  GET DIAGNOSTICS rows_read = ROW_COUNT;
  UPDATE pg_temp.cdp_load_rate r SET code = 'superseded'
  WHERE r.code IS NULL AND EXISTS (SELECT FROM pg_temp.cdp_load_rate l WHERE l.code IS NULL AND l.row_no > r.row_no
    AND (l.currency, l.base, l.valid_from) = (r.currency, r.base, r.valid_from));
  INSERT INTO cdp_data.quarantine (load_id, source_id, row_no, original, code, reason)
  SELECT load_id, src, r.row_no, r.original, r.code, CASE r.code
    WHEN 'unknown_currency' THEN 'currency or base is not in cdp_data.currency_all, or both are the same'
    WHEN 'bad_day' THEN 'valid_from is missing or no day such as 2026-01-31' WHEN 'bad_rate' THEN 'rate is no positive number below 1e15 with at most 20 decimals'
    ELSE 'a later row of the same load has the same currency, base and day' END
  FROM pg_temp.cdp_load_rate r WHERE r.code IS NOT NULL ORDER BY r.row_no;
  GET DIAGNOSTICS quarantined = ROW_COUNT;
  WITH compared AS MATERIALIZED (
    SELECT r.*, CASE WHEN c.rate IS NULL THEN 'new' WHEN c.rate = r.rate THEN 'same' ELSE 'changed' END AS fate
    FROM pg_temp.cdp_load_rate r LEFT JOIN cdp_data.currency_rate c USING (currency, base, valid_from) WHERE r.code IS NULL
  ), written AS (
    INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate)
    SELECT c.currency, c.base, c.valid_from, c.rate FROM compared c WHERE c.fate <> 'same'
    ON CONFLICT ON CONSTRAINT currency_rate_pkey DO UPDATE SET rate = excluded.rate
  )
  SELECT count(*) FILTER (WHERE c.fate = 'new'), count(*) FILTER (WHERE c.fate = 'changed'), count(*) FILTER (WHERE c.fate = 'same')
  INTO inserted, corrected, unchanged FROM compared c;
  DROP TABLE pg_temp.cdp_load_rate;
  PERFORM cdp_internal.load_end(load_id, rows_read, inserted, corrected, unchanged, quarantined);
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION cdp.load_currency_rates(text, regclass, text) IS
'Loads exchange rates from a staging table or view with columns currency, base, valid_from (a day) and rate (units of base for one unit of currency, positive). A rate of the same day again replaces the earlier one. Bad rows go to cdp_data.quarantine. Returns counts of rows: rows_read = inserted + corrected + unchanged + quarantined. Errors: 22023 unknown source, 42703 missing columns.';
