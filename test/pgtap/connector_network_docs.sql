-- Every SQL block of docs/connector_network.md can be typed as it stands; it prints what the page shows; the page has every word of the code.
SELECT plan(5);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/connector_network.md" >"$f" && echo "$f"`
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
\set said `sed 's/ *$//' "$ANSWERS"`
\! rm -f "$PAGE" "$ANSWERS"
\set printed `awk '/^\140\140\140/ {open = !open; p = open && $0 == "\140\140\140"; next} p' "$CDP_TOP/docs/connector_network.md" | grep -v '^cdp\.' | sed 's/ *$//'`
SELECT ok(:'printed' <> '' AND strpos(:'said', :'printed') > 0, 'docs/connector_network.md runs as printed');
SELECT is((SELECT allowed FROM cdp.check_host('10.1.2.3')), true, 'and opens the range');
\set settings `awk '/^\140\140\140/ {open = !open; p = open && $0 == "\140\140\140"; next} p' "$CDP_TOP/docs/connector_network.md" | sed -n "s/^\(cdp\.[a-z_]*\) = \('.*'\)$/SET \1 = \2;/p"`
SELECT ok(array_length(string_to_array(:'settings', E'\n'), 1) = 2, 'two settings are shown');
:settings
\set words `grep -oh '{"[0-9a-f:.]*", *[0-9]*, [a-z]*, "[a-z0-9_]*"}' "$CDP_TOP/src/connector/network/address.c" | sed 's/.*"\([a-z0-9_]*\)"}/\1/' | sort -u`
\set page `cat "$CDP_TOP/docs/connector_network.md"`
SELECT ok(array_length(string_to_array(:'words', E'\n'), 1) > 20, 'the words are found');
SELECT is((SELECT string_agg(w, ' ') FROM string_to_table(:'words' || E'\nhost_refused\naddress_refused\nredirect_refused\ntoo_large\ntruncated\nreset\nprotocol\nnot_allowed\nhttp_not_allowed\nuserinfo\nnot_ascii\nmalformed', E'\n') w WHERE strpos(:'page', '`' || w || '`') = 0), NULL, 'the page lists every word');
SELECT * FROM finish();
