-- Data-driven models of the attribution room: what their statistics say, as rows.
CREATE OR REPLACE FUNCTION cdp.attribution_transitions(partial cdp.attribution_partial, k integer DEFAULT 1,
  OUT from_state text[], OUT to_label text, OUT to_state text[], OUT count bigint, OUT probability double precision)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10000 ROWS 200
AS 'MODULE_PATHNAME', 'cdp_attribution_transitions';
COMMENT ON FUNCTION cdp.attribution_transitions(cdp.attribution_partial, integer) IS
'Transition matrix of the Markov chain of order k (1 to 50). A state is the last k labels of a journey, or the whole journey while it is shorter. One row per transition that occurs: state, label and state that follow, journeys that took it, and share of all that left the state. Starts have from_state {(start)}; ends have (conversion) or (null) as to_label and to_state. Order: starts, then by state (short ones first, labels in their order). NULL arguments give no row. Errors 22023: k outside 1 to 50, or above the highest markov(k) among the models of the partial (lower orders follow exactly from it). Example: SELECT * FROM cdp.attribution_transitions(a, 1).';

CREATE OR REPLACE FUNCTION cdp.attribution_removal(partial cdp.attribution_partial, k integer DEFAULT 1,
  OUT label text, OUT removal_conversions double precision, OUT removal_value double precision)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100000 ROWS 20
AS 'MODULE_PATHNAME', 'cdp_attribution_removal';
COMMENT ON FUNCTION cdp.attribution_removal(cdp.attribution_partial, integer) IS
'Removal effect of each label in the Markov chain of order k: the share of conversions (0 to 1) and of value that would be lost if every journey stopped on reaching the label. Exact (no simulation): relative residual of each linear system at most 1e-12. One row per label, in label order. Without conversions all are 0; removal_value is 0 when the total value is 0, and can leave 0 to 1 when refunds make the value of some paths negative. The markov(k) model credits labels in proportion to removal_conversions, and value in proportion to removal_value, or to removal_conversions when the total value is not positive or an effect on value is negative. NULL arguments give no row. Errors: 22023 for k outside 1 to 50 or above the orders of the partial, 54000 when the chain is too large for cdp.attribution_memory or bounded time. Formula: Anderl et al. 2016; solved as described in src/attribution/markov.c.';

CREATE OR REPLACE FUNCTION cdp.attribution_removal_of(partial cdp.attribution_partial, labels text[], k integer DEFAULT 1,
  OUT removal_conversions double precision, OUT removal_value double precision)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10000 ROWS 1
AS 'MODULE_PATHNAME', 'cdp_attribution_removal_of';
COMMENT ON FUNCTION cdp.attribution_removal_of(cdp.attribution_partial, text[], integer) IS
'Removal effect of several labels together: the share of conversions and of value that would be lost if journeys stopped on reaching any of them, in the Markov chain of order k. One row; an empty array gives 0. At least the largest and at most the sum of the single effects. NULL arguments give no row. Errors: 22023 for an unknown label, a NULL label or an order that the partial does not hold, 54000 as cdp.attribution_removal. Example: SELECT * FROM cdp.attribution_removal_of(a, ''{search,social}'').';

CREATE OR REPLACE FUNCTION cdp.attribution_paths(partial cdp.attribution_partial, top integer DEFAULT 20,
  OUT path text[], OUT conversions bigint, OUT value numeric, OUT nulls bigint)
RETURNS SETOF record
LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 10000 ROWS 20
AS 'MODULE_PATHNAME', 'cdp_attribution_paths';
COMMENT ON FUNCTION cdp.attribution_paths(cdp.attribution_partial, integer) IS
'The distinct paths with the most conversions: labels oldest first, conversions, their net value in currency units, and journeys on the same path that did not convert. Ties: more value, more such journeys, shorter path, labels in order. top NULL gives all paths; a NULL partial gives none. Needs the option paths => true (error 22023 without it, or with top below 1).';

