-- Referral room, fraud: the job that looks for rings.

-- step: again: job of fraud rings
SELECT cdp_internal.declare_job('fraud_rings', 'referral', 'SELECT cdp.find_fraud_rings()', '1 day at 02:40', 'Looks for rings of accounts that share devices, accounts of payment and addresses.');
