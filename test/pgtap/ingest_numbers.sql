-- One rule for numbers on every road: what a contract, an attribute, a message, a transform and a load take as a number.
SELECT plan(9);
SET client_min_messages = warning;
SELECT cdp.add_source('app'), cdp.add_source('till'), cdp.add_source('bank');
CREATE TABLE given (n integer, raw text, value numeric);
INSERT INTO given VALUES (1, '1e3', 1000), (2, '-2.5E-1', -0.25), (3, '.5', 0.5), (4, '5.', 5), (5, ' +7 ', 7), (6, '1e', NULL), (7, 'e3', NULL), (8, '1,5', NULL), (9, '0x10', NULL), (10, '１２', NULL), (11, '1e100', NULL),
  (12, '.', NULL), (13, '1e1.5', NULL), (14, '12', 12);
SELECT is((SELECT string_agg(g.raw, ' | ' ORDER BY g.n) FROM given g CROSS JOIN LATERAL cdp_internal.read_attribute(g.raw, 'numeric', 'UTC', NULL, NULL, NULL) a
  WHERE (a.value::numeric, cdp_internal.fits_type(g.raw, 'numeric', 'UTC'), cdp_internal.transform_text(g.raw, 'negate') = (-g.value)::text, cdp_internal.parse_value(g.raw))
    IS DISTINCT FROM (g.value, g.value IS NOT NULL, CASE WHEN g.value IS NOT NULL THEN true ELSE cdp_internal.transform_text(g.raw, 'negate') = NULL END, g.value)), NULL, 'attributes, contracts, transforms and money agree');
SELECT cdp.declare_contract('app', 'event', '[{"field": "no", "target": "touchpoint source_key"}, {"field": "at", "target": "touchpoint occurred_at"}, {"field": "kind", "target": "touchpoint kind"},
  {"field": "cash", "target": "touchpoint value", "type": "numeric", "max": "1e4"}, {"field": "who", "target": "identifier user_id"}, {"field": "weight", "target": "property", "type": "numeric"}]', 'app team', '1 day');
UPDATE cdp_data.source_contract SET status = 'live';
CREATE TABLE sold AS SELECT g.n::text AS no, '2026-02-01 10:00' AS at, 'purchase' AS kind, g.raw AS cash, 'u' || g.n AS who, g.raw AS weight FROM given g WHERE g.value IS NOT NULL;
SELECT is((SELECT (inserted, quarantined)::text FROM cdp.load_events('app', 'sold')), '(6,0)', 'a batch by contract');
SELECT is((SELECT string_agg(status, ' ') FROM cdp.ingest('app', (SELECT jsonb_agg(jsonb_build_object('type', 'track', 'event', 'purchase', 'messageId', 'm' || g.n, 'timestamp', '2026-02-01T10:00:00Z',
  'properties', jsonb_build_object('cash', g.raw, 'who', 'v' || g.n, 'weight', g.raw))) FROM given g WHERE g.value IS NOT NULL))), 'written written written written written written', 'messages by contract');
SELECT is((SELECT string_agg(concat_ws(' ', k.source_key, t.value, t.properties ->> 'weight'), ', ') FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id)
  JOIN given g ON g.n::text = ltrim(k.source_key, 'm') WHERE (t.value, (t.properties ->> 'weight')::numeric) IS DISTINCT FROM (g.value, g.value)), NULL, 'say what the text says');
CREATE TABLE rates AS SELECT c AS currency, 'CNY' AS base, '2026-01-01' AS valid_from, r AS rate FROM (VALUES ('USD', '7e0'), ('EUR', '8.5'), ('JPY', '5e-2'), ('GBP', '1e20'), ('CHF', '-1'), ('VND', '1e-30')) v (c, r);
SELECT is((SELECT (inserted, quarantined)::text FROM cdp.load_currency_rates('bank', 'rates')), '(3,3)', 'rates, too');

-- Money that is there and does not fit must not vanish from a record that counts, on no road.
TRUNCATE sold;
INSERT INTO sold VALUES ('x1', '2026-02-02', 'purchase', 'ten', 'u1', '1'), ('x2', '2026-02-02', 'purchase', '20000', 'u2', '1'), ('x3', '2026-02-02', 'purchase', NULL, 'u3', 'heavy');
SELECT is((SELECT (inserted, quarantined)::text FROM cdp.load_events('app', 'sold')), '(1,2)', 'bad money in a batch waits, another optional value is left out');
SELECT is((SELECT string_agg(status, ' ') FROM cdp.ingest('app', (SELECT jsonb_agg(jsonb_build_object('type', 'track', 'event', 'purchase', 'messageId', 'm' || no, 'timestamp', '2026-02-02T10:00:00Z',
  'properties', jsonb_strip_nulls(jsonb_build_object('cash', cash, 'who', who, 'weight', weight))) ORDER BY no) FROM sold))), 'refused refused written', 'so it does in messages');
SELECT is((SELECT string_agg(concat_ws(' ', q.code, substring(q.reason FROM ': (.*)$')), ', ' ORDER BY q.quarantine_id) FROM cdp_data.quarantine q JOIN cdp_data.source s USING (source_id) WHERE s.name = 'app'),
  'bad_field cash (bad_numeric), bad_field cash (range), bad_field cash (bad_numeric), bad_field cash (range)', 'and the field is told');
UPDATE cdp_data.quarantine SET original = original || '{"cash": "10"}' WHERE original ? 'cash' AND row_no < 3;
SELECT is((SELECT (r.inserted, r.quarantined)::text FROM (SELECT max(load_id) AS id FROM cdp_data.quarantine WHERE original ? 'cash') q, cdp.retry_quarantine(q.id) r), '(2,0)', 'mended money is taken in');
SELECT * FROM finish();
