-- Every SQL block of docs/audit.md and docs/encryption.md can be typed as it stands.
SELECT plan(4);
SELECT cdp_data.audit_write('test', 'a row to be sealed') \g /dev/null
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/audit.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT audit || ' ' || audit_retention FROM cdp_data.setting), 'full 3 years', 'docs/audit.md runs as printed');
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/encryption.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT count(*) FROM account WHERE iban LIKE 'cdp1:1:%'), 1::bigint, 'docs/encryption.md runs as printed');
SELECT is((SELECT count(*) FROM cdp_data.attribute_value WHERE value LIKE 'cdp1:1:%'), 2::bigint, 'and its values are encrypted');
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE action = 'reveal'), 2::bigint, 'and read with a trace');
SELECT * FROM finish();
