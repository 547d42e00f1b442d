-- Mutated values of cdp.attribution_partial, as text and as COPY BINARY sends them: an error or a value that works.
\set file binary
\ir change.inc

CREATE TEMP TABLE touch AS
SELECT i % 37 AS customer, timestamptz '2026-01-01' + i * interval '1 hour' AS at, 'c' || i % 5 AS label,
  CASE WHEN i % 6 = 0 THEN (i % 11 - 2)::numeric END AS value
FROM generate_series(1, 600) AS i;

CREATE TEMP TABLE seed_value AS
SELECT cdp.attribution_pass(customer, at, label, value, cdp.attribution_options(models => '{last,linear,u_shaped}', lookback => '3 days')) AS p FROM touch
UNION ALL SELECT cdp.attribution_pass(customer, at, label, value, cdp.attribution_options(models => '{markov(2),shapley,shapley_ordered,one_removed}', paths => true)) FROM touch
UNION ALL SELECT cdp.attribution_pass(customer, at, label, value, cdp.attribution_options(models => '{last,time_decay(7 days)}', credits => true)) FROM touch
UNION ALL SELECT cdp.attribution_pass(customer, at, label, value, cdp.attribution_options()) FROM touch WHERE false;

-- These values hold integers of four and eight bytes.
CREATE FUNCTION pg_temp.mutate(b bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT pg_temp.change(b, 200, ARRAY['\xffffffff'::bytea, '\x7fffffff', '\x80000000', '\x00000000', '\xffffffffffffffff', '\x00000001']) $$;

-- Opens a value in every way; only class XX other than XX001 is a finding.
CREATE FUNCTION pg_temp.open_all(p cdp.attribution_partial) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  way text;
BEGIN
  FOREACH way IN ARRAY '{totals,summary,credit,journeys,transitions,removal,paths,lengths,lags,assists,check}'::text[] LOOP
    BEGIN
      EXECUTE format('SELECT count(*) FROM cdp.attribution_%s($1)', way) USING p;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' AND SQLSTATE <> 'XX001' THEN
        RAISE EXCEPTION 'attribution_%: % %', way, SQLSTATE, SQLERRM;
      END IF;
    END;
  END LOOP;
  PERFORM cdp.attribution_merge(v) FROM unnest(ARRAY[p, p]) AS v;
END $$;

DO $$
DECLARE
  original text;
  bytes bytea;
  p cdp.attribution_partial;
  opened bigint := 0;
  field bytea;
  object oid;
BEGIN
  CREATE TEMP TABLE arrived (p cdp.attribution_partial);
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    SELECT s.p::text INTO original FROM seed_value s ORDER BY random() LIMIT 1;
    BEGIN
      IF round % 2 = 0 THEN
        -- As text: mutate the hexadecimal digits' bytes where the text is such, else the text itself.
        IF original ~ '^\\x[0-9a-f]*$' THEN
          p := (pg_temp.mutate(original::bytea)::text)::cdp.attribution_partial;
        ELSE
          p := convert_from(pg_temp.mutate(convert_to(original, 'UTF8')), 'UTF8')::cdp.attribution_partial;
        END IF;
      ELSE
        -- As binary COPY: header, one field, trailer.
        SELECT cdp_internal.attribution_partial_send(s.p) INTO field FROM seed_value s ORDER BY random() LIMIT 1;
        field := pg_temp.mutate(field);
        bytes := '\x5047434f50590aff0d0a000000000000000000'::bytea || '\x0001'::bytea || int4send(length(field)) || field || '\xffff'::bytea;
        object := lo_from_bytea(0, bytes); -- statements of their own: one does not see the object that it makes
        PERFORM lo_export(object, current_setting('fuzz.file'));
        PERFORM lo_unlink(object);
        TRUNCATE arrived;
        EXECUTE format('COPY arrived FROM %L (FORMAT binary)', current_setting('fuzz.file'));
        SELECT a.p INTO p FROM arrived a;
      END IF;
      PERFORM pg_temp.open_all(p);
      opened := opened + 1;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' AND SQLSTATE <> 'XX001' OR SQLSTATE = 'P0001' THEN
        RAISE EXCEPTION 'round %: % %', round, SQLSTATE, SQLERRM;
      END IF;
    END;
  END LOOP;
  IF opened < current_setting('fuzz.rounds')::integer / 1000 THEN
    RAISE EXCEPTION 'hardly any value got through: %', opened;
  END IF;
END $$;
