-- Matching: scores become links between identifiers, and are taken back like any other link.

CREATE OR REPLACE FUNCTION cdp_internal.link_scores(run text, a bigint[], b bigint[], weights double precision[], OUT accepted bigint, OUT rejected bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ids bigint[];
BEGIN
  PERFORM cdp_internal.lock_customers(a || b);
  -- A link that a person or an unmerge revoked stays so; one that an earlier run of matching took back may return.
  UPDATE cdp_data.link l SET state = 'rejected'
  FROM unnest(a, b) AS u (a, b)
  WHERE l.a_id = least(u.a, u.b) AND l.b_id = greatest(u.a, u.b) AND l.kind = 'probabilistic' AND l.state = 'revoked' AND l.reason LIKE 'match %';
  INSERT INTO cdp_data.link AS l (a_id, b_id, kind, state, weight, first_seen, reason)
  SELECT x.a, x.b, 'probabilistic', 'rejected', x.w, coalesce(greatest(i.first_seen, j.first_seen), now()), 'match ' || run
  FROM (SELECT least(u.a, u.b) AS a, greatest(u.a, u.b) AS b, max(u.w) AS w FROM unnest(link_scores.a, link_scores.b, weights) AS u (a, b, w) WHERE u.a <> u.b GROUP BY 1, 2) AS x
    JOIN cdp_data.identifier i ON i.identifier_id = x.a JOIN cdp_data.identifier j ON j.identifier_id = x.b
  ORDER BY x.a, x.b
  ON CONFLICT ON CONSTRAINT link_once DO UPDATE SET weight = excluded.weight, changed_at = clock_timestamp()
  WHERE l.weight IS DISTINCT FROM excluded.weight;
  SELECT array_agg(l.link_id ORDER BY l.a_id, l.b_id) INTO ids
  FROM (SELECT DISTINCT least(u.a, u.b) AS a, greatest(u.a, u.b) AS b FROM unnest(link_scores.a, link_scores.b) AS u (a, b)) AS x
    JOIN cdp_data.link l ON l.a_id = x.a AND l.b_id = x.b AND l.kind = 'probabilistic' AND l.state = 'rejected';
  accepted := 0;
  rejected := 0;
  IF ids IS NOT NULL THEN
    SELECT r.accepted, r.rejected INTO accepted, rejected FROM cdp_internal.resolve_links(ids, 'match', NULL, NULL, 'match ' || run) r;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.link_scores(text, bigint[], bigint[], double precision[]) IS
'Writes match weights (log2 of the odds) of pairs of identifiers as links of kind probabilistic and tries those that are not in force, with all limits and cannot links. A link that was revoked otherwise than by matching keeps its state. run is the name that the ledger shows. Returns how many of the tried ones hold and how many do not. Pairs with an unknown identifier count for nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.unlink_scores(run text, a bigint[], b bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  -- Links that a limit had stopped may hold then: the customers at their far ends are locked in the same order.
  PERFORM cdp_internal.lock_customers(a || b, true);
  UPDATE cdp_data.link l SET state = 'revoked', reason = 'match ' || run, changed_at = clock_timestamp()
  FROM (SELECT DISTINCT least(u.a, u.b) AS a, greatest(u.a, u.b) AS b FROM unnest(unlink_scores.a, unlink_scores.b) AS u (a, b)) AS x
  WHERE l.a_id = x.a AND l.b_id = x.b AND l.kind = 'probabilistic' AND l.state <> 'revoked';
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n > 0 THEN
    PERFORM cdp_internal.recompute(ARRAY(SELECT DISTINCT cdp_internal.identifier_root(x) FROM unnest(a || b) x), 'match', 'match ' || run, true);
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.unlink_scores(text, bigint[], bigint[]) IS
'Takes back the probabilistic links of pairs of identifiers that a later run no longer finds, and recomputes their customers. Returns how many links that were.';
