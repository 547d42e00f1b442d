-- Connector room, manifests: what the records of a stream mean. They are read as they were kept, without their page.
CREATE OR REPLACE FUNCTION cdp_internal.connector_touchpoints(manifest jsonb, stream text, payload jsonb, state jsonb, OUT n integer, OUT source_key text, OUT kind text,
  OUT occurred_at timestamptz, OUT identifiers jsonb, OUT origin jsonb, OUT value numeric, OUT currency text, OUT properties jsonb, OUT refers_to text, OUT problem text)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 1
AS 'MODULE_PATHNAME', 'cdp_connector_touchpoints';
COMMENT ON FUNCTION cdp_internal.connector_touchpoints(jsonb, text, jsonb, jsonb) IS
'The touchpoints of a record, as touchpoint of its stream says: n counts its declarations from 1, those whose conditions do not hold have no row. source_key: the text of key as in cdp_internal.connector_page(), NULL without key (take that of the record). identifiers: type to value; origin: source, medium, campaign, referrer_host, add_way, qr_scene; properties with the types that they have; each NULL when empty. Amounts are scaled; currency is NULL without value. problem: no_kind, no_time, no_identifier, bad_value (no number), no_key; NULL when there is none. state: config, partition and window that the record was asked with. No row for NULL, and for a stream without touchpoint. Errors: 22023 bad manifest, unknown stream.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_metrics(manifest jsonb, stream text, payload jsonb, state jsonb, OUT metric text, OUT standard text, OUT kind text,
  OUT value numeric, OUT weight numeric, OUT currency text, OUT dimensions jsonb, OUT problem text)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 5
AS 'MODULE_PATHNAME', 'cdp_connector_metrics';
COMMENT ON FUNCTION cdp_internal.connector_metrics(jsonb, text, jsonb, jsonb) IS
'The metrics of a record, as its stream says: name, standard name (as) or NULL, kind (sum, gauge, ratio), value (scaled), weight of a ratio, currency, dimensions (name to text, NULL when there are none). A metric that is absent, null, empty or a dash has no row. problem: not_a_number (then value is NULL), weight_not_a_number. No row for NULL, and for a stream without metrics. state as for cdp_internal.connector_touchpoints(). Errors: 22023 bad manifest, unknown stream.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_content(manifest jsonb, stream text, payload jsonb, state jsonb, OUT kind text, OUT content_id text, OUT parent_id text,
  OUT author text, OUT title text, OUT body text, OUT url text, OUT created_at timestamptz, OUT problem text)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 1
AS 'MODULE_PATHNAME', 'cdp_connector_content';
COMMENT ON FUNCTION cdp_internal.connector_content(jsonb, text, jsonb, jsonb) IS
'The post, comment, message, live, product, page or link that a record is, as content of its stream says. problem: no_id; NULL when there is none. No row for NULL, for a stream without content, and where its conditions do not hold. state as for cdp_internal.connector_touchpoints(). Errors: 22023 bad manifest, unknown stream.';
