-- Which addresses and hosts requests may go to: every border of every range, addresses that stand for others, a twin in plain
-- SQL on random addresses, every spelling of a host, and the lists of the settings.
BEGIN;
SELECT plan(35);
SELECT setseed(0.80) \g /dev/null
SET LOCAL cdp.allowed_private_ranges = '';
SET LOCAL cdp.allowed_hosts = '';

-- The registries, as ranges: word and whether a setting may open it. The first range that holds an address counts.
CREATE TEMP TABLE special (n integer GENERATED ALWAYS AS IDENTITY, range cidr, word text, never boolean DEFAULT false);
INSERT INTO special (range, word, never) VALUES
  ('169.254.169.254', 'metadata', true), ('100.100.100.200', 'metadata', true), ('192.0.0.192', 'metadata', true), ('168.63.129.16', 'metadata', true),
  ('169.254.0.0/16', 'link_local', true), ('fd00:ec2::254', 'metadata', true), ('fd00:ec2::23', 'metadata', true), ('fd20:ce::254', 'metadata', true);
INSERT INTO special (range, word) VALUES
  ('0.0.0.0/8', 'unspecified'), ('10.0.0.0/8', 'private'), ('100.64.0.0/10', 'carrier_nat'), ('127.0.0.0/8', 'loopback'), ('172.16.0.0/12', 'private'),
  ('192.0.0.0/24', 'protocol'), ('192.0.2.0/24', 'documentation'), ('192.88.99.0/24', 'sixtofour'), ('192.168.0.0/16', 'private'), ('198.18.0.0/15', 'benchmark'),
  ('198.51.100.0/24', 'documentation'), ('203.0.113.0/24', 'documentation'), ('255.255.255.255', 'broadcast'), ('224.0.0.0/4', 'multicast'), ('240.0.0.0/4', 'reserved'),
  ('::', 'unspecified'), ('::1', 'loopback'), ('::/96', 'v4_compatible'), ('::ffff:0:0/96', 'v4_mapped'), ('::ffff:0:0:0/96', 'v4_translated'),
  ('64:ff9b::/96', 'nat64'), ('64:ff9b:1::/48', 'nat64'), ('100::/64', 'discard'), ('2001::/32', 'teredo'), ('2001::/23', 'protocol'), ('2001:db8::/32', 'documentation'),
  ('2002::/16', 'sixtofour'), ('3fff::/20', 'documentation'), ('5f00::/16', 'segment_routing'), ('fc00::/7', 'unique_local'), ('fe80::/10', 'link_local'),
  ('fec0::/10', 'site_local'), ('ff00::/8', 'multicast');
