-- Activations: a destination gets who enters and leaves, once each, with consent, holdout, priority and the minimum audience
-- obeyed; withdrawal, refusal, erasure and a purpose that is taken away hold in their own transaction. Every step commits.
SELECT plan(115);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT count(cdp.track('shop', 'purchase', jsonb_build_object('email', 'p' || i || '@example.org'), value => 10)) FROM generate_series(1, 20) i;
SELECT count(cdp.identify('shop', jsonb_build_object('email', 'p' || i || '@example.org'), jsonb_build_object('city', 'Xian', 'membership_points', i))) FROM generate_series(1, 20) i;
SELECT count(cdp.record_consent('shop', 'marketing', 'granted', jsonb_build_object('email', 'p' || i || '@example.org'))) FROM generate_series(1, 16) i;
CREATE FUNCTION public.p(i int) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('email', 'p' || i || '@example.org') $$;
CREATE FUNCTION public.who(i int) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('email', 'p' || i || '@example.org') $$;
SELECT cdp.add_destination('ads', 'marketing', 'email', '{city,membership_points}'), cdp.add_destination('crm', 'marketing', attributes => '{city}'), cdp.add_destination('desk', 'service');
SELECT cdp.create_segment('buyers', 'did(purchase last 30 days)', 'marketing', 'email'), cdp.create_segment('rich', 'membership_points >= 12', 'marketing'), cdp.create_segment('ill', 'birthday is missing', 'marketing');
SELECT count(*) FROM cdp.segment_tick();

