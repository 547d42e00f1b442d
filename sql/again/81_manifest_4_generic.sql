-- Connector room, built-in manifests that fit many sources: JSON over REST, CSV over HTTP.
CREATE OR REPLACE FUNCTION cdp_internal.connector_rest_json() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN $manifest${
  "connector": "rest_json", "version": 1, "title": "REST with JSON",
  "description": "One list of JSON records by pages (page, page_size), with an id each and a bearer token or none. What is otherwise takes a manifest of its own: copy this one and change it.",
  "base_url": "$config.base_url", "tz": "UTC",
  "config": {
    "base_url": {"type": "url", "required": true, "description": "https://api.example.com, with a path or without."},
    "resource": {"type": "text", "required": true, "description": "Name of the list: orders is asked as /orders."},
    "page_size": {"type": "integer", "default": 100, "description": "Records a page."}
  },
  "secrets": {"token": {"required": false, "description": "Bearer token; without it none is sent."}},
  "auth": {"kind": "header", "headers": {"authorization": "Bearer $secret.token"}},
  "errors": [{"http": [429, 503], "do": "retry", "max": 5, "honor": "retry-after"}, {"http": "5xx", "do": "retry", "max": 3}, {"http": [401, 403], "do": "config"}],
  "streams": {
    "records": {"title": "Records", "probe": true, "path": "/$config.resource",
      "query": {"page_size": "$config.page_size"},
      "cursor": {"kind": "page", "send": "query.page", "start": 1, "end": "empty_page", "size": 1},
      "records": ["$[*]", "$.data[*]", "$.items[*]", "$.results[*]", "$.records[*]"], "key": ["id"], "every": "1 h"}
  }
}$manifest$::jsonb;
COMMENT ON FUNCTION cdp_internal.connector_rest_json() IS
'The built-in manifest rest_json: pages until one is empty; records under data, items, results or records, or the list itself.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_csv_http() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN $manifest${
  "connector": "csv_http", "version": 1, "title": "CSV over HTTP",
  "description": "A file of CSV (RFC 4180, UTF-8, a header) with a bearer token or none. A line that is there twice counts once.",
  "base_url": "$config.base_url", "tz": "UTC",
  "config": {
    "base_url": {"type": "url", "required": true, "description": "https://files.example.com/exports, without the name of the file."},
    "file": {"type": "text", "required": true, "description": "Name of the file: orders.csv."}
  },
  "secrets": {"token": {"required": false, "description": "Bearer token; without it none is sent."}},
  "auth": {"kind": "header", "headers": {"authorization": "Bearer $secret.token"}},
  "errors": [{"http": [429, "5xx"], "do": "retry", "max": 3, "honor": "retry-after"}, {"http": [401, 403], "do": "config"}],
  "streams": {
    "lines": {"title": "Lines of the file", "probe": true, "path": "/$config.file", "headers": {"accept": "text/csv"},
      "response": "csv", "csv": {"delimiter": ",", "header": true},
      "records": "$[*]", "every": "1 day"}
  }
}$manifest$::jsonb;
COMMENT ON FUNCTION cdp_internal.connector_csv_http() IS
'The built-in manifest csv_http: the lines of one file; their keys are digests of them.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_webhook() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN $manifest${
  "connector": "webhook", "version": 1, "title": "Webhook",
  "description": "Where messages of the outbox are posted to: cdp.deliver_to(). Signed as Standard Webhooks say where a signing key is set, with a bearer token where one is. Nothing is pulled from it.",
  "docs": "https://www.standardwebhooks.com",
  "base_url": "$config.base_url", "tz": "UTC",
  "config": {
    "base_url": {"type": "url", "required": true, "description": "https://hooks.example.com, with a path or without."},
    "path": {"type": "text", "required": true, "description": "The rest of the address: inbox is posted to as /inbox."}
  },
  "secrets": {"token": {"required": false, "description": "Bearer token; without it none is sent."},
    "signing_key": {"required": false, "description": "Key of the signature: base64, whsec_ before it or not; without it nothing is signed."}},
  "auth": {"kind": "hmac", "key": "$secret.signing_key", "message": ["$timestamp", "$body"], "join": ".", "algorithm": "sha256", "encoding": "base64",
    "signature": {"header": "webhook-signature", "prefix": "v1,"}, "timestamp": {"header": "webhook-timestamp"}, "headers": {"authorization": "Bearer $secret.token"}},
  "errors": [{"http": [408, 425, 429, "5xx"], "do": "retry", "honor": "retry-after"}, {"http": [401, 403], "do": "config"}],
  "streams": {
    "messages": {"title": "Messages", "deliver": true, "method": "POST", "path": "/$config.path", "records": "$"}
  }
}$manifest$::jsonb;
COMMENT ON FUNCTION cdp_internal.connector_webhook() IS
'The built-in manifest webhook: an address that messages of the outbox are posted to.';
