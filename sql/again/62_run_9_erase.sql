-- Activation room, campaign runs: what they add to erasures and to maintenance.

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_run(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY SELECT x, 'delete', cdp_internal.erase_keyed(x, 'customer_id', customers || homes)
  FROM unnest(ARRAY['cdp_data.campaign_exposure', 'cdp_data.campaign_stray']) x;
  RETURN QUERY SELECT 'cdp_data.channel_bounce', 'delete', cdp_internal.erase_keyed('cdp_data.channel_bounce', 'identifier_id', identifiers);
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_run(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes the exposures of a person who is erased, what is known of his addresses and his feedback that found no run. Who keeps his touches unlinked was exposed to nothing. Returns what was done per table.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_run()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held bigint[] := cdp_internal.held_homes();
  n bigint;
BEGIN
  DELETE FROM cdp_data.campaign_exposure e USING cdp_data.campaign_run r, cdp_data.setting s
  WHERE r.campaign_run_id = e.campaign_run_id AND r.finished_at < cdp_internal.cutoff(now(), s.exposure_retention) AND e.customer_id <> ALL (held);
  GET DIAGNOSTICS n = ROW_COUNT;
  RAISE NOTICE 'maintain: % exposures past their retention', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_run() IS
'Part of cdp.maintain(): retention of exposures (cdp_data.setting.exposure_retention); those of customers on hold stay.';
