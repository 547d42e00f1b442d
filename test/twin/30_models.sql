-- The twin of the attribution engine, part 3: the data-driven models, over twin.path.

CREATE TABLE twin.path (path text[], conv float8, nulls float8, value float8);

-- Solves (I - Q) x = b for several right-hand sides by dense elimination without pivoting
-- (rows of an absorbing chain are diagonally dominant). a is n x n, row by row.
CREATE FUNCTION twin.solve(n int, a float8[], b float8[], sides int) RETURNS float8[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE f float8; x float8[] := b;
BEGIN
  FOR p IN 1..n LOOP
    FOR r IN p + 1..n LOOP
      f := a[(r - 1) * n + p];
      CONTINUE WHEN f = 0;
      f := f / a[(p - 1) * n + p];
      FOR q IN p..n LOOP
        IF a[(p - 1) * n + q] <> 0 THEN a[(r - 1) * n + q] := a[(r - 1) * n + q] - f * a[(p - 1) * n + q]; END IF;
      END LOOP;
      FOR s IN 1..sides LOOP x[(r - 1) * sides + s] := x[(r - 1) * sides + s] - f * x[(p - 1) * sides + s]; END LOOP;
    END LOOP;
  END LOOP;
  FOR p IN REVERSE n..1 LOOP
    FOR s IN 1..sides LOOP
      f := x[(p - 1) * sides + s];
      FOR q IN p + 1..n LOOP f := f - a[(p - 1) * n + q] * x[(q - 1) * sides + s]; END LOOP;
      x[(p - 1) * sides + s] := f / a[(p - 1) * n + p];
    END LOOP;
  END LOOP;
  RETURN x;
END $$;

-- States of a path: sliding k-grams, or the whole path when it is shorter.
CREATE FUNCTION twin.kgrams(path text[], k int) RETURNS TABLE (pos int, state text[]) LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
  SELECT i, path[i:i + k - 1] FROM generate_series(1, greatest(cardinality(path) - k + 1, 1)) i;
END;

-- P(conversion) and E[value] of the chain when the states holding any of `gone` lead nowhere.
CREATE FUNCTION twin.chain(k int, gone text[]) RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
  n int; a float8[]; b float8[]; x float8[]; r record; p float8 := 0; v float8 := 0;
BEGIN
  CREATE TEMP TABLE twin_gram AS
  SELECT p.path, g.pos, g.state, p.conv, p.value, p.conv + p.nulls AS weight, greatest(cardinality(path) - k + 1, 1) AS last
    FROM twin.path p, twin.kgrams(path, k) g;
  CREATE TEMP TABLE twin_state AS
  SELECT state, sum(weight) AS tot, sum(weight) FILTER (WHERE pos = 1) AS start,
         sum(conv) FILTER (WHERE pos = last) AS conv, sum(value) FILTER (WHERE pos = last) AS value,
         CASE WHEN state && gone THEN NULL ELSE row_number() OVER (PARTITION BY state && gone ORDER BY state) END::int AS no
    FROM twin_gram GROUP BY state;
  ANALYZE twin_gram, twin_state;
  SELECT coalesce(max(no), 0) INTO n FROM twin_state;
  IF n = 0 THEN DROP TABLE twin_gram, twin_state; RETURN '{0,0}'; END IF;
  a := array_fill(0::float8, ARRAY[n * n]);
  b := array_fill(0::float8, ARRAY[n * 2]);
  FOR r IN SELECT * FROM twin_state WHERE no IS NOT NULL AND tot <> 0 LOOP
    b[r.no * 2 - 1] := coalesce(r.conv, 0) / r.tot;
    b[r.no * 2] := coalesce(r.value, 0) / r.tot;
  END LOOP;
  FOR i IN 1..n LOOP a[(i - 1) * n + i] := 1; END LOOP;
  FOR r IN
    SELECT s.no AS i, t.no AS j, sum(g.weight) / min(s.tot) AS q
      FROM twin_gram g JOIN twin_gram h ON h.path = g.path AND h.pos = g.pos + 1
      JOIN twin_state s ON s.state = g.state JOIN twin_state t ON t.state = h.state
     WHERE s.no IS NOT NULL AND t.no IS NOT NULL
     GROUP BY s.no, t.no LOOP
    a[(r.i - 1) * n + r.j] := a[(r.i - 1) * n + r.j] - r.q;
  END LOOP;
  x := twin.solve(n, a, b, 2);
  FOR r IN SELECT no, start / (SELECT sum(conv + nulls) FROM twin.path) AS s FROM twin_state WHERE no IS NOT NULL AND start IS NOT NULL LOOP
    p := p + r.s * x[r.no * 2 - 1];
    v := v + r.s * x[r.no * 2];
  END LOOP;
  DROP TABLE twin_gram, twin_state;
  RETURN ARRAY[p, v];
END $$;

CREATE FUNCTION twin.markov(k int) RETURNS TABLE (label text, conv float8, value float8, removal_conv float8, removal_value float8)
LANGUAGE plpgsql AS $$
DECLARE
  whole float8[] := twin.chain(k, '{}');
  gone float8[];
BEGIN
  CREATE TEMP TABLE twin_removal (l text, rc float8, rv float8);
  FOR label IN SELECT DISTINCT unnest(path) FROM twin.path LOOP
    gone := twin.chain(k, ARRAY[label]);
    INSERT INTO twin_removal VALUES (label, 1 - gone[1] / nullif(whole[1], 0), 1 - gone[2] / nullif(whole[2], 0));
  END LOOP;
  RETURN QUERY
  SELECT l, rc / nullif(sum(rc) OVER (), 0) * (SELECT sum(p.conv) FROM twin.path p),
         rv / nullif(sum(rv) OVER (), 0) * (SELECT sum(p.value) FROM twin.path p), rc, rv FROM twin_removal;
  DROP TABLE twin_removal;
END $$;

CREATE FUNCTION twin.shapley() RETURNS TABLE (label text, conv float8, value float8) LANGUAGE sql
BEGIN ATOMIC
  SELECT l, sum(p.conv / d.n), sum(p.value / d.n)
    FROM twin.path p, LATERAL (SELECT array_agg(DISTINCT u) AS labels, count(DISTINCT u) AS n FROM unnest(p.path) u) d,
         unnest(d.labels) l
   GROUP BY l;
END;

-- The rate game by enumeration of all subsets, scaled to the totals. Up to some 10 labels.
CREATE FUNCTION twin.shapley_rate() RETURNS TABLE (label text, conv float8, value float8) LANGUAGE sql
BEGIN ATOMIC
  WITH player AS MATERIALIZED (
    SELECT l, (row_number() OVER (ORDER BY l) - 1)::int AS bit FROM (SELECT DISTINCT unnest(path) AS l FROM twin.path) x),
  team AS MATERIALIZED (
    SELECT mask, sum(conv) AS c, sum(p.value) AS v, sum(conv + nulls) AS w
      FROM (SELECT *, (SELECT sum(1 << bit) FROM player WHERE l = ANY (path))::int AS mask FROM twin.path) p GROUP BY mask),
  subset AS MATERIALIZED (
    SELECT s, coalesce(sum(c) / nullif(sum(w), 0), 0) AS c, coalesce(sum(v) / nullif(sum(w), 0), 0) AS v, bit_count(s::bit(31)) AS size
      FROM generate_series(0, (SELECT 1 << count(*)::int FROM player) - 1) s LEFT JOIN team ON team.mask & s = team.mask
     GROUP BY s),
  phi AS (
    SELECT l, sum((b.c - a.c) * f.q) AS c, sum((b.v - a.v) * f.q) AS v
      FROM player JOIN subset a ON a.s & (1 << bit) = 0 JOIN subset b ON b.s = a.s | (1 << bit),
           LATERAL (SELECT (factorial(a.size) * factorial((SELECT count(*) FROM player) - a.size - 1) / factorial((SELECT count(*) FROM player)))::float8 AS q) f
     GROUP BY l)
  SELECT l, c / nullif(sum(c) OVER (), 0) * (SELECT sum(p.conv) FROM twin.path p),
         v / nullif(sum(v) OVER (), 0) * (SELECT sum(p.value) FROM twin.path p) FROM phi;
END;

CREATE FUNCTION twin.one_removed() RETURNS TABLE (label text, conv float8, value float8) LANGUAGE sql
BEGIN ATOMIC
  WITH drop_one AS (
    SELECT p.path, p.conv, p.value, i, p.path[i] AS l,
           greatest(0, p.conv / (p.conv + p.nulls) - coalesce(s.conv / (s.conv + s.nulls), 0)) AS d
      FROM twin.path p CROSS JOIN generate_subscripts(p.path, 1) i
      LEFT JOIN twin.path s ON s.path = p.path[:i - 1] || p.path[i + 1:]
     WHERE p.conv <> 0),
  w AS (
    SELECT *, CASE WHEN sum(d) OVER (PARTITION BY path) > 0 THEN d / sum(d) OVER (PARTITION BY path)
                   WHEN i = cardinality(path) THEN 1 ELSE 0 END AS w FROM drop_one)
  SELECT l, sum(conv * w), sum(value * w) FROM w GROUP BY l;
END;

-- Data-driven model over twin.path; nothing when the model is not known.
CREATE FUNCTION twin.data_driven(model text) RETURNS TABLE (label text, conv float8, value float8) LANGUAGE plpgsql AS $$
DECLARE p text[] := twin.parse(model);
BEGIN
  IF NOT EXISTS (SELECT FROM twin.path) THEN RETURN; END IF;
  CASE p[1]
  WHEN 'markov' THEN RETURN QUERY SELECT m.label, m.conv, m.value FROM twin.markov(coalesce(p[2], '1')::int) m;
  WHEN 'shapley', 'shapley_ordered' THEN RETURN QUERY SELECT * FROM twin.shapley();
  WHEN 'shapley_rate' THEN RETURN QUERY SELECT * FROM twin.shapley_rate();
  WHEN 'one_removed' THEN RETURN QUERY SELECT * FROM twin.one_removed();
  ELSE RAISE EXCEPTION 'the twin does not know model %', model;
  END CASE;
END $$;

-- Totals of all models; labels without credit have no row here.
CREATE FUNCTION twin.totals(src regclass, o jsonb)
RETURNS TABLE (label text, model text, conversions float8, value float8, driven bool) LANGUAGE plpgsql AS $$
DECLARE m text;
BEGIN
  PERFORM twin.prepare(src, o);
  DELETE FROM twin.path;
  INSERT INTO twin.path SELECT * FROM twin.paths();
  ANALYZE twin.path;
  FOR m IN SELECT jsonb_array_elements_text(o->'models') LOOP
    driven := NOT twin.rule(m, o);
    IF driven THEN
      RETURN QUERY SELECT d.label, m, d.conv, d.value, true FROM twin.data_driven(m) d;
      RETURN QUERY
      SELECT '(unattributed)', m, count(*)::float8, coalesce(sum(v.net), 0)::float8, true FROM twin.conv v
       WHERE v.reported AND NOT EXISTS (SELECT FROM twin.j WHERE j.c = v.seq);
    ELSE
      RETURN QUERY
      SELECT CASE WHEN w.pos > 0 THEN j.label WHEN w.pos = -1 THEN v.label ELSE '(unattributed)' END, m,
             sum(w.w), sum(w.w * v.net::float8), false
        FROM twin.weight w JOIN twin.conv v ON v.seq = w.c LEFT JOIN twin.j ON j.c = w.c AND j.pos = w.pos
       GROUP BY 1;
    END IF;
    RETURN QUERY
    SELECT '(unattributed)', m, 0::float8, coalesce(sum(r.value), 0)::float8, driven FROM twin.orphan r WHERE r.reported;
  END LOOP;
END $$;
