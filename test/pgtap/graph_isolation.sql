-- Callers with one snapshot for the whole transaction: what they cannot see makes them fail, never err. And the plain
-- way: whoever waited for a lock looks again.
SELECT plan(48);
CREATE EXTENSION dblink;
SELECT dblink_connect(c, format('host=%s port=%s dbname=%s user=%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user)) FROM unnest(ARRAY['one', 'two']) c;
\ir waiting.inc
SELECT public.backend_of('one') AS one, public.backend_of('two') AS two \gset
SELECT cdp.add_source('shop');
INSERT INTO cdp_data.load (source_id, kind, state) VALUES (1, 'calls', 'done');
CREATE FUNCTION public.seen(ids jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  c record := cdp_internal.clean_identifiers(ids);
BEGIN
  RETURN (cdp_internal.identify_in(1, 1, c.type_ids, c.vals, '2026-01-01', NULL, 'identify')).customer_id;
END $$;
CREATE FUNCTION public.in_one(ids jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  -- A record, or a statement.
  RETURN (SELECT r FROM dblink('one', CASE WHEN ids ? 'sql' THEN ids ->> 'sql' ELSE format('SELECT public.seen(%L)', ids) END) x (r text));
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
CREATE FUNCTION public.number(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT identifier_id FROM cdp_data.identifier WHERE value = v $$;
CREATE FUNCTION public.who(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp_internal.identifier_root(identifier_id) FROM cdp_data.identifier WHERE value = v $$;
SELECT public.seen('{"user_id": "A"}'), public.seen('{"email": "b@example.com"}'), public.seen('{"cookie": ["x1", "x2"]}');

-- Each: one takes its snapshot, two changes something, one acts on the same customer.
CREATE FUNCTION public.behind_that(level text, meanwhile text, act jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  PERFORM dblink_exec('one', 'BEGIN ISOLATION LEVEL ' || level);
  PERFORM * FROM dblink('one', 'SELECT count(*) FROM cdp_data.customer') x (n bigint);
  PERFORM * FROM dblink('two', meanwhile) x (n text);
  answer := public.in_one(act);
  PERFORM dblink_exec('one', CASE WHEN answer ~ '^\d{5}$' AND answer > '30000' THEN 'ROLLBACK' ELSE 'COMMIT' END);
  RETURN answer;
END $$;
CREATE FUNCTION public.behind(level text, meanwhile jsonb, act jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT public.behind_that(level, format('SELECT public.seen(%L)', meanwhile), act)
$$;
SELECT is(public.behind('REPEATABLE READ', '{"user_id": "A", "email": "b@example.com"}', '{"user_id": "A", "cookie": "n1"}'), '40001', 'the winner of a merge that is not seen');
SELECT is(public.behind('REPEATABLE READ', '{"user_id": "A", "cookie": "n2"}', '{"user_id": "A", "cookie": "n3"}'), '40001', 'a customer to whom somebody was attached meanwhile');
SELECT is(public.behind('REPEATABLE READ', '{"user_id": "A", "cookie": "n4"}', '{"user_id": "C", "cookie": "n4"}'), '40001', 'an identifier that somebody else made meanwhile');
SELECT is(public.behind('REPEATABLE READ', '{"cookie": ["x1", "n5"]}', '{"cookie": ["x2", "x1"]}'), public.who('x1')::text, 'a record that changes nothing needs no new snapshot');
SELECT is(public.behind('REPEATABLE READ', '{"cookie": ["x1", "x2", "n6"]}', '{"cookie": ["x2", "n7"]}'), '40001', 'links within a customer');
SELECT is(public.behind('SERIALIZABLE', '{"user_id": "A", "cookie": "n8"}', '{"user_id": "A", "cookie": "n9"}'), '40001', 'so it is with SERIALIZABLE');
-- A merge leaves the row of the customer that stays as it is, so that it does not grow a version a merge; who cannot see the
-- merge fails all the same, whatever he wants with that customer.
SELECT public.seen(jsonb_build_object('user_id', 'G' || n)), public.seen(jsonb_build_object('email', format('g%s@example.com', n))) FROM generate_series(1, 4) n;
CREATE FUNCTION public.row_of(v text) RETURNS text LANGUAGE sql AS $$ SELECT c.xmin || ' ' || c.ctid FROM cdp_data.customer c WHERE c.customer_id = public.who(v) $$;
SELECT public.row_of('G1') AS before \gset
SELECT is(public.seen('{"user_id": "G1", "email": "g1@example.com"}'), public.who('g1@example.com'), 'a merge');
SELECT is(public.row_of('G1'), :'before', 'writes no row of the customer that stays');
SELECT is(public.behind('REPEATABLE READ', '{"user_id": "G2", "email": "g2@example.com"}',
  jsonb_build_object('sql', format('SELECT count(*) FROM cdp.unmerge(identifier => %s)', public.number('G2')))), '40001', 'an unmerge where somebody came meanwhile');
SELECT is(public.behind('SERIALIZABLE', '{"user_id": "G3", "email": "g3@example.com"}',
  jsonb_build_object('sql', format('SELECT (cdp.link_identifiers(%s, %s)).state', public.number('G3'), public.number('x1')))), '40001', 'a link to where somebody came meanwhile');
DROP INDEX cdp_data.merge_log_to_idx;
SELECT is(public.behind('REPEATABLE READ', '{"user_id": "G4", "email": "g4@example.com"}', '{"user_id": "G4", "cookie": "n12"}'), '40001', 'so it is without the index of the ledger');
CREATE INDEX merge_log_to_idx ON cdp_data.merge_log (to_id, merge_id);
SELECT isnt(public.behind('REPEATABLE READ', '{"cookie": "m1"}', '{"cookie": "m2"}'), '40001', 'who works on other customers does not fail');
SELECT is(public.behind('READ COMMITTED', '{"user_id": "A", "cookie": "n10"}', '{"user_id": "A", "cookie": "n11"}'), public.who('A')::text, 'nor does anybody in READ COMMITTED');
-- What a person decides is a change of what a root holds as well, even where nobody moves.
SELECT public.seen(jsonb_build_object('cookie', 'd' || n)) FROM generate_series(1, 7) n;
SELECT is(public.behind_that('REPEATABLE READ', format('SELECT cdp.forbid_link(%s, %s)', public.number('d1'), public.number('d2')), '{"cookie": ["d1", "d2"]}'),
  '40001', 'two customers that somebody forbade to be one');
SELECT is(public.behind_that('REPEATABLE READ', format('SELECT cdp.quarantine_identifier(%s)', public.number('d3')), '{"cookie": ["d3", "d4"]}'),
  '40001', 'an identifier that somebody took out, alone as it was');
SELECT cdp.quarantine_identifier(public.number('d4'));
CREATE TABLE public.batch AS SELECT 'd4' AS cookie, 'd@example.com' AS email, timestamptz '2026-01-01' AS observed_at;
SELECT is(public.behind_that('REPEATABLE READ', format('SELECT cdp.release_identifier(%s)', public.number('d4')),
  '{"sql": "SELECT links_rejected FROM cdp.load_customers(''shop'', ''batch'')"}'),
  '40001', 'a batch with an identifier that somebody released, alone as it was');
SELECT cdp.quarantine_identifier(public.number('d4'));
SELECT is(public.behind_that('REPEATABLE READ', format('SELECT cdp.release_identifier(%s)', public.number('d4')), '{"cookie": "d4", "email": "d9@example.com"}'),
  '40001', 'and a record with it');
SELECT public.seen('{"cookie": ["d5", "d6"]}');
SELECT is(public.behind_that('REPEATABLE READ', format('SELECT (cdp.link_identifiers(%s, %s)).state', public.number('d5'), public.number('d6')), '{"cookie": ["d5", "d7"]}'),
  '40001', 'a link that somebody made within a customer');
-- A batch that merely repeats another one writes neither links nor roots, nor does one that is put in again.
CREATE TABLE public.again AS SELECT 'e1' AS cookie, 'e@example.com' AS email, timestamptz '2026-01-01' AS observed_at;
SELECT load_id AS first FROM cdp.load_customers('shop', 'again') \gset
SELECT is(public.behind_that('REPEATABLE READ', 'SELECT load_id FROM cdp.load_customers(''shop'', ''again'')',
  jsonb_build_object('sql', format('SELECT cdp.revert_load(%s)', :first))), '40001', 'a load that somebody repeated is taken back');
SELECT cdp.add_source('desk');
SELECT load_id AS other FROM cdp.load_customers('desk', 'again') \gset
SELECT load_id AS more FROM cdp.load_customers('desk', 'again') \gset
SELECT cdp.revert_load(:other), cdp.revert_load(:more), cdp.revert_load((SELECT max(load_id) FROM cdp_data.load WHERE source_id = 1 AND kind = 'customers'));
SELECT is(public.behind_that('REPEATABLE READ', format('SELECT cdp.retry_load(%s)', :more),
  jsonb_build_object('sql', format('SELECT cdp.revert_load(%s)', :first))), '40001', 'a load is taken back whose links another source''s load shows again');
SELECT is(public.who('e1'), public.who('e@example.com'), 'so that they hold');
SELECT is(public.behind_that('REPEATABLE READ', 'SELECT 1', jsonb_build_object('sql', format('SELECT cdp.revert_load(%s)', :first))), '(0,0)', 'alone, it is taken back on any snapshot');
SELECT is(public.who('e1'), public.who('e@example.com'), 'and the links hold by what repeated them');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'the promise holds');

-- One has merged and not committed; two waits for the root, and finds where it went.
SELECT public.seen('{"user_id": "P"}'), public.seen('{"email": "p@example.com"}'), public.seen('{"user_id": "Q"}');
SELECT dblink_exec('one', 'BEGIN');
SELECT public.in_one('{"user_id": "P", "email": "p@example.com"}');
SELECT dblink_send_query('two', $$SELECT public.seen('{"email": "p@example.com", "cookie": "p1"}')$$);
SELECT public.until_settled('two', :two);
SELECT is(dblink_is_busy('two'), 1, 'whoever wants the same customer waits');
SELECT dblink_exec('one', 'COMMIT');
SELECT is((SELECT r FROM dblink_get_result('two') x (r bigint)), public.who('P'), 'and attaches to the one that it became');
SELECT is((SELECT count(*) FROM dblink_get_result('two') x (r bigint)), 0::bigint, 'without an error');

-- The limit is judged by what the winner of the lock has left.
SELECT dblink_exec('one', 'BEGIN');
SELECT public.in_one('{"user_id": "Q", "cookie": "q1"}');
SELECT dblink_send_query('two', $$SELECT public.seen('{"user_id": "P", "cookie": "q1"}')$$);
SELECT public.until_settled('two', :two);
SELECT dblink_exec('one', 'COMMIT');
SELECT is((SELECT r FROM dblink_get_result('two') x (r bigint)), public.who('P'), 'a cookie that came to somebody else meanwhile');
SELECT is((SELECT count(*) FROM dblink_get_result('two') x (r bigint)), 0::bigint, 'is no error');
SELECT isnt(public.who('q1'), public.who('P'), 'but stays there: one account a customer');

-- An unmerge waits like a record.
SELECT max(merge_id) AS merge FROM cdp_data.merge_log WHERE kind = 'merge' \gset
SELECT dblink_exec('one', 'BEGIN');
SELECT public.in_one('{"email": "p@example.com", "cookie": "p2"}');
SELECT dblink_send_query('two', format('SELECT count(*) FROM cdp.unmerge(merge => %s)', :merge));
SELECT public.until_settled('two', :two);
SELECT is(dblink_is_busy('two'), 1, 'an unmerge waits for a record');
SELECT dblink_exec('one', 'COMMIT');
SELECT is((SELECT r FROM dblink_get_result('two') x (r bigint)), 2::bigint, 'and takes apart');
SELECT is((SELECT count(*) FROM dblink_get_result('two') x (r bigint)), 0::bigint, 'without an error');
SELECT is(public.who('p2'), public.who('p@example.com'), 'what the record brought goes along');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'the promise holds');
-- A limit holds where the row of the customer that stays is as it was, but others came to it.
SELECT cdp.add_identifier_type('badge', max_per_customer => 1) IS NOT NULL AS made;
SELECT public.seen('{"user_id": "B"}'), public.seen('{"badge": "b1"}'), public.seen('{"badge": "b2"}');
SELECT dblink_exec('one', 'BEGIN');
SELECT public.in_one('{"user_id": "B", "badge": "b1"}');
SELECT dblink_send_query('two', $$SELECT public.seen('{"user_id": "B", "badge": "b2"}')$$);
SELECT pg_sleep(0.2);
SELECT dblink_exec('one', 'COMMIT');
SELECT is((SELECT r FROM dblink_get_result('two') x (r bigint)), public.who('b1'), 'a badge beside one that came meanwhile');
SELECT count(*) FROM dblink_get_result('two') x (r bigint);
SELECT isnt(public.who('b2'), public.who('B'), 'stays out: one a customer');

-- A match taken back may let in a link that a limit had stopped: the customer at its far end is locked in order, too.
SELECT public.seen('{"user_id": "L1"}'), public.seen('{"user_id": "L2"}'), public.seen('{"cookie": "s1"}');
SELECT (cdp_internal.link_scores('r', ARRAY[public.number('L2')], ARRAY[public.number('s1')], '{9}')).accepted;
SELECT (cdp.link_identifiers(public.number('L1'), public.number('s1'))).why;
BEGIN;
SELECT count(*) FROM (SELECT FROM cdp_data.link WHERE kind = 'probabilistic' FOR UPDATE) x;
SELECT dblink_send_query('one', format('SELECT cdp_internal.unlink_scores(''r2'', ARRAY[%s::bigint], ARRAY[%s::bigint])', public.number('L2'), public.number('s1')));
SELECT public.until_settled('one', :one);
SELECT dblink_send_query('two', $$SELECT public.seen('{"user_id": ["L1", "L2"]}')$$);
SELECT public.until_settled('two', :two);
COMMIT;
SELECT lives_ok($$SELECT * FROM dblink_get_result('one') x (n bigint)$$, 'a match is taken back');
SELECT lives_ok($$SELECT * FROM dblink_get_result('two') x (n bigint)$$, 'beside a record that wants both customers: no deadlock');
SELECT count(*) FROM dblink_get_result('one') x (n bigint);
SELECT count(*) FROM dblink_get_result('two') x (n bigint);
SELECT is(public.who('s1'), public.who('L1'), 'and the link that was stopped holds');

-- A release beside records: neither one under way nor one that waits for the release is left rejected.
SELECT public.seen('{"cookie": "r1"}'), public.seen('{"cookie": "r2"}'), public.seen('{"cookie": "r3"}');
SELECT cdp.quarantine_identifier(public.number('r1'));
SELECT dblink_exec('one', 'BEGIN');
SELECT public.in_one('{"cookie": ["r1", "r2"]}');
SELECT dblink_send_query('two', format('SELECT cdp.release_identifier(%s)', public.number('r1')));
SELECT public.until_settled('two', :two);
SELECT dblink_exec('one', 'COMMIT');
SELECT count(*) FROM dblink_get_result('two') x (r bigint);
SELECT count(*) FROM dblink_get_result('two') x (r bigint);
SELECT is(public.who('r1'), public.who('r2'), 'a link that came while its end was released holds');
SELECT cdp.quarantine_identifier(public.number('r1'));
SELECT dblink_exec('one', 'BEGIN');
SELECT * FROM dblink('one', format('SELECT cdp.release_identifier(%s)', public.number('r1'))) x (r bigint);
SELECT dblink_send_query('two', $$SELECT public.seen('{"cookie": ["r1", "r3"]}')$$);
SELECT public.until_settled('two', :two);
SELECT dblink_exec('one', 'COMMIT');
SELECT count(*) FROM dblink_get_result('two') x (r bigint);
SELECT count(*) FROM dblink_get_result('two') x (r bigint);
SELECT is(public.who('r1'), public.who('r3'), 'and one that waited for it');

-- A rebuild computes before it holds the table, and computes again when somebody wrote meanwhile.
SELECT public.seen('{"cookie": ["f1", "f2"]}');
BEGIN;
SELECT cdp.forbid_link(public.number('f1'), public.number('f2'), 'two people');
SELECT dblink_send_query('two', 'SELECT count(*) FROM cdp.rebuild(dry_run => false)');
SELECT public.until_settled('two', :two);
SELECT is((SELECT count(*) FROM pg_locks l WHERE l.pid = :two AND l.relation = 'cdp_data.link'::regclass AND l.mode = 'ShareRowExclusiveLock' AND NOT l.granted), 1::bigint, 'a rebuild waits for a writer');
SELECT is((SELECT count(*) FROM pg_locks l WHERE l.pid = :two AND l.relation = 'cdp_data.identifier'::regclass AND l.granted), 1::bigint, 'and has read all before it wants the table');
COMMIT;
SELECT cmp_ok((SELECT n FROM dblink_get_result('two') x (n bigint)), '>=', 0::bigint, 'then it goes on');
SELECT count(*) FROM dblink_get_result('two') x (n bigint);
SELECT isnt(public.who('f1'), public.who('f2'), 'and obeys what the writer forbade');

-- The load of the day, taken back after the snapshot of a call: the call must not write into it.
SELECT (cdp.identify('shop', '{"cookie": "l0"}')).customer_id IS NOT NULL;
SELECT dblink_exec('one', 'BEGIN ISOLATION LEVEL REPEATABLE READ');
SELECT * FROM dblink('one', 'SELECT count(*) FROM cdp_data.customer') x (n bigint);
SELECT cdp.revert_load((SELECT max(load_id) FROM cdp_data.load WHERE kind = 'calls')) IS NOT NULL;
SELECT throws_ok($$SELECT * FROM dblink('one', 'SELECT (cdp.identify(''shop'', ''{"cookie": ["l1", "l2"]}'')).customer_id') x (n bigint)$$, '40001', NULL, 'a load that was taken back meanwhile');
SELECT dblink_exec('one', 'ROLLBACK');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'supports nothing');
SELECT * FROM finish();
