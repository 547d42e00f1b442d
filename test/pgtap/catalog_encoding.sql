-- Databases of other encodings than UTF8: the lists of the release hold Chinese and other words, so the install refuses them whole.
CREATE DATABASE other_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE other_euc_jp TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C';
SELECT current_database() AS here \gset
\set ON_ERROR_STOP 0
\set QUIET 1
\c other_latin1
\o /dev/null
CREATE EXTENSION pg_cdp;
\set latin1 :SQLSTATE
SELECT count(*) AS latin1_left FROM pg_namespace WHERE nspname LIKE 'cdp%' \gset
\c other_euc_jp
CREATE EXTENSION pg_cdp;
\set euc_jp :SQLSTATE
\c :here
\o
\set ON_ERROR_STOP 1
DROP DATABASE other_latin1;
DROP DATABASE other_euc_jp;

SELECT plan(3);
SELECT is(:'latin1'::text, '22P05', 'LATIN1 is refused: it has no such characters');
SELECT is(:latin1_left, 0, 'and nothing is left of the attempt');
SELECT isnt(:'euc_jp'::text, '00000', 'EUC_JP too');
SELECT * FROM finish();
