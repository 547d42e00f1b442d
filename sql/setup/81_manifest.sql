-- Connector room: connectors of your own, beside those that are built in.

-- step: connector
CREATE TABLE IF NOT EXISTS cdp_data.connector (
  connector text COLLATE "C" NOT NULL CONSTRAINT connector_pkey PRIMARY KEY CHECK (connector ~ '^[a-z][a-z0-9_]{0,62}$'),
  manifest jsonb NOT NULL CHECK (coalesce(manifest ->> 'connector' = connector AND coalesce(manifest ->> 'version', '') ~ '^[1-9][0-9]{0,6}$' AND jsonb_typeof(manifest -> 'streams') = 'object'
    AND coalesce(manifest ->> 'example', 'true') IN ('true', 'false'), false)),
  created_at timestamptz NOT NULL DEFAULT now(),
  changed_at timestamptz NOT NULL DEFAULT now(),
  changed_by text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE cdp_data.connector IS 'Your own connectors. Written by cdp.add_connector(), which checks the manifest; what is written otherwise is checked when it is used. All together: cdp_data.connector_all.';
COMMENT ON COLUMN cdp_data.connector.manifest IS 'What it asks and what the answers mean: docs/connectors.md. Holds no secret: it only names them.';
COMMENT ON COLUMN cdp_data.connector.changed_by IS 'Role that wrote the manifest.';

-- step: again: connectors
CREATE OR REPLACE VIEW cdp_data.connector_all WITH (security_invoker = true) AS
  SELECT c.connector, (c.manifest ->> 'version')::integer AS version, c.manifest ->> 'title' AS title, false AS is_builtin,
    coalesce((c.manifest ->> 'example')::boolean, false) AS is_example, c.manifest
  FROM cdp_data.connector c
  UNION ALL
  SELECT b.connector, b.version, b.title, true, b.is_example, b.manifest FROM cdp.connector_builtin() b
  WHERE NOT EXISTS (SELECT FROM cdp_data.connector c WHERE c.connector = b.connector);
COMMENT ON VIEW cdp_data.connector_all IS 'Connectors: built-in and own. One of your own that has the name of a later built-in one stands in its place.';
CREATE OR REPLACE VIEW cdp_bi.connector WITH (security_invoker = true) AS
  SELECT a.connector, a.title, a.version, a.is_builtin, a.is_example, a.manifest ->> 'channel' AS channel, a.manifest ->> 'description' AS description,
    s.key AS stream, s.value ->> 'title' AS stream_title, s.value ? 'window' AS by_day, s.value ? 'metrics' AS has_metrics, s.value ? 'touchpoint' AS has_touchpoints, s.value ? 'content' AS has_content
  FROM cdp_data.connector_all a CROSS JOIN LATERAL jsonb_each(a.manifest -> 'streams') AS s;
COMMENT ON VIEW cdp_bi.connector IS 'What can be connected: one row for each stream of each connector.';
COMMENT ON COLUMN cdp_bi.connector.is_example IS 'Never run against the product: copy it and prove it.';
COMMENT ON COLUMN cdp_bi.connector.by_day IS 'It is asked by windows of days, so that each day can be told to be complete.';

-- step: again: grants of connectors
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'privacy', 'connector']) AS t (template), unnest(array['cdp_data.connector', 'cdp_data.connector_all', 'cdp_bi.connector']) AS r (name);
SELECT cdp_internal.declare_grant('admin', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'cdp_data.connector');

-- step: audited_connectors
SELECT cdp_internal.declare_audited('cdp_data.connector', '{connector}');

-- step: again: personal data of connectors
SELECT cdp_internal.declare_impersonal('connector', 'cdp_data.connector', '{*}', 'what is asked, and which role wrote it');
