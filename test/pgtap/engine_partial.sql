-- The type cdp.attribution_partial: round trips, merging, replay of journeys, and bytes that nobody should trust.
BEGIN;
SELECT plan(19);
SET LOCAL client_min_messages = error;
CREATE SCHEMA t;
SELECT setseed(0.37) \g /dev/null
CREATE TABLE t.rows AS
SELECT (random() * 400)::int::bigint AS k, '2026-01-01'::timestamptz + (random() * 5000)::int * interval '20 minutes' AS at,
  CASE WHEN r < 0.08 THEN NULL ELSE (ARRAY['mail', '微信', 'direct', 'search', 'video'])[1 + (random() * 4)::int] END AS label,
  CASE WHEN r < 0.06 THEN (random() * 100)::numeric(9, 2) WHEN r < 0.07 THEN -3.5 END AS value, i AS id,
  (random() * 3)::int::bigint AS session
FROM (SELECT i::bigint, random() AS r FROM generate_series(1, 6000) i) g;
CREATE FUNCTION t.options(credits bool DEFAULT true) RETURNS jsonb LANGUAGE sql
RETURN cdp.attribution_options(models => '{first,last,linear,u_shaped,time_decay(7 days),participation,same_touch,markov,markov(2),shapley,shapley_ordered,one_removed}',
  paths => true, credits => credits, lookback => '10 days', conversion_is_touch => 'later');
CREATE TABLE t.whole AS SELECT cdp.attribution_pass(k, at, label, value, t.options(), id, NULL::text, session, NULL::bigint) AS p FROM t.rows;

-- Round trips.
SELECT is(p::text::cdp.attribution_partial::text, p::text, 'text in and out') FROM t.whole;
CREATE TABLE t.recv (p cdp.attribution_partial);
SELECT is(md5(cdp_internal.attribution_partial_send(p)), md5(decode(substr(p::text, 3), 'hex')), 'binary is the same bytes') FROM t.whole;

-- Shards of customers merged are the whole.
CREATE TABLE t.shards AS SELECT cdp.attribution_pass(k, at, label, value, t.options(), id, NULL::text, session, NULL::bigint) AS p FROM t.rows GROUP BY k % 7;
SELECT is((SELECT md5(cdp.attribution_merge(p)::text) FROM t.shards), md5(p::text), 'shards merge into the whole') FROM t.whole;
SELECT is((SELECT md5(cdp.attribution_merge(p ORDER BY md5(p::text))::text) FROM t.shards), md5(p::text), 'in another order too') FROM t.whole;
SELECT is((SELECT md5(cdp.attribution_merge(p)::text) FROM (SELECT cdp.attribution_merge(p) AS p FROM (SELECT p, row_number() OVER () % 2 AS g FROM t.shards) s GROUP BY g) m),
  md5(p::text), 'and in two steps') FROM t.whole;
SELECT ok((SELECT cdp.attribution_merge(NULL::cdp.attribution_partial)) IS NULL, 'merging nothing');
SELECT throws_ok($$SELECT cdp.attribution_merge(p) FROM (SELECT p FROM t.whole UNION ALL
  SELECT cdp.attribution_pass(1::bigint, now(), 'mail', NULL::numeric, cdp.attribution_options())) s$$, '22023', NULL, 'other options do not merge');
SELECT throws_ok($$SELECT cdp.attribution_merge(p) FROM (SELECT cdp.attribution_pass(1::bigint, now(), 'mail', NULL::numeric, NULL) AS p UNION ALL
  SELECT cdp.attribution_pass(1::bigint, now(), 5, NULL::numeric, NULL)) s$$, '22023', NULL, 'text and integer labels do not merge');
SELECT is((SELECT string_agg(label, ' ') FROM (SELECT cdp.attribution_merge(p) AS p FROM (SELECT cdp.attribution_pass(1::bigint, now(), l, NULL::numeric, '{"models": ["last"]}'::jsonb) AS p
  FROM unnest('{b,a,c}'::text[]) l GROUP BY l) s) m, cdp.attribution_totals(m.p)), 'a b c (unattributed)', 'labels unite');

