-- Core room, loading: the tables that loads keep for themselves.

-- step: load_confirmed
CREATE TABLE IF NOT EXISTS cdp_data.load_confirmed (
  load_id bigint NOT NULL,
  owner_load bigint NOT NULL,
  touchpoints int8multirange NOT NULL,
  PRIMARY KEY (load_id, owner_load)
);
COMMENT ON TABLE cdp_data.load_confirmed IS 'Records that a load brought again unchanged: whose version it found, and which touchpoints, as ranges. Needed to revert the earlier load without losing what the later one also said.';
COMMENT ON COLUMN cdp_data.load_confirmed.owner_load IS 'The load that had written the version that was in force.';
COMMENT ON COLUMN cdp_data.load_confirmed.touchpoints IS 'touchpoint_id of these records.';

-- step: touchpoint_awaited
CREATE TABLE IF NOT EXISTS cdp_data.touchpoint_awaited (
  source_id integer NOT NULL,
  source_key text COLLATE "C" NOT NULL,
  customer_id bigint NOT NULL,
  touchpoint_id bigint NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  load_id bigint NOT NULL,
  PRIMARY KEY (source_id, source_key, customer_id)
);
-- Whose the record is, once it is there: reports need it without reading keys of sources.
ALTER TABLE cdp_data.touchpoint_awaited ADD COLUMN IF NOT EXISTS owner_id bigint, ADD COLUMN IF NOT EXISTS owner_identifier_id bigint;
COMMENT ON TABLE cdp_data.touchpoint_awaited IS 'Records that somebody referred to before they came, or who is another customer than theirs. The id is reserved at once, so that the reference holds as soon as the record arrives, and no row is touched again.';
COMMENT ON COLUMN cdp_data.touchpoint_awaited.source_key IS 'Key of the record that is awaited. May hold personal data.';
COMMENT ON COLUMN cdp_data.touchpoint_awaited.customer_id IS 'Home customer of the rows that refer to it; first_at and last_at are their times.';
COMMENT ON COLUMN cdp_data.touchpoint_awaited.owner_id IS 'Home customer of the record itself, owner_identifier_id its identifier; NULL while it is not there.';
COMMENT ON COLUMN cdp_data.touchpoint_awaited.load_id IS 'The load that brought the first reference.';

-- step: load_personal_data
SELECT cdp_internal.declare_personal_data('core', 'cdp_data.touchpoint_awaited', 'source_key', 'pseudonym', 'customer_id', 'delete', 'Key of an order or the like in its source.');
SELECT cdp_internal.declare_personal_data('core', 'cdp_data.touchpoint_awaited', 'owner_id', 'pseudonym', 'customer_id', 'delete', NULL);

-- step: load_grants
SELECT cdp_internal.declare_grant(t.template, 'SELECT (touchpoint_id, customer_id, owner_id, owner_identifier_id)', 'TABLE', 'cdp_data.touchpoint_awaited')
FROM unnest(array['admin', 'analyst', 'marketer', 'finance']) AS t (template);
