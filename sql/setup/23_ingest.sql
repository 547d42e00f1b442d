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

-- step: source_contract
CREATE TABLE IF NOT EXISTS cdp_data.source_contract (
  source_id integer NOT NULL REFERENCES cdp_data.source,
  record_kind text COLLATE "C" NOT NULL CHECK (record_kind IN ('customer', 'event')),
  owner text,
  freshness interval CHECK (freshness > '0'::interval),
  status text COLLATE "C" NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'checking', 'live', 'paused')),
  declared_at timestamptz NOT NULL DEFAULT now(),
  went_live_at timestamptz,
  PRIMARY KEY (source_id, record_kind)
);
COMMENT ON TABLE cdp_data.source_contract IS 'What a source promises: one contract for records of customers, one for events. Declared with cdp.declare_contract(). A source without one may deliver by column names.';
COMMENT ON COLUMN cdp_data.source_contract.owner IS 'Who answers for what is delivered: a team, not a person''s address.';
COMMENT ON COLUMN cdp_data.source_contract.freshness IS 'The longest time between two deliveries; NULL: not promised.';
COMMENT ON COLUMN cdp_data.source_contract.status IS 'draft: declared, nothing came yet; checking: trial loads only; live: taken in; paused: refused for now.';
CREATE TABLE IF NOT EXISTS cdp_data.source_field (
  source_id integer NOT NULL,
  record_kind text COLLATE "C" NOT NULL,
  field text COLLATE "C" NOT NULL CHECK (field <> '' AND octet_length(field) <= 200),
  nth smallint NOT NULL,
  data_type text COLLATE "C" NOT NULL DEFAULT 'text' CHECK (data_type IN ('text', 'integer', 'numeric', 'boolean', 'date', 'timestamp', 'json')),
  required boolean NOT NULL DEFAULT false,
  min_value text,
  max_value text,
  pattern text COLLATE "C" CHECK (pattern IS NULL OR ('' ~ pattern) IS NOT NULL),
  allowed text[] COLLATE "C",
  target_kind text COLLATE "C" NOT NULL CHECK (target_kind IN ('identifier', 'attribute', 'touchpoint', 'record', 'property', 'ignore')),
  target_name text COLLATE "C",
  transform text COLLATE "C",
  note text,
  PRIMARY KEY (source_id, record_kind, field),
  FOREIGN KEY (source_id, record_kind) REFERENCES cdp_data.source_contract ON DELETE CASCADE
);
COMMENT ON TABLE cdp_data.source_field IS 'The fields of a contract: what each must look like and what becomes of it. Written by cdp.declare_contract().';
COMMENT ON COLUMN cdp_data.source_field.field IS 'A column of what is delivered, or $.column.key for a key inside a JSON column; of messages $.traits.key and the like, or the plain name of a trait or property.';
COMMENT ON COLUMN cdp_data.source_field.required IS 'A record without it, or with one that does not fit, goes to quarantine. A bad value of another field is left out and counted.';
COMMENT ON COLUMN cdp_data.source_field.min_value IS 'Least value (of text: least length); max_value the greatest. In the form of data_type; NULL: none.';
COMMENT ON COLUMN cdp_data.source_field.pattern IS 'Regular expression that the text must match, after transform; collation C.';
COMMENT ON COLUMN cdp_data.source_field.target_kind IS 'identifier, attribute, touchpoint (a column of cdp.load_touchpoints), record (source_key or observed_at), property (of the touchpoint), ignore; target_name is the type, attribute, column or key.';
COMMENT ON COLUMN cdp_data.source_field.transform IS 'What is done to the text first: a name of cdp.field_transforms().';

-- step: customer_record
CREATE TABLE IF NOT EXISTS cdp_data.customer_record (
  source_id integer NOT NULL,
  source_key text COLLATE "C" NOT NULL,
  digest uuid NOT NULL,
  load_id bigint NOT NULL,
  confirmed_by bigint,
  identifier_id bigint NOT NULL,
  observed_at timestamptz NOT NULL,
  PRIMARY KEY (source_id, source_key)
) WITH (fillfactor = 85);
COMMENT ON TABLE cdp_data.customer_record IS 'Records of customers as sources last delivered them: a digest only, to tell new, changed and equal ones apart. What they said is in link_support and attribute_value, with the load.';
COMMENT ON COLUMN cdp_data.customer_record.source_key IS 'The record''s own key in its source. May hold personal data.';
COMMENT ON COLUMN cdp_data.customer_record.digest IS 'MD5 of the fields that are used, without the time.';
COMMENT ON COLUMN cdp_data.customer_record.load_id IS 'The load that brought this content first; confirmed_by the latest that brought it again.';
COMMENT ON COLUMN cdp_data.customer_record.identifier_id IS 'Its strongest identifier.';

-- step: source_quality
CREATE TABLE IF NOT EXISTS cdp_data.source_quality (
  load_id bigint NOT NULL,
  source_id integer NOT NULL,
  record_kind text COLLATE "C" NOT NULL,
  field text COLLATE "C" NOT NULL,
  target text,
  rows_seen bigint NOT NULL,
  filled bigint NOT NULL,
  valid bigint NOT NULL,
  distinct_values bigint,
  PRIMARY KEY (load_id, field)
);
CREATE INDEX IF NOT EXISTS source_quality_source_idx ON cdp_data.source_quality (source_id, record_kind, load_id);
COMMENT ON TABLE cdp_data.source_quality IS 'How complete and valid each field of each load was. Counts only.';
COMMENT ON COLUMN cdp_data.source_quality.target IS 'What the field becomes, such as identifier email; NULL when it is not used.';
COMMENT ON COLUMN cdp_data.source_quality.filled IS 'Rows in which the field is there and not blank; valid: rows whose value was taken.';
COMMENT ON COLUMN cdp_data.source_quality.distinct_values IS 'Different valid values; NULL when they were not counted.';

-- step: message_retention
ALTER TABLE cdp_data.setting ADD COLUMN IF NOT EXISTS message_retention interval NOT NULL DEFAULT '90 days' CHECK (message_retention > '0'::interval);
COMMENT ON COLUMN cdp_data.setting.message_retention IS 'For so long cdp.identify(), cdp.alias() and cdp.group() know a message that comes again by its message_id; those of cdp.track() as long as the touchpoint is there.';

-- step: again: personal data of ingestion
SELECT cdp_internal.declare_personal_data('identity', v.t, v.c, v.category, v.subject, v.erasure, v.note) FROM (VALUES
  ('cdp_data.call_message', 'message_id', 'pseudonym', 'identifier_id', 'delete', 'keys of messages, sometimes made of names'),
  ('cdp_data.call_message', 'identifier_id', 'pseudonym', 'identifier_id', 'delete', NULL),
  ('cdp_data.customer_record', 'source_key', 'pseudonym', 'identifier_id', 'delete', 'keys of records, sometimes made of names'),
  ('cdp_data.customer_record', 'digest', 'pseudonym', 'identifier_id', 'delete', NULL),
  ('cdp_data.customer_record', 'identifier_id', 'pseudonym', 'identifier_id', 'delete', NULL)
) AS v (t, c, category, subject, erasure, note);

-- step: again: grants of ingestion
SELECT cdp_internal.declare_grant('privacy', 'SELECT', 'TABLE', 'cdp_data.' || r.name) FROM unnest(array['call_message', 'customer_record']) AS r (name);
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_data.' || r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector', 'reader']) AS t (template),
  unnest(array['source_contract', 'source_field', 'source_quality']) AS r (name);
