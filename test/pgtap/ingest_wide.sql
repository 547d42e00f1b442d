-- Many identifier fields: any number in a contract, up to 50 in a record. A record with more is refused alone, by every road.
SELECT plan(16);
SELECT cdp.add_source('wide'), cdp.add_source('call'), cdp.add_source('events');
UPDATE cdp_data.setting SET max_identifiers_per_customer = NULL;
SELECT cdp.add_identifier_type('tag', max_per_customer => 1000, supernode_degree => 1000000);
SELECT jsonb_agg(jsonb_build_object('field', 't' || n, 'target', 'identifier tag')) AS fields FROM generate_series(1, 120) n \gset
SELECT lives_ok(format($$SELECT cdp.declare_contract('wide', 'customer', %L)$$, :'fields'), 'a contract with 120 identifier fields');
UPDATE cdp_data.source_contract SET status = 'live';
SELECT format('CREATE TABLE people (%s)', string_agg('t' || n || ' text', ', ')) FROM generate_series(1, 120) n \gexec
-- Rows with 1, 50, 51 and 120 identifiers, and one of 50 fields with 30 different ones.
SELECT format('INSERT INTO people SELECT %s FROM unnest(ARRAY[1, 50, 51, 120]) m', string_agg(format('CASE WHEN m >= %s THEN m || ''-%s'' END', n, n), ', ' ORDER BY n)) FROM generate_series(1, 120) n \gexec
SELECT format('INSERT INTO people SELECT %s', string_agg(CASE WHEN n <= 50 THEN format('''x-%s''', n % 30) ELSE 'NULL' END, ', ' ORDER BY n)) FROM generate_series(1, 120) n \gexec
SELECT lives_ok($$SELECT * FROM cdp.load_customers('wide', 'people', note => 'first')$$, 'loads');
SELECT is((SELECT (rows_read, inserted, quarantined)::text FROM cdp_data.load WHERE note = 'first'), '(5,3,2)', 'all but the records of too many');
SELECT results_eq($$SELECT code COLLATE "default", original ->> 't1' FROM cdp_data.quarantine ORDER BY row_no$$, $$VALUES ('too_many_identifiers', '51-1'), ('too_many_identifiers', '120-1')$$, 'which wait in quarantine as they came');
SELECT matches((SELECT DISTINCT reason FROM cdp_data.quarantine), '50', 'with the number that is taken');
SELECT is((SELECT count(DISTINCT cdp.customer_of('tag', '50-' || n)) FROM generate_series(1, 50) n), 1::bigint, 'fifty are one customer');
SELECT is(cdp.customer_of('tag', '51-1'), NULL, 'of the others nothing is kept');
SELECT is((SELECT count(DISTINCT cdp.customer_of('tag', 'x-' || n)) FROM generate_series(0, 29) n), 1::bigint, 'what is told twice counts once');
UPDATE cdp_data.quarantine SET original = original - 't51' WHERE original ->> 't1' = '51-1';
SELECT is((SELECT (r.rows_read, r.inserted, r.quarantined)::text FROM cdp_data.load l, cdp.retry_quarantine(l.load_id) r WHERE l.note = 'first'), '(2,1,1)', 'mended, it is taken in');

SELECT throws_ok($$SELECT cdp.identify('call', jsonb_build_object('tag', (SELECT jsonb_agg('c' || n) FROM generate_series(1, 51) n)))$$, '54000', NULL, 'a call of 51 is an error');
SELECT lives_ok($$SELECT cdp.identify('call', jsonb_build_object('tag', (SELECT jsonb_agg('c' || n) FROM generate_series(1, 50) n)))$$, 'of 50 none');
SELECT is((SELECT status FROM cdp.ingest('call', jsonb_build_object('type', 'identify', 'messageId', 'm1', 'userId', '1', 'traits', jsonb_build_object('tag', (SELECT jsonb_agg('c' || n) FROM generate_series(1, 51) n))))),
  'refused', 'a message waits in quarantine');
SELECT format('CREATE TABLE acts AS SELECT p.*, ''k'' || t1 AS source_key, ''2026-01-01 00:00Z'' AS occurred_at, ''visit'' AS kind FROM people p') \gexec
SELECT cdp.declare_contract('events', 'event', :'fields'::jsonb || '[{"field": "source_key", "target": "touchpoint source_key"}, {"field": "occurred_at", "target": "touchpoint occurred_at"}, {"field": "kind", "target": "touchpoint kind"}]');
UPDATE cdp_data.source_contract SET status = 'live';
SELECT is((SELECT (rows_read, inserted, quarantined)::text FROM cdp.load_events('events', 'acts')), '(5,3,2)', 'events, too');
SELECT is((SELECT array_agg(DISTINCT code) FROM cdp_data.quarantine q JOIN cdp_data.source s USING (source_id) WHERE s.name = 'events'), '{too_many_identifiers}', 'for the same reason');
-- One new identifier in two fields of a record is alone, and has a customer.
SELECT cdp.add_source('twice');
SELECT cdp.declare_contract('twice', 'customer', '[{"field": "mail", "target": "identifier email"}, {"field": "work", "target": "identifier email"}]');
UPDATE cdp_data.source_contract SET status = 'live';
CREATE TABLE mails AS SELECT 'same@example.org' AS mail, 'Same@example.org ' AS work;
SELECT is((SELECT (inserted, identifiers, links)::text FROM cdp.load_customers('twice', 'mails')), '(1,1,0)', 'one address in two fields');
SELECT is_empty($$SELECT FROM cdp_data.identifier i WHERE NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = i.customer_id)$$, 'is a customer');
SELECT finish();
