# The gateway of callbacks between a platform and the database: checks of addresses, messages, what it answers to strangers, when
# the database is slow or away, and that neither it nor any log knows a key or a message. Installs npm's pg; without npm or its registry the test is skipped.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CdpTest;
use Digest::SHA;
use HTTP::Tiny;
use IO::Socket::INET;
use IPC::Run qw(start finish timeout);
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $dir = PostgreSQL::Test::Utils::tempdir();
my ($out, $err) = ('', '');
{
	local $ENV{npm_config_cache} = "$dir/cache";
	local $ENV{HOME} = $dir;
	my $installed = eval { IPC::Run::run([ qw(npm install --no-audit --no-fund --ignore-scripts --loglevel=error --prefix), $dir, 'pg@8' ],
		'<', \undef, '>', \$out, '2>', \$err, timeout(120)) };
	plan skip_all => 'pg for node cannot be installed: npm or its registry is absent' unless $installed;
}

my $node = cdp_node('callback_gateway');
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
$sql->(q{CREATE ROLE the_gateway LOGIN; CALL cdp.setup(gateway => 'the_gateway');
	SELECT cdp.add_source('app'), cdp.create_connection('my app', 'wecom', '{"corpid": "ww1"}', 'app'), cdp.create_connection('oa', 'wechat_oa', '{"appid": "wx1"}', 'app');
	SELECT cdp.set_secret('my app', 'callback_token', 'TOKENtoken7'), cdp.set_secret('my app', 'callback_key', 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C'), cdp.set_secret('oa', 'callback_token', 'PLAINtoken7')});
$node->append_conf('postgresql.conf', "log_min_messages = debug2\nlog_statement = all\nlog_parameter_max_length = 0\n");
$node->reload;

# The gateway, with nothing in its environment but where the database is.
sub gateway {
	my ($out, $err) = ('', '');
	my @command = ('node', "$ENV{CDP_TOP}/gateway/callbacks.js");
	my %kept = (PATH => $ENV{PATH}, NODE_PATH => "$dir/node_modules", PGHOST => $node->host, PGPORT => $node->port, PGUSER => 'the_gateway', PGDATABASE => 'postgres', CDP_GATEWAY_PORT => 0);
	my $h = do { local %ENV = %kept; start(\@command, '<', \undef, '>', \$out, '2>', \$err, timeout(180)) };
	my $until = time + 15;
	while ($out !~ /"listening":"([^"]+):(\d+)"/ && time < $until) { $h->pump_nb; sleep 0.05 }
	$out =~ /"listening":"([^"]+):(\d+)"/ or die "the gateway did not start: $err";
	return { h => $h, out => \$out, err => \$err, host => $1, port => $2 };
}
my $gateway = gateway();
my $base = "http://127.0.0.1:$gateway->{port}";
my $http = HTTP::Tiny->new(timeout => 15, keep_alive => 0);

# Query and body of a message that the platform would push now, made by the functions for tests.
sub pushed {
	my ($message, %arg) = @_;
	$arg{nonce} //= 'n' . ++our $n;
	my $row = $sql->(qq{SELECT concat_ws(E'\\t', cdp_internal.known_callback_signature('} . ($arg{token} // 'TOKENtoken7') . qq{', t, '$arg{nonce}', c), t, c)
		FROM (SELECT floor(extract(epoch FROM clock_timestamp()))::bigint::text AS t, cdp_internal.known_callback_seal('jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C', 'ww1', decode(md5('$arg{nonce}'), 'hex'), \$m\$$message\$m\$) AS c) x});
	my ($signature, $t, $cipher) = split /\t/, $row;
	return ("msg_signature=$signature&timestamp=$t&nonce=$arg{nonce}", $cipher, "<xml><ToUserName>ww1</ToUserName><Encrypt><![CDATA[$cipher]]></Encrypt></xml>");
}
sub escaped { my ($s) = @_; $s =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge; return $s }
sub is_answer {
	my ($r, $status, $content, $name) = @_;
	is("$r->{status} $r->{content}", "$status $content", $name);
}

