-- Referral room, programme: what becomes of messages. The outbox says what was sent and what failed, the channel what arrived; reports that
-- come late, twice or in another order end in the same. The job retries, and ends campaigns that are past their end.

CREATE OR REPLACE FUNCTION cdp_internal.referral_next_try(attempts integer, at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT CASE WHEN attempts < s.referral_attempts THEN at + least(s.referral_retry_after * (2 ^ least(attempts - 1, 20)), interval '7 days') END FROM cdp_data.setting s);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_next_try(integer, timestamptz) IS
'When a message that failed at that moment for the attempts-th time is tried again: after cdp_data.setting.referral_retry_after, each time twice as long, at most 7 days. NULL: not any more (referral_attempts).';

CREATE OR REPLACE FUNCTION cdp_internal.referral_sync(campaign integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off -- just after messages were written statistics do not know them
AS $$
DECLARE
  n bigint;
BEGIN
  UPDATE cdp_data.referral_distribution d SET state = CASE w.state WHEN 'sent' THEN 'sent' WHEN 'failed' THEN 'failed' ELSE 'suppressed' END, sent_at = coalesce(d.sent_at, w.sent_at),
    error = CASE w.state WHEN 'sent' THEN NULL WHEN 'failed' THEN coalesce(cdp_internal.referral_reason(w.last_error), 'it failed') ELSE coalesce(cdp_internal.referral_reason(w.last_error), 'it was cancelled') END,
    next_try_at = CASE w.state WHEN 'failed' THEN cdp_internal.referral_next_try(d.attempts, now()) END
  FROM (
    SELECT x.referral_distribution_id, o.state, o.sent_at, o.last_error FROM cdp_data.referral_distribution x JOIN cdp_data.outbox o ON o.outbox_id = x.outbox_id
    WHERE x.referral_campaign_id = campaign AND x.state = 'queued' AND o.state IN ('sent', 'failed', 'cancelled') FOR UPDATE OF x SKIP LOCKED) w
  WHERE d.referral_distribution_id = w.referral_distribution_id;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_sync(integer) IS
'Brings the states of who was told of a campaign in line with what the outbox says of their messages. Returns how many changed.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_retry(campaign integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  part record;
  told bigint[];
  sent record;
  n bigint := 0;
BEGIN
  LOCK TABLE cdp_data.outbox IN ROW EXCLUSIVE MODE;
  FOR part IN
    SELECT x.channel, x.destination, array_agg(x.root ORDER BY x.root) AS roots, array_agg(x.row ORDER BY x.root) AS rows
    FROM (
      -- Of two parts of one person one is tried.
      SELECT DISTINCT ON (d.channel, t.root) d.channel, d.destination, t.root, d.referral_distribution_id AS row
      FROM cdp_data.referral_distribution d JOIN cdp_data.destination y ON y.destination = d.destination AND y.enabled
        CROSS JOIN LATERAL (SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, d.customer_id, NULL) AS root) t
      WHERE d.referral_campaign_id = campaign AND d.state = 'failed' AND d.next_try_at <= now() AND cdp_internal.outbox_hold(d.destination) IS NULL
      ORDER BY d.channel, t.root, d.referral_distribution_id LIMIT 20000) x
    GROUP BY x.channel, x.destination ORDER BY x.channel, x.destination
  LOOP
    -- Who is one by now with somebody who was told, or is being told, has been told.
    told := ARRAY(SELECT u.row FROM unnest(part.roots, part.rows) AS u (root, row) WHERE EXISTS (
      SELECT FROM cdp_internal.customers_under(u.root) AS m (id) CROSS JOIN LATERAL (
        SELECT FROM cdp_data.referral_distribution o WHERE o.referral_campaign_id = campaign AND o.customer_id = m.id AND o.channel = part.channel AND o.state IN ('queued', 'sent', 'delivered') OFFSET 0) x));
    UPDATE cdp_data.referral_distribution d SET state = 'suppressed', error = 'the customer was told as another one, with whom he is one now', next_try_at = NULL WHERE d.referral_distribution_id = ANY (told);
    SELECT array_agg(u.root ORDER BY u.root) AS roots, array_agg(u.row ORDER BY u.root) AS rows, part.channel, part.destination INTO part FROM unnest(part.roots, part.rows) AS u (root, row) WHERE u.row <> ALL (told);
    CONTINUE WHEN part.roots IS NULL;
    sent := cdp_internal.referral_send(campaign, part.channel, part.destination, part.roots, part.rows, now());
    n := n + sent.queued;
  END LOOP;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_retry(integer) IS
