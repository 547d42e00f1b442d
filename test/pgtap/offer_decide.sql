-- Decisions about offers in a world made by hand: what is possible for whom and why not, classes, caps, stock and leases,
-- consent between two calls, merged customers, outcomes and what is learnt of them, replays, bad input.
BEGIN;
SELECT plan(146);
SET client_min_messages = error;
SET extra_float_digits = 1;
SELECT cdp.add_source('shop');
SELECT cdp.identify('shop', jsonb_build_object(CASE WHEN i IN (6, 7) THEN 'cookie' ELSE 'user_id' END, 'u' || i), '{}', '2026-01-01') IS NOT NULL FROM generate_series(1, 9) i;
CREATE FUNCTION pg_temp.u(i int) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of(CASE WHEN i IN (6, 7) THEN 'cookie' ELSE 'user_id' END, 'u' || i) $$;
SELECT cdp.track('shop', 'purchase', jsonb_build_object('user_id', 'u' || i), '{}', '2026-05-20', 'p' || i, 10, 'CNY') IS NOT NULL FROM generate_series(1, 3) i;
\set at '''2026-06-01 12:00+00'''
-- One word for a decision: the offer, or why none.
CREATE FUNCTION pg_temp.given(i int, place text, at timestamptz, seed bigint DEFAULT 1) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(offer || CASE WHEN arm <> 'main' THEN '/' || arm ELSE '' END, reason) FROM cdp.next_best_offer(pg_temp.u(i), place, at, seed) $$;
CREATE FUNCTION pg_temp.why(i int, place text, at timestamptz) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(offer || CASE WHEN arm <> 'main' THEN '/' || arm ELSE '' END || ': ' || coalesce(refused, 'possible'), ', ' ORDER BY offer, arm) FROM cdp.explain_offers(pg_temp.u(i), place, at) $$;

-- What is possible, for whom.
SELECT cdp.create_placement('home', '{"method": "value", "default": {"title": "welcome"}}');
SELECT is(pg_temp.given(1, 'home', :at), 'nothing', 'a placement without offers');
SELECT is((SELECT content FROM cdp.next_best_offer(pg_temp.u(1), 'home', :at)), '{"title": "welcome"}', 'shows its default');
SELECT cdp.create_offer('small', '{home}', 'personalisation', '{"title": "small"}', value => 10);
SELECT cdp.create_offer('bought', '{home}', 'personalisation', '{"title": "again"}', rule => 'did("purchase" last 30 days)', value => 30, translations => '{"zh": {"title": "再次"}, "email": {"title": "mail"}, "email/zh": {"title": "邮件"}}');
SELECT cdp.create_offer('soon', '{home}', 'personalisation', starts_at => '2026-06-02', value => 99), cdp.create_offer('gone', '{home}', 'personalisation', ends_at => :at, value => 99),
  cdp.create_offer('draft', '{home}', 'personalisation', state => 'draft', value => 99), cdp.create_offer('asleep', '{home}', 'personalisation', state => 'paused', value => 99),
  cdp.create_offer('by mail', '{home}', 'marketing', channel => 'Email', value => 99), cdp.create_offer('none left', '{home}', 'personalisation', inventory => 0, value => 99);
