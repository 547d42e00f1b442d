-- Comparators: published answers, the rules of their comments, and texts that try to break them.
BEGIN;
SELECT plan(36);

-- Jaro and Jaro-Winkler: the pairs of Winkler's papers and of the census bureau's code, to the digits printed there.
CREATE TEMP TABLE winkler (a text, b text, jaro numeric, jaro_winkler numeric);
INSERT INTO winkler VALUES
  ('MARTHA', 'MARHTA', 0.944, 0.961), ('DIXON', 'DICKSONX', 0.767, 0.813), ('DWAYNE', 'DUANE', 0.822, 0.840), ('CRATE', 'TRACE', 0.733, 0.733),
  ('SHACKLEFORD', 'SHACKELFORD', 0.970, 0.982), ('DUNNINGHAM', 'CUNNIGHAM', 0.896, 0.896), ('NICHLESON', 'NICHULSON', 0.926, 0.956),
  ('JONES', 'JOHNSON', 0.790, 0.832), ('MASSEY', 'MASSIE', 0.889, 0.933), ('ABROMS', 'ABRAMS', 0.889, 0.922), ('JERALDINE', 'GERALDINE', 0.926, 0.926),
  ('MICHELLE', 'MICHAEL', 0.869, 0.921), ('JULIES', 'JULIUS', 0.889, 0.933), ('TANYA', 'TONYA', 0.867, 0.880), ('SEAN', 'SUSAN', 0.783, 0.805),
  ('JON', 'JOHN', 0.917, 0.933), ('JON', 'JAN', 0.778, 0.800), ('ITMAN', 'SMITH', 0.467, 0.467), ('HARDIN', 'MARTINEZ', 0.722, 0.722), ('ABC', 'XYZ', 0, 0);
SELECT is((SELECT string_agg(format('%s %s: %s', a, b, cdp.jaro_similarity(a, b)), ', ') FROM winkler WHERE abs(cdp.jaro_similarity(a, b)::numeric - jaro) > 0.0005000001), NULL, 'jaro_similarity gives Winkler''s figures');
SELECT is((SELECT string_agg(format('%s %s: %s', a, b, cdp.jaro_winkler(a, b)), ', ') FROM winkler WHERE abs(cdp.jaro_winkler(a, b)::numeric - jaro_winkler) > 0.0005000001), NULL, 'jaro_winkler gives Winkler''s figures');
SELECT is(round(cdp.jaro_winkler('MARTHA', 'MARHTA')::numeric, 10), 0.9611111111, 'MARTHA and MARHTA');
SELECT is((cdp.jaro_similarity('abcxxx', 'abcyyy'), cdp.jaro_winkler('abcxxx', 'abcyyy'))::text, '(0.6666666666666666,0.6666666666666666)', 'no boost at 0.7 or less, even with a common prefix');
SELECT is((SELECT string_agg(round(cdp.jaro_winkler(a, b)::numeric, 6)::text, ' ' ORDER BY a) FROM (VALUES ('danaki', 'dasta'), ('stelo', 'stenes'), ('stederttki', 'stedernaphen')) t (a, b)), '0.700000 0.700000 0.700000', 'a similarity of 21/30 is not above 0.7, however it is rounded');
SELECT is(round(cdp.jaro_winkler('abcdefghij', 'abcdefghiz')::numeric, 6), round(0.933333333333 + 4 * 0.1 * (1 - 0.933333333333), 6), 'the prefix counts up to four characters');
SELECT is(cdp.jaro_winkler('a', 'aa'), cdp.jaro_similarity('a', 'aa') + 0.1 * (1 - cdp.jaro_similarity('a', 'aa')), 'a prefix as long as the shorter text');
SELECT is((SELECT array_agg(cdp.jaro_similarity(a, b) ORDER BY n) FROM (VALUES (1, '', ''), (2, '', 'a'), (3, 'a', ''), (4, 'a', 'a'), (5, 'a', 'b')) t (n, a, b)), '{1,0,0,1,0}'::double precision[], 'empty and one-character texts');

