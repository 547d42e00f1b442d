-- Random segment rules over random data: the engine must find the customers that the plain-SQL twin finds. One batch of 102 rules for
-- each 100 rounds; a difference tells the rule.
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
SELECT setseed(:seed), set_config('twin.batches', (1 + :rounds / 100)::text, false) \g /dev/null
\ir ../twin/segment_check.sql
DO $$
DECLARE
  told text := (SELECT string_agg(told, E'\n') FROM (SELECT told FROM pg_temp.difference UNION ALL SELECT told FROM pg_temp.broken_law LIMIT 5) x);
BEGIN
  IF told IS NOT NULL THEN RAISE EXCEPTION '%', told; END IF;
END $$;
DROP SCHEMA twin CASCADE;
