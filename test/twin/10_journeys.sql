-- The slow, obvious twin of the attribution engine, part 1: from rows to journeys.
--
-- Written from the documented meaning only, never from the C, in plain set-based SQL,
-- so that a difference between the two is a defect of one of them. Not installed;
-- the tests read it with \ir.
--
-- Input: a table or view (key text, at timestamptz, label text, value numeric,
-- id bigint, kind text, session bigint, refers_to bigint). Options: the named arguments
-- of cdp.attribution_options() as jsonb, plus three that describe the call itself:
-- ids (order by id), int_labels (labels sort as numbers).

CREATE SCHEMA IF NOT EXISTS twin;

CREATE TABLE twin.ev (seq numeric, key text, at timestamptz, rank int, label text, value numeric,
  id bigint, kind text, session bigint, refers_to bigint);
CREATE INDEX ON twin.ev (key, rank, seq);
CREATE TABLE twin.conv (seq numeric PRIMARY KEY, key text, at timestamptz, label text, session bigint,
  id bigint, gross numeric, net numeric, prev numeric, reported bool);
CREATE INDEX ON twin.conv (key, seq);
CREATE INDEX ON twin.conv (id);
CREATE TABLE twin.touch (seq numeric, key text, at timestamptz, label text, kind text, session bigint, id bigint);
CREATE INDEX ON twin.touch (key, seq);
-- One row for each touch of each journey; pos 1 is the oldest of n; from_seq is where a folded run begins.
CREATE TABLE twin.j (c numeric, pos int, n int, seq numeric, label text, at timestamptz, age_us numeric,
  session bigint, id bigint, from_seq numeric);
CREATE INDEX ON twin.j (c, pos);
CREATE TABLE twin.null_j (c numeric, pos int, label text, at timestamptz);
CREATE TABLE twin.orphan (key text, value numeric, at timestamptz, reported bool);
CREATE TABLE twin.count (name text, n bigint);

CREATE FUNCTION twin.us(i interval) RETURNS numeric LANGUAGE sql IMMUTABLE
RETURN extract(epoch FROM i) * 1000000;