SELECT is(pg_temp.why(1, 'home', :at), 'asleep: paused, bought: possible, by mail: consent, gone: over, none left: stock, small: possible, soon: not yet', 'why not');
SELECT is(pg_temp.why(4, 'home', :at), 'asleep: paused, bought: not eligible, by mail: consent, gone: over, none left: stock, small: possible, soon: not yet', 'and for one who bought nothing');
SELECT is(pg_temp.given(1, 'home', :at), 'bought', 'the most expected value');
SELECT is(pg_temp.given(4, 'home', :at), 'small', 'of what is possible');
SELECT is(pg_temp.why(1, 'home', '2026-06-02 00:00+00'), 'asleep: paused, bought: possible, by mail: consent, gone: over, none left: stock, small: possible, soon: possible', 'from its start on');
SELECT is(pg_temp.why(1, 'home', :at::timestamptz - interval '1 microsecond'), 'asleep: paused, bought: possible, by mail: consent, gone: possible, none left: stock, small: possible, soon: not yet', 'until before its end');
SELECT is(pg_temp.why(1, 'home', '2026-06-19 00:00:00.000001+00'), 'asleep: paused, bought: not eligible, by mail: consent, gone: over, none left: stock, small: possible, soon: possible', 'a rule moves with the moment');
SELECT is((SELECT content FROM cdp.next_best_offer(pg_temp.u(1), 'home', :at, 1, 'zh')), '{"title": "再次"}', 'by language');
SELECT is(cdp_internal.offer_content((SELECT arm_id FROM cdp_data.offer_arm JOIN cdp_data.offer USING (offer_id) WHERE name = 'bought'), c, l) ->> 'title', t, format('content on %L in %L', c, l))
FROM (VALUES ('email', 'zh', '邮件'), ('email', 'de', 'mail'), ('', 'de', 'again'), ('sms', 'zh', '再次'), ('email', NULL, 'mail')) AS v (c, l, t);
SELECT is((SELECT (reason, state, policy_version, offer_version, lease_until, propensity)::text FROM cdp_data.offer_decision WHERE customer_id = pg_temp.u(4)), '(offer,shown,1,1,,1)', 'noted, and shown at once without a lease');
SELECT is((SELECT jsonb_agg(c - 'score' - 'offer' - 'arm' ORDER BY n) FROM cdp_data.offer_decision d, jsonb_array_elements(candidates) WITH ORDINALITY AS x (c, n) WHERE customer_id = pg_temp.u(4) AND c ->> 'refused' IS DISTINCT FROM 'stock' AND n <= 2),
  '[{"a": 1, "b": 1, "p": 1, "mean": 0.5, "worth": 10, "version": 1, "priority": 0}, {"a": 1, "b": 2, "mean": 0.3333333333333333, "worth": 30, "refused": "not eligible", "version": 1, "priority": 0}]', 'with all that was possible, and why not');
SELECT is((SELECT count(*) FROM cdp_data.offer_decision), 5::bigint, 'what is explained is not noted');

-- Classes: what is below is not looked at.
SELECT cdp.edit_offer('small', terms => '{"priority": 5}') AS version \gset
SELECT is(:version, 2, 'a second version');
SELECT is(pg_temp.why(1, 'home', :at), 'asleep: paused, bought: priority, by mail: consent, gone: over, none left: stock, small: possible, soon: not yet', 'a higher class');
SELECT is(pg_temp.given(1, 'home', :at), 'small', 'goes first');
SELECT cdp.pause_offer('small');
SELECT is(pg_temp.given(1, 'home', :at), 'bought', 'until it is paused');
SELECT is(cdp.edit_offer('small', terms => '{"priority": 0, "margin": 10}'), 3, 'a third');
SELECT cdp.activate_offer('small');
SELECT is(pg_temp.given(1, 'home', :at), 'small', 'margin counts');
SELECT is(cdp.edit_offer('small', terms => '{"margin": 10}'), 3, 'the same again changes nothing');

-- Consent, between two calls.
SELECT cdp.record_consent('shop', 'marketing', 'granted', '{"user_id": "u1"}', channel => 'email') IS NOT NULL;
SELECT is(pg_temp.why(1, 'home', :at) LIKE '%by mail: possible%', true, 'who allows it');
SELECT cdp.edit_offer('by mail', terms => '{"value": 900}');
SELECT is(pg_temp.given(1, 'home', :at), 'by mail', 'gets it');
SELECT cdp.record_consent('shop', 'marketing', 'withdrawn', '{"user_id": "u1"}', channel => 'email') IS NOT NULL;
SELECT is(pg_temp.given(1, 'home', :at), 'small', 'and not once he has withdrawn, in the same transaction');
SELECT cdp.record_consent('shop', 'analytics', 'denied', '{"user_id": "u2"}') IS NOT NULL;
SELECT is(pg_temp.given(2, 'home', :at), 'nothing', 'whose data may not be analysed fits no rule');
SELECT cdp.record_consent('shop', 'personalisation', 'denied', '{"user_id": "u3"}') IS NOT NULL;
SELECT is(pg_temp.given(3, 'home', :at), 'nothing', 'nor who does not want it');

-- Caps: of an offer, of a placement; merged customers are one.
SELECT cdp.create_placement('till', '{"method": "value"}', cap_count => 3, cap_within => '10 days');
SELECT cdp.create_offer('first', '{till}', 'service', value => 2, cap_count => 2, cap_within => '5 days'), cdp.create_offer('second', '{till}', 'service');
SELECT is((SELECT string_agg(pg_temp.given(5, 'till', timestamptz '2026-06-01' + n * interval '1 day'), ' ' ORDER BY n) FROM generate_series(0, 3) n), 'first first second cap', 'twice, then the other one, then enough');
SELECT is(pg_temp.given(5, 'till', '2026-06-11 00:00:00+00'), 'first', 'after ten days the first one is past');
SELECT is(pg_temp.given(6, 'till', '2026-06-02'), 'first', 'another customer');
SELECT is(pg_temp.given(7, 'till', '2026-06-03'), 'first', 'and one more');
SELECT cdp.alias('shop', '{"cookie": "u6"}', '{"cookie": "u7"}') IS NOT NULL;
SELECT is(pg_temp.u(6), pg_temp.u(7), 'they are one');
SELECT is(pg_temp.why(7, 'till', '2026-06-04'), 'first: cap, second: possible', 'and have had it twice');
SELECT is(pg_temp.given(6, 'till', '2026-06-07 00:00:00.000001+00'), 'first', 'until the first time is five days past');

