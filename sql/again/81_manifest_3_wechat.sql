-- Connector room, built-in manifests of WeChat: Official Account, Channels, Channels Shop, Mini Program. Facts from Tencent's pages and SDKs; what was not certain is left out.
-- One code means other things in other products: 40001 is a wrong secret in a shop, and a bad token or a wrong secret elsewhere.
CREATE OR REPLACE FUNCTION cdp_internal.connector_wechat(own jsonb, secret_error text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN $manifest${
  "version": 1, "base_url": "https://api.weixin.qq.com", "tz": "Asia/Shanghai",
  "config": {"appid": {"type": "text", "required": true, "description": "Number of the account or app (wx...)."}},
  "secrets": {"appsecret": {"required": true, "description": "Its secret."}},
  "auth": {"kind": "login_token",
    "request": {"method": "POST", "path": "/cgi-bin/stable_token",
      "body": {"grant_type": "client_credential", "appid": "$config.appid", "secret": "$secret.appsecret", "force_refresh": false}},
    "token": "$.access_token", "ttl": "$.expires_in", "slack_s": 240, "key": ["appid", "appsecret"], "inject": {"query": "access_token"}},
  "quota_check": {"method": "POST", "path": "/cgi-bin/openapi/quota/get", "send": "body.cgi_path", "left": "$.quota.remain", "of": "$.quota.daily_limit"},
  "ok": {"path": "$.errcode", "equals": [0, null]}
}$manifest$::jsonb || jsonb_build_object('errors', jsonb_build_array(
    '{"code": -1, "do": "retry", "max": 3, "wait_s": 1, "note": "busy"}'::jsonb,
    jsonb_build_object('code', 40001, 'do', secret_error, 'note', CASE secret_error WHEN 'config' THEN 'wrong secret' ELSE 'bad token; if it comes again, a wrong secret' END)) || $errors$[
    {"code": [40014, 42001], "do": "reauth_once", "note": "the token is bad or expired"},
    {"code": [40013, 42007], "do": "config", "note": "wrong appid, or it has to be authorised again"},
    {"code": 40164, "do": "config", "note": "the address that requests come from is not on the list of the account"},
    {"code": [48001, 48002, 48004], "do": "config", "note": "the account may not call this"},
    {"code": 45009, "do": "park", "until": "day", "note": "the calls of the day are used up"},
    {"code": 45011, "do": "park", "until": "minute", "note": "too many calls in a minute"},
    {"code": 45033, "do": "slow", "max": 5, "wait_s": 1, "note": "too many calls at once"},
    {"code": 50002, "do": "skip_partition", "note": "user limited"},
    {"code": [61501, 10020004], "do": "split", "note": "window too long"},
    {"code": 61503, "do": "not_ready", "note": "the data are not there yet"},
    {"code": 61500, "do": "config", "note": "dates written otherwise"},
    {"code": 41001, "do": "fail", "note": "no token was sent"},
    {"http": 429, "do": "retry", "max": 3, "honor": "retry-after"},
    {"http": "5xx", "do": "retry", "max": 3, "honor": "retry-after"}
  ]$errors$::jsonb) || own;
COMMENT ON FUNCTION cdp_internal.connector_wechat(jsonb, text) IS
'What the built-in manifests of api.weixin.qq.com have in common (address, token, errors), with the keys of one of them (own) put over it. secret_error: what that one does about code 40001.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_wechat_oa() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN cdp_internal.connector_wechat($manifest${
  "connector": "wechat_oa", "title": "WeChat Official Account", "channel": "WeChat Official Account",
  "description": "WeChat Official Account: followers and how they came, growth by day and source, published articles, their reads and shares, messages received by day.",
  "docs": "https://developers.weixin.qq.com/doc/service/",
  "secrets": {"appsecret": {"required": true, "description": "Its secret."},
    "callback_token": {"description": "Token of the message push, to receive what changes at once."},
    "callback_key": {"description": "EncodingAESKey of the message push, 43 characters. Without it only messages that are not encrypted are taken."}},
  "callback": {"dialect": "wechat", "receiver": "appid", "events": [
    {"when": [{"path": "MsgType", "equals": "event"}, {"path": "Event", "equals": ["subscribe", "unsubscribe"]}], "stream": "user_info", "part": "FromUserName"}]},
  "streams": {
    "users": {"title": "Followers", "probe": true, "path": "/cgi-bin/user/get",
      "cursor": {"send": "query.next_openid", "take": "$.next_openid", "end": "empty_page", "resumable": true},
      "records": "$.data.openid[*]", "key": ["@"], "every": "1 day", "pii": ["@"]},
    "user_info": {"title": "Followers, when and how they came", "method": "POST", "path": "/cgi-bin/user/info/batchget",
      "partition": {"from": "users", "chunk": 100},
      "body": {"user_list": {"$each": {"openid": "$partition", "lang": "zh_CN"}}},
      "records": "$.user_info_list[*]", "key": ["openid"], "every": "1 day",
      "touchpoint": {"kind": "follow", "occurred_at": "subscribe_time", "when": [{"path": "subscribe", "equals": 1}],
        "identifiers": {"openid": "openid", "unionid": "unionid"},
        "origin": {"source": "wechat_oa", "add_way": {"path": "subscribe_scene"}, "qr_scene": {"path": "qr_scene_str"}},
        "properties": {"qr_scene": "qr_scene", "subscribe_scene": "subscribe_scene"}},
      "pii": ["openid", "unionid", "nickname", "remark", "sex", "city", "province", "country", "headimgurl"]},
    "user_summary": {"title": "New and lost followers by day and source", "method": "POST", "path": "/datacube/getusersummary",
      "body": {"begin_date": "$window.from", "end_date": "$window.to"},
      "window": {"unit": "day", "end": "last_day", "max_days": 7, "history_from": "2014-12-01", "ready_at": "08:00", "lookback_days": 3, "final_after_days": 3, "format": "date"},
      "records": "$.list[*]", "key": ["ref_date", "user_source"], "ref_date": "ref_date", "not_ready": {"all_zero": true},
      "dimensions": {"user_source": "user_source"},
      "metrics": {"new_user": {"kind": "sum", "as": "new_followers"}, "cancel_user": {"kind": "sum", "as": "lost_followers"}}},
    "user_cumulate": {"title": "Followers in all by day", "method": "POST", "path": "/datacube/getusercumulate",
      "body": {"begin_date": "$window.from", "end_date": "$window.to"},
      "window": {"unit": "day", "end": "last_day", "max_days": 7, "history_from": "2014-12-01", "ready_at": "08:00", "lookback_days": 3, "final_after_days": 3, "format": "date"},
      "records": "$.list[*]", "key": ["ref_date"], "ref_date": "ref_date", "not_ready": {"all_zero": true},
      "metrics": {"cumulate_user": {"kind": "gauge", "as": "followers"}}},
    "articles": {"title": "Published articles", "method": "POST", "path": "/cgi-bin/freepublish/batchget",
      "body": {"count": "$size", "no_content": 1},
      "cursor": {"kind": "offset", "send": "body.offset", "start": 0, "total": "$.total_count", "size": 20},
      "records": "$.item[*]", "key": ["article_id"], "every": "1 day",
      "content": {"kind": "post", "id": "article_id", "title": "content.news_item[0].title", "author": "content.news_item[0].author", "text": "content.news_item[0].digest",
        "url": "content.news_item[0].url", "created_at": "update_time"}},
    "article_read": {"title": "Reads of articles by day", "method": "POST", "path": "/datacube/getarticleread",
      "body": {"begin_date": "$window.from", "end_date": "$window.to"},
      "window": {"unit": "day", "end": "last_day", "max_days": 1, "history_from": "2025-11-01", "ready_at": "08:00", "lookback_days": 3, "final_after_days": 3, "format": "date"},
      "records": "$.list[*]", "key": ["ref_date", "msgid"], "ref_date": "ref_date", "not_ready": {"path": "$.is_delay", "equals": [true, 1]},
      "dimensions": {"article": "msgid"}, "content": {"kind": "post", "id": "msgid"},
      "metrics": {"read_user": {"path": "detail.read_user", "kind": "gauge", "as": "viewers"}}},
    "article_share": {"title": "Shares of articles by day", "method": "POST", "path": "/datacube/getarticleshare",
      "body": {"begin_date": "$window.from", "end_date": "$window.to"},
      "window": {"unit": "day", "end": "last_day", "max_days": 1, "history_from": "2025-11-01", "ready_at": "08:00", "lookback_days": 3, "final_after_days": 3, "format": "date"},
      "records": "$.list[*]", "key": ["ref_date", "msgid"], "ref_date": "ref_date", "not_ready": {"path": "$.is_delay", "equals": [true, 1]},
      "dimensions": {"article": "msgid"}, "content": {"kind": "post", "id": "msgid"},
      "metrics": {"share_user": {"path": "detail.share_user", "kind": "gauge", "as": "shares"}}},
    "account_summary": {"title": "Reads and shares of the account by day", "method": "POST", "path": "/datacube/getbizsummary",
      "body": {"begin_date": "$window.from", "end_date": "$window.to"},
      "window": {"unit": "day", "end": "last_day", "max_days": 1, "history_from": "2025-11-01", "ready_at": "08:00", "lookback_days": 3, "final_after_days": 3, "format": "date"},
      "records": "$.list[*]", "key": ["ref_date"], "ref_date": "ref_date", "not_ready": {"path": "$.is_delay", "equals": [true, 1]},
      "metrics": {"read_user": {"path": "detail.read_user", "kind": "gauge", "as": "viewers"}, "share_user": {"path": "detail.share_user", "kind": "gauge", "as": "shares"},
        "zaikan_user": {"path": "detail.zaikan_user", "kind": "gauge"}, "like_user": {"path": "detail.like_user", "kind": "gauge", "as": "likes"},
        "comment_count": {"path": "detail.comment_count", "kind": "sum", "as": "comments"}}},
    "article_detail": {"title": "Articles published on a day, with their reads since", "method": "POST", "path": "/datacube/getarticletotaldetail",
      "description": "Told again for 30 days after publication.",
      "body": {"begin_date": "$window.from", "end_date": "$window.to"},
      "window": {"unit": "day", "end": "last_day", "max_days": 1, "history_from": "2025-11-01", "ready_at": "08:00", "lookback_days": 30, "final_after_days": 31, "format": "date"},
      "records": "$.list[*]", "key": ["msgid"], "ref_date": "ref_date", "not_ready": {"path": "$.is_delay", "equals": [true, 1]},
      "content": {"kind": "post", "id": "msgid", "created_at": {"path": "ref_date", "format": "date"}}},
    "messages": {"title": "Messages received by day and type", "method": "POST", "path": "/datacube/getupstreammsg",
      "body": {"begin_date": "$window.from", "end_date": "$window.to"},
      "window": {"unit": "day", "end": "last_day", "max_days": 1, "history_from": "2014-12-01", "ready_at": "08:00", "lookback_days": 3, "final_after_days": 3, "format": "date"},
      "records": "$.list[*]", "key": ["ref_date", "msg_type"], "ref_date": "ref_date",
      "dimensions": {"msg_type": "msg_type"}, "metrics": {"msg_user": "gauge", "msg_count": {"kind": "sum", "as": "messages"}}}
  }
}$manifest$, 'reauth_once');
COMMENT ON FUNCTION cdp_internal.connector_wechat_oa() IS
'The built-in manifest wechat_oa. Figures of articles begin on 2025-11-01. Left out: figures of each source within them, the older ones (getarticlesummary and its sisters), which Tencent maintains no more; QR codes cannot be listed, their scenes come with the followers.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_mini_program() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN cdp_internal.connector_wechat($manifest${
  "connector": "mini_program", "title": "WeChat Mini Program", "channel": "WeChat Mini Program",
  "description": "WeChat Mini Program: visits, visitors, shares, retention and pages by day.",
  "docs": "https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/",
  "streams": {
    "summary": {"title": "Visitors in all and shares by day", "method": "POST", "probe": true, "path": "/datacube/getweanalysisappiddailysummarytrend",
      "body": {"begin_date": "$window.from", "end_date": "$window.to"},
      "window": {"unit": "day", "end": "last_day", "max_days": 1, "ready_at": "08:00", "lookback_days": 3, "final_after_days": 3, "format": "yyyymmdd"},
      "records": "$.list[*]", "key": ["ref_date"], "ref_date": {"path": "ref_date", "format": "yyyymmdd"}, "not_ready": {"all_zero": true},
      "metrics": {"visit_total": {"kind": "gauge", "as": "followers"}, "share_pv": {"kind": "sum", "as": "shares"}, "share_uv": "gauge"}},
    "visits": {"title": "Visits by day", "method": "POST", "path": "/datacube/getweanalysisappiddailyvisittrend",
      "body": {"begin_date": "$window.from", "end_date": "$window.to"},
      "window": {"unit": "day", "end": "last_day", "max_days": 1, "ready_at": "08:00", "lookback_days": 3, "final_after_days": 3, "format": "yyyymmdd"},
      "records": "$.list[*]", "key": ["ref_date"], "ref_date": {"path": "ref_date", "format": "yyyymmdd"}, "not_ready": {"all_zero": true},
      "metrics": {"session_cnt": {"kind": "sum", "as": "visits"}, "visit_pv": {"kind": "sum", "as": "views"}, "visit_uv": {"kind": "gauge", "as": "visitors"}, "visit_uv_new": "gauge",
        "stay_time_session": {"kind": "ratio", "weight": "session_cnt"}, "visit_depth": {"kind": "ratio", "weight": "session_cnt"}}},
    "retention": {"title": "Retention by day", "method": "POST", "path": "/datacube/getweanalysisappiddailyretaininfo",
      "body": {"begin_date": "$window.from", "end_date": "$window.to"},
      "window": {"unit": "day", "end": "last_day", "max_days": 1, "ready_at": "08:00", "lookback_days": 3, "final_after_days": 3, "format": "yyyymmdd"},
      "records": "$", "key": ["ref_date"], "ref_date": {"path": "ref_date", "format": "yyyymmdd"}},
    "pages": {"title": "Visits of pages by day", "method": "POST", "path": "/datacube/getweanalysisappidvisitpage",
      "body": {"begin_date": "$window.from", "end_date": "$window.to"},
      "window": {"unit": "day", "end": "last_day", "max_days": 1, "ready_at": "08:00", "lookback_days": 3, "final_after_days": 3, "format": "yyyymmdd"},
      "records": "$.list[*]", "key": ["$.ref_date", "page_path"], "ref_date": {"path": "$.ref_date", "format": "yyyymmdd"},
      "dimensions": {"page": "page_path"},
      "content": {"kind": "page", "id": "page_path"},
      "metrics": {"page_visit_pv": {"kind": "sum", "as": "views"}, "page_visit_uv": {"kind": "gauge", "as": "visitors"}, "page_staytime_pv": {"kind": "ratio", "weight": "page_visit_pv"},
        "entrypage_pv": "sum", "exitpage_pv": "sum", "page_share_pv": {"kind": "sum", "as": "shares"}, "page_share_uv": "gauge"}}
  }
}$manifest$, 'reauth_once');
COMMENT ON FUNCTION cdp_internal.connector_mini_program() IS
'The built-in manifest mini_program: figures by day. Weeks and months are sums of days, or cannot be had from them and are left out.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_wechat_channels() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN cdp_internal.connector_wechat($manifest${
  "connector": "wechat_channels", "title": "WeChat Channels", "channel": "WeChat Channels",
  "description": "WeChat Channels: the account, its lives and their figures, leads by day and by component, the dashboard of each live.",
  "docs": "https://developers.weixin.qq.com/doc/channels/",
  "config": {"appid": {"type": "text", "required": true, "description": "Number of the app that the account is bound to (wx...)."},
    "leads_component_ids": {"type": "list", "description": "Lead forms whose leads are pulled."}},
  "streams": {
    "account": {"title": "The account and its followers", "method": "POST", "probe": true, "path": "/channels/finderlive/get_finder_attr_by_appid",
      "description": "As it is now: pulled for the current day.",
      "window": {"unit": "day", "max_days": 1, "history_days": 0, "format": "date"},
      "records": "$.finder_attr", "key": ["uniq_id", "$window.from"], "ref_date": "$window.from",
      "metrics": {"fans_count": {"kind": "gauge", "as": "followers"}}},
    "lives": {"title": "Lives", "method": "POST", "path": "/channels/finderlive/get_finder_live_data_list",
      "description": "The window is compared with the end of a live.",
      "body": {"start_time": "$window.from", "end_time": "$window.to"},
      "window": {"unit": "day", "end": "last_second", "max_days": 1, "lookback_days": 3, "final_after_days": 3, "format": "epoch"},
      "cursor": {"send": "body.last_buffer", "take": "$.last_buffer", "more": "$.continue_flag", "resumable": false},
      "records": "$.item[*]", "key": ["export_id"], "ref_date": {"path": "live_start_time", "format": "epoch"},
      "dimensions": {"live": "export_id"},
      "content": {"kind": "live", "id": "export_id", "created_at": "live_start_time"},
      "metrics": {"total_audience_count": {"kind": "sum", "as": "viewers"}, "total_cheer_count": {"kind": "sum", "as": "likes"}, "forward_count": {"kind": "sum", "as": "shares"},
        "total_comment_count": {"kind": "sum", "as": "comments"}, "audiences_avg_seconds": {"kind": "ratio", "weight": "total_audience_count"},
        "max_online_count": {"kind": "gauge", "as": "online_peak"}, "new_follow_count": {"kind": "sum", "as": "new_followers"}, "live_duration_in_seconds": "sum"}},
    "lead_totals": {"title": "Leads of lives by day", "method": "POST", "path": "/channels/finderlive/get_finder_live_leads_data",
      "body": {"start_time": "$window.from", "end_time": "$window.to", "source_type": 0},
      "window": {"unit": "day", "end": "last_second", "max_days": 1, "lookback_days": 3, "final_after_days": 3, "format": "epoch"},
      "records": "$.item[*]", "key": ["$window.from", "component_type", "traffic_type"], "ref_date": "$window.from",
      "dimensions": {"component_type": "component_type", "traffic_type": "traffic_type"},
      "metrics": {"leads_count": {"kind": "sum", "as": "leads"}}},
    "leads": {"title": "Leads of a form", "method": "POST", "path": "/channels/leads/get_leads_info_by_component_id",
      "partition": {"config": "leads_component_ids"},
      "body": {"leads_component_id": "$partition", "start_time": "$window.from", "end_time": "$window.to"},
      "window": {"unit": "day", "end": "last_second", "max_days": 1, "lookback_days": 1, "final_after_days": 1, "format": "epoch"},
      "cursor": {"send": "body.last_buffer", "take": "$.last_buffer", "more": "$.continue_flag", "resumable": false},
      "records": "$.user_data[*]", "ref_date": "$window.from", "pii": ["@"]},
    "dashboard_lives": {"title": "Lives that have a dashboard", "method": "POST", "path": "/channels/livedashboard/getlivelist",
      "body": {"ds": "$window.from"},
      "window": {"unit": "day", "max_days": 1, "lookback_days": 1, "final_after_days": 1, "format": "yyyymmdd_number"},
      "cursor": {"kind": "none", "more": "$.has_more"},
      "records": "$.live_items[*]", "key": ["export_id"], "ref_date": "$window.from"},
    "dashboard": {"title": "Dashboard of a live", "method": "POST", "path": "/channels/livedashboard/getlivedata",
      "partition": {"from": "dashboard_lives", "value": "export_id"},
      "body": {"export_id": "$partition"},
      "records": "$", "key": ["$partition"], "every": "1 day",
      "unpack": ["live_dashboard_data", "live_comparison_index", "live_ec_data_summary", "live_ec_conversion_metric", "live_ec_profile", "live_distribution_channel", "single_live_ec_spu_data_page_v2"]}
  }
}$manifest$, 'reauth_once');
COMMENT ON FUNCTION cdp_internal.connector_wechat_channels() IS
'The built-in manifest wechat_channels. Left out, for their facts are not certain: how more pages of the list of dashboards are asked (a list that says that there are more is told to be cut off), the meaning of the values within one.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_channels_shop() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN cdp_internal.connector_wechat($manifest${
  "connector": "channels_shop", "title": "WeChat Channels Shop", "channel": "WeChat Channels",
  "description": "WeChat Channels Shop: orders with the live and the person that they came through, after-sales, overview by day. Amounts are in fen and become yuan.",
  "docs": "https://developers.weixin.qq.com/doc/store/shop/",
  "secrets": {"appsecret": {"required": true, "description": "Its secret."},
    "callback_token": {"description": "Token of the message push, to receive what changes at once."},
    "callback_key": {"description": "EncodingAESKey of the message push, 43 characters. Without it only messages that are not encrypted are taken."}},
  "callback": {"dialect": "wechat", "receiver": "appid", "events": [
    {"when": [{"path": "Event", "equals": ["channels_ec_order_new", "channels_ec_order_cancel", "channels_ec_order_pay", "channels_ec_order_wait_shipping", "channels_ec_order_deliver",
      "channels_ec_order_confirm", "channels_ec_order_settle", "channels_ec_order_ext_info_update"]}], "stream": "order", "part": "order_info.order_id"},
    {"when": [{"path": "Event", "equals": "channels_ec_aftersale_update"}], "stream": "aftersale", "part": "finder_shop_aftersale_status_update.after_sale_order_id"}]},
  "streams": {
    "overview": {"title": "Overview of the shop by day", "method": "POST", "path": "/channels/ec/compass/shop/overall/get",
      "body": {"ds": "$window.from"},
      "window": {"unit": "day", "max_days": 1, "lookback_days": 3, "final_after_days": 3, "format": "yyyymmdd"},
      "records": "$.data", "key": ["$window.from"], "ref_date": "$window.from", "not_ready": {"all_zero": true},
      "metrics": {"pay_gmv": {"kind": "sum", "as": "revenue", "scale": 0.01, "currency": "CNY"}, "pay_uv": {"kind": "gauge", "as": "buyers"}, "pay_order_cnt": {"kind": "sum", "as": "orders"},
        "pay_refund_gmv": {"kind": "sum", "as": "refunds", "scale": 0.01, "currency": "CNY"}, "product_click_uv": "gauge",
        "live_pay_gmv": {"kind": "sum", "scale": 0.01, "currency": "CNY"}, "feed_pay_gmv": {"kind": "sum", "scale": 0.01, "currency": "CNY"}}},
    "finder_overview": {"title": "Overview of the account's sales by day", "method": "POST", "path": "/channels/ec/compass/finder/overall/get",
      "body": {"ds": "$window.from"},
      "window": {"unit": "day", "max_days": 1, "lookback_days": 3, "final_after_days": 3, "format": "yyyymmdd"},
      "records": "$.data", "key": ["$window.from"], "ref_date": "$window.from", "not_ready": {"all_zero": true},
      "metrics": {"pay_gmv": {"kind": "sum", "scale": 0.01, "currency": "CNY"}, "live_pay_gmv": {"kind": "sum", "scale": 0.01, "currency": "CNY"}, "feed_pay_gmv": {"kind": "sum", "scale": 0.01, "currency": "CNY"},
        "window_pay_gmv": {"kind": "sum", "scale": 0.01, "currency": "CNY"}, "product_pay_gmv": {"kind": "sum", "scale": 0.01, "currency": "CNY"}, "other_pay_gmv": {"kind": "sum", "scale": 0.01, "currency": "CNY"}}},
    "orders": {"title": "Orders that changed", "method": "POST", "probe": true, "path": "/channels/ec/order/list/get",
      "body": {"update_time_range": {"start_time": "$window.from", "end_time": "$window.to"}, "page_size": "$size"},
      "window": {"unit": "day", "end": "last_second", "max_days": 7, "lookback_days": 1, "final_after_days": 1, "format": "epoch"},
      "cursor": {"send": "body.next_key", "take": "$.next_key", "more": "$.has_more", "size": 100, "resumable": false},
      "records": "$.order_id_list[*]", "key": ["@"]},
    "order": {"title": "An order", "method": "POST", "path": "/channels/ec/order/get",
      "partition": {"from": "orders"},
      "body": {"order_id": "$partition"},
      "records": "$.order", "key": ["order_id"], "ref_date": {"path": "create_time", "format": "epoch"},
      "touchpoint": {"kind": "order", "occurred_at": "order_detail.pay_info.pay_time", "key": ["order_id"], "when": [{"path": "order_detail.pay_info.pay_time", "differs": [null, 0]}],
        "identifiers": {"openid": "openid", "unionid": "unionid"},
        "origin": {"source": "wechat_channels", "campaign": {"path": "order_detail.ext_info.live_id"}},
        "value": {"path": "order_detail.price_info.order_price", "scale": 0.01}, "currency": "CNY",
        "properties": {"finder_id": "order_detail.ext_info.finder_id", "live_id": "order_detail.ext_info.live_id", "order_scene": "order_detail.ext_info.order_scene",
          "sharer_openid": "order_detail.sharer_info.sharer_openid", "sharer_unionid": "order_detail.sharer_info.sharer_unionid"}},
      "pii": ["openid", "unionid", "order_detail.delivery_info.address_info", "order_detail.ext_info.customer_notes", "order_detail.sharer_info"]},
    "aftersales": {"title": "After-sales by day of their creation", "method": "POST", "path": "/channels/ec/aftersale/getaftersalelist",
      "body": {"begin_create_time": "$window.from", "end_create_time": "$window.to"},
      "window": {"unit": "day", "end": "last_second", "max_days": 1, "lookback_days": 15, "final_after_days": 16, "format": "epoch"},
      "cursor": {"send": "body.next_key", "take": "$.next_key", "more": "$.has_more", "resumable": false},
      "records": "$.after_sale_order_id_list[*]", "key": ["@"]},
    "aftersale": {"title": "An after-sale", "method": "POST", "path": "/channels/ec/aftersale/getaftersaleorder",
      "partition": {"from": "aftersales"},
      "body": {"after_sale_order_id": "$partition"},
      "records": "$.after_sale_order", "key": ["after_sale_order_id"], "ref_date": {"path": "create_time", "format": "epoch"},
      "touchpoint": {"kind": "refund", "occurred_at": "update_time", "key": ["after_sale_order_id"], "when": [{"path": "status", "equals": "MERCHANT_REFUND_SUCCESS"}],
        "identifiers": {"openid": "openid"}, "origin": {"source": "wechat_channels"}, "refers_to": "order_id",
        "value": {"path": "refund_info.amount", "scale": 0.01, "negate": true}, "currency": "CNY",
        "properties": {"type": "type", "reason": "reason"}},
      "pii": ["openid", "details.tel_number", "details.desc"]}
  }
}$manifest$, 'config');
COMMENT ON FUNCTION cdp_internal.connector_channels_shop() IS
'The built-in manifest channels_shop. Orders are listed by the time of their last change, after-sales by that of their creation (15 days are looked through again). That amounts are in fen is from memory of Tencent''s pages, not from the samples.';
