# Secrets of connections on a server: by every documented road they go in, are used, rotated, dumped and restored, and stand in
# no log at debug level, no statistics, no activity, no dump, no WAL and no file of the database.
use strict;
use warnings;
use Test::More;
use File::Find;
use PostgreSQL::Test::Utils;
use CdpTest;

my ($one, $two) = map { my $n = $_; join '', map { sprintf '%02x', ($n * 41 + $_ * 13 + $n * $_ * $_) % 256 } 1 .. 32 } 1 .. 2;
$ENV{CDP_TEST_SECRET} = 'ENVvalueQ7';
my $node = cdp_node('connector_secret');
my $keys = key_file($node, "1 $one");
$node->append_conf('postgresql.conf', "log_statement = all\nlog_min_duration_statement = 0\nlog_parameter_max_length = 0\nlog_parameter_max_length_on_error = 0\n"
	. "shared_preload_libraries = 'pg_stat_statements, auto_explain'\npg_stat_statements.track = all\nauto_explain.log_min_duration = 0\nauto_explain.log_nested_statements = on\n");
$node->restart; # at debug3 and below a server writes its environment to the log when it starts
$node->append_conf('postgresql.conf', "log_min_messages = debug5\n");
$node->reload;
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $dir = PostgreSQL::Test::Utils::tempdir();

# What psql answers: error and output.
sub answer {
	my ($text, @more) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $text, @more);
	return "$err$out";
}
# A file with this content and mode; its path.
sub file {
	my ($name, $content, $mode) = @_;
	open my $f, '>', "$dir/$name" or die; print $f $content; close $f;
	chmod $mode, "$dir/$name";
	return "$dir/$name";
}
# One statement whose $1 is a parameter of the protocol, as drivers send it.
sub with_parameter {
	my ($text, $value, $options) = @_;
	local $ENV{PGOPTIONS} = $options // '';
	my $script = file('script.sql', "$text\n", 0644);
	my ($out, $err);
	IPC::Run::run([ 'pgbench', '-n', '-M', 'extended', '-t', '1', '-h', $node->host, '-p', $node->port, '-D', "value=$value", '-f', $script, 'postgres' ], '>', \$out, '2>', \$err);
	return $err;
}

$sql->(q{CREATE EXTENSION pg_stat_statements; SELECT cdp.add_source('wecom main'); CREATE TABLE marker (value text); INSERT INTO marker VALUES ('MARKERvalueQ0')});
$sql->(slurp_file("$ENV{CDP_TOP}/test/pgtap/connection_connector.inc"));
$sql->(q{SELECT cdp.create_connection('wecom main', 'vault', '{"account": "ww1"}')});

# The four roads.
$sql->("SELECT cdp.set_secret_from_file('wecom main', 'copied', '" . file('copied', "FILEvalueQ1\r\n", 0600) . "')");
unlink "$dir/copied";
my $followed = file('followed', "FOLLOWvalueQ2\n", 0640);
$sql->("SELECT cdp.set_secret_reference('wecom main', 'followed', 'file:$followed'), cdp.set_secret_reference('wecom main', 'env', 'env:CDP_TEST_SECRET')");
unlike(with_parameter("SELECT cdp.set_secret('wecom main', 'given', :value)", 'PARAMvalueQ3'), qr/WARNING/, 'a parameter that is not logged brings no warning');
is($sql->('SELECT count(cdp_internal.probe_secret(connection_id, name)) FROM cdp_data.connection_secret'), 4, 'all four open');

# Files that must not serve.
my %bad = (open => [ "x\n", 0604, qr/every user of the machine/ ], empty => [ "\n", 0600, qr/It is empty/ ], zero => [ "a\0b", 0600, qr/zero byte/ ],
	binary => [ "a\xff\xfe", 0600, qr/no text in the encoding/ ], long => [ 'x' x 65537, 0600, qr/It is longer/ ]);
for my $name (sort keys %bad) {
	like(answer("SELECT cdp.set_secret_from_file('wecom main', 'bad', '" . file("bad_$name", @{ $bad{$name} }[ 0, 1 ]) . "')"), $bad{$name}[2], "a file refused: $name");
}
my $inside = $node->data_dir . '/inside';
append_to_file($inside, 'x');
chmod 0600, $inside;
symlink $inside, "$dir/link";
like(answer("SELECT cdp.set_secret_from_file('wecom main', 'bad', '$dir/link')"), qr/stands in the data directory/, 'a link into the data directory');
system('mkfifo', '-m', '600', "$dir/pipe");
like(answer("SELECT cdp.set_secret_from_file('wecom main', 'bad', '$dir/pipe')"), qr/not a regular file/, 'a pipe, without waiting for it');
is($sql->("SELECT cdp.set_secret_from_file('wecom main', 'longest', '" . file('longest', 'y' x 65536 . "\r\n", 0600) . "'); SELECT cdp.drop_secret('wecom main', 'longest')"), "\nt", 'the longest one is taken');