-- The destination: takes what is due and keeps a list.
CREATE TABLE public.has (destination text, activation text, customer_id bigint, payload jsonb, PRIMARY KEY (destination, activation, customer_id));
CREATE TABLE public.told (outbox_id bigint, destination text, kind text, customer bigint);
CREATE TABLE public.odd (outbox_id bigint, kind text);
CREATE FUNCTION public.deliver(d text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE m record; n bigint;
BEGIN
  FOR m IN SELECT * FROM cdp.outbox_take(d, 1000) ORDER BY 1 LOOP
    IF m.kind = 'audience_add' THEN
      INSERT INTO public.has VALUES (d, m.payload ->> 'activation', (m.payload ->> 'customer')::bigint, m.payload) ON CONFLICT DO NOTHING;
    ELSIF m.kind = 'erase' THEN
      DELETE FROM public.has h WHERE h.destination = d AND m.payload -> 'customers' @> to_jsonb(h.customer_id);
    ELSE
      DELETE FROM public.has h WHERE (h.destination, h.activation, h.customer_id) = (d, m.payload ->> 'activation', (m.payload ->> 'customer')::bigint);
    END IF;
    GET DIAGNOSTICS n = ROW_COUNT;
    INSERT INTO public.told VALUES (m.outbox_id, d, m.kind, (m.payload ->> 'customer')::bigint);
    INSERT INTO public.odd SELECT m.outbox_id, m.kind WHERE n <> 1 AND m.kind <> 'erase';
    PERFORM cdp.outbox_sent(m.outbox_id);
  END LOOP;
  RETURN (SELECT string_agg(format('%s %s', k.kind, k.n), ', ' ORDER BY k.kind) FROM (SELECT t.kind, count(*) AS n FROM public.told t WHERE t.destination = d GROUP BY 1) k);
END $$;
CREATE FUNCTION public.at(d text, a text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(substring(i.value FROM '^p(\d+)@'), ' ' ORDER BY substring(i.value FROM '^p(\d+)@')::int) FROM public.has h JOIN cdp_data.identifier i ON i.customer_id = h.customer_id AND i.value LIKE 'p%@example.org'
  WHERE h.destination = d AND h.activation = a $$;
CREATE FUNCTION public.fresh() RETURNS void LANGUAGE sql AS $$ DELETE FROM public.told $$;

-- What is none.
SELECT throws_ok($$SELECT cdp.create_activation('x', 'buyer', 'ads')$$, '42704', 'there is no segment named "buyer"', 'a segment that is none');
SELECT throws_ok($$SELECT cdp.create_activation('x', 'buyers', 'adds')$$, '42704', 'there is no destination named "adds"', 'a destination that is none');
SELECT throws_ok($$SELECT cdp.create_activation('x', 'buyers', 'desk')$$, '22023', 'the destination may not get this segment: the segment is for marketing, the destination for service', 'one for another purpose');
SELECT throws_ok($$SELECT cdp.create_activation('x', 'buyers', 'ads', '{mail}')$$, '22023', 'there is no type of identifiers named "mail"', 'an identifier that is none');
SELECT throws_ok($$SELECT cdp.create_activation('x', 'buyers', 'ads', attributes => '{country}')$$, '22023', NULL, 'an attribute that is not declared');
SELECT throws_ok($$SELECT cdp.create_activation('x', 'buyers', 'ads', attributes => '{towns}')$$, '22023', NULL, 'one that is none');
SELECT throws_ok($$SELECT cdp.create_activation('x', 'buyers', 'ads', '{NULL}')$$, '22004', NULL, 'a NULL');
SELECT throws_ok($$SELECT cdp.create_activation('x', 'buyers', 'ads', holdout => 'x')$$, '42704', NULL, 'a holdout that is none');
SELECT throws_ok($$SELECT cdp.create_activation('', 'buyers', 'ads')$$, '22023', NULL, 'no name');
SELECT throws_ok($$SELECT cdp.pause_activation('x')$$, '42704', 'there is no activation named "x"', 'nor is there one to pause');
SELECT is((SELECT count(*) FROM cdp.sync_activations()), 0::bigint, 'without any nothing happens');

-- The beginning, in batches.
SELECT cdp.create_activation('b', 'buyers', 'ads', '{email}', '{city,membership_points}') AS b \gset
SELECT throws_ok($$SELECT cdp.create_activation('b2', 'buyers', 'ads')$$, '23505', NULL, 'a segment is at a destination once');
SELECT throws_ok($$SELECT cdp.create_activation('b', 'rich', 'ads')$$, '23505', NULL, 'a name names one');
SELECT is(public.deliver('ads'), NULL, 'nothing is sent at once');
SELECT results_eq($$SELECT * FROM cdp.fill_activation('b', 6)$$, $$VALUES (6::bigint, 14::bigint)$$, 'six are sent first');
SELECT throws_ok($$SELECT * FROM cdp.fill_activation('b', 0)$$, '22023', NULL, 'no batch of none');
SELECT results_eq($$SELECT * FROM cdp.fill_activation('b', 6)$$, $$VALUES (6::bigint, 8::bigint)$$, 'then six');
SELECT is((SELECT is_filled FROM cdp_bi.activation), false, 'it is not through');
SELECT results_eq($$SELECT * FROM cdp.sync_activations()$$, $$VALUES ('b', 4::bigint, 0::bigint, 0::bigint)$$, 'the job sends the others; who has not agreed is not among them');
SELECT is((SELECT is_filled FROM cdp_bi.activation), true, 'it is through');
SELECT results_eq($$SELECT * FROM cdp.fill_activation('b')$$, $$VALUES (0::bigint, 0::bigint)$$, 'nothing is left to send');
SELECT is(public.deliver('ads'), 'audience_add 16', 'all messages arrive');
SELECT is(public.at('ads', 'b'), '1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16', 'of those who agreed');
SELECT is((SELECT payload - 'sequence' FROM public.has WHERE customer_id = public.p(3)), jsonb_build_object('activation', 'b', 'segment', 'buyers', 'customer', public.p(3), 'identifiers', '{"email": ["p3@example.org"]}'::jsonb,
  'attributes', '{"city": "Xian", "membership_points": 3}'::jsonb), 'with what was asked for');
SELECT is((SELECT count(*) FROM cdp.sync_activations()), 0::bigint, 'nothing more is to do');

-- Who enters and leaves, in the run's transaction.
SELECT public.fresh();
SELECT count(cdp.track('shop', 'purchase', public.who(21), value => 5));
SELECT count(cdp.record_consent('shop', 'marketing', 'granted', public.who(21)));
BEGIN;
SELECT entered FROM cdp.segment_tick() \gset
SELECT is((SELECT string_agg(o.kind || ' ' || (o.payload ->> 'customer' = public.p(21)::text), ' ') FROM cdp_data.outbox o WHERE o.state = 'waiting'), 'audience_add true', 'who enters is told in the transaction that finds it');
ROLLBACK;
SELECT is((SELECT count(*) FROM cdp_data.outbox o WHERE o.state = 'waiting'), 0::bigint, 'which is taken back with it');
SELECT count(*) FROM cdp.segment_tick();
SELECT is((SELECT dedup_key FROM cdp_data.outbox o WHERE o.state = 'waiting'), (SELECT format('activation %s %s', activation_id, sequence) FROM cdp_data.activation_member WHERE customer_id = public.p(21)), 'with a key');
SELECT is(public.deliver('ads'), 'audience_add 1', 'and once');
SELECT cdp.record_consent('shop', 'marketing', 'granted', public.who(17)) IS NOT NULL;
SELECT count(*) FROM cdp.segment_tick();
SELECT is(public.deliver('ads'), 'audience_add 2', 'who agrees later comes with the next run');
SELECT cdp.track('shop', 'refund', public.who(5), value => 10) IS NOT NULL;
SELECT cdp.edit_segment('buyers', 'did(purchase last 30 days) and not did(refund)');
SELECT is((SELECT count(*) FROM cdp.sync_activations()), 0::bigint, 'before the new rule is evaluated nothing happens');
SELECT count(*) FROM cdp.segment_tick();
SELECT is(public.deliver('ads'), 'audience_add 2, audience_remove 1', 'who leaves is removed');
SELECT is(public.at('ads', 'b'), '1 2 3 4 6 7 8 9 10 11 12 13 14 15 16 17 21', 'by the list');
SELECT is((SELECT payload FROM cdp_data.outbox WHERE kind = 'audience_remove'), (SELECT jsonb_build_object('activation', 'b', 'segment', 'buyers', 'customer', public.p(5), 'identifiers', '{"email": ["p5@example.org"]}'::jsonb, 'sequence', m.sequence)
  FROM cdp_data.activation_member m WHERE m.customer_id = public.p(5)), 'by what he was added by, and with nothing else');

-- Consent withdrawn: in its own transaction.
SELECT public.fresh();
BEGIN;
SELECT cdp.record_consent('shop', 'marketing', 'withdrawn', public.who(1), channel => 'email') IS NOT NULL;
SELECT is((SELECT string_agg(o.kind || ' ' || (o.payload ->> 'customer' = public.p(1)::text), ' ') FROM cdp_data.outbox o WHERE o.state = 'waiting'), 'audience_withdraw true', 'a withdrawal is told in its transaction');
COMMIT;
BEGIN;
SELECT cdp.record_consent('shop', 'analytics', 'withdrawn', public.who(2)) IS NOT NULL;
SELECT is((SELECT count(*) FROM cdp_data.outbox o WHERE o.state = 'waiting' AND o.kind = 'audience_withdraw'), 2::bigint, 'a refusal of analytics, too');
COMMIT;
CREATE TABLE public.cs AS SELECT 'c' || i AS source_key, 'p' || i || '@example.org' AS identifier, 'withdrawn' AS status, now() AS effective_at FROM generate_series(3, 4) i;
BEGIN;
SELECT cancelled FROM cdp.load_consents('shop', 'public.cs', identifier_type => 'email', purpose => 'marketing') \gset
SELECT is((SELECT count(*) FROM cdp_data.outbox o WHERE o.state = 'waiting' AND o.kind = 'audience_withdraw'), 4::bigint, 'and a load of withdrawals');
COMMIT;
SELECT is(public.deliver('ads'), 'audience_withdraw 4', 'it goes out without the consent that is gone');
SELECT is(public.at('ads', 'b'), '6 7 8 9 10 11 12 13 14 15 16 17 21', 'and they are out');
SELECT count(*) FROM cdp.segment_tick();
SELECT is(public.deliver('ads'), 'audience_withdraw 4', 'the next run has nothing to add');
-- An addition that nobody took is taken back without a word.
SELECT public.fresh();
SELECT count(cdp.track('shop', 'purchase', public.who(22), value => 5)), count(cdp.record_consent('shop', 'marketing', 'granted', public.who(22)));
SELECT count(*) FROM cdp.segment_tick();
SELECT cdp.record_consent('shop', 'marketing', 'withdrawn', public.who(22)) IS NOT NULL;
SELECT is(public.deliver('ads'), NULL, 'who was not sent yet is not sent at all');
SELECT is((SELECT count(*) FROM cdp_data.activation_member WHERE customer_id = public.p(22)), 0::bigint, 'and not noted');

-- Erasure.
BEGIN;
SELECT cdp.erase_customer(public.p(6), 'delete') IS NOT NULL;
SELECT is((SELECT count(*) FROM cdp_data.activation_member m WHERE NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.customer_id = m.customer_id)), 0::bigint, 'who is erased is forgotten at once');
SELECT is((SELECT count(*) FROM cdp_data.outbox o WHERE o.destination = 'ads' AND o.kind = 'erase' AND o.state = 'waiting'), 1::bigint, 'and the destination told to delete him');
COMMIT;
SELECT is(public.deliver('ads'), 'erase 1', 'it does');
SELECT is(public.at('ads', 'b'), '7 8 9 10 11 12 13 14 15 16 17 21', 'and has him no more');
SELECT count(*) FROM cdp.segment_tick();
SELECT is(public.deliver('ads'), 'erase 1', 'nothing follows');

-- Merges and unmerges.
SELECT public.fresh();
SELECT p(7) AS p7, p(8) AS p8, p(18) AS p18, p(9) AS p9 \gset
SELECT cdp.alias('shop', public.who(7), public.who(8)) IS NOT NULL;
SELECT max(merge_id) AS m1 FROM cdp_data.merge_log WHERE kind = 'merge' \gset
SELECT count(*) FROM cdp.segment_tick();
SELECT is(public.deliver('ads'), 'audience_remove 1', 'of two that are one the one that is no more is removed');
SELECT is((SELECT count(*) FROM public.has WHERE customer_id IN (:p7, :p8)), 1::bigint, 'the other stays');
SELECT is((SELECT bool_and(h.customer_id = public.p(7)) FROM public.has h WHERE customer_id IN (:p7, :p8)), true, 'it is the survivor');
SELECT count(*) FROM cdp.unmerge(merge => :m1);
SELECT count(*) FROM cdp.segment_tick();
SELECT is(public.deliver('ads'), 'audience_add 1, audience_remove 1', 'parted again, both are there');
-- Who was added as one with another, from whom he was parted since, leaves without the identifier of the other.
SELECT public.fresh();
SELECT count(cdp.track('shop', 'purchase', public.who(i), value => 5)), count(cdp.record_consent('shop', 'marketing', 'granted', public.who(i))) FROM generate_series(25, 26) i;
SELECT cdp.alias('shop', public.who(25), public.who(26)) IS NOT NULL;
SELECT max(merge_id) AS m2 FROM cdp_data.merge_log WHERE kind = 'merge' \gset
SELECT count(*) FROM cdp.segment_tick();
SELECT is((SELECT payload -> 'identifiers' ->> 'email' FROM cdp_data.outbox WHERE state = 'waiting' AND kind = 'audience_add'), '["p25@example.org", "p26@example.org"]', 'two that are one are added by the identifiers of both');
SELECT public.deliver('ads');
SELECT count(*) FROM cdp.unmerge(merge => :m2);
SELECT count(*) FROM cdp.segment_tick();
SELECT is(public.deliver('ads'), 'audience_add 2', 'parted, the other is added, too');
BEGIN;
SELECT cdp.end_activation('b');
SELECT is((SELECT count(*) FROM cdp_data.outbox o CROSS JOIN LATERAL jsonb_array_elements_text(o.payload #> '{identifiers,email}') e WHERE o.state = 'waiting' AND o.kind = 'audience_remove' AND e IN ('p25@example.org', 'p26@example.org')), 3::bigint, 'who leaves with the other by all');
ROLLBACK;
SELECT cdp.track('shop', 'refund', public.who(25), value => 1) IS NOT NULL;
SELECT count(*) FROM cdp.segment_tick();
SELECT is((SELECT payload -> 'identifiers' FROM cdp_data.outbox WHERE state = 'waiting' AND kind = 'audience_remove'), '{"email": ["p25@example.org"]}', 'who leaves alone by his own');
SELECT cdp.track('shop', 'refund', public.who(26), value => 1) IS NOT NULL;
SELECT count(*) FROM cdp.segment_tick();
SELECT is(public.deliver('ads'), 'audience_add 2, audience_remove 2', 'and the other by his');
SELECT public.fresh();
SELECT cdp.record_consent('shop', 'marketing', 'denied', public.who(18)) IS NOT NULL;
SELECT cdp.alias('shop', public.who(9), public.who(18)) IS NOT NULL;
SELECT count(*) FROM cdp.segment_tick();
SELECT is((SELECT count(*) FROM public.told WHERE kind = 'audience_withdraw'), 0::bigint, 'who is one with somebody who refused');
SELECT is(public.deliver('ads'), 'audience_withdraw 1', 'is out with the next run');

-- A destination that speaks on another channel: who agreed to that one only comes with the job.
SELECT public.fresh();
SELECT count(cdp.track('shop', 'purchase', public.who(24), value => 5)), count(cdp.record_consent('shop', 'marketing', 'granted', public.who(24), channel => 'sms'));
SELECT count(*) FROM cdp.segment_tick();
SELECT is((SELECT count(*) FROM cdp_data.activation_member WHERE customer_id = public.p(24)), 0::bigint, 'who agreed to another channel is not told of');
BEGIN;
SELECT cdp.add_destination('ads', 'marketing', 'sms', '{city,membership_points}');
SELECT results_eq($$SELECT * FROM cdp.sync_activations()$$, $$VALUES ('b', 2::bigint, 0::bigint, 0::bigint)$$, 'once the destination speaks on that one');
SELECT is((SELECT string_agg(x, ' ') FROM unnest(ARRAY[1, 24]) i CROSS JOIN LATERAL (SELECT m.is_in::text FROM cdp_data.activation_member m WHERE m.customer_id = public.p(i)) m (x)), 'true true', 'he is, and who refused the other one');
ROLLBACK;

-- A purpose taken away, an attribute that may not be used: in its own transaction.
SELECT public.fresh();
SELECT cdp.create_activation('i', 'ill', 'crm') AS i \gset
SELECT cdp.create_activation('r', 'rich', 'crm', attributes => '{city}') AS r \gset
SELECT count(*) FROM cdp.sync_activations();
SELECT public.deliver('crm') ~ '^audience_add \d+$' AS filled \gset
SELECT is((SELECT count(*) > 5 FROM public.has WHERE destination = 'crm' AND activation = 'i'), true, 'a segment by an attribute is at its destination');
BEGIN;
SELECT cdp.allow_purposes('attribute', 'birthday', '{service}');
SELECT is((SELECT count(*) FROM cdp_data.outbox o WHERE o.state = 'waiting' AND o.kind = 'audience_withdraw' AND o.payload ->> 'activation' = 'i'), (SELECT count(*) FROM public.has WHERE activation = 'i'), 'a rule that may no longer read what it reads takes everybody out');
SELECT matches((SELECT blocked FROM cdp_data.activation WHERE name = 'i'), 'E_PURPOSE at /where', 'and tells why');
SELECT is((SELECT count(*) FROM cdp_data.activation WHERE blocked IS NOT NULL), 1::bigint, 'others go on');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'activation_blocked'), 1::bigint, 'health tells');
ROLLBACK;
BEGIN;
SELECT cdp.allow_purposes('attribute', 'city', '{service}');
SELECT is((SELECT string_agg(name, ' ' ORDER BY name) FROM cdp_data.activation WHERE blocked IS NOT NULL), 'b r', 'an attribute that messages carry blocks those that carry it');
SELECT is((SELECT count(*) FROM cdp_data.activation_member m JOIN cdp_data.activation a USING (activation_id) WHERE a.name IN ('b', 'r') AND m.is_in), 0::bigint, 'and takes everybody out there');
SELECT cdp.allow_purposes('attribute', 'city', NULL);
SELECT is((SELECT count(*) FROM cdp_data.activation WHERE blocked IS NOT NULL), 0::bigint, 'given back');
SELECT count(*) FROM cdp.sync_activations();
SELECT is((SELECT count(*) FROM cdp_data.activation_member m JOIN cdp_data.activation a USING (activation_id) WHERE a.name = 'b' AND m.is_in), (SELECT count(*) FROM public.has WHERE activation = 'b'), 'all come back');
ROLLBACK;
BEGIN;
SELECT cdp.add_destination('crm', 'service');
SELECT is((SELECT count(*) FROM cdp_data.activation_member m JOIN cdp_data.activation a USING (activation_id) WHERE a.destination = 'crm' AND m.is_in), 0::bigint, 'a destination for another purpose has nobody');
ROLLBACK;
BEGIN;
SELECT cdp.set_purpose('analytics', rule => 'opt_in') IS NOT NULL;
SELECT is((SELECT count(*) FROM cdp_data.activation_member m WHERE m.is_in), 0::bigint, 'nor has any when everybody has to agree first');
ROLLBACK;
BEGIN;
SELECT count(*) FROM cdp.segment_tick();
SELECT is((SELECT count(*) FROM cdp_data.outbox WHERE state = 'waiting' AND kind <> 'erase'), 0::bigint, 'and without all that nothing was to be said');
ROLLBACK;

-- A destination that is held: what is urgent goes out, the rest waits and is told later.
SELECT public.fresh();
SELECT cdp.set_gate('data', 'freshness', 'shop', max_age => '1 day', destination => 'ads') IS NOT NULL;
UPDATE cdp_data.activation_gate SET state = 'closed', detail = 'for the test', valid_until = NULL;
SELECT cdp.record_consent('shop', 'marketing', 'granted', public.who(19)) IS NOT NULL;
SELECT cdp.track('shop', 'refund', public.who(10), value => 1) IS NOT NULL;
SELECT cdp.record_consent('shop', 'marketing', 'withdrawn', public.who(11)) IS NOT NULL;
SELECT count(*) FROM cdp.segment_tick();
SELECT is(public.deliver('ads'), 'audience_withdraw 1', 'a withdrawal passes a closed gate');
SELECT matches((SELECT stale FROM cdp_bi.activation WHERE activation = 'b'), '^gate "data" is closed', 'what does not is noted');
UPDATE cdp_data.activation SET stale_since = now() - interval '2 hours' WHERE name = 'b';
SELECT is((SELECT count(*) FROM cdp.sync_activations()), 0::bigint, 'trying again tells nothing while it is closed');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'activation_stale'), 1::bigint, 'health tells how long that lasts, though it is tried again and again');
SELECT cdp.override_gate('data', now() + interval '1 day', 'test over');
SELECT results_eq($$SELECT * FROM cdp.sync_activations()$$, $$VALUES ('b', 1::bigint, 1::bigint, 0::bigint)$$, 'and told when it opens');
SELECT is(public.deliver('ads'), 'audience_add 1, audience_remove 1, audience_withdraw 1', 'once');
SELECT is((SELECT stale_since FROM cdp_data.activation WHERE name = 'b'), NULL, 'nothing is left to tell');

