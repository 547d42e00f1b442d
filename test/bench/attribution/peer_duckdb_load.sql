-- DuckDB's load of the plain table from CSV, counted in attribution_rules_vs_duckdb_load.
CREATE OR REPLACE TABLE events AS
  SELECT * FROM read_csv('events.csv', header = true, columns = {
    'customer': 'BIGINT', 'at': 'TIMESTAMPTZ', 'channel': 'VARCHAR', 'revenue': 'DECIMAL(18,2)'});
