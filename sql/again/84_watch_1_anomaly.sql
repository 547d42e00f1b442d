-- Anomalies in daily values of any table: what a day should have been, from the days before it.

CREATE OR REPLACE FUNCTION cdp.anomaly_options(
  season integer DEFAULT NULL,
  "window" integer DEFAULT NULL,
  threshold double precision DEFAULT NULL,
  floor double precision DEFAULT NULL,
  min_history integer DEFAULT NULL,
  tiny double precision DEFAULT NULL,
  tail_p double precision DEFAULT NULL,
  run_p double precision DEFAULT NULL,
  transform text DEFAULT NULL,
  absent text DEFAULT NULL,
  since date DEFAULT NULL,
  until date DEFAULT NULL
) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_anomaly_options';
COMMENT ON FUNCTION cdp.anomaly_options(integer, integer, double precision, double precision, integer, double precision, double precision, double precision, text, text, date, date) IS
'Options of cdp.anomaly_pass, checked, in canonical form; all may be left out or NULL. season: days after which values are alike, 1 to 31, default 7, 1 for none. window: days that a day is foretold from, at least two seasons, at most 400, default eight seasons (28 days for short ones). threshold: how many usual errors raise an alarm, default 3.5. floor: the least usual error, on the scale of the transform; default 1 for counts (at most 100), the error of a Poisson number. min_history: days before the first judgement, half to foretell from and half to know the errors, default four seasons (at least 14). tiny: where fewer a day are expected (default 10) the tails of counts decide in place of the score. tail_p: chance below which one such day is an alarm, default 0.0005 each side; with 0 nothing is too many. run_p: chance, times the days of the run, below which zero days in a row are an alarm, default 0.008. transform: anscombe (default) for counts, 2 sqrt(x + 3/8); none for other numbers, which need a floor. absent: what a day without a row is: unknown (default) or zero, as in GROUP BY day over events. since: first day told, earlier ones only train; until: last day, later rows are left out, and with absent => zero days up to it count. Errors 22023 with the nearest name for what is unknown or out of range.';

