-- All rules for all referrals in one statement, after what is usual in the campaign was measured, which a job does else.
SELECT cdp.measure_referral_norms('2026-06-01');
SELECT count(*), round(sum((j.d).score)::numeric, 6) AS score, count(*) FILTER (WHERE (j.d).decision <> 'approve') AS held FROM cdp_internal.referral_judge(ARRAY(SELECT r.referral_id FROM cdp_data.referral r ORDER BY 1), '2026-06-01') j;
