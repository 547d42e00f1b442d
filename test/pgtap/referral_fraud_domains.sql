-- The list of throw-away domains of the npm package that docs/fraud.md names is loaded by its lines as they stand. Skipped, visibly,
-- where there is no npm, or where it reaches no registry.
SELECT plan(4);
SET client_min_messages = error;
SELECT current_database() AS db \gset
\setenv DB :db
\set lines `awk '/^\140\140\140sh/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/fraud.md" | sed "s/-d shop/-XqAt -d $DB/; s/npm pack/timeout 20 npm pack --fetch-retries=0 --cache=\"\$PWD\"/"`
\setenv LINES :lines
SELECT coalesce(nullif(btrim(:'lines'), ''), '') ~ 'npm pack.*load_disposable_domains' AS written \gset
SELECT ok(:'written', 'the page has the lines');
\set told `command -v npm >/dev/null || { echo 'npm is not installed'; exit; }; d=$(mktemp -d); TMPDIR=$d bash -c "$LINES" 2>&1 | tail -1; rm -rf "$d"`
SELECT :'told' ~ '^[0-9]+$' AS loaded \gset
\if :loaded
SELECT cmp_ok(:'told'::bigint, '>', 100000::bigint, 'more than a hundred thousand domains');
SELECT is((SELECT count(*) FROM cdp_data.fraud_list WHERE list = 'disposable_domain' AND removed_at IS NULL), :'told'::bigint, 'each of them once');
SELECT is((SELECT count(*) FROM cdp_internal.fraud_suffixes('mx.0-mail.com') s JOIN cdp_data.fraud_list l ON l.list = 'disposable_domain' AND l.what = 'email_domain' AND l.value = s), 1::bigint, 'a domain below one of them counts');
\else
SELECT skip('the npm package disposable-email-domains did not come: ' || left(:'told', 200), 3);
\endif
SELECT * FROM finish();
