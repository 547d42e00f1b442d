-- Recommendations: each rule with known answers, both ways and with too little; the false discovery rate; who may.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'America/New_York';
SELECT cdp.add_source('shop'), cdp.add_connector('{"connector": "my_shop", "version": 1, "base_url": "https://shop.example", "tz": "Asia/Shanghai", "streams": {
  "days": {"path": "/days", "query": {"from": "$window.from", "to": "$window.to"}, "window": {"unit": "day", "end": "last_day", "max_days": 31, "ready_at": "06:00", "final_after_days": 2, "format": "date"},
    "records": "$.rows[*]", "key": ["day"], "ref_date": {"path": "day", "format": "date"}, "metrics": {"orders": "sum"}}}}') \g /dev/null
SELECT is_empty($$SELECT * FROM cdp.channel_advice()$$, 'nothing is final: nothing is said');
SELECT cdp.create_connection(n, 'my_shop', '{}', 'shop') FROM unnest('{a,b,c,draft}'::text[]) n \g /dev/null
UPDATE cdp_data.connection SET state = 'live' WHERE name <> 'draft';
INSERT INTO cdp_data.stream (connection_id, stream_id, name, source_id) SELECT connection_id, 1, 'days', source_id FROM cdp_data.connection;
INSERT INTO cdp_data.coverage (connection_id, stream_id, part, day, source_id, state, records, checked_at, page_id)
SELECT connection_id, 1, '', date '2026-03-06' + d, source_id, 'final', 1, '2026-07-01', 1 FROM cdp_data.connection, generate_series(0, 55) d;
CREATE FUNCTION pg_temp.put(connection text, metric text, standard text, day date, value numeric, content text DEFAULT NULL, currency text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
  INSERT INTO cdp_data.channel_metric (connection_id, stream_id, record_key, metric, source_id, part, day, standard, kind, value, currency, dimension_key, content_kind, content_id, page_id, revision, told_at)
  SELECT connection_id, 1, concat_ws('|', metric, day, content), metric, source_id, '', day, standard, 'sum', value, currency, md5('')::uuid, CASE WHEN content IS NOT NULL THEN 'post' END, content, 1, 1, '2026-05-01 12:00+00' FROM cdp_data.connection c WHERE c.name = connection $$;
-- a: orders fall, visits grow, messages stay; followers leave; b: the same money brings more orders; c: too little.
SELECT pg_temp.put('a', 'orders', 'orders', date '2026-03-06' + d, 100 - d), pg_temp.put('a', 'visits', 'visits', date '2026-03-06' + d, 100 + 3 * d), pg_temp.put('a', 'messages', 'messages', date '2026-03-06' + d, 50 + d % 2),
  pg_temp.put('a', 'came', 'new_followers', date '2026-03-06' + d, 10), pg_temp.put('a', 'went', 'lost_followers', date '2026-03-06' + d, CASE WHEN d < 28 THEN 3 ELSE 6 END), pg_temp.put('a', 'cost', 'spend', date '2026-03-06' + d, 500, NULL, 'EUR'),
  pg_temp.put('b', 'sold', 'orders', date '2026-03-06' + d, 120 + d % 3), pg_temp.put('b', 'cost', 'spend', date '2026-03-06' + d, 500, NULL, 'EUR'), pg_temp.put('c', 'cost', 'spend', date '2026-03-06' + d, 500, NULL, 'USD'),
  pg_temp.put('draft', 'orders', 'orders', date '2026-03-06' + d, 100 - d) FROM generate_series(0, 55) d \g /dev/null
SELECT pg_temp.put('c', 'orders', 'orders', date '2026-04-20' + d, 1), pg_temp.put('c', 'came', 'new_followers', date '2026-03-06' + d, 1), pg_temp.put('c', 'went', 'lost_followers', date '2026-03-06' + d, 1) FROM generate_series(0, 10) d \g /dev/null
-- Posts of b: p1 with 12 of 100 reactions, p2 to p4 with 4 of 100, on ten days; p5 seen too seldom; of a only two.
SELECT pg_temp.put('b', 'seen', 'views', date '2026-04-20' + d, 100, p), pg_temp.put('b', 'likes', 'likes', date '2026-04-20' + d, CASE p WHEN 'p1' THEN 8 ELSE 3 END, p), pg_temp.put('b', 'shared', 'shares', date '2026-04-20' + d, CASE p WHEN 'p1' THEN 4 ELSE 1 END, p) FROM generate_series(0, 9) d, unnest('{p1,p2,p3,p4}'::text[]) p \g /dev/null
SELECT pg_temp.put('b', 'seen', 'views', '2026-04-20', 99, 'p5'), pg_temp.put('b', 'likes', 'likes', '2026-04-20', 99, 'p5'), pg_temp.put('a', 'seen', 'views', '2026-04-20', 1000, 'q1'), pg_temp.put('a', 'likes', 'likes', '2026-04-20', 100, 'q1'), pg_temp.put('a', 'seen', 'views', '2026-04-21', 1000, 'q2'), pg_temp.put('a', 'likes', 'likes', '2026-04-21', 1, 'q2') \g /dev/null
INSERT INTO cdp_data.channel_quality (connection_id, stream_id, day, source_id, at, score, facts) SELECT connection_id, 1, '2026-05-02', source_id, '2026-05-02', 0.95, '{}' FROM cdp_data.connection WHERE name IN ('a', 'b');
CREATE TEMP TABLE advice AS SELECT * FROM cdp.channel_advice(attribution => false);
CREATE FUNCTION pg_temp.row(r text, c text, s text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(concat_ws('|', status, severity, insight), ', ') FROM advice WHERE rule_id = r AND connection_name = c AND subject = s $$;

SELECT is(pg_temp.row('A01', 'a', 'quality'), 'no evidence|high|The quality of its data is 0.9500, not below 0.9; the worst is stream days with 0.95.', 'A01: good data');
SELECT is(pg_temp.row('A01', 'c', 'quality'), 'insufficient data|high|It takes a quality of the last seven days: CALL cdp.watch()', 'A01: nobody judged them');
SELECT is((SELECT concat_ws('|', status, severity, evidence ->> 'slope', evidence ->> 'days', round(p_value::numeric, 6), insight ~ '^orders falls by 9\.[0-9] % a week', action ~ 'Look at what changed') FROM advice WHERE rule_id = 'A02' AND connection_name = 'a' AND subject = 'days orders'), 'recommended|medium|-1.000000|56|0.000000|t|t', 'A02: orders fall');
SELECT is((SELECT row(p_value, (evidence ->> 'weekly')::numeric)::text FROM advice WHERE rule_id = 'A02' AND connection_name = 'a' AND subject = 'days orders'), (SELECT row((t).p, round((t).weekly::numeric, 6))::text FROM (SELECT cdp.daily_trend(date '2026-03-06' + d, 100 - d, NULL::boolean, NULL) AS t FROM generate_series(0, 55) d) x), 'with the trend of cdp.daily_trend()');
SELECT is((SELECT string_agg(concat_ws(' ', rule_id, subject, status), ', ' ORDER BY subject) FROM advice WHERE connection_name = 'a' AND rule_id IN ('A02', 'A03') AND subject !~ 'seen|likes'), 'A03 days came no evidence, A03 days messages no evidence, A02 days orders recommended, A03 days visits recommended, A02 days went recommended', 'A03: visits grow; who goes grows, which is worse');
SELECT is((SELECT concat_ws('|', status, insight) FROM advice WHERE rule_id ~ 'A0[23]' AND connection_name = 'c' AND subject = 'days orders'), 'insufficient data|It takes 28 final days; there are 11', 'A02: too few days, said plainly');
SELECT is(pg_temp.row('A04', 'a', 'days followers'), 'recommended|medium|For 280 who came 168 went; in the 28 days before, for 280 who came 84 went.', 'A04: more go');
SELECT is((SELECT row(p_value, expected_impact)::text FROM advice WHERE rule_id = 'A04' AND connection_name = 'a'), (SELECT row(d.p_value, round(168 - 448 * 84.0 / 364, 1))::text FROM cdp.rate_difference(168, 448, 84, 364) d), 'with the test of two rates');
SELECT is(pg_temp.row('A04', 'c', 'days followers'), 'insufficient data|medium|It takes 30 followers won or lost in 28 final days and in those before; there are 0 and 22', 'A04: too few');
SELECT is(pg_temp.row('A05', 'a', 'orders'), 'recommended|high|1638 orders for 14000.00 EUR here, 3388 for 14000.00 EUR on the other channels.', 'A05: half as many orders for the same money');
SELECT is((SELECT round(expected_impact) FROM advice WHERE rule_id = 'A05' AND connection_name = 'a' AND subject = 'orders'), 1750::numeric, 'A05: what it would bring elsewhere');
SELECT is((SELECT round(p_value::numeric, 12) || ' ' || status FROM advice WHERE rule_id = 'A05' AND connection_name = 'b'), '1.000000000000 no evidence', 'A05: the cheap one is not told of');
SELECT is(pg_temp.row('A05', 'c', 'orders'), 'insufficient data|high|It takes another channel with spend in USD', 'A05: another currency is not compared');
SELECT is(pg_temp.row('A07', 'b', 'post p1'), 'recommended|low|120 of 1000 who saw it reacted (12.0 %), of the other 3 4.0 %.', 'A07: a post that does better');
SELECT is((SELECT p_value FROM advice WHERE rule_id = 'A07' AND connection_name = 'b'), (SELECT least(1, 4 * d.p_value) FROM cdp.rate_difference(120, 1000, 120, 3000) d), 'A07: adjusted for four posts');
SELECT is(pg_temp.row('A07', 'a', 'post q1'), 'insufficient data|low|It takes three contents of kind post that were seen 100 times; there are 2', 'A07: too few posts');
SELECT is((SELECT array_agg(q_value ORDER BY p_value, rule_id, connection_name, subject) FROM advice WHERE p_value IS NOT NULL), (SELECT cdp.false_discovery(array_agg(p_value ORDER BY p_value, rule_id, connection_name, subject)) FROM advice WHERE p_value IS NOT NULL), 'q values over all tests');
SELECT is((SELECT bool_and(status <> 'recommended' OR q_value <= 0.1) AND bool_and((status = 'insufficient data') = (p_value IS NULL AND rule_id <> 'A01' OR confidence IS NULL)) AND bool_and((action IS NOT NULL) = (status = 'recommended')) FROM advice), true, 'only what is shown is recommended');
SELECT is((SELECT count(*) FROM advice WHERE connection_name = 'draft'), 0::bigint, 'a connection that is not live is not told of');
-- Data that are not to be trusted prove nothing.
UPDATE cdp_data.channel_quality SET score = 0.5 WHERE connection_id = (SELECT connection_id FROM cdp_data.connection WHERE name = 'a');
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', CASE rule_id WHEN 'A01' THEN rule_id END, status), ', ') FROM cdp.channel_advice(attribution => false) WHERE connection_name = 'a'), 'A01 recommended, insufficient data', 'with a low quality only that is recommended');
SELECT is((SELECT insight FROM cdp.channel_advice(attribution => false) WHERE rule_id = 'A04' AND connection_name = 'a'), 'It takes data to be trusted: The quality of its data is 0.5000, below 0.9; the worst is stream days with 0.5.', 'and why');
-- Earlier days, and fewer.
SELECT is((SELECT evidence ->> 'days' FROM cdp.channel_advice(14, '2026-04-02', false) WHERE rule_id = 'A03' AND subject = 'days visits'), '28', 'twice the days up to another one');

-- Attributed conversions: 60 after ads, 15 after mails, for the same money.
SELECT is((SELECT concat_ws('|', status, insight) FROM cdp.channel_advice() WHERE rule_id = 'A06'), 'insufficient data|It takes spend of channels in the 28 days up to 2026-04-30 (cdp_data.spend)', 'A06: no spend');
SELECT count(cdp.track('shop', CASE WHEN k = 1 THEN 'click' ELSE 'purchase' END, jsonb_build_object('user_id', 'u' || i), origin => CASE WHEN k = 1 THEN jsonb_build_object('source', CASE WHEN i <= 60 THEN 'google' ELSE 'newsletter' END, 'medium', CASE WHEN i <= 60 THEN 'cpc' ELSE 'email' END) ELSE '{}' END, value => CASE WHEN k = 2 THEN 10 END, occurred_at => timestamptz '2026-04-20 12:00+00' + k * interval '1 hour'))
FROM generate_series(1, 75) i, generate_series(1, 2) k \g /dev/null
INSERT INTO cdp_data.spend (day, channel_id, amount, currency, source_id) SELECT '2026-04-19', c.channel_id, 300, (SELECT currency FROM cdp_data.setting), (SELECT source_id FROM cdp_data.source WHERE name = 'shop')
FROM cdp_data.channel_all c WHERE c.name IN (SELECT label FROM cdp.attribution(models => '{linear}') WHERE conversions > 0 AND label <> '(unattributed)');
SELECT is((SELECT string_agg(concat_ws('|', status, evidence ->> 'results', evidence ->> 'cost', round(p_value::numeric, 8)), ', ' ORDER BY p_value) FROM cdp.channel_advice() WHERE rule_id = 'A06'), 'recommended|15|20.0000|' || (SELECT round((2 * cdp.binomial_tail(15, 75, 0.5, false))::numeric, 8)) || ', no evidence|60|5.0000|1.00000000', 'A06: attributed conversions for the money');
SELECT throws_ok($$SELECT * FROM cdp.channel_advice(13)$$, '22023', NULL, 'too few days');
SELECT throws_ok($$SELECT * FROM cdp.channel_advice(discovery => 'NaN')$$, '22023', NULL, 'no rate');
CREATE ROLE advice_analyst; CREATE ROLE advice_reader;
CALL cdp.setup(analyst => 'advice_analyst', reader => 'advice_reader');
SET ROLE advice_analyst;
SELECT is((SELECT count(*) > 10 FROM cdp.channel_advice()), true, 'analysts may');
SET ROLE advice_reader;
SELECT throws_ok($$SELECT * FROM cdp.channel_advice()$$, '42501', NULL, 'readers may not');
RESET ROLE;
SELECT * FROM finish();
