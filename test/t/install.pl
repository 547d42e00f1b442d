# Install: which files there are, that CREATE EXTENSION adopts nothing planted, and what PUBLIC may do.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('install');
$node->init;
$node->start;

my $share = `pg_config --sharedir`;
chomp $share;
my ($version) = slurp_file("$share/extension/pg_cdp.control") =~ /default_version\s*=\s*'([^']+)'/;
ok($version, "control file names a version ($version)");
ok(-f "$share/extension/pg_cdp--$version.sql", 'install script of that version is there');

# A role that may only create schemas plants one; the superuser's CREATE EXTENSION must stop, not adopt it.
for my $schema (qw(cdp cdp_internal)) {
	$node->safe_psql('postgres', "CREATE DATABASE planted_$schema");
	$node->safe_psql("planted_$schema", qq{
		CREATE ROLE planter_$schema; GRANT CREATE ON DATABASE planted_$schema TO planter_$schema;
		SET ROLE planter_$schema; CREATE SCHEMA $schema;
		CREATE FUNCTION $schema.version() RETURNS text LANGUAGE sql RETURN 'planted';});
	my ($rc, undef, $err) = $node->psql("planted_$schema", 'CREATE EXTENSION pg_cdp');
	isnt($rc, 0, "a planted schema $schema stops CREATE EXTENSION");
	like($err, qr/schema "$schema" already exists/, 'and the message says which');
}
{
	$node->safe_psql('postgres', 'CREATE DATABASE planted_path');
	$node->safe_psql('planted_path', q{
		CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
		ALTER DATABASE planted_path SET search_path = public, pg_catalog;});
	my ($rc, undef, $err) = $node->psql('planted_path', 'CREATE EXTENSION pg_cdp; CALL cdp.setup();');
	is($rc, 0, 'a hostile search_path changes nothing') or diag $err;
}

# setup() adopts nothing planted either.
for my $schema (qw(cdp_data cdp_bi)) {
	$node->safe_psql('postgres', "CREATE DATABASE setup_$schema");
	$node->safe_psql("setup_$schema", qq{CREATE EXTENSION pg_cdp; CREATE ROLE squatter_$schema;
		CREATE SCHEMA $schema AUTHORIZATION squatter_$schema});
	my ($rc, undef, $err) = $node->psql("setup_$schema", 'CALL cdp.setup()');
	isnt($rc, 0, "setup() refuses a schema $schema that belongs to another role");
}

$node->safe_psql('postgres', 'CREATE EXTENSION pg_cdp; CALL cdp.setup();');
is($node->safe_psql('postgres', 'SELECT cdp.version()'), $version, 'library and control file tell the same version');
is($node->safe_psql('postgres', q{
	CREATE ROLE stranger; SET ROLE stranger;
	SELECT string_agg(c.oid::regclass::text, ',') FROM pg_class c
	WHERE relnamespace = 'cdp_data'::regnamespace AND relkind IN ('r', 'p')
	  AND has_table_privilege(oid, 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE')}), '',
	'a role without grants can touch no table of cdp_data');
{
	my ($rc, undef, $err) = $node->psql('postgres', 'SET ROLE stranger; CREATE TABLE cdp.mine (a int)');
	like($err, qr/permission denied/, 'nor create anything in cdp');
	($rc, undef, $err) = $node->psql('postgres', 'SET ROLE stranger; CALL cdp.setup()');
	isnt($rc, 0, 'nor run setup()');
}
{
	my ($rc, undef, $err) = $node->psql('postgres', "\\i $share/extension/pg_cdp--$version.sql");
	unlike($node->safe_psql('postgres', 'SELECT 1'), qr/^$/, 'the script read by psql does no harm');
}

done_testing();
