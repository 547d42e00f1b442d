-- The grammar of manifests: each rule broken once gives its path and its code, many at once give all, hints name what is near, hostile and huge ones.
BEGIN;
SELECT no_plan();

CREATE FUNCTION pg_temp.good() RETURNS jsonb LANGUAGE sql AS $$SELECT '{
  "connector": "shop", "version": 3, "title": "Shop", "description": "A shop.", "example": false, "docs": "https://example.com", "channel": "Store", "base_url": "https://api.example.com/v1", "tz": "Asia/Shanghai",
  "config": {"shop": {"type": "text", "required": true}, "areas": {"type": "list"}, "base": {"type": "url"}},
  "secrets": {"key": {"required": true}},
  "auth": {"kind": "login_token", "request": {"method": "POST", "path": "/token", "body": {"id": "$config.shop", "key": "$secret.key"}}, "token": "$.token", "ttl": "$.ttl", "slack_s": 60, "key": ["shop", "key"], "inject": {"header": "authorization", "prefix": "Bearer "}},
  "ok": {"path": "$.code", "equals": [0, null]},
  "errors": [{"code": [7], "do": "retry", "max": 3, "honor": "retry-after"}, {"http": [429, "5xx"], "do": "park", "until": "hour"}],
  "quota": [{"scope": "api", "per": "1 min", "max": 100}],
  "streams": {
    "areas": {"path": "/areas", "records": "$.areas[*]", "key": ["id"]},
    "days": {"method": "POST", "path": "/areas/$partition.area/days", "query": {"shop": "$config.shop"}, "headers": {"x-shop": "$config.shop"}, "body": {"from": "$window.from", "to": "$window.to_epoch", "limit": "$size"},
      "partition": {"from": "areas", "fields": {"area": "id"}},
      "window": {"unit": "day", "end": "last_day", "max_days": 30, "history_days": 180, "history_from": "2020-01-01", "ready_at": "08:00", "lookback_days": 3, "final_after_days": 3, "format": "date"},
      "cursor": {"send": "body.page.next", "take": "$.next", "more": "$.more", "size": 50, "resumable": false},
      "records": ["$.list[*]"], "unpack": ["detail"], "key": ["$partition.area", "day"], "ref_date": {"path": "day", "format": "date"}, "skip": [{"path": "area", "equals": "all"}],
      "metrics": {"orders": "sum", "revenue": {"path": "detail.sum", "kind": "sum", "as": "revenue", "scale": 0.01, "currency": "CNY"}}, "dimensions": {"area": "$partition.area"}, "not_ready": {"path": "$.late", "equals": true, "all_zero": true},
      "touchpoint": {"kind": "order", "occurred_at": "at", "identifiers": {"phone": "phone"}, "origin": {"source": "shop", "add_way": {"path": "way", "map": {"1": "qr"}, "default": "unknown"}}, "value": {"path": "sum", "scale": 0.01}, "currency": "CNY",
        "properties": {"area": "$partition.area"}, "refers_to": "ref", "when": [{"path": "status", "equals": [20, 30]}]},
      "content": {"kind": "post", "id": "id", "created_at": {"path": "at", "format": "iso"}}, "pii": ["phone"], "every": "1 day", "quota": [{"per": "1 day", "max": 5}]},
    "file": {"path": "/file.csv", "response": "csv", "csv": {"delimiter": ";", "header": false, "columns": ["a", "b"]}, "records": "$[*]"}
  }}'::jsonb$$;
SELECT is_empty($$SELECT * FROM cdp.connector_problems(pg_temp.good())$$, 'a manifest that uses the whole grammar is good');

