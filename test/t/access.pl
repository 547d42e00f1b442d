# Each part that setup() grants is played by a role that logs in and tries everything: every column, every table,
# every function, from the catalogue, so that what a later room adds is tried, too. What it may do is what was declared,
# and no part but privacy reads a personal value.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @parts = qw(admin analyst marketer finance privacy connector reader gateway);
my $node  = cdp_node('access');
my $db    = 'guarded';

# A plain role owns the tables, as it should be: nothing may work only because a superuser owns them.
$node->safe_psql('postgres', "CREATE ROLE keeper; CREATE ROLE stranger LOGIN; CREATE DATABASE $db TEMPLATE template0 ENCODING 'UTF8'");
$node->safe_psql('postgres', "CREATE ROLE the_$_ LOGIN") for @parts;
$node->safe_psql($db, "CREATE EXTENSION pg_cdp; GRANT CREATE ON DATABASE $db TO keeper; GRANT CREATE ON SCHEMA public TO keeper");
$node->safe_psql($db, 'SET ROLE keeper; CALL cdp.setup(timezone => $$UTC$$, currency => $$EUR$$, ' . join(', ', map { "$_ => 'the_$_'" } @parts) . ')');
fill($node, $db, 300);
$node->safe_psql($db, q{SET ROLE keeper; SELECT cdp.add_source('crm'); SELECT cdp.identify('crm', '{"email": "lena@example.com", "phone": "+8613812345678"}', '{"full_name": "Lena Novak", "city": "Graz"}');
	INSERT INTO cdp_data.destination (destination) VALUES ('mailer');
	SELECT cdp.refresh_profiles()});

sub as { # role, SQL: (exit code, output, error)
	my ($role, $sql) = @_;
	return $node->psql($db, $sql, extra_params => [ '-U', $role ]);
}

sub probe { # role: the attempts of access_probe.sql as a list of [what, object, column, result]
	my ($role) = @_;
	my ($rc, $out, $err) = as($role, slurp_file("$ENV{CDP_TOP}/test/t/access_probe.sql"));
	die "probe as $role: $err" if $rc;
	return map { [ split /\|/, $_, -1 ] } split /\n/, $out;
}

# What was declared, spelled out: part|what|object|column.
my %declared = map { $_ => 1 } split /\n/, $node->safe_psql($db, q{
	WITH word AS (
	  SELECT g.template, g.object_kind, g.object, lower(w[1]) AS what, w[2] AS columns
	  FROM cdp_data.grant_rule g, regexp_matches(g.privileges, '([A-Z]+)(?: \(([a-z_, ]+)\))?', 'g') AS w)
	SELECT w.template || '|' || w.what || '|' || to_regclass(w.object) || '|' || a.attname
	FROM word w JOIN pg_attribute a ON a.attrelid = to_regclass(w.object) AND a.attnum > 0 AND NOT a.attisdropped
	WHERE w.object_kind = 'TABLE' AND w.what = 'select' AND (w.columns IS NULL OR a.attname = ANY (string_to_array(w.columns, ', ')))
	UNION ALL
	SELECT w.template || '|' || w.what || '|' || to_regclass(w.object) || '|' FROM word w WHERE w.object_kind = 'TABLE' AND w.what <> 'select'
	UNION ALL
	SELECT w.template || '|lock|' || to_regclass(w.object) || '|' FROM word w WHERE w.object_kind = 'TABLE' AND w.what IN ('update', 'delete', 'truncate')
	UNION ALL
	SELECT w.template || '|sequence|' || w.object || '|' FROM word w WHERE w.object_kind = 'SEQUENCE' AND w.what = 'usage'
	UNION ALL
	SELECT w.template || '|definer|' || to_regprocedure(w.object) || '|' FROM word w WHERE w.object_kind = 'FUNCTION'});
# Values about people, and tables with a row for a person.
my %personal = map { $_ => 1 } split /\n/, $node->safe_psql($db, q{SELECT to_regclass(table_name) || '|' || column_name FROM cdp_internal.personal_values()});
my %about = map { $_ => 1 } split /\n/, $node->safe_psql($db, q{SELECT DISTINCT to_regclass(table_name)::text FROM cdp_data.personal_data WHERE subject_key IS NOT NULL});
cmp_ok(scalar keys %personal, '>', 20, 'the registry knows personal values');

