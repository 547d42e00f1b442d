-- Core room: what the other rooms call to leave a trace of a read. Everything else calls cdp_data.audit_write() itself.

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
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.audit_read(text, bigint, jsonb) IS
'Logs that somebody reads personal values of a customer (NULL: of several) through a function of pg_cdp. Error 25006 in a read-only transaction and on a hot standby, unless cdp_data.setting.audit says that reads are not logged.';
