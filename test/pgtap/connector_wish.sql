-- Wishes: what shall be pulled before its time is wished once, widened, granted by the pull that was asked after it, and erased.
SELECT no_plan();
SET client_min_messages = error;
SELECT cdp.add_source('chat'), cdp.create_connection('chat', 'wecom', '{"corpid": "ww1"}', 'chat') \g /dev/null
SELECT connection_id AS chat FROM cdp_data.connection \gset
CREATE FUNCTION pg_temp.wishes() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', stream, nullif(part, ''), first_day, last_day, reason, to_char(wished_at AT TIME ZONE 'UTC', 'HH24:MI'), wishes), ', ' ORDER BY stream, part) FROM cdp_data.stream_wish $$;

SELECT is(cdp_internal.wish(:chat, 'contacts', 'li', 'callback one', '2026-03-02 09:00+00'), true, 'a wish');
SELECT is(cdp_internal.wish(:chat, 'contacts', 'li', 'callback two', '2026-03-02 09:05+00'), true, 'the same again');
SELECT is(cdp_internal.wish(:chat, 'contacts', 'li', 'callback old', '2026-03-02 08:00+00'), true, 'and an older one that comes later');
SELECT is(cdp_internal.wish(:chat, 'groupchats', NULL, 'callback', '2026-03-02 09:01+00'), true, 'for a whole stream');
SELECT is(pg_temp.wishes(), 'contacts li callback two 09:05 3, groupchats callback 09:01 1', 'are one each, of the newest time');
SELECT is(cdp_internal.wish(:chat, 'nothing', 'li', 'callback', '2026-03-02 09:00+00'), false, 'nothing is wished of a stream that is not there');
SELECT is(cdp_internal.wish(:chat + 1, 'contacts', 'li', 'callback', '2026-03-02 09:00+00'), false, 'nor of a connection that is not there');

-- Days.
SELECT cdp_internal.wish(:chat, 'behavior', 'li', 'callback', '2026-03-02 09:00+00', '2026-02-10', '2026-02-11'), cdp_internal.wish(:chat, 'behavior', 'li', 'callback', '2026-03-02 09:00+00', '2026-02-07', '2026-02-08') \g /dev/null
SELECT is((SELECT concat_ws(' ', first_day, last_day) FROM cdp_data.stream_wish WHERE stream = 'behavior'), '2026-02-07 2026-02-11', 'days become those from the first to the last');
SELECT cdp_internal.wish(:chat, 'behavior', 'li', 'callback', '2026-03-02 09:00+00') \g /dev/null
SELECT is((SELECT concat_ws(' ', first_day, last_day) FROM cdp_data.stream_wish WHERE stream = 'behavior'), '', 'and whatever is due when no days are told');
SELECT throws_ok(format('SELECT cdp_internal.wish(%s, ''behavior'', ''wu'', ''callback'', now(), ''2026-02-11'', ''2026-02-10'')', :chat), '23514', NULL, 'days that end before they begin are refused');

-- Granted.
SELECT is(cdp_internal.wish_granted(:chat, 'contacts', '{wu,li}', '2026-03-02 09:04+00'), 0, 'a pull that was asked before the wish does not grant it');
SELECT is(cdp_internal.wish_granted(:chat, 'contacts', '{wu}', '2026-03-02 09:06+00'), 0, 'nor one of another part');
SELECT is(cdp_internal.wish_granted(:chat, 'contacts', '{wu,li}', '2026-03-02 09:05+00'), 1, 'one that was asked then does');
SELECT is(cdp_internal.wish_granted(:chat, 'groupchats', NULL, '2026-03-02 09:06+00'), 1, 'also of a whole stream');
SELECT is(pg_temp.wishes(), 'behavior li callback 09:00 3', 'the others stay');

-- Erased, and over.
SELECT cdp.identify('chat', '{"user_id": "u7"}') \g /dev/null
SELECT cdp_internal.wish(:chat, 'contact_way', 'u7', 'callback', '2026-03-02 09:00+00') \g /dev/null
SELECT is((SELECT concat_ws(' ', table_name, action, n) FROM cdp_internal.erase_of_values_wish(NULL, NULL, ARRAY(SELECT identifier_id FROM cdp_data.identifier WHERE value = 'u7'), NULL, 'delete')), 'cdp_data.stream_wish delete 1', 'a wish that names a person goes with him');
SELECT is(pg_temp.wishes(), 'behavior li callback 09:00 3', 'and only that one');
SELECT cdp.retire_connection('chat', 'over') \g /dev/null
SELECT is(cdp_internal.wish(:chat, 'contacts', 'li', 'callback', '2026-03-02 09:00+00'), false, 'nothing is wished of a connection that is retired');
CALL cdp_internal.maintain_room_wish();
SELECT is(pg_temp.wishes(), NULL, 'and its wishes go');
SELECT * FROM finish();
