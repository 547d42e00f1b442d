-- Passes over daily values and callbacks on random days, options and bytes: an answer within its bounds or an error of a kind
-- that says what is wrong; every call ends.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null
SET statement_timeout = '60s';

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
-- A number of any size, now and then one that cannot be.
CREATE FUNCTION pg_temp.number() RETURNS float8 LANGUAGE sql AS $$
  SELECT CASE WHEN random() < 0.01 THEN pg_temp.pick('NaN', 'Infinity', '-1', '1e308', '1e-308', '-0')::float8
    WHEN random() < 0.3 THEN 0 WHEN random() < 0.6 THEN floor(20 * random()) ELSE exp(50 * (random() - 0.4)) END $$;
CREATE FUNCTION pg_temp.options() RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_object_agg(k, v), '{}') FROM (
    SELECT k, CASE k WHEN 'season' THEN to_jsonb(floor(33 * random())) WHEN 'window' THEN to_jsonb(floor(410 * random() ^ 2)) WHEN 'min_history' THEN to_jsonb(floor(100 * random() ^ 2))
      WHEN 'transform' THEN to_jsonb(pg_temp.pick('anscombe', 'anscombe', 'none', 'nine')) WHEN 'absent' THEN to_jsonb(pg_temp.pick('unknown', 'zero'))
      WHEN 'since' THEN to_jsonb(pg_temp.pick('1999-12-31', '2000-02-29', '2000-02-30')) WHEN 'tail_p' THEN to_jsonb(pg_temp.pick('0', '0.5', '1e-300', '0.01')::numeric)
      WHEN 'run_p' THEN to_jsonb(pg_temp.pick('0', '0.5', '1e-300', '0.01')::numeric) WHEN 'floor' THEN to_jsonb(pg_temp.pick('1', '0.001', '100', '1e12')::numeric)
      ELSE to_jsonb(floor(1100 * random() ^ 3)) END AS v
    FROM unnest('{season,window,min_history,transform,absent,since,tail_p,run_p,floor,tiny,threshold}'::text[]) k WHERE random() < 0.25) o $$;

DO $$
DECLARE
  o jsonb;
  a cdp.anomaly_day[];
  t cdp.day_trend;
  c cdp.day_change;
  r record;
  cipher text;
  bad bigint;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    BEGIN
      o := pg_temp.options();
      WITH s AS MATERIALIZED (SELECT date '1999-11-01' + i AS day, CASE WHEN random() < 0.05 THEN NULL ELSE pg_temp.number() END AS value,
          CASE WHEN random() < 0.9 THEN 'final' ELSE pg_temp.pick('restated', 'provisional', 'suspect_zero', 'missing', 'unavailable') END AS state
        FROM generate_series(1, floor(200 * random() ^ 2)::int) i WHERE random() < 0.95)
      SELECT cdp.anomaly_pass(day, value, state, o) AS a, cdp.daily_trend(day, value, state, o) AS t, cdp.daily_change(day, value, state, o) AS c INTO r FROM s;
      a := r.a;
      t := r.t;
      c := r.c;
      SELECT count(*) INTO bad FROM unnest(a) d WHERE d.low > d.high OR d.low < 0 AND o ->> 'transform' IS DISTINCT FROM 'none' OR d.score = 'NaN'
        OR (d.verdict IN ('ok', 'high', 'low', 'zero_run')) <> (d.score IS NOT NULL) OR d.verdict = 'ok' AND (d.value < d.low * (1 - 1e-9) OR d.value > d.high * (1 + 1e-9) + 1e-9)
        OR (d.verdict = 'ok') <> (d.reason IS NULL);
      IF bad > 0 OR t.low > t.slope OR t.high < t.slope OR t.p NOT BETWEEN 0 AND 1 OR c.p NOT BETWEEN 0 AND 1 THEN
        RAISE WARNING 'round %: % wrong days, %, %, options %', round, bad, t, c, o;
      END IF;
    EXCEPTION WHEN invalid_parameter_value OR numeric_value_out_of_range THEN NULL;
    END;
    cipher := pg_temp.pick(encode(decode(md5(random()::text), 'hex') || CASE WHEN random() < 0.5 THEN decode(md5(random()::text), 'hex') ELSE '' END, 'base64'), '', '====', 'A===', md5(random()::text));
    SELECT * INTO r FROM cdp_internal.known_callback_open('t', 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C', 'r', cdp_internal.known_callback_signature('t', '1', '2', cipher), '1', '2', cipher);
    IF r.problem IS NULL THEN
      RAISE WARNING 'round %: % opens', round, cipher;
    END IF;
    PERFORM cdp_internal.callback_cipher(convert_to(pg_temp.pick('<Encrypt>', '{"encrypt":', '"Encrypt" : "') || left(cipher, floor(20 * random())::int) || pg_temp.pick('</Encrypt>', '"}', '', ']]>'), 'UTF8'));
  END LOOP;
END $$;
