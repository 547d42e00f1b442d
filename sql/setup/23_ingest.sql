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
  said_by bigint NOT NULL,
  identifier_id bigint NOT NULL,
  observed_at timestamptz NOT NULL,
  version_id bigint NOT NULL,
  PRIMARY KEY (source_id, source_key)
) WITH (fillfactor = 85);
COMMENT ON TABLE cdp_data.customer_record IS 'Records of customers as sources last delivered them: a digest only, to tell new, changed and equal ones apart. What they said is in link_support and attribute_value, with the load.';
COMMENT ON COLUMN cdp_data.customer_record.source_key IS 'The record''s own key in its source. May hold personal data.';
COMMENT ON COLUMN cdp_data.customer_record.digest IS 'MD5 of the fields that are used, without the time.';
COMMENT ON COLUMN cdp_data.customer_record.load_id IS 'The load that brought this content first; said_by the one that brought it at this time (version_id). Loads that merely repeat it are in cdp_data.repetition.';
COMMENT ON COLUMN cdp_data.customer_record.version_id IS 'What it says now, in cdp_data.record_version; observed_at is its time.';
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

-- step: event_map
CREATE TABLE IF NOT EXISTS cdp_data.event_map (
  event_map_id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  source_id integer REFERENCES cdp_data.source,
  event text COLLATE "C" NOT NULL CHECK (event ~ '^[^[:space:]_.-]+$' AND event = lower(event)),
  kind text COLLATE "C" NOT NULL,
  key_property text COLLATE "C",
  refers_property text COLLATE "C",
  negate boolean NOT NULL DEFAULT false,
  CONSTRAINT event_map_once UNIQUE NULLS NOT DISTINCT (source_id, event)
);
COMMENT ON TABLE cdp_data.event_map IS 'Your own rules from the name of an event to the kind of a touchpoint; they go before those that are built in (cdp.event_map_builtin). An event that no rule and no kind is named like is of kind event. Holds for what comes from then on.';
COMMENT ON COLUMN cdp_data.event_map.source_id IS 'Source for which it holds; NULL: every one that has no rule of its own.';
COMMENT ON COLUMN cdp_data.event_map.event IS 'Name in lower case without blanks, dots, hyphens and underscores: Order Completed and order_completed are ordercompleted.';
COMMENT ON COLUMN cdp_data.event_map.kind IS 'A kind of cdp_data.touch_kind_all.';
COMMENT ON COLUMN cdp_data.event_map.key_property IS 'Property that is the record''s key in place of the message''s number, such as order_id: then an order counts once, however often it is told.';
COMMENT ON COLUMN cdp_data.event_map.refers_property IS 'Property with the key of the record that this one reverses; negate: its money is taken with a minus.';

-- step: customer_group
CREATE TABLE IF NOT EXISTS cdp_data.customer_group (
  group_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  source_id integer NOT NULL,
  group_key text COLLATE "C" NOT NULL CHECK (octet_length(group_key) <= 800),
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT customer_group_once UNIQUE (source_id, group_key)
);
COMMENT ON TABLE cdp_data.customer_group IS 'Groups of customers that sources tell of with cdp.group(): companies, teams, households. Who belongs to one is in group_member, what is known of it in group_trait, both in force while their load is done.';
COMMENT ON COLUMN cdp_data.customer_group.group_key IS 'Key of the group in its source.';
CREATE TABLE IF NOT EXISTS cdp_data.group_member (
  group_id bigint NOT NULL,
  identifier_id bigint NOT NULL,
  load_id bigint NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  PRIMARY KEY (group_id, identifier_id, load_id)
);
CREATE INDEX IF NOT EXISTS group_member_identifier_idx ON cdp_data.group_member (identifier_id);
COMMENT ON TABLE cdp_data.group_member IS 'Which identifier a load shows in which group; its customer follows merges and unmerges.';
CREATE TABLE IF NOT EXISTS cdp_data.group_trait (
  group_id bigint NOT NULL,
  load_id bigint NOT NULL,
  trait text COLLATE "C" NOT NULL CHECK (octet_length(trait) <= 800),
  observed_at timestamptz NOT NULL,
  value jsonb NOT NULL,
  PRIMARY KEY (group_id, load_id, trait)
);
COMMENT ON TABLE cdp_data.group_trait IS 'What a load says about a group: of each trait the value that was said last by observed_at; of two at one moment the lesser by the bytes of its text.';

-- step: source_unmapped
CREATE TABLE IF NOT EXISTS cdp_data.source_unmapped (
  source_id integer NOT NULL,
  field text COLLATE "C" NOT NULL,
  first_seen timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (source_id, field)
);
COMMENT ON TABLE cdp_data.source_unmapped IS 'Traits of messages and columns of batches of which nothing is made: neither a contract nor the name of an attribute or an identifier type says what. At most 1000 for a source.';

-- step: message_retention
ALTER TABLE cdp_data.setting ADD COLUMN IF NOT EXISTS message_retention interval NOT NULL DEFAULT '90 days' CHECK (message_retention > '0'::interval);
COMMENT ON COLUMN cdp_data.setting.message_retention IS 'For so long cdp.identify(), cdp.alias() and cdp.group() know a message that comes again by its message_id; those of cdp.track() as long as the touchpoint is there.';

-- step: again: event_map_all
CREATE OR REPLACE VIEW cdp_data.event_map_all WITH (security_invoker = true) AS
  SELECT m.source_id, m.event, m.kind, m.key_property, m.refers_property, m.negate, false AS is_builtin FROM cdp_data.event_map m
  UNION ALL
  SELECT NULL, b.event, b.kind, b.key_property, b.refers_property, b.negate, true FROM cdp.event_map_builtin() b;
