-- Referral room, fraud: the type of a decision.
CREATE TYPE cdp.fraud_decision AS (
  score double precision,
  decision text,
  decided_by text,
  reasons jsonb,
  degraded text[],
  version text
);
COMMENT ON TYPE cdp.fraud_decision IS
'What fraud rules say about a case. score: 0 to 1. decision: approve, review, reject, or ineligible (a hard rule). decided_by: ban, allow or block (a list), hard, score (thresholds), cost (expected costs), density (it would have been rejected, but by rings alone: somebody has to look). reasons: the rules that fired, as objects with code, group, weight, value (what was measured), effective (the weight that it got), counts (the largest of its group, so part of the score) and evidence, in the order effective descending, then code. degraded: codes of rules whose signal is missing, in their order. version: stamp of the rules and thresholds.';

CREATE TYPE cdp.email_form AS (
  canonical text,
  local text,
  domain text,
  stem text,
  serial integer,
  is_role boolean
);
COMMENT ON TYPE cdp.email_form IS
'What an e-mail address tells about who made it; see cdp.email_parts().';
