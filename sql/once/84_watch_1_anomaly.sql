-- Types of judgements over daily values.
CREATE TYPE cdp.anomaly_day AS (
  day date,
  value double precision,
  expected double precision,
  low double precision,
  high double precision,
  score double precision,
  verdict text,
  reason text
);
