-- Every SQL block of docs/anomalies.md runs as it stands, and gives the answers that are printed.
BEGIN;
SELECT plan(3);
SET client_min_messages = error;
\set blocks `awk '/^\140\140\140sql/{on=1;next} /^\140\140\140/{on=0} on' docs/anomalies.md`
\set answers `mktemp`
SELECT cmp_ok(length(:'blocks'), '>', 1000, 'the page has SQL in it');
\o :answers
:blocks
\o
SELECT pass('all of it ran');
-- Rows that are printed and that no block gave, without the blanks of the page.
\setenv ANSWERS :answers
\set missing `awk '/^\140\140\140sql/ {sql = 1; next} /^\140\140\140$/ {if (sql) sql = 0; else {on = !on; head = on} next} on && head {if (/^-+/) head = 0; next} on {gsub(/ /, ""); print}' docs/anomalies.md | awk 'NR == FNR {gsub(/ /, ""); seen[$0]; next} {n++} !($0 in seen) {print "missing: " $0} END {if (n < 9) print "only " n " rows are printed"}' "$ANSWERS" -; rm -f "$ANSWERS"`
SELECT is(:'missing'::text, '', 'with the answers that are printed');
SELECT * FROM finish();
ROLLBACK;
