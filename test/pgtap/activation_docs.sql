-- Every SQL block of docs/activation.md can be typed as it stands, and says what the page lets expect.
BEGIN;
SELECT plan(4);
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/activation.md" >"$f" && echo "$f"`
\setenv PAGE :page
\set answers `mktemp`
\setenv ANSWERS :answers
\o :answers
\i :page
\o
\set said `cat "$ANSWERS"`
\! rm -f "$PAGE" "$ANSWERS"
SELECT ok(:'said' ~ E'\n3\\|3\\|3\n\\d+\n3\n\\d+\nt\n', 'three are in, and each has an arm');
SELECT ok(:'said' ~ E'\n0\nfans to ads\\|fans\\|marketing\\|t\\|\\|\nt\\|t\n1\n0\\|0\\|\n\\d\\|0\\|1\n', 'all are sent, one enters; nothing differs; and what the destination reports');
SELECT ok(:'said' ~ E'\ncustomer,email,city\n\\d+,ann@example.org,Hangzhou\n\\d+,bob@example.org,Hangzhou\n\\d+,cat@example.org,Hangzhou\n\\d+,dan@example.org,', 'the lines of the file');
SELECT is((SELECT count(*) FROM cdp_data.outbox WHERE kind = 'audience_add') + (SELECT count(*) FROM cdp_data.holdout_assignment WHERE arm = 'control'), 4::bigint, 'who is not held out was sent');
SELECT * FROM finish();
ROLLBACK;
