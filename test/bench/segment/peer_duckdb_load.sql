-- DuckDB's table, with what suits it best: times as plain timestamps (those with a zone add intervals by the calendar).
CREATE OR REPLACE TABLE events AS
  SELECT customer, "at"::TIMESTAMP AS "at", kind, amount, category FROM read_csv('segment_events.csv', header = true, columns = {
    'customer': 'BIGINT', 'at': 'TIMESTAMPTZ', 'kind': 'INTEGER', 'amount': 'INTEGER', 'category': 'SMALLINT', 'properties': 'VARCHAR'});
