-- Hostile bytes: random mutations of valid partials and journeys give an error or a valid value, never a crash.
-- CDP_SEED in the environment chooses other mutations.
SET client_min_messages = error;
\getenv base CDP_SEED
\if :{?base}
\else
\set base 0
\endif
SELECT * FROM no_plan();
CREATE SCHEMA t;
SELECT setseed((:base % 1000) / 1000.0) \g /dev/null
CREATE TABLE t.rows AS
SELECT (10 * random())::int::text AS k, '2026-01-01'::timestamptz + (random() * 100)::int * interval '1 h' AS at,
       CASE WHEN i % 9 > 0 THEN (ARRAY['a', '微信', 'b, c'])[1 + i % 3] END AS label, CASE WHEN i % 9 = 0 THEN i END::numeric AS value
  FROM generate_series(1, 90) i;
-- Partials of several kinds, so that each section of the bytes is there.
CREATE TABLE t.seed (name text, p cdp.attribution_partial);
INSERT INTO t.seed
SELECT name, (SELECT cdp.attribution_pass(k, at, label, value, o) FROM t.rows)
  FROM (VALUES ('rules', cdp.attribution_options(models => '{first,linear,time_decay(7 days),"last_non(a)"}')),
               ('markov', cdp.attribution_options(models => '{markov,markov(3)}')),
               ('shapley', cdp.attribution_options(models => '{shapley,shapley_ordered,shapley_rate,one_removed}')),
               ('paths', cdp.attribution_options(models => '{last}', paths => true)),
               ('credits', cdp.attribution_options(models => '{last,linear}', credits => true))) v(name, o);
SELECT is((SELECT count(*) FROM t.seed WHERE p IS NOT NULL), 5::bigint, 'five partials to mutate');

-- A partial's binary form, written by COPY and read back as bytes: 11 + 4 + 4 head, 2 fields, 4 length.
CREATE FUNCTION t.file() RETURNS text LANGUAGE sql RETURN current_setting('data_directory') || '/twin_bytes.bin';
CREATE FUNCTION t.bytes(n text) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE all_bytes bytea;
BEGIN
  EXECUTE format('COPY (SELECT p FROM t.seed WHERE name = %L) TO %L (FORMAT binary)', n, t.file());
  all_bytes := pg_read_binary_file(t.file());
  RETURN substr(all_bytes, 26, length(all_bytes) - 27);
