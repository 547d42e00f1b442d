-- Attribution over our own tables: which rows a report reads, in which words and
-- which money. One scan of cdp_data.touchpoint feeds cdp.attribution_pass; small
-- tables (origins, kinds, rates, merged customers) come in as arrays and constants,
-- so that no join stands between the table and the aggregate.
--
-- All functions here only read: they work on a hot standby.

CREATE OR REPLACE FUNCTION cdp_internal.touchpoint_root_sql()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), t.customer_id, t.identifier_id)';
COMMENT ON FUNCTION cdp_internal.touchpoint_root_sql() IS
'SQL text of the root customer to whom touchpoint t belongs now: merges and unmerges take effect by it, without a join.';

CREATE OR REPLACE FUNCTION cdp_internal.hidden_flags(bots boolean, internal boolean)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN coalesce(bots, false) THEN 0 ELSE 1 END + CASE WHEN coalesce(internal, false) THEN 0 ELSE 2 END;
COMMENT ON FUNCTION cdp_internal.hidden_flags(boolean, boolean) IS
'The flags of touchpoints that a report leaves out: bots (1) and internal traffic (2), unless it asks for them.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_kinds(names text[], purpose text)
RETURNS smallint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ids smallint[];
  missing text;
BEGIN
  -- purpose 'touch', 'conversion' and 'milestone' are flags of the list; any other takes every kind
  IF names IS NULL THEN
    RETURN (SELECT coalesce(array_agg(k.kind_id ORDER BY k.kind_id), '{}')
            FROM cdp_data.touch_kind_all k
            WHERE CASE purpose WHEN 'touch' THEN k.is_touch
                               WHEN 'conversion' THEN k.is_conversion
                               WHEN 'milestone' THEN k.is_milestone
                               ELSE true END
              AND (k.allowed_purposes IS NULL OR 'analytics' = ANY (k.allowed_purposes)));
  END IF;
  SELECT n INTO missing FROM unnest(names) n
  WHERE NOT EXISTS (SELECT FROM cdp_data.touch_kind_all k WHERE k.name = n)
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'there is no kind of touchpoint named "%"', missing
      USING ERRCODE = 'invalid_parameter_value',
        HINT = cdp_internal.did_you_mean(missing, ARRAY(SELECT k.name FROM cdp_data.touch_kind_all k),
          format('Kinds are: %s.', (SELECT string_agg(k.name, ', ' ORDER BY k.name) FROM cdp_data.touch_kind_all k)));
  END IF;
  PERFORM cdp_internal.require_purpose('analytics', 'kinds', names,
    CASE purpose WHEN 'touch' THEN '/touch_kinds' WHEN 'conversion' THEN '/conversion_kinds' WHEN 'milestone' THEN '/milestones' WHEN 'lookback' THEN '/lookback_by_kind' ELSE '/' || purpose END);
  SELECT coalesce(array_agg(k.kind_id ORDER BY array_position(names, k.name)), '{}') INTO ids
  FROM cdp_data.touch_kind_all k WHERE k.name = ANY (names);
  RETURN ids;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_kinds(text[], text) IS
