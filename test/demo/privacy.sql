-- One customer asks to be forgotten: what the receipt says, and that neither the shop's totals nor the suppression fail.
-- The second account (in the order of its id) that bought twice or more; anybody when so few were made that there is none.
SELECT coalesce((
    SELECT i.value FROM cdp_data.identifier i JOIN cdp_data.touchpoint t USING (identifier_id) JOIN cdp_data.touch_kind_all k USING (kind_id)
    WHERE i.type_id = (SELECT type_id FROM cdp_data.identifier_type_all WHERE name = 'user_id') AND k.is_conversion
    GROUP BY i.value HAVING count(*) > 1 ORDER BY i.value COLLATE "C" OFFSET 1 LIMIT 1),
  (SELECT max(user_id) FROM demo.accounts)) AS user_id \gset
SELECT count(*) AS touchpoints, sum(value) AS value FROM cdp_data.touchpoint \gset before_
\echo '   SELECT cdp.erase_customer(cdp.customer_of(''user_id'', ''':user_id'''));'
SELECT cdp.erase_customer(cdp.customer_of('user_id', :'user_id')) AS receipt \gset
\pset tuples_only off
\pset format aligned
\pset footer off
SELECT r."table", string_agg(format('%s %s', r.action, r.rows), ', ' ORDER BY r.action) AS "rows"
FROM jsonb_to_recordset(:'receipt'::jsonb -> 'tables') AS r ("table" text, action text, rows bigint)
GROUP BY 1 ORDER BY r."table" COLLATE "C";
\pset tuples_only on
\pset format unaligned
\echo '   (of what lives on under a number drawn by lot, the receipt tells a power of two, so that it does not tell whose it was)'
SELECT format('   touchpoints before and after: %s and %s, money: %s and %s', to_char(:before_touchpoints, 'FM999,999,999'), to_char(count(*), 'FM999,999,999'),
  to_char(:before_value, 'FM99,999,999,990'), to_char(sum(value), 'FM99,999,999,990')) FROM cdp_data.touchpoint;
SELECT format('   she comes again by the next list: %s', i.status) FROM cdp.identify('shop', jsonb_build_object('user_id', :'user_id')) i;
SELECT format('   cdp.seal_audit(): %s acts sealed; cdp.audit_verify(): ', s.sealed) AS sealed FROM cdp.seal_audit() s \gset
SELECT :'sealed' || CASE WHEN bool_and(v.severity = 'info') THEN 'nothing changed since' ELSE string_agg(v.finding, ', ') END FROM cdp.audit_verify() v;
