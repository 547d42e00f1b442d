# The requests of the built-in connectors against the vendors' published descriptions: an OpenAPI mock server that we did not write
# (npm's @stoplight/prism-cli) takes them from our own transport and says whether each is valid; its answers are read as pages. What
# stands in no description is listed. Requests with a part taken out or of another type are refused, so a good one means something.
# Needs npm and ../shared/data/channels; without them it is skipped.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CdpTest;
use IPC::Run qw(start timeout);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $channels = ($ENV{CDP_SHARED} || '') . '/channels';
plan skip_all => '../shared/data/channels is absent: no descriptions of the vendors' unless -f "$channels/weixin_skit.json.gz";
my $dir = PostgreSQL::Test::Utils::tempdir();
my ($out, $err) = ('', '');
{
	local $ENV{npm_config_cache} = "$dir/cache";
	local $ENV{HOME} = $dir;
	my $installed = eval { IPC::Run::run([ qw(npm install --no-audit --no-fund --ignore-scripts --loglevel=error --prefix), $dir, '@stoplight/prism-cli@5' ],
		'<', \undef, '>', \$out, '2>', \$err, timeout(240)) };
	plan skip_all => '@stoplight/prism-cli cannot be installed: npm or its registry is absent' unless $installed;
}

# One mock server for each description; node itself, since npx leaves its child behind.
my %server;
for my $source (qw(wecom.openapi wecom_skit weixin_skit)) {
	system("gunzip -c '$channels/$source.json.gz' > '$dir/$source.json'") == 0 or die "gunzip failed";
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my ($out, $err) = ('', '');
	$server{$source} = { port => $port, out => \$out,
		h => start([ 'node', "$dir/node_modules/\@stoplight/prism-cli/dist/index.js", qw(mock -h 127.0.0.1 -p), $port, "$dir/$source.json" ], '<', \undef, '>', \$out, '2>', \$err, timeout(500)) };
}
END { local $?; $_->{h} && $_->{h}->kill_kill(grace => 5) for values %server }
my $node = cdp_node('contract');
for my $s (values %server) {
	my $until = time + 120;
	while (${ $s->{out} } !~ /is listening on/ && time < $until) { $s->{h}->pump_nb; sleep 0.1 }
	like(${ $s->{out} }, qr/is listening on/, 'a mock server is up') or BAIL_OUT('no mock server');
}
$node->safe_psql('postgres', "CREATE TABLE port (source text, url text); INSERT INTO port VALUES " . join ', ', map { "('$_', 'http://127.0.0.1:$server{$_}{port}')" } keys %server);
$node->append_conf('postgresql.conf', "cdp.allowed_private_ranges = '127.0.0.0/8'\ncdp.allowed_hosts = '" . join(', ', map { "http://127.0.0.1:$_->{port}" } values %server) . "'\n");
$node->reload;

