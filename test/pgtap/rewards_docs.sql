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
SELECT is(:'said'::text, 'x', 'the page answers what it tells');
\set text `cat "$CDP_TOP/docs/rewards.md"`
SELECT is((SELECT string_agg(w, ', ') FROM unnest(ARRAY['reserved', 'held', 'available', 'paying', 'paid', 'expired', 'voided', 'clawed_back']) w WHERE :'text' !~ ('\n[|] ' || w || ' [|]')), NULL, 'the page lists every state');
SELECT is((SELECT string_agg(w, ', ') FROM (SELECT (regexp_matches(pg_get_constraintdef(c.oid), '''([a-z_]+)''', 'g'))[1] AS w FROM pg_constraint c WHERE c.conrelid = 'cdp_data.ledger_posting'::regclass AND pg_get_constraintdef(c.oid) ~ 'payout_failed') x WHERE :'text' !~ ('\n[|] [^|]*\m' || w || '\M')), NULL, 'and every event of the books');
SELECT * FROM finish();
ROLLBACK;
