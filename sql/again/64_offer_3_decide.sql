-- Activation room, offers: decisions. One function decides for one customer and for many; it holds the customers, then the
-- stock of the placement's offers, in the order of their numbers, so that caps and stock are exact among sessions.

CREATE OR REPLACE FUNCTION cdp_internal.offer_release(offers integer[], as_of timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  n bigint;
BEGIN
  -- Stock before decisions, as everybody does who wants both.
  PERFORM FROM cdp_data.offer_stock s WHERE s.offer_id = ANY (offers) ORDER BY s.offer_id FOR UPDATE;
  WITH late AS (
    SELECT d.decision_id FROM cdp_data.offer_decision d WHERE d.offer_id = ANY (offers) AND d.state = 'reserved' AND d.lease_until <= offer_release.as_of ORDER BY d.decision_id FOR UPDATE
  ), back AS (
    UPDATE cdp_data.offer_decision d SET state = 'released', stocked = false
    FROM late l, cdp_data.offer_decision was WHERE d.decision_id = l.decision_id AND was.decision_id = l.decision_id
    RETURNING d.offer_id, was.stocked
  ), stock AS (
    UPDATE cdp_data.offer_stock s SET "left" = s."left" + x.n
    FROM (SELECT b.offer_id, count(*) AS n FROM back b WHERE b.stocked GROUP BY b.offer_id) x WHERE s.offer_id = x.offer_id
  )
  SELECT count(*) INTO n FROM back;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_release(integer[], timestamptz) IS
'Gives back what was reserved of these offers and not shown before the end of its lease, as of a moment; holds their stock to the end of the transaction. Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_hold(customers bigint[]) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  roots bigint[];
  held bigint[] := '{}';
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'offers are decided under READ COMMITTED only'
      USING ERRCODE = 'invalid_transaction_state', DETAIL = format('This transaction is %s: what others were given since it began would not be seen.', upper(current_setting('transaction_isolation'))),
        HINT = 'Decide in a transaction of its own.';
  END IF;
  LOOP
    roots := ARRAY(SELECT DISTINCT r FROM (SELECT cdp_internal.root_of(c) AS r FROM unnest(customers) c) x WHERE r IS NOT NULL ORDER BY r);
    -- A merge may have ended while this waited.
    EXIT WHEN roots <@ held;
    held := roots;
    PERFORM FROM cdp_data.customer c WHERE c.customer_id = ANY (roots) ORDER BY c.customer_id FOR NO KEY UPDATE;
  END LOOP;
  RETURN roots;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_hold(bigint[]) IS
'The roots of these customers, ascending, held against other decisions, merges and changes of consent until this transaction ends. Unknown customers are left out. Error 25000 in a transaction that is not READ COMMITTED.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_candidates(field jsonb, refused text[], means double precision[], ranked integer[], scores double precision[], propensities double precision[]) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE SET extra_float_digits = 1 SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('offer', e.value -> 'offer_id', 'arm', e.value -> 'arm_id', 'version', e.value -> 'version', 'priority', e.value -> 'priority',
    'worth', e.value -> 'worth', 'a', e.value -> 'a', 'b', e.value -> 'b', 'mean', means[e.nth], 'refused', coalesce(refused[e.nth], CASE WHEN r.k IS NULL AND ranked <> '{}' THEN 'priority' END),
    'score', scores[r.k], 'p', propensities[r.k])) ORDER BY e.nth), '[]')
  FROM jsonb_array_elements(field) WITH ORDINALITY AS e (value, nth) CROSS JOIN LATERAL (SELECT array_position(ranked, e.nth::integer) AS k) r
$$;
COMMENT ON FUNCTION cdp_internal.offer_candidates(jsonb, text[], double precision[], integer[], double precision[], double precision[]) IS
'What cdp_data.offer_decision.candidates holds, of the field, why arms were refused, and what came out for the ranked ones (numbers in the field).';

