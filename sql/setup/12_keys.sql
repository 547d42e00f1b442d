-- Core room: who may use keys, and how many records of erased people were refused.

-- step: key_right
CREATE TABLE IF NOT EXISTS cdp_data.key_right_digest (nothing integer CHECK (false));
COMMENT ON TABLE cdp_data.key_right_digest IS 'Always empty. Who may SELECT here may compute keyed digests and encrypt with the keys of the key file.';
CREATE TABLE IF NOT EXISTS cdp_data.key_right_decrypt (nothing integer CHECK (false));
COMMENT ON TABLE cdp_data.key_right_decrypt IS 'Always empty. Who may SELECT here may decrypt with the keys of the key file, without leaving a trace; others read by cdp.reveal() and cdp.decrypt_text().';
CREATE TABLE IF NOT EXISTS cdp_data.key_right_audit (nothing integer CHECK (false));
COMMENT ON TABLE cdp_data.key_right_audit IS 'Always empty. Who may SELECT here may compute the links and seals of the audit, and so verify it.';

-- step: suppression_refusal
CREATE TABLE IF NOT EXISTS cdp_data.suppression_refusal (
  source_id integer NOT NULL,
  day date NOT NULL,
  n bigint NOT NULL CHECK (n > 0)
);
COMMENT ON TABLE cdp_data.suppression_refusal IS 'Records of erased people that came again and were refused: counts only, to be added up. Nothing of the records is kept.';
COMMENT ON COLUMN cdp_data.suppression_refusal.day IS 'UTC day on which they came.';

-- step: again: refusals
CREATE OR REPLACE VIEW cdp_bi.suppression_refusal WITH (security_invoker = true) AS
  SELECT s.name AS source, r.day, sum(r.n)::bigint AS refused
  FROM cdp_data.suppression_refusal r JOIN cdp_data.source s USING (source_id) GROUP BY s.name, r.day;
COMMENT ON VIEW cdp_bi.suppression_refusal IS 'How many records of erased people each source brought again on which UTC day; all were refused.';

-- step: again: key_grants
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_data.key_right_digest') FROM unnest(array['privacy', 'connector']) AS t (template);
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_data.key_right_audit') FROM unnest(array['admin', 'privacy']) AS t (template);
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', r.name)
FROM unnest(array['admin', 'privacy']) AS t (template), unnest(array['cdp_data.suppression_refusal', 'cdp_bi.suppression_refusal']) AS r (name);