SELECT is_empty('SELECT * FROM public.odd', 'no message was about what the destination had, or had not, already');

-- Order: a message that is tried again does not undo a later one.
SELECT public.fresh();
SELECT cdp.record_consent('shop', 'marketing', 'granted', public.who(20)) IS NOT NULL;
SELECT count(*) FROM cdp.segment_tick();
SELECT outbox_id AS first FROM cdp.outbox_take('ads') \gset
SELECT cdp.track('shop', 'refund', public.who(20), value => 1) IS NOT NULL;
SELECT count(*) FROM cdp.segment_tick();
SELECT is(cdp.outbox_failed(:first, 'timeout'), true, 'an addition failed');
UPDATE cdp_data.outbox SET next_attempt_at = now() - interval '1 second' WHERE state = 'waiting';
SELECT is(public.deliver('ads'), 'audience_remove 1', 'after he left it is not tried again');
SELECT is((SELECT state || ': ' || last_error FROM cdp_data.outbox WHERE outbox_id = :first), 'cancelled: it is not the last message about the customer', 'and says why');
SELECT is(cdp.outbox_put('ads', 'audience_add', '{"activation": "b", "sequence": 1}', customer_id => public.p(12)), NULL, 'nobody else writes such messages');

-- An addition that the outbox refuses leaves what was noted as it was: the message before is still the last one, and goes out.
BEGIN;
SELECT cdp.record_consent('shop', 'marketing', 'withdrawn', public.who(12)) IS NOT NULL;
SELECT cdp.record_consent('shop', 'marketing', 'granted', public.who(12)) IS NOT NULL;
CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusals_of_purpose(destination text, kind text, customers bigint[], payloads jsonb[]) RETURNS TABLE (n bigint, reason text) LANGUAGE sql AS $$
  SELECT u.n, 'customer ' || u.x || ' is out' FROM unnest(customers) WITH ORDINALITY u (x, n) WHERE kind = 'audience_add' AND current_setting('test.refuses') = 'yes' $$;
