-- Landing and people: whom a value means, lists of partitions, cursors that name somebody, what stands beside records, and what an erasure finds.
SELECT no_plan();
SET client_min_messages = error;
SELECT cdp.add_source('app'), cdp.create_connection('chat', 'wecom', '{"corpid": "ww1"}', 'app'), cdp.create_connection('oa', 'wechat_oa', '{"appid": "wx1"}', 'app') \g /dev/null
SELECT cdp.add_connector('{"connector": "club", "version": 1, "base_url": "https://club.example", "tz": "UTC", "streams": {
  "members": {"path": "/m", "cursor": {"send": "query.after", "take": "$.next", "end": "empty_page"}, "records": "$.members[*]", "key": ["no"], "skip": [{"path": "hidden", "equals": true}],
    "touchpoint": {"kind": "visit", "occurred_at": {"path": "at", "format": "iso"}, "identifiers": {"user_id": "no"}}},
  "visits": {"path": "/v", "partition": {"from": "members", "value": "no"}, "query": {"no": "$partition", "day": "$window.from"}, "window": {"unit": "day", "max_days": 1, "format": "date"},
    "records": "$.visits[*]", "key": ["$partition", "at"], "ref_date": "$window.from"},
  "posts": {"path": "/p", "records": "$.posts[*]", "key": ["id"], "ref_date": {"path": "on", "format": "date"}, "metrics": {"likes": "sum"}}}}'), cdp.create_connection('club', 'club', '{}', 'app') \g /dev/null
SELECT cdp.identify('app', jsonb_build_object('user_id', u)) FROM unnest('{5,1001,12345,u-erika-77,u-late,77}'::text[]) u \g /dev/null
SELECT cdp.identify('app', '{"openid": "o6_bmjrPTlm6_2sgVt7hMZOPfL2M"}'), cdp.identify('app', '{"phone": "+8613912345678"}'), cdp.identify('app', '{"email": "anna@people.example"}') \g /dev/null
CREATE FUNCTION pg_temp.erase(type text, value text) RETURNS void LANGUAGE sql AS $$ SELECT cdp.erase_customer(cdp.customer_of(type, value), 'delete') $$;
CREATE FUNCTION pg_temp.land(connection text, stream text, body text, at text, part jsonb DEFAULT NULL, cursor text DEFAULT NULL, day date DEFAULT NULL, status integer DEFAULT 200) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.verb, concat_ws('/', r.records_read, r.inserted, r.refused, r.suppressed), r.done, r.problem) FROM cdp.ingest_page(connection, stream, convert_to(body, 'UTF8'), part, day, day, to_jsonb(cursor), status, fetched_at => (at || '+00')::timestamptz) r $$;
CREATE FUNCTION pg_temp.page() RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', body IS NOT NULL, asked - 'window', tokens IS NOT NULL) FROM cdp_data.raw_page ORDER BY page_id DESC LIMIT 1 $$;
CREATE FUNCTION pg_temp.contact(id text, way integer, remark text DEFAULT 'x') RETURNS text LANGUAGE sql AS $$
  SELECT jsonb_build_object('external_contact_list', jsonb_build_array(jsonb_build_object('external_contact', jsonb_build_object('external_userid', id, 'type', way), 'follow_info', jsonb_build_object('userid', 's', 'add_way', way, 'remark', remark))))::text $$;

