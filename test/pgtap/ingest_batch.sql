-- Batches of customers and events: what is read how, what comes again, what is refused, and that any order of reverts
-- and retries leaves the customers that the loads in force alone would have made.
SELECT plan(32);
SELECT cdp.add_source('crm', 'Asia/Shanghai'), cdp.add_source('web', 'Asia/Shanghai'), cdp.add_source('app');

-- Customers by the names of the columns
CREATE TEMP TABLE people (source_key text, email text, phone text, user_id text, observed_at text, shoe_size text);
INSERT INTO people VALUES
  ('1', 'Anna@Example.org', '+8613812345678', 'u1', '2026-01-02 10:00', 'x'),
  ('2', 'bob@example.org', NULL, NULL, NULL, NULL),
  ('3', 'anna@example.org', NULL, 'u3', NULL, NULL),
  ('4', NULL, 'null', '', NULL, NULL),
  ('5', 'eve@example.org', NULL, NULL, 'soon', NULL),
  ('6', 'eve@example.org', NULL, NULL, '1950-01-01', NULL),
  ('7', 'fay@example.org', 'not one', NULL, NULL, NULL),
  ('2', 'bob@example.org', '+8613812345679', NULL, NULL, NULL);
CREATE TEMP TABLE told AS SELECT * FROM cdp.load_customers('crm', 'people');
SELECT is((SELECT (rows_read, inserted, corrected, unchanged, quarantined, identifiers, links, links_rejected)::text FROM told), '(8,4,0,0,4,7,5,1)', 'counts of a first load');
SELECT results_eq('SELECT row_no, code FROM cdp_data.quarantine ORDER BY 1',
  $$VALUES (2::bigint, 'superseded'), (4, 'no_identifier'), (5, 'bad_time'), (6, 'absurd_time')$$, 'bad rows are in quarantine');
SELECT is((SELECT original ->> 'phone' FROM cdp_data.quarantine WHERE row_no = 4), 'null', 'as they came');
SELECT is(cdp.customer_of('email', 'ANNA@example.org'), cdp.customer_of('user_id', 'u1'), 'a record makes one customer');
SELECT isnt(cdp.customer_of('user_id', 'u3'), cdp.customer_of('user_id', 'u1'), 'a limit of a type holds');
SELECT is((SELECT first_seen FROM cdp_data.identifier WHERE value = 'u1'), '2026-01-02 10:00+08', 'times are in the zone of the source');
SELECT is((SELECT count(*) FROM cdp_data.identifier i LEFT JOIN cdp_data.customer c USING (customer_id) WHERE c.customer_id IS NULL), 0::bigint, 'every identifier has a home');
SELECT is((SELECT (filled, valid, distinct_values)::text FROM cdp_data.source_quality WHERE field = 'phone'), '(4,2,2)', 'quality is counted');
TRUNCATE told; INSERT INTO told SELECT * FROM cdp.load_customers('crm', 'people');
SELECT is((SELECT (rows_read, inserted, corrected, unchanged, quarantined)::text FROM told), '(8,0,0,4,4)', 'the same again is unchanged');
SELECT is((SELECT count(*) FROM cdp_data.merge_log), 0::bigint, 'and merged nobody');
UPDATE people SET phone = '+8613812345670' WHERE source_key = '1';
TRUNCATE told; INSERT INTO told SELECT * FROM cdp.load_customers('crm', 'people');
SELECT is((SELECT (inserted, corrected, unchanged)::text FROM told), '(0,1,3)', 'a changed record is told');
SELECT is((SELECT count(DISTINCT cdp_internal.identifier_root(identifier_id)) FROM cdp_data.identifier WHERE value IN ('u1', '+8613812345678', '+8613812345670')), 1::bigint, 'both numbers are hers');
SELECT cdp.revert_load(load_id) FROM cdp_data.load WHERE kind = 'customers';
SELECT is((SELECT count(*) FROM cdp_data.customer WHERE parent_id <> customer_id), 0::bigint, 'without its loads nobody is merged');
SELECT is((SELECT count(*) FROM cdp_data.link WHERE state = 'active'), 0::bigint, 'and no link is in force');
TRUNCATE told; INSERT INTO told SELECT * FROM cdp.load_customers('crm', 'people');
SELECT is((SELECT (inserted, corrected, unchanged)::text FROM told), '(4,0,0)', 'what was reverted is new when it comes again');
CREATE TEMP TABLE versions AS SELECT * FROM (VALUES ('v', 'v1', '2026-03-02', 'new'), ('v', 'v1', '2026-03-01', 'old'), ('w', 'w1', '2026-03-01', 'first'), ('w', 'w1', '2026-03-01', 'last')) x (source_key, user_id, observed_at, city);
SELECT is((SELECT (inserted, unchanged, quarantined)::text FROM cdp.load_customers('crm', 'versions')), '(2,0,2)', 'two versions of two records');
SELECT is((SELECT string_agg(v.value, ' ' ORDER BY v.value) FROM cdp_data.attribute_value_now v WHERE v.value IN ('new', 'old', 'first', 'last')), 'last new', 'the latest counts, of one time the last');
SELECT is((SELECT string_agg(q.original ->> 'city', ' ' ORDER BY q.row_no) FROM cdp_data.quarantine q WHERE q.code = 'superseded' AND q.original ->> 'source_key' IN ('v', 'w')), 'old first', 'the others are in quarantine');
SELECT throws_ok($$SELECT * FROM cdp.load_customers('crm', 'told')$$, '42703', 'no column of told is an identifier', 'a table without identifiers');
SELECT throws_ok($$SELECT * FROM cdp.load_customers('crn', 'people')$$, '22023', 'unknown source "crn"', 'an unknown source');

