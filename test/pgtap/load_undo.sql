-- Reverting and retrying loads in any order leaves what the active loads alone would have left.
-- The oracle: of each record, what the latest active load said about it.
SELECT plan(5);
SELECT cdp.add_source('shop', 'Asia/Shanghai');
CREATE TEMP TABLE said (load_id bigint, source_key text, occurred_at text, identifier text, kind text, value text, refers_to text, campaign text);
CREATE TEMP TABLE staging (LIKE said);
ALTER TABLE staging DROP load_id, ADD identifier_type text DEFAULT 'user_id';

CREATE FUNCTION pg_temp.differences() RETURNS bigint LANGUAGE sql AS $$
  WITH expected AS (
    SELECT DISTINCT ON (s.source_key) s.source_key, s.occurred_at::timestamp AT TIME ZONE 'Asia/Shanghai' AS occurred_at, s.identifier, s.kind,
      s.value::numeric(20,6), s.refers_to, coalesce(s.campaign, '') AS campaign
    FROM said s JOIN cdp_data.load l USING (load_id) WHERE l.state = 'done'
    ORDER BY s.source_key, s.load_id DESC
  ), found AS (
    SELECT k.source_key, t.occurred_at, i.value AS identifier, n.name AS kind, t.value,
      coalesce((SELECT x.source_key FROM cdp_data.touchpoint_key x WHERE x.touchpoint_id = t.refers_to),
        (SELECT x.source_key FROM cdp_data.touchpoint_retracted x WHERE x.touchpoint_id = t.refers_to LIMIT 1),
        (SELECT x.source_key FROM cdp_data.touchpoint_awaited x WHERE x.touchpoint_id = t.refers_to LIMIT 1)) AS refers_to, o.campaign
    FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id, customer_id, occurred_at)
      JOIN cdp_data.identifier i USING (identifier_id, customer_id) JOIN cdp_data.touch_kind_all n USING (kind_id) JOIN cdp_data.origin o USING (origin_id)
  )
  SELECT (SELECT count(*) FROM ((TABLE expected EXCEPT ALL TABLE found) UNION ALL (TABLE found EXCEPT ALL TABLE expected)) d)
    + abs((SELECT count(*) FROM cdp_data.touchpoint) - (SELECT count(*) FROM found))
    + abs((SELECT count(*) FROM cdp_data.touchpoint_key) - (SELECT count(*) FROM found))
    + (SELECT count(*) FROM (SELECT source_key FROM cdp_data.touchpoint_key GROUP BY 1 HAVING count(*) > 1) d)
$$;

-- A small world, so that records come again, unchanged and changed, and refer to each other.
CREATE FUNCTION pg_temp.load_some(seed integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  TRUNCATE staging;
  INSERT INTO staging (source_key, occurred_at, identifier, kind, value, refers_to, campaign)
  SELECT 'k' || k, '2026-0' || 1 + h % 4 || '-1' || h / 4 % 2 || ' 08:00', 'u' || h / 8 % 3,
    CASE WHEN k % 3 = 0 THEN 'purchase' WHEN k % 3 = 1 THEN 'refund' ELSE 'click' END, CASE WHEN k % 3 < 2 THEN (h / 24 % 2 * 10)::text END,
    CASE WHEN k % 3 = 1 THEN 'k' || k - 1 END, CASE WHEN h / 48 % 4 = 0 THEN 'spring' END
  FROM generate_series(0, 29) k, LATERAL (SELECT abs(hashint8extended(k, seed)) % 1000) a (h)
  WHERE abs(hashint8extended(k, seed + 7777)) % 100 < 40;
  -- Half of the time repeat what was said before.
  UPDATE staging s SET occurred_at = x.occurred_at, identifier = x.identifier, kind = x.kind, value = x.value, refers_to = x.refers_to, campaign = x.campaign
  FROM (SELECT DISTINCT ON (source_key) * FROM said ORDER BY source_key, hashint8extended(load_id, seed)) x
  WHERE x.source_key = s.source_key AND hashtextextended(s.source_key, seed) % 2 = 0;
  SELECT * INTO r FROM cdp.load_touchpoints('shop', 'staging');
  IF r.rows_read <> r.inserted + r.corrected + r.unchanged OR r.quarantined > 0 THEN
    RAISE EXCEPTION 'counts do not add up: %', r;
  END IF;
  INSERT INTO said SELECT r.load_id, source_key, occurred_at, identifier, kind, value, refers_to, campaign FROM staging;
  RETURN r.load_id;
END
$$;

CREATE TEMP TABLE outcome (seed integer, trail text);
-- Each step in its own transaction, as in life.
CREATE PROCEDURE pg_temp.round(seed integer, steps integer) LANGUAGE plpgsql AS $$
DECLARE
  l record;
  trail text := '';
BEGIN
  FOR i IN 1 .. steps LOOP
    SELECT load_id, state INTO l FROM cdp_data.load ORDER BY hashint8extended(load_id, seed + i) LIMIT 1;
    IF NOT FOUND OR abs(hashint8extended(i, seed)) % 3 = 0 THEN
      trail := trail || ' load ' || pg_temp.load_some(seed * 1000 + i);
    ELSIF l.state = 'done' THEN
      PERFORM cdp.revert_load(l.load_id);
      trail := trail || ' revert ' || l.load_id;
    ELSE
      PERFORM cdp.retry_load(l.load_id);
      trail := trail || ' retry ' || l.load_id;
    END IF;
    IF pg_temp.differences() > 0 THEN
      INSERT INTO outcome VALUES (seed, 'differs after:' || trail);
      RETURN;
    END IF;
    COMMIT;
  END LOOP;
  INSERT INTO outcome VALUES (seed, 'same');
END
$$;

CALL pg_temp.round(1, 30);
CALL pg_temp.round(2, 30);
SELECT is((SELECT trail FROM outcome WHERE seed = 1), 'same', '30 loads, reverts and retries in random order leave what the oracle says');
SELECT is((SELECT trail FROM outcome WHERE seed = 2), 'same', '30 more, on what the first left');
SELECT cdp.revert_load(load_id) FROM (SELECT load_id FROM cdp_data.load WHERE state = 'done' ORDER BY hashint8(load_id)) l;
SELECT is((SELECT count(*) FROM cdp_data.touchpoint) + (SELECT count(*) FROM cdp_data.touchpoint_key), 0::bigint, 'all reverted: nothing is in force');
SELECT is((SELECT count(*) FROM cdp_data.identifier WHERE first_seen IS NOT NULL), 0::bigint, 'and no identifier claims to have been seen');
SELECT cdp.retry_load(load_id) FROM (SELECT load_id FROM cdp_data.load ORDER BY hashint8extended(load_id, 5)) l;
SELECT is(pg_temp.differences(), 0::bigint, 'all retried in another order: all is back');
SELECT * FROM finish();
