-- The SQL block about runs in docs/segments.md can be typed as it stands, and says what the page lets expect.
BEGIN;
SELECT plan(1);
\set page `f=$(mktemp) && awk '/^## / {here = /Save, run, use/} /^\140\140\140sql/ {p = here; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/segments.md" >"$f" && echo "$f"`
\setenv PAGE :page
\set answers `mktemp`
\setenv ANSWERS :answers
\o :answers
\i :page
\o
\set said `cat "$ANSWERS"`
\! rm -f "$PAGE" "$ANSWERS"
SELECT ok(:'said' ~ 'full\|1\nfans\|1\|marketing\n1\|1\|2\n2\ntick\|1\n0\|0', 'who entered, the overview, the match report, the next version, who left, and nobody who did not grant');
SELECT * FROM finish();
ROLLBACK;
