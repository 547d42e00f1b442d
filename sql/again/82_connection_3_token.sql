-- Connector room, connections: the one token of an app that all sessions use. See src/connector/connection/token.c.

CREATE OR REPLACE FUNCTION cdp_internal.token_get(app bytea)
RETURNS TABLE (generation bigint, envelope text, renew_at timestamptz, expires_at timestamptz, failed_at timestamptz, retry_at timestamptz, refused boolean, failure text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT t.generation, t.envelope, t.renew_at, t.expires_at, t.failed_at, t.retry_at, t.refused, t.failure FROM cdp_data.connection_token t WHERE t.app = token_get.app;
END
$$;
COMMENT ON FUNCTION cdp_internal.token_get(bytea) IS
'The sealed token of an app and what became of the last attempt to get one, for src/connector/connection/token.c; no row when nobody asked yet. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.token_put(app bytea, connection_id integer, seen bigint, envelope text, renew_at timestamptz, expires_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  -- A fetch that ran while the connection was retired leaves nothing: who retires holds the row until it is over.
  PERFORM FROM cdp_data.connection c WHERE c.connection_id = token_put.connection_id AND c.state <> 'retired' FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO cdp_data.connection_token AS t (app, connection_id, envelope, renew_at, expires_at)
  VALUES (token_put.app, token_put.connection_id, token_put.envelope, token_put.renew_at, token_put.expires_at)
  ON CONFLICT ON CONSTRAINT connection_token_pkey DO UPDATE
  SET generation = DEFAULT, connection_id = excluded.connection_id, envelope = excluded.envelope, renew_at = excluded.renew_at, expires_at = excluded.expires_at,
    fetched_at = clock_timestamp(), failures = 0, failed_at = NULL, retry_at = NULL, refused = false, failure = NULL
  -- Compare and swap: who fetched beside us and was quicker keeps his.
  WHERE t.generation = token_put.seen
  RETURNING t.generation INTO n;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.token_put(bytea, integer, bigint, text, timestamptz, timestamptz) IS
'Stores the sealed token of an app if the row still has the generation that was seen (0: there was none), for src/connector/connection/token.c. Returns the new generation; NULL when somebody else stored one, or the connection is retired. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.token_failed(app bytea, connection_id integer, refused boolean, failure text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  later timestamptz;
BEGIN
  PERFORM FROM cdp_data.connection c WHERE c.connection_id = token_failed.connection_id AND c.state <> 'retired' FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO cdp_data.connection_token AS t (app, connection_id, failures, failed_at, refused, failure, retry_at)
  VALUES (token_failed.app, token_failed.connection_id, token_failed.refused::integer, clock_timestamp(), token_failed.refused, token_failed.failure,
    CASE WHEN token_failed.refused THEN clock_timestamp() + interval '1 minute' END)
  ON CONFLICT ON CONSTRAINT connection_token_pkey DO UPDATE
  SET connection_id = excluded.connection_id, failed_at = excluded.failed_at, refused = excluded.refused, failure = excluded.failure,
    failures = t.failures + excluded.failures,
    retry_at = CASE WHEN excluded.refused THEN excluded.failed_at + least(interval '1 hour', interval '1 minute' * 2 ^ least(t.failures, 10)) END
  RETURNING t.retry_at INTO later;
  RETURN later;
END
$$;
COMMENT ON FUNCTION cdp_internal.token_failed(bytea, integer, boolean, text) IS
'Notes that the other system gave no token, for src/connector/connection/token.c: refused (a person must look at the secret) or not to be had. failure is a code or some words, nothing secret. Returns when it may be asked again after a refusal: 1 minute later, twice as long each time, up to 1 hour; NULL otherwise. Needs the rights of the tables'' owner.';

CREATE OR REPLACE PROCEDURE cdp_internal.known_token(
  connection text, secret text, token text, seconds integer, wait_ms integer, answer text, failed bigint, again boolean,
  INOUT outcome text DEFAULT NULL, INOUT generation bigint DEFAULT NULL, INOUT fetched boolean DEFAULT NULL, INOUT same boolean DEFAULT NULL, INOUT held boolean DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'cdp_known_token';
COMMENT ON PROCEDURE cdp_internal.known_token(text, text, text, integer, integer, text, bigint, boolean, text, bigint, boolean, boolean, boolean) IS
'For tests: asks for the token of an app of the host known.example with a secret of a connection; instead of another system answers what is given, after wait_ms: a token that holds so many seconds (answer ready), refused, unavailable, or an error. failed is the generation of the token that did not serve (0: none), again asks in spite of a refusal. outcome: ready, refused or unavailable; generation: of the token; fetched: this call asked; same: its token is the one given; held: the session held a snapshot or a transaction''s number while it asked. Commits before; no token is returned. For members of the connection''s owner and the owner of the tables. Errors: as cdp_internal.probe_secret(), 2D000 in a transaction block.';
