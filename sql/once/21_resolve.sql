-- Types of the resolving part of the identity room.
CREATE TYPE cdp_internal.resolution AS (ids bigint[], parts bigint[], link_ids bigint[], verdicts bigint[], blockers bigint[]);
COMMENT ON TYPE cdp_internal.resolution IS
'Answer of the aggregate cdp_internal.resolve(). ids and parts go together: each identifier with the lowest identifier of its part. link_ids, verdicts and blockers go together, in canonical order: 2 the link joined two parts, 1 it holds within one, -1 a cannot link stopped it (blocker: which; else 0), -2 an end is quarantined, -3 an attach-only end has its link, -3 - n the n-th rule stopped it.';
