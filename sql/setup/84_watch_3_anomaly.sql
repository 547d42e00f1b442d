-- Connector room, watch: days on which a figure of a channel was not what the days before foretold.

-- step: channel_anomaly
CREATE TABLE IF NOT EXISTS cdp_data.channel_anomaly (
  connection_id integer NOT NULL,
  stream_id smallint NOT NULL,
  metric text COLLATE "C" NOT NULL,
  currency text COLLATE "C" NOT NULL,
  day date NOT NULL,
  source_id integer NOT NULL,
  standard text COLLATE "C",
  value double precision,
  expected double precision,
  low double precision,
  high double precision,
  score double precision,
  verdict text COLLATE "C" NOT NULL CHECK (verdict IN ('high', 'low', 'zero_run')),
  reason text NOT NULL,
  found_at timestamptz NOT NULL,
  gone_at timestamptz,
  PRIMARY KEY (connection_id, stream_id, metric, currency, day)
);
COMMENT ON TABLE cdp_data.channel_anomaly IS 'Days on which a metric of a channel was not what the days before foretold, as cdp.watch() found them: cdp.channel_anomalies().';
COMMENT ON COLUMN cdp_data.channel_anomaly.currency IS 'Of a metric of money; empty: it is none.';
COMMENT ON COLUMN cdp_data.channel_anomaly.day IS 'In the zone of the manifest.';
COMMENT ON COLUMN cdp_data.channel_anomaly.expected IS 'What the days before foretold; low and high: the range without alarm; score: the error in units of the usual past error. NULL: not known.';
COMMENT ON COLUMN cdp_data.channel_anomaly.found_at IS 'When it was found first.';
COMMENT ON COLUMN cdp_data.channel_anomaly.gone_at IS 'Since when the day is no anomaly any more, mostly since the vendor changed its figure. NULL: it still is.';

-- step: again: personal data of anomalies
SELECT cdp_internal.declare_impersonal('connector', 'cdp_data.channel_anomaly', '{*}', 'figures of whole accounts');

-- step: again: anomaly views
CREATE OR REPLACE VIEW cdp_bi.channel_anomaly WITH (security_invoker = true) AS
SELECT c.connection_id, c.name AS connection, c.connector, a.source_id, s.name AS stream, a.metric, a.standard, nullif(a.currency, '') AS currency, a.day, a.value, a.expected, a.low, a.high, a.score, a.verdict, a.reason, a.found_at, a.gone_at
FROM cdp_data.channel_anomaly a JOIN cdp_data.connection c USING (connection_id) JOIN cdp_data.stream s USING (connection_id, stream_id);
COMMENT ON VIEW cdp_bi.channel_anomaly IS 'Days on which a metric of a channel was not what the days before foretold.';
SELECT cdp_internal.declare_column('{channel_anomaly}', v.name, v.meaning) FROM (VALUES
  ('connection', 'Name.'), ('stream', 'Name in the manifest.'), ('metric', 'Name in the manifest.'), ('standard', 'The name that channels share. NULL: it has none.'), ('day', 'In the zone of the manifest.'),
  ('expected', 'What the days before foretold.'), ('low', 'Lower end of the range without alarm.'), ('high', 'Its upper end.'), ('score', 'The error in units of the usual past error.'), ('verdict', 'high, low or zero_run.'),
  ('reason', 'The verdict with its numbers.'), ('found_at', 'When it was found first.'), ('gone_at', 'Since when it is none any more. NULL: it still is.')) AS v (name, meaning);

-- step: again: anomaly grants
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', r.name) FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template), unnest(array['cdp_data.channel_anomaly', 'cdp_bi.channel_anomaly']) AS r (name);
