-- Governance room, access: who is kept to some sources, and people under masks.

-- step: source_right
CREATE TABLE IF NOT EXISTS cdp_data.source_right (
  role_name text COLLATE "C" NOT NULL,
  source_id integer NOT NULL REFERENCES cdp_data.source,
  PRIMARY KEY (role_name, source_id)
);
COMMENT ON TABLE cdp_data.source_right IS 'Roles that see some sources only, one row for each. A role without a row sees all that it may read. Written by cdp.restrict_to_sources(). Names, so that a dump restores anywhere.';
CREATE TABLE IF NOT EXISTS cdp_data.source_mixed (
  table_name text COLLATE "C" PRIMARY KEY
);
COMMENT ON TABLE cdp_data.source_mixed IS 'Tables whose rows are made from several sources, so that roles kept to some sources see none of them. Declared by the rooms.';
-- No member of the extension in it: a policy that needs one would vanish with DROP EXTENSION ... CASCADE.
CREATE OR REPLACE FUNCTION cdp_data.sources_of(role_name text) RETURNS integer[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Whoever is a member of a restricted role is restricted with it, whatever else he is a member of. So is who logged in
  -- as one: SET ROLE to a part that he also has must not lift it. A login that inherits nothing (a pool's, which becomes
  -- somebody with SET ROLE) is bound by the role that it takes; superusers are members of all and bound by none.
  RETURN (
    SELECT array_agg(DISTINCT r.source_id ORDER BY r.source_id) FROM cdp_data.source_right r
    WHERE EXISTS (
      SELECT FROM (VALUES (sources_of.role_name, 'member'), (session_user::text, 'usage')) AS w (who, way)
        JOIN pg_roles p ON p.rolname = w.who AND NOT p.rolsuper
      WHERE w.who = r.role_name OR CASE WHEN to_regrole(quote_ident(r.role_name)) IS NOT NULL THEN pg_has_role(w.who, r.role_name, w.way) END));
END
$$;
COMMENT ON FUNCTION cdp_data.sources_of(text) IS 'Numbers of the sources that the session is kept to while it acts as a role: those of every restricted role that this one is or is a member of, and of every one that the login is or inherits from; NULL: all sources, and for superusers.';

-- step: again: masked views
-- With the rights of their owner, who may read values: these two and cdp_bi.attribution_day are the only such views. security_barrier keeps
-- every filter of the reader above the mask. Roles that are kept to some sources see nobody: people are not of a source.
CREATE OR REPLACE VIEW cdp_bi.identifier_masked WITH (security_barrier = true) AS
  SELECT i.identifier_id, i.customer_id, t.name AS identifier_type, cdp.mask_identifier(t.normaliser, i.value) AS masked, i.state, i.first_seen, i.last_seen
  FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
  WHERE (SELECT cdp_data.sources_of(current_user::text)) IS NULL;
COMMENT ON VIEW cdp_bi.identifier_masked IS 'Identifiers under masks (l***@e***.com, +86 138****5678, ab****yz). identifier_id is the token for equality joins: the same value of a type always has the same number, and nobody can make it from a guessed value. customer_id is the home customer; cdp_internal.root_of() gives the root.';
CREATE OR REPLACE VIEW cdp_bi.customer_masked WITH (security_barrier = true) AS
  SELECT p.customer_id, cdp.mask_name(p.full_name) AS full_name, cdp.mask_name(p.nickname) AS nickname, p.birth_year, p.gender,
    p.country, p.region, p.city, p.membership_level, p.lifecycle_stage, p.registered_at, p.first_seen, p.last_seen,
    ARRAY(SELECT cdp.mask_identifier(t.normaliser, i.value) FROM cdp_internal.customer_places(p.customer_id) l CROSS JOIN LATERAL (
        SELECT x.identifier_id, x.type_id, x.value FROM cdp_data.identifier x WHERE l.moved_id IS NULL AND x.customer_id = l.home_id
          AND NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = x.identifier_id)
        UNION ALL
        SELECT x.identifier_id, x.type_id, x.value FROM cdp_data.identifier x WHERE x.identifier_id = l.moved_id) i
      JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
      WHERE t.normaliser = 'email' ORDER BY i.identifier_id) AS emails,
    ARRAY(SELECT cdp.mask_identifier(t.normaliser, i.value) FROM cdp_internal.customer_places(p.customer_id) l CROSS JOIN LATERAL (
        SELECT x.identifier_id, x.type_id, x.value FROM cdp_data.identifier x WHERE l.moved_id IS NULL AND x.customer_id = l.home_id
          AND NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = x.identifier_id)
        UNION ALL
        SELECT x.identifier_id, x.type_id, x.value FROM cdp_data.identifier x WHERE x.identifier_id = l.moved_id) i
      JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
      WHERE t.normaliser = 'phone' ORDER BY i.identifier_id) AS phones
  FROM cdp_data.profile p
  WHERE (SELECT cdp_data.sources_of(current_user::text)) IS NULL;
COMMENT ON VIEW cdp_bi.customer_masked IS 'Customers (roots) with names, e-mail addresses and phone numbers under masks and what names nobody. As of the last cdp.refresh_profiles(); addresses and phones as of now.';

-- step: again: access grants
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_data.source_right'),
  cdp_internal.declare_grant(t.template, 'EXECUTE', 'FUNCTION', 'cdp_data.sources_of(text)')
FROM unnest(array['admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector', 'reader']) AS t (template);
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', v.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template), unnest(array['cdp_bi.identifier_masked', 'cdp_bi.customer_masked']) AS v (name);

-- step: again: personal data of access
SELECT cdp_internal.declare_personal_data('governance', 'cdp_data.' || v.t, '*', 'other', NULL, 'keep', v.note)
FROM (VALUES ('source_right', 'names of roles'), ('source_mixed', 'names of tables')) AS v (t, note);

-- step: again: mixed sources
SELECT cdp_internal.declare_mixed_sources('cdp_data.profile');
