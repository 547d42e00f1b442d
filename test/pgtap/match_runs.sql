-- Named models: runs, incremental runs, decisions, and links between identifiers.
SELECT plan(39);
\set model '{"link_type": "dedupe_only", "unique_id_column_name": "id", "probability_two_random_records_match": 0.5, "blocking_rules_to_generate_predictions": ["l.k = r.k"], "comparisons": [{"comparison_levels": [{"sql_condition": "name_l IS NULL OR name_r IS NULL", "is_null_level": true}, {"sql_condition": "name_l = name_r", "m_probability": 0.512, "u_probability": 0.001}, {"sql_condition": "levenshtein(name_l, name_r) <= 1", "m_probability": 0.4, "u_probability": 0.1}, {"sql_condition": "ELSE", "m_probability": 0.088, "u_probability": 0.899}]}]}'
CREATE TABLE public.people (id bigint PRIMARY KEY, k int, name text);
CREATE INDEX ON public.people (k);
INSERT INTO public.people VALUES (1, 1, 'anna'), (2, 1, 'anna'), (3, 1, 'anne'), (4, 1, 'bob'), (5, 2, 'bob'), (6, 2, 'bob'), (7, 3, 'eve');
SELECT throws_ok(format($$SELECT cdp.define_match('p', %L, 'people')$$, replace(:'model', 'm_probability', 'x')), '22023', NULL, 'an untrained model is refused');
SELECT throws_ok(format($$SELECT cdp.define_match('p', %L, 'people', review_probability => 0.999)$$, :'model'), '23514', NULL, 'review above automatic');
SELECT throws_ok($$SELECT cdp.match_run('none')$$, '42704', NULL, 'no such model');
SELECT lives_ok(format($$SELECT cdp.define_match('p', %L, 'people')$$, :'model'), 'a model gets a name');
CREATE VIEW public.kept AS SELECT (id_l || '-' || id_r)::text COLLATE "default" AS pair, state::text COLLATE "default" AS state, round(match_weight::numeric, 2) AS w FROM cdp_data.match_review WHERE model = 'p';
SELECT is(cdp.match_run('p') > 0, true, 'the first run');
SELECT results_eq('SELECT pair, state, w FROM public.kept ORDER BY pair COLLATE "C"', $$VALUES ('1-2', 'linked', 9.00), ('1-3', 'open', 2.00), ('2-3', 'open', 2.00), ('5-6', 'linked', 9.00)$$, 'pairs above a half: linked or open');
SELECT results_eq('SELECT is_full, records, changed, gone, scored, linked, open FROM cdp_data.match_run ORDER BY run_id DESC LIMIT 1', 'VALUES (true, 7::bigint, 7::bigint, 0::bigint, 4::bigint, 2::bigint, 2::bigint)', 'its figures');
SELECT results_eq($$SELECT id, cluster FROM cdp.match_result('p') ORDER BY id$$, $$VALUES ('1', '1'), ('2', '1'), ('3', '1'), ('5', '5'), ('6', '5')$$, 'its clusters');
SELECT cdp.match_run('p');
SELECT results_eq('SELECT is_full, changed, scored FROM cdp_data.match_run ORDER BY run_id DESC LIMIT 1', 'VALUES (false, 0::bigint, 0::bigint)', 'nothing changed: nothing is scored');

-- Decisions stay.
SELECT is(cdp.decide_match(review_id, false, 'twins'), 'rejected', 'a pair is rejected') FROM cdp_data.match_review WHERE model = 'p' AND id_l = '1' AND id_r = '3';
SELECT is(cdp.decide_match(review_id, true), 'accepted', 'another one accepted') FROM cdp_data.match_review WHERE model = 'p' AND id_l = '2' AND id_r = '3';
SELECT throws_ok('SELECT cdp.decide_match(0, true)', '22023', NULL, 'no such pair');
SELECT is((SELECT decided_by = session_user AND decided_at <= clock_timestamp() AND note = 'twins' FROM cdp_data.match_review WHERE state = 'rejected'), true, 'with who, when and why');
SELECT cdp.match_run('p', is_full => true);
SELECT results_eq($$SELECT pair, state FROM public.kept WHERE pair IN ('1-2', '1-3', '2-3') ORDER BY pair COLLATE "C"$$, $$VALUES ('1-2', 'open'), ('1-3', 'rejected'), ('2-3', 'accepted')$$, 'a full run keeps decisions; 1 and 2 can not be one when 3 is 2 and not 1');
SELECT cdp.decide_match(review_id, true) FROM cdp_data.match_review WHERE model = 'p' AND id_l = '1' AND id_r = '3';
SELECT cdp.match_run('p');
SELECT is((SELECT state FROM public.kept WHERE pair = '1-2'), 'linked', 'a decision can be taken back');

