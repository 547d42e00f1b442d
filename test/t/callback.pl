# Callbacks against the platform's own library: 200 messages of npm's @wecom/crypto verify and decrypt, tampered ones are refused,
# and it opens what we seal. The same with the library of Standard Webhooks: 200 of its signatures are right, tampered ones are not. Installs the library into a folder of its own; without npm or its registry the test is skipped.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CdpTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
local $ENV{npm_config_cache} = "$dir/cache";
local $ENV{HOME} = $dir;
my ($out, $err) = ('', '');
my $installed = eval { IPC::Run::run([ qw(npm install --no-audit --no-fund --ignore-scripts --loglevel=error --prefix), $dir, '@wecom/crypto@1.0.1' ],
	'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120)) };
plan skip_all => '@wecom/crypto cannot be installed: npm or its registry is absent' unless $installed;

# Prints token, key, receiver, signature, time, nonce, cipher text and message (base64); from a seed, lengths of every rest by 32.
my $script = <<'JS';
const crypto = require('crypto'), lib = require('@wecom/crypto');
let n = 0;
const bytes = size => { const parts = []; for (let have = 0; have < size; have += 32) parts.push(crypto.createHash('sha256').update('seed' + n++).digest()); return Buffer.concat(parts).slice(0, size); };
const texts = ['<xml><Content><![CDATA[hello]]></Content></xml>', '客户联系 ', '🙂', '{"a":"b"}', ''];
for (let i = 0; i < 200; i++) {
  const token = bytes(12).toString('hex'), key = bytes(33).toString('base64').replace(/[+/=]/g, 'x').slice(0, 43), receiver = 'ww' + bytes(i % 9).toString('hex');
  const message = texts[i % 5] + 'x'.repeat(i), time = String(1700000000 + i), nonce = bytes(5).toString('hex');
  const cipher = lib.encrypt(key, message, receiver, bytes(16));
  console.log([token, key, receiver, lib.getSignature(token, time, nonce, cipher), time, nonce, cipher, Buffer.from(message).toString('base64')].join('\t'));
}
JS
$ENV{NODE_PATH} = "$dir/node_modules";
($out, $err) = ('', '');
IPC::Run::run([ 'node', '-e', $script ], '>', \$out, '2>', \$err) or die $err;

my $node = cdp_node('callback');
append_to_file("$dir/messages", $out);
$node->safe_psql('postgres', qq{
	CREATE TABLE message (token text, key text, receiver text, signature text, at text, nonce text, cipher text, text64 text);
	COPY message FROM '$dir/messages';
	CREATE FUNCTION opens(m message) RETURNS text LANGUAGE sql AS \$\$
	  SELECT coalesce(problem, CASE WHEN message = decode(m.text64, 'base64') THEN 'opened' ELSE 'another message' END)
	  FROM cdp_internal.known_callback_open(m.token, m.key, m.receiver, m.signature, m.at, m.nonce, m.cipher) \$\$;});
is($node->safe_psql('postgres', 'SELECT opens(m), count(*) FROM message m GROUP BY 1'), 'opened|200', '200 of 200 messages verify and decrypt');
is($node->safe_psql('postgres', q{SELECT opens(ROW(token, key, receiver, signature, at, nonce, cipher_changed, text64)::message), count(*) > 2000 FROM message m, generate_series(1, length(cipher), 7) i,
	LATERAL (SELECT overlay(cipher PLACING CASE substr(cipher, i, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM i) AS cipher_changed) c GROUP BY 1}), 'signature|t', 'a changed character of the cipher text is refused');
is($node->safe_psql('postgres', q{SELECT opens(ROW(a.token, a.key, a.receiver, a.signature, a.at, a.nonce, b.cipher, a.text64)::message), count(*) FROM message a JOIN message b ON b.at::bigint = a.at::bigint + 1 GROUP BY 1}), 'signature|199', 'no other message goes with a signature');
is($node->safe_psql('postgres', q{SELECT opens(ROW(token, key, receiver || 'x', signature, at, nonce, cipher, text64)::message), count(*) FROM message GROUP BY 1}), 'receiver|200', 'a message for somebody else is refused');
is($node->safe_psql('postgres', q{SELECT count(*) FROM message m WHERE opens(ROW(token, overlay(key PLACING CASE substr(key, 5, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 5), receiver, signature, at, nonce, cipher, text64)::message) = 'opened'}), '0',
	'no other key opens one');

# The other way: the library opens what we seal.
my $sealed = $node->safe_psql('postgres', q{SELECT string_agg(concat_ws(E'\t', key, receiver, cdp_internal.known_callback_seal(key, receiver, decode(md5(at), 'hex'), convert_from(decode(text64, 'base64'), 'UTF8')), text64), E'\n') FROM message});
($out, $err) = ('', '');
IPC::Run::run([ 'node', '-e', <<'JS' ], '<', \$sealed, '>', \$out, '2>', \$err) or die $err;
const lib = require('@wecom/crypto');
let good = 0;
for (const line of require('fs').readFileSync(0, 'utf8').trim().split('\n')) {
  const [key, receiver, cipher, text] = line.split('\t'), opened = lib.decrypt(key, cipher);
  if (opened.id === receiver && Buffer.from(opened.message).toString('base64') === (text || '')) good++;
}
console.log(good);
JS
chomp $out;
is($out, 200, 'the library opens 200 of 200 that we seal');

SKIP: {
	local $ENV{npm_config_cache} = "$dir/cache";
	local $ENV{HOME} = $dir;
	($out, $err) = ('', '');
	my $there = eval { IPC::Run::run([ qw(npm install --no-audit --no-fund --ignore-scripts --loglevel=error --prefix), $dir, 'standardwebhooks@1' ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120)) };
	skip 'standardwebhooks cannot be installed: npm or its registry is absent', 3 unless $there;
	($out, $err) = ('', '');
	IPC::Run::run([ 'node', '-e', <<'JS' ], '>', \$out, '2>', \$err) or die $err;
const crypto = require('crypto'), { Webhook } = require('standardwebhooks');
for (let i = 0; i < 200; i++) {
  const key = crypto.createHash('sha512').update('key' + i).digest().slice(0, 24 + i % 41), secret = (i % 2 ? 'whsec_' : '') + key.toString('base64');
  const body = ['{"type":"x"}', '微信🙂', '', 'a.b.c'][i % 4] + 'x'.repeat(i), id = 'msg_' + i, at = 1700000000 + i;
  console.log([secret, new Webhook(secret).sign(id, new Date(at * 1000), body), at, id, Buffer.from(body).toString('base64')].join('\t'));
}
JS
	append_to_file("$dir/webhooks", $out);
	$node->safe_psql('postgres', qq{CREATE TABLE webhook (secret text, signature text, at text, id text, body64 text); COPY webhook FROM '$dir/webhooks'});
	is($node->safe_psql('postgres', q{SELECT cdp_internal.known_webhook_check(secret, signature, at, id, decode(body64, 'base64')), count(*) FROM webhook GROUP BY 1}), 't|200', '200 of 200 signatures of Standard Webhooks are right');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM webhook WHERE cdp_internal.known_webhook_check(secret, signature, at, id, decode(body64, 'base64') || '\x20') OR cdp_internal.known_webhook_check(secret, signature, at || '0', id, decode(body64, 'base64'))}), '0', 'none with another body or time');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM webhook a JOIN webhook b ON a.id <> b.id WHERE cdp_internal.known_webhook_check(a.secret, b.signature, a.at, a.id, decode(a.body64, 'base64'))}), '0', 'nor another signature');
}
done_testing();
