-- Erases the people one by one, a transaction each: psql -v people=40. Prints "erase SECONDS" of CPU for each but the first
-- two, which warm up, and what the receipts say of the rows: the same whatever else is in the tables.
CREATE TEMP TABLE taken (nth integer, seconds float8, receipt jsonb);
CREATE PROCEDURE pg_temp.erase_all(people integer) LANGUAGE plpgsql AS $$
DECLARE
  before bigint;
  said jsonb;
BEGIN
  FOR i IN 1 .. people LOOP
    before := public.bench_cpu();
    said := cdp.erase_customer(i);
    COMMIT;
    INSERT INTO taken VALUES (i, (public.bench_cpu() - before) / 1e9, said);
    COMMIT;
  END LOOP;
END $$;
CALL pg_temp.erase_all(:people);
SELECT 'erase', seconds FROM taken WHERE nth > 2 ORDER BY nth;
SELECT 'answer', md5(string_agg((receipt -> 'tables')::text || (receipt ->> 'suppressed'), '|' ORDER BY nth)),
  (SELECT count(*) FROM cdp_data.touchpoint WHERE customer_id <= :people), (SELECT count(*) FROM cdp_data.identifier WHERE customer_id <= :people),
  (SELECT count(*) FROM cdp_data.touchpoint_key WHERE source_key LIKE 'order-%' AND touchpoint_id <= 20 * :people) FROM taken;