-- What changes is found again; incremental runs end where a full run would.
UPDATE public.people SET name = 'bob' WHERE id = 7;
UPDATE public.people SET k = 2 WHERE id = 7;
DELETE FROM public.people WHERE id = 6;
INSERT INTO public.people VALUES (8, 1, 'bob');
SELECT cdp.match_run('p');
SELECT results_eq('SELECT changed, gone, scored FROM cdp_data.match_run ORDER BY run_id DESC LIMIT 1', 'VALUES (2::bigint, 1::bigint, 2::bigint)', 'a changed and a new record, one gone');
SELECT results_eq($$SELECT pair FROM public.kept ORDER BY pair COLLATE "C"$$, $$VALUES ('1-2'), ('1-3'), ('2-3'), ('4-8'), ('5-7')$$, 'their pairs');
SELECT setseed(0.5);
CREATE TABLE public.crowd AS SELECT i::bigint AS id, floor(random() * 12)::int AS k, repeat(chr(97 + floor(random() * 3)::int), 3) || chr(97 + floor(random() * 3)::int) AS name FROM generate_series(1, 150) i;
SELECT cdp.define_match('inc', :'model', 'crowd'), cdp.define_match('full', :'model', 'crowd');
CREATE FUNCTION public.differ() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM (
  (SELECT id_l, id_r, match_weight, gammas, state FROM cdp_data.match_review WHERE model = 'inc' EXCEPT SELECT id_l, id_r, match_weight, gammas, state FROM cdp_data.match_review WHERE model = 'full')
  UNION ALL (SELECT id_l, id_r, match_weight, gammas, state FROM cdp_data.match_review WHERE model = 'full' EXCEPT SELECT id_l, id_r, match_weight, gammas, state FROM cdp_data.match_review WHERE model = 'inc')) x $$;
DO $$ BEGIN
  FOR i IN 1 .. 12 LOOP
    UPDATE public.crowd SET k = floor(random() * 12) WHERE random() < 0.05;
    UPDATE public.crowd SET name = repeat(chr(97 + floor(random() * 3)::int), 3) WHERE random() < 0.05;
    DELETE FROM public.crowd WHERE random() < 0.03;
    INSERT INTO public.crowd SELECT 1000 + i * 10 + n, floor(random() * 12)::int, 'aaab' FROM generate_series(1, 4) n ON CONFLICT DO NOTHING;
    PERFORM cdp.match_run('inc'), cdp.match_run('full', true);
    IF public.differ() > 0 THEN
      RAISE EXCEPTION 'round %: incremental and full runs differ in % rows', i, public.differ();
    END IF;
  END LOOP;
END $$;
SELECT is(public.differ(), 0::bigint, 'twelve rounds of changes: incremental runs end where full ones do');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.match_review WHERE model = 'inc' AND state = 'linked'), '>', 20::bigint, 'with pairs to compare');
SELECT is((SELECT count(*) FROM cdp_data.match_run WHERE model = 'inc' AND NOT is_full AND changed < records / 2), 11::bigint, 'having looked at less');

-- The cap is visible.
SELECT cdp.define_match('capped', :'model', 'crowd', max_pairs => 100);
SET client_min_messages = error;
SELECT cdp.match_run('capped');
RESET client_min_messages;
SELECT is((SELECT dropped_pairs > 0 FROM cdp_data.match_run WHERE model = 'capped'), true, 'a run says how many pairs the cap dropped');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'match_pairs_dropped'), 1::bigint, 'and so does health()');
UPDATE cdp_data.match_review SET created_at = now() - interval '40 days' WHERE review_id = (SELECT min(review_id) FROM cdp_data.match_review WHERE state = 'open');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'match_review_waits'), 1::bigint, 'which also sees pairs that nobody decides on');
ALTER TABLE public.crowd RENAME TO mob;
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'match_table_gone'), 3::bigint, 'and models whose table is gone');
ALTER TABLE public.mob RENAME TO crowd;

