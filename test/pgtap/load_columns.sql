-- Staging columns of odd types and names: numbers keep their digits, the quarantine keeps the row.
BEGIN;
SELECT plan(7);
SET LOCAL timezone = 'UTC';
SET LOCAL extra_float_digits = 0; -- as some drivers have it
SELECT cdp.add_source('shop') AS shop \gset
ALTER TABLE cdp_data.load ALTER load_id RESTART;

CREATE TABLE real_money (source_key float8, occurred_at timestamptz, identifier float8, value float4);
INSERT INTO real_money VALUES (1234567890, '2026-03-01', 4711, 1234567.5), (1e15, '2026-03-02', 4711, 0.1);
SELECT results_eq($$SELECT inserted, quarantined FROM cdp.load_touchpoints('shop', 'real_money', identifier_type => 'user_id', kind => 'purchase')$$,
  'VALUES (2::bigint, 0::bigint)', 'columns of floating point');
SELECT results_eq('SELECT k.source_key COLLATE "default", t.value FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) ORDER BY k.occurred_at',
  $$VALUES ('1234567890', 1234567.5), ('1000000000000000', 0.1)$$, 'keys are whole numbers and money has all its digits');
SELECT is((SELECT string_agg(value, ',') FROM cdp_data.identifier), '4711', 'so are identifiers');

CREATE TABLE float_rates (currency text, base text, valid_from date, rate float8);
INSERT INTO float_rates VALUES ('IDR', 'CNY', '2026-01-01', 0.00044321987), ('VND', 'CNY', '2026-01-01', 4e-7);
SELECT results_eq($$SELECT inserted, quarantined FROM cdp.load_currency_rates('shop', 'float_rates')$$, 'VALUES (2::bigint, 0::bigint)', 'small rates of floating point');
SELECT results_eq('SELECT currency COLLATE "default", rate FROM cdp_data.currency_rate ORDER BY 1', $$VALUES ('IDR', 0.00044321987), ('VND', 0.0000004)$$, 'are not rounded like money');

-- The row is taken whole where a column has the name that the statement gives the table.
CREATE TABLE s_named (s text, source_key text, occurred_at text, identifier text);
INSERT INTO s_named VALUES ('size S', 'k1', 'nonsense', 'u1');
SELECT is((SELECT quarantined FROM cdp.load_touchpoints('shop', 's_named', identifier_type => 'user_id', kind => 'purchase')), 1::bigint, 'a bad row');
SELECT is((SELECT original FROM cdp_data.quarantine), '{"s": "size S", "source_key": "k1", "occurred_at": "nonsense", "identifier": "u1"}', 'stands whole in quarantine');
SELECT * FROM finish();
ROLLBACK;
