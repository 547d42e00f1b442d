-- Referral life for the bench of the fraud score: :referrals referrals, most of them honest, with offices, families and rings.
-- Variables: referrals. Digests are made without keys: only equality counts here.
SET client_min_messages = warning;
SET synchronous_commit = off;
SELECT setseed(0.6);
SELECT cdp.create_referral_campaign('bench', starts_at => '2026-01-01', ends_at => '2099-01-01', timezone => 'UTC');
SELECT cdp.set_referral_terms('bench', rules => '[{"rule": "cash", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}]');
SELECT cdp.activate_referral_campaign('bench', '2026-01-01');
INSERT INTO cdp_data.source (name) VALUES ('shop') ON CONFLICT DO NOTHING;
-- Customers 1 to n / 3 are advocates, the rest are referees; one e-mail address, telephone number and cookie each.
INSERT INTO cdp_data.customer (customer_id, parent_id) OVERRIDING SYSTEM VALUE SELECT i, i FROM generate_series(1, :referrals + :referrals / 3) i;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id, first_seen, last_seen) OVERRIDING SYSTEM VALUE
SELECT 3 * i + k - 2, (ARRAY[2, 3, 8])[k], (ARRAY[left(md5(i::text), 5 + i % 9) || '.' || i || '@' || (ARRAY['gmail.com', 'qq.com', '163.com', 'mail' || i % 500 || '.example'])[1 + i % 4], '+49151' || 10000000 + i, 'ck' || md5('c' || i)])[k], i, '2026-01-01', '2026-06-01'
FROM generate_series(1, :referrals + :referrals / 3) i, generate_series(1, 3) k ORDER BY i, k;
INSERT INTO cdp_data.referral_code (code, kind, referral_campaign_id, customer_id, issued_at)
SELECT 'vanity-' || i, 'vanity', (SELECT referral_campaign_id FROM cdp_data.referral_campaign WHERE name = 'bench'), i, '2026-01-01' FROM generate_series(1, :referrals / 3) i;
CREATE FUNCTION pg_temp.d(what text, n bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT '\x0001'::bytea || sha256(convert_to(what || n, 'UTF8')) $$;
CREATE TEMP TABLE life AS
SELECT i, :referrals / 3 + i AS referee, 1 + floor(power(random(), 1.5) * (:referrals / 3))::bigint AS referrer, timestamptz '2026-02-01' + random() * interval '100 days' AS at, random() AS u, random() AS w,
  exp(4 + 3 * random() + 2 * random())::double precision AS seconds
FROM generate_series(1, :referrals) i;
-- The address of a person: an office of 40 (one in five), a family of 3, else his own.
CREATE TEMP TABLE place AS SELECT i AS id, CASE WHEN i % 5 = 0 THEN 1000000 + i / 200 WHEN i % 7 = 0 THEN 2000000 + i / 21 ELSE i END AS ip FROM generate_series(1, :referrals + :referrals / 3) i;
INSERT INTO cdp_data.referral_click (source_id, source_key, referral_code_id, referral_campaign_id, clicked_at, identifier_id, customer_id, ip_digest, net_digest, agent_digest, device_digest, referrer_host, asn, country, paid)
SELECT 1, 'c' || l.i, c.referral_code_id, c.referral_campaign_id, l.at - l.seconds * interval '1 second', 3 * l.referee + 1, l.referee, pg_temp.d('ip', p.ip), pg_temp.d('net', p.ip / 3), pg_temp.d('agent', l.i % 900), pg_temp.d('device', l.referee), CASE WHEN l.w < 0.3 THEN 'chat.example' WHEN l.w < 0.303 THEN 'www.retailmenot.com' ELSE '' END, l.i % 300, 'DE', l.w > 0.995
FROM life l JOIN cdp_data.referral_code c ON c.customer_id = l.referrer JOIN place p ON p.id = l.referee ORDER BY l.at;
-- Twice as many clicks of strangers.
INSERT INTO cdp_data.referral_click (source_id, source_key, referral_code_id, referral_campaign_id, clicked_at, ip_digest, net_digest, agent_digest, asn, country)
SELECT 1, 'x' || l.i || '-' || k, c.referral_code_id, c.referral_campaign_id, l.at - k * interval '2 hours', pg_temp.d('ip', 9000000 + l.i * k), pg_temp.d('net', 3000000 + l.i), pg_temp.d('agent', l.i % 900), l.i % 700, 'DE'
FROM life l JOIN cdp_data.referral_code c ON c.customer_id = l.referrer CROSS JOIN generate_series(1, 2) k;
-- First conversions of the referees, second ones of half of them, orders of the advocates.
INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, referral_code_id, referral_click_id, value_minor, eligible_minor, currency, ip_digest, net_digest, agent_digest, device_digest, payment_digest, address_digest)
SELECT 1, 'o' || l.i, 'purchase', l.at, 3 * l.referee - 1, l.referee, k.referral_code_id, k.referral_click_id, 5000, 4000, 'EUR', k.ip_digest, k.net_digest, k.agent_digest, k.device_digest, pg_temp.d('pay', CASE WHEN l.u < 0.01 THEN l.referrer ELSE l.referee END), pg_temp.d('addr', CASE WHEN l.u < 0.03 THEN l.referrer ELSE l.referee END)
FROM life l JOIN cdp_data.referral_click k ON k.source_key = 'c' || l.i ORDER BY l.at;
INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, value_minor, eligible_minor, currency, ip_digest, net_digest, agent_digest, device_digest, payment_digest, address_digest)
SELECT 1, 'p' || l.i, 'purchase', l.at + interval '5 days', 3 * l.referee - 1, l.referee, 5000, 4000, 'EUR', pg_temp.d('ip', p.ip), pg_temp.d('net', p.ip / 3), pg_temp.d('agent', l.i % 900), pg_temp.d('device', l.referee), pg_temp.d('pay', l.referee), pg_temp.d('addr', l.referee)
FROM life l JOIN place p ON p.id = l.referee WHERE l.i % 2 = 0
UNION ALL
SELECT 1, 'a' || p.id, 'purchase', timestamptz '2026-01-05' + p.id % 120 * interval '1 day', 3 * p.id - 1, p.id, 5000, 4000, 'EUR', pg_temp.d('ip', p.ip), pg_temp.d('net', p.ip / 3), pg_temp.d('agent', p.id % 900), pg_temp.d('device', CASE WHEN p.id % 300 = 0 THEN p.id + 1 ELSE p.id END), pg_temp.d('pay', p.id), pg_temp.d('addr', p.id)
FROM place p WHERE p.id <= :referrals / 3;
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id)
SELECT 1, 'r' || v.referral_conversion_id, v.referral_conversion_id, v.occurred_at + interval '6 days', 4000, v.customer_id FROM cdp_data.referral_conversion v WHERE v.referral_conversion_id % 17 = 0;
INSERT INTO cdp_data.referral (campaign_group, referral_campaign_id, terms_version, referrer_id, referee_id, method, referral_click_id, referral_code_id, first_conversion_id, attributed_at, state)
SELECT 'bench', k.referral_campaign_id, 1, l.referrer, l.referee, 'click', k.referral_click_id, k.referral_code_id, v.referral_conversion_id, l.at, 'pending'
FROM life l JOIN cdp_data.referral_click k ON k.source_key = 'c' || l.i JOIN cdp_data.referral_conversion v ON v.source_key = 'o' || l.i ORDER BY l.at;
VACUUM ANALYZE cdp_data.referral_click, cdp_data.referral_conversion, cdp_data.referral_refund, cdp_data.referral, cdp_data.referral_code, cdp_data.identifier, cdp_data.customer;
