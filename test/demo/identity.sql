-- Who is who: the three lists of people are loaded after the events, and what that changes is shown. Arguments: timezone.
CREATE TEMP VIEW seen AS
SELECT count(DISTINCT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), t.customer_id, t.identifier_id)) AS customers
FROM cdp_data.touchpoint t;
CREATE TEMP TABLE before AS SELECT r.label, r.model, r.value FROM cdp.attribution(models => '{last,markov}') r;
SELECT customers AS customers_before FROM seen \gset
BEGIN;
SELECT cdp.add_source('wecom', :'timezone', 'wecom', 'Contacts of the shop''s WeCom') AS source,
  cdp.add_source('newsletter', :'timezone', 'email', 'Subscribers of the shop''s newsletter') AS source \gset
SELECT format('   cdp.load_customers(''%s'', ''demo.%s''): %s records, %s links, %s refused', v.source, v.list, l.inserted, l.links, l.links_rejected)
FROM (VALUES (1, 'shop', 'accounts'), (2, 'wecom', 'contacts'), (3, 'newsletter', 'subscribers')) AS v (n, source, list)
  CROSS JOIN LATERAL cdp.load_customers(v.source, ('demo.' || v.list)::regclass) l ORDER BY v.n;
COMMIT;
ANALYZE;
SELECT format('   the customers of the events: %s before, %s after', to_char(:customers_before, 'FM999,999,999'), to_char(customers, 'FM999,999,999')) FROM seen;
SELECT format('   %s accounts stay apart from others with their phone (%s)', count(DISTINCT r.a_id), r.reason)
FROM cdp_bi.link_rejected r WHERE r.a_type = 'user_id' GROUP BY r.reason;
-- One of them whom all three know, by two addresses; anybody when so few were made that there is none.
SELECT coalesce((SELECT min(a.user_id) FROM demo.accounts a JOIN demo.subscribers s ON lower(s.email) = 'hello.' || a.email
    JOIN demo.contacts c ON right(c.phone, 7) = replace(right(a.phone, 8), ' ', '')
  WHERE s.phone IS NOT NULL AND cdp.customer_of('email', s.email) = cdp.customer_of('external_userid', c.external_userid)
    AND cdp.customer_of('email', s.email) = cdp.customer_of('user_id', a.user_id)), (SELECT min(user_id) FROM demo.accounts)) AS user_id \gset
\echo
\echo '   why one of them is one: SELECT * FROM cdp.explain_identity(cdp.customer_of(''user_id'', ''':user_id'''));'
\pset tuples_only off
\pset format aligned
\pset footer off
SELECT e.step, e.identifier_type AS identifier, e.value, coalesce(e.linked_type, '') AS "linked with", e.how
FROM cdp.explain_identity(cdp.customer_of('user_id', :'user_id')) e;
\echo '   what that changes: money by the last touch and by Markov chains, before and after'
SELECT b.label AS channel, to_char(max(b.value) FILTER (WHERE b.model = 'last'), '999,999,990') AS "last before", to_char(max(a.value) FILTER (WHERE b.model = 'last'), '999,999,990') AS "last after",
  to_char(max(b.value) FILTER (WHERE b.model = 'markov'), '9,999,999,990') AS "markov before", to_char(max(a.value) FILTER (WHERE b.model = 'markov'), '9,999,999,990') AS "markov after"
FROM before b JOIN cdp.attribution(models => '{last,markov}') a USING (label, model)
GROUP BY b.label ORDER BY max(abs(a.value - b.value)) DESC, b.label LIMIT 6;
