-- Data of erase_scaling: psql -v touches=10000000 -v people=40. touches of other customers (ten each) over one year, and
-- people of 20 touches each who are to be erased, the same in every database, spread over the same months. Rows are put
-- into the tables as a load puts them, in the order of time.
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'UTC', currency => 'USD');
SELECT cdp.add_source('shop');
SELECT cdp_internal.ensure_partitions('2025-01-01 00:00:00+00', '2025-12-31 00:00:00+00');
INSERT INTO cdp_data.load (load_id, source_id, state) VALUES (1, 1, 'done');
INSERT INTO cdp_data.origin (origin_id, source, medium) VALUES (1, 'weibo', 'social');
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, i FROM generate_series(1, :people + :touches / 10) i;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id, first_seen, last_seen)
SELECT i, 1, 'account-' || i, i, '2025-01-01', '2025-12-31' FROM generate_series(1, :people + :touches / 10) i;
CREATE TEMP TABLE wanted AS
SELECT n, c, timestamptz '2025-01-01 00:00:00+00' + (n % 997) * interval '1 second' + frac * interval '364 days' AS at
FROM (
  SELECT i AS n, i % :people + 1 AS c, (i / :people + 0.5) / 20.0 AS frac FROM generate_series(0, :people * 20 - 1) i
  UNION ALL
  SELECT 100000 + i, :people + 1 + abs(hashint8extended(i, 1) % (:touches / 10)), i::numeric / :touches FROM generate_series(0, :touches - 1) i) x;
INSERT INTO cdp_data.touchpoint (touchpoint_id, customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, value, currency, properties)
SELECT w.n + 1, w.c, w.c, w.at, 1, 1, 1, CASE WHEN w.n % 50 = 0 THEN p.kind_id ELSE v.kind_id END, CASE WHEN w.n % 50 = 0 THEN 9.5 END, CASE WHEN w.n % 50 = 0 THEN 'USD' END,
  CASE WHEN w.n % 5 = 0 THEN '{"page": "/home"}'::jsonb END
FROM wanted w, cdp_data.touch_kind_all p, cdp_data.touch_kind_all v WHERE p.name = 'purchase' AND v.name = 'visit' ORDER BY w.at;
INSERT INTO cdp_data.touchpoint_key (source_id, source_key, touchpoint_id, customer_id, occurred_at)
SELECT 1, 'order-' || w.n, w.n + 1, w.c, w.at FROM wanted w ORDER BY ('order-' || w.n) COLLATE "C";
DROP TABLE wanted;
SELECT setval('cdp_data.touchpoint_id_seq', 100001 + :touches), setval('cdp_data.customer_customer_id_seq', :people + :touches / 10),
  setval('cdp_data.identifier_identifier_id_seq', :people + :touches / 10), setval('cdp_data.load_load_id_seq', 1), setval('cdp_data.origin_origin_id_seq', 1);
VACUUM (ANALYZE);
CHECKPOINT;
