-- Connector room, mapping: how far records were read for what they mean, what could not be read, and contents.

-- step: map_progress
CREATE TABLE IF NOT EXISTS cdp_data.map_progress (
  connection_id integer NOT NULL,
  stream_id smallint NOT NULL,
  what text COLLATE "C" NOT NULL CHECK (what IN ('touchpoint', 'content')),
  source_id integer NOT NULL,
  page_id bigint NOT NULL,
  known_page_id bigint NOT NULL DEFAULT 0,
  declared bytea NOT NULL,
  records bigint NOT NULL DEFAULT 0,
  load_id bigint,
  quarantined bigint NOT NULL DEFAULT 0,
  mapped_at timestamptz NOT NULL,
  PRIMARY KEY (connection_id, stream_id, what)
);
COMMENT ON TABLE cdp_data.map_progress IS 'How far the records of each stream were read for touchpoints and contents: cdp_internal.map_some().';
COMMENT ON COLUMN cdp_data.map_progress.page_id IS 'Records of later pages wait. A replay sets it back.';
COMMENT ON COLUMN cdp_data.map_progress.known_page_id IS 'So far were the records read that tell which campaigns are known.';
COMMENT ON COLUMN cdp_data.map_progress.declared IS 'SHA-256 of what the manifest said about them then; when it says something else all is read again.';
COMMENT ON COLUMN cdp_data.map_progress.records IS 'Records looked at since all was read last; load_id: the last load that touchpoints came with; quarantined: how many of them loads refused since (cdp_data.quarantine).';

-- step: map_refused
CREATE TABLE IF NOT EXISTS cdp_data.map_refused (
  connection_id integer NOT NULL,
  stream_id smallint NOT NULL,
  record_key text COLLATE "C" NOT NULL,
  what text COLLATE "C" NOT NULL CHECK (what IN ('touchpoint', 'content')),
  n smallint NOT NULL,
  source_id integer NOT NULL,
  code text COLLATE "C" NOT NULL,
  page_id bigint NOT NULL,
  refused_at timestamptz NOT NULL,
  tokens bigint[],
  PRIMARY KEY (connection_id, stream_id, record_key, what, n)
);
CREATE INDEX IF NOT EXISTS map_refused_tokens_idx ON cdp_data.map_refused USING gin (tokens) WHERE tokens IS NOT NULL;
COMMENT ON TABLE cdp_data.map_refused IS 'Records that mean no touchpoint or content although the manifest says so, and why. They are read again when they change or the manifest does.';
COMMENT ON COLUMN cdp_data.map_refused.n IS 'Which touchpoint of the stream, from 1; 1 for contents.';
COMMENT ON COLUMN cdp_data.map_refused.code IS 'no_kind, no_time, no_identifier, bad_value, no_key: cdp_internal.connector_touchpoints(); no_id, long_id (more than 800 bytes) of contents.';
COMMENT ON COLUMN cdp_data.map_refused.page_id IS 'The page that the record came from.';
COMMENT ON COLUMN cdp_data.map_refused.tokens IS 'Those of the record: hashes of words, by which exports and erasures find it.';

-- step: content
CREATE TABLE IF NOT EXISTS cdp_data.content (
  connection_id integer NOT NULL,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('post', 'comment', 'message', 'live', 'product', 'page', 'link')),
  content_id text COLLATE "C" NOT NULL CHECK (content_id <> '' AND octet_length(content_id) <= 800),
  source_id integer NOT NULL,
  stream_id smallint NOT NULL,
  record_key text COLLATE "C" NOT NULL,
  parent_id text COLLATE "C",
  author text,
  title text,
  body text,
  url text,
  headline text GENERATED ALWAYS AS (CASE WHEN kind NOT IN ('comment', 'message') THEN title END) STORED,
  link text GENERATED ALWAYS AS (CASE WHEN kind NOT IN ('comment', 'message') THEN url END) STORED,
  created_at timestamptz,
  first_told_at timestamptz NOT NULL,
  told_at timestamptz NOT NULL,
  tokens bigint[],
  PRIMARY KEY (connection_id, kind, content_id)
);
CREATE INDEX IF NOT EXISTS content_record_idx ON cdp_data.content (connection_id, stream_id, record_key);
CREATE INDEX IF NOT EXISTS content_age_idx ON cdp_data.content ((coalesce(created_at, first_told_at)));
CREATE INDEX IF NOT EXISTS content_tokens_idx ON cdp_data.content USING gin (tokens) WHERE tokens IS NOT NULL;
COMMENT ON TABLE cdp_data.content IS 'Posts, comments, messages, lives, products, pages and links that connections told of, one row each, with what was said last; also of connections in shadow. Written by the mapping (cdp.map_connection()), kept as long as cdp_data.setting.content_retention says; their figures are in channel_metric.';
COMMENT ON COLUMN cdp_data.content.content_id IS 'Number of the vendor, unique among contents of its kind in the account.';
COMMENT ON COLUMN cdp_data.content.stream_id IS 'Stream and record (record_key) that said something of it last. What that one leaves out stays as others said.';
COMMENT ON COLUMN cdp_data.content.parent_id IS 'What it belongs to, as the manifest says: the post of a comment, the person whom a message is exchanged with.';
COMMENT ON COLUMN cdp_data.content.author IS 'Who made it, as the vendor names him.';
COMMENT ON COLUMN cdp_data.content.body IS 'Its text.';
COMMENT ON COLUMN cdp_data.content.headline IS 'The title, but of comments and messages, which are of people and not published by the account; link: url, likewise.';
COMMENT ON COLUMN cdp_data.content.created_at IS 'When it was made or published. NULL: not told.';
COMMENT ON COLUMN cdp_data.content.first_told_at IS 'When the page that told of it first was fetched; told_at: the one that said something of it last.';
COMMENT ON COLUMN cdp_data.content.tokens IS 'Hashes of the words of the records that told of it; NULL: they tell of nobody.';

