# The transport against servers that misbehave: what each fault comes to, which hosts and addresses are refused before a byte is
# sent, TLS, cancelling at every stage, and what a session holds while it waits. All on loopback, opened by the settings.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use CdpTest;
use FaultServer;
use IPC::Run qw(start finish timeout);
use IO::Socket::INET;
use MIME::Base64 qw(decode_base64);
use Time::HiRes qw(time sleep);

my $dir = PostgreSQL::Test::Utils::tempdir();
my $names = "$dir/slow_names.so"; # names that a test can not do without: one that hangs, one that changes its mind
my $has_names = system("cc -shared -fPIC -o '$names' '$ENV{CDP_TOP}/test/t/slow_names.c' -ldl 2>'$dir/cc'") == 0;
{
	local $ENV{LD_PRELOAD} = $has_names ? $names : '';
	local $ENV{http_proxy} = 'http://127.0.0.1:1'; # must not count
	local $ENV{https_proxy} = 'http://127.0.0.1:1';
	local $ENV{ALL_PROXY} = 'http://127.0.0.1:1';
	our $node = cdp_node('http');
}
our $node;
my $server = FaultServer->new(dir => $dir);
my $base = "http://127.0.0.1:$server->{port}";
my $open = "SET cdp.allowed_private_ranges = '127.0.0.0/8'; SET cdp.allowed_hosts = '$base, http://localhost:$server->{port}';";

