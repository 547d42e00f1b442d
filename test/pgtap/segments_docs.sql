-- Every SQL block about the language in docs/segments.md can be typed as it stands, and each rule becomes the JSONB printed below it.
BEGIN;
SELECT plan(6);
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
-- The section on errors prints what it is answered, as psql shows it.
\set page `f=$(mktemp) && awk '/^## / {here = /Errors/} /^\140\140\140sql/ {p = here; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/segments.md" >"$f" && echo "$f"`
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
\set said `sed 's/ *$//' "$ANSWERS" | awk 'NF'`
\! rm -f "$PAGE" "$ANSWERS"
\set printed `awk '/^## / {here = /Errors/} /^\140\140\140/ {open = !open; p = open && here && $0 == "\140\140\140"; next} p' "$CDP_TOP/docs/segments.md" | sed 's/ *$//' | awk 'NF'`
SELECT is(:'said'::text, :'printed'::text, 'errors and warnings are told as the page prints them');
\set codes `grep -oh '"[EW]_[A-Z_]*"' "$CDP_TOP"/src/segment/rule/*.c | tr -d '"' | sort -u`
\set page `cat "$CDP_TOP/docs/segments.md"`
SELECT is((SELECT string_agg(c, ' ') FROM string_to_table(:'codes', E'\n') c WHERE strpos(:'page', c) = 0 AND strpos(:'page', ', ' || regexp_replace(c, '^E_UNKNOWN', '')) = 0), NULL, 'the page lists every code');
SELECT * FROM finish();
ROLLBACK;
