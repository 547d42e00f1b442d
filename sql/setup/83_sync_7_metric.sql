-- Connector room, mapping: what records say in figures, in words that all channels share.

-- step: channel_metric
CREATE TABLE IF NOT EXISTS cdp_data.channel_metric (
  connection_id integer NOT NULL,
  stream_id smallint NOT NULL,
  record_key text COLLATE "C" NOT NULL,
  metric text COLLATE "C" NOT NULL,
  source_id integer NOT NULL,
  part text COLLATE "C" NOT NULL,
  day date NOT NULL,
  standard text COLLATE "C",
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('sum', 'gauge', 'ratio')),
  value numeric NOT NULL,
  weight numeric,
  currency text COLLATE "C",
  dimensions jsonb NOT NULL DEFAULT '{}',
  dimension_key uuid NOT NULL,
  is_total boolean NOT NULL DEFAULT false,
  content_kind text COLLATE "C",
  content_id text COLLATE "C",
  page_id bigint NOT NULL,
  revision integer NOT NULL,
  told_at timestamptz NOT NULL,
  tokens bigint[],
  PRIMARY KEY (connection_id, stream_id, record_key, metric),
  CHECK ((content_kind IS NULL) = (content_id IS NULL)),
  CHECK (value NOT IN ('NaN', 'Infinity', '-Infinity') AND weight NOT IN ('NaN', 'Infinity', '-Infinity'))
);
CREATE INDEX IF NOT EXISTS channel_metric_day_idx ON cdp_data.channel_metric (connection_id, stream_id, metric, day);
CREATE INDEX IF NOT EXISTS channel_metric_content_idx ON cdp_data.channel_metric (connection_id, content_kind, content_id) WHERE content_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS channel_metric_tokens_idx ON cdp_data.channel_metric USING gin (tokens) WHERE tokens IS NOT NULL;
COMMENT ON TABLE cdp_data.channel_metric IS 'Figures of channels by day, as the records of cdp_data.raw_record say now: one row for each metric of each record, also of connections in shadow. Written by cdp_internal.map_metrics(), which cdp.watch() calls.';
COMMENT ON COLUMN cdp_data.channel_metric.record_key IS 'The record that says so.';
COMMENT ON COLUMN cdp_data.channel_metric.metric IS 'Name in the manifest; standard: the name that channels share, such as impressions. NULL: it has none.';
COMMENT ON COLUMN cdp_data.channel_metric.part IS 'What the stream was asked by, as in cdp_data.coverage.';
COMMENT ON COLUMN cdp_data.channel_metric.day IS 'The day that it is of, in the zone of the manifest. Whether it can still change: cdp_data.coverage.';
COMMENT ON COLUMN cdp_data.channel_metric.kind IS 'sum: adds over days and parts; gauge: a level, or people counted once, which does not add over days; ratio: averaged by weight.';
COMMENT ON COLUMN cdp_data.channel_metric.value IS 'Scaled as the manifest says; money in units of its currency.';
COMMENT ON COLUMN cdp_data.channel_metric.weight IS 'Of a ratio: by what it is averaged. NULL: nothing was named or told.';
COMMENT ON COLUMN cdp_data.channel_metric.dimensions IS 'What it is by, name to text; {} when by nothing.';
COMMENT ON COLUMN cdp_data.channel_metric.dimension_key IS 'First 16 bytes of the SHA-256 of dimensions: with connection, stream, part, metric, currency and content it tells one series of days from another.';
COMMENT ON COLUMN cdp_data.channel_metric.is_total IS 'The vendor says here what all other parts of the day come to: cdp_internal.is_total_row(). Never to be added to them.';
COMMENT ON COLUMN cdp_data.channel_metric.content_id IS 'The post, live, page and so on that it is about; with content_kind. NULL: about none.';
COMMENT ON COLUMN cdp_data.channel_metric.page_id IS 'The page that the record came from; revision: that of the record, above 1 when the vendor changed it.';
COMMENT ON COLUMN cdp_data.channel_metric.told_at IS 'When the page that said so first was fetched.';
COMMENT ON COLUMN cdp_data.channel_metric.tokens IS 'Those of the record: hashes of words, by which exports and erasures find it; NULL: the stream tells of nobody.';

-- step: metric_progress
CREATE TABLE IF NOT EXISTS cdp_data.metric_progress (
  connection_id integer NOT NULL,
  stream_id smallint NOT NULL,
  source_id integer NOT NULL,
  page_id bigint NOT NULL,
  declared bytea NOT NULL,
  problems bigint NOT NULL DEFAULT 0,
  mapped_at timestamptz NOT NULL,
  PRIMARY KEY (connection_id, stream_id)
);
COMMENT ON TABLE cdp_data.metric_progress IS 'How far the records of each stream were read for their figures: cdp_internal.map_metrics().';
COMMENT ON COLUMN cdp_data.metric_progress.page_id IS 'Records of later pages wait. A replay sets it back.';
COMMENT ON COLUMN cdp_data.metric_progress.declared IS 'SHA-256 of what the manifest said about figures then; when it says something else all is read again.';
COMMENT ON COLUMN cdp_data.metric_progress.problems IS 'Figures that could not be read, such as texts that are no numbers, since all was read last. A record that is read again counts again.';