SELECT cdp.create_placement('post', '{"method": "value"}') \g /dev/null
SELECT cdp.create_offer('each month', '{post}', 'service', value => 2, cap_count => 1, cap_within => '1 month'), cdp.create_offer('each 30 days', '{post}', 'service', cap_count => 1, cap_within => '30 days 1 hour') \g /dev/null
SELECT is((SELECT string_agg(pg_temp.given(9, 'post', t), ', ' ORDER BY t) FROM unnest('{2026-07-01 12:00+00,2026-07-31 18:00+00,2026-08-01 12:00+00}'::timestamptz[]) t), 'each month, each 30 days, each month', 'a month of 31 days is longer than 30 days and an hour');

-- Stock, leases.
SELECT cdp.create_placement('app', '{"method": "value", "lease": "10 minutes"}');
SELECT cdp.create_offer('rare', '{app}', 'service', value => 5, inventory => 2), cdp.create_offer('plain', '{app}', 'service');
CREATE FUNCTION pg_temp.left_over() RETURNS text LANGUAGE sql AS $$ SELECT format('%s of %s', "left", total) FROM cdp_data.offer_stock JOIN cdp_data.offer USING (offer_id) WHERE name = 'rare' $$;
SELECT is((SELECT string_agg(pg_temp.given(i, 'app', :at), ' ' ORDER BY i) FROM unnest('{1,4,5,8}'::int[]) i), 'rare rare plain plain', 'two are there');
SELECT is(pg_temp.left_over(), '0 of 2', 'and are gone');
SELECT max(decision_id) FILTER (WHERE customer_id = pg_temp.u(1)) AS d1, max(decision_id) FILTER (WHERE customer_id = pg_temp.u(4)) AS d4, max(decision_id) FILTER (WHERE customer_id = pg_temp.u(5)) AS d5 FROM cdp_data.offer_decision WHERE at = :at \gset
SELECT is(cdp.record_offer_outcome(:d1, 'shown', :at), 'recorded', 'one is shown');
SELECT is(cdp.release_offer(:d4), true, 'one is given back');
SELECT is(cdp.release_offer(:d4), false, 'once');
SELECT is(cdp.release_offer(:d1), false, 'what was shown can not be given back');
SELECT is(pg_temp.left_over(), '1 of 2', 'one is left');
SELECT is(pg_temp.given(8, 'app', :at::timestamptz + interval '1 minute'), 'rare', 'for somebody else');
SELECT is(pg_temp.given(9, 'app', :at::timestamptz + interval '11 minutes' - interval '1 microsecond'), 'plain', 'not before the lease ends');
SELECT is(pg_temp.why(9, 'app', :at::timestamptz + interval '11 minutes' - interval '1 microsecond'), 'plain: possible, rare: stock', 'and is explained so');
SELECT is(pg_temp.why(9, 'app', :at::timestamptz + interval '11 minutes'), 'plain: possible, rare: possible', 'from its end on it is there');
SELECT is(pg_temp.given(9, 'app', :at::timestamptz + interval '11 minutes'), 'rare', 'when it does');
SELECT is(cdp.record_offer_outcome((SELECT max(decision_id) FROM cdp_data.offer_decision WHERE customer_id = pg_temp.u(8) AND state = 'released'), 'accepted', :at), 'expired', 'who comes too late is told so');
SELECT is((SELECT count(*) FROM cdp_data.offer_outcome o JOIN cdp_data.offer_decision d USING (decision_id) WHERE d.customer_id = pg_temp.u(8)), 0::bigint, 'and nothing is counted');
SELECT is(cdp.add_offer_stock('rare', 3), 3::bigint, 'more come');
SELECT is(cdp.record_offer_outcome((SELECT max(decision_id) FROM cdp_data.offer_decision WHERE customer_id = pg_temp.u(8) AND state = 'released'), 'accepted', :at), 'recorded', 'then there is one for him');
SELECT is(pg_temp.left_over(), '2 of 5', 'which is taken');
SELECT is(cdp.release_offers(:at::timestamptz + interval '1 day') > 0, true, 'all leases end');
SELECT is(pg_temp.left_over(), '3 of 5', 'and what was not shown is back');
SELECT is((SELECT count(*) FROM cdp_data.offer_decision WHERE stocked), 2::bigint, 'two are out');
SELECT is((SELECT string_agg(finding, ' ') FROM cdp_internal.health_of_offer()), NULL, 'all of it fits');
SELECT throws_ok($$SELECT cdp.add_offer_stock('rare', -4)$$, '22023', NULL, 'not less than nothing');
SELECT is((SELECT string_agg(offer || ' ' || customer_id, ', ' ORDER BY customer_id) FROM cdp.next_best_offers(ARRAY[pg_temp.u(1), pg_temp.u(4), pg_temp.u(5), pg_temp.u(8), pg_temp.u(1)], 'app', :at::timestamptz + interval '2 days')),
  format('rare %s, rare %s, rare %s, plain %s', pg_temp.u(1), pg_temp.u(4), pg_temp.u(5), pg_temp.u(8)), 'many at one go: stock goes down from one to the next, each once');
