-- The life of a referral programme, made up and seeded (variable seed, above 0 and below 1): honest people as they are (friends,
-- families with one tablet or one card, offices and halls of students behind one address, travellers, writers of newsletters, orders
-- that go back), and attackers, plain ones and ones who know the rules: slow, few on a network, cards and devices of their own.
-- Every referral is scored with the built-in weights and thresholds by what was known at its attribution, and once more at the end of
-- its hold, as the product does; rings and norms are looked for every night. Nothing was fitted to it. Prints a line for each sort:
-- seed|sort|honest or fraud|referrals|approved, review, rejected at attribution|the same at the end of the hold, and a line for each reason.
\set QUIET on
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'UTC', currency => 'EUR');
SET jit = off;
\o /dev/null
\i test/pgtap/referral_fraud.inc
SELECT setseed(:seed);
CREATE TABLE life (referral_id bigint PRIMARY KEY, sort text, fraud boolean, at timestamptz);
-- What is a person's alone, with what he shares: home is his address of network and delivery.
CREATE FUNCTION pg_temp.own(shares jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT jsonb_build_object('ip', 'ip' || k, 'net', 'net' || k, 'agent', 'agent' || floor(random() * 12), 'device', 'd' || k, 'payment', 'p' || k, 'address', 'a' || k,
    'host', 'chat.example', 'asn', 1 + floor(random() * 6), 'country', 'DE') || shares FROM (SELECT nextval('pg_temp.key')) s (k) $$;
-- Networks that he does not have to himself: of a carrier (hundreds of people behind an address), of hotels and cafes in some country.
CREATE FUNCTION pg_temp.carrier() RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT jsonb_build_object('ip', 'carrier' || n, 'net', 'carrier' || n / 4, 'asn', 20 + n % 3) FROM (SELECT floor(random() * 12)::int) x (n) $$;
CREATE FUNCTION pg_temp.abroad() RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT jsonb_build_object('ip', 'hotel' || n, 'net', 'hotel' || n, 'asn', 30 + n, 'country', (ARRAY['FR', 'ES', 'IT', 'AT', 'NL', 'US'])[1 + n % 6]) FROM (SELECT floor(random() * 40)::int) x (n) $$;
CREATE FUNCTION pg_temp.moment() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT '2026-02-10'::timestamptz + random() * interval '45 days' $$;
-- How many seconds a person takes from click to purchase: three quarters within the hour, nearly all within the day.
CREATE FUNCTION pg_temp.wait() RETURNS float8 LANGUAGE sql VOLATILE AS $$ SELECT 90 + CASE WHEN x < 0.75 THEN random() * 3500 WHEN x < 0.94 THEN random() * 82800 ELSE random() * 6 * 86400 END FROM (SELECT random()) r (x) $$;
-- A person who was a customer before, with what he was seen by.
CREATE FUNCTION pg_temp.known(o jsonb, at timestamptz DEFAULT '2026-01-20', email text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  id bigint := pg_temp.person(email);
BEGIN
  PERFORM pg_temp.conversion(id, at, o);
  RETURN id;
END $$;
CREATE FUNCTION pg_temp.give_back(referral bigint, at timestamptz) RETURNS void LANGUAGE sql AS $$
  INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id)
  SELECT v.source_id, 'r' || v.referral_conversion_id, v.referral_conversion_id, at, 4000, v.customer_id FROM cdp_data.referral r JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = r.first_conversion_id WHERE r.referral_id = referral $$;
-- One referral. Honest people buy again within two weeks in half of the cases, and send one order in ten back; two strangers looked at the link, too.
CREATE FUNCTION pg_temp.live(sort text, fraud boolean, referrer bigint, at timestamptz, o jsonb, email text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  referee bigint := pg_temp.person(email);
  id bigint := pg_temp.refer(referrer, referee, at, jsonb_build_object('seconds', pg_temp.wait()) || o);
BEGIN
  INSERT INTO life VALUES (id, sort, fraud, at);
  IF NOT fraud THEN
    IF random() < 0.5 THEN
      PERFORM pg_temp.conversion(referee, at + interval '1 day' + random() * interval '12 days', o);
    END IF;
    IF random() < 0.1 THEN
      PERFORM pg_temp.give_back(id, at + interval '3 days' + random() * interval '20 days');
    END IF;
    PERFORM pg_temp.click(referrer, NULL, at - random() * interval '2 days', pg_temp.own()) FROM generate_series(1, 2);
  END IF;
  RETURN id;
END $$;

DO $$
DECLARE
  a bigint;
  members bigint[];
  s jsonb;
  o jsonb;
  at timestamptz;
  r bigint;
BEGIN
  -- Friends: one to three referrals each, half of them by telephone, through the addresses of a carrier.
  FOR i IN 1 .. 250 LOOP
    a := pg_temp.known(pg_temp.own(CASE WHEN random() < 0.5 THEN pg_temp.carrier() ELSE '{}' END));
    FOR k IN 1 .. 1 + floor(random() * 3)::int LOOP
      PERFORM pg_temp.live('friends', false, a, pg_temp.moment(), pg_temp.own(CASE WHEN random() < 0.5 THEN pg_temp.carrier() ELSE '{}' END));
    END LOOP;
  END LOOP;
  -- Families: one network and delivery address; some with one tablet, some with one card, one in four with one name before the @.
  FOR i IN 1 .. 80 LOOP
    s := jsonb_build_object('ip', 'home' || i, 'net', 'home' || i, 'address', 'home' || i);
    o := s || CASE i % 4 WHEN 1 THEN jsonb_build_object('device', 'tablet' || i) WHEN 2 THEN jsonb_build_object('payment', 'card' || i) ELSE '{}' END;
    PERFORM pg_temp.live(CASE i % 4 WHEN 1 THEN 'family, one tablet' WHEN 2 THEN 'family, one card' ELSE 'family' END, false, pg_temp.known(pg_temp.own(o), '2026-01-20', CASE WHEN i % 8 > 5 THEN format('anna.meyer%s@people.example', i * 7) END), pg_temp.moment(), pg_temp.own(o),
      CASE WHEN i % 8 > 5 THEN format('hanna.meyer%s@people.example', i * 7) END);
  END LOOP;
  -- Offices: colleagues behind one address, most with the browser of the house; who refers whom is by chance.
  FOR i IN 1 .. 8 LOOP
    s := jsonb_build_object('ip', 'office' || i, 'net', 'office' || i);
    members := ARRAY(SELECT pg_temp.known(pg_temp.own(s || CASE WHEN random() < 0.7 THEN jsonb '{"agent": "house"}' ELSE '{}' END), '2026-01-01'::timestamptz + random() * interval '50 days') FROM generate_series(1, 15));
    FOR k IN 1 .. 12 LOOP
      PERFORM pg_temp.live('office', false, members[1 + floor(random() * 15)::int], pg_temp.moment(), pg_temp.own(s || CASE WHEN random() < 0.7 THEN jsonb '{"agent": "house"}' ELSE '{}' END));
    END LOOP;
    -- Whoever refers was there hours before, on the same day.
    FOR k IN 1 .. 6 LOOP
      at := pg_temp.moment();
      PERFORM pg_temp.live('office, same day', false, pg_temp.known(pg_temp.own(s || CASE WHEN random() < 0.7 THEN jsonb '{"agent": "house"}' ELSE '{}' END), at - interval '1 hour' - random() * interval '8 hours'), at,
        pg_temp.own(s || CASE WHEN random() < 0.7 THEN jsonb '{"agent": "house"}' ELSE '{}' END));
    END LOOP;
  END LOOP;
  -- A small office: five people, of whom one brings the other four in a week.
  FOR i IN 1 .. 10 LOOP
    s := jsonb_build_object('ip', 'shop' || i, 'net', 'shop' || i, 'agent', 'till');
    a := pg_temp.known(pg_temp.own(s));
    at := pg_temp.moment();
    FOR k IN 1 .. 4 LOOP
      PERFORM pg_temp.live('office, small', false, a, at + random() * interval '7 days', pg_temp.own(s));
    END LOOP;
  END LOOP;
  -- Students: a hall behind one address, a wave within two days; some share a delivery address (the porter).
  FOR i IN 1 .. 2 LOOP
    s := jsonb_build_object('ip', 'hall' || i, 'net', 'hall' || i);
    members := ARRAY(SELECT pg_temp.known(pg_temp.own(s || CASE WHEN random() < 0.2 THEN jsonb_build_object('address', 'porter' || i) ELSE '{}' END), '2026-02-01'::timestamptz + random() * interval '8 days') FROM generate_series(1, 60));
    at := pg_temp.moment();
    FOR k IN 1 .. 50 LOOP
      PERFORM pg_temp.live('students', false, members[1 + floor(random() * 60)::int], at + random() * interval '2 days', pg_temp.own(s || CASE WHEN random() < 0.2 THEN jsonb_build_object('address', 'porter' || i) ELSE '{}' END));
    END LOOP;
  END LOOP;
  -- Travellers: another network each time; whom they bring they met there.
  FOR i IN 1 .. 40 LOOP
    a := pg_temp.known(pg_temp.own(pg_temp.abroad()));
    FOR k IN 1 .. 3 LOOP
      at := pg_temp.moment();
      s := pg_temp.abroad();
      PERFORM pg_temp.conversion(a, at - interval '2 hours', pg_temp.own(s)); -- he was there himself
      PERFORM pg_temp.live('travellers', false, a, at, pg_temp.own(CASE WHEN random() < 0.6 THEN s ELSE pg_temp.abroad() END));
    END LOOP;
  END LOOP;
  -- Newsletters: one mail, twelve to thirty readers from everywhere within two days, half of them in its first hours.
  FOR i IN 1 .. 6 LOOP
    a := pg_temp.known(pg_temp.own());
    at := pg_temp.moment();
    FOR k IN 1 .. 12 + floor(random() * 19)::int LOOP
      PERFORM pg_temp.live('newsletter', false, a, at + random() * random() * interval '2 days', pg_temp.own(jsonb_build_object('asn', 1 + floor(random() * 30), 'host', '')));
    END LOOP;
  END LOOP;
  -- Keen advocates: a dozen referrals over the weeks.
  FOR i IN 1 .. 8 LOOP
    a := pg_temp.known(pg_temp.own());
    FOR k IN 1 .. 12 LOOP
      PERFORM pg_temp.live('keen advocates', false, a, pg_temp.moment(), pg_temp.own(CASE WHEN random() < 0.5 THEN pg_temp.carrier() ELSE '{}' END));
    END LOOP;
  END LOOP;
  -- A shoe that runs small: four friends of one advocate, two of whom send it back.
  FOR i IN 1 .. 12 LOOP
    a := pg_temp.known(pg_temp.own());
    at := pg_temp.moment();
    FOR k IN 1 .. 4 LOOP
      r := pg_temp.live('honest returns', false, a, at + k * interval '2 days', pg_temp.own());
      IF k <= 2 AND NOT EXISTS (SELECT FROM cdp_data.referral_refund f JOIN cdp_data.referral x ON x.first_conversion_id = f.referral_conversion_id WHERE x.referral_id = r) THEN
        PERFORM pg_temp.give_back(r, at + k * interval '2 days' + interval '6 days');
      END IF;
    END LOOP;
  END LOOP;

  -- People who refer themselves: another address of mail; device or card the same, often both, at home.
  FOR i IN 1 .. 60 LOOP
    s := jsonb_build_object('ip', 'self' || i, 'net', 'self' || i) || CASE WHEN i % 3 < 2 THEN jsonb_build_object('device', 'self' || i) ELSE '{}' END || CASE WHEN i % 3 > 0 THEN jsonb_build_object('payment', 'self' || i) ELSE '{}' END;
    PERFORM pg_temp.live('self', true, pg_temp.known(pg_temp.own(s), '2026-02-01'), pg_temp.moment(), pg_temp.own(s));
  END LOOP;
  -- Careful ones: another device, card and network; the parcel goes home in half of the cases.
  FOR i IN 1 .. 60 LOOP
    PERFORM pg_temp.live('self, careful', true, pg_temp.known(pg_temp.own(jsonb_build_object('address', 'careful' || i)), '2026-02-01'), pg_temp.moment(), pg_temp.own(CASE WHEN i % 2 = 0 THEN jsonb_build_object('address', 'careful' || i) ELSE '{}' END));
  END LOOP;
  -- Rings: eight to fifteen accounts of one hand, three devices and two cards among them; each refers the next, the last the first.
  FOR i IN 1 .. 8 LOOP
    members := ARRAY(SELECT pg_temp.person() FROM generate_series(1, 8 + floor(random() * 8)::int));
    at := pg_temp.moment();
    FOR k IN 1 .. cardinality(members) LOOP
      o := pg_temp.own(jsonb_build_object('device', format('ring %s %s', i, floor(random() * 3)), 'payment', format('ring %s %s', i, floor(random() * 2))));
      INSERT INTO life SELECT pg_temp.refer(members[k], members[k % cardinality(members) + 1], at + k * interval '3 hours', jsonb_build_object('seconds', pg_temp.wait()) || o), 'ring', true, at + k * interval '3 hours';
    END LOOP;
  END LOOP;
  -- Careful rings: one account refers ten others, one every other day; two on a network, two on a card, a device each, and they do nothing more.
  FOR i IN 1 .. 8 LOOP
    a := pg_temp.known(pg_temp.own(jsonb_build_object('payment', format('slow %s 0', i))), '2026-02-01');
    at := '2026-02-10'::timestamptz + random() * interval '20 days';
    FOR k IN 1 .. 10 LOOP
      PERFORM pg_temp.live('ring, careful', true, a, at + k * interval '2 days' + random() * interval '1 day', pg_temp.own(jsonb_build_object('ip', format('slow %s %s', i, (k + 1) / 2), 'net', format('slow %s %s', i, (k + 1) / 2), 'payment', format('slow %s %s', i, (k + 1) / 2))));
    END LOOP;
  END LOOP;
  -- Leaked codes: on sites of coupons, and in a forum that hides where its readers come from.
  FOR i IN 1 .. 4 LOOP
    a := pg_temp.known(pg_temp.own());
    at := pg_temp.moment();
    FOR k IN 1 .. 20 LOOP
      PERFORM pg_temp.live(CASE WHEN i <= 2 THEN 'leak' ELSE 'leak, hidden' END, true, a, at + random() * CASE WHEN i <= 2 THEN interval '3 days' ELSE interval '20 days' END, pg_temp.own(jsonb_build_object('host', CASE WHEN i <= 2 THEN 'www.retailmenot.com' ELSE '' END, 'asn', 100 + k)));
    END LOOP;
  END LOOP;
  -- Injected clicks, seconds before the purchase; those who wait a minute or more with it; floods: clicks for everybody, so that purchases follow at any time.
  FOR i IN 1 .. 3 LOOP
    FOR k IN 1 .. 3 LOOP
      a := pg_temp.known(pg_temp.own());
      FOR n IN 1 .. 22 LOOP
        PERFORM pg_temp.live((ARRAY['injected clicks', 'injected, careful', 'click flood'])[k], true, a, pg_temp.moment(), pg_temp.own(jsonb_build_object('seconds', CASE k WHEN 1 THEN 2 + random() * 6 WHEN 2 THEN 65 + random() * 200 ELSE random() * 25 * 86400 END)));
      END LOOP;
      IF k = 3 THEN
        PERFORM pg_temp.click(a, NULL, pg_temp.moment(), pg_temp.own()) FROM generate_series(1, 800);
      END IF;
    END LOOP;
  END LOOP;
  -- Refunds: five referees each, four of whom give everything back within days, or after the hold of 14 days.
  FOR i IN 1 .. 24 LOOP
    a := pg_temp.known(pg_temp.own());
    FOR k IN 1 .. 5 LOOP
      at := pg_temp.moment();
      r := pg_temp.live(CASE WHEN i <= 12 THEN 'refunds' ELSE 'refunds, late' END, true, a, at, pg_temp.own());
      IF k < 5 THEN
        PERFORM pg_temp.give_back(r, at + CASE WHEN i <= 12 THEN interval '5 days' ELSE interval '16 days' END);
      END IF;
    END LOOP;
  END LOOP;
  -- Mailboxes to throw away, and such as are counted up; each with a network of its own.
  FOR i IN 1 .. 5 LOOP
    a := pg_temp.known(pg_temp.own());
    FOR k IN 1 .. 8 LOOP
      PERFORM pg_temp.live('mailboxes', true, a, pg_temp.moment(), pg_temp.own(), CASE WHEN i <= 3 THEN format('x%s.%s@mailinator.com', i, k) ELSE format('buyer%s%s@post.example', chr(96 + i), k) END);
    END LOOP;
  END LOOP;
END $$;
ANALYZE;
-- Each night from the first one on.
SELECT cdp.find_fraud_rings(d) FROM generate_series('2026-02-10 02:40'::timestamptz, '2026-04-10', '1 day') d;
SELECT to_regprocedure('cdp.measure_referral_norms(timestamptz)') IS NOT NULL AS norms \gset
\if :norms
SELECT cdp.measure_referral_norms(d) FROM generate_series('2026-02-10 02:50'::timestamptz, '2026-04-10', '1 day') d;
\endif
ANALYZE;
-- At attribution each by itself, as it came. At the end of the hold all of a day together, by what was known when it began.
CREATE TABLE judged AS
SELECT l.*, 1 AS stage, (j.d).decision, (j.d).score, ARRAY(SELECT x ->> 'code' FROM jsonb_array_elements((j.d).reasons) x) AS codes FROM life l CROSS JOIN LATERAL cdp_internal.referral_judge(ARRAY[l.referral_id], l.at) j;
INSERT INTO judged
SELECT l.*, 2, (j.d).decision, (j.d).score, ARRAY(SELECT x ->> 'code' FROM jsonb_array_elements((j.d).reasons) x)
FROM (SELECT l.at::date AS day, array_agg(l.referral_id) AS ids FROM life l GROUP BY 1) g CROSS JOIN LATERAL cdp_internal.referral_judge(g.ids, g.day + interval '15 days') j JOIN life l USING (referral_id);
\o
-- What was rejected stays so; else the hold has the last word.
SELECT concat_ws('|', :'seed', sort, CASE WHEN fraud THEN 'fraud' ELSE 'honest' END, count(*), count(*) FILTER (WHERE a = 'approve'), count(*) FILTER (WHERE a = 'review'), count(*) FILTER (WHERE a = 'reject'),
  count(*) FILTER (WHERE b = 'approve'), count(*) FILTER (WHERE b = 'review'), count(*) FILTER (WHERE b = 'reject'))
FROM (SELECT x.sort, x.fraud, x.referral_id, replace(x.decision, 'ineligible', 'reject') AS a, CASE WHEN x.decision IN ('reject', 'ineligible') THEN 'reject' ELSE replace(y.decision, 'ineligible', 'reject') END AS b
  FROM judged x JOIN judged y ON y.referral_id = x.referral_id AND y.stage = 2 WHERE x.stage = 1) z GROUP BY sort, fraud ORDER BY sort NOT LIKE 'office%', fraud, sort COLLATE "C";
SELECT concat_ws('|', 'reasons', :'seed', sort, stage, string_agg(format('%s %s', code, n), ', ' ORDER BY n DESC, code))
FROM (SELECT sort, stage, code, count(*) AS n FROM judged, unnest(codes) AS code GROUP BY sort, stage, code) x GROUP BY sort, stage ORDER BY sort COLLATE "C", stage;
