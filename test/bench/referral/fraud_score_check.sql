-- How many of 300 referrals get another decision one by one than all at once.
SELECT count(*) || ' ' || count(*) FILTER (WHERE j.d::text <> cdp.fraud_score(j.referral_id, '2026-06-01')::text)
FROM (SELECT j.* FROM cdp_internal.referral_judge(ARRAY(SELECT r.referral_id FROM cdp_data.referral r), '2026-06-01') j ORDER BY jsonb_array_length((j.d).reasons) DESC, j.referral_id LIMIT 300) j;
