-- Referral room, programme: who is told of a campaign on which channel. Each gets his code and one text, once; what may not go is kept
-- with the reason, what failed is tried again with growing pauses, and what the channel reports comes back here.

CREATE OR REPLACE FUNCTION cdp_internal.money_text(minor bigint, currency text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  digits integer := cdp_internal.referral_exponent(currency);
BEGIN
  RETURN round(minor / 10::numeric ^ digits, digits) || ' ' || currency;
END
$$;
COMMENT ON FUNCTION cdp_internal.money_text(bigint, text) IS 'An amount of minor units with its currency, as people read it: 10.00 CNY. NULL for NULL. Error 22023: unknown currency.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_reward_text(campaign integer, version integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT CASE WHEN coalesce(r.amount_minor, f.amount) IS NOT NULL THEN cdp_internal.money_text(coalesce(r.amount_minor, f.amount), c.currency)
      ELSE trim_scale(coalesce(r.rate, f.rate) * 100) || ' %' END
    FROM cdp_data.reward_rule r JOIN cdp_data.referral_campaign c USING (referral_campaign_id)
      LEFT JOIN LATERAL (SELECT (x.step ->> 'amount_minor')::bigint AS amount, (x.step ->> 'rate')::numeric AS rate FROM (SELECT coalesce(r.milestones, r.tiers) -> 0 AS step) x) f ON true
    WHERE r.referral_campaign_id = campaign AND r.terms_version = version AND r.side = 'referrer' AND r.level = 1
    ORDER BY r.priority, r.rule LIMIT 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_reward_text(integer, integer) IS
'What {reward} stands for: what the first rule for the advocate (by priority and name) pays by that version of terms, such as 10.00 CNY or 5 %; of tiers and milestones the first. NULL when nothing is paid to him.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_draw(campaign integer, channel text, roots bigint[]) RETURNS TABLE (customer_id bigint, referral_material_id integer, variant text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  word text := channel;
  seed bigint := ('x' || substr(md5(campaign || ' ' || channel), 1, 16))::bit(64)::bigint;
  -- The language of a person is asked only where the purpose allows it.
  reads boolean := NOT EXISTS (SELECT FROM cdp.purpose_check((SELECT c.purpose FROM cdp_data.referral_campaign c WHERE c.referral_campaign_id = campaign), '{"attributes": ["language"]}'));
BEGIN
  RETURN QUERY
  WITH m AS MATERIALIZED (
    SELECT x.referral_material_id AS id, x.language, x.variant, sum(x.weight) OVER w - x.weight AS low, sum(x.weight) OVER w AS high, sum(x.weight) OVER (PARTITION BY x.language) AS total
    FROM cdp_data.referral_material x WHERE x.referral_campaign_id = campaign AND x.channel = word AND x.state = 'approved' WINDOW w AS (PARTITION BY x.language ORDER BY x.variant)
  ), tongue AS MATERIALIZED (
    SELECT DISTINCT m.language FROM m WHERE m.total > 0
  ), person AS MATERIALIZED (
    SELECT r, coalesce(lower(replace(p.language, '_', '-')), '') AS language, cdp_internal.campaign_bucket(seed, r)::numeric AS bucket
    FROM unnest(roots) r LEFT JOIN cdp_data.profile p ON reads AND p.customer_id = r
  ), asked AS MATERIALIZED (
    -- zh-cn, else zh, else the one for everybody.
    SELECT l.language AS given, (SELECT t.language FROM tongue t WHERE t.language = l.language OR t.language = '' OR l.language LIKE replace(t.language, '_', '\_') || '-%' ORDER BY length(t.language) DESC LIMIT 1) AS language
    FROM (SELECT DISTINCT p.language FROM person p) l
  )
  SELECT p.r, m.id, m.variant FROM person p JOIN asked a ON a.given = p.language
    JOIN m ON m.language = a.language AND p.bucket * m.total >= m.low * 281474976710656 AND p.bucket * m.total < m.high * 281474976710656;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_draw(integer, text, bigint[]) IS
'Which approved material of a campaign each of these customers gets on a channel: of his language (else of the language without its region, else of none in particular) the variant into whose part of the weights the hash of campaign, channel and customer falls. The same at each call. No row for whom there is none.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_payloads(campaign integer, destination text, customers bigint[], materials integer[], codes bigint[], keys text[]) RETURNS TABLE (n bigint, payload jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  c record;
  d record;
  reward text := coalesce(cdp_internal.referral_reward_text(campaign, cdp_internal.referral_terms_at(campaign, now())), '');
  entries jsonb := cdp_internal.segment_attributes();
  names text[];
BEGIN
  IF coalesce(customers, '{}') = '{}' THEN
    RETURN;
  END IF;
  SELECT x.name, x.link_template INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = campaign;
  SELECT x.channel, x.attributes INTO d FROM cdp_data.destination x WHERE x.destination = referral_payloads.destination;
  names := ARRAY(SELECT a FROM unnest(d.attributes) a WHERE entries ? a AND NOT entries -> a ? 'encrypted');
  RETURN QUERY
  SELECT w.n, jsonb_build_object('referral_campaign', c.name, 'variant', m.variant, 'language', m.language, 'code', x.code, 'link', x.link, 'reward', reward, 'message', w.key, 'customer', w.customer, 'identifiers', f.identifiers,
      'title', cdp_internal.referral_fill(m.title, x.code, x.link, reward, x.called), 'body', cdp_internal.referral_fill(m.body, x.code, x.link, reward, x.called)) || CASE WHEN names = '{}' THEN '{}' ELSE jsonb_build_object('attributes', f.attributes) END
  FROM unnest(customers, materials, codes, keys) WITH ORDINALITY AS w (customer, material, code, key, n)
    JOIN cdp_data.referral_material m ON m.referral_material_id = w.material JOIN cdp_data.referral_code k ON k.referral_code_id = w.code
    JOIN cdp_internal.audience_facts(customers, cdp_internal.channel_types(d.channel), names) f ON f.customer_id = w.customer
    CROSS JOIN LATERAL (SELECT cdp.referral_code_format(k.code) AS code, replace(c.link_template, '{code}', k.code) AS link, coalesce(f.attributes ->> 'first_name', f.attributes ->> 'full_name') AS called) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_payloads(integer, text, bigint[], integer[], bigint[], text[]) IS
'What a campaign tells each of these customers: title and body of his material with the variables filled in ({name} where the destination may get first_name or full_name, else it stays for the deliverer), his code, link, the reward, the key of the message, his addresses on the channel of the destination, and the attributes that it may get, but for encrypted ones. n: his place.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_fill(template text, code text, link text, reward text, called text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- The name last: nothing that somebody calls himself is taken for a variable.
RETURN CASE WHEN called IS NULL THEN replace(replace(replace(template, '{code}', code), '{link}', link), '{reward}', reward)
  ELSE replace(replace(replace(replace(template, '{code}', code), '{link}', link), '{reward}', reward), '{name}', called) END;
COMMENT ON FUNCTION cdp_internal.referral_fill(text, text, text, text, text) IS 'A text of a material with its variables filled in; called NULL leaves {name}.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_reason(reason text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Addresses, numbers of customers and telephones, ids of accounts.
RETURN left(regexp_replace(regexp_replace(regexp_replace(regexp_replace(reason, '\mcustomer \d+', 'the customer', 'g'), '[^[:space:]<>()"'',;:]+@[^[:space:]<>()"'',;:]+', '(address)', 'g'),
  '[+]?[0-9](?:[ ()./-]*[0-9]){6,}', '(number)', 'g'), '[A-Za-z0-9_-]{20,}', '(id)', 'g'), 500);
COMMENT ON FUNCTION cdp_internal.referral_reason(text) IS 'Why a message did not go or arrive, as it is kept: without addresses, telephones, numbers of customers and long ids, at most 500 characters. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_told(campaign integer, channel text) RETURNS TABLE (root bigint, referral_distribution_id bigint, state text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  -- Of several parts of one person the one that came furthest counts.
  RETURN QUERY
  SELECT DISTINCT ON (x.root) x.root, x.id, x.state
  FROM (SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, d.customer_id, NULL) AS root, d.referral_distribution_id AS id, d.state
    FROM cdp_data.referral_distribution d WHERE d.referral_campaign_id = campaign AND d.channel = referral_told.channel) x
  ORDER BY x.root, array_position('{delivered,sent,queued,failed,suppressed}', x.state), x.id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_told(integer, text) IS 'The roots of today of whom some part was told of a campaign on a channel, or was to be, each with the row of the part that came furthest.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_send(campaign integer, channel text, destination text, roots bigint[], rows bigint[], at timestamptz, OUT queued bigint, OUT suppressed bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  w record;
  may bigint[];
  m record;
