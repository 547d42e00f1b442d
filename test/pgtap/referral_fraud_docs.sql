-- Every SQL block of docs/fraud.md can be typed as it stands, in order; the answer is as printed; the page names every rule.
SELECT plan(5);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/fraud.md" >"$f" && echo "$f"`
\setenv PAGE :page
\set answers `mktemp`
\setenv ANSWERS :answers
\pset format aligned
\pset tuples_only off
\o :answers
\i :page
\o
\pset tuples_only on
\pset format unaligned
\set said `sed 's/ *$//' "$ANSWERS"`
\! rm -f "$PAGE" "$ANSWERS"
\set printed `awk '/^\140\140\140/ {open = !open; p = open && $0 == "\140\140\140"; next} p' "$CDP_TOP/docs/fraud.md" | sed 's/ *$//'`
SELECT ok(:'printed' <> '' AND strpos(:'said', :'printed') > 0, 'docs/fraud.md runs as printed');
SELECT is((SELECT string_agg(r.state, ' ' ORDER BY t.name) FROM told t JOIN cdp_data.referral r USING (referral_id)), 'approved rejected approved', 'what people decided');
SELECT is((SELECT string_agg(format('%s %s %s', case_no, (d).decision, (d).decided_by), ', ' ORDER BY case_no) FROM (SELECT case_no, cdp.fraud_score_agg(rule, value, NULL, cdp.fraud_policy(), NULL) AS d FROM seen GROUP BY case_no) s), '1 approve score, 2 review density, 3 reject score', 'rows of one''s own, as the page says');
SELECT is((SELECT (blocked, found_later, rate, overturned)::text FROM cdp.fraud_prevention()), '(1,0,1,1)', 'figures');
\set page `cat "$CDP_TOP/docs/fraud.md"`
SELECT is((SELECT string_agg(code, ' ') FROM cdp.fraud_rule_builtin() WHERE strpos(:'page', '`' || code || '`') = 0), NULL, 'the page names every rule');
SELECT * FROM finish();
