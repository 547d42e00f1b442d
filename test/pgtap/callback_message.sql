-- Messages of callbacks as JSON: the forms that platforms send, what is replaced, what is refused with its place, and no entity that leads outside.
SELECT no_plan();
CREATE FUNCTION pg_temp.read(message text) RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', doc, nullif(scrubbed, 0), problem) FROM cdp_internal.callback_message(convert_to(message, 'UTF8')) $$;

SELECT is(pg_temp.read(m), want, m) FROM (VALUES
  ('<xml><a>1</a></xml>', '{"a": "1"}'),
  (E' \n<?xml version="1.0"?>\n<!-- x --><xml>\n <a><![CDATA[b]]></a>\n <c/></xml>\n<!-- y -->', '{"a": "b", "c": ""}'),
  ('<xml><a>1</a><b>x</b><a>2</a></xml>', '{"a": ["1", "2"], "b": "x"}'),
  ('<xml><a><b>1</b></a><a><b>2</b><b>3</b></a></xml>', '{"a": [{"b": "1"}, {"b": ["2", "3"]}]}'),
  ('<xml><a>x<![CDATA[<y>&amp;]]>z</a></xml>', '{"a": "x<y>&amp;z"}'),
  ('<xml><a>&lt;&gt;&amp;&quot;&apos;&#65;&#x5FAE;</a></xml>', '{"a": "<>&\"''A微"}'),
  ('<xml><a>&#0;&#xD800;&#x110000;</a></xml>', '{"a": "���"}'),
  ('<xml><a>&#99999999;</a></xml>', '{"a": "�"}'),
  ('<xml><a t="1 > 2" u = ''x''>b</a ></xml>', '{"a": "b"}'),
  ('<xml><a><!-- <b> -->c</a></xml>', '{"a": "c"}'),
  ('<xml><a> b </a></xml>', '{"a": " b "}'),
  (E'<xml><a>\x01\x1f</a></xml>', '{"a": "��"} 2'),
  ('<微信><名称>值</名称></微信>', '{"名称": "值"}'),
  (U&'\FEFF<xml><a>1</a></xml>', '{"a": "1"}'),
  ('{"a": 3705115058471208928, "b": {"c": [1, "x"]}}', '{"a": 3705115058471208928, "b": {"c": [1, "x"]}}'),
  ('  {"a": "\ud800"}', '{"a": "�"} 1')) AS v (m, want);
SELECT is(pg_temp.read(m), 'not XML at byte ' || want, m) FROM (VALUES
  ('', '0: an element must begin here'), ('text', '0: an element must begin here'), ('[1]', '0: an element must begin here'), ('<xml>', '5: the message ends within an element'), ('<xml></xml>', '11: there is no element in the message'), ('<xml>text</xml>', '15: there is no element in the message'),
  ('<xml><a>1</b></xml>', '12: another element ends here than began'), ('<xml><a>1</xml>', '14: another element ends here than began'), ('<xml><a>1</a></xml><xml/>', '19: something stands behind the message'), ('<xml><a>1</a></xml>x', '19: something stands behind the message'),
  ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><a>&e;</a></xml>', '1: an element must begin here'), ('<xml><a>&e;</a></xml>', '9: no entity but those of XML is known'), ('<xml><a>&#;</a></xml>', '10: no entity but those of XML is known'),
  ('<xml><a>&#x;</a></xml>', '11: no entity but those of XML is known'), ('<xml><a>&lt</a></xml>', '9: no entity but those of XML is known'), ('<xml><a><![CDATA[b</a></xml>', '28: CDATA that does not end'), ('<xml><!-- <a>1</a></xml>', '24: a comment that does not end'), ('<!-- ', '5: a comment or an instruction does not end'),
  ('<xml><a b>1</a></xml>', '9: this tag does not end'), ('<xml><a b="1>1</a></xml>', '24: this tag does not end'), ('<xml><1>1</1></xml>', '6: an element must begin here'), ('<xml><!a></xml>', '6: an element must begin here')) AS v (m, want);
