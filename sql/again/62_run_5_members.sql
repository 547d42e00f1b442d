-- Activation room: who was in which segment at the moments at which something happened, each moment its own.

CREATE OR REPLACE FUNCTION cdp_internal.members_then(ids integer[], roots bigint[], moments timestamptz[]) RETURNS TABLE (n bigint, segment_id integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH asked AS MATERIALIZED (
    SELECT a.n, a.root, a.at FROM unnest(roots, moments) WITH ORDINALITY AS a (root, at, n)
  ), part AS MATERIALIZED (
    SELECT r.root, u.id FROM (SELECT DISTINCT a.root FROM asked a) r CROSS JOIN LATERAL cdp_internal.customers_under(r.root) AS u (id)
  ), run AS MATERIALIZED (
    -- A run for an earlier moment puts the ones before it aside, as cdp_internal.segment_bits_at() has it.
    SELECT r.run_id, min(r.as_of) OVER (ORDER BY r.run_id DESC) AS at FROM cdp_data.segment_run r
  ), later AS MATERIALIZED (
    SELECT DISTINCT ON (a.n, p.id, t.segment_id) a.n, p.id, t.segment_id, t.entered
    FROM asked a JOIN part p ON p.root = a.root JOIN cdp_data.segment_transition t ON t.customer_id = p.id LEFT JOIN run r ON r.run_id = t.run_id
    WHERE t.segment_id = ANY (ids) AND coalesce(r.at, t.at) > a.at ORDER BY a.n, p.id, t.segment_id, t.transition_id
  ), present AS MATERIALIZED (
    SELECT s AS segment_id, cdp_internal.segment_bits(s) AS bits FROM unnest(ids) s
  )
  SELECT DISTINCT a.n, s.segment_id
  FROM asked a JOIN part p ON p.root = a.root CROSS JOIN present s LEFT JOIN later l ON l.n = a.n AND l.id = p.id AND l.segment_id = s.segment_id
  WHERE coalesce(NOT l.entered, cdp.roaring_has(s.bits, p.id));
END
$$;
COMMENT ON FUNCTION cdp_internal.members_then(integer[], bigint[], timestamptz[]) IS
'Which of these segments each root was in at the moment at his place, under his own id or one that was merged into him: rows of the place (from 1) and the segment. As cdp_internal.segment_bits_at() of each moment; before the first run nobody was in any. Moments of which transitions are no longer kept get the members of the earliest that are: ask cdp_internal.require_members_since() first.';

CREATE OR REPLACE FUNCTION cdp_internal.require_members_since(since timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kept_from timestamptz := (SELECT c.kept_from FROM cdp_data.segment_clock c);
BEGIN
  IF since < kept_from THEN
    RAISE EXCEPTION 'members of that time are no longer known'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Transitions are kept from %s on, asked for is %s.', kept_from, since), HINT = 'See cdp_data.setting.transition_retention.';
  END IF;
  RETURN coalesce(since, kept_from, '-infinity');
END
$$;
COMMENT ON FUNCTION cdp_internal.require_members_since(timestamptz) IS
'The moment itself; for NULL the earliest of which memberships are known. Error 22023: transitions of that time were deleted by their retention.';
