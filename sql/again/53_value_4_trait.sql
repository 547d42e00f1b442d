-- Traits: figures of customers that rules may ask for, kept in cdp_data.trait_value.

CREATE OR REPLACE FUNCTION cdp_internal.trait_fit(fit jsonb, as_of timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
BEGIN
  IF fit IS NOT NULL THEN
    INSERT INTO cdp_data.value_fit (model, as_of, parameters, log_likelihood, customers, converged)
    VALUES (fit ->> 'model', trait_fit.as_of, fit, (fit ->> 'log_likelihood')::double precision, (fit ->> 'customers')::numeric::bigint, (fit ->> 'converged')::boolean)
    RETURNING fit_id INTO id;
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.trait_fit(jsonb, timestamptz) IS
'Keeps a fit in cdp_data.value_fit; returns its number, NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp.refresh_traits(as_of timestamptz DEFAULT now())
RETURNS TABLE (trait text, customers bigint, written bigint, removed bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  s cdp_data.trait_setting;
  summaries cdp.customer_summary[];
  fits record;
  of_purchases integer;
  of_money integer;
  t record;
BEGIN
  PERFORM cdp_internal.require_setup();
  -- Two refreshes wait for each other.
  SELECT * INTO STRICT s FROM cdp_data.trait_setting FOR UPDATE;
  -- So does who defines one anew, or it would get values of its definition of before.
  PERFORM FROM cdp_data.trait d WHERE d.kind <> 'own' ORDER BY d.trait_id FOR UPDATE;
  summaries := cdp_internal.value_summaries(refresh_traits.as_of, 'day', 'day', s.conversions);
  BEGIN
    fits := cdp_internal.value_fits(summaries, s.model);
  EXCEPTION WHEN data_exception THEN
    -- Scores need no model.
    RAISE WARNING 'traits of models have no values: %', SQLERRM;
    fits := (SELECT r FROM (SELECT NULL::jsonb AS fit, NULL::jsonb AS money_fit) r);
  END;
  of_purchases := cdp_internal.trait_fit(fits.fit, refresh_traits.as_of);
  of_money := cdp_internal.trait_fit(fits.money_fit, refresh_traits.as_of);
  CREATE TEMP TABLE cdp_trait_new ON COMMIT DROP AS
  SELECT x.name, r.key::bigint AS customer_id, x.value::double precision AS value, NULL::text AS word
  FROM cdp.rfm_scores(summaries, s.scores, s.method, s.ties, s.monetary) r
    CROSS JOIN LATERAL (VALUES ('rfm_r', r.r), ('rfm_f', r.f), ('rfm_m', r.m), ('rfm_score', r.score)) x (name, value);
  INSERT INTO pg_temp.cdp_trait_new (name, customer_id, value)
  SELECT x.name, v.customer_id, x.value
  FROM cdp_internal.value_rows(summaries, fits.fit, fits.money_fit, s.horizon, s.discount_rate, s.step) v
    CROSS JOIN LATERAL (VALUES ('p_alive', v.p_alive), ('expected_purchases', v.expected_purchases), ('ltv', v.ltv)) x (name, value)
  WHERE x.value IS NOT NULL;
  INSERT INTO pg_temp.cdp_trait_new (name, customer_id, value, word)
  SELECT c.name, c.customer_id, c.value, c.word FROM cdp_internal.computed_traits(refresh_traits.as_of) c;
  ANALYZE pg_temp.cdp_trait_new;
  FOR t IN SELECT d.trait_id, d.name, d.kind FROM cdp_data.trait d WHERE d.kind <> 'own' ORDER BY d.trait_id LOOP
    trait := t.name;
    customers := (SELECT count(*) FROM pg_temp.cdp_trait_new n WHERE n.name = t.name);
    DELETE FROM cdp_data.trait_value v WHERE v.trait_id = t.trait_id
      AND NOT EXISTS (SELECT FROM pg_temp.cdp_trait_new n WHERE n.name = t.name AND n.customer_id = v.customer_id);
    GET DIAGNOSTICS removed = ROW_COUNT;
    INSERT INTO cdp_data.trait_value AS v (trait_id, customer_id, value, word)
    SELECT t.trait_id, n.customer_id, n.value, n.word FROM pg_temp.cdp_trait_new n WHERE n.name = t.name ORDER BY n.customer_id
    ON CONFLICT ON CONSTRAINT trait_value_pkey DO UPDATE SET value = excluded.value, word = excluded.word
    WHERE (v.value, v.word) IS DISTINCT FROM (excluded.value, excluded.word);
    GET DIAGNOSTICS written = ROW_COUNT;
    UPDATE cdp_data.trait d SET definition = CASE t.kind WHEN 'computed' THEN d.definition ELSE to_jsonb(s) - 'only_row' END, version = d.version + CASE WHEN written + removed > 0 THEN 1 ELSE 0 END, as_of = refresh_traits.as_of, refreshed_at = clock_timestamp(),
      fit_id = CASE d.name WHEN 'ltv' THEN of_money WHEN 'p_alive' THEN of_purchases WHEN 'expected_purchases' THEN of_purchases END
    WHERE d.trait_id = t.trait_id;
    RETURN NEXT;
  END LOOP;
  DROP TABLE pg_temp.cdp_trait_new;
END
$$;
COMMENT ON FUNCTION cdp.refresh_traits(timestamptz) IS
'Makes the built-in and computed traits of all customers anew from what they did before as_of, as cdp_data.trait_setting says, in one transaction: scores rfm_r, rfm_f, rfm_m, rfm_score by cdp.rfm_scores(), p_alive, expected_purchases, ltv by cdp.customer_value() in days, and those of cdp.define_trait() from their events. Returns for each trait how many customers have it, and how many rows were written (new or other) and removed. Fits are kept in cdp_data.value_fit. Where the data tell no model, its traits have no values and a WARNING says why. Two refreshes wait for each other. Needs the rights of the tables'' owner; the job list runs it daily. Errors: 22000 a missing rate, 22023 a kind of trait_setting.conversions that is none, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_value()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.trait') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'traits are not refreshed', format('%s: last on %s', string_agg(t.name, ', ' ORDER BY t.name), min(t.refreshed_at)),
    'See that the job list runs (cdp.schedule()), or run SELECT * FROM cdp.refresh_traits();'
  FROM cdp_data.trait t WHERE t.kind <> 'own' AND t.refreshed_at < now() - interval '3 days' HAVING count(*) > 0
  UNION ALL
  SELECT 'warning', 'model of customer value did not converge', format('%s of %s, to %s customers', f.model, f.as_of, f.customers),
    'Look at parameters and at_bound in cdp_data.value_fit; choose another model in cdp_data.trait_setting'
  FROM cdp_data.value_fit f WHERE NOT f.converged AND f.fit_id IN (SELECT t.fit_id FROM cdp_data.trait t);
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_value() IS
'Findings of cdp.health() about traits: not refreshed for three days, a model that did not converge.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_value(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY SELECT 'cdp_data.trait_value', 'delete', cdp_internal.erase_keyed('cdp_data.trait_value', 'customer_id', customers || homes);
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_value(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes the traits of a person who is erased; the unlinked customer that keeps his touches gets figures of his own at the next refresh. Returns what was done.';
