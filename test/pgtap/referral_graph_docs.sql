-- Every SQL block of docs/fraud_graph.md can be typed as it stands, in order, and answers as printed.
SELECT plan(5);
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_cdp;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/fraud_graph.md" >"$f" && echo "$f"`
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
\set missing `awk '/^\140\140\140/ {open = !open; if (open && $0 == "\140\140\140") {block = ""; p = 1} else if (p) {print block "\001"; p = 0} next} p {sub(/ *$/, ""); block = block $0 "\n"}' "$CDP_TOP/docs/fraud_graph.md" | perl -e 'local $/; open my $a, "<", $ENV{ANSWERS}; my $said = <$a> =~ s/ *$//mgr; my $page = <STDIN>; my @b = grep { /\S/ } split /\001\n?/, $page; print scalar(@b), " blocks"; for (@b) { s/^\s+|\s+\z//g; print ", not said: $_" if index($said, $_) < 0 }'`
\! rm -f "$PAGE" "$ANSWERS"
SELECT is(:'missing'::text, '4 blocks', 'docs/fraud_graph.md answers as printed');
SELECT is((SELECT string_agg(hub_cap || ':' || n, ' ' ORDER BY hub_cap) FROM (SELECT hub_cap, max(accounts) AS n FROM kept, unnest('{1,10,100}'::int[]) hub_cap, cdp.fraud_components(graph, hub_cap) GROUP BY hub_cap) x), '1:1 10:9 100:41', 'a kept graph can be asked often');
SELECT cmp_ok((SELECT cdp.fraud_model_predict(m, '{35,2}') FROM model), '>', 0.9::float8, 'the model tells fraud');
SELECT is((SELECT count(*) FROM model, cdp.fraud_model_contributions(m, '{35,2}')), 2::bigint, 'and what each feature adds');
SELECT is((SELECT sum(cases) FROM calibration, cdp.fraud_calibration_table(c)), 400::numeric, 'the bins hold all cases');
SELECT * FROM finish();
