-- The twin of the attribution engine, part 2: the weights of each rule model, one SELECT each.

CREATE TABLE twin.weight (model text, c numeric, pos int, w float8);   -- pos 0: (unattributed)

-- 'position(.4, .2)' -> {position, .4, .2}; quotes around labels are taken off.
CREATE FUNCTION twin.parse(model text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  head text := lower(trim(split_part(model, '(', 1)));
  body text;
  parts text[] := ARRAY[head];
  m text[];
BEGIN
  IF model NOT LIKE '%(%' THEN RETURN parts; END IF;
  body := substr(model, strpos(model, '(') + 1);
  body := left(body, length(body) - strpos(reverse(body), ')'));
  FOR m IN SELECT regexp_matches(body, '\s*(?:"((?:[^"]|"")*)"|([^,"]+))\s*(?:,|$)', 'g') LOOP
    parts := parts || coalesce(replace(m[1], '""', '"'), trim(m[2]));
  END LOOP;
  RETURN parts;
END $$;

-- 2^-x without an underflow error.
CREATE FUNCTION twin.halves(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE
RETURN CASE WHEN x > 1000 THEN 0 ELSE power(2::float8, -x) END;

-- Anchored models: parts (weight, position or NULL); what is missing is shared by the others.
CREATE FUNCTION twin.anchored(o jsonb, kinds int, share float8) RETURNS TABLE (c numeric, pos int, w float8)
LANGUAGE plpgsql AS $$
DECLARE
  milestones text[] := CASE WHEN o ? 'milestones' THEN ARRAY(SELECT jsonb_array_elements_text(o->'milestones')) ELSE '{}' END;
  lookback numeric := CASE WHEN coalesce((o->>'lookback_unbounded')::bool, false) THEN NULL
                           ELSE twin.us(coalesce((o->>'lookback')::interval, '30 days')) END;
  reset bool := coalesce(o->>'journey', 'shared') = 'reset';
BEGIN
  RETURN QUERY
  WITH anchor AS (
    SELECT j.c, j.pos FROM twin.j WHERE j.pos = 1
    UNION ALL SELECT j.c, j.pos FROM twin.j WHERE j.pos = j.n
    UNION ALL
    SELECT v.seq, (SELECT max(j.pos) FROM twin.j WHERE j.c = v.seq AND j.from_seq <
                     (SELECT max(e.seq) FROM twin.ev e
                       WHERE e.key = v.key AND e.rank = 1 AND e.kind = milestones[k] AND e.seq < v.seq
                         AND (NOT reset OR v.prev IS NULL OR e.seq > v.prev)
                         AND (lookback IS NULL OR twin.us(v.at - e.at) <= lookback)))
      FROM twin.conv v, generate_series(1, kinds) k),
  present AS (
    SELECT a.c, a.pos, share AS w FROM anchor a WHERE a.pos IS NOT NULL
    UNION ALL
    SELECT r.c, r.pos, 0.1 / count(*) OVER (PARTITION BY r.c) FROM twin.j r
     WHERE NOT EXISTS (SELECT FROM anchor a WHERE a.c = r.c AND a.pos = r.pos))
  SELECT p.c, p.pos, sum(p.w) / min(t.total) FROM present p
    JOIN (SELECT x.c, sum(x.w) AS total FROM present x GROUP BY x.c) t ON t.c = p.c
   GROUP BY p.c, p.pos;
END $$;

-- Adds the weights of one rule model to twin.weight; false when it is no rule model.
CREATE FUNCTION twin.rule(model text, o jsonb) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
  p text[] := twin.parse(model);
  arg text[] := (twin.parse(model))[2:];
  f float8; l float8; alpha float8;
  split bool := coalesce(o->>'two_touch', 'adobe') = 'split';
  plain bool := coalesce(o->>'fallback', 'plain') = 'plain';
BEGIN
  DELETE FROM twin.weight;
  CASE p[1]
  WHEN 'first' THEN INSERT INTO twin.weight SELECT model, c, pos, 1 FROM twin.j WHERE pos = 1;
  WHEN 'last' THEN INSERT INTO twin.weight SELECT model, c, pos, 1 FROM twin.j WHERE pos = n;
  WHEN 'first_non' THEN
    INSERT INTO twin.weight SELECT model, c, min(pos), 1 FROM twin.j WHERE label <> ALL (arg) GROUP BY c;
    IF plain THEN INSERT INTO twin.weight SELECT model, c, 1, 1 FROM twin.j GROUP BY c HAVING bool_and(label = ANY (arg)); END IF;
  WHEN 'last_non' THEN
    INSERT INTO twin.weight SELECT model, c, max(pos), 1 FROM twin.j WHERE label <> ALL (arg) GROUP BY c;
    IF plain THEN INSERT INTO twin.weight SELECT model, c, max(pos), 1 FROM twin.j GROUP BY c HAVING bool_and(label = ANY (arg)); END IF;
  WHEN 'linear' THEN INSERT INTO twin.weight SELECT model, c, pos, 1.0::float8 / n FROM twin.j;
  WHEN 'linear_unique' THEN
    INSERT INTO twin.weight
    SELECT model, j.c, pos, 1.0::float8 / d.labels / count(*) OVER (PARTITION BY j.c, label)
      FROM twin.j JOIN (SELECT c, count(DISTINCT label) AS labels FROM twin.j GROUP BY c) d ON d.c = j.c;
  WHEN 'position', 'u_shaped', 'j_shaped', 'inverse_j' THEN
    f := CASE p[1] WHEN 'position' THEN arg[1]::float8 WHEN 'u_shaped' THEN 0.4 WHEN 'j_shaped' THEN 0.2 ELSE 0.6 END;
    l := CASE p[1] WHEN 'position' THEN arg[2]::float8 WHEN 'u_shaped' THEN 0.4 WHEN 'j_shaped' THEN 0.6 ELSE 0.2 END;
    INSERT INTO twin.weight
    SELECT model, c, pos,
           CASE WHEN n = 1 THEN 1
                WHEN n = 2 AND split THEN CASE pos WHEN 1 THEN f ELSE l END + (1 - f - l) / 2
                WHEN n = 2 AND f + l = 0 THEN 0.5
                WHEN n = 2 THEN CASE pos WHEN 1 THEN f ELSE l END / (f + l)
                WHEN pos = 1 THEN f
                WHEN pos = n THEN l
                ELSE (1 - f - l) / (n - 2) END
      FROM twin.j;
  WHEN 'w_shaped' THEN INSERT INTO twin.weight SELECT model, a.* FROM twin.anchored(o, 1, 0.3) a;
  WHEN 'full_path' THEN INSERT INTO twin.weight SELECT model, a.* FROM twin.anchored(o, 2, 0.225) a;
  WHEN 'time_decay' THEN
    f := twin.us(arg[1]::interval);
    INSERT INTO twin.weight
    SELECT model, c, pos, twin.halves(x - min(x) OVER (PARTITION BY c))
      FROM (SELECT c, pos, CASE WHEN arg[2] = 'step' THEN floor(age_us / f::numeric)::float8 ELSE (age_us - min(age_us) OVER (PARTITION BY c))::float8 / f END AS x FROM twin.j) a;
  WHEN 'exponential' THEN
    alpha := arg[1]::float8;
    INSERT INTO twin.weight
    SELECT model, c, pos, CASE WHEN n = pos THEN 1 WHEN alpha = 0 OR (n - pos) * ln(alpha) < -700 THEN 0
                               ELSE power(alpha, n - pos) END FROM twin.j;
  WHEN 'ramp' THEN INSERT INTO twin.weight SELECT model, c, pos, pos FROM twin.j;
  WHEN 'custom' THEN
    INSERT INTO twin.weight SELECT model, c, pos, coalesce(arg[n - pos + 1]::float8, 0) FROM twin.j;
    UPDATE twin.weight SET w = 1 WHERE c IN (SELECT c FROM twin.weight GROUP BY c HAVING sum(w) = 0);
  WHEN 'same_touch' THEN
    INSERT INTO twin.weight
    SELECT model, j.c, pos, 1 FROM twin.j JOIN twin.conv v ON v.seq = j.c
     WHERE v.label IS NULL AND j.session = v.session;
    INSERT INTO twin.weight SELECT model, seq, -1, 1 FROM twin.conv WHERE label IS NOT NULL AND reported;
  WHEN 'participation' THEN
    INSERT INTO twin.weight SELECT model, c, min(pos), 1 FROM twin.j GROUP BY c, label;
  ELSE RETURN false;
  END CASE;
  DELETE FROM twin.weight WHERE w = 0;
  -- Weights add up to one, except where each label gets all.
  IF p[1] IN ('time_decay', 'exponential', 'ramp', 'custom', 'same_touch') THEN
    UPDATE twin.weight t SET w = t.w / s.total
      FROM (SELECT c, sum(w) AS total FROM twin.weight GROUP BY c) s WHERE s.c = t.c;
  END IF;
  -- Nobody's: conversions that no touch got.
  INSERT INTO twin.weight
  SELECT model, v.seq, 0, 1 FROM twin.conv v
   WHERE v.reported AND NOT EXISTS (SELECT FROM twin.weight t WHERE t.c = v.seq);
  RETURN true;
END $$;

-- Credit of each touch; label '(unattributed)' where there is none.
CREATE FUNCTION twin.credit(src regclass, o jsonb)
RETURNS TABLE (key text, conversion_id bigint, conversion_at timestamptz, touch_id bigint, touch_at timestamptz,
               label text, model text, weight float8, conversions float8, value float8)
LANGUAGE plpgsql AS $$
DECLARE m text;
BEGIN
  PERFORM twin.prepare(src, o);
  FOR m IN SELECT jsonb_array_elements_text(o->'models') LOOP
    IF twin.rule(m, o) THEN
      RETURN QUERY
      SELECT v.key, v.id, v.at, j.id, j.at,
             CASE WHEN w.pos > 0 THEN j.label WHEN w.pos = -1 THEN v.label ELSE '(unattributed)' END, m, w.w, w.w, w.w * v.net::float8
        FROM twin.weight w JOIN twin.conv v ON v.seq = w.c LEFT JOIN twin.j ON j.c = w.c AND j.pos = w.pos;
      RETURN QUERY SELECT r.key, NULL::bigint, r.at, NULL::bigint, NULL::timestamptz, '(unattributed)', m, 1::float8, 0::float8, r.value::float8 FROM twin.orphan r WHERE r.reported;
    END IF;
  END LOOP;
END $$;
