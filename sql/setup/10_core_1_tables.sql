-- Core room: the tables of schema cdp_data, made by cdp.setup().
-- Every step can be run twice. Nothing here depends on a member of the extension, so that
-- DROP EXTENSION pg_cdp leaves all of it alone. Text keys collate "C": same order everywhere, faster.

-- step: schemas
CREATE SCHEMA IF NOT EXISTS cdp_data;
COMMENT ON SCHEMA cdp_data IS 'pg_cdp: your data. Ordinary tables, dumped and restored like any others; written through functions of schema cdp.';
CREATE SCHEMA IF NOT EXISTS cdp_bi;
COMMENT ON SCHEMA cdp_bi IS 'pg_cdp: views for BI tools and analysts.';
CREATE SCHEMA IF NOT EXISTS cdp_api;
COMMENT ON SCHEMA cdp_api IS 'pg_cdp: views and functions for applications and dashboards.';

-- The record of steps, in the step that makes the schemas: from here on each step can be recorded.
CREATE TABLE IF NOT EXISTS cdp_data.setup_step (
  room text NOT NULL,
  step text NOT NULL,
  md5 text NOT NULL,
  objects text[] NOT NULL DEFAULT '{}',
  version text NOT NULL,
  done_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (room, step)
);
COMMENT ON TABLE cdp_data.setup_step IS 'What cdp.setup() has run in this database, one row per step. Written by cdp.setup() only.';
COMMENT ON COLUMN cdp_data.setup_step.md5 IS 'md5 of the step''s SQL; a release with another text runs the step again.';
COMMENT ON COLUMN cdp_data.setup_step.objects IS 'Names of the objects that the step made. When one of them is missing from the catalogue, cdp.setup() runs the step again.';

-- step: setting
CREATE TABLE IF NOT EXISTS cdp_data.setting (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  timezone text NOT NULL DEFAULT 'UTC',
  currency text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z0-9]{3,10}$'),
  version text,
  time_floor timestamptz NOT NULL DEFAULT '1990-01-01 00:00:00+00' CHECK (isfinite(time_floor)),
  time_ahead interval NOT NULL DEFAULT '1 day' CHECK (time_ahead >= '0'::interval),
  partitions_behind integer NOT NULL DEFAULT 13 CHECK (partitions_behind BETWEEN 0 AND 600),
  partitions_ahead integer NOT NULL DEFAULT 3 CHECK (partitions_ahead BETWEEN 1 AND 120),
  touchpoint_retention interval CHECK (touchpoint_retention > '0'::interval),
  job_run_retention interval NOT NULL DEFAULT '90 days',
  feed_retention interval NOT NULL DEFAULT '30 days',
  phone_region text CHECK (phone_region ~ '^[A-Z]{2}$'),
  max_identifiers_per_customer integer DEFAULT 1000 CHECK (max_identifiers_per_customer > 0),
  audit text NOT NULL DEFAULT 'full' CHECK (audit IN ('full', 'changes', 'off')),
  audit_retention interval CHECK (audit_retention > '0'::interval),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO cdp_data.setting DEFAULT VALUES ON CONFLICT DO NOTHING;
COMMENT ON TABLE cdp_data.setting IS 'Settings of this database: one row. Time zone, currency and phone region are set by cdp.setup(); change the others with UPDATE.';
COMMENT ON COLUMN cdp_data.setting.timezone IS 'Time zone of reports: what a day is. A name of pg_timezone_names.';
COMMENT ON COLUMN cdp_data.setting.currency IS 'Currency of reports, a code of cdp_data.currency_all.';
COMMENT ON COLUMN cdp_data.setting.version IS 'Release of pg_cdp whose setup() ran last; entry points compare it with the installed one.';
COMMENT ON COLUMN cdp_data.setting.time_floor IS 'A touchpoint before this moment is taken for an error and goes to quarantine.';
COMMENT ON COLUMN cdp_data.setting.time_ahead IS 'A touchpoint later than now by more than this is taken for an error and goes to quarantine.';
COMMENT ON COLUMN cdp_data.setting.partitions_behind IS 'Months of partitions that setup() makes for the past.';
COMMENT ON COLUMN cdp_data.setting.partitions_ahead IS 'Months of partitions that cdp.maintain() keeps ready for the future.';
COMMENT ON COLUMN cdp_data.setting.touchpoint_retention IS 'cdp.maintain() drops monthly partitions whose last moment is older than this; NULL keeps everything.';
COMMENT ON COLUMN cdp_data.setting.job_run_retention IS 'cdp.maintain() deletes rows of cdp_data.job_run older than this.';
COMMENT ON COLUMN cdp_data.setting.feed_retention IS 'A consumer that has not read the change feed for this long loses its cursor and makes a full pass next time.';
COMMENT ON COLUMN cdp_data.setting.phone_region IS 'Country (ISO 3166, two capitals) whose phone numbers may come without a country code; NULL: such numbers are refused. Set by cdp.setup(). A change holds for what comes from then on.';
COMMENT ON COLUMN cdp_data.setting.audit IS 'What cdp_data.audit gets: full; changes: all but reads of personal values; off: nothing.';
COMMENT ON COLUMN cdp_data.setting.audit_retention IS 'cdp.maintain() deletes sealed rows of cdp_data.audit older than this; NULL keeps everything.';
COMMENT ON COLUMN cdp_data.setting.max_identifiers_per_customer IS 'A customer gets no more identifiers than this by linking; NULL: no limit.';