SET LOCAL test.refuses = yes;
SELECT count(*) FROM cdp.segment_tick();
SELECT is((SELECT stale FROM cdp_data.activation WHERE name = 'b'), 'a customer is out', 'what is refused is noted, but not about whom');
SELECT results_eq($$SELECT kind FROM cdp.outbox_take('ads')$$, $$VALUES ('audience_withdraw')$$, 'the withdrawal before it goes out');
SET LOCAL test.refuses = no;
SELECT results_eq($$SELECT * FROM cdp.sync_activations() WHERE activation = 'b'$$, $$VALUES ('b', 1::bigint, 0::bigint, 0::bigint)$$, 'the addition comes later');
ROLLBACK;

-- Reconcile.
SELECT results_eq($$SELECT * FROM cdp.reconcile_activation('b')$$, $$VALUES (0::bigint, 0::bigint, NULL::bigint)$$, 'all is as it was told');
SELECT is(public.at('ads', 'b'), '7 8 12 13 14 15 16 17 19 21', 'the list');
UPDATE cdp_data.activation_member SET is_in = false WHERE customer_id = public.p(12);
SELECT results_eq($$SELECT * FROM cdp.reconcile_activation('b')$$, $$VALUES (1::bigint, 0::bigint, NULL::bigint)$$, 'a difference is told');
SELECT public.deliver('ads');
SELECT results_eq($$SELECT * FROM cdp.reconcile_activation('b', ARRAY(SELECT customer_id FROM public.has WHERE activation = 'b' AND customer_id NOT IN (public.p(13), public.p(14))) || ARRAY[public.p(5), 999999, -1])$$,
  $$VALUES (2::bigint, 1::bigint, 2::bigint)$$, 'who is missing there is added again, who should be gone is removed, who is none of ours stays');
