-- Governance room, consent: the gate. One question, "may this customer's data be used for this purpose, on this channel,
-- now?", in three forms: one customer, a bitmap of all, and what a reader must leave out. All three read
-- cdp_data.consent_state, which is exact within the transaction that writes the ledger.

CREATE OR REPLACE FUNCTION cdp_internal.consent_bitmap_add(internal, bigint, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz,
  timestamptz, boolean, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_consent_add';
COMMENT ON FUNCTION cdp_internal.consent_bitmap_add(internal, bigint, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, boolean, bigint) IS
'Transition function of consent_bitmap.';
CREATE OR REPLACE FUNCTION cdp_internal.consent_bitmap_final(internal) RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_consent_final';
COMMENT ON FUNCTION cdp_internal.consent_bitmap_final(internal) IS 'Final function of consent_bitmap.';
CREATE OR REPLACE AGGREGATE cdp_internal.consent_bitmap(root bigint, refused_at timestamptz, explicit_at timestamptz, explicit_until timestamptz,
  implied_at timestamptz, implied_until timestamptz, as_of timestamptz, opt_in boolean, low bigint) (
  SFUNC = cdp_internal.consent_bitmap_add, STYPE = internal, SSPACE = 65536,
  FINALFUNC = cdp_internal.consent_bitmap_final, FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp_internal.consent_bitmap(bigint, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, boolean, bigint) IS
'Adds summaries of consent (rows of cdp_data.consent_state, each with the root of its identifier) up to a bitmap of customers: with opt_in who is granted at as_of, else who has refused. Looks at the roots from low (a multiple of 65536) to low + 67108863 only. Memory: 1 MB for each 65536 ids among which somebody is, at most 1 GB. NULL without a row. Errors: 22004 a NULL in the last three, 22003 id out of range, 22008 time out of range.';

CREATE OR REPLACE FUNCTION cdp_internal.bitmap_join(pieces bytea[], others boolean) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_bitmap_join';
COMMENT ON FUNCTION cdp_internal.bitmap_join(bytea[], boolean) IS
'Pieces of consent_bitmap as one bitmap; NULLs among them count for nothing. others: whether customers without a bit are allowed (pieces made without opt_in). No pieces give a bitmap without bits. At most 512 MB. Errors: 22P03 bytes that are no bitmap, 22023 pieces of another rule.';

CREATE OR REPLACE FUNCTION cdp_internal.bitmap_has(bitmap bytea, customer_id bigint) RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_bitmap_has';
COMMENT ON FUNCTION cdp_internal.bitmap_has(bytea, bigint) IS
'Whether a customer (a root) is allowed by a bitmap of cdp.consent_bitmap(). A NULL bitmap leaves nobody out; NULL for a NULL customer. Error 22P03: bytes that are no bitmap.';

CREATE OR REPLACE FUNCTION cdp_internal.bitmap_count(bitmap bytea) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_bitmap_count';
COMMENT ON FUNCTION cdp_internal.bitmap_count(bytea) IS
'How many bits of a bitmap are set: customers allowed under opt_in, refused under opt_out. NULL for NULL. Error 22P03: bytes that are no bitmap.';

CREATE OR REPLACE FUNCTION cdp_internal.bitmap_ids(bitmap bytea) RETURNS SETOF bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 100000 AS 'MODULE_PATHNAME', 'cdp_bitmap_ids';
COMMENT ON FUNCTION cdp_internal.bitmap_ids(bytea) IS
'The customers whose bit is set, in order: those allowed under opt_in, those refused under opt_out. No row for NULL. Error 22P03: bytes that are no bitmap.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_channel(channel text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  word text := lower(btrim(coalesce(channel, '')));
BEGIN
  IF word !~ '^[a-z0-9_.-]{0,63}$' THEN
    RAISE EXCEPTION 'a channel is a word of at most 63 of a-z 0-9 _ . -'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as email, sms, wechat; leave it out for every channel.';
  END IF;
  RETURN word;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_channel(text) IS
'A channel of consent in the form that is stored: lower case; NULL and blank are '''', every channel. Error 22023: no such word.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_word(
  refused_at timestamptz, explicit_at timestamptz, explicit_until timestamptz, implied_at timestamptz, implied_until timestamptz, as_of timestamptz)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN refused_at IS NOT NULL AND (explicit_at IS NULL OR refused_at >= explicit_at) THEN 'refused'
  WHEN explicit_at IS NULL AND implied_at IS NULL THEN 'unknown'
  WHEN explicit_at IS NULL OR implied_at > explicit_at THEN CASE WHEN implied_until > as_of THEN 'granted' ELSE 'expired' END
  WHEN implied_at = explicit_at AND implied_until <= as_of THEN 'expired'
  WHEN explicit_until > as_of THEN 'granted'
  ELSE 'expired' END;
COMMENT ON FUNCTION cdp_internal.consent_word(timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz) IS
'What a summary of consent comes to at a moment: unknown, refused, granted or expired. The latest explicit word wins, a refusal first among words of one time; an implied grant counts when it is not before an explicit one, and never against a refusal. An end of infinity is none. Columns as in cdp_data.consent_state.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_permits(rule text, state text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE rule WHEN 'off' THEN true WHEN 'opt_out' THEN state <> 'refused' ELSE state = 'granted' END;
COMMENT ON FUNCTION cdp_internal.consent_permits(text, text) IS
'Whether a purpose with this rule (off, opt_out, opt_in) may be pursued in this state of consent (unknown, granted, refused, expired). NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_places(roots bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  places bigint[];
BEGIN
  places := ARRAY(SELECT u FROM unnest(roots) r, cdp_internal.customers_under(r) u);
  -- A summary stands under the home of its identifier, also after an unmerge has moved that one.
  IF EXISTS (SELECT FROM cdp_data.identifier_override) THEN
    places := places || ARRAY(
      SELECT i.customer_id FROM cdp_data.identifier_override o JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id
      WHERE o.customer_id = ANY (places));
  END IF;
  RETURN places;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_places(bigint[]) IS
'Home customers under which summaries of the identifiers of these roots may stand. A superset: rows found through it are still checked with cdp_internal.customer_root().';

CREATE OR REPLACE FUNCTION cdp_internal.consent_state_at(root bigint, purpose_id smallint, channel text, as_of timestamptz) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN (
    WITH part AS MATERIALIZED (
      SELECT s.refused_at, s.explicit_at, s.explicit_until, s.implied_at, s.implied_until
      FROM cdp_data.consent_state s LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = s.identifier_id
      WHERE s.customer_id = ANY (cdp_internal.consent_places(ARRAY[consent_state_at.root])) AND s.purpose_id = consent_state_at.purpose_id
        AND s.channel IN ('', consent_state_at.channel) AND s.from_at <= as_of
        AND cdp_internal.root_of(coalesce(o.customer_id, s.customer_id)) = consent_state_at.root
    ), top AS (
      SELECT max(p.refused_at) AS refused_at, max(p.explicit_at) AS explicit_at, max(p.implied_at) AS implied_at FROM part p
    )
    SELECT cdp_internal.consent_word(t.refused_at,
      t.explicit_at, (SELECT min(p.explicit_until) FROM part p WHERE p.explicit_at = t.explicit_at),
      t.implied_at, (SELECT min(p.implied_until) FROM part p WHERE p.implied_at = t.implied_at), as_of)
    FROM top t);
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_state_at(bigint, smallint, text, timestamptz) IS
'State of consent of a root (unknown, granted, refused, expired) for a purpose and channel from the summaries; as_of is a moment not before the last write, for what runs out and what begins.';

CREATE OR REPLACE FUNCTION cdp.consent_allowed(customer_id bigint, purpose text, channel text DEFAULT '', as_of timestamptz DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record := cdp_internal.purpose_of(purpose);
  root bigint;
  word text := cdp_internal.consent_channel(channel);
BEGIN
  IF p.rule = 'off' THEN
    RETURN true;
  ELSIF as_of IS NOT NULL THEN
    RETURN (SELECT c.allowed FROM cdp.consent_at(consent_allowed.customer_id, purpose, word, as_of) c);
  END IF;
  root := cdp_internal.root_of(consent_allowed.customer_id);
  RETURN root IS NOT NULL AND cdp_internal.consent_permits(p.rule, cdp_internal.consent_state_at(root, p.purpose_id, word, clock_timestamp()));
END
$$;
COMMENT ON FUNCTION cdp.consent_allowed(bigint, text, text, timestamptz) IS
'The gate for one customer, whatever merged id is given: true when his data may be used for the purpose on the channel ('''': any). as_of NULL: now, by what has been written, this transaction''s own writes included; it reads summaries only and no evidence. Another as_of reads the ledger, as cdp.consent_at() does, and has its errors. False for an unknown customer, unless the rule of the purpose is off. Errors: 22023 unknown purpose or bad channel.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_bitmap_of(
  purpose_id smallint, rule text, channel text, roots bigint[] DEFAULT NULL, as_of timestamptz DEFAULT NULL) RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off
  SET enable_seqscan = off -- one purpose and channel stand together in the key; reading the whole table costs as much as all of them
AS $$
#variable_conflict use_column
DECLARE
  at timestamptz := coalesce(consent_bitmap_of.as_of, clock_timestamp());
  opt_in boolean := rule = 'opt_in';
  top bigint;
  low bigint;
  places bigint[];
  plain boolean;
  pieces bytea[] := '{}';
BEGIN
  IF rule <> 'off' AND roots IS NOT NULL THEN
    places := cdp_internal.consent_places(roots);
    pieces := ARRAY(
      SELECT cdp_internal.consent_bitmap(x.root, x.refused_at, x.explicit_at, x.explicit_until, x.implied_at, x.implied_until, at, opt_in, x.root / 67108864 * 67108864)
      FROM (
        SELECT s.*, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), s.customer_id, s.identifier_id) AS root
        FROM cdp_data.consent_state s
        WHERE s.customer_id = ANY (places) AND s.purpose_id = consent_bitmap_of.purpose_id AND s.channel IN ('', consent_bitmap_of.channel) AND s.from_at <= at
        OFFSET 0) x
      WHERE x.root = ANY (roots) GROUP BY x.root / 67108864);
  ELSIF rule <> 'off' THEN
    top := (SELECT max(c.customer_id) FROM cdp_data.customer c);
    -- Without merges and moved identifiers the home is the root: nothing to look up a million times.
    plain := NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id) AND NOT EXISTS (SELECT FROM cdp_data.identifier_override);
    FOR low IN SELECT g FROM generate_series(0, top, 67108864) g LOOP -- an integer loop ends at 2^31
      pieces := pieces || CASE WHEN plain THEN (
        SELECT cdp_internal.consent_bitmap(s.customer_id, s.refused_at, s.explicit_at, s.explicit_until, s.implied_at, s.implied_until, at, opt_in, low)
        FROM cdp_data.consent_state s
        WHERE s.purpose_id = consent_bitmap_of.purpose_id AND s.channel IN ('', consent_bitmap_of.channel) AND s.from_at <= at)
      ELSE (
        SELECT cdp_internal.consent_bitmap(
          cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), s.customer_id, s.identifier_id),
          s.refused_at, s.explicit_at, s.explicit_until, s.implied_at, s.implied_until, at, opt_in, low)
        FROM cdp_data.consent_state s
        WHERE s.purpose_id = consent_bitmap_of.purpose_id AND s.channel IN ('', consent_bitmap_of.channel) AND s.from_at <= at) END;
    END LOOP;
  END IF;
  RETURN cdp_internal.bitmap_join(pieces, NOT opt_in);
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_bitmap_of(smallint, text, text, bigint[], timestamptz) IS
'The bitmap of cdp.consent_bitmap() for a purpose by number and rule, of all customers or of given roots only (others then look as if nobody had asked them). as_of NULL: now.';