# Checks of the address: the text and nothing else, whatever is in the cipher text.
my ($query, $cipher) = pushed('1616140317555161061');
is_answer($http->get("$base/callback/my%20app?$query&echostr=" . escaped($cipher)), 200, '1616140317555161061', 'a check of the address is answered');
for (1 .. 20) { ($query, $cipher) = pushed("plus $_", nonce => "plus$_"); last if $cipher =~ /\+/ }
like($http->get("$base/callback/my%20app?$query&echostr=$cipher")->{content}, qr/^plus \d+$/, 'a plus of base64 stays one, encoded or not');
my $r = $http->get("$base/callback/my%20app?$query&echostr=" . escaped($cipher));
is($r->{headers}{'content-type'} . $r->{headers}{'x-content-type-options'}, 'text/plain; charset=utf-8nosniff', 'as plain text');
$r = $sql->(q{SELECT t || ' ' || cdp_internal.known_callback_signature('PLAINtoken7', t, 'n', '') FROM (SELECT floor(extract(epoch FROM clock_timestamp()))::bigint::text AS t) x});
my ($t, $signature) = split / /, $r;
is_answer($http->get("$base/callback/oa?signature=$signature&timestamp=$t&nonce=n&echostr=437512"), 200, '437512', 'one of WeChat, too');

# Messages.
my @push = pushed('<xml><MsgType>event</MsgType><Event>change_external_contact</Event><UserID>li</UserID><Secretive>WORDSofMESSAGE</Secretive></xml>');
is_answer($http->post("$base/callback/my%20app?$push[0]", { content => $push[2] }), 200, 'success', 'a message');
is_answer($http->post("$base/callback/my%20app?$push[0]", { content => $push[2] }), 200, 'success', 'and again');
is($sql->('SELECT count(*) FROM cdp_data.callback'), '1', 'is one');
$sql->('SELECT cdp_internal.process_callbacks()');
is($sql->('SELECT stream, part FROM cdp_data.stream_wish'), 'contacts|li', 'and is asked again');
is_answer($http->post("$base/callback/oa?signature=$signature&timestamp=$t&nonce=n", { content => "<xml><MsgType>text</MsgType><Content>\xe5\xbe\xae</Content></xml>" }), 200, 'success', 'one that is not encrypted');
is($sql->(q{SELECT doc ->> 'Content' FROM cdp_data.callback WHERE NOT encrypted}), "\xe5\xbe\xae", 'comes in byte by byte');

