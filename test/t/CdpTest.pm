# Shared by the TAP tests: a node with the extension, some data loaded the way a user loads it, and what to compare.
package CdpTest;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
our @EXPORT = qw(cdp_node key_file fill fingerprint contents);

# A key file beside the node's data, with the lines given or one new key; returns its path.
sub key_file {
	my ($node, @lines) = @_;
	my $path = $node->basedir . '/pg_cdp.key';
	@lines = ('1 ' . join '', map { sprintf '%02x', int rand 256 } 1 .. 32) if !@lines;
	unlink $path;
	my $old = umask 0077;
	append_to_file($path, join '', map { "$_\n" } @lines);
	umask $old;
	return $path;
}

# A started node; postgres database holds the extension and setup() was called.
sub cdp_node {
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(%option);
	$node->append_conf('postgresql.conf', "timezone = 'UTC'\ncdp.key_file = '" . key_file($node) . "'\n");
	$node->start;
	$node->safe_psql('postgres', q{CREATE EXTENSION pg_cdp; CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY')});
	return $node;
}

# Loads touches and conversions of 40 customers over three months (so over several partitions), in one load.
sub fill {
	my ($node, $db, $rows, $tag) = @_;
	$rows //= 2000;
	$tag  //= 'a';
	return $node->safe_psql($db, qq{
		CREATE TABLE public.staging_$tag AS
		SELECT '$tag' || i AS source_key, timestamptz '2026-02-01 00:00+00' + i * interval '1 hour' AS occurred_at,
		  'email' AS identifier_type, 'person' || i % 40 || '\@example.org' AS identifier,
		  CASE WHEN i % 9 = 0 THEN 'purchase' ELSE 'click' END AS kind,
		  (ARRAY['weibo', 'douyin', 'google', 'newsletter'])[1 + i % 4] AS source,
		  (ARRAY['social', 'social', 'cpc', 'email'])[1 + i % 4] AS medium,
		  CASE WHEN i % 9 = 0 THEN 10.5 + i % 7 END AS value
		FROM generate_series(1, $rows) AS i;
		INSERT INTO cdp_data.source (name) VALUES ('shop') ON CONFLICT DO NOTHING;
		SELECT cdp.load_touchpoints('shop', 'public.staging_$tag');
		DROP TABLE public.staging_$tag;});
}

# One line for every object of our schemas, in words that do not depend on OIDs: equal databases give equal text.
sub fingerprint {
	my ($node, $db) = @_;
	return $node->safe_psql($db, slurp_file("$ENV{CDP_TOP}/test/t/fingerprint.sql"));
}

# Row count and checksum of every table of cdp_data, in any order of rows; $except names tables to leave out. Unlogged ones
# hold what is fetched again: a crash empties them, a standby can not read them.
sub contents {
	my ($node, $db, $except) = @_;
	my $tables = $node->safe_psql($db, q{
		SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'cdp_data'::regnamespace
		  AND relkind IN ('r', 'p') AND relpersistence = 'p' AND NOT relispartition ORDER BY relname});
	my $out = '';
	for my $table (split /\n/, $tables) {
		next if $except && $table =~ $except;
		$out .= "$table " . $node->safe_psql($db,
			"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM $table t") . "\n";
	}
	return $out;
}

1;
