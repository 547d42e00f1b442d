-- Referral room, tracking: the job that follows the change feed. What came by other roads (loads, messages) is taken in, what was
-- corrected or taken back is followed, and whoever it touches is decided again.

CREATE OR REPLACE FUNCTION cdp_internal.touches_now(ids bigint[])
RETURNS TABLE (touchpoint_id bigint, gone boolean, customer_id bigint, identifier_id bigint, occurred_at timestamptz, kind text, value numeric, currency text, properties jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT u.id, t.touchpoint_id IS NULL, t.customer_id, t.identifier_id, t.occurred_at, k.name::text, t.value, t.currency::text, t.properties
  FROM (SELECT DISTINCT i AS id FROM unnest(ids) i) u
    LEFT JOIN LATERAL (SELECT x.customer_id, x.occurred_at FROM cdp_data.touchpoint_key x WHERE x.touchpoint_id = u.id LIMIT 1) y ON true
    LEFT JOIN LATERAL (SELECT x.* FROM cdp_data.touchpoint x WHERE x.customer_id = y.customer_id AND x.occurred_at = y.occurred_at AND x.touchpoint_id = u.id OFFSET 0) t ON true
    LEFT JOIN cdp_data.touch_kind_all k ON k.kind_id = t.kind_id
  -- One that is past its retention is not taken back.
  WHERE t.touchpoint_id IS NOT NULL OR EXISTS (SELECT FROM cdp_data.touchpoint_retracted r WHERE r.touchpoint_id = u.id AND r.restored_at IS NULL);
END
$$;
COMMENT ON FUNCTION cdp_internal.touches_now(bigint[]) IS
'Touchpoints as they are now; gone: taken back with their load. No row for those that are past their retention.';

CREATE OR REPLACE FUNCTION cdp_internal.touch_eligible(value numeric, properties jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(abs(value), CASE WHEN jsonb_typeof(properties -> 'eligible') = 'number' AND (properties ->> 'eligible')::numeric >= 0 THEN (properties ->> 'eligible')::numeric ELSE abs(value) END);
COMMENT ON FUNCTION cdp_internal.touch_eligible(numeric, jsonb) IS 'What rewards count of the value of a touchpoint: its property eligible, at most the value itself; without one all of it.';

CREATE OR REPLACE FUNCTION cdp_internal.refund_minor(value numeric, properties jsonb, currency text, at timestamptz, wanted text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  amount numeric := cdp_internal.touch_eligible(value, properties);
  day date := (at AT TIME ZONE 'UTC')::date;
BEGIN
  IF currency <> wanted THEN
    amount := amount * (
      SELECT x.rate FROM (
        SELECT r.rate, r.valid_from FROM cdp_data.currency_rate r WHERE r.currency = refund_minor.currency AND r.base = wanted AND r.valid_from <= day
        UNION ALL SELECT 1 / r.rate, r.valid_from FROM cdp_data.currency_rate r WHERE r.currency = wanted AND r.base = refund_minor.currency AND r.valid_from <= day AND r.rate > 0) x
      ORDER BY x.valid_from DESC, x.rate LIMIT 1);
  END IF;
  RETURN CASE WHEN amount IS NOT NULL THEN greatest(cdp_internal.referral_minor(amount, wanted), 1) END;
EXCEPTION WHEN numeric_value_out_of_range THEN
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.refund_minor(numeric, jsonb, text, timestamptz, text) IS
'What a touchpoint gave back of what is eligible, in minor units of the currency of its conversion (wanted), at least 1: one in another currency at the rate of its day (UTC) in cdp_data.currency_rate, either way. NULL for NULL, without a rate and out of range.';

CREATE OR REPLACE FUNCTION cdp_internal.touch_code(properties jsonb) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN jsonb_typeof(properties -> 'referral_code') = 'string' THEN (SELECT c.referral_code_id FROM cdp_data.referral_code c WHERE c.code = cdp_internal.referral_code_fold(properties ->> 'referral_code') AND NOT c.is_test) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.touch_code(jsonb) IS 'The referral code that a touchpoint of another road names, by its property referral_code; NULL when it names none that was issued, or one for tests: those count by the calls of the room only, which mark the touchpoint, too. Numbers of codes are not read: anybody could count.';

CREATE OR REPLACE FUNCTION cdp_internal.touch_code_now(properties jsonb, at timestamptz, present bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN jsonb_typeof(properties -> 'referral_code') = 'string' THEN (SELECT c.referral_code_id FROM cdp_data.referral_code c WHERE c.referral_code_id = cdp_internal.touch_code(properties)
    AND c.issued_at <= at AND NOT EXISTS (SELECT FROM cdp_data.referral_code o WHERE o.referral_code_id = present AND o.erased_at IS NOT NULL)) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.touch_code_now(jsonb, timestamptz, bigint) IS
'The code that a touchpoint names now (cdp_internal.touch_code()), where it takes the place of the one that is known of it (present, NULL: none). NULL where it does not: the text of an erased advocate may have been given to somebody else, and a text that was no code at the time of the event (at; issued_at of the code, which may be told) named nobody.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_follow(roots bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  homes bigint[] := ARRAY(SELECT DISTINCT m.home_id FROM cdp_internal.members_of(roots) m UNION SELECT m FROM unnest(roots) u CROSS JOIN LATERAL cdp_internal.customers_under(u) m);
  n bigint;
  done bigint := 0;
BEGIN
  WITH own AS MATERIALIZED (SELECT c.* FROM cdp_data.referral_conversion c WHERE c.customer_id = ANY (homes) AND c.touchpoint_id IS NOT NULL),
    now AS MATERIALIZED (
      SELECT t.*, coalesce(cdp_internal.referral_minor(greatest(t.value, 0), t.currency), 0) AS minor, coalesce(cdp_internal.referral_minor(cdp_internal.touch_eligible(greatest(t.value, 0), t.properties), t.currency), 0) AS eligible,
        cdp_internal.touch_code_now(t.properties, t.occurred_at, o.referral_code_id) AS code, coalesce(t.properties -> 'referral_code' = 'null', false) AS uncoded
      FROM cdp_internal.touches_now(ARRAY(SELECT o.touchpoint_id FROM own o)) t JOIN own o USING (touchpoint_id))
  UPDATE cdp_data.referral_conversion c SET retracted_at = CASE WHEN t.gone THEN coalesce(c.retracted_at, clock_timestamp()) END, customer_id = coalesce(t.customer_id, c.customer_id), identifier_id = coalesce(t.identifier_id, c.identifier_id),
    occurred_at = coalesce(t.occurred_at, c.occurred_at), kind = coalesce(t.kind, c.kind), value_minor = CASE WHEN t.gone THEN c.value_minor ELSE t.minor END, eligible_minor = CASE WHEN t.gone THEN c.eligible_minor ELSE t.eligible END,
    currency = CASE WHEN t.gone THEN c.currency ELSE coalesce(t.currency, c.currency) END, referral_code_id = CASE WHEN t.code IS NOT NULL OR t.uncoded THEN t.code ELSE c.referral_code_id END
  FROM now t WHERE c.touchpoint_id = t.touchpoint_id AND c.customer_id = ANY (homes)
    AND CASE WHEN t.gone THEN c.retracted_at IS NULL ELSE c.retracted_at IS NOT NULL OR (t.code IS NOT NULL OR t.uncoded) AND c.referral_code_id IS DISTINCT FROM t.code OR (c.customer_id, c.identifier_id, c.occurred_at, c.kind, c.value_minor, c.eligible_minor, c.currency)
      IS DISTINCT FROM (t.customer_id, t.identifier_id, t.occurred_at, t.kind, t.minor, t.eligible, coalesce(t.currency, c.currency)) END;
  GET DIAGNOSTICS n = ROW_COUNT;
  done := done + n;
  UPDATE cdp_data.referral_click c SET retracted_at = CASE WHEN t.gone THEN coalesce(c.retracted_at, clock_timestamp()) END, customer_id = coalesce(t.customer_id, c.customer_id), identifier_id = coalesce(t.identifier_id, c.identifier_id),
    clicked_at = coalesce(t.occurred_at, c.clicked_at), referral_code_id = coalesce(k.referral_code_id, c.referral_code_id), referral_campaign_id = coalesce(k.referral_campaign_id, c.referral_campaign_id)
  FROM cdp_internal.touches_now(ARRAY(SELECT x.touchpoint_id FROM cdp_data.referral_click x WHERE x.customer_id = ANY (homes) AND x.touchpoint_id IS NOT NULL)) t
    JOIN cdp_data.referral_click own ON own.touchpoint_id = t.touchpoint_id AND own.customer_id = ANY (homes)
    LEFT JOIN cdp_data.referral_code k ON k.referral_code_id = cdp_internal.touch_code_now(t.properties, t.occurred_at, own.referral_code_id)
  WHERE c.touchpoint_id = t.touchpoint_id AND c.customer_id = ANY (homes)
    AND CASE WHEN t.gone THEN c.retracted_at IS NULL ELSE c.retracted_at IS NOT NULL OR (c.customer_id, c.identifier_id, c.clicked_at, c.referral_code_id) IS DISTINCT FROM (t.customer_id, t.identifier_id, t.occurred_at, coalesce(k.referral_code_id, c.referral_code_id)) END;
  GET DIAGNOSTICS n = ROW_COUNT;
  done := done + n;
  UPDATE cdp_data.referral_share c SET retracted_at = CASE WHEN t.gone THEN coalesce(c.retracted_at, clock_timestamp()) END
  FROM cdp_internal.touches_now(ARRAY(SELECT x.touchpoint_id FROM cdp_data.referral_share x WHERE x.customer_id = ANY (homes) AND x.touchpoint_id IS NOT NULL)) t
  WHERE c.touchpoint_id = t.touchpoint_id AND c.customer_id = ANY (homes) AND t.gone <> (c.retracted_at IS NOT NULL);
  GET DIAGNOSTICS n = ROW_COUNT;
  done := done + n;
  UPDATE cdp_data.referral_refund f SET retracted_at = CASE WHEN t.gone THEN coalesce(f.retracted_at, clock_timestamp()) END, refunded_at = coalesce(t.occurred_at, f.refunded_at),
    amount_minor = CASE WHEN t.gone THEN f.amount_minor ELSE coalesce(cdp_internal.refund_minor(t.value, t.properties, t.currency, t.occurred_at, c.currency), f.amount_minor) END
  FROM cdp_internal.touches_now(ARRAY(SELECT x.touchpoint_id FROM cdp_data.referral_refund x JOIN cdp_data.referral_conversion y USING (referral_conversion_id) WHERE y.customer_id = ANY (homes) AND x.touchpoint_id IS NOT NULL)) t
    CROSS JOIN cdp_data.referral_conversion c
  WHERE f.touchpoint_id = t.touchpoint_id AND c.referral_conversion_id = f.referral_conversion_id
    AND CASE WHEN t.gone THEN f.retracted_at IS NULL ELSE f.retracted_at IS NOT NULL OR f.refunded_at <> t.occurred_at OR f.amount_minor <> cdp_internal.refund_minor(t.value, t.properties, t.currency, t.occurred_at, c.currency) END;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN done + n;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_follow(bigint[]) IS
'Brings conversions, clicks, shares and refunds of these roots to what their touchpoints are now: corrected, moved to another person, taken back with a load, or brought back. Returns how many changed.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_take(homes bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  kinds smallint[] := cdp_internal.referral_kinds();
  n bigint;
  done bigint := 0;
BEGIN
  -- Clicks first: by them people are found whose conversions count.
  INSERT INTO cdp_data.referral_click (source_id, source_key, referral_code_id, referral_campaign_id, clicked_at, identifier_id, customer_id, touchpoint_id, referrer_host, bot, is_test, channel)
  SELECT k.source_id, k.source_key, c.referral_code_id, c.referral_campaign_id, t.occurred_at, t.identifier_id, t.customer_id, t.touchpoint_id, cdp_internal.referral_host(o.referrer_host), t.flags & 1 = 1, c.is_test, c.channel
  FROM unnest(homes) AS w (home) CROSS JOIN LATERAL (
      SELECT x.* FROM cdp_data.touchpoint x WHERE x.customer_id = w.home AND x.kind_id = 28 AND x.properties ? 'referral_code' OFFSET 0) t
    JOIN cdp_data.referral_code c ON c.referral_code_id = cdp_internal.touch_code_now(t.properties, t.occurred_at, NULL) JOIN cdp_data.touchpoint_key k ON k.touchpoint_id = t.touchpoint_id JOIN cdp_data.origin o ON o.origin_id = t.origin_id
  ORDER BY t.occurred_at, t.touchpoint_id ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS n = ROW_COUNT;
  done := done + n;
  WITH came AS MATERIALIZED (
    SELECT t.*, cdp_internal.touch_code_now(t.properties, t.occurred_at, NULL) AS code
    FROM unnest(homes) AS w (home) CROSS JOIN LATERAL (
      SELECT x.* FROM cdp_data.touchpoint x WHERE x.customer_id = w.home AND x.kind_id = ANY (kinds) AND x.flags & 3 = 0 OFFSET 0) t
    WHERE NOT EXISTS (SELECT FROM cdp_data.referral_conversion c WHERE c.touchpoint_id = t.touchpoint_id)
  ), people AS MATERIALIZED ( -- who has a click or a conversion by any of his homes
    SELECT m.root_id AS root FROM cdp_internal.members_of(ARRAY(SELECT DISTINCT cdp_internal.identifier_root(c.identifier_id) FROM came c)) m
    GROUP BY 1 HAVING bool_or(EXISTS (SELECT FROM cdp_data.referral_click h WHERE h.customer_id = m.home_id AND h.identifier_id = m.identifier_id)
      OR EXISTS (SELECT FROM cdp_data.referral_conversion h WHERE h.customer_id = m.home_id AND h.identifier_id = m.identifier_id))
  )
  INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, touchpoint_id, referral_code_id, value_minor, eligible_minor, currency)
  SELECT k.source_id, k.source_key, y.name, t.occurred_at, t.identifier_id, t.customer_id, t.touchpoint_id, t.code, coalesce(cdp_internal.referral_minor(greatest(t.value, 0), t.currency), 0),
    coalesce(cdp_internal.referral_minor(cdp_internal.touch_eligible(greatest(t.value, 0), t.properties), t.currency), 0), t.currency
  FROM came t JOIN cdp_data.touchpoint_key k ON k.touchpoint_id = t.touchpoint_id JOIN cdp_data.touch_kind_all y ON y.kind_id = t.kind_id
  WHERE t.code IS NOT NULL OR cdp_internal.identifier_root(t.identifier_id) IN (SELECT p.root FROM people p)
  ORDER BY t.occurred_at, t.touchpoint_id ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS n = ROW_COUNT;
  done := done + n;
  INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id, touchpoint_id)
  SELECT k.source_id, k.source_key, c.referral_conversion_id, t.occurred_at, m.minor, c.customer_id, t.touchpoint_id
  FROM unnest(homes) AS w (home) CROSS JOIN LATERAL (
      SELECT x.* FROM cdp_data.touchpoint x WHERE x.customer_id = w.home AND x.refers_to IS NOT NULL AND x.value < 0 AND x.flags & 1 = 0 OFFSET 0) t
    JOIN cdp_data.referral_conversion c ON c.touchpoint_id = t.refers_to AND c.currency IS NOT NULL JOIN cdp_data.touchpoint_key k ON k.touchpoint_id = t.touchpoint_id
    CROSS JOIN LATERAL cdp_internal.refund_minor(t.value, t.properties, t.currency, t.occurred_at, c.currency) AS m (minor)
  WHERE m.minor IS NOT NULL
  ORDER BY t.occurred_at, t.touchpoint_id ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN done + n;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_take(bigint[]) IS
'Takes in what came as touchpoints by other roads, of these home customers, whenever it happened (an order may have come long before the click that makes it one of a referred person, and stays known here when its touchpoint is past its retention): clicks of kind referral_click that name a code (property referral_code) that had been issued by then, registrations and purchases that name one, or of people who have a click or a conversion, and refunds of conversions that are known, in their currency or turned into it (cdp_internal.refund_minor()). What is there already is passed over. Returns how many rows came.';

CREATE OR REPLACE FUNCTION cdp.referral_tick(OUT people bigint, OUT taken bigint, OUT followed bigint, OUT decided bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  upto pg_snapshot;
  feed record;
  roots bigint[];
  named bigint[];
  more bigint[];
  done bigint[];
  full_pass boolean;
  kinds smallint[] := cdp_internal.referral_kinds() || 28::smallint; -- referral_click
BEGIN
  PERFORM cdp_internal.require_setup();
  people := 0; taken := 0; followed := 0; decided := 0;
  -- One at a time: the second finds the work of the first done.
  PERFORM pg_advisory_xact_lock(7234572, 0);
  upto := pg_current_snapshot();
  SELECT array_agg(x.customer_id) FILTER (WHERE x.customer_id IS NOT NULL) AS homes, array_agg(x.f) FILTER (WHERE x.customer_id IS NOT NULL) AS froms, array_agg(x.u) FILTER (WHERE x.customer_id IS NOT NULL) AS tos, coalesce(bool_or(x.customer_id IS NULL), false) AS everybody
  INTO feed
  FROM (SELECT r.customer_id, coalesce(min(r.occurred_from), '-infinity') AS f, coalesce(max(r.occurred_to), 'infinity') AS u
    FROM (SELECT y.customer_id, coalesce(y.occurred_from, '-infinity') AS occurred_from, coalesce(y.occurred_to, 'infinity') AS occurred_to FROM cdp.feed_read('referral', upto) y) r GROUP BY r.customer_id) x;
  full_pass := feed.everybody;
  -- Whoever's named click came without his being told of: the feed says nothing about them.
  named := cdp_internal.referral_named_people();
  IF EXISTS (SELECT FROM cdp_data.referral_code) AND (full_pass OR feed.homes IS NOT NULL OR named <> '{}') THEN
    IF full_pass THEN
      feed.homes := ARRAY(SELECT c.customer_id FROM cdp_data.referral_click c WHERE c.customer_id IS NOT NULL UNION SELECT c.customer_id FROM cdp_data.referral_conversion c UNION SELECT c.customer_id FROM cdp_data.referral_code c UNION SELECT unnest(coalesce(feed.homes, '{}'))
        -- No code is older than the oldest.
        UNION SELECT t.customer_id FROM cdp_data.touchpoint t WHERE t.occurred_at >= (SELECT min(c.issued_at) FROM cdp_data.referral_code c) AND t.kind_id = ANY (kinds) AND t.properties ? 'referral_code');
      feed.froms := ARRAY(SELECT '-infinity'::timestamptz FROM unnest(feed.homes));
      feed.tos := ARRAY(SELECT 'infinity'::timestamptz FROM unnest(feed.homes));
    END IF;
    -- Of all who changed, those of whom anything is known here, those who name a code now, and those whom a changed advocate brought.
    roots := named || ARRAY(
      SELECT DISTINCT m.root_id FROM cdp_internal.members_of(ARRAY(SELECT DISTINCT r.root_id FROM cdp_internal.roots_of(feed.homes) r)) m
      WHERE EXISTS (SELECT FROM cdp_data.referral_click c WHERE c.customer_id = m.home_id) OR EXISTS (SELECT FROM cdp_data.referral_conversion c WHERE c.customer_id = m.home_id)
        OR EXISTS (SELECT FROM cdp_data.referral_code c WHERE c.customer_id = m.home_id) OR EXISTS (SELECT FROM cdp_data.referral_code c WHERE c.customer_id = m.root_id)
      UNION SELECT cdp_internal.identifier_root(t.identifier_id) FROM unnest(feed.homes, feed.froms, feed.tos) AS w (home, f, u) CROSS JOIN LATERAL (
        SELECT x.identifier_id FROM cdp_data.touchpoint x WHERE x.customer_id = w.home AND x.occurred_at BETWEEN w.f AND w.u AND x.kind_id = ANY (kinds) AND x.properties ? 'referral_code' OFFSET 0) t);
    -- All of them at once and before any row, as every call does: nobody waits for another in a circle.
    PERFORM cdp_internal.lock_customers(NULL, false, ARRAY(SELECT u FROM cdp_internal.referral_circle(roots, changed => true) u));
    roots := ARRAY(SELECT DISTINCT cdp_internal.root_of(u) FROM unnest(roots) u WHERE cdp_internal.root_of(u) IS NOT NULL ORDER BY 1);
    taken := cdp_internal.referral_take(ARRAY(SELECT DISTINCT m.home_id FROM cdp_internal.members_of(roots) m));
    followed := cdp_internal.referral_follow(roots) + cdp_internal.referral_tie(roots);
    more := ARRAY(
      SELECT b FROM cdp_internal.referral_brought(roots) b
      UNION SELECT DISTINCT cdp_internal.identifier_root(c.identifier_id) FROM cdp_internal.members_of(roots) m JOIN cdp_data.referral_conversion c ON c.customer_id = m.home_id
      UNION SELECT u FROM unnest(roots) u);
    more := ARRAY(SELECT u FROM unnest(more) u WHERE u > 0 ORDER BY u);
    people := cardinality(more);
    done := ARRAY(SELECT cdp_internal.referral_decide(more, settle => false));
    decided := cardinality(done);
    -- Amounts may have changed though nobody's referral did, or who carries the identifier.
    PERFORM cdp_internal.referral_settled(done || CASE WHEN taken + followed > 0 THEN ARRAY(SELECT h.referral_id FROM cdp_internal.referral_rows(more) h UNION SELECT h.referral_id FROM cdp_internal.referral_rows(more, 2::smallint) h ORDER BY 1)
      ELSE cdp_internal.reward_strayed(more) END);
  END IF;
  PERFORM cdp.feed_advance('referral', upto);
END
$$;
COMMENT ON FUNCTION cdp.referral_tick() IS
'Follows the change feed (consumer referral): takes in conversions, clicks and refunds that came by loads and messages (cdp_internal.referral_take()), follows corrections and loads that were taken back, ties clicks that the shop had named before they came, and decides again about everybody whom merges, unmerges, erasures and all that touch: referees, and those whom a changed advocate brought. The first time, or after a restore, about all. Returns how many people were looked at, rows taken in and rows that followed their touchpoints, and referrals that changed. The job list runs it each minute. Sessions wait for each other.';

CREATE OR REPLACE FUNCTION cdp.explain_referral(referral bigint, as_of timestamptz DEFAULT NULL)
RETURNS TABLE (conversion bigint, converted_at timestamptz, method text, event_at timestamptz, click bigint, code text, campaign text, advocate bigint, counts boolean, reason text, explanation text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  r record;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT x.*, cdp_internal.identifier_root(c.identifier_id) AS root INTO r FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE x.referral_id = explain_referral.referral;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no referral %', coalesce(referral::text, 'NULL') USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT referral_id FROM cdp_data.referral;';
  END IF;
  RETURN QUERY
  SELECT c.referral_conversion_id, c.occurred_at, c.method, c.event_at, c.referral_click_id, cdp.referral_code_format(k.code), g.name::text, c.advocate_id,
    c.referral_conversion_id = r.first_conversion_id AND c.method = r.method AND c.advocate_id = r.referrer_id AND c.referral_click_id IS NOT DISTINCT FROM r.referral_click_id AND r.state NOT IN ('ineligible', 'duplicate'), c.reason,
    CASE coalesce(c.reason, '')
      WHEN '' THEN CASE WHEN c.referral_conversion_id = r.first_conversion_id AND c.method = r.method AND c.referral_click_id IS NOT DISTINCT FROM r.referral_click_id THEN 'valid, and first in order' ELSE 'valid, but other evidence goes before it' END
      WHEN 'bot' THEN 'the click came from a program' WHEN 'prefetch' THEN 'the page was fetched ahead, nobody clicked' WHEN 'denied_referrer' THEN 'it came from a site on the list denied_host'
      WHEN 'no_active_campaign' THEN format('campaign "%s" was not active then', g.name) WHEN 'code_inactive' THEN 'the code was not issued yet, had expired or was taken back'
      WHEN 'outside_window' THEN format('the conversion came %s after it, the window is %s', c.occurred_at - c.event_at, t.click_window)
      WHEN 'self_referral' THEN 'advocate and referee are the same customer' WHEN 'same_person' THEN 'advocate and referee turned out to be one person'
      WHEN 'referrer_banned' THEN 'the advocate was banned then' WHEN 'existing_customer' THEN format('the person had bought before, at %s', c.evidence ->> 'bought_before_at')
      WHEN 'known_before_click' THEN format('the person was known since %s', c.evidence ->> 'registered_at') END
  FROM cdp_internal.referral_candidates(ARRAY[r.root], coalesce(as_of, 'infinity')) c JOIN cdp_data.referral_campaign g USING (referral_campaign_id)
    JOIN cdp_data.referral_terms t ON t.referral_campaign_id = c.referral_campaign_id AND t.terms_version = c.terms_version LEFT JOIN cdp_data.referral_code k ON k.referral_code_id = c.referral_code_id
  WHERE c.campaign_group = r.campaign_group AND c.is_test = r.is_test
  ORDER BY c.occurred_at, c.referral_conversion_id, c.rank, c.turn;
END
$$;
COMMENT ON FUNCTION cdp.explain_referral(bigint, timestamptz) IS
'Everything that may tie the person of a referral to an advocate, in the group of campaigns of that referral, in order: each click, code and name with why it is valid or not (reason, and in words), by the events up to as_of (NULL: all that are known). counts: the referral stands on it. What was decided then is in cdp_data.referral_decision. No row for who was erased. Needs the right to read identifiers and conversions (admin, privacy). Error 22023: no such referral.';
