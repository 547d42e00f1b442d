-- Segment room, insight: which segments share their members.

CREATE OR REPLACE FUNCTION cdp.segment_overlap(segments text[] DEFAULT NULL)
RETURNS TABLE (a text, b text, customers_a bigint, customers_b bigint, common bigint, share_of_a double precision, share_of_b double precision, jaccard double precision, lift double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  least_people integer;
  names text[];
  ids integer[];
  everybody bigint := (SELECT k.everybody FROM cdp_data.segment_clock k);
BEGIN
  PERFORM cdp_internal.require_setup();
  least_people := cdp_internal.minimum_audience();
  PERFORM cdp_internal.segment_of(n) FROM unnest(segments) n;
  SELECT array_agg(s.name ORDER BY s.name), array_agg(s.segment_id ORDER BY s.name) INTO names, ids
  FROM cdp_data.segment s WHERE CASE WHEN segments IS NULL THEN s.state IN ('active', 'paused') ELSE s.name = ANY (segments) END;
  RETURN QUERY
  WITH pair AS MATERIALIZED (
    SELECT o.a, o.b, o.common FROM cdp.roaring_overlap(ARRAY(SELECT cdp_internal.segment_bits(i.id) FROM unnest(ids) WITH ORDINALITY AS i (id, nth) ORDER BY i.nth)) o
  ), size AS (
    SELECT p.a AS i, p.common AS n FROM pair p WHERE p.a = p.b
  ), cell AS (
    SELECT p.a AS i, p.b AS j, p.common AS n FROM pair p
    UNION ALL
    SELECT p.b, p.a, p.common FROM pair p WHERE p.a <> p.b
  ), told AS (
    SELECT c.i, c.j, x.n AS na, y.n AS nb, c.n AS nc,
      -- Nobody, or enough, in each of the parts that two segments make.
      NOT coalesce(x.n BETWEEN 1 AND least_people - 1, false) AS see_a, NOT coalesce(y.n BETWEEN 1 AND least_people - 1, false) AS see_b,
      NOT coalesce(c.n BETWEEN 1 AND least_people - 1 OR x.n - c.n BETWEEN 1 AND least_people - 1 OR y.n - c.n BETWEEN 1 AND least_people - 1, false) AS see_c
    FROM cell c JOIN size x ON x.i = c.i JOIN size y ON y.i = c.j
  )
  SELECT names[t.i], names[t.j], CASE WHEN t.see_a THEN t.na END, CASE WHEN t.see_b THEN t.nb END, CASE WHEN t.see_c THEN t.nc END,
    CASE WHEN t.see_c THEN t.nc::double precision / nullif(t.na, 0) END, CASE WHEN t.see_c THEN t.nc::double precision / nullif(t.nb, 0) END,
    CASE WHEN t.see_c THEN t.nc::double precision / nullif(t.na + t.nb - t.nc, 0) END,
    CASE WHEN t.see_c THEN t.nc::double precision * everybody / nullif(t.na::double precision * t.nb, 0) END
  FROM told t ORDER BY t.i, t.j;
END
$$;
COMMENT ON FUNCTION cdp.segment_overlap(text[]) IS
'How many members segments share, as of the last tick: a row for each ordered pair, each with itself too, by name. segments: these; NULL: all that are active or paused. common: members of both; share_of_a, share_of_b: common by the size of one; jaccard: common by those in either (1: the same members; NULL: both empty); lift: how many times more members of one are in the other than of everybody (1: as many; NULL: one is empty), everybody being those of the last pass over all. With cdp_data.setting.minimum_audience figures about fewer people (in a, in b, in both, in one only) are NULL. Reads only. Errors: 42704 no such segment, 55000 before cdp.setup().';
