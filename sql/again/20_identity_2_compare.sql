-- Identity room: how alike two texts are, character by character.

CREATE OR REPLACE FUNCTION cdp.jaro_similarity(a text, b text) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_jaro_similarity';
COMMENT ON FUNCTION cdp.jaro_similarity(text, text) IS
'Jaro similarity (Jaro 1989) from 0 to 1: (m / length of a + m / length of b + (m - t) / m) / 3, with m characters that match within half of the longer length less one, and t half of those that match out of order, rounded down. By code points and case-sensitive; symmetrical. Two empty texts are 1, one empty text is 0. NULL for a NULL. Error 54000: a text above 1,048,576 characters.';

CREATE OR REPLACE FUNCTION cdp.jaro_winkler(a text, b text) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_jaro_winkler';
COMMENT ON FUNCTION cdp.jaro_winkler(text, text) IS
'Jaro-Winkler similarity (Winkler 1990) from 0 to 1: a Jaro similarity above 0.7 grows by 0.1 x (1 - itself) for each of the first four characters up to which both texts are the same; one of 0.7 or less stays. By code points and case-sensitive; symmetrical. Two empty texts are 1, one empty text is 0. NULL for a NULL. Error 54000: a text above 1,048,576 characters.';

CREATE OR REPLACE FUNCTION cdp.levenshtein(a text, b text) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_levenshtein';
COMMENT ON FUNCTION cdp.levenshtein(text, text) IS
'Levenshtein distance: fewest characters to insert, delete or replace to make one text the other. By code points and case-sensitive; symmetrical. NULL for a NULL. Error 54000: a text above 65,536 characters.';

CREATE OR REPLACE FUNCTION cdp.levenshtein(a text, b text, max integer) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_levenshtein';
COMMENT ON FUNCTION cdp.levenshtein(text, text, integer) IS
'Levenshtein distance up to max; max + 1 stands for every larger one (and no distance exceeds the longer length), so that long texts that differ much cost little. NULL for a NULL. Errors: 22023 max below 0; 54000 a text above 1,048,576 characters, or above 65,536 with a max above 1,000.';

CREATE OR REPLACE FUNCTION cdp.levenshtein_similarity(a text, b text) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_levenshtein_similarity';
COMMENT ON FUNCTION cdp.levenshtein_similarity(text, text) IS
'1 - levenshtein(a, b) / length of the longer text, from 0 to 1. Two empty texts are 1, one empty text is 0. NULL for a NULL. Error 54000: a text above 65,536 characters.';

CREATE OR REPLACE FUNCTION cdp.damerau_levenshtein(a text, b text) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_damerau_levenshtein';
COMMENT ON FUNCTION cdp.damerau_levenshtein(text, text) IS
'Damerau-Levenshtein distance (Lowrance and Wagner 1975): as levenshtein(), and swapping two neighbours counts one, also when characters were deleted from between them before or are inserted there afterwards (CA to ABC is 2). A metric. By code points and case-sensitive; symmetrical. On ASCII this is the damerau_levenshtein of DuckDB and so of Splink. The work grows with length x distance: seconds for unlike texts of ten thousands of characters. NULL for a NULL. Error 54000: a text above 65,536 characters.';

CREATE OR REPLACE FUNCTION cdp.damerau_levenshtein(a text, b text, max integer) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_damerau_levenshtein';
COMMENT ON FUNCTION cdp.damerau_levenshtein(text, text, integer) IS
'Damerau-Levenshtein distance up to max; max + 1 stands for every larger one (and no distance exceeds the longer length). With a max of 1 it costs what optimal_string_alignment() does. NULL for a NULL. Errors: 22023 max below 0; 54000 a text above 1,048,576 characters, or above 65,536 with a max above 1,000.';

CREATE OR REPLACE FUNCTION cdp.optimal_string_alignment(a text, b text) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_optimal_string_alignment';
COMMENT ON FUNCTION cdp.optimal_string_alignment(text, text) IS
'Damerau-Levenshtein distance restricted to edit no part twice (CA to ABC is 3, not 2): as levenshtein(), and swapping two neighbours counts one. Faster than damerau_levenshtein() for texts that differ much, never smaller, and no metric. By code points and case-sensitive; symmetrical. NULL for a NULL. Error 54000: a text above 65,536 characters.';

CREATE OR REPLACE FUNCTION cdp.optimal_string_alignment(a text, b text, max integer) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_optimal_string_alignment';
COMMENT ON FUNCTION cdp.optimal_string_alignment(text, text, integer) IS
'Optimal string alignment distance up to max; max + 1 stands for every larger one (and no distance exceeds the longer length). NULL for a NULL. Errors: 22023 max below 0; 54000 a text above 1,048,576 characters, or above 65,536 with a max above 1,000.';

CREATE OR REPLACE FUNCTION cdp.damerau_levenshtein_similarity(a text, b text) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_damerau_levenshtein_similarity';
COMMENT ON FUNCTION cdp.damerau_levenshtein_similarity(text, text) IS
'1 - damerau_levenshtein(a, b) / length of the longer text, from 0 to 1. Two empty texts are 1, one empty text is 0. NULL for a NULL. Error 54000: a text above 65,536 characters.';

CREATE OR REPLACE FUNCTION cdp.trigram_dice(a text, b text) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'cdp_trigram_dice';
COMMENT ON FUNCTION cdp.trigram_dice(text, text) IS
'Dice coefficient of the two sets of trigrams, from 0 to 1: 2 x common / (those of a + those of b). A text''s trigrams are all runs of three code points of the whole text padded with two blanks in front and one behind, which are no characters of the text: "ab" has "  a", " ab", "ab ". Unlike pg_trgm: no words, no folding of case, punctuation counts. Two empty texts are 1, one empty text is 0. NULL for a NULL. Error 54000: a text above 1,048,576 characters.';

CREATE OR REPLACE FUNCTION cdp.trigram_jaccard(a text, b text) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'cdp_trigram_jaccard';
COMMENT ON FUNCTION cdp.trigram_jaccard(text, text) IS
'Jaccard coefficient of the two sets of trigrams of trigram_dice(), from 0 to 1: common / those of either. Two empty texts are 1, one empty text is 0. NULL for a NULL. Error 54000: a text above 1,048,576 characters.';

CREATE OR REPLACE FUNCTION cdp.character_jaccard(a text, b text) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_character_jaccard';
COMMENT ON FUNCTION cdp.character_jaccard(text, text) IS
'Jaccard coefficient of the two sets of code points, from 0 to 1: common / those of either. On ASCII this is the jaccard of DuckDB and so of Splink. Two empty texts are 1, one empty text is 0. NULL for a NULL. Error 54000: a text above 1,048,576 characters.';

CREATE OR REPLACE FUNCTION cdp.compact_name(name text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 20
RETURN pg_catalog.regexp_replace(pg_catalog.lower(normalize(name, NFKC)),
  '[[:space:]''`.,_\u00b4\u00ad\u00b7\u2010-\u2015\u2018\u2019\u200b-\u200f\u2022\u2027\u2060\u2212\u2219\u22c5\u3001\u3002\u30fb\ufeff-]+', '', 'g');
COMMENT ON FUNCTION cdp.compact_name(text) IS
'A name ready to be compared: compatible forms unified (NFKC: full-width letters, composed accents), small letters by the database''s collation, and without blanks, hyphens, apostrophes, full stops, commas, middle dots and invisible characters, so that "O''Neill-Smith", "oneill smith" and "ONeill Smith" are the same, and Chinese names with and without blanks. Empty when nothing else is there. NULL for a NULL. Error 42601: the database is not in UTF8.';
