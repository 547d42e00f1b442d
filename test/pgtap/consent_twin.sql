-- Consent against an oracle: random records (late, of the future, running out, explicit and implied, of one channel and of
-- all), loads that come again changed or unchanged, reverts and retries, merges and unmerges, in any order. After each
-- round the ledger's answer at random moments, the single gate, the bitmap and the list all equal what plain loops over the
-- records that are in force say. Most words are of one moment, where grants that end at different times meet. The test keeps its own book of what was said, by whom and in which load.
BEGIN;
SELECT plan(1 + 30 * 6 + 5);
SET client_min_messages = error;
SET timezone = 'America/St_Johns'; -- of no matter
SELECT setseed(0.271828);
SELECT cdp.add_source('calls'), cdp.add_source('batch');
SELECT count(cdp.identify('calls', jsonb_build_object('user_id', 'u' || i))) AS people FROM generate_series(1, 8) i;
SELECT cdp.set_purpose('panel', 'consent', 'opt_in');
CREATE TEMP TABLE book (nth serial, load bigint, key text, identifier bigint, purpose text, channel text, status text, explicit boolean, at timestamptz, until timestamptz);
CREATE TEMP TABLE moment AS SELECT date_trunc('hour', now()) AS now;

-- What a batch says about keys again and again; the load number is put in afterwards.
CREATE FUNCTION pg_temp.say(n int) RETURNS SETOF book LANGUAGE sql VOLATILE AS $$
  SELECT 0, NULL::bigint, NULL::text, i.id, (ARRAY['marketing', 'analytics', 'panel'])[1 + floor(random() * 3)::int],
    (ARRAY['', 'email', 'sms'])[1 + floor(random() * 3)::int], s.status, random() < 0.6, s.at,
    CASE WHEN s.status = 'granted' AND random() < 0.6 THEN s.at + (1 + floor(random() * 40)) * interval '1 day' END
  FROM (SELECT (ARRAY['granted', 'granted', 'granted', 'denied', 'withdrawn'])[1 + floor(random() * 5 + 0 * g)::int] AS status,
      m.now + CASE WHEN random() < 0.6 THEN -10 ELSE floor(random() * 12 - 9) * 5 END * interval '1 day' AS at, 1 + floor(random() * 8)::int AS nth
    FROM generate_series(1, n) g, moment m OFFSET 0) s
  JOIN (SELECT identifier_id AS id, row_number() OVER (ORDER BY identifier_id)::int AS nth FROM cdp_data.identifier WHERE value ~ '^u\d+$') i USING (nth)
$$;
CREATE FUNCTION pg_temp.call_once() RETURNS text LANGUAGE plpgsql AS $$
DECLARE b book;
BEGIN
  SELECT * INTO b FROM pg_temp.say(1);
  IF random() < 0.3 THEN
    -- About the customer: a refusal under each of his identifiers, a grant under the strongest (all are of one type: the first).
    PERFORM cdp.record_consent('calls', b.purpose, b.status, customer => cdp_internal.identifier_root(b.identifier), channel => b.channel, explicit => b.explicit, effective_at => b.at, expires_at => b.until);
    INSERT INTO book (identifier, purpose, channel, status, explicit, at, until)
    SELECT i.identifier_id, b.purpose, b.channel, b.status, b.explicit, b.at, b.until FROM cdp_data.identifier i
    WHERE cdp_internal.identifier_root(i.identifier_id) = cdp_internal.identifier_root(b.identifier) ORDER BY i.identifier_id LIMIT CASE WHEN b.status = 'granted' THEN 1 END;
    RETURN 'a call about a customer';
  END IF;
  PERFORM cdp.record_consent('calls', b.purpose, b.status, (SELECT jsonb_build_object('user_id', i.value) FROM cdp_data.identifier i WHERE i.identifier_id = b.identifier),
    channel => b.channel, explicit => b.explicit, effective_at => b.at, expires_at => b.until);
  INSERT INTO book (identifier, purpose, channel, status, explicit, at, until) VALUES (b.identifier, b.purpose, b.channel, b.status, b.explicit, b.at, b.until);
  RETURN 'a call';
