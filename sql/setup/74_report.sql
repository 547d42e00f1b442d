-- Referral room, report: the roads on which roles that may not read rewards and fraud see sums of them.

-- step: again: referral report
-- Definer: figures stand on rewards, ledger and fraud scores, which analysts and marketers may not read; they see sums, no person.
CREATE OR REPLACE FUNCTION cdp_data.referral_report(campaign text, as_of timestamptz, margin double precision, other_cost numeric, within interval, confidence double precision)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_all_sources('referral reports are');
  RETURN QUERY SELECT * FROM cdp_internal.referral_report_rows(campaign, as_of, margin, other_cost, within, confidence);
END
$$;
REVOKE ALL ON FUNCTION cdp_data.referral_report(text, timestamptz, double precision, numeric, interval, double precision) FROM PUBLIC;
COMMENT ON FUNCTION cdp_data.referral_report(text, timestamptz, double precision, numeric, interval, double precision) IS 'cdp.referral_report() with the rights of the tables'' owner. Error 42501 for a role that is kept to some sources.';

-- step: again: grants of referral reports
SELECT cdp_internal.declare_grant(t.template, 'EXECUTE', 'FUNCTION', 'cdp_data.referral_report(text,timestamptz,double precision,numeric,interval,double precision)')
FROM unnest(array['admin', 'analyst', 'marketer', 'finance']) AS t (template);