-- step: role_grant
CREATE TABLE IF NOT EXISTS cdp_data.role_name (
  template text PRIMARY KEY CHECK (template IN ('admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector', 'reader', 'gateway')),
  role_name text NOT NULL
);
COMMENT ON TABLE cdp_data.role_name IS 'Which role of this server plays which part, as told to cdp.setup(). Names, so that a dump restores anywhere.';
CREATE TABLE IF NOT EXISTS cdp_data.grant_rule (
  template text NOT NULL CHECK (template IN ('admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector', 'reader', 'gateway')),
  privileges text NOT NULL CHECK (privileges ~ '^[A-Z]+( [(][a-z_]+(, [a-z_]+)*[)])?(, [A-Z]+)*$'),
  object_kind text NOT NULL CHECK (object_kind IN ('SCHEMA', 'TABLE', 'SEQUENCE', 'FUNCTION', 'PROCEDURE')),
  object text NOT NULL,
  PRIMARY KEY (template, object_kind, object)
);
COMMENT ON TABLE cdp_data.grant_rule IS 'What each part (analyst, reader, ...) may do. Declared by the rooms; cdp.setup() grants it to the roles of cdp_data.role_name.';
ALTER TABLE cdp_data.grant_rule ADD COLUMN IF NOT EXISTS declared boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN cdp_data.grant_rule.declared IS 'False only while cdp.setup() runs: until a room declares it again.';
CREATE TABLE IF NOT EXISTS cdp_data.granted (
  role_name text NOT NULL,
  object_kind text NOT NULL,
  object text NOT NULL,
  privileges text NOT NULL,
  PRIMARY KEY (role_name, object_kind, object, privileges)
);
COMMENT ON TABLE cdp_data.granted IS 'What cdp.setup() granted to which role when it last ran, so that it can take back what is not declared any more, and nothing that somebody else granted.';

-- step: again: stale rights
-- A release that kept no record had granted what its rules say; what no room declares from here on is taken back at the end.
INSERT INTO cdp_data.granted (role_name, object_kind, object, privileges)
SELECT n.role_name, g.object_kind, g.object, g.privileges FROM cdp_data.grant_rule g JOIN cdp_data.role_name n USING (template)
WHERE NOT EXISTS (SELECT FROM cdp_data.granted) ON CONFLICT DO NOTHING;
UPDATE cdp_data.grant_rule SET declared = false;

-- step: personal_data
CREATE TABLE IF NOT EXISTS cdp_data.personal_data (
  table_name text NOT NULL,
  column_name text NOT NULL,
  category text NOT NULL CHECK (category IN ('identifier', 'contact', 'behaviour', 'content', 'pseudonym', 'financial', 'other')),
  subject_key text,
  erasure text NOT NULL CHECK (erasure IN ('delete', 'clear', 'unlink', 'digest', 'keep')),
  room text NOT NULL DEFAULT 'user',
  note text,
  subject_kind text NOT NULL DEFAULT 'none' CHECK (subject_kind IN ('customer', 'identifier', 'touchpoint', 'link', 'group', 'record', 'value', 'text', 'none')),
  subject_type text,
  PRIMARY KEY (table_name, column_name),
  CHECK ((subject_key IS NULL) = (subject_kind IN ('text', 'none')))
);
COMMENT ON TABLE cdp_data.personal_data IS 'Registry of personal data: every column that can hold some, how to find a person''s rows, and what an erasure does there. Exports and erasures read it. Register your own tables with cdp.register_personal_data().';
COMMENT ON COLUMN cdp_data.personal_data.table_name IS 'Table with its schema, such as cdp_data.identifier.';
COMMENT ON COLUMN cdp_data.personal_data.column_name IS 'Column, or * for all columns of a table that is about nobody.';
COMMENT ON COLUMN cdp_data.personal_data.subject_key IS 'The column of the table that ties the row to a person; NULL when only its text can tell, or when it is about nobody.';
COMMENT ON COLUMN cdp_data.personal_data.subject_kind IS 'What subject_key holds: customer (customer_id), identifier (identifier_id), touchpoint (touchpoint_id), link (link_id), group (group_id), record (an identifier_id as text, of a match model of identifiers), value (an identifier itself). text: no key, only the content can tell; none: about nobody, or about who works with the database.';
COMMENT ON COLUMN cdp_data.personal_data.subject_type IS 'Of subject_kind value: the identifier type whose values the column holds, in any way of writing; NULL: any type, byte by byte.';
COMMENT ON COLUMN cdp_data.personal_data.erasure IS 'delete: the row goes; clear: the column is emptied; unlink: the value moves to a fresh unlinked id; digest: replaced by a keyed digest; keep: may stay.';

