-- Every SQL block of docs/callbacks.md can be typed as it stands, in order; the page has every state, every event of the built-in connectors and every finding.
SELECT plan(5);
SET client_min_messages = error;
\set page `f=$(mktemp) && awk '/^\140\140\140sql/ {p = 1; next} /^\140\140\140/ {p = 0} p' "$CDP_TOP/docs/callbacks.md" >"$f" && echo "$f"`
\setenv PAGE :page
\o /dev/null
\i :page
\o
\! rm -f "$PAGE"
SELECT is((SELECT role_name FROM cdp_data.role_name WHERE template = 'gateway'), 'docs_gateway', 'docs/callbacks.md runs');
SELECT is(convert_from(cdp_internal.take_callback('wecom app', cdp_internal.known_callback_signature('QDG6eK', '1800000000', 'n', c), '1800000000', 'n', NULL, c, NULL, to_timestamp(1800000000)), 'UTF8'), 'hello', 'its connection takes callbacks')
FROM cdp_internal.known_callback_seal('jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C', 'ww0123456789abcdef', decode(md5('x'), 'hex'), 'hello') c;
\set page `cat "$CDP_TOP/docs/callbacks.md"`
SELECT is((SELECT string_agg(s, ' ') FROM regexp_matches((SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'callback_state_check'), '''([a-z_]+)''', 'g') m (g) CROSS JOIN LATERAL unnest(g) s WHERE :'page' !~ ('\n\| ' || s || ' \|')), NULL, 'the page has every state');
SELECT is((SELECT string_agg(DISTINCT b.connector || ' ' || v, ', ') FROM cdp.connector_builtin() b, jsonb_path_query(b.manifest, '$.callback.events[*].when[*] ? (@.path == "Event" || @.path == "ChangeType")') w, jsonb_path_query(w, '$.equals[*]') x, LATERAL (SELECT regexp_replace(x #>> '{}', '_order_.*', '_order_...')) y (v)
  WHERE strpos(:'page', '`' || v || '`') = 0), NULL, 'every event');
SELECT is((SELECT string_agg(f, ' ') FROM regexp_matches((SELECT prosrc FROM pg_proc WHERE proname = 'health_of_callbacks'), '''((?:callbacks|wishes)_[a-z_]+)''', 'g') m (g) CROSS JOIN LATERAL unnest(g) f WHERE strpos(:'page', '`' || f || '`') = 0), NULL, 'and every finding');
SELECT * FROM finish();
DROP OWNED BY docs_gateway; DROP ROLE docs_gateway;
