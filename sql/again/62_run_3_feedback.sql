-- Activation room, campaign runs: what comes back. Feedback is touchpoints whose property campaign_run names the run. What
-- it changes beside that (consent, addresses that bounce) follows from the touchpoints alone, so that feedback that comes
-- late, twice or in another order ends in the same.

CREATE OR REPLACE FUNCTION cdp_internal.feedback_kinds() RETURNS TABLE (kind_id smallint, effect text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT v.id::smallint, v.effect
  FROM (VALUES (7, 'open'::text), (8, 'click'), (9, 'open'), (10, 'click'), (11, 'delivered'), (44, 'withdraw'), (46, 'delivered'), (47, 'bounce'), (48, 'withdraw')) AS v (id, effect);
END;
COMMENT ON FUNCTION cdp_internal.feedback_kinds() IS
'The built-in kinds of touchpoints that are feedback on a message, and what they tell: delivered, open, click (it arrived), bounce, withdraw (unsubscribe, complaint).';

CREATE OR REPLACE FUNCTION cdp_internal.channel_types(channel text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE channel WHEN 'email' THEN '{email}' WHEN 'sms' THEN '{phone}' WHEN 'phone' THEN '{phone}' WHEN 'call' THEN '{phone}' WHEN 'whatsapp' THEN '{phone}'
  WHEN 'wechat' THEN '{openid,unionid}' WHEN 'wecom' THEN '{external_userid}' WHEN 'push' THEN '{device}' WHEN 'app' THEN '{device}' ELSE ARRAY[channel] END;
COMMENT ON FUNCTION cdp_internal.channel_types(text) IS
'Identifier types that are addresses on a channel: email of email, phone of sms and call, and so on; of another channel the type of its name.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_withdraw(touchpoint_id bigint, source_id integer, kind text, run text, purpose text, channel text, root bigint, at timestamptz,
  key text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
  key := coalesce(key, 'feedback ' || touchpoint_id);
  IF EXISTS (SELECT FROM cdp_data.consent c WHERE c.source_id = source_id AND c.source_key = key AND c.load_id IS NULL)
     OR NOT EXISTS (SELECT FROM cdp_internal.members(root)) THEN
    RETURN false;
  END IF;
  -- A clock that is ahead must not put the refusal off.
  PERFORM cdp.record_consent((SELECT s.name FROM cdp_data.source s WHERE s.source_id = source_id), purpose, 'withdrawn', customer => root, channel => channel,
    evidence => jsonb_build_object('touchpoint_id', touchpoint_id, 'kind', kind, 'campaign_run', run), effective_at => least(at, now()), message_id => key);
  RETURN true;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_withdraw(bigint, integer, text, text, text, text, bigint, timestamptz, text) IS
'Withdraws the consent of a customer (a root) to a purpose on a channel, by the word of a touchpoint, which is the evidence: cdp.record_consent() with message_id key (NULL: "feedback <touchpoint>"), so once only. False when that is in the ledger already, or nobody is left whose consent it was.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_addresses(homes bigint[], identifiers bigint[], channels text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  n bigint;
BEGIN
  WITH want AS MATERIALIZED (
    SELECT DISTINCT w.home, w.identifier_id, w.channel FROM unnest(homes, identifiers, channels) AS w (home, identifier_id, channel)
  ), told AS MATERIALIZED (
    SELECT w.identifier_id, w.channel, k.effect, t.occurred_at, t.properties
    FROM want w CROSS JOIN LATERAL ( -- once each, not once for each run of the channel
        SELECT x.kind_id, x.occurred_at, x.properties FROM cdp_data.touchpoint x WHERE x.customer_id = w.home AND x.identifier_id = w.identifier_id AND x.properties ? 'campaign_run' OFFSET 0) t
      JOIN cdp_internal.feedback_kinds() k ON k.kind_id = t.kind_id JOIN cdp_data.campaign_run r ON r.name = t.properties ->> 'campaign_run' AND r.channel = w.channel
  ), word AS MATERIALIZED (
    SELECT w.identifier_id, w.channel, max(t.occurred_at) FILTER (WHERE t.effect = 'bounce' AND t.properties ->> 'bounce' = 'hard' AND NOT t.properties ? 'address_unknown') AS bounced_at,
      max(t.occurred_at) FILTER (WHERE t.effect IN ('delivered', 'open', 'click')) AS alive_at
    FROM want w LEFT JOIN told t USING (identifier_id, channel) GROUP BY 1, 2
  ), gone AS (
    DELETE FROM cdp_data.channel_bounce b USING word w WHERE (b.identifier_id, b.channel) = (w.identifier_id, w.channel) AND w.bounced_at IS NULL RETURNING 1
  ), put AS (
    INSERT INTO cdp_data.channel_bounce AS b (identifier_id, channel, bounced_at, alive_at)
    SELECT w.identifier_id, w.channel, w.bounced_at, coalesce(w.alive_at, '-infinity') FROM word w WHERE w.bounced_at IS NOT NULL ORDER BY w.identifier_id, w.channel
    ON CONFLICT ON CONSTRAINT channel_bounce_pkey DO UPDATE SET bounced_at = excluded.bounced_at, alive_at = excluded.alive_at
    WHERE (b.bounced_at, b.alive_at) IS DISTINCT FROM (excluded.bounced_at, excluded.alive_at)
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM put) INTO n;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_addresses(bigint[], bigint[], text[]) IS
'Makes the rows of cdp_data.channel_bounce of these identifiers (with their homes and a channel each) what their touchpoints say: the latest hard bounce and the latest sign that something arrived. Returns how many changed.';

CREATE OR REPLACE FUNCTION cdp_internal.unreachable(channel text, roots bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  types smallint[] := ARRAY(SELECT t.type_id FROM cdp_data.identifier_type_all t WHERE t.name = ANY (cdp_internal.channel_types(channel)));
BEGIN
  RETURN QUERY
  WITH dead AS MATERIALIZED (
    SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), i.customer_id, i.identifier_id) AS root
    FROM cdp_data.channel_bounce b JOIN cdp_data.identifier i USING (identifier_id) WHERE b.channel = unreachable.channel AND b.bounced_at >= b.alive_at
  )
  SELECT DISTINCT d.root FROM dead d JOIN unnest(roots) AS r (root) ON r.root = d.root
  WHERE EXISTS (
    SELECT FROM cdp_internal.members(d.root) m LEFT JOIN cdp_data.channel_bounce b ON b.identifier_id = m.identifier_id AND b.channel = unreachable.channel
    HAVING count(*) FILTER (WHERE m.type_id = ANY (types)) <= 1 OR bool_and((b.bounced_at >= b.alive_at) IS TRUE) FILTER (WHERE m.type_id = ANY (types)));
END
$$;
COMMENT ON FUNCTION cdp_internal.unreachable(text, bigint[]) IS
'Those of these roots who can not be reached on a channel: an identifier of theirs bounced for good, and so did each of their addresses there (cdp_internal.channel_types()). What bounced without naming an address (a user_id) tells of him who has one address at most.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusals_of_run(destination text, kind text, customers bigint[], payloads jsonb[]) RETURNS TABLE (n bigint, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  word text := (SELECT d.channel FROM cdp_data.destination d WHERE d.destination = outbox_refusals_of_run.destination);
BEGIN
  IF kind = 'campaign' AND EXISTS (SELECT FROM cdp_data.channel_bounce b WHERE b.channel = word) THEN
    RETURN QUERY
    WITH at_home AS MATERIALIZED (
      SELECT w.n, w.c, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, w.c, NULL) AS root FROM unnest(customers) WITH ORDINALITY AS w (c, n)
    )
    SELECT h.n, format('nothing arrives at customer %s by %s', h.c, word)
    FROM at_home h JOIN cdp_internal.unreachable(word, (SELECT array_agg(DISTINCT x.root) FROM at_home x)) u (root) ON u.root = h.root;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusals_of_run(text, text, bigint[], jsonb[]) IS