-- Short values, and numbers, mean a person under their name only.
SELECT pg_temp.erase('user_id', u) FROM unnest('{5,1001,12345,u-erika-77}'::text[]) u \g /dev/null
SELECT is(pg_temp.land('chat', 'contacts', pg_temp.contact('wm-1', 5), '2026-03-01 09:00', '["s"]') || ' ' || pg_temp.page(), 'ok 1/1/0/0 t t {"partition": ["s"]} t', 'a quantity of 5 is no customer 5');
SELECT is(pg_temp.land('chat', 'contacts', pg_temp.contact('wm-2', 12345), '2026-03-01 09:01', '["s"]'), 'ok 1/1/0/0 t', 'nor is a number of 12345');
SELECT is(pg_temp.land('chat', 'contacts', pg_temp.contact('wm-3', 1, 'u-erika-77'), '2026-03-01 09:02', '["s"]') || ' ' || pg_temp.page(), 'ok 1/0/0/1 t named somebody who is suppressed f {"partition": ["s"]} f', 'a text that stands for one alone is');
SELECT is(pg_temp.land('club', 'members', '{"members": [{"no": "5", "at": "2026-03-01T00:00:00Z"}, {"no": 1001}, {"no": "6", "level": "5", "visits": 1001}]}', '2026-03-01 09:00'), 'ok 3/1/0/2 t named somebody who is suppressed', 'under the name that the manifest gives it a short one is, too');
-- Partitions.
SELECT is(pg_temp.land('chat', 'behavior', '{"behavior_data": [{"stat_time": 1772323200, "chat_cnt": 3}]}', '2026-03-03 09:00', '"1001"', NULL, '2026-03-01'), 'ok 1/1/0/0 t', 'a member of staff with the number of an erased customer is asked');
SELECT is(pg_temp.land('club', 'visits', '{"visits": []}', '2026-03-03 09:00', '"1001"', NULL, '2026-03-01') || (SELECT count(*) FROM cdp_data.stream WHERE name = 'visits'), 'skip_partition 0/0/0/1 t asked about somebody who is suppressed0', 'a partition that is a customer is not');
SELECT is(pg_temp.land('chat', 'contacts', pg_temp.contact('wm-4', 1), '2026-03-01 09:03', '["u-erika-77", "other"]') || ' ' || pg_temp.page(), 'ok 1/1/0/0 t t {"partition": ["other"]} t', 'of a list the others are');
SELECT is((SELECT string_agg(cdp_internal.allowed_part(cdp_internal.connector_manifest('wecom'), 'contacts', p)::text, ' ') FROM unnest('{"[\"a\", \"u-erika-77\"]","\"a\""}'::jsonb[]) p), '["a"] "a"', 'a planner can see that before');
SELECT is(cdp_internal.allowed_part(cdp_internal.connector_manifest('club'), 'visits', '5'), NULL, 'and whom not to ask for at all');

-- What stands beside the records, and answers that are none.
SELECT is(pg_temp.land('club', 'members', '{"members": [{"no": "8"}], "owner": "u-erika-77"}', '2026-03-02 09:00') || ' ' || pg_temp.page(), 'ok 1/1/0/0 t named somebody who is suppressed f {} f', 'beside the records: they land, the page is not kept');
SELECT is(pg_temp.land('club', 'members', '{"members": [{"no": "u-erika-77", "hidden": true}, {"no": "9"}]}', '2026-03-02 09:01') || ' ' || pg_temp.page(), 'ok 1/1/0/0 t named somebody who is suppressed f {} f', 'in records that are left out');
SELECT is(pg_temp.land('club', 'members', '{"error": "u-erika-77 is banned"}', '2026-03-02 09:02', status => 500) || ' ' || pg_temp.land('club', 'members', '{"user": "u-erika-77"}', '2026-03-02 09:03', status => 500) || ' ' || pg_temp.page(), 'retry 0/0/0/0 retry 0/0/0/0 named somebody who is suppressed f {} f', 'in an error');
SELECT is(pg_temp.land('club', 'members', '{"members": [{"no": "u-erika-77"}, {"name": "no number"}]}', '2026-03-02 09:04') || ' ' || (SELECT count(*) FROM cdp_data.raw_refused), 'ok 2/0/1/1 t named somebody who is suppressed, 1 refused records were not kept 0', 'refused records of a page that is not kept are lost, and that is said');

