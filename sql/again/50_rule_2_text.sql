-- The text of segment rules, and rules told in plain words.

CREATE OR REPLACE FUNCTION cdp.segment_rule(rule text) RETURNS jsonb
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_rule';
COMMENT ON FUNCTION cdp.segment_rule(text) IS
'The JSONB of a segment rule written as text, such as: country in (''CN'', ''US'') and count("Order" last 30 days where amount > 50) >= 2. The grammar is in docs/segments.md: names in double quotes where they are no plain word, text in single quotes, words of the language in any case. Names are not looked up and types not checked; cdp.segment_check does. NULL gives NULL. Errors: 42601 with line, column, offset (characters, from 0), what was expected and the nearest word; 54000 above 1 MB; 54001 when nested more than 200 deep.';

CREATE OR REPLACE FUNCTION cdp.segment_rule_text(rule jsonb) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_rule_text';
COMMENT ON FUNCTION cdp.segment_rule_text(jsonb) IS
'The text of a segment rule, of one line where it is short; cdp.segment_rule reads it back to the same rule. NULL gives NULL. Errors: 22023 with the path of what no text can say (a key or value that rules do not have), 54001 when nested more than 100 deep.';

CREATE OR REPLACE FUNCTION cdp.segment_describe(rule jsonb, language text DEFAULT 'en') RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_describe';
COMMENT ON FUNCTION cdp.segment_describe(jsonb, text) IS
'A segment rule in plain words, one clause a line, groups by indentation. language: en (default), zh, or expansion: the rule as JSONB text with named behaviours replaced by what they stand for (first_time, stopped by did; regularly by did with periods, resumed by did with gap: two forms that rules themselves do not take; 36500 days and 100 years stand for ever). Constants of the rule appear as they are. NULL gives NULL. Errors: 22023 for an unknown language, or with the path of what is no rule; 54001 when nested more than 100 deep.';
CREATE OR REPLACE FUNCTION cdp.segment_describe(rule text, language text DEFAULT 'en') RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp.segment_describe(CASE WHEN rule ~ '^\s*[{]' THEN rule::jsonb ELSE cdp.segment_rule(rule) END, language);
END
$$;
COMMENT ON FUNCTION cdp.segment_describe(text, text) IS
'The same of a rule in its text form, or of JSON as text. Errors also 42601 and 22P02: it can not be read.';