-- step: source
CREATE TABLE IF NOT EXISTS cdp_data.source (
  source_id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
  kind text NOT NULL DEFAULT 'batch',
  description text,
  owner text,
  timezone text NOT NULL DEFAULT 'UTC',
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cdp_data.source IS 'Where data come from: a shop, an app, an advertising account. Every fact names its source.';
COMMENT ON COLUMN cdp_data.source.kind IS 'Free word, such as batch, web, app, crm, shop, ads.';
COMMENT ON COLUMN cdp_data.source.owner IS 'Who answers for the source: a team, not a person''s address.';
COMMENT ON COLUMN cdp_data.source.timezone IS 'Time zone of times that the source delivers without one, and of its days of spend.';

-- step: load
CREATE TABLE IF NOT EXISTS cdp_data.load (
  load_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  source_id integer NOT NULL REFERENCES cdp_data.source,
  kind text NOT NULL DEFAULT 'touchpoints',
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'reverted', 'failed')),
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamptz,
  rows_read bigint NOT NULL DEFAULT 0,
  inserted bigint NOT NULL DEFAULT 0,
  corrected bigint NOT NULL DEFAULT 0,
  unchanged bigint NOT NULL DEFAULT 0,
  quarantined bigint NOT NULL DEFAULT 0,
  orphaned bigint NOT NULL DEFAULT 0,
  first_at timestamptz,
  last_at timestamptz,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  reverted_at timestamptz,
  note text
);
CREATE INDEX IF NOT EXISTS load_source_idx ON cdp_data.load (source_id, started_at);
COMMENT ON TABLE cdp_data.load IS 'The ledger of loads: one row per load with its counts. rows_read = inserted + corrected + unchanged + quarantined.';
COMMENT ON COLUMN cdp_data.load.corrected IS 'Records that came again with another content; the earlier version moved to touchpoint_retracted.';
COMMENT ON COLUMN cdp_data.load.orphaned IS 'Rows loaded whose refers_to named a record that is not there.';
COMMENT ON COLUMN cdp_data.load.first_at IS 'Earliest time of the rows loaded; last_at the latest. NULL when none was.';
COMMENT ON COLUMN cdp_data.load.xid IS 'Transaction that made the row.';

