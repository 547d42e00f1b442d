-- Every SQL block of docs/rewards.md can be typed as it stands, one of them by another login, and answers what the page lets expect.
BEGIN;
SELECT plan(3);
SET client_min_messages = error;
CREATE ROLE reward_docs_second SUPERUSER;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {if (other) print "RESET SESSION AUTHORIZATION;"; other = 0; p = 0} p && /^-- another person/ {other = 1; print "SET SESSION AUTHORIZATION reward_docs_second;"; next} p' "$CDP_TOP/docs/rewards.md" >"$f" && echo "$f"`
\setenv PAGE :page
\set answers `mktemp`
\setenv ANSWERS :answers
\o :answers
\i :page
\o
\set said `cat "$ANSWERS"`
\! rm -f "$PAGE" "$ANSWERS"
SELECT is(:'said'::text, E'1\nt|t\nt\n1\n\nanna-brings\nrecorded|approved\nreferrer|1000|held\nreferee|500|held\n1\n1|10.00\n1\n10.00|EUR|\nconfirmed\nrecorded\nreferrer|1000|200|paid\nreferee|500|100|held\npayout_sent|0.00|0.00|0.00\nclawback|0.00|0.00|2.00\nbudget|15.00|3.00|12.00\nbudget_reserved|15.00|15.00|0.00\nclawback_receivable|2.00|0.00|2.00\nfees|0.30|0.00|0.30\nliability_available|10.00|10.00|0.00\nliability_pending|11.00|15.00|-4.00\npaid|0.00|0.30|-0.30\npaid|0.00|10.00|-10.00\n2\nliability_pending|0-29 days|1|4.00\n0\nloaded|2\nother fee|B-77|10.00|10.00|fees are 0.30 and 0.35\nunknown to the books|B-99||7.00|line 2 of april.csv', 'the page answers what it tells');
\set text `cat "$CDP_TOP/docs/rewards.md"`
SELECT is((SELECT string_agg(w, ', ') FROM unnest(ARRAY['reserved', 'held', 'available', 'paying', 'paid', 'expired', 'voided', 'clawed_back']) w WHERE :'text' !~ ('\n[|] ' || w || ' [|]')), NULL, 'the page lists every state');
SELECT is((SELECT string_agg(w, ', ') FROM (SELECT (regexp_matches(pg_get_constraintdef(c.oid), '''([a-z_]+)''', 'g'))[1] AS w FROM pg_constraint c WHERE c.conrelid = 'cdp_data.ledger_posting'::regclass AND pg_get_constraintdef(c.oid) ~ 'payout_failed') x WHERE :'text' !~ ('\n[|] [^|]*\m' || w || '\M')), NULL, 'and every event of the books');
SELECT * FROM finish();
ROLLBACK;