'Ids of kinds of touchpoint, in the order of the names; NULL names mean all kinds that the list marks for the purpose (touch, conversion or milestone; with any other word, all kinds) and that may be used for analytics. Error 22023 for a name that is not in the list, or that may not be used (E_PURPOSE with the path to it: another word of purpose is the argument that named it, as in ''steps'').';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_codes(group_by text,
  OUT names text[], OUT by_origin int[], OUT by_campaign int[])
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  -- The label of an origin and of a campaign, as positions in one list of names in
  -- C order; position arrays are dense, so that a row costs one array access.
  -- Texts that visitors choose must not pass for the engine's own words.
  WITH origin_label AS MATERIALIZED (
    SELECT o.origin_id AS id,
      regexp_replace(CASE group_by
        WHEN 'channel' THEN c.channel
        WHEN 'channel_group' THEN c.channel_group
        WHEN 'campaign' THEN nullif(o.campaign, '')
        WHEN 'source' THEN nullif(o.source, '')
        WHEN 'origin' THEN nullif(concat_ws(' / ', nullif(o.source, ''), nullif(o.medium, ''), nullif(o.campaign, ''),
          nullif(o.referrer_host, ''), nullif(o.add_way, ''), nullif(o.qr_scene, '')), '')
      END, '^[(](unattributed|start|conversion|null)[)]$', '"(\1)"') AS label
    FROM cdp_data.origin o LEFT JOIN cdp_bi.origin_channel c ON c.origin_id = o.origin_id
  ), campaign_label AS MATERIALIZED (
    SELECT g.campaign_id AS id, regexp_replace(g.name, '^[(](unattributed|start|conversion|null)[)]$', '"(\1)"') AS label FROM cdp_data.campaign g WHERE group_by = 'campaign'
  ), name AS MATERIALIZED (
    SELECT u.label COLLATE "C" AS label, row_number() OVER (ORDER BY u.label COLLATE "C")::int AS code
    FROM (SELECT label FROM origin_label UNION SELECT label FROM campaign_label UNION SELECT '(unknown)') u
    WHERE u.label IS NOT NULL
  )
  SELECT (SELECT array_agg(n.label::text ORDER BY n.code) FROM name n),
    (SELECT cdp_internal.dense_codes(l.id, n.code) FROM origin_label l JOIN name n ON n.label = l.label),
    (SELECT cdp_internal.dense_codes(l.id, n.code) FROM campaign_label l JOIN name n ON n.label = l.label)
  INTO names, by_origin, by_campaign;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_codes(text) IS
'Labels of a grouping: the names in C order, and for each origin_id and campaign_id the position of its name (0 = none). Touches without a label get ''(unknown)'', which is always in the list; a label that is a word of the engine, such as ''(unattributed)'', stands in double quotes.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_no_rate(currency text, base text, day date)
RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE EXCEPTION 'no rate from % to % on %', currency, base, day
    USING ERRCODE = 'data_exception',
      DETAIL = 'Money of different currencies is added only with a dated rate.',
      HINT = format('Insert into cdp_data.currency_rate (currency, base, valid_from, rate) a row (%L, %L, %L, ...), or use missing_rate => ''zero'' to count such conversions without value. cdp.attribution_data_check() lists what is missing.', currency, base, day);
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_no_rate(text, text, date) IS
'Raises the error for a missing rate (22000). Never returns.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_rate_sql(currency text, day text, base text, missing_rate text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
  '(CASE WHEN %1$s IS NULL OR %1$s = %3$L THEN 1 ELSE coalesce((SELECT r.rate FROM cdp_data.currency_rate r WHERE r.currency = %1$s AND r.base = %3$L AND r.valid_from <= %2$s ORDER BY r.valid_from DESC LIMIT 1), %4$s) END)',
  currency, day, base,
  CASE WHEN missing_rate = 'zero' THEN '0'
       ELSE format('cdp_internal.attribution_no_rate(%s, %L, %s)', currency, base, day) END);
