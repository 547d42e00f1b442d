# Runs with every kind of failure, with a server that logs whatever it can: afterwards no secret and no token stands in the log, in
# activity, statistics, the history of pg_cron, a dump, the WAL, any table or any file of the database.
use strict;
use warnings;
use Test::More;
use File::Find;
use IPC::Run qw(start finish timeout);
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use CdpTest;
use MockVendor;

plan skip_all => 'IO::Socket::SSL is not installed, so no vendor speaks TLS' if !eval { require IO::Socket::SSL::Utils; 1 };
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = cdp_node('sync_secret');
my $mock = MockVendor->new(dir => $dir, contacts => 60, page => 20, staff => 2);
my $cron = `pg_config --sharedir` =~ /(\S+)/ && -e "$1/extension/pg_cron.control";
$node->append_conf('postgresql.conf', MockVendor::conf($mock) . "log_statement = all\nlog_min_duration_statement = 0\nlog_lock_waits = on\nlog_replication_commands = on\nlog_parameter_max_length_on_error = 1000\n"
	. "wal_level = logical\nlog_error_verbosity = verbose\npg_stat_statements.track = all\nauto_explain.log_min_duration = 0\nauto_explain.log_nested_statements = on\nauto_explain.log_analyze = on\nauto_explain.log_verbose = on\n"
	. "shared_preload_libraries = 'pg_stat_statements, auto_explain" . ($cron ? ", pg_cron'\ncron.database_name = 'postgres'\ncron.log_statement = on\ncron.host = '" . $node->host . "'" : "'") . "\n");
$node->restart;
$node->append_conf('postgresql.conf', "log_min_messages = debug5\ndebug_print_plan = on\n"); # from here: a server that starts at this level writes its environment down
$node->reload;
sub sql { return $node->safe_psql('postgres', $_[0]) }
sql('CREATE EXTENSION pg_stat_statements');
sql('CREATE EXTENSION pg_cron') if $cron;
sql("CREATE TABLE public.marker AS SELECT 'MARKERvalueQ0'::text AS value");

