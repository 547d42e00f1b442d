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

CREATE TYPE cdp.day_trend AS (
  days integer,
  first_day date,
  last_day date,
  level double precision,
  slope double precision,
  low double precision,
  high double precision,
  weekly double precision,
  p double precision
);
COMMENT ON TYPE cdp.day_trend IS
'How daily values move, made by cdp.daily_trend. days, first_day, last_day: what it was taken from; level: their median; slope: change of the value a day; low and high: its interval of 95 %, NULL where days are too few to tell; weekly: change in seven days as a share of the level, NULL for a level of 0; p: how likely a slope at least as steep, up or down, is by chance alone.';

CREATE TYPE cdp.day_change AS (
  day date,
  before double precision,
  after double precision,
  statistic double precision,
  p double precision,
  days integer
);
COMMENT ON TYPE cdp.day_change IS
'Since when daily values have another level, made by cdp.daily_change. day: the first of the new level; before and after: medians of the values up to then and from then on; statistic: Pettitt''s K; p: how likely one at least as large is by chance alone, approximate, good below 0.5; days: how many were looked at.';