SELECT is(pg_temp.left_over(), '0 of 5', 'to the last');

-- Outcomes, and what is learnt.
SELECT cdp.create_placement('mail', '{"prior": [2, 8]}');
SELECT cdp.create_offer('letter', '{mail}', 'service') AS letter \gset
SELECT cdp.set_offer_arm('letter', 'blue', '{"colour": "blue"}') AS blue \gset
SELECT arm_id AS main FROM cdp_data.offer_arm WHERE offer_id = :letter AND arm = 'main' \gset
SELECT count(*) FROM generate_series(1, 30) n CROSS JOIN LATERAL cdp.next_best_offer(pg_temp.u(n % 9 + 1), 'mail', timestamptz '2026-06-01' + n * interval '1 hour', n) o \g /dev/null
SELECT string_agg(decision_id::text, ',' ORDER BY decision_id) AS wins FROM (SELECT decision_id FROM cdp_data.offer_decision WHERE offer_id = :letter AND customer_id <> pg_temp.u(2) ORDER BY decision_id LIMIT 6) x \gset
SELECT is(array_agg(cdp.record_offer_outcome(d, 'accepted', '2026-06-05', 10, 'CNY')), array_fill('recorded'::text, '{6}'), 'six are accepted') FROM unnest(ARRAY[:wins]) d;
SELECT is(array_agg(cdp.record_offer_outcome(d, 'accepted', '2026-06-06', 99)), array_fill('repeated'::text, '{6}'), 'a second word changes nothing') FROM unnest(ARRAY[:wins]) d;
SELECT is(array_agg(cdp.record_offer_outcome(d, 'shown')), array_fill('repeated'::text, '{6}'), 'they were shown') FROM unnest(ARRAY[:wins]) d;
SELECT is((SELECT sum(value) FROM cdp_data.offer_outcome WHERE decision_id IN (:wins)), 60::numeric, 'with what was told first');
CREATE FUNCTION pg_temp.learnt(policy jsonb, at timestamptz) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s: %s %s', arm, round(a::numeric, 6), round(b::numeric, 6)), ', ' ORDER BY arm) FROM cdp_internal.offer_posteriors((SELECT placement_id FROM cdp_data.offer_placement WHERE name = 'mail'), cdp_internal.offer_policy_of(policy), at) JOIN cdp_data.offer_arm USING (arm_id) $$;
CREATE FUNCTION pg_temp.by_hand(prior numeric[], since timestamptz, half_life numeric, today date) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s: %s %s', arm, round(prior[1] + wins, 6), round(prior[2] + tries - wins, 6)), ', ' ORDER BY arm)
  FROM (SELECT r.arm, sum(w * (o.decision_id IS NOT NULL)::int) AS wins, sum(w) AS tries
    FROM cdp_data.offer_decision d JOIN cdp_data.offer_arm r USING (arm_id) LEFT JOIN cdp_data.offer_outcome o ON o.decision_id = d.decision_id AND o.kind = 'accepted'
      CROSS JOIN LATERAL (SELECT CASE WHEN half_life IS NULL THEN 1 ELSE power(0.5, (today - (d.at AT TIME ZONE 'UTC')::date) / half_life) END AS w) x
    WHERE r.arm IN ('main', 'blue') AND d.offer_id = (SELECT offer_id FROM cdp_data.offer WHERE name = 'letter') AND d.at >= since AND (d.at AT TIME ZONE 'UTC')::date <= today GROUP BY r.arm) y $$;
