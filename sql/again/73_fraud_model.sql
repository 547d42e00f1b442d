-- Referral room: logistic models of labelled rows, how well scores are ordered and calibrated. The engines know no table.

CREATE OR REPLACE FUNCTION cdp_internal.fraud_model_add(internal, boolean, double precision[]) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_model_add';
COMMENT ON FUNCTION cdp_internal.fraud_model_add(internal, boolean, double precision[]) IS 'Transition function of cdp.fraud_model_fit(boolean, double precision[]).';
CREATE OR REPLACE FUNCTION cdp_internal.fraud_model_add(internal, boolean, double precision[], double precision, text[]) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_model_add';
COMMENT ON FUNCTION cdp_internal.fraud_model_add(internal, boolean, double precision[], double precision, text[]) IS 'Transition function of cdp.fraud_model_fit(boolean, double precision[], double precision, text[]).';
CREATE OR REPLACE FUNCTION cdp_internal.fraud_model_finish(internal) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_model_final';
COMMENT ON FUNCTION cdp_internal.fraud_model_finish(internal) IS 'Final function of cdp.fraud_model_fit; it sorts the rows of the state.';
CREATE OR REPLACE FUNCTION cdp_internal.fraud_scored_add(internal, double precision, boolean) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_scored_add';
COMMENT ON FUNCTION cdp_internal.fraud_scored_add(internal, double precision, boolean) IS 'Transition function of cdp.fraud_auc.';
CREATE OR REPLACE FUNCTION cdp_internal.fraud_scored_add(internal, double precision, boolean, integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_scored_add';
COMMENT ON FUNCTION cdp_internal.fraud_scored_add(internal, double precision, boolean, integer) IS 'Transition function of cdp.fraud_calibration.';
CREATE OR REPLACE FUNCTION cdp_internal.fraud_auc_finish(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_auc_final';
COMMENT ON FUNCTION cdp_internal.fraud_auc_finish(internal) IS 'Final function of cdp.fraud_auc; it sorts the rows of the state.';
CREATE OR REPLACE FUNCTION cdp_internal.fraud_calibration_finish(internal) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_calibration_final';
COMMENT ON FUNCTION cdp_internal.fraud_calibration_finish(internal) IS 'Final function of cdp.fraud_calibration; it sorts the rows of the state.';

CREATE OR REPLACE AGGREGATE cdp.fraud_model_fit(label boolean, features double precision[], l2 double precision, names text[]) (
  SFUNC = cdp_internal.fraud_model_add, STYPE = internal, SSPACE = 8192,
  FINALFUNC = cdp_internal.fraud_model_finish, FINALFUNC_MODIFY = SHAREABLE, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp.fraud_model_fit(boolean, double precision[], double precision, text[]) IS
'A logistic model of the label, for cdp.fraud_model_predict and cdp.fraud_model_contributions: iteratively reweighted least squares on standardised features with the penalty l2 / 2 * (sum of squared standardised coefficients); the intercept has none. Result: features (names, or f1, f2, ...), mean and sd of each, beta and intercept on the scale of the features as given, standard errors (of the penalised fit; null when it did not converge), rows, positives, skipped (rows with a NULL), deviance and null_deviance (-2 log likelihood), auc of the rows themselves, iterations. converged is false when no more steps helped; separated is true when the fitted plane parts the labels: without a penalty there is no best model then, give l2 above 0. dropped names constants and, without a penalty, features that others determine; they keep their place with the coefficient 0. l2 must be constant; 1 is usual, 0 none. The same rows give the same digits in any order. Errors: 22023 labels all the same, numbers that are not finite, l2 below 0 or changing; 2202E rows of different length; 54000 above cdp.fraud_memory (24 bytes a number).';
CREATE OR REPLACE AGGREGATE cdp.fraud_model_fit(label boolean, features double precision[]) (
  SFUNC = cdp_internal.fraud_model_add, STYPE = internal, SSPACE = 8192,
  FINALFUNC = cdp_internal.fraud_model_finish, FINALFUNC_MODIFY = SHAREABLE, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp.fraud_model_fit(boolean, double precision[]) IS
'As cdp.fraud_model_fit(label, features, l2, names) with the penalty 1 and the names f1, f2, ...';

CREATE OR REPLACE AGGREGATE cdp.fraud_auc(score double precision, label boolean) (
  SFUNC = cdp_internal.fraud_scored_add, STYPE = internal, SSPACE = 8192,
  FINALFUNC = cdp_internal.fraud_auc_finish, FINALFUNC_MODIFY = SHAREABLE, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp.fraud_auc(double precision, boolean) IS
'Area under the curve of true against false positives: the probability that a row whose label is true has a higher score than one whose label is false, ties counted half (Mann and Whitney 1947), exact. Rows with a NULL do not count; NULL without rows of both labels. Errors: 22023 a score that is not finite, 54000 above cdp.fraud_memory.';

CREATE OR REPLACE AGGREGATE cdp.fraud_calibration(score double precision, label boolean, bins integer) (
  SFUNC = cdp_internal.fraud_scored_add, STYPE = internal, SSPACE = 8192,
  FINALFUNC = cdp_internal.fraud_calibration_finish, FINALFUNC_MODIFY = SHAREABLE, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp.fraud_calibration(double precision, boolean, integer) IS
'How far scores from 0 to 1 are probabilities: bins (equally wide, from inclusive, to exclusive but for the last; empty ones are left out) with rows, positives, mean_score and rate; brier (mean squared difference of score and label), expected_calibration_error (mean over rows of |mean_score - rate| of their bin), auc, and platt: intercept and slope for which 1 / (1 + exp(-(intercept + slope * score))) is the calibrated probability (Platt 1999, with his smoothed targets), null without rows of both labels. Rows with a NULL are counted as skipped. NULL without rows. bins is a constant from 1 to 1000. cdp.fraud_calibration_table opens it. Errors: 22003 a score outside 0 to 1 or bins out of range, 22023 changing bins, 54000 above cdp.fraud_memory.';

CREATE OR REPLACE FUNCTION cdp.fraud_calibration_table(calibration jsonb, OUT bin integer, OUT low double precision, OUT high double precision,
  OUT cases bigint, OUT positives bigint, OUT mean_score double precision, OUT rate double precision, OUT calibrated double precision) RETURNS SETOF record
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 10
BEGIN ATOMIC
  SELECT b.bin, b."from", b."to", b."rows", b.positives, b.mean_score, b.rate,
    CASE WHEN jsonb_typeof($1 -> 'platt') = 'object'
      THEN 1 / (1 + exp(-($1 -> 'platt' ->> 'intercept')::double precision - ($1 -> 'platt' ->> 'slope')::double precision * b.mean_score)) END
  FROM jsonb_to_recordset($1 -> 'bins') AS b (bin integer, "from" double precision, "to" double precision, "rows" bigint, positives bigint,
    mean_score double precision, rate double precision)
  ORDER BY b.bin;
END;
COMMENT ON FUNCTION cdp.fraud_calibration_table(jsonb) IS
'The bins of a result of cdp.fraud_calibration, in their order: low (inclusive) and high (exclusive but for the last), cases, positives, mean_score, rate (positives by cases), calibrated (Platt''s probability at mean_score; NULL when cases have one label only). No rows for NULL.';

CREATE OR REPLACE FUNCTION cdp.fraud_model_predict(model jsonb, features double precision[]) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
  SELECT CASE WHEN count(*) = count(b.x) AND count(*) = count(f.x) THEN
    1 / (1 + exp(least(700, greatest(-700, -($1 ->> 'intercept')::double precision - coalesce(sum(b.x::double precision * f.x ORDER BY b.i), 0))))) END
  FROM jsonb_array_elements_text($1 -> 'beta') WITH ORDINALITY AS b (x, i)
  FULL JOIN unnest($2) WITH ORDINALITY AS f (x, i) ON f.i = b.i;
END;
COMMENT ON FUNCTION cdp.fraud_model_predict(jsonb, double precision[]) IS
'The probability that a model of cdp.fraud_model_fit gives to a row of features, in the order of the fit: 1 / (1 + exp(-(intercept + sum of beta * feature))). NULL when a feature is NULL, or when there are more or fewer of them than the model has.';

CREATE OR REPLACE FUNCTION cdp.fraud_model_contributions(model jsonb, features double precision[], OUT feature text, OUT value double precision,
  OUT mean double precision, OUT contribution double precision) RETURNS SETOF record
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 10
BEGIN ATOMIC
  SELECT n.x, f.x, m.x::double precision, b.x::double precision * (f.x - m.x::double precision)
  FROM jsonb_array_elements_text($1 -> 'beta') WITH ORDINALITY AS b (x, i)
  JOIN jsonb_array_elements_text($1 -> 'mean') WITH ORDINALITY AS m (x, i) ON m.i = b.i
  JOIN jsonb_array_elements_text($1 -> 'features') WITH ORDINALITY AS n (x, i) ON n.i = b.i
  LEFT JOIN unnest($2) WITH ORDINALITY AS f (x, i) ON f.i = b.i
  ORDER BY abs(b.x::double precision * (f.x - m.x::double precision)) DESC NULLS LAST, b.i;
END;
COMMENT ON FUNCTION cdp.fraud_model_contributions(jsonb, double precision[]) IS
'What each feature adds to the log odds of a row, against a row of mean features: contribution is beta * (value - mean), the largest first. Their sum and the log odds of the mean row make the log odds of cdp.fraud_model_predict. NULL where the feature is NULL or missing. No rows for NULL.';
