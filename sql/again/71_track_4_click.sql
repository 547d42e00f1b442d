-- Referral room, tracking: clicks on links and shares, one at a time.

CREATE OR REPLACE FUNCTION cdp_internal.referral_lookup(code text, guessers bytea[], OUT result text, OUT referral_code_id bigint, OUT folded text, OUT referral_campaign_id integer,
  OUT customer_id bigint, OUT is_test boolean, OUT channel text, OUT suggestion text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF cdp_internal.referral_throttled(guessers) THEN
    result := 'throttled';
    RETURN;
  END IF;
  SELECT r.referral_code_id, r.code, r.referral_campaign_id, r.customer_id, r.is_test, r.channel INTO referral_code_id, folded, referral_campaign_id, customer_id, is_test, channel
  FROM cdp_data.referral_code r WHERE r.code = cdp_internal.referral_code_fold(referral_lookup.code);
  IF NOT FOUND THEN
    result := 'unknown_code';
    suggestion := (cdp.referral_code_check(referral_lookup.code)).suggestion;
    PERFORM cdp_internal.referral_guessed(guessers);
  ELSE
    result := 'found';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_lookup(text, bytea[]) IS
'Looks a code up for somebody who sent it: result found, unknown_code (counted against him; suggestion as cdp.referral_code_check() gives it), or throttled: too many that are none came from him, or without an address by his source, and this one was not looked up: no answer or error behind it depends on whether it is a code.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_named_people() RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN ARRAY(
    SELECT DISTINCT cdp_internal.identifier_root(v.identifier_id)
    FROM cdp_data.referral_conversion v JOIN cdp_data.referral_click h ON h.source_id = v.source_id AND h.source_key = v.named_click
    WHERE v.named_click IS NOT NULL AND v.referral_click_id IS NULL AND h.is_test = v.is_test AND v.identifier_id > 0 AND v.recorded_at > clock_timestamp() - interval '90 days' ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_named_people() IS
'The people of conversions whose named click came but is not tied to them yet: both were told in the same moment, or the click came by a load. cdp.referral_tick() ties them: a click decides nothing and waits for nobody. A click that comes 90 days after the conversion was told is not waited for. Empty without any.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_tie(roots bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  n bigint;
BEGIN
  UPDATE cdp_data.referral_conversion v SET referral_click_id = h.referral_click_id, named_click = NULL
  FROM cdp_data.referral_click h
  WHERE v.named_click IS NOT NULL AND v.referral_click_id IS NULL AND h.source_id = v.source_id AND h.source_key = v.named_click AND h.is_test = v.is_test
    AND v.identifier_id > 0 AND cdp_internal.identifier_root(v.identifier_id) = ANY (roots);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_tie(bigint[]) IS
'Ties conversions of these roots, whom the caller holds, to the clicks that the shop had named before they were told. A click for a test is not tied to an order that is none: it is no evidence of it. Returns how many were tied.';

CREATE OR REPLACE FUNCTION cdp.referral_click(
  source text, source_key text, code text, clicked_at timestamptz DEFAULT now(), identifiers jsonb DEFAULT '{}', ip inet DEFAULT NULL, user_agent text DEFAULT NULL,
  device text DEFAULT NULL, referrer text DEFAULT NULL, url text DEFAULT NULL, channel text DEFAULT NULL, variant text DEFAULT '', asn bigint DEFAULT NULL, country text DEFAULT NULL,
  bot boolean DEFAULT false, prefetch boolean DEFAULT false,
  OUT result text, OUT referral_click_id bigint, OUT customer_id bigint, OUT suggestion text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  k record := cdp_internal.referral_key(source, source_key, referral_click.clicked_at);
  c record;
  t record;
  old record;
  host text := cdp_internal.referral_host(referrer);
  robot boolean := coalesce(bot, false) OR cdp_internal.is_bot_agent(user_agent);
  clean record;
  added boolean;
  land text := upper(btrim(country));
BEGIN
  IF land !~ '^[A-Z]{2}$' OR asn NOT BETWEEN 0 AND 4294967295 OR octet_length(channel) > 100 OR octet_length(variant) > 200 THEN
    RAISE EXCEPTION 'country, asn, channel or variant is none' USING ERRCODE = 'invalid_parameter_value', HINT = 'country has two letters (ISO 3166), asn is a number up to 4294967295, channel has up to 100 and variant up to 200 bytes.';
  END IF;
  c := cdp_internal.referral_lookup(code, cdp_internal.referral_guessers(k.source_id, ip, cdp_internal.known_customer(identifiers)));
  suggestion := c.suggestion;
  IF c.referral_code_id IS NULL THEN
    result := c.result;
    RETURN;
  END IF;
  SELECT x.referral_click_id, x.customer_id, x.identifier_id, x.referral_code_id, x.clicked_at, x.retracted_at INTO old
  FROM cdp_data.referral_click x WHERE x.source_id = k.source_id AND x.source_key = k.key;
  IF FOUND AND (old.referral_code_id <> c.referral_code_id OR old.clicked_at <> referral_click.clicked_at) THEN
    PERFORM cdp_internal.referral_differs(k.key, 'click');
  END IF;
  clean := cdp_internal.clean_identifiers(coalesce(identifiers, '{}'));
  SELECT NULL::text AS status, NULL::bigint AS touchpoint_id, NULL::bigint AS identifier_id, NULL::bigint AS home_id, NULL::bigint AS named INTO t;
  IF clean.type_ids <> '{}' OR clean.refused @> '[{"code": "suppressed"}]' THEN
    t := cdp_internal.referral_touch(source, 'referral_click', identifiers, jsonb_strip_nulls(jsonb_build_object('referral_code_id', c.referral_code_id, 'channel', nullif(coalesce(channel, c.channel), ''), 'variant', nullif(variant, ''))),
      referral_click.clicked_at, k.key, NULL, NULL, jsonb_build_object('source', 'referral_program', 'medium', coalesce(nullif(coalesce(channel, c.channel), ''), 'referral_program'),
        'campaign', (SELECT r.name FROM cdp_data.referral_campaign r WHERE r.referral_campaign_id = c.referral_campaign_id), 'referrer_host', host), NULL, CASE WHEN robot THEN 1 ELSE 0 END + CASE WHEN c.is_test THEN 2 ELSE 0 END);
    IF t.status = 'suppressed' THEN
      result := 'suppressed';
      RETURN;
    ELSIF t.named <> c.referral_code_id THEN -- before the job as after it
      PERFORM cdp_internal.referral_differs(k.key, 'click');
    END IF;
  END IF;
  INSERT INTO cdp_data.referral_click AS x (source_id, source_key, referral_code_id, referral_campaign_id, clicked_at, identifier_id, customer_id, touchpoint_id, ip_digest, net_digest, agent_digest, device_digest,
    referrer_host, asn, country, paid, bot, prefetch, is_test, channel, variant)
  VALUES (k.source_id, k.key, c.referral_code_id, c.referral_campaign_id, referral_click.clicked_at, t.identifier_id, t.home_id, t.touchpoint_id, cdp_internal.referral_digest('ip', host(cdp_internal.plain_ip(ip))),
    cdp_internal.referral_digest('net', cdp_internal.ip_network(ip)), cdp_internal.referral_digest('agent', user_agent), cdp_internal.referral_digest('device', device), host, asn, land, cdp_internal.is_paid_url(url), robot,
    coalesce(prefetch, false), c.is_test, coalesce(channel, c.channel), coalesce(variant, ''))
  -- One that the job or a batch took first lacks what only the call knows. One without a touchpoint does not go with its batch any more; one that has a touchpoint goes with that.
  ON CONFLICT (source_id, source_key) DO UPDATE SET retracted_at = NULL, load_id = NULL, ip_digest = coalesce(x.ip_digest, excluded.ip_digest), net_digest = coalesce(x.net_digest, excluded.net_digest),
    agent_digest = coalesce(x.agent_digest, excluded.agent_digest), device_digest = coalesce(x.device_digest, excluded.device_digest)
  WHERE (x.referral_code_id, x.clicked_at) = (excluded.referral_code_id, excluded.clicked_at) AND (x.retracted_at IS NOT NULL OR x.load_id IS NOT NULL OR x.ip_digest IS NULL AND excluded.ip_digest IS NOT NULL
    OR x.agent_digest IS NULL AND excluded.agent_digest IS NOT NULL OR x.device_digest IS NULL AND excluded.device_digest IS NOT NULL)
  RETURNING x.referral_click_id INTO referral_click_id;
  result := CASE WHEN old.referral_click_id IS NULL OR old.retracted_at IS NOT NULL THEN 'recorded' ELSE 'repeated' END;
  added := referral_click_id IS NOT NULL AND result = 'repeated';
  IF referral_click_id IS NULL THEN
    SELECT x.referral_click_id, x.referral_code_id, x.clicked_at INTO old FROM cdp_data.referral_click x WHERE x.source_id = k.source_id AND x.source_key = k.key;
    IF old.referral_code_id <> c.referral_code_id OR old.clicked_at <> referral_click.clicked_at THEN
      PERFORM cdp_internal.referral_differs(k.key, 'click'); -- of two at once
    END IF;
    referral_click_id := old.referral_click_id;
    result := 'repeated';
  END IF;
  customer_id := cdp_internal.identifier_root(t.identifier_id);
  IF added AND t.home_id IS NOT NULL THEN -- the job looks again
    PERFORM cdp_internal.feed_write(ARRAY[t.home_id], 'identify');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.referral_click(text, text, text, timestamptz, jsonb, inet, text, text, text, text, text, text, bigint, text, boolean, boolean) IS
'Tells that somebody came by a referral link: SELECT * FROM cdp.referral_click(''web'', ''hit 881'', ''K7M4-Q2TX-Q'', now(), ''{"cookie": "..."}'', ''203.0.113.9'', ''Mozilla/5.0 ...''). With an identifier that can identify somebody it is a touchpoint of kind referral_click, too, of the channel Referral Program. ip, user_agent and device are kept as keyed digests only (not at all without a key file); referrer is an address or a host, url that of the page, looked at for click ids of advertisements; channel NULL: that of the code. bot: told so, or by its name (cdp_internal.is_bot_agent()); prefetch: fetched ahead. result: recorded; repeated (the same source_key: nothing is changed, but addresses and browsers that the first record lacks are added; one that a load brought goes with that load when it is a touchpoint, and stays when it is none); unknown_code (nothing is kept; suggestion: what may be meant); throttled (too many codes that are none from this address or person: cdp_data.setting.referral_guesses; where no address is told, by the source, a hundred times as many: nothing is looked up and nothing is kept); suppressed (an erased person, nothing is kept). customer_id: the visitor, NULL when nothing identifies him. A code that has expired is recorded; whether a click counts is decided with the conversion. Errors: 23505 the key is that of another record; 22023 unknown source, no key, bad country; 22008 no credible time.';

CREATE OR REPLACE FUNCTION cdp_internal.customer_identifiers(customer bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT jsonb_build_object(k.name, i.value)
    FROM cdp_internal.members(cdp_internal.root_of(customer)) m JOIN cdp_data.identifier i USING (identifier_id) JOIN cdp_data.identifier_type_all k ON k.type_id = m.type_id
    WHERE i.state = 'active' ORDER BY k.role = 'attach_only', k.priority, m.identifier_id LIMIT 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.customer_identifiers(bigint) IS 'The strongest identifier of a customer as {"type": "value"}; NULL when he has none.';

CREATE OR REPLACE FUNCTION cdp.referral_share(source text, source_key text, code text, channel text, shared_at timestamptz DEFAULT now(), recipient jsonb DEFAULT NULL,
  OUT result text, OUT referral_share_id bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  k record := cdp_internal.referral_key(source, source_key, referral_share.shared_at);
  c record;
  t record;
  old record;
  ids jsonb;
  to_whom record;
BEGIN
  PERFORM cdp_internal.require_text('channel', channel, 100);
  c := cdp_internal.referral_lookup(code, cdp_internal.referral_guessers(k.source_id, NULL, NULL));
  IF c.referral_code_id IS NULL THEN
    result := c.result;
    RETURN;
  END IF;
  SELECT x.referral_share_id, x.referral_code_id, x.shared_at, x.channel, x.retracted_at INTO old FROM cdp_data.referral_share x WHERE x.source_id = k.source_id AND x.source_key = k.key;
  IF FOUND AND (old.referral_code_id, old.shared_at, old.channel) <> (c.referral_code_id, referral_share.shared_at, referral_share.channel) THEN
    PERFORM cdp_internal.referral_differs(k.key, 'share');
  END IF;
  to_whom := cdp_internal.clean_identifiers(coalesce(recipient, '{}'));
  SELECT NULL::text AS status, NULL::bigint AS touchpoint_id INTO t;
  ids := cdp_internal.customer_identifiers(c.customer_id);
  IF ids IS NOT NULL THEN
    t := cdp_internal.referral_touch(source, 'share', ids, jsonb_build_object('referral_code_id', c.referral_code_id, 'channel', channel), referral_share.shared_at, k.key, NULL, NULL, '{}', NULL, CASE WHEN c.is_test THEN 2 ELSE 0 END);
    IF t.status = 'suppressed' THEN
      result := 'suppressed';
      RETURN;
    END IF;
  END IF;
  INSERT INTO cdp_data.referral_share AS x (source_id, source_key, referral_code_id, referral_campaign_id, customer_id, channel, shared_at, touchpoint_id, recipient_digest, is_test)
  VALUES (k.source_id, k.key, c.referral_code_id, c.referral_campaign_id, c.customer_id, channel, referral_share.shared_at, t.touchpoint_id,
    CASE WHEN to_whom.type_ids <> '{}' THEN cdp_internal.referral_digest('recipient', to_whom.type_ids[1] || ':' || to_whom.vals[1]) END, c.is_test)
  ON CONFLICT (source_id, source_key) DO UPDATE SET retracted_at = NULL, load_id = NULL WHERE x.retracted_at IS NOT NULL OR x.load_id IS NOT NULL AND (x.referral_code_id, x.shared_at, x.channel) = (excluded.referral_code_id, excluded.shared_at, excluded.channel) RETURNING x.referral_share_id INTO referral_share_id;
  IF referral_share_id IS NULL THEN
    SELECT x.referral_share_id, x.referral_code_id, x.shared_at, x.channel, x.retracted_at INTO old FROM cdp_data.referral_share x WHERE x.source_id = k.source_id AND x.source_key = k.key;
    IF (old.referral_code_id, old.shared_at, old.channel) <> (c.referral_code_id, referral_share.shared_at, referral_share.channel) THEN
      PERFORM cdp_internal.referral_differs(k.key, 'share'); -- of two at once
    END IF;
  END IF;
  result := CASE WHEN referral_share_id IS NULL OR old.referral_share_id IS NOT NULL AND old.retracted_at IS NULL THEN 'repeated' ELSE 'recorded' END;
  referral_share_id := coalesce(referral_share_id, (SELECT x.referral_share_id FROM cdp_data.referral_share x WHERE x.source_id = k.source_id AND x.source_key = k.key));
END
$$;
COMMENT ON FUNCTION cdp.referral_share(text, text, text, text, timestamptz, jsonb) IS
'Tells that an advocate shared his link or code on a channel: a touchpoint of kind share of his, for the funnel. recipient: the address it was sent to, {"email": "..."}; only its keyed digest is kept, and it ties him to the advocate when nothing stronger does. result: recorded, repeated, unknown_code, throttled (wrong codes of shares are counted for the source; nothing is looked up and nothing is kept), suppressed. Errors as cdp.referral_click().';
