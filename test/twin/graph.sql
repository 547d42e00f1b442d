-- Slow twins of the fraud rules on graphs: plain SQL and plpgsql over twin.edge(a, b), by definition.
CREATE SCHEMA IF NOT EXISTS twin;
CREATE TABLE twin.edge (a bigint, b bigint);

-- Accounts that share an attribute of no more than cap accounts, by spreading the smallest number until nothing changes.
CREATE FUNCTION twin.fraud_components(cap int) RETURNS TABLE (account bigint, component bigint, accounts int) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  CREATE TEMP TABLE label AS SELECT DISTINCT e.a AS id, e.a AS low FROM twin.edge e WHERE e.a IS NOT NULL;
  CREATE TEMP TABLE linked AS SELECT DISTINCT x.a AS x, y.a AS y FROM twin.edge x JOIN twin.edge y ON y.b = x.b
    WHERE x.b IN (SELECT e.b FROM twin.edge e WHERE e.b IS NOT NULL AND e.a IS NOT NULL GROUP BY e.b HAVING count(DISTINCT e.a) <= cap);
  LOOP
    UPDATE label l SET low = m.low FROM (SELECT k.x, min(n.low) AS low FROM linked k JOIN label n ON n.id = k.y GROUP BY k.x) m WHERE m.x = l.id AND m.low < l.low;
    EXIT WHEN NOT FOUND;
  END LOOP;
  RETURN QUERY SELECT l.id, l.low, (count(*) OVER (PARTITION BY l.low))::int FROM label l;
  DROP TABLE label, linked;
END $$;

-- Core numbers: for each k, whoever has fewer than k neighbours goes, until all have.
CREATE FUNCTION twin.fraud_core() RETURNS TABLE (account bigint, core int, degree int) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  k int := 0;
BEGIN
  CREATE TEMP TABLE both_ways AS SELECT DISTINCT x, y FROM (SELECT a AS x, b AS y FROM twin.edge UNION ALL SELECT b, a FROM twin.edge) e WHERE x <> y;
  CREATE TEMP TABLE numbered AS SELECT DISTINCT n AS id, 0 AS k, (SELECT count(*) FROM both_ways w WHERE w.x = n)::int AS degree
    FROM (SELECT a FROM twin.edge UNION SELECT b FROM twin.edge) u (n) WHERE n IS NOT NULL;
  WHILE EXISTS (SELECT FROM both_ways) LOOP
    k := k + 1;
    LOOP
      DELETE FROM both_ways w USING (SELECT x FROM both_ways GROUP BY x HAVING count(*) < k) f WHERE w.x = f.x OR w.y = f.x;
      EXIT WHEN NOT FOUND;
    END LOOP;
    UPDATE numbered n SET k = twin_k.k FROM (SELECT k) twin_k (k) WHERE n.id IN (SELECT x FROM both_ways);
  END LOOP;
  RETURN QUERY SELECT n.id, n.k, n.degree FROM numbered n;
  DROP TABLE both_ways, numbered;
END $$;

-- Cycles by joins; nodes with more than cap ways out are left out.
CREATE FUNCTION twin.fraud_cycles(longest int, cap int) RETURNS TABLE (length int, accounts bigint[]) LANGUAGE sql AS $$
  WITH way AS MATERIALIZED (SELECT DISTINCT a, b FROM twin.edge WHERE a <> b),
  hub AS MATERIALIZED (SELECT a FROM way GROUP BY a HAVING count(*) > cap),
  e AS MATERIALIZED (SELECT * FROM way WHERE a NOT IN (SELECT a FROM hub) AND b NOT IN (SELECT a FROM hub))
  SELECT 2, ARRAY[x.a, x.b] FROM e x JOIN e y ON y.a = x.b AND y.b = x.a WHERE x.a < x.b
  UNION ALL
  SELECT 3, ARRAY[x.a, y.a, z.a] FROM e x JOIN e y ON y.a = x.b JOIN e z ON z.a = y.b AND z.b = x.a
  WHERE longest >= 3 AND x.a < y.a AND x.a < z.a
  UNION ALL
  SELECT 4, ARRAY[x.a, y.a, z.a, u.a] FROM e x JOIN e y ON y.a = x.b JOIN e z ON z.a = y.b JOIN e u ON u.a = z.b AND u.b = x.a
  WHERE longest >= 4 AND x.a < y.a AND x.a < z.a AND x.a < u.a AND y.a <> u.a
$$;

-- Peeling, one node at a time: all weights are worked out anew before each.
CREATE FUNCTION twin.fraud_dense_blocks(k int, weight text) RETURNS TABLE (block int, account bigint, attribute bigint, accounts int, attributes int, density float8)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  side_out int;
  id_out bigint;
  total numeric;
  best_total numeric;
  best_n int;
  n int;
  step int;
  best int;
BEGIN
  CREATE TEMP TABLE given AS SELECT DISTINCT a, b FROM twin.edge WHERE a IS NOT NULL AND b IS NOT NULL;
  FOR number IN 1 .. k LOOP
    EXIT WHEN NOT EXISTS (SELECT FROM given);
    CREATE TEMP TABLE left_over AS SELECT g.a, g.b, CASE weight WHEN 'log' THEN round(4294967296::float8 / ln(d.n + 5::float8))::bigint ELSE 4294967296 END AS w
      FROM given g JOIN (SELECT b, count(*)::float8 AS n FROM given GROUP BY b) d USING (b);
    CREATE TEMP TABLE went (step int, side int, id bigint);
    SELECT sum(w), count(DISTINCT a) + count(DISTINCT b) INTO best_total, best_n FROM left_over;
    n := best_n;
    step := 0;
    best := 0;
    CREATE TEMP TABLE here AS SELECT DISTINCT 0 AS side, a AS id FROM left_over UNION SELECT DISTINCT 1, b FROM left_over;
    WHILE n > 1 LOOP
      SELECT h.side, h.id INTO side_out, id_out FROM here h
      LEFT JOIN (SELECT 0 AS side, a AS id, sum(w) AS w FROM left_over GROUP BY a UNION ALL SELECT 1, b, sum(w) FROM left_over GROUP BY b) s USING (side, id)
      ORDER BY coalesce(s.w, 0), h.side, h.id LIMIT 1;
      DELETE FROM here WHERE side = side_out AND id = id_out;
      DELETE FROM left_over l WHERE CASE side_out WHEN 0 THEN l.a ELSE l.b END = id_out;
      step := step + 1;
      n := n - 1;
      INSERT INTO went VALUES (step, side_out, id_out);
      SELECT coalesce(sum(w), 0) INTO total FROM left_over;
      IF total * best_n > best_total * n THEN
        best := step;
        best_total := total;
        best_n := n;
      END IF;
    END LOOP;
    INSERT INTO went SELECT step + 1, h.side, h.id FROM here h;
    DELETE FROM went w WHERE w.step <= best;
    RETURN QUERY SELECT number, CASE w.side WHEN 0 THEN w.id END, CASE w.side WHEN 1 THEN w.id END,
      (count(*) FILTER (WHERE w.side = 0) OVER ())::int, (count(*) FILTER (WHERE w.side = 1) OVER ())::int, best_total::float8 / 4294967296 / best_n FROM went w;
    DELETE FROM given g WHERE g.a IN (SELECT id FROM went WHERE side = 0) AND g.b IN (SELECT id FROM went WHERE side = 1);
    DROP TABLE left_over, went, here;
  END LOOP;
  DROP TABLE given;
END $$;