COMMENT ON VIEW cdp_data.event_map_all IS 'All rules from events to kinds. The first counts: of the source, of all sources, built in.';

-- step: again: views of ingestion
CREATE OR REPLACE VIEW cdp_bi.source_plan WITH (security_invoker = true) AS
  SELECT p.source, p.record_kind, p.part, p.item, p.state, p.detail FROM cdp.source_plan() p;
COMMENT ON VIEW cdp_bi.source_plan IS 'What is integrated of which source, and what is missing: cdp.source_plan().';
CREATE OR REPLACE VIEW cdp_bi.source_quality WITH (security_invoker = true) AS
  SELECT s.name AS source, q.record_kind, q.field, q.target, q.load_id, l.kind AS load_kind, l.state AS load_state, l.started_at, q.rows_seen, q.filled, q.valid, q.distinct_values,
    q.filled::numeric / nullif(q.rows_seen, 0) AS completeness, q.valid::numeric / nullif(q.filled, 0) AS validity, q.distinct_values::numeric / nullif(q.valid, 0) AS uniqueness
  FROM cdp_data.source_quality q JOIN cdp_data.source s USING (source_id) JOIN cdp_data.load l USING (load_id);
COMMENT ON VIEW cdp_bi.source_quality IS 'Quality of each field of each load: completeness (filled of all rows), validity (taken of the filled ones), uniqueness (different of the valid ones), each 0 to 1, NULL without rows.';
CREATE OR REPLACE VIEW cdp_bi.identifier_conflict WITH (security_invoker = true) AS
  SELECT l.reason, ta.name AS identifier_type, tb.name AS other_type, s.name AS source, count(DISTINCT l.link_id) AS links, max(p.last_at) AS last_at
  FROM cdp_data.link l JOIN cdp_data.identifier a ON a.identifier_id = l.a_id JOIN cdp_data.identifier b ON b.identifier_id = l.b_id
    JOIN cdp_data.identifier_type_all ta ON ta.type_id = a.type_id JOIN cdp_data.identifier_type_all tb ON tb.type_id = b.type_id
    JOIN cdp_data.link_support_now p USING (link_id) JOIN cdp_data.load d USING (load_id) JOIN cdp_data.source s USING (source_id)
  WHERE l.state = 'rejected'
  GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW cdp_bi.identifier_conflict IS 'Identifiers that sources claim for customers who must stay apart: how many links a rule stopped, by reason, types and source.';

-- step: again: personal data of ingestion
SELECT cdp_internal.declare_personal_data('identity', v.t, v.c, v.category, v.subject, v.erasure, v.note) FROM (VALUES
  ('cdp_data.call_message', 'message_id', 'identifier', 'identifier_id', 'delete', 'keys of messages, sometimes made of names'),
  ('cdp_data.call_message', 'identifier_id', 'pseudonym', 'identifier_id', 'delete', NULL),
  ('cdp_data.group_member', 'identifier_id', 'pseudonym', 'identifier_id', 'delete', 'who belongs to a company or household'),
  ('cdp_data.group_trait', 'trait', 'other', 'group_id', 'keep', 'names of traits'),
  ('cdp_data.group_trait', 'value', 'content', 'group_id', 'delete', 'about a group; of a household it may tell of its people. A trait that names an erased person goes, the others with the group''s last member'),
  ('cdp_data.customer_group', 'group_key', 'identifier', 'group_id', 'delete', 'key of a group; it goes with its last member'),
  ('cdp_data.customer_record', 'source_key', 'identifier', 'identifier_id', 'delete', 'keys of records, sometimes made of names'),
  ('cdp_data.customer_record', 'digest', 'pseudonym', 'identifier_id', 'delete', NULL),
  ('cdp_data.customer_record', 'identifier_id', 'pseudonym', 'identifier_id', 'delete', NULL)
) AS v (t, c, category, subject, erasure, note);
SELECT cdp_internal.declare_impersonal('identity', 'cdp_data.' || v.t, string_to_array(v.c, ' '), v.note) FROM (VALUES
  ('call_message', 'call', 'a fixed word'), ('source_contract', '*', 'words of a contract; owners are teams'), ('source_field', '*', 'names and rules of fields'),
  ('source_quality', '*', 'counts by field'), ('event_map', '*', 'names of events'), ('source_unmapped', '*', 'names of fields')) AS v (t, c, note);

-- step: again: grants of ingestion
SELECT cdp_internal.declare_grant('privacy', 'SELECT', 'TABLE', 'cdp_data.' || r.name) FROM unnest(array['call_message', 'customer_record', 'customer_group', 'group_member', 'group_trait']) AS r (name);
SELECT cdp_internal.declare_grant('privacy', 'SELECT', 'TABLE', 'cdp_data.touchpoint_awaited');
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_data.' || r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector', 'reader']) AS t (template),
  unnest(array['source_contract', 'source_field', 'source_quality', 'source_unmapped', 'event_map', 'event_map_all']) AS r (name);
SELECT cdp_internal.declare_grant('admin', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'cdp_data.event_map');
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.' || r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector']) AS t (template), unnest(array['source_plan', 'source_quality']) AS r (name);
SELECT cdp_internal.declare_grant('privacy', 'SELECT', 'TABLE', 'cdp_bi.identifier_conflict');
