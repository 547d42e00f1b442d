-- Messages of callbacks: good ones with bytes changed, dropped, doubled and swapped, and any bytes. Each is read as an object that comes back the same, or is told as a
-- problem with a place; nothing else comes of it, whatever the built-in connectors make of it. Bodies of requests the same: a cipher text is base64 or there is none.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null

DO $$
DECLARE
  seeds text[] := ARRAY['<xml><ToUserName><![CDATA[wx1]]></ToUserName><CreateTime>1</CreateTime><Event><![CDATA[change_external_contact]]></Event><UserID>li</UserID></xml>',
    '<?xml version="1.0"?><xml><a x="1"><b>&lt;&#65;</b><b>微信</b></a><!-- c --><Event>kf_msg_or_event</Event><OpenKfId>wk</OpenKfId></xml>',
    '{"MsgType": "event", "Event": "channels_ec_order_new", "order_info": {"order_id": 3705115058471208928}}', '<xml><Encrypt><![CDATA[QUJDRA==]]></Encrypt></xml>', '{"ToUserName": "x", "Encrypt": "QUJDRA=="}'];
  bits text[] := ARRAY['<', '>', '</', '/>', '&', ';', '&#', '&#x', '<![CDATA[', ']]>', '<!--', '-->', '<?', '?>', '<!DOCTYPE', '"', '''', '=', 'a', '<a>', '</a>', '{', '}', ' ', '<Encrypt>', '"encrypt"', '"Encrypt":"'];
  manifests jsonb[] := ARRAY(SELECT b.manifest FROM cdp.connector_builtin() b WHERE b.manifest ? 'callback');
  good integer := 0;
  message bytea;
  d record;
  cipher text;
  at integer;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    message := convert_to(seeds[1 + floor(random() * cardinality(seeds))::integer], 'UTF8');
    FOR change IN 1 .. floor(random() * random() * 12)::integer LOOP
      at := 1 + floor(random() * (octet_length(message) + 1))::integer;
      message := CASE floor(random() * 5)::integer
        WHEN 0 THEN substring(message FROM 1 FOR at - 1) || set_byte('\x00'::bytea, 0, floor(random() * 256)::integer) || substring(message FROM at)
        WHEN 1 THEN substring(message FROM 1 FOR at - 1) || substring(message FROM at + floor(random() * 9)::integer)
        WHEN 2 THEN substring(message FROM 1 FOR at - 1) || substring(message FROM greatest(1, at - floor(random() * 30)::integer))
        ELSE substring(message FROM 1 FOR at - 1) || convert_to(bits[1 + floor(random() * cardinality(bits))::integer], 'UTF8') || substring(message FROM at) END;
    END LOOP;
    d := cdp_internal.callback_message(message);
    IF (d.doc IS NULL) = (d.problem IS NULL) OR d.problem !~ '^(not (XML|JSON) at byte \d+: |a message has)' AND d.problem !~ '^[a-z]' THEN
      RAISE EXCEPTION 'round %: % comes to % %', round, encode(message, 'hex'), d.doc, d.problem;
    ELSIF d.doc IS NOT NULL THEN
      IF jsonb_typeof(d.doc) <> 'object' OR d.doc::text::jsonb <> d.doc THEN
        RAISE EXCEPTION 'round %: % is read as %', round, encode(message, 'hex'), d.doc;
      END IF;
      good := good + 1;
      PERFORM w.* FROM unnest(manifests) m, LATERAL cdp_internal.connector_wishes(m, d.doc) w;
      PERFORM cdp_internal.content_tokens(d.doc);
    END IF;
    cipher := cdp_internal.callback_cipher(message);
    IF cipher !~ '^[A-Za-z0-9+/=]+$' THEN
      RAISE EXCEPTION 'round %: the cipher text of % is %', round, encode(message, 'hex'), cipher;
    END IF;
  END LOOP;
  IF good < current_setting('fuzz.rounds')::integer / 20 THEN
    RAISE EXCEPTION 'hardly any message is read: % of %', good, current_setting('fuzz.rounds');
  END IF;
END $$;
