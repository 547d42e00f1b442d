-- The event pass by hand, to the microsecond: ends of windows, ties, chains, absences, days, numbers, and what flips when.
BEGIN;
SELECT plan(144);
SET LOCAL client_min_messages = error;
CREATE SCHEMA t;

-- Answers of one atom over events such as 'A900 B950:{"p": 1}': kind, microseconds, properties; ids rise from left to right.
-- t, f or u, and after a blank when it may change (horizon 5000). Windows are lengths before as_of: [from, to].
CREATE FUNCTION t.pass(events text, atom jsonb, as_of bigint, explain boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE zero timestamptz := '2026-06-15 00:00Z'; base bigint := 834796800000000; w jsonb := atom->'window'; p jsonb; result bytea; said jsonb; answer text;
BEGIN
  IF atom ? 'window' THEN
    w := jsonb_build_object('to', base + as_of - coalesce((w->>1)::bigint, 0), 'slide_to', coalesce((w->>1)::bigint, 0))
      || CASE WHEN w->0 = 'null' THEN '{}' ELSE jsonb_build_object('from', base + as_of - (w->>0)::bigint, 'slide_from', (w->>0)::bigint) END;
    atom := atom || jsonb_build_object('window', w);
  END IF;
  p := jsonb_build_object('v', 1, 'as_of', base + as_of, 'tz', 'UTC', 'kinds', '[65, 66, 67, 68, 88]'::jsonb, 'events', jsonb_build_array(atom));
  CREATE TEMP TABLE IF NOT EXISTS ev (at timestamptz, kind int, properties jsonb, id bigint);
  TRUNCATE ev;
  INSERT INTO ev SELECT zero + substring(e, '^.(\d+)')::bigint * interval '1 microsecond', ascii(e), substring(e, ':(.*)$')::jsonb, n
  FROM regexp_split_to_table(events, ' ') WITH ORDINALITY x (e, n);
  IF explain THEN
    SELECT cdp_internal.segment_explain_pass(7, at, kind, NULL, NULL, NULL, NULL, properties, id, p, zero + interval '5000 microseconds')->0 INTO said FROM ev;
    RETURN concat_ws(' ', CASE said->>'result' WHEN 'true' THEN 't' WHEN 'false' THEN 'f' ELSE 'u' END, (extract(epoch FROM (said->>'flips_at')::timestamptz - zero) * 1000000)::bigint);
  END IF;
  SELECT cdp_internal.segment_pass(7, at, kind, NULL, NULL, NULL, NULL, properties, id, p, zero + interval '5000 microseconds') INTO result FROM ev;
  SELECT CASE WHEN NOT cdp.roaring_has(cdp_internal.segment_pass_seen(result), 7) THEN CASE WHEN unseen THEN 't' WHEN NOT unseen THEN 'f' ELSE 'u' END
    WHEN cdp.roaring_has(customers, 7) THEN 't' WHEN cdp.roaring_has(unknown, 7) THEN 'u' ELSE 'f' END INTO answer FROM cdp_internal.segment_pass_events(result);
  RETURN concat_ws(' ', answer, (SELECT (extract(epoch FROM at - zero) * 1000000)::bigint FROM cdp_internal.segment_pass_flips(result)));
END $$;
-- The pass and the explanation say the same.
CREATE FUNCTION t.ask(events text, atom text, as_of bigint DEFAULT 1000) RETURNS text LANGUAGE plpgsql AS $$
DECLARE a text := t.pass(events, atom::jsonb, as_of, false); b text := t.pass(events, atom::jsonb, as_of, true);
BEGIN
  RETURN CASE WHEN a = b THEN a ELSE a || ' but explained as ' || b END;
END $$;
CREATE FUNCTION t.count(k int, w text) RETURNS text LANGUAGE sql RETURN format('{"op": "count", "of": [{"kind": 65}], "window": %s, "cmp": "gte", "value": %s}', w, k);
-- Steps such as 'A > B within 5 same p > absent C within 9', 'total', 'breaks X', 'ties order'.
CREATE FUNCTION t.seq(steps text, more text DEFAULT '', w text DEFAULT '[null]') RETURNS text LANGUAGE sql RETURN
  ((SELECT jsonb_build_object('op', 'seq', 'window', w::jsonb, 'steps', jsonb_agg(jsonb_build_object('of', jsonb_build_array(jsonb_build_object('kind', ascii(regexp_replace(s, '^absent ', '')))))
    || CASE WHEN s LIKE 'absent %' THEN '{"absent": true}' ELSE '{}' END::jsonb || CASE WHEN s ~ 'within' THEN jsonb_build_object('within', substring(s, 'within (\d+)')::bigint) ELSE '{}' END
    || CASE WHEN s ~ 'same' THEN jsonb_build_object('same', string_to_array(substring(s, 'same ([a-z,]+)'), ',')) ELSE '{}' END ORDER BY n))
  FROM regexp_split_to_table(steps, ' > ') WITH ORDINALITY x (s, n))
  || CASE WHEN more ~ 'total' THEN jsonb_build_object('total', substring(more, 'total (\d+)')::bigint) ELSE '{}' END
  || CASE WHEN more ~ 'breaks' THEN '{"breaks": [{"kind": 88}]}' ELSE '{}' END::jsonb
  || CASE WHEN more ~ 'order' THEN '{"ties": "order"}' ELSE '{}' END::jsonb)::text;

-- Windows are half-open: [as_of - d, as_of).
SELECT is(t.ask(e, t.count(1, '[100]')), answer, format('at least one in the last 100: %s', e)) FROM (VALUES
  ('A899', 'f'), ('A900', 't 1001'), ('A999', 't 1100'), ('A1000', 'f 1001'), ('A1001', 'f 1002'), ('A4999', 'f 5000'), ('A5000', 'f'), ('A900 A950', 't 1051'), ('A950 A900 A1000', 't 1001')) v (e, answer);
SELECT is(t.ask(e, t.count(2, '[100]')), answer, format('at least two in the last 100: %s', e)) FROM (VALUES
  ('A900 A950', 't 1001'), ('A950 A900 A960', 't 1051'), ('A950 A950', 't 1051'), ('A950', 'f'), ('A900 A901 A902 A903', 't 1003'), ('B950 A950 X950', 'f')) v (e, answer);
SELECT is(t.ask(e, t.count(k, '[500, 100]')), answer, format('at least %s from 500 to 100 before: %s', k, e)) FROM (VALUES
  (1, 'A499', 'f'), (1, 'A500', 't 1001'), (1, 'A899', 't 1400'), (1, 'A900', 'f 1001'), (1, 'A950 A960', 'f 1051'), (2, 'A950 A960', 'f 1061'), (2, 'A899 A960', 'f 1061'), (1, 'A600 A950', 't 1101')) v (k, e, answer);
SELECT is(t.ask('A1 A2 A999', t.count(3, '[null]')), 't', 'without a start nothing leaves');
SELECT is(t.ask('A1 A2', t.count(2, '[null, 900]')), 't', 'before a moment');
SELECT is(t.ask('A2', t.count(1, '[null, 999]')), 'f 1002', 'and what comes before it later');

-- Chains.
SELECT is(t.ask(e, t.seq(s, m)), answer, format('%s %s: %s', s, m, e)) FROM (VALUES
  ('A > B', '', 'A1 B2', 't'), ('A > B', '', 'B1 A2', 'f'), ('A > B', '', 'A5 B5', 'f'), ('A > B', 'order', 'A5 B5', 't'), ('A > B', 'order', 'B5 A5', 'f'), ('A > B', '', 'B5 A5 B6', 't'),
  ('A > A', '', 'A1', 'f'), ('A > A', 'order', 'A1', 'f'), ('A > A', '', 'A1 A1', 'f'), ('A > A', 'order', 'A1 A1', 't'), ('A > A', '', 'A1 A2', 't'), ('A > A > A', '', 'A1 A2', 'f'),
  ('A > B > C', 'order', 'A1 B1 C1', 't'), ('A > B > C', '', 'A1 B2 C2', 'f'), ('A > B > C', '', 'A1 B2 C2 B2 C3', 't'),
  -- The first of several starts is not the one to keep, nor the last one before it is used.
  ('A > B within 5', '', 'A1 A5 B10', 't'), ('A > B within 4', '', 'A1 A5 B10', 'f'), ('A > B within 5', '', 'A5 A10 B10', 't'), ('A > B', 'total 5', 'A1 A5 B10', 't'), ('A > B', 'total 4', 'A5 A10 B10', 'f'),
  ('A > B > C', 'total 4', 'A1 B5 A6 C9', 'f'), ('A > B > C', 'total 8', 'A1 B5 A6 C9', 't'), ('A > B > C', 'total 4', 'A1 A4 B5 C8', 't'), ('A > B > C', 'total 3', 'A1 B2 A10 B11 C12', 't'),
  ('A > B within 4 > C', '', 'A1 B5 C600', 't'), ('A > B within 3 > C', '', 'A1 B5 C600', 'f'), ('A > B > C within 1', '', 'A1 B5 B8 C9', 't'), ('A > B > C within 1', '', 'A1 B5 B9 C9', 'f'),
  ('A > B > C', '', 'A1 B2 A3 C4', 't'), ('A > B > A > B', '', 'A1 B2 A3 B4', 't'), ('A > B > A > B', '', 'A1 B2 B3 A4', 'f'),
  -- What must not come between breaks every chain that is open, and none at its own moment.
  ('A > B', 'breaks', 'A1 X2 B3', 'f'), ('A > B', 'breaks', 'A1 X1 B3', 't'), ('A > B', 'breaks', 'A1 X3 B3', 't'), ('A > B', 'breaks', 'X3 A1 B3', 't'), ('A > B', 'breaks', 'A1 X2 A2 B3', 't'),
  ('A > B', 'breaks', 'A1 X2 A3 B4', 't'), ('A > B > C', 'breaks', 'A1 B2 X3 C4', 'f'), ('A > B > C', 'breaks', 'A1 B2 X2 C4', 't'), ('A > B', 'breaks', 'X0 A1 B2 X3', 't'),
  ('A > B', 'breaks order', 'A1 X1 B3', 'f'), ('A > B', 'breaks order', 'X1 A1 B3', 't'), ('A > B', 'breaks order', 'A1 X3 B3', 'f'), ('A > B', 'breaks order', 'A1 B3 X3', 't'),
  -- Properties in common with the step before.
  ('A > B same p', '', 'A1:{"p":1} A2:{"p":2} B3:{"p":1}', 't'), ('A > B same p', '', 'A1:{"p":1} A2:{"p":2} B3:{"p":3}', 'f'), ('A > B same p', '', 'A1:{"p":1} B3:{"p":1.0}', 't'),
  ('A > B same p', '', 'A1:{"p":1} B3:{"p":"1"}', 'f'), ('A > B same p', '', 'A1:{} B3:{}', 'f'), ('A > B same p', '', 'A1:{"p":null} B3:{"p":null}', 'f'), ('A > B same p', '', 'A1:{"p":[1]} B3:{"p":[1]}', 'f'),
  ('A > B same p', '', 'A1:{"p":true} B3:{"p":true}', 't'), ('A > B same p', '', 'A1:{"p":"long_enough_a"} B3:{"p":"long_enough_b"}', 'f'), ('A > B same p', '', 'A1:{"p":"long_enough_a"} B3:{"p":"long_enough_a"}', 't'),
  ('A > B same p,q', '', 'A1:{"p":1,"q":2} B3:{"p":1,"q":2}', 't'), ('A > B same p,q', '', 'A1:{"p":1,"q":2} B3:{"p":2,"q":1}', 'f'), ('A > B same p,q', '', 'A1:{"p":1} B3:{"p":1}', 'f'),
  ('A > B same p', '', 'A3:{"p":1} B3:{"p":1}', 'f'), ('A > B same p', 'order', 'A3:{"p":1} B3:{"p":1}', 't'), ('A > B same p', 'total 2', 'A1:{"p":1} A3:{"p":1} B3:{"p":1}', 't'),
  -- The latest start and the latest end belong to different chains.
  ('A > B same p > C within 1 same q', 'total 6', 'A1:{"p":1} A4:{"p":2} B5:{"p":2,"q":9} B6:{"p":1,"q":9} C7:{"q":9}', 't'),
  ('A > B same p > C within 1 same q', 'total 5', 'A1:{"p":1} A4:{"p":2} B5:{"p":2,"q":9} B6:{"p":1,"q":9} C7:{"q":9}', 'f'),
  ('A > B same p > C within 2 same q', 'total 3', 'A1:{"p":1} A4:{"p":2} B5:{"p":2,"q":9} B6:{"p":1,"q":9} C7:{"q":9}', 't')) v (s, m, e, answer);
-- The window is that of the first step; the chain with the latest start tells when it is over.
SELECT is(t.ask(e, t.seq('A > B', '', w)), answer, format('A > B in %s: %s', w, e)) FROM (VALUES
  ('[20]', 'A979 B990', 'f'), ('[20]', 'A980 B990', 't 1001'), ('[20]', 'A980 B990 A985 B986', 't 1006'), ('[20]', 'A985 B1000', 'f 1001'), ('[50, 10]', 'A989 B995', 't 1040'), ('[50, 10]', 'A990 B995', 'f 1001')) v (w, e, answer);
-- An absence waits for its time and is true exactly then.
SELECT is(t.ask(e, t.seq(s, m, '[50]'), as_of), answer, format('%s %s at %s: %s', s, m, as_of, e)) FROM (VALUES
  ('A > absent B within 10', '', 'A1', 10, 'f 11'), ('A > absent B within 10', '', 'A1', 11, 't 52'), ('A > absent B within 10', '', 'A1 B11', 11, 't 12'), ('A > absent B within 10', '', 'A1 B11', 12, 'f'),
  ('A > absent B within 10', '', 'A1 B12', 13, 't 52'), ('A > absent B within 10', '', 'A1 B5 A6', 15, 'f 16'), ('A > absent B within 10', '', 'A1 B5 A6', 16, 't 57'), ('A > absent B within 10', '', 'A1 B1', 20, 't 52'),
  ('A > absent B within 10', 'order', 'A1 B1', 20, 'f'), ('A > absent B within 10', 'order', 'B1 A1', 20, 't 52'), ('A > absent B within 10', '', 'A1 A9 B15', 30, 't 52'), ('A > absent B within 10', '', 'A1 A9 B11', 30, 'f'),
  ('A > absent B within 10 same p', '', 'A1:{"p":1} B3:{"p":2}', 11, 't 52'), ('A > absent B within 10 same p', '', 'A1:{"p":1} B3:{"p":1}', 11, 'f'), ('A > absent B within 10 same p', '', 'A1 B3', 11, 't 52'),
  ('A > B > absent C within 5', 'total 3 breaks', 'A1 B4 X5', 9, 't 52'), ('A > B > absent C within 5', 'total 2', 'A1 B4', 9, 'f')) v (s, m, e, as_of, answer);

-- Numbers are exact, whatever their digits; days are those of the zone.
CREATE FUNCTION t.number(op text, cmp text, k text) RETURNS text LANGUAGE sql RETURN format('{"op": "%s", "prop": "n", "of": [{"kind": 65}], "window": [null], "cmp": "%s", "value": %s}', op, cmp, k);
SELECT is(t.ask(e, t.number(op, cmp, k)), answer, format('%s %s %s: %s', op, cmp, k, e)) FROM (VALUES
  ('sum', 'eq', '0.3', 'A1:{"n":0.1} A2:{"n":0.2}', 't'), ('sum', 'eq', '1', 'A1:{"n":1e20} A2:{"n":-1e20} A3:{"n":1}', 't'), ('sum', 'lt', '5', 'B1', 't'), ('sum', 'gt', '0', 'A1:{"n":0.0000001}', 't'),
  ('avg', 'gt', '0.3333333333333333', 'A1:{"n":1} A2:{"n":0} A3:{"n":0}', 't'), ('avg', 'lt', '0.3333333333333334', 'A1:{"n":1} A2:{"n":0} A3:{"n":0}', 't'), ('avg', 'eq', '0.5', 'A1:{"n":1} A2:{"n":0} A3:{"n":"7"}', 't'),
  ('avg', 'gte', '0', 'A1:{"n":"1"}', 'u'), ('min', 'eq', '-1e30', 'A1:{"n":-1e30} A2:{"n":3}', 't'), ('max', 'eq', '3', 'A1:{"n":-1e30} A2:{"n":3}', 't'), ('max', 'lte', '9999999999999', 'A1:{"n":9199999999999.999999} A2:{"n":8999999999999.9999991}', 't'),
  ('max', 'lt', '0', 'A1:{"n":null}', 'u'), ('min', 'gt', '0.0000005', 'A1:{"n":0.0000006}', 't')) v (op, cmp, k, e, answer);
SELECT is(t.ask(e, '{"op": "distinct", "prop": "n", "of": [{"kind": 65}], "window": [null], "cmp": "gte", "value": 3}'), answer, format('three distinct: %s', e)) FROM (VALUES
  ('A1:{"n":1} A2:{"n":1.0} A3:{"n":"1"} A4:{"n":null} A5:{"n":[1]}', 'f'), ('A1:{"n":1} A2:{"n":"1"} A3:{"n":true}', 't')) v (e, answer);
SELECT is(t.ask(e, format('{"op": "%s", "prop": "n", "of": [{"kind": 65}], "window": [100], "cmp": "eq", "value": 1}', op)), answer, format('%s value: %s', op, e)) FROM (VALUES
  ('first', 'A950:{"n":1} A960:{"n":2}', 't 1051'), ('last', 'A950:{"n":1} A960:{"n":2}', 'f 1061'), ('first', 'A950:{"n":2} A950:{"n":1}', 'f 1051'), ('last', 'A950:{"n":2} A950:{"n":1}', 't 1051'),
  ('first', 'A940:{"n":[1]} A950:{"n":null} A960:{"n":1}', 't 1061'), ('last', 'A950:{"n":1} A960:{"n":"1"}', 'u 1061'), ('last', 'A950', 'u')) v (op, e, answer);
SELECT is(t.ask(e, '{"op": "gap", "gap": 60, "of": [{"kind": 65}], "window": [100]}'), answer, format('back after 60: %s', e)) FROM (VALUES
  ('A950', 'f'), ('A890 A950', 't 1051'), ('A891 A950', 'f'), ('A830 A890', 'f'), ('A1 A950 A950', 't 1051'), ('A1 A910 A980', 't 1081')) v (e, answer);

CREATE FUNCTION t.days(zone text, VARIADIC at timestamptz[]) RETURNS int LANGUAGE sql RETURN (SELECT max(k) FROM (SELECT k, (SELECT cdp_internal.segment_explain_pass(1, a, 65, NULL, NULL, NULL, NULL, NULL, NULL,
    jsonb_build_object('v', 1, 'as_of', 900000000000000, 'kinds', '[65]'::jsonb, 'events', jsonb_build_array(jsonb_build_object('op', 'days', 'tz', zone, 'of', '[{"kind": 65}]'::jsonb, 'window', '{"to": 900000000000000}'::jsonb, 'cmp', 'gte', 'value', k))), NULL)
  FROM unnest(at) a)->0->'result' AS yes FROM generate_series(1, 6) k) x WHERE yes = 'true');
SELECT is(t.days('Asia/Shanghai', '2026-01-01 15:59:59.999999Z', '2026-01-01 16:00Z'), 2, 'a day begins at local midnight');
SELECT is(t.days('UTC', '2026-01-01 15:59:59.999999Z', '2026-01-01 16:00Z', '1999-12-31 23:59:59.999999Z', '2000-01-01Z'), 3, 'also before the year 2000');
SELECT is(t.days('America/St_Johns', '2006-10-29 02:00Z', '2006-10-29 02:30:30Z', '2006-10-29 03:00Z', '2006-10-29 04:00Z'), 2, 'clocks put back over midnight make no new days');
SELECT is(t.days('Europe/Berlin', '2026-03-28 22:59Z', '2026-03-28 23:00Z', '2026-03-29 21:59Z', '2026-03-29 22:00Z'), 3, 'a day of 23 hours');

SELECT * FROM finish();
ROLLBACK;
