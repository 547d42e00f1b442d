# The steps of a pull one after another, by hand: request, transport over TLS, landing; every stream of a vendor, page by page. What
# lands is what the vendor has, record by record. It shows as well that the mock vendor is what other tests take it for.
use strict;
use warnings;
use Test::More;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use CdpTest;
use MockVendor;

plan skip_all => 'IO::Socket::SSL is not installed, so no vendor speaks TLS' if !eval { require IO::Socket::SSL::Utils; 1 };
my $node = cdp_node('pull_by_hand');
my $mock = MockVendor->new(dir => PostgreSQL::Test::Utils::tempdir(), contacts => 130, page => 50);
$node->append_conf('postgresql.conf', MockVendor::conf($mock));
$node->reload;
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $json = JSON::PP->new->canonical->allow_nonref;

$sql->(q{
CREATE PROCEDURE public.pull(connection text, stream text, part jsonb, first date, last date, rights text, headers jsonb DEFAULT '{}') LANGUAGE plpgsql AS $$
DECLARE
  manifest jsonb := (SELECT cdp_internal.connector_manifest(c.connector) FROM cdp_data.connection c WHERE c.name = connection);
  state jsonb := (SELECT jsonb_build_object('config', c.config) FROM cdp_data.connection c WHERE c.name = connection)
    || CASE WHEN part IS NULL THEN '{}' ELSE jsonb_build_object('partition', part) END || CASE WHEN first IS NULL THEN '{}' ELSE jsonb_build_object('window', jsonb_build_object('from', first, 'to', last)) END;
  r jsonb; o text; d text; s integer; h jsonb; b bytea; f jsonb; l record;
BEGIN
  LOOP
    r := cdp_internal.connector_request(manifest, stream, state);
    COMMIT;
    CALL cdp_internal.fetch('https://' || (r ->> 'host') || ':' || (r ->> 'port') || (r ->> 'target'), r ->> 'method', coalesce(r -> 'headers', '{}') || headers, convert_to(r ->> 'body', 'UTF8'),
      jsonb_build_object('repeatable', true) || CASE WHEN rights IS NULL THEN '{}' ELSE jsonb_build_object('secret_query', rights) END, o, d, s, h, b, f);
    IF o <> 'ok' THEN RAISE EXCEPTION '%: %', o, d; END IF;
    SELECT * INTO l FROM cdp.ingest_page(connection, stream, b, part, first, last, state -> 'cursor', s, h);
    IF l.verb <> 'ok' OR l.problem IS NOT NULL OR l.refused > 0 THEN RAISE EXCEPTION '% %: % % % %', stream, part, l.verb, l.code, l.problem, convert_from(b, 'UTF8'); END IF;
    EXIT WHEN l.done;
    state := l.next || jsonb_build_object('config', state -> 'config');
  END LOOP;
END $$});

# Every stream of WeCom for a week, each after the one that it takes its partitions from.
my ($first, $last) = map { MockVendorData::day_of(time + 8 * 3600 - $_ * 86400) } 8, 2;
our $token;
is(scalar(@{ $mock->state->{tokens} }), 0, 'nobody has a token yet');
$sql->($mock->connect_sql('staff', product => 'wecom', config => { open_kfids => ['wkMOCK1'] }));
is($sql->(q{SELECT state FROM cdp_data.connection}), 'shadow', 'a connection in the state shadow');
like($sql->("CALL cdp_internal.fetch('$mock->{base}/cgi-bin/gettoken', options => '{\"secret_query\": \"corpid=$mock->{set}{corpid}&corpsecret=$mock->{set}{secret}\"}')"), qr/^ok\|\|200/, 'it lets in');
$token = $mock->state->{tokens}[0];
my $pull = sub { my ($connection, $stream, $part, $window, $rights, $headers) = @_;
	$sql->("CALL public.pull('$connection', '$stream', " . (defined $part ? "'" . $json->encode($part) . "'" : 'NULL') . ', ' . ($window ? "'$window->[0]', '$window->[1]'" : 'NULL, NULL') . ', ' . ($rights ? "'$rights'" : 'NULL') . ($headers ? ", '$headers'" : '') . ')') };
