-- Every SQL block of docs/referral_report.md can be typed as it stands, in order, and answers as printed; the page names every metric and rule.
SELECT plan(4);
SET client_min_messages = error;
SET timezone = 'Asia/Shanghai';
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/referral_report.md" >"$f" && echo "$f"`
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
\set printed `awk '/^\140\140\140/ {open = !open; p = open && $0 == "\140\140\140"; if (p) print "==="; next} p' "$CDP_TOP/docs/referral_report.md" | sed 's/ *$//'`
SELECT is((SELECT count(*) || ' ' || coalesce(string_agg(b, ' / ') FILTER (WHERE strpos(:'said', b) = 0), 'none differs') FROM (SELECT btrim(x, E'\n') AS b FROM regexp_split_to_table(:'printed', '(^|\n)===') x) y WHERE b <> ''), '5 none differs', 'docs/referral_report.md runs as printed');
\set page `cat "$CDP_TOP/docs/referral_report.md"`
SELECT is((SELECT string_agg(metric, ' ') FROM cdp.referral_report('friends', '2026-03-01') WHERE metric !~ '^(generation|liability_|goal_)' AND metric !~ '_of_referred$' AND strpos(:'page', '`' || metric || '`') = 0), NULL, 'the page names every metric');
SELECT is((SELECT string_agg(DISTINCT section, ' ') FROM cdp.referral_report('friends', '2026-03-01') WHERE strpos(:'page', '| ' || section || ' |') = 0), NULL, 'and every section');
SELECT is((SELECT string_agg(rule_id, ' ') FROM cdp.referral_recommend('friends', '2026-03-01') WHERE strpos(:'page', '| `' || rule_id || '` |') = 0), NULL, 'and every rule');
SELECT * FROM finish();
