-- Sums what test/quality/referral_life.sql said of each seed (variable lives): the two matrices, offices first, and what must hold in
-- every seed. A share beside a figure is its spread over the seeds.
\set QUIET on
SET client_min_messages = warning;
CREATE TEMP TABLE life AS
SELECT f[1] AS seed, f[2] AS sort, f[3] = 'fraud' AS fraud, f[4]::int AS n, ARRAY[f[5], f[6], f[7]]::int[] AS first, ARRAY[f[8], f[9], f[10]]::int[] AS last
FROM (SELECT string_to_array(l, '|') AS f FROM regexp_split_to_table(:'lives', '\n') l WHERE l <> '' AND l NOT LIKE 'reasons|%') x;
SELECT format(E'%s\n  %s%s%s%s%s%s', CASE stage WHEN 1 THEN 'at attribution, by what was known then:' ELSE 'at the end of the hold (what was rejected at attribution stays so):' END,
  rpad('', 20), rpad('', 8), lpad('referrals', 10), lpad('approved', 10), lpad('to review', 10), lpad('rejected', 10) || '   held or rejected in a seed') || E'\n' ||
  string_agg(format('  %s%s%s%s%s%s%s', rpad(sort, 20), rpad(CASE WHEN fraud THEN 'fraud' ELSE 'honest' END, 8), lpad(n::text, 10), lpad(a::text, 10), lpad(b::text, 10), lpad(c::text, 10), lpad(format('%s to %s %%', round(100 * least_held), round(100 * most_held)), 29)),
    E'\n' ORDER BY sort NOT LIKE 'office%', fraud, sort COLLATE "C")
FROM (SELECT stage, sort, fraud, sum(n) AS n, sum(d[1]) AS a, sum(d[2]) AS b, sum(d[3]) AS c, min((d[2] + d[3])::numeric / n) AS least_held, max((d[2] + d[3])::numeric / n) AS most_held
  FROM life CROSS JOIN LATERAL (VALUES (1, first), (2, last)) AS s (stage, d) GROUP BY stage, sort, fraud) x GROUP BY stage ORDER BY stage;
-- What holds for the worst of the seeds. Other figures are as they fall: who knows the rules and is patient gets through.
WITH goal (i, name, sorts, stage, what, op, goal) AS (VALUES
  (1, 'offices held or rejected at attribution', '{"office","office, same day"}'::text[], 1, 'held', '<=', 5.0),
  (2, 'offices held or rejected at the end of the hold', '{"office","office, same day"}', 2, 'held', '<=', 5.0),
  (3, 'offices, small ones too, rejected', '{"office","office, same day","office, small"}', 2, 'rejected', '<=', 1.0),
  (4, 'friends, students, travellers, keen advocates and newsletters rejected', '{"friends","students","travellers","keen advocates","newsletter"}', 2, 'rejected', '<=', 1.0),
  (5, 'friends held or rejected', '{"friends"}', 2, 'held', '<=', 5.0),
  (6, 'plain self-referrals held or rejected at attribution', '{"self"}', 1, 'held', '>=', 90.0),
  (7, 'injected clicks and leaks on coupon sites held or rejected at attribution', '{"injected clicks","leak"}', 1, 'held', '>=', 90.0),
  (8, 'plain rings held or rejected at the end of the hold', '{"ring"}', 2, 'held', '>=', 90.0)
), seen AS (
  SELECT g.i, g.name, g.op, g.goal, min(x.share) AS low, max(x.share) AS high, count(*) AS seeds
  FROM goal g CROSS JOIN LATERAL (
    SELECT l.seed, 100.0 * sum(CASE g.what WHEN 'held' THEN d[2] + d[3] ELSE d[3] END) / sum(l.n) AS share
    FROM life l CROSS JOIN LATERAL (SELECT CASE g.stage WHEN 1 THEN l.first ELSE l.last END AS d) s WHERE l.sort = ANY (g.sorts) GROUP BY l.seed) x
  GROUP BY 1, 2, 3, 4)
SELECT format('%-6s%s: %s to %s %% over %s seeds %s %s %%', CASE WHEN seeds >= 5 AND CASE op WHEN '<=' THEN high <= goal ELSE low >= goal END THEN 'ok' ELSE 'BELOW' END, name, round(low, 1), round(high, 1), seeds, op, goal) FROM seen ORDER BY i;
SELECT format('seed 1, why, %s: %s', CASE f[4] WHEN '1' THEN f[3] ELSE f[3] || ' at the end' END, f[5]) FROM (SELECT string_to_array(l, '|') AS f, row_number() OVER () AS i FROM regexp_split_to_table(:'lives', '\n') l WHERE l LIKE 'reasons|0.1|%') x ORDER BY i;
