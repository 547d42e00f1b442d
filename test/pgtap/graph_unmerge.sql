-- Taking customers apart: in four forms, for good, and exactly: merge and unmerge together change nobody.
SELECT plan(59);
SELECT cdp.add_source('shop') AS shop \gset
INSERT INTO cdp_data.load (source_id, kind, state) VALUES (:shop, 'calls', 'done') RETURNING load_id AS load \gset
CREATE FUNCTION public.seen(ids jsonb, at timestamptz DEFAULT '2026-01-01') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  c record := cdp_internal.clean_identifiers(ids);
BEGIN
  RETURN (cdp_internal.identify_in(1, 1, c.type_ids, c.vals, at, 'record', 'identify')).customer_id;
END $$;
CREATE FUNCTION public.who(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp_internal.identifier_root(identifier_id) FROM cdp_data.identifier WHERE value = v $$;
CREATE FUNCTION public.id(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT identifier_id FROM cdp_data.identifier WHERE value = v $$;
CREATE FUNCTION public.link_id(a text, b text) RETURNS bigint LANGUAGE sql AS $$
  SELECT link_id FROM cdp_data.link WHERE a_id = least(public.id(a), public.id(b)) AND b_id = greatest(public.id(a), public.id(b)) AND kind = 'deterministic' $$;
-- Everything that tells who is who: all tables of identity but the logs (links, ledger, feed).
CREATE FUNCTION public.state() RETURNS text LANGUAGE sql AS $$
  SELECT md5(concat((SELECT jsonb_agg(to_jsonb(c) ORDER BY customer_id) FROM cdp_data.customer c),
    (SELECT jsonb_agg(to_jsonb(i) ORDER BY identifier_id) FROM cdp_data.identifier i),
    (SELECT jsonb_agg(to_jsonb(o) ORDER BY identifier_id) FROM cdp_data.identifier_override o)))
$$;

-- By merge.
SELECT public.seen('{"user_id": "A", "cookie": "a1"}'), public.seen('{"email": "e@example.com", "cookie": ["e1", "e2"]}');
SELECT public.state() AS before \gset
SELECT public.seen('{"user_id": "A", "email": "e@example.com", "cookie": "e2"}');
SELECT isnt(public.state(), :'before', 'two customers merge');
SELECT results_eq('SELECT * FROM cdp.unmerge(merge => 1, reason => $r$wrong person$r$)', 'VALUES (1::bigint, 2::bigint), (2, 3)', 'and are taken apart');
SELECT is(public.state(), :'before', 'nothing is left of it but the logs');
SELECT is((SELECT count(*) FROM cdp_data.link WHERE state = 'revoked' AND reason = 'unmerge'), 2::bigint, 'every link between them is revoked, those within each stay');
SELECT is((SELECT undone_by FROM cdp_data.merge_log WHERE merge_id = 1), (SELECT max(operation_id) FROM cdp_data.merge_log), 'the ledger tells what took the merge back');
SELECT is((SELECT note FROM cdp_data.merge_log ORDER BY merge_id DESC LIMIT 1), 'wrong person', 'and why');
SELECT is((SELECT array_agg(DISTINCT customer_id ORDER BY customer_id) FROM cdp_data.change_feed WHERE cause = 'unmerge'), '{1,2}', 'the change feed tells both');
SELECT throws_ok('SELECT cdp.unmerge(merge => 1)', '55000', 'merge 1 was taken back already', 'not twice');
SELECT public.seen('{"user_id": "A", "email": "e@example.com", "cookie": "e2"}');
SELECT is(public.state(), :'before', 'the same record again changes nobody');
SELECT public.seen('{"user_id": "A", "cookie": "e1"}');
SELECT is(public.state(), :'before', 'nor does another record of the two');
SELECT public.seen('{"cookie": ["a1", "e1"]}');
SELECT isnt(public.who('a1'), public.who('e1'), 'whatever identifiers it shows');
SELECT results_eq('SELECT lifted FROM cdp.allow_link(public.id($$A$$), public.id($$e@example.com$$))', 'VALUES (2::bigint)', 'until somebody lifts it');
SELECT is(public.who('e1'), public.who('A'), 'then the evidence counts again');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'the promise holds');

-- What comes between the merge and its end stays where its links hold it.
SELECT public.seen('{"user_id": "B", "cookie": "b1"}'), public.seen('{"email": "f@example.com", "cookie": "f1"}');
SELECT public.who('B') AS b, public.who('f1') AS f \gset
SELECT public.seen('{"user_id": "B", "email": "f@example.com"}');
SELECT max(merge_id) AS merge FROM cdp_data.merge_log WHERE kind = 'merge' \gset
SELECT public.seen('{"email": "f@example.com", "phone": "+8613912340007"}'), public.seen('{"user_id": "B", "cookie": "b2"}');
SELECT is((SELECT customer_id FROM cdp_data.identifier WHERE value = '+8613912340007'), :b::bigint, 'a phone came after the merge, so its home is the winner');
CREATE TEMP TABLE touch AS SELECT cdp_internal.ensure_partitions('2026-01-01', '2026-01-02');
INSERT INTO cdp_data.origin (source) VALUES ('x');
INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id)
SELECT i.customer_id, i.identifier_id, '2026-01-01', 1, 1, 1, 1 FROM cdp_data.identifier i WHERE value IN ('B', 'b1', 'b2', 'f1', 'f@example.com', '+8613912340007');
SELECT set_eq(format('SELECT * FROM cdp.unmerge(merge => %s)', :merge), format('VALUES (%s::bigint, 3::bigint), (%s, 3)', :b, :f), 'the merge is taken back');
SELECT is(public.who('+8613912340007'), :f::bigint, 'the phone goes with the address that showed it');
SELECT is(public.who('b2'), :b::bigint, 'the cookie stays');
SELECT results_eq($$SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), t.customer_id, t.identifier_id) AS r, count(*) FROM cdp_data.touchpoint t GROUP BY 1 ORDER BY 1$$,
  format('VALUES (%s::bigint, 3::bigint), (%s, 3)', :b, :f), 'and each touch with its identifier, unwritten');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'the promise holds');

