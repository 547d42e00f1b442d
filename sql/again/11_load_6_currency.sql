-- Core room, loading: the currency of refunds that name none is that of their order, whichever comes first.
--
-- Such a row has the sign bit of touchpoint.flags, which nobody else can set, so that its currency can follow when the
-- order comes, goes or changes. One step only: of a row that is itself in another one's currency it is that of the
-- reports, so that rows that refer to each other in a ring have an answer, too.

CREATE OR REPLACE FUNCTION cdp_internal.follows_flag() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 1 << 31;
COMMENT ON FUNCTION cdp_internal.follows_flag() IS
'The bit of touchpoint.flags of a row with money that refers to a record and named no currency: the sign, as flags of sources are from 0 on.';

CREATE OR REPLACE FUNCTION cdp_internal.currency_of_record(source_id integer, key text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT t.currency FROM cdp_data.touchpoint_key k JOIN cdp_data.touchpoint t USING (customer_id, occurred_at, touchpoint_id)
    WHERE k.source_id = currency_of_record.source_id AND k.source_key = key AND t.flags >= 0);
END
$$;
COMMENT ON FUNCTION cdp_internal.currency_of_record(integer, text) IS
'The currency that a row takes which refers to this record and names none, for calls, which hold its key. NULL: that of the reports.';

CREATE OR REPLACE FUNCTION cdp_internal.load_currencies(src integer) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_temp.cdp_load_ref f WHERE f.follows) THEN
    UPDATE pg_temp.cdp_load_row r SET currency = coalesce(x.currency, s.currency)
    FROM (
      -- What this load says of the order comes before what an earlier one said.
      SELECT f.row_no, CASE WHEN b.row_no IS NULL THEN t.currency WHEN coalesce(b.flags, 0) >= 0 THEN b.currency END AS currency
      FROM pg_temp.cdp_load_ref f
        LEFT JOIN pg_temp.cdp_load_row b ON b.source_key = f.refers_key AND b.code IS NULL
        LEFT JOIN cdp_data.touchpoint_key k ON k.source_id = src AND k.source_key = f.refers_key
        LEFT JOIN cdp_data.touchpoint t ON (t.customer_id, t.occurred_at, t.touchpoint_id) = (k.customer_id, k.occurred_at, k.touchpoint_id) AND t.flags >= 0
      WHERE f.follows) x, cdp_data.setting s
    WHERE r.row_no = x.row_no;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_currencies(integer) IS
'Gives the rows of the running load that follow another record''s currency that of the record, as it will be after the load.';

CREATE OR REPLACE FUNCTION cdp_internal.refunds_follow(load bigint, src integer, cause text, keys text[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  WITH record AS MATERIALIZED (
    SELECT k.touchpoint_id, k.customer_id, CASE WHEN t.flags >= 0 THEN t.currency END AS currency
    FROM cdp_data.touchpoint_key k JOIN cdp_data.touchpoint t USING (customer_id, occurred_at, touchpoint_id)
    WHERE k.source_id = src AND k.source_key = ANY (keys)
  ), place AS MATERIALIZED (
    SELECT r.touchpoint_id, r.customer_id FROM record r
    UNION
    SELECT a.touchpoint_id, a.customer_id FROM cdp_data.touchpoint_awaited a WHERE a.source_id = src AND a.source_key = ANY (keys)
  ), changed AS MATERIALIZED (
    SELECT t.*, coalesce(r.currency, s.currency) AS new_currency
    FROM place p JOIN cdp_data.touchpoint t ON t.customer_id = p.customer_id AND t.refers_to = p.touchpoint_id
      LEFT JOIN record r ON r.touchpoint_id = p.touchpoint_id, cdp_data.setting s
    WHERE t.flags < 0 AND t.currency <> coalesce(r.currency, s.currency)
  ), kept AS (
    -- The version stays, only its money has another name: it never was out of force.
    INSERT INTO cdp_data.touchpoint_retracted (touchpoint_id, customer_id, identifier_id, occurred_at, origin_id, source_id, load_id,
      flags, kind_id, campaign_id, refers_to, value, currency, properties, source_key, retracted_by_load, restored_at, restored_xid)
    SELECT c.touchpoint_id, c.customer_id, c.identifier_id, c.occurred_at, c.origin_id, c.source_id, c.load_id,
      c.flags, c.kind_id, c.campaign_id, c.refers_to, c.value, c.currency, c.properties, k.source_key, load, now(), pg_current_xact_id()
    FROM changed c JOIN cdp_data.touchpoint_key k USING (touchpoint_id)
  ), told AS (
    INSERT INTO cdp_data.change_feed (customer_id, cause, occurred_from, occurred_to)
    SELECT c.customer_id, refunds_follow.cause, min(c.occurred_at), max(c.occurred_at) FROM changed c GROUP BY c.customer_id ORDER BY c.customer_id
  )
  UPDATE cdp_data.touchpoint t SET currency = c.new_currency
  FROM changed c WHERE (t.customer_id, t.occurred_at, t.touchpoint_id) = (c.customer_id, c.occurred_at, c.touchpoint_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.refunds_follow(bigint, integer, text, text[]) IS
'After the records of these keys of a source came, went or changed: rows that refer to them and named no currency take theirs, or that of the reports when the record is not there or has none. What they had is kept in touchpoint_retracted, restored at once, and the change feed is told. NULL keys do nothing.';
