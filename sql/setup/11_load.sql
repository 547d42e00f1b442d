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
SELECT cdp_internal.declare_personal_data('core', 'cdp_data.touchpoint_awaited', v.c, v.category, v.subject, v.erasure, v.note) FROM (VALUES
  ('source_key', 'pseudonym', 'customer_id', 'clear', 'Key of an order or the like in its source; a random one takes its place.'),
  ('customer_id', 'pseudonym', 'customer_id', 'unlink', NULL),
  ('owner_id', 'pseudonym', 'owner_id', 'unlink', NULL),
  ('owner_identifier_id', 'pseudonym', 'owner_id', 'unlink', NULL),
  ('touchpoint_id', 'pseudonym', 'customer_id', 'keep', NULL)) AS v (c, category, subject, erasure, note);
-- What looks as if it could hold personal data and holds none.
SELECT cdp_internal.declare_impersonal('core', 'cdp_data.' || v.t, string_to_array(v.c, ' '), v.note) FROM (VALUES
  ('setup_step', '*', 'steps of setup'), ('setting', '*', 'settings'), ('role_name', '*', 'names of database roles'), ('grant_rule', '*', 'rights'), ('granted', '*', 'rights'),
  ('personal_data', '*', 'names of columns'), ('source', '*', 'names of sources; owners are teams'), ('channel', '*', 'names of channels'),
  ('channel_rule', '*', 'patterns of origins'), ('campaign', '*', 'names of campaigns'), ('spend', '*', 'figures by day'), ('currency', '*', 'codes'),
  ('currency_rate', '*', 'codes and rates'), ('touch_kind', '*', 'names of kinds'), ('identifier_type', '*', 'names and rules of types'),
  ('feed_cursor', '*', 'names of consumers'), ('job', '*', 'names and commands of jobs; errors hold no personal values'),
  ('job_run', '*', 'errors hold no personal values'), ('destination', '*', 'names of systems'), ('suppression_epoch', '*', 'a counter'),
  ('load', 'kind state note arguments', 'the note is who loads to keep free of names'),
  ('load_confirmed', 'touchpoints', 'numbers of rows of a load'),
  ('identifier', 'state', 'a fixed word'), ('identifier_block', 'pattern note', 'patterns fit many'),
  ('touchpoint', 'currency', 'a code'), ('touchpoint_retracted', 'currency', 'a code'),
  ('change_feed', 'cause', 'a fixed word'), ('outbox', 'destination kind state', 'fixed words'), ('quarantine', 'code reason', 'fixed words'),
  ('origin', 'digest', 'follows from the other columns'), ('suppression', 'reason', 'a fixed word'),
  ('suppression_refusal', '*', 'counts by source and day'), ('key_right_digest', '*', 'empty: a right'), ('key_right_decrypt', '*', 'empty: a right'), ('key_right_audit', '*', 'empty: a right')
) AS v (t, c, note);

-- step: load_grants
SELECT cdp_internal.declare_grant(t.template, 'SELECT (touchpoint_id, customer_id, owner_id, owner_identifier_id)', 'TABLE', 'cdp_data.touchpoint_awaited')
FROM unnest(array['admin', 'analyst', 'marketer', 'finance']) AS t (template);

-- step: suppression_epoch
CREATE TABLE IF NOT EXISTS cdp_data.suppression_epoch (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  n bigint NOT NULL DEFAULT 0
);
INSERT INTO cdp_data.suppression_epoch DEFAULT VALUES ON CONFLICT DO NOTHING;
COMMENT ON TABLE cdp_data.suppression_epoch IS 'One row, written by each erasure, so that a writer on an older snapshot notices it. Says nothing about anybody.';
COMMENT ON COLUMN cdp_data.suppression_epoch.n IS 'Erasures so far.';

-- step: indexes of erasure
-- An erasure finds the rows of one person without reading those of others.
CREATE INDEX IF NOT EXISTS touchpoint_awaited_customer_idx ON cdp_data.touchpoint_awaited (customer_id);
CREATE INDEX IF NOT EXISTS touchpoint_awaited_owner_idx ON cdp_data.touchpoint_awaited (owner_id);
CREATE INDEX IF NOT EXISTS change_feed_customer_idx ON cdp_data.change_feed (customer_id);
CREATE INDEX IF NOT EXISTS quarantine_content_idx ON cdp_data.quarantine USING gin (cdp_internal.content_tokens(original));
DROP INDEX IF EXISTS cdp_data.outbox_content_idx; -- of the payload only
CREATE INDEX IF NOT EXISTS outbox_words_idx ON cdp_data.outbox USING gin (cdp_internal.outbox_tokens(payload, dedup_key, last_error)) WHERE customer_id IS NULL;

-- step: origin words
CREATE INDEX IF NOT EXISTS origin_words_idx ON cdp_data.origin USING gin (cdp_internal.origin_tokens(source, medium, campaign, referrer_host, add_way, qr_scene));

-- step: arguments of loads
ALTER TABLE cdp_data.load ADD COLUMN IF NOT EXISTS arguments jsonb;
COMMENT ON COLUMN cdp_data.load.arguments IS 'time_zone, identifier_type and kind that were given to the load, for rows without their own; NULL: none was.';

-- step: words of contents, all of them
-- Its hashes once ended after some 4,000 words: an index that was made then does not find the rest.
REINDEX INDEX cdp_data.quarantine_content_idx;
