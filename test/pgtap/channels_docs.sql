-- Every SQL block of docs/channels.md can be typed as it stands, in order; live, its record is the touchpoint that the page tells of.
SELECT plan(4);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/channels.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT count(*) FROM cdp_data.raw_record), 2::bigint, 'docs/channels.md runs');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), 0::bigint, 'a draft makes no touchpoints');
UPDATE cdp_data.connection SET state = 'live';
CALL cdp.map_connection('staff chat');
SELECT is((SELECT concat_ws(' ', n.name, o.source, o.add_way, o.campaign) FROM cdp_data.touchpoint t JOIN cdp_data.origin o USING (origin_id) JOIN cdp_data.touch_kind_all n USING (kind_id)), 'add_contact wecom qr_code spring', 'live, there is one');
SELECT is(cdp.customer_of('unionid', 'oUnionAbcdefghijklmnopqr'), cdp.customer_of('external_userid', 'wmAbcdefghijklmnopqrstuv'), 'with both identifiers');
SELECT * FROM finish();
