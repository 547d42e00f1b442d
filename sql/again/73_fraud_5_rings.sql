-- Referral room, fraud: rings, looked for among all accounts and the strong attributes that they share.

CREATE OR REPLACE FUNCTION cdp.find_fraud_rings(as_of timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  hub_cap integer := (SELECT (b.parameters ->> 'hub_cap')::integer FROM cdp.fraud_rule_builtin() b WHERE b.code = 'ring.component');
  run bigint;
  few cdp.fraud_graph;
  few_named cdp.fraud_graph;
  shared cdp.fraud_graph;
  all_accounts bigint;
  all_edges bigint;
  found_accounts bigint;
BEGIN
  as_of := coalesce(as_of, now());
  IF NOT isfinite(as_of) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'rings are as of a moment', HINT = 'Leave as_of out for now.';
  END IF;
  WITH has AS (
    SELECT c.customer_id, x.attribute
    FROM cdp_data.referral_conversion c CROSS JOIN LATERAL (VALUES ('device ' || encode(c.device_digest, 'hex')), ('pay ' || encode(c.payment_digest, 'hex')), ('address ' || encode(c.address_digest, 'hex'))) AS x (attribute)
    WHERE c.occurred_at <= as_of AND NOT c.is_test AND coalesce(c.retracted_at > as_of, true) AND x.attribute IS NOT NULL
    UNION ALL
    SELECT k.customer_id, 'device ' || encode(k.device_digest, 'hex') FROM cdp_data.referral_click k
    WHERE k.clicked_at <= as_of AND NOT k.is_test AND NOT k.bot AND NOT k.prefetch AND coalesce(k.retracted_at > as_of, true) AND k.customer_id IS NOT NULL AND k.device_digest IS NOT NULL
    UNION ALL
    SELECT f.customer_id, CASE f.kind WHEN 'device' THEN 'device ' WHEN 'address' THEN 'address ' ELSE 'pay ' END || encode(f.digest, 'hex') FROM cdp_data.fraud_fact f
    WHERE f.first_at <= as_of AND f.kind IN ('device', 'payment', 'payout', 'address')),
  edge AS (
    SELECT DISTINCT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, h.customer_id, NULL) AS account, h.attribute FROM has h),
  counted AS (SELECT e.account, e.attribute, count(*) OVER (PARTITION BY e.attribute) AS n FROM edge e)
  SELECT cdp.fraud_graph(c.account, c.attribute) FILTER (WHERE c.n BETWEEN 2 AND hub_cap), cdp.fraud_graph('account ' || c.account, c.attribute) FILTER (WHERE c.n BETWEEN 2 AND hub_cap),
    cdp.fraud_graph(c.account, c.attribute) FILTER (WHERE c.n > 1), count(DISTINCT c.account), count(*)
  INTO few, few_named, shared, all_accounts, all_edges FROM counted c;
  INSERT INTO cdp_data.fraud_ring_run (as_of, accounts, edges) VALUES (as_of, all_accounts, all_edges) RETURNING fraud_ring_run_id INTO run;
  INSERT INTO cdp_data.fraud_ring (fraud_ring_run_id, customer_id, component, component_size, core, dense)
  -- Peeling puts parts together that have nothing to do with each other, such as all couples: who is dense also hangs together with others.
  SELECT run, c.account, c.component, c.accounts, k.core, d.account IS NOT NULL AND c.accounts >= 5 AND k.core >= 2
  FROM cdp.fraud_components(few, hub_cap) c
    LEFT JOIN (SELECT substr(x.account, 9)::bigint AS account, x.core FROM cdp.fraud_core_text(few_named) x WHERE x.account LIKE 'account %') k ON k.account = c.account
    LEFT JOIN (SELECT DISTINCT x.account FROM cdp.fraud_dense_blocks(shared, 5) x WHERE x.account IS NOT NULL AND x.accounts >= 5 AND x.attributes >= 3) d ON d.account = c.account;
  GET DIAGNOSTICS found_accounts = ROW_COUNT;
  RETURN found_accounts;
END
$$;
COMMENT ON FUNCTION cdp.find_fraud_rings(timestamptz) IS
'Looks for rings as of a moment (now unless said) among all accounts and their strong attributes: devices, accounts of payment and payout, delivery addresses of clicks, conversions and observations. Writes cdp_data.fraud_ring: for each account that shares one with others the size of its component (attributes of more than ten accounts link nobody), its core number among accounts and attributes, and whether it is in one of the five densest blocks, if that has five accounts and three attributes or more and the account hangs together with four others, at core number 2 at least. Accounts are roots of now. The score reads the last run that is not after its moment, and lists the rings as missing before the first; it never rejects on them alone. Returns how many accounts it wrote. The job fraud_rings does it nightly. Errors: 22023 a moment that is infinite, 54000 above cdp.fraud_memory.';
