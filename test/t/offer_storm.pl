# Offers among many sessions: stock is given exactly, caps hold, outcomes count once, whatever the order; nobody deadlocks.
use strict;
use warnings;
use CdpTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cdp_node('offer_storm');
$node->append_conf('postgresql.conf', "max_connections = 60\ndeadlock_timeout = 200ms\nlog_statement = none\n");
$node->restart;
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(q{SET client_min_messages = error; SELECT cdp.add_source('shop');
	SELECT cdp.identify('shop', jsonb_build_object('user_id', 'u' || i)) IS NOT NULL FROM generate_series(1, 60) i;
	SELECT cdp.create_placement('stock', '{"lease": "1 hour"}'), cdp.create_placement('capped', '{"lease": "1 hour"}', cap_count => 5, cap_within => '1 day'), cdp.create_placement('learn', '{}');
	SELECT cdp.create_offer('rare', '{stock}', 'service', inventory => 25), cdp.create_offer('rarer', '{stock}', 'service', inventory => 10);
	SELECT cdp.create_offer('twice', '{capped}', 'service', cap_count => 2, cap_within => '1 day'), cdp.create_offer('often', '{capped}', 'service');
	SELECT cdp.create_offer('red', '{learn}', 'service'), cdp.create_offer('green', '{learn}', 'service');
	CREATE TABLE public.customer AS SELECT row_number() OVER (ORDER BY customer_id) AS n, customer_id FROM cdp_data.customer});

sub storm {
	my ($name, $clients, $transactions, $script) = @_;
	$node->pgbench("--no-vacuum --client=$clients --jobs=2 --transactions=$transactions", 0, [qr/number of failed transactions: 0/], [qr/^$/], $name, { "offer_$name" => $script });
}

# 16 sessions ask 160 times for 35 that are there.
storm('stock', 16, 10, "\\set n random(1, 60)\nSELECT decision_id FROM public.customer c, cdp.next_best_offer(c.customer_id, 'stock') d WHERE c.n = :n;\n");
is(sql(q{SELECT string_agg(format('%s %s %s', o.name, s."left", x.n), ', ' ORDER BY o.name) FROM cdp_data.offer_stock s JOIN cdp_data.offer o USING (offer_id),
	LATERAL (SELECT count(*) AS n FROM cdp_data.offer_decision d WHERE d.offer_id = s.offer_id AND d.stocked) x}), 'rare 0 25, rarer 0 10', 'all of the stock is given, and not one more');
is(sql(q{SELECT count(*) FROM cdp_data.offer_decision WHERE reason = 'nothing'}), 160 - 35, 'the others got nothing');

# Some are shown, some given back, leases end, others ask again: at any time what is out and what is left are what there is.
storm('lease', 16, 12, "\\set n random(1, 60)\n\\set what random(1, 4)\n\\set m random(1, 1000)\n"
	. "SELECT CASE :what WHEN 1 THEN (SELECT max(d.decision_id) FROM public.customer c, cdp.next_best_offer(c.customer_id, 'stock') d WHERE c.n = :n) END;\n"
	. "SELECT CASE :what WHEN 2 THEN cdp.record_offer_outcome(decision_id, 'shown')::text WHEN 3 THEN cdp.release_offer(decision_id)::text END FROM cdp_data.offer_decision WHERE offer_id IN (1, 2) ORDER BY (decision_id * :m) % 997 LIMIT 1;\n"
	. "SELECT CASE WHEN :what = 4 AND :m < 200 THEN cdp.release_offers(clock_timestamp() + interval '2 hours') END;\n"
	. "SELECT 1 / (count(*) = 0)::int FROM cdp_data.offer_stock s, LATERAL (SELECT count(*) AS n FROM cdp_data.offer_decision d WHERE d.offer_id = s.offer_id AND d.stocked) x WHERE s.total - s.\"left\" <> x.n;\n");
is(sql(q{SELECT count(*) FROM cdp_data.offer_stock s, LATERAL (SELECT count(*) AS n FROM cdp_data.offer_decision d WHERE d.offer_id = s.offer_id AND d.stocked) x WHERE s.total - s."left" <> x.n}), 0, 'what is out and what is left are what there is');
cmp_ok(sql(q{SELECT count(*) FROM cdp_data.offer_decision WHERE state = 'released'}), '>', 5, 'some came back');

# The same three customers from all sides.
storm('caps', 12, 8, "\\set n random(1, 3)\nSELECT decision_id FROM public.customer c, cdp.next_best_offer(c.customer_id, 'capped') d WHERE c.n = :n;\n");
is(sql(q{SELECT string_agg(DISTINCT format('%s %s', x.offers, x.twice), ', ') FROM (SELECT count(*) AS offers, count(*) FILTER (WHERE o.name = 'twice') AS twice FROM cdp_data.offer_decision d JOIN cdp_data.offer o USING (offer_id)
	WHERE d.placement_id = 2 GROUP BY d.customer_id) x WHERE x.offers <> 5 OR x.twice > 2}), '', 'each customer has had five, and the one at most twice');

# Outcomes are told several times, counted into days meanwhile, and known at each moment.
sql(q{SELECT count(*) FROM generate_series(1, 40) i, cdp.next_best_offers(ARRAY(SELECT customer_id FROM public.customer), 'learn', now() - i * interval '1 hour')}) for 1;
storm('learn', 16, 40, "\\set d random(1, 300)\n\\set f random(1, 20)\n"
	. "SELECT cdp.record_offer_outcome(x.decision_id, 'accepted') FROM (SELECT min(decision_id) + :d AS decision_id FROM cdp_data.offer_decision WHERE placement_id = 3) x;\n"
	. "SELECT CASE WHEN :f = 1 THEN cdp.tally_offers() END;\n");
my $counted = q{SELECT string_agg(format('%s %s %s', arm_id, a - 1, b - 1), ', ' ORDER BY arm_id) FROM cdp_internal.offer_posteriors(3, '{"prior": [1, 1], "success": "accepted"}', now())};
my $by_hand = q{SELECT string_agg(format('%s %s %s', arm_id, won, n - won), ', ' ORDER BY arm_id) FROM (SELECT d.arm_id, count(*) AS n, count(o.decision_id) AS won
	FROM cdp_data.offer_decision d LEFT JOIN cdp_data.offer_outcome o ON o.decision_id = d.decision_id AND o.kind = 'accepted' WHERE d.placement_id = 3 GROUP BY d.arm_id) x};
is(sql($counted), sql($by_hand), 'every outcome counts once');
sql('SELECT cdp.tally_offers()');
is(sql($counted), sql($by_hand), 'also when all are counted into days');
cmp_ok(sql(q{SELECT count(*) FROM cdp_data.offer_outcome WHERE kind = 'accepted'}), '>', 100, 'there were many');

is(sql(q{SELECT sum(deadlocks) FROM pg_stat_database}), 0, 'no deadlock');
is(sql(q{SELECT count(*) FROM cdp_internal.health_of_offer()}), 0, 'health finds nothing');
done_testing();
