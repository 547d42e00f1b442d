-- Callbacks: the published example of the platform, random messages of every length there and back, and what is refused.
BEGIN;
SELECT plan(30);
CREATE SCHEMA t;
CREATE TABLE t.known AS SELECT 'QDG6eK'::text AS token, 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C'::text AS key, 'wx5823bf96d3bd56c7'::text AS receiver,
  '477715d11cdb4164915debcba66cb864d751f3e6'::text AS signature, '1409659813'::text AS at, '1372623149'::text AS nonce,
  'RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q=='::text AS cipher;
-- Opens the known message with something else in place of a part.
CREATE FUNCTION t.open(k t.known) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(problem, convert_from(message, 'UTF8')) FROM cdp_internal.known_callback_open(k.token, k.key, k.receiver, k.signature, k.at, k.nonce, k.cipher) $$;
-- The same, signed anew by who knows the token: what the decryption itself refuses.
CREATE FUNCTION t.resigned(k t.known) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(problem, convert_from(message, 'UTF8')) FROM cdp_internal.known_callback_open(k.token, k.key, k.receiver, cdp_internal.known_callback_signature(k.token, k.at, k.nonce, k.cipher), k.at, k.nonce, k.cipher) $$;

SELECT is((SELECT cdp_internal.known_callback_signature(token, at, nonce, cipher) FROM t.known), (SELECT signature FROM t.known), 'the signature of the published example');
SELECT alike((SELECT t.open(k) FROM t.known k), '<xml><ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName>%<Content><![CDATA[hello]]></Content>%</xml>', 'its message');
-- SHA-1 of 'abcd': known
SELECT is(cdp_internal.known_callback_signature('d', 'b', 'a', 'c'), '81fe8bfe87576c3ecb22426f8e57847382917acf', 'parts are sorted before they are digested');
SELECT is(cdp_internal.known_callback_signature('a', 'ab', 'B', ''), cdp_internal.known_callback_signature('ab', 'B', '', 'a'), 'by their bytes, a text before those that go on from it');

-- Anything changed: the signature fails, and nothing is decrypted.
SELECT is(t.open(k), 'signature', what) FROM t.known k0, LATERAL (VALUES
  ('another token', ROW('QDG6eL', key, receiver, signature, at, nonce, cipher)::t.known),
  ('another time', ROW(token, key, receiver, signature, '1409659814', nonce, cipher)::t.known),
  ('another nonce', ROW(token, key, receiver, signature, at, '1372623148', cipher)::t.known),
  ('no signature', ROW(token, key, receiver, '', at, nonce, cipher)::t.known),
  ('a longer signature', ROW(token, key, receiver, signature || '0', at, nonce, cipher)::t.known),
  ('a signature in upper case', ROW(token, key, receiver, upper(signature), at, nonce, cipher)::t.known)) v (what, k);
