-- Random rules the way users go: written by calls, evaluated by runs over what was tracked, identified, listed and agreed to, compared with
-- the plain-SQL twin over a copy that plain joins make of our tables: merges and unmerges, moved identifiers, refunds, currencies,
-- bots, channels, consent, holdouts, ranks, traits. After each round of changes all of them once more. Commits, so without a transaction around.
SELECT plan(9);
SET client_min_messages = error;
SET jit = off;
SELECT setseed(0.618) \g /dev/null
\ir ../twin/segment_rules.sql
\ir ../twin/segment.sql
\ir ../twin/segment_data.sql
\o /dev/null
-- The names that the rules use.
SELECT cdp.add_source('shop', 'UTC'), cdp.add_source('app', 'UTC');
INSERT INTO cdp_data.campaign (name) VALUES ('spring'), ('618');
INSERT INTO cdp_data.touch_kind (kind_id, name) VALUES (2001, 'view'), (2002, 'cart add'), (2003, 'rare');
INSERT INTO cdp_data.channel (channel_id, name, channel_group) SELECT b.channel_id, v.name, v.grp FROM cdp.channel_builtin() b JOIN (VALUES ('Email', 'email', 'owned'), ('Google Organic', 'search', 'paid'), ('Weibo', 'social', 'owned')) v (was, name, grp) ON v.was = b.name;
INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) VALUES ('EUR', 'CNY', '2020-01-01', 8);
SELECT cdp.add_attribute(name, type, sensitivity => CASE WHEN place = 'attributes' THEN 'internal' ELSE 'personal' END)
FROM (SELECT key AS name, value ->> 'type' AS type, coalesce(value ->> 'json', 'attributes') AS place FROM jsonb_each(twin.segment_catalog() -> 'attributes')) a WHERE NOT EXISTS (SELECT FROM cdp_data.attribute_all x WHERE x.name = a.name);
SELECT cdp.create_holdout('global', 0.5), cdp.set_trait('clv', '{}', '{}'), cdp.upload_list('press 2025', 'cookie', '{}'), cdp.upload_list('staff', 'cookie', '{}');
CREATE FUNCTION pg_temp.someone() RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT jsonb_build_object('cookie', 'cookie' || twin.upto(55)) $$;
CREATE TABLE public.world (at timestamptz, made int);
INSERT INTO public.world VALUES ('2024-06-15 12:00 Asia/Shanghai', 0);

