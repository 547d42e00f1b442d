-- Every SQL block of docs/attribution.md runs as it stands.
BEGIN;
SELECT plan(2);
SET client_min_messages = error;
\ir report_data.inc
\set blocks `awk '/^\140\140\140sql/{on=1;next} /^\140\140\140/{on=0} on' docs/attribution.md`
SELECT cmp_ok(length(:'blocks'), '>', 1000, 'the page has SQL in it');
\o /dev/null
:blocks
\o
SELECT pass('all of it ran');
SELECT * FROM finish();
ROLLBACK;
