-- Referral room, tracking: what all calls about clicks, shares, conversions and refunds have in common.

CREATE OR REPLACE FUNCTION cdp_internal.referral_digest(what text, value text) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN btrim(value) <> '' AND cdp_internal.key_file_is_set() THEN cdp_internal.keyed_digest('referral', what || ':' || btrim(value)) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_digest(text, text) IS
'Keyed digest of a value of a click or conversion (what: ip, net, agent, device, payment, address, recipient), by the newest key. A share is found by every key of the file (cdp_internal.referral_candidates()); addresses, browsers and devices of before a new key was made are not compared with those of after: nothing is kept of which the other digest could be made. NULL without a value, and where no key file is set: nothing plain is kept instead. Errors: as cdp_internal.keyed_digest().';

CREATE OR REPLACE FUNCTION cdp_internal.plain_ip(ip inet) RETURNS inet
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN family(ip) = 6 AND ip <<= inet '::ffff:0:0/96' THEN (split_part(host(ip), ':', 4) || '')::inet ELSE host(ip)::inet END;
COMMENT ON FUNCTION cdp_internal.plain_ip(inet) IS 'An address without its mask; one of IPv4 that is written as IPv6 (::ffff:1.2.3.4) as IPv4. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.ip_network(ip inet) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN network(set_masklen(cdp_internal.plain_ip(ip), CASE family(cdp_internal.plain_ip(ip)) WHEN 4 THEN 24 ELSE 48 END))::text;
COMMENT ON FUNCTION cdp_internal.ip_network(inet) IS 'The network of an address: /24, or /48 of IPv6. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.is_bot_agent(user_agent text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(lower(left(user_agent, 2000)) COLLATE "C" ~ '((?<!cu)bot([^a-z]|$)|crawl|spider|slurp|scrap|archiver|preview|prerender|headless|phantomjs|selenium|puppeteer|playwright|lighthouse|pingdom|uptime|monitor|validator|facebookexternalhit|facebookcatalog|meta-external|embedly|quora link|outbrain|vkshare|skypeuripreview|whatsapp/|viber/|telegrambot|slack-imgproxy|discordbot|bingpreview|googleimageproxy|google-read-aloud|google-inspectiontool|bytespider|yisouspider|sogou web|360spider|petalbot|curl/|wget/|python-|go-http-client|java/|okhttp/|libwww|httpclient|axios/|node-fetch|guzzle|ruby|php/)', false);
COMMENT ON FUNCTION cdp_internal.is_bot_agent(text) IS
'Whether the name of a browser is that of a program that says what it is: crawlers, previews of messengers, tools. CUBOT is a make of telephones. False for NULL; a program that poses as a browser is none.';