COMMENT ON FUNCTION cdp_internal.attribution_rate_sql(text, text, text, text) IS
'SQL text of the rate from a column''s currency into the reporting currency on a day: the latest rate valid from that day or before. A NULL currency is the reporting currency. The first two arguments are SQL expressions written by us, never user text.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_members(roots bigint[])
RETURNS bigint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  members bigint[];
BEGIN
  WITH RECURSIVE member AS (
    SELECT unnest(roots) AS customer_id
    UNION
    SELECT c.customer_id FROM member m JOIN cdp_data.customer c ON c.parent_id = m.customer_id AND c.parent_id <> c.customer_id
  )
  SELECT array_agg(m.customer_id) INTO members FROM member m;
  -- Touches of an identifier that an override has moved here stand under its home customer.
  -- Asked for only when there are overrides: reports need no right on identifiers otherwise.
  IF EXISTS (SELECT FROM cdp_data.identifier_override) THEN
    members := members || ARRAY(SELECT i.customer_id FROM cdp_data.identifier_override o JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id
                                WHERE o.customer_id = ANY (members));
  END IF;
  RETURN coalesce(members, '{}');
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_members(bigint[]) IS
'Customer ids under which touchpoints of the given root customers may be stored: merged customers and home customers of moved identifiers. A superset: rows found through it are still checked with cdp_internal.customer_root.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_own(conversions text[], touches text[], customers bigint[],
  bots boolean, internal boolean, currency text, missing_rate text)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF missing_rate IS NOT NULL AND missing_rate NOT IN ('error', 'zero') THEN
    RAISE EXCEPTION 'unknown missing_rate "%"', missing_rate
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Use ''error'' or ''zero''.';
  END IF;
  IF currency IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.currency_all c WHERE c.code = currency) THEN
    RAISE EXCEPTION 'unknown currency "%"', currency
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Use a code of cdp_data.currency_all, such as CNY.';
  END IF;
  IF array_position(customers, NULL) IS NOT NULL OR cardinality(customers) = 0 THEN
    RAISE EXCEPTION 'customers must be a list of customer ids without NULL'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = CASE WHEN cardinality(customers) = 0 THEN 'It is empty.' ELSE 'It has a NULL.' END, HINT = 'Leave the argument out for all customers.';
  END IF;
  RETURN jsonb_build_object(
    'conversions', to_jsonb(cdp_internal.attribution_kinds(conversions, 'conversion')),
    'all_conversions', conversions IS NULL,
    'refunds', (SELECT coalesce(jsonb_agg(k.kind_id ORDER BY k.kind_id), '[]') FROM cdp_data.touch_kind_all k WHERE k.name IN ('refund', 'chargeback')),
    'touches', to_jsonb(cdp_internal.attribution_kinds(touches, 'touch')),
    'customers', to_jsonb(customers),
    'hidden_flags', cdp_internal.hidden_flags(bots, internal),
    'currency', coalesce(currency, (SELECT s.currency FROM cdp_data.setting s)),
    'time_zone', (SELECT s.timezone FROM cdp_data.setting s),
    'missing_rate', coalesce(missing_rate, 'error'),
    'consent', (SELECT p.rule FROM cdp_internal.purpose_of('analytics') p));
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_own(text[], text[], bigint[], boolean, boolean, text, text) IS
'The choices of a report that concern our own tables, checked, with names turned into ids: {conversions, touches, customers, hidden_flags, currency, time_zone, missing_rate, consent (the rule of purpose analytics)}.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_value_sql(own jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kinds text := translate(own->>'conversions', '[] ', '{}');
  is_conversion text := format('t.kind_id = ANY (%L::smallint[])', kinds);
BEGIN
  -- With chosen kinds a refund that names its conversion goes with that conversion.
  IF NOT (own->>'all_conversions')::boolean THEN
    is_conversion := format('CASE WHEN t.refers_to IS NULL THEN %1$s ELSE t.refers_to IN (SELECT c.touchpoint_id FROM cdp_data.touchpoint c WHERE c.kind_id = ANY (%2$L::smallint[]) AND c.refers_to IS NULL) END',
      is_conversion, kinds);
  END IF;
  IF own ? 'first_only' THEN
    is_conversion := format('%s AND t.touchpoint_id = ANY ($6)', is_conversion);
  END IF;
  -- kinds that mean a refund lower the value whatever sign the source wrote
  RETURN format('CASE WHEN %s THEN (CASE WHEN t.kind_id = ANY (%L::smallint[]) THEN -abs(coalesce(t.value, 0)) ELSE coalesce(t.value, 0) END) * %s END', is_conversion,
    translate(own->>'refunds', '[] ', '{}'),
    cdp_internal.attribution_rate_sql('t.currency', '(t.occurred_at AT TIME ZONE ''UTC'')::date',
      own->>'currency', own->>'missing_rate'));
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_value_sql(jsonb) IS
'SQL text of a touchpoint''s value for the engine, in the reporting currency: NULL for a touch, not NULL for a conversion or refund (a conversion without value counts 0).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_range_sql(options jsonb, own jsonb, OUT visible text, OUT main text, OUT outside text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
DECLARE
  since timestamptz := nullif(options->>'since', '-infinity');
  until timestamptz := nullif(options->>'until', 'infinity');
  as_of timestamptz := nullif(options->>'as_of', 'infinity');
  reach numeric;
  flags int := own->'hidden_flags';
  conversions smallint[] := translate(own->>'conversions', '[] ', '{}');
