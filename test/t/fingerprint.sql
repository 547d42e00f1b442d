-- Every object of our schemas as one line of text, without OIDs and column positions; read by CdpTest.pm.
SET search_path = pg_catalog, pg_temp;
WITH own AS (
  SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('cdp', 'cdp_internal', 'cdp_data', 'cdp_bi', 'cdp_api')
), line AS (
  SELECT 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') || ' ' || coalesce(obj_description(n.oid, 'pg_namespace'), '') AS what
  FROM pg_namespace n JOIN own USING (oid, nspname)
  UNION ALL
  SELECT 'function ' || p.oid::regprocedure || ' ' || coalesce(p.proacl::text, '') || ' '
    || coalesce(obj_description(p.oid, 'pg_proc'), '') || ' ' || CASE WHEN p.prokind = 'a' THEN (
      SELECT concat_ws(' ', aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggtranstype::regtype,
        aggtransspace, agginitval, aggfinalextra, aggfinalmodify, p.proparallel) FROM pg_aggregate a WHERE a.aggfnoid = p.oid)
      ELSE pg_get_functiondef(p.oid) END
  FROM pg_proc p JOIN own ON own.oid = p.pronamespace
  UNION ALL
  SELECT 'type ' || t.oid::regtype || ' ' || concat_ws(' ', typtype, typlen, typalign, typstorage, typinput, typoutput, typreceive,
    typsend, typacl, obj_description(t.oid, 'pg_type'))
  FROM pg_type t JOIN own ON own.oid = t.typnamespace WHERE t.typname !~ '_p\d|_\d{6}'
  UNION ALL
  SELECT 'cast ' || concat_ws(' ', castsource::regtype, casttarget::regtype, castcontext, castmethod, castfunc::regprocedure)
  FROM pg_cast c JOIN pg_type t ON t.oid IN (c.castsource, c.casttarget) JOIN own ON own.oid = t.typnamespace
  UNION ALL
  SELECT 'operator ' || o.oid::regoperator || ' ' || o.oprcode || ' ' || coalesce(obj_description(o.oid, 'pg_operator'), '')
  FROM pg_operator o JOIN own ON own.oid = o.oprnamespace
  UNION ALL
  SELECT 'relation ' || c.oid::regclass || ' ' || concat_ws(' ', relkind, relpersistence, relrowsecurity, reloptions, relacl,
    pg_get_partkeydef(c.oid), obj_description(c.oid, 'pg_class'), CASE WHEN relkind = 'v' THEN pg_get_viewdef(c.oid) END)
  FROM pg_class c JOIN own ON own.oid = c.relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT relispartition
  UNION ALL
  SELECT 'column ' || c.oid::regclass || '.' || attname || ' ' || concat_ws(' ', format_type(atttypid, atttypmod), attnotnull,
    attidentity, attgenerated, pg_get_expr(adbin, adrelid), col_description(c.oid, attnum))
  FROM pg_class c JOIN own ON own.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = attnum
  WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND NOT relispartition
  UNION ALL
  SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid JOIN own ON own.oid = c.relnamespace WHERE NOT relispartition
  UNION ALL
  SELECT 'index ' || pg_get_indexdef(indexrelid)
  FROM pg_index JOIN pg_class c ON c.oid = indrelid JOIN own ON own.oid = c.relnamespace WHERE NOT relispartition
  UNION ALL
  SELECT 'trigger ' || pg_get_triggerdef(g.oid)
  FROM pg_trigger g JOIN pg_class c ON c.oid = tgrelid JOIN own ON own.oid = c.relnamespace WHERE NOT tgisinternal AND NOT relispartition
  UNION ALL
  SELECT 'policy ' || polrelid::regclass || ' ' || polname || ' ' || concat_ws(' ', polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
  FROM pg_policy JOIN pg_class c ON c.oid = polrelid JOIN own ON own.oid = c.relnamespace
  UNION ALL
  SELECT 'member ' || pg_describe_object(d.classid, d.objid, d.objsubid)
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
  WHERE e.extname = 'pg_cdp' AND d.deptype = 'e'
)
SELECT regexp_replace(what, '\s+', ' ', 'g') FROM line ORDER BY what COLLATE "C";
