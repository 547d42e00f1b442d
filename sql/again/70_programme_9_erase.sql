-- Referral room, programme: what it adds to erasures, and to the uses of segments.

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
