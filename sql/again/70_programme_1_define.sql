-- Referral room, programme: campaigns made, edited, and led from state to state. A draft may lack anything; activation refuses what
-- cdp.check_referral_campaign() calls an error. What events that have happened went by is not changed behind them.

CREATE OR REPLACE FUNCTION cdp_internal.referral_campaign_of(name text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT c.referral_campaign_id INTO id FROM cdp_data.referral_campaign c WHERE c.name = referral_campaign_of.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no referral campaign named "%"', left(coalesce(name, 'NULL'), 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT c.name FROM cdp_data.referral_campaign c), 'SELECT name FROM cdp_data.referral_campaign; lists them.');
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_campaign_of(text) IS
'Number of the referral campaign of that name. Errors: 42704 when there is none, with the nearest name; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.is_wechat_channel(channel text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- One spelling, then without what stands between words: WeChat, we-chat and ＷｅＣｈａｔ are one.
  word text := cdp_internal.snake(coalesce(channel, ''));
  squeezed text := regexp_replace(word, '[ _./:-]+', '', 'g');
BEGIN
  RETURN squeezed ~ ('wechat|weixin|wecom|wework|wxwork|weapp|qywx|qiyeweixin|pengyouquan|shipinhao|videoaccount|miniprogram|xiaochengxu|gongzhonghao|officialaccount|moments|微信|企微|朋友圈|视频号|小程序|公众号' COLLATE "C")
    OR squeezed ~ ('^(wx|wxa|wxapp|wxmp|mp|mpweixin|pyq|gzh|sph|xcx)$' COLLATE "C") OR word ~ ('(^|_)(wx|pyq|gzh|xcx)(_|$)' COLLATE "C");
END
$$;
COMMENT ON FUNCTION cdp_internal.is_wechat_channel(text) IS
'Whether a channel belongs to WeChat, by its name in the usual spellings: wechat, wecom, moments, official accounts, channels (video), mini programs. There a reward for sharing, or for more than one level, may cost the account. False for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_active_at(campaign integer, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce((
    SELECT (c.starts_at IS NULL OR at >= c.starts_at) AND (c.ends_at IS NULL OR at < c.ends_at)
      AND (SELECT s.state FROM cdp_data.referral_campaign_state s WHERE s.referral_campaign_id = campaign AND s.from_at <= at ORDER BY s.from_at DESC LIMIT 1) = 'active'
    FROM cdp_data.referral_campaign c WHERE c.referral_campaign_id = campaign), false);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_active_at(integer, timestamptz) IS
'Whether events of a moment count for a referral campaign: its state at that moment was active, and it lies from starts_at on, before ends_at. False for NULL and for no campaign.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_terms_at(campaign integer, at timestamptz) RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce(
    (SELECT t.terms_version FROM cdp_data.referral_terms t WHERE t.referral_campaign_id = campaign AND t.valid_from <= at ORDER BY t.valid_from DESC, t.terms_version DESC LIMIT 1),
    (SELECT t.terms_version FROM cdp_data.referral_terms t WHERE t.referral_campaign_id = campaign ORDER BY t.valid_from, t.terms_version DESC LIMIT 1));
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_terms_at(integer, timestamptz) IS
'The version of terms by which events of a moment go: of those that had begun the one that began last, before all the one that begins first; of several that begin at one moment the last told. NULL without terms.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_terms_from(campaign integer, since timestamptz) RETURNS SETOF integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT x.v FROM (SELECT cdp_internal.referral_terms_at(campaign, since) AS v
    UNION SELECT cdp_internal.referral_terms_at(campaign, t.valid_from) FROM cdp_data.referral_terms t WHERE t.referral_campaign_id = campaign AND t.valid_from > since) x WHERE x.v IS NOT NULL ORDER BY 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_terms_from(integer, timestamptz) IS 'The versions of terms that are in force at a moment or at some time after it, by those of now.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_exponent(currency text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  digits integer := (SELECT c.exponent FROM cdp_data.currency_all c WHERE c.code = currency);
BEGIN
  IF digits IS NULL THEN
    RAISE EXCEPTION 'unknown currency "%"', left(coalesce(currency, 'NULL'), 20)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(upper(currency), ARRAY(SELECT c.code FROM cdp_data.currency_all c), 'SELECT code FROM cdp_data.currency_all; lists them.');
  END IF;
  RETURN digits;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_exponent(text) IS 'Digits of the minor unit of a currency: 2 for cents. Error 22023: unknown currency.';

