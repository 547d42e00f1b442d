-- Consent of people who are erased: the ledger keeps what was said under a keyed digest, totals of attribution stay whatever
-- they had said, no load brings anybody back, and who brings the identifier can still have the consent proved.
SELECT plan(26);
SET client_min_messages = error;
SELECT cdp.add_source('shop'), cdp.add_source('crm');
SELECT cdp.add_notice('marketing', '1', 'May we write to you?');
SELECT count(cdp.track('shop', k.kind, jsonb_build_object('email', 'p' || i || '@example.org', 'user_id', 'u' || i), '{}', '2026-01-01'::timestamptz + i * interval '1 hour' + k.n * interval '1 day', NULL, CASE k.kind WHEN 'purchase' THEN i END))
FROM generate_series(1, 9) i, (VALUES ('visit', 0), ('purchase', 1)) k (kind, n);
SELECT cdp.record_consent('shop', 'analytics', 'denied', customer => cdp.customer_of('email', 'p3@example.org'), evidence => '{"page": "p3 settings"}');
SELECT cdp.create_consent_staging('public.c');
INSERT INTO c (source_key, identifier_type, identifier, purpose, channel, status, effective_at, notice, evidence)
SELECT 'key of p' || i, 'email', 'p' || i || '@example.org', 'marketing', 'email', 'granted', '2026-01-01', 'en 1', jsonb_build_object('form', 'form of p' || i) FROM generate_series(1, 6) i;
SELECT rows_read FROM cdp.load_consents('crm', 'c');
SELECT cdp.define_attribution_rollup('main', models => '{linear}');
SELECT count(*) AS built FROM cdp.refresh_attribution();
CREATE TEMP TABLE before AS SELECT (SELECT jsonb_agg(t) FROM cdp.attribution(models => '{linear}') t) AS report, (SELECT to_jsonb(l) FROM cdp.attribution_left_out() l) AS out;
SELECT is((SELECT out ->> 'conversions' FROM before), '1', 'one conversion is left out');
SELECT ok((cdp.erase_customer(cdp.customer_of('email', 'p3@example.org')) -> 'tables') @> '[{"table": "cdp_data.consent", "action": "digest", "rows": 3}, {"table": "cdp_data.consent_state", "action": "delete", "rows": 3}]', 'who refused is erased: the receipt tells of consent');
SELECT cdp.erase_customer(cdp.customer_of('email', 'p4@example.org')) IS NOT NULL AS erased;
SELECT is((SELECT jsonb_agg(t) FROM cdp.attribution(models => '{linear}') t), (SELECT report FROM before), 'totals are what they were');
SELECT is((SELECT to_jsonb(l) FROM cdp.attribution_left_out() l), (SELECT out FROM before), 'and what is left out, too');
SELECT is((SELECT jsonb_agg(t ORDER BY t) FROM cdp.attribution_rollup('main') t), (SELECT jsonb_agg(t ORDER BY t) FROM cdp.attribution(models => '{linear}') t), 'so with the roll-up');
SELECT is((SELECT count(*) FROM cdp_data.consent WHERE subject_digest IS NOT NULL AND identifier_id IS NULL AND customer_id IS NULL AND source_key IS NULL AND evidence IS NULL), 4::bigint, 'the ledger keeps the rows without the person');
SELECT is((SELECT count(*) FROM cdp_data.consent WHERE subject_digest = sha256('2:p4@example.org')), 0::bigint, 'the digest needs the key');
SELECT is((SELECT string_agg(format('%s %s %s %s %s', purpose, status, notice, erased, evidence), ', ') FROM cdp.consent_history('email', ' P4@Example.org ')), 'marketing granted en 1 t ', 'who brings the address can have it proved');
SELECT is((SELECT evidence ->> 'form' FROM cdp.consent_history('email', 'p5@example.org')), 'form of p5', 'others with the evidence');
SELECT ok((SELECT count(*) FROM cdp_data.audit WHERE action = 'read' AND object = 'consent_history') >= 2, 'and the read is logged');
SELECT is((SELECT string_agg(row(c.*)::text, ' ') ~ 'p[34]' FROM cdp_data.consent c), false, 'nothing of theirs is in the ledger');
SELECT is((SELECT quarantined || ' ' || inserted || ' ' || unchanged FROM cdp.load_consents('crm', 'c')), '2 0 4', 'the same load again: they are refused');
SELECT is((SELECT string_agg(source || ' ' || refused, ', ') FROM cdp_bi.suppression_refusal), 'crm 2', 'and counted');
SELECT cdp.revert_load(min(load_id)), cdp.revert_load(max(load_id)) FROM cdp_data.load WHERE kind = 'consents';
SELECT cdp.retry_load(min(load_id)) FROM cdp_data.load WHERE kind = 'consents';
SELECT is((SELECT count(*) FROM cdp.consented_customers('marketing', 'email')), 4::bigint, 'a load taken back and put in again resurrects nobody');
SELECT is((SELECT count(*) || ' ' || bool_and(NOT cdp.consent_allowed(s.customer_id, 'analytics') AND (SELECT count(*) FROM cdp_data.touchpoint t WHERE t.customer_id = s.customer_id) = 2) FROM cdp_data.consent_state s WHERE s.identifier_id < 0), '1 true', 'one unlinked customer stays out, by a single bit');
SELECT ok(cdp.rebuild_consent_state() > 4, 'summaries made anew');
SELECT is((SELECT jsonb_agg(t) FROM cdp.attribution(models => '{linear}') t), (SELECT report FROM before), 'keep it');
-- The roll-up too, refreshed and built anew; no journey of the one who refused is in it.
SELECT count(*) AS refreshed FROM cdp.refresh_attribution();
CREATE TEMP TABLE outside AS SELECT customer_id FROM cdp_data.consent_state WHERE identifier_id < 0 AND refused_at IS NOT NULL;
SELECT is((SELECT count(*) FROM cdp_data.attribution_journey JOIN outside USING (customer_id)), 0::bigint, 'the roll-up keeps no journey of who had refused');
SELECT is((SELECT jsonb_agg(t ORDER BY t) FROM cdp.attribution_rollup('main') t), (SELECT jsonb_agg(t ORDER BY t) FROM jsonb_array_elements((SELECT report FROM before)) t), 'and says what it said');
SELECT is((SELECT count(*) FROM cdp.attribution_credit(models => '{linear}') JOIN outside USING (customer_id)), 0::bigint, 'nor is any credit theirs');
UPDATE cdp_data.attribution_rollup SET basis = NULL;
SELECT count(*) AS rebuilt FROM cdp.refresh_attribution();
SELECT is((SELECT jsonb_agg(t ORDER BY t) FROM cdp.attribution_rollup('main') t), (SELECT jsonb_agg(t ORDER BY t) FROM jsonb_array_elements((SELECT report FROM before)) t), 'built anew as well');
-- A rule that comes later meets what they had said: under opt_in nobody asked counts, switched back it is as before.
SELECT cdp.record_consent('shop', 'analytics', 'denied', customer => cdp.customer_of('email', 'p7@example.org')), cdp.record_consent('shop', 'analytics', 'granted', customer => cdp.customer_of('email', 'p8@example.org'));
CREATE TEMP TABLE later AS SELECT (SELECT jsonb_agg(t) FROM cdp.attribution(models => '{linear}') t) AS report;
SELECT cdp.set_purpose('analytics', rule => 'opt_in');
SELECT is((SELECT sum(conversions) FROM cdp.attribution(models => '{linear}')), 1::numeric, 'under opt_in one counts');
SELECT cdp.erase_customer(cdp.customer_of('email', 'p8@example.org')) IS NOT NULL AND cdp.erase_customer(cdp.customer_of('email', 'p7@example.org')) IS NOT NULL AS erased;
SELECT is((SELECT sum(conversions) FROM cdp.attribution(models => '{linear}')), 1::numeric, 'erased, too');
SELECT cdp.set_purpose('analytics', rule => 'opt_out');
SELECT is((SELECT jsonb_agg(t) FROM cdp.attribution(models => '{linear}') t), (SELECT report FROM later), 'who refused while the rule was another stays out under the next one');
SELECT cdp.set_purpose('analytics', rule => 'off');
SELECT is((SELECT sum(conversions) FROM cdp.attribution(models => '{linear}')), 9::numeric, 'switched off, all count');
SELECT cdp.record_consent('shop', 'analytics', 'denied', customer => cdp.customer_of('email', 'p9@example.org')), cdp.erase_customer(cdp.customer_of('email', 'p9@example.org')), cdp.set_purpose('analytics', rule => 'opt_out');
SELECT is((SELECT sum(conversions) FROM cdp.attribution(models => '{linear}')), 6::numeric, 'who refused and was erased while it was off stays out');
SELECT * FROM finish();