# What stands in the descriptions, and what we ask: each stream of the vendors' connectors, and the requests for their tokens.
$node->safe_psql('postgres', q{CREATE TABLE raw (line text);
\copy raw FROM PROGRAM 'for f in wecom_skit weixin_skit wecom.openapi; do echo "$f:$(gunzip -c "$CDP_SHARED/channels/$f.json.gz" | base64 -w0)"; done'
	CREATE TABLE described AS
	SELECT p.key AS path, upper(m.key) AS method, m.value AS op, split_part(r.line, ':', 1) AS source
	FROM raw r CROSS JOIN LATERAL cdp_internal.decode_body(decode(split_part(r.line, ':', 2), 'base64')) d CROSS JOIN LATERAL jsonb_each(d.doc -> 'paths') p CROSS JOIN LATERAL jsonb_each(p.value) m;
	CREATE TABLE asked AS
	WITH b AS (SELECT b.connector, b.manifest, (SELECT coalesce(jsonb_object_agg(c.key, CASE c.value ->> 'type' WHEN 'list' THEN '["a"]' ELSE '"1"' END), '{}') FROM jsonb_each(coalesce(b.manifest -> 'config', '{}')) c) AS config
	           FROM cdp.connector_builtin() b WHERE b.connector IN ('wecom', 'wechat_oa', 'wechat_channels', 'channels_shop', 'mini_program'))
	SELECT b.connector, s.key AS stream, b.manifest, x.state, cdp_internal.connector_request(b.manifest, s.key, x.state) AS request
	FROM b CROSS JOIN LATERAL jsonb_each(b.manifest -> 'streams') s CROSS JOIN LATERAL (SELECT jsonb_strip_nulls(jsonb_build_object('config', b.config, 'window', CASE WHEN s.value ? 'window' THEN '{"from": "2026-03-01", "to": "2026-03-01"}'::jsonb END,
	  'cursor', CASE WHEN coalesce(s.value #>> '{cursor,kind}', 'token') = 'token' AND s.value ? 'cursor' THEN '"C"'::jsonb END,
	  'partition', CASE WHEN (s.value #>> '{partition,chunk}')::integer > 1 THEN '["p", "q"]'::jsonb WHEN s.value ? 'partition' THEN '"p"' END)) AS state) x
	UNION ALL
	-- A request for a token, with words in the places of its secrets.
	SELECT b.connector, 'token', b.manifest, '{}', r || jsonb_build_object('body', r ->> 'json')
	FROM b CROSS JOIN LATERAL (SELECT regexp_replace(cdp_internal.connector_auth_request(b.manifest, jsonb_build_object('config', b.config))::text, '\$\{secret\.[a-z]+\}', 'word', 'g')::jsonb AS r) a;
	CREATE TABLE call AS
	SELECT row_number() OVER (ORDER BY a.connector, a.stream, d.source) AS n, a.*, d.source, d.op, p.url || (a.request ->> 'path') AS url, coalesce(a.request ->> 'method', 'GET') AS method,
	  coalesce(a.request -> 'query', '{}') || CASE WHEN a.stream = 'token' THEN '{}'::jsonb ELSE '{"access_token": "T"}' END AS query, (a.request ->> 'body')::jsonb AS body
	FROM asked a JOIN described d ON d.path = a.request ->> 'path' AND d.method = coalesce(a.request ->> 'method', 'GET') AND (d.source = 'weixin_skit') = (a.connector <> 'wecom') JOIN port p ON p.source = d.source;
	CREATE FUNCTION encoded(q jsonb) RETURNS text LANGUAGE sql AS $$ SELECT coalesce('?' || string_agg(k || '=' || regexp_replace(v, '[^A-Za-z0-9_.-]', '_', 'g'), '&' ORDER BY k), '') FROM jsonb_each_text(q) e (k, v) $$;
	CREATE FUNCTION sent(url text, method text, query jsonb, body jsonb) RETURNS text LANGUAGE sql AS $$
	  SELECT format('CALL cdp_internal.fetch(%L, method => %L, body => convert_to(%L, ''UTF8''), options => ''{"allow_http": true}'');', url || encoded(query), method, body) $$;
	CREATE TABLE answer (n bigint, outcome text, detail text, status integer, headers jsonb, body bytea, figures jsonb)});

# Sends what a query makes, one statement a row, and keeps each answer with its number.
sub answers {
	my ($table, $query) = @_;
	my @calls = split /\x02/, $node->safe_psql('postgres', "SELECT string_agg(n || E'\\x01' || c, E'\\x02' ORDER BY n) FROM ($query) q (n, c)");
	append_to_file("$dir/$table.sql", join '', map { (split /\x01/)[1] . "\n" } @calls);
	my $said = $node->safe_psql('postgres', slurp_file("$dir/$table.sql"), extra_params => [ '-F', "\t" ]);
	my @said = split /\n/, $said;
	is(scalar @said, scalar @calls, "$table: every request got an answer");
	for my $i (0 .. $#said) {
		my ($n) = split /\x01/, $calls[$i];
		$said[$i] = "$n\t" . $said[$i];
		$said[$i] =~ s/\\/\\\\/g;
	}
	append_to_file("$dir/$table.copy", join '', map { "$_\n" } @said);
	$node->safe_psql('postgres', "TRUNCATE answer; COPY answer FROM '$dir/$table.copy' (NULL '')");
	return scalar @said;
}

is($node->safe_psql('postgres', q{SELECT string_agg(connector || '.' || stream, ' ' ORDER BY connector, stream) FROM asked a WHERE NOT EXISTS (SELECT FROM call c WHERE (c.connector, c.stream) = (a.connector, a.stream))}),
	'wechat_oa.account_summary wechat_oa.article_detail wechat_oa.article_read wechat_oa.article_share', 'in no description, so untested: these streams, and the examples');
diag('untested, in no description: ' . $node->safe_psql('postgres', q{SELECT string_agg(connector || '.' || stream, ' ' ORDER BY connector, stream) FROM asked a WHERE NOT EXISTS (SELECT FROM call c WHERE (c.connector, c.stream) = (a.connector, a.stream))}));

# Good ones. Path, parameters and body go as the connector made them. Six descriptions have no body where one is sent (those of tokens:
# Tencent's page has it); to them it goes without one. Another one says that everything is a string, against its own page and the samples.
$node->safe_psql('postgres', q{ALTER TABLE call ADD bodiless boolean; UPDATE call SET bodiless = method = 'POST' AND op #> '{requestBody,content}' IS NULL; CREATE VIEW strings AS SELECT * FROM call WHERE stream = 'groupchats' AND source = 'wecom.openapi'});
is($node->safe_psql('postgres', q{SELECT string_agg(concat_ws(' ', connector, stream, source), ', ' ORDER BY n) FROM call WHERE bodiless}),
	'channels_shop token weixin_skit, mini_program token weixin_skit, wechat_channels account weixin_skit, wechat_channels token weixin_skit, wechat_oa token weixin_skit, wecom groupchat_members wecom.openapi', 'descriptions without a body');
my $sent = answers('good', q{SELECT n, format('CALL cdp_internal.fetch(%L, method => %L, headers => %L, body => convert_to(%L, ''UTF8''), options => ''{"allow_http": true}'');',
	CASE WHEN stream = 'token' THEN url || encoded(query) ELSE regexp_replace(url, '^(https?://[^/]+).*', '\1') || (request ->> 'target') || CASE WHEN strpos(request ->> 'target', '?') > 0 THEN '&' ELSE '?' END || 'access_token=T' END,
	method, coalesce(request -> 'headers', '{}'), CASE WHEN NOT bodiless THEN request ->> 'body' END) FROM call});
is($sent, 57, "$sent requests were sent");
is($node->safe_psql('postgres', q{SELECT string_agg(concat_ws(' ', c.connector, c.stream, c.source, a.outcome, a.status, a.detail, convert_from(a.body, 'UTF8')), E'\n' ORDER BY n) FROM answer a JOIN call c USING (n) WHERE n NOT IN (SELECT n FROM strings) AND (a.outcome <> 'ok' OR a.status <> 200)}), '', 'each is valid');
is($node->safe_psql('postgres', q{SELECT (SELECT string_agg(v ->> 'message', ', ') FROM jsonb_array_elements(convert_from(a.body, 'UTF8')::jsonb -> 'validation') v) FROM answer a JOIN strings USING (n)}),
	'Request body property status_filter must be string, Request body property owner_filter must be string, Request body property limit must be string', 'but where everything is a string');
is($node->safe_psql('postgres', q{SELECT count(DISTINCT (connector, stream)) FROM call JOIN answer USING (n) WHERE status = 200}), '46', '41 streams and 5 requests for tokens');
# What comes back goes the way of a page.
is($node->safe_psql('postgres', q{SELECT string_agg(concat_ws(' ', c.connector, c.stream, c.source, v.verb, v.code), E'\n' ORDER BY n) FROM answer a JOIN call c USING (n) CROSS JOIN LATERAL cdp_internal.connector_decode(c.manifest, c.stream, a.body) d
	CROSS JOIN LATERAL cdp_internal.connector_verdict(c.manifest, c.stream, a.status, a.headers, d.doc, now()) v WHERE c.stream <> 'token' AND c.source <> 'wecom.openapi' AND v.verb <> 'ok'}), '', 'each answer is good');
is($node->safe_psql('postgres', q{SELECT string_agg(concat_ws(' ', c.connector, c.stream, c.source), E'\n' ORDER BY n) FROM answer a JOIN call c USING (n) CROSS JOIN LATERAL cdp_internal.connector_decode(c.manifest, c.stream, a.body) d
	WHERE c.stream <> 'token' AND c.source <> 'wecom.openapi' AND NOT EXISTS (SELECT FROM cdp_internal.connector_page(c.manifest, c.stream, d.doc, c.state) p WHERE p.problem IS NULL)}), '', 'and has records with keys and days');
is($node->safe_psql('postgres', q{SELECT string_agg(concat_ws(' ', connector, source, CASE WHEN a.body = '' THEN 'undescribed' ELSE (convert_from(a.body, 'UTF8')::jsonb ?& '{access_token,expires_in}')::text END), ', ' ORDER BY connector, source) FROM answer a JOIN call USING (n) WHERE stream = 'token'}),
	'channels_shop weixin_skit undescribed, mini_program weixin_skit undescribed, wechat_channels weixin_skit undescribed, wechat_oa weixin_skit undescribed, wecom wecom.openapi true, wecom wecom_skit true', 'a token is where we look for it, where its answer is described');

$node->safe_psql('postgres', 'CREATE VIEW fit AS SELECT * FROM call WHERE NOT bodiless AND n NOT IN (SELECT n FROM strings)');
# Bad ones: without the token, without a part that is required, with a value of another type.
my $bad = answers('bad', q{SELECT row_number() OVER (ORDER BY what, n), s FROM (
	SELECT n, 'token' AS what, sent(url, method, query - 'access_token', body) AS s FROM fit WHERE stream <> 'token'
	UNION ALL SELECT n, 'query', sent(url, method, query - (p ->> 'name'), body) FROM fit CROSS JOIN LATERAL jsonb_array_elements(op -> 'parameters') p WHERE p ->> 'in' = 'query' AND (p ->> 'required')::boolean AND p ->> 'name' <> 'access_token' AND query ? (p ->> 'name')
	UNION ALL SELECT n, 'required', sent(url, method, query, body - r) FROM fit CROSS JOIN LATERAL jsonb_array_elements_text(op #> '{requestBody,content,application/json,schema,required}') r WHERE body ? r
	UNION ALL SELECT n, 'type', sent(url, method, query, jsonb_set(body, ARRAY[k], '{"other": "type"}')) FROM fit CROSS JOIN LATERAL jsonb_each(op #> '{requestBody,content,application/json,schema,properties}') p (k, v) WHERE body ? k AND v ->> 'type' IN ('string', 'number', 'integer', 'array', 'boolean')) x});
cmp_ok($bad, '>=', 150, "$bad requests with something wrong were sent");
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT concat_ws(' ', outcome, status), ', ') FROM answer}), 'ok 422', 'and each of them is refused');
done_testing();
