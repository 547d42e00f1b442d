-- Core room: views that unite the built-in lists with the user's own, and the registry of personal data.

-- step: again: lists
CREATE OR REPLACE VIEW cdp_data.channel_all WITH (security_invoker = true) AS
  SELECT c.channel_id, c.name, c.channel_group, c.is_direct, false AS is_builtin FROM cdp_data.channel c
  UNION ALL
  SELECT b.channel_id, b.name, b.channel_group, b.is_direct, true FROM cdp.channel_builtin() b
  WHERE NOT EXISTS (SELECT FROM cdp_data.channel c WHERE c.channel_id = b.channel_id);
COMMENT ON VIEW cdp_data.channel_all IS 'All channels: your own and the built-in ones that you did not replace.';
CREATE OR REPLACE VIEW cdp_data.channel_rule_all WITH (security_invoker = true) AS
  SELECT r.rule_id, r.priority, r.source, r.medium, r.campaign, r.referrer_host, r.add_way, r.qr_scene, r.channel_id, false AS is_builtin
  FROM cdp_data.channel_rule r
  UNION ALL
  SELECT b.rule_id, b.priority, b.source, b.medium, b.campaign, b.referrer_host, b.add_way, b.qr_scene, b.channel_id, true
  FROM cdp.channel_rule_builtin() b;
COMMENT ON VIEW cdp_data.channel_rule_all IS 'All rules from origin to channel. The first match by priority, own before built-in, rule_id counts.';
CREATE OR REPLACE VIEW cdp_data.touch_kind_all WITH (security_invoker = true) AS
  SELECT k.kind_id, k.name, k.is_touch, k.is_conversion, k.is_milestone, false AS is_builtin, k.sensitivity, k.allowed_purposes FROM cdp_data.touch_kind k
  UNION ALL
  SELECT b.kind_id, b.name, b.is_touch, b.is_conversion, b.is_milestone, true, 'internal', NULL FROM cdp.touch_kind_builtin() b
  WHERE NOT EXISTS (SELECT FROM cdp_data.touch_kind k WHERE k.kind_id = b.kind_id);
COMMENT ON VIEW cdp_data.touch_kind_all IS 'All kinds of touchpoints: your own and the built-in ones that you did not replace.';
CREATE OR REPLACE VIEW cdp_data.identifier_type_all WITH (security_invoker = true) AS
  SELECT t.type_id, t.name, t.description, false AS is_builtin,
    t.normaliser, t.role, t.priority, t.max_per_customer, t.limit_window, t.supernode_degree, t.pattern FROM cdp_data.identifier_type t
  UNION ALL
  SELECT b.type_id, b.name, b.description, true,
    b.normaliser, b.role, b.priority, b.max_per_customer, b.limit_window, b.supernode_degree, b.pattern FROM cdp.identifier_type_builtin() b
  WHERE NOT EXISTS (SELECT FROM cdp_data.identifier_type t WHERE t.type_id = b.type_id);
COMMENT ON VIEW cdp_data.identifier_type_all IS 'All identifier types: your own and the built-in ones that you did not replace. Columns as in cdp_data.identifier_type.';
CREATE OR REPLACE VIEW cdp_data.identifier_block_all WITH (security_invoker = true) AS
  SELECT k.block_id, k.type_id, k.value, k.pattern, k.note, false AS is_builtin FROM cdp_data.identifier_block k WHERE k.is_active
  UNION ALL
  SELECT b.block_id, b.type_id, b.value, b.pattern, b.note, true FROM cdp.identifier_block_builtin() b
  WHERE NOT EXISTS (SELECT FROM cdp_data.identifier_block k WHERE k.block_id = b.block_id);
COMMENT ON VIEW cdp_data.identifier_block_all IS 'All values and patterns that never identify anybody: your own active ones and the built-in ones that you did not replace.';
CREATE OR REPLACE VIEW cdp_data.currency_all WITH (security_invoker = true) AS
  SELECT c.code, c.exponent, false AS is_builtin FROM cdp_data.currency c
  UNION ALL
  SELECT b.code, b.exponent, true FROM cdp.currency_builtin() b
  WHERE NOT EXISTS (SELECT FROM cdp_data.currency c WHERE c.code = b.code);
COMMENT ON VIEW cdp_data.currency_all IS 'All currencies with the digits of their minor unit: your own and ISO 4217.';

