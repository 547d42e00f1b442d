-- Every SQL block of docs/journey.md runs as it stands, and the first answer is the one printed.
BEGIN;
SELECT plan(3);
SET client_min_messages = error;
\ir report_data.inc
\set blocks `awk '/^\140\140\140sql/{on=1;next} /^\140\140\140/{on=0} on' docs/journey.md`
\set printed `awk '/^\140\140\140sql/ {sql = 1; next} /^\140\140\140$/ {if (sql) sql = 0; else on = !on; next} on && /^ +[0-9]/ {gsub(/ +/, ""); print} /^## Funnels over our/ {exit}' docs/journey.md`
SELECT cmp_ok(length(:'blocks'), '>', 1000, 'the page has SQL in it');
\o /dev/null
:blocks
\o
SELECT pass('all of it ran');
SELECT is((SELECT string_agg(concat_ws('|', s.step, s.labels, s.customers, s.dropped, s.of_first, coalesce(s.median_from_previous::text, '')), E'\n' ORDER BY s.step) FROM (
  SELECT cdp.funnel_pass(user_id, seen_at, page, cdp.funnel_options('{home,cart,paid}', within => '7 days')) AS f FROM my_visits) v, cdp.funnel_steps(v.f) s),
  :'printed', 'with the answer that is printed');
SELECT * FROM finish();
ROLLBACK;
