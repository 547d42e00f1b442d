-- Referral room, programme: what it adds to erasures, to maintenance, to health, and to the uses of segments.

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_referral_programme(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT 'cdp_data.referral_distribution', 'delete', cdp_internal.erase_keyed('cdp_data.referral_distribution', 'customer_id', customers || homes);
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_referral_programme(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes of which referral campaigns a person who is erased was told. Returns what was done.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_uses_of_referral() RETURNS TABLE (segment_id integer, what text, last_used timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT c.segment_id, format('referral campaign "%s"', c.name), CASE WHEN c.state IN ('ended', 'archived') THEN (SELECT max(s.from_at) FROM cdp_data.referral_campaign_state s WHERE s.referral_campaign_id = c.referral_campaign_id) END
  FROM cdp_data.referral_campaign c WHERE c.segment_id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_uses_of_referral() IS
'Referral campaigns whose audience segments are: in use (last_used NULL) until they are ended.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_referral_programme()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held bigint[] := cdp_internal.held_homes();
  n bigint;
BEGIN
  DELETE FROM cdp_data.referral_distribution d USING cdp_data.referral_campaign c, cdp_data.setting s
  WHERE c.referral_campaign_id = d.referral_campaign_id AND c.state IN ('ended', 'archived') AND d.customer_id <> ALL (held)
    AND (SELECT max(x.from_at) FROM cdp_data.referral_campaign_state x WHERE x.referral_campaign_id = c.referral_campaign_id AND x.state = 'ended') < cdp_internal.cutoff(now(), s.referral_distribution_retention);
  GET DIAGNOSTICS n = ROW_COUNT;
  RAISE NOTICE 'maintain: % messages of referral campaigns past their retention', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_referral_programme() IS
'Part of cdp.maintain(): retention of who was told of referral campaigns (cdp_data.setting.referral_distribution_retention); that of customers on hold stays.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_referral_programme() RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.referral_distribution') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'referral_past_end', format('referral campaign %s is %s and has been past its end since %s', quote_literal(c.name), c.state, c.ends_at), format('SELECT cdp.end_referral_campaign(%L); the job referral_campaigns does so', c.name)
  FROM cdp_data.referral_campaign c WHERE c.state IN ('active', 'paused') AND c.ends_at < now() - interval '1 hour'
  UNION ALL
  SELECT 'warning', 'referral_undelivered', format('%s messages of referral campaign %s were given up', count(*), quote_literal(c.name)), format('SELECT error, count(*) FROM cdp_data.referral_distribution WHERE referral_campaign_id = %s AND state = ''failed'' GROUP BY 1;', c.referral_campaign_id)
  FROM cdp_data.referral_campaign c JOIN cdp_data.referral_distribution d USING (referral_campaign_id) WHERE c.state = 'active' AND d.state = 'failed' AND d.next_try_at IS NULL GROUP BY c.referral_campaign_id, c.name;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_referral_programme() IS 'Findings of cdp.health() about referral campaigns: past their end and not ended, and messages that were given up.';
