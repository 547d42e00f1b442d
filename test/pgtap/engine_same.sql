-- What must depend neither on the models nor on the order of rows.
BEGIN;
SELECT plan(10);
SET LOCAL client_min_messages = error;
CREATE SCHEMA t;

-- Touches left out are counted for customers without conversions too, whatever the models need.
SELECT is((SELECT excluded_touches FROM (SELECT cdp.attribution_pass(k, '2026-01-01'::timestamptz + i * interval '1 h', label, value,
    cdp.attribution_options(models => ARRAY[model], exclude => '{x}')) AS p
    FROM (VALUES (1, 1::bigint, 'x', NULL::numeric), (2, 2, 'x', NULL), (3, 2, NULL, 5), (4, 3, 'x', NULL), (5, 3, 'y', NULL)) v(i, k, label, value)) s,
  cdp.attribution_summary(s.p)), 3::bigint, 'excluded touches with ' || model) FROM unnest('{last,markov}'::text[]) model;

-- Options that differ from row to row.
CREATE TABLE t.vary AS SELECT i, ('{"models": "' || CASE WHEN i < 3 THEN 'last' ELSE 'first' END || '"}')::jsonb AS o FROM generate_series(1, 4) i;
SELECT throws_ok($$SELECT cdp.attribution_pass(1::bigint, now(), 'a', i::numeric, o) FROM t.vary$$, '22023', 'attribution options differ from row to row', 'a pass with two sets of options');
SELECT throws_ok($$SELECT cdp.attribution_pass(1::bigint, now(), 'a', i::numeric, nullif(o, '{"models": "first"}')) FROM t.vary$$, '22023', 'attribution options differ from row to row', 'options and NULL');
SELECT throws_ok($$SELECT cdp.attribution_path_pass('{a}', 1, i, 0, o) FROM t.vary$$, '22023', 'attribution options differ from row to row', 'aggregated paths likewise');
SELECT lives_ok($$SELECT cdp.attribution_pass(1::bigint, now(), 'a', i::numeric, o) FROM t.vary GROUP BY o$$, 'one set of options for each group');

-- A refund that names an id which several conversions have.
CREATE FUNCTION t.refund(second_key bigint, direction text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
  EXECUTE format('SELECT string_agg(r.label || '' '' || r.value, '', '') FROM (SELECT cdp.attribution_pass(k, at, label, value,
    cdp.attribution_options(models => ''{last}''), id, NULL::text, NULL::bigint, refers_to) AS p FROM (SELECT * FROM (VALUES
      (1::bigint, timestamptz ''2026-01-01'', ''a'', NULL::numeric, NULL::bigint, NULL::bigint), (1, ''2026-01-02'', NULL, 10, 7, NULL),
      (%s, ''2026-01-03'', ''b'', NULL, NULL, NULL), (%1$s, ''2026-01-04'', NULL, 10, 7, NULL), (1, ''2026-01-05'', NULL, -4, 8, 7)
    ) v(k, at, label, value, id, refers_to) ORDER BY k %s, at %2$s) v) s, cdp.attribution_totals(s.p) r', second_key, direction) INTO answer;
  RETURN answer;
EXCEPTION WHEN cardinality_violation THEN RETURN SQLSTATE;
END $$;
SELECT is(t.refund(1, direction), 'a 6, b 10, (unattributed) 0', 'it lowers the first of one customer: ' || direction) FROM unnest('{ASC,DESC}'::text[]) direction;
SELECT is(t.refund(2, direction), '21000', 'it is refused for several customers: ' || direction) FROM unnest('{ASC,DESC}'::text[]) direction;

SELECT * FROM finish();
ROLLBACK;
