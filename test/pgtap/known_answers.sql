-- Published and hand-computed answers: KA1 to KA5 of the research, Adobe's examples, and the dialects' rules.
BEGIN;
SELECT plan(41);

CREATE SCHEMA t;
-- The labels with credit and what they got, rounded to the digits that the source prints.
CREATE FUNCTION t.line(p cdp.attribution_partial, of_model text, what text, digits int) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(label || '=' || trim_scale(round(CASE what WHEN 'value' THEN value ELSE conversions END, digits)), ' ' ORDER BY label COLLATE "C")
    FROM cdp.attribution_totals(p) WHERE model = of_model AND (conversions <> 0 OR value <> 0)
$$;

-- ---- KA1
CREATE TABLE t.ka1 (path text[], conversions bigint, value numeric, nulls bigint);
INSERT INTO t.ka1 VALUES ('{C1,C2,C3}', 1, 1, 0), ('{C1}', 0, 0, 1), ('{C2,C3}', 0, 0, 1);
CREATE TABLE t.p1 AS
SELECT cdp.attribution_path_pass(path, conversions, value, nulls,
         cdp.attribution_options(models => '{markov,markov(2),markov(3),first,last,linear}')) AS p FROM t.ka1;
SELECT is(t.line(p, 'markov', 'conv', 12), 'C1=0.2 C2=0.4 C3=0.4', 'KA1, order 1') FROM t.p1;
SELECT is(t.line(p, 'markov(2)', 'conv', 12), 'C1=0.2 C2=0.4 C3=0.4', 'KA1, order 2') FROM t.p1;
SELECT is(t.line(p, 'markov(3)', 'conv', 12), 'C1=0.333333333333 C2=0.333333333333 C3=0.333333333333', 'KA1, order 3') FROM t.p1;
SELECT is(t.line(p, 'markov', 'value', 12), 'C1=0.2 C2=0.4 C3=0.4', 'KA1, order 1, value') FROM t.p1;
SELECT is(t.line(p, 'linear', 'conv', 12), 'C1=0.333333333333 C2=0.333333333333 C3=0.333333333333', 'KA1, linear') FROM t.p1;
SELECT results_eq($$SELECT label, round(removal_conversions::numeric, 12) FROM t.p1, cdp.attribution_removal(p, 1) ORDER BY label$$,
  $$VALUES ('C1', 0.5::numeric), ('C2', 1), ('C3', 1)$$, 'KA1, removal effects of order 1');
SELECT results_eq($$SELECT label, round(removal_conversions::numeric, 12) FROM t.p1, cdp.attribution_removal(p, 2) ORDER BY label$$,
  $$VALUES ('C1', 0.5::numeric), ('C2', 1), ('C3', 1)$$, 'KA1, removal effects of order 2');

-- ---- KA2
CREATE TABLE t.ka2 (path text[], conversions bigint, value numeric, nulls bigint);
INSERT INTO t.ka2 VALUES ('{A,B}', 2, 30, 3), ('{B,A,A}', 1, 50, 0), ('{A}', 1, 10, 4), ('{B,C,B}', 2, 100, 2), ('{C}', 0, 0, 5);
CREATE TABLE t.p2 AS
SELECT cdp.attribution_path_pass(path, conversions, value, nulls,
         cdp.attribution_options(models => '{markov,markov(2),markov(3)}')) AS p FROM t.ka2;
SELECT is(t.line(p, 'markov', 'conv', 9), format('A=%s B=%s C=%s', round(5960/2473.0, 9), round(6854/2473.0, 9), round(2024/2473.0, 9)), 'KA2, order 1') FROM t.p2;
SELECT is(t.line(p, 'markov', 'value', 9), format('A=%s B=%s C=%s', round(9462/127.0, 9), round(11324/127.0, 9), round(3344/127.0, 9)), 'KA2, order 1, value') FROM t.p2;
SELECT is(t.line(p, 'markov', 'conv', 6), 'A=2.410028 B=2.771533 C=0.818439', 'KA2, order 1 as printed') FROM t.p2;
SELECT is(t.line(p, 'markov', 'value', 6), 'A=74.503937 B=89.165354 C=26.330709', 'KA2, order 1, value as printed') FROM t.p2;
SELECT is(t.line(p, m, 'conv', 9), format('A=%s B=%s C=%s', round(24/11.0, 9), round(30/11.0, 9), round(12/11.0, 9)), 'KA2, ' || m)
  FROM t.p2, unnest('{markov(2),markov(3)}'::text[]) m;
