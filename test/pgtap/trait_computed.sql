-- Computed traits: every aggregate against plain SQL over random events, as text and as JSON; what is no definition; purposes of
-- what they read; rules that ask for them. Commits, so without a transaction around.
SELECT plan(43);
SET client_min_messages = error;
SET timezone = 'UTC';
SELECT cdp.add_source('shop', 'UTC') AS shop \gset
INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) VALUES ('EUR', 'CNY', '2026-01-01', 8);
SELECT setseed(0.3) \g /dev/null
CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT a[1 + floor(random() * cardinality(a))::int] $$;
SELECT count(*) FROM (SELECT cdp.track('shop', pg_temp.pick('purchase', 'visit', 'visit', 'page_view', 'refund'), jsonb_build_object('cookie', 'cookie' || floor(random() * 40)),
  jsonb_build_object('cat', pg_temp.pick('"a"', '"b"', '"a long name of a category"', '3', '2.5', 'null', 'true', '[1]', '"微"')::jsonb, 'qty', pg_temp.pick('1', '2', '3', '0.1', '1e30', '"2"', 'null')::jsonb),
  '2026-05-20 10:00+00'::timestamptz - floor(random() * 900) * interval '2 hours' + CASE WHEN random() < 0.1 THEN interval '20 days' ELSE '0' END,
  'k' || n, CASE WHEN random() < 0.7 THEN round((random() * 100)::numeric, 2) END, pg_temp.pick('CNY', 'EUR'), '{}', flags => CASE WHEN random() < 0.1 THEN 1 ELSE 0 END)
FROM generate_series(1, 900) n) x \g /dev/null
SELECT cdp.alias('shop', '{"cookie": "cookie1"}', '{"cookie": "cookie2"}'), cdp.alias('shop', '{"cookie": "cookie5"}', '{"cookie": "cookie6"}'), cdp.record_consent('shop', 'analytics', 'withdrawn', '{"cookie": "cookie9"}') \g /dev/null

SELECT is((SELECT count(*) FROM cdp_data.customer WHERE parent_id <> customer_id), 2::bigint, 'some are one');

-- The events as plain SQL sees them.
CREATE VIEW public.event AS
SELECT cdp_internal.root_of(t.customer_id) AS customer_id, t.occurred_at AS at, t.touchpoint_id AS id, k.name AS kind, t.properties -> 'cat' AS cat, t.properties -> 'qty' AS qty,
  CASE WHEN k.name = 'refund' THEN -abs(t.value) ELSE t.value END * CASE t.currency WHEN 'EUR' THEN 8 ELSE 1 END AS money
