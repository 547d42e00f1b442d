-- Our own tables with the same events: for tick_vs_pass, preview_vs_pass and overlap_vs_pass. A customer has twenty attributes.
-- Rows are written straight into the tables, because loading has its own goal; what comes later is loaded.
\set ON_ERROR_STOP on
SET timezone = 'UTC';
SET client_min_messages = warning;
CALL cdp.setup(timezone => 'UTC', currency => 'CNY');
SELECT cdp_internal.ensure_partitions(min(at), max(at) + interval '1 day') FROM events \g /dev/null

INSERT INTO cdp_data.source (name, kind) VALUES ('bench', 'batch') RETURNING source_id \gset
INSERT INTO cdp_data.load (source_id, state) VALUES (:source_id, 'done') RETURNING load_id \gset
INSERT INTO cdp_data.origin (source) VALUES ('bench') RETURNING origin_id \gset
INSERT INTO cdp_data.touch_kind (kind_id, name, is_touch, is_conversion) SELECT 1000 + k, 'k' || k, k <> 4, k = 4 FROM generate_series(1, 20) AS k;
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT id, id FROM generate_series(1, (SELECT max(customer) FROM events)) AS id;
SELECT setval(pg_get_serial_sequence('cdp_data.customer', 'customer_id'), max(customer_id)) FROM cdp_data.customer \g /dev/null
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id)
  SELECT customer_id, (SELECT type_id FROM cdp_data.identifier_type_all WHERE name = 'user_id'), customer_id::text, customer_id FROM cdp_data.customer;
SELECT setval(pg_get_serial_sequence('cdp_data.identifier', 'identifier_id'), max(identifier_id)) FROM cdp_data.identifier \g /dev/null
INSERT INTO cdp_data.touchpoint (identifier_id, customer_id, occurred_at, origin_id, kind_id, value, currency, source_id, load_id, properties)
  SELECT e.customer, e.customer, e.at, :origin_id, 1000 + e.kind, CASE WHEN e.kind = 4 THEN e.amount / 100.0 END, CASE WHEN e.kind = 4 THEN 'CNY' END, :source_id, :load_id, e.properties
  FROM events AS e;
INSERT INTO cdp_data.attribute_value (customer_id, identifier_id, load_id, first_at, last_at, attribute_id, source_id, value)
  SELECT c.customer_id, c.customer_id, :load_id, bench.as_of() - interval '200 days', bench.as_of() - interval '200 days', a.attribute_id, :source_id,
    CASE a.name WHEN 'gender' THEN CASE c.customer_id % 2 WHEN 0 THEN 'female' ELSE 'male' END
      WHEN 'birthday' THEN (date '1960-01-01' + (c.customer_id * 7919 % 16000)::integer)::text
      WHEN 'registered_at' THEN to_char(timestamp '2024-01-01' + make_interval(mins => (c.customer_id * 104729 % 1000000)::integer), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
      WHEN 'membership_points' THEN (c.customer_id * 31 % 5000)::text
      ELSE a.name || ' ' || c.customer_id * a.attribute_id % CASE a.sensitivity WHEN 'internal' THEN 30 ELSE 100000 END END
  FROM cdp_data.customer AS c CROSS JOIN (
    SELECT b.attribute_id, b.name, b.sensitivity FROM cdp.attribute_builtin() AS b
    WHERE b.name IN ('full_name', 'first_name', 'last_name', 'nickname', 'gender', 'birthday', 'language', 'timezone', 'country', 'region', 'city', 'district', 'postcode',
      'company', 'job_title', 'membership_level', 'membership_points', 'registered_at', 'lifecycle_stage', 'preferred_store') ORDER BY 1) AS a
  ORDER BY c.customer_id, a.attribute_id;
VACUUM (FREEZE, ANALYZE) cdp_data.touchpoint, cdp_data.attribute_value;
VACUUM (ANALYZE) cdp_data.customer, cdp_data.identifier, cdp_data.origin;

SELECT count(cdp.create_segment('rule ' || lpad(t.nth::text, 2, '0'), t.rule, 'analytics')) FROM bench.rule_text AS t \g /dev/null
-- Whom each run touches: a thousand customers of those who were seen last, so active ones, as it is in life.
CREATE TABLE bench.newest AS
  SELECT row_number() OVER (ORDER BY max(e.at) DESC) AS nth, e.customer FROM events AS e WHERE e.at >= bench.as_of() - interval '3 days' AND e.at < bench.as_of() GROUP BY e.customer;