CREATE OR REPLACE FUNCTION cdp_internal.minor_units(amount numeric, currency text, what text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  digits integer := cdp_internal.referral_exponent(currency);
BEGIN
  IF amount IS NULL THEN
    RETURN NULL;
  ELSIF NOT (amount > 0 AND amount * 10::numeric ^ digits <= 1e15) THEN
    RAISE EXCEPTION '% must be above zero and at most 10^15 minor units', what USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', left(amount::text, 50));
  ELSIF trunc(amount, digits) <> amount THEN
    RAISE EXCEPTION '% has more digits than the currency', what
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s; %s has %s digits after the point.', left(amount::text, 50), currency, digits);
  END IF;
  RETURN (amount * 10::numeric ^ digits)::bigint;
END
$$;
COMMENT ON FUNCTION cdp_internal.minor_units(numeric, text, text) IS
'An amount in minor units of a currency, exactly; NULL for NULL. what: its name in errors. Error 22023: not above zero, too large, more digits than the currency has, unknown currency.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_json_value(changes jsonb, key text, kind text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF jsonb_typeof(changes -> key) NOT IN (kind, 'null') THEN
    RAISE EXCEPTION '"%" must be a %', key, kind USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is of type %s.', jsonb_typeof(changes -> key)), HINT = 'null empties it.';
  END IF;
  RETURN changes ->> key;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_json_value(jsonb, text, text) IS
'A key of a JSON object as text, NULL when it is null or missing. Error 22023: it is of another type than kind (string, number, boolean, array).';

CREATE OR REPLACE FUNCTION cdp_internal.referral_time(changes jsonb, key text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  given text := cdp_internal.referral_json_value(changes, key, 'string');
  at timestamptz;
BEGIN
  BEGIN
    at := given;
  EXCEPTION WHEN data_exception THEN
    at := 'infinity';
  END;
  IF NOT isfinite(at) THEN
    RAISE EXCEPTION '"%" is no time', key USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', quote_literal(left(given, 50))), HINT = 'Such as 2026-05-01T00:00:00+08:00.';
  END IF;
  RETURN at;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_time(jsonb, text) IS 'A key of a JSON object as a finite time; NULL when it is null or missing. Error 22023: it is none.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_channels(given jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  words text[];
BEGIN
  IF jsonb_typeof(given) NOT IN ('array', 'null') OR given @? '$[*] ? (@.type() != "string")' OR jsonb_array_length(CASE jsonb_typeof(given) WHEN 'array' THEN given ELSE '[]' END) > 100 THEN
    RAISE EXCEPTION 'channels must be an array of at most 100 words' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as ["email", "sms"].';
  END IF;
  words := ARRAY(SELECT cdp_internal.consent_channel(w) COLLATE "C" AS word FROM jsonb_array_elements_text(CASE jsonb_typeof(given) WHEN 'array' THEN given ELSE '[]' END) w GROUP BY word ORDER BY word);
  IF '' = ANY (words) THEN
    RAISE EXCEPTION 'a channel must have a name' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as email, sms, wechat.';
  END IF;
  RETURN words;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_channels(jsonb) IS 'A JSON array of channels in the form that is stored, each once, sorted. Error 22023: no array of words.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_wechat(campaign integer, channels text[], since timestamptz) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  word text := (SELECT min(c COLLATE "C") FROM unnest(channels) c WHERE cdp_internal.is_wechat_channel(c));
  ahead integer[];
BEGIN
  IF word IS NULL THEN
    RETURN;
  END IF;
  ahead := ARRAY(SELECT cdp_internal.referral_terms_from(campaign, since));
  RETURN QUERY
  SELECT 'wechat_levels', format('version %s has %s levels, and channel "%s" is of WeChat', t.terms_version, greatest(t.levels, r.level), word),
    'WeChat shuts accounts that pay over more than one level: set levels to 1 in new terms, or leave the channel out.'
  FROM cdp_data.referral_terms t CROSS JOIN LATERAL (SELECT coalesce(max(x.level), 1) AS level FROM cdp_data.reward_rule x WHERE x.referral_campaign_id = campaign AND x.terms_version = t.terms_version) r
  WHERE t.referral_campaign_id = campaign AND t.terms_version = ANY (ahead) AND greatest(t.levels, r.level) > 1
  ORDER BY t.terms_version;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_wechat(integer, text[], timestamptz) IS
'What WeChat would shut the account for, were the campaign spread on these channels: terms in force at the moment or later that pay over two levels. A reward for sharing no terms have. No row: nothing, or no channel of WeChat.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_refuse_wechat(campaign integer, channels text[], since timestamptz) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  w record;
BEGIN
  SELECT x.code, x.message, x.hint, count(*) OVER () AS n INTO w FROM cdp_internal.referral_wechat(campaign, channels, since) x LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '%', w.message USING ERRCODE = 'invalid_parameter_value', DETAIL = format('%s; %s such in all.', w.code, w.n), HINT = w.hint;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_refuse_wechat(integer, text[], timestamptz) IS 'Error 22023 with the first finding of cdp_internal.referral_wechat().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_edit_allowed(c record, changes jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known text[] := '{description,campaign_group,campaign,segment,holdout,purpose,goal_metric,goal_target,timezone,currency,starts_at,ends_at,channels,link_template,budget}';
  early text[] := '{campaign_group,holdout,timezone,currency,starts_at}'; -- what decisions and limits stand on
  odd text;
BEGIN
  PERFORM cdp_internal.require_changes('referral campaign', changes, known);
  IF c.state IN ('ended', 'archived') AND changes - 'description'::text <> '{}' THEN
    RAISE EXCEPTION 'referral campaign "%" is %', c.name, c.state
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'It is over: only its description may change.', HINT = 'Make a new campaign; in the same campaign_group nobody is referred twice.';
  END IF;
  SELECT k INTO odd FROM jsonb_object_keys(changes) k WHERE k = ANY (early) AND c.state <> 'draft' ORDER BY k COLLATE "C" LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'referral campaign "%" is %: "%" may not change any more', c.name, c.state, odd
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Decisions stand on %s.', array_to_string(early, ', ')), HINT = 'Make a new campaign for another one.';
  ELSIF changes ? 'currency' AND changes ->> 'currency' IS DISTINCT FROM c.currency AND EXISTS (SELECT FROM cdp_data.referral_terms t WHERE t.referral_campaign_id = c.referral_campaign_id) THEN
    RAISE EXCEPTION 'referral campaign "%" has terms in %', c.name, c.currency
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Amounts of terms are in the currency of the campaign.', HINT = 'Make a new campaign in the other currency.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_edit_allowed(record, jsonb) IS
'Whether these changes may be made to a campaign (its row) in its state. Errors: 22023 no object or an unknown key, with the nearest; 55000 it is over, or decisions stand on what would change.';

CREATE OR REPLACE FUNCTION cdp.edit_referral_campaign(name text, changes jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.referral_campaign_of(name);
  c record;
  was timestamptz;
BEGIN
  SELECT x.* INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = id FOR UPDATE;
  PERFORM cdp_internal.referral_edit_allowed(c, changes);
  was := c.ends_at;
  c.description := coalesce(CASE WHEN changes ? 'description' THEN cdp_internal.referral_json_value(changes, 'description', 'string') ELSE c.description END, '');
  c.campaign_group := coalesce(CASE WHEN changes ? 'campaign_group' THEN cdp_internal.referral_json_value(changes, 'campaign_group', 'string') ELSE c.campaign_group END, c.name);
  PERFORM cdp_internal.require_text('campaign_group', c.campaign_group, 200);
  c.campaign_id := CASE WHEN changes ? 'campaign' THEN cdp_internal.campaign_id_of('campaign', cdp_internal.referral_json_value(changes, 'campaign', 'string')) ELSE c.campaign_id END;
  c.segment_id := CASE WHEN changes ? 'segment' THEN cdp_internal.campaign_id_of('segment', cdp_internal.referral_json_value(changes, 'segment', 'string')) ELSE c.segment_id END;
  c.holdout_id := CASE WHEN changes ? 'holdout' THEN cdp_internal.campaign_id_of('holdout', cdp_internal.referral_json_value(changes, 'holdout', 'string')) ELSE c.holdout_id END;
  c.purpose := coalesce(CASE WHEN changes ? 'purpose' THEN cdp_internal.referral_json_value(changes, 'purpose', 'string') ELSE c.purpose END,
    (SELECT s.purpose FROM cdp_data.segment s WHERE s.segment_id = c.segment_id));
  c.goal_metric := CASE WHEN changes ? 'goal_metric' THEN cdp_internal.referral_json_value(changes, 'goal_metric', 'string') ELSE c.goal_metric END;
  PERFORM cdp_internal.require_choice('goal_metric', c.goal_metric, '{participants,referrals,conversions,revenue}');
  c.goal_target := CASE WHEN changes ? 'goal_target' THEN cdp_internal.referral_json_value(changes, 'goal_target', 'number')::numeric ELSE c.goal_target END;
  IF c.goal_target <= 0 OR c.goal_target > 1e15 THEN
    RAISE EXCEPTION 'goal_target must be above zero, at most 10^15' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', left(c.goal_target::text, 50));
  END IF;
  c.timezone := CASE WHEN changes ? 'timezone' THEN cdp_internal.referral_json_value(changes, 'timezone', 'string') ELSE c.timezone END;
  PERFORM cdp_internal.require_zone(c.timezone);
  c.currency := CASE WHEN changes ? 'currency' THEN cdp_internal.referral_json_value(changes, 'currency', 'string') ELSE c.currency END;
  PERFORM cdp_internal.referral_exponent(c.currency);
  c.starts_at := CASE WHEN changes ? 'starts_at' THEN cdp_internal.referral_time(changes, 'starts_at') ELSE c.starts_at END;
  c.ends_at := CASE WHEN changes ? 'ends_at' THEN cdp_internal.referral_time(changes, 'ends_at') ELSE c.ends_at END;
  IF c.ends_at <= c.starts_at THEN
    RAISE EXCEPTION 'a referral campaign must end after it starts' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It starts at %s and ends at %s.', c.starts_at, c.ends_at);
  ELSIF c.state <> 'draft' AND was IS DISTINCT FROM c.ends_at AND least(was, c.ends_at) <= clock_timestamp() THEN
    RAISE EXCEPTION 'the end of referral campaign "%" can not be moved over what has happened', c.name
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It is %s, asked for is %s.', coalesce(was::text, 'none'), coalesce(c.ends_at::text, 'none')), HINT = 'End it now with cdp.end_referral_campaign(), or make a new campaign.';
  END IF;
  IF changes ? 'channels' THEN
    c.channels := cdp_internal.referral_channels(changes -> 'channels');
    PERFORM cdp_internal.referral_refuse_wechat(id, c.channels, clock_timestamp());
  END IF;
  IF changes ? 'link_template' THEN
    c.link_template := coalesce(cdp_internal.referral_json_value(changes, 'link_template', 'string'), '');
    IF c.link_template <> '' THEN
      PERFORM cdp_internal.require_text('link_template', c.link_template, 2000, '^[^[:cntrl:][:space:]]*$', 'Such as https://shop.example/r/{code}.');
    END IF;
  END IF;
  IF changes ? 'budget' THEN
    c.budget_minor := cdp_internal.minor_units(cdp_internal.referral_json_value(changes, 'budget', 'number')::numeric, c.currency, 'budget');
  ELSIF changes ? 'currency' AND c.budget_minor IS NOT NULL THEN
    RAISE EXCEPTION 'a new currency needs a new budget' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give "budget" with "currency"; null is no limit.';
  END IF;
  UPDATE cdp_data.referral_campaign x SET description = c.description, campaign_group = c.campaign_group, campaign_id = c.campaign_id, segment_id = c.segment_id, holdout_id = c.holdout_id,
    purpose = c.purpose, goal_metric = c.goal_metric, goal_target = c.goal_target, timezone = c.timezone, currency = c.currency, starts_at = c.starts_at, ends_at = c.ends_at,
    channels = c.channels, link_template = c.link_template, budget_minor = c.budget_minor
  WHERE x.referral_campaign_id = id;
END
$$;
COMMENT ON FUNCTION cdp.edit_referral_campaign(text, jsonb) IS
'Changes a referral campaign: SELECT cdp.edit_referral_campaign(''bring'', ''{"ends_at": "2026-05-01T00:00:00+08:00", "channels": ["email", "sms"], "budget": 5000}''). Keys as the arguments of cdp.create_referral_campaign(); what is not named stays, null empties. Times without a zone are of the session''s; budget is in units of the currency. In a draft anything may change, later not what decisions stand on: campaign_group, holdout, timezone, currency, starts_at, an end that is past. Needs the rights of the tables'' owner. Errors: 42704 unknown campaign, segment or holdout; 22023 unknown key or bad value, or a channel of WeChat where terms pay over two levels; 55000 it is over, or may not change any more.';

CREATE OR REPLACE FUNCTION cdp.create_referral_campaign(name text, segment text DEFAULT NULL, channels text[] DEFAULT '{}', link_template text DEFAULT '', starts_at timestamptz DEFAULT NULL,
  ends_at timestamptz DEFAULT NULL, timezone text DEFAULT NULL, currency text DEFAULT NULL, budget numeric DEFAULT NULL, goal_metric text DEFAULT 'conversions', goal_target numeric DEFAULT NULL,
  purpose text DEFAULT NULL, holdout text DEFAULT NULL, campaign text DEFAULT NULL, campaign_group text DEFAULT NULL, description text DEFAULT '') RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
  s record;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('name of a referral campaign', name, 200);
  IF budget = 'NaN' OR abs(budget) = 'Infinity' OR goal_target = 'NaN' OR abs(goal_target) = 'Infinity' THEN
    RAISE EXCEPTION 'budget and goal_target must be numbers' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', budget, goal_target);
  END IF;
  SELECT x.timezone, x.currency INTO s FROM cdp_data.setting x;
  INSERT INTO cdp_data.referral_campaign AS c (name, campaign_group, timezone, currency) VALUES (create_referral_campaign.name, create_referral_campaign.name, s.timezone, s.currency)
  ON CONFLICT ON CONSTRAINT referral_campaign_name_key DO NOTHING RETURNING c.referral_campaign_id INTO id;
  IF id IS NULL THEN
    RAISE EXCEPTION 'there is a referral campaign named "%" already', name USING ERRCODE = 'unique_violation', HINT = 'Give it another name, or change that one with cdp.edit_referral_campaign().';
  END IF;
  INSERT INTO cdp_data.referral_campaign_state (referral_campaign_id, from_at, state) VALUES (id, '-infinity', 'draft');
  PERFORM cdp.edit_referral_campaign(name, jsonb_build_object('segment', segment, 'channels', to_jsonb(channels), 'link_template', link_template, 'starts_at', starts_at, 'ends_at', ends_at,
    'timezone', coalesce(timezone, s.timezone), 'currency', coalesce(currency, s.currency), 'budget', budget, 'goal_metric', goal_metric, 'goal_target', goal_target, 'purpose', purpose,
    'holdout', holdout, 'campaign', campaign, 'campaign_group', campaign_group, 'description', description));
  PERFORM cdp_data.audit_write('referral', 'referral campaign ' || name, NULL, jsonb_build_object('op', 'create', 'referral_campaign_id', id));
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.create_referral_campaign(text, text, text[], text, timestamptz, timestamptz, text, text, numeric, text, numeric, text, text, text, text, text) IS
'Makes a referral campaign as a draft: SELECT cdp.create_referral_campaign(''bring'', ''vip'', ''{email,sms}'', ''https://shop.example/r/{code}'', budget => 5000, goal_target => 300). segment: whose audience is told; channels: where it is spread; link_template: address with {code}; starts_at, ends_at: events in between count; timezone and currency: of limits and money, NULL as set up; budget: rewards at most, in units of the currency; goal_metric: participants, referrals, conversions or revenue, with its goal_target; purpose: NULL as the segment has it; holdout: whose control arm is not told; campaign: of cdp_data.campaign, whose spend belongs to it; campaign_group: campaigns in which a person is referred once, NULL by itself. What is missing may follow by cdp.edit_referral_campaign(); terms by cdp.set_referral_terms(); cdp.check_referral_campaign() tells what is missing. Returns referral_campaign_id. Needs the rights of the tables'' owner. Errors as cdp.edit_referral_campaign(); 23505 the name is taken.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_illegal(name text, state text, verb text) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  allowed text[] := CASE state WHEN 'draft' THEN '{activate,archive}' WHEN 'active' THEN '{pause,end}' WHEN 'paused' THEN '{resume,end}' WHEN 'ended' THEN '{archive}' ELSE '{}' END;
BEGIN
  IF verb <> ALL (allowed) THEN
    RAISE EXCEPTION 'referral campaign "%" is %: it can not be %', name, state,
        CASE verb WHEN 'activate' THEN 'activated' WHEN 'pause' THEN 'paused' WHEN 'resume' THEN 'resumed' WHEN 'end' THEN 'ended' ELSE 'archived' END
      USING ERRCODE = 'object_not_in_prerequisite_state',
        DETAIL = CASE WHEN allowed = '{}' THEN 'Nothing changes it any more.' ELSE format('What can be done with it: %s.', array_to_string(allowed, ', ')) END,
        HINT = 'docs/referral.md shows which state follows which.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_illegal(text, text, text) IS
'Error 55000 when a referral campaign in this state can not be activated, paused, resumed, ended or archived; it says what can be done.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_become(name text, verb text, at timestamptz DEFAULT NULL, actor text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.referral_campaign_of(name);
  becomes text := CASE verb WHEN 'pause' THEN 'paused' WHEN 'end' THEN 'ended' WHEN 'archive' THEN 'archived' ELSE 'active' END;
  was text;
  last timestamptz;
  moment timestamptz;
  f record;
BEGIN
  -- A second one waits here, and finds the state that the first left.
  SELECT c.state INTO was FROM cdp_data.referral_campaign c WHERE c.referral_campaign_id = id FOR UPDATE;
  PERFORM cdp_internal.referral_illegal(name, was, verb);
  SELECT max(s.from_at) INTO last FROM cdp_data.referral_campaign_state s WHERE s.referral_campaign_id = id;
  moment := coalesce(at, greatest(clock_timestamp(), last + interval '1 microsecond'));
  IF NOT isfinite(moment) OR moment <= last OR at > clock_timestamp() THEN
    RAISE EXCEPTION 'a state can not begin at %', at
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('The one before it began at %s; now it is %s.', last, clock_timestamp()), HINT = 'Leave it out: it begins now. An activation that is to wait is what starts_at is for.';
  END IF;
  IF becomes = 'active' THEN
    SELECT g.message, g.code, g.hint, count(*) OVER () AS n INTO f FROM cdp_internal.referral_findings(id, moment) g WHERE g.severity = 'error' ORDER BY g.code COLLATE "C", g.message COLLATE "C" LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'referral campaign "%" can not be %: %', name, CASE verb WHEN 'resume' THEN 'resumed' ELSE 'activated' END, f.message
        USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('%s; cdp.check_referral_campaign() tells of all errors: %s.', f.code, f.n), HINT = f.hint;
    END IF;
  END IF;
  UPDATE cdp_data.referral_campaign c SET state = becomes WHERE c.referral_campaign_id = id;
  INSERT INTO cdp_data.referral_campaign_state (referral_campaign_id, from_at, state, actor) VALUES (id, moment, becomes, coalesce(referral_become.actor, session_user));
  PERFORM cdp_internal.referral_hold(id, verb);
  PERFORM cdp_data.audit_write('referral', 'referral campaign ' || name, NULL, jsonb_build_object('op', verb, 'referral_campaign_id', id, 'was', was));
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_become(text, text, timestamptz, text) IS
'What cdp.activate_referral_campaign(), pause_, resume_, end_ and archive_referral_campaign() do: the state of now and a row of its history. at: from when on it holds, NULL now.';

CREATE OR REPLACE FUNCTION cdp.activate_referral_campaign(name text, at timestamptz DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.referral_become(name, 'activate', at);
END
$$;
COMMENT ON FUNCTION cdp.activate_referral_campaign(text, timestamptz) IS
'Activates a draft: events count from now on, within starts_at and ends_at. at: from that earlier moment on, for a campaign that ran before it was told here; its clicks and purchases may be loaded then. Needs the rights of the tables'' owner. Errors: 42704 no such campaign; 55000 it is no draft, or cdp.check_referral_campaign() finds an error; 22023 at is in the future.';
CREATE OR REPLACE FUNCTION cdp.pause_referral_campaign(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.referral_become(name, 'pause');
END
$$;
COMMENT ON FUNCTION cdp.pause_referral_campaign(text) IS
'Stops a referral campaign for a while: clicks and purchases from now on do not count, nobody is told of it, messages that wait are held. Errors: 42704 no such campaign, 55000 it is not active.';
CREATE OR REPLACE FUNCTION cdp.resume_referral_campaign(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.referral_become(name, 'resume');
END
$$;
COMMENT ON FUNCTION cdp.resume_referral_campaign(text) IS
'Lets a paused referral campaign go on: events count again from now on, not those of the pause. Errors: 42704 no such campaign, 55000 it is not paused, or cdp.check_referral_campaign() finds an error.';
CREATE OR REPLACE FUNCTION cdp.end_referral_campaign(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.referral_become(name, 'end');
END
$$;
COMMENT ON FUNCTION cdp.end_referral_campaign(text) IS
'Ends a referral campaign: clicks and purchases from now on do not count, messages that wait do not go. What was earned stays earned, and refunds still count. Errors: 42704 no such campaign, 55000 it is neither active nor paused.';
CREATE OR REPLACE FUNCTION cdp.archive_referral_campaign(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.referral_become(name, 'archive');
END
$$;
COMMENT ON FUNCTION cdp.archive_referral_campaign(text) IS
'Puts a draft, or a referral campaign that has ended, away. All that was decided stays. Errors: 42704 no such campaign, 55000 it is active, paused or archived.';
