-- Referral life for the bench of the fraud score: :referrals referrals (at least 20,000), most of them honest, with offices and families,
-- and something for every rule to find: lists, bans, cases found before, rings, circles, bursts, floods, leaks, shared devices, refunds,
-- merged customers. Variables: referrals. Most digests are made without keys: only equality counts here.
SET client_min_messages = warning;
SET synchronous_commit = off;
SET timezone = 'UTC';
SELECT setseed(0.6);
SELECT :referrals / 3 AS a, :referrals + :referrals / 3 AS n \gset
SELECT cdp.create_referral_campaign('bench', starts_at => '2026-01-01', ends_at => '2099-01-01', timezone => 'UTC');
SELECT cdp.set_referral_terms('bench', rules => '[{"rule": "cash", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}]');
SELECT cdp.activate_referral_campaign('bench', '2026-01-01');
INSERT INTO cdp_data.source (name) VALUES ('shop') ON CONFLICT DO NOTHING;
CREATE FUNCTION pg_temp.d(what text, n bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT '\x0001'::bytea || sha256(convert_to(what || n, 'UTF8')) $$;
-- Customers 1 to a are advocates, a + 1 to n referees, and one in a hundred has a second number that was merged into the first.
INSERT INTO cdp_data.customer (customer_id, parent_id) OVERRIDING SYSTEM VALUE SELECT i, i FROM generate_series(1, :n) i;
-- Who referred whom: i the referral; referee, referrer; at; u and w, by which its kind is drawn; seconds from click to order; cell: of a burst, block or ring.
CREATE TEMP TABLE life AS
SELECT i, CASE WHEN i BETWEEN 2001 AND 2600 THEN :a - 1000 - (i - 2001) / 2 * 2 - 1 + (i - 2001) % 2 WHEN i BETWEEN 2601 AND 2900 THEN :a - 1700 - (i - 2601) / 3 * 3 - (i - 2600) % 3 WHEN i BETWEEN 2901 AND 3300 THEN :a - 2100 - (i - 2901) / 4 * 4 - (i - 2900) % 4 ELSE :a + i END AS referee,
  CASE WHEN i <= 720 THEN :a - (i - 1) / 12 -- bursts of twelve within an hour
    WHEN i BETWEEN 1001 AND 2000 THEN :a - 100 - (i - 1001) / 25 -- clicks that nobody made
    WHEN i BETWEEN 2001 AND 2600 THEN :a - 1000 - (i - 2001) / 2 * 2 - (i - 2001) % 2 -- circles of two, three and four
    WHEN i BETWEEN 2601 AND 2900 THEN :a - 1700 - (i - 2601) / 3 * 3 - (i - 2601) % 3 WHEN i BETWEEN 2901 AND 3300 THEN :a - 2100 - (i - 2901) / 4 * 4 - (i - 2901) % 4
    WHEN i BETWEEN 3301 AND 3700 THEN :a - 3000 - (i - 3301) / 5 -- everything goes back
    WHEN i BETWEEN 3701 AND 4100 THEN :a - 3200 - (i - 3701) / 10 -- nothing more is done
    WHEN i BETWEEN 4101 AND 4180 THEN :a - i + 100 -- floods of clicks (the first 30), codes on public pages (50)
    ELSE 1 + floor(power(random(), 1.5) * (:a - 4200))::integer END AS referrer,
  CASE WHEN i <= 720 THEN timestamptz '2026-04-10' + (i - 1) / 12 * interval '13 hours' + i % 12 * interval '4 minutes' ELSE timestamptz '2026-02-01' + random() * interval '100 days' END AS at,
  CASE WHEN i <= 4180 THEN 1 ELSE random() END AS u, random() AS w, CASE WHEN i BETWEEN 1001 AND 2000 THEN 86400 * (10 + 15 * random()) WHEN i % 400 = 7 THEN 4 * random() ELSE exp(4 + 3 * random() + 2 * random()) END::double precision AS seconds,
  -- Rings: 24 in a chain of devices and addresses, six or nine that share two or three things.
  CASE WHEN i <= 4180 THEN 0 WHEN i / 100 % 15 = 1 AND i % 100 < 24 THEN 1 WHEN i / 100 % 15 = 2 AND i % 100 < 9 THEN 2 WHEN i / 100 % 15 IN (3, 4) AND i % 100 < 6 THEN 3 ELSE 0 END AS ring
FROM generate_series(1, :referrals) i;
CREATE INDEX ON life (referee);
-- The address of a person: an office of 40 (one in five), a family of 3, else his own; of some referees that of the referrer, or one beside it.
CREATE TEMP TABLE place AS SELECT i AS id, CASE WHEN i % 5 = 0 THEN 1000000 + i / 200 WHEN i % 7 = 0 THEN 2000000 + i / 21 ELSE 3 * i END AS ip FROM generate_series(1, :n) i;
UPDATE place SET ip = CASE WHEN l.i <= 720 THEN 4000000 + l.i / 12 * 3 WHEN l.u < 0.12 THEN CASE WHEN l.u < 0.10 THEN f.ip ELSE f.ip / 3 * 3 + (f.ip + 1) % 3 END END
FROM life l JOIN place f ON f.id = l.referrer WHERE place.id = l.referee AND (l.i <= 720 OR l.u BETWEEN 0.03 AND 0.12);
CREATE UNIQUE INDEX ON place (id);
ANALYZE life, place;
-- One e-mail address, telephone number and cookie each (identifiers 3 i - 2 to 3 i); a device, OpenID, payment or hash of a document of some.
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id, first_seen, last_seen) OVERRIDING SYSTEM VALUE
SELECT 3 * p.id + k - 3, (ARRAY[2, 3, 8])[k], CASE k WHEN 1 THEN CASE WHEN l.i <= 720 THEN 'promo' || l.i || '@mail.example' WHEN l.u BETWEEN 0.130 AND 0.133 THEN left(md5(l.referrer::text), 5 + l.referrer % 9) || '.' || l.referrer || '+' || l.i || '@' || p.host[1 + l.referrer % 4]
      WHEN l.u BETWEEN 0.133 AND 0.14 THEN left(md5(l.referrer::text), 5 + l.referrer % 9) || '.' || l.referrer || chr(97 + l.i % 26) || chr(97 + l.i / 26 % 26) || '@gmail.com' WHEN l.u BETWEEN 0.14 AND 0.15 THEN 'tmp' || p.id || '@mailinator.com' WHEN l.u BETWEEN 0.15 AND 0.16 THEN 'tmp' || p.id || '@in.throw' || p.id % 5000 || '.example'
      WHEN l.u BETWEEN 0.16 AND 0.165 THEN 'info@mail' || p.id || '.example' ELSE left(md5(p.id::text), 5 + p.id % 9) || '.' || p.id || '@' || p.host[1 + p.id % 4] END
    WHEN 2 THEN '+49151' || 10000000 + p.id ELSE 'ck' || md5('c' || p.id) END, p.id, '2026-01-01', '2026-06-01'
