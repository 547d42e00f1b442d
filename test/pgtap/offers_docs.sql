-- Every SQL block of docs/offers.md can be typed as it stands, and answers what the page lets expect.
BEGIN;
SELECT plan(2);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/offers.md" >"$f" && echo "$f"`
\setenv PAGE :page
\set answers `mktemp`
\setenv ANSWERS :answers
\o :answers
\i :page
\o
\set said `cat "$ANSWERS"`
\! rm -f "$PAGE" "$ANSWERS"
SELECT is(:'said'::text, E'1\nt|t\nwritten\nt\nt\ncome back|{"title": "下单立减5元"}|offer\n|{"title": "Welcome"}|nothing\nrecorded\nt\nt\n|nothing\nt\nfree coffee|offer\n1|0\ncome back|not eligible|0.6666666666666666|40||f\nt\n2|1\ncome back|2|2|1|75\nips|\ndirect|', 'the page answers what it tells');
\set text `cat "$CDP_TOP/docs/offers.md"`
SELECT is((SELECT string_agg(w, ', ') FROM unnest(ARRAY['paused', 'arm off', 'not yet', 'over', 'rule', 'stock', 'consent', 'not eligible', 'cap', 'no score', 'priority', 'placement: control', 'placement: cap']) w WHERE :'text' !~ ('[|,] ' || w || '[ ,]')), NULL, 'the page lists every word of refusal');
SELECT * FROM finish();
ROLLBACK;
