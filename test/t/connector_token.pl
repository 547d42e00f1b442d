# Tokens: eight sessions fetch one, a renewal makes nobody wait, a failing generation is replaced once, a wrong secret is asked
# about once, a session that dies while it fetches blocks nobody, and neither log, dump nor WAL has a token.
use strict;
use warnings;
use Test::More;
use File::Find;
use PostgreSQL::Test::Utils;
use CdpTest;
use Time::HiRes qw(usleep);
use IPC::Run;

my $node = cdp_node('connector_token');
$node->append_conf('postgresql.conf', "log_min_messages = debug2\nlog_statement = none\n");
$node->reload;
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
$sql->(q{SELECT cdp.add_source('wecom main')});
$sql->(slurp_file("$ENV{CDP_TOP}/test/pgtap/connection_connector.inc"));
$sql->(q{SELECT cdp.create_connection('wecom main', 'vault'), cdp.create_connection('twin', 'vault', source => 'wecom main')});
$sql->(q{SELECT cdp.set_secret('wecom main', 's', 'correct'), cdp.set_secret('twin', 's', 'correct'), cdp.set_secret('wecom main', 't', 'other app'), cdp.set_secret('wecom main', 'u', 'third app'), cdp.set_secret('wecom main', 'w', 'fourth app')});

# One call; answers "outcome|generation|fetched|same|held".
sub call {
	my (%o) = (connection => 'wecom main', secret => 's', token => 'TOKENvalueQ1', seconds => 7200, wait => 0, answer => 'ready', failed => 0, again => 'false', @_);
	return "CALL cdp_internal.known_token('$o{connection}', '$o{secret}', '$o{token}', $o{seconds}, $o{wait}, '$o{answer}', $o{failed}, $o{again})";
}
# The same from so many sessions at once; their answers, sorted.
sub together {
	my ($n, %o) = @_;
	my (@run, @out);
	for my $i (0 .. $n - 1) {
		my $text = call(%o, token => "TOKENvalueQ2-$i");
		push @run, IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', $text ], '>', \$out[$i], '2>', \my $err, IPC::Run::timeout(60));
	}
	IPC::Run::finish($_) for @run;
	chomp @out;
	return sort @out;
}

# A token is fetched when there is none, and held by nothing while it is fetched.
is($sql->(call()), 'ready|1|t|t|f', 'the first call fetches, without a snapshot and a number of its transaction');
is($sql->(call(token => 'x')), 'ready|1|f|f|f', 'the second takes it');
is($sql->(call(connection => 'twin')), 'ready|1|f|t|f', 'so does another connection of the same app');
is($sql->(call(secret => 't', token => 'TOKENvalueQ3')), 'ready|2|t|t|f', 'another secret is another app');
is($sql->(call(failed => 7)), 'ready|1|f|t|f', 'a generation that failed elsewhere and is not the current one replaces nothing');

# Eight sessions.
my @all = together(8, secret => 'u', wait => 700);
is(scalar(grep { /\|t\|/ && (split /\|/)[2] eq 't' } @all), 1, 'eight sessions at once fetch one token');
my ($first) = $all[0] =~ /^ready\|(\d+)\|/;
is(scalar(grep { /^ready\|$first\|/ } @all), 8, 'and all have it');
@all = together(8, secret => 'u', wait => 700, failed => $first);
is(scalar(grep { (split /\|/)[2] eq 't' } @all), 1, 'eight sessions with which the same generation fails fetch one');
my %generation = map { (split /\|/)[1] => 1 } @all;
my ($now) = keys %generation;
is(scalar(keys %generation), 1, 'and none throws the newest away');
cmp_ok($now, '>', $first, 'which has a number of its own');

