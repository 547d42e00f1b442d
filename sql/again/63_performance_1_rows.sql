-- Activation room, performance: the conversions, refunds and touches of cdp_data.touchpoint as the reports of this part
-- count them, in one scan, without a join between the table and the aggregate. All functions here only read.

CREATE OR REPLACE FUNCTION cdp_internal.performance_own(conversions text[], touches text[], bots boolean, internal boolean, currency text, missing_rate text)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  own jsonb := cdp_internal.attribution_own(conversions, touches, NULL, bots, internal, currency, missing_rate);
BEGIN
  -- A refund that names its conversion follows it, whatever kinds were chosen.
  RETURN own || jsonb_build_object('money', to_jsonb(ARRAY(SELECT DISTINCT k FROM unnest(cdp_internal.attribution_kinds(NULL, 'conversion') || cdp_internal.attribution_kinds(conversions, 'conversion')) k ORDER BY k)));
END $$;
COMMENT ON FUNCTION cdp_internal.performance_own(text[], text[], boolean, boolean, text, text) IS
'The choices of a report of performance, checked: those of cdp_internal.attribution_own(), and money, the kinds that may bring or take money.';

CREATE OR REPLACE FUNCTION cdp_internal.performance_value_sql(own jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format('(CASE WHEN t.kind_id = ANY (%L::smallint[]) THEN -abs(coalesce(t.value, 0)) ELSE coalesce(t.value, 0) END * %s)', translate(own->>'refunds', '[] ', '{}'),
  cdp_internal.attribution_rate_sql('t.currency', '(t.occurred_at AT TIME ZONE ''UTC'')::date', own->>'currency', own->>'missing_rate'));
COMMENT ON FUNCTION cdp_internal.performance_value_sql(jsonb) IS
'SQL text of what touchpoint t brings, in the reporting currency by the rate of its day, below 0 for refunds of whatever sign.';

CREATE OR REPLACE FUNCTION cdp_internal.performance_rows_sql(own jsonb, since timestamptz, until timestamptz, touches boolean, few boolean) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
DECLARE
  conversions text := translate(own->>'conversions', '[] ', '{}');
  refunds text := translate(own->>'refunds', '[] ', '{}');
  touched text := CASE WHEN touches THEN translate(own->>'touches', '[] ', '{}') ELSE '{}' END;
BEGIN
  -- OFFSET keeps the customer from being looked up twice a row.
  RETURN format('SELECT %1$s AS root, t.occurred_at AS at, t.touchpoint_id AS id,'
    ' CASE WHEN t.kind_id <> ALL (%2$L::smallint[]) OR t.refers_to IS NOT NULL THEN 0 WHEN t.kind_id = ANY (%3$L::smallint[]) OR t.value < 0 THEN 2 ELSE 1 END AS class, t.kind_id = ANY (%4$L::smallint[]) AS is_touch,'
    ' CASE WHEN t.kind_id = ANY (%2$L::smallint[]) AND t.refers_to IS NULL THEN %5$s END AS value'
    ' FROM cdp_data.touchpoint t WHERE t.occurred_at >= %6$L::timestamptz AND t.occurred_at < %7$L::timestamptz AND t.kind_id = ANY (%8$L::smallint[]) AND t.flags & %9$s = 0%10$s OFFSET 0',
    cdp_internal.touchpoint_root_sql(), conversions, refunds, touched, cdp_internal.performance_value_sql(own), since, until, (conversions::smallint[] || touched::smallint[])::text, own->>'hidden_flags',
    CASE WHEN few THEN ' AND t.customer_id = ANY ($3)' END);
END $$;
COMMENT ON FUNCTION cdp_internal.performance_rows_sql(jsonb, timestamptz, timestamptz, boolean, boolean) IS
'SQL text of the rows (root, at, id, class, is_touch, value) of since <= time < until: class 1 is a conversion, 2 a refund that names none, 0 the rest. touches: rows that are only touches, too. few: of the customers in $3 only. Merges and unmerges count at once; bots and internal traffic are left out as own says; consent is for the caller to ask.';

CREATE OR REPLACE FUNCTION cdp_internal.performance_refunds_sql(own jsonb, as_of timestamptz) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
BEGIN
  RETURN format('SELECT t.refers_to AS id, sum(%s) AS value FROM cdp_data.touchpoint t WHERE (t.refers_to IS NOT NULL OR t.value < 0) AND t.refers_to IS NOT NULL AND t.kind_id = ANY (%L::smallint[]) AND t.flags & %s = 0 AND t.occurred_at < %L::timestamptz GROUP BY t.refers_to',
    cdp_internal.performance_value_sql(own), translate(own->>'money', '[] ', '{}'), own->>'hidden_flags', as_of);
END $$;
COMMENT ON FUNCTION cdp_internal.performance_refunds_sql(jsonb, timestamptz) IS
'SQL text of the rows (id, value): what refunds before as_of took from each conversion that they name (touchpoint_refund_idx finds them).';

CREATE OR REPLACE FUNCTION cdp_internal.few_people(people bigint, everybody bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  least_people integer := cdp_internal.minimum_audience();
BEGIN
  RETURN coalesce(people BETWEEN 1 AND least_people - 1 OR everybody - people BETWEEN 1 AND least_people - 1, false);
END $$;
COMMENT ON FUNCTION cdp_internal.few_people(bigint, bigint) IS
'Whether a figure about these people, or what is left of everybody (NULL: of no matter), would tell of more than nobody and fewer than cdp_data.setting.minimum_audience. False without a minimum.';

CREATE OR REPLACE FUNCTION cdp_internal.require_moments(since timestamptz, until timestamptz) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF since IS NULL OR until IS NULL OR since >= until THEN
    RAISE EXCEPTION 'the window must end after it begins'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is from %s to %s.', coalesce(since::text, 'NULL'), coalesce(until::text, 'NULL'));
  END IF;
END $$;
COMMENT ON FUNCTION cdp_internal.require_moments(timestamptz, timestamptz) IS 'Error 22023 unless since < until, both given.';

CREATE OR REPLACE FUNCTION cdp_internal.require_confidence(confidence double precision) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT coalesce(confidence > 0 AND confidence < 1, false) THEN
    RAISE EXCEPTION 'a confidence must lie between 0 and 1'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(confidence::text, 'NULL')), HINT = 'Such as 0.95.';
  END IF;
END $$;
COMMENT ON FUNCTION cdp_internal.require_confidence(double precision) IS 'Error 22023 unless 0 < confidence < 1.';

CREATE OR REPLACE FUNCTION cdp_internal.require_whole_people() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  -- Row security would show such a role nobody, which looks like an answer.
  IF cdp_data.sources_of(current_user::text) IS NOT NULL THEN
    RAISE EXCEPTION 'members and exposures are of people, not of sources'
      USING ERRCODE = 'insufficient_privilege', DETAIL = 'The role is kept to some sources.', HINT = 'Ask with a role that is kept to none (cdp.restrict_to_sources()).';
  END IF;
END $$;
COMMENT ON FUNCTION cdp_internal.require_whole_people() IS
'Error 42501 for a role that is kept to some sources, to whom members and exposures are hidden; 55000 before cdp.setup().';