FROM cdp_data.touchpoint t JOIN cdp_data.touch_kind_all k USING (kind_id)
WHERE t.flags & 3 = 0 AND t.occurred_at < '2026-06-01' AND cdp_internal.root_of(t.customer_id) <> cdp.customer_of('cookie', 'cookie9');
CREATE VIEW public.scalar AS SELECT e.*, coalesce(e.cat #>> '{}') AS word, CASE WHEN jsonb_typeof(e.qty) = 'number' THEN e.qty::numeric END AS number
FROM public.event e;
CREATE TABLE public.twin (name text, definition text, query text);
INSERT INTO public.twin VALUES
  ('orders', 'count(purchase last 30 days)', 'SELECT customer_id, count(*)::double precision, NULL::text FROM scalar WHERE kind = ''purchase'' AND at >= ''2026-05-02'' GROUP BY 1'),
  ('kinds', 'count(purchase or refund)', 'SELECT customer_id, count(*)::double precision, NULL::text FROM scalar WHERE kind IN (''purchase'', ''refund'') GROUP BY 1'),
  ('visit_days', 'days(visit last 4 weeks)', 'SELECT customer_id, count(DISTINCT (at AT TIME ZONE ''Asia/Shanghai'')::date)::double precision, NULL::text FROM scalar WHERE kind = ''visit'' AND at >= ''2026-05-04'' GROUP BY 1'),
  ('spent', '{"did": ["purchase", "refund"], "sum": {"field": "value"}}', 'SELECT customer_id, sum(money)::double precision, NULL::text FROM scalar WHERE kind IN (''purchase'', ''refund'') AND money IS NOT NULL GROUP BY 1'),
  ('quantity', 'sum(qty of purchase)', 'SELECT customer_id, sum(number)::double precision, NULL::text FROM scalar WHERE kind = ''purchase'' AND number IS NOT NULL GROUP BY 1'),
  ('mean', 'avg(qty of purchase where qty < 100)', 'SELECT customer_id, avg(number)::double precision, NULL::text FROM scalar WHERE kind = ''purchase'' AND number < 100 GROUP BY 1'),
  ('least', 'min(qty of visit last 60 days)', 'SELECT customer_id, min(number)::double precision, NULL::text FROM scalar WHERE kind = ''visit'' AND number IS NOT NULL AND at >= ''2026-04-02'' GROUP BY 1'),
  ('most', 'max(qty of visit last 60 days)', 'SELECT customer_id, max(number)::double precision, NULL::text FROM scalar WHERE kind = ''visit'' AND number IS NOT NULL AND at >= ''2026-04-02'' GROUP BY 1'),
  ('categories', 'distinct(cat of visit)', 'SELECT customer_id, count(DISTINCT cat)::double precision, NULL::text FROM scalar WHERE kind = ''visit'' AND jsonb_typeof(cat) IN (''string'', ''number'', ''boolean'') GROUP BY 1'),
  ('first_cat', 'first(cat of visit or purchase)', 'SELECT DISTINCT ON (customer_id) customer_id, NULL::double precision, word FROM scalar WHERE kind IN (''visit'', ''purchase'') AND jsonb_typeof(cat) IN (''string'', ''number'', ''boolean'') ORDER BY 1, at, id'),
  ('last_cat', 'last(cat of visit or purchase last 45 days)', 'SELECT DISTINCT ON (customer_id) customer_id, NULL::double precision, word FROM scalar WHERE kind IN (''visit'', ''purchase'') AND at >= ''2026-04-17'' AND jsonb_typeof(cat) IN (''string'', ''number'', ''boolean'') ORDER BY 1, at DESC, id DESC'),
  ('last_paid', '{"did": "purchase", "last_value": {"field": "value"}}', 'SELECT DISTINCT ON (customer_id) customer_id, money::double precision, NULL::text FROM scalar WHERE kind = ''purchase'' AND money IS NOT NULL ORDER BY 1, at DESC, id DESC'),
  ('favourite', 'most_frequent(cat of visit or purchase where qty > 0)', 'SELECT DISTINCT ON (customer_id) customer_id, NULL::double precision, word FROM (SELECT customer_id, cat, min(word) AS word, count(*) AS n, max(ROW(at, id)::text) AS late, max(at) AS at, (array_agg(id ORDER BY at DESC, id DESC))[1] AS id
      FROM scalar WHERE kind IN (''visit'', ''purchase'') AND number > 0 AND jsonb_typeof(cat) IN (''string'', ''number'', ''boolean'') GROUP BY 1, 2) x ORDER BY 1, n DESC, at DESC, id DESC'),
  ('since', 'days_since(visit)', 'SELECT customer_id, extract(epoch FROM ''2026-06-01'' - max(at))::double precision / 86400, NULL::text FROM scalar WHERE kind = ''visit'' GROUP BY 1'),
  ('since_spring', '{"did": "page_view", "since": "2026-04-01", "until": "2026-05-01", "tz": "UTC", "days_since": true}', 'SELECT customer_id, extract(epoch FROM ''2026-06-01'' - max(at))::double precision / 86400, NULL::text FROM scalar WHERE kind = ''page_view'' AND at >= ''2026-04-01'' AND at < ''2026-05-01'' GROUP BY 1');
SELECT is((SELECT count(cdp.define_trait(name, definition, 'made of ' || definition)) FROM public.twin), 15::bigint, 'definitions, as text and as JSON');
CREATE FUNCTION pg_temp.plain(query text) RETURNS TABLE (customer_id bigint, value double precision, word text) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE query; END $$;
SELECT cmp_ok((SELECT min(customers) FROM cdp.refresh_traits('2026-06-01') JOIN public.twin ON name = trait), '>', 10::bigint, 'a refresh makes them of many');
SELECT is((SELECT string_agg(format('%s: %s %s, plain %s: %s %s', v.customer_id, v.value, v.word, p.customer_id, p.value, p.word), E'\n')
  FROM (SELECT x.* FROM cdp_data.trait_value x JOIN cdp_data.trait t USING (trait_id) WHERE t.name = w.name) v FULL JOIN pg_temp.plain(w.query) p ON p.customer_id = v.customer_id
  WHERE v.customer_id IS NULL OR p.customer_id IS NULL OR v.word IS DISTINCT FROM p.word OR (v.value IS NULL) <> (p.value IS NULL) OR abs(v.value - p.value) > 1e-9 * (1 + abs(p.value))), NULL, w.name || ' is as plain SQL has it')
FROM public.twin w ORDER BY w.name;
SELECT is((SELECT sum(written + removed) FROM cdp.refresh_traits('2026-06-01') JOIN public.twin ON name = trait), 0::numeric, 'the same again writes nothing');

-- Rules that ask for them.
SELECT count(*) FROM (SELECT cdp.create_segment(n, r, 'service') FROM (VALUES ('likes a', 'trait favourite = ''a'''), ('likes some', 'trait favourite in (''a'', ''微'')'), ('few', 'trait orders in (1, 2)'), ('none', 'not trait orders is known'),
  ('far', 'trait since between 10 and 20'), ('early', 'trait first_cat < ''b''')) AS v (n, r)) x \g /dev/null
SELECT kind FROM cdp.segment_tick('2026-06-01 00:01+00') \g /dev/null
SELECT is_empty($$SELECT * FROM (VALUES ('likes a', 'favourite', 'word = ''a'''), ('likes some', 'favourite', 'word IN (''a'', ''微'')'), ('few', 'orders', 'value IN (1, 2)'), ('far', 'since', 'value BETWEEN 10 AND 20'), ('early', 'first_cat', 'word < ''b'' COLLATE "C"')) AS v (segment, trait, condition)
  WHERE ARRAY(SELECT cdp.segment_members(v.segment)) IS DISTINCT FROM (SELECT array_agg(customer_id ORDER BY customer_id) FROM pg_temp.plain(format('SELECT customer_id, value, word FROM cdp_bi.customer_trait WHERE trait = %L AND %s', v.trait, v.condition)))$$, 'rules compare numbers and texts');
SELECT is((SELECT count(*) FROM cdp_data.segment_state WHERE error IS NOT NULL OR customers = 0), 0::bigint, 'each of them somebody');
SELECT throws_ok($$SELECT cdp.create_segment('x', 'trait favourite >= 3', 'service')$$, '22023', NULL, 'a text is not compared with a number');
SELECT throws_ok($$SELECT cdp.create_segment('x', 'top 10% by trait favourite', 'service')$$, '22023', NULL, 'nor ranked');
SELECT is((SELECT run_id FROM cdp.segment_tick('2026-06-01 00:01:30+00')), NULL, 'a refresh without other values makes no work');
SELECT cdp.track('shop', 'visit', '{"cookie": "cookie3"}', '{"cat": "z"}', '2026-05-31', 'z' || n) FROM generate_series(1, 60) n \g /dev/null
SELECT trait FROM cdp.refresh_traits('2026-06-01') \g /dev/null
SELECT kind FROM cdp.segment_tick('2026-06-01 00:02+00') \g /dev/null
SELECT is((SELECT word FROM cdp_bi.customer_trait WHERE trait = 'last_cat' AND customer_id = cdp.customer_of('cookie', 'cookie3')), 'z', 'other events, another value');
SELECT is((SELECT defects FROM cdp.audit_segments('2026-06-01 00:03+00')), 0::bigint, 'ticks and a pass agree');

-- Definitions that are none.
CREATE FUNCTION pg_temp.refused(d text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM cdp.define_trait('x', d); RETURN NULL; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT is((SELECT string_agg(format('%s: %s', d, coalesce(e, 'taken')), E'\n') FROM (SELECT d, wanted, pg_temp.refused(d) AS e FROM (VALUES
    ('count(purchase) >= 3', '42601'), ('count(purchase) >= 1 or count(visit)', '42601'), ('did(purchase)', '42601'), ('everybody', '42601'), ('', '42601'), ('sum(qty of purchase', '42601'), ('{', '22P02'), ('[]', '42601'),
    ('{"did": "purchase"}', '22023'), ('{"count": true}', '22023'), ('{"did": "purchase", "count": 3}', '22023'), ('{"did": "purchase", "count": true, "sum": "x"}', '22023'), ('{"did": "purchase", "sum": true}', '22023'),
    ('{"did": "purchase", "sum": "qty", "gte": 5}', '22023'), ('{"did": "purchasse", "count": true}', '22023'), ('{"did": "purchase", "count": true, "last": "0 days"}', '22023'), ('{"did": "purchase", "count": true, "all": []}', '22023'),
    ('{"did": "purchase", "count": true, "tz": "Mars"}', '22023')) AS v (d, wanted)) x WHERE e IS DISTINCT FROM wanted), NULL, 'what defines nothing');
SELECT throws_ok($$SELECT cdp.define_trait('x', 'sum(qty of purchase where (qty > 3)) > 5')$$, '42601', 'this text defines no trait', 'a comparison is told as one');
SELECT throws_ok($$SELECT cdp.define_trait('ltv', 'count(visit)')$$, '42710', NULL, 'not under a name that is built in');
SELECT throws_ok($$SELECT cdp.define_trait('Big', 'count(visit)')$$, '22023', NULL, 'nor a bad one');
SELECT throws_ok($$SELECT cdp.define_trait('favourite', 'count(visit)')$$, '2BP01', NULL, 'nor as another type while segments ask for it');
SELECT is(cdp.define_trait('orders', 'count(purchase last 10 days)'), (SELECT trait_id FROM cdp_data.trait WHERE name = 'orders'), 'another definition');
SELECT is((SELECT count(*) FROM cdp_bi.customer_trait WHERE trait = 'orders'), 0::bigint, 'drops the values');

-- A trait is no way around purposes, and a kind that is gone no end of the others.
UPDATE cdp_data.trait SET allowed_purposes = '{service,marketing}' WHERE name = 'spent';
INSERT INTO cdp_data.property_rule (kind_id, key, allowed_purposes) SELECT kind_id, 'qty', '{service}' FROM cdp_data.touch_kind_all WHERE name = 'purchase';
INSERT INTO cdp_data.property_rule (kind_id, key) SELECT kind_id, 'cat' FROM cdp_data.touch_kind_all WHERE name = 'purchase';
SELECT throws_ok($$SELECT cdp.create_segment('x', 'trait quantity > 3', 'marketing')$$, '22023', NULL, 'bound by what it reads');
SELECT isnt(cdp.create_segment('y', 'trait quantity > 3 and trait spent > 3', 'service'), NULL, 'and allowed where all allow it');
SELECT throws_ok($$SELECT cdp.create_segment('x', 'trait spent > 3', 'analytics')$$, '22023', NULL, 'bound by what is said of it');
SELECT throws_ok($$SELECT cdp_internal.segment_values('\x00')$$, '22P03', NULL, 'bytes that hold no values');
SELECT throws_ok($$SELECT cdp_internal.segment_values('\x5650444301000000000001000000')$$, '22P03', NULL, 'or are cut off');
-- Somebody defines a trait anew while a refresh works: it never gets values of its definition of before.
CREATE EXTENSION dblink;
SELECT dblink_connect('one', format('host=%s port=%s dbname=%s user=%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user)) \g /dev/null
SELECT dblink_exec('one', 'SET client_min_messages = error'), dblink_exec('one', 'SET lock_timeout = ''200ms''') \g /dev/null
SELECT cdp.define_trait('moving', 'count(visit)') \g /dev/null
CREATE FUNCTION public.meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM public.dblink_exec('one', $q$DO 'BEGIN PERFORM cdp.define_trait(''moving'', ''sum(qty of visit)''); END'$q$, false);
  RETURN NULL;
END $$;
CREATE TRIGGER meanwhile AFTER UPDATE ON cdp_data.trait FOR EACH ROW WHEN (NEW.name = 'rfm_r') EXECUTE FUNCTION public.meanwhile();
SELECT trait FROM cdp.refresh_traits() \g /dev/null
DROP TRIGGER meanwhile ON cdp_data.trait;
SELECT is((SELECT (t.definition ? 'count', count(*) > 0)::text FROM cdp_data.trait t JOIN cdp_data.trait_value v USING (trait_id) WHERE t.name = 'moving' GROUP BY t.definition), '(t,t)', 'values are of the definition that stands there');
SELECT dblink_exec('one', 'RESET lock_timeout') \g /dev/null
SELECT public.dblink_exec('one', $q$DO 'BEGIN PERFORM cdp.define_trait(''moving'', ''sum(qty of visit)''); END'$q$) \g /dev/null
SELECT is((SELECT count(*) FROM cdp_data.trait t JOIN cdp_data.trait_value v USING (trait_id) WHERE t.name = 'moving'), 0::bigint, 'afterwards it may, and its values go');
-- Or while an audit of segments does: the next run follows, and it is no defect. And one may be paused meanwhile.
SELECT trait FROM cdp.refresh_traits() \g /dev/null
SELECT cdp.create_segment('movers', 'trait moving is known', 'service') \g /dev/null
SELECT kind FROM cdp.segment_tick() \g /dev/null
CREATE OR REPLACE FUNCTION public.meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM public.dblink_exec('one', CASE NEW.kind WHEN 'audit' THEN $q$DO 'BEGIN PERFORM cdp.define_trait(''moving'', ''count(visit)''); END'$q$ ELSE $q$DO 'BEGIN PERFORM cdp.pause_segment(''movers''); END'$q$ END);
  RETURN NULL;
END $$;
CREATE TRIGGER meanwhile AFTER INSERT ON cdp_data.segment_run FOR EACH ROW EXECUTE FUNCTION public.meanwhile();
SELECT defects FROM cdp.audit_segments() \gset
SELECT is((:defects, (SELECT count(*) FROM cdp.segment_members('movers')))::text, '(0,0)', 'a trait that is defined anew beside an audit is no defect');
SELECT trait FROM cdp.refresh_traits() \g /dev/null
SELECT is((SELECT kind FROM cdp.segment_tick()), 'tick', 'a segment may be paused beside a run');
DROP TRIGGER meanwhile ON cdp_data.segment_run;
SELECT is((SELECT (s.state, cdp.roaring_count(cdp_internal.segment_bits(s.segment_id)) > 0)::text FROM cdp_data.segment s WHERE s.name = 'movers'), '(paused,t)', 'which has evaluated it');
SELECT * FROM finish();
