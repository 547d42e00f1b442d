-- Referral room, tracking: clicks, conversions and refunds in batches. The touchpoints go the way of cdp.load_events(), in one load;
-- what they are here is taken from them as the job takes it, and each statement works on the whole batch.

CREATE OR REPLACE FUNCTION cdp_internal.referral_batch_read(src integer, given jsonb, clicks boolean) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  n bigint;
BEGIN
  IF jsonb_typeof(given) IS DISTINCT FROM 'array' THEN
    RAISE EXCEPTION 'a batch must be a JSON array of objects' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', coalesce(jsonb_typeof(given), 'NULL'));
  ELSIF EXISTS (SELECT FROM cdp_data.source_field f WHERE f.source_id = src AND f.record_kind = 'event') THEN
    RAISE EXCEPTION 'the source has a contract for its events'
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Load them by it with cdp.load_events(), with the code in the property referral_code: cdp.referral_tick() takes them in.';
  END IF;
  PERFORM cdp_internal.drop_temp_tables('{cdp_referral_row,cdp_referral_stage}');
  CREATE TEMP TABLE cdp_referral_row AS
  SELECT e.n, e.value AS original, CASE WHEN jsonb_typeof(e.value) <> 'object' THEN 'not_object' END AS code, cdp_internal.said_key(x.source_key) AS source_key, x.occurred_at, x.kind, x.code AS given_code,
    CASE WHEN jsonb_typeof(x.identifiers) = 'object' THEN (SELECT jsonb_object_agg(i.key, CASE jsonb_typeof(i.value) WHEN 'array' THEN i.value -> 0 ELSE i.value END) FROM jsonb_each(x.identifiers) i) END AS ids,
    x.value, x.currency, x.eligible, x.refers_to, x.click, x.channel, x.variant, x.user_agent, x.device, x.payment, x.address, x.referrer, x.url, upper(btrim(x.country)) AS country, x.asn, x.ip, x.prefetch, x.bot,
    CASE WHEN jsonb_typeof(x.properties) = 'object' THEN x.properties END AS properties, NULL::bigint AS code_id, NULL::inet AS address_ip
  FROM jsonb_array_elements(given) WITH ORDINALITY AS e (value, n) LEFT JOIN LATERAL jsonb_to_record(CASE jsonb_typeof(e.value) WHEN 'object' THEN e.value ELSE '{}' END)
    AS x (source_key text, occurred_at text, kind text, code text, identifiers jsonb, value text, currency text, eligible text, refers_to text, click text, channel text, variant text, user_agent text, device text, payment text, address text,
      referrer text, url text, country text, asn text, ip text, prefetch text, bot text, properties jsonb) ON true;
  GET DIAGNOSTICS n = ROW_COUNT;
  ANALYZE pg_temp.cdp_referral_row;
  UPDATE pg_temp.cdp_referral_row r SET code_id = c.referral_code_id FROM cdp_data.referral_code c WHERE c.code = cdp_internal.referral_code_fold(r.given_code);
  UPDATE pg_temp.cdp_referral_row r SET address_ip = cdp_internal.plain_ip(r.ip::inet) WHERE r.ip ~ '^([0-9]{1,3}[.]){3}[0-9]{1,3}$' AND NOT EXISTS (SELECT FROM unnest(string_to_array(r.ip, '.')) o WHERE o::integer > 255)
    OR r.ip ~ '^([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}$';
  UPDATE pg_temp.cdp_referral_row r SET code = CASE
      WHEN r.source_key IS NULL OR octet_length(r.source_key) > 800 THEN 'missing_key'
      WHEN cdp_internal.parse_time(r.occurred_at, 'UTC') IS NULL OR cdp_internal.parse_time(r.occurred_at, 'UTC') NOT BETWEEN b.earliest AND b.latest THEN 'bad_time'
      WHEN clicks AND r.code_id IS NULL THEN 'unknown_code'
      WHEN r.country !~ '^[A-Z]{2}$' OR r.asn !~ '^[0-9]{1,9}$' OR octet_length(r.channel) > 100 OR octet_length(r.variant) > 200 OR r.ip IS NOT NULL AND r.address_ip IS NULL THEN 'bad_field'
      WHEN r.eligible IS NOT NULL AND NOT (cdp_internal.parse_value(r.eligible) >= 0) IS TRUE THEN 'bad_value' END
  FROM cdp_internal.time_bounds() b WHERE r.code IS NULL;
  UPDATE pg_temp.cdp_referral_row r SET code = 'repeated_key' FROM (SELECT x.source_key, min(x.n) AS n FROM pg_temp.cdp_referral_row x WHERE x.code IS NULL GROUP BY x.source_key HAVING count(*) > 1) d
  WHERE r.code IS NULL AND r.source_key = d.source_key AND r.n > d.n;
  ANALYZE pg_temp.cdp_referral_row;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_batch_read(integer, jsonb, boolean) IS
