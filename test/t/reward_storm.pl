# Rewards among many sessions: 64 clients on one budget and one stream of conversions pay exactly the cap and each conversion once,
# beside the two patterns that are widely used and break (sum, then insert; look, then insert), printed side by side. Then refunds,
# reversals, releases, payouts and closes among each other: no deadlock, and the books are whole.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cdp_node('reward_storm');
$node->append_conf('postgresql.conf', "max_connections = 100\ndeadlock_timeout = 500ms\nlog_statement = none\n");
$node->restart;
sub sql { return $node->safe_psql('postgres', $_[0]) }

sub storm {
	my ($name, $clients, $transactions, $script, $older) = @_;
	# Those on an older snapshot are told 40001 now and then, and try again.
	my %script = $older ? ("reward_$name\@7" => $script, "reward_${name}_older\@1" => $older) : ("reward_$name" => $script);
	$node->pgbench("--no-vacuum --client=$clients --jobs=2 --transactions=$transactions" . ($older ? ' --max-tries=10000' : ''), 0, [qr/number of failed transactions: 0/], [qr/^$/], $name, \%script);
}

# 200 friends of 20 advocates, each with one purchase that is worth 10.00 to the advocate; the budget is 1,000.00: for 100 of them.
sql(q{SET client_min_messages = error; SELECT cdp.add_source('shop');
	SELECT count(cdp.identify('shop', jsonb_build_object('user_id', 'u' || i))) FROM generate_series(1, 220) i;
	SELECT cdp.create_referral_campaign('one', currency => 'EUR', budget => 1000, ends_at => '2099-01-01');
	SELECT cdp.set_referral_terms('one', '{}', '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10, "hold": "0"}]', '[{"per": "referrer", "period": "month", "rewards": 50}]');
	SELECT cdp.activate_referral_campaign('one', '2026-01-01');
	INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, eligible_minor, currency)
	SELECT 1, 'o' || n.customer_id, 'purchase', '2026-03-01', n.identifier_id, n.customer_id, 5000, 'EUR' FROM cdp_data.identifier n WHERE substr(n.value, 2)::int > 20;
	INSERT INTO cdp_data.referral (campaign_group, referral_campaign_id, terms_version, referrer_id, referee_id, method, first_conversion_id, attributed_at, state)
	SELECT 'one', 1, 1, (SELECT customer_id FROM cdp_data.identifier WHERE value = 'u' || 1 + c.referral_conversion_id % 20), c.customer_id, 'code', c.referral_conversion_id, c.occurred_at, 'approved' FROM cdp_data.referral_conversion c;
	CREATE TABLE public.stream AS SELECT row_number() OVER (ORDER BY referral_id) AS n, referral_id, first_conversion_id AS conversion FROM cdp_data.referral;
	ALTER TABLE public.stream ADD PRIMARY KEY (n);
	-- The two patterns: the cap as a sum that is read before, the conversion looked up before.
	CREATE TABLE public.paid_sum (conversion bigint, amount bigint);
	CREATE TABLE public.paid_look (conversion bigint, amount bigint)});

# Every conversion comes several times, from several clients at once.
sub stream { my ($call) = @_; return "\\set n random(1, 200)\n" . $call }
storm('broken_sum', 64, 25, stream("BEGIN;\nSELECT coalesce(sum(amount), 0) AS spent FROM public.paid_sum \\gset\n\\if :spent < 100000\nINSERT INTO public.paid_sum SELECT conversion, 1000 FROM public.stream WHERE n = :n;\n\\endif\nCOMMIT;\n"));
storm('broken_look', 64, 25, stream("BEGIN;\nSELECT count(*) AS there FROM public.paid_look p JOIN public.stream s USING (conversion) WHERE s.n = :n \\gset\n\\if :there = 0\nINSERT INTO public.paid_look SELECT conversion, 1000 FROM public.stream WHERE n = :n;\n\\endif\nCOMMIT;\n"));
my $settle = stream("BEGIN;\nSELECT cdp_internal.reward_settle(ARRAY[referral_id]) FROM public.stream WHERE n = :n;\nCOMMIT;\n");
storm('settle', 64, 25, $settle, $settle =~ s/BEGIN/BEGIN ISOLATION LEVEL REPEATABLE READ/r);
# What random numbers left out.
sql('SELECT cdp_internal.reward_settle(ARRAY(SELECT referral_id FROM public.stream))');

my ($sum, $sum_twice) = split /\|/, sql('SELECT coalesce(sum(amount), 0), count(*) - count(DISTINCT conversion) FROM public.paid_sum');
my ($look, $look_twice) = split /\|/, sql('SELECT coalesce(sum(amount), 0), count(*) - count(DISTINCT conversion) FROM public.paid_look');
my ($ours, $ours_twice) = split /\|/, sql('SELECT sum(amount_minor - clawed_minor), count(*) - count(DISTINCT referral_conversion_id) FROM cdp_data.reward WHERE amount_minor > clawed_minor');
diag('64 clients, a budget of 100000, 200 conversions that come 1600 times:');
diag(sprintf '  %-24s %10s %14s', 'pattern', 'paid', 'paid twice');
diag(sprintf '  %-24s %10s %14s', @$_) for [ 'sum(), then insert', $sum, $sum_twice ], [ 'look, then insert', $look, $look_twice ], [ 'reward_settle()', $ours, $ours_twice ];
is($ours, 100000, 'the budget is paid, to the cent');
is($ours_twice, 0, 'and no conversion twice');
is(sql('SELECT count(*) FROM cdp_data.reward'), 200, 'each conversion was decided once');
is(sql(q{SELECT used_minor, used_count FROM cdp_data.reward_counter WHERE counter_key = 'budget/1'}), '100000|100', 'the counter says the same');
is(sql(q{SELECT a.balance_minor FROM cdp_data.ledger_account a WHERE a.kind = 'budget'}), 100000, 'and the ledger');
is(sql('SELECT * FROM cdp.ledger_verify()'), '', 'the books are whole');

