-- Segment room: sets of customers as Roaring bitmaps, samples of customers, and what a pass returns.

CREATE OR REPLACE FUNCTION cdp_internal.roaring_build_add(internal, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_roaring_build_add';
COMMENT ON FUNCTION cdp_internal.roaring_build_add(internal, bigint) IS
'Transition function of roaring_build.';

CREATE OR REPLACE FUNCTION cdp_internal.roaring_build_final(internal) RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_roaring_build_final';
COMMENT ON FUNCTION cdp_internal.roaring_build_final(internal) IS
'Final function of roaring_build.';
CREATE OR REPLACE AGGREGATE cdp.roaring_build(id bigint) (
  SFUNC = cdp_internal.roaring_build_add, STYPE = internal, SSPACE = 65536,
  FINALFUNC = cdp_internal.roaring_build_final, FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp.roaring_build(bigint) IS
'The set of the ids, as bytes in the portable format of Roaring bitmaps with 32-bit ids, which the type roaringbitmap of the extension pg_roaringbitmap reads by a cast. Rows in any order, repeats count once, NULLs for nothing; the empty set without rows. Equal sets are equal bytes. Errors: 22003 an id not in 0 to 4294967295.';

CREATE OR REPLACE FUNCTION cdp_internal.roaring_union_add(internal, bytea) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_roaring_union_add';
COMMENT ON FUNCTION cdp_internal.roaring_union_add(internal, bytea) IS
'Transition function of roaring_union.';

CREATE OR REPLACE FUNCTION cdp_internal.roaring_union_final(internal) RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_roaring_union_final';
COMMENT ON FUNCTION cdp_internal.roaring_union_final(internal) IS
'Final function of roaring_union.';
CREATE OR REPLACE AGGREGATE cdp.roaring_union(bits bytea) (
  SFUNC = cdp_internal.roaring_union_add, STYPE = internal, SSPACE = 65536,
  FINALFUNC = cdp_internal.roaring_union_final, FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp.roaring_union(bytea) IS
'The ids that are in any of the sets; the empty set without rows. NULLs count for nothing. Error 22P03: bytes that are no such set.';

CREATE OR REPLACE FUNCTION cdp.roaring_and(a bytea, b bytea) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_roaring_and';
COMMENT ON FUNCTION cdp.roaring_and(bytea, bytea) IS
'The ids that are in both sets. NULL when one is NULL. Error 22P03: bytes that are no such set.';

CREATE OR REPLACE FUNCTION cdp.roaring_or(a bytea, b bytea) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_roaring_or';
COMMENT ON FUNCTION cdp.roaring_or(bytea, bytea) IS
'The ids that are in either set. NULL when one is NULL. Error 22P03: bytes that are no such set.';

CREATE OR REPLACE FUNCTION cdp.roaring_andnot(a bytea, b bytea) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_roaring_andnot';
COMMENT ON FUNCTION cdp.roaring_andnot(bytea, bytea) IS
'The ids that are in the first set and not in the second. NULL when one is NULL. Error 22P03: bytes that are no such set.';

CREATE OR REPLACE FUNCTION cdp.roaring_count(bits bytea) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_roaring_count';
COMMENT ON FUNCTION cdp.roaring_count(bytea) IS
'How many ids the set has. NULL for NULL. Error 22P03: bytes that are no such set.';

CREATE OR REPLACE FUNCTION cdp.roaring_has(bits bytea, id bigint) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_roaring_has';
COMMENT ON FUNCTION cdp.roaring_has(bytea, bigint) IS
'Whether the set has the id; false for a number that can be no id. NULL when an argument is NULL. Error 22P03: bytes that are no such set.';

CREATE OR REPLACE FUNCTION cdp.roaring_ids(bits bytea) RETURNS SETOF bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10000
AS 'MODULE_PATHNAME', 'cdp_roaring_ids';
COMMENT ON FUNCTION cdp.roaring_ids(bytea) IS
'The ids of the set, rising. No row for NULL. Error 22P03: bytes that are no such set.';

CREATE OR REPLACE FUNCTION cdp.roaring_chunks(bits bytea) RETURNS TABLE (chunk integer, bits bytea, customers integer)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 100
AS 'MODULE_PATHNAME', 'cdp_roaring_chunks';
COMMENT ON FUNCTION cdp.roaring_chunks(bytea) IS
'The set in pieces: one row for each 65,536 ids of which it has any. chunk: id / 65536. bits: the piece as a set of its own, with whole ids, so that roaring_union() puts the pieces together again. customers: how many ids it has, 1 to 65536. No row for NULL or the empty set. Error 22P03: bytes that are no such set.';

CREATE OR REPLACE FUNCTION cdp.roaring_sample(bits bytea, fraction double precision, seed bigint DEFAULT 0) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_roaring_sample';
COMMENT ON FUNCTION cdp.roaring_sample(bytea, double precision, bigint) IS
'The ids of the set that cdp_internal.in_sample() takes: the same ones each time for the same fraction and seed, and those of a smaller fraction are among those of a larger one. fraction: 0 to 1. NULL when an argument is NULL. Errors: 22023 fraction, 22P03 bytes that are no set.';

CREATE OR REPLACE FUNCTION cdp.roaring_overlap(sets bytea[]) RETURNS TABLE (a integer, b integer, common bigint)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 1000
AS 'MODULE_PATHNAME', 'cdp_roaring_overlap';
COMMENT ON FUNCTION cdp.roaring_overlap(bytea[]) IS
'How many ids each pair of sets shares. a, b: places in the array from 1, a <= b; a = b tells how many the set has itself. A NULL in the array is the empty set; no row for NULL. Errors: 2202E an array of several dimensions, 22P03 bytes that are no set.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_diff(before bytea, after bytea) RETURNS TABLE (customer_id bigint, entered boolean)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 1000
AS 'MODULE_PATHNAME', 'cdp_segment_diff';
COMMENT ON FUNCTION cdp_internal.segment_diff(bytea, bytea) IS
'Who is in one set of customers and not in the other, by id: entered is true for those of after, false for those of before. No row when an argument is NULL. Error 22P03: bytes that are no such set.';

CREATE OR REPLACE FUNCTION cdp_internal.in_sample(customer bigint, fraction double precision, seed bigint DEFAULT 0) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_in_sample';
COMMENT ON FUNCTION cdp_internal.in_sample(bigint, double precision, bigint) IS
'Whether a sample of that fraction (0 to 1) takes the customer: decided by a hash of id and seed (mixing steps of splitmix64), so that it is the same at any time and on any machine, and a larger fraction takes all that a smaller one takes. NULL when an argument is NULL. Error 22023: fraction.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_pass_events(result bytea) RETURNS TABLE (atom integer, customers bytea, unknown bytea, unseen boolean)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_pass_events';
COMMENT ON FUNCTION cdp_internal.segment_pass_events(bytea) IS
'What a pass found, a row for each atom of its plan (numbers from 0): customers for whom the atom is true, those for whom it is unknown (a missing value), and unseen, the answer for customers of whom the pass met no row (NULL: unknown). Whoever the pass met and is in neither set is false. No row for NULL. Error 22P03: bytes that are no result of segment_pass() or segment_attribute_pass().';

CREATE OR REPLACE FUNCTION cdp_internal.segment_pass_seen(result bytea) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_pass_seen';
COMMENT ON FUNCTION cdp_internal.segment_pass_seen(bytea) IS
'The customers that a pass met. NULL for NULL. Error 22P03: bytes that are no result of a pass.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_pass_flips(result bytea) RETURNS TABLE (customer_id bigint, at timestamptz)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10000
AS 'MODULE_PATHNAME', 'cdp_segment_pass_flips';
COMMENT ON FUNCTION cdp_internal.segment_pass_flips(bytea) IS
'When the answer of an atom may change for a customer without new data: a row for each customer with such a moment up to the horizon of the pass, by id, with the earliest one. No row for NULL. Error 22P03: bytes that are no result of a pass.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_pass_join(results bytea[]) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_pass_join';
COMMENT ON FUNCTION cdp_internal.segment_pass_join(bytea[]) IS
'Results of passes with one plan over different customers as the result of one pass over all of them. NULL for none. Errors: 22004 a NULL among them, 22023 plans of different length, 22P03 bytes that are no result of a pass.';
