-- The audit: who wrote what, and that every change, deletion and reordering of sealed rows is found at its own row.
SELECT plan(53);

-- The writer.
DELETE FROM cdp_data.audit; -- what setup() left
SELECT cdp_data.audit_write('test', 'thing 1', 7, '{"n": 1}', '\x0001') \g /dev/null
SELECT results_eq('SELECT action, object, customer_id, detail::text, digest, actor, role FROM cdp_data.audit',
  $$VALUES ('test'::text, 'thing 1'::text, 7::bigint, '{"n": 1}'::text, '\x0001'::bytea, 'postgres'::text, 'postgres'::text)$$, 'a row says who did what');
CREATE ROLE audit_nobody;
CREATE ROLE audit_clerk;
CALL cdp.setup(analyst => 'audit_clerk');
SET ROLE audit_nobody;
SELECT throws_ok($$SELECT cdp_data.audit_write('test', 'x')$$, '42501', NULL, 'nobody without a part writes');
SET ROLE audit_clerk;
SELECT lives_ok($$SELECT cdp_data.audit_write('test', 'x')$$, 'who has one does');
SELECT throws_ok('SELECT * FROM cdp_data.audit', '42501', NULL, 'and can not read it');
SELECT throws_ok($$INSERT INTO cdp_data.audit (actor, role, action, object) VALUES ('a', 'a', 'a', 'a')$$, '42501', NULL, 'nor write it by hand');
RESET ROLE;
SELECT is((SELECT role FROM cdp_data.audit ORDER BY audit_id DESC LIMIT 1), 'audit_clerk', 'the role taken is told');
UPDATE cdp_data.setting SET audit = 'changes';
SELECT cdp_data.audit_write('read', 'x'), cdp_data.audit_write('test', 'y') \g /dev/null
UPDATE cdp_data.setting SET audit = 'off';
SELECT cdp_data.audit_write('test', 'z') \g /dev/null
SELECT is((SELECT array_agg(finding) FROM cdp.health() WHERE area = 'audit'), ARRAY['audit_off'], 'health tells that it is off');
UPDATE cdp_data.setting SET audit = 'full';
SELECT is((SELECT count(*) FILTER (WHERE action = 'read') || ' ' || count(*) FILTER (WHERE object = 'y') || ' ' || count(*) FILTER (WHERE object = 'z') FROM cdp_data.audit), '0 1 0', 'settings say what is written');
BEGIN;
CREATE TEMP TABLE dummy ();
SET TRANSACTION READ ONLY;
SELECT throws_ok($$SELECT cdp_internal.audit_read('f', 1)$$, '25006', NULL, 'a read can not be logged in a read-only transaction');
ROLLBACK;
SELECT lives_ok($$SELECT cdp_internal.audit_read('f', 1, '{"rows": 2}')$$, 'else it is');
SELECT throws_ok($$SELECT cdp_data.audit_write(NULL, 'x')$$, '23502', NULL, 'an action is needed');
SELECT throws_ok($$SELECT cdp_data.audit_write(repeat('x', 64), 'x')$$, '22001', NULL, 'a short one');
SELECT throws_ok($$SELECT cdp_data.audit_write('x', repeat('x', 1001))$$, '22001', NULL, 'of a thing with a name');
SELECT throws_ok($$SELECT cdp_data.audit_write('x', 'x', detail => to_jsonb(repeat('x', 17000000)))$$, '22001', NULL, 'and details within reason');
DELETE FROM cdp_data.audit;

-- Rows are ripe when every transaction that ran beside them is over, also those of other tests in other databases.
CREATE PROCEDURE pg_temp.settle() LANGUAGE plpgsql AS $$
BEGIN
  COMMIT;
  FOR i IN 1 .. 3000 LOOP
    EXIT WHEN NOT EXISTS (SELECT FROM cdp_data.audit a WHERE NOT cdp_internal.audit_ripe(a.xid, pg_current_snapshot()));
    COMMIT;
    PERFORM pg_sleep(0.02);
  END LOOP;
END $$;

