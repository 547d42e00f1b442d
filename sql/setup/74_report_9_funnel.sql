-- Referral room, report: the live funnel as a view, and the road on which roles that may not read rewards see its sums.

-- step: again: referral funnel
-- Definer: figures stand on rewards, which analysts and marketers may not read; they see sums, no person.
CREATE OR REPLACE FUNCTION cdp_data.referral_funnel(campaign text, as_of timestamptz)
RETURNS TABLE (referral_campaign text, state text, reached bigint, enrolled bigint, shared bigint, clicked bigint, signed_up bigint, converted bigint, approved bigint, paid bigint,
  participation_rate numeric, signup_rate numeric, conversion_rate numeric, approval_rate numeric, paid_rate numeric, denominators jsonb)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_all_sources('referral reports are');
  RETURN QUERY SELECT * FROM cdp_internal.referral_funnel_rows(campaign, as_of);
END
$$;
REVOKE ALL ON FUNCTION cdp_data.referral_funnel(text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION cdp_data.referral_funnel(text, timestamptz) IS 'cdp.referral_funnel() with the rights of the tables'' owner. Error 42501 for a role that is kept to some sources.';
CREATE OR REPLACE VIEW cdp_bi.referral_funnel WITH (security_invoker = true) AS SELECT * FROM cdp_data.referral_funnel(NULL, NULL);
COMMENT ON VIEW cdp_bi.referral_funnel IS 'How far people came in each referral campaign, now: reached, enrolled, shared, clicked, signed_up, converted, approved, paid, with rates and their denominators. See cdp.referral_funnel().';

-- step: again: grants of the referral funnel
SELECT cdp_internal.declare_grant(t.template, 'EXECUTE', 'FUNCTION', 'cdp_data.referral_funnel(text,timestamptz)'), cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.referral_funnel')
FROM unnest(array['admin', 'analyst', 'marketer', 'finance']) AS t (template);
