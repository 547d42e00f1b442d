-- Models of customer value: fits over any table of histories, and what a fit says about a customer.

CREATE OR REPLACE FUNCTION cdp_internal.fit_bgnbd_add(internal, double precision, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_fit_bgnbd_add';
COMMENT ON FUNCTION cdp_internal.fit_bgnbd_add(internal, double precision, double precision, double precision) IS
'Adds one customer to the state of cdp.fit_bgnbd(frequency, recency, t_age).';

CREATE OR REPLACE FUNCTION cdp_internal.fit_bgnbd_add(internal, double precision, double precision, double precision, double precision, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_fit_bgnbd_add';
COMMENT ON FUNCTION cdp_internal.fit_bgnbd_add(internal, double precision, double precision, double precision, double precision, jsonb) IS
'Adds one customer to the state of cdp.fit_bgnbd(frequency, recency, t_age, weight, options).';

CREATE OR REPLACE FUNCTION cdp_internal.fit_mbgnbd_add(internal, double precision, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_fit_mbgnbd_add';
COMMENT ON FUNCTION cdp_internal.fit_mbgnbd_add(internal, double precision, double precision, double precision) IS
'Adds one customer to the state of cdp.fit_mbgnbd(frequency, recency, t_age).';

CREATE OR REPLACE FUNCTION cdp_internal.fit_mbgnbd_add(internal, double precision, double precision, double precision, double precision, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_fit_mbgnbd_add';
COMMENT ON FUNCTION cdp_internal.fit_mbgnbd_add(internal, double precision, double precision, double precision, double precision, jsonb) IS
'Adds one customer to the state of cdp.fit_mbgnbd(frequency, recency, t_age, weight, options).';

CREATE OR REPLACE FUNCTION cdp_internal.fit_paretonbd_add(internal, double precision, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_fit_paretonbd_add';
COMMENT ON FUNCTION cdp_internal.fit_paretonbd_add(internal, double precision, double precision, double precision) IS
'Adds one customer to the state of cdp.fit_paretonbd(frequency, recency, t_age).';

CREATE OR REPLACE FUNCTION cdp_internal.fit_paretonbd_add(internal, double precision, double precision, double precision, double precision, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_fit_paretonbd_add';
COMMENT ON FUNCTION cdp_internal.fit_paretonbd_add(internal, double precision, double precision, double precision, double precision, jsonb) IS
'Adds one customer to the state of cdp.fit_paretonbd(frequency, recency, t_age, weight, options).';

CREATE OR REPLACE FUNCTION cdp_internal.fit_bgbb_add(internal, double precision, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_fit_bgbb_add';
COMMENT ON FUNCTION cdp_internal.fit_bgbb_add(internal, double precision, double precision, double precision) IS
'Adds one customer to the state of cdp.fit_bgbb(frequency, recency, t_age).';

CREATE OR REPLACE FUNCTION cdp_internal.fit_bgbb_add(internal, double precision, double precision, double precision, double precision, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_fit_bgbb_add';
COMMENT ON FUNCTION cdp_internal.fit_bgbb_add(internal, double precision, double precision, double precision, double precision, jsonb) IS
'Adds one customer to the state of cdp.fit_bgbb(frequency, recency, t_age, weight, options).';

CREATE OR REPLACE FUNCTION cdp_internal.fit_gammagamma_add(internal, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_fit_gammagamma_add';
COMMENT ON FUNCTION cdp_internal.fit_gammagamma_add(internal, double precision, double precision) IS
'Adds one customer to the state of cdp.fit_gammagamma(frequency, monetary).';

CREATE OR REPLACE FUNCTION cdp_internal.fit_gammagamma_add(internal, double precision, double precision, double precision, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_fit_gammagamma_add';
COMMENT ON FUNCTION cdp_internal.fit_gammagamma_add(internal, double precision, double precision, double precision, jsonb) IS
'Adds one customer to the state of cdp.fit_gammagamma(frequency, monetary, weight, options).';

CREATE OR REPLACE FUNCTION cdp_internal.fit_final(internal) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_fit_final';
COMMENT ON FUNCTION cdp_internal.fit_final(internal) IS
'Fits the model of a cdp.fit_... aggregate to the customers of its state by maximum likelihood.';

CREATE OR REPLACE AGGREGATE cdp.fit_bgnbd(frequency double precision, recency double precision, t_age double precision) (
  SFUNC = cdp_internal.fit_bgnbd_add, STYPE = internal, FINALFUNC = cdp_internal.fit_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.fit_bgnbd(double precision, double precision, double precision) IS
'Fits BG/NBD by maximum likelihood to one row per customer: frequency (purchases after the first), recency (age at the last purchase, 0 without a second one) and t_age (age now), in any one unit of time; cdp.rfm_pass makes them. Returns jsonb: model, r, alpha, a, b; log_likelihood, customers (sum of weights), histories (different ones), iterations, evaluations, gradient (largest derivative of the mean log likelihood by the logarithm of a parameter), converged (gradient within the tolerance), penalizer, at_bound (parameters that ran into a bound, 1e-5 or 1e5 times the mean age: the data do not tell them), standard_errors (null where there are none). Parameters: r, alpha (rate of purchases: gamma, mean r / alpha) and a, b (chance to drop out after each purchase: beta). Does not depend on row order, workers or the unit of time. A row with a NULL is left out; NULL over no rows. Errors: 22023 a history that cannot be (negative, NaN, infinite, recency above age), 22000 nobody bought again, no time has passed, or all customers alike, 54000 more histories than cdp.value_memory holds. Source: Fader, Hardie, Lee, "Counting your customers" the easy way, Marketing Science 24 (2005).';

CREATE OR REPLACE AGGREGATE cdp.fit_bgnbd(frequency double precision, recency double precision, t_age double precision, weight double precision, options jsonb) (
  SFUNC = cdp_internal.fit_bgnbd_add, STYPE = internal, FINALFUNC = cdp_internal.fit_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.fit_bgnbd(double precision, double precision, double precision, double precision, jsonb) IS
'As cdp.fit_bgnbd(frequency, recency, t_age), with a row for `weight` customers (0 or NULL: none), and options, NULL or {"penalizer": 0 (default) to 1e6: what the sum of squared parameters, in the unit of the input, costs in mean log likelihood; "max_iterations": 2000 (default, to 100000); "tolerance": 1e-7 (default, 1e-8 to 1) of the gradient}. Options are the same in all rows. Errors 22023 with the nearest name for an unknown option.';

CREATE OR REPLACE AGGREGATE cdp.fit_mbgnbd(frequency double precision, recency double precision, t_age double precision) (
  SFUNC = cdp_internal.fit_mbgnbd_add, STYPE = internal, FINALFUNC = cdp_internal.fit_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.fit_mbgnbd(double precision, double precision, double precision) IS
'Fits MBG/NBD by maximum likelihood to one row per customer: frequency (purchases after the first), recency (age at the last purchase, 0 without a second one) and t_age (age now), in any one unit of time; cdp.rfm_pass makes them. Returns jsonb: model, r, alpha, a, b; log_likelihood, customers (sum of weights), histories (different ones), iterations, evaluations, gradient (largest derivative of the mean log likelihood by the logarithm of a parameter), converged (gradient within the tolerance), penalizer, at_bound (parameters that ran into a bound, 1e-5 or 1e5 times the mean age: the data do not tell them), standard_errors (null where there are none). Parameters: r, alpha, a, b as in BG/NBD, but a customer may also drop out at the start, so that one-time buyers need not be alive. Does not depend on row order, workers or the unit of time. A row with a NULL is left out; NULL over no rows. Errors: 22023 a history that cannot be (negative, NaN, infinite, recency above age), 22000 nobody bought again, no time has passed, or all customers alike, 54000 more histories than cdp.value_memory holds. Source: Batislam, Denizel, Filiztekin, Empirical validation and comparison of models for customer base analysis, IJRM 24 (2007).';

CREATE OR REPLACE AGGREGATE cdp.fit_mbgnbd(frequency double precision, recency double precision, t_age double precision, weight double precision, options jsonb) (
  SFUNC = cdp_internal.fit_mbgnbd_add, STYPE = internal, FINALFUNC = cdp_internal.fit_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.fit_mbgnbd(double precision, double precision, double precision, double precision, jsonb) IS
'As cdp.fit_mbgnbd(frequency, recency, t_age), with a row for `weight` customers (0 or NULL: none), and options, NULL or {"penalizer": 0 (default) to 1e6: what the sum of squared parameters, in the unit of the input, costs in mean log likelihood; "max_iterations": 2000 (default, to 100000); "tolerance": 1e-7 (default, 1e-8 to 1) of the gradient}. Options are the same in all rows. Errors 22023 with the nearest name for an unknown option.';

CREATE OR REPLACE AGGREGATE cdp.fit_paretonbd(frequency double precision, recency double precision, t_age double precision) (
  SFUNC = cdp_internal.fit_paretonbd_add, STYPE = internal, FINALFUNC = cdp_internal.fit_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.fit_paretonbd(double precision, double precision, double precision) IS
'Fits Pareto/NBD by maximum likelihood to one row per customer: frequency (purchases after the first), recency (age at the last purchase, 0 without a second one) and t_age (age now), in any one unit of time; cdp.rfm_pass makes them. Returns jsonb: model, r, alpha, s, beta; log_likelihood, customers (sum of weights), histories (different ones), iterations, evaluations, gradient (largest derivative of the mean log likelihood by the logarithm of a parameter), converged (gradient within the tolerance), penalizer, at_bound (parameters that ran into a bound, 1e-5 or 1e5 times the mean age: the data do not tell them), standard_errors (null where there are none). Parameters: r, alpha (rate of purchases: gamma) and s, beta (rate of death: gamma). A row costs some 2 microseconds at each of about 300 evaluations. Does not depend on row order, workers or the unit of time. A row with a NULL is left out; NULL over no rows. Errors: 22023 a history that cannot be (negative, NaN, infinite, recency above age), 22000 nobody bought again, no time has passed, or all customers alike, 54000 more histories than cdp.value_memory holds. Source: Schmittlein, Morrison, Colombo, Counting your customers, Management Science 33 (1987).';

CREATE OR REPLACE AGGREGATE cdp.fit_paretonbd(frequency double precision, recency double precision, t_age double precision, weight double precision, options jsonb) (
  SFUNC = cdp_internal.fit_paretonbd_add, STYPE = internal, FINALFUNC = cdp_internal.fit_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.fit_paretonbd(double precision, double precision, double precision, double precision, jsonb) IS
'As cdp.fit_paretonbd(frequency, recency, t_age), with a row for `weight` customers (0 or NULL: none), and options, NULL or {"penalizer": 0 (default) to 1e6: what the sum of squared parameters, in the unit of the input, costs in mean log likelihood; "max_iterations": 2000 (default, to 100000); "tolerance": 1e-7 (default, 1e-8 to 1) of the gradient}. Options are the same in all rows. Errors 22023 with the nearest name for an unknown option.';

CREATE OR REPLACE AGGREGATE cdp.fit_bgbb(frequency double precision, recency double precision, t_age double precision) (
  SFUNC = cdp_internal.fit_bgbb_add, STYPE = internal, FINALFUNC = cdp_internal.fit_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.fit_bgbb(double precision, double precision, double precision) IS
'Fits BG/BB by maximum likelihood to one row per customer: frequency (purchases after the first), recency (age at the last purchase, 0 without a second one) and t_age (age now), in any one unit of time; cdp.rfm_pass makes them. Returns jsonb: model, alpha, beta, gamma, delta; log_likelihood, customers (sum of weights), histories (different ones), iterations, evaluations, gradient (largest derivative of the mean log likelihood by the logarithm of a parameter), converged (gradient within the tolerance), penalizer, at_bound (parameters that ran into a bound, 1e-5 or 1e5 times the mean age: the data do not tell them), standard_errors (null where there are none). Parameters: alpha, beta (chance to buy in a period: beta) and gamma, delta (chance to die before a period: beta). Time is a whole number of periods, with at most one purchase in each: frequency <= recency (period of the last purchase) <= t_age (periods since the first purchase). Does not depend on row order, workers or the unit of time. A row with a NULL is left out; NULL over no rows. Errors: 22023 a history that cannot be (negative, NaN, infinite, recency above age), 22000 nobody bought again, no time has passed, or all customers alike, 54000 more histories than cdp.value_memory holds. Source: Fader, Hardie, Shang, Customer-base analysis in a discrete-time noncontractual setting, Marketing Science 29 (2010).';

CREATE OR REPLACE AGGREGATE cdp.fit_bgbb(frequency double precision, recency double precision, t_age double precision, weight double precision, options jsonb) (
  SFUNC = cdp_internal.fit_bgbb_add, STYPE = internal, FINALFUNC = cdp_internal.fit_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.fit_bgbb(double precision, double precision, double precision, double precision, jsonb) IS
'As cdp.fit_bgbb(frequency, recency, t_age), with a row for `weight` customers (0 or NULL: none), and options, NULL or {"penalizer": 0 (default) to 1e6: what the sum of squared parameters, in the unit of the input, costs in mean log likelihood; "max_iterations": 2000 (default, to 100000); "tolerance": 1e-7 (default, 1e-8 to 1) of the gradient}. Options are the same in all rows. Errors 22023 with the nearest name for an unknown option.';

CREATE OR REPLACE AGGREGATE cdp.fit_gammagamma(frequency double precision, monetary double precision) (
  SFUNC = cdp_internal.fit_gammagamma_add, STYPE = internal, FINALFUNC = cdp_internal.fit_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.fit_gammagamma(double precision, double precision) IS
'Fits Gamma-Gamma, how much customers spend on a purchase, by maximum likelihood to one row per customer: frequency (repeat purchases; rows with 0 are left out) and monetary (their mean value, above 0, in any one currency). Returns jsonb as cdp.fit_bgnbd does, with p, q, v: a purchase is gamma-distributed with shape p around the customer''s mean, whose rate is gamma-distributed with q and v. Assumes that value and frequency are independent. A row with a NULL is left out; NULL over no rows. Errors: 22023 a mean value that is not above 0 or not finite, 22000 all customers alike, 54000 more histories than cdp.value_memory holds. Source: Fader, Hardie, The Gamma-Gamma model of monetary value (2013).';

CREATE OR REPLACE AGGREGATE cdp.fit_gammagamma(frequency double precision, monetary double precision, weight double precision, options jsonb) (
  SFUNC = cdp_internal.fit_gammagamma_add, STYPE = internal, FINALFUNC = cdp_internal.fit_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.fit_gammagamma(double precision, double precision, double precision, jsonb) IS
'As cdp.fit_gammagamma(frequency, monetary), with weights and options as in cdp.fit_bgnbd(frequency, recency, t_age, weight, options).';

CREATE OR REPLACE FUNCTION cdp.probability_alive(fit jsonb, frequency double precision, recency double precision, t_age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_probability_alive';
COMMENT ON FUNCTION cdp.probability_alive(jsonb, double precision, double precision, double precision) IS
'How likely a customer with this history has not dropped out (BG/NBD, MBG/NBD), is not dead (Pareto/NBD), or was alive in the last period (BG/BB); 1 in BG/NBD for whoever bought once. fit: a result of cdp.fit_bgnbd and the like, or an object of model and parameters; history as there, in the same unit. 1 - this is the probability of churn. NULL when an argument is. Errors 22023 for what is no fit and for histories that cannot be.';

CREATE OR REPLACE FUNCTION cdp.expected_purchases(fit jsonb, horizon double precision, frequency double precision, recency double precision, t_age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_expected_purchases';
COMMENT ON FUNCTION cdp.expected_purchases(jsonb, double precision, double precision, double precision, double precision) IS
'Purchases that a customer with this history is expected to make in the horizon to come, in the unit of the fit (BG/BB: whole periods): E[Y(t) | x, t_x, T] of the literature. Where the closed form loses digits (long horizons, parameter a near 1), it is integrated. NULL when an argument is. Errors 22023 for what is no fit, histories that cannot be, and horizons that are negative or above 1e15; 22003 when the answer is no finite number.';

CREATE OR REPLACE FUNCTION cdp.expected_purchases(fit jsonb, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_expected_purchases';
COMMENT ON FUNCTION cdp.expected_purchases(jsonb, double precision) IS
'Purchases after the first that a new customer is expected to make in the horizon: E[X(t)]. The rest as cdp.expected_purchases(fit, horizon, frequency, recency, t_age).';

CREATE OR REPLACE FUNCTION cdp.purchase_probability(fit jsonb, n integer, horizon double precision, frequency double precision, recency double precision, t_age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_purchase_probability';
COMMENT ON FUNCTION cdp.purchase_probability(jsonb, integer, double precision, double precision, double precision, double precision) IS
'How likely a customer with this history makes exactly n purchases (0 to 100000) in the horizon to come; over all n it adds up to 1. NULL when an argument is; errors as cdp.expected_purchases.';

CREATE OR REPLACE FUNCTION cdp.purchase_probability(fit jsonb, n integer, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_purchase_probability';
COMMENT ON FUNCTION cdp.purchase_probability(jsonb, integer, double precision) IS
'How likely a new customer makes exactly n purchases after the first in the horizon: P(X(t) = n). NULL when an argument is; errors as cdp.expected_purchases.';

CREATE OR REPLACE FUNCTION cdp.expected_value(fit jsonb, frequency double precision, monetary double precision) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_expected_value';
COMMENT ON FUNCTION cdp.expected_value(jsonb, double precision, double precision) IS
'What a customer is expected to spend on a purchase, by Gamma-Gamma: (monetary * frequency + v) p / (p * frequency + q - 1), which lies between his own mean and that of all. Without repeat purchases (frequency 0) monetary counts for nothing: p v / (q - 1). NULL where the mean does not exist (p * frequency + q <= 1), when fit or frequency is NULL, or monetary with frequency above 0. Errors 22023 for what is no fit of cdp.fit_gammagamma and for mean values that are not above 0.';

CREATE OR REPLACE FUNCTION cdp.lifetime_value(fit jsonb, value double precision, horizon double precision, discount_rate double precision, step double precision, frequency double precision, recency double precision, t_age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_lifetime_value';
COMMENT ON FUNCTION cdp.lifetime_value(jsonb, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'Customer lifetime value as the package lifetimes defines it: the horizon is cut into steps, the last perhaps shorter, and the purchases expected in each are worth `value` each (cdp.expected_value, times a margin if you like), discounted at its end: sum over i of value * (E[Y(i * step)] - E[Y((i - 1) * step)]) / (1 + discount_rate) ^ i. With the fit in days, step 30 and rate 0.01, the rate is one per cent a month. Purchases until now are not in it. NULL when an argument is. Errors 22023 for what cannot be: a rate of -1 or below, a step of 0, more than 100000 steps, and those of cdp.expected_purchases.';

CREATE OR REPLACE FUNCTION cdp.model_log_likelihood(fit jsonb, frequency double precision, recency double precision, t_age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_model_log_likelihood';
COMMENT ON FUNCTION cdp.model_log_likelihood(jsonb, double precision, double precision, double precision) IS
'The log likelihood of one customer under a fit; its sum over customers is what the fit made large. NULL when an argument is. Errors 22023 for what is no fit and for histories that cannot be.';

CREATE OR REPLACE FUNCTION cdp.model_log_likelihood(fit jsonb, frequency double precision, monetary double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_model_log_likelihood';
COMMENT ON FUNCTION cdp.model_log_likelihood(jsonb, double precision, double precision) IS
'The log likelihood of one customers mean value under a fit of cdp.fit_gammagamma; 0 without repeat purchases. NULL when an argument is; errors 22023.';
