-- Referral room, tracking: clicks, conversions and refunds in batches. The touchpoints go the way of cdp.load_events(), in one load;
-- what they are here is taken from them as the job takes it, and each statement works on the whole batch.

CREATE OR REPLACE FUNCTION cdp_internal.inet_or_null(value text) RETURNS inet
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN btrim(value)::inet;
EXCEPTION WHEN invalid_text_representation THEN
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.inet_or_null(text) IS 'A network address in any way of writing, shortened IPv6 among them; NULL for what is none.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_batch_read(src integer, given jsonb, what text) RETURNS bigint
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
  SELECT e.n, e.value AS original, CASE WHEN jsonb_typeof(e.value) <> 'object' THEN 'not_object' END AS code, cdp_internal.said_key(x.source_key) AS source_key, x.occurred_at, x.kind, coalesce(nullif(btrim(x.code), ''), CASE WHEN jsonb_typeof(x.properties -> 'referral_code') = 'string' THEN nullif(btrim(x.properties ->> 'referral_code'), '') END) AS given_code,
    CASE WHEN jsonb_typeof(x.identifiers) = 'object' THEN (SELECT jsonb_object_agg(i.key, CASE jsonb_typeof(i.value) WHEN 'array' THEN i.value -> 0 ELSE i.value END) FROM jsonb_each(x.identifiers) i) END AS ids,
    x.value, x.currency, x.eligible, x.refers_to, x.click, x.channel, x.variant, x.user_agent, x.device, x.payment, x.address, x.referrer, x.url, upper(btrim(x.country)) AS country, x.asn, x.ip, x.prefetch, x.bot,
    CASE WHEN jsonb_typeof(x.properties) = 'object' THEN x.properties - '{referral_code,referral_code_id,referral_click_id}'::text[] END AS properties, x.recipient, NULL::bigint AS advocate, NULL::bigint AS code_id, NULL::inet AS address_ip
  FROM jsonb_array_elements(given) WITH ORDINALITY AS e (value, n) LEFT JOIN LATERAL jsonb_to_record(CASE jsonb_typeof(e.value) WHEN 'object' THEN e.value ELSE '{}' END)
    AS x (source_key text, occurred_at text, kind text, code text, identifiers jsonb, value text, currency text, eligible text, refers_to text, click text, channel text, variant text, user_agent text, device text, payment text, address text,
      referrer text, url text, country text, asn text, ip text, prefetch text, bot text, properties jsonb, recipient jsonb) ON true;
  GET DIAGNOSTICS n = ROW_COUNT;
  ANALYZE pg_temp.cdp_referral_row;
  UPDATE pg_temp.cdp_referral_row r SET code_id = c.referral_code_id, advocate = c.customer_id FROM cdp_data.referral_code c WHERE c.code = cdp_internal.referral_code_fold(r.given_code);
  UPDATE pg_temp.cdp_referral_row r SET address_ip = cdp_internal.plain_ip(x.at) FROM (SELECT DISTINCT y.ip, cdp_internal.inet_or_null(y.ip) AS at FROM pg_temp.cdp_referral_row y) x WHERE r.ip = x.ip;
  IF what = 'share' THEN -- a touch of the advocate
    UPDATE pg_temp.cdp_referral_row r SET ids = x.ids FROM (SELECT y.advocate, cdp_internal.customer_identifiers(y.advocate) AS ids FROM (SELECT DISTINCT z.advocate FROM pg_temp.cdp_referral_row z WHERE z.advocate > 0) y) x WHERE r.advocate = x.advocate;
  END IF;
  UPDATE pg_temp.cdp_referral_row r SET code = CASE
      WHEN r.source_key IS NULL OR octet_length(r.source_key) > 800 THEN 'missing_key'
      WHEN cdp_internal.parse_time(r.occurred_at, 'UTC') IS NULL OR cdp_internal.parse_time(r.occurred_at, 'UTC') NOT BETWEEN b.earliest AND b.latest THEN 'bad_time'
      WHEN what <> 'conversion' AND r.code_id IS NULL THEN 'unknown_code'
      WHEN r.country !~ '^[A-Z]{2}$' OR NOT coalesce(CASE WHEN r.asn ~ '^[0-9]{1,10}$' THEN r.asn::bigint <= 4294967295 ELSE r.asn IS NULL END, true) OR what = 'share' AND coalesce(btrim(r.channel), '') = '' OR octet_length(r.channel) > 100 OR octet_length(r.variant) > 200 OR r.ip IS NOT NULL AND r.address_ip IS NULL THEN 'bad_field'
      WHEN r.eligible IS NOT NULL AND NOT (cdp_internal.parse_value(r.eligible) >= 0) IS TRUE THEN 'bad_value'
      WHEN what = 'conversion' AND NOT EXISTS (SELECT FROM jsonb_each_text(coalesce(r.ids, '{}')) i JOIN cdp_data.identifier_type_all t ON t.name = i.key WHERE btrim(i.value) <> '') THEN 'no_identifier'
      -- Orders, clicks and shares of a source share its keys; what is told twice of a click or share is told alike.
      WHEN EXISTS (SELECT FROM cdp_data.touchpoint_key k JOIN cdp_data.touchpoint t ON (t.customer_id, t.occurred_at, t.touchpoint_id) = (k.customer_id, k.occurred_at, k.touchpoint_id) JOIN cdp_data.touch_kind_all y ON y.kind_id = t.kind_id
          WHERE k.source_id = src AND k.source_key = r.source_key AND CASE what WHEN 'click' THEN y.name <> 'referral_click' WHEN 'share' THEN y.name <> 'share' ELSE y.name IN ('referral_click', 'share') END)
        OR what = 'click' AND EXISTS (SELECT FROM cdp_data.referral_click h WHERE h.source_id = src AND h.source_key = r.source_key AND (h.referral_code_id, h.clicked_at) <> (r.code_id, cdp_internal.parse_time(r.occurred_at, 'UTC')))
        OR what = 'share' AND EXISTS (SELECT FROM cdp_data.referral_share h WHERE h.source_id = src AND h.source_key = r.source_key AND (h.referral_code_id, h.shared_at, h.channel) <> (r.code_id, cdp_internal.parse_time(r.occurred_at, 'UTC'), r.channel))
        THEN 'other_record' END
  FROM cdp_internal.time_bounds() b WHERE r.code IS NULL;
  UPDATE pg_temp.cdp_referral_row r SET code = 'repeated_key' FROM (SELECT x.source_key, min(x.n) AS n FROM pg_temp.cdp_referral_row x WHERE x.code IS NULL GROUP BY x.source_key HAVING count(*) > 1) d
  WHERE r.code IS NULL AND r.source_key = d.source_key AND r.n > d.n;
  ANALYZE pg_temp.cdp_referral_row;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_batch_read(integer, jsonb, text) IS