'Refuses messages of runs (kind campaign) to customers who can not be reached on the channel of the destination (cdp_internal.unreachable()); other messages pass.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusal_of_run(destination text, kind text, customer_id bigint, payload jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  word text := (SELECT d.channel FROM cdp_data.destination d WHERE d.destination = outbox_refusal_of_run.destination);
  types smallint[];
BEGIN
  -- By the indexes of one customer: a map of all merges for each message that is taken would cost too much.
  IF kind = 'campaign' AND EXISTS (SELECT FROM cdp_data.channel_bounce b WHERE b.channel = word) THEN
    types := ARRAY(SELECT t.type_id FROM cdp_data.identifier_type_all t WHERE t.name = ANY (cdp_internal.channel_types(word)));
    RETURN (
      SELECT format('nothing arrives at customer %s by %s', outbox_refusal_of_run.customer_id, word)
      FROM (SELECT x.type_id = ANY (types) AS is_address, (b.bounced_at >= b.alive_at) IS TRUE AS dead
        FROM cdp_internal.members(cdp_internal.root_of(outbox_refusal_of_run.customer_id)) x LEFT JOIN cdp_data.channel_bounce b ON b.identifier_id = x.identifier_id AND b.channel = word) m
      HAVING bool_or(m.dead) AND (count(*) FILTER (WHERE m.is_address) <= 1 OR bool_and(m.dead) FILTER (WHERE m.is_address)));
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusal_of_run(text, text, bigint, jsonb) IS 'The same for one message (cdp.outbox_refusal()): why it is refused, or NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.feedback_word(kind text, channel text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  word text := cdp_internal.snake(kind);
  names text[] := ARRAY(SELECT k.name FROM cdp_internal.feedback_kinds() f JOIN cdp_data.touch_kind_all k USING (kind_id) ORDER BY k.kind_id);