END $$;
CREATE TABLE pg_temp.batch (source_key text, identifier text, purpose text, channel text, status text, effective_at timestamptz, expires_at timestamptz, explicit boolean);
CREATE FUNCTION pg_temp.load_some() RETURNS text LANGUAGE plpgsql AS $$
DECLARE r record; load bigint;
BEGIN
  TRUNCATE pg_temp.batch;
  -- half of it new, half what an earlier load said, word for word
  INSERT INTO pg_temp.batch SELECT DISTINCT ON (1) 'k' || floor(random() * 12)::int, i.value, s.purpose, s.channel, s.status, s.at, s.until, s.explicit
  FROM pg_temp.say(6) s JOIN cdp_data.identifier i ON i.identifier_id = s.identifier ORDER BY 1, random();
  INSERT INTO pg_temp.batch SELECT DISTINCT ON (b.key) b.key, i.value, b.purpose, b.channel, b.status, b.at, b.until, b.explicit
  FROM book b JOIN cdp_data.identifier i ON i.identifier_id = b.identifier WHERE b.key IS NOT NULL AND b.key NOT IN (SELECT source_key FROM pg_temp.batch) AND random() < 0.5 ORDER BY b.key, random();
  SELECT * INTO r FROM cdp.load_consents('batch', 'pg_temp.batch', identifier_type => 'user_id');
  INSERT INTO book (load, key, identifier, purpose, channel, status, explicit, at, until)
  SELECT r.load_id, s.source_key, i.identifier_id, s.purpose, s.channel, s.status, s.explicit, s.effective_at, s.expires_at
  FROM pg_temp.batch s JOIN cdp_data.identifier i ON i.value = s.identifier;
  RETURN format('a load of %s: %s new, %s changed, %s the same', r.rows_read, r.inserted, r.corrected, r.unchanged);
END $$;
CREATE FUNCTION pg_temp.turn_load() RETURNS text LANGUAGE plpgsql AS $$
DECLARE l record;
BEGIN
  SELECT load_id, state INTO l FROM cdp_data.load WHERE kind = 'consents' ORDER BY random() LIMIT 1;
  IF NOT FOUND THEN RETURN 'nothing'; END IF;
  IF l.state = 'done' THEN PERFORM cdp.revert_load(l.load_id); RETURN 'revert of ' || l.load_id; END IF;
  PERFORM cdp.retry_load(l.load_id);
  RETURN 'retry of ' || l.load_id;
END $$;
CREATE FUNCTION pg_temp.turn_people() RETURNS text LANGUAGE plpgsql AS $$
DECLARE a bigint; b bigint; m bigint;
BEGIN
  IF random() < 0.6 THEN
    SELECT x.identifier_id, y.identifier_id INTO a, b FROM cdp_data.identifier x, cdp_data.identifier y WHERE x.identifier_id < y.identifier_id ORDER BY random() LIMIT 1;
    PERFORM cdp.link_identifiers(a, b);
    RETURN format('link of %s and %s', a, b);
  END IF;
  SELECT merge_id INTO m FROM cdp_data.merge_log WHERE kind = 'merge' AND undone_by IS NULL ORDER BY random() LIMIT 1;
  IF NOT FOUND THEN RETURN 'nothing'; END IF;
  PERFORM cdp.unmerge(merge => m);
  RETURN 'unmerge of ' || m;
EXCEPTION WHEN object_not_in_prerequisite_state OR invalid_parameter_value THEN RETURN 'nothing';
END $$;

-- The oracle. In force: calls, and of each key what the load of the highest number that is done said.
CREATE TABLE pg_temp.said (LIKE book, whose bigint);
CREATE FUNCTION pg_temp.settle() RETURNS void LANGUAGE sql AS $$
  TRUNCATE pg_temp.said;
  INSERT INTO pg_temp.said SELECT b.*, cdp_internal.identifier_root(b.identifier) FROM book b WHERE b.load IS NULL OR b.load = (
    SELECT max(o.load) FROM book o JOIN cdp_data.load l ON l.load_id = o.load WHERE o.key = b.key AND l.state = 'done')
