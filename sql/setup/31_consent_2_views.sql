-- Governance room, consent: the register of processing and the state of consent, as a data protection officer shows them.

-- step: again: consent views
CREATE OR REPLACE VIEW cdp_bi.processing_record WITH (security_invoker = true) AS
  SELECT p.name AS purpose, p.description, p.legal_basis, p.rule, p.is_messaging, p.controller, p.contact, p.data_subjects, p.data_categories, p.recipients,
    (SELECT string_agg(d.destination, ', ' ORDER BY d.destination) FROM cdp_data.destination d WHERE d.purpose = p.name) AS destinations,
    p.transfers, p.retention, p.security_measures, p.assessment,
    (SELECT string_agg(n.language || ' ' || n.version, ', ' ORDER BY n.language, n.valid_from, n.version) FROM cdp_data.notice n WHERE n.purpose_id = p.purpose_id) AS notices,
    p.updated_at,
    ARRAY(SELECT v.name FROM (VALUES ('controller', p.controller), ('contact', p.contact), ('data_subjects', p.data_subjects), ('data_categories', p.data_categories),
      ('recipients', p.recipients), ('retention', p.retention), ('security_measures', p.security_measures)) v (name, value) WHERE coalesce(v.value, '') = '') AS missing
  FROM cdp_data.purpose_all p;
COMMENT ON VIEW cdp_bi.processing_record IS 'The record of processing activities (GDPR Art. 30), one row per purpose: legal basis, the switch of its gate, who, whose data, which, for whom, where to, how long; the destinations of the outbox and the notices that belong to it; missing: what of the record is still empty.';
CREATE OR REPLACE VIEW cdp_bi.consent_summary WITH (security_invoker = true) AS
  SELECT p.name AS purpose, p.rule, s.channel, x.state, count(*) AS identifiers
  FROM cdp_data.consent_state s JOIN cdp_data.purpose_all p USING (purpose_id)
    CROSS JOIN LATERAL cdp_internal.consent_word(s.refused_at, s.explicit_at, s.explicit_until, s.implied_at, s.implied_until, now()) AS x (state)
  WHERE s.from_at <= now() AND x.state <> 'unknown'
  GROUP BY p.name, p.rule, s.channel, x.state;
COMMENT ON VIEW cdp_bi.consent_summary IS 'How many identifiers (not customers) are granted, refused or expired now, by purpose and channel ('''': every channel). Who was never asked is in no row.';
CREATE OR REPLACE VIEW cdp_bi.consent_expiring WITH (security_invoker = true) AS
  SELECT p.name AS purpose, s.channel, s.customer_id, s.explicit_until AS expires_at
  FROM cdp_data.consent_state s JOIN cdp_data.purpose_all p USING (purpose_id)
  WHERE s.explicit_until < 'infinity' AND s.explicit_until > now() AND s.explicit_until <= now() + interval '90 days'
    AND (s.refused_at IS NULL OR s.refused_at < s.explicit_at);
COMMENT ON VIEW cdp_bi.consent_expiring IS 'Explicit grants that run out within 90 days, so that people can be asked again. customer_id is the home of the identifier; no identifier is shown.';
CREATE OR REPLACE VIEW cdp_bi.consent_day WITH (security_invoker = true) AS
  SELECT (c.recorded_at AT TIME ZONE f.timezone)::date AS day, p.name AS purpose, c.channel, c.status, c.explicit, s.name AS source, count(*) AS records,
    count(*) FILTER (WHERE c.notice_hash IS NULL) AS without_notice
  FROM cdp_data.consent c CROSS JOIN cdp_data.setting f JOIN cdp_data.source s USING (source_id) LEFT JOIN cdp_data.purpose_all p ON p.purpose_id = c.purpose_id
  GROUP BY 1, 2, 3, 4, 5, 6;
COMMENT ON VIEW cdp_bi.consent_day IS 'Records of the ledger of consent by the day on which they were recorded (reporting time zone), whether in force or not; how many of them name no text that was shown. Counts only.';

-- step: again: grants of consent views
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.processing_record')
FROM unnest(array['admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector']) AS t (template);
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.consent_summary')
FROM unnest(array['admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector']) AS t (template);
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.consent_expiring')
FROM unnest(array['admin', 'marketer', 'privacy']) AS t (template);
SELECT cdp_internal.declare_grant('privacy', 'SELECT', 'TABLE', 'cdp_bi.consent_day');