FROM (SELECT i AS id, ARRAY['gmail.com', 'qq.com', '163.com', 'mail' || i % 500 || '.example'] AS host FROM generate_series(1, :n) i) p LEFT JOIN life l ON l.referee = p.id AND l.referee > :a CROSS JOIN generate_series(1, 3) k ORDER BY p.id, k;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id, first_seen, last_seen) OVERRIDING SYSTEM VALUE
SELECT 3 * :n + 4 * x.id + k, (ARRAY[7, 4, 11, 15])[k], 'x' || k || md5(x.id::text), x.id, '2026-01-01', '2026-06-01'
FROM (SELECT referrer FROM life WHERE i % 100 = 9 UNION SELECT referee FROM life WHERE i % 100 = 9 UNION SELECT g FROM generate_series(1, :n, 50) g) AS x (id), generate_series(1, 4) k;
-- Seen together once, and kept apart by a limit.
INSERT INTO cdp_data.link (a_id, b_id, kind, state, first_seen, reason)
SELECT least(x.a, x.b), greatest(x.a, x.b), 'deterministic', 'rejected', l.at, 'limit' FROM life l CROSS JOIN LATERAL (SELECT CASE WHEN l.i / 100 % 7 < 3 THEN 3 * l.referrer - 2 + l.i / 100 % 7 ELSE 3 * :n + 4 * l.referrer - 2 + l.i / 100 % 7 END AS a, CASE WHEN l.i / 100 % 7 < 3 THEN 3 * l.referee - 2 + l.i / 100 % 7 ELSE 3 * :n + 4 * l.referee - 2 + l.i / 100 % 7 END AS b) x
WHERE l.i % 100 = 9 AND l.i > 4180;
INSERT INTO cdp_data.channel_bounce (identifier_id, channel, bounced_at) SELECT 3 * l.referee - 2, 'email', l.at + interval '1 day' FROM life l WHERE l.i % 100 = 11;
INSERT INTO cdp_data.referral_code (code, kind, referral_campaign_id, customer_id, issued_at)
SELECT 'vanity-' || i, 'vanity', (SELECT referral_campaign_id FROM cdp_data.referral_campaign WHERE name = 'bench'), i, '2026-01-01' FROM generate_series(1, :a) i;
-- What a referee shows: that of his own, of his ring, or of the referrer.
CREATE TEMP TABLE shown AS
SELECT l.i, p.ip, CASE WHEN l.u BETWEEN 0.03 AND 0.06 THEN l.referrer % 900 ELSE l.i % 900 END AS agent,
  CASE l.ring WHEN 1 THEN -l.i / 8 WHEN 2 THEN -l.i / 100 - 1000000 WHEN 3 THEN -l.i / 100 - 2000000 ELSE CASE WHEN l.u BETWEEN 0.12 AND 0.13 THEN l.referrer ELSE l.referee END END AS device,
  CASE l.ring WHEN 2 THEN -l.i / 100 - 3000000 ELSE CASE WHEN l.u < 0.01 THEN l.referrer ELSE l.referee END END AS pay,
  CASE l.ring WHEN 1 THEN -(l.i + 4) / 8 - 4000000 WHEN 2 THEN -l.i / 100 - 5000000 WHEN 3 THEN -l.i / 100 - 6000000 ELSE CASE WHEN l.u BETWEEN 0.01 AND 0.03 THEN l.referrer ELSE l.referee END END AS address
