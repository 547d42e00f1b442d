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

CREATE OR REPLACE FUNCTION cdp_internal.days_add(internal, date, double precision, boolean, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_days_add';

CREATE OR REPLACE FUNCTION cdp_internal.days_add(internal, date, double precision, text, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_days_add';

CREATE OR REPLACE FUNCTION cdp_internal.anomaly_final(internal) RETURNS cdp.anomaly_day[]
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_anomaly_final';

CREATE OR REPLACE AGGREGATE cdp.anomaly_pass(day date, value double precision, final boolean, options jsonb) (
  SFUNC = cdp_internal.days_add, STYPE = internal, FINALFUNC = cdp_internal.anomaly_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);

CREATE OR REPLACE AGGREGATE cdp.anomaly_pass(day date, value double precision, state text, options jsonb) (
  SFUNC = cdp_internal.days_add, STYPE = internal, FINALFUNC = cdp_internal.anomaly_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
