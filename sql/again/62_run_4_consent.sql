-- Campaign runs: messages that wait follow what people and purposes say after the launch. Who refuses analytics is in no audience any
-- more, so what was written for him does not go; nor does what was written for an audience whose rule its purpose no longer allows.

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusal_of_run_consent(destination text, kind text, customer_id bigint, payload jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN kind = 'campaign' AND customer_id IS NOT NULL AND NOT cdp.consent_allowed(customer_id, 'analytics') THEN format('customer %s refuses analytics', customer_id) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusal_of_run_consent(text, text, bigint, jsonb) IS
'Refuses messages of runs (kind campaign) to customers whose data may not be analysed now, which also keeps them out of audiences; other messages pass. NULL: it is not refused.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusals_of_run_consent(destination text, kind text, customers bigint[], payloads jsonb[]) RETURNS TABLE (n bigint, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea;
  gate bytea;
BEGIN
  IF kind IS DISTINCT FROM 'campaign' OR cdp_internal.consent_gate_open('analytics') THEN
    RETURN;
  END IF;
  map := cdp_internal.customer_map();
  gate := cdp_internal.consent_gate('analytics', '', ARRAY(SELECT DISTINCT cdp_internal.customer_root(map, NULL, c, NULL) FROM unnest(customers) c WHERE c IS NOT NULL));
  RETURN QUERY
  SELECT w.n, format('customer %s refuses analytics', w.customer) FROM unnest(customers) WITH ORDINALITY AS w (customer, n)
  WHERE gate IS NOT NULL AND w.customer IS NOT NULL AND NOT cdp_internal.bitmap_has(gate, cdp_internal.customer_root(map, NULL, w.customer, NULL));
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusals_of_run_consent(text, text, bigint[], jsonb[]) IS
'The same for many messages (cdp_internal.outbox_refusals()): a row for each that is refused, with its place and the reason.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_changed_for_run(roots bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  under bigint[] := CASE WHEN roots IS NOT NULL THEN ARRAY(SELECT u FROM unnest(roots) r, cdp_internal.customers_under(r) u) END;
  gate bytea;
  names jsonb;
  r record;
  why text;
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.outbox o WHERE o.state = 'waiting' AND o.kind = 'campaign' AND (under IS NULL OR o.customer_id = ANY (under))) THEN
    RETURN;
  END IF;
  gate := cdp_internal.consent_gate('analytics', '', roots);
  IF gate IS NOT NULL THEN
    UPDATE cdp_data.outbox o SET state = 'cancelled', payload = '{}', last_error = format('customer %s refuses analytics', o.customer_id)
    WHERE o.state = 'waiting' AND o.kind = 'campaign' AND (under IS NULL OR o.customer_id = ANY (under))
      AND NOT cdp_internal.bitmap_has(gate, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, o.customer_id, NULL));
  END IF;
  IF roots IS NOT NULL THEN
    RETURN;
  END IF;
  -- A purpose was changed, or what may be used for it.
  names := cdp_internal.segment_catalog();
  FOR r IN
    SELECT c.campaign_run_id, s.name, s.purpose, v.rule FROM cdp_data.campaign_run c JOIN cdp_data.segment s USING (segment_id)
      JOIN cdp_data.segment_version v ON v.segment_id = s.segment_id AND v.version = coalesce(c.segment_version, s.version)
    WHERE EXISTS (SELECT FROM cdp_data.campaign_exposure e JOIN cdp_data.outbox o USING (outbox_id) WHERE e.campaign_run_id = c.campaign_run_id AND o.state = 'waiting')
    ORDER BY 1
  LOOP
    why := (SELECT c.message FROM cdp_internal.segment_check_as(r.rule, r.purpose, r.name, names) c WHERE c.code = 'E_PURPOSE' LIMIT 1);
    UPDATE cdp_data.outbox o SET state = 'cancelled', payload = '{}', last_error = why
    FROM cdp_data.campaign_exposure e WHERE why IS NOT NULL AND e.campaign_run_id = r.campaign_run_id AND o.outbox_id = e.outbox_id AND o.state = 'waiting';
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_changed_for_run(bigint[]) IS
'Cancels messages of runs that wait for who refuses analytics now, and of runs whose rule reads what its purpose no longer allows, in the transaction in which that is said (cdp_internal.consent_told()).';