$$;
CREATE FUNCTION pg_temp.oracle(root bigint, what text, on_channel text, as_of timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r record; state text := 'unknown'; held boolean; at timestamptz; until timestamptz; spoken boolean := false;
BEGIN
  -- Through time, one moment after the other; within a moment grants come before refusals, so that these win.
  FOR r IN SELECT * FROM pg_temp.said s
    WHERE s.whose = root AND s.purpose = what AND (s.channel = '' OR s.channel = on_channel) AND s.at <= as_of
    ORDER BY s.at, s.status <> 'granted', s.explicit DESC, s.until DESC
  LOOP
    IF r.status <> 'granted' THEN
      state := 'refused'; spoken := true;
    ELSIF r.explicit THEN
      -- of two of one moment the one that ends first is the last here
      state := 'granted'; spoken := true; until := r.until; at := r.at;
    ELSIF state = 'granted' AND at = r.at THEN
      until := least(until, r.until);
    ELSIF state IN ('unknown', 'granted') THEN
      state := 'granted'; until := r.until; at := r.at;
    END IF;
  END LOOP;
  RETURN CASE WHEN state = 'granted' AND until <= as_of THEN 'expired' ELSE state END;
END $$;
CREATE VIEW pg_temp.question AS
SELECT c.customer_id AS root, p.name AS purpose, p.purpose_id, p.rule, h.channel
FROM cdp_data.customer c, cdp_data.purpose_all p, (VALUES (''), ('email'), ('sms')) h (channel)
WHERE c.parent_id = c.customer_id AND p.name IN ('marketing', 'analytics', 'panel') AND EXISTS (SELECT FROM cdp_internal.members(c.customer_id));
CREATE FUNCTION pg_temp.rounds(n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE what text; moment timestamptz; later timestamptz;
BEGIN
  FOR round IN 1 .. n LOOP
    what := format('round %s: ', round);
    FOR step IN 1 .. 4 LOOP
      what := what || ', ' || CASE floor(random() * 5)::int WHEN 0 THEN pg_temp.load_some() WHEN 1 THEN pg_temp.turn_load()
        WHEN 2 THEN pg_temp.turn_people() ELSE pg_temp.call_once() || pg_temp.call_once() END;
    END LOOP;
    PERFORM pg_temp.settle();
    moment := (SELECT m.now FROM moment m) + (floor(random() * 100) - 50) * interval '12 hours';
    later := clock_timestamp() + random() * interval '20 days';
    RETURN NEXT public.is((SELECT string_agg(q::text || a.state, E'\n' ORDER BY q::text) FROM pg_temp.question q, cdp.consent_at(q.root, q.purpose, q.channel, moment) a),
      (SELECT string_agg(q::text || pg_temp.oracle(q.root, q.purpose, q.channel, moment), E'\n' ORDER BY q::text) FROM pg_temp.question q), what || ', the ledger at ' || moment);
    RETURN NEXT public.is((SELECT string_agg(q::text || cdp.consent_allowed(q.root, q.purpose, q.channel), E'\n' ORDER BY q::text) FROM pg_temp.question q),
      (SELECT string_agg(q::text || (CASE q.rule WHEN 'opt_in' THEN o.state = 'granted' ELSE o.state <> 'refused' END), E'\n' ORDER BY q::text)
       FROM pg_temp.question q, LATERAL (SELECT pg_temp.oracle(q.root, q.purpose, q.channel, clock_timestamp()) AS state) o), what || ', the gate now');
    RETURN NEXT public.is((SELECT string_agg(q::text || cdp_internal.consent_state_at(q.root, q.purpose_id, q.channel, later), E'\n' ORDER BY q::text) FROM pg_temp.question q),
      (SELECT string_agg(q::text || pg_temp.oracle(q.root, q.purpose, q.channel, later), E'\n' ORDER BY q::text) FROM pg_temp.question q), what || ', summaries later, when some have run out and others begun');
    RETURN NEXT public.is((SELECT string_agg(q::text || cdp_internal.bitmap_has(m.map, q.root), E'\n' ORDER BY q::text)
       FROM (SELECT p.purpose_id, h.channel, cdp_internal.consent_bitmap_of(p.purpose_id, p.rule, h.channel, NULL, later) AS map
             FROM cdp_data.purpose_all p, (VALUES (''), ('email'), ('sms')) h (channel)) m JOIN pg_temp.question q USING (purpose_id, channel)),
      (SELECT string_agg(q::text || (CASE q.rule WHEN 'opt_in' THEN o.state = 'granted' ELSE o.state <> 'refused' END), E'\n' ORDER BY q::text)
       FROM pg_temp.question q, LATERAL (SELECT pg_temp.oracle(q.root, q.purpose, q.channel, later) AS state) o), what || ', the bitmap later');
    RETURN NEXT public.is((SELECT string_agg(c::text, ' ') FROM cdp.consented_customers('marketing', 'email') c),
      (SELECT string_agg(q.root::text, ' ' ORDER BY q.root) FROM pg_temp.question q WHERE q.purpose = 'marketing' AND q.channel = 'email' AND pg_temp.oracle(q.root, 'marketing', 'email', clock_timestamp()) = 'granted'),
      what || ', the list of who may be written to');
    -- Some roots asked alone.
    RETURN NEXT public.is((SELECT string_agg(cdp_internal.bitmap_has(g.map, q.root)::text, ' ' ORDER BY q.root) FROM
        (SELECT cdp_internal.consent_bitmap_of(3::smallint, 'opt_in', 'sms', ARRAY(SELECT DISTINCT root FROM pg_temp.question WHERE root % 3 = 0)) AS map) g, pg_temp.question q
      WHERE q.purpose = 'marketing' AND q.channel = 'sms' AND q.root % 3 = 0),
      (SELECT string_agg((pg_temp.oracle(q.root, 'marketing', 'sms', clock_timestamp()) = 'granted')::text, ' ' ORDER BY q.root) FROM pg_temp.question q WHERE q.purpose = 'marketing' AND q.channel = 'sms' AND q.root % 3 = 0),
      what || ', a bitmap of some');
  END LOOP;
END $$;
SELECT is((SELECT count(*) FROM pg_temp.question), 72::bigint, 'eight people, three purposes, three channels');
SELECT pg_temp.rounds(30);

SELECT ok((SELECT count(*) FROM cdp_data.consent c) > (SELECT count(*) FROM cdp_data.consent_in_force) AND (SELECT count(*) FROM cdp_data.consent_confirmed) > 3
  AND (SELECT count(*) FROM cdp_data.consent_state WHERE from_at > '-infinity') > 3, 'corrections, confirmations and records of the future were among it');
SELECT cmp_ok((SELECT count(*) FROM pg_temp.said a JOIN pg_temp.said b USING (whose, purpose, at) WHERE (a.channel = b.channel OR '' IN (a.channel, b.channel)) AND a.status = 'granted' AND b.status = 'granted' AND a.until < coalesce(b.until, 'infinity')), '>', 10::bigint, 'and grants of one moment that end at different times');
CREATE TEMP TABLE before AS SELECT * FROM cdp_data.consent_state;
SELECT ok(cdp.rebuild_consent_state() > 50, 'summaries made anew');
SELECT is_empty('(TABLE before EXCEPT TABLE cdp_data.consent_state) UNION ALL (TABLE cdp_data.consent_state EXCEPT TABLE before)', 'are what they were');
-- Half a month on: what has begun is folded, and says the same.
CREATE TEMP TABLE answer AS SELECT q.*, cdp_internal.consent_state_at(q.root, q.purpose_id, q.channel, now() + interval '15 days') AS state FROM pg_temp.question q;
SELECT cdp_internal.consent_fold_due(now() + interval '14 days') > 0 AS folded;
SELECT is_empty($$SELECT FROM answer a WHERE a.state <> cdp_internal.consent_state_at(a.root, a.purpose_id, a.channel, now() + interval '15 days')$$, 'folding what has begun changes no answer');
SELECT * FROM finish();
ROLLBACK;
