-- Explanations in a world where anything has happened: the whole is what a pass finds for every customer and every rule, groups
-- are what their parts make, and results change at the moment that is told and at none before. Steps commit, so without a transaction around.
SELECT plan(15);
\ir segment_world.inc
SELECT cdp.upload_list('press', 'email', '{}'), cdp.upload_list('staff', 'email', '{}');
SELECT setseed(0.3);
SELECT pg_temp.an_event(-n) FROM generate_series(1, 40) n;
SELECT cdp.create_segment(v.name, v.rule, 'service') FROM public.variant v WHERE v.nth = 1 ORDER BY v.name = 'both', v.name;
SELECT cdp.create_segment(n, r::jsonb, 'service') FROM (VALUES ('mixed', '{"nulls": "sql", "where": {"any": [{"all": [{"segment": "idle"}, {"not": {"segment": "kleene"}}, {"did": "visit", "previous": "week"}]}, {"all": [{"attr": "city", "neq": "Xian"}, {"did": "purchase", "avg": {"field": "value"}, "gt": 40}]}]}}'),
  ('this week', '{"where": {"any": [{"did": "purchase", "this": "week"}, {"did": "add_to_cart", "until": "2026-02-20"}, {"attr": "registered_at", "before_last": "20 days"}]}}'),
  ('two words', '{"where": {"all": [{"segment": "both"}, {"not": {"segment": "mixed"}}]}}')) AS v (n, r);
SELECT format('SELECT pg_temp.step(%1$s)', n) FROM generate_series(1, 90) n \gexec
-- Whatever chance made: one who was two before, and one who is gone.
SELECT at AS now_there FROM public.world \gset
SELECT cdp.track('shop', 'visit', who::jsonb, '{}', :'now_there'::timestamptz - interval '2 days', 'visit of ' || who) FROM unnest(ARRAY['{"user_id": "first"}', '{"cookie": "second"}', '{"user_id": "gone"}']) who;
SELECT cdp.customer_of('user_id', 'gone') AS gone \gset
SELECT cdp.alias('shop', '{"cookie": "second"}', '{"user_id": "first"}'), cdp.erase_customer(:gone, 'anonymise');
SELECT customer_id AS old FROM cdp_data.customer WHERE parent_id <> customer_id AND cdp_internal.root_of(customer_id) = cdp.customer_of('user_id', 'first') \gset
SELECT cdp.refresh_profiles(), cdp.refresh_ranks();
CREATE TABLE public.person AS SELECT id, row_number() OVER (ORDER BY id) AS nth FROM cdp.roaring_ids(cdp_internal.segment_population()) id;
CREATE FUNCTION pg_temp.members(at timestamptz) RETURNS TABLE (id integer, members bytea) LANGUAGE sql AS $$
  SELECT r.segment_id, r.members FROM cdp_internal.segment_results(cdp_internal.segment_plan(ARRAY(SELECT segment_id FROM cdp_data.segment WHERE state <> 'archived'), at), NULL, NULL, cdp_internal.segment_population()) r $$;
CREATE TABLE public.pass AS SELECT * FROM pg_temp.members(:'now_there');
-- Days that move are followed for a year, so these for some customers only.
CREATE TABLE public.told AS
SELECT s.segment_id, s.name, p.id, e.*, (v.rule -> 'nulls') IS NULL AS two_valued FROM public.person p CROSS JOIN cdp_data.segment s JOIN cdp_data.segment_version v USING (segment_id, version)
  CROSS JOIN LATERAL cdp.segment_explain(s.name, p.id, :'now_there') e
WHERE s.state <> 'archived' AND p.nth <= 14 AND (p.nth <= 2 OR s.name NOT IN ('days', 'born', 'this week', 'mixed', 'two words', 'regulars'));
SELECT cmp_ok((SELECT count(DISTINCT (segment_id, id)) FROM public.told), '>', 150::bigint, 'many explanations');
SELECT is((SELECT left(string_agg(format('%s of %s', t.name, t.id), ', '), 300) FROM public.told t JOIN public.pass p ON p.id = t.segment_id WHERE t.path = '/where' AND coalesce(t.result, false) <> cdp.roaring_has(p.members, t.id)), NULL, 'in or out as a pass finds');
SELECT is((SELECT count(*) FROM public.told t JOIN public.pass p ON p.id = t.segment_id WHERE t.path = '/where' AND t.result) > 20, true, 'many are in');
-- Parts make their group. A part that is a segment of another logic is two-valued itself.
CREATE TABLE public.family AS
SELECT t.name, t.id, t.path, t.result, CASE WHEN k.path ~ '/not$' THEN 'not' ELSE (regexp_match(k.path, '/(all|any)/\d+$'))[1] END AS how, array_agg(k.result) AS parts
FROM public.told t JOIN public.told k ON (k.segment_id, k.id) = (t.segment_id, t.id) AND (k.path = t.path || '/not' OR k.path ~ ('^' || t.path || '/(all|any)/\d+$'))
GROUP BY 1, 2, 3, 4, 5;
SELECT is((SELECT left(string_agg(format('%s of %s at %s', name, id, path), ', '), 300) FROM public.family WHERE result IS DISTINCT FROM
  CASE how WHEN 'not' THEN NOT parts[1] WHEN 'all' THEN CASE WHEN false = ANY (parts) IS TRUE THEN false WHEN array_position(parts, NULL) IS NOT NULL THEN NULL ELSE true END
    ELSE CASE WHEN true = ANY (parts) IS TRUE THEN true WHEN array_position(parts, NULL) IS NOT NULL THEN NULL ELSE false END END), NULL, 'groups are what their parts make');