-- Links against a twin in plain SQL, without a key: numbers with the lowest byte first, texts with their length before them.
CREATE FUNCTION pg_temp.le(n bigint) RETURNS bytea LANGUAGE sql AS
$$SELECT string_agg(substr(int8send(n), 9 - i, 1), NULL ORDER BY i) FROM generate_series(1, 8) i$$;
CREATE FUNCTION pg_temp.field(b bytea) RETURNS bytea LANGUAGE sql AS
$$SELECT CASE WHEN b IS NULL THEN pg_temp.le(-1) ELSE pg_temp.le(octet_length(b)::bigint) || b END$$;
CREATE FUNCTION pg_temp.twin(prev bytea, pos bigint, a cdp_data.audit) RETURNS bytea LANGUAGE sql AS $$
SELECT sha256(prev || pg_temp.le(pos) || pg_temp.le(a.audit_id) || pg_temp.le((extract(epoch FROM a.at) * 1000000)::bigint - 946684800000000) || pg_temp.le(a.xid::text::bigint)
  || pg_temp.le((a.customer_id IS NOT NULL)::integer::bigint) || pg_temp.le(coalesce(a.customer_id, 0))
  || pg_temp.field(convert_to(a.actor, 'UTF8')) || pg_temp.field(convert_to(a.role, 'UTF8')) || pg_temp.field(convert_to(a.action, 'UTF8'))
  || pg_temp.field(convert_to(a.object, 'UTF8')) || pg_temp.field(convert_to(a.detail::text, 'UTF8')) || pg_temp.field(a.digest))$$;
SELECT setseed(0.4);
INSERT INTO cdp_data.audit (actor, role, action, object, customer_id, digest, detail)
SELECT 'actor ' || n, CASE WHEN n % 3 = 0 THEN '' ELSE 'röle' END, 'a' || n % 7, repeat('o', (random() * 300)::integer), CASE WHEN n % 2 = 0 THEN n END,
  CASE WHEN n % 5 = 0 THEN sha256(n::text::bytea) END, CASE WHEN n % 4 > 0 THEN jsonb_build_object('n', n, 'x', random()) END
FROM generate_series(1, 60) n;
SELECT is((SELECT count(*) FROM cdp_data.audit a WHERE cdp_internal.audit_link(NULL, sha256('p'), 1000 + audit_id, audit_id, at, xid, actor, role, action, object, customer_id, digest, detail)
  IS DISTINCT FROM pg_temp.twin(sha256('p'), 1000 + audit_id, a)), 0::bigint, 'a link is what its twin says');
SELECT isnt(cdp_internal.audit_link(NULL, NULL, 1, 1, now(), '1', 'ab', 'c', 'x', 'x', NULL, NULL, NULL), cdp_internal.audit_link(NULL, NULL, 1, 1, now(), '1', 'a', 'bc', 'x', 'x', NULL, NULL, NULL),
  'what stands in which column counts');
SELECT throws_ok($$SELECT cdp_internal.audit_link(NULL, '\x00', 1, 1, now(), '1', 'a', 'b', 'c', 'd', NULL, NULL, NULL)$$, '22023', NULL, 'a short link is refused');
SELECT throws_ok($$SELECT cdp_internal.audit_link(NULL, NULL, NULL, 1, now(), '1', 'a', 'b', 'c', 'd', NULL, NULL, NULL)$$, '22004', NULL, 'so is no place');
SELECT throws_ok($$SELECT cdp_internal.audit_links(NULL, NULL, n, n, now(), '1', 'a', 'b', 'c', 'd', NULL, NULL, NULL) FROM (VALUES (1::bigint), (3)) v (n)$$, 'XX000', NULL, 'and a gap among places');

-- Sealing.
CALL pg_temp.settle();
SELECT is((SELECT sealed || ' ' || last_pos || ' ' || key_id FROM cdp.seal_audit()), '60 60 1', 'all rows are sealed, with the key');
SELECT is((SELECT sealed FROM cdp.seal_audit()), 0::bigint, 'once');
DO $$ BEGIN FOR i IN 1 .. 4 LOOP
  INSERT INTO cdp_data.audit (actor, role, action, object, customer_id) SELECT 'b', 'b', 'b', 'object ' || i, n FROM generate_series(1, 15) n;
  CALL pg_temp.settle();
  PERFORM cdp.seal_audit(); COMMIT; END LOOP; END $$;
