-- Core room, loading: nothing of an erased person may slip in beside the erasure.
--
-- Whoever writes about people takes a shared lock until its transaction ends, and looks at the suppression list only
-- then. An erasure takes the same locks alone before it looks for rows. So whoever found nobody suppressed has ended by
-- then, and whoever comes later finds the list written. Single calls lock their identifiers, batches one lock for all:
-- an erasure waits for a running load, and calls about other people do not wait for either.

CREATE OR REPLACE FUNCTION cdp_internal.guard_class() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 7234570;
COMMENT ON FUNCTION cdp_internal.guard_class() IS
'First number of the advisory locks between erasures and writers, as src/core/guard.c has it. The second is cdp_internal.guard_bucket() of an identifier, or -1 for batches.';

CREATE OR REPLACE FUNCTION cdp_internal.guard_bucket(type_id smallint, value text) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_guard_bucket';
COMMENT ON FUNCTION cdp_internal.guard_bucket(smallint, text) IS
'Which of the 256 locks stands for an identifier. Its value depends on the machine; not stored.';

CREATE OR REPLACE FUNCTION cdp_internal.guard_calls(type_ids smallint[], vals text[]) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cdp_guard_calls';
COMMENT ON FUNCTION cdp_internal.guard_calls(smallint[], text[]) IS
'Locks identifiers (in the form in which they are stored), shared, until the transaction ends, against an erasure. To be called before the suppression list is looked at. Nothing for NULL. Error 2202E: arrays of unequal length.';

CREATE OR REPLACE FUNCTION cdp_internal.guard_snapshot() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- On an older snapshot the list would look as it was; only a lock of a row tells that it changed (40001).
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    PERFORM FROM cdp_data.suppression_epoch FOR SHARE;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.guard_snapshot() IS
'For writers, after their guard lock: fails with 40001 when somebody was erased since the snapshot of a transaction of REPEATABLE READ or SERIALIZABLE was taken. Nothing under READ COMMITTED.';

CREATE OR REPLACE FUNCTION cdp_internal.guard_batch() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(cdp_internal.guard_class(), -1);
  PERFORM cdp_internal.guard_snapshot();
END
$$;
COMMENT ON FUNCTION cdp_internal.guard_batch() IS
'For loads, reverts and whatever else writes about many people: waits for an erasure that is under way, and keeps the next one waiting until this transaction ends. To be called before the suppression list is looked at. Errors: 40001 on a snapshot older than an erasure.';

CREATE OR REPLACE FUNCTION cdp_internal.guard_suppressed(type_ids smallint[], vals text[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.guard_calls(type_ids, vals);
  PERFORM cdp_internal.guard_snapshot();
  -- An erasure may have ended while this call waited for its lock; a new statement sees what it wrote.
  RETURN EXISTS (SELECT FROM cdp_data.suppression)
    AND EXISTS (SELECT FROM unnest(type_ids, vals) AS u (type_id, value) WHERE cdp_internal.is_suppressed(u.type_id, u.value));
END
$$;
COMMENT ON FUNCTION cdp_internal.guard_suppressed(smallint[], text[]) IS
'Takes cdp_internal.guard_calls() for the identifiers of one record (in the form in which they are stored) and tells whether one of them is on the suppression list then; to be asked before anything is written. Errors: 40001 on a snapshot older than an erasure.';