FROM life l JOIN place p ON p.id = l.referee;
CREATE UNIQUE INDEX ON shown (i);
ANALYZE shown;
INSERT INTO cdp_data.referral_click (source_id, source_key, referral_code_id, referral_campaign_id, clicked_at, identifier_id, customer_id, ip_digest, net_digest, agent_digest, device_digest, referrer_host, asn, country, paid)
SELECT 1, 'c' || l.i, c.referral_code_id, c.referral_campaign_id, l.at - l.seconds * interval '1 second', 3 * l.referee, l.referee, pg_temp.d('ip', s.ip), pg_temp.d('net', s.ip / 3), pg_temp.d('agent', s.agent), pg_temp.d('device', s.device),
  CASE WHEN l.w < 0.3 THEN 'chat.example' WHEN l.w < 0.303 THEN 'www.retailmenot.com' WHEN l.w < 0.306 THEN 'm.denied' || l.i % 300 || '.example' WHEN l.w < 0.307 THEN 'blocked.example' ELSE '' END, l.i % 300, 'DE', l.w > 0.995
FROM life l JOIN shown s USING (i) JOIN cdp_data.referral_code c ON c.customer_id = l.referrer ORDER BY l.at;
-- Twice as many clicks of strangers; floods, and codes that stand on public pages.
INSERT INTO cdp_data.referral_click (source_id, source_key, referral_code_id, referral_campaign_id, clicked_at, ip_digest, net_digest, agent_digest, asn, country)
SELECT 1, 'x' || l.i || '-' || k, c.referral_code_id, c.referral_campaign_id, l.at - k * interval '2 hours', pg_temp.d('ip', 9000000 + l.i * k), pg_temp.d('net', 3000000 + l.i), pg_temp.d('agent', l.i % 900), l.i % 700, 'DE'
FROM life l JOIN cdp_data.referral_code c ON c.customer_id = l.referrer CROSS JOIN generate_series(1, 2) k
UNION ALL
SELECT 1, 'f' || l.i || '-' || k, c.referral_code_id, c.referral_campaign_id, timestamptz '2026-05-20' + k * interval '17 minutes', pg_temp.d('ip', 9900000 + k), pg_temp.d('net', 3300000 + k), pg_temp.d('agent', k % 900), CASE WHEN l.i <= 4130 THEN 1 ELSE k % 40 END, 'DE'
FROM life l JOIN cdp_data.referral_code c ON c.customer_id = l.referrer CROSS JOIN generate_series(1, CASE WHEN l.i <= 4130 THEN 400 ELSE 40 END) k WHERE l.i BETWEEN 4101 AND 4180;
-- First orders of the referees, second ones of half of them, orders of the advocates and of their second numbers.
INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, referral_code_id, referral_click_id, value_minor, eligible_minor, currency, ip_digest, net_digest, agent_digest, device_digest, payment_digest, address_digest)
SELECT 1, 'o' || l.i, 'purchase', l.at, 3 * l.referee - 2, l.referee, k.referral_code_id, k.referral_click_id, 5000, 4000, 'EUR', k.ip_digest, k.net_digest, k.agent_digest, k.device_digest, pg_temp.d('pay', s.pay), pg_temp.d('addr', s.address)
FROM life l JOIN shown s USING (i) JOIN cdp_data.referral_click k ON k.source_key = 'c' || l.i ORDER BY l.at;
INSERT INTO cdp_data.customer (customer_id, parent_id) OVERRIDING SYSTEM VALUE SELECT :n + j, CASE WHEN j <= 100 THEN (SELECT l.referrer FROM life l WHERE l.i = 5000 + j) ELSE j * 97 END FROM generate_series(1, :n / 100) j;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id, first_seen, last_seen) OVERRIDING SYSTEM VALUE SELECT 8 * :n + j, 8, 'second' || j, :n + j, '2026-01-01', '2026-06-01' FROM generate_series(1, :n / 100) j;
SELECT setval(pg_get_serial_sequence('cdp_data.customer', 'customer_id'), 2 * :n), setval(pg_get_serial_sequence('cdp_data.identifier', 'identifier_id'), 9 * :n::bigint);
INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, value_minor, eligible_minor, currency, ip_digest, net_digest, agent_digest, device_digest, payment_digest, address_digest)
SELECT 1, 'p' || l.i, 'purchase', l.at + interval '5 days', 3 * l.referee - 2, l.referee, 5000, 4000, 'EUR', pg_temp.d('ip', s.ip), pg_temp.d('net', s.ip / 3), pg_temp.d('agent', s.agent), pg_temp.d('device', s.device), pg_temp.d('pay', s.pay), pg_temp.d('addr', s.address)
FROM life l JOIN shown s USING (i) WHERE l.i % 2 = 0 AND l.i NOT BETWEEN 3701 AND 4100
UNION ALL
SELECT 1, 'a' || p.id, 'purchase', timestamptz '2026-01-05' + p.id % 120 * interval '1 day', 3 * p.id - 2, p.id, 5000, 4000, 'EUR', pg_temp.d('ip', p.ip), pg_temp.d('net', p.ip / 3), pg_temp.d('agent', p.id % 900), pg_temp.d('device', CASE WHEN p.id % 300 = 0 THEN p.id + 1 ELSE p.id END), pg_temp.d('pay', p.id), pg_temp.d('addr', p.id)
FROM place p WHERE p.id <= :a
UNION ALL
-- Of who shares something with a referee of his there is an order near by.
SELECT 1, 'b' || l.i, 'purchase', l.at - interval '3 hours', 3 * l.referrer - 2, l.referrer, 5000, 4000, 'EUR', pg_temp.d('ip', p.ip), pg_temp.d('net', p.ip / 3), pg_temp.d('agent', l.referrer % 900), pg_temp.d('device', l.referrer), pg_temp.d('pay', l.referrer), pg_temp.d('addr', l.referrer)
FROM life l JOIN place p ON p.id = l.referrer WHERE l.u BETWEEN 0.03 AND 0.13
UNION ALL
SELECT 1, 's' || j, 'purchase', timestamptz '2026-01-20' + j % 100 * interval '1 day', 8 * :n + j, :n + j, 5000, 4000, 'EUR', pg_temp.d('ip', 8000000 + j), pg_temp.d('net', 2700000 + j), pg_temp.d('agent', j % 900), pg_temp.d('device', 8000000 + j), pg_temp.d('pay', 8000000 + j), pg_temp.d('addr', 8000000 + j) FROM generate_series(1, :n / 100) j;
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id)
SELECT 1, 'r' || v.referral_conversion_id, v.referral_conversion_id, v.occurred_at + interval '6 days', 4000, v.customer_id FROM life l JOIN cdp_data.referral_conversion v ON v.source_key = 'o' || l.i WHERE l.i % 17 = 0 OR l.i BETWEEN 3301 AND 3700;
INSERT INTO cdp_data.referral (campaign_group, referral_campaign_id, terms_version, referrer_id, referee_id, method, referral_click_id, referral_code_id, first_conversion_id, attributed_at, state, reason, decided_at)
SELECT 'bench', k.referral_campaign_id, 1, l.referrer, CASE WHEN l.i BETWEEN 5001 AND 5100 THEN :n + l.i - 5000 ELSE l.referee END, 'click', k.referral_click_id, k.referral_code_id, v.referral_conversion_id, l.at,
  CASE l.i % 300 WHEN 1 THEN 'duplicate' WHEN 2 THEN 'ineligible' WHEN 3 THEN 'ineligible' ELSE CASE WHEN l.at < '2026-05-01' THEN 'approved' ELSE 'pending' END END, CASE l.i % 300 WHEN 2 THEN 'existing_customer' WHEN 3 THEN 'no_active_campaign' END, l.at + interval '1 minute'
