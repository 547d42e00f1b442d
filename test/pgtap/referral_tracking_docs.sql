-- Every SQL block of docs/referral_tracking.md can be typed as it stands, in order; the codes are as printed; the page lists every reason.
SELECT plan(7);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/referral_tracking.md" >"$f" && echo "$f"`
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
\set printed `awk '/^\140\140\140/ {open = !open; p = open && $0 == "\140\140\140"; next} p' "$CDP_TOP/docs/referral_tracking.md" | sed 's/ *$//'`
SELECT ok(:'printed' <> '' AND strpos(:'said', :'printed') > 0, 'docs/referral_tracking.md runs as printed');
SELECT is((SELECT string_agg(concat_ws(' ', method, state, reason), ', ' ORDER BY attributed_at) FROM cdp_data.referral), 'click approved, code ineligible self_referral, code approved, click approved', 'four referrals');
SELECT is((SELECT array_agg(k.name ORDER BY t.occurred_at) FROM cdp_data.touchpoint t JOIN cdp_data.touch_kind_all k USING (kind_id)), '{share,referral_click,purchase,purchase,purchase,refund,referral_click,sign_up}', 'all of it is touchpoints');
SELECT is((SELECT array_agg(value_minor || ' ' || eligible_minor ORDER BY occurred_at) FROM cdp_data.referral_conversion), '{"9000 8000","3000 3000","6000 5000","0 0"}', 'amounts');
SELECT is((SELECT amount_minor FROM cdp_data.referral_refund), 2000::bigint, 'and what was given back');
\set reasons `sed -n '/CASE$/,/END,$/p' "$CDP_TOP"/sql/again/71_track_5_attribute.sql | grep -o "THEN '[a-z_]*'\|ELSE '[a-z_]*'" | grep -o "'[a-z_]*'" | tr -d "'" | sort -u`
\set page `cat "$CDP_TOP/docs/referral_tracking.md"`
SELECT ok(array_length(string_to_array(:'reasons', E'\n'), 1) >= 10, 'the reasons are found');
SELECT is((SELECT string_agg(c, ' ') FROM string_to_table(:'reasons', E'\n') c WHERE strpos(:'page', '`' || c || '`') = 0), NULL, 'the page lists every reason');
SELECT * FROM finish();