-- step: again: origin_channel
CREATE OR REPLACE VIEW cdp_bi.origin_channel WITH (security_invoker = true) AS
  SELECT o.origin_id, coalesce(c.channel_id, 99) AS channel_id, coalesce(c.name, 'Other') AS channel, coalesce(c.channel_group, 'Other') AS channel_group
  FROM (
    SELECT g.origin_id, cdp_internal.first_rule((
        SELECT array_agg(array[r.channel_id::text, r.source, r.medium, r.campaign, r.referrer_host, r.add_way, r.qr_scene]
                 ORDER BY r.priority, r.is_builtin, r.rule_id)
        FROM cdp_data.channel_rule_all r),
      g.source, g.medium, g.campaign, g.referrer_host, g.add_way, g.qr_scene) AS channel_id
    FROM cdp_data.origin g
  ) o LEFT JOIN cdp_data.channel_all c ON c.channel_id = coalesce(o.channel_id, 99);
COMMENT ON VIEW cdp_bi.origin_channel IS 'The channel of each origin by the first rule that matches; Other when none does. Follows a change of the rules at once; no touchpoint is rewritten.';

-- step: again: personal_data
SELECT cdp_internal.declare_personal_data('core', v.t, v.c, v.category, v.subject, v.erasure, v.note) FROM (VALUES
  ('cdp_data.identifier', 'value', 'identifier', 'identifier_id', 'delete', 'e-mail addresses, phone numbers, account ids'),
  ('cdp_data.identifier', 'customer_id', 'pseudonym', 'identifier_id', 'delete', NULL),
  ('cdp_data.identifier', 'identifier_id', 'pseudonym', 'identifier_id', 'delete', NULL),
  ('cdp_data.identifier_block', 'value', 'identifier', NULL, 'delete', 'values that must not identify anybody; a test account, a shop''s phone. One that an erasure puts on the suppression list goes'),
  ('cdp_data.identifier_override', 'customer_id', 'pseudonym', 'identifier_id', 'delete', NULL),
  ('cdp_data.identifier_override', 'identifier_id', 'pseudonym', 'identifier_id', 'delete', NULL),
  ('cdp_data.customer', 'customer_id', 'pseudonym', 'customer_id', 'keep', 'an id without identifiers names nobody'),
  ('cdp_data.suppression', 'digest', 'pseudonym', NULL, 'keep', 'keyed digest, needed to refuse the person''s return'),
  ('cdp_data.touchpoint', 'customer_id', 'pseudonym', 'customer_id', 'unlink', 'time, channel and value stay under a fresh id'),
  ('cdp_data.touchpoint', 'identifier_id', 'pseudonym', 'identifier_id', 'unlink', NULL),
  ('cdp_data.touchpoint', 'touchpoint_id', 'pseudonym', 'customer_id', 'keep', 'a number of a row; refunds name it'),
  ('cdp_data.touchpoint', 'properties', 'content', 'customer_id', 'clear', 'free content of the source'),
  ('cdp_data.touchpoint_key', 'source_key', 'identifier', 'touchpoint_id', 'clear', 'keys of source records, sometimes made of names; a random one takes its place'),
  ('cdp_data.touchpoint_key', 'customer_id', 'pseudonym', 'touchpoint_id', 'unlink', NULL),
  ('cdp_data.touchpoint_key', 'touchpoint_id', 'pseudonym', 'touchpoint_id', 'keep', NULL),
  ('cdp_data.touchpoint_retracted', 'customer_id', 'pseudonym', 'customer_id', 'delete', NULL),
  ('cdp_data.touchpoint_retracted', 'identifier_id', 'pseudonym', 'identifier_id', 'delete', NULL),
  ('cdp_data.touchpoint_retracted', 'touchpoint_id', 'pseudonym', 'customer_id', 'delete', NULL),
  ('cdp_data.touchpoint_retracted', 'properties', 'content', 'customer_id', 'delete', NULL),
  ('cdp_data.touchpoint_retracted', 'source_key', 'identifier', 'customer_id', 'delete', NULL),
  ('cdp_data.quarantine', 'original', 'content', NULL, 'delete', 'refused rows as they came; searched by the person''s identifiers'),
  ('cdp_data.outbox', 'payload', 'content', 'customer_id', 'delete', 'messages waiting or sent'),
  ('cdp_data.outbox', 'customer_id', 'pseudonym', 'customer_id', 'delete', NULL),
  ('cdp_data.outbox', 'dedup_key', 'pseudonym', 'customer_id', 'delete', NULL),
  ('cdp_data.outbox', 'last_error', 'content', 'customer_id', 'delete', 'a destination may repeat the message in its answer'),
  ('cdp_data.change_feed', 'customer_id', 'pseudonym', 'customer_id', 'delete', 'ids and times of touches; one row says that the customer was erased'),
  ('cdp_data.origin', 'source', 'other', NULL, 'clear', 'a word of it that is an identifier of the person'),
  ('cdp_data.origin', 'medium', 'other', NULL, 'clear', NULL),
  ('cdp_data.origin', 'campaign', 'other', NULL, 'clear', 'links sent by mail sometimes carry the address'),
  ('cdp_data.origin', 'referrer_host', 'other', NULL, 'clear', NULL),
  ('cdp_data.origin', 'qr_scene', 'pseudonym', NULL, 'clear', 'a scene made for one person would name him'),
  ('cdp_data.origin', 'add_way', 'other', NULL, 'clear', NULL)
) AS v (t, c, category, subject, erasure, note);

