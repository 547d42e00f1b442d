-- Texts of segment rules, sensible, damaged and of random words, and rules with broken JSONB: the reader takes a text or says where
-- it is wrong (42601, limits 54000 and 54001), the printer prints a rule or says where it is none (22023, 54001); what was taken
-- comes back the same after printing.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null
\ir ../twin/segment_rules.sql

CREATE FUNCTION pg_temp.word() RETURNS text LANGUAGE sql AS $$
  SELECT twin.pick('and', 'or', 'not', '(', ')', ',', ';', '->', '=', '>=', '!=', 'in', 'between', 'did', 'count', 'sum', 'seq', 'last', '30', 'days', 'ago', 'of', 'where', 'is', 'known', 'top', '10', '%',
    'by', 'trait', 'list', 'segment', 'a', 'b', '''x''', '"y"', 'without', 'total', 'same', 'no', 'within', 'time', 'zone', 'nulls', 'sql', 'all', 'any', 'everybody', 'regularly', 'resumed', 'after', 'this',
    'month', 'consent', '-1.5e3', '1e', '.', '1.', 'not', 'has', 'starts', 'with', E'\n', '（', '''', '"', E'\u00a0', '微', '😀', '#', '--', '/*', E'\\') $$;
-- Up to three characters or words cut out, doubled or put in.
CREATE FUNCTION pg_temp.damage(t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  at integer;
BEGIN
  FOR n IN 0 .. twin.upto(2) LOOP
    at := twin.upto(length(t));
    t := left(t, at) || CASE WHEN random() < 0.6 THEN pg_temp.word() ELSE substr(t, at, 1 + twin.upto(20)) END || substr(t, at + 1 + twin.upto(3));
  END LOOP;
  RETURN t;
END $$;

DO $$
DECLARE
  t text;
  said text;
  rule jsonb;
  taken bigint := 0;
  refused bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    CASE round % 3
      WHEN 0 THEN SELECT string_agg(pg_temp.word(), ' ') INTO t FROM generate_series(0, twin.upto(30));
      ELSE t := pg_temp.damage(cdp.segment_rule_text(twin.segment_rule(0.05)));
    END CASE;
    BEGIN
      rule := cdp.segment_rule(t);
      said := cdp.segment_rule_text(rule);
      taken := taken + 1;
      IF cdp.segment_rule(said) <> rule OR cdp.segment_rule_text(cdp.segment_rule(said)) <> said THEN
        RAISE EXCEPTION 'no way back: % -> % -> %', t, rule, said USING ERRCODE = 'XX000';
      END IF;
    EXCEPTION WHEN syntax_error OR program_limit_exceeded OR statement_too_complex THEN
      refused := refused + 1;
    END;
    BEGIN -- characters of the JSONB put out of place
      rule := pg_temp.damage(twin.segment_rule(0)::text)::jsonb;
    EXCEPTION WHEN OTHERS THEN
      rule := twin.segment_rule(0) #- ARRAY['where', twin.pick('all', 'any', 'did', 'attr', 'seq', 'not'), twin.pick('0', '1')];
    END;
    BEGIN
      said := cdp.segment_rule_text(rule);
      IF cdp.segment_rule(said) <> rule || '{"v": 1}' THEN
        RAISE EXCEPTION 'no way back: % -> %', rule, said USING ERRCODE = 'XX000';
      END IF;
    EXCEPTION WHEN invalid_parameter_value OR statement_too_complex THEN
      refused := refused + 1;
    END;
  END LOOP;
  IF current_setting('fuzz.rounds')::integer >= 100 AND (taken = 0 OR refused = 0) THEN
    RAISE EXCEPTION 'the texts are of one kind only: % taken, % refused', taken, refused;
  END IF;
  RAISE NOTICE '% taken, % refused', taken, refused;
END $$;
DROP SCHEMA twin CASCADE;
