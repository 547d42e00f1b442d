-- The floor of attribution_own_table_vs_scan: the columns that the report reads, of every row.
SELECT count(*), count(customer_id), count(identifier_id), max(occurred_at), count(origin_id), count(flags),
       count(kind_id), count(refers_to), count(value), count(currency), count(touchpoint_id)
FROM cdp_data.touchpoint;