-- Events: several identifiers a row, carried by the strongest
CREATE TEMP TABLE happened (source_key text, occurred_at text, cookie text, user_id text, email text, kind text, value text, source text, properties text, refers_to text);
INSERT INTO happened VALUES
  ('e1', '2026-01-02 10:00', 'c1', NULL, NULL, 'visit', NULL, 'baidu', '{"page": 1}', NULL),
  ('e2', '2026-01-03 10:00', 'c1', 'w1', NULL, 'purchase', '12.5', NULL, NULL, NULL),
  ('e3', '2026-01-04', 'c2', 'w1', 'w@example.org', 'refund', '-12.5', NULL, NULL, 'e2'),
  ('e4', 'bad', 'c3', 'w3', NULL, 'visit', NULL, NULL, NULL, NULL),
  ('e5', '2026-01-04', NULL, NULL, NULL, 'visit', NULL, NULL, NULL, NULL),
  ('e6', '2026-01-04', 'c9', NULL, NULL, 'wisit', NULL, NULL, NULL, NULL),
  ('e7', '2026-01-04', 'c9', NULL, NULL, 'visit', NULL, NULL, '{', NULL);
CREATE TEMP TABLE event_told AS SELECT * FROM cdp.load_events('web', 'happened');
SELECT is((SELECT (rows_read, inserted, corrected, unchanged, quarantined, orphaned, identifiers, links)::text FROM event_told), '(7,3,0,0,4,0,4,4)', 'counts of a first load of events');
SELECT is((SELECT string_agg(q.row_no || ' ' || q.code || ' ' || (q.original ->> 'source_key'), ', ' ORDER BY q.row_no) FROM cdp_data.quarantine q JOIN event_told USING (load_id)),
  '4 bad_time e4, 5 no_identifier e5, 6 unknown_kind e6, 7 bad_properties e7', 'bad rows are in quarantine with the number they came with');
SELECT is((SELECT string_agg(i.value, ' ' ORDER BY t.occurred_at) FROM cdp_data.touchpoint t JOIN cdp_data.identifier i USING (identifier_id, customer_id)), 'c1 w1 w1', 'the strongest carries');
SELECT is((SELECT count(*) FROM cdp_data.identifier WHERE value IN ('c3', 'w3', 'c9')), 0::bigint, 'refused rows make nobody');
SELECT is(cdp.customer_of('cookie', 'c1'), cdp.customer_of('cookie', 'c2'), 'both browsers are one person');
SELECT is((SELECT (inserted, unchanged, quarantined)::text FROM cdp.load_events('web', 'happened')), '(0,3,4)', 'the same again is unchanged');
SELECT is((SELECT count(*) FROM cdp.track('web', 'purchase', '{"user_id": "w1"}', value => 12.5, message_id => 'e2') WHERE status = 'repeated'), 1::bigint, 'a call knows the records of loads');

-- An erased person
INSERT INTO cdp_data.suppression (digest) SELECT cdp_internal.suppression_digest(2::smallint, 'fay@example.org');
CREATE TEMP TABLE gone AS SELECT 'g1' AS source_key, 'fay@example.org' AS email, 'cookie-of-fay' AS cookie, '2026-01-04' AS occurred_at, 'visit' AS kind;
SELECT is((SELECT string_agg(q.code || q.original, ' ') FROM (SELECT load_id FROM cdp.load_customers('app', 'gone') UNION ALL SELECT load_id FROM cdp.load_events('app', 'gone')) l
  JOIN cdp_data.quarantine q USING (load_id)), NULL, 'two loads of an erased person');
SELECT is((SELECT string_agg(q.code || q.original, ' ') FROM cdp_data.quarantine q JOIN cdp_data.source s USING (source_id) WHERE s.name = 'app'), 'suppressed{} suppressed{}', 'of whom nothing is kept');
SELECT is((SELECT count(*) FROM cdp_data.identifier WHERE value = 'cookie-of-fay'), 0::bigint, 'nor of the cookie beside the address');

