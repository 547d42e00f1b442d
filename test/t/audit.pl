# The audit beside concurrent writers, and across a dump: 32 writers in open transactions do not wait for each other nor
# hold up the sealer; rows of a long transaction are sealed when it is over; a killed session leaves a whole chain.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use CdpTest;
use IPC::Run qw(start finish pump timeout);

my $node = cdp_node('audit');
my $sql = sub { $node->safe_psql('postgres', $_[0]) };

# A session that stays: send(text) runs it and waits for its answer.
sub session {
	my %s = (in => '', out => '', err => '');
	$s{run} = start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-v', 'ON_ERROR_STOP=1' ], '<', \$s{in}, '>', \$s{out}, '2>', \$s{err}, timeout(120));
	return \%s;
}
sub say_to {
	my ($s, $text) = @_;
	$s->{out} = '';
	$s->{in} .= "$text\n\\echo ready\n";
	pump $s->{run} until $s->{out} =~ /ready/ || !$s->{run}->pumpable;
	return $s->{out};
}

$sql->("SELECT cdp.add_source('shop')");
$sql->('DELETE FROM cdp_data.audit'); # what setup() and the source left
$sql->("SELECT cdp_data.audit_write('before', 'x')");
my @writer = map { session() } 1 .. 32;
for my $i (0 .. $#writer) { # each writes while all before it are still open: any wait would never end
	say_to($writer[$i], "SET lock_timeout = '20s'; BEGIN; SELECT cdp_data.audit_write('open', 'writer $i', $i);");
}
is(join('', map { $_->{err} } @writer), '', '32 open transactions have written to the audit');
is($sql->("SELECT count(*) FROM pg_locks WHERE NOT granted"), '0', 'nobody waits');
is($sql->("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND backend_xid IS NOT NULL"), '32', 'all are open');
is($sql->("SET lock_timeout = '5s'; SELECT sealed FROM cdp.seal_audit()"), '1', 'the sealer waits for none of them and seals what is older');
is($sql->("SELECT sealed FROM cdp.seal_audit()"), '0', 'nothing of the open ones');

# The sealer holds its lock: writers go on.
my $sealer = session();
say_to($sealer, "BEGIN; SELECT cdp.seal_audit();");
my $late = session();
say_to($late, "SET lock_timeout = '5s'; SELECT cdp_data.audit_write('beside', 'a sealer');");
is($late->{err}, '', 'a writer does not wait for the sealer');
my $second = $node->psql('postgres', "SET lock_timeout = '200ms'; SELECT cdp.seal_audit()");
isnt($second, 0, 'a second sealer does');
say_to($sealer, 'COMMIT;');

# Half of them end: commit, rollback, a killed backend. The first one, with the lowest number, stays open.
say_to($writer[$_], 'COMMIT;') for 1 .. 10;
say_to($writer[$_], 'ROLLBACK;') for 11 .. 15;
my ($pid) = say_to($writer[16], 'SELECT pg_backend_pid();') =~ /(\d+)/;
$sql->("SELECT pg_terminate_backend($pid, 5000)");
is($sql->('SELECT sealed FROM cdp.seal_audit()'), '0', 'nothing is ripe while the oldest is open');
like($sql->("SELECT detail FROM cdp.audit_verify() WHERE finding = 'unsealed'"), qr/^11 rows .* 0 of them ripe/, 'and the tail is told');
say_to($writer[0], 'COMMIT;');
is($sql->('SELECT sealed FROM cdp.seal_audit()'), '11', 'the oldest is over: it and those before the next open one are sealed');
say_to($writer[$_], 'COMMIT;') for 17 .. 31;
is($sql->('SELECT sealed FROM cdp.seal_audit()'), '16', 'then all');
is($sql->("SELECT count(*) FROM cdp.audit_verify() WHERE severity <> 'info'"), '0', 'the chain is whole');
is($sql->('SELECT count(*) FROM cdp_data.audit a FULL JOIN cdp_data.audit_chain c USING (audit_id) WHERE a.audit_id IS NULL OR c.audit_id IS NULL'), '0', 'every row is in it once');
finish $_->{run} for map { $_->{in} .= "\\q\n"; $_ } grep { $_->{run}->pumpable } @writer, $sealer, $late;

# A storm: writers commit and roll back while one seals all the time; then the server is killed.
$node->append_conf('postgresql.conf', "fsync = on\nsynchronous_commit = on\n");
$node->reload;
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/write.sql", "\\set n random(1, 100)\nBEGIN;\nSELECT cdp_data.audit_write('storm', 'x', :n, '{}');\nSELECT pg_sleep(0.001 * (:n % 5));\n\\if :n < 20\nROLLBACK;\n\\else\nCOMMIT;\n\\endif\n");
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
my $storm = start([ 'pgbench', '-n', '-c', '8', '-T', '600', '-f', "$dir/write.sql", '-h', $node->host, '-p', $node->port, 'postgres' ], '>', \my $said, '2>', \my $err, timeout(300));
for my $round (1 .. 2000) { # until enough was written and sealed, however long that takes
	$sql->('SELECT cdp.seal_audit()');
	last if $round >= 25 && $sql->("SELECT count(*) FROM cdp_data.audit WHERE action = 'storm'") > 500;
	select undef, undef, undef, 0.1;
}
$node->stop('immediate');
eval { finish $storm };
$node->start;
$sql->('SELECT cdp.seal_audit()');
my $n = $sql->("SELECT count(*) FROM cdp_data.audit WHERE action = 'storm'");
cmp_ok($n, '>', 500, "a storm of $n rows, sealed meanwhile, ended by a crash");
is($sql->("SELECT count(*) FROM cdp.audit_verify() WHERE severity <> 'info'"), '0', 'leaves a whole chain');
is($sql->('SELECT count(*) FROM cdp_data.audit a WHERE NOT EXISTS (SELECT FROM cdp_data.audit_chain c WHERE c.audit_id = a.audit_id)'), '0', 'with every row');

# In another cluster, whose transactions count anew, with the same key file: whole, and it goes on.
$sql->("SELECT cdp_data.audit_write('last', 'not sealed when dumped')");
command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", $node->connstr('postgres') ], 'dumped');
my $other = cdp_node('audit_other');
$other->append_conf('postgresql.conf', "cdp.key_file = '" . $node->basedir . "/pg_cdp.key'");
$other->reload;
$other->safe_psql('postgres', 'CREATE DATABASE back TEMPLATE template0');
command_ok([ 'pg_restore', '-d', $other->connstr('back'), "$dir/dump" ], 'restored');
is($other->safe_psql('back', "SELECT string_agg(finding, ' ') FROM cdp.audit_verify()"), 'sealed unsealed', 'the chain is whole there');
$other->safe_psql('back', "SELECT cdp_data.audit_write('new', 'in the other cluster')");
is($other->safe_psql('back', 'SELECT sealed FROM cdp.seal_audit()'), '2', 'and goes on with what was not sealed and what is new');
is($other->safe_psql('back', "SELECT string_agg(finding, ' ') FROM cdp.audit_verify()"), 'sealed', 'whole again');
$other->append_conf('postgresql.conf', "cdp.key_file = '" . key_file($other) . "'");
$other->reload;
like($other->safe_psql('back', "SELECT string_agg(DISTINCT finding, ' ') FROM cdp.audit_verify() WHERE severity = 'error'"), qr/changed/, 'with another key nothing fits');

$node->stop;
$other->stop;
done_testing();