-- What is changed in the good manifest: the value at a place (NULL takes the place away), and what must be told, path and code, in order of the text.
CREATE FUNCTION pg_temp.found(place text, value jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(path || ' ' || code, E'\n' ORDER BY path COLLATE "C", code COLLATE "C"), '')
  FROM cdp.connector_problems(CASE WHEN value IS NULL THEN pg_temp.good() #- place::text[] ELSE jsonb_set(pg_temp.good(), place::text[], value) END)$$;
CREATE TEMP TABLE bad (n integer GENERATED ALWAYS AS IDENTITY, place text, value jsonb, expected text);
INSERT INTO bad (place, value, expected) VALUES
  -- the manifest itself
  ('{connector}', NULL, 'connector missing_key'), ('{connector}', '"Shop"', 'connector bad_name'), ('{connector}', '5', 'connector wrong_type'), ('{version}', '0', 'version out_of_range'), ('{version}', '1.5', 'version out_of_range'),
  ('{version}', '"1"', 'version wrong_type'), ('{titel}', '"x"', 'titel unknown_key'), ('{title}', '""', 'title out_of_range'), ('{title}', '"a\u0001"', 'title bad_text'), ('{example}', '"yes"', 'example wrong_type'),
  ('{tz}', '"CET"', 'tz bad_zone'), ('{tz}', '"Mars/Olympus"', 'tz bad_zone'), ('{tz}', '"../../etc/passwd"', 'tz bad_zone'),
  -- addresses
  ('{base_url}', NULL, 'base_url missing_key'), ('{base_url}', '"ftp://x"', 'base_url bad_url'), ('{base_url}', '"https://"', 'base_url bad_url'), ('{base_url}', '"https://u:p@x.com"', 'base_url bad_url'), ('{base_url}', '"https://x.com:0"', 'base_url bad_url'),
  ('{base_url}', '"https://x.com:99999"', 'base_url bad_url'), ('{base_url}', '"https://x.com?a=1"', 'base_url bad_url'), ('{base_url}', '"https://x.com/a/../b"', 'base_url bad_url'), ('{base_url}', '"https://x.com/ a"', 'base_url bad_url'),
  ('{base_url}', '"https://bücher.example"', 'base_url bad_url'), ('{base_url}', '"https://$config.shop.example.com"', 'base_url bad_url'), ('{base_url}', '"$config.shop"', 'base_url unknown_reference'),
  ('{base_url}', '"$config.nothing"', 'base_url unknown_reference'), ('{base_url}', '"$config.base/v1"', 'base_url bad_url'), ('{base_url}', '"$config.base"', ''),
  -- config and secrets
  ('{config}', '[]', 'auth.key[0] unknown_reference
auth.request.body.id unknown_reference
config wrong_type
streams.days.headers.x-shop unknown_reference
streams.days.query.shop unknown_reference'), ('{config,Shop}', '{"type": "text"}', 'config.Shop bad_name'), ('{config,shop,type}', NULL, 'config.shop.type missing_key'), ('{config,shop,type}', '"string"', 'config.shop.type unknown_word'),
  ('{config,shop,requird}', 'true', 'config.shop.requird unknown_key'), ('{secrets,key,value}', '"s3cret"', 'secrets.key.value unknown_key'),
  -- auth
  ('{auth,kind}', NULL, 'auth.kind missing_key'), ('{auth,kind}', '"token"', 'auth.kind unknown_word'), ('{auth,kind}', '7', 'auth.kind wrong_type'), ('{auth}', '"none"', 'auth wrong_type'), ('{auth}', '{"kind": "none", "token": "$.x"}', 'auth.token unknown_key'),
  ('{auth,token}', NULL, 'auth.token missing_key'), ('{auth,token}', '"access_token"', 'auth.token bad_path'), ('{auth,ttl}', NULL, 'auth missing_key'), ('{auth,ttl_s}', '60', 'auth conflict'), ('{auth,inject}', '{}', 'auth.inject missing_key'),
  ('{auth,inject,query}', '"t"', 'auth.inject conflict'), ('{auth,inject}', '{"query": "t", "prefix": "x"}', 'auth.inject.prefix conflict'), ('{auth,inject,header}', '"host"', 'auth.inject.header bad_header'), ('{auth,key}', '["shop", "nothing"]', 'auth.key[1] unknown_reference'),
  ('{auth,request,body,key}', '"$secret.kee"', 'auth.request.body.key unknown_reference'), ('{auth,request,path}', '"/token?key=$secret.key"', 'auth.request.path bad_url
auth.request.path secret_outside_auth'), ('{auth,request,body,x}', '"$partition"', 'auth.request.body.x unknown_variable'), ('{auth,request,method}', '"GET"', 'auth.request.body conflict'),
  ('{auth}', '{"kind": "header"}', 'auth missing_key'), ('{auth}', '{"kind": "header", "headers": {"cookie": "a"}}', 'auth.headers.cookie bad_header'), ('{auth}', '{"kind": "header", "headers": {"x-key": "$secret.key"}, "query": {"k": "$config.shop"}}', ''),
  ('{auth}', '{"kind": "basic", "username": "u"}', 'auth.password missing_key'), ('{auth}', '{"kind": "basic", "username": "$config.shop", "password": "$secret.key"}', ''),
  ('{auth}', '{"kind": "oauth_client", "path": "token", "client_id": "$config.shop", "client_secret": "$secret.key"}', 'auth.path bad_url'),
  ('{auth}', '{"kind": "oauth_client", "path": "/token", "grant": "refresh_token", "client_id": "a", "client_secret": "$secret.key"}', 'auth.refresh_token missing_key'),
  ('{auth}', '{"kind": "oauth_client", "path": "/token", "grant": "password", "client_id": "a", "client_secret": "$secret.key"}', 'auth.grant unknown_word'),
  ('{auth}', '{"kind": "hmac", "key": "$secret.key", "message": ["$method", "$path", "$timestamp", "$nonce"], "signature": {"header": "x-sign"}, "timestamp": {"header": "x-time", "unit": "ms"}, "nonce": {"query": "nonce"}}', ''),
  ('{auth}', '{"kind": "hmac", "key": "$secret.key", "message": ["$path", "$timestamp", "$nonce"], "signature": {"header": "x-sign"}}', 'auth.nonce missing_key
auth.timestamp missing_key'),
  ('{auth}', '{"kind": "hmac", "key": "$secret.key", "message": ["$secret.key"], "signature": {"header": "x-sign"}}', 'auth.message[0] secret_outside_auth'), ('{auth}', '{"kind": "hmac", "key": "$secret.key", "message": [], "signature": {"header": "x"}, "algorithm": "md5"}', 'auth.algorithm unknown_word
auth.message out_of_range'),
  -- answers
  ('{ok}', '{"equals": 0}', 'ok missing_key'), ('{ok,equals}', NULL, 'ok.equals missing_key'), ('{ok,equals}', '[{}]', 'ok.equals[0] wrong_type'), ('{errors}', '{}', 'errors wrong_type'), ('{errors}', '[]', 'errors out_of_range'), ('{errors,0,do}', NULL, 'errors[0].do missing_key'),
  ('{errors,0,do}', '"retri"', 'errors[0].do unknown_word
errors[0].honor conflict
errors[0].max conflict'), ('{errors,0,code}', NULL, 'errors[0] missing_key'), ('{errors,0,until}', '"hour"', 'errors[0].until conflict'), ('{errors,1,max}', '2', 'errors[1].max conflict'), ('{errors,1,http}', '[99]', 'errors[1].http[0] bad_status'),
  ('{errors,1,http}', '"6xx"', 'errors[1].http bad_status'), ('{errors,1,until}', '"header"', 'errors[1].honor missing_key'), ('{errors,0}', '{"code": 1, "do": "skip_partition", "wait_s": 5}', 'errors[0].wait_s conflict'),
  ('{quota,0,per}', '"1 week"', 'quota[0].per bad_span'), ('{quota,0,per}', '"0 s"', 'quota[0].per bad_span'), ('{quota,0,max}', '0', 'quota[0].max out_of_range'), ('{quota,0,scope}', '"ip"', 'quota[0].scope unknown_word'),
  -- streams: requests
  ('{streams}', '{}', 'streams out_of_range'), ('{streams}', NULL, 'streams missing_key'), ('{streams,Areas}', '{"path": "/", "records": "$"}', 'streams.Areas bad_name'), ('{streams,areas}', '[]', 'streams.areas wrong_type
streams.days.partition.from unknown_reference'), ('{streams,areas,path}', NULL, 'streams.areas.path missing_key'), ('{streams,areas,path}', '"areas"', 'streams.areas.path bad_url'), ('{streams,areas,path}', '"/a/../b"', 'streams.areas.path bad_url'),
  ('{streams,areas,path}', '"/a%2e"', 'streams.areas.path bad_url'), ('{streams,areas,path}', '"/$partition"', 'streams.areas.path unknown_reference'), ('{streams,areas,method}', '"PUT"', 'streams.areas.method unknown_word'), ('{streams,areas,body}', '{}', 'streams.areas.body conflict'),
  ('{streams,days,form}', '{"a": "b"}', 'streams.days conflict
streams.days.cursor.send conflict'), ('{streams,days,body}', '"$config.shop"', 'streams.days.body wrong_type'), ('{streams,days,headers}', '{"x y": "a"}', 'streams.days.headers["x y"] bad_header'), ('{streams,days,headers}', '{"Content-Length": "5"}', 'streams.days.headers.Content-Length bad_header'),
  -- templates
  ('{streams,days,query,shop}', '"$config.shpo"', 'streams.days.query.shop unknown_reference'), ('{streams,days,query,shop}', '"$secret.key"', 'streams.days.query.shop secret_outside_auth'), ('{streams,days,query,shop}', '"$token"', 'streams.days.query.shop unknown_variable'),
  ('{streams,days,query,shop}', '"$today"', 'streams.days.query.shop bad_template'), ('{streams,days,query,shop}', '"5 $"', 'streams.days.query.shop bad_template'), ('{streams,days,query,shop}', '"5 $$"', ''), ('{streams,days,query,shop}', '"${config.shop}x"', ''),
  ('{streams,days,query,shop}', '"${config.shop"', 'streams.days.query.shop bad_template'), ('{streams,days,query,shop}', '"$window.start"', 'streams.days.query.shop bad_template'), ('{streams,days,query,shop}', '"$window.from_stardate"', 'streams.days.query.shop bad_template'),
  ('{streams,days,query,shop}', '"$config"', 'streams.days.query.shop bad_template'), ('{streams,days,query,shop}', '"$partition"', 'streams.days.query.shop unknown_reference'), ('{streams,days,query,shop}', '"$partition.id"', 'streams.days.query.shop unknown_reference'),
  ('{streams,days,body,deep}', '[{"a": ["$secret.key"]}]', 'streams.days.body.deep[0].a[0] secret_outside_auth'), ('{streams,days,body,$x}', '1', 'streams.days.body["$x"] bad_template'), ('{streams,days,body,l}', '{"$each": "$partition.area", "b": 1}', 'streams.days.body.l["$each"] conflict'),
  ('{streams,days,body,l}', '{"$each": {"id": "$partition.area"}}', ''), ('{streams,areas,query}', '{"l": {"$each": "x"}}', 'streams.areas.query.l["$each"] unknown_reference'), ('{streams,areas,query}', '{"a": "$window.from", "b": "$cursor", "c": "$size"}', 'streams.areas.query.a unknown_reference
streams.areas.query.b unknown_reference
streams.areas.query.c unknown_reference'),
  -- partitions, windows
  ('{streams,days,partition,from}', '"area"', 'streams.days.partition.from unknown_reference'), ('{streams,days,partition,from}', '"days"', 'streams.days.partition.from circle'), ('{streams,areas,partition}', '{"from": "days"}', 'streams.areas.partition.from circle
streams.days.partition.from circle'), ('{streams,days,partition,config}', '"areas"', 'streams.days.partition conflict'), ('{streams,days,partition,value}', '"id"', 'streams.days.partition.value conflict'),
  ('{streams,areas,partition}', '{"config": "shop"}', 'streams.areas.partition.config unknown_reference'), ('{streams,areas,partition}', '{"config": "areas", "chunk": 0}', 'streams.areas.partition.chunk out_of_range'), ('{streams,areas,partition}', '{"values": [1, 2], "value": "id"}', 'streams.areas.partition.value conflict'),
  ('{streams,areas,partition}', '{}', 'streams.areas.partition missing_key'), ('{streams,days,window,max_days}', NULL, 'streams.days.window.max_days missing_key'), ('{streams,days,window,unit}', '"week"', 'streams.days.window.unit unknown_word'), ('{streams,days,window,ready_at}', '"8:00"', 'streams.days.window.ready_at bad_clock'),
  ('{streams,days,window,ready_at}', '"24:00"', 'streams.days.window.ready_at bad_clock'), ('{streams,days,window,history_from}', '"2020-02-30"', 'streams.days.window.history_from bad_day'), ('{streams,days,window,format}', '"dd.mm"', 'streams.days.window.format unknown_word'), ('{streams,days,window,end}', '"last"', 'streams.days.window.end unknown_word'),
  -- cursors
  ('{streams,days,cursor,kind}', '"next"', 'streams.days.cursor.kind unknown_word'), ('{streams,days,cursor,send}', NULL, 'streams.days.cursor.send missing_key'), ('{streams,days,cursor,take}', NULL, 'streams.days.cursor.take missing_key'), ('{streams,days,cursor,takes}', '"$.next"', 'streams.days.cursor.takes unknown_key'),
  ('{streams,days,cursor,take}', '"next"', 'streams.days.cursor.take bad_path'), ('{streams,days,cursor,send}', '"cursor"', 'streams.days.cursor.send bad_place'), ('{streams,days,cursor,send}', '"body.a[0]"', 'streams.days.cursor.send bad_place'), ('{streams,days,cursor,send}', '"query.a.b"', 'streams.days.cursor.send bad_place'),
  ('{streams,days,cursor,send}', '"form.a"', 'streams.days.cursor.send conflict'), ('{streams,areas,cursor}', '{"send": "body.x", "take": "$.x"}', 'streams.areas.cursor.send conflict'), ('{streams,days,cursor,ending}', '"$.e"', 'streams.days.cursor conflict'), ('{streams,days,cursor,total}', '"$.t"', 'streams.days.cursor.total conflict'),
  ('{streams,areas,cursor}', '{"kind": "page", "send": "query.p"}', 'streams.areas.cursor.size missing_key'), ('{streams,areas,cursor}', '{"kind": "offset", "send": "query.p", "size": 5, "start": "a"}', 'streams.areas.cursor.start out_of_range'), ('{streams,areas,cursor}', '{"kind": "link", "take": "$.x"}', 'streams.areas.cursor.take conflict'),
  ('{streams,areas,cursor}', '{"kind": "url"}', 'streams.areas.cursor.take missing_key'),
  -- records and what they mean
  ('{streams,days,records}', NULL, 'streams.days.records missing_key'), ('{streams,days,records}', '"list[*]"', 'streams.days.records bad_path'), ('{streams,days,records}', '"$.list[x]"', 'streams.days.records bad_path'), ('{streams,days,records}', '"$.list[*"', 'streams.days.records bad_path'), ('{streams,days,records}', '"$..a"', 'streams.days.records bad_path'),
  ('{streams,days,records}', '"$.a b"', 'streams.days.records bad_path'), ('{streams,days,records}', '"$[\"a b\"].list[0][*]"', ''), ('{streams,days,records}', '"$.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"', 'streams.days.records bad_path'), ('{streams,days,key}', '[]', 'streams.days.key out_of_range'), ('{streams,days,key}', '["$secret.key"]', 'streams.days.key[0] bad_path'),
  ('{streams,days,key}', '["$partition.x"]', 'streams.days.key[0] unknown_reference'), ('{streams,areas,key}', '["$window.from"]', 'streams.areas.key[0] unknown_reference'), ('{streams,days,key}', '["$config.nothing"]', 'streams.days.key[0] unknown_reference'), ('{streams,days,unpack}', '["a[*]"]', 'streams.days.unpack[0] bad_path'),
  ('{streams,days,ref_date}', NULL, 'streams.days.ref_date missing_key'), ('{streams,days,ref_date,format}', '"epoc"', 'streams.days.ref_date.format unknown_word'), ('{streams,days,skip,0,equals}', NULL, 'streams.days.skip[0] missing_key'), ('{streams,days,metrics}', NULL, 'streams.days.dimensions conflict
streams.days.not_ready.all_zero conflict'), ('{streams,days,metrics,orders}', '"total"', 'streams.days.metrics.orders unknown_word'), ('{streams,days,metrics,revenue,as}', '"money"', 'streams.days.metrics.revenue.as unknown_word'), ('{streams,days,metrics,revenue,scale}', '-1', 'streams.days.metrics.revenue.scale out_of_range'),
  ('{streams,days,not_ready,equals}', NULL, 'streams.days.not_ready missing_key'), ('{streams,days,not_ready}', '{}', 'streams.days.not_ready missing_key'), ('{streams,days,touchpoint,kind}', NULL, 'streams.days.touchpoint.kind missing_key'), ('{streams,days,touchpoint,identifiers}', NULL, 'streams.days.touchpoint.identifiers missing_key'),
  ('{streams,days,touchpoint,origin,utm}', '"x"', 'streams.days.touchpoint.origin.utm unknown_key'), ('{streams,days,touchpoint,when,0,differs}', '1', 'streams.days.touchpoint.when[0] conflict'), ('{streams,days,touchpoint}', '[{"kind": "order"}]', 'streams.days.touchpoint[0].identifiers missing_key
streams.days.touchpoint[0].occurred_at missing_key'), ('{streams,days,content,kind}', '"tweet"', 'streams.days.content.kind unknown_word'), ('{streams,days,pii}', '"phone"', 'streams.days.pii wrong_type'),
  ('{streams,days,csv}', '{}', 'streams.days.csv conflict'), ('{streams,file,csv,delimiter}', '";;"', 'streams.file.csv.delimiter out_of_range'), ('{streams,file,csv,delimiter}', '"\""', 'streams.file.csv.delimiter out_of_range'), ('{streams,file,csv,columns}', NULL, 'streams.file.csv.columns missing_key'), ('{streams,days,every}', '"daily"', 'streams.days.every bad_span');
SELECT is(pg_temp.found(place, value), expected, format('%s %s: %s', n, place, coalesce(value::text, 'absent'))) FROM bad ORDER BY n;

-- As a whole.
SELECT is((SELECT string_agg(path || ' ' || code, E'\n') FROM cdp.connector_problems(NULL)), ' wrong_type', 'NULL is a problem');
SELECT is((SELECT string_agg(path || ' ' || code, E'\n') FROM cdp.connector_problems('[]')), ' wrong_type', 'a list is a problem');
SELECT is((SELECT string_agg(path || ' ' || code, E'\n') FROM cdp.connector_problems('5')), ' wrong_type', 'a number is a problem');
SELECT is((SELECT string_agg(path || ' ' || code, E'\n' ORDER BY path) FROM cdp.connector_problems('{}')), E'base_url missing_key\nconnector missing_key\nstreams missing_key\nversion missing_key', 'all problems of an empty one at once');
SELECT is((SELECT hint FROM cdp.connector_problems(jsonb_set(pg_temp.good(), '{streams,days,cursor,takes}', '1'))), 'Did you mean "take"?', 'the nearest key');
SELECT is((SELECT hint FROM cdp.connector_problems(jsonb_set(pg_temp.good(), '{streams,days,partition,from}', '"area"'))), 'Did you mean "areas"?', 'the nearest stream');
SELECT is((SELECT hint FROM cdp.connector_problems(jsonb_set(pg_temp.good(), '{errors,0,do}', '"retri"')) WHERE code = 'unknown_word'), 'Did you mean "retry"?', 'the nearest word');
SELECT is((SELECT hint FROM cdp.connector_problems(jsonb_set(pg_temp.good(), '{streams,days,query,shop}', '"$config.shpo"'))), 'Did you mean "shop"?', 'the nearest entry');
SELECT is((SELECT count(*) FROM cdp.connector_problems(pg_temp.good() || jsonb_build_object('config', (SELECT jsonb_object_agg('X' || i, '{}'::jsonb) FROM generate_series(1, 3000) i)))), 1000::bigint, 'at most 1,000 problems');
SELECT matches((SELECT problem FROM cdp.connector_problems(pg_temp.good() || jsonb_build_object('config', (SELECT jsonb_object_agg('X' || i, '{}'::jsonb) FROM generate_series(1, 3000) i))) OFFSET 999), 'and \d+ more problems$', 'the others are counted');
SELECT is((SELECT string_agg(path || ' ' || code, E'\n') FROM cdp.connector_problems(pg_temp.good() || jsonb_build_object('description', repeat('x', 2000000)))), ' out_of_range', 'a huge one is not read');
SELECT is((SELECT string_agg(code, E'\n') FROM cdp.connector_problems(jsonb_set(pg_temp.good(), '{streams,days,body}', (repeat('{"a":', 60) || '1' || repeat('}', 60))::jsonb))), 'out_of_range', 'a body that is nested too deep');
SELECT is((SELECT path FROM cdp.connector_problems(pg_temp.good() || jsonb_build_object(E'a"b\u0001', 1))), '["a"b?"]', 'a key of strange characters');

-- Your own.
SELECT is(cdp.add_connector(pg_temp.good()), 'shop', 'a connector of your own');
SELECT is((SELECT count(*) FROM cdp_bi.connector WHERE connector = 'shop' AND NOT is_builtin), 3::bigint, 'its streams are listed');
SELECT is(cdp.add_connector(pg_temp.good() || '{"version": 4}'), 'shop', 'a new manifest for it');
SELECT is((SELECT version FROM cdp_data.connector_all WHERE connector = 'shop'), 4, 'holds');
SELECT ok(cdp_internal.connector_known('shop') AND cdp_internal.connector_known('wecom') AND NOT cdp_internal.connector_known('nothing') AND NOT cdp_internal.connector_known(NULL), 'which are known');
SELECT is((SELECT string_agg(concat_ws(' ', kind, name, type, required), E'\n') FROM cdp_internal.connector_needs('shop')), E'config areas list f\nconfig base url f\nconfig shop text t\nsecret key text t', 'what it needs');
SELECT throws_ok($$SELECT cdp.add_connector(pg_temp.good() - 'version')$$, '22023', 'the manifest of the connector is not valid', 'a bad one is refused');
SELECT throws_ok($$SELECT cdp.add_connector(pg_temp.good() || '{"connector": "wecom"}')$$, '42710', 'there is a built-in connector "wecom"', 'a built-in name is refused');
SELECT throws_ok($$SELECT cdp.add_connector(NULL)$$, '22023', NULL, 'NULL is refused');
SELECT throws_ok($$SELECT cdp_internal.connector_request(pg_temp.good() - 'tz' - 'version', 'days', '{}')$$, '22023', 'the manifest of the connector is not valid', 'a bad one makes no request');
SELECT throws_ok($$SELECT cdp_internal.connector_request(pg_temp.good(), 'dayz', '{}')$$, '22023', 'the connector has no stream "dayz"', 'an unknown stream');
SELECT * FROM finish();
ROLLBACK;