SELECT is(pg_temp.learnt('{"prior": [2, 8]}', '2026-06-10'), pg_temp.by_hand('{2,8}', '2020-01-01', NULL, '2026-06-10'), 'the posterior, counted by hand');
SELECT is(pg_temp.learnt('{"window": 1}', '2026-06-02 05:00+00'), pg_temp.by_hand('{1,1}', '2026-06-02', NULL, '2026-06-02'), 'of today only');
SELECT is(pg_temp.learnt('{"half_life": 0.5}', '2026-06-02 05:00+00'), pg_temp.by_hand('{1,1}', '2020-01-01', 0.5, '2026-06-02'), 'with a half-life');
SELECT is(pg_temp.learnt('{"half_life": 0.01}', '2026-07-10'), 'blue: 1.000000 1.000000, main: 1.000000 1.000000', 'of what is thousands of half-lives ago nothing is left');
SELECT is(pg_temp.learnt('{"window": 1.0}', '2026-06-02 05:00+00'), pg_temp.learnt('{"window": 1}', '2026-06-02 05:00+00'), 'a whole number, however it is written');
SELECT is(pg_temp.learnt('{}', '2026-05-31'), NULL, 'nothing is known before');
SELECT pg_temp.learnt('{"half_life": 3}', '2026-06-10') AS learnt \gset
SELECT cmp_ok(cdp.tally_offers(), '>', 36::bigint, 'counted into days');
SELECT is(cdp.tally_offers(), 0::bigint, 'once');
SELECT is(pg_temp.learnt('{"half_life": 3}', '2026-06-10'), :'learnt', 'which changes nothing of what is known');
SELECT is(array_agg(cdp.record_offer_outcome(d, 'accepted')), array_fill('repeated'::text, '{6}'), 'nor makes a word count again') FROM unnest(ARRAY[:wins]) d;
SELECT is((SELECT a FROM cdp_internal.offer_field('mail', '{"prior": [2, 8], "success": "accepted"}', '2026-06-10', cdp_internal.segment_catalog()) WHERE arm_id = :blue), (SELECT a FROM cdp_internal.offer_posteriors((SELECT placement_id FROM cdp_data.offer_placement WHERE name = 'mail'), '{"prior": [2, 8], "success": "accepted"}', '2026-06-10') WHERE arm_id = :blue), 'ranking knows it');

-- Replays; the same seed again; many are as each alone.
SELECT is((SELECT bool_and(r.same) FROM cdp_data.offer_decision d CROSS JOIN LATERAL cdp.replay_offer_decision(d.decision_id) r WHERE d.reason = 'offer'), true, 'every decision can be made again');
UPDATE cdp_data.offer_decision SET seed = seed + 1 WHERE offer_id = :letter;
SELECT is((SELECT bool_or(r.same) FROM cdp_data.offer_decision d CROSS JOIN LATERAL cdp.replay_offer_decision(d.decision_id) r WHERE d.offer_id = :letter), false, 'with another seed it is another');
UPDATE cdp_data.offer_decision SET seed = seed - 1 WHERE offer_id = :letter;
SELECT cdp.edit_placement('mail', '{"epsilon": 0.2, "prior": [2, 8]}') AS second_policy \gset
CREATE TEMP TABLE alone AS SELECT u.c, d.reason, d.offer_id, d.arm_id, d.score, d.propensity, d.candidates FROM (SELECT DISTINCT pg_temp.u(i) AS c FROM generate_series(1, 9) i) u
  CROSS JOIN LATERAL cdp_internal.offer_decide('mail', ARRAY[u.c], '2026-06-10', 77, false) d;
SELECT results_eq($$SELECT d.customer_id, d.reason, d.offer_id, d.arm_id, d.score, d.propensity, d.candidates FROM cdp_internal.offer_decide('mail', ARRAY(SELECT c FROM alone), '2026-06-10', 77, true) d$$, 'SELECT * FROM alone ORDER BY 1', 'many at one go get what each gets alone');
SELECT is((SELECT count(DISTINCT arm_id) FROM alone), 2::bigint, 'which is not the same for all');

-- The audience of a segment.
SELECT cdp.create_segment('buyers', 'did("purchase")', 'service') IS NOT NULL;
SELECT kind FROM cdp.segment_tick(:at) \g /dev/null
SELECT is((SELECT array_agg(customer_id) FROM cdp.next_best_offers('buyers', 'mail', :at)), ARRAY(SELECT pg_temp.u(i) FROM unnest('{1,3}'::int[]) i ORDER BY 1), 'who is in it and may be analysed');
SELECT throws_ok($$SELECT * FROM cdp.next_best_offers('nobody', 'mail')$$, '42704', NULL, 'an unknown segment');
SELECT is((SELECT count(*) FROM cdp.next_best_offers('{}'::bigint[], 'mail')), 0::bigint, 'nobody at all');
SELECT is((SELECT count(*) FROM cdp.next_best_offers(ARRAY[NULL, -1, 99999999]::bigint[], 'mail')), 0::bigint, 'nobody who is known');