-- step: again: grants
SELECT cdp_internal.declare_grant(t.template, 'USAGE', 'SCHEMA', s.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector', 'reader']) AS t (template),
  unnest(array['cdp_data', 'cdp_bi', 'cdp_api']) AS s (name);
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_data.' || r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector']) AS t (template),
  unnest(array['setting', 'source', 'load', 'origin', 'channel', 'channel_rule', 'campaign', 'spend', 'currency', 'currency_rate', 'touch_kind',
    'identifier_type', 'customer', 'identifier_override', 'channel_all', 'channel_rule_all', 'touch_kind_all', 'identifier_type_all', 'currency_all',
    'setup_step', 'role_name', 'personal_data', 'feed_cursor', 'destination']) AS r (name);
-- The error of a job of one's own may repeat a value.
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_data.' || r.name)
FROM unnest(array['admin', 'privacy']) AS t (template), unnest(array['job', 'job_run']) AS r (name);
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.origin_channel')
FROM unnest(array['admin', 'analyst', 'marketer', 'finance', 'privacy', 'connector', 'reader']) AS t (template);
-- Views run with their reader's rights, so who reads cdp_bi needs the lists below it; no fact and no person is among them.
SELECT cdp_internal.declare_grant('reader', 'SELECT', 'TABLE', 'cdp_data.' || r.name)
FROM unnest(array['setting', 'origin', 'channel', 'channel_rule', 'channel_all', 'channel_rule_all', 'campaign', 'spend', 'currency', 'currency_all', 'currency_rate']) AS r (name);
SELECT cdp_internal.declare_grant('admin', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'cdp_data.' || r.name)
FROM unnest(array['source', 'channel', 'channel_rule', 'campaign', 'currency', 'currency_rate', 'touch_kind', 'identifier_type', 'destination']) AS r (name);
SELECT cdp_internal.declare_grant('admin', 'SELECT, UPDATE', 'TABLE', 'cdp_data.setting');
SELECT cdp_internal.declare_grant('admin', 'USAGE', 'SEQUENCE', 'cdp_data.identifier_type_type_id_seq'); -- cdp.add_identifier_type()
-- Blocked values may be phone numbers of people: not for everybody.
SELECT cdp_internal.declare_grant('admin', 'SELECT (block_id, type_id, pattern, is_active, note), INSERT, UPDATE, DELETE', 'TABLE', 'cdp_data.identifier_block');
SELECT cdp_internal.declare_grant('privacy', 'SELECT', 'TABLE', 'cdp_data.' || r.name) FROM unnest(array['identifier_block', 'identifier_block_all']) AS r (name);
SELECT cdp_internal.declare_grant('finance', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'cdp_data.' || r.name)
FROM unnest(array['currency_rate']) AS r (name);
SELECT cdp_internal.declare_grant('privacy', 'SELECT', 'TABLE', 'cdp_data.' || r.name)
FROM unnest(array['identifier', 'touchpoint', 'touchpoint_key', 'touchpoint_retracted', 'quarantine', 'outbox', 'suppression', 'change_feed']) AS r (name);
SELECT cdp_internal.declare_grant(t.template,
  'SELECT (touchpoint_id, customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, flags, kind_id, campaign_id, refers_to, value, currency)',
  'TABLE', 'cdp_data.touchpoint')
FROM unnest(array['admin', 'analyst', 'marketer', 'finance']) AS t (template);

-- step: again: partitions
-- Room for last year's history and the next months, so that loads seldom make partitions themselves.
SELECT cdp_internal.ensure_partitions(now() - make_interval(months => t.partitions_behind), now() + make_interval(months => t.partitions_ahead))
FROM cdp_data.setting t;

-- step: again: jobs
SELECT cdp_internal.declare_job('maintain', 'core', 'CALL cdp.maintain()', '1 day at 03:30',
  'Partitions, retention, trimming, statistics', true);
