-- The life of a referral programme, made up and seeded: ordinary friends, families, offices and halls of students behind one
-- address, and beside them people who refer themselves, rings, leaked codes, flooded and injected clicks, and referrers whose
-- referees give everything back. Every referral is scored with the built-in weights and thresholds; the matrix says what was
-- decided for each sort, the offices first. Nothing was fitted to it: the shapes are what vendors and papers describe.
\set QUIET on
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'UTC', currency => 'EUR');
SET jit = off;
\i test/pgtap/referral_fraud.inc
SELECT setseed(0.7) \g /dev/null
CREATE TABLE life (referral_id bigint, sort text, fraud boolean);
-- A person who was a customer before, with what he was seen by.
CREATE FUNCTION pg_temp.known(o jsonb, at timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  id bigint := pg_temp.person();
BEGIN
  PERFORM pg_temp.conversion(id, at, o);
  RETURN id;
END $$;
-- What is his alone, with what he shares.
CREATE FUNCTION pg_temp.own(shares jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT jsonb_build_object('ip', 'ip' || k, 'net', 'net' || k, 'agent', 'agent' || floor(random() * 12), 'device', 'd' || k, 'payment', 'p' || k, 'address', 'a' || k,
    'host', 'chat.example', 'asn', 1 + floor(random() * 6), 'country', 'DE') || shares FROM (SELECT nextval('pg_temp.key')) s (k) $$;
-- A moment of the campaign, and how many seconds a person takes from click to purchase: three quarters within the hour.
CREATE FUNCTION pg_temp.moment() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT '2026-02-10'::timestamptz + random() * interval '45 days' $$;
CREATE FUNCTION pg_temp.wait() RETURNS float8 LANGUAGE sql VOLATILE AS $$ SELECT 90 + CASE WHEN random() < 0.75 THEN random() * 3500 WHEN random() < 0.76 THEN random() * 82800 ELSE random() * 6 * 86400 END $$;
CREATE PROCEDURE pg_temp.live(sort text, fraud boolean, referrer bigint, referee bigint, at timestamptz, o jsonb) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO life VALUES (pg_temp.refer(referrer, referee, at, jsonb_build_object('seconds', pg_temp.wait()) || o), sort, fraud);
END $$;

DO $$
DECLARE
  referrer bigint;
  members bigint[];
  shares jsonb;
  c bigint;
  at timestamptz;
BEGIN
  -- Friends: one to three referrals each; some of them come back to buy.
  FOR i IN 1 .. 700 LOOP
    referrer := pg_temp.known(pg_temp.own(), '2026-01-20');
    FOR k IN 1 .. 1 + floor(random() * 3)::int LOOP
      CALL pg_temp.live('friends', false, referrer, pg_temp.person(), pg_temp.moment(), pg_temp.own());
    END LOOP;
  END LOOP;
  -- Families: one address and network, own devices and cards.
  FOR i IN 1 .. 120 LOOP
    shares := jsonb_build_object('ip', 'home' || i, 'net', 'home' || i, 'address', 'home' || i);
    CALL pg_temp.live('family', false, pg_temp.known(pg_temp.own(shares), '2026-01-20'), pg_temp.person(), pg_temp.moment(), pg_temp.own(shares));
  END LOOP;
  -- Offices: forty people behind one address, most with the browser of the house; who refers whom is by chance, and some within a day.
  FOR i IN 1 .. 12 LOOP
    shares := jsonb_build_object('ip', 'office' || i, 'net', 'office' || i);
    members := ARRAY(SELECT pg_temp.known(pg_temp.own(shares || CASE WHEN random() < 0.7 THEN jsonb '{"agent": "house"}' ELSE '{}' END), '2026-01-01'::timestamptz + random() * interval '50 days') FROM generate_series(1, 20));
    FOR k IN 1 .. 20 LOOP
      CALL pg_temp.live('office', false, members[1 + floor(random() * 20)::int], pg_temp.person(), pg_temp.moment(), pg_temp.own(shares || CASE WHEN random() < 0.7 THEN jsonb '{"agent": "house"}' ELSE '{}' END));
    END LOOP;
  END LOOP;
  -- The same, and whoever refers was there an hour or more before, on the same day.
  FOR i IN 1 .. 12 LOOP
    FOR k IN 1 .. 10 LOOP
      shares := jsonb_build_object('ip', 'office' || i, 'net', 'office' || i) || CASE WHEN random() < 0.7 THEN jsonb '{"agent": "house"}' ELSE '{}' END;
      at := pg_temp.moment();
      CALL pg_temp.live('office, same day', false, pg_temp.known(pg_temp.own(shares), at - interval '1 hour' - random() * interval '8 hours'), pg_temp.person(), at,
        pg_temp.own(jsonb_build_object('ip', 'office' || i, 'net', 'office' || i) || CASE WHEN random() < 0.7 THEN jsonb '{"agent": "house"}' ELSE '{}' END));
    END LOOP;
  END LOOP;
  -- Students: two hundred in a hall, a wave within two days.
  FOR i IN 1 .. 3 LOOP
    shares := jsonb_build_object('ip', 'hall' || i, 'net', 'hall' || i);
    members := ARRAY(SELECT pg_temp.known(pg_temp.own(shares), '2026-02-01'::timestamptz + random() * interval '10 days') FROM generate_series(1, 120));
    at := pg_temp.moment();
    FOR k IN 1 .. 80 LOOP
      CALL pg_temp.live('students', false, members[1 + floor(random() * 120)::int], pg_temp.person(), at + random() * interval '2 days', pg_temp.own(shares));
    END LOOP;
  END LOOP;
  -- People who refer themselves: another address of mail; device or card the same, often both, at home.
  FOR i IN 1 .. 150 LOOP
    shares := jsonb_build_object('ip', 'self' || i, 'net', 'self' || i) || CASE WHEN i % 3 < 2 THEN jsonb_build_object('device', 'self' || i) ELSE '{}' END || CASE WHEN i % 3 > 0 THEN jsonb_build_object('payment', 'self' || i) ELSE '{}' END;
    CALL pg_temp.live('self', true, pg_temp.known(pg_temp.own(shares), '2026-02-01'), pg_temp.person(), pg_temp.moment(), pg_temp.own(shares));
  END LOOP;
  -- Rings: eight to fifteen accounts of one hand, three devices and two cards among them, each refers the next, the last the first.
  FOR i IN 1 .. 25 LOOP
    members := ARRAY(SELECT pg_temp.person() FROM generate_series(1, 8 + floor(random() * 8)::int));
    at := pg_temp.moment();
    FOR k IN 1 .. cardinality(members) LOOP
      CALL pg_temp.live('ring', true, members[k], members[k % cardinality(members) + 1], at + k * interval '3 hours',
        pg_temp.own(jsonb_build_object('device', format('ring %s %s', i, floor(random() * 3)), 'payment', format('ring %s %s', i, floor(random() * 2)))));
    END LOOP;
  END LOOP;
  -- Leaked codes: on sites of coupons, strangers from everywhere.
  FOR i IN 1 .. 4 LOOP
    referrer := pg_temp.known(pg_temp.own(), '2026-01-20');
    at := pg_temp.moment();
    FOR k IN 1 .. 40 LOOP
      CALL pg_temp.live('leak', true, referrer, pg_temp.person(), at + random() * interval '3 days', pg_temp.own(jsonb_build_object('host', 'www.retailmenot.com', 'asn', 100 + k)));
    END LOOP;
  END LOOP;
  -- Injected clicks: seconds before the purchase. Floods: clicks for everybody, so that purchases follow at any time.
  FOR i IN 1 .. 6 LOOP
    referrer := pg_temp.known(pg_temp.own(), '2026-01-20');
    FOR k IN 1 .. 25 LOOP
      CALL pg_temp.live('injected clicks', true, referrer, pg_temp.person(), pg_temp.moment(), pg_temp.own(jsonb_build_object('seconds', 2 + random() * 6)));
    END LOOP;
    referrer := pg_temp.known(pg_temp.own(), '2026-01-20');
    FOR k IN 1 .. 25 LOOP
      CALL pg_temp.live('click flood', true, referrer, pg_temp.person(), pg_temp.moment(), pg_temp.own(jsonb_build_object('seconds', random() * 25 * 86400)));
    END LOOP;
    FOR k IN 1 .. 1500 LOOP PERFORM pg_temp.click(referrer, NULL, pg_temp.moment(), pg_temp.own()); END LOOP;
  END LOOP;
  -- Refunds: five referees each, four of whom give everything back within days.
  FOR i IN 1 .. 20 LOOP
    referrer := pg_temp.known(pg_temp.own(), '2026-01-20');
    FOR k IN 1 .. 5 LOOP
      at := pg_temp.moment();
      CALL pg_temp.live('refunds', true, referrer, pg_temp.person(), at, pg_temp.own());
      IF k < 5 THEN
        SELECT r.first_conversion_id INTO c FROM cdp_data.referral r ORDER BY r.referral_id DESC LIMIT 1;
        INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT source_id, 'r' || c, c, at + interval '5 days', 4000, (SELECT v.customer_id FROM cdp_data.referral_conversion v WHERE v.referral_conversion_id = c) FROM cdp_data.source WHERE name = 'fraud test';
      END IF;
    END LOOP;
  END LOOP;
END $$;
ANALYZE;
SELECT cdp.find_fraud_rings('2026-04-15') \g /dev/null
CREATE TABLE judged AS
SELECT l.sort, l.fraud, (j.d).decision, (j.d).score, j.referral_id, ARRAY(SELECT x ->> 'code' FROM jsonb_array_elements((j.d).reasons) x) AS codes
FROM cdp_internal.referral_judge((SELECT array_agg(l.referral_id ORDER BY l.referral_id) FROM life l), '2026-04-15') j JOIN life l USING (referral_id);

CREATE TABLE matrix AS
SELECT sort, fraud, count(*) AS n, count(*) FILTER (WHERE decision = 'approve') AS approve, count(*) FILTER (WHERE decision = 'review') AS review,
  count(*) FILTER (WHERE decision IN ('reject', 'ineligible')) AS reject
FROM judged GROUP BY sort, fraud;
SELECT format('  %-18s%-8s%5s referrals: %5s approved %5s to review %5s rejected', sort, CASE WHEN fraud THEN 'fraud' ELSE 'honest' END, n, approve, review, reject)
FROM matrix ORDER BY sort NOT LIKE 'office%', fraud, sort COLLATE "C";
SELECT format('  reasons of %s: %s', sort, string_agg(format('%s %s', code, n), ', ' ORDER BY n DESC, code))
FROM (SELECT sort, code, count(*) AS n FROM judged, unnest(codes) AS code GROUP BY sort, code) x GROUP BY sort ORDER BY sort NOT LIKE 'office%', sort COLLATE "C";
SELECT format('%-6s%s: %s of %s, %s %% %s %s %%', CASE WHEN CASE op WHEN '<=' THEN 100.0 * hits <= goal * n ELSE 100.0 * hits >= goal * n END THEN 'ok' ELSE 'BELOW' END,
  name, hits, n, round(100.0 * hits / n, 1), op, goal)
FROM (
  SELECT 1 AS i, 'false positives of offices (review or rejection)' AS name, sum(review + reject) AS hits, sum(n) AS n, '<=' AS op, 5.0 AS goal FROM matrix WHERE sort LIKE 'office%'
  UNION ALL SELECT 2, 'honest referrals that were rejected', sum(reject), sum(n), '<=', 0.1 FROM matrix WHERE NOT fraud
  UNION ALL SELECT 3, 'honest referrals sent to review', sum(review), sum(n), '<=', 8.0 FROM matrix WHERE NOT fraud
  UNION ALL SELECT 4, 'frauds rejected or sent to review', sum(review + reject), sum(n), '>=', 90.0 FROM matrix WHERE fraud
  UNION ALL SELECT 5, 'rings rejected or sent to review', sum(review + reject), sum(n), '>=', 95.0 FROM matrix WHERE sort = 'ring') g ORDER BY i;
