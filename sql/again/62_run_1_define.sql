-- Activation room, campaign runs: made, edited, checked. Nothing is sent here. A draft may be incomplete; the check tells
-- everything that is missing at once, and launch refuses what the check calls an error.

CREATE OR REPLACE FUNCTION cdp_internal.campaign_run_of(name text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT x.campaign_run_id INTO id FROM cdp_data.campaign_run x WHERE x.name = campaign_run_of.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no campaign run named "%"', left(coalesce(name, 'NULL'), 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT x.name FROM cdp_data.campaign_run x),
        'SELECT name FROM cdp_data.campaign_run; lists them.');
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_run_of(text) IS
'Number of the run of that name. Errors: 42704 when there is none, with the nearest name; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_id_of(what text, name text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
  names text[];
BEGIN
  IF name IS NULL THEN
    RETURN NULL;
  ELSIF what = 'segment' THEN
    RETURN (cdp_internal.segment_of(name)).segment_id;
  ELSIF what = 'holdout' THEN
    SELECT h.holdout_id INTO id FROM cdp_data.holdout h WHERE h.name = campaign_id_of.name;
    names := ARRAY(SELECT h.name FROM cdp_data.holdout h WHERE h.ended_at IS NULL);
  ELSE
    SELECT c.campaign_id INTO id FROM cdp_data.campaign c WHERE c.name = campaign_id_of.name;
    names := ARRAY(SELECT c.name FROM cdp_data.campaign c);
  END IF;
  IF id IS NULL THEN
    RAISE EXCEPTION 'there is no % named "%"', what, left(name, 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(name, names, format('SELECT name FROM cdp_data.%s; lists them.', what));
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_id_of(text, text) IS
'Number of the segment, holdout or campaign (what) of that name; NULL for NULL. Error 42704 with the nearest name when there is none.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_variants_write(run integer, variants jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v record;
  odd text;
BEGIN
  IF jsonb_typeof(variants) IS DISTINCT FROM 'array' OR jsonb_array_length(variants) > 100 THEN
    RAISE EXCEPTION 'variants must be an array of at most 100 objects'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as [{"variant": "a", "weight": 1, "content": {"template": "spring"}}].';
  END IF;
  DELETE FROM cdp_data.campaign_variant x WHERE x.campaign_run_id = run;
  FOR v IN SELECT a.value AS item, a.nth FROM jsonb_array_elements(variants) WITH ORDINALITY AS a (value, nth) LOOP
    odd := CASE WHEN jsonb_typeof(v.item) <> 'object' THEN 'is no object'
      WHEN v.item - '{variant,weight,content}'::text[] <> '{}' THEN format('has a key that is not known: %s', (SELECT quote_ident(left(k, 50)) FROM jsonb_object_keys(v.item - '{variant,weight,content}'::text[]) k ORDER BY k LIMIT 1))
      WHEN coalesce(jsonb_typeof(v.item -> 'weight'), 'number') <> 'number' OR (v.item ->> 'weight')::numeric NOT BETWEEN 0 AND 999999 THEN 'has a weight that is no number from 0 to 999999'
      WHEN coalesce(jsonb_typeof(v.item -> 'content'), 'object') <> 'object' OR octet_length(v.item ->> 'content') > 65536 THEN 'has a content that is no JSON object of at most 64 kB'
      WHEN jsonb_typeof(v.item -> 'variant') IS DISTINCT FROM 'string' THEN 'has no name in "variant"'
      WHEN EXISTS (SELECT FROM cdp_data.campaign_variant x WHERE x.campaign_run_id = run AND x.variant = v.item ->> 'variant') THEN 'has the name of an earlier one' END;
    IF odd IS NOT NULL THEN
      RAISE EXCEPTION 'variant % %', v.nth, odd USING ERRCODE = 'invalid_parameter_value', HINT = 'A variant is {"variant": "a", "weight": 1, "content": {}}; weight and content may be left out.';
    END IF;
    PERFORM cdp_internal.require_text('name of a variant', v.item ->> 'variant', 200);
    INSERT INTO cdp_data.campaign_variant (campaign_run_id, variant, weight, content)
    VALUES (run, v.item ->> 'variant', coalesce((v.item ->> 'weight')::numeric, 1), coalesce(v.item -> 'content', '{}'));
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_variants_write(integer, jsonb) IS
'Puts these variants in the place of those of a run. Error 22023 for what is no list of variants, with the number of the first that is wrong.';

CREATE OR REPLACE FUNCTION cdp.edit_campaign_run(name text, changes jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.campaign_run_of(name);
  r record;
  known text[] := '{description,segment,purpose,channel,destination,campaign,holdout,goal_kinds,goal_within,schedule,starts_at,ends_at,variants}';
  late text[] := '{description,ends_at}'; -- may change once messages were written
  s record;
BEGIN
  PERFORM cdp_internal.require_changes('campaign run', changes, known);
  SELECT x.* INTO r FROM cdp_data.campaign_run x WHERE x.campaign_run_id = id FOR UPDATE;
  IF r.state IN ('finished', 'cancelled') OR r.state IN ('running', 'paused') AND changes - late <> '{}' THEN
    RAISE EXCEPTION 'campaign run "%" is %', name, r.state
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = CASE WHEN r.state IN ('running', 'paused') THEN 'Messages were written: only description and ends_at may change.' ELSE 'It is over.' END,
        HINT = 'Make a new run for another audience or message.';
  END IF;
  r.segment_id := CASE WHEN changes ? 'segment' THEN cdp_internal.campaign_id_of('segment', changes ->> 'segment') ELSE r.segment_id END;
  r.campaign_id := CASE WHEN changes ? 'campaign' THEN cdp_internal.campaign_id_of('campaign', changes ->> 'campaign') ELSE r.campaign_id END;
  r.holdout_id := CASE WHEN changes ? 'holdout' THEN cdp_internal.campaign_id_of('holdout', changes ->> 'holdout') ELSE r.holdout_id END;
  r.destination := CASE WHEN changes ? 'destination' THEN changes ->> 'destination' ELSE r.destination END;
  SELECT x.purpose, x.channel INTO s FROM cdp_data.segment x WHERE x.segment_id = r.segment_id;
  r.purpose := CASE WHEN changes ? 'purpose' THEN changes ->> 'purpose' ELSE r.purpose END;
  r.purpose := coalesce(r.purpose, s.purpose);
  r.channel := cdp_internal.consent_channel(coalesce(
    CASE WHEN changes ? 'channel' THEN changes ->> 'channel' ELSE nullif(r.channel, '') END,
    nullif((SELECT d.channel FROM cdp_data.destination d WHERE d.destination = r.destination), ''), s.channel, ''));
  r.description := coalesce(CASE WHEN changes ? 'description' THEN changes ->> 'description' ELSE r.description END, '');
  r.schedule := CASE WHEN changes ? 'schedule' THEN changes ->> 'schedule' ELSE r.schedule END;
  PERFORM cdp_internal.require_choice('schedule of a campaign run', r.schedule, '{once,continuous}');
  IF changes ? 'goal_kinds' THEN
    IF jsonb_typeof(changes -> 'goal_kinds') NOT IN ('array', 'null') OR changes -> 'goal_kinds' @? '$[*] ? (@.type() != "string")' THEN
      RAISE EXCEPTION 'goal_kinds must be an array of names' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as ["purchase", "order"].';
    END IF;
    r.goal_kinds := ARRAY(SELECT k FROM jsonb_array_elements_text(CASE jsonb_typeof(changes -> 'goal_kinds') WHEN 'array' THEN changes -> 'goal_kinds' ELSE '[]' END) k GROUP BY k ORDER BY k COLLATE "C");
  END IF;
  r.goal_within := coalesce(CASE WHEN changes ? 'goal_within' THEN (changes ->> 'goal_within')::interval ELSE r.goal_within END, '7 days');
  r.starts_at := CASE WHEN changes ? 'starts_at' THEN (changes ->> 'starts_at')::timestamptz ELSE r.starts_at END;
  r.ends_at := CASE WHEN changes ? 'ends_at' THEN (changes ->> 'ends_at')::timestamptz ELSE r.ends_at END;
  IF r.goal_within <= '0'::interval OR NOT isfinite(r.starts_at) OR NOT isfinite(r.ends_at) OR r.ends_at <= r.starts_at THEN
    RAISE EXCEPTION 'goal_within must be above zero, and ends_at after starts_at'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s, %s and %s.', r.goal_within, coalesce(r.ends_at::text, 'none'), coalesce(r.starts_at::text, 'none'));
  END IF;
  UPDATE cdp_data.campaign_run x SET description = r.description, segment_id = r.segment_id, purpose = r.purpose, channel = r.channel, destination = r.destination,
    campaign_id = r.campaign_id, holdout_id = r.holdout_id, goal_kinds = r.goal_kinds, goal_within = r.goal_within, schedule = r.schedule,
    starts_at = r.starts_at, ends_at = r.ends_at
  WHERE x.campaign_run_id = r.campaign_run_id;
  IF changes ? 'variants' THEN
    PERFORM cdp_internal.campaign_variants_write(r.campaign_run_id, changes -> 'variants');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.edit_campaign_run(text, jsonb) IS
'Changes a run: SELECT cdp.edit_campaign_run(''spring'', ''{"ends_at": "2026-05-01T00:00:00+08:00", "variants": [{"variant": "a", "weight": 3}, {"variant": "b", "weight": 1}]}''). Keys as the arguments of cdp.create_campaign_run(); what is not named stays, null empties. purpose and channel that are not said come from the segment and the destination. Times without a zone are of the session''s. Once it was launched only description and ends_at may change. Needs the rights of the tables'' owner. Errors: 42704 unknown run, segment, campaign or holdout; 22023 unknown key or bad value; 55000 it is over, or launched.';

CREATE OR REPLACE FUNCTION cdp.create_campaign_run(name text, segment text DEFAULT NULL, destination text DEFAULT NULL,
  variants jsonb DEFAULT '[{"variant": "a"}]', purpose text DEFAULT NULL, channel text DEFAULT NULL, holdout text DEFAULT NULL, campaign text DEFAULT NULL,
  goal_kinds text[] DEFAULT '{}', goal_within interval DEFAULT '7 days', schedule text DEFAULT 'once', starts_at timestamptz DEFAULT NULL,
  ends_at timestamptz DEFAULT NULL, description text DEFAULT '') RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('name of a campaign run', name, 200);
  INSERT INTO cdp_data.campaign_run AS r (name, seed)
  VALUES (create_campaign_run.name, ('x' || encode(substr(uuid_send(gen_random_uuid()), 9), 'hex'))::bit(64)::bigint)
  ON CONFLICT ON CONSTRAINT campaign_run_name_key DO NOTHING RETURNING r.campaign_run_id INTO id;
  IF id IS NULL THEN
    RAISE EXCEPTION 'there is a campaign run named "%" already', name USING ERRCODE = 'unique_violation', HINT = 'Give it another name, or change that one with cdp.edit_campaign_run().';
  END IF;
  PERFORM cdp.edit_campaign_run(name, jsonb_build_object('segment', segment, 'destination', destination, 'variants', variants, 'purpose', purpose, 'channel', channel,
    'holdout', holdout, 'campaign', campaign, 'goal_kinds', to_jsonb(goal_kinds), 'goal_within', goal_within::text, 'schedule', schedule, 'starts_at', starts_at,
    'ends_at', ends_at, 'description', description));
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.create_campaign_run(text, text, text, jsonb, text, text, text, text, text[], interval, text, timestamptz, timestamptz, text) IS
'Makes a run as a draft: SELECT cdp.create_campaign_run(''spring'', ''vip'', ''newsletter'', goal_kinds => ''{purchase}''). segment: whose audience; destination: of the outbox; variants: [{"variant", "weight" (default 1), "content" (goes into each message)}]; purpose and channel: NULL as the segment and the destination have them; holdout: whose control arm gets nothing; campaign: of cdp_data.campaign, whose spend belongs to it; goal_kinds and goal_within: what counts as success, and for how long after exposure; schedule: once, or continuous: who comes into the audience later is added; starts_at: not launched before; ends_at: nobody is added from then on. What is missing may follow by cdp.edit_campaign_run(); cdp.check_campaign_run() tells it. Returns campaign_run_id. Errors as there; 23505 the name is taken.';

CREATE OR REPLACE FUNCTION cdp.set_campaign_cap(channel text, messages integer, within interval) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  word text := cdp_internal.consent_channel(channel);
BEGIN
  PERFORM cdp_internal.require_setup();
  IF messages IS NULL THEN
    DELETE FROM cdp_data.campaign_cap c WHERE c.channel = word;
    RETURN;
  ELSIF messages < 1 OR coalesce(within <= '0'::interval, true) THEN
    RAISE EXCEPTION 'messages and within must be above zero' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', messages, within), HINT = 'messages NULL takes the limit away.';
  END IF;
  INSERT INTO cdp_data.campaign_cap AS c (channel, messages, within) VALUES (word, set_campaign_cap.messages, set_campaign_cap.within)
  ON CONFLICT ON CONSTRAINT campaign_cap_pkey DO UPDATE SET messages = excluded.messages, within = excluded.within;
END
$$;
COMMENT ON FUNCTION cdp.set_campaign_cap(text, integer, interval) IS
'Says that runs speak to one customer at most so often on a channel within a span, over all runs: SELECT cdp.set_campaign_cap(''email'', 3, ''7 days''). messages NULL: as often as they like. Who has had so many is left out of a launch; a continuous run adds him when time has passed. Needs the rights of the tables'' owner. Error 22023: not above zero, bad channel.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_exposed(run integer) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (SELECT cdp.roaring_build(cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, e.customer_id, NULL))
          FROM cdp_data.campaign_exposure e WHERE e.campaign_run_id = run);
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_exposed(integer) IS
'The roots of today of whom some part was exposed by a run, in either arm, as a Roaring bitmap; empty, never NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_capped(channel text, at timestamptz) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  cap record;
  unspoken integer[];
BEGIN
  SELECT c.messages, cdp_internal.cutoff(at, c.within) AS since INTO cap FROM cdp_data.campaign_cap c WHERE c.channel = campaign_capped.channel;
  IF NOT FOUND THEN
    RETURN cdp.roaring_build(NULL::bigint);
  END IF;
  unspoken := ARRAY(SELECT r.campaign_run_id FROM cdp_data.campaign_run r WHERE r.state = 'cancelled' AND NOT EXISTS (SELECT FROM cdp_data.campaign_exposure e WHERE e.campaign_run_id = r.campaign_run_id AND e.state = 'sent'));
  -- A message that was not sent counts for nothing, one that still waits as if it were. Control counts like a message, but
  -- of a run that was cancelled before it spoke: else the arms of a holdout would be left out unlike often, and could not be compared.
  RETURN (
    SELECT cdp.roaring_build(x.root)
    FROM (
      SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, e.customer_id, NULL) AS root
      FROM cdp_data.campaign_exposure e JOIN cdp_data.campaign_run r USING (campaign_run_id) LEFT JOIN cdp_data.outbox o ON o.outbox_id = e.outbox_id AND e.state = 'waiting'
      WHERE r.channel = campaign_capped.channel AND (coalesce(e.sent_at, e.exposed_at) > cap.since OR e.state = 'waiting')
        AND e.state NOT IN ('failed', 'cancelled') AND coalesce(o.state, 'waiting') NOT IN ('failed', 'cancelled')
        AND NOT (e.arm = 'control' AND r.campaign_run_id = ANY (unspoken))
      GROUP BY 1 HAVING count(*) >= cap.messages) x);
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_capped(text, timestamptz) IS
'The roots who have had as many messages of runs on a channel as cdp_data.campaign_cap allows before the moment, as a Roaring bitmap; empty without a limit.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_findings(run integer) RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  r record;
  d record;
  v record;
  a record;
  bits bytea;
  n bigint;
  capped bigint;
  least_people integer := cdp_internal.minimum_audience();
