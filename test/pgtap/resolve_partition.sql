-- Partitions applied to customers: ids by anchor, formerly merged ones come back, equal partitions write nothing, ledger and feed agree.
SET jit = off;
\ir resolve_check.inc
SELECT plan(36);

-- Two customers of two identifiers, merged and taken apart.
SELECT pg_temp.strangers(4);
CREATE FUNCTION pg_temp.apply(parts bigint[], cause text DEFAULT 'manual') RETURNS bigint LANGUAGE sql AS $$
  SELECT (cdp_internal.apply_partition(ARRAY(SELECT identifier_id FROM cdp_data.identifier ORDER BY 1), parts, cause)).operation_id
$$;
SELECT isnt(pg_temp.apply('{1,1,2,2}'), NULL, 'four strangers become two');
SELECT is((SELECT array_agg(cdp_internal.identifier_root(identifier_id) ORDER BY identifier_id) FROM cdp_data.identifier), '{1,1,3,3}', 'each part keeps the earliest customer');
SELECT results_eq('SELECT kind COLLATE "default", customer_id, from_id, to_id, winner_size, loser_size FROM cdp_data.merge_log ORDER BY merge_id',
  $$VALUES ('merge'::text, 2::bigint, 2::bigint, 1::bigint, 1, 1), ('merge', 4, 4, 3, 1, 1)$$, 'the ledger has both merges with their sizes');
SELECT bag_eq('SELECT customer_id, cause FROM cdp_data.change_feed', $$VALUES (1::bigint, 'merge'), (2, 'merge'), (3, 'merge'), (4, 'merge')$$, 'the feed names losers and winners');
CREATE TEMP TABLE before AS SELECT pg_temp.state_of_identity() AS s;
CREATE TEMP TABLE kept AS SELECT pg_temp.written() AS w;
SELECT is(pg_temp.apply('{7,7,9,9}'), NULL, 'the same partition under other labels');
SELECT is(pg_temp.written(), (SELECT w FROM kept), 'writes nothing at all');
SELECT pg_temp.apply('{1,1,1,1}');
SELECT is((SELECT array_agg(cdp_internal.identifier_root(identifier_id) ORDER BY identifier_id) FROM cdp_data.identifier), '{1,1,1,1}', 'all one');
SELECT is((SELECT parent_id FROM cdp_data.customer WHERE customer_id = 4), 3::bigint, 'one pointer moved, the one below it stayed');
SELECT pg_temp.apply('{1,1,2,2}', 'unmerge');
SELECT is(pg_temp.state_of_identity(), (SELECT s FROM before), 'taken apart, everything is as before');
SELECT is((SELECT array_agg(DISTINCT undone_by) FROM cdp_data.merge_log WHERE kind = 'merge' AND customer_id = 3), (SELECT array_agg(DISTINCT operation_id) FROM cdp_data.merge_log WHERE kind = 'split'), 'the merge knows what undid it');
SELECT is(pg_temp.ledger_differences(), 0::bigint, 'the ledger replays to the same');

