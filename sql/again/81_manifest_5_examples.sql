-- Connector room, manifests that are examples: facts of these products that are public, never run against them. Copy one and prove it with your account.
CREATE OR REPLACE FUNCTION cdp_internal.connector_examples() RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 8
BEGIN ATOMIC
  SELECT v.manifest::jsonb || '{"example": true, "version": 1}' FROM (VALUES
($manifest${
  "connector": "meta", "title": "Meta Insights", "channel": "Meta Ads", "base_url": "https://graph.facebook.com", "tz": "UTC",
  "description": "Example: insights of an ad account by day. Restated for 28 days. The time zone is that of the ad account: change tz.",
  "config": {"api_version": {"type": "text", "required": true, "description": "v21.0 or later."}, "account_id": {"type": "text", "required": true, "description": "Number of the ad account, without act_."}},
  "secrets": {"token": {"required": true, "description": "Access token of a system user."}},
  "auth": {"kind": "header", "headers": {"authorization": "Bearer $secret.token"}},
  "ok": {"path": "$.error.code", "equals": [null]},
  "errors": [{"code": [4, 17, 32, 613], "do": "park", "until": "hour", "note": "calls of app, account or page are used up"}, {"code": [1, 2], "do": "retry", "max": 3}, {"code": 190, "do": "config", "note": "the token is bad or expired"}],
  "streams": {"insights": {"title": "Insights by campaign and day", "path": "/$config.api_version/act_$config.account_id/insights",
    "query": {"level": "campaign", "time_increment": 1, "fields": ["campaign_id", "campaign_name", "impressions", "reach", "clicks", "spend", "account_currency", "date_start"],
      "time_range": {"since": "$window.from", "until": "$window.to"}, "limit": "$size"},
    "window": {"unit": "day", "end": "last_day", "max_days": 7, "lookback_days": 28, "final_after_days": 28, "format": "date"},
    "cursor": {"send": "query.after", "take": "$.paging.cursors.after", "more": "$.paging.next", "size": 100, "resumable": false},
    "records": "$.data[*]", "key": ["campaign_id", "date_start"], "ref_date": "date_start", "dimensions": {"campaign": "campaign_id"},
    "metrics": {"impressions": {"kind": "sum", "as": "impressions"}, "reach": {"kind": "gauge", "as": "reach"}, "clicks": {"kind": "sum", "as": "clicks"}, "spend": {"kind": "sum", "as": "spend", "currency": {"path": "account_currency"}}}}}
}$manifest$),
($manifest${
  "connector": "tiktok", "title": "TikTok Business", "channel": "TikTok Ads", "base_url": "https://business-api.tiktok.com", "tz": "UTC",
  "description": "Example: report of an advertiser by campaign and day. A metric without data comes as a dash.",
  "config": {"advertiser_id": {"type": "text", "required": true}, "currency": {"type": "text", "default": "USD", "description": "Currency of the advertiser."}},
  "secrets": {"token": {"required": true, "description": "Access token; it does not expire."}},
  "auth": {"kind": "header", "headers": {"access-token": "$secret.token"}},
  "ok": {"path": "$.code", "equals": [0]},
  "errors": [{"code": 40100, "do": "park", "until": "minute", "note": "too many calls"}, {"code": [40105, 40001], "do": "config"}],
  "streams": {"report": {"title": "Report by campaign and day", "path": "/open_api/v1.3/report/integrated/get/",
    "query": {"advertiser_id": "$config.advertiser_id", "report_type": "BASIC", "data_level": "AUCTION_CAMPAIGN", "dimensions": "[\"campaign_id\",\"stat_time_day\"]",
      "metrics": "[\"spend\",\"impressions\",\"clicks\",\"reach\"]", "start_date": "$window.from", "end_date": "$window.to", "page_size": "$size"},
    "window": {"unit": "day", "end": "last_day", "max_days": 30, "lookback_days": 28, "final_after_days": 28, "format": "date"},
    "cursor": {"kind": "page", "send": "query.page", "start": 1, "pages": "$.data.page_info.total_page", "size": 1000, "resumable": false},
    "records": "$.data.list[*]", "key": ["dimensions.campaign_id", "dimensions.stat_time_day"], "ref_date": {"path": "dimensions.stat_time_day", "format": "datetime"}, "dimensions": {"campaign": "dimensions.campaign_id"},
    "metrics": {"impressions": {"path": "metrics.impressions", "kind": "sum", "as": "impressions"}, "reach": {"path": "metrics.reach", "kind": "gauge", "as": "reach"},
      "clicks": {"path": "metrics.clicks", "kind": "sum", "as": "clicks"}, "spend": {"path": "metrics.spend", "kind": "sum", "as": "spend", "currency": {"path": "$config.currency"}}}}}
}$manifest$),
($manifest${
  "connector": "youtube", "title": "YouTube Analytics", "channel": "YouTube", "base_url": "https://youtubeanalytics.googleapis.com", "tz": "America/Los_Angeles",
  "description": "Example: views of the own channel by day. The report ends with the last day for which all metrics are there. Rows are lists: their order is that of metrics in the request.",
  "config": {"client_id": {"type": "text", "required": true}},
  "secrets": {"client_secret": {"required": true}, "refresh_token": {"required": true}},
  "auth": {"kind": "oauth_client", "base_url": "https://oauth2.googleapis.com", "path": "/token", "grant": "refresh_token", "client_id": "$config.client_id", "client_secret": "$secret.client_secret",
    "refresh_token": "$secret.refresh_token", "key": ["client_id", "refresh_token"]},
  "errors": [{"http": [429, "5xx"], "do": "retry", "max": 5, "honor": "retry-after"}, {"http": 401, "do": "reauth_once"}, {"http": 403, "do": "config"}],
  "streams": {"days": {"title": "Views by day", "path": "/v2/reports",
    "query": {"ids": "channel==MINE", "startDate": "$window.from", "endDate": "$window.to", "dimensions": "day", "metrics": ["views", "likes", "comments", "shares", "subscribersGained", "subscribersLost"]},
    "window": {"unit": "day", "end": "last_day", "max_days": 90, "delay_days": 2, "lookback_days": 7, "final_after_days": 7, "format": "date"},
    "records": "$.rows[*]", "key": ["[0]"], "ref_date": "[0]",
    "metrics": {"views": {"path": "[1]", "kind": "sum", "as": "views"}, "likes": {"path": "[2]", "kind": "sum", "as": "likes"}, "comments": {"path": "[3]", "kind": "sum", "as": "comments"},
      "shares": {"path": "[4]", "kind": "sum", "as": "shares"}, "subscribers_gained": {"path": "[5]", "kind": "sum", "as": "new_followers"}, "subscribers_lost": {"path": "[6]", "kind": "sum", "as": "lost_followers"}}}}
}$manifest$),
($manifest${
  "connector": "linkedin", "title": "LinkedIn Ads", "channel": "LinkedIn Ads", "base_url": "https://api.linkedin.com", "tz": "UTC",
  "description": "Example: campaigns of an ad account. Analytics take lists in a notation of their own (dateRange=(start:(year:...))) that encoded parameters cannot write, and are left out.",
  "config": {"account_id": {"type": "text", "required": true}, "api_version": {"type": "text", "required": true, "description": "Month of the API, such as 202501."}},
  "secrets": {"token": {"required": true}},
  "auth": {"kind": "header", "headers": {"authorization": "Bearer $secret.token"}},
  "errors": [{"http": 429, "do": "park", "until": "day", "note": "limits of a day, which are not published"}, {"http": "5xx", "do": "retry", "max": 3}],
  "streams": {"campaigns": {"title": "Campaigns", "path": "/rest/adAccounts/$config.account_id/adCampaigns",
    "headers": {"linkedin-version": "$config.api_version", "x-restli-protocol-version": "2.0.0"},
    "query": {"q": "search", "pageSize": "$size"},
    "cursor": {"send": "query.pageToken", "take": "$.metadata.nextPageToken", "size": 100, "resumable": false},
    "records": "$.elements[*]", "key": ["id"], "every": "1 day"}}
}$manifest$),
($manifest${
  "connector": "x", "title": "X", "channel": "X", "base_url": "https://api.x.com", "tz": "UTC",
  "description": "Example: posts of an account with their public figures. Limits are in windows of 15 minutes.",
  "config": {"user_id": {"type": "text", "required": true, "description": "Number of the account."}},
  "secrets": {"token": {"required": true, "description": "Bearer token of the app."}},
  "auth": {"kind": "header", "headers": {"authorization": "Bearer $secret.token"}},
  "errors": [{"http": 429, "do": "park", "until": "header", "honor": "x-rate-limit-reset"}, {"http": [401, 403], "do": "config"}, {"http": "5xx", "do": "retry", "max": 3}],
  "streams": {"posts": {"title": "Posts", "path": "/2/users/$config.user_id/tweets",
    "query": {"max_results": "$size", "tweet.fields": ["created_at", "public_metrics", "lang"]},
    "cursor": {"send": "query.pagination_token", "take": "$.meta.next_token", "size": 100, "resumable": false},
    "records": "$.data[*]", "key": ["id"], "ref_date": {"path": "created_at", "format": "iso"}, "every": "1 day", "dimensions": {"post": "id"},
    "content": {"kind": "post", "id": "id", "text": "text", "created_at": {"path": "created_at", "format": "iso"}},
    "metrics": {"like_count": {"path": "public_metrics.like_count", "kind": "gauge", "as": "likes"}, "reply_count": {"path": "public_metrics.reply_count", "kind": "gauge", "as": "comments"},
      "retweet_count": {"path": "public_metrics.retweet_count", "kind": "gauge", "as": "shares"}, "impression_count": {"path": "public_metrics.impression_count", "kind": "gauge", "as": "impressions"}}}}
}$manifest$),
($manifest${
  "connector": "douyin", "title": "Douyin", "channel": "Douyin", "base_url": "https://open.douyin.com", "tz": "Asia/Shanghai",
  "description": "Example: the figures of fans by day, which need two days after the first authorisation and enough fans.",
  "config": {"client_key": {"type": "text", "required": true}, "open_id": {"type": "text", "required": true, "description": "Account that authorised the app."}},
  "secrets": {"access_token": {"required": true, "description": "Token of that account."}},
  "auth": {"kind": "header", "headers": {"access-token": "$secret.access_token"}},
  "ok": {"path": ["$.data.error_code", "$.extra.error_code"], "equals": [0]},
  "errors": [{"code": [28001005, 28001006], "do": "retry", "max": 3}, {"code": 28001008, "do": "config", "note": "the token is bad or expired"}, {"code": 28001003, "do": "config"},
    {"code": 28003017, "do": "park", "until": "day", "note": "the calls of the day are used up"}, {"code": 28003018, "do": "slow", "max": 5}],
  "streams": {"fans": {"title": "Fans by day", "path": "/data/external/user/fans/",
    "description": "The last seven days, as they are now.",
    "query": {"open_id": "$config.open_id", "date_type": 7},
    "records": "$.data.result_list[*]", "key": ["date"], "ref_date": "date", "every": "1 day",
    "metrics": {"total_fans": {"kind": "gauge", "as": "followers"}, "new_fans": {"kind": "sum", "as": "new_followers"}}}}
}$manifest$),
($manifest${
  "connector": "weibo", "title": "Weibo", "channel": "Weibo", "base_url": "https://api.weibo.com", "tz": "Asia/Shanghai",
  "description": "Example of the form only: the figures of one account. Its facts are not from the pages of Weibo; prove them first.",
  "config": {"uid": {"type": "text", "required": true, "description": "Number of the account."}},
  "secrets": {"access_token": {"required": true}},
  "auth": {"kind": "header", "headers": {"authorization": "OAuth2 $secret.access_token"}},
  "ok": {"path": "$.error_code", "equals": [null]},
  "streams": {"account": {"title": "The account", "path": "/2/users/show.json", "query": {"uid": "$config.uid"},
    "window": {"unit": "day", "max_days": 1, "history_days": 0, "format": "date"},
    "records": "$", "key": ["idstr", "$window.from"], "ref_date": "$window.from",
    "metrics": {"followers_count": {"kind": "gauge", "as": "followers"}}}}
}$manifest$),
($manifest${
  "connector": "xiaohongshu", "title": "Xiaohongshu Juguang", "channel": "Xiaohongshu Ads", "base_url": "$config.base_url", "tz": "Asia/Shanghai",
  "description": "Example of the form only: an offline report of an advertiser by day. Paths and fields are not from the pages of Xiaohongshu; take them from the pages of your account.",
  "config": {"base_url": {"type": "url", "required": true}, "advertiser_id": {"type": "text", "required": true}, "report": {"type": "text", "required": true, "description": "Last part of the path of the report."}},
  "secrets": {"access_token": {"required": true}},
  "auth": {"kind": "header", "headers": {"access-token": "$secret.access_token"}},
  "ok": {"path": "$.code", "equals": [0]},
  "streams": {"report": {"title": "Report by day", "method": "POST", "path": "/$config.report",
    "body": {"advertiser_id": "$config.advertiser_id", "start_date": "$window.from", "end_date": "$window.to", "page_size": "$size"},
    "window": {"unit": "day", "end": "last_day", "max_days": 7, "lookback_days": 7, "final_after_days": 7, "format": "date"},
    "cursor": {"kind": "page", "send": "body.page_num", "start": 1, "size": 100, "resumable": false},
    "records": ["$.data.list[*]", "$.data.data_list[*]"], "ref_date": "$window.from"}}
}$manifest$)
  ) AS v (manifest);
END;
COMMENT ON FUNCTION cdp_internal.connector_examples() IS
'The manifests that are examples (example true): meta, tiktok, youtube, linkedin, x, douyin, weibo, xiaohongshu. They are valid and were never run against these products; those of weibo and xiaohongshu show the form only.';