# One fetch after some SET; ($outcome, $detail, $status, $headers, $body as hex, $figures), or ('error', message).
sub fetch {
	my ($url, %arg) = @_;
	my $options = $arg{options} // '"allow_http": true';
	my $given = join ', ', map { exists $arg{$_} ? "$_ => $arg{$_}" : () } qw(method headers body);
	my ($rc, $out, $err) = $node->psql('postgres', ($arg{set} // $open) . "\n\\set VERBOSITY verbose\nCALL cdp_internal.fetch('$url'" . ($given ? ", $given" : '') . ", options => '{$options}');",
		extra_params => [ '-F', "\x{1}" ]);
	return ('error', $err) if $rc;
	my @row = split /\x01/, $out, -1;
	$row[4] =~ s/^\\x//;
	$row[6] = $err;
	return @row;
}
sub body { return pack 'H*', $_[4] }
sub outcome_is {
	my ($name, $url, $expected, $detail, %arg) = @_;
	my @row = fetch($url, %arg);
	is($row[0], $expected, $name) or diag $row[1];
	like($row[1], $detail, "$name: told") if $detail;
	unlike($row[1], qr/SECRET/, "$name: without what may be secret");
	is($row[4], '', "$name: no body") if $expected ne 'ok';
	return @row;
}

# ---- answers
my @row = fetch("$base/ok");
is($row[0], 'ok', 'an answer');
is($row[1], '', 'no detail');
is($row[2], '200', 'its status');
is(body(@row), '{"ok":true}', 'its body');
like($row[3], qr/"content-type": "application\/json"/, 'its headers');
is_deeply([ (fetch("$base/status?n=503%20Busy"))[ 0, 2 ] ], [ 'ok', '503' ], 'a status is no failure of the transport');
@row = fetch("$base/back", method => "'POST'", body => "convert_to('{\"name\":\"微信\"}', 'UTF8')");
is(body(@row), "{\"name\":\"\x{e5}\x{be}\x{ae}\x{e4}\x{bf}\x{a1}\"}", 'a body goes there and back byte by byte');
@row = fetch("$base/echo?a=1", method => "'PUT'", headers => q('{"X-Token": "T1", "X-Empty": ""}'), body => q('\x00ff'), options => '"allow_http": true, "secret_query": "access_token=T2"');
my $echo = body(@row);
like($echo, qr{^PUT /echo\?a=1&access_token=T2 HTTP/1\.1\r\n}, 'method, path, query and secret query');
like($echo, qr/^X-Token: T1\r$/m, 'a header');
like($echo, qr/^X-Empty: ?\r$/m, 'a header without value');
like($echo, qr/^Accept-Encoding: gzip\r$/m, 'gzip is asked for');
like($echo, qr/^Content-Type: application\/json\r$/m, 'bodies are JSON unless told otherwise');
unlike($echo, qr/^(Expect|Authorization|Cookie):/mi, 'nothing else goes along');
like($echo, qr/\r\n\r\n\x00\xff\z/, 'a body of any bytes');
is(body(fetch("$base/back", method => "'DELETE'")), '', 'DELETE without a body');
is_deeply([ (fetch("$base/head", method => "'HEAD'"))[ 0, 2, 4 ] ], [ 'ok', '200', '' ], 'HEAD');
is(body(fetch("$base/chunks")), 'hello world', 'chunks');
is(body(fetch("$base/no-length")), 'no length', 'a body until the end of the connection');
is(body(fetch("$base/continue")), '{"after":100}', 'answers before the answer');
is(body(fetch("$base/bytes")), FaultServer::broken_bytes(), 'broken text is landed byte by byte');
@row = fetch("$base/odd-headers?token=SECRETTOKEN", options => '"allow_http": true, "secret_query": "t=SECRETTOKEN&u=2"');
like($row[3], qr/"x-bytes": "a\x{ef}\x{bf}\x{bd}b c\x{e5}\x{bc}\x{a0}"/, 'headers are shown as text');
like($row[3], qr/"x-two": "1, 2"/, 'a header that comes twice');
like($row[3], qr/"error-code": "42001"/, 'names in lower case');
like($row[3], qr/"x-echo": "\*{11}!"/, 'a secret that a server echoes is not shown');
@row = fetch("$base/ok", options => '"allow_http": true, "repeat": 50');
like($row[5], qr/"connections": 1\b/, 'fifty requests over one connection');
@row = fetch("$base/ok", options => '"allow_http": true, "repeat": 5, "fresh": true');
like($row[5], qr/"connections": 5\b/, 'or each over one of its own');
@row = fetch("$base/more-than-length", options => '"allow_http": true, "repeat": 3');
is(body(@row), 'hello', 'more than the length said is no answer to the next request');
like($row[5], qr/"connections": 3\b/, 'and that connection is not used again');

# A server echoes: bare tokens of a Bearer header, what the caller names, what stood percent-encoded in the query.
@row = fetch("$base/odd-headers?token=BARESECRET", headers => q('{"Authorization": "Bearer BARESECRET"}'), options => '"allow_http": true, "secret_headers": ["authorization"]');
like($row[3], qr/"x-echo": "\*{10}!"/, 'the token of a Bearer header, echoed without its first word');
@row = fetch("$base/odd-headers?token=BODYSECRET", options => '"allow_http": true, "secrets": ["BODYSECRET"]');
like($row[3], qr/"x-echo": "\*{10}!"/, 'a value that the caller names');
@row = fetch("$base/odd-headers?token=SEC/RET=1", options => '"allow_http": true, "secret_query": "t=SEC%2fRET%3d1"');
like($row[3], qr/"x-echo": "\*{9}!"/, 'a value of the query, echoed decoded');

# libcurl sends again when a kept connection turns out dead; what changes something must not arrive twice.
sub sent_at { my $from = length $server->requests; fetch("$base/second-closes", @_); return scalar(() = substr($server->requests, $from) =~ m{ /second-closes }g) }
is(sent_at(options => '"allow_http": true, "repeat": 2'), 3, 'two GETs arrive three times where the server drops the second');
is(sent_at(method => q('POST'), body => q('x'), options => '"allow_http": true, "repeat": 2'), 2, 'a POST arrives once each');
is(sent_at(method => q('POST'), body => q('x'), options => '"allow_http": true, "repeat": 2, "repeatable": true'), 3, 'unless it may come twice');
like((fetch("$base/ok", options => '"allow_http": true, "repeat": 4, "repeatable": true', method => q('POST'), body => q('x')))[5], qr/"connections": 1\b/, 'and then keeps its connection');

# ---- packed bodies
is(body(fetch("$base/gzip")), '{"packed":"' . 'a' x 20 . '"}', 'a packed body');
is(length body(fetch("$base/gzip?n=5000000")), 5000013, 'a large one');
is(body(fetch("$base/gzip-two")), '{"a":1}', 'of two members');
outcome_is('a bomb of gzip', "$base/gzip-bomb?mb=64", 'too_large', qr/more than 16777216 bytes when it is unpacked from \d+/);
outcome_is('a smaller limit of the request', "$base/gzip-bomb?mb=1", 'too_large', qr/more than 100000 bytes/, options => '"allow_http": true, "max_bytes": 100000');
outcome_is('a packed body that is cut', "$base/gzip-cut", 'truncated', qr/packed body.*ends after 30 bytes/);
outcome_is('a wrong checksum', "$base/gzip-sum", 'protocol', qr/can not be unpacked/);
outcome_is('not packed at all', "$base/gzip-not", 'protocol', qr/can not be unpacked/);
outcome_is('packed twice', "$base/gzip-layers", 'protocol', qr/another way than gzip/);
outcome_is('packed otherwise', "$base/brotli", 'protocol', qr/another way than gzip/);

# ---- sizes
outcome_is('a huge body that says so', "$base/huge-length", 'too_large', qr/more than 16777216 bytes/);
outcome_is('a huge body that does not', "$base/huge?mb=40", 'too_large', qr/more than 16777216 bytes/);
is(length body(fetch("$base/huge?mb=3")), 3145728, 'three megabytes are well');
is(length body(fetch("$base/huge?mb=20", set => "$open SET cdp.http_max_bytes = '20MB';")), 20971520, 'twenty where the setting allows them');
outcome_is('but not more', "$base/huge?mb=21", 'too_large', qr/more than 20971520 bytes/, set => "$open SET cdp.http_max_bytes = '20MB';", options => '"allow_http": true, "max_bytes": 500000000');
outcome_is('too many headers', "$base/headers?n=70", 'too_large', qr/headers .* more than 65536 bytes/);
is((fetch("$base/headers?n=20"))[0], 'ok', 'many headers');

# ---- broken connections
outcome_is('a body that is cut', "$base/truncate?access_token=SECRET1", 'truncated', qr{^GET /truncate of http://127\.0\.0\.1:\d+: the body of the answer ends after 4 bytes});
@row = fetch("$base/truncate");
is($row[2], '200', 'status of the cut answer');
like($row[3], qr/"error-code": "42001"/, 'and its headers are told');
outcome_is('a chunk that is cut', "$base/truncate-chunk", 'truncated');
outcome_is('a last chunk that is missing', "$base/truncate-chunks", 'truncated');
outcome_is('chunks without sense', "$base/bad-chunks", 'reset');
outcome_is('closed without an answer', "$base/close", 'reset', qr/closed without an answer/);
outcome_is('reset', "$base/reset", 'reset', qr/connection broke/);
outcome_is('reset in the body', "$base/reset-body", 'truncated', qr/broke after 4 bytes of the body/);
outcome_is('not HTTP', "$base/not-http", 'protocol', qr/not HTTP/);
my $closed = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
my $closed_port = $closed->sockport;
close $closed;
outcome_is('nobody listens', "http://127.0.0.1:$closed_port/x?k=SECRET2", 'connect', qr/no connection: Connection refused/, set => "$open SET cdp.allowed_hosts = 'http://127.0.0.1:$closed_port';");

# ---- answers with random damage: each ends in an outcome, and some in each of several
my $counts = $node->safe_psql('postgres', qq{$open
	CREATE TEMP TABLE came (seed integer, outcome text, detail text, body bytea);
	DO \$\$ DECLARE o text; d text; s integer; h jsonb; b bytea; f jsonb; BEGIN
	  FOR n IN 1 .. 600 LOOP
	    CALL cdp_internal.fetch('$base/random?seed=' || n, 'GET', '{}', NULL, '{"allow_http": true, "total_ms": 5000, "redirects": 2}', o, d, s, h, b, f);
	    INSERT INTO came VALUES (n, o, d, b);
	  END LOOP;
	END \$\$;
	SELECT string_agg(outcome || ' ' || n, ', ' ORDER BY outcome) FROM (SELECT outcome, count(*) AS n FROM came GROUP BY 1) x;
	SELECT count(*) FILTER (WHERE outcome IS NULL OR (outcome = 'ok') <> (body IS NOT NULL) OR (outcome = 'ok') <> (detail IS NULL)) FROM came;});
diag "600 damaged answers: $counts";
like($counts, qr/ok \d+.*protocol \d+.*truncated \d+.*\n0\z/s, 'damaged answers come to an outcome');

# ---- times
outcome_is('an answer that does not come', "$base/hang", 'timeout', qr/given up after \d{3} ms, waiting for the answer/, options => '"allow_http": true, "total_ms": 300');
outcome_is('headers that do not end', "$base/hang-headers", 'timeout', qr/waiting for the answer|reading the answer/, options => '"allow_http": true, "total_ms": 300');
outcome_is('a body that does not end', "$base/hang-body", 'timeout', qr/reading the answer/, options => '"allow_http": true, "total_ms": 300');
outcome_is('a body that drips', "$base/drip", 'timeout', qr/reading the answer: fewer than 1000 bytes a second/, options => '"allow_http": true, "slow_bytes": 1000, "slow_seconds": 1');
is((fetch("$base/hang?ms=2500", options => '"allow_http": true, "slow_seconds": 1'))[0], 'ok', 'a server that thinks for long is not slow');
outcome_is('a body that stops', "$base/hang-body", 'timeout', qr/fewer than 100 bytes a second over 1 s/, options => '"allow_http": true, "slow_seconds": 1');
my ($full, $full_port, $fill) = FaultServer::full_queue();
my $open_full = "$open SET cdp.allowed_hosts = 'http://127.0.0.1:$full_port, https://127.0.0.1:$full_port';";
outcome_is('nobody accepts', "http://127.0.0.1:$full_port/", 'timeout', qr/connecting/, set => $open_full, options => '"allow_http": true, "connect_ms": 300');

# ---- redirects
sub to { my $u = shift; $u =~ s/([^A-Za-z0-9])/sprintf '%%%02x', ord $1/ge; return "$base/redirect?to=$u" . join '', map { "&$_" } @_ }
outcome_is('a redirect is not followed', to('/ok'), 'redirect_refused', qr/answer 302 leads to a place on this host, and at most 0/);
@row = fetch(to('/ok'), options => '"allow_http": true, "redirects": 1');
is(body(@row), '{"ok":true}', 'unless the request asks for it');
like($row[5], qr/"redirects": 1\b/, 'and it is counted');
outcome_is('a loop ends', "$base/loop", 'redirect_refused', qr/at most 5/, options => '"allow_http": true, "redirects": 5');
for my $elsewhere ([ 'loopback by name', "http://localhost:$server->{port}/ok" ], [ 'the service of metadata', 'http://169.254.169.254/latest/meta-data/' ],
	[ 'another host', 'https://example.org/' ], [ 'another port', 'http://127.0.0.1:1/' ], [ 'without a scheme', '//example.org/x' ],
	[ 'a file', 'file:///etc/passwd' ], [ 'gopher', 'gopher://127.0.0.1:1/x' ], [ 'with a user', 'http://u:p@127.0.0.1/' ]) {
	outcome_is("redirect to $elsewhere->[0]", to($elsewhere->[1]), 'redirect_refused', qr/leads to/, options => '"allow_http": true, "redirects": 5');
}
my $before = length $server->requests;
@row = fetch(to('/echo?next=2'), headers => q('{"X-Token": "SECRET3", "X-Plain": "P"}'), options => '"allow_http": true, "redirects": 2, "secret_headers": ["x-token"], "secret_query": "access_token=SECRET4"');
is($row[0], 'ok', 'followed with a token');
unlike(body(@row), qr/SECRET/, 'which is not sent again, neither as header nor in the query');
like(body(@row), qr/X-Plain: P/, 'other headers are');
my $sent = substr $server->requests, $before;
is(() = $sent =~ /SECRET4/g, 1, 'the server saw the token once');
outcome_is('a redirect that carries the token', to('/ok?access_token=SECRET5'), 'redirect_refused', qr/names a secret/, options => '"allow_http": true, "redirects": 2, "secret_query": "access_token=SECRET5"');
@row = outcome_is('a redirect whose host is the token', to('https://bearersecret.example.org/'), 'redirect_refused', qr/names a secret/, headers => q('{"Authorization": "Bearer bearersecret"}'), options => '"allow_http": true, "redirects": 2, "secret_headers": ["authorization"]');
unlike($row[1], qr/bearersecret/, 'which is not told');
outcome_is('one that carries the token encoded', to('/ok?t=%42earerSECRET'), 'redirect_refused', qr/names a secret/, headers => q('{"Authorization": "Bearer BearerSECRET"}'), options => '"allow_http": true, "redirects": 2, "secret_headers": ["authorization"]');
outcome_is('a POST is not sent again', to('/ok', 'status=307%20T'), 'redirect_refused', qr/only GET and HEAD/, method => q('POST'), body => q('x'), options => '"allow_http": true, "redirects": 2');

# ---- hosts and addresses: refused before a byte is sent
$before = length $server->requests;
my $only_host = "SET cdp.allowed_hosts = '$base, http://localhost:$server->{port}';";
outcome_is('a host on no list', "$base/ok", 'host_refused', qr/not_allowed/, set => '');
outcome_is('http unless the request allows it', "$base/ok", 'host_refused', qr/http_not_allowed/, options => '');
outcome_is('http where the list has https', "$base/ok", 'host_refused', qr/http_not_allowed/, set => "SET cdp.allowed_hosts = '127.0.0.1';");
outcome_is('http of a built-in host', 'http://qyapi.weixin.qq.com/', 'host_refused', qr/http_not_allowed/);
outcome_is('loopback', "$base/ok", 'address_refused', qr/127\.0\.0\.1, which is refused: loopback/, set => $only_host);
outcome_is('loopback by name', "http://localhost:$server->{port}/ok", 'address_refused', qr/refused: loopback/, set => $only_host);
for my $spelling ('127.1', '0x7f.1', '0x7f000001', '2130706433', '017700000001', '0177.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '[::127.0.0.1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]', 'LOCALHOST', 'localhost.', '0.0.0.0', '0', '[::]',
	'169.254.169.254', '[fd00:ec2::254]', '100.100.100.200', '10.1.2.3', '192.168.1.1', '[fe80::1]', '[fc00::1]') {
	outcome_is("loopback and the like as $spelling", "http://$spelling:$server->{port}/ok", 'address_refused', qr/refused/, set => "SET cdp.allowed_hosts = 'http://$spelling:$server->{port}'; SET cdp.allowed_private_ranges = '';");
}
for my $never ('169.254.169.254', '169.254.0.23', '[fd00:ec2::254]', '100.100.100.200', '[::ffff:169.254.169.254]', '[64:ff9b::a9fe:a9fe]', '[2002:a9fe:a9fe::1]') {
	outcome_is("$never, whatever is opened", "http://$never:$server->{port}/ok", 'address_refused', qr/refused: (metadata|link_local)/, set => "SET cdp.allowed_hosts = 'http://$never:$server->{port}'; SET cdp.allowed_private_ranges = '0.0.0.0/0, ::/0';");
}
is(substr($server->requests, $before), '', 'no connection was opened for any of them');
for my $bad ('ftp://127.0.0.1/', "http://u:p\@127.0.0.1:$server->{port}/ok", 'http:///x', "http://127.0.0.1:$server->{port}/a b", "$base/ok#x", "$base/\x{c3}\x{a4}", "http://127.0.0.1:99999/", 'http://127.0.0.1%00.example.com/', 'http://[fe80::1%25lo]/') {
	@row = fetch($bad);
	like($row[0], qr/^(error|host_refused)$/, "$bad is refused");
	like($row[1], qr/22023|refused/, 'with a reason');
}
for my $bad (q('{"Host": "x"}'), q('{"X": "a\r\nY: b"}'), q('{"A B": "x"}'), q('{"": "x"}'), q('{"Content-Length": "3"}'), q('{"X": 1}'), q('[]')) {
	like((fetch("$base/ok", headers => $bad))[1], qr/22023/, "headers $bad are refused");
}
like((fetch("$base/ok", method => q('get')))[1], qr/22023.*malformed/s, 'an unknown method');
like((fetch("$base/ok", body => q('x')))[1], qr/22023.*malformed/s, 'GET with a body');
like((fetch("$base/ok", options => '"redirect": 1'))[1], qr/unknown option "redirect".*redirects/s, 'an unknown option');
like((fetch("$base/ok", options => '"redirects": -1'))[1], qr/22023/, 'a bad option');

# ---- names that a test commands
SKIP: {
	skip 'no C compiler for slow_names.c, so names that hang or change are not tried', 9 if !$has_names;
	my $list = 'http://rebind.example.com:' . $server->{port} . ', http://inner.example.com:' . $server->{port} . ', http://mixed.example.com:' . $server->{port} . ', http://hang.example.com, hang.example.com';
	$before = length $server->requests;
	is($node->safe_psql('postgres', "SET cdp.allowed_hosts = '$list'; SELECT address, allowed FROM cdp.check_host('http://rebind.example.com:$server->{port}');\nCALL cdp_internal.fetch('http://rebind.example.com:$server->{port}/ok', options => '{\"allow_http\": true}');") =~
		/^93\.184\.216\.34\|t\naddress_refused\|[^\n]*127\.0\.0\.1/, 1, 'a name that is public when it is checked and loopback when it is connected to is refused');
	is($node->safe_psql('postgres', "SET cdp.allowed_hosts = '$list'; SELECT string_agg(host(address) || ' ' || reason, ', ' ORDER BY address) FROM cdp.check_host('http://inner.example.com:$server->{port}')"),
		'10.0.0.1 private, 169.254.169.254 metadata, ::ffff:192.168.0.1 v4_mapped, fd00:ec2::254 metadata', 'check_host judges every address of a name');
	outcome_is('a name with inner addresses only', "http://inner.example.com:$server->{port}/ok", 'address_refused', qr/which is refused/, set => "SET cdp.allowed_hosts = '$list';");
	is(substr($server->requests, $before), '', 'no connection was opened');
	@row = fetch("http://mixed.example.com:$server->{port}/ok", set => "$open SET cdp.allowed_hosts = '$list';");
	is(body(@row), '{"ok":true}', 'of several addresses those that are allowed are tried');
	like($row[5], qr/"address": "127\.0\.0\.1"/, 'and told');
}

# ---- waiting: nothing held, cancelled at once at every stage
# Starts a CALL that waits; returns (run, pid of the backend).
sub waiting {
	my ($url, $set) = @_;
	my ($out, $err) = ('', '');
	my $script = "$dir/waiting.sql";
	open my $f, '>', $script or die; print $f "$set\nCALL cdp_internal.fetch('$url', options => '{\"allow_http\": true}');\nSELECT 'alive';\n"; close $f;
	my $run = start([ 'psql', '-qXAt', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres') . ' application_name=waiting', '-f', $script ],
		'<', \undef, '>', \$out, '2>', \$err, timeout(100));
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waiting' AND wait_event = 'Extension' AND query LIKE 'CALL%'}) or die "it does not wait: $err";
	return ($run, $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'waiting'}), \$out, \$err);
}
sub holds_nothing {
	my ($name, $pid) = @_;
	is($node->safe_psql('postgres', "SELECT backend_xmin IS NULL, backend_xid IS NULL, state, (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND locktype <> 'virtualxid') FROM pg_stat_activity a WHERE pid = $pid"),
		't|t|active|0', "$name: no xmin, no transaction number and no lock while it waits");
}
sub cancelled_at {
	my ($name, $url, $set) = @_;
	my ($run, $pid, $out, $err) = waiting($url, $set // $open);
	sleep 0.1;
	holds_nothing($name, $pid);
	my $t = time;
	kill 'INT', $pid;
	$run->pump while $$out !~ /alive/ && $run->pumpable;
	my $took = time - $t;
	finish $run;
	like($$err, qr/57014/, "$name: cancelled");
	like($$out, qr/alive/, "$name: the session goes on");
	cmp_ok($took, '<', 5, sprintf '%s: at once', $name);
	diag sprintf '%s: %.1f ms from the signal to the answer of the next statement', $name, $took * 1000;
}
my $mute = FaultServer->new(dir => $dir, mute => 1);
cancelled_at('waiting for a connection', "http://127.0.0.1:$full_port/", $open_full);
cancelled_at('in the TLS handshake', "https://127.0.0.1:$mute->{port}/", "$open SET cdp.allowed_hosts = '127.0.0.1:$mute->{port}';");
cancelled_at('waiting for an answer', "$base/hang");
cancelled_at('within the headers', "$base/hang-headers");
cancelled_at('within the body', "$base/hang-body");
SKIP: {
	skip 'no C compiler for slow_names.c, so a name that hangs is not tried', 9 if !$has_names;
	my $set = "SET cdp.allowed_hosts = 'http://hang.example.com';";
	my ($run, $pid) = waiting('http://hang.example.com/', $set);
	my @mask = map { slurp_file("$_/status") =~ /^SigBlk:\s*([0-9a-f]+)/m ? hex $1 : 0 } grep { !m{/$pid\z} } glob "/proc/$pid/task/*";
	cmp_ok(scalar @mask, '>=', 1, 'the resolver runs in a thread');
	my $wanted = 0;
	$wanted |= 1 << ($_ - 1) for 1, 2, 3, 10, 12, 14, 15, 23; # what PostgreSQL handles
	is(scalar(grep { ($_ & $wanted) == $wanted } @mask), scalar @mask, 'in which no handler of PostgreSQL can run');
	my $t = time;
	kill 'TERM', $pid;
	finish $run;
	cmp_ok(time - $t, '<', 5, 'ended while a name is looked up');
	cancelled_at('looking up a name', 'http://hang.example.com/', $set);
	outcome_is('a name that takes too long', 'http://hang.example.com/', 'timeout', qr/looking up the name/, set => $set, options => '"allow_http": true, "total_ms": 300');
}
like((fetch("$base/hang", set => "$open SET statement_timeout = 300;"))[1], qr/57014.*statement timeout/s, 'statement_timeout holds');
my ($run, $pid) = waiting("$base/hang", $open);
$node->safe_psql('postgres', 'CREATE TABLE public.wide (a integer); DROP TABLE public.wide'); # an invalidation wakes it and is taken
sleep 0.2;
holds_nothing('after an invalidation', $pid);
my $t = time;
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
finish $run;
cmp_ok(time - $t, '<', 5, 'terminated at once');

# ---- what passed through libcurl does not stay in memory: an answer that is cut is handed to nobody, so nobody may have it
# Places of a text in the memory of a process; undef when that may not be read.
sub places {
	my ($process, $text) = @_;
	open my $mem, '<:raw', "/proc/$process/mem" or return undef;
	my $n = 0;
	for (split /\n/, slurp_file("/proc/$process/maps")) {
		my ($from, $to) = /^([0-9a-f]+)-([0-9a-f]+) rw.. \S+ \S+ 0\s*(?:\[|$)/ or next; # without files and shared memory
		sysseek $mem, hex $from, 0 or next;
		sysread $mem, my $bytes, hex($to) - hex $from or next;
		$n++ while $bytes =~ /\Q$text\E/g;
	}
	return $n;
}
SKIP: {
	my $script = "$dir/memory.sql";
	open my $f, '>', $script or die; print $f "$open\nCALL cdp_internal.fetch('$base/marked', options => '{\"allow_http\": true, \"shown\": \"/kept-in-the-statement\"}') \\gset\nSELECT :'outcome', pg_sleep(30) AS memory;\n"; close $f;
	my $reader = start([ 'psql', '-qXAt', '-d', $node->connstr('postgres') . ' application_name=memory', '-f', $script ], '<', \undef, '>', \my $said, '2>', \my $wrong, timeout(100));
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'memory' AND wait_event = 'PgSleep'}) or die 'no session';
	my $process = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'memory'});
	my ($found, $other) = map { places($process, $_) } FaultServer::marker(), 'pg_sleep(30)';
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($process)");
	finish $reader;
	skip 'the memory of a backend may not be read here', 2 if !defined $found;
	cmp_ok($other, '>', 0, 'the memory of a session was read');
	is($found, 0, 'of what libcurl read nothing is left');
}

