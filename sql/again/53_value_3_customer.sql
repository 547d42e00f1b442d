-- Customer value over our own touchpoints: purchases summed up, models fitted, what they say about each customer.

CREATE OR REPLACE FUNCTION cdp_internal.value_summaries(as_of timestamptz, unit text, once_per text, conversions text[])
RETURNS cdp.customer_summary[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
DECLARE
  options jsonb;
  kinds text[];
  rows record;
  summaries cdp.customer_summary[];
BEGIN
  PERFORM cdp_internal.require_setup();
  options := cdp.rfm_options(as_of, unit => unit, once_per => once_per, timezone => (SELECT s.timezone FROM cdp_data.setting s));
  -- Refunds go with what they refund, whichever kinds were chosen.
  kinds := conversions || ARRAY(
    SELECT k.name FROM cdp_data.touch_kind_all k
    WHERE k.is_conversion AND (conversions IS NULL OR k.name IN ('refund', 'chargeback')) AND k.name <> ALL (coalesce(conversions, '{}'))
      AND (k.allowed_purposes IS NULL OR 'analytics' = ANY (k.allowed_purposes)));
  rows := cdp_internal.journey_rows('kind', NULL, kinds, NULL, as_of);
  -- A refund that names its purchase counts where that one was, and waits for it when it is not here.
  EXECUTE format($sql$
    WITH refund AS MATERIALIZED (
      SELECT f.touchpoint_id AS id, b.occurred_at AS at, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), b.customer_id, b.identifier_id) AS root
      FROM cdp_data.touchpoint f
        LEFT JOIN cdp_data.touchpoint b ON b.touchpoint_id = f.refers_to AND b.occurred_at < %1$L::timestamptz AND b.flags & 3 = 0
          AND b.kind_id IN (SELECT k.kind_id FROM cdp_data.touch_kind_all k WHERE k.name = ANY (%2$L::text[]))
      WHERE f.refers_to IS NOT NULL AND f.occurred_at < %1$L::timestamptz)
    SELECT cdp.rfm_pass(coalesce(c.root, r.key), coalesce(c.at, r.at), r.value, %3$L::jsonb)
    FROM (%4$s) r LEFT JOIN refund c ON c.id = r.id
    WHERE r.value <> 0 AND (c.id IS NULL OR c.at IS NOT NULL)$sql$, as_of, kinds, options, rows.query)
    INTO summaries
    USING rows.names, rows.codes, rows.campaigns, rows.breakdown_names, rows.breakdown_codes, rows.breakdown_campaigns, rows.members, rows.roots, rows.gate;
  RETURN coalesce(summaries, '{}');
END
$$;
COMMENT ON FUNCTION cdp_internal.value_summaries(timestamptz, text, text, text[]) IS
'Purchases of all customers before as_of, summed up by cdp.rfm_pass in the reporting time zone and currency: conversions (of these kinds; NULL: all) with a value above 0, less refunds, each at the rate of its day; bots, internal traffic and customers without consent to analytics left out; key is the root''s id. A refund that names its purchase lowers that one, of whichever customer; one whose purchase is not here is left out. Empty, never NULL. Errors: 22000 a missing rate, 22023 unknown kinds or words, 54000 more than some 7 million customers, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.value_fits(summaries cdp.customer_summary[], model text, OUT fit jsonb, OUT money_fit jsonb)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_choice('model', model, '{bgnbd,mbgnbd,paretonbd,bgbb}');
  -- Only the one that is asked for is fitted.
  CASE model
    WHEN 'bgnbd' THEN fit := (SELECT cdp.fit_bgnbd(s.frequency, s.recency, s.t_age) FROM unnest(summaries) s);
    WHEN 'mbgnbd' THEN fit := (SELECT cdp.fit_mbgnbd(s.frequency, s.recency, s.t_age) FROM unnest(summaries) s);
    WHEN 'paretonbd' THEN fit := (SELECT cdp.fit_paretonbd(s.frequency, s.recency, s.t_age) FROM unnest(summaries) s);
    ELSE fit := (SELECT cdp.fit_bgbb(s.frequency, s.recency, s.t_age) FROM unnest(summaries) s);
  END CASE;
  IF (SELECT count(DISTINCT (s.frequency, s.monetary)) FROM unnest(summaries) s WHERE s.frequency > 0 AND s.monetary > 0) > 1 THEN
    money_fit := (SELECT cdp.fit_gammagamma(s.frequency, s.monetary) FROM unnest(summaries) s WHERE s.frequency > 0 AND s.monetary > 0);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.value_fits(cdp.customer_summary[], text) IS
'Fits a model of purchases, and Gamma-Gamma to those who bought again and were not refunded all (NULL: fewer than two different ones), to the summaries of cdp.rfm_pass. Errors: 22000 when they cannot be told from the data, 22023 unknown model.';