CREATE OR REPLACE FUNCTION cdp.consent_bitmap(purpose text, channel text DEFAULT '') RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record := cdp_internal.purpose_of(purpose);
BEGIN
  RETURN cdp_internal.consent_bitmap_of(p.purpose_id, p.rule, cdp_internal.consent_channel(channel));
END
$$;
COMMENT ON FUNCTION cdp.consent_bitmap(text, text) IS
'The gate for everybody: a bitmap of root customers for cdp_internal.bitmap_has(bitmap, customer), as of now, this transaction''s own writes included. Make it once per query, as (SELECT cdp.consent_bitmap(...)). One scan of the purpose''s summaries; 16 bytes of memory for each customer id while it is made (1 GB at most: above 67 million ids it scans again for each further 67 million), one bit for each afterwards. Never NULL. Errors: 22023 unknown purpose or bad channel.';

CREATE OR REPLACE FUNCTION cdp_internal.consented_bitmap(purpose text, channel text) RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  p record := cdp_internal.purpose_of(purpose);
  map bytea := cdp_internal.consent_bitmap_of(p.purpose_id, p.rule, cdp_internal.consent_channel(channel));
  low bigint;
  pieces bytea[] := '{}';
BEGIN
  IF p.rule = 'opt_in' THEN
    RETURN map;
  END IF;
  FOR low IN SELECT g FROM generate_series(0, (SELECT max(c.customer_id) FROM cdp_data.customer c), 67108864) g LOOP
    pieces := pieces || (
      SELECT cdp_internal.consent_bitmap(c.customer_id, NULL, '2000-01-01 00:00:00+00', 'infinity', NULL, NULL, '2000-01-01 00:00:00+00', true, low)
      FROM cdp_data.customer c WHERE c.parent_id = c.customer_id AND cdp_internal.bitmap_has(map, c.customer_id));
  END LOOP;
  RETURN cdp_internal.bitmap_join(pieces, false);
