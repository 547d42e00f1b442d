-- Activation room, offers: the roads of the connector role, as those of 34_access_2_roads: a site asks for an offer and tells
-- what came of it without reading or writing a table.

-- step: again: offer roads
CREATE OR REPLACE FUNCTION cdp_api.next_best_offer(customer bigint, placement text, language text DEFAULT NULL)
RETURNS TABLE (decision_id bigint, offer text, arm text, content jsonb, reason text, lease_until timestamptz)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_all_sources('offers are chosen by the values');
  RETURN QUERY SELECT d.decision_id, d.offer, d.arm, d.content, CASE WHEN d.reason = 'offer' THEN d.reason ELSE 'nothing' END, d.lease_until FROM cdp.next_best_offer(customer, placement, language => next_best_offer.language) d;
END
$$;
REVOKE ALL ON FUNCTION cdp_api.next_best_offer(bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.next_best_offer(bigint, text, text) IS 'cdp.next_best_offer() of this moment for the connector role; why there is no offer is not told. Definer: a site shows what the database chose, and reads no table. Error 42501 for a role that is kept to some sources.';
CREATE OR REPLACE FUNCTION cdp_api.record_offer_outcome(decision bigint, kind text, value numeric DEFAULT NULL, currency text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_all_sources('offers are chosen by the values');
  RETURN cdp.record_offer_outcome(decision, kind, NULL, value, currency);
END
$$;
REVOKE ALL ON FUNCTION cdp_api.record_offer_outcome(bigint, text, numeric, text) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.record_offer_outcome(bigint, text, numeric, text) IS 'cdp.record_offer_outcome() of this moment for the connector role. Definer: as cdp_api.next_best_offer().';
CREATE OR REPLACE FUNCTION cdp_api.release_offer(decision bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_all_sources('offers are chosen by the values');
  RETURN cdp.release_offer(decision);
END
$$;
REVOKE ALL ON FUNCTION cdp_api.release_offer(bigint) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.release_offer(bigint) IS 'cdp.release_offer() for the connector role. Definer: as cdp_api.next_best_offer().';

-- step: again: offer road grants
SELECT cdp_internal.declare_grant('connector', 'EXECUTE', 'FUNCTION', f)
FROM unnest(array['cdp_api.next_best_offer(bigint,text,text)', 'cdp_api.record_offer_outcome(bigint,text,numeric,text)', 'cdp_api.release_offer(bigint)']) f;
