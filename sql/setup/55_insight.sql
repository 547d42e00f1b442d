-- Segment room, insight: views for BI tools.

-- step: again: insight views
CREATE OR REPLACE VIEW cdp_bi.segment_overlap WITH (security_invoker = true) AS SELECT * FROM cdp.segment_overlap();
COMMENT ON VIEW cdp_bi.segment_overlap IS 'How many members each two segments share: cdp.segment_overlap() of all active and paused ones.';
CREATE OR REPLACE VIEW cdp_bi.segment_duplicate WITH (security_invoker = true) AS
  SELECT o.a, o.b, o.customers_a, o.customers_b, o.common, o.jaccard FROM cdp.segment_overlap() o WHERE o.a < o.b AND o.jaccard >= 0.95;
COMMENT ON VIEW cdp_bi.segment_duplicate IS 'Pairs of active or paused segments with nearly the same members: of those in either at least 95 in 100 are in both. One of them may be enough.';

-- step: again: grants of insight views
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.' || r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template), unnest(array['segment_overlap', 'segment_duplicate']) AS r (name);