# Standard Webhooks, in headers.
$sql->(q{SELECT cdp.add_connector('{"connector": "mine", "version": 1, "base_url": "https://x.example", "secrets": {"callback_token": {}}, "callback": {"dialect": "standard_webhooks"}, "streams": {"orders": {"path": "/orders", "records": "$[*]", "key": ["id"]}}}');
	SELECT cdp.create_connection('shop', 'mine', '{}', 'app'), cdp.set_secret('shop', 'callback_token', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')});
my $now = int time;
my $body = '{"type": "order.paid"}';
my %signed = ('webhook-id' => 'msg_1', 'webhook-timestamp' => $now, 'webhook-signature' => 'v1,' . MIME::Base64::encode_base64(Digest::SHA::hmac_sha256("msg_1.$now.$body", MIME::Base64::decode_base64('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')), ''));
is_answer($http->post("$base/callback/shop", { headers => \%signed, content => $body }), 200, 'success', 'a Standard Webhook');
is_answer($http->post("$base/callback/shop", { headers => \%signed, content => "$body " }), 403, 'Forbidden', 'not with another body');
is($sql->(q{DELETE FROM cdp_data.callback WHERE event = 'order.paid' RETURNING event}), 'order.paid', 'comes in');

# Strangers are told nothing: not which connection there is, nor what is wrong.
is_answer($http->post("$base/callback/nobody?$push[0]", { content => $push[2] }), 403, 'Forbidden', 'an unknown connection');
is_answer($http->post("$base/callback/my%20app?" . (pushed('x', token => 'wrong'))[0], { content => $push[2] }), 403, 'Forbidden', 'a wrong signature');
is_answer($http->post("$base/callback/my%20app", { content => $push[2] }), 403, 'Forbidden', 'no parameters');
is_answer($http->post("$base/callback/my%20app?$push[0]", { content => '' }), 403, 'Forbidden', 'an empty message');
is_answer($http->get("$base/callback/my%20app?$push[0]"), 400, 'Bad Request', 'neither message nor check');
is_answer($http->get("$base/callback/my%20app?$query&echostr=1&echostr=2"), 400, 'Bad Request', 'a parameter twice');
is_answer($http->get("$base/callback/my%20app?$query&echostr=%E5%"), 400, 'Bad Request', 'broken encoding');
is_answer($http->get("$base/callback/my%20app?$query&echostr=%00"), 400, 'Bad Request', 'a zero byte');
is_answer($http->get("$base/"), 404, 'Not Found', 'another path');
is_answer($http->get("$base/callback/my%20app/more?$query"), 404, 'Not Found', 'a longer one');
is_answer($http->request('PUT', "$base/callback/my%20app?$push[0]", { content => $push[2] }), 405, 'Method Not Allowed', 'another method');
is($http->post("$base/callback/my%20app?$push[0]", { content => 'x' x (4 * 1024 * 1024 + 1) })->{status} =~ /^(413|599)$/, 1, 'too much');
my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gateway->{port}, Timeout => 5);
print $s "POST /callback/my%20app?$push[0] HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n";
like(scalar <$s>, qr/ 413 /, 'a length that is too much is refused before a byte of it is read');
close $s;
is($sql->('SELECT count(*) FROM cdp_data.callback'), '2', 'nothing of all that is kept');
is($gateway->{host}, '127.0.0.1', 'it listens for this machine alone');

# Many at once.
my @many = map { [ pushed("<xml><MsgType>event</MsgType><Event>many</Event><N>$_</N></xml>") ] } 1 .. 40;
my @pids;
for my $part (0 .. 7) {
	my $pid = fork // die;
	if (!$pid) {
		my $bad = 0;
		for (grep { $_ % 8 == $part } 0 .. $#many) { $bad++ for grep { $_->{content} ne 'success' } $http->post("$base/callback/my%20app?$many[$_][0]", { content => $many[$_][2] }) }
		require POSIX;
		POSIX::_exit($bad ? 1 : 0);
	}
	push @pids, $pid;
}
my $failed = 0;
for (@pids) { waitpid $_, 0; $failed++ if $? }
is($failed . ' ' . $sql->(q{SELECT count(*) FROM cdp_data.callback WHERE event = 'many'}), '0 40', '40 messages from eight at once are all taken, once each');

# A database that is slow or away: an answer all the same, so that the platform pushes again.
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE cdp_data.callback IN ACCESS EXCLUSIVE MODE');
my @late = pushed('<xml><MsgType>event</MsgType><Event>late</Event></xml>');
my $begun = time;
is_answer($http->post("$base/callback/my%20app?$late[0]", { content => $late[2] }), 503, 'Service Unavailable', 'a database that is slow');
cmp_ok(time - $begun, '<', 12, 'is answered for, although nobody lets go'); # 3.5 s by itself; a busy machine takes longer
$holder->query_safe('COMMIT');
$holder->quit;
is_answer($http->post("$base/callback/my%20app?$late[0]", { content => $late[2] }), 200, 'success', 'pushed again it is taken');
$node->stop('immediate');
$begun = time;
is($http->post("$base/callback/my%20app?$late[0]", { content => $late[2] })->{status}, 503, 'a database that is away');
cmp_ok(time - $begun, '<', 12, 'is answered for as well');
$node->start;
my $back = 0;
for (1 .. 10) { my @again = pushed("<xml><Event>back$_</Event></xml>"); $back = $http->post("$base/callback/my%20app?$again[0]", { content => $again[2] })->{status} == 200 and last }
is($back, 1, 'once it is back, so is the gateway');

# What is written down.
$gateway->{h}->pump_nb;
my $log = ${ $gateway->{out} } . ${ $gateway->{err} };
like($log, qr/"method":"POST","status":200/, 'the gateway logs a line a request');
unlike($log, qr/WORDSofMESSAGE|my app|timestamp|$push[1]|\Q$cipher\E|TOKEN|jWmYm7/, 'without a parameter, a message or a key');
my $server_log = slurp_file($node->logfile);
my ($from) = $server_log =~ /.*\n[^\n]*(log_parameter_max_length|parameter "log_min_messages" changed)[^\n]*\n(.*)/s ? ($2) : ($server_log);
like($from, qr/wrong signature/, 'the reason of a refusal is in the log of the server');
unlike($from =~ s/^.*known_callback.*$//mgr, qr/WORDSofMESSAGE|TOKENtoken7/, 'and no message, nor the token');
$gateway->{h}->signal('TERM');
eval { finish($gateway->{h}) };
is($gateway->{h}->result(0), 0, 'it ends when it is told to');
done_testing();
