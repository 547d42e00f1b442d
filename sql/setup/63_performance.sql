-- Activation room, performance: views for BI tools, and the one road on which a marketer sees what feedback says of a run.

-- step: again: feedback of runs
-- Definer: which run feedback names stands in the properties of touchpoints, which may hold anything, so that analysts and
-- marketers may not read them; of them this shows the run only.
CREATE OR REPLACE FUNCTION cdp_data.run_feedback(run integer, since timestamptz, as_of timestamptz) RETURNS TABLE (root bigint, effect text, at timestamptz)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_all_sources('feedback on a run comes from touchpoints');
  RETURN QUERY SELECT f.root, f.effect, f.at FROM cdp_internal.run_feedback(run, since, as_of) f;
END
$$;
REVOKE ALL ON FUNCTION cdp_data.run_feedback(integer, timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION cdp_data.run_feedback(integer, timestamptz, timestamptz) IS 'cdp_internal.run_feedback() with the rights of the tables'' owner, for cdp.run_performance(). Error 42501 for a role that is kept to some sources.';

-- step: again: feedback grants
SELECT cdp_internal.declare_grant(t.template, 'EXECUTE', 'FUNCTION', 'cdp_data.run_feedback(integer,timestamptz,timestamptz)')
FROM unnest(array['admin', 'analyst', 'marketer']) AS t (template);

-- step: again: performance views
CREATE OR REPLACE VIEW cdp_bi.segment_performance WITH (security_invoker = true) AS
  SELECT p.* FROM cdp.segment_performance(greatest(now() - interval '720 hours', (SELECT c.kept_from FROM cdp_data.segment_clock c))) p;
COMMENT ON VIEW cdp_bi.segment_performance IS 'What members of each active or paused segment did in the last 30 days (where transitions are kept for less, since they are) while they were members: cdp.segment_performance(). It reads the touchpoints each time.';
CREATE OR REPLACE VIEW cdp_bi.run_performance WITH (security_invoker = true) AS
  SELECT r.campaign_run_id, r.name AS run, s.name AS segment, r.channel, r.state AS run_state, r.launched_at, p.*
  FROM cdp_data.campaign_run r LEFT JOIN cdp_data.segment s USING (segment_id) CROSS JOIN LATERAL cdp.run_performance(r.name) p WHERE r.launched_at IS NOT NULL;
COMMENT ON VIEW cdp_bi.run_performance IS 'What came of every launched campaign run, a row for each variant and for control: cdp.run_performance(). Ask for few runs at a time (WHERE run = ...): each reads the touchpoints of its window.';
CREATE OR REPLACE VIEW cdp_bi.run_lift WITH (security_invoker = true) AS
  SELECT r.campaign_run_id, r.name AS run, s.name AS segment, r.launched_at, l.*
  FROM cdp_data.campaign_run r LEFT JOIN cdp_data.segment s USING (segment_id) CROSS JOIN LATERAL cdp.run_lift(r.name) l WHERE r.launched_at IS NOT NULL;
COMMENT ON VIEW cdp_bi.run_lift IS 'What every launched campaign run brought against its control, a row for all treated (variant NULL) and one for each of several variants: cdp.run_lift(). Ask for few runs at a time.';

-- step: again: grants of performance views
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.' || r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template), unnest(array['segment_performance', 'run_performance', 'run_lift']) AS r (name);