SELECT results_eq($$SELECT * FROM cdp.reconcile_activation('b', ARRAY(SELECT customer_id FROM public.has WHERE activation = 'b' AND customer_id NOT IN (public.p(13), public.p(14))))$$,
  $$VALUES (0::bigint, 0::bigint, 0::bigint)$$, 'what is on its way is not told twice');

-- Pause, resume, end.
SELECT public.deliver('ads');
SELECT public.fresh();
SELECT cdp.pause_activation('b');
SELECT throws_ok($$SELECT * FROM cdp.reconcile_activation('b')$$, '55000', 'activation "b" is paused', 'a paused one is not compared');
SELECT cdp.track('shop', 'refund', public.who(12), value => 1) IS NOT NULL;
SELECT cdp.record_consent('shop', 'marketing', 'withdrawn', public.who(13)) IS NOT NULL;
SELECT count(*) FROM cdp.segment_tick();
SELECT count(*) FROM cdp.sync_activations();
SELECT is(public.deliver('ads'), 'audience_withdraw 1', 'a paused one tells of withdrawals only');
SELECT cdp.resume_activation('b');
SELECT count(*) FROM cdp.sync_activations();
SELECT is(public.deliver('ads'), 'audience_remove 1, audience_withdraw 1', 'and of the rest when it goes on');
SELECT is((SELECT bool_and(stale IS NULL) FROM cdp_data.activation), true, 'nothing is left to tell');
SELECT is(cdp.end_activation('b'), (SELECT count(*) FROM public.has WHERE activation = 'b'), 'its end removes those that it added');
SELECT public.deliver('ads');
SELECT is((SELECT count(*) FROM public.has WHERE activation = 'b'), 0::bigint, 'all of them');
SELECT throws_ok($$SELECT cdp.resume_activation('b')$$, '55000', 'activation "b" has ended', 'for good');
SELECT is(cdp.end_activation('i', remove => false), 0::bigint, 'another one leaves them');
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE action = 'activation' AND detail ->> 'op' IN ('create', 'paused', 'active', 'ended')), 7::bigint, 'the audit has it');

