-- Prints "full seconds" and "off seconds" for each run, and "answer t" when both sides ended alike.
SET client_min_messages = warning;
SET synchronous_commit = off;
CREATE EXTENSION pg_cdp;
CALL cdp.setup();
SELECT cdp.add_source('shop') \g /dev/null
CREATE TABLE used (side text, seconds numeric);
CREATE PROCEDURE calls(tag text, n integer, low integer, high integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN low .. high LOOP
    PERFORM cdp.identify('shop', jsonb_build_object('email', format('p%s-%s@example.org', i * 7919 % (n / 2), tag), 'cookie', format('c%s-%s', i * 104729 % (n * 3 / 4), tag)));
    COMMIT;
  END LOOP;
END $$;
-- In turn, fifty calls at a time, so that a change of the machine's pace meets both; the first run warms up.
CREATE PROCEDURE turns(runs integer, n integer) LANGUAGE plpgsql AS $$
DECLARE
  before bigint;
  spent bigint[];
  way text;
BEGIN
  FOR run IN 0 .. runs LOOP
    spent := '{0,0}';
    FOR low IN 1 .. n BY 50 LOOP
      FOR side IN 1 .. 2 LOOP
        way := CASE WHEN side = 1 THEN 'full' ELSE 'off' END;
        UPDATE cdp_data.setting SET audit = way;
        COMMIT;
        before := bench_cpu();
        CALL calls(run || way, n, low, least(low + 49, n));
        spent[side] := spent[side] + bench_cpu() - before;
      END LOOP;
    END LOOP;
    IF run > 0 THEN
      INSERT INTO used VALUES ('full', spent[1] / 1e9), ('off', spent[2] / 1e9);
    END IF;
    COMMIT;
  END LOOP;
END $$;
CALL turns(:runs, :records);
SELECT side, seconds FROM used;
WITH i AS MATERIALIZED (
  SELECT i.identifier_id, cdp_internal.identifier_root(i.identifier_id) AS root, substring(i.value, '-([^@]+)') AS tag FROM cdp_data.identifier i
), done AS (
  SELECT i.tag, count(*) AS ids, count(DISTINCT i.root) AS customers, (SELECT count(*) FROM cdp_data.link l JOIN i x ON x.identifier_id = l.a_id WHERE x.tag = i.tag) AS links
  FROM i GROUP BY i.tag
)
SELECT 'answer', (SELECT count(DISTINCT (ids, customers, links)) = 1 AND count(*) = 2 * (:runs + 1) FROM done)
  AND (SELECT count(*) FROM cdp_data.audit WHERE action = 'identify') = :records * (:runs + 1);
