-- Loads a user's own CSV of touches, which tools/demo.sh has copied to demo.own as text (nth is the row), in the
-- caller's one transaction: any bad row stops all of it. Argument: timezone.
-- The line in the file is not the row: the header, and line breaks inside quotes, count too.
CREATE VIEW demo.touches AS
SELECT coalesce(nullif(btrim(r.row ->> 'id'), ''), 'line ' || r.line) AS source_key, r.row ->> 'time' AS occurred_at,
  'user_id' AS identifier_type, r.row ->> 'customer' AS identifier,
  CASE WHEN coalesce(btrim(r.row ->> 'revenue'), '') = '' THEN 'touch' WHEN cdp_internal.parse_value(r.row ->> 'revenue') < 0 THEN 'refund' ELSE 'purchase' END AS kind,
  btrim(r.row ->> 'channel') AS source, r.row ->> 'medium' AS medium, r.row ->> 'campaign' AS campaign,
  nullif(btrim(r.row ->> 'revenue'), '') AS value, r.row ->> 'currency' AS currency,
  nullif(jsonb_strip_nulls(r.row - '{nth,id,customer,time,channel,revenue,currency,medium,campaign}'::text[]), '{}') AS properties, r.line
FROM (
  SELECT w.row, w.nth, 1 + w.nth + coalesce(sum(w.breaks) OVER (ORDER BY w.nth ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS line
  FROM (SELECT to_jsonb(o) AS row, o.nth,
          (SELECT coalesce(sum(length(v) - length(replace(v, E'\n', ''))), 0) FROM jsonb_each_text(to_jsonb(o)) e (k, v)) AS breaks
        FROM demo.own o) w) r
ORDER BY r.nth;

-- A touch must say where it came from; the loader itself would take it for direct.
DO $$
DECLARE
  bad text;
BEGIN
  IF NOT EXISTS (SELECT FROM demo.own) THEN
    RAISE EXCEPTION 'the file has a header and no rows';
  END IF;
  SELECT string_agg(format('line %s: channel is missing in a row without revenue', t.line), E'\n') INTO bad
  FROM (SELECT t.line FROM demo.touches t WHERE t.kind = 'touch' AND coalesce(t.source, '') = '' LIMIT 5) t;
  IF bad IS NOT NULL THEN
    RAISE EXCEPTION E'rows that cannot be used\n%', bad;
  END IF;
  -- Known only to have no rate when it is a currency at all; the loader names those that are none.
  SELECT string_agg(format('line %s: revenue is in %s, and there is no rate into %s', t.line, t.code, t.base), E'\n') INTO bad
  FROM (SELECT t.line, c.code, s.currency AS base
        FROM demo.touches t JOIN cdp_data.currency_all c ON c.code = upper(btrim(t.currency)), cdp_data.setting s
        WHERE t.value IS NOT NULL AND c.code <> s.currency LIMIT 5) t;
  IF bad IS NOT NULL THEN
    RAISE EXCEPTION E'rows that cannot be used\n%', bad
      USING HINT = 'Say which currency the file is in, as in: make demo DATA=... CURRENCY=USD. Money of several currencies needs dated rates: see docs/load.md.';
  END IF;
END $$;

-- The user's words for channels are kept: what is no built-in channel becomes one of his own.
INSERT INTO cdp_data.channel (name)
SELECT DISTINCT ON (lower(c.name)) c.name
FROM (SELECT DISTINCT ltrim(t.source, '(') AS name FROM demo.touches t WHERE t.source <> '') c
WHERE c.name <> '' AND lower(c.name) NOT IN ('direct', 'direct)', 'none)', 'none')
  AND NOT EXISTS (SELECT FROM cdp_data.channel_all a WHERE lower(a.name) = lower(c.name))
ORDER BY lower(c.name), c.name;
INSERT INTO cdp_data.channel_rule (priority, source, channel_id, note)
SELECT DISTINCT ON (lower(t.source)) 1, replace(regexp_replace(t.source, '([\\%_])', '\\\1', 'g'), '|', '_'), a.channel_id, 'from the file of the demo'
FROM (SELECT DISTINCT t.source FROM demo.touches t WHERE t.source <> '') t
  JOIN cdp_data.channel_all a ON lower(a.name) = CASE WHEN lower(t.source) IN ('(direct)', '(none)', 'none') THEN 'direct' ELSE lower(ltrim(t.source, '(')) END
ORDER BY lower(t.source), a.channel_id;

SELECT cdp.add_source('own file', :'timezone', 'file', 'The file of make demo DATA=...') AS source \gset
SELECT * FROM cdp.load_touchpoints('own file', 'demo.touches') \gset
DO $$
DECLARE
  bad text;
  n bigint;
BEGIN
  SELECT count(*) INTO n FROM cdp_data.quarantine;
  SELECT string_agg(format('line %s: %s', l.line, replace(replace(replace(replace(q.reason, 'occurred_at', 'time'), 'identifier', 'customer'),
    'value is', 'revenue is'), 'source_key', 'id')), E'\n' ORDER BY row_no) INTO bad
  FROM (SELECT * FROM cdp_data.quarantine ORDER BY row_no LIMIT 5) q
    JOIN (SELECT t.line, row_number() OVER (ORDER BY t.line) AS row_no FROM demo.touches t) l USING (row_no);
  IF n > 0 THEN
    RAISE EXCEPTION E'% of the rows cannot be used\n%', n, bad || CASE WHEN n > 5 THEN E'\n...' ELSE '' END;
  END IF;
END $$;
SELECT format('   %s rows: %s touches, %s conversions, %s refunds of %s customers, from %s to %s', count(*), count(*) FILTER (WHERE t.value IS NULL),
  count(*) FILTER (WHERE t.value >= 0), count(*) FILTER (WHERE t.value < 0), count(DISTINCT t.customer_id), min(t.occurred_at)::date, max(t.occurred_at)::date)
FROM cdp_data.touchpoint t;