# ---- where it may be called
for my $inside ("BEGIN; CALL cdp_internal.fetch('$base/ok'); COMMIT", "DO \$\$ DECLARE o text; d text; s integer; h jsonb; b bytea; f jsonb; BEGIN BEGIN CALL cdp_internal.fetch('$base/ok', 'GET', '{}', NULL, '{}', o, d, s, h, b, f); EXCEPTION WHEN division_by_zero THEN NULL; END; END \$\$") {
	like(($node->psql('postgres', "\\set VERBOSITY verbose\n$inside"))[2], qr/2D000.*inside a transaction block/s, 'not in a transaction block');
}
is($node->safe_psql('postgres', "$open DO \$\$ DECLARE o text; d text; s integer; h jsonb; b bytea; f jsonb; BEGIN FOR n IN 1 .. 3 LOOP CALL cdp_internal.fetch('$base/ok', 'GET', '{}', NULL, '{\"allow_http\": true}', o, d, s, h, b, f); END LOOP; RAISE NOTICE '%', o; CREATE TABLE public.answer AS SELECT o, b; END \$\$; SELECT o, convert_from(b, 'UTF8') FROM public.answer"),
	'ok|{"ok":true}', 'from a DO block that is none');
$node->safe_psql('postgres', 'CREATE ROLE nobody_special LOGIN');
for my $not ("CALL cdp_internal.fetch('$base/ok')", "SELECT cdp.check_host('localhost')", "SET cdp.allowed_hosts = 'localhost'", "SET cdp.allowed_private_ranges = '127.0.0.0/8'", "SET cdp.http_max_bytes = '1GB'", 'SHOW cdp.ca_file') {
	like(($node->psql('postgres', "LOAD 'pg_cdp'; $not", extra_params => [ '-U', 'nobody_special' ]))[2] . ($node->psql('postgres', "SELECT cdp.version(); $not", extra_params => [ '-U', 'nobody_special' ]))[2], qr/permission denied|must be/, "not for everybody: $not");
}