END
$$;
COMMENT ON FUNCTION cdp_internal.consented_bitmap(text, text) IS
'A bitmap whose bits are the customers (roots) allowed now, whatever the rule of the purpose. Errors: 22023 unknown purpose or bad channel.';

CREATE OR REPLACE FUNCTION cdp.consented_customers(purpose text, channel text DEFAULT '') RETURNS SETOF bigint
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100000
BEGIN ATOMIC
  -- Taken into the calling query, which then reads the bitmap without a copy of the list.
  SELECT cdp_internal.bitmap_ids(cdp_internal.consented_bitmap(purpose, channel));
END;
COMMENT ON FUNCTION cdp.consented_customers(text, text) IS
'All customers (roots) whose data may be used now for the purpose on the channel, in order. Under opt_in those who granted, under opt_out all who did not refuse, under off all. Errors: 22023 unknown purpose or bad channel.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_gate_open(purpose text, channel text DEFAULT '') RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  p record := cdp_internal.purpose_of(purpose);
BEGIN
  RETURN p.rule = 'off' OR p.rule = 'opt_out' AND NOT EXISTS (
    SELECT FROM cdp_data.consent_state s WHERE s.purpose_id = p.purpose_id AND s.refused_at IS NOT NULL AND s.channel IN ('', channel) AND s.from_at <= clock_timestamp());
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_gate_open(text, text) IS
'True when a purpose leaves nobody out, as one look into an index tells; false when it may leave out somebody. Error 22023: unknown purpose.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_gate(purpose text, channel text DEFAULT '', roots bigint[] DEFAULT NULL) RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  p record := cdp_internal.purpose_of(purpose);
  map bytea;