-- A holdout: who is control gets the default, and stays control.
SELECT cdp.create_holdout('quiet', 0.5, 'no offers') \g /dev/null
SELECT cdp.create_placement('held', '{"method": "value", "default": {"title": "plain"}}', holdout => 'quiet') \g /dev/null
SELECT cdp.create_offer('shown to some', '{held}', 'service') \g /dev/null
SELECT is((SELECT jsonb_agg(DISTINCT jsonb_build_array(reason, offer, content ->> 'title', cdp.holdout_arm('quiet', customer_id))) FROM cdp.next_best_offers(ARRAY(SELECT pg_temp.u(i) FROM generate_series(1, 9) i WHERE i <> 2), 'held', :at)),
  '[["control", null, "plain", "control"], ["offer", "shown to some", null, "treatment"]]', 'control gets the default, the others the offer');
SELECT is((SELECT count(DISTINCT customer_id) FROM cdp_data.holdout_assignment), 7::bigint, 'all of them are exposed, and keep their arm');
SELECT is((SELECT count(*) FROM cdp_data.offer_decision d CROSS JOIN LATERAL jsonb_array_elements(d.candidates) c WHERE d.reason = 'control' AND NOT c ? 'refused' AND NOT c ? 'score'), (SELECT count(*) FROM cdp_data.offer_decision WHERE reason = 'control'), 'what control might have had is noted');
SELECT cdp.end_holdout('quiet') \g /dev/null
SELECT is((SELECT string_agg(DISTINCT reason, ' ') FROM cdp.next_best_offers(ARRAY(SELECT pg_temp.u(i) FROM generate_series(1, 9) i WHERE i <> 2), 'held', :at)), 'offer', 'until it ends');

-- Scores of customers: a trait or an attribute.
SELECT cdp.add_attribute('liking', 'numeric', 'latest', sensitivity => 'internal') IS NOT NULL;
SELECT cdp.identify('shop', jsonb_build_object('user_id', 'u' || i), jsonb_build_object('liking', v), '2026-05-01') IS NOT NULL FROM (VALUES (1, 0.9), (4, 0.1), (5, 7)) AS x (i, v);
SELECT cdp.refresh_profiles() \g /dev/null
INSERT INTO cdp_data.trait (name, kind, description) VALUES ('taste', 'own', 'how well it fits');
INSERT INTO cdp_data.trait_value SELECT trait_id, pg_temp.u(i), v FROM cdp_data.trait, (VALUES (1, 0.2), (4, 0.3)) AS x (i, v) WHERE name = 'taste';
SELECT cdp.create_placement('scored', '{"method": "value"}') \g /dev/null
SELECT cdp.create_offer('liked', '{scored}', 'service', score => '{"attr": "liking"}'), cdp.create_offer('tasted', '{scored}', 'service', score => '{"trait": "taste"}', value => 2) \g /dev/null
SELECT is((SELECT string_agg(pg_temp.given(i, 'scored', :at), ' ' ORDER BY i) FROM unnest('{1,4,5}'::int[]) i), 'liked tasted nothing', 'each customer by his own');
SELECT is(pg_temp.why(5, 'scored', :at), 'liked: no score, tasted: no score', 'what is no probability is none');
SELECT cdp.create_placement('drawn') \g /dev/null
SELECT cdp.edit_offer('liked', terms => '{"placements": ["scored", "drawn"]}') \g /dev/null
SELECT is(pg_temp.given(5, 'drawn', :at), 'liked', 'where outcomes are drawn nobody needs a score');
SELECT is((SELECT string_agg(format('%s %s %s', offer, expected, score), ', ' ORDER BY offer) FROM cdp.explain_offers(pg_temp.u(4), 'scored', :at)), 'liked 0.1 0.1, tasted 0.3 0.6', 'with its expected value');
SELECT is((SELECT bool_and(r.same) FROM cdp_data.offer_decision d JOIN cdp_data.offer_placement p USING (placement_id) CROSS JOIN LATERAL cdp.replay_offer_decision(d.decision_id) r WHERE p.name = 'scored' AND d.reason = 'offer'), true, 'which can be made again');
-- A score is held to its purpose like a rule.
UPDATE cdp_data.attribute SET allowed_purposes = '{marketing}' WHERE name = 'liking';
SELECT is(pg_temp.why(4, 'scored', :at), 'liked: rule, tasted: possible', 'what may no longer be used for the purpose ranks nothing');
SELECT is(pg_temp.given(5, 'drawn', :at), 'liked', 'where it is not ranked by, it does not matter');
SELECT is((SELECT string_agg(finding, ' ') FROM cdp_internal.health_of_offer()), 'offer_score', 'health tells');
UPDATE cdp_data.attribute SET allowed_purposes = NULL WHERE name = 'liking';

