-- For isolation specs of many permutations: the first makes the extension, the others find its rows, settings and numbers as
-- they were then, whatever the permutations before them did. tools/test.sh reads this file before the specs.
CREATE SCHEMA spec;
CREATE TABLE spec.number (sequence regclass, next bigint);

-- To be called first. once: statements that set up the extension, for the first permutation only; they may not fill tables
-- that have generated columns.
CREATE PROCEDURE spec.start(once text DEFAULT 'CALL cdp.setup()') LANGUAGE plpgsql SET client_min_messages = error AS $$
DECLARE
  t text;
  n record;
BEGIN
  IF to_regnamespace('spec_rows') IS NULL THEN
    CREATE EXTENSION pg_cdp CASCADE;
    EXECUTE once;
    CREATE SCHEMA spec_rows;
    FOR t IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'cdp_data'::regnamespace AND c.relkind = 'r' AND pg_relation_size(c.oid) > 0 LOOP
      EXECUTE format('CREATE TABLE spec_rows.%1$I AS TABLE cdp_data.%1$I', t);
    END LOOP;
    INSERT INTO spec.number
    SELECT format('%I.%I', s.schemaname, s.sequencename), coalesce(s.last_value + s.increment_by, s.start_value) FROM pg_sequences s WHERE s.schemaname = 'cdp_data';
    RETURN;
  END IF;
  PERFORM set_config('session_replication_role', 'replica', true); -- neither triggers nor foreign keys
  SELECT string_agg(c.oid::regclass::text, ', ') INTO t
  FROM pg_class c WHERE c.relnamespace = 'cdp_data'::regnamespace AND c.relkind = 'r' AND pg_relation_size(c.oid) > 0;
  EXECUTE format('TRUNCATE %s CASCADE', t);
  FOR t IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'spec_rows'::regnamespace AND c.relkind = 'r' LOOP
    EXECUTE format('INSERT INTO cdp_data.%1$I OVERRIDING SYSTEM VALUE TABLE spec_rows.%1$I', t);
  END LOOP;
  -- Not setval(): sessions would go on with the numbers that they have in store.
  FOR n IN SELECT m.sequence, m.next FROM spec.number m WHERE pg_sequence_last_value(m.sequence) IS NOT NULL LOOP
    EXECUTE format('ALTER SEQUENCE %s RESTART WITH %s', n.sequence, n.next);
  END LOOP;
  PERFORM set_config('session_replication_role', 'origin', true);
END $$;

-- For the last permutation: nothing is left for other specs.
CREATE PROCEDURE spec.stop() LANGUAGE plpgsql SET client_min_messages = error AS $$
BEGIN
  DROP EXTENSION pg_cdp CASCADE;
  DROP SCHEMA IF EXISTS cdp_data, cdp_bi, cdp_api, spec_rows CASCADE;
  DELETE FROM spec.number;
END $$;
