-- Hostile names and values all the way: quotes, SQL, patterns, formats and Chinese as names of properties, kinds, sources, campaigns,
-- attributes, lists, holdouts and segments and as their values find exactly whom they mean, by JSON and by text, in runs, explanations,
-- previews and reports. Rules as large and as deep as they may be, windows and moments that cannot be, and circles.
BEGIN;
SELECT plan(39);
SET client_min_messages = error;
CREATE TEMP TABLE word (n int GENERATED ALWAYS AS IDENTITY, w text);
INSERT INTO word (w) VALUES ($$'; DROP TABLE cdp_data.segment; --$$), ($$"; SELECT pg_sleep(99); --$$), ('$1'), ('%s%I%L%%'), ('\x27\'''), ('{"did":"visit"}'), ('微信😀'), ('NULL'), ('where'), ('a%_b'), ('/~1~0'), ('ﬁ'), (repeat('ж', 60));
SELECT count(*) AS words FROM word \gset
SELECT count(*) AS tables FROM pg_class WHERE relnamespace IN ('cdp'::regnamespace, 'cdp_data'::regnamespace, 'cdp_internal'::regnamespace) \gset
SELECT cdp.add_source('shop', 'UTC') \g /dev/null
SELECT cdp.add_source(w, 'UTC') FROM word \g /dev/null
INSERT INTO cdp_data.campaign (name) SELECT w FROM word;
INSERT INTO cdp_data.touch_kind (kind_id, name) SELECT 2000 + n, w FROM word;
SELECT cdp.add_attribute(w, 'text', 'latest', sensitivity => 'internal') FROM word WHERE w !~ '\s' AND octet_length(w) <= 63 \g /dev/null
-- Customer n is the one of word n, in every way that there is.
SELECT cdp.track(w, 'visit', jsonb_build_object('user_id', 'u' || n), jsonb_build_object(w, w), '2026-05-01 10:00+00', 'v' || n, origin => jsonb_build_object('source', 'x', 'medium', 'y', 'campaign', w)) FROM word \g /dev/null
SELECT cdp.track('shop', w, jsonb_build_object('user_id', 'u' || n), '{}', '2026-05-01 11:00+00', 'k' || n) FROM word \g /dev/null
SELECT cdp.identify('shop', jsonb_build_object('user_id', 'u' || n), jsonb_build_object('city', w, 'interests', jsonb_build_array(w), w, 'value ' || w)) FROM word \g /dev/null
UPDATE cdp_data.touchpoint t SET campaign_id = c.campaign_id FROM word JOIN cdp_data.campaign c ON c.name = w WHERE t.customer_id = cdp.customer_of('user_id', 'u' || n);
SELECT cdp.upload_list(w, 'user_id', ARRAY['u' || n]) FROM word \g /dev/null
SELECT cdp.create_holdout(w, 0.5) FROM word \g /dev/null

CREATE TEMP TABLE asked AS
SELECT n, w, what, jsonb_build_object('v', 1, 'where', node) AS rule, format('%s %s', what, w) AS name FROM word, LATERAL (VALUES
  ('eq', jsonb_build_object('attr', 'city', 'eq', w)), ('in', jsonb_build_object('attr', 'city', 'in', jsonb_build_array(w, 'nowhere'))), ('prefix', jsonb_build_object('attr', 'city', 'prefix', w)),
  ('suffix', jsonb_build_object('attr', 'city', 'suffix', w)), ('contains', jsonb_build_object('attr', 'city', 'contains', w)), ('has', jsonb_build_object('attr', 'interests', 'has', w)),
  ('prop', jsonb_build_object('did', 'visit', 'last', '90 days', 'where', jsonb_build_object('prop', w, 'eq', w))), ('last_value', jsonb_build_object('did', 'visit', 'last', '90 days', 'last_value', w, 'eq', w)),
  ('distinct', jsonb_build_object('did', 'visit', 'last', '90 days', 'distinct', w, 'gte', 1)), ('source', jsonb_build_object('did', 'visit', 'last', '90 days', 'where', jsonb_build_object('field', 'source', 'eq', w))),
  ('campaign', jsonb_build_object('did', 'visit', 'last', '90 days', 'where', jsonb_build_object('field', 'campaign', 'eq', w))), ('kind', jsonb_build_object('did', w, 'last', '90 days')),
  ('seq', jsonb_build_object('seq', jsonb_build_array('{"did": "visit"}'::jsonb, jsonb_build_object('did', w, 'within', '2 hours')), 'last', '90 days')), ('list', jsonb_build_object('list', w)),
  ('attr', jsonb_build_object('attr', w, 'eq', 'value ' || w))) v (what, node)
WHERE what <> 'attr' AND (w <> 'NULL' OR NOT what IN ('eq', 'in', 'prefix', 'suffix', 'contains', 'has')) OR what = 'attr' AND w !~ '\s' AND octet_length(w) <= 63; -- of an attribute the word NULL is blank
INSERT INTO asked SELECT n, w, 'segment', jsonb_build_object('v', 1, 'where', jsonb_build_object('segment', 'eq ' || w)), format('segment %s', w) FROM word WHERE w <> 'NULL';
SELECT is((SELECT string_agg(name, ', ') FROM asked WHERE cdp.segment_rule(cdp.segment_rule_text(rule)) <> rule), NULL, 'each can be written as text and read again');
-- One by JSON, the next by text.
SELECT cdp.create_segment(name, rule, 'service') FROM asked WHERE n % 2 = 0 AND what <> 'segment' \g /dev/null
SELECT cdp.create_segment(name, cdp.segment_rule_text(rule), 'service') FROM asked WHERE n % 2 = 1 AND what <> 'segment' \g /dev/null
SELECT cdp.create_segment(name, rule, 'service') FROM asked WHERE what = 'segment' \g /dev/null
SELECT kind FROM cdp.segment_tick('2026-06-01 00:00+00') \g /dev/null
SELECT is((SELECT string_agg(format('%s: %s', name, m), ', ') FROM asked, LATERAL (SELECT ARRAY(SELECT cdp.segment_members(name)) AS m) x WHERE m IS DISTINCT FROM ARRAY[cdp.customer_of('user_id', 'u' || n)]), NULL, 'each finds its one customer');
SELECT is((SELECT count(*) FROM asked JOIN cdp_data.segment s USING (name) JOIN cdp_data.segment_version v USING (segment_id) WHERE v.rule = asked.rule), (SELECT count(*) FROM asked), 'and is kept as it was given');
SELECT is((SELECT count(*) FROM cdp_data.segment_state WHERE error IS NOT NULL), 0::bigint, 'none has an error');
SELECT is((SELECT string_agg(name, ', ') FROM asked WHERE n <= 6 AND NOT (SELECT result FROM cdp.segment_explain(name, cdp.customer_of('user_id', 'u' || n), '2026-06-01 00:00+00') WHERE path = '/where')), NULL, 'explanations say so');
SELECT is((SELECT (count(*), count(*) FILTER (WHERE customers = 1))::text FROM cdp.segment_preview((SELECT jsonb_agg(rule) FROM asked), 'service', exact => true, as_of => '2026-06-01 00:00+00')), (SELECT (count(*), count(*))::text FROM asked), 'a preview of all of them, too');
SELECT is((SELECT string_agg(name, ', ') FROM asked WHERE what <> 'distinct' AND strpos(cdp.segment_describe(rule), replace(w, '''', '''''')) = 0 AND strpos(cdp.segment_describe(rule), replace(w, '"', '""')) = 0), NULL, 'each is told in words with its word in it');
SELECT lives_ok($$SELECT cdp.segment_describe(rule, 'zh'), cdp.segment_describe(rule, 'expansion') FROM asked$$, 'in Chinese as well');
SELECT lives_ok($$SELECT (SELECT count(*) FROM cdp.segment_explain_plan(name, true, '2026-06-01 00:00+00')), (SELECT count(*) FROM cdp.segment_uses()) FROM asked WHERE n IN (1, 4)$$, 'so are plans and uses');
SELECT lives_ok($$SELECT cdp.refresh_segment_profiles(), (SELECT count(*) FROM cdp_bi.segment_overview), (SELECT count(*) FROM cdp_bi.segment_member), (SELECT count(*) FROM cdp_bi.segment_profile), (SELECT count(*) FROM cdp_bi.segment_overlap), (SELECT count(*) FROM cdp_bi.segment_unused)$$, 'views stand');
SELECT is((SELECT count(*) FROM cdp.segment_drivers('eq $1') WHERE value IN (SELECT w FROM word)) > 0, true, 'and what tells members from others names them as they are');
SELECT is((SELECT count(*) FROM word WHERE cdp.holdout_arm(w, cdp.customer_of('user_id', 'u' || n)) = 'control' AND (SELECT customers FROM cdp.segment_preview(jsonb_build_object('v', 1, 'where', jsonb_build_object('all', jsonb_build_array(jsonb_build_object('holdout', w), jsonb_build_object('list', w)))), exact => true)) <> 1), 0::bigint, 'holdouts by such names');
SELECT is((SELECT count(*) FROM word, cdp.funnel(ARRAY['visit', replace(replace(w, '\', '\\'), '|', '\|')], '2 hours') f WHERE f.step = 2 AND f.customers = 1), :words::bigint, 'journeys to such kinds');
SELECT is((SELECT count(*) FROM word, cdp.paths(by => 'property:' || w, top => NULL) p WHERE p.steps @> ARRAY[w]), :words::bigint, 'and by such properties');
SELECT lives_ok($$SELECT cdp.rename_segment(name, 'x' || name) FROM asked WHERE what = 'eq'$$, 'segments are renamed in the rules that name them');
SELECT is((SELECT count(*) FROM cdp_data.segment s JOIN cdp_data.segment_version v USING (segment_id) JOIN word ON v.rule -> 'where' ->> 'segment' = 'xeq ' || w), :words - 1::bigint, 'all of them');
SELECT cmp_ok((SELECT count(*) FROM pg_class WHERE relnamespace IN ('cdp'::regnamespace, 'cdp_data'::regnamespace, 'cdp_internal'::regnamespace)), '>=', :tables::bigint, 'nothing was dropped');
-- Names that are none.
SELECT throws_ok(format('SELECT cdp.create_segment(%L, %L::jsonb, ''service'')', n, '{"where": {"all": []}}'), '22023', NULL, 'no name: ' || left(to_jsonb(n)::text, 20)) FROM unnest(ARRAY['', '  ', E'a\nb', E'a\tb', repeat('x', 201)]) n;

-- As large and as deep as a rule may be: 999 conditions in one, 31 opposites of one.
SELECT is((SELECT array_agg(customers ORDER BY nth) FROM cdp.segment_preview((SELECT jsonb_build_array(
    jsonb_build_object('where', jsonb_build_object('any', (SELECT jsonb_agg(jsonb_build_object('attr', 'city', 'eq', CASE WHEN i <= :words THEN (SELECT w FROM word WHERE n = i) ELSE 'c' || i END)) FROM generate_series(1, 999) i))),
    ('{"where":' || repeat('{"not":', 30) || '{"attr":"city","eq":"$1"}' || repeat('}', 31))::jsonb, ('{"where":' || repeat('{"not":', 31) || '{"attr":"city","eq":"$1"}' || repeat('}', 32))::jsonb,
    jsonb_build_object('where', jsonb_build_object('attr', 'city', 'in', (SELECT jsonb_agg(CASE i WHEN 1 THEN '$1' ELSE 'c' || i END) FROM generate_series(1, 10000) i))))), exact => true)), ARRAY[:words - 1, 1, :words - 1, 1]::bigint[], 'the largest rules are reckoned right');
-- Beyond it: an error with a path and a hint, by every door.
CREATE FUNCTION pg_temp.says(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; h text;
BEGIN
  EXECUTE call;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
  RETURN concat_ws('|', SQLSTATE, SQLERRM, regexp_replace(d, '(/not){30,}', '/not..'), CASE WHEN h <> '' THEN 'hint' END);
END $$;
SELECT is(pg_temp.says(format(door, ('{"where":' || repeat('{"not":', 2000) || '{"list":"$1"}' || repeat('}', 2001))::jsonb)), answer, 'two thousand levels: ' || left(door, 40)) FROM (VALUES
  ('SELECT cdp.create_segment(''x'', %L::jsonb, ''service'')', '22023|conditions are nested more than 32 deep|E_DEPTH at /where/not..; 1 errors in all.|hint'),
  ('SELECT cdp.edit_segment(''eq2'', %L::jsonb)', '42704|there is no segment named "eq2"||hint')) v (door, answer);
SELECT is(pg_temp.says(format('SELECT cdp.create_segment(''x'', %L::jsonb, ''service'')', jsonb_build_object('where', jsonb_build_object('any', (SELECT jsonb_agg('{"list": "$1"}'::jsonb) FROM generate_series(1, 5000)))))), '22023|the rule has more than 1000 conditions|E_SIZE at /where/any/999; 1 errors in all.|hint', 'five thousand conditions');
SELECT is((SELECT string_agg(path || ' ' || code, ', ') FROM cdp.segment_check(jsonb_build_object('where', jsonb_build_object('any', (SELECT jsonb_agg(jsonb_build_object('all', (SELECT jsonb_agg('{"list": "$1"}'::jsonb) FROM generate_series(1, 90)))) FROM generate_series(1, 60))))) WHERE severity = 'error'), '/where/any/10/all/88 E_SIZE', 'or many groups');

-- A text that can not be read is an error of the check as well.
SELECT is((SELECT string_agg(concat_ws('|', path, code, severity, message, CASE WHEN hint <> '' THEN hint END), E'\n') FROM cdp.segment_check(t, 'service')), found, 'a text: ' || left(t, 30)) FROM (VALUES
  ('count(visit lats 30 days) >= 2', '|E_SYNTAX|error|the rule text cannot be read: line 1, column 13 (offset 12): a window, "where" or ) is expected, but there is "lats"|Did you mean "last"?'),
  ('{"where": ', '|E_SYNTAX|error|invalid input syntax for type json: the input string ended unexpectedly'), (repeat('not ', 300) || 'city is known', '|E_DEPTH|error|the rule text is nested too deeply: more than 200 brackets and nots stand in each other'),
  ('citty = ''x'' and did(visitt last 1 day)', E'/where/all/0/attr|E_UNKNOWN_ATTR|error|attribute "citty" is not known|Did you mean "city"?\n/where/all/1/did|E_UNKNOWN_KIND|error|kind of events "visitt" is not known|Did you mean "visit"?')) v (t, found);

-- A circle of three is named whole.
SELECT cdp.create_segment('ring a', 'did(visit)', 'service'), cdp.create_segment('ring b', 'segment "ring a"', 'service'), cdp.create_segment('ring "c"', 'not segment "ring b"', 'service') \g /dev/null
SELECT is(pg_temp.says($$SELECT cdp.edit_segment('ring a', 'did(visit) and not (segment "ring ""c""" or nobody)')$$), '22023|the segments name each other in a circle: "ring a" -> "ring "c"" -> "ring b" -> "ring a"|E_CYCLE at /where/all/1/not/any/0/segment; 1 errors in all.|hint', 'a circle through others');
SELECT is(pg_temp.says($$SELECT cdp.edit_segment('ring a', 'segment "ring a"')$$), '22023|the segments name each other in a circle: "ring a" -> "ring a"|E_CYCLE at /where/segment; 1 errors in all.|hint', 'and with itself');

-- Windows that cannot be, wherever a duration stands: one error, at that place.
SELECT cdp_internal.segment_catalog() AS known \gset
CREATE TEMP TABLE place (path text, rule text);
INSERT INTO place VALUES ('/last', '{"did": "visit", "last": %s}'), ('/between/0', '{"did": "visit", "between": [%s, "1 day"]}'), ('/last', '{"attr": "last_seen", "last": %s}'), ('/next', '{"attr": "last_seen", "next": %s}'),
  ('/before_last', '{"attr": "last_seen", "before_last": %s}'), ('/anniversary_next', '{"attr": "birthday", "anniversary_next": %s}'), ('/last', '{"first_time": "visit", "last": %s}'), ('/between/0', '{"stopped": "visit", "between": [%s, "1 day"]}'),
  ('/between/1', '{"stopped": "visit", "between": ["9 days", %s]}'), ('/after', '{"resumed": "visit", "after": %s, "last": "1 day"}'), ('/last', '{"resumed": "visit", "after": "1 day", "last": %s}'), ('/last', '{"seq": [{"did": "visit"}, {"did": "purchase"}], "last": %s}'),
  ('/seq/1/within', '{"seq": [{"did": "visit"}, {"did": "purchase", "within": %s}], "last": "9 days"}'), ('/seq/1/within', '{"seq": [{"did": "visit"}, {"absent": "purchase", "within": %s}], "last": "9 days"}'), ('/total', '{"seq": [{"did": "visit"}, {"did": "purchase"}], "last": "9 days", "total": %s}'),
  ('/last', '{"did": "visit", "last": %s, "sum": "x", "gte": 1}'), ('/not/last', '{"not": {"did": "visit", "last": %s}}');
CREATE TEMP TABLE span (s text);
INSERT INTO span VALUES ('0 days'), ('-1 days'), ('-0 weeks'), ('1000000 years'), ('999999999999999999999999999 days'), ('9223372036854775807 weeks'), ('1.5 days'), ('1e3 days'), ('5'), ('days'), (''), (' '), ('P1D'), ('1 fortnight'), ('1 day 2 hours'), ('''; DROP TABLE x; --'), ('１ day');
SELECT is((SELECT string_agg(format('%s with %s: %s', rule, s, found), E'\n') FROM place, span, LATERAL (
    SELECT string_agg(path || ' ' || code, ', ') AS found FROM cdp_internal.rule_check(jsonb_build_object('where', format(rule, to_jsonb(s))::jsonb), :'known') WHERE severity = 'error') x
  WHERE found IS DISTINCT FROM '/where' || place.path || ' E_WINDOW'), NULL, 'durations of nothing, less, a million years and other words');
SELECT is((SELECT string_agg(format('%s with %s: %s', rule, s, found), E'\n') FROM place, unnest(ARRAY['5', 'null', 'true', '[]', '{}']) s, LATERAL (
    SELECT string_agg(path || ' ' || code, ', ') AS found FROM cdp_internal.rule_check(jsonb_build_object('where', format(rule, s)::jsonb), :'known') WHERE severity = 'error') x
  WHERE found IS DISTINCT FROM '/where' || place.path || ' E_TYPE'), NULL, 'and what is no text');
SELECT is((SELECT string_agg(format('%s: %s', s, found), E'\n') FROM unnest(ARRAY['infinity', '-infinity', 'now', 'yesterday', '0000-01-01', '2026-13-01', '2026-02-30', '10000-01-01', '999999-01-01', '2026-01-01T25:00:00', '2026-01-01T00:00:00+99:00', '1/2/2026', '']) s, LATERAL (
    SELECT string_agg(path || ' ' || code, ', ') AS found FROM cdp_internal.rule_check(jsonb_build_object('where', jsonb_build_object('did', 'visit', 'since', s)), :'known') WHERE severity = 'error') x WHERE found IS DISTINCT FROM '/where/since E_WINDOW'), NULL, 'moments that are none');
-- Moments at which nothing can be asked: an error, or an answer about nobody.
SELECT is((SELECT string_agg(format('%s: %s', c, pg_temp.says(format(c, m))), E'\n') FROM unnest(ARRAY['SELECT cdp.segment_tick(%L)', 'SELECT cdp.evaluate_segments(%L)', 'SELECT cdp.audit_segments(%L)', 'SELECT * FROM cdp.segment_preview(''did(visit)'', as_of => %L)',
    'SELECT * FROM cdp.segment_explain(''ring a'', (SELECT min(customer_id) FROM cdp_data.identifier), %L)', 'SELECT * FROM cdp.segment_compare(''ring a'', 1, 1, %L)', 'SELECT * FROM cdp.segment_explain_plan(''ring a'', true, %L)']) c, unnest('{infinity,-infinity}'::text[]) m
  WHERE pg_temp.says(format(c, m)) !~ '^220(23|08)'), NULL, 'infinite moments are refused');
SELECT is((SELECT string_agg(format('%s: %s', m, pg_temp.says(format('SELECT * FROM cdp.segment_preview(''did(visit last 100 years) or birthday anniversary in next 9 days or did(visit previous year)'', as_of => %L)', m))), E'\n') FROM unnest(ARRAY['4713-01-01 00:00+00 BC', '0001-01-01 00:00+00', '9999-12-31 23:59+00', '294276-12-31 00:00+00']) m
  WHERE pg_temp.says(format('SELECT * FROM cdp.segment_preview(''did(visit last 100 years) or birthday anniversary in next 9 days or did(visit previous year)'', as_of => %L)', m)) !~ '^(no error|22)'), NULL, 'the ends of the calendar are an answer or an error of the caller');
SELECT is((SELECT count(*) FROM cdp_data.segment WHERE name = 'x'), 0::bigint, 'nothing that was refused is there');
SELECT * FROM finish();
ROLLBACK;