-- Fills the tables above.
CREATE FUNCTION twin.prepare(src regclass, o jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  ids bool := coalesce((o->>'ids')::bool, false);
  int_labels bool := coalesce((o->>'int_labels')::bool, false);
  lookback numeric := CASE WHEN coalesce((o->>'lookback_unbounded')::bool, false) THEN NULL
                           ELSE twin.us(coalesce((o->>'lookback')::interval, '30 days')) END;
  by_kind jsonb := coalesce(o->'lookback_by_kind', '{}');
  max_touches int := (o->>'max_touches')::int;
  since timestamptz := coalesce((o->>'since')::timestamptz, '-infinity');
  until timestamptz := coalesce((o->>'until')::timestamptz, 'infinity');
  as_of timestamptz := coalesce((o->>'as_of')::timestamptz, 'infinity');
  reset bool := coalesce(o->>'journey', 'shared') = 'reset';
  fold bool := coalesce((o->>'collapse')::bool, false);
  own text := coalesce(o->>'conversion_is_touch', 'no');
  milestones text[] := CASE WHEN o ? 'milestones' THEN ARRAY(SELECT jsonb_array_elements_text(o->'milestones')) ELSE '{}' END;
  excluded text[] := CASE WHEN o ? 'exclude' THEN ARRAY(SELECT jsonb_array_elements_text(o->'exclude')) ELSE '{}' END;
  included text[] := CASE WHEN o ? 'include' THEN ARRAY(SELECT jsonb_array_elements_text(o->'include')) END;
BEGIN
  DELETE FROM twin.ev; DELETE FROM twin.conv; DELETE FROM twin.touch; DELETE FROM twin.j;
  DELETE FROM twin.null_j; DELETE FROM twin.orphan; DELETE FROM twin.count;

  EXECUTE format('CREATE TEMP TABLE twin_in AS SELECT key, at, label, round(value, 6) AS value, %s FROM %s',
    CASE WHEN ids THEN 'id, kind, session, refers_to'
         ELSE 'NULL::bigint AS id, NULL::text AS kind, NULL::bigint AS session, NULL::bigint AS refers_to' END, src);
  DELETE FROM twin_in WHERE at >= as_of AND isfinite(at);
  INSERT INTO twin.count
    SELECT 'no_key', count(*) FROM twin_in WHERE key IS NULL AND value IS NULL AND label IS NOT NULL AND isfinite(at)
    UNION ALL SELECT 'untimed', count(*) FROM twin_in WHERE (at IS NULL OR NOT isfinite(at)) AND (label IS NOT NULL OR value IS NOT NULL);
  DELETE FROM twin_in WHERE at IS NULL OR NOT isfinite(at);
  DELETE FROM twin_in WHERE key IS NULL AND value IS NULL;

  -- What each row is: 0 touch, 1 milestone, 2 conversion, 3 refund; the order inside a customer.
  INSERT INTO twin.ev
  SELECT 4 * row_number() OVER (ORDER BY key NULLS LAST, at, CASE WHEN ids THEN id END NULLS FIRST, rank,
                                CASE WHEN int_labels THEN label::bigint END NULLS FIRST, label COLLATE "C" NULLS FIRST, value),
         key, at, rank, label, value, id, kind, session, refers_to
    FROM (SELECT *, CASE WHEN value IS NULL AND label IS NOT NULL THEN 0
                         WHEN value IS NULL AND kind = ANY (milestones) THEN 1
                         WHEN value IS NULL THEN NULL
                         WHEN value < 0 OR refers_to IS NOT NULL THEN 3
                         ELSE 2 END AS rank
            FROM twin_in) r
   WHERE rank IS NOT NULL;
  DROP TABLE twin_in;
  ANALYZE twin.ev;

  -- Conversions; a refund lowers the one that it names, else the customer's latest one before it.
  INSERT INTO twin.conv
  SELECT seq, key, at, label, session, id, value, value,
         lag(seq) OVER (PARTITION BY key ORDER BY seq), at >= since AND at < until
    FROM twin.ev WHERE rank = 2;
  UPDATE twin.conv SET prev = NULL WHERE key IS NULL;
  ANALYZE twin.conv;
  CREATE TEMP TABLE twin_refund AS
  SELECT r.seq, r.key, r.at, -abs(r.value) AS value,
         CASE WHEN r.refers_to IS NOT NULL
              THEN (SELECT min(c.seq) FROM twin.conv c WHERE c.id = r.refers_to)
              ELSE (SELECT max(c.seq) FROM twin.conv c WHERE c.key = r.key AND c.seq < r.seq) END AS target
    FROM twin.ev r WHERE r.rank = 3;
  UPDATE twin.conv c SET net = net + f.value
    FROM (SELECT target, sum(value) AS value FROM twin_refund GROUP BY target) f WHERE f.target = c.seq;
  INSERT INTO twin.orphan
  SELECT key, value, at, at >= since AND at < until FROM twin_refund WHERE target IS NULL;
  INSERT INTO twin.count SELECT 'refunds', count(*) FROM twin_refund;
  DROP TABLE twin_refund;

  -- Touches, with the conversions' own rows where the options say so.
  INSERT INTO twin.touch
  SELECT seq, key, at, label, kind, session, id FROM twin.ev WHERE rank = 0
  UNION ALL
  SELECT CASE own WHEN 'also' THEN seq - 1 ELSE seq + 1 END, key, at, label, kind, session, id
    FROM twin.ev WHERE rank = 2 AND label IS NOT NULL AND key IS NOT NULL AND own IN ('also', 'later');
  ANALYZE twin.touch;

  -- Journeys of all conversions, reported or not, because they use touches up.
  CREATE TEMP TABLE twin_used AS
  SELECT * FROM (
    SELECT c.seq AS c, t.*, twin.us(c.at - t.at) AS age_us,
           row_number() OVER (PARTITION BY c.seq ORDER BY t.seq DESC) AS back
      FROM twin.conv c JOIN twin.touch t ON t.key = c.key AND t.seq < c.seq
     WHERE (NOT reset OR c.prev IS NULL OR t.seq > c.prev)
       AND CASE WHEN by_kind ? t.kind THEN twin.us(c.at - t.at) <= twin.us((by_kind->>t.kind)::interval)
                WHEN lookback IS NULL THEN true
                ELSE twin.us(c.at - t.at) <= lookback END
       AND t.label <> ALL (excluded) AND (included IS NULL OR t.label = ANY (included))) w
   WHERE max_touches IS NULL OR back <= max_touches;
  CREATE INDEX ON twin_used (c, seq);
  ANALYZE twin_used;
  INSERT INTO twin.j
  SELECT c, row_number() OVER (PARTITION BY c ORDER BY seq), count(*) OVER (PARTITION BY c),
         seq, label, at, age_us, session, id,
         CASE WHEN fold THEN (SELECT min(u.seq) FROM twin_used u WHERE u.c = f.c AND (f.before_run IS NULL OR u.seq > f.before_run)) ELSE seq END
    FROM (SELECT *, CASE WHEN fold THEN lag(seq) OVER (PARTITION BY c ORDER BY seq) END AS before_run
            FROM (SELECT *, lead(label) OVER (PARTITION BY c ORDER BY seq) AS next_label FROM twin_used) g
           WHERE NOT fold OR next_label IS DISTINCT FROM label) f;

  -- Null journeys: what no conversion used, cut at conversions and at long gaps.
  IF coalesce((o->>'null_paths')::bool, true) THEN
    INSERT INTO twin.null_j
    WITH unused AS (
      SELECT t.seq, t.key, t.at, t.label,
             (SELECT count(*) FROM twin.conv c WHERE c.key = t.key AND c.seq < t.seq) AS era
        FROM twin.touch t
       WHERE NOT EXISTS (SELECT FROM twin_used u WHERE u.seq = t.seq)
         AND t.label <> ALL (excluded) AND (included IS NULL OR t.label = ANY (included))),
    gaps AS (
      SELECT *, CASE WHEN twin.us(at - lag(at) OVER w) > lookback THEN 1 ELSE 0 END AS far
        FROM unused WINDOW w AS (PARTITION BY key, era ORDER BY seq)),
    parts AS (
      SELECT *, sum(far) OVER (PARTITION BY key, era ORDER BY seq) AS part FROM gaps),
    whole AS (
      SELECT *, row_number() OVER w AS back, first_value(seq) OVER w AS last_seq, first_value(at) OVER w AS ended
        FROM parts WINDOW w AS (PARTITION BY key, era, part ORDER BY seq DESC)),
    kept AS (
      SELECT *, lead(label) OVER (PARTITION BY last_seq ORDER BY seq) AS next_label
        FROM whole WHERE (max_touches IS NULL OR back <= max_touches) AND ended >= since AND ended < until)
    SELECT last_seq, row_number() OVER (PARTITION BY last_seq ORDER BY seq), label, at
      FROM kept WHERE NOT fold OR next_label IS DISTINCT FROM label;
  END IF;
  DROP TABLE twin_used;
  DELETE FROM twin.j USING twin.conv c WHERE c.seq = j.c AND NOT c.reported;
  ANALYZE twin.j;
  INSERT INTO twin.count
    SELECT 'touches', count(*) FROM twin.touch
    UNION ALL SELECT 'conversions', count(*) FROM twin.conv WHERE reported
    UNION ALL SELECT 'conversions_without_touch', count(*) FROM twin.conv v WHERE reported AND NOT EXISTS (SELECT FROM twin.j WHERE j.c = v.seq)
    UNION ALL SELECT 'orphan_refunds', count(*) FROM twin.orphan WHERE reported
    UNION ALL SELECT 'null_journeys', count(*) FROM twin.null_j WHERE pos = 1;
END $$;

-- The paths that the data-driven models see: label sequences with their counts.
CREATE FUNCTION twin.paths() RETURNS TABLE (path text[], conv numeric, nulls numeric, value numeric)
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT p.path, sum(p.conv), sum(p.nulls), sum(p.value)
    FROM (SELECT array_agg(j.label ORDER BY j.pos) AS path, 1 AS conv, 0 AS nulls, min(v.net) AS value
            FROM twin.j JOIN twin.conv v ON v.seq = j.c GROUP BY j.c
          UNION ALL
          SELECT array_agg(n.label ORDER BY n.pos), 0, 1, 0 FROM twin.null_j n GROUP BY n.c) p
   GROUP BY p.path;
END;
