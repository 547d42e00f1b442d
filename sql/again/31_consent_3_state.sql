-- Governance room, consent: the summaries. A new record is added to its summary; whatever takes a record out of force
-- (a reverted load, a correction) makes the summaries concerned anew from the ledger.
--
-- Locks: whoever makes a summary anew holds its row (from_at -infinity) first, and reads the ledger in a later
-- statement; whoever adds writes the ledger first, then that row. So neither misses the other. Who wants the outbox and
-- customers as well takes them before, in this order: outbox, customers, summaries.

CREATE OR REPLACE FUNCTION cdp_internal.consent_add_state(consent_ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  WITH word AS (
    SELECT c.identifier_id, c.customer_id, c.purpose_id, c.channel, CASE WHEN c.effective_at > at THEN c.effective_at ELSE '-infinity' END AS from_at,
      c.effective_at, c.status <> 'granted' AS refused, c.explicit, coalesce(c.expires_at, 'infinity') AS until
    FROM unnest(consent_ids) u JOIN cdp_data.consent c ON c.consent_id = u
  ), summed AS (
    SELECT w.identifier_id, w.customer_id, w.purpose_id, w.channel, w.from_at,
      max(w.effective_at) FILTER (WHERE w.refused) AS refused_at,
      max(w.effective_at) FILTER (WHERE NOT w.refused AND w.explicit) AS explicit_at,
      (array_agg(w.until ORDER BY w.effective_at DESC, w.until) FILTER (WHERE NOT w.refused AND w.explicit))[1] AS explicit_until,
      max(w.effective_at) FILTER (WHERE NOT w.refused AND NOT w.explicit) AS implied_at,
      (array_agg(w.until ORDER BY w.effective_at DESC, w.until) FILTER (WHERE NOT w.refused AND NOT w.explicit))[1] AS implied_until
    FROM word w GROUP BY 1, 2, 3, 4, 5
  )
  INSERT INTO cdp_data.consent_state AS s (identifier_id, customer_id, purpose_id, channel, from_at,
    refused_at, explicit_at, explicit_until, implied_at, implied_until)
  SELECT x.* FROM (
    SELECT m.identifier_id, m.customer_id, m.purpose_id, m.channel, m.from_at, m.refused_at, m.explicit_at, m.explicit_until, m.implied_at, m.implied_until
    FROM summed m
    UNION ALL
    -- Records of the future stand beside a row that says what is in force, if only that it is nothing: it is what is locked.
    SELECT DISTINCT m.identifier_id, m.customer_id, m.purpose_id, m.channel, '-infinity'::timestamptz,
      NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz
    FROM summed m WHERE m.from_at > '-infinity'
      AND NOT EXISTS (SELECT FROM summed b WHERE (b.identifier_id, b.purpose_id, b.channel, b.from_at) = (m.identifier_id, m.purpose_id, m.channel, '-infinity'))
  ) x
  ORDER BY x.purpose_id, x.channel, x.identifier_id, x.from_at
  ON CONFLICT ON CONSTRAINT consent_state_pkey DO UPDATE SET
    refused_at = greatest(s.refused_at, excluded.refused_at),
    explicit_at = greatest(s.explicit_at, excluded.explicit_at),
    explicit_until = CASE WHEN s.explicit_at = excluded.explicit_at THEN least(s.explicit_until, excluded.explicit_until)
      WHEN s.explicit_at > excluded.explicit_at OR excluded.explicit_at IS NULL THEN s.explicit_until ELSE excluded.explicit_until END,
    implied_at = greatest(s.implied_at, excluded.implied_at),
    implied_until = CASE WHEN s.implied_at = excluded.implied_at THEN least(s.implied_until, excluded.implied_until)
      WHEN s.implied_at > excluded.implied_at OR excluded.implied_at IS NULL THEN s.implied_until ELSE excluded.implied_until END;
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_add_state(bigint[], timestamptz) IS
'Adds new rows of cdp_data.consent to the summaries. at is the moment of writing: what takes effect later stands in a row of its own. Two writers of one summary wait for each other; neither loses the other''s record.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_remake_state(identifier_ids bigint[], purpose_ids smallint[], channels text[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  IF coalesce(cardinality(identifier_ids), 0) = 0 THEN
    RETURN;
  END IF;
  INSERT INTO cdp_data.consent_state (identifier_id, customer_id, purpose_id, channel)
  SELECT u.identifier_id, i.customer_id, u.purpose_id, u.channel
  FROM (SELECT DISTINCT * FROM unnest(identifier_ids, purpose_ids, channels) u (identifier_id, purpose_id, channel)) u
    JOIN cdp_data.identifier i USING (identifier_id)
  ORDER BY u.purpose_id, u.channel COLLATE "C", u.identifier_id
  ON CONFLICT ON CONSTRAINT consent_state_pkey DO NOTHING;
  PERFORM FROM cdp_data.consent_state s JOIN unnest(identifier_ids, purpose_ids, channels) u (identifier_id, purpose_id, channel)
    ON (s.purpose_id, s.channel, s.identifier_id) = (u.purpose_id, u.channel, u.identifier_id)
  WHERE s.from_at = '-infinity' ORDER BY s.purpose_id, s.channel, s.identifier_id FOR UPDATE OF s;
  DELETE FROM cdp_data.consent_state s USING unnest(identifier_ids, purpose_ids, channels) u (identifier_id, purpose_id, channel)
  WHERE (s.purpose_id, s.channel, s.identifier_id) = (u.purpose_id, u.channel, u.identifier_id) AND s.from_at > '-infinity';
  UPDATE cdp_data.consent_state s
  SET refused_at = NULL, explicit_at = NULL, explicit_until = NULL, implied_at = NULL, implied_until = NULL
  FROM unnest(identifier_ids, purpose_ids, channels) u (identifier_id, purpose_id, channel)
  WHERE (s.purpose_id, s.channel, s.identifier_id, s.from_at) = (u.purpose_id, u.channel, u.identifier_id, '-infinity');
  PERFORM cdp_internal.consent_add_state(array_agg(c.consent_id), at)
  FROM (SELECT DISTINCT * FROM unnest(identifier_ids, purpose_ids, channels) u (identifier_id, purpose_id, channel)) u
    JOIN cdp_data.consent_in_force c ON (c.identifier_id, c.purpose_id, c.channel) = (u.identifier_id, u.purpose_id, u.channel);
  DELETE FROM cdp_data.consent_state s USING unnest(identifier_ids, purpose_ids, channels) u (identifier_id, purpose_id, channel)
  WHERE (s.purpose_id, s.channel, s.identifier_id) = (u.purpose_id, u.channel, u.identifier_id) AND s.from_at = '-infinity'
    AND num_nonnulls(s.refused_at, s.explicit_at, s.implied_at) = 0
    AND NOT EXISTS (SELECT FROM cdp_data.consent_state f WHERE (f.purpose_id, f.channel, f.identifier_id) = (s.purpose_id, s.channel, s.identifier_id) AND f.from_at > '-infinity');
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_remake_state(bigint[], smallint[], text[], timestamptz) IS
'Makes the summaries of these identifiers, purposes and channels (parallel lists) anew from the rows of the ledger that are in force.';

CREATE OR REPLACE FUNCTION cdp_internal.consent_fold_due(at timestamptz DEFAULT clock_timestamp()) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  due record;
BEGIN
  SELECT array_agg(s.identifier_id) AS ids, array_agg(s.purpose_id) AS purposes, array_agg(s.channel) AS channels, array_agg(DISTINCT s.customer_id) AS homes INTO due
  FROM (SELECT DISTINCT f.identifier_id, f.purpose_id, f.channel, f.customer_id FROM cdp_data.consent_state f WHERE f.from_at > '-infinity' AND f.from_at <= at) s;
  IF due.ids IS NULL THEN
    RETURN 0;
  END IF;
  PERFORM cdp_internal.consent_remake_state(due.ids, due.purposes, due.channels, at);
  -- The moment at which they began is no longer written down, so the feed tells it.
  PERFORM cdp_internal.feed_write(due.homes, 'consent');
  RETURN cardinality(due.ids);
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_fold_due(timestamptz) IS
'Brings records of the future that have begun by now into the summaries of what is in force. Readers count them from their moment on, folded or not. Returns how many summaries.';

CREATE OR REPLACE FUNCTION cdp.rebuild_consent_state() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  n bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.outbox_close();
  LOCK TABLE cdp_data.consent_state IN SHARE ROW EXCLUSIVE MODE;
  DELETE FROM cdp_data.consent_state s WHERE s.identifier_id > 0; -- what the touches of erased people keep is in no ledger
  PERFORM cdp_internal.consent_add_state(array_agg(c.consent_id), clock_timestamp()) FROM cdp_data.consent_in_force c WHERE c.identifier_id IS NOT NULL;
  SELECT count(*) INTO n FROM cdp_data.consent_state;
  PERFORM cdp_internal.feed_write(NULL, 'consent');
  PERFORM cdp_internal.outbox_recheck(NULL);
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp.rebuild_consent_state() IS
'Makes all summaries of consent anew from the ledger; writers of consent wait meanwhile, readers do not. For a damaged table only: the summaries are exact without it. Returns how many rows there are. Needs the rights of the tables'' owner.';