-- Retention: who was removed, and who was left by one that ended; not who is on hold, nor before the message is delivered.
BEGIN;
UPDATE cdp_data.setting SET activation_retention = '10 days';
UPDATE cdp_data.activation_member SET at = now() - interval '11 days';
SELECT cdp.place_hold(public.p(14), 'test') > 0;
UPDATE cdp_data.outbox o SET state = 'waiting' FROM cdp_data.activation_member m WHERE m.customer_id = public.p(15) AND m.activation_id = :b AND o.dedup_key = format('activation %s %s', :b, m.sequence);
UPDATE cdp_data.outbox SET state = 'sent' WHERE destination = 'crm';
CALL cdp_internal.maintain_room_activation();
SELECT set_eq(format('SELECT customer_id FROM cdp_data.activation_member WHERE activation_id = %s', :b), $$VALUES (public.p(14)), (public.p(15))$$, 'who was removed longer ago is forgotten');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.activation_member WHERE activation_id = :i), '>', 5::bigint, 'whom an activation left when it ended is not yet');
UPDATE cdp_data.activation SET ended_at = now() - interval '11 days' WHERE state = 'ended';
CALL cdp_internal.maintain_room_activation();
SELECT set_eq(format('SELECT customer_id FROM cdp_data.activation_member WHERE activation_id IN (%s, %s)', :b, :i), $$VALUES (public.p(14)), (public.p(15))$$, 'then he is, too');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.activation_member WHERE activation_id = :r), '>', 0::bigint, 'whom a destination has stays');
ROLLBACK;