BEGIN
  SELECT x.* INTO r FROM cdp_data.campaign_run x WHERE x.campaign_run_id = run;
  SELECT y.bits, y.refusal INTO a FROM cdp_data.segment x, cdp_internal.aim_audience(x.name, r.channel) y WHERE x.segment_id = r.segment_id;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'error', 'no_segment', 'it has no segment', format('SELECT cdp.edit_campaign_run(%L, ''{"segment": "..."}'');', r.name);
  END IF;
  bits := a.bits;
  RETURN QUERY SELECT f.* FROM cdp_internal.aim_findings('run', r.segment_id, r.purpose, r.holdout_id, r.campaign_id, a.refusal) f;
  SELECT x.* INTO d FROM cdp_data.destination x WHERE x.destination = r.destination;
  IF r.destination IS NULL THEN
    RETURN QUERY SELECT 'error', 'no_destination', 'it has no destination', format('SELECT cdp.edit_campaign_run(%L, ''{"destination": "..."}'');', r.name);
  ELSIF d.destination IS NULL THEN
    RETURN QUERY SELECT 'error', 'unknown_destination', format('there is no destination named "%s"', left(r.destination, 100)),
      cdp_internal.did_you_mean(r.destination, ARRAY(SELECT x.destination FROM cdp_data.destination x), 'SELECT destination FROM cdp_data.destination; lists them, cdp.add_destination() makes one.');
  ELSE
    RETURN QUERY
    SELECT f.severity, f.code, f.message, f.hint FROM (VALUES
      (d.purpose IS DISTINCT FROM r.purpose, 'error', 'destination_purpose', format('destination "%s" is for %s, the run for the purpose %s', d.destination, coalesce('the purpose ' || d.purpose, 'no purpose'), coalesce(r.purpose, 'none')), 'Use a destination of the run''s purpose.'),
      (d.channel <> r.channel, 'error', 'destination_channel', format('destination "%s" speaks on %s, the run on %s', d.destination, coalesce('the channel ' || nullif(d.channel, ''), 'no channel'), coalesce(nullif(r.channel, ''), 'none')),
        'Give both the same channel: consent is asked for it when a message is written, and again when it goes.'),
      (NOT d.enabled, 'error', 'destination_off', format('destination "%s" is switched off', d.destination), 'Its messages would wait: UPDATE cdp_data.destination SET enabled = true ...'),
      (cdp_internal.outbox_hold(d.destination) IS NOT NULL, 'error', 'destination_held', format('nothing goes out to "%s" now: %s', d.destination, cdp_internal.outbox_hold(d.destination)), 'See cdp_bi.activation_gate.')
    ) AS f (found, severity, code, message, hint) WHERE f.found;
    -- Messages carry what profiles hold: to make them anew in the launch would wait for erasures, which wait for the launch.
    IF d.attributes <> '{}' THEN
      RETURN QUERY
      SELECT 'warning', 'stale_profiles', 'messages carry attributes as of ' || coalesce('the refresh of ' || p.refreshed_at, 'no refresh: there are none'),
        'Just before the launch: SELECT * FROM cdp.refresh_profiles(); or let the job list run.'
      FROM (SELECT max(f.refreshed_at) AS refreshed_at FROM cdp_data.profile_state f WHERE f.basis IS NOT NULL) p WHERE (p.refreshed_at > now() - interval '1 hour') IS NOT TRUE;
    END IF;
  END IF;
  SELECT count(*) AS n, coalesce(sum(x.weight), 0) AS total, count(*) FILTER (WHERE x.weight = 0) AS idle INTO v FROM cdp_data.campaign_variant x WHERE x.campaign_run_id = r.campaign_run_id;
  RETURN QUERY
  SELECT f.severity, f.code, f.message, f.hint FROM (VALUES
    (v.n = 0, 'error', 'no_variant', 'it has no variant', 'Say what it tells: {"variants": [{"variant": "a", "content": {...}}]}'),
    (v.n > 0 AND v.total = 0, 'error', 'variant_weights', 'the weights of its variants add up to nothing', 'Give at least one of them a weight above 0.'),
    (v.total > 0 AND v.idle > 0, 'warning', 'variant_idle', format('%s of its variants have weight 0 and go to nobody', v.idle), 'Leave them out, or give them a weight.'),
    (r.ends_at <= now(), 'error', 'ends_past', format('it ends at %s, which is past', r.ends_at), 'Give it a later end, or none.'),
    (r.starts_at <= now() AND r.state = 'draft', 'warning', 'starts_past', format('it was to start at %s, which is past', r.starts_at), 'It starts at launch.'),
    (r.goal_kinds = '{}', 'warning', 'no_goal', 'it has no goal: nothing can be said about its success', 'Name kinds of touchpoints: {"goal_kinds": ["purchase"]}'),
    (r.holdout_id IS NULL, 'info', 'no_holdout', 'it has no holdout: what would have happened without it will not be known', 'cdp.create_holdout() makes one.'),
    (NOT EXISTS (SELECT FROM cdp_data.campaign_cap c WHERE c.channel = r.channel), 'info', 'no_cap', 'nothing limits how often runs speak to a customer on its channel', 'SELECT cdp.set_campaign_cap(channel, 3, ''7 days'');')
  ) AS f (found, severity, code, message, hint) WHERE f.found;
  RETURN QUERY
  SELECT 'error', 'unknown_goal', format('there is no kind of touchpoint named "%s"', left(g, 100)),
    cdp_internal.did_you_mean(g, ARRAY(SELECT k.name FROM cdp_data.touch_kind_all k), 'SELECT name FROM cdp_data.touch_kind_all; lists them.')
  FROM unnest(r.goal_kinds) g WHERE NOT EXISTS (SELECT FROM cdp_data.touch_kind_all k WHERE k.name = g)
  UNION ALL
  SELECT 'error', 'goal_purpose', format('touchpoints of kind "%s" may not be used for analytics', g), 'Name another kind: success is told in reports.'
  FROM unnest(r.goal_kinds) g JOIN cdp_data.touch_kind_all k ON k.name = g WHERE NOT 'analytics' = ANY (k.allowed_purposes);
  IF bits IS NULL THEN
    RETURN;
  END IF;
  bits := cdp.roaring_andnot(bits, cdp_internal.campaign_exposed(r.campaign_run_id));
  n := cdp.roaring_count(bits);
  capped := cdp.roaring_count(cdp.roaring_and(bits, cdp_internal.campaign_capped(r.channel, now())));
  RETURN QUERY
  SELECT f.severity, f.code, f.message, f.hint FROM (VALUES
    (n = 0 AND r.launched_at IS NULL, CASE r.schedule WHEN 'once' THEN 'error' ELSE 'warning' END, 'empty_audience', 'nobody is in its audience now', 'See who is in the segment, and who of them allows the purpose on the channel.'),
    (n > 0 AND n < least_people, 'warning', 'small_audience', 'its audience is smaller than the minimum audience: reports of it will show no figures', 'Speak to more people.'),
    (capped > 0, 'warning', 'capped', CASE WHEN capped < least_people OR n - capped BETWEEN 1 AND least_people - 1 THEN 'some' ELSE format('%s of %s', capped, n) END
      || ' in its audience have had as many messages on the channel as they may', 'They are left out. See cdp_data.campaign_cap.')
  ) AS f (found, severity, code, message, hint) WHERE f.found;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_findings(integer) IS 'cdp.check_campaign_run() of the run of that number.';

CREATE OR REPLACE FUNCTION cdp.check_campaign_run(name text) RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT f.severity, f.code, f.message, f.hint FROM cdp_internal.campaign_findings(cdp_internal.campaign_run_of(name)) f
  ORDER BY array_position('{error,warning,info}', f.severity), f.code COLLATE "C", f.message COLLATE "C";
END
$$;
COMMENT ON FUNCTION cdp.check_campaign_run(text) IS
'Everything that stands against launching a run, at once: severity error (launch refuses it), warning or info, a code, what it is and what to do. Codes: docs/campaigns.md. No rows: nothing. Reads only; consent, the audience and the limit of messages are asked now. Error 42704: no such run.';