BEGIN
  IF word IN ('open', 'click') THEN
    word := CASE channel WHEN 'email' THEN 'email_' ELSE 'message_' END || word;
  END IF;
  IF coalesce(word <> ALL (names), true) THEN
    RAISE EXCEPTION 'unknown kind of feedback "%"', left(coalesce(kind, 'NULL'), 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(word, names || '{open,click}'::text[], format('Use open, click or one of: %s.', array_to_string(names, ', ')));
  END IF;
  RETURN word;
END
$$;
COMMENT ON FUNCTION cdp_internal.feedback_word(text, text) IS
'The kind of touchpoint that a word of feedback means on a channel: open is email_open by email and message_open elsewhere, click alike. Error 22023 with the nearest word.';

CREATE OR REPLACE FUNCTION cdp_internal.feedback_quarantine(src integer, kind text, message text, run text, identifiers jsonb, at timestamptz, properties jsonb, key text, code text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  load bigint := cdp_internal.live_load(src, now());
  why text := (SELECT r.reason FROM cdp_internal.load_reasons() r WHERE r.code = feedback_quarantine.code);
BEGIN
  -- As a message of cdp.ingest(), so that cdp.retry_messages() takes it once the identifiers or the run are mended.
  INSERT INTO cdp_data.quarantine (load_id, source_id, original, code, reason)
  SELECT load, src, x.original, feedback_quarantine.code, why FROM (SELECT jsonb_strip_nulls(jsonb_build_object('type', 'track', 'event', kind, 'messageId', key, 'timestamp', at,
      'properties', properties || jsonb_build_object('campaign_run', coalesce(run, message)),
      'context', jsonb_build_object('externalIds', (
        SELECT jsonb_agg(jsonb_build_object('type', e.key, 'id', v.value)) FROM jsonb_each(coalesce(identifiers, '{}')) e
          CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(e.value) WHEN 'array' THEN e.value ELSE jsonb_build_array(e.value) END) v)))) AS original) x
  WHERE NOT EXISTS (SELECT FROM cdp_data.quarantine q WHERE q.load_id = load AND q.original = x.original);
END
$$;
COMMENT ON FUNCTION cdp_internal.feedback_quarantine(integer, text, text, text, jsonb, timestamptz, jsonb, text, text) IS
'Keeps feedback that found no run or nobody in cdp_data.quarantine, in the form of a message; the same again on one day is kept once.';

CREATE OR REPLACE FUNCTION cdp_internal.feedback_in(src integer, source text, kind text, message text, run text, identifiers jsonb, at timestamptz, properties jsonb, message_id text,
  OUT result text, OUT touchpoint_id bigint, OUT customer_id bigint, OUT withdrawn boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  part text[] := regexp_match(message, '^run (\d{1,9}) (\d{1,10})$');
  exposed bigint := part[2];
  r record;
  word text;
  effect text;
  key text := cdp_internal.said_key(message_id);
  content jsonb := coalesce(properties, '{}');
  root bigint;
  address record;
  t record;
BEGIN
  withdrawn := false;
  IF message IS NOT NULL THEN
    -- A word on a message whose exposure is past its retention still counts.
    SELECT c.* INTO r
    FROM cdp_data.campaign_run c JOIN cdp_data.purpose_all p ON p.name = c.purpose LEFT JOIN cdp_data.campaign_exposure e ON e.campaign_run_id = c.campaign_run_id AND e.customer_id = exposed
    WHERE c.campaign_run_id = part[1]::integer AND (e.arm = 'treatment' OR e.arm IS NULL AND c.finished_at < cdp_internal.cutoff(now(), (SELECT s.exposure_retention FROM cdp_data.setting s))
      AND EXISTS (SELECT FROM cdp_data.customer u WHERE u.customer_id = exposed));
  ELSE
    SELECT c.* INTO r FROM cdp_data.campaign_run c JOIN cdp_data.purpose_all p ON p.name = c.purpose WHERE c.name = run;
  END IF;
  word := cdp_internal.feedback_word(kind, r.channel);
  effect := (SELECT f.effect FROM cdp_internal.feedback_kinds() f JOIN cdp_data.touch_kind_all k USING (kind_id) WHERE k.name = word);
  IF jsonb_typeof(content) <> 'object' THEN
    RAISE EXCEPTION 'properties must be a JSON object' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', jsonb_typeof(content));
  ELSIF (cdp_internal.clean_identifiers(coalesce(identifiers, '{}'))).refused @> '[{"code": "suppressed"}]' THEN
    result := 'suppressed';
    PERFORM cdp_internal.count_suppressed(src, 1);
    RETURN;
  ELSIF r.campaign_run_id IS NULL THEN
    result := 'unknown';
    PERFORM cdp_internal.feedback_quarantine(src, word, message, run, identifiers, at, content, key, 'unknown_run');
    RETURN;
  END IF;
  IF identifiers IS NULL AND message IS NOT NULL THEN
    root := cdp_internal.root_of(exposed);
    SELECT k.name AS type, i.value, count(*) FILTER (WHERE k.name = ANY (cdp_internal.channel_types(r.channel))) OVER () AS n INTO address
    FROM cdp_internal.members(root) m JOIN cdp_data.identifier i USING (identifier_id) JOIN cdp_data.identifier_type_all k ON k.type_id = m.type_id
    ORDER BY k.name <> ALL (cdp_internal.channel_types(r.channel)), i.state = 'quarantined', k.role = 'attach_only', k.priority, m.identifier_id LIMIT 1;
    IF NOT FOUND THEN
      result := 'suppressed';
      RETURN;
    END IF;
    identifiers := jsonb_build_object(address.type, address.value);
    IF effect = 'bounce' AND address.n <> 1 THEN
      content := content || '{"address_unknown": true}'; -- which of his addresses it was can not be told
    END IF;
  ELSIF identifiers IS NULL THEN
    RAISE EXCEPTION 'feedback is on a message, or of somebody on a run'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Give message => (dedup_key of the message), or run => and identifiers => ''{"email": "..."}''.';
  ELSIF effect <> 'withdraw' THEN
    -- Of several identifiers the address is meant, when it is one that is known.
    SELECT jsonb_object_agg(e.key, e.value) AS said INTO address FROM jsonb_each(identifiers) e WHERE e.key = ANY (cdp_internal.channel_types(r.channel));
    SELECT count(*) AS n, count(i.identifier_id) AS known INTO t FROM cdp_internal.clean_identifiers(coalesce(address.said, '{}')) c CROSS JOIN LATERAL unnest(c.type_ids, c.vals) AS u (type_id, value)
      LEFT JOIN cdp_data.identifier i ON (i.type_id, i.value) = (u.type_id, u.value);
    IF t.known > 0 THEN
      identifiers := address.said;
      content := content || CASE WHEN effect = 'bounce' AND t.n > 1 THEN '{"address_unknown": true}' ELSE '{}' END::jsonb;
    END IF;
  END IF;
  -- Without a key of its own the same word of the same moment is the same feedback.
  key := coalesce(key, concat_ws(' ', 'feedback', coalesce(message, r.campaign_run_id::text), word, extract(epoch FROM at),
    CASE WHEN message IS NULL THEN encode(sha256(convert_to(identifiers::text, 'UTF8')), 'hex') END));
  IF effect = 'withdraw' THEN
    LOCK TABLE cdp_data.outbox IN ROW EXCLUSIVE MODE; -- before customers: the consent below wants both
  END IF;
  t := cdp.track(source, word, identifiers, content || jsonb_strip_nulls(jsonb_build_object('campaign_run', r.name, 'message', message)), at, key,
    origin => jsonb_build_object('source', r.destination, 'medium', r.channel, 'campaign', coalesce((SELECT c.name FROM cdp_data.campaign c WHERE c.campaign_id = r.campaign_id), r.name)));
  result := t.status;
  touchpoint_id := t.touchpoint_id;
  customer_id := t.customer_id;
  IF touchpoint_id IS NULL THEN
    RETURN;
  ELSIF effect = 'withdraw' THEN
    withdrawn := cdp_internal.campaign_withdraw(touchpoint_id, src, word, r.name, r.purpose, r.channel, customer_id, at);
    -- Who got the message may be another than whom the identifiers name.
    IF cdp_internal.root_of(exposed) <> customer_id THEN
      withdrawn := cdp_internal.campaign_withdraw(touchpoint_id, src, word, r.name, r.purpose, r.channel, cdp_internal.root_of(exposed), at, format('feedback %s of %s', touchpoint_id, message)) OR withdrawn;
    END IF;
  ELSE
    PERFORM cdp_internal.campaign_addresses(array_agg(x.customer_id), array_agg(x.identifier_id), array_agg(r.channel))
    FROM cdp_data.touchpoint_key k JOIN cdp_data.touchpoint x USING (customer_id, occurred_at, touchpoint_id)
    WHERE k.source_id = src AND k.source_key = key
      AND (effect = 'bounce' OR EXISTS (SELECT FROM cdp_data.channel_bounce b WHERE b.identifier_id = x.identifier_id AND b.channel = r.channel));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.feedback_in(integer, text, text, text, text, jsonb, timestamptz, jsonb, text) IS 'cdp.record_feedback() of a source by number and name.';

CREATE OR REPLACE FUNCTION cdp.record_feedback(source text, kind text, message text DEFAULT NULL, run text DEFAULT NULL, identifiers jsonb DEFAULT NULL,
  occurred_at timestamptz DEFAULT now(), properties jsonb DEFAULT '{}', message_id text DEFAULT NULL,
  OUT result text, OUT touchpoint_id bigint, OUT customer_id bigint, OUT withdrawn boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  IF num_nonnulls(message, run) <> 1 THEN
    RAISE EXCEPTION 'feedback is on a message or on a run, one of both'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Give message => (dedup_key of the message), or run => and identifiers => ''{"email": "..."}''.';
  END IF;
  SELECT f.result, f.touchpoint_id, f.customer_id, f.withdrawn INTO result, touchpoint_id, customer_id, withdrawn
  FROM cdp_internal.feedback_in(cdp_internal.source_of(source), source, kind, message, run, identifiers, occurred_at, properties, message_id) f;
END
$$;
COMMENT ON FUNCTION cdp.record_feedback(text, text, text, text, jsonb, timestamptz, jsonb, text) IS
'Tells what became of a message: SELECT * FROM cdp.record_feedback(''mailer'', ''open'', message => ''run 7 12''). kind: delivered, open, click, bounce (property "bounce": "hard" or "soft"), complaint, unsubscribe, or a kind of cdp_internal.feedback_kinds(). message: dedup_key of the message, also its "message" in the payload; or run => name and identifiers => ''{"email": "..."}''. Writes a touchpoint with the properties given, campaign_run and message. An unsubscribe or complaint withdraws consent to the run''s purpose on its channel at once, with the touchpoint as evidence (withdrawn true; by effective_at = occurred_at, so a later grant outweighs it); a hard bounce makes the address unusable for runs on the channel until something arrives there. message_id: the same again changes nothing; without one, the same kind, message and occurred_at is the same. result: written, repeated, suppressed (an erased person: nothing is kept), unknown (no such message or run: it is in cdp_data.quarantine). Needs the rights of the tables'' owner. Errors: 22023 unknown source or kind, neither or both of message and run, run without identifiers; 22008 no credible time; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.load_feedback(source text, items jsonb, OUT items_read bigint, OUT written bigint, OUT repeated bigint, OUT withdrawn bigint, OUT suppressed bigint, OUT quarantined bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  src integer := cdp_internal.source_of(source);
  i record;
  f record;
  at timestamptz;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF jsonb_typeof(items) IS DISTINCT FROM 'array' THEN
    RAISE EXCEPTION 'items must be a JSON array' USING ERRCODE = 'invalid_parameter_value', HINT = 'Of a table: (SELECT jsonb_agg(to_jsonb(t)) FROM my_table t).';
  END IF;
  items_read := 0; written := 0; repeated := 0; withdrawn := 0; suppressed := 0; quarantined := 0;
  -- By customer where the key tells him: locks are taken in the order that launches keep.
  FOR i IN
    SELECT x.value AS v FROM jsonb_array_elements(items) WITH ORDINALITY AS x (value, nth)
    ORDER BY substring(x.value ->> 'message' FROM '^run \d{1,9} (\d{1,10})$')::bigint NULLS LAST, x.nth
  LOOP
    items_read := items_read + 1;
    BEGIN
      IF jsonb_typeof(i.v) <> 'object' OR num_nonnulls(i.v ->> 'message', i.v ->> 'run') <> 1 THEN
        RAISE EXCEPTION 'no message, no run' USING ERRCODE = 'invalid_parameter_value';
      END IF;
      at := coalesce((i.v ->> 'occurred_at')::timestamptz, now());
      f := cdp_internal.feedback_in(src, source, i.v ->> 'kind', i.v ->> 'message', i.v ->> 'run', nullif(i.v -> 'identifiers', 'null'), at,
        coalesce(nullif(i.v -> 'properties', 'null'), '{}'), i.v ->> 'message_id');
      written := written + (f.result = 'written')::integer;
      repeated := repeated + (f.result = 'repeated')::integer;
      suppressed := suppressed + (f.result = 'suppressed')::integer;
      quarantined := quarantined + (f.result = 'unknown')::integer;
      withdrawn := withdrawn + f.withdrawn::integer;
    EXCEPTION WHEN data_exception OR program_limit_exceeded OR invalid_parameter_value THEN
      quarantined := quarantined + 1;
      INSERT INTO cdp_data.quarantine (load_id, source_id, original, code, reason)
      SELECT cdp_internal.live_load(src, now()), src, CASE WHEN jsonb_typeof(i.v) = 'object' THEN i.v ELSE jsonb_build_object('item', i.v) END, r.code, r.reason || ': ' || left(SQLERRM, 200)
      FROM cdp_internal.load_reasons() r WHERE r.code = CASE WHEN SQLSTATE IN ('22007', '22008') THEN 'bad_time' ELSE 'bad_message' END;
    END;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.load_feedback(text, jsonb) IS
'cdp.record_feedback() of many: SELECT * FROM cdp.load_feedback(''mailer'', (SELECT jsonb_agg(to_jsonb(t)) FROM bounces t)). Each item has kind, and message or run with identifiers; occurred_at (with a zone, else of the session''s), properties, message_id as there. What can not be taken goes to cdp_data.quarantine with its reason and stops no other. Returns counts: items_read = written + repeated + suppressed + quarantined; withdrawn: consents withdrawn. Needs the rights of the tables'' owner. Errors: 22023 unknown source, no array.';

CREATE OR REPLACE FUNCTION cdp_internal.feedback_feed(upto pg_snapshot) RETURNS TABLE (customer_id bigint, occurred_from timestamptz, occurred_to timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT f.customer_id, f.occurred_from, f.occurred_to FROM cdp.feed_read('campaign_feedback', upto) f
  WHERE f.cause NOT IN ('consent', 'attribute', 'retention', 'merge', 'unmerge', 'identify');
END
$$;
COMMENT ON FUNCTION cdp_internal.feedback_feed(pg_snapshot) IS
'What the change feed tells of touchpoints since consumer campaign_feedback read it: cdp.feed_read() without causes that bring or take none.';

CREATE OR REPLACE FUNCTION cdp_internal.feedback_touchpoints(upto pg_snapshot, kinds smallint[])
RETURNS TABLE (customer_id bigint, identifier_id bigint, occurred_at timestamptz, touchpoint_id bigint, source_id integer, kind_id smallint, properties jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  s record;
  asked text := 'SELECT t.customer_id, t.identifier_id, t.occurred_at, t.touchpoint_id, t.source_id, t.kind_id, t.properties FROM cdp_data.touchpoint t WHERE t.kind_id = ANY ($1) AND t.properties ? ''campaign_run'' AND t.occurred_at >= %L AND t.occurred_at <= %L';
BEGIN
  SELECT count(*) AS n, bool_or(f.customer_id IS NULL) AS everybody, min(coalesce(f.occurred_from, '-infinity')) AS low, max(coalesce(f.occurred_to, 'infinity')) AS high,
    array_agg(DISTINCT f.customer_id) AS customers INTO s
  FROM cdp_internal.feedback_feed(upto) f;
  IF s.n = 0 THEN
    RETURN;
  END IF;
  RETURN QUERY EXECUTE format(asked || CASE WHEN s.everybody THEN '' ELSE ' AND t.customer_id = ANY ($2)' END, s.low, s.high) USING kinds, s.customers;
END
$$;
COMMENT ON FUNCTION cdp_internal.feedback_touchpoints(pg_snapshot, smallint[]) IS
'Touchpoints of these kinds that name a run, of customers of whom the change feed tells since consumer campaign_feedback read it, within the times that it tells; some that did not change may be among them.';

CREATE OR REPLACE FUNCTION cdp_internal.campaign_feedback() RETURNS TABLE (action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  upto pg_snapshot := pg_current_snapshot();
  withdrawn bigint := 0;
  strays bigint := 0;
  m bigint;
  t record;
  homes bigint[] := '{}';
  identifiers bigint[] := '{}';
  channels text[] := '{}';
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.campaign_run) THEN
    RETURN;
  END IF;
  DELETE FROM cdp_data.campaign_stray s
  WHERE NOT EXISTS (SELECT FROM cdp_data.touchpoint t WHERE (t.customer_id, t.occurred_at, t.touchpoint_id) = (s.customer_id, s.occurred_at, s.touchpoint_id));
  -- Of those that found no run before some may have one now. By customer: the order in which launches lock them.
  FOR t IN
    SELECT f.touchpoint_id, f.customer_id, f.identifier_id, f.occurred_at, f.source_id, k.name AS kind, left(f.properties ->> 'campaign_run', 200) AS said, e.effect, r.name AS run, r.purpose, r.channel,
      cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), f.customer_id, f.identifier_id) AS root
    FROM (
      SELECT x.* FROM cdp_internal.feedback_touchpoints(upto, ARRAY(SELECT w.kind_id FROM cdp_internal.feedback_kinds() w WHERE w.effect IN ('withdraw', 'bounce'))) x
      UNION
      SELECT x.customer_id, x.identifier_id, x.occurred_at, x.touchpoint_id, x.source_id, x.kind_id, x.properties
      FROM cdp_data.campaign_stray s JOIN cdp_data.touchpoint x USING (customer_id, occurred_at, touchpoint_id)
      WHERE s.run IN (SELECT c.name FROM cdp_data.campaign_run c JOIN cdp_data.purpose_all p ON p.name = c.purpose)) f
      JOIN cdp_internal.feedback_kinds() e USING (kind_id) JOIN cdp_data.touch_kind_all k USING (kind_id)
      LEFT JOIN (cdp_data.campaign_run r JOIN cdp_data.purpose_all p ON p.name = r.purpose) ON r.name = left(f.properties ->> 'campaign_run', 200)
    ORDER BY root, f.touchpoint_id
  LOOP
    IF t.run IS NULL THEN
      INSERT INTO cdp_data.campaign_stray (touchpoint_id, customer_id, occurred_at, run) VALUES (t.touchpoint_id, t.customer_id, t.occurred_at, t.said)
      ON CONFLICT ON CONSTRAINT campaign_stray_pkey DO NOTHING;
      GET DIAGNOSTICS m = ROW_COUNT;
      strays := strays + m;
      CONTINUE;
    END IF;
    DELETE FROM cdp_data.campaign_stray s WHERE s.touchpoint_id = t.touchpoint_id;
    IF t.effect = 'withdraw' THEN
      withdrawn := withdrawn + cdp_internal.campaign_withdraw(t.touchpoint_id, t.source_id, t.kind, t.run, t.purpose, t.channel, t.root, t.occurred_at)::integer;
    ELSE
      homes := homes || t.customer_id;
      identifiers := identifiers || t.identifier_id;
      channels := channels || t.channel;
    END IF;
  END LOOP;
  -- Addresses of which something was told now, and those that bounced before of whom something was told or taken back.
  SELECT cdp_internal.campaign_addresses(array_agg(x.home), array_agg(x.identifier_id), array_agg(x.channel)) INTO m
  FROM (
    SELECT u.home, u.identifier_id, u.channel FROM unnest(homes, identifiers, channels) AS u (home, identifier_id, channel)
    UNION ALL
    SELECT i.customer_id, b.identifier_id, b.channel FROM cdp_data.channel_bounce b JOIN cdp_data.identifier i USING (identifier_id)
    WHERE i.customer_id IN (SELECT f.customer_id FROM cdp_internal.feedback_feed(upto) f WHERE f.customer_id IS NOT NULL) OR EXISTS (SELECT FROM cdp_internal.feedback_feed(upto) f WHERE f.customer_id IS NULL)) x;
  PERFORM cdp.feed_advance('campaign_feedback', upto);
  RETURN QUERY SELECT v.action, v.n FROM (VALUES ('withdrawn', withdrawn), ('addresses', m), ('unknown_run', strays)) AS v (action, n);
END
$$;
COMMENT ON FUNCTION cdp_internal.campaign_feedback() IS
'Acts upon feedback that came as touchpoints by loads, messages or calls since the last time: consents withdrawn, addresses that bounced or work again, feedback that names no known run (cdp_data.campaign_stray). What was acted upon before changes nothing. Returns how many of each. Does nothing before the first run is made.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_run() RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.campaign_stray') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'campaign_failed', format('campaign run %s is %s and can not go on: %s', quote_literal(r.name), r.state, r.last_error), format('SELECT * FROM cdp.check_campaign_run(%L);', r.name)
  FROM cdp_data.campaign_run r WHERE r.last_error IS NOT NULL AND r.state IN ('scheduled', 'running')
  UNION ALL
  SELECT 'warning', 'feedback_unknown_run', format('%s unsubscribes, complaints or bounces name a campaign run that is not known, or whose purpose is not', count(*)),
    'SELECT DISTINCT run FROM cdp_data.campaign_stray; then load them anew with the name of the run, or withdraw consent with cdp.record_consent()'
  FROM cdp_data.campaign_stray HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_run() IS 'Findings of cdp.health() about campaign runs: those that the job could not launch or go on with, and feedback that names no known run.';