# All of it at once: refunds, decisions, releases, claims, payouts that arrive or not, a milestone for which advocates are looked at
# as a whole, caps asked again.
sql(q{SET client_min_messages = error;
	UPDATE cdp_data.referral_campaign SET budget_minor = 120000;
	SELECT cdp.set_referral_terms('one', '{}', '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10, "hold": "0"}, {"rule": "five", "side": "referrer", "trigger": "first_purchase", "shape": "milestone", "milestones": [{"n": 5, "amount": 20}]}, {"rule": "welcome", "side": "referee", "trigger": "first_purchase", "shape": "percent", "rate": 0.05}]');
	UPDATE cdp_data.referral SET terms_version = 2 WHERE referral_id % 2 = 0});
my $life = <<'PGBENCH';
\set n random(1, 200)
\set what random(1, 100)
\set part random(1, 1500)
BEGIN;
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT 1, 'f' || gen_random_uuid(), c.referral_conversion_id, now(), :part, c.customer_id FROM public.stream s JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = s.conversion WHERE s.n = :n AND :what <= 25;
UPDATE cdp_data.referral r SET state = CASE WHEN :what < 40 THEN 'rejected' ELSE 'approved' END FROM public.stream s WHERE s.n = :n AND r.referral_id = s.referral_id AND :what BETWEEN 26 AND 55;
SELECT cdp_internal.reward_settle(ARRAY[referral_id]) FROM public.stream WHERE n = :n AND :what <= 60;
SELECT CASE WHEN :what BETWEEN 61 AND 68 THEN cdp.release_rewards(max_rewards => 20) END;
SELECT c.payouts FROM (SELECT 1 WHERE :what BETWEEN 69 AND 76) x, cdp.claim_payouts('bank', 'EUR', max_payouts => 3) c;
UPDATE cdp_data.payout_batch SET claimed_by = 'another', claimed_role = 'another' WHERE :what BETWEEN 69 AND 76 AND xmin = pg_current_xact_id()::xid;
COMMIT;
SELECT max(payout_batch_id) - random(0, 3)::int AS batch FROM (SELECT coalesce(max(payout_batch_id), 1) AS payout_batch_id FROM cdp_data.payout_batch) x \gset
SELECT public.pay(:batch) FROM (SELECT 1 WHERE :what BETWEEN 77 AND 88) x;
SELECT public.arrive(:part) FROM (SELECT 1 WHERE :what BETWEEN 89 AND 97) x;
SELECT cdp.retry_capped_rewards('one') FROM (SELECT 1 WHERE :what >= 99) x;
PGBENCH
$life =~ s/random\(0, 3\)::int/(random() * 3)::int/;
sql(q{CREATE FUNCTION public.pay(batch bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
	  PERFORM cdp.approve_payout_batch(batch);
	  RETURN (SELECT count(*) FROM cdp.send_payout_batch(batch));
	EXCEPTION WHEN object_not_in_prerequisite_state OR undefined_object THEN RETURN 0; END $$;
	CREATE FUNCTION public.arrive(k int) RETURNS text LANGUAGE plpgsql AS $$ DECLARE p bigint := (SELECT payout_id FROM cdp_data.payout WHERE state IN ('sent', 'claimed', 'approved') ORDER BY (payout_id * k) % 101 LIMIT 1); BEGIN
	  RETURN CASE WHEN p IS NULL THEN 'none' WHEN k % 3 = 0 THEN cdp.fail_payout(p, 'closed') ELSE cdp.confirm_payout(p, 'B' || p) END;
	EXCEPTION WHEN object_not_in_prerequisite_state THEN RETURN 'not yet'; END $$});
storm('life', 24, 60, $life);
is(sql('SELECT * FROM cdp.ledger_verify()'), '', 'after all of it at once the books are whole');
is(sql(q{SELECT currency, sum(balance_minor) FROM cdp_data.ledger_account GROUP BY 1}), 'EUR|0', 'and sum to zero');
is(sql('SELECT cdp_internal.reward_settle(ARRAY(SELECT referral_id FROM public.stream))'), 0, 'everything is settled');
my %seen = map { split /\|/ } split /\n/, sql('SELECT kind, count(*) FROM cdp_data.ledger_posting GROUP BY 1');
cmp_ok($seen{$_} // 0, '>', 5, "$_ happened") for qw(void release payout_sent clawback);
is(sql(q{SELECT sum(deadlocks) FROM pg_stat_database}), 0, 'no deadlock');
done_testing();