CREATE OR REPLACE FUNCTION cdp.attribution_positions(partial cdp.attribution_partial,
  OUT label text, OUT "position" integer, OUT conversions double precision, OUT value double precision)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10000 ROWS 100
AS 'MODULE_PATHNAME', 'cdp_attribution_positions';
COMMENT ON FUNCTION cdp.attribution_positions(cdp.attribution_partial) IS
'Ordered Shapley values: credit of each label at each position of the journey (1 = first touch), conversions and value in currency units. A journey gives each of its labels an equal part, and each occurrence of a label an equal part of that; so the sum over positions is the label''s shapley credit. By label, then position. A NULL partial gives no row. Needs shapley_ordered among the models (error 22023 without). Formula: Zhao, Mahboobi, Bagheri, arXiv 1804.05327.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_markov_check(partial cdp.attribution_partial,
  OUT k integer, OUT states bigint, OUT p_expected double precision, OUT p double precision,
  OUT e_expected double precision, OUT e double precision, OUT residual double precision,
  OUT lowest double precision, OUT highest double precision)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100000 ROWS 3
AS 'MODULE_PATHNAME', 'cdp_attribution_markov_check';
COMMENT ON FUNCTION cdp_internal.attribution_markov_check(cdp.attribution_partial) IS
'How well each Markov chain of a partial was solved: order, states, probability of conversion from the counts, C / (C + N), and from the solved chain, value of a journey likewise in currency units, largest relative residual of its linear systems (1-norm), smallest and largest removal effect on conversions. No row for partials without Markov models or for NULL.';

CREATE OR REPLACE FUNCTION cdp.attribution_check(partial cdp.attribution_partial)
RETURNS TABLE (item text, ok boolean, expected numeric, found numeric)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 100000 ROWS 20
BEGIN ATOMIC
  WITH s AS MATERIALIZED (
    SELECT s.conversions, s.value FROM cdp.attribution_summary(partial) s
  ), t AS MATERIALIZED (
    SELECT t.model, sum(t.conversions) AS conversions, sum(t.value) AS value FROM cdp.attribution_totals(partial) t GROUP BY t.model
  ), m AS MATERIALIZED (
    SELECT * FROM cdp_internal.attribution_markov_check(partial) m
  )
  SELECT 'conversions credited by ' || t.model,
    CASE WHEN t.model LIKE 'participation%' THEN t.conversions >= s.conversions ELSE t.conversions = s.conversions END,
    s.conversions::numeric, t.conversions
  FROM s, t
  UNION ALL
  SELECT 'value credited by ' || t.model, t.value = s.value, s.value, t.value
  FROM s, t WHERE t.model NOT LIKE 'participation%'
  UNION ALL
  SELECT 'probability of conversion, Markov order ' || m.k, abs(m.p - m.p_expected) <= 1e-12 * m.p_expected, m.p_expected::numeric, m.p::numeric
  FROM m
  UNION ALL
  SELECT 'value of a journey, Markov order ' || m.k, abs(m.e - m.e_expected) <= 1e-9 * (abs(m.e_expected) + 1e-3), m.e_expected::numeric, m.e::numeric
  FROM m
  UNION ALL
  SELECT 'largest removal effect is at most 1, Markov order ' || m.k, m.lowest >= 0 AND m.highest <= 1, 1, m.highest::numeric
  FROM m
  UNION ALL
  SELECT 'relative residual is at most 1e-12, Markov order ' || m.k, m.residual <= 1e-12, 1e-12, m.residual::numeric
  FROM m;
END;
COMMENT ON FUNCTION cdp.attribution_check(cdp.attribution_partial) IS
'Self-checks of a partial, one row each: what is checked, whether it holds, what was expected and what was found. Each model must credit exactly all conversions and all net value, (unattributed) included (participation, which gives each label a whole conversion, at least the conversions); each Markov chain must give back the conversion rate C / (C + N) and the value of a journey that the counts say, with removal effects from 0 to 1 and linear systems solved to a relative residual of 1e-12 in the 1-norm. NULL gives no row. A row that is not ok points to a defect: please report it. For checks of the data themselves see cdp.attribution_data_check.';