SELECT is((SELECT count(*) FROM t.known k, generate_series(1, length(cipher)) i, LATERAL (SELECT ROW(token, key, receiver, signature, at, nonce,
    overlay(cipher PLACING CASE substr(cipher, i, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM i))::t.known AS changed) c WHERE t.open(c.changed) <> 'signature'), 0::bigint, 'each character of the cipher text');
SELECT is((SELECT count(*) FROM t.known k, generate_series(1, 40) i, LATERAL (SELECT ROW(token, key, receiver,
    overlay(signature PLACING CASE substr(signature, i, 1) WHEN '0' THEN '1' ELSE '0' END FROM i), at, nonce, cipher)::t.known AS changed) c WHERE t.open(c.changed) <> 'signature'), 0::bigint, 'each digit of the signature');

-- Signed by who knows the token, but not right.
SELECT is(t.resigned(k), want, what) FROM t.known k0, LATERAL (VALUES
  ('for somebody else', 'receiver', ROW(token, key, 'wx5823bf96d3bd56c8', signature, at, nonce, cipher)::t.known),
  ('for a receiver that goes on', 'receiver', ROW(token, key, receiver || '0', signature, at, nonce, cipher)::t.known),
  ('for nobody', 'receiver', ROW(token, key, '', signature, at, nonce, cipher)::t.known),
  ('another key', 'padding', ROW(token, 'k' || substr(key, 2), receiver, signature, at, nonce, cipher)::t.known),
  ('a short key', 'key', ROW(token, substr(key, 2), receiver, signature, at, nonce, cipher)::t.known),
  ('a key with another character', 'key', ROW(token, '-' || substr(key, 2), receiver, signature, at, nonce, cipher)::t.known),
  ('no base64', 'base64', ROW(token, key, receiver, signature, at, nonce, '!' || substr(cipher, 2))::t.known),
  ('a line break in it', 'base64', ROW(token, key, receiver, signature, at, nonce, E'\n' || substr(cipher, 2))::t.known),
  ('nothing', 'base64', ROW(token, key, receiver, signature, at, nonce, '')::t.known),
  ('not whole blocks', 'base64', ROW(token, key, receiver, signature, at, nonce, substr(cipher, 1, length(cipher) - 4))::t.known)) v (what, want, k);
-- By class of byte: the IV's block, a block in the middle, the last blocks.
SELECT is((SELECT string_agg(DISTINCT t.resigned(c.changed), ' ') FROM t.known k, generate_series(length(cipher) - 20, length(cipher) - 3) i, LATERAL (SELECT ROW(token, key, receiver, signature, at, nonce,
    overlay(cipher PLACING CASE substr(cipher, i, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM i))::t.known AS changed) c), 'padding', 'who changes the last block meets the padding');

-- One block of 16 bytes of 32 each: its padding would begin before it (valgrind would tell who reads there).
SELECT is((SELECT t.resigned(ROW(token, key, receiver, signature, at, nonce, 'S/m2zVyYxCq6EHtPNkwV3A==')::t.known) FROM t.known), 'padding', 'a padding longer than the text');
-- There and back: every length through three rounds of the padding, any text, receivers of any length.
SELECT is((SELECT count(*) FROM t.known k, generate_series(0, 100) n, (VALUES (''), ('r'), ('ww0123456789abcdef')) r (receiver),
    LATERAL (SELECT cdp_internal.known_callback_seal(k.key, r.receiver, decode(md5(n::text), 'hex'), CASE WHEN n % 2 = 0 THEN repeat('x', n) ELSE repeat('微', n) END)) s (cipher),
    LATERAL cdp_internal.known_callback_open(k.token, k.key, r.receiver, cdp_internal.known_callback_signature(k.token, '1', '2', s.cipher), '1', '2', s.cipher) o
  WHERE o.problem IS NULL AND convert_from(o.message, 'UTF8') = CASE WHEN n % 2 = 0 THEN repeat('x', n) ELSE repeat('微', n) END AND length(decode(s.cipher, 'base64')) % 32 = 0), 303::bigint, '303 messages there and back');
SELECT throws_ok($$SELECT cdp_internal.known_callback_seal('x', 'r', '\x00112233445566778899aabbccddeeff', 'm')$$, '22023', NULL, 'no key, no message');
SELECT throws_ok($$SELECT cdp_internal.known_callback_seal('jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C', 'r', '\x00', 'm')$$, '22023', NULL, 'nor without 16 random bytes');

-- The body of the request.
SELECT is((SELECT string_agg(coalesce(cdp_internal.callback_cipher(convert_to(body, 'UTF8')), '-'), ' ' ORDER BY n) FROM unnest(ARRAY[
  '<xml><ToUserName><![CDATA[a]]></ToUserName><Encrypt><![CDATA[Ab+/0=]]></Encrypt><AgentID>1</AgentID></xml>', '<xml><Encrypt>Ab</Encrypt></xml>', '{"tousername":"a","encrypt":"Ab"}', E'{"Encrypt" :\n"Ab==", "x": 1}',
  '', '<xml></xml>', '<xml><Encrypt></Encrypt></xml>', '<xml><Encrypt><![CDATA[A b]]></Encrypt></xml>', '<xml><Encrypt>Ab', '<xml><Encrypt>A&amp;</Encrypt></xml>', '{"encrypt":1}', '{"encrypt":"A\u0041"}', '{"encrypt"', '{"encrypt":']) WITH ORDINALITY b (body, n)),
  'Ab+/0= Ab Ab Ab== - - - - - - - - - -', 'the cipher text in a body');
SELECT is((SELECT count(cdp_internal.callback_cipher(convert_to(body, 'UTF8'))) FROM unnest(ARRAY['<xml><Encrypt>Ab</Encrypt><Encrypt>Cd</Encrypt></xml>', '<xml><Encrypt>Ab</Encrypt><Encrypt><![CDATA[Cd]]></Encrypt></xml>',
  '{"encrypt":"Ab","Encrypt":"Cd"}', '<!-- "encrypt":"Ab" --><Encrypt>Cd</Encrypt>']) b (body)), 0::bigint, 'of two none is taken');
SELECT is(cdp_internal.callback_cipher('\x00ff3c456e63727970743e41623c2f456e63727970743e00'), 'Ab', 'bytes of any kind beside it');
SELECT * FROM finish();
ROLLBACK;
