-- Referral room, programme: views for BI tools. Names instead of numbers, no person in them.

-- step: again: referral programme views
CREATE OR REPLACE VIEW cdp_bi.referral_campaign WITH (security_invoker = true) AS
  SELECT c.referral_campaign_id, c.name AS referral_campaign, c.campaign_group, c.state, s.from_at AS state_since, c.starts_at, c.ends_at, g.name AS segment, h.name AS holdout, m.name AS campaign, c.purpose, c.channels,
    c.goal_metric, c.goal_target, c.timezone, c.currency, c.budget_minor / 10::numeric ^ y.exponent AS budget, t.terms_version, t.valid_from AS terms_from, c.created_at
  FROM cdp_data.referral_campaign c LEFT JOIN cdp_data.currency_all y ON y.code = c.currency LEFT JOIN cdp_data.segment g ON g.segment_id = c.segment_id LEFT JOIN cdp_data.holdout h ON h.holdout_id = c.holdout_id
    LEFT JOIN cdp_data.campaign m ON m.campaign_id = c.campaign_id
    LEFT JOIN LATERAL (SELECT x.from_at FROM cdp_data.referral_campaign_state x WHERE x.referral_campaign_id = c.referral_campaign_id ORDER BY x.from_at DESC LIMIT 1) s ON true
    LEFT JOIN LATERAL (SELECT x.terms_version, x.valid_from FROM cdp_data.referral_terms x WHERE x.referral_campaign_id = c.referral_campaign_id ORDER BY x.valid_from <= now() DESC, abs(extract(epoch FROM x.valid_from - now())), x.terms_version DESC LIMIT 1) t ON true;
COMMENT ON VIEW cdp_bi.referral_campaign IS 'Referral campaigns with names instead of numbers: state and since when, audience, goal, budget (in units of the currency), and the version of terms by which events of now go. Columns as in cdp_data.referral_campaign.';
CREATE OR REPLACE VIEW cdp_bi.referral_distribution WITH (security_invoker = true) AS
  SELECT x.name AS referral_campaign, x.channel, x.language, x.variant, x.state, CASE WHEN x.people >= coalesce(f.minimum_audience, 0) THEN x.people END AS people, x.first_queued_at, x.last_queued_at
  FROM (SELECT c.name, d.channel, m.language, d.variant, d.state, count(*) AS people, min(d.queued_at) AS first_queued_at, max(d.queued_at) AS last_queued_at
    FROM cdp_data.referral_distribution d JOIN cdp_data.referral_campaign c USING (referral_campaign_id) LEFT JOIN cdp_data.referral_material m USING (referral_material_id)
    GROUP BY c.name, d.channel, m.language, d.variant, d.state) x CROSS JOIN cdp_data.setting f;
COMMENT ON VIEW cdp_bi.referral_distribution IS 'How many were told of each referral campaign on which channel, by language and variant of the text, and what became of it (state of cdp_data.referral_distribution); people NULL: fewer than minimum_audience.';

-- step: again: grants of referral programme views
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.' || v.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'finance', 'privacy']) AS t (template), unnest(array['referral_campaign', 'referral_distribution']) AS v (name) WHERE v.name <> 'referral_distribution' OR t.template <> 'finance';
