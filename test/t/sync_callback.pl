# From a callback to the record: what a platform pushes is asked for by the next pull, that alone and at once, and once; a list of
# which one is asked stays a list; whole streams and what the vendor does not know are wished once.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use CdpTest;
use MockVendor;

my $node = cdp_node('sync_callback');
my $mock = MockVendor->new(dir => PostgreSQL::Test::Utils::tempdir(), plain => 1);
$node->append_conf('postgresql.conf', MockVendor::conf($mock));
$node->reload;
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $key = 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C';
$sql->($mock->connect_sql('app', streams => [qw(follow_users contacts groupchats groupchat_members)], secrets => { callback_token => 'QDG6eK', callback_key => $key }, change => { callback => { dialect => 'wecom', receiver => 'corpid', events => [
	{ when => [ { path => 'Event', equals => 'change_external_contact' } ], stream => 'contacts', part => 'UserID' },
	{ when => [ { path => 'Event', equals => 'change_external_chat' } ], stream => 'groupchats' },
	{ when => [ { path => 'Event', equals => 'change_external_chat' } ], stream => 'groupchat_members', part => 'ChatId' } ] } }));

my $n = 0;
sub pushed { # what the database answers to a message
	my ($message) = @_;
	$n++;
	return $sql->(qq{SELECT convert_from(cdp.receive_callback('app', cdp_internal.known_callback_signature('QDG6eK', t, 'n$n', c), t, 'n$n', convert_to('<xml><Encrypt>' || c || '</Encrypt></xml>', 'UTF8')), 'UTF8')
		FROM (SELECT floor(extract(epoch FROM clock_timestamp()))::bigint::text AS t, cdp_internal.known_callback_seal('$key', '$mock->{set}{corpid}', decode(md5('$n'), 'hex'), '$message') AS c) x});
}
sub pulled { # what a run asked the vendor for, paths by their last name, with whom
	my $from = scalar($mock->log);
	my $outcome = (split /\|/, $sql->("CALL cdp.sync('app')"))[1];
	my @log = $mock->log;
	return join ' ', $outcome, map { my ($name) = $_->{path} =~ m{([^/]+)$}; my ($who) = ($_->{body} // '') =~ /("(?:userid_list|chat_id)":\s*(?:\[[^\]]*\]|"[^"]*"))/; $name . ($who ? $who =~ s/"(?:userid_list|chat_id)":\s*//r =~ s/\s//gr : '') } grep { $_->{path} !~ /gettoken/ } @log[ $from .. $#log ];
}

my $all = '["staff1","staff2","staff3"]';
like(pulled(), qr/^ok get_follow_user_list (?=.*get_by_user\Q$all\E)/, 'the first run pulls everything');
is($sql->(q{SELECT count(*) FROM cdp_data.raw_record JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE s.name = 'contacts'}), 360, 'all contacts');
is(pulled(), 'ok', 'a second one has nothing to ask');

# A contact changes.
$mock->set(changed => [ MockVendorData::contact_id(2, 7) ]);
is(pulled(), 'ok', 'of which nobody knows');
is(pushed('<xml><Event>change_external_contact</Event><ChangeType>edit_external_contact</ChangeType><UserID>staff2</UserID><ExternalUserID>wmMOCK02000007</ExternalUserID></xml>'), 'success', 'until the platform says so');
is(pulled(), 'ok get_by_user["staff2"] get_by_user["staff2"]', 'then that member of staff is asked, in two pages, and nobody else');
is($sql->(q{SELECT payload #>> '{follow_info,remark}', revision FROM cdp_data.raw_record WHERE payload #>> '{external_contact,external_userid}' = 'wmMOCK02000007'}), 'another|2', 'and the change is there');
is($sql->(q{SELECT count(*), (SELECT string_agg(state, ' ') FROM cdp_data.callback) FROM cdp_data.stream_wish}), '0|wished', 'the wish is granted');
is(pulled(), 'ok', 'and nobody else is asked for it afterwards');
is($sql->(q{UPDATE cdp_data.stream_part SET last_fetched_at = last_fetched_at - interval '25 hours'; SELECT count(*) FROM cdp_data.stream_part WHERE part LIKE '[%'}), '2', 'a day later');
like(pulled(), qr/get_by_user\Q$all\E/, 'all are asked together again');

# Groups: a whole stream, and one group; then one that the vendor does not know.
is(pushed('<xml><Event>change_external_chat</Event><ChangeType>create</ChangeType><ChatId>wrMOCK1-1</ChatId></xml>'), 'success', 'a group');
is(pulled(), "ok list$all get\"wrMOCK1-1\"", 'the list of groups and its members are asked');
is(pulled(), 'ok', 'once');
is(pushed('<xml><Event>change_external_chat</Event><ChangeType>create</ChangeType><ChatId>nonsense</ChatId></xml>'), 'success', 'one that is none');
like(pulled(), qr/get"nonsense"$/, 'is asked for');
is($sql->(q{SELECT count(*) FROM cdp_data.stream_wish}), '0', 'and not wished any more');
unlike(pulled(), qr/nonsense/, 'nor asked for again');

# The vendor is away: what was wished is wished until it is asked.
$mock->rule(path => '/cgi-bin/externalcontact/batch/get_by_user', status => 500, times => 0);
is(pushed('<xml><Event>change_external_contact</Event><ChangeType>del_follow_user</ChangeType><UserID>staff3</UserID></xml>'), 'success', 'a message while the vendor fails');
unlike(pulled(), qr/^ok/, 'a run that brings nothing');
is($sql->(q{SELECT stream, part FROM cdp_data.stream_wish}), 'contacts|staff3', 'leaves the wish');
$mock->forget();
$sql->('DELETE FROM cdp_data.sync_breaker');
is(pulled(), 'ok get_by_user["staff3"] get_by_user["staff3"]', 'and the next one grants it');
is($sql->(q{SELECT count(*) FROM cdp_data.stream_wish}), '0', 'then it is gone');
done_testing();
