# Erasure of a person who is in every table: no value of hers is left in a dump, in any writing; every total stays as it
# was; nothing that can be done afterwards brings her back, nor does any road take her in again.
use strict;
use warnings;
use utf8;
use CdpTest;
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha256_hex sha1_hex);
use Encode qw(encode_utf8);
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cdp_node('erase');
my $dir = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', 'CREATE ROLE the_officer LOGIN; CREATE ROLE the_analyst LOGIN; CREATE ROLE the_connector LOGIN');
my $people = slurp_file("$ENV{CDP_TOP}/test/t/erase_people.sql");

sub make {
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0 ENCODING 'UTF8'");
	$node->safe_psql($db, q{CREATE EXTENSION pg_cdp;
		CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY', privacy => 'the_officer', analyst => 'the_analyst', connector => 'the_connector')});
	$node->safe_psql($db, $people);
}
sub sql { return $node->safe_psql(@_) }
sub as { my ($role, $db, $sql) = @_; return $node->safe_psql($db, "SET SESSION AUTHORIZATION $role; $sql") }
sub refused { my ($role, $db, $sql) = @_; my ($rc, $out, $err) = $node->psql($db, "\\set VERBOSITY sqlstate\nSET SESSION AUTHORIZATION $role; $sql"); return $err =~ /(\w{5})\s*$/ ? $1 : "none: $out" }

# Everything that would show her, in all ways of writing that a table could hold.
my @values = ('erika', 'musterfräulein', 'beispiel.example', '4915123456789', '015123456789', '0151 23456789', '23456789', 'lindenallee', 'rosenweg', '1971-07-07',
	'nena-fanclub', 'device-erika-1');
my @whole = ('erika.muster@beispiel.example', '+4915123456789', 'u-erika-77', 'ck-erika-991', 'ck-erika-992', 'anon-erika-3', 'device-erika-1', 'Erika Musterfräulein',
	'E. Musterfräulein', 'Rosenweg 815, Bonn', 'Lindenallee 4711, Köln', '1971-07-07', 'Nena-Fanclub', 'erika-crm-77', 'erika-order-8', 'erika-msg-1', '1:erika.muster@beispiel.example');
my @patterns = map { quotemeta encode_utf8($_) } @values;
for my $w (@whole) {
	my $bytes = encode_utf8($w);
	push @patterns, md5_hex($bytes), sha256_hex($bytes), sha1_hex($bytes), unpack('H*', $bytes);
	push @patterns, quotemeta(encode_base64($bytes, '')) =~ s/\\=.*//r if length($bytes) > 8;
	push @patterns, quotemeta($w =~ s/([^\x00-\x7f])/sprintf('\\u%04x', ord $1)/ger) if $w =~ /[^\x00-\x7f]/;
	push @patterns, quotemeta($bytes =~ s/([^A-Za-z0-9.-])/sprintf('%%%02x', ord $1)/ger);
}
my $shows = join '|', @patterns;
sub traces {
	my ($db) = @_;
	$node->run_log([ 'pg_dump', '-f', "$dir/$db.sql", $node->connstr($db) ]);
	open my $in, '<', "$dir/$db.sql" or die $!;
	my @found = grep { /$shows/i } <$in>;
	return join '', map { substr($_, 0, 200) . "\n" } @found[ 0 .. ($#found > 9 ? 9 : $#found) ];
}

my $models = '{last,first,linear,u_shaped,w_shaped,time_decay(7 days),participation,markov,shapley}';
my $figures = q{(SELECT string_agg(t::text, E'\n' ORDER BY t.model, t.label) FROM cdp.attribution_totals(%s) t WHERE t.conversions <> 0 OR t.value <> 0)};
my $direct = 'SELECT ' . sprintf($figures, "cdp.attribution_run(models => '$models')") . ', ' . sprintf($figures, "cdp.attribution_run(models => '{linear}', lookback => '5 days', journey => 'reset')")
	. ', ' . sprintf($figures, "cdp.attribution_run(models => '{linear,last}', group_by => 'source', since => '2026-03-10', until => '2026-04-20')");
my $stored = 'SELECT ' . join ', ', map { sprintf $figures, "cdp.attribution_rollup_run('$_')" } 'main', 'short';
my $counts = q{SELECT count(*), sum(value), md5(string_agg(format('%s %s %s %s %s', occurred_at, kind_id, value, source_id, load_id), ',' ORDER BY occurred_at, touchpoint_id)) FROM cdp_data.touchpoint};
my $profiles = 'SELECT count(*), sum(touches), sum(conversions), sum(orders), sum(refunds), sum(revenue), min(first_seen), max(last_seen) FROM cdp_data.profile WHERE touches > 0';
my $her = q{cdp.customer_of('user_id', 'u-erika-77')};

# 1. One erasure, anonymised.
make('one');
isnt(traces('one'), '', 'she is in the dump');
my @empty = grep { sql('one', "SELECT count(*) FROM $_") == 0 } split /\n/, sql('one', q{SELECT DISTINCT p.table_name FROM cdp_data.personal_data p
	WHERE p.erasure <> 'keep' AND p.table_name LIKE 'cdp_data.%' AND p.table_name !~ 'request|hold|notice' ORDER BY 1});
is("@empty", '', 'people are in every registered table');
sql('one', q{SELECT cdp_internal.feed_write(ARRAY[1], 'load')});
copy_db('one', 'before');
is(sql('one', $direct), sql('one', $direct), 'figures are the same twice');
my %was = (direct => sql('one', $direct), counts => sql('one', $counts), stored => sql('one', $stored));
sql('one', 'SELECT cdp.refresh_profiles()');
$was{profiles} = sql('one', $profiles);
is(refused('the_analyst', 'one', "SELECT cdp.erase_customer(1)"), '42501', 'an analyst erases nobody');
is(refused('the_connector', 'one', "SELECT cdp.erase_customer(1)"), '42501', 'nor does a connector');
is(refused('the_officer', 'one', "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT cdp.erase_customer(1)"), '25000', 'not on an old snapshot');
is(refused('the_officer', 'one', "SELECT cdp.erase_customer(1, 'burn')"), '22023', 'in two modes only');
my $x = sql('one', "SELECT $her");
is(as('the_officer', 'one', "SELECT r ->> 'mode', r ->> 'identifiers', r ->> 'suppressed', jsonb_array_length(r -> 'tables') > 20, r -> 'destinations' #>> '{0,state}', r -> 'destinations' #>> '{2,state}'
	FROM (SELECT cdp.erase_customer($x)) AS v (r)"), 'anonymise|7|7|t|queued|not queued', 'the officer erases her, and has a receipt');
is(traces('one'), '', 'nothing of her is in the dump, in no table and no writing');
is(sql('one', $direct), $was{direct}, 'all models, direct: as before');
is(sql('one', $stored), $was{stored}, 'roll-ups: as before');
is(sql('one', $counts), $was{counts}, 'touchpoints: number, value, times, kinds, sources');
is(sql('one', q{SELECT count(*) FILTER (WHERE r.referee_id = c.customer_id AND d.evidence = '{}') || ' of ' || count(*) || ', ' || count(*) FILTER (WHERE c.source_key LIKE 'erased%' AND d.evidence <> '{}')
	FROM cdp_data.referral_decision d JOIN cdp_data.referral r USING (referral_id) JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = r.first_conversion_id}), '1 of 2, 0', 'what was measured of her at decisions about referrals is gone, that of another stays');
is(sql('one', q{SELECT count(*) FROM cdp_data.referral_share WHERE source_key = 'share-2' AND recipient_digest IS NULL}), 1, 'nobody can tell that something was shared with her');
is(sql('one', $profiles), $was{profiles}, 'figures of profiles');
sql('one', 'VACUUM ANALYZE');
is(sql('one', qq{SELECT count(*) FROM pg_stats s WHERE s::text ~* 'erika|musterfr|rosenweg|4915123456789'}), 0, 'nor is she in the statistics, after VACUUM ANALYZE');
is(sql('one', 'SELECT string_agg(column_name, \' \') FROM cdp.check_orphans() WHERE orphans > 0'), 'refers_to', 'no orphans but the refund that had none');
is(sql('one', 'SELECT * FROM cdp.identity_check()'), '', 'the promise of identity holds');
is(sql('one', "SELECT string_agg(finding, ' ' ORDER BY finding) FROM cdp.health() WHERE severity = 'error'"), '', 'health has no error');

# 2. The number that keeps her touches.
my $fresh = sql('one', 'SELECT DISTINCT customer_id FROM cdp_data.touchpoint WHERE identifier_id < 0');
like($fresh, qr/^\d+$/, 'all of them are under one number');
is(sql('one', "SELECT count(*) FROM cdp_data.change_feed WHERE customer_id = $fresh"), 0, 'which the change feed does not name in her transaction');
is(sql('one', "SELECT created_at = (SELECT created_at FROM cdp_data.setting) FROM cdp_data.customer WHERE customer_id = $fresh"), 't', 'and has no time of its own');
is(sql('one', qq{SELECT (SELECT count(*) FROM cdp_data.audit WHERE customer_id = $fresh OR detail::text ~ '\\m$fresh\\M') + (SELECT count(*) FROM cdp_data.merge_log WHERE $fresh IN (customer_id, from_id, to_id))
	+ (SELECT count(*) FROM cdp_data.outbox WHERE payload::text ~ '\\m$fresh\\M') + (SELECT count(*) FROM cdp_data.erased_customer WHERE customer_id = $fresh) + (SELECT count(*) FROM cdp_data.erasure WHERE customer_id = $fresh)}), 0,
	'no receipt, audit, ledger or message names it');
is(sql('one', qq{SELECT count(*) FROM cdp_data.erasure e, jsonb_array_elements(e.rows) r WHERE r ->> 'action' = 'unlink' AND (r ->> 'rows')::int = (SELECT count(*) FROM cdp_data.touchpoint WHERE customer_id = $fresh)}), 0,
	'nor does its number of touches stand in the receipt');

# 3. Nothing brings her back.
sql('one', 'CALL cdp.maintain()');
is(sql('one', 'SELECT count(*) FROM cdp_data.unlinked_unfed'), 0, 'the feed is told with the maintenance');
sql('one', q{SELECT count(*) FROM cdp.refresh_attribution(); SELECT cdp.refresh_profiles(); SELECT cdp.refresh_profiles(true)});
is(sql('one', $stored), $was{stored}, 'roll-ups after their refresh');
is(sql('one', $profiles), $was{profiles}, 'profiles after their refresh');
for my $kind ('revert', 'retry') {
	my $state = $kind eq 'revert' ? 'done' : 'reverted';
	sql('one', "SELECT cdp.${kind}_load(l) FROM (SELECT load_id FROM cdp_data.load WHERE state = '$state' AND kind IN ('touchpoints', 'events', 'customers', 'calls', 'consents') ORDER BY load_id" . ($kind eq 'revert' ? ' DESC' : '') . ") v (l)");
	is(traces('one'), '', "every load: $kind");
}
is(sql('one', $direct), $was{direct}, 'and the figures are as before again');
for my $done ('SELECT count(*) FROM cdp.rebuild(dry_run => false)', q{SELECT cdp.match_run('faces', is_full => true)},
	q{SELECT count(*) FROM (SELECT cdp.unmerge(merge => m.merge_id) FROM cdp_data.merge_log m WHERE m.kind = 'merge' AND m.undone_by IS NULL) u},
	q{SELECT cdp.retry_quarantine(load_id) FROM cdp_data.load WHERE kind = 'touchpoints' AND state = 'done'}, q{SELECT cdp.retry_messages(load_id) FROM cdp_data.load WHERE kind = 'calls' AND state = 'done'},
	'SELECT cdp.refresh_profiles(true)', 'SELECT count(*) FROM cdp.refresh_attribution()', 'CALL cdp.maintain()') {
	my ($rc, $out, $err) = $node->psql('one', $done);
	is($err =~ s/^(psql\S+ )?(NOTICE|WARNING|HINT|DETAIL).*\n?//mgr, '', $done);
	is(traces('one'), '', 'does not bring her back');
}
is(sql('one', $direct), $was{direct}, 'and the figures are as before still');
is(refused('the_officer', 'one', "SELECT cdp.erase_customer($x)"), '55000', 'she is not erased twice');
is(sql('one', "SELECT cdp.outbox_put('mailer', 'hello', '{}', customer_id => $x)"), '', 'nothing is sent about her') if sql('one', q{SELECT to_regprocedure('cdp_internal.room_outbox_refusals()') IS NOT NULL}) eq 't';

# 4. No road takes her in again; each says so and counts. What comes is counted, and nothing of it is kept.
my @roads = (
	q{CREATE TEMP TABLE st AS SELECT 'x' || n AS source_key, '2026-05-01' AS occurred_at, 'email' AS identifier_type, 'Erika.Muster@beispiel.example' AS identifier, 'click' AS kind, '{"a": "erika"}' AS properties FROM generate_series(1, 3) n; SELECT inserted, quarantined FROM cdp.load_touchpoints('shop', 'st')} => '0|3',
	q{CREATE TEMP TABLE st AS SELECT 'x' AS source_key, '2026-05-01' AS occurred_at, 'phone' AS identifier_type, '0151/23456789' AS identifier, 'click' AS kind; SELECT inserted, quarantined FROM cdp.load_touchpoints('app', 'st')} => '0|1',
	q{CREATE TEMP TABLE st AS SELECT 'erika-crm-77' AS source_key, 'u-erika-77' AS user_id, 'new@people.example' AS email, 'Erika' AS full_name; SELECT inserted, quarantined FROM cdp.load_customers('crm', 'st')} => '0|1',
	q{CREATE TEMP TABLE st AS SELECT 'x' AS source_key, '2026-05-01' AS occurred_at, 'visit' AS kind, 'u-new' AS user_id, 'ck-erika-991' AS cookie; SELECT inserted, quarantined FROM cdp.load_events('app', 'st')} => '0|1',
	q{SELECT status FROM cdp.identify('app', '{"user_id": "u-erika-77"}', '{"full_name": "Erika"}')} => 'suppressed',
	q{SELECT status FROM cdp.identify('app', '{"user_id": "u-9"}', '{"email": "erika.muster@beispiel.example"}')} => 'suppressed',
	q{SELECT status FROM cdp.track('app', 'visit', '{"anonymous_id": "anon-erika-3"}', '{"a": "Erika"}')} => 'suppressed',
	q{SELECT status FROM cdp.alias('app', '{"cookie": "ck-erika-992"}', '{"user_id": "u-99"}')} => 'suppressed',
	q{SELECT status FROM cdp.group('app', '{"user_id": "u-erika-77"}', 'musterfräulein')} => 'suppressed',
	q{SELECT status FROM cdp.ingest('app', '{"type": "track", "event": "visit", "userId": "u-erika-77", "properties": {"name": "Erika"}}')} => 'suppressed',
	q{SELECT status FROM cdp.ingest('app', '{"type": "nonsense", "userId": "u-erika-77", "traits": {"name": "Erika"}}')} => 'suppressed',
	q{CREATE TEMP TABLE st AS SELECT 'erika-' || n AS source_key, 'email' AS identifier_type, 'Erika.Muster@beispiel.example' AS identifier, 'marketing' AS purpose, CASE n WHEN 1 THEN 'granted' ELSE 'perhaps' END AS status, '2026-05-01' AS effective_at FROM generate_series(1, 2) n; SELECT inserted, quarantined FROM cdp.load_consents('app', 'st')} => '0|2',
	q{SELECT records_read, inserted, suppressed FROM cdp.ingest_page('chat', 'contacts', '{"external_contact_list": [{"external_contact": {"external_userid": "wm-her-1", "name": "Erika"}, "follow_info": {"userid": "s", "remark_mobiles": ["0151 23456789"]}}]}', '["s"]')} => '1|0|1',
	q{SELECT page_id IS NULL, suppressed FROM cdp.ingest_page('chat', 'behavior', '{"behavior_data": [{"stat_time": 1775059200, "chat_cnt": 3}]}', '"u-erika-77"', '2026-04-02', '2026-04-02')} => 't|1',
	q{SELECT result FROM cdp.record_consent('app', 'marketing', 'granted', '{"phone": "0151 23456789"}', evidence => '{"who": "Erika"}')} => 'suppressed',
);
my $counted = sql('one', 'SELECT coalesce(sum(n), 0) FROM cdp_data.suppression_refusal');
sub all_roads {
	my ($db, $what) = @_;
	for (my $i = 0; $i < @roads; $i += 2) {
		is(sql($db, "SET client_min_messages = error; $roads[$i]"), $roads[$i + 1], "$what: " . substr($roads[$i], 0, 60));
	}
}
all_roads('one', 'again');
is(sql('one', "SELECT sum(n) - $counted FROM cdp_data.suppression_refusal"), 18, 'every record was counted');
is(traces('one'), '', 'and nothing of them kept');
is(sql('one', $direct), $was{direct}, 'nor do the figures know');

# 5. A dump restored elsewhere refuses her, too; one of before the erasure is brought to it from the suppression list.
sql('postgres', 'CREATE DATABASE two TEMPLATE template0');
$node->run_log([ 'psql', '-qX', '-f', "$dir/one.sql", $node->connstr('two') ]);
all_roads('two', 'restored');
is(traces('two'), '', 'a restored dump keeps nothing either');
is(sql('before', "SELECT $her IS NULL"), 'f', 'an old backup knows her');
$node->run_log([ 'psql', '-qX', '-c', "\\copy cdp_data.suppression TO '$dir/list'", $node->connstr('one') ]);
$node->run_log([ 'psql', '-qX', '-c', "\\copy cdp_data.suppression FROM '$dir/list'", $node->connstr('before') ]);
is(as('the_officer', 'before', 'SELECT jsonb_array_length(cdp.erase_suppressed())'), 1, 'with the suppression list of later she is erased there again');
is(as('the_officer', 'before', 'SELECT cdp.erase_suppressed()'), '[]', 'once');
is(traces('before'), '', 'nothing is left of her there');
is(sql('before', $direct), $was{direct}, 'and the figures stay');

# 6. Receipts.
is(sql('one', 'SELECT * FROM cdp.erasure_verify()'), '', 'the receipt is whole');
as('the_connector', 'one', q{SELECT cdp.acknowledge_erasure(1, 'mailer', 'T-55'), cdp.acknowledge_erasure(1, 'ads', refusal => 'tax law')});
is(sql('one', q{SELECT string_agg(destination || ' ' || state, ', ' ORDER BY destination) FROM cdp_bi.erasure_destination}), 'ads refused, mailer acknowledged, old not queued', 'destinations have answered');
is(sql('one', 'SELECT count(*) FROM cdp_data.outbox'), 0, 'their messages are gone');
sql('one', q{UPDATE cdp_data.erasure_destination SET due_at = now() - interval '1 day'});
is(sql('one', q{SELECT string_agg(finding || ' ' || severity, ' ') FROM cdp.health() WHERE area = 'erasure' AND severity = 'error'}), 'erasure_unacknowledged error', 'who has not answered in time is a finding');
sql('one', q{UPDATE cdp_data.erasure SET identifiers = 6});
is(sql('one', 'SELECT count(*) FROM cdp.erasure_verify()'), 1, 'a changed receipt is found');
is(as('the_officer', 'one', q{SELECT cdp.lift_suppression('email', 'ERIKA.muster@beispiel.example', 'signed up again')}), 't', 'she may come back as somebody new');
is(sql('one', q{SELECT status FROM cdp.identify('app', '{"email": "erika.muster@beispiel.example"}')}), 'written', 'when she wants to');

# 7. Mode delete.
make('gone');
$x = sql('gone', "SELECT $her");
my $n = sql('gone', "SELECT count(*) FROM cdp_data.touchpoint WHERE identifier_id IN (SELECT identifier_id FROM cdp_internal.members($x))");
my $all = sql('gone', 'SELECT count(*) FROM cdp_data.touchpoint');
as('the_officer', 'gone', "SELECT cdp.erase_customer($x, 'delete')");
is(traces('gone'), '', 'mode delete: nothing of her is in the dump');
is(sql('gone', 'SELECT count(*) FROM cdp_data.touchpoint'), $all - $n, 'nor are her touches');
my $roll = sql('gone', $stored);
sql('gone', 'DELETE FROM cdp_data.attribution_journey; DELETE FROM cdp_data.attribution_day; UPDATE cdp_data.attribution_rollup SET basis = NULL; SELECT count(*) FROM cdp.refresh_attribution()');
is(sql('gone', $stored), $roll, 'roll-ups are without her at once');
is(sql('gone', q{SELECT cdp.revert_load(1); SELECT cdp.retry_load(1); SELECT count(*) FROM cdp_data.touchpoint}) =~ s/.*\n//sr, $all - $n, 'a revert and a retry bring none back');
is(traces('gone'), '', 'and nothing else');

done_testing();

# Copies a database while nobody is in it.
sub copy_db {
	my ($from, $to) = @_;
	sql('postgres', "CREATE DATABASE $to TEMPLATE $from");
}
