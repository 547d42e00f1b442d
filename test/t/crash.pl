# Crash: the server dies in the middle of a load, with fsync on; nothing half-loaded is left and the load can be repeated.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = cdp_node('crash');
$node->append_conf('postgresql.conf', "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\nrestart_after_crash = off\n");
$node->restart;
fill($node, 'postgres', 1000);
$node->safe_psql('postgres', 'CHECKPOINT');
my $before = contents($node, 'postgres');

$node->safe_psql('postgres', q{
	CREATE TABLE public.big AS
	SELECT 'big' || i AS source_key, timestamptz '2026-05-01 00:00+00' + i * interval '1 second' AS occurred_at,
	  'email' AS identifier_type, 'crash' || i % 20000 || '@example.org' AS identifier, 'click' AS kind, 'weibo' AS source
	FROM generate_series(1, 100000) AS i});
# The load has written everything, its transaction is still open: that is where the crash hits it.
my $out = '';
my $in = "BEGIN;\nSELECT (cdp.load_touchpoints('shop', 'public.big')).inserted;\n\\echo loaded\nSELECT pg_sleep(60);\nCOMMIT;\n";
my $timer = IPC::Run::timeout(180);
my $load = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>&1', $timer);
$load->pump until $out =~ /loaded|ERROR/;
like($out, qr/100000\nloaded/, 'the load is done but not committed');
$node->stop('immediate');
eval { $load->finish };

$node->start;
is(contents($node, 'postgres'), $before, 'after the restart not one of its rows is there');
is($node->safe_psql('postgres', q{SELECT count(*) FROM cdp_data.load WHERE state = 'running'}), 0, 'and no load is left running');
is($node->safe_psql('postgres', q{SELECT (cdp.load_touchpoints('shop', 'public.big')).inserted}), 100000, 'the load can be repeated');

# Now a crash right after a commit: everything is there.
my $after = contents($node, 'postgres', qr/setup_step|setting/);
$node->stop('immediate');
$node->start;
is(contents($node, 'postgres', qr/setup_step|setting/), $after, 'a committed load survives a crash');
$node->safe_psql('postgres', 'CALL cdp.setup()');
is(contents($node, 'postgres', qr/setup_step|setting/), $after, 'setup() after a crash finds nothing to do');

# A crash in the middle of setup() leaves a database that setup() can finish.
$node->safe_psql('postgres', 'CREATE DATABASE half');
$node->safe_psql('half', 'CREATE EXTENSION pg_cdp');
my $setup = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('half'), '-c', 'CALL cdp.setup()' ], '>', \my $ignored, '2>&1', $timer);
usleep(60_000);
$node->stop('immediate');
eval { $setup->finish };
$node->start;
$node->safe_psql('half', q{CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY')});
is(fingerprint($node, 'half'), fingerprint($node, 'postgres'), 'a setup() that was cut off is finished by the next');

done_testing();
