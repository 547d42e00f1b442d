# Living beside pgaudit and pgcrypto, as docs/audit.md tells: both audits see what they are for, no personal value is in the
# log, and pgcrypto agrees with our digests. Skipped where pgaudit is not installed.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use CdpTest;

my $lib = `pg_config --pkglibdir`;
chomp $lib;
plan skip_all => 'pgaudit is not installed' if !-f "$lib/pgaudit.so";

my $node = cdp_node('recipe');
my $key = 'a1' x 16 . '3c' x 16;
key_file($node, "1 $key");
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pgaudit'
pgaudit.log = 'ddl, role, write'
pgaudit.log_parameter = off
pgaudit.log_catalog = off
log_parameter_max_length = 0
CONF
$node->restart;
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $log = sub { slurp_file($node->logfile) };
$sql->('CREATE EXTENSION pgaudit; CREATE EXTENSION pgcrypto');

# What goes on in a day.
$sql->('DROP EXTENSION pg_cdp CASCADE; CREATE EXTENSION pg_cdp; CALL cdp.setup()');
like($log->(), qr/AUDIT: SESSION.*,DDL,DROP EXTENSION/, 'pgaudit tells of the extension itself, which our audit can not');
my $dir = PostgreSQL::Test::Utils::tempdir();
open my $csv, '>', "$dir/people.csv"; print $csv "plainperson$_\@example.org,PLAINCITY\n" for 1 .. 20; close $csv;
$sql->("SELECT cdp.add_source('shop'); CREATE TABLE people (email text, city text)");
$node->psql('postgres', "\\copy people FROM '$dir/people.csv' CSV");
$sql->("SELECT cdp.load_customers('shop', 'people')");
is($sql->("SELECT object FROM cdp_data.audit WHERE action = 'load'"), 'load 1', 'our audit tells of the load');
like($log->(), qr/AUDIT: SESSION.*,WRITE,INSERT,.*cdp_data/, 'pgaudit of the statements inside');
$sql->("BEGIN; SELECT cdp.forbid_link(1, 2); ROLLBACK");
is($sql->("SELECT count(*) FROM cdp_data.audit WHERE action = 'forbid'"), '0', 'what was taken back never happened to ours');
like($log->(), qr/AUDIT: SESSION.*INSERT INTO cdp_data.link/, 'pgaudit has logged it');
unlike($log->(), qr/plainperson|PLAINCITY/, 'no personal value is in the log');
unlike($log->(), qr/$key/, 'nor the key');

# Who reads a table past our functions.
$sql->("CREATE ROLE auditor; GRANT SELECT ON cdp_data.identifier TO auditor; ALTER SYSTEM SET pgaudit.role = 'auditor'; SELECT pg_reload_conf()");
$node->poll_query_until('postgres', "SELECT current_setting('pgaudit.role') = 'auditor'");
$sql->('SELECT count(*), max(last_seen) FROM cdp_data.identifier');
like($log->(), qr/AUDIT: OBJECT.*READ,SELECT,TABLE,cdp_data.identifier/, 'pgaudit.role tells who reads identifiers past our functions');

# The chain holds, and pgcrypto computes the same digests from the same key.
$sql->('SELECT cdp.seal_audit()');
is($sql->("SELECT count(*) FROM cdp.audit_verify() WHERE severity <> 'info'"), '0', 'our chain is whole');
is($sql->("SELECT cdp_internal.keyed_digest('suppression', '2:x\@example.org')"),
	$sql->("SELECT '\\x0001'::bytea || hmac('2:x\@example.org'::bytea, hmac('pg_cdp suppression'::bytea, decode('$key', 'hex'), 'sha256'), 'sha256')"), 'pgcrypto agrees with a digest');
is($sql->("SELECT cdp_internal.known_hmac('Jefe', 'x') = hmac('x'::bytea, 'Jefe'::bytea, 'sha256')"), 't', 'and with the bare function');
is($sql->("SELECT convert_from(pgp_sym_decrypt_bytea(pgp_sym_encrypt_bytea('both'::bytea, 'k'), 'k'), 'UTF8') || cdp.decrypt_text(cdp.encrypt_text(' work', 'c'), 'c')"), 'both work', 'both encrypt side by side');

$node->stop;
done_testing();
