-- Referral room, tracking: what it adds to erasures, to maintenance and to health.

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_values_referral_track(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_variable
DECLARE
  keys integer[] := '{}';
  first bytea := (SELECT s.recipient_digest FROM cdp_data.referral_share s WHERE s.recipient_digest IS NOT NULL ORDER BY s.recipient_digest LIMIT 1);
  key integer;
BEGIN
  -- One index probe for each key with which digests were made.
  WHILE first IS NOT NULL LOOP
    key := get_byte(first, 0) * 256 + get_byte(first, 1);
    keys := keys || key;
    EXIT WHEN key = 32767;
    first := (SELECT s.recipient_digest FROM cdp_data.referral_share s WHERE s.recipient_digest >= int2send((key + 1)::smallint) ORDER BY s.recipient_digest LIMIT 1);
  END LOOP;
  -- What others shared with her stays as their act; to whom it went does not.
  IF keys <> '{}' THEN
    UPDATE cdp_data.referral_share s SET recipient_digest = NULL
    WHERE s.recipient_digest IN (SELECT unnest(cdp_internal.keyed_digests('referral', format('recipient:%s:%s', i.type_id, btrim(i.value)), keys)) FROM cdp_data.identifier i WHERE i.identifier_id = ANY (identifiers));
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN QUERY SELECT 'cdp_data.referral_share', 'clear', n;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_values_referral_track(bigint[], bigint[], bigint[], bigint, text) IS
'Takes the keyed digests of a person''s addresses out of what others shared with him, while the values of his identifiers can still be digested, by every key with which such digests were made. Returns what was done. Errors: 55000 the key file lacks one of them.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_stranger() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN -nextval('cdp_data.referral_stranger_seq');
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_stranger() IS 'A new number, below zero, for a person who was erased with all his rows and whom rows of others name.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_referral_track(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
  own bigint[];
  did text := CASE WHEN fresh IS NULL THEN 'delete' ELSE 'unlink' END;
  gone bigint[] := customers || homes;
  -- One number for the advocate, by which his codes and those whom he brought stay together: else the next decision would take him for another.
  advocate bigint := coalesce(fresh, cdp_internal.referral_stranger());
BEGIN
  -- What was measured of her at each decision goes as it goes from the referral; that it was decided, when and how stays.
  UPDATE cdp_data.referral_decision d SET evidence = '{}'
  FROM cdp_data.referral r JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = r.first_conversion_id
  WHERE d.referral_id = r.referral_id AND d.evidence <> '{}' AND r.referee_id = ANY (gone) AND c.identifier_id = ANY (identifiers);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.referral_decision', 'clear', erase_of_referral_track.n;
  -- A referral is of two people, and money may stand on it: it stays, without the one who went.
  UPDATE cdp_data.referral r SET referee_id = coalesce(fresh, cdp_internal.referral_stranger()), evidence = '{}', score = NULL
  WHERE r.referee_id = ANY (gone) AND EXISTS (SELECT FROM cdp_data.referral_conversion c WHERE c.referral_conversion_id = r.first_conversion_id AND c.identifier_id = ANY (identifiers));
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.referral', 'unlink', erase_of_referral_track.n;
  UPDATE cdp_data.referral r SET referrer_id = advocate WHERE r.referrer_id = ANY (customers);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.referral', 'unlink', erase_of_referral_track.n;
  UPDATE cdp_data.referral_conversion c SET claimed_customer_id = CASE WHEN c.claimed_customer_id = ANY (customers) THEN advocate ELSE c.claimed_customer_id END,
    manual_customer_id = CASE WHEN c.manual_customer_id = ANY (customers) THEN advocate ELSE c.manual_customer_id END
  WHERE c.claimed_customer_id = ANY (customers) OR c.manual_customer_id = ANY (customers);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.referral_conversion', 'unlink', erase_of_referral_track.n;
  own := ARRAY(SELECT c.referral_conversion_id FROM cdp_data.referral_conversion c WHERE c.customer_id = ANY (homes) AND c.identifier_id = ANY (identifiers));
  UPDATE cdp_data.referral_refund f SET customer_id = coalesce(fresh, -f.referral_refund_id), source_key = 'erased ' || f.referral_refund_id, touchpoint_id = CASE WHEN fresh IS NULL THEN NULL ELSE f.touchpoint_id END
  WHERE f.referral_conversion_id = ANY (own);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.referral_refund', 'unlink', erase_of_referral_track.n;
  -- What rewards were reckoned from stays as well: amounts and times of nobody.
  UPDATE cdp_data.referral_conversion c SET customer_id = coalesce(fresh, -c.referral_conversion_id), identifier_id = -coalesce(fresh, c.referral_conversion_id), source_key = 'erased ' || c.referral_conversion_id,
    touchpoint_id = CASE WHEN fresh IS NULL THEN NULL ELSE c.touchpoint_id END, ip_digest = NULL, net_digest = NULL, agent_digest = NULL, device_digest = NULL, payment_digest = NULL, address_digest = NULL,
    referral_click_id = NULL, named_click = NULL
  WHERE c.referral_conversion_id = ANY (own);
  RETURN QUERY SELECT 'cdp_data.referral_conversion', 'unlink', cardinality(own)::bigint;
  IF fresh IS NULL THEN
    DELETE FROM cdp_data.referral_click c WHERE c.customer_id = ANY (homes) AND c.identifier_id = ANY (identifiers);
  ELSE
    UPDATE cdp_data.referral_click c SET customer_id = fresh, identifier_id = -fresh, source_key = 'erased ' || c.referral_click_id, ip_digest = NULL, net_digest = NULL, agent_digest = NULL, device_digest = NULL,
      referrer_host = '', country = NULL, channel = '', variant = ''
    WHERE c.customer_id = ANY (homes) AND c.identifier_id = ANY (identifiers);
  END IF;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.referral_click', did, erase_of_referral_track.n;
  -- To whom it was sent is the recipient's: it still says that somebody brought him.
  UPDATE cdp_data.referral_share s SET customer_id = advocate, source_key = 'erased ' || s.referral_share_id, channel = '', touchpoint_id = CASE WHEN fresh IS NULL THEN NULL ELSE s.touchpoint_id END WHERE s.customer_id = ANY (customers);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.referral_share', 'unlink', erase_of_referral_track.n;
  -- The text of a code may be a name: out of the touchpoints of those who came by it, where the number takes its place.
  UPDATE cdp_data.touchpoint t SET properties = (t.properties - 'referral_code') || jsonb_build_object('referral_code_id', x.referral_code_id)
  FROM (
      SELECT v.touchpoint_id, c.referral_code_id, c.code FROM cdp_data.referral_code c JOIN cdp_data.referral_conversion v USING (referral_code_id) WHERE c.customer_id = ANY (customers) AND v.touchpoint_id IS NOT NULL
      UNION SELECT h.touchpoint_id, c.referral_code_id, c.code FROM cdp_data.referral_code c JOIN cdp_data.referral_click h USING (referral_code_id) WHERE c.customer_id = ANY (customers) AND h.touchpoint_id IS NOT NULL) x
    JOIN cdp_data.touchpoint_key k ON k.touchpoint_id = x.touchpoint_id
  WHERE t.customer_id = k.customer_id AND t.occurred_at = k.occurred_at AND t.touchpoint_id = k.touchpoint_id AND jsonb_typeof(t.properties -> 'referral_code') = 'string' AND cdp_internal.referral_code_fold(t.properties ->> 'referral_code') = x.code;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF erase_of_referral_track.n > 0 THEN
    RETURN QUERY SELECT 'cdp_data.touchpoint', 'clear', erase_of_referral_track.n;
  END IF;
  -- And out of their earlier versions, which come into force again when a load is taken back.
  UPDATE cdp_data.touchpoint_retracted t SET properties = (t.properties - 'referral_code') || jsonb_build_object('referral_code_id', x.referral_code_id)
  FROM (
      SELECT v.touchpoint_id FROM cdp_data.referral_code c JOIN cdp_data.referral_conversion v USING (referral_code_id) WHERE c.customer_id = ANY (customers) AND v.touchpoint_id IS NOT NULL
      UNION SELECT h.touchpoint_id FROM cdp_data.referral_code c JOIN cdp_data.referral_click h USING (referral_code_id) WHERE c.customer_id = ANY (customers) AND h.touchpoint_id IS NOT NULL) y
    CROSS JOIN (SELECT c.referral_code_id, c.code FROM cdp_data.referral_code c WHERE c.customer_id = ANY (customers)) x
  WHERE t.touchpoint_id = y.touchpoint_id AND jsonb_typeof(t.properties -> 'referral_code') = 'string' AND cdp_internal.referral_code_fold(t.properties ->> 'referral_code') = x.code;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF erase_of_referral_track.n > 0 THEN
    RETURN QUERY SELECT 'cdp_data.touchpoint_retracted', 'clear', erase_of_referral_track.n;
  END IF;
  -- The number of a code stays, so that it never means anybody else.
  UPDATE cdp_data.referral_code c SET customer_id = advocate, code = 'erased--' || c.referral_code_id, kind = 'vanity',
    revoked_at = coalesce(c.revoked_at, clock_timestamp()), revoked_reason = 'erased', erased_at = clock_timestamp()
  WHERE c.customer_id = ANY (customers);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.referral_code', 'unlink', erase_of_referral_track.n;
  DELETE FROM cdp_data.referral_guess g WHERE g.guesser = ANY (ARRAY(SELECT convert_to('customer ' || c, 'UTF8') FROM unnest(customers) c));
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_referral_track(bigint[], bigint[], bigint[], bigint, text) IS
'Takes a person out of the referrals: clicks move to the unlinked customer or go; conversions, refunds, shares and referrals stay as amounts and times of nobody, because rewards of others stand on them; codes end and lose their text, also in the touchpoints of conversions and clicks that came by them and in their earlier versions (property referral_code becomes referral_code_id). As advocate he has one number in all of them afterwards (fresh, or in mode delete one of cdp_internal.referral_stranger()), so that whom he brought stays referred. Returns what was done per table.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_referral_track()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  cutoff timestamptz := (SELECT cdp_internal.cutoff(now(), s.referral_click_retention) FROM cdp_data.setting s);
  held bigint[] := cdp_internal.held_homes();
  n bigint := 0;
  more bigint := 0;
BEGIN
  DELETE FROM cdp_data.referral_guess g USING cdp_data.setting s WHERE g.first_at < clock_timestamp() - s.referral_guess_window;
  IF cutoff IS NOT NULL THEN
    DELETE FROM cdp_data.referral_click c WHERE c.clicked_at < cutoff AND (c.customer_id IS NULL OR c.customer_id <> ALL (held))
      AND NOT EXISTS (SELECT FROM cdp_data.referral r WHERE r.referral_click_id = c.referral_click_id);
    GET DIAGNOSTICS n = ROW_COUNT;
    DELETE FROM cdp_data.referral_share c WHERE c.shared_at < cutoff AND c.customer_id <> ALL (held)
      AND NOT EXISTS (SELECT FROM cdp_data.referral r WHERE r.referral_code_id = c.referral_code_id AND r.method = 'share');
    GET DIAGNOSTICS more = ROW_COUNT;
  END IF;
  RAISE NOTICE 'maintain: % referral clicks and % shares past their retention', n, more;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_referral_track() IS
'Part of cdp.maintain(): clicks and shares older than cdp_data.setting.referral_click_retention, but those that a referral stands on and those of customers on hold; counts of wrong codes whose window is over.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_referral_track()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.referral_guess') IS NULL OR NOT EXISTS (SELECT FROM cdp_data.referral_code) THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'referral_keys', 'no key file is set: addresses and devices of clicks and conversions are not kept, not even as digests', 'Set cdp.key_file (docs/encryption.md): without it much of what tells fraud is missing.'
  WHERE NOT cdp_internal.key_file_is_set()
  UNION ALL
  SELECT 'warning', 'referral_click_retention', format('clicks are kept for %s, a campaign looks back %s', s.referral_click_retention, x.reach), 'Keep them longer, or shorten click_window.'
  FROM cdp_data.setting s CROSS JOIN LATERAL (
    SELECT max(t.click_window) AS reach FROM cdp_data.referral_terms t JOIN cdp_data.referral_campaign c USING (referral_campaign_id) WHERE c.state IN ('active', 'paused')) x
  WHERE s.referral_click_retention < x.reach
  UNION ALL
  SELECT 'warning', 'referral_guesses', format('%s addresses or persons try codes that are none', count(*)), 'Somebody may be guessing: look at the site''s log, and at cdp_data.setting.referral_guesses.'
  FROM cdp_data.referral_guess g, cdp_data.setting s WHERE g.failures >= s.referral_guesses AND g.first_at > clock_timestamp() - s.referral_guess_window HAVING count(*) >= 5 OR bool_or(cdp_internal.referral_throttled(ARRAY[g.guesser]) AND substr(g.guesser, 1, 7) = 'source '::bytea);
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_referral_track() IS
'Findings of cdp.health() about referral tracking: no key file, clicks that are deleted before they stop counting, many who guess codes.';