END $$;
CREATE TABLE t.back (p cdp.attribution_partial);
-- Reads bytes as a partial; the value or the SQLSTATE.
CREATE FUNCTION t.receive(b bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE o oid;
BEGIN
  o := lo_from_bytea(0, '\x5047434f50590aff0d0a000000000000000000'::bytea || '\x0001'::bytea || decode(lpad(to_hex(length(b)), 8, '0'), 'hex') || b || '\xffff'::bytea);
  PERFORM lo_export(o, t.file());
  PERFORM lo_unlink(o);
  DELETE FROM t.back;
  EXECUTE format('COPY t.back FROM %L (FORMAT binary)', t.file());
  RETURN 'read';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
CREATE TABLE t.raw AS SELECT name, t.bytes(name) AS b FROM t.seed;
SELECT is(t.receive(b), 'read', name || ': the untouched bytes are read') FROM t.raw;

CREATE FUNCTION t.int4(x bigint) RETURNS bytea LANGUAGE sql RETURN decode(lpad(to_hex(x & 4294967295), 8, '0'), 'hex');
CREATE FUNCTION t.mutate(b bytea, other bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE n int := length(b); at int; len int;
BEGIN
  FOR i IN 1..1 + floor(random() * random() * 4)::int LOOP
    at := floor(random() * n)::int;
    CASE floor(random() * 9)::int
    WHEN 0, 1 THEN b := set_byte(b, at, floor(random() * 256)::int);
    WHEN 2 THEN b := set_byte(b, at, get_byte(b, at) # (1 << floor(random() * 8)::int));
    WHEN 3 THEN b := set_byte(b, at, (ARRAY[0, 1, 127, 128, 255])[1 + floor(random() * 5)::int]);
    WHEN 4 THEN b := substr(b, 1, at);
    WHEN 5 THEN len := 1 + floor(random() * 16)::int; b := substr(b, 1, at) || substr(b, at + 1 + len);
    WHEN 6 THEN len := 1 + floor(random() * 40)::int; b := substr(b, 1, at) || substr(b, 1 + floor(random() * n)::int, len) || substr(b, at + 1);
    WHEN 7 THEN b := substr(b, 1, at) || decode((ARRAY['ffffffff', '7fffffff', '80000000', '00000000', 'ffffffffffffffff', '7fffffffffffffff', '8000000000000000'])[1 + floor(random() * 7)::int], 'hex') || substr(b, at + 1 + CASE WHEN random() < 0.8 THEN 4 ELSE 0 END);
    ELSE b := substr(b, 1, at) || substr(other, at + 1);
    END CASE;
    n := length(b);
    EXIT WHEN n = 0;
  END LOOP;
  RETURN b;
END $$;
-- Everything that opens a partial, on the value just read: an error of ours or an answer.
CREATE FUNCTION t.open() RETURNS text LANGUAGE plpgsql AS $$
DECLARE f text; states text[] := '{}';
BEGIN
  FOREACH f IN ARRAY '{attribution_totals,attribution_summary,attribution_credit,attribution_journeys,attribution_paths,attribution_lengths,attribution_lags,attribution_assists,attribution_check,attribution_transitions,attribution_removal}'::text[] LOOP
    BEGIN
      EXECUTE format('SELECT count(r::text) FROM t.back, cdp.%I(p) r', f);
    EXCEPTION WHEN OTHERS THEN states := states || SQLSTATE::text;
    END;
  END LOOP;
  BEGIN
    EXECUTE 'SELECT cdp.attribution_merge(p)::text FROM (SELECT p FROM t.back UNION ALL SELECT p FROM t.back UNION ALL SELECT p FROM t.seed WHERE name = ''rules'') q';
  EXCEPTION WHEN OTHERS THEN states := states || SQLSTATE::text;
  END;
  RETURN array_to_string(ARRAY(SELECT DISTINCT unnest(states) ORDER BY 1), ' ');
END $$;
-- How often which answer came; internal errors would be XX000 or a lost connection.
CREATE TABLE t.outcome (name text, read text, opened text, bytes bytea);
CREATE PROCEDURE t.storm(n int) LANGUAGE plpgsql AS $$
DECLARE r record; o record; m bytea; s text;
BEGIN
  FOR r IN SELECT * FROM t.raw ORDER BY name LOOP
    SELECT * INTO o FROM t.raw WHERE name > r.name OR name = 'rules' ORDER BY name LIMIT 1;
    FOR i IN 1..n LOOP
      m := t.mutate(r.b, o.b);
      s := t.receive(m);
      INSERT INTO t.outcome VALUES (r.name, s, CASE WHEN s = 'read' THEN t.open() END, m);
      IF i % 200 = 0 THEN COMMIT; END IF;
    END LOOP;
    COMMIT;
  END LOOP;
END $$;
CALL t.storm(600);
SELECT diag('read: ' || count(*) FILTER (WHERE read = 'read') || ', refused: ' || count(*) FILTER (WHERE read <> 'read')) FROM t.outcome;
SELECT is((SELECT count(*) FROM t.outcome), 3000::bigint, 'three thousand mutated partials and the server is up');
SELECT is((SELECT string_agg(DISTINCT name || ': ' || read, ', ') FROM t.outcome WHERE read NOT IN ('read', '22P03', 'XX001', '22023', '54000', '22P02', '22021', '08P01', '22003', '22007', '22008')), NULL, 'what is refused is refused as bad data');
SELECT is((SELECT string_agg(DISTINCT name || ': ' || opened, ', ') FROM t.outcome WHERE opened ~ 'XX000|53200'), NULL, 'what is read is opened without internal errors');
-- Whatever was taken for valid must be stable: written and read again it is the same.
CREATE FUNCTION t.stable(b bytea) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  RETURN t.receive(b) <> 'read' OR (SELECT p::text::cdp.attribution_partial::text = p::text FROM t.back);
END $$;
SELECT is((SELECT count(*) FROM (SELECT bytes FROM t.outcome WHERE read = 'read' LIMIT 200) q WHERE NOT t.stable(bytes)), 0::bigint, 'what was taken is written and read again unchanged');

-- ---- Text that is no partial
CREATE FUNCTION t.as_text(x text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM x::cdp.attribution_partial; RETURN 'read'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT ok(t.as_text(x) IN ('22P02', '22P03', 'XX001', '22023', '08P01'), 'no partial: ' || left(x, 30))
  FROM unnest(ARRAY['', ' ', '\x', '\x00', '\x01', '\xff', '\xzz', 'x', '{}', '0', repeat('\x00', 10), repeat('A', 1000000), '\x' || repeat('00', 1000000), '\x01' || repeat('ff', 1000)]) x;
SELECT ok(t.as_text(left(p::text, length(p::text) - n)) IN ('22P02', '22P03', 'XX001', '22023', '08P01'), name || ': text shortened by ' || n) FROM t.seed, unnest('{1,2,7}'::int[]) n;
SELECT ok(t.receive('') <> 'read', 'no bytes at all');

-- ---- Journeys
CREATE TABLE t.journey AS SELECT DISTINCT journey FROM t.seed, cdp.attribution_journeys(p) WHERE name = 'credits';
CREATE FUNCTION t.replay(b bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM r.* FROM (SELECT cdp.attribution_replay(b, 1, cdp.attribution_options(models => '{first,linear,time_decay(7 days),markov(2),shapley}')) AS p) q, cdp.attribution_totals(p) r;
  RETURN 'read';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SELECT is((SELECT count(*) FROM t.journey WHERE t.replay(journey) <> 'read'), 0::bigint, 'the untouched journeys are read');
-- A journey of a partial without times, under a model that needs them.
SELECT is(t.replay(set_byte(journey, 0, get_byte(journey, 0) & ~1)) <> 'XX000', true, 'a journey whose times are cut off') FROM t.journey LIMIT 1;
CREATE TABLE t.replayed AS SELECT t.replay(m) AS state FROM (SELECT t.mutate(journey, '\x0102030405060708090a0b0c0d0e0f') AS m FROM t.journey, generate_series(1, 3000 / (SELECT count(*)::int FROM t.journey)) OFFSET 0) q;
SELECT ok((SELECT count(*) FROM t.replayed) > 1500, 'thousands of mutated journeys and the server is up');
SELECT is((SELECT string_agg(DISTINCT state, ', ') FROM t.replayed WHERE state NOT IN ('read', '22P03', 'XX001', '22023', '54000', '22P02', '22021', '08P01', '22003')), NULL, 'a bad journey is refused as bad data');
SELECT ok(t.replay(x) <> 'XX000', 'journey of odd bytes ' || left(x::text, 20)) FROM unnest(ARRAY['', '\x00', '\xff', '\x01', decode(repeat('ff', 100000), 'hex'), decode(repeat('01', 100000), 'hex')]::bytea[]) x;
SELECT is(t.as_text('x') <> '', true, 'the server is still up');
SELECT * FROM finish();
