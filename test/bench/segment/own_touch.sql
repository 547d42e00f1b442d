-- One new event for each of the next thousand customers, loaded the usual way: in the minute before the moment at which the run stands.
DROP TABLE IF EXISTS bench.staged;
CREATE TABLE bench.staged AS
  SELECT 'new-' || n.nth AS source_key, bench.as_of() + make_interval(mins => :run) - make_interval(secs => n.nth % 1000 * 0.06 + 0.01) AS occurred_at, 'user_id' AS identifier_type, n.customer::text AS identifier,
    'k' || 1 + n.nth % 4 AS kind, CASE WHEN n.nth % 4 = 3 THEN 99.5 END AS value, CASE WHEN n.nth % 4 = 3 THEN '{"amount": 9950, "category": 7}' END AS properties
  FROM bench.newest AS n WHERE n.nth > (:run - 1) * 1000 AND n.nth <= :run * 1000;
SELECT inserted FROM cdp.load_touchpoints('bench', 'bench.staged');
