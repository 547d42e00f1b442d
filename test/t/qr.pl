# QR pictures are read back: every text that goes in must come out of zbarimg, from the PNG and from the SVG.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CdpTest;
use PostgreSQL::Test::Utils;
use Test::More;

for my $program (qw(zbarimg rsvg-convert)) {
	my $found = eval { IPC::Run::run([ $program, '--version' ], '>', \my $out, '2>', \my $err) };
	plan skip_all => "$program is not installed (bash tools/install_packages.sh test)" unless $found;
}
my $node = cdp_node('qr');
my $dir = PostgreSQL::Test::Utils::tempdir();

# What zbarimg reads in a picture, as bytes.
sub read_picture {
	my ($file) = @_;
	IPC::Run::run([ 'zbarimg', '-q', '--raw', '-Sbinary', '-Sdisable', '-Sqrcode.enable', $file ], '>', \my $out, '2>', \my $err);
	return $out;
}

# The picture that an expression gives as hexadecimal digits, written to a file.
sub picture {
	my ($name, $expression) = @_;
	open my $file, '>:raw', "$dir/$name" or die $!;
	print $file pack 'H*', $node->safe_psql('postgres', "SELECT $expression");
	close $file;
	return "$dir/$name";
}

my @texts = (
	[ 'a link' => q{'https://shop.example/r/K7M4-Q2TX-Q?utm_source=referral'} ],
	[ 'a Chinese link' => q{'https://例子.中国/推荐?码=K7M4Q2TXQ&渠道=微信'} ],
	[ 'one letter' => q{'a'} ],
	[ 'digits only' => q{repeat('0123456789', 20)} ],
	[ 'capitals only' => q{'HTTPS://SHOP.EXAMPLE/R/K7M4Q2TXQ'} ],
	[ 'smileys' => q{'推荐有礼 🎁🎉'} ],
	[ 'the longest text that fits' => q{repeat('aB', 1165) || 'c'} ]);
for my $row (@texts) {
	my ($name, $text) = @$row;
	my $want = pack 'H*', $node->safe_psql('postgres', "SELECT encode(convert_to($text, 'UTF8'), 'hex')");
	is(read_picture(picture('a.png', "encode(cdp.qr_png($text, scale => 4), 'hex')")), $want, "PNG: $name");
	my $svg = picture('a.svg', "encode(convert_to(cdp.qr_svg($text), 'UTF8'), 'hex')");
	IPC::Run::run([ 'rsvg-convert', '-z', '4', '-o', "$dir/b.png", $svg ]) or die "rsvg-convert failed";
	is(read_picture("$dir/b.png"), $want, "SVG: $name");
}
for my $level (qw(L M Q H)) {
	is(read_picture(picture('a.png', "encode(cdp.qr_png('level $level', '$level', scale => 3), 'hex')")), "level $level", "PNG at level $level");
}
my $svg = picture('c.svg', q{encode(convert_to(cdp.qr_svg('in colors', 'H', 6, '#036', '#fffbe6'), 'UTF8'), 'hex')});
IPC::Run::run([ 'rsvg-convert', '-z', '5', '-o', "$dir/b.png", $svg ]) or die "rsvg-convert failed";
is(read_picture("$dir/b.png"), 'in colors', 'SVG in colors');
is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT cdp.qr_png('https://shop.example/r/' || i, scale => 1), cdp.qr_svg(i::text) FROM generate_series(1, 5000) i OFFSET 0) x}), '5000', 'ten thousand pictures');
done_testing();
