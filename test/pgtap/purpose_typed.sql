-- Data that say what they may be used for: a use is refused where it is defined, with the path; kinds that do not allow
-- analytics stay out of attribution; properties pass their kind's list of keys on every road, and what is left out is counted.
SELECT plan(55);
SET client_min_messages = error;
SELECT cdp.add_source('shop');

-- The check itself.
SELECT cdp.allow_purposes('attribute', 'birthday', '{service}', sensitivity => 'sensitive');
SELECT cdp.allow_purposes('kind', 'survey', '{service,personalisation}', sensitivity => 'sensitive');
SELECT cdp.allow_purposes('property', 'purchase', '{analytics}', 'coupon'), cdp.allow_purposes('property', 'purchase', NULL, 'basket'), cdp.allow_purposes('property', 'survey', '{service,analytics}', 'answer');
SELECT is((SELECT sensitivity || allowed_purposes::text || is_builtin FROM cdp_data.attribute_all WHERE name = 'birthday'), 'sensitive{service}false', 'an attribute');
SELECT is((SELECT kind_id || sensitivity || allowed_purposes::text || is_touch FROM cdp_data.touch_kind_all WHERE name = 'survey'), '29sensitive{service,personalisation}true', 'a kind keeps its number');
SELECT results_eq($$SELECT path, code FROM cdp.purpose_check('analytics', '{"attributes": ["city", "birthday", "brthday"], "kinds": ["visit", "survey"],
    "properties": [{"kind": "purchase", "key": "coupon"}, {"kind": "purchase", "key": "basket"}, {"kind": "survey", "key": "answer"}, {"kind": "purchase", "key": "name"}, {"kind": "visit", "key": "any"}]}')$$,
  $$VALUES ('/attributes/1', 'E_PURPOSE'), ('/attributes/2', 'E_UNKNOWN'), ('/kinds/1', 'E_PURPOSE'), ('/properties/2', 'E_PURPOSE'), ('/properties/3', 'E_UNKNOWN')$$, 'each with its path; a property is never freer than its kind');
SELECT is_empty($$SELECT * FROM cdp.purpose_check('service', '{"attributes": ["birthday"], "kinds": ["survey"], "properties": [{"kind": "survey", "key": "answer"}]}')$$, 'for another purpose all of it is allowed');
SELECT is((SELECT message || ': ' || hint FROM cdp.purpose_check('marketing', '{"attributes": ["birthday"]}')), 'attribute "birthday" may not be used for marketing: It may be used for service.', 'in words');
SELECT is((SELECT count(*) FROM cdp.purpose_check('marketing', '{"properties": [{"kind": "purchase", "key": "coupon"}]}')), 1::bigint, 'a property of a free kind');
SELECT throws_ok($$SELECT * FROM cdp.purpose_check('markting', '{}')$$, '22023', NULL, 'an unknown purpose');
SELECT throws_ok($$SELECT * FROM cdp.purpose_check('marketing', '{"attribute": []}')$$, '22023', NULL, 'uses of another shape');
SELECT throws_ok($$SELECT * FROM cdp.purpose_check('marketing', '{"attributes": "city"}')$$, '22023', NULL, 'not a list');
SELECT throws_ok($$SELECT cdp.allow_purposes('attribute', 'city', '{markting}')$$, '22023', NULL, 'a purpose that is none');
SELECT throws_ok($$SELECT cdp.allow_purposes('attribute', 'town', '{marketing}')$$, '22023', NULL, 'an attribute that is none');
SELECT throws_ok($$SELECT cdp.allow_purposes('kind', 'visitt', '{marketing}')$$, '22023', NULL, 'a kind that is none');
SELECT throws_ok($$SELECT cdp.allow_purposes('column', 'x', '{marketing}')$$, '22023', NULL, 'a thing that is none');
SELECT is(cdp_internal.json_pointer('a/b~c'), '/a~1b~0c', 'paths are JSON Pointers');

