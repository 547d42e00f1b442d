-- The slow twin of the aggregate cdp_internal.resolve(): the same rules, one query each, for a few dozen identifiers.
-- Reads pg_temp.said (what, id, other, ref, type_id, weight, at), the rows of the aggregate, and writes
-- pg_temp.slow_part (id, part) and pg_temp.slow_verdict (link_id, verdict, blocker).
CREATE TEMP TABLE said (what "char", id bigint, other bigint, ref bigint, type_id smallint, weight double precision, at timestamptz);
CREATE TEMP TABLE slow_part (id bigint PRIMARY KEY, part bigint);
CREATE TEMP TABLE slow_verdict (link_id bigint PRIMARY KEY, a bigint, b bigint, verdict bigint, blocker bigint);

-- Why the customers of two identifiers must not become one: a row number of the rules, NULL when they may.
CREATE FUNCTION pg_temp.slow_limit(rules bigint[], a bigint, b bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  pa bigint := (SELECT part FROM slow_part WHERE id = a);
  pb bigint := (SELECT part FROM slow_part WHERE id = b);
  broken boolean;
BEGIN
  FOR i IN 1 .. cardinality(rules) / 6 LOOP
    broken := false;
    IF rules[i][1] = 1 AND rules[i][4] > 0 THEN
      WITH one AS (
        SELECT s.at, p.part FROM slow_part p JOIN said s USING (id)
        WHERE s.what = 'n' AND s.type_id = rules[i][2] AND p.part IN (pa, pb) AND (rules[i][5] = 0 OR s.at IS NOT NULL))
      SELECT (SELECT count(DISTINCT part) FROM one) = 2 AND CASE WHEN rules[i][5] = 0 THEN (SELECT count(*) FROM one) > rules[i][4]
        ELSE EXISTS (SELECT FROM one x, LATERAL (SELECT count(*) AS n, count(DISTINCT y.part) AS parts FROM one y
          WHERE y.at >= x.at AND y.at < x.at + make_interval(secs => rules[i][5] / 1000000)) z WHERE z.n > rules[i][4] AND z.parts = 2) END
      INTO broken;
    ELSIF rules[i][1] = 3 THEN
      broken := (SELECT count(*) FROM slow_part WHERE part IN (pa, pb)) > rules[i][2];
    END IF;
    IF broken THEN
      RETURN i;
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;

-- The pair rule that one more link between the two would break, NULL when none.
CREATE FUNCTION pg_temp.slow_pair(rules bigint[], a bigint, b bigint) RETURNS bigint LANGUAGE sql AS $$
  SELECT i FROM generate_series(1, cardinality(rules) / 6) i, (VALUES (slow_pair.a, slow_pair.b), (slow_pair.b, slow_pair.a)) v (x, y)
  WHERE rules[i][1] = 2 AND (SELECT type_id FROM said WHERE id = v.x AND what IN ('n', 'q')) = rules[i][2]
    AND (SELECT type_id FROM said WHERE id = v.y AND what IN ('n', 'q')) = rules[i][3]
    AND NOT EXISTS (SELECT FROM slow_verdict d WHERE d.verdict > 0 AND (d.a, d.b) IN ((slow_pair.a, slow_pair.b), (slow_pair.b, slow_pair.a)))
    AND (SELECT count(DISTINCT CASE WHEN d.a = v.x THEN d.b ELSE d.a END) FROM slow_verdict d
         JOIN said s ON s.id = CASE WHEN d.a = v.x THEN d.b ELSE d.a END AND s.what IN ('n', 'q') AND s.type_id = rules[i][3]
         WHERE d.verdict > 0 AND v.x IN (d.a, d.b)) >= rules[i][4]
  ORDER BY i LIMIT 1
$$;

CREATE FUNCTION pg_temp.slow_resolve(rules bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  l record;
  said_so bigint;
  stopper bigint;
BEGIN
  DELETE FROM slow_part;
  DELETE FROM slow_verdict;
  INSERT INTO slow_part SELECT s.id, min(coalesce(t.id, s.id)) FROM said s LEFT JOIN said t ON t.what IN ('n', 'q') AND t.ref = s.ref
  WHERE s.what IN ('n', 'q') GROUP BY s.id;
  FOR l IN
    WITH node AS (
      SELECT s.*, (SELECT rules[i][3] FROM generate_series(1, cardinality(rules) / 6) i WHERE rules[i][1] = 1 AND rules[i][2] = s.type_id) AS priority
      FROM said s WHERE s.what IN ('n', 'q')
    ), link AS (
      SELECT k.*, least((x.priority, x.other), (y.priority, y.other)) AS strong, greatest((x.priority, x.other), (y.priority, y.other)) AS weak,
        least(x.priority, y.priority) AS p1, greatest(x.priority, y.priority) AS p2, x.what AS wx, y.what AS wy, x.type_id AS tx, y.type_id AS ty,
        CASE WHEN (x.priority, x.other) < (y.priority, y.other) THEN x.other ELSE y.other END AS o1,
        CASE WHEN (x.priority, x.other) < (y.priority, y.other) THEN y.other ELSE x.other END AS o2
      FROM said k JOIN node x ON x.id = k.id JOIN node y ON y.id = k.other WHERE k.what IN ('h', 'm', 'd', 'p', 'c')
    )
    SELECT k.*, row_number() OVER (ORDER BY array_position(ARRAY['h', 'm', 'd', 'p', 'c'], k.what::text), k.p1, k.p2, coalesce(k.weight, '-infinity') DESC,
      coalesce(k.at, 'infinity'), k.o1, k.o2) AS place FROM link k ORDER BY place
  LOOP
    stopper := 0;
    CONTINUE WHEN l.what = 'c';
    IF l.what = 'h' THEN
      said_so := 1;
    ELSIF 'q' IN (l.wx, l.wy) THEN
      said_so := -2;
    ELSIF EXISTS (SELECT FROM slow_verdict d, generate_series(1, cardinality(rules) / 6) i
        WHERE d.verdict > 0 AND rules[i][1] = 1 AND rules[i][6] = 1
          AND ((rules[i][2] = l.tx AND l.id IN (d.a, d.b)) OR (rules[i][2] = l.ty AND l.other IN (d.a, d.b)))) THEN
      said_so := -3;
    ELSIF (SELECT count(DISTINCT part) FROM slow_part WHERE id IN (l.id, l.other)) = 1 THEN
      said_so := coalesce(-3 - pg_temp.slow_pair(rules, l.id, l.other), 1);
    ELSE
      WITH node AS (
        SELECT s.id, s.other, (SELECT rules[i][3] FROM generate_series(1, cardinality(rules) / 6) i WHERE rules[i][1] = 1 AND rules[i][2] = s.type_id) AS priority
        FROM said s WHERE s.what IN ('n', 'q'))
      SELECT c.ref INTO stopper FROM said c JOIN node x ON x.id = c.id JOIN node y ON y.id = c.other
      WHERE c.what = 'c' AND EXISTS (SELECT FROM slow_part p, slow_part q, slow_part a, slow_part b WHERE p.id = c.id AND q.id = c.other AND a.id = l.id AND b.id = l.other
        AND ((p.part, q.part) = (a.part, b.part) OR (p.part, q.part) = (b.part, a.part)))
      ORDER BY least(x.priority, y.priority), greatest(x.priority, y.priority), coalesce(c.weight, '-infinity') DESC, coalesce(c.at, 'infinity'),
        CASE WHEN (x.priority, x.other) < (y.priority, y.other) THEN x.other ELSE y.other END,
        CASE WHEN (x.priority, x.other) < (y.priority, y.other) THEN y.other ELSE x.other END LIMIT 1;
      IF stopper IS NOT NULL THEN
        said_so := -1;
      ELSE
        stopper := 0;
        said_so := coalesce(-3 - pg_temp.slow_pair(rules, l.id, l.other), -3 - pg_temp.slow_limit(rules, l.id, l.other), 2);
      END IF;
    END IF;
    IF said_so > 0 THEN
      UPDATE slow_part p SET part = m.low FROM (SELECT min(part) AS low, max(part) AS high FROM slow_part WHERE id IN (l.id, l.other)) m
      WHERE p.part = m.high;
    END IF;
    INSERT INTO slow_verdict VALUES (l.ref, l.id, l.other, said_so, stopper);
  END LOOP;
END
$$;

-- Differences between the aggregate over the same rows, in the order that seed gives, and the twin: 0 is what must come.
CREATE FUNCTION pg_temp.resolve_differences(rules bigint[], seed bigint) RETURNS bigint LANGUAGE sql AS $$
  WITH x AS MATERIALIZED (
    SELECT cdp_internal.resolve(rules, s.what, s.id, s.other, s.ref, s.type_id, s.weight, s.at ORDER BY hashint8extended(s.id * 1000 + coalesce(s.other, 0) + ascii(s.what::text), seed)) AS r FROM said s
  ), fast_part AS (SELECT p.id, p.part FROM x, unnest((x.r).ids, (x.r).parts) AS p (id, part)),
  fast_verdict AS (SELECT v.link_id, v.verdict, v.blocker FROM x, unnest((x.r).link_ids, (x.r).verdicts, (x.r).blockers) AS v (link_id, verdict, blocker)),
  slow AS (SELECT link_id, verdict, blocker FROM slow_verdict WHERE link_id NOT IN (SELECT ref FROM said WHERE what = 'h'))
  SELECT (SELECT count(*) FROM ((TABLE fast_part EXCEPT TABLE slow_part) UNION ALL (TABLE slow_part EXCEPT TABLE fast_part)) d)
    + (SELECT count(*) FROM ((TABLE fast_verdict EXCEPT TABLE slow) UNION ALL (TABLE slow EXCEPT TABLE fast_verdict)) d)
$$;
