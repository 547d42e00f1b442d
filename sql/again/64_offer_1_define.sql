-- Activation room, offers: placements with their policies, offers with their rules, terms, arms and stock. What decides is
-- versioned; a rule is kept only when the check of rules finds no error in it for the purpose of the offer.

CREATE OR REPLACE FUNCTION cdp_internal.offer_policy_of(policy jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  keys constant text[] := '{method,epsilon,prior,success,window,half_life,lease,default}';
  wrong text;
  lease interval;
BEGIN
  IF jsonb_typeof(policy) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'a policy is a JSON object' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as {"method": "thompson"}.';
  END IF;
  SELECT k INTO wrong FROM jsonb_object_keys(policy) k WHERE k <> ALL (keys) ORDER BY 1 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'unknown key "%" of a policy', left(wrong, 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(wrong, keys, format('Keys are: %s.', array_to_string(keys, ', ')));
  END IF;
  policy := jsonb_strip_nulls(policy - 'default') || CASE WHEN coalesce(policy -> 'default', 'null') <> 'null' THEN jsonb_build_object('default', policy -> 'default') ELSE '{}' END;
  policy := '{"method": "thompson", "epsilon": 0, "prior": [1, 1], "success": "accepted"}' || policy;
  PERFORM cdp_internal.require_choice('method of a policy', policy ->> 'method', '{thompson,value}'), cdp_internal.require_choice('success of a policy', policy ->> 'success', '{clicked,accepted}');
  SELECT v.key INTO wrong FROM (VALUES ('epsilon', 0::numeric, 1::numeric), ('window', 1, 36525), ('half_life', 0.01, 36525)) AS v (key, low, high)
  WHERE policy ? v.key AND NOT CASE WHEN jsonb_typeof(policy -> v.key) = 'number' THEN (policy ->> v.key)::numeric BETWEEN v.low AND v.high AND (v.key <> 'window' OR (policy ->> v.key)::numeric % 1 = 0)
      AND (v.key <> 'epsilon' OR (policy ->> v.key)::numeric = 0 OR (policy ->> v.key)::numeric >= 0.000001) ELSE false END;
  IF FOUND THEN
    RAISE EXCEPTION '"%" of a policy is not in its range', wrong
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', left(policy ->> wrong, 50)), HINT = 'epsilon: 0, or 0.000001 to 1; window: whole days, 1 to 36525; half_life: days, 0.01 to 36525.';
  ELSIF NOT coalesce(jsonb_typeof(policy -> 'prior') = 'array' AND jsonb_array_length(policy -> 'prior') = 2
      AND (SELECT bool_and(CASE WHEN jsonb_typeof(p) = 'number' THEN p::numeric BETWEEN 0.5 AND 1000000 ELSE false END) FROM jsonb_array_elements(CASE jsonb_typeof(policy -> 'prior') WHEN 'array' THEN policy -> 'prior' ELSE '[]' END) p), false) THEN
    RAISE EXCEPTION 'a prior is two numbers from 0.5 to 1000000'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Successes and failures that count before any outcome: [1, 1] says nothing, [2, 98] expects 2 in 100.';
  END IF;
  IF policy ? 'lease' THEN
    BEGIN
      lease := policy ->> 'lease';
    EXCEPTION WHEN data_exception THEN
      lease := NULL;
    END;
    IF NOT coalesce(lease > '0'::interval AND lease <= '1 year'::interval, false) THEN
      RAISE EXCEPTION 'a lease is a duration above zero, at most a year'
        USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', left(policy ->> 'lease', 50)), HINT = 'Such as "10 minutes".';
    END IF;
  END IF;
  RETURN policy;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_policy_of(jsonb) IS
'A policy with its defaults filled in. Error 22023: no object, an unknown key, a value out of its range.';

CREATE OR REPLACE FUNCTION cdp_internal.placement_of(name text, OUT placement_id integer, OUT version integer, OUT policy jsonb, OUT holdout text, OUT cap_count integer, OUT cap_within interval)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT p.placement_id, p.version, q.policy, p.holdout, p.cap_count, p.cap_within INTO placement_id, version, policy, holdout, cap_count, cap_within
  FROM cdp_data.offer_placement p JOIN cdp_data.offer_policy q USING (placement_id, version) WHERE p.name = placement_of.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no placement named "%"', left(coalesce(name, 'NULL'), 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT p.name FROM cdp_data.offer_placement p), 'cdp.create_placement() makes one.');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.placement_of(text) IS
'The placement of that name with its policy. Errors: 42704 when there is none, with the nearest name; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.offer_cap(cap_count integer, cap_within interval) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF num_nulls(cap_count, cap_within) = 1 OR cap_count <= 0 OR cap_within <= '0'::interval OR cap_within > '100 years'::interval THEN
    RAISE EXCEPTION 'a cap is a count and a time, both above zero, of at most 100 years'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', coalesce(cap_count::text, 'NULL'), coalesce(cap_within::text, 'NULL')), HINT = 'Such as cap_count => 2, cap_within => ''7 days''.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_cap(integer, interval) IS 'Error 22023 when only one of the two is told, or one is not above zero, or the time is longer than 100 years.';

CREATE OR REPLACE FUNCTION cdp.create_placement(name text, policy jsonb DEFAULT '{}', holdout text DEFAULT NULL, cap_count integer DEFAULT NULL,
  cap_within interval DEFAULT NULL, description text DEFAULT '') RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
  whole jsonb;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('name of a placement', name, 200), cdp_internal.offer_cap(cap_count, cap_within);
  PERFORM (cdp_internal.holdout_of(holdout)).holdout_id WHERE holdout IS NOT NULL;
  whole := cdp_internal.offer_policy_of(policy);
  INSERT INTO cdp_data.offer_placement AS p (name, description, holdout, cap_count, cap_within)
  VALUES (create_placement.name, coalesce(create_placement.description, ''), create_placement.holdout, create_placement.cap_count, create_placement.cap_within)
  ON CONFLICT ON CONSTRAINT offer_placement_name_key DO NOTHING RETURNING p.placement_id INTO id;
  IF id IS NULL THEN
    RAISE EXCEPTION 'there is a placement named "%" already', name USING ERRCODE = 'unique_violation', HINT = 'Give it another name, or change that one with cdp.edit_placement().';
  END IF;
  INSERT INTO cdp_data.offer_policy (placement_id, version, policy) VALUES (id, 1, whole);
  PERFORM cdp_data.audit_write('offer', 'placement ' || name, NULL, jsonb_build_object('op', 'create', 'placement_id', id));
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.create_placement(text, jsonb, text, integer, interval, text) IS
'Makes a place where offers are shown: SELECT cdp.create_placement(''home'', ''{"method": "thompson", "lease": "10 minutes"}''). policy: method thompson (a probability of success is drawn from the posterior Beta(prior + outcomes) of each arm, and the arm with the most probability times worth wins) or value (the most expected value wins: mean of that posterior, or the offer''s score, times worth); epsilon: share of decisions, 0 or 0.000001 to 1, in which any possible arm is taken instead (0); prior: [successes, failures] that count beforehand ([1, 1]); success: accepted or clicked; window: outcomes of decisions of the last so many days (UTC) count, with that of the decision (absent: all); half_life: in so many days an outcome counts half; lease: time within which an offer must be reported as shown, else it is given back (absent: what is decided counts as shown); default: content for who gets no offer. holdout: its control group gets the default. cap_count, cap_within: so many offers per customer at most. Returns placement_id. Needs the rights of the tables'' owner. Errors: 22023 a bad policy, name or cap; 42704 no such holdout; 23505 the name is taken; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.edit_placement(name text, policy jsonb, note text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record := cdp_internal.placement_of(name);
  whole jsonb := cdp_internal.offer_policy_of(policy);
  v integer;
BEGIN
  PERFORM FROM cdp_data.offer_placement x WHERE x.placement_id = p.placement_id FOR UPDATE;
  p := cdp_internal.placement_of(name);
  IF whole = p.policy THEN
    RETURN p.version;
  END IF;
  v := p.version + 1;
  INSERT INTO cdp_data.offer_policy (placement_id, version, policy, note) VALUES (p.placement_id, v, whole, edit_placement.note);
  UPDATE cdp_data.offer_placement x SET version = v WHERE x.placement_id = p.placement_id;
  PERFORM cdp_data.audit_write('offer', 'placement ' || name, NULL, jsonb_build_object('op', 'edit', 'placement_id', p.placement_id, 'version', v));
  RETURN v;
END
$$;
COMMENT ON FUNCTION cdp.edit_placement(text, jsonb, text) IS
'Gives a placement a new policy as its next version, and returns its number; the same policy again changes nothing. Errors: 42704 no such placement, 22023 a bad policy.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_of(name text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT o.offer_id INTO id FROM cdp_data.offer o WHERE o.name = offer_of.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no offer named "%"', left(coalesce(name, 'NULL'), 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT o.name FROM cdp_data.offer o WHERE o.state <> 'ended'), 'cdp.create_offer() makes one.');
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_of(text) IS 'The number of the offer of that name. Errors: 42704 when there is none, with the nearest name; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.offer_rule(rule text, purpose text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  given jsonb := coalesce(cdp_internal.read_rule(rule), '{"v": 1, "where": {"all": []}}');
BEGIN
  PERFORM cdp_internal.preview_rule(given, purpose, 1);
  RETURN cdp_internal.rule_canonical(given);
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_rule(text, text) IS
'The canonical rule of an offer from its text form or JSON as text; NULL: everybody. Errors: 22023 the rule has an error for the purpose, 42601 and 22P02 it can not be read.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_terms(terms jsonb, purpose text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres'
AS $$
DECLARE
  keys constant text[] := '{placements,priority,value,margin,score,starts_at,ends_at,cap_count,cap_within}';
  wrong text;
  o record;
  f record;
BEGIN
  SELECT k INTO wrong FROM jsonb_object_keys(terms) k WHERE k <> ALL (keys) ORDER BY 1 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'unknown term "%" of an offer', left(wrong, 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(wrong, keys, format('Terms are: %s.', array_to_string(keys, ', ')));
  END IF;
  BEGIN
    SELECT * INTO o FROM jsonb_to_record(terms) AS x (placements text[], priority integer, value numeric, margin numeric, score jsonb, starts_at timestamptz, ends_at timestamptz, cap_count integer, cap_within interval);
  EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'a term of an offer is not of its type: %', SQLERRM USING ERRCODE = 'invalid_parameter_value';
  END;
  IF coalesce(cardinality(o.placements), 0) = 0 OR array_position(o.placements, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'an offer needs a placement' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as placements => ''{home}''; cdp.create_placement() makes one.';
  ELSIF NOT coalesce(o.value > 0 AND o.value <= 1e15 AND o.margin > 0 AND o.margin <= 1e15 AND o.value * o.margin BETWEEN 1e-9 AND 1e15, false) THEN
    RAISE EXCEPTION 'value and margin of an offer must be above zero, and one times the other between 0.000000001 and 10^15'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', coalesce(left(o.value::text, 50), 'NULL'), coalesce(left(o.margin::text, 50), 'NULL'));
  ELSIF o.priority IS NULL THEN
    RAISE EXCEPTION 'priority of an offer must be told' USING ERRCODE = 'invalid_parameter_value', HINT = '0 is the usual one; offers of a higher number go first.';
  ELSIF o.ends_at <= o.starts_at THEN
    RAISE EXCEPTION 'an offer must end after it starts' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It starts at %s and ends at %s.', o.starts_at, o.ends_at);
  END IF;
  PERFORM cdp_internal.placement_of(p) FROM unnest(o.placements) p;
  PERFORM cdp_internal.offer_cap(o.cap_count, o.cap_within);
  IF coalesce(o.score, 'null') <> 'null' THEN
    IF NOT (jsonb_typeof(o.score) = 'object' AND (SELECT count(*) = 1 AND bool_and(k.key IN ('trait', 'attr') AND jsonb_typeof(k.value) = 'string') FROM jsonb_each(CASE jsonb_typeof(o.score) WHEN 'object' THEN o.score ELSE '{}' END) k)) THEN
      RAISE EXCEPTION 'a score is {"trait": name} or {"attr": name}' USING ERRCODE = 'invalid_parameter_value', HINT = 'Its value is the probability of success, 0 to 1.';
    END IF;
    SELECT * INTO f FROM cdp_internal.offer_score_check(o.score, purpose);
    IF FOUND THEN
      RAISE EXCEPTION 'the score of an offer: %', f.message USING ERRCODE = 'invalid_parameter_value', DETAIL = format('%s at /score.', f.code), HINT = f.hint;
    END IF;
  END IF;
  o.placements := ARRAY(SELECT DISTINCT p COLLATE "C" AS p FROM unnest(o.placements) p ORDER BY 1);
  RETURN jsonb_strip_nulls(to_jsonb(o));
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_terms(jsonb, text) IS
'Terms of an offer (see cdp_data.offer_version.terms), checked and in one form, without those that are NULL. Error 22023: an unknown term, a value out of its range, a score that the purpose does not allow; 42704 no such placement.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_stock_change(id integer, more bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  l bigint;
BEGIN
  INSERT INTO cdp_data.offer_stock AS s (offer_id, total, "left") VALUES (id, 0, 0) ON CONFLICT ON CONSTRAINT offer_stock_pkey DO NOTHING;
  SELECT s."left" INTO l FROM cdp_data.offer_stock s WHERE s.offer_id = id FOR UPDATE;
  IF more IS NULL OR l::numeric + more NOT BETWEEN 0 AND 1000000000000 THEN
    RAISE EXCEPTION 'stock can not become less than what is given or reserved, nor more than 10^12'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('%s are left, the change is %s.', l, coalesce(more::text, 'NULL'));
  END IF;
  UPDATE cdp_data.offer_stock s SET total = s.total + more, "left" = s."left" + more WHERE s.offer_id = id RETURNING s."left" INTO l;
  RETURN l;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_stock_change(integer, bigint) IS 'Adds to the stock of an offer, which is counted from then on. Returns what is left. Error 22023: it would fall below zero.';

CREATE OR REPLACE FUNCTION cdp.create_offer(name text, placements text[], purpose text, content jsonb DEFAULT '{}', rule text DEFAULT NULL, channel text DEFAULT '',
  value numeric DEFAULT 1, margin numeric DEFAULT 1, priority integer DEFAULT 0, score jsonb DEFAULT NULL, starts_at timestamptz DEFAULT NULL, ends_at timestamptz DEFAULT NULL,
  inventory bigint DEFAULT NULL, cap_count integer DEFAULT NULL, cap_within interval DEFAULT NULL, state text DEFAULT 'active', description text DEFAULT '',
  owner text DEFAULT NULL, translations jsonb DEFAULT '{}') RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
  word text := cdp_internal.consent_channel(channel);
  canonical jsonb;
  whole jsonb;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('name of an offer', name, 200), cdp_internal.require_choice('state of a new offer', state, '{draft,active,paused}'), cdp_internal.purpose_of(purpose);
  whole := cdp_internal.offer_terms(jsonb_build_object('placements', placements, 'value', value, 'margin', margin, 'priority', priority, 'score', score, 'starts_at', starts_at,
    'ends_at', ends_at, 'cap_count', cap_count, 'cap_within', cap_within), purpose);
  canonical := cdp_internal.offer_rule(rule, purpose);
  INSERT INTO cdp_data.offer AS o (name, description, purpose, channel, placements, state, priority, value, margin, score, starts_at, ends_at, cap_count, cap_within, owner)
  SELECT create_offer.name, coalesce(create_offer.description, ''), create_offer.purpose, word, t.placements, create_offer.state, t.priority, t.value, t.margin, t.score, t.starts_at, t.ends_at,
    t.cap_count, t.cap_within, create_offer.owner
  FROM jsonb_populate_record(NULL::cdp_data.offer, whole) t
  ON CONFLICT ON CONSTRAINT offer_name_key DO NOTHING RETURNING o.offer_id INTO id;
  IF id IS NULL THEN
    RAISE EXCEPTION 'there is an offer named "%" already', name USING ERRCODE = 'unique_violation', HINT = 'Give it another name, or change that one with cdp.edit_offer().';
  END IF;
  INSERT INTO cdp_data.offer_version (offer_id, version, rule, terms) VALUES (id, 1, canonical, whole);
  PERFORM cdp.set_offer_arm(name, 'main', content, translations);
  PERFORM cdp_internal.offer_stock_change(id, inventory) WHERE inventory IS NOT NULL;
  PERFORM cdp_data.audit_write('offer', 'offer ' || name, NULL, jsonb_build_object('op', 'create', 'offer_id', id, 'purpose', purpose, 'channel', word, 'state', state));
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.create_offer(text, text[], text, jsonb, text, text, numeric, numeric, integer, jsonb, timestamptz, timestamptz, bigint, integer, interval, text, text, text, jsonb) IS
'Makes an offer with one arm, main: SELECT cdp.create_offer(''ten off'', ''{home}'', ''personalisation'', ''{"title": "10 % off"}'', rule => ''did("purchase" last 90 days)'', value => 40). rule: who may have it, in the text form of rules or JSON as text (NULL: everybody), checked for the purpose. value: what a success is worth (reporting currency), margin: times this; priority: offers of a higher number go first; score: {"trait": name} or {"attr": name} with the probability of success of a customer, for policies of method value; inventory: so many are there (NULL: no limit); cap_count, cap_within: so many times per customer at most; content, translations: as cdp.set_offer_arm() has them. Returns offer_id. Needs the rights of the tables'' owner. Errors: 22023 the rule has an error, a bad term, unknown purpose; 42601 and 22P02 the rule can not be read; 42704 no such placement; 23505 the name is taken; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.edit_offer(name text, rule text DEFAULT NULL, terms jsonb DEFAULT '{}', note text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.offer_of(name);
  o cdp_data.offer;
  was cdp_data.offer_version;
  canonical jsonb;
  whole jsonb;
BEGIN
  SELECT * INTO o FROM cdp_data.offer x WHERE x.offer_id = id FOR UPDATE;
  SELECT * INTO was FROM cdp_data.offer_version v WHERE v.offer_id = id AND v.version = o.version;
  IF o.state = 'ended' THEN
    RAISE EXCEPTION 'offer "%" has ended', name USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make a new one.';
  ELSIF jsonb_typeof(edit_offer.terms) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'terms are a JSON object' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as {"value": 30, "ends_at": null}.';
  END IF;
  canonical := CASE WHEN rule IS NULL THEN was.rule ELSE cdp_internal.offer_rule(rule, o.purpose) END;
  whole := cdp_internal.offer_terms(was.terms || edit_offer.terms, o.purpose);
  IF canonical = was.rule AND whole = was.terms THEN
    RETURN o.version;
  END IF;
  INSERT INTO cdp_data.offer_version (offer_id, version, rule, terms, note) VALUES (id, o.version + 1, canonical, whole, edit_offer.note);
  UPDATE cdp_data.offer x SET version = o.version + 1, placements = t.placements, priority = t.priority, value = t.value, margin = t.margin, score = t.score, starts_at = t.starts_at,
    ends_at = t.ends_at, cap_count = t.cap_count, cap_within = t.cap_within
  FROM jsonb_populate_record(NULL::cdp_data.offer, whole) t WHERE x.offer_id = id;
  PERFORM cdp_data.audit_write('offer', 'offer ' || name, NULL, jsonb_build_object('op', 'edit', 'offer_id', id, 'version', o.version + 1));
  RETURN o.version + 1;
END
$$;
COMMENT ON FUNCTION cdp.edit_offer(text, text, jsonb, text) IS
'Gives an offer a new rule (NULL: as it was) and other terms ({"value": 30, "ends_at": null}: placements, priority, value, margin, score, starts_at, ends_at, cap_count, cap_within; others stay) as its next version, and returns its number; nothing new changes nothing. Errors: as cdp.create_offer(); 42704 no such offer, 55000 it has ended.';

CREATE OR REPLACE FUNCTION cdp.set_offer_arm(offer text, arm text, content jsonb DEFAULT '{}', translations jsonb DEFAULT '{}', enabled boolean DEFAULT true) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.offer_of(offer);
  made integer;
BEGIN
  PERFORM cdp_internal.require_text('name of an arm', arm, 100);
  IF jsonb_typeof(coalesce(translations, '{}')) <> 'object' THEN
    RAISE EXCEPTION 'translations are a JSON object' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as {"zh": {"title": "..."}, "email/zh": {"subject": "..."}}.';
  END IF;
  INSERT INTO cdp_data.offer_arm AS a (offer_id, arm, content, translations, enabled)
  VALUES (id, set_offer_arm.arm, coalesce(set_offer_arm.content, '{}'), coalesce(set_offer_arm.translations, '{}'), coalesce(set_offer_arm.enabled, true))
  ON CONFLICT ON CONSTRAINT offer_arm_pkey DO UPDATE SET content = excluded.content, translations = excluded.translations, enabled = excluded.enabled
  RETURNING a.arm_id INTO made;
  RETURN made;
END
$$;
COMMENT ON FUNCTION cdp.set_offer_arm(text, text, jsonb, jsonb, boolean) IS
'Makes or changes an arm of an offer: what is shown. content: any JSON; translations: other content by language, channel or both ({"zh": ..., "email": ..., "email/zh": ...}), of which the most specific that fits is shown. enabled false: not given any more; its outcomes stay. A new wording with new outcomes is a new arm. Returns arm_id. Errors: 42704 no such offer, 22023 an empty or too long name, translations no object.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_become(name text, becomes text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.offer_of(name);
  o cdp_data.offer;
BEGIN
  SELECT * INTO o FROM cdp_data.offer x WHERE x.offer_id = id FOR UPDATE;
  IF o.state = becomes THEN
    RETURN;
  ELSIF o.state = 'ended' THEN
    RAISE EXCEPTION 'offer "%" has ended', name USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make a new one.';
  ELSIF becomes = 'active' THEN
    -- What its rule names may have changed since.
    PERFORM cdp_internal.preview_rule(v.rule, o.purpose, 1) FROM cdp_data.offer_version v WHERE v.offer_id = id AND v.version = o.version;
  END IF;
  UPDATE cdp_data.offer x SET state = becomes WHERE x.offer_id = id;
  PERFORM cdp_data.audit_write('offer', 'offer ' || name, NULL, jsonb_build_object('op', becomes, 'offer_id', id, 'was', o.state));
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_become(text, text) IS 'What cdp.activate_offer(), pause_offer() and end_offer() do.';

CREATE OR REPLACE FUNCTION cdp.activate_offer(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.offer_become(name, 'active');
END
$$;
COMMENT ON FUNCTION cdp.activate_offer(text) IS 'Has a draft or paused offer given from now on. Errors: 42704 no such offer, 22023 its rule no longer checks, 55000 it has ended.';
CREATE OR REPLACE FUNCTION cdp.pause_offer(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.offer_become(name, 'paused');
END
$$;
COMMENT ON FUNCTION cdp.pause_offer(text) IS 'Has an offer not given for now; what was given stays. Errors: 42704 no such offer, 55000 it has ended.';
CREATE OR REPLACE FUNCTION cdp.end_offer(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.offer_become(name, 'ended');
END
$$;
COMMENT ON FUNCTION cdp.end_offer(text) IS 'Ends an offer for good: it is no candidate any more; its decisions and outcomes stay. Error 42704: no such offer.';
CREATE OR REPLACE FUNCTION cdp.add_offer_stock(name text, more bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.offer_stock_change(cdp_internal.offer_of(name), more);
END
$$;
COMMENT ON FUNCTION cdp.add_offer_stock(text, bigint) IS
'Adds to the stock of an offer, or takes off with a number below zero; an offer without limit gets one. Returns what is left. Errors: 42704 no such offer, 22023 less would be left than nothing.';