INSERT INTO cdp_data.audit (actor, role, action, object) SELECT 'c', 'c', 'c', 'waits';
SELECT is((SELECT sealed FROM cdp.seal_audit('2000-01-01')), 0::bigint, 'upto leaves what is later');
SELECT is((SELECT array_agg(finding || coalesce(' ' || pos, '')) FROM cdp.audit_verify()), ARRAY['sealed 120', 'unsealed'], 'an untouched chain is whole, its tail is told');
SELECT is((SELECT array_agg(last_pos ORDER BY seal_id) FROM cdp_data.audit_seal), ARRAY[60, 75, 90, 105, 120]::bigint[], 'one seal a run');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT throws_ok('SELECT * FROM cdp.seal_audit()', '55000', NULL, 'not on an old snapshot');
ROLLBACK;

-- Every kind of tampering, many times, each in a transaction that is taken back: what is found is what was done.
CREATE FUNCTION pg_temp.found() RETURNS text[] LANGUAGE sql AS
$$SELECT array_agg(finding || ' ' || coalesce(audit_id::text, '-') ORDER BY finding, audit_id) FROM cdp.audit_verify() WHERE severity <> 'info'$$;
CREATE FUNCTION pg_temp.tamper(rounds integer) RETURNS TABLE (what text, expected text[], got text[]) LANGUAGE plpgsql AS $$
DECLARE
  ids bigint[];
  x bigint;
  y bigint;
BEGIN
  FOR i IN 1 .. rounds LOOP
    SELECT array_agg(audit_id) INTO ids FROM (SELECT audit_id FROM cdp_data.audit_chain ORDER BY random() LIMIT 2) r;
    x := least(ids[1], ids[2]);
    y := greatest(ids[1], ids[2]);
    BEGIN
      CASE i % 9
        WHEN 0 THEN UPDATE cdp_data.audit SET customer_id = coalesce(customer_id, 0) + 1 WHERE audit_id = x; what := 'customer';
        WHEN 1 THEN UPDATE cdp_data.audit SET detail = coalesce(detail, '{}') || '{"more": 1}' WHERE audit_id = x; what := 'detail';
        WHEN 2 THEN UPDATE cdp_data.audit SET at = at + interval '1 microsecond' WHERE audit_id = x; what := 'at';
        WHEN 3 THEN UPDATE cdp_data.audit SET actor = actor || ' ' WHERE audit_id = x; what := 'actor';
        WHEN 4 THEN UPDATE cdp_data.audit SET digest = '\x' WHERE audit_id = x; what := 'digest';
        WHEN 5 THEN UPDATE cdp_data.audit SET xid = '3' WHERE audit_id = x; what := 'xid';
        WHEN 6 THEN DELETE FROM cdp_data.audit WHERE audit_id = x; what := 'delete';
        WHEN 7 THEN
          UPDATE cdp_data.audit SET audit_id = -audit_id WHERE audit_id IN (x, y);
          UPDATE cdp_data.audit SET audit_id = CASE audit_id WHEN -x THEN y ELSE x END WHERE audit_id IN (-x, -y); what := 'swap rows';
        ELSE
          UPDATE cdp_data.audit_chain SET audit_id = -audit_id WHERE audit_id IN (x, y);
          UPDATE cdp_data.audit_chain SET audit_id = CASE audit_id WHEN -x THEN y ELSE x END WHERE audit_id IN (-x, -y); what := 'swap places';
      END CASE;
      expected := CASE WHEN what LIKE 'swap%' THEN ARRAY['swapped ' || x, 'swapped ' || y] WHEN what = 'delete' THEN ARRAY['removed ' || x] ELSE ARRAY['changed ' || x] END;
      got := pg_temp.found();
      RAISE EXCEPTION 'back' USING ERRCODE = 'TTTTT';
    EXCEPTION WHEN SQLSTATE 'TTTTT' THEN NULL;
    END;
    IF got IS DISTINCT FROM expected THEN
      RETURN NEXT;
    END IF;
  END LOOP;
