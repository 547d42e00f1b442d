-- Activation room: what campaign runs and referral campaigns have in common: whom they speak to, for which purpose, with which holdout,
-- for which campaign; and the keys by which they are changed.

CREATE OR REPLACE FUNCTION cdp_internal.require_changes(what text, changes jsonb, known text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  odd text;
BEGIN
  IF jsonb_typeof(changes) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'changes must be a JSON object' USING ERRCODE = 'invalid_parameter_value', HINT = format('Its keys are %s.', array_to_string(known, ', '));
  END IF;
  SELECT k INTO odd FROM jsonb_object_keys(changes) k WHERE k <> ALL (known) ORDER BY k COLLATE "C" LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'a % has no "%"', what, left(odd, 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(odd, known, format('Its keys are %s.', array_to_string(known, ', ')));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_changes(text, jsonb, text[]) IS
'Error 22023 when changes to something (what: its name in the message) are no JSON object, or have a key that is not known, with the nearest one.';

CREATE OR REPLACE FUNCTION cdp_internal.aim_audience(segment text, channel text, OUT bits bytea, OUT refusal text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  bits := cdp_internal.audience_bits(segment, channel);
EXCEPTION WHEN invalid_parameter_value OR object_not_in_prerequisite_state OR undefined_object THEN
  refusal := SQLERRM;
END
$$;
COMMENT ON FUNCTION cdp_internal.aim_audience(text, text) IS
'The audience of a segment on a channel as it is now (cdp_internal.audience_bits()), or why it has none: the segment is not active, not evaluated, or its rule broken.';

CREATE OR REPLACE FUNCTION cdp_internal.aim_findings(what text, segment integer, purpose text, holdout integer, campaign integer, refusal text) RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT 'error', 'segment_purpose', format('segment "%s" is for the purpose %s, the %s for %s', s.name, s.purpose, what, aim_findings.purpose), format('Use a segment of the %s''s purpose.', what)
  FROM cdp_data.segment s WHERE s.segment_id = aim_findings.segment AND s.purpose <> aim_findings.purpose
  UNION ALL
  SELECT 'error', 'holdout_ended', format('holdout "%s" has ended', h.name), 'Name another one, or none.' FROM cdp_data.holdout h WHERE h.holdout_id = aim_findings.holdout AND h.ended_at IS NOT NULL
  UNION ALL
  SELECT f.severity, f.code, f.message, f.hint FROM (VALUES
    (refusal IS NOT NULL, 'error', 'no_audience', refusal, 'Activate the segment, mend its rule, or wait for the next cdp.segment_tick().'),
    (aim_findings.purpose IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.purpose_all p WHERE p.name = aim_findings.purpose), 'error', 'unknown_purpose', format('there is no purpose named "%s"', left(aim_findings.purpose, 100)),
      cdp_internal.did_you_mean(aim_findings.purpose, ARRAY(SELECT p.name FROM cdp_data.purpose_all p), 'SELECT name FROM cdp_data.purpose_all; lists them.')),
    (holdout IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.holdout h WHERE h.holdout_id = aim_findings.holdout), 'error', 'no_such_holdout', 'its holdout is not there any more', 'Name another one, or none.'),
    (campaign IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.campaign c WHERE c.campaign_id = aim_findings.campaign), 'error', 'no_campaign', 'its campaign is not there any more', 'Name another one, or none.')
  ) AS f (found, severity, code, message, hint) WHERE f.found;
END
$$;
COMMENT ON FUNCTION cdp_internal.aim_findings(text, integer, text, integer, integer, text) IS
'What is wrong with segment, purpose, holdout and campaign of something that speaks to customers (what: run, campaign), as findings of its check. refusal: of cdp_internal.aim_audience().';
