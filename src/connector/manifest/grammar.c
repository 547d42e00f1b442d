/*
 * grammar.c
 *		The grammar of manifests.  What is not in these tables is refused; what
 *		each key means is told in docs/connectors.md.
 */
#include "connector/manifest/grammar.h"

#define WORDS(name, ...) static const char *const name[] = {__VA_ARGS__, NULL}
#define SHAPE(name, title, ...) \
	static const GrammarKey name##_keys[] = {__VA_ARGS__}; \
	static const GrammarShape name = {title, lengthof(name##_keys), name##_keys}
#define RULE static const GrammarRule

WORDS(methods, "GET", "POST");
WORDS(config_types, "text", "integer", "boolean", "list", "url", "day");
WORDS(verbs, "retry", "reauth_once", "park", "slow", "split", "skip_partition", "not_ready", "config", "ignore", "fail");
WORDS(untils, "window", "minute", "hour", "day", "month", "header");
WORDS(quota_scopes, "api", "connection");
WORDS(algorithms, "sha1", "sha256", "sha512");
WORDS(encodings, "hex", "base64");
WORDS(grants, "client_credentials", "refresh_token");
WORDS(styles, "body", "basic");
WORDS(epochs, "s", "ms");
WORDS(responses, "json", "ndjson", "csv");
WORDS(units, "day");
WORDS(ends, "last_day", "last_second", "next_day");
WORDS(formats, "epoch", "epoch_ms", "date", "yyyymmdd", "yyyymmdd_number", "iso", "datetime");
WORDS(cursor_kinds, "none", "token", "offset", "page", "link", "url");
WORDS(cursor_ends, "empty_value", "empty_page");
WORDS(metric_kinds, "sum", "gauge", "ratio");
WORDS(standards, "impressions", "reach", "clicks", "spend", "views", "viewers", "likes", "comments", "shares", "saves", "messages", "conversations",
	  "leads", "followers", "new_followers", "lost_followers", "visits", "visitors", "orders", "buyers", "revenue", "refunds", "online_peak", "watch_seconds");
WORDS(dialects, "wecom", "wechat", "standard_webhooks");
WORDS(content_kinds, "post", "comment", "message", "live", "product", "page", "link");

RULE any_text = {G_TEXT, .max = MANIFEST_MAX_TEXT};
RULE blank = {G_BLANK, .max = MANIFEST_MAX_TEXT};
RULE name = {G_NAME};
RULE boolean = {G_BOOL};
RULE number = {G_NUMBER};
RULE version = {G_WHOLE, .min = 1, .max = 1000000};
RULE count = {G_WHOLE, .min = 1, .max = 1000000000};
RULE days = {G_WHOLE, .min = 0, .max = 36600};
RULE some_days = {G_WHOLE, .min = 1, .max = 3660};
RULE tries = {G_WHOLE, .min = 1, .max = 20};
RULE seconds = {G_WHOLE, .min = 1, .max = 2678400};
RULE chunk = {G_WHOLE, .min = 1, .max = 10000};
RULE zone = {G_ZONE};
RULE clock_time = {G_CLOCK};
RULE day = {G_DAY};
RULE span = {G_SPAN};
RULE url = {G_URL};
RULE header = {G_HEADER};
RULE path = {G_PATH};
RULE paths = {G_SOME, .item = &path};
RULE field = {G_FIELD};
RULE page_field = {G_FIELD, .min = 1};
RULE page_fields = {G_LIST, .item = &page_field};
RULE fields = {G_LIST, .item = &field};
RULE field_map = {G_MAP, .item = &field};
RULE place = {G_PLACE};
RULE scalar = {G_SCALAR};
RULE scalar_or_null = {G_SCALAR, .min = 1};
RULE scalars = {G_SOME, .item = &scalar};
RULE scalars_or_null = {G_SOME, .item = &scalar_or_null};
RULE scalar_list = {G_LIST, .item = &scalar};
RULE scalar_map = {G_MAP, .item = &scalar, .min = NAMES_ANY};
RULE status = {G_STATUS};
RULE statuses = {G_SOME, .item = &status};

RULE method = {G_WORD, methods};
RULE time_format = {G_WORD, formats};

RULE request_text = {G_TEMPLATE, .min = VARS_REQUEST};
RULE request_tree = {G_TREE, .min = VARS_REQUEST};
RULE request_values = {G_MAP, .item = &request_tree, .min = NAMES_ANY};
RULE request_headers = {G_MAP, .item = &request_text, .min = NAMES_HEADER};
RULE auth_text = {G_TEMPLATE, .min = VARS_AUTH};
RULE auth_path = {G_TEMPLATE, .min = VAR_BIT(VAR_CONFIG)};
RULE auth_tree = {G_TREE, .min = VARS_AUTH};
RULE auth_values = {G_MAP, .item = &auth_text, .min = NAMES_ANY};
RULE auth_headers = {G_MAP, .item = &auth_text, .min = NAMES_HEADER};
RULE sign_text = {G_TEMPLATE, .min = VARS_SIGN};
RULE sign_texts = {G_LIST, .item = &sign_text};
RULE names = {G_LIST, .item = &name};

/* config, secrets */
RULE config_type = {G_WORD, config_types};
SHAPE(config_shape, "an entry of config",
	  {"type", &config_type, true}, {"required", &boolean}, {"default", &scalars}, {"description", &any_text});
RULE config_entry = {G_OBJECT, .shape = &config_shape};
RULE config = {G_MAP, .item = &config_entry, .min = NAMES_OWN};
SHAPE(secret_shape, "a secret", {"required", &boolean}, {"description", &any_text});
RULE secret_entry = {G_OBJECT, .shape = &secret_shape};
RULE secrets = {G_MAP, .item = &secret_entry, .min = NAMES_OWN};

/* auth */
SHAPE(inject_shape, "where a token goes", {"query", &any_text}, {"header", &header}, {"prefix", &any_text});
RULE inject = {G_OBJECT, .shape = &inject_shape};
SHAPE(token_request_shape, "the request for a token",
	  {"method", &method}, {"path", &auth_path, true}, {"query", &auth_values}, {"headers", &auth_headers}, {"body", &auth_tree}, {"form", &auth_values});
RULE token_request = {G_OBJECT, .shape = &token_request_shape};
RULE none_kind = {G_NAME};
SHAPE(auth_none, "auth without credentials", {"kind", &none_kind, true});
SHAPE(auth_login, "auth with a login token",
	  {"kind", &none_kind, true}, {"base_url", &url}, {"request", &token_request, true}, {"token", &path, true}, {"ttl", &path}, {"ttl_s", &seconds},
	  {"slack_s", &seconds}, {"key", &names}, {"inject", &inject, true});
SHAPE(auth_header, "auth with fixed headers",
	  {"kind", &none_kind, true}, {"headers", &auth_headers}, {"query", &auth_values});
SHAPE(auth_basic, "basic auth",
	  {"kind", &none_kind, true}, {"username", &auth_text, true}, {"password", &auth_text, true});
RULE grant = {G_WORD, grants};
RULE style = {G_WORD, styles};
SHAPE(auth_oauth, "auth by OAuth",
	  {"kind", &none_kind, true}, {"base_url", &url}, {"path", &auth_path, true}, {"grant", &grant}, {"client_id", &auth_text, true},
	  {"client_secret", &auth_text, true}, {"refresh_token", &auth_text}, {"scope", &auth_text}, {"style", &style}, {"extra", &auth_values},
	  {"token", &path}, {"ttl", &path}, {"ttl_s", &seconds}, {"slack_s", &seconds}, {"key", &names}, {"inject", &inject});
RULE algorithm = {G_WORD, algorithms};
RULE encoding = {G_WORD, encodings};
RULE epoch_unit = {G_WORD, epochs};
SHAPE(stamp_shape, "where a time stamp or a nonce goes", {"query", &any_text}, {"header", &header}, {"unit", &epoch_unit});
RULE stamp = {G_OBJECT, .shape = &stamp_shape};
SHAPE(auth_hmac, "auth by HMAC",
	  {"kind", &none_kind, true}, {"algorithm", &algorithm}, {"key", &auth_text, true}, {"message", &sign_texts, true}, {"join", &blank},
	  {"encoding", &encoding}, {"signature", &inject, true}, {"timestamp", &stamp}, {"nonce", &stamp}, {"headers", &auth_headers}, {"query", &auth_values});
RULE auth = {G_AUTH};

const GrammarAuth cdp_grammar_auth[] = {
	{"none", &auth_none}, {"login_token", &auth_login}, {"header", &auth_header}, {"basic", &auth_basic}, {"oauth_client", &auth_oauth}, {"hmac", &auth_hmac}, {NULL, NULL}
};
const char *const cdp_grammar_auth_kinds[] = {"none", "login_token", "header", "basic", "oauth_client", "hmac", NULL};

/* answers: what is good, what to do about errors, quotas */
SHAPE(ok_shape, "what makes an answer good", {"path", &paths}, {"header", &header}, {"equals", &scalars_or_null, true});
RULE ok = {G_OBJECT, .shape = &ok_shape};
RULE verb = {G_WORD, verbs};
RULE until = {G_WORD, untils};
SHAPE(error_shape, "a rule about errors",
	  {"code", &scalars}, {"http", &statuses}, {"do", &verb, true}, {"max", &tries}, {"until", &until}, {"honor", &header}, {"wait_s", &seconds}, {"note", &any_text});
RULE error_rule = {G_OBJECT, .shape = &error_shape};
RULE errors = {G_LIST, .item = &error_rule};
RULE quota_scope = {G_WORD, quota_scopes};
SHAPE(quota_shape, "a quota", {"scope", &quota_scope}, {"per", &span, true}, {"max", &count, true});
RULE quota_rule = {G_OBJECT, .shape = &quota_shape};
RULE quota = {G_LIST, .item = &quota_rule};

/* streams: how they are asked */
RULE response = {G_WORD, responses};
RULE columns = {G_LIST, .item = &any_text};
SHAPE(csv_shape, "the form of CSV", {"delimiter", &any_text}, {"header", &boolean}, {"columns", &columns});
RULE csv = {G_OBJECT, .shape = &csv_shape};
SHAPE(partition_shape, "a partition",
	  {"from", &name}, {"config", &name}, {"values", &scalar_list}, {"value", &field}, {"fields", &field_map}, {"chunk", &chunk});
RULE partition = {G_OBJECT, .shape = &partition_shape};
RULE unit = {G_WORD, units};
RULE end = {G_WORD, ends};
SHAPE(window_shape, "a window",
	  {"unit", &unit, true}, {"end", &end}, {"max_days", &some_days, true}, {"history_days", &days}, {"history_from", &day}, {"ready_at", &clock_time},
	  {"delay_days", &days}, {"lookback_days", &days}, {"final_after_days", &days}, {"format", &time_format});
RULE window = {G_OBJECT, .shape = &window_shape};
RULE cursor_kind = {G_WORD, cursor_kinds};
RULE cursor_end = {G_WORD, cursor_ends};
SHAPE(cursor_shape, "a cursor",
	  {"kind", &cursor_kind}, {"send", &place}, {"take", &path}, {"start", &scalar}, {"more", &path}, {"ending", &path}, {"end", &cursor_end},
	  {"total", &path}, {"pages", &path}, {"size", &count}, {"keep", &boolean}, {"resumable", &boolean}, {"expires_s", &seconds});
RULE cursor = {G_OBJECT, .shape = &cursor_shape};

/* streams: what their records mean */
SHAPE(time_shape, "a time", {"path", &field, true}, {"format", &time_format});
RULE moment = {G_EITHER, .shape = &time_shape, .item = &field};
SHAPE(page_time_shape, "a time", {"path", &page_field, true}, {"format", &time_format});
RULE page_moment = {G_EITHER, .shape = &page_time_shape, .item = &page_field};
SHAPE(condition_shape, "a condition", {"path", &field, true}, {"equals", &scalars_or_null}, {"differs", &scalars_or_null});
RULE condition = {G_OBJECT, .shape = &condition_shape};
RULE conditions = {G_LIST, .item = &condition};
SHAPE(value_shape, "a value", {"path", &field, true}, {"map", &scalar_map}, {"default", &scalar});
RULE constant = {G_EITHER, .shape = &value_shape, .item = &any_text};
SHAPE(known_shape, "what tells which values are known", {"stream", &name, true}, {"value", &field, true});
RULE known = {G_OBJECT, .shape = &known_shape};
SHAPE(claim_shape, "a value", {"path", &field, true}, {"map", &scalar_map}, {"default", &scalar}, {"known", &known});
RULE claim = {G_EITHER, .shape = &claim_shape, .item = &any_text};
SHAPE(amount_shape, "an amount", {"path", &field, true}, {"scale", &number}, {"negate", &boolean});
RULE amount = {G_EITHER, .shape = &amount_shape, .item = &field};
RULE metric_kind = {G_WORD, metric_kinds};
RULE standard = {G_WORD, standards};
SHAPE(metric_shape, "a metric",
	  {"path", &field}, {"kind", &metric_kind, true}, {"as", &standard}, {"scale", &number}, {"weight", &field}, {"currency", &constant});
RULE metric = {G_EITHER, .shape = &metric_shape, .item = &metric_kind};
RULE metrics = {G_MAP, .item = &metric, .min = NAMES_OWN};
RULE dimensions = {G_MAP, .item = &field, .min = NAMES_OWN};
SHAPE(ready_shape, "what tells that data are not ready", {"path", &path}, {"equals", &scalars}, {"all_zero", &boolean});
RULE not_ready = {G_OBJECT, .shape = &ready_shape};
SHAPE(origin_shape, "an origin",
	  {"source", &constant}, {"medium", &constant}, {"campaign", &claim}, {"referrer_host", &constant}, {"add_way", &constant}, {"qr_scene", &constant});
RULE origin = {G_OBJECT, .shape = &origin_shape};
SHAPE(touchpoint_shape, "a touchpoint",
	  {"kind", &constant, true}, {"occurred_at", &moment, true}, {"key", &fields}, {"identifiers", &field_map, true}, {"origin", &origin}, {"value", &amount},
	  {"currency", &constant}, {"properties", &field_map}, {"refers_to", &field}, {"when", &conditions});
RULE touchpoint_one = {G_OBJECT, .shape = &touchpoint_shape};
RULE touchpoint = {G_SOME, .item = &touchpoint_one};
RULE content_kind = {G_WORD, content_kinds};
SHAPE(content_shape, "a content",
	  {"kind", &content_kind, true}, {"id", &field, true}, {"parent", &field}, {"author", &field}, {"created_at", &moment}, {"title", &field}, {"text", &field},
	  {"url", &field}, {"when", &conditions});
RULE content = {G_OBJECT, .shape = &content_shape};

SHAPE(stream_shape, "a stream",
	  {"title", &any_text}, {"description", &any_text}, {"method", &method}, {"path", &request_text, true}, {"query", &request_values}, {"headers", &request_headers},
	  {"body", &request_tree}, {"form", &request_values}, {"response", &response}, {"csv", &csv}, {"every", &span}, {"probe", &boolean}, {"deliver", &boolean},
	  {"partition", &partition}, {"window", &window}, {"cursor", &cursor}, {"records", &paths, true}, {"unpack", &fields}, {"key", &page_fields},
	  {"ref_date", &page_moment}, {"skip", &conditions}, {"metrics", &metrics}, {"dimensions", &dimensions}, {"not_ready", &not_ready},
	  {"touchpoint", &touchpoint}, {"content", &content}, {"pii", &fields}, {"ok", &ok}, {"errors", &errors}, {"quota", &quota});
RULE stream = {G_OBJECT, .shape = &stream_shape};
RULE streams = {G_MAP, .item = &stream, .min = NAMES_OWN};

/* callback: what the platform pushes, and what it makes worth asking again */
RULE dialect = {G_WORD, dialects};
SHAPE(event_shape, "a rule about callbacks", {"when", &conditions}, {"stream", &name, true}, {"part", &field});
RULE event_rule = {G_OBJECT, .shape = &event_shape};
RULE events = {G_LIST, .item = &event_rule};
SHAPE(callback_shape, "a callback", {"dialect", &dialect, true}, {"receiver", &name}, {"events", &events});
RULE callback = {G_OBJECT, .shape = &callback_shape};

/* quota_check: a call that tells how many are left */
RULE config_tree = {G_TREE, .min = VAR_BIT(VAR_CONFIG)};
SHAPE(quota_check_shape, "the call that tells the quota",
	  {"method", &method}, {"path", &auth_path, true}, {"body", &config_tree}, {"send", &place}, {"left", &path, true}, {"of", &path});
RULE quota_check = {G_OBJECT, .shape = &quota_check_shape};

static const GrammarKey root_keys[] = {
	{"connector", &name, true}, {"version", &version, true}, {"title", &any_text}, {"description", &any_text}, {"example", &boolean}, {"docs", &any_text},
	{"channel", &any_text}, {"base_url", &url, true}, {"tz", &zone}, {"config", &config}, {"secrets", &secrets}, {"auth", &auth}, {"ok", &ok},
	{"errors", &errors}, {"quota", &quota}, {"streams", &streams, true}, {"callback", &callback}, {"quota_check", &quota_check}
};
const GrammarShape cdp_grammar_root = {"a manifest", lengthof(root_keys), root_keys};