-- An identifier that came in between goes to the part of its links by an override, and back.
INSERT INTO cdp_data.identifier (type_id, value, customer_id) VALUES (14, 'between', 1);
SELECT pg_temp.apply('{1,1,2,2,2}', 'unmerge');
SELECT results_eq('SELECT * FROM cdp_data.identifier_override', 'VALUES (5::bigint, 3::bigint)', 'moved by an override');
SELECT is((SELECT customer_id FROM cdp_data.identifier WHERE identifier_id = 5), 1::bigint, 'its home stays');
SELECT results_eq('SELECT kind COLLATE "default", customer_id, identifier_id, from_id, to_id FROM cdp_data.merge_log ORDER BY merge_id DESC LIMIT 1', $$VALUES ('move'::text, 1::bigint, 5::bigint, 1::bigint, 3::bigint)$$, 'the ledger has the move');
SELECT pg_temp.apply('{1,1,2,2,1}', 'unmerge');
SELECT is_empty('SELECT * FROM cdp_data.identifier_override', 'and back: no override');
SELECT is((SELECT kind FROM cdp_data.merge_log ORDER BY merge_id DESC LIMIT 1), 'attach', 'which the ledger calls attach');
-- A part without anybody's anchor gets a new customer; the customer without anchor finds a part.
SELECT is((cdp_internal.apply_partition('{1,2,5}', '{1,1,2}', 'unmerge')).customers, '{1,5}', 'a part without an anchor gets a new customer');
SELECT results_eq('SELECT customer_id FROM cdp_data.identifier_override WHERE identifier_id = 5', 'VALUES (5::bigint)', 'to which the identifier is moved');
SELECT pg_temp.apply('{2,1,1,1,1}', 'unmerge');
SELECT is((SELECT array_agg(cdp_internal.identifier_root(identifier_id) ORDER BY identifier_id) FROM cdp_data.identifier), '{1,3,3,3,3}', 'several roots in one part: the earliest stays');
SELECT is(pg_temp.ledger_differences(), 0::bigint, 'the ledger still replays');
-- The root whose anchor went to another part keeps its number with the part of which it had most.
SELECT pg_temp.apply('{9,9,9,9,9}');
SELECT pg_temp.apply('{1,1,2,2,2}');
INSERT INTO cdp_data.identifier (type_id, value, customer_id) SELECT 14, 'late' || i, 3 FROM generate_series(1, 6) i;
SELECT is((SELECT array_agg(DISTINCT cdp_internal.identifier_root(identifier_id)) FROM cdp_data.identifier WHERE value LIKE 'late%'), '{3}', 'six late ones with customer 3');
SELECT is((cdp_internal.apply_partition(ARRAY(SELECT identifier_id FROM cdp_data.identifier ORDER BY 1), '{1,1,1,1,1,2,2,2,2,2,2}', 'rebuild')).customers, '{1,3}', 'largest overlap: no number is made or lost');
SELECT is((SELECT array_agg(DISTINCT cdp_internal.identifier_root(identifier_id)) FROM cdp_data.identifier WHERE value LIKE 'late%'), '{3}', 'they keep 3 although its anchor left');
SELECT is(pg_temp.ledger_differences(), 0::bigint, 'the ledger replays that too');
SELECT is((SELECT array_agg(customer_id) FROM cdp_data.change_feed WHERE cause = 'rebuild' AND customer_id NOT IN (SELECT customer_id FROM cdp_data.customer)), NULL, 'the feed names customers that are there');

