-- Matching: the engine in C. Records come in packed, a model as jsonb; nothing here reads a table.

CREATE OR REPLACE FUNCTION cdp_internal.match_terms(model jsonb, rules text[])
RETURNS TABLE (term text, expression text, columns text[])
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_match_terms';
COMMENT ON FUNCTION cdp_internal.match_terms(jsonb, text[]) IS
'Every expression over one record that a match model and further blocking rules look at: its canonical text, the SQL that computes it over a row t (built from quoted names and literals, never from the text of a condition), and its columns. No row for a NULL model. Errors: 0A000 a condition of no known form, 22023 an invalid model, 42704 fuzzystrmatch is needed and not installed, 54000 above a limit.';

CREATE OR REPLACE FUNCTION cdp_internal.match_condition(condition text, path text, blocking boolean) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_match_condition';
COMMENT ON FUNCTION cdp_internal.match_condition(text, text, boolean) IS
'A condition of a match model, read and written again: one text for one meaning, in Splink''s words. path is where it stands, for errors; blocking: written as a blocking rule (l.name), else as a level (name_l). Errors: 0A000 no known form, 54000 too long.';

CREATE OR REPLACE FUNCTION cdp_internal.match_shape(model jsonb)
RETURNS TABLE (comparison integer, level integer, name text, value integer, weight bigint, size integer, columns text[])
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_match_shape';
COMMENT ON FUNCTION cdp_internal.match_shape(jsonb) IS
'The levels of a match model that are no null levels: number of comparison and level (from 0), Splink''s value of the level, and where its digit stands in a pattern: value = pattern / weight % size - 1, -1 being the null level. Errors as match_terms.';

