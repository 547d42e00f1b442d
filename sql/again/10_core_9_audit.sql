-- Core room: what the other rooms call to leave a trace of a read. Everything else calls cdp_data.audit_write() itself.

CREATE OR REPLACE FUNCTION cdp_internal.audit_log(action text, object text, customer_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- What was seen stays seen when the transaction is rolled back and its row with it.
  IF (SELECT s.audit <> 'off' AND (s.audit = 'full' OR action <> 'read') FROM cdp_data.setting s) THEN
    RAISE LOG 'pg_cdp: % % of customer % by %', action, object, coalesce(customer_id::text, 'none'), session_user;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.audit_log(text, text, bigint) IS
'Writes a read of personal values to the server log as well, which no ROLLBACK takes back: the action, the function or attribute, the customer''s number, the role. Nothing when cdp_data.setting.audit does not ask for it.';

CREATE OR REPLACE FUNCTION cdp_internal.audit_read(object text, customer_id bigint, detail jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF current_setting('transaction_read_only')::boolean AND (SELECT s.audit = 'full' FROM cdp_data.setting s) THEN
    RAISE EXCEPTION '% shows personal values and logs the read, which a read-only transaction can not', object
      USING ERRCODE = 'read_only_sql_transaction', DETAIL = CASE WHEN pg_is_in_recovery() THEN 'This server is a hot standby.' ELSE 'The transaction is read-only.' END,
        HINT = 'Ask the primary in a writable session. Reports without personal values run here.';
  END IF;
  IF NOT current_setting('transaction_read_only')::boolean THEN
    PERFORM cdp_data.audit_write('read', object, customer_id, detail);
    PERFORM cdp_internal.audit_log('read', object, customer_id);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.audit_read(text, bigint, jsonb) IS
'Logs that somebody reads personal values of a customer (NULL: of several) through a function of pg_cdp, in the audit and, for the case of a ROLLBACK, in the server log. Error 25006 in a read-only transaction and on a hot standby, unless cdp_data.setting.audit says that reads are not logged.';