-- Attribution.
SELECT count(cdp.track('shop', k.kind, jsonb_build_object('user_id', 'u' || i), jsonb_build_object('coupon', 'X', 'name', 'Ann', 'survey' || i, 1), '2026-01-01'::timestamptz + k.n * interval '1 day', NULL,
  CASE k.kind WHEN 'purchase' THEN 10 WHEN 'booking' THEN 5 END, origin => jsonb_build_object('source', k.kind))) AS tracked
FROM generate_series(1, 4) i, (VALUES ('visit', 0), ('survey', 1), ('purchase', 2), ('booking', 3)) k (kind, n);
SELECT is((SELECT count(*) FROM cdp.attribution(models => '{linear}', group_by => 'source') WHERE label = 'survey'), 0::bigint, 'a kind that does not allow analytics is no touch');
SELECT is((SELECT sum(conversions) FROM cdp.attribution(models => '{linear}')), 8::numeric, 'all conversions count');
SELECT cdp.define_attribution_rollup('main', models => '{linear}');
SELECT count(*) AS built FROM cdp.refresh_attribution();
SELECT cdp.allow_purposes('kind', 'booking', '{service}');
SELECT is((SELECT sum(conversions) FROM cdp.attribution(models => '{linear}')), 4::numeric, 'until one kind of them may not be used');
SELECT throws_ok($$SELECT cdp.attribution_rollup_run('main')$$, '55000', NULL, 'a roll-up starts over then');
SELECT count(*) AS built FROM cdp.refresh_attribution();
SELECT is((SELECT sum(conversions) FROM cdp.attribution_rollup('main')), 4::numeric, 'and says the same');
CREATE FUNCTION pg_temp.refused(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
  EXECUTE command;
  RETURN 'not refused';
EXCEPTION WHEN invalid_parameter_value THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN detail;
END $$;
SELECT is(pg_temp.refused($$SELECT * FROM cdp.attribution(conversion_kinds => '{purchase,booking}')$$), 'E_PURPOSE at /conversion_kinds/1', 'named as a conversion');
SELECT is(pg_temp.refused($$SELECT * FROM cdp.attribution(touch_kinds => '{survey}')$$), 'E_PURPOSE at /touch_kinds/0', 'as a touch');
SELECT is(pg_temp.refused($$SELECT * FROM cdp.attribution(milestones => '{survey}')$$), 'E_PURPOSE at /milestones/0', 'as a milestone');
SELECT is(pg_temp.refused($$SELECT cdp.define_attribution_rollup('x', touch_kinds => '{visit,survey}')$$), 'E_PURPOSE at /touch_kinds/1', 'in a roll-up');
SELECT matches(pg_temp.refused($$SELECT * FROM cdp.attribution(lookback_by_kind => '{"survey": "1 day"}')$$), 'E_PURPOSE at /lookback_by_kind', 'in a lookback');

-- Destinations.
SELECT is(pg_temp.refused($$SELECT cdp.add_destination('mail', 'marketing', 'email', '{city,birthday}')$$), 'E_PURPOSE at /attributes/1', 'a destination that would get what it may not');
SELECT lives_ok($$SELECT cdp.add_destination('orders', 'service', attributes => '{city,birthday}')$$, 'one that may');
SELECT is(cdp.outbox_refusal('orders', 'x', NULL, '{"attributes": {"city": "Hangzhou"}}'), NULL, 'what is declared goes');
SELECT is(cdp.outbox_refusal('orders', 'x', NULL, '{"attributes": {"phone/2": 1}}'), 'attribute at /attributes/phone~12 is not declared for the destination', 'what is not does not');
SELECT cdp.add_destination('panel', 'service');
SELECT cdp.allow_purposes('attribute', 'city', '{}');
SELECT is(cdp.outbox_refusal('panel', 'x', NULL, '{"attributes": {"city": "Hangzhou"}}'), 'attribute at /attributes/city may not be used for service', 'nor what the purpose may not use');
SELECT is(cdp.outbox_refusal('panel', 'x', NULL, '{"attributes": {"country": "CN"}, "n": 1}'), NULL, 'others go');
SELECT is(cdp.outbox_refusal('panel', 'x', NULL, '{"attributes": [{"city": "Hangzhou"}]}'), 'attributes at /attributes are no object of names and values', 'nor do they go as a list');
SELECT is(cdp.outbox_refusal('panel', 'x', NULL, '{"attributes": null}'), NULL, 'none is none');

-- A NULL in a list opens nothing.
SELECT throws_ok($$SELECT cdp.add_destination('hole', 'service', attributes => '{country,NULL}')$$, '22004', NULL, 'no NULL among the attributes of a destination');
UPDATE cdp_data.destination SET attributes = '{country,NULL}' WHERE destination = 'panel';
SELECT is(cdp.outbox_refusal('panel', 'x', NULL, '{"attributes": {"country": "CN", "phone": 1}}'), 'attribute at /attributes/phone is not declared for the destination', 'nor does one that came otherwise declare all');
UPDATE cdp_data.attribute SET allowed_purposes = '{marketing,NULL}' WHERE name = 'birthday';
SELECT is((SELECT count(*) FROM cdp.purpose_check('service', '{"attributes": ["birthday"]}')), 1::bigint, 'among the purposes it allows none');
UPDATE cdp_data.destination SET attributes = NULL WHERE destination = 'panel';
SELECT is(cdp.outbox_refusal('panel', 'x', NULL, '{"attributes": {"birthday": 1}}'), 'attribute at /attributes/birthday may not be used for service', 'not for a message either');
SELECT throws_ok($$SELECT cdp.allow_purposes('kind', 'visit', '{service}', 'coupon')$$, '22023', 'only a property has a key', 'who names a key does not mean the kind');
UPDATE cdp_data.attribute SET allowed_purposes = '{service}' WHERE name = 'birthday';

-- Properties: one call, messages, batches of touchpoints and of events.
SELECT is((SELECT string_agg(DISTINCT properties::text, ' ') FROM cdp_data.touchpoint WHERE kind_id = 60), '{"coupon": "X"}', 'cdp.track() keeps what is listed');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint WHERE kind_id = 1 AND properties ? 'name'), 4::bigint, 'of a kind without a list everything');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint WHERE kind_id = 29 AND properties IS NOT NULL), 0::bigint, 'of nothing that is listed nothing');
SELECT results_eq($$SELECT key COLLATE "C", n FROM cdp_bi.property_dropped WHERE source = 'shop' AND kind = 'purchase' ORDER BY 1$$, $$VALUES ('name' COLLATE "C", 4::bigint), ('survey1', 1), ('survey2', 1), ('survey3', 1), ('survey4', 1)$$, 'what is left out is counted by name');
SELECT cdp.ingest('shop', '{"type": "track", "event": "purchase", "userId": "u1", "messageId": "m1", "timestamp": "2026-01-05T00:00:00Z", "properties": {"coupon": "Y", "13800138000": 1, "ann@example.org": 2, "basket": [1]}}') AS ingested;
SELECT is((SELECT properties FROM cdp_data.touchpoint WHERE occurred_at = '2026-01-05 00:00:00Z'), '{"basket": [1], "coupon": "Y"}', 'cdp.ingest(), too');
SELECT is((SELECT n FROM cdp_bi.property_dropped WHERE key = '(other)'), 2::bigint, 'a key that may be somebody is counted without its name');
SELECT cdp.create_staging('public.t');
INSERT INTO t (source_key, occurred_at, identifier_type, identifier, kind, properties) VALUES
  ('1', '2026-01-06', 'user_id', 'u1', 'purchase', '{"coupon": 1, "name": "Ann"}'), ('2', '2026-01-06', 'user_id', 'u1', 'purchase', '[1, 2]'),
  ('3', '2026-01-06', 'user_id', 'u1', 'purchase', '{"name": "Bob"}'), ('4', '2026-01-06', 'user_id', 'u1', 'visit', '{"name": "Cat"}'), ('5', '2026-01-06', 'user_id', 'u1', 'purchase', NULL);
