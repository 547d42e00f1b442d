-- A refund may stand under another customer than its conversion: an order is paid with one identifier and refunded
-- under another. Whichever way a report takes (all rows, a window, slices, few customers, the roll-up), the figures are
-- the same, after loads, corrections, reverts and retries in any order, merges and unmerges.
SELECT plan(8);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'Asia/Shanghai') AS source;
CREATE TABLE staging (source_key text, occurred_at text, identifier text, kind text, value text, refers_to text, source text);
CREATE TABLE outcome (way text, seed integer, step integer, said text);

CREATE FUNCTION load_some(seed integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE staging;
  INSERT INTO staging
  SELECT 'k' || k, '2026-0' || 1 + h % 4 || '-1' || h / 4 % 2 || ' 08:00', 'u' || h / 8 % 4,
    CASE k % 4 WHEN 0 THEN 'purchase' WHEN 1 THEN 'refund' ELSE 'click' END, CASE k % 4 WHEN 0 THEN (100 + k)::text WHEN 1 THEN (-k)::text END,
    CASE WHEN k % 4 = 1 AND h % 5 > 0 THEN 'k' || k - 1 END, CASE WHEN k % 4 > 1 THEN (ARRAY['google', 'weibo', 'newsletter'])[1 + h / 32 % 3] END
  FROM generate_series(0, 39) k, LATERAL (SELECT abs(hashint8extended(k, seed)) % 1000) a (h)
  WHERE abs(hashint8extended(k, seed + 7777)) % 100 < 40;
  PERFORM cdp.load_touchpoints('shop', 'staging', identifier_type => 'user_id');
END $$;

CREATE FUNCTION figures(p cdp.attribution_partial) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(format('%s %s %s', t.label, trim_scale(t.conversions), trim_scale(t.value)), ', ' ORDER BY t.label), '')
  FROM cdp.attribution_totals(p) t WHERE t.model = 'linear' AND (t.conversions <> 0 OR t.value <> 0) $$;

CREATE FUNCTION look(seed integer, step integer, stored boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  direct text := figures(cdp.attribution_run(models => '{linear,markov}'));
  w record;
BEGIN
  FOR w IN
    SELECT CASE WHEN stored THEN 'stored' ELSE 'rollup' END AS way, figures(cdp.attribution_rollup_run('main')) AS found, direct AS wanted
    UNION ALL
    SELECT 'slices', (SELECT coalesce(string_agg(format('%s %s %s', c.label, trim_scale(c.conversions), trim_scale(c.value)), ', ' ORDER BY c.label), '')
      FROM (SELECT x.label, sum(x.conversions) AS conversions, sum(x.value) AS value FROM cdp.attribution_credit(models => '{linear}', slice => 1) x GROUP BY 1) c
      WHERE c.conversions <> 0 OR c.value <> 0), direct
    UNION ALL
    SELECT 'customers', (SELECT figures(cdp.attribution_merge(cdp.attribution_run(models => '{linear}', customers => ARRAY[r.customer_id])))
      FROM cdp_data.customer r WHERE r.parent_id = r.customer_id), figures(cdp.attribution_run(models => '{linear}'))
    UNION ALL
    SELECT 'window', figures(cdp.attribution_run(models => '{linear}', since => '2026-02-01', until => '2026-04-01')),
      figures(cdp.attribution_run(models => '{linear}', since => '2026-02-01', until => '2026-04-01', null_paths => true))
  LOOP
    IF w.found IS DISTINCT FROM w.wanted THEN
      INSERT INTO outcome VALUES (w.way, seed, step, format('%s instead of %s', w.found, w.wanted));
    END IF;
  END LOOP;
END $$;

-- Each step is a transaction, as in life.
CREATE PROCEDURE walk(seed integer, steps integer) LANGUAGE plpgsql AS $$
DECLARE
  chosen record;
BEGIN
  FOR step IN 1 .. steps LOOP
    CASE abs(hashint8extended(step, seed)) % 6
      WHEN 0, 1 THEN PERFORM load_some(seed * 1000 + step);
      WHEN 2, 3 THEN
        SELECT l.load_id, l.state INTO chosen FROM cdp_data.load l ORDER BY hashint8extended(l.load_id, step) LIMIT 1;
        IF chosen.state = 'done' THEN PERFORM cdp.revert_load(chosen.load_id); ELSE PERFORM cdp.retry_load(chosen.load_id); END IF;
      WHEN 4 THEN -- a merge or its undoing: one root into another, and the feed told
        SELECT c.customer_id, c.parent_id INTO chosen FROM cdp_data.customer c ORDER BY hashint8extended(c.customer_id, step) LIMIT 1;
        IF chosen.parent_id <> chosen.customer_id THEN
          UPDATE cdp_data.customer SET parent_id = customer_id WHERE customer_id = chosen.customer_id;
          PERFORM cdp_internal.feed_write(ARRAY[chosen.customer_id, chosen.parent_id], 'unmerge');
        ELSIF NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id) THEN
          UPDATE cdp_data.customer SET parent_id = (SELECT min(r.customer_id) FROM cdp_data.customer r WHERE r.customer_id <> chosen.customer_id) WHERE customer_id = chosen.customer_id;
          PERFORM cdp_internal.feed_write(ARRAY(SELECT c.customer_id FROM cdp_data.customer c), 'merge');
        END IF;
      ELSE
        PERFORM cdp.refresh_attribution();
        COMMIT;
        DELETE FROM cdp_data.change_feed; -- so that only what is stored answers
        PERFORM look(seed, step, true);
    END CASE;
    COMMIT;
    PERFORM look(seed, step, false);
  END LOOP;
END $$;

SELECT load_some(0);
SELECT cdp.define_attribution_rollup('main', models => '{linear,markov}') AS rollup;
SELECT started_over FROM cdp.refresh_attribution();
CALL walk(1, 25);
CALL walk(2, 25);
SELECT cmp_ok((SELECT count(*) FROM cdp_data.touchpoint_awaited WHERE owner_id <> customer_id), '>', 3::bigint, 'refunds under other customers came');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_awaited a LEFT JOIN cdp_data.touchpoint_key k USING (source_id, source_key) WHERE a.owner_id IS DISTINCT FROM k.customer_id), 0::bigint, 'whose a record is, is known');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint r JOIN cdp_data.touchpoint c ON c.touchpoint_id = r.refers_to WHERE r.customer_id <> c.customer_id
  AND NOT EXISTS (SELECT FROM cdp_data.touchpoint_awaited a WHERE (a.touchpoint_id, a.customer_id, a.owner_id) = (c.touchpoint_id, r.customer_id, c.customer_id))), 0::bigint, 'of every reference to another customer''s record');
SELECT is((SELECT string_agg(o::text, E'\n') FROM outcome o WHERE o.way = v.way), NULL, v.what)
FROM (VALUES ('rollup', 'the roll-up with what changed since equals the direct pass'), ('stored', 'so do its stored sums after a refresh'),
  ('slices', 'so does credit in slices of one customer'), ('customers', 'so do the customers one by one'), ('window', 'a window reads all it needs')) v (way, what);
SELECT * FROM finish();
