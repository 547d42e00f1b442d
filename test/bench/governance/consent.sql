-- Data of consent_lookup_vs_join: psql -v customers=1000000. A customer has one identifier, one to four records about
-- marketing by e-mail over two years (the same records for both sides, a third of them refusals, some grants with an end)
-- and one about analytics. Nobody is merged, so that the latest row of a customer is a fair answer.
CREATE EXTENSION pg_cdp;
CALL cdp.setup();
SELECT cdp.add_source('shop');
SELECT setseed(0.5);
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, i FROM generate_series(1, :customers) i;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) SELECT i, 2, 'p' || i || '@example.org', i FROM generate_series(1, :customers) i;
-- As they come in: by time, not by customer. No two of a customer at one time.
INSERT INTO cdp_data.consent (identifier_id, customer_id, effective_at, expires_at, source_id, purpose_id, explicit, status, channel, legal_basis, evidence)
SELECT x.i, x.i, x.at, CASE WHEN x.r < 0.66 AND x.e < 0.2 THEN x.at + interval '400 days' END, 1, 3, true,
  CASE WHEN x.r < 0.66 THEN 'granted' WHEN x.r < 0.8 THEN 'denied' ELSE 'withdrawn' END, 'email', 'consent', '{"form": "footer", "method": "double opt-in"}'
FROM (SELECT i, timestamptz '2024-11-01 00:00:00+00' + (k * 180 + random() * 170) * interval '1 day' AS at, random() AS r, random() AS e
      FROM generate_series(1, :customers) i, LATERAL generate_series(0, (i * 7 % 4)) k) x
ORDER BY x.at;
INSERT INTO cdp_data.consent (identifier_id, customer_id, effective_at, source_id, purpose_id, explicit, status, legal_basis)
SELECT i, i, timestamptz '2025-01-01 00:00:00+00' + i * interval '1 second', 1, 1, false, CASE WHEN i % 50 = 0 THEN 'denied' ELSE 'granted' END, 'legitimate_interests' FROM generate_series(1, :customers) i;
SELECT cdp.rebuild_consent_state() AS summaries;
-- The peer gets the index that serves it best.
CREATE INDEX peer_idx ON cdp_data.consent (purpose_id, customer_id, effective_at DESC) INCLUDE (channel, status, expires_at);
VACUUM (ANALYZE) cdp_data.consent, cdp_data.consent_state, cdp_data.customer, cdp_data.identifier;