# Secrets come from files, so that no statement has them; one of each kind of auth.
my %secret = (right => $mock->{set}{secret}, wrong => 'MOCKSECRET-of-another-app', odd => 'MOCKSECRET /+&="\'\\%41x');
for my $name (keys %secret) {
	open my $f, '>', "$dir/$name" or die $!; print $f $secret{$name}; close $f;
	chmod 0600, "$dir/$name";
}
my $made = 0;
sub connection {
	my ($name, $with, %option) = @_;
	my $text = $mock->connect_sql($name, connector => 'mock_' . ($name =~ s/\W+/_/gr), %option);
	$text =~ s/SELECT cdp\.set_secret\(('[^']*'), ('[^']*'), .*?\);\n/SELECT cdp.set_secret_from_file($1, $2, '$dir\/$with');\n/ or die $text;
	sql($text);
	$made++;
}
# A run beside which activity is looked at; what the client was told is kept.
my ($seen, $told) = ('', '');
sub run {
	my ($name, $set) = @_;
	my ($out, $err) = ('', '');
	my $run = start([ 'psql', '-qXAt', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres') . ' application_name=pulls' ], '<', \(($set // '') . "SET client_min_messages = debug5;\nCALL cdp.sync('$name');\n"), '>', \$out, '2>', \$err, timeout(120));
	for (1 .. 3) { $run->pump_nb; $seen .= sql('SELECT string_agg(a::text, $$ $$) FROM pg_stat_activity a') }
	eval { finish $run };
	$told .= "$out\n$err\n";
}
my @some = qw(follow_users contacts);
sql(q{SELECT cron.schedule('* * * * *', 'CALL cdp.sync_due()')}) if $cron;
my $contacts = '/cgi-bin/externalcontact/batch/get_by_user';
connection('right', 'right', streams => \@some);
$mock->rule(path => $contacts, echo => 1, skip => 1);
run('right');
connection('expires', 'right', streams => \@some);
$mock->rule(path => $contacts, expire => 1, echo => 1, skip => 1);
run('expires');
connection('wrong', 'wrong', streams => \@some);
run('wrong') for 1 .. 2;
sql(q{DELETE FROM cdp_data.connection_token WHERE refused}); # refused is one app alone; the next one has another
connection('odd', 'odd', streams => \@some);
$mock->rule(path => '/cgi-bin/gettoken', echo => 1, times => 1);
run('odd');
my @fault = ({ status => 500, body => 'no' }, { status => 302, redirect => 'http://169.254.169.254/' }, { redirect => "$mock->{base}/x?access_token=MOCKTOKENinaredirect" }, { truncate => 1 }, { close => 1 }, { reset => 1 },
	{ raw => 'ff00fe' }, { code => 40014, times => 0 }, { code => 45009 }, { code => -1 }, { code => 60020 }, { code => 99999, message => 'who are you' }, { status => 200, body => '<html>' });
for my $n (0 .. $#fault) {
	$mock->forget;
	connection("fault $n", 'right', streams => \@some);
	$mock->rule(path => $contacts, times => 0, %{ $fault[$n] });
	run("fault $n", "SET statement_timeout = '3s';\n");
}
$mock->forget;
for my $auth (qw(header basic oauth hmac)) {
	connection("shop $auth", 'right', product => 'rest', auth => $auth, streams => ['events']);
	$mock->rule(path => '/v1/events', echo => 1);
	$mock->rule(path => '/v1/events', status => 500, body => 'no', skip => 1) if $auth ne 'hmac';
	run("shop $auth");
}
connection('hangs', 'right', streams => \@some);
$mock->rule(path => $contacts, stall => 1);
run('hangs', "SET statement_timeout = '1s';\n");
connection('login hangs', 'odd', streams => \@some);
sql('DELETE FROM cdp_data.connection_token');
$mock->rule(path => '/cgi-bin/gettoken', stall => 1);
run('login hangs', "SET statement_timeout = '1s';\n");
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')}) or diag 'pg_cron ran nothing' if $cron;

# ---- everywhere
my @word = (values(%secret), @{ $mock->state->{tokens} }, 'MOCKTOKENinaredirect', 'MOCKTOKENinacookie', encode_base64("mock-client:$secret{right}", ''));
my @form = map { my $w = $_; my $q = $w; $q =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ge; ($w, $q, lc $q, unpack('H*', $w), encode_base64($w, '') =~ s/.{3}=*\z//r) } @word;
my $words = join '|', map { quotemeta } sort { length $b <=> length $a } grep { length > 12 } @form;
# A word of them with what stands around it.
sub around { return $_[0] =~ /$words/ ? substr $_[0], $-[0] > 80 ? $-[0] - 80 : 0, 200 : undef }
cmp_ok(scalar @{ $mock->state->{tokens} }, '>=', 2, 'tokens were handed out: ' . @{ $mock->state->{tokens} });
cmp_ok(sql('SELECT count(*) FROM cdp_data.sync_run'), '>=', $made, "runs of $made connections");
is(sql(q{SELECT count(*) > 300 FROM cdp_data.raw_record}), 't', 'something landed');
command_ok([ 'pg_dumpall', '-f', "$dir/all.sql", '-h', $node->host, '-p', $node->port ], 'dumped');
my %place = (
	'log at debug level' => slurp_file($node->logfile),
	'what clients were told' => $told,
	'pg_stat_activity while it ran' => $seen,
	'pg_stat_statements' => sql('SELECT string_agg(query, $$ $$) FROM pg_stat_statements'),
	'dump' => slurp_file("$dir/all.sql"),
	'runs and calls' => sql('SELECT (SELECT string_agg(r::text, $$ $$) FROM cdp_data.sync_run r) || (SELECT string_agg(k::text, $$ $$) FROM cdp_data.sync_call k)'),
	'bodies of pages' => sql(q{SELECT string_agg(encode(body, 'escape'), ' ') FROM cdp_data.raw_page}));
$place{'history of pg_cron'} = sql('SELECT string_agg(d::text, $$ $$) FROM cron.job_run_details d') if $cron;
for my $name (sort keys %place) {
	cmp_ok(length $place{$name}, '>', 50, "$name: there is something to look at");
	is(around($place{$name}), undef, "$name: neither secret nor token");
}
note 'pg_cron is not installed, so its history is not looked at' if !$cron;
sql('CHECKPOINT');
my (%found, $files);
find({ no_chdir => 1, wanted => sub {
	return unless -f $_;
	my $bytes = slurp_file($_);
	my $where = m{/pg_wal/} ? 'wal' : 'files';
	$files++;
	$found{$where}{marker} = 1 if $bytes =~ /MARKERvalueQ0/;
	my $word = around($bytes);
	$found{$where}{word} //= "$_: $word" if defined $word;
} }, $node->data_dir);
cmp_ok($files, '>', 500, "looked into $files files of the database");
ok($found{$_}{marker}, "$_: the search finds what is there") for qw(wal files);
is($found{$_}{word}, undef, "$_: neither secret nor token") for qw(wal files);

$mock->stop;
$node->stop;
done_testing();
