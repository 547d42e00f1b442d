-- The tables of attribution_merged_vs_unmerged: touchpoints of which a tenth as many customers have ten each, every
-- fiftieth a purchase, written straight into the table.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'UTC', currency => 'CNY');
\o /dev/null
SELECT cdp.add_source('bench');
INSERT INTO cdp_data.load (source_id, state) VALUES (1, 'done');
INSERT INTO cdp_data.origin (source) SELECT 'bench ' || c.name FROM cdp_data.channel_all c ORDER BY c.channel_id LIMIT 20;
INSERT INTO cdp_data.channel_rule (priority, source, channel_id) SELECT 1, 'bench ' || c.name, c.channel_id FROM cdp_data.channel_all c ORDER BY c.channel_id LIMIT 20;
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT n, n FROM generate_series(1, :touches / 10) n;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) SELECT n, 1, n::text, n FROM generate_series(1, :touches / 10) n;
SELECT cdp_internal.ensure_partitions('2026-01-01', '2026-06-30');
SELECT setseed(0.42);
INSERT INTO cdp_data.touchpoint (identifier_id, customer_id, occurred_at, origin_id, kind_id, value, currency, source_id, load_id)
SELECT t.who, t.who, t.at, t.origin, CASE WHEN t.buys THEN 60 ELSE 4 END, CASE WHEN t.buys THEN 10 + t.who % 90 END, CASE WHEN t.buys THEN 'CNY' END, 1, 1
FROM (SELECT 1 + (random() * (:touches / 10 - 1))::integer AS who, '2026-01-01'::timestamptz + random() * interval '170 days' AS at,
        1 + (random() * 19)::integer AS origin, n % 50 = 0 AS buys
      FROM generate_series(1, :touches) n) t;
VACUUM (FREEZE, ANALYZE) cdp_data.touchpoint;
VACUUM (ANALYZE) cdp_data.customer, cdp_data.identifier, cdp_data.origin;