-- Sizes.
SELECT is(pg_temp.read(repeat('<a>', 31) || '<b/>' || repeat('</a>', 31)) ~ '^{"a"', true, '32 levels');
SELECT is(pg_temp.read(repeat('<a>', 33) || repeat('</a>', 33)), 'not XML at byte 96: too deep, or too many elements', 'and no more');
SELECT is((SELECT jsonb_array_length(doc -> 'b') FROM cdp_internal.callback_message(convert_to('<a>' || repeat('<b/>', 9999) || '</a>', 'UTF8'))), 9999, '10,000 elements');
SELECT is(pg_temp.read('<a>' || repeat('<b/>', 10000) || '</a>'), 'not XML at byte 39999: too deep, or too many elements', 'and no more');
SELECT is(pg_temp.read('<a><b>' || repeat('x', 1048576 - 14) || '</b></a>') ~ '^{"b"', true, '1 MiB');
SELECT is(pg_temp.read('<a><b>' || repeat('x', 1048576 - 13) || '</b></a>'), 'a message has at most 1048576 bytes', 'and no more');
SELECT is((SELECT concat_ws(' ', doc, scrubbed) FROM cdp_internal.callback_message('\x3c613e3c623eff41c3283c2f623e3c2f613e')), '{"b": "�A�("} 2', 'bytes that are no text are replaced');
SELECT is((SELECT m IS NULL FROM (SELECT cdp_internal.callback_message(NULL)::text) x (m)), true, 'NULL for NULL');

-- Against PostgreSQL's own reader of XML, where the server has one: random messages.
CREATE FUNCTION pg_temp.tree(x xml) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE n xml[] := xpath('/*/*', x);
BEGIN
  IF cardinality(n) = 0 THEN
    RETURN to_jsonb((xpath('string(/*)', x))[1]::text);
  END IF;
  RETURN (SELECT jsonb_object_agg(name, CASE WHEN cardinality(v) = 1 THEN v[1] ELSE to_jsonb(v) END) FROM (
    SELECT (xpath('name(/*)', e))[1]::text AS name, array_agg(pg_temp.tree(e) ORDER BY i) AS v FROM unnest(n) WITH ORDINALITY u (e, i) GROUP BY 1) g);
END $$;
CREATE FUNCTION pg_temp.random_message(depth integer) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(CASE WHEN depth > 0 AND random() < 0.3 THEN format('<%1$s>%2$s</%1$s>', name, pg_temp.random_message(depth - 1))
    ELSE format('<%1$s>%2$s</%1$s>', name, (ARRAY['x', '<![CDATA[a b]]>', '微信', '12', '<![CDATA[]]>', ' y <!-- c -->z', '-'])[1 + (7 * random())::integer % 7]) END, (ARRAY['', E'\n', ' '])[1 + (3 * random())::integer % 3])
  FROM (SELECT (ARRAY['a', 'Bc', 'D_1', 'e.f'])[1 + (4 * random())::integer % 4] AS name FROM generate_series(1, 1 + (4 * random())::integer)) n $$;
SELECT setseed(0.12) \g /dev/null
SELECT EXISTS (SELECT FROM pg_config WHERE name = 'CONFIGURE' AND setting ~ 'with-libxml') AS have_xml \gset
\if :have_xml
SELECT is((SELECT string_agg(m, E'\n') FROM (SELECT '<xml>' || pg_temp.random_message(3) || '</xml>' AS m FROM generate_series(1, 300)) r, LATERAL cdp_internal.callback_message(convert_to(m, 'UTF8')) o WHERE o.doc IS DISTINCT FROM pg_temp.tree(m::xml)), NULL, '300 random messages are read as PostgreSQL''s own reader does');
\else
SELECT skip('this server has no XML', 1);
\endif
SELECT * FROM finish();
