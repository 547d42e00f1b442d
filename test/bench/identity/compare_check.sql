-- How many of 20,000 pairs of compare.sh have another Jaro-Winkler similarity by the textbook's quadratic loops.
CREATE FUNCTION pg_temp.slow(a text, b text) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
  reach integer := greatest(greatest(length(a), length(b)) / 2 - 1, 0);
  used boolean[] := array_fill(false, ARRAY[length(b)]);
  in_a text := '';
  in_b text := '';
  m integer;
  t integer;
  jaro double precision;
BEGIN
  FOR i IN 1 .. length(a) LOOP
    FOR j IN greatest(1, i - reach) .. least(length(b), i + reach) LOOP
      IF NOT used[j] AND substr(a, i, 1) = substr(b, j, 1) THEN
        used[j] := true;
        in_a := in_a || substr(a, i, 1);
        EXIT;
      END IF;
    END LOOP;
  END LOOP;
  FOR j IN 1 .. length(b) LOOP
    in_b := in_b || CASE WHEN used[j] THEN substr(b, j, 1) ELSE '' END;
  END LOOP;
  m := length(in_a);
  IF m = 0 THEN
    RETURN 0;
  END IF;
  t := (SELECT count(*) FROM generate_series(1, m) k WHERE substr(in_a, k, 1) <> substr(in_b, k, 1)) / 2;
  jaro := (m / length(a)::float8 + m / length(b)::float8 + (m - t) / m::float8) / 3;
  RETURN CASE WHEN round(jaro::numeric, 12) > 0.7 THEN jaro + 0.1 * (1 - jaro) * (SELECT count(*) FROM generate_series(1, least(4, length(a))) n WHERE left(a, n) = left(b, n)) ELSE jaro END;
END $$;
SELECT count(*) FROM (SELECT a, b FROM pair LIMIT 10000) s WHERE abs(pg_temp.slow(a, b) - cdp.jaro_winkler(a, b)) > 1e-12 \gset latin_
SELECT :latin_count + count(*) FROM (SELECT a_chinese AS a, b_chinese AS b FROM pair LIMIT 10000) s WHERE abs(pg_temp.slow(a, b) - cdp.jaro_winkler(a, b)) > 1e-12;