'Reads a batch of clicks or conversions into pg_temp.cdp_referral_row, with what is wrong with each (code). Returns how many rows there are. Errors: 22023 no array, 55000 the source has a contract for events.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_batch_touch(source text, src integer, kind text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  types text[] := ARRAY(SELECT t.name FROM cdp_data.identifier_type_all t WHERE t.name IN (SELECT k FROM pg_temp.cdp_referral_row r CROSS JOIN LATERAL jsonb_object_keys(coalesce(r.ids, '{}')) k) ORDER BY t.type_id);
  load bigint;
BEGIN
  IF types = '{}' THEN
    RETURN NULL;
  END IF;
  -- Names of types come from the catalogue of types.
  EXECUTE format('CREATE TEMP TABLE cdp_referral_stage AS
    SELECT r.source_key, r.occurred_at, coalesce(%L, r.kind) AS kind, %L::text AS source, %s AS medium, g.name::text AS campaign, left(lower(coalesce(cdp_internal.url_host(r.referrer), r.referrer)), 255) AS referrer_host, r.value, r.currency, r.refers_to,
      CASE WHEN r.code_id IS NOT NULL AND c.is_test THEN 2 ELSE 0 END + CASE WHEN cdp_internal.is_bot_agent(r.user_agent) OR r.bot = ''true'' THEN 1 ELSE 0 END AS flags,
      nullif(coalesce(r.properties, ''{}'') || jsonb_strip_nulls(jsonb_build_object(''referral_code_id'', r.code_id, ''eligible'', cdp_internal.parse_value(r.eligible), ''referral_click_id'', h.referral_click_id)), ''{}'') AS properties, %s
    FROM pg_temp.cdp_referral_row r LEFT JOIN cdp_data.referral_code c ON c.referral_code_id = r.code_id LEFT JOIN cdp_data.referral_campaign g ON g.referral_campaign_id = c.referral_campaign_id AND %L IS NOT NULL
      LEFT JOIN cdp_data.referral_click h ON h.source_id = %s AND h.source_key = btrim(r.click)
    WHERE r.code IS NULL AND r.ids ?| %L ORDER BY r.n', kind, CASE WHEN kind IS NOT NULL THEN 'referral_program' END, CASE WHEN kind IS NOT NULL THEN 'coalesce(nullif(coalesce(r.channel, c.channel), ''''), ''referral_program'')' ELSE 'NULL::text' END,
    (SELECT string_agg(format('r.ids ->> %L AS %I', t, t), ', ') FROM unnest(types) t), kind, src, types);
  load := (SELECT l.load_id FROM cdp.load_events(source, 'pg_temp.cdp_referral_stage'::regclass, 'UTC') l);
  DROP TABLE pg_temp.cdp_referral_stage;
  -- What the load refused stands in its quarantine.
  UPDATE pg_temp.cdp_referral_row r SET code = 'refused' WHERE r.code IS NULL AND r.ids ?| types AND NOT EXISTS (SELECT FROM cdp_data.touchpoint_key k WHERE k.source_id = src AND k.source_key = r.source_key);
  RETURN load;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_batch_touch(text, integer, text) IS
'Loads the touchpoints of the good rows of pg_temp.cdp_referral_row that show an identifier, by cdp.load_events(). kind NULL: that of each row. Returns the load; NULL when no row shows an identifier.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_batch_end(src integer, load bigint, OUT load_id bigint, OUT refused bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  load_id := load;
  IF load IS NULL AND EXISTS (SELECT FROM pg_temp.cdp_referral_row r WHERE r.code IS NOT NULL) THEN
    load_id := cdp_internal.live_load(src, now());
  END IF;
  INSERT INTO cdp_data.quarantine (load_id, source_id, row_no, original, code, reason)
  SELECT referral_batch_end.load_id, src, r.n, cdp_internal.seal_fields(r.original, cdp_internal.secret_places(src, r.original)), r.code,
    CASE r.code WHEN 'not_object' THEN 'the row is no JSON object' WHEN 'missing_key' THEN 'source_key is missing or too long' WHEN 'bad_time' THEN 'occurred_at is no credible time' WHEN 'unknown_code' THEN 'there is no such referral code'
      WHEN 'bad_value' THEN 'eligible is no amount' WHEN 'repeated_key' THEN 'an earlier row of the batch has the same key' ELSE 'country, asn, ip, channel or variant is none' END
  FROM pg_temp.cdp_referral_row r WHERE r.code NOT IN ('refused') ORDER BY r.n;
  refused := (SELECT count(*) FROM pg_temp.cdp_referral_row r WHERE r.code IS NOT NULL);
  DROP TABLE pg_temp.cdp_referral_row;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_batch_end(integer, bigint) IS
'Puts the bad rows of pg_temp.cdp_referral_row into quarantine, and drops it. Returns the load that they stand under, and how many rows were not taken.';

CREATE OR REPLACE FUNCTION cdp.load_referral_clicks(source text, clicks jsonb, OUT load_id bigint, OUT rows_read bigint, OUT recorded bigint, OUT quarantined bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  src integer;
  load bigint;
  known record;
BEGIN
  PERFORM cdp_internal.require_setup();
  src := cdp_internal.source_of(source);
  rows_read := cdp_internal.referral_batch_read(src, clicks, true);
  load := cdp_internal.referral_batch_touch(source, src, 'referral_click');
  SELECT array_agg(k.customer_id) AS homes, array_agg(k.occurred_at) AS times INTO known FROM pg_temp.cdp_referral_row r JOIN cdp_data.touchpoint_key k ON k.source_id = src AND k.source_key = r.source_key WHERE r.code IS NULL;
  PERFORM cdp_internal.referral_take(coalesce(known.homes, '{}'), coalesce(known.times, '{}'), coalesce(known.times, '{}'));
  -- Of nobody known: a click, and no touchpoint.
  INSERT INTO cdp_data.referral_click (source_id, source_key, referral_code_id, referral_campaign_id, clicked_at, is_test)
  SELECT src, r.source_key, c.referral_code_id, c.referral_campaign_id, cdp_internal.parse_time(r.occurred_at, 'UTC'), c.is_test
  FROM pg_temp.cdp_referral_row r JOIN cdp_data.referral_code c ON c.referral_code_id = r.code_id
  WHERE r.code IS NULL AND NOT EXISTS (SELECT FROM cdp_data.touchpoint_key k WHERE k.source_id = src AND k.source_key = r.source_key) ORDER BY r.n ON CONFLICT DO NOTHING;
  UPDATE cdp_data.referral_click h SET ip_digest = cdp_internal.referral_digest('ip', host(r.address_ip)), net_digest = cdp_internal.referral_digest('net', cdp_internal.ip_network(r.address_ip)),
    agent_digest = cdp_internal.referral_digest('agent', r.user_agent), device_digest = cdp_internal.referral_digest('device', r.device), referrer_host = left(lower(coalesce(cdp_internal.url_host(r.referrer), r.referrer, '')), 255),
    asn = r.asn::bigint, country = r.country, paid = cdp_internal.is_paid_url(r.url), bot = coalesce(r.bot = 'true', false) OR cdp_internal.is_bot_agent(r.user_agent), prefetch = coalesce(r.prefetch = 'true', false),
    channel = coalesce(r.channel, c.channel), variant = coalesce(r.variant, '')
  FROM pg_temp.cdp_referral_row r JOIN cdp_data.referral_code c ON c.referral_code_id = r.code_id
  WHERE r.code IS NULL AND h.source_id = src AND h.source_key = r.source_key AND h.recorded_at >= statement_timestamp() AND h.ip_digest IS NULL AND h.agent_digest IS NULL;
  recorded := (SELECT count(*) FROM pg_temp.cdp_referral_row r JOIN cdp_data.referral_click h ON h.source_id = src AND h.source_key = r.source_key WHERE r.code IS NULL AND h.recorded_at >= statement_timestamp());
  SELECT e.load_id, e.refused INTO load_id, quarantined FROM cdp_internal.referral_batch_end(src, load) e;
END
$$;
COMMENT ON FUNCTION cdp.load_referral_clicks(text, jsonb) IS
'Takes clicks in a batch: SELECT * FROM cdp.load_referral_clicks(''web'', ''[{"source_key": "hit 1", "occurred_at": "2026-02-01T10:00:00Z", "code": "K7M4-Q2TX-Q", "identifiers": {"cookie": "..."}}]''). Keys of a row: source_key, occurred_at (times without offset are UTC), code, identifiers (one value for each type), ip, user_agent, device, referrer, url, channel, variant, asn, country, bot, prefetch: as in cdp.referral_click(), without the stop for wrong codes. Clicks of known people are touchpoints of one load of cdp.load_events(), so revert_load() takes them back and the job follows. Rows that are no click go to cdp_data.quarantine. Returns the load (NULL when none was needed), the rows, those that were new, and those not taken. Errors: 22023 no array or unknown source, 55000 the source has a contract for events.';

CREATE OR REPLACE FUNCTION cdp.load_referral_conversions(source text, conversions jsonb, OUT load_id bigint, OUT rows_read bigint, OUT recorded bigint, OUT decided bigint, OUT quarantined bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  src integer;
  load bigint;
  known record;
  roots bigint[];
  done bigint[];
BEGIN
  PERFORM cdp_internal.require_setup();
  src := cdp_internal.source_of(source);
  rows_read := cdp_internal.referral_batch_read(src, conversions, false);
  load := cdp_internal.referral_batch_touch(source, src, NULL);
  SELECT array_agg(k.customer_id) AS homes, array_agg(k.occurred_at) AS times INTO known FROM pg_temp.cdp_referral_row r JOIN cdp_data.touchpoint_key k ON k.source_id = src AND k.source_key = r.source_key WHERE r.code IS NULL;
  recorded := cdp_internal.referral_take(coalesce(known.homes, '{}'), coalesce(known.times, '{}'), coalesce(known.times, '{}'));
  UPDATE cdp_data.referral_conversion c SET ip_digest = coalesce(c.ip_digest, cdp_internal.referral_digest('ip', host(r.address_ip))), net_digest = coalesce(c.net_digest, cdp_internal.referral_digest('net', cdp_internal.ip_network(r.address_ip))),
    agent_digest = coalesce(c.agent_digest, cdp_internal.referral_digest('agent', r.user_agent)), device_digest = coalesce(c.device_digest, cdp_internal.referral_digest('device', r.device)),
    payment_digest = coalesce(c.payment_digest, cdp_internal.referral_digest('payment', r.payment)), address_digest = coalesce(c.address_digest, cdp_internal.referral_digest('address', r.address))
  FROM pg_temp.cdp_referral_row r WHERE r.code IS NULL AND num_nonnulls(r.ip, r.user_agent, r.device, r.payment, r.address) > 0 AND c.source_id = src AND c.source_key = r.source_key AND c.recorded_at >= statement_timestamp();
  roots := ARRAY(SELECT DISTINCT cdp_internal.identifier_root(c.identifier_id) FROM pg_temp.cdp_referral_row r JOIN cdp_data.referral_conversion c ON c.source_id = src AND c.source_key IN (r.source_key, r.refers_to) WHERE r.code IS NULL);
  SELECT e.load_id, e.refused INTO load_id, quarantined FROM cdp_internal.referral_batch_end(src, load) e;
  done := ARRAY(SELECT cdp_internal.referral_decide(roots, settle => false));
  decided := cardinality(done);
  PERFORM cdp_internal.referral_settled(ARRAY(SELECT u FROM unnest(done) u UNION SELECT h.referral_id FROM cdp_internal.referral_rows(roots) h UNION SELECT h.referral_id FROM cdp_internal.referral_rows(roots, 2::smallint) h ORDER BY 1));
END
$$;
COMMENT ON FUNCTION cdp.load_referral_conversions(text, jsonb) IS
'Takes registrations, purchases and refunds in a batch. Keys of a row: source_key, occurred_at (times without offset are UTC), kind, identifiers (one value for each type), value, currency, eligible, code, click, ip, user_agent, device, payment, address, properties: as in cdp.referral_convert(); a refund has kind refund, a value below 0 and refers_to, the key of its conversion. All of them become touchpoints of one load of cdp.load_events() (a row that comes again with other content corrects it); those that name a code, or are of people with a click or a conversion, become conversions, and everybody is decided at once. Bad rows go to cdp_data.quarantine. Returns the load, the rows, conversions and refunds that were new, referrals that changed, and rows not taken. Errors: 22023 no array or unknown source, 55000 the source has a contract for events.';