-- Pages of a pull that name her, and cursors that are she.
SELECT is(pg_temp.land('oa', 'users', '{"total": 3, "count": 1, "data": {"openid": ["o6_bmjrPTlm6_2sgVt7hMZOPfL2M"]}, "next_openid": "o6_bmjrPTlm6_2sgVt7hMZOPfL2M"}', '2026-03-02 10:00'), 'ok 1/1/0/0 f', 'her openid is a record and the cursor');
SELECT is((SELECT count(*) FROM cdp_data.raw_page p WHERE p::text ~ 'o6_bmjr' AND NOT tokens && cdp_internal.erase_tokens(ARRAY(SELECT identifier_id FROM cdp_data.identifier WHERE value = 'o6_bmjrPTlm6_2sgVt7hMZOPfL2M'))), 0::bigint, 'which an erasure finds');
SELECT pg_temp.erase('openid', 'o6_bmjrPTlm6_2sgVt7hMZOPfL2M') \g /dev/null
SELECT is((SELECT count(*) FROM cdp_data.raw_page p WHERE p::text ~ 'o6_bmjr') + (SELECT count(*) FROM cdp_data.raw_record r WHERE r::text ~ 'o6_bmjr') + (SELECT count(*) FROM cdp_data.stream_part t WHERE t::text ~ 'o6_bmjr'), 0::bigint, 'in page, record and cursor');
SELECT is(pg_temp.land('oa', 'users', '{"total": 3, "count": 1, "data": {"openid": ["o6_bmjrPTlm6_2sgVt7hMZOPfL2M"]}, "next_openid": "o6_bmjrPTlm6_2sgVt7hMZOPfL2M"}', '2026-03-03 10:00') || '; '
  || pg_temp.land('oa', 'users', '{"total": 3, "count": 1, "data": {"openid": ["o-2"]}, "next_openid": "o-2"}', '2026-03-03 10:01', cursor => 'o6_bmjrPTlm6_2sgVt7hMZOPfL2M') || '; ' || pg_temp.land('oa', 'users', '{"total": 3, "count": 1, "data": {"openid": []}, "next_openid": ""}', '2026-03-03 10:02', cursor => 'o-2'),
  'ok 1/0/0/1 f named somebody who is suppressed; ok 1/1/0/0 f; ok 0/0/0/0 t', 'a pull goes over her');
SELECT is((SELECT string_agg(nth || ' ' || (body IS NOT NULL), ', ' ORDER BY page_id) FROM cdp_data.raw_page JOIN cdp_data.stream USING (connection_id, stream_id) WHERE name = 'users'), '1 false, 2 true, 3 true', 'and its pages stay in their order');
SELECT is((SELECT count(*) FROM cdp_data.raw_page p JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE p::text ~ 'o6_bmjr' AND s.name = 'users' AND body IS NULL), 0::bigint, 'without her in the page that named her');
-- Days count each page of such a pull.
SELECT cdp.add_connector('{"connector": "day_club", "version": 1, "base_url": "https://club.example", "tz": "UTC", "streams": {
  "calls": {"path": "/c", "query": {"day": "$window.from"}, "window": {"unit": "day", "max_days": 1, "final_after_days": 0, "format": "date"}, "cursor": {"send": "query.after", "take": "$.next"}, "records": "$.calls[*]", "key": ["id"], "ref_date": "$window.from",
    "touchpoint": {"kind": "call", "occurred_at": {"path": "at", "format": "iso"}, "identifiers": {"user_id": "caller"}}}}}'), cdp.create_connection('calls', 'day_club', '{}', 'app') \g /dev/null
SELECT pg_temp.land('calls', 'calls', jsonb_build_object('calls', jsonb_build_array(jsonb_build_object('id', 'a' || i), jsonb_build_object('id', 'b' || i), jsonb_build_object('id', 'c' || i, 'caller', '5')), 'next', CASE WHEN i < 4 THEN 'c' || i END)::text, '2026-03-05 09:0' || i, NULL, CASE WHEN i > 1 THEN 'c' || i - 1 END, '2026-03-04')
FROM generate_series(1, 4) i ORDER BY i \g /dev/null
SELECT is((SELECT concat_ws(' ', state, records) FROM cdp_data.coverage c JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = 'calls'), 'final 8', 'pages that name somebody each count for themselves');

