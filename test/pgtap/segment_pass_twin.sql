-- The event pass against a plain-SQL twin: random plans over random events with ties, missing values, late, future and odd ones.
BEGIN;
SELECT plan(10);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off;
CREATE SCHEMA t;
SELECT setseed(0.35) \g /dev/null
\ir ../twin/segment_pass.sql

CREATE TABLE t.plan (no int, ops text, p jsonb);
CREATE TABLE t.difference (no int, op text, atom jsonb, customer bigint, twin boolean, engine boolean);
CREATE TABLE t.figure (op text, yes bigint, no bigint, unknown bigint);
CREATE FUNCTION t.run(ops text[], plans int, natoms int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE p jsonb; n bigint;
BEGIN
  FOR i IN 1..plans LOOP
    p := t.random_plan(t.us('2026-03-30 04:00Z') + floor(random() * 3)::bigint * 300000000 - floor(random() * 2)::bigint, ops, natoms);
    INSERT INTO t.plan VALUES (i, ops::text, p);
    PERFORM t.hold(p);
    WITH both_ AS MATERIALIZED (SELECT atom, customer, w.truth AS twin, e.truth AS engine FROM t.twin(p) w FULL JOIN t.answers(t.engine(p)) e USING (atom, customer)),
    bad AS (INSERT INTO t.difference SELECT i, p->'events'->atom->>'op', p->'events'->atom, customer, twin, engine FROM both_ WHERE twin IS DISTINCT FROM engine)
    INSERT INTO t.figure SELECT p->'events'->atom->>'op', count(*) FILTER (WHERE twin), count(*) FILTER (WHERE NOT twin), count(*) FILTER (WHERE twin IS NULL) FROM both_ GROUP BY 1;
  END LOOP;
  SELECT count(*) INTO n FROM t.difference;
  RETURN n;
END $$;

SELECT is(t.run('{count,count,days,periods,sum,avg,min,max,distinct,first,last,gap}', 20, 12), 0::bigint, 'counts, days, periods, numbers, distinct, first and last values, gaps: every customer as in SQL');
SELECT is(t.run('{seq}', 14, 10), 0::bigint, 'sequences: links, breaks, limits, ties, absence: every customer as in SQL');
SELECT is(t.run('{pair}', 8, 12), 0::bigint, 'pairs that only times bound: every customer as in SQL');
SELECT is_empty($$SELECT op, sum(yes), sum(no), sum(unknown) FROM t.figure GROUP BY op
  HAVING sum(yes) < 25 OR sum(no) < 25 OR (sum(unknown) < 25) IS DISTINCT FROM (op NOT IN ('avg', 'min', 'max', 'first', 'last'))$$,
  'and of each kind of atom there were customers for whom it is true, false and unknown');
SELECT is((SELECT count(DISTINCT op)::int FROM t.figure), 12, 'all kinds of atoms were asked');

-- Nothing changes before the flip says so: the pass just before a flip, and at the horizon, answers as at as_of.
CREATE FUNCTION t.changed_early(p jsonb, horizon timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE result bytea := t.engine(p, horizon); at_ bigint; n bigint; early bigint := 0;
BEGIN
  CREATE TEMP TABLE IF NOT EXISTS now_ (atom int, customer bigint, truth boolean);
  CREATE TEMP TABLE IF NOT EXISTS flip_ (customer bigint, at bigint);
  TRUNCATE now_, flip_;
  INSERT INTO now_ SELECT * FROM t.answers(result);
  INSERT INTO flip_ SELECT customer_id, t.us(at) FROM cdp_internal.segment_pass_flips(result);
  early := early + (SELECT count(*) FROM flip_ WHERE at <= (p->>'as_of')::bigint OR at > t.us(horizon));
  FOR at_ IN (SELECT DISTINCT ON (md5((at - 1)::text)) at - 1 FROM flip_ WHERE at - 1 > (p->>'as_of')::bigint ORDER BY md5((at - 1)::text) LIMIT 12) UNION SELECT t.us(horizon) LOOP
    SELECT count(*) INTO n FROM t.answers(t.engine(t.shift(p, at_))) later JOIN now_ USING (atom, customer) LEFT JOIN flip_ f USING (customer)
    WHERE later.truth IS DISTINCT FROM now_.truth AND coalesce(f.at, 9e18) > at_;
    early := early + n;
  END LOOP;
  RETURN early;
END $$;
SELECT is((SELECT sum(t.changed_early(p, '2026-03-30 08:00Z')) FROM (SELECT p FROM t.plan WHERE ops LIKE '{count,%' ORDER BY no LIMIT 10) x), 0::numeric,
  'no answer changes before its flip: counts and values');
SELECT is((SELECT sum(t.changed_early(p, '2026-03-30 12:00Z')) FROM (SELECT p FROM t.plan WHERE ops = '{seq}' ORDER BY no LIMIT 10) x), 0::numeric,
  'no answer changes before its flip: sequences and pending absences');
SELECT is((SELECT sum(t.changed_early(p, '2026-03-30 12:00Z')) FROM (SELECT p FROM t.plan WHERE ops = '{pair}' ORDER BY no LIMIT 4) x), 0::numeric,
  'no answer changes before its flip: pairs');

-- For counts, gaps and sequences over "last" windows a flip is the change itself.
CREATE FUNCTION t.exact_only(p jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN p || jsonb_build_object('events', (SELECT coalesce(jsonb_agg(a), '[]') FROM jsonb_array_elements(p->'events') a
  WHERE a->>'op' IN ('count', 'gap', 'seq') AND a->'window'->>'slide_to' = '0' AND NOT coalesce(a->'steps'->-1 ? 'absent', false)));
CREATE TABLE t.exact (flips bigint, idle bigint);
DO $$
DECLARE p jsonb; result bytea; at_ bigint;
BEGIN
  DELETE FROM t.ev WHERE at >= '2026-03-30 03:00Z';
  FOR p IN (SELECT t.exact_only(x.p) FROM t.plan x WHERE ops LIKE '{count,%' ORDER BY no) UNION ALL (SELECT t.exact_only(x.p) FROM t.plan x WHERE ops = '{seq}' ORDER BY no) LOOP
    result := t.engine(p, '2026-03-30 16:00Z');
    FOR at_ IN SELECT DISTINCT t.us(at) FROM cdp_internal.segment_pass_flips(result) ORDER BY 1 LIMIT 8 LOOP
      INSERT INTO t.exact SELECT count(*), count(*) FILTER (WHERE NOT changed) FROM (
        SELECT customer, bool_or(later.truth IS DISTINCT FROM now_.truth) AS changed
        FROM t.answers(result) now_ JOIN t.answers(t.engine(t.shift(p, at_))) later USING (atom, customer)
        WHERE customer IN (SELECT customer_id FROM cdp_internal.segment_pass_flips(result) f WHERE t.us(f.at) = at_) GROUP BY 1) x;
    END LOOP;
  END LOOP;
END $$;
SELECT is((SELECT sum(idle) FROM t.exact), 0::numeric, 'a flip of counts, gaps and sequences is a change');
SELECT cmp_ok((SELECT sum(flips) FROM t.exact), '>', 50::numeric, 'and there were many');
SELECT * FROM finish();
ROLLBACK;