# What somebody may write anyway, a function that he calls may write, too: lists and settings.
my $writable = $node->safe_psql($db, q{SELECT string_agg(DISTINCT object, '|') FROM cdp_data.grant_rule WHERE object_kind = 'TABLE' AND privileges ~ 'INSERT|UPDATE|DELETE'});
my $before = contents($node, $db, qr/audit|^(?:$writable)$/);
for my $part (@parts, 'stranger') {
	my $role = $part eq 'stranger' ? $part : "the_$part";
	my (@surplus, @missing, @values, @writes, @broken, %tried);
	for my $t (probe($role)) {
		my ($what, $object, $column, $result) = @$t;
		my $may = $declared{"$part|$what|$object|$column"};
		$tried{$what}++;
		push @broken, "$object $result" if $result =~ /^(XX|57P|08)/;
		if ($what eq 'call') { next }
		my $could = $result ne 'denied';
		push @surplus, "$what $object $column" if $could && !$may;
		push @missing, "$what $object $column" if !$could && $may;
		push @values, "$object.$column" if $what eq 'select' && $could && $personal{"$object|$column"} && $part ne 'privacy';
		push @writes, "$what $object" if $could && $what =~ /insert|update|delete|truncate/ && $about{$object};
		push @writes, "reads $object" if $could && $part eq 'reader' && $about{$object};
	}
	is("@surplus", '', "$part can do nothing that is not declared");
	is("@missing", '', "$part can do all that is declared");
	is("@values", '', "$part reads no personal value") if $part ne 'privacy';
	is("@writes", '', "$part writes no row about a person by hand" . ($part eq 'reader' ? ', and reads none' : ''));
	is("@broken", '', "no function fails inside when $part calls it with NULLs");
	cmp_ok($tried{$_}, '>', { select => 400, insert => 40, call => 300, definer => 8 }->{$_}, "$tried{$_} attempts: $_") for qw(select insert call definer);
}
is(contents($node, $db, qr/audit|^(?:$writable)$/), $before, 'and nothing else was changed by all that');

# The check itself: one grant too many is seen by it, by the review and by health().
$node->safe_psql($db, 'GRANT SELECT (value) ON cdp_data.identifier TO the_analyst');
is(join(' ', map { "$_->[1].$_->[2]" } grep { $_->[0] eq 'select' && $_->[3] eq 'ok' && $personal{"$_->[1]|$_->[2]"} } probe('the_analyst')),
	'cdp_data.identifier.value', 'a grant too many is found');
is($node->safe_psql($db, q{SELECT role_name, template, table_name, column_name FROM cdp.access_review() WHERE how = 'granted'}),
	'the_analyst|analyst|cdp_data.identifier|value', 'the review names it');
like($node->safe_psql($db, q{SELECT detail FROM cdp.health() WHERE finding = 'personal_readable'}), qr/the_analyst can read cdp_data.identifier.value/, 'health() warns');
$node->safe_psql($db, 'REVOKE SELECT (value) ON cdp_data.identifier FROM the_analyst');
is($node->safe_psql($db, q{SELECT count(*) FROM cdp.access_review() WHERE how NOT IN ('superuser', 'owner of the table', 'privacy')}), 0, 'and then nobody');

# What each part is for.
sub can { my ($role, $sql, $want) = @_; my ($rc, $out, $err) = as($role, $sql); is($rc, 0, "$role: $sql") or diag $err; is($out, $want, '  its answer') if defined $want; }
sub cannot { my ($role, $sql, $state) = @_; my ($rc, $out, $err) = as($role, "\\set VERBOSITY sqlstate\n$sql"); isnt($rc, 0, "$role not: $sql"); like($err, qr/$state/, "  with $state"); }

