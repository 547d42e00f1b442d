-- Referral room, programme: everything that stands against activating a campaign, at once.

CREATE OR REPLACE FUNCTION cdp_internal.referral_findings_of_link(template text) RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT f.severity, f.code, f.message, f.hint FROM (VALUES
    (template = '', 'warning'::text, 'no_link'::text, 'it has no link: there are codes only, which have to be typed'::text, 'Give it a link_template such as https://shop.example/r/{code}.'::text),
    (template <> '' AND strpos(template, '{code}') = 0, 'error', 'link_code', 'its link_template does not hold {code}', 'Put {code} where the code belongs: https://shop.example/r/{code}.'),
    (length(template) - length(replace(template, '{code}', '')) > 6, 'error', 'link_code', 'its link_template holds {code} more than once', 'Once is enough.'),
    (replace(template, '{code}', '') ~ '[{}]', 'error', 'link_variable', 'its link_template holds something in braces that is not {code}', 'Only {code} is put in.'),
    (template <> '' AND template !~* '^https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?([/?#]|$)', 'error', 'link_address', 'its link_template is no web address', 'It begins with https:// and a host.'),
    (template ~* '^http://', 'warning', 'link_plain', 'its link_template is without encryption', 'Use https://.'),
    (template ~ '^[^/]*//[^/?#]*[{]', 'error', 'link_host', 'the code stands in the host of its link_template', 'Put it into the path or behind a question mark.')
  ) AS f (found, severity, code, message, hint) WHERE f.found;
END;
COMMENT ON FUNCTION cdp_internal.referral_findings_of_link(text) IS 'What is wrong or doubtful with the link_template of a referral campaign.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_findings_of_audience(campaign integer) RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  c record;
  a record;
  n bigint;
BEGIN
  SELECT x.* INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = campaign;
  SELECT y.bits, y.refusal INTO a FROM cdp_data.segment x, cdp_internal.aim_audience(x.name, x.channel) y WHERE x.segment_id = c.segment_id;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'warning', 'no_segment', 'it has no audience: nobody can be told of it here', format('SELECT cdp.edit_referral_campaign(%L, ''{"segment": "..."}''); or issue codes one by one.', c.name);
  ELSE
    n := cdp.roaring_count(a.bits);
    RETURN QUERY
    SELECT f.severity, f.code, f.message, f.hint FROM (VALUES
      (n = 0, 'warning', 'empty_audience', 'nobody is in its audience now', 'See who is in the segment, and who of them allows the purpose.'),
      (n > 0 AND n < cdp_internal.minimum_audience(), 'warning', 'small_audience', 'its audience is smaller than the minimum audience: reports of it will show few figures', 'Speak to more people.')
    ) AS f (found, severity, code, message, hint) WHERE f.found;
  END IF;
  RETURN QUERY SELECT f.* FROM cdp_internal.aim_findings('campaign', c.segment_id, c.purpose, c.holdout_id, c.campaign_id, a.refusal) f;
  RETURN QUERY
  SELECT f.severity, f.code, f.message, f.hint FROM (VALUES
    (c.purpose IS NULL AND c.segment_id IS NOT NULL, 'error', 'no_purpose', 'it has no purpose', format('SELECT cdp.edit_referral_campaign(%L, ''{"purpose": "..."}'');', c.name)),
    (c.holdout_id IS NULL, 'info', 'no_holdout', 'it has no holdout: what would have come without it will not be known', 'cdp.create_holdout() makes one; it is named before activation.')
  ) AS f (found, severity, code, message, hint) WHERE f.found;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_findings_of_audience(integer) IS 'What is wrong or doubtful with segment, purpose, holdout and campaign of a referral campaign.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_findings_of_money(campaign integer, at timestamptz) RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
  v integer := cdp_internal.referral_terms_at(campaign, at);
  doc jsonb;
  most bigint;