BEGIN
  -- Asked before codes are issued, and by the outbox once more.
  SELECT array_agg(u.root ORDER BY u.n) FILTER (WHERE r.reason IS NULL AND g.referral_material_id IS NOT NULL) AS may,
    array_agg(coalesce(r.reason, CASE WHEN g.referral_material_id IS NULL THEN 'nothing is approved in a language of the customer' END) ORDER BY u.n) AS reasons,
    array_agg(coalesce(g.referral_material_id, 0) ORDER BY u.n) AS materials, array_agg(coalesce(g.variant, '') ORDER BY u.n) AS variants
  INTO w
  FROM unnest(roots) WITH ORDINALITY AS u (root, n)
    JOIN unnest(cdp_internal.outbox_refusals(referral_send.destination, 'referral', roots, array_fill('{}'::jsonb, ARRAY[cardinality(roots)]))) WITH ORDINALITY AS r (reason, n) ON r.n = u.n
    LEFT JOIN cdp_internal.referral_draw(campaign, referral_send.channel, roots) g ON g.customer_id = u.root;
  may := coalesce(w.may, '{}');
  SELECT array_agg(e.customer_id ORDER BY e.customer_id) AS customers, array_agg(e.referral_code_id ORDER BY e.customer_id) AS codes, array_agg(u.material ORDER BY e.customer_id) AS materials,
    array_agg(format('referral %s %s %s %s', campaign, referral_send.channel, coalesce(d.customer_id, e.customer_id), coalesce(d.attempts, 0) + 1) ORDER BY e.customer_id) AS keys
  INTO m
  FROM cdp_internal.referral_enrol(campaign, may) e JOIN unnest(roots, w.materials, rows) AS u (root, material, row) ON u.root = e.customer_id LEFT JOIN cdp_data.referral_distribution d ON d.referral_distribution_id = u.row;
  WITH put AS MATERIALIZED (
    SELECT k.customer, k.code, p.outbox_id, p.refusal
    FROM (SELECT array_agg(y.payload ORDER BY y.n) AS payloads FROM cdp_internal.referral_payloads(campaign, referral_send.destination, m.customers, m.materials, m.codes, m.keys) y) y
      CROSS JOIN LATERAL cdp_internal.outbox_put_many(referral_send.destination, 'referral', coalesce(m.customers, '{}'), coalesce(y.payloads, '{}'), coalesce(m.keys, '{}')) p
      JOIN unnest(m.customers, m.codes) WITH ORDINALITY AS k (customer, code, n) ON k.n = p.n
  ), done AS MATERIALIZED (
    SELECT u.root, u.row, u.material, u.variant, p.code, p.outbox_id, CASE WHEN p.outbox_id IS NULL THEN coalesce(cdp_internal.referral_reason(coalesce(u.reason, p.refusal)), 'the outbox has such a message already') END AS error
    FROM unnest(roots, rows, w.materials, w.variants, w.reasons) AS u (root, row, material, variant, reason) LEFT JOIN put p ON p.customer = u.root
  ), anew AS (
    UPDATE cdp_data.referral_distribution d SET state = CASE WHEN x.outbox_id IS NULL THEN 'suppressed' ELSE 'queued' END, error = x.error, referral_material_id = CASE WHEN x.outbox_id IS NULL THEN d.referral_material_id ELSE x.material END,
      variant = CASE WHEN x.outbox_id IS NULL THEN d.variant ELSE x.variant END, referral_code_id = coalesce(x.code, d.referral_code_id), outbox_id = coalesce(x.outbox_id, d.outbox_id),
      attempts = d.attempts + (x.outbox_id IS NOT NULL)::integer, next_try_at = NULL, queued_at = CASE WHEN x.outbox_id IS NULL THEN d.queued_at ELSE at END
    FROM done x WHERE d.referral_distribution_id = x.row AND (x.outbox_id IS NOT NULL OR (d.state, d.error) IS DISTINCT FROM ('suppressed', x.error))
  ), fresh AS (
    INSERT INTO cdp_data.referral_distribution (referral_campaign_id, customer_id, channel, destination, referral_material_id, variant, referral_code_id, state, error, attempts, outbox_id, queued_at)
    SELECT campaign, x.root, referral_send.channel, referral_send.destination, x.material, x.variant, x.code, CASE WHEN x.outbox_id IS NULL THEN 'suppressed' ELSE 'queued' END, x.error, (x.outbox_id IS NOT NULL)::integer, x.outbox_id, at
    FROM done x WHERE x.row IS NULL
  )
  SELECT count(*) FILTER (WHERE x.outbox_id IS NOT NULL), count(*) FILTER (WHERE x.outbox_id IS NULL) INTO queued, suppressed FROM done x;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_send(integer, text, text, bigint[], bigint[], timestamptz) IS
