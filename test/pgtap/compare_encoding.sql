-- Comparators in databases that are not in UTF8: a character is what the encoding says.
CREATE DATABASE compare_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE compare_euc_jp TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE compare_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
SELECT current_database() AS here \gset
\set ask 'SELECT pg_catalog.format(''%s %s %s %s''::text, cdp.levenshtein(a, b), cdp.damerau_levenshtein(a || b, b || a), round(cdp.jaro_similarity(a || ''n'', b || ''n'')::numeric, 3), round(cdp.trigram_dice(a || ''n'', b || ''n'')::numeric, 3)) AS answer FROM (VALUES ('

\c compare_latin1
CREATE EXTENSION pg_cdp;
SET client_encoding = 'UTF8';
:ask 'é'::text, 'è'::text) ) v (a, b) \gset latin1_
SELECT cdp.levenshtein(repeat('é', 400) || 'a', 'b' || repeat('é', 400)) AS long \gset latin1_
\c compare_euc_jp
CREATE EXTENSION pg_cdp;
SET client_encoding = 'UTF8';
:ask '山'::text, '田'::text) ) v (a, b) \gset euc_jp_
SELECT cdp.levenshtein(repeat('山', 400) || '田', 'b' || repeat('山', 400)) AS long \gset euc_jp_
\c compare_ascii
CREATE EXTENSION pg_cdp;
:ask 'é'::text, 'è'::text) ) v (a, b) \gset ascii_
\c :here
DROP DATABASE compare_latin1;
DROP DATABASE compare_euc_jp;
DROP DATABASE compare_ascii;

SELECT plan(4);
SELECT is(:'latin1_answer'::text, '1 1 0.667 0.000', 'LATIN1: a byte is a character');
SELECT is(:'euc_jp_answer'::text, '1 1 0.667 0.000', 'EUC_JP: a character of two bytes is one');
SELECT is(:'latin1_long'::text || ' ' || :'euc_jp_long', '2 2', 'long texts too');
SELECT is(:'ascii_answer'::text, '1 2 0.778 0.250', 'SQL_ASCII: bytes, as nothing else is known of them');
SELECT * FROM finish();
