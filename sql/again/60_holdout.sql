-- Activation room, holdouts: who is in which arm. A hash of customer and salt draws; the arm is kept where something was first
-- done to a customer, and stays with him when he is united with others.

CREATE OR REPLACE FUNCTION cdp_internal.holdout_of(name text, OUT holdout_id integer, OUT share numeric, OUT ended_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT h.holdout_id, h.share, h.ended_at INTO holdout_id, share, ended_at FROM cdp_data.holdout h WHERE h.name = holdout_of.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no holdout named "%"', left(coalesce(name, 'NULL'), 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT h.name FROM cdp_data.holdout h), 'SELECT name FROM cdp_data.holdout; lists them.');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.holdout_of(text) IS
'The holdout of that name. Errors: 42704 when there is none, with the nearest name; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.create_holdout(name text, share numeric, description text DEFAULT '') RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('name of a holdout', name, 200);
  IF share IS NULL OR NOT (share > 0 AND share < 1) THEN
    RAISE EXCEPTION 'the share of a holdout lies between 0 and 1'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(share::text, 'NULL')), HINT = 'Such as 0.1, a tenth of all customers.';
  END IF;
  INSERT INTO cdp_data.holdout AS h (name, share, description, salt)
  VALUES (create_holdout.name, create_holdout.share, coalesce(create_holdout.description, ''), hashtextextended(gen_random_uuid()::text, 0))
  ON CONFLICT ON CONSTRAINT holdout_name_key DO NOTHING RETURNING h.holdout_id INTO id;
  IF id IS NULL THEN
    RAISE EXCEPTION 'there is a holdout named "%" already', name USING ERRCODE = 'unique_violation', HINT = 'Give it another name; a holdout is drawn once.';
  END IF;
  PERFORM cdp_data.audit_write('holdout', 'holdout ' || name, NULL, jsonb_build_object('op', 'create', 'holdout_id', id, 'share', share));
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.create_holdout(text, numeric, text) IS
'Draws a holdout: SELECT cdp.create_holdout(''global'', 0.1) keeps a tenth of all customers, those of tomorrow among them, in its arm control; the others are its arm treatment. Campaign runs, activations and rules name it. The share never changes; two holdouts are drawn independently of each other. Returns holdout_id. Needs the rights of the tables'' owner. Errors: 22023 share or name, 23505 the name is taken, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.end_holdout(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  h record := cdp_internal.holdout_of(name);
BEGIN
  UPDATE cdp_data.holdout x SET ended_at = clock_timestamp() WHERE x.holdout_id = h.holdout_id AND x.ended_at IS NULL;
  IF FOUND THEN
    PERFORM cdp_internal.activation_mark(ARRAY(SELECT a.activation_id FROM cdp_data.activation a WHERE a.holdout_id = h.holdout_id), 'its holdout has ended');
    PERFORM cdp_data.audit_write('holdout', 'holdout ' || name, NULL, jsonb_build_object('op', 'end', 'holdout_id', h.holdout_id));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.end_holdout(text) IS
'Ends a holdout: nobody is in its arm control any more, segments that name it are evaluated anew by the next tick, and activations get who was held out with the next cdp.sync_activations(). Which arm a customer was in is kept for reports. Nothing happens to one that has ended. Error 42704: no such holdout.';