'Writes a message of a campaign for each of these roots, and his row: rows has the number of the row that is there already (a suppressed or failed one), NULL where there is none. Who may not be told, or for whom no text is approved, gets a suppressed row with the reason. The caller holds the row of the campaign and the lock of the outbox. Codes are issued to who has none.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_destination(campaign integer, channel text, destination text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
  d record;
  why text;
BEGIN
  SELECT x.* INTO c FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = campaign;
  SELECT x.* INTO d FROM cdp_data.destination x WHERE x.destination = referral_destination.destination;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no destination named "%"', left(coalesce(destination, 'NULL'), 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(destination, ARRAY(SELECT x.destination FROM cdp_data.destination x), 'cdp.add_destination() makes one.');
  ELSIF channel <> ALL (c.channels) THEN
    RAISE EXCEPTION 'referral campaign "%" is not spread on channel "%"', c.name, channel
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Its channels: %s.', coalesce(nullif(array_to_string(c.channels, ', '), ''), 'none')), HINT = cdp_internal.did_you_mean(channel, c.channels, 'Add it with cdp.edit_referral_campaign().');
  END IF;
  why := CASE WHEN c.state <> 'active' THEN format('it is %s', c.state)
    WHEN c.starts_at > now() THEN format('it starts at %s', c.starts_at) WHEN c.ends_at <= now() THEN format('it ended at %s', c.ends_at)
    WHEN c.segment_id IS NULL THEN 'it has no segment'
    WHEN d.purpose IS DISTINCT FROM c.purpose THEN format('destination "%s" is for %s, the campaign for the purpose %s', d.destination, coalesce('the purpose ' || d.purpose, 'no purpose'), coalesce(c.purpose, 'none'))
    WHEN d.channel <> channel THEN format('destination "%s" speaks on %s', d.destination, coalesce('the channel ' || nullif(d.channel, ''), 'no channel'))
    WHEN NOT d.enabled THEN format('destination "%s" is switched off', d.destination)
    WHEN cdp_internal.outbox_hold(d.destination) IS NOT NULL THEN format('nothing goes out to "%s" now: %s', d.destination, cdp_internal.outbox_hold(d.destination))
    WHEN NOT EXISTS (SELECT FROM cdp_data.referral_material m WHERE m.referral_campaign_id = campaign AND m.channel = referral_destination.channel AND m.state = 'approved' AND m.weight > 0) THEN 'no material is approved for the channel' END;
  IF why IS NOT NULL THEN
    RAISE EXCEPTION 'referral campaign "%" can not be distributed: %', c.name, why USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'cdp.check_referral_campaign() tells what is missing.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_destination(integer, text, text) IS