-- A file is about now, not about when a transaction began.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT throws_ok($$SELECT cdp.export_audience(1, 'rich')$$, '25000', 'audiences are exported under READ COMMITTED only', 'an export sees what was withdrawn since its transaction began');
ROLLBACK;

-- Audiences, journeys and activations at once: each in the transaction in which it is said.
CREATE FUNCTION public.used(c bigint) RETURNS text LANGUAGE sql AS $$
  SELECT format('audience %s, journey %s, activation %s', (SELECT count(*) FROM cdp.segment_audience('rich') m WHERE m = c),
    (SELECT count(*) FROM cdp.journey_state('[{"name": "bought", "enter": "purchase"}]', ARRAY[c])),
    (SELECT count(*) FROM cdp_bi.activation_member m WHERE m.activation = 'r' AND m.customer_id = c)) $$;
SELECT p(15) AS p15 \gset
SELECT is(public.used(:p15), 'audience 1, journey 1, activation 1', 'he is in an audience, a journey and an activation');
BEGIN;
SELECT cdp.record_consent('shop', 'analytics', 'withdrawn', public.who(15)) IS NOT NULL;
SELECT is(public.used(:p15), 'audience 0, journey 0, activation 0', 'who refuses analytics is in none of them, at once');
ROLLBACK;
BEGIN;
SELECT cdp.record_consent('shop', 'marketing', 'withdrawn', public.who(15)) IS NOT NULL;
SELECT is(public.used(:p15), 'audience 0, journey 1, activation 0', 'who refuses marketing may still be counted');
ROLLBACK;
BEGIN;
SELECT cdp.erase_customer(:p15, 'anonymise') IS NOT NULL;
SELECT is(public.used(:p15), 'audience 0, journey 0, activation 0', 'who is erased is in none');
ROLLBACK;
BEGIN;
SELECT cdp.allow_purposes('attribute', 'membership_points', '{service}'), cdp.allow_purposes('kind', 'purchase', '{service}');
SELECT throws_like($$SELECT cdp.segment_audience('rich')$$, '%membership_points%marketing%', 'a purpose that is taken away closes the audience');
SELECT throws_like($$SELECT * FROM cdp.journey_state('[{"name": "bought", "enter": "purchase"}]')$$, '%purchase%analytics%', 'the journey');
SELECT is((SELECT count(*) FROM cdp_bi.activation_member m WHERE m.activation = 'r'), 0::bigint, 'and the activation');
ROLLBACK;
SELECT is(public.used(:p15), 'audience 1, journey 1, activation 1', 'what was taken back holds nowhere');
SELECT * FROM finish();
