# Backends killed by kill -9 and servers stopped at once in the middle of rewards: what was told to be done is there, nothing is
# there by half or twice, the books are whole, and all told again changes nothing.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = cdp_node('reward_crash');
$node->append_conf('postgresql.conf', "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\nlog_statement = none\nrestart_after_crash = on\n");
$node->restart;
sub sql { return $node->safe_psql('postgres', $_[0]) }
my ($rounds, $sessions, $each) = (4, 4, 150);
my $people = $rounds * $sessions * $each;
sql(qq{SET client_min_messages = error; SELECT cdp.add_source('shop');
	CREATE TABLE public.st AS SELECT 'k' || i AS source_key, timestamptz '2026-01-05' + i * interval '1 second' AS occurred_at, 'user_id' AS identifier_type, 'u' || i AS identifier, 'visit' AS kind FROM generate_series(1, $people) i;
	SELECT cdp.load_touchpoints('shop', 'public.st');
	SELECT cdp.create_referral_campaign('one', currency => 'EUR', budget => @{[ $people * 3 ]}, ends_at => '2099-01-01');
	SELECT cdp.set_referral_terms('one', '{}', '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10, "hold": "0"}, {"rule": "welcome", "side": "referee", "trigger": "first_purchase", "shape": "percent", "rate": 0.1, "hold": "0"}]');
	SELECT cdp.activate_referral_campaign('one', '2026-01-01');
	CREATE TABLE public.person AS SELECT substr(value, 2)::int AS n, identifier_id, customer_id FROM cdp_data.identifier;
	ALTER TABLE public.person ADD PRIMARY KEY (n);
	ANALYZE});
sql(<<'SQL');
-- One order of friend n, told with its referral, its rewards and now and then a refund, a release and a payout, in one transaction.
CREATE FUNCTION public.order_of(n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c bigint;
  r bigint;
BEGIN
  INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, eligible_minor, currency)
  SELECT 1, 'o' || p.n, 'purchase', '2026-03-01', p.identifier_id, p.customer_id, 1000 + p.n, 'EUR' FROM public.person p WHERE p.n = order_of.n ON CONFLICT DO NOTHING RETURNING referral_conversion_id INTO c;
  IF c IS NOT NULL THEN
    INSERT INTO cdp_data.referral (campaign_group, referral_campaign_id, terms_version, referrer_id, referee_id, method, first_conversion_id, attributed_at, state)
    SELECT 'one', 1, 1, (SELECT customer_id FROM public.person q WHERE q.n = 1 + order_of.n % 40), p.customer_id, 'code', c, '2026-03-01', 'approved' FROM public.person p WHERE p.n = order_of.n RETURNING referral_id INTO r;
    IF n % 4 = 0 THEN
      INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT 1, 'f' || p.n, c, '2026-03-02', 333, p.customer_id FROM public.person p WHERE p.n = order_of.n;
    END IF;
  ELSE
    SELECT f.referral_id INTO r FROM cdp_data.referral_conversion v JOIN cdp_data.referral f ON f.first_conversion_id = v.referral_conversion_id WHERE v.source_key = 'o' || order_of.n;
  END IF;
  PERFORM cdp_internal.reward_settle(ARRAY[r], '2026-03-10');
END $$;
-- Each step of a payment is a transaction of its own.
CREATE FUNCTION public.approve() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  b bigint := (SELECT payout_batch_id FROM cdp_data.payout_batch WHERE approved_at IS NULL ORDER BY 1 LIMIT 1 FOR UPDATE SKIP LOCKED);
BEGIN
  IF b IS NOT NULL THEN
    UPDATE cdp_data.payout_batch SET claimed_by = 'another', claimed_role = 'another', approved_at = now(), approved_by = session_user WHERE payout_batch_id = b;
    UPDATE cdp_data.payout SET state = 'approved' WHERE payout_batch_id = b AND state = 'claimed';
  END IF;
END $$;
SQL