-- By identifier.
SELECT public.seen('{"user_id": "C", "email": "g@example.com", "cookie": "g1", "device": "deviceg001"}');
SELECT public.who('C') AS c \gset
SELECT is((SELECT count(*) FROM cdp.unmerge(identifier => public.id('g1'))), 2::bigint, 'an identifier leaves');
SELECT isnt(public.who('g1'), :c::bigint, 'and is a customer of its own');
SELECT is((SELECT count(*) FROM cdp_internal.members(:c)), 3::bigint, 'the rest stays together');
SELECT public.seen('{"email": "g@example.com", "cookie": "g1"}'), public.seen('{"device": "deviceg001", "cookie": "g1"}'), public.seen('{"user_id": "C", "cookie": "g1"}');
SELECT isnt(public.who('g1'), :c::bigint, 'records that show it there do not bring it back');
SELECT is((SELECT count(*) FROM cdp_data.link WHERE state = 'active' AND kind = 'cannot' AND public.id('g1') IN (a_id, b_id)), 2::bigint, 'by a cannot link with each that it was linked with');
SELECT throws_ok('SELECT cdp.unmerge(identifier => public.id($$g1$$))', '55000', NULL, 'it cannot leave again');
SELECT is((SELECT customers FROM cdp.allow_link(public.id('g1'), public.id('C'))), ARRAY[:c::bigint], 'lifted, it comes back');

-- By link: its two ends part, wherever other links would hold them.
SELECT is((SELECT count(*) FROM cdp.unmerge(link => public.link_id('C', 'g@example.com'))), 2::bigint, 'two ends of a link part');
SELECT isnt(public.who('g@example.com'), public.who('C'), 'although others held them too');
SELECT is(public.who('C'), :c::bigint, 'the anchor keeps the number');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'the promise holds');
SELECT throws_ok(format('SELECT cdp.unmerge(link => %s)', public.link_id('C', 'g@example.com')), '55000', NULL, 'not twice');

-- By time: everything merged into a customer since then.
SELECT public.seen('{"user_id": "T", "cookie": "t0"}'), public.seen('{"cookie": ["t1", "t11"]}'), public.seen('{"cookie": ["t2", "t22"]}'), public.seen('{"cookie": ["t3", "t33"]}');
SELECT public.seen('{"cookie": ["t0", "t1"]}');
SELECT clock_timestamp() AS since \gset
SELECT public.state() AS before \gset
SELECT public.seen('{"cookie": ["t2", "t3"]}'), public.seen('{"cookie": ["t1", "t3"]}');
SELECT is(public.who('t22'), public.who('T'), 'four became one');
SELECT is((SELECT count(*) FROM cdp.unmerge(customer => public.who('t22'), since => :'since')), 3::bigint, 'the later two merges are taken back');
SELECT is(public.state(), :'before', 'the earlier one stays, all is as it was then');
SELECT is_empty(format('SELECT * FROM cdp.unmerge(customer => %s, since => %L)', public.who('T'), :'since'), 'nothing is left to take back');