CREATE OR REPLACE FUNCTION cdp_internal.offer_decide(placement text, customers bigint[], as_of timestamptz, seed bigint, keep boolean)
RETURNS TABLE (customer_id bigint, decision_id bigint, reason text, offer_id integer, arm_id integer, score double precision, propensity double precision, lease_until timestamptz, candidates jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET extra_float_digits = 1 SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  p record := cdp_internal.placement_of(placement);
  holdout integer := CASE WHEN p.holdout IS NOT NULL THEN (cdp_internal.holdout_of(p.holdout)).holdout_id END;
  names jsonb := cdp_internal.segment_catalog();
  roots bigint[];
  control bytea := cdp.roaring_build(NULL);
  field jsonb;
  offers integer[];
  priorities integer[];
  arms bigint[];
  worths double precision[];
  a double precision[];
  b double precision[];
  held integer[] := '{}';
  stock jsonb;
  before jsonb;
  open integer[];
  ranked integer[];
  c record;
  x record;
  at integer;
  method text := p.policy ->> 'method';
  epsilon double precision := p.policy ->> 'epsilon';
  lease interval := p.policy ->> 'lease';
BEGIN
  IF NOT isfinite(as_of) THEN
    RAISE EXCEPTION 'as_of must be a moment' USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out for now.';
  END IF;
  seed := coalesce(seed, ('x' || left(replace(gen_random_uuid()::text, '-', ''), 12))::bit(48)::bigint);
  IF keep THEN
    roots := cdp_internal.offer_hold(customers);
    -- Once they are held: what others were given while this waited lies before it.
    as_of := coalesce(as_of, clock_timestamp());
    held := ARRAY(SELECT s.offer_id FROM cdp_data.offer_stock s JOIN cdp_data.offer o USING (offer_id) WHERE o.state IN ('active', 'paused') AND placement = ANY (o.placements) ORDER BY s.offer_id FOR UPDATE OF s);
    PERFORM cdp_internal.offer_release(held, as_of);
  ELSE
    as_of := coalesce(as_of, clock_timestamp());
    roots := ARRAY(SELECT DISTINCT r FROM (SELECT cdp_internal.root_of(u) AS r FROM unnest(customers) u) y WHERE r IS NOT NULL ORDER BY r);
  END IF;
  IF holdout IS NOT NULL THEN
    IF keep THEN
      PERFORM cdp_internal.holdout_assign(holdout, roots, as_of);
    END IF;
    control := cdp_internal.holdout_control(holdout, roots);
  END IF;
  SELECT coalesce(jsonb_agg(to_jsonb(f) || CASE WHEN f.refused IS NOT NULL THEN '{"rule": null}' ELSE '{}' END::jsonb || CASE method WHEN 'value' THEN '{}' ELSE '{"score": null}' END::jsonb ORDER BY f.nth), '[]'), array_agg(f.offer_id ORDER BY f.nth), array_agg(f.priority ORDER BY f.nth),
    array_agg(f.arm_id::bigint ORDER BY f.nth), array_agg(f.worth ORDER BY f.nth), array_agg(f.a ORDER BY f.nth), array_agg(f.b ORDER BY f.nth)
  INTO field, offers, priorities, arms, worths, a, b FROM cdp_internal.offer_field(placement, p.policy, as_of, names) f;
  -- What became limited, or came to this placement, while this waited is not held: nobody gets it from this call.
  SELECT coalesce(jsonb_object_agg(s.offer_id, CASE WHEN NOT keep THEN s."left" + cdp_internal.offer_late(s.offer_id, as_of) WHEN s.offer_id = ANY (held) THEN s."left" ELSE 0 END), '{}') INTO stock FROM cdp_data.offer_stock s WHERE s.offer_id = ANY (offers);
  before := stock;
  FOR c IN
    SELECT r.root, coalesce(y.capped, false) AS capped, coalesce(y.refused, '{}') AS refused, coalesce(y.means, '{}') AS means, r.root IN (SELECT cdp.roaring_ids(control)) AS held
    FROM unnest(roots) AS r (root) LEFT JOIN cdp_internal.offer_refusals(field, roots, as_of, names, p.placement_id, p.cap_count, p.cap_within) y ON y.customer_id = r.root ORDER BY r.root
  LOOP
    open := ARRAY(SELECT i FROM generate_subscripts(c.refused, 1) i WHERE c.refused[i] IS NULL AND NOT coalesce((stock ->> offers[i]::text)::bigint = 0, false) ORDER BY i);
    FOR at IN SELECT i FROM generate_subscripts(c.refused, 1) i WHERE c.refused[i] IS NULL AND i <> ALL (open) LOOP
      c.refused[at] := 'stock';
    END LOOP;
    ranked := ARRAY(SELECT i FROM unnest(open) i WHERE priorities[i] = (SELECT max(priorities[j]) FROM unnest(open) j) ORDER BY i);
    reason := CASE WHEN c.held THEN 'control' WHEN c.capped THEN 'cap' WHEN ranked = '{}' THEN 'nothing' ELSE 'offer' END;
    x := NULL;
    at := NULL;
    IF reason = 'offer' THEN
      x := cdp_internal.offer_choose(method, epsilon, seed, ARRAY[p.placement_id, c.root, cdp_internal.offer_moment(as_of)], ARRAY(SELECT arms[i] FROM unnest(ranked) WITH ORDINALITY AS u (i, n) ORDER BY u.n),
        ARRAY(SELECT worths[i] FROM unnest(ranked) WITH ORDINALITY AS u (i, n) ORDER BY u.n), ARRAY(SELECT a[i] FROM unnest(ranked) WITH ORDINALITY AS u (i, n) ORDER BY u.n),
        ARRAY(SELECT b[i] FROM unnest(ranked) WITH ORDINALITY AS u (i, n) ORDER BY u.n), ARRAY(SELECT c.means[i] FROM unnest(ranked) WITH ORDINALITY AS u (i, n) ORDER BY u.n));
      at := ranked[x.chosen];
      score := x.scores[x.chosen];
      propensity := x.propensities[x.chosen];
      candidates := cdp_internal.offer_candidates(field, c.refused, c.means, ranked, x.scores, x.propensities);
    ELSE
      score := NULL;
      propensity := NULL;
      candidates := cdp_internal.offer_candidates(field, c.refused, c.means, '{}', '{}', '{}');
    END IF;
    customer_id := c.root;
    offer_id := offers[at];
    arm_id := arms[at];
    lease_until := CASE WHEN at IS NOT NULL THEN as_of + lease END;
    IF stock ? offer_id::text THEN
      stock := jsonb_set(stock, ARRAY[offer_id::text], to_jsonb((stock ->> offer_id::text)::bigint - 1));
    END IF;
    IF keep THEN
      INSERT INTO cdp_data.offer_decision AS d (placement_id, customer_id, at, policy_version, seed, reason, state, offer_id, arm_id, offer_version, score, propensity, lease_until, stocked, candidates)
      VALUES (p.placement_id, c.root, as_of, p.version, seed, reason, CASE WHEN at IS NULL THEN 'none' WHEN lease IS NULL THEN 'shown' ELSE 'reserved' END, offer_id, arm_id, (field -> (at - 1) ->> 'version')::integer,
        score, propensity, lease_until, coalesce(stock ? offer_id::text, false), candidates)
      RETURNING d.decision_id INTO decision_id;
      INSERT INTO cdp_data.offer_outcome (decision_id, kind, customer_id, at) SELECT decision_id, 'shown', c.root, as_of WHERE at IS NOT NULL AND lease IS NULL;
    END IF;
    RETURN NEXT;
  END LOOP;
  IF keep AND stock <> before THEN
    UPDATE cdp_data.offer_stock s SET "left" = (stock ->> s.offer_id::text)::bigint WHERE s.offer_id = ANY (held) AND s."left" <> (stock ->> s.offer_id::text)::bigint;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_decide(text, bigint[], timestamptz, bigint, boolean) IS
'Decides for each of these customers, once for each root, in the order of their ids, which arm he gets at a placement as of a moment. keep: notes the decisions, takes stock and counts what is shown; else nothing is written and decision_id is NULL. What is known of outcomes is that of the beginning, for all alike; stock goes down from one to the next. as_of NULL: the clock once the customers are held. seed NULL: a random one. Unknown customers have no row. Errors: 42704 no such placement or holdout, 22023 as_of, 25000 not READ COMMITTED, 54000 more than 200 arms in one class.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_moment(moment timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (extract(epoch FROM moment) * 1000000)::bigint;
COMMENT ON FUNCTION cdp_internal.offer_moment(timestamptz) IS 'A moment as an input of draws: microseconds since 1970-01-01 UTC.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_content(arm_id integer, channel text, language text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT coalesce(a.translations -> (channel || '/' || language), a.translations -> language, a.translations -> channel, a.content) FROM cdp_data.offer_arm a WHERE a.arm_id = offer_content.arm_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_content(integer, text, text) IS
'What is shown of an arm: its translation for channel/language, language, channel, the first that there is, else its content. NULL for an unknown arm.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_rows(placement text, customers bigint[], as_of timestamptz, seed bigint, language text)
RETURNS TABLE (customer_id bigint, decision_id bigint, offer text, arm text, content jsonb, reason text, propensity double precision, lease_until timestamptz)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  fallback jsonb := (cdp_internal.placement_of(placement)).policy -> 'default';
BEGIN
  RETURN QUERY
  SELECT d.customer_id, d.decision_id, o.name::text, a.arm::text, CASE WHEN d.arm_id IS NULL THEN fallback ELSE cdp_internal.offer_content(d.arm_id, o.channel, offer_rows.language) END, d.reason, d.propensity, d.lease_until
  FROM cdp_internal.offer_decide(placement, customers, offer_rows.as_of, offer_rows.seed, true) d LEFT JOIN cdp_data.offer o ON o.offer_id = d.offer_id LEFT JOIN cdp_data.offer_arm a ON a.arm_id = d.arm_id
  ORDER BY d.customer_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_rows(text, bigint[], timestamptz, bigint, text) IS 'cdp_internal.offer_decide(), noted, with names and content.';

CREATE OR REPLACE FUNCTION cdp.next_best_offer(customer bigint, placement text, as_of timestamptz DEFAULT NULL, seed bigint DEFAULT NULL, language text DEFAULT NULL)
RETURNS TABLE (customer_id bigint, decision_id bigint, offer text, arm text, content jsonb, reason text, propensity double precision, lease_until timestamptz)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.known_customer(customer);
  RETURN QUERY SELECT * FROM cdp_internal.offer_rows(placement, ARRAY[customer], next_best_offer.as_of, next_best_offer.seed, next_best_offer.language);
END
$$;
COMMENT ON FUNCTION cdp.next_best_offer(bigint, text, timestamptz, bigint, text) IS
'Which offer a customer (any id that was merged into him) gets at a placement, one row: SELECT * FROM cdp.next_best_offer(7, ''home''). Possible are arms of active offers within their time whose purpose and channel his consent allows now, whose rule he fits as of the moment (default now; profiles as of the last cdp.refresh_profiles()), whose cap he has not reached and of which stock is left; of those of the highest priority the policy of the placement chooses. reason: offer; nothing (none is possible), control (he is in the control group of the holdout), cap (he has had enough here): then content is the default of the policy. propensity: with what probability the policy chooses this arm here. lease_until: report it as shown before (cdp.record_offer_outcome()), else it is given back; NULL: it counts as shown. Everything is noted in cdp_data.offer_decision. The same seed, customer, moment and knowledge give the same choice on any machine. Holds the customer and the stock until the transaction ends: end it soon. Needs the rights of the tables'' owner. Errors: 22023 no such customer, 42704 no such placement, 25000 not READ COMMITTED, 54000 more than 200 arms in one class, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.next_best_offers(customers bigint[], placement text, as_of timestamptz DEFAULT NULL, seed bigint DEFAULT NULL, language text DEFAULT NULL)
RETURNS TABLE (customer_id bigint, decision_id bigint, offer text, arm text, content jsonb, reason text, propensity double precision, lease_until timestamptz)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY SELECT * FROM cdp_internal.offer_rows(placement, customers, next_best_offers.as_of, next_best_offers.seed, next_best_offers.language);
END
$$;
COMMENT ON FUNCTION cdp.next_best_offers(bigint[], text, timestamptz, bigint, text) IS
'cdp.next_best_offer() for many customers in one pass, a row for each root, ascending: each gets what the single call with that moment and seed would give him in the state at the beginning, but that stock goes down from one to the next. Unknown customers have no row. Errors as there.';
CREATE OR REPLACE FUNCTION cdp.next_best_offers(segment text, placement text, as_of timestamptz DEFAULT NULL, seed bigint DEFAULT NULL, language text DEFAULT NULL)
RETURNS TABLE (customer_id bigint, decision_id bigint, offer text, arm text, content jsonb, reason text, propensity double precision, lease_until timestamptz)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY SELECT * FROM cdp.next_best_offers(ARRAY(SELECT cdp.segment_audience(segment)), placement, next_best_offers.as_of, next_best_offers.seed, next_best_offers.language);
END
$$;
COMMENT ON FUNCTION cdp.next_best_offers(text, text, timestamptz, bigint, text) IS
'The same for the audience of a segment now (cdp.segment_audience()). Errors also as there.';

CREATE OR REPLACE FUNCTION cdp.explain_offers(customer bigint, placement text, as_of timestamptz DEFAULT NULL, seed bigint DEFAULT 0)
RETURNS TABLE (offer text, arm text, priority integer, refused text, expected double precision, worth double precision, score double precision, propensity double precision, chosen boolean)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  root bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  root := cdp_internal.known_customer(customer);
  PERFORM cdp_internal.audit_read('explain_offers', root, jsonb_build_object('placement', placement));
  RETURN QUERY
  SELECT o.name::text, a.arm::text, (c.value ->> 'priority')::integer, coalesce(c.value ->> 'refused', CASE WHEN d.reason IN ('control', 'cap') THEN 'placement: ' || d.reason END),
    (c.value ->> 'mean')::double precision, (c.value ->> 'worth')::double precision, (c.value ->> 'score')::double precision, (c.value ->> 'p')::double precision, coalesce(d.arm_id = a.arm_id, false)
  FROM cdp_internal.offer_decide(placement, ARRAY[root], explain_offers.as_of, explain_offers.seed, false) d CROSS JOIN LATERAL jsonb_array_elements(d.candidates) WITH ORDINALITY AS c (value, nth)
    JOIN cdp_data.offer_arm a ON a.arm_id = (c.value ->> 'arm')::integer JOIN cdp_data.offer o ON o.offer_id = a.offer_id
  ORDER BY c.nth;
END
$$;
COMMENT ON FUNCTION cdp.explain_offers(bigint, text, timestamptz, bigint) IS
'What cdp.next_best_offer() would look at, a row for each arm of the placement, and notes no decision: refused says why the customer does not get it (paused, arm off, not yet, over, rule, stock, consent, not eligible, cap, no score, priority: an offer of a higher class is possible; placement: control or cap); of the others the expected success, the worth of one, the score with this seed, the probability to be chosen, and which one it would be. Logged (action read). Errors: 22023 no such customer, 42704 no such placement, 25006 read-only.';