'Reads a batch of clicks, shares or conversions (what: click, share, conversion) into pg_temp.cdp_referral_row, with what is wrong with each (code). Returns how many rows there are. Errors: 22023 no array, 55000 the source has a contract for events.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_batch_touch(source text, src integer, kind text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  types text[] := ARRAY(SELECT t.name FROM cdp_data.identifier_type_all t WHERE t.name IN (SELECT k FROM pg_temp.cdp_referral_row r CROSS JOIN LATERAL jsonb_object_keys(coalesce(r.ids, '{}')) k) ORDER BY t.type_id);
  load bigint;
BEGIN
  IF types = '{}' THEN
    IF kind IS NULL OR NOT EXISTS (SELECT FROM pg_temp.cdp_referral_row r WHERE r.code IS NULL) THEN
      RETURN NULL;
    END IF;
    types := '{cookie}'; -- a load of nobody's clicks, or of shares that are no touchpoints, so that it can be taken back
  END IF;
  -- Names of types come from the catalogue of types.
  EXECUTE format('CREATE TEMP TABLE cdp_referral_stage AS
    SELECT r.source_key, r.occurred_at, coalesce(%L, r.kind) AS kind, %L::text AS source, %s AS medium, g.name::text AS campaign, nullif(cdp_internal.referral_host(r.referrer), '''') AS referrer_host, r.value, r.currency, r.refers_to,
      CASE WHEN r.code_id IS NOT NULL AND c.is_test THEN 2 ELSE 0 END + CASE WHEN %L AND (cdp_internal.is_bot_agent(r.user_agent) OR r.bot = ''true'') THEN 1 ELSE 0 END AS flags,
      nullif(coalesce(r.properties, ''{}'') || jsonb_strip_nulls(jsonb_build_object(''referral_code_id'', r.code_id, ''channel'', CASE WHEN %L THEN r.channel END, ''eligible'', cdp_internal.parse_value(r.eligible), ''referral_click_id'', h.referral_click_id)), ''{}'') AS properties, %s
    FROM pg_temp.cdp_referral_row r LEFT JOIN cdp_data.referral_code c ON c.referral_code_id = r.code_id LEFT JOIN cdp_data.referral_campaign g ON g.referral_campaign_id = c.referral_campaign_id AND %L IS NOT NULL
      LEFT JOIN cdp_data.referral_click h ON h.source_id = %s AND h.source_key = btrim(r.click)
    WHERE r.code IS NULL AND r.ids ?| %L ORDER BY r.n', kind, CASE kind WHEN 'referral_click' THEN 'referral_program' END, CASE kind WHEN 'referral_click' THEN 'coalesce(nullif(coalesce(r.channel, c.channel), ''''), ''referral_program'')' ELSE 'NULL::text' END,
    coalesce(kind = 'referral_click', false), kind IS NOT NULL, (SELECT string_agg(format('r.ids ->> %L AS %I', t, t), ', ') FROM unnest(types) t), CASE kind WHEN 'referral_click' THEN kind END, src, types);
  load := (SELECT l.load_id FROM cdp.load_events(source, 'pg_temp.cdp_referral_stage'::regclass, 'UTC') l);
  DROP TABLE pg_temp.cdp_referral_stage;
  -- What the load refused stands in its quarantine under its number among the rows that were loaded: a correction, too, whose key is there.
  UPDATE pg_temp.cdp_referral_row r SET code = 'refused'
  FROM (SELECT x.n, x.source_key, row_number() OVER (ORDER BY x.n) AS at FROM pg_temp.cdp_referral_row x WHERE x.code IS NULL AND x.ids ?| types) s
  WHERE r.n = s.n AND (EXISTS (SELECT FROM cdp_data.quarantine q WHERE q.load_id = load AND q.row_no = s.at) OR NOT EXISTS (SELECT FROM cdp_data.touchpoint_key k WHERE k.source_id = src AND k.source_key = s.source_key));
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
    CASE r.code WHEN 'not_object' THEN 'the row is no JSON object' WHEN 'missing_key' THEN 'source_key is missing or too long' WHEN 'bad_time' THEN 'occurred_at is no credible time' WHEN 'unknown_code' THEN 'there is no such referral code' WHEN 'no_identifier' THEN 'no identifier of a known type' WHEN 'other_record' THEN 'the key is that of another record'
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
  people bigint[];
BEGIN
  PERFORM cdp_internal.require_setup();
  src := cdp_internal.source_of(source);
  rows_read := cdp_internal.referral_batch_read(src, clicks, 'click');
  load := cdp_internal.referral_batch_touch(source, src, 'referral_click');
  -- Counted before: what only gets its address is not new.
  recorded := (SELECT count(*) FROM pg_temp.cdp_referral_row r WHERE r.code IS NULL AND NOT EXISTS (SELECT FROM cdp_data.referral_click h WHERE h.source_id = src AND h.source_key = r.source_key AND h.retracted_at IS NULL));
  WITH told AS (
  INSERT INTO cdp_data.referral_click AS h (source_id, source_key, referral_code_id, referral_campaign_id, clicked_at, identifier_id, customer_id, touchpoint_id, ip_digest, net_digest, agent_digest, device_digest,
    referrer_host, asn, country, paid, bot, prefetch, is_test, channel, variant, load_id)
  SELECT src, r.source_key, c.referral_code_id, c.referral_campaign_id, cdp_internal.parse_time(r.occurred_at, 'UTC'), t.identifier_id, t.customer_id, t.touchpoint_id, cdp_internal.referral_digest('ip', host(r.address_ip)),
    cdp_internal.referral_digest('net', cdp_internal.ip_network(r.address_ip)), cdp_internal.referral_digest('agent', r.user_agent), cdp_internal.referral_digest('device', r.device), cdp_internal.referral_host(r.referrer),
    r.asn::bigint, r.country, cdp_internal.is_paid_url(r.url), coalesce(r.bot = 'true', false) OR cdp_internal.is_bot_agent(r.user_agent), coalesce(r.prefetch = 'true', false), c.is_test, coalesce(r.channel, c.channel), coalesce(r.variant, ''),
    CASE WHEN t.touchpoint_id IS NULL THEN load END
  FROM pg_temp.cdp_referral_row r JOIN cdp_data.referral_code c ON c.referral_code_id = r.code_id LEFT JOIN cdp_data.touchpoint_key k ON k.source_id = src AND k.source_key = r.source_key
    LEFT JOIN cdp_data.touchpoint t ON (t.customer_id, t.occurred_at, t.touchpoint_id) = (k.customer_id, k.occurred_at, k.touchpoint_id)
  WHERE r.code IS NULL ORDER BY r.n
  -- One that the job took first lacks what only the batch knows.
  ON CONFLICT (source_id, source_key) DO UPDATE SET retracted_at = NULL, load_id = CASE WHEN h.retracted_at IS NULL THEN h.load_id ELSE excluded.load_id END, ip_digest = coalesce(h.ip_digest, excluded.ip_digest),
    net_digest = coalesce(h.net_digest, excluded.net_digest), agent_digest = coalesce(h.agent_digest, excluded.agent_digest), device_digest = coalesce(h.device_digest, excluded.device_digest)
  WHERE h.retracted_at IS NOT NULL OR h.ip_digest IS NULL AND excluded.ip_digest IS NOT NULL OR h.agent_digest IS NULL AND excluded.agent_digest IS NOT NULL OR h.device_digest IS NULL AND excluded.device_digest IS NOT NULL
  RETURNING h.customer_id
  )
  SELECT array_agg(DISTINCT t.customer_id) INTO people FROM told t WHERE t.customer_id > 0;
  IF people IS NOT NULL THEN
    PERFORM cdp_internal.feed_write(people, 'identify'); -- the job decides
  END IF;
  SELECT e.load_id, e.refused INTO load_id, quarantined FROM cdp_internal.referral_batch_end(src, load) e;
END
$$;
COMMENT ON FUNCTION cdp.load_referral_clicks(text, jsonb) IS
'Takes clicks in a batch: SELECT * FROM cdp.load_referral_clicks(''web'', ''[{"source_key": "hit 1", "occurred_at": "2026-02-01T10:00:00Z", "code": "K7M4-Q2TX-Q", "identifiers": {"cookie": "..."}}]''). Keys of a row: source_key, occurred_at (times without offset are UTC), code, identifiers (one value for each type), ip, user_agent, device, referrer, url, channel, variant, asn, country, bot, prefetch: as in cdp.referral_click(), without the stop for wrong codes. Clicks of known people are touchpoints of one load of cdp.load_events(), so revert_load() takes them back, those of nobody with them, and the job follows. Rows that are no click, or whose key is that of another record, go to cdp_data.quarantine. Returns the load (NULL when no row was good), the rows, those that were new, and those not taken. Errors: 22023 no array or unknown source, 55000 the source has a contract for events.';

CREATE OR REPLACE FUNCTION cdp.load_referral_conversions(source text, conversions jsonb, OUT load_id bigint, OUT rows_read bigint, OUT recorded bigint, OUT decided bigint, OUT quarantined bigint, OUT unknown_codes bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  src integer;
  load bigint;
  roots bigint[];
  done bigint[];
BEGIN
  PERFORM cdp_internal.require_setup();
  src := cdp_internal.source_of(source);
  rows_read := cdp_internal.referral_batch_read(src, conversions, 'conversion');
  PERFORM cdp_internal.referral_hold_ahead(ARRAY(SELECT r.ids FROM pg_temp.cdp_referral_row r WHERE r.code IS NULL));
  load := cdp_internal.referral_batch_touch(source, src, NULL);
  CREATE TEMP TABLE cdp_referral_touch ON COMMIT DROP AS
  SELECT r.n, r.source_key, r.code_id, h.referral_click_id AS click_id, t.touchpoint_id, t.customer_id, t.identifier_id, t.occurred_at, y.name AS kind, t.flags, CASE WHEN h.referral_click_id IS NULL THEN CASE WHEN octet_length(r.click) <= 800 THEN nullif(btrim(r.click), '') END END AS named_click, t.value, t.currency, t.properties, cdp_internal.identifier_root(t.identifier_id) AS root
  FROM pg_temp.cdp_referral_row r JOIN cdp_data.touchpoint_key k ON k.source_id = src AND k.source_key = r.source_key
    JOIN cdp_data.touchpoint t ON (t.customer_id, t.occurred_at, t.touchpoint_id) = (k.customer_id, k.occurred_at, k.touchpoint_id) JOIN cdp_data.touch_kind_all y ON y.kind_id = t.kind_id
    LEFT JOIN cdp_data.referral_click h ON h.source_id = src AND h.source_key = btrim(r.click)
  WHERE r.code IS NULL;
  roots := ARRAY(SELECT DISTINCT t.root FROM pg_temp.cdp_referral_touch t WHERE t.root IS NOT NULL ORDER BY 1);
  PERFORM cdp_internal.referral_hold_people(roots); -- before any row, as the job does
  INSERT INTO cdp_data.referral_conversion AS x (source_id, source_key, kind, occurred_at, identifier_id, customer_id, touchpoint_id, referral_code_id, referral_click_id, value_minor, eligible_minor, currency, is_test, named_click)
  SELECT src, t.source_key, t.kind, t.occurred_at, t.identifier_id, t.customer_id, t.touchpoint_id, t.code_id, t.click_id, coalesce(cdp_internal.referral_minor(greatest(t.value, 0), t.currency), 0),
    coalesce(cdp_internal.referral_minor(cdp_internal.touch_eligible(greatest(t.value, 0), t.properties), t.currency), 0), t.currency, t.flags & 2 = 2, t.named_click
  FROM pg_temp.cdp_referral_touch t WHERE num_nonnulls(t.code_id, t.click_id, t.named_click) > 0 AND (t.value IS NULL OR t.value >= 0) AND t.kind <> 'refund' ORDER BY t.n
  ON CONFLICT (source_id, source_key) DO UPDATE SET referral_code_id = coalesce(excluded.referral_code_id, x.referral_code_id), referral_click_id = coalesce(excluded.referral_click_id, x.referral_click_id),
    named_click = CASE WHEN coalesce(excluded.referral_click_id, x.referral_click_id) IS NULL THEN coalesce(excluded.named_click, x.named_click) END,
    is_test = x.is_test OR excluded.is_test AND x.referral_code_id IS NULL AND x.referral_click_id IS NULL
    WHERE (coalesce(excluded.referral_code_id, x.referral_code_id), coalesce(excluded.referral_click_id, x.referral_click_id)) IS DISTINCT FROM (x.referral_code_id, x.referral_click_id)
      OR x.referral_click_id IS NULL AND coalesce(excluded.named_click, x.named_click) IS DISTINCT FROM x.named_click;
  PERFORM cdp_internal.referral_take(ARRAY(SELECT DISTINCT m.home_id FROM cdp_internal.members_of(roots) m));
  PERFORM cdp_internal.referral_follow(roots);
  recorded := (SELECT count(*) FROM pg_temp.cdp_referral_row r WHERE r.code IS NULL AND (EXISTS (SELECT FROM cdp_data.referral_conversion c WHERE c.source_id = src AND c.source_key = r.source_key AND c.recorded_at >= statement_timestamp())
    OR EXISTS (SELECT FROM cdp_data.referral_refund c WHERE c.source_id = src AND c.source_key = r.source_key AND c.recorded_at >= statement_timestamp())));
  unknown_codes := (SELECT count(*) FROM pg_temp.cdp_referral_row r WHERE r.code IS NULL AND r.given_code IS NOT NULL AND r.code_id IS NULL);
  DROP TABLE pg_temp.cdp_referral_touch;
  -- Of those that the job took first, too: it knows no addresses.
  UPDATE cdp_data.referral_conversion c SET ip_digest = coalesce(c.ip_digest, cdp_internal.referral_digest('ip', host(r.address_ip))), net_digest = coalesce(c.net_digest, cdp_internal.referral_digest('net', cdp_internal.ip_network(r.address_ip))),
    agent_digest = coalesce(c.agent_digest, cdp_internal.referral_digest('agent', r.user_agent)), device_digest = coalesce(c.device_digest, cdp_internal.referral_digest('device', r.device)),
    payment_digest = coalesce(c.payment_digest, cdp_internal.referral_digest('payment', r.payment)), address_digest = coalesce(c.address_digest, cdp_internal.referral_digest('address', r.address))
  FROM pg_temp.cdp_referral_row r WHERE r.code IS NULL AND num_nonnulls(r.ip, r.user_agent, r.device, r.payment, r.address) > 0 AND c.source_id = src AND c.source_key = r.source_key
    AND (r.ip IS NOT NULL AND c.ip_digest IS NULL OR r.user_agent IS NOT NULL AND c.agent_digest IS NULL OR r.device IS NOT NULL AND c.device_digest IS NULL OR r.payment IS NOT NULL AND c.payment_digest IS NULL OR r.address IS NOT NULL AND c.address_digest IS NULL);
  SELECT e.load_id, e.refused INTO load_id, quarantined FROM cdp_internal.referral_batch_end(src, load) e;
  done := ARRAY(SELECT cdp_internal.referral_decide(roots, settle => false));
  decided := cardinality(done);
  PERFORM cdp_internal.referral_settled(ARRAY(SELECT u FROM unnest(done) u UNION SELECT h.referral_id FROM cdp_internal.referral_rows(roots) h UNION SELECT h.referral_id FROM cdp_internal.referral_rows(roots, 2::smallint) h ORDER BY 1));
END
$$;
COMMENT ON FUNCTION cdp.load_referral_conversions(text, jsonb) IS
'Takes registrations, purchases and refunds in a batch. Keys of a row: source_key, occurred_at (times without offset are UTC), kind, identifiers (one value for each type), value, currency, eligible, code (or the property referral_code), click, ip, user_agent, device, payment, address, properties: as in cdp.referral_convert(); a refund has kind refund, a value below 0 and refers_to, the key of its conversion. All of them become touchpoints of one load of cdp.load_events() (a row that comes again with other content corrects it); those that name a code, or are of people with a click or a conversion, become conversions, and everybody is decided at once. Bad rows, those without an identifier of a known type, and those whose key is that of a click or share go to cdp_data.quarantine. Returns the load, the rows, conversions and refunds of them that were new, referrals that changed, rows not taken, and rows whose code is none (unknown_codes: they are taken without it). Errors: 22023 no array or unknown source, 55000 the source has a contract for events.';

CREATE OR REPLACE FUNCTION cdp.load_referral_shares(source text, shares jsonb, OUT load_id bigint, OUT rows_read bigint, OUT recorded bigint, OUT quarantined bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  src integer;
  load bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  src := cdp_internal.source_of(source);
  rows_read := cdp_internal.referral_batch_read(src, shares, 'share');
  load := cdp_internal.referral_batch_touch(source, src, 'share');
  INSERT INTO cdp_data.referral_share AS x (source_id, source_key, referral_code_id, referral_campaign_id, customer_id, channel, shared_at, touchpoint_id, recipient_digest, is_test, load_id)
  SELECT src, r.source_key, c.referral_code_id, c.referral_campaign_id, c.customer_id, r.channel, cdp_internal.parse_time(r.occurred_at, 'UTC'), k.touchpoint_id,
    cdp_internal.referral_digest('recipient', w.type_ids[1] || ':' || w.vals[1]), c.is_test, CASE WHEN k.touchpoint_id IS NULL THEN load END
  FROM pg_temp.cdp_referral_row r JOIN cdp_data.referral_code c ON c.referral_code_id = r.code_id LEFT JOIN cdp_data.touchpoint_key k ON k.source_id = src AND k.source_key = r.source_key
    CROSS JOIN LATERAL cdp_internal.clean_identifiers(CASE WHEN jsonb_typeof(r.recipient) = 'object' THEN r.recipient ELSE '{}' END) w
  WHERE r.code IS NULL ORDER BY r.n
  ON CONFLICT (source_id, source_key) DO UPDATE SET retracted_at = NULL, load_id = excluded.load_id WHERE x.retracted_at IS NOT NULL;
  GET DIAGNOSTICS recorded = ROW_COUNT;
  SELECT e.load_id, e.refused INTO load_id, quarantined FROM cdp_internal.referral_batch_end(src, load) e;
END
$$;
COMMENT ON FUNCTION cdp.load_referral_shares(text, jsonb) IS
'Takes shares in a batch: SELECT * FROM cdp.load_referral_shares(''web'', ''[{"source_key": "share 1", "occurred_at": "2026-02-01T10:00:00Z", "code": "K7M4-Q2TX-Q", "channel": "email", "recipient": {"email": "..."}}]''). Keys of a row as the arguments of cdp.referral_share(); times without offset are UTC. They are touchpoints of their advocates, of one load of cdp.load_events(). Rows that are no share, or whose key is that of another record, go to cdp_data.quarantine. Returns the load (NULL when no row was good), the rows, those that were new, and those not taken. Errors: 22023 no array or unknown source, 55000 the source has a contract for events.';

CREATE OR REPLACE FUNCTION cdp_internal.load_changed_referral_track(load bigint, to_state text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  changed bigint[];
  codes bigint[];
  people bigint[];
BEGIN
  WITH u AS (
    UPDATE cdp_data.referral_click c SET retracted_at = CASE to_state WHEN 'reverted' THEN clock_timestamp() END
    WHERE c.load_id = load AND (c.retracted_at IS NULL) = (to_state = 'reverted') RETURNING c.referral_click_id
  )
  SELECT array_agg(u.referral_click_id) INTO changed FROM u;
  IF changed IS NOT NULL THEN
    people := ARRAY(SELECT v.customer_id FROM cdp_data.referral_conversion v WHERE v.referral_click_id = ANY (changed) AND v.customer_id > 0
      UNION SELECT v.customer_id FROM cdp_data.referral_click c JOIN cdp_data.referral_conversion v ON v.ip_digest = c.ip_digest AND v.occurred_at BETWEEN c.clicked_at AND c.clicked_at + interval '1 hour' WHERE c.referral_click_id = ANY (changed) AND v.customer_id > 0);
    IF people <> '{}' THEN
      PERFORM cdp_internal.feed_write(people, CASE to_state WHEN 'reverted' THEN 'revert' ELSE 'retry' END);
    END IF;
  END IF;
  WITH u AS (
    UPDATE cdp_data.referral_share s SET retracted_at = CASE to_state WHEN 'reverted' THEN clock_timestamp() END
    WHERE s.load_id = load AND (s.retracted_at IS NULL) = (to_state = 'reverted') RETURNING s.referral_code_id
  )
  SELECT array_agg(DISTINCT u.referral_code_id) INTO codes FROM u;
  IF codes IS NOT NULL THEN
    people := ARRAY(SELECT DISTINCT v.customer_id FROM cdp_data.referral r JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = r.first_conversion_id WHERE r.referral_code_id = ANY (codes) AND r.method = 'share' AND v.customer_id > 0);
    IF people <> '{}' THEN
      PERFORM cdp_internal.feed_write(people, CASE to_state WHEN 'reverted' THEN 'revert' ELSE 'retry' END);
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_changed_referral_track(bigint, text) IS
'When a load is reverted or put in again: clicks of nobody known and shares of advocates without an identifier that came with it, which have no touchpoint, go or come back, and the job decides again about those who are tied to them. Of a share: about those who were referred by it; who bought while it was taken back is found with the next event of his, or when the job goes through all (without its row of cdp_data.feed_cursor).';
