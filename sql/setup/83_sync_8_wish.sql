-- Connector room, pulls: what somebody wishes to be asked again before its time, such as what a callback says has changed.

-- step: stream_wish
CREATE TABLE IF NOT EXISTS cdp_data.stream_wish (
  connection_id integer NOT NULL,
  stream text COLLATE "C" NOT NULL CHECK (stream <> ''),
  part text COLLATE "C" NOT NULL,
  source_id integer NOT NULL,
  first_day date,
  last_day date,
  reason text NOT NULL,
  wished_at timestamptz NOT NULL,
  wishes integer NOT NULL DEFAULT 1,
  PRIMARY KEY (connection_id, stream, part),
  CHECK ((first_day IS NULL) = (last_day IS NULL) AND first_day <= last_day)
) WITH (fillfactor = 80);
COMMENT ON TABLE cdp_data.stream_wish IS 'What shall be pulled before its time, one row for each stream and partition. Written by cdp_internal.wish(), such as for callbacks; deleted by the pull that grants it (cdp_internal.wish_granted()).';
COMMENT ON COLUMN cdp_data.stream_wish.stream IS 'Name in the manifest; nothing may have landed from it yet.';
COMMENT ON COLUMN cdp_data.stream_wish.part IS 'The one value to ask by; empty: the whole stream.';
COMMENT ON COLUMN cdp_data.stream_wish.first_day IS 'First and last of the days that are wished, both within, in the zone of the manifest; final days, too. NULL: the stream is not asked by days, or what is due anyway.';
COMMENT ON COLUMN cdp_data.stream_wish.reason IS 'Who wishes, in fixed words: callback and the event.';
COMMENT ON COLUMN cdp_data.stream_wish.wished_at IS 'Of the newest wish. A pull whose first page was asked before does not grant it.';
COMMENT ON COLUMN cdp_data.stream_wish.wishes IS 'How often it was wished since it was granted last.';

-- step: again: personal data of wishes
SELECT cdp_internal.declare_personal_data('connector', 'cdp_data.stream_wish', 'part', 'identifier', 'part', 'delete', 'what a stream is asked by: staff, groups, orders; a person where the manifest asks by person', 'value');
SELECT cdp_internal.declare_impersonal('connector', 'cdp_data.stream_wish', '{stream,reason,first_day,last_day}', 'names of streams, fixed words, days of streams');

-- step: again: wish grants
SELECT cdp_internal.declare_grant('privacy', 'SELECT', 'TABLE', 'cdp_data.stream_wish');
SELECT cdp_internal.declare_grant(t.template, 'SELECT (connection_id, stream, source_id, first_day, last_day, reason, wished_at, wishes)', 'TABLE', 'cdp_data.stream_wish') FROM unnest(array['admin', 'marketer']) AS t (template);
