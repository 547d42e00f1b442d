-- Ranks: who is among the top or bottom is who plain SQL says, over random values with many ties, of a column, an attribute in JSON
-- and a trait, by shares and numbers; those without a value or consent are neither counted nor in; a snapshot holds until the next one.
BEGIN;
SELECT plan(9);
SET client_min_messages = error;
SELECT setseed(0.23) \g /dev/null
SELECT cdp.add_source('shop', 'UTC'), cdp.add_attribute('score', 'numeric', 'latest', sensitivity => 'internal') \g /dev/null
CREATE TEMP TABLE given AS
SELECT i, 'u' || i AS u, NULL::bigint AS id, true AS allowed, CASE WHEN random() < 0.85 THEN floor(random() * 9)::numeric END AS points,
  CASE WHEN random() < 0.7 THEN floor(random() * 6)::numeric / 2 - 1 END AS score, CASE WHEN random() < 0.6 THEN floor(random() * 7)::numeric / 4 END AS credit
FROM generate_series(1, 70) i;
CREATE FUNCTION pg_temp.tell(at timestamptz) RETURNS void LANGUAGE sql AS $$
  SELECT cdp.identify('shop', jsonb_build_object('user_id', u), jsonb_strip_nulls(jsonb_build_object('membership_points', points, 'score', score)), at) FROM pg_temp.given ORDER BY i;
  UPDATE pg_temp.given SET id = cdp.customer_of('user_id', u);
  SELECT cdp.set_trait('credit', (SELECT array_agg(id ORDER BY i) FROM pg_temp.given), (SELECT array_agg(credit::float8 ORDER BY i) FROM pg_temp.given)) $$;
SELECT pg_temp.tell('2026-05-01') \g /dev/null
CREATE TEMP TABLE asked AS
SELECT field, side, word, format('%s %s by %s', side, word, what) AS rule
FROM (VALUES ('points', 'membership_points'), ('score', 'score'), ('credit', 'trait credit')) f (field, what), unnest('{top,bottom}'::text[]) side, unnest('{0.0001%,10%,33.3%,66.66%,100%,1,7,20,1000}'::text[]) word;
SELECT cdp.create_segment(rule, rule, 'service') FROM asked \g /dev/null
SELECT cdp.create_segment('others', 'not top 10% by score', 'service') \g /dev/null

-- In is of whom fewer have a better value than there are places; so all who tie with the last place are.
CREATE FUNCTION pg_temp.plain(field text, side text, word text) RETURNS bigint[] LANGUAGE sql AS $$
  WITH v AS (SELECT id, CASE field WHEN 'points' THEN points WHEN 'score' THEN score ELSE credit END * CASE side WHEN 'top' THEN 1 ELSE -1 END AS v FROM pg_temp.given WHERE allowed)
  SELECT coalesce(array_agg(a.id ORDER BY a.id), '{}') FROM v a
  WHERE a.v IS NOT NULL AND (SELECT count(*) FROM v b WHERE b.v > a.v) < (SELECT CASE WHEN word LIKE '%\%' THEN ceil(count(v) * rtrim(word, '%')::numeric / 100) ELSE word::numeric END FROM v) $$;
CREATE FUNCTION pg_temp.wrong() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s: %s', a.rule, cardinality(x.found)), ', ') FROM pg_temp.asked a, LATERAL (SELECT ARRAY(SELECT m FROM cdp.segment_members(a.rule) m ORDER BY m) AS found) x
  WHERE x.found IS DISTINCT FROM pg_temp.plain(a.field, a.side, a.word) $$;
SELECT kind FROM cdp.segment_tick('2026-06-01 00:00+00') \g /dev/null
SELECT is(pg_temp.wrong(), NULL, 'members are those whom plain SQL finds');
SELECT cmp_ok((SELECT count(*) FROM asked WHERE word !~ '%' AND word::int < 1000 AND cardinality(pg_temp.plain(field, side, word)) > word::int), '>', 10::bigint, 'in most of them some tie with the last place');
SELECT cmp_ok((SELECT count(*) FROM asked WHERE cardinality(pg_temp.plain(field, side, word)) < (SELECT count(CASE field WHEN 'points' THEN points WHEN 'score' THEN score ELSE credit END) FROM given)), '>', 30::bigint, 'and others are out');
SELECT is((SELECT count(*) FROM cdp.segment_members('others')), 70 - (SELECT count(*) FROM cdp.segment_members('top 10% by score')), 'all others are in the opposite, without a value, too');
SELECT is((SELECT r.customers FROM cdp_data.rank_threshold r WHERE r.atom = '{"rank": {"attr": "score"}, "top": "10%"}'), (SELECT count(score) FROM given), 'a snapshot tells over how many it was taken');

-- Values change and some refuse: the thresholds stand until the next snapshot, then all is as in plain SQL again.
CREATE TEMP TABLE before AS SELECT rank, threshold FROM cdp_data.rank_threshold;
UPDATE given SET points = CASE WHEN random() < 0.8 THEN floor(random() * 9) + 3 ELSE points END, score = coalesce(score, floor(random() * 3)) + 1, credit = CASE WHEN random() < 0.5 THEN credit ELSE 2 END, allowed = i % 9 <> 4;
SELECT pg_temp.tell('2026-06-02') \g /dev/null
SELECT cdp.record_consent('shop', 'analytics', 'withdrawn', customer => id) FROM given WHERE NOT allowed \g /dev/null
SELECT kind FROM cdp.segment_tick('2026-06-02 01:00+00') \g /dev/null
SELECT is_empty('SELECT * FROM before EXCEPT SELECT rank, threshold FROM cdp_data.rank_threshold', 'a snapshot stays as it was');
SELECT isnt(pg_temp.wrong(), NULL, 'so ranks are those of yesterday''s limits');
SELECT is(cdp.refresh_ranks(), (SELECT count(*)::int FROM asked), 'the next night each limit is taken anew, the one that two rules name once');
SELECT kind FROM cdp.segment_tick('2026-06-02 02:00+00') \g /dev/null
SELECT is(pg_temp.wrong(), NULL, 'then members are those whom plain SQL finds now');
SELECT * FROM finish();
ROLLBACK;
