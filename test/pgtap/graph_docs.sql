-- Every SQL block of the sections Identify, Unmerge and Explain of docs/identity.md can be typed as it stands, and does
-- what the page says.
SELECT plan(4);
\set page `f=$(mktemp) && awk '/^## / {s = ($2 == "Identify" || $2 == "Unmerge" || $2 == "Explain")} /^\140\140\140sql/ {p = s; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/identity.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT count(*) FROM cdp_data.link WHERE state = 'rejected' AND reason = 'limit user_id'), 1::bigint, 'the page runs as printed: another account is left out');
SELECT isnt(cdp.customer_of('cookie', 'c0ffee'), cdp.customer_of('user_id', 'A-77'), 'the cookie left');
SELECT is(cdp.customer_of('email', 'ann.lee@example.org'), cdp.customer_of('user_id', 'A-77'), 'the address stayed');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'the promise holds');
SELECT * FROM finish();
