-- Identity room, ingestion: what sources deliver and promise, one call at a time and in batches.

-- step: call_message
CREATE TABLE IF NOT EXISTS cdp_data.call_message (
  source_id integer NOT NULL,
  message_id text COLLATE "C" NOT NULL,
  load_id bigint NOT NULL,
  call text COLLATE "C" NOT NULL CHECK (call IN ('identify', 'alias', 'group')),
  identifier_id bigint NOT NULL,
  occurred_at timestamptz NOT NULL,
  PRIMARY KEY (source_id, message_id)
);
CREATE INDEX IF NOT EXISTS call_message_load_idx ON cdp_data.call_message USING brin (load_id) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE cdp_data.call_message IS 'Messages that made no touchpoint (identify, alias, group), so that one that comes again changes nothing. Those with a touchpoint are in cdp_data.touchpoint_key. Trimmed by cdp.maintain() after cdp_data.setting.message_retention.';
COMMENT ON COLUMN cdp_data.call_message.message_id IS 'The sender''s number of the message, or one made up when it gave none. May hold personal data.';
COMMENT ON COLUMN cdp_data.call_message.identifier_id IS 'The strongest identifier of the message.';

-- step: message_retention
ALTER TABLE cdp_data.setting ADD COLUMN IF NOT EXISTS message_retention interval NOT NULL DEFAULT '90 days' CHECK (message_retention > '0'::interval);
COMMENT ON COLUMN cdp_data.setting.message_retention IS 'For so long cdp.identify(), cdp.alias() and cdp.group() know a message that comes again by its message_id; those of cdp.track() as long as the touchpoint is there.';

-- step: again: personal data of ingestion
SELECT cdp_internal.declare_personal_data('identity', v.t, v.c, v.category, v.subject, v.erasure, v.note) FROM (VALUES
  ('cdp_data.call_message', 'message_id', 'pseudonym', 'identifier_id', 'delete', 'keys of messages, sometimes made of names'),
  ('cdp_data.call_message', 'identifier_id', 'pseudonym', 'identifier_id', 'delete', NULL)
) AS v (t, c, category, subject, erasure, note);

-- step: again: grants of ingestion
SELECT cdp_internal.declare_grant('privacy', 'SELECT', 'TABLE', 'cdp_data.call_message');