SELECT inserted FROM cdp.load_touchpoints('shop', 't');
SELECT is((SELECT string_agg(coalesce(properties::text, '-'), ' ' ORDER BY k.source_key) FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key IN ('1', '2', '3', '4', '5')), '{"coupon": 1} - - {"name": "Cat"} -', 'a batch of touchpoints');
SELECT is((SELECT unchanged FROM cdp.load_touchpoints('shop', 't')), 5::bigint, 'which comes again unchanged');
SELECT is((SELECT string_agg(key || n, ' ' ORDER BY key) FROM cdp_bi.property_dropped WHERE kind = 'purchase' AND key IN ('name', '(other)')), '(other)4 name8', 'counted each time that it came');
CREATE TABLE e (source_key text, occurred_at text, user_id text, email text, kind text, properties jsonb);
INSERT INTO e VALUES ('e1', '2026-01-07', 'u1', 'u1@example.org', 'purchase', '{"coupon": 7, "email": "u1@example.org"}');
SELECT inserted FROM cdp.load_events('shop', 'e');
SELECT is((SELECT properties::text FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key = 'e1'), '{"coupon": 7}', 'a batch of events');
UPDATE cdp_data.setting SET property_policy = 'listed';
SELECT cdp.track('shop', 'Screen Seen', '{"user_id": "u1"}', '{"name": "Ann"}', '2026-01-08');
SELECT is((SELECT properties::text FROM cdp_data.touchpoint WHERE kind_id = 45), '{"$event": "Screen Seen"}', 'by the policy listed a kind without a list keeps nothing but its own name');
SELECT inserted FROM cdp.load_touchpoints('shop', 't');
SELECT is((SELECT properties FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key = '4'), NULL, 'in batches as well');
SELECT cdp_internal.count_dropped(1, array_agg(1::smallint), array_agg('key' || i), array_agg(1::bigint)) FROM generate_series(1, 3000) i;
SELECT cmp_ok((SELECT count(DISTINCT key) FROM cdp_data.property_dropped), '<=', 1010::bigint, 'nobody fills the list of names');
SELECT is((SELECT sum(n) FROM cdp_data.property_dropped WHERE key LIKE 'key%' OR key = '(other)'), 3005::numeric, 'and none is uncounted');
-- A refused row stands in quarantine as it came, for the part of privacy; retried, the list holds for it, too.
INSERT INTO t (source_key, occurred_at, identifier_type, identifier, kind, properties) VALUES ('6', 'no time', 'user_id', 'u1', 'purchase', '{"coupon": 6, "name": "Dan"}');
SELECT load_id AS refused FROM cdp.load_touchpoints('shop', 't') \gset
SELECT matches((SELECT original::text FROM cdp_data.quarantine WHERE load_id = :refused), 'Dan', 'a refused row keeps what is not listed');
UPDATE cdp_data.quarantine SET original = original || '{"occurred_at": "2026-01-06"}' WHERE load_id = :refused;
SELECT count(*) FROM cdp.retry_quarantine(:refused);
SELECT is((SELECT properties::text FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key = '6'), '{"coupon": 6}', 'retried it loses it');
SELECT is((SELECT string_agg(DISTINCT finding, ' ') FROM cdp.health() WHERE area = 'consent'), NULL, 'all is well');
UPDATE cdp_data.property_rule SET allowed_purposes = '{analitics}' WHERE key = 'coupon';
SELECT is((SELECT detail FROM cdp.health() WHERE area = 'consent'), 'property "coupon" of kind 60 names the unknown purpose "analitics"', 'health tells of a purpose that is none');
SELECT * FROM finish();
