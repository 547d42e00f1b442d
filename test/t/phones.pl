# Telephone numbers against libphonenumber-js, for every country: in national and international form, ours must be theirs.
# Optional: "npm install libphonenumber-js" in a folder of yours, and NODE_PATH=that folder/node_modules in the environment.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CdpTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Prints country, what it is, region, text and E.164: an example of each country, and numbers at random that libphonenumber calls valid.
my $script = <<'JS';
const lib = require('libphonenumber-js/max'), examples = require('libphonenumber-js/examples.mobile.json');
let seed = 7;
const random = n => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 2147483648 * n); };
const say = (...cells) => console.log(cells.join('\t'));
for (const country of lib.getCountries()) {
  const example = examples[country];
  if (!example) continue;
  for (let i = 0, kept = 0; i < 500 && kept < 30; i++) {
    const tail = Math.min(6, example.length - 2);
    let national = example.slice(0, example.length - tail);
    for (let k = 0; k < tail; k++) national += i === 0 ? example[example.length - tail + k] : random(10);
    const number = lib.parsePhoneNumberFromString('+' + lib.getCountryCallingCode(country) + national);
    if (!number || !number.isValid() || number.country !== country) continue;
    kept++;
    say(country, 'national', country, number.formatNational(), number.number);
    say(country, 'international', '', number.formatInternational(), number.number);
    say(country, 'prefix', 'US', number.format('IDD', { fromCountry: 'US' }), number.number);
    say(country, 'prefix', 'CN', number.format('IDD', { fromCountry: 'CN' }), number.number);
  }
}
JS
my ($out, $err) = ('', '');
my $ran = eval { IPC::Run::run([ 'node', '-e', $script ], '>', \$out, '2>', \$err) };
plan skip_all => 'libphonenumber-js is not installed (npm install libphonenumber-js, then set NODE_PATH)' unless $ran && $out;

my $node = cdp_node('phones');
my $file = PostgreSQL::Test::Utils::tempdir() . '/numbers';
append_to_file($file, $out);
$node->safe_psql('postgres', qq{
	CREATE TABLE number (country text, what text, region text, written text, e164 text);
	COPY number FROM '$file';
	ALTER TABLE number ADD ours text;
	UPDATE number SET ours = cdp_internal.normalise_identifier(written, 'phone', nullif(region, ''))});
note($node->safe_psql('postgres', q{SELECT string_agg(format('%s: %s of %s', what, n, total), ', ') FROM (
	SELECT what, count(*) AS total, count(*) FILTER (WHERE ours = e164) AS n FROM number GROUP BY what ORDER BY what) x}));
cmp_ok($node->safe_psql('postgres', q{SELECT count(DISTINCT country) FROM number}), '>=', 200, 'most countries have examples');
is($node->safe_psql('postgres', q{SELECT country, written, ours, e164 FROM number WHERE what <> 'national' AND ours <> e164 LIMIT 5}), '',
	'no number with a code becomes another one');
is($node->safe_psql('postgres', q{SELECT country, written, ours, e164 FROM number WHERE what = 'national' AND ours <> e164 LIMIT 5}), '',
	'nor does a national one');
is($node->safe_psql('postgres', q{SELECT country FROM number WHERE what <> 'national' GROUP BY 1 HAVING count(*) FILTER (WHERE ours = e164) < 0.8 * count(*)}), '',
	'every country is understood with a code');
is($node->safe_psql('postgres', q{SELECT country FROM number WHERE what = 'national' GROUP BY 1 HAVING count(*) FILTER (WHERE ours = e164) < 0.8 * count(*)}), '',
	'and as it is written at home');
cmp_ok($node->safe_psql('postgres', q{SELECT avg((ours IS NOT NULL AND ours = e164)::int) FROM number}), '>=', 0.99, 'nearly all of them');
done_testing();
