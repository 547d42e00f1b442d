-- Referral room, rewards: rows that the decision about rewards hands to their settlement, and that to the ledger.

CREATE TYPE cdp_internal.reward_pair AS (
  reward_id bigint, referral_id bigint, referral_conversion_id bigint, reward_rule_id integer, side text, level smallint, milestone integer, customer_id bigint, referral_campaign_id integer, currency text,
  wanted bigint, refunded bigint, eligible bigint, stage text, hold_until timestamptz, clamp boolean, key bytea, why text, cap_keys text[], cap_customers bigint[], cap_minors bigint[], cap_counts bigint[], family text[], own bigint, later_until timestamptz);
COMMENT ON TYPE cdp_internal.reward_pair IS 'A reward (reward_id NULL: not made yet) and what it should be: see cdp_internal.reward_pairs().';

CREATE TYPE cdp_internal.reward_move AS (kind text, reward_id bigint, revision integer, nth integer, debit text, credit text, amount bigint, payout_id bigint, note text);
COMMENT ON TYPE cdp_internal.reward_move IS 'A movement of money of a reward: the kind of posting, the kinds of accounts that are debited and credited, the amount in minor units; nth of its revision.';
