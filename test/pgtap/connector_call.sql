-- What a call does before and after the network: secrets put into requests (every kind of auth, published signatures), read out
-- of answers and blanked there, in every way of writing.
BEGIN;
SELECT plan(47);
CREATE SCHEMA t;
-- A request with this auth, filled.
CREATE FUNCTION t.fill(auth jsonb, secrets jsonb, more jsonb DEFAULT '{}', at timestamptz DEFAULT '2026-03-01 00:00+00') RETURNS jsonb LANGUAGE sql AS $$
  SELECT cdp_internal.known_inject('{"method": "GET", "https": true, "host": "api.example", "port": 443, "path": "/v1/$config.shop", "target": "/v1/7?b=2", "headers": {"accept": "application/json"}}'::jsonb
    || more || jsonb_build_object('auth', auth), secrets, at, decode(repeat('ab', 16), 'hex')) $$;
-- The same by way of a manifest: what connector_request() builds from its auth.
CREATE FUNCTION t.by_manifest(auth jsonb, secrets jsonb, at timestamptz, stream jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT cdp_internal.known_inject(cdp_internal.connector_request(jsonb_build_object('connector', 'x', 'version', 1, 'base_url', 'https://api.example', 'secrets', '{"key": {"required": true}, "maybe": {}}'::jsonb,
    'config', '{"id": {"type": "text", "required": true}}'::jsonb, 'auth', auth, 'streams', jsonb_build_object('s', '{"path": "/v1/orders", "records": "$[*]"}'::jsonb || stream)), 's', '{"config": {"id": "a$b"}}'),
    secrets, at, decode(repeat('ab', 16), 'hex')) $$;

-- Fixed headers and parameters.
SELECT is(t.fill('{"kind": "header", "headers": {"authorization": "Bearer ${secret.key}", "x-no": "${secret.no}", "x-price": "5$$"}}', '{"secret.key": "s3cret"}') -> 'headers',
  '{"accept": "application/json", "authorization *": "Bearer s3cret", "x-price": "5$"}', 'a header with its secret, none where the secret is not set, $$ is a dollar');
SELECT is(t.fill('{"kind": "header", "query": {"key": "${secret.key}", "no": "${secret.no}"}}', '{"secret.key": "a/b c+张"}') ->> 'secret_query', 'key=a%2Fb%20c%2B%E5%BC%A0', 'a parameter, encoded; none where the secret is not set');
SELECT is(t.fill('{"kind": "header", "query": {"key": "${secret.key}"}}', '{"secret.key": "k"}') ->> 'query', 'b=2', 'the query of the request itself stays apart');
SELECT is(t.fill('{"kind": "header", "headers": {"Accept": "${secret.key}"}}', '{"secret.key": "text/x"}') -> 'headers', '{"Accept *": "text/x"}', 'a header of auth takes the place of one of that name');
SELECT is(t.fill('{"kind": "header", "headers": {"x": "${secret.key}"}}', '{"secret.key": "${secret.other}$$", "secret.other": "no"}') #>> '{headers,x *}', '${secret.other}$$', 'a secret is no template');
SELECT is(t.fill('{"kind": "header"}', '{}', '{"host": "h", "port": 8443}') ->> 'host', 'h:8443', 'a port that is not the usual one');
SELECT is(t.fill('{"kind": "header"}', '{}', '{"https": false, "port": 80}') - '{headers,secrets,app,body}'::text[],
  '{"method": "GET", "host": "api.example", "path": "/v1/7", "query": "b=2", "secret_query": null, "plain": true}', 'plain HTTP is told');
SELECT is(t.fill('{"kind": "header"}', '{}', '{"method": "POST", "body": "{\"a\":\"张$x\"}"}') ->> 'body', '{"a":"张$x"}', 'the body of a stream is as it was built');

-- A token.
SELECT is(t.fill('{"kind": "login_token", "query": {"access_token": "${token}"}}', '{"token": "T/1"}') ->> 'secret_query', 'access_token=T%2F1', 'a token in the query');
SELECT is(t.fill('{"kind": "oauth_client", "headers": {"authorization": "Bearer ${token}"}}', '{"token": "T/1"}') #>> '{headers,authorization *}', 'Bearer T/1', 'or in a header');
SELECT throws_ok($$SELECT t.fill('{"kind": "oauth_client", "headers": {"authorization": "Bearer ${token}"}}', '{}')$$, 'XX000', NULL, 'a request that needs one is not sent without');

-- Basic: RFC 7617.
SELECT is(t.fill('{"kind": "basic", "basic": {"username": "Aladdin", "password": "${secret.key}"}}', '{"secret.key": "open sesame"}') #>> '{headers,authorization *}', 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==', 'basic authentication as RFC 7617 has it');
SELECT is(t.fill('{"kind": "basic", "basic": {"username": "test", "password": "${secret.key}"}}', '{"secret.key": "123£"}') #>> '{headers,authorization *}', 'Basic dGVzdDoxMjPCow==', 'in UTF-8');
SELECT ok(t.fill('{"kind": "basic", "basic": {"username": "Aladdin", "password": "${secret.key}"}}', '{"secret.key": "open sesame"}') -> 'secrets' ? 'QWxhZGRpbjpvcGVuIHNlc2FtZQ==', 'its base64 is looked for in answers, too');
SELECT is(t.fill('{"kind": "basic", "basic": {"username": "test", "password": "${secret.no}"}}', '{}') -> 'headers', '{"accept": "application/json"}', 'none where the secret is not set');

-- HMAC: RFC 4231 (test case 2), RFC 2202, the example of the Binance API, each by way of a manifest.
SELECT is(t.by_manifest('{"kind": "hmac", "key": "$secret.key", "message": ["what do ya want for nothing?"], "signature": {"header": "x-sign"}}', '{"secret.key": "Jefe"}', '2026-03-01') #>> '{headers,x-sign *}',
  '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843', 'HMAC-SHA256 of RFC 4231, test case 2');
SELECT is(t.by_manifest('{"kind": "hmac", "algorithm": "sha512", "key": "$secret.key", "message": ["what do ya want for nothing?"], "signature": {"header": "x-sign"}}', '{"secret.key": "Jefe"}', '2026-03-01') #>> '{headers,x-sign *}',
  '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737', 'HMAC-SHA512');
SELECT is(t.by_manifest('{"kind": "hmac", "algorithm": "sha1", "encoding": "base64", "key": "$secret.key", "message": ["what do ya want ", "for nothing?"], "signature": {"header": "authorization", "prefix": "HMAC "}}', '{"secret.key": "Jefe"}', '2026-03-01') #>> '{headers,authorization *}',
  'HMAC ' || encode(decode('effcdf6ae5eb2fa2d27416d5f184df9c259a7c79', 'hex'), 'base64'), 'HMAC-SHA1 of RFC 2202, in base64, with a prefix');
SELECT is(t.by_manifest('{"kind": "hmac", "key": "$secret.key", "message": ["symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"], "signature": {"header": "x-sign"}}',
    '{"secret.key": "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"}', '2026-03-01') #>> '{headers,x-sign *}', 'c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71', 'the published example of the Binance API');
SELECT is(t.by_manifest('{"kind": "hmac", "key": "$secret.key", "message": ["$query"], "timestamp": {"query": "timestamp", "unit": "ms"}, "signature": {"query": "signature"}}',
    '{"secret.key": "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"}', to_timestamp(1499827319.559), '{"query": {"recvWindow": 5000, "symbol": "LTCBTC"}}') ->> 'secret_query',
  'timestamp=1499827319559&signature=' || encode(hmac, 'hex'), 'the signed query is the query that is sent, but for the signature')
FROM (SELECT cdp_internal.known_inject(cdp_internal.connector_request('{"connector": "x", "version": 1, "base_url": "https://x.example", "secrets": {"k": {}}, "auth": {"kind": "hmac", "key": "$secret.k", "message": ["symbol=LTCBTC&recvWindow=5000&timestamp=1499827319559"], "signature": {"header": "s"}}, "streams": {"s": {"path": "/", "records": "$"}}}', 's', '{"config": {}}'),
    '{"secret.k": "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"}', '2026-03-01', decode(repeat('00', 16), 'hex'))) AS x (filled), LATERAL (SELECT decode(x.filled #>> '{headers,s *}', 'hex')) AS y (hmac);
SELECT is(t.by_manifest('{"kind": "hmac", "key": "$secret.key", "message": ["$method", "$path", "$timestamp", "$nonce", "$body"], "join": "\n", "timestamp": {"header": "x-time"}, "nonce": {"header": "x-nonce"}, "signature": {"header": "x-sign"}}',
    '{"secret.key": "k"}', to_timestamp(1499827319.559), '{"method": "POST", "body": {"a": 1}}') -> 'headers' ->> 'x-sign *',
  t.by_manifest('{"kind": "hmac", "key": "$secret.key", "message": ["POST\n/v1/orders\n1499827319\nabababababababababababababababab\n{\"a\": 1}"], "signature": {"header": "x-sign"}}', '{"secret.key": "k"}', '2026-03-01') -> 'headers' ->> 'x-sign *', 'method, path, time, nonce and body are those that are sent');
SELECT is(t.by_manifest('{"kind": "hmac", "key": "$secret.maybe", "message": ["a"], "timestamp": {"header": "x-time"}, "signature": {"header": "x-sign"}}', '{}', '2026-03-01') -> 'headers', '{"accept": "application/json"}', 'nothing is signed without a key that need not be set');
SELECT is(t.by_manifest('{"kind": "header", "headers": {"x-id": "$config.id", "x-key": "$secret.key"}}', '{"secret.key": "k"}', '2026-03-01') -> 'headers', '{"accept": "application/json", "x-id": "a$b", "x-key *": "k"}', 'config is no secret, and its dollar signs mean themselves');

-- The request for a token.
CREATE FUNCTION t.token(request jsonb, secrets jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT cdp_internal.known_inject('{"method": "POST", "https": true, "host": "api.example", "port": 443, "path": "/token", "target": "/token"}'::jsonb || request, secrets, '2026-03-01', decode(repeat('00', 16), 'hex')) $$;
SELECT is(t.token('{"form": {"grant_type": "client_credentials", "client_secret": "${secret.key}", "scope": "a b", "no": "${secret.no}"}}', '{"secret.key": "a&b=c"}') ->> 'body',
  'scope=a%20b&grant_type=client_credentials&client_secret=a%26b%3Dc', 'a form');
SELECT is(t.token('{"form": {"a": "1"}}', '{}') -> 'headers', '{"content-type": "application/x-www-form-urlencoded"}', 'says that it is one');
SELECT is((t.token('{"json": {"grant_type": "client_credential", "secret": "${secret.key}", "no": "${secret.no}", "force_refresh": false, "n": 19, "x": null, "list": ["${secret.no}", "${secret.key}"]}}',
    '{"secret.key": "a\"b\\c张\u001f"}') ->> 'body')::jsonb, '{"grant_type": "client_credential", "secret": "a\"b\\c张\u001f", "force_refresh": false, "n": 19, "x": null, "list": ["a\"b\\c张\u001f"]}', 'JSON');
SELECT unalike(t.token('{"json": {"secret": "${secret.key}"}}', '{"secret.key": "张三"}') ->> 'body', '%\\u%', 'in raw UTF-8');
SELECT is(t.token('{"query": {"corpid": "ww1", "corpsecret": "${secret.key}"}, "basic": {"username": "u", "password": "${secret.key}"}}', '{"secret.key": "k"}') - '{method,host,path,plain,secrets,app,body,query}'::text[],
  '{"secret_query": "corpid=ww1&corpsecret=k", "headers": {"authorization *": "Basic dTpr"}}', 'parameters, and basic authentication');
SELECT isnt(t.token('{"query": {"a": "1${secret.key}"}}', '{"secret.key": "2"}') ->> 'app', t.token('{"query": {"a": "${secret.key}"}}', '{"secret.key": "2"}') ->> 'app', 'without a key of its own an app is all that is filled in');
SELECT is(t.token('{"query": {"a": "${secret.key}"}, "app": {"b": "x"}}', '{"secret.key": "2"}') ->> 'app', 'b 1:x', 'else its key');
SELECT isnt(t.token('{"app": {"a": "1 b 1:2"}}', '{}') ->> 'app', t.token('{"app": {"a": "1", "b": "2"}}', '{}') ->> 'app', 'whose parts can not run together');

-- Tokens are read out of bytes.
SELECT is(cdp_internal.known_json_secret(convert_to(body, 'UTF8'), path), want, what) FROM (VALUES
  ('{"errcode": 0, "access_token": "T1", "expires_in": 7200}', '$.access_token', 'T1', 'a token'),
  ('{"x": {"access_token": "no", "y": ["}", {"access_token": "no"}]}, "access_token": "T\u00e9\ud83d\ude00\/\"\n"}', '$.access_token', E'Té😀/"\n', 'with escapes, behind others of its name'),
  (E'\uFEFF { "data" : [ 1 , {"t" : "T2" } ] }', '$.data[1].t', 'T2', 'deeper, behind a mark of byte order'),
  ('{"access_token": "first", "access_token": "last"}', '$.access_token', 'last', 'of two the last, as jsonb has it'),
  ('{"access_token": 7, "b": "T"}', '$.access_token', NULL, 'none that is no text'),
  ('{"access_token": "cut', '$.access_token', NULL, 'none that has no end'),
  ('{"access_token": ""}', '$.access_token', NULL, 'none that is empty'),
  ('[]', '$.access_token', NULL, 'none in another document')) v (body, path, want, what);
-- A hundred random documents: the same as jsonb tells.
SELECT is((SELECT count(*) FROM (
    SELECT setseed(0.4711)) s, generate_series(1, 300) i,
    LATERAL (SELECT jsonb_build_object('a', jsonb_build_array(i, repeat(chr(34 + (random() * 60)::integer) || chr(92), (random() * 3)::integer), jsonb_build_object('t', 'x' || chr(32 + (random() * 3000)::integer) || E'\\"' || i)), 'b', i) AS doc) d
  WHERE cdp_internal.known_json_secret(convert_to(d.doc::text, 'UTF8'), '$.a[2].t') IS DISTINCT FROM d.doc #>> '{a,2,t}'), 0::bigint, 'as jsonb tells, 300 times');

-- Blanking.
SELECT is(convert_from(b.body, 'UTF8'), want, what) FROM (VALUES
  ('{"next": "https://h/x?access_token=TOK/EN1&p=2"}', '{"next": "https://h/x?access_token=*******&p=2"}', 'in a link'),
  ('{"next": "https:\/\/h\/x?access_token=TOK%2FEN1", "x": "TOK\/EN1", "y": "TOK\u002fEN1", "z": "T%4fK/EN1"}', '{"next": "https:\/\/h\/x?access_token=*********", "x": "********", "y": "************", "z": "*********"}', 'encoded, escaped, and both'),
  ('a,TOK/EN1,TOK/EN2,TOTOK/EN1', 'a,*******,TOK/EN2,TO*******', 'in CSV, nothing but it, and where its beginning comes twice'),
  ('{"a": "x\nTOK/EN1", "b": "x\\TOK/EN1", "c": "\u00e9TOK/EN1"}', '{"a": "x\n*******", "b": "x\\*******", "c": "\u00e9*******"}', 'behind escapes')) v (body, want, what),
  LATERAL cdp_internal.known_blank(convert_to(v.body, 'UTF8'), '{TOK/EN1}') b;
SELECT is(convert_from((cdp_internal.known_blank(convert_to('{"id": 12345678, "x": "n123456", "short": "abcde"}', 'UTF8'), '{12345678,n123456,abcde}')).body, 'UTF8'), '{"id": 11111111, "x": "*******", "short": "abcde"}', 'a number stays one; what is short stays');
SELECT is((cdp_internal.known_blank(convert_to('{"x": "\nabc123", "y": 1}', 'UTF8'), '{nabc123}')).body, convert_to('{"x": "********", "y": 1}', 'UTF8'), 'a secret that would begin within an escape takes it along');
-- Random secrets in random writing: JSON stays JSON, and the secret is gone.
SELECT is((SELECT count(*) FROM (SELECT setseed(0.0815)) s, generate_series(1, 500) i,
    LATERAL (SELECT string_agg(substr('abcXYZ019/+=-_."\ %张é', 1 + floor(random() * 21)::integer, 1), '') AS secret FROM generate_series(1, 6 + (random() * 20)::integer) WHERE i > 0) p,
    LATERAL (SELECT jsonb_build_object('before', E'a\\"\n', 'it', 'x' || p.secret || 'y', 'link', 'https://h?t=' || replace(replace(replace(p.secret, '%', '%25'), ' ', '%20'), '/', '%2f'), 'n', i)::text AS body) d,
    LATERAL cdp_internal.known_blank(convert_to(d.body, 'UTF8'), ARRAY[p.secret]) b
  WHERE b.found < 1 OR (convert_from(b.body, 'UTF8')::jsonb ->> 'it') NOT LIKE 'x*%*y' OR strpos(convert_from(b.body, 'UTF8')::jsonb ->> 'link', p.secret) > 0 OR length(b.body) <> octet_length(d.body)), 0::bigint, '500 random secrets: gone, and JSON is JSON');
SELECT * FROM finish();
ROLLBACK;