FROM life l JOIN cdp_data.referral_click k ON k.source_key = 'c' || l.i JOIN cdp_data.referral_conversion v ON v.source_key = 'o' || l.i ORDER BY l.at;
-- What was told of advocates: where one in three signs in and is paid; a few are paid to what a referee paid with.
INSERT INTO cdp_data.fraud_fact (customer_id, kind, digest, first_at, last_at, recorded_at)
SELECT p.id, x.kind, x.digest, '2026-01-10', '2026-05-10', '2026-01-10' FROM place p CROSS JOIN LATERAL (VALUES ('ip', pg_temp.d('ip', p.ip)), ('net', pg_temp.d('net', p.ip / 3)), ('device', pg_temp.d('device', p.id)), ('payout', pg_temp.d('pay', p.id))) AS x (kind, digest) WHERE p.id <= :a AND p.id % 3 = 0
UNION ALL SELECT DISTINCT l.referrer, 'payout', pg_temp.d('pay', l.referee), timestamptz '2026-01-10', timestamptz '2026-05-10', timestamptz '2026-01-10' FROM life l WHERE l.i % 500 = 13 AND l.ring = 0
ON CONFLICT DO NOTHING;
-- Lists, bans, and what confirmed fraud was done with.
INSERT INTO cdp_data.fraud_list (list, what, value, digest, customer_id, added_at)
SELECT 'denied_host', 'host', 'denied' || i || '.example', NULL::bytea, NULL::bigint, timestamptz '2026-01-02' FROM generate_series(0, 299) i
UNION ALL SELECT 'disposable_domain', 'email_domain', 'throw' || i || '.example', NULL, NULL, '2026-01-02' FROM generate_series(0, 4999) i
UNION ALL SELECT 'block', 'host', 'blocked.example', NULL, NULL, '2026-01-02'
UNION ALL SELECT 'block', 'email_domain', 'mail' || 7 * i || '.example', NULL, NULL, '2026-01-02' FROM generate_series(1, 3) i
UNION ALL SELECT 'block', x.what, NULL, x.digest, NULL, '2026-01-02' FROM life l JOIN shown s USING (i) CROSS JOIN LATERAL (VALUES ('ip', pg_temp.d('ip', s.ip)), ('device', pg_temp.d('device', s.device)), ('payment', pg_temp.d('pay', s.pay)), ('address', pg_temp.d('addr', s.address))) AS x (what, digest) WHERE l.i % 1000 = 21
UNION ALL SELECT CASE WHEN l.i % 2000 = 23 THEN 'allow' ELSE 'block' END, 'email', NULL, cdp_internal.fraud_digest('email', d.value), NULL, '2026-01-02' FROM life l JOIN cdp_data.identifier d ON d.identifier_id = 3 * l.referee - 2 WHERE l.i % 1000 = 23
UNION ALL SELECT CASE WHEN l.i % 2000 = 25 THEN 'allow' ELSE 'block' END, 'customer', NULL, NULL, l.referee, '2026-01-02' FROM life l WHERE l.i % 1000 = 25;
INSERT INTO cdp_data.referral_ban (customer_id, referral_campaign_id, reason, banned_at, expires_at)
SELECT l.referrer, NULL, 'bench', timestamptz '2026-03-01', CASE WHEN l.i % 2000 = 27 THEN timestamptz '2026-04-01' END FROM life l WHERE l.i % 500 = 27 GROUP BY l.i, 1;
INSERT INTO cdp_data.referral_ban_lift (referral_ban_id, customer_id, lifted_at, reason) SELECT referral_ban_id, customer_id, '2026-04-15', 'bench' FROM cdp_data.referral_ban WHERE referral_ban_id % 5 = 0;
INSERT INTO cdp_data.fraud_history (kind, digest, referral_id, confirmed_at, expires_at)
SELECT x.kind, x.digest, r.referral_id, r.attributed_at + interval '3 days', CASE x.kind WHEN 'ip' THEN timestamptz '2026-12-31' END
FROM life l JOIN shown s USING (i) JOIN cdp_data.referral r ON r.referee_id = l.referee JOIN cdp_data.identifier em ON em.identifier_id = 3 * l.referee - 2 JOIN cdp_data.identifier ph ON ph.identifier_id = em.identifier_id + 1
  CROSS JOIN LATERAL (VALUES ('ip', pg_temp.d('ip', s.ip)), ('device', pg_temp.d('device', s.device)), ('payment', pg_temp.d('pay', s.pay)), ('address', pg_temp.d('addr', s.address)), ('email', cdp_internal.fraud_digest('email', em.value)), ('phone', cdp_internal.fraud_digest('phone', ph.value))) AS x (kind, digest)
WHERE l.i % 250 = 29 OR l.ring = 3 AND l.i % 100 = 1 OR l.ring = 1 AND l.i % 100 = 1;
VACUUM ANALYZE;
-- Jobs of the night, as they would have run.
SELECT cdp.find_fraud_rings(t) FROM generate_series(timestamptz '2026-02-20', '2026-06-01', '20 days') t;
SELECT cdp.find_fraud_rings('2026-06-01');
SELECT to_regprocedure('cdp.measure_referral_norms(timestamptz)') IS NOT NULL AS norms \gset
\if :norms
SELECT cdp.measure_referral_norms(t) FROM generate_series(timestamptz '2026-02-20', '2026-06-01', '20 days') t;
SELECT cdp.measure_referral_norms('2026-06-01');
\endif
VACUUM ANALYZE;