BEGIN
  IF cdp_internal.consent_gate_open(purpose, channel) THEN
    RETURN NULL;
  END IF;
  -- The places of many are found more slowly than all summaries are read.
  map := cdp_internal.consent_bitmap_of(p.purpose_id, p.rule, channel, CASE WHEN cardinality(roots) <= 1000 THEN roots END);
  RETURN CASE WHEN p.rule = 'opt_out' AND cdp_internal.bitmap_count(map) = 0 THEN NULL ELSE map END;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_gate(text, text, bigint[]) IS
'What a reader of a purpose must leave out: a bitmap for bitmap_has(), or NULL when nobody is to be left out, so that the reader asks nothing per row. roots: it will ask about these customers only.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_turns(purpose text, after timestamptz, upto timestamptz) RETURNS bigint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record := cdp_internal.purpose_of(purpose);
BEGIN
  RETURN ARRAY(
    SELECT s.customer_id FROM cdp_data.consent_state s WHERE s.purpose_id = p.purpose_id AND s.from_at > '-infinity' AND s.from_at > after AND s.from_at <= upto
    UNION
    SELECT s.customer_id FROM cdp_data.consent_state s WHERE s.purpose_id = p.purpose_id AND s.explicit_until < 'infinity' AND s.explicit_until > after AND s.explicit_until <= upto
    UNION
    SELECT s.customer_id FROM cdp_data.consent_state s WHERE s.purpose_id = p.purpose_id AND s.implied_until < 'infinity' AND s.implied_until > after AND s.implied_until <= upto);
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_turns(text, timestamptz, timestamptz) IS
'Home customers whose consent to a purpose may have turned between two moments without anybody writing: grants that ran out, records of the future that began. Those about whom something was written are in the change feed. Empty, never NULL.';