-- Edit distances.
SELECT is((SELECT array_agg(cdp.levenshtein(a, b) ORDER BY n) FROM (VALUES (1, 'kitten', 'sitting'), (2, 'saturday', 'sunday'), (3, '', 'abc'), (4, 'flaw', 'lawn'), (5, 'CA', 'ABC'), (6, 'teh', 'the'), (7, '', ''),
  (8, 'intention', 'execution'), (9, 'GUMBO', 'GAMBOL')) t (n, a, b)), '{3,3,3,2,3,2,0,5,2}', 'levenshtein: the answers of the textbooks');
SELECT is((SELECT array_agg(cdp.damerau_levenshtein(a, b) ORDER BY n) FROM (VALUES (1, 'CA', 'ABC'), (2, 'teh', 'the'), (3, 'abcd', 'badc'), (4, 'a cat', 'an act'), (5, '', 'ab'), (6, 'kitten', 'sitting'), (7, 'ab', 'ba'), (8, 'abc', 'cab')) t (n, a, b)),
  '{2,1,2,2,2,3,1,2}', 'damerau_levenshtein edits between what it swaps: CA to ABC is 2');
SELECT is((SELECT array_agg(cdp.optimal_string_alignment(a, b) ORDER BY n) FROM (VALUES (1, 'CA', 'ABC'), (2, 'teh', 'the'), (3, 'abcd', 'badc'), (4, 'a cat', 'an act'), (5, 'abcdef', 'abcfed')) t (n, a, b)),
  '{3,1,2,2,2}', 'optimal_string_alignment does not');
SELECT is((SELECT array_agg(cdp.optimal_string_alignment('CA', 'ABC', m) ORDER BY m) FROM unnest('{0,1,2,3,2147483647}'::integer[]) m), '{1,2,3,3,3}', 'also with a max');
SELECT is((SELECT array_agg(cdp.levenshtein('kitten', 'sitting', m) ORDER BY m) FROM generate_series(0, 5) m), '{1,2,3,3,3,3}', 'max + 1 stands for what is above max');
SELECT is((SELECT array_agg(cdp.damerau_levenshtein('CA', 'ABC', m) ORDER BY m) FROM unnest('{0,1,2,3,2147483647}'::integer[]) m), '{1,2,2,2,2}', 'also with swaps, and the largest integer is a max');
SELECT throws_ok($$SELECT cdp.levenshtein('a', 'b', -1)$$, '22023', 'max must not be negative', 'a max below 0');
SELECT throws_ok($$SELECT cdp.damerau_levenshtein('a', 'a', -1)$$, '22023', 'max must not be negative', 'a max below 0, also for equal texts');
SELECT is((cdp.levenshtein_similarity('kitten', 'sitting'), cdp.damerau_levenshtein_similarity('teh', 'the'), cdp.levenshtein_similarity('', ''), cdp.damerau_levenshtein_similarity('', 'x'))::text,
  '(0.5714285714285714,0.6666666666666667,1,0)', 'distances as similarities');

-- Sets.
SELECT is((cdp.trigram_dice('ab', 'ab '), cdp.trigram_jaccard('ab', 'ab '), cdp.trigram_dice('a', 'b'), cdp.trigram_dice('', ''), cdp.trigram_jaccard('', 'a'))::text, format('(%s,%s,0,1,0)', 4 / 7.0::float8, 2 / 5.0::float8),
  'trigrams: padded with two before and one behind, which are no blanks of the text');
SELECT is(cdp.trigram_jaccard('aaaaaaaa', 'aaaaaaaaaaaaa'), 1::double precision, 'trigrams are a set, not a bag');
SELECT is((cdp.character_jaccard('abca', 'bcdd'), cdp.character_jaccard('', ''), cdp.character_jaccard('a', ''), cdp.character_jaccard('张三', '张三丰'))::text, format('(0.5,1,0,%s)', 2 / 3.0::float8), 'sets of characters');

-- Code points, not bytes.
SELECT is((cdp.levenshtein('张伟', '章伟'), cdp.damerau_levenshtein('小明', '明小'), cdp.levenshtein('😀', '😁'), cdp.levenshtein('é', 'e'), cdp.levenshtein(U&'e\0301', 'e'), cdp.levenshtein(U&'e\0301', 'é'))::text, '(1,1,1,1,1,2)',
  'a Chinese character, an emoji and an accent are one each; composed and decomposed accents differ');
