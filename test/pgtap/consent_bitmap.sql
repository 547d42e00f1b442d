-- The engine of the gate by itself: words of one time and their rule, against plain SQL; customers in every range of ids up
-- to the last one; bytes that are no bitmap; and the gate over our tables where ids leave the first range and the integers.
BEGIN;
SELECT plan(57);
SET client_min_messages = error;

-- The state of consent of made-up summaries, word by word: what cdp_internal.consent_word() says of their sum.
CREATE FUNCTION pg_temp.bitmap(rows text, opt_in boolean, low bigint DEFAULT 0) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE map bytea;
BEGIN
  EXECUTE format('SELECT cdp_internal.consent_bitmap(r, ra::timestamptz, ea::timestamptz, eu::timestamptz, ia::timestamptz, iu::timestamptz, ''2026-06-01 00:00Z'', %L, %s)
    FROM (VALUES %s) v (r, ra, ea, eu, ia, iu)', opt_in, low, rows) INTO map;
  RETURN map;
END $$;
CREATE FUNCTION pg_temp.granted(rows text) RETURNS boolean LANGUAGE sql AS $$ SELECT cdp_internal.bitmap_has(pg_temp.bitmap(rows, true), 7) $$;
SELECT is(pg_temp.granted($$(7, NULL, '2026-01-01Z', 'infinity', NULL, NULL)$$), true, 'a grant without end');
SELECT is(pg_temp.granted($$(7, NULL, '2026-01-01Z', '2026-06-01Z', NULL, NULL)$$), false, 'its end is the first moment at which it no longer holds');
SELECT is(pg_temp.granted($$(7, NULL, '2026-01-01Z', '2026-06-01 00:00:00.000001Z', NULL, NULL)$$), true, 'a microsecond before it does');
SELECT is(pg_temp.granted($$(7, NULL, '2026-01-01Z', NULL, NULL, NULL)$$), true, 'an end of NULL is none');
-- Two grants of one moment: the one that ends first counts, whichever comes first, explicit, implied or both.
SELECT is(pg_temp.granted($$(7, NULL, '2026-01-01Z', 'infinity', NULL, NULL), (7, NULL, '2026-01-01Z', '2026-05-01Z', NULL, NULL)$$), false, 'two explicit grants of one time, one run out');
SELECT is(pg_temp.granted($$(7, NULL, '2026-01-01Z', '2026-05-01Z', NULL, NULL), (7, NULL, '2026-01-01Z', 'infinity', NULL, NULL)$$), false, 'the other way round');
SELECT is(pg_temp.granted($$(7, NULL, NULL, NULL, '2026-01-01Z', '2026-05-01Z'), (7, NULL, NULL, NULL, '2026-01-01Z', 'infinity')$$), false, 'two implied grants');
SELECT is(pg_temp.granted($$(7, NULL, '2026-01-01Z', 'infinity', NULL, NULL), (7, NULL, NULL, NULL, '2026-01-01Z', '2026-05-01Z')$$), false, 'an explicit one, and an implied one that ran out');
SELECT is(pg_temp.granted($$(7, NULL, NULL, NULL, '2026-01-01Z', 'infinity'), (7, NULL, '2026-01-01Z', '2026-05-01Z', NULL, NULL)$$), false, 'an implied one, and an explicit one that ran out');
SELECT is(pg_temp.granted($$(7, NULL, '2026-01-01Z', '2026-05-01Z', NULL, NULL), (7, NULL, '2026-01-02Z', 'infinity', NULL, NULL)$$), true, 'a later grant counts whatever the earlier one says');
SELECT is(pg_temp.granted($$(7, NULL, '2026-01-01Z', 'infinity', NULL, NULL), (7, NULL, '2026-01-02Z', '2026-05-01Z', NULL, NULL)$$), false, 'also when it ends first');
-- A refusal.
SELECT is(pg_temp.granted($$(7, '2026-01-01Z', '2026-01-01Z', 'infinity', NULL, NULL)$$), false, 'of a grant and a refusal of one time the refusal');
SELECT is(pg_temp.granted($$(7, NULL, '2026-01-01Z', 'infinity', NULL, NULL), (7, '2026-01-01Z', NULL, NULL, NULL, NULL)$$), false, 'of another identifier, too');
SELECT is(pg_temp.granted($$(7, '2026-01-01Z', NULL, NULL, '2026-02-01Z', 'infinity')$$), false, 'an implied grant never overrides it');
SELECT is(pg_temp.granted($$(7, '2026-01-01Z', '2026-02-01Z', 'infinity', NULL, NULL)$$), true, 'an explicit later one does');
SELECT is(pg_temp.granted($$(7, '2026-01-01Z', '2026-02-01Z', '2026-03-01Z', '2026-04-01Z', 'infinity')$$), true, 'and then an implied one after it counts again');
-- All combinations of few times, two summaries a customer, against the SQL of the single question.
CREATE TEMP TABLE part AS
SELECT c AS customer, n, t.*, CASE WHEN t.explicit_at IS NOT NULL THEN (ARRAY['infinity', '2026-05-01Z', '2026-07-01Z']::timestamptz[])[1 + (c * 7 + n) % 3] END AS explicit_until,
  CASE WHEN t.implied_at IS NOT NULL THEN (ARRAY['2026-05-01Z', 'infinity', '2026-06-01Z']::timestamptz[])[1 + (c / 5 + n) % 3] END AS implied_until
FROM generate_series(1, 20000) c, generate_series(0, 1) n, LATERAL (
  SELECT a[1 + c * (n + 3) / 4 % 4] AS refused_at, a[1 + c * (n + 5) / 16 % 4] AS explicit_at, a[1 + c * (n + 7) / 64 % 4] AS implied_at
  FROM (SELECT ARRAY[NULL, '2026-01-01Z', '2026-02-01Z', '2026-03-01Z']::timestamptz[] AS a) x) t;
CREATE FUNCTION pg_temp.word(c bigint) RETURNS text LANGUAGE sql AS $$
  SELECT cdp_internal.consent_word(t.refused_at, t.explicit_at, (SELECT min(p.explicit_until) FROM part p WHERE p.customer = c AND p.explicit_at = t.explicit_at),
    t.implied_at, (SELECT min(p.implied_until) FROM part p WHERE p.customer = c AND p.implied_at = t.implied_at), '2026-06-01 00:00Z')
  FROM (SELECT max(refused_at) AS refused_at, max(explicit_at) AS explicit_at, max(implied_at) AS implied_at FROM part WHERE customer = c) t
$$;
CREATE INDEX ON part (customer);
CREATE TEMP TABLE word AS SELECT c, pg_temp.word(c) AS word FROM generate_series(1, 20000) c;
SELECT cmp_ok((SELECT count(DISTINCT word) FROM word), '=', 4::bigint, 'all four states come up');
SELECT cmp_ok((SELECT count(*) FROM part a JOIN part b USING (customer) WHERE a.n = 0 AND b.n = 1 AND a.explicit_at = b.explicit_at AND a.explicit_until <> b.explicit_until), '>', 100::bigint, 'ties with different ends among them');
SELECT is_empty($$SELECT c FROM word, (SELECT cdp_internal.consent_bitmap(customer, refused_at, explicit_at, explicit_until, implied_at, implied_until, '2026-06-01 00:00Z', true, 0) AS map FROM part) m
  WHERE cdp_internal.bitmap_has(map, c) <> (word = 'granted')$$, 'under opt_in the bitmap says what the single question says');
SELECT is_empty($$SELECT c FROM word, (SELECT cdp_internal.consent_bitmap(customer, refused_at, explicit_at, explicit_until, implied_at, implied_until, '2026-06-01 00:00Z', false, 0) AS map FROM part ORDER BY 1) m
  WHERE cdp_internal.bitmap_has(map, c) <> (word <> 'refused')$$, 'under opt_out, too');
SELECT is((SELECT cdp_internal.consent_bitmap(customer, refused_at, explicit_at, explicit_until, implied_at, implied_until, '2026-06-01 00:00Z', true, 0) FROM (SELECT * FROM part ORDER BY customer, n) p),
  (SELECT cdp_internal.consent_bitmap(customer, refused_at, explicit_at, explicit_until, implied_at, implied_until, '2026-06-01 00:00Z', true, 0) FROM (SELECT * FROM part ORDER BY n DESC, customer DESC) p), 'whatever the order of the rows');

-- Ids at the borders of pages and ranges, up to the last customer that there can be.
SELECT is((SELECT string_agg(i::text, ' ') FROM cdp_internal.bitmap_ids(pg_temp.bitmap($$(1, NULL, '2026-01-01Z', NULL, NULL, NULL), (65535, NULL, '2026-01-01Z', NULL, NULL, NULL), (65536, NULL, '2026-01-01Z', NULL, NULL, NULL),
  (67108863, NULL, '2026-01-01Z', NULL, NULL, NULL), (67108864, NULL, '2026-01-01Z', NULL, NULL, NULL), (4294967295, NULL, '2026-01-01Z', NULL, NULL, NULL)$$, true)) i), '1 65535 65536 67108863', 'one range');
SELECT is((SELECT string_agg(i::text, ' ') FROM cdp_internal.bitmap_ids(pg_temp.bitmap($$(67108863, NULL, '2026-01-01Z', NULL, NULL, NULL), (67108864, NULL, '2026-01-01Z', NULL, NULL, NULL), (134217727, NULL, '2026-01-01Z', NULL, NULL, NULL),
  (134217728, NULL, '2026-01-01Z', NULL, NULL, NULL)$$, true, 67108864)) i), '67108864 134217727', 'the next');
SELECT is((SELECT string_agg(i::text, ' ') FROM cdp_internal.bitmap_ids(pg_temp.bitmap($$(4294967295, NULL, '2026-01-01Z', NULL, NULL, NULL), (4227858431, NULL, '2026-01-01Z', NULL, NULL, NULL), (4227858432, NULL, '2026-01-01Z', NULL, NULL, NULL)$$, true, 4227858432)) i), '4227858432 4294967295', 'the last');
SELECT is(cdp_internal.bitmap_has(pg_temp.bitmap($$(4294967295::bigint, NULL, '2026-01-01Z', NULL, NULL, NULL)$$, true, 4227858432), c), want, format('customer %s of a bitmap at the end', c))
FROM (VALUES (4294967295, true), (4294967294, false), (4294967296, false), (1, false), (0, false), (-1, false), (9223372036854775807, false), (-9223372036854775808, false)) v (c, want);
SELECT is(cdp_internal.bitmap_has(pg_temp.bitmap($$(5, '2026-01-01Z', NULL, NULL, NULL, NULL)$$, false), c), want, format('of refusals: customer %s', c))
FROM (VALUES (5, false), (6, true), (4294967296, true), (-9223372036854775808, true)) v (c, want);
SELECT throws_ok($$SELECT pg_temp.bitmap('(4294967296, NULL, ''2026-01-01Z'', NULL, NULL, NULL)', true)$$, '22003', 'customer id out of range', 'no customer has the id 2^32');
SELECT throws_ok($$SELECT pg_temp.bitmap('(0, NULL, ''2026-01-01Z'', NULL, NULL, NULL)', true)$$, '22003', 'customer id out of range', 'nor 0');
SELECT throws_ok($$SELECT pg_temp.bitmap('(1, NULL, ''infinity'', NULL, NULL, NULL)', true)$$, '22008', 'time of a consent out of range', 'nothing is said at the end of time');
SELECT throws_ok($$SELECT pg_temp.bitmap('(1, ''-infinity'', NULL, NULL, NULL, NULL)', true)$$, '22008', 'time of a consent out of range', 'nor before it');
SELECT throws_ok($$SELECT pg_temp.bitmap('(1, NULL, NULL, NULL, NULL, NULL)', NULL)$$, '22004', NULL, 'without a rule there is no bitmap');
SELECT throws_ok($$SELECT pg_temp.bitmap('(1, NULL, NULL, NULL, NULL, NULL)', true, 5)$$, '22023', NULL, 'a range begins with a page');
SELECT is(pg_temp.bitmap('(NULL::bigint, NULL, ''2026-01-01Z'', NULL, NULL, NULL)', true) IS NOT NULL, true, 'nobody''s summary counts for nobody');

-- Bytes that are no bitmap: each function says so.
CREATE TEMP TABLE bad AS
SELECT m AS good, v.what, v.bytes FROM (SELECT pg_temp.bitmap($$(70000, NULL, '2026-01-01Z', NULL, NULL, NULL)$$, true) AS m OFFSET 0) x, LATERAL (VALUES
  ('nothing', ''::bytea), ('one byte', '\x01'), ('a header cut off', substr(m, 1, 19)), ('a byte less', substr(m, 1, length(m) - 1)), ('a byte more', m || '\x00'), ('no bits', substr(m, 1, 20)),
  ('another beginning', '\x00000000'::bytea || substr(m, 5)), ('a third rule', substr(m, 1, 4) || '\x02000000'::bytea || substr(m, 9)),
  ('a base that is none', substr(m, 1, 8) || '\x01000000'::bytea || substr(m, 13)), ('a base at the end', substr(m, 1, 8) || '\xc0ffffff'::bytea || substr(m, 13)),
  ('more bytes than there are', substr(m, 1, 12) || '\xffffffff'::bytea || substr(m, 17)), ('fewer', substr(m, 1, 12) || '\x01000000'::bytea || substr(m, 17)), ('a text', 'hello, this is no bitmap at all'::bytea)) v (what, bytes);
CREATE FUNCTION pg_temp.code(command text, arg bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE command USING arg;
  RETURN 'taken';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SELECT is((SELECT length(good) FROM bad LIMIT 1), 20 + 8192, 'as this test takes a bitmap apart');
SELECT is((SELECT string_agg(what || ': ' || pg_temp.code(f.f, bytes), ', ') FROM bad WHERE pg_temp.code(f.f, bytes) <> '22P03'), NULL, f.f)
FROM (VALUES ('SELECT cdp_internal.bitmap_has($1, 70000)'), ('SELECT cdp_internal.bitmap_count($1)'), ('SELECT count(*) FROM cdp_internal.bitmap_ids($1)'), ('SELECT cdp_internal.bitmap_join(ARRAY[$1], true)')) f (f);
SELECT is((SELECT pg_temp.code('SELECT cdp_internal.bitmap_join(ARRAY[$1], true)', good) FROM bad LIMIT 1), '22023', 'pieces of another rule do not join');
SELECT is((SELECT string_agg(i::text, ' ') FROM bad, cdp_internal.bitmap_ids(cdp_internal.bitmap_join(ARRAY[NULL, good, pg_temp.bitmap($$(3, NULL, '2026-01-01Z', NULL, NULL, NULL)$$, true), good], false)) i WHERE what = 'nothing'), '3 70000', 'pieces join in any order, also the same one twice');
SELECT is((SELECT cdp_internal.bitmap_count(cdp_internal.bitmap_join(ARRAY[good, good], false)) FROM bad LIMIT 1), 1::bigint, 'and are counted once');

-- Our tables, with customers in the first range and at the border of the second; then beyond the integers.
SELECT cdp.add_source('web');
SELECT setval('cdp_data.customer_customer_id_seq', 67108862);
SELECT count(cdp.record_consent('web', 'marketing', 'granted', jsonb_build_object('user_id', 'u' || i))) FROM generate_series(1, 3) i;
SELECT count(cdp.record_consent('web', 'analytics', 'denied', jsonb_build_object('user_id', 'u3')));
SELECT is((SELECT string_agg(c::text, ' ') FROM cdp.consented_customers('marketing') c), '67108863 67108864 67108865', 'customers of two ranges');
SELECT is((SELECT string_agg(c::text, ' ') FROM cdp.consented_customers('analytics') c), '67108863 67108864', 'under opt_out');
DELETE FROM cdp_data.consent_state;
SELECT setval('cdp_data.customer_customer_id_seq', 4294967293);
SELECT count(cdp.record_consent('web', 'marketing', 'granted', jsonb_build_object('user_id', 'w' || i))) FROM generate_series(1, 2) i;
SELECT count(cdp.record_consent('web', 'analytics', 'denied', jsonb_build_object('user_id', 'w2')));
SELECT is((SELECT string_agg(c::text, ' ') FROM cdp.consented_customers('marketing') c), '4294967294 4294967295', 'the last customers that there can be');
SELECT is((SELECT count(*) FROM cdp.attribution_credit(models => '{last}', slice => 100000000)), 0::bigint, 'passes in slices reach them');
SELECT is(cdp_internal.bitmap_has(cdp_internal.consent_gate('analytics', '', '{4294967294, 4294967295}'), c), want, format('asked about few: %s', c)) FROM (VALUES (4294967294, true), (4294967295, false)) v (c, want);
SELECT * FROM finish();
ROLLBACK;
