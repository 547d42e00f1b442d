-- Activation room: what of it uses which segment, for cdp.segment_uses() and cdp_bi.segment_unused.

CREATE OR REPLACE FUNCTION cdp_internal.segment_uses_of_activation() RETURNS TABLE (segment_id integer, what text, last_used timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT a.segment_id, format('activation "%s"', a.name), a.ended_at FROM cdp_data.activation a;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_uses_of_activation() IS
'Activations of segments: in use (last_used NULL) until they are ended.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_uses_of_export() RETURNS TABLE (segment_id integer, what text, last_used timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- By the words of the register, cdp_internal.export_words(): after the name comes a colon or a blank.
  RETURN QUERY
  SELECT s.segment_id, 'exports', max(e.done_at)
  FROM cdp_data.segment s CROSS JOIN LATERAL (SELECT 'segment ' || quote_literal(s.name) AS begins) w JOIN cdp_data.export_request e
    ON e.state = 'done' AND left(e.what, least(length(w.begins), 160)) = left(w.begins, 160) AND (length(w.begins) >= 160 OR substr(e.what, length(w.begins) + 1, 1) IN (':', ' '))
  GROUP BY s.segment_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_uses_of_export() IS
'Exports of segments that were made (cdp.export_audience()), with the moment of the last one.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_uses_of_run() RETURNS TABLE (segment_id integer, what text, last_used timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT r.segment_id, format('campaign run "%s"', r.name), r.finished_at FROM cdp_data.campaign_run r WHERE r.segment_id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_uses_of_run() IS
'Campaign runs that speak to segments: in use (last_used NULL) until they are finished or cancelled.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_uses_of_offer() RETURNS TABLE (segment_id integer, what text, last_used timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT DISTINCT s.segment_id, format('offer "%s"', o.name), CASE WHEN o.ends_at <= now() THEN o.ends_at END
  FROM cdp_data.offer o JOIN cdp_data.offer_version v USING (offer_id, version) CROSS JOIN LATERAL cdp_internal.rule_uses(v.rule) u JOIN cdp_data.segment s ON s.name = u.name
  WHERE u.what = 'segment' AND o.state <> 'ended';
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_uses_of_offer() IS
'Offers whose rule names segments: in use (last_used NULL) until they end; those that were ended by hand are none.';