BEGIN
  SELECT x.* INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = campaign;
  IF NOT EXISTS (SELECT FROM cdp_data.currency_all x WHERE x.code = c.currency) THEN
    RETURN QUERY SELECT 'error', 'unknown_currency', format('there is no currency "%s" any more', c.currency), 'See cdp_data.currency_all.';
    RETURN;
  ELSIF v IS NULL THEN
    RETURN QUERY SELECT 'error', 'no_terms', 'it has no terms: nobody knows what is paid for what', format('SELECT cdp.set_referral_terms(%L, rules => ''[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}]'');', c.name);
    RETURN;
  END IF;
  -- Kinds and rules may have changed since the terms were set; what they may cost is told again.
  doc := cdp.referral_terms(c.name, v);
  RETURN QUERY
  SELECT f.severity, CASE f.code WHEN 'W_UNCAPPED' THEN 'uncapped' WHEN 'W_NO_RULE' THEN 'no_reward' WHEN 'W_HOLD' THEN 'hold' WHEN 'W_CAP' THEN 'cap_low' WHEN 'W_LEVELS' THEN 'levels_unpaid' ELSE 'terms' END,
    format('terms, version %s, %s: %s', v, f.path, f.message), f.hint
  FROM cdp_internal.referral_terms_findings(doc -> 'terms', doc -> 'rules', doc -> 'caps', c.currency, '{}', c.budget_minor IS NOT NULL) f;
  RETURN QUERY SELECT 'error', w.code, w.message, w.hint FROM cdp_internal.referral_wechat(campaign, c.channels || ARRAY(SELECT m.channel FROM cdp_data.referral_material m WHERE m.referral_campaign_id = campaign AND m.state <> 'retired'), at) w;
  SELECT max(greatest(r.amount_minor, (SELECT max((m.value ->> 'amount_minor')::bigint) FROM jsonb_array_elements(coalesce(r.milestones, '[]') || coalesce(r.tiers, '[]')) m))) INTO most
  FROM cdp_data.reward_rule r WHERE r.referral_campaign_id = campaign AND r.terms_version = v AND r.on_cap = 'skip';
  RETURN QUERY
  SELECT f.severity, f.code, f.message, f.hint FROM (VALUES
    (c.budget_minor < most, 'error', 'budget_small', 'its budget is below the largest single reward, which could never be paid', 'Raise the budget, or lower the reward.'),
    ((SELECT t.valid_from > greatest(at, clock_timestamp()) FROM cdp_data.referral_terms t WHERE t.referral_campaign_id = campaign AND t.terms_version = v), 'warning', 'terms_late', format('its terms begin at %s only: as there are none before, they hold before, too', (SELECT t.valid_from FROM cdp_data.referral_terms t WHERE t.referral_campaign_id = campaign AND t.terms_version = v)),
      format('SELECT cdp.set_referral_terms(%L, ...); with those of now, or let it start then: "starts_at".', c.name)),
    (c.budget_minor IS NULL, 'info', 'no_budget', 'it has no budget', format('SELECT cdp.edit_referral_campaign(%L, ''{"budget": ...}'');', c.name)),
    (NOT EXISTS (SELECT FROM cdp_data.reward_rule r WHERE r.referral_campaign_id = campaign AND r.terms_version = v AND r.side = 'referee') AND EXISTS (SELECT FROM cdp_data.reward_rule r WHERE r.referral_campaign_id = campaign AND r.terms_version = v),
      'info', 'one_sided', 'who is brought gets nothing', 'A reward for both sides may bring more: compare them by two campaigns of one group.')
  ) AS f (found, severity, code, message, hint) WHERE f.found;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_findings_of_money(integer, timestamptz) IS 'What is wrong or doubtful with currency, terms (those of that moment) and budget of a referral campaign, and what WeChat forbids.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_findings(campaign integer, at timestamptz) RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  c record;
BEGIN
  SELECT x.* INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = campaign;
  RETURN QUERY
  SELECT f.* FROM cdp_internal.referral_findings_of_audience(campaign) f
  UNION ALL SELECT f.* FROM cdp_internal.referral_findings_of_money(campaign, at) f
  UNION ALL SELECT f.* FROM cdp_internal.referral_findings_of_link(c.link_template) f
  UNION ALL
  SELECT f.severity, f.code, f.message, f.hint FROM (VALUES
    (c.channels = '{}', 'warning', 'no_channel', 'it has no channel', format('SELECT cdp.edit_referral_campaign(%L, ''{"channels": ["email"]}'');', c.name)),
    (c.ends_at <= at, 'error', 'ends_past', format('it ends at %s, which is past', c.ends_at), 'Give it a later end, or none.'),
    (c.starts_at < at AND c.state = 'draft', 'warning', 'starts_past', format('it was to start at %s, which is past', c.starts_at), 'Events count from its activation on; say an earlier moment there if it ran before.'),
    (c.ends_at IS NULL AND c.budget_minor IS NULL, 'warning', 'no_end', 'it has neither an end nor a budget', 'Give it one of them.'),
    (c.goal_target IS NULL, 'info', 'no_goal', 'it has no goal_target: nothing can be said about its success', format('SELECT cdp.edit_referral_campaign(%L, ''{"goal_target": 100}'');', c.name))
  ) AS f (found, severity, code, message, hint) WHERE f.found
  UNION ALL
  SELECT 'warning', 'group_beside', format('campaign "%s" of the same group runs beside it: who is referred in one is not in the other', o.name), 'That is what groups are for; give it a group of its own if it is not meant.'
  FROM cdp_data.referral_campaign o WHERE o.campaign_group = c.campaign_group AND o.referral_campaign_id <> campaign AND o.state IN ('active', 'paused')
    AND coalesce(o.ends_at > coalesce(c.starts_at, at), true) AND coalesce(o.starts_at < c.ends_at, true);
  RETURN QUERY SELECT f.severity, f.code, f.message, f.hint FROM cdp_internal.referral_findings_of_materials(campaign) f;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_findings(integer, timestamptz) IS 'cdp.check_referral_campaign() of the campaign of that number, as if it were activated at that moment.';

CREATE OR REPLACE FUNCTION cdp.check_referral_campaign(name text) RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT f.severity, f.code, f.message, f.hint FROM cdp_internal.referral_findings(cdp_internal.referral_campaign_of(name), now()) f
  ORDER BY array_position('{error,warning,info}', f.severity), f.code COLLATE "C", f.message COLLATE "C";
END
$$;
COMMENT ON FUNCTION cdp.check_referral_campaign(text) IS
'Everything that stands against activating a referral campaign, at once: severity error (activation refuses it), warning or info, a code, what it is and what to do. Codes: docs/referral.md. No rows: nothing. Reads only; consent and the audience are asked now. Error 42704: no such campaign.';