-- One record; by index.
SELECT results_eq($$SELECT id, decision FROM cdp.match('{"k": 1, "name": "anne"}', 'p')$$, $$VALUES ('3', 'link'), ('1', 'review'), ('2', 'review')$$, 'match() decides by the thresholds');
INSERT INTO public.people SELECT i, i, 'x' FROM generate_series(1000, 20000) i;
ANALYZE public.people;
CREATE FUNCTION public.plan(q text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; t text := ''; BEGIN FOR r IN EXECUTE 'EXPLAIN ' || q LOOP t := t || r || E'\n'; END LOOP; RETURN t; END $$;
SELECT matches(public.plan(cdp_internal.match_candidates(:'model', 'people', '{"k": 77, "name": "x"}', 100)), 'Index', 'match() finds its candidates by index, also on a number');
SELECT throws_ok($$SELECT * FROM cdp.match('{"k": "no number"}', 'p')$$, '22P02', NULL, 'a value that the column refuses');
SELECT is((SELECT count(*) FROM cdp.match('{"k": 1, "name": "'' OR true; DROP TABLE public.people; --"}', 'p')), 0::bigint, 'values are never SQL');

-- Identifiers: links, ledger, decisions.
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, i FROM generate_series(901, 904) i;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id, first_seen)
SELECT i, (SELECT type_id FROM cdp_data.identifier_type_all WHERE name = 'crm_id'), 'crm' || i, i, '2026-01-01' FROM generate_series(901, 904) i;
CREATE TABLE public.profile AS SELECT i::bigint AS id, 1 AS k, n AS name FROM (VALUES (901, 'anna'), (902, 'anna'), (903, 'anne'), (904, 'zoe')) v (i, n);
SELECT throws_ok(format($$SELECT cdp.define_match('c', %L, 'crowd', identifiers => true)$$, jsonb_set(:'model', '{unique_id_column_name}', '"name"')), '22023', NULL, 'identifiers need a bigint id');
SELECT cdp.define_match('c', :'model', 'profile', identifiers => true);
SELECT cdp.match_run('c');
SELECT results_eq($$SELECT a_id, b_id, state COLLATE "default", round(weight::numeric, 2) FROM cdp_data.link WHERE kind = 'probabilistic'$$, $$VALUES (901::bigint, 902::bigint, 'active', 9.00)$$, 'a linked pair becomes a probabilistic link with its weight');
SELECT is(cdp_internal.identifier_root(901), cdp_internal.identifier_root(902), 'and its customers one');
SELECT is((SELECT count(*) FROM cdp_data.merge_log WHERE cause = 'match'), 1::bigint, 'with a line in the ledger');
SELECT cdp.decide_match(review_id, true, 'same phone') FROM cdp_data.match_review WHERE model = 'c' AND id_l = '901' AND id_r = '903';
SELECT is(cdp_internal.identifier_root(903), cdp_internal.identifier_root(901), 'an accepted pair too');
SELECT is((SELECT count(*) FROM cdp_data.link WHERE kind = 'manual' AND state = 'active'), 1::bigint, 'by a manual link');
SELECT cdp.decide_match(review_id, false, 'no') FROM cdp_data.match_review WHERE model = 'c' AND id_l = '901' AND id_r = '903';
SELECT isnt(cdp_internal.identifier_root(903), cdp_internal.identifier_root(901), 'rejected after all: they part');
SELECT cdp.match_run('c', true);
SELECT isnt(cdp_internal.identifier_root(903), cdp_internal.identifier_root(901), 'and no run brings them together again');
UPDATE public.profile SET name = 'kim' WHERE id = 902;
SELECT cdp.match_run('c');
SELECT isnt(cdp_internal.identifier_root(902), cdp_internal.identifier_root(901), 'a pair that no longer matches is taken back');
UPDATE public.profile SET name = 'anna' WHERE id = 902;
SELECT cdp.match_run('c');
SELECT is(cdp_internal.identifier_root(902), cdp_internal.identifier_root(901), 'and comes back when it does');
SELECT is(cdp.drop_match('c'), true, 'a model is forgotten');
SELECT * FROM finish();
