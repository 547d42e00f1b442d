-- How many referrals each rule fires for, and of the rules that there are which fire for none.
WITH hit AS (SELECT x ->> 'code' AS code, count(*) AS n FROM cdp_internal.referral_judge(ARRAY(SELECT r.referral_id FROM cdp_data.referral r ORDER BY 1), '2026-06-01') j CROSS JOIN LATERAL jsonb_array_elements((j.d).reasons) x GROUP BY 1)
SELECT string_agg(b.code || ' ' || coalesce(h.n, 0), ', ' ORDER BY b.code COLLATE "C"), string_agg(b.code, ', ' ORDER BY b.code COLLATE "C") FILTER (WHERE h.n IS NULL) FROM cdp.fraud_rule_builtin() b LEFT JOIN hit h USING (code);