-- step: again: personal data of metrics
SELECT cdp_internal.declare_personal_data('connector', 'cdp_data.channel_metric', c, v.category, NULL, 'delete', v.note, v.kind) FROM (VALUES
  ('tokens', 'pseudonym', 'hashes of words; rows are found by them', 'text'), ('record_key part dimensions content_id', 'pseudonym', 'found by tokens', 'none'), ('day', 'behaviour', 'found by tokens', 'none')
) AS v (columns, category, note, kind), LATERAL unnest(string_to_array(v.columns, ' ')) c;
SELECT cdp_internal.declare_impersonal('connector', 'cdp_data.' || v.t, string_to_array(v.c, ' '), v.note) FROM (VALUES
  ('channel_metric', 'metric standard kind currency dimension_key content_kind', 'words of manifests'), ('metric_progress', '*', 'counts')) AS v (t, c, note);

-- step: again: metric views
CREATE OR REPLACE VIEW cdp_bi.channel_daily WITH (security_invoker = true) AS
SELECT c.connection_id, c.name AS connection, c.connector, c.source_id, s.name AS stream, x.metric, x.standard, x.kind, nullif(x.currency, '') AS currency, x.day, x.value, x.state, x.state IN ('final', 'restated') AS is_final
FROM cdp_data.connection c CROSS JOIN LATERAL cdp_internal.channel_series(c.connection_id, '-infinity', 'infinity') x JOIN cdp_data.stream s ON s.connection_id = c.connection_id AND s.stream_id = x.stream_id
WHERE c.state IN ('live', 'degraded');
COMMENT ON VIEW cdp_bi.channel_daily IS 'Each metric of each stream of live connections by day, over all partitions, dimensions and contents, with what is known of the day. Sums of days that are there and have no row are 0; gauges that several rows tell, and ratios without weights, are NULL.';
CREATE OR REPLACE VIEW cdp_bi.content_daily WITH (security_invoker = true) AS
SELECT c.connection_id, c.name AS connection, c.connector, m.source_id, s.name AS stream, m.content_kind, m.content_id, m.metric, m.standard, m.kind, m.currency, m.day, m.value, m.dimensions, coalesce(v.state = 'final', false) AS is_final, m.told_at
FROM cdp_data.channel_metric m JOIN cdp_data.connection c USING (connection_id) JOIN cdp_data.stream s USING (connection_id, stream_id)
  LEFT JOIN cdp_data.coverage v ON v.connection_id = m.connection_id AND v.stream_id = m.stream_id AND v.part = m.part AND v.day = m.day
WHERE c.state IN ('live', 'degraded') AND m.content_id IS NOT NULL AND NOT m.is_total;
COMMENT ON VIEW cdp_bi.content_daily IS 'Figures of posts, lives, pages and other contents of live connections by day.';
SELECT cdp_internal.declare_column('{channel_daily,content_daily}', v.name, v.meaning) FROM (VALUES
  ('connection', 'Name.'), ('stream', 'Name in the manifest.'), ('metric', 'Name in the manifest.'), ('standard', 'The name that channels share. NULL: it has none.'), ('kind', 'sum, gauge or ratio.'), ('currency', 'Of money.'),
  ('day', 'In the zone of the manifest.'), ('value', 'Scaled as the manifest says.'), ('is_final', 'Whether it is past the time in which the vendor changes it.')) AS v (name, meaning);
SELECT cdp_internal.declare_column('{channel_daily}', 'state', 'What is known of the day over all partitions: final, restated (final, and changed since), provisional, suspect_zero, missing, unavailable.');
SELECT cdp_internal.declare_column('{content_daily}', v.name, v.meaning) FROM (VALUES ('content_kind', 'post, comment, message, live, product, page or link.'), ('content_id', 'Number of the vendor.'), ('dimensions', 'What it is by, name to text.'), ('told_at', 'When the page that said so first was fetched.')) AS v (name, meaning);

-- step: again: grants of metrics
SELECT cdp_internal.declare_grant('privacy', 'SELECT', 'TABLE', 'cdp_data.channel_metric');
SELECT cdp_internal.declare_grant(t.template, v.privileges, 'TABLE', v.name) FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template), (VALUES
  ('cdp_data.metric_progress', 'SELECT'), ('cdp_bi.channel_daily', 'SELECT'), ('cdp_bi.content_daily', 'SELECT')) AS v (name, privileges);
SELECT cdp_internal.declare_grant(t.template, 'SELECT (connection_id, stream_id, metric, source_id, part, day, standard, kind, value, weight, currency, dimensions, dimension_key, is_total, content_kind, content_id, page_id, revision, told_at)', 'TABLE', 'cdp_data.channel_metric')
FROM unnest(array['admin', 'analyst', 'marketer']) AS t (template);
