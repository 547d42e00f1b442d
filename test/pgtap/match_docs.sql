-- Every SQL block of the page on matching can be typed as it stands.
SELECT plan(3);
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/matching.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT count(*) FROM cdp_data.match_run), 2::bigint, 'docs/matching.md runs as printed');
SELECT cmp_ok((SELECT 2.0 * count(*) FILTER (WHERE a.truth = b.truth) / (count(*) + 800) FROM my_models m, cdp.match_pairs(m.model, 'my_people') p
  JOIN my_people a ON a.id = p.id_l::int JOIN my_people b ON b.id = p.id_r::int), '>', 0.9, 'and its example finds the people');
SELECT is((SELECT count(*) FROM cdp_data.match_review WHERE state = 'accepted'), 1::bigint, 'with a pair to decide on');
SELECT * FROM finish();
