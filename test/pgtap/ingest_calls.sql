-- One record in one call: what is written, that a message that comes again changes nothing, and what is refused how.
SELECT plan(48);
SELECT cdp.add_source('shop', 'Asia/Shanghai'), cdp.add_source('app');

CREATE FUNCTION pg_temp.everything() RETURNS text LANGUAGE sql AS $$
  SELECT md5(string_agg(x, E'\n' ORDER BY x)) FROM (
    SELECT 'i' || i::text FROM cdp_data.identifier i UNION ALL SELECT 'c' || c::text FROM cdp_data.customer c
    UNION ALL SELECT 'l' || l::text FROM cdp_data.link l UNION ALL SELECT 's' || s::text FROM cdp_data.link_support s
    UNION ALL SELECT 't' || t::text FROM cdp_data.touchpoint t UNION ALL SELECT 'k' || k::text FROM cdp_data.touchpoint_key k
    UNION ALL SELECT 'm' || m::text FROM cdp_data.call_message m UNION ALL SELECT 'f' || f::text FROM cdp_data.change_feed f
    UNION ALL SELECT 'o' || l::text FROM cdp_data.load l UNION ALL SELECT 'w' || w::text FROM cdp_data.touchpoint_awaited w) v (x)
$$;
CREATE TEMP TABLE state (what text, was text);

-- identify
SELECT is((SELECT (status, created, merged, refused)::text FROM cdp.identify('shop', '{"user_id": "7", "cookie": "c1"}', message_id => 'm1')),
  '(written,t,{},[])', 'a new person is made');
INSERT INTO state SELECT 'identify', pg_temp.everything();
SELECT is((SELECT status FROM cdp.identify('shop', '{"user_id": "7", "cookie": "c1"}', message_id => 'm1')), 'repeated', 'the message again is known');
SELECT is((SELECT status FROM cdp.identify('shop', '{"user_id": "99"}', message_id => 'm1')), 'repeated', 'also with another content');
SELECT is(pg_temp.everything(), (SELECT was FROM state WHERE what = 'identify'), 'and changes nothing, anywhere');
SELECT is((SELECT status FROM cdp.identify('app', '{"user_id": "7"}', message_id => 'm1')), 'written', 'each source has its own messages');
SELECT is((SELECT customer_id FROM cdp.identify('shop', '{"cookie": "c1"}', '{"email": "Anna@Example.org", "Phone": "+8613812345678"}')),
  cdp.customer_of('user_id', '7'), 'a known cookie leads to the person');
SELECT is(cdp.customer_of('email', 'anna@example.org'), cdp.customer_of('user_id', '7'), 'traits that are identifiers identify');
SELECT is(cdp.customer_of('phone', '+86 138 1234 5678'), cdp.customer_of('user_id', '7'), 'however they are spelled');
SELECT is((SELECT count(*) FROM cdp_data.load WHERE kind = 'calls'), 2::bigint, 'one load a source and day');
SELECT results_eq('SELECT state, rows_read FROM cdp_data.load WHERE kind = ''calls''', 'VALUES (''done'', 0::bigint), (''done'', 0)', 'in force from its start, not counted by the calls');
SELECT is((SELECT count(*) FROM cdp_data.link_support s WHERE s.load_id NOT IN (SELECT load_id FROM cdp_data.load WHERE kind = 'calls')), 0::bigint, 'links have the load');

-- alias
SELECT is((SELECT status FROM cdp.identify('app', '{"anonymous_id": "a-1"}')), 'written', 'an anonymous visitor');
SELECT is((SELECT array_length(merged, 1) FROM cdp.alias('app', '{"anonymous_id": "a-1"}', '{"user_id": "7"}', message_id => 'a1')), 1, 'alias makes two customers one');
SELECT is(cdp.customer_of('anonymous_id', 'a-1'), cdp.customer_of('user_id', '7'), 'who is one from then on');
SELECT is((SELECT refused -> 0 ->> 'reason' FROM cdp.alias('app', '{"user_id": "8"}', '{"user_id": "7"}')), 'limit user_id', 'two account numbers stay two, and the answer says so');
SELECT isnt(cdp.customer_of('user_id', '8'), cdp.customer_of('user_id', '7'), 'really');
SELECT throws_ok($$SELECT cdp.alias('app', '{"user_id": ""}', '{"user_id": "7"}')$$, '22023', 'an alias needs a usable identifier on both sides', 'an alias of nobody is refused');

