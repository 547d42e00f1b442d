-- Referral room, report: the live funnel of every campaign, by the counts of its report, so that both say the same.

CREATE OR REPLACE FUNCTION cdp_internal.referral_funnel_rows(campaign text DEFAULT NULL, as_of timestamptz DEFAULT NULL)
RETURNS TABLE (referral_campaign text, state text, reached bigint, enrolled bigint, shared bigint, clicked bigint, signed_up bigint, converted bigint, approved bigint, paid bigint,
  participation_rate numeric, signup_rate numeric, conversion_rate numeric, approval_rate numeric, paid_rate numeric, denominators jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz := coalesce(as_of, now());
  gate bytea := cdp_internal.consent_gate('analytics');
  only_one integer := CASE WHEN campaign IS NOT NULL THEN cdp_internal.referral_campaign_of(campaign) END;
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  SELECT c.name::text, c.state::text, n.reached, n.enrolled, n.shared, n.clicked, n.signed_up, n.converted, n.approved, n.paid,
    -- A rate of whom a count is hidden would tell it.
    CASE WHEN n.shared IS NOT NULL THEN round(n.shared::numeric / nullif(n.reached, 0), 6) END, CASE WHEN NOT cdp_internal.few_people(x.visitors_signed, x.visitors) THEN round(x.visitors_signed::numeric / nullif(n.clicked, 0), 6) END,
    CASE WHEN NOT cdp_internal.few_people(x.visitors_bought, x.visitors) THEN round(x.visitors_bought::numeric / nullif(n.clicked, 0), 6) END, round(n.approved::numeric / nullif(n.signed_up, 0), 6), round(n.paid::numeric / nullif(n.approved, 0), 6),
    '{"participation_rate": "reached", "signup_rate": "clicked", "conversion_rate": "clicked", "approval_rate": "signed_up", "paid_rate": "approved"}'::jsonb
  FROM cdp_data.referral_campaign c CROSS JOIN LATERAL cdp_internal.referral_counts(c.referral_campaign_id, moment, gate) x
    CROSS JOIN LATERAL (SELECT CASE WHEN NOT cdp_internal.few_people(x.reached, NULL) THEN x.reached END AS reached, CASE WHEN NOT cdp_internal.few_people(x.enrolled, NULL) THEN x.enrolled END AS enrolled, CASE WHEN NOT cdp_internal.few_people(x.sharers, x.reached) THEN x.sharers END AS shared,
      CASE WHEN NOT cdp_internal.few_people(x.visitors, NULL) THEN x.visitors END AS clicked, CASE WHEN NOT cdp_internal.few_people(x.referees, NULL) THEN x.referees END AS signed_up, CASE WHEN NOT cdp_internal.few_people(x.buyers, x.referees) THEN x.buyers END AS converted,
      CASE WHEN NOT cdp_internal.few_people(x.approved, x.referees) THEN x.approved END AS approved, CASE WHEN NOT cdp_internal.few_people(x.paid, x.approved) THEN x.paid END AS paid) n
  WHERE coalesce(c.referral_campaign_id = only_one, true) ORDER BY c.name;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_funnel_rows(text, timestamptz) IS 'What cdp.referral_funnel() shows; it runs with the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.referral_funnel(campaign text DEFAULT NULL, as_of timestamptz DEFAULT NULL)
RETURNS TABLE (referral_campaign text, state text, reached bigint, enrolled bigint, shared bigint, clicked bigint, signed_up bigint, converted bigint, approved bigint, paid bigint,
  participation_rate numeric, signup_rate numeric, conversion_rate numeric, approval_rate numeric, paid_rate numeric, denominators jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY SELECT * FROM cdp_data.referral_funnel(campaign, as_of);
END
$$;
COMMENT ON FUNCTION cdp.referral_funnel(text, timestamptz) IS
'How far people came in a referral campaign (NULL: in each), as known at as_of (NULL: now), by the customers of now; tests, programs and what was taken back are nowhere in it. reached: advocates who were told, and those who shared without; as long as no message went out, who has a code; enrolled: who have a code; shared: who shared, or whose link was clicked or brought somebody; clicked: visitors; signed_up: who was referred (rejected ones, too); converted: of them who bought; approved: referrals in order; paid: of them some reward was paid. participation_rate = shared / reached, signup_rate and conversion_rate: visitors whose click brought a referral, a purchase / clicked, approval_rate = approved / signed_up, paid_rate = paid / approved; denominators names them. A rate without anybody below the line, and figures of fewer people than minimum_audience, are NULL. Errors: 42704 no such campaign, 42501 for a role that is kept to some sources.';
