-- Activation room, performance: views for BI tools.

-- step: again: performance views
CREATE OR REPLACE VIEW cdp_bi.segment_performance WITH (security_invoker = true) AS
  SELECT p.* FROM cdp.segment_performance(now() - interval '720 hours') p;
COMMENT ON VIEW cdp_bi.segment_performance IS 'What members of each active or paused segment did in the last 30 days while they were members: cdp.segment_performance(). It reads the touchpoints each time.';

-- step: again: grants of performance views
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.' || r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template), unnest(array['segment_performance']) AS r (name);