-- track
SELECT is((SELECT (status, created)::text FROM cdp.track('shop', 'purchase', '{"user_id": "7"}', '{"items": 3}', '2026-01-05 10:00+08', 'order 11', 99.9, 'cny',
  '{"source": "baidu", "medium": "cpc", "referrer_host": "www.baidu.com"}')), '(written,f)', 'a purchase');
SELECT is((SELECT concat_ws('|', t.occurred_at, i.value, k.name, t.value, t.currency, t.properties, o.source, o.medium, o.referrer_host, n.source_key, c.channel)
  FROM cdp_data.touchpoint t JOIN cdp_data.identifier i USING (identifier_id, customer_id) JOIN cdp_data.touch_kind_all k USING (kind_id)
    JOIN cdp_data.origin o USING (origin_id) JOIN cdp_bi.origin_channel c USING (origin_id) JOIN cdp_data.touchpoint_key n USING (touchpoint_id, customer_id, occurred_at)),
  '2026-01-05 02:00:00+00|7|purchase|99.900000|CNY|{"items": 3}|baidu|cpc|www.baidu.com|order 11|Baidu Ads',
  'is a touchpoint with all that was told');
INSERT INTO state SELECT 'track', pg_temp.everything();
SELECT is((SELECT (status, touchpoint_id, customer_id)::text FROM cdp.track('shop', 'purchase', '{"user_id": "1234"}', '{}', now(), 'order 11', 5)),
  (SELECT format('(repeated,%s,%s)', touchpoint_id, cdp.customer_of('user_id', '7')) FROM cdp_data.touchpoint), 'the record again is known');
SELECT is(pg_temp.everything(), (SELECT was FROM state WHERE what = 'track'), 'and changes nothing, anywhere');
CREATE TEMP TABLE tracked AS SELECT * FROM cdp.track('shop', 'Course Clicked', '{"cookie": "c1"}', '{"title": "x"}');
SELECT is((SELECT properties FROM tracked JOIN cdp_data.touchpoint USING (touchpoint_id)),
  '{"title": "x", "$event": "Course Clicked"}', 'an event without a kind keeps its name');
TRUNCATE tracked;
INSERT INTO tracked SELECT r.* FROM unnest(ARRAY['Form Submit', 'formSubmit', 'form-submit', 'page_view']) e, LATERAL cdp.track('shop', e, '{"cookie": "c1"}') r;
SELECT is((SELECT array_agg(k.name ORDER BY t.touchpoint_id) FROM tracked JOIN cdp_data.touchpoint t USING (touchpoint_id) JOIN cdp_data.touch_kind_all k USING (kind_id)),
  ARRAY['form_submit', 'form_submit', 'form_submit', 'page_view'], 'kinds are found however they are spelled');
SELECT is((SELECT count(*) FROM cdp_internal.touchpoint_partitions() WHERE from_at = '2019-03-01 00:00+00'), 0::bigint, 'no partition of a far month');
TRUNCATE tracked;
INSERT INTO tracked SELECT * FROM cdp.track('shop', 'visit', '{"cookie": "c1"}', occurred_at => '2019-03-31 23:59:59.9+00');
SELECT is((SELECT t.tableoid::regclass::text FROM tracked JOIN cdp_data.touchpoint t USING (touchpoint_id)),
  'cdp_data.touchpoint_2019_03', 'it is made when a call needs it');
SELECT is((SELECT occurred_from FROM cdp_data.change_feed ORDER BY seq DESC LIMIT 1), '2019-03-31 23:59:59.9+00', 'the feed is told');

-- A refund that comes before its order, of another customer.
SELECT is((SELECT status FROM cdp.track('shop', 'refund', '{"cookie": "other"}', value => -5, message_id => 'r1', refers_to => 'order 12')), 'written', 'a refund');
SELECT is((SELECT touchpoint_id FROM cdp.track('shop', 'purchase', '{"user_id": "12"}', value => 50, message_id => 'order 12')),
  (SELECT t.refers_to FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key = 'r1'), 'finds the order that comes later');
SELECT is((SELECT owner_id FROM cdp_data.touchpoint_awaited WHERE source_key = 'order 12'), cdp.customer_of('user_id', '12'), 'and reports know whose it is');

-- The same records in a batch are the same records.
CREATE TEMP TABLE staging AS SELECT 'order 11' AS source_key, '2026-01-05 10:00' AS occurred_at, 'user_id' AS identifier_type, '7' AS identifier,
  'purchase' AS kind, 'baidu' AS source, 'cpc' AS medium, 'www.baidu.com' AS referrer_host, '99.90' AS value, '{"items": 3}' AS properties;
