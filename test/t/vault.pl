# Keys on a server: every bad key file is refused and stops what needs a key; neither keys nor values reach logs, statistics
# or dumps; rotation goes on after a kill and beside writers.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use CdpTest;
use IPC::Run qw(start finish timeout);

my ($one, $two, $three) = map { my $n = $_; join '', map { sprintf '%02x', ($n * 37 + $_ * 11 + $n * $_ * $_) % 256 } 1 .. 32 } 1 .. 3;
my $node = cdp_node('vault');
my $file = key_file($node, "1 $one");
$node->append_conf('postgresql.conf', "log_statement = all\nlog_min_messages = debug1\nlog_parameter_max_length = 0\nshared_preload_libraries = 'pg_stat_statements'\n");
$node->restart;
$node->safe_psql('postgres', "CREATE EXTENSION pg_stat_statements");
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $dir = PostgreSQL::Test::Utils::tempdir();

# What psql answers: the error, or the output.
sub answer {
	my ($text, @more) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $text, @more);
	return $rc ? $err : $out;
}
# The file with other content, or mode; what a digest says then.
sub with_file {
	my ($name, $mode, $content, $expected) = @_;
	unlink $file;
	open my $f, '>', $file or die; print $f $content; close $f;
	chmod $mode, $file;
	like(answer("SELECT cdp_internal.keyed_digest('x', 'y')"), $expected, "key file: $name");
}
like(answer("SELECT cdp_internal.keyed_digest('x', 'y')"), qr/^\\x0001/, 'a good key file serves');
with_file('readable by the group', 0640, "1 $one\n", qr/can not be used.*0640/s);
with_file('readable by all', 0604, "1 $one\n", qr/can not be used.*0604/s);
with_file('empty', 0600, '', qr/No key is in it/);
with_file('comments only', 0600, "# 1 $one\n\n", qr/No key is in it/);
with_file('a short key', 0600, "1 $one\n2 abcd\n", qr/Line 2: the key does not have 64 hex digits/);
with_file('a long key', 0600, "1 ${one}00\n", qr/Line 1: the key does not have 64/);
with_file('no hex', 0600, '1 ' . 'g' x 64 . "\n", qr/Line 1: the key does not have 64/);
with_file('key 0', 0600, "0 $one\n", qr/Line 1: it does not begin with a key number/);
with_file('key 32768', 0600, "32768 $one\n", qr/Line 1: it does not begin with a key number/);
with_file('key 99999999999', 0600, "99999999999 $one\n", qr/Line 1: it does not begin with a key number/);
with_file('no number', 0600, "$one\n", qr/Line 1: it does not begin with a key number/);
with_file('a number twice', 0600, "1 $one\n1 $two\n", qr/Line 2: its key number comes twice/);
with_file('zeros', 0600, '1 ' . '0' x 64 . "\n", qr/one byte repeated/);
with_file('zero bytes', 0600, "1 $one\n\0\0\0\n", qr/Line 2/);
with_file('huge', 0600, "# \n" x 40000 . "1 $one\n", qr/more than 65536 bytes/);
with_file('too many keys', 0600, join('', map { "$_ $one\n" } 1 .. 257), qr/more than 256 keys/);
with_file('CRLF, blanks, capitals, order', 0600, "  2\t" . uc($two) . " # new\r\n1 $one\r\n", qr/^\\x0002/);
is($sql->('SELECT cdp_internal.key_ids()'), '{1,2}', 'keys are sorted by number');
unlink $file;
like(answer("SELECT cdp_internal.keyed_digest('x', 'y')"), qr/can not be opened/, 'key file: missing');
mkdir $file;
like(answer("SELECT cdp_internal.keyed_digest('x', 'y')"), qr/not a regular file/, 'key file: a directory');
rmdir $file;
system('mkfifo', '-m', '600', $file);
like(answer("SELECT cdp_internal.keyed_digest('x', 'y')"), qr/not a regular file/, 'key file: a pipe, without waiting for it');
unlink $file;
key_file($node, "1 $one");
like(answer("SET cdp.key_file = 'relative.key'; SELECT cdp_internal.keyed_digest('x', 'y')"), qr/does not begin at the root/, 'key file: a relative path');
my $inside = $node->data_dir . '/inside.key';
append_to_file($inside, "1 $one\n");
chmod 0600, $inside;
like(answer("SET cdp.key_file = '$inside'; SELECT cdp_internal.keyed_digest('x', 'y')"), qr/stands in the data directory/, 'key file: in the data directory');
symlink $inside, "$dir/link";
like(answer("SET cdp.key_file = '$dir/link'; SELECT cdp_internal.keyed_digest('x', 'y')"), qr/stands in the data directory/, 'also by a link');
unlink $inside;
like(answer("SET cdp.key_file = ''; SELECT cdp_internal.keyed_digest('x', 'y')"), qr/no key file is set/, 'key file: none');

