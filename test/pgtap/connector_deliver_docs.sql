-- Every SQL block of docs/delivery.md can be typed as it stands, in order; the page has every option; bad input is refused; nothing is pulled from a webhook.
SELECT plan(7);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/delivery.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT concat_ws(' ', destination, connection, enabled, batch, waiting, dead_letters) FROM cdp_bi.delivery), 'crm crm t 100 1 0', 'docs/delivery.md runs');
SELECT throws_ok($$SELECT cdp.deliver_to('crm', 'crm', '{"batch": 0}')$$, '23514', NULL, 'a batch of none');
SELECT throws_ok($$SELECT cdp.deliver_to('crm', 'crm', '{"batch": "many"}')$$, '22023', 'batch and max_per_minute are whole numbers', 'a batch that is no number');
SELECT throws_ok($$SELECT cdp.deliver_to('nobody', 'crm')$$, '22023', 'unknown destination "nobody"', 'an unknown destination');
SELECT cdp.add_source('pulled');
SELECT cdp.create_connection('pulled', 'rest_json', '{"base_url": "https://api.example.com", "resource": "orders"}', 'pulled');
SELECT throws_ok($$SELECT cdp.deliver_to('crm', 'pulled')$$, '22023', 'connection "pulled" is not made to deliver', 'a connection that only pulls');
SELECT is_empty($$SELECT s.* FROM cdp_data.connection c CROSS JOIN LATERAL cdp_internal.sync_streams(c.connection_id, NULL, now()) s WHERE c.name = 'crm'$$, 'a webhook is never pulled');
-- The known answer of the specification (standardwebhooks.com, "Signature scheme").
SELECT is((SELECT cdp_internal.known_inject('{"method": "POST", "https": true, "host": "x", "target": "/", "body": "{\"test\": 2432232314}", "headers": {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek"},
  "auth": {"hmac": {"algorithm": "sha256", "encoding": "base64", "key": "${secret.k}", "key_is_base64": true, "message": "msg_p5jXN8AQM9LWM0D4loKWxJek.${timestamp}.${body}", "signature": {"header": "webhook-signature", "prefix": "v1,"}}}}',
  '{"secret.k": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}', to_timestamp(1614265330), decode(repeat('00', 16), 'hex')) #>> '{headers,webhook-signature *}'), 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', 'a known signature');
SELECT * FROM finish();
