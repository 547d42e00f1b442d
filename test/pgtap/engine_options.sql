-- Options as analysts type them.
BEGIN;
SELECT plan(26);
-- Models with commas in an array literal come split at each comma; they are put together again.
SELECT is(cdp.attribution_options(models => given)->'models', models, 'models of ' || given::text) FROM (VALUES
  ('{last,position(0.3,0.5)}'::text[], '["last", "position(0.3,0.5)"]'::jsonb),
  ('{custom(3, 2, 1),time_decay(7 days, step),last}', '["custom(3,2,1)", "time_decay(7 days,step)", "last"]'),
  ('{last,"position(0.3, 0.5)"}', '["last", "position(0.3, 0.5)"]'),
  (ARRAY['first_non("a(", b)', 'last_non("x', 'y)")', 'linear'], '["first_non(\"a(\", b)", "last_non(\"x,y)\")", "linear"]')) v(given, models);
SELECT throws_ok($$SELECT cdp.attribution_options(models => '{position(0.3,last,linear}')$$, '22023', 'invalid attribution model "position(0.3"', 'a parenthesis that stays open names its model');
SELECT throws_ok($$SELECT cdp.attribution_options(models => '{position(0.3,0.5,0.1)}')$$, '22023', 'invalid attribution model "position(0.3,0.5,0.1)"', 'too many shares');
SELECT throws_ok($$SELECT cdp.attribution_options(models => '{position(0.3,0.5),position(0.3,0.5)}')$$, '22023', 'attribution model "position(0.3,0.5)" is named twice', 'named twice');
SELECT throws_ok($$SELECT cdp.attribution_options(models => '{last),linear}')$$, '22023', NULL, 'a parenthesis that nothing opened');
SELECT lives_ok($$SELECT cdp.attribution_options(models => (SELECT array_agg('custom(' || i || ',0.5)') FROM generate_series(1, 100) i))$$, 'a hundred models with commas');

-- A time in raw options says its zone, so that the session does not decide.
SELECT throws_ok(format('SELECT cdp.attribution_pass(1::bigint, now(), ''a'', 1.0, %L)', jsonb_build_object('since', at)), '22023', 'invalid time in attribution options', 'no zone: ' || at)
  FROM unnest('{2026-01-01,2026-01-01 10:00:00,now,today,10:00,:}'::text[]) at;
SELECT is((SELECT options->>'since' FROM (SELECT cdp.attribution_pass(k, now(), 'a', 1.0, jsonb_build_object('since', at)) AS p FROM generate_series(1, 1::bigint) k) s, cdp.attribution_summary(s.p)),
  '2026-01-01 02:00:00+00', 'a zone: ' || at) FROM unnest('{2026-01-01T02:00:00Z,2026-01-01 10:00:00 Asia/Shanghai,2026-01-01 02:00 UTC}'::text[]) at;

-- Options and labels that could only mislead are refused.
SELECT throws_ok(format('SELECT cdp.attribution_pass(1::bigint, now(), label, 1.0, cdp.attribution_options(%s)) FROM (VALUES (%s)) v(label)', option, label), '22023', NULL, option || ' without kinds, label ' || label)
  FROM unnest(ARRAY['lookback_by_kind => ''{"view": "1 hour"}''', 'milestones => ''{lead}''']) option, unnest(ARRAY['1', '''a''']) label;
SELECT throws_ok($$SELECT cdp.attribution_pass(1::bigint, now(), '(unattributed)', NULL::numeric, NULL)$$, '42939', NULL, 'a reserved label');
SELECT throws_ok($$SELECT cdp.attribution_path_pass('{a,(unattributed)}', 1, 1, 0, NULL)$$, '42939', NULL, 'in a path too');
-- A refund that found no conversion is no conversion.
SELECT results_eq($$SELECT j.converted, j.value, j.touches FROM (SELECT cdp.attribution_pass(k, at, label, value, cdp.attribution_options(credits => true)) AS p
    FROM (VALUES (1::bigint, timestamptz '2026-01-01', 'a', NULL::numeric), (1, '2026-01-02', NULL, 5), (2, '2026-01-01', NULL, -3), (3, '2026-01-01', 'b', NULL)) v(k, at, label, value)) s,
    cdp.attribution_journeys(s.p) j ORDER BY j.value$$, $$VALUES (false, -3.0, 0), (false, 0, 1), (true, 5, 1)$$, 'journeys that converted');
SELECT lives_ok($$SELECT cdp_internal.attribution_nothing(cdp.attribution_options(milestones => '{lead}'))$$, 'a report of nothing may look at kinds');
SELECT * FROM finish();
ROLLBACK;
