-- Activation room, offers: views for BI tools.

-- step: again: offer views
CREATE OR REPLACE VIEW cdp_bi.offer_performance WITH (security_invoker = true) AS SELECT * FROM cdp.offer_performance();
COMMENT ON VIEW cdp_bi.offer_performance IS 'How each offer and arm does at each placement, over all decisions that are kept: cdp.offer_performance().';

-- step: again: grants of offer views
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.offer_performance') FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template);
