-- Governance room, access: masks. What they hide is gone from the result, however one filters: the views that use
-- them are security barriers, so a filter sees masked values only. No mask raises an error or shows a length.

CREATE OR REPLACE FUNCTION cdp.mask_text(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN pg_catalog.length(value) >= 8 AND value NOT LIKE 'cdp1:%' THEN left(value, 2) || '****' || right(value, 2) ELSE '****' END;
COMMENT ON FUNCTION cdp.mask_text(text) IS
'A value of any sort with its two first and two last characters: ab****yz. Below 8 characters, and of an encrypted value, nothing is shown: ****. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp.mask_name(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN value LIKE 'cdp1:%' THEN '**' ELSE coalesce((
  SELECT string_agg(CASE WHEN pg_catalog.length(w.word) > 1 THEN left(w.word, 1) ELSE '' END || '**', ' ' ORDER BY w.nth)
  FROM regexp_split_to_table(btrim(value), '\s+') WITH ORDINALITY AS w (word, nth) WHERE w.nth <= 3 AND w.word <> ''), '**') END;
COMMENT ON FUNCTION cdp.mask_name(text) IS
'A name with the first character of each of its first three words: A** S**. Words of one character show nothing. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp.mask_email(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN value !~ '^[^@]+@[^@]+$' OR value LIKE 'cdp1:%' THEN '****' ELSE
  CASE WHEN pg_catalog.length(split_part(value, '@', 1)) >= 3 THEN left(value, 1) ELSE '' END || '***@'
  || CASE WHEN pg_catalog.length(split_part(split_part(value, '@', 2), '.', 1)) >= 3 THEN left(split_part(value, '@', 2), 1) ELSE '' END || '***'
  || coalesce(substring(split_part(value, '@', 2) FROM '\.(?:[a-z]{2,18}|xn--[a-z0-9-]{2,18})$'), '') END;
COMMENT ON FUNCTION cdp.mask_email(text) IS
'An e-mail address with the first character of its name and of its host, and the top-level domain: l***@e***.com. Parts below 3 characters show nothing. What is no address: ****. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp.mask_phone(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
  -- Country codes of ITU E.164: one digit, the assigned ones of two, else three. At least four digits are hidden.
  SELECT CASE WHEN pg_catalog.length(n.rest) >= 7 THEN coalesce('+' || n.country || ' ', '') || left(n.rest, s.shown / 2) || '****' || right(n.rest, s.shown - s.shown / 2)
    ELSE '****' END
  FROM (
    SELECT p.m[1] AS country, coalesce(p.m[2], CASE WHEN value ~ '^\d+$' THEN value END, '') AS rest
    FROM (SELECT regexp_match(value,
      '^\+(1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|(?:2[1-689]|3[578]|42|5[09]|6[7-9]|8[035789]|9[679])\d)(\d+)$')) AS p (m)) n
    CROSS JOIN LATERAL (SELECT least(7, pg_catalog.length(n.rest) - 4)) AS s (shown);
END;
COMMENT ON FUNCTION cdp.mask_phone(text) IS
'A phone number in the stored form (+ country, number) with its country code and at most seven digits, three before and four after: +86 138****5678. At least four digits are hidden; below 7 digits, and for anything else, all: ****. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp.mask_identifier(normaliser text, value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE normaliser WHEN 'email' THEN cdp.mask_email(value) WHEN 'phone' THEN cdp.mask_phone(value) ELSE cdp.mask_text(value) END;
COMMENT ON FUNCTION cdp.mask_identifier(text, text) IS
'The mask for an identifier of a type with this normaliser (cdp_data.identifier_type_all): cdp.mask_email(), cdp.mask_phone(), else cdp.mask_text(). NULL for a NULL value.';

CREATE OR REPLACE FUNCTION cdp.mask_labels(provider text DEFAULT 'anon') RETURNS TABLE (table_name text, column_name text, mask text, label text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  -- Anonymizer reads the label of the table that is asked, so a partition has one beside that of its table; dumps ask partitions.
  -- Texts that must stay are hashed: other values stay other values, so that no unique key fails when the copy is restored.
  RETURN QUERY
  SELECT v.table_name, v.column_name, m.mask,
    format('SECURITY LABEL FOR %I ON COLUMN %s.%I IS %L;', provider, v.table_name, v.column_name,
      CASE WHEN m.mask LIKE 'anon.%' THEN 'MASKED WITH FUNCTION ' ELSE 'MASKED WITH VALUE ' END || m.mask)
  FROM cdp_internal.personal_values() v JOIN pg_attribute a ON a.attrelid = v.relation AND a.attnum = v.column_no
    CROSS JOIN LATERAL (
      SELECT CASE WHEN a.atttypid = 'text'::regtype AND (v.category = 'identifier' OR a.attnotnull) THEN format('anon.hash(%I)', v.column_name)
        WHEN NOT a.attnotnull THEN 'NULL' WHEN a.atttypid IN ('jsonb'::regtype, 'json'::regtype) OR a.attndims > 0 THEN quote_literal('{}') ELSE quote_literal('') END) AS m (mask)
  ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION cdp.mask_labels(text) IS
'Statements (label) that put a mask of PostgreSQL Anonymizer on every column that holds values about people, from the registry, your own tables and every partition too: SELECT label FROM cdp.mask_labels() \gexec. mask is the expression that takes the value''s place: a hash for identifiers and for texts that may not be NULL, else NULL or an empty object. For copies that leave the house: run it anew before each, for new months and columns have none. Errors: 55000 before cdp.setup().';
