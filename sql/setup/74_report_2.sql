-- Referral room, recommendations: the road on which roles see them.

-- step: again: referral recommendations
-- Definer: as cdp_data.referral_report().
CREATE OR REPLACE FUNCTION cdp_data.referral_recommend(campaign text, as_of timestamptz, margin double precision, target_cpa numeric, within interval, segments text[], discovery double precision)
RETURNS TABLE (rule_id text, status text, severity text, insight text, action text, evidence jsonb, expected_impact numeric, impact_unit text, confidence double precision, p_value double precision, q_value double precision)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_all_sources('referral recommendations are');
  RETURN QUERY SELECT * FROM cdp_internal.referral_recommend_rows(campaign, as_of, margin, target_cpa, within, segments, discovery);
END
$$;
REVOKE ALL ON FUNCTION cdp_data.referral_recommend(text, timestamptz, double precision, numeric, interval, text[], double precision) FROM PUBLIC;
COMMENT ON FUNCTION cdp_data.referral_recommend(text, timestamptz, double precision, numeric, interval, text[], double precision) IS 'cdp.referral_recommend() with the rights of the tables'' owner. Error 42501 for a role that is kept to some sources.';

-- step: again: grants of referral recommendations
SELECT cdp_internal.declare_grant(t.template, 'EXECUTE', 'FUNCTION', 'cdp_data.referral_recommend(text,timestamptz,double precision,numeric,interval,text[],double precision)')
FROM unnest(array['admin', 'analyst', 'marketer', 'finance']) AS t (template);
