# Update: a database brought up from an older release equals one made fresh, and keeps its rows.
#
# Older releases are install scripts frozen in test/old/pg_cdp--VERSION.sql when VERSION is released; each must have
# its sql/delta/VERSION--CURRENT.sql. Beside them stands a synthetic release 0.0.9, built here from the present parts:
# other comments and plpgsql bodies, a function that is gone today, and without the last step of setup().
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = $ENV{CDP_TOP};
my $share = `pg_config --sharedir`;
chomp $share;
my ($current) = slurp_file("$share/extension/pg_cdp.control") =~ /default_version\s*=\s*'([^']+)'/;

# Writes $text to $file, which stands in the private server or in this test's copy of the checkout.
sub spew {
	my ($file, $text) = @_;
	open my $out, '>', $file or die "$file: $!";
	print $out $text;
	close $out or die "$file: $!";
}

# The synthetic release: a copy of the parts, altered, built by the project's own build_sql.sh.
sub build_synthetic {
	my $old = "$top/older";
	system_or_bail('sh', '-c', "rm -rf $old && mkdir $old && cp -r $top/sql $top/tools $old/");
	for my $file (glob "$old/sql/{again,setup}/*.sql") {
		my $sql = slurp_file($file);
		$sql =~ s/(^COMMENT ON [^\n']*?IS\s+')/$1older: /mg;
		$sql =~ s/(LANGUAGE plpgsql[^\$;]*AS \$\w*\$)/$1 -- older\n/g if $file =~ m{/again/};
		spew($file, $sql);
	}
	my ($last) = reverse sort glob "$old/sql/setup/*.sql";
	my $setup = slurp_file($last);
	$setup =~ s/.*\K^-- step: .*//ms;
	spew($last, $setup);
	spew("$old/sql/again/99_retired.sql", "-- Gone in later releases.\nCREATE OR REPLACE FUNCTION cdp.retired(a integer) RETURNS integer\n"
		. "LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN a;\nCOMMENT ON FUNCTION cdp.retired(integer) IS 'Retired.';\n");
	my $script = `bash $old/tools/build_sql.sh install`;
	die 'the older release does not build' if $? || !$script;
	spew("$share/extension/pg_cdp--0.0.9.sql", $script);

	spew("$top/sql/delta/0.0.9--$current.sql", "DROP FUNCTION cdp.retired(integer);\n");
	my $update = `bash $top/tools/build_sql.sh update 0.0.9--$current`;
	die 'the update script does not build' if $? || !$update;
	spew("$share/extension/pg_cdp--0.0.9--$current.sql", $update);
}

build_synthetic();
my @old = ('0.0.9');
for my $file (glob "$top/test/old/pg_cdp--*.sql") {
	my ($version) = $file =~ /--(.*)\.sql$/;
	next if $version eq $current;
	system_or_bail('cp', $file, "$share/extension/");
	push @old, $version;
}

my $node = cdp_node('update');
my $fresh = fingerprint($node, 'postgres');
cmp_ok(length $fresh, '>', 1000, 'the fresh database has a fingerprint');

for my $version (@old) {
	(my $db = "from_$version") =~ tr/./_/;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, "CREATE EXTENSION pg_cdp VERSION '$version';
		CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY')");
	isnt(fingerprint($node, $db), $fresh, "$version differs from $current");
	fill($node, $db, 500);
	my $before = contents($node, $db, qr/setup_step|setting|\baudit\b|grant_rule|personal_data|\bjob\b/);

	is($node->safe_psql('postgres', "SELECT path IS NOT NULL FROM pg_extension_update_paths('pg_cdp')
		WHERE source = '$version' AND target = '$current'"), 't', "$version has an update path");
	$node->safe_psql($db, 'ALTER EXTENSION pg_cdp UPDATE');
	$node->safe_psql($db, 'CALL cdp.setup()');
	my $updated = fingerprint($node, $db);
	is(differences($fresh, $updated), '', "updated from $version equals fresh $current");
	is(contents($node, $db, qr/setup_step|setting|\baudit\b|grant_rule|personal_data|\bjob\b/), $before, 'and has kept its rows');
	fill($node, $db, 100, 'b');
	is($node->safe_psql($db, 'SELECT count(*) FROM cdp_data.touchpoint'), 600, 'and loads go on');
}

# Lines that only one side has, so that a failure can be read.
sub differences {
	my ($left, $right) = @_;
	my %left = map { $_ => 1 } split /\n/, $left;
	my %right = map { $_ => 1 } split /\n/, $right;
	return join "\n", map { length > 300 ? substr($_, 0, 300) . '...' : $_ } (map { "fresh:   $_" } grep { !$right{$_} } sort keys %left),
	  (map { "updated: $_" } grep { !$left{$_} } sort keys %right);
}

END { unlink glob "$share/extension/pg_cdp--0.0.9*" if $share; }

done_testing();