-- So many events, and what else happens.
CREATE FUNCTION pg_temp.happen(events int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  now_there timestamptz := (SELECT at FROM public.world);
  base int := (SELECT made FROM public.world);
BEGIN
  FOR n IN base + 1 .. base + events LOOP
    PERFORM cdp.track(twin.pick('shop', 'shop', 'app'), twin.pick('view', 'cart add', 'order', 'order', 'refund', 'visit', 'visit'), pg_temp.someone(), coalesce(twin.some_properties(), '{}'), twin.some_moment(now_there), 'e' || n,
      CASE WHEN random() < 0.7 THEN twin.pick(VARIADIC ARRAY[0::numeric, 1, 3.5, 5, 7.25, 10]) END, twin.pick('CNY', 'CNY', 'EUR'),
      twin.pick('{"source": "newsletter", "medium": "email", "campaign": "spring"}'::jsonb, '{"source": "newsletter", "medium": "email"}', '{"source": "google", "medium": "organic", "campaign": "618"}', '{"source": "weibo", "medium": "social"}', '{}'),
      flags => CASE WHEN random() < 0.1 THEN 1 ELSE 0 END);
  END LOOP;
  UPDATE public.world SET made = base + events;
  FOR n IN 1 .. events / 6 LOOP
    PERFORM cdp.identify(twin.pick('shop', 'app'), pg_temp.someone(), jsonb_strip_nulls(jsonb_build_object('country', twin.pick('CN', 'US', NULL), 'city', twin.pick('a', 'ab', '微信', 'xaby', NULL), 'age', CASE WHEN random() < 0.8 THEN twin.upto(12) END,
      'ltv', CASE WHEN random() < 0.8 THEN twin.pick(VARIADIC ARRAY[0::numeric, 1, 2.5, 5, 7, 10.5]) END, 'member', CASE WHEN random() < 0.7 THEN random() < 0.5 END, 'birthday', twin.pick('2000-02-29', '1996-03-01', '1990-06-' || 10 + twin.upto(15), NULL),
      'signed_up', to_char(twin.some_moment(now_there) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'tags', twin.pick('["a"]'::jsonb, '["a", "b"]', '["CN", "US", "ab"]', NULL), 'plan', twin.pick('CN', 'a', 'ab', NULL), 'score', CASE WHEN random() < 0.7 THEN twin.upto(9) END,
      'trial', CASE WHEN random() < 0.7 THEN random() < 0.5 END, 'renewal', '2024-06-' || 10 + twin.upto(15), 'seen', to_char(twin.some_moment(now_there) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'hobbies', twin.pick('["a"]'::jsonb, '["b", "CN", "a"]', NULL),
      'visits', CASE WHEN random() < 0.7 THEN twin.upto(9) END)), now_there - random() * interval '90 days');
  END LOOP;
  PERFORM cdp.alias('shop', pg_temp.someone(), pg_temp.someone()) FROM generate_series(1, 3);
  PERFORM cdp.unmerge(merge => (SELECT m.merge_id FROM cdp_data.merge_log m WHERE m.kind = 'merge' AND m.undone_by IS NULL ORDER BY random() LIMIT 1)) WHERE base > 0;
  PERFORM cdp.record_consent('shop', twin.pick('marketing', 'marketing', 'analytics'), twin.pick('granted', 'granted', 'withdrawn'), pg_temp.someone(), channel => twin.pick('', 'email', 'sms')) FROM generate_series(1, 12);
  PERFORM cdp.upload_list(l, 'cookie', ARRAY(SELECT 'cookie' || twin.upto(55) FROM generate_series(1, 8)), twin.pick('add', 'replace')) FROM unnest(ARRAY['press 2025', 'staff']) l;
  PERFORM cdp.set_trait('clv', ids, ARRAY(SELECT twin.pick(VARIADIC ARRAY[0::float8, 1, 2.5, 3, 5, 9.5]) FROM unnest(ids)), 'add') FROM (SELECT ARRAY(SELECT DISTINCT cdp_internal.root_of(customer_id) FROM cdp_data.identifier WHERE random() < 0.5) AS ids) x;
END $$;

-- The copy: who is whose, what each did, has and said, by plain joins.
DROP TABLE twin.profile;
CREATE VIEW twin.profile AS SELECT p.* FROM cdp_data.profile p WHERE p.customer_id IN (SELECT customer_id FROM twin.customer);
CREATE FUNCTION pg_temp.copy() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE twin.customer, twin.event, twin.list_member, twin.trait_value, twin.consented, twin.holdout_member;
  CREATE TEMP TABLE up ON COMMIT DROP AS
  WITH RECURSIVE up (customer_id, root) AS (SELECT c.customer_id, c.customer_id FROM cdp_data.customer c WHERE c.parent_id = c.customer_id
    UNION ALL SELECT c.customer_id, up.root FROM up JOIN cdp_data.customer c ON c.parent_id = up.customer_id AND c.parent_id <> c.customer_id)
  SELECT customer_id, root FROM up;
  CREATE TEMP TABLE home ON COMMIT DROP AS SELECT i.identifier_id, coalesce(moved.root, up.root) AS root FROM cdp_data.identifier i JOIN up USING (customer_id) LEFT JOIN cdp_data.identifier_override v USING (identifier_id) LEFT JOIN up moved ON moved.customer_id = v.customer_id;
  INSERT INTO twin.customer SELECT DISTINCT root FROM home WHERE cdp.consent_allowed(root, 'analytics');
  INSERT INTO twin.event (id, customer_id, at, kind, channel, channel_group, campaign, source, value, properties)
  SELECT t.touchpoint_id, h.root, t.occurred_at, k.name, o.channel, o.channel_group, nullif(n.campaign, ''), s.name,
    CASE WHEN k.name = 'refund' THEN -abs(t.value) ELSE t.value END * CASE t.currency WHEN 'EUR' THEN 8 ELSE 1 END, t.properties
  FROM cdp_data.touchpoint t JOIN home h USING (identifier_id) JOIN cdp_data.touch_kind_all k USING (kind_id) JOIN cdp_data.origin n USING (origin_id) JOIN cdp_bi.origin_channel o USING (origin_id) JOIN cdp_data.source s USING (source_id)
  WHERE t.flags & 3 = 0;
  INSERT INTO twin.list_member SELECT DISTINCT l.name, h.root FROM cdp_data.segment_list_row r JOIN cdp_data.segment_list l USING (list_id) JOIN home h USING (identifier_id);
  -- A survivor's own value comes before those of who was merged into him.
  INSERT INTO twin.trait_value SELECT DISTINCT ON (t.name, up.root) t.name, up.root, v.value FROM cdp_data.trait_value v JOIN cdp_data.trait t USING (trait_id) JOIN up USING (customer_id) JOIN twin.customer c ON c.customer_id = up.root ORDER BY t.name, up.root, v.customer_id <> up.root, v.customer_id;
  INSERT INTO twin.consented SELECT p, ch, c.customer_id FROM twin.customer c, unnest('{marketing,analytics}'::text[]) p, unnest(ARRAY['', 'email', 'sms']) ch WHERE cdp.consent_allowed(c.customer_id, p, ch);
  INSERT INTO twin.holdout_member SELECT 'global', cdp.holdout_arm('global', c.customer_id), c.customer_id FROM twin.customer c;
END $$;

SELECT pg_temp.happen(330);
CREATE TABLE public.rule AS
SELECT n, 'r' || n AS name, r AS rule FROM (SELECT n, cdp_internal.rule_canonical(replace(twin.segment_rule()::text, '"treated"', '"treatment"')::jsonb) AS r FROM generate_series(1, 190) n OFFSET 0) x
WHERE r::text !~ '"segment"' AND NOT EXISTS (SELECT FROM cdp_internal.rule_check(r, cdp_internal.segment_catalog('service')) c WHERE c.severity = 'error');
-- Every other one by its text; the last ones name others.
SELECT cdp.create_segment(name, rule, 'service') FROM public.rule WHERE n % 2 = 0;
SELECT cdp.create_segment(name, cdp.segment_rule_text(rule), 'service') FROM public.rule WHERE n % 2 = 1;
INSERT INTO public.rule SELECT 1000 + row_number() OVER (), 'of ' || a.name, jsonb_build_object('v', 1, 'where', jsonb_build_object('all', jsonb_build_array(jsonb_build_object('segment', a.name), jsonb_build_object('not', jsonb_build_object('segment', b.name)))))
FROM (SELECT name, row_number() OVER (ORDER BY n) AS i FROM public.rule) a JOIN (SELECT name, row_number() OVER (ORDER BY n DESC) AS i FROM public.rule) b USING (i) WHERE i <= 20 AND a.name <> b.name;
SELECT cdp.create_segment(name, rule, 'service') FROM public.rule WHERE n > 1000;
CREATE TABLE public.answer (round int, name text, members bigint[], twin bigint[]);
CREATE TABLE public.ran (round int, kind text, reason text);
CREATE FUNCTION pg_temp.compare(round int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  at timestamptz := (SELECT w.at FROM public.world w);
  names jsonb := cdp_internal.segment_catalog('service');
  others jsonb := (SELECT jsonb_object_agg(r.name, r.rule) FROM public.rule r);
BEGIN
  PERFORM cdp.refresh_ranks();
  INSERT INTO public.ran SELECT round, t.kind, t.reason FROM cdp.segment_tick(at) t;
  PERFORM pg_temp.copy();
  INSERT INTO public.answer SELECT round, r.name, ARRAY(SELECT m FROM cdp.segment_members(r.name) m ORDER BY m), twin.segment_members(r.rule, names, at, others) FROM public.rule r;
END $$;
SELECT pg_temp.compare(1);
UPDATE public.world SET at = at + interval '3 hours';
SELECT pg_temp.happen(30);
SELECT pg_temp.compare(2);
UPDATE public.world SET at = at + interval '5 hours 59 minutes';
SELECT pg_temp.happen(20);
SELECT pg_temp.compare(3);
UPDATE public.world SET at = '2024-07-01 00:00 Asia/Shanghai';
SELECT pg_temp.happen(20);
SELECT pg_temp.compare(4);
\o
SELECT is((SELECT string_agg(told, E'\n') FROM (SELECT format(E'round %s %s: %s\n  only the run: %s; only the twin: %s', a.round, a.name, cdp.segment_rule_text(r.rule), ARRAY(SELECT unnest(a.members) EXCEPT SELECT unnest(a.twin)), ARRAY(SELECT unnest(a.twin) EXCEPT SELECT unnest(a.members))) AS told
  FROM public.answer a JOIN public.rule r USING (name) WHERE a.members IS DISTINCT FROM a.twin ORDER BY length(r.rule::text) LIMIT 8) x), NULL, 'runs find whom plain SQL finds in our tables');
SELECT cmp_ok((SELECT count(*) FROM public.answer), '>', 500::bigint, 'on many rules, four times');
SELECT is((SELECT count(*) FROM cdp_data.segment_state WHERE error IS NOT NULL), 0::bigint, 'all of which were evaluated');
SELECT cmp_ok((SELECT count(*) FROM public.answer a WHERE cardinality(members) BETWEEN 1 AND (SELECT count(*) FROM twin.customer) - 1), '>', (SELECT count(*) / 3 FROM public.answer), 'many of them hold for some and not for all');
SELECT is((SELECT string_agg(kind, ' ' ORDER BY round) FROM public.ran), 'full tick tick full', 'by passes and by ticks');
SELECT is((SELECT string_agg(w, ', ') FROM unnest(ARRAY['attr', 'did', 'seq', 'first_time', 'regularly', 'stopped', 'resumed', 'list', 'trait', 'rank', 'consent', 'holdout', 'segment']) w WHERE NOT EXISTS (SELECT FROM public.rule r JOIN public.answer a USING (name)
  WHERE r.rule::text ~ format('"%s":', w) AND cardinality(a.members) > 0)), NULL, 'with every sort of condition');
SELECT cmp_ok((SELECT count(*) FROM (SELECT name FROM public.answer GROUP BY name HAVING count(DISTINCT members) > 1) x), '>', 60::bigint, 'and members that change');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.customer WHERE parent_id <> customer_id), '>', 3::bigint, 'some customers are one');
SELECT is((SELECT defects FROM cdp.audit_segments((SELECT at FROM public.world))), 0::bigint, 'an audit agrees');
SELECT * FROM finish();