'Error 55000 when a campaign can not be told of now on this channel through this destination; 42704 no such destination, 22023 a channel on which it is not spread.';

CREATE OR REPLACE FUNCTION cdp.distribute_referral(name text, channel text, destination text, OUT audience bigint, OUT queued bigint, OUT suppressed bigint, OUT control bigint, OUT known bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  id integer := cdp_internal.referral_campaign_of(name);
  word text := cdp_internal.consent_channel(channel);
  c record;
  everybody bytea;
  bits bytea;
  part record;
  kept bigint[];
  sent record;
BEGIN
  -- A second one waits here, and finds everybody told.
  PERFORM FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = id FOR UPDATE;
  PERFORM cdp_internal.referral_destination(id, word, distribute_referral.destination), cdp_internal.referral_refuse_wechat(id, ARRAY[word], now());
  SELECT x.segment_id, x.holdout_id, s.name AS segment INTO c FROM cdp_data.referral_campaign x JOIN cdp_data.segment s USING (segment_id) WHERE x.referral_campaign_id = id;
  -- Before customers, as everybody does who wants both; who changes the consent of all waits for this transaction.
  LOCK TABLE cdp_data.outbox IN ROW EXCLUSIVE MODE;
  bits := cdp_internal.audience_bits(c.segment, word);
  audience := cdp.roaring_count(bits);
  -- Members who may not be told are kept with the reason; who refuses analytics is no member.
  everybody := (SELECT cdp.roaring_build(u) FROM cdp.roaring_ids(cdp_internal.segment_bits(c.segment_id)) u
    WHERE cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, u, NULL) = u AND cdp_internal.bitmap_has((SELECT cdp_internal.consent_gate('analytics')), u));
  queued := 0;
  suppressed := 0;
  control := 0;
  known := 0;
  -- In portions, ascending: memory stays bounded, and everybody locks customers in this order.
  FOR part IN
    SELECT array_agg(x.c ORDER BY x.c) AS roots, array_agg(x.row ORDER BY x.c) AS rows
    FROM (SELECT u.c, t.referral_distribution_id AS row, (row_number() OVER (ORDER BY u.c) - 1) / 20000 AS portion
      FROM cdp.roaring_ids(everybody) AS u (c) LEFT JOIN cdp_internal.referral_told(id, word) t ON t.root = u.c WHERE coalesce(t.state = 'suppressed', true)) x
    GROUP BY x.portion ORDER BY x.portion
  LOOP
    kept := '{}';
    IF c.holdout_id IS NOT NULL THEN
      -- Who would have got no message is no control either: the arms stay alike.
      kept := ARRAY(
        SELECT a.customer_id FROM cdp_internal.holdout_arms(c.holdout_id, part.roots) a JOIN cdp_internal.referral_draw(id, word, part.roots) g USING (customer_id)
        WHERE a.arm = 'control' ORDER BY a.customer_id);
      kept := ARRAY(
        SELECT w.c FROM unnest(kept, cdp_internal.outbox_refusals(distribute_referral.destination, 'referral', kept, array_fill('{}'::jsonb, ARRAY[cardinality(kept)]))) AS w (c, reason) WHERE w.reason IS NULL ORDER BY w.c);
    END IF;
    SELECT array_agg(u.c ORDER BY u.c) AS roots, array_agg(u.row ORDER BY u.c) AS rows INTO part FROM unnest(part.roots, part.rows) AS u (c, row) WHERE u.c <> ALL (kept);
    control := control + cardinality(kept);
    IF part.roots IS NOT NULL THEN
      sent := cdp_internal.referral_send(id, word, distribute_referral.destination, part.roots, part.rows, now());
      queued := queued + sent.queued;
      suppressed := suppressed + sent.suppressed;
    END IF;
    IF c.holdout_id IS NOT NULL THEN
      PERFORM cdp_internal.holdout_assign(c.holdout_id, kept || ARRAY(SELECT d.customer_id FROM cdp_data.referral_distribution d WHERE d.referral_campaign_id = id AND d.channel = word AND d.customer_id = ANY (part.roots) AND d.state = 'queued'), now());
    END IF;
  END LOOP;
  known := cdp.roaring_count(everybody) - queued - suppressed - control;
  IF queued > 0 THEN
    PERFORM cdp_data.audit_write('referral', 'referral campaign ' || name, NULL, jsonb_build_object('op', 'distribute', 'referral_campaign_id', id, 'channel', word, 'queued', queued));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.distribute_referral(text, text, text) IS
