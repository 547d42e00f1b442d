-- Every SQL block about the language in docs/segments.md can be typed as it stands, and each rule becomes the JSONB printed below it.
BEGIN;
SELECT plan(4);
\set page `f=$(mktemp) && awk '/^## / {here = /Ten audiences/} /^\140\140\140sql/ {p = here; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/segments.md" >"$f" && echo "$f"`
\setenv PAGE :page
\set answers `mktemp`
\setenv ANSWERS :answers
\o :answers
\i :page
\o
\set said `cat "$ANSWERS"`
\set printed `awk '/^\140\140\140json/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/segments.md"`
\! rm -f "$PAGE" "$ANSWERS"
SELECT is(array_length(string_to_array(:'printed', E'\n'), 1), 10, 'ten audiences');
SELECT is(string_to_array(:'said', E'\n')::jsonb[], string_to_array(:'printed', E'\n')::jsonb[], 'each is what the page prints');
SELECT is((SELECT count(*) FROM unnest(string_to_array(:'printed', E'\n')::jsonb[]) r WHERE cdp_internal.rule_canonical(r) = r AND cdp.segment_rule(cdp.segment_rule_text(r)) = r), 10::bigint, 'in canonical form, there and back');
\set page `f=$(mktemp) && awk '/^## / {here = /Read a rule/} /^\140\140\140sql/ {p = here; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/segments.md" >"$f" && echo "$f"`
\setenv PAGE :page
\set answers `mktemp`
\setenv ANSWERS :answers
\o :answers
\i :page
\o
\set said `cat "$ANSWERS"`
\! rm -f "$PAGE" "$ANSWERS"
\set told `awk '/^Customers for whom/ {p = 1} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/segments.md"`
SELECT ok(:'told' <> '' AND strpos(:'said', :'told') > 0, 'what is told in words is what the page prints');
SELECT * FROM finish();
ROLLBACK;
