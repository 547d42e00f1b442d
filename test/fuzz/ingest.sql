-- Messages, contracts, batches of records and of consents with random content: what a source says never raises an error, every
-- message and row is written, counted or in quarantine, and a contract that is found in order can be declared.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null
CALL cdp.setup(timezone => 'UTC', currency => 'EUR');
SELECT cdp.add_source('fuzz'), cdp.add_source('fuzz contracts', 'Asia/Shanghai') \g /dev/null

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION pg_temp.junk() RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN random() < 0.8 THEN pg_temp.pick('', ' ', 'x', 'null', 'undefined', '0', '-1', '1e400', 'NaN', '12,5', '999999999999999999999', 'infinity', '2024-02-30', '2024-01-02T03:04:05Z', '1704164645', '１２３', E'\u200b', '"', '\', '{}', '[1, {"a": null}]', '{"a":',
      'a@b.example', '+8613800138000', '微信', 'true', repeat('x', 900), repeat('9', 300), 'https://user@shop.example:80/?utm_source=a%40b', '$.a.b', 'cdp1:1:AAAA', '%s', E'a\tb', 'É')
    ELSE coalesce((SELECT string_agg(chr(1 + floor(random() * CASE WHEN random() < 0.9 THEN 126 ELSE 50000 END)::integer), '') FROM generate_series(1, floor(random() * 12)::integer)), '') END $$;
CREATE FUNCTION pg_temp.value(depth integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN CASE WHEN depth > 0 AND random() < 0.2 THEN (SELECT coalesce(jsonb_object_agg(pg_temp.pick('a', 'street', 'url', 'id', 'name', 'email', '', pg_temp.junk()), pg_temp.value(depth - 1)), '{}') FROM generate_series(1, floor(random() * 4)::integer))
    WHEN depth > 0 AND random() < 0.1 THEN jsonb_build_array(pg_temp.value(depth - 1), pg_temp.value(depth - 1))
    WHEN random() < 0.4 THEN to_jsonb(pg_temp.junk()) ELSE pg_temp.pick('null', 'true', '1', '-2.50', '19.99', '1e300', '1704164645123', '"EUR"', '"7"', '"8"', '"2024-01-02T03:04:05Z"', '"anna@x.example"')::jsonb END;
END $$;
-- Some of these keys with values that are often what belongs there.
CREATE FUNCTION pg_temp.object(keys text[], most integer) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_object_agg(CASE WHEN random() < 0.95 THEN keys[1 + floor(random() * cardinality(keys))::integer] ELSE pg_temp.junk() END, pg_temp.value(2)), '{}') FROM generate_series(1, floor(random() * (most + 1))::integer) $$;
CREATE FUNCTION pg_temp.message() RETURNS jsonb LANGUAGE sql AS $$
  SELECT CASE WHEN random() < 0.03 THEN pg_temp.value(3) ELSE
    jsonb_build_object('type', CASE WHEN random() < 0.95 THEN to_jsonb(pg_temp.pick('identify', 'track', 'track', 'track', 'page', 'screen', 'group', 'alias', 'Track ')) ELSE pg_temp.value(1) END)
    || CASE WHEN random() < 0.95 THEN jsonb_build_object('groupId', 'g1', 'previousId', 'a4', pg_temp.pick('userId', 'anonymousId'), pg_temp.pick('u1', 'u2', 'u3', 'a4', 'a5', 'anna@x.example')) ELSE '{}' END
    || CASE WHEN random() < 0.8 THEN jsonb_build_object('event', pg_temp.pick('Order Completed', 'Order Refunded', 'Product Viewed', 'Signed Up', pg_temp.junk())) ELSE '{}' END
    || CASE WHEN random() < 0.5 THEN jsonb_build_object('messageId', to_jsonb(pg_temp.pick('m1', 'm2', floor(random() * 1000)::text, pg_temp.junk()))) ELSE '{}' END
    || CASE WHEN random() < 0.5 THEN jsonb_build_object('timestamp', to_jsonb(pg_temp.pick('2024-01-02T03:04:05Z', '2024-02-03T03:04:05+08:00', '2024-03-01'))) ELSE '{}' END
    || CASE WHEN random() < 0.6 THEN jsonb_build_object('properties', pg_temp.object('{revenue,total,value,currency,order_id,products,email,url,referrer,name,coupon,$event}', 6)) ELSE '{}' END
    || CASE WHEN random() < 0.6 THEN jsonb_build_object('traits', pg_temp.object('{email,phone,name,firstName,lastName,birthday,city,address,company,gender,age,title,userId,createdAt}', 6)) ELSE '{}' END
    || CASE WHEN random() < 0.5 THEN jsonb_build_object('context', pg_temp.object('{traits,campaign,page,referrer,ip,userAgent,timezone,locale,groupId}', 4)) ELSE '{}' END
    || CASE WHEN random() < 0.15 THEN pg_temp.object('{userId,anonymousId,groupId,previousId,messageId,timestamp,sentAt,receivedAt,originalTimestamp,event,name,channel,version,integrations}', 4) ELSE '{}' END END $$;
CREATE FUNCTION pg_temp.fields() RETURNS jsonb LANGUAGE sql AS $$
  SELECT CASE WHEN random() < 0.05 THEN pg_temp.value(2) ELSE (SELECT jsonb_agg(CASE WHEN random() < 0.03 THEN pg_temp.value(1) ELSE jsonb_build_object('field', pg_temp.pick('mail', 'city', 'sum', 'day', '$.a.b', 'k' || floor(random() * 50), pg_temp.junk()),
      'target', pg_temp.pick('identifier email', 'identifier user_id', 'attribute city', 'attribute full_name', 'ignore', 'property', 'property x', 'touchpoint value', 'touchpoint source_key', 'touchpoint occurred_at', 'touchpoint kind', 'record source_key', pg_temp.junk()))
      || CASE WHEN random() < 0.5 THEN jsonb_build_object('type', pg_temp.pick('text', 'integer', 'numeric', 'boolean', 'date', 'timestamp', 'json', pg_temp.junk())) ELSE '{}' END
      || CASE WHEN random() < 0.3 THEN pg_temp.object('{required,min,max,pattern,allowed,transform,note}', 3) ELSE '{}' END END)
    FROM generate_series(1, 1 + floor(random() * 5)::integer)) END $$;

DO $$
DECLARE
  message jsonb;
  said record;
  fields jsonb;
  kind text;
  loaded record;
  written bigint := 0;
  rows_written bigint := 0;
  declared bigint := 0;
BEGIN
  CREATE TEMP TABLE people (source_key text, email text, phone text, user_id text, full_name text, city text, birthday text, observed_at text, other text);
  CREATE TEMP TABLE events (source_key text, occurred_at text, kind text, email text, user_id text, value text, currency text, properties text, refers_to text, source text, city text);
  CREATE TEMP TABLE consents (source_key text, identifier_type text, identifier text, purpose text, channel text, status text, effective_at text, expires_at text, explicit text, legal_basis text, notice text, evidence text);
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer / 20 LOOP
    message := pg_temp.message();
    IF random() < 0.1 THEN
      message := CASE WHEN random() < 0.5 THEN jsonb_build_array(message, pg_temp.message()) ELSE jsonb_build_object('batch', jsonb_build_array(message, pg_temp.message())) || pg_temp.object('{context,traits,type,userId,batch}', 2) END;
    END IF;
    BEGIN
      FOR said IN SELECT * FROM cdp.ingest('fuzz', message) LOOP
        IF said.status NOT IN ('written', 'repeated', 'refused') OR (said.status = 'refused') <> (said.reason IS NOT NULL) THEN
          RAISE EXCEPTION 'status %, reason %', said.status, said.reason;
        END IF;
        written := written + (said.status = 'written')::integer;
      END LOOP;
      IF NOT FOUND AND message <> '[]' AND jsonb_typeof(message -> 'batch') IS DISTINCT FROM 'array' THEN
        RAISE EXCEPTION 'no word about the message';
      END IF;
    EXCEPTION WHEN OTHERS THEN
      RAISE EXCEPTION 'round %: % % for %', round, SQLSTATE, SQLERRM, message;
    END;

    BEGIN
      kind := pg_temp.pick('customer', 'event');
      fields := pg_temp.fields();
      IF random() < 0.7 AND jsonb_typeof(fields) = 'array' THEN -- what a contract of its kind has to have
        fields := fields || '{"field": "m0", "target": "identifier email"}' || CASE kind WHEN 'event' THEN
          '[{"field": "k0", "target": "touchpoint source_key"}, {"field": "t0", "target": "touchpoint occurred_at"}, {"field": "w0", "target": "touchpoint kind"}]' ELSE '[]' END::jsonb;
      END IF;
      IF NOT EXISTS (SELECT FROM cdp.check_contract(kind, fields)) THEN
        PERFORM cdp.declare_contract('fuzz contracts', kind, fields);
        declared := declared + 1;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      RAISE EXCEPTION 'round %: % % for %', round, SQLSTATE, SQLERRM, fields;
    END;

    CONTINUE WHEN round % 40 > 0;
    BEGIN
      TRUNCATE people, events, consents;
      INSERT INTO people SELECT CASE WHEN random() < 0.9 THEN 'k' || floor(random() * 300) ELSE pg_temp.junk() END, pg_temp.pick(NULL, 'p' || floor(random() * 40) || '@x.example', pg_temp.junk()), pg_temp.pick(NULL, '+86138001380' || 10 + floor(random() * 80), pg_temp.junk()),
        pg_temp.pick(NULL, 'u' || floor(random() * 40), pg_temp.junk()), pg_temp.junk(), pg_temp.junk(), pg_temp.pick('1990-01-31', '19900131', pg_temp.junk()), pg_temp.pick('2024-01-02', '2024-01-02 03:04', pg_temp.junk()), pg_temp.junk() FROM generate_series(1, 60);
      INSERT INTO events SELECT CASE WHEN random() < 0.9 THEN 'k' || floor(random() * 300) ELSE pg_temp.junk() END, pg_temp.pick('2024-01-02', '2024-01-02 03:04', '2024-01-05T03:04:05Z', pg_temp.junk()), pg_temp.pick('visit', 'purchase', 'purchase', 'refund', pg_temp.junk()),
        pg_temp.pick(NULL, 'p' || floor(random() * 40) || '@x.example', pg_temp.junk()), pg_temp.pick(NULL, 'u' || floor(random() * 40), pg_temp.junk()), pg_temp.pick(NULL, '1', '19.99', pg_temp.junk()), pg_temp.pick(NULL, 'EUR', pg_temp.junk()),
        pg_temp.pick(NULL, '{"a": 1}', pg_temp.junk()), pg_temp.pick(NULL, 'k' || floor(random() * 300), pg_temp.junk()), pg_temp.pick(NULL, 'shop', pg_temp.junk()), pg_temp.junk() FROM generate_series(1, 60);
      INSERT INTO consents SELECT CASE WHEN random() < 0.9 THEN 'k' || floor(random() * 300) ELSE pg_temp.junk() END, pg_temp.pick('email', 'user_id', pg_temp.junk()), pg_temp.pick('p' || floor(random() * 40) || '@x.example', pg_temp.junk()), pg_temp.pick('marketing', 'analytics', pg_temp.junk()), pg_temp.pick(NULL, 'email', pg_temp.junk()),
        pg_temp.pick('granted', 'denied', 'withdrawn', pg_temp.junk()), pg_temp.pick('2024-01-02', '2024-01-02 03:04', pg_temp.junk()), pg_temp.pick(NULL, NULL, '2030-01-01', pg_temp.junk()), pg_temp.pick(NULL, 'true', pg_temp.junk()), pg_temp.pick(NULL, 'consent', pg_temp.junk()), NULL, pg_temp.pick(NULL, '{"ip": "x"}', pg_temp.junk()) FROM generate_series(1, 60);
      FOR loaded IN
        SELECT 'people' AS what, l.rows_read, l.inserted, l.corrected, l.unchanged, l.quarantined FROM cdp.load_customers('fuzz', 'pg_temp.people') l
        UNION ALL SELECT 'events', l.rows_read, l.inserted, l.corrected, l.unchanged, l.quarantined FROM cdp.load_events('fuzz', 'pg_temp.events') l
        UNION ALL SELECT 'consents', l.rows_read, l.inserted, l.corrected, l.unchanged, l.quarantined FROM cdp.load_consents('fuzz', 'pg_temp.consents') l
      LOOP
        IF loaded.rows_read <> 60 OR loaded.rows_read <> loaded.inserted + loaded.corrected + loaded.unchanged + loaded.quarantined THEN
          RAISE EXCEPTION 'the rows do not add up: %', loaded;
        END IF;
        rows_written := rows_written + loaded.inserted + loaded.corrected;
      END LOOP;
    EXCEPTION WHEN OTHERS THEN
      RAISE EXCEPTION 'round %: % % in a batch', round, SQLSTATE, SQLERRM;
    END;
  END LOOP;
  IF written < current_setting('fuzz.rounds')::integer / 60 OR declared < current_setting('fuzz.rounds')::integer / 2000 OR rows_written < current_setting('fuzz.rounds')::integer / 40 THEN
    RAISE EXCEPTION 'hardly anything is taken: % messages, % contracts, % rows', written, declared, rows_written;
  END IF;
END $$;
