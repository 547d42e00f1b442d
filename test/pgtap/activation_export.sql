-- Export of an audience: lines of CSV and NDJSON, what may be in them, and who lets them pass.
BEGIN;
SELECT plan(43);
SET LOCAL client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT cdp.add_attribute('motto'), cdp.add_attribute('diet', sensitivity => 'sensitive');
SELECT count(cdp.identify('shop', x.ids, x.traits)) FROM (VALUES
  ('{"email": "ann@example.org", "phone": "+4915123456789"}'::jsonb, '{"city": "Xi''an, old town", "motto": "=1+1", "membership_points": -5}'::jsonb),
  ('{"email": "bob@example.org"}', '{"city": "say \"hi\"", "motto": "two\nlines", "tags": ["a", "b"]}'),
  ('{"email": "cat@example.org"}', '{"city": " lead", "motto": "-1 day"}'), ('{"email": "dan@example.org"}', '{"city": "Ürümqi", "motto": "@SUM(A1)", "membership_points": 7.5}'),
  ('{"email": "eve@example.org"}', '{"city": "Rome"}'), ('{"email": "no@example.org"}', '{"city": "Rome"}')) AS x (ids, traits);
SELECT count(cdp.identify('shop', jsonb_build_object('email', 'e' || i || '@example.org', 'user_id', 'ann'))) FROM generate_series(1, 1) i;
SELECT count(cdp.record_consent('shop', 'marketing', 'granted', jsonb_build_object('email', n || '@example.org'))) FROM unnest('{ann,bob,cat,dan,eve}'::text[]) n;
SELECT cdp.create_segment('all', 'city is known', 'marketing', 'email');
SELECT count(*) FROM cdp.segment_tick();
SELECT cdp.allow_purposes('attribute', 'diet', '{service}');
CREATE FUNCTION pg_temp.id(n text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('email', n || '@example.org') $$;

SELECT throws_ok($$SELECT cdp.request_audience_export('al')$$, '42704', NULL, 'a segment that is none');
SELECT throws_ok($$SELECT cdp.request_audience_export('all', '{mail}')$$, '22023', 'there is no type of identifiers named "mail"', 'an identifier that is none');
SELECT throws_ok($$SELECT cdp.request_audience_export('all', '{NULL}')$$, '22023', NULL, 'a NULL');
SELECT throws_ok($$SELECT cdp.request_audience_export('all', attributes => '{town}')$$, '22023', 'there is no attribute "town" that can be exported', 'an attribute that is none');
SELECT throws_ok($$SELECT cdp.request_audience_export('all', attributes => '{city,diet}')$$, '22023', 'attribute "diet" may not be used for marketing', 'one that the purpose does not allow');
SELECT throws_ok($$SELECT cdp.request_audience_export('all', holdout => 'x')$$, '42704', NULL, 'a holdout that is none');
SELECT cdp.request_audience_export('all', '{email,phone}', '{city,motto,membership_points}', reason => 'test') AS e \gset
SELECT is((SELECT what || '; ' || audience || ' ' || purpose || ' ' || state FROM cdp_bi.export_request), 'segment ''all'': customer; identifiers email, phone; attributes city, motto, membership_points; 5 marketing approved', 'the register says what leaves');
SELECT throws_ok(format('SELECT cdp.export_audience(%s, ''all'', ''{email}'')', :e), '42501', format('export %s is about something else', :e), 'nothing else leaves under it');
SELECT isnt(cdp_internal.export_words('s', NULL, '{email,wechat}', '{city}', NULL), cdp_internal.export_words('s', NULL, '{email}', '{wechat,city}', NULL), 'an identifier is not an attribute of the same name');
SELECT throws_ok(format('SELECT cdp.export_audience(%s, ''all'', ''{email,phone}'', ''{city,motto,membership_points}'', format => ''xml'')', :e), '22023', NULL, 'a format that is none');
CREATE TEMP TABLE line AS SELECT row_number() OVER () AS n, l FROM cdp.export_audience(:e, 'all', '{email,phone}', '{city,motto,membership_points}') l;
SELECT results_eq('SELECT l FROM line ORDER BY n', format($$SELECT l FROM (VALUES (0, 'customer,email,phone,city,motto,membership_points'),
  (%s, '%1$s,ann@example.org,"''+4915123456789","Xi''an, old town","''=1+1",-5'), (%s, E'%2$s,bob@example.org,,"say ""hi""","two\nlines",'),
  (%s, '%3$s,cat@example.org,,lead,"''-1 day",'), (%s, '%4$s,dan@example.org,,Ürümqi,"''@SUM(A1)",7.5'), (%s, '%5$s,eve@example.org,,Rome,,')) v (i, l) ORDER BY i$$,
  pg_temp.id('ann'), pg_temp.id('bob'), pg_temp.id('cat'), pg_temp.id('dan'), pg_temp.id('eve')), 'as CSV, formulas guarded');
SELECT throws_ok(format('SELECT cdp.export_audience(%s, ''all'', ''{email,phone}'', ''{city,motto,membership_points}'')', :e), '55000', NULL, 'once');
SELECT is((SELECT state || ' ' || done_size FROM cdp_bi.export_request), 'done 5', 'the register notes it');
SELECT is((SELECT string_agg(action, ' ' ORDER BY audit_id) FROM cdp_data.audit WHERE action IN ('export', 'read')), 'export export read', 'so does the audit');
SELECT cdp.request_audience_export('all', '{phone}', '{motto}') AS e \gset
SELECT is((SELECT string_agg(l, '|') FROM cdp.export_audience(:e, 'all', '{phone}', '{motto}', header => false, guard_formulas => false) l WHERE l LIKE '%+%'), pg_temp.id('ann') || ',+4915123456789,=1+1', 'for machines: as they are, without names of columns');
SELECT cdp.request_audience_export('all', '{email}', '{city,tags,motto}') AS e \gset
CREATE TEMP TABLE document AS SELECT l::jsonb AS d, l FROM cdp.export_audience(:e, 'all', '{email}', '{city,tags,motto}', format => 'ndjson') l;
SELECT is((SELECT count(*) FROM document WHERE l !~ E'\n'), 5::bigint, 'as NDJSON: a line each');
SELECT is((SELECT d FROM document WHERE d ->> 'customer' = pg_temp.id('bob')::text), jsonb_build_object('customer', pg_temp.id('bob'), 'identifiers', '{"email": ["bob@example.org"]}'::jsonb,
  'attributes', '{"city": "say \"hi\"", "tags": ["a", "b"], "motto": "two\nlines"}'::jsonb), 'with what was asked for');
SELECT is((SELECT d FROM document WHERE d ->> 'customer' = pg_temp.id('eve')::text), jsonb_build_object('customer', pg_temp.id('eve'), 'identifiers', '{"email": ["eve@example.org"]}'::jsonb, 'attributes', '{"city": "Rome"}'::jsonb), 'and what is not known left out');

-- Fields of CSV: another reader (COPY) reads back what was written.
SELECT is((SELECT string_agg(cdp_internal.csv_field(v, false), ',' ORDER BY n) FROM unnest(ARRAY['a', '', NULL, 'a,b', 'a"b', E'a\nb', E'a\rb', ' a', 'a ', '=1', '''']) WITH ORDINALITY u (v, n)),
  E'a,"",,"a,b","a""b","a\nb","a\rb"," a","a ",=1,''', 'fields as RFC 4180 has them');
SELECT is((SELECT string_agg(cdp_internal.csv_field(v, true), ',' ORDER BY n) FROM unnest(ARRAY['=1', '+1', '-1', '-1.5', '--1', '@a', E'\ta', 'a=1', '-1e5', '']) WITH ORDINALITY u (v, n)),
  E'"''=1","''+1",-1,-1.5,"''--1","''@a","''\ta",a=1,"''-1e5",""', 'guarded');
SELECT is((SELECT string_agg(cdp_internal.csv_field(v, true), ',' ORDER BY n) FROM unnest(ARRAY['＝1', '＋1', '－1', '＠a', ' =1', E'\n=1', ' a', '1-1']) WITH ORDINALITY u (v, n)),
  E'"''＝1","''＋1","''－1","''＠a","'' =1","''\n=1"," a",1-1', 'wide signs, and signs after blanks');
CREATE TEMP TABLE field (n int, v text);
INSERT INTO field SELECT n, (SELECT string_agg(substr(E'a",\n\r\t ''=+-@;é中', 1 + floor(random() * 17)::int, 1), '') FROM generate_series(1, n % 9) WHERE n > 0) FROM (SELECT setseed(0.7)) s, generate_series(1, 500) n;
\set made `mktemp`
\setenv MADE :made
\o :made
SELECT n || ',' || cdp_internal.csv_field(v, false) FROM field ORDER BY n;
\o
CREATE TEMP TABLE back (n int, v text);
\set copy '\\copy back FROM ' :made ' WITH (FORMAT csv)'
:copy
\! rm -f "$MADE"
SELECT results_eq('SELECT n, v FROM back ORDER BY n', 'SELECT n, v FROM field ORDER BY n', 'COPY reads back what was written');

-- Holdout, minimum audience, consent now, another purpose, approval by another.
INSERT INTO cdp_data.holdout (name, share, salt) VALUES ('half', 0.5, 3);
SELECT cdp.request_audience_export('all', holdout => 'half') AS e \gset
SELECT set_eq(format('SELECT cdp.export_audience(%s, ''all'', holdout => ''half'', header => false)', :e), $$SELECT m::text FROM cdp.segment_audience('all') m WHERE cdp.holdout_arm('half', m) = 'treatment'$$, 'who is held out is not in it');
SELECT is((SELECT count(*) FROM cdp_data.holdout_assignment), 5::bigint, 'and arms are kept');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.holdout_assignment WHERE arm = 'control'), '>', 0::bigint, 'of both sorts');
SELECT cdp.request_audience_export('all') AS e \gset
SELECT cdp.record_consent('shop', 'marketing', 'withdrawn', '{"email": "eve@example.org"}', channel => 'email') IS NOT NULL;
SELECT is((SELECT count(*) FROM cdp.export_audience(:e, 'all', header => false)), 4::bigint, 'who withdrew since it was let pass is not in it');
SELECT cdp.request_audience_export('all', channel => 'sms') AS e \gset
SELECT is((SELECT count(*) FROM cdp.export_audience(:e, 'all', channel => 'sms', header => false)), 5::bigint, 'on another channel he is');
SELECT cdp.request_audience_export('all') AS e \gset
SELECT cdp.record_consent('shop', 'marketing', 'granted', '{"email": "eve@example.org"}', channel => 'email') IS NOT NULL;
SELECT throws_ok(format('SELECT cdp.export_audience(%s, ''all'')', :e), '42501', NULL, 'more than were let pass do not leave');
UPDATE cdp_data.setting SET minimum_audience = 6;
SELECT throws_ok($$SELECT cdp.request_audience_export('all')$$, '42501', NULL, 'nor fewer than the minimum audience');
UPDATE cdp_data.setting SET minimum_audience = NULL, export_approval_above = 2;
SELECT cdp.request_audience_export('all') AS e \gset
SELECT throws_ok(format('SELECT cdp.export_audience(%s, ''all'')', :e), '55000', NULL, 'nor many before another person let them');
SELECT throws_ok(format('SELECT cdp.export_audience(%s, ''all'')', 99999), '22023', NULL, 'nor an export that nobody asked for');
UPDATE cdp_data.export_request SET state = 'approved', decided_by = 'another' WHERE export_id = :e;
SELECT is((SELECT count(*) FROM cdp.export_audience(:e, 'all', header => false)), 5::bigint, 'then they do');
-- For a destination: its purpose, and what is declared for it, also when that changed since.
SELECT cdp.add_destination('desk', 'service'), cdp.add_destination('mailer', 'marketing', 'email', '{city}');
SELECT throws_ok($$SELECT cdp.request_audience_export('all', destination => 'desk')$$, '22023', 'the destination may not get this segment: the segment is for marketing, the destination for service', 'a destination for another purpose');
SELECT throws_ok($$SELECT cdp.request_audience_export('all', attributes => '{city,motto}', destination => 'mailer')$$, '22023', 'attribute "motto" is not declared for the destination', 'an attribute that a destination may not get');
SELECT throws_ok($$SELECT cdp.request_audience_export('all', destination => 'mail')$$, '22023', 'unknown destination "mail"', 'a destination that is none');
UPDATE cdp_data.setting SET export_approval_above = NULL;
SELECT cdp.request_audience_export('all', attributes => '{city}', destination => 'mailer') AS e \gset
SELECT cdp.add_destination('mailer', 'marketing', 'email', '{}');
SELECT throws_ok(format('SELECT cdp.export_audience(%s, ''all'', attributes => ''{city}'')', :e), '22023', 'attribute "city" is not declared for the destination', 'nor one that it may not get any more');
SELECT cdp.add_destination('mailer', 'marketing', 'email', '{city}');
SELECT is((SELECT count(*) FROM cdp.export_audience(:e, 'all', attributes => '{city}', header => false)), 5::bigint, 'what fits leaves');
-- A use of the segment, and only of that one.
SELECT cdp.create_segment('all: those', 'city is known', 'marketing'), cdp.create_segment('al', 'city is known', 'marketing');
SELECT results_eq($$SELECT s.name COLLATE "default", u.what, u.last_used FROM cdp.segment_uses() u JOIN cdp_data.segment s USING (segment_id)$$, $$SELECT 'all', 'exports', max(done_at) FROM cdp_data.export_request$$, 'exports use the segment');
-- The part of privacy makes exports, and nobody of less.
CREATE ROLE export_privacy;
CREATE ROLE export_marketer;
CALL cdp.setup(privacy => 'export_privacy', marketer => 'export_marketer');
SET LOCAL ROLE export_privacy;
SELECT cdp.request_audience_export('all', '{email}', '{city}') AS e \gset
SELECT is((SELECT count(*) FROM cdp.export_audience(:e, 'all', '{email}', '{city}', header => false) l WHERE l ~ '^\d+,[a-z]+@example.org,'), 5::bigint, 'privacy exports');
SET LOCAL ROLE export_marketer;
SELECT lives_ok($$SELECT cdp.request_audience_export('all', '{email}')$$, 'a marketer asks');
SELECT throws_ok($$SELECT cdp.export_audience(cdp.request_audience_export('all', '{email}'), 'all', '{email}')$$, '42501', NULL, 'a marketer does not read identifiers in this way');
RESET ROLE;
SELECT throws_ok($$SELECT cdp.edit_segment('all', 'diet is missing')$$, '22023', NULL, 'a rule that its purpose does not allow has no audience to export');
SELECT cmp_ok(length(cdp_internal.export_words('s', NULL, ARRAY(SELECT 'type ' || i FROM generate_series(1, 90) i), '{}', NULL)), '<=', 200, 'long lists of columns fit into the register');
SELECT * FROM finish();
ROLLBACK;
