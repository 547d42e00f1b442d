# README.md shows what a user sees: its block about the demo is what the demo prints, and its SQL can be typed into a new database.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top    = $ENV{CDP_TOP};
my $readme = slurp_file("$top/README.md");
my $demo   = slurp_file("$top/tools/demo.sh");
my $node   = PostgreSQL::Test::Cluster->new('demo');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nsynchronous_commit = off\nmax_wal_size = 4GB\ncdp.key_file = '" . key_file($node) . "'\n");
$node->start;

# Runs psql in a folder; returns what it prints.
sub psql_in {
	my ($folder, $db, @arguments) = @_;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), @arguments ],
		'>', \$out, '2>', \$err, init => sub { chdir $folder; $ENV{PGOPTIONS} = '-c client_min_messages=warning' });
	ok($ok, "psql runs @arguments[-2, -1]") or diag $err;
	return $out;
}

# The demo, with what its script takes when nothing is said.
my %value = (step => 6);
for my $name (qw(TIMEZONE CURRENCY CUSTOMERS SEED UNTIL)) {
	($value{ lc $name }) = $demo =~ /\$\{$name:-([^}]*)\}/ or BAIL_OUT("tools/demo.sh has no default for $name");
}
my @variables = map { ('-v', "$_=$value{$_}") } qw(timezone customers seed until);
$node->safe_psql('postgres', "CREATE DATABASE demo TEMPLATE template0 ENCODING 'UTF8'");
$node->safe_psql('demo', "CREATE EXTENSION pg_cdp; CALL cdp.setup(timezone => '$value{timezone}', currency => '$value{currency}', phone_region => 'CN');
	ALTER DATABASE demo SET timezone = '$value{timezone}'");
my %printed = (
	3 => psql_in("$top/test/demo", 'demo', '-At', '-v', 'days=180', @variables, '-f', 'shop.sql'),
	4 => psql_in("$top/test/demo", 'demo', '-At', @variables, '-f', 'identity.sql'),
	5 => psql_in("$top/test/demo", 'demo', '-At', '-f', 'privacy.sql'),
	6 => psql_in("$top/test/demo", 'demo', '-P', 'footer=off', '-f', 'report.sql'),
	7 => psql_in("$top/test/demo", 'demo', '-P', 'footer=off', '-f', 'funnel.sql'),
	8 => psql_in("$top/test/demo", 'demo', '-P', 'footer=off', @variables, '-f', 'segment.sql'),
	9 => psql_in("$top/test/demo", 'demo', '-P', 'footer=off', @variables, '-f', 'referral.sql'));
my ($shown) = $readme =~ /^```\n(3\. .*?)^```\n/ms;
for my $part (split /^(?=\d\. )/m, $shown) {
	my ($title, $body) = $part =~ /\A(.*?)\n(.*)\z/s;
	my $number = substr $title, 0, 1;
	s/[ \t]+$//mg, s/\s+\z/\n/ for $body, $printed{$number};
	is($body, $printed{$number}, "part $number of the demo, as README.md shows it");
	my @echoed = map { s/\$(\w+)/$value{$1} \/\/ ''/ger } $demo =~ /^\t*echo "((?:\d|\$step)\. .*)"$/mg;
	ok((grep { $_ eq $title } @echoed), "and its title: $title");
}

# The SQL of README.md in a new database: first what installs, then the rest, in a folder with the file that it reads.
my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/touches.csv", "source_key,occurred_at,identifier_type,identifier,kind,source,medium,value,currency\n"
	  . "1,2026-03-01 10:00:00,user_id,A-1,click,weibo,social,,\n2,2026-03-02 10:00:00,user_id,A-1,purchase,,,99.5,CNY\n");
my @blocks = $readme =~ /^```sql\n(.*?)^```\n/msg;
@blocks = ((grep { /^CREATE EXTENSION/m } @blocks), (grep { !/^CREATE EXTENSION/m } @blocks));
cmp_ok(scalar @blocks, '>=', 5, 'README.md has SQL');
append_to_file("$folder/readme.sql", "CREATE TABLE my_events (user_id text, seen_at timestamptz, channel text, revenue numeric);
INSERT INTO my_events VALUES ('a', '2026-03-01', 'Weibo', NULL), ('a', '2026-03-02', NULL, 9);\n" . join "\n", @blocks);
$node->safe_psql('postgres', "CREATE DATABASE readme TEMPLATE template0 ENCODING 'UTF8'");
my $out = psql_in($folder, 'readme', '-At', '-f', 'readme.sql');
like($out, qr/^1\|user_id\|email\|seen together in a record of 'shop'/m, 'why_same tells the way');
like($out, qr/"full_name"/, 'customer_360 has what the other source told');
is($node->safe_psql('readme', q{SELECT cdp.customer_of('user_id', 'A-77') = cdp.customer_of('crm_id', '4711'), count(*) FROM cdp_data.touchpoint}), 'f|2',
	'the merge is taken back, the touches are there');
like($out, qr/^suppressed$/m, 'who was erased does not come in again');
like($out, qr/^info\|sealed\|/m, 'and the audit is whole');
is($node->safe_psql('readme', 'SELECT count(*) FROM cdp.identity_check()'), '0', 'and nothing is broken');

$node->stop;
done_testing();