CREATE OR REPLACE FUNCTION cdp_internal.is_paid_url(url text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(lower(left(url, 8000)) COLLATE "C" ~ '[?&#](gclid|gbraid|wbraid|dclid|gad_source|gad_campaignid|msclkid|ttclid|twclid|li_fat_id|rdclid|yclid|bd_vid|gdt_vid|qz_gdt|clickid)=[^&#]', false);
COMMENT ON FUNCTION cdp_internal.is_paid_url(text) IS
'Whether an address carries the click id of an advertising network (gclid and its kind). fbclid is not among them: it is added to every link that is shared. False for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_host(referrer text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT CASE WHEN octet_length(h) <= 255 THEN h ELSE '' END FROM (SELECT lower(coalesce(cdp_internal.url_host(referrer), referrer, '')) AS h) x);
COMMENT ON FUNCTION cdp_internal.referral_host(text) IS 'The host from which a click came, of an address or of a host, in lower case; '''' for NULL and for what is longer than 255 bytes, as no host is.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_key(source text, source_key text, at timestamptz, OUT source_id integer, OUT key text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  source_id := cdp_internal.source_of(source);
  key := cdp_internal.said_key(source_key);
  IF key IS NULL OR octet_length(key) > 800 THEN
    RAISE EXCEPTION 'source_key must have 1 to 800 bytes' USING ERRCODE = 'invalid_parameter_value', DETAIL = coalesce(format('It has %s.', octet_length(source_key)), 'It is NULL.'),
      HINT = 'It is the record''s own number at the source, by which what comes twice is known.';
  ELSIF at IS NULL OR at < (cdp_internal.time_bounds()).earliest OR at > (cdp_internal.time_bounds()).latest THEN
    RAISE EXCEPTION 'no credible time of a record: %', coalesce(at::text, 'NULL') USING ERRCODE = 'datetime_field_overflow',
      DETAIL = (SELECT format('Times from %s to %s are taken.', b.earliest, b.latest) FROM cdp_internal.time_bounds() b), HINT = 'See time_floor, time_ahead and touchpoint_retention of cdp_data.setting.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_key(text, text, timestamptz) IS
'The source and the key of a record, checked, as every call of the room takes them. Errors: 22023 unknown source, no key; 22008 no credible time; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_differs(key text, what text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE EXCEPTION 'another % came under this source_key before', what
    USING ERRCODE = 'unique_violation', DETAIL = format('The key has %s bytes; the record differs from what is kept.', octet_length(key)),
      HINT = 'Send what is the same under its key, and what is new under a new one. Corrections go the road of loads: cdp.load_touchpoints().';
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_differs(text, text) IS 'Error 23505: the key of a record is that of another one.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_touch(src text, kind text, identifiers jsonb, properties jsonb, at timestamptz, key text, value numeric, currency text, origin jsonb,
  refers_to text, flags integer, OUT status text, OUT touchpoint_id bigint, OUT identifier_id bigint, OUT home_id bigint, OUT named bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  t record;
  seen record;
BEGIN
  t := cdp.track(src, kind, identifiers, properties, at, key, value, currency, origin, refers_to => refers_to, flags => flags);
  status := t.status;
  touchpoint_id := t.touchpoint_id;
  IF t.touchpoint_id IS NULL THEN
    RETURN;
  END IF;
  SELECT p.identifier_id, p.customer_id, k.name, p.occurred_at, p.properties INTO seen
  FROM cdp_data.touchpoint_key x JOIN cdp_data.touchpoint p ON p.customer_id = x.customer_id AND p.occurred_at = x.occurred_at AND p.touchpoint_id = x.touchpoint_id
    JOIN cdp_data.touch_kind_all k ON k.kind_id = p.kind_id
  WHERE x.touchpoint_id = t.touchpoint_id;
  identifier_id := seen.identifier_id;
  home_id := seen.customer_id;
  -- Clicks, orders and refunds of a source share its keys.
  IF status = 'repeated' AND (seen.name <> kind OR seen.occurred_at <> at) THEN
    PERFORM cdp_internal.referral_differs(key, 'record');
  END IF;
  -- Of the call's own nothing is looked up: it writes numbers, and a text only where that must not be looked up.
  named := CASE WHEN status = 'repeated' THEN cdp_internal.touch_code_now(seen.properties, seen.occurred_at, NULL) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_touch(text, text, jsonb, jsonb, timestamptz, text, numeric, text, jsonb, text, integer) IS
'Writes a touchpoint by cdp.track() and returns where it went; one that another road brought under the same key, kind and time is taken as it is, and named is the code whose text it has (cdp_internal.touch_code_now()), which the job takes or has taken. status suppressed: of an erased person, nothing was kept. Errors: as cdp.track(); 23505 when the key is that of another record.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_guessers(source integer, ip inet, customer bigint) RETURNS bytea[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN array_remove(ARRAY[
    -- Who has an address of IPv6 has all of its /64. Without an address the source counts, whoever he says he is: cookies cost nothing.
    coalesce(cdp_internal.referral_digest('ip', CASE family(cdp_internal.plain_ip(ip)) WHEN 6 THEN network(set_masklen(cdp_internal.plain_ip(ip), 64))::text ELSE host(cdp_internal.plain_ip(ip)) END), convert_to('source ' || source, 'UTF8')),
    convert_to('customer ' || customer, 'UTF8')], NULL);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_guessers(integer, inet, bigint) IS 'Under which keys somebody''s wrong codes are counted: his address (as a keyed digest; of IPv6 its /64; without one, or without a key file, the source) and his number, where he is known.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_throttled(guessers bytea[]) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN guessers <> '{}' AND EXISTS (SELECT FROM cdp_data.referral_guess g, cdp_data.setting s
    WHERE g.guesser = ANY (guessers) AND g.failures >= s.referral_guesses * CASE WHEN substr(g.guesser, 1, 7) = 'source '::bytea THEN 100::bigint ELSE 1 END AND g.first_at > clock_timestamp() - s.referral_guess_window);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_throttled(bytea[]) IS 'Whether one of these has tried so many codes that are none that none is looked up for him (cdp_data.setting.referral_guesses; for all of a source whom nothing else tells apart, a hundred times that).';

CREATE OR REPLACE FUNCTION cdp_internal.referral_guessed(guessers bytea[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- By the clock, not by the time of the event: who guesses must not choose the window.
  since timestamptz := clock_timestamp() - (SELECT s.referral_guess_window FROM cdp_data.setting s);
BEGIN
  INSERT INTO cdp_data.referral_guess AS g (guesser, first_at, failures) SELECT u, clock_timestamp(), 1 FROM unnest(guessers) u
  -- Everybody of a source has one row: who finds it in use is not counted, so that no call waits for what another one waits for.
  WHERE CASE WHEN substr(u, 1, 7) = 'source '::bytea THEN pg_try_advisory_xact_lock(hashint8extended(convert_from(substr(u, 8), 'UTF8')::bigint, 7234573)) ELSE true END ORDER BY u
  ON CONFLICT ON CONSTRAINT referral_guess_pkey DO UPDATE
  SET failures = CASE WHEN g.first_at > since THEN least(g.failures, 1000000000) + 1 ELSE 1 END, first_at = CASE WHEN g.first_at > since THEN g.first_at ELSE excluded.first_at END;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_guessed(bytea[]) IS 'Counts a code that is none, for each key of cdp_internal.referral_guessers(); for a source only when no other open transaction has counted one for it.';

CREATE OR REPLACE FUNCTION cdp_internal.known_customer(identifiers jsonb) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  c record;
BEGIN
  IF identifiers IS NULL OR identifiers = '{}' THEN
    RETURN NULL;
  END IF;
  c := cdp_internal.clean_identifiers(identifiers);
  RETURN (SELECT cdp_internal.identifier_root(i.identifier_id) FROM unnest(c.type_ids, c.vals) WITH ORDINALITY AS u (t, v, n) JOIN cdp_data.identifier i ON i.type_id = u.t AND i.value = u.v ORDER BY u.n LIMIT 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.known_customer(jsonb) IS 'The customer to whom the strongest of these identifiers that is known belongs; NULL when none is known.';