SELECT is(round(cdp.jaro_winkler('欧阳修', '欧阳休')::numeric, 6), round((0.7777777777778 + 2 * 0.1 * (1 - 0.7777777777778)), 6), 'jaro_winkler of Chinese names');
SELECT is(cdp.jaro_similarity('中a', '文a'), cdp.jaro_similarity('xa', 'ya'), 'characters that share bytes share nothing');
SELECT is(cdp.levenshtein('👨‍👩‍👧', '👨‍👩‍👦'), 1, 'a family of five code points with one changed');

-- Names.
SELECT is((SELECT array_agg(cdp.compact_name(n) ORDER BY o) FROM unnest(ARRAY['O''Neill-Smith', ' oneill  smith', U&'ONeill\2019 Smith.', U&'\6b27\9633\3000\5a1c\5a1c', U&'\6b27\9633\00b7\5a1c\5a1c', U&'\FF2C\FF29 \4f1f\200b', U&'Jose\0301', E' \t-'])
  WITH ORDINALITY u (n, o)), ARRAY['oneillsmith', 'oneillsmith', 'oneillsmith', '欧阳娜娜', '欧阳娜娜', 'li伟', 'josé', ''], 'compact_name');
SELECT is((SELECT string_agg(t, '|') FROM unnest(ARRAY['a1@b#c', '中é!', 'x/y(z)']) t WHERE cdp.compact_name(t) <> t), NULL, 'compact_name leaves other signs alone');

-- NULL, and the declarations.
SELECT is((cdp.jaro_winkler(NULL, 'a'), cdp.levenshtein('a', NULL), cdp.damerau_levenshtein('a', 'b', NULL), cdp.trigram_dice(NULL, NULL))::text, '(,,,)', 'NULL for a NULL');
SELECT is((SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc WHERE pronamespace = 'cdp'::regnamespace AND proname ~ '^(jaro|levenshtein|damerau|optimal|trigram|character_jaccard)' AND NOT (proisstrict AND provolatile = 'i' AND proparallel = 's')), NULL,
  'all are IMMUTABLE STRICT PARALLEL SAFE');

-- Large texts: an answer soon, or an error that says what to do.
CREATE TEMP TABLE large AS SELECT repeat('ab', 524288) AS a, 'x' || repeat('ba', 524287) || 'c' AS b, repeat('王a', 524288) AS chinese, repeat('a', 1048577) AS over;
SET LOCAL statement_timeout = '30s';
SELECT is((SELECT round(cdp.jaro_winkler(a, b)::numeric, 4) || ' ' || round(cdp.trigram_dice(a, b)::numeric, 4) || ' ' || round(cdp.character_jaccard(a, b)::numeric, 4) FROM large), '0.8333 0.3333 0.5000', 'texts of 1 MB');
SELECT is((SELECT round(cdp.jaro_similarity(a, chinese)::numeric, 4) || ' ' || cdp.trigram_dice(a, chinese) FROM large), '0.6667 0', 'texts of 1,048,576 characters, half of them Chinese');
SELECT is((SELECT ARRAY[cdp.levenshtein(a, b, 3), cdp.damerau_levenshtein(a, b, 1000), cdp.levenshtein(a, chinese, 1000), cdp.levenshtein(a, a || '')] FROM large), '{2,2,1001,0}', 'bounded distances of texts of 1 MB');
SELECT throws_ok($$SELECT cdp.jaro_winkler('a', over) FROM large$$, '54000', 'text is too long to compare', 'more than 1,048,576 characters');
SELECT throws_ok($$SELECT cdp.levenshtein(over, 'a', 1) FROM large$$, '54000', 'text is too long to compare', 'more than 1,048,576 characters for a bounded distance');
SELECT throws_ok($$SELECT cdp.levenshtein(a, b) FROM large$$, '54000', 'text is too long to compare', 'more than 65,536 characters for a whole distance');
SELECT throws_ok($$SELECT cdp.damerau_levenshtein(a, b, 1001) FROM large$$, '54000', 'text is too long to compare', 'or for a max above 1,000');
SELECT is(cdp.levenshtein(repeat('ab', 32768), 'x' || repeat('王a', 32767) || 'c'), 32769, 'the longest texts of a whole distance');

SELECT * FROM finish();
ROLLBACK;