# Failures of use, each of which says what is wrong and nothing of what is kept.
chmod 0644, $followed;
like(answer("SELECT cdp_internal.probe_secret(1, 'followed')"), qr/every user of the machine/, 'a file that was opened to all serves no more');
chmod 0600, $followed;
$sql->(q{UPDATE cdp_data.connection_secret SET envelope = overlay(envelope PLACING CASE substr(envelope, 30, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 30 FOR 1) WHERE name = 'env'});
like(answer("SELECT cdp_internal.probe_secret(1, 'env')"), qr/does not open/, 'one bit changed');
key_file($node, "2 $two");
like(answer("SELECT cdp_internal.probe_secret(1, 'given')"), qr/key 1 is not in the key file/, 'without its key nothing opens');
like(answer('CALL cdp.rotate_keys()'), qr/key 1 is not in the key file/, 'and no rotation goes on');

# Rotation.
key_file($node, "1 $one", "2 $two");
like(answer('CALL cdp.rotate_keys()'), qr/1 encrypted texts do not open/, 'a rotation tells what it left');
is($sql->('SELECT string_agg(name || cdp_internal.envelope_key(envelope), $$ $$ ORDER BY name) FROM cdp_data.connection_secret'), 'copied2 env1 followed2 given2', 'and has sealed the others with the new key');
is($sql->(q{SELECT unopened, finished_at IS NOT NULL FROM cdp_data.key_rotation ORDER BY 1 LIMIT 1}), '1|t', 'the run says so');
$sql->("SELECT cdp.set_secret_reference('wecom main', 'env', 'env:CDP_TEST_SECRET')");
key_file($node, "2 $two");
is($sql->('SELECT count(cdp_internal.probe_secret(connection_id, name)) FROM cdp_data.connection_secret'), 4, 'the old key is needed no more');

# Somebody holds a row: the run says that it is not done.
key_file($node, "1 $one", "2 $two", '3 ' . reverse $one);
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT FROM cdp_data.connection_secret WHERE name = 'given' FOR UPDATE");
like(answer('CALL cdp.rotate_keys()'), qr/the rotation is not done: 1 values are held/, 'a row that is held is told');
$holder->query_safe('COMMIT');
$holder->quit;
unlike(answer('CALL cdp.rotate_keys()'), qr/WARNING/, 'and done by the next run');
is($sql->('SELECT string_agg(DISTINCT cdp_internal.envelope_key(envelope)::text, $$ $$) FROM cdp_data.connection_secret'), '3', 'with the newest key');

# Literals are warned of; what can still be hidden is. Errors do not bring the statement into the log.
my $quiet = '-c log_statement=none -c log_min_duration_statement=-1 -c auto_explain.log_min_duration=-1';
{
	local $ENV{PGOPTIONS} = $quiet;
	like(answer("SELECT cdp.set_secret('wecom main', 'literal', 'LITERALvalueQ4')"), qr/WARNING:  the secret stands in the text of this statement/, 'a literal is warned of');
	like(answer("SELECT cdp.set_secret('wecom main', 'literal', 'LITERAL''valueQ4')"), qr/WARNING:  the secret stands/, 'with a quote in it, too');
	unlike($sql->('SELECT string_agg(query, $$ $$) FROM pg_stat_statements'), qr/valueQ4/, 'pg_stat_statements has a placeholder for a literal of SELECT');
	for my $text ("DO \$\$ BEGIN PERFORM cdp.set_secret('wecom main', 'literal', 'LITERALvalueQ4'); END \$\$", "EXPLAIN ANALYZE SELECT cdp.set_secret('wecom main', 'literal', 'LITERALvalueQ4')") {
		like(answer($text), qr/pg_stat_statements_reset/, 'what is kept of DO and EXPLAIN is told');
	}
	like($sql->('SELECT string_agg(query, $$ $$) FROM pg_stat_statements'), qr/valueQ4/, 'it is there');
	$sql->('SELECT pg_stat_statements_reset()');
	like(answer("SELECT cdp.set_secret('wecom man', 'literal', 'LITERALvalueQ4')"), qr/unknown connection/, 'an error beside a literal');
	like(answer("DO \$\$ BEGIN PERFORM cdp.set_secret('wecom man', 'literal', 'LITERALvalueQ4'); END \$\$"), qr/unknown connection/, 'in a block');
	my $session = $node->background_psql('postgres');
	$session->query("SELECT cdp.set_secret('wecom main', 'literal', 'LITERALvalueQ4')");
	unlike($sql->('SELECT string_agg(query, $$ $$) FROM pg_stat_activity'), qr/valueQ4/, 'pg_stat_activity does not show it any more');
	$session->quit;
}
like(with_parameter("SELECT cdp.set_secret('wecom main', 'given', :value)", 'PARAMvalueQ3', '-c log_statement=none -c log_min_duration_statement=1000000 -c auto_explain.log_min_duration=-1 -c log_parameter_max_length=-1'),
	qr/parameters of statements are logged/, 'parameters that are logged are warned of');

like(with_parameter("SELECT cdp.set_secret('wecom main', 'given', :value)", 'PARAMvalueQ3', '-c log_statement=none -c log_min_duration_statement=-1 -c auto_explain.log_min_duration=1000000 -c auto_explain.log_verbose=on'),
	qr/auto_explain logs plans/, 'so are plans with the parameters in them');

# Nothing of the caller's runs with the rights of the tables' owner: operators and functions planted in his search_path are not met.
$sql->(q{CREATE SCHEMA evil; CREATE FUNCTION evil.told(text, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil ran as %', current_user; END$$;
	CREATE FUNCTION evil.told(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil ran as %', current_user; END$$;
	CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.told); CREATE OPERATOR evil.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = evil.told);
	CREATE FUNCTION evil.pg_has_role(name, name, text) RETURNS boolean LANGUAGE sql RETURN true;
	CREATE ROLE member LOGIN; CREATE ROLE stranger LOGIN; GRANT USAGE ON SCHEMA evil TO PUBLIC; SELECT cdp.configure_connection('wecom main', owner => 'member')});
my $as = sub { answer("SET search_path = evil, pg_catalog; SELECT 'x'::text = 'x'::text", @_) };
like($as->(), qr/evil ran/, 'the planted operator is met by a plain statement');
for my $call ("cdp.set_secret('wecom main', 's', 'PLANTvalueQ5')", "cdp_internal.probe_secret(1, 's')", "cdp.set_secret('wecom main', 's', 'PLANTvalueQ5')") {
	local $ENV{PGOPTIONS} = '-c search_path=evil,pg_catalog';
	unlike(answer("SELECT $call", extra_params => [ '-U', 'member' ]), qr/ERROR/, "and not by $call");
	like(answer("SELECT $call", extra_params => [ '-U', 'stranger' ]), qr/permission denied to use connection/, 'which knows who asks');
}

# A dump carries envelopes; restored beside the same key file they open.
command_ok([ 'pg_dumpall', '-f', "$dir/all.sql", '-h', $node->host, '-p', $node->port ], 'dumped all');
command_ok([ 'pg_dump', '-Fc', '-f', "$dir/one.dump", $node->connstr('postgres') ], 'and one database');
$node->safe_psql('postgres', 'CREATE DATABASE again TEMPLATE template0');
command_ok([ 'pg_restore', '-d', $node->connstr('again'), "$dir/one.dump" ], 'restored');
is($node->safe_psql('again', 'SELECT count(cdp_internal.probe_secret(connection_id, name)) FROM cdp_data.connection_secret'), 6, 'every secret opens in the restored database');

# Everywhere where one could look.
my @secret = ('FILEvalueQ1', 'FOLLOWvalueQ2', 'ENVvalueQ7', 'PARAMvalueQ3', 'LITERALvalueQ4', "LITERAL'valueQ4", "LITERAL''valueQ4");
my $secrets = join '|', map { quotemeta } @secret;
my %place = (
	'log at debug level, with auto_explain' => slurp_file($node->logfile),
	'pg_stat_statements' => $sql->('SELECT string_agg(query, $$ $$) FROM pg_stat_statements'),
	'pg_stat_activity' => $sql->('SELECT string_agg(query, $$ $$) FROM pg_stat_activity'),
	'dump' => slurp_file("$dir/all.sql"),
	'audit' => $sql->('SELECT string_agg(a::text, $$ $$) FROM cdp_data.audit a'));
cmp_ok($sql->('SELECT count(*) FROM pg_stat_statements'), '>', 5, 'statistics since then are looked at');
for my $name (sort keys %place) {
	cmp_ok(length $place{$name}, '>', 50, "$name: there is something to look at");
	unlike($place{$name}, qr/$secrets/, "$name: no secret");
	unlike($place{$name}, qr/$one|$two/i, "$name: no key");
}
like($place{dump}, qr/cdp1:3:/, 'the dump has the envelopes');
$sql->('CHECKPOINT');
my (%found, $files);
find({ no_chdir => 1, wanted => sub {
	return unless -f $_ && $_ ne $inside;
	my $bytes = slurp_file($_);
	my $where = m{/pg_wal/} ? 'wal' : 'files';
	$files++;
	$found{$where}{marker} = 1 if $bytes =~ /MARKERvalueQ0/;
	$found{$where}{secret} = $_ if $bytes =~ /$secrets/;
} }, $node->data_dir);
cmp_ok($files, '>', 500, "looked into $files files of the database");
ok($found{$_}{marker}, "$_: the search finds what is there") for qw(wal files);
is($found{$_}{secret}, undef, "$_: no secret") for qw(wal files);

$node->stop;
done_testing();
