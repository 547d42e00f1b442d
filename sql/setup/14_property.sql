-- Core room: which properties of touchpoints are kept, and what was left out.

-- step: property_rule
CREATE TABLE IF NOT EXISTS cdp_data.property_rule (
  kind_id smallint NOT NULL,
  key text COLLATE "C" NOT NULL CHECK (key <> '' AND octet_length(key) <= 200),
  sensitivity text COLLATE "C" NOT NULL DEFAULT 'internal' CHECK (sensitivity IN ('internal', 'personal', 'sensitive')),
  allowed_purposes text[] COLLATE "C",
  note text,
  PRIMARY KEY (kind_id, key)
);
COMMENT ON TABLE cdp_data.property_rule IS 'Keys of properties that touchpoints of a kind may have. A kind with a row here keeps the keys listed and no others, whatever road a touchpoint comes by; a kind without keeps all, unless cdp_data.setting.property_policy is listed. Holds for what comes from then on. What is left out is counted: cdp_bi.property_dropped.';
COMMENT ON COLUMN cdp_data.property_rule.kind_id IS 'Kind of touchpoint, of cdp_data.touch_kind_all.';
COMMENT ON COLUMN cdp_data.property_rule.key IS 'A key of the outermost object of properties.';
COMMENT ON COLUMN cdp_data.property_rule.sensitivity IS 'internal: says nothing about a person by itself; personal; sensitive: needs a purpose of its own.';
COMMENT ON COLUMN cdp_data.property_rule.allowed_purposes IS 'Purposes for which it may be used, of cdp_data.purpose_all; NULL: every one. See cdp.purpose_check().';

-- step: property_policy
ALTER TABLE cdp_data.setting ADD COLUMN IF NOT EXISTS property_policy text NOT NULL DEFAULT 'open' CHECK (property_policy IN ('open', 'listed'));
COMMENT ON COLUMN cdp_data.setting.property_policy IS 'open: a kind without rows in cdp_data.property_rule keeps all properties; listed: it keeps none.';

-- step: property_dropped
CREATE TABLE IF NOT EXISTS cdp_data.property_dropped (
  source_id integer NOT NULL,
  kind_id smallint NOT NULL,
  key text COLLATE "C" NOT NULL,
  slot smallint NOT NULL,
  n bigint NOT NULL,
  first_at timestamptz NOT NULL DEFAULT now(),
  last_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (source_id, kind_id, key, slot)
);
COMMENT ON TABLE cdp_data.property_dropped IS 'How often a property that is not listed was left out, by source, kind and key; names of keys only, those that may be more than a name, and those beyond 1000 of a source, together as (other). cdp_bi.property_dropped adds them up.';
COMMENT ON COLUMN cdp_data.property_dropped.slot IS 'One of 64 rows for the same count, so that calls at one time seldom wait for each other.';

-- step: again: property views
CREATE OR REPLACE VIEW cdp_bi.property_dropped WITH (security_invoker = true) AS
  SELECT s.name AS source, k.name AS kind, d.key, sum(d.n)::bigint AS n, min(d.first_at) AS first_at, max(d.last_at) AS last_at
  FROM cdp_data.property_dropped d JOIN cdp_data.source s USING (source_id) LEFT JOIN cdp_data.touch_kind_all k USING (kind_id)
  GROUP BY s.name, k.name, d.key;
COMMENT ON VIEW cdp_bi.property_dropped IS 'Properties that were left out because cdp_data.property_rule does not list them, by source, kind and key, with first and last time (of the transaction).';

-- step: again: grants of properties
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector']) AS t (template),
  unnest(array['cdp_data.property_rule', 'cdp_data.property_dropped', 'cdp_bi.property_dropped']) AS r (name);
SELECT cdp_internal.declare_grant('admin', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'cdp_data.property_rule');
SELECT cdp_internal.declare_impersonal('core', 'cdp_data.' || v.t, '{*}', v.note) FROM (VALUES
  ('property_rule', 'names of properties'), ('property_dropped', 'names of properties and counts')) AS v (t, note);