SELECT is(t.line(p, m, 'value', 9), format('A=%s B=%s C=%s', round(1710/37.0, 9), round(3420/37.0, 9), round(1900/37.0, 9)), 'KA2, value, ' || m)
  FROM t.p2, unnest('{markov(2),markov(3)}'::text[]) m;
SELECT results_eq($$SELECT label, round(removal_conversions::numeric, 10) FROM t.p2, cdp.attribution_removal(p, 1) ORDER BY label$$,
  $$VALUES ('A', round(20/33.0, 10)), ('B', round(23/33.0, 10)), ('C', round(92/447.0, 10))$$, 'KA2, removal effects of order 1');
SELECT results_eq($$SELECT label, round(removal_conversions::numeric, 10) FROM t.p2, cdp.attribution_removal(p, 2) ORDER BY label$$,
  $$VALUES ('A', round(2/3.0, 10)), ('B', round(5/6.0, 10)), ('C', round(1/3.0, 10))$$, 'KA2, removal effects of order 2');

-- ---- KA3
CREATE TABLE t.p3 AS
SELECT cdp.attribution_path_pass(path, c, c, 0, cdp.attribution_options(models => '{shapley,shapley_ordered}')) AS p
  FROM (VALUES ('{A}'::text[], 10), ('{B}', 4), ('{A,B}', 6), ('{B,C}', 3), ('{C,A,B}', 9)) v(path, c);
SELECT is(t.line(p, m, 'conv', 12), 'A=16 B=11.5 C=4.5', 'KA3, ' || m) FROM t.p3, unnest('{shapley,shapley_ordered}'::text[]) m;

-- ---- KA4, published by Adobe: $50, paid search > social > email > display
CREATE TABLE t.ka4 (k bigint, at timestamptz, label text, value numeric);
INSERT INTO t.ka4 VALUES (1, '2018-09-10', 'paid search', NULL), (1, '2018-09-13', 'social', NULL), (1, '2018-09-19', 'email', NULL),
  (1, '2018-09-19 00:00:01', 'display', NULL), (1, '2018-09-19 00:00:02', NULL, 50);
CREATE TABLE t.p4 AS
SELECT cdp.attribution_pass(k, at, label, value, cdp.attribution_options(dialect => 'adobe',
         models => '{first,last,linear,u_shaped,j_shaped,inverse_j,participation}')) AS p FROM t.ka4;
SELECT is(t.line(p, m, 'value', 6), want, 'Adobe''s example: ' || m)
  FROM t.p4, (VALUES ('first', 'paid search=50'), ('last', 'display=50'),
    ('linear', 'display=12.5 email=12.5 paid search=12.5 social=12.5'),
    ('u_shaped', 'display=20 email=5 paid search=20 social=5'),
    ('j_shaped', 'display=30 email=5 paid search=10 social=5'),
    ('inverse_j', 'display=10 email=5 paid search=30 social=5'),
    ('participation', 'display=50 email=50 paid search=50 social=50')) v(m, want);
SELECT is((SELECT t.line(cdp.attribution_pass(1::bigint, '2026-01-10'::timestamptz - age * interval '1 day', l, v,
                    cdp.attribution_options(models => '{time_decay(7 days)}', dialect => 'adobe')), 'time_decay(7 days)', 'value', 4)
             FROM (VALUES (9, 'd', NULL::numeric), (6, 'c', NULL), (0, 'b', NULL), (0, 'a', NULL), (0, NULL, 50)) x(age, l, v)),
  'a=16.8793 b=16.8793 c=9.3181 d=6.9233', 'KA4, time decay as published by Adobe');

