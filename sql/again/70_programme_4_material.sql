-- Referral room, programme: what advocates are told, by channel, language and variant. Only what is approved goes out, and what is
-- approved is not changed: another text is another material.

CREATE OR REPLACE FUNCTION cdp_internal.referral_variables() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{code,link,reward,name}'::text[];
COMMENT ON FUNCTION cdp_internal.referral_variables() IS 'Words that stand in braces in materials: the code, the link, what is earned, the name of the advocate.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_findings_of_text(channel text, title text, body text, link_template text, has_reward boolean) RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  whole text := coalesce(title, '') || E'\n' || coalesce(body, '');
  known text[] := cdp_internal.referral_variables();
  used text[] := ARRAY(SELECT DISTINCT m[1] FROM regexp_matches(whole, '[{]([a-z_]+)[}]', 'g') m);
  bare text := regexp_replace(whole, '[{][^{}]*[}]', '', 'g');
BEGIN
  RETURN QUERY
  SELECT f.severity, f.code, f.message, f.hint FROM (VALUES
    (btrim(coalesce(body, ''), E' \t\r\n') = '', 'error', 'no_text', 'it says nothing', 'Write a body with {link} or {code}.'),
    (btrim(coalesce(title, ''), E' \t\r\n') = '' AND channel = 'email', 'error', 'no_title', 'an e-mail needs a title', 'Give it one: title => ''Bring a friend''.'),
    (NOT used && '{code,link}', 'error', 'no_variable', 'it holds neither {link} nor {code}: nobody could be tracked by it', 'Put {link} or {code} where the advocate''s belongs.'),
    ('link' = ANY (used) AND link_template = '', 'error', 'no_link_template', 'it holds {link}, and the campaign has no link_template', 'Give the campaign one, or use {code}.'),
    ('reward' = ANY (used) AND NOT has_reward, 'error', 'no_reward_text', 'it holds {reward}, and nothing is paid to advocates by the terms of now, or by some that begin later', 'Set terms with a rule of the side referrer, or leave {reward} out.'),
    (bare ~ '[{}]', 'error', 'brace', 'a brace is not closed, or stands alone', 'Variables are {code}, {link}, {reward} and {name}.'),
    (channel = 'sms' AND length(body) > 160, 'warning', 'long', format('a text message of %s characters is sent in parts', length(body)), 'Keep it below 160, or 70 with characters beyond the Latin ones.'),
    ('reward' = ANY (used) AND cdp_internal.is_wechat_channel(channel), 'warning', 'wechat_reward', 'WeChat takes a reward beside a request to share for paying for shares', 'Say that a friend''s purchase is rewarded, or leave {reward} out.')
  ) AS f (found, severity, code, message, hint) WHERE f.found
  UNION ALL
  SELECT 'error', 'variable', format('there is no variable {%s}', left(m.word, 50)), cdp_internal.did_you_mean(m.word, known, 'Variables are {code}, {link}, {reward} and {name}.')
  FROM (SELECT DISTINCT x[1] AS word FROM regexp_matches(whole, '[{]([^{}]*)[}]', 'g') x) m WHERE m.word <> ALL (known)
  ORDER BY 1, 2, 3;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_findings_of_text(text, text, text, text, boolean) IS
'What is wrong or doubtful with a material, by its channel, title and body. has_reward: the terms pay advocates.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_pays_advocates(campaign integer) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce((SELECT bool_and(cdp_internal.referral_reward_text(campaign, v) IS NOT NULL) FROM cdp_internal.referral_terms_from(campaign, now()) v), false);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_pays_advocates(integer) IS 'Whether the terms of now, and all that are to begin, have a reward that {reward} can stand for. False without terms.';

CREATE OR REPLACE FUNCTION cdp.check_referral_material(material integer) RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  m record;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT x.*, c.link_template INTO m FROM cdp_data.referral_material x JOIN cdp_data.referral_campaign c USING (referral_campaign_id) WHERE x.referral_material_id = material;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no referral material %', coalesce(material::text, 'NULL') USING ERRCODE = 'undefined_object', HINT = 'SELECT referral_material_id, channel, language, variant FROM cdp_data.referral_material; lists them.';
  END IF;
  RETURN QUERY SELECT f.* FROM cdp_internal.referral_findings_of_text(m.channel, m.title, m.body, m.link_template, cdp_internal.referral_pays_advocates(m.referral_campaign_id)) f;
