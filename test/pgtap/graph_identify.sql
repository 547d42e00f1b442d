-- One record at a time: who is found, made and merged, which rule stops whom, and that nothing is written without need.
SELECT plan(62);
SELECT cdp.add_source('shop') AS shop \gset
INSERT INTO cdp_data.load (source_id, kind, state) VALUES (:shop, 'calls', 'done') RETURNING load_id AS load \gset
CREATE FUNCTION public.seen(ids jsonb, at timestamptz DEFAULT '2026-01-01', load bigint DEFAULT 1)
RETURNS TABLE (customer_id bigint, identifier_id bigint, home_id bigint, created boolean, merged bigint[], rejected jsonb) LANGUAGE plpgsql AS $$
DECLARE
  c record := cdp_internal.clean_identifiers(ids);
BEGIN
  RETURN QUERY SELECT * FROM cdp_internal.identify_in(load, 1, c.type_ids, c.vals, at, 'record', 'identify');
END $$;
CREATE FUNCTION public.who(type text, v text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of(type, v) $$;
CREATE FUNCTION public.links(VARIADIC states text[]) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM cdp_data.link WHERE state = ANY (states) AND kind <> 'cannot' $$;

-- Cleaning.
SELECT is((cdp_internal.clean_identifiers('{"email": " A.B@Example.COM ", "user_id": 77}')).vals, '{77,a.b@example.com}', 'values are normalised, the strongest first');
SELECT is((cdp_internal.clean_identifiers('{"email": ["a@example.com", "A@EXAMPLE.com"]}')).vals, '{a@example.com}', 'the same value counts once');
SELECT is((cdp_internal.clean_identifiers('{"user_id": [null, "", "  ", "null", true, {"a": 1}], "nobody": "x"}')).vals, '{}', 'NULL, blank and words for nothing identify nobody');
SELECT is((SELECT jsonb_agg(r -> 'code') FROM jsonb_array_elements((cdp_internal.clean_identifiers('{"user_id": [null, "  ", true, "undefined"], "nobody": "x"}')).refused) r),
  '["unknown_identifier_type", "empty", "empty", "not_text", "blocked"]', 'and the reason is told');
SELECT throws_ok($$SELECT cdp_internal.clean_identifiers('[1]')$$, '22023', 'identifiers must be a JSON object', 'a list is no record');
SELECT throws_ok(format('SELECT cdp_internal.clean_identifiers(%L)', jsonb_build_object('cookie', (SELECT jsonb_agg('c' || n) FROM generate_series(1, 51) n))),
  '54000', 'too many identifiers in one record', '51 identifiers are too many');
SELECT throws_ok($$SELECT cdp_internal.identify_in(1, 1, (SELECT array_agg(8::smallint) FROM generate_series(1, 51)), (SELECT array_agg('c' || n) FROM generate_series(1, 51) n), now(), NULL, 'identify')$$,
  '54000', 'too many identifiers in one record', 'also below');
SELECT throws_ok($$SELECT cdp_internal.identify_in(NULL, 1, '{8}', '{c}', now(), NULL, 'identify')$$, '22004', NULL, 'a record without a load is refused');
SELECT is((SELECT s.customer_id FROM public.seen('{"cookie": ""}') s), NULL, 'a record without an identifier is nobody''s');

-- Creating, attaching, merging.
SELECT results_eq($$SELECT customer_id, created, merged, rejected FROM public.seen('{"cookie": "c1"}')$$, $$VALUES (1::bigint, true, '{}'::bigint[], '[]'::jsonb)$$, 'a new cookie is a new customer');
SELECT results_eq($$SELECT customer_id, created FROM public.seen('{"cookie": "c1", "email": "a@example.com"}')$$, $$VALUES (1::bigint, false)$$, 'an address that comes with it is attached');
SELECT is((SELECT customer_id FROM cdp_data.identifier WHERE value = 'a@example.com'), 1::bigint, 'and has its home there');
SELECT is((SELECT count(*) FROM cdp_data.customer), 1::bigint, 'without a customer of its own');
SELECT results_eq($$SELECT created FROM public.seen('{"user_id": "A", "phone": "+8613912345678"}')$$, $$VALUES (true)$$, 'another record is another customer');
SELECT results_eq($$SELECT customer_id, created, merged FROM public.seen('{"user_id": "A", "email": "a@example.com"}')$$, $$VALUES (2::bigint, false, '{1}'::bigint[])$$,
  'a record that shows both makes them one; the stronger anchor keeps its number');
SELECT results_eq($$SELECT customer_id, from_id, to_id, cause::text COLLATE "default", winner_size, loser_size, source_id, load_id, event_key::text COLLATE "default" FROM cdp_data.merge_log$$,
  $$VALUES (1::bigint, 1::bigint, 2::bigint, 'identify', 2, 2, 1, 1::bigint, 'record')$$, 'with one line in the ledger');
SELECT is((SELECT array_agg(customer_id ORDER BY customer_id) FROM cdp_data.change_feed WHERE cause = 'merge'), '{1,2}', 'and both in the change feed');
SELECT is((SELECT customer_id FROM cdp_data.identifier WHERE value = 'c1'), 1::bigint, 'no identifier is rewritten');
SELECT is(public.who('cookie', 'c1'), 2::bigint, 'and the cookie is found under the new root');
SELECT is((SELECT count(*) FROM cdp_data.link_support), (SELECT count(*) FROM cdp_data.link), 'every link has its load');
SELECT public.seen('{"cookie": ["s1", "s2", "s3", "s4", "s5"]}');
SELECT is((SELECT count(*) FROM cdp_data.link l JOIN cdp_data.identifier i ON i.identifier_id = l.b_id WHERE i.value ~ '^s[1-5]$'), 7::bigint, 'five in a record are held by 2 * 5 - 3 links');

-- Nothing without need.
BEGIN;
SELECT public.seen('{"user_id": "A", "email": "a@example.com"}', '2026-01-01 06:00');
SELECT is(pg_current_xact_id_if_assigned(), NULL, 'a known record writes nothing and locks nothing');
COMMIT;
SELECT public.seen('{"user_id": "A", "email": "a@example.com"}', '2026-01-05');
SELECT is((SELECT last_seen FROM cdp_data.identifier WHERE value = 'A'), '2026-01-05 00:00+00'::timestamptz, 'more than a day later last_seen follows');
SELECT public.seen('{"user_id": "A", "email": "a@example.com"}', '2025-12-31 23:00');
SELECT is((SELECT array_agg(DISTINCT first_seen) FROM cdp_data.identifier WHERE value IN ('A', 'a@example.com')), '{2025-12-31 23:00+00}', 'an earlier record lowers first_seen exactly');
SELECT is((SELECT l.first_seen FROM cdp_data.link l JOIN cdp_data.identifier i ON i.identifier_id = l.a_id JOIN cdp_data.identifier j ON j.identifier_id = l.b_id
  WHERE 'A' IN (i.value, j.value) AND 'a@example.com' IN (i.value, j.value)), '2025-12-31 23:00+00'::timestamptz, 'also that of the link');

-- Limits: the weakest that does not fit stays out (the worked example of Segment).
SELECT results_eq($$SELECT created, merged, rejected FROM public.seen('{"user_id": "B", "email": "a@example.com"}')$$,
  $$VALUES (true, '{}'::bigint[], '[{"type": "email", "reason": "limit user_id"}]'::jsonb)$$, 'an address of another account stays with that one');
SELECT isnt(public.who('user_id', 'B'), public.who('email', 'a@example.com'), 'and they are two customers');
SELECT results_eq($$SELECT rejected FROM public.seen('{"user_id": "B", "email": ["a@example.com", "b@example.com"], "cookie": "c2"}')$$,
  $$VALUES ('[{"type": "email", "reason": "limit user_id"}]'::jsonb)$$, 'only who does not fit is left out');
SELECT is(public.who('cookie', 'c2'), public.who('user_id', 'B'), 'weaker ones that fit are taken');
SELECT is((SELECT count(*) FROM cdp_data.link WHERE state = 'rejected' AND reason = 'limit user_id'), 3::bigint, 'the links that were refused are kept with the reason');
SELECT public.seen(jsonb_build_object('user_id', 'D', 'email', (SELECT jsonb_agg('d' || n || '@example.com') FROM generate_series(1, 7) n)));
SELECT is((SELECT count(*) FROM cdp_internal.members(public.who('user_id', 'D'))), 6::bigint, 'seven addresses of which five are allowed');
SELECT is((SELECT count(DISTINCT public.who('email', 'd' || n || '@example.com')) FROM generate_series(6, 7) n), 2::bigint, 'each that stays out is a customer of its own');

-- A limit within a span of time: no two hours hold more than two.
SELECT cdp.add_identifier_type('badge', priority => 600, max_per_customer => 2, limit_window => '2 hours') AS badge \gset
SELECT public.seen('{"user_id": "W", "badge": "w1"}', '2026-02-01 10:00'), public.seen('{"user_id": "W", "badge": "w2"}', '2026-02-01 11:00');
SELECT is((SELECT rejected FROM public.seen('{"user_id": "W", "badge": "w3"}', '2026-02-01 11:59')), '[{"type": "badge", "reason": "limit badge"}]', 'a third within two hours is refused');
SELECT is((SELECT rejected FROM public.seen('{"user_id": "W", "badge": "w4"}', '2026-02-01 12:00')), '[]', 'at the end of the span it is not');
SELECT is((SELECT rejected FROM public.seen('{"user_id": "W", "badge": "w5"}', '2026-02-01 09:30')), '[{"type": "badge", "reason": "limit badge"}]', 'nor may an earlier one crowd the span');

-- Limits between types.
INSERT INTO cdp_data.identifier_pair_limit (type_id, other_type_id, max_n) VALUES (3, 2, 1);
SELECT is((SELECT rejected FROM public.seen('{"phone": "+8613912340001", "email": "p1@example.com"}')), '[]', 'a phone may have one address');
SELECT is((SELECT rejected FROM public.seen('{"phone": "+8613912340001", "email": "p2@example.com"}')), '[{"type": "phone", "reason": "pair limit phone email"}]', 'not two');
SELECT is((SELECT rejected FROM public.seen('{"phone": "+8613912340001", "email": "p1@example.com"}')), '[]', 'the first one stays');
DELETE FROM cdp_data.identifier_pair_limit;

-- Attach only: to the first, and to nobody else.
SELECT public.seen(format('{"payment_hash": "%s", "user_id": "P1"}', repeat('ab01', 8))::jsonb);
SELECT is((SELECT rejected FROM public.seen(format('{"payment_hash": "%s", "user_id": "P2"}', repeat('ab01', 8))::jsonb)), '[{"type": "payment_hash", "reason": "attach only"}]', 'a card of two people merges nobody');
SELECT is(public.who('payment_hash', repeat('ab01', 8)), public.who('user_id', 'P1'), 'it stays where it was first');
SELECT is((SELECT customer_id FROM public.seen(format('{"payment_hash": "%s"}', repeat('ab01', 8))::jsonb)), public.who('user_id', 'P1'), 'and alone it still tells whose it is');

-- Size.
UPDATE cdp_data.setting SET max_identifiers_per_customer = 4;
SELECT public.seen('{"cookie": ["z1", "z2", "z3", "z4", "z5", "z6"]}');
SELECT is((SELECT count(*) FROM cdp_internal.members(public.who('cookie', 'z1'))), 4::bigint, 'a customer grows to the limit');
SELECT public.seen('{"cookie": ["z1", "z7"]}');
SELECT is((SELECT count(*) FROM cdp_data.identity_alert WHERE kind = 'customer_size' AND customer_id = public.who('cookie', 'z1')), 1::bigint, 'with one alert');
UPDATE cdp_data.setting SET max_identifiers_per_customer = 1000;
SELECT is((SELECT rejected FROM public.seen('{"cookie": ["z1", "z7"]}')), '[]', 'a record that comes again is judged by the limits of its time');

-- Without a limit of size large customers are read in part only, and as far as it can matter.
UPDATE cdp_data.setting SET max_identifiers_per_customer = NULL;
SELECT cdp.add_identifier_type('tag', priority => 810, supernode_degree => NULL);
SELECT count(*) FROM generate_series(1, 2) g, generate_series(1, 60) n, LATERAL public.seen(jsonb_build_object('tag', jsonb_build_array('g' || g, 'g' || g || '_' || n))) s;
SELECT public.seen('{"user_id": "G1", "tag": "g1_60"}'), public.seen('{"user_id": "G2", "tag": "g2_60"}');
SELECT is((SELECT rejected FROM public.seen('{"tag": ["g1_1", "g2_1"]}')), '[{"type": "tag", "reason": "limit user_id"}]', 'two large customers with an account each');
SELECT is((SELECT rejected FROM public.seen('{"tag": ["g1_1", "g3"]}')), '[]', 'a large and a small one');
SELECT is((SELECT rejected FROM public.seen('{"tag": "g1_2", "user_id": "G3"}')), '[{"type": "tag", "reason": "limit user_id"}]', 'a large one with an account and a small one with another');
SELECT is((SELECT count(*) FROM cdp_internal.members(public.who('tag', 'g1'))), 63::bigint, 'it grew by one');
UPDATE cdp_data.setting SET max_identifiers_per_customer = 1000;

-- Shared by too many.
SELECT cdp.add_identifier_type('kiosk', priority => 700, supernode_degree => 20) AS kiosk \gset
SELECT count(*) FROM generate_series(1, 20) n, LATERAL public.seen(jsonb_build_object('kiosk', 'k', 'cookie', 'k' || n)) s;
SELECT is((SELECT count(*) FROM cdp_internal.members(public.who('kiosk', 'k'))), 21::bigint, 'twenty neighbours are allowed');
SELECT identifier_id AS carrier FROM public.seen('{"kiosk": "k", "cookie": "k21"}') \gset
SELECT is((SELECT value::text FROM cdp_data.identifier WHERE identifier_id = :carrier), 'k21', 'the record of the one too many is carried by its other identifier');
SELECT is((SELECT state FROM cdp_data.identifier WHERE value = 'k'), 'quarantined', 'and the kiosk is taken out');
SELECT is((SELECT count(DISTINCT public.who('cookie', 'k' || n)) FROM generate_series(1, 21) n), 21::bigint, 'its people are people again');
SELECT is((SELECT count(*) FROM cdp_data.link WHERE state = 'rejected' AND reason = 'super-node'), 21::bigint, 'its links are kept, rejected');
SELECT is((SELECT count(*) FROM cdp_data.identity_alert WHERE kind = 'super_node' AND detail ->> 'limit' = '20'), 1::bigint, 'with an alert');
SELECT is((SELECT rejected FROM public.seen('{"kiosk": "k", "cookie": "k22"}')), '[{"type": "kiosk", "reason": "super-node"}]', 'whoever comes with it now is himself');
BEGIN;
SELECT public.seen('{"kiosk": "k", "cookie": "k22"}');
SELECT is(pg_current_xact_id_if_assigned(), NULL, 'also then a known record writes nothing');
COMMIT;
SELECT is((SELECT customer_id FROM public.seen('{"kiosk": "k"}')), public.who('kiosk', 'k'), 'alone it is its own customer');
SELECT is((SELECT rejected FROM public.seen('{"kiosk": "k", "cookie": ["k23", "k24"], "user_id": "K"}')), '[{"type": "kiosk", "reason": "super-node"}]', 'the rest of such a record');
SELECT is(public.who('cookie', 'k23'), public.who('cookie', 'k24'), 'is linked all the same');

-- Ten thousand people at one device cost no more a record than the first: its links are not counted again.
SELECT is((SELECT count(DISTINCT s.customer_id) FROM generate_series(1, 300) n, LATERAL public.seen(jsonb_build_object('kiosk', 'k', 'cookie', 'crowd' || n)) s), 300::bigint, 'a crowd at the kiosk');

SELECT is_empty('SELECT * FROM cdp.identity_check()', 'and the tables keep their promise');
SELECT throws_ok($$SELECT public.seen('{"email": ["x@example.com"]}', 'infinity')$$, '22004', 'load, time and cause of a record must be given', 'a time that is none is refused, without a value in the message');
SELECT * FROM finish();
