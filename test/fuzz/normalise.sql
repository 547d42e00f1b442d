-- Normalisers and rules for identifiers with random values, types, blocked values and patterns: no call may end in an internal error,
-- what is taken is at most 800 bytes and passes unchanged, and a value is either taken or has a reason.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null

CREATE FUNCTION pg_temp.soup(size integer) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(CASE WHEN random() < 0.05 THEN chr(CASE WHEN random() < 0.8 THEN 1 + floor(random() * 55000)::integer ELSE 65280 + floor(random() * 60000)::integer END)
    ELSE (ARRAY['a', 'Z', '0', '1', '86', '+', '(0)', '@', '.', 'x.com', 'gmail.com', ' ', '"', '''', '\', '<', '>', 'mailto:', '%22', 'GA1.', '{', '}', '^', '$', '*', '[', ']', '|', '-', '?', '(', ')',
      E'\u200b', E'\u3000', E'\u0301', 'É', 'Σ', '中', '。', '１', '😀', 'null', E'\t', E'\ufffd', '_', ':', ';', '=', ',', '/'])[1 + floor(random() * 50)::integer] END, ''), '')
  FROM generate_series(1, floor(random() * size)::integer) $$;
CREATE FUNCTION pg_temp.rule() RETURNS text[] LANGUAGE sql AS $$
  SELECT ARRAY[(ARRAY['type', 'block', 'block', 'block', 'region', 'other', NULL])[1 + floor(random() * 7)::integer], (CASE WHEN random() < 0.9 THEN floor(random() * 20)::integer END)::text,
    (ARRAY['trim', 'lower', 'email', 'phone', 'device', 'cookie', '1', '2', '3', 'CN', 'US', 'XX', NULL])[1 + floor(random() * 13)::integer],
    CASE WHEN random() < 0.6 THEN pg_temp.soup(8) END, CASE WHEN random() < 0.4 THEN pg_temp.soup(6) END] $$;

DO $$
DECLARE
  kinds text[] := ARRAY(SELECT name FROM cdp.normaliser_builtin());
  rules text[];
  value text;
  form text;
  code text;
  kind text;
  id integer;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    value := pg_temp.soup(CASE WHEN random() < 0.02 THEN 4000 ELSE 16 END);
    kind := kinds[1 + floor(random() * cardinality(kinds))::integer];
    form := cdp_internal.normalise_identifier(value, kind, (ARRAY['CN', 'US', 'DE', 'AR', 'RU', NULL])[1 + floor(random() * 6)::integer]);
    IF octet_length(form) NOT BETWEEN 1 AND 800 OR cdp_internal.normalise_identifier(form, kind, NULL) IS DISTINCT FROM form THEN
      RAISE EXCEPTION 'round %: % made % of %', round, kind, to_json(form), to_json(left(value, 500));
    END IF;
    CONTINUE WHEN round % 5 <> 0;
    id := floor(random() * 20)::integer;
    BEGIN
      rules := (SELECT array_agg(pg_temp.rule()) FROM generate_series(1, 1 + floor(random() * 12)::integer));
      form := cdp_internal.read_identifier(value, id, rules);
      code := cdp_internal.refused_identifier(value, id, rules);
    EXCEPTION WHEN data_exception OR invalid_regular_expression OR invalid_parameter_value OR invalid_text_representation THEN
      CONTINUE;
    END;
    IF (form IS NULL) <> (code IS NOT NULL) OR octet_length(form) > 800 THEN
      RAISE EXCEPTION 'round %: % and % for % under %', round, to_json(form), code, to_json(left(value, 500)), rules;
    END IF;
  END LOOP;
END $$;