SELECT cmp_ok((SELECT count(*) FROM public.family WHERE array_position(parts, NULL) IS NOT NULL), '>', 3::bigint, 'unknown parts among them');
-- A segment that is named is what it is by itself.
SELECT is((SELECT left(string_agg(format('%s of %s at %s', t.name, t.id, t.path), ', '), 300) FROM public.told t JOIN public.told k ON (k.segment_id, k.id) = (t.segment_id, t.id) AND k.path = t.path || '/segment/where'
  WHERE t.result <> coalesce(k.result, false)), NULL, 'named segments hold where their rule does');
SELECT cmp_ok((SELECT count(*) FROM public.told WHERE path ~ '/segment/where$'), '>', 15::bigint, 'and are opened');
-- Who changes does so at the moment that is told; until then nobody does.
CREATE TABLE public.turn AS SELECT t.segment_id, t.name, t.id, t.flips_at, t.result FROM public.told t WHERE t.path = '/where';
CREATE TABLE public.moment AS SELECT DISTINCT m.at FROM (SELECT unnest(ARRAY[flips_at, flips_at - interval '1 microsecond']) AS at FROM public.turn
  UNION ALL SELECT :'now_there'::timestamptz + d * interval '29 hours' FROM generate_series(1, 100, 8) d) m WHERE m.at > :'now_there';
CREATE TABLE public.future AS SELECT m.at, f.* FROM public.moment m CROSS JOIN LATERAL pg_temp.members(m.at) f;
SELECT cmp_ok((SELECT count(*) FROM public.turn WHERE flips_at IS NOT NULL), '>', 10::bigint, 'many will change');
SELECT is((SELECT left(string_agg(format('%s of %s at %s', t.name, t.id, f.at), ', '), 300) FROM public.turn t JOIN public.future f ON f.id = t.segment_id
  WHERE (t.flips_at IS NULL OR f.at < t.flips_at) AND cdp.roaring_has(f.members, t.id) <> coalesce(t.result, false)), NULL, 'nobody changes before');
SELECT is((SELECT left(string_agg(format('%s of %s at %s', t.name, t.id, f.at), ', '), 300) FROM public.turn t JOIN public.future f ON f.id = t.segment_id AND f.at = t.flips_at
  WHERE cdp.roaring_has(f.members, t.id) = coalesce(t.result, false) AND NOT t.name IN ('kleene', 'mixed')), NULL, 'and everybody then');
-- By an id that was merged away, and of who was erased.
SELECT results_eq(format('SELECT * FROM cdp.segment_explain(''idle'', %s, %L)', :old, :'now_there'), format('SELECT * FROM cdp.segment_explain(''idle'', %s, %L)', cdp.customer_of('user_id', 'first'), :'now_there'), 'by an old id the same');
SELECT throws_matching(format('SELECT * FROM cdp.segment_explain(''idle'', %s)', :gone), 'there is no customer|is not among those', 'nobody is told of who was erased');
-- A role that is kept to a source has explained what a database with that source alone would.
CREATE ROLE explain_analyst;
CREATE ROLE explain_agency;
GRANT explain_analyst TO explain_agency;
CALL cdp.setup(analyst => 'explain_analyst');
SELECT cdp.restrict_to_sources('explain_agency', '{crm}');
SELECT cdp.track(x.source, 'visit', '{"user_id": "both"}', '{}', :'now_there'::timestamptz - x.ago, 'both' || x.ago) FROM (VALUES ('crm', interval '1 day'), ('shop', '2 days'), ('shop', '3 days')) AS x (source, ago);
SELECT cdp.customer_of('user_id', 'both') AS both_sources \gset
SELECT cdp.create_segment('visits', 'count(visit) >= 1', 'service');
SELECT set_config('role', 'explain_agency', false);
SELECT observed AS seen_there FROM cdp.segment_explain('visits', :both_sources, :'now_there') \gset
SELECT hits AS hits_there FROM cdp.segment_preview('did(visit)', exact => true, as_of => :'now_there') \gset
SELECT set_config('role', 'none', false);
SELECT is(:'seen_there'::text, '1', 'events of one source only');
SELECT is((SELECT observed FROM cdp.segment_explain('visits', :both_sources, :'now_there')), '3', 'of all for others');
SELECT cmp_ok((SELECT hits FROM cdp.segment_preview('did(visit)', exact => true, as_of => :'now_there')), '>', :hits_there::bigint, 'in previews, too');
SELECT * FROM finish();