-- A customer that a split made has its number only by overrides: parted, joined and parted again, it is the same one.
SELECT public.seen('{"user_id": "N", "cookie": "n1"}') AS n \gset
SELECT customer_id AS n1 FROM cdp.unmerge(identifier => public.id('n1')) WHERE customer_id <> :n \gset
SELECT is((cdp.allow_link(public.id('N'), public.id('n1'))).customers, ARRAY[:n::bigint], 'a new customer goes back to where it came from');
SELECT results_eq('SELECT customer_id FROM cdp.unmerge(identifier => public.id($$n1$$))', format('VALUES (%s::bigint), (%s)', :n, :n1), 'and leaves again under its number');
-- The same where it is the stronger one, so that the older customer goes under it.
SELECT public.seen('{"cookie": "o1"}'), public.seen('{"cookie": "o1", "user_id": "O"}'), public.seen('{"user_id": "O", "email": "o@example.com"}');
SELECT cdp.unmerge(link => public.link_id('o1', 'O'));
SELECT public.who('O') AS o, public.who('o1') AS o1 \gset
SELECT is((cdp.allow_link(public.id('O'), public.id('o1'))).customers, ARRAY[:o::bigint], 'a stronger new customer takes the older one in');
SELECT cdp.unmerge(identifier => public.id('o@example.com'));
SELECT is(ARRAY[public.who('O'), public.who('o1')], ARRAY[:o, :o]::bigint[], 'and keeps its number when its weakest leaves');
SELECT cdp.unmerge(link => public.link_id('o1', 'O'));
SELECT is(ARRAY[public.who('O'), public.who('o1')], ARRAY[:o, :o1]::bigint[], 'as does the older one, when it leaves');

-- As of.
SELECT public.seen('{"user_id": "H", "cookie": "h0"}'), public.seen('{"cookie": ["h1", "h2"]}');
SELECT public.who('H') AS h, public.who('h1') AS h1, clock_timestamp() AS t0 \gset
SELECT public.seen('{"user_id": "H", "cookie": "h1"}');
SELECT clock_timestamp() AS t1, max(merge_id) AS merge FROM cdp_data.merge_log \gset
SELECT cdp.unmerge(merge => :merge);
SELECT is(cdp.customer_asof(:h1, :'t0'), :h1::bigint, 'before the merge the customer was himself');
SELECT is(cdp.customer_asof(:h1, :'t1'), :h::bigint, 'then another one');
SELECT is(cdp.customer_asof(:h1), :h1::bigint, 'now himself again');
SELECT is(cdp.customer_asof(identifier => public.id('h2'), at => :'t1'), :h::bigint, 'so it is with an identifier');
SELECT is(cdp.customer_asof(identifier => public.id('h2'), at => '2000-01-01'), NULL, 'before its customer was there it is nobody''s');

-- What people decide.
SELECT public.seen('{"cookie": "x1"}'), public.seen('{"cookie": "x2"}');
SELECT results_eq('SELECT state, why FROM cdp.link_identifiers(public.id($$x1$$), public.id($$x2$$), $$told by phone$$)', 'VALUES ($$active$$, NULL::text)', 'two are said to be one');
SELECT is(public.who('x1'), public.who('x2'), 'and are');
SELECT is((SELECT cause || ', ' || note FROM cdp_data.merge_log ORDER BY merge_id DESC LIMIT 1), 'manual, told by phone', 'the ledger tells by whom and why');
SELECT is(array_length(cdp.forbid_link(public.id('x1'), public.id('x2')), 1), 2, 'two are said not to be one, and part');
SELECT results_eq('SELECT state, why FROM cdp.link_identifiers(public.id($$x1$$), public.id($$x2$$))', 'VALUES ($$rejected$$, $$cannot$$)', 'saying the contrary then does not count');
SELECT results_eq('SELECT state, why FROM cdp.link_identifiers(public.id($$A$$), public.id($$B$$))', 'VALUES ($$rejected$$, $$limit user_id$$)', 'limits hold for people, too');
SELECT throws_ok('SELECT cdp.link_identifiers(public.id($$A$$), public.id($$A$$))', '22023', NULL, 'no link with itself');
SELECT throws_ok('SELECT cdp.unmerge()', '22023', 'tell one thing to take back', 'one thing must be told');
SELECT throws_ok('SELECT cdp.unmerge(link => 1, merge => 1)', '22023', 'tell one thing to take back', 'and one only');
SELECT is(array_length(cdp.quarantine_identifier(public.id('a1')), 1), 2, 'an identifier is taken out by hand');
SELECT isnt(public.who('a1'), public.who('A'), 'and leaves its customer');
SELECT is(cdp.release_identifier(public.id('a1')), public.who('A'), 'released, it comes back');

SELECT is_empty('SELECT * FROM cdp.identity_check()', 'and the tables keep their promise');
SELECT * FROM finish();
