-- Four loaders into months without partitions, readers of everything and maintain(), all at once: no deadlock, no error, no row lost.
SELECT plan(7);
CREATE EXTENSION dblink;
SELECT dblink_connect(c, format('host=%s port=%s dbname=%s user=%s options=-cclient_min_messages=error', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user))
FROM unnest(ARRAY['l1', 'l2', 'l3', 'l4', 'r1', 'r2']) c;
SELECT cdp.add_source('shop', 'UTC');
CREATE PROCEDURE public.loader(who int) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM setseed(who / 10.0);
  FOR i IN 1 .. 8 LOOP
    CREATE TEMP TABLE staging ON COMMIT DROP AS
    SELECT 'k' || who || '-' || i || '-' || n AS source_key, timestamptz '2018-01-01 00:00+00' + m * interval '1 month' + n * interval '2 days' AS occurred_at,
      'email' AS identifier_type, 'p' || n || '@example.org' AS identifier, 'click' AS kind, 'weibo' AS source
    FROM (SELECT (random() * 50)::int AS m) x, generate_series(1, 40) n;
    PERFORM cdp.load_touchpoints('shop', 'staging');
    COMMIT;
  END LOOP;
END $$;
CREATE PROCEDURE public.reader() LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 40 LOOP
    PERFORM count(*) FROM cdp_data.touchpoint;
    PERFORM pg_sleep(0.02);
    COMMIT;
  END LOOP;
END $$;
CALL cdp.make_partitions('2017-12-01', '2017-12-01'); -- so that every month lies between partitions and is swept
SELECT dblink_send_query('l' || i, format('CALL public.loader(%s)', i)) FROM generate_series(1, 4) i;
SELECT dblink_send_query(c, 'CALL public.reader()') FROM unnest(ARRAY['r1', 'r2']) c;
CALL cdp.maintain();
CALL cdp.maintain();
SELECT lives_ok(format('SELECT * FROM dblink_get_result(%L) r (n text)', 'l' || i), 'loader ' || i || ' met no error') FROM generate_series(1, 4) i;
SELECT count(*) FROM unnest(ARRAY['r1', 'r2']) c, LATERAL dblink_get_result(c) r (n text);
CALL cdp.maintain();
SELECT is((SELECT count(*) FROM cdp_data.touchpoint JOIN cdp_data.touchpoint_key USING (touchpoint_id, customer_id, occurred_at)), 4 * 8 * 40::bigint, 'every row is there with its key');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_default), 0::bigint, 'none is left in the default partition');
SELECT is((SELECT count(*) FROM cdp_data.load WHERE state = 'done'), 32::bigint, 'every load is done');
SELECT dblink_disconnect(c) FROM unnest(ARRAY['l1', 'l2', 'l3', 'l4', 'r1', 'r2']) c;
SELECT * FROM finish();