SELECT is((SELECT (inserted, corrected, unchanged)::text FROM cdp.load_touchpoints('shop', 'staging')), '(0,0,1)', 'a batch finds what a call wrote');

-- Refused, with a clear word and no personal value
SELECT throws_like($$SELECT cdp.identify('shoq', '{"user_id": "1"}')$$, 'unknown source "shoq"', 'unknown source');
SELECT throws_ok($$SELECT cdp.identify('shop', '{"user_id": null, "email": "secret@"}')$$, '22023', 'no identifier of the record can identify anybody', 'nobody');
DO $$
DECLARE
  told text;
BEGIN
  PERFORM cdp.identify('shop', '{"email": "top.secret@"}');
EXCEPTION WHEN invalid_parameter_value THEN
  GET STACKED DIAGNOSTICS told = PG_EXCEPTION_DETAIL;
  INSERT INTO state VALUES ('detail', told);
END $$;
SELECT is((SELECT was FROM state WHERE what = 'detail'), 'email: bad_email.', 'says which type and why, not the value');
SELECT throws_ok($$SELECT cdp.identify('shop', '[]')$$, '22023', 'identifiers must be a JSON object', 'identifiers that are none');
SELECT throws_ok($$SELECT cdp.identify('shop', '{"user_id": "1"}', '[]')$$, '22023', 'traits must be a JSON object', 'traits that are none');
SELECT throws_ok($$SELECT cdp.identify('shop', '{"user_id": "1"}', occurred_at => 'infinity')$$, '22008', NULL, 'an endless time');
SELECT throws_ok($$SELECT cdp.identify('shop', '{"user_id": "1"}', occurred_at => '1969-12-31')$$, '22008', NULL, 'a time before the floor');
SELECT throws_ok($$SELECT cdp.identify('shop', '{"user_id": "1"}', message_id => repeat('x', 801))$$, '22023', 'message_id must have 1 to 800 bytes', 'too long a key');
SELECT is((SELECT string_agg(s, ' ') FROM (SELECT (cdp.identify('shop', '{"user_id": "n1"}', message_id => w)).status FROM unnest(ARRAY['undefined', 'undefined', ' NULL ', 'null']) w) x (s)), 'written written written written', 'a word that says nothing is no message_id');
SELECT is((SELECT string_agg(s, ' ') FROM (SELECT (cdp.track('shop', 'purchase', '{"user_id": "n1"}', value => 1, message_id => w)).status FROM unnest(ARRAY['undefined', 'undefined', 'n/a', 'n/a']) w) x (s)), 'written written written written', 'so both orders count');
SELECT is((SELECT t.refers_to FROM cdp.track('shop', 'refund', '{"user_id": "n1"}', value => -1, refers_to => 'undefined') c JOIN cdp_data.touchpoint t USING (touchpoint_id)), NULL, 'nor does a refund refer to one');
SELECT throws_ok($$SELECT cdp.group('shop', '{"user_id": "n1"}', 'undefined')$$, '22023', NULL, 'nor is one a group');
SELECT throws_ok($$SELECT cdp.track('shop', ' ', '{"user_id": "1"}')$$, '22023', 'event must have 1 to 800 bytes', 'no event');
SELECT throws_ok($$SELECT cdp.track('shop', 'visit', '{"user_id": "1"}', value => 'NaN')$$, '22003', 'value is out of range', 'no money');
SELECT throws_ok($$SELECT cdp.track('shop', 'visit', '{"user_id": "1"}', value => 1, currency => 'XXQ')$$, '22023', 'unknown currency "XXQ"', 'unknown currency');
SELECT throws_ok($$SELECT cdp.track('shop', 'visit', '{"user_id": "1"}', origin => '{"sourse": "x"}')$$, '22023', 'unknown key "sourse" of origin', 'a misspelled origin');

-- An erased person
INSERT INTO cdp_data.suppression (digest) SELECT cdp_internal.suppression_digest(2::smallint, 'gone@example.org');
INSERT INTO state SELECT 'suppressed', pg_temp.everything();
SELECT is((SELECT array_agg(status) FROM (SELECT status FROM cdp.identify('shop', '{"cookie": "new"}', '{"email": "GONE@example.org"}')
  UNION ALL SELECT status FROM cdp.track('shop', 'visit', '{"cookie": "new", "email": "gone@example.org"}')) s), ARRAY['suppressed', 'suppressed'], 'is not taken in again');
SELECT is(pg_temp.everything(), (SELECT was FROM state WHERE what = 'suppressed'), 'and nothing of the record is kept');
SELECT * FROM finish();