can('the_analyst', q{SELECT count(*) > 0 FROM cdp.attribution()}, 't');
can('the_analyst', q{SELECT masked FROM cdp_bi.identifier_masked WHERE identifier_type IN ('email', 'phone') AND masked !~ 'p\*' ORDER BY 1}, "+86 138****5678\nl***\@e***.com");
can('the_analyst', q{SELECT full_name, city, emails, phones FROM cdp_bi.customer_masked WHERE full_name IS NOT NULL}, 'L** N**|Graz|{l***@e***.com}|{"+86 138****5678"}');
# A filter that tells what it sees gets the mask, whatever it costs.
can('the_analyst', q{CREATE FUNCTION pg_temp.spy(v text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN IF v LIKE '%@example%' THEN RAISE NOTICE 'seen: %', v; END IF; RETURN true; END $$;
	SET client_min_messages = notice; SELECT count(*) > 40 FROM cdp_bi.identifier_masked WHERE pg_temp.spy(masked)}, 't');
unlike((as('the_analyst', q{CREATE FUNCTION pg_temp.spy(v text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE '%', v; RETURN true; END $$;
	SELECT count(*) FROM cdp_bi.identifier_masked WHERE pg_temp.spy(masked)}))[2], qr/example/, 'no value passes by a filter');
can('the_analyst', q{SELECT count(*) FROM cdp_bi.identifier_masked WHERE masked = 'lena@example.com'}, 0);
cannot('the_analyst', $_, '42501') for 'SELECT i FROM cdp_data.identifier i', 'SELECT row_to_json(i) FROM cdp_data.identifier i', 'COPY cdp_data.identifier (value) TO STDOUT',
	q{SELECT count(*) FROM cdp_data.identifier NATURAL JOIN (SELECT 'lena@example.com'::text AS value) v}, 'CREATE STATISTICS s ON type_id, value FROM cdp_data.identifier',
	'CREATE TEMP VIEW v AS SELECT value FROM cdp_data.identifier; SELECT * FROM v', q{SELECT cdp.connected_components_text('cdp_data.identifier', 'value', 'value')},
	q{SELECT cdp_internal.is_suppressed(2::smallint, 'lena@example.com')};
$node->safe_psql($db, 'SET ROLE keeper; ANALYZE cdp_data.identifier, cdp_data.attribute_value, cdp_data.profile');
can('the_analyst', q{SELECT count(*) FROM pg_stats WHERE schemaname ~ '^cdp' AND concat(most_common_vals::text, histogram_bounds::text) ~ 'person[0-9]|lena|Lena|example'}, 0);
{
	# Functions and tables of the reader's own before ours on the path, and an error that tells what it was given.
	my (undef, $out, $err) = as('the_analyst', q{CREATE FUNCTION pg_temp.mask_email(text) RETURNS text LANGUAGE sql AS 'SELECT $1'; CREATE FUNCTION pg_temp.length(text) RETURNS integer LANGUAGE plpgsql AS
		$$ BEGIN RAISE NOTICE 'leak %', $1; RETURN 99; END $$; CREATE TEMP TABLE setting AS SELECT 'off'::text AS audit; SET search_path = pg_temp, cdp_data, pg_catalog;
		SELECT string_agg(masked, ' ') FROM cdp_bi.identifier_masked; SELECT count(*) FROM cdp_bi.customer_masked WHERE full_name::integer = 1});
	unlike("$out$err", qr/example\.|lena|Lena|leak/, 'no value by an own search path or an error');
	like($err, qr/invalid input syntax for type integer: "L\*\* N\*\*"/, '  which tells the mask');
}
cannot('the_analyst', q{SELECT cdp.customer_of('email', 'lena@example.com')}, '42501');
cannot('the_analyst', q{SELECT cdp_internal.keyed_digest('suppression', '1:lena@example.com')}, '42501');
cannot('the_marketer', q{SELECT full_name FROM cdp_data.profile}, '42501');
cannot('the_admin', q{SELECT cdp.customer_of('email', 'lena@example.com')}, '42501');
cannot('the_admin', q{SELECT value FROM cdp_data.identifier_block}, '42501');
# An admin tries no values until a digest fits, and makes no value open that is not; what he runs works.
cannot('the_admin', q{SELECT cdp_internal.keyed_digest('audit', '2:lena@example.com')}, '42501');
cannot('the_admin', q{SELECT cdp_internal.keyed_digests('suppression', '2:lena@example.com', '{1}')}, '42501');
cannot('the_admin', q{SELECT cdp.encrypt_text('x', 'y')}, '42501');
can('the_admin', q{SELECT count(*) > 0 AND bool_and(severity = 'info') FROM cdp.audit_verify()}, 't');
cannot('the_admin', q{SELECT cdp.add_attribute('full_name', sensitivity => 'internal')}, '42501');
cannot('the_admin', q{SELECT cdp.add_attribute('hobby', sensitivity => 'internal')}, '42501');
cannot('the_admin', q{INSERT INTO cdp_data.attribute (attribute_id, name, sensitivity) VALUES (5000, 'x', 'internal')}, '42501');
can('the_admin', q{SELECT cdp.add_attribute('hobby') > 999 AND cdp.add_attribute('city', strategy => 'earliest') = cdp.add_attribute('city', strategy => 'latest') AND cdp.add_identifier_type('badge') > 999}, 't');
# What a purpose allows holds for everybody at once and is told to all who read: by cdp.set_purpose() of the owner, not by hand.
cannot('the_admin', q{UPDATE cdp_data.purpose SET rule = 'none'}, '42501');
cannot('the_admin', q{UPDATE cdp_data.attribute SET sensitivity = 'internal' WHERE name = 'hobby'}, '42501');
cannot('the_admin', q{UPDATE cdp_data.attribute SET name = 'full_name2' WHERE name = 'city'}, '42501');
$node->safe_psql($db, q{SET ROLE keeper; SELECT cdp.add_attribute('region', sensitivity => 'sensitive'); SELECT cdp.add_attribute('pin', 'text', 'latest'); SELECT cdp.encrypt_attribute('pin')});
cannot('the_admin', q{DELETE FROM cdp_data.attribute WHERE name = 'region'}, '42501');
cannot('the_admin', q{UPDATE cdp_data.attribute SET encrypted = false WHERE name = 'pin'}, '42501');
can('the_admin', q{SELECT count(*) FROM cdp.identity_check()}, 0);
can('the_admin', q{SELECT count(*) FROM cdp.customer_merges(1) WHERE note IS NOT NULL}, 0);
cannot('the_analyst', q{SELECT error FROM cdp_data.job_run}, '42501');
can('the_admin', q{UPDATE cdp_data.setting SET partitions_ahead = 4; INSERT INTO cdp_data.identifier_block (type_id, value) VALUES (NULL, 'nobody@example.org')});
can('the_finance', q{INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) VALUES ('USD', 'EUR', '2026-01-01', 0.9)});
can('the_reader', q{SELECT count(*) >= 0 FROM cdp_bi.attribution_day}, 't');
cannot('the_reader', q{SELECT * FROM cdp_data.touchpoint}, '42501');
cannot('stranger', q{SELECT * FROM cdp_bi.attribution_day}, '42501');
cannot("the_$_", q{SELECT cdp.restrict_to_sources('the_reader', '{crm}')}, '42501') for @parts;

# Single calls, as docs/access.md lists them: who may gets an answer, everybody else 42501.
my $who = $node->safe_psql($db, q{SELECT customer_id FROM cdp_data.identifier WHERE value = 'lena@example.com'});
$node->safe_psql($db, q{SET ROLE keeper; SELECT cdp.create_segment(n, r, 'marketing') FROM (VALUES ('buyers', 'did(purchase) or country = ''AT'''), ('namesakes', 'last_name = ''Novak''')) v (n, r);
	SELECT cdp.segment_tick()});
$node->safe_psql($db, q{SET ROLE keeper; SELECT cdp.create_connection('account', 'wecom', source => 'crm'), cdp.set_secret('account', 'corpsecret', 'x')});
my ($one, $two) = split /\|/, $node->safe_psql($db, qq{SELECT min(identifier_id), max(identifier_id) FROM cdp_data.identifier WHERE customer_id = $who});
my @call = (
	[ 'admin analyst marketer finance privacy', "cdp.customer_360($who)", "count(*) FROM cdp.customer_timeline($who)", 'count(*) FROM cdp.attribution()', 'count(*) FROM cdp.attribution_data_check()' ],
	[ 'admin analyst marketer finance privacy', q{count(*) FROM cdp.segment_preview('city = ''Graz'' or gender is known')}, q{count(*) FROM cdp.segment_compare(cdp.segment_rule('did(purchase)'), cdp.segment_rule('country = ''AT'''))},
		"count(*) FROM cdp.segment_explain('buyers', $who)", q{count(*) FROM cdp.segment_explain_plan('buyers', true)} ],
	[ 'admin analyst marketer privacy', q{count(*) FROM cdp.segment_drivers('buyers')}, 'count(*) FROM cdp_bi.segment_profile', 'count(*) FROM cdp_bi.segment_unused' ],
	[ 'admin analyst marketer privacy connector', q{count(*) FROM cdp.segment_overlap()}, q{count(*) FROM cdp.segment_drift('buyers', now())}, q{count(*) FROM cdp.segment_members('buyers')}, 'count(*) FROM cdp_bi.customer_segment' ],
	[ 'privacy', q{count(*) FROM cdp.segment_preview('last_name = ''Novak''')}, q{count(*) FROM cdp.segment_compare(cdp.segment_rule('everybody'), cdp.segment_rule('region = ''x'''))},
		"count(*) FROM cdp.segment_explain('namesakes', $who)" ],
	[ 'admin analyst marketer privacy', "cdp.customer_asof($who, now())", 'count(*) FROM cdp_bi.customer_masked' ],
	[ 'admin analyst marketer finance privacy connector', "cdp.consent_allowed($who, 'marketing', 'email')", "count(*) FROM cdp.consented_customers('marketing', 'email')", "cdp.outbox_refusal('mailer', 'offer', $who)",
		"cdp.request_export('x', 5)", 'count(*) FROM cdp.access_review()' ],
	[ 'admin privacy', "count(*) FROM cdp.explain_identity($who)", "count(*) FROM cdp.why_same($one, $two)", "count(*) FROM cdp.customer_merges($who)", 'count(*) FROM cdp.identity_check()', "count(*) FROM cdp.identity_bridges($who)",
		'count(*) FROM cdp.identity_supernodes()', 'count(*) FROM cdp.audit_verify()', 'count(*) FROM cdp_data.job_run' ],
	[ 'admin', "cdp.add_source('one more')", "cdp.set_gate('one', 'completeness', target => 'identifier email', min_share => 0.5)", "cdp.add_attribute('two')", "cdp.add_identifier_type('three')" ],
	[ 'privacy', "cdp.customer_of('email', 'lena\@example.com')", "cdp.customer_360('email', 'lena\@example.com')", "count(*) FROM cdp.consent_history('email', 'lena\@example.com')", "cdp.consent_at($who, 'marketing', 'email')",
		"count(*) FROM cdp.customer_groups($who)", "cdp.subject_export($who)", "cdp.reveal($who, 'city')", "cdp.erase_customer($who)", "cdp.open_request('access', 'GDPR')", "cdp.lift_suppression('email', 'x\@example.org', 'asked')" ],
	[ 'privacy connector', "cdp.encrypt_text('x', 'y')" ],
	[ 'admin', "cdp.create_connection('x', 'wecom', source => 'crm')" ],
	[ 'admin analyst marketer privacy', 'count(*) FROM cdp_bi.channel_content', 'count(headline) FROM cdp_data.content', 'count(code) FROM cdp_data.map_refused', 'count(*) FROM cdp_data.map_progress' ],
	[ 'privacy', 'count(body) FROM cdp_data.content', 'count(author) FROM cdp_data.content', 'count(record_key) FROM cdp_data.map_refused' ],
	[ 'admin analyst marketer privacy', "count(*) FROM cdp.connection_gate('account')", 'count(*) FROM cdp_bi.connection_status', 'count(*) FROM cdp_bi.integration_success' ],
	[ 'admin marketer privacy', "count(*) FROM cdp.connection_needs('account')" ],
	[ '', "cdp.configure_connection('account', min_quality => 0.5)", "cdp.set_secret('account', 'corpsecret', 'x')", "cdp.drop_secret('account', 'corpsecret')", "cdp.retire_connection('account', 'x')", "cdp_internal.probe_secret(1, 'corpsecret')",
		"cdp_internal.secret_for(1, 'corpsecret', 'keeper')", "cdp_internal.token_get('x')", "cdp_internal.move_connection(1, 'retired', 'x')", "cdp.set_secret_reference('account', 'corpsecret', 'env:PATH')" ],
	[ '', 'cdp.seal_audit()', 'cdp_internal.rotation_begin()', "cdp.restrict_to_sources('the_reader', '{crm}')", "cdp.set_purpose('loyalty', 'consent', 'opt_in')", "cdp.place_hold($who, 'x', now() + interval '1 day')", "cdp.set_retention('quarantine', '90 days')",
		"cdp.revert_load(1)", "cdp.identify('crm', '{\"email\": \"a\@example.org\"}')" ]);
for my $line (@call) {
	my ($parts, @statements) = @$line;
	for my $call (@statements) {
		my @may = grep {
			my ($rc, undef, $err) = as("the_$_", "\\set ON_ERROR_STOP off\n\\set VERBOSITY sqlstate\nSET client_min_messages = error;\nBEGIN;\nSELECT $call;\nROLLBACK");
			diag "the_$_: $call: $err" if $err && $err !~ /42501/;
			$err !~ /42501/;
		} @parts;
		is("@may", $parts, "$call: " . ($parts || 'the owner only'));
	}
}
like((as('the_analyst', q{SELECT cdp.customer_of('email', 'lena@example.com')}))[2], qr/permission denied to look people up by their identifiers/, 'whom it takes is said');
like((as('the_analyst', q{SELECT * FROM cdp.segment_preview('first_name = ''Lena'' and region = ''x'' and city = ''Graz''')}))[2], qr/permission denied to read personal attributes\nDETAIL:  Asked for: first_name, region\.\nHINT:  Ask for internal/, 'and what is personal of a rule');

# The connector: by its roads only.
my $shop_only = (as('the_analyst', q{SELECT * FROM cdp.attribution(models => '{last,linear,markov}') ORDER BY label, model}))[1];
can('the_connector', q{SELECT status FROM cdp_api.identify('crm', '{"email": "max@example.com"}', '{"full_name": "Max"}', message_id => 'm1')}, 'written');
can('the_connector', q{SELECT status FROM cdp_api.alias('crm', '{"cookie": "k1"}', '{"email": "max@example.com"}')}, 'written');
can('the_connector', q{SELECT status FROM cdp_api.track('crm', 'purchase', '{"email": "max@example.com"}', value => 5)}, 'written');
can('the_connector', q{SELECT status FROM cdp_api.page('crm', '{"email": "max@example.com"}', 'home')}, 'written');
can('the_connector', q{SELECT status FROM cdp_api.group('crm', '{"email": "max@example.com"}', 'team 1')}, 'written');
can('the_connector', q{SELECT status FROM cdp_api.ingest('crm', '{"type": "track", "event": "click", "userId": "u1", "messageId": "m2"}')}, 'written');
can('the_connector', q{SELECT result FROM cdp_api.record_consent('crm', 'marketing', 'granted', '{"email": "max@example.com"}', channel => 'email')}, 'written');
$node->safe_psql($db, q{SET ROLE keeper; UPDATE cdp_data.destination SET purpose = 'service'; SELECT cdp.outbox_put('mailer', 'order', '{"to": "max@example.com"}', customer_id => cdp.customer_of('email', 'max@example.com'))});
can('the_connector', q{SELECT payload ->> 'to' FROM cdp_api.outbox_take('mailer')}, 'max@example.com');
my $sent = $node->safe_psql($db, 'SELECT max(outbox_id) FROM cdp_data.outbox');
can('the_connector', "SELECT cdp_api.outbox_sent($sent), cdp_api.outbox_failed($sent, 'no such message')", 't|f');
is($node->safe_psql($db, q{SELECT actor, detail FROM cdp_data.audit WHERE action = 'deliver'}), 'the_connector|{"messages": 1}', 'what was given out is in the audit');
# Offers: a site asks and tells, and sees neither why there is none nor what was decided of others; reports are for those who read decisions.
$node->safe_psql($db, q{SET ROLE keeper; SELECT cdp.create_placement('home'), cdp.create_offer('gift', '{home}', 'service', '{"title": "gift"}', inventory => 1)});
my $max = $node->safe_psql($db, q{SELECT cdp.customer_of('email', 'max@example.com')});
can('the_connector', qq{SELECT offer, content FROM cdp_api.next_best_offer($max, 'home')}, 'gift|{"title": "gift"}');
my $given = $node->safe_psql($db, 'SELECT max(decision_id) FROM cdp_data.offer_decision');
can('the_connector', "SELECT cdp_api.record_offer_outcome($given, 'accepted', 5), cdp_api.record_offer_outcome($given, 'accepted', 5), cdp_api.release_offer($given)", 'recorded|repeated|f');
can('the_connector', qq{SELECT offer, reason FROM cdp_api.next_best_offer($max, 'home')}, '|nothing');
cannot('the_connector', qq{SELECT * FROM cdp.next_best_offer($max, 'home')}, '42501');
can("the_$_", 'SELECT offer, accepted, value FROM cdp_bi.offer_performance', 'gift|1|5') for qw(admin analyst marketer privacy);
can('the_marketer', q{SELECT estimate FROM cdp.offer_policy_value('home', '{"method": "uniform"}') WHERE estimator = 'ips'}, '1');
cannot('the_finance', 'SELECT * FROM cdp.offer_performance()', '42501');
cannot('the_marketer', $_, '42501') for q{SELECT cdp.create_offer('mine', '{home}', 'service')}, q{SELECT cdp.add_offer_stock('gift', 5)}, "SELECT cdp.record_offer_outcome($given, 'clicked')", qq{SELECT * FROM cdp_api.next_best_offer($max, 'home')};
cannot('the_connector', q{SELECT cdp.identify('crm', '{"email": "max@example.com"}')}, '42501');
cannot('the_connector', q{SELECT value FROM cdp_data.identifier}, '42501');
cannot('the_connector', q{SELECT * FROM cdp_data.profile}, '42501');
cannot('the_connector', q{SELECT payload FROM cdp_data.outbox}, '42501');
cannot("the_$_", q{SELECT cdp_api.identify('crm', '{"email": "max@example.com"}')}, '42501') for grep { $_ ne 'connector' } @parts;

like((as('the_admin', q{SELECT cdp.set_gate('crm calls', 'freshness', 'crm', max_age => '1 hour')}))[2], qr/source "crm" sends calls, which count by the day/, 'a gate that can not notice is told');
can('the_admin', q{SELECT cdp.drop_gate('crm calls')}, 't');

# Reads of personal values are logged, with who asked; who gets no value leaves no trace.
my $lena = $node->safe_psql($db, q{SELECT cdp.customer_of('email', 'lena@example.com')});
can('the_privacy', "SELECT cdp.customer_360($lena) -> 'identifiers' -> 0 ->> 'value' IS NOT NULL", 't');
can('the_privacy', "SELECT count(*) > 0 FROM cdp.customer_timeline($lena)", 't');
# Decrypting leaves a trace, whatever road is tried.
my $here = $node->safe_psql($db, 'SELECT max(audit_id) FROM cdp_data.audit');
can('the_privacy', q{SELECT cdp.decrypt_text(cdp.encrypt_text('secret', 'c'), 'c')}, 'secret');
can('the_privacy', "SELECT cdp.reveal($lena, 'city')", 'Graz');
is($node->safe_psql($db, qq{SELECT string_agg(actor || ' ' || object, ', ' ORDER BY audit_id) FROM cdp_data.audit WHERE action = 'reveal' AND audit_id > $here}), 'the_privacy text, the_privacy attribute city', 'two values, two rows');
for my $road (q{cdp_internal.open_text(cdp.encrypt_text('secret', 'c'), 'text c')}, q{cdp_internal.open_attribute(1, 'cdp1:1:x')}, q{cdp_internal.decrypt_in(cdp.encrypt_text('secret', 'c'), 'c')}) {
	cannot('the_privacy', "SELECT $road", '42501');
}
cannot("the_$_", "SELECT cdp.reveal($lena, 'city')", '42501') for grep { $_ ne 'privacy' } @parts;
can('the_privacy', "SELECT count(*) FROM cdp.explain_identity($lena) WHERE value IS NOT NULL", 2);
can('the_analyst', "SELECT cdp.customer_360($lena) ->> 'hidden' <> '[]'", 't');
can('the_analyst', "SELECT count(*) FROM cdp.customer_timeline($lena) WHERE detail ? 'value'", 0);
is($node->safe_psql($db, "SELECT actor, role, object, customer_id FROM cdp_data.audit WHERE action = 'read' AND customer_id = $lena ORDER BY audit_id"),
	join("\n", map { "the_privacy|the_privacy|$_|$lena" } qw(customer_360 customer_timeline explain_identity)), 'three reads, three rows');

# Row security by source. The agency is an analyst kept to the shop: it sees what was there before the others came.
$node->safe_psql($db, 'CREATE ROLE agency LOGIN; GRANT the_analyst TO agency');
my $report = q{SELECT * FROM cdp.attribution(models => '{last,linear,markov}') ORDER BY label, model};
my $all = (as('agency', $report))[1];
isnt($all, $shop_only, 'two sources give another report than one');
is($node->safe_psql($db, q{SET ROLE keeper; SELECT cdp.restrict_to_sources('agency', '{shop}')}), 1, 'kept to one source');
can('agency', $report, $shop_only);
can('the_analyst', $report, $all);
can('agency', q{SELECT count(DISTINCT source_id) FROM cdp_data.touchpoint}, 1);
can('agency', q{SELECT count(*) FROM cdp_data.load WHERE source_id <> (SELECT source_id FROM cdp_data.source WHERE name = 'shop')}, 0);
can('agency', 'SELECT (SELECT count(*) FROM cdp_bi.customer_profile), (SELECT count(*) FROM cdp_bi.customer_masked), (SELECT count(*) FROM cdp_bi.identifier_masked)', '0|0|0');
cannot('agency', 'SELECT * FROM cdp_data.touchpoint_2026_02', '42501');
# The part that the agency inherits from is not restricted; taking it with SET ROLE is no way out.
can('agency', q{SET ROLE the_analyst; SELECT (SELECT count(DISTINCT source_id) FROM cdp_data.touchpoint), (SELECT count(*) FROM cdp_bi.customer_masked)}, '1|0');
can('agency', q{PREPARE p AS SELECT count(DISTINCT source_id) FROM cdp_data.touchpoint; SET ROLE the_analyst; EXECUTE p}, 1);
# A pool's login inherits nothing: it is bound by the role that it takes.
$node->safe_psql($db, 'CREATE ROLE pool LOGIN NOINHERIT; GRANT agency, the_analyst TO pool');
can('pool', q{SET ROLE agency; SELECT count(DISTINCT source_id) FROM cdp_data.touchpoint}, 1);
can('pool', q{SET ROLE the_analyst; SELECT count(DISTINCT source_id) FROM cdp_data.touchpoint}, 2);
is($node->safe_psql($db, q{SELECT count(*) > 0 FROM cdp_bi.customer_masked}), 't', 'a superuser is a member of every role and kept to nothing');
unlike((as('agency', q{CREATE FUNCTION pg_temp.spy(v text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'seen'; RETURN true; END $$;
	SELECT count(*) FROM cdp_bi.identifier_masked WHERE pg_temp.spy(masked)}))[2], qr/seen/, 'no mask passes by a filter either');
cannot('agency', q{SELECT cdp.restrict_to_sources('agency', NULL)}, '42501');
cannot('agency', q{DELETE FROM cdp_data.source_right}, '42501');
is($node->safe_psql($db, q{SELECT count(*) FROM cdp_internal.source_tables() s JOIN pg_class c ON c.oid = to_regclass('cdp_data.' || s.table_name) WHERE NOT c.relrowsecurity}), 0, 'every table with sources is covered');
can('the_connector', q{SELECT status FROM cdp_api.track('crm', 'click', '{"email": "max@example.com"}')}, 'written');
$node->safe_psql($db, q{SET ROLE keeper; SELECT cdp.restrict_to_sources('the_connector', '{shop}')});
cannot('the_connector', q{SELECT cdp_api.track('crm', 'click', '{"email": "max@example.com"}')}, '42501');
cannot('the_connector', q{SELECT cdp_api.ingest('crm', '[]')}, '42501');
$node->safe_psql($db, q{CREATE ROLE hub LOGIN; GRANT the_connector TO hub; SET ROLE keeper; SELECT cdp.restrict_to_sources('the_connector', NULL), cdp.restrict_to_sources('hub', '{shop}')});
cannot('hub', q{SET ROLE the_connector; SELECT cdp_api.track('crm', 'click', '{"email": "max@example.com"}')}, '42501');
$node->safe_psql($db, q{SET ROLE keeper; SELECT cdp.restrict_to_sources('hub', NULL), cdp.restrict_to_sources('the_connector', '{shop}')});
can('the_connector', q{SELECT status FROM cdp_api.track('shop', 'form_submit', '{"email": "max@example.com"}')}, 'written');
# A table that a later release brings is covered by its setup().
$node->safe_psql($db, 'SET ROLE keeper; CREATE TABLE cdp_data.later (source_id integer, note text); INSERT INTO cdp_data.later VALUES (1, NULL), (2, NULL); GRANT SELECT ON cdp_data.later TO the_analyst');
is($node->safe_psql($db, q{SELECT detail FROM cdp.health() WHERE finding = 'source_policy_missing'}), 'cdp_data.later is not covered by row security by source', 'health() tells of one that is not');
$node->safe_psql($db, 'SET ROLE keeper; CALL cdp.setup()');
can('agency', 'SELECT count(*) FROM cdp_data.later', 1);
$node->safe_psql($db, q{SET ROLE keeper; SELECT cdp.restrict_to_sources('agency', NULL), cdp.restrict_to_sources('the_connector', NULL)});
is($node->safe_psql($db, q{SELECT count(*) FROM pg_class WHERE relnamespace = 'cdp_data'::regnamespace AND relrowsecurity}), 0, 'lifted, nothing is left that costs');
can('agency', 'SELECT count(*) FROM cdp_data.later', 2);
for my $wrong ([ 'nobody_such', '{shop}', '42704' ], [ 'agency', '{shops}', '22023' ], [ 'agency', '{}', '22023' ], [ 'keeper', '{shop}', '22023' ]) {
	my ($rc, undef, $err) = $node->psql($db, "\\set VERBOSITY sqlstate\nSET ROLE keeper; SELECT cdp.restrict_to_sources('$wrong->[0]', '$wrong->[1]')");
	like($err, qr/$wrong->[2]/, "refused: $wrong->[0] $wrong->[1]");
}
done_testing();