-- Outcomes from touchpoints.
SELECT decision_id AS mine FROM cdp.next_best_offer(pg_temp.u(4), 'scored', :at) \gset
SELECT cdp.track('shop', 'purchase', jsonb_build_object('user_id', u), jsonb_build_object('decision', d), '2026-06-02', 'o' || n, 20, 'CNY') IS NOT NULL
FROM (VALUES (1, 'u4', :'mine'), (2, 'u1', :'mine'), (3, 'u4', '99999999'), (4, 'u4', 'none'), (5, 'u4', '99999999999999999999')) AS v (n, u, d);
SELECT is((SELECT jsonb_object_agg(result, touchpoints) FROM cdp.collect_offer_outcomes('{"purchase": "accepted"}')), '{"recorded": 1, "unknown": 3, "other customer": 1}', 'touchpoints tell outcomes of their own customer');
SELECT is((SELECT jsonb_object_agg(result, touchpoints) FROM cdp.collect_offer_outcomes('{"purchase": "accepted"}', '2026-06-01')), '{"repeated": 1, "unknown": 3, "other customer": 1}', 'once');
SELECT is((SELECT (value, touchpoint_id IS NOT NULL)::text FROM cdp_data.offer_outcome WHERE decision_id = :mine AND kind = 'accepted'), '(20.000000,t)', 'with their value');
SELECT is((SELECT count(*) FROM cdp.collect_offer_outcomes('{"purchase": "accepted"}', '2026-06-03')), 0::bigint, 'in their time');

-- Money of another currency, at the rate of its day.
INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) VALUES ('EUR', 'CNY', '2026-06-01', 8), ('EUR', 'CNY', '2026-06-03', 7);
SELECT decision_id AS by_call FROM cdp.next_best_offer(pg_temp.u(4), 'scored', '2026-06-02') \gset
SELECT decision_id AS by_touch FROM cdp.next_best_offer(pg_temp.u(4), 'scored', '2026-06-04') \gset
SELECT throws_ok(format($$SELECT cdp.record_offer_outcome(%s, 'accepted', '2026-05-31', 10, 'EUR')$$, :by_call), '22000', NULL, 'no rate of that day');
SELECT cdp.record_offer_outcome(:by_call, 'accepted', '2026-06-02', 10, 'EUR') \g /dev/null
SELECT cdp.track('shop', 'purchase', '{"user_id": "u4"}', jsonb_build_object('decision', :'by_touch'), '2026-06-04', 'o6', 10, 'EUR') IS NOT NULL \g /dev/null
SELECT is((SELECT jsonb_object_agg(result, touchpoints) FROM cdp.collect_offer_outcomes('{"purchase": "accepted"}', '2026-06-03')), '{"recorded": 1}', 'a purchase in euro');
SELECT is((SELECT array_agg(value ORDER BY decision_id) FROM cdp_data.offer_outcome WHERE decision_id IN (:by_call, :by_touch) AND kind = 'accepted'), '{80,70.000000}', 'counts in the currency of reports');
SELECT throws_ok(format($$SELECT cdp.record_offer_outcome(%s, 'clicked', '2026-06-02', 10, 'QQQ')$$, :by_call), '22000', NULL, 'nor of a currency that nobody knows');