my @week = MockVendorData::days($first, $last);
my %parts = (contacts => [ [qw(staff1 staff2 staff3)] ], behavior => [qw(staff1 staff2 staff3)], groupchats => [ [qw(staff1 staff2 staff3)] ], groupchat_members => [ map { my $s = $_; map { "wrMOCK$s-$_" } 1, 2 } 1 .. 3 ],
	groupchat_days => [qw(staff1 staff2 staff3)], contact_way => [qw(way1 way2 way3)], (map { $_ => ['link1'] } qw(acquisition_link acquisition_customers acquisition_days)), service_messages => ['wkMOCK1'], service_days => ['wkMOCK1'],
	lives => [qw(staff1 staff2 staff3)], live => [qw(lv1-1 lv2-1 lv3-1)], live_viewers => ['lv1-1']);
my %window = map { $_ => 1 } qw(behavior groupchat_days acquisition_days service_days);
my %by_day = map { $_ => 1 } qw(acquisition_days service_days);
for my $stream (qw(follow_users contacts contact_list behavior groupchats groupchat_members groupchat_days contact_ways contact_way acquisition_links acquisition_link acquisition_customers acquisition_days
	service_accounts service_messages service_days lives live live_viewers)) {
	for my $part (@{ $parts{$stream} // [undef] }) {
		$pull->('staff', $stream, $part, $_, "access_token=$token") for $window{$stream} ? ($by_day{$stream} ? map { [ $_, $_ ] } @week : [ $first, $last ]) : undef;
	}
}
is($sql->('SELECT string_agg(name || $$ $$ || n, $$, $$ ORDER BY name COLLATE "C") FROM (SELECT s.name, count(*) AS n FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) GROUP BY 1) x'),
	'acquisition_customers 5, acquisition_days 7, acquisition_link 1, acquisition_links 1, behavior 21, contact_list 390, contact_way 3, contact_ways 3, contacts 390, follow_users 3, groupchat_days 21, groupchat_members 24, groupchats 6, live 3, live_viewers 4, lives 3, service_accounts 1, service_days 7, service_messages 30',
	'all 19 streams, whole');
is($mock->calls('/cgi-bin/externalcontact/batch/get_by_user'), 8, '390 contacts in pages of 50 are 8 calls');
is($sql->('SELECT count(*) FROM cdp_data.raw_refused') . $sql->('SELECT count(*) FROM cdp_data.raw_page WHERE problem IS NOT NULL'), '00', 'nothing was refused, nothing cut off');
is($sql->("SELECT count(*), min(state), max(state) FROM cdp_data.coverage k JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = 'behavior'"), '21|final|provisional', 'and its days are known');

# Record by record.
sub landed { my ($stream) = @_; return [ map { $json->encode($json->decode($_)) } split /\n/, $sql->("SELECT r.payload FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = '$stream'") ] }
sub same { my ($name, $got, @expected) = @_; return is(join("\n", sort @$got), join("\n", sort map { $json->encode($json->decode($_)) } @expected), $name) }
{
	local $ENV{PGCLIENTENCODING} = 'SQL_ASCII'; # bytes, as they are compared
	my $bytes = sub { map { MockVendorData::utf8_of($_) } @_ };
	same('every contact as the vendor has it', landed('contacts'), $bytes->(MockVendorData::contacts($mock->{set})));
	same('every figure of every day', landed('behavior'), map { my $s = $_; map { MockVendorData::behavior($mock->{set}, $s, $_, 0) } @week } 1 .. 3);
}

# The shop: each kind of auth lets in with what it takes and with nothing else; ids of 19 digits stay whole; JSON in a text is read.
$sql->($mock->connect_sql('shop', product => 'rest'));
my $bearer = "{\"authorization\": \"Bearer $mock->{set}{secret}\"}";
$pull->('shop', 'events', undef, undef, undef, $bearer);
$pull->('shop', $_, undef, [ $first, $last ], undef, $bearer) for qw(orders visits);
same('every event', landed('events'), map { MockVendorData::event($_) } 1 .. 250);
is($sql->("SELECT count(*), count(DISTINCT record_key), min(length(record_key)) FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = 'orders'"), '140|140|19', 'orders with ids of 19 digits');
is($sql->("SELECT sum((payload #>> '{figures,visits}')::integer) FROM cdp_data.raw_record r JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = 'visits'"),
	eval { my $n = 0; $n += $json->decode($json->decode(MockVendorData::visits($mock->{set}, $_, 0))->{figures})->{visits} for @week; $n }, 'figures within a text');
my $status = sub { my ($headers) = @_; my @row = split /\|/, $sql->("CALL cdp_internal.fetch('$mock->{base}/v1/events?limit=1', headers => '$headers')"); return $row[2] };
is($status->('{}'), 401, 'nobody without rights');
is($status->('{"authorization": "Basic ' . MIME::Base64::encode_base64("mock-client:$mock->{set}{secret}", '') . '"}'), 200, 'basic auth');
my $stamp = int time;
is($status->("{\"x-timestamp\": \"$stamp\", \"x-signature\": \"" . Digest::SHA::hmac_sha256_hex("GET|/v1/events|limit=1|$stamp|", $mock->{set}{secret}) . '"}'), 200, 'a signed request');
like($sql->("CALL cdp_internal.fetch('$mock->{base}/oauth/token', 'POST', '{\"content-type\": \"application/x-www-form-urlencoded\"}', convert_to('grant_type=client_credentials&client_id=mock-client&client_secret=$mock->{set}{secret}', 'UTF8'))"), qr/^ok\|\|200/, 'OAuth');
is($status->("{\"authorization\": \"Bearer $mock->{set}{secret}x\"}"), 401, 'not with another secret');
for my $auth (qw(basic oauth hmac)) { is($sql->($mock->connect_sql("shop $auth", product => 'rest', auth => $auth, streams => ['events'])) =~ /shadow/ ? 1 : 0, 1, "a manifest with $auth") }

# Faults come by order, and are counted.
my $answer = sub { my ($path, %more) = @_; my ($rc, $out, $err) = $node->psql('postgres', "\\pset null ''\nCALL cdp_internal.fetch('$mock->{base}$path', 'POST', '{}', '{}', '{\"secret_query\": \"access_token=$token\"}')"); my @row = split /\|/, $out; return ($row[0], $row[2], pack 'H*', ($row[4] // '') =~ s/^\\x//r) };
my $ways = '/cgi-bin/externalcontact/list_contact_way';
$mock->forget;
$mock->rule(path => $ways, code => 45009, skip => 1);
is(join(' ', map { ($answer->($ways))[2] =~ /"errcode":(\d+)/ } 1 .. 3), '0 45009 0', 'an error of the second call alone');
$mock->rule(path => $ways, status => 503, headers => { 'Retry-After' => 1 }, times => 2);
is(join(' ', map { ($answer->($ways))[1] } 1 .. 3), '503 503 200', 'two answers of HTTP');
$mock->rule(path => $ways, redirect => 'http://169.254.169.254/latest/meta-data');
is(($answer->($ways))[0], 'redirect_refused', 'a redirect');
$mock->rule(path => $ways, truncate => 1);
is(($answer->($ways))[0], 'truncated', 'half an answer');
$mock->rule(path => $ways, $_ => 1), is(($answer->($ways))[0], 'reset', "no answer: $_") for qw(close reset);
$mock->rule(path => $ways, raw => 'ff00');
is(unpack('H*', ($answer->($ways))[2]), 'ff00', 'bytes');
$mock->rule(path => $ways, echo => 1);
like(($answer->($ways))[2], qr/"echo":".*$token/, 'the token is told again');
$mock->rule(path => $ways, expire => 1);
like(($answer->($ways))[2], qr/"errcode":42001/, 'a token expires');
like(($answer->($ways))[2], qr/"errcode":42001/, 'for good');
is($mock->calls($ways), 14, 'each call was counted');
{
	local $token = 'x';
	like(($answer->('/cgi-bin/none'))[2], qr/"errcode":40014/, 'a token that nobody gave');
}
is(scalar(grep { $_->{path} eq $ways && ($_->{code} // '') eq '42001' } $mock->log), 2, 'and written down');
$sql->("CALL cdp_internal.fetch('$mock->{base}/cgi-bin/gettoken', options => '{\"secret_query\": \"corpid=$mock->{set}{corpid}&corpsecret=$mock->{set}{secret}\"}')");
$token = $mock->state->{tokens}[-1];
$mock->set(limit => 2, limit_s => 60, limit_block_s => 0.2);
is(join(' ', map { ($answer->($ways))[2] =~ /"errcode":(\d+)/ } 1 .. 3), '0 0 45009', 'more calls than the window has');
Time::HiRes::sleep(0.3);
like(($answer->($ways))[2], qr/"errcode":0/, 'when it is over calls are answered again');
$mock->stop;
done_testing();
