-- Whatever changes customers, loads, settings and rights leaves one row in the audit, without a personal value.
SELECT plan(10);
CREATE FUNCTION pg_temp.told(since bigint) RETURNS text LANGUAGE sql AS
$$SELECT string_agg(action || ' ' || object, '; ' ORDER BY audit_id) FROM cdp_data.audit WHERE audit_id > since$$;
CREATE FUNCTION pg_temp.last() RETURNS bigint LANGUAGE sql AS $$SELECT coalesce(max(audit_id), 0) FROM cdp_data.audit$$;
SELECT cdp.add_source('shop') \g /dev/null
SELECT pg_temp.last() AS here \gset
SELECT customer_id AS ann FROM cdp.identify('shop', '{"email": "ann@example.org"}', '{"full_name": "Ann Secret"}', message_id => 'm1') \gset
SELECT customer_id AS bob FROM cdp.identify('shop', '{"cookie": "c-bob"}') \gset
SELECT * FROM cdp.identify('shop', '{"email": "ann@example.org"}', message_id => 'm1') \g /dev/null
SELECT * FROM cdp.track('shop', 'visit', '{"cookie": "c-cy", "email": "cy@example.org"}') \g /dev/null
SELECT * FROM cdp.alias('shop', '{"cookie": "c-bob"}', '{"email": "ann@example.org"}') \g /dev/null
SELECT is(pg_temp.told(:here), 'identify load 1; identify load 1; track load 1; alias load 1', 'one row a call; a repeated one changes nothing and tells nothing');
SELECT is((SELECT detail -> 'merged' FROM cdp_data.audit WHERE action = 'alias'), jsonb_build_array(greatest(:ann, :bob)), 'who became part of whom');
SELECT is((SELECT array_agg(DISTINCT customer_id) FROM cdp_data.audit WHERE audit_id > :here AND action <> 'track'), ARRAY[:ann, :bob]::bigint[], 'and which customer each concerned');

SELECT pg_temp.last() AS here \gset
CREATE TABLE public.people (email text, city text);
INSERT INTO public.people SELECT 'p' || n || '@example.org', 'Wuhan' FROM generate_series(1, 50) n;
SELECT load_id AS load FROM cdp.load_customers('shop', 'people') \gset
SELECT cdp.revert_load(:load), cdp.retry_load(:load) \g /dev/null
SELECT is(pg_temp.told(:here), format('load load %1$s; revert load %1$s; retry load %1$s', :load), 'one row a load, a revert, a retry');

SELECT pg_temp.last() AS here \gset
SELECT min(identifier_id) AS a, max(identifier_id) AS b FROM cdp_data.identifier WHERE value IN ('p1@example.org', 'p2@example.org') \gset
SELECT link_id AS link FROM cdp.link_identifiers(:a, :b, 'said Ann Secret') \gset
SELECT * FROM cdp.unmerge(link => :link, reason => 'Ann Secret was wrong') \g /dev/null
SELECT * FROM cdp.allow_link(:a, :b) \g /dev/null
SELECT cdp.forbid_link(:a, :b), cdp.quarantine_identifier(:a), cdp.release_identifier(:a) \g /dev/null
SELECT count(*) FROM cdp.rebuild(false) \g /dev/null
SELECT is(pg_temp.told(:here), format('link identifiers %1$s and %2$s; unmerge link %3$s; allow identifiers %1$s and %2$s; forbid identifiers %1$s and %2$s; quarantine identifier %1$s; release identifier %1$s; rebuild identity', :a, :b, :link),
  'every decision about who is who');

SELECT pg_temp.last() AS here \gset
SELECT cdp.add_attribute('shoe_size', 'numeric') \g /dev/null
UPDATE cdp_data.setting SET partitions_ahead = 4;
UPDATE cdp_data.setting SET partitions_ahead = 4;
INSERT INTO cdp_data.identifier_block (value) VALUES ('ann@example.org');
DELETE FROM cdp_data.identifier_block;
SELECT is((SELECT array_agg(object || ' ' || (detail ->> 'op') || coalesce(' ' || (detail ->> 'columns'), '') ORDER BY audit_id) FROM cdp_data.audit WHERE audit_id > :here),
  ARRAY['cdp_data.attribute insert', 'cdp_data.setting update ["partitions_ahead"]', 'cdp_data.identifier_block insert', 'cdp_data.identifier_block delete'], 'settings, by columns; an update that changes nothing is none');
SELECT pg_temp.last() AS here \gset
UPDATE cdp_data.setting SET audit = 'off';
SELECT * FROM cdp.identify('shop', '{"email": "dee@example.org"}') \g /dev/null
UPDATE cdp_data.setting SET audit = 'full';
SELECT is((SELECT string_agg(detail ->> 'columns', ' ') FROM cdp_data.audit WHERE audit_id > :here), '["audit"] ["audit"]', 'that it was switched off and on is told; nothing between');

SELECT pg_temp.last() AS here \gset
CREATE ROLE audit_reader;
CALL cdp.setup(reader => 'audit_reader');
CALL cdp.setup();
SELECT is(pg_temp.told(:here), 'setting cdp_data.role_name; grant reader', 'rights that are given; a setup() that finds nothing to do is silent');
SELECT pg_temp.last() AS here \gset
SELECT cdp.customer_360(:ann) \g /dev/null
SELECT count(*) FROM cdp.explain_identity(:ann) \g /dev/null
SELECT is(pg_temp.told(:here), 'read customer_360; read explain_identity', 'reads of personal values');
SELECT is((SELECT count(*) FROM cdp_data.audit a WHERE a::text ~* 'example|secret|wuhan|c-bob'), 0::bigint, 'and no personal value stands in any row');
DROP OWNED BY audit_reader;
DROP ROLE audit_reader;
SELECT * FROM finish();