'Writes messages of a campaign anew that failed and are due; one of a person who by now is one with somebody who was told, or is being told, is suppressed instead. The caller holds the row of the campaign. Returns how many; 20,000 at most, the next run of the job goes on.';

CREATE OR REPLACE FUNCTION cdp.advance_referral_campaigns() RETURNS TABLE (campaign text, action text, n bigint, error text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  c record;
  m bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  FOR c IN
    SELECT x.referral_campaign_id AS id, x.name, x.state, x.ends_at FROM cdp_data.referral_campaign x
    WHERE x.state IN ('active', 'paused') OR EXISTS (SELECT FROM cdp_data.referral_distribution d WHERE d.referral_campaign_id = x.referral_campaign_id AND d.state IN ('queued', 'failed') AND (d.state = 'queued' OR d.next_try_at IS NOT NULL))
    ORDER BY x.referral_campaign_id
  LOOP
    -- One campaign that fails leaves the others alone; who changes it just now is not waited for.
    BEGIN
      PERFORM FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = c.id AND x.state = c.state FOR UPDATE SKIP LOCKED;
      CONTINUE WHEN NOT FOUND;
      IF c.state IN ('active', 'paused') AND c.ends_at <= now() THEN
        PERFORM cdp_internal.referral_become(c.name, 'end', greatest(c.ends_at, (SELECT max(s.from_at) + interval '1 microsecond' FROM cdp_data.referral_campaign_state s WHERE s.referral_campaign_id = c.id)), 'system');
        c.state := 'ended';
        RETURN QUERY SELECT c.name, 'end', NULL::bigint, NULL::text;
      END IF;
      m := cdp_internal.referral_sync(c.id);
      IF m > 0 THEN
        RETURN QUERY SELECT c.name, 'sync', m, NULL::text;
      END IF;
      IF c.state = 'active' THEN
        PERFORM cdp_internal.referral_hold(c.id, 'resume'); -- what a deliverer gave back while it was being resumed
        m := cdp_internal.referral_retry(c.id);
        IF m > 0 THEN
          RETURN QUERY SELECT c.name, 'retry', m, NULL::text;
        END IF;
      ELSIF c.state IN ('ended', 'archived') THEN
        UPDATE cdp_data.referral_distribution d SET next_try_at = NULL WHERE d.referral_campaign_id = c.id AND d.state = 'failed' AND d.next_try_at IS NOT NULL;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      RETURN QUERY SELECT c.name, 'failed', NULL::bigint, left(SQLSTATE || ': ' || SQLERRM, 500);
    END;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.advance_referral_campaigns() IS
'What the job referral_campaigns does each minute: notes what became of messages, tries those again that failed and are due, ends campaigns past their end. One that fails stops no other. A row for each thing done: campaign, action (sync, retry, end, failed), n. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.referral_delivery(message text, report text, error text DEFAULT NULL, at timestamptz DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  part text[] := regexp_match(message, '^referral (\d{1,9}) ([a-z0-9_.-]{1,63}) (\d{1,10}) (\d{1,9})$');
  moment timestamptz := coalesce(at, now());
  d record;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_choice('report', report, '{delivered,bounced,failed}');
  IF NOT isfinite(moment) OR moment > now() + interval '1 day' THEN
    RAISE EXCEPTION 'a report can not be of that time' USING ERRCODE = 'datetime_field_overflow', DETAIL = format('It is %s.', moment), HINT = 'Leave it out: now.';
  END IF;
  SELECT x.* INTO d FROM cdp_data.referral_distribution x WHERE x.referral_campaign_id = part[1]::integer AND x.channel = part[2] AND x.customer_id = part[3]::bigint AND part[4]::integer BETWEEN 1 AND x.attempts FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'unknown';
  ELSIF report = 'delivered' THEN
    -- Something arrived: that is so whatever else is told, before or after.
    UPDATE cdp_data.referral_distribution x SET state = 'delivered', error = NULL, next_try_at = NULL, sent_at = coalesce(x.sent_at, moment), delivered_at = least(x.delivered_at, moment)
    WHERE x.referral_distribution_id = d.referral_distribution_id AND (x.state <> 'delivered' OR x.delivered_at > moment);
  ELSIF part[4]::integer = d.attempts THEN
    UPDATE cdp_data.referral_distribution x SET state = 'failed', error = coalesce(cdp_internal.referral_reason(referral_delivery.error), report), sent_at = coalesce(x.sent_at, moment),
      next_try_at = CASE report WHEN 'failed' THEN cdp_internal.referral_next_try(x.attempts, moment) END
    WHERE x.referral_distribution_id = d.referral_distribution_id AND (x.state IN ('queued', 'sent') OR report = 'bounced' AND x.state = 'failed' AND x.next_try_at IS NOT NULL);
  ELSE
    RETURN 'repeated'; -- it was tried again since
  END IF;
  RETURN CASE WHEN FOUND THEN 'noted' ELSE 'repeated' END;
END
$$;
COMMENT ON FUNCTION cdp.referral_delivery(text, text, text, timestamptz) IS
'What a channel reports of a message of a referral campaign: SELECT cdp.referral_delivery(''referral 1 email 42 1'', ''delivered''). message: its dedup_key, which is in its payload too; report: delivered, bounced (given up) or failed (tried again, see cdp_data.setting.referral_retry_after); error: what was said, at: when (NULL: now). Delivered outweighs the others, before or after; a report on a message that was tried again since counts only when it is delivered. Returns noted, repeated (nothing changed) or unknown. Needs the rights of the tables'' owner; cdp_api.referral_delivery() is for the connector. Errors: 22023 another report, 22008 a time in the future.';

CREATE OR REPLACE FUNCTION cdp.load_referral_deliveries(reports jsonb) RETURNS TABLE (result text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  PERFORM cdp_internal.require_setup();
  IF jsonb_typeof(reports) IS DISTINCT FROM 'array' OR reports @? '$[*] ? (@.type() != "object")' THEN
    RAISE EXCEPTION 'reports must be an array of objects' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as [{"message": "referral 1 email 42 1", "report": "delivered"}].';
  END IF;
  -- In one order, so that two loads of the same people do not wait in a circle.
  RETURN QUERY
  SELECT x.result, count(*)
  FROM (SELECT cdp.referral_delivery(r.item ->> 'message', r.item ->> 'report', r.item ->> 'error', (r.item ->> 'at')::timestamptz) AS result
    FROM (SELECT a.value AS item FROM jsonb_array_elements(reports) WITH ORDINALITY AS a (value, nth) ORDER BY a.value ->> 'message' COLLATE "C", a.nth OFFSET 0) r OFFSET 0) x
  GROUP BY x.result ORDER BY x.result COLLATE "C";
END
$$;
COMMENT ON FUNCTION cdp.load_referral_deliveries(jsonb) IS
'cdp.referral_delivery() of many: an array of objects with message, report, error, at. Returns how many were noted, repeated and unknown. All or nothing: an error in one of them takes none. Errors: 22023 no array of objects; as there.';
