-- Loads the made-up shop. Arguments as those of generate.sql, and timezone.
\ir generate.sql
SELECT format('   %s events under %s identifiers, %s purchases, %s refunds, %s events of bots',
  to_char(count(*), 'FM999,999,999'), to_char(count(DISTINCT identifier), 'FM999,999,999'),
  to_char(count(*) FILTER (WHERE kind = 'purchase'), 'FM999,999,999'), to_char(count(*) FILTER (WHERE kind = 'refund'), 'FM999,999,999'),
  to_char(count(*) FILTER (WHERE flags = 1), 'FM999,999,999'))
FROM demo.touches;
BEGIN;
SELECT cdp.add_source('shop', :'timezone', 'shop', 'The demo''s made-up shop') AS source \gset
INSERT INTO cdp_data.campaign (name) SELECT DISTINCT campaign FROM demo.touches WHERE campaign IS NOT NULL ORDER BY 1;
SELECT format('   cdp.load_touchpoints(''shop'', ''demo.touches''): %s inserted, %s quarantined', inserted, quarantined)
FROM cdp.load_touchpoints('shop', 'demo.touches');
SELECT format('   cdp.load_spend(''shop'', ''demo.spend''): %s inserted, %s quarantined', inserted, quarantined)
FROM cdp.load_spend('shop', 'demo.spend');
COMMIT;
ANALYZE;