-- Any order of loads, calls, reverts and retries. The twin: components over the records of the loads in force.
CREATE TEMP TABLE said (load_id bigint, ids text[]);
CREATE FUNCTION pg_temp.differences() RETURNS bigint LANGUAGE sql AS $$
  WITH RECURSIVE edge (a, b) AS (
    SELECT x, y FROM said s JOIN cdp_data.load l USING (load_id) CROSS JOIN LATERAL unnest(s.ids) x CROSS JOIN LATERAL unnest(s.ids) y WHERE l.state = 'done'
  ), reach (a, b) AS (
    SELECT v, v FROM (SELECT DISTINCT unnest(ids) AS v FROM said) v UNION SELECT r.a, e.b FROM reach r JOIN edge e ON e.a = r.b
  ), expected AS (SELECT a, min(b) AS part FROM reach GROUP BY a
  ), found AS (
    SELECT i.value AS a, cdp_internal.identifier_root(i.identifier_id) AS root FROM cdp_data.identifier i WHERE i.value ~ '^z[0-9.]+$')
  SELECT (SELECT count(*) FROM (SELECT e.part FROM expected e JOIN found f USING (a) GROUP BY e.part HAVING count(DISTINCT f.root) > 1) p)
    + (SELECT count(*) FROM (SELECT f.root FROM expected e JOIN found f USING (a) GROUP BY f.root HAVING count(DISTINCT e.part) > 1) r)
    + (SELECT count(*) FROM expected) - (SELECT count(*) FROM found)
$$;
CREATE PROCEDURE pg_temp.round(seed integer, steps integer, INOUT bad text) LANGUAGE plpgsql AS $$
DECLARE
  h bigint;
  l bigint;
  k text;
BEGIN
  FOR step IN 1 .. steps LOOP
    h := abs(hashint8extended(seed * 1000 + step, 5)) % 1000000;
    l := NULL;
    IF h % 3 > 0 AND step > 3 THEN
      SELECT x.load_id INTO l FROM cdp_data.load x WHERE x.kind IN ('customers', 'events', 'calls') AND x.load_id IN (SELECT s.load_id FROM said s)
        AND x.state = CASE WHEN h % 3 = 1 THEN 'done' ELSE 'reverted' END ORDER BY hashint8extended(x.load_id, h) LIMIT 1;
    END IF;
    IF l IS NOT NULL AND h % 3 = 1 THEN
      PERFORM cdp.revert_load(l);
      k := 'revert ' || l;
    ELSIF l IS NOT NULL THEN
      PERFORM cdp.retry_load(l);
      k := 'retry ' || l;
    ELSE
      DROP TABLE IF EXISTS few;
      CREATE TEMP TABLE few AS
      SELECT 'r' || n || '-' || seed AS source_key, 'z' || seed || '.' || abs(hashint8extended(n, h)) % 14 AS cookie, 'z' || seed || '.' || 20 + abs(hashint8extended(n, h + 1)) % 9 AS order_id,
        CASE WHEN hashint8extended(n, h + 2) % 2 = 0 THEN 'z' || seed || '.' || 40 + abs(hashint8extended(n, h + 3)) % 9 END AS anonymous_id,
        '2026-01-0' || 1 + abs(hashint8extended(n, h + 4)) % 9 AS occurred_at, 'visit' AS kind
      FROM generate_series(1, 1 + h % 3) n;
      k := (ARRAY['load_customers', 'load_events', 'calls'])[1 + h / 3 % 3];
      IF k = 'calls' THEN
        PERFORM cdp.track('app', 'visit', jsonb_strip_nulls(jsonb_build_object('cookie', cookie, 'order_id', order_id, 'anonymous_id', anonymous_id)), occurred_at => occurred_at::timestamptz) FROM few;
        SELECT min(load_id) INTO l FROM cdp_data.load WHERE kind = 'calls' AND state = 'done' AND source_id = (SELECT source_id FROM cdp_data.source WHERE name = 'app');
      ELSE
        EXECUTE format('SELECT load_id FROM cdp.%I(%L, %L)', k, CASE WHEN h % 2 = 0 THEN 'crm' ELSE 'web' END, 'few') INTO l;
      END IF;
      k := k || ' ' || l;
      INSERT INTO said SELECT l, array_remove(ARRAY[cookie, order_id, anonymous_id], NULL) FROM few;
    END IF;
    COMMIT;
    IF pg_temp.differences() <> 0 THEN
      bad := concat_ws('; ', bad, format('seed %s step %s: %s', seed, step, k));
      RETURN;
    END IF;
  END LOOP;
END
$$;
CREATE TEMP TABLE outcome (bad text);
CREATE PROCEDURE pg_temp.rounds() LANGUAGE plpgsql AS $$
DECLARE
  bad text;
BEGIN
  FOR seed IN 1 .. 4 LOOP
    CALL pg_temp.round(seed, 20, bad);
  END LOOP;
  INSERT INTO outcome VALUES (bad);
END
$$;
CALL pg_temp.rounds();
SELECT is((SELECT bad FROM outcome), NULL, 'customers are those of the loads in force after every step');
SELECT ok((SELECT count(*) FROM cdp_data.load WHERE state = 'reverted') > 3 AND (SELECT count(*) FROM cdp_data.merge_log WHERE kind = 'split') > 5, 'and the steps did something');
SELECT * FROM finish();
