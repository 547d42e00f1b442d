-- Every SQL block of docs/attribution.md runs as it stands.
BEGIN;
SELECT plan(2);
SET client_min_messages = error;
\ir report_data.inc
\set blocks `awk '/^```sql/{on=1;next} /^```/{on=0} on' docs/attribution.md`
SELECT length(:'blocks') > 1000 AS found \gset
SELECT ok(:'found', 'the page has SQL in it');
\o /dev/null
:blocks
\o
SELECT pass('all of it ran');
SELECT * FROM finish();
ROLLBACK;
