-- Keyed digests: known answers, subkeys of purposes, who may use them, and that erased people are refused and counted.
SELECT plan(32);

-- RFC 4231, test cases 1, 2, 3 and 6.
SELECT is(encode(cdp_internal.known_hmac(decode(repeat('0b', 20), 'hex'), 'Hi There'), 'hex'), 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7', 'RFC 4231 1');
SELECT is(encode(cdp_internal.known_hmac('Jefe', 'what do ya want for nothing?'), 'hex'), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843', 'RFC 4231 2');
SELECT is(encode(cdp_internal.known_hmac(decode(repeat('aa', 20), 'hex'), decode(repeat('dd', 50), 'hex')), 'hex'), '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe', 'RFC 4231 3');
SELECT is(encode(cdp_internal.known_hmac(decode(repeat('aa', 131), 'hex'), 'Test Using Larger Than Block-Size Key - Hash Key First'), 'hex'), '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54', 'RFC 4231 6: a long key');
-- The Galois/Counter Mode of Operation (McGrew, Viega), test cases 13 to 16: AES-256.
SELECT is(encode(cdp_internal.known_seal(decode(repeat('00', 32), 'hex'), decode(repeat('00', 12), 'hex'), '', ''), 'hex'), '530f8afbc74536b9a963b4f1c4cb738b', 'GCM 13: nothing');
SELECT is(encode(cdp_internal.known_seal(decode(repeat('00', 32), 'hex'), decode(repeat('00', 12), 'hex'), '', decode(repeat('00', 16), 'hex')), 'hex'), 'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919', 'GCM 14');
CREATE TEMP TABLE gcm AS SELECT decode('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308', 'hex') AS key, decode('cafebabefacedbaddecaf888', 'hex') AS nonce,
  decode('feedfacedeadbeeffeedfacedeadbeefabaddad2', 'hex') AS context,
  decode('d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255', 'hex') AS plain;
SELECT is((SELECT encode(cdp_internal.known_seal(key, nonce, '', plain), 'hex') FROM gcm), '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c', 'GCM 15');
SELECT is((SELECT encode(cdp_internal.known_seal(key, nonce, context, substr(plain, 1, 60)), 'hex') FROM gcm), '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b', 'GCM 16: with context');
SELECT is((SELECT cdp_internal.known_open(key, nonce, context, cdp_internal.known_seal(key, nonce, context, plain)) FROM gcm), (SELECT plain FROM gcm), 'and back');
SELECT is((SELECT count(*) FROM gcm, generate_series(0, 79) n WHERE cdp_internal.known_open(key, nonce, context, set_byte(cdp_internal.known_seal(key, nonce, context, plain), n, get_byte(cdp_internal.known_seal(key, nonce, context, plain), n) # 1)) IS NOT NULL), 0::bigint, 'not with any byte changed');
SELECT is((SELECT cdp_internal.known_open(key, nonce, context, '\x00') FROM gcm), NULL, 'nor when it is too short');
SELECT throws_ok($$SELECT cdp_internal.known_seal('short', decode(repeat('00', 12), 'hex'), '', '')$$, '22023', NULL, 'a short key is refused');

-- Digests of the server's key: the number of the key, then 32 bytes.
SELECT is(cdp_internal.key_ids(), ARRAY[1], 'the test cluster has one key');
SELECT is(octet_length(cdp_internal.keyed_digest('suppression', 'x')), 34, 'a digest has 34 bytes');
SELECT is(substr(cdp_internal.keyed_digest('suppression', 'x'), 1, 2), '\x0001'::bytea, 'of which two are the key''s number');
SELECT is(cdp_internal.keyed_digest('suppression', 'x'), cdp_internal.keyed_digest('suppression', 'x', 1), 'it is the same each time');
SELECT isnt(cdp_internal.keyed_digest('suppression', 'x'), cdp_internal.keyed_digest('audit', 'x'), 'and another for another purpose');
SELECT is(cdp_internal.keyed_digest('suppression', NULL), NULL, 'NULL for NULL');
SELECT is(octet_length(cdp_internal.keyed_digest('suppression', repeat('x', 1048576))), 34, 'of a megabyte');
SELECT throws_ok($$SELECT cdp_internal.keyed_digest('suppression', 'x', 2)$$, '55000', NULL, 'an unknown key is an error');
SELECT throws_ok($$SELECT cdp_internal.keyed_digest('', 'x')$$, '22023', NULL, 'so is no purpose');
SELECT throws_ok($$SELECT cdp_internal.keyed_digest('column', 'x')$$, '22023', 'purpose "column" belongs to encryption', 'the subkey that encrypts digests for nobody');
SELECT throws_ok($$SELECT cdp_internal.keyed_digests('column nonce', 'x', '{1}')$$, '22023', NULL, 'nor does that of its nonces');
SELECT throws_ok($$SELECT cdp_internal.keyed_digests('suppression', 'x', ARRAY[1, NULL])$$, '22004', NULL, 'and a NULL key');

-- Refused and counted, by every road that one can try here.
SELECT cdp.add_source('shop') \g /dev/null
INSERT INTO cdp_data.identifier (type_id, value, customer_id) SELECT 2, 'gone@example.org', 1;
SELECT is(cdp_internal.suppress(ARRAY(SELECT identifier_id FROM cdp_data.identifier), 'test'), 1::bigint, 'an identifier is suppressed');
SELECT is(cdp_internal.suppress(ARRAY(SELECT identifier_id FROM cdp_data.identifier), 'test'), 0::bigint, 'once');
DELETE FROM cdp_data.identifier;
SELECT is(cdp_internal.suppression_keys(), ARRAY[1], 'with the only key');
CREATE TABLE public.touches (source_key text, occurred_at text, identifier_type text, identifier text, kind text);
INSERT INTO public.touches VALUES ('a', '2026-01-01', 'email', 'Gone@Example.org', 'visit'), ('b', '2026-01-01', 'email', 'new@example.org', 'visit');
CREATE TABLE public.people (email text, city text);
INSERT INTO public.people VALUES ('GONE@example.org', 'Wuhan');
SELECT cdp.load_touchpoints('shop', 'touches') \g /dev/null
SELECT cdp.load_customers('shop', 'people') \g /dev/null
SELECT cdp.load_customers('shop', 'people', trial => true) \g /dev/null
SELECT is((SELECT array_agg(s) FROM (SELECT status AS s FROM cdp.identify('shop', '{"email": "gone@example.org"}')
  UNION ALL SELECT status FROM cdp.track('shop', 'visit', '{"email": "gone@example.org"}')
  UNION ALL SELECT status FROM cdp.ingest('shop', '[{"type": "identify", "traits": {"email": "gone@example.org"}}, {"type": "wrong", "traits": {"email": "gone@example.org"}}]')) x),
  ARRAY['suppressed', 'suppressed', 'suppressed', 'suppressed'], 'calls and messages refuse');
SELECT is((SELECT array_agg(DISTINCT value) FROM cdp_data.identifier), ARRAY['new@example.org'], 'so do loads');
SELECT is((SELECT refused FROM cdp_bi.suppression_refusal), 6::bigint, 'and all are counted; a trial takes nothing in, so it counts nothing');
CALL cdp_internal.maintain_room_core();
SELECT is((SELECT array_agg(n) FROM cdp_data.suppression_refusal), ARRAY[6::bigint], 'maintenance adds them up');
CREATE ROLE vault_nobody;
GRANT USAGE ON SCHEMA cdp_data TO vault_nobody;
SET ROLE vault_nobody;
SELECT throws_ok($$SELECT cdp_internal.keyed_digest('suppression', 'x')$$, '42501', NULL, 'nobody else can try values');
RESET ROLE;
DROP OWNED BY vault_nobody;
DROP ROLE vault_nobody;
SELECT * FROM finish();
