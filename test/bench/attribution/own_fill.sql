-- Our own tables with the same customers, touches and conversions as the user's plain table:
-- for attribution_own_table_vs_scan. Rows are written straight into the table, because loading has its own goal.
\set ON_ERROR_STOP on
SET timezone = 'UTC';
SET client_min_messages = warning;
CALL cdp.setup(timezone => 'UTC', currency => 'CNY');
SELECT cdp_internal.ensure_partitions(min(at), max(at)) FROM events \g /dev/null

INSERT INTO cdp_data.source (name, kind) VALUES ('bench', 'batch') RETURNING source_id \gset
INSERT INTO cdp_data.load (source_id, state) VALUES (:source_id, 'done') RETURNING load_id \gset
INSERT INTO cdp_data.origin (source) SELECT 'bench ' || channel FROM channels ORDER BY channel;
INSERT INTO cdp_data.channel_rule (priority, source, channel_id)
  SELECT 1, 'bench ' || c.channel, a.channel_id FROM channels AS c JOIN cdp_data.channel_all AS a ON a.name = c.channel;
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT id, id FROM generate_series(1, (SELECT max(customer) FROM events)) AS id;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id)
  SELECT customer_id, (SELECT type_id FROM cdp_data.identifier_type_all WHERE name = 'user_id'), customer_id::text, customer_id
  FROM cdp_data.customer;
INSERT INTO cdp_data.touchpoint (identifier_id, customer_id, occurred_at, origin_id, kind_id, value, currency, source_id, load_id)
  SELECT e.customer, e.customer, e.at, coalesce(o.origin_id, d.origin_id),
         CASE WHEN e.revenue IS NULL THEN click.kind_id ELSE purchase.kind_id END,
         e.revenue, CASE WHEN e.revenue IS NOT NULL THEN 'CNY' END, :source_id, :load_id
  FROM events AS e
  JOIN cdp_data.touch_kind_all AS click ON click.name = 'click'
  JOIN cdp_data.touch_kind_all AS purchase ON purchase.name = 'purchase'
  JOIN cdp_data.origin AS d ON d.source = 'bench Direct'
  LEFT JOIN cdp_data.origin AS o ON o.source = 'bench ' || e.channel;
VACUUM (FREEZE, ANALYZE) cdp_data.touchpoint;
VACUUM (ANALYZE) cdp_data.customer, cdp_data.identifier, cdp_data.origin;