END
$$;
COMMENT ON FUNCTION cdp.check_referral_material(integer) IS
'All that is wrong (error: it can not be approved) or doubtful (warning) with a material, at once: variables in braces that there are not, none by which anybody could be tracked, an e-mail without title. No row: nothing. Error 42704: no such material.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_findings_of_materials(campaign integer) RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
BEGIN
  SELECT x.channels, x.name INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = campaign;
  RETURN QUERY
  SELECT 'error', 'material', format('material %s (%s) can not go out: %s', m.referral_material_id, concat_ws(', ', m.channel, nullif(m.language, ''), m.variant), f.message), f.hint
  FROM cdp_data.referral_material m CROSS JOIN LATERAL cdp.check_referral_material(m.referral_material_id) f
  WHERE m.referral_campaign_id = campaign AND m.state = 'approved' AND f.severity = 'error'
  UNION ALL
  SELECT 'error', 'material_channel', format('material %s is for channel "%s", on which the campaign is not spread', m.referral_material_id, m.channel), format('Retire it, or SELECT cdp.edit_referral_campaign(%L, ''{"channels": [...]}'');', c.name)
  FROM cdp_data.referral_material m WHERE m.referral_campaign_id = campaign AND m.state = 'approved' AND m.channel <> ALL (c.channels)
  UNION ALL
  SELECT 'warning', 'no_material', format('nothing is approved for channel "%s": nobody can be told there', w), coalesce(
      (SELECT format('SELECT cdp.approve_referral_material(%s); lets the draft go out.', min(m.referral_material_id)) FROM cdp_data.referral_material m WHERE m.referral_campaign_id = campaign AND m.channel = w AND m.state = 'draft' HAVING count(*) > 0),
      format('SELECT cdp.add_referral_material(%L, %L, ...); then cdp.approve_referral_material()', c.name, w))
  FROM unnest(c.channels) w WHERE NOT EXISTS (SELECT FROM cdp_data.referral_material m WHERE m.referral_campaign_id = campaign AND m.channel = w AND m.state = 'approved')
  UNION ALL
  SELECT 'warning', 'material_language', format('on channel "%s" something is approved in %s only: who speaks another language, or of whom none is known, is not told', m.channel, string_agg(DISTINCT m.language, ', ' ORDER BY m.language)),
    format('Add one without a language: SELECT cdp.add_referral_material(%L, %L, ...);', c.name, m.channel)
  FROM cdp_data.referral_material m WHERE m.referral_campaign_id = campaign AND m.state = 'approved' GROUP BY m.channel HAVING bool_and(m.language <> '')
  UNION ALL
  SELECT 'warning', 'material_weights', format('the weights of channel "%s"%s add up to nothing: it goes to nobody', m.channel, coalesce(' in language ' || nullif(m.language, ''), '')), 'Give one of the variants a weight above 0.'
  FROM cdp_data.referral_material m WHERE m.referral_campaign_id = campaign AND m.state = 'approved' GROUP BY m.channel, m.language HAVING sum(m.weight) = 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_findings_of_materials(integer) IS 'What is wrong or doubtful with the materials of a referral campaign.';

CREATE OR REPLACE FUNCTION cdp.add_referral_material(campaign text, channel text, body text, title text DEFAULT '', language text DEFAULT '', variant text DEFAULT 'a', weight numeric DEFAULT 1) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  id integer := cdp_internal.referral_campaign_of(campaign);
  word text := cdp_internal.consent_channel(channel);
  tongue text := lower(btrim(coalesce(language, '')));
  c record;
  made integer;
BEGIN
  SELECT x.channels, x.state INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = id FOR UPDATE;
  IF c.state IN ('ended', 'archived') THEN
    RAISE EXCEPTION 'referral campaign "%" is %', campaign, c.state USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'It is over.', HINT = 'Make a new campaign.';
  ELSIF word <> ALL (c.channels) THEN
    RAISE EXCEPTION 'referral campaign "%" is not spread on channel "%"', campaign, word
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Its channels: %s.', coalesce(nullif(array_to_string(c.channels, ', '), ''), 'none')), HINT = cdp_internal.did_you_mean(word, c.channels, 'Add it with cdp.edit_referral_campaign().');
  ELSIF tongue !~ ('^([a-z]{2,3}(-[a-z0-9]{2,8})*)?$' COLLATE "C") OR octet_length(tongue) > 35 THEN
    RAISE EXCEPTION 'a language is a tag such as en or zh-cn' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', quote_literal(left(language, 50))), HINT = 'Leave it out for everybody.';
  ELSIF NOT coalesce(weight >= 0 AND weight <= 999999, false) THEN
    RAISE EXCEPTION 'a weight is a number from 0 to 999999' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(weight::text, 'NULL'));
  ELSIF octet_length(title) > 2000 OR octet_length(body) > 65536 THEN
    RAISE EXCEPTION 'a material is too long' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Its title has %s bytes, its body %s; at most 2000 and 65536 are taken.', octet_length(title), octet_length(body));
  END IF;
  PERFORM cdp_internal.require_text('name of a variant', variant, 200);
  INSERT INTO cdp_data.referral_material AS m (referral_campaign_id, channel, language, variant, weight, title, body)
  VALUES (id, word, tongue, add_referral_material.variant, add_referral_material.weight, coalesce(add_referral_material.title, ''), coalesce(add_referral_material.body, ''))
  ON CONFLICT (referral_campaign_id, channel, language, variant) WHERE state <> 'retired' DO UPDATE SET weight = excluded.weight, title = excluded.title, body = excluded.body WHERE m.state = 'draft'
  RETURNING m.referral_material_id INTO made;
  IF made IS NULL THEN
    RAISE EXCEPTION 'variant "%" of channel "%" is approved', variant, word
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'What is approved is not changed.', HINT = 'Retire it with cdp.retire_referral_material(), or give this one another variant.';
  END IF;
  RETURN made;
