-- Every SQL block of docs/campaigns.md can be typed as it stands, in order; the pipeline is as printed; the page lists every code of the check.
SELECT plan(8);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/campaigns.md" >"$f" && echo "$f"`
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
\set printed `awk '/^\140\140\140/ {open = !open; p = open && $0 == "\140\140\140"; next} p' "$CDP_TOP/docs/campaigns.md" | sed 's/ *$//'`
SELECT ok(:'printed' <> '' AND strpos(:'said', :'printed') > 0, 'docs/campaigns.md runs as printed');
SELECT is((SELECT state FROM cdp_data.campaign_run WHERE name = 'spring'), 'running', 'the run runs');
SELECT is((SELECT count(*) || ' ' || count(*) FILTER (WHERE state = 'sent') FROM cdp_data.campaign_exposure), '2 2', 'both messages were sent');
SELECT is((SELECT string_agg(k.name, ' ' ORDER BY k.name) FROM cdp_data.touchpoint t JOIN cdp_data.touch_kind_all k USING (kind_id) WHERE t.properties ? 'campaign_run'), 'email_click email_open email_open unsubscribe', 'what came back');
SELECT is((SELECT array_agg(cdp.consent_allowed(cdp.customer_of('email', v), 'marketing', 'email') ORDER BY v) FROM unnest('{ann@example.org,bob@example.org}'::text[]) v), '{t,f}', 'who unsubscribed may not be written to');
SELECT is((SELECT string_agg(code, ' ') FROM cdp_data.quarantine), 'unknown_run', 'what is unknown waits');
\set codes `grep -oh "'\(error\|warning\|info\)', '[a-z_]*'\|END, '[a-z_]*', '" "$CDP_TOP"/sql/again/62_run_0_aim.sql "$CDP_TOP"/sql/again/62_run_1_define.sql | grep -o "'[a-z_]*'" | tr -d "'" | grep -v -x 'error\|warning\|info' | sort -u`
\set page `cat "$CDP_TOP/docs/campaigns.md"`
SELECT ok(array_length(string_to_array(:'codes', E'\n'), 1) > 15, 'the codes are found');
SELECT is((SELECT string_agg(c, ' ') FROM string_to_table(:'codes', E'\n') c WHERE strpos(:'page', '`' || c || '`') = 0), NULL, 'the page lists every code of the check');
SELECT * FROM finish();