BEGIN
  -- kinds that are neither touch nor conversion here are no business of the engine
  visible := format('t.kind_id <> ALL (%L::smallint[])', ARRAY(
    SELECT k.kind_id FROM cdp_data.touch_kind_all k
    WHERE (NOT k.is_conversion OR 'analytics' <> ALL (k.allowed_purposes)) AND k.kind_id <> ALL (translate(own->>'touches', '[] ', '{}')::smallint[])
      AND k.kind_id <> ALL (conversions) AND NOT options->'milestones' ? k.kind_id::text
    ORDER BY k.kind_id));
  IF flags <> 0 THEN
    visible := visible || format(' AND t.flags & %s = 0', flags);
  END IF;
  IF as_of IS NOT NULL THEN
    visible := visible || format(' AND t.occurred_at < %L::timestamptz', as_of);
  END IF;
  main := visible;
  -- Journeys that do not convert may begin long before the window and go on after it:
  -- a model that counts them needs all that is known. Only rules on conversions are local.
  IF (options->>'null_paths')::boolean OR (options->>'paths')::boolean THEN
    RETURN;
  END IF;
  SELECT max(extract(epoch FROM v::interval)) INTO reach
  FROM (SELECT options->>'lookback' AS v
        UNION ALL SELECT e.value FROM jsonb_each_text(coalesce(options->'lookback_by_kind', '{}')) e) l
  WHERE v <> 'unbounded';
  IF options->>'lookback' = 'unbounded' OR options->'lookback_by_kind' @? '$.* ? (@ == "unbounded")' THEN
    reach := NULL;
  END IF;
  -- also where the lookback goes back beyond the calendar, which begins 4713 BC
  IF reach IS NULL OR reach > extract(epoch FROM since) + 210800000000 THEN since := NULL; END IF;
  IF since IS NULL AND until IS NULL THEN
    RETURN;
  END IF;
  -- Seconds, not days: a day of the lookback is 24 hours in any time zone.
  since := since - make_interval(secs => reach::double precision);
  outside := visible || format(' AND (t.occurred_at < %L::timestamptz OR t.occurred_at >= %L::timestamptz)',
    coalesce(since, '-infinity'), coalesce(until, 'infinity'));
  main := visible || format(' AND t.occurred_at >= %L::timestamptz AND t.occurred_at < %L::timestamptz',
    coalesce(since, '-infinity'), coalesce(until, 'infinity'));
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_range_sql(jsonb, jsonb) IS
'SQL conditions on touchpoint t with constants only, so that partitions are pruned: visible for rows that count at all (flags, as_of); main for the rows to read; outside, when main leaves rows out, for the rest, where refunds and the conversions they reverse are still looked for.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_strays(root_from bigint, root_to bigint)
RETURNS bigint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  members bigint[];
BEGIN
  SELECT array_agg(u.customer_id) INTO members FROM (
    SELECT c.customer_id, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, c.customer_id, NULL) AS root
    FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id) u
  WHERE u.root BETWEEN root_from AND root_to;
  IF EXISTS (SELECT FROM cdp_data.identifier_override) THEN
    members := members || ARRAY(
      SELECT i.customer_id FROM cdp_data.identifier_override o JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id
      WHERE cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, o.customer_id, NULL) BETWEEN root_from AND root_to);
  END IF;
  RETURN ARRAY(SELECT DISTINCT m FROM unnest(members) m WHERE m NOT BETWEEN root_from AND root_to);
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_strays(bigint, bigint) IS
'Customer ids outside a range of ids whose touchpoints may belong to a root inside it. NULL bounds give an empty list.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_first_conversions(own jsonb, as_of timestamptz)
RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
DECLARE
  result bigint[];
BEGIN
  EXECUTE format('SELECT coalesce(array_agg(f.id ORDER BY f.id), ''{}'') FROM (SELECT DISTINCT ON (x.key) x.id FROM (SELECT %s AS key, t.occurred_at AS at, t.touchpoint_id AS id FROM cdp_data.touchpoint t WHERE t.kind_id = ANY (%L::smallint[]) AND t.kind_id <> ALL (%L::smallint[]) AND t.refers_to IS NULL AND coalesce(t.value, 0) >= 0 AND t.flags & %s = 0 AND t.occurred_at < %L::timestamptz) x ORDER BY x.key, x.at, x.id) f',
    cdp_internal.touchpoint_root_sql(), translate(own->>'conversions', '[] ', '{}'), translate(own->>'refunds', '[] ', '{}'), own->>'hidden_flags', coalesce(as_of, 'infinity'))
    INTO result;
  RETURN result;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_first_conversions(jsonb, timestamptz) IS
