-- Governance room, consent: what a privacy officer should look at, as findings of cdp.health().

CREATE OR REPLACE FUNCTION cdp_internal.health_of_consent()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.consent_state') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'error', 'consent_guard', format('%s may %s rows of the ledger of consent', string_agg(DISTINCT quote_ident(pg_get_userbyid(a.grantee)), ', '), lower(string_agg(DISTINCT a.privilege_type, ', '))),
    'CALL cdp.setup(); takes it from the owner again; REVOKE it from others, and ask who granted it'
  FROM pg_class c, aclexplode(c.relacl) a
  WHERE c.oid = 'cdp_data.consent'::regclass AND a.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE') HAVING count(*) > 0;
  RETURN QUERY
  SELECT 'warning', 'destination_purpose', format('destination %s has %s', quote_ident(d.destination), CASE WHEN d.purpose IS NULL THEN 'no purpose' ELSE format('the unknown purpose "%s"', d.purpose) END),
    format('The outbox takes no message for it: UPDATE cdp_data.destination SET purpose = ... WHERE destination = %L;', d.destination)
  FROM cdp_data.destination d WHERE d.enabled AND NOT EXISTS (SELECT FROM cdp_data.purpose_all p WHERE p.name = d.purpose);
  RETURN QUERY
  SELECT 'warning', 'purpose_without_notice', format('people have consented to "%s", and no text is kept that they were shown', p.name),
    format('SELECT cdp.add_notice(%L, version, text); and name it in what you record', p.name)
  FROM cdp_data.purpose_all p
  WHERE p.rule = 'opt_in' AND NOT EXISTS (SELECT FROM cdp_data.notice n WHERE n.purpose_id = p.purpose_id)
    AND EXISTS (SELECT FROM cdp_data.consent_state s WHERE s.purpose_id = p.purpose_id AND s.explicit_at IS NOT NULL);
  RETURN QUERY
  SELECT 'info', 'consent_expires', format('%s explicit grants to "%s" run out within 30 days, the first at %s', count(*), p.name, min(s.explicit_until)),
    'Ask these people again in time: SELECT * FROM cdp_bi.consent_expiring;'
  FROM cdp_data.consent_state s JOIN cdp_data.purpose_all p USING (purpose_id)
  WHERE s.explicit_until < 'infinity' AND s.explicit_until > now() AND s.explicit_until <= now() + interval '30 days' GROUP BY p.name;
  RETURN QUERY
  SELECT 'warning', 'consent_not_folded', format('%s records of consent began more than a day ago and still stand beside their summary', count(*)), 'They count all the same. CALL cdp.maintain(); and see that it runs daily'
  FROM cdp_data.consent_state s WHERE s.from_at > '-infinity' AND s.from_at < now() - interval '25 hours' HAVING count(*) > 0;
  RETURN QUERY
  SELECT 'warning', 'unknown_purpose', format('%s names the unknown purpose "%s"', x.what, p), 'Make it with cdp.set_purpose(), or say anew with cdp.allow_purposes(): until then it allows nothing'
  FROM (
    SELECT format('attribute "%s"', a.name) AS what, a.allowed_purposes AS names FROM cdp_data.attribute a
    UNION ALL SELECT format('kind "%s"', k.name), k.allowed_purposes FROM cdp_data.touch_kind k
    UNION ALL SELECT format('property "%s" of kind %s', r.key, r.kind_id), r.allowed_purposes FROM cdp_data.property_rule r) x CROSS JOIN LATERAL unnest(x.names) p
  WHERE NOT EXISTS (SELECT FROM cdp_data.purpose_all a WHERE a.name = p);
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_consent() IS
'Findings of cdp.health() about consent: who may change the ledger, destinations without a purpose, purposes without a notice, grants that run out. Numbers only.';