-- step: origin
CREATE TABLE IF NOT EXISTS cdp_data.origin (
  origin_id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  source text COLLATE "C" NOT NULL DEFAULT '',
  medium text COLLATE "C" NOT NULL DEFAULT '',
  campaign text COLLATE "C" NOT NULL DEFAULT '',
  referrer_host text COLLATE "C" NOT NULL DEFAULT '',
  add_way text COLLATE "C" NOT NULL DEFAULT '',
  qr_scene text COLLATE "C" NOT NULL DEFAULT '',
  digest bytea NOT NULL GENERATED ALWAYS AS (sha256(replace(
    length(source)::text || ':' || source || length(medium)::text || ':' || medium || length(campaign)::text || ':' || campaign
    || length(referrer_host)::text || ':' || referrer_host || length(add_way)::text || ':' || add_way || length(qr_scene)::text || ':' || qr_scene,
    '\', '\\')::bytea)) STORED UNIQUE
);
COMMENT ON TABLE cdp_data.origin IS 'What was observed about where a touch came from, each combination once. Never rewritten by a new grouping into channels: see cdp_bi.origin_channel.';
COMMENT ON COLUMN cdp_data.origin.source IS 'utm_source or the like, '''' when unknown; so with the other columns.';
COMMENT ON COLUMN cdp_data.origin.add_way IS 'How a contact was added (WeCom add_way), such as qr_code, search, card.';
COMMENT ON COLUMN cdp_data.origin.qr_scene IS 'Scene value of the QR code that was scanned.';
COMMENT ON COLUMN cdp_data.origin.digest IS 'SHA-256 of the six texts, each with its length before it; makes the combination unique whatever its size.';

-- step: channel
CREATE TABLE IF NOT EXISTS cdp_data.channel (
  channel_id integer GENERATED BY DEFAULT AS IDENTITY (START WITH 1000) PRIMARY KEY CHECK (channel_id > 0),
  name text COLLATE "C" NOT NULL UNIQUE CHECK (name <> '' AND name NOT LIKE '(%'),
  channel_group text COLLATE "C" NOT NULL DEFAULT 'Other',
  is_direct boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE cdp_data.channel IS 'Your own channels. Numbers from 1000 are new ones; a row with the number of a built-in channel (cdp.channel_builtin) renames or regroups that one. All together: cdp_data.channel_all.';
COMMENT ON COLUMN cdp_data.channel.is_direct IS 'True for a channel that means no known origin; last non-direct models skip it.';
CREATE TABLE IF NOT EXISTS cdp_data.channel_rule (
  rule_id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  priority integer NOT NULL DEFAULT 100,
  source text COLLATE "C",
  medium text COLLATE "C",
  campaign text COLLATE "C",
  referrer_host text COLLATE "C",
  add_way text COLLATE "C",
  qr_scene text COLLATE "C",
  channel_id integer NOT NULL,
  note text
);
COMMENT ON TABLE cdp_data.channel_rule IS 'Your own rules from origin to channel. The first that matches counts: lowest priority, then lowest rule_id; built-in rules have priorities from 10000. A pattern is LIKE, A-Z and a-z alike, several separated by |; NULL matches anything, '''' only the empty text.';
COMMENT ON COLUMN cdp_data.channel_rule.channel_id IS 'A channel of cdp_data.channel_all.';

-- step: campaign
CREATE TABLE IF NOT EXISTS cdp_data.campaign (
  campaign_id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
  source_id integer REFERENCES cdp_data.source,
  starts_at timestamptz,
  ends_at timestamptz,
  budget numeric(20,6) CHECK (budget >= 0),
  currency text,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK (ends_at > starts_at)
);
COMMENT ON TABLE cdp_data.campaign IS 'Campaigns. A touchpoint may name one.';
COMMENT ON COLUMN cdp_data.campaign.ends_at IS 'First moment after the campaign.';
COMMENT ON COLUMN cdp_data.campaign.budget IS 'Planned spend in currency; NULL when unknown.';

-- step: spend
CREATE TABLE IF NOT EXISTS cdp_data.spend (
  spend_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  day date NOT NULL CHECK (isfinite(day)),
  timezone text NOT NULL DEFAULT 'UTC',
  channel_id integer NOT NULL,
  campaign_id integer,
  amount numeric(20,6) NOT NULL CHECK (amount <> 'NaN' AND abs(amount) < 9200000000000),
  currency text NOT NULL,
  source_id integer NOT NULL REFERENCES cdp_data.source,
  load_id bigint,
  CONSTRAINT spend_once UNIQUE NULLS NOT DISTINCT (day, channel_id, campaign_id, source_id)
);
CREATE INDEX IF NOT EXISTS spend_load_idx ON cdp_data.spend (load_id);
COMMENT ON TABLE cdp_data.spend IS 'What was paid per day, channel and campaign. One figure per source: a figure that comes again replaces the earlier one.';
COMMENT ON COLUMN cdp_data.spend.day IS 'Day of the advertising account, in timezone.';
COMMENT ON COLUMN cdp_data.spend.amount IS 'Money paid, in currency, not in minor units; negative for a credit note.';
COMMENT ON COLUMN cdp_data.spend.channel_id IS 'A channel of cdp_data.channel_all.';

-- step: currency
CREATE TABLE IF NOT EXISTS cdp_data.currency (
  code text COLLATE "C" PRIMARY KEY CHECK (code ~ '^[A-Z0-9]{3,10}$'),
  exponent smallint NOT NULL CHECK (exponent BETWEEN 0 AND 6)
);
COMMENT ON TABLE cdp_data.currency IS 'Your own currencies (points, tokens) beside ISO 4217, which is built in; a row with an ISO code replaces it. All together: cdp_data.currency_all.';
COMMENT ON COLUMN cdp_data.currency.exponent IS 'Digits after the point in the minor unit: 2 for cents.';
CREATE TABLE IF NOT EXISTS cdp_data.currency_rate (
  currency text COLLATE "C" NOT NULL,
  base text COLLATE "C" NOT NULL,
  valid_from date NOT NULL CHECK (isfinite(valid_from)),
  rate numeric NOT NULL CHECK (rate > 0 AND rate <> 'NaN' AND rate < 'Infinity'),
  PRIMARY KEY (currency, base, valid_from),
  CHECK (currency <> base)
);
COMMENT ON TABLE cdp_data.currency_rate IS 'Dated exchange rates: 1 unit of currency is rate units of base, from the day valid_from (UTC) until the next row. Money of two currencies is never added without one.';

-- step: touch_kind
CREATE TABLE IF NOT EXISTS cdp_data.touch_kind (
  kind_id smallint GENERATED BY DEFAULT AS IDENTITY (START WITH 1000) PRIMARY KEY CHECK (kind_id > 0),
  name text COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
  is_touch boolean NOT NULL DEFAULT true,
  is_conversion boolean NOT NULL DEFAULT false,
  is_milestone boolean NOT NULL DEFAULT false,
  sensitivity text COLLATE "C" NOT NULL DEFAULT 'internal' CHECK (sensitivity IN ('internal', 'personal', 'sensitive')),
  allowed_purposes text[] COLLATE "C"
);
COMMENT ON TABLE cdp_data.touch_kind IS 'Your own kinds of touchpoints. Numbers from 1000 are new ones; a row with the number of a built-in kind (cdp.touch_kind_builtin) replaces that one. All together: cdp_data.touch_kind_all.';
COMMENT ON COLUMN cdp_data.touch_kind.is_touch IS 'Counts as a touch that can earn credit.';
COMMENT ON COLUMN cdp_data.touch_kind.is_conversion IS 'Counts as a conversion or, with a negative value or refers_to, as a refund.';
COMMENT ON COLUMN cdp_data.touch_kind.is_milestone IS 'An anchor of the W-shaped and full path models, such as lead.';
COMMENT ON COLUMN cdp_data.touch_kind.sensitivity IS 'What it says of a person that it happened: internal: nothing by itself; personal; sensitive: needs a purpose of its own.';
COMMENT ON COLUMN cdp_data.touch_kind.allowed_purposes IS 'Purposes for which touchpoints of the kind may be used, of cdp_data.purpose_all; NULL: every one. Attribution leaves out what does not allow analytics. See cdp.purpose_check().';

-- step: customer
CREATE TABLE IF NOT EXISTS cdp_data.customer (
  customer_id bigint GENERATED BY DEFAULT AS IDENTITY (MAXVALUE 4294967295) PRIMARY KEY,
  parent_id bigint NOT NULL CHECK (parent_id BETWEEN 1 AND 4294967295),
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK (customer_id BETWEEN 1 AND 4294967295)
) WITH (fillfactor = 90);
CREATE INDEX IF NOT EXISTS customer_merged_idx ON cdp_data.customer (parent_id) INCLUDE (customer_id) WHERE parent_id <> customer_id;
COMMENT ON TABLE cdp_data.customer IS 'Customers. A merge sets the loser''s parent_id and nothing else; an id once given is never used again.';
COMMENT ON COLUMN cdp_data.customer.customer_id IS 'From 1 to 4294967295, so that C keeps it in 32 bits. Gaps are allowed.';
COMMENT ON COLUMN cdp_data.customer.parent_id IS 'The customer into which this one was merged; itself for a root. Follow it to the end, or use cdp_internal.customer_root().';

-- step: identifier
CREATE TABLE IF NOT EXISTS cdp_data.identifier_type (
  type_id smallint GENERATED BY DEFAULT AS IDENTITY (START WITH 1000) PRIMARY KEY CHECK (type_id > 0),
  name text COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
  description text,
  normaliser text NOT NULL DEFAULT 'trim' CHECK (normaliser IN ('trim', 'lower', 'email', 'email_gmail', 'phone', 'openid', 'unionid',
    'external_userid', 'device', 'cookie', 'hash', 'digits', 'uuid')),
  role text NOT NULL DEFAULT 'merge' CHECK (role IN ('merge', 'attach_only', 'ignore')),
  priority smallint NOT NULL DEFAULT 500 CHECK (priority BETWEEN 1 AND 1000),
  max_per_customer integer CHECK (max_per_customer > 0),
  limit_window interval CHECK (limit_window > '0'::interval),
  supernode_degree integer CHECK (supernode_degree > 0),
  -- The server compiles the expression to test it, so that a bad one is refused here.
  pattern text COLLATE "C" CHECK (pattern IS NULL OR ('' ~ pattern) IS NOT NULL),
  CHECK (limit_window IS NULL OR max_per_customer IS NOT NULL)
);
COMMENT ON TABLE cdp_data.identifier_type IS 'Your own identifier types. Numbers from 1000 are new ones; a row with the number of a built-in type (cdp.identifier_type_builtin) replaces that one. All together: cdp_data.identifier_type_all. One call makes a new one: cdp.add_identifier_type().';
COMMENT ON COLUMN cdp_data.identifier_type.normaliser IS 'How values are brought into one form: a name of cdp.normaliser_builtin(). A change does not touch identifiers that are stored already.';
COMMENT ON COLUMN cdp_data.identifier_type.role IS 'merge: two customers with the same value become one; attach_only: it belongs to a customer but never merges two; ignore: rows that carry it are refused.';
COMMENT ON COLUMN cdp_data.identifier_type.priority IS 'Strength as evidence, 1 to 1000, lower is stronger. When a merge would break a limit, the identifier of the highest number is left out first.';
COMMENT ON COLUMN cdp_data.identifier_type.max_per_customer IS 'At most so many of this type for one customer; NULL: no limit.';
COMMENT ON COLUMN cdp_data.identifier_type.limit_window IS 'NULL: max_per_customer holds for ever; else it holds for those first seen within any span of this length.';
COMMENT ON COLUMN cdp_data.identifier_type.supernode_degree IS 'An identifier linked to more than so many distinct others is taken for shared (a till, a clerk''s phone, a kiosk); NULL: never.';
COMMENT ON COLUMN cdp_data.identifier_type.pattern IS 'Regular expression that the normalised value must match, beside what the normaliser asks; collation C. NULL: anything.';
CREATE TABLE IF NOT EXISTS cdp_data.identifier (
  identifier_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  type_id smallint NOT NULL,
  value text COLLATE "C" NOT NULL CHECK (value <> ''),
  customer_id bigint NOT NULL,
  first_seen timestamptz,
  last_seen timestamptz,
  state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'quarantined')),
  UNIQUE (type_id, value)
) WITH (fillfactor = 75); -- loads move last_seen on: such updates stay on their page and out of the indexes
CREATE INDEX IF NOT EXISTS identifier_customer_idx ON cdp_data.identifier (customer_id);
COMMENT ON TABLE cdp_data.identifier IS 'Identifiers, each exact value once per type, with the customer it was first attached to.';
COMMENT ON COLUMN cdp_data.identifier.value IS 'Personal data. Normalised text, compared byte by byte.';
COMMENT ON COLUMN cdp_data.identifier.customer_id IS 'Home customer. Merges never change it; an unmerge writes cdp_data.identifier_override instead.';
COMMENT ON COLUMN cdp_data.identifier.first_seen IS 'Earliest touchpoint that carried it, as far as the loads told; last_seen the latest.';
COMMENT ON COLUMN cdp_data.identifier.state IS 'active; quarantined: taken for shared by several people, so it links nobody.';
CREATE TABLE IF NOT EXISTS cdp_data.identifier_block (
  block_id integer GENERATED BY DEFAULT AS IDENTITY (START WITH 1000) PRIMARY KEY CHECK (block_id > 0),
  type_id smallint,
  value text COLLATE "C" CHECK (value <> '' AND octet_length(value) <= 800),
  pattern text COLLATE "C" CHECK (pattern IS NULL OR ('' ~ pattern) IS NOT NULL),
  is_active boolean NOT NULL DEFAULT true,
  note text,
  CHECK (num_nonnulls(value, pattern) = 1)
);
COMMENT ON TABLE cdp_data.identifier_block IS 'Your own values that never identify anybody, such as a test account or the phone of a shop. Numbers from 1000 are new ones; a row with the number of a built-in one (cdp.identifier_block_builtin) replaces it, with is_active false it switches it off. All together: cdp_data.identifier_block_all. Blocks what comes from then on; what is stored stays.';
COMMENT ON COLUMN cdp_data.identifier_block.type_id IS 'Type for which it holds, of cdp_data.identifier_type_all; NULL: all types.';
COMMENT ON COLUMN cdp_data.identifier_block.value IS 'The value itself, A-Z like a-z, also when it comes in quotes; may hold personal data. Exactly one of value and pattern is given.';
COMMENT ON COLUMN cdp_data.identifier_block.pattern IS 'Regular expression on the normalised value without outer quotes; collation C.';
CREATE TABLE IF NOT EXISTS cdp_data.identifier_override (
  identifier_id bigint PRIMARY KEY,
  customer_id bigint NOT NULL CHECK (customer_id BETWEEN 1 AND 4294967295)
);
COMMENT ON TABLE cdp_data.identifier_override IS 'Identifiers that an unmerge moved to another customer than their home. Every report reads it before the map of merged customers.';

-- step: suppression
CREATE TABLE IF NOT EXISTS cdp_data.suppression (
  digest bytea PRIMARY KEY CHECK (octet_length(digest) = 34),
  created_at timestamptz NOT NULL DEFAULT now(),
  reason text
);
COMMENT ON TABLE cdp_data.suppression IS 'Digests of identifiers that must not come in again, after an erasure. No personal value: only its keyed digest.';
COMMENT ON COLUMN cdp_data.suppression.digest IS 'Number of the key in two bytes, then HMAC-SHA256: cdp_internal.suppression_digest().';

-- step: touchpoint
CREATE SEQUENCE IF NOT EXISTS cdp_data.touchpoint_id_seq AS bigint CACHE 100; -- loads take many; gaps do not matter
COMMENT ON SEQUENCE cdp_data.touchpoint_id_seq IS 'Hands out touchpoint_id.';
CREATE TABLE IF NOT EXISTS cdp_data.touchpoint (
  touchpoint_id bigint NOT NULL DEFAULT nextval('cdp_data.touchpoint_id_seq'),
  customer_id bigint NOT NULL,
  identifier_id bigint NOT NULL,
  occurred_at timestamptz NOT NULL,
  origin_id integer NOT NULL,
  source_id integer NOT NULL,
  load_id bigint NOT NULL,
  flags integer NOT NULL DEFAULT 0,
  kind_id smallint NOT NULL,
  campaign_id integer,
  refers_to bigint,
  value numeric(20,6),
  currency text COLLATE "C",
  properties jsonb,
  PRIMARY KEY (customer_id, occurred_at, touchpoint_id)
) PARTITION BY RANGE (occurred_at);
ALTER SEQUENCE cdp_data.touchpoint_id_seq OWNED BY cdp_data.touchpoint.touchpoint_id;
CREATE INDEX IF NOT EXISTS touchpoint_load_idx ON cdp_data.touchpoint USING brin (load_id, occurred_at) WITH (pages_per_range = 64, autosummarize = on);
CREATE TABLE IF NOT EXISTS cdp_data.touchpoint_default PARTITION OF cdp_data.touchpoint DEFAULT;
COMMENT ON TABLE cdp_data.touchpoint IS 'The facts: every touch, conversion and refund, in monthly partitions (UTC). Append-only, written by loads; corrected and reverted rows move to touchpoint_retracted. No foreign keys, on purpose: cdp.check_orphans() replaces them.';
COMMENT ON TABLE cdp_data.touchpoint_default IS 'Touchpoints of months without a partition of their own; cdp.maintain() moves them out.';
COMMENT ON COLUMN cdp_data.touchpoint.customer_id IS 'Home customer of the identifier when the row was written, never the root of a merge.';
COMMENT ON COLUMN cdp_data.touchpoint.identifier_id IS 'The identifier that carried the touch.';
COMMENT ON COLUMN cdp_data.touchpoint.occurred_at IS 'When it happened (not when it was loaded).';
COMMENT ON COLUMN cdp_data.touchpoint.origin_id IS 'Where it came from: cdp_data.origin; its channel is in cdp_bi.origin_channel.';
COMMENT ON COLUMN cdp_data.touchpoint.flags IS 'Bit 1: bot; bit 2: internal traffic. 0 for a person''s. The sign is set when the row refers to a record and named no currency: then it is in that of the record.';
COMMENT ON COLUMN cdp_data.touchpoint.kind_id IS 'Kind of touchpoint: cdp_data.touch_kind_all.';
COMMENT ON COLUMN cdp_data.touchpoint.refers_to IS 'A refund''s conversion: its touchpoint_id.';
COMMENT ON COLUMN cdp_data.touchpoint.value IS 'Money in currency, not in minor units; negative for a refund; NULL for a touch.';
COMMENT ON COLUMN cdp_data.touchpoint.currency IS 'Code of cdp_data.currency_all; NULL when value is NULL.';
COMMENT ON COLUMN cdp_data.touchpoint.properties IS 'Whatever else the source told. May hold personal data.';

-- step: touchpoint_key
CREATE TABLE IF NOT EXISTS cdp_data.touchpoint_key (
  source_id integer NOT NULL,
  source_key text COLLATE "C" NOT NULL,
  touchpoint_id bigint NOT NULL,
  customer_id bigint NOT NULL,
  occurred_at timestamptz NOT NULL,
  PRIMARY KEY (source_id, source_key)
) WITH (fillfactor = 95);
CREATE INDEX IF NOT EXISTS touchpoint_key_touchpoint_idx ON cdp_data.touchpoint_key (touchpoint_id);
COMMENT ON TABLE cdp_data.touchpoint_key IS 'Which record of a source became which touchpoint, so that a record that comes twice is loaded once. The three last columns are the touchpoint''s primary key.';
COMMENT ON COLUMN cdp_data.touchpoint_key.source_key IS 'The record''s own key in its source. May hold personal data.';

-- step: touchpoint_retracted
CREATE TABLE IF NOT EXISTS cdp_data.touchpoint_retracted (
  retraction_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  touchpoint_id bigint NOT NULL,
  customer_id bigint NOT NULL,
  identifier_id bigint NOT NULL,
  occurred_at timestamptz NOT NULL,
  origin_id integer NOT NULL,
  source_id integer NOT NULL,
  load_id bigint NOT NULL,
  flags integer NOT NULL DEFAULT 0,
  kind_id smallint NOT NULL,
  campaign_id integer,
  refers_to bigint,
  value numeric(20,6),
  currency text COLLATE "C",
  properties jsonb,
  source_key text COLLATE "C" NOT NULL,
  retracted_by_load bigint NOT NULL,
  retracted_at timestamptz NOT NULL DEFAULT now(),
  retracted_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  restored_at timestamptz,
  restored_xid xid8
);
CREATE INDEX IF NOT EXISTS touchpoint_retracted_by_idx ON cdp_data.touchpoint_retracted (retracted_by_load);
CREATE INDEX IF NOT EXISTS touchpoint_retracted_customer_idx ON cdp_data.touchpoint_retracted (customer_id, occurred_at);
CREATE INDEX IF NOT EXISTS touchpoint_retracted_key_idx ON cdp_data.touchpoint_retracted (source_id, source_key);
CREATE INDEX IF NOT EXISTS touchpoint_retracted_touchpoint_idx ON cdp_data.touchpoint_retracted (touchpoint_id);
COMMENT ON TABLE cdp_data.touchpoint_retracted IS 'Versions of touchpoints that a later load corrected or a revert took out. The row was not in force from retracted_at until restored_at (NULL: still not; at once: only its currency became that of the record that it refers to).';
COMMENT ON COLUMN cdp_data.touchpoint_retracted.load_id IS 'The load that had written the version.';
COMMENT ON COLUMN cdp_data.touchpoint_retracted.retracted_by_load IS 'The load that replaced it, or that was reverted.';

-- step: change_feed
CREATE TABLE IF NOT EXISTS cdp_data.change_feed (
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq bigint GENERATED ALWAYS AS IDENTITY,
  customer_id bigint,
  cause text NOT NULL,
  occurred_from timestamptz,
  occurred_to timestamptz,
  written_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (xid, seq)
);
COMMENT ON TABLE cdp_data.change_feed IS 'What changed about whom: written by loads, merges, consent and erasure, read with cdp.feed_read(). Trimmed by cdp.maintain() once every consumer has read it.';
COMMENT ON COLUMN cdp_data.change_feed.xid IS 'Writing transaction: consumers compare it with their snapshot, so that a transaction that commits late is not missed.';
COMMENT ON COLUMN cdp_data.change_feed.customer_id IS 'Home customer; NULL means: take every customer for changed.';
COMMENT ON COLUMN cdp_data.change_feed.cause IS 'load, identify (somebody new, or by a new identifier), revert, merge, unmerge, consent, erasure, refund, ...';
COMMENT ON COLUMN cdp_data.change_feed.occurred_from IS 'Earliest time of the touchpoints concerned, occurred_to the latest; NULL: all of them.';
CREATE TABLE IF NOT EXISTS cdp_data.feed_cursor (
  consumer text COLLATE "C" PRIMARY KEY CHECK (consumer <> ''),
  snapshot pg_snapshot NOT NULL,
  system_identifier bigint NOT NULL,
  advanced_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cdp_data.feed_cursor IS 'How far each consumer has read the change feed. No row: the consumer makes a full pass.';
COMMENT ON COLUMN cdp_data.feed_cursor.snapshot IS 'Every transaction that it sees has been read.';
COMMENT ON COLUMN cdp_data.feed_cursor.system_identifier IS 'The cluster that counted these transactions; in another one (a restored dump) the cursor does not hold.';

-- step: job
CREATE TABLE IF NOT EXISTS cdp_data.job (
  name text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
  room text NOT NULL DEFAULT 'user',
  command text NOT NULL,
  schedule text NOT NULL CHECK (schedule ~* '^\s*[1-9]\d{0,4}\s+((minute|hour)s?|(day|week|month)s?(\s+at\s+([01]?\d|2[0-3]):[0-5]\d)?)\s*$'),
  commits boolean NOT NULL DEFAULT false,
  enabled boolean NOT NULL DEFAULT true,
  description text,
  last_started timestamptz,
  last_finished timestamptz,
  last_error text,
  running_pid integer,
  running_backend timestamptz
);
COMMENT ON TABLE cdp_data.job IS 'The list of jobs of all rooms; cdp.run_jobs() runs the due ones. One line of pg_cron serves them all: SELECT cdp.schedule().';
COMMENT ON COLUMN cdp_data.job.schedule IS 'How often: ''15 minutes'', ''1 hour'', ''1 day at 03:30'' (time zone of cdp_data.setting).';
COMMENT ON COLUMN cdp_data.job.commits IS 'The command is a CALL that commits by itself; it runs outside any transaction block, and its failure ends the run of cdp.run_jobs().';
COMMENT ON COLUMN cdp_data.job.last_error IS 'SQLSTATE and message of the last run when it failed; NULL when it went well.';
COMMENT ON COLUMN cdp_data.job.running_pid IS 'Backend that runs it now; with running_backend, that backend''s start time, it tells a living run from an abandoned one.';
CREATE TABLE IF NOT EXISTS cdp_data.job_run (
  job_run_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  job text COLLATE "C" NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamptz,
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed', 'abandoned')),
  error text
);
CREATE INDEX IF NOT EXISTS job_run_job_idx ON cdp_data.job_run (job, started_at);
COMMENT ON TABLE cdp_data.job_run IS 'One row per run of a job. Trimmed by cdp.maintain().';

-- step: destination
CREATE TABLE IF NOT EXISTS cdp_data.destination (
  destination text COLLATE "C" PRIMARY KEY CHECK (destination <> ''),
  kind text NOT NULL DEFAULT 'webhook',
  description text,
  enabled boolean NOT NULL DEFAULT true,
  max_attempts integer NOT NULL DEFAULT 10 CHECK (max_attempts BETWEEN 1 AND 1000),
  purpose text COLLATE "C",
  channel text COLLATE "C" NOT NULL DEFAULT '' CHECK (channel ~ '^[a-z0-9_.-]{0,63}$'),
  attributes text[] COLLATE "C",
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cdp_data.destination IS 'Where the outbox delivers to: a CRM, a marketing automation tool. No address and no secret stands here.';
COMMENT ON COLUMN cdp_data.destination.purpose IS 'Purpose for which it gets data, of cdp_data.purpose_all; the outbox asks for consent to it. NULL: not said, so that the outbox takes no message for it.';
COMMENT ON COLUMN cdp_data.destination.channel IS 'Channel on which it speaks to people (email, sms, wechat); '''': none in particular.';
COMMENT ON COLUMN cdp_data.destination.attributes IS 'Attributes of customers that its messages may carry, in the object attributes of the payload; NULL: not declared. Checked against the purpose by cdp.add_destination() and at every message.';
CREATE TABLE IF NOT EXISTS cdp_data.outbox (
  outbox_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  destination text COLLATE "C" NOT NULL REFERENCES cdp_data.destination,
  created_at timestamptz NOT NULL DEFAULT now(),
  kind text NOT NULL,
  customer_id bigint,
  payload jsonb NOT NULL,
  dedup_key text COLLATE "C",
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'taken', 'sent', 'failed', 'cancelled')),
  attempts integer NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL DEFAULT now(),
  taken_at timestamptz,
  sent_at timestamptz,
  last_error text,
  UNIQUE (destination, dedup_key)
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS outbox_due_idx ON cdp_data.outbox (destination, next_attempt_at, outbox_id) WHERE state IN ('waiting', 'taken');
CREATE INDEX IF NOT EXISTS outbox_customer_idx ON cdp_data.outbox (customer_id) WHERE customer_id IS NOT NULL;
COMMENT ON TABLE cdp_data.outbox IS 'Messages to destinations, written in the transaction that decided them, delivered later, at least once each.';
COMMENT ON COLUMN cdp_data.outbox.payload IS 'What the destination gets. May hold personal data.';
COMMENT ON COLUMN cdp_data.outbox.dedup_key IS 'A second message with the same key to the same destination is not written.';
COMMENT ON COLUMN cdp_data.outbox.state IS 'waiting; taken (a deliverer has it until next_attempt_at); sent; failed (attempts used up); cancelled (no longer allowed when it was to go: last_error says why, the payload is emptied).';

-- step: quarantine
CREATE TABLE IF NOT EXISTS cdp_data.quarantine (
  quarantine_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  load_id bigint NOT NULL,
  source_id integer NOT NULL,
  row_no bigint,
  original jsonb NOT NULL,
  code text NOT NULL,
  reason text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  retried_by_load bigint
);
CREATE INDEX IF NOT EXISTS quarantine_load_idx ON cdp_data.quarantine (load_id);
COMMENT ON TABLE cdp_data.quarantine IS 'Rows that a load refused, as they came, with the reason. cdp.retry_quarantine() tries them again.';
COMMENT ON COLUMN cdp_data.quarantine.original IS 'The row as it came. May hold personal data.';
COMMENT ON COLUMN cdp_data.quarantine.code IS 'Short word for the reason, such as bad_time, unknown_kind.';
COMMENT ON COLUMN cdp_data.quarantine.retried_by_load IS 'The load that tried it again; NULL while it waits.';