my $first = 1;
for my $round (1 .. $rounds) {
	my @out = ('') x $sessions;
	my @run;
	for my $s (0 .. $sessions - 1) {
		my $in = '';
		for my $k (0 .. $each - 1) {
			my $n = $first + $s * $each + $k;
			$in .= "SELECT public.order_of($n);\n\\echo done $n\n";
			$in .= "SELECT cdp.release_rewards('2026-03-11', 50);\nSELECT payouts FROM cdp.claim_payouts('bank', 'EUR', max_payouts => 5);\nSELECT public.approve();\n"
				. "SELECT count(*) FROM (SELECT payout_batch_id FROM cdp_data.payout_batch WHERE approved_at IS NOT NULL AND sent_at IS NULL ORDER BY 1 LIMIT 1) b, cdp.send_payout_batch(b.payout_batch_id);\n" if $k % 3 == 2;
		}
		push @run, IPC::Run::start([ 'psql', '-qXAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out[$s], '2>', \my $ignored, IPC::Run::timeout(180));
	}
	my $want = 50 * $round;
	for (1 .. 1500) {
		eval { $_->pump_nb } for @run;
		last if (grep { length } map { /done/g } @out) >= $want;
		usleep(20_000);
	}
	if ($round % 2) { # one backend that is at work
		my ($pid) = split /\n/, sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND query ~ 'order_of|rewards|payout|approve' ORDER BY state = 'active' DESC LIMIT 1});
		kill 'KILL', $pid or die 'no session is at work';
	}
	else {
		$node->stop('immediate');
	}
	for my $r (@run) { eval { $r->finish }; eval { $r->kill_kill } if $@ }
	if ($round % 2) { # not by psql, to which nobody can write when it is refused
		my $tries = 0;
		while (system('pg_isready', '-q', '-h', $node->host, '-p', $node->port)) { die 'the server does not come back' if ++$tries > 1800; usleep(100_000) }
	}
	else { $node->start }
	my @done = map { /done (\d+)/g } @out;
	cmp_ok(scalar @done, '<', $sessions * $each, "round $round: it was in the middle (" . scalar(@done) . ' orders were told to be done)');
	my $list = join ',', @done, 0;
	is(sql("SELECT count(*) FROM public.person p WHERE p.n IN ($list) AND (SELECT count(*) FROM cdp_data.referral_conversion c JOIN cdp_data.reward w ON w.referral_conversion_id = c.referral_conversion_id WHERE c.source_key = 'o' || p.n) <> 2"), 0, 'what was told to be done is there, with both rewards');
	is(sql('SELECT count(*) FROM cdp_data.referral_conversion c WHERE (SELECT count(*) FROM cdp_data.reward w WHERE w.referral_conversion_id = c.referral_conversion_id) <> 2'), 0, 'nothing by half, nothing twice');
	is(sql('SELECT * FROM cdp.ledger_verify()'), '', 'the books are whole');
	$first += $sessions * $each;
}
my $books = q{SELECT count(*), sum(amount_minor), sum(clawed_minor), sum(paid_minor) FROM cdp_data.reward};
my $before = sql($books);
sql("SELECT public.order_of(substr(source_key, 2)::int) FROM cdp_data.referral_conversion ORDER BY random()") for 1 .. 2;
is(sql($books), $before, 'all told again twice, in any order: nothing changes');
is(sql(q{SELECT count(*) FROM cdp_data.reward w JOIN cdp_data.referral_conversion c USING (referral_conversion_id) WHERE w.clawed_minor <> cdp_internal.refund_share(w.amount_minor, (SELECT sum(f.amount_minor)::bigint FROM cdp_data.referral_refund f WHERE f.referral_conversion_id = c.referral_conversion_id), c.eligible_minor)}), 0, 'refunds are taken back to the cent');
cmp_ok(sql('SELECT count(*) FROM cdp_data.payout WHERE state = \'sent\''), '>', 3, 'some was paid');
is(sql('SELECT * FROM cdp.ledger_verify()'), '', 'and the books are whole');
done_testing();