# Only a superuser says which file, also before the library is loaded; nobody else sees its name.
$sql->('CREATE ROLE clerk LOGIN');
append_to_file("$dir/own", "9 $two\n");
like(answer("SET cdp.key_file = '$dir/own'; SELECT cdp.version(); SHOW cdp.key_file", extra_params => [ '-U', 'clerk' ]), qr/must be (superuser|a superuser)|permission denied/, 'a role may not look');
like(answer("SET cdp.key_file = '$dir/own'; SELECT cdp.version(); RESET SESSION AUTHORIZATION; SELECT cdp_internal.key_ids()", extra_params => [ '-U', 'clerk' ]), qr/\{1\}/, 'nor set it before the library is there');
like(answer("SELECT cdp.version(); SET cdp.key_file = '$dir/own'", extra_params => [ '-U', 'clerk' ]), qr/permission denied to set parameter/, 'nor after');
chmod 0600, "$dir/own";
$sql->("ALTER DATABASE postgres SET cdp.key_file = '$dir/own'");
is(answer('SELECT cdp_internal.key_ids()'), '{9}', 'a database may have a file of its own');
$sql->('ALTER DATABASE postgres RESET cdp.key_file');

# Suppressed people: without their key nothing comes in, by any road.
$sql->("SELECT cdp.add_source('shop'); SELECT * FROM cdp.identify('shop', '{\"email\": \"gone\@example.org\"}');
  SELECT cdp_internal.suppress(ARRAY(SELECT identifier_id FROM cdp_data.identifier), 'test'); DELETE FROM cdp_data.identifier;
  CREATE TABLE t AS SELECT 'k' AS source_key, now() AS occurred_at, 'email' AS identifier_type, 'new\@example.org' AS identifier, 'visit' AS kind;
  CREATE TABLE c AS SELECT 'new\@example.org' AS email; CREATE TABLE e AS SELECT 'e' AS source_key, now() AS occurred_at, 'visit' AS kind, 'new\@example.org' AS email;");
key_file($node, "2 $two");
for my $road ("cdp.identify('shop', '{\"email\": \"new\@example.org\"}')", "cdp.track('shop', 'visit', '{\"email\": \"new\@example.org\"}')",
	"cdp.ingest('shop', '{\"type\": \"identify\", \"traits\": {\"email\": \"new\@example.org\"}}')",
	"cdp.load_touchpoints('shop', 't')", "cdp.load_customers('shop', 'c')", "cdp.load_events('shop', 'e')") {
	my ($name) = $road =~ /cdp\.(\w+)/;
	like(answer("\\set VERBOSITY verbose\nSELECT * FROM $road"), qr/55000.*key 1 is not in the key file/, "$name: without the key of suppressed people nothing is taken in");
}
is($sql->('SELECT count(*) FROM cdp_data.identifier'), '0', 'nothing came in');
is($sql->("SELECT finding FROM cdp.health() WHERE area = 'keys'"), 'key_missing', 'health tells');
key_file($node, "2 $two", "1 $one");
is($sql->("SELECT status FROM cdp.identify('shop', '{\"email\": \"gone\@example.org\"}')"), 'suppressed', 'with it the person is refused, though a newer key is there');

# Encrypted values by a load whose data never stand in SQL text, then every place where one could look.
key_file($node, "1 $one");
$sql->("SELECT cdp.add_attribute('id_card', 'text', 'most_frequent'); SELECT cdp.encrypt_attribute('id_card'); CREATE TABLE people (user_id text, id_card text)");
open my $csv, '>', "$dir/people.csv"; print $csv "user$_,PLAINVALUE$_\n" for 1 .. 3000; close $csv;
$node->psql('postgres', "\\copy people FROM '$dir/people.csv' CSV");
$sql->("SELECT cdp.load_customers('shop', 'people'); SELECT cdp.refresh_profiles(); DROP TABLE people;");
is($sql->("SELECT cdp.reveal(cdp.customer_of('user_id', 'user77'), 'id_card')"), 'PLAINVALUE77', 'reveal tells a value that was loaded');
$sql->("BEGIN; SELECT cdp.reveal(cdp.customer_of('user_id', 'user78'), 'id_card'); SELECT cdp.customer_360('user_id', 'user78'); ROLLBACK");
my $row = $sql->("SELECT cdp.customer_of('user_id', 'user78')");
is($sql->("SELECT count(*) FROM cdp_data.audit WHERE customer_id = $row AND action IN ('reveal', 'read')"), '0', 'a read that is rolled back leaves no row');
like(slurp_file($node->logfile), qr/pg_cdp: reveal attribute id_card of customer $row by .*pg_cdp: read customer_360 of customer $row by /s, 'but a line in the server log');
answer("SELECT cdp_internal.open_attribute(1000, 'cdp1:1:AAAA')");
answer("SELECT cdp_internal.keyed_digest('x', 'y', 99)");
command_ok([ 'pg_dumpall', '-f', "$dir/dump.sql", '-h', $node->host, '-p', $node->port ], 'dumped');
for my $place ([ 'dump', slurp_file("$dir/dump.sql") ], [ 'log with log_statement=all', slurp_file($node->logfile) ],
	[ 'pg_stat_statements', $sql->('SELECT query FROM pg_stat_statements') ]) {
	my ($name, $text) = @$place;
	cmp_ok(length $text, '>', 1000, "$name: there is something to look at");
	unlike($text, qr/$one|$two|\Q@{[pack 'H*', $one]}\E/i, "$name: no key");
	unlike($text, qr/PLAINVALUE/, "$name: no value") ;
}
like(slurp_file("$dir/dump.sql"), qr/cdp1:1:/, 'the dump has the envelopes');

# Rotation, killed in the middle and run again; beside it a writer says new things about the same people.
# Not even the first rotation takes what was sealed with a key that is missing for text of a source.
key_file($node, "2 $two");
like(answer('CALL cdp.rotate_keys()'), qr/key 1 is not in the key file/, 'without the key of sealed values no rotation goes on');
key_file($node, "1 $one", "2 $two");
is($sql->("SELECT cdp.reveal(cdp.customer_of('user_id', 'user77'), 'id_card')"), 'PLAINVALUE77', 'and none of them was touched');
key_file($node, "1 $one");
$sql->('CALL cdp.rotate_keys()'); # sealed as a whole once: what does not open from here on was damaged
key_file($node, "1 $one", "2 $two");
is($sql->("SELECT finding FROM cdp.health() WHERE area = 'vault'"), 'rotation_due', 'health tells that a rotation is due');
$sql->("CREATE TABLE own (id integer, secret text, token text); INSERT INTO own SELECT n, cdp.encrypt_text('own' || n, 'own.secret'), cdp.encrypt_text('token' || n % 5, 'own.token', true) FROM generate_series(1, 2000) n;
  SELECT cdp.add_encrypted_column('own', 'secret', 'own.secret'), cdp.add_encrypted_column('own', 'token', 'own.token', true)");
key_file($node, "1 $one", "2 $two", "3 $three");
# One value and one text of our own are damaged: they stay as they are, are told, and stop nothing.
$sql->(q{UPDATE cdp_data.attribute_value SET value = overlay(value PLACING CASE substr(value, 21, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 21 FOR 1) WHERE identifier_id = (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'user2999');
  UPDATE own SET secret = overlay(secret PLACING CASE substr(secret, 21, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 21 FOR 1) WHERE id = 1999});
my $rotate = start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', 'CALL cdp.rotate_keys(1)' ], '>', \my $out, '2>', \my $err, timeout(120));
$node->poll_query_until('postgres', 'SELECT count(*) > 0 AND max(block) > 5 FROM cdp_data.key_rotation WHERE finished_at IS NULL') or die 'no rotation';
$node->stop('immediate');
eval { finish $rotate };
$node->start;
my $left = $sql->('SELECT count(*) FROM cdp_data.attribute_value WHERE cdp_internal.envelope_key(value) = 1');
my $done = $sql->('SELECT count(*) FROM cdp_data.attribute_value WHERE cdp_internal.envelope_key(value) = 3');
cmp_ok($done, '>', 0, "killed in the middle: $done values sealed anew");
is($left + $done, 3000, "and the other $left as they were");
my $writer = start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-v', 'ON_ERROR_STOP=1', '-c',
	q{DO $$ BEGIN FOR n IN 1 .. 400 LOOP PERFORM cdp.identify('shop', jsonb_build_object('user_id', 'user' || n), jsonb_build_object('id_card', 'LATER' || n)); COMMIT; END LOOP; END $$} ],
	'>', \my $wrote, '2>', \my $complaint, timeout(120));
$sql->('CALL cdp.rotate_keys(7)');
finish $writer;
is($complaint, '', 'a writer went on beside the next run');
is($sql->('SELECT count(*) FILTER (WHERE cdp_internal.envelope_key(value) = 3) || $$ $$ || count(*) FROM cdp_data.attribute_value'), '3399 3400', 'every value that opens has the new key');
is($sql->(q{SELECT count(*) FROM cdp_data.profile WHERE personal_attributes ->> 'id_card' !~ '^cdp1:3:'}), '1', 'so have the profiles');
is($sql->('SELECT count(*) FILTER (WHERE cdp_internal.envelope_key(secret) = 3) || $$ $$ || count(*) FILTER (WHERE cdp_internal.envelope_key(token) = 3) || $$ $$ || count(DISTINCT token) FROM own'), '1999 2000 5', 'and columns of our own; equal ones stay equal');
is($sql->("SELECT detail FROM cdp.health() WHERE finding = 'not_opened'") =~ /^2 encrypted texts/, 1, 'what does not open is told');
key_file($node, "3 $three");
is($sql->(q{SELECT count(*) FROM own WHERE id <> 1999 AND cdp_internal.open_text(secret, 'text own.secret') = 'own' || id}), '1999', 'the old keys are needed no more for them');
is($sql->(q{SELECT count(*) FROM cdp_data.attribute_value v WHERE cdp_internal.open_or_null(v.value, 'attribute ' || v.attribute_id) ~ '^(PLAINVALUE|LATER)'}), '3399', 'nor for the attributes');
is($sql->("SELECT string_agg(finding, ' ') FROM cdp.health() WHERE area IN ('vault', 'keys') AND finding <> 'not_opened'"), 'key_missing', 'but for the digests of suppressed people, which health tells');

$node->stop;
done_testing();
