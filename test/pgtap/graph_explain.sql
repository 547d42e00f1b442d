-- Explanations: every identifier and how it came, the shortest path, the ledger, the check itself, and who may see values.
SELECT plan(29);
SELECT cdp.add_source('shop') AS shop \gset
INSERT INTO cdp_data.load (source_id, kind, state) VALUES (:shop, 'calls', 'done');
CREATE FUNCTION public.seen(ids jsonb, key text DEFAULT 'r1') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  c record := cdp_internal.clean_identifiers(ids);
BEGIN
  RETURN (cdp_internal.identify_in(1, 1, c.type_ids, c.vals, '2026-01-01', key, 'identify')).customer_id;
END $$;
CREATE FUNCTION public.id(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT identifier_id FROM cdp_data.identifier WHERE value = v $$;
SELECT public.seen('{"user_id": "A", "email": "secret@example.com"}', 'r1'), public.seen('{"email": "secret@example.com", "cookie": "k1"}', 'r2'),
  public.seen('{"cookie": ["k1", "k2"]}', 'r3');

SELECT results_eq('SELECT step, identifier_type, value, linked_with, how FROM cdp.explain_identity(1)',
  $$VALUES (0, 'user_id', 'A', NULL::bigint, 'the strongest: the others are told from here'),
    (1, 'email', 'secret@example.com', public.id('A'), 'seen together in a record of ''shop'' at 2026-01-01 00:00:00'),
    (2, 'cookie', 'k1', public.id('secret@example.com'), 'seen together in a record of ''shop'' at 2026-01-01 00:00:00'),
    (3, 'cookie', 'k2', public.id('k1'), 'seen together in a record of ''shop'' at 2026-01-01 00:00:00')$$, 'every identifier, outwards from the strongest');
SELECT results_eq('SELECT source, load_id, event_key, links FROM cdp.explain_identity(1) WHERE step = 2', $$VALUES ('shop', 1::bigint, 'r2', 2::bigint)$$, 'with source, load and record');
SELECT results_eq('SELECT from_type, to_type, link_kind FROM cdp.why_same(public.id($$k2$$), public.id($$A$$))',
  $$VALUES ('cookie', 'cookie', 'deterministic'), ('cookie', 'email', 'deterministic'), ('email', 'user_id', 'deterministic')$$, 'the way from one to the other');
SELECT public.seen('{"user_id": "A", "cookie": "k2"}', 'r4');
SELECT is((SELECT count(*) FROM cdp.why_same(public.id('k2'), public.id('A'))), 1::bigint, 'is the shortest');
SELECT public.seen('{"user_id": "Z"}');
SELECT is_empty('SELECT * FROM cdp.why_same(public.id($$A$$), public.id($$Z$$))', 'two customers have none');
SELECT throws_ok('SELECT * FROM cdp.why_same(1, 99999)', '22023', 'there is no identifier 99999', 'an unknown identifier is told');
SELECT throws_ok('SELECT * FROM cdp.explain_identity(99999)', '22023', 'there is no customer 99999', 'an unknown customer is told');
SELECT results_eq('SELECT kind, cause FROM cdp.customer_merges(1)', 'SELECT $$x$$, $$y$$ WHERE false', 'nothing was merged yet');

-- Who may not read values gets none.
CREATE ROLE graph_admin;
CREATE ROLE graph_reader;
CALL cdp.setup(admin => 'graph_admin');
SET ROLE graph_admin;
SELECT is((SELECT count(*) FROM cdp.explain_identity(1) WHERE value IS NOT NULL OR event_key IS NOT NULL), 0::bigint, 'an admin sees no value');
SELECT is((SELECT count(*) FROM cdp.explain_identity(1)), 4::bigint, 'but every identifier');
SELECT throws_ok('SELECT value FROM cdp_data.identifier', '42501', NULL, 'nor by himself');
SET ROLE graph_reader;
SELECT throws_ok('SELECT * FROM cdp.explain_identity(1)', '42501', NULL, 'who has no rights gets nothing');
RESET ROLE;

-- The check finds each kind of damage.
SELECT public.seen('{"cookie": ["d1", "d2"]}'), public.seen('{"cookie": ["d3", "d4"]}');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'all is well');
CREATE FUNCTION public.broken(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text;
BEGIN
  BEGIN
    EXECUTE change;
    found := (SELECT string_agg(DISTINCT violation, ', ' ORDER BY violation) FROM cdp.identity_check());
    RAISE EXCEPTION USING ERRCODE = 'ZZ001';
  EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
    RETURN found;
  END;
END $$;
SELECT is(public.broken('UPDATE cdp_data.customer SET parent_id = 77777 WHERE customer_id = 1'), 'dangling, parent', 'a parent that is not there');
SELECT is(public.broken('UPDATE cdp_data.customer SET parent_id = CASE customer_id WHEN 1 THEN 2 ELSE 1 END WHERE customer_id IN (1, 2)'), 'dangling, parent', 'parents in a circle');
SELECT is(public.broken('UPDATE cdp_data.identifier SET customer_id = 77777 WHERE value = $$Z$$'), 'dangling', 'a home that is not there');
SELECT is(public.broken('INSERT INTO cdp_data.identifier_override VALUES (77777, 1)'), 'dangling', 'an override of nobody');
SELECT is(public.broken('INSERT INTO cdp_data.link (a_id, b_id, kind, state, first_seen) VALUES (1, 77777, $$manual$$, $$active$$, now())'), 'dangling', 'a link to nobody');
SELECT is(public.broken('INSERT INTO cdp_data.link (a_id, b_id, kind, state, first_seen) SELECT public.id($$d1$$), public.id($$d3$$), $$manual$$, $$active$$, now()'), 'lost merge', 'a lost merge');
SELECT is(public.broken('UPDATE cdp_data.link SET state = $$revoked$$ WHERE a_id = public.id($$d1$$)'), 'not connected', 'a customer that nothing holds together');
SELECT is(public.broken('INSERT INTO cdp_data.link (a_id, b_id, kind, state, first_seen) SELECT public.id($$d1$$), public.id($$d2$$), $$cannot$$, $$active$$, now()'), 'cannot', 'two that must not be one');
SELECT is(public.broken('UPDATE cdp_data.identifier SET state = $$quarantined$$ WHERE value = $$d1$$'), 'super-node', 'a link of a shared one');
SELECT is(public.broken('UPDATE cdp_data.load SET state = $$reverted$$'), 'support', 'links without a load');
SELECT is((SELECT violation FROM cdp.identity_check()), NULL, 'and nothing of it stayed');
SELECT throws_ok('SELECT cdp_internal.root_of(77777), 1/0', '22012', NULL, 'an unknown customer has no root') WHERE cdp_internal.root_of(77777) IS NULL;

-- Health.
INSERT INTO cdp_data.identity_alert (kind, identifier_id) VALUES ('super_node', 1);
SELECT is((SELECT count(*) FROM cdp.health() WHERE area = 'identity' AND finding = 'alert_super_node'), 1::bigint, 'open alerts are a finding');
UPDATE cdp_data.identity_alert SET resolved_at = now();
SELECT is((SELECT count(*) FROM cdp.health() WHERE area = 'identity'), 0::bigint, 'resolved ones are not');

-- Sixteen thousand identifiers in a star: rows are read in proportion to them, not all links for each.
INSERT INTO cdp_data.customer (customer_id, parent_id) VALUES (1000001, 1000001);
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id, first_seen)
SELECT n, 14, 'star' || n, 1000001, '2026-01-01' FROM generate_series(1000001, 1016000) n;
INSERT INTO cdp_data.link (a_id, b_id, kind, state, first_seen) SELECT 1000001, n, 'manual', 'active', '2026-01-01' FROM generate_series(1000002, 1016000) n;
BEGIN;
SELECT results_eq('SELECT step, min(links), max(links), count(*) FROM cdp.explain_identity(1000001) GROUP BY 1 ORDER BY 1',
  'VALUES (0, 15999::bigint, 15999::bigint, 1::bigint), (1, 1, 1, 15999)', 'a customer of sixteen thousand identifiers is explained');
SELECT cmp_ok(sum(seq_tup_read + idx_tup_fetch)::bigint, '<', 20 * 16000::bigint, 'few rows were read for each') FROM pg_stat_xact_user_tables WHERE schemaname = 'cdp_data';
COMMIT;
SELECT * FROM finish();