'touchpoint_id of each root customer''s first conversion of the chosen kinds: the acquisitions that cost per acquired customer (CAC) counts.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_slice()
RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Journeys kept by one pass are limited to 256 MB: about a million touches a slice stays far below.
  RETURN (SELECT greatest(1000, least(100000, 1000000.0 * (SELECT max(c.customer_id) FROM cdp_data.customer c) / greatest(sum(k.reltuples), 1)))::integer
          FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = 'cdp_data.touchpoint'::regclass);
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_slice() IS
'How many customer ids a pass that keeps journeys takes at once, from the planner''s row counts: 1,000 to 100,000.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_crossings(OUT ids bigint[], OUT roots bigint[], OUT customers bigint[])
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF EXISTS (SELECT FROM cdp_data.touchpoint_awaited a WHERE a.owner_id <> a.customer_id) THEN
    SELECT array_agg(a.touchpoint_id), array_agg(cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), a.owner_id, a.owner_identifier_id)),
      array_agg(a.customer_id)
    INTO ids, roots, customers
    FROM cdp_data.touchpoint_awaited a WHERE a.owner_id <> a.customer_id;
  END IF;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_crossings() IS
'Conversions whose refund came under another home customer: their touchpoint ids, the root customers they belong to, and the customers of the refunds. NULL when there are none.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_parted(homes bigint[], home_from bigint, home_to bigint, OUT ids bigint[], OUT roots bigint[], OUT customers bigint[])
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF EXISTS (SELECT FROM cdp_data.identifier_override) THEN
    SELECT array_agg(x.id), array_agg(x.root), array_agg(x.home) INTO ids, roots, customers
    FROM (
      SELECT DISTINCT c.touchpoint_id AS id, h.home,
        cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), c.customer_id, c.identifier_id) AS root,
        cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), r.customer_id, r.identifier_id) AS referring
      FROM (SELECT DISTINCT i.customer_id AS home FROM cdp_data.identifier_override o JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id
            WHERE i.customer_id = ANY (homes) OR i.customer_id BETWEEN home_from AND home_to) h
        JOIN cdp_data.touchpoint r ON r.customer_id = h.home AND r.refers_to IS NOT NULL
        JOIN cdp_data.touchpoint c ON c.customer_id = h.home AND c.touchpoint_id = r.refers_to) x
    WHERE x.root <> x.referring;
  END IF;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_parted(bigint[], bigint, bigint) IS
'As cdp_internal.attribution_crossings(), of refunds and conversions under one home customer whose identifiers an unmerge has parted: those of these homes, or of a range of them (NULL: none).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_nothing(options jsonb)
RETURNS cdp.attribution_partial
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  -- a row that a moment of knowledge in the past leaves out
  SELECT cdp.attribution_pass(0::bigint, '2000-01-01 00:00:00+00'::timestamptz, ''::text, NULL::numeric,
    options || '{"as_of": "1999-01-01 00:00:00+00", "since": null, "until": null}'::jsonb, NULL::bigint, NULL::text, NULL::bigint, NULL::bigint);
END;
COMMENT ON FUNCTION cdp_internal.attribution_nothing(jsonb) IS
'The result of a pass over nothing, so that a report of an empty window still has its (unattributed) rows.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_left_out_sql(options jsonb, own jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  -- Only what the report would have shown: conversions within its window, and the touches that the pass reads.
  SELECT format($sql$count(*) FILTER (WHERE NOT cdp_internal.bitmap_has($9, x.key) AND x.value >= 0 AND x.refers_to IS NULL AND x.kind <> ALL (%L::int[]) AND x.at >= %L AND x.at < %L) AS conversions,
    round(sum(x.value) FILTER (WHERE NOT cdp_internal.bitmap_has($9, x.key) AND x.at >= %2$L AND x.at < %3$L), 6) AS value,
    count(*) FILTER (WHERE NOT cdp_internal.bitmap_has($9, x.key) AND x.label IS NOT NULL AND x.value IS NULL) AS touches$sql$,
    translate(own->>'refunds', '[] ', '{}'), coalesce(options->>'since', '-infinity'), coalesce(options->>'until', 'infinity'));