-- Any sequence of partitions by links: customers are the components, the ledger replays, no idle override.
SELECT pg_temp.strangers(40, '{14,2,8}');
CREATE FUNCTION pg_temp.shake(seed integer, rounds integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  ids bigint[] := ARRAY(SELECT identifier_id FROM cdp_data.identifier ORDER BY 1);
  h bigint;
  was text;
BEGIN
  FOR i IN 1 .. rounds LOOP
    FOR j IN 1 .. 1 + abs(hashint8extended(i, seed)) % 6 LOOP
      h := abs(hashint8extended(j, seed * 1000 + i)) % 1000000007;
      CONTINUE WHEN h % 45 + 1 = h / 50 % 45 + 1;
      PERFORM pg_temp.put_link(ids[1 + h % 45], ids[1 + h / 50 % 45], 'manual', CASE WHEN h / 5000 % 5 < 2 THEN 'active' ELSE 'revoked' END);
    END LOOP;
    IF i % 3 = 0 THEN
      UPDATE cdp_data.link SET state = 'revoked' WHERE link_id IN (SELECT link_id FROM cdp_data.link WHERE state = 'active' ORDER BY hashint8extended(link_id, seed + i) LIMIT 4);
    END IF;
    IF i % 7 = 0 THEN
      -- Paths are shortened at times, which the ledger does not know.
      UPDATE cdp_data.customer c SET parent_id = cdp_internal.root_of(c.customer_id) WHERE c.parent_id <> cdp_internal.root_of(c.customer_id);
    END IF;
    -- Newcomers have the root of the moment as home.
    INSERT INTO cdp_data.identifier (type_id, value, customer_id) VALUES (8, 'new' || seed || '_' || i, cdp_internal.identifier_root(ids[1 + i % 45]));
    PERFORM pg_temp.put_link(ids[1 + i % 45], (SELECT max(identifier_id) FROM cdp_data.identifier));
    PERFORM cdp_internal.apply_partition((x.r).ids, (x.r).parts, 'rebuild')
    FROM (SELECT cdp_internal.resolve((cdp_internal.resolve_rules()).rules, s.what, s.id, s.other, s.ref, s.type_id, NULL, NULL) AS r FROM (
      SELECT 'n'::"char" AS what, identifier_id AS id, identifier_id AS other, NULL::bigint AS ref, 14::smallint AS type_id FROM cdp_data.identifier
      UNION ALL SELECT 'h', a_id, b_id, link_id, NULL FROM cdp_data.link WHERE state = 'active' AND kind <> 'cannot') s OFFSET 0) x;
    IF pg_temp.graph_differences() + pg_temp.ledger_differences() + pg_temp.idle_overrides() > 0 THEN
      RETURN format('round %s: graph %s, ledger %s, idle %s', i, pg_temp.graph_differences(), pg_temp.ledger_differences(), pg_temp.idle_overrides());
    END IF;
  END LOOP;
  was := pg_temp.written();
  PERFORM cdp_internal.recompute(ARRAY(SELECT customer_id FROM cdp_data.customer), 'unmerge');
  RETURN CASE WHEN was = pg_temp.written() THEN 'same' ELSE 'recompute wrote' END;
END
$$;
SELECT is(pg_temp.shake(seed, 15), 'same', 'sequence ' || seed) FROM generate_series(1, 4) seed;

-- recompute: revoked links split, cannot links split the weaker link, quarantine takes one out.
DELETE FROM cdp_data.link;
CREATE TEMP TABLE made AS SELECT pg_temp.strangers(3, '{2}') AS id;
SELECT pg_temp.put_link(id, id + 1, 'deterministic'), pg_temp.put_link(id + 1, id + 2, 'probabilistic') FROM made;
SELECT cdp_internal.apply_partition(ARRAY[id, id + 1, id + 2], '{1,1,1}', 'manual') FROM made;
SELECT pg_temp.put_link(id, id + 2, 'cannot') FROM made;
SELECT is((SELECT cardinality(cdp_internal.recompute(ARRAY[cdp_internal.identifier_root(id)], 'unmerge')) FROM made), 2, 'a cannot link takes them apart');
SELECT results_eq('SELECT kind COLLATE "default", state COLLATE "default", reason, blocker IS NOT NULL FROM cdp_data.link ORDER BY kind', $$VALUES ('cannot'::text, 'active'::text, NULL, false), ('deterministic', 'active', NULL, false), ('probabilistic', 'rejected', 'cannot', true)$$, 'at the weaker link, which names it');
UPDATE cdp_data.identifier SET state = 'quarantined' WHERE identifier_id = (SELECT id FROM made);
SELECT is((SELECT cardinality(cdp_internal.recompute(ARRAY[cdp_internal.identifier_root(id)], 'quarantine')) FROM made), 2, 'a quarantined identifier stands alone');
SELECT is((SELECT state || ' ' || reason FROM cdp_data.link WHERE kind = 'deterministic'), 'rejected super-node', 'its link is rejected');

-- Fifteen thousand customers that become one, and part again: by index, rows are read in proportion to them, not to their square.
CREATE FUNCTION pg_temp.rows_read() RETURNS bigint LANGUAGE sql AS $$
  SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_user_tables WHERE schemaname = 'cdp_data'
$$;
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT n, n FROM generate_series(1000001, 1015000) n;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) SELECT n, 14, 'many' || n, n FROM generate_series(1000001, 1015000) n;
CREATE TEMP TABLE many AS SELECT array_agg(n ORDER BY n) AS ids, array_agg(7::bigint) AS one FROM generate_series(1000001::bigint, 1015000) n;
SET enable_seqscan = off;
BEGIN;
SELECT is((SELECT (cdp_internal.apply_partition(ids, one, 'manual')).customers FROM many), '{1000001}', 'fifteen thousand customers become one');
SELECT is((SELECT (cdp_internal.apply_partition(ids, ids, 'unmerge')).customers FROM many), (SELECT ids FROM many), 'and themselves again');
SELECT cmp_ok(pg_temp.rows_read(), '<', 50 * 15000::bigint, 'few rows were read for each');
COMMIT;
RESET enable_seqscan;
SELECT * FROM finish();
