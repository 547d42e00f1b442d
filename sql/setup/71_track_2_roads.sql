-- Referral room, tracking: the roads of the connector role, as those of 34_access_2_roads, and the job.

-- step: again: referral roads
CREATE OR REPLACE FUNCTION cdp_api.referral_click(
  source text, source_key text, code text, clicked_at timestamptz DEFAULT now(), identifiers jsonb DEFAULT '{}', ip inet DEFAULT NULL, user_agent text DEFAULT NULL, device text DEFAULT NULL,
  referrer text DEFAULT NULL, url text DEFAULT NULL, channel text DEFAULT NULL, variant text DEFAULT '', asn bigint DEFAULT NULL, country text DEFAULT NULL, bot boolean DEFAULT false, prefetch boolean DEFAULT false,
  OUT result text, OUT suggestion text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(source);
  SELECT r.result, r.suggestion INTO result, suggestion
  FROM cdp.referral_click(source, source_key, code, clicked_at, identifiers, ip, user_agent, device, referrer, url, channel, variant, asn, country, bot, prefetch) r;
END
$$;
REVOKE ALL ON FUNCTION cdp_api.referral_click(text, text, text, timestamptz, jsonb, inet, text, text, text, text, text, text, bigint, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.referral_click(text, text, text, timestamptz, jsonb, inet, text, text, text, text, text, text, bigint, text, boolean, boolean) IS 'cdp.referral_click() for the connector role, without telling who came. Definer: a site tells of a click and reads no table.';
CREATE OR REPLACE FUNCTION cdp_api.referral_share(source text, source_key text, code text, channel text, shared_at timestamptz DEFAULT now(), recipient jsonb DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(source);
  RETURN (SELECT r.result FROM cdp.referral_share(source, source_key, code, channel, shared_at, recipient) r);
END
$$;
REVOKE ALL ON FUNCTION cdp_api.referral_share(text, text, text, text, timestamptz, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.referral_share(text, text, text, text, timestamptz, jsonb) IS 'cdp.referral_share() for the connector role: its result. Definer: as cdp_api.referral_click().';
CREATE OR REPLACE FUNCTION cdp_api.referral_convert(
  source text, source_key text, kind text, occurred_at timestamptz DEFAULT now(), identifiers jsonb DEFAULT '{}', value numeric DEFAULT NULL, currency text DEFAULT NULL, eligible numeric DEFAULT NULL,
  code text DEFAULT NULL, click text DEFAULT NULL, advocate jsonb DEFAULT NULL, ip inet DEFAULT NULL, user_agent text DEFAULT NULL, device text DEFAULT NULL, payment text DEFAULT NULL, address text DEFAULT NULL,
  properties jsonb DEFAULT '{}', OUT result text, OUT code_result text, OUT suggestion text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(source);
  SELECT r.result, r.code_result, r.suggestion INTO result, code_result, suggestion
  FROM cdp.referral_convert(source, source_key, kind, occurred_at, identifiers, value, currency, eligible, code, click, advocate, ip, user_agent, device, payment, address, properties) r;
END
$$;
REVOKE ALL ON FUNCTION cdp_api.referral_convert(text, text, text, timestamptz, jsonb, numeric, text, numeric, text, text, jsonb, inet, text, text, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.referral_convert(text, text, text, timestamptz, jsonb, numeric, text, numeric, text, text, jsonb, inet, text, text, text, text, jsonb) IS 'cdp.referral_convert() for the connector role, without telling what was decided. Definer: as cdp_api.referral_click().';
CREATE OR REPLACE FUNCTION cdp_api.referral_refund(source text, source_key text, conversion_key text, amount numeric, refunded_at timestamptz DEFAULT now(), eligible numeric DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(source);
  RETURN (SELECT r.result FROM cdp.referral_refund(source, source_key, conversion_key, amount, refunded_at, eligible) r);
END
$$;
REVOKE ALL ON FUNCTION cdp_api.referral_refund(text, text, text, numeric, timestamptz, numeric) FROM PUBLIC;
COMMENT ON FUNCTION cdp_api.referral_refund(text, text, text, numeric, timestamptz, numeric) IS 'cdp.referral_refund() for the connector role: its result. Definer: as cdp_api.referral_click().';

-- step: again: referral road grants
SELECT cdp_internal.declare_grant('connector', 'EXECUTE', 'FUNCTION', f) FROM unnest(array[
  'cdp_api.referral_click(text,text,text,timestamptz,jsonb,inet,text,text,text,text,text,text,bigint,text,boolean,boolean)', 'cdp_api.referral_share(text,text,text,text,timestamptz,jsonb)',
  'cdp_api.referral_convert(text,text,text,timestamptz,jsonb,numeric,text,numeric,text,text,jsonb,inet,text,text,text,text,jsonb)', 'cdp_api.referral_refund(text,text,text,numeric,timestamptz,numeric)']) f;

-- step: again: referral job
SELECT cdp_internal.declare_job('referrals', 'referral', 'SELECT * FROM cdp.referral_tick()', '1 minute', 'Takes in what came about referrals by other roads, and decides again after merges, unmerges, corrections and loads that were taken back.');