-- ---- KA5: A, B, C, A aged 9, 6, 1, 0 days, 100
CREATE TABLE t.ka5 (k text, at timestamptz, label text, value numeric);
INSERT INTO t.ka5 SELECT 'x', '2026-01-20'::timestamptz - age * interval '1 day', l, v
  FROM (VALUES (9, 'A', NULL::numeric), (6, 'B', NULL), (1, 'C', NULL), (0, 'A', NULL), (0, NULL, 100)) x(age, l, v);
CREATE TABLE t.p5 AS
SELECT cdp.attribution_pass(k, at, label, value, cdp.attribution_options(
         models => '{linear,u_shaped,j_shaped,inverse_j,time_decay(7 days),time_decay(1 day),ramp,last_non(A),"time_decay(7 days, step)"}')) AS p FROM t.ka5;
SELECT is(t.line(p, m, 'value', 6), want, 'KA5: ' || m)
  FROM t.p5, (VALUES ('linear', 'A=50 B=25 C=25'), ('u_shaped', 'A=80 B=10 C=10'), ('j_shaped', 'A=80 B=10 C=10'), ('inverse_j', 'A=80 B=10 C=10'),
    ('ramp', 'A=50 B=20 C=30'), ('last_non(A)', 'C=100')) v(m, want);
SELECT is((SELECT string_agg(trim_scale(round(c.value, 6))::text, ' ' ORDER BY c.touch_at)
             FROM (SELECT cdp.attribution_pass(k, at, label, value, cdp.attribution_options(models => ARRAY[m], credits => true)) AS p FROM t.ka5) q,
                  cdp.attribution_credit(p) c), want, 'KA5, each touch: ' || m)
  FROM (VALUES ('time_decay(7 days)', '14.301842 19.248851 31.581027 34.86828'),
               ('time_decay(1 day)', '0.1287 1.029601 32.947233 65.894466'),
               ('time_decay(7 days, step)', '14.285714 28.571429 28.571429 28.571429')) v(m, want);

-- ---- Two touches: Adobe gives the middle to nobody, MAM gives half of it to each end
SELECT is((SELECT t.line(cdp.attribution_pass(1::bigint, at, l, v, cdp.attribution_options(models => '{j_shaped}', dialect => d)), 'j_shaped', 'value', 6)
             FROM (VALUES ('2026-01-01'::timestamptz, 'a', NULL::numeric), ('2026-01-02', 'b', NULL), ('2026-01-03', NULL, 100)) x(at, l, v)),
  want, 'two touches, dialect ' || d)
  FROM (VALUES ('adobe', 'a=25 b=75'), ('mam', 'a=30 b=70')) v(d, want);

-- ---- ChannelAttribution knows no times: KA1 from rows that lie years apart, under its dialect
CREATE TABLE t.ka1_rows AS
SELECT path::text || i AS k, '1990-01-01'::timestamptz + ord * interval '1000 days' AS at, label, NULL::numeric AS value
  FROM t.ka1, generate_series(1, conversions + nulls) i, unnest(path) WITH ORDINALITY u(label, ord)
UNION ALL
SELECT path::text || i, '2026-01-01', NULL, value FROM t.ka1, generate_series(1, conversions) i;
SELECT is((SELECT t.line(cdp.attribution_pass(k, at, label, value, cdp.attribution_options(models => ARRAY[m], dialect => 'channelattribution')), m, 'conv', 4) FROM t.ka1_rows), want,
  'ChannelAttribution''s answer from rows, ' || m)
  FROM (VALUES ('markov(1)', 'C1=0.2 C2=0.4 C3=0.4'), ('markov(3)', 'C1=0.3333 C2=0.3333 C3=0.3333')) v(m, want);
-- MAM begins a journey anew at each conversion.
SELECT is((SELECT t.line(cdp.attribution_pass(1::bigint, at, l, v, cdp.attribution_options(models => '{linear}', dialect => 'mam')), 'linear', 'value', 6)
             FROM (VALUES ('2026-01-01'::timestamptz, 'a', NULL::numeric), ('2026-01-02', NULL, 10), ('2026-01-03', 'b', NULL), ('2026-01-04', NULL, 5)) x(at, l, v)),
  'a=10 b=5', 'MAM: journeys reset at conversions');

SELECT * FROM finish();
ROLLBACK;