-- step: content settings
ALTER TABLE cdp_data.setting ADD COLUMN IF NOT EXISTS content_retention interval CHECK (content_retention > '0'::interval);
COMMENT ON COLUMN cdp_data.setting.content_retention IS 'cdp.maintain() deletes contents of connections (posts, comments, messages) made longer ago, or told of first where that is not known. Their figures stay. NULL keeps everything.';

-- step: again: personal data of mapping
SELECT cdp_internal.declare_personal_data('connector', 'cdp_data.' || v.t, c, v.category, NULL, 'delete', v.note, v.kind) FROM (VALUES
  ('map_refused', 'tokens', 'pseudonym', 'hashes of words; rows are found by them', 'text'), ('map_refused', 'record_key', 'pseudonym', 'found by tokens', 'none'),
  ('content', 'tokens', 'pseudonym', 'hashes of words; rows are found by them', 'text'), ('content', 'content_id record_key', 'pseudonym', 'found by tokens', 'none'),
  ('content', 'parent_id author', 'identifier', 'found by tokens', 'none'), ('content', 'title body url', 'content', 'found by tokens', 'none'), ('content', 'headline link', 'other', 'titles and addresses of what the account published; found by tokens', 'none')
) AS v (t, columns, category, note, kind), LATERAL unnest(string_to_array(v.columns, ' ')) c;
SELECT cdp_internal.declare_impersonal('connector', 'cdp_data.' || v.t, string_to_array(v.c, ' '), v.note) FROM (VALUES
  ('map_progress', '*', 'counts'), ('map_refused', 'what code', 'fixed words'), ('content', 'kind', 'fixed words')) AS v (t, c, note);

-- step: again: mapping roads
CREATE OR REPLACE FUNCTION cdp_data.records_map(connection text, most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.connection_for(connection, cdp_data.caller());
BEGIN
  PERFORM cdp_data.require_source(s.name) FROM cdp_data.connection c JOIN cdp_data.source s USING (source_id) WHERE c.connection_id = id;
  RETURN cdp_internal.map_some(id, most);
END
$$;
REVOKE ALL ON FUNCTION cdp_data.records_map(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION cdp_data.records_map(text, integer) IS 'One step of cdp.map_connection() with the rights of the tables'' owner, for roles that may use the connection. Definer: who brings data reads and writes no table.';

-- step: again: mapping job
SELECT cdp_internal.declare_job('map_records', 'connector', 'CALL cdp.map_records()', '5 minutes', 'Makes touchpoints, figures and contents of records that connections brought.', true);

-- step: again: content views
CREATE OR REPLACE VIEW cdp_bi.channel_content WITH (security_invoker = true) AS
SELECT c.connection_id, c.name AS connection, c.connector, t.source_id, t.kind AS content_kind, t.content_id, t.headline, t.link, t.created_at, t.first_told_at, t.told_at
FROM cdp_data.content t JOIN cdp_data.connection c USING (connection_id) WHERE c.state IN ('live', 'degraded');
COMMENT ON VIEW cdp_bi.channel_content IS 'Posts, lives, products, pages, links, comments and messages of live connections, without what people wrote: cdp_bi.content_daily has their figures.';
SELECT cdp_internal.declare_column('{channel_content}', v.name, v.meaning) FROM (VALUES
  ('connection', 'Name.'), ('content_kind', 'post, comment, message, live, product, page or link.'), ('content_id', 'Number of the vendor.'), ('headline', 'Title of what the account published. NULL: comments and messages, or not told.'),
  ('link', 'Its address, likewise.'), ('created_at', 'When it was made or published. NULL: not told.'), ('first_told_at', 'When it was told of first.'), ('told_at', 'When something was said of it last.')) AS v (name, meaning);

-- step: again: grants of mapping
SELECT cdp_internal.declare_grant(t.template, 'EXECUTE', 'FUNCTION', 'cdp_data.records_map(text,integer)') FROM unnest(array['admin', 'marketer', 'connector']) AS t (template);
SELECT cdp_internal.declare_grant('privacy', 'SELECT', 'TABLE', 'cdp_data.' || r.name) FROM unnest(array['map_refused', 'content']) AS r (name);
SELECT cdp_internal.declare_grant(t.template, v.privileges, 'TABLE', v.name) FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template), (VALUES ('cdp_data.map_progress', 'SELECT'), ('cdp_bi.channel_content', 'SELECT')) AS v (name, privileges);
SELECT cdp_internal.declare_grant(t.template, v.privileges, 'TABLE', 'cdp_data.' || v.name) FROM unnest(array['admin', 'analyst', 'marketer']) AS t (template), (VALUES
  ('map_refused', 'SELECT (connection_id, stream_id, what, n, source_id, code, page_id, refused_at)'),
  ('content', 'SELECT (connection_id, kind, content_id, source_id, stream_id, headline, link, created_at, first_told_at, told_at)')) AS v (name, privileges);
