-- Roles that are kept to some sources: policies of the owner's own go on to hold for everybody else, and what runs with the
-- owner's rights, which no row security binds, tells them nothing of all sources.
SELECT plan(36);
SET client_min_messages = error;
CREATE ROLE kept_analyst;
CREATE ROLE kept_agency;
CREATE ROLE kept_privacy;
CREATE ROLE kept_officer;
CREATE ROLE kept_connector;
CREATE ROLE kept_hub;
CREATE ROLE kept_by_nothing BYPASSRLS;
GRANT kept_analyst TO kept_agency;
GRANT kept_privacy TO kept_officer;
GRANT kept_connector TO kept_hub;
CALL cdp.setup(analyst => 'kept_analyst', privacy => 'kept_privacy', connector => 'kept_connector');
SELECT cdp.add_source('shop', 'UTC') AS shop, cdp.add_source('crm', 'UTC') AS crm \gset
INSERT INTO cdp_data.destination (destination, purpose) VALUES ('mailer', 'service');
SELECT cdp.track('shop', 'click', '{"email": "ann@example.org"}', occurred_at => now() - interval '1 hour') \g /dev/null
SELECT cdp.track('crm', 'click', '{"email": "ann@example.org"}', traits => '{"city": "Graz"}', occurred_at => now() - interval '2 hours') \g /dev/null
SELECT cdp.refresh_profiles() \g /dev/null
SELECT cdp.customer_of('email', 'ann@example.org') AS ann \gset
SELECT cdp.outbox_put('mailer', 'offer', '{"to": "ann@example.org"}', customer_id => :ann) \g /dev/null
CREATE FUNCTION pg_temp.rows_as(role text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  PERFORM set_config('role', role, true);
  SELECT count(touchpoint_id) INTO n FROM cdp_data.touchpoint;
  PERFORM set_config('role', 'none', true);
  RETURN n;
END $$;
CREATE FUNCTION pg_temp.policies() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(p.polname || CASE WHEN p.polpermissive THEN '' ELSE ' restricts' END, ', ' ORDER BY p.polname) FROM pg_policy p WHERE p.polrelid = 'cdp_data.touchpoint'::regclass $$;

-- Without policies of the owner's own.
SELECT is(cdp.restrict_to_sources('kept_agency', '{shop}'), 1, 'a role is kept to one source');
SELECT is(pg_temp.rows_as('kept_agency'), 1::bigint, 'and sees its rows');
SELECT is(pg_temp.rows_as('kept_analyst'), 2::bigint, 'others see what they saw');
SELECT is(pg_temp.policies(), 'cdp_source restricts, cdp_source_open', 'one policy takes away, one lets the others see');
-- The owner adds one of his own while it holds: setup() leaves it to him who sees what.
CREATE POLICY mine ON cdp_data.touchpoint TO kept_analyst USING (source_id <> (SELECT s.source_id FROM cdp_data.source s WHERE s.name = 'shop'));
CALL cdp.setup();
SELECT is(pg_temp.policies(), 'cdp_source restricts, mine', 'a policy of the owner''s own takes the place of ours');
SELECT is(pg_temp.rows_as('kept_analyst'), 1::bigint, 'and holds');
SELECT is(pg_temp.rows_as('kept_agency'), 0::bigint, 'for the role that is kept to sources, too, which sees what both allow');
SELECT is(cdp.restrict_to_sources('kept_agency', NULL), 0, 'lifted');
SELECT is(pg_temp.policies(), 'mine', 'his is left');
SELECT is(pg_temp.rows_as('kept_analyst'), 1::bigint, 'and goes on to hold');
-- He had it before.
SELECT is(cdp.restrict_to_sources('kept_agency', '{shop}'), 1, 'a role is kept to a source where the owner has policies');
SELECT is(pg_temp.rows_as('kept_analyst'), 1::bigint, 'which does not open to others what he had closed');
SELECT is(pg_temp.rows_as('kept_agency'), 0::bigint, 'nor to the role');
DROP POLICY mine ON cdp_data.touchpoint;
CALL cdp.setup();
SELECT is(pg_temp.rows_as('kept_analyst'), 0::bigint, 'row security that he switched on and gave no policy shows nobody anything, as PostgreSQL has it');
SELECT cdp.restrict_to_sources('kept_agency', NULL) \g /dev/null
SELECT is((SELECT c.relrowsecurity FROM pg_class c WHERE c.oid = 'cdp_data.touchpoint'::regclass), true, 'and it stays on');
ALTER TABLE cdp_data.touchpoint DISABLE ROW LEVEL SECURITY;
SELECT is((SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'cdp_data'::regnamespace AND c.relrowsecurity), 0::bigint, 'no other table has it');
-- Policies that nobody switched on.
CREATE POLICY asleep ON cdp_data.touchpoint TO kept_privacy USING (true);
SELECT cdp.restrict_to_sources('kept_agency', '{shop}') \g /dev/null
SELECT is(pg_temp.rows_as('kept_agency'), 0::bigint, 'policies that were there and not switched on hold from then on: rather too little than too much');
SELECT cdp.restrict_to_sources('kept_agency', NULL) \g /dev/null
DROP POLICY asleep ON cdp_data.touchpoint;
ALTER TABLE cdp_data.touchpoint DISABLE ROW LEVEL SECURITY;
SELECT throws_ok($$SELECT cdp.restrict_to_sources('kept_by_nothing', '{shop}')$$, '22023', 'role "kept_by_nothing" can not be kept to sources', 'a role that row security does not bind');

-- What runs with the rights of the owner.
SET ROLE kept_officer;
SELECT is(cdp.reveal(:ann, 'city'), 'Graz', 'an officer reads a golden value');
RESET ROLE;
SELECT cdp.restrict_to_sources('kept_officer', '{shop}'), cdp.restrict_to_sources('kept_hub', '{shop}') \g /dev/null
SET ROLE kept_officer;
SELECT throws_ok(format('SELECT cdp.reveal(%s, ''city'')', :ann), '42501', 'golden values are made of the values of all sources', 'kept to one source, none that another brought');
SELECT throws_ok(format('SELECT cdp.subject_export(%s)', :ann), '42501', 'an export shows the records of all sources', 'nor an export');
SELECT throws_ok(format('SELECT * FROM cdp.subject_export_csv(%s)', :ann), '42501', 'an export shows the records of all sources', 'in no form');
SELECT throws_ok(format('SELECT cdp.erase_customer(%s)', :ann), '42501', 'an erasure takes the records of all sources', 'and erases nobody');
SELECT cdp.open_request('access', 'GDPR', :ann) AS request \gset
SELECT cdp.verify_request(:request, 'by letter') \g /dev/null
SELECT throws_ok(format('SELECT cdp.fulfil_request(%s)', :request), '42501', 'a request is answered with the records of all sources', 'by no road');
SELECT throws_ok('SELECT * FROM cdp.retention_plan()', '42501', 'the retention plan counts the rows of all sources', 'nor the plan of retention');
SET ROLE kept_hub;
SELECT is((SELECT status FROM cdp_api.track('shop', 'click', '{"email": "bob@example.org"}')), 'written', 'a connector brings what its source has');
SELECT throws_ok($$SELECT * FROM cdp_api.outbox_take('mailer')$$, '42501', 'messages are made of the values of all sources', 'and gets no messages about people of all');
SELECT throws_ok('SELECT cdp_api.outbox_sent(1)', '42501', 'messages are made of the values of all sources', 'nor says that it sent one');
SELECT throws_ok($$SELECT cdp_api.outbox_failed(1, 'x', false)$$, '42501', 'messages are made of the values of all sources', 'nor that it failed');
SELECT throws_ok(format($$SELECT cdp_api.record_consent('shop', 'marketing', 'granted', customer => %s, channel => 'email')$$, :ann), '42501', 'customers by their numbers are of all sources', 'nobody is consented for by his number');
SELECT is((SELECT result FROM cdp_api.record_consent('shop', 'marketing', 'granted', '{"email": "bob@example.org"}', channel => 'email')), 'written', 'only by what names him');
RESET ROLE;
SELECT cdp.restrict_to_sources('kept_officer', NULL), cdp.restrict_to_sources('kept_hub', NULL) \g /dev/null
SET ROLE kept_officer;
SELECT is(cdp.reveal(:ann, 'city'), 'Graz', 'lifted, he reads again');
SELECT is((SELECT cdp.fulfil_request(:request) ->> 'format'), 'pg_cdp subject export 1', 'and answers');
SET ROLE kept_hub;
SELECT is(cdp_api.outbox_sent((SELECT 1)), false, 'what nobody took was not sent');
SELECT is((SELECT payload ->> 'to' FROM cdp_api.outbox_take('mailer')), 'ann@example.org', 'and the connector delivers');
RESET ROLE;
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE action = 'reveal'), 2::bigint, 'what was refused left no trace of a read');
DROP OWNED BY kept_analyst, kept_agency, kept_privacy, kept_officer, kept_connector, kept_hub;
DROP ROLE kept_analyst, kept_agency, kept_privacy, kept_officer, kept_connector, kept_hub, kept_by_nothing;
SELECT * FROM finish();