# ---- TLS
SKIP: {
	skip 'IO::Socket::SSL is not installed, so TLS is not tried', 1 if !eval { require IO::Socket::SSL::Utils; 1 };
	my $now = time;
	my $make = sub {
		my ($name, %arg) = @_;
		my ($cert, $key) = IO::Socket::SSL::Utils::CERT_create(not_before => $now - 86400, not_after => $now + 86400, digest => 'sha256', %arg);
		IO::Socket::SSL::Utils::PEM_cert2file($cert, "$dir/$name.crt");
		IO::Socket::SSL::Utils::PEM_key2file($key, "$dir/$name.key");
		return ($cert, $key);
	};
	my @ours = $make->('ours', CA => 1, subject => { commonName => 'Our own authority' });
	my @alien = $make->('alien', CA => 1, subject => { commonName => 'Another authority' });
	my @here = ([ IP => '127.0.0.1' ], [ DNS => 'localhost' ]);
	my %server;
	my $tls = sub {
		my ($name, $issuer, %arg) = @_;
		my %more = map { $_ => delete $arg{$_} } grep { exists $arg{$_} } qw(version ciphers);
		$make->($name, issuer => $issuer, subject => { commonName => $name }, subjectAltNames => \@here, purpose => 'server', %arg);
		$server{$name} = FaultServer->new(dir => $dir, tls => { cert => "$dir/$name.crt", key => "$dir/$name.key", %more });
		return $server{$name};
	};
	$tls->('good', \@ours);
	$tls->('expired', \@ours, not_before => $now - 864000, not_after => $now - 86400);
	$tls->('future', \@ours, not_before => $now + 86400, not_after => $now + 864000);
	$tls->('wrong', \@ours, subjectAltNames => [ [ DNS => 'example.org' ] ]);
	$tls->('unknown', \@alien);
	$tls->('old', \@ours, version => 'TLSv1_1', ciphers => 'DEFAULT:@SECLEVEL=0');
	$make->('self', subject => { commonName => '127.0.0.1' }, subjectAltNames => \@here);
	$server{self} = FaultServer->new(dir => $dir, tls => { cert => "$dir/self.crt", key => "$dir/self.key" });
	my $hosts = join ', ', map { "127.0.0.1:$_->{port}, localhost:$_->{port}" } values %server;
	my $set = "SET cdp.allowed_private_ranges = '127.0.0.0/8'; SET cdp.allowed_hosts = '$hosts';";
	my $with = "$set SET cdp.ca_file = '$dir/ours.crt';";
	my $at = sub { return "https://127.0.0.1:$server{$_[0]}{port}" . ($_[1] // '/ok') };
	@row = fetch($at->('good'), set => $with, options => '"certificate": true');
	is(body(@row), '{"ok":true}', 'TLS with an authority of our own');
	like($row[5], qr/"issuer": "CN ?= ?Our own authority"/, 'its certificate is told');
	ok($node->safe_psql('postgres', q{SELECT ('} . ($row[5] =~ s/'/''/gr) . q{'::jsonb ->> 'expires')::timestamptz BETWEEN now() AND now() + '2 days'}) eq 't', 'and when it expires');
	is(body(fetch("https://localhost:$server{good}{port}/ok", set => $with, options => '')), '{"ok":true}', 'by name');
	@row = fetch($at->('good'), set => $with, options => '"repeat": 20');
	like($row[5], qr/"connections": 1\b/, 'twenty requests over one handshake');
	is(body(fetch($at->('good', '/gzip?n=300000'), set => $with, options => '')), '{"packed":"' . 'a' x 300000 . '"}', 'packed over TLS');
	my $tls_is = sub {
		my ($name, $url, $expected, %arg) = @_;
		my $seen = length $server{$arg{server}}->requests;
		outcome_is("TLS: $name", $url, 'tls', $expected, set => $arg{set} // $with, options => '');
		unlike(substr($server{$arg{server}}->requests, $seen), qr/GET/, "TLS: $name: no request was sent");
	};
	$tls_is->('an authority that nobody knows', $at->('unknown'), qr/certificate is refused: unable to get local issuer certificate/, server => 'unknown');
	$tls_is->('our authority without the setting', $at->('good'), qr/certificate is refused/, server => 'good', set => $set);
	$tls_is->('signed by itself', $at->('self'), qr/certificate is refused: self[- ]signed certificate/, server => 'self');
	$tls_is->('expired', $at->('expired'), qr/certificate has expired/, server => 'expired');
	$tls_is->('not yet valid', $at->('future'), qr/certificate is not yet valid/, server => 'future');
	$tls_is->('another name', $at->('wrong'), qr/not for this host|mismatch/, server => 'wrong');
	$tls_is->('an old version', $at->('old'), qr/no TLS connection of version 1\.2/, server => 'old');
	$tls_is->('a file of authorities that is missing', $at->('good'), qr/cdp\.ca_file/, server => 'good', set => "$set SET cdp.ca_file = '$dir/none.crt';");
	my $other = FaultServer->new(dir => $dir, mute => 1, say => "220 here is mail\r\n");
	outcome_is('TLS: a server that speaks none', "https://127.0.0.1:$other->{port}/ok", 'tls', qr/no TLS connection/, set => "$set SET cdp.allowed_hosts = '127.0.0.1:$other->{port}';", options => '');
	$other->stop;
	outcome_is('TLS: a body that is cut', $at->('good', '/truncate'), 'truncated', undef, set => $with, options => '');
	outcome_is('TLS: an end that is not told', $at->('good', '/reset'), 'reset', undef, set => $with, options => '');
	outcome_is('TLS: a server that hangs', "https://127.0.0.1:$mute->{port}/", 'timeout', qr/TLS handshake/, set => "$set SET cdp.allowed_hosts = '127.0.0.1:$mute->{port}';", options => '"total_ms": 400');
	outcome_is('TLS: no way from https to http', $at->('good', '/redirect?to=http%3a%2f%2f127.0.0.1%3a' . $server->{port} . '%2fok'), 'redirect_refused', qr{http://127}, set => $with, options => '"redirects": 3, "allow_http": true');
	is((fetch($at->('good'), set => $with, options => '"repeat": 3'))[0], 'ok', 'and again');
	$_->stop for values %server;
}

$mute->stop;
$server->stop;
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'the server is well');
$node->stop;
my $log = slurp_file($node->logfile);
unlike($log, qr/terminated by signal|PANIC|WARNING/, 'nothing was left behind');
done_testing();
