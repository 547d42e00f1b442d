-- Models of customer value on random parameters, histories, data and options: an answer is a finite number within its
-- bounds or an error of a kind that says what is wrong; a fit ends.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null
SET cdp.value_memory = '64MB';

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
-- A number above 0 of any size, now and then one that cannot be.
CREATE FUNCTION pg_temp.number() RETURNS float8 LANGUAGE sql AS $$
  SELECT CASE WHEN random() < 0.02 THEN pg_temp.pick('NaN', 'Infinity', '-Infinity', '-1', '0', '1e308', '1e-308', '-0')::float8
    WHEN random() < 0.3 THEN floor(20 * random()) ELSE exp(60 * (random() - 0.5)) END $$;
CREATE FUNCTION pg_temp.fit() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  model text := pg_temp.pick('bgnbd', 'mbgnbd', 'paretonbd', 'bgbb', 'gammagamma', 'bgnb');
  fit jsonb;
BEGIN
  SELECT jsonb_object_agg(k, to_jsonb(CASE WHEN random() < 0.9 THEN exp(CASE WHEN random() < 0.5 THEN 4 ELSE 50 END * (random() - 0.5)) ELSE pg_temp.number() END)) INTO fit
  FROM unnest('{r,alpha,a,b,s,beta,gamma,delta,p,q,v}'::text[]) k WHERE random() < 0.999;
  RETURN fit || jsonb_build_object('model', model);
END $$;
CREATE FUNCTION pg_temp.history(OUT x float8, OUT tx float8, OUT age float8) LANGUAGE plpgsql AS $$
BEGIN
  age := CASE WHEN random() < 0.5 THEN ceil(30 * random()) ELSE pg_temp.number() END;
  x := floor(CASE WHEN random() < 0.9 THEN 6 ELSE 1e6 END * random() * random());
  tx := CASE WHEN x = 0 THEN 0 WHEN random() < 0.3 THEN age WHEN random() < 0.5 THEN floor(age * random()) ELSE age * random() END;
END $$;

DO $$
DECLARE
  call text;
  f jsonb;
  h record;
  answer float8;
  most float8;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    f := pg_temp.fit();
    h := pg_temp.history();
    most := 1e300;
    CASE floor(random() * 5)::integer
      WHEN 0 THEN call := format('cdp.probability_alive(%L, %L, %L, %L)', f, h.x, h.tx, h.age); most := 1;
      WHEN 1 THEN call := format('cdp.expected_purchases(%L, %L, %L, %L, %L)', f, pg_temp.number(), h.x, h.tx, h.age);
      WHEN 2 THEN call := format('cdp.purchase_probability(%L, %s, %L, %L, %L, %L)', f, floor(30 * random()), pg_temp.number(), h.x, h.tx, h.age); most := 1.0000001;
      WHEN 3 THEN call := format('cdp.lifetime_value(%L, %L, %L, %L, %L, %L, %L, %L)', f, abs(pg_temp.number()), 24 * random(), random(), 1 + random(), h.x, h.tx, h.age);
      ELSE call := format('cdp.expected_value(%L, %L, %L)', f, h.x, pg_temp.number());
    END CASE;
    BEGIN
      EXECUTE 'SELECT ' || call INTO answer;
      IF NOT coalesce(answer BETWEEN 0 AND most, true) THEN
        RAISE EXCEPTION 'round %: % is %', round, call, answer USING ERRCODE = 'XX000';
      END IF;
    EXCEPTION WHEN invalid_parameter_value OR numeric_value_out_of_range THEN NULL;
    END;
  END LOOP;
END $$;

CREATE TEMP TABLE purchase (id int, at timestamptz, value numeric);
DO $$
DECLARE
  options jsonb;
  fit jsonb;
BEGIN
  FOR round IN 1 .. greatest(current_setting('fuzz.rounds')::integer / 50, 1) LOOP
    TRUNCATE purchase;
    INSERT INTO purchase SELECT floor(1 + 30 * random() * random()), CASE WHEN random() < 0.99 THEN timestamptz '2024-01-01Z' + 200 * random() * interval '1 day' ELSE pg_temp.pick('infinity', '-infinity', '4713-01-01Z BC', '294276-12-31Z')::timestamptz END,
      CASE WHEN random() < 0.95 THEN round((200 * random() - 20)::numeric, 2) END FROM generate_series(1, floor(300 * random())::int);
    options := jsonb_build_object('as_of', pg_temp.pick('2024-04-01Z', '2024-07-30 12:34:56Z', '2025-01-01Z'), 'unit', pg_temp.pick('day', 'week', 'month', 'year'), 'once_per', pg_temp.pick('day', 'week', 'month', 'year', 'none'),
      'timezone', pg_temp.pick('UTC', 'Asia/Shanghai', 'America/New_York', 'Australia/Lord_Howe', 'Pacific/Apia', 'America/Sao_Paulo'), 'include_first', random() < 0.5);
    BEGIN
      EXECUTE format('SELECT cdp.fit_%s(s.frequency, s.recency, s.t_age%s) FROM unnest((SELECT cdp.rfm_pass(id, at, value, $1) FROM purchase)) s', pg_temp.pick('bgnbd', 'mbgnbd', 'paretonbd', 'bgbb'),
        CASE WHEN random() < 0.3 THEN ', random(), ''{"penalizer": 0.01, "max_iterations": 300}''' ELSE '' END) INTO fit USING options;
      IF fit IS NOT NULL AND ((fit ->> 'iterations')::int > 2000 OR (fit ->> 'log_likelihood') IS NULL OR (SELECT bool_or(v = 'null') FROM jsonb_each(fit) j (k, v))) THEN
        RAISE EXCEPTION 'round %: % over %', round, fit, options USING ERRCODE = 'XX000';
      END IF;
      PERFORM cdp.rfm_scores(cdp.rfm_pass(id, at, value, options)) FROM purchase;
    EXCEPTION WHEN invalid_parameter_value OR data_exception THEN NULL;
    END;
  END LOOP;
END $$;