'Tells the audience of an active referral campaign on a channel: SELECT * FROM cdp.distribute_referral(''bring'', ''email'', ''mailer''). In one transaction each member of the segment gets a code (his own, if he has one), one of the approved materials by his language and the weights, and a message (kind referral) for the destination; dedup_key is "referral <campaign> <channel> <customer> <attempt>". Told again it writes nothing twice: only newcomers, and those of whom what stood against it is gone. audience: members who allow the purpose on the channel now; queued: messages written; suppressed: members who may not be told, with the reason in cdp_data.referral_distribution; control: kept back by the holdout; known: told before. Needs the rights of the tables'' owner. Errors: 42704 no such campaign or destination, 22023 a channel on which it is not spread, 55000 it is not active now, or destination, segment or materials are not ready.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_waiting(campaign integer, due timestamptz DEFAULT NULL) RETURNS TABLE (outbox_id bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off -- just after messages were written statistics do not know them
AS $$
BEGIN
  -- Nobody is waited for: who cancels messages of several people, one after the other, would wait for this, and this for him.
  RETURN QUERY
  SELECT o.outbox_id FROM cdp_data.referral_distribution d JOIN cdp_data.outbox o ON o.outbox_id = d.outbox_id
  WHERE d.referral_campaign_id = campaign AND o.state = 'waiting' AND (due IS NULL OR o.next_attempt_at = due)
  FOR UPDATE OF o SKIP LOCKED;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_waiting(integer, timestamptz) IS
