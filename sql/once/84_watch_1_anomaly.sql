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
COMMENT ON TYPE cdp.anomaly_day IS
'The judgement of a day by cdp.anomaly_pass. value: what it had; expected: what the days before it foretold (a median); low and high: the range that raises no alarm, both ends included; score: the error in units of the series'' usual past error, below 0 when less came than expected; NULL where it is not known. verdict: ok; high, low: outside the range; zero_run: zero days in a row that are too unlikely together; learning: too little history; not_final: provisional or a zero that may not be ready, judged later; restated: changed by its source, trains but is not judged; no_value. reason: the verdict with its numbers in English, NULL when ok.';