CREATE OR REPLACE FUNCTION cdp_internal.holdout_stored(holdout_id integer, roots bigint[]) RETURNS TABLE (customer_id bigint, arm text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea := cdp_internal.customer_map();
  -- Of few the parts are looked up; of many all that is stored is read.
  under bigint[] := CASE WHEN cardinality(roots) <= 1000 THEN ARRAY(SELECT m FROM unnest(roots) r, cdp_internal.customers_under(r) m) END;
BEGIN
  RETURN QUERY
  SELECT DISTINCT ON (x.root) x.root, x.arm
  FROM (SELECT cdp_internal.customer_root(map, NULL, a.customer_id, NULL) AS root, a.customer_id, a.arm, a.assigned_at
    FROM cdp_data.holdout_assignment a WHERE a.holdout_id = holdout_stored.holdout_id AND (under IS NULL OR a.customer_id = ANY (under))) x
  ORDER BY x.root, x.assigned_at, x.customer_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.holdout_stored(integer, bigint[]) IS
'Roots of whom, or of a part of whom, an arm is stored, with the earliest stored one: of two at one moment that of the lower id. Of the given roots, and maybe of others.';

CREATE OR REPLACE FUNCTION cdp_internal.holdout_arms(holdout_id integer, roots bigint[]) RETURNS TABLE (customer_id bigint, arm text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  h cdp_data.holdout;
BEGIN
  SELECT * INTO h FROM cdp_data.holdout x WHERE x.holdout_id = holdout_arms.holdout_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no holdout %', holdout_arms.holdout_id USING ERRCODE = 'undefined_object';
  ELSIF h.ended_at IS NOT NULL THEN
    RETURN QUERY SELECT u, 'treatment' FROM unnest(roots) u;
    RETURN;
  END IF;
  RETURN QUERY
  SELECT u, coalesce(s.arm, CASE WHEN cdp_internal.in_sample(u, h.share::double precision, h.salt) THEN 'control' ELSE 'treatment' END)
  FROM unnest(roots) u LEFT JOIN cdp_internal.holdout_stored(h.holdout_id, roots) s ON s.customer_id = u;
END
$$;
COMMENT ON FUNCTION cdp_internal.holdout_arms(integer, bigint[]) IS
'The arm of each of these roots now, a row for each: the one that is stored for him or for who was merged into him (cdp_internal.holdout_stored()), else by the draw: control when the hash of his id and the salt of the holdout lies below its share. All are treatment once it has ended. Error 42704: no such holdout.';

CREATE OR REPLACE FUNCTION cdp_internal.holdout_control(holdout_id integer, roots bigint[] DEFAULT NULL) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
    SELECT cdp.roaring_build(a.customer_id)
    FROM cdp_internal.holdout_arms(holdout_control.holdout_id, coalesce(roots, ARRAY(SELECT c.customer_id FROM cdp_data.customer c WHERE c.parent_id = c.customer_id))) a
    WHERE a.arm = 'control');
END
$$;
COMMENT ON FUNCTION cdp_internal.holdout_control(integer, bigint[]) IS
'The customers in the arm control of a holdout now, as a Roaring bitmap: of these roots, or of all (NULL). Empty, never NULL. Error 42704: no such holdout.';

CREATE OR REPLACE FUNCTION cdp_internal.holdout_assign(holdout_id integer, roots bigint[], at timestamptz DEFAULT now(), waits boolean DEFAULT true)
RETURNS TABLE (customer_id bigint, arm text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  held bigint[];
BEGIN
  -- A merge of one of them has ended then, or waits until this transaction has: it must find what is stored here.
  IF waits THEN
    held := ARRAY(SELECT c.customer_id FROM cdp_data.customer c WHERE c.customer_id = ANY (roots) AND c.parent_id = c.customer_id ORDER BY 1 FOR SHARE);
  ELSE
    held := ARRAY(SELECT c.customer_id FROM cdp_data.customer c WHERE c.customer_id = ANY (roots) AND c.parent_id = c.customer_id ORDER BY 1 FOR SHARE SKIP LOCKED);
  END IF;
  RETURN QUERY
  WITH arms AS MATERIALIZED (
    SELECT a.customer_id, a.arm FROM cdp_internal.holdout_arms(holdout_assign.holdout_id, held) a
  ), stored AS (
    INSERT INTO cdp_data.holdout_assignment (holdout_id, customer_id, arm, assigned_at)
    SELECT holdout_assign.holdout_id, a.customer_id, a.arm, at FROM arms a
    WHERE NOT EXISTS (SELECT FROM cdp_internal.holdout_stored(holdout_assign.holdout_id, held) s WHERE s.customer_id = a.customer_id)
      AND EXISTS (SELECT FROM cdp_data.holdout h WHERE h.holdout_id = holdout_assign.holdout_id AND h.ended_at IS NULL)
    ON CONFLICT ON CONSTRAINT holdout_assignment_pkey DO NOTHING -- another session did it meanwhile: the arm is the same
  )
  SELECT a.customer_id, a.arm FROM arms a ORDER BY 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.holdout_assign(integer, bigint[], timestamptz, boolean) IS
'Keeps the arm of these customers, as they are in now, from here on: to be called when something is first done to them, or kept from being done, with that moment. What is stored already stays, and of an ended holdout nothing is stored. Returns those who are roots, ascending, each with his arm (cdp_internal.holdout_arms()). Waits for merges of theirs that are under way; waits false: who is being changed by somebody else is left out. Needs the rights of the tables'' owner. Error 42704: no such holdout.';

CREATE OR REPLACE FUNCTION cdp.holdout_arm(name text, customer bigint) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  h record := cdp_internal.holdout_of(name);
BEGIN
  RETURN (SELECT a.arm FROM cdp_internal.holdout_arms(h.holdout_id, ARRAY[cdp_internal.root_of(customer)]) a WHERE a.customer_id IS NOT NULL);
END
$$;
COMMENT ON FUNCTION cdp.holdout_arm(text, bigint) IS
'The arm of a holdout, control or treatment, that a customer (any id that was merged into him) is in now. NULL for an unknown customer. Error 42704: no such holdout.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_catalog_of_holdouts() RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT jsonb_object_agg(h.name, jsonb_build_object('id', h.holdout_id, 'arms', '["control", "treatment"]'::jsonb, 'ended', h.ended_at IS NOT NULL)) FROM cdp_data.holdout h);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_catalog_of_holdouts() IS
'Holdouts for the catalogue of cdp_internal.segment_catalog(): {"name": {"id", "arms", "ended"}}. The end of one has segments that name it evaluated over everybody by the next run.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_set_of_holdout(spec jsonb, roots bigint[]) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  control bytea := cdp_internal.holdout_control((spec ->> 'holdout')::integer, roots);
BEGIN
  RETURN CASE WHEN spec ->> 'arm' = 'control' THEN control WHEN roots IS NOT NULL THEN cdp.roaring_andnot((SELECT cdp.roaring_build(r) FROM unnest(roots) r), control)
    ELSE cdp.roaring_andnot((SELECT cdp.roaring_build(c.customer_id) FROM cdp_data.customer c WHERE c.parent_id = c.customer_id), control) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_set_of_holdout(jsonb, bigint[]) IS
'The customers in an arm of a holdout, by the set atom of a plan ({"holdout": id, "arm": control or treatment}), as a Roaring bitmap. roots: of these; NULL: of all.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_holdout(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT 'cdp_data.holdout_assignment', 'delete', cdp_internal.erase_keyed('cdp_data.holdout_assignment', 'customer_id', customers);
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_holdout(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes the arms that were kept of a person who is erased. Returns what was done.';