'Messages of a referral campaign that wait (due: for that moment), kept for this transaction, but for those that somebody else is changing now: what was done with the campaign finds them when they are taken (cdp_internal.outbox_recall_of_referral()), or the job does.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_hold(campaign integer, verb text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint := 0;
BEGIN
  IF verb = 'pause' THEN
    UPDATE cdp_data.outbox o SET next_attempt_at = 'infinity' FROM cdp_internal.referral_waiting(campaign) w WHERE o.outbox_id = w.outbox_id;
  ELSIF verb = 'resume' THEN
    UPDATE cdp_data.outbox o SET next_attempt_at = now() FROM cdp_internal.referral_waiting(campaign, 'infinity') w WHERE o.outbox_id = w.outbox_id;
  ELSIF verb = 'end' THEN
    UPDATE cdp_data.outbox o SET state = 'cancelled', payload = '{}', last_error = 'the referral campaign has ended' FROM cdp_internal.referral_waiting(campaign) w WHERE o.outbox_id = w.outbox_id;
  END IF;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_hold(integer, text) IS
'What becomes of messages that wait when a campaign is paused (held by a time that never comes), resumed (due now) or ended (cancelled). Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_recall_of_referral(outbox_id bigint) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT CASE c.state WHEN 'paused' THEN 'hold' WHEN 'active' THEN NULL ELSE 'the referral campaign has ended' END
    FROM cdp_data.referral_distribution d JOIN cdp_data.referral_campaign c USING (referral_campaign_id) WHERE d.outbox_id = outbox_recall_of_referral.outbox_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_recall_of_referral(bigint) IS
'What the outbox does with a message of a referral campaign when it is to be taken (cdp_internal.outbox_recall()): hold while it is paused, a reason once it is over, else NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusals_of_referral(destination text, kind text, customers bigint[], payloads jsonb[]) RETURNS TABLE (n bigint, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF kind = 'referral' THEN
    RETURN QUERY
    SELECT x.n, min(x.reason COLLATE "C") FROM (
      SELECT * FROM cdp_internal.outbox_refusals_of_run(destination, 'campaign', customers, payloads) UNION ALL SELECT * FROM cdp_internal.outbox_refusals_of_run_consent(destination, 'campaign', customers, payloads)) AS x (n, reason)
    GROUP BY x.n;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusals_of_referral(text, text, bigint[], jsonb[]) IS
'Refuses messages of referral campaigns (kind referral) as those of campaign runs: to who can not be reached on the channel, and to who refuses analytics. Other messages pass.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_refusal_of_referral(destination text, kind text, customer_id bigint, payload jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN kind = 'referral' THEN coalesce(cdp_internal.outbox_refusal_of_run(destination, 'campaign', customer_id, payload), cdp_internal.outbox_refusal_of_run_consent(destination, 'campaign', customer_id, payload)) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_refusal_of_referral(text, text, bigint, jsonb) IS 'The same for one message (cdp.outbox_refusal()): why it is refused, or NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_changed_for_referral(roots bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  under bigint[] := CASE WHEN roots IS NOT NULL THEN ARRAY(SELECT u FROM unnest(roots) r, cdp_internal.customers_under(r) u) END;
  gate bytea;
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.outbox o WHERE o.state = 'waiting' AND o.kind = 'referral' AND (under IS NULL OR o.customer_id = ANY (under))) THEN
    RETURN;
  END IF;
  gate := cdp_internal.consent_gate('analytics', '', roots);
  IF gate IS NOT NULL THEN
    UPDATE cdp_data.outbox o SET state = 'cancelled', payload = '{}', last_error = format('customer %s refuses analytics', o.customer_id)
    WHERE o.state = 'waiting' AND o.kind = 'referral' AND (under IS NULL OR o.customer_id = ANY (under))
      AND NOT cdp_internal.bitmap_has(gate, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, o.customer_id, NULL));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_changed_for_referral(bigint[]) IS
'Cancels messages of referral campaigns that wait for who refuses analytics now, in the transaction in which that is said (cdp_internal.consent_told()).';
