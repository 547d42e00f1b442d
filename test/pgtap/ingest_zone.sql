-- A time without an offset is read in the zone of the load, else of its source: in attributes as in the time of the record, never in
-- that of the session; and a record that comes again in another zone says something else.
SELECT plan(22);
SELECT cdp.add_source('cn', 'Asia/Shanghai'), cdp.add_source('many', 'Asia/Shanghai'), cdp.add_source('kept', 'Asia/Shanghai');
SELECT cdp.add_attribute('visits', 'list'), cdp.add_attribute('visit', 'json'), cdp.add_attribute('seen_at', 'timestamp');
CREATE TYPE stay AS (at timestamptz, nights integer);
CREATE FUNCTION pg_temp.told(source text, id text, attribute text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(v.value, ' ' ORDER BY v.value COLLATE "C") FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) JOIN cdp_data.source s USING (source_id)
    JOIN cdp_data.load l USING (load_id)
  WHERE s.name = source AND a.name = attribute AND l.state = 'done' AND v.identifier_id = (SELECT i.identifier_id FROM cdp_data.identifier i WHERE i.value = id)
$$;

-- One record, three sessions, three zones of the load
CREATE TABLE people (user_id text, registered_at text, observed_at text);
INSERT INTO people VALUES ('1', '2026-03-01 10:00', '2026-03-02 10:00'), ('2', '2026-03-01T10:00+01:00', '2026-03-02 10:00');
SET timezone = 'America/New_York';
SELECT is((SELECT inserted FROM cdp.load_customers('cn', 'people')), 2::bigint, 'a load without a zone');
SELECT is(pg_temp.told('cn', '1', 'registered_at'), '2026-03-01T02:00:00Z', 'reads in that of its source');
SELECT is(pg_temp.told('cn', '2', 'registered_at'), '2026-03-01T09:00:00Z', 'but for a time with an offset');
SET timezone = 'Asia/Tokyo';
SELECT is((SELECT (corrected, unchanged)::text FROM cdp.load_customers('cn', 'people')), '(0,2)', 'another session says the same');
SELECT is((SELECT inserted FROM cdp.load_customers('many', 'people', time_zone => 'Europe/Berlin')), 2::bigint, 'a load with a zone');
SELECT is(pg_temp.told('many', '1', 'registered_at'), '2026-03-01T09:00:00Z', 'reads in that one');
SELECT is((SELECT first_at FROM cdp_data.attribute_value v JOIN cdp_data.source s USING (source_id) WHERE s.name = 'many' LIMIT 1), '2026-03-02 10:00+01', 'attributes and the time of the record alike');
SELECT is(pg_temp.told('many', '2', 'registered_at'), '2026-03-01T09:00:00Z', 'and what has an offset as ever');

-- The same text in another zone is another moment: no repetition. Without a time of the record, which would differ anyway.
CREATE TABLE again (user_id text, registered_at text);
INSERT INTO again VALUES ('1', '2026-03-01 10:00');
SELECT is((SELECT inserted FROM cdp.load_customers('kept', 'again')), 1::bigint, 'a record without a time');
SELECT is((SELECT unchanged FROM cdp.load_customers('kept', 'again', time_zone => 'Asia/Shanghai')), 1::bigint, 'told again in the same zone, by its name, is unchanged');
SELECT load_id AS later FROM cdp.load_customers('kept', 'again', time_zone => 'UTC') \gset
SELECT is(pg_temp.told('kept', '1', 'registered_at'), '2026-03-01T02:00:00Z 2026-03-01T10:00:00Z', 'in another zone it says another moment');
SELECT cdp.revert_load(:later);
SELECT is(pg_temp.told('kept', '1', 'registered_at'), '2026-03-01T02:00:00Z', 'which can be taken back');
SELECT throws_ok($$SELECT cdp.load_customers('kept', 'again', time_zone => 'Mars/Base')$$, '22023', NULL, 'a zone that there is not');
SELECT is(current_setting('timezone'), 'Asia/Tokyo', 'the session keeps its own');

-- Moments inside of arrays and rows, and in views over the staging table
CREATE TABLE nested (user_id text, visits timestamptz[], visit stay, plain text);
INSERT INTO nested VALUES ('5', '{2026-03-01 10:00+00}', ('2026-03-01 10:00+00', 2), '2026-03-01 10:00');
CREATE VIEW seen AS SELECT user_id, visits, visit, plain::timestamptz AS seen_at FROM nested;
SET timezone = 'America/New_York';
SELECT is((SELECT inserted FROM cdp.load_customers('cn', 'seen')), 1::bigint, 'arrays, rows, and a cast in a view');
SELECT is(pg_temp.told('cn', '5', 'visits'), '["2026-03-01T18:00:00+08:00"]', 'an array of moments is written in the zone of the load');
SELECT is(pg_temp.told('cn', '5', 'visit'), '{"at": "2026-03-01T18:00:00+08:00", "nights": 2}', 'so is a row');
SELECT is(pg_temp.told('cn', '5', 'seen_at'), '2026-03-01T02:00:00Z', 'and a view that casts reads in it');
SET timezone = 'Asia/Tokyo';
SELECT is((SELECT unchanged FROM cdp.load_customers('cn', 'seen')), 1::bigint, 'in every session');

-- What waits in quarantine and is mended means the same day
CREATE TABLE born (email text, user_id text, birthday timestamptz);
INSERT INTO born VALUES ('none', NULL, '1990-05-16 20:00+00');
SET timezone = 'America/New_York';
SELECT load_id AS waiting FROM cdp.load_customers('cn', 'born') \gset
UPDATE cdp_data.quarantine SET original = original || '{"user_id": "9"}' WHERE load_id = :waiting;
SELECT cdp.retry_quarantine(:waiting);
SELECT is(pg_temp.told('cn', '9', 'birthday'), '1990-05-17', 'a moment in quarantine is the day that it is in the zone of its load');

-- Single calls and messages: the zone of the source
SELECT cdp.identify('cn', '{"user_id": "7"}', '{"registered_at": "2026-03-01 10:00"}');
SELECT is(pg_temp.told('cn', '7', 'registered_at'), '2026-03-01T02:00:00Z', 'a call reads in the zone of its source');
SELECT cdp.ingest('cn', '{"type": "identify", "messageId": "m8", "userId": "8", "traits": {"registeredAt": "2026-03-01 10:00"}}');
SELECT is(pg_temp.told('cn', '8', 'registered_at'), '2026-03-01T02:00:00Z', 'a message, too');
SELECT finish();
