-- The SQL blocks of docs/segments.md from "Save, run, use" on can be typed as they stand, and say what the page lets expect.
-- As typed, each commits.
SET client_min_messages = error;
SELECT plan(3);
\set page `f=$(mktemp) && awk '/^## / {here = /Save, run, use|How many|Why is|side by side/} /^\140\140\140sql/ {p = here; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/segments.md" >"$f" && echo "$f"`
\setenv PAGE :page
\set answers `mktemp`
\setenv ANSWERS :answers
\o :answers
\i :page
\o
\set said `cat "$ANSWERS"`
\! rm -f "$PAGE" "$ANSWERS"
SELECT ok(:'said' ~ 'full\|1\nfans\|1\|marketing\n1\|1\|2\n2\ntick\|1\n0\|0', 'who entered, the overview, the match report, the next version, who left, and nobody who did not grant');
SELECT ok(:'said' ~ '/where/all/0\|they did purchase at least once in the last 30 days\.\|t\|1\|\|\{\d+\}\|20' AND :'said' ~ '/where/all/1\|they are not on the list press\.\|f\|', 'why she is out');
SELECT ok(:'said' ~ '1\|1\|1\|1\|1\|1\|1\|0\n1\|1\n2\|0' AND :'said' ~ '0\|0\|0\|0\|0\|\|\{\}\|\{\}', 'how many it would be, and two versions when nobody had bought');
SELECT * FROM finish();