END
$$;
COMMENT ON FUNCTION cdp.add_referral_material(text, text, text, text, text, text, numeric) IS
'Adds what advocates are told on a channel of a referral campaign, as a draft: SELECT cdp.add_referral_material(''bring'', ''email'', ''Hello {name}, give this to a friend: {link}. You get {reward}.'', ''Bring a friend'', ''en''). language: a tag, empty for everybody who is in none of the others; variant and weight: of several of one channel and language each goes to its share. The same channel, language and variant again replaces the draft. Returns referral_material_id. cdp.check_referral_material() tells what is wrong, cdp.approve_referral_material() lets it go out. Needs the rights of the tables'' owner. Errors: 42704 no such campaign; 22023 a channel on which it is not spread, bad language, weight or variant; 55000 it is approved, or the campaign is over.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_material_become(material integer, becomes text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  m record;
  f record;
BEGIN
  PERFORM FROM cdp.check_referral_material(material); -- that there is one
  PERFORM FROM cdp_data.referral_campaign c WHERE c.referral_campaign_id = (SELECT x.referral_campaign_id FROM cdp_data.referral_material x WHERE x.referral_material_id = material) FOR UPDATE;
  SELECT x.*, c.channels INTO m FROM cdp_data.referral_material x JOIN cdp_data.referral_campaign c USING (referral_campaign_id) WHERE x.referral_material_id = material;
  IF m.state = becomes THEN
    RETURN;
  ELSIF m.state = 'retired' THEN
    RAISE EXCEPTION 'referral material % is retired', material USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Nothing changes it any more.', HINT = 'Add it anew with cdp.add_referral_material().';
  ELSIF becomes = 'approved' THEN
    SELECT x.message, x.code, x.hint, count(*) OVER () AS n INTO f FROM cdp.check_referral_material(material) x WHERE x.severity = 'error' LIMIT 1;
    IF FOUND OR m.channel <> ALL (m.channels) THEN
      RAISE EXCEPTION 'referral material % can not be approved: %', material, coalesce(f.message, format('the campaign is not spread on channel "%s"', m.channel))
        USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('%s; cdp.check_referral_material() tells of all errors: %s.', coalesce(f.code, 'material_channel'), coalesce(f.n, 1)), HINT = CASE WHEN f.code IS NULL THEN 'Add the channel with cdp.edit_referral_campaign().' ELSE coalesce(f.hint, 'Variables are {code}, {link}, {reward} and {name}.') END;
    END IF;
  END IF;
  UPDATE cdp_data.referral_material x SET state = becomes, approved_at = CASE becomes WHEN 'approved' THEN now() ELSE x.approved_at END, approved_by = CASE becomes WHEN 'approved' THEN session_user ELSE x.approved_by END
  WHERE x.referral_material_id = material;
  PERFORM cdp_data.audit_write('referral', 'referral material ' || material, NULL, jsonb_build_object('op', becomes, 'referral_material_id', material, 'was', m.state));
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_material_become(integer, text) IS 'What cdp.approve_referral_material() and cdp.retire_referral_material() do.';

CREATE OR REPLACE FUNCTION cdp.approve_referral_material(material integer) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.referral_material_become(material, 'approved');
END
$$;
COMMENT ON FUNCTION cdp.approve_referral_material(integer) IS
'Lets a material go out; who approved it, and when, is kept with it. Once more changes nothing. Errors: 42704 no such material, 55000 cdp.check_referral_material() finds an error, or it is retired.';
CREATE OR REPLACE FUNCTION cdp.retire_referral_material(material integer) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.referral_material_become(material, 'retired');
END
$$;
COMMENT ON FUNCTION cdp.retire_referral_material(integer) IS
'Takes a material out of use: nobody is told by it from now on. Who was told by it stays known. Errors: 42704 no such material.';
