-- Referral room, fraud: the rules, and the score over anybody's rows. Nothing here knows a table.

CREATE OR REPLACE FUNCTION cdp.fraud_rule_builtin()
RETURNS TABLE (code text, grp text, kind text, weight double precision, shape text, at double precision[], weights double precision[], parameters jsonb, meaning text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT v.code, v.grp, v.kind, v.weight, v.shape, v.at::double precision[], v.weights::double precision[], v.parameters::jsonb, v.meaning
  FROM (VALUES
    ('list.ban'::text, 'list'::text, 'ban'::text, 1::double precision, 'flag'::text, NULL::text, NULL::text, '{}'::text, 'referrer or referee is banned'::text),
    ('list.allow', 'list', 'allow', 1, 'flag', NULL, NULL, '{}', 'referrer or referee stands on the allow list'),
    ('list.block', 'list', 'block', 1, 'flag', NULL, NULL, '{}', 'an identifier, network, domain or host of the referral stands on the block list'),
    ('hard.same_person', 'eligibility', 'hard', 1, 'flag', NULL, NULL, '{}', 'referrer and referee are one customer'),
    ('hard.already_referred', 'eligibility', 'hard', 1, 'flag', NULL, NULL, '{}', 'somebody else referred the referee before'),
    ('hard.existing_customer', 'eligibility', 'hard', 1, 'flag', NULL, NULL, '{}', 'the referee was a customer before the click'),
    ('hard.campaign_closed', 'eligibility', 'hard', 1, 'flag', NULL, NULL, '{}', 'the campaign was not active'),
    ('self.email_canonical', 'identity', 'soft', .95, 'flag', NULL, NULL, '{}', 'both have the same mailbox: cdp.email_parts()'),
    ('self.phone', 'identity', 'soft', .95, 'flag', NULL, NULL, '{}', 'both have the same telephone number'),
    ('self.payment_fp', 'identity', 'soft', .95, 'flag', NULL, NULL, '{}', 'both paid by the same card or account'),
    ('self.payout_fp', 'identity', 'soft', .95, 'flag', NULL, NULL, '{}', 'the referee pays from where the referrer is paid to, or both are paid to one account'),
    ('self.id_hash', 'identity', 'soft', .95, 'flag', NULL, NULL, '{}', 'both have the same number of an identity document'),
    ('self.device', 'device', 'soft', .80, 'flag', NULL, NULL, '{"window": "90 days"}', 'both used one device'),
    ('self.cookie', 'device', 'soft', .80, 'flag', NULL, NULL, '{"window": "90 days"}', 'both have one browser cookie'),
    ('self.openid', 'device', 'soft', .80, 'flag', NULL, NULL, '{"window": "90 days"}', 'both have one WeChat openid or unionid'),
    ('self.address', 'address', 'soft', .60, 'flag', NULL, NULL, '{}', 'both have one delivery address, to the flat'),
    ('self.ip_ua', 'network', 'soft', .60, 'hub', NULL, NULL, '{"window": "24 hours", "persons_window": "30 days"}', 'both came from one IP address with one browser; the value is how many persons came from the address'),
    ('self.ip', 'network', 'soft', .25, 'hub', NULL, NULL, '{"window": "30 days"}', 'both came from one IP address; the value is how many persons did'),
    ('self.ip24', 'network', 'soft', .15, 'hub', NULL, NULL, '{"window": "30 days"}', 'both came from one network (/24, /48); the value is how many persons did'),
    ('self.name_email_similar', 'similarity', 'soft', .35, 'flag', NULL, NULL, '{"distance": 2, "jaro_winkler": 0.92, "shortest": 6}', 'the local parts of their e-mail addresses look alike'),
    ('email.disposable', 'email', 'soft', .70, 'flag', NULL, NULL, '{}', 'the referee''s e-mail address is at a disposable domain or below one'),
    ('email.invalid', 'email', 'soft', .60, 'flag', NULL, NULL, '{}', 'the referee''s e-mail address bounced'),
    ('email.role', 'email', 'soft', .15, 'flag', NULL, NULL, '{}', 'the referee''s e-mail address is one of a role: info@, sales@'),
    ('email.sequential', 'email', 'soft', .40, 'steps', '{3}', '{.40}', '{"apart": 5}', 'referees of the referrer have addresses that are counted up: user1, user2, user3; the value is how many'),
    ('vel.referrer', 'velocity', 'soft', .80, 'tail', '{.05}', NULL, '{"window": "24 hours", "per_day": 5}', 'more referrals of the referrer in the window than chance gives at the rate of the campaign (per_day while that is not known); the value is that chance (Poisson)'),
    ('vel.referrer_hour', 'velocity', 'soft', .25, 'steps', '{6}', '{.25}', '{"window": "1 hour"}', 'more than five referrals of the referrer within an hour'),
    ('vel.ip', 'velocity', 'soft', .50, 'hub', NULL, NULL, '{"purchases": 3, "window": "7 days", "persons_window": "30 days"}', 'more than three referees of the referrer bought from the IP address in the window; the value is 2 plus the persons there that are not referees of his'),
    ('ctit.fast', 'timing', 'soft', .60, 'below', '{1}', NULL, '{"signup_seconds": 10, "purchase_seconds": 60}', 'the conversion came sooner after the click than a person needs; the value is the time as a share of the limit'),
    ('ctit.flat', 'timing', 'soft', .60, 'below', '{1e-4}', NULL, '{"conversions": 20}', 'conversions of the referrer come later after the click than those of the campaign, as after clicks that nobody made; the value is the p value of cdp.ks_two_samples()'),
    ('click.flood', 'timing', 'soft', .50, 'flag', NULL, NULL, '{"quantile": 0.99, "rate": 0.1, "window": "30 days"}', 'the referrer has more clicks than 99 % of all in the campaign, and less than a tenth of the median rate of conversion'),
    ('leak.coupon_site', 'leak', 'soft', .60, 'flag', NULL, NULL, '{}', 'the click came from a site of coupons'),
    ('leak.public_spread', 'velocity', 'soft', .40, 'steps', '{8}', '{.40}', '{"window": "1 day"}', 'the code was clicked from so many networks (AS number and country) on one day of UTC'),
    ('leak.paid', 'leak', 'soft', .50, 'flag', NULL, NULL, '{}', 'the click came from an advertisement: its address has a click id (gclid, fbclid)'),
    ('ring.cycle', 'ring', 'density', .90, 'steps', '{2,3,5}', '{.90,.70,0}', '{"longest": 4}', 'referrals that lead back to the referrer; the value is the length of the shortest way round'),
    ('ring.component', 'ring', 'density', .85, 'steps', '{5,10,20}', '{.60,.80,.85}', '{"hub_cap": 10}', 'accounts that hang together by strong attributes (device, payment, address); the value is how many'),
    ('ring.core', 'ring', 'density', .50, 'steps', '{3}', '{.50}', '{}', 'the k of the densest k-core of accounts and strong attributes that holds the referee'),
    ('ring.dense', 'ring', 'density', .60, 'flag', NULL, NULL, '{}', 'the referee is in a dense block of accounts and strong attributes (FRAUDAR)'),
    ('behav.refund', 'outcome', 'soft', .60, 'steps', '{.5}', '{.60}', '{"referees": 3}', 'the value is the share of the referrer''s referees with purchases who gave back at least half of those that they made within 30 days, half of the money of each'),
    ('behav.dormant', 'outcome', 'soft', .40, 'below', '{.01}', NULL, '{"window": "14 days"}', 'referees of the referrer do nothing more, others of the campaign do; the value is the chance of that (binomial)'),
    ('history.fraud_identifier', 'history', 'soft', .90, 'flag', NULL, NULL, '{"ip_window": "30 days", "ip_persons": 4}', 'an identifier of the referral was part of a confirmed fraud; an IP address alone only while at most so many persons come from it')
  ) AS v (code, grp, kind, weight, shape, at, weights, parameters, meaning);
END;
COMMENT ON FUNCTION cdp.fraud_rule_builtin() IS
'Built-in fraud rules. grp: of rules of one group only the largest weight counts, they look at the same thing. kind: ban, allow, block (lists), hard (not eligible), soft, density (soft, but never enough to reject). shape, how the measured value becomes a weight: flag (above 0: weight), steps (from at[i] on: weights[i]), below (below at[1]: weight), tail (a probability p below at[1]: 0.1 * -log10 p, at most weight), hub (n persons: weight / (1 + log2(n / 2)) from two on), share (0 to 1: that share of weight). parameters: windows and limits of what is measured. Read-only; part of the release.';

CREATE OR REPLACE FUNCTION cdp.fraud_policy(weights jsonb DEFAULT '{}', review_at double precision DEFAULT 0.5, reject_at double precision DEFAULT 0.85,
  cost_review double precision DEFAULT NULL, cost_wrong double precision DEFAULT NULL, own_rules jsonb DEFAULT NULL, builtin boolean DEFAULT true)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  rules jsonb;
  policy jsonb;
  bad text;
BEGIN
  IF jsonb_typeof(weights) IS DISTINCT FROM 'object' OR own_rules IS NOT NULL AND jsonb_typeof(own_rules) <> 'array' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'weights are an object and own rules an array', HINT = 'Give weights as {"self.ip": 0.1}.';
  END IF;
  IF NOT coalesce(review_at >= 0 AND reject_at >= review_at AND reject_at <= 1e9, false) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'thresholds must ascend from 0', DETAIL = format('review_at is %s, reject_at %s.', review_at, reject_at);
  END IF;
  IF num_nulls(cost_review, cost_wrong) = 1 OR NOT coalesce(cost_review BETWEEN 0 AND 1e15 AND cost_wrong BETWEEN 0 AND 1e15, true) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'the costs of a review and of a wrong rejection come together, from 0 to 1e15',
      DETAIL = format('cost_review is %s, cost_wrong %s.', coalesce(cost_review::text, 'NULL'), coalesce(cost_wrong::text, 'NULL'));
  END IF;
  SELECT coalesce(jsonb_agg(r.rule ORDER BY r.code COLLATE "C"), '[]') INTO rules
  FROM (
    SELECT b.code, jsonb_strip_nulls(jsonb_build_object('code', b.code, 'group', b.grp, 'kind', b.kind, 'weight', b.weight, 'shape', b.shape, 'at', b.at, 'weights', b.weights)) AS rule
    FROM cdp.fraud_rule_builtin() b
    WHERE builtin AND NOT EXISTS (SELECT FROM jsonb_array_elements(own_rules) o WHERE o.value ->> 'code' = b.code)
    UNION ALL
    SELECT o.value ->> 'code', o.value FROM jsonb_array_elements(own_rules) o) r;
  SELECT w.key INTO bad FROM jsonb_each(weights) w
  WHERE jsonb_typeof(w.value) <> 'number' OR NOT EXISTS (SELECT FROM jsonb_array_elements(rules) r WHERE r.value ->> 'code' = w.key AND r.value ->> 'kind' IN ('soft', 'density'))
    OR NOT (w.value #>> '{}')::numeric BETWEEN 0 AND 0.999999
  ORDER BY w.key LIMIT 1;
  IF bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('the weight of "%s" can not be set so', bad),
      DETAIL = 'A weight is a number from 0 (the rule is off) to 0.999999, of a soft rule of the policy.', HINT = 'Rules: SELECT code, kind, weight FROM cdp.fraud_rule_builtin();';
  END IF;
  -- Steps keep their proportions.
  SELECT coalesce(jsonb_agg(CASE WHEN w.w IS NULL THEN r.value
    ELSE r.value || jsonb_build_object('weight', w.w) || CASE WHEN r.value ? 'weights'
      THEN jsonb_build_object('weights', (SELECT jsonb_agg(least((s.value #>> '{}')::double precision * w.w / nullif((r.value ->> 'weight')::double precision, 0), w.w) ORDER BY s.ordinality) FROM jsonb_array_elements(r.value -> 'weights') WITH ORDINALITY s)) ELSE '{}' END END
    ORDER BY r.ordinality), '[]') INTO rules
  FROM jsonb_array_elements(rules) WITH ORDINALITY r CROSS JOIN LATERAL (SELECT (weights ->> (r.value ->> 'code'))::double precision AS w) w;
  policy := jsonb_strip_nulls(jsonb_build_object('review_at', review_at, 'reject_at', reject_at, 'cost_review', cost_review, 'cost_wrong', cost_wrong, 'rules', rules));
  RETURN policy || jsonb_build_object('version', '1-' || left(encode(sha256(convert_to(policy::text, 'UTF8')), 'hex'), 12));
END
$$;
COMMENT ON FUNCTION cdp.fraud_policy(jsonb, double precision, double precision, double precision, double precision, jsonb, boolean) IS
'Rules and thresholds for cdp.fraud_score_of() and cdp.fraud_score_agg(). weights: other weights of rules by code, 0 switches a rule off; steps keep their proportions. A score from review_at on asks for a review, from reject_at on it rejects. cost_review and cost_wrong (what a review and a wrongly rejected customer cost, in the unit of the loss): where the loss of a case is known, the cheapest in expectation is taken instead: approving costs score * loss, a review cost_review, rejecting (1 - score) * cost_wrong. own_rules: an array of objects with code, group, kind, weight, shape, at, weights as of cdp.fraud_rule_builtin(), beside the built-in ones or in their place. version: a stamp of all that. Errors: 22023 bad or unknown weights, thresholds, costs; a rule that is none is told when the policy is used.';

CREATE OR REPLACE FUNCTION cdp.fraud_score_of(codes text[], "values" double precision[], evidence jsonb[] DEFAULT NULL, policy jsonb DEFAULT cdp.fraud_policy(), loss double precision DEFAULT NULL)
RETURNS cdp.fraud_decision
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'cdp_fraud_score_of';
COMMENT ON FUNCTION cdp.fraud_score_of(text[], double precision[], jsonb[], jsonb, double precision) IS
'The fraud score of one case. codes: rules of the policy; values: what each measured, in the same order, NULL: not known; evidence: what to tell with it when it fires. Lists decide first (ban, then allow, then block), then hard rules, then the score = 1 - product over groups of (1 - largest weight in the group), by the thresholds or costs of the policy. Rules of kind density never reject alone: without them the case must still ask for a review. loss: what approving a fraud costs, for the costs of the policy. The sum runs in the order of the reasons, so that any machine gives the same digits. NULL when codes, values or policy is NULL. Errors: 42704 a code that the policy does not have; 22023 arrays of different length, NaN, a bad policy or loss; 22004 a NULL code; 54000 more than 64 policies in one query.';

CREATE OR REPLACE FUNCTION cdp_internal.fraud_score_step(state internal, code text, value double precision, evidence jsonb, policy jsonb, loss double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 2
AS 'MODULE_PATHNAME', 'cdp_fraud_score_step';
COMMENT ON FUNCTION cdp_internal.fraud_score_step(internal, text, double precision, jsonb, jsonb, double precision) IS 'Transition of cdp.fraud_score_agg().';

CREATE OR REPLACE FUNCTION cdp_internal.fraud_score_end(state internal) RETURNS cdp.fraud_decision
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'cdp_fraud_score_end';
COMMENT ON FUNCTION cdp_internal.fraud_score_end(internal) IS 'Final function of cdp.fraud_score_agg().';

CREATE OR REPLACE AGGREGATE cdp.fraud_score_agg(code text, value double precision, evidence jsonb, policy jsonb, loss double precision) (
  SFUNC = cdp_internal.fraud_score_step, STYPE = internal, SSPACE = 1200, FINALFUNC = cdp_internal.fraud_score_end, FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.fraud_score_agg(text, double precision, jsonb, jsonb, double precision) IS
'cdp.fraud_score_of() over rows, one a signal: GROUP BY the case. A code may come several times: the one with the largest weight counts, then the largest value, then the smallest evidence, so the order of rows does not matter. A row with a NULL code says that there is such a case. Takes about a kilobyte a case. NULL without a row. Errors as there; 22023 policy or loss differ within a case.';

CREATE OR REPLACE FUNCTION cdp.email_parts(address text) RETURNS cdp.email_form
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_email_parts';
COMMENT ON FUNCTION cdp.email_parts(text) IS
'What an e-mail address tells about who made it. canonical: the mailbox behind it, for comparing, not for sending: the address as cdp.normalise() gives it, without +tag, at Google without dots, at one domain for each service with several (googlemail.com is gmail.com, foxmail.com is qq.com, me.com and mac.com are icloud.com, protonmail.com and pm.me are proton.me, yandex.com and ya.ru are yandex.ru). local and domain: its halves. stem and serial: local without the digits at its end, and these as a number when they are one to six after two characters at least. is_role: no person''s address (info, sales, no-reply). All NULL for NULL and for what is no address.';

CREATE OR REPLACE FUNCTION cdp.emails_similar(a text, b text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN length(a) >= 6 AND length(b) >= 6 AND (cdp.damerau_levenshtein(a, b, 2) <= 2 OR cdp.jaro_winkler(a, b) >= 0.92::double precision);
COMMENT ON FUNCTION cdp.emails_similar(text, text) IS
'Whether two local parts (cdp.email_parts()) look alike: six characters at least each, and at most two edits apart (Damerau-Levenshtein) or with a Jaro-Winkler similarity of 0.92 at least. Shorter ones are alike by chance. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp.disposable_domain_builtin() RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT unnest('{0-mail.com,10minutemail.com,10minutemail.net,20minutemail.com,33mail.com,anonbox.net,boun.cr,bugmenot.com,burnermail.io,byom.de,chacuo.net,deadaddress.com,discard.email,discardmail.com,dispostable.com,dropmail.me,emailondeck.com,fakeinbox.com,fakemailgenerator.com,getairmail.com,getnada.com,grr.la,guerrillamail.biz,guerrillamail.com,guerrillamail.de,guerrillamail.info,guerrillamail.net,guerrillamail.org,guerrillamailblock.com,inboxkitten.com,incognitomail.org,jetable.org,linshiyouxiang.net,mail-temporaire.fr,mailcatch.com,maildrop.cc,mailexpire.com,mailinator.com,mailinator.net,mailnesia.com,mailnull.com,mailsac.com,mailtemp.info,meltmail.com,mintemail.com,moakt.com,mohmal.com,mytemp.email,nada.email,notsharingmy.info,nowmymail.com,sharklasers.com,spam4.me,spambog.com,spambox.us,spamex.com,spamfree24.org,spamgourmet.com,spamhole.com,temp-mail.io,temp-mail.org,tempail.com,tempinbox.com,tempmail.net,tempmailaddress.com,tempmailo.com,tempr.email,throwawaymail.com,trash-mail.com,trashmail.com,trashmail.de,trashmail.me,trashmail.net,trbvm.com,wegwerfmail.de,wegwerfmail.net,yopmail.com,yopmail.fr,yopmail.net}'::text[]);
END;
COMMENT ON FUNCTION cdp.disposable_domain_builtin() IS
'A small list of domains of throw-away e-mail addresses, the best known ones only; there are more than a hundred thousand, and new ones each day. Load a kept list of your own beside it. A domain below one of them counts too. Read-only; part of the release.';