# A renewal: one fetches, the others go on with the old one meanwhile.
$sql->(q{UPDATE cdp_data.connection_token SET renew_at = now() WHERE generation = } . $now);
@all = together(8, secret => 'u', wait => 1500);
is(scalar(grep { (split /\|/)[2] eq 't' } @all), 1, 'a token that is due is renewed by one');
is(scalar(grep { /^ready\|$now\|f/ } @all), 7, 'while the others use it');
my ($newer) = map { /^ready\|(\d+)\|t/ } @all;
$sql->("UPDATE cdp_data.connection_token SET renew_at = now() WHERE generation = $newer");
like($sql->(call(secret => 'u', answer => 'unavailable')), qr/^ready\|$newer\|/, 'a renewal that fails does no harm while the old one serves');
like($sql->(call(secret => 'u', answer => 'error')), qr/^ready\|$newer\|f/, 'nor is it tried again with each request');
$sql->("UPDATE cdp_data.connection_token SET expires_at = now() + interval '5 seconds' WHERE generation = $newer");
like($sql->(call(secret => 'u', token => 'short', seconds => 200)), qr/^ready\|\d+\|t\|t/, 'one that is about to end is replaced');
like($sql->(call(secret => 'u')), qr/^ready\|\d+\|f\|f/, 'a token shorter than the slack is used, not fetched for each request');
is($sql->(q{SELECT max(renew_at - fetched_at) < interval '101 seconds' AND max(renew_at - fetched_at) > interval '80 seconds' FROM cdp_data.connection_token WHERE expires_at < now() + interval '300 seconds'}), 't', 'for half its time');

# Refusals.
@all = together(8, secret => 'w', wait => 700, answer => 'refused');
is(scalar(grep { (split /\|/)[2] eq 't' } @all), 1, 'eight sessions with a wrong secret ask once');
is(scalar(grep { /^refused/ } @all), 8, 'and all know');
is($sql->(call(secret => 'w')), 'refused|0|f|f|f', 'within a minute nobody asks again by himself');
is($sql->(call(secret => 'w', answer => 'refused', again => 'true')), 'refused|0|t|f|f', 'a person may');
is($sql->(q{SELECT failures || ' ' || extract(epoch FROM retry_at - failed_at)::integer FROM cdp_data.connection_token WHERE refused}), '2 120', 'then it takes twice as long');
$sql->(q{UPDATE cdp_data.connection_token SET failures = 50 WHERE refused});
$sql->(call(secret => 'w', answer => 'refused', again => 'true'));
is($sql->(q{SELECT extract(epoch FROM retry_at - failed_at)::integer FROM cdp_data.connection_token WHERE refused}), '3600', 'an hour at most');
$sql->(q{UPDATE cdp_data.connection_token SET retry_at = now() WHERE refused});
like($sql->(call(secret => 'w')), qr/^ready\|\d+\|t\|t/, 'when the time is over it is asked again');
is($sql->(q{SELECT count(*) FROM cdp_data.connection_token WHERE refused OR failures > 0 OR retry_at IS NOT NULL}), '0', 'and a token ends it');
$sql->(q{SELECT cdp.set_secret('wecom main', 'w', 'mended')});
is($sql->(q{SELECT count(*) FROM cdp_data.connection_token WHERE connection_id = 1}), '0', 'a secret set anew drops the tokens of its connection');

# Errors, cancel and death while fetching leave no lock.
my ($rc, $out, $err) = $node->psql('postgres', call(answer => 'error', secret => 'w', token => 'x') . '; ' . q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'});
like($err, qr/the fetch failed/, 'a fetch that raises an error');
($rc, $out, $err) = $node->psql('postgres', "\\set ON_ERROR_STOP off\n" . call(answer => 'error', secret => 'w', token => 'x') . ";\nSELECT count(*) FROM pg_locks WHERE locktype = 'advisory';", on_error_stop => 0);
is($out, '0', 'leaves no lock in its session');
($rc, $out, $err) = $node->psql('postgres', "\\set ON_ERROR_STOP off\n\\set VERBOSITY verbose\nSET statement_timeout = '300ms';\n" . call(wait => 60000, secret => 'w', token => 'x') . ";\nSELECT count(*) FROM pg_locks WHERE locktype = 'advisory';", on_error_stop => 0);
like($err, qr/57014/, 'a cancel while it fetches is 57014');
is($out, '0', 'and leaves none, either');
my $dying = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', call(wait => 60000, secret => 'w', token => 'x') ], '>', \my $o, '2>', \my $e, IPC::Run::timeout(120));
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 3 AND granted}) or die 'nobody fetches';
is($sql->(q{SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE query LIKE 'CALL cdp_internal.known_token%' AND pid <> pg_backend_pid()}), 't', 'pg_stat_activity: the one that fetches holds neither xmin nor xid');
my $waiting = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', call(secret => 'w', token => 'after') ], '>', \my $after, '2>', \my $e2, IPC::Run::timeout(120));
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 3 AND NOT granted}) or die 'nobody waits';
is($sql->(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL cdp_internal.known_token%' AND backend_xmin IS NULL AND backend_xid IS NULL}), '2', 'nor does the one that waits for it');
$sql->(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 3 AND granted});
eval { IPC::Run::finish($dying) };
IPC::Run::finish($waiting);
like($after, qr/^ready\|\d+\|t\|t/, 'when it dies the next one fetches');
like(($node->psql('postgres', 'BEGIN; ' . call(token => 'x')))[2], qr/can not be fetched inside a transaction block/, 'in a transaction block it is refused');

# Somebody stored another one meanwhile, lock or not: his is taken (compare and swap).
$sql->(call(connection => 'twin', token => 'x'));
my $old = $sql->('SELECT generation FROM cdp_data.connection_token WHERE connection_id = 2');
my $slow = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', call(connection => 'twin', wait => 1500, token => 'TOKENvalueQ4', failed => $old) ], '>', \my $lost, '2>', \my $e3, IPC::Run::timeout(60));
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 3 AND granted}) or die 'nobody fetches';
my $quicker = $sql->("UPDATE cdp_data.connection_token SET generation = DEFAULT WHERE generation = $old RETURNING generation");
IPC::Run::finish($slow);
is($lost, "ready|$quicker|f|f|f\n", 'a slow fetch takes what a quicker one has stored');
is($sql->(call(connection => 'twin', token => 'x')), "ready|$quicker|f|t|f", 'and has overwritten nothing');