CREATE FUNCTION pg_temp.word_of(a inet) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce((SELECT word FROM special WHERE a <<= range ORDER BY n LIMIT 1), CASE WHEN family(a) = 6 AND NOT a <<= '2000::/3' THEN 'reserved' END) $$;
CREATE TEMP TABLE border AS
SELECT DISTINCT a FROM special, LATERAL (VALUES (host(network(range))::inet), (host(broadcast(range))::inet)) v (a)
UNION SELECT a - 1 FROM (SELECT host(network(range))::inet AS a FROM special WHERE host(network(range)) NOT IN ('0.0.0.0', '::')) x
UNION SELECT a + 1 FROM (SELECT host(broadcast(range))::inet AS a FROM special WHERE host(broadcast(range)) NOT IN ('255.255.255.255', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff')) x;

-- What never opens says so also from within another address; that apart, the word is the range's own.
SELECT is_empty($$SELECT a, cdp_internal.address_verdict(a), pg_temp.word_of(a) FROM border
  WHERE cdp_internal.address_verdict(a) IS DISTINCT FROM pg_temp.word_of(a)$$, 'first and last address of each range, and their neighbours outside');
SELECT cmp_ok((SELECT count(*) FROM border), '>', 120::bigint, 'so many borders were tried');
SELECT is_empty($$SELECT a FROM unnest('{8.8.8.8,1.1.1.1,9.255.255.255,11.0.0.0,100.63.255.255,100.128.0.0,126.255.255.255,128.0.0.0,172.15.255.255,172.32.0.0,192.167.255.255,192.169.0.0,223.255.255.255,2001:200::,2400:cb00::1,2606:4700::1111,2a00::1,3ffe::1}'::inet[]) a
  WHERE cdp_internal.address_verdict(a) IS NOT NULL$$, 'public addresses are allowed');
SELECT is_empty($$SELECT a FROM (SELECT set_masklen('0.0.0.0'::inet + trunc(random() * 4294967295)::bigint, 32) AS a FROM generate_series(1, 20000)) x
  WHERE cdp_internal.address_verdict(a) IS DISTINCT FROM pg_temp.word_of(a)$$, '20,000 random addresses of IPv4 as a twin in SQL has it');
-- Those that stand for another address are judged apart, below.
SELECT is_empty($$SELECT a FROM (SELECT (string_agg(lpad(to_hex((random() * 65535)::integer), 4, '0'), ':' ORDER BY g))::inet AS a FROM generate_series(1, 5000) r, LATERAL generate_series(1, 8 + r * 0) g GROUP BY r) x
  WHERE cdp_internal.address_verdict(a) IS DISTINCT FROM pg_temp.word_of(a) AND NOT a <<= ANY ('{::/16,64:ff9b::/32,2001::/32,2002::/16}'::cidr[])$$, '5,000 of IPv6, too');
SELECT is(cdp_internal.address_verdict('10.0.0.1/8'), 'private', 'the length of the prefix does not count');
SELECT is(cdp_internal.address_verdict(NULL), NULL, 'NULL is NULL');

-- Addresses of IPv6 that stand for one of IPv4.
CREATE FUNCTION pg_temp.verdicts(VARIADIC a inet[]) RETURNS text LANGUAGE sql AS 'SELECT string_agg(coalesce(cdp_internal.address_verdict(u.x), $$ok$$), $$ $$ ORDER BY n) FROM unnest(a) WITH ORDINALITY u (x, n)';
SELECT is(pg_temp.verdicts('::ffff:127.0.0.1', '::ffff:8.8.8.8', '::127.0.0.1', '::ffff:0:127.0.0.1', '64:ff9b::7f00:1', '64:ff9b::808:808', '64:ff9b:1::a00:1', '2002:7f00:1::', '2001:0:808:808:0:0:f5ff:fffe'),
  'v4_mapped v4_mapped v4_compatible v4_translated nat64 nat64 nat64 sixtofour teredo', 'what stands for another address is refused, whatever that is');
SELECT is(pg_temp.verdicts('::ffff:169.254.169.254', '::a9fe:a9fe', '64:ff9b::a9fe:a9fe', '2002:a9fe:a9fe::1', '2001:0:a9fe:a9fe::', '2001:0:808:808:0:0:5601:5601', '64:ff9b:1:a9fe:a9:fe00::', '64:ff9b:1::6464:64c8'),
  'metadata metadata metadata metadata metadata metadata metadata metadata', 'the service of metadata is found within all of them');

-- What a superuser opened.
SET LOCAL cdp.allowed_private_ranges = '10.20.0.0/16, ::1 ,fd12:3456::/32,192.168.1.7';
SELECT is(pg_temp.verdicts('10.19.255.255', '10.20.0.0', '10.20.255.255', '10.21.0.0', '::1', '::2', 'fd12:3456::1', 'fd12:3457::1', '192.168.1.7', '192.168.1.8', '127.0.0.1'),
  'private ok ok private ok v4_compatible ok unique_local ok private loopback', 'ranges open what lies in them and nothing beside');
SELECT is(pg_temp.verdicts('::ffff:10.20.0.1', '64:ff9b::a14:1'), 'v4_mapped nat64', 'an open range of IPv4 opens no address that stands for one of it');
SET LOCAL cdp.allowed_private_ranges = '64:ff9b::/96';
SELECT is(pg_temp.verdicts('64:ff9b::808:808', '64:ff9b::a14:1', '64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe'), 'ok private loopback metadata', 'an open NAT64 leads to public addresses only');
SET LOCAL cdp.allowed_private_ranges = '64:ff9b::/96, 10.0.0.0/8';
SELECT is(pg_temp.verdicts('64:ff9b::808:808', '64:ff9b::a14:1', '64:ff9b::7f00:1'), 'ok ok loopback', 'unless both are open');
SET LOCAL cdp.allowed_private_ranges = '0.0.0.0/0, ::/0';
SELECT is_empty($$SELECT a FROM border WHERE (cdp_internal.address_verdict(a) IS NULL) = (SELECT coalesce((SELECT never FROM special WHERE a <<= range ORDER BY n LIMIT 1), false))$$,
  'everything can be opened but metadata and link-local');
SELECT is(pg_temp.verdicts('169.254.0.1', '169.254.169.254', 'fd00:ec2::254', '100.100.100.200', '192.0.0.192', '168.63.129.16', '::ffff:169.254.1.1', 'fe80::1'),
  'link_local metadata metadata metadata metadata metadata link_local ok', 'those never');
SET LOCAL cdp.allowed_private_ranges = '';

-- Hosts.
CREATE FUNCTION pg_temp.hosts(builtin text[], VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT string_agg(coalesce(cdp_internal.host_verdict(u.x, builtin), $$ok$$), $$ $$ ORDER BY n) FROM unnest(a) WITH ORDINALITY u (x, n)';
SELECT is(pg_temp.hosts('{}', 'qyapi.weixin.qq.com', 'http://qyapi.weixin.qq.com', '10.0.0.1'), 'not_allowed not_allowed not_allowed', 'nothing is allowed that nobody named');
SELECT is(pg_temp.hosts('{qyapi.weixin.qq.com,*.example.org,http://plain.example.org}', 'qyapi.weixin.qq.com', 'QYAPI.weixin.QQ.com.', 'https://qyapi.weixin.qq.com:443', 'qyapi.weixin.qq.com:444', 'http://qyapi.weixin.qq.com',
    'a.example.org', 'a.b.example.org', 'example.org', 'aexample.org', 'http://plain.example.org', 'evil-qyapi.weixin.qq.com', 'qyapi.weixin.qq.com.evil.org'),
  'ok ok ok not_allowed http_not_allowed ok ok not_allowed not_allowed not_allowed not_allowed not_allowed', 'hosts of built-in connectors: https on its port only, never http');
SET LOCAL cdp.allowed_hosts = 'crm.example.com, *.shop.example.com:8443,http://intern.example.com,http://127.0.0.1:8080 , [2001:DB8::1], XN--FSQU00A.example';
SELECT is(pg_temp.hosts('{}', 'crm.example.com', 'crm.example.com:8443', 'a.shop.example.com:8443', 'a.shop.example.com', 'http://intern.example.com', 'intern.example.com', 'http://intern.example.com:81', 'http://127.0.0.1:8080', 'http://crm.example.com',
    '[2001:db8:0::0:1]', 'xn--fsqu00a.example', 'http://2130706433:8080', 'http://0x7f.1:8080', 'http://0177.0.0.01:8080', 'http://127.0.0.1:80'),
  'ok not_allowed ok not_allowed ok not_allowed not_allowed ok http_not_allowed ok ok ok ok ok not_allowed', 'hosts of the setting, whatever way they are written');
SELECT is(pg_temp.hosts('{}', '', ' ', 'a b', 'a..b', '.a', '-a.b', 'a-.b', 'a/b', 'a?b', 'a#b', 'a\b', 'a%2eb', 'a:0', 'a:65536', 'a:', 'a:1:2', '[::1', '::1', '[fe80::1%25lo]', '[1.2.3.4]', '1.2.3.4.5', '256.1.1.1', '1.2.3.0x100', '0x1ffffffff', '*.example.com', repeat('a', 64) || '.b', repeat('a.', 127) || 'bc', 'ftp://a', 'https://', E'a\x01b', E'a\nb'),
  repeat('malformed ', 30) || 'malformed', 'what is no host');
SELECT is(pg_temp.hosts('{}', 'u@crm.example.com', 'u:p@crm.example.com', 'crm.example.com@evil.org', 'bücher.example', '微信.com', 'crm。example.com'), 'userinfo userinfo userinfo not_ascii not_ascii not_ascii', 'users and other letters');
SELECT is(cdp_internal.host_verdict(NULL), 'malformed', 'no host is none');
SELECT throws_ok($$SELECT cdp_internal.host_verdict('a.b', '{a.b,NULL}')$$, '22004', NULL, 'NULL among the hosts of built-in connectors');

-- Settings refuse what they do not understand.
CREATE FUNCTION pg_temp.refused(setting text, VARIADIC a text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v text;
  kept text := '';
  old text := current_setting(setting);
BEGIN
  FOREACH v IN ARRAY a LOOP
    BEGIN
      PERFORM set_config(setting, v, true);
      kept := kept || v || ' ';
    EXCEPTION WHEN invalid_parameter_value THEN NULL;
    END;
  END LOOP;
  PERFORM set_config(setting, old, true);
  RETURN kept;
END $$;
SELECT is(pg_temp.refused('cdp.allowed_hosts', '*', '*.com', 'http://*.example.com', '*.0.0.1', 'a b', 'ftp://a', 'a@b', 'ü.de', 'a.b, c d', 'a.b:0', 'a.b/c', '*.*.example.com', 'a.*.example.com'), '', 'lists of hosts');
SELECT is(pg_temp.refused('cdp.allowed_private_ranges', '10.0.0.0/33', '10.0.0.1/8', '10.0.0.0/', '10.0.0.0/-1', '10.0.0', '10.0.0.0/8/8', 'localhost', '::1/129', 'fd00::1/8', '10.0.0.0/ 8', '1.2.3.4.5', 'fe80::1%lo', '127.1', '10.0.0.0/8;', '10.0.0.0/0008'), '', 'lists of ranges');
SELECT is(pg_temp.refused('cdp.http_max_bytes', '0', '1000', '1GB', '-1', 'x'), '', 'bytes');
SELECT is(pg_temp.refused('cdp.allowed_private_ranges', '', ' ', ',', '10.0.0.0/8', '10.0.0.0/8,', '0.0.0.0/0', '::/0', '::ffff:0:0/96', '1.2.3.4', '128.0.0.0/1', 'fe80::/10'), '   , 10.0.0.0/8 10.0.0.0/8, 0.0.0.0/0 ::/0 ::ffff:0:0/96 1.2.3.4 128.0.0.0/1 fe80::/10 ', 'and take what they do');
SELECT throws_ok($$SELECT set_config('cdp.allowed_hosts', (SELECT string_agg('h' || n || '.example.com', ',') FROM generate_series(1, 1001) n), true)$$, '22023', NULL, 'a list has an end');
SELECT lives_ok($$SELECT set_config('cdp.allowed_hosts', (SELECT string_agg('h' || n || '.example.com', ',') FROM generate_series(1, 1000) n), true)$$, 'a thousand entries are well');

-- What people ask: nothing is looked up for a host on no list, and loopback is told.
SET LOCAL cdp.allowed_hosts = 'localhost, http://127.1:81';
SELECT results_eq($$SELECT host, host(address), allowed, reason FROM cdp.check_host('example.invalid') UNION ALL SELECT host, host(address), allowed, reason FROM cdp.check_host('a@b') UNION ALL SELECT host, host(address), allowed, reason FROM cdp.check_host('http://0x7f.1:81')$$,
  $$VALUES ('example.invalid', NULL, false, 'not_allowed'), ('a@b', NULL, false, 'userinfo'), ('127.0.0.1', '127.0.0.1', false, 'loopback')$$, 'cdp.check_host: a host on no list, none at all, and loopback');
SELECT results_eq($$SELECT host, allowed, reason FROM cdp.check_host('http://qyapi.weixin.qq.com')$$, $$VALUES ('qyapi.weixin.qq.com', false, 'http_not_allowed')$$, 'the hosts of built-in connectors need no setting, but https');
SELECT ok(cdp_internal.builtin_hosts() @> '{qyapi.weixin.qq.com,api.weixin.qq.com}', 'which they are');
SELECT is_empty($$SELECT b.connector FROM cdp.connector_builtin() b, unnest(cdp_internal.connector_hosts(b.manifest)) h WHERE b.is_example AND h = ANY (cdp_internal.builtin_hosts())
  AND NOT EXISTS (SELECT FROM cdp.connector_builtin() o WHERE NOT o.is_example AND h = ANY (cdp_internal.connector_hosts(o.manifest)))$$, 'examples open no host');
SELECT is_empty($$SELECT h FROM unnest(cdp_internal.builtin_hosts()) h WHERE cdp_internal.host_verdict(h, cdp_internal.builtin_hosts()) IS NOT NULL OR cdp_internal.host_verdict(h) IS NULL$$, 'each is allowed as such, and only so');
SELECT ok(bool_and(NOT allowed AND reason = 'loopback' AND address IN ('127.0.0.1', '::1')), 'localhost is refused with each of its addresses') FROM cdp.check_host('localhost');
SELECT is((SELECT array_agg(p.oid::regprocedure::text ORDER BY 1) FROM pg_proc p WHERE p.oid IN ('cdp.check_host(text)'::regprocedure, (SELECT oid FROM pg_proc WHERE proname = 'fetch' AND pronamespace = 'cdp_internal'::regnamespace))
  AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0))), NULL, 'what reaches the network is not for PUBLIC');

SELECT * FROM finish();
ROLLBACK;
