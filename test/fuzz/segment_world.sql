-- Anything in any order in a small world (test/pgtap/segment_world.inc), from a seed of its own each time: after every step a tick must end
-- where a pass over everybody would, in the end an audit finds nothing, and who enters was out before. A step for each 100 rounds.
\set VERBOSITY terse
SET client_min_messages = error;
DROP DATABASE IF EXISTS fuzz_world;
CREATE DATABASE fuzz_world;
\connect fuzz_world
SET client_min_messages = error;
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY');
\o /dev/null
\ir ../pgtap/segment_world.inc
SELECT setseed(:seed);
SELECT cdp.upload_list('press', 'email', '{}'), cdp.upload_list('staff', 'email', '{}');
SELECT pg_temp.an_event(-n) FROM generate_series(1, 12) n;
SELECT cdp.create_segment(v.name, v.rule, 'service') FROM public.variant v WHERE v.nth = 1 ORDER BY v.name = 'both', v.name;
CREATE FUNCTION pg_temp.go(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  what text := pg_temp.step(n);
  ran text := (SELECT kind FROM cdp.segment_tick((SELECT w.at FROM public.world w)));
  wrong text := pg_temp.differences();
BEGIN
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION 'step %, %, then a run (%): %', n, what, ran, wrong;
  END IF;
END $$;
SELECT format('SELECT pg_temp.go(%s)', n) FROM generate_series(1, 10 + :rounds / 100) n \gexec
\o
DO $$
DECLARE
  defects bigint := (SELECT a.defects FROM cdp.audit_segments((SELECT w.at FROM public.world w)) a);
  twice bigint := (SELECT count(*) FROM (SELECT x.entered, lag(x.entered) OVER (PARTITION BY x.segment_id, x.customer_id ORDER BY x.transition_id) AS was FROM cdp_data.segment_transition x) t WHERE t.entered = coalesce(t.was, false));
BEGIN
  IF defects + twice > 0 OR NOT EXISTS (SELECT FROM cdp_data.segment_run WHERE kind = 'tick' AND entered > 0) THEN
    RAISE EXCEPTION '% defects, % who entered and were in', defects, twice;
  END IF;
END $$;
\connect postgres
DROP DATABASE fuzz_world;