CREATE OR REPLACE FUNCTION cdp_internal.days_add(internal, date, double precision, boolean, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_days_add';
COMMENT ON FUNCTION cdp_internal.days_add(internal, date, double precision, boolean, jsonb) IS
'Adds one day to the state of an aggregate over (day, value, final, options).';

CREATE OR REPLACE FUNCTION cdp_internal.days_add(internal, date, double precision, text, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_days_add';
COMMENT ON FUNCTION cdp_internal.days_add(internal, date, double precision, text, jsonb) IS
'Adds one day to the state of an aggregate over (day, value, state, options).';

CREATE OR REPLACE FUNCTION cdp_internal.anomaly_final(internal) RETURNS cdp.anomaly_day[]
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_anomaly_final';
COMMENT ON FUNCTION cdp_internal.anomaly_final(internal) IS
'Judges the days of cdp.anomaly_pass, in their order.';

CREATE OR REPLACE AGGREGATE cdp.anomaly_pass(day date, value double precision, final boolean, options jsonb) (
  SFUNC = cdp_internal.days_add, STYPE = internal, FINALFUNC = cdp_internal.anomaly_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.anomaly_pass(date, double precision, boolean, jsonb) IS
'Judges each day of a series from the days before it, opened by unnest(): SELECT a.* FROM unnest((SELECT cdp.anomaly_pass(day, visits, NULL, NULL) FROM visits_by_day)) a. One series a group, one row a day. final: false for a value that may still change: it is not judged and trains nothing; NULL is final. A value of NULL is a day without value; rows without a finite day are left out. Expected: on the transformed scale, the median slope between days of one weekday (Sen 1968; Hirsch and Slack 1982), the median of the weekday, and the median of what is left; the score divides the error by 1.4826 times the median of the absolute one-step errors of the window before, floor at least: no day is in its own training (Anscombe 1948 for the transform). Few a day: tails of the gamma-Poisson predictive distribution, events in bundles where the usual error says so; zero days in a row are judged together, which tends to the product of exp(-expected). Ordered by day; NULL over no rows. Does not depend on row order, workers or time zone. At most 100,000 days, 16 bytes each, and a window''s squared numbers. Errors: 22023 a value that is NaN, infinite, or below 0 with the transform for counts; 22003 a count above 1e15, another number above 1e150; 21000 two values of one day; 54000 too many days. Figures: docs/anomalies.md.';

CREATE OR REPLACE AGGREGATE cdp.anomaly_pass(day date, value double precision, state text, options jsonb) (
  SFUNC = cdp_internal.days_add, STYPE = internal, FINALFUNC = cdp_internal.anomaly_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.anomaly_pass(date, double precision, text, jsonb) IS
'As cdp.anomaly_pass(day, value, final, options) with what is known of each day: final (and NULL), restated (changed by its source: trains, is not judged, so that a restatement is no anomaly), provisional and suspect_zero (neither), missing and unavailable (the value does not count). Error 22023 for other words.';

CREATE OR REPLACE FUNCTION cdp_internal.trend_final(internal) RETURNS cdp.day_trend
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_trend_final';
COMMENT ON FUNCTION cdp_internal.trend_final(internal) IS
'The trend of the days of cdp.daily_trend.';

CREATE OR REPLACE AGGREGATE cdp.daily_trend(day date, value double precision, final boolean, options jsonb) (
  SFUNC = cdp_internal.days_add, STYPE = internal, FINALFUNC = cdp_internal.trend_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.daily_trend(date, double precision, boolean, jsonb) IS
'How daily values move: the median of the slopes between days of one weekday (Sen 1968; Hirsch, Slack and Smith 1982), which a few wild days do not change; p by Kendall''s S of each weekday, summed, with ties; the interval by places in the order of slopes (Gilbert 1987, 16.4.2). Days that follow each other closely in their errors make p too small. Options of cdp.anomaly_options(): season, absent, since, until count, and transform as far as it refuses values below 0. final: false for a value that may still change, which is left out. NULL over no rows and for fewer than two seasons or 8 days. Does not depend on row order, workers or time zone. Errors: as cdp.anomaly_pass, and 54000 for more than 2,000 days.';

CREATE OR REPLACE AGGREGATE cdp.daily_trend(day date, value double precision, state text, options jsonb) (
  SFUNC = cdp_internal.days_add, STYPE = internal, FINALFUNC = cdp_internal.trend_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.daily_trend(date, double precision, text, jsonb) IS
'As cdp.daily_trend(day, value, final, options) with what is known of each day: final and restated count, the others are left out.';

CREATE OR REPLACE FUNCTION cdp_internal.change_final(internal) RETURNS cdp.day_change
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_change_final';
COMMENT ON FUNCTION cdp_internal.change_final(internal) IS
'The change of level of the days of cdp.daily_change.';

CREATE OR REPLACE AGGREGATE cdp.daily_change(day date, value double precision, final boolean, options jsonb) (
  SFUNC = cdp_internal.days_add, STYPE = internal, FINALFUNC = cdp_internal.change_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.daily_change(date, double precision, boolean, jsonb) IS
'Since when daily values have another level: Pettitt''s test (Applied Statistics 28, 1979) on what is left of each value, on the scale of the transform, after the median of its weekday: K, the largest |2 R - i (n + 1)| over the sums R of the ranks of the first i, and p = 2 exp(-6 K^2 / (n^3 + n^2)). It finds one change; look at each side of it with since and until for more. A trend is a change, too: see cdp.daily_trend. Options and final as there. NULL over no rows, for fewer than two seasons or 8 days, and where no day differs. Does not depend on row order, workers or time zone. Errors: as cdp.daily_trend.';

CREATE OR REPLACE AGGREGATE cdp.daily_change(day date, value double precision, state text, options jsonb) (
  SFUNC = cdp_internal.days_add, STYPE = internal, FINALFUNC = cdp_internal.change_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.daily_change(date, double precision, text, jsonb) IS
'As cdp.daily_change(day, value, final, options) with what is known of each day: final and restated count, the others are left out.';
