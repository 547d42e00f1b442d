-- Connector room, watch: who gets the week of the channels.

-- step: digest
CREATE TABLE IF NOT EXISTS cdp_data.digest (
  destination text COLLATE "C" PRIMARY KEY REFERENCES cdp_data.destination,
  weekday smallint NOT NULL DEFAULT 1 CHECK (weekday BETWEEN 1 AND 7),
  hour smallint NOT NULL DEFAULT 10 CHECK (hour BETWEEN 0 AND 23),
  is_active boolean NOT NULL DEFAULT true,
  last_week date,
  outbox_id bigint,
  failure text,
  created_at timestamptz NOT NULL DEFAULT now(),
  created_by text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE cdp_data.digest IS 'Destinations that get cdp.channel_digest() of each week. Made by cdp.add_digest().';
COMMENT ON COLUMN cdp_data.digest.weekday IS 'Day of the week after on which it is sent, 1 is Monday, from hour on, in the zone of cdp_data.setting.timezone.';
COMMENT ON COLUMN cdp_data.digest.last_week IS 'Monday of the last week that was sent, and its message (outbox_id).';
COMMENT ON COLUMN cdp_data.digest.failure IS 'Why the outbox did not take the last one. It is tried again each time.';

-- step: again: personal data of digests
SELECT cdp_internal.declare_impersonal('connector', 'cdp_data.digest', '{*}', 'names of destinations, and of who made it');

-- step: again: digest grants
SELECT cdp_internal.declare_grant('admin', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'cdp_data.digest');
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_data.digest') FROM unnest(array['analyst', 'marketer', 'privacy']) AS t (template);

-- step: audited_digest
SELECT cdp_internal.declare_audited('cdp_data.digest', '{destination,-last_week,-outbox_id,-failure}');