-- Retention, erasure.
SELECT cdp.tally_offers() \g /dev/null
SELECT pg_temp.learnt('{}', '2026-06-10') AS learnt \gset
UPDATE cdp_data.setting SET offer_retention = now() - timestamptz '2026-06-01 20:00+00';
SELECT ok(bool_or(finding = 'offer_retention') IS NOT TRUE, 'kept longer than caps look back') FROM cdp_internal.health_of_offer();
CALL cdp_internal.maintain_room_offer();
SELECT is((SELECT count(*) FROM cdp_data.offer_decision WHERE at < '2026-06-01 19:59+00'), 0::bigint, 'old decisions go');
SELECT is((SELECT count(*) FROM cdp_data.offer_outcome o WHERE NOT EXISTS (SELECT FROM cdp_data.offer_decision d WHERE d.decision_id = o.decision_id)), 0::bigint, 'with their outcomes');
SELECT is(pg_temp.learnt('{}', '2026-06-10'), :'learnt', 'what was learnt stays');
UPDATE cdp_data.setting SET offer_retention = '1 day';
SELECT ok(bool_or(finding = 'offer_retention'), 'a retention shorter than a cap is told') FROM cdp_internal.health_of_offer();
UPDATE cdp_data.setting SET offer_retention = NULL;
SELECT cdp.add_offer_stock('rare', 2) \g /dev/null
SELECT is(pg_temp.given(9, 'app', now()) || ', ' || pg_temp.left_over(), 'rare, 4 of 7', 'somebody reserves one');
SELECT cdp.erase_customer(pg_temp.u(9), 'delete') IS NOT NULL;
SELECT is(pg_temp.left_over(), '5 of 7', 'an erasure gives it back');
SELECT is((SELECT count(*) FROM cdp_data.offer_decision d WHERE NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = d.customer_id)), 0::bigint, 'and leaves no decision of his');
SELECT is((SELECT string_agg(finding, ' ') FROM cdp_internal.health_of_offer()), NULL, 'stock fits');

-- Bad input.
SELECT throws_ok(call, code, NULL, call) FROM (VALUES
  ($$SELECT cdp.next_best_offer(99999999, 'home')$$, '22023'), ($$SELECT cdp.next_best_offer(NULL, 'home')$$, '22023'), ($$SELECT cdp.next_best_offer(1, 'hom')$$, '42704'), ($$SELECT cdp.next_best_offer(1, 'home', 'infinity')$$, '22023'),
  ($$SELECT cdp.create_placement('x', '{"method": "luck"}')$$, '22023'), ($$SELECT cdp.create_placement('x', '{"metod": "value"}')$$, '22023'), ($$SELECT cdp.create_placement('x', '{"prior": [0, 1]}')$$, '22023'),
  ($$SELECT cdp.create_placement('x', '{"lease": "soon"}')$$, '22023'), ($$SELECT cdp.create_placement('x', '{"epsilon": 2}')$$, '22023'), ($$SELECT cdp.create_placement('x', '{"epsilon": 1e-400}')$$, '22023'), ($$SELECT cdp.create_placement('home')$$, '23505'), ($$SELECT cdp.create_placement('x', cap_count => 2)$$, '22023'),
  ($$SELECT cdp.create_placement('x', holdout => 'none')$$, '42704'), ($$SELECT cdp.create_offer('x', '{nowhere}', 'service')$$, '42704'), ($$SELECT cdp.create_offer('x', '{home}', 'nothing')$$, '22023'),
  ($$SELECT cdp.create_offer('x', '{home}', 'service', rule => 'did(')$$, '42601'), ($$SELECT cdp.create_offer('x', '{home}', 'service', rule => 'did("no such kind")')$$, '22023'), ($$SELECT cdp.create_offer('x', '{home}', 'service', value => 0)$$, '22023'),
  ($$SELECT cdp.create_offer('x', '{home}', 'service', score => '{"trait": "none"}')$$, '22023'), ($$SELECT cdp.create_offer('x', '{home}', 'service', score => '5')$$, '22023'), ($$SELECT cdp.create_offer('small', '{home}', 'service')$$, '23505'),
  ($$SELECT cdp.create_offer('x', '{home}', 'service', value => 1e400)$$, '22023'), ($$SELECT cdp.create_offer('x', '{home}', 'service', value => 1e-300)$$, '22023'), ($$SELECT cdp.create_offer('x', '{home}', 'service', value => 'NaN')$$, '22023'),
  ($$SELECT cdp.create_offer('x', '{home}', 'service', cap_count => 1, cap_within => '290000 years')$$, '22023'), ($$SELECT cdp.create_placement('x', cap_count => 1, cap_within => '290000 years')$$, '22023'),
  ($$SELECT cdp.record_offer_outcome((SELECT min(decision_id) FROM cdp_data.offer_decision WHERE reason = 'offer'), 'accepted', value => 1e400)$$, '22023'),
  ($$SELECT cdp.edit_offer('small', terms => '{"prise": 5}')$$, '22023'), ($$SELECT cdp.edit_offer('small', terms => '{"value": "much"}')$$, '22023'), ($$SELECT cdp.record_offer_outcome(0, 'shown')$$, '22023'), ($$SELECT cdp.record_offer_outcome(1, 'eaten')$$, '22023'),
  ($$SELECT cdp.record_offer_outcome((SELECT min(decision_id) FROM cdp_data.offer_decision WHERE reason <> 'offer'), 'shown')$$, '55000')) AS v (call, code);
SELECT * FROM finish();
ROLLBACK;
