-- Identity room, ingestion: what somebody did, one call at a time. A touchpoint, its key, its customer and the change
-- feed in one transaction, in the order of locks that loads keep: partitions, origins, identifiers, customers, keys.

CREATE OR REPLACE FUNCTION cdp.event_map_builtin()
RETURNS TABLE (event text, kind text, key_property text, refers_property text, negate boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  -- Names of the events that analytics tools agree on; kinds that are named alike need no rule.
  SELECT v.event, v.kind, v.key, v.refers, v.refers IS NOT NULL
  FROM (VALUES
    ('ordercompleted'::text, 'order'::text, 'order_id'::text, NULL::text), ('completedorder', 'order', 'order_id', NULL),
    ('orderrefunded', 'refund', NULL, 'order_id'), ('refundedorder', 'refund', NULL, 'order_id'),
    ('checkoutstarted', 'checkout', NULL, NULL), ('begincheckout', 'checkout', NULL, NULL),
    ('productadded', 'add_to_cart', NULL, NULL), ('addedproduct', 'add_to_cart', NULL, NULL),
    ('productviewed', 'product_view', NULL, NULL), ('viewedproduct', 'product_view', NULL, NULL), ('viewitem', 'product_view', NULL, NULL),
    ('productssearched', 'search', NULL, NULL), ('productclicked', 'click', NULL, NULL), ('clickedproduct', 'click', NULL, NULL),
    ('promotionviewed', 'impression', NULL, NULL), ('promotionclicked', 'click', NULL, NULL),
    ('productshared', 'share', NULL, NULL), ('cartshared', 'share', NULL, NULL),
    ('signedup', 'sign_up', NULL, NULL), ('registered', 'sign_up', NULL, NULL), ('userregistered', 'sign_up', NULL, NULL),
    ('leadgenerated', 'lead', NULL, NULL), ('generatelead', 'lead', NULL, NULL), ('formsubmitted', 'form_submit', NULL, NULL),
    ('emailopened', 'email_open', NULL, NULL), ('emaillinkclicked', 'email_click', NULL, NULL), ('unsubscribed', 'unsubscribe', NULL, NULL),
    ('emaildelivered', 'delivered', NULL, NULL), ('emailbounced', 'bounce', NULL, NULL), ('emailmarkedasspam', 'complaint', NULL, NULL),
    ('applicationopened', 'app_open', NULL, NULL), ('applicationinstalled', 'install', NULL, NULL),
    ('pushnotificationreceived', 'message_received', NULL, NULL), ('pushnotificationtapped', 'message_click', NULL, NULL),
    ('videoplaybackstarted', 'video_view', NULL, NULL), ('pageviewed', 'page_view', NULL, NULL), ('screenviewed', 'page_view', NULL, NULL)
  ) AS v (event, kind, key, refers);
END;
COMMENT ON FUNCTION cdp.event_map_builtin() IS
'Built-in rules from the names of events to kinds of touchpoints; columns as in cdp_data.event_map. With your own: cdp_data.event_map_all.';

CREATE OR REPLACE FUNCTION cdp_internal.event_kind(source_id integer, event text,
  OUT kind_id smallint, OUT name text, OUT is_conversion boolean, OUT key_property text, OUT refers_property text, OUT negate boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  canonical text := lower(regexp_replace(event_kind.event, '[[:space:]_.-]+', '', 'g')) COLLATE "C";
BEGIN
  SELECT k.kind_id, k.name, k.is_conversion, x.key_property, x.refers_property, coalesce(x.negate, false)
  INTO kind_id, name, is_conversion, key_property, refers_property, negate
  FROM (
    SELECT CASE WHEN m.source_id IS NOT NULL THEN 1 WHEN NOT m.is_builtin THEN 2 ELSE 5 END AS rank, m.kind, m.key_property, m.refers_property, m.negate
    FROM cdp_data.event_map_all m WHERE m.event = canonical AND (m.source_id IS NULL OR m.source_id = event_kind.source_id)
    UNION ALL
    SELECT 3, event_kind.event, NULL, NULL, NULL
    UNION ALL
    SELECT 4, cdp_internal.snake(event_kind.event), NULL, NULL, NULL
    UNION ALL
    SELECT 6, 'event', NULL, NULL, NULL) x
    JOIN cdp_data.touch_kind_all k ON k.name = x.kind
  ORDER BY x.rank, k.is_builtin LIMIT 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.event_kind(integer, text) IS
'The kind of touchpoint that an event of a source is: by your own rules (cdp_data.event_map), by a kind of that name (Form Submit, formSubmit and form_submit alike), by the built-in rules, else event, which is neither touch nor conversion; with what the rule says about keys.';

CREATE OR REPLACE FUNCTION cdp_internal.call_origin(origin jsonb, OUT origin_id integer, OUT campaign_id integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known text[] := ARRAY['source', 'medium', 'campaign', 'referrer_host', 'add_way', 'qr_scene'];
  wrong text;
  part text[];
  mark bytea;
BEGIN
  IF jsonb_typeof(origin) <> 'object' THEN
    RAISE EXCEPTION 'origin must be a JSON object'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', jsonb_typeof(origin)), HINT = format('Its keys are %s.', array_to_string(known, ', '));
  END IF;
  SELECT k INTO wrong FROM jsonb_object_keys(origin) k WHERE k <> ALL (known) ORDER BY k COLLATE "C" LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'unknown key "%" of origin', left(wrong, 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(wrong, known, format('Its keys are %s.', array_to_string(known, ', ')));
  END IF;
  part := ARRAY(SELECT coalesce(left(origin ->> k, 2000), '') FROM unnest(known) WITH ORDINALITY AS u (k, n) ORDER BY u.n);
  mark := cdp_internal.origin_digest(part[1], part[2], part[3], part[4], part[5], part[6]);
  SELECT o.origin_id INTO origin_id FROM cdp_data.origin o WHERE o.digest = mark;
  IF NOT FOUND THEN
    INSERT INTO cdp_data.origin (source, medium, campaign, referrer_host, add_way, qr_scene)
    VALUES (part[1], part[2], part[3], part[4], part[5], part[6]) ON CONFLICT DO NOTHING;
    SELECT o.origin_id INTO STRICT origin_id FROM cdp_data.origin o WHERE o.digest = mark;
  END IF;
  IF part[3] <> '' THEN
    SELECT c.campaign_id INTO campaign_id FROM cdp_data.campaign c WHERE c.name = part[3];
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.call_origin(jsonb) IS
'The row of cdp_data.origin for {"source", "medium", "campaign", "referrer_host", "add_way", "qr_scene"}, made when it is new, and the campaign of that name (NULL: none). Missing keys count as empty text. Errors: 22023 no JSON object, unknown key.';

CREATE OR REPLACE FUNCTION cdp_internal.touch_known(source_id integer, key text, OUT touchpoint_id bigint, OUT identifier_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  at record;
BEGIN
  SELECT k.touchpoint_id, k.customer_id, k.occurred_at INTO at FROM cdp_data.touchpoint_key k WHERE k.source_id = touch_known.source_id AND k.source_key = key;
  IF FOUND THEN
    touchpoint_id := at.touchpoint_id;
    SELECT t.identifier_id INTO identifier_id FROM cdp_data.touchpoint t
    WHERE t.customer_id = at.customer_id AND t.occurred_at = at.occurred_at AND t.touchpoint_id = at.touchpoint_id;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.touch_known(integer, text) IS
'The touchpoint of a record that is in force, and the identifier that carried it; NULL when there is none.';

CREATE OR REPLACE FUNCTION cdp_internal.touch_refers(
  load_id bigint, source_id integer, refers_key text, home_id bigint, at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id bigint;
  owner bigint;
  there boolean;
BEGIN
  FOR nth IN 1 .. 2 LOOP
    -- Whoever takes the record back or gives it to another customer waits for us, or we for him: he notes those who
    -- refer to it.
    SELECT k.touchpoint_id, k.customer_id INTO id, owner FROM cdp_data.touchpoint_key k
    WHERE k.source_id = touch_refers.source_id AND k.source_key = refers_key FOR SHARE;
    there := FOUND;
    EXIT WHEN there OR nth = 2;
    PERFORM cdp_internal.claim_keys(touch_refers.source_id, ARRAY[refers_key]);
  END LOOP;
  IF NOT there THEN
    -- As a load does: the number that the record had or that is kept for it, else one is reserved now.
    id := coalesce(
      (SELECT t.touchpoint_id FROM cdp_data.touchpoint_retracted t WHERE t.source_id = touch_refers.source_id AND t.source_key = refers_key LIMIT 1),
      (SELECT a.touchpoint_id FROM cdp_data.touchpoint_awaited a WHERE a.source_id = touch_refers.source_id AND a.source_key = refers_key LIMIT 1),
      nextval('cdp_data.touchpoint_id_seq'));
  END IF;
  IF NOT there OR owner <> home_id THEN
    INSERT INTO cdp_data.touchpoint_awaited AS a (source_id, source_key, customer_id, touchpoint_id, first_at, last_at, load_id)
    VALUES (touch_refers.source_id, refers_key, home_id, id, at, at, touch_refers.load_id)
    ON CONFLICT ON CONSTRAINT touchpoint_awaited_pkey DO UPDATE
    SET first_at = least(a.first_at, excluded.first_at), last_at = greatest(a.last_at, excluded.last_at);
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.touch_refers(bigint, integer, text, bigint, timestamptz) IS
'The touchpoint_id of a record that a row of a customer (home_id) refers to; reserved when the record is not there. Holds the key of the record until the transaction ends. What reports must know about references that cross customers goes to touchpoint_awaited.';

CREATE OR REPLACE FUNCTION cdp_internal.touch_write(
  load_id bigint, source_id integer, key text, home_id bigint, identifier_id bigint, at timestamptz, origin_id integer, campaign_id integer,
  kind_id smallint, flags integer, value numeric, currency text, properties jsonb, refers_key text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id bigint;
  refers bigint := CASE WHEN refers_key IS NOT NULL THEN cdp_internal.touch_refers(load_id, source_id, refers_key, home_id, at) END;
  code text := touch_write.currency;
  reserved bigint;
  awaited boolean;
BEGIN
  IF touch_write.flags < 0 THEN -- only now: touch_refers() holds the record
    code := coalesce(cdp_internal.currency_of_record(source_id, refers_key), code);
  END IF;
  -- A record that was here before, or that somebody referred to, takes the id that it has.
  id := coalesce((SELECT t.touchpoint_id FROM cdp_data.touchpoint_retracted t
    WHERE t.source_id = touch_write.source_id AND t.source_key = key LIMIT 1), nextval('cdp_data.touchpoint_id_seq'));
  INSERT INTO cdp_data.touchpoint_key (source_id, source_key, touchpoint_id, customer_id, occurred_at)
  VALUES (touch_write.source_id, key, id, home_id, at) ON CONFLICT ON CONSTRAINT touchpoint_key_pkey DO NOTHING;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the message came twice at once' USING ERRCODE = 'CDPTW';
  END IF;
  -- Only now: who refers to it has claimed its key until he was done.
  SELECT min(a.touchpoint_id), count(*) > 0 INTO reserved, awaited FROM cdp_data.touchpoint_awaited a
  WHERE a.source_id = touch_write.source_id AND a.source_key = key;
  IF reserved <> id THEN
    id := reserved;
    UPDATE cdp_data.touchpoint_key k SET touchpoint_id = id WHERE k.source_id = touch_write.source_id AND k.source_key = key;
  END IF;
  INSERT INTO cdp_data.touchpoint (touchpoint_id, customer_id, identifier_id, occurred_at, origin_id, source_id, load_id,
    flags, kind_id, campaign_id, refers_to, value, currency, properties)
  VALUES (id, home_id, touch_write.identifier_id, at, touch_write.origin_id, touch_write.source_id, touch_write.load_id,
    touch_write.flags, touch_write.kind_id, touch_write.campaign_id, refers, touch_write.value, code,
    cdp_internal.keep_properties(touch_write.source_id, touch_write.kind_id, touch_write.properties));
  INSERT INTO cdp_data.change_feed (customer_id, cause, occurred_from, occurred_to) VALUES (home_id, 'load', at, at);
  IF awaited THEN
    INSERT INTO cdp_data.change_feed (customer_id, cause, occurred_from, occurred_to)
    SELECT a.customer_id, 'relink', a.first_at, a.last_at FROM cdp_data.touchpoint_awaited a
    WHERE a.source_id = touch_write.source_id AND a.source_key = key;
  END IF;
  IF awaited OR refers IS NOT NULL THEN
    PERFORM cdp_internal.load_tell_owners(source_id, 'relink', CASE WHEN refers IS NOT NULL THEN ARRAY[refers] END,
      CASE WHEN refers IS NOT NULL THEN ARRAY[home_id] END, CASE WHEN awaited THEN ARRAY[key] END);
  END IF;
  IF awaited THEN
    PERFORM cdp_internal.refunds_follow(load_id, source_id, 'relink', ARRAY[key]);
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.touch_write(bigint, integer, text, bigint, bigint, timestamptz, integer, integer, smallint, integer, numeric, text, jsonb, text) IS
'Writes one touchpoint with its key and the change feed, as a load of one row would, with the properties that its kind lists; flags with cdp_internal.follows_flag(): in the currency of the record that it refers to. Returns touchpoint_id. Error CDPTW (for its caller): the key is there already.';

CREATE OR REPLACE FUNCTION cdp_internal.call_money(value numeric, currency text, OUT amount numeric, OUT code text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF value = 'NaN' OR abs(value) >= 9200000000000 THEN
    RAISE EXCEPTION 'value is out of range'
      USING ERRCODE = 'numeric_value_out_of_range', HINT = 'It must be a number below 9.2e12 either way.';
  END IF;
  amount := round(value, 6);
  IF currency IS NOT NULL THEN
    SELECT c.code INTO code FROM cdp_data.currency_all c WHERE c.code = upper(btrim(currency));
    IF NOT FOUND THEN
      RAISE EXCEPTION 'unknown currency "%"', left(currency, 20)
        USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT code FROM cdp_data.currency_all; lists them.';
    END IF;
  END IF;
  code := CASE WHEN amount IS NOT NULL THEN coalesce(code, (SELECT s.currency FROM cdp_data.setting s)) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.call_money(numeric, text) IS
'Money of a call, rounded to six decimals, with its currency (NULL: that of the reports). Both NULL without a value. Errors: 22003 out of range, 22023 unknown currency.';

CREATE OR REPLACE FUNCTION cdp_internal.ensure_partition_of(at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Its usual name tells quicker than the bounds of all.
  IF to_regclass('cdp_data.touchpoint_' || to_char(at AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL THEN
    PERFORM cdp_internal.ensure_partitions(at, at);
  END IF;
  LOCK TABLE cdp_data.touchpoint IN ROW EXCLUSIVE MODE; -- nobody makes partitions from here on, as in a load
END
$$;
COMMENT ON FUNCTION cdp_internal.ensure_partition_of(timestamptz) IS
'Makes the monthly partition of a time when it is missing, and locks cdp_data.touchpoint as every writer does.';

CREATE OR REPLACE FUNCTION cdp_internal.touch_in(
  c record, attributes jsonb, origin jsonb, kind_id smallint, flags integer, value numeric, currency text, properties jsonb, refers_key text,
  OUT status text, OUT customer_id bigint, OUT touchpoint_id bigint, OUT created boolean, OUT merged bigint[], OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
  told jsonb;
  o record;
  known record;
  load bigint;
BEGIN
  created := false;
  merged := '{}';
  refused := '[]';
  IF c.suppressed THEN
    status := 'suppressed';
    RETURN;
  END IF;
  FOR nth IN 1 .. 4 LOOP
    known := cdp_internal.touch_known(c.source_id, c.key);
    EXIT WHEN known.touchpoint_id IS NOT NULL;
    IF nth = 1 THEN
      load := cdp_internal.live_load(c.source_id, now());
      PERFORM cdp_internal.ensure_partition_of(c.at);
      o := cdp_internal.call_origin(coalesce(origin, '{}'));
    END IF;
    BEGIN
      r := cdp_internal.identify_in(load, c.source_id, c.type_ids, c.vals, c.at, c.key, 'identify');
      IF attributes <> '{}' THEN
        SELECT w.refused INTO told FROM cdp_internal.attributes_write(load, c.source_id, r.home_id, r.identifier_id, attributes, c.at, false) w;
      END IF;
      IF r.rejected <> '[]' THEN
        PERFORM cdp_internal.call_newcomers(c.type_ids, c.vals); -- the touchpoint tells of one customer only
      END IF;
      touchpoint_id := cdp_internal.touch_write(load, c.source_id, c.key, r.home_id, r.identifier_id, c.at, o.origin_id, o.campaign_id,
        kind_id, flags, value, currency, properties, refers_key);
      status := 'written';
      customer_id := r.customer_id;
      created := r.created;
      merged := r.merged;
      refused := c.refused || r.rejected || coalesce(told, '[]');
      PERFORM cdp_data.audit_write('track', 'load ' || load, customer_id, cdp_internal.call_trace(created, merged));
      RETURN;
    EXCEPTION
      WHEN SQLSTATE 'CDPTW' THEN
        NULL;
      WHEN deadlock_detected THEN
        -- Two records told at once that refer to each other: what this one claimed is free again, so the other goes on.
        IF nth = 4 THEN
          RAISE;
        END IF;
    END;
  END LOOP;
  IF known.touchpoint_id IS NULL THEN
    RAISE EXCEPTION 'others write this record and take it back faster than it can be looked at'
      USING ERRCODE = 'serialization_failure', DETAIL = 'Tried 4 times.', HINT = 'Call again.';
  END IF;
  status := 'repeated';
  touchpoint_id := known.touchpoint_id;
  customer_id := cdp_internal.identifier_root(known.identifier_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.touch_in(record, jsonb, jsonb, smallint, integer, numeric, text, jsonb, text) IS
'Writes a record with a touchpoint, as cdp_internal.call_read() gives it. status: written, repeated (nothing was changed), suppressed (nothing was kept).';

CREATE OR REPLACE FUNCTION cdp.track(
  source text, event text, identifiers jsonb, properties jsonb DEFAULT '{}', occurred_at timestamptz DEFAULT now(), message_id text DEFAULT NULL,
  value numeric DEFAULT NULL, currency text DEFAULT NULL, origin jsonb DEFAULT '{}', traits jsonb DEFAULT '{}', refers_to text DEFAULT NULL,
  flags integer DEFAULT 0,
  OUT customer_id bigint, OUT touchpoint_id bigint, OUT status text, OUT created boolean, OUT merged bigint[], OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  kind record;
  money record;
  t record;
  c record;
  refers_key text := cdp_internal.parse_key(cdp_internal.said_key(refers_to));
  content jsonb := nullif(properties, '{}');
BEGIN
  PERFORM cdp_internal.require_setup();
  IF event IS NULL OR btrim(event) = '' OR octet_length(event) > 800 THEN
    RAISE EXCEPTION 'event must have 1 to 800 bytes' USING ERRCODE = 'invalid_parameter_value', HINT = 'Name a kind of cdp_data.touch_kind_all, or what happened.';
  ELSIF jsonb_typeof(properties) <> 'object' THEN
    RAISE EXCEPTION 'properties must be a JSON object' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', jsonb_typeof(properties));
  ELSIF octet_length(properties::text) > 1048576 THEN
    RAISE EXCEPTION 'properties are too large'
      USING ERRCODE = 'program_limit_exceeded', DETAIL = format('They have %s bytes, 1048576 are taken.', octet_length(properties::text));
  ELSIF flags IS NULL OR flags < 0 THEN
    RAISE EXCEPTION 'flags must be a whole number from 0 on' USING ERRCODE = 'invalid_parameter_value', HINT = '1 is a bot, 2 internal traffic, 3 both.';
  ELSIF refers_key IS NULL AND cdp_internal.said_key(refers_to) IS NOT NULL OR refers_key = btrim(message_id) THEN
    RAISE EXCEPTION 'refers_to must be the message_id of another record, at most 800 bytes' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  money := cdp_internal.call_money(value, currency);
  IF refers_key IS NOT NULL AND money.amount IS NOT NULL AND currency IS NULL THEN
    flags := flags | cdp_internal.follows_flag();
  END IF;
  kind := cdp_internal.event_kind(cdp_internal.source_of(source), event);
  IF kind.name <> cdp_internal.snake(event) AND kind.name <> event THEN
    content := coalesce(content, '{}') || jsonb_build_object('$event', event);
  END IF;
  t := cdp_internal.split_traits(coalesce(traits, '{}'));
  c := cdp_internal.call_read(source, cdp_internal.add_identifiers(identifiers, t.identifiers), occurred_at, message_id);
  SELECT r.customer_id, r.touchpoint_id, r.status, r.created, r.merged, r.refused INTO customer_id, touchpoint_id, status, created, merged, refused
  FROM cdp_internal.touch_in(c, t.attributes, origin, kind.kind_id, flags, money.amount, money.code, content, refers_key) r;
END
$$;
COMMENT ON FUNCTION cdp.track(text, text, jsonb, jsonb, timestamptz, text, numeric, text, jsonb, jsonb, text, integer) IS
'Tells what somebody did: SELECT * FROM cdp.track(''shop'', ''purchase'', ''{"user_id": "7"}'', ''{"cart": 3}'', now(), ''order 11'', 99.90, ''CNY''). Writes a touchpoint with its key and the change feed, and identifies as cdp.identify() does, all in one transaction. event: a kind of cdp_data.touch_kind_all, however it is spelled (Form Submit), or a name of cdp_data.event_map_all (Order Completed); anything else is of kind event, which is neither touch nor conversion. A name that is not that of the kind stays in the property $event. value in currency (NULL: that of the record that refers_to names, whichever comes first, else that of the reports), not in minor units, rounded to six decimals; negative for a refund. origin: {"source", "medium", "campaign", "referrer_host", "add_way", "qr_scene"}, utm fields and the like. traits: as in cdp.identify(). refers_to: message_id of the conversion that a refund reverses, which may come later. flags: 1 bot, 2 internal. A message_id that the source gave before, in a call or as source_key of a load, changes nothing: status repeated, with the touchpoint that it made. Other results as cdp.identify(). Errors: 22023 bad argument, 22003 value out of range, 22008 no credible time, 54000 properties over 1 MB, 55000 before cdp.setup().';