CREATE OR REPLACE FUNCTION cdp_internal.value_rows(summaries cdp.customer_summary[], fit jsonb, money_fit jsonb, horizon double precision, discount_rate double precision, step double precision)
RETURNS TABLE (customer_id bigint, frequency integer, recency double precision, t_age double precision, monetary double precision, total numeric, first_at timestamptz, last_at timestamptz,
  p_alive double precision, expected_purchases double precision, expected_value double precision, ltv double precision)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT s.key::bigint, s.frequency, s.recency, s.t_age, s.monetary, s.total, s.first_at, s.last_at,
    cdp.probability_alive(value_rows.fit, s.frequency, s.recency, s.t_age), cdp.expected_purchases(value_rows.fit, value_rows.horizon, s.frequency, s.recency, s.t_age), v.value,
    cdp.lifetime_value(value_rows.fit, v.value, value_rows.horizon, value_rows.discount_rate, value_rows.step, s.frequency, s.recency, s.t_age)
  FROM unnest(value_rows.summaries) s
    -- whose repeat purchases were refunded in full has spent next to nothing on them
    CROSS JOIN LATERAL (SELECT cdp.expected_value(value_rows.money_fit, s.frequency, greatest(s.monetary, 0.000001)) AS value OFFSET 0) v;
END;
COMMENT ON FUNCTION cdp_internal.value_rows(cdp.customer_summary[], jsonb, jsonb, double precision, double precision, double precision) IS
'What two fits say about the customers of summaries whose keys are their ids: the rows of cdp.customer_value().';

CREATE OR REPLACE FUNCTION cdp.customer_value_fit(as_of timestamptz DEFAULT now(), model text DEFAULT 'bgnbd', unit text DEFAULT 'day', once_per text DEFAULT 'day', conversions text[] DEFAULT NULL,
  OUT fit jsonb, OUT money_fit jsonb, OUT customers bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  summaries cdp.customer_summary[] := cdp_internal.value_summaries(as_of, unit, once_per, conversions);
BEGIN
  customers := cardinality(summaries);
  SELECT f.fit, f.money_fit INTO fit, money_fit FROM cdp_internal.value_fits(summaries, model) f;
END
$$;
COMMENT ON FUNCTION cdp.customer_value_fit(timestamptz, text, text, text, text[]) IS
'The models that cdp.customer_value() fits, with the same arguments: purchases (bgnbd, mbgnbd, paretonbd, or bgbb with once_per the same as unit) and money (Gamma-Gamma; NULL when fewer than two customers bought again), and to how many customers. Figures of all together: parameters name nobody. NULL fits over nobody. Errors as cdp.customer_value().';

CREATE OR REPLACE FUNCTION cdp.customer_value(as_of timestamptz DEFAULT now(), horizon double precision DEFAULT 365, model text DEFAULT 'bgnbd', unit text DEFAULT 'day', once_per text DEFAULT 'day',
  discount_rate double precision DEFAULT 0, step double precision DEFAULT 30, conversions text[] DEFAULT NULL, customer_ids bigint[] DEFAULT NULL, fit jsonb DEFAULT NULL, money_fit jsonb DEFAULT NULL)
RETURNS TABLE (customer_id bigint, frequency integer, recency double precision, t_age double precision, monetary double precision, total numeric, first_at timestamptz, last_at timestamptz,
  p_alive double precision, expected_purchases double precision, expected_value double precision, ltv double precision)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  summaries cdp.customer_summary[] := cdp_internal.value_summaries(customer_value.as_of, unit, once_per, conversions);
  fitted record;
  wanted text[];
BEGIN
  IF customer_value.fit IS NULL OR customer_value.money_fit IS NULL THEN
    fitted := cdp_internal.value_fits(summaries, coalesce(customer_value.fit ->> 'model', model));
    customer_value.fit := coalesce(customer_value.fit, fitted.fit);
    customer_value.money_fit := coalesce(customer_value.money_fit, fitted.money_fit);
  END IF;
  IF customer_ids IS NOT NULL THEN
    -- Asked for by any id that was merged into it.
    wanted := ARRAY(SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, c, NULL)::text FROM unnest(customer_ids) c);
    summaries := ARRAY(SELECT s FROM unnest(summaries) s WHERE s.key = ANY (wanted));
  END IF;
  RETURN QUERY SELECT * FROM cdp_internal.value_rows(summaries, customer_value.fit, customer_value.money_fit, horizon, discount_rate, step);
  PERFORM cdp_internal.audit_read('customer_value', CASE WHEN cardinality(customer_ids) = 1 THEN cdp_internal.root_of(customer_ids[1]) END);
END
$$;
COMMENT ON FUNCTION cdp.customer_value(timestamptz, double precision, text, text, text, double precision, double precision, text[], bigint[], jsonb, jsonb) IS
'What each customer (root) has bought before as_of and is expected to: frequency, recency and t_age (in unit: day, week, month, year) as cdp.rfm_pass has them, with one purchase per once_per; monetary, total in the reporting currency; p_alive; purchases expected within the horizon (in unit); expected_value of one of them; ltv, their discounted value: cdp.lifetime_value() with discount_rate per step (in unit). Purchases are conversions with a value above 0 (of the kinds in conversions; NULL: all), less refunds, each at the rate of its day; merges, unmerges and erasures count at once; bots, internal traffic and customers without consent to analytics are left out (a NOTICE says so). model: bgnbd, mbgnbd, paretonbd, or bgbb with once_per the same as unit; fitted to all customers unless fit and money_fit bring parameters. customer_ids: only these, by any id that was merged into them; the fit is still that of all. expected_value and ltv are NULL where money cannot be told. Figures stand beside customer numbers, without identifiers; touchpoints that the reader may not see are not in them. In no order. The read leaves a row in cdp_data.audit, so it needs a writable session. Errors: 25006 in a read-only transaction or on a standby, 42501 without rights on touchpoints, 22000 data that tell no model, or a missing rate, 22023 unknown words, kinds and horizons that cannot be, 55000 before cdp.setup().';
