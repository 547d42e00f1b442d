-- Core room: C helpers for passes over touchpoints, and the channel rules.

CREATE OR REPLACE FUNCTION cdp_internal.first_rule(
  rules text[], source text, medium text, campaign text, referrer_host text, add_way text, qr_scene text) RETURNS integer
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100
AS 'MODULE_PATHNAME', 'cdp_first_rule';
COMMENT ON FUNCTION cdp_internal.first_rule(text[], text, text, text, text, text, text) IS
'Channel of the first rule that matches the six texts, NULL when none does or rules is NULL. rules: rows of channel number and six patterns (LIKE, A-Z like a-z, alternatives separated by |, NULL matches anything), in order. A NULL text counts as empty. Errors: 2202E wrong shape, 22P02 a channel that is no number.';

CREATE OR REPLACE FUNCTION cdp_internal.customer_map_add(internal, bigint, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_customer_map_add';
COMMENT ON FUNCTION cdp_internal.customer_map_add(internal, bigint, bigint) IS 'Transition function of customer_map.';
CREATE OR REPLACE FUNCTION cdp_internal.customer_map_final(internal) RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_customer_map_final';
COMMENT ON FUNCTION cdp_internal.customer_map_final(internal) IS 'Final function of customer_map.';
CREATE OR REPLACE AGGREGATE cdp_internal.customer_map(customer_id bigint, parent_id bigint) (
  SFUNC = cdp_internal.customer_map_add, STYPE = internal, SSPACE = 65536,
  FINALFUNC = cdp_internal.customer_map_final, FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp_internal.customer_map(bigint, bigint) IS
'Map of merged customers as bytes, for customer_root(): every customer whose parent is another one, with the root at the end of its parents. Empty, not NULL, without merges. Rows with a NULL count for nothing. Errors: 22003 id not in 1 to 4294967295, 21000 two parents, XX001 parents in a circle, 54000 too many.';

CREATE OR REPLACE FUNCTION cdp_internal.override_map_add(internal, bigint, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_override_map_add';
COMMENT ON FUNCTION cdp_internal.override_map_add(internal, bigint, bigint) IS 'Transition function of override_map.';
CREATE OR REPLACE FUNCTION cdp_internal.override_map_final(internal) RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_override_map_final';
COMMENT ON FUNCTION cdp_internal.override_map_final(internal) IS 'Final function of override_map.';
CREATE OR REPLACE AGGREGATE cdp_internal.override_map(identifier_id bigint, customer_id bigint) (
  SFUNC = cdp_internal.override_map_add, STYPE = internal, SSPACE = 65536,
  FINALFUNC = cdp_internal.override_map_final, FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp_internal.override_map(bigint, bigint) IS
'Map of identifiers that an unmerge moved, as bytes, for customer_root(). Empty, not NULL, without any. Errors: 22003 id out of range, 21000 two overrides, 54000 too many.';

CREATE OR REPLACE FUNCTION cdp_internal.customer_root(map bytea, overrides bytea, customer_id bigint, identifier_id bigint) RETURNS bigint
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_customer_root';
COMMENT ON FUNCTION cdp_internal.customer_root(bytea, bytea, bigint, bigint) IS
'The customer to whom a touch belongs today: the override of its identifier, else its home customer, then the root of that one''s merges. Call it as customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), t.customer_id, t.identifier_id), so that the maps are made once per query. A NULL map counts as empty; NULL for a NULL customer. Error 22P03: bytes that are no map.';

CREATE OR REPLACE FUNCTION cdp_internal.customer_map() RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 10000 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT cdp_internal.customer_map(c.customer_id, c.parent_id) FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.customer_map() IS
'The map of all merges of cdp_data.customer, as of the calling query. Use it as (SELECT cdp_internal.customer_map()). Costs an index scan over the merged customers only.';

CREATE OR REPLACE FUNCTION cdp_internal.override_map() RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 10000 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT cdp_internal.override_map(o.identifier_id, o.customer_id) FROM cdp_data.identifier_override o);
END
$$;
COMMENT ON FUNCTION cdp_internal.override_map() IS
'The map of all rows of cdp_data.identifier_override, as of the calling query. Use it as (SELECT cdp_internal.override_map()).';

CREATE OR REPLACE FUNCTION cdp_internal.dense_codes_add(internal, integer, integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_dense_codes_add';
COMMENT ON FUNCTION cdp_internal.dense_codes_add(internal, integer, integer) IS 'Transition function of dense_codes.';
CREATE OR REPLACE FUNCTION cdp_internal.dense_codes_final(internal) RETURNS integer[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_dense_codes_final';
COMMENT ON FUNCTION cdp_internal.dense_codes_final(internal) IS 'Final function of dense_codes.';
CREATE OR REPLACE AGGREGATE cdp_internal.dense_codes(id integer, code integer) (
  SFUNC = cdp_internal.dense_codes_add, STYPE = internal, SSPACE = 65536,
  FINALFUNC = cdp_internal.dense_codes_final, FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp_internal.dense_codes(integer, integer) IS
'An int[] whose element n is the code of id n and 0 where there is none, for dense_lookup(). Rows with a NULL count for nothing; of two codes for one id the last read stays. Error 22003: id below 1 or above 268 million.';

CREATE OR REPLACE FUNCTION cdp_internal.dense_lookup(codes integer[], id integer) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_dense_lookup';
COMMENT ON FUNCTION cdp_internal.dense_lookup(integer[], integer) IS
'codes[id] without a join or a scan of the array: NULL outside of it and where it is 0. Build codes with dense_codes(). Error 2202E: not one-dimensional from 1, or with NULLs.';

CREATE OR REPLACE FUNCTION cdp_internal.dense_name(names text[], code integer) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_dense_name';
COMMENT ON FUNCTION cdp_internal.dense_name(text[], integer) IS
'names[code] for passes over millions of rows: a parameter or constant is taken apart once, not walked along at each row. NULL outside of it. Error 2202E: not one-dimensional, or with NULLs.';