END;
COMMENT ON FUNCTION cdp_internal.attribution_left_out_sql(jsonb, jsonb) IS
'SQL text of three columns that count what the gate of consent ($9) leaves out of the rows x of a pass: conversions of the window (without refunds), their value less refunds, touches that were read.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_scan(options jsonb, own jsonb,
  roots bigint[] DEFAULT NULL, root_from bigint DEFAULT NULL, root_to bigint DEFAULT NULL)
RETURNS cdp.attribution_partial
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  codes record := cdp_internal.attribution_codes(options->>'grouped_by');
  range record;
  conversions smallint[] := translate(own->>'conversions', '[] ', '{}');
  money smallint[] := cdp_internal.attribution_kinds(NULL, 'conversion') || conversions;
  members bigint[];
  refunded bigint[];
  crossing record := cdp_internal.attribution_crossings();
  parted record;
  source text := 'cdp_data.touchpoint t';
  first_ids bigint[];
  own_key text := cdp_internal.touchpoint_root_sql();
  key text := own_key;
  gate bytea;
  asked boolean := roots IS NULL AND root_from IS NULL AND NOT own ? 'first_only'; -- a report of its own, not a part of one
  out record;
  condition text := 'true';
  label text;
  touch_kinds text := translate(own->>'touches', '[] ', '{}');
  columns text;
  query text;
  result cdp.attribution_partial;