END $$;
SELECT is_empty('SELECT * FROM pg_temp.tamper(54)', 'a changed, removed or swapped row is found, and no other');
SELECT is(pg_temp.found(), NULL, 'after each, all is whole again');

CREATE FUNCTION pg_temp.after(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE got text;
BEGIN
  BEGIN
    EXECUTE command;
    got := (SELECT string_agg(DISTINCT finding, ' ' ORDER BY finding) FROM cdp.audit_verify() WHERE severity <> 'info');
    RAISE EXCEPTION 'back' USING ERRCODE = 'TTTTT';
  EXCEPTION WHEN SQLSTATE 'TTTTT' THEN RETURN got;
  END;
END $$;
SELECT is(pg_temp.after($$WITH c AS (DELETE FROM cdp_data.audit_chain WHERE pos IN (30, 31) RETURNING audit_id) DELETE FROM cdp_data.audit WHERE audit_id IN (SELECT audit_id FROM c)$$), 'links_removed', 'rows removed with their links');
SELECT is((SELECT detail FROM cdp.audit_verify() LIMIT 0), NULL, 'nothing stays of it');
-- Their rows are also told as added where nothing, in no other database either, ran beside the last seal.
SELECT is(replace(pg_temp.after($$DELETE FROM cdp_data.audit_chain WHERE pos > 110$$), 'added ', ''), 'head_changed links_removed', 'the end cut off');
SELECT is(pg_temp.after($$WITH s AS (DELETE FROM cdp_data.audit_seal WHERE last_pos > 105), c AS (DELETE FROM cdp_data.audit_chain WHERE pos > 105 RETURNING audit_id) DELETE FROM cdp_data.audit WHERE audit_id IN (SELECT audit_id FROM c)$$), NULL, 'the end cut off with its seal can not be seen');
CALL pg_temp.settle();
SELECT head AS noted FROM cdp.seal_audit() \gset
SELECT is((SELECT count(*) FROM cdp.audit_verify(:'noted') WHERE severity <> 'info'), 0::bigint, 'a head that was noted is in the chain');
SELECT is((SELECT array_agg(finding) FROM cdp.audit_verify(repeat('0', 64)) WHERE severity <> 'info'), ARRAY['unknown_head'], 'but by a head that was noted elsewhere');
SELECT is(pg_temp.after($$UPDATE cdp_data.audit_chain SET link = sha256(link) WHERE pos = 50$$), 'changed', 'a link');
SELECT is(pg_temp.after($$UPDATE cdp_data.audit_seal SET last_id = last_id + 1 WHERE last_pos = 75$$), 'seal_changed', 'a seal');
SELECT is(pg_temp.after($$DELETE FROM cdp_data.audit_seal WHERE last_pos = 75$$), 'seal_missing', 'a seal removed');
SELECT is(pg_temp.after($$INSERT INTO cdp_data.audit (audit_id, actor, role, action, object) VALUES (-1, 'x', 'x', 'x', 'x')$$), 'added', 'a row put in among sealed ones');
SELECT is(pg_temp.after($$SELECT cdp_internal.seal_write('trim', 90, 90, NULL, (SELECT link FROM cdp_data.audit_chain WHERE pos = 90), '0', cdp_internal.next_xid(), 0)$$), 'seal_changed', 'a trim without the key');
SELECT is(pg_temp.after($$WITH gone AS (DELETE FROM cdp_data.audit a USING cdp_data.audit_chain c WHERE c.audit_id = a.audit_id AND c.pos <= 90), links AS (DELETE FROM cdp_data.audit_chain WHERE pos < 90), seals AS (DELETE FROM cdp_data.audit_seal WHERE last_pos <= 90)
  INSERT INTO cdp_data.audit_seal (seal_id, at, kind, first_pos, last_pos, head, snapshot_xmin, next_xid, last_id, system_identifier, mac)
  SELECT -1, now(), 'trim', 90, 90, c.link, '0', '3', 0, 0, cdp_internal.seal_mac(-1, now(), 'trim', 90, 90, NULL, c.link, '0', '3', 0, 0) FROM cdp_data.audit_chain c WHERE c.pos = 90$$),
  'seal_changed', 'or one before all others, with all that it would have deleted');
SELECT is(pg_temp.after($$UPDATE cdp_data.audit_seal SET key_id = 9 WHERE last_pos = 75$$), 'key_missing', 'a key that is not there');

-- What was removed before it was sealed leaves a number without a row, as a transaction that was rolled back does.
CREATE FUNCTION pg_temp.holes() RETURNS bigint LANGUAGE sql AS $$SELECT split_part(cdp_internal.audit_holes(), ': ', 2)::bigint$$;
SELECT pg_temp.holes() AS holes \gset
SELECT cdp_data.audit_write('test', 'stays'), cdp_data.audit_write('test', 'goes') \g /dev/null
SELECT is(pg_temp.holes(), :holes::bigint, 'every new number has its row');
DELETE FROM cdp_data.audit WHERE object = 'goes';
SELECT is(pg_temp.holes(), :holes + 1::bigint, 'one that was removed before the seal lacks it');
SELECT is((SELECT detail LIKE '%numbers up to % without a row: ' || pg_temp.holes() || '%' FROM cdp.audit_verify() WHERE finding = 'unsealed'), true, 'which audit_verify() tells');

-- Retention.
SELECT is(cdp_internal.trim_audit((SELECT a.at FROM cdp_data.audit a JOIN cdp_data.audit_chain c USING (audit_id) WHERE c.pos = 66)), 65::bigint, 'what is old goes');
SELECT is(pg_temp.holes(), :holes + 1::bigint, 'what retention deleted is no hole');
SELECT is(pg_temp.found(), NULL, 'what is left is whole');
SELECT is(pg_temp.after('UPDATE cdp_data.audit SET object = object || ''!'' WHERE audit_id = (SELECT audit_id FROM cdp_data.audit_chain WHERE pos = 66)'), 'changed', 'and still guarded from its first row');
UPDATE cdp_data.setting SET audit_retention = '1 microsecond';
SET client_min_messages = error;
CALL pg_temp.settle();
CALL cdp_internal.maintain_room_governance();
SELECT is((SELECT string_agg(DISTINCT action, ' ') FROM cdp_data.audit), 'retention', 'maintenance seals and deletes all that is old; the deletion stays');
SELECT is(cdp_internal.audit_check(), 0::bigint, 'the job finds nothing wrong');
UPDATE cdp_data.audit_check SET at = now() - interval '40 days', errors = 2, first_error = 'changed at place 3, row 3';
UPDATE cdp_data.audit SET at = now() - interval '4 days';
SELECT is((SELECT array_agg(finding) FROM cdp.health() WHERE area = 'audit'), ARRAY['audit_broken', 'audit_unchecked', 'audit_unsealed'], 'health tells what is wrong');
-- A chain without a key that was trimmed goes on with one.
DELETE FROM cdp_data.audit_chain; DELETE FROM cdp_data.audit_seal; DELETE FROM cdp_data.audit;
SET cdp.key_file = '';
INSERT INTO cdp_data.audit (actor, role, action, object) SELECT 'd', 'd', 'd', 'object ' || n FROM generate_series(1, 10) n;
CALL pg_temp.settle();
SELECT is((SELECT sealed || coalesce(' ' || key_id, '') FROM cdp.seal_audit()), '10', 'sealed without a key');
SELECT cdp_internal.trim_audit((SELECT a.at FROM cdp_data.audit a JOIN cdp_data.audit_chain c USING (audit_id) WHERE c.pos = 6)) \g /dev/null
RESET cdp.key_file;
CALL pg_temp.settle();
SELECT is((SELECT last_pos || ' ' || key_id FROM cdp.seal_audit()), '11 1', 'and then with one');
SELECT is(pg_temp.found(), NULL, 'the chain is whole, its trim has the key');
DROP OWNED BY audit_clerk;
DROP ROLE audit_nobody, audit_clerk;
SELECT * FROM finish();