# What is kept of them where.
is($sql->(q{SELECT relpersistence FROM pg_class WHERE oid = 'cdp_data.connection_token'::regclass}), 'u', 'the table is unlogged');
$sql->('CHECKPOINT');
command_ok([ 'pg_dumpall', '-f', $node->basedir . '/dump.sql', '-h', $node->host, '-p', $node->port ], 'dumped');
unlike(slurp_file($node->basedir . '/dump.sql'), qr/TOKENvalue/, 'no token in a dump');
unlike(slurp_file($node->logfile), qr/TOKENvalue/, 'nor in the log at debug level');
my $bad;
find({ no_chdir => 1, wanted => sub { $bad = $_ if -f $_ && slurp_file($_) =~ /TOKENvalueQ/ } }, $node->data_dir);
is($bad, undef, 'nor in any file of the database');
my $envelope = $sql->(q{SELECT envelope FROM cdp_data.connection_token WHERE envelope LIKE 'cdp1%' ORDER BY generation DESC LIMIT 1});
$sql->('SELECT pg_switch_wal()');
$bad = undef;
find({ no_chdir => 1, wanted => sub { $bad = $_ if -f $_ && m{/pg_wal/} && index(slurp_file($_), $envelope) >= 0 } }, $node->data_dir);
is($bad, undef, 'the WAL has not even the envelope');

# The roads that fail, with a token that is a parameter, so that its text is in no statement: error, cancel, refusal.
for my $road ([ 'error', 0, '' ], [ 'ready', 60000, '-c statement_timeout=300' ], [ 'refused', 0, '' ]) {
	my ($answer, $wait, $options) = @$road;
	my $current = $sql->('SELECT max(generation) FROM cdp_data.connection_token WHERE connection_id = 2');
	local $ENV{PGOPTIONS} = $options;
	open my $script, '>', $node->basedir . '/script.sql' or die;
	print $script "CALL cdp_internal.known_token('twin', 's', :token, 7200, $wait, '$answer', $current, true)\n";
	close $script;
	IPC::Run::run([ 'pgbench', '-n', '-M', 'extended', '-t', '1', '-h', $node->host, '-p', $node->port, '-D', 'token=FAILvalueQ6', '-f', $node->basedir . '/script.sql', 'postgres' ], '>', \my $said, '2>', \my $told);
	like($told, $answer eq 'error' ? qr/the fetch failed/ : $answer eq 'ready' ? qr/statement timeout/ : qr/^(?!.*ERROR)/s, "a parameter: $answer");
	unlike($told, qr/valueQ6/, 'no error tells it');
}
unlike(slurp_file($node->logfile), qr/FAILvalueQ6/, 'nor the log at debug level');
find({ no_chdir => 1, wanted => sub { $bad = $_ if -f $_ && slurp_file($_) =~ /FAILvalueQ6/ } }, $node->data_dir);
is($bad, undef, 'nor any file of the database');

# After a crash there is none, and the next one is fetched.
$node->stop('immediate');
$node->start;
is($sql->('SELECT count(*) FROM cdp_data.connection_token'), '0', 'a crash empties the table');
like($sql->(call()), qr/^ready\|\d+\|t\|t/, 'and the next call fetches');

$node->stop;
done_testing();
