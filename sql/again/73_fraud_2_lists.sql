-- Referral room, fraud: weights, lists, bans, and what an advocate was seen with.

CREATE OR REPLACE FUNCTION cdp_internal.fraud_digest(what text, value text) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  form text := CASE what
    WHEN 'email' THEN (cdp.email_parts(value)).canonical
    WHEN 'phone' THEN cdp.normalise('phone', value)
    WHEN 'ip' THEN host(cdp_internal.plain_ip(value::inet))
    WHEN 'net' THEN cdp_internal.ip_network(value::inet)
    ELSE btrim(value) END;
BEGIN
  IF coalesce(form, '') = '' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('a value of kind %s has no such form', what), HINT = 'E-mail addresses, telephone numbers and IP addresses are read as everywhere; other values must not be empty.';
  END IF;
  IF NOT cdp_internal.key_file_is_set() THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'no key file is set, so there are no digests', HINT = 'Set cdp.key_file; see docs/encryption.md.';
  END IF;
  -- What somebody is paid to may be what another pays from.
  RETURN cdp_internal.referral_digest(CASE what WHEN 'payout' THEN 'payment' ELSE what END, form);
END
$$;
COMMENT ON FUNCTION cdp_internal.fraud_digest(text, text) IS
'Keyed digest of a value (email, phone, ip, net, agent, device, payment, payout, address) as clicks and conversions keep them. Errors: 22023 NULL, or no such form, 22P02 no IP address, 55000 no key file.';