-- What an erasure finds: partitions in lists and in other writing, refused records of pages that go, short identifiers under their field.
SELECT pg_temp.land('chat', 'groupchats', '{"group_chat_list": [{"chat_id": "g1"}]}', '2026-03-05 09:00', '["13912345678", "s2"]'), pg_temp.land('chat', 'behavior', '{"behavior_data": []}', '2026-03-05 09:00', '"Anna@People.example"', NULL, '2026-03-03'),
  pg_temp.land('chat', 'behavior', '{"behavior_data": []}', '2026-03-05 09:00', '"77"', NULL, '2026-03-03'), pg_temp.land('club', 'visits', '{"visits": [{"at": "x"}]}', '2026-03-05 09:00', '"77"', NULL, '2026-03-03'),
  pg_temp.land('club', 'members', '{"members": [{"no": "77"}, {"name": "nobody"}]}', '2026-03-05 09:00') \g /dev/null
CREATE FUNCTION pg_temp.ledger() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(DISTINCT s.name || ' ' || c.part, ', ' ORDER BY s.name || ' ' || c.part) FROM (SELECT connection_id, stream_id, part FROM cdp_data.stream_part UNION SELECT connection_id, stream_id, part FROM cdp_data.coverage) c JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE c.part ~ '139|Anna|77' $$;
SELECT is(pg_temp.ledger(), 'behavior 77, behavior Anna@People.example, groupchats ["13912345678", "s2"], visits 77', 'parts of the ledger');
SELECT pg_temp.erase('phone', '+8613912345678'), pg_temp.erase('email', 'anna@people.example') \g /dev/null
SELECT is(pg_temp.ledger(), 'behavior 77, visits 77', 'go, in a list and in another writing');
SELECT is((SELECT count(*) FROM cdp_data.raw_refused), 1::bigint, 'a record that was refused');
SELECT pg_temp.erase('user_id', '77') \g /dev/null
SELECT is(pg_temp.ledger(), 'behavior 77', 'a short one goes where the manifest says that it is a customer; staff of that number stays');
SELECT is((SELECT count(*) FROM cdp_data.raw_refused) || ' ' || (SELECT count(*) FROM cdp_data.raw_record r WHERE r.record_key = '77'), '0 0', 'with her page goes what was refused in it');
SELECT is((SELECT count(*) FROM cdp_data.raw_page p WHERE convert_from(body, 'UTF8') ~ '"77"'), 0::bigint, 'and no page has her');
-- A stream that names people since its manifest was mended.
SELECT is(pg_temp.land('club', 'posts', '{"posts": [{"id": "p1", "by": "u-late", "on": "2026-03-06"}, {"id": "p2", "by": "u-late", "on": "2026-03-06", "likes": 3}]}', '2026-03-06 09:00') || pg_temp.land('club', 'posts', '{"posts": [{"id": "p1", "by": "u-late", "on": "2026-03-06"}, {"id": "p2", "by": "u-late", "on": "2026-03-06", "likes": 4}]}', '2026-03-06 10:00') || (SELECT count(tokens) FROM cdp_data.raw_record JOIN cdp_data.stream USING (connection_id, stream_id) WHERE name = 'posts'), 'ok 2/2/0/0 tok 2/0/0/0 t0', 'a stream of figures has no words');
UPDATE cdp_data.connector c SET manifest = jsonb_set(manifest, '{streams,posts,pii}', '["by"]') WHERE c.connector = 'club';
SELECT cdp.replay_page(page_id) FROM cdp_data.raw_page JOIN cdp_data.stream USING (connection_id, stream_id) WHERE name = 'posts' ORDER BY page_id \g /dev/null
SELECT pg_temp.erase('user_id', 'u-late') \g /dev/null
SELECT is((SELECT count(*) FROM cdp_data.raw_record r WHERE r::text ~ 'u-late') + (SELECT count(*) FROM cdp_data.raw_record_history r WHERE r::text ~ 'u-late') + (SELECT count(*) FROM cdp_data.raw_page WHERE convert_from(body, 'UTF8') ~ 'u-late'), 0::bigint, 'replayed, it has: record, history and page go');
-- The bulk replay of docs/landing.md goes through, whatever was erased.
SELECT lives_ok($$SELECT r.* FROM (SELECT DISTINCT f.page_id FROM cdp_data.raw_refused f JOIN cdp_data.raw_page g USING (page_id) WHERE g.body IS NOT NULL ORDER BY f.page_id) p, LATERAL cdp.replay_page(p.page_id) r$$, 'refused pages replay');
SELECT * FROM finish();