CREATE OR REPLACE FUNCTION cdp_internal.match_records_add(internal, text, text, boolean, text[], text[]) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_match_records_add';
COMMENT ON FUNCTION cdp_internal.match_records_add(internal, text, text, boolean, text[], text[]) IS 'Transition function of match_records.';
CREATE OR REPLACE FUNCTION cdp_internal.match_records_final(internal) RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_match_records_final';
COMMENT ON FUNCTION cdp_internal.match_records_final(internal) IS 'Final function of match_records.';
CREATE OR REPLACE AGGREGATE cdp_internal.match_records(source text, id text, changed boolean, vals text[], terms text[]) (
  SFUNC = cdp_internal.match_records_add, STYPE = internal, SSPACE = 1048576,
  FINALFUNC = cdp_internal.match_records_final, FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp_internal.match_records(text, text, boolean, text[], text[]) IS
'Packs the records of a match: source (NULL: one source), id, whether the record is new or changed, the values of the terms, and the terms'' canonical texts (those of the first row count). Records are sorted by source and id, bytes compared, so the order of rows does not matter. NULL without rows. At most 1 GB. Errors: 23505 an id twice in a source, 22004 NULL id, 54000 too many records, terms (64) or sources (1000).';

CREATE OR REPLACE FUNCTION cdp_internal.match_records_info(records bytea, model jsonb, OUT records_n bigint, OUT pairs double precision)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_match_records_info';
COMMENT ON FUNCTION cdp_internal.match_records_info(bytea, jsonb) IS
'How many packed records there are, and how many pairs of them the model''s link type allows. Error 22P03: bytes that are no packed records.';

CREATE OR REPLACE FUNCTION cdp_internal.match_blocks(records bytea, model jsonb, rules text[], max_pairs double precision, changed_only boolean)
RETURNS TABLE (rule integer, blocks bigint, pairs double precision, largest bigint, largest_key text[], dropped_blocks bigint, dropped_pairs double precision)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000
AS 'MODULE_PATHNAME', 'cdp_match_blocks';
COMMENT ON FUNCTION cdp_internal.match_blocks(bytea, jsonb, text[], double precision, boolean) IS
'One row for each blocking rule (NULL: those of the model; one row for each alternative of an OR): blocks with pairs, their pairs before comparing with other rules and before filters, records and key of the largest block, and what the cap of pairs drops. The key is personal data. Errors as match_pairs.';

CREATE OR REPLACE FUNCTION cdp_internal.match_patterns(records bytea, model jsonb, rules text[], max_pairs double precision, random_pairs double precision, seed bigint)
RETURNS TABLE (pattern bigint, pairs bigint)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100000
AS 'MODULE_PATHNAME', 'cdp_match_patterns';
COMMENT ON FUNCTION cdp_internal.match_patterns(bytea, jsonb, text[], double precision, double precision, bigint) IS
'How many pairs show each pattern of levels (match_shape tells the digits): of the pairs that the rules make (NULL: the model''s), each once; or, with random_pairs, of that many pairs drawn with the seed, with return, among all records, all pairs when there are no more. Errors as match_pairs.';

CREATE OR REPLACE FUNCTION cdp_internal.match_em(model jsonb, patterns bigint[], pairs bigint[], used boolean[], share double precision, convergence double precision, iterations integer)
RETURNS TABLE (comparison integer, value integer, m double precision, share_found double precision, steps integer)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10000
AS 'MODULE_PATHNAME', 'cdp_match_em';
COMMENT ON FUNCTION cdp_internal.match_em(jsonb, bigint[], bigint[], boolean[], double precision, double precision, integer) IS
'Expectation maximisation over counts of patterns with u fixed to the model''s: m of each level of the comparisons used, the share of matches among the pairs, and the steps taken. Starts from the model''s m, or where there is none from 0.95 for the strictest level; levels with fix_m_probability keep theirs. Source: Fellegi and Sunter 1969, as Splink trains. Errors: 22023 a setting out of range.';

CREATE OR REPLACE FUNCTION cdp_internal.match_pairs(records bytea, model jsonb, rules text[], max_pairs double precision, changed_only boolean, least_weight double precision,
  frequency_terms text[], frequency_values text[], frequency_counts bigint[], frequency_totals bigint[])
RETURNS TABLE (l integer, r integer, source_l text, id_l text, source_r text, id_r text, match_key integer, gammas integer[], match_weight double precision)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100000
AS 'MODULE_PATHNAME', 'cdp_match_pairs';
COMMENT ON FUNCTION cdp_internal.match_pairs(bytea, jsonb, text[], double precision, boolean, double precision, text[], text[], bigint[], bigint[]) IS
'Scores every pair that the rules make (NULL: the model''s), each once, under the first rule that makes it (match_key, from 0), with the value of each comparison (gammas: -1 null, 0 the last level, upwards to the strictest); keeps those of at least the weight (NULL: all). max_pairs caps each rule: its largest blocks are dropped. changed_only: pairs without a changed record are left out. The last four say how frequent values are in a larger table (NULL: counted among the records). Errors: 22004 NULL records or model, 22023 invalid model or other records, 22P03 no packed records.';

CREATE OR REPLACE FUNCTION cdp_internal.match_explain(records bytea, model jsonb, l integer, r integer,
  frequency_terms text[], frequency_values text[], frequency_counts bigint[], frequency_totals bigint[])
RETURNS TABLE (comparison text, level text, value integer, m double precision, u double precision, bayes_factor double precision,
  frequency double precision, frequency_factor double precision, cumulative_weight double precision)
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_match_explain';
COMMENT ON FUNCTION cdp_internal.match_explain(bytea, jsonb, integer, integer, text[], text[], bigint[], bigint[]) IS
'The steps of the match weight of two records, given by their numbers from 0 in the order of source and id: the prior, then one row a comparison. Errors as match_pairs.';

CREATE OR REPLACE FUNCTION cdp_internal.match_rule_columns(rule text) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_match_rule_columns';
COMMENT ON FUNCTION cdp_internal.match_rule_columns(text) IS
'The columns that a blocking rule looks at. Errors: 0A000 no known form.';

CREATE OR REPLACE FUNCTION cdp_internal.match_clusters(source_l text[], id_l text[], source_r text[], id_r text[], weights double precision[],
  method text, threshold double precision, absent double precision, one_per_source boolean)
RETURNS TABLE (source text, id text, cluster_source text, cluster text, size integer)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100000
AS 'MODULE_PATHNAME', 'cdp_match_clusters';
COMMENT ON FUNCTION cdp_internal.match_clusters(text[], text[], text[], text[], double precision[], text, double precision, double precision, boolean) IS
'The records of the pairs with their clusters, named by their first record in the order of source and id. Weights are log2 of the odds; -Infinity: the two must not be one (average only); a pair that comes twice counts with its higher weight. method average: clusters are joined while their average weight is above the threshold, a missing pair counting as absent, and, with one_per_source, no cluster has two records of a source; one_to_one: heaviest pairs first, each record once; connected: whatever is connected by pairs above the threshold. Independent of the order of pairs: of equal averages the link with the first pair is joined first. Memory is bounded by maintenance_work_mem, beside the arrays and the ids: 20 bytes a pair, 32 a record, and some 100 for each pair of the largest set that pairs above the threshold connect. Errors: 22004, 22023, 2202E, 54000 too many pairs.';

CREATE OR REPLACE FUNCTION cdp_internal.match_record_clusters(records bytea, model jsonb, rules text[], max_pairs double precision, least_weight double precision,
  method text, threshold double precision, absent double precision, one_per_source boolean)
RETURNS TABLE (source text, id text, cluster_source text, cluster text, size integer)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100000
AS 'MODULE_PATHNAME', 'cdp_match_record_clusters';
COMMENT ON FUNCTION cdp_internal.match_record_clusters(bytea, jsonb, text[], double precision, double precision, text, double precision, double precision, boolean) IS
'match_pairs and match_clusters in one, without any text between them: the records that have a pair of at least the weight (NULL: of any), with their clusters. Memory, bounded by maintenance_work_mem beside the records: 20 bytes a pair, 32 a record and, with average, some 100 for each pair of the largest set that strong pairs connect. Errors: those of both.';

CREATE OR REPLACE FUNCTION cdp_internal.match_rule_parts(model jsonb)
RETURNS TABLE (rule integer, alternative integer, mirrored boolean, expression_l text, expression_r text, column_l text, column_r text)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_match_rule_parts';
COMMENT ON FUNCTION cdp_internal.match_rule_parts(jsonb) IS
'The equalities that each alternative of each blocking rule joins: SQL over a row t for both sides, and the column where a side is nothing but one. mirrored: both sides are the same in all of the alternative. Errors as match_terms.';
