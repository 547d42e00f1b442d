-- Touches with a low label number and a time near ours are packed into fewer words than others, and fewer still
-- with a bigint key of 32 bits. All packings of the same rows must give the same answer:
-- the form with ids packs all rows the long way.
BEGIN;
SELECT plan(11);

-- Thousands of labels and times on both sides of 1928 and 2071, with many equal times; keys below zero, and keys that
-- differ from others beyond 32 bits only.
CREATE TEMP TABLE mixed AS
SELECT i, (h % 3500)::bigint - 100 + (h2 % 2) * 4294967296 AS key,
  timestamptz '1850-01-01 00:00:00+00' + (h2 % 100000) * interval '1 day' AS at,
  CASE WHEN h3 % 9 > 0 THEN 'label ' || (CASE WHEN h3 % 2 = 0 THEN h3 % 11 ELSE h3 % 9001 END) END AS label,
  CASE WHEN h3 % 9 = 0 THEN (h2 % 1000)::numeric / 100 END AS value
FROM generate_series(1, 100000) i,
  LATERAL (SELECT abs(hashint8extended(i, 1) % 1000003) AS h, abs(hashint8extended(i, 2) % 1000003) AS h2,
    abs(hashint8extended(i, 3) % 1000003) AS h3) x;

CREATE FUNCTION pg_temp.options() RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$SELECT cdp.attribution_options(models => '{first,last,linear,time_decay(7 days),participation}', lookback_unbounded => true)$$;

CREATE TEMP TABLE simple AS SELECT r.* FROM (
  SELECT cdp.attribution_pass(key, at, label, value, pg_temp.options()) AS a FROM mixed) s, cdp.attribution_totals(s.a) r;
CREATE TEMP TABLE simple_text AS SELECT r.* FROM (
  SELECT cdp.attribution_pass('k' || key, at, label, value, pg_temp.options()) AS a FROM mixed) s, cdp.attribution_totals(s.a) r;
CREATE TEMP TABLE with_ids AS SELECT r.* FROM (
  SELECT cdp.attribution_pass(key, at, label, value, pg_temp.options(), NULL::bigint, NULL::text, NULL::bigint, NULL::bigint) AS a
  FROM mixed) s, cdp.attribution_totals(s.a) r;

SELECT ok((SELECT count(DISTINCT label) > 4096 AND min(at) < '1928-01-01' AND max(at) > '2071-12-31' FROM mixed),
  'rows of all packings are there');
SELECT cmp_ok((SELECT count(*) FROM simple WHERE conversions <> 0), '>', 10000::bigint, 'many labels earn credit');
SELECT is_empty('(TABLE simple EXCEPT ALL TABLE with_ids) UNION ALL (TABLE with_ids EXCEPT ALL TABLE simple)',
  'bigint keys: short and long packing agree');
SELECT is_empty('(TABLE simple_text EXCEPT ALL TABLE with_ids) UNION ALL (TABLE with_ids EXCEPT ALL TABLE simple_text)',
  'text keys: short and long packing agree');

-- All packings in files, and divided again.
SET LOCAL cdp.attribution_memory = '16MB';
CREATE TEMP TABLE times_4 AS SELECT m.* FROM mixed m, generate_series(1, 4);
CREATE FUNCTION pg_temp.rules() RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$SELECT cdp.attribution_options(models => '{first,linear}', lookback => '40 days')$$;
CREATE TEMP TABLE small AS SELECT r.* FROM (
  SELECT cdp.attribution_pass(key, at, label, value, pg_temp.rules()) AS a FROM times_4) s, cdp.attribution_totals(s.a) r;
SET LOCAL cdp.attribution_memory = '1GB';
CREATE TEMP TABLE large AS SELECT r.* FROM (
  SELECT cdp.attribution_pass(key, at, label, value, pg_temp.rules()) AS a FROM times_4) s, cdp.attribution_totals(s.a) r;
SELECT cmp_ok((SELECT sum(conversions) FROM large WHERE model = 'linear'), '=', (SELECT count(*)::numeric FROM times_4 WHERE value IS NOT NULL),
  'every conversion is split');
SELECT is_empty('(TABLE small EXCEPT ALL TABLE large) UNION ALL (TABLE large EXCEPT ALL TABLE small)',
  'above and below the memory setting: the same');

-- Without data-driven models only customers with conversions are put together; many of them in one partition.
CREATE TEMP TABLE many AS
SELECT (i * 7919::bigint) % 30000 AS key, timestamptz '2026-01-01 00:00:00+00' + i * interval '7 minutes' AS at,
  CASE WHEN i % 2 = 0 THEN 'c' || i % 13 END AS label, CASE WHEN i % 2 = 1 THEN i % 100 END::numeric AS value
FROM generate_series(1, 60000) i
UNION ALL SELECT 30000 + i, timestamptz '2026-01-01 00:00:00+00', 'c' || i % 13, NULL FROM generate_series(1, 5000) i;
CREATE FUNCTION pg_temp.pass(models text[]) RETURNS TABLE (label text, model text, conversions numeric, value numeric) LANGUAGE sql AS
$$SELECT r.* FROM (SELECT cdp.attribution_pass(key, at, label, value, (SELECT cdp.attribution_options(models => models, lookback => '400 days'))) AS a
  FROM many) s, cdp.attribution_totals(s.a) r WHERE model IN ('first', 'linear')$$;
SELECT set_eq($$SELECT * FROM pg_temp.pass('{first,linear}')$$, $$SELECT * FROM pg_temp.pass('{first,linear,markov}')$$,
  'customers without conversions change no rule model');

-- Keys of two words are told apart by both: identifiers that begin alike, or end alike.
CREATE FUNCTION pg_temp.pass_uuid(models text[], format text) RETURNS TABLE (label text, model text, conversions numeric, value numeric) LANGUAGE sql AS
$$SELECT r.* FROM (SELECT cdp.attribution_pass(replace(format, 'x', lpad(to_hex(key), 12, '0'))::uuid, at, label, value,
    (SELECT cdp.attribution_options(models => models, lookback => '400 days'))) AS a FROM many) s, cdp.attribution_totals(s.a) r WHERE model IN ('first', 'linear')$$;
SELECT set_eq(format('SELECT * FROM pg_temp.pass_uuid(%L, %L)', m, f), $$SELECT * FROM pg_temp.pass('{first,linear}')$$, format('uuids like %s, %s', f, m))
FROM unnest('{"{first,linear}","{first,linear,markov}"}'::text[]) m, unnest('{00000000-0000-0000-0000-x,x00000000000000000001}'::text[]) f;

SELECT * FROM finish();
ROLLBACK;
