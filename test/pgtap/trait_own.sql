-- Traits that are filled from outside: replaced, added to, taken away; segments, merges, unmerges and erasures follow.
-- Commits, so without a transaction around.
SELECT plan(38);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC') AS shop \gset
SELECT count(*) FROM (SELECT cdp.identify('shop', jsonb_build_object('user_id', u), '{"city": "Xian"}') FROM unnest('{a,b,c,d,e}'::text[]) u) x \g /dev/null
CREATE FUNCTION pg_temp.id(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('user_id', v) $$;
CREATE FUNCTION pg_temp.home(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT i.customer_id FROM cdp_data.identifier i WHERE i.value = v $$;
CREATE FUNCTION pg_temp.members(name text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(i.value, ' ' ORDER BY i.value) FROM cdp.segment_members(name) m JOIN cdp_data.identifier i ON i.customer_id = m AND i.type_id = 1 $$;
CREATE FUNCTION pg_temp.holds(name text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(i.value || '=' || coalesce(v.word, v.value::text), ' ' ORDER BY i.value) FROM cdp_data.trait t JOIN cdp_data.trait_value v USING (trait_id) JOIN cdp_data.identifier i ON i.customer_id = v.customer_id AND i.type_id = 1 WHERE t.name = holds.name $$;
CREATE FUNCTION pg_temp.tick() RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', kind, touched) FROM cdp.segment_tick() $$;
SELECT is((SELECT (given, customers, written, removed, unknown)::text FROM cdp.set_trait('credit', ARRAY[pg_temp.id('a'), pg_temp.id('b'), 999999, NULL, pg_temp.id('a')], ARRAY[1, 5, 7, 7, 2.5], description => 'score of the bank')),
  '(5,2,2,0,2)', 'a trait is made with its values');
SELECT is(pg_temp.holds('credit'), 'a=2.5 b=5', 'of several the last counts');
SELECT is(cdp.create_segment('solvent', 'trait credit >= 2', 'service'), 1, 'a rule may ask for it');
SELECT is(cdp.create_segment('first', 'top 1 by trait credit', 'service'), 2, 'and rank by it');
SELECT is(pg_temp.tick(), 'full', 'the first run');
SELECT is(pg_temp.members('solvent') || ', ' || pg_temp.members('first'), 'a b, b', 'who has it');
SELECT is((SELECT (written, removed)::text FROM cdp.set_trait('credit', ARRAY[pg_temp.id('c'), pg_temp.id('b')], ARRAY[9, NULL], 'add')), '(1,1)', 'one more, one away');
SELECT is(pg_temp.tick(), 'tick 2', 'the next tick looks at them');
SELECT is(pg_temp.members('solvent') || ': ' || pg_temp.holds('credit'), 'a c: a=2.5 c=9', 'and they have changed sides');
SELECT is((SELECT array_agg(DISTINCT cause) FROM cdp_data.segment_transition WHERE run_id = (SELECT max(run_id) FROM cdp_data.segment_run)), '{attribute}', 'because of what is known of them');
SELECT is((SELECT (written, removed)::text FROM cdp.set_trait('credit', ARRAY[pg_temp.id('c'), pg_temp.id('a')], ARRAY[9, 2.5])), '(0,0)', 'the same again changes nothing');
SELECT is((SELECT run_id FROM cdp.segment_tick()), NULL, 'nor makes work');
SELECT is((SELECT (written, removed)::text FROM cdp.set_trait('credit', ARRAY[pg_temp.id('c')], mode => 'remove')), '(0,1)', 'taken away');

-- Merges: the value goes with the customer, the survivor's own comes first; parted again each has his own.
SELECT count(*) FROM (SELECT cdp.identify('shop', jsonb_build_object('cookie', k)) FROM unnest('{k1,k2,k3}'::text[]) k) x \g /dev/null
CREATE FUNCTION pg_temp.told(roots bigint[]) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(r.customer_id - f.home || '=' || r.value, ' ' ORDER BY r.customer_id)
  FROM (SELECT cdp.customer_of('cookie', 'k1') AS home) f, cdp_data.trait t CROSS JOIN LATERAL cdp_internal.trait_rows(t.trait_id, roots) r WHERE t.name = 'credit' AND r.customer_id >= f.home $$;
SELECT cdp.customer_of('cookie', 'k1') AS k1, cdp.customer_of('cookie', 'k2') AS k2, cdp.customer_of('cookie', 'k3') AS k3 \gset
SELECT given FROM cdp.set_trait('credit', ARRAY[:k2, :k3], ARRAY[4, 8], 'add') \g /dev/null
SELECT cdp.alias('shop', '{"cookie": "k1"}', '{"cookie": "k2"}') \g /dev/null
SELECT pg_temp.tick() \g /dev/null
SELECT is(cdp.roaring_has(cdp_internal.segment_bits(1), :k1) AND NOT cdp.roaring_has(cdp_internal.segment_bits(1), :k2), true, 'the value of one who was merged away is that of the survivor');
SELECT is(pg_temp.told(NULL) || ', ' || pg_temp.told(ARRAY[:k1, :k3]::bigint[]), '0=4 2=8, 0=4 2=8', 'all and a few are told the same');
SELECT given FROM cdp.set_trait('credit', ARRAY[:k2], ARRAY[6], 'add') \g /dev/null
SELECT is(pg_temp.told(NULL), '0=6 2=8', 'his own comes first');
SELECT cdp.unmerge(merge => merge_id) FROM (SELECT merge_id FROM cdp_data.merge_log WHERE kind = 'merge' ORDER BY 1 DESC LIMIT 1) m \g /dev/null
SELECT is(pg_temp.told(NULL), '0=6 1=4 2=8', 'parted, each has his');
SELECT pg_temp.tick() \g /dev/null
SELECT is(cdp.roaring_count(cdp.roaring_and(cdp_internal.segment_bits(1), (SELECT cdp.roaring_build(k) FROM unnest(ARRAY[:k1, :k2, :k3]) k))), 3::bigint, 'and is in');
SELECT is((SELECT defects FROM cdp.audit_segments()), 0::bigint, 'ticks and a pass agree');

-- Many at a time are evaluated at once.
SELECT count(*) FROM (SELECT cdp.identify('shop', jsonb_build_object('user_id', 'n' || n)) FROM generate_series(1, 1100) n) x \g /dev/null
SELECT pg_temp.tick() \g /dev/null
SELECT version FROM cdp_data.trait WHERE name = 'credit' \gset
SELECT is((SELECT (given, written, removed)::text FROM cdp.set_trait('credit', (SELECT array_agg(customer_id ORDER BY customer_id) FROM cdp_data.identifier WHERE value LIKE 'n%'), (SELECT array_agg(3.0) FROM cdp_data.identifier WHERE value LIKE 'n%'))), '(1100,1100,4)', 'all are replaced');
SELECT is((SELECT t.version - :version FROM cdp_data.trait t WHERE name = 'credit'), 1::bigint, 'which is told as a whole');
SELECT pg_temp.tick() \g /dev/null
SELECT is((SELECT customers FROM cdp_bi.segment_overview WHERE segment = 'solvent'), 1100::bigint, 'and found');

-- Texts.
SELECT is((SELECT written FROM cdp.set_trait_words('shop', ARRAY[pg_temp.id('b'), pg_temp.id('c')], '{Hangzhou,"O''Brien; --"}', allowed_purposes => '{service}')), 2::bigint, 'texts');
SELECT cdp.create_segment('locals', 'trait shop in (''O''''Brien; --'')', 'service') \g /dev/null
SELECT pg_temp.tick() \g /dev/null
SELECT is(pg_temp.members('locals'), 'c', 'are compared as they are');
SELECT is((SELECT observed FROM cdp.segment_explain('locals', pg_temp.id('c')) WHERE path = '/where'), '"O''Brien; --"', 'and told');
SELECT throws_ok($$SELECT cdp.create_segment('x', 'trait shop is known', 'marketing')$$, '22023', NULL, 'for the purposes said');
SELECT throws_ok($$SELECT cdp.set_trait('shop', '{1}', '{1}')$$, '2BP01', NULL, 'not as numbers while a rule has texts');
SELECT throws_ok($$SELECT cdp.set_trait('ltv', '{1}', '{1}')$$, '42710', NULL, 'not a built-in one');
SELECT throws_ok($$SELECT cdp.set_trait('credit', '{1,2}', '{1}')$$, '22023', NULL, 'as many values as customers');
SELECT throws_ok($$SELECT cdp.set_trait('credit', '{1}', '{NaN}')$$, '22023', NULL, 'no NaN');
SELECT throws_ok($$SELECT cdp.set_trait('credit', '{1}', '{1}', 'merge')$$, '22023', NULL, 'no other mode');
SELECT throws_ok($$SELECT cdp.set_trait('a b', '{1}', '{1}')$$, '22023', NULL, 'no bad name');
SELECT throws_ok($$SELECT cdp.drop_trait('credit')$$, '2BP01', NULL, 'one that is named stays');
SELECT throws_ok($$SELECT cdp.drop_trait('rfm_r')$$, '55000', NULL, 'so do built-in ones');

-- Erasure, refresh, end.
SELECT pg_temp.id('c') AS c \gset
SELECT cdp.erase_customer(:c) \g /dev/null
SELECT is(pg_temp.holds('shop'), 'b=Hangzhou', 'an erasure takes the person''s');
SELECT trait FROM cdp.refresh_traits() \g /dev/null
SELECT is(pg_temp.holds('shop'), 'b=Hangzhou', 'a refresh leaves them alone');
SELECT cdp.archive_segment('locals');
SELECT is(cdp.drop_trait('shop'), true, 'one that nobody names goes');
SELECT is(cdp.drop_trait('shop'), false, 'once');
SELECT * FROM finish();
