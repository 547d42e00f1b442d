-- Options as analysts type them.
BEGIN;
SELECT plan(9);
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
SELECT * FROM finish();
ROLLBACK;