-- Journeys replayed are the pass, and taken back they leave nothing.
CREATE FUNCTION t.digest(p cdp.attribution_partial) RETURNS text LANGUAGE sql RETURN (SELECT md5(string_agg(r::text, '|' ORDER BY r::text)) FROM cdp.attribution_totals(p) r);
SELECT is((SELECT t.digest(cdp.attribution_replay(j.journey, 1, t.options(false))) FROM t.whole w, cdp.attribution_journeys(w.p) j), t.digest(p), 'replayed journeys give the totals') FROM t.whole;
SELECT is((SELECT sum(abs(r.conversions) + abs(r.value)) FROM (SELECT cdp.attribution_replay(j.journey, s, t.options(false)) AS p
  FROM t.whole w, cdp.attribution_journeys(w.p) j, unnest('{1,-1}'::int[]) s) q, cdp.attribution_totals(q.p) r), 0::numeric, 'added and taken back, nothing is left');
SELECT is((SELECT sum(c.value) FROM t.whole w, cdp.attribution_credit(w.p) c WHERE model = 'linear'), (SELECT value FROM t.whole w, cdp.attribution_summary(w.p)), 'credit of touches adds up to the value');
SELECT is((SELECT jsonb_object_agg(model || label, conversions) FROM (SELECT model, label, sum(c.conversions) AS conversions FROM t.whole w, cdp.attribution_credit(w.p) c GROUP BY 1, 2) s),
  (SELECT jsonb_object_agg(model || label, conversions) FROM t.whole w, cdp.attribution_totals(w.p) r WHERE conversions <> 0 AND model !~ '^(markov|shapley|one)'), 'and label by label to the totals');
SELECT is((SELECT sum(conversions) FROM t.whole w, cdp.attribution_lengths(w.p)), (SELECT conversions - conversions_without_touch FROM t.whole w, cdp.attribution_summary(w.p))::numeric, 'lengths cover the journeys with touches');
SELECT is((SELECT sum(last_conversions) FROM t.whole w, cdp.attribution_assists(w.p)), (SELECT sum(conversions)::numeric FROM t.whole w, cdp.attribution_lags(w.p)), 'so do assists and lags');

-- Changed bytes: an error of ours or a value, never a crash or an internal error.
CREATE FUNCTION t.try(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM count(*) FROM cdp.attribution_totals(bytes::text::cdp.attribution_partial);
  RETURN 'fine';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
CREATE TABLE t.small AS SELECT decode(substr(cdp.attribution_pass(k, at, label, value, t.options(), id, NULL::text, session, NULL::bigint)::text, 3), 'hex') AS b FROM t.rows WHERE k < 6;
SELECT is((SELECT string_agg(DISTINCT s, ' ') FROM (SELECT t.try(substr(b, 1, n)) AS s FROM t.small, generate_series(0, length(b) - 1, 7) n) x WHERE s ~ '^(XX|fine)'), NULL, 'cut anywhere, it is refused');
SELECT is((SELECT string_agg(DISTINCT s, ' ') FROM (SELECT t.try(set_byte(b, (random() * (length(b) - 1))::int, (random() * 255)::int)) AS s FROM t.small, generate_series(1, 1500)) x WHERE s LIKE 'XX%'), NULL, 'one byte changed');
SELECT is((SELECT string_agg(DISTINCT s, ' ') FROM (SELECT t.try(overlay(b PLACING decode('ffffffffffffffffff01', 'hex') FROM 1 + (random() * (length(b) - 1))::int)) AS s FROM t.small, generate_series(1, 500)) x WHERE s LIKE 'XX%'), NULL, 'huge counts anywhere');
SELECT throws_ok($$SELECT 'hello'::cdp.attribution_partial$$, '22P02', NULL, 'text that is no value');
SELECT * FROM finish();
ROLLBACK;
