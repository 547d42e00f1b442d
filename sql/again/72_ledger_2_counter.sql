-- Referral room, ledger: caps. One row holds what is used of a cap; it is changed by a statement that tests the cap, and CHECK
-- tests it again. Keys are always locked in their order.

CREATE OR REPLACE FUNCTION cdp_internal.counter_key_of(key text, customer bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(key, '#-?[0-9]+/', '#' || customer || '/');
COMMENT ON FUNCTION cdp_internal.counter_key_of(text, bigint) IS 'The key of the same cap for another person. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.counter_hold(keys text[], customers bigint[], caps_minor bigint[], caps_count bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  INSERT INTO cdp_data.reward_counter (counter_key, customer_id, cap_minor, cap_count)
  SELECT DISTINCT ON (w.key COLLATE "C") w.key, w.customer, w.minor, w.count FROM unnest(keys, customers, caps_minor, caps_count) AS w (key, customer, minor, count)
  WHERE NOT EXISTS (SELECT FROM cdp_data.reward_counter c WHERE c.counter_key = w.key)
  ORDER BY w.key COLLATE "C" ON CONFLICT DO NOTHING;
  PERFORM FROM cdp_data.reward_counter c WHERE c.counter_key = ANY (keys) ORDER BY c.counter_key FOR NO KEY UPDATE;
  -- The cap is what the terms say now; what is above it already stays, and nothing is added.
  UPDATE cdp_data.reward_counter c SET cap_minor = w.minor, cap_count = w.count, over_minor = greatest(0, c.used_minor - w.minor), over_count = greatest(0, c.used_count - w.count)
  FROM (SELECT DISTINCT ON (u.key) u.key, u.minor, u.count FROM unnest(keys, caps_minor, caps_count) AS u (key, minor, count) ORDER BY u.key) w
  WHERE c.counter_key = w.key AND (c.cap_minor, c.cap_count) IS DISTINCT FROM (w.minor, w.count);
END
$$;
COMMENT ON FUNCTION cdp_internal.counter_hold(text[], bigint[], bigint[], bigint[]) IS
'Locks counters in the order of their keys to the end of the transaction, makes those that are missing (customer: whose, NULL for nobody''s) and gives each the caps at its place (NULL: none).';

CREATE OR REPLACE FUNCTION cdp_internal.counter_add(keys text[], minors bigint[], counts bigint[]) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  n integer;
BEGIN
  IF cardinality(keys) = 1 THEN
    -- The same as below, for what is written most often.
    UPDATE cdp_data.reward_counter c SET used_minor = c.used_minor + minors[1], used_count = c.used_count + counts[1],
      over_minor = greatest(0, least(c.over_minor, c.used_minor + minors[1] - c.cap_minor)), over_count = greatest(0, least(c.over_count, c.used_count + counts[1] - c.cap_count))
    WHERE c.counter_key = keys[1] AND (minors[1] <= 0 OR c.cap_minor IS NULL OR c.used_minor + minors[1] <= c.cap_minor) AND (counts[1] <= 0 OR c.cap_count IS NULL OR c.used_count + counts[1] <= c.cap_count);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
  ELSIF cardinality(keys) > 1 THEN
    PERFORM FROM cdp_data.reward_counter c WHERE c.counter_key = ANY (keys) ORDER BY c.counter_key FOR NO KEY UPDATE;
  END IF;
  -- More is let through below the cap only; less always, and takes what is over it down with it.
  UPDATE cdp_data.reward_counter c SET used_minor = c.used_minor + w.minor, used_count = c.used_count + w.count,
    over_minor = greatest(0, least(c.over_minor, c.used_minor + w.minor - c.cap_minor)), over_count = greatest(0, least(c.over_count, c.used_count + w.count - c.cap_count))
  FROM (SELECT u.key, sum(u.minor)::bigint AS minor, sum(u.count)::bigint AS count FROM unnest(keys, minors, counts) AS u (key, minor, count) GROUP BY 1) w
  WHERE c.counter_key = w.key AND (w.minor <= 0 OR c.cap_minor IS NULL OR c.used_minor + w.minor <= c.cap_minor) AND (w.count <= 0 OR c.cap_count IS NULL OR c.used_count + w.count <= c.cap_count);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.counter_add(text[], bigint[], bigint[]) IS
'Adds to counters what is granted (above zero) or given back (below), minor units and numbers of rewards, summed by key. Returns how many counters took it: fewer than there are keys when one has no room; that one is unchanged. Several are locked in the order of their keys. Error 23514: more is given back than was used.';