CREATE OR REPLACE FUNCTION cdp.set_fraud_weight(code text, weight double precision, note text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- A weight of 0 is good where the code is.
  PERFORM cdp.fraud_policy(jsonb_build_object(code, coalesce(weight, 0)));
  INSERT INTO cdp_data.fraud_rule (code, weight, note) VALUES (set_fraud_weight.code, set_fraud_weight.weight, set_fraud_weight.note);
END
$$;
COMMENT ON FUNCTION cdp.set_fraud_weight(text, double precision, text) IS
'Gives a fraud rule another weight for all referral campaigns from now on: 0 switches it off, NULL gives the built-in weight back. Weights of a campaign''s terms go before it. Scores of earlier moments keep what held then. Errors: 22023 no such rule, or a weight out of 0 to 0.999999.';

CREATE OR REPLACE FUNCTION cdp_internal.fraud_weights(as_of timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT coalesce(jsonb_object_agg(w.code, w.weight) FILTER (WHERE w.weight IS NOT NULL), '{}')
    FROM (SELECT DISTINCT ON (r.code) r.code, r.weight FROM cdp_data.fraud_rule r WHERE r.set_at <= fraud_weights.as_of ORDER BY r.code, r.set_at DESC) w
    WHERE EXISTS (SELECT FROM cdp.fraud_rule_builtin() b WHERE b.code = w.code));
END
$$;
COMMENT ON FUNCTION cdp_internal.fraud_weights(timestamptz) IS 'Weights of cdp_data.fraud_rule in force at a moment, by code.';

CREATE OR REPLACE FUNCTION cdp.add_to_fraud_list(list text, what text, value text, campaign text DEFAULT NULL, reason text DEFAULT NULL, expires_at timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  id bigint;
  customer bigint;
  plain text;
BEGIN
  PERFORM cdp_internal.require_choice('list', list, '{allow,block,denied_host,disposable_domain}');
  PERFORM cdp_internal.require_choice('kind of value', what, CASE list WHEN 'denied_host' THEN '{host}' WHEN 'disposable_domain' THEN '{email_domain}'
    ELSE '{customer,email,phone,email_domain,host,ip,net,device,payment,payout,address}' END::text[]);
  IF list = 'allow' AND what NOT IN ('customer', 'email', 'phone') THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'only persons can be let through always', DETAIL = format('%s is shared by many.', what), HINT = 'Give a customer, an e-mail address or a telephone number.';
  END IF;
  IF value IS NULL OR btrim(value) = '' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'a value is missing';
  END IF;
  IF what = 'customer' THEN
    customer := cdp_internal.root_of(value::bigint);
    IF customer IS NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = 'there is no such customer', HINT = 'Give the number of a customer.';
    END IF;
  ELSIF what IN ('email_domain', 'host') THEN
    plain := ltrim(lower(btrim(value)), '.@');
    IF plain !~ '^[^\s/@:]+\.[^\s/@:.]+$' THEN
      RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'this is no name of a host', HINT = 'Give it as in shop.example, without address and path.';
    END IF;
  END IF;
  INSERT INTO cdp_data.fraud_list AS l (list, what, value, digest, customer_id, referral_campaign_id, reason, expires_at)
  VALUES (list, what, plain, CASE WHEN what NOT IN ('customer', 'email_domain', 'host') THEN cdp_internal.fraud_digest(what, value) END, customer, CASE WHEN campaign IS NOT NULL THEN cdp_internal.referral_campaign_of(campaign) END, reason, expires_at)
  RETURNING l.fraud_list_id INTO id;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.add_to_fraud_list(text, text, text, text, text, timestamptz) IS
'Puts a value on a list for referral fraud, from now on, for one campaign (by name) or all. list: allow (customer, email or phone of a referrer or referee that is let through), block (any kind: what is always rejected), denied_host (sites from which no click counts), disposable_domain. what: customer (its number), email, phone, email_domain, host, ip, net, device, payment, payout, address. Personal values are kept as keyed digests only. Domains and hosts count for what is below them, too. Returns the number of the entry. Errors: 22023 unknown words or values, 42704 no such customer or campaign, 55000 no key file, 23514 it expires before it begins.';

CREATE OR REPLACE FUNCTION cdp.remove_from_fraud_list(entry bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE cdp_data.fraud_list l SET removed_at = clock_timestamp(), removed_by = session_user WHERE l.fraud_list_id = entry AND l.removed_at IS NULL;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION cdp.remove_from_fraud_list(bigint) IS 'Ends an entry of cdp_data.fraud_list now; scores of earlier moments still know it. False when it had ended or never was.';

CREATE OR REPLACE FUNCTION cdp.load_disposable_domains(domains text[], replace boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  n bigint;
  at timestamptz := clock_timestamp();
  bad text;
BEGIN
  SELECT d INTO bad FROM unnest(domains) d WHERE lower(btrim(d)) !~ '^[^\s/@:]+\.[^\s/@:.]+$' OR d IS NULL LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'the list holds what is no domain', DETAIL = format('Such as "%s".', left(bad, 100)), HINT = 'Nothing was loaded. Give an array of domains as in mail.example.';
  END IF;
  IF replace THEN
    UPDATE cdp_data.fraud_list l SET removed_at = at, removed_by = session_user
    WHERE l.list = 'disposable_domain' AND l.removed_at IS NULL AND NOT EXISTS (SELECT FROM unnest(domains) d WHERE lower(btrim(d)) = l.value);
  END IF;
  INSERT INTO cdp_data.fraud_list (list, what, value, added_at)
  SELECT 'disposable_domain', 'email_domain', x.d, at
  FROM (SELECT DISTINCT lower(btrim(d)) AS d FROM unnest(domains) d) x
  WHERE NOT EXISTS (SELECT FROM cdp_data.fraud_list l WHERE l.list = 'disposable_domain' AND l.what = 'email_domain' AND l.value = x.d AND l.removed_at IS NULL AND l.referral_campaign_id IS NULL AND (l.expires_at IS NULL OR l.expires_at > at))
  ORDER BY x.d;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp.load_disposable_domains(text[], boolean) IS
'Takes in a list of domains of throw-away addresses beside cdp.disposable_domain_builtin(), such as the one of the npm package disposable-email-domains; replace: those that are not in it end. Returns how many are new. The same list again changes nothing. Error 22023: a member is no domain; then nothing is loaded.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_banned(customers bigint[], campaign integer, at timestamptz) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  WITH banned AS MATERIALIZED (
    SELECT DISTINCT cdp_internal.root_of(b.customer_id) AS root
    FROM cdp_data.referral_ban b LEFT JOIN cdp_data.referral_ban_lift f USING (referral_ban_id)
    WHERE b.customer_id IS NOT NULL AND (b.referral_campaign_id IS NULL OR b.referral_campaign_id = campaign) AND b.banned_at <= referral_banned.at
      AND (b.expires_at IS NULL OR b.expires_at > referral_banned.at) AND (f.lifted_at IS NULL OR f.lifted_at > referral_banned.at))
  SELECT DISTINCT c.id FROM unnest(customers) AS c (id) WHERE EXISTS (SELECT FROM banned) AND cdp_internal.root_of(c.id) IN (SELECT x.root FROM banned x);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_banned(bigint[], integer, timestamptz) IS
'Which of these customers may not take part in a referral campaign at a moment: they, or who they were merged with, are banned from it or from all. campaign NULL: bans from all only.';

CREATE OR REPLACE FUNCTION cdp_internal.referrals_of(customers bigint[], states text[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  homes bigint[] := ARRAY(SELECT DISTINCT u FROM unnest(customers) c CROSS JOIN LATERAL cdp_internal.customers_under(cdp_internal.root_of(c)) u);
BEGIN
  RETURN ARRAY(SELECT r.referral_id FROM cdp_data.referral r WHERE (r.referrer_id = ANY (homes) OR r.referee_id = ANY (homes)) AND r.state = ANY (states) AND NOT r.is_test ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.referrals_of(bigint[], text[]) IS 'The referrals in these states in which these customers, or who was merged with them, have a part.';

CREATE OR REPLACE FUNCTION cdp_internal.rejected_by_ban(referral bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce((SELECT s.decided_by = 'ban' FROM cdp_data.fraud_score s WHERE s.referral_id = referral ORDER BY s.fraud_score_id DESC LIMIT 1), false);
END
$$;
COMMENT ON FUNCTION cdp_internal.rejected_by_ban(bigint) IS 'Whether the last score of a referral said reject for a ban.';

CREATE OR REPLACE FUNCTION cdp.ban_referrer(customer bigint, reason text, campaign text DEFAULT NULL, expires_at timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  id bigint;
  root bigint := cdp_internal.root_of(customer);
BEGIN
  IF root IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = 'there is no such customer', HINT = 'Give the number of a customer.';
  END IF;
  PERFORM cdp_internal.require_text('a reason', reason, 1000);
  INSERT INTO cdp_data.referral_ban AS b (customer_id, referral_campaign_id, reason, banned_at, expires_at)
  VALUES (root, CASE WHEN campaign IS NOT NULL THEN cdp_internal.referral_campaign_of(campaign) END, reason, now(), expires_at) RETURNING b.referral_ban_id INTO id;
  PERFORM cdp_internal.referral_apply(cdp_internal.referrals_of(ARRAY[root], '{pending,review}'), session_user::text);
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.ban_referrer(bigint, text, text, timestamptz) IS
'Bans a customer from one referral campaign (by name) or all, until expires_at or for good: his clicks count no more, his open referrals (pending, review) are rejected; those approved before stay. Those that only a ban had rejected, of before it, go on when it has run out: cdp.rescore_referrals(). Returns the number of the ban, for cdp.unban_referrer(). Errors: 42704 no such customer or campaign, 22023 no reason, 23514 it expires before it begins.';

CREATE OR REPLACE FUNCTION cdp.unban_referrer(ban bigint, reason text DEFAULT NULL, void boolean DEFAULT true) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  b record;
  gone bigint[];
  open bigint[];
  ids bigint[] := '{}';
BEGIN
  SELECT x.* INTO b FROM cdp_data.referral_ban x WHERE x.referral_ban_id = ban FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('there is no ban %s', coalesce(ban::text, 'NULL')), HINT = 'Bans: SELECT * FROM cdp_data.referral_ban;';
  END IF;
  INSERT INTO cdp_data.referral_ban_lift (referral_ban_id, customer_id, lifted_at, reason) VALUES (ban, b.customer_id, CASE WHEN void THEN b.banned_at ELSE clock_timestamp() END, reason) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('ban %s was lifted before', ban);
  END IF;
  IF b.customer_id IS NULL THEN
    RETURN 0;
  END IF;
  -- Clicks of that time count again; what was rejected for something else stays rejected.
  gone := CASE WHEN void THEN cdp_internal.referrals_of(ARRAY[b.customer_id], '{ineligible}') ELSE '{}' END;
  open := cdp_internal.referrals_of(ARRAY[b.customer_id], '{pending,review}') || ARRAY(SELECT u FROM unnest(cdp_internal.referrals_of(ARRAY[b.customer_id], '{rejected}')) u WHERE cdp_internal.rejected_by_ban(u));
  -- All of them are held at once, and settled at once.
  PERFORM cdp_internal.hold_referrals(gone || open);
  IF gone <> '{}' THEN
    ids := ARRAY(SELECT cdp_internal.referral_decide(ARRAY(SELECT DISTINCT cdp_internal.root_of(r.referee_id) FROM cdp_data.referral r WHERE r.referral_id = ANY (gone) AND r.referee_id > 0), NULL, false));
  END IF;
  ids := ids || cdp_internal.referral_apply(open, session_user::text, NULL, ids);
  RETURN (SELECT count(DISTINCT u) FROM unnest(ids) u);
END
$$;
COMMENT ON FUNCTION cdp.unban_referrer(bigint, text, boolean) IS
'Lifts a ban and replays the referrals that it held: they are decided anew, and those that only the ban had rejected go on. void: the ban counts as if it had never been, so clicks of that time count, too; without it, it ends now. What people rejected in reviews stays. Returns how many referrals changed. Errors: 42704 no such ban, 55000 it was lifted before.';

CREATE OR REPLACE FUNCTION cdp.observe_for_fraud(customer bigint, facts jsonb, at timestamptz DEFAULT now()) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  bad text;
  n integer;
BEGIN
  IF jsonb_typeof(facts) IS DISTINCT FROM 'object' OR at IS NULL OR NOT isfinite(at) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'facts are an object, at a moment', HINT = 'Such as {"ip": "192.0.2.7", "device": "..."}.';
  END IF;
  SELECT f.key INTO bad FROM jsonb_each(facts) f WHERE f.key NOT IN ('ip', 'user_agent', 'device', 'payment', 'payout', 'address') OR jsonb_typeof(f.value) <> 'string' ORDER BY 1 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('"%s" is no fact of a customer, or no text', left(bad, 63)), HINT = 'Facts are ip, user_agent, device, payment, payout and address.';
  END IF;
  IF cdp_internal.root_of(customer) IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = 'there is no such customer', HINT = 'Give the number of a customer.';
  END IF;
  INSERT INTO cdp_data.fraud_fact AS o (customer_id, kind, digest, first_at, last_at)
  SELECT customer, f.kind, f.digest, at, at
  FROM (SELECT k.key AS kind, cdp_internal.fraud_digest(k.key, k.value) AS digest FROM jsonb_each_text(facts) k WHERE k.key <> 'user_agent'
    UNION ALL SELECT 'net', cdp_internal.fraud_digest('net', facts ->> 'ip') WHERE facts ? 'ip'
    UNION ALL SELECT 'ip_ua', cdp_internal.fraud_digest('ip', facts ->> 'ip') || cdp_internal.fraud_digest('agent', facts ->> 'user_agent') WHERE facts ?& '{ip,user_agent}') f
  ORDER BY 2
  ON CONFLICT ON CONSTRAINT fraud_fact_pkey DO UPDATE SET first_at = least(o.first_at, excluded.first_at), last_at = greatest(o.last_at, excluded.last_at);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp.observe_for_fraud(bigint, jsonb, timestamptz) IS
'Tells by what a customer was seen: {"ip": ..., "user_agent": ..., "device": ..., "payment": ..., "payout": ..., "address": ...} when an advocate signs in, orders, or says where to pay to. Kept as keyed digests, with the first and the last time. Told twice it changes nothing. Returns how many facts. Errors: 22023 unknown facts or forms, 22P02 no IP address, 42704 no such customer, 55000 no key file.';
