-- Every SQL block of docs/referral.md can be typed as it stands, in order; the check is as printed; the page lists every code of the check.
SELECT plan(6);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/referral.md" >"$f" && echo "$f"`
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
\set printed `awk '/^\140\140\140/ {open = !open; p = open && $0 == "\140\140\140"; if (p) print "==="; next} p' "$CDP_TOP/docs/referral.md" | sed 's/ *$//' | grep -v rows`
SELECT is((SELECT count(*) || ' ' || coalesce(string_agg(b, ' / ') FILTER (WHERE strpos(:'said', b) = 0), 'none differs') FROM (SELECT btrim(x, E'\n') AS b FROM regexp_split_to_table(:'printed', '(^|\n)===') x) y WHERE b <> ''), '5 none differs', 'docs/referral.md runs as printed');
SELECT is((SELECT string_agg(state, ' ' ORDER BY from_at) FROM cdp_data.referral_campaign_state), 'draft active paused active ended', 'the campaign went on to its end');
SELECT is((SELECT string_agg(state || ' ' || body, '; ' ORDER BY referral_material_id) FROM cdp_data.referral_material WHERE channel = 'sms'), 'approved Your code: {code}', 'the text was mended');
SELECT is((SELECT array_agg(amount_minor ORDER BY terms_version) FROM cdp_data.reward_rule WHERE rule = 'friend'), '{1000,1200}', 'two versions');
\set codes `grep -oh "'\(error\|warning\|info\)', '[a-z_]*'\|THEN '[a-z]*_\?[a-z]*' WHEN\|ELSE 'terms'\|SELECT 'wechat_[a-z]*'\|'budget_small'\|'wechat_levels'" "$CDP_TOP"/sql/again/70_programme_1_define.sql "$CDP_TOP"/sql/again/70_programme_3_check.sql "$CDP_TOP"/sql/again/70_programme_4_material.sql "$CDP_TOP"/sql/again/62_run_0_aim.sql | grep -o "'[a-z_]*'" | tr -d "'" | grep -v -x 'error\|warning\|info\|activated\|paused\|resumed\|ended\|pause\|end\|archive\|number\|boolean\|array\|string' | sort -u`
\set page `cat "$CDP_TOP/docs/referral.md"`
SELECT ok(array_length(string_to_array(:'codes', E'\n'), 1) > 30, 'the codes are found');
SELECT is((SELECT string_agg(c, ' ') FROM string_to_table(:'codes', E'\n') c WHERE strpos(:'page', '`' || c || '`') = 0), NULL, 'the page lists every code of the check');
SELECT * FROM finish();
