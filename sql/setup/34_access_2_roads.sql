-- Governance room, access: the roads of the connector role. It reads and writes no table; these functions run with
-- the rights of the tables' owner. None takes a table, a query or a name of a function; what it is told is data.

-- step: again: roads
CREATE OR REPLACE FUNCTION cdp_data.caller() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN coalesce(nullif(current_setting('role'), 'none'), session_user::text);
COMMENT ON FUNCTION cdp_data.caller() IS 'The role that asked, also inside a function that runs with the rights of its owner: the one taken with SET ROLE, else the one that logged in.';
CREATE OR REPLACE FUNCTION cdp_data.require_source(source text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  allowed integer[] := cdp_data.sources_of(cdp_data.caller());
BEGIN
  IF allowed IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.source s WHERE s.name = require_source.source AND s.source_id = ANY (allowed)) THEN
    RAISE EXCEPTION 'source "%" is not one of yours', left(source, 100)
      USING ERRCODE = 'insufficient_privilege', DETAIL = format('The role is kept to %s sources.', cardinality(allowed)),
        HINT = 'The owner of the tables changes that with cdp.restrict_to_sources().';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_data.require_source(text) IS 'Error 42501 when the caller is kept to other sources than this one (cdp.restrict_to_sources()).';
CREATE OR REPLACE FUNCTION cdp_data.require_all_sources(what text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  allowed integer[] := cdp_data.sources_of(cdp_data.caller());
BEGIN
  IF allowed IS NOT NULL THEN
    RAISE EXCEPTION '% of all sources', what
      USING ERRCODE = 'insufficient_privilege', DETAIL = format('The role is kept to %s sources.', cardinality(allowed)),
        HINT = 'Ask with a role that is kept to none (cdp.restrict_to_sources()).';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_data.require_all_sources(text) IS 'For functions with the rights of the tables'' owner, whom no row security binds: error 42501 when the caller is kept to some sources. what begins the message: the plan counts the rows.';
CREATE OR REPLACE FUNCTION cdp_api.identify(
  source text, identifiers jsonb, traits jsonb DEFAULT '{}', occurred_at timestamptz DEFAULT now(), message_id text DEFAULT NULL,
  OUT customer_id bigint, OUT status text, OUT created boolean, OUT merged bigint[], OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(source);
  SELECT r.customer_id, r.status, r.created, r.merged, r.refused INTO customer_id, status, created, merged, refused
  FROM cdp.identify(source, identifiers, traits, occurred_at, message_id) r;
END
$$;
REVOKE ALL ON FUNCTION cdp_api.identify(text, jsonb, jsonb, timestamptz, text) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.identify(text, jsonb, jsonb, timestamptz, text) IS 'cdp.identify() for the connector role. Definer: the role may tell who somebody is without reading or writing a table.';
CREATE OR REPLACE FUNCTION cdp_api.alias(
  source text, previous jsonb, current jsonb, occurred_at timestamptz DEFAULT now(), message_id text DEFAULT NULL,
  OUT customer_id bigint, OUT status text, OUT created boolean, OUT merged bigint[], OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(source);
  SELECT r.customer_id, r.status, r.created, r.merged, r.refused INTO customer_id, status, created, merged, refused
  FROM cdp.alias(source, previous, current, occurred_at, message_id) r;
END
$$;
REVOKE ALL ON FUNCTION cdp_api.alias(text, jsonb, jsonb, timestamptz, text) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.alias(text, jsonb, jsonb, timestamptz, text) IS 'cdp.alias() for the connector role. Definer: as cdp_api.identify().';
CREATE OR REPLACE FUNCTION cdp_api.track(
  source text, event text, identifiers jsonb, properties jsonb DEFAULT '{}', occurred_at timestamptz DEFAULT now(), message_id text DEFAULT NULL,
  value numeric DEFAULT NULL, currency text DEFAULT NULL, origin jsonb DEFAULT '{}', traits jsonb DEFAULT '{}', refers_to text DEFAULT NULL,
  flags integer DEFAULT 0,
  OUT customer_id bigint, OUT touchpoint_id bigint, OUT status text, OUT created boolean, OUT merged bigint[], OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(source);
  SELECT r.customer_id, r.touchpoint_id, r.status, r.created, r.merged, r.refused INTO customer_id, touchpoint_id, status, created, merged, refused
  FROM cdp.track(source, event, identifiers, properties, occurred_at, message_id, value, currency, origin, traits, refers_to, flags) r;
END
$$;
REVOKE ALL ON FUNCTION cdp_api.track(text, text, jsonb, jsonb, timestamptz, text, numeric, text, jsonb, jsonb, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.track(text, text, jsonb, jsonb, timestamptz, text, numeric, text, jsonb, jsonb, text, integer) IS 'cdp.track() for the connector role. Definer: as cdp_api.identify().';
CREATE OR REPLACE FUNCTION cdp_api.page(
  source text, identifiers jsonb, name text DEFAULT NULL, properties jsonb DEFAULT '{}', occurred_at timestamptz DEFAULT now(), message_id text DEFAULT NULL,
  origin jsonb DEFAULT '{}', OUT customer_id bigint, OUT touchpoint_id bigint, OUT status text, OUT created boolean, OUT merged bigint[], OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(source);
  SELECT r.customer_id, r.touchpoint_id, r.status, r.created, r.merged, r.refused INTO customer_id, touchpoint_id, status, created, merged, refused
  FROM cdp.page(source, identifiers, name, properties, occurred_at, message_id, origin) r;
END
$$;
REVOKE ALL ON FUNCTION cdp_api.page(text, jsonb, text, jsonb, timestamptz, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.page(text, jsonb, text, jsonb, timestamptz, text, jsonb) IS 'cdp.page() for the connector role. Definer: as cdp_api.identify().';
CREATE OR REPLACE FUNCTION cdp_api.group(
  source text, identifiers jsonb, group_id text, traits jsonb DEFAULT '{}', occurred_at timestamptz DEFAULT now(), message_id text DEFAULT NULL,
  OUT customer_id bigint, OUT status text, OUT created boolean, OUT merged bigint[], OUT refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(source);
  SELECT r.customer_id, r.status, r.created, r.merged, r.refused INTO customer_id, status, created, merged, refused
  FROM cdp.group(source, identifiers, group_id, traits, occurred_at, message_id) r;
END
$$;
REVOKE ALL ON FUNCTION cdp_api.group(text, jsonb, text, jsonb, timestamptz, text) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.group(text, jsonb, text, jsonb, timestamptz, text) IS 'cdp.group() for the connector role. Definer: as cdp_api.identify().';
CREATE OR REPLACE FUNCTION cdp_api.ingest(source text, message jsonb)
RETURNS TABLE (message_id text, status text, reason text, customer_id bigint, touchpoint_id bigint, refused jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(source);
  RETURN QUERY SELECT r.message_id, r.status, r.reason, r.customer_id, r.touchpoint_id, r.refused FROM cdp.ingest(source, message) r;
END
$$;
REVOKE ALL ON FUNCTION cdp_api.ingest(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.ingest(text, jsonb) IS 'cdp.ingest() for the connector role. Definer: as cdp_api.identify().';
CREATE OR REPLACE FUNCTION cdp_api.record_consent(
  source text, purpose text, status text, identifiers jsonb DEFAULT NULL, customer bigint DEFAULT NULL, channel text DEFAULT '',
  explicit boolean DEFAULT true, notice text DEFAULT NULL, evidence jsonb DEFAULT NULL, effective_at timestamptz DEFAULT NULL,
  expires_at timestamptz DEFAULT NULL, legal_basis text DEFAULT NULL, message_id text DEFAULT NULL,
  OUT result text, OUT consent_ids bigint[], OUT customer_ids bigint[], OUT cancelled bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(source);
  IF customer IS NOT NULL THEN
    PERFORM cdp_data.require_all_sources('customers by their numbers are');
  END IF;
  SELECT r.result, r.consent_ids, r.customer_ids, r.cancelled INTO result, consent_ids, customer_ids, cancelled
  FROM cdp.record_consent(source, purpose, status, identifiers, customer, channel, explicit, notice, evidence, effective_at, expires_at, legal_basis, message_id) r;
END
$$;
REVOKE ALL ON FUNCTION cdp_api.record_consent(text, text, text, jsonb, bigint, text, boolean, text, jsonb, timestamptz, timestamptz, text, text) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.record_consent(text, text, text, jsonb, bigint, text, boolean, text, jsonb, timestamptz, timestamptz, text, text) IS 'cdp.record_consent() for the connector role. Definer: as cdp_api.identify(). Error 42501 for a role that is kept to some sources and names a customer by number.';
-- The deliverer is told what to send; that he may read nothing else is the point.
CREATE OR REPLACE FUNCTION cdp_api.outbox_take(destination text, max_messages integer DEFAULT 100, lease interval DEFAULT '5 minutes')
RETURNS TABLE (outbox_id bigint, kind text, payload jsonb, dedup_key text, attempt integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  PERFORM cdp_data.require_all_sources('messages are made of the values');
  RETURN QUERY SELECT r.outbox_id, r.kind, r.payload, r.dedup_key, r.attempt FROM cdp.outbox_take(destination, max_messages, lease) r;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n > 0 THEN
    PERFORM cdp_data.audit_write('deliver', 'destination ' || destination, NULL, jsonb_build_object('messages', n));
  END IF;
END
$$;
REVOKE ALL ON FUNCTION cdp_api.outbox_take(text, integer, interval) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.outbox_take(text, integer, interval) IS 'cdp.outbox_take() for the connector role, logged in the audit with the number of messages. Definer: a deliverer gets the messages that it has to send, and reads no table. Error 42501 for a role that is kept to some sources.';
CREATE OR REPLACE FUNCTION cdp_api.outbox_sent(outbox_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_all_sources('messages are made of the values');
  RETURN cdp.outbox_sent(outbox_id);
END
$$;
REVOKE ALL ON FUNCTION cdp_api.outbox_sent(bigint) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.outbox_sent(bigint) IS 'cdp.outbox_sent() for the connector role. Definer: as cdp_api.outbox_take().';
CREATE OR REPLACE FUNCTION cdp_api.outbox_failed(outbox_id bigint, error text, retry boolean DEFAULT true) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_all_sources('messages are made of the values');
  RETURN cdp.outbox_failed(outbox_id, error, retry);
END
$$;
REVOKE ALL ON FUNCTION cdp_api.outbox_failed(bigint, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.outbox_failed(bigint, text, boolean) IS 'cdp.outbox_failed() for the connector role. Definer: as cdp_api.outbox_take().';

-- step: again: road grants
SELECT cdp_internal.declare_grant('connector', 'EXECUTE', 'FUNCTION', f) FROM unnest(array[
  'cdp_api.identify(text,jsonb,jsonb,timestamptz,text)', 'cdp_api.alias(text,jsonb,jsonb,timestamptz,text)',
  'cdp_api.track(text,text,jsonb,jsonb,timestamptz,text,numeric,text,jsonb,jsonb,text,integer)',
  'cdp_api.page(text,jsonb,text,jsonb,timestamptz,text,jsonb)', 'cdp_api.group(text,jsonb,text,jsonb,timestamptz,text)',
  'cdp_api.ingest(text,jsonb)',
  'cdp_api.record_consent(text,text,text,jsonb,bigint,text,boolean,text,jsonb,timestamptz,timestamptz,text,text)', 'cdp_api.outbox_take(text,integer,interval)', 'cdp_api.outbox_sent(bigint)', 'cdp_api.outbox_failed(bigint,text,boolean)']) f;

-- step: again: retention plan
-- Definer: a privacy officer sees what will be deleted, as counts, without a right on keys and versions of every table.
CREATE OR REPLACE FUNCTION cdp_data.retention_plan(as_of timestamptz)
RETURNS TABLE (what text, name text, basis text, keep interval, cutoff timestamptz, method text, place text, past bigint, held bigint)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_all_sources('the retention plan counts the rows');
  RETURN QUERY SELECT * FROM cdp_internal.retention_plan_in(as_of);
END
$$;
REVOKE ALL ON FUNCTION cdp_data.retention_plan(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION cdp_data.retention_plan(timestamptz) IS 'cdp.retention_plan() with the rights of the tables'' owner. Error 42501 for a role that is kept to some sources.';

-- step: again: retention plan grants
SELECT cdp_internal.declare_grant('privacy', 'EXECUTE', 'FUNCTION', 'cdp_data.retention_plan(timestamptz)');