BEGIN
  IF own->'customers' <> 'null' THEN
    -- A customer may be asked for by any id that was merged into it.
    roots := (SELECT array_agg(DISTINCT cdp_internal.customer_root(cdp_internal.customer_map(), NULL, c::bigint, NULL))
              FROM jsonb_array_elements_text(own->'customers') c);
  END IF;
  gate := cdp_internal.consent_gate('analytics', '', roots); -- NULL: nobody to leave out, nothing to ask per row
  options := options || jsonb_build_object('label_names', to_jsonb(codes.names));
  range := cdp_internal.attribution_range_sql(options, own);

  label := 'cdp_internal.dense_lookup($1, t.origin_id)';
  IF options->>'grouped_by' = 'campaign' THEN
    label := format('coalesce(cdp_internal.dense_lookup($2, t.campaign_id), %s)', label);
  END IF;
  IF roots IS NOT NULL THEN
    members := cdp_internal.attribution_members(roots);
  ELSIF root_from IS NOT NULL THEN
    members := cdp_internal.attribution_strays(root_from, root_to);
  END IF;
  IF members IS NOT NULL OR gate IS NOT NULL THEN
    parted := cdp_internal.attribution_parted(members, CASE WHEN members IS NULL THEN 0 ELSE root_from END, coalesce(root_to, 4294967295));
    crossing.ids := crossing.ids || parted.ids;
    crossing.roots := crossing.roots || parted.roots;
    crossing.customers := crossing.customers || parted.customers;
  END IF;
  IF crossing.ids IS NOT NULL AND (members IS NOT NULL OR gate IS NOT NULL) THEN
    -- Where not all customers are read, a refund stands with the customer of its conversion.
    key := format('coalesce(o.root, %s)', key);
    source := source || ' LEFT JOIN (SELECT DISTINCT u.id, u.root FROM unnest($7, $8) u (id, root)) o ON o.id = t.refers_to';
  END IF;
  columns := format('%s AS key, t.occurred_at AS at, CASE WHEN t.kind_id = ANY (%L::smallint[]) THEN coalesce(%s, $3) WHEN t.kind_id = ANY (%L::smallint[])%s THEN %s END AS label, %s AS value, t.touchpoint_id AS id, t.kind_id::int AS kind, %s AS session, t.refers_to',
    key, touch_kinds, label, conversions,
    -- a conversion that does not count here must not pass for a touch
    CASE WHEN own ? 'first_only' THEN ' AND t.touchpoint_id = ANY ($6)' WHEN NOT (own->>'all_conversions')::boolean THEN ' AND t.refers_to IS NULL' END,
    label, cdp_internal.attribution_value_sql(own),
    CASE WHEN options->'models' @? '$[*] ? (@ like_regex "^same_touch" flag "i")'
         THEN 'hashtextextended(t.properties->>''session_id'', 0)' ELSE 'NULL::bigint' END);

  IF own ? 'first_only' THEN
    first_ids := cdp_internal.attribution_first_conversions(own, nullif(options->>'as_of', 'infinity')::timestamptz);
  END IF;

  IF roots IS NOT NULL THEN
    -- the index road: all rows of few customers
    members := members
      || ARRAY(SELECT u.customer FROM unnest(crossing.roots, crossing.customers) u (root, customer) WHERE u.root = ANY (roots));
    query := format('SELECT * FROM (SELECT %s FROM %s WHERE %s AND t.customer_id = ANY ($4)) x WHERE x.key = ANY ($5)',
      columns, source, range.visible);
  ELSIF root_from IS NOT NULL THEN
    -- a slice of the customers by root id
    members := members
      || ARRAY(SELECT u.customer FROM unnest(crossing.roots, crossing.customers) u (root, customer) WHERE u.root BETWEEN root_from AND root_to);
    query := format('SELECT * FROM (SELECT %s FROM %s WHERE %s AND (t.customer_id BETWEEN %s AND %s OR t.customer_id = ANY ($4))) x WHERE x.key BETWEEN %4$s AND %5$s',
      columns, source, range.visible, root_from, root_to);
  ELSE
    query := format('SELECT %s FROM %s WHERE %s', columns, source, range.main);
    IF range.outside IS NOT NULL THEN
      -- Refunds may come long after their conversion: conversions of customers that have any.
      EXECUTE format('SELECT coalesce(array_agg(DISTINCT %s), ''{}'') FROM cdp_data.touchpoint t WHERE (t.refers_to IS NOT NULL OR t.value < 0) AND t.kind_id = ANY (%L::smallint[])', own_key, money)
        INTO refunded;
      refunded := refunded || crossing.roots;
      IF cardinality(refunded) > 0 THEN
        members := cdp_internal.attribution_members(refunded);
        query := query || format(' UNION ALL SELECT %s FROM %s WHERE %s AND t.kind_id = ANY (%L::smallint[]) AND t.customer_id = ANY ($4)',
            columns, source, range.outside, money);
      END IF;
    END IF;
  END IF;

  IF own ? 'first_only' OR NOT (own->>'all_conversions')::boolean THEN
    -- conversions that were not chosen are neither touch nor conversion
    condition := format('(x.label IS NOT NULL OR x.value IS NOT NULL OR x.kind = ANY (%L::int[]))', ARRAY(SELECT jsonb_array_elements_text(options->'milestones')));
  END IF;
  EXECUTE format('SELECT cdp.attribution_pass(x.key, x.at, x.label, x.value, %L::jsonb, x.id, x.kind, x.session, x.refers_to)%s FROM (%s) x WHERE %s', options,
      CASE WHEN gate IS NOT NULL THEN format(' FILTER (WHERE cdp_internal.bitmap_has($9, x.key)) AS result, %s', cdp_internal.attribution_left_out_sql(options, own)) ELSE ' AS result' END,
      query, condition)
    INTO out
    USING codes.by_origin, codes.by_campaign, array_position(codes.names, '(unknown)'), members, roots, first_ids,
      crossing.ids, crossing.roots, gate;
  IF gate IS NOT NULL AND asked THEN
    -- With a minimum audience their number would have to be known first; that takes a pass of its own.
    IF cdp_internal.minimum_audience() IS NOT NULL THEN
      RAISE NOTICE 'customers without consent to analytics are left out; cdp.attribution_left_out() tells how much that is';
    ELSE
      RAISE NOTICE 'left out for want of consent to analytics: % conversions worth % %, and % touches',
        out.conversions, coalesce(out.value, 0), own->>'currency', out.touches;
    END IF;
  END IF;
  RETURN coalesce(out.result, cdp_internal.attribution_nothing(options));
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_scan(jsonb, jsonb, bigint[], bigint, bigint) IS
'One pass over cdp_data.touchpoint: all customers, given root customers by index, or a range of root ids. Options are those of cdp.attribution_options(), own those of cdp_internal.attribution_own(). Customers whose data may not be used for analytics (cdp.consent_allowed) are left out; a report of its own says in a NOTICE how many conversions and touches that were. Reads only; the answer does not depend on the road taken.';
