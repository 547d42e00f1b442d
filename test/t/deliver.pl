# Delivery of the outbox to a server that takes, refuses, hangs and hurries: each message arrives, signed, under one id; what will
# never be taken is given up; two sessions send nothing twice; a session that is killed loses nothing.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_base64 hmac_sha256);
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(encode_base64 decode_base64);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use CdpTest;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $json = JSON::PP->new->canonical;
my $secret = 'whsec_' . encode_base64('0123456789abcdef0123456789abcdef', '');
my $token = 'DELIVERTOKENx7Qb';

# The destination: what it does stands in a file, what came in another, a line of JSON for each request.
sub put_file { my ($name, $text, $mode) = @_; open my $f, $mode // '>', "$dir/$name" or die $!; syswrite $f, $text; close $f }
sub get_file { my ($name) = @_; open my $f, '<', "$dir/$name" or return ''; local $/; return <$f> // '' }
sub behave { put_file('how', $_[0]) }
sub came { return map { $json->decode($_) } split /\n/, get_file('came') }
sub forget { put_file('came', '') }
my $listen = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die $!;
my $port = $listen->sockport;
my $server = fork // die $!;
if (!$server) {
	POSIX::setpgid(0, 0);
	$SIG{CHLD} = 'IGNORE';
	while (1) {
		my $socket = $listen->accept or next;
		next if fork;
		my ($head, $body, $byte) = ('', '', '');
		while ($head !~ /\r\n\r\n\z/) { $socket->sysread($byte, 1) or POSIX::_exit(0); $head .= $byte }
		my ($length) = $head =~ /^content-length: *(\d+)/mi;
		while (length $body < ($length // 0)) { $socket->sysread($byte, $length - length $body) or POSIX::_exit(0); $body .= $byte }
		my %header = map { /^([^:]+): *(.*?)\r?$/ ? (lc $1 => $2) : () } split /\n/, $head;
		put_file('came', $json->encode({ line => (split /\r\n/, $head)[0], header => \%header, body => $body }) . "\n", '>>');
		my $how = $json->decode(get_file('how'));
		sleep $how->{hang} if $how->{hang};
		my $status = $how->{poison} && $body =~ /POISON/ ? 400 : $how->{status} // 200;
		my $reply = $how->{reply} // '{}';
		$socket->syswrite("HTTP/1.1 $status X\r\nContent-Length: " . length($reply) . "\r\nConnection: close\r\n" . ($how->{after} ? "Retry-After: $how->{after}\r\n" : '') . "\r\n$reply");
		close $socket;
		POSIX::_exit(0);
	}
}
END { my $s = $?; kill 'TERM', -$server if $server; $? = $s }
behave('{}');
forget();

my $node = cdp_node('deliver');
key_file($node, '1 ' . join '', map { sprintf '%02x', ($_ * 41 + $_ * $_) % 256 } 1 .. 32);
$node->append_conf('postgresql.conf', "cdp.allowed_private_ranges = '127.0.0.0/8'\ncdp.allowed_hosts = 'http://127.0.0.1:$port'\n");
$node->restart;
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub deliver { return sql("CALL cdp.deliver(" . join(', ', @_) . ")") }
sub messages { my ($n, $kind, $payload) = @_; sql("SELECT count(cdp.outbox_put('crm', '" . ($kind // 'note') . "', " . ($payload // "jsonb_build_object('n', i)") . ")) FROM generate_series(1, $n) i") }
sub states { return sql("SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM cdp_data.outbox GROUP BY state) x") }
sub now_due { sql("UPDATE cdp_data.outbox SET next_attempt_at = clock_timestamp() WHERE state = 'waiting'; UPDATE cdp_data.delivery SET paused_until = NULL") }
sub clear { sql("TRUNCATE cdp_data.outbox CASCADE; TRUNCATE cdp_data.delivery_attempt; UPDATE cdp_data.delivery SET failures = 0, paused_until = NULL, problem = NULL, alone_to = 0, next_at = NULL"); forget() }

sql("SELECT cdp.add_source('hook'); SELECT cdp.create_connection('crm hook', 'webhook', '{\"base_url\": \"http://127.0.0.1:$port\", \"path\": \"inbox\"}', 'hook', allow_http => true);
	SELECT cdp.set_secret('crm hook', 'token', '$token'); SELECT cdp.set_secret('crm hook', 'signing_key', '$secret'); SELECT cdp.add_destination('crm', 'service'); SELECT cdp.deliver_to('crm', 'crm hook')");

# One message, as it arrives.
messages(1);
is(deliver(), '1|0', 'one request');
my ($one) = came();
is($one->{line}, 'POST /inbox HTTP/1.1', 'posted to its address');
is($one->{header}{authorization}, "Bearer $token", 'with its token');
is($one->{header}{'webhook-id'}, sql(q{SELECT format('msg_%s_%s', d.space, o.outbox_id) FROM cdp_data.outbox o, cdp_data.delivery d}), 'under its id');
my $signed = encode_base64(hmac_sha256("$one->{header}{'webhook-id'}.$one->{header}{'webhook-timestamp'}.$one->{body}", '0123456789abcdef0123456789abcdef'), '');
is($one->{header}{'webhook-signature'}, "v1,$signed", 'signed as Standard Webhooks say');
cmp_ok(abs($one->{header}{'webhook-timestamp'} - time), '<', 60, 'now');
is($json->decode($one->{body})->{data}{n}, 1, 'with what it says');
is(states(), 'sent 1', 'and reported');
is(deliver(), '0|0', 'and not again');
is(sql("SELECT outcome, status, sent, refused, problem IS NULL, finished_at IS NOT NULL FROM cdp_data.delivery_attempt"), 'ok|200|1|0|t|t', 'written down');

# Lists, and one of them that is not taken.
clear();
sql("SELECT cdp.deliver_to('crm', 'crm hook', '{\"batch\": 10}')");
messages(25);
is(deliver(), '3|0', '25 messages in three requests');
is(join(',', map { scalar @{ $json->decode($_->{body}) } } came()), '10,10,5', 'of at most ten');
is(states(), 'sent 25', 'all there');
clear();
behave('{"poison": true}');
messages(10, 'note', "jsonb_build_object('n', CASE WHEN i = 4 THEN 'POISON' ELSE i::text END)");
deliver();
is(states(), 'failed 1, sent 9', 'one that is never taken is given up, the nine beside it arrive');
is(sql("SELECT dead_letters, failures FROM cdp_bi.delivery"), '1|0', 'a dead letter, and no failure of the destination');
behave('{}');
is(sql("SELECT cdp.redeliver('crm')"), 1, 'it is tried again by word');
deliver();
is(states(), 'sent 10', 'and arrives');
clear();
sql("SELECT cdp.deliver_to('crm', 'crm hook', '{\"batch\": 3, \"format\": \"ndjson\"}')");
messages(3);
deliver();
is(scalar(map { $json->decode($_) } split /\n/, (came())[0]{body}), 3, 'one to a line');
is((came())[0]{header}{'content-type'}, 'application/x-ndjson', 'and said so');

# A destination that is not well.
clear();
sql("SELECT cdp.deliver_to('crm', 'crm hook', '{\"batch\": 5}')");
behave('{"status": 503, "after": 30}');
messages(5);
is(deliver(), '1|1', 'one request, then it is left alone');
is(states(), 'waiting 5', 'nothing is lost');
is(sql("SELECT paused_until - clock_timestamp() BETWEEN '20 s' AND '31 s', problem FROM cdp_data.delivery"), 't|HTTP 503', 'for as long as it says');
is(deliver(), '0|0', 'and not asked meanwhile');
my $id = (came())[0]{header}{'webhook-id'};
now_due();
behave('{}');
is(deliver(), '1|0', 'it is well again');
is((came())[-1]{header}{'webhook-id'}, $id, 'and knows what it has seen');
is(sql("SELECT failures, problem IS NULL FROM cdp_data.delivery"), '0|t', 'nothing is held against it');
clear();
behave('{"status": 410}');
messages(1);
deliver();
is(sql("SELECT enabled FROM cdp_data.destination WHERE destination = 'crm'"), 'f', 'gone for good: switched off');
sql("UPDATE cdp_data.destination SET enabled = true");
clear();
behave('{"status": 401}');
messages(1);
deliver();
is(states() . sql("SELECT ' ' || problem FROM cdp_data.delivery"), 'waiting 1 HTTP 401', 'a wrong token loses nothing');

# Nobody listens; a wrong path; two destinations, one of which can not be opened.
clear();
my $closed = do { my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!; my $p = $s->sockport; close $s; $p };
sql("ALTER SYSTEM SET cdp.allowed_hosts = 'http://127.0.0.1:$port, http://127.0.0.1:$closed'; SELECT pg_reload_conf()");
sql("SELECT cdp.create_connection('closed hook', 'webhook', '{\"base_url\": \"http://127.0.0.1:$closed\", \"path\": \"x\"}', 'hook', allow_http => true); SELECT cdp.deliver_to('crm', 'closed hook')");
messages(2);
is(deliver(), '1|1', 'nobody listens');
like(states() . sql("SELECT ' ' || problem || (paused_until > clock_timestamp()) FROM cdp_data.delivery"), qr/^waiting 2 connect.*true$/, 'nothing is lost, and it is left alone');
clear();
behave('{"status": 404}');
sql("SELECT cdp.deliver_to('crm', 'crm hook')");
messages(2);
deliver();
is(states() . ' ' . scalar(came()), 'waiting 2 1', 'a wrong path loses nothing');
clear();
behave('{}');
sql("SELECT cdp.configure_connection('crm hook', '{\"base_url\": \"http://127.0.0.1:$port\", \"path\": \"elsewhere\"}')");
messages(1);
deliver();
is(scalar(came()) . sql("SELECT ' ' || problem FROM cdp_data.delivery"), '0 the connection was changed since: cdp.deliver_to() again', 'a connection that was led elsewhere gets nothing');
sql("SELECT cdp.configure_connection('crm hook', '{\"base_url\": \"http://127.0.0.1:$port\", \"path\": \"inbox\"}'); SELECT cdp.deliver_to('crm', 'crm hook')");
deliver();
is(states(), 'sent 1', 'until somebody says so again');
clear();
sql("SELECT cdp.add_connector(cdp_internal.connector_webhook() || '{\"connector\": \"own_hook\", \"secrets\": {\"token\": {\"required\": true}, \"signing_key\": {\"required\": false}}}');
	SELECT cdp.create_connection('broken hook', 'own_hook', '{\"base_url\": \"http://127.0.0.1:$port\", \"path\": \"x\"}', 'hook', allow_http => true);
	SELECT cdp.add_destination('a broken one', 'service'); SELECT cdp.deliver_to('a broken one', 'broken hook'); SELECT cdp.outbox_put('a broken one', 'note', '{}')");
messages(1);
$node->psql('postgres', 'CALL cdp.deliver()') for 1 .. 2;
is(states(), 'sent 1, waiting 1', 'one without its secret ends a call, and is the last of the next');
sql("DELETE FROM cdp_data.delivery WHERE destination = 'a broken one'; DELETE FROM cdp_data.outbox WHERE destination = 'a broken one'; DELETE FROM cdp_data.destination WHERE destination = 'a broken one'");

# Another token may be that of another account; what was taken over one connection does not go with the secrets of another.
clear();
sql("SELECT cdp.set_secret('crm hook', 'token', 'ANOTHERTOKENx7Qb')");
messages(1);
deliver();
is(scalar(came()) . sql("SELECT ' ' || problem FROM cdp_data.delivery"), '0 the connection was changed since: cdp.deliver_to() again', 'a connection with another token gets nothing');
sql("SELECT cdp.set_secret('crm hook', 'token', '$token'); SELECT cdp.deliver_to('crm', 'crm hook')");
is(sql("SELECT t.attempt_id IS NULL AND t.request IS NULL FROM cdp_data.connection c, cdp_internal.delivery_take('crm', c.connection_id, now()) t WHERE c.name = 'closed hook'"), 't', 'nothing is taken for a connection that it no longer goes over');
clear();
behave('{"status": 410}');
messages(1);
deliver();
like(sql("SELECT string_agg(detail, ' ') FROM cdp.health() WHERE finding = 'delivery_fails'"), qr/crm: 1 requests in a row failed: HTTP 410/, 'who is gone is told by health');
sql("UPDATE cdp_data.destination SET enabled = true");
behave('{}');

# Who takes some of a list.
clear();
behave('{}');
messages(3);
my @ids = split /\n/, sql('SELECT outbox_id FROM cdp_data.outbox ORDER BY 1');
sql("SELECT cdp.deliver_to('crm', 'crm hook', '{\"batch\": 5}')");
behave($json->encode({ reply => $json->encode({ failed => [ { id => "$ids[1]", retry => 'later' } ] }) }));
deliver();
is(states(), 'failed 1, sent 2', 'what the answer names is not sent');
is(sql("SELECT string_agg(finding || ' ' || outbox_id, ', ' ORDER BY outbox_id) FROM cdp.reconcile_delivery('crm', ARRAY[$ids[0], $ids[1], 999999], now() - interval '1 hour', now() + interval '1 hour')"),
	"not_reported $ids[1], not_received $ids[2], not_ours 999999", 'both lists compared');

# So many a minute.
clear();
behave('{}');
sql("SELECT cdp.deliver_to('crm', 'crm hook', '{\"max_per_minute\": 2}')");
messages(5);
sql("CALL cdp.deliver('crm', '1 second')");
is(scalar(came()), 1, 'the second waits for half a minute');
is(sql("SELECT next_at - clock_timestamp() BETWEEN '20 s' AND '30 s' FROM cdp_data.delivery"), 't', 'so that two go in each');
sql("SELECT cdp.deliver_to('crm', 'crm hook', '{\"max_per_minute\": 600}')");
deliver();
is(scalar(came()), 5, 'ten a second: waited for, and all arrive');

# Two sessions, and one that dies.
clear();
sql("SELECT cdp.deliver_to('crm', 'crm hook', '{\"batch\": 1}')");
messages(60);
my @run = map { my ($in, $out, $err) = ('', '', ''); IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'CALL cdp.deliver()' ], \$in, \$out, \$err) } 1 .. 2;
$_->finish for @run;
is(states(), 'sent 60', 'two sessions deliver all');
my %seen;
$seen{ $_->{header}{'webhook-id'} }++ for came();
is(join(',', scalar(keys %seen), scalar(grep { $_ > 1 } values %seen)), '60,0', 'each once');
clear();
behave('{"hang": 20}');
messages(3);
my ($in, $out, $err) = ('', '', '');
my $dying = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'CALL cdp.deliver()' ], \$in, \$out, \$err);
for (1 .. 200) { last if came(); select undef, undef, undef, 0.05 }
is(sql("SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE query LIKE 'CALL cdp.deliver%'"), 't', 'nothing is held while it waits');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL cdp.deliver%'");
$dying->finish;
is(states(), 'taken 1, waiting 2', 'a session that dies leaves what it took');
behave('{}');
sql("UPDATE cdp_data.outbox SET next_attempt_at = clock_timestamp() WHERE state = 'taken'");
deliver();
is(states(), 'sent 3', 'and it is sent again when its lease is over');
is((came())[0]{header}{'webhook-id'}, (grep { $_->{body} eq (came())[0]{body} } came())[-1]{header}{'webhook-id'}, 'under the same id');

# Deletions are acknowledged by the answer.
clear();
sql("SELECT cdp.deliver_to('crm', 'crm hook', '{\"acknowledges\": \"reply\"}')");
behave('{"reply": "{\"reference\": \"ticket 7\"}"}');
sql("SELECT cdp.identify('hook', '{\"email\": \"gone\@example.com\"}')");
sql("SELECT cdp.erase_customer(cdp.customer_of('email', 'gone\@example.com'))");
deliver();
is(sql("SELECT state, reference FROM cdp_bi.erasure_destination"), 'acknowledged|ticket 7', 'an erasure that the destination has done');
clear();
sql("SELECT cdp.deliver_to('crm', 'crm hook', '{\"acknowledges\": \"reply\", \"batch\": 9}')");
sql("SELECT cdp.identify('hook', '{\"email\": \"gone$_\@example.com\"}')"), sql("SELECT cdp.erase_customer(cdp.customer_of('email', 'gone$_\@example.com'))") for 2 .. 3;
my @erase = split /\n/, sql('SELECT outbox_id FROM cdp_data.outbox ORDER BY 1');
behave($json->encode({ reply => $json->encode({ reference => 'for all', acknowledged => [ { id => $erase[1], reference => 'ticket 9' } ] }) }));
deliver();
is(sql("SELECT string_agg(state || coalesce(' ' || reference, ''), ', ' ORDER BY receipt_id) FROM cdp_bi.erasure_destination"), 'acknowledged ticket 7, sent, acknowledged ticket 9', 'of a list only what it names');

# Nothing secret is written down; nor in a transaction, nor to a destination that nobody named.
unlike(sql("SELECT coalesce(string_agg(a::text, ' '), '') FROM cdp_data.delivery_attempt a") . get_file('../none'), qr/\Q$token\E|whsec/, 'no secret in the log of attempts');
my ($rc, $o, $e) = $node->psql('postgres', 'BEGIN; CALL cdp.deliver();');
like($e, qr/2D000|transaction block/, 'not in a transaction block');
like(($node->psql('postgres', "CALL cdp.deliver('nobody')"))[2], qr/destination "nobody" is not delivered to/, 'an unknown destination');
like(($node->psql('postgres', "SELECT cdp.deliver_to('crm', 'crm hook', '{\"bach\": 3}')"))[2], qr/unknown option "bach".*batch/s, 'an unknown option');
done_testing();
