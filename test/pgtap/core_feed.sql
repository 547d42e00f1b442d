-- The change feed: a transaction that commits late is read once, own rows are not lost, another cluster means a full pass.
SELECT plan(24);
CREATE EXTENSION dblink;
SELECT dblink_connect(c, format('host=%s port=%s dbname=%s user=%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user)) FROM unnest(ARRAY['one', 'two', 'reader']) c;
CREATE FUNCTION public.feed_customers(name text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(coalesce(customer_id::text, 'all'), ' ' ORDER BY seq), '') FROM cdp.feed_read(name)
$$;

SELECT is((SELECT cause FROM cdp.feed_read('report')), 'full pass', 'a new consumer makes a full pass');
SELECT lives_ok($$SELECT cdp.feed_advance('report', pg_current_snapshot())$$, 'then it has a cursor');
SELECT is(public.feed_customers('report'), '', 'and nothing to read');
SELECT is(cdp_internal.feed_write('{11,12}', 'load', '2026-01-01', '2026-02-01'), 2::bigint, 'two customers changed');
SELECT is(public.feed_customers('report'), '11 12', 'they are read');
SELECT is(public.feed_customers('report'), '11 12', 'and read again until the cursor moves');
SELECT cdp.feed_advance('report', pg_current_snapshot());
SELECT is(public.feed_customers('report'), '', 'then not again');
SELECT cdp_internal.feed_write(NULL, 'retention');
SELECT is(public.feed_customers('report'), 'all', 'NULL stands for everybody');
SELECT cdp.feed_advance('report', pg_current_snapshot());

-- One takes its number first and commits last.
SELECT dblink_exec('one', 'BEGIN');
SELECT n FROM dblink('one', $$SELECT cdp_internal.feed_write('{21}', 'load')$$) r (n bigint);
SELECT n FROM dblink('two', $$SELECT cdp_internal.feed_write('{22}', 'load')$$) r (n bigint);
SELECT is(public.feed_customers('report'), '22', 'what is committed is read');
SELECT cdp.feed_advance('report', pg_current_snapshot());
SELECT cdp_internal.feed_write('{23}', 'load');
SELECT cdp.feed_advance('report', pg_current_snapshot());
SELECT dblink_exec('one', 'COMMIT');
SELECT is(public.feed_customers('report'), '21', 'a late commit is not lost');
SELECT cdp.feed_advance('report', pg_current_snapshot());
SELECT is(public.feed_customers('report'), '', 'and read once');

-- Rows that the consumer's own transaction writes after its read come next time.
BEGIN;
SELECT cdp_internal.feed_write('{31}', 'load');
SELECT n FROM dblink('two', $$SELECT cdp_internal.feed_write('{32}', 'load')$$) r (n bigint);
SELECT is(public.feed_customers('report'), '32', 'own rows are not read by the transaction that wrote them');
SELECT cdp.feed_advance('report', pg_current_snapshot());
SELECT cdp_internal.feed_write('{33}', 'merge');
COMMIT;
SELECT is(public.feed_customers('report'), '31 33', 'but by the next one, all of them');
SELECT cdp.feed_advance('report', pg_current_snapshot());

-- Random writers with long and short transactions: each row is read exactly once.
CREATE TABLE public.seen (customer_id bigint);
CREATE PROCEDURE public.consume() LANGUAGE plpgsql AS $$
DECLARE
  upto pg_snapshot := pg_current_snapshot();
BEGIN
  INSERT INTO public.seen SELECT customer_id FROM cdp.feed_read('report', upto);
  PERFORM cdp.feed_advance('report', upto);
END $$;
CREATE PROCEDURE public.storm() LANGUAGE plpgsql AS $$
DECLARE
  open boolean[] := '{f,f}';
  who text;
  k int;
BEGIN
  PERFORM setseed(0.3);
  FOR i IN 1 .. 300 LOOP
    k := 1 + (random() < 0.5)::int;
    who := (ARRAY['one', 'two'])[k];
    IF NOT open[k] THEN
      PERFORM dblink_exec(who, 'BEGIN');
    END IF;
    open[k] := true;
    PERFORM * FROM dblink(who, format('SELECT cdp_internal.feed_write(ARRAY[%s], ''load'')', 1000 + i)) r (n bigint);
    IF random() < 0.4 THEN
      PERFORM dblink_exec(who, CASE WHEN random() < 0.2 THEN 'ROLLBACK' ELSE 'COMMIT' END);
      open[k] := false;
    END IF;
    IF random() < 0.3 THEN
      PERFORM dblink_exec('reader', 'CALL public.consume()');
    END IF;
  END LOOP;
  FOR k IN 1 .. 2 LOOP
    IF open[k] THEN
      PERFORM dblink_exec((ARRAY['one', 'two'])[k], 'COMMIT');
    END IF;
  END LOOP;
END $$;
CALL public.storm();
CALL public.consume();
SELECT results_eq('SELECT customer_id FROM public.seen ORDER BY 1', 'SELECT customer_id FROM cdp_data.change_feed WHERE customer_id > 1000 ORDER BY 1', 'random writers: each committed row is read exactly once');
SELECT cmp_ok((SELECT count(*) FROM public.seen), '>', 150::bigint, 'and there were many');

-- Errors.
SELECT throws_ok($$SELECT cdp.feed_advance('report', '10:10:')$$, '55000', NULL, 'a cursor does not go back');
SELECT throws_ok($$SELECT * FROM cdp.feed_read(NULL)$$, '22004', NULL, 'no name');

-- Trimming keeps what somebody has still to read.
SELECT cdp.feed_advance('slow', pg_current_snapshot());
SELECT cdp_internal.feed_write('{41}', 'load');
SELECT cdp.feed_advance('report', pg_current_snapshot());
SELECT cdp_internal.feed_write('{42}', 'load');
SELECT cdp.feed_advance('report', pg_current_snapshot());
UPDATE cdp_data.change_feed SET written_at = now() - interval '2 days' WHERE customer_id <> 42;
SELECT cdp_internal.trim_feed();
SELECT is(public.feed_customers('slow'), '41 42', 'trimming keeps what a slow consumer has not read');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.change_feed WHERE customer_id < 40), '=', 0::bigint, 'and deletes what both have');
SELECT cdp.feed_advance('slow', pg_current_snapshot());
SELECT cdp_internal.trim_feed();
SELECT is((SELECT string_agg(customer_id::text, ' ') FROM cdp_data.change_feed), '42', 'what is younger than a day stays for consumers to come');
SELECT cdp_internal.feed_write('{43}', 'load');
UPDATE cdp_data.feed_cursor SET advanced_at = now() - interval '1 year' WHERE consumer = 'slow';
UPDATE cdp_data.change_feed SET written_at = now() - interval '1 year';
SELECT cdp.feed_advance('report', pg_current_snapshot());
SELECT cdp_internal.trim_feed();
SELECT is((SELECT count(*) FROM cdp_data.change_feed), 0::bigint, 'a consumer that stopped reading keeps nothing back');
SELECT is((SELECT cause FROM cdp.feed_read('slow')), 'full pass', 'which then makes a full pass');

-- As restored in another cluster, whose transaction numbers were far ahead.
UPDATE cdp_data.feed_cursor SET system_identifier = 1;
INSERT INTO cdp_data.change_feed (xid, customer_id, cause) VALUES ('9000000000', 51, 'load');
SELECT is((SELECT string_agg(cause, ' ') FROM cdp.feed_read('report')), 'full pass', 'a cursor of another cluster does not hold');
SELECT cdp.feed_advance('report', pg_current_snapshot());
SELECT is((SELECT count(*) FROM cdp_data.change_feed WHERE customer_id = 51), 0::bigint, 'and rows numbered by it go with the full pass');
SELECT dblink_disconnect(c) FROM unnest(ARRAY['one', 'two', 'reader']) c;
SELECT * FROM finish();
